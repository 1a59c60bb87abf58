//! Values as JSON and back.
//!
//! JSON has no bytes, no NaN and no lone surrogates outside escapes: [`to_json`] says which of them it met. Integers of
//! any size pass through `serde_json` only as far as 64 bits; larger ones become doubles there, as in any JSON reader
//! without big numbers, so [`to_json_text`] writes them itself.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::{Map, Value};

/// Why a value has no JSON form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotJson(pub &'static str);

/// A JSON document as a value.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(valu) => Value::Bool(*valu),
        Json::Number(number) => number_value(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(from_json)),
        Json::Object(map) => {
            Value::from(map.iter().map(|(key, valu)| (key.as_str(), from_json(valu))).collect::<Map>())
        }
    }
}

fn number_value(number: &serde_json::Number) -> Value {
    if let Some(small) = number.as_i64() {
        return Value::Int(small);
    }
    if let Some(wide) = number.as_u64() {
        return Value::from(wide);
    }
    Value::Float(number.as_f64().unwrap_or(f64::NAN))
}

/// Parses JSON text.
///
/// # Errors
/// What `serde_json` has to say about the text.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Json>(text).map(|json| from_json(&json))
}

/// A value as a JSON document.
///
/// # Errors
/// Names the first thing that JSON cannot hold.
pub fn to_json(valu: &Value) -> Result<Json, NotJson> {
    Ok(match valu {
        Value::Null => Json::Null,
        Value::Bool(valu) => Json::Bool(*valu),
        Value::Int(valu) => Json::from(*valu),
        Value::Big(_) => match valu.as_u64() {
            Some(wide) => Json::from(wide),
            None => return Err(NotJson("an integer past 64 bits")),
        },
        Value::Float(valu) => {
            Json::Number(serde_json::Number::from_f64(*valu).ok_or(NotJson("a number that is not finite"))?)
        }
        Value::Str(text) => Json::String(text.to_string()),
        Value::Surrogates(_) => return Err(NotJson("text with lone surrogates")),
        Value::Bytes(_) => return Err(NotJson("bytes")),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut out = serde_json::Map::with_capacity(map.len());
            for (key, valu) in map.iter() {
                let key = key.as_str().ok_or(NotJson("a key that is not text"))?;
                out.insert(key.to_owned(), to_json(valu)?);
            }
            Json::Object(out)
        }
    })
}

/// A value as compact JSON text, with integers of any size and escaped surrogates.
///
/// # Errors
/// Names the first thing that JSON cannot hold.
pub fn to_json_text(valu: &Value) -> Result<String, NotJson> {
    let mut out = String::new();
    write_json(&mut out, valu)?;
    Ok(out)
}

fn write_json(out: &mut String, valu: &Value) -> Result<(), NotJson> {
    match valu {
        Value::Big(valu) => {
            let _ = write!(out, "{valu}");
        }
        Value::Surrogates(text) => {
            out.push('"');
            for code in text.code_points() {
                match char::from_u32(code) {
                    Some(valid) => push_escaped(out, valid),
                    None => {
                        let _ = write!(out, "\\u{code:04x}");
                    }
                }
            }
            out.push('"');
        }
        Value::List(items) => {
            out.push('[');
            for (indx, item) in items.iter().enumerate() {
                if indx > 0 {
                    out.push(',');
                }
                write_json(out, item)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (indx, (key, valu)) in map.iter().enumerate() {
                if indx > 0 {
                    out.push(',');
                }
                if !key.is_text() {
                    return Err(NotJson("a key that is not text"));
                }
                write_json(out, key)?;
                out.push(':');
                write_json(out, valu)?;
            }
            out.push('}');
        }
        _ => out.push_str(&to_json(valu)?.to_string()),
    }
    Ok(())
}

fn push_escaped(out: &mut String, valid: char) {
    match valid {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        control if control < ' ' => {
            let _ = write!(out, "\\u{:04x}", u32::from(control));
        }
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_what_documents_cannot() {
        let big: num_bigint::BigInt = "340282366920938463463374607431768211456".parse().expect("digits");
        let valu = Value::from(
            Map::new().with("n", Value::from(big)).with("s", Value::from_wtf8(b"\xed\xb3\xbf").expect("wtf8")),
        );
        let text = to_json_text(&valu).expect("json");
        assert_eq!(text, r#"{"n":340282366920938463463374607431768211456,"s":"\udcff"}"#);
        assert_eq!(to_json(&Value::from(&b"x"[..])), Err(NotJson("bytes")));
    }
}
