//! `$lib.service` and `$lib.telepath`: other services, and calling them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use myelin_error::err;
use myelin_storm::item::{Genr, StormObj};
use myelin_storm::{Arg, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_telepath::{Answer, Proxy, RemoteShare, Todo};
use myelin_value::{Map, Value};

use super::util::{core, data, name_of};
use crate::parts::services::Service;
use crate::wait;

/// How long a query waits for a service that is not connected.
const READY: Duration = Duration::from_secs(10);

static LIB: LibDef = LibDef {
    path: "service",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("name"), Arg::req("url")], |rt, _, args| {
            rt.confirm(&["service", "add"], None)?;
            let sdef = Map::new().with("name", args.prim(rt, 0)?).with("url", args.prim(rt, 1)?);
            let core = core(rt)?;
            let sdef = core.services.add(sdef)?;
            if let Some(svc) = sdef.get("iden").and_then(Value::as_str).and_then(|iden| core.services.find(iden)) {
                let services = core.services.clone();
                wait::spawn(async move {
                    if let Err(error) = services.connect(&svc, None).await {
                        tracing::info!(service = svc.name, %error, "a service cannot be reached yet");
                    }
                });
            }
            Ok(data(sdef))
        }),
        FuncDef::rw("del", &[Arg::req("iden")], |rt, _, args| {
            rt.confirm(&["service", "del"], None)?;
            Ok(data(core(rt)?.services.del(&args.str(rt, 0)?)?))
        }),
        FuncDef::rw("get", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            let Some(svc) = core(rt)?.services.find(&name) else {
                myelin_storm::fail!("NoSuchName", mesg = format!("No service with name/iden: {name}"));
            };
            may_get(rt, &svc)?;
            Ok(Item::obj(ServiceObj { svc }))
        }),
        FuncDef::ro("has", &[Arg::req("name")], |rt, _, args| {
            Ok(Item::from(core(rt)?.services.find(&args.str(rt, 0)?).is_some()))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            rt.confirm(&["service", "list"], None)?;
            let sdefs = core(rt)?.services.list().into_iter().map(|svc| {
                let sdef = svc.sdef().clone().with("ready", svc.is_ready());
                Value::from(sdef.with("svcname", svc.own_name()).with("svcvers", svc.version()))
            });
            Ok(data(sdefs.collect::<Value>()))
        }),
        FuncDef::ro("wait", &[Arg::req("name"), Arg::opt("timeout", Dflt::Null)], |rt, _, args| {
            let (name, timeout) = (args.str(rt, 0)?, args.opt_int(rt, 1)?);
            let services = &core(rt)?.services;
            let svc = services.require(&name)?;
            may_get(rt, &svc)?;
            if timeout == Some(0) {
                return Ok(Item::from(svc.is_ready()));
            }
            let limit = timeout.map(|secs| Duration::from_secs(u64::try_from(secs).unwrap_or_default()));
            loop {
                let wait = limit.unwrap_or(READY);
                match wait::query(rt, async { tokio::time::timeout(wait, services.connect(&svc, Some(wait))).await })? {
                    Ok(Ok(_)) => return Ok(Item::from(true)),
                    Ok(Err(_)) | Err(_) if limit.is_some() => return Ok(Item::from(false)),
                    _ => rt.tick()?,
                }
            }
        }),
    ],
    consts: &[],
};

static TELEPATH: LibDef = LibDef {
    path: "telepath",
    funcs: &[FuncDef::rw("open", &[Arg::req("url")], |rt, _, args| {
        let url = args.str(rt, 0)?;
        let scheme = url.split("://").next().unwrap_or_default().to_owned();
        if !rt.allowed(&["lib", "telepath", "open", &scheme], None) {
            rt.confirm(&["storm", "lib", "telepath", "open", &scheme], None)?;
        }
        let proxy = wait::query(rt, Proxy::open(&url))??;
        Ok(Item::obj(ProxyObj { target: Target::Proxy(proxy) }))
    })],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
    registry.add_lib(&TELEPATH);
}

