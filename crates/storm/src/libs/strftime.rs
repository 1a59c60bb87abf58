//! Times by format strings, as Python's `strftime` and `strptime` read them, in English.

use std::fmt::Write as _;

use myelin_model::types::time::{Civil, civil, days_from_civil};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAY_MS: i64 = 86_400_000;

/// A time as text. Unknown directives stand as they are.
pub fn format(at: &Civil, form: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = form.chars();
    let day = DAYS[at.weekday as usize % 7];
    let month = MONTHS[(at.month as usize + 11) % 12];
    while let Some(ch) = chars.next() {
        if ch != '%' {
            out.push(ch);
            continue;
        }
        let Some(mut code) = chars.next() else {
            out.push('%');
            break;
        };
        let plain = code == '-';
        if plain {
            code = chars.next()?;
        }
        let number = |out: &mut String, valu: i64, width: usize| {
            let _ = if plain { write!(out, "{valu}") } else { write!(out, "{valu:0width$}") };
        };
        let hour12 = i64::from((at.hour + 11) % 12 + 1);
        match code {
            'Y' => number(&mut out, at.year, 1),
            'G' => number(&mut out, iso_week(at).0, 1),
            'y' => number(&mut out, at.year.rem_euclid(100), 2),
            'C' => number(&mut out, at.year / 100, 2),
            'm' => number(&mut out, i64::from(at.month), 2),
            'd' => number(&mut out, i64::from(at.day), 2),
            'e' => out.push_str(&format!("{:2}", at.day)),
            'H' => number(&mut out, i64::from(at.hour), 2),
            'I' => number(&mut out, hour12, 2),
            'M' => number(&mut out, i64::from(at.minute), 2),
            'S' => number(&mut out, i64::from(at.second), 2),
            'f' => number(&mut out, i64::from(at.millis) * 1000, 6),
            'j' => number(&mut out, i64::from(at.yearday) + 1, 3),
            'U' => number(&mut out, i64::from((at.yearday + 7 - (at.weekday + 1) % 7) / 7), 2),
            'W' => number(&mut out, i64::from((at.yearday + 7 - at.weekday) / 7), 2),
            'V' => number(&mut out, iso_week(at).1, 2),
            'u' => number(&mut out, i64::from(at.weekday) + 1, 1),
            'w' => number(&mut out, i64::from((at.weekday + 1) % 7), 1),
            'a' => out.push_str(&day[..3]),
            'A' => out.push_str(day),
            'b' | 'h' => out.push_str(&month[..3]),
            'B' => out.push_str(month),
            'p' => out.push_str(if at.hour < 12 { "AM" } else { "PM" }),
            'z' | 'Z' => {}
            's' => number(&mut out, tick_of(at) / 1000, 1),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            'D' | 'x' => out.push_str(&format(at, "%m/%d/%y")?),
            'F' => out.push_str(&format(at, "%Y-%m-%d")?),
            'T' | 'X' => out.push_str(&format(at, "%H:%M:%S")?),
            'R' => out.push_str(&format(at, "%H:%M")?),
            'r' => out.push_str(&format(at, "%I:%M:%S %p")?),
            'c' => out.push_str(&format(at, "%a %b %e %H:%M:%S %Y")?),
            other => {
                out.push('%');
                out.push(other);
            }
        }
    }
    Some(out)
}

fn tick_of(at: &Civil) -> i64 {
    let secs = i64::from(at.hour) * 3600 + i64::from(at.minute) * 60 + i64::from(at.second);
    days_from_civil(at.year, at.month, at.day) * DAY_MS + secs * 1000 + i64::from(at.millis)
}

/// The year and number of the ISO week.
fn iso_week(at: &Civil) -> (i64, i64) {
    let days = days_from_civil(at.year, at.month, at.day);
    let thursday = days - i64::from(at.weekday) + 3;
    let year = civil(thursday * DAY_MS).map_or(at.year, |at| at.year);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

#[derive(Default)]
struct Found {
    year: Option<i64>,
    short_year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    yearday: Option<i64>,
    hour: i64,
    hour12: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    micros: i64,
    offset_ms: i64,
}

struct Text<'a> {
    text: &'a str,
}

impl Text<'_> {
    fn number(&mut self, most: usize) -> Option<i64> {
        let size = self.text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.text.split_at(size);
        let valu = digits.parse().ok()?;
        self.text = rest;
        Some(valu)
    }

    fn ranged(&mut self, most: usize, low: i64, high: i64) -> Option<i64> {
        let before = self.text;
        for most in (1..=most).rev() {
            self.text = before;
            match self.number(most) {
                Some(valu) if (low..=high).contains(&valu) => return Some(valu),
                _ => {}
            }
        }
        None
    }

    fn word(&mut self, names: &[&str], size: Option<usize>) -> Option<u32> {
        for (indx, name) in names.iter().enumerate() {
            let name = &name[..size.unwrap_or(name.len()).min(name.len())];
            if self.text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
                self.text = &self.text[name.len()..];
                return u32::try_from(indx).ok();
            }
        }
        None
    }

    fn eat(&mut self, part: &str) -> bool {
        match self.text.strip_prefix(part) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn zone(&mut self) -> Option<i64> {
        if self.eat("Z") {
            return Some(0);
        }
        let sign = if self.eat("-") { -1 } else { self.eat("+").then_some(1)? };
        let hours = self.number(2)?;
        self.eat(":");
        let minutes = self.ranged(2, 0, 59)?;
        let mut secs = 0;
        if self.text.starts_with(':') {
            self.eat(":");
            secs = self.ranged(2, 0, 59)?;
        }
        Some(sign * (hours * 3600 + minutes * 60 + secs) * 1000)
    }
}

