//! Variables and functions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use myelin_error::err;
use myelin_storm_syntax::OperKind;
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

/// `$name = value`
pub fn set_var(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let each = move |path: Option<&Path>| -> Flow<()> {
        let OperKind::SetVar { name, value } = &oper.kind else { return Ok(()) };
        if path.is_none() && !value_runtsafe(value, &rt) {
            return Ok(());
        }
        let valu = compute(&rt, value, path)?;
        set(&rt, path, &name.text, valu);
        Ok(())
    };
    let each = Arc::new(each);
    let again = each.clone();
    each_or_once(input, move |_, path| each(Some(path)), move || again(None))
}

/// `($a, $b) = value`
pub fn set_var_list(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let each = move |path: Option<&Path>| -> Flow<()> {
        let OperKind::SetVarList { names, names_span, value } = &oper.kind else { return Ok(()) };
        if path.is_none() && !value_runtsafe(value, &rt) {
            return Ok(());
        }
        let item = compute(&rt, value, path)?;
        let items = item.tovec(&rt).map_err(|error| match error {
            Ctl::Err(mut error) => {
                error.info_mut().remove("type");
                Ctl::Err(error)
            }
            other => other,
        })?;
        if items.len() < names.len() {
            let list = Item::list(items.iter().cloned());
            let text = trim_text(&list.torepr(&rt, false)?);
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
        Ok(())
    };
    let each = Arc::new(each);
    let again = each.clone();
    each_or_once(input, move |_, path| each(Some(path)), move || again(None))
}

/// `$item.key = value`
pub fn set_item(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let each = move |path: Option<&Path>| -> Flow<()> {
        let OperKind::SetItem { item, key, value } = &oper.kind else { return Ok(()) };
        if path.is_none() && !is_runtsafe(Part::Oper(&oper), &rt) {
            return Ok(());
        }
        let target = compute(&rt, item, path)?;
        let name = compute(&rt, key, path)?;
        let valu = compute(&rt, value, path)?;
        if rt.readonly() && !target.setitem_readonly(&rt, &name) {
            let setter = target.type_def(&rt).zip(name.as_str());
            if setter.is_some_and(|(def, name)| def.setters.iter().any(|(have, ..)| *have == name)) {
                let mesg = format!("Setting {} is not marked readonly safe.", name.tostr(&rt)?);
                let error = err!("IsReadOnly", mesg = mesg, name = name.toprim(&rt)?, valu = valu.toprim(&rt)?);
                return Err(rt.at(item.span, error.into()));
            }
            rt.req_not_readonly(item.span)?;
        }
        target.setitem(&rt, &name, valu).map_err(|error| rt.at(item.span, error))
    };
    let each = Arc::new(each);
    let again = each.clone();
    each_or_once(input, move |_, path| each(Some(path)), move || again(None))
}

/// `$func()`
pub fn var_eval(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let (rt2, oper2) = (rt.clone(), oper.clone());
    let once = move || -> Flow<()> {
        let OperKind::VarEval(value) = &oper2.kind else { return Ok(()) };
        if !value_runtsafe(value, &rt2) {
            return Ok(());
        }
        if let Item::Genr(genr) = compute(&rt2, value, None)? {
            while genr.next_item()?.is_some() {
                rt2.tick()?;
            }
        }
        Ok(())
    };
    let each = move |path: &Path| -> Flow<()> {
        let OperKind::VarEval(value) = &oper.kind else { return Ok(()) };
        compute(&rt, value, Some(path)).map(drop)
    };
    each_or_once(input, move |_, path| each(path), once)
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
    let closure = Closure { def: func.clone(), rt: rt.clone(), args, path, from_module: AtomicBool::new(false) };
    rt.set_var(&name, Item::Func(Arc::new(closure)));
    Ok(())
}
