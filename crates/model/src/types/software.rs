//! Software: `it:semver`, `it:sec:cpe` and `it:sec:cpe:v2_2`.

use std::sync::LazyLock;

use myelin_error::{Error, Result, err};
use myelin_value::Value;
use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::ctors::Decl;
use super::numbers::{Int, number_int};
use super::textual::{TextOpts, TextRules, Textual};
use super::{Decimal, Norm, NormCx, Type, TypeImpl, py, surrogates};
use crate::StorType;

/// `it:sec:cpe:v2_2`.
pub type Cpe22Str = Textual<Cpe22Rules>;
/// `it:sec:cpe`.
pub type Cpe23Str = Textual<Cpe23Rules>;

/// `it:semver`: three numbers of 20 bits each in one.
pub struct SemVer(Int);

const MASK20: i64 = 0xf_ffff;
const MASK60: i64 = 0xfff_ffff_ffff_ffff;

/// The parts found in a version's text.
struct Version {
    numbers: Vec<Value>,
    pre: Option<String>,
    build: Option<String>,
}

/// The number of three parts, each cut to 20 bits.
fn pack(numbers: &[Value]) -> i64 {
    let part = |nth: usize| {
        let number = numbers.get(nth).and_then(Value::to_bigint).unwrap_or_default();
        (number & BigInt::from(MASK20)).to_i64().unwrap_or(0)
    };
    part(0) << 40 | part(1) << 20 | part(2)
}

/// The three parts of a packed version.
pub fn unpack(valu: i64) -> (i64, i64, i64) {
    (valu >> 40 & MASK20, valu >> 20 & MASK20, valu & MASK20)
}

/// A version by the semver grammar, with a leading `v` allowed.
fn parse_semver(text: &str) -> Option<Version> {
    let text = py::strip(text).trim_start_matches(['v', 'V']);
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, pre) = match rest.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (rest, None),
    };
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let fine = |text: Option<&str>| text.is_none_or(|text| text.split('.').all(|part| word(&part)));
    // Numeric parts of a pre-release may not begin with a zero.
    let padded = |part: &str| part.len() > 1 && part.starts_with('0') && py::int_decimal(part).is_some();
    if !fine(pre) || !fine(build) || pre.is_some_and(|pre| pre.split('.').any(padded)) {
        return None;
    }
    let numbers: Option<Vec<Value>> = core
        .split('.')
        .map(|part| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            (plain && (part.len() == 1 || !part.starts_with('0'))).then(|| py::int_decimal(part)).flatten()
        })
        .collect();
    let numbers = numbers.filter(|numbers| numbers.len() == 3)?;
    Some(Version { numbers, pre: pre.map(str::to_owned), build: build.map(str::to_owned) })
}

/// The leading numbers of a version that follows no grammar.
fn parse_loose(text: &str) -> Option<Version> {
    let seps = ['.', '-', '_', '+'];
    let mut rest = py::strip(text).trim_start_matches(|ch: char| ch.is_ascii_alphabetic()).trim_start_matches(seps);
    let mut numbers = Vec::new();
    loop {
        let size = rest.find(|ch| py::decimal_digit(ch).is_none()).unwrap_or(rest.len());
        let after = &rest[size..];
        if size == 0 || !(after.is_empty() || after.starts_with(seps)) {
            break;
        }
        numbers.push(py::int_decimal(&rest[..size])?);
        rest = after.trim_start_matches(seps);
    }
    numbers.truncate(3);
    (!numbers.is_empty()).then_some(Version { numbers, pre: None, build: None })
}

impl SemVer {
    pub(super) fn new(decl: Decl<'_>) -> Result<SemVer> {
        Int::new(decl).map(SemVer)
    }

    fn norm_int(ty: &Type, valu: &Value) -> Result<Norm> {
        let number = valu.as_i64().filter(|number| (0..=MASK60).contains(number));
        let number = number.ok_or_else(|| ty.bad_valu(valu, "A version as a number has 60 bits."))?;
        let (major, minor, patch) = unpack(number);
        Ok(Norm::new(number).sub("major", major).sub("minor", minor).sub("patch", patch))
    }
}

