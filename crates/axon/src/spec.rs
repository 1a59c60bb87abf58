//! What kind of cell an axon is.

use myelin_cell::CellSpec;
use myelin_cell::conf::{ConfDef, Kind, Reach, def};
use myelin_telepath::SYN_VERSION;

const CONFS: &[ConfDef] = &[
    def(
        "max:bytes",
        Kind::Int(1, i64::MAX),
        "",
        Reach::Env,
        "No more files are taken when this many bytes are stored.",
    ),
    def("max:count", Kind::Int(1, i64::MAX), "", Reach::Env, "No more files are taken when this many are stored."),
    def("http:proxy", Kind::Str, "", Reach::Full, "The proxy that requests for URLs go through."),
    def("tls:ca:dir", Kind::Str, "", Reach::Full, "A directory of more authorities that web servers are trusted by."),
];

/// The kind of cell.
pub const SPEC: CellSpec =
    CellSpec { celltype: "axon", confs: CONFS, envprefixes: &["SYN_AXON"], version: SYN_VERSION };
