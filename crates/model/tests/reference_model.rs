//! Compares the facts of the model with the table recorded from the reference: names, order, types, options, storage
//! types, interfaces, edges, pivots. Text is not compared.

use std::path::PathBuf;

use myelin_model::{Model, Prop, Type};
use serde_json::{Map, Value, json};

fn shared() -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    std::env::var_os("MYELIN_SHARED").map_or_else(beside, PathBuf::from)
}

fn to_json(valu: impl Into<myelin_value::Value>) -> Value {
    myelin_value::json::to_json(&valu.into()).expect("model facts are JSON")
}

/// Differences, collected so that one run shows them all.
#[derive(Default)]
struct Diff(Vec<String>);

impl Diff {
    fn same(&mut self, what: &str, ours: &Value, theirs: &Value) {
        if !equal(ours, theirs) {
            self.0.push(format!("{what}: ours {ours} theirs {theirs}"));
        }
    }

    fn check(self) {
        assert!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Numbers are equal by value (the table has `180.0` where JSON of ours may say `180`); the rest is equal as it stands.
fn equal(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| equal(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, ours)| theirs.get(key).is_some_and(|theirs| equal(ours, theirs)))
        }
        (ours, theirs) => ours == theirs,
    }
}

/// Options as the table has them: a declared empty tuple is an empty map there.
fn typedef(prop: &Prop) -> Value {
    let opts = prop.typ_opts();
    json!([&*prop.typedef.name, opts])
}

trait Facts {
    fn typ_opts(&self) -> Value;
}

impl Facts for Prop {
    fn typ_opts(&self) -> Value {
        self.typedef.opts_map().map_or_else(|| json!({}), |opts| to_json(opts.clone()))
    }
}

fn type_facts(model: &Model, typ: &Type) -> Value {
    let mut facts = Map::new();
    facts.insert("ctor".into(), json!(typ.ctor.class_name()));
    facts.insert("subof".into(), json!(typ.subof.as_deref()));
    facts.insert("bases".into(), json!(typ.bases.iter().map(|base| &**base).collect::<Vec<_>>()));
    facts.insert("stortype".into(), json!(typ.stortype.code()));
    facts.insert("opts".into(), to_json(typ.opts.clone()));
    facts.insert("typehash".into(), json!(&*typ.typehash));
    facts.insert("form".into(), json!(model.form(&typ.name).is_some()));
    for key in ["interfaces", "template", "display"] {
        if let Some(valu) = typ.info.get(key) {
            facts.insert(key.into(), to_json(valu.clone()));
        }
    }
    facts.insert("deprecated".into(), json!(typ.is_deprecated()));
    facts.insert("mutable".into(), json!(typ.is_mutable()));
    Value::Object(facts)
}

fn prop_facts(prop: &Prop) -> Value {
    let mut facts = Map::new();
    facts.insert("type".into(), typedef(prop));
    facts.insert("stortype".into(), json!(prop.typ.stortype.code()));
    for key in ["ro", "deprecated", "disp", "alts", "uniq", "sorted"] {
        if let Some(valu) = prop.info.get(key) {
            facts.insert(key.into(), to_json(valu.clone()));
        }
    }
    if let Some(offs) = prop.comp_offs {
        facts.insert("compoffs".into(), json!(offs));
    }
    Value::Object(facts)
}

fn without(valu: &Value, keys: &[&str]) -> Value {
    let mut valu = valu.as_object().cloned().unwrap_or_default();
    valu.retain(|key, _| !keys.contains(&key.as_str()));
    Value::Object(valu)
}

/// Without text: docs, and the titles and descriptions inside of JSON schemas, which the table leaves out.
fn no_docs(valu: &Value) -> Value {
    let is_text = |key: &str, valu: &Value| match key {
        "doc" => true,
        "title" | "description" | "$comment" => valu.is_string(),
        _ => false,
    };
    match valu {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, valu)| !is_text(key, valu));
            Value::Object(kept.map(|(key, valu)| (key.clone(), no_docs(valu))).collect())
        }
        Value::Array(items) => items.iter().map(no_docs).collect(),
        other => other.clone(),
    }
}

