//! Pivots along properties and walks along light edges.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use myelin_error::err;
use myelin_model::{CtorKind, Form, Model, Prop};
use myelin_storm_syntax::{OperKind, PivotDest, PivotKind, RelProp, Span, Tag, TagKind};
use myelin_value::{Map, Value};

use super::{NodeGenr, OperRef, chain, flat_map, from_fn, once};
use crate::ctl::{Ctl, Flow};
use crate::expr::{compute, dest_names, prop_and_valu, rel_name, tag_match};
use crate::glob::fnmatch;
use crate::node::{Link, Node, Path};
use crate::rt::{Rt, SubOpts};
use crate::snap::{Nodes, Snap};

/// One step of a pivot: what makes nodes, and how the path says it got there.
type Step = (Box<dyn FnOnce() -> Flow<Nodes> + Send>, Link);

fn prop_link(name: &Arc<str>, reverse: bool) -> Link {
    Link::Prop { name: name.clone(), reverse }
}

/// The ends of an edge node.
static N1: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("n1"));
static N2: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("n2"));

/// The nodes of steps, one step after the other, a bad value ending only in a warning.
fn steps(rt: &Rt, path: Path, steps: Vec<Step>, warn: Option<Value>) -> NodeGenr {
    let rt = rt.clone();
    let mut steps = steps.into_iter();
    let mut cur: Option<(Nodes, Link)> = None;
    from_fn(move || {
        loop {
            rt.tick()?;
            let found = match &mut cur {
                Some((nodes, _)) => nodes.next().transpose(),
                None => match steps.next() {
                    None => return Ok(None),
                    Some((make, link)) => match make() {
                        Ok(nodes) => {
                            cur = Some((nodes, link));
                            continue;
                        }
                        Err(error) => Err(error),
                    },
                },
            };
            match (found, &cur) {
                (Ok(Some(node)), Some((_, link))) => {
                    let path = path.fork(node.clone(), Some(link.clone()));
                    return Ok(Some((node, path)));
                }
                (Ok(_), _) => cur = None,
                (Err(Ctl::Err(error)), _) if warn.is_some() && (error.is("BadTypeValu") || error.is("BadLiftValu")) => {
                    super::flow::warn_pivot(&rt, &error, &warn.clone().unwrap_or_default())?;
                    return Ok(None);
                }
                (Err(error), _) => return Err(error),
            }
        }
    })
}

fn by_ref(snap: &Arc<Snap>, ndef: Value) -> Box<dyn FnOnce() -> Flow<Nodes> + Send> {
    let snap = snap.clone();
    Box::new(move || Ok(Box::new(snap.node_by_ref(&ndef)?.into_iter().map(Ok))))
}

fn by_ndef(snap: &Arc<Snap>, form: &Arc<str>, valu: Value) -> Box<dyn FnOnce() -> Flow<Nodes> + Send> {
    by_ref(snap, Value::list([Value::from(form), valu]))
}

fn by_valu(snap: &Arc<Snap>, full: &str, valu: Value, norm: bool) -> Box<dyn FnOnce() -> Flow<Nodes> + Send> {
    let (snap, full) = (snap.clone(), full.to_owned());
    Box::new(move || snap.by_pivot(&full, &valu, norm))
}

/// By the value of a property that is at hand; normalised again only where the types differ.
fn by_prop(snap: &Arc<Snap>, prop: &Arc<Prop>, valu: Value, norm: bool) -> Box<dyn FnOnce() -> Flow<Nodes> + Send> {
    if norm {
        return by_valu(snap, &prop.full, valu, true);
    }
    let (snap, prop) = (snap.clone(), prop.clone());
    Box::new(move || snap.by_norm(&prop, &valu, false))
}

fn by_array(snap: &Arc<Snap>, full: &str, valu: Value, norm: bool) -> Box<dyn FnOnce() -> Flow<Nodes> + Send> {
    let (snap, full) = (snap.clone(), full.to_owned());
    Box::new(move || snap.by_array(&full, "=", &valu, false, norm))
}

