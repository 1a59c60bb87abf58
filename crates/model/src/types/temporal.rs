//! Times: `time`, `duration`, `ival`.

use std::cmp::Ordering;
use std::sync::Arc;

use myelin_error::{Error, Result, err};
use myelin_value::{BigInt, Value};
use num_integer::Integer;
use num_traits::{ToPrimitive, Zero};

use super::cmpr::ORDERED;
use super::ctors::Decl;
use super::numbers::{Keep, int_cmpr, norm_lift, number_int};
use super::time::{self, DAY, FUTURE, HOUR, MAX_TIME, MINUTE, SECOND};
use super::{Cmpr, CtorKind, Decimal, Norm, NormCx, StorCmpr, Type, TypeImpl, py};
use crate::StorType;

/// A tick while it is being computed: wide enough that no sum of two inputs overflows.
type Tick = i128;

/// The error for a side of a pair or a time of its own; the sides of intervals are times by name.
fn bad_tick(ty: &Type, valu: &Value, mesg: impl Into<String>) -> Error {
    let name: &str = if ty.ctor == CtorKind::Ival { "time" } else { &ty.name };
    err!("BadTypeValu", mesg = mesg.into(), name = name, valu = valu.clone())
}

/// The bound of an ordinary time, which only the future marker may pass.
fn check_tick(ty: &Type, tick: Tick) -> Result<Tick> {
    if tick > Tick::from(MAX_TIME) && tick != Tick::from(FUTURE) {
        let mesg = format!("Times end at {MAX_TIME}, except for the future marker.");
        return Err(bad_tick(ty, &Value::from(tick), mesg));
    }
    Ok(tick)
}

/// The tick an input stands for.
fn norm_tick(ty: &Type, cx: &NormCx, valu: &Value) -> Result<Tick> {
    match valu {
        Value::Int(tick) => check_tick(ty, Tick::from(*tick)),
        Value::Big(_) => {
            let tick = valu.as_i128().ok_or_else(|| bad_tick(ty, valu, "The time is out of range."))?;
            check_tick(ty, tick)
        }
        Value::Str(text) => text_tick(ty, cx, text, 0),
        other if ty.ctor == CtorKind::Ival => {
            let mesg = format!("The type time takes no {}.", other.kind());
            Err(err!("BadTypeValu", mesg = mesg, name = "time"))
        }
        other => Err(ty.no_norm(other.kind())),
    }
}

/// How often a text may hold a time plus a delta inside another.
const MAX_DEPTH: u32 = 32;

fn text_tick(ty: &Type, cx: &NormCx, raw: &str, depth: u32) -> Result<Tick> {
    if let Some(tick) = time::plain(raw) {
        return check_tick(ty, Tick::from(tick));
    }
    let lower = raw.to_lowercase();
    let text = py::strip(&lower);
    match text {
        "now" => return check_tick(ty, Tick::from(cx.env.now_ms())),
        "?" => return Ok(Tick::from(FUTURE)),
        _ => {}
    }
    let (text, base) = time::parse_tz(text)?;
    let splitter = if text.contains('-') { '-' } else { '+' };
    if time::has_unit(&text)
        && depth < MAX_DEPTH
        && let Some((begin, end)) = text.split_once(splitter)
    {
        let delta = Tick::from(time::delta(&format!("{splitter}{end}"))?);
        let begin = if begin.is_empty() {
            Tick::from(cx.env.now_ms())
        } else {
            text_tick(ty, cx, begin, depth + 1)? + Tick::from(base)
        };
        return check_tick(ty, begin + delta);
    }
    check_tick(ty, Tick::from(time::parse(&text, Some(base), true)?))
}

