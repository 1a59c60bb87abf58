//! As much of DER and PEM as keys need.

use base64::Engine as _;
use num_bigint::BigUint;

/// A reader over DER values.
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The next value: tag and content.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (size, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return None;
            }
            (rest[..count].iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), &rest[count..])
        };
        if rest.len() < size {
            return None;
        }
        self.0 = &rest[size..];
        Some((*tag, &rest[..size]))
    }

    /// The content of the next value, which must have a tag.
    pub fn get(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        let found = self.next().filter(|(have, _)| *have == tag).map(|(_, body)| body);
        if found.is_none() {
            self.0 = before;
        }
        found
    }

    /// The next value as a sequence.
    pub fn seq(&mut self) -> Option<Der<'a>> {
        self.get(0x30).map(Der)
    }

    /// The next value as an integer without sign.
    pub fn int(&mut self) -> Option<BigUint> {
        self.get(0x02).map(BigUint::from_bytes_be)
    }
}

/// A value with its tag and size.
pub fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let size = body.len();
    if size < 0x80 {
        out.push(u8::try_from(size).unwrap_or(0));
    } else {
        let byts: Vec<u8> = size.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(byts.len()).unwrap_or(0));
        out.extend(byts);
    }
    out.extend_from_slice(body);
    out
}

/// A sequence of values that are encoded already.
pub fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// An integer without sign.
pub fn int(valu: &BigUint) -> Vec<u8> {
    let mut byts = valu.to_bytes_be();
    if byts.first().is_some_and(|byte| *byte >= 0x80) {
        byts.insert(0, 0);
    }
    tlv(0x02, &byts)
}

/// Bytes as a PEM block.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).unwrap_or_default());
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The first PEM block of a text: its label and bytes.
pub fn from_pem(byts: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = std::str::from_utf8(byts).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|ch| !ch.is_whitespace()).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
    Some((label.to_owned(), der))
}