fn by_tag(snap: &Arc<Snap>, tag: Value, form: Option<Arc<str>>) -> Box<dyn FnOnce() -> Flow<Nodes> + Send> {
    let snap = snap.clone();
    Box::new(move || snap.by_tag(tag.as_str().unwrap_or_default(), form.as_ref(), false))
}

fn is_edge(form: &Form) -> bool {
    matches!(form.typ.ctor, CtorKind::Edge | CtorKind::TimeEdge)
}

fn joined(
    join: bool,
    node: Node,
    path: Path,
    genr: impl FnOnce(Node, Path) -> Flow<NodeGenr> + Send + 'static,
) -> Flow<NodeGenr> {
    if !join {
        return genr(node, path);
    }
    let held = (node.clone(), path.clone());
    Ok(chain(once(held), move || genr(node, path)))
}

/// Every pivot.
pub fn pivot(rt: &Rt, oper: &OperRef, input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Pivot(pivot) = &oper.kind else { return Ok(input) };
    let (rt, join, oper) = (rt.clone(), pivot.join, oper.clone());
    Ok(match &pivot.kind {
        PivotKind::Out | PivotKind::OutEdges => {
            let edges = matches!(pivot.kind, PivotKind::OutEdges);
            let mut kept = OutsKept::default();
            flat_map(input, move |node, path| {
                let rt = rt.clone();
                let outs = kept.get(&rt, node.form());
                joined(join, node, path, move |node, path| {
                    let first = steps(&rt, path.clone(), out_steps(&rt, &outs, &node), None);
                    Ok(if edges { chain(first, move || edges_of(&rt, &node, &path, None, false)) } else { first })
                })
            })
        }
        PivotKind::In | PivotKind::InEdges => {
            let edges = matches!(pivot.kind, PivotKind::InEdges);
            flat_map(input, move |node, path| {
                let rt = rt.clone();
                joined(join, node, path, move |node, path| {
                    let first = steps(&rt, path.clone(), in_steps(&rt, &node)?, None);
                    Ok(if edges { chain(first, move || edges_of(&rt, &node, &path, None, true)) } else { first })
                })
            })
        }
        PivotKind::InFrom(_) => in_from(&rt, &oper, join, input)?,
        PivotKind::ToTags(_) => flat_map(input, move |node, path| {
            let (rt, oper) = (rt.clone(), oper.clone());
            joined(join, node, path, move |node, path| {
                let OperKind::Pivot(pivot) = &oper.kind else { return Ok(super::empty()) };
                let PivotKind::ToTags(tag) = &pivot.kind else { return Ok(super::empty()) };
                let list = tag_steps(&rt, tag, &node, &path)?;
                Ok(steps(&rt, path, list, None))
            })
        }),
        PivotKind::Form(_) => form_pivot(&rt, &oper, join, input),
        PivotKind::Raw(query) => {
            let query = query.clone();
            flat_map(input, move |_, _| rt.sub(&query, SubOpts::default())?.execute())
        }
        PivotKind::PropOut(_) => {
            let mut warned = false;
            flat_map(input, move |node, path| {
                let OperKind::Pivot(pivot) = &oper.kind else { return Ok(super::empty()) };
                let PivotKind::PropOut(rel) = &pivot.kind else { return Ok(super::empty()) };
                let list = prop_out(&rt, rel, &node, &path, &mut warned)?;
                let rt = rt.clone();
                joined(join, node, path, move |_, path| Ok(steps(&rt, path, list, None)))
            })
        }
        PivotKind::Prop(..) => prop_pivot(&rt, &oper, join, input),
    })
}

/// How a property leads on in `-> *`.
enum Leads {
    /// It is a reference.
    Ndef,
    /// It holds references.
    Ndefs,
    /// To nodes of a form: by its items, by itself.
    Forms(Option<Arc<str>>, Option<(Arc<str>, bool)>),
}

/// The properties of a form that lead on, in the form's order.
struct Outs {
    form: Arc<Form>,
    names: Vec<Arc<str>>,
    leads: Vec<Leads>,
}

