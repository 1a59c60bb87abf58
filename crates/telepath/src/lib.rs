#![forbid(unsafe_code)]
//! Telepath, the platform's RPC: msgpack frames `[name, info]` over TCP, TLS or a unix socket.
//!
//! A service has one [`Dmon`] with listeners and shares. A peer logs in to a [`Share`] and gets an [`Api`] object, most
//! easily one made of a [`MethTable`]. A client opens a [`Proxy`] from a URL, or a [`Client`] that reconnects.
//!
//! Invariants:
//! - a link carries one call at a time, and its messages are handled in order;
//! - a slow or dead peer costs its own task and no other: nothing is queued for it beyond the socket's buffer;
//! - a session ends with the connection that made it, and everything shared in it with it;
//! - after an error in a stream no end marker follows;
//! - nothing is sent before the [`gate`]s are passed.
//!
//! Who may log in is decided by the share (the cell crate), not here.

pub mod aha;
mod api;
mod client;
mod connect;
mod dmon;
pub mod env;
pub mod gate;
mod link;
mod meth;
mod proxy;
mod serve;
mod session;
mod unixpath;
pub mod url;
pub mod yaml;

pub use api::{Api, AuthInfo, CallCx, IntoReply, LoginCx, Reply, SYN_VERSION, Share, TableApi, ValueStream, sharinfo};
pub use client::{Client, OnLink, PROXY_TIMEOUT};
pub use dmon::{Bound, DEFAULT_PORT, Dmon, DmonConf};
pub use link::{BoxStream, Family, LinkInfo, LinkRx, LinkTx, mesg, split};
pub use meth::{Args, MethTable, no_such_meth};
pub use proxy::{Answer, Genr, Proxy, RemoteShare, Todo};
pub use session::Session;
pub use url::UrlInfo;

use myelin_value::Value;

/// The protocol version spoken.
pub const TELEVERS: [i64; 2] = [3, 0];

pub(crate) fn televers() -> Value {
    Value::from(TELEVERS)
}
