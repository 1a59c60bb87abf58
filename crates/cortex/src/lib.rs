#![forbid(unsafe_code)]
//! The Cortex: the service that keeps the hypergraph and answers Storm.
//!
//! [`Cortex`] is a struct of parts, each with its file, its events and its tests: layers and views ([`stack`]), and one
//! module of [`parts`] for each kind of record (variables, queues, macros, packages, …). Nothing in the parts knows Storm;
//! queries reach them through the host that this crate gives to the runtime.

pub mod agenda;
pub mod api;
mod background;
pub mod cmds;
mod conf;
mod cortex;
mod feed;
pub mod follow;
pub mod host;
mod http;
mod info;
pub mod libs;
pub mod parts;
pub mod perms;
mod pipe;
pub mod queries;
mod runt;
mod schemas;
mod service;
pub mod stack;
mod sync;
pub mod version;
mod wait;

pub use api::CoreApi;
pub use cortex::{Cortex, SPEC};
pub use service::start;
