//! Names of hosts: `inet:fqdn` and `inet:dns:name`.
//!
//! International names are encoded by UTS 46 and IDNA 2008; what those refuse is tried by the older IDNA 2003, as the
//! reference does.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use myelin_error::{Result, err};
use myelin_value::Value;
use unicode_normalization::UnicodeNormalization;

use super::ctors::Decl;
use super::inet::{refang, v4_text};
use super::scratch::{Scratch, Text};
use super::textual::{TextOpts, TextRules, Textual};
use super::{Cmpr, Norm, NormCx, StorCmpr, Type, TypeImpl, ip, py};
use crate::StorType;

/// `inet:dns:name`.
pub type DnsName = Textual<DnsNameRules>;

/// `inet:fqdn`: a domain name in lower case and ASCII.
pub struct Fqdn;

impl Fqdn {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Fqdn> {
        Ok(Fqdn)
    }
}

/// The longest a label may be.
const MAX_LABEL: usize = 63;

/// Whether a text is a domain name in its stored form already, which most are.
fn is_stored_form(text: &str) -> bool {
    let (mut label, mut alpha) = (0, false);
    for byte in text.bytes() {
        match byte {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => {
                label += 1;
                alpha |= !byte.is_ascii_digit();
            }
            _ => return false,
        }
        if label > MAX_LABEL {
            return false;
        }
    }
    // Without a letter it may be an address, which takes a closer look.
    label > 0 && alpha
}

/// The stored form of a domain name, if the text is one.
pub(super) fn fqdn_text(text: &str) -> Option<Text<'_>> {
    if is_stored_form(text) {
        return Some(Text::Given(text));
    }
    let ascii = if text.is_ascii() { lower(clean(text)) } else { made(&to_ascii(&clean(&fold_dots(text)))?) };
    // A last label of characters that vanish leaves its dot, as it does in the original.
    let named = if text.is_ascii() { &*ascii } else { ascii.strip_suffix('.').unwrap_or(&ascii) };
    let labels = named.split('.').all(|label| (1..=MAX_LABEL).contains(&label.len()));
    let chars = ascii.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    (labels && chars && ip::parse_v4(&ascii).is_none()).then_some(ascii)
}

fn clean(text: &str) -> Text<'_> {
    refang(text).trimmed(|text| py::strip(text).trim_matches('.'))
}

fn made<'a>(text: &str) -> Text<'a> {
    let mut out = Scratch::new();
    out.push_str(text);
    Text::Made(out)
}

fn lower(text: Text<'_>) -> Text<'_> {
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text;
    }
    let mut out = Scratch::new();
    out.push_lower(&text);
    Text::Made(out)
}

fn fold_dots(text: &str) -> String {
    text.nfkc().map(|ch| if matches!(ch, '\u{3002}' | '\u{ff0e}' | '\u{ff61}') { '.' } else { ch }).collect()
}

/// Characters which the two generations of the encoding treat differently.
fn has_deviation(text: &str) -> bool {
    let cherokee = |ch| matches!(ch, '\u{13a0}'..='\u{13fd}' | '\u{ab70}'..='\u{abbf}');
    text.chars().any(|ch| matches!(ch, 'ß' | 'ẞ' | 'ς' | '\u{180e}' | '\u{200c}' | '\u{200d}') || cherokee(ch))
}

/// Letters, marks and digits, with hyphens where IDNA 2008 has them.
fn is_plain_label(label: &str) -> bool {
    static WORDS: LazyLock<Option<regex::Regex>> =
        LazyLock::new(|| regex::Regex::new(r"^[-\p{L}\p{Nd}][-\p{L}\p{M}\p{Nd}]*$").ok());
    if let Some(code) = label.strip_prefix("xn--") {
        return idna::punycode::decode_to_string(code).is_some_and(|text| is_plain_label(&text));
    }
    let hyphens = !label.starts_with('-') && !label.ends_with('-') && !label.chars().skip(2).take(2).eq(['-'; 2]);
    // New Tai Lue's thirteenth digit is the one digit that is not for names.
    let kept: String = label.chars().filter(|ch| !is_mapped_away(*ch) && *ch != '\u{180e}').collect();
    hyphens && !kept.contains('\u{19da}') && WORDS.as_ref().is_some_and(|words| words.is_match(&kept))
}

/// The longest a name may be for IDNA 2008; longer ones are left to the older rules.
const MAX_MODERN: usize = 253;

