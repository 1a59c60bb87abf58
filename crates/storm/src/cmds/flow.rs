//! Commands that steer the pipe: `sleep`, `tee`, `tree`, `batch`, `divert`, `intersect`, `once`, `min`, `max`, `colorize`.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use myelin_error::err;
use myelin_model::types::py;
use myelin_value::{Buid, Map, Value};

use super::{ArgDef, CmdCx, CmdDef, Nargs, threads};
use crate::ctl::{Ctl, Flow};
use crate::edit::{edit_node, node_data, now_ms};
use crate::item::{Dflt, Item, intify};
use crate::node::NodePath;
use crate::ops::{NodeGenr, each, from_fn, once as one, ready};
use crate::registry::Registry;
use crate::rt::{Rt, SubOpts, VarMap, var_map};

/// How deep a tree may be.
const MAX_TREE: usize = 500;
/// How many nodes `min` and `max` keep at most, and a batch.
const MAX_KEPT: i64 = 10_000;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    for def in [&SLEEP, &TEE, &TREE, &BATCH, &DIVERT, &INTERSECT, &ONCE, &MIN, &MAX, &COLORIZE] {
        registry.add_cmd(def);
    }
}

static SLEEP: CmdDef = CmdDef {
    name: "sleep",
    descr: "Wait after every node.\n\nExamples:\n\n    inet:fqdn#slow | sleep 0.5",
    args: &[ArgDef::pos(&["delay"], "How many seconds.").typed("float").dflt(Dflt::Int(1))],
    readonly: true,
    run: sleep,
};

fn sleep(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let mut wait = false;
    Ok(from_fn(move || {
        if std::mem::take(&mut wait) {
            let delay = cx.opts().get("delay").tofloat(cx.rt())?;
            cx.rt().sleep(Duration::try_from_secs_f64(delay).unwrap_or_default())?;
        }
        let item = input.next()?;
        wait = item.is_some();
        Ok(item)
    }))
}

static TEE: CmdDef = CmdDef {
    name: "tee",
    descr: "Run several queries on every node, and yield the nodes of them all.\n\n\
        Examples:\n\n    inet:fqdn=example.com | tee { -> inet:dns:a } { -> inet:dns:aaaa }\n\n    \
        // The node as well\n    inet:fqdn=example.com | tee --join { -> * } { <- * }",
    args: &[
        ArgDef::flag(&["--join", "-j"], "Yield the node too, after the nodes of the queries."),
        ArgDef::flag(&["--parallel", "-p"], "Run the queries at the same time; the nodes come in any order."),
        ArgDef::pos(&["query"], "The queries.").nargs(Nargs::Many),
    ],
    readonly: true,
    run: tee,
};

fn tee_queries(cx: &CmdCx) -> Flow<Vec<Rt>> {
    let rt = cx.rt();
    let mut texts = Vec::new();
    for item in cx.opts().list("query") {
        match item.toprim(rt)? {
            Value::Str(text) => texts.push(text),
            valu => {
                for item in Item::Val(valu).tovec(rt)? {
                    texts.push(item.tostr(rt)?);
                }
            }
        }
    }
    texts.iter().map(|text| rt.sub(&rt.parse(text)?, SubOpts::default())).collect()
}

fn tee(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("tee arguments must be runtsafe.")?;
    if cx.opts().list("query").is_empty() {
        crate::fail!("StormRuntimeError", mesg = "Tee command must take at least one query as input.", name = "tee");
    }
    let (join, parallel) = (cx.opts().flag("join"), cx.opts().flag("parallel"));
    let subs = tee_queries(&cx)?;
    let (mut any, mut done) = (false, false);
    let mut held: Option<NodePath> = None;
    let mut todo: VecDeque<Rt> = VecDeque::new();
    let mut inner: Option<NodeGenr> = None;
    Ok(from_fn(move || {
        loop {
            if let Some(genr) = &mut inner {
                if let Some(item) = genr.next()? {
                    return Ok(Some(item));
                }
                inner = None;
            }
            let start = |sub: &Rt| match &held {
                Some((node, path)) => sub.execute_with(one((node.clone(), path.fork(node.clone(), None)))),
                None => sub.execute(),
            };
            if parallel && !todo.is_empty() {
                let genrs: Flow<Vec<NodeGenr>> = todo.drain(..).map(|sub| start(&sub)).collect();
                inner = Some(threads::all(cx.rt(), genrs?)?);
                continue;
            }
            if let Some(sub) = todo.pop_front() {
                inner = Some(start(&sub)?);
                continue;
            }
            if let Some(item) = held.take().filter(|_| join) {
                return Ok(Some(item));
            }
            if done {
                return Ok(None);
            }
            held = input.next()?;
            done = held.is_none();
            any |= !done;
            if !done || !any {
                todo.extend(subs.iter().cloned());
            }
        }
    }))
}

