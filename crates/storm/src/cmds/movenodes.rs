//! `movenodes`: what layers of a view have of a node, moved into one of them.
//!
//! The edits go to the layers themselves: no triggers fire and no messages tell of them.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_graph::{EditOp, Layer, NodeEdit, Sode, View};
use myelin_model::StorType;
use myelin_model::types::py;
use myelin_value::{Map, Value};

use super::lift::{graph_view, layer_view};
use super::{ArgDef, CmdCx, CmdDef, Nargs};
use crate::ctl::Flow;
use crate::edit::{no_ival, now_ms};
use crate::node::Node;
use crate::ops::{NodeGenr, from_fn};
use crate::registry::Registry;
use crate::rt::Rt;

/// Puts the command of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&MOVENODES);
}

static MOVENODES: CmdDef = CmdDef {
    name: "movenodes",
    descr: "Move what layers have of the nodes into another layer, or show what that would do.\n\n\
        Where layers differ, the first of them counts, in the order of the view or in that of --precedence.\n\n\
        Examples:\n\n    // Into the top layer\n    ou:org#mine | movenodes\n    ou:org#mine | movenodes --apply\n\n    \
        // From the lowest layer into the top one\n    $layers = $lib.view.get().layers\n    \
        ou:org#mine | movenodes --apply --srclayers $layers.\"-1\".iden --destlayer $layers.0.iden",
    args: &[
        ArgDef::flag(&["--apply"], "Do it."),
        ArgDef::opt(&["--srclayers"], "The layers to move from; all but the top one by default.").nargs(Nargs::Many),
        ArgDef::opt(&["--destlayer"], "The layer to move to; the top one by default."),
        ArgDef::opt(&["--precedence"], "All these layers, those first that count first.").nargs(Nargs::Many),
    ],
    readonly: false,
    run: movenodes,
};

struct Source {
    layer: Arc<Layer>,
    view: Arc<View>,
    is_dest: bool,
}

struct Move {
    rt: Rt,
    dest: Arc<str>,
    apply: bool,
    /// The layers from and to which is moved, those first that count first.
    layers: Vec<Source>,
}

fn no_layer(iden: &str, what: &str) -> crate::ctl::Ctl {
    let mesg = format!("No layer with iden {iden} in this view, {what}.");
    myelin_error::err!("BadOperArg", mesg = mesg, layr = iden).into()
}

fn plan(cx: &CmdCx) -> Flow<Move> {
    let (rt, opts) = (cx.rt(), cx.opts());
    let all = graph_view(rt)?.layers();
    if all.len() < 2 {
        crate::fail!("StormRuntimeError", mesg = "You may only move nodes in views with multiple layers.");
    }
    let has = |iden: &str| all.iter().any(|layer| **layer.iden() == *iden);
    let texts = |name: &str| -> Flow<Vec<Arc<str>>> { opts.list(name).iter().map(|item| item.tostr(rt)).collect() };
    let mut sources = texts("srclayers")?;
    if let Some(iden) = sources.iter().find(|iden| !has(iden)) {
        return Err(no_layer(iden, "cannot move nodes"));
    }
    if sources.is_empty() {
        sources = all.iter().skip(1).map(|layer| layer.iden().clone()).collect();
    }
    let dest = opts.opt_str(rt, "destlayer")?.filter(|iden| !iden.is_empty());
    let dest = dest.unwrap_or_else(|| all[0].iden().clone());
    if !has(&dest) {
        return Err(no_layer(&dest, "cannot move nodes"));
    }
    if sources.contains(&dest) {
        let mesg = format!("Source layer {dest} cannot also be the destination layer.");
        crate::fail!("StormRuntimeError", mesg = mesg);
    }
    let mut order: Vec<Arc<str>> = all.iter().map(|layer| layer.iden().clone()).collect();
    let wanted = texts("precedence")?;
    if !wanted.is_empty() {
        let mut left: Vec<Arc<str>> = sources.iter().cloned().chain([dest.clone()]).collect();
        for iden in &wanted {
            if !has(iden) {
                return Err(no_layer(iden, "cannot be used to specify precedence"));
            }
            let Some(at) = left.iter().position(|have| have == iden) else {
                let mesg = format!("Layer {iden} in precedence is not in the set of source/destination layers.");
                crate::fail!("StormRuntimeError", mesg = mesg, layr = iden);
            };
            left.remove(at);
        }
        if !left.is_empty() {
            let mesg = "Every source layer and the destination layer must stand in the precedence.";
            crate::fail!("BadOperArg", mesg = mesg, layrlist = Value::list(left.iter().map(Value::from)));
        }
        order = wanted;
    }
    let mut layers = Vec::new();
    for iden in order.iter().filter(|iden| **iden == dest || sources.contains(iden)) {
        let Some(layer) = all.iter().find(|layer| layer.iden() == iden) else { continue };
        layers.push(Source { layer: layer.clone(), view: layer_view(layer)?, is_dest: *iden == dest });
    }
    Ok(Move { rt: rt.clone(), dest, apply: opts.flag("apply"), layers })
}

