//! `$lib.view` and the object `view`.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use myelin_error::err;
use myelin_graph as graph;
use myelin_model::StorCmpr;
use myelin_storm::edit;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::store::{EditOp, NodeEdit};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::msgpack::encode;
use myelin_value::{Map, Value};
use parking_lot::RwLock;

use super::layer::LayerObj;
use super::trigger::TriggerObj;
use super::util::{Counted, admin_or, confirm_gate, core, dict, form_and_prop, genr, scope_in, this_view, tuple, user};
use crate::Cortex;
use crate::libs::quorum;

static LIB: LibDef = LibDef {
    path: "view",
    funcs: &[
        FuncDef::rw(
            "add",
            &[Arg::req("layers"), Arg::opt("name", Dflt::Null), Arg::opt("worldreadable", Dflt::Bool(false))],
            add,
        ),
        FuncDef::rw("del", &[Arg::req("iden")], del),
        FuncDef::ro("get", &[Arg::opt("iden", Dflt::Null)], get),
        FuncDef::ro("list", &[Arg::opt("deporder", Dflt::Bool(false))], list),
    ],
    consts: &[],
};

static DEF: TypeDef = TypeDef {
    name: "view",
    funcs: &[
        FuncDef::rw("addNode", &[Arg::req("form"), Arg::req("valu"), Arg::opt("props", Dflt::Null)], add_node),
        FuncDef::rw("addNodeEdits", &[Arg::req("edits")], add_node_edits),
        FuncDef::ro("children", &[], children),
        FuncDef::rw("detach", &[], detach),
        FuncDef::rw("fork", &[Arg::opt("name", Dflt::Null)], fork),
        FuncDef::ro("get", &[Arg::req("name"), Arg::opt("defv", Dflt::Null)], get_key),
        FuncDef::ro("getEdgeVerbs", &[], edge_verbs),
        FuncDef::ro("getEdges", &[Arg::opt("verb", Dflt::Null)], edges),
        FuncDef::ro("getFormCounts", &[], form_counts),
        FuncDef::ro("getPropArrayCount", &[Arg::req("propname"), Arg::opt("valu", Dflt::Undef)], |rt, this, args| {
            count(rt, this, &Counted::array(rt, &args.str(rt, 0)?)?, args.item(1))
        }),
        FuncDef::ro("getPropCount", &[Arg::req("propname"), Arg::opt("valu", Dflt::Undef)], |rt, this, args| {
            count(rt, this, &Counted::prop(rt, &args.str(rt, 0)?)?, args.item(1))
        }),
        FuncDef::ro("getPropValues", &[Arg::req("propname")], prop_values),
        FuncDef::ro(
            "getTagPropCount",
            &[Arg::req("tag"), Arg::req("propname"), Arg::opt("form", Dflt::Null), Arg::opt("valu", Dflt::Undef)],
            |rt, this, args| {
                super::util::req_tagprop(rt, &args.str(rt, 1)?)?;
                let counted = Counted::TagProp(args.opt_str(rt, 2)?, args.str(rt, 0)?, args.str(rt, 1)?);
                count(rt, this, &counted, args.item(3))
            },
        ),
        FuncDef::rw("insertChildFork", &[Arg::opt("name", Dflt::Null)], insert_child),
        FuncDef::rw("insertParentFork", &[Arg::opt("name", Dflt::Null)], insert_parent),
        FuncDef::rw("merge", &[Arg::opt("force", Dflt::Bool(false))], merge),
        FuncDef::ro("pack", &[], |rt, this, _| Ok(Item::stored(&this_obj(this)?.value(rt)?))),
        FuncDef::ro("repr", &[], repr),
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], set),
        quorum::METHODS[0],
        quorum::METHODS[1],
        quorum::METHODS[2],
        quorum::METHODS[3],
        quorum::METHODS[4],
        quorum::METHODS[5],
        quorum::METHODS[6],
        quorum::METHODS[7],
        quorum::METHODS[8],
        quorum::METHODS[9],
        FuncDef::rw("swapLayer", &[], swap_layer),
        FuncDef::rw("wipeLayer", &[], wipe_layer),
    ],
    getters: &[
        ("iden", |_, this| Ok(Item::from(&*this_obj(this)?.iden))),
        ("parent", |_, this| Ok(Item::from(this_obj(this)?.get("parent")))),
        ("triggers", |_, this| {
            let triggers = this_obj(this)?.get("triggers");
            Ok(Item::list(triggers.as_list().unwrap_or_default().iter().map(TriggerObj::of)))
        }),
        ("layers", |_, this| {
            let layers = this_obj(this)?.get("layers");
            Ok(Item::list(layers.as_list().unwrap_or_default().iter().map(LayerObj::of)))
        }),
    ],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF]);
    registry.add_lib(&LIB);
}

