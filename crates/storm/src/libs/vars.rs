//! `$lib.vars`: the variables of the running query.

use crate::item::{Arg, Dflt, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "vars",
    funcs: &[
        FuncDef::ro("get", &[Arg::req("name"), Arg::opt("defv", Dflt::Null)], |rt, _, mut args| {
            let name = args.str(rt, 0)?;
            Ok(rt.get_var(&name).unwrap_or_else(|| args.take(1)))
        }),
        FuncDef::ro("set", &[Arg::req("name"), Arg::req("valu")], |rt, _, mut args| {
            let name = args.str(rt, 0)?;
            rt.set_var(&name, args.take(1));
            Ok(Item::NULL)
        }),
        FuncDef::ro("del", &[Arg::req("name")], |rt, _, args| {
            rt.pop_var(&args.str(rt, 0)?);
            Ok(Item::NULL)
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let vars = rt.vars();
            Ok(Item::list(vars.iter().map(|(name, valu)| Item::list([Item::from(name), valu.clone()]))))
        }),
        FuncDef::ro("type", &[Arg::req("valu")], |_, _, args| Ok(Item::from(args.item(0).type_name()))),
    ],
    consts: &[],
};
