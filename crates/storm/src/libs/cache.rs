//! `$lib.cache`: answers of a query, kept by key.

use std::any::Any;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::err;
use myelin_storm_syntax::Query;
use myelin_value::Value;
use parking_lot::Mutex;

use crate::ctl::{Ctl, Ctrl, Flow};
use crate::item::{Arg, Args, Dflt, FuncDef, Item, Key, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::Rt;
use crate::walk::{Wanted, has_statement};

const MAX_SIZE: i64 = 10_000;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "cache",
    funcs: &[FuncDef::ro("fixed", &[Arg::req("callback"), Arg::opt("size", Dflt::Int(MAX_SIZE))], fixed)],
    consts: &[],
};

fn fixed(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (size, text) = (args.int(rt, 1)?, args.str(rt, 0)?);
    if !(1..=MAX_SIZE).contains(&size) {
        crate::fail!("BadArg", mesg = format!("Cache size must be between 1-{MAX_SIZE}"));
    }
    let query = match rt.parse(&text) {
        Ok(query) => query,
        Err(error) if error.isa("BadSyntax") => {
            crate::fail!("BadArg", mesg = format!("Invalid callback query: {}", error.message()));
        }
        Err(error) => return Err(error.into()),
    };
    if !has_statement(&query, Wanted::Return) {
        crate::fail!("BadArg", mesg = "Callback query must return a value");
    }
    let size = usize::try_from(size).unwrap_or(1);
    Ok(Item::obj(FixedCache { rt: rt.clone(), text, query, size, items: Mutex::default() }))
}

/// Answers of a query by key; the oldest goes when it is full.
pub struct FixedCache {
    rt: Rt,
    text: Arc<str>,
    query: Arc<Query>,
    size: usize,
    items: Mutex<IndexMap<Key, Value>>,
}

const KEY: &[Arg] = &[Arg::req("key")];

pub(super) static TYPE: TypeDef = TypeDef {
    name: "cache:fixed",
    funcs: &[
        FuncDef::ro("pop", KEY, |rt, this, args| {
            let key = req_key(rt, &args)?;
            let found = this.as_obj::<FixedCache>().and_then(|cache| cache.items.lock().shift_remove(&key));
            Ok(found.map(|valu| Item::deep(&valu)).unwrap_or_default())
        }),
        FuncDef::ro("put", &[Arg::req("key"), Arg::req("value")], |rt, this, args| {
            let (key, valu) = (req_key(rt, &args)?, args.prim(rt, 1)?);
            if let Some(cache) = this.as_obj::<FixedCache>() {
                cache.put(key, valu);
            }
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", KEY, |rt, this, args| {
            let key = req_key(rt, &args)?;
            match this.as_obj::<FixedCache>() {
                Some(cache) => Ok(Item::deep(&cache.get(key)?)),
                None => Ok(Item::NULL),
            }
        }),
        FuncDef::ro("clear", &[], |_, this, _| {
            if let Some(cache) = this.as_obj::<FixedCache>() {
                cache.items.lock().clear();
            }
            Ok(Item::NULL)
        }),
    ],
    getters: &[("query", |_, this| {
        Ok(this.as_obj::<FixedCache>().map(|cache| Item::from(&cache.text)).unwrap_or_default())
    })],
    setters: &[],
};

fn req_key(rt: &Rt, args: &Args) -> Flow<Key> {
    if args.item(0).is_mutable() {
        let name = args.item(0).torepr(rt, false)?;
        crate::fail!("BadArg", mesg = "Mutable values are not allowed as cache keys", name = name);
    }
    Ok(Key::new(args.prim(rt, 0)?))
}

impl FixedCache {
    fn put(&self, key: Key, valu: Value) {
        let mut items = self.items.lock();
        if items.insert(key, valu).is_none() && items.len() > self.size {
            items.shift_remove_index(0);
        }
    }

    fn get(&self, key: Key) -> Flow<Value> {
        if let Some(found) = self.items.lock().get(&key) {
            return Ok(found.clone());
        }
        let valu = self.ask(&key.0)?;
        self.put(key, valu.clone());
        Ok(valu)
    }

    fn ask(&self, key: &Value) -> Flow<Value> {
        let mut vars = self.rt.scope_vars();
        Arc::make_mut(&mut vars).insert(Arc::from("cache_key"), Item::Val(key.clone()));
        let rt = self.rt.beside(&self.query, vars)?;
        let run = || -> Flow<()> {
            let mut genr = rt.execute()?;
            while genr.next()?.is_some() {
                rt.tick()?;
            }
            Ok(())
        };
        let Err(ctl) = run() else { return Ok(Value::Null) };
        let Ctl::Ctrl(ctrl) = ctl else { return Err(ctl) };
        let name = match *ctrl {
            Ctrl::Return(item) => return item.toprim(&rt),
            Ctrl::Cancelled => return Err(Ctl::cancelled()),
            Ctrl::Break(..) => "break",
            Ctrl::Continue(..) => "continue",
            Ctrl::Stop(_) => "stop",
            Ctrl::Exit => "StormExit",
            Ctrl::Emit(_) => "emit",
        };
        let mesg = format!("Storm control flow \"{name}\" not allowed in cache callbacks.");
        Err(err!("StormRuntimeError", mesg = mesg).into())
    }
}

impl StormObj for FixedCache {
    fn type_name(&self) -> &'static str {
        "cache:fixed"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        let mut text: String = self.text.chars().take(100).collect();
        if text.len() < self.text.len() {
            text.push_str("...");
        }
        Ok(format!("cache:fixed: size={} query=\"{text}\"", self.size))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Err(err!("NoSuchType", mesg = "Unable to convert object to Storm primitive.", name = "FixedCache").into())
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.items.lock().len()))
    }

    fn is_mutable(&self) -> bool {
        false
    }
}
