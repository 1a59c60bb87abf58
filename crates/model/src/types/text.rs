//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Str;

impl Str {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Str> {
        Ok(Str)
    }
}

impl TypeImpl for Str {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Hex;

impl Hex {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Hex> {
        Ok(Hex)
    }
}

impl TypeImpl for Hex {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Guid;

impl Guid {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Guid> {
        Ok(Guid)
    }
}

impl TypeImpl for Guid {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::GUID
    }
}

pub struct Loc;

impl Loc {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Loc> {
        Ok(Loc)
    }
}

impl TypeImpl for Loc {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::LOC
    }
}

pub struct TagPart;

impl TagPart {
    pub(super) fn new(_decl: Decl<'_>) -> Result<TagPart> {
        Ok(TagPart)
    }
}

impl TypeImpl for TagPart {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Tag;

impl Tag {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Tag> {
        Ok(Tag)
    }
}

impl TypeImpl for Tag {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Taxon;

impl Taxon {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Taxon> {
        Ok(Taxon)
    }
}

impl TypeImpl for Taxon {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Taxonomy;

impl Taxonomy {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Taxonomy> {
        Ok(Taxonomy)
    }
}

impl TypeImpl for Taxonomy {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}
