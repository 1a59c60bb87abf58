//! `node`: the methods of nodes, `$node.props`, `$node.data`.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use myelin_model::types::py;
use myelin_value::{Buid, Map, Value};

use crate::ctl::Flow;
use crate::edit::{del_data, del_prop, edit_node, node_data, set_prop};
use crate::glob::tag_regex;
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::node::Node;
use crate::registry::Registry;
use crate::rt::Rt;

static DEF: TypeDef = TypeDef {
    name: "node",
    funcs: &[
        FuncDef::ro("form", &[], |_, this, _| Ok(Item::from(this_node(this)?.form_name()))),
        FuncDef::ro("iden", &[], |_, this, _| Ok(Item::from(this_node(this)?.iden()))),
        FuncDef::ro("ndef", &[], |_, this, _| Ok(Item::from(this_node(this)?.ndef_value()))),
        FuncDef::ro("value", &[], |_, this, _| Ok(Item::from(this_node(this)?.valu().clone()))),
        FuncDef::ro("repr", &[Arg::opt("name", Dflt::Null), Arg::opt("defv", Dflt::Null)], repr),
        FuncDef::ro("tags", &[Arg::opt("glob", Dflt::Null), Arg::opt("leaf", Dflt::Bool(false))], tags),
        FuncDef::ro("globtags", &[Arg::req("glob")], globtags),
        FuncDef::rw(
            "difftags",
            &[
                Arg::req("tags"),
                Arg::opt("prefix", Dflt::Null),
                Arg::opt("apply", Dflt::Bool(false)),
                Arg::opt("norm", Dflt::Bool(false)),
            ],
            difftags,
        ),
        FuncDef::ro("edges", &[Arg::opt("verb", Dflt::Null), Arg::opt("reverse", Dflt::Bool(false))], edges),
        FuncDef::rw("addEdge", &[Arg::req("verb"), Arg::req("iden")], add_edge),
        FuncDef::rw("delEdge", &[Arg::req("verb"), Arg::req("iden")], del_edge),
        FuncDef::ro("pack", &[Arg::opt("dorepr", Dflt::Bool(false))], pack),
        FuncDef::ro("isform", &[Arg::req("name")], isform),
        FuncDef::ro("getByLayer", &[], |_, this, _| Ok(Item::stored(&this_node(this)?.by_layer()))),
        FuncDef::ro("getStorNodes", &[], stor_nodes),
    ],
    getters: &[("props", props), ("data", data)],
    setters: &[],
};

/// Puts the table into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_type(&DEF);
    registry.add_objects(&[&PROPS, &DATA]);
}

fn this_node(this: &Item) -> Flow<&Node> {
    match this {
        Item::Node(node) => Ok(node),
        _ => crate::fail!("BadArg", mesg = "This is no node."),
    }
}

fn repr(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let node = this_node(this)?;
    match args.opt_str(rt, 0)? {
        None => Ok(Item::from(node.repr(rt)?)),
        Some(name) => match node.repr_prop(rt, &name)? {
            Some(repr) => Ok(Item::from(repr)),
            None => Ok(args.item(1).clone()),
        },
    }
}

fn tags(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let node = this_node(this)?;
    let tags = if args.bool(rt, 1)? { node.leaf_tags() } else { node.tags() };
    let Some(glob) = args.opt_str(rt, 0)? else {
        return Ok(Item::list(tags.into_iter().map(|(tag, _)| Item::from(tag))));
    };
    let regex = tag_regex(&glob)?;
    Ok(Item::list(tags.into_iter().filter(|(tag, _)| regex.is_match(tag)).map(|(tag, _)| Item::from(tag))))
}

/// The parts of tags that the asterisks of a pattern stand for.
fn globtags(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let glob = args.str(rt, 0)?;
    if glob.contains("***") {
        let mesg = format!("Tag globs may only be adjacent with one or two asterisks: {glob}");
        return Err(err!("BadArg", mesg = mesg).into());
    }
    let text = regex::escape(&glob).replace("\\*\\*", "(.+)").replace("\\*", "([^.]+?)");
    let Ok(regex) = regex::Regex::new(&format!("^{text}$")) else {
        crate::fail!("BadArg", mesg = format!("{glob} is no pattern of tags."));
    };
    let mut retn = Vec::new();
    for (tag, _) in this_node(this)?.tags() {
        let Some(found) = regex.captures(&tag) else { continue };
        let groups: Vec<Item> =
            found.iter().skip(1).map(|group| Item::from(group.map_or("", |group| group.as_str()))).collect();
        match groups.as_slice() {
            [] => {}
            [one] => retn.push(one.clone()),
            _ => retn.push(Item::tuple(groups)),
        }
    }
    Ok(Item::list(retn))
}

