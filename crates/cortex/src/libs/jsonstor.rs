//! `$lib.jsonstor`, `$lib.user.json` and `$lib.notifications`: documents of the cortex and of users, and what users are
//! told.

use std::any::Any;

use myelin_error::err;
use myelin_jsonstor::path;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value, guid_of};

use super::axon::values;
use super::util::{core, data, this};
use crate::parts::now_millis;

const PATH: Arg = Arg::req("path");
const PROP: Arg = Arg::opt("prop", Dflt::Null);
const KEY: Arg = Arg::req("key");

static LIB: LibDef = LibDef {
    path: "jsonstor",
    funcs: &[
        FuncDef::ro("has", &[PATH], |rt, _, args| {
            let path = cell_path(rt, "has", args.prim(rt, 0)?)?;
            Ok(Item::from(!core(rt)?.stores.jsonstor.get(&path, None)?.is_null()))
        }),
        FuncDef::ro("get", &[PATH, PROP], |rt, _, args| {
            let path = cell_path(rt, "get", args.prim(rt, 0)?)?;
            get(rt, &path, &args, 1)
        }),
        FuncDef::rw("set", &[PATH, Arg::req("valu"), PROP], |rt, _, args| {
            let path = cell_path(rt, "set", args.prim(rt, 0)?)?;
            let prop = prop_of(&args.prim(rt, 2)?)?;
            Ok(Item::from(core(rt)?.stores.jsonstor.set(&path, prop.as_deref(), args.prim(rt, 1)?)?))
        }),
        FuncDef::rw("del", &[PATH, PROP], |rt, _, args| {
            let path = cell_path(rt, "del", args.prim(rt, 0)?)?;
            let prop = prop_of(&args.prim(rt, 1)?)?;
            Ok(Item::from(core(rt)?.stores.jsonstor.del(&path, prop.as_deref())?))
        }),
        FuncDef::ro("iter", &[Arg::opt("path", Dflt::Null)], |rt, _, args| {
            let path = cell_path(rt, "iter", args.prim(rt, 0)?)?;
            Ok(values(core(rt)?.stores.jsonstor.objs(&path)?))
        }),
        FuncDef::ro(
            "cacheget",
            &[PATH, KEY, Arg::opt("asof", Dflt::Str("now")), Arg::opt("envl", Dflt::Bool(false))],
            cacheget,
        ),
        FuncDef::rw("cacheset", &[PATH, KEY, Arg::req("valu")], |rt, _, args| {
            let key = args.prim(rt, 1)?;
            let path = cache_path(rt, "cacheset", args.prim(rt, 0)?, &key)?;
            let now = now_millis();
            let envl = Map::new().with("key", key).with("asof", now).with("data", args.prim(rt, 2)?);
            core(rt)?.stores.jsonstor.set(&path, None, envl.into())?;
            let below: Value = path[2..].iter().map(Value::from).collect();
            Ok(data(Map::new().with("asof", now).with("path", below)))
        }),
        FuncDef::rw("cachedel", &[PATH, KEY], |rt, _, args| {
            let path = cache_path(rt, "cachedel", args.prim(rt, 0)?, &args.prim(rt, 1)?)?;
            core(rt)?.stores.jsonstor.del(&path, None)?;
            Ok(Item::from(true))
        }),
    ],
    consts: &[],
};

static USER_JSON: TypeDef = TypeDef {
    name: "auth:user:json",
    funcs: &[
        FuncDef::ro("has", &[PATH], |rt, item, args| {
            let path = this::<UserJson>(item)?.path(rt, "get", args.prim(rt, 0)?)?;
            Ok(Item::from(!core(rt)?.stores.jsonstor.get(&path, None)?.is_null()))
        }),
        FuncDef::ro("get", &[PATH, PROP], |rt, item, args| {
            let path = this::<UserJson>(item)?.path(rt, "get", args.prim(rt, 0)?)?;
            get(rt, &path, &args, 1)
        }),
        FuncDef::rw("set", &[PATH, Arg::req("valu"), PROP], |rt, item, args| {
            let path = this::<UserJson>(item)?.path(rt, "set", args.prim(rt, 0)?)?;
            let prop = prop_of(&args.prim(rt, 2)?)?;
            Ok(Item::from(core(rt)?.stores.jsonstor.set(&path, prop.as_deref(), args.prim(rt, 1)?)?))
        }),
        FuncDef::rw("del", &[PATH, PROP], |rt, item, args| {
            let path = this::<UserJson>(item)?.path(rt, "set", args.prim(rt, 0)?)?;
            let prop = prop_of(&args.prim(rt, 1)?)?;
            Ok(Item::from(core(rt)?.stores.jsonstor.del(&path, prop.as_deref())?))
        }),
        FuncDef::ro("iter", &[Arg::opt("path", Dflt::Null)], |rt, item, args| {
            let path = this::<UserJson>(item)?.path(rt, "get", args.prim(rt, 0)?)?;
            Ok(values(core(rt)?.stores.jsonstor.objs(&path)?))
        }),
    ],
    getters: &[],
    setters: &[],
};

