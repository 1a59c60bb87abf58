//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Email;

impl Email {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Email> {
        Ok(Email)
    }
}

impl TypeImpl for Email {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Rfc2822Addr;

impl Rfc2822Addr {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Rfc2822Addr> {
        Ok(Rfc2822Addr)
    }
}

impl TypeImpl for Rfc2822Addr {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}
