//! Calls of functions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use myelin_error::err;
use myelin_storm_syntax::{Call, Value as Ast};

use super::compute;
use crate::ctl::{Ctl, Ctrl, Flow};
use crate::item::{Closure, Genr, Item, ItemIter};
use crate::node::Path;
use crate::ops::{Block, NodeGenr};
use crate::rt::{Rt, SubOpts, var_map};
use crate::walk::{Wanted, has_statement};

/// `$func(a, b, c=d)`.
///
/// # Errors
/// `StormRuntimeError` when it is no function or the arguments do not fit, `IsReadOnly`, whatever the function gives.
pub fn call(rt: &Rt, valu: &Ast, call: &Call, path: Option<&Path>) -> Flow<Item> {
    let func = lib_function(rt, compute(rt, &call.func, path)?);
    if !func.is_callable() {
        let (kind, text) = (func.type_name(), rt.query().slice(valu.span));
        let mesg = format!("'{kind}' object is not callable: {text}");
        return Err(rt.at(valu.span, err!("StormRuntimeError", mesg = mesg).into()));
    }
    if rt.readonly() {
        req_readonly(rt, &func).map_err(|error| rt.at(call.func.span, error))?;
    }
    let args: Flow<Vec<Item>> = call.args.iter().map(|arg| compute(rt, arg, path)).collect();
    let args = args?;
    let mut kwargs = Vec::with_capacity(call.kwargs.len());
    for (name, arg) in &call.kwargs {
        kwargs.push((name.text.clone(), compute(rt, arg, path)?));
    }
    func.call(rt, args, kwargs).map_err(|error| match (error, &func) {
        (Ctl::Err(mut error), Item::Func(closure)) if closure.from_module.load(Ordering::Relaxed) => {
            error.info_mut().remove("highlight");
            rt.at(valu.span, Ctl::Err(error))
        }
        (error, _) => rt.at(valu.span, error),
    })
}

/// A library that can be called (`$lib.dict()`) has a function of this name.
const LIB_CALL: &str = "__call__";

fn lib_function(rt: &Rt, func: Item) -> Item {
    let Item::Lib(path) = &func else { return func };
    let defs = rt.registry().libs(path).iter();
    let found = defs.flat_map(|def| def.funcs).find(|def| def.name == LIB_CALL);
    found.map_or_else(|| func.clone(), |def| func.bind(def))
}

fn req_readonly(_rt: &Rt, func: &Item) -> Flow<()> {
    let (safe, name) = match func {
        Item::Bound(bound) => (bound.is_readonly(), bound.path()),
        Item::Obj(obj) => (obj.call_readonly(), obj.type_name().to_owned()),
        _ => (true, String::new()),
    };
    if safe {
        return Ok(());
    }
    Err(err!("IsReadOnly", mesg = format!("{name}() is not marked readonly safe.")).into())
}

/// Binds the arguments of a Storm function.
fn bind(closure: &Closure, args: Vec<Item>, mut kwargs: Vec<(Arc<str>, Item)>) -> Flow<Vec<(Arc<str>, Item)>> {
    let path = closure.path.lock().clone();
    let bad = |mesg: String| -> Ctl {
        let error = err!("StormRuntimeError", mesg = format!("{path}() {mesg}"));
        closure.rt.at(closure.def.params_span, error.into())
    };
    let (given, wanted) = (args.len() + kwargs.len(), closure.args.len());
    if given > wanted {
        return Err(bad(format!("takes {wanted} arguments but {given} were provided")));
    }
    let count = args.len();
    let mut bound: Vec<(Arc<str>, Item)> = Vec::with_capacity(wanted);
    for ((name, _), valu) in closure.args.iter().zip(args) {
        bound.push((name.clone(), valu));
    }
    for (name, dflt) in &closure.args[count..] {
        let named = kwargs.iter().position(|(have, _)| have == name).map(|indx| kwargs.remove(indx).1);
        match named.or_else(|| dflt.clone()) {
            Some(valu) => bound.push((name.clone(), valu)),
            None => return Err(bad(format!("missing required argument {name}"))),
        }
    }
    if let Some((name, _)) = kwargs.first() {
        if closure.args[..count].iter().any(|(have, _)| have == name) {
            return Err(bad(format!("got multiple values for parameter {name}")));
        }
        let plural = if kwargs.len() > 1 { "s" } else { "" };
        let names: Vec<&str> = kwargs.iter().map(|(name, _)| &**name).collect();
        return Err(bad(format!("got unexpected keyword argument{plural}: {}", names.join(","))));
    }
    Ok(bound)
}

