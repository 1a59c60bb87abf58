//! The `embeds` option: properties of nodes that a node refers to, sent along with it.

use std::collections::HashMap;

use myelin_value::{Buid, Map, Value};

use crate::ctl::Flow;
use crate::node::Node;
use crate::rt::Rt;
use crate::snap::ndef_buid;

fn step(rt: &Rt, node: &Node, name: &str, cache: &mut HashMap<Buid, Option<Node>>) -> Flow<Option<Node>> {
    let (Some(valu), Some(prop)) = (node.get(name), node.form().prop(name)) else { return Ok(None) };
    let buid = if rt.model().form(&prop.typ.name).is_some() {
        ndef_buid(&prop.typ.name, &valu)
    } else if prop.typ.isa("ndef") {
        match (valu.at(0).and_then(Value::as_str), valu.at(1)) {
            (Some(form), Some(valu)) => ndef_buid(form, valu),
            _ => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    if let Some(found) = cache.get(&buid) {
        return Ok(found.clone());
    }
    let found = rt.snap().node_by_buid(&buid)?;
    cache.insert(buid, found.clone());
    Ok(found)
}

/// The embedded properties of a node: `{path: {prop: value, $iden, $form, *}}`.
///
/// # Errors
/// What reading nodes gives.
pub fn embeds(rt: &Rt, node: &Node, embeds: &Map) -> Flow<Map> {
    let (mut retn, mut cache) = (Map::new(), HashMap::new());
    for (path, props) in embeds.text_entries() {
        let mut at = Some(node.clone());
        for name in path.split("::") {
            at = match at {
                Some(node) => step(rt, &node, name, &mut cache)?,
                None => None,
            };
        }
        let Some(found) = at else { continue };
        let mut info = Map::new().with("*", found.iden()).with("$iden", found.iden()).with("$form", found.form_name());
        for name in props.as_list().unwrap_or_default().iter().filter_map(Value::as_str) {
            info.insert(name, found.get(name));
        }
        retn.insert(path, info);
    }
    Ok(retn)
}

/// Adds to the `storage` of a packed node what the layers hold of embedded properties.
///
/// # Errors
/// What reading storage gives.
pub fn join_storage(rt: &Rt, info: &mut Map, embeds: &Map) -> Flow<()> {
    let Some(Value::List(storage)) = info.get("storage").cloned() else { return Ok(()) };
    let mut storage: Vec<Value> = storage.to_vec();
    for (path, props) in embeds.text_entries() {
        let Some(buid) = props.get("$iden").and_then(Value::as_str).and_then(Buid::from_hex) else { continue };
        for (indx, sode) in rt.snap().view().stor_nodes(&buid)?.iter().enumerate() {
            let Some(have) = sode.get("props") else { continue };
            for (name, _) in props.as_map().into_iter().flat_map(Map::text_entries) {
                if name.starts_with(['*', '$']) {
                    continue;
                }
                let (Some(valu), Some(slot)) = (have.get(name), storage.get_mut(indx)) else { continue };
                let mut map = slot.as_map().cloned().unwrap_or_default();
                let mut all = map.get("embeds").and_then(Value::as_map).cloned().unwrap_or_default();
                all.insert(format!("{path}::{name}"), valu.clone());
                map.insert("embeds", all);
                *slot = Value::from(map);
            }
        }
    }
    info.insert("storage", Value::list(storage));
    Ok(())
}
