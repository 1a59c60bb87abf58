//! `$lib.model.migration`: moving what is known of nodes from one to another.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_graph as graph;
use myelin_storm::edit::{Editor, node_data};
use myelin_storm::rt::{Shared, SubOpts, VarMap, var_map};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Node, Registry, Rt, Sink, Snap, fail};
use myelin_value::Value;

use super::fuse;
use super::util::core;

const NODES: &[Arg] = &[Arg::req("src"), Arg::req("dst")];
const NODES_OVER: &[Arg] = &[Arg::req("src"), Arg::req("dst"), Arg::opt("overwrite", Dflt::Bool(false))];

static LIB: LibDef = LibDef {
    path: "model.migration",
    funcs: &[
        FuncDef::rw("copyData", NODES_OVER, copy_data),
        FuncDef::rw("copyEdges", NODES, copy_edges),
        FuncDef::rw("copyExtProps", NODES, copy_ext_props),
        FuncDef::rw("copyTags", NODES_OVER, copy_tags),
        FuncDef::rw("fuse", NODES, fuse_nodes),
        FuncDef::rw(
            "loop",
            &[
                Arg::req("onview"),
                Arg::opt("onlayer", Dflt::Null),
                Arg::opt("readonly", Dflt::Bool(false)),
                Arg::opt("reverse", Dflt::Bool(false)),
            ],
            each_view,
        ),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
}

fn node<'a>(args: &'a Args, indx: usize, func: &str) -> Flow<&'a Node> {
    match args.item(indx).as_node() {
        Some(node) => Ok(node),
        None => {
            let which = if indx == 0 { "source" } else { "dest" };
            fail!("BadArg", mesg = format!("$lib.model.migration.{func}() {which} argument must be a node."))
        }
    }
}

pub(super) fn copy_data(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (src, dst, over) = (node(&args, 0, "copyData")?, node(&args, 1, "copyData")?, args.bool(rt, 2)?);
    let mut editor = Editor::new(rt);
    let buid = editor.load(dst)?;
    let have = rt.snap().view().data_names(&buid)?;
    for name in rt.snap().view().data_names(&src.buid())? {
        if !over && have.contains(&name) {
            continue;
        }
        rt.layer_confirm(&["node", "data", "set", &name])?;
        editor.set_data(buid, &name, &node_data(rt, src, &name)?.unwrap_or_default())?;
    }
    editor.finish()?;
    Ok(Item::NULL)
}

pub(super) fn copy_edges(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (src, dst) = (node(&args, 0, "copyEdges")?, node(&args, 1, "copyEdges")?);
    let (mut editor, mut verbs) = (Editor::new(rt), HashSet::new());
    let buid = editor.load(dst)?;
    let mut confirm = |verb: &Arc<str>| -> Flow<()> {
        if verbs.insert(verb.clone()) {
            rt.layer_confirm(&["node", "edge", "add", verb])?;
        }
        Ok(())
    };
    for row in rt.snap().view().edges_n1(&src.buid(), None)? {
        let (verb, n2) = row?;
        confirm(&verb)?;
        if rt.snap().node_by_buid(&n2)?.is_some() {
            editor.add_edge(buid, &verb, n2)?;
        }
    }
    for row in rt.snap().view().edges_n2(&src.buid(), None)? {
        let (verb, n1) = row?;
        confirm(&verb)?;
        if let Some(other) = rt.snap().node_by_buid(&n1)? {
            let other = editor.load(&other)?;
            editor.add_edge(other, &verb, buid)?;
        }
    }
    editor.finish()?;
    Ok(Item::NULL)
}

fn copy_ext_props(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (src, dst) = (node(&args, 0, "copyExtProps")?, node(&args, 1, "copyExtProps")?);
    let mut editor = Editor::new(rt);
    let buid = editor.load(dst)?;
    for (name, valu) in src.props() {
        if src.form().prop(&name).is_some_and(|prop| prop.is_ext) {
            editor.set(buid, &name, &valu)?;
        }
    }
    editor.finish()?;
    Ok(Item::NULL)
}

pub(super) fn copy_tags(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (src, dst, over) = (node(&args, 0, "copyTags")?, node(&args, 1, "copyTags")?, args.bool(rt, 2)?);
    let mut editor = Editor::new(rt);
    let buid = editor.load(dst)?;
    for (tag, valu) in src.tags() {
        let perm: Vec<&str> = ["node", "tag", "add"].into_iter().chain(tag.split('.')).collect();
        rt.layer_confirm(&perm)?;
        editor.add_tag(buid, &tag, &valu)?;
    }
    for (tag, name, valu) in src.tagprops() {
        if over || dst.tagprop(&tag, &name).is_none() {
            editor.set_tagprop(buid, &tag, &name, &valu)?;
        }
    }
    editor.finish()?;
    Ok(Item::NULL)
}

