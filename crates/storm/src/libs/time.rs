//! `$lib.time`: the clock, the calendar, and times as text.

use std::time::Duration;

use myelin_error::err;
use myelin_model::types::time::{self, Civil};
use myelin_value::{Map, Value};

use super::strftime;
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item, trim_text};
use crate::registry::LibDef;
use crate::rt::Rt;

const TICK: &[Arg] = &[Arg::req("tick")];

macro_rules! part {
    ($name:literal, $civil:ident => $valu:expr) => {
        FuncDef::ro($name, TICK, |rt, _, args| {
            let $civil = civil(rt, &args)?;
            Ok(Item::from(i64::from($valu)))
        })
    };
}

/// The library.
pub static LIB: LibDef = LibDef {
    path: "time",
    funcs: &[
        FuncDef::ro("now", &[], |rt, _, _| Ok(Item::from(rt.norm_cx().env.now_ms()))),
        FuncDef::ro("toUTC", &[Arg::req("tick"), Arg::req("timezone")], to_utc),
        FuncDef::rw("fromunix", &[Arg::req("secs")], fromunix),
        FuncDef::ro("parse", &[Arg::req("valu"), Arg::req("format"), Arg::opt("errok", Dflt::Bool(false))], parse),
        FuncDef::ro("format", &[Arg::req("valu"), Arg::req("format")], format),
        FuncDef::ro("sleep", &[Arg::req("valu")], |rt, _, args| {
            rt.sleep(seconds(rt, &args)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("ticker", &[Arg::req("tick"), Arg::opt("count", Dflt::Null)], ticker),
        part!("day", civil => civil.day),
        part!("hour", civil => civil.hour),
        FuncDef::ro("year", TICK, |rt, _, args| Ok(Item::from(civil(rt, &args)?.year))),
        part!("month", civil => civil.month),
        part!("minute", civil => civil.minute),
        part!("second", civil => civil.second),
        part!("dayofweek", civil => civil.weekday),
        part!("dayofyear", civil => civil.yearday),
        part!("dayofmonth", civil => civil.day - 1),
        part!("monthofyear", civil => civil.month - 1),
    ],
    consts: &[("formats", |_, _| {
        Ok(Item::Val(
            Map::new()
                .with("iso8601", "%Y-%m-%dT%H:%M:%SZ")
                .with("iso8601us", "%Y-%m-%dT%H:%M:%S.%fZ")
                .with("rfc2822", "%d %b %Y %H:%M:%S UT")
                .with("synapse", "%Y/%m/%d %H:%M:%S.%f")
                .into(),
        ))
    })],
};

/// The point of time an argument means.
fn tick(rt: &Rt, args: &Args) -> Flow<i64> {
    let model = rt.model();
    let norm = model.req_type("time")?.norm(&rt.norm_cx(), &args.prim(rt, 0)?)?;
    Ok(norm.value.as_i64().unwrap_or_default())
}

fn civil(rt: &Rt, args: &Args) -> Flow<Civil> {
    Ok(time::req_civil(tick(rt, args)?)?)
}

fn to_utc(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let zone = args.str(rt, 1)?;
    let made = match time::to_utc(tick(rt, &args)?, &zone) {
        Ok(tick) => [Value::from(true), Value::from(tick)],
        Err(error) => {
            let info = Map::new()
                .with("err", error.name())
                .with("errmsg", error.message())
                .with("errinfo", error.info().clone());
            [Value::from(false), Value::from(info)]
        }
    };
    Ok(Item::Val(Value::list(made)))
}

fn fromunix(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let secs = match args.item(0).tofloat(rt) {
        Ok(secs) => Some(secs * 1000.0),
        Err(error) if error.isa("BadCast") => None,
        Err(error) => return Err(error),
    };
    let found = secs.filter(|millis| millis.is_finite()).and_then(myelin_model::types::py::float_to_int);
    match found {
        Some(millis) => Ok(Item::Val(millis)),
        None => {
            let shown = args.item(0).torepr(rt, false)?;
            crate::fail!("BadArg", mesg = format!("Invalid unix epoch time: {}", trim_text(&shown)));
        }
    }
}

fn bad(rt: &Rt, args: &Args, mesg: String) -> crate::Ctl {
    let prim = |indx: usize| args.prim(rt, indx).unwrap_or(Value::Null);
    err!("StormRuntimeError", mesg = mesg, valu = prim(0), format = prim(1)).into()
}

fn format(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let tick = match tick(rt, &args) {
        Ok(tick) => tick,
        Err(error) if error.isa("BadTypeValu") => {
            let why = error.err().map(|error| error.message().to_owned()).unwrap_or_default();
            return Err(bad(rt, &args, format!("Failed to norm a time value prior to formatting - {why}")));
        }
        Err(error) => return Err(error),
    };
    if tick == i64::MAX {
        return Err(bad(rt, &args, "Cannot format a timestamp for ongoing/future time.".to_owned()));
    }
    let text = time::civil(tick).and_then(|civil| strftime::format(&civil, &args.str(rt, 1).ok()?));
    match text {
        Some(text) => Ok(Item::from(text)),
        None => Err(bad(rt, &args, "Error during time format".to_owned())),
    }
}

fn parse(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (text, form, errok) = (args.str(rt, 0)?, args.str(rt, 1)?, args.bool(rt, 2)?);
    match strftime::parse(&text, &form) {
        Ok(tick) => Ok(Item::from(tick)),
        Err(_) if errok => Ok(Item::NULL),
        Err(why) => Err(bad(rt, &args, format!("Error during time parsing - {why}"))),
    }
}

fn seconds(rt: &Rt, args: &Args) -> Flow<Duration> {
    let secs = args.item(0).tofloat(rt)?;
    Ok(Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX))
}

fn ticker(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (time, count) = (seconds(rt, &args)?, args.opt_int(rt, 1)?);
    let (rt, mut offs) = (rt.clone(), 0i64);
    Ok(Item::Genr(Genr::from_fn(move || {
        if offs > 0 && Some(offs) == count {
            return Ok(None);
        }
        rt.sleep(time)?;
        offs += 1;
        Ok(Some(Item::from(offs - 1)))
    })))
}
