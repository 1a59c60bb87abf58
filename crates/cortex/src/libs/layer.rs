//! `$lib.layer` and the object `layer`.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use myelin_error::{Error, err};
use myelin_graph as graph;
use myelin_graph::{EditOp, NodeEdit};
use myelin_model::StorCmpr;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Buid, Map, Value};
use parking_lot::RwLock;

use super::util::{Counted, admin_or, confirm_gate, core, dict, form_and_prop, genr, solo, tobuid, tuple, user};
use crate::Cortex;
use crate::parts::now_millis;
use crate::stack::Stack;
use crate::wait;

static LIB: LibDef = LibDef {
    path: "layer",
    funcs: &[
        FuncDef::rw("add", &[Arg::opt("ldef", Dflt::Null)], add),
        FuncDef::rw("del", &[Arg::req("iden")], del),
        FuncDef::ro("get", &[Arg::opt("iden", Dflt::Null)], get),
        FuncDef::ro("list", &[], list),
    ],
    consts: &[],
};

const SYNC_ARGS: &[Arg] = &[
    Arg::req("url"),
    Arg::opt("offs", Dflt::Int(0)),
    Arg::opt("queue_size", Dflt::Int(10_000)),
    Arg::opt("chunk_size", Dflt::Int(1_000)),
];

const PROP_ARGS: &[Arg] =
    &[Arg::req("propname"), Arg::opt("propvalu", Dflt::Null), Arg::opt("propcmpr", Dflt::Str("="))];

