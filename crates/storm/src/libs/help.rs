//! Small things that many libraries need: bytes and text arguments, Python's slices and order.

use std::cmp::Ordering;
use std::sync::Arc;

use myelin_error::err;
use myelin_model::types::py;
use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::Item;
use crate::rt::Rt;

/// The bytes an item holds.
pub fn bytes_of(item: &Item) -> Option<Arc<[u8]>> {
    match item {
        Item::Val(Value::Bytes(byts)) => Some(byts.clone()),
        _ => None,
    }
}

/// The bytes an item stands for (`toprim`).
///
/// # Errors
/// `BadArg` with the name of the argument when it stands for something else.
pub fn req_bytes(rt: &Rt, item: &Item, name: &str) -> Flow<Arc<[u8]>> {
    match item.toprim(rt)? {
        Value::Bytes(byts) => Ok(byts),
        _ => crate::fail!("BadArg", mesg = format!("{name} must be bytes."), name = name),
    }
}

/// Refuses what may change as a member of a set.
///
/// # Errors
/// `StormRuntimeError`.
pub fn req_member(rt: &Rt, item: &Item) -> Flow<()> {
    if item.is_mutable() {
        let mesg = format!("{} is mutable and cannot be used in a set.", item.torepr(rt, false)?);
        crate::fail!("StormRuntimeError", mesg = mesg);
    }
    Ok(())
}

/// The text an object of a text method holds; lone surrogates become replacement characters.
pub fn text_of(item: &Item) -> Arc<str> {
    match item {
        Item::Val(Value::Str(text)) => text.clone(),
        Item::Val(Value::Surrogates(text)) => Arc::from(text.to_string_lossy()),
        _ => Arc::from(""),
    }
}

/// The range of a Python slice over so many items.
pub fn slice_range(len: usize, start: i64, end: Option<i64>) -> std::ops::Range<usize> {
    let clamp = |pos: i64| {
        let size = i64::try_from(len).unwrap_or(i64::MAX);
        let pos = if pos < 0 { pos.saturating_add(size) } else { pos };
        usize::try_from(pos.clamp(0, size)).unwrap_or(0)
    };
    let (from, to) = (clamp(start), end.map_or(len, clamp));
    from..to.max(from)
}

/// The order of two items as Python's `<` has it, where they have one.
pub fn order(left: &Item, right: &Item) -> Option<Ordering> {
    match (left, right) {
        (Item::Val(left), Item::Val(right)) => py::cmp(left, right),
        (Item::Num(_), _) | (_, Item::Num(_)) => left.as_decimal()?.partial_cmp(&right.as_decimal()?),
        _ => {
            let (left, right) = (left.members()?, right.members()?);
            for (a, b) in left.iter().zip(&right) {
                if !a.py_eq(b) {
                    return order(a, b);
                }
            }
            Some(left.len().cmp(&right.len()))
        }
    }
}

/// Sorts as Python's `sorted` does; nothing when two items have no order.
pub fn sorted(mut items: Vec<Item>, reverse: bool) -> Option<Vec<Item>> {
    let mut fair = true;
    let mut cmp = |left: &Item, right: &Item| {
        order(left, right).unwrap_or_else(|| {
            fair = false;
            Ordering::Equal
        })
    };
    if reverse {
        items.sort_by(|left, right| cmp(right, left));
    } else {
        items.sort_by(&mut cmp);
    }
    fair.then_some(items)
}

/// Puts named values into a text where their names stand in braces.
///
/// # Errors
/// Whatever showing a value gives.
pub fn kwarg_format(rt: &Rt, text: &str, kwargs: &[(Arc<str>, Item)]) -> Flow<String> {
    let mut text = text.to_owned();
    for (name, valu) in kwargs {
        text = text.replace(&format!("{{{name}}}"), &valu.torepr(rt, true)?);
    }
    Ok(text)
}

/// A list of primitives as a mutable list.
pub fn list_of<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Item {
    Item::list(items.into_iter().map(|item| Item::Val(item.into())))
}

/// Bytes as an item.
pub fn bytes_item(byts: impl Into<Arc<[u8]>>) -> Item {
    Item::Val(Value::Bytes(byts.into()))
}