/// Calls a Storm function: it returns, or it gives a generator of what it emits or of its nodes.
///
/// # Errors
/// `StormRuntimeError` when the arguments do not fit; whatever the body gives.
pub fn call_closure(closure: &Arc<Closure>, args: Vec<Item>, kwargs: Vec<(Arc<str>, Item)>) -> Flow<Item> {
    let vars = var_map(bind(closure, args, kwargs)?);
    let body = &closure.def.body;
    let (emits, returns) = (has_statement(body, Wanted::Emit), has_statement(body, Wanted::Return));
    if returns && !emits {
        return run(closure, vars);
    }
    Ok(Item::Genr(Genr::new(FuncGenr { closure: closure.clone(), vars: Some(vars), emits, genr: None, done: false })))
}

fn run(closure: &Arc<Closure>, vars: crate::rt::VarMap) -> Flow<Item> {
    let _depth = crate::run::deeper(&closure.rt)?;
    let rt = closure.rt.sub(&closure.def.body, SubOpts { vars, funcscope: true, ..SubOpts::default() })?;
    if let Some(block) = closure.block.get_or_init(|| Block::of(&rt, &closure.def.body)) {
        let _depth = crate::run::begin(&rt)?;
        return match block.run(&rt) {
            Ok(()) => Ok(Item::NULL),
            Err(error) => outcome(closure, error),
        };
    }
    let mut genr = rt.execute()?;
    loop {
        match genr.next() {
            Ok(Some(_)) => rt.tick()?,
            Ok(None) => return Ok(Item::NULL),
            Err(error) => return outcome(closure, error),
        }
    }
}

fn outcome(closure: &Closure, error: Ctl) -> Flow<Item> {
    let ctrl = match error {
        Ctl::Ctrl(ctrl) => *ctrl,
        error => return Err(error),
    };
    let (kind, statement) = match ctrl {
        Ctrl::Return(item) => return Ok(item),
        Ctrl::Break(..) => ("Loop control statement", "break"),
        Ctrl::Continue(..) => ("Loop control statement", "continue"),
        Ctrl::Stop(_) => ("Generator control statement", "stop"),
        other => return Err(other.into()),
    };
    let place = if statement == "stop" { "a generator function" } else { "a loop" };
    let name = &closure.def.name.text;
    let mesg = format!("function {name} - {kind} \"{statement}\" used outside of {place}.");
    let error = err!("StormRuntimeError", mesg = mesg, function = name, statement = statement);
    Err(closure.rt.at(closure.def.span, error.into()))
}

/// What a function without `return` gives: its emits, or its nodes.
struct FuncGenr {
    closure: Arc<Closure>,
    vars: Option<crate::rt::VarMap>,
    emits: bool,
    genr: Option<NodeGenr>,
    done: bool,
}

impl ItemIter for FuncGenr {
    fn next_item(&mut self) -> Flow<Option<Item>> {
        if self.done {
            return Ok(None);
        }
        let _depth = crate::run::deeper(&self.closure.rt)?;
        if let Some(vars) = self.vars.take() {
            let opts = SubOpts { vars, funcscope: true, emits: self.emits, ..SubOpts::default() };
            self.genr = Some(self.closure.rt.sub(&self.closure.def.body, opts)?.execute()?);
        }
        let Some(genr) = &mut self.genr else { return Ok(None) };
        loop {
            match genr.next() {
                Ok(Some((node, path))) if !self.emits => {
                    return Ok(Some(crate::types::node_path(node, path)));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Ctl::Ctrl(ctrl)) => match *ctrl {
                    Ctrl::Emit(item) => return Ok(Some(item)),
                    Ctrl::Stop(_) => break,
                    // Who emits does not return: whoever asked for the next item does.
                    Ctrl::Return(item) => {
                        self.done = true;
                        return Err(Ctl::ret(item));
                    }
                    other => {
                        self.done = true;
                        return outcome(&self.closure, other.into()).map(|_| None);
                    }
                },
                Err(error) => {
                    self.done = true;
                    return Err(error);
                }
            }
        }
        self.done = true;
        self.genr = None;
        Ok(None)
    }
}
