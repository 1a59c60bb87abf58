//! Users and roles as values: `syn:user`, `syn:role`.

use myelin_error::Result;
use myelin_value::{Value, guid_of};

use super::ctors::Decl;
use super::text::guid_text;
use super::{Norm, NormCx, StorCmpr, Type, TypeImpl};
use crate::StorType;

/// `syn:user`: a user's iden; its name is accepted.
pub struct SynUser;

/// `syn:role`: a role's iden; its name is accepted.
pub struct SynRole;

impl SynUser {
    pub(super) fn new(_decl: Decl<'_>) -> Result<SynUser> {
        Ok(SynUser)
    }
}

impl SynRole {
    pub(super) fn new(_decl: Decl<'_>) -> Result<SynRole> {
        Ok(SynRole)
    }
}

fn norm_iden(ty: &Type, valu: &Value, known: impl Fn(&str) -> Option<String>) -> Result<Norm> {
    match valu {
        Value::Str(text) => known(text)
            .or_else(|| guid_text(text).map(|guid| guid.to_string()))
            .map(Norm::new)
            .ok_or_else(|| ty.bad_valu(valu, format!("Nobody is named {text} and it is no guid."))),
        Value::List(items) if items.is_empty() => Err(ty.bad_valu(valu, "An empty list makes no guid.")),
        Value::List(_) => Ok(Norm::new(guid_of(valu))),
        other => Err(ty.no_norm(other.kind())),
    }
}

macro_rules! identity_impl {
    ($kind:ident, $iden:ident, $name:ident) => {
        impl TypeImpl for $kind {
            fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
                norm_iden(ty, valu, |text| cx.env.$iden(text))
            }

            fn repr(&self, _ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
                let name = norm.as_str().and_then(|iden| cx.env.$name(iden));
                Ok(name.map_or_else(|| norm.clone(), Value::from))
            }

            fn lift(&self, ty: &Type, _cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
                super::text::guid_prefix_lift(ty, op, valu)
            }

            fn lift_names(&self) -> &'static [&'static str] {
                &["^="]
            }

            fn stortype(&self) -> StorType {
                StorType::GUID
            }
        }
    };
}

identity_impl!(SynUser, user_iden, user_name);
identity_impl!(SynRole, role_iden, role_name);