/// A view, with its record as it was when the object was made.
pub struct ViewObj {
    iden: Arc<str>,
    vdef: RwLock<Map>,
}

impl ViewObj {
    /// The object of a view.
    pub fn of(core: &Cortex, view: &graph::View) -> Item {
        Item::obj(ViewObj { iden: view.iden().clone(), vdef: RwLock::new(pack(core, view)) })
    }

    fn get(&self, key: &str) -> Value {
        self.vdef.read().get(key).cloned().unwrap_or_default()
    }

    /// The view itself.
    pub fn view(&self, rt: &Rt) -> Flow<Arc<graph::View>> {
        Ok(core(rt)?.stack.require_view(&self.iden)?)
    }
}

/// The view that a method of its object is called on.
pub fn view_of(rt: &Rt, this: &Item) -> Flow<Arc<graph::View>> {
    this_obj(this)?.view(rt)
}

impl StormObj for ViewObj {
    fn type_name(&self) -> &'static str {
        "view"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DEF)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.vdef.read().clone().into())
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::from(&*self.iden))
    }
}

/// A view as clients see it, with its triggers.
pub fn pack(core: &Cortex, view: &graph::View) -> Map {
    let triggers = core.triggers.list(view.iden());
    let triggers: Value = triggers.iter().map(|trigger| Value::from(trigger.pack(core.cell.auth()))).collect();
    core.stack.pack_view(view).with("triggers", triggers)
}

fn this_obj(this: &Item) -> Flow<&ViewObj> {
    match this.as_obj::<ViewObj>() {
        Some(view) => Ok(view),
        None => fail!("BadArg", mesg = "This is no view."),
    }
}

fn made(rt: &Rt, packed: &Map) -> Flow<Item> {
    let core = core(rt)?;
    let view = core.stack.require_view(packed.get_str("iden").unwrap_or_default())?;
    Ok(ViewObj::of(core, &view))
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (layers, name, world) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?, args.bool(rt, 2)?);
    confirm_gate(rt, &["view", "add"], None)?;
    for layer in layers.as_list().unwrap_or_default() {
        confirm_gate(rt, &["layer", "read"], layer.as_str())?;
    }
    let mut vdef = Map::new().with("creator", rt.user().iden()).with("layers", layers).with("worldreadable", world);
    if let Some(name) = name {
        vdef.insert("name", name);
    }
    let packed = core(rt)?.stack.add_view(vdef, &user(rt)?)?;
    made(rt, &packed)
}

fn del(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let iden = args.str(rt, 0)?;
    confirm_gate(rt, &["view", "del"], Some(&iden))?;
    core(rt)?.stack.del_view(&iden)?;
    Ok(Item::NULL)
}

fn get(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let core = core(rt)?;
    let view = match args.opt_str(rt, 0)? {
        Some(iden) => core.stack.require_view(&iden)?,
        None => this_view(rt)?,
    };
    Ok(ViewObj::of(core, &view))
}

fn list(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let core = core(rt)?;
    let mut views = core.stack.views();
    if args.bool(rt, 0)? {
        views.sort_by_key(|view| (depth(view), view.layers().len()));
    }
    Ok(Item::list(views.iter().map(|view| ViewObj::of(core, view))))
}

fn depth(view: &Arc<graph::View>) -> usize {
    let mut depth = 1;
    let mut at = view.parent();
    while let Some(view) = at {
        depth += 1;
        at = view.parent();
    }
    depth
}

