//! Running queries: parsing with a cache, the input of a query, and the limit on how deep queries nest.

mod messages;
mod threads;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use myelin_error::{Error, Result, err};
use myelin_storm_syntax::{Query, SyntaxError};
use myelin_value::{Buid, Map, Value};
use parking_lot::Mutex;

use crate::ctl::{Ctl, Flow};
use crate::node::NodePath;
use crate::ops::{NodeGenr, empty, from_fn, pipeline, project};
use crate::rt::Rt;
use crate::walk::validate;

pub use messages::{Outcome, StormQuery, check_mode};
pub use threads::{failed, on_big_stack, spawn};

/// How many parsed queries are kept.
const CACHED_QUERIES: usize = 1024;
/// Texts longer than this are parsed anew each time.
const CACHED_TEXT_BYTES: usize = 64 * 1024;
/// How deep functions and queries may nest.
const MAX_DEPTH: usize = 250;

#[derive(Default)]
struct Cache {
    queries: HashMap<Arc<str>, Arc<Query>>,
    order: VecDeque<Arc<str>>,
}

fn cache() -> &'static Mutex<Cache> {
    static CACHE: OnceLock<Mutex<Cache>> = OnceLock::new();
    CACHE.get_or_init(Mutex::default)
}

/// A query text as a tree, from the cache when it was parsed before.
///
/// # Errors
/// `BadSyntax`.
pub fn parse(text: &str) -> Result<Arc<Query>> {
    if let Some(query) = cache().lock().queries.get(text) {
        return Ok(query.clone());
    }
    let query = myelin_storm_syntax::parse_query(text).map_err(|error| bad_syntax(&error))?;
    if text.len() <= CACHED_TEXT_BYTES {
        let mut cache = cache().lock();
        let text: Arc<str> = Arc::from(text);
        if cache.queries.insert(text.clone(), query.clone()).is_none() {
            cache.order.push_back(text);
        }
        if cache.order.len() > CACHED_QUERIES
            && let Some(old) = cache.order.pop_front()
        {
            cache.queries.remove(&old);
        }
    }
    Ok(query)
}

/// The error of a text that is no query.
pub fn bad_syntax(error: &SyntaxError) -> Error {
    let at = error.location();
    let pair = |(from, to): (usize, usize)| Value::list([Value::from(from), Value::from(to)]);
    let highlight = Map::new()
        .with("hash", crate::rt::query_hash(error.source.text()))
        .with("lines", pair(at.lines))
        .with("columns", pair(at.columns))
        .with("offsets", pair(at.offsets));
    let made = err!(
        "BadSyntax",
        at = error.at(),
        text = error.source.text(),
        mesg = error.mesg.as_str(),
        line = error.line(),
        column = error.column(),
        highlight = highlight
    );
    match &error.token {
        Some(token) => made.with("token", token),
        None => made,
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static DEEPEST: Cell<usize> = const { Cell::new(0) };
}

/// Beyond this depth a query has used so much stack that its thread is not kept.
pub(crate) const DEEP: usize = 40;

/// How deep the queries of this thread have nested since this was asked last.
pub(crate) fn take_deepest() -> usize {
    DEEPEST.with(Cell::take)
}

/// One level of nesting, given back when it is dropped.
pub(crate) struct Depth;

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Goes one level deeper.
///
/// # Errors
/// `RecursionLimitHit`.
pub(crate) fn deeper(rt: &Rt) -> Flow<Depth> {
    let depth = DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        depth.get()
    });
    if depth > DEEP {
        DEEPEST.with(|deepest| deepest.set(depth));
    }
    let guard = Depth;
    if depth > MAX_DEPTH {
        let mesg = "Maximum Storm pipeline depth exceeded.";
        return Err(err!("RecursionLimitHit", mesg = mesg, query = rt.query().text()).into());
    }
    Ok(guard)
}

/// A pipe that counts as one level of nesting while it works.
struct Deep {
    rt: Rt,
    genr: NodeGenr,
}

impl crate::ops::NodeIter for Deep {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        let _depth = deeper(&self.rt)?;
        self.genr.next()
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        let _depth = deeper(&self.rt)?;
        self.genr.size()
    }
}

/// What comes before the first operator of a scope's query: one more level of nesting, and a look at its variables.
///
/// # Errors
/// `RecursionLimitHit`, `NoSuchVar` for variables nobody declares.
pub(crate) fn begin(rt: &Rt) -> Flow<Depth> {
    let depth = deeper(rt)?;
    validate(rt.query(), rt)?;
    Ok(depth)
}

