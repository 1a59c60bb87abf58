//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Addr;

impl Addr {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Addr> {
        Ok(Addr)
    }
}

impl TypeImpl for Addr {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Cidr4;

impl Cidr4 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Cidr4> {
        Ok(Cidr4)
    }
}

impl TypeImpl for Cidr4 {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct Cidr6;

impl Cidr6 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Cidr6> {
        Ok(Cidr6)
    }
}

impl TypeImpl for Cidr6 {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

pub struct IPv4;

impl IPv4 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<IPv4> {
        Ok(IPv4)
    }
}

impl TypeImpl for IPv4 {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::U32
    }
}

pub struct IPv6;

impl IPv6 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<IPv6> {
        Ok(IPv6)
    }
}

impl TypeImpl for IPv6 {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::IPV6
    }
}

pub struct IPv4Range;

impl IPv4Range {
    pub(super) fn new(_decl: Decl<'_>) -> Result<IPv4Range> {
        Ok(IPv4Range)
    }
}

impl TypeImpl for IPv4Range {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct IPv6Range;

impl IPv6Range {
    pub(super) fn new(_decl: Decl<'_>) -> Result<IPv6Range> {
        Ok(IPv6Range)
    }
}

impl TypeImpl for IPv6Range {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}
