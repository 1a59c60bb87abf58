//! Values to bytes. Encoding cannot fail: every [`Value`] has a form.

use num_bigint::{BigInt, Sign};

use crate::Value;

/// The bytes of a value.
pub fn encode(valu: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    encode_into(&mut out, valu);
    out
}

/// Appends the bytes of a value.
pub fn encode_into(out: &mut Vec<u8>, valu: &Value) {
    match valu {
        Value::Null => out.push(0xc0),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Int(valu) => write_i64(out, *valu),
        Value::Big(valu) => write_big(out, valu),
        Value::Float(valu) => write_f64(out, *valu),
        Value::Str(text) => write_str(out, text.as_bytes()),
        Value::Surrogates(text) => write_str(out, text.as_bytes()),
        Value::Bytes(byts) => write_bytes(out, byts),
        Value::List(items) => {
            write_array_len(out, items.len());
            for item in items.iter() {
                encode_into(out, item);
            }
        }
        Value::Map(map) => {
            write_map_len(out, map.len());
            for (key, valu) in map.iter() {
                encode_into(out, key);
                encode_into(out, valu);
            }
        }
    }
}

/// Appends a signed integer in its shortest form.
pub fn write_i64(out: &mut Vec<u8>, valu: i64) {
    match valu {
        0.. => write_u64(out, valu.unsigned_abs()),
        -32..=-1 => out.push(valu as i8 as u8),
        -128..=-33 => out.extend([0xd0, valu as i8 as u8]),
        -0x8000..=-129 => {
            out.push(0xd1);
            out.extend((valu as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend((valu as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(valu.to_be_bytes());
        }
    }
}

/// Appends an unsigned integer in its shortest form.
pub fn write_u64(out: &mut Vec<u8>, valu: u64) {
    match valu {
        0..=0x7f => out.push(valu as u8),
        0x80..=0xff => out.extend([0xcc, valu as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((valu as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((valu as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend(valu.to_be_bytes());
        }
    }
}

/// Appends a double.
pub fn write_f64(out: &mut Vec<u8>, valu: f64) {
    out.push(0xcb);
    out.extend(valu.to_bits().to_be_bytes());
}

/// Appends text given as its wire bytes.
pub fn write_str(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        size @ 0..=31 => out.push(0xa0 | size as u8),
        size @ 32..=0xff => out.extend([0xd9, size as u8]),
        size => write_len(out, 0xda, 0xdb, size),
    }
    out.extend_from_slice(text);
}

/// Appends bytes.
pub fn write_bytes(out: &mut Vec<u8>, byts: &[u8]) {
    match byts.len() {
        size @ 0..=0xff => out.extend([0xc4, size as u8]),
        size => write_len(out, 0xc5, 0xc6, size),
    }
    out.extend_from_slice(byts);
}

/// Appends the head of an array of so many items.
pub fn write_array_len(out: &mut Vec<u8>, size: usize) {
    match size {
        0..=15 => out.push(0x90 | size as u8),
        _ => write_len(out, 0xdc, 0xdd, size),
    }
}

/// Appends the head of a map of so many entries.
pub fn write_map_len(out: &mut Vec<u8>, size: usize) {
    match size {
        0..=15 => out.push(0x80 | size as u8),
        _ => write_len(out, 0xde, 0xdf, size),
    }
}

fn write_len(out: &mut Vec<u8>, short: u8, long: u8, size: usize) {
    if let Ok(size) = u16::try_from(size) {
        out.push(short);
        out.extend(size.to_be_bytes());
    } else {
        // Four gigabytes in one value cannot be framed; memory limits refuse such a value long before.
        let size = u32::try_from(size).expect("a value is smaller than 4 GiB");
        out.push(long);
        out.extend(size.to_be_bytes());
    }
}

fn write_big(out: &mut Vec<u8>, valu: &BigInt) {
    if let Ok(small) = u64::try_from(valu) {
        return write_u64(out, small);
    }
    match valu.sign() {
        Sign::Minus => {
            // The length rule looks at the magnitude, so -2^71 takes ten bytes although nine would do.
            let size = usize::try_from(valu.bits() / 8 + 1).expect("an integer in memory");
            let minimal = valu.to_signed_bytes_be();
            write_ext_head(out, 1, size);
            out.extend(std::iter::repeat_n(0xff, size.saturating_sub(minimal.len())));
            out.extend(minimal);
        }
        _ => {
            let (_, byts) = valu.to_bytes_be();
            write_ext_head(out, 0, byts.len());
            out.extend(byts);
        }
    }
}

fn write_ext_head(out: &mut Vec<u8>, code: u8, size: usize) {
    match size {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        0..=0xff => out.extend([0xc7, size as u8]),
        _ => write_len(out, 0xc8, 0xc9, size),
    }
    out.push(code);
}