/// The nodes of a scope's query, over its own input or a given one.
///
/// # Errors
/// `NoSuchVar` for variables nobody declares.
pub fn execute(rt: &Rt, input: Option<NodeGenr>) -> Flow<NodeGenr> {
    let _depth = begin(rt)?;
    let input = match input {
        Some(input) => input,
        None => inputs(rt)?,
    };
    let genr = limited(rt, pipeline(rt, rt.query(), input));
    let genr = projected(rt, genr)?;
    Ok(Box::new(Deep { rt: rt.clone(), genr }))
}

/// The projection of a pipe by the `graph` option, when there is one.
///
/// # Errors
/// `NoSuchIden` for an unknown projection.
pub(crate) fn projected(rt: &Rt, genr: NodeGenr) -> Flow<NodeGenr> {
    Ok(Box::new(Projected { rt: rt.clone(), genr, first: true }))
}

/// A query may set the option while it runs: it is read when the first node comes.
struct Projected {
    rt: Rt,
    genr: NodeGenr,
    first: bool,
}

impl Projected {
    fn rules(&self) -> Flow<Option<Map>> {
        Ok(match self.rt.opt("graph") {
            Some(Value::Bool(true)) => Some(Map::new().with("degrees", Value::Null).with("refs", true)),
            Some(Value::Str(iden)) => Some(self.rt.host().graph(&iden, &**self.rt.user())?),
            Some(Value::Map(map)) => Some((*map).clone()),
            _ => None,
        })
    }
}

impl crate::ops::NodeIter for Projected {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        let item = self.genr.next()?;
        if !self.first || item.is_none() {
            return Ok(item);
        }
        self.first = false;
        let Some(rules) = self.rules()? else { return Ok(item) };
        let mut rest = std::mem::replace(&mut self.genr, empty());
        let mut head = item;
        let input = from_fn(move || match head.take() {
            Some(item) => Ok(Some(item)),
            None => rest.next(),
        });
        self.genr = project(&self.rt, &rules, input)?;
        self.genr.next()
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        match self.rt.opt("graph") {
            None | Some(Value::Null | Value::Bool(false)) => self.genr.size(),
            Some(_) => Ok(None),
        }
    }
}

fn limited(rt: &Rt, genr: NodeGenr) -> NodeGenr {
    match rt.opt("limit").and_then(|limit| limit.as_i64()) {
        Some(limit) => Box::new(Limited { genr, left: u64::try_from(limit).unwrap_or(0).max(1) }),
        None => genr,
    }
}

/// So many nodes, one at least.
struct Limited {
    genr: NodeGenr,
    left: u64,
}

impl crate::ops::NodeIter for Limited {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.genr.next()
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        Ok(self.genr.size()?.map(|size| size.min(self.left)))
    }
}

/// What a query starts from: nodes that were handed to it, and those that the options name.
pub(crate) fn inputs(rt: &Rt) -> Flow<NodeGenr> {
    let nodes = rt.inputs();
    let ndefs: Vec<Value> = rt.opt("ndefs").and_then(|ndefs| ndefs.as_list().map(<[_]>::to_vec)).unwrap_or_default();
    let idens: Vec<Value> = rt.opt("idens").and_then(|idens| idens.as_list().map(<[_]>::to_vec)).unwrap_or_default();
    if nodes.is_empty() && ndefs.is_empty() && idens.is_empty() {
        return Ok(empty());
    }
    let rt = rt.clone();
    let (mut nodes, mut ndefs, mut idens) = (nodes.into_iter(), ndefs.into_iter(), idens.into_iter());
    Ok(from_fn(move || {
        let pair = |node: crate::node::Node| {
            let path = rt.init_path(&node);
            Ok(Some((node, path)))
        };
        if let Some(node) = nodes.next() {
            return pair(node);
        }
        for ndef in ndefs.by_ref() {
            if let Some(node) = rt.snap().node_by_ref(&ndef)? {
                return pair(node);
            }
        }
        for iden in idens.by_ref() {
            let buid = iden.as_str().and_then(Buid::from_hex);
            let Some(buid) = buid else {
                let error: Ctl = err!("NoSuchIden", mesg = "Iden must be 64 hex digits", iden = iden).into();
                return Err(error);
            };
            if let Some(node) = rt.snap().node_by_buid(&buid)? {
                return pair(node);
            }
        }
        Ok(None)
    }))
}
