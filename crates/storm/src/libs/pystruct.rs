//! Python's `struct`: packing numbers and bytes by a format string.
//!
//! Standard sizes without padding, little or big endian; no sign (or `@`) means the sizes of a 64 bit machine with its
//! alignment, which is what unpacking without a sign gives there.

use myelin_error::{Error, err};
use myelin_value::{BigInt, Value};

struct Item {
    code: char,
    count: Option<usize>,
    size: usize,
    align: usize,
}

struct Format {
    big: bool,
    items: Vec<Item>,
}

fn bad(mesg: impl Into<String>) -> Error {
    err!("BadArg", mesg = mesg.into())
}

/// Bytes of padding, text and so on a format may ask for.
const MAX_SIZE: usize = 1 << 30;

fn parse(fmt: &str) -> Result<Format, Error> {
    let mut chars = fmt.chars().peekable();
    let (mut big, mut native) = (false, true);
    if let Some(sign) = chars.peek().copied().filter(|sign| "<>=!@".contains(*sign)) {
        chars.next();
        big = matches!(sign, '>' | '!');
        native = sign == '@';
    }
    let mut items = Vec::new();
    let mut total = 0usize;
    while let Some(ch) = chars.next() {
        if ch.is_whitespace() {
            continue;
        }
        let (mut count, mut code) = (None, ch);
        if let Some(digit) = ch.to_digit(10) {
            let mut number = digit as usize;
            loop {
                match chars.next() {
                    None => return Err(bad("repeat count given without format specifier")),
                    Some(next) => match next.to_digit(10) {
                        Some(digit) => number = number.saturating_mul(10).saturating_add(digit as usize),
                        None => {
                            code = next;
                            break;
                        }
                    },
                }
            }
            count = Some(number);
        }
        let size = match code {
            'x' | 'c' | 'b' | 'B' | '?' | 's' | 'p' => 1,
            'h' | 'H' | 'e' => 2,
            'i' | 'I' | 'f' => 4,
            'l' | 'L' => {
                if native {
                    8
                } else {
                    4
                }
            }
            'q' | 'Q' | 'd' => 8,
            'n' | 'N' | 'P' if native => 8,
            _ => return Err(bad("bad char in struct format")),
        };
        total = total.saturating_add(size * count.unwrap_or(1).min(MAX_SIZE));
        if total > MAX_SIZE {
            return Err(bad("total struct size too long"));
        }
        items.push(Item { code, count, size, align: if native { size } else { 1 } });
    }
    Ok(Format { big, items })
}

fn padded(pos: usize, item: &Item) -> usize {
    pos.div_ceil(item.align.max(1)) * item.align.max(1)
}

fn total_size(format: &Format) -> usize {
    format.items.iter().fold(0, |pos, item| padded(pos, item) + item.size * item.count.unwrap_or(1))
}

/// How many values a format takes.
fn slots(format: &Format) -> usize {
    let of = |item: &Item| match item.code {
        'x' => 0,
        's' | 'p' => 1,
        _ => item.count.unwrap_or(1),
    };
    format.items.iter().map(of).sum()
}

/// `struct.pack`.
///
/// # Errors
/// `BadArg` for a bad format, values that do not fit, or the wrong number of them.
pub fn pack(fmt: &str, values: &[Value]) -> Result<Vec<u8>, Error> {
    let format = parse(fmt)?;
    let want = slots(&format);
    if want != values.len() {
        return Err(bad(format!("pack expected {want} items for packing (got {})", values.len())));
    }
    let mut values = values.iter();
    let mut out = Vec::with_capacity(total_size(&format));
    for item in &format.items {
        out.resize(padded(out.len(), item), 0);
        let count = item.count.unwrap_or(1);
        match item.code {
            'x' => out.resize(out.len() + count, 0),
            's' | 'p' => {
                let valu = values.next().and_then(Value::as_bytes);
                let Some(byts) = valu else { return Err(bad("argument for 's' must be a bytes object")) };
                pack_text(&mut out, byts, count, item.code == 'p');
            }
            _ => {
                for valu in values.by_ref().take(count) {
                    pack_one(&mut out, item, valu, format.big)?;
                }
            }
        }
    }
    Ok(out)
}

