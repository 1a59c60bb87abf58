//! The two kinds of name that hashes and randomness give.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::{Value, msgpack};

/// Sixteen bytes that name a thing (a view, a user, a guid node), written as 32 lower-case hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Iden(pub [u8; 16]);

/// Thirty-two bytes that name a node: sha256 over the msgpack form of its (form, value).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Buid(pub [u8; 32]);

impl Iden {
    /// A random name.
    pub fn random() -> Iden {
        Iden(rand::random())
    }

    /// Reads 32 hex characters, upper or lower case.
    pub fn from_hex(text: &str) -> Option<Iden> {
        let mut byts = [0; 16];
        hex::decode_to_slice(text, &mut byts).ok()?;
        Some(Iden(byts))
    }

    /// The name as lower-case hex.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

/// Hashes a [`Buid`]: it is a hash already, so that a few multiplications spread it well enough.
#[derive(Clone, Copy, Default)]
pub struct BuidHasher(u64);

impl std::hash::Hasher for BuidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, byts: &[u8]) {
        for chunk in byts.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _len: usize) {}
}

/// For maps with buids as keys.
pub type BuidState = std::hash::BuildHasherDefault<BuidHasher>;

impl Buid {
    /// Reads 64 hex characters, upper or lower case.
    pub fn from_hex(text: &str) -> Option<Buid> {
        let mut byts = [0; 32];
        hex::decode_to_slice(text, &mut byts).ok()?;
        Some(Buid(byts))
    }

    /// Reads exactly 32 bytes.
    pub fn from_slice(byts: &[u8]) -> Option<Buid> {
        byts.try_into().ok().map(Buid)
    }

    /// The name as lower-case hex, which is how clients see a node's iden.
    pub fn to_hex(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    }
}

impl FromStr for Iden {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Iden, hex::FromHexError> {
        let mut byts = [0; 16];
        hex::decode_to_slice(text, &mut byts)?;
        Ok(Iden(byts))
    }
}

impl fmt::Display for Iden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Iden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iden({self})")
    }
}

impl fmt::Display for Buid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Buid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buid({self})")
    }
}

impl From<Iden> for Value {
    fn from(iden: Iden) -> Value {
        Value::from(iden.to_hex())
    }
}

/// A random guid as text.
pub fn rand_guid() -> String {
    Iden::random().to_hex()
}

/// The guid of a value: md5 over its msgpack bytes, as hex.
pub fn guid_of(valu: &Value) -> String {
    hex::encode(Md5::digest(msgpack::encode(valu)))
}

/// The buid of a value, usually a (form, value) pair.
pub fn buid_of(valu: &Value) -> Buid {
    Buid(Sha256::digest(msgpack::encode(valu)).into())
}

/// The buid of a node, without building the pair.
pub fn ndef_buid(form: &str, valu: &Value) -> Buid {
    let mut byts = Vec::with_capacity(64);
    byts.push(0x92);
    msgpack::write_str(&mut byts, form.as_bytes());
    msgpack::encode_into(&mut byts, valu);
    Buid(Sha256::digest(&byts).into())
}
