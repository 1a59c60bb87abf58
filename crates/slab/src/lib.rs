//! LMDB environments and the table shapes kept in them.
//!
//! Nouns: a [`Slab`] is one environment of a cell; a [`Table`] one of its databases; a [`ReadTxn`] a snapshot; the
//! [`Writer`] the one thread that writes to all slabs of a cell, and [`WriteCx`] what a closure on it works with. Both
//! kinds of transaction read through the trait [`Reads`]. [`tables`] has the shapes of the reference's tables.
//!
//! ```no_run
//! # use myelin_slab::*;
//! # fn main() -> myelin_error::Result<()> {
//! let writer = Writer::start("cell")?;
//! let slab = Slab::open(&writer, "cell.lmdb".as_ref(), Options::small())?;
//! let table = slab.table("auth", false)?;
//! writer.run(|cx| cx.put(table, b"key", b"value"))?;
//! assert_eq!(slab.read_fresh()?.get(table, b"key")?, Some(&b"value"[..]));
//! # Ok(()) }
//! ```
//!
//! This is the only crate with unsafe code: LMDB is a C library that hands out pointers into its map.
//! Nothing here knows of events, users or nodes.

mod check;
mod copy;
#[cfg(feature = "faults")]
pub mod faults;
mod findings;
mod job;
mod lmdb;
mod opts;
mod page;
mod scan;
mod slab;
mod system;
pub mod tables;
mod writer;

pub use check::{FileCheck, check_file};
pub use copy::SlabCopy;
pub use findings::{Findings, Progress, show};
pub use opts::{GIB, MIB, Options, opts_path};
pub use scan::{Iter, OwnedScan, RawTxn, Reads, Row, Scan, Table};
pub use slab::{CommitHook, FlushHook, ReadTxn, Slab};
pub use system::lock_exclusive;
pub use writer::{Faults, WriteCx, Writer, WriterConf};