impl TypeImpl for SemVer {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        let Value::Str(text) = valu else { return SemVer::norm_int(ty, &self.0.parse(ty, valu)?) };
        let found = parse_semver(text).or_else(|| parse_loose(text));
        let found = found.ok_or_else(|| ty.bad_valu(&Value::from(py::strip(text)), "The text is no version."))?;
        let mut made = Norm::new(pack(&found.numbers));
        for (nth, name) in ["major", "minor", "patch"].into_iter().enumerate() {
            made = made.sub(name, found.numbers.get(nth).cloned().unwrap_or(Value::Int(0)));
        }
        for (name, part) in [("pre", found.pre), ("build", found.build)] {
            if let Some(part) = part {
                made = made.sub(name, part);
            }
        }
        Ok(made)
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        SemVer::norm_int(ty, &number_int(ty, number)?)
    }

    fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        let number = norm.as_i64().ok_or_else(|| ty.bad_valu(norm, "The stored value is no version."))?;
        let (major, minor, patch) = unpack(number);
        Ok(Value::from(format!("{major}.{minor}.{patch}")))
    }

    fn merge(&self, old: &Value, new: &Value) -> Value {
        self.0.keep().merge(old, new)
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        super::cmpr::ORDERED
    }

    fn lift_names(&self) -> &'static [&'static str] {
        super::cmpr::ORDERED
    }

    fn stortype(&self) -> StorType {
        self.0.stortype()
    }
}

/// Percent codes of the URI form, `%` first so that nothing is encoded twice.
const PERCENT: &[(&str, &str)] = &[
    ("%25", "%"),
    ("%21", "!"),
    ("%22", "\""),
    ("%23", "#"),
    ("%24", "$"),
    ("%26", "&"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2a", "*"),
    ("%2b", "+"),
    ("%2c", ","),
    ("%2f", "/"),
    ("%3a", ":"),
    ("%3b", ";"),
    ("%3c", "<"),
    ("%3d", "="),
    ("%3e", ">"),
    ("%3f", "?"),
    ("%40", "@"),
    ("%5b", "["),
    ("%5c", "\\"),
    ("%5d", "]"),
    ("%5e", "^"),
    ("%60", "`"),
    ("%7b", "{"),
    ("%7c", "|"),
    ("%7d", "}"),
    ("%7e", "~"),
];

/// Characters that stand behind a backslash in the 2.3 form.
const ESCAPED: &str = "!\"#$%&'()+,/:;<=>@[]^`{|}~\\?*";

fn is_escaped(ch: char) -> bool {
    ESCAPED.contains(ch)
}

static CPE22: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
    let codes: Vec<&str> = PERCENT.iter().map(|(code, _)| &code[1..]).collect();
    let chars = format!(r"(?:[A-Za-z0-9\-._~]|%(?:{}))", codes.join("|"));
    let special = "(?:%01+|%02)";
    let string = format!("(?:{special}?{chars}+{special}?|{chars}*)");
    let lang = r"(?:[A-Za-z]{2,3}(?:-(?:[A-Za-z]{2}|[0-9]{3}))?)?";
    let pattern = format!("(?i)^cpe:/[hoa]?(?::{string}){{0,5}}$|^cpe:/[hoa]?(?::{string}){{5}}:{lang}$");
    regex::Regex::new(&pattern.replace('$', r"\z")).ok()
});

static CPE23: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
    let field = r#"(?:(?:\?+|\*)?(?:[a-z0-9\-._]|\\[\\?*!"\#$%&'()+,/:;<=>@\[\]^`{|}~])+(?:\?+|\*)?|[*-])"#;
    let lang = "(?:[*-]|[a-z]{2,3}(?:-(?:[0-9]{3}|[a-z]{2}))?)";
    let pattern = format!(r"(?i)^cpe:2\.3:[aho*-](?::{field}){{5}}:{lang}(?::{field}){{4}}\z");
    regex::Regex::new(&pattern).ok()
});

