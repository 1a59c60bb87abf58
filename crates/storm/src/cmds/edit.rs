//! Commands that change nodes: `delnode`, `edges.del`, `movetag`, `tag.prune`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use myelin_value::{Buid, Value};

use super::{ArgDef, CmdCx, CmdDef, Nargs};
use crate::ctl::Flow;
use crate::edit::{Editor, add_node, del_node, del_tag, edit_node, set_prop};
use crate::item::{Dflt, tag_text};
use crate::node::Node;
use crate::ops::{NodeGenr, each, from_fn};
use crate::registry::Registry;
use crate::rt::Rt;

/// How many edges are deleted by one edit at most.
const EDGES_A_TIME: usize = 1000;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    for def in [&DELNODE, &EDGES_DEL, &MOVETAG, &TAG_PRUNE] {
        registry.add_cmd(def);
    }
}

static DELNODE: CmdDef = CmdDef {
    name: "delnode",
    descr: "Delete the nodes that come in.\n\nExamples:\n\n    inet:fqdn#mistake | delnode",
    args: &[
        ArgDef::flag(&["--force"], "Delete a node even if others refer to it. Only admins may."),
        ArgDef::flag(&["--delbytes"], "Of file:bytes nodes, delete the bytes in the Axon too."),
        ArgDef::flag(&["--deledges"], "Delete the light edges to the node first."),
    ],
    readonly: false,
    run: delnode,
};

fn delnode(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let (rt, opts) = (cx.rt().clone(), cx.opts());
    let (force, delbytes) = (opts.flag("force"), opts.flag("delbytes"));
    if force {
        rt.req_admin(None, Some("--force requires admin privs."))?;
    }
    if delbytes {
        rt.confirm(&["storm", "lib", "axon", "del"], None)?;
    }
    Ok(from_fn(move || {
        while let Some((node, _)) = input.next()? {
            rt.tick()?;
            for (tag, _) in node.tags() {
                tag_confirm(&rt, "del", &tag)?;
            }
            rt.layer_confirm(&["node", "del", node.form_name()])?;
            if cx.opts().flag("deledges") {
                del_edges_to(&rt, &node)?;
            }
            if delbytes && &**node.form_name() == "file:bytes" {
                del_bytes(&rt, &node)?;
            }
            del_node(&rt, &node, force)?;
        }
        Ok(None)
    }))
}

/// The Axon is a library of the service: it is called as a query would call it.
fn del_bytes(rt: &Rt, node: &Node) -> Flow<()> {
    let Some(sha256) = node.get("sha256") else { return Ok(()) };
    let vars = crate::rt::var_map([("sha256", crate::item::Item::Val(sha256))]);
    let mut genr = rt.storm("$lib.axon.del($sha256)", vars, None)?;
    while genr.next()?.is_some() {}
    Ok(())
}

fn tag_confirm(rt: &Rt, what: &str, tag: &str) -> Flow<()> {
    let mut perm = vec!["node", "tag", what];
    perm.extend(tag.split('.'));
    rt.layer_confirm(&perm)
}

fn del_edges_to(rt: &Rt, node: &Node) -> Flow<()> {
    let mut seen: HashSet<Arc<str>> = HashSet::new();
    let mut edges = Vec::new();
    for edge in rt.snap().view().edges_n2(&node.buid(), None)? {
        let (verb, n1) = edge?;
        if seen.insert(verb.clone()) {
            rt.layer_confirm(&["node", "edge", "del", &verb])?;
        }
        edges.push((verb, n1));
    }
    for part in edges.chunks(EDGES_A_TIME) {
        let mut editor = Editor::new(rt);
        for (verb, n1) in part {
            if let Some(n1) = rt.snap().node_by_buid(n1)? {
                let n1 = editor.load(&n1)?;
                editor.del_edge(n1, verb, node.buid())?;
            }
        }
        editor.finish()?;
    }
    Ok(())
}

static EDGES_DEL: CmdDef = CmdDef {
    name: "edges.del",
    descr: "Delete light edges of the nodes that come in.\n\n\
        Examples:\n\n    // Those of a verb\n    inet:fqdn#mine | edges.del refs\n\n    \
        // All that go to the node\n    inet:fqdn#mine | edges.del * --n2",
    args: &[
        ArgDef::pos(&["verb"], "The verb, or * for all.").typed("str"),
        ArgDef::flag(&["--n2"], "Delete edges that go to the node instead of those that leave it."),
    ],
    readonly: false,
    run: edges_del,
};