fn add_node(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let (form, valu, props) = (args.str(rt, 0)?, args.prim(rt, 1)?, args.prim(rt, 2)?);
    let view = obj.view(rt)?;
    let layer = view.write_layer();
    rt.confirm(&["view", "read"], Some(&obj.iden))?;
    rt.confirm(&["node", "add", &form], Some(layer.iden()))?;
    let props = props.as_map().cloned().unwrap_or_default();
    for (name, _) in props.text_entries() {
        rt.confirm(&["node", "prop", "set", &format!("{form}:{name}")], Some(layer.iden()))?;
    }
    if obj.iden == *rt.snap().view_iden() {
        return Ok(Item::from(edit::add_node_with(rt, &form, &valu, &props)?));
    }
    edit::add_node_with(&scope_in(rt, &obj.iden, None)?, &form, &valu, &props)?;
    Ok(Item::NULL)
}

/// Applies edits in the form of the wire, with the triggers of the view.
fn add_node_edits(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let edits = args.prim(rt, 0)?;
    confirm_gate(rt, &["node"], Some(obj.view(rt)?.write_layer().iden()))?;
    let edits = graph::unpack_edits(&edits)
        .map_err(|error| err!("BadArg", mesg = format!("These are no node edits: {error}"), name = "edits"))?;
    let sub = scope_in(rt, &obj.iden, None)?;
    edit::apply(&sub, edits.into_iter().map(to_storm).collect())?;
    Ok(Item::NULL)
}

/// Edits of a layer as edits of the runtime.
/// An edit as the runtime has it.
pub fn to_storm(edit: graph::NodeEdit) -> NodeEdit {
    use graph::EditOp as Op;
    let ops = edit.edits.into_iter().map(|edit| match edit.op {
        Op::NodeAdd { valu, stor } => EditOp::NodeAdd(valu, stor),
        Op::NodeDel { old, stor } => EditOp::NodeDel(old, stor),
        Op::PropSet { prop, valu, old, stor } => EditOp::PropSet(prop, valu, old, stor),
        Op::PropDel { prop, old, stor } => EditOp::PropDel(prop, old, stor),
        Op::TagSet { tag, valu, old } => EditOp::TagSet(tag, valu, old),
        Op::TagDel { tag, old } => EditOp::TagDel(tag, old),
        Op::TagPropSet { tag, prop, valu, old, stor } => EditOp::TagPropSet(tag, prop, valu, old, stor),
        Op::TagPropDel { tag, prop, old, stor } => EditOp::TagPropDel(tag, prop, old, stor),
        Op::DataSet { name, valu, old } => EditOp::DataSet(name, valu, old),
        Op::DataDel { name, old } => EditOp::DataDel(name, old),
        Op::EdgeAdd { verb, n2 } => EditOp::EdgeAdd(verb, n2),
        Op::EdgeDel { verb, n2 } => EditOp::EdgeDel(verb, n2),
    });
    NodeEdit { buid: edit.buid, form: edit.form, ops: ops.collect() }
}

fn children(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let core = core(rt)?;
    let children = core.stack.children(&this_obj(this)?.iden);
    Ok(Item::Genr(myelin_storm::item::Genr::of(
        children.iter().map(|view| ViewObj::of(core, view)).collect::<Vec<_>>(),
    )))
}

fn detach(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let view = this_obj(this)?.view(rt)?;
    admin_or(rt, Some(view.iden()), "Only an admin of the view may detach it.")?;
    core(rt)?.stack.detach_view(&view)?;
    Ok(Item::NULL)
}

fn fork(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let name = args.prim(rt, 0)?;
    rt.confirm(&["view", "add"], None)?;
    rt.confirm(&["view", "read"], Some(&obj.iden))?;
    rt.confirm(&["view", "fork"], Some(&obj.iden))?;
    let ldef = Map::new().with("creator", rt.user().iden());
    let mut vdef = ldef.clone();
    if !name.is_null() {
        vdef.insert("name", name);
    }
    let packed = core(rt)?.stack.fork(&*obj.view(rt)?, ldef, vdef, &user(rt)?)?;
    made(rt, &packed)
}

fn insert_parent(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let name = args.opt_str(rt, 0)?;
    rt.req_admin(Some(&obj.iden), None)?;
    let view = obj.view(rt)?;
    let Some(parent) = view.parent() else {
        fail!("BadState", mesg = format!("The view {} is no fork: there is nothing above it.", obj.iden));
    };
    rt.confirm(&["view", "add"], None)?;
    rt.confirm(&["view", "read"], Some(parent.iden()))?;
    rt.confirm(&["view", "fork"], Some(parent.iden()))?;
    let packed = core(rt)?.stack.insert_fork(&view, "view:forkparent", name.as_deref(), &user(rt)?)?;
    made(rt, &packed)
}