static DEF: TypeDef = TypeDef {
    name: "layer",
    funcs: &[
        FuncDef::rw("addPull", SYNC_ARGS, |rt, this, args| add_sync(rt, this, &args, "layer:pull:add")),
        FuncDef::rw("addPush", SYNC_ARGS, |rt, this, args| add_sync(rt, this, &args, "layer:push:add")),
        FuncDef::rw("delEdge", &[Arg::req("nodeid1"), Arg::req("verb"), Arg::req("nodeid2")], del_edge),
        FuncDef::rw("delNodeData", &[Arg::req("nodeid"), Arg::opt("name", Dflt::Null)], del_data),
        FuncDef::rw("delPull", &[Arg::req("iden")], |rt, this, args| del_sync(rt, this, &args, "layer:pull:del")),
        FuncDef::rw("delPush", &[Arg::req("iden")], |rt, this, args| del_sync(rt, this, &args, "layer:push:del")),
        FuncDef::rw("delStorNode", &[Arg::req("nodeid")], del_node),
        FuncDef::rw("delStorNodeProp", &[Arg::req("nodeid"), Arg::req("prop")], del_prop),
        FuncDef::ro("edited", &[], edited),
        FuncDef::ro(
            "edits",
            &[
                Arg::opt("offs", Dflt::Int(0)),
                Arg::opt("wait", Dflt::Bool(true)),
                Arg::opt("size", Dflt::Null),
                Arg::opt("reverse", Dflt::Bool(false)),
            ],
            edits,
        ),
        FuncDef::ro("get", &[Arg::req("name"), Arg::opt("defv", Dflt::Null)], get_key),
        FuncDef::ro("getEdges", &[], get_edges),
        FuncDef::ro("getEdgesByN1", &[Arg::req("nodeid"), Arg::opt("verb", Dflt::Null)], |rt, this, args| {
            let (layer, buid) = (readable(rt, this)?, tobuid(rt, args.item(0))?);
            Ok(edge_rows(solo(&layer)?.edges_n1(&buid, args.opt_str(rt, 1)?.as_deref())?))
        }),
        FuncDef::ro("getEdgesByN2", &[Arg::req("nodeid"), Arg::opt("verb", Dflt::Null)], |rt, this, args| {
            let (layer, buid) = (readable(rt, this)?, tobuid(rt, args.item(0))?);
            Ok(edge_rows(solo(&layer)?.edges_n2(&buid, args.opt_str(rt, 1)?.as_deref())?))
        }),
        FuncDef::ro("getFormCounts", &[], |rt, this, _| {
            Ok(dict(readable(rt, this)?.form_counts().into_iter().collect()))
        }),
        FuncDef::ro("getMirrorStatus", &[], |_, _, _| Ok(dict(Map::new().with("mirror", false)))),
        FuncDef::ro("getNodeData", &[Arg::req("nodeid")], get_data),
        FuncDef::ro("getNodeDataValu", &[Arg::req("nodeid"), Arg::req("name")], |rt, this, args| {
            let (layer, buid) = (readable(rt, this)?, tobuid(rt, args.item(0))?);
            Ok(Item::stored(&layer.node_data(&buid, &args.str(rt, 1)?)?.unwrap_or_default()))
        }),
        FuncDef::ro("getPropArrayCount", &[Arg::req("propname"), Arg::opt("valu", Dflt::Undef)], |rt, this, args| {
            let counted = Counted::array(rt, &args.str(rt, 0)?)?;
            Ok(Item::from(counted.count(rt, &[readable(rt, this)?], args.item(1))?))
        }),
        FuncDef::ro(
            "getPropCount",
            &[Arg::req("propname"), Arg::opt("maxsize", Dflt::Null), Arg::opt("valu", Dflt::Undef)],
            prop_count,
        ),
        FuncDef::ro("getPropValues", &[Arg::req("propname")], prop_values),
        FuncDef::ro("getStorNode", &[Arg::req("nodeid")], |rt, this, args| {
            let (buid, layer) = (tobuid(rt, args.item(0))?, readable(rt, this)?);
            sode_item(&layer, &buid)
        }),
        FuncDef::ro("getStorNodes", &[], stor_nodes),
        FuncDef::ro("getStorNodesByForm", &[Arg::req("form")], stor_nodes_by_form),
        FuncDef::ro("getStorNodesByProp", PROP_ARGS, |rt, this, args| {
            let (layer, mut lift) = (readable(rt, this)?, prop_lift(rt, this, &args)?);
            Ok(genr(move || match lift.next_buid()? {
                Some(buid) => Ok(Some(Item::list([Item::from(buid.to_hex()), sode_item(&layer, &buid)?]))),
                None => Ok(None),
            }))
        }),
        FuncDef::ro("getTagCount", &[Arg::req("tagname"), Arg::opt("formname", Dflt::Null)], |rt, this, args| {
            let (tag, form) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
            Ok(Item::from(readable(rt, this)?.tag_count(&tag, form.as_deref())?))
        }),
        FuncDef::ro(
            "getTagPropCount",
            &[Arg::req("tag"), Arg::req("propname"), Arg::opt("form", Dflt::Null), Arg::opt("valu", Dflt::Undef)],
            |rt, this, args| {
                super::util::req_tagprop(rt, &args.str(rt, 1)?)?;
                let counted = Counted::TagProp(args.opt_str(rt, 2)?, args.str(rt, 0)?, args.str(rt, 1)?);
                Ok(Item::from(counted.count(rt, &[readable(rt, this)?], args.item(3))?))
            },
        ),
        FuncDef::ro("hasEdge", &[Arg::req("nodeid1"), Arg::req("verb"), Arg::req("nodeid2")], |rt, this, args| {
            let (n1, verb, n2) = (tobuid(rt, args.item(0))?, args.str(rt, 1)?, tobuid(rt, args.item(2))?);
            Ok(Item::from(readable(rt, this)?.has_edge(&n1, &verb, &n2)?))
        }),
        FuncDef::ro("liftByNodeData", &[Arg::req("name")], |rt, this, args| {
            let by = graph::LiftBy::DataName { name: args.str(rt, 0)? };
            Ok(lifted(rt, solo(&readable(rt, this)?)?.lift(graph::Lift::all(by))))
        }),
        FuncDef::ro("liftByProp", PROP_ARGS, |rt, this, args| Ok(lifted(rt, prop_lift(rt, this, &args)?))),
        FuncDef::ro("liftByTag", &[Arg::req("tagname"), Arg::opt("formname", Dflt::Null)], lift_by_tag),
        FuncDef::ro("pack", &[], pack),
        FuncDef::ro("repr", &[], repr),
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], set),
        FuncDef::rw("setNodeDataValu", &[Arg::req("nodeid"), Arg::req("name"), Arg::req("valu")], set_data),
        FuncDef::rw("setStorNodeProp", &[Arg::req("nodeid"), Arg::req("prop"), Arg::req("valu")], set_prop),
        FuncDef::rw("verify", &[Arg::opt("config", Dflt::Null)], |_, _, _| {
            Err(Error::not_supported("$layer.verify()").into())
        }),
    ],
    getters: &[
        ("iden", |_, this| Ok(Item::from(&*this_obj(this)?.iden))),
        ("name", |_, this| Ok(Item::from(this_obj(this)?.ldef.read().get("name").cloned()))),
    ],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF]);
    registry.add_lib(&LIB);
}

