//! Constants: bare and quoted texts, escapes, backtick strings, integers.

use std::sync::Arc;

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::Kind;
use crate::modes;

impl Parser<'_> {
    /// The current token as it is written.
    pub(super) fn raw_const(&self) -> Value {
        Value { kind: ValueKind::Const(Const::Str(self.cur_text().into())), span: self.cur_span() }
    }

    /// The current token as a text: quotes off, escapes resolved.
    pub(super) fn text_const(&self) -> Parsed<Value> {
        let name = self.text_name()?;
        Ok(Value { kind: ValueKind::Const(Const::Str(name.text)), span: name.span })
    }

    /// As `text_const`, for a name.
    pub(super) fn text_name(&self) -> Parsed<Name> {
        let raw = self.cur_text();
        let text: Arc<str> = match (self.kind(), raw.as_bytes().first()) {
            (Kind::TripleQuoted, _) => raw[3..raw.len() - 3].into(),
            (Kind::CaseWord | Kind::MultiCaseWord | Kind::WhiteWord, _) => raw.into(),
            (_, Some(b'\'')) => raw[1..raw.len() - 1].into(),
            (_, Some(b'"')) => self.unescape(&raw[1..raw.len() - 1], false)?.into(),
            _ => raw.into(),
        };
        Ok(Name { text, span: self.cur_span() })
    }

    fn unescape(&self, raw: &str, lines: bool) -> Parsed<String> {
        unescape(raw, lines).map_err(|why| self.error(self.cur_span(), format!("The text {raw:?} has {why}")))
    }

    /// A backtick string.
    pub(super) fn format_string(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        self.expect(Kind::BackQuote, modes::FORMAT)?;
        let mut parts = Vec::new();
        loop {
            match self.kind() {
                Kind::FormatText => {
                    let raw = self.cur_text().replace("\\`", "`").replace("\\{", "{");
                    let text = self.unescape(&raw, true)?.into();
                    parts.push(Value { kind: ValueKind::Const(Const::Str(text)), span: self.cur_span() });
                    self.bump(modes::FORMAT)?;
                }
                Kind::LBrace => {
                    self.bump(modes::EXPR)?;
                    parts.push(self.expr(None)?);
                    self.expect(Kind::RBrace, modes::FORMAT)?;
                }
                _ => break,
            }
        }
        self.expect(Kind::BackQuote, modes::AFTER_GROUP)?;
        Ok(Value { kind: ValueKind::Format(parts), span: self.since(start) })
    }
}

/// Resolve the escapes of a quoted text. Unknown ones stay as they are. With `lines`, the text may span lines.
fn unescape(raw: &str, lines: bool) -> Result<String, &'static str> {
    if raw.contains('\0') {
        return Err("a zero byte");
    }
    if !lines && raw.contains('\r') {
        return Err("a line break");
    }
    let raw = if raw.contains('\r') { raw.replace("\r\n", "\n").replace('\r', "\n") } else { raw.to_string() };
    if !raw.contains('\\') {
        return Ok(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = escape(&rest[at + 1..], &mut out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Resolve one escape, whose backslash is already taken; gives what follows it.
fn escape<'t>(rest: &'t str, out: &mut String) -> Result<&'t str, &'static str> {
    let Some(c) = rest.chars().next() else { return Err("a backslash at its end") };
    let after = &rest[c.len_utf8()..];
    let plain = match c {
        '\n' => return Ok(after),
        '\\' | '\'' | '"' => c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return coded(after, 2, 16, out),
        'u' => return coded(after, 4, 16, out),
        'U' => return coded(after, 8, 16, out),
        'N' => return Err("an escape by character name, which is not supported"),
        '0'..='7' => {
            let len = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            return coded(rest, len, 8, out);
        }
        other => {
            out.push('\\');
            other
        }
    };
    out.push(plain);
    Ok(after)
}

fn coded<'t>(rest: &'t str, len: usize, radix: u32, out: &mut String) -> Result<&'t str, &'static str> {
    const BAD: &str = "an escape that is cut short or out of range";
    let digits = rest.get(..len).ok_or(BAD)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(BAD);
    }
    let code = u32::from_str_radix(digits, radix).map_err(|_| BAD)?;
    if code > 0x10ffff {
        return Err(BAD);
    }
    out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(&rest[len..])
}

/// An integer as written (sign, `0x`, `0o`, `0b`, `_` between digits), in decimal.
pub(super) fn int_text(raw: &str) -> Option<String> {
    let (sign, body) = raw.strip_prefix('-').map_or(("", raw), |body| ("-", body));
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ => (10, lower.as_str()),
    };
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let digits = digits.replace('_', "");
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let stripped = digits.trim_start_matches('0');
    if radix == 10 && !stripped.is_empty() && stripped.len() < digits.len() {
        return None;
    }
    let text = if radix == 10 { stripped.to_string() } else { to_decimal(stripped, radix) };
    Some(if text.is_empty() { "0".to_string() } else { format!("{sign}{text}") })
}

fn to_decimal(digits: &str, radix: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = Vec::new();
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        let mut carry = u64::from(digit);
        for limb in &mut limbs {
            let value = *limb * u64::from(radix) + carry;
            *limb = value % BASE;
            carry = value / BASE;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut text = String::new();
    for (i, limb) in limbs.iter().rev().enumerate() {
        text.push_str(&if i == 0 { limb.to_string() } else { format!("{limb:09}") });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_become_decimal() {
        assert_eq!(int_text("-0x10").as_deref(), Some("-16"));
        assert_eq!(int_text("0xffffffffffffffffffffffff").as_deref(), Some("79228162514264337593543950335"));
        assert_eq!(int_text("1_000").as_deref(), Some("1000"));
        assert_eq!(int_text("00").as_deref(), Some("0"));
        assert_eq!(int_text("007"), None);
        assert_eq!(int_text("foo"), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r#"a\x41\u00e9\n\q\""#, false).as_deref(), Ok("aAé\n\\q\""));
        assert!(unescape(r"\x4", false).is_err());
        assert_eq!(unescape("a\r\nb\\\nc", true).as_deref(), Ok("a\nbc"));
    }
}
