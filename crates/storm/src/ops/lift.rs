//! Lifts.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use myelin_error::err;
use myelin_model::Prop;
use myelin_storm_syntax::{Cmpr, CondKind, LiftKind, Oper, OperKind, PropName, RelProp, Tag, TagKind, ValueKind};
use myelin_value::Value;

use super::{NodeGenr, OperRef, chain, flat_map, fresh, from_fn, once};
use crate::ctl::Flow;
use crate::expr::{compute, prop_name, tag_match, tag_name, tagprop};
use crate::item::Item;
use crate::node::{Link, Path};
use crate::rt::Rt;
use crate::snap::{Nodes, Snap};
use crate::store::LiftBy;
use crate::walk::{Part, is_runtsafe, value_runtsafe};

/// A lift: behind its input when it is the same for every node, else for every node.
pub fn lift(rt: &Rt, oper: &OperRef, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    if is_runtsafe(Part::Oper(&oper), &rt) {
        return chain(input, move || Ok(fresh(&rt, nodes(&rt, &oper, None)?)));
    }
    let link = Link::from(myelin_value::Map::new().with("type", "runtime"));
    flat_map(input, move |node, path| {
        let (rt, oper, link) = (rt.clone(), oper.clone(), link.clone());
        let held = path.clone();
        Ok(chain(once((node, path)), move || {
            let nodes = nodes(&rt, &oper, Some(&held))?;
            Ok(super::forked(held, Some(link), nodes))
        }))
    })
}

fn name_span(name: &PropName, oper: &Oper) -> myelin_storm_syntax::Span {
    match name {
        PropName::Const(name) => name.span,
        PropName::Deref(valu) => valu.span.to(oper.span),
    }
}

/// The right side of a comparison as storage compares it; a live node stands for its value.
pub fn cmpr_valu(rt: &Rt, cmpr: &Cmpr, path: Option<&Path>) -> Flow<Value> {
    compute(rt, &cmpr.value, path)?.tostor(rt, false)
}

fn nodes(rt: &Rt, oper: &OperRef, path: Option<&Path>) -> Flow<Nodes> {
    let OperKind::Lift(lift) = &oper.kind else { return Ok(Box::new(std::iter::empty())) };
    let (snap, model, reverse) = (rt.snap(), rt.model(), lift.reverse);
    match &lift.kind {
        LiftKind::Prop(name) => by_prop(rt, oper, name, path, reverse),
        LiftKind::PropBy(name, cmpr) | LiftKind::PropArray(name, cmpr) => {
            let array = matches!(lift.kind, LiftKind::PropArray(..));
            by_valu(rt, oper, name, cmpr, path, reverse, array)
        }
        LiftKind::Tag(tag, cmpr) => {
            let name = tag_name(rt, tag, path)?;
            match cmpr {
                Some(cmpr) => {
                    let valu = compute(rt, &cmpr.value, path)?.toprim(rt)?;
                    snap.by_tag_valu(&name, &cmpr.oper.text, &valu, None, reverse)
                }
                None => snap.by_tag(&name, None, reverse),
            }
        }
        LiftKind::TagTag(tag, cmpr) => tag_tag(rt, tag, cmpr.as_ref(), path, reverse),
        LiftKind::TagProp(prop, cmpr) => {
            let (tag, name) = tagprop(rt, prop, path)?;
            match cmpr {
                Some(cmpr) => {
                    let valu = cmpr_valu(rt, cmpr, path)?;
                    snap.by_tagprop(None, &tag, &name, Some((&cmpr.oper.text, &valu)), reverse)
                }
                None => snap.by_tagprop(None, &tag, &name, None, reverse),
            }
        }
        LiftKind::FormTag(name, tag, cmpr) => {
            let span = name_span(name, oper);
            let name = prop_name(rt, name, path)?;
            let forms = rt.mark(span, model.req_forms_by_look(&name))?;
            let tag = tag_name(rt, tag, path)?;
            let mut retn: Nodes = Box::new(std::iter::empty());
            for form in forms {
                let nodes = match cmpr {
                    Some(cmpr) => {
                        let valu = compute(rt, &cmpr.value, path)?.toprim(rt)?;
                        snap.by_tag_valu(&tag, &cmpr.oper.text, &valu, Some(&form.name), reverse)?
                    }
                    None => snap.by_tag(&tag, Some(&form.name), reverse)?,
                };
                retn = Box::new(retn.chain(nodes));
            }
            Ok(retn)
        }
        LiftKind::FormTagProp(name, prop, cmpr) => {
            let name = prop_name(rt, name, path)?;
            let (tag, tagprop) = tagprop(rt, prop, path)?;
            let forms = rt.mark(oper.span, model.req_forms_by_look(&name))?;
            let valu = cmpr.as_ref().map(|cmpr| cmpr_valu(rt, cmpr, path)).transpose()?;
            let by = cmpr.as_ref().zip(valu.as_ref()).map(|(cmpr, valu)| (&*cmpr.oper.text, valu));
            let mut genrs = Vec::new();
            for form in forms {
                genrs.push(snap.by_tagprop(Some(&form.name), &tag, &tagprop, by, reverse)?);
            }
            let key = move |node: &crate::node::Node| node.tagprop(&tag, &tagprop).unwrap_or_default();
            Ok(merged(genrs, key, reverse))
        }
    }
}

