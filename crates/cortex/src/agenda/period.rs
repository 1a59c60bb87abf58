//! What people write for the times of a job: `daily@3:00`, `weekly/mon,fri@12:30`, and the older options
//! (`hour: "+2"`, `day: "-1"`, `daily: "10:12"`).

use jiff::{Timestamp, tz::TimeZone};
use myelin_value::{Map, Value};

/// The options that came before periods.
pub const LEGACY: [&str; 9] = ["year", "month", "day", "hour", "minute", "hourly", "daily", "monthly", "yearly"];

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Required times (by unit name), and the step between runs.
pub struct Times {
    /// A dictionary or a list of them.
    pub reqs: Value,
    /// The unit of the step, or null.
    pub unit: Value,
    /// A number, a list of numbers or null.
    pub steps: Value,
}

/// A time by its fields, to the minute.
pub fn at_minute(millis: i64) -> Option<Value> {
    let at = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(millis).ok()?);
    let map = Map::new()
        .with("minute", i64::from(at.minute()))
        .with("hour", i64::from(at.hour()))
        .with("dayofmonth", i64::from(at.day()))
        .with("month", i64::from(at.month()))
        .with("year", i64::from(at.year()));
    Some(map.into())
}

/// A name or its first three letters, as its place in a list.
fn named(names: &[&str], text: &str) -> Option<i64> {
    let text = text.to_lowercase();
    let found = names.iter().position(|name| *name == text || (text.len() == 3 && name.starts_with(&text)));
    found.and_then(|indx| i64::try_from(indx).ok())
}

/// One number, or several with commas between them.
fn numbers(text: &str) -> Option<Value> {
    let items: Option<Vec<i64>> =
        text.split(',').map(|part| part.trim().trim_start_matches('+').parse().ok()).collect();
    items.map(one_or_list)
}

fn one_or_list(items: Vec<i64>) -> Value {
    match items[..] {
        [one] => Value::from(one),
        _ => items.into_iter().map(Value::from).collect(),
    }
}

fn clock(text: &str, reqs: &mut Map) -> Result<(), String> {
    let hour = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("Invalid hour value: {text}"));
    let Some((hours, minutes)) = text.split_once(':') else {
        reqs.insert("hour", hour(text)?);
        return Ok(());
    };
    if !hours.is_empty() {
        reqs.insert("hour", hour(hours)?);
    }
    if !minutes.is_empty() {
        reqs.insert("minute", numbers(minutes).ok_or_else(|| format!("Invalid minute value: {minutes}"))?);
    }
    Ok(())
}

fn check(reqs: &Map) -> Result<(), String> {
    let bounds = [
        ("hour", "hour", 0, 23),
        ("minute", "minute", 0, 59),
        ("dayofmonth", "day of month", -31, 31),
        ("month", "month", 1, 12),
    ];
    for (key, name, min, max) in bounds {
        let Some(valu) = reqs.get(key) else { continue };
        let items = valu.as_list().map_or_else(|| vec![valu.clone()], <[_]>::to_vec);
        for int in items.iter().filter_map(Value::as_i64) {
            if int < min || int > max {
                return Err(format!("Invalid {name} value: {int} (must be {min}-{max})"));
            }
        }
    }
    Ok(())
}

fn fill(reqs: &mut Map, keys: &[&str]) {
    for key in keys {
        if !reqs.contains(key) {
            reqs.insert(*key, 0);
        }
    }
}

