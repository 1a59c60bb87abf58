//! Statements where there are no nodes: run one after the other, without a pipe.
//!
//! The body of most loops and functions sets variables, calls functions and branches, and is entered without a node.
//! A pipe would be built and taken down for every turn only to run each statement once. A [`Block`] is such a body, made
//! ready once: it knows that all its statements are of that kind, and remembers which have been found to be the same for
//! every node (once so, always so: see [`crate::walk`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use myelin_storm_syntax::{Oper, OperKind, Query, Value};

use super::flow::{bind_target, choose_case, loop_items};
use super::vars;
use crate::ctl::{Ctl, Ctrl, Flow};
use crate::expr::compute;
use crate::item::Item;
use crate::rt::Rt;
use crate::walk::value_runtsafe;

/// A body of statements that neither take nor give nodes.
pub struct Block {
    query: Arc<Query>,
    stmts: Box<[Stmt]>,
}

struct Stmt {
    /// Whether it has been found to be the same for every node.
    safe: AtomicBool,
    /// The bodies in it, in the order of the text.
    bodies: Box<[Block]>,
}

impl Block {
    /// The body, if all its statements are such.
    ///
    /// Nothing where operators are measured: then each is run by itself.
    pub fn of(rt: &Rt, query: &Arc<Query>) -> Option<Block> {
        if rt.shared().plan().is_some() || rt.shared().is_plain() { None } else { Block::new(query) }
    }

    fn new(query: &Arc<Query>) -> Option<Block> {
        let stmts: Option<Box<[Stmt]>> = query.ops.iter().map(Stmt::new).collect();
        Some(Block { query: query.clone(), stmts: stmts? })
    }

    /// Runs the statements.
    ///
    /// # Errors
    /// What they give, and the signals of `return`, `break` and `continue`.
    pub fn run(&self, rt: &Rt) -> Flow<()> {
        for (oper, stmt) in self.query.ops.iter().zip(&self.stmts) {
            stmt.run(rt, oper)?;
        }
        Ok(())
    }
}

impl Stmt {
    fn new(oper: &Oper) -> Option<Stmt> {
        let bodies: Vec<&Arc<Query>> = match &oper.kind {
            OperKind::SetVar { .. }
            | OperKind::SetVarList { .. }
            | OperKind::SetItem { .. }
            | OperKind::VarEval(_)
            | OperKind::Return(_)
            | OperKind::Break
            | OperKind::Continue => Vec::new(),
            OperKind::For { body, .. } | OperKind::While { body, .. } => vec![body],
            OperKind::If { clauses, otherwise } => clauses.iter().map(|(_, body)| body).chain(otherwise).collect(),
            OperKind::Switch { cases, .. } => cases.iter().map(|case| &case.body).collect(),
            _ => return None,
        };
        let bodies: Option<Box<[Block]>> = bodies.into_iter().map(Block::new).collect();
        Some(Stmt { safe: AtomicBool::new(false), bodies: bodies? })
    }

    /// Whether what it computes is the same for every node.
    fn is_safe<'a>(&self, rt: &Rt, vals: impl IntoIterator<Item = &'a Value>) -> bool {
        let safe = self.safe.load(Ordering::Relaxed) || vals.into_iter().all(|valu| value_runtsafe(valu, rt));
        if safe {
            self.safe.store(true, Ordering::Relaxed);
        }
        safe
    }

    fn statement(&self, rt: &Rt, oper: &Oper, run: vars::Statement) -> Flow<()> {
        let safe = self.safe.load(Ordering::Relaxed);
        if run(rt, oper, None, safe)? && !safe {
            self.safe.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn run(&self, rt: &Rt, oper: &Oper) -> Flow<()> {
        match &oper.kind {
            OperKind::SetVar { .. } => self.statement(rt, oper, vars::assign),
            OperKind::SetVarList { .. } => self.statement(rt, oper, vars::assign_list),
            OperKind::SetItem { .. } => self.statement(rt, oper, vars::assign_item),
            OperKind::VarEval(_) => self.statement(rt, oper, vars::eval),
            OperKind::Return(valu) => {
                if !self.is_safe(rt, valu) {
                    return Ok(());
                }
                let retn = match valu {
                    Some(valu) => compute(rt, valu, None)?,
                    None => Item::NULL,
                };
                Err(Ctl::ret(retn))
            }
            OperKind::Break => Err(Ctrl::Break(None, oper.span).into()),
            OperKind::Continue => Err(Ctrl::Continue(None, oper.span).into()),
            OperKind::For { target, iter, .. } => {
                if !self.is_safe(rt, [iter]) {
                    return Ok(());
                }
                let items = loop_items(rt, iter, None)?;
                while let Some(item) = items.next_item()? {
                    rt.tick()?;
                    bind_target(rt, target, iter.span, item, None)?;
                    if !self.turn(rt)? {
                        break;
                    }
                }
                Ok(())
            }
            OperKind::While { cond, .. } => {
                if !self.is_safe(rt, [cond]) {
                    return Ok(());
                }
                while compute(rt, cond, None)?.tobool(rt)? {
                    rt.tick()?;
                    if !self.turn(rt)? {
                        break;
                    }
                }
                Ok(())
            }
            OperKind::If { clauses, otherwise } => {
                if !self.is_safe(rt, clauses.iter().map(|(cond, _)| cond)) {
                    return Ok(());
                }
                for ((cond, _), body) in clauses.iter().zip(&self.bodies) {
                    if compute(rt, cond, None)?.tobool(rt)? {
                        return body.run(rt);
                    }
                }
                match (otherwise, self.bodies.last()) {
                    (Some(_), Some(body)) => body.run(rt),
                    _ => Ok(()),
                }
            }
            OperKind::Switch { value, cases } => {
                if !self.is_safe(rt, [value]) {
                    return Ok(());
                }
                match choose_case(rt, value, cases, None)?.and_then(|at| self.bodies.get(at)) {
                    Some(body) => body.run(rt),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// One turn of a loop. False when the loop is over.
    fn turn(&self, rt: &Rt) -> Flow<bool> {
        let Some(body) = self.bodies.first() else { return Ok(true) };
        super::flow::turn(body, rt)
    }
}
