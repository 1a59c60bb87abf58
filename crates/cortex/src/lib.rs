#![forbid(unsafe_code)]
//! The Cortex service
