//! Values and expressions: a syntax tree value becomes an [`Item`].

mod call;
mod math;
mod name;

use std::sync::Arc;

use myelin_error::{Error, err};
use myelin_model::Prop;
use myelin_model::types::{Decimal, py};
use myelin_storm_syntax::{Const, Query, RelProp, Value as Ast, ValueKind};
use myelin_value::Value;

use crate::ctl::{Ctl, Ctrl, Flow};
use crate::item::{Item, QueryObj, Shelf};
use crate::node::{Node, Path};
use crate::rt::{Rt, SubOpts};

pub use call::call_closure;
pub use math::{binary, unary};
pub(crate) use name::no_prop;
pub use name::{dest_names, prop_name, rel_name, tag_array, tag_match, tag_name, tagprop};

/// Computes a value. `path` is there when it is computed for a node.
///
/// # Errors
/// Whatever the value's parts give, with the place of the error.
pub fn compute(rt: &Rt, valu: &Ast, path: Option<&Path>) -> Flow<Item> {
    match &valu.kind {
        ValueKind::Const(cons) => constant(cons),
        ValueKind::Var(name) => var(rt, valu, name, path),
        ValueKind::Deref { base, name } => {
            let base = compute(rt, base, path)?;
            if base.is_null() {
                return Ok(Item::NULL);
            }
            let key = compute(rt, name, path)?;
            let found = crate::types::deref_at(rt, &base, &key, path);
            found.map_err(|error| rt.at(name.span, error))
        }
        ValueKind::Call(call) => call::call(rt, valu, call, path),
        ValueKind::PropValue(prop) => {
            let Some((prop, valu)) = prop_and_valu(rt, prop, path)? else { return Ok(Item::NULL) };
            Ok(to_storm(&prop, valu))
        }
        ValueKind::TagValue(tag) => {
            let name = tag_name(rt, tag, path)?;
            let node = req_node(rt, valu, path)?;
            Ok(node.tag(&name).map_or(Item::NULL, Item::Val))
        }
        ValueKind::TagPropValue(prop) => {
            let (tag, name) = tagprop(rt, prop, path)?;
            let node = req_node(rt, valu, path)?;
            Ok(node.tagprop(&tag, &name).map_or(Item::NULL, Item::Val))
        }
        ValueKind::Expr(inner) => compute(rt, inner, path),
        ValueKind::Unary(oper, inner) => unary(rt, *oper, &compute(rt, inner, path)?),
        ValueKind::Binary(oper, left, right) => {
            let (one, two) = (compute(rt, left, path)?, compute(rt, right, path)?);
            binary(rt, *oper, &one, &two).map_err(|error| match &error {
                Ctl::Err(inner) if inner.message().starts_with("Cannot divide") => rt.at(right.span, error),
                Ctl::Err(inner) if inner.is("StormRuntimeError") => rt.at(valu.span, error),
                _ => error,
            })
        }
        ValueKind::And(left, right) => {
            let both = compute(rt, left, path)?.tobool(rt)? && compute(rt, right, path)?.tobool(rt)?;
            Ok(Item::from(both))
        }
        ValueKind::Or(left, right) => {
            let either = compute(rt, left, path)?.tobool(rt)? || compute(rt, right, path)?.tobool(rt)?;
            Ok(Item::from(either))
        }
        ValueKind::List(items) | ValueKind::ExprList(items) => {
            let items: Flow<Vec<Item>> = items.iter().map(|item| compute(rt, item, path)).collect();
            Ok(Item::list(items?))
        }
        ValueKind::ExprDict(items) => dict(rt, items, path),
        ValueKind::Format(parts) => {
            let mut text = String::new();
            for part in parts {
                text.push_str(&compute(rt, part, path)?.torepr(rt, true)?);
            }
            Ok(Item::from(text))
        }
        ValueKind::EmbedQuery(query) => Ok(embed(rt, query, path)),
        ValueKind::SubQuery(query) => subquery(rt, valu, query),
        ValueKind::ArgvQuery(query) => Ok(Item::from(query.text())),
        ValueKind::VarList(names) => Ok(Item::list(names.iter().map(|name| Item::from(&name.text)))),
    }
}

fn constant(cons: &Const) -> Flow<Item> {
    Ok(match cons {
        Const::Null => Item::NULL,
        Const::Bool(flag) => Item::from(*flag),
        Const::Int(text) => match text.parse::<i64>() {
            Ok(int) => Item::from(int),
            Err(_) => py::int_auto(text).map(Item::Val).ok_or_else(|| bad_number(text))?,
        },
        Const::Number(text) => Item::Num(Decimal::from_text(text).ok_or_else(|| bad_number(text))?),
        Const::Str(text) => Item::from(text),
    })
}

fn bad_number(text: &str) -> Error {
    err!("BadCast", mesg = format!("Failed to make number from {text}."))
}

fn var(rt: &Rt, valu: &Ast, name: &Arc<str>, path: Option<&Path>) -> Flow<Item> {
    if let Some(item) = path.and_then(|path| path.get_var(name)) {
        return Ok(item);
    }
    if let Some(item) = rt.get_var(name) {
        return Ok(item);
    }
    let runtsafe = rt.is_runt_var(name);
    let kind = if runtsafe { "Runtsafe" } else { "Non-runtsafe" };
    let mesg = format!("{kind} variable used before assignment: {name}");
    Err(rt.at(valu.span, err!("NoSuchVar", mesg = mesg, name = name, runtsafe = runtsafe).into()))
}