fn insert_child(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let name = args.opt_str(rt, 0)?;
    rt.req_admin(Some(&obj.iden), None)?;
    rt.confirm(&["view", "add"], None)?;
    let packed = core(rt)?.stack.insert_fork(&*obj.view(rt)?, "view:forkchild", name.as_deref(), &user(rt)?)?;
    made(rt, &packed)
}

fn get_key(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let name = args.str(rt, 0)?;
    let name = if &*name == "nomerge" { "protected" } else { &*name };
    match this_obj(this)?.vdef.read().get(name) {
        Some(valu) => Ok(Item::stored(valu)),
        None => Ok(args.item(1).clone()),
    }
}

fn edges(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let verb = args.prim(rt, 0)?;
    confirm_gate(rt, &["view", "read"], Some(&obj.iden))?;
    let mut edges = obj.view(rt)?.edges(verb.as_str())?;
    Ok(genr(move || match edges.next().transpose()? {
        Some(row) => Ok(Some(tuple([row.n1.to_hex().into(), row.verb.into(), row.n2.to_hex().into()]))),
        None => Ok(None),
    }))
}

fn edge_verbs(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    confirm_gate(rt, &["view", "read"], Some(&obj.iden))?;
    Ok(Item::Genr(myelin_storm::item::Genr::of(
        verbs(&*obj.view(rt)?)?.into_iter().map(Item::from).collect::<Vec<_>>(),
    )))
}

/// The verbs in use in a view.
pub fn verbs(view: &graph::View) -> Flow<Vec<String>> {
    let mut seen = HashSet::new();
    let mut verbs = Vec::new();
    for layer in view.layers().iter() {
        verbs.extend(layer.verbs()?.into_iter().filter(|verb| seen.insert(verb.clone())));
    }
    Ok(verbs)
}

fn form_counts(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    confirm_gate(rt, &["view", "read"], Some(&obj.iden))?;
    Ok(dict(obj.view(rt)?.form_counts().into_iter().collect()))
}

fn count(rt: &Rt, this: &Item, counted: &Counted, valu: &Item) -> Flow<Item> {
    let obj = this_obj(this)?;
    rt.confirm(&["view", "read"], Some(&obj.iden))?;
    Ok(Item::from(counted.count(rt, &obj.view(rt)?.layers(), valu)?))
}

fn prop_values(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    rt.confirm(&["view", "read"], Some(&obj.iden))?;
    let model = rt.model();
    let prop = model.req_prop(&args.str(rt, 0)?)?.clone();
    let (form, name) = form_and_prop(&prop);
    let layers = obj.view(rt)?.layers();
    let mut walks = Vec::new();
    for layer in layers.iter() {
        walks.push(layer.valu_walk(form.as_deref(), name.as_deref(), prop.typ.stortype)?);
    }
    let mut heads = Vec::new();
    for walk in &mut walks {
        heads.push(walk.as_mut().map(graph::ValuWalk::next_valu).transpose()?.flatten());
    }
    let view = obj.view(rt)?;
    let by = match &name {
        Some(prop) => graph::LiftBy::Prop { form: form.clone(), prop: prop.clone() },
        None => graph::LiftBy::Form { form: form.clone().unwrap_or_default() },
    };
    Ok(genr(move || {
        loop {
            let best = heads.iter().flatten().map(|(indx, _)| indx.clone()).min();
            let Some(indx) = best else { return Ok(None) };
            let (mut valu, mut in_top) = (Value::Null, false);
            for (at, head) in heads.iter_mut().enumerate() {
                if head.as_ref().is_some_and(|(have, _)| *have == indx) {
                    let walk = walks[at].as_mut();
                    let next = walk.map(graph::ValuWalk::next_valu).transpose()?.flatten();
                    if let Some((_, have)) = std::mem::replace(head, next) {
                        valu = have;
                    }
                    in_top |= at == 0;
                }
            }
            if in_top || layers.len() == 1 || name.is_none() {
                return Ok(Some(Item::from(valu)));
            }
            // A value of a lower layer counts where some node still shows it.
            let cmpr = StorCmpr { op: "=", value: valu.clone(), stortype: prop.typ.stortype };
            let mut lift = view.lift(graph::Lift::by_valu(by.clone(), vec![cmpr]));
            if lift.next_buid()?.is_some() {
                return Ok(Some(Item::from(valu)));
            }
        }
    }))
}

