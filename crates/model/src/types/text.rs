//! Text, and what is written like it: `str`, `hex`, `guid`, `loc`, tags and taxonomies.

use std::sync::{Arc, LazyLock};

use myelin_error::{Error, Result, err};
use myelin_value::{Value, guid_of};

use super::ctors::Decl;
use super::scratch::Scratch;
use super::textual::{StrRules, TextOpts, TextRules, Textual};
use super::{Cmpr, Norm, NormCx, StorCmpr, Type, TypeImpl, py};
use crate::StorType;

/// `str`.
pub type Str = Textual<StrRules>;
/// `syn:tag:part`.
pub type TagPart = Textual<WordRules>;
/// `taxon`.
pub type Taxon = Textual<TaxonRules>;
/// `syn:tag`.
pub type Tag = Textual<TagRules>;
/// `taxonomy`.
pub type Taxonomy = Textual<TaxonomyRules>;

/// Without leaving early, so that many bytes are looked at in one step.
fn is_lower_hex(text: &str) -> bool {
    text.bytes().fold(true, |fine, byte| fine & (byte.is_ascii_digit() | matches!(byte, b'a'..=b'f')))
}

/// `hex`: bytes as lower-case hex.
pub struct Hex {
    size: usize,
    zeropad: usize,
}

impl Hex {
    pub(super) fn new(decl: Decl<'_>) -> Result<Hex> {
        let even = |name: &str, valu: i64| {
            let fine = usize::try_from(valu).ok().filter(|size| size % 2 == 0);
            fine.ok_or_else(|| {
                err!("BadConfValu", mesg = "Hex sizes are even and not negative.", name = name, valu = valu)
            })
        };
        let size = even("size", decl.opt("size").and_then(Value::as_i64).unwrap_or(0))?;
        let zeropad = match decl.opt("zeropad") {
            Some(Value::Bool(true)) => size,
            Some(Value::Int(valu)) => even("zeropad", *valu)?,
            _ => 0,
        };
        Ok(Hex { size, zeropad: if size > 0 { zeropad.min(size) } else { zeropad } })
    }

    fn is_stored_form(&self, text: &str) -> bool {
        let size = text.len();
        let fits =
            if self.size > 0 { size == self.size } else { size > 0 && size.is_multiple_of(2) && size >= self.zeropad };
        fits && is_lower_hex(text)
    }

    fn clean(text: &str) -> Scratch {
        let mut lower = Scratch::new();
        lower.push_lower(text);
        let text = py::strip(&lower);
        let text = text.strip_prefix("0x").unwrap_or(text);
        let mut out = Scratch::new();
        out.extend(text.chars().filter(|ch| !matches!(ch, ' ' | ':')));
        out
    }

    fn norm_text(&self, ty: &Type, text: &str) -> Result<Norm> {
        let mut valu = Hex::clean(text);
        if valu.is_empty() {
            return Err(ty.bad_valu(&Value::from(""), "No hex is left after stripping."));
        }
        let size = valu.chars().count();
        if !size.is_multiple_of(2) {
            valu.insert(0, '0');
        }
        for _ in size.next_multiple_of(2)..self.zeropad {
            valu.insert(0, '0');
        }
        if !valu.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(err!("BadTypeValu", mesg = "The text is not hex.", name = "hex", valu = valu.as_str()));
        }
        self.check(ty, &valu, None)
    }

    /// The norm, if its size fits; `given` is what the user hears about otherwise.
    fn check(&self, ty: &Type, valu: &str, given: Option<&Value>) -> Result<Norm> {
        if self.size > 0 && valu.len() != self.size {
            let mesg = format!("Values have {} hex characters, this has {}.", self.size, valu.len());
            let given = given.cloned().unwrap_or_else(|| Value::from(valu));
            return Err(ty.bad_valu(&given, mesg).with("reqwidth", self.size));
        }
        Ok(Norm::new(valu))
    }

    fn norm_int(&self, ty: &Type, valu: &Value) -> Result<Norm> {
        let number = valu.to_bigint().unwrap_or_default();
        let neg = number.sign() == num_bigint::Sign::Minus;
        let bits = usize::try_from(number.bits()).unwrap_or(usize::MAX / 2);
        let size = ((bits + 7 + usize::from(neg)) / 8).max(self.zeropad / 2);
        let byts = if neg { number.to_signed_bytes_be() } else { number.magnitude().to_bytes_be() };
        let fill = if neg { 0xff } else { 0 };
        // Zero has a byte of its own here but none in the reference.
        let byts = if bits == 0 { &[][..] } else { &byts[byts.len().saturating_sub(size)..] };
        let mut full = vec![fill; size - byts.len()];
        full.extend_from_slice(byts);
        self.check(ty, &hex::encode(full), Some(valu))
    }
}