/// A layer, with its record as it was when the object was made.
pub struct LayerObj {
    iden: Arc<str>,
    ldef: RwLock<Map>,
}

impl LayerObj {
    /// The object of a packed layer.
    pub fn of(ldef: &Value) -> Item {
        let mut ldef = ldef.as_map().cloned().unwrap_or_default();
        for kind in ["pushs", "pulls"] {
            if let Some(Value::Map(defs)) = ldef.get_mut(kind) {
                hide_passwords(Arc::make_mut(defs));
            }
        }
        Item::obj(LayerObj { iden: ldef.get_str("iden").unwrap_or_default().into(), ldef: RwLock::new(ldef) })
    }
}

fn hide_passwords(defs: &mut Map) {
    for def in defs.values_mut() {
        let Value::Map(def) = def else { continue };
        let Some(url) = def.get_str("url") else { continue };
        let (Some((scheme, rest)), Some((login, host))) = (url.split_once("://"), url.rsplit_once('@')) else {
            continue;
        };
        let Some((user, _)) = login.split_once("://").and_then(|(_, login)| login.split_once(':')) else { continue };
        let _ = rest;
        let hidden = format!("{scheme}://{user}:****@{host}");
        Arc::make_mut(def).insert("url", hidden);
    }
}

impl StormObj for LayerObj {
    fn type_name(&self) -> &'static str {
        "layer"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DEF)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.ldef.read().clone().into())
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::from(&*self.iden))
    }
}

fn this_obj(this: &Item) -> Flow<&LayerObj> {
    match this.as_obj::<LayerObj>() {
        Some(layer) => Ok(layer),
        None => fail!("BadArg", mesg = "This is no layer."),
    }
}

fn this_layer(rt: &Rt, this: &Item) -> Flow<Arc<graph::Layer>> {
    Ok(core(rt)?.stack.require_layer(&this_obj(this)?.iden)?)
}

/// The layer, if the user may read a view that uses it, or itself.
fn readable(rt: &Rt, this: &Item) -> Flow<Arc<graph::Layer>> {
    let layer = this_layer(rt, this)?;
    if rt.asroot() {
        return Ok(layer);
    }
    let user = user(rt)?;
    let uses = |view: &Arc<graph::View>| view.layers().iter().any(|have| Arc::ptr_eq(have, &layer));
    let views = core(rt)?.stack.views();
    let through = views.iter().any(|view| uses(view) && user.allowed(&["view", "read"], Some(view.iden())));
    if through || user.allowed(&["layer", "read"], Some(layer.iden())) {
        return Ok(layer);
    }
    let mesg = format!("The user {} may not read this layer.", user.name());
    Err(err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name()).into())
}

fn found(core: &Cortex, iden: &str) -> Flow<Arc<graph::Layer>> {
    match core.stack.layer(iden) {
        Some(layer) => Ok(layer),
        None => fail!("NoSuchIden", mesg = format!("There is no layer {iden}.")),
    }
}

