//! Bytes to values, whole or as a stream of frames.

use num_bigint::{BigInt, Sign};

use super::reader::{Head, Reader};
use super::{DecodeError, MAX_DEPTH, MAX_FRAME, What};
use crate::{Map, Value};

/// Decodes bytes that hold exactly one value.
///
/// # Errors
/// Says what is wrong and where; see [`DecodeError`].
pub fn decode(byts: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(byts);
    let valu = read_value(&mut reader, 0)?;
    if !reader.is_end() {
        return reader.fail(What::Trailing);
    }
    Ok(valu)
}

/// Decodes the value at the start of the bytes, and says how many of them it took.
///
/// # Errors
/// As [`decode`]; bytes after the value are none.
pub fn decode_prefix(byts: &[u8]) -> Result<(Value, usize), DecodeError> {
    let mut reader = Reader::new(byts);
    let valu = read_value(&mut reader, 0)?;
    Ok((valu, reader.offset()))
}

impl Reader<'_> {
    /// Decodes the next value.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        read_value(self, 0)
    }
}

fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<Value, DecodeError> {
    if depth > MAX_DEPTH {
        return reader.fail(What::TooDeep);
    }
    Ok(match reader.head()? {
        Head::Nil => Value::Null,
        Head::Bool(valu) => Value::Bool(valu),
        Head::Int(valu) => Value::Int(valu),
        Head::Uint(valu) => Value::from(valu),
        Head::Float(valu) => Value::Float(valu),
        Head::Str(size) => {
            let offset = reader.offset();
            let text = reader.take(size)?;
            Value::from_wtf8(text).ok_or(DecodeError { what: What::BadText, offset })?
        }
        Head::Bin(size) => Value::from(reader.take(size)?),
        Head::Ext(code, size) => read_big(reader, code, size)?,
        Head::Array(size) => {
            // The count is from outside: reserve no more than the bytes that are there could hold.
            let mut items = Vec::with_capacity(size.min(reader.rest().len()));
            for _ in 0..size {
                items.push(read_value(reader, depth + 1)?);
            }
            Value::from(items)
        }
        Head::Map(size) => {
            let mut map = Map::with_capacity(size.min(reader.rest().len() / 2));
            for _ in 0..size {
                let key = read_value(reader, depth + 1)?;
                let valu = read_value(reader, depth + 1)?;
                map.insert(key, valu);
            }
            Value::from(map)
        }
    })
}

fn read_big(reader: &mut Reader<'_>, code: i8, size: usize) -> Result<Value, DecodeError> {
    match code {
        0 => Ok(Value::from(BigInt::from_bytes_be(Sign::Plus, reader.take(size)?))),
        1 => Ok(Value::from(BigInt::from_signed_bytes_be(reader.take(size)?))),
        _ => reader.fail(What::BadExt(code)),
    }
}

/// A buffer beyond this is given back once it is empty: a link that carried one large frame may then idle for hours.
const KEPT: usize = 1 << 20;

/// A stream of values: bytes go in as they come, whole values come out.
///
/// The walk over an incomplete value is kept between feeds, so that a large frame in small pieces costs linear and not
/// quadratic time.
#[derive(Debug)]
pub struct Decoder {
    buff: Vec<u8>,
    /// Where the current frame starts.
    start: usize,
    /// How far into the current frame the walk has come.
    walked: usize,
    /// How many values of the current frame the walk has still to pass.
    left: usize,
    max_frame: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new(MAX_FRAME)
    }
}

impl Decoder {
    /// A stream that refuses frames of more than so many bytes.
    pub fn new(max_frame: usize) -> Decoder {
        Decoder { buff: Vec::new(), start: 0, walked: 0, left: 1, max_frame }
    }

    /// Takes in bytes as they came.
    pub fn feed(&mut self, byts: &[u8]) {
        if self.start > 0 && self.start == self.buff.len() {
            self.buff.clear();
            self.start = 0;
        } else if self.start > self.buff.len() / 2 {
            self.buff.drain(..self.start);
            self.start = 0;
        }
        self.buff.extend_from_slice(byts);
    }

    /// How many bytes wait for the rest of their value.
    pub fn pending(&self) -> usize {
        self.buff.len() - self.start
    }

    /// The next whole value with its size in bytes, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// The stream is broken and must be closed: see [`DecodeError`].
    pub fn next_value(&mut self) -> Result<Option<(Value, usize)>, DecodeError> {
        let whole = self.walk()?;
        if self.walked > self.max_frame || (!whole && self.pending() > self.max_frame) {
            return Err(DecodeError { what: What::TooLarge(self.max_frame), offset: 0 });
        }
        if !whole {
            return Ok(None);
        }
        let size = self.walked;
        let valu = decode(&self.buff[self.start..self.start + size])?;
        self.start += size;
        self.walked = 0;
        self.left = 1;
        if self.start == self.buff.len() && self.buff.capacity() > KEPT {
            self.buff = Vec::new();
            self.start = 0;
        }
        Ok(Some((valu, size)))
    }

    /// Walks on over the current frame; true when its end is there.
    fn walk(&mut self) -> Result<bool, DecodeError> {
        let mut reader = Reader::new(&self.buff[self.start + self.walked..]);
        while self.left > 0 {
            match reader.pass_one() {
                Ok(inside) => {
                    self.left = self.left - 1 + inside;
                }
                Err(DecodeError { what: What::Truncated, .. }) => break,
                Err(error) => return Err(error),
            }
        }
        self.walked += reader.offset();
        Ok(self.left == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msgpack::encode;

    #[test]
    fn frames_come_whole_from_any_pieces() {
        let valu = Value::list([Value::from("x".repeat(70_000)), Value::from(Map::new().with("k", 1)), Value::Null]);
        let mut byts = encode(&valu);
        byts.extend(encode(&Value::from(7)));
        for piece in [1, 3, 1000, byts.len()] {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for part in byts.chunks(piece) {
                decoder.feed(part);
                while let Some((valu, _)) = decoder.next_value().expect("sound bytes") {
                    got.push(valu);
                }
            }
            assert_eq!(got, vec![valu.clone(), Value::from(7)], "pieces of {piece}");
            assert_eq!(decoder.pending(), 0);
        }
    }

    #[test]
    fn bounds_are_kept() {
        let deep = [vec![0x91; MAX_DEPTH + 2], vec![0xc0]].concat();
        assert_eq!(decode(&deep).expect_err("too deep").what, What::TooDeep);
        let mut decoder = Decoder::new(16);
        decoder.feed(&encode(&Value::from("x".repeat(40))));
        assert_eq!(decoder.next_value().expect_err("too large").what, What::TooLarge(16));
        // An array that claims four billion items and has none must not reserve room for them.
        assert_eq!(decode(&[0xdd, 0xff, 0xff, 0xff, 0xff]).expect_err("truncated").what, What::Truncated);
    }
}
