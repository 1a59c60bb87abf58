//! Storm libraries about the parts of a cortex, one file each; `util` holds what they share.

mod aha;
pub(crate) mod auth;
mod axon;
mod backup;
mod cell;
mod cron;
mod dmon;
mod feed;
pub mod fire;
mod fuse;
pub(crate) mod hotfix;
mod http;
mod http_socket;
mod httpapi;
pub(crate) mod jsonstor;
mod layer;
mod leftovers;
mod migration;
mod migrations;
mod model;
mod modelext;
mod oauth;
pub(crate) mod project;
mod queue;
pub(crate) mod quorum;
mod records;
mod service;
mod storm;
mod trigger;
mod util;
mod vault;
pub(crate) mod view;

use myelin_storm::Registry;

/// Puts every library of this crate into the registry.
pub fn register(registry: &mut Registry) {
    aha::register(registry);
    auth::register(registry);
    axon::register(registry);
    backup::register(registry);
    cell::register(registry);
    cron::register(registry);
    dmon::register(registry);
    feed::register(registry);
    http::register(registry);
    httpapi::register(registry);
    jsonstor::register(registry);
    layer::register(registry);
    leftovers::register(registry);
    migration::register(registry);
    migrations::register(registry);
    model::register(registry);
    modelext::register(registry);
    oauth::register(registry);
    project::register(registry);
    queue::register(registry);
    quorum::register(registry);
    records::register(registry);
    service::register(registry);
    storm::register(registry);
    trigger::register(registry);
    vault::register(registry);
    view::register(registry);
}
