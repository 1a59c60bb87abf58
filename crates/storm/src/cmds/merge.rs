//! `merge` and `copyto`: nodes from a fork into its parent, or from one view into another.
//!
//! The parent is written through a runtime of its own, of which only warnings are heard, so that its rules and triggers
//! apply; what was merged is then taken out of the fork's top layer.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_graph as graph;
use myelin_model::types::py;
use myelin_model::{NormInfo, Prop};
use myelin_value::{Buid, Map, Value};

use super::exec::{other_snap, req_view};
use super::lift::{graph_view, layer_nodes, layer_view};
use super::{ArgDef, CmdCx, CmdDef, Nargs};
use crate::ctl::{Ctl, Flow};
use crate::edit::{Editor, apply_meta, no_ival, node_data, now_ms};
use crate::glob::TagGlobs;
use crate::item::{Dflt, Item};
use crate::node::Node;
use crate::ops::{NodeGenr, each, from_fn};
use crate::registry::Registry;
use crate::rt::{Rt, SubOpts};
use crate::store::{EditOp, NodeEdit, View};

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&MERGE);
    registry.add_cmd(&COPYTO);
}

static MERGE: CmdDef = CmdDef {
    name: "merge",
    descr: "Merge nodes of a fork into its parent, or show what that would do.\n\n\
        Tags are given as patterns: * is one level, ** is any number. With --wipe, what cannot be merged is lost.\n\n\
        Examples:\n\n    // Show it, then do it\n    inet:fqdn#mine | merge\n    inet:fqdn#mine | merge --apply\n\n    \
        // Everything that was changed, but only some tags\n    merge --diff --apply --only-tags --include-tags verdict.**",
    args: &[
        ArgDef::flag(&["--apply"], "Do it."),
        ArgDef::flag(&["--wipe"], "Give the fork a fresh layer afterwards."),
        ArgDef::flag(&["--no-tags"], "Leave tags and syn:tag nodes."),
        ArgDef::flag(&["--only-tags"], "Only merge tags and syn:tag nodes."),
        ArgDef::opt(&["--include-tags"], "Only merge these tags.").nargs(Nargs::Many).dflt(Dflt::List),
        ArgDef::opt(&["--exclude-tags"], "Leave these tags.").nargs(Nargs::Many).dflt(Dflt::List),
        ArgDef::opt(&["--include-props"], "Only merge these properties.").nargs(Nargs::Many).dflt(Dflt::List),
        ArgDef::opt(&["--exclude-props"], "Leave these properties.").nargs(Nargs::Many).dflt(Dflt::List),
        ArgDef::flag(&["--diff"], "Merge everything that was changed in the fork."),
    ],
    readonly: false,
    run: merge,
};

/// Which names are left out: those that are listed, or those that are not.
enum Filter<T> {
    None,
    Only(T),
    Without(T),
}

impl<T> Filter<T> {
    fn new(only: Option<T>, without: Option<T>) -> Filter<T> {
        match (only, without) {
            (Some(only), _) => Filter::Only(only),
            (None, Some(without)) => Filter::Without(without),
            (None, None) => Filter::None,
        }
    }

    fn omits(&self, mut has: impl FnMut(&T) -> Flow<bool>) -> Flow<bool> {
        match self {
            Filter::None => Ok(false),
            Filter::Only(names) => Ok(!has(names)?),
            Filter::Without(names) => has(names),
        }
    }
}

fn texts(rt: &Rt, items: Vec<Item>) -> Flow<Option<Vec<Arc<str>>>> {
    let texts: Flow<Vec<Arc<str>>> = items.iter().map(|item| item.tostr(rt)).collect();
    Ok(Some(texts?).filter(|texts| !texts.is_empty()))
}

/// A runtime on another view with this one's user, of which only warnings are heard.
fn beside_in(rt: &Rt, view: View, kinds: &'static [&'static str]) -> Flow<Rt> {
    let snap = other_snap(rt, view, rt.user().clone(), kinds);
    let query = rt.parse("")?;
    let sub = rt.sub(&query, SubOpts { snap: Some(snap), ..SubOpts::default() })?;
    Ok(sub)
}

/// What a merge is to do, and where.
struct Merge {
    rt: Rt,
    below: Rt,
    layer: Arc<graph::Layer>,
    top: Arc<graph::View>,
    view: Arc<graph::View>,
    under: Arc<str>,
    tags: Filter<Vec<Arc<str>>>,
    globs: TagGlobs,
    props: Filter<HashSet<Arc<str>>>,
    apply: bool,
    wipe: bool,
    no_tags: bool,
    only_tags: bool,
    checks: bool,
}