fn obj_of(layer: &graph::Layer) -> Item {
    LayerObj::of(&Stack::pack_layer(layer).into())
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let ldef = args.prim(rt, 0)?;
    let ldef = ldef.as_map().cloned().unwrap_or_default().with("creator", rt.user().iden());
    confirm_gate(rt, &["layer", "add"], None)?;
    let packed = core(rt)?.stack.add_layer(ldef, &user(rt)?)?;
    let layer = core(rt)?.stack.require_layer(packed.get_str("iden").unwrap_or_default())?;
    Ok(obj_of(&layer))
}

fn del(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let iden = args.str(rt, 0)?;
    let layer = found(core(rt)?, &iden)?;
    confirm_gate(rt, &["layer", "del"], Some(&iden))?;
    core(rt)?.stack.del_layer(layer.iden())?;
    Ok(Item::NULL)
}

fn get(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let iden = match args.opt_str(rt, 0)? {
        Some(iden) => iden,
        None => super::util::this_view(rt)?.write_layer().iden().clone(),
    };
    Ok(obj_of(&*found(core(rt)?, &iden)?))
}

fn list(rt: &Rt, _lib: &Item, _args: Args) -> Flow<Item> {
    Ok(Item::list(core(rt)?.stack.layers().iter().map(|layer| obj_of(layer))))
}

/// Notes that the edits of a layer are pushed to, or pulled from, another service, which must be there at the moment.
fn add_sync(rt: &Rt, this: &Item, args: &Args, event: &str) -> Flow<Item> {
    use crate::sync::{CHUNK, QUEUE};
    let (url, offs) = (args.str(rt, 0)?, args.int(rt, 1)?);
    let (queue, chunk) = (args.int(rt, 2)?, args.int(rt, 3)?);
    let iden = this_obj(this)?.iden.clone();
    admin_or(rt, Some(&iden), "Only an admin of the layer may do this.")?;
    let scheme = url.split("://").next().unwrap_or_default();
    if !rt.allowed(&["lib", "telepath", "open", scheme], None) {
        rt.confirm(&["storm", "lib", "telepath", "open", scheme], None)?;
    }
    wait::query(rt, async {
        let proxy = myelin_telepath::Proxy::open(&url).await?;
        proxy.fini().await;
        Ok::<_, Error>(())
    })??;
    for (name, valu, most) in [("queue:size", queue, QUEUE), ("chunk:size", chunk, CHUNK)] {
        if !(1..=most).contains(&valu) {
            let mesg = format!("The {name} must be from 1 to {most}.");
            return Err(err!("SchemaViolation", mesg = mesg, name = format!("data.{name}")).into());
        }
    }
    let pdef = Map::new()
        .with("url", &*url)
        .with("offs", offs)
        .with("user", rt.user().iden())
        .with("time", now_millis())
        .with("iden", myelin_value::rand_guid())
        .with("queue:size", queue)
        .with("chunk:size", chunk);
    let core = core(rt)?;
    let event_args = vec![Value::from(&*iden), pdef.clone().into()];
    core.cell.nexus().push(core.cell.iden(), event, event_args, Map::new())?;
    Ok(dict(pdef))
}

fn del_sync(rt: &Rt, this: &Item, args: &Args, event: &str) -> Flow<Item> {
    let (iden, layer) = (args.str(rt, 0)?, &this_obj(this)?.iden);
    admin_or(rt, Some(layer), "Only an admin of the layer may do this.")?;
    let core = core(rt)?;
    core.cell.nexus().push(core.cell.iden(), event, vec![Value::from(&**layer), Value::from(&*iden)], Map::new())?;
    Ok(Item::NULL)
}

// ---- changing

/// Stores edits of one node in the layer alone, as an admin. Whether anything changed.
fn store(rt: &Rt, layer: &graph::Layer, edits: Vec<NodeEdit>) -> Flow<Item> {
    let meta = Map::new().with("time", now_millis()).with("user", rt.user().iden());
    let (_, done) = layer.save_edits(&edits, &meta.into())?;
    rt.snap().clear_cache();
    Ok(Item::from(done.iter().any(|edit| !edit.edits.is_empty())))
}

