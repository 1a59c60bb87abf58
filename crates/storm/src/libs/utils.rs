//! `$lib.utils`.

use std::sync::Arc;

use myelin_value::{Map, Value, buid_of};

use super::help::bytes_item;
use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "utils",
    funcs: &[
        FuncDef::ro("buid", &[Arg::req("valu")], |rt, _, args| Ok(bytes_item(&buid_of(&args.prim(rt, 0)?).0[..]))),
        FuncDef::ro("todo", &[Arg::req("_todoname"), Arg::star("args"), Arg::kwargs("kwargs")], todo),
    ],
    consts: &[],
};

fn todo(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let name = args.str(rt, 0)?;
    let rest: Flow<Vec<Value>> = args.rest().iter().map(|item| item.toprim(rt)).collect();
    let mut kwargs = Map::new();
    for (name, valu) in args.kwargs() {
        kwargs.insert(Arc::clone(name), valu.toprim(rt)?);
    }
    Ok(Item::Val(Value::list([Value::from(name), Value::list(rest?), Value::from(kwargs)])))
}
