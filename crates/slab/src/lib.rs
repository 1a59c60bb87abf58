#![deny(unsafe_code)]
//! LMDB environments and the table shapes kept in them
