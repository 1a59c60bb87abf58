//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Dist;

impl Dist {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Dist> {
        Ok(Dist)
    }
}

impl TypeImpl for Dist {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::I64
    }
}

pub struct Area;

impl Area {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Area> {
        Ok(Area)
    }
}

impl TypeImpl for Area {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::I64
    }
}

pub struct LatLong;

impl LatLong {
    pub(super) fn new(_decl: Decl<'_>) -> Result<LatLong> {
        Ok(LatLong)
    }
}

impl TypeImpl for LatLong {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::LATLONG
    }
}