/// The text encodings of Python that the platform is asked for.
///
/// # Errors
/// `BadArg` for an encoding that is not known; the inner nothing is text that it cannot hold.
pub fn encode(text: &Value, encoding: &str) -> Flow<Option<Vec<u8>>> {
    let units = || match text {
        Value::Surrogates(text) => text.code_points().collect::<Vec<_>>(),
        other => other.as_str().unwrap_or_default().chars().map(u32::from).collect(),
    };
    let narrow = |most: u32| units().into_iter().map(|code| u8::try_from(code).ok().filter(|_| code <= most)).collect();
    let wide16 = |big: bool| {
        let mut out = Vec::new();
        let mut push = |unit: u32| {
            let byts = (unit as u16).to_le_bytes();
            out.extend_from_slice(&if big { [byts[1], byts[0]] } else { byts });
        };
        for code in units() {
            if code >= 0x10000 {
                push(0xd800 + ((code - 0x10000) >> 10));
                push(0xdc00 + ((code - 0x10000) & 0x3ff));
            } else {
                push(code);
            }
        }
        out
    };
    let wide32 = |big: bool| {
        units()
            .into_iter()
            .flat_map(|code| if big { code.to_be_bytes() } else { code.to_le_bytes() })
            .collect::<Vec<_>>()
    };
    let name = encoding.to_lowercase().replace('_', "-");
    Ok(match name.as_str() {
        "utf8" | "utf-8" | "u8" => Some(text.text_bytes().unwrap_or_default().to_vec()),
        "ascii" | "us-ascii" | "646" => narrow(0x7f),
        "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" => narrow(0xff),
        "utf16" | "utf-16" => Some([vec![0xff, 0xfe], wide16(false)].concat()),
        "utf-16-le" | "utf-16le" => Some(wide16(false)),
        "utf-16-be" | "utf-16be" => Some(wide16(true)),
        "utf32" | "utf-32" => Some([vec![0xff, 0xfe, 0, 0], wide32(false)].concat()),
        "utf-32-le" | "utf-32le" => Some(wide32(false)),
        "utf-32-be" | "utf-32be" => Some(wide32(true)),
        other => match encoding_rs::Encoding::for_label(label(other).as_bytes()) {
            Some(coding) => {
                let plain = text.as_str().map(|text| coding.encode(text));
                plain.and_then(|(byts, _, lost)| (!lost).then(|| byts.into_owned()))
            }
            None => return Err(unknown_encoding(encoding)),
        },
    })
}

/// Python's names of code pages as the web has them.
fn label(name: &str) -> String {
    match name.strip_prefix("cp") {
        Some(page) if page.len() == 4 && page.starts_with("125") => format!("windows-{page}"),
        Some(page) => format!("ibm{page}"),
        None => name.to_owned(),
    }
}

fn unknown_encoding(encoding: &str) -> crate::Ctl {
    err!("BadArg", mesg = format!("Unknown text encoding: {encoding}"), encoding = encoding).into()
}

