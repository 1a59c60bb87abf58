//! Epoch milliseconds: reading dates, zones and deltas from text, printing them, and their calendar parts.
//!
//! Text is read loosely: everything but digits is thrown away and the number of digits tells the format. Zones and deltas
//! are recognised before that. Public, since `$lib.time` does the same.

use std::borrow::Cow;
use std::sync::LazyLock;

use myelin_error::{Error, Result, err};

use super::py;

/// "Some time in the future", printed as `?`.
pub const FUTURE: i64 = i64::MAX;
/// The last time that is not the future marker: 9999-12-31 23:59:59.999.
pub const MAX_TIME: i64 = 253_402_300_799_999;
/// A second in milliseconds.
pub const SECOND: i64 = 1000;
/// A minute in milliseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// A day in milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// The last time before year 1, the first that does not print.
const BEFORE_YEAR_1: i64 = -62_135_596_800_001;

/// Milliseconds of a unit word of a delta.
pub fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "sec" | "secs" | "seconds" => SECOND,
        "min" | "mins" | "minute" | "minutes" => MINUTE,
        "hour" | "hours" => HOUR,
        "day" | "days" => DAY,
        _ => return None,
    })
}

/// Whether a text holds a unit word anywhere. The other words contain these.
pub fn has_unit(text: &str) -> bool {
    ["sec", "min", "hour", "day"].iter().any(|unit| text.contains(unit))
}

/// The offset from UTC of a zone's abbreviation, in milliseconds.
fn zone_ms(name: &str) -> Option<i64> {
    Some(
        HOUR * match name.to_ascii_uppercase().as_str() {
            "A" => -1,
            "CDT" | "EST" => -5,
            "CST" | "MDT" => -6,
            "EDT" => -4,
            "GMT" | "UT" | "UTC" | "Z" => 0,
            "M" => -12,
            "MST" | "PDT" => -7,
            "N" => 1,
            "PST" => -8,
            "Y" => 12,
            _ => return None,
        },
    )
}

fn bad(text: &str, mesg: &str) -> Error {
    bad_field(text, mesg).with("name", "time")
}

/// The error for text that has the shape of a time, with numbers that make none; the original names no type there.
fn bad_field(text: &str, mesg: &str) -> Error {
    err!("BadTypeValu", mesg = format!("{mesg}: {text:?}"), valu = text)
}

/// A point in the calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// 1 to 9999.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 to 999.
    pub millis: u32,
    /// Days since Monday.
    pub weekday: u32,
    /// Days since the first of January.
    pub yearday: u32,
}

