//! When a cron job runs next.
//!
//! A [`Schedule`] is one record of a job: what a run's time must look like (`required`), and the step from one run to
//! the next (`every`). A job has a list of them and runs at the earliest. On disk and over the API a record is
//! `[{unit name: value}, unit name or null, step or null]`; in the `cron:add` event units are the numbers of [`Unit`].
//!
//! All arithmetic is in UTC and on whole minutes. Days past the end of a month are clamped to its last day; negative
//! days count from the end.

use jiff::civil::DateTime;
use jiff::{Span, Timestamp, tz::TimeZone};
use myelin_error::{Result, err};
use myelin_value::{Map, Value};

/// A unit of time, numbered as in the `cron:add` event; smaller numbers are larger units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Unit {
    /// A calendar year.
    Year = 1,
    /// A calendar month.
    Month,
    /// A day counted in its month, from the end when negative.
    DayOfMonth,
    /// A day of the week, Monday being 0.
    DayOfWeek,
    /// Twenty-four hours.
    Day,
    /// An hour.
    Hour,
    /// A minute.
    Minute,
    /// Once, as soon as possible.
    Now,
}

/// Every unit with its name on disk.
const UNITS: [(Unit, &str); 8] = [
    (Unit::Year, "year"),
    (Unit::Month, "month"),
    (Unit::DayOfMonth, "dayofmonth"),
    (Unit::DayOfWeek, "dayofweek"),
    (Unit::Day, "day"),
    (Unit::Hour, "hour"),
    (Unit::Minute, "minute"),
    (Unit::Now, "now"),
];

impl Unit {
    /// The unit of that name, in any case.
    pub fn from_name(name: &str) -> Option<Unit> {
        UNITS.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| row.0)
    }

    /// The unit of that number.
    pub fn from_number(number: i64) -> Option<Unit> {
        UNITS.iter().find(|row| row.0 as i64 == number).map(|row| row.0)
    }

    /// The name on disk.
    pub fn name(self) -> &'static str {
        UNITS[self as usize - 1].1
    }

    /// What a required value may be. `Day` cannot be required: days have a month or a week.
    fn required_bounds(self) -> Option<(i64, i64)> {
        Some(match self {
            Unit::Year => (2000, 2999),
            Unit::Month => (1, 12),
            Unit::DayOfMonth => (-31, 31),
            Unit::DayOfWeek => (0, 6),
            Unit::Hour => (0, 23),
            Unit::Minute => (0, 59),
            Unit::Day | Unit::Now => return None,
        })
    }

    /// What a step may be. A day of the month cannot be one: months differ.
    fn step_bounds(self) -> Option<(i64, i64)> {
        Some(match self {
            Unit::Year => (1, 5),
            Unit::Month => (1, 60),
            Unit::DayOfWeek => (0, 6),
            Unit::Day => (1, 365 * 5),
            Unit::Hour => (1, 1000),
            Unit::Minute => (1, 60 * 60 * 24 * 30),
            Unit::DayOfMonth | Unit::Now => return None,
        })
    }
}

/// One record of a job: the fields that a run's time must have, and the step between runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Required fields, larger units first, days after months. No unit twice.
    required: Vec<(Unit, i64)>,
    every: Option<(Unit, i64)>,
}

impl Schedule {
    /// Checks a record.
    ///
    /// # Errors
    /// `BadTime` says which part contradicts which, or is out of bounds.
    pub fn new(mut required: Vec<(Unit, i64)>, every: Option<(Unit, i64)>) -> Result<Schedule> {
        required.sort_by_key(|(unit, _)| order_of(*unit));
        let has = |wanted: Unit| required.iter().any(|(unit, _)| *unit == wanted);
        let bad = |mesg: &str| Err(err!("BadTime", mesg = mesg));

        if required.is_empty() && every.is_none() {
            return bad("A schedule needs a required time or a step between runs.");
        }
        if has(Unit::DayOfMonth) && has(Unit::DayOfWeek) {
            return bad("Require a day of the month or a day of the week, not both.");
        }
        if has(Unit::DayOfWeek) && every.is_some() {
            return bad("A required day of the week already repeats: leave out the step.");
        }
        if let Some((unit, step)) = every {
            match unit.step_bounds() {
                None => return bad(&format!("A {} cannot be the step between runs.", unit.name())),
                Some((min, max)) if step < min || step > max => {
                    return bad(&format!("The step in {}s is {step}: give {min} to {max}.", unit.name()));
                }
                Some(_) => {}
            }
        }
        for (unit, valu) in &required {
            match unit.required_bounds() {
                None => return bad(&format!("A {} cannot be required.", unit.name())),
                Some((min, max)) if *valu < min || *valu > max => {
                    return bad(&format!("The required {} is {valu}: give {min} to {max}.", unit.name()));
                }
                Some(_) => {}
            }
            if every.is_some_and(|(step, _)| *unit <= step) {
                return bad(&format!("A required {} contradicts the step between runs.", unit.name()));
            }
        }
        Ok(Schedule { required, every })
    }