fn difftags(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let node = this_node(this)?;
    let mut want: Vec<Arc<str>> = Vec::new();
    let norm = args.bool(rt, 3)?;
    for item in args.item(0).tovec(rt)? {
        let text = item.tostr(rt)?;
        if norm {
            match rt.snap().tag_norm(&text) {
                Ok(norm) => want.push(Arc::from(norm.value.as_str().unwrap_or(&text))),
                Err(error) if error.is("BadTypeValu") => {}
                Err(error) => return Err(error.into()),
            }
        } else {
            want.push(text);
        }
    }
    let mut have: Vec<Arc<str>> = node.tags().into_iter().map(|(tag, _)| tag).collect();
    if let Some(prefix) = args.opt_str(rt, 1)? {
        let below = format!("{prefix}.");
        have.retain(|tag| tag.starts_with(&below));
        want = want.iter().map(|tag| Arc::from(format!("{prefix}.{tag}"))).collect();
    }
    let implied = |tag: &Arc<str>| want.iter().any(|other| other.starts_with(&format!("{tag}.")));
    let adds: Vec<Arc<str>> = want.iter().filter(|tag| !have.contains(tag)).cloned().collect();
    let dels: Vec<Arc<str>> = have.iter().filter(|tag| !want.contains(tag) && !implied(tag)).cloned().collect();
    if args.bool(rt, 2)? {
        for tag in &adds {
            let mut perm = vec!["node", "tag", "add"];
            perm.extend(tag.split('.'));
            rt.layer_confirm(&perm)?;
        }
        edit_node(rt, node, |editor, buid| {
            for tag in &adds {
                match editor.add_tag(buid, tag, &crate::edit::no_ival()) {
                    // What is no tag cannot be added: the others are.
                    Err(error) if error.isa("BadTypeValu") => {}
                    other => drop(other?),
                }
            }
            Ok(())
        })?;
        for tag in &dels {
            let mut perm = vec!["node", "tag", "del"];
            perm.extend(tag.split('.'));
            rt.layer_confirm(&perm)?;
            crate::edit::del_tag(rt, node, tag)?;
        }
    }
    let list = |tags: Vec<Arc<str>>| Item::list(tags.into_iter().map(Item::from));
    Ok(Item::dict([("adds", list(adds)), ("dels", list(dels))]))
}

fn edges(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let node = this_node(this)?;
    let (verb, reverse) = (args.opt_str(rt, 0)?, args.bool(rt, 1)?);
    let view = rt.snap().view();
    let mut edges = match reverse {
        true => view.edges_n2(&node.buid(), verb.as_deref())?,
        false => view.edges_n1(&node.buid(), verb.as_deref())?,
    };
    Ok(Item::Genr(Genr::from_fn(move || {
        let Some((verb, other)) = edges.next().transpose()? else { return Ok(None) };
        Ok(Some(Item::from(Value::list([Value::from(verb), Value::from(other.to_hex())]))))
    })))
}

fn edge_args(rt: &Rt, this: &Item, args: &Args, what: &str) -> Flow<(Arc<str>, Buid)> {
    let (verb, iden) = (args.str(rt, 0)?, args.item(1));
    let buid = match iden {
        Item::Node(node) => Some(node.buid()),
        other => match other.toprim(rt)? {
            Value::Bytes(byts) => Buid::from_slice(&byts),
            valu => valu.as_str().and_then(Buid::from_hex),
        },
    };
    rt.layer_confirm(&["node", "edge", what, &verb])?;
    let node = this_node(this)?;
    if node.form().is_runt {
        let mesg = format!("Edges cannot be used with runt nodes: {}", node.form_name());
        return Err(err!("IsRuntForm", mesg = mesg, form = node.form_name()).into());
    }
    match buid {
        Some(buid) => Ok((verb, buid)),
        None => crate::fail!("BadCast", mesg = format!("Invalid buid valu: {}", iden.torepr(rt, true)?)),
    }
}