/// Days since the epoch of a date. Months may not overflow, days may.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let mp = i64::from((month + 9) % 12);
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let doe = days.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The calendar parts of a time, or `None` outside years 1 to 9999.
pub fn civil(tick: i64) -> Option<Civil> {
    if !(BEFORE_YEAR_1 + 1..=MAX_TIME).contains(&tick) {
        return None;
    }
    let (days, rem) = (tick.div_euclid(DAY), tick.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    Some(Civil {
        year,
        month,
        day,
        hour: (rem / HOUR) as u32,
        minute: (rem / MINUTE % 60) as u32,
        second: (rem / SECOND % 60) as u32,
        millis: (rem % SECOND) as u32,
        weekday: (days + 3).rem_euclid(7) as u32,
        yearday: (days - days_from_civil(year, 1, 1)) as u32,
    })
}

/// A time as text: `2020/01/02 03:04:05.678`, or `?`.
///
/// # Errors
/// `BadTypeValu` outside years 1 to 9999.
pub fn repr(tick: i64) -> Result<String> {
    if tick == FUTURE {
        return Ok("?".to_owned());
    }
    let at = req_civil(tick)?;
    Ok(format!(
        "{}/{:02}/{:02} {:02}:{:02}:{:02}.{:03}",
        at.year, at.month, at.day, at.hour, at.minute, at.second, at.millis
    ))
}

/// A time as digits only: `20200102030405678`, or `?`.
///
/// # Errors
/// `BadTypeValu` outside years 1 to 9999.
pub fn repr_packed(tick: i64) -> Result<String> {
    if tick == FUTURE {
        return Ok("?".to_owned());
    }
    let at = req_civil(tick)?;
    Ok(format!("{}{:02}{:02}{:02}{:02}{:02}{:03}", at.year, at.month, at.day, at.hour, at.minute, at.second, at.millis))
}

/// The calendar parts of a time.
///
/// # Errors
/// `BadTypeValu` outside years 1 to 9999.
pub fn req_civil(tick: i64) -> Result<Civil> {
    civil(tick).ok_or_else(|| {
        let mesg = format!("The time {tick} lies outside the years that can be written.");
        err!("BadTypeValu", mesg = mesg, name = "time", valu = tick)
    })
}

/// A delta such as `+1 day` or `-30 minutes` in milliseconds.
///
/// # Errors
/// `BadTypeValu` when the number or the unit is none.
pub fn delta(text: &str) -> Result<i64> {
    let lower = text.to_lowercase();
    let body = py::strip(&lower);
    let neg = body.starts_with('-');
    let body = body.strip_prefix(['+', '-']).unwrap_or(body);
    let blank: &[char] = &[' ', '\t', '\r', '\n'];
    let body = body.trim_start_matches(blank);
    let end = body.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(body.len());
    let size = py::int_auto(&body[..end]).and_then(|size| size.as_i64());
    let size = size.ok_or_else(|| bad(text, "A delta needs a whole number"))?;
    let unit = unit_ms(body[end..].trim_start_matches(blank)).ok_or_else(|| bad(text, "The unit is unknown"))?;
    let ms = size.checked_mul(unit).ok_or_else(|| bad(text, "The delta is out of range"))?;
    Ok(if neg { -ms } else { ms })
}

/// The zone at the end of a time's text: the text without it, and the milliseconds to add to reach UTC.
///
/// # Errors
/// `BadTypeValu` for offsets of a day or more.
pub fn parse_tz(text: &str) -> Result<(Cow<'_, str>, i64)> {
    // The usual zone, by itself at the end.
    let rest = text.strip_suffix(['z', 'Z']).unwrap_or_default();
    if rest.ends_with(|ch: char| ch.is_ascii_digit()) && !rest.contains(['z', 'Z']) {
        return Ok((Cow::Borrowed(rest), 0));
    }
    static ZONE: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        let names = "CDT|CST|EDT|EST|GMT|MDT|MST|PDT|PST|UTC|UT|A|M|N|Y|Z";
        let units = "seconds|minutes|minute|hours|secs|mins|hour|days|sec|min|day";
        let pattern = format!(
            r"(?i)\d(?P<tzstr>\s?(?:(?P<name>{names})|(?:(?P<rel>-|\+)(?P<hr>\d{{1,2}}):?(?P<min>\d{{2}}))))(?:[-|+]\d+(?:{units}))?$"
        );
        regex::Regex::new(&pattern).ok()
    });
    let Some(caps) = may_have_zone(text).then_some(()).and(ZONE.as_ref()).and_then(|regx| regx.captures(text)) else {
        return Ok((Cow::Borrowed(text), 0));
    };
    let offset = match (caps.name("name"), caps.name("rel")) {
        (Some(name), _) => zone_ms(name.as_str()).unwrap_or(0),
        (_, Some(rel)) => {
            let part = |name: &str| {
                caps.name(name)
                    .and_then(|found| py::int_decimal(found.as_str()))
                    .and_then(|valu| valu.as_i64())
                    .unwrap_or(0)
            };
            let offset = HOUR * part("hr") + MINUTE * part("min");
            if offset >= DAY {
                return Err(bad(text, "A zone lies less than a day from UTC"));
            }
            if rel.as_str() == "+" { offset } else { -offset }
        }
        _ => 0,
    };
    // The first occurrence goes, wherever it is: that is how the reference reads it.
    let zone = caps.name("tzstr").map_or("", |found| found.as_str());
    Ok((Cow::Owned(text.replacen(zone, "", 1)), -offset))
}

/// A quick no for the usual times, which end in digits after a space, a colon or a short date part.
fn may_have_zone(text: &str) -> bool {
    let byts = text.as_bytes();
    if !byts.last().is_some_and(u8::is_ascii_digit) {
        return !byts.is_empty();
    }
    match byts.iter().rposition(|byte| matches!(byte, b'-' | b'+')) {
        None => !text.is_ascii(),
        Some(at) => {
            let tail = &byts[at + 1..];
            let digits = tail.iter().filter(|byte| byte.is_ascii_digit()).count();
            !tail.is_ascii() || (digits >= 3 && tail.iter().all(|byte| byte.is_ascii_digit() || *byte == b':'))
        }
    }
}

/// A parsed date: microseconds since the epoch, its date, and how many digits told it.
struct Raw {
    micros: i64,
    year: i64,
    month: u32,
    base: i64,
    digits: usize,
}

