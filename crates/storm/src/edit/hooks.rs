//! What some forms and properties do by themselves when they change: zones of domains, hashes of passwords, parts of
//! versions.

use std::collections::VecDeque;

use md5::Digest;
use myelin_value::Value;

use super::{Editor, add_node, del_prop, edit_node, set_prop};
use crate::ctl::Flow;
use crate::host::Change;
use crate::node::Node;
use crate::rt::Rt;

/// Runs what belongs to a change.
///
/// # Errors
/// What the further edits give.
pub(super) fn run(rt: &Rt, node: &Node, change: &Change) -> Flow<()> {
    match change {
        Change::NodeAdd => match &**node.form_name() {
            "inet:fqdn" => fqdn_added(rt, node),
            "inet:passwd" => passwd_added(rt, node),
            "it:dev:str" => set_prop(rt, node, "norm", node.valu()).map(drop),
            "it:dev:pipe" | "it:dev:mutex" | "it:dev:regkey" => add_node(rt, "it:dev:str", node.valu()).map(drop),
            _ => Ok(()),
        },
        Change::PropSet { prop, .. } => match (&**node.form_name(), &**prop) {
            ("inet:fqdn", "zone") => fqdn_zone(rt, node),
            ("inet:fqdn", "iszone") => fqdn_iszone(rt, node),
            ("inet:fqdn", "issuffix") => fqdn_issuffix(rt, node),
            ("file:bytes", "mime") => file_mime(rt, node),
            ("inet:whois:rec", "text") => whois_text(rt, node),
            ("it:prod:softver", "arch") => match node.get("arch").filter(Value::is_truthy) {
                Some(arch) => add_node(rt, "it:dev:str", &arch).map(drop),
                None => Ok(()),
            },
            ("it:prod:softver", "vers") => softver_vers(rt, node),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn truthy(node: &Node, name: &str) -> bool {
    node.get(name).is_some_and(|valu| valu.is_truthy())
}

fn fqdn_added(rt: &Rt, node: &Node) -> Flow<()> {
    let Some(domain) = node.get("domain") else {
        return edit_node(rt, node, |editor, buid| {
            editor.set(buid, "iszone", &Value::from(false))?;
            editor.set(buid, "issuffix", &Value::from(true)).map(drop)
        });
    };
    let mut editor = Editor::new(rt);
    let buid = editor.load(node)?;
    if node.get("issuffix").is_none() {
        editor.set(buid, "issuffix", &Value::from(false))?;
    }
    let Some(parent) = rt.snap().node_by_ndef("inet:fqdn", &domain)? else {
        editor.add_node("inet:fqdn", &domain)?;
        editor.set(buid, "iszone", &Value::from(false))?;
        return editor.finish();
    };
    if truthy(&parent, "issuffix") {
        editor.set(buid, "iszone", &Value::from(true))?;
        editor.set(buid, "zone", node.valu())?;
        return editor.finish();
    }
    editor.set(buid, "iszone", &Value::from(false))?;
    if truthy(&parent, "iszone") {
        editor.set(buid, "zone", &domain)?;
    } else if let Some(zone) = parent.get("zone") {
        editor.set(buid, "zone", &zone)?;
    }
    editor.finish()
}

fn children(rt: &Rt, fqdn: &Value) -> Flow<Vec<Node>> {
    rt.snap().by_pivot("inet:fqdn:domain", fqdn, false)?.collect()
}

fn fqdn_issuffix(rt: &Rt, node: &Node) -> Flow<()> {
    let Some(issuffix) = node.get("issuffix") else { return Ok(()) };
    let mut editor = Editor::new(rt);
    for child in children(rt, node.valu())? {
        if child.get("iszone").is_none_or(|iszone| !iszone.py_eq(&issuffix)) {
            let buid = editor.load(&child)?;
            editor.set(buid, "iszone", &issuffix)?;
        }
    }
    editor.finish()
}

fn fqdn_iszone(rt: &Rt, node: &Node) -> Flow<()> {
    if truthy(node, "iszone") {
        return set_prop(rt, node, "zone", node.valu()).map(drop);
    }
    let zone = match node.get("domain").filter(Value::is_truthy) {
        Some(domain) => add_node(rt, "inet:fqdn", &domain)?.get("zone"),
        None => None,
    };
    match zone {
        Some(zone) => set_prop(rt, node, "zone", &zone).map(drop),
        None => del_prop(rt, node, "zone").map(drop),
    }
}

fn fqdn_zone(rt: &Rt, node: &Node) -> Flow<()> {
    let Some(zone) = node.get("zone") else { return Ok(()) };
    let mut todo = VecDeque::from([node.valu().clone()]);
    let mut editor = Editor::new(rt);
    while let Some(fqdn) = todo.pop_back() {
        for child in children(rt, &fqdn)? {
            if truthy(&child, "iszone") || child.get("zone").is_some_and(|have| have.py_eq(&zone)) {
                continue;
            }
            let buid = editor.load(&child)?;
            editor.set(buid, "zone", &zone)?;
            todo.push_back(child.valu().clone());
        }
    }
    editor.finish()
}

fn passwd_added(rt: &Rt, node: &Node) -> Flow<()> {
    let text = node.valu().as_str().unwrap_or_default();
    let hex = |byts: &[u8]| Value::from(byts.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let hashes = [
        ("md5", hex(&md5::Md5::digest(text))),
        ("sha1", hex(&sha1::Sha1::digest(text))),
        ("sha256", hex(&sha2::Sha256::digest(text))),
    ];
    for (name, hash) in hashes {
        set_prop(rt, node, name, &hash)?;
    }
    Ok(())
}

fn file_mime(rt: &Rt, node: &Node) -> Flow<()> {
    let Some(mime) = node.get("mime").filter(|mime| mime.as_str() != Some("??")) else { return Ok(()) };
    add_node(rt, "file:ismime", &Value::list([node.valu().clone(), mime])).map(drop)
}

fn whois_text(rt: &Rt, node: &Node) -> Flow<()> {
    let (Some(text), Some(fqdn)) = (node.get("text"), node.get("fqdn")) else { return Ok(()) };
    for (form, valu) in rt.host().scrape(text.as_str().unwrap_or_default()) {
        if form == "inet:email" {
            add_node(rt, "inet:whois:email", &Value::list([fqdn.clone(), valu]))?;
        }
    }
    Ok(())
}

fn softver_vers(rt: &Rt, node: &Node) -> Flow<()> {
    let Some(vers) = node.get("vers").filter(Value::is_truthy) else { return Ok(()) };
    set_prop(rt, node, "vers:norm", &vers)?;
    add_node(rt, "it:dev:str", &vers)?;
    let norm = rt.model().req_type("it:semver")?.norm(&rt.norm_cx(), &vers);
    match norm {
        Ok(norm) => {
            set_prop(rt, node, "semver", &norm.value)?;
            for (name, valu) in norm.info.subs {
                let name = format!("semver:{}", name.as_str());
                if node.form().prop(&name).is_some() {
                    set_prop(rt, node, &name, &valu)?;
                }
            }
            Ok(())
        }
        Err(error) if error.is("BadTypeValu") => Ok(()),
        Err(error) => Err(error.into()),
    }
}
