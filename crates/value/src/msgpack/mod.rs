//! The msgpack flavour of the wire and the disk.
//!
//! Integers take their shortest form; those past 64 bits are ext type 0 (unsigned, minimal) and 1 (two's complement,
//! `bits / 8 + 1` bytes of the magnitude's bit length, which is not always minimal and is hashed over, so it is kept).
//! Floats are always 64 bits. Text passes lone surrogates in their three-byte form. Maps keep their order.
//! Decoding accepts any legal width and float32; any other ext type is an error.
//!
//! Depth and size are bounded: [`MAX_DEPTH`] nested containers, and a stream refuses frames past its own limit.

mod decode;
mod encode;
mod reader;

pub use decode::{Decoder, decode, decode_prefix};
pub use encode::{
    encode, encode_into, write_array_len, write_bytes, write_f64, write_i64, write_map_len, write_str, write_u64,
};
pub use reader::{Kind, Reader};

/// How many containers may nest. The reference's codec stops at about the same place.
pub const MAX_DEPTH: usize = 512;

/// The largest frame a stream accepts unless told otherwise: what the reference's own buffer accepts.
pub const MAX_FRAME: usize = u32::MAX as usize;

/// What was wrong with bytes that are not msgpack, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What was wrong.
    pub what: What,
    /// Offset of the byte at which it was noticed.
    pub offset: usize,
}

/// The kinds of damage a decoder meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The bytes end inside a value.
    Truncated,
    /// Bytes are left after the value.
    Trailing,
    /// A byte that starts no value.
    BadMarker(u8),
    /// An ext type that the platform does not use.
    BadExt(i8),
    /// Text that is not UTF-8, lone surrogates aside.
    BadText,
    /// More than [`MAX_DEPTH`] nested containers.
    TooDeep,
    /// A frame beyond the stream's limit.
    TooLarge(usize),
    /// A value of another kind than the caller asked for.
    Unexpected(&'static str),
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.what {
            What::Truncated => write!(f, "the bytes end inside a value")?,
            What::Trailing => write!(f, "bytes are left after the value")?,
            What::BadMarker(byte) => write!(f, "no value starts with byte {byte:#04x}")?,
            What::BadExt(code) => write!(f, "ext type {code} is not in use")?,
            What::BadText => write!(f, "text is not UTF-8")?,
            What::TooDeep => write!(f, "more than {MAX_DEPTH} containers nest")?,
            What::TooLarge(limit) => write!(f, "a frame is larger than {limit} bytes")?,
            What::Unexpected(kind) => write!(f, "expected {kind}")?,
        }
        write!(f, " (at offset {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}
