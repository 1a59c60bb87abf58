//! `$lib.tags`.

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "tags",
    funcs: &[FuncDef::ro(
        "prefix",
        &[Arg::req("names"), Arg::req("prefix"), Arg::opt("ispart", Dflt::Bool(false))],
        prefix,
    )],
    consts: &[],
};

/// Names as tags below a prefix; those that make no tag are left out.
fn prefix(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (prefix, ispart) = (args.str(rt, 1)?, args.bool(rt, 2)?);
    let (model, cx) = (rt.model(), rt.norm_cx());
    let mut retn = Vec::new();
    for part in args.item(0).tovec(rt)? {
        if ispart {
            retn.push(Item::from(format!("{prefix}.{}", part.tostr(rt)?)));
            continue;
        }
        let Some(ty) = model.typ("syn:tag:part") else { break };
        match ty.norm(&cx, &part.toprim(rt)?) {
            Ok(norm) => retn.push(Item::from(format!("{prefix}.{}", norm.value.as_str().unwrap_or_default()))),
            Err(error) if error.isa("BadTypeValu") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Item::list(retn))
}
