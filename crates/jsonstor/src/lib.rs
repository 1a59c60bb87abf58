#![forbid(unsafe_code)]
//! The document store: JSON objects by path with links and property paths, queues, notifications.
//!
//! [`JsonStor`] is the store itself, in a service of its own or inside a cortex. [`JsonObjs`] is its table of objects,
//! which the AHA service uses too. Who may read a path is decided by the API, not by the store.

pub mod api;
mod notifs;
mod objs;
pub mod path;
pub mod service;
mod spec;
mod store;
mod verify;

pub use notifs::Notifs;
pub use objs::JsonObjs;
pub use service::{Service, start};
pub use spec::SPEC;
pub use store::JsonStor;
pub use verify::verify_objs;
