//! Computed nodes: `syn:form`, `syn:prop`, `syn:type`, `syn:tagprop`, `syn:cmd` and the like, made from what the cortex is
//! at the moment and stored nowhere.

use std::sync::Arc;

use myelin_error::{Error, Result, err};
use myelin_model::pack::{ModelNode, form_node, prop_node, tagprop_node, type_node};
use myelin_model::types::py;
use myelin_model::{Form, Model, NormCx, StorType};
use myelin_storm::host::RuntNode;
use myelin_storm::store::EditOp;
use myelin_storm::{Flow, Node, Rt};
use myelin_value::{Map, Value};

use crate::Cortex;

/// The nodes of a computed form, or those of them whose property (named in full) compares as asked.
///
/// # Errors
/// `NoSuchCmpr` and what normalising the right side gives; `FeatureNotSupported` for a form that nothing computes.
pub fn lift(core: &Cortex, view: &str, full: &str, valu: Option<&Value>, cmpr: Option<&str>) -> Result<Vec<RuntNode>> {
    let model = core.model();
    let prop = model.req_prop(full)?;
    let form_name = prop.form.as_deref().unwrap_or(full);
    let form = model.req_form(form_name)?;
    let cx = NormCx::new(model.clone());
    let filter = match (cmpr, valu) {
        (Some(cmpr), Some(valu)) => Some(prop.typ.cmpr_ctor(&cx, cmpr, valu)?),
        _ => None,
    };
    let mut found = Vec::new();
    for node in nodes(core, &model, view, form_name)? {
        let node = complete(&cx, form, node)?;
        let have = if prop.is_form { Some(&node.valu) } else { node.props.get(&prop.name) };
        let keep = match (&filter, have) {
            (Some(filter), Some(have)) => filter(have)?,
            (None, have) => have.is_some(),
            _ => false,
        };
        if keep {
            found.push(node);
        }
    }
    Ok(found)
}

fn nodes(core: &Cortex, model: &Arc<Model>, view: &str, form: &str) -> Result<Vec<ModelNode>> {
    Ok(match form {
        "syn:type" => model.types().map(|typ| type_node(typ)).collect(),
        "syn:form" => model.forms().map(|form| form_node(form)).collect(),
        "syn:prop" => model.props().map(|prop| prop_node(model, prop)).collect(),
        "syn:tagprop" => model.tagprops().map(|prop| tagprop_node(prop)).collect(),
        "syn:cmd" => commands(core),
        "syn:cron" => core.cron.list().iter().map(cron_node).collect(),
        "syn:trigger" => core.triggers.list(view).iter().map(|trigger| trigger_node(&trigger.tdef())).collect(),
        _ => return Err(Error::not_supported(format!("Lifting the computed form {form}"))),
    })
}

fn commands(core: &Cortex) -> Vec<ModelNode> {
    let loaded = core.packages.loaded();
    let mut names: Vec<_> = loaded.commands.iter().collect();
    names.sort_by(|left, right| left.0.cmp(right.0));
    let packaged = names.into_iter().map(|(name, cdef)| {
        let mut props = vec![("doc", Value::from(cdef.get_str("descr").unwrap_or_default().trim()))];
        if let Some(package) = cdef.get("pkgname") {
            props.push(("package", package.clone()));
        }
        if let Some(iden) = cdef.get("cmdconf").and_then(|conf| conf.get("svciden")) {
            props.push(("svciden", iden.clone()));
        }
        ModelNode { valu: Value::from(name), props }
    });
    let builtin = core
        .registry()
        .cmds()
        .into_iter()
        .map(|def| ModelNode { valu: Value::from(def.name), props: vec![("doc", Value::from(def.descr))] });
    builtin.chain(packaged).collect()
}

fn cron_node(cdef: &Map) -> ModelNode {
    let props = ["doc", "name", "storm"];
    let have = |name: &'static str| cdef.get(name).filter(|valu| !valu.is_null()).map(|valu| (name, valu.clone()));
    let created = cdef.get("created").map(|tick| (".created", tick.clone()));
    let props = props.into_iter().filter_map(have).chain(created).collect();
    ModelNode { valu: cdef.get("iden").cloned().unwrap_or_default(), props }
}

fn trigger_node(tdef: &Map) -> ModelNode {
    let text = |key: &str| tdef.get(key).cloned().unwrap_or_else(|| Value::from(""));
    let mut props = vec![("doc", text("doc")), ("name", text("name"))];
    props.push(("vers", tdef.get("ver").cloned().unwrap_or_else(|| Value::from(1))));
    let keys = ["cond", "storm", "enabled", "user", "tag", "form", "prop", "verb", "n2form"];
    for (name, key) in keys.map(|key| (key, key)).into_iter().chain([(".created", "created")]) {
        if let Some(valu) = tdef.get(key).filter(|valu| !valu.is_null()) {
            props.push((name, valu.clone()));
        }
    }
    ModelNode { valu: tdef.get("iden").cloned().unwrap_or_default(), props }
}

/// Sets a property of a computed node, where it stands for something that can be set.
pub fn set(core: &Cortex, rt: &Rt, node: &Node, name: &str, valu: &Value) -> Flow<()> {
    let full = format!("{}:{name}", node.form_name());
    if !matches!(full.as_str(), "syn:trigger:doc" | "syn:trigger:name") {
        let mesg = format!("The computed property {full} cannot be set.");
        return Err(err!("IsRuntForm", mesg = mesg, form = &**node.form_name(), prop = name).into());
    }
    let (iden, valu) = (node.valu().as_str().unwrap_or_default(), Value::from(py::str_text(valu)));
    rt.confirm(&["trigger", "set", name], Some(iden))?;
    let view = core.stack.require_view(rt.snap().view_iden())?;
    core.triggers.require(view.iden(), iden)?;
    core.stack.push_view(&view, "trigger:set", [iden.into(), name.into(), valu.clone()])?;
    node.apply(&EditOp::PropSet(Arc::from(name), valu, Value::Null, StorType::UTF8), &Arc::from(""));
    Ok(())
}

/// Normalises a computed node and drops properties that its form does not have.
fn complete(cx: &NormCx, form: &Form, node: ModelNode) -> Result<RuntNode> {
    let mut props = Map::with_capacity(node.props.len());
    for (name, valu) in node.props {
        let Some(prop) = form.prop(name) else { continue };
        let norm = prop.typ.norm(cx, &valu).map_err(|error| {
            err!("BadTypeValu", mesg = format!("The computed {}:{name} does not fit its type: {error}", form.name))
        })?;
        props.insert(name, norm.value);
    }
    Ok(RuntNode { form: form.name.clone(), valu: node.valu, props })
}
