//! Storm libraries about the parts of a cortex, one file each.

pub(crate) mod auth;
pub mod fire;
mod fuse;
mod layer;
mod migration;
mod migrations;
mod model;
mod modelext;
mod queue;
mod records;
mod storm;
mod trigger;
mod util;
pub(crate) mod view;

use myelin_storm::Registry;

/// Puts every library of this crate into the registry.
pub fn register(registry: &mut Registry) {
    auth::register(registry);
    layer::register(registry);
    migration::register(registry);
    migrations::register(registry);
    model::register(registry);
    modelext::register(registry);
    queue::register(registry);
    records::register(registry);
    storm::register(registry);
    trigger::register(registry);
    view::register(registry);
}
