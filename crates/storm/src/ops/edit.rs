//! Edits in square brackets: each checks permissions, then plans and applies its edits.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_error::err;
use myelin_model::{CtorKind, Form, Prop};
use myelin_storm_syntax::{EdgeEdit, Edit, NodeAdd, OperKind, RelProp, SetOp, Span, Value as Ast, ValueKind};
use myelin_value::Value;

use super::{NodeGenr, OperRef, chain, each, empty, flat_map, from_fn, once, operator};
use crate::ctl::Flow;
use crate::edit::{Editor, add_node, del_prop, del_tag, del_tagprop, edit_node, no_ival, set_prop};
use crate::expr::{compute, prop_name, rel_name, subquery_array, tag_array, tagprop};
use crate::item::Item;
use crate::node::{Node, Path};
use crate::rt::{Rt, SubOpts};
use crate::walk::{Part, is_runtsafe, node_add_parts};

/// Every edit.
pub fn edit(rt: &Rt, oper: &OperRef, input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Edit(edit) = &oper.kind else { return Ok(input) };
    rt.req_not_readonly(oper.span)?;
    let (rt, oper) = (rt.clone(), oper.clone());
    Ok(match edit {
        Edit::NodeAdd(add) => node_add(&rt, add.clone(), input),
        Edit::Parens { .. } => parens(&rt, &oper, input)?,
        Edit::EdgeAdd(edge) | Edit::EdgeDel(edge) => {
            edge_edit(&rt, &oper, edge.clone(), matches!(edit, Edit::EdgeAdd(_)), input)?
        }
        Edit::UnivDel(RelProp::Univ(name)) if rt.model().univ(&name.text).is_none() => {
            let mesg = format!("No property named {}.", name.text);
            return Err(rt.at(name.span, err!("NoSuchProp", mesg = mesg, name = &name.text).into()));
        }
        _ => each(input, move |node, path| {
            rt.tick()?;
            let OperKind::Edit(edit) = &oper.kind else { return Ok(true) };
            one(&rt, &oper, edit, node, path)?;
            Ok(true)
        }),
    })
}

fn one(rt: &Rt, oper: &OperRef, edit: &Edit, node: &Node, path: &Path) -> Flow<()> {
    match edit {
        Edit::PropSet { prop, op, value } => prop_set(rt, prop, *op, value, node, path),
        Edit::CondPropSet { .. } => cond_set(rt, edit, node, path),
        Edit::PropSetMulti { prop, op, value } => prop_multi(rt, prop, *op, value, node, path),
        Edit::PropDel(prop) => {
            let (name, def) = req_prop(rt, prop, node, path)?;
            rt.confirm_prop_del(&def, None)?;
            del_prop(rt, node, &name).map(drop)
        }
        Edit::UnivDel(prop) => {
            let name = rel_name(rt, prop, Some(path))?;
            if rt.model().univ(&name).is_none() {
                let mesg = format!("No property named {name}.");
                return Err(rt.at(prop.span(), err!("NoSuchProp", mesg = mesg, name = name).into()));
            }
            rt.layer_confirm(&["node", "prop", "del", &name])?;
            del_prop(rt, node, &name).map(drop)
        }
        Edit::TagAdd { is_try, tag, value } => {
            let names = match tag_array(rt, tag, Some(path), *is_try) {
                Err(error) if *is_try && error.isa("BadTypeValu") => return Ok(()),
                other => other?,
            };
            tag_add(rt, &names, *is_try, value.as_ref(), node, path)
        }
        Edit::TagDel(tag) => {
            for name in tag_array(rt, tag, Some(path), true)? {
                confirm_tag(rt, "del", &name)?;
                del_tag(rt, node, &name)?;
            }
            Ok(())
        }
        Edit::TagPropSet { prop, op, value } => {
            let (tag, name) = tagprop(rt, prop, Some(path))?;
            let valu = compute(rt, value, Some(path))?.tostor(rt, false)?;
            confirm_tag(rt, "add", &tag)?;
            let done = edit_node(rt, node, |editor, buid| editor.set_tagprop(buid, &tag, &name, &valu));
            ignore_bad(done, op.is_try())
        }
        Edit::TagPropDel(prop) => {
            let (tag, name) = tagprop(rt, prop, Some(path))?;
            confirm_tag(rt, "del", &tag)?;
            del_tagprop(rt, node, &tag, &name).map(drop)
        }
        Edit::NodeAdd(_) | Edit::Parens { .. } | Edit::EdgeAdd(_) | Edit::EdgeDel(_) => {
            Err(rt.at(oper.span, err!("NoSuchImpl", mesg = "This edit does not stand here.").into()))
        }
    }
}