fn fuse_nodes(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    rt.req_admin(None, Some("$lib.model.migration.fuse() requires global admin."))?;
    let (src, dst) = (node(&args, 0, "fuse")?, node(&args, 1, "fuse")?);
    if src.form_name() != dst.form_name() {
        fail!("BadArg", mesg = "$lib.model.migration.fuse() requires src and dst to share the same form.");
    }
    if src.form().is_runt {
        fail!("IsRuntForm", mesg = "Computed nodes cannot be fused.", form = &**src.form_name());
    }
    if src.buid() == dst.buid() {
        rt.warn("$lib.model.migration.fuse() src and dst are the same node, skipping.")?;
        return Ok(Item::NULL);
    }
    let ndef = |node: &Node| (node.form_name().clone(), node.valu().clone());
    let outcome = fuse::fuse(core(rt)?, rt.norm_cx(), rt.user().iden(), ndef(src), ndef(dst))?;
    for mesg in outcome.warnings {
        rt.warn(mesg)?;
    }
    rt.snap().clear_cache();
    if !outcome.failed.is_empty() {
        let layers: Value = outcome.failed.iter().map(|(iden, _)| Value::from(iden)).collect();
        let all: Vec<String> = outcome.failed.iter().map(|(iden, error)| format!("{iden} ({error})")).collect();
        let mesg = format!("$lib.model.migration.fuse() failed to apply edits to some layers: {}", all.join(", "));
        return Err(err!("SynErr", mesg = mesg, layers = layers).into());
    }
    Ok(Item::NULL)
}

/// Hands on what a query says, and keeps what it did to itself.
struct Said(Arc<dyn Sink>);

impl Sink for Said {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        match kind {
            "print" | "warn" | "storm:fire" | "csv:row" => self.0.send(kind, info),
            _ => Ok(()),
        }
    }
}

fn run(rt: &Rt, text: &str, view: Option<&str>, vars: VarMap) -> Flow<()> {
    let query = rt.parse(text)?;
    let sub = match view {
        None => rt.beside(&query, vars)?,
        Some(view) => {
            let missing = || err!("NoSuchView", mesg = format!("There is no view {view}."), iden = view);
            let store = rt.host().view(view).ok_or_else(missing)?;
            let sink = Arc::new(Said(rt.shared().sink.clone()));
            let shared = Shared::new(sink, rt.shared().cancel.clone(), rt.shared().task.clone());
            let snap = Snap::new(rt.host().clone(), store, rt.user().clone(), shared);
            let empty = rt.sub(&rt.parse("")?, SubOpts { snap: Some(snap), funcscope: true, ..SubOpts::default() })?;
            empty.beside(&query, vars)?
        }
    };
    let mut genr = sub.execute()?;
    while genr.next()?.is_some() {
        sub.tick()?;
    }
    Ok(())
}

fn title(iden: &str, name: Option<Value>) -> String {
    match name.as_ref().and_then(Value::as_str) {
        Some(name) => format!("{iden} ({name})"),
        None => iden.to_owned(),
    }
}

fn depth(view: &Arc<graph::View>) -> (usize, usize) {
    let (mut depth, mut at) = (1, view.parent());
    while let Some(view) = at {
        depth += 1;
        at = view.parent();
    }
    (depth, view.layers().len())
}

/// Runs a query in every view, parents first, and another for every layer that is none's to write to.
fn each_view(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    rt.req_admin(None, Some("$lib.model.migration.loop() requires global admin."))?;
    let (Some(onview), onlayer) = (args.opt_str(rt, 0)?, args.opt_str(rt, 1)?) else {
        fail!("BadArg", mesg = "$lib.model.migration.loop() requires an onview query.");
    };
    let (readonly, reverse) = (args.bool(rt, 2)?, args.bool(rt, 3)?);
    rt.parse(&onview)?;
    let stack = &core(rt)?.stack;
    let (mut seen, mut written) = (HashSet::new(), HashSet::new());
    loop {
        let mut found = false;
        let mut views = stack.views();
        views.sort_by_key(depth);
        if reverse {
            views.reverse();
        }
        for view in views {
            if !seen.insert(view.iden().clone()) {
                continue;
            }
            found = true;
            let name = title(view.iden(), view.info_get("name"));
            if stack.view(view.iden()).is_none() {
                rt.warn(format!("View {name} was deleted before it could be migrated."))?;
                continue;
            }
            let layer = view.write_layer();
            written.insert(layer.iden().clone());
            let was_readonly = layer.is_readonly();
            if was_readonly && !readonly {
                rt.warn(format!("View {name} has a read-only write layer and was skipped."))?;
                continue;
            }
            if let Err(error) = run(rt, &onview, Some(view.iden()), VarMap::default()) {
                if stack.view(view.iden()).is_none() {
                    rt.warn(format!("View {name} was deleted while being migrated."))?;
                } else if error.isa("IsReadOnly") && !was_readonly && view.write_layer().is_readonly() {
                    rt.warn(format!("View {name} became read-only while being migrated."))?;
                } else {
                    return Err(error);
                }
            }
        }
        if let Some(onlayer) = &onlayer {
            let top = |iden: &Arc<str>| stack.views().iter().any(|view| view.write_layer().iden() == iden);
            for layer in stack.layers() {
                let iden = layer.iden();
                if seen.contains(iden) || written.contains(iden) || top(iden) {
                    continue;
                }
                seen.insert(iden.clone());
                found = true;
                let name = title(iden, layer.info_get("name"));
                let was_readonly = layer.is_readonly();
                if was_readonly && !readonly {
                    rt.warn(format!("Layer {name} is read-only and was skipped."))?;
                    continue;
                }
                if let Err(error) = run(rt, onlayer, None, var_map([("layer", Item::from(&**iden))])) {
                    if stack.layer(iden).is_none() {
                        rt.warn(format!("Layer {name} was deleted while being migrated."))?;
                    } else if error.isa("IsReadOnly") && !was_readonly && layer.is_readonly() {
                        rt.warn(format!("Layer {name} became read-only while being migrated."))?;
                    } else {
                        return Err(error);
                    }
                }
            }
        }
        if !found {
            return Ok(Item::NULL);
        }
    }
}