/// One side of a pair: `now`, a delta relative to something, or a time.
fn pair_side(ty: &Type, cx: &NormCx, valu: &Value, relto: Option<Tick>) -> Result<Tick> {
    if let Value::Str(text) = valu {
        if let Some(tick) = time::plain(text) {
            return check_tick(ty, Tick::from(tick));
        }
        let lower = text.to_lowercase();
        let lower = py::strip(&lower);
        if lower.is_empty() {
            return Err(bad_tick(ty, valu, "An empty text is no time."));
        }
        if lower == "now" {
            return Ok(Tick::from(cx.env.now_ms()));
        }
        if lower.starts_with(['-', '+']) {
            let relto = relto.unwrap_or_else(|| Tick::from(cx.env.now_ms()));
            let has_size = lower[1..].trim_start().starts_with(|ch: char| ch.is_ascii_digit());
            let delta = time::delta(lower);
            let delta = delta.map_err(|error| if has_size { error } else { bad_tick(ty, valu, error.message()) })?;
            return check_tick(ty, Tick::from(delta) + relto);
        }
    }
    norm_tick(ty, cx, valu)
}

/// The two ticks of a pair, where the second may be relative to the first.
fn tick_tock(ty: &Type, cx: &NormCx, pair: &[Value]) -> Result<(Tick, Tick)> {
    let [first, second] = pair else {
        return Err(err!("BadTypeValu", mesg = "A range of times is a list of two."));
    };
    let tick = pair_side(ty, cx, first, None)?;
    if let Value::Str(text) = second {
        if let Some(around) = text.strip_prefix("+-").or_else(|| text.strip_prefix("-+")) {
            let delta = Tick::from(time::delta(around)?);
            let (tick, tock) = (tick - delta, tick + delta);
            return Ok((tick.min(tock), tick.max(tock)));
        }
        if text.starts_with('-') {
            let tock = pair_side(ty, cx, second, Some(tick))?;
            return Ok((tick.min(tock), tick.max(tock)));
        }
    }
    Ok((tick, pair_side(ty, cx, second, Some(tick))?))
}

/// The interval of a text that ends in `*`, if it does.
fn wildcard(valu: &Value) -> Option<Result<(i64, i64)>> {
    let text = py::strip(valu.as_str()?).strip_suffix('*')?;
    Some(time::wildrange(text))
}

fn pair(tick: Tick, tock: Tick) -> Value {
    Value::from([tick, tock])
}

/// `time`: epoch milliseconds.
pub struct Time {
    keep: Keep,
}

impl Time {
    pub(super) fn new(decl: Decl<'_>) -> Result<Time> {
        Ok(Time { keep: Keep::of(&decl) })
    }

    fn wild_lift(&self, ty: &Type, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        let range = wildcard(valu)?;
        Some(range.map(|(tick, tock)| match op {
            "=" => ty.stor("range=", [tick, tock]),
            "<" => ty.stor("<", tock),
            _ => ty.stor("<=", tock),
        }))
    }
}

impl TypeImpl for Time {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        norm_tick(ty, cx, valu).map(Norm::new)
    }

    fn norm_number(&self, ty: &Type, cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.norm(ty, cx, &number_int(ty, number)?)
    }

    fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        let tick = norm.as_i64().ok_or_else(|| ty.bad_valu(norm, "The stored value is no time."))?;
        time::repr(tick).map(Value::from)
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        match op {
            "=" | "<" | "<=" => {
                let range = wildcard(rhs)?;
                Some(range.map(|(tick, tock)| -> Cmpr {
                    let (tick, tock) = (Value::from(tick), Value::from(tock));
                    let before = |valu: &Value, than: &Value| py::cmp(valu, than) == Some(Ordering::Less);
                    match op {
                        "=" => Box::new(move |valu| Ok(!before(valu, &tick) && before(valu, &tock))),
                        "<" => Box::new(move |valu| Ok(before(valu, &tock))),
                        _ => Box::new(move |valu| Ok(!before(&tock, valu))),
                    }
                }))
            }
            "@=" => Some(overlap(ty, cx, rhs)),
            "range=" => Some(within(ty, cx, rhs)),
            ">" | ">=" => Some(int_cmpr(ty, cx, op, rhs)),
            _ => None,
        }
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        &["<", ">", "<=", ">=", "@="]
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match (op, valu) {
            ("=" | "<" | "<=", _) => self.wild_lift(ty, op, valu),
            ("@=", Value::List(items)) => {
                Some(tick_tock(ty, cx, items).map(|(tick, tock)| ty.stor("@=", pair(tick, tock))))
            }
            ("@=", _) => Some(norm_lift(ty, cx, "=", valu)),
            ("range=", Value::List(items)) => {
                Some(tick_tock(ty, cx, items).map(|(tick, tock)| ty.stor("range=", pair(tick, tock))))
            }
            ("range=", _) => Some(Err(err!("BadTypeValu", mesg = "A range of times is a list of two."))),
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["<", ">", "<=", ">=", "@="]
    }

    fn merge(&self, old: &Value, new: &Value) -> Value {
        self.keep.merge(old, new)
    }

    fn stortype(&self) -> StorType {
        match self.keep {
            Keep::Newest => StorType::TIME,
            Keep::Least => StorType::MINTIME,
            Keep::Most => StorType::MAXTIME,
        }
    }
}