/// Reads a period.
///
/// # Errors
/// What is wrong with it, as text.
pub fn parse(text: &str) -> Result<Times, String> {
    let (base, time) = text.split_once('@').map_or((text, None), |(base, time)| (base, Some(time)));
    let (kind, vals) = base.split_once('/').map_or((base, None), |(kind, vals)| (kind, Some(vals)));
    let kind = kind.to_lowercase();
    if kind == "yearly" {
        return yearly(text);
    }
    let vals = vals.filter(|vals| !vals.is_empty());
    if kind == "minutely" && time.is_some() {
        return Err("Minutely period does not support a time of day".to_owned());
    }
    let mut reqs = Map::new();
    if let Some(time) = time.filter(|time| !time.is_empty()) {
        clock(time, &mut reqs)?;
    }
    let steps = |kind: &str| match vals {
        None => Ok(Value::from(1)),
        Some(vals) => numbers(vals).ok_or_else(|| format!("Invalid increment value for {kind} period: {vals}")),
    };
    let (unit, steps) = match kind.as_str() {
        "minutely" => ("minute", steps("minutely")?),
        "hourly" => {
            if time.is_none() {
                return Err("Hourly period requires explicit minute".to_owned());
            }
            fill(&mut reqs, &["minute"]);
            if reqs.remove("hour").is_some_and(|hour| hour.as_i64() != Some(0)) {
                return Err("Cannot specify hour for hourly period".to_owned());
            }
            ("hour", steps("hourly")?)
        }
        "daily" => {
            fill(&mut reqs, &["hour", "minute"]);
            ("day", steps("daily")?)
        }
        "weekly" => {
            fill(&mut reqs, &["hour", "minute"]);
            let days = match vals {
                None => Value::from(0),
                Some(vals) => vals
                    .split(',')
                    .map(|day| named(&DAYS, day).map(Value::from).ok_or_else(|| format!("Invalid weekday: {day}")))
                    .collect::<Result<Vec<_>, _>>()?
                    .into(),
            };
            ("dayofweek", days)
        }
        "monthly" => {
            fill(&mut reqs, &["hour", "minute"]);
            let days = match vals {
                None => Value::from(1),
                Some(vals) => {
                    let days: Option<Vec<Value>> =
                        vals.split(',').map(|day| day.parse::<i64>().ok().map(Value::from)).collect();
                    days.ok_or_else(|| format!("Invalid day of month value in monthly period: {vals}"))?.into()
                }
            };
            reqs.insert("dayofmonth", days);
            ("month", Value::from(1))
        }
        _ => return Err(format!("Unknown period: {kind}")),
    };
    check(&reqs)?;
    Ok(Times { reqs: reqs.into(), unit: unit.into(), steps })
}

fn yearly(text: &str) -> Result<Times, String> {
    let first = || Map::new().with("month", 1).with("dayofmonth", 1).with("hour", 0).with("minute", 0);
    let reqs = if let Some((_, vals)) = text.split_once('/') {
        let mut all = Vec::new();
        for part in vals.split(',') {
            let mut req = first();
            let (day, time) = part.split_once('@').map_or((part, None), |(day, time)| (day, Some(time)));
            if let Some(time) = time {
                clock(time, &mut req)?;
            }
            let parsed = day
                .split_once('-')
                .and_then(|(month, day)| Some((month.parse::<i64>().ok()?, day.parse::<i64>().ok()?)));
            let (month, day) = parsed.ok_or_else(|| format!("Invalid month-day value for yearly period: {part}"))?;
            req.insert("month", month);
            req.insert("dayofmonth", day);
            check(&req)?;
            all.push(Value::from(req));
        }
        Value::from(all)
    } else {
        let mut req = first();
        if let Some((_, time)) = text.split_once('@') {
            clock(time, &mut req)?;
            check(&req)?;
        }
        req.into()
    };
    Ok(Times { reqs, unit: "year".into(), steps: Value::from(1) })
}

