//! Operators: pull iterators over nodes and their paths.
//!
//! A query is a chain of [`NodeIter`]s. Each starts when it is first asked, the last operator first, and keeps all its
//! state in itself, so that a resumable signal (`emit`) may pass through it.

mod cmd;
mod edit;
mod filter;
mod flow;
mod graph;
mod lift;
mod pivot;
mod plain;
mod vars;
mod yields;

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use myelin_storm_syntax::{Edit, Oper, OperKind, Query, Span};

use crate::ctl::Flow;
use crate::node::{Link, Node, NodePath, Path};
use crate::plan::Meter;
use crate::rt::Rt;
use crate::snap::Nodes;

pub use filter::Test;
pub use graph::project;
pub use plain::Block;
pub use yields::{item_nodes, yield_item};

/// A pull iterator over nodes.
pub trait NodeIter: Send {
    /// The next node and its path.
    ///
    /// # Errors
    /// An error, or a signal that ends the query or the loop around it. After an `emit` it may be asked again.
    fn next(&mut self) -> Flow<Option<NodePath>>;

    /// How many nodes are to come, where an index says it and nothing has to run for them. Whoever takes the answer
    /// does not ask for the nodes any more.
    ///
    /// # Errors
    /// What reading the index gives.
    fn size(&mut self) -> Flow<Option<u64>> {
        Ok(None)
    }
}

/// Takes all nodes and counts them, by the index if that can tell. The count is kept in the caller's hands, so that a
/// signal that passes through does not lose it.
///
/// # Errors
/// As [`NodeIter::next`].
pub fn count(rt: &Rt, genr: &mut dyn NodeIter, count: &mut u64) -> Flow<()> {
    if !rt.shared().is_plain()
        && let Some(size) = genr.size()?
    {
        *count += size;
        return Ok(());
    }
    while genr.next()?.is_some() {
        *count += 1;
    }
    Ok(())
}

/// A boxed pull iterator.
pub type NodeGenr = Box<dyn NodeIter>;

/// No nodes.
pub struct Empty;

impl NodeIter for Empty {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        Ok(None)
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        Ok(Some(0))
    }
}

/// Nodes that are there.
pub struct Ready(pub VecDeque<NodePath>);

impl NodeIter for Ready {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        Ok(self.0.pop_front())
    }
}

/// No nodes.
pub fn empty() -> NodeGenr {
    Box::new(Empty)
}

/// One node.
pub fn once(item: NodePath) -> NodeGenr {
    Box::new(Ready(VecDeque::from([item])))
}

/// Nodes that are there.
pub fn ready(items: impl IntoIterator<Item = NodePath>) -> NodeGenr {
    Box::new(Ready(items.into_iter().collect()))
}

/// A closure as an iterator. It must keep its state so that it may be asked again after a signal.
pub struct FromFn<F>(pub F);

impl<F: FnMut() -> Flow<Option<NodePath>> + Send> NodeIter for FromFn<F> {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        (self.0)()
    }
}

/// A closure as an iterator.
pub fn from_fn(next: impl FnMut() -> Flow<Option<NodePath>> + Send + 'static) -> NodeGenr {
    Box::new(FromFn(next))
}

/// Calls a function for every node and passes it on when that says so.
pub fn each(mut input: NodeGenr, mut func: impl FnMut(&Node, &Path) -> Flow<bool> + Send + 'static) -> NodeGenr {
    from_fn(move || {
        while let Some((node, path)) = input.next()? {
            if func(&node, &path)? {
                return Ok(Some((node, path)));
            }
        }
        Ok(None)
    })
}

/// Puts the nodes that a function gives for every node in its place.
pub fn flat_map(mut input: NodeGenr, mut func: impl FnMut(Node, Path) -> Flow<NodeGenr> + Send + 'static) -> NodeGenr {
    let mut inner: Option<NodeGenr> = None;
    from_fn(move || {
        loop {
            if let Some(genr) = &mut inner {
                if let Some(item) = genr.next()? {
                    return Ok(Some(item));
                }
                inner = None;
            }
            match input.next()? {
                Some((node, path)) => inner = Some(func(node, path)?),
                None => return Ok(None),
            }
        }
    })
}