impl Outs {
    fn of(model: &Model, form: &Arc<Form>) -> Outs {
        let mut outs = Outs { form: form.clone(), names: Vec::new(), leads: Vec::new() };
        for (name, prop) in &form.props {
            let lead = if prop.typ.ctor == CtorKind::Ndef {
                Leads::Ndef
            } else {
                let item = prop.typ.array_type();
                if item.is_some_and(|item| item.ctor == CtorKind::Ndef) {
                    Leads::Ndefs
                } else {
                    let items = item.filter(|item| model.form(&item.name).is_some()).map(|item| item.name.clone());
                    let whole = model.form(&prop.typ.name).map(|to| (to.name.clone(), prop.is_runt || to.is_runt));
                    if items.is_none() && whole.is_none() {
                        continue;
                    }
                    Leads::Forms(items, whole)
                }
            };
            outs.names.push(name.clone());
            outs.leads.push(lead);
        }
        outs
    }
}

/// What was found out about the forms met so far.
#[derive(Default)]
struct OutsKept(HashMap<Arc<str>, Arc<Outs>>);

impl OutsKept {
    fn get(&mut self, rt: &Rt, form: &Arc<Form>) -> Arc<Outs> {
        match self.0.get(&form.name) {
            Some(outs) if Arc::ptr_eq(&outs.form, form) => outs.clone(),
            _ => {
                let outs = Arc::new(Outs::of(&rt.model(), form));
                self.0.insert(form.name.clone(), outs.clone());
                outs
            }
        }
    }
}

/// `-> *`
fn out_steps(rt: &Rt, outs: &Outs, node: &Node) -> Vec<Step> {
    let (snap, form) = (rt.snap(), node.form());
    if &*form.name == "syn:tag" {
        let link = Map::new().with("type", "tag").with("tag", node.valu().clone()).with("reverse", true);
        return vec![(by_tag(snap, node.valu().clone(), None), link.into())];
    }
    if is_edge(form) {
        let Some(n2) = node.get("n2") else { return Vec::new() };
        return vec![(by_ref(snap, n2), prop_link(&N2, false))];
    }
    let mut retn: Vec<Step> = Vec::new();
    for (indx, valu) in node.pick(&outs.names) {
        let link = prop_link(&outs.names[indx], false);
        let (items, dest) = match &outs.leads[indx] {
            Leads::Ndef => {
                retn.push((by_ref(snap, valu), link));
                continue;
            }
            Leads::Ndefs => {
                let items = valu.as_list().unwrap_or_default();
                retn.extend(items.iter().map(|item| (by_ref(snap, item.clone()), link.clone())));
                continue;
            }
            Leads::Forms(items, dest) => (items, dest),
        };
        if let Some(to) = items {
            let items = valu.as_list().unwrap_or_default();
            retn.extend(items.iter().map(|valu| (by_valu(snap, to, valu.clone(), false), link.clone())));
        }
        let Some((dest, is_runt)) = dest else { continue };
        if *is_runt {
            retn.push((by_valu(snap, dest, valu, true), link));
            continue;
        }
        let (snap, dest, own) = (snap.clone(), dest.clone(), node.buid());
        let make = move || -> Flow<Nodes> {
            let found = snap.node_by_ndef(&dest, &valu)?.filter(|node| node.buid() != own);
            Ok(Box::new(found.into_iter().map(Ok)))
        };
        retn.push((Box::new(make), link));
    }
    retn
}