impl TypeImpl for Hex {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) if self.is_stored_form(text) => Ok(Norm::new(text)),
            Value::Str(text) => self.norm_text(ty, text),
            Value::Int(_) | Value::Big(_) => self.norm_int(ty, valu),
            Value::Bytes(byts) => self.norm_text(ty, &hex::encode(byts)),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match (op, valu) {
            ("=", Value::Str(text)) => {
                let clean = Hex::clean(text);
                Some(match clean.strip_suffix('*') {
                    Some(prefix) => Ok(ty.stor("^=", prefix)),
                    None => ty.norm(cx, &Value::from(clean.as_str())).map(|norm| ty.stor("=", norm.value)),
                })
            }
            ("^=", Value::Str(text)) => Some(Ok(ty.stor("^=", Hex::clean(text).as_str()))),
            ("^=", other) => Some(Err(ty.no_norm(other.kind()).with("type", other.kind()))),
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["^="]
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

/// `guid`: 32 hex characters.
pub struct Guid;

impl Guid {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Guid> {
        Ok(Guid)
    }
}

/// A guid's text in its one form, if it is one.
pub(super) fn guid_text(text: &str) -> Option<Scratch> {
    let mut lower = Scratch::new();
    lower.extend(text.chars().filter(|ch| *ch != '-').flat_map(char::to_lowercase));
    (lower.len() == 32 && lower.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(lower)
}

/// The lift of guids by a prefix.
pub(super) fn guid_prefix_lift(ty: &Type, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
    if op != "^=" {
        return None;
    }
    let byts = valu.text_bytes().or_else(|| valu.as_bytes()).and_then(|text| hex::decode(text).ok());
    let byts = byts.ok_or_else(|| ty.bad_plain("A guid's prefix is an even number of hex characters."));
    Some(byts.map(|byts| ty.stor("^=", Value::from(&byts[..]))))
}

impl TypeImpl for Guid {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) if text.len() == 32 && is_lower_hex(text) => Ok(Norm::new(text)),
            Value::Str(text) if &**text == "*" => Ok(Norm::new(cx.env.rand_guid())),
            Value::Str(text) => guid_text(text).map(|guid| Norm::new(guid.as_str())).ok_or_else(|| {
                let shown = text.to_lowercase().replace('-', "");
                ty.bad_valu(&Value::from(shown), "The text is no guid.")
            }),
            Value::List(items) if items.is_empty() => Err(ty.bad_valu(valu, "An empty list makes no guid.")),
            Value::List(_) => Ok(Norm::new(guid_of(valu))),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn lift(&self, ty: &Type, _cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        guid_prefix_lift(ty, op, valu)
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["^="]
    }

    fn stortype(&self) -> StorType {
        StorType::GUID
    }
}

/// `loc`: a dotted location.
pub struct Loc;

impl Loc {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Loc> {
        Ok(Loc)
    }
}

fn norm_loc(text: &str) -> Value {
    let (mut lower, mut out) = (Scratch::new(), Scratch::new());
    lower.push_lower(text);
    for (indx, part) in py::strip(&lower).split('.').enumerate() {
        if indx > 0 {
            out.push('.');
        }
        for (indx, word) in py::words(part).enumerate() {
            if indx > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    Value::from(out.as_str())
}

impl TypeImpl for Loc {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => Ok(Norm::new(norm_loc(text))),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        if op != "^=" {
            return None;
        }
        Some(ty.norm(cx, rhs).map(|norm| -> Cmpr {
            let prefix = norm.value.as_str().unwrap_or_default().to_owned();
            Box::new(move |valu| {
                let have = valu.as_str().unwrap_or_default();
                let rest = have.strip_prefix(&prefix);
                Ok(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            })
        }))
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match (op, valu) {
            ("=", Value::Str(text)) => text.strip_suffix(".*").map(|prefix| Ok(ty.stor("^=", norm_loc(prefix)))),
            ("^=", _) => Some(ty.norm(cx, valu).map(|norm| ty.stor("^=", norm.value))),
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["^="]
    }

    fn lift_hint(&self, op: &str) -> bool {
        op == "^="
    }

    fn stortype(&self) -> StorType {
        StorType::LOC
    }
}

/// The words of a text in lower case joined by `_`: one part of a tag or taxonomy.
pub fn norm_word(text: &str) -> Option<Arc<str>> {
    if is_tag(text) && !text.contains('.') {
        return Some(Arc::from(text));
    }
    let mut out = Scratch::new();
    push_words(&mut out, text).then(|| Arc::from(out.as_str()))
}

/// Adds the words of a text; whether there are any.
fn push_words(out: &mut String, text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    if text.as_bytes().iter().all(is_word) {
        out.push_str(text);
        return !text.is_empty();
    }
    let mut lower = Scratch::new();
    lower.push_lower(text);
    let from = out.len();
    if lower.is_ascii() {
        let words = lower.split(|ch: char| !ch.is_ascii_alphanumeric() && ch != '_');
        words.filter(|word| !word.is_empty()).for_each(|word| push_word(out, from, word));
    } else {
        static WORD: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(r"\w+").ok());
        let words = WORD.as_ref().into_iter().flat_map(|word| word.find_iter(&lower));
        words.for_each(|word| push_word(out, from, word.as_str()));
    }
    out.len() > from
}

fn push_word(out: &mut String, from: usize, word: &str) {
    if out.len() > from {
        out.push('_');
    }
    out.push_str(word);
}

fn no_word(ty: &Type, text: &str) -> Error {
    ty.bad_plain(format!("Every part needs at least one word character: {text:?}."))
}

fn req_word(ty: &Type, text: &str) -> Result<Arc<str>> {
    norm_word(text).ok_or_else(|| no_word(ty, text))
}

/// A part given as an item of a list, which may be anything that `str` takes.
fn item_word(ty: &Type, part: &str, item: &Value) -> Result<Arc<str>> {
    match item {
        Value::Str(text) => req_word(ty, text),
        Value::Int(_) | Value::Big(_) => req_word(ty, &py::str_text(item)),
        Value::Bool(flag) => req_word(ty, if *flag { "true" } else { "false" }),
        Value::Float(float) => req_word(ty, &super::textual::float_plain(*float)),
        Value::Surrogates(text) => req_word(ty, &super::surrogates::hide_text(text)),
        other => {
            let mesg = format!("Parts of {} are no {}.", ty.name, other.kind());
            Err(err!("BadTypeValu", mesg = mesg, name = part))
        }
    }
}

/// The rules of `syn:tag:part`.
pub struct WordRules;

impl TextRules for WordRules {
    fn make(_decl: &mut Decl<'_>) -> Result<WordRules> {
        Ok(WordRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        req_word(ty, text).map(Norm::new)
    }
}

/// The rules of `taxon`: as a tag part, and lifts normalise too.
pub struct TaxonRules;

impl TextRules for TaxonRules {
    fn make(_decl: &mut Decl<'_>) -> Result<TaxonRules> {
        Ok(TaxonRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        req_word(ty, text).map(Norm::new)
    }

    fn for_lift(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Value> {
        ty.norm(cx, valu).map(|norm| norm.value)
    }
}

/// The rules of `syn:tag`.
pub struct TagRules;

/// The norm of a tag whose parts are well formed.
fn tag_norm(ty: &Type, cx: &NormCx, tag: Arc<str>) -> Result<Norm> {
    if let Err(mesg) = cx.env.check_tag(&tag) {
        return Err(ty.bad_valu(&Value::from(tag), mesg));
    }
    let depth = tag.bytes().filter(|byte| *byte == b'.').count();
    let (up, base) = tag.rsplit_once('.').map_or((None, &*tag), |(up, base)| (Some(up), base));
    let mut made = Norm::with_room(&tag, 2 + usize::from(up.is_some())).sub("base", base).sub("depth", depth);
    if let Some(up) = up {
        made = made.sub("up", up);
    }
    made.info.tag = Value::from(tag);
    Ok(made)
}

/// Whether a text is a tag in its stored form.
fn is_tag(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() | byte.is_ascii_digit() | matches!(byte, b'_' | b'.');
    text.bytes().fold(true, |fine, byte| fine & plain(byte)) && text.split('.').all(|part| !part.is_empty())
}

impl TextRules for TagRules {
    fn make(_decl: &mut Decl<'_>) -> Result<TagRules> {
        Ok(TagRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm> {
        let mut parts = Parts::new();
        text.trim_matches('#').split('.').try_for_each(|part| parts.push(ty, part))?;
        tag_norm(ty, cx, parts.dotted().into())
    }

    fn norm_shared(&self, opts: &TextOpts, ty: &Type, cx: &NormCx, text: &Arc<str>) -> Result<Norm> {
        if is_tag(text) { tag_norm(ty, cx, text.clone()) } else { self.norm_text(opts, ty, cx, text) }
    }

    fn norm_other(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, valu: &Value) -> Option<Result<Norm>> {
        let parts = Parts::of_items(ty, "syn:tag:part", valu.as_list()?);
        Some(parts.and_then(|parts| match parts.count {
            0 => Err(err!("BadTypeValu", mesg = "A tag has at least one part.", name = &ty.name)),
            _ => tag_norm(ty, cx, parts.dotted().into()),
        }))
    }
}

/// The rules of `taxonomy`.
pub struct TaxonomyRules;

/// A tag or taxonomy in the making: its parts, each with a dot behind it.
struct Parts {
    text: Scratch,
    /// Where the last part begins.
    base: usize,
    count: usize,
}

impl Parts {
    fn new() -> Parts {
        Parts { text: Scratch::new(), base: 0, count: 0 }
    }

    fn push(&mut self, ty: &Type, part: &str) -> Result<()> {
        self.base = self.text.len();
        if !push_words(&mut self.text, part) {
            return Err(no_word(ty, part));
        }
        self.text.push('.');
        self.count += 1;
        Ok(())
    }

    /// The parts of a list.
    fn of_items(ty: &Type, part: &str, items: &[Value]) -> Result<Parts> {
        let mut parts = Parts::new();
        for item in items {
            parts.push(ty, &item_word(ty, part, item)?)?;
        }
        Ok(parts)
    }

    /// The parts with dots between them.
    fn dotted(&self) -> &str {
        self.text.strip_suffix('.').unwrap_or_default()
    }

    /// The norm as a taxonomy.
    fn taxonomy(self, ty: &Type) -> Result<Norm> {
        let Some(depth) = self.count.checked_sub(1) else {
            return Err(err!("BadTypeValu", mesg = "A taxonomy has at least one part.", name = &ty.name));
        };
        let (above, base) = self.text.split_at(self.base);
        let made = Norm::with_room(self.text.as_str(), 2 + usize::from(depth > 0));
        let made = made.sub("base", base.trim_end_matches('.')).sub("depth", depth);
        Ok(if depth == 0 { made } else { made.sub("parent", above) })
    }
}

impl TextRules for TaxonomyRules {
    fn make(_decl: &mut Decl<'_>) -> Result<TaxonomyRules> {
        Ok(TaxonomyRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let mut parts = Parts::new();
        py::strip(text).trim_matches('.').split('.').try_for_each(|part| parts.push(ty, part))?;
        parts.taxonomy(ty)
    }

    fn norm_other(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<Norm>> {
        let parts = Parts::of_items(ty, "taxon", valu.as_list()?);
        Some(parts.and_then(|parts| parts.taxonomy(ty)))
    }

    fn for_lift(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Value> {
        let norm = ty.norm(cx, valu)?.value;
        // Text without a dot at its end may be the start of a longer name.
        let open = valu.as_str().is_some_and(|text| !py::strip(text).ends_with('.'));
        Ok(if open { self.repr(&norm) } else { norm })
    }

    fn repr(&self, norm: &Value) -> Value {
        match norm {
            Value::Str(text) => Value::from(text.trim_end_matches('.')),
            other => other.clone(),
        }
    }

    fn cmpr_ctor(&self, opts: &TextOpts, ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        if op != "^=" {
            return None;
        }
        Some(self.for_lift(opts, ty, cx, rhs).map(|prefix| -> Cmpr {
            Box::new(move |valu| {
                let (have, prefix) = (valu.as_str().unwrap_or_default(), prefix.as_str().unwrap_or_default());
                Ok(have.starts_with(prefix))
            })
        }))
    }
}
