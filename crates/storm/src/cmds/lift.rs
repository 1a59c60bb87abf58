//! Commands that bring nodes into the pipe: `iden`, `lift.byverb`, `diff`, `graph`, `scrape`, and `reindex`, which does not.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_graph as graph;
use myelin_value::{Buid, Map, Value};

use super::{ArgDef, ArgType, CmdCx, CmdDef, Nargs};
use crate::ctl::Flow;
use crate::edit::{add_node, edit_node};
use crate::item::{Dflt, Item};
use crate::node::{Link, Node};
use crate::ops::{NodeGenr, chain, empty, flat_map, fresh, from_fn, project, ready};
use crate::registry::Registry;
use crate::rt::Rt;
use crate::snap::Nodes;
use crate::store_graph::GraphView;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    for def in [&IDEN, &LIFT_BYVERB, &DIFF, &GRAPH, &SCRAPE, &REINDEX] {
        registry.add_cmd(def);
    }
}

static IDEN: CmdDef = CmdDef {
    name: "iden",
    descr: "Lift nodes by their idens.",
    args: &[ArgDef::pos(&["iden"], "The idens.").typed("str").nargs(Nargs::Many).dflt(Dflt::List)],
    readonly: true,
    run: iden,
};

fn iden(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("iden argument must be runtsafe.")?;
    Ok(chain(input, move || {
        let mut idens = cx.opts().list("iden").into_iter();
        Ok(from_fn(move || {
            let rt = cx.rt();
            for iden in idens.by_ref() {
                let text = iden.tostr(rt)?;
                let hex = text.len() % 2 == 0 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let Some(buid) = Buid::from_hex(&text) else {
                    let what = if hex { "iden must be 32 bytes" } else { "Failed to decode iden:" };
                    rt.warn(format!("{what} [{text}]"))?;
                    continue;
                };
                if let Some(node) = rt.snap().node_by_buid(&buid)? {
                    let path = rt.init_path(&node);
                    return Ok(Some((node, path)));
                }
            }
            Ok(None)
        }))
    }))
}

/// The view of the graph under a query.
///
/// # Errors
/// `FeatureNotSupported` when the view is of another kind.
pub fn graph_view(rt: &Rt) -> Flow<Arc<graph::View>> {
    match GraphView::of(rt.snap().view()) {
        Some(view) => Ok(view.clone()),
        None => Err(myelin_error::Error::not_supported("This command on a view that has no layers").into()),
    }
}

/// A layer as if it were a view of its own.
pub fn layer_view(layer: &Arc<graph::Layer>) -> Flow<Arc<graph::View>> {
    Ok(graph::View::new(Map::new(), vec![layer.clone()])?)
}

static LIFT_BYVERB: CmdDef = CmdDef {
    name: "lift.byverb",
    descr: "Lift nodes which have an edge of a verb, each once.\n\n\
        Examples:\n\n    // From where edges go\n    lift.byverb refs\n\n    // To where they go\n    lift.byverb --n2 refs",
    args: &[
        ArgDef::pos(&["verb"], "The verb.").typed("str"),
        ArgDef::flag(&["--n2"], "Lift the nodes to which edges go."),
    ],
    readonly: false,
    run: lift_byverb,
};

fn byverb(cx: &CmdCx, seen: &Arc<parking_lot::Mutex<HashSet<Buid>>>) -> Flow<Nodes> {
    let (rt, opts) = (cx.rt().clone(), cx.opts());
    let (verb, n2) = (opts.str(&rt, "verb")?, opts.flag("n2"));
    let seen = seen.clone();
    let edges = graph_view(&rt)?.edges(Some(&verb))?;
    Ok(Box::new(edges.filter_map(move |row| match row {
        Ok(row) => {
            let buid = if n2 { row.n2 } else { row.n1 };
            if !seen.lock().insert(buid) {
                return rt.tick().err().map(Err);
            }
            rt.snap().node_by_buid(&buid).transpose()
        }
        Err(error) => Some(Err(error.into())),
    })))
}

