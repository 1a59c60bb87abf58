//! Reading YAML: events of the parser, plain scalars resolved by the rules of YAML 1.1.

use std::collections::HashMap;

use myelin_error::{Error, Result, err};
use myelin_value::{BigInt, Map, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

/// How deep a document may nest.
const MAX_DEPTH: usize = 500;
/// How many values a document may hold, with what its aliases repeat.
const MAX_VALUES: usize = 10_000_000;

struct Loader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, (Value, usize)>,
    count: usize,
}

fn bad(why: impl std::fmt::Display) -> Error {
    err!("BadArg", mesg = format!("Invalid YAML text: {why}"))
}

/// Reads the one document of a text. No text is null.
///
/// # Errors
/// `BadArg`.
pub fn loads(text: &str) -> Result<Value> {
    let mut loader = Loader { parser: Parser::new_from_str(text), anchors: HashMap::new(), count: 0 };
    let mut found = None;
    loop {
        match loader.next()? {
            Event::StreamStart | Event::Nothing | Event::DocumentEnd => {}
            Event::DocumentStart(_) if found.is_some() => return Err(bad("expected a single document in the stream")),
            Event::DocumentStart(_) => {
                let event = loader.next()?;
                found = Some(loader.value(event, 0)?);
            }
            Event::StreamEnd => return Ok(found.unwrap_or(Value::Null)),
            _ => return Err(bad("unexpected content")),
        }
    }
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<Event<'a>> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(bad(error)),
            None => Err(bad("the text ends early")),
        }
    }

    fn keep(&mut self, anchor: usize, valu: Value, from: usize) -> Value {
        if anchor > 0 {
            self.anchors.insert(anchor, (valu.clone(), self.count - from));
        }
        valu
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value> {
        let from = self.count;
        self.count += 1;
        if depth > MAX_DEPTH || self.count > MAX_VALUES {
            return Err(bad("the document is too large"));
        }
        match event {
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).cloned();
                let (valu, size) = found.ok_or_else(|| bad("found undefined alias"))?;
                self.count += size;
                Ok(valu)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag =
                    tag.as_ref().map(|tag| (tag.is_yaml_core_schema() || tag.handle == "!!", tag.suffix.as_str()));
                let valu = match tag {
                    Some((true, name)) => tagged(&text, name)?,
                    Some((false, name)) if !name.is_empty() => {
                        return Err(bad(format!("could not determine a constructor for the tag {name}")));
                    }
                    Some(_) => Value::from(&*text),
                    None if style == ScalarStyle::Plain => resolve(&text),
                    None => Value::from(&*text),
                };
                Ok(self.keep(anchor, valu, from))
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
                Ok(self.keep(anchor, Value::list(items), from))
            }
            Event::MappingStart(anchor, _) => {
                let map = self.mapping(depth)?;
                Ok(self.keep(anchor, Value::from(map), from))
            }
            _ => Err(bad("unexpected content")),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Map> {
        let (mut own, mut merged) = (Map::new(), Map::new());
        loop {
            let event = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.value(event, depth + 1)?;
            let event = self.next()?;
            let valu = self.value(event, depth + 1)?;
            if merge {
                merge_into(&mut merged, &valu)?;
            } else if matches!(key, Value::List(_) | Value::Map(_)) {
                return Err(bad("found unhashable key"));
            } else {
                own.insert(key, valu);
            }
        }
        merged.update(&own);
        Ok(merged)
    }
}

/// What `<<` brings; earlier maps of a list win.
fn merge_into(merged: &mut Map, valu: &Value) -> Result<()> {
    match valu {
        Value::Map(map) => merged.update(map),
        Value::List(items) => items.iter().rev().try_for_each(|item| merge_into(merged, item))?,
        _ => return Err(bad("expected a mapping or list of mappings for merging")),
    }
    Ok(())
}

fn tagged(text: &str, name: &str) -> Result<Value> {
    let plain = resolve(text);
    match (name, &plain) {
        ("str", _) => Ok(Value::from(text)),
        ("null", _) => Ok(Value::Null),
        ("bool", Value::Bool(_)) | ("int", Value::Int(_) | Value::Big(_)) | ("float", Value::Float(_)) => Ok(plain),
        ("float", Value::Int(_)) => Ok(text.parse().map(Value::Float).unwrap_or(plain)),
        ("binary", _) => match super::super::base64::decode_lenient(text.as_bytes(), false) {
            Ok(byts) => Ok(Value::from(byts.as_slice())),
            Err(why) => Err(bad(format!("failed to decode base64 data: {why}"))),
        },
        _ => Err(bad(format!("could not construct {name} from {text:?}"))),
    }
}