fn movenodes(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("movenodes arguments must be runtsafe.")?;
    let plan = plan(&cx)?;
    Ok(from_fn(move || {
        while let Some((node, path)) = input.next()? {
            plan.rt.tick()?;
            plan.node(&node)?;
            plan.rt.snap().forget(&node.buid());
            if let Some(node) = plan.rt.snap().node_by_buid(&node.buid())? {
                return Ok(Some((node, path)));
            }
        }
        Ok(None)
    }))
}

/// The edits of one node: what is added to the destination, what is taken out of each other layer.
#[derive(Default)]
struct Edits {
    adds: Vec<EditOp>,
    subs: IndexMap<Arc<str>, Vec<EditOp>>,
    /// The lines that say so.
    lines: Vec<String>,
}

impl Edits {
    fn sub(&mut self, layer: &Layer, op: EditOp) {
        self.subs.entry(layer.iden().clone()).or_default().push(op);
    }
}

/// Values which grow together instead of replacing each other.
fn is_merged(stor: StorType) -> bool {
    [StorType::IVAL, StorType::MINTIME, StorType::MAXTIME].contains(&stor)
}

impl Move {
    fn node(&self, node: &Node) -> Flow<()> {
        let mut sodes = Vec::new();
        for source in &self.layers {
            let sode = source.layer.sode(&node.buid())?.map(|byts| Sode::decode(&byts)).transpose()?;
            sodes.push((source, sode.unwrap_or_default()));
        }
        if self.apply {
            sodes
                .iter()
                .filter(|(source, _)| !source.is_dest)
                .try_for_each(|(source, sode)| self.check(node, source, sode))?;
        }
        let mut edits = Edits::default();
        let mut dels = Vec::new();
        let head = |verb: &str| format!("{verb} {} {}", node.iden(), node.form_name());
        for (source, sode) in sodes.iter().filter(|(source, _)| !source.is_dest) {
            let Some((valu, stor)) = sode.valu() else { continue };
            let repr = node.repr_text(&self.rt)?;
            edits.lines.push(format!("{} {} = {repr}", self.dest, head("add")));
            edits.lines.push(format!("{} {} = {repr}", source.layer.iden(), head("delete")));
            edits.adds.push(EditOp::NodeAdd { valu: valu.clone(), stor: *stor });
            dels.push((source, EditOp::NodeDel { old: valu.clone(), stor: *stor }));
        }
        self.props(node, &sodes, &mut edits)?;
        self.tags(node, &sodes, &mut edits)?;
        self.data(node, &mut edits)?;
        self.edges(node, &mut edits)?;
        if !self.apply {
            return edits.lines.into_iter().try_for_each(|line| self.rt.printf(line));
        }
        let meta = Value::from(Map::new().with("user", self.rt.user().iden()).with("time", now_ms(&self.rt)));
        let save = |layer: &Layer, ops: Vec<EditOp>| -> Flow<()> {
            if !ops.is_empty() {
                layer.save_edits(&[NodeEdit::new(node.buid(), node.form_name().clone(), ops)], &meta)?;
            }
            Ok(())
        };
        for source in self.layers.iter().filter(|source| source.is_dest) {
            save(&source.layer, std::mem::take(&mut edits.adds))?;
        }
        for source in &self.layers {
            save(&source.layer, edits.subs.shift_remove(source.layer.iden()).unwrap_or_default())?;
        }
        dels.into_iter().try_for_each(|(source, op)| save(&source.layer, vec![op]))
    }

    fn props(&self, node: &Node, sodes: &[(&Source, Sode)], edits: &mut Edits) -> Flow<()> {
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        for (source, sode) in sodes {
            for (name, (valu, stor)) in sode.props() {
                let repr = match node.form().prop(name) {
                    Some(prop) => py::str_text(&prop.typ.repr(&self.rt.norm_cx(), valu)?),
                    None => py::repr_text(valu),
                };
                let what = format!("{} {}:{name} = {repr}", node.iden(), node.form_name());
                let fresh = seen.insert(name.clone());
                if source.is_dest {
                    continue;
                }
                if fresh || is_merged(*stor) {
                    edits.lines.push(format!("{} set {what}", self.dest));
                    let (prop, valu) = (name.clone(), valu.clone());
                    edits.adds.push(EditOp::PropSet { prop, valu, old: Value::Null, stor: *stor });
                }
                edits.lines.push(format!("{} delete {what}", source.layer.iden()));
                edits.sub(&source.layer, EditOp::PropDel { prop: name.clone(), old: Value::Null, stor: *stor });
            }
        }
        Ok(())
    }

