//! Index bytes: how each storage type's value becomes the key a layer sorts it by, and back where that is possible.
//!
//! Everything about key encoding is in this file. The layout of each type is at its arm in [`encode_item`]; all numbers
//! are big-endian. Signed integers are moved by 2^(bits-1) - 1, so that the smallest one has no key: that error is raised
//! here, before anything is written. Text past 256 bytes keeps 248 of them and a hash of all.

use std::net::Ipv6Addr;

use myelin_error::{Error, Result, err};
use myelin_model::StorType;
use myelin_model::types::Decimal;
use myelin_value::{BigInt, Value, buid_of};
use smallvec::SmallVec;

/// Text up to this long is its own key.
const TEXT_MAX: usize = 256;
/// How much of longer text is kept before the hash.
const TEXT_KEPT: usize = 248;
/// Degrees are stored in units of 10^-8.
pub(crate) const GEO_SCALE: f64 = 1e8;
/// What is added to a scaled latitude.
pub(crate) const LAT_SPACE: i64 = 90 * 100_000_000;
/// What is added to a scaled longitude.
pub(crate) const LON_SPACE: i64 = 180 * 100_000_000;

/// Appends the key of one value that is no array.
///
/// # Errors
/// `BadTypeValu` for a value the type has no key for, `NoSuchImpl` for a number that is no storage type.
pub fn encode_item(stor: StorType, valu: &Value, out: &mut Vec<u8>) -> Result<()> {
    match stor {
        StorType::UTF8 => encode_text(text_of(stor, valu)?, out),
        StorType::FQDN => encode_text(&reversed(text_of(stor, valu)?), out),
        // The separator at the end makes prefixes end at a boundary.
        StorType::LOC | StorType::TAG => {
            out.extend_from_slice(text_of(stor, valu)?);
            out.push(b'.');
        }
        StorType::GUID => {
            let byts = valu.as_str().and_then(hex_bytes).ok_or_else(|| no_key(stor, valu))?;
            out.extend_from_slice(&byts);
        }
        StorType::IVAL => {
            let (min, max) = pair_of(valu).ok_or_else(|| no_key(stor, valu))?;
            encode_item(StorType::TIME, min, out)?;
            encode_item(StorType::TIME, max, out)?;
        }
        StorType::MSGP | StorType::NDEF => out.extend_from_slice(&buid_of(valu).0),
        StorType::LATLONG => {
            // Longitude first: a box is a range of longitudes, thinned by latitude.
            let (lat, lon) = pair_of(valu).ok_or_else(|| no_key(stor, valu))?;
            let lat = float_of(lat).and_then(|lat| degrees(lat, LAT_SPACE)).ok_or_else(|| no_key(stor, valu))?;
            let lon = float_of(lon).and_then(|lon| degrees(lon, LON_SPACE)).ok_or_else(|| no_key(stor, valu))?;
            out.extend_from_slice(&lon);
            out.extend_from_slice(&lat);
        }
        StorType::IPV6 => out.extend_from_slice(&ipv6_of(valu).ok_or_else(|| no_key(stor, valu))?.to_be_bytes()),
        StorType::FLOAT64 => {
            // The sign bit is not turned: lifts make up for the order of negative numbers.
            let float = float_of(valu).ok_or_else(|| no_key(stor, valu))?;
            out.extend_from_slice(&float.to_be_bytes());
        }
        StorType::HUGENUM => {
            let huge = Decimal::from_value(valu).ok_or_else(|| no_key(stor, valu))?;
            out.extend_from_slice(&huge_key(&huge).ok_or_else(|| no_key(stor, valu))?);
        }
        _ => {
            let kind = IntKind::of(stor).ok_or_else(|| no_such_type(stor))?;
            let int = int_of(valu).ok_or_else(|| no_key(stor, valu))?;
            if !kind.encode(&int, out) {
                return Err(no_key(stor, valu));
            }
        }
    }
    Ok(())
}

/// Calls `each` with every key of a value: one, or for an array one an item.
///
/// # Errors
/// As [`encode_item`]; what `each` fails with.
pub fn for_each_key(
    stor: StorType,
    valu: &Value,
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if !stor.is_array() {
        scratch.clear();
        encode_item(stor, valu, scratch)?;
        return each(scratch);
    }
    for item in valu.as_list().ok_or_else(|| no_key(stor, valu))? {
        scratch.clear();
        encode_item(stor.item(), item, scratch)?;
        each(scratch)?;
    }
    Ok(())
}