    /// Reads the form on disk.
    ///
    /// # Errors
    /// `BadTime` when the value is no record, or contradicts itself.
    pub fn unpack(valu: &Value) -> Result<Schedule> {
        let damaged = || err!("BadTime", mesg = format!("Not a schedule record: {valu:?}."));
        let fields = valu.at(0).and_then(Value::as_map).ok_or_else(damaged)?;
        let mut required = Vec::with_capacity(fields.len());
        for (name, want) in fields.text_entries() {
            required.push((Unit::from_name(name).ok_or_else(damaged)?, want.as_i64().ok_or_else(damaged)?));
        }
        let every = match valu.at(1) {
            None | Some(Value::Null) => None,
            Some(name) => {
                let unit = name.as_str().and_then(Unit::from_name).ok_or_else(damaged)?;
                Some((unit, valu.at(2).and_then(Value::as_i64).ok_or_else(damaged)?))
            }
        };
        Schedule::new(required, every)
    }

    /// The form on disk.
    pub fn pack(&self) -> Value {
        let required: Map = self.required.iter().map(|(unit, valu)| (unit.name(), *valu)).collect();
        let (unit, step) = match self.every {
            Some((unit, step)) => (Value::from(unit.name()), Value::from(step)),
            None => (Value::Null, Value::Null),
        };
        Value::list([Value::from(required), unit, step])
    }

    /// Whether the record runs only once.
    pub fn is_once(&self) -> bool {
        self.every.is_none() && self.required.iter().any(|(unit, _)| *unit == Unit::Year)
    }

    /// The first matching time after `last` (both in seconds since the epoch), or `None` when there is no more.
    pub fn next_after(&self, last: f64) -> Option<f64> {
        let last_time = Timestamp::from_microsecond((last * 1e6).round() as i64).ok()?;
        let from = TimeZone::UTC.to_datetime(last_time);
        let mut at = from.with().second(0).build().ok()?;
        for (unit, want) in &self.required {
            at = require(at, *unit, *want)?;
        }
        let wrong_day = matches!(self.every, Some((Unit::DayOfWeek, day)) if weekday(at) != day);
        if at <= from || wrong_day {
            at = self.step(at)?;
        }
        let next = TimeZone::UTC.to_timestamp(at).ok()?.as_microsecond() as f64 / 1e6;
        (next > last).then_some(next)
    }

    /// Moves on by the step, or without one to the next time at which the required fields come round.
    fn step(&self, at: DateTime) -> Option<DateTime> {
        let (unit, step) = match self.every {
            Some(every) => every,
            None => {
                let (largest, valu) = *self.required.iter().min_by_key(|(unit, _)| *unit)?;
                match largest {
                    Unit::Year => return None,
                    Unit::Month => (Unit::Year, 1),
                    Unit::DayOfMonth => (Unit::Month, 1),
                    Unit::DayOfWeek => (Unit::DayOfWeek, valu),
                    Unit::Hour => (Unit::Day, 1),
                    _ => (Unit::Hour, 1),
                }
            }
        };
        match unit {
            Unit::Year => at.checked_add(Span::new().years(step)).ok(),
            Unit::Month => {
                let moved = at.checked_add(Span::new().months(step)).ok()?;
                match self.required.iter().find(|(unit, _)| *unit == Unit::DayOfMonth) {
                    Some((_, day)) => require(moved, Unit::DayOfMonth, *day),
                    None => Some(moved),
                }
            }
            Unit::DayOfWeek => at.checked_add(Span::new().days((6 + step - weekday(at)).rem_euclid(7) + 1)).ok(),
            Unit::Day => at.checked_add(Span::new().days(step)).ok(),
            Unit::Hour => at.checked_add(Span::new().hours(step)).ok(),
            _ => at.checked_add(Span::new().minutes(step)).ok(),
        }
    }
}

