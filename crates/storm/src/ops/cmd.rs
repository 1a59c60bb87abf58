//! `cmd arg arg`: commands of the runtime, of packages and of services.

use std::sync::Arc;

use myelin_error::err;
use myelin_storm_syntax::OperKind;

use super::{NodeGenr, NodeIter, OperRef, chain, empty, from_fn, once};
use crate::cmds::{CmdCx, find};
use crate::ctl::{Ctl, Flow};
use crate::expr::compute;
use crate::item::Item;
use crate::node::{NodePath, Path};
use crate::rt::Rt;
use crate::walk::value_runtsafe;

fn argv(rt: &Rt, oper: &OperRef, path: Option<&Path>) -> Flow<Vec<Item>> {
    let OperKind::Cmd(cmd) = &oper.kind else { return Ok(Vec::new()) };
    cmd.args.iter().map(|arg| compute(rt, arg, path)).collect()
}

/// Runs a command: its arguments are computed for every node, or once when they are the same for all.
pub fn cmd(rt: &Rt, oper: &OperRef, mut input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Cmd(cmd) = &oper.kind else { return Ok(input) };
    let name = &cmd.name.text;
    let Some(command) = find(rt, name) else {
        let mesg = format!("Storm command ({name}) not found.");
        return Err(rt.at(cmd.name.span, err!("NoSuchName", name = name, mesg = mesg).into()));
    };
    let runtsafe = cmd.args.iter().all(|arg| value_runtsafe(arg, rt));
    if rt.readonly() && !command.is_readonly() {
        let mesg = format!("Command ({name}) is not marked safe for readonly use.");
        return Err(rt.at(oper.span, err!("IsReadOnly", mesg = mesg).into()));
    }
    let cx = Arc::new(CmdCx::new(rt, runtsafe, &command));
    if cmd.args.is_empty()
        && command.only_counts()
        && let Some(size) = input.size()?
    {
        set_argv(rt, oper, &cx, None)?;
        return command.run(cx, Box::new(Told(size)));
    }
    let first = input.next()?;
    let any = first.is_some();
    if let Some((_, path)) = &first {
        set_argv(rt, oper, &cx, Some(path))?;
    }
    if runtsafe {
        set_argv(rt, oper, &cx, None)?;
    } else if !any {
        return Ok(empty());
    }
    let (rt, oper, held) = (rt.clone(), oper.clone(), cx.clone());
    let rest = from_fn(move || {
        let Some((node, path)) = input.next()? else { return Ok(None) };
        if !held.runtsafe() {
            set_argv(&rt, &oper, &held, Some(&path))?;
        }
        Ok(Some((node, path)))
    });
    let input = match first {
        Some(item) => chain(once(item), move || Ok(rest)),
        None => rest,
    };
    command.run(cx, input)
}

/// Nodes of which only the number is known and wanted.
struct Told(u64);

impl NodeIter for Told {
    fn next(&mut self) -> Flow<Option<NodePath>> {
        Ok(None)
    }

    fn size(&mut self) -> Flow<Option<u64>> {
        Ok(Some(std::mem::take(&mut self.0)))
    }
}

fn set_argv(rt: &Rt, oper: &OperRef, cx: &CmdCx, path: Option<&Path>) -> Flow<()> {
    let argv = argv(rt, oper, path)?;
    if cx.set_argv(argv)? { Ok(()) } else { Err(Ctl::exit()) }
}
