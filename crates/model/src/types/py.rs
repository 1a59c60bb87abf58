//! Text and number rules that the platform inherited from Python: what counts as white space, an integer, a float; how
//! values print and compare. Public, since Storm follows the same rules.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::sync::LazyLock;

use myelin_value::{BigInt, Value};
use num_traits::{FromPrimitive, Num};

use super::tables::digits::{OTHER_DIGITS, ZEROS};

/// White space as `str.isspace()` has it: Unicode's, and the four ASCII separators.
pub fn is_space(ch: char) -> bool {
    ch.is_whitespace() || matches!(ch, '\x1c'..='\x1f')
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.split()`: the words between runs of white space.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Whether a text holds no white space but single spaces between words.
pub fn is_onespaced(text: &str) -> bool {
    let byts = text.as_bytes();
    let edge = |byte: Option<&u8>| byte == Some(&b' ');
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !edge(byts.first())
        && !edge(byts.last())
        && !byts.windows(2).any(|pair| pair == b"  ")
}

/// The text with every run of white space made one space, and none at the ends.
pub fn onespace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in words(text) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The value of a decimal digit of any script.
pub fn decimal_digit(ch: char) -> Option<u8> {
    if ch.is_ascii() {
        return ch.is_ascii_digit().then(|| ch as u8 - b'0');
    }
    let code = u32::from(ch);
    let before = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(before.checked_sub(1)?)?;
    u8::try_from(code - zero).ok().filter(|digit| *digit < 10)
}

/// `str.isdigit()` of one character.
pub fn is_digit(ch: char) -> bool {
    if ch.is_ascii() {
        return ch.is_ascii_digit();
    }
    let code = u32::from(ch);
    decimal_digit(ch).is_some() || OTHER_DIGITS.iter().any(|(from, to)| (*from..=*to).contains(&code))
}

/// `str.isprintable()` of one character.
pub fn is_printable(ch: char) -> bool {
    static UNPRINTABLE: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(r"^[\p{C}\p{Z}]").ok());
    if ch.is_ascii() {
        return (' '..='~').contains(&ch);
    }
    let mut buf = [0; 4];
    let text: &str = ch.encode_utf8(&mut buf);
    UNPRINTABLE.as_ref().is_none_or(|regx| !regx.is_match(text))
}

/// The text without what does not print.
pub fn printables(text: &str) -> std::borrow::Cow<'_, str> {
    let plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if plain || text.chars().all(is_printable) {
        return std::borrow::Cow::Borrowed(text);
    }
    std::borrow::Cow::Owned(text.chars().filter(|ch| is_printable(*ch)).collect())
}

/// The most digits an integer may have as text; the same bound as the reference's host.
const MAX_INT_DIGITS: usize = 4300;

/// `int(text, 0)`: an integer with its base told by its prefix.
pub fn int_auto(text: &str) -> Option<Value> {
    if let Some(quick) = quick_int(text) {
        return quick;
    }
    parse_int(text, true)
}

/// `int(text)`: a decimal integer.
pub fn int_decimal(text: &str) -> Option<Value> {
    match quick_int(text) {
        Some(Some(valu)) => Some(valu),
        _ => parse_int(text, false),
    }
}

/// The usual case: a few ASCII digits. `None` says "look closer".
fn quick_int(text: &str) -> Option<Option<Value>> {
    let byts = text.as_bytes();
    if byts.is_empty() || byts.len() > 18 || !byts.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if byts[0] == b'0' && byts.len() > 1 {
        return None;
    }
    let valu = byts.iter().fold(0_i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Some(Some(Value::Int(valu)))
}

fn parse_int(text: &str, auto: bool) -> Option<Value> {
    // Around numbers the four ASCII separators are no white space, though `str.strip()` takes them for it.
    let ascii = to_ascii_digits(text.trim())?;
    let (neg, body) = match ascii.as_bytes().first()? {
        b'-' => (true, &ascii[1..]),
        b'+' => (false, &ascii[1..]),
        _ => (false, &ascii[..]),
    };
    let byts = body.as_bytes();
    let radix = match (auto, byts.first(), byts.get(1).map(u8::to_ascii_lowercase)) {
        (true, Some(b'0'), Some(b'x')) => 16,
        (true, Some(b'0'), Some(b'o')) => 8,
        (true, Some(b'0'), Some(b'b')) => 2,
        _ => 10,
    };
    let digits = match radix {
        10 => body,
        // One underscore may stand between the prefix and the digits.
        _ => body[2..].strip_prefix('_').unwrap_or(&body[2..]),
    };
    let digits = drop_underscores(digits)?;
    if auto && radix == 10 && digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|byte| byte != b'0') {
        return None;
    }
    if radix == 10 && digits.len() > MAX_INT_DIGITS || !digits.chars().all(|ch| ch.is_digit(radix)) {
        return None;
    }
    let valu = BigInt::from_str_radix(&digits, radix).ok()?;
    Some(Value::from(if neg { -valu } else { valu }))
}

/// Decimal digits of every script as ASCII. `None` when anything else is outside ASCII.
fn to_ascii_digits(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    if text.is_ascii() {
        return Some(std::borrow::Cow::Borrowed(text));
    }
    let out = text.chars().map(|ch| match decimal_digit(ch) {
        Some(digit) => Some(char::from(b'0' + digit)),
        None => ch.is_ascii().then_some(ch),
    });
    out.collect::<Option<String>>().map(std::borrow::Cow::Owned)
}

/// The text without its underscores, each of which must stand between two alphanumeric characters.
fn drop_underscores(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    if text.is_empty() {
        return None;
    }
    if !text.contains('_') {
        return Some(std::borrow::Cow::Borrowed(text));
    }
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    Some(std::borrow::Cow::Owned(text.replace('_', "")))
}

/// `float(text)`.
pub fn float_text(text: &str) -> Option<f64> {
    let ascii = to_ascii_digits(text.trim())?;
    if ascii.contains('_') {
        let byts = ascii.as_bytes();
        let digit = |indx: usize| byts.get(indx).is_some_and(u8::is_ascii_digit);
        let fine = |indx: usize| indx > 0 && digit(indx - 1) && digit(indx + 1);
        if !byts.iter().enumerate().all(|(indx, byte)| *byte != b'_' || fine(indx)) {
            return None;
        }
        return ascii.replace('_', "").parse().ok();
    }
    ascii.parse().ok()
}

/// `repr(float)`: the shortest text that reads back, in the notation Python chooses.
pub fn float_repr(valu: f64) -> String {
    if valu.is_nan() {
        return "nan".to_owned();
    }
    if valu.is_infinite() {
        return if valu > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Not the standard library's digits: where two shortest texts are equally near, Python and ryu take the even one.
    let mut buf = ryu::Buffer::new();
    let text = buf.format_finite(valu);
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (mantissa, exp) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, frac) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{frac}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return format!("{sign}0.0");
    }
    // The power of ten of the first digit.
    let lead = all.len() - all.trim_start_matches('0').len();
    let exp = exp.parse::<i32>().unwrap_or(0) + whole.len() as i32 - 1 - lead as i32;
    let body = match exp {
        0..16 if digits.len() as i32 > exp + 1 => {
            let (whole, frac) = digits.split_at(exp as usize + 1);
            format!("{whole}.{frac}")
        }
        0..16 => format!("{digits}{}.0", "0".repeat(exp as usize + 1 - digits.len())),
        -4..0 => format!("0.{}{digits}", "0".repeat(-exp as usize - 1)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            format!("{first}{point}{rest}e{}{:02}", if exp < 0 { '-' } else { '+' }, exp.unsigned_abs())
        }
    };
    format!("{sign}{body}")
}

/// A double as an integer, towards zero. `None` for what is no number.
pub fn float_to_int(valu: f64) -> Option<Value> {
    BigInt::from_f64(valu).map(Value::from)
}

/// An integer of any size, or a truth value, as a double. `None` when it is too large for one.
pub fn int_to_float(valu: &Value) -> Option<f64> {
    match valu {
        Value::Bool(valu) => Some(f64::from(u8::from(*valu))),
        Value::Int(valu) => Some(*valu as f64),
        // Through text: the nearest double, ties to even, as Python rounds.
        Value::Big(valu) => valu.to_string().parse::<f64>().ok().filter(|float| float.is_finite()),
        _ => None,
    }
}

/// `str(value)` as text.
pub fn str_text(valu: &Value) -> String {
    match valu {
        Value::Str(text) => text.to_string(),
        Value::Surrogates(text) => text.to_string_lossy(),
        other => {
            let mut out = String::new();
            write_repr(&mut out, other);
            out
        }
    }
}

/// `str(value)` as a value: text stays what it is.
pub fn str_value(valu: &Value) -> Value {
    match valu {
        Value::Str(_) | Value::Surrogates(_) => valu.clone(),
        other => Value::from(str_text(other)),
    }
}

/// `repr(value)`, with lists shown as tuples, which is what stored values are.
pub fn repr_text(valu: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, valu);
    out
}

fn write_repr(out: &mut String, valu: &Value) {
    match valu {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(valu) => {
            let _ = write!(out, "{valu}");
        }
        Value::Big(valu) => {
            let _ = write!(out, "{valu}");
        }
        Value::Float(valu) => out.push_str(&float_repr(*valu)),
        Value::Str(text) => quote(out, text.chars().map(u32::from)),
        Value::Surrogates(text) => quote(out, text.code_points().collect::<Vec<_>>().into_iter()),
        Value::Bytes(byts) => quote_bytes(out, byts),
        Value::List(items) => {
            out.push('(');
            for (indx, item) in items.iter().enumerate() {
                if indx > 0 {
                    out.push_str(", ");
                }
                write_repr(out, item);
            }
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        Value::Map(map) => {
            out.push('{');
            for (indx, (key, valu)) in map.iter().enumerate() {
                if indx > 0 {
                    out.push_str(", ");
                }
                write_repr(out, key);
                out.push_str(": ");
                write_repr(out, valu);
            }
            out.push('}');
        }
    }
}

fn quote(out: &mut String, codes: impl Iterator<Item = u32> + Clone) {
    let has = |want: char| codes.clone().any(|code| code == u32::from(want));
    let mark = if has('\'') && !has('"') { '"' } else { '\'' };
    out.push(mark);
    for code in codes {
        let _ = match char::from_u32(code) {
            Some('\\') => write!(out, "\\\\"),
            Some('\n') => write!(out, "\\n"),
            Some('\r') => write!(out, "\\r"),
            Some('\t') => write!(out, "\\t"),
            Some(ch) if ch == mark => write!(out, "\\{ch}"),
            Some(ch) if is_printable(ch) => write!(out, "{ch}"),
            _ if code < 0x100 => write!(out, "\\x{code:02x}"),
            _ if code < 0x10000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(mark);
}

fn quote_bytes(out: &mut String, byts: &[u8]) {
    let mark = if byts.contains(&b'\'') && !byts.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(mark);
    for byte in byts {
        let _ = match *byte {
            b'\\' => write!(out, "\\\\"),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            byte if char::from(byte) == mark => write!(out, "\\{mark}"),
            byte @ b' '..=b'~' => write!(out, "{}", char::from(byte)),
            byte => write!(out, "\\x{byte:02x}"),
        };
    }
    out.push(mark);
}

/// The order of two values, where they have one: numbers with numbers, text with text, bytes with bytes, lists item by
/// item.
pub fn cmp(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::List(left), Value::List(right)) => cmp_lists(left, right),
        (left, right) if left.is_text() && right.is_text() => left.text_bytes().partial_cmp(&right.text_bytes()),
        (left, right) => cmp_numbers(left, right),
    }
}

fn cmp_lists(left: &[Value], right: &[Value]) -> Option<Ordering> {
    for (a, b) in left.iter().zip(right) {
        if !a.py_eq(b) {
            return cmp(a, b);
        }
    }
    Some(left.len().cmp(&right.len()))
}

fn cmp_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Float(float), other) => cmp_float(*float, &number(other)?),
        (other, Value::Float(float)) => cmp_float(*float, &number(other)?).map(Ordering::reverse),
        _ => Some(number(left)?.cmp(&number(right)?)),
    }
}

fn cmp_float(float: f64, other: &BigInt) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    match BigInt::from_f64(float) {
        None => Some(if float > 0.0 { Ordering::Greater } else { Ordering::Less }),
        Some(whole) => Some(whole.cmp(other).then_with(|| float.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal))),
    }
}

fn number(valu: &Value) -> Option<BigInt> {
    match valu {
        Value::Bool(valu) => Some(BigInt::from(u8::from(*valu))),
        other => other.to_bigint(),
    }
}

/// The items of what can be walked over: lists, the characters of text, the numbers of bytes, the keys of maps.
pub fn iter_items(valu: &Value) -> Option<Vec<Value>> {
    Some(match valu {
        Value::List(items) => items.to_vec(),
        Value::Str(text) => text.chars().map(|ch| Value::from(ch.encode_utf8(&mut [0; 4]) as &str)).collect(),
        Value::Bytes(byts) => byts.iter().map(|byte| Value::from(*byte)).collect(),
        Value::Map(map) => map.keys().cloned().collect(),
        _ => return None,
    })
}

/// The item at a position of what can be indexed.
pub fn index_item(valu: &Value, indx: usize) -> Option<Value> {
    match valu {
        Value::List(items) => items.get(indx).cloned(),
        Value::Str(text) => text.chars().nth(indx).map(|ch| Value::from(ch.encode_utf8(&mut [0; 4]) as &str)),
        Value::Bytes(byts) => byts.get(indx).map(|byte| Value::from(*byte)),
        Value::Map(map) => map.get_value(&Value::from(indx)).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_as_literals() {
        let cases = [
            (" 10 ", Some(10)),
            ("0x1f", Some(31)),
            ("0x_1f", Some(31)),
            ("-0b11", Some(-3)),
            ("00", Some(0)),
            ("010", None),
            ("1_000", Some(1000)),
            ("1__0", None),
            ("", None),
            ("1.0", None),
            ("+5", Some(5)),
            ("\u{661}\u{662}", Some(12)),
            ("\u{a0}7\u{2003}", Some(7)),
            ("7\u{1d}", None),
        ];
        for (text, want) in cases {
            assert_eq!(int_auto(text), want.map(Value::Int), "{text}");
        }
        assert_eq!(int_decimal("010"), Some(Value::Int(10)));
    }

    #[test]
    fn floats_print_as_python_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1.5e300, "1.5e+300"),
            (155_210_144_962_835.13, "155210144962835.12"),
            (123e-7, "1.23e-05"),
            (1234.5, "1234.5"),
        ];
        for (valu, want) in cases {
            assert_eq!(float_repr(valu), want);
        }
    }

    #[test]
    fn values_print_as_python_prints_them() {
        let valu = Value::list([Value::from("it's"), Value::Null, Value::list([Value::from(true)])]);
        assert_eq!(repr_text(&valu), "(\"it's\", None, (True,))");
    }

    #[test]
    fn numbers_of_every_kind_have_an_order() {
        assert_eq!(cmp(&Value::from(1.5), &Value::from(1)), Some(Ordering::Greater));
        assert_eq!(cmp(&Value::from(-1), &Value::from(-1.5)), Some(Ordering::Greater));
        assert_eq!(cmp(&Value::from("a"), &Value::from(1)), None);
    }
}
