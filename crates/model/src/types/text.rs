//! Text, and what is written like it: `str`, `hex`, `guid`, `loc`, tags and taxonomies.

use std::sync::{Arc, LazyLock};

use myelin_error::{Result, err};
use myelin_value::{Value, guid_of};

use super::ctors::Decl;
use super::textual::{StrRules, TextOpts, TextRules, Textual};
use super::{Cmpr, Norm, NormCx, NormInfo, StorCmpr, Type, TypeImpl, py};
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

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
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

    fn clean(text: &str) -> String {
        let lower = text.to_lowercase();
        let text = py::strip(&lower);
        let text = text.strip_prefix("0x").unwrap_or(text);
        text.chars().filter(|ch| !matches!(ch, ' ' | ':')).collect()
    }

    fn norm_text(&self, ty: &Type, text: &str) -> Result<Norm> {
        let bad = |mesg: &str| ty.bad_valu(&Value::from(text), mesg);
        let mut valu = Hex::clean(text);
        if valu.is_empty() {
            return Err(bad("No hex is left after stripping."));
        }
        if !valu.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(err!("BadTypeValu", mesg = "The text is not hex.", name = "hex", valu = text));
        }
        if !valu.len().is_multiple_of(2) {
            valu.insert(0, '0');
        }
        if valu.len() < self.zeropad {
            valu.insert_str(0, &"0".repeat(self.zeropad - valu.len()));
        }
        self.check(ty, valu)
    }

    fn check(&self, ty: &Type, valu: String) -> Result<Norm> {
        if self.size > 0 && valu.len() != self.size {
            let mesg = format!("Values have {} hex characters, this has {}.", self.size, valu.len());
            return Err(ty.bad_valu(&Value::from(valu), mesg).with("reqwidth", self.size));
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
        self.check(ty, hex::encode(full))
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
                    None => ty.norm(cx, &Value::from(clean)).map(|norm| ty.stor("=", norm.value)),
                })
            }
            ("^=", Value::Str(text)) => Some(Ok(ty.stor("^=", Hex::clean(text)))),
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
pub fn guid_text(text: &str) -> Option<String> {
    let lower: String = text.chars().filter(|ch| *ch != '-').flat_map(char::to_lowercase).collect();
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
            Value::Str(text) => guid_text(text).map(Norm::new).ok_or_else(|| ty.bad_valu(valu, "The text is no guid.")),
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

fn norm_loc(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut out = String::with_capacity(lower.len());
    for (indx, part) in py::strip(&lower).split('.').enumerate() {
        if indx > 0 {
            out.push('.');
        }
        out.push_str(&py::onespace(part));
    }
    out
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
    static WORD: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(r"\w+").ok());
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    if !text.is_empty() && text.as_bytes().iter().all(is_word) {
        return Some(Arc::from(text));
    }
    let lower = text.to_lowercase();
    let mut out = String::with_capacity(lower.len());
    for word in WORD.as_ref()?.find_iter(&lower) {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(word.as_str());
    }
    (!out.is_empty()).then(|| Arc::from(out))
}

fn req_word(ty: &Type, text: &str) -> Result<Arc<str>> {
    norm_word(text).ok_or_else(|| ty.bad_plain(format!("Every part needs at least one word character: {text:?}.")))
}

/// A part given as an item of a list, which may be anything that `str` takes.
fn item_word(ty: &Type, item: &Value) -> Result<Arc<str>> {
    match item {
        Value::Str(text) => req_word(ty, text),
        Value::Int(_) | Value::Big(_) => req_word(ty, &py::str_text(item)),
        Value::Bool(flag) => req_word(ty, if *flag { "true" } else { "false" }),
        Value::Float(float) => req_word(ty, &super::textual::float_plain(*float)),
        Value::Surrogates(text) => req_word(ty, &super::surrogates::hide_text(text)),
        other => Err(ty.no_norm(other.kind())),
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

fn norm_tag(ty: &Type, cx: &NormCx, toks: Vec<Arc<str>>, given: Option<&Arc<str>>) -> Result<Norm> {
    let Some(base) = toks.last() else {
        return Err(err!("BadTypeValu", mesg = "A tag has at least one part.", name = &ty.name));
    };
    // Parts are as long as before only when nothing about them changed.
    let size = toks.iter().map(|tok| tok.len() + 1).sum::<usize>() - 1;
    let same = given.filter(|text| text.len() == size && text.split('.').eq(toks.iter().map(|tok| &**tok)));
    let norm: Arc<str> = same.cloned().unwrap_or_else(|| toks.join(".").into());
    if let Err(mesg) = cx.env.check_tag(&norm) {
        return Err(ty.bad_valu(&Value::from(norm), mesg));
    }
    let mut info = NormInfo::default();
    info.subs.push(("base".into(), Value::from(base)));
    info.subs.push(("depth".into(), Value::from(toks.len() - 1)));
    if let Some((up, _)) = norm.rsplit_once('.') {
        info.subs.push(("up".into(), Value::from(up)));
    }
    info.toks = toks.into_iter().map(Value::Str).collect();
    Ok(Norm { value: Value::from(norm), info })
}

impl TextRules for TagRules {
    fn make(_decl: &mut Decl<'_>) -> Result<TagRules> {
        Ok(TagRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm> {
        let toks = text.trim_matches('#').split('.').map(|part| req_word(ty, part));
        norm_tag(ty, cx, toks.collect::<Result<_>>()?, None)
    }

    fn norm_shared(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, text: &Arc<str>) -> Result<Norm> {
        let toks = text.trim_matches('#').split('.').map(|part| req_word(ty, part));
        norm_tag(ty, cx, toks.collect::<Result<_>>()?, Some(text))
    }

    fn norm_other(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, valu: &Value) -> Option<Result<Norm>> {
        let items = valu.as_list()?;
        let toks: Result<Vec<_>> = items.iter().map(|item| item_word(ty, item)).collect();
        Some(toks.and_then(|toks| norm_tag(ty, cx, toks, None)))
    }
}

/// The rules of `taxonomy`.
pub struct TaxonomyRules;

fn norm_taxonomy(ty: &Type, toks: &[Arc<str>]) -> Result<Norm> {
    let Some((base, above)) = toks.split_last() else {
        return Err(err!("BadTypeValu", mesg = "A taxonomy has at least one part.", name = &ty.name));
    };
    let norm = format!("{}.", toks.join("."));
    let made = Norm::new(norm).sub("base", base).sub("depth", above.len());
    Ok(if above.is_empty() { made } else { made.sub("parent", format!("{}.", above.join("."))) })
}

impl TextRules for TaxonomyRules {
    fn make(_decl: &mut Decl<'_>) -> Result<TaxonomyRules> {
        Ok(TaxonomyRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let parts = py::strip(text).trim_matches('.').split('.');
        let toks: Vec<_> = parts.map(|part| req_word(ty, part)).collect::<Result<_>>()?;
        norm_taxonomy(ty, &toks)
    }

    fn norm_other(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<Norm>> {
        let items = valu.as_list()?;
        let toks: Result<Vec<_>> = items.iter().map(|item| item_word(ty, item)).collect();
        Some(toks.and_then(|toks| norm_taxonomy(ty, &toks)))
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
