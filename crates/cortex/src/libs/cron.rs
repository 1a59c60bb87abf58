//! `$lib.cron`: queries that run at their time.

use std::any::Any;

use myelin_error::err;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value};
use parking_lot::Mutex;

use super::util::{confirm_gate, core, data, this, user};
use crate::agenda::period::{self, Times};

const PREFIX: Arg = Arg::req("prefix");

static LIB: LibDef = LibDef {
    path: "cron",
    funcs: &[
        FuncDef::rw("add", &[Arg::kwargs("kwargs")], add),
        FuncDef::rw("at", &[Arg::kwargs("kwargs")], at),
        FuncDef::rw("del", &[PREFIX], |rt, _, args| {
            let iden = matching(rt, &args, "del")?;
            core(rt)?.cron.del(&iden)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", &[PREFIX], |rt, _, args| {
            let iden = matching(rt, &args, "get")?;
            let found = core(rt)?.cron.list().into_iter().find(|def| def.get_str("iden") == Some(&iden));
            Ok(found.map_or(Item::NULL, job))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            rt.confirm(&["cron", "get"], None)?;
            Ok(Item::list(core(rt)?.cron.list().into_iter().map(job).collect::<Vec<_>>()))
        }),
        FuncDef::rw("mod", &[PREFIX, Arg::req("query"), Arg::kwargs("kwargs")], modify),
        FuncDef::rw("move", &[PREFIX, Arg::req("view")], |rt, _, args| {
            let iden = matching(rt, &args, "set")?;
            let view = args.str(rt, 1)?;
            readable(rt, &view)?;
            Ok(data(core(rt)?.cron.relocate(&iden, &view)?))
        }),
        FuncDef::rw("enable", &[PREFIX], |rt, _, args| {
            let iden = matching(rt, &args, "set")?;
            core(rt)?.cron.enable(&iden, true)?;
            Ok(Item::from(iden))
        }),
        FuncDef::rw("disable", &[PREFIX], |rt, _, args| {
            let iden = matching(rt, &args, "set")?;
            core(rt)?.cron.enable(&iden, false)?;
            Ok(Item::from(iden))
        }),
    ],
    consts: &[],
};

static JOB: TypeDef = TypeDef {
    name: "cronjob",
    funcs: &[
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], |rt, item, args| {
            let job = this::<Job>(item)?;
            let (name, iden) = (args.str(rt, 0)?, job.iden());
            if &*name == "creator" {
                rt.confirm(&["cron", "set", "creator"], None)?;
            } else {
                rt.confirm(&["cron", "set", &name], Some(&iden))?;
            }
            let def = core(rt)?.cron.edit(&iden, &name, args.prim(rt, 1)?)?;
            *job.0.lock() = def.as_map().cloned().unwrap_or_default();
            Ok(item.clone())
        }),
        FuncDef::rw("kill", &[], |rt, item, _| {
            let iden = this::<Job>(item)?.iden();
            rt.confirm(&["cron", "kill"], Some(&iden))?;
            Ok(data(core(rt)?.cron.kill(&iden)?))
        }),
        FuncDef::ro("pack", &[], |_, item, _| Ok(data(this::<Job>(item)?.0.lock().clone()))),
        FuncDef::ro("pprint", &[], |rt, item, _| Ok(data(pretty(rt, &this::<Job>(item)?.0.lock().clone())?))),
    ],
    getters: &[("iden", |_, item| Ok(Item::from(this::<Job>(item)?.iden())))],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&JOB]);
    registry.add_lib(&LIB);
}

/// A job in its packed form, as it was when the query got it.
struct Job(Mutex<Map>);

impl Job {
    fn iden(&self) -> String {
        self.0.lock().get_str("iden").unwrap_or_default().to_owned()
    }
}

impl StormObj for Job {
    fn type_name(&self) -> &'static str {
        "cronjob"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&JOB)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.lock().clone().into())
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::list(["cronjob".into(), self.iden().into()]))
    }

    fn is_mutable(&self) -> bool {
        false
    }
}

fn job(def: Map) -> Item {
    Item::obj(Job(Mutex::new(def)))
}

/// Refuses a view that the user may not read, whatever powers the query has: the job will run on their behalf.
fn readable(rt: &Rt, view: &str) -> Flow<()> {
    core(rt)?.stack.require_view(view)?;
    Ok(user(rt)?.confirm(&["view", "read"], Some(view))?)
}