fn merge(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let (rt, opts) = (cx.rt().clone(), cx.opts());
    let view = graph_view(&rt)?;
    let (Some(parent), [layer, under, ..]) = (view.parent(), &*view.layers()) else {
        crate::fail!("CantMergeView", mesg = "You may only merge nodes in forked views");
    };
    let wipe = opts.flag("wipe");
    if wipe {
        rt.req_admin(Some(view.iden()), Some("merge --wipe requires view admin"))?;
        rt.confirm(&["layer", "del"], Some(layer.iden()))?;
    }
    let Some(below) = rt.host().view(parent.iden()) else {
        crate::fail!("NoSuchView", mesg = format!("No such view iden={}", parent.iden()), iden = parent.iden());
    };
    let names = |name: &str| texts(&rt, opts.list(name));
    let set = |name: &str| Flow::Ok(names(name)?.map(|names| names.into_iter().collect::<HashSet<_>>()));
    let apply = opts.flag("apply");
    let mut merge = Merge {
        below: beside_in(&rt, below, &["warn"])?,
        layer: layer.clone(),
        top: layer_view(layer)?,
        under: under.iden().clone(),
        tags: Filter::new(names("include_tags")?, names("exclude_tags")?),
        globs: TagGlobs::default(),
        props: Filter::new(set("include_props")?, set("exclude_props")?),
        apply,
        wipe,
        no_tags: opts.flag("no_tags"),
        only_tags: opts.flag("only_tags"),
        checks: apply && !(rt.is_admin(Some(layer.iden())) && rt.is_admin(Some(under.iden()))),
        view,
        rt,
    };
    let changed = opts.flag("diff").then(|| layer_nodes(&merge.rt, &merge.layer)).transpose()?;
    let (mut passed, mut input) = match changed {
        Some(changed) => (Some(input), changed),
        None => (None, input),
    };
    let mut done = false;
    Ok(from_fn(move || {
        if let Some(nodes) = &mut passed {
            if let Some(item) = nodes.next()? {
                return Ok(Some(item));
            }
            passed = None;
        }
        if done {
            return Ok(None);
        }
        while let Some((node, path)) = input.next()? {
            merge.rt.tick()?;
            if let Some(node) = merge.node(&node)? {
                return Ok(Some((node, path)));
            }
        }
        done = true;
        if merge.apply && merge.wipe {
            let mut genr = merge.rt.storm("$lib.view.get().swapLayer()", Default::default(), None)?;
            while genr.next()?.is_some() {}
        }
        Ok(None)
    }))
}

/// What may go wrong with one part of a node without ending the merge: it becomes a warning.
fn lenient<T>(rt: &Rt, retn: Flow<T>) -> Flow<Option<T>> {
    match retn {
        Ok(valu) => Ok(Some(valu)),
        Err(Ctl::Err(error)) => rt.warn(error.message()).map(|()| None),
        Err(error) => Err(error),
    }
}