/// The older options: aliases like `daily`, or units with a fixed value or (after `+`) a step.
///
/// # Errors
/// What is wrong with them, as text.
pub fn legacy(given: &Map) -> Result<Times, String> {
    let text = |opts: &Map, key: &str| opts.get(key).map(myelin_model::types::py::str_text);
    let opts = match alias(given)? {
        None => given.clone(),
        Some(_) if LEGACY[..5].iter().any(|key| given.get(key).is_some_and(Value::is_truthy)) => {
            return Err("May not use both alias (..ly) and explicit options at the same time".to_owned());
        }
        Some(opts) => opts,
    };
    let lowest = |key: &str| i64::from(matches!(key, "month" | "day"));
    let mut reqs = Map::new();
    let (mut unit, mut steps) = (Value::Null, Value::Null);
    for key in &LEGACY[..5] {
        let Some(valu) = text(&opts, key).filter(|_| opts.get(key).is_some_and(|valu| !valu.is_null())) else {
            if !unit.is_null() || !reqs.is_empty() {
                reqs.insert(if *key == "day" { "dayofmonth" } else { *key }, lowest(key));
            }
            continue;
        };
        if *key == "day" {
            let (of, days) = day(&valu).ok_or_else(|| format!("Failed to parse day value \"{valu}\""))?;
            match of {
                "dayofmonth" => drop(reqs.insert("dayofmonth", days)),
                "dayofweek" if !unit.is_null() => {
                    return Err("May not provide a recurrence value with day of week".to_owned());
                }
                "dayofweek" if !reqs.is_empty() => return Err("May not fix month or year with day of week".to_owned()),
                of => (unit, steps) = (of.into(), days),
            }
            continue;
        }
        if valu.starts_with('+') {
            if !unit.is_null() {
                return Err("May not provide more than 1 recurrence parameter".to_owned());
            }
            if !reqs.is_empty() {
                return Err("Fixed unit may not be larger than recurrence unit".to_owned());
            }
            unit = Value::from(*key);
            steps = numbers(&valu).ok_or("Failed to parse parameter")?;
            continue;
        }
        if *key == "year" {
            return Err("Year may not be a fixed value".to_owned());
        }
        let fixed = if *key == "month" {
            let months: Option<Vec<i64>> = valu
                .split(',')
                .map(|part| part.parse().ok().or_else(|| named(&MONTHS, part).map(|indx| indx + 1)))
                .collect();
            months.map(one_or_list)
        } else {
            numbers(&valu)
        };
        reqs.insert(*key, fixed.ok_or_else(|| format!("Failed to parse fixed parameter \"{valu}\""))?);
    }
    if unit.is_null() {
        let first = reqs.keys().next().and_then(Value::as_str).unwrap_or_default();
        unit = match first {
            "month" => "year",
            "dayofmonth" => "month",
            "hour" => "day",
            "minute" => "hour",
            _ => return Err("Must provide at least one optional argument".to_owned()),
        }
        .into();
        steps = Value::from(1);
    }
    Ok(Times { reqs: reqs.into(), unit, steps })
}

/// A day: of the month, of the week, or (after `+`) a step in days or to a day of the week.
fn day(text: &str) -> Option<(&'static str, Value)> {
    let (fixed, text) = text.strip_prefix('+').map_or((true, text), |rest| (false, rest));
    let mut unit = None;
    let mut items = Vec::new();
    for part in text.split(',') {
        let (of, int) = match part.parse::<i64>() {
            Ok(int) => (if fixed { "dayofmonth" } else { "day" }, int),
            Err(_) => ("dayofweek", named(&DAYS, part)?),
        };
        if *unit.get_or_insert(of) != of {
            return None;
        }
        items.push(int);
    }
    Some((unit?, one_or_list(items)))
}

fn alias(given: &Map) -> Result<Option<Map>, String> {
    let text = |key: &str| given.get(key).filter(|valu| !valu.is_null()).map(myelin_model::types::py::str_text);
    let bad = |valu: &str| format!("Failed to parse ..ly parameter: Failed to parse parameter {valu}");
    let time = |valu: &str, opts: Map| {
        let parts = valu
            .split_once(':')
            .and_then(|(hour, minute)| Some((hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?)));
        let (hour, minute) = parts.filter(|(hour, minute)| *hour < 24 && *minute < 60).ok_or_else(|| bad(valu))?;
        Ok::<_, String>(opts.with("hour", hour.to_string()).with("minute", minute.to_string()))
    };
    if let Some(valu) = text("hourly") {
        let minute = valu.parse::<i64>().map_err(|_| bad(&valu))?;
        return Ok(Some(Map::new().with("hour", "+1").with("minute", minute.to_string())));
    }
    if let Some(valu) = text("daily") {
        return time(&valu, Map::new().with("day", "+1")).map(Some);
    }
    if let Some(valu) = text("monthly") {
        let (day, rest) = valu.split_once(':').ok_or_else(|| bad(&valu))?;
        return time(rest, Map::new().with("month", "+1").with("day", day)).map(Some);
    }
    if let Some(valu) = text("yearly") {
        let parts: Vec<&str> = valu.split(':').collect();
        let [month, day, hour, minute] = parts[..] else { return Err(bad(&valu)) };
        let opts = Map::new().with("year", "+1").with("month", month).with("day", day);
        return Ok(Some(opts.with("hour", hour).with("minute", minute)));
    }
    Ok(None)
}
