#![forbid(unsafe_code)]
//! What every service is: a directory, its configuration, users and permissions, the nexus log, tasks, a drive.
//!
//! A service builds on a [`Cell`] and adds its own slabs, handlers and methods. Nouns: [`Cell`] (the parts), [`Nexus`]
//! (every change is an event), [`Auth`] (users, roles, gates, rules), [`Boss`] (tasks), [`Conf`] (options).
//! Nothing here knows what a node is.

pub mod api;
pub mod archive;
pub mod auth;
mod backup;
mod boot;
pub mod boss;
pub mod cell;
mod clone;
pub mod conf;
pub mod drive;
mod events;
mod first;
mod hive;
mod host;
pub mod http;
mod joint;
pub mod log;
mod mirror;
pub mod nexus;
mod optimize;
mod peers;
mod provision;
mod register;
mod reload;
mod restore;
mod serve;
mod sysinfo;
mod verify;
pub mod version;

pub use api::CellApi;
pub use auth::{Auth, AuthGate, Role, Rule, User};
pub use boss::{Boss, Task};
pub use cell::{Cell, CellSpec};
pub use clone::copy_of;
pub use conf::Conf;
pub use drive::Drive;
pub use events::CellEvents;
pub use mirror::compare::{HasSum, SumsFunc};
pub use nexus::{ApplyCx, Event, NexsHandler, Nexus, NexusOffset, pack_entry};
pub use provision::provision;
pub use reload::ReloadFunc;
pub use restore::restore_from_env;
pub use serve::ApiMaker;
pub use verify::{verify_auth, verify_log};
