//! `$lib.spooled`: sets of primitives. The platform moves large ones to disk; here memory holds them all.

use std::any::Any;

use indexmap::IndexMap;
use myelin_value::Value;
use parking_lot::Mutex;

use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::Rt;

use super::help::req_member;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "spooled",
    funcs: &[FuncDef::ro("set", &[Arg::star("vals")], |rt, _, args| {
        let set = SpooledSet::default();
        args.rest().iter().try_for_each(|item| set.add(rt, item))?;
        Ok(Item::obj(set))
    })],
    consts: &[],
};

/// A set of primitives.
#[derive(Default)]
pub struct SpooledSet(Mutex<IndexMap<crate::item::Key, Value>>);

const ITEMS: &[Arg] = &[Arg::star("items")];

pub(super) static TYPE: TypeDef = TypeDef {
    name: "spooled:set",
    funcs: &[
        FuncDef::ro("add", ITEMS, |rt, this, args| {
            let Some(set) = this.as_obj::<SpooledSet>() else { return Ok(Item::NULL) };
            args.rest().iter().try_for_each(|item| set.add(rt, item))?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("adds", ITEMS, |rt, this, args| each(rt, this, &args, SpooledSet::add)),
        FuncDef::ro("has", &[Arg::req("item")], |_, this, args| {
            let set = this.as_obj::<SpooledSet>();
            Ok(Item::from(set.is_some_and(|set| set.0.lock().contains_key(&args.item(0).key()))))
        }),
        FuncDef::ro("rem", ITEMS, |rt, this, args| {
            let Some(set) = this.as_obj::<SpooledSet>() else { return Ok(Item::NULL) };
            args.rest().iter().try_for_each(|item| set.rem(rt, item))?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("rems", ITEMS, |rt, this, args| each(rt, this, &args, SpooledSet::rem)),
        FuncDef::ro("list", &[], |_, this, _| {
            Ok(Item::list(this.as_obj::<SpooledSet>().map(SpooledSet::items).unwrap_or_default()))
        }),
        FuncDef::rw("size", &[], |_, this, _| {
            Ok(Item::from(this.as_obj::<SpooledSet>().map_or(0, |set| set.0.lock().len())))
        }),
    ],
    getters: &[],
    setters: &[],
};

fn each(rt: &Rt, this: &Item, args: &Args, run: fn(&SpooledSet, &Rt, &Item) -> Flow<()>) -> Flow<Item> {
    let Some(set) = this.as_obj::<SpooledSet>() else { return Ok(Item::NULL) };
    for items in args.rest() {
        let genr = items.toiter(rt)?;
        while let Some(item) = genr.next_item()? {
            rt.tick()?;
            run(set, rt, &item)?;
        }
    }
    Ok(Item::NULL)
}

impl SpooledSet {
    fn add(&self, rt: &Rt, item: &Item) -> Flow<()> {
        req_member(rt, item)?;
        let Item::Val(valu) = item else {
            let mesg = format!("{} is not safe to be used in a SpooledSet.", item.torepr(rt, false)?);
            crate::fail!("StormRuntimeError", mesg = mesg);
        };
        self.0.lock().entry(item.key()).or_insert_with(|| valu.clone());
        Ok(())
    }

    fn rem(&self, _rt: &Rt, item: &Item) -> Flow<()> {
        self.0.lock().shift_remove(&item.key());
        Ok(())
    }

    fn items(&self) -> Vec<Item> {
        self.0.lock().values().cloned().map(Item::Val).collect()
    }
}

impl StormObj for SpooledSet {
    fn type_name(&self) -> &'static str {
        "spooled:set"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(Genr::of(self.items()))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Value::list(self.0.lock().values().cloned().collect::<Vec<_>>()))
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        let parts: Flow<Vec<_>> = self.items().iter().map(|item| item.torepr(rt, false)).collect();
        Ok(format!("{{{}}}", parts?.join(", ")))
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.lock().len()))
    }
}
