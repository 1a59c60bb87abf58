//! Control flow: queries in braces, loops, conditions, errors, signals.

use std::sync::Arc;

use myelin_error::{Error, err};
use myelin_model::types::py;
use myelin_storm_syntax::{Case, ForTarget, OperKind, Query};
use myelin_value::{Map, Value};

use super::{Block, NodeGenr, NodeIter, OperRef, chain, empty, from_fn, once, pipeline};
use crate::ctl::{Ctl, Ctrl, Flow, emit_error};
use crate::expr::compute;
use crate::item::{Genr, Item, trim_text};
use crate::node::{NodePath, Path};
use crate::rt::Rt;
use crate::walk::value_runtsafe;

/// `{ … }` and `yield { … }`: runs for every node; variables it sets on the path stay.
pub fn subquery(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    Box::new(SubQuery { rt: rt.clone(), oper: oper.clone(), input, cur: None, last: None })
}

struct SubQuery {
    rt: Rt,
    oper: OperRef,
    input: NodeGenr,
    cur: Option<(NodePath, NodeGenr)>,
    last: Option<Path>,
}

impl NodeIter for SubQuery {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        let OperKind::SubQuery { query, is_yield } = &self.oper.kind else { return Ok(None) };
        loop {
            if let Some((_, genr)) = &mut self.cur {
                if let Some((node, path)) = genr.next()? {
                    self.last = Some(path.clone());
                    if *is_yield {
                        return Ok(Some((node, path)));
                    }
                    continue;
                }
                let Some((item, _)) = self.cur.take() else { continue };
                if let Some(last) = self.last.take() {
                    item.1.update_vars(&last.vars());
                }
                return Ok(Some(item));
            }
            let Some(item) = self.input.next()? else { return Ok(None) };
            let genr = pipeline(&self.rt, query, once(item.clone()));
            self.cur = Some((item, genr));
        }
    }
}

/// `init { … }`: once, before the first node.
pub fn init(rt: &Rt, query: &Arc<Query>, mut input: NodeGenr) -> NodeGenr {
    let (rt, query) = (rt.clone(), query.clone());
    let mut inner: Option<NodeGenr> = None;
    let (mut held, mut began) = (None, false);
    from_fn(move || {
        if !began {
            held = input.next()?;
            began = true;
            inner = Some(pipeline(&rt, &query, empty()));
        }
        if let Some(genr) = &mut inner {
            if let Some(item) = genr.next()? {
                return Ok(Some(item));
            }
            inner = None;
        }
        match held.take() {
            Some(item) => Ok(Some(item)),
            None => input.next(),
        }
    })
}

/// `empty { … }`: when there was no node.
pub fn on_empty(rt: &Rt, query: &Arc<Query>, mut input: NodeGenr) -> NodeGenr {
    let (rt, query) = (rt.clone(), query.clone());
    let mut any = false;
    let mut inner: Option<NodeGenr> = None;
    from_fn(move || {
        if inner.is_none() {
            if let Some(item) = input.next()? {
                any = true;
                return Ok(Some(item));
            }
            inner = Some(if any { empty() } else { pipeline(&rt, &query, empty()) });
        }
        inner.as_mut().map_or(Ok(None), |genr| genr.next())
    })
}

/// `fini { … }`: once, after the last node.
pub fn fini(rt: &Rt, query: &Arc<Query>, input: NodeGenr) -> NodeGenr {
    let (rt, query) = (rt.clone(), query.clone());
    chain(input, move || Ok(pipeline(&rt, &query, empty())))
}

/// What a loop body said about the loop.
enum Said {
    Item(NodePath),
    Done,
    Break(Option<NodePath>),
    Continue(Option<NodePath>),
}