/// The value of a key, where the key holds all of it.
pub fn decode_item(stor: StorType, key: &[u8]) -> Option<Value> {
    match stor {
        StorType::UTF8 if key.len() < TEXT_MAX => Value::from_wtf8(key),
        StorType::FQDN if key.len() < TEXT_MAX => Value::from_wtf8(&reversed(key)),
        StorType::LOC | StorType::TAG => Value::from_wtf8(key.strip_suffix(b".")?),
        StorType::GUID => Some(Value::from(hex_text(key))),
        StorType::IVAL => {
            let min = decode_item(StorType::TIME, key.get(..8)?)?;
            Some(Value::list([min, decode_item(StorType::TIME, key.get(8..)?)?]))
        }
        StorType::LATLONG => {
            let (lon, lat) = (key.get(..5)?, key.get(5..10)?);
            Some(Value::list([Value::from(from_degrees(lat, LAT_SPACE)), Value::from(from_degrees(lon, LON_SPACE))]))
        }
        StorType::IPV6 => Some(Value::from(Ipv6Addr::from(<[u8; 16]>::try_from(key).ok()?).to_string())),
        StorType::FLOAT64 => Some(Value::from(f64::from_be_bytes(key.try_into().ok()?))),
        StorType::HUGENUM => {
            let scaled = BigInt::from_bytes_be(num_bigint::Sign::Plus, key) - huge_offset();
            Some(Value::from(Decimal::new(&scaled, -24).normalize().to_plain()))
        }
        StorType::MSGP | StorType::NDEF | StorType::UTF8 | StorType::FQDN => None,
        _ => Some(Value::from(IntKind::of(stor)?.decode(key)?)),
    }
}

/// Hands the text that a key stands for to a function, without making a value of it. Nothing for keys that hold no text, not
/// all of it, or none that a string can hold.
pub(crate) fn with_text<T>(stor: StorType, key: &[u8], func: impl FnOnce(&str) -> T) -> Option<T> {
    match stor {
        StorType::UTF8 if key.len() < TEXT_MAX => Some(func(std::str::from_utf8(key).ok()?)),
        StorType::FQDN if key.len() < TEXT_MAX && key.is_ascii() => {
            let mut name: SmallVec<[u8; TEXT_MAX]> = SmallVec::from_slice(key);
            name.reverse();
            Some(func(std::str::from_utf8(&name).ok()?))
        }
        _ => None,
    }
}

/// The value of a key, for the types whose keys are as good as what the storage node holds: the same value, in the
/// same shape. The others' keys are rounded or hashed, or several texts share one.
pub(crate) fn decode_exact(stor: StorType, key: &[u8]) -> Option<Value> {
    if let Some(kind) = IntKind::of(stor) {
        let Some(byts) = key.first_chunk::<8>().filter(|_| kind.size == 8 && key.len() == 8) else {
            if kind.size < 8 && key.len() == kind.size {
                let moved = key.iter().fold(0i64, |moved, byte| moved << 8 | i64::from(*byte));
                return Some(Value::Int(if kind.signed { moved - ((1 << (kind.size * 8 - 1)) - 1) } else { moved }));
            }
            return decode_item(stor, key);
        };
        let moved = i128::from(u64::from_be_bytes(*byts)) - if kind.signed { i128::from(i64::MAX) } else { 0 };
        return i64::try_from(moved).map(Value::Int).ok().or_else(|| decode_item(stor, key));
    }
    match stor {
        StorType::UTF8 | StorType::FQDN | StorType::GUID | StorType::LOC | StorType::TAG => decode_item(stor, key),
        _ => None,
    }
}

/// The width and offset of an integer type.
#[derive(Clone, Copy)]
pub(crate) struct IntKind {
    /// Bytes of the key.
    pub size: usize,
    signed: bool,
}

impl IntKind {
    /// Of the types that are kept as integers.
    pub fn of(stor: StorType) -> Option<IntKind> {
        let (size, signed) = match stor {
            StorType::U8 => (1, false),
            StorType::U16 => (2, false),
            StorType::U32 => (4, false),
            StorType::U64 => (8, false),
            StorType::U128 => (16, false),
            StorType::I8 => (1, true),
            StorType::I16 => (2, true),
            StorType::I32 => (4, true),
            StorType::I64 | StorType::TIME | StorType::MINTIME | StorType::MAXTIME => (8, true),
            StorType::I128 => (16, true),
            _ => return None,
        };
        Some(IntKind { size, signed })
    }

    fn offset(self) -> BigInt {
        if self.signed { (BigInt::from(1) << (self.size * 8 - 1)) - 1 } else { BigInt::from(0) }
    }

    fn encode(self, int: &BigInt, out: &mut Vec<u8>) -> bool {
        match self.place(int) {
            Place::In(key) => {
                out.extend_from_slice(&key[16 - self.size..]);
                true
            }
            Place::Below | Place::Above => false,
        }
    }