fn admin_layer(rt: &Rt, this: &Item, what: &str) -> Flow<Arc<graph::Layer>> {
    admin_or(rt, None, &format!("{what}() is for admins only."))?;
    this_layer(rt, this)
}

fn form_of(layer: &graph::Layer, buid: &Buid) -> Flow<Option<Arc<str>>> {
    match layer.sode(buid)? {
        Some(byts) => Ok(graph::SodeRef::new(&byts).form()?.map(Arc::from)),
        None => Ok(None),
    }
}

fn set_prop(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (buid, name, valu) = (tobuid(rt, args.item(0))?, args.str(rt, 1)?, args.item(2).tostor(rt, false)?);
    let layer = admin_layer(rt, this, "setStorNodeProp")?;
    let model = rt.model();
    let prop = model.req_prop(&name)?;
    let valu = prop.typ.norm(&rt.norm_cx(), &valu)?.value;
    let form = prop.form.clone().unwrap_or_else(|| prop.name.clone());
    let op = EditOp::PropSet { prop: prop.name.clone(), valu, old: Value::Null, stor: prop.typ.stortype };
    store(rt, &layer, vec![NodeEdit::new(buid, form, [op])])
}

fn del_prop(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (buid, name) = (tobuid(rt, args.item(0))?, args.str(rt, 1)?);
    let layer = admin_layer(rt, this, "delStorNodeProp")?;
    let model = rt.model();
    let prop = model.req_prop(&name)?;
    let form = prop.form.clone().unwrap_or_else(|| prop.name.clone());
    let op = EditOp::PropDel { prop: prop.name.clone(), old: Value::Null, stor: prop.typ.stortype };
    store(rt, &layer, vec![NodeEdit::new(buid, form, [op])])
}

fn del_node(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let buid = tobuid(rt, args.item(0))?;
    let layer = admin_layer(rt, this, "delStorNode")?;
    let Some(byts) = layer.sode(&buid)? else { return Ok(Item::from(false)) };
    let sode = graph::SodeRef::new(&byts);
    let form: Arc<str> = Arc::from(sode.form()?.unwrap_or_default());
    let mut ops = Vec::new();
    sode.each_prop(|name, old, stor| ops.push(EditOp::PropDel { prop: Arc::from(name), old, stor }))?;
    sode.each_tagprop(|tag, name, old, stor| {
        ops.push(EditOp::TagPropDel { tag: Arc::from(tag), prop: Arc::from(name), old, stor });
    })?;
    sode.each_tag(|tag, old| ops.push(EditOp::TagDel { tag: Arc::from(tag), old }))?;
    let alone = solo(&layer)?;
    match sode.valu()? {
        // Removing the value takes data and outgoing edges along.
        Some((old, stor)) => ops.push(EditOp::NodeDel { old, stor }),
        None => {
            for name in layer.node_data_names(&buid)? {
                ops.push(EditOp::DataDel { name: Arc::from(name), old: Value::Null });
            }
            for row in alone.edges_n1(&buid, None)? {
                let row = row?;
                ops.push(EditOp::EdgeDel { verb: row.verb, n2: row.n2 });
            }
        }
    }
    let mut edits = vec![NodeEdit::new(buid, form, ops)];
    for row in alone.edges_n2(&buid, None)? {
        let row = row?;
        let Some(form) = form_of(&layer, &row.n2)? else { continue };
        edits.push(NodeEdit::new(row.n2, form, [EditOp::EdgeDel { verb: row.verb, n2: buid }]));
    }
    store(rt, &layer, edits)
}

fn set_data(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (buid, name, valu) = (tobuid(rt, args.item(0))?, args.str(rt, 1)?, args.prim(rt, 2)?);
    myelin_storm::edit::json_safe(&valu)?;
    let layer = admin_layer(rt, this, "setNodeDataValu")?;
    graph::check_data_name(&name)?;
    let Some(form) = form_of(&layer, &buid)? else {
        let iden = buid.to_hex();
        fail!("NoSuchIden", mesg = format!("The layer has no node {iden}."), buid = iden);
    };
    if layer.node_data(&buid, &name)?.as_ref() == Some(&valu) {
        return Ok(Item::from(false));
    }
    store(rt, &layer, vec![NodeEdit::new(buid, form, [EditOp::DataSet { name, valu, old: Value::Null }])])
}