/// `ival`: a pair of times, the second excluded.
pub struct Ival;

impl Ival {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Ival> {
        Ok(Ival)
    }
}

/// The filter `range=`: whether the stored time lies between two.
fn within(ty: &Type, cx: &NormCx, rhs: &Value) -> Result<Cmpr> {
    let Some(items @ [_, _]) = rhs.as_list() else {
        let mesg = "A range of times is a list of two.";
        return Err(err!("BadCmprValu", mesg = mesg, itemtype = rhs.kind(), cmpr = "range="));
    };
    let (tick, tock) = tick_tock(ty, cx, items)?;
    Ok(Box::new(move |valu| Ok(valu.as_i128().is_some_and(|have| tick <= have && have <= tock))))
}

/// The smallest interval that holds a tick.
fn single(ty: &Type, tick: Tick) -> Result<(Tick, Tick)> {
    let tick = check_tick(ty, tick)?;
    Ok((tick, check_tick(ty, tick + 1)?))
}

fn checked_pair(ty: &Type, cx: &NormCx, items: &[Value]) -> Result<(Tick, Tick)> {
    if items.len() != 2 {
        return Err(ty.bad_valu(&Value::from(items.to_vec()), "An interval is a pair of times."));
    }
    let (tick, tock) = tick_tock(ty, cx, items)?;
    Ok((check_tick(ty, tick)?, check_tick(ty, tock)?))
}

fn norm_ival(ty: &Type, cx: &NormCx, valu: &Value) -> Result<(Tick, Tick)> {
    match valu {
        Value::Int(_) | Value::Big(_) => single(ty, norm_tick(ty, cx, valu)?),
        Value::Str(text) => {
            let lower = text.to_lowercase();
            let text = py::strip(&lower);
            if text == "?" {
                return Err(ty.bad_valu(valu, "An interval needs a time to begin with."));
            }
            match text.split_once(',') {
                Some((first, second)) => checked_pair(ty, cx, &[Value::from(first), Value::from(second)]),
                None => single(ty, text_tick(ty, cx, text, 0)?),
            }
        }
        Value::List(items) => {
            let (tick, mut tock) = checked_pair(ty, cx, items)?;
            if tick == tock {
                tock += 1;
            }
            if tick > tock || tock > Tick::from(FUTURE) {
                return Err(
                    ty.bad_valu(valu, "An interval begins before it ends, and ends at the future marker at last.")
                );
            }
            Ok((tick, tock))
        }
        other => Err(ty.no_norm(other.kind())),
    }
}

/// The filter `@=`: whether the stored time or interval overlaps the right side.
fn overlap(ty: &Arc<Type>, cx: &NormCx, rhs: &Value) -> Result<Cmpr> {
    let none: Cmpr = Box::new(|_| Ok(false));
    let is_void = |items: &[Value]| matches!(items, [Value::Null, Value::Null]);
    let (min, max) = match rhs {
        Value::Null => return Ok(none),
        Value::List(items) if is_void(items) => return Ok(none),
        Value::List(items) => {
            let (min, max) = checked_pair(ty, cx, items)?;
            if min >= max {
                return Ok(none);
            }
            (min, max)
        }
        Value::Str(_) | Value::Int(_) | Value::Big(_) => norm_ival(ty, cx, rhs)?,
        Value::Bool(flag) => {
            return Err(ty.no_norm(if *flag { "true" } else { "false" }));
        }
        other => {
            let mesg = format!("The comparator @= takes no {}.", other.kind());
            return Err(err!("NoSuchFunc", mesg = mesg, name = &ty.name));
        }
    };
    let (ty, cx) = (ty.clone(), cx.clone());
    Ok(Box::new(move |valu| match valu {
        Value::Null => Ok(false),
        Value::List(items) if is_void(items) => Ok(false),
        other => {
            let (tick, tock) = norm_ival(&ty, &cx, other)?;
            Ok(tick < max && tock > min)
        }
    }))
}