fn ignore_bad(done: Flow<()>, is_try: bool) -> Flow<()> {
    match done {
        Err(error) if is_try && error.isa("BadTypeValu") => Ok(()),
        other => other,
    }
}

/// Refuses who may not add or delete a tag.
fn confirm_tag(rt: &Rt, what: &str, tag: &str) -> Flow<()> {
    let mut perm = vec!["node", "tag", what];
    perm.extend(tag.split('.'));
    rt.layer_confirm(&perm)
}

fn req_prop(rt: &Rt, rel: &RelProp, node: &Node, path: &Path) -> Flow<(Arc<str>, Arc<Prop>)> {
    let name = rel_name(rt, rel, Some(path))?;
    match node.form().prop(&name) {
        Some(prop) => Ok((name, prop.clone())),
        None => Err(crate::expr::no_prop(rt, rel, Some(path), &name, node.form_name())),
    }
}

fn confirm_set(rt: &Rt, node: &Node, prop: &Prop) -> Flow<()> {
    if node.form().is_runt { Ok(()) } else { rt.confirm_prop_set(prop, None) }
}

/// The value to set: merged with the one that is there where the type says so.
fn merged(rt: &Rt, prop: &Prop, node: &Node, valu: Value) -> Flow<Value> {
    if prop.typ.ctor != CtorKind::Ival {
        return Ok(valu);
    }
    let Some(have) = node.get(&prop.name) else { return Ok(valu) };
    let norm = prop.typ.norm(&rt.norm_cx(), &valu)?.value;
    Ok(prop.typ.merge(&have, &norm))
}

fn prop_set(rt: &Rt, rel: &RelProp, op: SetOp, value: &Ast, node: &Node, path: &Path) -> Flow<()> {
    let (name, prop) = req_prop(rt, rel, node, path)?;
    confirm_set(rt, node, &prop)?;
    let done = (|| -> Flow<()> {
        let (mut expand, is_array) = (true, prop.typ.is_array());
        let item = match &value.kind {
            ValueKind::SubQuery(query) if is_array => {
                expand = false;
                subquery_array(rt, value, query)?
            }
            _ => compute(rt, value, Some(path))?,
        };
        let isndef = prop.typ.ctor == CtorKind::Ndef
            || prop.typ.array_type().is_some_and(|item| item.ctor == CtorKind::Ndef && matches!(op.base(), SetOp::Set));
        let mut valu = item.tostor(rt, isndef)?;
        if matches!(op.base(), SetOp::Add | SetOp::Del) {
            let Some(item) = prop.typ.array_type() else {
                let mesg = format!("Property set using ({}) is only valid on arrays.", op.text());
                return Err(rt.at(rel.span(), err!("StormRuntimeError", mesg = mesg).into()));
            };
            let vals = if expand { vec![valu] } else { valu.as_list().unwrap_or_default().to_vec() };
            valu = changed_array(rt, node, &name, item, vals, op.base() == SetOp::Add, false)?;
        }
        let valu = merged(rt, &prop, node, valu)?;
        set_prop(rt, node, &name, &valu).map(drop)
    })();
    ignore_bad(done, op.is_try())
}