fn del_data(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (buid, name) = (tobuid(rt, args.item(0))?, args.opt_str(rt, 1)?);
    let layer = admin_layer(rt, this, "delNodeData")?;
    let Some(form) = form_of(&layer, &buid)? else { return Ok(Item::from(false)) };
    let names: Vec<Arc<str>> = match name {
        Some(name) => layer.has_node_data(&buid, &name)?.then_some(name).into_iter().collect(),
        None => layer.node_data_names(&buid)?.into_iter().map(Arc::from).collect(),
    };
    if names.is_empty() {
        return Ok(Item::from(false));
    }
    let ops = names.into_iter().map(|name| EditOp::DataDel { name, old: Value::Null });
    store(rt, &layer, vec![NodeEdit::new(buid, form, ops)])
}

fn del_edge(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (n1, verb, n2) = (tobuid(rt, args.item(0))?, args.str(rt, 1)?, tobuid(rt, args.item(2))?);
    let layer = admin_layer(rt, this, "delEdge")?;
    let Some(form) = form_of(&layer, &n1)? else { return Ok(Item::from(false)) };
    if !layer.has_edge(&n1, &verb, &n2)? {
        return Ok(Item::from(false));
    }
    store(rt, &layer, vec![NodeEdit::new(n1, form, [EditOp::EdgeDel { verb, n2 }])])
}

fn set(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let name = args.str(rt, 0)?;
    let valu = match &*name {
        "name" | "desc" => match args.item(1) {
            Item::Undef | Item::Val(Value::Null) => Value::Null,
            other => Value::from(other.tostr(rt)?),
        },
        "cache:size" => {
            let size = args.int(rt, 1)?;
            if size < 1 {
                fail!("BadOptValu", mesg = "The cache:size of a layer is 1 at least.");
            }
            Value::from(size)
        }
        "logedits" | "readonly" => Value::from(args.bool(rt, 1)?),
        "mirror" | "upstream" => match args.prim(rt, 1)? {
            Value::Null => Value::Null,
            _ => fail!("BadOptValu", mesg = format!("The {name} of a layer can be set to null only.")),
        },
        _ => fail!("BadOptValu", mesg = format!("A layer has no {name} that could be set.")),
    };
    confirm_gate(rt, &["layer", "set", &name], Some(&obj.iden))?;
    let layer = this_layer(rt, this)?;
    if &*name != "readonly" {
        layer.req_writable()?;
    }
    core(rt)?.stack.push_layer(&layer, "layer:set", [Value::from(&*name), valu.clone()])?;
    obj.ldef.write().insert(&*name, valu);
    Ok(Item::NULL)
}

// ---- reading

fn prop_count(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let counted = Counted::prop(rt, &args.str(rt, 0)?)?;
    let maxsize = args.opt_int(rt, 1)?;
    let count = counted.count(rt, &[readable(rt, this)?], args.item(2))?;
    let limit = maxsize.filter(|_| matches!(args.item(2), Item::Undef)).and_then(|size| u64::try_from(size).ok());
    Ok(Item::from(limit.map_or(count, |limit| count.min(limit))))
}

fn prop_values(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let model = rt.model();
    let prop = model.req_prop(&args.str(rt, 0)?)?;
    let layer = readable(rt, this)?;
    let (form, name) = form_and_prop(prop);
    let mut walk = layer.valu_walk(form.as_deref(), name.as_deref(), prop.typ.stortype)?;
    Ok(genr(move || match &mut walk {
        Some(walk) => Ok(walk.next_valu()?.map(|(_, valu)| Item::stored(&valu))),
        None => Ok(None),
    }))
}