fn edges_verb(cx: &CmdCx) -> Flow<Option<Arc<str>>> {
    let verb = cx.opts().str(cx.rt(), "verb")?;
    if &*verb == "*" {
        cx.rt().layer_confirm(&["node", "edge", "del"])?;
        return Ok(None);
    }
    cx.rt().layer_confirm(&["node", "edge", "del", &verb])?;
    Ok(Some(verb))
}

fn edges_del(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    if cx.runtsafe() {
        edges_verb(&cx)?;
    }
    Ok(each(input, move |node, _| {
        let (rt, n2) = (cx.rt(), cx.opts().flag("n2"));
        let verb = if cx.runtsafe() {
            Some(cx.opts().str(rt, "verb")?).filter(|verb| &**verb != "*")
        } else {
            edges_verb(&cx)?
        };
        let view = rt.snap().view();
        let edges = if n2 {
            view.edges_n2(&node.buid(), verb.as_deref())?
        } else {
            view.edges_n1(&node.buid(), verb.as_deref())?
        };
        let edges: Result<Vec<(Arc<str>, Buid)>, _> = edges.collect();
        for (verb, other) in edges? {
            rt.tick()?;
            if !n2 {
                edit_node(rt, node, |editor, buid| editor.del_edge(buid, &verb, other).map(drop))?;
            } else if let Some(n1) = rt.snap().node_by_buid(&other)? {
                edit_node(rt, &n1, |editor, buid| editor.del_edge(buid, &verb, node.buid()).map(drop))?;
            }
        }
        Ok(true)
    }))
}

static MOVETAG: CmdDef = CmdDef {
    name: "movetag",
    descr: "Rename a tag and all below it, on every node that has it. Intervals are kept.\n\n\
        Examples:\n\n    movetag draft.bad verdict.bad",
    args: &[ArgDef::pos(&["oldtag"], "The tag."), ArgDef::pos(&["newtag"], "Its new name.")],
    readonly: false,
    run: movetag,
};

fn movetag(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("movetag arguments must be runtsafe.")?;
    let (rt, opts) = (cx.rt(), cx.opts());
    let old = opts.str(rt, "oldtag")?;
    let Some(oldnode) = rt.snap().by_prop_valu("syn:tag", "=", &Value::from(&old), false)?.next().transpose()? else {
        crate::fail!("BadOperArg", mesg = "Cannot move a tag which does not exist.", oldtag = old);
    };
    let oldname: Arc<str> = Arc::from(oldnode.valu().as_str().unwrap_or_default());
    let norm = rt.snap().tag_norm(&opts.str(rt, "newtag")?)?.value;
    let newname = norm.as_str().unwrap_or_default();
    tag_confirm(rt, "del", &oldname)?;
    tag_confirm(rt, "add", newname)?;
    let newnode = add_node(rt, "syn:tag", &norm)?;
    if *oldname == *newname {
        let mesg = "Cannot retag a tag to the same valu.";
        crate::fail!("BadOperArg", mesg = mesg, newtag = newname, oldtag = oldname);
    }
    check_cycle(rt, &oldname, &newnode)?;
    let retag = rename_tags(rt, &old, &oldname, newname)?;
    let mut count = 0;
    let nodes: Vec<Node> = rt.snap().by_tag(&oldname, None, false)?.collect::<Flow<_>>()?;
    for node in nodes {
        rt.tick()?;
        count += 1;
        move_tags(rt, &node, &retag)?;
    }
    rt.printf(format!("moved tags on {count} nodes."))?;
    Ok(input)
}

/// Refuses a new tag which stands for others that lead back to the old one.
fn check_cycle(rt: &Rt, oldname: &str, newnode: &Node) -> Flow<()> {
    let newname = newnode.valu().as_str().unwrap_or_default();
    let mut cycle = vec![Value::from(newname)];
    let mut now = newnode.get("isnow");
    while let Some(tag) = now.filter(|tag| !tag.is_null()) {
        if cycle.contains(&tag) {
            let mesg = format!("Pre-existing cycle detected when moving {oldname} to tag {newname}");
            crate::fail!("BadOperArg", mesg = mesg, cycle = Value::list(cycle));
        }
        cycle.push(tag.clone());
        now = add_node(rt, "syn:tag", &tag)?.get("isnow");
    }
    if cycle.contains(&Value::from(oldname)) {
        let mesg = format!("Tag cycle detected when moving tag {oldname} to tag {newname}");
        crate::fail!("BadOperArg", mesg = mesg, cycle = Value::list(cycle));
    }
    Ok(())
}

