#![forbid(unsafe_code)]
//! The blob store: files by their SHA-256.
//!
//! [`Axon`] is the store itself, in a service of its own or inside a cortex; [`Upload`] takes a file in pieces. What a file
//! holds as text, rows or binary fields is read by [`lines`], [`csv`] and [`unpack`]. Who may read is decided by the API.

pub mod api;
mod axon;
mod blobs;
pub mod csv;
mod http;
pub mod lines;
pub mod routes;
pub mod service;
mod spec;
pub mod unpack;
mod upload;
mod verify;

pub use axon::{Axon, AxonConf, CHUNK_SIZE, HashSet, hex_of, req_sha256, sha256_of, stream_of};
pub use blobs::{Chunks, Sha256};
pub use http::{Request, far_names};
pub use service::{Service, start};
pub use spec::SPEC;
pub use upload::Upload;
pub use verify::verify_axon;