fn pull_body(genr: &mut NodeGenr) -> Flow<Said> {
    match genr.next() {
        Ok(Some(item)) => Ok(Said::Item(item)),
        Ok(None) => Ok(Said::Done),
        Err(Ctl::Ctrl(ctrl)) => match *ctrl {
            Ctrl::Break(item, _) => Ok(Said::Break(item)),
            Ctrl::Continue(item, _) => Ok(Said::Continue(item)),
            other => Err(other.into()),
        },
        Err(error) => Err(error),
    }
}

/// `for $x in value { … }`
pub fn for_loop(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    Box::new(ForLoop { rt, oper, input, any: false, over: false, node: None, items: None, body: None, block: None })
}

struct ForLoop {
    rt: Rt,
    oper: OperRef,
    input: NodeGenr,
    any: bool,
    over: bool,
    node: Option<NodePath>,
    items: Option<Genr>,
    body: Option<NodeGenr>,
    /// The body as statements, where there is no node to run it for.
    block: Option<Block>,
}

impl NodeIter for ForLoop {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        let OperKind::For { target, iter, body } = &self.oper.kind else { return Ok(None) };
        loop {
            self.rt.tick()?;
            if let Some(genr) = &mut self.body {
                match pull_body(genr)? {
                    Said::Item(item) => return Ok(Some(item)),
                    Said::Done => self.body = None,
                    Said::Break(item) => {
                        (self.body, self.items) = (None, None);
                        if item.is_some() {
                            return Ok(item);
                        }
                    }
                    Said::Continue(item) => {
                        self.body = None;
                        if item.is_some() {
                            return Ok(item);
                        }
                    }
                }
                continue;
            }
            if let Some(items) = &self.items {
                match items.next_item()? {
                    None => self.items = None,
                    Some(item) => {
                        let path = self.node.as_ref().map(|(_, path)| path);
                        bind_target(&self.rt, target, iter.span, item, path)?;
                        if let Some(block) = &self.block {
                            if !turn(block, &self.rt)? {
                                self.items = None;
                            }
                            continue;
                        }
                        let input = match &self.node {
                            Some((node, path)) => once((node.clone(), path.copy())),
                            None => empty(),
                        };
                        self.body = Some(pipeline(&self.rt, body, input));
                    }
                }
                continue;
            }
            if self.over {
                return Ok(None);
            }
            self.node = self.input.next()?;
            if self.node.is_some() {
                self.any = true;
            } else {
                self.over = true;
                if self.any || !value_runtsafe(iter, &self.rt) {
                    return Ok(None);
                }
            }
            let path = self.node.as_ref().map(|(_, path)| path);
            self.items = Some(loop_items(&self.rt, iter, path)?);
            self.block = if self.node.is_none() { Block::of(&self.rt, body) } else { None };
        }
    }
}

/// What a loop goes through.
pub(super) fn loop_items(rt: &Rt, iter: &myelin_storm_syntax::Value, path: Option<&Path>) -> Flow<Genr> {
    let valu = compute(rt, iter, path)?;
    if valu.is_null() {
        return Ok(Genr::of([]));
    }
    valu.toiter(rt).map_err(|error| rt.at(iter.span, error))
}

/// One turn of a loop without nodes. False when the loop is over.
pub(super) fn turn(block: &Block, rt: &Rt) -> Flow<bool> {
    match block.run(rt) {
        Ok(()) => Ok(true),
        Err(Ctl::Ctrl(ctrl)) => match *ctrl {
            Ctrl::Break(..) => Ok(false),
            Ctrl::Continue(..) => Ok(true),
            other => Err(other.into()),
        },
        Err(error) => Err(error),
    }
}

