//! Filters: conditions on the node at hand.

use std::sync::Arc;

use myelin_error::err;
use myelin_model::{Cmpr, Type};
use myelin_storm_syntax::{Cmpr as CmprAst, Cond, CondKind, OperKind, Query, Span};
use myelin_value::Value;

use super::{NodeGenr, OperRef, each, once, pipeline};
use crate::ctl::{Ctl, Flow};
use crate::expr::{compute, prop_and_valu, rel_name, tag_match, tagprop};
use crate::item::{Item, intify};
use crate::node::{Node, Path};
use crate::rt::Rt;

/// A condition made ready.
pub type Test = Box<dyn FnMut(&Node, &Path) -> Flow<bool> + Send>;

/// `+cond`, `-cond`
pub fn filter(rt: &Rt, oper: &OperRef, input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Filter { must, cond } = &oper.kind else { return Ok(input) };
    let must = *must;
    let mut test = make(rt, cond)?;
    let rt = rt.clone();
    Ok(each(input, move |node, path| {
        rt.tick()?;
        Ok(test(node, path)? == must)
    }))
}

/// The last comparator that was made, kept while the right side stays the same.
#[derive(Default)]
struct Kept(Option<(Arc<Type>, Value, Cmpr)>);

impl Kept {
    fn test(&mut self, rt: &Rt, typ: &Arc<Type>, op: &str, rhs: Value, lhs: &Value) -> Flow<bool> {
        let fits = !rt.shared().is_plain()
            && self.0.as_ref().is_some_and(|(have, valu, _)| Arc::ptr_eq(have, typ) && *valu == rhs);
        if !fits {
            let made = typ.cmpr_ctor(&rt.norm_cx(), op, &rhs)?;
            self.0 = Some((typ.clone(), rhs, made));
        }
        match &self.0 {
            Some((_, _, cmpr)) => Ok(cmpr(lhs)?),
            None => Ok(false),
        }
    }
}

fn no_cmpr(rt: &Rt, span: Span, op: &str, name: &str) -> Ctl {
    let mesg = format!("The comparator {op} does not exist for {name}.");
    rt.at(span, err!("NoSuchCmpr", mesg = mesg, cmpr = op, name = name).into())
}

fn req_cmpr(rt: &Rt, typ: &Type, cmpr: &CmprAst) -> Flow<()> {
    req_cmpr_at(rt, typ, cmpr, cmpr.oper.span)
}

fn req_cmpr_at(rt: &Rt, typ: &Type, cmpr: &CmprAst, span: Span) -> Flow<()> {
    if typ.has_cmpr(&cmpr.oper.text) { Ok(()) } else { Err(no_cmpr(rt, span, &cmpr.oper.text, &typ.name)) }
}

/// The right side of a comparison; a live node stands for what the type wants of it.
fn rhs(rt: &Rt, typ: &Type, item: &Item) -> Flow<Value> {
    item.tostor(rt, typ.ctor == myelin_model::CtorKind::Ndef)
}

