//! JSON text as the platform reads and writes it.
//!
//! Reading is strict JSON plus what Python's reader lets through: integers of any size, `NaN`, `Infinity` and escaped lone
//! surrogates. Writing is compact or indented by two; text that is no UTF-8 switches to ASCII escapes with spaces after
//! the separators, which is what the platform falls back to.

use std::fmt::Write as _;

use myelin_error::{Error, err};
use myelin_value::{BigInt, Map, Value};

use crate::item::trim_text;

/// How deep a document may nest.
const MAX_DEPTH: usize = 900;

/// Reads a document.
///
/// # Errors
/// `BadJsonText`.
pub fn loads(text: &str) -> Result<Value, Error> {
    if text.is_empty() {
        return Err(err!("BadJsonText", mesg = "Cannot deserialize empty value."));
    }
    let mut parser = Parser { text, pos: 0 };
    let valu = parser.value(0)?;
    parser.space();
    if parser.pos < text.len() {
        return Err(parser.bad("Extra data"));
    }
    Ok(valu)
}

struct Parser<'a> {
    text: &'a str,
    pos: usize,
}

impl Parser<'_> {
    fn bad(&self, why: &str) -> Error {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        err!("BadJsonText", mesg = format!("{why} at offset {}", self.pos), text = trim_text(rest))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text[self.pos..].starts_with(word);
        if found {
            self.pos += word.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            return Err(self.bad("Nested too deeply"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, valu) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("NaN", Value::Float(f64::NAN)),
                    ("Infinity", Value::Float(f64::INFINITY)),
                ] {
                    if self.word(word) {
                        return Ok(valu);
                    }
                }
                Err(self.bad("Expecting value"))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.pos += 1;
        let mut map = Map::new();
        self.space();
        if self.word("}") {
            return Ok(Value::from(map));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.bad("Expecting property name enclosed in double quotes"));
            }
            let key = self.string()?;
            self.space();
            if !self.word(":") {
                return Err(self.bad("Expecting ':' delimiter"));
            }
            let valu = self.value(depth + 1)?;
            map.insert(key, valu);
            self.space();
            if self.word("}") {
                return Ok(Value::from(map));
            }
            if !self.word(",") {
                return Err(self.bad("Expecting ',' delimiter"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        self.pos += 1;
        let mut items = Vec::new();
        self.space();
        if self.word("]") {
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.word("]") {
                return Ok(Value::list(items));
            }
            if !self.word(",") {
                return Err(self.bad("Expecting ',' delimiter"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        if self.word("-Infinity") {
            return Ok(Value::Float(f64::NEG_INFINITY));
        }
        let byts = self.text.as_bytes();
        let from = self.pos;
        let digits = |mut pos: usize| {
            while byts.get(pos).is_some_and(u8::is_ascii_digit) {
                pos += 1;
            }
            pos
        };
        let first = from + usize::from(byts[from] == b'-');
        let mut end = digits(first);
        if end == first {
            return Err(self.bad("Expecting value"));
        }
        if byts[first] == b'0' {
            end = first + 1;
        }
        let mut whole = true;
        if byts.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
            end = digits(end + 1);
            whole = false;
        }
        if matches!(byts.get(end), Some(b'e' | b'E')) {
            let sign = end + 1 + usize::from(matches!(byts.get(end + 1), Some(b'+' | b'-')));
            if digits(sign) > sign {
                end = digits(sign);
                whole = false;
            }
        }
        self.pos = end;
        let text = &self.text[from..end];
        if whole {
            return match text.parse::<i64>() {
                Ok(small) => Ok(Value::Int(small)),
                Err(_) => text.parse::<BigInt>().map(Value::from).map_err(|_| self.bad("Expecting value")),
            };
        }
        text.parse().map(Value::Float).map_err(|_| self.bad("Expecting value"))
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let found = self.text.get(self.pos..self.pos + 4).and_then(|text| u32::from_str_radix(text, 16).ok());
        match found {
            Some(code) => {
                self.pos += 4;
                Ok(code)
            }
            None => Err(self.bad("Invalid \\uXXXX escape")),
        }
    }

    fn string(&mut self) -> Result<Value, Error> {
        self.pos += 1;
        let mut out = Vec::new();
        loop {
            let from = self.pos;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.pos += 1;
            }
            out.extend_from_slice(&self.text.as_bytes()[from..self.pos]);
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Value::from_wtf8(&out).ok_or_else(|| self.bad("Invalid text"));
                }
                Some(b'\\') => {
                    self.pos += 1;
                    self.escape(&mut out)?;
                }
                Some(_) => return Err(self.bad("Invalid control character")),
                None => return Err(self.bad("Unterminated string")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(byte) = self.peek() else { return Err(self.bad("Unterminated string")) };
        self.pos += 1;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let code = self.code_point()?;
                push_code(out, code);
                return Ok(());
            }
            _ => {
                self.pos -= 1;
                return Err(self.bad("Invalid \\escape"));
            }
        };
        out.push(plain);
        Ok(())
    }

    /// A code point after `\u`; a pair of surrogates is one.
    fn code_point(&mut self) -> Result<u32, Error> {
        let high = self.hex4()?;
        if !(0xd800..0xdc00).contains(&high) || !self.text[self.pos..].starts_with("\\u") {
            return Ok(high);
        }
        let keep = self.pos;
        self.pos += 2;
        let low = self.hex4()?;
        if (0xdc00..0xe000).contains(&low) {
            return Ok(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        }
        self.pos = keep;
        Ok(high)
    }
}

/// Writes a code point, lone surrogates too.
fn push_code(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(ch) => out.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            let low = |shift: u32| u8::try_from(0x80 | ((code >> shift) & 0x3f)).unwrap_or(0x80);
            out.extend_from_slice(&[0xed, low(6), low(0)]);
        }
    }
}

/// Writes a document.
///
/// # Errors
/// `MustBeJsonSafe`.
pub fn dumps(valu: &Value, sort_keys: bool, indent: bool) -> Result<String, Error> {
    let ascii = has_surrogates(valu);
    let mut writer = Writer { out: String::new(), sort_keys, indent, ascii };
    writer.value(valu, 0)?;
    Ok(writer.out)
}

/// Refuses what JSON cannot hold.
///
/// # Errors
/// `MustBeJsonSafe`.
pub fn req_json_safe(valu: &Value) -> Result<(), Error> {
    dumps(valu, false, false).map(|_| ())
}

fn has_surrogates(valu: &Value) -> bool {
    match valu {
        Value::Surrogates(_) => true,
        Value::List(items) => items.iter().any(has_surrogates),
        Value::Map(map) => map.iter().any(|(key, valu)| has_surrogates(key) || has_surrogates(valu)),
        _ => false,
    }
}

struct Writer {
    out: String,
    sort_keys: bool,
    indent: bool,
    ascii: bool,
}

fn unsafe_kind(what: &str) -> Error {
    err!("MustBeJsonSafe", mesg = format!("TypeError: Object of type {what} is not JSON serializable"))
}

impl Writer {
    fn value(&mut self, valu: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(err!("MustBeJsonSafe", mesg = "The value nests too deeply."));
        }
        match valu {
            Value::Null => self.out.push_str("null"),
            Value::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Value::Int(int) => {
                let _ = write!(self.out, "{int}");
            }
            Value::Big(int) => {
                let _ = write!(self.out, "{int}");
            }
            Value::Float(float) if !float.is_finite() => {
                return Err(err!("MustBeJsonSafe", mesg = "ValueError: nan or inf is not allowed"));
            }
            Value::Float(float) => self.out.push_str(&float_text(*float)),
            Value::Str(_) | Value::Surrogates(_) => self.string(valu),
            Value::Bytes(_) => return Err(unsafe_kind("bytes")),
            Value::List(items) => {
                self.out.push('[');
                for (indx, item) in items.iter().enumerate() {
                    self.separate(indx, depth + 1);
                    self.value(item, depth + 1)?;
                }
                self.close(items.is_empty(), depth, ']');
            }
            Value::Map(map) => self.map(map, depth)?,
        }
        Ok(())
    }

    fn map(&mut self, map: &Map, depth: usize) -> Result<(), Error> {
        let mut items: Vec<_> = map.iter().collect();
        if self.sort_keys {
            items.sort_by(|left, right| left.0.text_bytes().cmp(&right.0.text_bytes()));
        }
        self.out.push('{');
        for (indx, (key, valu)) in items.into_iter().enumerate() {
            if !key.is_text() {
                return Err(err!("MustBeJsonSafe", mesg = "TypeError: Dictionary keys must be strings"));
            }
            self.separate(indx, depth + 1);
            self.string(key);
            self.out.push_str(if self.indent || self.ascii { ": " } else { ":" });
            self.value(valu, depth + 1)?;
        }
        self.close(map.is_empty(), depth, '}');
        Ok(())
    }

    fn separate(&mut self, indx: usize, depth: usize) {
        if indx > 0 {
            self.out.push(',');
        }
        if self.indent {
            self.newline(depth);
        } else if self.ascii && indx > 0 {
            self.out.push(' ');
        }
    }

    fn newline(&mut self, depth: usize) {
        self.out.push('\n');
        for _ in 0..depth {
            self.out.push_str("  ");
        }
    }

    fn close(&mut self, empty: bool, depth: usize, mark: char) {
        if self.indent && !empty {
            self.newline(depth);
        }
        self.out.push(mark);
    }

    fn string(&mut self, valu: &Value) {
        self.out.push('"');
        match valu {
            Value::Surrogates(text) => text.code_points().for_each(|code| self.code(code)),
            other => other.as_str().unwrap_or_default().chars().for_each(|ch| self.code(u32::from(ch))),
        }
        self.out.push('"');
    }

    fn code(&mut self, code: u32) {
        let _ = match char::from_u32(code) {
            Some('"') => write!(self.out, "\\\""),
            Some('\\') => write!(self.out, "\\\\"),
            Some('\n') => write!(self.out, "\\n"),
            Some('\r') => write!(self.out, "\\r"),
            Some('\t') => write!(self.out, "\\t"),
            Some('\u{8}') => write!(self.out, "\\b"),
            Some('\u{c}') => write!(self.out, "\\f"),
            Some(ch) if code >= 0x20 && (!self.ascii || ch.is_ascii()) => write!(self.out, "{ch}"),
            Some(_) if code >= 0x10000 => {
                let rest = code - 0x10000;
                write!(self.out, "\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff))
            }
            _ if self.ascii => write!(self.out, "\\u{code:04x}"),
            _ => write!(self.out, "\\u{code:04X}"),
        };
    }
}

/// A double in its shortest form, with at least one place.
fn float_text(float: f64) -> String {
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return format!("{float:e}");
    }
    let text = format!("{float}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        dumps(&loads(text).expect("valid"), false, false).expect("safe")
    }

    #[test]
    fn documents_come_back_as_they_were() {
        for text in [
            "null",
            "[]",
            "{}",
            r#"{"a":[1,2.5,"x\ny"],"b":{"c":true}}"#,
            "123456789012345678901234567890",
            "1e100",
            "-0.5",
            "\"é\"",
        ] {
            assert_eq!(round(text), text);
        }
        assert_eq!(round("[1.0, 1E2]"), "[1.0,100.0]");
        assert_eq!(round(r#""\ud83d\ude00""#), "\"😀\"");
        assert_eq!(round(r#"["\ud800", 1]"#), r#"["\ud800", 1]"#);
    }

    #[test]
    fn bad_documents_are_refused() {
        for text in ["", "{", "[1,]", "{\"a\" 1}", "01", "nul", "\"a", "1 2", "{1:2}", "\"\\x\""] {
            assert!(loads(text).is_err_and(|error| error.is("BadJsonText")), "{text}");
        }
        let deep = "[".repeat(5000);
        assert!(loads(&deep).is_err());
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        for valu in [Value::from(&b"a"[..]), Value::Float(f64::NAN), Map::new().with(1, 2).into()] {
            assert!(dumps(&valu, false, false).is_err_and(|error| error.is("MustBeJsonSafe")));
        }
    }

    #[test]
    fn indented_by_two() {
        let valu = loads(r#"{"b":[1,{}],"a":[]}"#).expect("valid");
        let text = "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": []\n}";
        assert_eq!(dumps(&valu, false, true).expect("safe"), text);
    }
}
