//! `$lib.env`: the part of the service's environment that queries may see.

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "env",
    funcs: &[FuncDef::ro("get", &[Arg::req("name"), Arg::opt("default", Dflt::Null)], get)],
    consts: &[],
};

fn get(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    rt.req_admin(None, Some("$lib.env.get() requires admin privileges."))?;
    let name = args.str(rt, 0)?;
    if !name.starts_with("SYN_STORM_ENV_") {
        let mesg = format!("Environment variable must start with SYN_STORM_ENV_ : {name}");
        crate::fail!("BadArg", mesg = mesg);
    }
    match std::env::var(&*name) {
        Ok(valu) => Ok(Item::from(valu)),
        Err(_) => Ok(args.opt_str(rt, 1)?.map(Item::from).unwrap_or_default()),
    }
}
