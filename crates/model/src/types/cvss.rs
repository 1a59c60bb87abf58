//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct CvssV2;

impl CvssV2 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<CvssV2> {
        Ok(CvssV2)
    }
}

impl TypeImpl for CvssV2 {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct CvssV3;

impl CvssV3 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<CvssV3> {
        Ok(CvssV3)
    }
}

impl TypeImpl for CvssV3 {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}