/// `<- *`
fn in_steps(rt: &Rt, node: &Node) -> Flow<Vec<Step>> {
    let (snap, model, form) = (rt.snap(), rt.model(), node.form());
    if is_edge(form) {
        let Some(n1) = node.get("n1") else { return Ok(Vec::new()) };
        return Ok(vec![(by_ref(snap, n1), prop_link(&N1, true))]);
    }
    let mut retn: Vec<Step> = Vec::new();
    for prop in model.props_by_type(&form.name) {
        let norm = form.typ.typehash != prop.typ.typehash;
        // A value that has to be normalised may be refused: that is said even where there is nothing to find.
        if !norm && !snap.has_index(&prop) {
            continue;
        }
        retn.push((by_prop(snap, &prop, node.valu().clone(), norm), prop_link(&prop.name, true)));
    }
    for prop in model.array_props_by_type(&form.name) {
        let norm = prop.typ.array_type().is_none_or(|item| item.typehash != form.typ.typehash);
        retn.push((by_array(snap, &prop.full, node.valu().clone(), norm), prop_link(&prop.name, true)));
    }
    if !node.is_runt() {
        for (buid, prop) in snap.view().ndef_refs(&node.buid())? {
            let snap = snap.clone();
            let make = move || -> Flow<Nodes> { Ok(Box::new(snap.node_by_buid(&buid)?.into_iter().map(Ok))) };
            retn.push((Box::new(make), prop_link(&prop, true)));
        }
    }
    Ok(retn)
}

/// The nodes along light edges.
fn edges_of(rt: &Rt, node: &Node, path: &Path, verb: Option<&str>, reverse: bool) -> Flow<NodeGenr> {
    let (rt, path) = (rt.clone(), path.clone());
    let view = rt.snap().view();
    let mut edges = if reverse { view.edges_n2(&node.buid(), verb)? } else { view.edges_n1(&node.buid(), verb)? };
    Ok(from_fn(move || {
        for edge in edges.by_ref() {
            rt.tick()?;
            let (verb, buid) = edge?;
            if let Some(other) = rt.snap().node_by_buid(&buid)? {
                let path = path.fork(other.clone(), Some(Link::Edge { verb, reverse }));
                return Ok(Some((other, path)));
            }
        }
        Ok(None)
    }))
}

/// `<- form`
fn in_from(rt: &Rt, oper: &OperRef, join: bool, input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Pivot(pivot) = &oper.kind else { return Ok(input) };
    let PivotKind::InFrom(name) = &pivot.kind else { return Ok(input) };
    let name = crate::expr::prop_name(rt, name, None)?;
    let model = rt.model();
    let form = rt.mark(oper.span, model.req_form(&name))?.clone();
    let (rt, span) = (rt.clone(), oper.span);
    Ok(flat_map(input, move |node, path| {
        let (rt, form) = (rt.clone(), form.clone());
        joined(join, node, path, move |node, path| {
            let snap = rt.snap();
            let list: Vec<Step> = if is_edge(&form) {
                let full = format!("{}:n2", form.name);
                vec![(by_valu(snap, &full, node.ndef_value(), false), prop_link(&N2, true))]
            } else if !is_edge(node.form()) {
                let kind = &node.form().typ.name;
                let mesg = format!("Pivot in from a specific form cannot be used with nodes of type {kind}");
                return Err(rt.at(span, err!("StormRuntimeError", mesg = mesg, name = kind).into()));
            } else if node.get("n1:form").as_ref().and_then(Value::as_str) != Some(&*form.name) {
                Vec::new()
            } else {
                node.get("n1").map(|n1| (by_ref(snap, n1), prop_link(&N1, true))).into_iter().collect()
            };
            Ok(steps(&rt, path, list, None))
        })
    }))
}

/// `-> #tag`
fn tag_steps(rt: &Rt, tag: &Tag, node: &Node, path: &Path) -> Flow<Vec<Step>> {
    let all = matches!(&tag.kind, TagKind::Const(text) if text.is_empty());
    let tags = if all { node.leaf_tags() } else { node.tags() };
    let mut retn: Vec<Step> = Vec::new();
    for (name, _) in tags {
        if !all {
            let want = tag_match(rt, tag, Some(path))?;
            let fits = if tag.has_glob() { fnmatch(&name, &want) } else { *name == *want };
            if !fits {
                continue;
            }
        }
        let link = Link::from(Map::new().with("type", "tag").with("tag", &name));
        retn.push((by_ndef(rt.snap(), &Arc::from("syn:tag"), Value::from(name)), link));
    }
    Ok(retn)
}

