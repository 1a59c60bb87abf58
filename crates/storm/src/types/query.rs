//! `storm:query`: an embedded query.

use std::sync::Arc;

use crate::ctl::{Ctl, Ctrl, Flow};
use crate::item::{Arg, Args, Dflt, FuncDef, Item, QueryObj, TypeDef};
use crate::ops::NodeGenr;
use crate::registry::Registry;
use crate::rt::Rt;

static DEF: TypeDef = TypeDef {
    name: "storm:query",
    funcs: &[FuncDef::ro("exec", &[], exec), FuncDef::ro("size", &[Arg::opt("limit", Dflt::Int(1000))], size)],
    getters: &[],
    setters: &[],
};

/// Puts the table into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_type(&DEF);
}

fn this_query(this: &Item) -> Flow<&Arc<QueryObj>> {
    match this {
        Item::Query(query) => Ok(query),
        _ => crate::fail!("BadArg", mesg = "This is no query."),
    }
}

fn nodes(query: &QueryObj) -> Flow<NodeGenr> {
    let parsed = query.rt.parse(&query.text)?;
    query.rt.beside(&parsed, query.vars())?.execute()
}

fn exec(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let query = this_query(this)?;
    let mut genr = nodes(query)?;
    loop {
        match genr.next() {
            Ok(Some(_)) => query.rt.tick()?,
            Ok(None) => return Ok(Item::NULL),
            Err(Ctl::Ctrl(ctrl)) => match *ctrl {
                Ctrl::Return(item) => return Ok(item),
                other => return Err(other.into()),
            },
            Err(error) => return Err(error),
        }
    }
}

fn size(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let limit = args.int(rt, 0)?;
    let mut genr = nodes(this_query(this)?)?;
    let mut size = 0;
    loop {
        match genr.next() {
            Ok(Some(_)) => size += 1,
            Ok(None) => break,
            Err(Ctl::Ctrl(ctrl)) if matches!(*ctrl, Ctrl::Return(_)) => break,
            Err(error) => return Err(error),
        }
        if size >= limit {
            break;
        }
    }
    Ok(Item::from(size))
}
