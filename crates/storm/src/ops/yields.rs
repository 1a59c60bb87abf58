//! `yield $value`: nodes of identifiers, lists, generators, queries, nodes.

use std::sync::Arc;

use myelin_error::err;
use myelin_storm_syntax::{OperKind, Span};
use myelin_value::{Buid, Value};

use super::{NodeGenr, OperRef, from_fn};
use crate::ctl::Flow;
use crate::expr::compute;
use crate::item::{Genr, Item};
use crate::node::Node;
use crate::rt::Rt;
use crate::walk::value_runtsafe;

/// `yield $value`
pub fn yields(rt: &Rt, oper: &OperRef, mut input: NodeGenr) -> NodeGenr {
    let (rt, oper) = (rt.clone(), oper.clone());
    let (mut inner, mut held): (Option<NodeGenr>, _) = (None, None);
    let (mut any, mut done) = (false, false);
    from_fn(move || {
        let OperKind::Yield(value) = &oper.kind else { return Ok(None) };
        loop {
            if let Some(genr) = &mut inner {
                if let Some(item) = genr.next()? {
                    return Ok(Some(item));
                }
                inner = None;
            }
            if let Some(item) = held.take() {
                return Ok(Some(item));
            }
            if done {
                return Ok(None);
            }
            match input.next()? {
                Some((node, path)) => {
                    any = true;
                    let item = compute(&rt, value, Some(&path))?;
                    inner = Some(yield_item(&rt, item, value.span));
                    held = Some((node, path));
                }
                None => {
                    done = true;
                    if !any && value_runtsafe(value, &rt) {
                        let item = compute(&rt, value, None)?;
                        inner = Some(yield_item(&rt, item, value.span));
                    }
                }
            }
        }
    })
}

/// The nodes of a value, with fresh paths.
pub fn yield_item(rt: &Rt, item: Item, span: Span) -> NodeGenr {
    let (rt, mut nodes) = (rt.clone(), item_nodes(rt, item, span));
    from_fn(move || match nodes()? {
        Some(node) => {
            let path = rt.init_path(&node);
            Ok(Some((node, path)))
        }
        None => Ok(None),
    })
}

enum Source {
    One(Item),
    Many(Genr),
}

/// The nodes of a value, one at a call.
pub fn item_nodes(rt: &Rt, item: Item, span: Span) -> Box<dyn FnMut() -> Flow<Option<Node>> + Send> {
    let rt = rt.clone();
    let mut stack = vec![Source::One(item)];
    Box::new(move || {
        loop {
            rt.tick()?;
            let item = match stack.pop() {
                None => return Ok(None),
                Some(Source::One(item)) => item,
                Some(Source::Many(genr)) => match genr.next_item()? {
                    Some(item) => {
                        stack.push(Source::Many(genr));
                        item
                    }
                    None => continue,
                },
            };
            match &item {
                Item::Val(Value::Bytes(byts)) => {
                    let Some(buid) = Buid::from_slice(byts) else { continue };
                    if let Some(node) = rt.snap().node_by_buid(&buid)? {
                        return Ok(Some(node));
                    }
                }
                Item::Val(Value::Str(text)) => {
                    if let Some(node) = by_iden(&rt, text, span)? {
                        return Ok(Some(node));
                    }
                }
                Item::Genr(genr) => stack.push(Source::Many(genr.clone())),
                Item::List(_) | Item::Set(_) | Item::Val(Value::List(_)) => {
                    stack.push(Source::Many(Genr::of(item.tovec(&rt)?)));
                }
                Item::Query(query) => stack.push(Source::Many(query.rt.query_nodes(query))),
                Item::Node(node) => {
                    if node.view_iden() != rt.snap().view_iden() {
                        return Err(rt.at(span, foreign(&rt, node).into()));
                    }
                    return Ok(Some(node.clone()));
                }
                Item::Obj(obj) => {
                    if let Some(genr) = obj.nodes(&rt)? {
                        stack.push(Source::Many(genr));
                    }
                }
                _ => {}
            }
        }
    })
}

fn foreign(rt: &Rt, node: &Node) -> myelin_error::Error {
    let mesg = format!(
        "Node is not from the current view. Node {} is from {} expected {}",
        node.iden(),
        node.view_iden(),
        rt.snap().view_iden()
    );
    err!("BadLiftValu", mesg = mesg)
}

fn by_iden(rt: &Rt, text: &Arc<str>, span: Span) -> Flow<Option<Node>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        let mesg = format!("Yield string must be iden in hexdecimal. Got: '{text}'");
        return Err(rt.at(span, err!("BadLiftValu", mesg = mesg).into()));
    }
    match Buid::from_hex(text) {
        Some(buid) => rt.snap().node_by_buid(&buid),
        None => Ok(None),
    }
}
