//! `list` and `set`, as a pattern for the other kinds.

use myelin_error::err;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, ListRef, SetRef, TypeDef};
use crate::registry::Registry;
use crate::rt::Rt;

static LIST: TypeDef = TypeDef {
    name: "list",
    funcs: &[
        FuncDef::ro("has", &[Arg::req("valu")], |rt, this, args| {
            let items = this.members().unwrap_or_default();
            let hit = |want: &Item| items.iter().any(|item| item.py_eq(want));
            Ok(Item::from(hit(args.item(0)) || hit(&args.item(0).tocmprvalu(rt)?)))
        }),
        FuncDef::ro("pop", &[Arg::opt("index", Dflt::Int(-1))], |rt, this, args| {
            let indx = args.int(rt, 0)?;
            let mut list = this_list(this)?.lock();
            let len = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let at = if indx < 0 { indx + len } else { indx };
            if list.is_empty() {
                crate::fail!("StormRuntimeError", mesg = "pop from empty list");
            }
            match usize::try_from(at).ok().filter(|at| *at < list.len()) {
                Some(at) => Ok(list.remove(at)),
                None => crate::fail!("StormRuntimeError", mesg = "pop index out of range"),
            }
        }),
        FuncDef::ro("size", &[], size),
        FuncDef::ro("length", &[], |rt, this, args| {
            rt.warn_once("StormType List.length() is deprecated. Use the size() method.")?;
            size(rt, this, args)
        }),
        FuncDef::ro("index", &[Arg::req("valu")], |rt, this, args| this.index(rt, args.item(0))),
        FuncDef::ro("append", &[Arg::req("valu")], |_, this, mut args| {
            this_list(this)?.lock().push(args.take(0));
            Ok(Item::NULL)
        }),
        FuncDef::ro("reverse", &[], |_, this, _| {
            this_list(this)?.lock().reverse();
            Ok(Item::NULL)
        }),
        FuncDef::ro("sort", &[Arg::opt("reverse", Dflt::Bool(false))], sort),
        FuncDef::rw("slice", &[Arg::req("start"), Arg::opt("end", Dflt::Null)], slice),
        FuncDef::rw("extend", &[Arg::req("valu")], |rt, this, args| {
            if !args.is_null(0) {
                let items = args.item(0).tovec(rt)?;
                this_list(this)?.lock().extend(items);
            }
            Ok(Item::NULL)
        }),
        FuncDef::ro("unique", &[], |rt, this, _| {
            let mut keys: Vec<Item> = Vec::new();
            let mut retn = Vec::new();
            for item in this.members().unwrap_or_default() {
                let key = item.tocmprvalu(rt)?;
                if !keys.iter().any(|have| have.py_eq(&key)) {
                    keys.push(key);
                    retn.push(item);
                }
            }
            Ok(Item::list(retn))
        }),
        FuncDef::rw("rem", &[Arg::req("item"), Arg::opt("all", Dflt::Bool(false))], |rt, this, args| {
            let (want, all) = (Item::Val(args.prim(rt, 0)?), args.bool(rt, 1)?);
            let mut list = this_list(this)?.lock();
            let before = list.len();
            if all {
                list.retain(|item| !item.py_eq(&want));
            } else if let Some(at) = list.iter().position(|item| item.py_eq(&want)) {
                list.remove(at);
            }
            Ok(Item::from(list.len() < before))
        }),
    ],
    getters: &[],
    setters: &[],
};

static SET: TypeDef = TypeDef {
    name: "set",
    funcs: &[
        FuncDef::rw("size", &[], |_, this, _| Ok(Item::from(this_set(this)?.lock().len()))),
        FuncDef::ro("has", &[Arg::req("item")], |_, this, args| {
            Ok(Item::from(this_set(this)?.lock().contains_key(&args.item(0).key())))
        }),
        FuncDef::ro("add", &[Arg::star("items")], |rt, this, args| add(rt, this, args.rest())),
        FuncDef::ro("adds", &[Arg::star("items")], |rt, this, args| {
            for item in args.rest() {
                add(rt, this, &item.tovec(rt)?)?;
            }
            Ok(Item::NULL)
        }),
        FuncDef::ro("rem", &[Arg::star("items")], |_, this, args| rem(this, args.rest())),
        FuncDef::ro("rems", &[Arg::star("items")], |rt, this, args| {
            for item in args.rest() {
                rem(this, &item.tovec(rt)?)?;
            }
            Ok(Item::NULL)
        }),
        FuncDef::ro("list", &[], |_, this, _| Ok(Item::list(this_set(this)?.lock().values().cloned()))),
    ],
    getters: &[],
    setters: &[],
};

/// Puts the tables into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_type(&LIST);
    registry.add_type(&SET);
}

fn this_list(this: &Item) -> Flow<&ListRef> {
    match this {
        Item::List(list) => Ok(list),
        _ => crate::fail!("BadArg", mesg = "This is no list."),
    }
}

fn this_set(this: &Item) -> Flow<&SetRef> {
    match this {
        Item::Set(set) => Ok(set),
        _ => crate::fail!("BadArg", mesg = "This is no set."),
    }
}

fn size(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    Ok(Item::from(this.members().unwrap_or_default().len()))
}

fn sort(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let reverse = args.bool(rt, 0)?;
    let mut items = this_list(this)?.lock().clone();
    let mut keys = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        keys.push((item.tocmprvalu(rt)?, item));
    }
    let mut bad: Option<(&'static str, &'static str)> = None;
    keys.sort_by(|(left, one), (right, two)| {
        let order = match (left, right) {
            (Item::Val(left), Item::Val(right)) => myelin_model::types::py::cmp(left, right),
            _ => left.as_decimal().zip(right.as_decimal()).and_then(|(left, right)| left.partial_cmp(&right)),
        };
        let order = order.unwrap_or_else(|| {
            bad = Some((two.type_name(), one.type_name()));
            std::cmp::Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    if let Some((left, right)) = bad {
        let mesg = format!("Error sorting list: '<' not supported between instances of '{left}' and '{right}'");
        return Err(err!("StormRuntimeError", mesg = mesg, valurepr = this.torepr(rt, false)?).into());
    }
    *this_list(this)?.lock() = keys.into_iter().map(|(_, item)| item).collect();
    Ok(Item::NULL)
}

fn slice(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let items = this.members().unwrap_or_default();
    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let clamp = |indx: i64| {
        let indx = if indx < 0 { indx + len } else { indx };
        usize::try_from(indx.clamp(0, len)).unwrap_or_default()
    };
    let start = clamp(args.int(rt, 0)?);
    let end = args.opt_int(rt, 1)?.map_or(items.len(), clamp);
    Ok(Item::list(items.into_iter().take(end).skip(start)))
}

fn add(rt: &Rt, this: &Item, items: &[Item]) -> Flow<Item> {
    let set = this_set(this)?;
    for item in items {
        if item.is_mutable() {
            let mesg = format!("{} is mutable and cannot be used in a set.", item.torepr(rt, false)?);
            return Err(err!("StormRuntimeError", mesg = mesg).into());
        }
        set.lock().entry(item.key()).or_insert_with(|| item.clone());
    }
    Ok(Item::NULL)
}

fn rem(this: &Item, items: &[Item]) -> Flow<Item> {
    let set = this_set(this)?;
    for item in items {
        set.lock().shift_remove(&item.key());
    }
    Ok(Item::NULL)
}
