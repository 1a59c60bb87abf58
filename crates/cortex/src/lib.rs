#![forbid(unsafe_code)]
//! The Cortex service.

pub mod agenda;