fn pack_text(out: &mut Vec<u8>, byts: &[u8], count: usize, pascal: bool) {
    let end = out.len() + count;
    if pascal && count > 0 {
        out.push(u8::try_from(byts.len().min(count - 1).min(255)).unwrap_or(255));
    }
    let room = end - out.len();
    out.extend_from_slice(&byts[..byts.len().min(room)]);
    out.resize(end, 0);
}

fn push(out: &mut Vec<u8>, mut byts: Vec<u8>, big: bool) {
    if big {
        byts.reverse();
    }
    out.extend_from_slice(&byts);
}

fn pack_one(out: &mut Vec<u8>, item: &Item, valu: &Value, big: bool) -> Result<(), Error> {
    match item.code {
        'c' => match valu.as_bytes() {
            Some([byte]) => out.push(*byte),
            _ => return Err(bad("char format requires a bytes object of length 1")),
        },
        '?' => out.push(u8::from(valu.is_truthy())),
        'e' | 'f' | 'd' => {
            let Some(float) = number(valu) else { return Err(bad("required argument is not a float")) };
            let byts = match item.code {
                'd' => float.to_le_bytes().to_vec(),
                #[expect(clippy::cast_possible_truncation, reason = "rounding is what the format asks for")]
                'f' => {
                    let short = float as f32;
                    if short.is_infinite() && float.is_finite() {
                        return Err(bad("float too large to pack with f format"));
                    }
                    short.to_le_bytes().to_vec()
                }
                _ => half(float).ok_or_else(|| bad("float too large to pack with e format"))?.to_le_bytes().to_vec(),
            };
            push(out, byts, big);
        }
        _ => {
            let int = match valu {
                Value::Bool(flag) => Some(BigInt::from(u8::from(*flag))),
                other => other.to_bigint(),
            };
            let Some(int) = int else { return Err(bad("required argument is not an integer")) };
            push(out, int_bytes(&int, item)?, big);
        }
    }
    Ok(())
}

fn number(valu: &Value) -> Option<f64> {
    match valu {
        Value::Float(float) => Some(*float),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        other => other.to_bigint().and_then(|int| int.to_string().parse().ok()),
    }
}

fn int_bytes(int: &BigInt, item: &Item) -> Result<Vec<u8>, Error> {
    let signed = item.code.is_ascii_lowercase();
    let range = |what: &str| bad(format!("'{}' format requires {what}", item.code));
    let bits = u32::try_from(item.size * 8).unwrap_or(64);
    let (low, high) = if signed {
        (-(BigInt::from(1) << (bits - 1)), (BigInt::from(1) << (bits - 1)) - 1)
    } else {
        (BigInt::from(0), (BigInt::from(1) << bits) - 1)
    };
    if *int < low || *int > high {
        return Err(range(&format!("{low} <= number <= {high}")));
    }
    let fill = if int.sign() == num_bigint::Sign::Minus { 0xff } else { 0 };
    let mut byts = int.to_signed_bytes_le();
    byts.resize(item.size, fill);
    Ok(byts)
}

/// A double as a half, rounding half to even; nothing when it is too large.
fn half(float: f64) -> Option<u16> {
    let sign = if float.is_sign_negative() { 0x8000 } else { 0 };
    let size = float.abs();
    if float.is_nan() {
        return Some(sign | 0x7e00);
    }
    if size.is_infinite() {
        return Some(sign | 0x7c00);
    }
    // Below the smallest normal number the step is 2^-24, above it 2^-10 of the power of two below.
    let power = if size < 2f64.powi(-14) { -14 } else { size.log2().floor() as i32 };
    let steps = round_even(size / 2f64.powi(power - 10));
    let bits = if size < 2f64.powi(-14) { steps } else { steps - 1024.0 + f64::from(power + 15) * 1024.0 };
    if bits >= 31744.0 {
        return None;
    }
    Some(sign | bits as u16)
}

fn round_even(valu: f64) -> f64 {
    let floor = valu.floor();
    let rest = valu - floor;
    if rest > 0.5 || (rest == 0.5 && floor % 2.0 != 0.0) { floor + 1.0 } else { floor }
}

fn from_half(bits: u16) -> f64 {
    let (exp, frac) = (i32::from((bits >> 10) & 31), f64::from(bits & 1023));
    let size = match exp {
        0 => frac * 2f64.powi(-24),
        31 if frac == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + frac) * 2f64.powi(exp - 25),
    };
    if bits & 0x8000 != 0 { -size } else { size }
}

