//! `$lib.aha`: services and pools that are registered with AHA, and calling the peers of a service.

use std::any::Any;
use std::time::Duration;

use myelin_error::{Error, err};
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_telepath::{Client, Proxy, Todo};
use myelin_value::{Map, Value};
use parking_lot::RwLock;

use super::util::{core, data, name_of, this};
use crate::wait;

/// How long a query waits for AHA.
const READY: Duration = Duration::from_secs(30);

const PEER: &[Arg] =
    &[Arg::req("svcname"), Arg::req("todo"), Arg::opt("timeout", Dflt::Null), Arg::opt("skiprun", Dflt::Null)];

static AHA: LibDef = LibDef {
    path: "aha",
    funcs: &[
        FuncDef::ro("list", &[], |rt, _, _| stream(rt, Todo::new("getAhaSvcs"))),
        FuncDef::ro("get", &[Arg::req("svcname"), Arg::opt("filters", Dflt::Null)], |rt, _, args| {
            rt.req_admin(None, None)?;
            let todo = Todo::new("getAhaSvc").arg(args.str(rt, 0)?).kw("filters", args.prim(rt, 1)?);
            Ok(data(call(rt, todo)?))
        }),
        FuncDef::rw("del", &[Arg::req("svcname")], |rt, _, args| {
            rt.req_admin(None, None)?;
            let name = args.str(rt, 0)?;
            let svc = call(rt, Todo::new("getAhaSvc").arg(&*name))?;
            if svc.is_null() {
                return Err(err!("NoSuchName", mesg = format!("AHA knows no service {name}.")).into());
            }
            if svc.get("services").is_some_and(Value::is_truthy) {
                let mesg = format!("{name} is a pool: remove it with $lib.aha.pool.del().");
                return Err(err!("BadArg", mesg = mesg).into());
            }
            let part = |key: &str| svc.get(key).cloned().unwrap_or_default();
            Ok(data(call(rt, Todo::new("delAhaSvc").arg(part("svcname")).kw("network", part("svcnetw")))?))
        }),
        FuncDef::rw("callPeerApi", PEER, |rt, _, args| peers(rt, "callAhaPeerApi", &args)),
        FuncDef::rw("callPeerGenr", PEER, |rt, _, args| peers(rt, "callAhaPeerGenr", &args)),
    ],
    consts: &[],
};

static POOLS: LibDef = LibDef {
    path: "aha.pool",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("name")], |rt, _, args| {
            rt.req_admin(None, None)?;
            let info = Map::new().with("creator", rt.user().iden());
            Ok(Pool::item(&call(rt, Todo::new("addAhaPool").arg(args.str(rt, 0)?).arg(info))?))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, _, args| {
            rt.req_admin(None, None)?;
            Ok(data(call(rt, Todo::new("delAhaPool").arg(args.str(rt, 0)?))?))
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, _, args| {
            rt.req_admin(None, None)?;
            let info = call(rt, Todo::new("getAhaPool").arg(args.str(rt, 0)?))?;
            Ok(if info.is_null() { Item::NULL } else { Pool::item(&info) })
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let Item::Genr(pools) = stream(rt, Todo::new("getAhaPools"))? else { return Ok(Item::NULL) };
            let rt = rt.clone();
            Ok(Item::Genr(Genr::from_fn(move || match pools.next_item()? {
                Some(info) => Ok(Some(Pool::item(&info.toprim(&rt)?))),
                None => Ok(None),
            })))
        }),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&POOL]);
    registry.add_lib(&AHA);
    registry.add_lib(&POOLS);
}

/// A connection to AHA, kept as long as the query runs.
fn proxy(rt: &Rt) -> Flow<Proxy> {
    let registry = core(rt)?.cell.conf().get("aha:registry");
    if !registry.is_truthy() {
        let mesg = "This service is not registered with AHA: set aha:registry.";
        return Err(Error::mesg("NeedConfValu", mesg).into());
    }
    let client = wait::enter(|| Client::from_value(&registry, None))?;
    let held = rt.shared().ext("aha:client", || std::sync::Arc::new(client));
    let client = held.downcast_ref::<Client>().cloned();
    let client = client.ok_or_else(|| Error::mesg("SynErr", "The connection to AHA was lost."))?;
    Ok(wait::query(rt, client.proxy(Some(READY)))??)
}