static TREE: CmdDef = CmdDef {
    name: "tree",
    descr: "Pivot from every node, from where that leads, and so on.\n\n\
        Examples:\n\n    // The domains above one\n    inet:fqdn=www.example.com | tree { :domain -> inet:fqdn }",
    args: &[ArgDef::pos(&["query"], "The pivot.")],
    readonly: true,
    run: tree,
};

fn tree(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("tree query must be runtsafe.")?;
    let text = cx.opts().str(cx.rt(), "query")?;
    let mut stack = vec![input];
    let mut last: Option<NodePath> = None;
    Ok(from_fn(move || {
        if let Some((node, path)) = last.take() {
            if stack.len() > MAX_TREE {
                crate::fail!("StormRuntimeError", mesg = "tree command exceeded maximum depth");
            }
            stack.push(cx.rt().storm(&text, path.vars(), Some(node))?);
        }
        while let Some(genr) = stack.last_mut() {
            cx.rt().tick()?;
            let found = genr.next().map_err(|error| {
                if error.isa("RecursionLimitHit") {
                    return err!("StormRuntimeError", mesg = "tree command exceeded maximum depth").into();
                }
                error
            })?;
            if let Some((node, path)) = found {
                last = Some((node.clone(), path.clone()));
                return Ok(Some((node, path)));
            }
            stack.pop();
        }
        Ok(None)
    }))
}

static BATCH: CmdDef = CmdDef {
    name: "batch",
    descr: "Run a query on several nodes at once, which are in its variable $nodes.\n\n\
        If the condition is true the nodes of the query are yielded, else those that came in.\n\n\
        Examples:\n\n    inet:fqdn#ask | batch (false) --size 5 { $lib.print($lib.len($nodes)) }",
    args: &[
        ArgDef::pos(&["cond"], "Whether to yield the nodes of the query."),
        ArgDef::pos(&["query"], "The query."),
        ArgDef::opt(&["--size"], "How many nodes at once (10000 at most).").dflt(Dflt::Int(10)),
    ],
    readonly: false,
    run: batch,
};

fn batch(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("batch arguments must be runtsafe.")?;
    let (rt, opts) = (cx.rt().clone(), cx.opts());
    let size = opts.int(&rt, "size")?;
    if size > MAX_KEPT {
        let mesg = format!("Specified batch size ({size}) is above the maximum (10000).");
        crate::fail!("StormRuntimeError", mesg = mesg);
    }
    let query = rt.parse(&opts.str(&rt, "query")?)?;
    let yields = opts.get("cond").tobool(&rt)?;
    let vars = var_map([("nodes", Item::list([]))]);
    let sub = rt.sub(&query, SubOpts { vars, ..SubOpts::default() })?;
    let size = usize::try_from(size).unwrap_or(1).max(1);
    let mut inner: Option<NodeGenr> = None;
    let mut done = false;
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
            let mut items = Vec::new();
            while items.len() < size && !done {
                match input.next()? {
                    Some(item) => items.push(item),
                    None => done = true,
                }
            }
            if items.is_empty() {
                return Ok(None);
            }
            let nodes = Item::list(items.iter().map(|(node, _)| Item::Node(node.clone())));
            sub.set_var(&Arc::from("nodes"), nodes);
            let mut genr = sub.execute()?;
            if yields {
                inner = Some(genr);
                continue;
            }
            let mut last: Option<VarMap> = None;
            while let Some((_, path)) = genr.next()? {
                rt.tick()?;
                last = Some(path.vars());
            }
            if let Some(vars) = last {
                items.iter().for_each(|(_, path)| path.update_vars(&vars));
            }
            inner = Some(ready(items));
        }
    }))
}

static DIVERT: CmdDef = CmdDef {
    name: "divert",
    descr: "Yield the nodes of a generator if a condition is true, else use it up.\n\n\
        This makes the --yield option of commands written in Storm.\n\n\
        Examples:\n\n    divert $cmdopts.yield $fetchThings($node)",
    args: &[
        ArgDef::pos(&["cond"], "The condition."),
        ArgDef::pos(&["genr"], "The generator: a call of a function that yields nodes."),
        ArgDef::opt(&["--size"], "How many nodes to take at most."),
    ],
    readonly: false,
    run: divert,
};