/// The properties that a destination names.
fn dest_props(rt: &Rt, names: &[Arc<str>], is_list: bool, forms: bool, span: Span) -> Flow<(Vec<Arc<Prop>>, bool)> {
    let model = rt.model();
    let missing = |name: &str| -> Ctl {
        let mesg = format!("No property named {name}.");
        rt.at(span, err!("NoSuchProp", mesg = mesg, name = name).into())
    };
    if !is_list && let [name] = names {
        if let Some(prop) = model.prop(name) {
            return Ok((vec![prop.clone()], true));
        }
        let props = if forms {
            rt.mark(span, model.req_props_by_look(name))?
        } else {
            model.iface_props(name).ok_or_else(|| missing(name))?
        };
        return Ok((props, false));
    }
    let props: Flow<Vec<_>> = names.iter().map(|name| model.prop(name).cloned().ok_or_else(|| missing(name))).collect();
    Ok((props?, false))
}

fn dest_span(dest: &PivotDest) -> Span {
    match dest {
        PivotDest::Any(span) => *span,
        PivotDest::Const(name) => name.span,
        PivotDest::Value(valu) => valu.span,
    }
}

/// `-> form`, `-> form:prop`
fn form_pivot(rt: &Rt, oper: &OperRef, join: bool, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let mut kept: Option<(Vec<Arc<Prop>>, bool)> = None;
    flat_map(input, move |node, path| {
        let OperKind::Pivot(pivot) = &oper.kind else { return Ok(super::empty()) };
        let PivotKind::Form(dest) = &pivot.kind else { return Ok(super::empty()) };
        if kept.is_none() || matches!(dest, PivotDest::Value(_)) {
            let (names, is_list) = dest_names(&rt, dest, None)?;
            kept = Some(dest_props(&rt, &names, is_list, true, dest_span(dest))?);
        }
        let (props, strict) = kept.clone().unwrap_or_default();
        let (rt, span) = (rt.clone(), oper.span);
        joined(join, node, path, move |node, path| {
            let mut list = Vec::new();
            for prop in &props {
                list.extend(form_steps(&rt, prop, &node, strict).map_err(|error| rt.at(span, error))?);
            }
            Ok(steps(&rt, path, list, Some(node.valu().clone())))
        })
    })
}

