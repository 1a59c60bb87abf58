//! Checks and reports over the workspace.
fn main() {}
