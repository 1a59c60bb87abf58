//! `$lib.log`: lines in the service's log.

use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

const ARGS: &[Arg] = &[Arg::req("mesg"), Arg::opt("extra", Dflt::Null)];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "log",
    funcs: &[
        FuncDef::ro("debug", ARGS, |rt, _, args| {
            let (mesg, extra) = entry(rt, &args, "debug")?;
            tracing::debug!(target: "storm", %mesg, %extra);
            Ok(Item::NULL)
        }),
        FuncDef::ro("info", ARGS, |rt, _, args| {
            let (mesg, extra) = entry(rt, &args, "info")?;
            tracing::info!(target: "storm", %mesg, %extra);
            Ok(Item::NULL)
        }),
        FuncDef::ro("warning", ARGS, |rt, _, args| {
            let (mesg, extra) = entry(rt, &args, "warning")?;
            tracing::warn!(target: "storm", %mesg, %extra);
            Ok(Item::NULL)
        }),
        FuncDef::ro("error", ARGS, |rt, _, args| {
            let (mesg, extra) = entry(rt, &args, "error")?;
            tracing::error!(target: "storm", %mesg, %extra);
            Ok(Item::NULL)
        }),
    ],
    consts: &[],
};

fn entry(rt: &Rt, args: &Args, level: &str) -> Flow<(String, String)> {
    rt.confirm(&["storm", "lib", "log", level], None)?;
    let mesg = args.str(rt, 0)?.to_string();
    let extra = args.prim(rt, 1)?;
    if extra.is_truthy() && extra.as_map().is_none() {
        let mesg = "extra provided to log call must be a dictionary compatible type.";
        crate::fail!("BadArg", mesg = mesg, arg = "extra");
    }
    let extra =
        if matches!(extra, Value::Map(_)) { super::jsontext::dumps(&extra, false, false)? } else { String::new() };
    Ok((mesg, extra))
}
