//! `$lib.cell`, `$lib.ps`, `$lib.task` and `$lib.env`: the service itself and what runs in it.

use myelin_error::{Error, err};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::Value;

use super::{core, data};

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
        FuncDef::ro("uptime", &[Arg::opt("name", Dflt::Null)], |rt, _, args| {
            if !args.is_null(0) {
                return Err(Error::not_supported("Asking another service for its uptime").into());
            }
            let uptime = i64::try_from(core(rt)?.cell.uptime().as_millis()).unwrap_or(i64::MAX);
            let start = crate::parts::now_millis().saturating_sub(uptime);
            Ok(data(myelin_value::Map::new().with("starttime", start).with("uptime", uptime)))
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
    funcs: &[FuncDef::rw("kill", &[Arg::req("prefix"), Arg::opt("timeout", Dflt::Null)], kill)],
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