fn add_edge(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (verb, other) = edge_args(rt, this, &args, "add")?;
    edit_node(rt, this_node(this)?, |editor, buid| editor.add_edge(buid, &verb, other).map(drop))?;
    Ok(Item::NULL)
}

fn del_edge(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (verb, other) = edge_args(rt, this, &args, "del")?;
    edit_node(rt, this_node(this)?, |editor, buid| editor.del_edge(buid, &verb, other).map(drop))?;
    Ok(Item::NULL)
}

fn pack(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (ndef, info) = this_node(this)?.pack(rt, args.bool(rt, 0)?)?;
    Ok(Item::stored(&Value::list([ndef, Value::from(info)])))
}

fn isform(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let node = this_node(this)?;
    let names = match args.item(0).members() {
        Some(items) => items,
        None => vec![args.item(0).clone()],
    };
    for name in names {
        if *name.tostr(rt)? == **node.form_name() {
            return Ok(Item::from(true));
        }
    }
    Ok(Item::from(false))
}

fn stor_nodes(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let sodes = rt.snap().view().stor_nodes(&this_node(this)?.buid())?;
    Ok(Item::stored(&Value::list(sodes)))
}

fn props(_rt: &Rt, this: &Item) -> Flow<Item> {
    Ok(Item::obj(NodeProps(this_node(this)?.clone())))
}

fn data(_rt: &Rt, this: &Item) -> Flow<Item> {
    Ok(Item::obj(NodeData(this_node(this)?.clone())))
}

/// `$node.props`
pub struct NodeProps(pub Node);

static PROPS: TypeDef = TypeDef {
    name: "node:props",
    funcs: &[
        FuncDef::ro("get", &[Arg::req("name")], |rt, this, args| {
            let name = args.str(rt, 0)?;
            Ok(Item::from(this_props(this)?.get(&name)))
        }),
        FuncDef::rw("set", &[Arg::req("prop"), Arg::req("valu")], |rt, this, mut args| {
            let valu = args.take(1);
            NodeProps(this_props(this)?.clone()).setitem(rt, args.item(0), valu)?;
            Ok(Item::from(true))
        }),
        FuncDef::ro("list", &[], |_, this, _| {
            let props = this_props(this)?.props();
            Ok(Item::list(props.into_iter().map(|(name, valu)| Item::from(Value::list([Value::from(name), valu])))))
        }),
    ],
    getters: &[],
    setters: &[],
};

fn this_props(this: &Item) -> Flow<&Node> {
    match this.as_obj::<NodeProps>() {
        Some(props) => Ok(&props.0),
        None => crate::fail!("BadArg", mesg = "These are no properties of a node."),
    }
}

impl StormObj for NodeProps {
    fn type_name(&self) -> &'static str {
        "node:props"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&PROPS)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name.tostr(rt)?;
        let Some(valu) = self.0.get(&name) else { return Ok(Some(Item::NULL)) };
        let prop = self.0.form().prop(&name);
        Ok(Some(prop.map_or(Item::Val(valu.clone()), |prop| crate::expr::to_storm(prop, valu))))
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let name = name.tostr(rt)?;
        let Some(prop) = self.0.form().prop(&name) else {
            let form = self.0.form_name();
            let mesg = format!("No prop {form}:{name}");
            return Err(err!("NoSuchProp", mesg = mesg, name = name, form = form).into());
        };
        if matches!(valu, Item::Undef) {
            rt.layer_confirm(&["node", "prop", "del", &prop.full])?;
            return del_prop(rt, &self.0, &name).map(drop);
        }
        let valu = valu.toprim(rt)?;
        rt.layer_confirm(&["node", "prop", "set", &prop.full])?;
        set_prop(rt, &self.0, &name, &valu).map(drop)
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        let items = self.0.props().into_iter();
        let items: Vec<Item> =
            items.map(|(name, valu)| Item::tuple(vec![Item::from(name), Item::stored(&valu)])).collect();
        Ok(Genr::of(items))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.props().into_iter().map(|(name, valu)| (Value::from(name), valu)).collect::<Map>().into())
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        Ok(format!("node:props: {}", py::str_text(&self.value(rt)?)))
    }
}

