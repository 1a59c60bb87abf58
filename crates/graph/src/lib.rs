#![forbid(unsafe_code)]
//! Layers, views and node edits, in the reference's disk format.
//!
//! Nouns: a [`Layer`] stores what is known of nodes, in indexes that [`Lift`]s walk; a [`View`] reads a stack of layers as
//! one; a [`Node`] is a handle in a view; a [`NodeEdit`] says what to change.
//!
//! ```text
//! NodeEdits ──▶ View::save_edits ──▶ Layer::save_edits ── EditSink (the nexus) ──▶ Layer::apply_event (writer thread)
//! View::lift(Lift) ──▶ ViewLift (iterator over Nodes) ──▶ a walk of each layer's index, merged
//! ```
//!
//! Nothing here knows Storm, users or permissions: whoever plans edits can look at them before they are saved.

mod apply;
mod cache;
mod edit;
mod facts;
pub mod index;
mod layer;
mod lift;
mod node;
mod rows;
mod scan;
pub mod sode;
mod stor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod verify;
mod view;

pub use apply::{check_data_name, is_bare, validate};
pub use edit::{Edit, EditOp, NodeEdit, pack_edits, unpack_edits, write_edits};

pub use layer::{DATA_NAME_MAX, EditSink, LAYER_VERSION, Layer, WriteHook, Written};
pub use lift::{LayerLift, Lift, LiftBy, Stop};
pub use node::{Node, Seen, SeenTagProps, Sodes};
pub use rows::{RowWalk, RowsBy, TagWalk};
pub use sode::{Sode, SodeRef};
pub use stor::{SodeWalk, ValuWalk};
pub use verify::{verify_layer, verify_replay};
pub use view::{EdgeRow, EdgeWalk, Layers, View, ViewLift};