/// Passes every node on after a function; when there was none, calls another once.
pub fn each_or_once(
    mut input: NodeGenr,
    mut func: impl FnMut(&Node, &Path) -> Flow<()> + Send + 'static,
    mut once: impl FnMut() -> Flow<()> + Send + 'static,
) -> NodeGenr {
    let (mut any, mut done) = (false, false);
    from_fn(move || {
        if done {
            return Ok(None);
        }
        if let Some((node, path)) = input.next()? {
            any = true;
            func(&node, &path)?;
            return Ok(Some((node, path)));
        }
        done = true;
        if !any {
            once()?;
        }
        Ok(None)
    })
}

/// One after the other; the second is made when the first is over.
pub fn chain(mut first: NodeGenr, then: impl FnOnce() -> Flow<NodeGenr> + Send + 'static) -> NodeGenr {
    let mut then = Some(then);
    let mut second: Option<NodeGenr> = None;
    from_fn(move || {
        if let Some(genr) = &mut second {
            return genr.next();
        }
        if let Some(item) = first.next()? {
            return Ok(Some(item));
        }
        match then.take() {
            Some(then) => second.insert(then()?).next(),
            None => Ok(None),
        }
    })
}

/// Lifted nodes with fresh paths.
pub fn fresh(rt: &Rt, mut nodes: Nodes) -> NodeGenr {
    let rt = rt.clone();
    from_fn(move || match nodes.next().transpose()? {
        Some(node) => {
            let path = rt.init_path(&node);
            Ok(Some((node, path)))
        }
        None => Ok(None),
    })
}

/// Lifted nodes one step further on a path.
pub fn forked(path: Path, link: Option<Link>, mut nodes: Nodes) -> NodeGenr {
    from_fn(move || match nodes.next().transpose()? {
        Some(node) => {
            let path = path.fork(node.clone(), link.clone());
            Ok(Some((node, path)))
        }
        None => Ok(None),
    })
}

/// An operator of a tree that the holder keeps alive.
#[derive(Clone)]
pub struct OperRef {
    query: Arc<Query>,
    indx: usize,
    /// The way into edit parentheses, which may hold others.
    edits: smallvec::SmallVec<[u32; 4]>,
}

impl OperRef {
    /// The operator at a position.
    pub fn new(query: &Arc<Query>, indx: usize) -> OperRef {
        OperRef { query: query.clone(), indx, edits: smallvec::SmallVec::new() }
    }

    /// The tree.
    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }

    /// The operators to the right.
    pub fn right(&self) -> &[Oper] {
        self.query.ops.get(self.indx + 1..).unwrap_or_default()
    }

    /// An edit inside edit parentheses.
    fn inner(&self, edit: usize) -> OperRef {
        let mut inner = self.clone();
        inner.edits.push(u32::try_from(edit).unwrap_or(u32::MAX));
        inner
    }
}

impl Deref for OperRef {
    type Target = Oper;

    fn deref(&self) -> &Oper {
        let mut oper = &self.query.ops[self.indx];
        for indx in &self.edits {
            if let OperKind::Edit(Edit::Parens { edits, .. }) = &oper.kind
                && let Some(inner) = edits.get(*indx as usize)
            {
                oper = inner;
            }
        }
        oper
    }
}

/// An operator that starts when it is first asked.
struct Started {
    rt: Rt,
    oper: OperRef,
    input: Option<NodeGenr>,
    genr: Option<NodeGenr>,
}

impl NodeIter for Started {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        if let Some(input) = self.input.take() {
            self.genr = Some(start(&self.rt, &self.oper, input)?);
        }
        match &mut self.genr {
            Some(genr) => {
                let retn = genr.next();
                if matches!(retn, Ok(None)) {
                    self.genr = None;
                }
                retn
            }
            None => Ok(None),
        }
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        // Only a lift that has not begun, over what can be told too.
        let (OperKind::Lift(_), Some(input), None) = (&self.oper.kind, &mut self.input, &self.genr) else {
            return Ok(None);
        };
        let Some(before) = input.size()? else { return Ok(None) };
        Ok(lift::size(&self.rt, &self.oper)?.map(|size| before + size))
    }
}

/// The same, measured.
struct Metered {
    oper: Started,
    meter: Arc<Meter>,
}