fn to_ascii(text: &str) -> Option<String> {
    // Characters that are no letters are refused by IDNA 2008, and one such sends the whole name to the older rules.
    // That shows only where the two generations encode a character differently.
    let made = |modern| {
        let labels = text.split('.').map(|label| label_ascii(label, modern));
        labels.collect::<Option<Vec<_>>>().map(|labels| labels.join("."))
    };
    if !has_deviation(text) {
        return made(true);
    }
    let modern = text.split('.').all(is_plain_label).then(|| made(true)).flatten();
    modern.filter(|name| name.len() <= MAX_MODERN).or_else(|| made(false))
}

/// One label; the directions of its neighbours do not matter to it.
fn label_ascii(label: &str, modern: bool) -> Option<String> {
    let made = Uts46::new().to_ascii(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore);
    match made {
        Ok(made) if modern => Some(made.to_ascii_lowercase()),
        _ => label_2003(label),
    }
}

/// A label by IDNA 2003: folded, checked for what is prohibited, encoded when not ASCII.
fn label_2003(label: &str) -> Option<String> {
    let folded: String = label
        .chars()
        .filter(|ch| !is_mapped_away(*ch))
        .flat_map(|ch| match ch {
            'ß' | 'ẞ' => vec!['s', 's'],
            'ς' => vec!['σ'],
            other => other.to_lowercase().collect(),
        })
        .collect();
    let folded: String = folded.nfkc().collect();
    if folded.is_ascii() {
        return Some(folded.to_ascii_lowercase());
    }
    if folded.chars().any(is_prohibited) || folded.starts_with("xn--") || !has_one_direction(&folded) {
        return None;
    }
    idna::punycode::encode_str(&folded).map(|code| format!("xn--{code}").to_ascii_lowercase())
}

/// A label written from right to left begins and ends so, and has no letters of the other direction.
fn has_one_direction(label: &str) -> bool {
    if !label.chars().any(is_right_to_left) {
        return true;
    }
    label.starts_with(is_right_to_left)
        && label.ends_with(is_right_to_left)
        && !label.chars().any(|ch| ch.is_alphabetic() && !is_right_to_left(ch))
}

fn is_right_to_left(ch: char) -> bool {
    matches!(ch, '\u{5be}' | '\u{5c0}' | '\u{5c3}' | '\u{5d0}'..='\u{5ea}' | '\u{5f0}'..='\u{5f4}' | '\u{61b}'
        | '\u{61f}' | '\u{621}'..='\u{63a}' | '\u{640}'..='\u{64a}' | '\u{66d}'..='\u{66f}' | '\u{671}'..='\u{6d5}'
        | '\u{6dd}' | '\u{6e5}'..='\u{6e6}' | '\u{6fa}'..='\u{6fe}' | '\u{700}'..='\u{70d}' | '\u{710}'
        | '\u{712}'..='\u{72c}' | '\u{780}'..='\u{7a5}' | '\u{7b1}' | '\u{200f}' | '\u{fb1d}'
        | '\u{fb1f}'..='\u{fb28}' | '\u{fb2a}'..='\u{fdfc}' | '\u{fe70}'..='\u{fefc}')
}

