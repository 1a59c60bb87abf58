//! What kind of cell a document store is.

use myelin_cell::CellSpec;
use myelin_telepath::SYN_VERSION;

/// The kind of cell.
pub const SPEC: CellSpec = CellSpec {
    celltype: "jsonstorcell",
    confs: &[],
    envprefixes: &["SYN_JSONSTOR", "SYN_JSONSTORCELL"],
    version: SYN_VERSION,
};
