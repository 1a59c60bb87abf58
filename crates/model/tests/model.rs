//! Lookups, extensions, locks and dictionaries of the model that ships, and what errors they answer.

use std::sync::Arc;

use myelin_error::Error;
use myelin_model::{ExtModel, Model, load_model_json, pack};
use myelin_value::{Map, Value, json};

fn model() -> Model {
    Model::clone(&Model::shared().expect("the files are well-formed"))
}

fn val(text: &str) -> Value {
    json::parse(text.as_bytes()).expect("JSON")
}

fn fails<T>(result: Result<T, Error>, name: &str, key: &str) {
    match result {
        Ok(_) => panic!("expected {name}"),
        Err(error) => assert!(error.is(name) && (key.is_empty() || error.get(key).is_some()), "{error}"),
    }
}

#[test]
fn names_lead_to_forms_and_properties() {
    let model = model();
    let form = model.form("inet:ipv4").expect("a form");
    assert!(model.prop("inet:ipv4").is_some_and(|prop| prop.is_form && prop.form_id == Some(form.id)));
    let asn = model.prop("inet:ipv4:asn").expect("a property");
    assert!(
        Arc::ptr_eq(asn, form.prop("asn").expect("the same"))
            && Arc::ptr_eq(asn, model.prop_by_id(asn.id).expect("by id"))
    );
    assert!(model.prop("inet:ipv4.seen").is_some_and(|prop| prop.from_univ && &*prop.name == ".seen"));
    assert!(model.prop(".created").is_some_and(|prop| prop.is_univ && prop.ro));
    assert!(model.form("syn:cmd").is_some_and(|form| form.is_runt));
    assert_eq!(model.prop("inet:dns:a:ipv4").and_then(|prop| prop.comp_offs), Some(1));
    fails(model.req_prop("inet:ipv4:nope"), "NoSuchProp", "name");
    fails(model.req_form("inet:nope"), "NoSuchForm", "name");
    fails(model.req_univ(".nope"), "NoSuchUniv", "name");
    fails(model.req_tagprop("nope"), "NoSuchTagProp", "name");
    fails(model.req_type("nope"), "NoSuchType", "name");
}

#[test]
fn looks_find_many() {
    let model = model();
    let names =
        |forms: Vec<Arc<myelin_model::Form>>| forms.iter().map(|form| form.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        names(model.req_forms_by_look("hash:sha*").expect("some")),
        ["hash:sha1", "hash:sha256", "hash:sha384", "hash:sha512"]
    );
    assert_eq!(
        names(model.req_forms_by_look("doc:document").expect("some")).first().map(String::as_str),
        Some("doc:policy")
    );
    fails(model.req_forms_by_look("no:such*"), "NoSuchForm", "name");
    let props = model.req_props_by_look("it:host:activity:exe").expect("some");
    assert!(props.iter().any(|prop| &*prop.full == "inet:http:request:exe"));
    fails(model.req_props_by_look("no:such:prop"), "NoSuchProp", "name");
    assert!(model.props_by_type("inet:asn").iter().any(|prop| &*prop.full == "inet:ipv4:asn"));
    assert!(model.array_props_by_type("ps:contact").iter().any(|prop| &*prop.full == "ou:contract:parties"));
    assert_eq!(model.find_edge("ou:org", "uses", "inet:fqdn").and_then(|edge| edge.key.2.clone()), None);
    assert!(model.find_edge("ou:org", "uses", "ou:technique").is_some_and(|edge| edge.key.2.is_some()));
    let org = model.form("ou:org").expect("a form");
    let alts = org.alts(org.prop("name").expect("a property")).expect("they are there");
    assert_eq!(alts.iter().map(|prop| &*prop.name).collect::<Vec<_>>(), ["name", "names"]);
}

#[test]
fn templates_are_filled_in() {
    let model = model();
    let doc = |name: &str| model.prop(name).map(|prop| prop.doc().to_owned()).unwrap_or_default();
    assert!(doc("doc:policy:name").contains("policy") && doc("doc:standard:name").contains("standard"));
    for prop in model.props() {
        assert!(!prop.doc().contains('{'), "{}: {}", prop.full, prop.doc());
    }
    assert_eq!(
        model
            .prop("doc:policy:supersedes")
            .and_then(|prop| prop.typ.array_type().map(|typ| typ.name.to_string()))
            .as_deref(),
        Some("doc:policy")
    );
}

