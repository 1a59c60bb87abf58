//! Guid nodes by a dictionary of properties: found where one matches, made with a guid derived from them else.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::err;
use myelin_model::types::{CtorKind, py};
use myelin_model::{Form, NormInfo, Prop};
use myelin_value::{Map, Value, guid_of};

use super::Editor;
use crate::ctl::Flow;
use crate::node::Node;
use crate::rt::Rt;
use crate::snap::Snap;

/// A normalised property, or a dictionary for the form it refers to.
pub enum PropNorm {
    /// A value.
    Valu(Arc<Prop>, Value, NormInfo),
    /// A node to find or make first.
    Form(Arc<Form>, Box<DictNorm>),
}

/// A normalised dictionary: what identifies the node, and what is only set.
#[derive(Default)]
pub struct DictNorm {
    /// What identifies it.
    pub norms: IndexMap<Arc<str>, PropNorm>,
    /// What is set besides.
    pub props: IndexMap<Arc<str>, PropNorm>,
}

/// Normalises a dictionary for a form.
///
/// # Errors
/// `BadTypeValu`, `NoSuchProp`.
pub fn norm_dict(snap: &Arc<Snap>, form: &Arc<Form>, vals: &Map, props: Option<&Map>) -> Flow<DictNorm> {
    let mut vals = vals.clone();
    let trycast = vals.remove("$try").is_some_and(|valu| valu.is_truthy());
    let add = vals.remove("$props");
    if vals.is_empty() {
        return Err(err!("BadTypeValu", mesg = format!("No values provided for form {}", form.name)).into());
    }
    let mut retn = DictNorm::default();
    if let Some(props) = props {
        retn.props.extend(norm_props(snap, form, props, false)?);
    }
    if let Some(Value::Map(add)) = &add {
        retn.props.extend(norm_props(snap, form, add, trycast)?);
    }
    retn.norms = norm_props(snap, form, &vals, false)?;
    Ok(retn)
}