fn matches(regx: &LazyLock<Option<regex::Regex>>, text: &str) -> bool {
    regx.as_ref().is_some_and(|regx| regx.is_match(text))
}

/// The fields between colons; a colon behind a backslash belongs to its field.
fn split_fields(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        if ch == ':' {
            out.push(String::new());
            continue;
        }
        let Some(last) = out.last_mut() else { break };
        if ch != '\\' {
            last.push(ch);
        } else if let Some(next) = chars.next() {
            last.extend([ch, next]);
        }
    }
    out.into_iter().map(|field| py::strip(&field).to_owned()).collect()
}

/// The 2.2 form of fields: at most seven, none empty at the end.
fn join22(fields: &[String]) -> String {
    let kept = fields.iter().rposition(|field| !matches!(field.as_str(), "" | "*")).map_or(0, |last| last + 1);
    format!("cpe:/{}", fields[..kept.min(7)].join(":"))
}

fn quote22(text: &str) -> String {
    PERCENT.iter().fold(text.to_owned(), |text, (code, ch)| text.replace(ch, code))
}

fn unquote22(text: &str) -> String {
    PERCENT.iter().rev().fold(text.to_owned(), |text, (code, ch)| text.replace(code, ch))
}

/// A field in the 2.3 form. Backslashes that escape something already are left alone.
fn escape23(text: &str) -> std::result::Result<String, String> {
    if matches!(text, "*" | "-") {
        return Ok(text.to_owned());
    }
    let chars: Vec<char> = text.chars().collect();
    let valid = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '.' | '_') || is_escaped(ch);
    if let Some(bad) = chars.iter().find(|ch| !valid(**ch)) {
        return Err(format!("The character {bad:?} may not be in a CPE."));
    }
    let mut out = String::with_capacity(text.len());
    for (indx, ch) in chars.iter().copied().enumerate() {
        let prev = indx.checked_sub(1).and_then(|prev| chars.get(prev).copied());
        let next = chars.get(indx + 1).copied();
        let after_escape = prev == Some('\\');
        let escapes = ch == '\\' && next.is_some_and(is_escaped);
        if is_escaped(ch) && !after_escape && !escapes {
            out.push('\\');
        }
        out.push(ch);
    }
    Ok(out)
}

fn unescape23(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut out = String::with_capacity(text.len());
    while let Some(ch) = chars.next() {
        if ch == '\\' && chars.peek().is_some_and(|next| is_escaped(*next)) {
            continue;
        }
        out.push(ch);
    }
    out
}

const EDITION: usize = 5;
const LANGUAGE: usize = 6;

/// Names of the fields of the 2.3 form, in order.
const FIELDS: [&str; 11] = [
    "part",
    "vendor",
    "product",
    "version",
    "update",
    "edition",
    "language",
    "sw_edition",
    "target_sw",
    "target_hw",
    "other",
];

fn invalid(ty: &Type, text: &str, mesg: &str) -> Error {
    err!("BadTypeValu", mesg = format!("{mesg} (type {})", ty.name), valu = text)
}

/// The checked fields of a text in either form, and whether it was the newer one.
fn read_cpe(ty: &Type, raw: &str, text: &str) -> Result<(Vec<String>, bool)> {
    if let Some(body) = text.strip_prefix("cpe:2.3:") {
        if !matches(&CPE23, text) {
            return Err(invalid(ty, raw, "The text is no CPE 2.3."));
        }
        return Ok((split_fields(body), true));
    }
    let Some(body) = text.strip_prefix("cpe:/") else {
        return Err(invalid(ty, raw, "A CPE begins with cpe:2.3: or cpe:/."));
    };
    let fields = split_fields(body);
    if !matches(&CPE22, text) || fields.len() > 7 {
        return Err(invalid(ty, raw, "The text is no CPE 2.2."));
    }
    Ok((fields, false))
}

/// The rules of `it:sec:cpe:v2_2`.
pub struct Cpe22Rules;