fn repr(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let text = |map: &Map, key: &str, dflt: &str| map.get_str(key).unwrap_or(dflt).to_owned();
    let vdef = obj.vdef.read();
    let mut lines = vec![
        format!("View: {} (name: {})", obj.iden, text(&vdef, "name", "unnamed")),
        format!("  Creator: {}", text(&vdef, "creator", "None")),
        "  Layers:".to_owned(),
    ];
    for ldef in vdef.get("layers").and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_map) {
        let (iden, name) = (text(ldef, "iden", ""), text(ldef, "name", "unnamed"));
        let readonly = if ldef.get("readonly").is_some_and(Value::is_truthy) { "True" } else { "False" };
        lines.push(format!("    {iden}: {name} readonly: {readonly}"));
    }
    Ok(Item::from(lines.join("\n")))
}

fn set(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let view = obj.view(rt)?;
    let core = core(rt)?;
    let mut name = args.str(rt, 0)?;
    let valu = match &*name {
        "name" | "desc" | "parent" => {
            let valu = match args.item(1) {
                Item::Undef | Item::Val(Value::Null) => Value::Null,
                other => Value::from(other.tostr(rt)?),
            };
            if let (Some(parent), "parent") = (valu.as_str(), &*name) {
                core.stack.require_view(parent)?;
                rt.confirm(&["view", "read"], Some(parent))?;
                rt.confirm(&["view", "fork"], Some(parent))?;
            }
            valu
        }
        "quorum" => {
            let valu = args.prim(rt, 1)?;
            check_quorum(&valu)?;
            valu
        }
        "nomerge" | "protected" => {
            name = Arc::from("protected");
            Value::from(args.bool(rt, 1)?)
        }
        "layers" => return set_layers(rt, obj, &view, args.prim(rt, 1)?),
        _ => fail!("BadOptValu", mesg = format!("A view has no {name} that could be set.")),
    };
    rt.confirm(&["view", "set", &name], Some(&obj.iden))?;
    let retn = core.stack.set_view(&view, &name, valu)?;
    obj.vdef.write().insert(&*name, retn.clone());
    Ok(Item::stored(&retn))
}

fn check_quorum(valu: &Value) -> Flow<()> {
    let bad = |place: &str, want: &str| {
        let (name, mesg) = (format!("data.quorum{place}"), format!("The quorum of a view must {want}."));
        Err(err!("SchemaViolation", mesg = mesg, name = name).into())
    };
    if valu.is_null() {
        return Ok(());
    }
    let Some(quorum) = valu.as_map() else { return bad("", "be a dictionary") };
    let (Some(count), Some(roles)) = (quorum.get("count"), quorum.get("roles")) else {
        return bad("", "have the keys count and roles");
    };
    if count.as_i64().is_none_or(|count| count < 1) {
        return bad(".count", "have a count of at least 1");
    }
    let Some(roles) = roles.as_list() else { return bad(".roles", "have a list of roles") };
    let is_iden = |role: &Value| role.as_str().is_some_and(|role| myelin_value::Iden::from_hex(role).is_some());
    match roles.iter().position(|role| !is_iden(role)) {
        Some(at) => bad(&format!(".roles[{at}]"), "name its roles by their idens"),
        None => Ok(()),
    }
}

fn set_layers(rt: &Rt, obj: &ViewObj, view: &graph::View, layers: Value) -> Flow<Item> {
    let core = core(rt)?;
    for iden in layers.as_list().unwrap_or_default() {
        let iden = iden.as_str().unwrap_or_default();
        let Some(layer) = core.stack.layer(iden) else {
            fail!("NoSuchLayer", mesg = format!("There is no layer {iden}."));
        };
        rt.confirm(&["layer", "read"], Some(layer.iden()))?;
    }
    admin_or(rt, Some(&obj.iden), "Only an admin of the view may set its layers.")?;
    core.stack.set_view_layers(view, layers.as_list().unwrap_or_default())?;
    obj.vdef.write().insert("layers", layers);
    Ok(Item::NULL)
}