/// The one job whose iden begins so and which the user may treat so.
fn matching(rt: &Rt, args: &Args, perm: &str) -> Flow<String> {
    let prefix = args.str(rt, 0)?;
    let mut found: Option<String> = None;
    for def in core(rt)?.cron.list() {
        let iden = def.get_str("iden").unwrap_or_default();
        if iden.starts_with(&*prefix) && rt.allowed(&["cron", perm], Some(iden)) {
            if found.is_some() {
                let mesg = "Provided iden matches more than one cron job.";
                return Err(err!("StormRuntimeError", mesg = mesg, iden = &*prefix).into());
            }
            found = Some(iden.to_owned());
        }
    }
    let mesg = "Provided iden does not match any valid authorized cron job.";
    Ok(found.ok_or_else(|| err!("StormRuntimeError", mesg = mesg, iden = &*prefix))?)
}

/// The named arguments of a call as primitives.
fn named(rt: &Rt, args: &Args) -> Flow<Map> {
    let mut map = Map::new();
    for (name, valu) in args.kwargs() {
        map.insert(name, valu.toprim(rt)?);
    }
    Ok(map)
}

/// Fills in what every new job has, checks the permission and adds it.
fn push(rt: &Rt, opts: &Map, times: Times, pool: bool) -> Flow<Item> {
    let Some(query) = opts.get("query").filter(|query| !query.is_null()) else {
        let mesg = "Query parameter is required.";
        return Err(err!("StormRuntimeError", mesg = mesg, kwargs = opts.clone()).into());
    };
    let affinity = match opts.get("affinity") {
        None | Some(Value::Null) => Value::Null,
        Some(name) => Value::from(Item::Val(name.clone()).tostr(rt)?),
    };
    if pool && !affinity.is_null() {
        return Err(err!("BadConfValu", mesg = "Cron jobs may not have both affinity and pool set.").into());
    }
    let view = match opts.get("view").filter(|view| view.is_truthy()) {
        Some(view) => Item::Val(view.clone()).tostr(rt)?,
        None => rt.snap().view().iden(),
    };
    let mut cdef = Map::new()
        .with("storm", Item::Val(query.clone()).tostr(rt)?)
        .with("reqs", times.reqs)
        .with("pool", pool)
        .with("affinity", affinity)
        .with("incunit", times.unit)
        .with("incvals", times.steps)
        .with("creator", rt.user().iden())
        .with("loglevel", opts.get("loglevel").cloned().unwrap_or_else(|| "WARNING".into()))
        .with("view", &*view);
    if let Some(iden) = opts.get("iden").filter(|iden| iden.is_truthy()) {
        cdef.insert("iden", iden.clone());
    }
    confirm_gate(rt, &["cron", "add"], Some(&view))?;
    if myelin_value::Iden::from_hex(&view).is_none() {
        return Err(err!("SchemaViolation", mesg = "data.view must be an iden", name = "data.view").into());
    }
    readable(rt, &view)?;
    let def = core(rt)?.cron.add(cdef)?;
    Ok(job(def.as_map().cloned().unwrap_or_default()))
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let opts = named(rt, &args)?;
    let fail = |mesg: String| err!("StormRuntimeError", mesg = mesg, kwargs = opts.clone());
    if opts.get("query").is_none_or(Value::is_null) {
        return Err(fail("Query parameter is required.".to_owned()).into());
    }
    let times = match opts.get("period").filter(|period| period.is_truthy()) {
        Some(text) => {
            if period::LEGACY.iter().any(|name| opts.get(name).is_some_and(Value::is_truthy)) {
                return Err(fail("Cannot mix --period with legacy time arguments".to_owned()).into());
            }
            parse_period(text)?
        }
        None => period::legacy(&opts).map_err(fail)?,
    };
    let pool = opts.get("pool").is_some_and(Value::is_truthy);
    push(rt, &opts, times, pool)
}

fn parse_period(text: &Value) -> Flow<Times> {
    let parsed = period::parse(text.as_str().unwrap_or_default());
    Ok(parsed.map_err(|mesg| err!("StormRuntimeError", mesg = format!("Failed to parse period: {mesg}")))?)
}