impl NodeIter for Metered {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        let retn = self.meter.work(|| self.oper.next());
        if matches!(retn, Ok(Some(_))) {
            self.meter.add_rows(1);
        }
        retn
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        let size = self.meter.work(|| self.oper.size())?;
        if let Some(rows) = size {
            self.meter.counted(rows);
        }
        Ok(size)
    }
}

fn operator(rt: &Rt, oper: OperRef, input: NodeGenr) -> NodeGenr {
    let meter = rt.shared().plan().map(|plan| plan.meter(&oper.query, oper.indx));
    let oper = Started { rt: rt.clone(), oper, input: Some(input), genr: None };
    match meter {
        Some(meter) => Box::new(Metered { oper, meter }),
        None => Box::new(oper),
    }
}

/// The operators of a query over an input, in this scope.
pub fn pipeline(rt: &Rt, query: &Arc<Query>, input: NodeGenr) -> NodeGenr {
    let mut genr = input;
    for indx in 0..query.ops.len() {
        genr = operator(rt, OperRef::new(query, indx), genr);
    }
    genr
}

fn start(rt: &Rt, oper: &OperRef, input: NodeGenr) -> Flow<NodeGenr> {
    match &oper.kind {
        OperKind::Lift(_) => Ok(lift::lift(rt, oper, input)),
        OperKind::Filter { .. } => filter::filter(rt, oper, input),
        OperKind::Pivot(_) => pivot::pivot(rt, oper, input),
        OperKind::Walk(_) => pivot::walk(rt, oper, input),
        OperKind::Edit(_) => edit::edit(rt, oper, input),
        OperKind::Cmd(_) => cmd::cmd(rt, oper, input),
        OperKind::SubQuery { .. } => Ok(flow::subquery(rt, oper, input)),
        OperKind::Yield(_) => Ok(yields::yields(rt, oper, input)),
        OperKind::Init(query) => Ok(flow::init(rt, query, input)),
        OperKind::Empty(query) => Ok(flow::on_empty(rt, query, input)),
        OperKind::Fini(query) => Ok(flow::fini(rt, query, input)),
        OperKind::For { .. } => Ok(flow::for_loop(rt, oper, input)),
        OperKind::While { .. } => Ok(flow::while_loop(rt, oper, input)),
        OperKind::If { .. } => Ok(flow::if_stmt(rt, oper, input)),
        OperKind::Switch { .. } => Ok(flow::switch(rt, oper, input)),
        OperKind::Try { .. } => Ok(flow::try_catch(rt, oper, input)),
        OperKind::Break | OperKind::Continue | OperKind::Stop => Ok(flow::ctrl(oper, input)),
        OperKind::Return(_) => Ok(flow::returns(rt, oper, input)),
        OperKind::Emit(_) => Ok(flow::emit(rt, oper, input)),
        OperKind::Function(_) => vars::function(rt, oper, input),
        OperKind::SetVar { .. } => Ok(vars::set_var(rt, oper, input)),
        OperKind::SetVarList { .. } => Ok(vars::set_var_list(rt, oper, input)),
        OperKind::SetItem { .. } => Ok(vars::set_item(rt, oper, input)),
        OperKind::VarEval(_) => Ok(vars::var_eval(rt, oper, input)),
    }
}

/// The pipe of a query in one of the modes that begin with words.
///
/// # Errors
/// `IsReadOnly` for `autoadd` in a read-only query, `NoSuchVar`.
pub fn lookup_mode(rt: &Rt, mode: &str, tokens: Vec<Arc<str>>) -> Flow<NodeGenr> {
    let query = rt.query().clone();
    let given = crate::run::inputs(rt)?;
    let input = if mode == "search" {
        let words: Vec<myelin_value::Value> = tokens.iter().map(myelin_value::Value::from).collect();
        if words.is_empty() { empty() } else { lift::search(rt, &words)? }
    } else {
        if mode == "autoadd" {
            rt.req_not_readonly(Span::new(0, query.source.text().len()))?;
        }
        lift::lookup(rt, tokens, mode == "autoadd", empty())
    };
    let mut input = Some(input);
    rt.execute_with(chain(given, move || Ok(input.take().unwrap_or_else(empty))))
}
