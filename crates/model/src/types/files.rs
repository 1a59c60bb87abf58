//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct FileBase;

impl FileBase {
    pub(super) fn new(_decl: Decl<'_>) -> Result<FileBase> {
        Ok(FileBase)
    }
}

impl TypeImpl for FileBase {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct FilePath;

impl FilePath {
    pub(super) fn new(_decl: Decl<'_>) -> Result<FilePath> {
        Ok(FilePath)
    }
}

impl TypeImpl for FilePath {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct FileBytes;

impl FileBytes {
    pub(super) fn new(_decl: Decl<'_>) -> Result<FileBytes> {
        Ok(FileBytes)
    }
}

impl TypeImpl for FileBytes {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}