    /// Where an integer lies: below all keys, above them, or at one (the last `size` bytes).
    pub fn place(self, int: &BigInt) -> Place {
        if self.size <= 8
            && let Ok(small) = i64::try_from(int)
        {
            let offset = if self.signed { (1i128 << (self.size * 8 - 1)) - 1 } else { 0 };
            let moved = i128::from(small) + offset;
            return match moved {
                ..0 => Place::Below,
                _ if moved >> (self.size * 8) != 0 => Place::Above,
                _ => Place::In((moved as u128).to_be_bytes()),
            };
        }
        let moved = int + self.offset();
        if moved.sign() == num_bigint::Sign::Minus {
            return Place::Below;
        }
        match u128::try_from(&moved) {
            Ok(moved) if self.size == 16 || moved >> (self.size * 8) == 0 => Place::In(moved.to_be_bytes()),
            _ => Place::Above,
        }
    }

    fn decode(self, key: &[u8]) -> Option<BigInt> {
        (key.len() == self.size).then(|| BigInt::from_bytes_be(num_bigint::Sign::Plus, key) - self.offset())
    }
}

/// Where an integer lies among the keys of its type.
pub(crate) enum Place {
    Below,
    Above,
    In([u8; 16]),
}

/// An integer, or a truth value as one.
pub(crate) fn int_of(valu: &Value) -> Option<BigInt> {
    match valu {
        Value::Bool(flag) => Some(BigInt::from(u8::from(*flag))),
        valu => valu.to_bigint(),
    }
}

/// A number as a double.
pub(crate) fn float_of(valu: &Value) -> Option<f64> {
    match valu {
        Value::Float(float) => Some(*float),
        valu => int_of(valu).and_then(|int| num_traits::ToPrimitive::to_f64(&int)),
    }
}

/// The two items of a pair.
pub(crate) fn pair_of(valu: &Value) -> Option<(&Value, &Value)> {
    match valu.as_list()? {
        [one, two] => Some((one, two)),
        _ => None,
    }
}

/// The address as a number.
pub(crate) fn ipv6_of(valu: &Value) -> Option<u128> {
    // The zone of an address is no part of its key.
    let text = valu.as_str()?;
    let addr = text.split_once('%').map_or(text, |(addr, _)| addr);
    addr.parse::<Ipv6Addr>().ok().map(u128::from)
}

fn huge_offset() -> BigInt {
    (BigInt::from(1) << 159) - 1
}

/// `trunc(valu * 10^24 + 0x7fff…)` in 20 bytes. The sum is rounded to 49 digits, as decimals are everywhere.
pub(crate) fn huge_key(huge: &Decimal) -> Option<[u8; 20]> {
    let scaled = huge.mul(&Decimal::new(&BigInt::from(1), 24)).ok()?;
    let moved = scaled.add(&Decimal::new(&huge_offset(), 0)).ok()?.to_bigint()?;
    let (sign, byts) = moved.to_bytes_be();
    if sign == num_bigint::Sign::Minus || byts.len() > 20 {
        return None;
    }
    let mut key = [0; 20];
    key[20 - byts.len()..].copy_from_slice(&byts);
    Some(key)
}

/// A degree as five bytes, to the nearest unit, ties to even.
pub(crate) fn degrees(degrees: f64, space: i64) -> Option<[u8; 5]> {
    let scaled = (degrees * GEO_SCALE).round_ties_even();
    if !scaled.is_finite() || scaled.abs() > 1e15 {
        return None;
    }
    let moved = u64::try_from(scaled as i64 + space).ok()?;
    let byts = moved.to_be_bytes();
    (byts[..3] == [0, 0, 0]).then(|| [byts[3], byts[4], byts[5], byts[6], byts[7]])
}

/// A degree from its five bytes.
pub(crate) fn from_degrees(byts: &[u8], space: i64) -> f64 {
    let numb = byts.iter().fold(0i64, |numb, byte| numb << 8 | i64::from(*byte));
    (numb - space) as f64 / GEO_SCALE
}

fn text_of(stor: StorType, valu: &Value) -> Result<&[u8]> {
    valu.text_bytes().ok_or_else(|| no_key(stor, valu))
}

/// The key of text: itself, or its beginning and a hash.
pub(crate) fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    if text.len() <= TEXT_MAX {
        out.extend_from_slice(text);
        return;
    }
    out.extend_from_slice(&text[..TEXT_KEPT]);
    out.extend_from_slice(&xxh64(text).to_be_bytes());
}