/// What a plain scalar means.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let (sign, body) = match text.as_bytes()[0] {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Value::Float(if sign < 0 { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    integer(body, sign).or_else(|| float(text, body, sign)).unwrap_or_else(|| Value::from(text))
}

fn integer(body: &str, sign: i32) -> Option<Value> {
    let digits = |text: &str, radix: u32| {
        let clean: String = text.chars().filter(|ch| *ch != '_').collect();
        let found = BigInt::parse_bytes(clean.as_bytes(), radix).filter(|_| !clean.starts_with(['-', '+']))?;
        Some(Value::from(found * sign))
    };
    if let Some(rest) = body.strip_prefix("0b") {
        return digits(rest, 2);
    }
    if let Some(rest) = body.strip_prefix("0x") {
        return digits(rest, 16);
    }
    if body == "0" {
        return Some(Value::Int(0));
    }
    if let Some(rest) = body.strip_prefix('0') {
        return digits(rest, 8);
    }
    if !body.starts_with(|ch: char| ch.is_ascii_digit()) {
        return None;
    }
    if body.contains(':') {
        return sexagesimal(body).map(|(total, _)| Value::from(total * sign));
    }
    digits(body, 10)
}

fn sexagesimal(body: &str) -> Option<(BigInt, ())> {
    let mut total = BigInt::default();
    for (indx, part) in body.split(':').enumerate() {
        let clean: String = part.chars().filter(|ch| *ch != '_').collect();
        let number: u64 = clean.parse().ok()?;
        if indx > 0 && (number > 59 || part.len() > 2) {
            return None;
        }
        total = total * 60 + number;
    }
    Some((total, ()))
}

fn float(text: &str, body: &str, sign: i32) -> Option<Value> {
    let (whole, rest) = body.split_once('.')?;
    let digity = |text: &str| text.chars().all(|ch| ch.is_ascii_digit() || ch == '_');
    if whole.contains(':') {
        let (total, ()) = sexagesimal(whole)?;
        let part: f64 = format!("0.{}", rest.replace('_', "")).parse().ok().filter(|_| digity(rest))?;
        let total: f64 = total.to_string().parse().ok()?;
        return Some(Value::Float((total + part) * f64::from(sign)));
    }
    let (places, exp) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, "+0"),
    };
    let exp_ok = exp.len() > 1 && exp.starts_with(['+', '-']) && exp[1..].chars().all(|ch| ch.is_ascii_digit());
    let starts = |text: &str| text.starts_with(|ch: char| ch.is_ascii_digit());
    let whole_ok = if whole.is_empty() { starts(places) && text.starts_with('.') } else { starts(whole) };
    if !(whole_ok && digity(whole) && digity(places) && exp_ok) {
        return None;
    }
    text.replace('_', "").parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_of_yaml_1_1() {
        for (text, want) in [
            ("yes", Value::Bool(true)),
            ("0o17", Value::from("0o17")),
            ("017", Value::from(15)),
            ("0x1F", Value::from(31)),
            ("1_000", Value::from(1000)),
            ("190:20:30", Value::from(685_230)),
            ("1.5", Value::Float(1.5)),
            ("1e5", Value::from("1e5")),
            ("1.0e+5", Value::Float(100_000.0)),
            ("-12", Value::from(-12)),
            ("", Value::Null),
            ("hi", Value::from("hi")),
        ] {
            assert_eq!(resolve(text), want, "{text}");
        }
    }

    #[test]
    fn documents() {
        let valu = loads("a: &x [1, 'yes', yes]\nb: *x\nc:\n  <<: {d: 1, e: 2}\n  d: 3\n").expect("valid");
        assert_eq!(valu.get("b"), valu.get("a"));
        assert_eq!(valu.get("c").and_then(|map| map.get("d")), Some(&Value::from(3)));
        assert_eq!(valu.get("c").and_then(|map| map.get("e")), Some(&Value::from(2)));
        assert_eq!(loads("").expect("valid"), Value::Null);
        assert!(loads("foo: bar: baz").is_err());
        assert!(loads("a\n---\nb").is_err());
    }
}