fn call(rt: &Rt, todo: Todo) -> Flow<Value> {
    let proxy = proxy(rt)?;
    Ok(wait::query(rt, proxy.call(todo))??)
}

fn stream(rt: &Rt, todo: Todo) -> Flow<Item> {
    rt.req_admin(None, None)?;
    let proxy = proxy(rt)?;
    let mut genr = wait::query(rt, proxy.genr(todo))??;
    let rt = rt.clone();
    Ok(Item::Genr(Genr::from_fn(move || {
        let next = wait::query(&rt, genr.next())?;
        Ok(next.transpose()?.map(data))
    })))
}

/// Calls the peers of a service, whose answers come with their names.
fn peers(rt: &Rt, name: &str, args: &Args) -> Flow<Item> {
    rt.req_admin(None, None)?;
    let svcname = args.str(rt, 0)?;
    let svc = call(rt, Todo::new("getAhaSvc").arg(&*svcname))?;
    if svc.is_null() {
        return Err(err!("NoSuchName", mesg = format!("AHA knows no service {svcname}.")).into());
    }
    let iden = svc.get("svcinfo").and_then(|info| info.get("iden")).cloned().unwrap_or_default();
    if iden.is_null() {
        return Err(err!("NoSuchName", mesg = format!("The service {svcname} has told AHA no iden.")).into());
    }
    let timeout = Value::from(args.opt_int(rt, 2)?);
    let skiprun = args.opt_str(rt, 3)?.map_or(Value::Null, Value::from);
    stream(rt, Todo::new(name).arg(iden).arg(args.prim(rt, 1)?).kw("timeout", timeout).kw("skiprun", skiprun))
}

/// A pool of services.
struct Pool(RwLock<Map>);

impl Pool {
    fn item(info: &Value) -> Item {
        Item::obj(Pool(RwLock::new(info.as_map().cloned().unwrap_or_default())))
    }

    fn get(&self, key: &str) -> Value {
        self.0.read().get(key).cloned().unwrap_or_default()
    }
}

static POOL: TypeDef = TypeDef {
    name: "aha:pool",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("svcname")], |rt, item, args| {
            rt.req_admin(None, None)?;
            let pool = this::<Pool>(item)?;
            let info = Map::new().with("creator", rt.user().iden());
            let done = call(rt, Todo::new("addAhaPoolSvc").arg(pool.get("name")).arg(args.str(rt, 0)?).arg(info))?;
            if let Some(done) = done.as_map() {
                pool.0.write().update(done);
            }
            Ok(Item::NULL)
        }),
        FuncDef::rw("del", &[Arg::req("svcname")], |rt, item, args| {
            rt.req_admin(None, None)?;
            let pool = this::<Pool>(item)?;
            let name = args.str(rt, 0)?;
            let done = call(rt, Todo::new("delAhaPoolSvc").arg(pool.get("name")).arg(&*name))?;
            let begin = name.strip_suffix("..").unwrap_or(&name);
            let have = pool.get("services");
            let gone = have.as_map().into_iter().flat_map(Map::text_entries).map(|(svc, _)| svc);
            let left = done.get("services").and_then(Value::as_map);
            let gone = gone.filter(|svc| svc.starts_with(begin) && left.is_none_or(|left| !left.contains(svc)));
            let gone = gone.map(Item::from).next().unwrap_or_default();
            if let Some(done) = done.as_map() {
                *pool.0.write() = done.clone();
            }
            Ok(gone)
        }),
    ],
    getters: &[],
    setters: &[],
};

impl StormObj for Pool {
    fn type_name(&self) -> &'static str {
        "aha:pool"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&POOL)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        Ok(Some(data(self.get(&name_of(rt, name)?))))
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        Ok(format!("aha:pool: {}", self.get("name").as_str().unwrap_or_default()))
    }
}