/// Required fields are set in this order: a day means something only once its year and month are set, and the
/// clock is independent of both.
fn order_of(unit: Unit) -> u8 {
    match unit {
        Unit::Year => 0,
        Unit::Month => 1,
        Unit::Hour => 2,
        Unit::Minute => 3,
        Unit::DayOfMonth => 4,
        _ => 5,
    }
}

fn weekday(at: DateTime) -> i64 {
    i64::from(at.weekday().to_monday_zero_offset())
}

/// The day that is meant in the month of `at`: clamped, and counted from the end when negative.
fn clamp_day(day: i64, at: DateTime) -> i8 {
    let last = i64::from(at.days_in_month());
    let day = if day < 0 { last + day + 1 } else { day };
    day.clamp(1, last) as i8
}

/// Sets one required field, keeping the date a real one.
fn require(at: DateTime, unit: Unit, want: i64) -> Option<DateTime> {
    let first = at.with().day(1);
    match unit {
        Unit::Year => {
            let moved = first.year(want as i16).build().ok()?;
            moved.with().day(clamp_day(i64::from(at.day()), moved)).build().ok()
        }
        Unit::Month => {
            let moved = first.month(want as i8).build().ok()?;
            moved.with().day(clamp_day(i64::from(at.day()), moved)).build().ok()
        }
        Unit::DayOfMonth => at.with().day(clamp_day(want, at)).build().ok(),
        Unit::DayOfWeek => {
            let ahead = (6 + want - weekday(at)).rem_euclid(7) + 1;
            // Stay in the month: an earlier day of this week's kind is moved on from by the caller's step.
            let day = i64::from(at.day()) + ahead;
            let day = if day > i64::from(at.days_in_month()) { day - 7 } else { day };
            at.with().day(i8::try_from(day).ok()?).build().ok()
        }
        Unit::Hour => at.with().hour(want as i8).build().ok(),
        Unit::Minute => at.with().minute(want as i8).build().ok(),
        Unit::Day | Unit::Now => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> f64 {
        let time: Timestamp = text.parse().expect("a time");
        time.as_second() as f64
    }

    fn check(required: &[(Unit, i64)], every: Option<(Unit, i64)>, last: &str, next: Option<&str>) {
        let schedule = Schedule::new(required.to_vec(), every).expect("a sound schedule");
        assert_eq!(schedule.next_after(at(last)), next.map(at), "{schedule:?} after {last}");
    }

    #[test]
    fn steps_and_requirements_give_the_next_run() {
        let noon = "2018-12-05T12:00:00Z";
        check(&[], Some((Unit::Minute, 3)), noon, Some("2018-12-05T12:03:00Z"));
        check(&[(Unit::Minute, 17)], Some((Unit::Hour, 2)), noon, Some("2018-12-05T12:17:00Z"));
        check(&[(Unit::Hour, 3), (Unit::Minute, 0)], Some((Unit::Day, 1)), noon, Some("2018-12-06T03:00:00Z"));
        check(&[(Unit::DayOfMonth, -1)], Some((Unit::Month, 2)), "2018-12-31T12:00:00Z", Some("2019-02-28T12:00:00Z"));
        check(&[(Unit::DayOfWeek, 2), (Unit::Hour, 1)], None, noon, Some("2018-12-12T01:00:00Z"));
        check(&[(Unit::Year, 2018), (Unit::Month, 1)], None, noon, None);
        check(&[(Unit::Month, 2), (Unit::DayOfMonth, 29)], Some((Unit::Year, 1)), noon, Some("2019-02-28T12:00:00Z"));
    }

    #[test]
    fn contradictions_are_refused() {
        for (required, every) in [
            (vec![], None),
            (vec![(Unit::Day, 1)], None),
            (vec![(Unit::DayOfMonth, 1), (Unit::DayOfWeek, 1)], None),
            (vec![(Unit::DayOfWeek, 1)], Some((Unit::Day, 1))),
            (vec![(Unit::Hour, 24)], None),
            (vec![(Unit::Hour, 3)], Some((Unit::Minute, 5))),
            (vec![], Some((Unit::DayOfMonth, 1))),
            (vec![], Some((Unit::Year, 6))),
        ] {
            assert!(
                Schedule::new(required.clone(), every).is_err_and(|error| error.is("BadTime")),
                "{required:?} {every:?}"
            );
        }
    }

    #[test]
    fn the_disk_form_comes_back() {
        let schedule = Schedule::new(vec![(Unit::Minute, 37), (Unit::Hour, 13)], Some((Unit::Day, 1))).expect("sound");
        assert_eq!(Schedule::unpack(&schedule.pack()).expect("our own form"), schedule);
    }
}
