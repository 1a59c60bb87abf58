//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Phone;

impl Phone {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Phone> {
        Ok(Phone)
    }
}

impl TypeImpl for Phone {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Imsi;

impl Imsi {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Imsi> {
        Ok(Imsi)
    }
}

impl TypeImpl for Imsi {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::U64
    }
}

pub struct Imei;

impl Imei {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Imei> {
        Ok(Imei)
    }
}

impl TypeImpl for Imei {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::U64
    }
}
