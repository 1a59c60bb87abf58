//! Libraries: one file for each `$lib.x`, one line each in [`register`].

mod base;

use crate::registry::Registry;

/// Puts the libraries of this crate into the registry.
pub fn register(registry: &mut Registry) {
    base::register(registry);
}
