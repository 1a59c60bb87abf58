#![forbid(unsafe_code)]
//! The one error type: a name from the platform's list, info keys, a source