/// How many nodes a lift finds, where one index answers it and what it asks for can be computed twice without harm.
pub fn size(rt: &Rt, oper: &OperRef) -> Flow<Option<u64>> {
    let OperKind::Lift(lift) = &oper.kind else { return Ok(None) };
    let model = rt.model();
    let by = match &lift.kind {
        LiftKind::Prop(PropName::Const(name)) => model.prop(&name.text).and_then(|prop| Snap::index_of(prop)),
        LiftKind::PropBy(PropName::Const(name), cmpr) => match model.prop(&name.text) {
            // One by one: neither several lifts behind one comparator nor what is no comparison of one value.
            Some(prop) if !matches!(&*cmpr.oper.text, "type=" | "?=") && is_plain(&cmpr.value) => {
                plain_index(rt, prop, cmpr).ok().flatten()
            }
            _ => None,
        },
        LiftKind::Tag(tag, None) => const_tag(tag).map(|tag| LiftBy::Tag(tag, None)),
        LiftKind::FormTag(PropName::Const(name), tag, None) => match (model.form(&name.text), const_tag(tag)) {
            (Some(form), Some(tag)) if !form.is_runt => Some(LiftBy::Tag(tag, Some(form.name.clone()))),
            _ => None,
        },
        _ => None,
    };
    let Some(by) = by else { return Ok(None) };
    rt.tick()?;
    if rt.shared().plan().is_some() {
        crate::plan::note(&by);
    }
    Ok(Some(rt.snap().count(by)?))
}

/// The index for a comparison. Where it fails, the lift itself says how.
fn plain_index(rt: &Rt, prop: &Arc<Prop>, cmpr: &Cmpr) -> Flow<Option<LiftBy>> {
    let valu = node_stor(rt, &compute(rt, &cmpr.value, None)?, prop)?;
    if valu.as_map().is_some() {
        return Ok(None);
    }
    let cmprs = prop.typ.lift_cmprs(&rt.norm_cx(), &cmpr.oper.text, &valu)?;
    Ok(Snap::index_by(prop, cmprs))
}

fn const_tag(tag: &Tag) -> Option<Arc<str>> {
    match &tag.kind {
        TagKind::Const(text) if !text.is_empty() && !text.contains('*') => Some(text.clone()),
        _ => None,
    }
}

/// Whether a value is made of constants and variables only.
fn is_plain(valu: &myelin_storm_syntax::Value) -> bool {
    match &valu.kind {
        ValueKind::Const(_) | ValueKind::Var(_) => true,
        ValueKind::List(items) | ValueKind::ExprList(items) => items.iter().all(is_plain),
        ValueKind::Expr(inner) => is_plain(inner),
        _ => false,
    }
}

fn merged(mut genrs: Vec<Nodes>, key: impl Fn(&crate::node::Node) -> Value + Send + 'static, reverse: bool) -> Nodes {
    match genrs.len() {
        1 => genrs.remove(0),
        _ => Snap::merge(genrs, key, reverse),
    }
}