/// The array with values added or removed. Values that are added are normalised later, with the array.
fn changed_array(
    rt: &Rt,
    node: &Node,
    name: &str,
    item: &myelin_model::Type,
    vals: Vec<Value>,
    add: bool,
    skip_bad: bool,
) -> Flow<Value> {
    let have = node.get(name);
    let mut array: Vec<Value> = have.as_ref().and_then(Value::as_list).unwrap_or_default().to_vec();
    let cx = rt.norm_cx();
    for valu in vals {
        if add && !skip_bad {
            array.push(valu);
            continue;
        }
        let norm = match item.norm(&cx, &valu) {
            Ok(norm) => norm.value,
            Err(error) if skip_bad && error.is("BadTypeValu") => continue,
            Err(error) => return Err(error.into()),
        };
        if add {
            array.push(norm);
        } else if let Some(at) = array.iter().position(|have| have.py_eq(&norm)) {
            array.remove(at);
        }
    }
    Ok(Value::list(array))
}

fn cond_set(rt: &Rt, edit: &Edit, node: &Node, path: &Path) -> Flow<()> {
    let Edit::CondPropSet { prop: rel, when, when_span, is_try, value } = edit else { return Ok(()) };
    let (name, prop) = req_prop(rt, rel, node, path)?;
    let cond = compute(rt, when, Some(path))?;
    match cond.as_str() {
        Some("never") => return Ok(()),
        Some("unset") if node.get(&name).is_some() => return Ok(()),
        Some("always" | "unset") => {}
        _ => {
            let mesg = format!("Invalid conditional set operator ({}).", cond.torepr(rt, true)?);
            return Err(rt.at(*when_span, err!("StormRuntimeError", mesg = mesg).into()));
        }
    }
    confirm_set(rt, node, &prop)?;
    let done = (|| -> Flow<()> {
        let valu = compute(rt, value, Some(path))?.tostor(rt, prop.typ.ctor == CtorKind::Ndef)?;
        let valu = merged(rt, &prop, node, valu)?;
        set_prop(rt, node, &name, &valu).map(drop)
    })();
    ignore_bad(done, *is_try)
}

fn prop_multi(rt: &Rt, rel: &RelProp, op: SetOp, value: &Ast, node: &Node, path: &Path) -> Flow<()> {
    let (name, prop) = req_prop(rt, rel, node, path)?;
    rt.confirm_prop_set(&prop, None)?;
    let Some(item) = prop.typ.array_type() else {
        let mesg = format!("Property set using ({}) is only valid on arrays.", op.text());
        return Err(rt.at(rel.span(), err!("StormRuntimeError", mesg = mesg).into()));
    };
    let valu = match &value.kind {
        ValueKind::SubQuery(query) => subquery_array(rt, value, query)?,
        _ => compute(rt, value, Some(path))?,
    };
    if valu.is_null() {
        return Ok(());
    }
    let isndef = item.ctor == CtorKind::Ndef;
    let genr = valu.toiter(rt).map_err(|error| rt.at(value.span, error))?;
    let mut vals = Vec::new();
    while let Some(item) = genr.next_item()? {
        vals.push(item.tostor(rt, isndef)?);
    }
    let cx = rt.norm_cx();
    let mut norms = Vec::new();
    for valu in vals {
        match item.norm(&cx, &valu) {
            Ok(norm) => norms.push(norm.value),
            Err(error) if op.is_try() && error.is("BadTypeValu") => {}
            Err(error) => return Err(error.into()),
        }
    }
    let valu = changed_array(rt, node, &name, item, norms, op.base() == SetOp::AddMulti, false)?;
    set_prop(rt, node, &name, &valu).map(drop)
}

fn tag_add(
    rt: &Rt,
    names: &[Arc<str>],
    is_try: bool,
    value: Option<&(SetOp, Ast)>,
    node: &Node,
    path: &Path,
) -> Flow<()> {
    if node.form().is_runt {
        let mesg = "Cannot add tags to runt nodes.";
        let tag = names.first().cloned();
        return Err(err!("IsRuntForm", mesg = mesg, form = node.form_name(), tag = tag).into());
    }
    let mut valu = no_ival();
    if let Some((op, ast)) = value {
        valu = compute(rt, ast, Some(path))?.toprim(rt)?;
        if *op == SetOp::TrySet {
            let norm = rt.model().req_type("ival")?.norm(&rt.norm_cx(), &valu);
            valu = match norm {
                Ok(norm) => norm.value,
                Err(error) if error.is("BadTypeValu") => no_ival(),
                Err(error) => return Err(error.into()),
            };
        }
    }
    for name in names {
        confirm_tag(rt, "add", name)?;
    }
    let mut editor = Editor::new(rt);
    let buid = editor.load(node)?;
    for name in names {
        ignore_bad(editor.add_tag(buid, name, &valu).map(drop), is_try)?;
    }
    editor.finish()
}