static NOTIFS: LibDef = LibDef {
    path: "notifications",
    funcs: &[
        FuncDef::ro("get", &[Arg::req("indx")], |rt, _, args| {
            let mesg = notif(rt, args.int(rt, 0)?, "get")?;
            Ok(data(mesg))
        }),
        FuncDef::rw("del", &[Arg::req("indx")], |rt, _, args| {
            let indx = args.int(rt, 0)?;
            notif(rt, indx, "del")?;
            core(rt)?.stores.jsonstor.del_notif(u64::try_from(indx).unwrap_or_default())?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("list", &[Arg::opt("size", Dflt::Null)], |rt, _, args| {
            let size = args.opt_int(rt, 0)?.map(|size| usize::try_from(size).unwrap_or_default());
            rt.warn_once("$lib.notifications.list() is deprecated.")?;
            Ok(values(core(rt)?.stores.jsonstor.user_notifs(rt.user().iden(), size)?))
        }),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&USER_JSON]);
    registry.add_lib(&LIB);
    registry.add_lib(&NOTIFS);
}

/// The documents of a user, as `$lib.user.json` and `json` of a user object have them.
pub fn user_json(iden: &str) -> Item {
    Item::obj(UserJson { iden: iden.to_owned() })
}

/// The path of a document of the cortex.
fn cell_path(rt: &Rt, func: &str, given: Value) -> Flow<Vec<String>> {
    rt.req_admin(None, Some(&format!("$lib.jsonstor.{func}() requires admin privileges.")))?;
    let mut full = vec!["cells".to_owned(), core(rt)?.cell.iden().to_owned()];
    if !given.is_null() {
        full.extend(path::elements(&given)?);
    }
    Ok(full)
}

fn cache_path(rt: &Rt, func: &str, given: Value, key: &Value) -> Flow<Vec<String>> {
    let mut path = cell_path(rt, func, given)?;
    path.push(guid_of(key));
    Ok(path)
}

fn prop_of(valu: &Value) -> Flow<Option<Vec<String>>> {
    if valu.is_null() { Ok(None) } else { Ok(Some(path::elements(valu)?)) }
}

fn get(rt: &Rt, path: &[String], args: &Args, indx: usize) -> Flow<Item> {
    let prop = prop_of(&args.prim(rt, indx)?)?;
    Ok(data(core(rt)?.stores.jsonstor.get(path, prop.as_deref())?))
}

fn cacheget(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let path = cache_path(rt, "cacheget", args.prim(rt, 0)?, &args.prim(rt, 1)?)?;
    let envl = core(rt)?.stores.jsonstor.get(&path, None)?;
    let Some(tick) = envl.get("asof").and_then(Value::as_i64) else { return Ok(Item::NULL) };
    let model = rt.model();
    let time = model.req_type("time")?;
    let asof = time.norm(&rt.norm_cx(), &args.prim(rt, 2)?)?.value;
    if asof.as_i64().is_none_or(|asof| tick < asof) {
        return Ok(Item::NULL);
    }
    Ok(if args.bool(rt, 3)? { data(envl) } else { data(envl.get("data").cloned().unwrap_or_default()) })
}

fn notif(rt: &Rt, indx: i64, verb: &str) -> Flow<Value> {
    let mesg = core(rt)?.stores.jsonstor.notif(u64::try_from(indx).unwrap_or(u64::MAX))?;
    if mesg.is_null() {
        // The original answers with the error of the language it is written in.
        myelin_storm::fail!("IndexError", mesg = format!("There is no notification {indx}."));
    }
    rt.warn_once(&format!("$lib.notifications.{verb}() is deprecated."))?;
    let own = mesg.at(0).and_then(Value::as_str) == Some(rt.user().iden());
    if !own && !rt.is_admin(None) {
        let text = format!("You may only {verb} notifications which belong to you.");
        return Err(err!("AuthDeny", mesg = text, user = rt.user().iden(), username = rt.user().name()).into());
    }
    Ok(mesg)
}

/// The documents of one user.
struct UserJson {
    iden: String,
}

impl UserJson {
    fn path(&self, rt: &Rt, perm: &str, given: Value) -> Flow<Vec<String>> {
        let mut full = vec!["users".to_owned(), self.iden.clone(), "json".to_owned()];
        if !given.is_null() {
            full.extend(path::elements(&given)?);
        }
        if rt.user().iden() != self.iden {
            rt.confirm(&["user", "json", perm], None)?;
        }
        Ok(full)
    }
}

impl StormObj for UserJson {
    fn type_name(&self) -> &'static str {
        "auth:user:json"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&USER_JSON)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.iden.as_str().into())
    }
}
