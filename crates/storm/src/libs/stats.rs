//! `$lib.stats`: counting by name.

use std::any::Any;

use indexmap::IndexMap;
use myelin_value::{BigInt, Map, Value};
use parking_lot::Mutex;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "stats",
    funcs: &[FuncDef::ro("tally", &[], |_, _, _| Ok(Item::obj(Tally::default())))],
    consts: &[],
};

/// Counters by name, in the order of their first use.
#[derive(Default)]
pub struct Tally(Mutex<IndexMap<String, BigInt>>);

pub(super) static TYPE: TypeDef = TypeDef {
    name: "stat:tally",
    funcs: &[
        FuncDef::ro("inc", &[Arg::req("name"), Arg::opt("valu", Dflt::Int(1))], inc),
        FuncDef::ro("get", &[Arg::req("name")], |rt, this, args| {
            let name = args.str(rt, 0)?;
            let found = this.as_obj::<Tally>().and_then(|tally| tally.0.lock().get(&*name).cloned());
            Ok(Item::Val(Value::from(found.unwrap_or_default())))
        }),
        FuncDef::ro("sorted", &[Arg::opt("byname", Dflt::Bool(false)), Arg::opt("reverse", Dflt::Bool(false))], sorted),
    ],
    getters: &[],
    setters: &[],
};

fn inc(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (name, valu) = (args.str(rt, 0)?, args.item(1).toint(rt)?);
    if let Some(tally) = this.as_obj::<Tally>() {
        *tally.0.lock().entry(name.to_string()).or_default() += valu.to_bigint().unwrap_or_default();
    }
    Ok(Item::NULL)
}

fn sorted(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (byname, reverse) = (args.bool(rt, 0)?, args.bool(rt, 1)?);
    let Some(tally) = this.as_obj::<Tally>() else { return Ok(Item::NULL) };
    let mut pairs = tally.pairs();
    pairs.sort_by(|left, right| {
        let order = if byname { (&left.0, &left.1).cmp(&(&right.0, &right.1)) } else { left.1.cmp(&right.1) };
        if reverse { order.reverse() } else { order }
    });
    Ok(Item::list(pairs.into_iter().map(pair)))
}

fn pair((name, count): (String, BigInt)) -> Item {
    Item::Val(Value::list([Value::from(name), Value::from(count)]))
}

impl Tally {
    fn pairs(&self) -> Vec<(String, BigInt)> {
        self.0.lock().iter().map(|(name, count)| (name.clone(), count.clone())).collect()
    }
}

impl StormObj for Tally {
    fn type_name(&self) -> &'static str {
        "stat:tally"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(Genr::of(self.pairs().into_iter().map(pair)))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self
            .pairs()
            .into_iter()
            .map(|(name, count)| (Value::from(name), Value::from(count)))
            .collect::<Map>()
            .into())
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.lock().len()))
    }
}
