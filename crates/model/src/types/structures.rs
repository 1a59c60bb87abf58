//! Types of this family, not filled in yet.

use myelin_error::{Error, Result};
use myelin_value::Value;

use super::ctors::Decl;
use super::{Norm, NormCx, Type, TypeImpl};
use crate::StorType;

pub struct Comp;

impl Comp {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Comp> {
        Ok(Comp)
    }
}

impl TypeImpl for Comp {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct Array;

impl Array {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Array> {
        Ok(Array)
    }
}

impl TypeImpl for Array {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct Range;

impl Range {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Range> {
        Ok(Range)
    }
}

impl TypeImpl for Range {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct Ndef;

impl Ndef {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Ndef> {
        Ok(Ndef)
    }
}

impl TypeImpl for Ndef {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::NDEF
    }
}

pub struct NodeProp;

impl NodeProp {
    pub(super) fn new(_decl: Decl<'_>) -> Result<NodeProp> {
        Ok(NodeProp)
    }
}

impl TypeImpl for NodeProp {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct Edge;

impl Edge {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Edge> {
        Ok(Edge)
    }
}

impl TypeImpl for Edge {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct TimeEdge;

impl TimeEdge {
    pub(super) fn new(_decl: Decl<'_>) -> Result<TimeEdge> {
        Ok(TimeEdge)
    }
}

impl TypeImpl for TimeEdge {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

pub struct Data;

impl Data {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Data> {
        Ok(Data)
    }
}

impl TypeImpl for Data {
    fn norm(&self, ty: &Type, _cx: &NormCx, _valu: &Value) -> Result<Norm> {
        Err(Error::not_supported(format!("the type {}", ty.name)))
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}