impl Raw {
    /// The arithmetic goes through doubles as the reference's does, so that fractions round alike.
    fn millis(&self, micros: i64) -> i64 {
        let seconds = if micros.unsigned_abs() < 1 << 53 {
            micros as f64 / 1e6
        } else {
            let sign = if micros < 0 { "-" } else { "" };
            let abs = micros.unsigned_abs();
            format!("{sign}{}.{:06}", abs / 1_000_000, abs % 1_000_000).parse().unwrap_or(0.0)
        };
        (seconds * 1000.0 + self.base as f64) as i64
    }
}

/// A time from text. With `base` the zone was parsed already; with `chop` digits past the 17th are dropped.
///
/// # Errors
/// `BadTypeValu` when the text is no time.
pub fn parse(text: &str, base: Option<i64>, chop: bool) -> Result<i64> {
    let raw = parse_raw(text, base, chop)?;
    Ok(raw.millis(raw.micros))
}

/// The interval a wildcard stands for: the text before the `*`, cut at a year, month, day, hour, minute or second.
///
/// # Errors
/// `BadTypeValu` when the text is no time cut there.
pub fn wildrange(text: &str) -> Result<(i64, i64)> {
    let raw = parse_raw(text, None, false)?;
    let second = 1_000_000;
    let tock = match raw.digits {
        4 => days_from_civil(raw.year + 1, 1, 1) * 86_400 * second,
        6 if raw.month == 12 => days_from_civil(raw.year + 1, 1, 1) * 86_400 * second,
        6 => days_from_civil(raw.year, raw.month + 1, 1) * 86_400 * second,
        8 => raw.micros + 86_400 * second,
        10 => raw.micros + 3600 * second,
        12 => raw.micros + 60 * second,
        14 => raw.micros + second,
        _ => return Err(bad_field(text, "A wildcard may not stand there")),
    };
    if tock > (MAX_TIME + 1) * 1000 - 1 {
        return Err(bad_field(text, "The interval ends past the year 9999"));
    }
    Ok((raw.millis(raw.micros), raw.millis(tock)))
}

/// The milliseconds of a time in the form that most feeds send, `YYYY-MM-DD[(T| )HH:MM:SS[.f]][Z]`, with `/` for `-` if
/// one likes. `None` says "look closer", also for what is no time.
pub fn plain(text: &str) -> Option<i64> {
    let byts = text.as_bytes();
    let number = |from: usize, to: usize| {
        byts.get(from..to)?
            .iter()
            .try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let is = |at: usize, ch: u8| byts.get(at) == Some(&ch);
    let dash = *byts.get(4)?;
    if !matches!(dash, b'-' | b'/') || !is(7, dash) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || day < 1 || day > most {
        return None;
    }
    let (mut ms, mut end) = (0, 10);
    if let Some(b'T' | b't' | b' ') = byts.get(10) {
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !is(13, b':') || !is(16, b':') || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        (ms, end) = (((hour * 60 + minute) * 60 + second) * 1000, 19);
        if is(19, b'.') {
            let size = byts[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=6).contains(&size) {
                return None;
            }
            // Only thousandths count, and what is missing is zero.
            ms += number(20, 20 + size.min(3))? * 10_i64.pow(3_u32.saturating_sub(u32::try_from(size).ok()?));
            end = 20 + size;
        }
    }
    let zulu = end > 10 && matches!(byts.get(end), Some(b'Z' | b'z'));
    if end + usize::from(zulu) != byts.len() {
        return None;
    }
    // Days since the epoch, counted in years that begin in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400_000 + ms)
}

fn parse_raw(otext: &str, base: Option<i64>, chop: bool) -> Result<Raw> {
    let lower = otext.to_lowercase();
    let packed = py::strip(&lower).replace(' ', "");
    let (text, base, zoned) = match base {
        Some(base) => (Cow::Borrowed(packed.as_str()), base, false),
        None => {
            let (text, base) = parse_tz(&packed)?;
            (text, base, base != 0)
        }
    };
    if let Some(raw) = parse_rfc822(otext, &text, base)? {
        return Ok(raw);
    }
    let mut digits: Vec<Digit> = text
        .chars()
        .filter(|ch| py::is_digit(*ch))
        // Digits that are not decimal count, and then fail: 255 is no digit's value.
        .map(|ch| Digit { valu: py::decimal_digit(ch).unwrap_or(255), ascii: ch.is_ascii() })
        .collect();
    if chop {
        digits.truncate(17);
    }
    let count = digits.len();
    let fields = match count {
        4 => 0,
        6 => 1,
        8 => 2,
        10 => 3,
        12 => 4,
        14 => 5,
        15..=20 => 6,
        _ => return Err(bad(otext, "The text is no time")),
    };
    if zoned && count <= 10 {
        return Err(bad_field(otext, "A zone needs a time of day"));
    }
    from_digits(&digits, fields)
        .map(|(micros, year, month)| Raw { micros, year, month, base, digits: count })
        .ok_or_else(|| bad_field(otext, "The text is no time"))
}

/// A digit and whether it is an ASCII one: those of other scripts may stand in some places only.
#[derive(Clone, Copy)]
struct Digit {
    valu: u8,
    ascii: bool,
}

/// The value of up to six decimal digits.
fn number(digits: &[Digit]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| (digit.valu < 10).then(|| sum * 10 + i64::from(digit.valu)))
}