fn form_steps(rt: &Rt, prop: &Arc<Prop>, node: &Node, strict: bool) -> Flow<Vec<Step>> {
    let (snap, form) = (rt.snap(), node.form());
    if prop.typ.ctor == CtorKind::Ndef {
        return Ok(vec![(by_valu(snap, &prop.full, node.ndef_value(), false), prop_link(&prop.name, true))]);
    }
    if !prop.is_form {
        let link = prop_link(&prop.name, true);
        let make = match prop.typ.array_type() {
            Some(item) if item.ctor == CtorKind::Ndef => by_array(snap, &prop.full, node.ndef_value(), false),
            Some(item) => by_array(snap, &prop.full, node.valu().clone(), item.typehash != form.typ.typehash),
            None => by_prop(snap, prop, node.valu().clone(), prop.typ.typehash != form.typ.typehash),
        };
        return Ok(vec![(make, link)]);
    }
    let model = rt.model();
    let dest = model.req_form(&prop.name)?;
    if is_edge(dest) {
        let full = format!("{}:n1", dest.name);
        return Ok(vec![(by_valu(snap, &full, node.ndef_value(), false), prop_link(&N1, true))]);
    }
    if &*form.name == "syn:tag" {
        let link = Map::new().with("type", "tag").with("tag", node.valu().clone()).with("reverse", true);
        return Ok(vec![(by_tag(snap, node.valu().clone(), Some(dest.name.clone())), link.into())]);
    }
    if is_edge(form) {
        let n2 = node.get("n2").filter(|n2| n2.at(0).and_then(Value::as_str) == Some(&*dest.name));
        return Ok(n2.map(|n2| (by_ref(snap, n2), prop_link(&N2, false))).into_iter().collect());
    }
    let mut retn: Vec<Step> = Vec::new();
    let mut found = false;
    let refs = model.refs_out(&form.name);
    for (name, _) in refs.prop.iter().filter(|(_, to)| *to == dest.name) {
        found = true;
        retn.extend(node.get(name).map(|valu| (by_prop(snap, prop, valu, false), prop_link(name, false))));
    }
    for (name, _) in refs.array.iter().filter(|(_, to)| *to == dest.name) {
        found = true;
        for item in node.get(name).as_ref().and_then(Value::as_list).unwrap_or_default() {
            retn.push((by_prop(snap, prop, item.clone(), false), prop_link(name, false)));
        }
    }
    let to_dest = |valu: &Value| valu.at(0).and_then(Value::as_str) == Some(&*dest.name);
    for name in &refs.ndef {
        found = true;
        let valu = node.get(name).filter(to_dest);
        retn.extend(valu.map(|valu| (by_ref(snap, valu), prop_link(name, false))));
    }
    for name in &refs.ndefarray {
        found = true;
        let valu = node.get(name);
        for item in valu.as_ref().and_then(Value::as_list).unwrap_or_default().iter().filter(|item| to_dest(item)) {
            retn.push((by_ref(snap, item.clone()), prop_link(name, false)));
        }
    }
    let refs = model.refs_out(&dest.name);
    let full = |name: &Arc<str>| dest.prop(name).map_or_else(String::new, |prop| prop.full.to_string());
    for (name, _) in refs.prop.iter().filter(|(_, to)| *to == form.name) {
        found = true;
        let step = dest.prop(name).map(|prop| by_prop(snap, prop, node.valu().clone(), false));
        retn.extend(step.map(|step| (step, prop_link(name, true))));
    }
    for (name, _) in refs.array.iter().filter(|(_, to)| *to == form.name) {
        found = true;
        retn.push((by_array(snap, &full(name), node.valu().clone(), false), prop_link(name, true)));
    }
    for name in &refs.ndef {
        found = true;
        retn.push((by_valu(snap, &full(name), node.ndef_value(), false), prop_link(name, true)));
    }
    for name in &refs.ndefarray {
        found = true;
        retn.push((by_array(snap, &full(name), node.ndef_value(), false), prop_link(name, true)));
    }
    if strict && !found {
        let mesg = format!("No pivot found for {} -> {}.", form.name, dest.name);
        return Err(err!("NoSuchPivot", n1 = &form.name, n2 = &dest.name, mesg = mesg).into());
    }
    Ok(retn)
}

/// `:prop -> *`
fn prop_out(rt: &Rt, rel: &RelProp, node: &Node, path: &Path, warned: &mut bool) -> Flow<Vec<Step>> {
    let (snap, model) = (rt.snap(), rt.model());
    let name = rel_name(rt, rel, Some(path))?;
    let (Some(prop), Some(valu)) = (node.form().prop(&name), node.get(&name)) else { return Ok(Vec::new()) };
    let link = prop_link(&prop.name, false);
    let mut warn = |what: &str, kind: &str| -> Flow<()> {
        if std::mem::replace(warned, true) {
            return Ok(());
        }
        rt.warn(format!("The source property \"{name}\" {what} \"{kind}\" is not a form. Cannot pivot."))
    };
    if let Some(item) = prop.typ.array_type() {
        let items = valu.as_list().unwrap_or_default();
        if item.ctor == CtorKind::Ndef {
            return Ok(items.iter().map(|item| (by_ref(snap, item.clone()), link.clone())).collect());
        }
        if model.form(&item.name).is_none() {
            warn("array type", &item.name)?;
            return Ok(Vec::new());
        }
        return Ok(items.iter().map(|valu| (by_valu(snap, &item.name, valu.clone(), false), link.clone())).collect());
    }
    if prop.typ.ctor == CtorKind::Ndef {
        return Ok(vec![(by_ref(snap, valu), link)]);
    }
    let Some(form) = model.form(&prop.typ.name) else {
        warn("type", &prop.typ.name)?;
        return Ok(Vec::new());
    };
    Ok(vec![(by_ndef(snap, &form.name, valu), link)])
}