fn swap_layer(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let view = this_obj(this)?.view(rt)?;
    rt.req_admin(Some(view.iden()), None)?;
    rt.confirm(&["layer", "del"], Some(view.write_layer().iden()))?;
    core(rt)?.stack.swap_layer(&view, &user(rt)?)?;
    rt.snap().clear_cache();
    Ok(Item::NULL)
}

/// How many nodes are merged by one event.
const MERGE_BATCH: usize = 5;

fn merge(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let view = this_obj(this)?.view(rt)?;
    args.bool(rt, 0)?;
    let quorum = view.parent().and_then(|parent| parent.info_get("quorum")).is_some_and(|valu| !valu.is_null());
    if quorum {
        fail!("SynErr", mesg = format!("The parent of the view {} asks for votes before a merge.", view.iden()));
    }
    let parent = merge_allowed(rt, &view)?;
    let sub = scope_in(rt, parent.iden(), None)?;
    let mut walk = view.write_layer().sode_walk()?;
    let mut batch = Vec::new();
    while let Some(edits) = walk.next_edits()? {
        rt.tick()?;
        batch.extend(edits.into_iter().map(to_storm));
        if batch.len() >= MERGE_BATCH {
            edit::apply(&sub, std::mem::take(&mut batch))?;
        }
    }
    edit::apply(&sub, batch)?;
    rt.snap().clear_cache();
    Ok(Item::NULL)
}

fn merge_allowed(rt: &Rt, view: &Arc<graph::View>) -> Flow<Arc<graph::View>> {
    let refuse = |why: &str| err!("CantMergeView", mesg = format!("The view {} cannot be merged: {why}.", view.iden()));
    let parent = view.parent().ok_or_else(|| refuse("it is no fork"))?;
    if view.info_get("protected").is_some_and(|valu| valu.is_truthy()) {
        return Err(refuse("it is protected").into());
    }
    let target = parent.write_layer();
    if target.is_readonly() {
        fail!("ReadOnlyLayer", mesg = "The layer that the parent writes to is read-only.");
    }
    if !core(rt)?.stack.children(view.iden()).is_empty() {
        return Err(refuse("it has forks itself").into());
    }
    let user = user(rt)?;
    if !user.is_admin(Some(target.iden())) {
        layer_perms(rt, &user, &view.write_layer(), target.iden(), false)?;
    }
    Ok(parent)
}

/// Refuses who may not do, on a gate, to every part of a node what a layer holds of nodes: add it, or delete it.
fn layer_perms(rt: &Rt, user: &myelin_cell::User, layer: &Arc<graph::Layer>, gate: &str, delete: bool) -> Flow<()> {
    let verb = |adds: &'static str, dels: &'static str| if delete { dels } else { adds };
    let gate = Some(gate);
    let deep = |perm: &[&str]| user.allowed_or(perm, None, gate, true) == Some(true);
    if deep(&["node"]) {
        return Ok(());
    }
    let (nodes, props) = (["node", verb("add", "del")], ["node", "prop", verb("set", "del")]);
    let (tags, data) = (["node", "tag", verb("add", "del")], ["node", "data", verb("set", "pop")]);
    let edges = ["node", "edge", verb("add", "del")];
    let (all_nodes, all_props, all_tags) = (deep(&nodes), deep(&props), deep(&tags));
    let (all_data, all_edges) = (deep(&data), deep(&edges));
    if !all_nodes || !all_props {
        node_perms(rt, user, layer, (!all_nodes).then_some(nodes), (!all_props).then_some(delete), gate)?;
    }
    let confirm_tag = |tag: &str| {
        let perm: Vec<&str> = tags.iter().copied().chain(tag.split('.')).collect();
        user.confirm(&perm, gate)
    };
    if !all_tags {
        let mut found = layer.tag_props();
        found.retain(|(form, _, _)| form.is_some());
        found.sort_by_key(|(form, tag, name)| {
            encode(&Value::list([Value::from(form.clone()), Value::from(tag), Value::from(name)]))
        });
        for (form, tag, name) in found {
            if layer.tagprop_count(form.as_deref(), &tag, &name)? > 0 {
                confirm_tag(&tag)?;
            }
        }
    }
    if !all_data {
        let mut walk = layer.sode_walk()?;
        while let Some((buid, _)) = walk.next_sode()? {
            for name in layer.node_data_names(&buid)? {
                user.confirm(&[data[0], data[1], data[2], &name], gate)?;
            }
        }
    }
    if !all_edges {
        for verb in layer.verbs()? {
            user.confirm(&[edges[0], edges[1], edges[2], &verb], gate)?;
        }
    }
    if !all_tags {
        let mut walk = layer.sode_walk()?;
        while let Some((_, sode)) = walk.next_sode()? {
            let mut found: Vec<String> = Vec::new();
            sode.each_tag(|tag, _| found.push(tag.to_owned()))?;
            for tag in &found {
                let below = format!("{tag}.");
                if !found.iter().any(|other| other.starts_with(&below)) {
                    confirm_tag(tag)?;
                }
            }
        }
    }
    Ok(())
}