#[test]
fn facts_are_those_of_the_reference() {
    let path = shared().join("reference/model.json");
    let Ok(text) = std::fs::read(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let theirs: Value = serde_json::from_slice(&text).expect("the table is JSON");
    let model = Model::builtin().expect("the files are well-formed");
    let mut diff = Diff::default();
    types(&model, &theirs, &mut diff);
    forms(&model, &theirs, &mut diff);
    ifaces(&model, &theirs, &mut diff);
    edges_and_univs(&model, &theirs, &mut diff);
    diff.check();
}

fn keys(valu: &Value) -> Vec<&str> {
    valu.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn types(model: &Model, theirs: &Value, diff: &mut Diff) {
    let mut names: Vec<&str> = model.types().map(|typ| &*typ.name).collect();
    let mut their_names = keys(&theirs["types"]);
    names.sort_unstable();
    their_names.sort_unstable();
    diff.same("type names", &json!(names), &json!(their_names));
    for typ in model.types() {
        let theirs = &theirs["types"][&*typ.name];
        // `array` names the item type, which is in the options; the rest is behaviour, checked by the norm vectors.
        let mut facts = without(theirs, &["declopts", "cmprs", "lifts", "norms", "array"]);
        for key in ["form", "deprecated", "mutable"] {
            let flag =
                facts.get(key).and_then(Value::as_bool).unwrap_or(facts.get(key).is_some_and(|valu| !valu.is_null()));
            facts[key] = json!(flag);
        }
        for (key, theirs) in facts.as_object().into_iter().flatten() {
            let ours = type_facts(model, typ);
            diff.same(&format!("type {} {key}", typ.name), &no_docs(&ours[key]), &no_docs(theirs));
        }
    }
}

fn forms(model: &Model, theirs: &Value, diff: &mut Diff) {
    let order: Vec<&str> = model.forms().map(|form| &*form.name).collect();
    diff.same("order of forms", &json!(order), &theirs["formorder"]);
    for form in model.forms() {
        let theirs_form = &theirs["forms"][&*form.name];
        diff.same(&format!("form {} runt", form.name), &json!(form.is_runt), &theirs_form["runt"]);
        diff.same(&format!("form {} stortype", form.name), &json!(form.typ.stortype.code()), &theirs_form["stortype"]);
        let names: Vec<&str> = form.props.keys().map(|name| &**name).collect();
        diff.same(&format!("form {} props", form.name), &json!(names), &json!(keys(&theirs_form["props"])));
        for prop in form.props.values() {
            let facts = without(&theirs_form["props"][&*prop.name], &["from"]);
            diff.same(&prop.full, &no_docs(&prop_facts(prop)), &no_docs(&facts));
        }
        let refs = model.refs_out(&form.name);
        let mut ours = Map::new();
        let pairs = |items: &[(std::sync::Arc<str>, std::sync::Arc<str>)]| {
            json!(items.iter().map(|(name, form)| [&**name, &**form]).collect::<Vec<_>>())
        };
        let names = |items: &[std::sync::Arc<str>]| json!(items.iter().map(|name| &**name).collect::<Vec<_>>());
        for (key, valu) in [
            ("prop", pairs(&refs.prop)),
            ("ndef", names(&refs.ndef)),
            ("array", pairs(&refs.array)),
            ("ndefarray", names(&refs.ndefarray)),
        ] {
            if valu.as_array().is_some_and(|items| !items.is_empty()) {
                ours.insert(key.into(), valu);
            }
        }
        diff.same(
            &format!("form {} pivots", form.name),
            &Value::Object(ours),
            theirs["pivots"].get(&*form.name).unwrap_or(&json!({})),
        );
    }
}

fn ifaces(model: &Model, theirs: &Value, diff: &mut Diff) {
    for (name, info) in model.ifaces() {
        let theirs = &theirs["interfaces"][&**name];
        let forms: Vec<String> =
            model.forms_by_iface(name).into_iter().flatten().map(|form| form.name.to_string()).collect();
        diff.same(&format!("interface {name} forms"), &json!(forms), theirs.get("forms").unwrap_or(&json!([])));
        for key in ["template", "interfaces"] {
            let ours = info.get(key).map(|valu| to_json(valu.clone()));
            diff.same(&format!("interface {name} {key}"), &json!(ours), theirs.get(key).unwrap_or(&Value::Null));
        }
        let props = info.get("props").and_then(myelin_value::Value::as_list).unwrap_or_default();
        let names: Vec<&str> = props.iter().filter_map(|prop| prop.at(0)?.as_str()).collect();
        diff.same(&format!("interface {name} props"), &json!(names), &json!(keys(&theirs["props"])));
        for prop in props {
            let prop_name = prop.at(0).and_then(myelin_value::Value::as_str).expect("a name");
            let ours = to_json(prop.at(1).cloned().expect("a type"));
            diff.same(&format!("interface {name} {prop_name}"), &ours, &theirs["props"][prop_name]["type"]);
        }
    }
    let names: Vec<&str> = model.ifaces().map(|(name, _)| &**name).collect();
    diff.same("interfaces", &json!(names), &json!(keys(&theirs["interfaces"])));
}

fn edges_and_univs(model: &Model, theirs: &Value, diff: &mut Diff) {
    let edges: Vec<Value> = model
        .edges()
        .map(|edge| {
            let (n1form, verb, n2form) = &edge.key;
            let mut facts = json!({"n1": n1form.as_deref(), "verb": &**verb, "n2": n2form.as_deref()});
            if let Some(valu) = edge.info.get("deprecated") {
                facts["deprecated"] = to_json(valu.clone());
            }
            facts
        })
        .collect();
    diff.same("edges", &json!(edges), &theirs["edges"]);
    let univs: Map<String, Value> = model.univs().map(|univ| (univ.name.to_string(), prop_facts(univ))).collect();
    diff.same("univs", &Value::Object(univs), &theirs["univs"]);
}