/// `:prop -> form:prop`
fn prop_pivot(rt: &Rt, oper: &OperRef, join: bool, input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let mut kept: Option<Vec<Arc<Prop>>> = None;
    flat_map(input, move |node, path| {
        let OperKind::Pivot(pivot) = &oper.kind else { return Ok(super::empty()) };
        let PivotKind::Prop(rel, dest) = &pivot.kind else { return Ok(super::empty()) };
        if kept.is_none() || matches!(dest, PivotDest::Value(_)) {
            let (names, is_list) = dest_names(&rt, dest, None)?;
            kept = Some(dest_props(&rt, &names, is_list, false, oper.span)?.0);
        }
        let props = kept.clone().unwrap_or_default();
        let (rt, rel) = (rt.clone(), rel.clone());
        joined(join, node, path, move |_, path| {
            let Some((src, valu)) = prop_and_valu(&rt, &rel, Some(&path))? else { return Ok(super::empty()) };
            let mut list = Vec::new();
            for prop in &props {
                prop_steps(&rt, &src, &valu, prop, &mut list)?;
            }
            Ok(steps(&rt, path, list, Some(valu)))
        })
    })
}

fn prop_steps(rt: &Rt, src: &Prop, valu: &Value, prop: &Arc<Prop>, list: &mut Vec<Step>) -> Flow<()> {
    let snap = rt.snap();
    let link = if prop.is_form {
        prop_link(&src.name, false)
    } else {
        Link::from(Map::new().with("type", "prop").with("prop", &src.name).with("dest", &prop.full))
    };
    let form = prop.form.as_ref().unwrap_or(&prop.name);
    let to_form = |valu: &Value| valu.at(0).and_then(Value::as_str) == Some(&**form);
    if let (Some(item), None) = (src.typ.array_type(), prop.typ.array_type()) {
        let items = valu.as_list().unwrap_or_default();
        if item.ctor == CtorKind::Ndef && prop.is_form {
            list.extend(
                items.iter().filter(|valu| to_form(valu)).map(|valu| (by_ref(snap, valu.clone()), link.clone())),
            );
            return Ok(());
        }
        let norm = item.typehash != prop.typ.typehash;
        list.extend(items.iter().map(|valu| (by_valu(snap, &prop.full, valu.clone(), norm), link.clone())));
        return Ok(());
    }
    if src.typ.ctor == CtorKind::Ndef && prop.is_form {
        if !to_form(valu) {
            return Ok(());
        }
        match snap.node_by_ref(valu)? {
            Some(node) => list.push((Box::new(move || Ok(Box::new(std::iter::once(Ok(node))))), link)),
            None => {
                let text = myelin_model::types::py::repr_text(valu);
                let mesg = format!("Missing node corresponding to ndef {text}");
                rt.warn_with(mesg, Map::new().with("ndef", valu.clone()))?;
            }
        }
        return Ok(());
    }
    let make = match (prop.typ.array_type(), src.typ.array_type()) {
        (Some(item), None) => by_array(snap, &prop.full, valu.clone(), item.typehash != src.typ.typehash),
        _ => by_prop(snap, prop, valu.clone(), prop.typ.typehash != src.typ.typehash),
    };
    list.push((make, link));
    Ok(())
}

/// Which nodes a walk may end at.
enum Dest {
    Any,
    Forms(HashSet<Arc<str>>, HashMap<Arc<str>, Vec<Arc<Prop>>>),
}

