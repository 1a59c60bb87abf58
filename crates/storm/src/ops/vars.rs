//! Variables and functions.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use myelin_error::err;
use myelin_storm_syntax::{Oper, OperKind};
use parking_lot::Mutex;

use super::{NodeGenr, OperRef, each_or_once, from_fn};
use crate::ctl::{Ctl, Flow};
use crate::expr::compute;
use crate::item::{Closure, Item, trim_text};
use crate::node::Path;
use crate::rt::Rt;
use crate::walk::{Part, is_runtsafe, value_runtsafe};

fn set(rt: &Rt, path: Option<&Path>, name: &Arc<str>, valu: Item) {
    if matches!(valu, Item::Undef) {
        rt.pop_var(name);
        if let Some(path) = path {
            path.pop_var(name);
        }
        return;
    }
    if let Some(path) = path {
        path.set_var(name, valu.clone());
    }
    rt.set_var(name, valu);
}

/// Whether a statement that has no node to run for runs once: when what it computes is the same for every node.
fn runs(valu: &myelin_storm_syntax::Value, rt: &Rt, path: Option<&Path>, safe: bool) -> bool {
    safe || path.is_some() || value_runtsafe(valu, rt)
}

/// `$name = value`
pub fn set_var(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    statement(rt, oper, input, assign)
}

/// `($a, $b) = value`
pub fn set_var_list(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    statement(rt, oper, input, assign_list)
}

/// `$item.key = value`
pub fn set_item(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    statement(rt, oper, input, assign_item)
}

/// `$func()`
pub fn var_eval(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    statement(rt, oper, input, eval)
}

/// What a statement does for a node, or once. Says whether it could run.
pub(super) type Statement = fn(&Rt, &Oper, Option<&Path>, bool) -> Flow<bool>;

fn statement(rt: &Rt, oper: &OperRef, input: NodeGenr, run: Statement) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let (rt2, oper2) = (rt.clone(), oper.clone());
    let each = move |path: &Path| run(&rt, &oper, Some(path), false).map(drop);
    each_or_once(input, move |_, path| each(path), move || run(&rt2, &oper2, None, false).map(drop))
}

/// `$name = value`
pub(super) fn assign(rt: &Rt, oper: &Oper, path: Option<&Path>, safe: bool) -> Flow<bool> {
    let OperKind::SetVar { name, value } = &oper.kind else { return Ok(false) };
    if !runs(value, rt, path, safe) {
        return Ok(false);
    }
    let valu = compute(rt, value, path)?;
    set(rt, path, &name.text, valu);
    Ok(true)
}

/// `($a, $b) = value`
pub(super) fn assign_list(rt: &Rt, oper: &Oper, path: Option<&Path>, safe: bool) -> Flow<bool> {
    let OperKind::SetVarList { names, names_span, value } = &oper.kind else { return Ok(false) };
    if !runs(value, rt, path, safe) {
        return Ok(false);
    }
    let item = compute(rt, value, path)?;
    let items = item.tovec(rt).map_err(|error| match error {
        Ctl::Err(mut error) => {
            error.info_mut().remove("type");
            Ctl::Err(error)
        }
        other => other,
    })?;
    if items.len() < names.len() {
        let list = Item::list(items.iter().cloned());
        let text = trim_text(&list.torepr(rt, false)?);
        let mesg = format!("Attempting to assign more items than we have variables to assign to: {text}");
        let names: Vec<&str> = names.iter().map(|name| &*name.text).collect();
        let error = err!("StormVarListError", mesg = mesg, names = names, numitems = items.len());
        return Err(rt.at(*names_span, error.into()));
    }
    for (name, valu) in names.iter().zip(items) {
        rt.set_var(&name.text, valu.clone());
        if let Some(path) = path {
            path.set_var(&name.text, valu);
        }
    }
    Ok(true)
}

/// `$item.key = value`
pub(super) fn assign_item(rt: &Rt, oper: &Oper, path: Option<&Path>, safe: bool) -> Flow<bool> {
    let OperKind::SetItem { item, key, value } = &oper.kind else { return Ok(false) };
    if !safe && path.is_none() && !is_runtsafe(Part::Oper(oper), rt) {
        return Ok(false);
    }
    let target = compute(rt, item, path)?;
    let name = compute(rt, key, path)?;
    let valu = compute(rt, value, path)?;
    if rt.readonly() && !target.setitem_readonly(rt, &name) {
        let setter = target.type_def(rt).zip(name.as_str());
        if setter.is_some_and(|(def, name)| def.setters.iter().any(|(have, ..)| *have == name)) {
            let mesg = format!("Setting {} is not marked readonly safe.", name.tostr(rt)?);
            let error = err!("IsReadOnly", mesg = mesg, name = name.toprim(rt)?, valu = valu.toprim(rt)?);
            return Err(rt.at(item.span, error.into()));
        }
        rt.req_not_readonly(item.span)?;
    }
    target.setitem(rt, &name, valu).map_err(|error| rt.at(item.span, error))?;
    Ok(true)
}

/// `$func()`
pub(super) fn eval(rt: &Rt, oper: &Oper, path: Option<&Path>, safe: bool) -> Flow<bool> {
    let OperKind::VarEval(value) = &oper.kind else { return Ok(false) };
    if !runs(value, rt, path, safe) {
        return Ok(false);
    }
    let item = compute(rt, value, path)?;
    if let (Item::Genr(genr), None) = (item, path) {
        while genr.next_item()?.is_some() {
            rt.tick()?;
        }
    }
    Ok(true)
}

/// `function name(params) { … }`
pub fn function(rt: &Rt, oper: &OperRef, mut input: NodeGenr) -> Flow<NodeGenr> {
    let (rt, oper) = (rt.clone(), oper.clone());
    let OperKind::Function(func) = &oper.kind else { return Ok(input) };
    for valu in func.params.iter().filter_map(|param| param.default.as_ref()) {
        if !value_runtsafe(valu, &rt) {
            let mesg = "Non-runtsafe default parameter value not allowed";
            return Err(rt.at(func.params_span, err!("StormRuntimeError", mesg = mesg).into()));
        }
    }
    let mut defined = false;
    Ok(from_fn(move || {
        let item = input.next()?;
        if !defined {
            defined = true;
            define(&rt, &oper)?;
        }
        Ok(item)
    }))
}

fn define(rt: &Rt, oper: &OperRef) -> Flow<()> {
    let OperKind::Function(func) = &oper.kind else { return Ok(()) };
    let mut args = Vec::with_capacity(func.params.len());
    for param in &func.params {
        let dflt = match &param.default {
            Some(valu) => {
                let item = compute(rt, valu, None)?;
                if item.is_mutable() {
                    let mesg = "Mutable default parameter value not allowed";
                    let error: Ctl = err!("StormRuntimeError", mesg = mesg).into();
                    return Err(rt.at(param.name.span, error));
                }
                Some(item)
            }
            None => None,
        };
        args.push((param.name.text.clone(), dflt));
    }
    let name = func.name.text.clone();
    let path = Mutex::new(name.clone());
    let (block, from_module) = (OnceLock::new(), AtomicBool::new(false));
    let closure = Closure { def: func.clone(), rt: rt.clone(), args, block, path, from_module };
    rt.set_var(&name, Item::Func(Arc::new(closure)));
    Ok(())
}