impl TypeImpl for Ival {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        norm_ival(ty, cx, valu).map(|(tick, tock)| Norm::new(pair(tick, tock)))
    }

    fn norm_number(&self, ty: &Type, cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.norm(ty, cx, &number_int(ty, number)?)
    }

    fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        let side = |indx| match norm.at(indx).and_then(Value::as_i64) {
            Some(tick) => time::repr(tick).map(Value::from),
            None => Err(ty.bad_valu(norm, "The stored value is no interval.")),
        };
        Ok(Value::list([side(0)?, side(1)?]))
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        (op == "@=").then(|| overlap(ty, cx, rhs))
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        &["@=", "-range="]
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match (op, valu) {
            ("@=", Value::List(items)) => {
                Some(tick_tock(ty, cx, items).map(|(tick, tock)| ty.stor("@=", pair(tick, tock))))
            }
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["@="]
    }

    fn merge(&self, old: &Value, new: &Value) -> Value {
        let side = |indx, keep: Keep| match (old.at(indx), new.at(indx)) {
            (Some(old), Some(new)) => keep.merge(old, new),
            _ => Value::Null,
        };
        match old.as_list() {
            Some([_, _]) => Value::list([side(0, Keep::Least), side(1, Keep::Most)]),
            _ => new.clone(),
        }
    }

    fn stortype(&self) -> StorType {
        StorType::IVAL
    }
}

/// `duration`: milliseconds.
pub struct Duration;

impl Duration {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Duration> {
        Ok(Duration)
    }
}

/// A duration's text in milliseconds: `[<days>D ][[H:]M:]S[.f]`.
pub fn duration_text(text: &str) -> Option<Value> {
    let text = py::strip(text);
    let whole = |part: &str, unit: i64| Some(py::int_decimal(py::strip(part))?.to_bigint()? * unit);
    let seconds = |part: &str| py::float_to_int(py::float_text(py::strip(part))? * SECOND as f64)?.to_bigint();
    let (days, rest) = match text.split_once('D') {
        Some((days, rest)) => (py::int_auto(py::strip(days))?.to_bigint()? * DAY, py::strip(rest)),
        None => (0.into(), text),
    };
    if text.is_empty() {
        return None;
    }
    let parts: Vec<&str> = rest.split(':').collect();
    let rest = match parts[..] {
        [""] => 0.into(),
        [secs] => seconds(secs)?,
        [mins, secs] => whole(mins, MINUTE)? + seconds(secs)?,
        [hours, mins, secs] => whole(hours, HOUR)? + whole(mins, MINUTE)? + seconds(secs)?,
        _ => return None,
    };
    Some(Value::from(days + rest))
}

/// A duration as text.
pub fn duration_repr(ms: &BigInt) -> String {
    let (days, rem) = ms.div_mod_floor(&BigInt::from(DAY));
    let rem = rem.to_i64().unwrap_or(0);
    let (hours, mins, secs, millis) = (rem / HOUR, rem / MINUTE % 60, rem / SECOND % 60, rem % SECOND);
    let days = if days.is_zero() { String::new() } else { format!("{days}D ") };
    format!("{days}{hours:02}:{mins:02}:{secs:02}.{millis:03}")
}

impl TypeImpl for Duration {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Int(_) | Value::Big(_) => Ok(Norm::new(valu.clone())),
            Value::Str(text) => duration_text(text)
                .map(Norm::new)
                .ok_or_else(|| ty.bad_plain(format!("The text is no duration: {text:?}."))),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        number_int(ty, number).map(Norm::new)
    }

    fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        let ms = norm.to_bigint().ok_or_else(|| ty.bad_valu(norm, "The stored value is no duration."))?;
        Ok(Value::from(duration_repr(&ms)))
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn stortype(&self) -> StorType {
        StorType::U64
    }
}