fn by_prop(rt: &Rt, oper: &OperRef, name: &PropName, path: Option<&Path>, reverse: bool) -> Flow<Nodes> {
    let span = name_span(name, oper);
    let name = prop_name(rt, name, path)?;
    let model = rt.model();
    if let Some(prop) = model.prop(&name) {
        return one_prop(rt, oper, prop, path, reverse);
    }
    let props = rt.mark(span, model.req_props_by_look(&name))?;
    let mut genrs = Vec::new();
    for prop in &props {
        genrs.push(one_prop(rt, oper, prop, path, reverse)?);
    }
    let Some(first) = props.first().filter(|first| props.len() > 1 && !first.is_form) else {
        return Ok(Box::new(genrs.into_iter().flatten()));
    };
    let rel = first.name.clone();
    Ok(Snap::merge(genrs, move |node| node.get(&rel).unwrap_or_default(), reverse))
}

/// A hint from a filter to the right: it lets a lift walk a narrower index.
enum Hint {
    Tag(Arc<str>),
    Prop { name: Arc<str>, cmpr: Option<(Arc<str>, Value)> },
}

fn one_prop(rt: &Rt, oper: &OperRef, prop: &Arc<Prop>, path: Option<&Path>, reverse: bool) -> Flow<Nodes> {
    let snap = rt.snap();
    if !prop.is_form || prop.is_runt {
        return snap.by_prop(&prop.full, reverse);
    }
    let Some(hint) = hint(rt, oper, path)? else { return snap.by_prop(&prop.full, reverse) };
    match hint {
        Hint::Tag(tag) => snap.by_tag(&tag, Some(&prop.name), reverse),
        Hint::Prop { name, cmpr } => {
            let full =
                if name.starts_with('.') { format!("{}{name}", prop.full) } else { format!("{}:{name}", prop.full) };
            if rt.model().prop(&full).is_none() {
                return Ok(Box::new(std::iter::empty()));
            }
            if let Some((cmpr, valu)) = cmpr
                && let Ok(nodes) = snap.by_prop_valu(&full, &cmpr, &valu, reverse)
            {
                return Ok(or_all(snap, &full, nodes, reverse));
            }
            snap.by_prop(&full, reverse)
        }
    }
}

/// Nodes by a value; where the index cannot compare so, all nodes with the property: the filter does the rest.
fn or_all(snap: &Arc<Snap>, full: &str, mut nodes: Nodes, reverse: bool) -> Nodes {
    match nodes.next() {
        None => Box::new(std::iter::empty()),
        Some(Ok(node)) => Box::new(std::iter::once(Ok(node)).chain(nodes)),
        Some(Err(_)) => match snap.by_prop(full, reverse) {
            Ok(nodes) => nodes,
            Err(error) => Box::new(std::iter::once(Err(error))),
        },
    }
}

