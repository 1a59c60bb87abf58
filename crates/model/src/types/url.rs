//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct HttpCookie;

impl HttpCookie {
    pub(super) fn new(_decl: Decl<'_>) -> Result<HttpCookie> {
        Ok(HttpCookie)
    }
}

impl TypeImpl for HttpCookie {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Url;

impl Url {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Url> {
        Ok(Url)
    }
}

impl TypeImpl for Url {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}