/// Which values a field may have when it takes two digits and when it takes one, and where digits of any script may
/// stand: in second place behind these first digits, and alone.
struct FieldRule {
    two: std::ops::RangeInclusive<i64>,
    one: std::ops::RangeInclusive<i64>,
    loose_after: std::ops::RangeInclusive<u8>,
    loose_alone: bool,
}

/// A range that holds nothing.
#[allow(clippy::reversed_empty_ranges)]
const NONE: std::ops::RangeInclusive<u8> = 1..=0;

/// Month, day, hour, minute, second; the fraction follows.
const FIELDS: [FieldRule; 5] = [
    FieldRule { two: 1..=12, one: 1..=9, loose_after: NONE, loose_alone: false },
    FieldRule { two: 1..=31, one: 1..=9, loose_after: 1..=2, loose_alone: false },
    FieldRule { two: 0..=23, one: 0..=9, loose_after: 0..=1, loose_alone: true },
    FieldRule { two: 0..=59, one: 0..=9, loose_after: 0..=5, loose_alone: true },
    FieldRule { two: 0..=61, one: 0..=9, loose_after: 0..=5, loose_alone: true },
];

impl FieldRule {
    fn read(&self, digits: &[Digit]) -> Option<i64> {
        let (range, scripts) = match digits {
            [first, second] => (&self.two, first.ascii && (second.ascii || self.loose_after.contains(&first.valu))),
            [only] => (&self.one, only.ascii || self.loose_alone),
            _ => return None,
        };
        number(digits).filter(|valu| scripts && range.contains(valu))
    }
}

fn from_digits(digits: &[Digit], fields: usize) -> Option<(i64, i64, u32)> {
    let year = number(digits.get(..4)?)?;
    let mut found = [1, 1, 0, 0, 0, 0];
    let end = take_fields(digits, 4, 0, fields, &mut found)?;
    if end != digits.len() {
        return None;
    }
    to_micros(year, &found)
}

/// Reads fields greedily with backtracking: two digits where they fit, else one, as the reference's parser does.
fn take_fields(digits: &[Digit], at: usize, nth: usize, fields: usize, found: &mut [i64; 6]) -> Option<usize> {
    if nth == fields {
        return Some(at);
    }
    let Some(rule) = FIELDS.get(nth) else {
        let size = digits.get(at..)?.iter().take(6).take_while(|digit| digit.ascii).count();
        let part = digits.get(at..at + size).filter(|part| !part.is_empty())?;
        found[5] = number(part)? * 10_i64.pow(6 - size as u32);
        return Some(at + size);
    };
    for size in [2, 1] {
        if let Some(valu) = digits.get(at..at + size).and_then(|part| rule.read(part)) {
            found[nth] = valu;
            if let Some(end) = take_fields(digits, at + size, nth + 1, fields, found) {
                return Some(end);
            }
        }
    }
    None
}

