//! Storm libraries about the parts of a cortex, one file each.

pub mod fire;
mod layer;
mod trigger;
mod util;
mod view;

use myelin_storm::Registry;

/// Puts every library of this crate into the registry.
pub fn register(registry: &mut Registry) {
    layer::register(registry);
    trigger::register(registry);
    view::register(registry);
}
