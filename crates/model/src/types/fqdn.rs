//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct DnsName;

impl DnsName {
    pub(super) fn new(_decl: Decl<'_>) -> Result<DnsName> {
        Ok(DnsName)
    }
}

impl TypeImpl for DnsName {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Fqdn;

impl Fqdn {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Fqdn> {
        Ok(Fqdn)
    }
}

impl TypeImpl for Fqdn {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::FQDN
    }
}
