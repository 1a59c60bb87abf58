//! `$lib.yaml`: YAML 1.1 as Python's library reads and writes it.

mod emit;
mod load;

use crate::item::{Arg, Dflt, FuncDef, Item};
use crate::registry::LibDef;

pub use emit::dumps;
pub use load::loads;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "yaml",
    funcs: &[
        FuncDef::ro("save", &[Arg::req("valu"), Arg::opt("sort_keys", Dflt::Bool(true))], |rt, _, args| {
            let sort = args.bool(rt, 1)?;
            Ok(Item::from(dumps(&args.prim(rt, 0)?, sort)))
        }),
        FuncDef::ro("load", &[Arg::req("valu")], |rt, _, args| Ok(Item::deep(&loads(&args.str(rt, 0)?)?))),
    ],
    consts: &[],
};
