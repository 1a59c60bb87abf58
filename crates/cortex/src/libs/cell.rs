//! `$lib.cell`, `$lib.ps`, `$lib.task` and `$lib.env`: the service itself and what runs in it.

use std::time::Duration;

use myelin_error::err;
use myelin_storm::item::Genr;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_telepath::Todo;
use myelin_value::{Map, Value};

use super::util::{core, data};
use crate::wait;

static CELL: LibDef = LibDef {
    path: "cell",
    funcs: &[
        FuncDef::ro("getCellInfo", &[], |rt, _, _| {
            admin(rt, "getCellInfo")?;
            Ok(data(core(rt)?.cell.cell_info()?))
        }),
        FuncDef::ro("getHealthCheck", &[], |rt, _, _| {
            admin(rt, "getHealthCheck")?;
            Ok(data(core(rt)?.cell.health_check().pack()))
        }),
        FuncDef::ro("getSystemInfo", &[], |rt, _, _| {
            admin(rt, "getSystemInfo")?;
            Ok(data(core(rt)?.cell.system_info()?))
        }),
        FuncDef::ro("getBackupInfo", &[], |rt, _, _| {
            admin(rt, "getBackupInfo")?;
            Ok(data(core(rt)?.cell.backup_info()))
        }),
        FuncDef::ro("getMirrorUrls", &[Arg::opt("name", Dflt::Null)], |rt, _, args| {
            admin(rt, "getMirrorUrls")?;
            if let Some(name) = args.opt_str(rt, 0)? {
                return Ok(data(ask(rt, &name, "getMirrorUrls")?));
            }
            let urls = wait::query(rt, core(rt)?.cell.mirror_urls())??;
            Ok(data(urls.into_iter().map(Value::from).collect::<Value>()))
        }),
        FuncDef::rw("trimNexsLog", &[Arg::opt("consumers", Dflt::Null), Arg::opt("timeout", Dflt::Int(30))], trim),
        FuncDef::rw("hotFixesApply", &[], |rt, _, _| {
            admin(rt, "hotFixesApply")?;
            super::hotfix::apply(rt)
        }),
        FuncDef::ro("hotFixesCheck", &[], |rt, _, _| {
            admin(rt, "hotFixesCheck")?;
            super::hotfix::check(rt)
        }),
        FuncDef::ro("uptime", &[Arg::opt("name", Dflt::Null)], |rt, _, args| {
            let info = match args.opt_str(rt, 0)? {
                Some(name) => ask(rt, &name, "getSystemInfo")?,
                None => core(rt)?.cell.system_info()?.into(),
            };
            let get = |key: &str| info.get(key).cloned().unwrap_or_default();
            let times = Map::new().with("starttime", get("cellstarttime")).with("uptime", get("celluptime"));
            Ok(data(times))
        }),
    ],
    consts: &[("iden", |rt, _| Ok(Item::from(core(rt)?.cell.iden())))],
};

static PS: LibDef = LibDef {
    path: "ps",
    funcs: &[
        FuncDef::ro("list", &[], |rt, _, _| {
            let tasks = core(rt)?.cell.boss().ps();
            let own =
                |task: &myelin_cell::boss::TaskInfo| task.user().is_some_and(|user| &**user.iden() == rt.user().iden());
            let seen = tasks.into_iter().filter(|task| own(task) || rt.allowed(&["task", "get"], None));
            Ok(data(seen.map(|task| Value::from(task.pack())).collect::<Value>()))
        }),
        FuncDef::rw("kill", &[Arg::req("prefix")], kill),
    ],
    consts: &[],
};

static TASK: LibDef = LibDef {
    path: "task",
    funcs: &[
        FuncDef::ro("list", &[Arg::opt("timeout", Dflt::Null)], |rt, _, args| {
            // There are no mirrors to ask, so nothing to wait for.
            args.opt_int(rt, 0)?;
            let tasks = core(rt)?.cell.boss().ps();
            let own =
                |task: &myelin_cell::boss::TaskInfo| task.user().is_some_and(|user| &**user.iden() == rt.user().iden());
            let seen = tasks.into_iter().filter(|task| own(task) || rt.allowed(&["task", "get"], None));
            let service = core(rt)?.cell.aha_name();
            let packed = seen.map(|task| data(task.packv2().with("service", service.clone())));
            Ok(Item::Genr(Genr::of(packed.collect::<Vec<_>>())))
        }),
        FuncDef::rw("kill", &[Arg::req("prefix"), Arg::opt("timeout", Dflt::Null)], kill),
    ],
    consts: &[],
};

static ENV: LibDef = LibDef {
    path: "env",
    funcs: &[FuncDef::ro("get", &[Arg::req("name"), Arg::opt("default", Dflt::Null)], |rt, _, args| {
        rt.req_admin(None, Some("$lib.env.get() requires admin privileges."))?;
        let name = args.str(rt, 0)?;
        if !name.starts_with("SYN_STORM_ENV_") {
            let mesg = format!("Environment variable must start with SYN_STORM_ENV_ : {name}");
            return Err(err!("BadArg", mesg = mesg).into());
        }
        match std::env::var(&*name) {
            Ok(valu) => Ok(Item::from(valu)),
            Err(_) if args.is_null(1) => Ok(Item::NULL),
            Err(_) => Ok(Item::from(args.str(rt, 1)?)),
        }
    })],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&CELL);
    registry.add_lib(&PS);
    registry.add_lib(&TASK);
    registry.add_lib(&ENV);
}

fn admin(rt: &Rt, func: &str) -> Flow<()> {
    rt.req_admin(None, Some(&format!("$lib.cell.{func}() requires admin privs.")))
}

/// How long a query waits for another service.
const READY: Duration = Duration::from_secs(10);

/// Calls another service by its name.
fn ask(rt: &Rt, name: &str, what: &str) -> Flow<Value> {
    let services = &core(rt)?.services;
    let missing = || err!("NoSuchName", mesg = format!("There is no service with the name or iden {name}."));
    let svc = services.find(name).ok_or_else(missing)?;
    let proxy = wait::query(rt, services.connect(&svc, Some(READY)))??;
    Ok(wait::query(rt, proxy.call(Todo::new(what)))??)
}

fn trim(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    admin(rt, "trimNexsLog")?;
    let timeout = args.opt_int(rt, 1)?.map(|secs| Duration::from_secs(u64::try_from(secs).unwrap_or(0)));
    let mut consumers = Vec::new();
    if !args.is_null(0) {
        for url in args.item(0).tovec(rt)? {
            consumers.push(Value::from(url.tostr(rt)?));
        }
    }
    let cell = core(rt)?.cell.clone();
    Ok(Item::from(wait::query(rt, cell.trim_log(&consumers, timeout))??))
}

fn kill(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let prefix = args.str(rt, 0)?;
    if prefix.is_empty() {
        return Err(err!("StormRuntimeError", mesg = "Iden must be provided.").into());
    }
    let mine = |task: &myelin_cell::boss::TaskInfo| task.user().is_some_and(|user| &**user.iden() == rt.user().iden());
    let mut found = core(rt)?.cell.boss().ps();
    found.retain(|task| task.iden().starts_with(&*prefix) && (mine(task) || rt.allowed(&["task", "del"], None)));
    match &found[..] {
        [] => Err(err!(
            "StormRuntimeError",
            mesg = "Provided iden does not match any valid authorized tasks.",
            iden = &*prefix
        )
        .into()),
        [task] => Ok(Item::from(task.kill())),
        _ => Err(err!("StormRuntimeError", mesg = "Provided iden matches more than one task.", iden = &*prefix).into()),
    }
}
