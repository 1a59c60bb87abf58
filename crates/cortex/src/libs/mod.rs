//! Storm libraries about the parts of a cortex, one file each.

mod auth;
pub mod fire;
mod layer;
mod queue;
mod trigger;
mod util;
mod view;

use myelin_storm::Registry;

/// Puts every library of this crate into the registry.
pub fn register(registry: &mut Registry) {
    auth::register(registry);
    layer::register(registry);
    queue::register(registry);
    trigger::register(registry);
    view::register(registry);
}