fn may_get(rt: &Rt, svc: &Service) -> Flow<()> {
    if let Err(denied) = rt.confirm(&["service", "get", &svc.iden], None) {
        if rt.confirm(&["service", "get", &svc.name], None).is_err() {
            return Err(denied);
        }
        rt.warn_once("Use of service.get.<servicename> permissions are deprecated.")?;
    }
    Ok(())
}

#[derive(Clone)]
enum Target {
    Proxy(Proxy),
    Share(Arc<RemoteShare>),
}

impl Target {
    fn is_genr(&self, name: &str) -> bool {
        match self {
            Target::Proxy(proxy) => proxy.is_genr(name),
            Target::Share(_) => false,
        }
    }
}

/// What methods can be called on: a service, a connection, or what a call shared.
struct ProxyObj {
    target: Target,
}

fn method(target: &Target, name: &str) -> Flow<Option<Item>> {
    if name.starts_with('_') {
        let mesg = format!("No proxy method named {name}");
        return Err(err!("NoSuchName", mesg = mesg, name = name).into());
    }
    Ok(Some(Item::obj(Method { target: target.clone(), name: name.to_owned(), genr: target.is_genr(name) })))
}

impl StormObj for ProxyObj {
    fn type_name(&self) -> &'static str {
        "telepath:proxy"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        method(&self.target, &name_of(rt, name)?)
    }
}

/// A service that a query got by name.
struct ServiceObj {
    svc: Arc<Service>,
}

impl StormObj for ServiceObj {
    fn type_name(&self) -> &'static str {
        "telepath:proxy"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name_of(rt, name)?;
        let connected = core(rt)?.services.connect(&self.svc, Some(READY));
        let proxy = match wait::query(rt, connected)? {
            Ok(proxy) => proxy,
            Err(error) => {
                let mesg = format!("Timeout waiting for storm service {}.{name} ({error})", self.svc.name);
                return Err(err!("StormRuntimeError", mesg = mesg, name = &*name, service = &*self.svc.name).into());
            }
        };
        method(&Target::Proxy(proxy), &name)
    }
}

/// A method of a proxy.
struct Method {
    target: Target,
    name: String,
    genr: bool,
}

impl Method {
    fn todo(&self, rt: &Rt, args: Vec<Item>, kwargs: Vec<(Arc<str>, Item)>) -> Flow<Todo> {
        let args = args.iter().map(|arg| arg.toprim(rt)).collect::<Flow<Vec<_>>>()?;
        let mut named = Map::new();
        for (name, valu) in kwargs {
            named.insert(name, valu.toprim(rt)?);
        }
        Ok(Todo::from_parts(self.name.clone(), args, named))
    }

    fn task(&self, rt: &Rt, todo: Todo) -> Flow<Item> {
        let answer = match &self.target {
            Target::Proxy(proxy) => wait::query(rt, proxy.task(todo, None))??,
            Target::Share(share) => return Ok(data(wait::query(rt, share.call(todo))??)),
        };
        Ok(match answer {
            Answer::Value(valu) => data(valu),
            Answer::Share(share) => Item::obj(ProxyObj { target: Target::Share(Arc::new(share)) }),
            Answer::Genr(genr) => items(rt, genr),
        })
    }
}

fn items(rt: &Rt, mut genr: myelin_telepath::Genr) -> Item {
    let rt = rt.clone();
    Item::Genr(Genr::from_fn(move || match wait::query(&rt, genr.next())? {
        None => Ok(None),
        Some(item) => Ok(Some(data(item?))),
    }))
}

impl StormObj for Method {
    fn type_name(&self) -> &'static str {
        if self.genr { "telepath:proxy:genrmethod" } else { "telepath:proxy:method" }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn call(&self, rt: &Rt, args: Vec<Item>, kwargs: Vec<(Arc<str>, Item)>) -> Flow<Item> {
        let todo = self.todo(rt, args, kwargs)?;
        self.task(rt, todo)
    }
}