/// The milliseconds since the epoch that a text means by a format.
///
/// # Errors
/// Why it does not fit.
pub fn parse(text: &str, form: &str) -> Result<i64, String> {
    let mut found = Found::default();
    let mut rest = Text { text };
    let nofit = || format!("time data {text:?} does not match format {form:?}");
    read(&mut rest, form, &mut found).ok_or_else(nofit)?;
    if !rest.text.is_empty() {
        return Err(format!("unconverted data remains: {}", rest.text));
    }
    let short = found.short_year.map(|year| if year < 69 { 2000 + year } else { 1900 + year });
    let year = found.year.or(short).unwrap_or(1900);
    let (month, day) = (found.month.unwrap_or(1), found.day.unwrap_or(1));
    let mut days = days_from_civil(year, month, day);
    let back = civil(days * DAY_MS).filter(|at| at.day == day && at.month == month);
    if back.is_none() {
        return Err("day is out of range for month".to_owned());
    }
    if let (Some(yearday), None, None) = (found.yearday, found.month, found.day) {
        days = days_from_civil(year, 1, 1) + yearday - 1;
    }
    let hour = match found.hour12 {
        Some(hour) => hour % 12 + if found.afternoon { 12 } else { 0 },
        None => found.hour,
    };
    let secs = hour * 3600 + found.minute * 60 + found.second;
    Ok(days * DAY_MS + secs * 1000 + found.micros.div_euclid(1000) - found.offset_ms)
}

fn read(rest: &mut Text<'_>, form: &str, found: &mut Found) -> Option<()> {
    let mut chars = form.chars();
    while let Some(ch) = chars.next() {
        if ch.is_whitespace() {
            let trimmed = rest.text.trim_start();
            if trimmed.len() == rest.text.len() {
                return None;
            }
            rest.text = trimmed;
            continue;
        }
        if ch != '%' {
            let same = rest.text.chars().next().is_some_and(|have| have.to_lowercase().eq(ch.to_lowercase()));
            if !same {
                return None;
            }
            rest.text = &rest.text[rest.text.chars().next().map_or(0, char::len_utf8)..];
            continue;
        }
        directive(rest, chars.next()?, found)?;
    }
    Some(())
}

fn directive(rest: &mut Text<'_>, code: char, found: &mut Found) -> Option<()> {
    let small = |valu: i64| u32::try_from(valu).ok();
    match code {
        'Y' => {
            let before = rest.text.len();
            found.year = Some(rest.number(4)?);
            if before - rest.text.len() != 4 || found.year == Some(0) {
                return None;
            }
        }
        'y' => {
            let before = rest.text.len();
            found.short_year = Some(rest.number(2)?);
            if before - rest.text.len() != 2 {
                return None;
            }
        }
        'm' => found.month = small(rest.ranged(2, 1, 12)?),
        'd' => {
            rest.eat(" ");
            found.day = small(rest.ranged(2, 1, 31)?);
        }
        'j' => found.yearday = Some(rest.ranged(3, 1, 366)?),
        'H' => found.hour = rest.ranged(2, 0, 23)?,
        'I' => found.hour12 = Some(rest.ranged(2, 1, 12)?),
        'M' => found.minute = rest.ranged(2, 0, 59)?,
        'S' => found.second = rest.ranged(2, 0, 61)?,
        'f' => {
            let before = rest.text.len();
            let valu = rest.number(6)?;
            let size = u32::try_from(before - rest.text.len()).ok()?;
            found.micros = valu * 10i64.pow(6 - size);
        }
        'p' => found.afternoon = rest.word(&["AM", "PM"], None)? == 1,
        'b' | 'h' => found.month = Some(rest.word(&MONTHS, Some(3))? + 1),
        'B' => found.month = Some(rest.word(&MONTHS, None)? + 1),
        'a' => {
            rest.word(&DAYS, Some(3))?;
        }
        'A' => {
            rest.word(&DAYS, None)?;
        }
        'w' => {
            rest.ranged(1, 0, 6)?;
        }
        'u' => {
            rest.ranged(1, 1, 7)?;
        }
        'U' | 'W' => {
            rest.ranged(2, 0, 53)?;
        }
        'z' => found.offset_ms = rest.zone()?,
        'Z' => {
            rest.word(&["UTC", "GMT"], None)?;
        }
        'c' => read(rest, "%a %b %d %H:%M:%S %Y", found)?,
        'x' => read(rest, "%m/%d/%y", found)?,
        'X' => read(rest, "%H:%M:%S", found)?,
        '%' => {
            if !rest.eat("%") {
                return None;
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let at = civil(1_506_942_245_678).expect("in range");
        assert_eq!(format(&at, "%A %d, %B %Y").as_deref(), Some("Monday 02, October 2017"));
        assert_eq!(format(&at, "%Y-%m-%dT%H:%M:%S.%fZ").as_deref(), Some("2017-10-02T11:04:05.678000Z"));
        assert_eq!(format(&at, "%j %U %W %V %I%p %%").as_deref(), Some("275 40 40 40 11AM %"));
    }

    #[test]
    fn parses() {
        assert_eq!(parse("06/01/2020", "%m/%d/%Y"), Ok(1_590_969_600_000));
        assert_eq!(parse("2020-10-01 01:30:34-1000", "%Y-%m-%d %H:%M:%S%z"), Ok(1_601_551_834_000));
        assert_eq!(parse("Oct 1 20 1pm", "%b %d %y %I%p"), Ok(1_601_557_200_000));
        assert!(parse("newp", "%Y").is_err());
        assert!(parse("2020x", "%Y").is_err());
        assert!(parse("2020-02-30", "%Y-%m-%d").is_err());
    }
}