fn hint(rt: &Rt, oper: &OperRef, path: Option<&Path>) -> Flow<Option<Hint>> {
    for right in oper.right() {
        match &right.kind {
            OperKind::Lift(_) => {}
            OperKind::Filter { must: true, cond } => {
                if let Some(hint) = cond_hint(rt, &cond.kind, path)? {
                    return Ok(Some(hint));
                }
            }
            OperKind::Filter { .. } => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn rel_hint(rel: &RelProp) -> Option<(Arc<str>, bool)> {
    let name = &rel.as_const()?.text;
    match name.split_once("::") {
        Some((first, _)) => Some((Arc::from(first), true)),
        None => Some((name.clone(), false)),
    }
}

fn cond_hint(rt: &Rt, cond: &CondKind, path: Option<&Path>) -> Flow<Option<Hint>> {
    Ok(match cond {
        CondKind::And(left, _) => cond_hint(rt, &left.kind, path)?,
        CondKind::Tag(tag) if !tag.has_glob() => {
            let safe = match &tag.kind {
                TagKind::Const(text) => !text.is_empty(),
                TagKind::Var(valu) => value_runtsafe(valu, rt),
                TagKind::Segs(segs) => segs.iter().all(|seg| value_runtsafe(seg, rt)),
            };
            if !safe {
                return Ok(None);
            }
            let name = tag_match(rt, tag, path)?;
            (!name.is_empty() && !name.contains('*')).then_some(Hint::Tag(name))
        }
        CondKind::HasRelProp(rel) => rel_hint(rel).map(|(name, _)| Hint::Prop { name, cmpr: None }),
        CondKind::RelProp(rel, cmpr) => {
            let Some((name, pivots)) = rel_hint(rel) else { return Ok(None) };
            if pivots || !value_runtsafe(&cmpr.value, rt) {
                // The comparison needs a node: only that the property is there can be used.
                return Ok(Some(Hint::Prop { name, cmpr: None }));
            }
            let valu = compute(rt, &cmpr.value, path)?.tostor(rt, false)?;
            let cmpr = (!valu.is_null()).then(|| (cmpr.oper.text.clone(), valu));
            Some(Hint::Prop { name, cmpr })
        }
        _ => None,
    })
}

fn by_valu(
    rt: &Rt,
    oper: &OperRef,
    name: &PropName,
    cmpr: &Cmpr,
    path: Option<&Path>,
    reverse: bool,
    array: bool,
) -> Flow<Nodes> {
    let span = name_span(name, oper);
    let full = prop_name(rt, name, path)?;
    let item = compute(rt, &cmpr.value, path)?;
    let (base, pivs) = match full.split_once("::") {
        Some((base, pivs)) => (base, pivs.split("::").collect::<Vec<_>>()),
        None => (&*full, Vec::new()),
    };
    let model = rt.model();
    let props = match model.prop(base) {
        Some(prop) => vec![prop.clone()],
        None => model.iface_props(base).ok_or_else(|| {
            let mesg = format!("No property named {base}.");
            rt.at(span, err!("NoSuchProp", mesg = mesg, name = base).into())
        })?,
    };
    let (snap, op) = (rt.snap(), &*cmpr.oper.text);
    let lift = |prop: &Arc<Prop>| -> Flow<Nodes> {
        let valu = node_stor(rt, &item, prop)?;
        if array {
            snap.by_array(&prop.full, op, &valu, reverse, true)
        } else {
            snap.by_prop_valu(&prop.full, op, &valu, reverse)
        }
    };
    let made = (|| {
        if !pivs.is_empty() {
            return pivot_lift(rt, &props, &pivs, lift, reverse);
        }
        let mut genrs = Vec::new();
        for prop in &props {
            genrs.push(lift(prop)?);
        }
        let rel = props[0].name.clone();
        Ok(merged(genrs, move |node| node.get(&rel).unwrap_or_default(), reverse))
    })();
    made.map_err(|error| {
        let span = if error.isa("BadTypeValu") { cmpr.value.span } else { oper.span };
        rt.at(span, error)
    })
}

/// The value to lift by: a live node stands for itself where references are wanted.
fn node_stor(rt: &Rt, item: &Item, prop: &Prop) -> Flow<Value> {
    let isndef = prop.typ.ctor == myelin_model::CtorKind::Ndef
        || prop.typ.array_type().is_some_and(|item| item.ctor == myelin_model::CtorKind::Ndef);
    item.tostor(rt, isndef && matches!(item, Item::Node(_)))
}

fn pivot_lift(
    rt: &Rt,
    props: &[Arc<Prop>],
    pivs: &[&str],
    lift: impl Fn(&Arc<Prop>) -> Flow<Nodes>,
    reverse: bool,
) -> Flow<Nodes> {
    let model = rt.model();
    let mut typename = props[0].typ.name.clone();
    let mut steps: Vec<Arc<Prop>> = Vec::new();
    for piv in pivs {
        let prop = model.req_prop(&format!("{typename}:{piv}"))?.clone();
        typename = prop.typ.name.clone();
        steps.push(prop);
    }
    let Some(last) = steps.pop() else { return Ok(Box::new(std::iter::empty())) };
    let mut nodes = lift(&last)?;
    let snap = rt.snap().clone();
    let all: Vec<Vec<Arc<Prop>>> = steps.into_iter().rev().map(|prop| vec![prop]).chain([props.to_vec()]).collect();
    for step in all {
        let snap = snap.clone();
        nodes = Box::new(nodes.flat_map(move |node| -> Nodes {
            let node = match node {
                Ok(node) => node,
                Err(error) => return Box::new(std::iter::once(Err(error))),
            };
            let mut retn: Nodes = Box::new(std::iter::empty());
            for prop in &step {
                let found = snap.by_prop_valu(&prop.full, "=", node.valu(), reverse);
                let found = found.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))));
                retn = Box::new(retn.chain(found));
            }
            retn
        }));
    }
    Ok(nodes)
}