    fn tags(&self, node: &Node, sodes: &[(&Source, Sode)], edits: &mut Edits) -> Flow<()> {
        let ival = self.rt.model().req_type("ival")?.clone();
        let mut seen: HashSet<(Arc<str>, Arc<str>)> = HashSet::new();
        let head = format!("{} {}", node.iden(), node.form_name());
        for (source, sode) in sodes.iter().filter(|(source, _)| !source.is_dest) {
            for (tag, valu) in sode.tags() {
                let mut what = format!("{head}#{tag}");
                if !valu.py_eq(&no_ival()) {
                    what.push_str(&format!(" = {}", py::str_text(&ival.repr(&self.rt.norm_cx(), valu)?)));
                }
                edits.lines.push(format!("{} set {what}", self.dest));
                edits.lines.push(format!("{} delete {what}", source.layer.iden()));
                edits.adds.push(EditOp::TagSet { tag: tag.clone(), valu: valu.clone(), old: Value::Null });
                edits.sub(&source.layer, EditOp::TagDel { tag: tag.clone(), old: Value::Null });
            }
        }
        for (source, sode) in sodes {
            for (tag, props) in sode.tagprops() {
                for (prop, (valu, stor)) in props {
                    let fresh = seen.insert((tag.clone(), prop.clone()));
                    if source.is_dest {
                        continue;
                    }
                    let (tag, prop, stor) = (tag.clone(), prop.clone(), *stor);
                    let what = format!("{head}#{tag}:{prop} = {}", py::repr_text(valu));
                    if fresh || is_merged(stor) {
                        edits.lines.push(format!("{} set {what}", self.dest));
                        let (tag, prop, valu) = (tag.clone(), prop.clone(), valu.clone());
                        edits.adds.push(EditOp::TagPropSet { tag, prop, valu, old: Value::Null, stor });
                    }
                    edits.lines.push(format!("{} delete {what}", source.layer.iden()));
                    edits.sub(&source.layer, EditOp::TagPropDel { tag, prop, old: Value::Null, stor });
                }
            }
        }
        Ok(())
    }

    fn data(&self, node: &Node, edits: &mut Edits) -> Flow<()> {
        let mut seen = HashSet::new();
        for source in &self.layers {
            for name in source.layer.node_data_names(&node.buid())? {
                let fresh = seen.insert(name.clone());
                if source.is_dest {
                    continue;
                }
                let what = format!("{} {} DATA {name}", node.iden(), node.form_name());
                let name: Arc<str> = Arc::from(name);
                if fresh {
                    edits.lines.push(format!("{} set {what}", self.dest));
                    if let Some(valu) = source.layer.node_data(&node.buid(), &name)? {
                        edits.adds.push(EditOp::DataSet { name: name.clone(), valu, old: Value::Null });
                    }
                }
                edits.lines.push(format!("{} delete {what}", source.layer.iden()));
                edits.sub(&source.layer, EditOp::DataDel { name, old: Value::Null });
            }
        }
        Ok(())
    }

    fn edges(&self, node: &Node, edits: &mut Edits) -> Flow<()> {
        for source in self.layers.iter().filter(|source| !source.is_dest) {
            for edge in source.view.edges_n1(&node.buid(), None)? {
                let edge = edge?;
                let what = format!("{} {} +({})> {}", node.iden(), node.form_name(), edge.verb, edge.n2.to_hex());
                edits.lines.push(format!("{} add {what}", self.dest));
                edits.lines.push(format!("{} delete {what}", source.layer.iden()));
                edits.adds.push(EditOp::EdgeAdd { verb: edge.verb.clone(), n2: edge.n2 });
                edits.sub(&source.layer, EditOp::EdgeDel { verb: edge.verb, n2: edge.n2 });
            }
        }
        Ok(())
    }

    /// Refuses a node of which the user may not delete everything here or add everything there.
    fn check(&self, node: &Node, source: &Source, sode: &Sode) -> Flow<()> {
        let both = |del: &[&str], add: &[&str]| -> Flow<()> {
            self.rt.confirm(del, Some(source.layer.iden()))?;
            self.rt.confirm(add, Some(&self.dest))
        };
        if sode.valu().is_some() {
            both(&["node", "del", node.form_name()], &["node", "add", node.form_name()])?;
        }
        for name in sode.props().keys() {
            if let Some(prop) = node.form().prop(name) {
                both(&["node", "prop", "del", &prop.full], &["node", "prop", "set", &prop.full])?;
            }
        }
        for tag in sode.tags().keys().chain(sode.tagprops().keys()) {
            let perm = |what| ["node", "tag", what].into_iter().chain(tag.split('.')).collect::<Vec<&str>>();
            both(&perm("del"), &perm("add"))?;
        }
        for name in source.layer.node_data_names(&node.buid())? {
            both(&["node", "data", "pop", &name], &["node", "data", "set", &name])?;
        }
        for edge in source.view.edges_n1(&node.buid(), None)? {
            let verb = edge?.verb;
            both(&["node", "edge", "del", &verb], &["node", "edge", "add", &verb])?;
        }
        Ok(())
    }
}
