//! The shapes of the reference's tables.
//!
//! | kind | key → value |
//! |---|---|
//! | [`SafeKeyVal`] | UTF-8 prefix + key → msgpack; nothing cached |
//! | [`SlabDict`] | prefix + UTF-8 key → msgpack; all in memory |
//! | [`GuidStor`] | 16 bytes + UTF-8 key → msgpack |
//! | [`SlabAbrv`] | bytes ↔ be64, never deleted; all in memory |
//! | [`SlabSeqn`] | be64 offset → msgpack |
//! | [`MultiSlabSeqn`] | the nexus log: one slab a segment |
//! | [`HotKeyVal`], [`HotCount`] | in memory, written at commit |
//! | [`MultiQueue`] | queues by name |
//! | [`Hist`] | be64 millis → msgpack, duplicates kept |
//! | [`SlabOffs`] | 16 bytes → be64 |
//! | [`StateSum`] | ours: one number for all that a slab holds |
//!
//! Every kind is a small handle: reads take a transaction (`&impl Reads`), writes the writer's context.

mod abrv;
mod hot;
mod keyval;
mod multiseqn;
mod queue;
mod seqn;
mod sum;

pub use abrv::{Abrv, SlabAbrv};
pub use hot::{HotCount, HotKeyVal};
pub use keyval::{GuidStor, RowFact, SafeKeyVal, SlabDict, SlabOffs};
pub use multiseqn::MultiSlabSeqn;
pub use queue::MultiQueue;
pub use seqn::{Hist, SlabSeqn};
pub use sum::{StateSum, fact, valu_fact};
