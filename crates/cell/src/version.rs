//! The versions this build states, and the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use myelin_value::Value;

/// The version of the platform whose storage, wire and language this build has.
pub const VERSION: [i64; 3] = [2, 256, 0];
/// The same as text.
pub const VERSTRING: &str = "2.256.0";
/// The version of the nexus events' behaviour.
pub const NEXUS_VERSION: (i64, i64) = (2, 243);
/// The version of Myelin itself.
pub const MYELIN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit the build was made from; empty when that is not known.
pub fn commit() -> &'static str {
    option_env!("MYELIN_COMMIT").unwrap_or("")
}

/// The version as it is stored.
pub fn version_value() -> Value {
    VERSION.into_iter().map(Value::from).collect()
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
