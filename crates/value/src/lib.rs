#![forbid(unsafe_code)]
//! Values, and the bytes they become.
//!
//! Everything that crosses a wire, lies on a disk or is normalised by a type is a [`Value`]. The crate holds the value
//! itself, its [`msgpack`] form (one flavour for wire and disk), its [`json`] form, and the two names derived from
//! that form: [`Buid`] (sha256 of the msgpack bytes, names a node) and [`Iden`] (16 bytes, names everything else).
//!
//! Invariants:
//! - an integer that fits `i64` is always [`Value::Int`], never [`Value::Big`];
//! - text that is valid UTF-8 is always [`Value::Str`], never [`Value::Surrogates`];
//! - maps keep insertion order, because guids are hashes over it.
//!
//! Lists and tuples are one kind here: nothing on the wire or the disk tells them apart.
//! Storm's mutable lists, nodes and objects are deliberately not here; the runtime has its own item type.

mod iden;
pub mod json;
mod map;
pub mod msgpack;
mod value;
mod wtf8;

pub use iden::{Buid, BuidHasher, BuidState, Iden, buid_of, guid_of, ndef_buid, rand_guid};
pub use map::Map;
pub use num_bigint::BigInt;
pub use value::Value;
pub use wtf8::Wtf8;
