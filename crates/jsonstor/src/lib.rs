#![forbid(unsafe_code)]
//! The document store
