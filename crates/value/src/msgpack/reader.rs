//! A cursor over msgpack bytes that builds nothing.
//!
//! Storage nodes are read as slices of the memory map: a lift that wants one property must not decode the rest. The
//! reader walks heads, hands out text and bytes as slices, and skips whole values without a stack.

use super::{DecodeError, What};

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Nil,
    /// A truth value.
    Bool,
    /// An integer of at most 64 bits.
    Int,
    /// A double, or a float32.
    Float,
    /// Text.
    Str,
    /// Bytes.
    Bin,
    /// An array.
    Array,
    /// A map.
    Map,
    /// An ext value: an integer past 64 bits.
    Ext,
}

/// One decoded head: what follows, with sizes still to be read from the body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
    Ext(i8, usize),
}

/// A cursor over the bytes of one or more values.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    byts: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte.
    pub fn new(byts: &'a [u8]) -> Reader<'a> {
        Reader { byts, offset: 0 }
    }

    /// How far the cursor has come.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether nothing is left.
    pub fn is_end(&self) -> bool {
        self.offset == self.byts.len()
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        &self.byts[self.offset..]
    }

    pub(super) fn fail<T>(&self, what: What) -> Result<T, DecodeError> {
        Err(DecodeError { what, offset: self.offset })
    }

    /// The kind of the next value; the cursor stays.
    pub fn kind(&self) -> Result<Kind, DecodeError> {
        let Some(&marker) = self.byts.get(self.offset) else { return self.fail(What::Truncated) };
        Ok(match marker {
            0xc0 => Kind::Nil,
            0xc2 | 0xc3 => Kind::Bool,
            0x00..=0x7f | 0xe0..=0xff | 0xcc..=0xd3 => Kind::Int,
            0xca | 0xcb => Kind::Float,
            0xa0..=0xbf | 0xd9..=0xdb => Kind::Str,
            0xc4..=0xc6 => Kind::Bin,
            0x90..=0x9f | 0xdc | 0xdd => Kind::Array,
            0x80..=0x8f | 0xde | 0xdf => Kind::Map,
            0xc7..=0xc9 | 0xd4..=0xd8 => Kind::Ext,
            0xc1 => return self.fail(What::BadMarker(0xc1)),
        })
    }

    /// Takes so many bytes.
    #[inline]
    pub(super) fn take(&mut self, size: usize) -> Result<&'a [u8], DecodeError> {
        match self.byts.get(self.offset..).and_then(|rest| rest.get(..size)) {
            Some(part) => {
                self.offset += size;
                Ok(part)
            }
            None => self.fail(What::Truncated),
        }
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let part = self.take(N)?;
        let mut out = [0; N];
        out.copy_from_slice(part);
        Ok(out)
    }

    fn u8(&mut self) -> Result<usize, DecodeError> {
        Ok(usize::from(self.take_array::<1>()?[0]))
    }

    fn u16(&mut self) -> Result<usize, DecodeError> {
        Ok(usize::from(u16::from_be_bytes(self.take_array()?)))
    }

    fn u32(&mut self) -> Result<usize, DecodeError> {
        Ok(u32::from_be_bytes(self.take_array()?) as usize)
    }

    pub(super) fn head(&mut self) -> Result<Head, DecodeError> {
        let marker = self.take_array::<1>()?[0];
        Ok(match marker {
            0x00..=0x7f => Head::Int(i64::from(marker)),
            0xe0..=0xff => Head::Int(i64::from(marker as i8)),
            0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Str(usize::from(marker & 0x1f)),
            0xc0 => Head::Nil,
            0xc1 => {
                self.offset -= 1;
                return self.fail(What::BadMarker(marker));
            }
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Bin(self.u8()?),
            0xc5 => Head::Bin(self.u16()?),
            0xc6 => Head::Bin(self.u32()?),
            0xc7 => {
                let size = self.u8()?;
                self.ext_head(size)?
            }
            0xc8 => {
                let size = self.u16()?;
                self.ext_head(size)?
            }
            0xc9 => {
                let size = self.u32()?;
                self.ext_head(size)?
            }
            0xca => Head::Float(f64::from(f32::from_be_bytes(self.take_array()?))),
            0xcb => Head::Float(f64::from_be_bytes(self.take_array()?)),
            0xcc => Head::Int(i64::from(self.take_array::<1>()?[0])),
            0xcd => Head::Int(i64::from(u16::from_be_bytes(self.take_array()?))),
            0xce => Head::Int(i64::from(u32::from_be_bytes(self.take_array()?))),
            0xcf => Head::Uint(u64::from_be_bytes(self.take_array()?)),
            0xd0 => Head::Int(i64::from(i8::from_be_bytes(self.take_array()?))),
            0xd1 => Head::Int(i64::from(i16::from_be_bytes(self.take_array()?))),
            0xd2 => Head::Int(i64::from(i32::from_be_bytes(self.take_array()?))),
            0xd3 => Head::Int(i64::from_be_bytes(self.take_array()?)),
            0xd4 => self.ext_head(1)?,
            0xd5 => self.ext_head(2)?,
            0xd6 => self.ext_head(4)?,
            0xd7 => self.ext_head(8)?,
            0xd8 => self.ext_head(16)?,
            0xd9 => Head::Str(self.u8()?),
            0xda => Head::Str(self.u16()?),
            0xdb => Head::Str(self.u32()?),
            0xdc => Head::Array(self.u16()?),
            0xdd => Head::Array(self.u32()?),
            0xde => Head::Map(self.u16()?),
            0xdf => Head::Map(self.u32()?),
        })
    }

    fn ext_head(&mut self, size: usize) -> Result<Head, DecodeError> {
        let code = self.take_array::<1>()?[0] as i8;
        Ok(Head::Ext(code, size))
    }

    /// Reads the head of an array and returns how many items follow.
    pub fn array(&mut self) -> Result<usize, DecodeError> {
        self.expect("an array", |head| match head {
            Head::Array(size) => Some(size),
            _ => None,
        })
    }

    /// Reads the head of a map and returns how many entries follow.
    #[inline]
    pub fn map(&mut self) -> Result<usize, DecodeError> {
        if let Some(marker @ 0x80..=0x8f) = self.byts.get(self.offset) {
            self.offset += 1;
            return Ok(usize::from(marker & 0x0f));
        }
        self.expect("a map", |head| match head {
            Head::Map(size) => Some(size),
            _ => None,
        })
    }

    /// Reads text as its wire bytes (UTF-8, lone surrogates allowed; not checked here).
    #[inline]
    pub fn str_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        // Names are short: the size is in the first byte.
        if let Some((marker @ 0xa0..=0xbf, rest)) = self.byts.get(self.offset..).and_then(<[u8]>::split_first)
            && let Some(text) = rest.get(..usize::from(marker & 0x1f))
        {
            self.offset += 1 + text.len();
            return Ok(text);
        }
        let size = self.expect("text", |head| match head {
            Head::Str(size) => Some(size),
            _ => None,
        })?;
        self.take(size)
    }

    /// Reads text that must be UTF-8.
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let offset = self.offset;
        std::str::from_utf8(self.str_bytes()?).map_err(|_| DecodeError { what: What::BadText, offset })
    }

    /// Reads bytes.
    pub fn bin(&mut self) -> Result<&'a [u8], DecodeError> {
        let size = self.expect("bytes", |head| match head {
            Head::Bin(size) => Some(size),
            _ => None,
        })?;
        self.take(size)
    }

    /// Reads an integer that fits `i64`.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.expect("a 64-bit integer", |head| match head {
            Head::Int(valu) => Some(valu),
            Head::Uint(valu) => i64::try_from(valu).ok(),
            _ => None,
        })
    }

    /// Reads an integer that fits `u64`.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.expect("an unsigned 64-bit integer", |head| match head {
            Head::Int(valu) => u64::try_from(valu).ok(),
            Head::Uint(valu) => Some(valu),
            _ => None,
        })
    }

    /// Reads a null if the next value is one; the cursor stays otherwise.
    pub fn nil(&mut self) -> Result<bool, DecodeError> {
        let is = self.kind()? == Kind::Nil;
        if is {
            self.offset += 1;
        }
        Ok(is)
    }

    fn expect<T>(&mut self, kind: &'static str, pick: impl FnOnce(Head) -> Option<T>) -> Result<T, DecodeError> {
        let offset = self.offset;
        let head = self.head()?;
        pick(head).ok_or_else(|| {
            self.offset = offset;
            DecodeError { what: What::Unexpected(kind), offset }
        })
    }

    /// Passes over one whole value and returns its bytes.
    pub fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.offset;
        let mut left: usize = 1;
        while left > 0 {
            // Each item takes a byte at least, so a false count ends in `Truncated` and not in a long loop.
            left = left - 1 + self.pass_one()?;
        }
        Ok(&self.byts[start..self.offset])
    }

    /// Passes over one value, or over the head of a container; returns how many values the container holds. On an
    /// error the cursor stays where it was.
    #[inline]
    pub(super) fn pass_one(&mut self) -> Result<usize, DecodeError> {
        // What most values are: small, with the size in the first byte.
        let (size, holds) = match self.byts.get(self.offset) {
            Some(0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3) => (1, 0),
            Some(marker @ 0xa0..=0xbf) => (1 + usize::from(marker & 0x1f), 0),
            Some(marker @ 0x90..=0x9f) => (1, usize::from(marker & 0x0f)),
            Some(marker @ 0x80..=0x8f) => (1, usize::from(marker & 0x0f) * 2),
            Some(0xcc | 0xd0) => (2, 0),
            Some(0xcd | 0xd1) => (3, 0),
            Some(0xca | 0xce | 0xd2) => (5, 0),
            Some(0xcb | 0xcf | 0xd3) => (9, 0),
            _ => return self.pass_any(),
        };
        // Too short: the long way says so.
        if size > self.byts.len() - self.offset {
            return self.pass_any();
        }
        self.offset += size;
        Ok(holds)
    }

    fn pass_any(&mut self) -> Result<usize, DecodeError> {
        let start = self.offset;
        let passed = self.head().and_then(|head| match head {
            Head::Str(size) | Head::Bin(size) | Head::Ext(_, size) => self.take(size).map(|_| 0),
            Head::Array(size) => Ok(size),
            Head::Map(size) => Ok(size * 2),
            _ => Ok(0),
        });
        if passed.is_err() {
            self.offset = start;
        }
        passed
    }
}
