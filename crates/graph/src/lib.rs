#![forbid(unsafe_code)]
//! Layers, views and node edits over the slabs