fn is_mapped_away(ch: char) -> bool {
    matches!(ch, '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200b}'..='\u{200d}' | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

fn is_prohibited(ch: char) -> bool {
    (py::is_space(ch) && ch != ' ')
        || (ch.is_control() && !ch.is_ascii())
        || matches!(ch, '\u{340}' | '\u{341}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2061}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{2ff0}'..='\u{2ffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{ffff}' | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}')
}

/// A stored name for reading: international labels decoded where they can be.
pub fn fqdn_repr(name: &str) -> String {
    if !name.split('.').any(|label| label.starts_with("xn--")) {
        return name.to_owned();
    }
    let decoded: Option<Vec<String>> = name.split('.').map(label_unicode).collect();
    decoded.map_or_else(|| name.to_owned(), |labels| labels.join("."))
}

fn label_unicode(label: &str) -> Option<String> {
    if !label.starts_with("xn--") {
        return Some(label.to_owned());
    }
    let (text, done) = Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
    if done.is_ok() { Some(text.into_owned()) } else { decode_2003(label) }
}

fn decode_2003(label: &str) -> Option<String> {
    let Some(code) = label.strip_prefix("xn--") else { return Some(label.to_owned()) };
    let text = idna::punycode::decode_to_string(code)?;
    (label_2003(&text)? == label).then_some(text)
}

/// What is wrong, as the user is told: the text as far as it was understood.
fn shown(text: &str) -> Value {
    if text.is_ascii() {
        return Value::from(&*lower(clean(text)));
    }
    let folded = fold_dots(text);
    let clean = clean(&folded);
    to_ascii(&clean).map_or_else(|| Value::from(&*clean), Value::from)
}

impl TypeImpl for Fqdn {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        let Value::Str(text) = valu else { return Err(ty.no_norm(valu.kind())) };
        let norm: Arc<str> = if is_stored_form(text) {
            text.clone()
        } else {
            fqdn_text(text).ok_or_else(|| ty.bad_valu(&shown(text), "The text is no domain name."))?.deref().into()
        };
        let made = Norm::new(&norm);
        Ok(match norm.split_once('.') {
            Some((host, domain)) => made.sub("host", host).sub("domain", domain),
            None => made.sub("host", norm.clone()).sub("issuffix", 1),
        })
    }

    fn repr(&self, _ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        Ok(match norm {
            Value::Str(text) if text.contains("xn--") => Value::from(fqdn_repr(text)),
            other => other.clone(),
        })
    }

    fn cmpr_ctor(&self, _ty: &Arc<Type>, _cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        match (op, rhs) {
            ("=", Value::Str(text)) if text.is_empty() => Some(Ok(Box::new(|_| Ok(false)))),
            ("=", Value::Str(text)) => text.strip_prefix('*').map(|suffix| {
                let suffix = suffix.to_owned();
                let cmpr: Cmpr = Box::new(move |valu| Ok(valu.as_str().is_some_and(|have| have.ends_with(&suffix))));
                Ok(cmpr)
            }),
            _ => None,
        }
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        let ("=", Value::Str(text)) = (op, valu) else { return None };
        let bad = |mesg: &str| Some(Err(err!("BadLiftValu", mesg = mesg, name = &ty.name, valu = valu.clone())));
        if text.is_empty() {
            return bad("There is no domain name to lift by in an empty text.");
        }
        if &**text == "*" {
            return Some(Ok(ty.stor("=", "*")));
        }
        let (wild, rest) = match text.strip_prefix("*.") {
            Some(rest) => ("*.", rest),
            None => match text.strip_prefix('*') {
                Some(rest) => ("*", rest),
                None if text.contains('*') => return bad("A wildcard may only stand at the beginning."),
                None => return None,
            },
        };
        Some(
            ty.norm(cx, &Value::from(rest))
                .map(|norm| ty.stor("=", format!("{wild}{}", norm.value.as_str().unwrap_or_default()))),
        )
    }

    fn stortype(&self) -> StorType {
        StorType::FQDN
    }
}

/// The rules of `inet:dns:name`: anything that is asked of a name server, and what it may mean.
pub struct DnsNameRules;

fn sub_v6(made: Norm, addr: u128) -> Norm {
    let made = made.sub("ipv6", ip::v6_norm(addr));
    match ip::v6_mapped(addr) {
        Some(v4) => made.sub("ipv4", v4),
        None => made,
    }
}

impl TextRules for DnsNameRules {
    fn make(_decl: &mut Decl<'_>) -> Result<DnsNameRules> {
        Ok(DnsNameRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let lower = text.to_lowercase();
        let norm = py::strip(&lower);
        let made = Norm::new(norm);
        if !norm.is_empty() && norm.chars().all(char::is_numeric) {
            return Ok(made);
        }
        if let Some(rev) = norm.strip_suffix(".in-addr.arpa") {
            let quad: Vec<&str> = rev.split('.').rev().collect();
            return Ok(match v4_text(&quad.join(".")) {
                Some(v4) => made.sub("ipv4", v4),
                None => made,
            });
        }
        if let Some(rev) = norm.strip_suffix(".ip6.arpa") {
            let nibbles: String = rev.chars().rev().filter(|ch| *ch != '.').collect();
            if nibbles.chars().count() != 32 {
                return Ok(made);
            }
            let addr = u128::from_str_radix(&nibbles, 16).ok().filter(|_| !nibbles.starts_with('+'));
            return addr
                .map(|addr| sub_v6(made, addr))
                .ok_or_else(|| ty.bad_valu(&Value::from(text), "The reverse name does not consist of hex digits."));
        }
        let made = match v4_text(norm) {
            Some(v4) => made.sub("ipv4", v4),
            None => match super::inet::v6_text(norm) {
                Some((addr, None)) => sub_v6(made, addr),
                Some((addr, Some(zone))) if ip::v6_mapped(addr).is_none() => {
                    made.sub("ipv6", format!("{}%{zone}", ip::v6_repr(addr)))
                }
                Some((addr, _)) => sub_v6(made, addr),
                None => made,
            },
        };
        Ok(match fqdn_text(norm) {
            Some(fqdn) => made.sub("fqdn", &*fqdn),
            None => made,
        })
    }
}