#[test]
fn extensions_come_and_go() {
    let base = Arc::new(model());
    let mut next = Model::clone(&base);
    let (none, info) = (val("{}"), val(r#"{"interfaces": ["meta:taxonomy"], "doc": "x"}"#));
    next.check_ext_form("_foo:kind", "taxonomy", &none, &info).expect("may be added");
    next.add_ext_form("_foo:kind", "taxonomy", &none, info.as_map().expect("a map")).expect("is added");
    assert!(
        next.form("_foo:kind").is_some_and(|form| form.implements("meta:taxonomy") && form.prop("parent").is_some())
    );
    assert!(base.form("_foo:kind").is_none(), "the old snapshot stays");
    fails(next.check_ext_form("_foo:kind", "str", &none, &none), "DupFormName", "");
    fails(next.check_ext_form("foo:kind", "str", &none, &none), "BadFormDef", "form");
    fails(next.check_ext_form("_foo:other", "nope", &none, &none), "NoSuchType", "name");
    fails(next.check_ext_form("_foo:other", "str", &Value::Null, &none), "BadArg", "form");
    fails(next.check_ext_type("_foo:kind", "str", &none, &none), "DupTypeName", "name");

    let typedef = val(r#"["array", {"type": "_foo:kind", "uniq": true}]"#);
    let def = next.check_ext_prop("inet:ipv4", "_kinds", &typedef, &none).expect("may be added");
    next.add_form_prop("inet:ipv4", &def).expect("is added");
    assert!(next.prop("inet:ipv4:_kinds").is_some_and(|prop| prop.is_ext && prop.typ.is_array()));
    assert_eq!(next.array_props_by_type("_foo:kind").len(), 1);
    assert!(next.refs_out("inet:ipv4").array.iter().any(|(name, _)| &**name == "_kinds"));
    fails(next.check_ext_prop("inet:ipv4", "_kinds", &typedef, &none), "DupPropName", "prop");
    fails(next.check_ext_prop("inet:ipv4", "kinds", &typedef, &none), "BadPropDef", "prop");
    fails(next.check_ext_prop("inet:nope", "_kinds", &typedef, &none), "NoSuchForm", "name");

    let own = next.check_ext_prop("_foo:kind", "size", &val(r#"["int", {}]"#), &none).expect("may be added");
    next.add_form_prop("_foo:kind", &own).expect("is added");
    fails(next.clone().del_form("_foo:kind"), "CantDelForm", "");
    next.del_form_prop("_foo:kind", "size").expect("is removed");
    next.del_form("_foo:kind").expect("is removed");
    next.del_form_prop("inet:ipv4", "_kinds").expect("is removed");
    next.del_type("_foo:kind").expect("is removed");
    assert!(
        next.forms_by_iface("meta:taxonomy").is_some_and(|forms| forms.iter().all(|form| &*form.name != "_foo:kind"))
    );
    fails(next.del_type("inet:fqdn"), "CantDelType", "name");
    fails(next.del_form_prop("inet:ipv4", "_kinds"), "NoSuchProp", "name");
    assert_eq!(next.props().count(), base.props().count());
}

#[test]
fn universal_and_tag_properties_and_edges() {
    let mut model = model();
    let none = val("{}");
    let univ = model.check_ext_univ("_score", &val(r#"["int", {"max": 10}]"#), &none).expect("may be added");
    model.add_univ(&univ).expect("is added");
    assert!(model.prop("inet:fqdn._score").is_some_and(|prop| prop.is_ext && prop.from_univ));
    assert_eq!(model.all_univs("._score").len(), model.forms().len() + 1);
    fails(model.check_ext_univ("_score", &val(r#"["int", {}]"#), &none), "DupPropName", "prop");
    fails(model.check_ext_univ("score", &val(r#"["int", {}]"#), &none), "BadPropDef", "name");
    model.set_univ_locked("._score", true).expect("is there");
    assert!(model.prop("inet:fqdn._score").is_some_and(|prop| prop.locked));
    model.del_univ("_score").expect("is removed");
    assert!(model.prop("inet:fqdn._score").is_none() && model.prop("._score").is_none());
    fails(model.del_univ("_score"), "NoSuchUniv", "name");

    let risk = model.check_ext_tagprop("risk", &val(r#"["int", {"min": 0}]"#), &none).expect("may be added");
    model.add_tagprop(&risk).expect("is added");
    fails(model.add_tagprop(&risk), "DupTagPropName", "");
    let list = model.check_ext_tagprop("list", &val(r#"["array", {"type": "int"}]"#), &none).expect("looks well");
    fails(model.add_tagprop(&list), "BadPropDef", "");
    model.del_tagprop("risk").expect("is removed");

    let key = model.check_ext_edge(&val(r#"["inet:fqdn", "_likes", null]"#), &none).expect("may be added");
    model.add_edge(key.clone(), Map::new()).expect("is added");
    fails(model.check_ext_edge(&val(r#"["inet:fqdn", "_likes", null]"#), &none), "DupEdgeType", "verb");
    fails(model.check_ext_edge(&val(r#"["inet:fqdn", "likes", null]"#), &none), "BadEdgeDef", "verb");
    fails(model.check_ext_edge(&val(r#"["inet:nope", "_likes", null]"#), &none), "NoSuchForm", "name");
    model.del_edge(&key);
    assert!(model.edge(&key).is_none());
}

#[test]
fn stored_extensions_load_and_compare() {
    let mut ext = ExtModel::default();
    ext.types.insert("_t".into(), val(r#"["_t", "str", {"lower": true}, {}]"#));
    ext.forms.insert("_a:b".into(), val(r#"["_a:b", "_t", {}, {}]"#));
    ext.props.insert("_a:b:size".into(), val(r#"["_a:b", "size", ["int", {}], {}]"#));
    ext.props.insert("no:form:_x".into(), val(r#"["no:form", "_x", ["int", {}], {}]"#));
    ext.univs.insert("_u".into(), val(r#"["_u", ["int", {}], {}]"#));
    let mut model = model();
    let warnings = ext.load(&mut model);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(model.prop("_a:b:size").is_some() && model.prop("_a:b._u").is_some());
    assert_eq!(ext.pack().get("version"), Some(&val("[1, 0]")));
    let other = val(r#"{"types": [["_t", "str", {"lower": true}, {}], ["_n", "int", {}, {}]], "version": [1, 0]}"#);
    let missing = ext.missing_from(&other).expect("they agree");
    assert_eq!(missing.types.keys().collect::<Vec<_>>(), ["_n"]);
    let other = val(r#"{"props": [["_a:b", "size", ["str", {}], {}]]}"#);
    fails(ext.missing_from(&other), "BadPropDef", "name");
}

#[test]
fn locks_fit_what_is_deprecated() {
    let mut model = model();
    fails(model.set_depr_lock("inet:ipv4", true), "NoSuchProp", "name");
    model.set_depr_lock("ou:org:sic", true).expect("is deprecated");
    assert!(model.prop("ou:org:sic").is_some_and(|prop| prop.locked));
    model.set_depr_lock("edge:has", true).expect("is deprecated");
    assert!(model.form("edge:has").is_some_and(|form| form.locked) && model.is_type_locked("edge:has"));
    let locks = model.depr_locks();
    assert!(locks.iter().any(|(name, locked)| &**name == "ou:org:sic" && *locked));
    assert!(locks.iter().all(|(name, _)| !name.contains(".seen")));
    model.set_depr_lock("edge:has", false).expect("is deprecated");
    assert!(model.form("edge:has").is_some_and(|form| !form.locked) && !model.is_type_locked("edge:has"));
}

#[test]
fn dictionaries_have_their_shapes() {
    let model = model();
    let dict = model.model_dict();
    let form = dict.get("forms").and_then(|forms| forms.get("inet:ipv4")).expect("a form");
    assert_eq!(form.get("stortype"), Some(&Value::from(4)));
    let asn = form.get("props").and_then(|props| props.get("asn")).expect("a property");
    assert_eq!(asn.get("type"), Some(&val(r#"["inet:asn", {}]"#)));
    assert_eq!(asn.get("full").and_then(Value::as_str), Some("inet:ipv4:asn"));
    let fqdn =
        dict.get("types").and_then(|types| types.get("inet:fqdn")).and_then(|typ| typ.get("info")).expect("info");
    assert_eq!(fqdn.get("bases"), Some(&val(r#"["base"]"#)));
    assert!(fqdn.get("props").and_then(Value::as_list).is_some_and(|props| props.len() == 5));
    let defs = model.model_defs();
    let types =
        defs.at(0).and_then(|def| def.at(1)).and_then(|def| def.get("types")).and_then(Value::as_list).expect("types");
    assert!(types.iter().any(|typ| typ.at(0).and_then(Value::as_str) == Some("inet:asn")));
    let node = pack::prop_node(&model, model.prop("inet:ipv4.seen").expect("a property"));
    assert_eq!(node.valu, Value::from("inet:ipv4.seen"));
}

#[test]
fn model_files_load_on_top() {
    let mut model = model();
    let text = br#"{"models": [["mine", {
        "types": [["my:str", ["str", {}], {"interfaces": ["my:thing"]}]],
        "interfaces": [["my:thing", {"interfaces": ["inet:proto:request"], "props": [["size", ["int", {}], {}]]}]],
        "univs": [["mine", ["int", {}], {}]],
        "forms": [["my:str", {}, [["self", ["my:str", {}], {}]]]]
    }]]}"#;
    let file = load_model_json(text).expect("well-formed");
    model.add_data_models(&file.defs).expect("loads");
    let form = model.form("my:str").expect("a form");
    assert!(
        form.prop("size").is_some()
            && form.prop("flow").is_some()
            && form.prop("exe").is_some()
            && form.prop(".mine").is_some()
    );
    assert!(form.implements("it:host:activity"));
    let by_way_of = model.iface_props("my:thing:exe").expect("through the interfaces below");
    assert_eq!(by_way_of.len(), 1);
    assert!(form.typ.info.get("custom").is_some_and(Value::is_truthy));
}
