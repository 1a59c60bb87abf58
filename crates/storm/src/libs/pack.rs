//! `$lib.pack`: numbers and bytes by a format string.

use myelin_value::Value;

use super::help::{bytes_item, bytes_of};
use super::pystruct;
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "pack",
    funcs: &[
        FuncDef::ro("en", &[Arg::req("fmt"), Arg::req("items")], en),
        FuncDef::ro("un", &[Arg::req("fmt"), Arg::req("byts"), Arg::opt("offs", Dflt::Int(0))], un),
    ],
    consts: &[],
};

fn req_sign(fmt: &str) -> Flow<()> {
    if fmt.starts_with(['<', '>']) {
        return Ok(());
    }
    crate::fail!("BadArg", mesg = "Pack format string must start with > or < to denote endianness.");
}

fn en(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let fmt = args.str(rt, 0)?;
    let items = args.prim(rt, 1)?;
    req_sign(&fmt)?;
    let Some(items) = items.as_list() else {
        crate::fail!("BadArg", mesg = "The items to pack must be a list.");
    };
    Ok(bytes_item(pystruct::pack(&fmt, items)?))
}

fn un(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (fmt, offs) = (args.str(rt, 0)?, args.int(rt, 2)?);
    let Some(byts) = bytes_of(&Item::Val(args.prim(rt, 1)?)) else {
        crate::fail!("BadArg", mesg = "$lib.pack.un() second argument must be bytes.");
    };
    req_sign(&fmt)?;
    Ok(Item::Val(Value::list(pystruct::unpack_from(&fmt, &byts, offs)?)))
}
