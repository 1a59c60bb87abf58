#![forbid(unsafe_code)]
//! AHA: which services there are and where, who they are (certificates), and how new ones join.
//!
//! [`Aha`] is the service's parts, [`start`] runs it. Names are in [`names`], what is stored in [`store`], who watches
//! pools in [`pools`], what a new service is told in [`prov`], the one-time keys in [`keys`].

mod aha;
pub mod api;
pub mod failover;
mod http;
mod keys;
pub mod names;
pub mod peers;
pub mod pools;
pub mod prov;
pub mod service;
pub mod store;

pub use aha::{Aha, Key};
pub use keys::call_names as key_call_names;
pub use service::{SPEC, Service, start};