/// Whether a node edit is the same for every node.
fn add_runtsafe(rt: &Rt, add: &NodeAdd) -> bool {
    let mut safe = true;
    node_add_parts(add, &mut |part: Part<'_>| safe = safe && is_runtsafe(part, rt));
    safe
}

fn req_form(rt: &Rt, add: &NodeAdd, path: Option<&Path>) -> Flow<Arc<Form>> {
    let name = prop_name(rt, &add.form, path)?;
    rt.layer_confirm(&["node", "add", &name])?;
    let span = match &add.form {
        myelin_storm_syntax::PropName::Const(name) => name.span,
        // The star and the dollar sign count.
        myelin_storm_syntax::PropName::Deref(valu) => Span { start: valu.span.start.saturating_sub(2), ..valu.span },
    };
    rt.mark(span, rt.model().req_form(&name).cloned())
}

/// The value to add: a live node in it stands for a reference where the type wants one, else for its value.
fn add_valu(rt: &Rt, form: &Form, item: &Item) -> Flow<Value> {
    let ndefs = match form.typ.ctor {
        CtorKind::Ndef => return item.tostor(rt, true),
        CtorKind::Edge | CtorKind::TimeEdge => None,
        CtorKind::Array => Some(form.typ.array_type().is_some_and(|item| item.ctor == CtorKind::Ndef)),
        CtorKind::Comp => None,
        _ => Some(false),
    };
    let (None, Some(items)) = (ndefs, item.members()) else { return item.tostor(rt, ndefs == Some(true)) };
    let fields = form.typ.imp().fields();
    let model = rt.model();
    let mut retn = Vec::with_capacity(items.len());
    for (indx, item) in items.iter().enumerate() {
        let isndef = match fields.get(indx) {
            Some(field) if form.typ.ctor == CtorKind::Comp => field.typ(&*model)?.ctor == CtorKind::Ndef,
            _ => form.typ.ctor != CtorKind::Comp,
        };
        retn.push(item.tostor(rt, isndef)?);
    }
    Ok(Value::list(retn))
}

/// The nodes that an added value stands for, added one by one.
fn adds(rt: &Rt, form: Arc<Form>, add: &NodeAdd, path: Option<&Path>) -> Flow<NodeGenr> {
    let is_try = add.op.is_try();
    let item = compute(rt, &add.value, path)?;
    let valu = add_valu(rt, &form, &item)?;
    let mut vals = match form.typ.type_vals(&rt.norm_cx(), &valu) {
        Err(error) if is_try && error.is("BadTypeValu") => return Ok(empty()),
        other => other?,
    };
    let rt = rt.clone();
    Ok(from_fn(move || {
        loop {
            rt.tick()?;
            let Some(valu) = vals.next() else { return Ok(None) };
            match add_node(&rt, &form.name, &valu) {
                Ok(node) => {
                    let path = rt.init_path(&node);
                    return Ok(Some((node, path)));
                }
                Err(error) if is_try && error.isa("BadTypeValu") => {}
                Err(error) => return Err(error),
            }
        }
    }))
}

/// `form=value`
fn node_add(rt: &Rt, add: NodeAdd, input: NodeGenr) -> NodeGenr {
    let rt = rt.clone();
    if add_runtsafe(&rt, &add) {
        return chain(input, move || {
            let form = req_form(&rt, &add, None)?;
            adds(&rt, form, &add, None)
        });
    }
    flat_map(input, move |node, path| {
        let form = req_form(&rt, &add, Some(&path))?;
        let genr = adds(&rt, form, &add, Some(&path))?;
        Ok(chain(genr, move || Ok(once((node, path)))))
    })
}

/// `( form=value edits… )`
fn parens(rt: &Rt, oper: &OperRef, input: NodeGenr) -> Flow<NodeGenr> {
    let OperKind::Edit(Edit::Parens { add, edits, .. }) = &oper.kind else { return Ok(input) };
    let (rt, oper, add, count) = (rt.clone(), oper.clone(), add.clone(), edits.len());
    let edited = move |rt: &Rt, oper: &OperRef, mut genr: NodeGenr| -> NodeGenr {
        for indx in 0..count {
            genr = operator(rt, oper.inner(indx), genr);
        }
        genr
    };
    if add_runtsafe(&rt, &add) {
        let form = prop_name(&rt, &add.form, None)?;
        rt.layer_confirm(&["node", "add", &form])?;
        return Ok(chain(input, move || {
            let form = req_form(&rt, &add, None)?;
            let genr = adds(&rt, form, &add, None)?;
            Ok(edited(&rt, &oper, genr))
        }));
    }
    Ok(flat_map(input, move |node, path| {
        let form = req_form(&rt, &add, Some(&path))?;
        let (rt, oper, add, held) = (rt.clone(), oper.clone(), add.clone(), path.clone());
        Ok(chain(once((node, path)), move || {
            let genr = adds(&rt, form, &add, Some(&held))?;
            Ok(edited(&rt, &oper, genr))
        }))
    }))
}

fn runt_edge(rt: &Rt, oper: &OperRef, node: &Node) -> Flow<()> {
    if !node.form().is_runt {
        return Ok(());
    }
    let form = node.form_name();
    let mesg = format!("Edges cannot be used with runt nodes: {form}");
    Err(rt.at(oper.span, err!("IsRuntForm", mesg = mesg, form = form).into()))
}

/// How many edits of edges may wait before they are applied.
const MAX_EDGES: usize = 1000;

/// `+(verb)> { … }`, `<(verb)+ { … }` and their opposites
fn edge_edit(rt: &Rt, oper: &OperRef, edge: EdgeEdit, add: bool, input: NodeGenr) -> Flow<NodeGenr> {
    let what = if add { "add" } else { "del" };
    let mut allowed: HashSet<Arc<str>> = HashSet::new();
    if edge.verb.is_const() {
        let verb = compute(rt, &edge.verb, None)?.tostr(rt)?;
        rt.layer_confirm(&["node", "edge", what, &verb])?;
        allowed.insert(verb);
    }
    let (rt, oper) = (rt.clone(), oper.clone());
    Ok(each(input, move |node, path| {
        runt_edge(&rt, &oper, node)?;
        let verb = compute(&rt, &edge.verb, Some(path))?.tostr(&rt)?;
        if !allowed.contains(&verb) {
            rt.layer_confirm(&["node", "edge", what, &verb])?;
            allowed.insert(verb.clone());
        }
        let mut others: Box<dyn FnMut() -> Flow<Option<Node>> + Send> = match &edge.nodes.kind {
            ValueKind::SubQuery(query) => {
                let mut genr = rt.sub(query, SubOpts::default())?.execute()?;
                Box::new(move || Ok(genr.next()?.map(|(node, _)| node)))
            }
            _ => {
                let item: Item = compute(&rt, &edge.nodes, Some(path))?;
                super::item_nodes(&rt, item, edge.nodes.span)
            }
        };
        let mut editor = Editor::new(&rt);
        let change = |editor: &mut Editor<'_>, from: &Node, to: &Node| -> Flow<bool> {
            let buid = editor.load(from)?;
            if add { editor.add_edge(buid, &verb, to.buid()) } else { editor.del_edge(buid, &verb, to.buid()) }
        };
        while let Some(other) = others()? {
            rt.tick()?;
            runt_edge(&rt, &oper, &other)?;
            if edge.n2 {
                let mut editor = Editor::new(&rt);
                change(&mut editor, &other, node)?;
                editor.finish()?;
                continue;
            }
            change(&mut editor, node, &other)?;
            if editor.edge_count(&node.buid()) >= MAX_EDGES {
                editor.flush()?;
            }
        }
        editor.finish()?;
        Ok(true)
    }))
}