pub(super) fn bind_target(
    rt: &Rt,
    target: &ForTarget,
    span: myelin_storm_syntax::Span,
    item: Item,
    path: Option<&Path>,
) -> Flow<()> {
    let set = |name: &Arc<str>, valu: Item| {
        if let Some(path) = path {
            path.set_var(name, valu.clone());
        }
        rt.set_var(name, valu);
    };
    let names = match target {
        ForTarget::Var(name) => {
            set(&name.text, item);
            return Ok(());
        }
        ForTarget::Vars(names, _) => names,
    };
    let parts = match &item {
        Item::List(_) | Item::Set(_) | Item::Val(Value::List(_) | Value::Str(_)) => Some(item.tovec(rt)?),
        Item::Dict(_) | Item::Val(Value::Map(_)) => {
            item.entries().map(|entries| entries.into_iter().map(|(key, _)| Item::Val(key)).collect())
        }
        _ => None,
    };
    match parts {
        Some(parts) if parts.len() == names.len() => {
            names.iter().zip(parts).for_each(|(name, valu)| set(&name.text, valu));
            Ok(())
        }
        parts => {
            let text = trim_text(&item.torepr(rt, false)?);
            let mesg = format!("Number of items to unpack does not match the number of variables: {text}");
            let names: Vec<&str> = names.iter().map(|name| &*name.text).collect();
            let mut error = err!("StormVarListError", mesg = mesg, names = names);
            if let Some(parts) = parts {
                error = error.with("numitems", parts.len());
            }
            Err(rt.at(span, error.into()))
        }
    }
}

/// `while value { … }`
pub fn while_loop(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    Box::new(WhileLoop {
        rt,
        oper,
        input,
        any: false,
        over: false,
        looping: false,
        node: None,
        body: None,
        block: None,
    })
}

struct WhileLoop {
    rt: Rt,
    oper: OperRef,
    input: NodeGenr,
    any: bool,
    over: bool,
    looping: bool,
    node: Option<NodePath>,
    body: Option<NodeGenr>,
    block: Option<Block>,
}

impl NodeIter for WhileLoop {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        let OperKind::While { cond, body } = &self.oper.kind else { return Ok(None) };
        loop {
            self.rt.tick()?;
            if let Some(genr) = &mut self.body {
                let said = pull_body(genr)?;
                if !matches!(said, Said::Item(_)) {
                    self.body = None;
                }
                match said {
                    Said::Item(item) => return Ok(Some(item)),
                    Said::Done | Said::Continue(None) => {}
                    Said::Continue(item) => return Ok(item),
                    Said::Break(item) => {
                        self.looping = false;
                        if item.is_some() {
                            return Ok(item);
                        }
                    }
                }
                continue;
            }
            if self.looping {
                let path = self.node.as_ref().map(|(_, path)| path);
                if compute(&self.rt, cond, path)?.tobool(&self.rt)? {
                    if let Some(block) = &self.block {
                        self.looping = turn(block, &self.rt)?;
                        continue;
                    }
                    let input = self.node.clone().map_or_else(empty, once);
                    self.body = Some(pipeline(&self.rt, body, input));
                } else {
                    self.looping = false;
                }
                continue;
            }
            if self.over {
                return Ok(None);
            }
            self.node = self.input.next()?;
            if self.node.is_some() {
                self.any = true;
            } else {
                self.over = true;
                if self.any || !value_runtsafe(cond, &self.rt) {
                    return Ok(None);
                }
            }
            self.looping = true;
            self.block = if self.node.is_none() { Block::of(&self.rt, body) } else { None };
        }
    }
}

/// For every node the query a function chooses, or the node itself; the chosen one once when there was no node.
fn branch(
    rt: &Rt,
    mut input: NodeGenr,
    choose: impl Fn(Option<&Path>) -> Flow<Option<Arc<Query>>> + Send + 'static,
    safe: impl Fn() -> bool + Send + 'static,
) -> NodeGenr {
    let rt = rt.clone();
    let mut inner: Option<NodeGenr> = None;
    let (mut any, mut over) = (false, false);
    from_fn(move || {
        loop {
            if let Some(genr) = &mut inner {
                if let Some(item) = genr.next()? {
                    return Ok(Some(item));
                }
                inner = None;
            }
            if over {
                return Ok(None);
            }
            match input.next()? {
                Some((node, path)) => {
                    any = true;
                    match choose(Some(&path))? {
                        Some(query) => inner = Some(pipeline(&rt, &query, once((node, path)))),
                        None => return Ok(Some((node, path))),
                    }
                }
                None => {
                    over = true;
                    if !any && safe() {
                        inner = choose(None)?.map(|query| pipeline(&rt, &query, empty()));
                    }
                }
            }
        }
    })
}

