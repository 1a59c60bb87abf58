//! `$lib.math`.

use crate::item::{Arg, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "math",
    funcs: &[FuncDef::ro("number", &[Arg::req("value")], |rt, _, args| Ok(Item::Num(args.item(0).todecimal(rt)?)))],
    consts: &[],
};