/// The node and path of an item that a function which yields nodes gave.
fn node_item(rt: &Rt, item: &Item) -> Option<NodePath> {
    match item {
        Item::Node(node) => Some((node.clone(), rt.init_path(node))),
        _ => match item.members()?.as_slice() {
            [Item::Node(node), Item::Path(path)] => Some((node.clone(), path.clone())),
            _ => None,
        },
    }
}

fn diverted(cx: &Arc<CmdCx>, item: Option<NodePath>) -> Flow<NodeGenr> {
    let (rt, opts) = (cx.rt().clone(), cx.opts());
    let Item::Genr(genr) = opts.get("genr") else {
        crate::fail!("BadArg", mesg = "The genr argument must yield nodes");
    };
    let size = opts.opt_int(&rt, "size")?;
    let yields = opts.get("cond").tobool(&rt)?;
    let (mut count, mut held) = (0, item);
    Ok(from_fn(move || {
        while size.is_none_or(|size| count == 0 || count < size) {
            rt.tick()?;
            let Some(item) = genr.next_item()? else { break };
            count += 1;
            if yields && let Some(item) = node_item(&rt, &item) {
                return Ok(Some(item));
            }
        }
        Ok(if yields { None } else { held.take() })
    }))
}

fn divert(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
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
            if item.is_some() || !any {
                inner = Some(diverted(&cx, item)?);
            }
            any = true;
        }
    }))
}

static INTERSECT: CmdDef = CmdDef {
    name: "intersect",
    descr: "Pivot from every node, and yield those nodes to which all of them lead.\n\n\
        All nodes have to come in before any comes out.\n\n\
        Examples:\n\n    // What two groups have in common\n    \
        it:mitre:attack:group*in=(G0006, G0007) | intersect { -> it:mitre:attack:technique }",
    args: &[ArgDef::pos(&["query"], "The pivot.").typed("str")],
    readonly: true,
    run: intersect,
};

fn intersect(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("intersect arguments must be runtsafe.")?;
    let rt = cx.rt().clone();
    let query = rt.parse(&cx.opts().str(&rt, "query")?)?;
    let mut found: IndexMap<Buid, (u64, VarMap)> = IndexMap::new();
    let mut inbound = 0_u64;
    let mut results: Option<VecDeque<(Buid, VarMap)>> = None;
    Ok(from_fn(move || {
        if results.is_none() {
            while let Some((node, path)) = input.next()? {
                rt.tick()?;
                inbound += 1;
                let mut genr = rt.sub(&query, SubOpts::default())?.execute_with(one((node, path)))?;
                while let Some((node, path)) = genr.next()? {
                    let entry = found.entry(node.buid()).or_default();
                    entry.0 += 1;
                    entry.1 = path.vars();
                }
            }
            let shared = std::mem::take(&mut found).into_iter().filter(|(_, (count, _))| *count == inbound);
            results = Some(shared.map(|(buid, (_, vars))| (buid, vars)).collect());
        }
        while let Some((buid, vars)) = results.as_mut().and_then(VecDeque::pop_front) {
            let Some(node) = rt.snap().node_by_buid(&buid)? else { continue };
            let path = rt.init_path(&node);
            path.update_vars(&vars);
            return Ok(Some((node, path)));
        }
        Ok(None)
    }))
}

static ONCE: CmdDef = CmdDef {
    name: "once",
    descr: "Let every node pass once for a name.\n\n\
        That it passed is kept as node data, so it counts in the view in which it did. With --asof a node may pass \
        again if it last did before that time.\n\n\
        Examples:\n\n    file:bytes#mine | once enrich:it | enrich.it\n\n    \
        // Every two days\n    file:bytes#mine | once enrich:it --asof \"-2 days\" | enrich.it",
    args: &[
        ArgDef::pos(&["name"], "The name.").typed("str"),
        ArgDef::opt(&["--asof"], "The time since which passing counts.").typed("time"),
    ],
    readonly: false,
    run: once,
};

fn once(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    Ok(each(input, move |node, _| {
        let (rt, opts) = (cx.rt(), cx.opts());
        let key = format!("once:{}", opts.str(rt, "name")?);
        let mark = Value::from(Map::new().with("tick", now_ms(rt)));
        let set = || edit_node(rt, node, |editor, buid| editor.set_data(buid, &key, &mark));
        if let Some(have) = node_data(rt, node, &key)?.filter(|have| !have.is_null()) {
            let last = have.get("tick").and_then(Value::as_i64);
            if last.is_none() {
                // An old way of keeping it had no time.
                set()?;
            }
            let asof = opts.opt_int(rt, "asof")?;
            if !matches!((last, asof), (Some(last), Some(asof)) if last <= asof) {
                return Ok(false);
            }
        }
        set()?;
        Ok(true)
    }))
}

