#![forbid(unsafe_code)]
//! The blob store