/// `if value { … } elif value { … } else { … }`
pub fn if_stmt(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt1, oper1) = (rt.clone(), oper.clone());
    let choose = move |path: Option<&Path>| -> Flow<Option<Arc<Query>>> {
        let OperKind::If { clauses, otherwise } = &oper1.kind else { return Ok(None) };
        for (cond, body) in clauses {
            if compute(&rt1, cond, path)?.tobool(&rt1)? {
                return Ok(Some(body.clone()));
            }
        }
        Ok(otherwise.clone())
    };
    let (rt2, oper2) = (rt.clone(), oper.clone());
    let safe = move || match &oper2.kind {
        OperKind::If { clauses, .. } => clauses.iter().all(|(cond, _)| value_runtsafe(cond, &rt2)),
        _ => false,
    };
    branch(rt, input, choose, safe)
}

/// Which case of a `switch` a value chooses.
pub(super) fn choose_case(
    rt: &Rt,
    value: &myelin_storm_syntax::Value,
    cases: &[Case],
    path: Option<&Path>,
) -> Flow<Option<usize>> {
    let text = compute(rt, value, path)?.tostr(rt)?;
    let hit = cases.iter().rposition(|case| case.values.iter().any(|have| have.text == text));
    Ok(hit.or_else(|| cases.iter().rposition(|case| case.is_default)))
}

/// `switch $value { case: { … } }`
pub fn switch(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt1, oper1) = (rt.clone(), oper.clone());
    let choose = move |path: Option<&Path>| -> Flow<Option<Arc<Query>>> {
        let OperKind::Switch { value, cases } = &oper1.kind else { return Ok(None) };
        Ok(choose_case(&rt1, value, cases, path)?.map(|at| cases[at].body.clone()))
    };
    let (rt2, oper2) = (rt.clone(), oper.clone());
    let safe = move || matches!(&oper2.kind, OperKind::Switch { value, .. } if value_runtsafe(value, &rt2));
    branch(rt, input, choose, safe)
}

/// `try { … } catch names as err { … }`
pub fn try_catch(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    Box::new(TryCatch { rt: rt.clone(), oper: oper.clone(), input, any: false, over: false, node: None, body: None })
}

struct TryCatch {
    rt: Rt,
    oper: OperRef,
    input: NodeGenr,
    any: bool,
    over: bool,
    node: Option<NodePath>,
    body: Option<(NodeGenr, bool)>,
}

