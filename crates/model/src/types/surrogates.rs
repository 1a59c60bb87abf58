//! Text with lone surrogates, which Python's strings may hold and ours may not.
//!
//! Such text passes through the rules of the types as ordinary text whose surrogates became private characters of the
//! last plane: those are no letters, digits, marks or white space and do not print, as surrogates do not. What comes out
//! is turned back.

use std::borrow::Cow;

use myelin_error::Error;
use myelin_value::{Map, Value, Wtf8};

use super::{Norm, NormInfo, StorCmpr};

/// Where a surrogate's code point is moved to.
const HOME: u32 = 0x10_0000;

/// The text with its surrogates hidden.
pub(super) fn hide_text(text: &Wtf8) -> String {
    text.code_points().filter_map(|code| char::from_u32(code).or_else(|| char::from_u32(HOME + code))).collect()
}

/// A text, or a list of texts, with surrogates hidden.
pub(super) fn hide(valu: &Value) -> Cow<'_, Value> {
    let hidden = |valu: &Value| match valu {
        Value::Surrogates(text) => Value::from(hide_text(text)),
        other => other.clone(),
    };
    match valu {
        Value::Surrogates(_) => Cow::Owned(hidden(valu)),
        Value::List(items) if items.iter().any(|item| matches!(item, Value::Surrogates(_))) => {
            Cow::Owned(Value::list(items.iter().map(hidden)))
        }
        _ => Cow::Borrowed(valu),
    }
}

/// The value with hidden surrogates shown again.
pub(super) fn show(valu: &Value) -> Value {
    match valu {
        Value::Str(text) => show_text(text).unwrap_or_else(|| valu.clone()),
        Value::List(items) => Value::list(items.iter().map(show)),
        Value::Map(map) => Value::from(map.iter().map(|(key, valu)| (show(key), show(valu))).collect::<Map>()),
        other => other.clone(),
    }
}

fn show_text(text: &str) -> Option<Value> {
    let surrogate = |ch: char| u32::from(ch).checked_sub(HOME).filter(|code| (0xd800..=0xdfff).contains(code));
    if !text.chars().any(|ch| surrogate(ch).is_some()) {
        return None;
    }
    let mut byts = Vec::with_capacity(text.len());
    for ch in text.chars() {
        match surrogate(ch) {
            Some(code) => {
                byts.extend([0xe0 | (code >> 12) as u8, 0x80 | (code >> 6 & 0x3f) as u8, 0x80 | (code & 0x3f) as u8]);
            }
            None => byts.extend(ch.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Value::from_wtf8(&byts)
}

/// A norm with hidden surrogates shown again.
pub(super) fn show_norm(norm: &Norm) -> Norm {
    Norm { value: show(&norm.value), info: show_info(&norm.info) }
}

fn show_info(info: &NormInfo) -> NormInfo {
    NormInfo {
        subs: info.subs.iter().map(|(name, valu)| (name.clone(), show(valu))).collect(),
        adds: info
            .adds
            .iter()
            .map(|add| super::NormAdd { form: add.form.clone(), value: show(&add.value), info: show_info(&add.info) })
            .collect(),
        tag: show(&info.tag),
    }
}

/// An error with hidden surrogates shown again.
pub(super) fn show_error(mut error: Error) -> Error {
    let shown = error.info().iter().map(|(key, valu)| (key.clone(), show(valu))).collect::<Map>();
    *error.info_mut() = shown;
    error
}

/// Index operations with hidden surrogates shown again.
pub(super) fn show_lifts(lifts: Vec<StorCmpr>) -> Vec<StorCmpr> {
    lifts.into_iter().map(|lift| StorCmpr { value: show(&lift.value), ..lift }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown_again() {
        let lone = Value::from_wtf8(b"a\xed\xb3\xbfb").expect("text");
        let hidden = hide(&lone).into_owned();
        assert!(matches!(hidden, Value::Str(_)));
        assert_eq!(show(&Value::list([hidden])), Value::list([lone]));
        assert_eq!(show(&Value::from("plain")), Value::from("plain"));
    }
}
