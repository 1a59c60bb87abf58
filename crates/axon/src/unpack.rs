//! Binary fields by a format string, in the notation of Python's `struct` module.

use myelin_error::{Error, Result, err};
use myelin_value::{BigInt, Value};

/// Bytes a format may ask for at most.
const MAX_SIZE: usize = 1 << 20;

/// A parsed format.
#[derive(Debug)]
pub struct Format {
    big: bool,
    items: Vec<Item>,
    size: usize,
}

#[derive(Debug)]
struct Item {
    code: u8,
    offs: usize,
    /// Bytes of one value; for `s` and `p` the bytes of the whole.
    size: usize,
}

fn bad(fmt: &str, why: &str) -> Error {
    err!("BadArg", mesg = format!("Failed to unpack bytes with format {fmt}: {why}"), fmt = fmt)
}

impl Format {
    /// Reads a format string.
    pub fn parse(fmt: &str) -> Result<Format> {
        let mut rest = fmt.as_bytes();
        let order = rest.first().copied().filter(|byte| b"@=<>!".contains(byte));
        if order.is_some() {
            rest = &rest[1..];
        }
        let native = matches!(order, None | Some(b'@'));
        let mut format = Format { big: matches!(order, Some(b'>' | b'!')), items: Vec::new(), size: 0 };
        let mut count: Option<usize> = None;
        for byte in rest.iter().copied() {
            match byte {
                b'0'..=b'9' => {
                    let numb =
                        count.unwrap_or(0).checked_mul(10).and_then(|numb| numb.checked_add(usize::from(byte - b'0')));
                    count = Some(numb.ok_or_else(|| bad(fmt, "a count is too large"))?);
                }
                _ if byte.is_ascii_whitespace() && count.is_none() => {}
                _ => format.add(fmt, byte, count.take(), native)?,
            }
        }
        if count.is_some() {
            return Err(bad(fmt, "a count without a format character"));
        }
        Ok(format)
    }

    fn add(&mut self, fmt: &str, code: u8, count: Option<usize>, native: bool) -> Result<()> {
        let unit = unit_size(code, native).ok_or_else(|| bad(fmt, "an unknown format character"))?;
        if native && !matches!(code, b'x' | b's' | b'p') {
            self.size = self.size.next_multiple_of(unit);
        }
        let count = count.unwrap_or(1);
        let (values, size) = match code {
            b's' | b'p' => (1, count),
            b'x' => (0, count),
            _ => (count, unit),
        };
        let total = if code == b'x' { count } else { values.saturating_mul(size) };
        let end = self.size.saturating_add(total);
        if end > MAX_SIZE {
            let mesg = format!("The format asks for more than {MAX_SIZE} bytes.");
            return Err(err!("BadArg", mesg = mesg, size = end));
        }
        let offs = self.size;
        self.items.extend((0..values).map(|indx| Item { code, offs: offs + indx * size, size }));
        self.size = end;
        Ok(())
    }

    /// How many bytes it reads.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The fields of exactly [`Format::size`] bytes.
    pub fn unpack(&self, byts: &[u8]) -> Result<Value> {
        if byts.len() != self.size {
            let mesg = format!("Expected {} bytes but got {} bytes", self.size, byts.len());
            return Err(err!("BadDataValu", mesg = mesg, expected = self.size, received = byts.len()));
        }
        Ok(self.items.iter().map(|item| self.field(item, &byts[item.offs..item.offs + item.size])).collect())
    }

    fn field(&self, item: &Item, byts: &[u8]) -> Value {
        let numb = if self.big {
            byts.iter().take(8).fold(0u64, |numb, byte| numb << 8 | u64::from(*byte))
        } else {
            byts.iter().take(8).rev().fold(0u64, |numb, byte| numb << 8 | u64::from(*byte))
        };
        match item.code {
            b'c' | b's' => byts.into(),
            b'p' => {
                let size = usize::from(byts.first().copied().unwrap_or(0)).min(byts.len().saturating_sub(1));
                byts.get(1..1 + size).unwrap_or_default().into()
            }
            b'?' => (numb != 0).into(),
            b'e' => half(numb as u16).into(),
            b'f' => f64::from(f32::from_bits(numb as u32)).into(),
            b'd' => f64::from_bits(numb).into(),
            b'b' | b'h' | b'i' | b'l' | b'q' | b'n' => {
                let shift = 64 - 8 * item.size as u32;
                (((numb << shift) as i64) >> shift).into()
            }
            _ => i64::try_from(numb).map_or_else(|_| BigInt::from(numb).into(), Value::from),
        }
    }
}

fn unit_size(code: u8, native: bool) -> Option<usize> {
    Some(match code {
        b'x' | b'c' | b'b' | b'B' | b'?' | b's' | b'p' => 1,
        b'h' | b'H' | b'e' => 2,
        b'i' | b'I' | b'f' => 4,
        b'l' | b'L' => {
            if native {
                8
            } else {
                4
            }
        }
        b'q' | b'Q' | b'd' => 8,
        b'n' | b'N' | b'P' if native => 8,
        _ => return None,
    })
}

/// A number of 16 bits: 1 of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let (exp, frac) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let valu = match exp {
        0 => frac * 2f64.powi(-24),
        31 if frac == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + frac / 1024.0) * 2f64.powi(exp - 15),
    };
    if bits >> 15 == 1 { -valu } else { valu }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_pythons_sizes() {
        for (fmt, size) in [
            ("<BH", 3),
            ("BH", 4),
            ("@bl", 16),
            ("=bl", 5),
            ("10s2x", 12),
            ("3h", 6),
            ("", 0),
            ("> I Q", 12),
            ("b0l", 8),
        ] {
            assert_eq!(Format::parse(fmt).expect(fmt).size(), size, "{fmt}");
        }
        for fmt in ["z", "3", "<n", "9999999999999999999999s", "2000000s"] {
            assert!(Format::parse(fmt).is_err_and(|error| error.is("BadArg")), "{fmt}");
        }
    }

    #[test]
    fn fields_are_read() {
        let unpack = |fmt: &str, byts: &[u8]| Format::parse(fmt).and_then(|format| format.unpack(byts));
        assert_eq!(
            unpack(">BhI", b"\x01\xff\xfe\x00\x00\x01\x00").expect("fields"),
            [1, -2, 256].into_iter().map(Value::from).collect()
        );
        assert_eq!(unpack("<Q", &[0xff; 8]).expect("fields"), Value::list([BigInt::from(u64::MAX).into()]));
        assert_eq!(unpack(">f", &1.5f32.to_be_bytes()).expect("fields"), Value::list([1.5.into()]));
        assert_eq!(unpack("<e", b"\x00\x3c").expect("fields"), Value::list([1.0.into()]));
        assert_eq!(
            unpack("2s3p?", b"ab\x01cd\x02").expect("fields"),
            Value::list([b"ab"[..].into(), b"c"[..].into(), true.into()])
        );
        assert!(unpack("<I", b"abc").is_err_and(|error| error.is("BadDataValu")));
    }
}