/// Where edits are read from the log at a time.
const EDIT_PAGE: usize = 100;

fn edits(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (offs, mut wait, size, reverse) =
        (args.int(rt, 0)?, args.bool(rt, 1)?, args.opt_int(rt, 2)?, args.bool(rt, 3)?);
    let layer = this_layer(rt, this)?;
    if !rt.allowed(&["layer", "edits", "read"], Some(layer.iden())) {
        rt.confirm(&["layer", "read"], Some(layer.iden()))?;
    }
    let mut offs = u64::try_from(offs).unwrap_or(0);
    if reverse {
        wait = false;
        if offs == 0 {
            offs = u64::MAX;
        }
    }
    let rt = rt.clone();
    let mut page: VecDeque<(u64, Value)> = VecDeque::new();
    let (mut left, mut done) = (size, false);
    Ok(genr(move || {
        if left == Some(0) || !layer.logs_edits() {
            return Ok(None);
        }
        loop {
            if let Some((at, edits)) = page.pop_front() {
                left = left.map(|left| left - 1);
                return Ok(Some(tuple([at.into(), edits])));
            }
            if done {
                return Ok(None);
            }
            let rows = layer.edit_page(offs, EDIT_PAGE, reverse)?;
            match rows.last() {
                Some((last, ..)) if reverse => match last.checked_sub(1) {
                    Some(next) => offs = next,
                    None => done = true,
                },
                Some((last, ..)) => offs = last + 1,
                None if wait => rt.sleep(Duration::from_millis(50))?,
                None => done = true,
            }
            page.extend(rows.into_iter().map(|(at, edits, _)| (at, edits)));
        }
    }))
}

fn edited(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let layer = this_layer(rt, this)?;
    if !layer.logs_edits() {
        return Ok(Item::NULL);
    }
    let rows = layer.edit_page(u64::MAX, 1, true)?;
    Ok(Item::from(rows.first().and_then(|(_, _, meta)| meta.get("time").cloned())))
}

fn sode_item(layer: &graph::Layer, buid: &Buid) -> Flow<Item> {
    match layer.sode(buid)? {
        Some(byts) => Ok(Item::stored(&graph::SodeRef::new(&byts).to_value()?)),
        None => Ok(dict(Map::new())),
    }
}

fn stor_nodes(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let mut walk = readable(rt, this)?.sode_walk()?;
    Ok(genr(move || match walk.next_sode()? {
        Some((buid, sode)) => Ok(Some(tuple([Value::from(&buid.0[..]), sode.to_value()?]))),
        None => Ok(None),
    }))
}

fn stor_nodes_by_form(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let form = args.str(rt, 0)?;
    rt.model().req_form(&form)?;
    let layer = readable(rt, this)?;
    // Not the index of values: a layer also has nodes of the form whose value is in a layer below.
    let mut walk = layer.sode_walk()?;
    Ok(genr(move || {
        while let Some((buid, sode)) = walk.next_sode()? {
            if sode.form()? == Some(&*form) {
                return Ok(Some(tuple([Value::from(&buid.0[..]), sode.to_value()?])));
            }
        }
        Ok(None)
    }))
}

fn get_edges(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let mut edges = solo(&readable(rt, this)?)?.edges(None)?;
    Ok(genr(move || match edges.next().transpose()? {
        Some(row) => Ok(Some(tuple([row.n1.to_hex().into(), row.verb.into(), row.n2.to_hex().into()]))),
        None => Ok(None),
    }))
}

fn edge_rows(mut edges: graph::EdgeWalk) -> Item {
    genr(move || match edges.next().transpose()? {
        Some(row) => Ok(Some(tuple([row.verb.into(), row.n2.to_hex().into()]))),
        None => Ok(None),
    })
}

fn get_data(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (buid, layer) = (tobuid(rt, args.item(0))?, readable(rt, this)?);
    let mut names = layer.node_data_names(&buid)?.into_iter();
    Ok(genr(move || {
        for name in names.by_ref() {
            if let Some(valu) = layer.node_data(&buid, &name)? {
                return Ok(Some(tuple([name.into(), valu])));
            }
        }
        Ok(None)
    }))
}