fn norm_props(snap: &Arc<Snap>, form: &Arc<Form>, props: &Map, trycast: bool) -> Flow<IndexMap<Arc<str>, PropNorm>> {
    let (model, mut retn) = (snap.model(), IndexMap::new());
    for (name, valu) in props.iter() {
        let name = py::str_text(name);
        let prop = form.req_prop(&name)?;
        if let (Value::Map(map), CtorKind::Guid) = (valu, prop.typ.ctor) {
            let sub = model.req_form(&prop.typ.name)?;
            let norms = norm_dict(snap, sub, map, None)?;
            retn.insert(prop.name.clone(), PropNorm::Form(sub.clone(), Box::new(norms)));
            continue;
        }
        match prop.typ.norm(&snap.norm_cx(), valu) {
            Ok(norm) => {
                retn.insert(prop.name.clone(), PropNorm::Valu(prop.clone(), norm.value, norm.info));
            }
            Err(error) if trycast && error.is("BadTypeValu") => {}
            Err(error) if error.is("BadTypeValu") && error.get("prop").is_none() => {
                let mesg = format!("Bad value for prop {}:{name}: {}", form.name, error.message());
                return Err(error.with("prop", name).with("form", &form.name).with("mesg", mesg).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(retn)
}

/// Finds the node that a normalised dictionary means.
///
/// # Errors
/// What lifting gives.
pub fn find(snap: &Arc<Snap>, form: &Arc<Form>, norms: &mut IndexMap<Arc<str>, PropNorm>) -> Flow<Option<Node>> {
    let names: Vec<Arc<str>> = norms.keys().cloned().collect();
    for name in names {
        let Some(PropNorm::Form(sub, inner)) = norms.get_mut(&name) else { continue };
        let Some(node) = find(snap, &sub.clone(), &mut inner.norms)? else { return Ok(None) };
        let prop = form.req_prop(&name)?.clone();
        norms.insert(name, PropNorm::Valu(prop, node.valu().clone(), NormInfo::default()));
    }
    let mut pairs: Vec<(Arc<Prop>, Value)> = Vec::new();
    for norm in norms.values() {
        if let PropNorm::Valu(prop, valu, _) = norm {
            pairs.push((prop.clone(), valu.clone()));
        }
    }
    let guid = Value::from(guid_of(&ident(&pairs)));
    if let Some(node) = snap.node_by_ndef(&form.name, &guid)? {
        let mut same = true;
        for (prop, valu) in &pairs {
            same = same && passes(form, &node, prop, valu)?;
        }
        if same {
            return Ok(Some(node));
        }
    }
    let mut counts = Vec::new();
    for (prop, valu) in pairs {
        let mut count = 0;
        for alt in form.alts(&prop)? {
            let array = is_array_of(&alt, &prop);
            count += snap.view().prop_count(&alt.full, Some(&valu), array)?;
        }
        counts.push((count, prop, valu));
    }
    counts.sort_by_key(|(count, ..)| *count);
    let Some(((_, prop, valu), rest)) = counts.split_first() else { return Ok(None) };
    for alt in form.alts(prop)? {
        let nodes = if is_array_of(&alt, prop) {
            snap.by_array(&alt.full, "=", valu, false, false)?
        } else {
            snap.by_norm(&alt, valu, false)?
        };
        for node in nodes {
            let node = node?;
            let mut same = true;
            for (_, prop, valu) in rest {
                same = same && passes(form, &node, prop, valu)?;
            }
            if same {
                return Ok(Some(node));
            }
        }
    }
    Ok(None)
}

fn ident(pairs: &[(Arc<Prop>, Value)]) -> Value {
    let mut items: Vec<Value> =
        pairs.iter().map(|(prop, valu)| Value::list([Value::from(&prop.name), valu.clone()])).collect();
    items.sort_by(|left, right| py::cmp(left, right).unwrap_or(std::cmp::Ordering::Equal));
    Value::list(items)
}

fn is_array_of(alt: &Prop, prop: &Prop) -> bool {
    alt.typ.array_type().is_some_and(|item| **item == *prop.typ)
}

fn passes(form: &Form, node: &Node, prop: &Arc<Prop>, valu: &Value) -> Flow<bool> {
    for alt in form.alts(prop)? {
        let Some(have) = node.get(&alt.name) else { continue };
        let hit = if is_array_of(&alt, prop) {
            have.as_list().unwrap_or_default().iter().any(|item| item.py_eq(valu))
        } else {
            have.py_eq(valu)
        };
        if hit {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds or makes the node that a normalised dictionary means; gives its guid.
///
/// # Errors
/// As [`Editor::add_node`].
pub fn add(rt: &Rt, form: &Arc<Form>, dict: DictNorm) -> Flow<Value> {
    let mut norms = resolve(rt, form, dict.norms)?;
    let props = resolve(rt, form, dict.props)?;
    let node = find(rt.snap(), form, &mut norms)?;
    let mut editor = Editor::new(rt);
    let (buid, valu) = match node {
        Some(node) => (editor.load(&node)?, node.valu().clone()),
        None => {
            let pairs: Vec<(Arc<Prop>, Value)> = norms
                .values()
                .filter_map(|norm| match norm {
                    PropNorm::Valu(prop, valu, _) => Some((prop.clone(), valu.clone())),
                    PropNorm::Form(..) => None,
                })
                .collect();
            let ident = ident(&pairs);
            let buid = editor.add_node(&form.name, &ident)?;
            set_all(&mut editor, buid, norms)?;
            let norm = form.typ.norm(&rt.norm_cx(), &ident)?.value;
            (buid, norm)
        }
    };
    set_all(&mut editor, buid, props)?;
    editor.finish()?;
    Ok(valu)
}

fn set_all(editor: &mut Editor<'_>, buid: myelin_value::Buid, norms: IndexMap<Arc<str>, PropNorm>) -> Flow<()> {
    for (name, norm) in norms {
        if let PropNorm::Valu(_, valu, info) = norm {
            editor.set_info(buid, &name, &valu, Some(info))?;
        }
    }
    Ok(())
}

fn resolve(rt: &Rt, form: &Arc<Form>, norms: IndexMap<Arc<str>, PropNorm>) -> Flow<IndexMap<Arc<str>, PropNorm>> {
    let mut retn = IndexMap::new();
    for (name, norm) in norms {
        let norm = match norm {
            PropNorm::Form(sub, inner) => {
                let valu = add(rt, &sub, *inner)?;
                PropNorm::Valu(form.req_prop(&name)?.clone(), valu, NormInfo::default())
            }
            other => other,
        };
        retn.insert(name, norm);
    }
    Ok(retn)
}