/// The part of [`layer_perms`] about nodes and their properties, in the order of the layer's table of names.
fn node_perms(
    rt: &Rt,
    user: &myelin_cell::User,
    layer: &Arc<graph::Layer>,
    nodes: Option<[&str; 2]>,
    props: Option<bool>,
    gate: Option<&str>,
) -> Flow<()> {
    let model = rt.model();
    let mut names = layer.form_props();
    names.sort_by_key(|(form, prop)| encode(&Value::list([Value::from(form.clone()), Value::from(prop.clone())])));
    for (form, prop) in names {
        let Some(form) = form else { continue };
        if layer.prop_count(Some(&form), prop.as_deref())? == 0 {
            continue;
        }
        match (prop, nodes, props) {
            (None, Some(nodes), _) => user.confirm(&[nodes[0], nodes[1], &form], gate)?,
            (Some(prop), _, Some(delete)) => {
                let prop = model.req_form(&form)?.req_prop(&prop)?;
                if delete {
                    rt.confirm_prop_del(prop, gate)?;
                } else {
                    rt.confirm_prop_set(prop, gate)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn wipe_layer(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let view = this_obj(this)?.view(rt)?;
    let layer = view.write_layer();
    let user = user(rt)?;
    if !user.is_admin(None) {
        layer_perms(rt, &user, &layer, layer.iden(), true)?;
    }
    let sub = scope_in(rt, view.iden(), None)?;
    let solo = super::util::solo(&layer)?;
    let mut walk = layer.sode_walk()?;
    while let Some(edit) = wipe_edit(&layer, &solo, &mut walk)? {
        rt.tick()?;
        edit::apply(&sub, vec![edit])?;
    }
    rt.snap().clear_cache();
    Ok(Item::NULL)
}

/// What removes everything that a layer holds of the next node.
fn wipe_edit(layer: &Arc<graph::Layer>, solo: &Arc<graph::View>, walk: &mut graph::SodeWalk) -> Flow<Option<NodeEdit>> {
    let (buid, form, rest) = {
        let Some((buid, sode)) = walk.next_sode()? else { return Ok(None) };
        let form: Arc<str> = Arc::from(sode.form()?.unwrap_or_default());
        let mut rest = Vec::new();
        sode.each_tagprop(|tag, name, valu, stor| {
            rest.push(EditOp::TagPropDel(Arc::from(tag), Arc::from(name), valu, stor));
        })?;
        sode.each_tag(|tag, valu| rest.push(EditOp::TagDel(Arc::from(tag), valu)))?;
        sode.each_prop(|name, valu, stor| rest.push(EditOp::PropDel(Arc::from(name), valu, stor)))?;
        if let Some((valu, stor)) = sode.valu()? {
            rest.push(EditOp::NodeDel(valu, stor));
        }
        (buid, form, rest)
    };
    let mut ops = Vec::new();
    for row in solo.edges_n1(&buid, None)? {
        let row = row?;
        ops.push(EditOp::EdgeDel(row.verb, row.n2));
    }
    for name in layer.node_data_names(&buid)? {
        ops.push(EditOp::DataDel(Arc::from(name), Value::Null));
    }
    ops.extend(rest);
    Ok(Some(NodeEdit { buid, form, ops }))
}