fn prop_lift(rt: &Rt, this: &Item, args: &Args) -> Flow<graph::ViewLift> {
    let (name, valu, cmpr) = (args.str(rt, 0)?, args.prim(rt, 1)?, args.str(rt, 2)?);
    let layer = readable(rt, this)?;
    let model = rt.model();
    let Some(prop) = model.prop(&name) else {
        fail!("NoSuchProp", mesg = format!("There is no property {name}."));
    };
    let (form, name) = form_and_prop(prop);
    let by = match name {
        Some(prop) => graph::LiftBy::Prop { form, prop },
        None => graph::LiftBy::Form { form: form.unwrap_or_default() },
    };
    let lift = if valu.is_null() {
        graph::Lift::all(by)
    } else {
        let norm = prop.typ.norm(&rt.norm_cx(), &valu)?.value;
        let cmprs: Vec<StorCmpr> = prop.typ.lift_cmprs(&rt.norm_cx(), &cmpr, &norm)?;
        graph::Lift::by_valu(by, cmprs)
    };
    Ok(solo(&layer)?.lift(lift))
}

/// The nodes of the query's view whose rows a lift found in the layer.
fn lifted(rt: &Rt, mut lift: graph::ViewLift) -> Item {
    let rt = rt.clone();
    genr(move || match lift.next_buid()? {
        Some(buid) => Ok(Some(rt.snap().node_by_buid(&buid)?.map_or(Item::NULL, Item::from))),
        None => Ok(None),
    })
}

fn lift_by_tag(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (tag, form) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
    if let Some(form) = &form {
        rt.model().req_form(form)?;
    }
    let by = graph::LiftBy::Tag { tag, form };
    Ok(lifted(rt, solo(&readable(rt, this)?)?.lift(graph::Lift::all(by))))
}

/// The definitions of pushes or pulls, with where each has come to.
fn synced(core: &Cortex, defs: &Value, var: &str, none: i64) -> Flow<Value> {
    let mut defs = defs.as_map().cloned().unwrap_or_default();
    let idens: Vec<String> = defs.text_entries().map(|(iden, _)| iden.to_owned()).collect();
    for iden in idens {
        let offs = core.vars.get(&format!("{var}:{iden}"))?.unwrap_or_else(|| none.into());
        if let Some(Value::Map(def)) = defs.get_mut(&iden) {
            Arc::make_mut(def).insert("offs", offs);
        }
    }
    Ok(defs.into())
}

fn get_key(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let name = args.prim(rt, 0)?;
    let name = name.as_str().unwrap_or_default();
    let valu = this_obj(this)?.ldef.read().get(name).cloned();
    match name {
        "pushs" => Ok(Item::stored(&synced(core(rt)?, &valu.unwrap_or_default(), "push", 0)?)),
        "pulls" => Ok(Item::stored(&synced(core(rt)?, &valu.unwrap_or_default(), "pull", 0)?)),
        _ => Ok(valu.map_or_else(|| args.item(1).clone(), |valu| Item::stored(&valu))),
    }
}

fn pack(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let mut ldef = this_obj(this)?.ldef.read().clone();
    for kind in ["pushs", "pulls"] {
        if let Some(defs) = ldef.get(kind).cloned() {
            ldef.insert(kind, synced(core(rt)?, &defs, "push", -1)?);
        }
    }
    Ok(dict(ldef))
}

fn repr(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let ldef = obj.ldef.read();
    let text = |key: &str, dflt: &str| ldef.get_str(key).unwrap_or(dflt).to_owned();
    let readonly = if ldef.get("readonly").is_some_and(Value::is_truthy) { "True" } else { "False" };
    let (name, creator) = (text("name", "unnamed"), text("creator", "None"));
    Ok(Item::from(format!("Layer: {} (name: {name}) readonly: {readonly} creator: {creator}", obj.iden)))
}
