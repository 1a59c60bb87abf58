#![forbid(unsafe_code)]
//! Base types, normalisation and the data model
