//! `$lib.str`: putting text together.

use super::help::kwarg_format;
use crate::ctl::Flow;
use crate::item::{Arg, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "str",
    funcs: &[
        FuncDef::ro("concat", &[Arg::star("args")], |rt, _, args| {
            let parts: Flow<Vec<_>> = args.rest().iter().map(|item| item.tostr(rt)).collect();
            Ok(Item::from(parts?.concat()))
        }),
        FuncDef::ro("format", &[Arg::req("text"), Arg::kwargs("kwargs")], |rt, _, args| {
            Ok(Item::from(kwarg_format(rt, &args.str(rt, 0)?, args.kwargs())?))
        }),
        FuncDef::ro("join", &[Arg::req("sepr"), Arg::req("items")], |rt, _, args| {
            crate::types::str::join(rt, &args.str(rt, 0)?, args.item(1))
        }),
    ],
    consts: &[],
};
