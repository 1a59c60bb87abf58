//! Storm libraries about the parts of a cortex that reach outside or keep things for users: files, documents, vaults,
//! HTTP endpoints, jobs, background queries, other services.

mod aha;
mod axon;
mod backup;
mod cell;
mod cron;
mod dmon;
mod feed;
pub mod hotfix;
mod http;
mod http_socket;
mod httpapi;
pub mod jsonstor;
mod oauth;
pub mod project;
pub mod quorum;
mod service;
mod vault;

use std::sync::Arc;

use myelin_cell::User;
use myelin_error::err;
use myelin_storm::item::StormObj;
use myelin_storm::{Flow, Item, Registry, Rt};
use myelin_value::Value;

use crate::Cortex;
use crate::host::QueryUser;

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    aha::register(registry);
    axon::register(registry);
    backup::register(registry);
    feed::register(registry);
    cell::register(registry);
    cron::register(registry);
    dmon::register(registry);
    service::register(registry);
    http::register(registry);
    httpapi::register(registry);
    jsonstor::register(registry);
    oauth::register(registry);
    project::register(registry);
    quorum::register(registry);
    vault::register(registry);
}

/// The cortex that a query runs in.
fn core(rt: &Rt) -> Flow<&Cortex> {
    rt.host_as::<Cortex>()
}

/// The user on whose behalf a query runs.
fn user(rt: &Rt) -> Flow<User> {
    match rt.user().as_any().downcast_ref::<QueryUser>() {
        Some(user) => Ok(user.0.clone()),
        None => Ok(core(rt)?.cell.auth().root()?),
    }
}

/// The object that a method belongs to.
fn this<T: StormObj>(item: &Item) -> Flow<&T> {
    match item.as_obj::<T>() {
        Some(obj) => Ok(obj),
        None => Err(err!("StormRuntimeError", mesg = "A method was called on an object of another kind.").into()),
    }
}

/// A key of an object as text.
fn name_of(rt: &Rt, name: &Item) -> Flow<Arc<str>> {
    name.tostr(rt)
}

/// Data that a query may change as it likes, without changing where it came from.
fn data(valu: impl Into<Value>) -> Item {
    Item::deep(&valu.into())
}