static MAX: CmdDef = CmdDef {
    name: "max",
    descr: "Yield the node with the highest value, or several of them.\n\n\
        Examples:\n\n    file:bytes#mine | max :size\n\n    inet:dns:a:fqdn=example.com | max .seen --size 2",
    args: &[ArgDef::pos(&["valu"], "The value."), SIZE],
    readonly: true,
    run: |cx, input| extreme(cx, input, true),
};

static MIN: CmdDef = CmdDef {
    name: "min",
    descr: "Yield the node with the lowest value, or several of them.\n\n\
        Examples:\n\n    file:bytes#mine | min :size\n\n    inet:dns:a:fqdn=example.com | min .seen --size 2",
    args: &[ArgDef::pos(&["valu"], "The value."), SIZE],
    readonly: true,
    run: |cx, input| extreme(cx, input, false),
};

const SIZE: ArgDef = ArgDef::opt(&["--size"], "How many nodes to yield (10000 at most).").dflt(Dflt::Int(1));

/// Nodes with their values, kept as a binary heap whose first is the next to go. Equal values come out in the order in
/// which a heap has them, as in the original.
struct Kept {
    items: Vec<(Value, usize, NodePath)>,
    largest: bool,
}

impl Kept {
    fn cmp(&self, left: &Value, right: &Value) -> Ordering {
        let order = py::cmp(left, right).unwrap_or(Ordering::Equal);
        if self.largest { order } else { order.reverse() }
    }

    fn less(&self, left: usize, right: usize) -> bool {
        let (left, right) = (&self.items[left], &self.items[right]);
        self.cmp(&left.0, &right.0).then(left.1.cmp(&right.1)).is_lt()
    }

    fn rise(&mut self, mut pos: usize) {
        while pos > 0 && self.less(pos, (pos - 1) / 2) {
            self.items.swap(pos, (pos - 1) / 2);
            pos = (pos - 1) / 2;
        }
    }

    fn push(&mut self, item: (Value, usize, NodePath)) {
        self.items.push(item);
        self.rise(self.items.len() - 1);
    }

    /// Replaces the first. The new one sinks to a leaf along the smaller children, then rises.
    fn replace(&mut self, item: (Value, usize, NodePath)) {
        self.items[0] = item;
        let (mut pos, len) = (0, self.items.len());
        while 2 * pos + 1 < len {
            let mut child = 2 * pos + 1;
            if child + 1 < len && !self.less(child, child + 1) {
                child += 1;
            }
            self.items.swap(pos, child);
            pos = child;
        }
        self.rise(pos);
    }

    fn add(&mut self, valu: Value, count: usize, item: NodePath, size: usize) {
        if self.items.len() < size {
            self.push((valu, count, item));
        } else if self.cmp(&valu, &self.items[0].0).is_gt() {
            self.replace((valu, count, item));
        }
    }

    fn finish(&mut self) -> VecDeque<NodePath> {
        let mut items = std::mem::take(&mut self.items);
        items.sort_by(|left, right| self.cmp(&right.0, &left.0));
        items.into_iter().map(|(_, _, item)| item).collect()
    }
}

/// The number by which a node is compared; nothing when it has none.
fn rank(rt: &Rt, item: &Item, largest: bool) -> Flow<Option<Value>> {
    let mut valu = item.toprim(rt)?;
    if let Some(items) = valu.as_list() {
        if items.len() == 2 && items.iter().all(Value::is_null) {
            return Ok(None);
        }
        let norm = rt.model().req_type("ival")?.norm(&rt.norm_cx(), &valu)?.value;
        valu = norm.at(usize::from(largest)).cloned().unwrap_or_default();
    }
    if valu.is_null() { Ok(None) } else { intify(&valu).map(Some) }
}

fn extreme(cx: Arc<CmdCx>, mut input: NodeGenr, largest: bool) -> Flow<NodeGenr> {
    let size = cx.opts().int(cx.rt(), "size")?;
    if size < 1 {
        crate::fail!("BadArg", mesg = format!("Specified size ({size}) is below the minimum (1)."));
    }
    if size > MAX_KEPT {
        crate::fail!("BadArg", mesg = format!("Specified size ({size}) is above the maximum ({MAX_KEPT})."));
    }
    let size = usize::try_from(size).unwrap_or(1);
    let mut kept = Kept { items: Vec::new(), largest };
    let (mut count, mut results) = (0, None);
    Ok(from_fn(move || {
        if results.is_none() {
            while let Some(item) = input.next()? {
                cx.rt().tick()?;
                if let Some(valu) = rank(cx.rt(), &cx.opts().get("valu"), largest)? {
                    kept.add(valu, count, item, size);
                    count += 1;
                }
            }
            results = Some(kept.finish());
        }
        Ok(results.as_mut().and_then(VecDeque::pop_front))
    }))
}

