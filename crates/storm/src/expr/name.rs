//! Names that may be computed: of properties, forms, tags.

use std::sync::Arc;

use myelin_error::{Error, err};
use myelin_storm_syntax::{PivotDest, PropName, RelProp, Tag, TagKind, TagProp, Value as Ast, ValueKind};
use myelin_value::Value;

use super::{compute, type_error};
use crate::ctl::Flow;
use crate::item::Item;
use crate::node::Path;
use crate::rt::Rt;

/// The name of a form or property in a lift or edit.
///
/// # Errors
/// `StormRuntimeError` when a computed name is no text.
pub fn prop_name(rt: &Rt, name: &PropName, path: Option<&Path>) -> Flow<Arc<str>> {
    match name {
        PropName::Const(name) => Ok(name.text.clone()),
        PropName::Deref(valu) => {
            let item = Item::Val(compute(rt, valu, path)?.toprim(rt)?);
            match type_error(rt, &item, "str") {
                Some(error) => Err(rt.at(valu.span, error)),
                None => item.tostr(rt),
            }
        }
    }
}

/// The name of a property of the node at hand, with the dot of a universal one.
///
/// # Errors
/// What computing it gives.
pub fn rel_name(rt: &Rt, prop: &RelProp, path: Option<&Path>) -> Flow<Arc<str>> {
    match prop {
        RelProp::Rel(name) | RelProp::Univ(name) => Ok(name.text.clone()),
        RelProp::RelVar(valu, _) => compute(rt, valu, path)?.tostr(rt),
        RelProp::UnivVar(valu, _) => Ok(Arc::from(format!(".{}", compute(rt, valu, path)?.tostr(rt)?))),
    }
}

/// The error of a property name that a node's form does not have.
pub(crate) fn no_prop(rt: &Rt, prop: &RelProp, path: Option<&Path>, name: &str, form: &str) -> crate::Ctl {
    if let Some(error) = no_prop_name(rt, prop, path) {
        return rt.at(prop.span(), error);
    }
    let mesg = format!("No property named {name}.");
    rt.at(prop.span(), err!("NoSuchProp", mesg = mesg, name = name, form = form).into())
}

/// The error of a computed property name that is no text.
pub(crate) fn no_prop_name(rt: &Rt, prop: &RelProp, path: Option<&Path>) -> Option<crate::Ctl> {
    let RelProp::RelVar(valu, _) = prop else { return None };
    compute(rt, valu, path).ok().and_then(|item| type_error(rt, &item, "str"))
}

/// The destinations of a pivot or walk: one name, or several.
///
/// # Errors
/// What computing them gives.
pub fn dest_names(rt: &Rt, dest: &PivotDest, path: Option<&Path>) -> Flow<(Vec<Arc<str>>, bool)> {
    match dest {
        PivotDest::Any(_) => Ok((vec![Arc::from("*")], false)),
        PivotDest::Const(name) => Ok((vec![name.text.clone()], false)),
        PivotDest::Value(valu) => {
            let item = compute(rt, valu, path)?;
            match item.members() {
                Some(items) => {
                    let names: Flow<Vec<_>> = items.iter().map(|item| item.tostr(rt)).collect();
                    Ok((names?, true))
                }
                None => Ok((vec![item.tostr(rt)?], false)),
            }
        }
    }
}

fn bad_tag() -> Error {
    Error::mesg("BadTypeValu", "Invalid value type for tag name, tag names must be strings.")
}

fn null_seg(seg: &Ast) -> Error {
    let name = match &seg.kind {
        ValueKind::Var(name) => name.as_ref(),
        _ => "",
    };
    Error::mesg("BadTypeValu", format!("Null value from var ${name} is not allowed in tag names."))
}

fn join_segs(rt: &Rt, segs: &[Ast], path: Option<&Path>, norm: bool) -> Flow<Arc<str>> {
    let mut parts: Vec<String> = Vec::new();
    for seg in segs {
        let part = compute(rt, seg, path)?;
        if part.is_null() {
            return Err(rt.at(seg.span, null_seg(seg).into()));
        }
        let text = part.tostr(rt)?;
        if norm {
            let valu = rt.snap().tag_norm(&text)?.value;
            parts.push(valu.as_str().unwrap_or(&text).to_owned());
        } else {
            parts.push(text.to_string());
        }
    }
    Ok(Arc::from(parts.join(".")))
}

/// The one tag that is named, normalised where it was computed.
///
/// # Errors
/// `BadTypeValu` when a computed name is no text or no tag.
pub fn tag_name(rt: &Rt, tag: &Tag, path: Option<&Path>) -> Flow<Arc<str>> {
    match &tag.kind {
        TagKind::Const(text) => Ok(text.clone()),
        TagKind::Var(valu) => norm_tag(rt, &compute(rt, valu, path)?.toprim(rt)?),
        TagKind::Segs(segs) => join_segs(rt, segs, path, true),
    }
}

fn norm_tag(rt: &Rt, valu: &Value) -> Flow<Arc<str>> {
    let text = valu.as_str().ok_or_else(bad_tag)?;
    let norm = rt.snap().tag_norm(text)?.value;
    Ok(norm.as_arc_str().cloned().unwrap_or_else(|| Arc::from(text)))
}

/// The tag or pattern that is named, as it was computed.
///
/// # Errors
/// `BadTypeValu` when a computed name is no text.
pub fn tag_match(rt: &Rt, tag: &Tag, path: Option<&Path>) -> Flow<Arc<str>> {
    match &tag.kind {
        TagKind::Const(text) => Ok(text.clone()),
        TagKind::Var(valu) => {
            let prim = compute(rt, valu, path)?.toprim(rt)?;
            Ok(prim.as_arc_str().cloned().ok_or_else(bad_tag)?)
        }
        TagKind::Segs(segs) => join_segs(rt, segs, path, false),
    }
}

/// The tags that an edit names; bad ones are passed over when it is a try.
///
/// # Errors
/// `BadTypeValu` when one is no text or no tag.
pub fn tag_array(rt: &Rt, tag: &Tag, path: Option<&Path>, is_try: bool) -> Flow<Vec<Arc<str>>> {
    let TagKind::Var(valu) = &tag.kind else { return Ok(vec![tag_name(rt, tag, path)?]) };
    let prim = compute(rt, valu, path)?.toprim(rt)?;
    let single = std::slice::from_ref(&prim);
    let mut retn = Vec::new();
    for item in prim.as_list().unwrap_or(single) {
        match norm_tag(rt, item) {
            Ok(name) => retn.push(name),
            Err(error) if is_try && error.isa("BadTypeValu") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(retn)
}

/// The tag and property of `#tag:prop`.
///
/// # Errors
/// As [`tag_name`].
pub fn tagprop(rt: &Rt, prop: &TagProp, path: Option<&Path>) -> Flow<(Arc<str>, Arc<str>)> {
    let tag = tag_match(rt, &prop.tag, path)?;
    let name = compute(rt, &prop.prop, path)?.tostr(rt)?;
    Ok((tag, name))
}