/// Text with its code points in reverse order. Works on the bytes, since each code point begins at a leading byte.
pub(crate) fn reversed(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() {
        let mut out = text.to_vec();
        out.reverse();
        return out;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut end = text.len();
    for at in (0..text.len()).rev() {
        if text[at] & 0xc0 != 0x80 {
            out.extend_from_slice(&text[at..end]);
            end = at;
        }
    }
    out.extend_from_slice(&text[..end]);
    out
}

/// Bytes from an even number of hex digits.
pub(crate) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn hex_text(byts: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    byts.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

pub(crate) fn no_key(stor: StorType, valu: &Value) -> Error {
    let mesg = format!("A value of storage type {stor:?} cannot be indexed: {valu:?}");
    err!("BadTypeValu", mesg = mesg, valu = valu.clone(), stortype = stor)
}

fn no_such_type(stor: StorType) -> Error {
    err!("BadTypeValu", mesg = format!("There is no storage type {}.", stor.code()), stortype = stor)
}

/// The 64-bit xxHash with seed 0.
fn xxh64(byts: &[u8]) -> u64 {
    const P1: u64 = 0x9E37_79B1_85EB_CA87;
    const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
    const P3: u64 = 0x1656_67B1_9E37_79F9;
    const P4: u64 = 0x85EB_CA77_C2B2_AE63;
    const P5: u64 = 0x27D4_EB2F_1656_67C5;
    let round = |acc: u64, lane: u64| acc.wrapping_add(lane.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1);
    let lane = |byts: &[u8]| {
        let mut lane = [0; 8];
        lane[..byts.len()].copy_from_slice(byts);
        u64::from_le_bytes(lane)
    };
    let stripes = byts.chunks_exact(32);
    let tail = stripes.remainder();
    let mut hash = if byts.len() >= 32 {
        let mut acc = [P1.wrapping_add(P2), P2, 0, 0u64.wrapping_sub(P1)];
        for stripe in stripes {
            for (acc, part) in acc.iter_mut().zip(stripe.chunks_exact(8)) {
                *acc = round(*acc, lane(part));
            }
        }
        let turns = [1, 7, 12, 18];
        let sum = acc.iter().zip(turns).fold(0u64, |sum, (acc, turn)| sum.wrapping_add(acc.rotate_left(turn)));
        acc.iter().fold(sum, |hash, acc| (hash ^ round(0, *acc)).wrapping_mul(P1).wrapping_add(P4))
    } else {
        P5
    };
    hash = hash.wrapping_add(byts.len() as u64);
    let words = tail.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        hash = (hash ^ round(0, lane(word))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let halves = tail.chunks_exact(4);
    let tail = halves.remainder();
    for half in halves {
        hash = (hash ^ lane(half).wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
    }
    for byte in tail {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_keys_decode_to_what_was_encoded() {
        let ints = [0i64, 1, -1, 127, 128, 255, 256, -127, 32767, 4_294_967_295, i64::MAX, i64::MIN + 1];
        let text = [Value::from("vertex.link"), Value::from("x"), Value::from("us.ca")];
        let vals: Vec<Value> = ints.into_iter().map(Value::from).chain(text).collect();
        let big = Value::from(BigInt::from(u64::MAX));
        for stor in 1..30 {
            let stor = StorType(stor);
            for valu in vals.iter().chain([&big]) {
                let mut key = Vec::new();
                if encode_item(stor, valu, &mut key).is_ok()
                    && let Some(have) = decode_exact(stor, &key)
                {
                    assert_eq!(have, *valu, "{stor:?}");
                }
            }
        }
    }
    use crate::testing::{shared_lines, untag};

    #[test]
    fn keys_are_those_of_the_vectors() {
        let Some(lines) = shared_lines("spec/vectors/storage/index.jsonl") else { return };
        for line in lines {
            let stor = StorType(line["type"].as_u64().expect("type") as u16);
            let valu = untag(&line["valu"]);
            let mut keys = Vec::new();
            let mut scratch = Vec::new();
            let done = for_each_key(stor, &valu, &mut scratch, |key| {
                keys.push(hex_text(key));
                Ok(())
            });
            if line.get("err").is_some() {
                assert!(done.is_err(), "{line}");
                continue;
            }
            done.unwrap_or_else(|error| panic!("{line}: {error}"));
            let want: Vec<&str> =
                line["indx"].as_array().expect("indx").iter().filter_map(|key| key.as_str()).collect();
            assert_eq!(keys, want, "{}", line["valu"]);
        }
    }

    #[test]
    fn keys_decode_to_their_values() {
        for (stor, valu) in [
            (StorType::I64, Value::from(-42)),
            (StorType::U128, Value::from(BigInt::from(u128::MAX))),
            (StorType::FQDN, Value::from("vertex.link")),
            (StorType::LOC, Value::from("us.va")),
            (StorType::HUGENUM, Value::from("-1.5")),
            (StorType::IPV6, Value::from("fe80::1")),
            (StorType::IVAL, Value::list([Value::from(3), Value::from(9)])),
            (StorType::FLOAT64, Value::from(-2.5)),
        ] {
            let mut key = Vec::new();
            encode_item(stor, &valu, &mut key).expect("key");
            assert_eq!(decode_item(stor, &key), Some(valu));
        }
    }
}
