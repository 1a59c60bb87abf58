//! `$lib.csv`: rows as messages.

use myelin_value::{Map, Value};

use crate::ctl::Flow;
use crate::item::{Arg, Dflt, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "csv",
    funcs: &[FuncDef::ro("emit", &[Arg::star("args"), Arg::opt("table", Dflt::Null)], |rt, _, args| {
        let row: Flow<Vec<Value>> = args.rest().iter().map(|item| item.toprim(rt)).collect();
        let info = Map::new().with("row", Value::list(row?)).with("table", args.prim(rt, 1)?);
        rt.fire("csv:row", info)?;
        Ok(Item::NULL)
    })],
    consts: &[],
};