impl TextRules for Cpe22Rules {
    fn make(decl: &mut Decl<'_>) -> Result<Cpe22Rules> {
        decl.opts.insert("lower", true);
        Ok(Cpe22Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let (fields, _) = read_cpe(ty, text, &text.to_lowercase())?;
        let norm = join22(&fields);
        if !matches(&CPE22, &norm) {
            return Err(invalid(ty, text, "The CPE has no 2.2 form."));
        }
        Ok(Norm::new(norm))
    }

    fn norm_other(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<Norm>> {
        let items = valu.as_list()?;
        let hidden = surrogates::hide(valu);
        let items = hidden.as_list().unwrap_or(items);
        let fields: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        let bad = || err!("BadTypeValu", mesg = "The parts of a CPE are texts.", name = &ty.name);
        Some(fields.ok_or_else(bad).map(|fields| Norm::new(surrogates::show(&Value::from(join22(&fields))))))
    }
}

/// The rules of `it:sec:cpe`.
pub struct Cpe23Rules;

/// The 2.2 form of the fields of a 2.3 one.
fn downgrade(fields: &[String]) -> String {
    let mut out: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(indx, field)| match field.as_str() {
            "*" => String::new(),
            "-" if matches!(indx, 0 | LANGUAGE) => String::new(),
            field => quote22(&unescape23(field)),
        })
        .collect();
    let extended = &out[LANGUAGE + 1..];
    if extended.iter().any(|field| !matches!(field.as_str(), "" | "*")) {
        let plain = extended.iter().map(|field| if field == "*" { "" } else { field });
        let packed: Vec<&str> = std::iter::once(out[EDITION].as_str()).chain(plain).collect();
        out[EDITION] = format!("~{}", packed.join("~"));
    }
    out.truncate(LANGUAGE + 1);
    join22(&out)
}

/// The 2.3 fields of a 2.2 name, percent codes resolved.
fn upgrade(fields: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> =
        fields.into_iter().map(|field| if field.is_empty() { "*".to_owned() } else { field }).collect();
    out.resize(FIELDS.len(), "*".to_owned());
    let edition = out[EDITION].clone();
    let packed: Option<Vec<&str>> = edition.strip_prefix('~').map(|rest| rest.split('~').collect());
    if let Some([edition, extended @ ..]) = packed.as_deref().filter(|packed| packed.len() == 5) {
        out[EDITION] = if edition.is_empty() { "*".to_owned() } else { (*edition).to_owned() };
        for (field, valu) in out[LANGUAGE + 1..].iter_mut().zip(extended) {
            if !valu.is_empty() {
                *field = (*valu).to_owned();
            }
        }
    }
    out.iter().map(|field| unquote22(field)).collect()
}

impl TextRules for Cpe23Rules {
    fn make(decl: &mut Decl<'_>) -> Result<Cpe23Rules> {
        decl.opts.insert("lower", true);
        Ok(Cpe23Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let lower = text.to_lowercase();
        let (mut fields, newer) = read_cpe(ty, text, &lower)?;
        let (norm, v2_2) = if newer {
            fields.resize(FIELDS.len(), "*".to_owned());
            let v2_2 = downgrade(&fields);
            if !matches(&CPE22, &v2_2) {
                return Err(invalid(ty, text, "The CPE has no 2.2 form."));
            }
            (format!("cpe:2.3:{}", fields.join(":")), v2_2)
        } else {
            fields = upgrade(fields);
            let escaped: std::result::Result<Vec<String>, String> =
                fields.iter().map(|field| escape23(field)).collect();
            let norm = format!("cpe:2.3:{}", escaped.map_err(|mesg| invalid(ty, text, &mesg))?.join(":"));
            if !matches(&CPE23, &norm) {
                return Err(invalid(ty, text, "The CPE has no 2.3 form."));
            }
            (norm, lower)
        };
        let mut made = Norm::new(norm);
        for (name, field) in FIELDS.into_iter().zip(&fields) {
            made = made.sub(name, unescape23(field));
        }
        Ok(made.sub("v2_2", v2_2))
    }
}
