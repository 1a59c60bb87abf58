//! `$lib.dict`: functions over dictionaries.

use myelin_value::{Map, Value};

use super::help::list_of;
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

const VALU: &[Arg] = &[Arg::req("valu")];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "dict",
    funcs: &[
        FuncDef::rw("__call__", &[Arg::kwargs("kwargs")], |rt, _, args| {
            rt.warn_once("$lib.dict() is deprecated. Use ({}) instead.")?;
            Ok(Item::dict(args.kwargs().iter().map(|(name, valu)| (name.clone(), valu.clone()))))
        }),
        FuncDef::ro("has", &[Arg::req("valu"), Arg::req("key")], |rt, _, args| {
            let map = req_map(rt, args.item(0), "valu")?;
            Ok(Item::from(map.get_value(&args.prim(rt, 1)?).is_some()))
        }),
        FuncDef::ro("keys", VALU, |rt, _, args| {
            Ok(list_of(req_map(rt, args.item(0), "valu")?.keys().cloned().collect::<Vec<_>>()))
        }),
        FuncDef::ro("values", VALU, |rt, _, args| {
            Ok(list_of(req_map(rt, args.item(0), "valu")?.values().cloned().collect::<Vec<_>>()))
        }),
        FuncDef::ro("fromlist", VALU, fromlist),
        FuncDef::ro("pop", &[Arg::req("valu"), Arg::req("key"), Arg::opt("default", Dflt::Undef)], pop),
        FuncDef::ro("update", &[Arg::req("valu"), Arg::req("other")], update),
    ],
    consts: &[],
};

/// The primitive of a dictionary.
fn req_map(rt: &Rt, item: &Item, name: &str) -> Flow<Map> {
    let kind = item.type_name();
    let dictlike = matches!(item, Item::Dict(_) | Item::Val(Value::Map(_))) || matches!(item, Item::Obj(_));
    if dictlike && let Value::Map(map) = item.toprim(rt)? {
        return Ok((*map).clone());
    }
    crate::fail!("BadArg", mesg = format!("{name} argument must be a dict, not {kind}."));
}

fn fromlist(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let Value::List(items) = args.prim(rt, 0)? else {
        crate::fail!("BadArg", mesg = "$lib.dict.fromlist() argument must be an array.");
    };
    let mut map = Map::new();
    for item in items.iter() {
        let Some(pair) = item.as_list() else {
            crate::fail!("BadArg", mesg = "$lib.dict.fromlist() array elements must be an array.");
        };
        let [key, valu] = pair else {
            crate::fail!("BadArg", mesg = "$lib.dict.fromlist() argument must be an array of (key, value) pairs.");
        };
        if !(key.is_text() || key.is_int() || key.as_bool().is_some()) {
            crate::fail!("BadArg", mesg = "$lib.dict.fromlist() keys must be str or int types.");
        }
        map.insert(key.clone(), valu.clone());
    }
    Ok(Item::deep(&Value::from(map)))
}

fn pop(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let map = req_map(rt, args.item(0), "valu")?;
    let key = args.prim(rt, 1)?;
    if map.get_value(&key).is_none() {
        if matches!(args.item(2), Item::Undef) {
            let shown = Item::Val(key).torepr(rt, true)?;
            crate::fail!("BadArg", mesg = format!("Key {shown} does not exist in dictionary."));
        }
        return args.prim(rt, 2).map(Item::Val);
    }
    let key = Item::Val(key);
    let retn = args.item(0).deref(rt, &key)?;
    args.item(0).setitem(rt, &key, Item::Undef)?;
    Ok(retn)
}

fn update(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    req_map(rt, args.item(0), "valu")?;
    for (key, valu) in req_map(rt, args.item(1), "other")?.iter() {
        args.item(0).setitem(rt, &Item::Val(key.clone()), Item::Val(valu.clone()))?;
    }
    Ok(Item::NULL)
}