fn at(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let opts = named(rt, &args)?;
    let fail = |mesg: String| err!("StormRuntimeError", mesg = mesg, kwargs = opts.clone());
    if opts.get("query").is_none_or(Value::is_null) {
        return Err(fail("Query parameter is required.".to_owned()).into());
    }
    let now = crate::parts::now_millis();
    let mut ticks = Vec::new();
    for (name, millis) in [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)] {
        for part in texts(&opts, name) {
            let count = part.trim().trim_start_matches('+').trim().parse::<i64>();
            let count = count.map_err(|_| fail(format!("Trouble parsing \"{part} {name}\"")))?;
            ticks.push(now + count.saturating_mul(millis));
        }
    }
    let model = rt.model();
    let time = model.req_type("time")?;
    for part in texts(&opts, "dt") {
        let norm = time.norm(&rt.norm_cx(), &Value::from(part.as_str()));
        let tick = norm.ok().and_then(|norm| norm.value.as_i64());
        ticks.push(tick.ok_or_else(|| fail(format!("Trouble parsing \"{part}\"")))?);
    }
    let mut reqs: Vec<Value> = ticks.into_iter().filter_map(period::at_minute).collect();
    if opts.get("now").is_some_and(Value::is_truthy) {
        reqs.push(Map::new().with("now", true).into());
    }
    if reqs.is_empty() {
        return Err(fail("At least one requirement must be provided".to_owned()).into());
    }
    push(rt, &opts, Times { reqs: reqs.into(), unit: Value::Null, steps: Value::Null }, false)
}

fn texts(opts: &Map, name: &str) -> Vec<String> {
    let text = opts.get(name).and_then(Value::as_str).unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn modify(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let iden = matching(rt, &args, "set")?;
    let query = args.opt_str(rt, 1)?;
    let opts = named(rt, &args)?;
    let none = Times { reqs: Value::Null, unit: Value::Null, steps: Value::Null };
    let times = match opts.get("period").filter(|period| !period.is_null()) {
        Some(text) => parse_period(text)?,
        None => none,
    };
    core(rt)?.cron.modify(&iden, query.into(), times.reqs, times.unit, times.steps)?;
    Ok(Item::from(iden))
}

/// A job as commands show it.
fn pretty(rt: &Rt, def: &Map) -> Flow<Map> {
    let get = |key: &str| def.get(key).cloned().unwrap_or_default();
    let or = |valu: Value, other: &str| if valu.is_truthy() { valu } else { Value::from(other) };
    let yes = |key: &str| if get(key).is_truthy() { "Y" } else { "N" };
    let short = |text: &str| format!("{}..", text.chars().take(8).collect::<String>());
    let time = |key: &str| match get(key)
        .as_f64()
        .and_then(|secs| jiff::Timestamp::from_millisecond((secs * 1e3) as i64).ok())
    {
        Some(time) => time.strftime("%Y-%m-%dT%H:%M").to_string(),
        None => "Never".to_owned(),
    };
    let iden = def.get_str("iden").unwrap_or_default();
    let view = match def.get_str("view").filter(|view| !view.is_empty()) {
        Some(view) => view.to_owned(),
        None => core(rt)?.stack.default_view()?.iden().to_string(),
    };
    let bad = def.get_str("lastresult").is_some_and(|text| !text.starts_with("finished successfully"));
    let stored = get("recs");
    let recs = stored.as_list().unwrap_or_default().iter().map(|rec| {
        let part = |indx: usize| or(rec.at(indx).cloned().unwrap_or_default(), "<None>");
        Value::from(Map::new().with("reqdict", part(0)).with("incunit", part(1)).with("incval", part(2)))
    });
    let recs: Value = recs.collect();
    Ok(Map::new()
        .with("iden", iden)
        .with("idenshort", short(iden))
        .with("user", or(get("username"), "<None>"))
        .with("view", view.as_str())
        .with("viewshort", short(&view))
        .with("query", or(get("query"), "<missing>"))
        .with("pool", get("pool").is_truthy())
        .with("affinity", or(get("affinity"), "(null)"))
        .with("isrecur", yes("recur"))
        .with("isrunning", yes("isrunning"))
        .with("enabled", yes("enabled"))
        .with("startcount", def.get_i64("startcount").unwrap_or_default())
        .with("errcount", def.get_i64("errcount").unwrap_or_default())
        .with("laststart", time("laststarttime"))
        .with("lastend", time("lastfinishtime"))
        .with("lastresult", or(get("lastresult"), "<None>"))
        .with("lasterrs", get("lasterrs").as_list().map(<[_]>::to_vec).unwrap_or_default())
        .with("iserr", if bad { "X" } else { " " })
        .with("recs", recs))
}
