//! The little DER that certificates need: writing nested values, and walking over what others wrote.

/// Universal tags.
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OID: u8 = 0x06;
pub const ENUMERATED: u8 = 0x0a;
pub const UTF8_STRING: u8 = 0x0c;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const BMP_STRING: u8 = 0x1e;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// A value with its tag and length.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let size = content.len();
    if size < 0x80 {
        out.push(size as u8);
    } else {
        let byts = size.to_be_bytes();
        let skip = byts.iter().take_while(|byt| **byt == 0).count();
        out.push(0x80 | (byts.len() - skip) as u8);
        out.extend_from_slice(&byts[skip..]);
    }
    out.extend_from_slice(content);
    out
}

/// A constructed value of the given parts.
pub fn cons(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// A sequence of the given parts.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    cons(SEQUENCE, parts)
}

/// A non-negative integer from its big-endian bytes.
pub fn uint(byts: &[u8]) -> Vec<u8> {
    let skip = byts.iter().take_while(|byt| **byt == 0).count();
    let byts = &byts[skip.min(byts.len().saturating_sub(1))..];
    let mut content = Vec::with_capacity(byts.len() + 1);
    if byts.first().is_none_or(|byt| byt & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(byts);
    tlv(INTEGER, &content)
}

/// An object identifier from its encoded content.
pub fn oid(content: &[u8]) -> Vec<u8> {
    tlv(OID, content)
}

/// A bit string without unused bits.
pub fn bits(content: &[u8]) -> Vec<u8> {
    cons(BIT_STRING, &[&[0], content])
}

/// One value of a buffer, and what follows it.
pub struct Tlv<'a> {
    /// The tag byte.
    pub tag: u8,
    /// The content.
    pub content: &'a [u8],
    /// What follows.
    pub rest: &'a [u8],
}

/// Reads one value. `None` when the bytes are no DER.
pub fn read(byts: &[u8]) -> Option<Tlv<'_>> {
    let (tag, first) = (*byts.first()?, *byts.get(1)?);
    let (size, head) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let size = byts.get(2..2 + count)?.iter().fold(0usize, |size, byt| size << 8 | usize::from(*byt));
        (size, 2 + count)
    };
    let end = head.checked_add(size)?;
    Some(Tlv { tag, content: byts.get(head..end)?, rest: &byts[end..] })
}

/// The values inside a buffer, in order; stops at damage.
pub fn walk(mut byts: &[u8]) -> impl Iterator<Item = Tlv<'_>> {
    std::iter::from_fn(move || {
        let item = read(byts)?;
        byts = item.rest;
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(uint(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(uint(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(uint(&[0, 0]), [2, 1, 0]);
        assert_eq!(uint(&[]), [2, 1, 0]);
    }

    #[test]
    fn lengths_round_trip() {
        for size in [0, 127, 128, 255, 256, 70_000] {
            let byts = tlv(OCTET_STRING, &vec![7; size]);
            let item = read(&byts).unwrap();
            assert_eq!((item.tag, item.content.len(), item.rest.len()), (OCTET_STRING, size, 0));
        }
        assert!(read(&[4, 0x85, 1, 1, 1, 1, 1]).is_none());
        assert!(read(&[4, 5, 1]).is_none());
    }
}
