//! Deletions: properties, tags with all below them, whole nodes.

use std::sync::Arc;

use myelin_error::err;
use myelin_value::Value;

use super::{apply, check_data_name, node_data};
use crate::ctl::Flow;
use crate::node::Node;
use crate::rt::Rt;
use crate::store::{EditOp, NodeEdit};

fn one(node: &Node, ops: Vec<EditOp>) -> Vec<NodeEdit> {
    if ops.is_empty() {
        return Vec::new();
    }
    vec![NodeEdit { buid: node.buid(), form: node.form_name().clone(), ops }]
}

/// Removes a property. False when it is not set.
///
/// # Errors
/// `NoSuchProp`, `ReadOnlyProp`, `IsRuntForm`.
pub fn del_prop(rt: &Rt, node: &Node, name: &str) -> Flow<bool> {
    let Some(prop) = node.form().prop(name) else {
        let mesg = format!("No property named {name}.");
        return Err(err!("NoSuchProp", mesg = mesg, name = name, form = node.form_name()).into());
    };
    if node.form().is_runt {
        if prop.ro {
            let mesg = "Cannot delete read-only props on runt nodes";
            return Err(err!("IsRuntForm", mesg = mesg, form = node.form_name(), prop = name).into());
        }
        rt.host().runt_del(rt, node, name)?;
        return Ok(true);
    }
    if prop.ro {
        let mesg = format!("Property is read only: {}.", prop.full);
        return Err(err!("ReadOnlyProp", mesg = mesg, name = name).into());
    }
    if !node.has(name) {
        return Ok(false);
    }
    apply(rt, one(node, vec![EditOp::PropDel(prop.name.clone(), Value::Null, prop.typ.stortype)]))?;
    Ok(true)
}

fn tagprop_dels(rt: &Rt, node: &Node, tag: &Arc<str>, ops: &mut Vec<EditOp>) {
    let model = rt.model();
    for name in node.tagprop_names(tag) {
        if let Some(prop) = model.tagprop(&name) {
            ops.push(EditOp::TagPropDel(tag.clone(), name, Value::Null, prop.typ.stortype));
        }
    }
}

fn tag_dels(rt: &Rt, node: &Node, tag: &str) -> Flow<Vec<EditOp>> {
    if node.form().is_runt {
        let mesg = "Cannot delete tags from runt nodes.";
        return Err(err!("IsRuntForm", mesg = mesg, form = node.form_name(), tag = tag).into());
    }
    let parts: Vec<String> = tag.trim_start_matches('#').split('.').map(|part| part.trim().to_lowercase()).collect();
    let name: Arc<str> = Arc::from(parts.join("."));
    let below = format!("{name}.");
    let tags: Vec<Arc<str>> = node.tags().into_iter().map(|(tag, _)| tag).collect();
    let exists = tags.contains(&name);
    let mut gone: Vec<Arc<str>> = tags.iter().filter(|have| have.starts_with(&below)).cloned().collect();
    if parts.len() > 1 && exists {
        let parent = parts[..parts.len() - 1].join(".");
        for prune in rt.host().tag_prune(&parent).iter().rev() {
            let under = format!("{prune}.");
            let kids: std::collections::BTreeSet<&str> =
                tags.iter().filter_map(|tag| tag.strip_prefix(&under)?.split('.').next()).collect();
            if kids.len() != 1 || !tags.iter().any(|tag| **tag == **prune) {
                break;
            }
            gone.push(Arc::from(prune.as_str()));
        }
    }
    gone.sort_by(|left, right| (right.chars().count(), right).cmp(&(left.chars().count(), left)));
    let mut ops = Vec::new();
    for tag in &gone {
        tagprop_dels(rt, node, tag, &mut ops);
        ops.push(EditOp::TagDel(tag.clone(), Value::Null));
    }
    tagprop_dels(rt, node, &name, &mut ops);
    if exists {
        ops.push(EditOp::TagDel(name, Value::Null));
    }
    Ok(ops)
}

/// Removes a tag and all below it.
///
/// # Errors
/// `IsRuntForm`.
pub fn del_tag(rt: &Rt, node: &Node, tag: &str) -> Flow<()> {
    apply(rt, one(node, tag_dels(rt, node, tag)?))
}

/// Removes a property of a tag. False when it is not set.
///
/// # Errors
/// `NoSuchTagProp`.
pub fn del_tagprop(rt: &Rt, node: &Node, tag: &str, name: &str) -> Flow<bool> {
    let model = rt.model();
    let Some(prop) = model.tagprop(name) else {
        let mesg = format!("No tag property named {name}");
        return Err(err!("NoSuchTagProp", mesg = mesg, name = name).into());
    };
    if node.tagprop(tag, name).is_none() {
        return Ok(false);
    }
    let op = EditOp::TagPropDel(Arc::from(tag), prop.name.clone(), Value::Null, prop.typ.stortype);
    apply(rt, one(node, vec![op]))?;
    Ok(true)
}

/// Removes node data. Gives the value it had.
///
/// # Errors
/// `BadArg` for a bad name.
pub fn del_data(rt: &Rt, node: &Node, name: &str) -> Flow<Option<Value>> {
    check_data_name(name)?;
    let have = node_data(rt, node, name)?;
    apply(rt, one(node, vec![EditOp::DataDel(Arc::from(name), Value::Null)]))?;
    Ok(have)
}

/// Deletes a node; unless forced, only one that nothing refers to.
///
/// # Errors
/// `CantDelNode`, `IsRuntForm`.
pub fn del_node(rt: &Rt, node: &Node, force: bool) -> Flow<()> {
    let (form, snap) = (node.form_name().clone(), rt.snap());
    if node.form().is_runt {
        let mesg = "Cannot delete runt nodes";
        return Err(err!("IsRuntForm", mesg = mesg, form = form, valu = node.valu().clone()).into());
    }
    let cant = |mesg: &str| Err(err!("CantDelNode", mesg = mesg, form = &form, iden = node.iden()).into());
    if !force {
        if &*form == "syn:tag"
            && let Some(tag) = node.valu().as_str()
            && snap.by_tag(tag, None, false)?.next().transpose()?.is_some()
        {
            return cant("Nodes still have this tag.");
        }
        for refr in snap.by_type_valu(&form, node.valu(), false)? {
            if refr?.buid() != node.buid() {
                return cant("Other nodes still refer to this node.");
            }
        }
        for edge in snap.view().edges_n2(&node.buid(), None)? {
            if edge?.1 != node.buid() {
                return cant("Other nodes still have light edges to this node.");
            }
        }
    }
    let mut ops = Vec::new();
    for (tag, _) in node.tags().into_iter().filter(|(tag, _)| !tag.contains('.')) {
        ops.extend(tag_dels(rt, node, &tag)?);
    }
    for (name, _) in node.props() {
        if let Some(prop) = node.form().prop(&name) {
            ops.push(EditOp::PropDel(name, Value::Null, prop.typ.stortype));
        }
    }
    if node.ndef_layer().as_deref() != Some(snap.layer()) {
        let names = snap.view().data_names(&node.buid())?;
        ops.extend(names.into_iter().map(|name| EditOp::DataDel(name, Value::Null)));
    }
    ops.push(EditOp::NodeDel(node.valu().clone(), node.form().typ.stortype));
    apply(rt, one(node, ops))?;
    snap.forget(&node.buid());
    Ok(())
}