static COLORIZE: CmdDef = CmdDef {
    name: "colorize",
    descr: "Say in which color a node should be shown.\n\nExamples:\n\n    inet:fqdn#bad | colorize crimson",
    args: &[ArgDef::pos(&["color"], "A color as #rrggbb, or the name that CSS has for it.").typed("str")],
    readonly: true,
    run: colorize,
};

fn colorize(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    Ok(each(input, move |_, path| {
        let color = cx.opts().str(cx.rt(), "color")?;
        if !color.is_empty() {
            let hex = color
                .strip_prefix('#')
                .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if !hex && COLORS.binary_search(&color.to_lowercase().as_str()).is_err() {
                let mesg = "A color is one of the names that CSS4 has, or # and six hex digits.";
                return Err(Ctl::Err(err!("BadArg", mesg = mesg)));
            }
            path.set_display(Map::new().with("color", color).into());
        }
        Ok(true)
    }))
}

/// The names of colors in CSS4, sorted.
const COLORS: &[&str] = &[
    "aliceblue",
    "antiquewhite",
    "aqua",
    "aquamarine",
    "azure",
    "beige",
    "bisque",
    "black",
    "blanchedalmond",
    "blue",
    "blueviolet",
    "brown",
    "burlywood",
    "cadetblue",
    "chartreuse",
    "chocolate",
    "coral",
    "cornflowerblue",
    "cornsilk",
    "crimson",
    "cyan",
    "darkblue",
    "darkcyan",
    "darkgoldenrod",
    "darkgray",
    "darkgreen",
    "darkgrey",
    "darkkhaki",
    "darkmagenta",
    "darkolivegreen",
    "darkorange",
    "darkorchid",
    "darkred",
    "darksalmon",
    "darkseagreen",
    "darkslateblue",
    "darkslategray",
    "darkslategrey",
    "darkturquoise",
    "darkviolet",
    "deeppink",
    "deepskyblue",
    "dimgray",
    "dimgrey",
    "dodgerblue",
    "firebrick",
    "floralwhite",
    "forestgreen",
    "fuchsia",
    "gainsboro",
    "ghostwhite",
    "gold",
    "goldenrod",
    "gray",
    "green",
    "greenyellow",
    "grey",
    "honeydew",
    "hotpink",
    "indianred",
    "indigo",
    "ivory",
    "khaki",
    "lavender",
    "lavenderblush",
    "lawngreen",
    "lemonchiffon",
    "lightblue",
    "lightcoral",
    "lightcyan",
    "lightgoldenrodyellow",
    "lightgray",
    "lightgreen",
    "lightgrey",
    "lightpink",
    "lightsalmon",
    "lightseagreen",
    "lightskyblue",
    "lightslategray",
    "lightslategrey",
    "lightsteelblue",
    "lightyellow",
    "lime",
    "limegreen",
    "linen",
    "magenta",
    "maroon",
    "mediumaquamarine",
    "mediumblue",
    "mediumorchid",
    "mediumpurple",
    "mediumseagreen",
    "mediumslateblue",
    "mediumspringgreen",
    "mediumturquoise",
    "mediumvioletred",
    "midnightblue",
    "mintcream",
    "mistyrose",
    "moccasin",
    "navajowhite",
    "navy",
    "oldlace",
    "olive",
    "olivedrab",
    "orange",
    "orangered",
    "orchid",
    "palegoldenrod",
    "palegreen",
    "paleturquoise",
    "palevioletred",
    "papayawhip",
    "peachpuff",
    "peru",
    "pink",
    "plum",
    "powderblue",
    "purple",
    "rebeccapurple",
    "red",
    "rosybrown",
    "royalblue",
    "saddlebrown",
    "salmon",
    "sandybrown",
    "seagreen",
    "seashell",
    "sienna",
    "silver",
    "skyblue",
    "slateblue",
    "slategray",
    "slategrey",
    "snow",
    "springgreen",
    "steelblue",
    "tan",
    "teal",
    "thistle",
    "tomato",
    "turquoise",
    "violet",
    "wheat",
    "white",
    "whitesmoke",
    "yellow",
    "yellowgreen",
];