fn tag_tag(rt: &Rt, tag: &Tag, cmpr: Option<&Cmpr>, path: Option<&Path>, reverse: bool) -> Flow<Nodes> {
    let name = tag_name(rt, tag, path)?;
    let snap = rt.snap().clone();
    if snap.node_by_ndef("syn:tag", &Value::from(&name))?.is_none() {
        return Ok(Box::new(std::iter::empty()));
    }
    let first = match cmpr {
        Some(cmpr) => {
            let valu = compute(rt, &cmpr.value, path)?.toprim(rt)?;
            snap.by_tag_valu(&name, &cmpr.oper.text, &valu, None, reverse)?
        }
        None => snap.by_tag(&name, None, reverse)?,
    };
    let mut done: HashSet<Arc<str>> = HashSet::from([name]);
    let mut todo: VecDeque<Nodes> = VecDeque::from([first]);
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let genr = todo.front_mut()?;
            match genr.next() {
                None => {
                    todo.pop_front();
                }
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(node)) if &**node.form_name() == "syn:tag" => {
                    let Some(tag) = node.valu().as_arc_str().cloned() else { continue };
                    if done.insert(tag.clone()) {
                        match snap.by_tag(&tag, None, reverse) {
                            Ok(nodes) => todo.push_back(nodes),
                            Err(error) => return Some(Err(error)),
                        }
                    }
                }
                Some(Ok(node)) => return Some(Ok(node)),
            }
        }
    })))
}

/// The nodes that a lookup text means, for the modes `lookup` and `autoadd`.
///
/// # Errors
/// What adding or reading nodes gives.
pub fn lookup(rt: &Rt, tokens: Vec<Arc<str>>, autoadd: bool, input: NodeGenr) -> NodeGenr {
    let rt = rt.clone();
    chain(input, move || {
        let mut todo: VecDeque<(String, Value)> = VecDeque::new();
        let mut tokens = VecDeque::from(tokens);
        Ok(from_fn(move || {
            loop {
                rt.tick()?;
                let Some((form, valu)) = todo.pop_front() else {
                    let Some(token) = tokens.pop_front() else { return Ok(None) };
                    // What is found first in a word is what the word stands for.
                    todo.extend(rt.host().scrape(&token).into_iter().next());
                    continue;
                };
                match lookup_one(&rt, &form, &valu, autoadd) {
                    Ok(Some(node)) => {
                        let path = rt.init_path(&node);
                        return Ok(Some((node, path)));
                    }
                    Ok(None) => {}
                    Err(error) if error.isa("BadTypeValu") => {}
                    Err(error) => return Err(error),
                }
            }
        }))
    })
}

fn lookup_one(rt: &Rt, form: &str, valu: &Value, autoadd: bool) -> Flow<Option<crate::node::Node>> {
    if autoadd {
        rt.layer_confirm(&["node", "add", form])?;
        return crate::edit::add_node(rt, form, valu).map(Some);
    }
    let norm = rt.model().req_form(form)?.typ.norm(&rt.norm_cx(), valu)?.value;
    let node = rt.snap().node_by_ndef(form, &norm)?;
    if node.is_none() {
        let ndef = Value::list([Value::from(form), norm]);
        rt.fire("look:miss", myelin_value::Map::new().with("ndef", ndef))?;
    }
    Ok(node)
}

/// The nodes of the `search` mode.
pub fn search(rt: &Rt, tokens: &[Value]) -> Flow<NodeGenr> {
    let Some(buids) = rt.host().search(rt, tokens)? else {
        return Ok(super::empty());
    };
    let (rt, mut seen) = (rt.clone(), HashSet::new());
    let mut buids = buids.into_iter();
    Ok(from_fn(move || {
        for buid in buids.by_ref() {
            if !seen.insert(buid) {
                continue;
            }
            if let Some(node) = rt.snap().node_by_buid(&buid)? {
                let path = rt.init_path(&node);
                return Ok(Some((node, path)));
            }
        }
        Ok(None)
    }))
}