/// `struct.unpack_from`.
///
/// # Errors
/// `BadArg` for a bad format or too few bytes.
pub fn unpack_from(fmt: &str, byts: &[u8], offset: i64) -> Result<Vec<Value>, Error> {
    let format = parse(fmt)?;
    let size = total_size(&format);
    let len = i64::try_from(byts.len()).unwrap_or(i64::MAX);
    let from = if offset < 0 { offset + len } else { offset };
    let from = usize::try_from(from).map_err(|_| bad(format!("offset {offset} out of range for {len}-byte buffer")))?;
    let Some(byts) = byts.get(from..).filter(|rest| rest.len() >= size) else {
        return Err(bad(format!(
            "unpack_from requires a buffer of at least {} bytes for unpacking {size} bytes at offset {from} \
             (actual buffer size is {len})",
            from.saturating_add(size)
        )));
    };
    let mut pos = 0;
    let mut retn = Vec::with_capacity(slots(&format));
    for item in &format.items {
        pos = padded(pos, item);
        let count = item.count.unwrap_or(1);
        match item.code {
            'x' => pos += count,
            's' => {
                retn.push(Value::from(&byts[pos..pos + count]));
                pos += count;
            }
            'p' => {
                let have = byts.get(pos).map_or(0, |size| usize::from(*size)).min(count.saturating_sub(1));
                let text: &[u8] = if count == 0 { &[] } else { &byts[pos + 1..pos + 1 + have] };
                retn.push(Value::from(text));
                pos += count;
            }
            _ => {
                for _ in 0..count {
                    retn.push(unpack_one(item, &byts[pos..pos + item.size], format.big));
                    pos += item.size;
                }
            }
        }
    }
    Ok(retn)
}

fn unpack_one(item: &Item, byts: &[u8], big: bool) -> Value {
    let mut raw = [0u8; 8];
    for (indx, byte) in byts.iter().enumerate() {
        raw[if big { byts.len() - 1 - indx } else { indx }] = *byte;
    }
    let bits = u64::from_le_bytes(raw);
    match item.code {
        'c' => Value::from(byts),
        '?' => Value::Bool(bits != 0),
        'd' => Value::Float(f64::from_bits(bits)),
        'f' => Value::Float(f64::from(f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]))),
        'e' => Value::Float(from_half(u16::from_le_bytes([raw[0], raw[1]]))),
        code if code.is_ascii_lowercase() => {
            let shift = 64 - 8 * item.size;
            Value::Int((bits << shift).cast_signed() >> shift)
        }
        _ => Value::from(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_and_back() {
        let values = [Value::from(1), Value::from(-2), Value::from(&b"ab"[..]), Value::Float(1.5), Value::Bool(true)];
        let byts = pack(">Hi3sd?", &values).expect("fits");
        assert_eq!(byts[..9], [0, 1, 255, 255, 255, 254, b'a', b'b', 0]);
        let back = unpack_from(">Hi3sd?", &byts, 0).expect("enough");
        assert_eq!(back[0], Value::from(1));
        assert_eq!(back[1], Value::from(-2));
        assert_eq!(back[2], Value::from(&b"ab\0"[..]));
        assert_eq!(back[3], Value::Float(1.5));
        assert_eq!(back[4], Value::Bool(true));
    }

    #[test]
    fn halves() {
        for (float, bits) in [(1.0, 0x3c00), (-2.0, 0xc000), (65504.0, 0x7bff), (5.960_464_477_539_063e-8, 1)] {
            assert_eq!(half(float), Some(bits));
            assert!((from_half(bits) - float).abs() < f64::EPSILON);
        }
        assert_eq!(half(70000.0), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(pack("<B", &[Value::from(256)]).is_err());
        assert!(pack("<b", &[Value::from(-129)]).is_err());
        assert!(pack("<B", &[]).is_err());
        assert!(pack("<z", &[]).is_err());
        assert!(unpack_from("<I", b"abc", 0).is_err());
        assert_eq!(unpack_from("<Q", &[255; 8], 0).expect("fits"), [Value::from(u64::MAX)]);
    }
}
