//! Text with lone surrogates.
//!
//! Python strings may hold code points U+D800 to U+DFFF; the platform sends and stores them in their three-byte form
//! (`ed a0 80` to `ed bf bf`), which is not UTF-8.

use std::fmt;

/// Text in the generalised UTF-8 of the wire, holding at least one lone surrogate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wtf8(Box<[u8]>);

impl Wtf8 {
    /// Checks bytes that are not UTF-8. `None` when anything but surrogates is wrong with them, or nothing is.
    pub fn from_bytes(bytes: &[u8]) -> Option<Wtf8> {
        let mut rest = bytes;
        let mut surrogates = 0;
        loop {
            match std::str::from_utf8(rest) {
                Ok(_) => break,
                Err(error) => {
                    let bad = &rest[error.valid_up_to()..];
                    let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = bad else { return None };
                    surrogates += 1;
                    rest = &bad[3..];
                }
            }
        }
        (surrogates > 0).then(|| Wtf8(bytes.into()))
    }

    /// The bytes as the wire has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text with every lone surrogate replaced by U+FFFD.
    pub fn to_string_lossy(&self) -> String {
        self.code_points().map(|code| char::from_u32(code).unwrap_or('\u{fffd}')).collect()
    }

    /// The code points, surrogates included.
    pub fn code_points(&self) -> impl Iterator<Item = u32> + '_ {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (code, size) = decode_one(rest)?;
            rest = &rest[size..];
            Some(code)
        })
    }
}

/// The first code point and its length. The bytes were checked when the text was made.
fn decode_one(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = u32::from(*bytes.first()?);
    let (mut code, size) = match first {
        0x00..=0x7f => return Some((first, 1)),
        0xc0..=0xdf => (first & 0x1f, 2),
        0xe0..=0xef => (first & 0x0f, 3),
        _ => (first & 0x07, 4),
    };
    for byte in bytes.get(1..size)? {
        code = (code << 6) | u32::from(byte & 0x3f);
    }
    Some((code, size))
}

impl fmt::Debug for Wtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for code in self.code_points() {
            match char::from_u32(code) {
                Some(valid) => write!(f, "{}", valid.escape_debug())?,
                None => write!(f, "\\u{code:04x}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_surrogates_are_forgiven() {
        assert!(Wtf8::from_bytes(b"plain").is_none());
        assert!(Wtf8::from_bytes(b"\xc3\x28").is_none());
        let text = Wtf8::from_bytes(b"a\xed\xb3\xbfb").expect("one lone surrogate");
        assert_eq!(text.code_points().collect::<Vec<_>>(), vec![0x61, 0xdcff, 0x62]);
    }
}
