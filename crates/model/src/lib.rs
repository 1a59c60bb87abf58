#![forbid(unsafe_code)]
//! Base types, normalisation and the data model

mod stortype;
pub mod types;

pub use stortype::StorType;
pub use types::{Cmpr, CtorKind, Norm, NormAdd, NormCx, NormEnv, NormInfo, StorCmpr, Type, TypeResolver};
