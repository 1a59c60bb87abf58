#![forbid(unsafe_code)]
//! Certificate authority, certificate directories and TLS contexts