fn walk_dest(rt: &Rt, names: &[Arc<str>], cmpr: bool, whole: Span, verb: Span) -> Flow<Dest> {
    if names.iter().any(|name| &**name == "*") {
        if cmpr {
            let mesg = "Wild card walk operations do not support comparison.";
            return Err(rt.at(whole, err!("StormRuntimeError", mesg = mesg).into()));
        }
        return Ok(Dest::Any);
    }
    let (model, mut forms) = (rt.model(), HashSet::new());
    let mut props: HashMap<Arc<str>, Vec<Arc<Prop>>> = HashMap::new();
    for name in names {
        match model.prop(name) {
            Some(prop) if prop.is_form => {
                forms.insert(prop.name.clone());
            }
            Some(prop) => {
                let form = prop.form.clone().unwrap_or_else(|| Arc::from(""));
                props.entry(form).or_default().push(prop.clone());
            }
            None => forms.extend(rt.mark(verb, model.req_forms_by_look(name))?.iter().map(|form| form.name.clone())),
        }
    }
    Ok(Dest::Forms(forms, props))
}

fn ends_at(rt: &Rt, dest: &Dest, node: &Node, cmpr: Option<(&str, &Value)>) -> Flow<bool> {
    let Dest::Forms(forms, props) = dest else { return Ok(true) };
    let cx = rt.norm_cx();
    let form = node.form();
    if forms.contains(&form.name) {
        return match cmpr {
            Some((op, valu)) => Ok(form.typ.cmpr(&cx, node.valu(), op, valu)?),
            None => Ok(true),
        };
    }
    for prop in props.get(&form.name).into_iter().flatten() {
        let Some(have) = node.get(&prop.name) else { continue };
        match cmpr {
            Some((op, valu)) if !prop.typ.cmpr(&cx, &have, op, valu)? => {}
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// `-(verb)> dest`, `<(verb)- dest`
pub fn walk(rt: &Rt, oper: &OperRef, input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Walk(walk) = &oper.kind else { return Ok(input) };
    let (rt, join, oper) = (rt.clone(), walk.join, oper.clone());
    let mut kept: Option<Arc<Dest>> = None;
    Ok(flat_map(input, move |node, path| {
        let OperKind::Walk(walk) = &oper.kind else { return Ok(super::empty()) };
        let span = walk.verb.span;
        let verbs = compute(&rt, &walk.verb, Some(&path))?.toprim(&rt)?;
        let verbs: Vec<Value> = match &verbs {
            Value::Str(_) => vec![verbs],
            Value::List(verbs) => verbs.to_vec(),
            other => {
                let text = myelin_model::types::py::repr_text(other);
                let mesg = format!("walk operation expected a string or list.  got: {text}.");
                return Err(rt.at(span, err!("StormRuntimeError", mesg = mesg).into()));
            }
        };
        let valu = match &walk.cmpr {
            Some(cmpr) => Some(compute(&rt, &cmpr.value, Some(&path))?.tostor(&rt, false)?),
            None => None,
        };
        if kept.is_none() || matches!(walk.dest, PivotDest::Value(_)) {
            let (names, _) = dest_names(&rt, &walk.dest, Some(&path))?;
            kept = Some(Arc::new(walk_dest(&rt, &names, walk.cmpr.is_some(), oper.span, span)?));
        }
        let Some(dest) = kept.clone() else { return Ok(super::empty()) };
        let op = walk.cmpr.as_ref().map(|cmpr| cmpr.oper.text.clone());
        let (rt, reverse) = (rt.clone(), walk.reverse);
        joined(join, node, path, move |node, path| {
            let mut verbs = verbs.into_iter();
            let mut cur: Option<NodeGenr> = None;
            Ok(from_fn(move || {
                loop {
                    if let Some(genr) = &mut cur {
                        while let Some((found, path)) = genr.next()? {
                            let cmpr = op.as_deref().zip(valu.as_ref());
                            if ends_at(&rt, &dest, &found, cmpr)? {
                                return Ok(Some((found, path)));
                            }
                        }
                        cur = None;
                    }
                    let Some(verb) = verbs.next() else { return Ok(None) };
                    let verb = crate::item::Item::Val(verb).tostr(&rt)?;
                    let verb = (&*verb != "*").then_some(verb);
                    cur = Some(edges_of(&rt, &node, &path, verb.as_deref(), reverse)?);
                }
            }))
        })
    }))
}