/// Makes the new tags with what the old ones have, and lets the old ones stand for them.
fn rename_tags(rt: &Rt, old: &str, oldname: &Arc<str>, newname: &str) -> Flow<HashMap<Arc<str>, Arc<str>>> {
    let mut retag = HashMap::from([(oldname.clone(), Arc::from(newname))]);
    let below = format!("{oldname}.");
    let prefix = Value::from(tag_text(old));
    let nodes: Vec<Node> = rt.snap().by_prop_valu("syn:tag", "^=", &prefix, false)?.collect::<Flow<_>>()?;
    for node in nodes {
        rt.tick()?;
        let tag: Arc<str> = Arc::from(node.valu().as_str().unwrap_or_default());
        if tag != *oldname && !tag.starts_with(&below) {
            continue;
        }
        let new: Arc<str> = Arc::from(format!("{newname}{}", &tag[oldname.len()..]));
        let newnode = add_node(rt, "syn:tag", &Value::from(&new))?;
        for name in ["doc", "doc:url", "title"] {
            if let Some(valu) = node.get(name) {
                set_prop(rt, &newnode, name, &valu)?;
            }
        }
        for (tag, ival) in node.tags() {
            edit_node(rt, &newnode, |editor, buid| editor.add_tag(buid, &tag, &ival).map(drop))?;
        }
        set_prop(rt, &node, "isnow", &Value::from(&new))?;
        retag.insert(tag, new);
    }
    Ok(retag)
}

fn move_tags(rt: &Rt, node: &Node, retag: &HashMap<Arc<str>, Arc<str>>) -> Flow<()> {
    let mut tags = node.tags();
    tags.sort_by(|(left, _), (right, _)| right.cmp(left));
    for (tag, ival) in tags {
        let Some(new) = retag.get(&tag) else { continue };
        let props = node.tagprop_names(&tag).into_iter();
        let props: Vec<_> = props.filter_map(|name| Some((node.tagprop(&tag, &name)?, name))).collect();
        del_tag(rt, node, &tag)?;
        edit_node(rt, node, |editor, buid| editor.add_tag(buid, new, &ival).map(drop))?;
        for (valu, name) in props {
            edit_node(rt, node, |editor, buid| editor.set_tagprop(buid, new, &name, &valu))?;
        }
    }
    Ok(())
}

static TAG_PRUNE: CmdDef = CmdDef {
    name: "tag.prune",
    descr: "Take tags off, and those above them which then have none below them.\n\n\
        Examples:\n\n    // With #a, #a.b and #a.b.c nothing is left; with #a.d as well, #a and #a.d are\n    \
        inet:fqdn#mine | tag.prune a.b.c",
    args: &[ArgDef::pos(&["tags"], "The tags.").nargs(Nargs::Many).dflt(Dflt::List)],
    readonly: false,
    run: tag_prune,
};

fn prune_tags(cx: &CmdCx, seen: &mut HashSet<String>) -> Flow<Vec<Arc<str>>> {
    let rt = cx.rt();
    let mut tags: Vec<Arc<str>> = Vec::new();
    for item in cx.opts().list("tags") {
        let tag = item.tostr(rt)?;
        let root = tag.split('.').next().unwrap_or_default();
        if seen.insert(root.to_owned()) {
            rt.layer_confirm(&["node", "tag", "del", root])?;
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

fn tag_prune(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let mut seen = HashSet::new();
    if cx.runtsafe() {
        prune_tags(&cx, &mut seen)?;
    }
    Ok(each(input, move |node, _| {
        for tag in prune_tags(&cx, &mut seen)? {
            del_tag(cx.rt(), node, &tag)?;
            let mut upper = &*tag;
            while let Some((parent, _)) = upper.rsplit_once('.') {
                let below = format!("{parent}.");
                if node.tags().iter().any(|(tag, _)| tag.starts_with(&below)) {
                    break;
                }
                del_tag(cx.rt(), node, parent)?;
                upper = parent;
            }
        }
        Ok(true)
    }))
}