/// Makes a condition ready: looks its names up.
///
/// # Errors
/// `NoSuchProp`, `NoSuchForm`, `NoSuchCmpr`.
pub fn make(rt: &Rt, cond: &Cond) -> Flow<Test> {
    let rt = rt.clone();
    Ok(match &cond.kind {
        CondKind::And(left, right) => {
            let (mut left, mut right) = (make(&rt, left)?, make(&rt, right)?);
            Box::new(move |node, path| Ok(left(node, path)? && right(node, path)?))
        }
        CondKind::Or(left, right) => {
            let (mut left, mut right) = (make(&rt, left)?, make(&rt, right)?);
            Box::new(move |node, path| Ok(left(node, path)? || right(node, path)?))
        }
        CondKind::Not(inner) => {
            let mut inner = make(&rt, inner)?;
            Box::new(move |node, path| Ok(!inner(node, path)?))
        }
        CondKind::HasRelProp(rel) => {
            let rel = rel.clone();
            Box::new(move |node, path| {
                let name = rel_name(&rt, &rel, Some(path))?;
                has_prop(&rt, node.clone(), &name, rel.span())
            })
        }
        CondKind::RelProp(rel, cmpr) => {
            let (rel, cmpr, mut kept) = (rel.clone(), cmpr.clone(), Kept::default());
            Box::new(move |_, path| {
                let Some((prop, valu)) = prop_and_valu(&rt, &rel, Some(path))? else { return Ok(false) };
                let right = rhs(&rt, &prop.typ, &compute(&rt, &cmpr.value, Some(path))?)?;
                if right.is_null() {
                    return Ok(false);
                }
                req_cmpr(&rt, &prop.typ, &cmpr)?;
                kept.test(&rt, &prop.typ, &cmpr.oper.text, right, &valu)
            })
        }
        CondKind::Array(rel, cmpr) => {
            let (rel, cmpr, mut kept) = (rel.clone(), cmpr.clone(), Kept::default());
            Box::new(move |node, path| {
                let name = rel_name(&rt, &rel, Some(path))?;
                let Some(prop) = node.form().prop(&name) else {
                    let mesg = format!("No property named {name}.");
                    return Err(rt.at(rel.span(), err!("NoSuchProp", mesg = mesg, name = name).into()));
                };
                let Some(item) = prop.typ.array_type() else {
                    let mesg = format!("Array filter syntax is invalid for non-array prop {name}.");
                    return Err(rt.at(cmpr.oper.span, err!("BadCmprType", mesg = mesg).into()));
                };
                req_cmpr(&rt, item, &cmpr)?;
                let Some(valu) = node.get(&name) else { return Ok(false) };
                let right = rhs(&rt, item, &compute(&rt, &cmpr.value, Some(path))?)?;
                for left in valu.as_list().unwrap_or_default() {
                    if kept.test(&rt, item, &cmpr.oper.text, right.clone(), left)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
        }
        CondKind::HasAbsProp(name) => has_abs(&rt, &name.text, name.span)?,
        CondKind::AbsProp(name, cmpr) => abs_prop(&rt, &name.text, name.span, cmpr)?,
        CondKind::Tag(tag) => {
            let tag = tag.clone();
            let mut globs = crate::glob::TagGlobs::default();
            Box::new(move |node, path| {
                let name = tag_match(&rt, &tag, Some(path))?;
                if &*name == "*" {
                    return Ok(node.has_tags());
                }
                if name.contains('*') {
                    return globs.any(&name, node.tags().iter().map(|(tag, _)| &**tag));
                }
                Ok(node.has_tag(&name))
            })
        }
        CondKind::TagValue(tag, cmpr) => {
            let ival = rt.model().req_type("ival")?.clone();
            req_cmpr(&rt, &ival, cmpr)?;
            let (tag, cmpr, mut kept, span) = (tag.clone(), cmpr.clone(), Kept::default(), cond.span);
            Box::new(move |node, path| {
                let name = tag_match(&rt, &tag, Some(path))?;
                if name.contains('*') {
                    let mesg =
                        format!("Wildcard tag names may not be used in conjunction with tag value comparison: {name}");
                    return Err(rt.at(span, err!("StormRuntimeError", mesg = mesg, name = name).into()));
                }
                let right = compute(&rt, &cmpr.value, Some(path))?.toprim(&rt)?;
                let left = node.tag(&name).unwrap_or_default();
                kept.test(&rt, &ival, &cmpr.oper.text, right, &left)
            })
        }
        CondKind::HasTagProp(prop) => {
            let prop = prop.clone();
            let mut globs = crate::glob::TagGlobs::default();
            Box::new(move |node, path| {
                let (tag, name) = tagprop(&rt, &prop, Some(path))?;
                if !tag.contains('*') {
                    return Ok(node.tagprop(&tag, &name).is_some());
                }
                for (have, prop, _) in node.tagprops() {
                    if prop == name && (&*tag == "*" || globs.any(&tag, std::iter::once(&*have))?) {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
        }
        CondKind::TagProp(prop, cmpr) => {
            let (prop, cmpr, mut kept) = (prop.clone(), cmpr.clone(), Kept::default());
            Box::new(move |node, path| {
                let (tag, name) = tagprop(&rt, &prop, Some(path))?;
                if tag.contains('*') {
                    let mesg = format!(
                        "Wildcard tag names may not be used in conjunction with tagprop value comparison: {tag}"
                    );
                    return Err(rt.at(prop.span, err!("StormRuntimeError", mesg = mesg, name = tag).into()));
                }
                let model = rt.model();
                let Some(def) = model.tagprop(&name) else {
                    let mesg = format!("No such tag property: {name}");
                    return Err(rt.at(prop.tag.span, err!("NoSuchTagProp", mesg = mesg, name = name).into()));
                };
                let right = compute(&rt, &cmpr.value, Some(path))?.tostor(&rt, false)?;
                req_cmpr_at(&rt, &def.typ, &cmpr, prop.prop.span)?;
                let Some(left) = node.tagprop(&tag, &name) else { return Ok(false) };
                kept.test(&rt, &def.typ, &cmpr.oper.text, right, &left)
            })
        }
        CondKind::SubQuery(query, cmpr) => subquery(&rt, query, cmpr.as_ref())?,
        CondKind::Value(valu) => {
            let valu = valu.clone();
            Box::new(move |_, path| compute(&rt, &valu, Some(path))?.tobool(&rt))
        }
    })
}

fn has_prop(rt: &Rt, mut node: Node, full: &str, span: Span) -> Flow<bool> {
    let mut steps = full.split("::").peekable();
    while let Some(name) = steps.next() {
        if steps.peek().is_none() {
            return Ok(node.has(name));
        }
        let Some(valu) = node.get(name) else { return Ok(false) };
        let Some(prop) = node.form().prop(name).cloned() else { return Ok(false) };
        let model = rt.model();
        let form = rt.mark(span, model.req_form(&prop.typ.name))?;
        match rt.snap().node_by_ndef(&form.name, &valu)? {
            Some(next) => node = next,
            None => return Ok(false),
        }
    }
    Ok(false)
}

fn has_abs(rt: &Rt, name: &str, span: Span) -> Flow<Test> {
    let model = rt.model();
    if let Some(prop) = model.prop(name).cloned() {
        if prop.is_form {
            return Ok(Box::new(move |node, _| Ok(*node.form_name() == prop.name)));
        }
        return Ok(Box::new(move |node, _| {
            let fits = prop.form.as_ref().is_none_or(|form| form == node.form_name());
            Ok(fits && node.has(&prop.name))
        }));
    }
    let forms = match name.strip_suffix('*') {
        Some(prefix) => Some(rt.mark(span, model.req_forms_by_prefix(prefix))?),
        None => model.forms_by_iface(name),
    };
    if let Some(forms) = forms {
        return Ok(Box::new(move |node, _| Ok(forms.iter().any(|form| form.name == *node.form_name()))));
    }
    if let Some(props) = model.iface_props(name) {
        return Ok(Box::new(move |node, _| {
            let mine = props.iter().find(|prop| prop.form.as_ref() == Some(node.form_name()));
            Ok(mine.is_some_and(|prop| node.has(&prop.name)))
        }));
    }
    Err(no_such_prop(rt, name, span))
}

fn no_such_prop(rt: &Rt, name: &str, span: Span) -> Ctl {
    rt.at(span, err!("NoSuchProp", mesg = format!("No property named {name}."), name = name).into())
}

fn abs_prop(rt: &Rt, name: &str, span: Span, cmpr: &CmprAst) -> Flow<Test> {
    let model = rt.model();
    let (rt, cmpr, mut kept) = (rt.clone(), cmpr.clone(), Kept::default());
    if let Some(prop) = model.prop(name).cloned() {
        req_cmpr(&rt, &prop.typ, &cmpr)?;
        return Ok(Box::new(move |node, path| {
            let left = if prop.is_form {
                (*node.form_name() == prop.name).then(|| node.valu().clone())
            } else {
                prop.form.as_ref().is_none_or(|form| form == node.form_name()).then(|| node.get(&prop.name)).flatten()
            };
            let Some(left) = left else { return Ok(false) };
            let right = rhs(&rt, &prop.typ, &compute(&rt, &cmpr.value, Some(path))?)?;
            kept.test(&rt, &prop.typ, &cmpr.oper.text, right, &left)
        }));
    }
    let Some(props) = model.iface_props(name) else { return Err(no_such_prop(&rt, name, span)) };
    let Some(prop) = props.first().cloned() else { return Err(no_such_prop(&rt, name, span)) };
    req_cmpr(&rt, &prop.typ, &cmpr)?;
    Ok(Box::new(move |node, path| {
        let Some(left) = node.get(&prop.name) else { return Ok(false) };
        let right = rhs(&rt, &prop.typ, &compute(&rt, &cmpr.value, Some(path))?)?;
        kept.test(&rt, &prop.typ, &cmpr.oper.text, right, &left)
    }))
}

fn subquery(rt: &Rt, query: &Arc<Query>, cmpr: Option<&CmprAst>) -> Flow<Test> {
    let (rt, query) = (rt.clone(), query.clone());
    let Some(cmpr) = cmpr.cloned() else {
        return Ok(Box::new(move |node, path| {
            match pipeline(&rt, &query, once((node.clone(), path.clone()))).next()? {
                Some((_, sub)) => {
                    path.update_vars(&sub.vars());
                    Ok(true)
                }
                None => Ok(false),
            }
        }));
    };
    let op = cmpr.oper.text.clone();
    if !matches!(&*op, "=" | ">" | "<" | ">=" | "<=" | "!=") {
        let mesg = format!("The comparator {op} does not exist for subqueries.");
        let error = err!("NoSuchCmpr", mesg = mesg, cmpr = op, type = "subquery");
        return Err(rt.at(cmpr.oper.span, error.into()));
    }
    Ok(Box::new(move |node, path| {
        let want = intify(&compute(&rt, &cmpr.value, Some(path))?.toprim(&rt)?)?.as_i64().unwrap_or(i64::MAX);
        // As soon as the count decides, the query need not run on.
        let enough = if matches!(&*op, "<" | ">=") { want } else { want.saturating_add(1) };
        let mut genr = pipeline(&rt, &query, once((node.clone(), path.clone())));
        let (mut size, mut last) = (0i64, None);
        while let Some((_, sub)) = genr.next()? {
            (size, last) = (size + 1, Some(sub));
            if size >= enough {
                break;
            }
        }
        if let Some(last) = last {
            path.update_vars(&last.vars());
        }
        Ok(match &*op {
            "=" => size == want,
            "!=" => size != want,
            ">" => size > want,
            ">=" => size >= want && size > 0,
            "<" => size < want,
            _ => size <= want,
        })
    }))
}
