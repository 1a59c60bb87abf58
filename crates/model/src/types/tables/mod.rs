//! Facts in tables.

pub mod digits;
pub mod phones;
pub mod services;