/// Text of bytes in an encoding; the inner nothing is bytes that are no such text.
///
/// # Errors
/// `BadArg` for an encoding that is not known.
pub fn decode(byts: &[u8], encoding: &str, errors: &str) -> Flow<Option<Value>> {
    let lenient = match errors {
        "ignore" => Some(""),
        "replace" => Some("\u{fffd}"),
        _ => None,
    };
    let name = encoding.to_lowercase().replace('_', "-");
    let swap = |size: usize, big: bool, byts: &[u8]| -> Vec<u32> {
        byts.chunks(size)
            .map(|unit| {
                let fold = |code: u32, byte: &u8| (code << 8) | u32::from(*byte);
                if big { unit.iter().fold(0, fold) } else { unit.iter().rev().fold(0, fold) }
            })
            .collect()
    };
    Ok(match name.as_str() {
        "utf8" | "utf-8" | "u8" => decode_utf8(byts, errors, lenient),
        "utf-8-sig" => decode_utf8(byts.strip_prefix(b"\xef\xbb\xbf").unwrap_or(byts), errors, lenient),
        "ascii" | "us-ascii" | "646" => match lenient {
            None if !byts.is_ascii() => None,
            _ => Some(Value::from(byts.iter().fold(String::new(), |mut out, byte| {
                if byte.is_ascii() {
                    out.push(char::from(*byte));
                } else {
                    out.push_str(lenient.unwrap_or_default());
                }
                out
            }))),
        },
        "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" => {
            Some(Value::from(byts.iter().map(|byte| char::from(*byte)).collect::<String>()))
        }
        "utf16" | "utf-16" => match byts {
            [0xfe, 0xff, rest @ ..] => utf16(&swap(2, true, rest), rest.len(), errors),
            [0xff, 0xfe, rest @ ..] => utf16(&swap(2, false, rest), rest.len(), errors),
            _ => utf16(&swap(2, false, byts), byts.len(), errors),
        },
        "utf-16-le" | "utf-16le" => utf16(&swap(2, false, byts), byts.len(), errors),
        "utf-16-be" | "utf-16be" => utf16(&swap(2, true, byts), byts.len(), errors),
        "utf32" | "utf-32" => match byts {
            [0, 0, 0xfe, 0xff, rest @ ..] => utf32(&swap(4, true, rest), rest.len()),
            [0xff, 0xfe, 0, 0, rest @ ..] => utf32(&swap(4, false, rest), rest.len()),
            _ => utf32(&swap(4, false, byts), byts.len()),
        },
        "utf-32-le" | "utf-32le" => utf32(&swap(4, false, byts), byts.len()),
        "utf-32-be" | "utf-32be" => utf32(&swap(4, true, byts), byts.len()),
        other => match encoding_rs::Encoding::for_label(label(other).as_bytes()) {
            Some(coding) => {
                let (text, lost) = coding.decode_without_bom_handling(byts);
                (!lost || lenient.is_some()).then(|| Value::from(text.as_ref()))
            }
            None => return Err(unknown_encoding(encoding)),
        },
    })
}

fn decode_utf8(byts: &[u8], errors: &str, lenient: Option<&str>) -> Option<Value> {
    if let Ok(text) = std::str::from_utf8(byts) {
        return Some(Value::from(text));
    }
    if errors == "surrogatepass" {
        return Value::from_wtf8(byts);
    }
    let mut out = String::new();
    for chunk in byts.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push_str(lenient?);
        }
    }
    Some(Value::from(out))
}

fn utf16(units: &[u32], size: usize, errors: &str) -> Option<Value> {
    if !size.is_multiple_of(2) {
        return None;
    }
    let units: Vec<u16> = units.iter().map(|unit| *unit as u16).collect();
    match (String::from_utf16(&units), errors) {
        (Ok(text), _) => Some(Value::from(text)),
        (Err(_), "replace" | "surrogatepass") => Some(Value::from(String::from_utf16_lossy(&units))),
        _ => None,
    }
}

fn utf32(units: &[u32], size: usize) -> Option<Value> {
    if !size.is_multiple_of(4) {
        return None;
    }
    units.iter().map(|unit| char::from_u32(*unit)).collect::<Option<String>>().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_clamp_as_in_python() {
        assert_eq!(slice_range(5, 1, Some(3)), 1..3);
        assert_eq!(slice_range(5, -2, None), 3..5);
        assert_eq!(slice_range(5, 4, Some(2)), 4..4);
        assert_eq!(slice_range(5, -9, Some(99)), 0..5);
    }

    #[test]
    fn encodings_come_back() {
        for name in ["utf8", "utf-16", "utf-16-be", "utf-32", "utf_16_le"] {
            let text = Value::from("héllo 😀");
            let byts = encode(&text, name).ok().flatten().expect("fits");
            assert_eq!(decode(&byts, name, "strict").ok().flatten(), Some(text), "{name}");
        }
        assert_eq!(encode(&Value::from("é"), "latin-1").ok().flatten(), Some(vec![0xe9]));
        assert_eq!(encode(&Value::from("é"), "ascii").ok().flatten(), None);
        assert!(encode(&Value::from("a"), "newp").is_err());
        assert_eq!(decode(b"a\xffb", "utf8", "ignore").ok().flatten(), Some(Value::from("ab")));
        assert_eq!(decode(b"a\xffb", "utf8", "strict").ok().flatten(), None);
    }
}
