//! Every declaration says in a line what it means.

use myelin_model::{Model, defs};
use myelin_value::{Map, Value};

#[test]
fn everything_says_what_it_means() {
    let missing = undocumented();
    let shown = missing.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
    assert!(missing.is_empty(), "{} declarations lack a doc line: {shown}, …", missing.len());
}

#[test]
fn meanings_are_short_sentences() {
    let model = Model::builtin().expect("the files are well-formed");
    let docs = model.props().filter(|prop| !prop.is_form).map(|prop| (&prop.full, prop.doc()));
    let types = model.types().map(|typ| (&typ.name, typ.info.get_str("doc").unwrap_or_default()));
    for (name, doc) in docs.chain(types) {
        let starts = doc.chars().next().is_some_and(|chr| chr.is_uppercase() || chr.is_ascii_digit());
        assert!(starts && doc.ends_with('.') && doc.len() <= 120, "{name}: {doc}");
    }
}

/// The names of declarations without a doc line.
fn undocumented() -> Vec<String> {
    let mut missing = Vec::new();
    let mut check = |name: String, info: &Map| {
        if info.get_str("doc").is_none_or(|doc| doc.trim().is_empty()) {
            missing.push(name);
        }
    };
    for def in defs::builtin().expect("the files are well-formed") {
        def.ctors.iter().for_each(|ctor| check(ctor.name.to_string(), &ctor.info));
        def.types.iter().for_each(|typ| check(typ.name.to_string(), &typ.info));
        def.univs.iter().for_each(|univ| check(format!(".{}", univ.name), &univ.info));
        def.tagprops.iter().for_each(|prop| check(format!("#:{}", prop.name), &prop.info));
        def.edges.iter().for_each(|(key, info)| check(format!("{key:?}"), info));
        for form in &def.forms {
            form.props.iter().for_each(|prop| check(format!("{}:{}", form.name, prop.name), &prop.info));
        }
        for (name, info) in &def.interfaces {
            check(name.to_string(), info);
            for prop in info.get("props").and_then(Value::as_list).unwrap_or_default() {
                let prop = myelin_model::PropDef::from_value(prop).expect("a property");
                check(format!("{name}:{}", prop.name), &prop.info);
            }
        }
    }
    missing
}