fn dict(rt: &Rt, items: &[(Ast, Ast)], path: Option<&Path>) -> Flow<Item> {
    let mut retn = crate::item::Members::default();
    for (key, valu) in items {
        let key = compute(rt, key, path)?.tokey(rt)?;
        retn.insert(key, compute(rt, valu, path)?);
    }
    Ok(Item::Dict(Shelf::made(retn)))
}

fn embed(rt: &Rt, query: &Arc<Query>, path: Option<&Path>) -> Item {
    let mut vars = rt.scope_vars();
    if let Some(path) = path {
        let own = path.vars();
        if vars.is_empty() {
            vars = own;
        } else {
            let all = Arc::make_mut(&mut vars);
            for (name, valu) in own.iter() {
                all.insert(name.clone(), valu.clone());
            }
        }
    }
    Item::Query(QueryObj::new(Arc::from(query.text()), vars, rt.clone()))
}

/// The nodes of a query used as a value, at most so many, or what it returned.
fn subquery_nodes(rt: &Rt, valu: &Ast, query: &Arc<Query>, limit: usize) -> Flow<Result<Vec<Item>, Item>> {
    let sub = rt.sub(query, SubOpts::default())?;
    let mut genr = sub.execute()?;
    let mut retn = Vec::new();
    loop {
        match genr.next() {
            Ok(Some((node, _))) => {
                retn.push(Item::Node(node));
                if retn.len() > limit {
                    let text = query.text();
                    let mesg = format!(
                        "Subquery used as a value yielded too many (>{limit}) nodes. {}",
                        crate::item::trim_text(text)
                    );
                    return Err(rt.at(valu.span, err!("BadTypeValu", mesg = mesg, text = text).into()));
                }
            }
            Ok(None) => return Ok(Ok(retn)),
            Err(Ctl::Ctrl(ctrl)) => match *ctrl {
                Ctrl::Return(item) => return Ok(Err(item)),
                other => return Err(Ctl::Ctrl(Box::new(other))),
            },
            Err(error) => return Err(error),
        }
    }
}

fn subquery(rt: &Rt, valu: &Ast, query: &Arc<Query>) -> Flow<Item> {
    match subquery_nodes(rt, valu, query, 1)? {
        Ok(nodes) => Ok(nodes.into_iter().next().unwrap_or_default()),
        Err(item) => Ok(item),
    }
}

/// A query used as the value of an array: up to 128 nodes, or what it returned.
///
/// # Errors
/// `BadTypeValu` when there are more.
pub fn subquery_array(rt: &Rt, valu: &Ast, query: &Arc<Query>) -> Flow<Item> {
    match subquery_nodes(rt, valu, query, 128)? {
        Ok(nodes) => Ok(Item::list(nodes)),
        Err(item) => Ok(item),
    }
}

fn req_node(rt: &Rt, valu: &Ast, path: Option<&Path>) -> Flow<Node> {
    path.and_then(Path::node).ok_or_else(|| {
        let mesg = "A value of a node is asked for where there is no node.";
        rt.at(valu.span, err!("StormRuntimeError", mesg = mesg).into())
    })
}

/// The value of a property as a query gets it: arrays and data as copies it may change.
pub fn to_storm(prop: &Prop, valu: Value) -> Item {
    if prop.typ.is_mutable() { Item::deep(&valu) } else { Item::Val(valu) }
}

/// A property of the node at hand, by way of others where the name has `::`, and its value.
///
/// # Errors
/// `NoSuchProp`, `NoSuchForm`.
pub fn prop_and_valu(rt: &Rt, rel: &RelProp, path: Option<&Path>) -> Flow<Option<(Arc<Prop>, Value)>> {
    let Some(path) = path else { return Ok(None) };
    let Some(mut node) = path.node() else { return Ok(None) };
    let full = rel_name(rt, rel, Some(path))?;
    let missing = |name: &str, node: &Node| match (rel, name::no_prop_name(rt, rel, Some(path))) {
        (RelProp::RelVar(valu, _), Some(error)) => rt.at(valu.span, error),
        _ => no_prop(rt, rel, Some(path), name, node.form_name()),
    };
    let mut steps = full.split("::").peekable();
    let single = !full.contains("::");
    while let Some(name) = steps.next() {
        let valu = node.get(name);
        if valu.is_none() && !single {
            return Ok(None);
        }
        let Some(prop) = node.form().prop(name).cloned() else { return Err(missing(name, &node)) };
        let Some(valu) = valu else { return Ok(None) };
        if steps.peek().is_none() {
            return Ok(Some((prop, valu)));
        }
        let model = rt.model();
        let form = model.req_form(&prop.typ.name).map_err(|error| rt.at(rel.span(), error.into()))?;
        match rt.snap().node_by_ndef(&form.name, &valu)? {
            Some(next) => node = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The error of a value of the wrong kind where a text is needed.
pub(crate) fn type_error(rt: &Rt, item: &Item, want: &str) -> Option<Ctl> {
    if matches!(item, Item::Val(Value::Str(_) | Value::Surrogates(_))) {
        return None;
    }
    let (kind, text) = (item.type_name(), item.torepr(rt, true).unwrap_or_default());
    let mesg = format!("Expected value of type '{want}', got '{kind}' with value {text}.");
    let name = item.toprim(rt).unwrap_or_default();
    Some(err!("StormRuntimeError", mesg = mesg, name = name, type = kind).into())
}