impl NodeIter for TryCatch {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        loop {
            if let Some((genr, caught)) = &mut self.body {
                match genr.next() {
                    Ok(Some(item)) => return Ok(Some(item)),
                    Ok(None) => self.body = None,
                    Err(Ctl::Err(error)) if !*caught => {
                        self.body = None;
                        self.catch(error)?;
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            if self.over {
                return Ok(None);
            }
            self.node = self.input.next()?;
            if self.node.is_some() {
                self.any = true;
            } else {
                self.over = true;
                if self.any {
                    return Ok(None);
                }
            }
            let OperKind::Try { body, .. } = &self.oper.kind else { return Ok(None) };
            let input = self.node.clone().map_or_else(empty, once);
            self.body = Some((pipeline(&self.rt, body, input), false));
        }
    }
}

impl TryCatch {
    fn catch(&mut self, error: Error) -> Flow<()> {
        let OperKind::Try { catches, .. } = &self.oper.kind else { return Err(error.into()) };
        let path = self.node.as_ref().map(|(_, path)| path);
        for catch in catches {
            let names = compute(&self.rt, &catch.names, path)?.toprim(&self.rt)?;
            let hit = match &names {
                Value::Str(name) => &**name == "*" || &**name == raised_name(&error),
                Value::List(names) => names.iter().any(|name| name.as_str() == Some(raised_name(&error))),
                other => {
                    let kind = py_class(other);
                    let mesg = format!("catch block must be a str or list object. {kind} not allowed.");
                    let error = err!("StormRuntimeError", mesg = mesg, type = kind);
                    return Err(self.rt.at(catch.names.span, error.into()));
                }
            };
            if !hit {
                continue;
            }
            let valu = error_item(&error);
            match path {
                Some(path) => path.set_var(&catch.var.text, valu),
                None => self.rt.set_var(&catch.var.text, valu),
            }
            let input = self.node.clone().map_or_else(empty, once);
            self.body = Some((pipeline(&self.rt, &catch.body, input), true));
            return Ok(());
        }
        Err(error.into())
    }
}

fn py_class(valu: &Value) -> &'static str {
    match valu {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        other => other.kind(),
    }
}

/// What an error is caught by: one that a query raised goes by the name it was given.
fn raised_name(error: &Error) -> &str {
    let given = error.get("errname").and_then(Value::as_str).filter(|_| error.is("StormRaise"));
    given.unwrap_or(error.name())
}

/// What the variable of a `catch` holds.
fn error_item(error: &Error) -> Item {
    let mut info = error.info().clone();
    let mesg = info.remove("mesg").unwrap_or_else(|| Value::from("No message given."));
    Item::dict([
        ("name", Item::from(raised_name(error))),
        ("mesg", Item::Val(mesg)),
        ("info", Item::from_prim(Value::from(info))),
    ])
}

/// `break`, `continue`, `stop`
pub fn ctrl(oper: &OperRef, mut input: NodeGenr) -> NodeGenr {
    let oper = oper.clone();
    from_fn(move || {
        let item = input.next()?;
        let span = oper.span;
        Err(match &oper.kind {
            OperKind::Break => Ctrl::Break(item, span),
            OperKind::Continue => Ctrl::Continue(item, span),
            _ => Ctrl::Stop(span),
        }
        .into())
    })
}

/// `return(value)`
pub fn returns(rt: &Rt, oper: &OperRef, mut input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    from_fn(move || {
        let OperKind::Return(value) = &oper.kind else { return Ok(None) };
        let item = input.next()?;
        if item.is_none() && !value.as_ref().is_none_or(|value| value_runtsafe(value, &rt)) {
            return Ok(None);
        }
        let path = item.as_ref().map(|(_, path)| path);
        let retn = match value {
            Some(value) => compute(&rt, value, path)?,
            None => Item::NULL,
        };
        Err(Ctl::ret(retn))
    })
}

/// `emit value`
pub fn emit(rt: &Rt, oper: &OperRef, mut input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let mut held: Option<NodePath> = None;
    let (mut any, mut over) = (false, false);
    from_fn(move || {
        let OperKind::Emit(value) = &oper.kind else { return Ok(None) };
        if let Some(item) = held.take() {
            return Ok(Some(item));
        }
        if over {
            return Ok(None);
        }
        let item = input.next()?;
        if item.is_none() {
            over = true;
            if any || !value_runtsafe(value, &rt) {
                return Ok(None);
            }
        }
        any = true;
        let valu = compute(&rt, value, item.as_ref().map(|(_, path)| path))?;
        if !rt.emits() {
            return Err(rt.at(oper.span, emit_error().into()));
        }
        held = item;
        Err(Ctrl::Emit(valu).into())
    })
}

/// Warns about an error that a pivot met, as pivots do instead of failing.
pub fn warn_pivot(rt: &Rt, error: &Error, valu: &Value) -> Flow<()> {
    let mut info: Map = error.info().clone();
    let mesg = info.remove("mesg").map(|mesg| py::str_text(&mesg)).unwrap_or_default();
    let mesg = format!("{} [{}] during pivot: {mesg}", error.name(), py::repr_text(valu));
    rt.warn_with(mesg, info)
}