fn to_micros(year: i64, found: &[i64; 6]) -> Option<(i64, i64, u32)> {
    let [month, day, hour, minute, second, micros] = *found;
    let month = u32::try_from(month).ok()?;
    let day = u32::try_from(day).ok()?;
    if year < 1 || day > month_days(year, month) || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds * 1_000_000 + micros, year, month))
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The mail date `[ddd,]D[D]monYYYYHH:MM:SS`, spaces gone. `None` when the text does not begin like one.
fn parse_rfc822(otext: &str, text: &str, base: i64) -> Result<Option<Raw>> {
    let body = match text.get(..4) {
        Some(head) if head.ends_with(',') && WEEKDAYS.contains(&&head[..3]) => &text[4..],
        _ => text,
    };
    let byts = body.as_bytes();
    let size = byts.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    let month = body.get(size..size + 3).and_then(|name| MONTHS.iter().position(|have| *have == name));
    let (Some(month), true) = (month, size > 0) else { return Ok(None) };
    let rest = byts.get(size + 3..).unwrap_or_default();
    let shape = b"dddddd:dd:dd";
    let fits = |(byte, want): (&u8, &u8)| if *want == b'd' { byte.is_ascii_digit() } else { byte == want };
    if rest.len() < shape.len() || !rest.iter().zip(shape).all(fits) {
        return Ok(None);
    }
    let num = |part: &[u8]| part.iter().fold(0_i64, |sum, byte| sum * 10 + i64::from(byte.wrapping_sub(b'0')));
    let day = num(&byts[..size]);
    let found = [month as i64 + 1, day, num(&rest[4..6]), num(&rest[7..9]), num(&rest[10..12]), 0];
    let sane = rest.len() == shape.len() && (1..=31).contains(&day) && found[2] < 24 && found[3] < 60;
    let made = if sane { to_micros(num(&rest[..4]), &found) } else { None };
    let (micros, year, month) = made.ok_or_else(|| bad_field(otext, "The text is no mail date"))?;
    Ok(Some(Raw { micros, year, month, base, digits: text.len() }))
}

/// A local time of a named zone as UTC.
///
/// # Errors
/// `BadArg` for an unknown zone, and for local times that are there twice or not at all.
pub fn to_utc(tick: i64, zone: &str) -> Result<i64> {
    let bad = |mesg: &str| err!("BadArg", mesg = format!("{mesg}: {zone}"));
    let tz = jiff::tz::TimeZone::get(zone).map_err(|_| bad("Unknown timezone"))?;
    let local = jiff::Timestamp::from_millisecond(tick).map_err(|_| bad("The time is out of range for a zone"))?;
    let local = local.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let zoned = tz.into_ambiguous_zoned(local).unambiguous().map_err(|_| bad("The time is ambiguous in its zone"))?;
    Ok(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_tell_the_format() {
        let cases = [
            ("2020", 1_577_836_800_000),
            ("2020-01-02", 1_577_923_200_000),
            ("2020/01/02 03:04:05.678", 1_577_934_245_678),
            ("2, jan 2020 03:04:05", -1),
            ("Thu, 2 Jan 2020 03:04:05", 1_577_934_245_000),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text, None, true).unwrap_or(-1), want, "{text}");
        }
    }

    #[test]
    fn zones_move_the_time() {
        assert_eq!(parse("2020-01-01 02:00 +02:00", None, true).expect("a time"), 1_577_836_800_000);
        assert_eq!(parse("2020-01-01 00:00 EST", None, true).expect("a time"), 1_577_854_800_000);
        assert!(parse("2020-01-01 00:00 +24:00", None, true).is_err());
    }

    #[test]
    fn wildcards_span_what_is_left_open() {
        assert_eq!(wildrange("202012").expect("a range"), (1_606_780_800_000, 1_609_459_200_000));
        assert!(wildrange("9999").is_err());
    }

    #[test]
    fn the_short_way_agrees_with_the_long_one() {
        let dates = [
            "0001-01-01",
            "1969-12-31",
            "1970/01/01",
            "2000-02-29",
            "2020-02-30",
            "1900-02-29",
            "9999-12-31",
            "2024-13-01",
        ];
        let times = [
            "",
            "T00:00:00",
            " 23:59:59",
            "t12:34:56.7",
            "T12:34:56.78",
            "T12:34:56.789",
            "T12:34:56.789123",
            "T24:00:00",
        ];
        let mut short = 0;
        for text in dates.iter().flat_map(|date| times.iter().map(move |time| format!("{date}{time}"))) {
            for text in [text.clone(), format!("{text}Z")] {
                let Some(have) = plain(&text) else { continue };
                short += 1;
                let lower = text.to_lowercase();
                let (body, base) = parse_tz(&lower).expect("a zone");
                assert_eq!(Some(have), parse(&body, Some(base), true).ok(), "{text}");
            }
        }
        assert!(short > 60, "only {short} texts went the short way");
    }

    #[test]
    fn printing_reads_back() {
        for tick in [0, -1, 1_577_934_245_678, MAX_TIME, BEFORE_YEAR_1 + 1] {
            let text = repr(tick).expect("text");
            let padded = if tick < -60_000_000_000_000 { format!("000{text}") } else { text };
            assert_eq!(parse(&padded, None, true).expect("a time"), tick);
        }
        assert!(repr(BEFORE_YEAR_1).is_err());
    }
}