impl Merge {
    fn omits_tag(&mut self, tag: &str) -> Flow<bool> {
        let globs = &mut self.globs;
        self.tags.omits(|patterns| {
            for pattern in patterns {
                if globs.any(pattern, std::iter::once(tag))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn omits_prop(&self, name: &str, prop: &Prop) -> Flow<bool> {
        let full = if name.starts_with('.') { name } else { &prop.full };
        self.props.omits(|names| Ok(names.contains(full)))
    }

    /// Merges a node. Nothing when it is left alone and not passed on.
    fn node(&mut self, node: &Node) -> Flow<Option<Node>> {
        let sodes = self.view.sodes(&node.buid())?;
        let sode = match sodes.first().cloned().flatten() {
            Some(byts) => graph::Sode::decode(&byts)?,
            None => graph::Sode::default(),
        };
        let under: Vec<Arc<[u8]>> = sodes.iter().skip(1).flatten().cloned().collect();
        if self.checks {
            self.check_perms(node, &sode)?;
        }
        let is_tag = &**node.form_name() == "syn:tag";
        if is_tag && self.no_tags {
            return Ok(None);
        }
        if !is_tag && self.only_tags {
            let mut exists = false;
            for byts in &under {
                exists |= graph::SodeRef::new(byts).has_valu()?;
            }
            if !exists {
                return Ok(None);
            }
        }
        let done =
            if self.apply { self.store(node, &sode, &under, is_tag)? } else { self.show(node, &sode, &under, is_tag)? };
        if !done {
            return Ok(None);
        }
        self.rt.snap().forget(&node.buid());
        self.rt.snap().node_by_buid(&node.buid())
    }

    /// Whether a property that never changes has another value below: then it cannot be merged.
    fn conflicts(&self, node: &Node, prop: &Prop, valu: &Value, under: &[Arc<[u8]>]) -> Flow<bool> {
        for byts in under {
            let Some((have, _)) = graph::SodeRef::new(byts).prop(&prop.name)? else { continue };
            if have.py_eq(valu) {
                return Ok(false);
            }
            let repr = py::str_text(&prop.typ.repr(&self.rt.norm_cx(), &have)?);
            self.rt.warn(format!(
                "A read-only property has another value below and is not merged: {} {} = {repr}",
                node.iden(),
                prop.full
            ))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Prints what merging would do.
    fn show(&mut self, node: &Node, sode: &graph::Sode, under: &[Arc<[u8]>], is_tag: bool) -> Flow<bool> {
        let (rt, cx, iden, form) = (self.rt.clone(), self.rt.norm_cx(), node.iden(), node.form_name());
        let whole = !self.only_tags || is_tag;
        if whole {
            if let Some((valu, _)) = sode.valu() {
                if is_tag && self.omits_tag(valu.as_str().unwrap_or_default())? {
                    return Ok(false);
                }
                rt.printf(format!("{iden} {form} = {}", node.repr_text(&rt)?))?;
            }
            for (name, (valu, _)) in sode.props() {
                let Some(prop) = node.form().prop(name).cloned() else { continue };
                if self.omits_prop(name, &prop)? || &**name == ".created" {
                    continue;
                }
                if prop.ro && self.conflicts(node, &prop, valu, under)? {
                    continue;
                }
                let repr = py::str_text(&prop.typ.repr(&cx, valu)?);
                rt.printf(format!("{iden} {form}:{name} = {repr}"))?;
            }
        }
        if !self.no_tags {
            let ival = rt.model().req_type("ival")?.clone();
            for (tag, valu) in sode.tags() {
                if self.omits_tag(tag)? {
                    continue;
                }
                let bare = valu.py_eq(&no_ival());
                let repr = if bare { String::new() } else { format!(" = {}", py::str_text(&ival.repr(&cx, valu)?)) };
                rt.printf(format!("{iden} {form}#{tag}{repr}"))?;
            }
            for (tag, props) in sode.tagprops() {
                if self.omits_tag(tag)? {
                    continue;
                }
                for (name, (valu, _)) in props {
                    rt.printf(format!("{iden} {form}#{tag}:{name} = {}", py::repr_text(valu)))?;
                }
            }
        }
        if whole {
            for name in self.layer.node_data_names(&node.buid())? {
                let valu = self.layer.node_data(&node.buid(), &name)?.unwrap_or_default();
                rt.printf(format!("{iden} {form} DATA {name} = {}", py::repr_text(&valu)))?;
            }
            for edge in self.top.edges_n1(&node.buid(), None)? {
                let edge = edge?;
                rt.printf(format!("{iden} {form} +({})> {}", edge.verb, edge.n2.to_hex()))?;
            }
        }
        Ok(true)
    }

    /// Writes a node below and takes it out above.
    fn store(&mut self, node: &Node, sode: &graph::Sode, under: &[Arc<[u8]>], is_tag: bool) -> Flow<bool> {
        let (below, rt) = (self.below.clone(), self.rt.clone());
        let mut editor = Editor::new(&below);
        let mut subs = Vec::new();
        let whole = !self.only_tags || is_tag;
        let valu = sode.valu().filter(|_| whole);
        if let Some((valu, _)) = valu
            && is_tag
            && self.omits_tag(valu.as_str().unwrap_or_default())?
        {
            return Ok(false);
        }
        let added = match valu {
            Some((valu, _)) => editor.add_node(node.form_name(), valu),
            None => editor.add_normed(node.form(), node.valu().clone(), NormInfo::default()),
        };
        let Some(buid) = lenient(&rt, added)? else { return Ok(false) };
        if whole {
            self.store_props(&mut editor, buid, node, sode, under, &mut subs)?;
        }
        if !self.no_tags {
            self.store_tags(&mut editor, buid, sode, &mut subs)?;
        }
        if whole {
            for name in self.layer.node_data_names(&node.buid())? {
                let valu = self.layer.node_data(&node.buid(), &name)?.unwrap_or_default();
                lenient(&rt, editor.set_data(buid, &name, &valu))?;
                subs.push(EditOp::DataDel(Arc::from(name), valu));
            }
            for edge in self.top.edges_n1(&node.buid(), None)? {
                let edge = edge?;
                lenient(&rt, editor.add_edge(buid, &edge.verb, edge.n2))?;
                subs.push(EditOp::EdgeDel(edge.verb, edge.n2));
            }
        }
        if let Some((valu, stor)) = valu {
            subs.push(EditOp::NodeDel(valu.clone(), *stor));
        }
        editor.finish()?;
        if !self.wipe && !subs.is_empty() {
            let meta = Map::new().with("time", now_ms(&rt)).with("user", rt.user().iden());
            let edit = NodeEdit { buid: node.buid(), form: node.form_name().clone(), ops: subs };
            apply_meta(&rt, vec![edit], meta.into())?;
        }
        Ok(true)
    }

    fn store_props(
        &self,
        editor: &mut Editor<'_>,
        buid: Buid,
        node: &Node,
        sode: &graph::Sode,
        under: &[Arc<[u8]>],
        subs: &mut Vec<EditOp>,
    ) -> Flow<()> {
        for (name, (valu, stor)) in sode.props() {
            let Some(prop) = node.form().prop(name).cloned() else { continue };
            if self.omits_prop(name, &prop)? {
                continue;
            }
            if &**name == ".created" {
                editor.put(buid, name, valu.clone())?;
            } else {
                if prop.ro && self.conflicts(node, &prop, valu, under)? {
                    continue;
                }
                lenient(&self.rt, editor.set(buid, name, valu))?;
            }
            subs.push(EditOp::PropDel(name.clone(), valu.clone(), *stor));
        }
        Ok(())
    }

    fn store_tags(
        &mut self,
        editor: &mut Editor<'_>,
        buid: Buid,
        sode: &graph::Sode,
        subs: &mut Vec<EditOp>,
    ) -> Flow<()> {
        let rt = self.rt.clone();
        for (tag, valu) in sode.tags() {
            if self.omits_tag(tag)? {
                continue;
            }
            lenient(&rt, editor.add_tag(buid, tag, valu))?;
            subs.push(EditOp::TagDel(tag.clone(), valu.clone()));
        }
        for (tag, props) in sode.tagprops() {
            if self.omits_tag(tag)? {
                continue;
            }
            for (name, (valu, stor)) in props {
                lenient(&rt, editor.set_tagprop(buid, tag, name, valu))?;
                subs.push(EditOp::TagPropDel(tag.clone(), name.clone(), valu.clone(), *stor));
            }
        }
        Ok(())
    }

    /// Refuses a node of which the user may not delete everything above or add everything below.
    fn check_perms(&self, node: &Node, sode: &graph::Sode) -> Flow<()> {
        let (rt, above, below) = (&self.rt, &**self.layer.iden(), &*self.under);
        let both = |del: &[&str], add: &[&str]| -> Flow<()> {
            if !self.wipe {
                rt.confirm(del, Some(above))?;
            }
            rt.confirm(add, Some(below))
        };
        if sode.valu().is_some() {
            both(&["node", "del", node.form_name()], &["node", "add", node.form_name()])?;
        }
        for name in sode.props().keys() {
            let Some(prop) = node.form().prop(name) else { continue };
            if !self.wipe {
                rt.confirm_prop_del(prop, Some(above))?;
            }
            rt.confirm_prop_set(prop, Some(below))?;
        }
        for tag in leaf_tags(sode) {
            let perm = |what| ["node", "tag", what].into_iter().chain(tag.split('.')).collect::<Vec<&str>>();
            both(&perm("del"), &perm("add"))?;
        }
        for name in self.layer.node_data_names(&node.buid())? {
            both(&["node", "data", "pop", &name], &["node", "data", "set", &name])?;
        }
        let mut verbs = HashSet::new();
        for edge in self.top.edges_n1(&node.buid(), None)? {
            let verb = edge?.verb;
            if verbs.insert(verb.clone()) {
                both(&["node", "edge", "del", &verb], &["node", "edge", "add", &verb])?;
            }
        }
        Ok(())
    }
}

/// The tags whose permissions count: those with intervals or properties, and of the others those with none below.
fn leaf_tags(sode: &graph::Sode) -> Vec<Arc<str>> {
    let mut tags: Vec<Arc<str>> = Vec::new();
    let mut bare: Vec<&Arc<str>> = Vec::new();
    for (tag, valu) in sode.tags() {
        if valu.py_eq(&no_ival()) { bare.push(tag) } else { tags.push(tag.clone()) }
    }
    bare.sort_by(|left, right| (right.len(), *right).cmp(&(left.len(), *left)));
    for tag in bare {
        let below = format!("{tag}.");
        if !tags.iter().any(|have| have.starts_with(&below)) {
            tags.push(tag.clone());
        }
    }
    tags.extend(sode.tagprops().keys().cloned());
    tags
}

static COPYTO: CmdDef = CmdDef {
    name: "copyto",
    descr: "Copy nodes into another view.\n\nExamples:\n\n    inet:fqdn#mine | copyto 33c971ac77943da91392dadd0eec0571",
    args: &[ArgDef::flag(&["--no-data"], "Leave node data."), ArgDef::pos(&["view"], "The iden of the view.")],
    readonly: false,
    run: copyto,
};

fn copyto(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("copyto arguments must be runtsafe.")?;
    let rt = cx.rt().clone();
    let view = req_view(&rt, &cx.opts().str(&rt, "view")?)?;
    let dest = beside_in(&rt, view, &[])?;
    let no_data = cx.opts().flag("no_data");
    Ok(each(input, move |node, _| {
        copy_node(&rt, &dest, node, no_data)?;
        Ok(true)
    }))
}

fn copy_perms(rt: &Rt, gate: &str, node: &Node, names: &[Arc<str>]) -> Flow<()> {
    rt.confirm(&["node", "add", node.form_name()], Some(gate))?;
    for (name, _) in node.props() {
        if let Some(prop) = node.form().prop(&name) {
            rt.confirm_prop_set(prop, Some(gate))?;
        }
    }
    for (tag, _) in node.tags() {
        let perm: Vec<&str> = ["node", "tag", "add"].into_iter().chain(tag.split('.')).collect();
        rt.confirm(&perm, Some(gate))?;
    }
    names.iter().try_for_each(|name| rt.confirm(&["node", "data", "set", name], Some(gate)))
}

fn copy_node(rt: &Rt, dest: &Rt, node: &Node, no_data: bool) -> Flow<()> {
    let gate = dest.snap().layer().to_owned();
    let names = if no_data { Vec::new() } else { rt.snap().view().data_names(&node.buid())? };
    copy_perms(rt, &gate, node, &names)?;
    let mut editor = Editor::new(dest);
    let buid = editor.add_node(node.form_name(), node.valu())?;
    for (name, valu) in node.props() {
        let Some(prop) = node.form().prop(&name).cloned() else { continue };
        if &*name == ".created" {
            editor.put(buid, &name, valu)?;
            continue;
        }
        let have = if prop.ro { editor.get(&buid, &name) } else { None };
        if let Some(have) = have.filter(|have| !have.py_eq(&valu)) {
            let repr = py::str_text(&prop.typ.repr(&rt.norm_cx(), &have)?);
            rt.warn(format!("A read-only property has another value there: {} {} = {repr}", node.iden(), prop.full))?;
            continue;
        }
        editor.set(buid, &name, &valu)?;
    }
    for (tag, valu) in node.tags() {
        editor.add_tag(buid, &tag, &valu)?;
    }
    for (tag, name, valu) in node.tagprops() {
        editor.set_tagprop(buid, &tag, &name, &valu)?;
    }
    for name in &names {
        if let Some(valu) = node_data(rt, node, name)? {
            editor.set_data(buid, name, &valu)?;
        }
    }
    copy_edges(rt, dest, node, buid, &mut editor)?;
    editor.finish()
}

fn copy_edges(rt: &Rt, dest: &Rt, node: &Node, buid: Buid, editor: &mut Editor<'_>) -> Flow<()> {
    let gate = dest.snap().layer();
    let mut verbs: HashSet<Arc<str>> = HashSet::new();
    let mut confirm = |verb: &Arc<str>| -> Flow<()> {
        if verbs.insert(verb.clone()) {
            rt.confirm(&["node", "edge", "add", verb], Some(gate))?;
        }
        Ok(())
    };
    for edge in rt.snap().view().edges_n1(&node.buid(), None)? {
        let (verb, n2) = edge?;
        confirm(&verb)?;
        if dest.snap().node_by_buid(&n2)?.is_some() {
            editor.add_edge(buid, &verb, n2)?;
        }
    }
    // Edges that reach the node are kept with the nodes from which they come.
    for edge in rt.snap().view().edges_n2(&node.buid(), None)? {
        let (verb, n1) = edge?;
        confirm(&verb)?;
        if let Some(n1) = dest.snap().node_by_buid(&n1)? {
            let n1 = editor.load(&n1)?;
            editor.add_edge(n1, &verb, buid)?;
        }
    }
    Ok(())
}
