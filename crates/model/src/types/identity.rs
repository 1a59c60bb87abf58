//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct SynUser;

impl SynUser {
    pub(super) fn new(_decl: Decl<'_>) -> Result<SynUser> {
        Ok(SynUser)
    }
}

impl TypeImpl for SynUser {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::GUID
    }
}

pub struct SynRole;

impl SynRole {
    pub(super) fn new(_decl: Decl<'_>) -> Result<SynRole> {
        Ok(SynRole)
    }
}

impl TypeImpl for SynRole {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::GUID
    }
}