fn lift_byverb(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let seen = Arc::default();
    if cx.runtsafe() {
        return Ok(chain(input, move || Ok(fresh(cx.rt(), byverb(&cx, &seen)?))));
    }
    Ok(flat_map(input, move |node, path| {
        let nodes = byverb(&cx, &seen)?;
        let link = Value::from(Map::new().with("type", "runtime"));
        let forked = crate::ops::forked(path.clone(), Some(Link::Other(link)), nodes);
        Ok(chain(ready([(node, path)]), move || Ok(forked)))
    }))
}

static DIFF: CmdDef = CmdDef {
    name: "diff",
    descr: "Lift the nodes which were changed in a fork.\n\n\
        Examples:\n\n    // All of them\n    diff\n\n    // Those with a new value of a property\n    diff --prop inet:fqdn:zone\n\n    \
        // Those with new tags\n    diff --tag verdict.bad todo.look",
    args: &[
        ArgDef::opt(&["--tag"], "Only those which were given one of these tags.").nargs(Nargs::Many),
        ArgDef::opt(&["--prop"], "Only those of which this property was set, or this form made."),
    ],
    readonly: true,
    run: diff,
};

fn diff_tags(rt: &Rt, items: &[Item]) -> Flow<Vec<Arc<str>>> {
    let mut tags = Vec::new();
    for item in items {
        let valu = item.toprim(rt)?;
        let list = valu.as_list().map(<[_]>::to_vec);
        for valu in list.unwrap_or_else(|| vec![valu]) {
            let Value::Str(tag) = valu else {
                let name = Item::Val(valu).type_name();
                crate::fail!("BadArg", mesg = format!("diff --tag arguments must be strings, got {name}."));
            };
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// The nodes of lifts in one layer, each once, as the whole view has them.
fn layer_lifts(rt: &Rt, layer: &Arc<graph::Layer>, lifts: Vec<graph::LiftBy>) -> Flow<NodeGenr> {
    let view = layer_view(layer)?;
    let (rt, mut seen) = (rt.clone(), HashSet::new());
    let mut lifts = lifts.into_iter();
    let mut lift: Option<graph::ViewLift> = None;
    Ok(from_fn(move || {
        loop {
            if lift.is_none() {
                let Some(by) = lifts.next() else { return Ok(None) };
                lift = Some(view.lift(graph::Lift::all(by)));
            }
            let Some(found) = &mut lift else { return Ok(None) };
            rt.tick()?;
            let Some(buid) = found.next_buid()? else {
                lift = None;
                continue;
            };
            if !seen.insert(buid) {
                continue;
            }
            if let Some(node) = rt.snap().node_by_buid(&buid)? {
                let path = rt.init_path(&node);
                return Ok(Some((node, path)));
            }
        }
    }))
}

/// Every node of which a layer has something.
pub fn layer_nodes(rt: &Rt, layer: &Arc<graph::Layer>) -> Flow<NodeGenr> {
    let (rt, mut walk) = (rt.clone(), layer.sode_walk()?);
    Ok(from_fn(move || {
        loop {
            rt.tick()?;
            let Some(buid) = walk.next_sode()?.map(|(buid, _)| buid) else { return Ok(None) };
            if let Some(node) = rt.snap().node_by_buid(&buid)? {
                let path = rt.init_path(&node);
                return Ok(Some((node, path)));
            }
        }
    }))
}

fn diff(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let view = graph_view(cx.rt())?;
    if !view.is_fork() {
        crate::fail!("StormRuntimeError", mesg = "You may only generate a diff in a forked view.");
    }
    Ok(chain(input, move || {
        let (rt, opts, layer) = (cx.rt(), cx.opts(), view.write_layer());
        let tags = opts.list("tag");
        let has_prop = opts.get("prop").tobool(rt)?;
        if !tags.is_empty() && has_prop {
            crate::fail!("StormRuntimeError", mesg = "You may specify --tag *or* --prop but not both.");
        }
        if !tags.is_empty() {
            let tags = diff_tags(rt, &tags)?.into_iter();
            return layer_lifts(rt, &layer, tags.map(|tag| graph::LiftBy::Tag { tag, form: None }).collect());
        }
        if !has_prop {
            return layer_nodes(rt, &layer);
        }
        let name = opts.str(rt, "prop")?;
        let Some(prop) = rt.model().prop(&name).cloned() else {
            crate::fail!("NoSuchProp", mesg = format!("The property {name} does not exist."));
        };
        let by = if prop.is_form {
            graph::LiftBy::Form { form: prop.name.clone() }
        } else if prop.is_univ {
            graph::LiftBy::Prop { form: None, prop: prop.name.clone() }
        } else {
            graph::LiftBy::Prop { form: prop.form.clone(), prop: prop.name.clone() }
        };
        layer_lifts(rt, &layer, vec![by])
    }))
}

static GRAPH: CmdDef = CmdDef {
    name: "graph",
    descr: "Make a graph: nodes, those to which they lead, and the edges among them.\n\n\
        Examples:\n\n    inet:fqdn#mine | graph --degrees 2 --filter { -#skip } --pivot { <(seen)- meta:source }\n        \
        --form-pivot inet:fqdn { -> inet:dns:a } --form-filter syn:tag { -syn:tag=todo }",
    args: &[
        ArgDef::opt(&["--degrees"], "How many steps to go.").typed("int").dflt(Dflt::Int(1)),
        ArgDef::opt(&["--pivot"], "Where to go from every node.").kind(ArgType::Append).dflt(Dflt::List),
        ArgDef::opt(&["--filter"], "Which nodes to keep.").kind(ArgType::Append).dflt(Dflt::List),
        ArgDef::flag(&["--no-edges"], "Leave out light edges."),
        ArgDef::opt(&["--form-pivot"], "A form, and where to go from its nodes.")
            .kind(ArgType::Append)
            .nargs(Nargs::Exact(2))
            .dflt(Dflt::List),
        ArgDef::opt(&["--form-filter"], "A form, and which of its nodes to keep.")
            .kind(ArgType::Append)
            .nargs(Nargs::Exact(2))
            .dflt(Dflt::List),
        ArgDef::flag(&["--refs"], "Go where properties refer to."),
        ArgDef::flag(&["--yield-filtered"], "Yield nodes that a filter refuses, but go no further from them."),
        ArgDef::flag(&["--no-filter-input"], "Keep the nodes that come in, whatever the filters say."),
    ],
    readonly: false,
    run: graph_cmd,
};

fn texts(rt: &Rt, items: &[Item]) -> Flow<Value> {
    let items: Flow<Vec<Value>> = items.iter().map(|item| Ok(Value::from(item.tostr(rt)?))).collect();
    Ok(Value::list(items?))
}

fn graph_cmd(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("graph arguments must be runtsafe.")?;
    let (rt, opts) = (cx.rt(), cx.opts());
    let mut forms: indexmap::IndexMap<Arc<str>, [Vec<Item>; 2]> = indexmap::IndexMap::new();
    for (at, name) in ["form_pivot", "form_filter"].into_iter().enumerate() {
        for pair in opts.list(name) {
            if let Some([form, rule]) = pair.members().as_deref() {
                forms.entry(form.tostr(rt)?).or_default()[at].push(rule.clone());
            }
        }
    }
    let mut rules = Map::new();
    for (form, [pivots, filters]) in &forms {
        let rule = Map::new().with("pivots", texts(rt, pivots)?).with("filters", texts(rt, filters)?);
        rules.insert(form, rule);
    }
    let rules = Map::new()
        .with("degrees", opts.get("degrees").toprim(rt)?)
        .with("pivots", texts(rt, &opts.list("pivot"))?)
        .with("filters", texts(rt, &opts.list("filter"))?)
        .with("forms", rules)
        .with("refs", opts.flag("refs"))
        .with("filterinput", !opts.flag("no_filter_input"))
        .with("yieldfiltered", opts.flag("yield_filtered"))
        .with("edges", !opts.flag("no_edges"));
    project(rt, &rules, input)
}

static SCRAPE: CmdDef = CmdDef {
    name: "scrape",
    descr: "Find indicators in texts, and make nodes of them.\n\n\
        Examples:\n\n    // In all properties of a node\n    inet:search:query | scrape\n\n    \
        // In one of them, with edges from the node to what is found\n    inet:search:query | scrape --refs :text\n\n    \
        // Only some forms, and yield them\n    it:dev:str | scrape --yield --forms (inet:fqdn, inet:ipv4) $node.repr()",
    args: &[
        ArgDef::flag(&["--refs", "-r"], "Make refs edges from the node to what is found."),
        ArgDef::flag(&["--yield"], "Yield what is found instead of the node."),
        ArgDef::flag(&["--skiprefang"], "Take the text as it is, with dots in brackets and the like."),
        ArgDef::opt(&["--forms"], "Only find nodes of these forms.").dflt(Dflt::List),
        ArgDef::pos(&["values"], "The texts; all properties of the node when none is given.").nargs(Nargs::Many),
    ],
    readonly: false,
    run: scrape,
};

fn finds(text: &str, refang: bool) -> Vec<(String, Value)> {
    crate::scrape::context(text, None, refang).into_iter().map(|found| (found.form.to_owned(), found.valu)).collect()
}

/// What is found in the texts of a command, and made.
fn scraped(cx: &CmdCx, texts: &[Value]) -> Flow<Vec<Node>> {
    let (rt, opts) = (cx.rt(), cx.opts());
    let forms: Vec<String> = match opts.get("forms").toprim(rt)? {
        Value::Str(text) => text.split(',').map(str::to_owned).collect(),
        Value::List(items) => items.iter().map(myelin_model::types::py::str_text).collect(),
        // Any other value is the one form that is wanted, and names none.
        other => vec![myelin_model::types::py::str_text(&other)],
    };
    let mut nodes = Vec::new();
    for text in texts {
        let text = myelin_model::types::py::str_text(text);
        for (form, valu) in finds(&text, !opts.flag("skiprefang")) {
            rt.tick()?;
            if !forms.is_empty() && !forms.contains(&form) {
                continue;
            }
            // What looks like an indicator and fits no type is left alone.
            let Some(typ) = rt.model().form(&form).map(|form| form.typ.clone()) else { continue };
            let Ok(norm) = typ.norm(&rt.norm_cx(), &valu) else { continue };
            nodes.push(add_node(rt, &form, &norm.value)?);
        }
    }
    Ok(nodes)
}

fn scrape(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let (mut any, mut done) = (false, false);
    let mut inner: Option<NodeGenr> = None;
    Ok(from_fn(move || {
        loop {
            if let Some(genr) = &mut inner {
                if let Some(item) = genr.next()? {
                    return Ok(Some(item));
                }
                inner = None;
            }
            if done {
                return Ok(None);
            }
            let item = input.next()?;
            done = item.is_none();
            if done && (any || !cx.runtsafe()) {
                continue;
            }
            any = true;
            let (rt, opts) = (cx.rt(), cx.opts());
            let texts: Flow<Vec<Value>> = opts.list("values").iter().map(|item| item.toprim(rt)).collect();
            let mut texts = texts?;
            let Some((node, path)) = item else {
                let nodes = scraped(&cx, &texts)?;
                if opts.flag("yield") {
                    inner = Some(fresh(rt, Box::new(nodes.into_iter().map(Ok))));
                }
                continue;
            };
            if texts.is_empty() {
                texts = node.props().into_iter().map(|(_, valu)| valu).collect();
            }
            let nodes = scraped(&cx, &texts)?;
            if opts.flag("refs") {
                refer(rt, &node, &nodes)?;
            }
            inner = Some(if opts.flag("yield") {
                let link = Value::from(Map::new().with("type", "scrape"));
                crate::ops::forked(path, Some(Link::Other(link)), Box::new(nodes.into_iter().map(Ok)))
            } else {
                ready([(node, path)])
            });
        }
    }))
}

fn refer(rt: &Rt, node: &Node, nodes: &[Node]) -> Flow<()> {
    for found in nodes {
        if node.is_runt() {
            rt.warn(format!("Edges cannot be used with runt nodes: {}", node.form_name()))?;
            continue;
        }
        edit_node(rt, node, |editor, buid| editor.add_edge(buid, "refs", found.buid()).map(drop))?;
    }
    Ok(())
}

static REINDEX: CmdDef = CmdDef {
    name: "reindex",
    descr: "Reserved; it does nothing.",
    args: &[],
    readonly: false,
    run: |cx, _| {
        cx.rt().warn("reindex currently does nothing but is reserved for future use")?;
        Ok(empty())
    },
};
