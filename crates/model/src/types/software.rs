//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Cpe22Str;

impl Cpe22Str {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Cpe22Str> {
        Ok(Cpe22Str)
    }
}

impl TypeImpl for Cpe22Str {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Cpe23Str;

impl Cpe23Str {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Cpe23Str> {
        Ok(Cpe23Str)
    }
}

impl TypeImpl for Cpe23Str {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct SemVer;

impl SemVer {
    pub(super) fn new(_decl: Decl<'_>) -> Result<SemVer> {
        Ok(SemVer)
    }
}

impl TypeImpl for SemVer {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::I64
    }
}
