#![forbid(unsafe_code)]
//! Service discovery, certificate signing and provisioning