/// `$node.data`
pub struct NodeData(pub Node);

static DATA: TypeDef = TypeDef {
    name: "node:data",
    funcs: &[
        FuncDef::ro("has", &[Arg::req("name")], |rt, this, args| {
            let (node, name) = (this_data(this)?, args.str(rt, 0)?);
            Ok(Item::from(node_data(rt, node, &name)?.is_some()))
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, this, args| {
            let (node, name) = (this_data(this)?, args.str(rt, 0)?);
            Ok(node_data(rt, node, &name)?.as_ref().map_or(Item::NULL, Item::stored))
        }),
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], |rt, this, args| {
            let (node, name) = data_args(rt, this, &args, "set")?;
            if args.item(1).holds_set() {
                crate::fail!("MustBeJsonSafe", mesg = "A set cannot be kept as node data: make it a list.");
            }
            let valu = args.prim(rt, 1)?;
            edit_node(rt, node, |editor, buid| editor.set_data(buid, &name, &valu))?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("pop", &[Arg::req("name")], |rt, this, args| {
            let (node, name) = data_args(rt, this, &args, "pop")?;
            Ok(del_data(rt, node, &name)?.as_ref().map_or(Item::NULL, Item::stored))
        }),
        FuncDef::ro("list", &[], |rt, this, _| {
            let node = this_data(this)?;
            let mut retn = Vec::new();
            for name in rt.snap().view().data_names(&node.buid())? {
                let valu = node_data(rt, node, &name)?.unwrap_or_default();
                retn.push(Item::from(Value::list([Value::from(name), valu])));
            }
            Ok(Item::list(retn))
        }),
        FuncDef::rw("load", &[Arg::req("name")], |rt, this, args| {
            let (node, name) = (this_data(this)?, args.str(rt, 0)?);
            let valu = node_data(rt, node, &name)?.unwrap_or_default();
            node.apply(&crate::store::EditOp::DataSet(name, valu, Value::Null), rt.snap().layer_arc());
            Ok(Item::NULL)
        }),
        FuncDef::ro("cacheget", &[Arg::req("name"), Arg::opt("asof", Dflt::Str("now"))], cacheget),
        FuncDef::rw("cacheset", &[Arg::req("name"), Arg::req("valu")], cacheset),
    ],
    getters: &[],
    setters: &[],
};

fn this_data(this: &Item) -> Flow<&Node> {
    match this.as_obj::<NodeData>() {
        Some(data) => Ok(&data.0),
        None => crate::fail!("BadArg", mesg = "This is no node data."),
    }
}

fn data_args<'a>(rt: &Rt, this: &'a Item, args: &Args, what: &str) -> Flow<(&'a Node, Arc<str>)> {
    let name = args.str(rt, 0)?;
    rt.layer_confirm(&["node", "data", what, &name])?;
    Ok((this_data(this)?, name))
}

fn cacheget(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (node, name) = (this_data(this)?, args.str(rt, 0)?);
    let Some(envl) = node_data(rt, node, &name)? else { return Ok(Item::NULL) };
    let time = rt.model().req_type("time")?.norm(&rt.norm_cx(), &args.prim(rt, 1)?)?.value;
    let tick = envl.get("asof").and_then(Value::as_i64).unwrap_or_default();
    if time.as_i64().is_some_and(|time| time <= tick) {
        return Ok(envl.get("data").map_or(Item::NULL, Item::stored));
    }
    Ok(Item::NULL)
}

fn cacheset(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (node, name) = data_args(rt, this, &args, "set")?;
    let envl = Map::new().with("asof", crate::edit::now_ms(rt)).with("data", args.prim(rt, 1)?);
    let envl = Value::from(envl);
    edit_node(rt, node, |editor, buid| editor.set_data(buid, &name, &envl))?;
    Ok(Item::NULL)
}

impl StormObj for NodeData {
    fn type_name(&self) -> &'static str {
        "node:data"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DATA)
    }

    fn iter(&self, rt: &Rt) -> Flow<Genr> {
        let mut items = Vec::new();
        for name in rt.snap().view().data_names(&self.0.buid())? {
            let valu = node_data(rt, &self.0, &name)?.unwrap_or_default();
            items.push(Item::tuple(vec![Item::from(name), Item::stored(&valu)]));
        }
        Ok(Genr::of(items))
    }
}
