#![forbid(unsafe_code)]
//! The one binary.
fn main() {}
