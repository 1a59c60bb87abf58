//! `$lib.scrape`: indicators in text.

use myelin_value::{Map, Value};

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item};
use crate::registry::LibDef;
use crate::rt::Rt;
use crate::scrape::{Fangs, context, normed, original};

const TEXT: &[Arg] = &[Arg::req("text")];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "scrape",
    funcs: &[
        FuncDef::rw(
            "__call__",
            &[
                Arg::req("text"),
                Arg::opt("ptype", Dflt::Null),
                Arg::opt("refang", Dflt::Bool(true)),
                Arg::opt("unique", Dflt::Bool(true)),
            ],
            found,
        ),
        FuncDef::ro("context", TEXT, |rt, _, args| {
            let found = normed(rt, &args.str(rt, 0)?, false)?;
            Ok(Item::Genr(Genr::of(found.into_iter().map(|(found, valu)| {
                let info = Item::deep(&Value::from(found.info()));
                Item::list([Item::from(found.form), Item::Val(valu), info])
            }))))
        }),
        FuncDef::ro("ndefs", TEXT, |rt, _, args| {
            let found = normed(rt, &args.str(rt, 0)?, true)?;
            Ok(Item::Genr(Genr::of(
                found.into_iter().map(|(found, valu)| Item::Val(Value::list([Value::from(found.form), valu]))),
            )))
        }),
        FuncDef::ro(
            "genMatches",
            &[Arg::req("text"), Arg::req("pattern"), Arg::opt("fangs", Dflt::Null), Arg::opt("flags", Dflt::Int(2))],
            gen_matches,
        ),
    ],
    consts: &[],
};

/// Forms and values as the text has them. Long out of use, kept for old queries.
fn found(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    rt.warn_once("$lib.scrape() is deprecated. Use $lib.scrape.ndefs().")?;
    let (text, form, refang, unique) = (args.str(rt, 0)?, args.opt_str(rt, 1)?, args.bool(rt, 2)?, args.bool(rt, 3)?);
    let mut seen = std::collections::HashSet::new();
    let mut retn = Vec::new();
    for found in context(&text, form.as_deref(), refang) {
        let item = Value::list([Value::from(found.form), found.valu]);
        if !unique || seen.insert(item.clone()) {
            retn.push(Item::Val(item));
        }
    }
    Ok(Item::Genr(Genr::of(retn)))
}

/// Matches of a pattern with a group `valu`, with their place in the text as given.
fn gen_matches(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let text = args.str(rt, 0)?;
    let regx = super::regex::compile(&args.str(rt, 1)?, args.int(rt, 3)?)?;
    let mut pairs = Vec::new();
    let fangs = args.prim(rt, 2)?;
    for pair in fangs.as_list().unwrap_or_default() {
        if let (Some(from), Some(to)) = (pair.at(0).and_then(Value::as_str), pair.at(1).and_then(Value::as_str)) {
            pairs.push((from.to_owned(), to.to_owned()));
        }
    }
    let (plain, offsets) = Fangs::of(pairs)?.refang(&text);
    let Some(group) = regx.group_names().iter().position(|name| *name == Some("valu")) else {
        crate::fail!("BadArg", mesg = "The pattern must have a group named valu.");
    };
    let chars: Vec<char> = text.chars().collect();
    let mut retn = Vec::new();
    for groups in super::regex::matches(rt, &regx, &plain)? {
        let Some((from, to)) = groups.get(group).copied().flatten() else { continue };
        let (valu, offset) = (&plain[from..to], plain[..from].chars().count());
        let (shown, offset) = original(&chars, &offsets, offset, valu.chars().count());
        let info = Map::new().with("match", shown).with("offset", offset);
        retn.push(Item::list([Item::from(valu), Item::deep(&Value::from(info))]));
    }
    Ok(Item::Genr(Genr::of(retn)))
}
