//! The extended model: what users add to a running service, as it is stored, exchanged and checked.
//!
//! [`ExtModel`] holds the definitions in the shapes in which the service stores them. The `check_…` methods are the gate
//! a definition passes before it becomes an event; [`ExtModel::load`] applies stored ones at boot.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, guid_of};

use crate::moddef::{EdgeKey, PropDef, TypeDef, TypeRef, edge_key_from_value, pack_edge_key};
use crate::model::{Model, no_such_form, no_such_type};

fn req_map<'a>(valu: &'a Value, what: &str, key: &str, name: &str) -> Result<&'a Map> {
    valu.as_map().ok_or_else(|| err!("BadArg", mesg = format!("{what} must be a dictionary.")).with(key, name))
}

fn req_pair(valu: &Value, what: &str, key: &str, name: &str) -> Result<()> {
    if valu.as_list().is_none() {
        return Err(err!("BadArg", mesg = format!("{what} must be a pair of type and options.")).with(key, name));
    }
    Ok(())
}

fn edge_error(name: &'static str, mesg: String, key: &EdgeKey) -> Error {
    let (n1form, verb, n2form) = key;
    err!(name, mesg = mesg, n1form = n1form.clone(), verb = verb, n2form = n2form.clone())
}

fn show_edge((n1form, verb, n2form): &EdgeKey) -> String {
    format!("{} -({verb})> {}", n1form.as_deref().unwrap_or("*"), n2form.as_deref().unwrap_or("*"))
}

/// The error for an edge that is not declared.
pub fn no_such_edge(key: &EdgeKey) -> Error {
    edge_error("NoSuchEdge", format!("There is no edge {}.", show_edge(key)), key)
}

/// What must hold before a definition is accepted.
impl Model {
    /// A type a user wants to add.
    ///
    /// # Errors
    /// `BadArg`, `BadTypeDef`, `DupTypeName`, `NoSuchType`.
    pub fn check_ext_type(&self, name: &str, base: &str, opts: &Value, info: &Value) -> Result<()> {
        let opts = req_map(opts, "The options of a type", "type", name)?;
        req_map(info, "The information of a type", "type", name)?;
        if !name.starts_with('_') {
            return Err(err!("BadTypeDef", mesg = "The name of an extended type begins with \"_\".", type = name));
        }
        if self.typ(name).is_some() {
            return Err(err!("DupTypeName", mesg = format!("The type {name} is already there."), name = name));
        }
        self.req_type(base)?.with_opts(self, opts).map(|_| ())
    }

    /// Whether a type is one that users may remove.
    ///
    /// # Errors
    /// `BadTypeDef`, `NoSuchType`.
    pub fn check_del_ext_type(&self, name: &str) -> Result<()> {
        if !name.starts_with('_') {
            return Err(err!("BadTypeDef", mesg = "The name of an extended type begins with \"_\".", type = name));
        }
        self.typ(name).map(|_| ()).ok_or_else(|| no_such_type(name))
    }

    /// A form a user wants to add.
    ///
    /// # Errors
    /// `BadArg`, `BadFormDef`, `DupFormName`, `DupTypeName`, `NoSuchType`.
    pub fn check_ext_form(&self, name: &str, base: &str, opts: &Value, info: &Value) -> Result<()> {
        let opts = req_map(opts, "The type options of a form", "form", name)?;
        req_map(info, "The type information of a form", "form", name)?;
        if !name.starts_with('_') {
            return Err(err!("BadFormDef", mesg = "The name of an extended form begins with \"_\".", form = name));
        }
        if self.form(name).is_some() {
            return Err(err!("DupFormName", mesg = format!("The form {name} is already there.")));
        }
        if self.typ(name).is_some() {
            return Err(err!("DupTypeName", mesg = format!("The type {name} is already there."), name = name));
        }
        self.type_clone(&TypeRef::new(base, opts.clone())).map(|_| ())
    }

    /// Whether a form is one that users may remove.
    ///
    /// # Errors
    /// `BadFormDef`, `NoSuchForm`.
    pub fn check_del_ext_form(&self, name: &str) -> Result<()> {
        if !name.starts_with('_') {
            return Err(err!("BadFormDef", mesg = "The name of an extended form begins with \"_\".", form = name));
        }
        self.form(name).map(|_| ()).ok_or_else(|| no_such_form(name))
    }

    /// A property a user wants to add to a form.
    ///
    /// # Errors
    /// `BadArg`, `BadPropDef`, `NoSuchForm`, `DupPropName`, `NoSuchType`, `BadTypeDef`.
    pub fn check_ext_prop(&self, form: &str, prop: &str, typedef: &Value, info: &Value) -> Result<PropDef> {
        req_pair(typedef, "The type of a property", "form", form)?;
        let info = req_map(info, "The information of a property", "form", form)?.clone();
        let typ = TypeRef::from_value(typedef)?;
        if !prop.starts_with('_') && !form.starts_with('_') {
            let mesg = "An extended property begins with \"_\" or belongs to an extended form.";
            return Err(err!("BadPropDef", mesg = mesg, prop = prop));
        }
        if self.req_form(form)?.prop(prop).is_some() {
            let mesg = format!("The form {form} already has the property {prop}.");
            return Err(err!("DupPropName", mesg = mesg, form = form, prop = prop));
        }
        self.type_clone(&typ)?;
        Ok(PropDef { name: prop.into(), typ, info: Arc::new(info) })
    }

    /// A universal property a user wants to add, by its name without the dot.
    ///
    /// # Errors
    /// `BadArg`, `BadPropDef`, `DupPropName`, `NoSuchType`, `BadTypeDef`.
    pub fn check_ext_univ(&self, name: &str, typedef: &Value, info: &Value) -> Result<PropDef> {
        req_pair(typedef, "The type of a universal property", "name", name)?;
        let info = req_map(info, "The information of a universal property", "name", name)?.clone();
        let typ = TypeRef::from_value(typedef)?;
        if !name.starts_with('_') {
            let mesg = "The name of an extended universal property begins with \"_\".";
            return Err(err!("BadPropDef", mesg = mesg, name = name));
        }
        self.type_clone(&typ)?;
        if self.prop(&format!(".{name}")).is_some() {
            let mesg = format!("The universal property .{name} is already there.");
            return Err(err!("DupPropName", mesg = mesg, prop = name));
        }
        Ok(PropDef { name: name.into(), typ, info: Arc::new(info) })
    }

    /// A tag property a user wants to add.
    ///
    /// # Errors
    /// `BadArg`, `DupPropName`, `NoSuchType`, `BadTypeDef`.
    pub fn check_ext_tagprop(&self, name: &str, typedef: &Value, info: &Value) -> Result<PropDef> {
        req_pair(typedef, "The type of a tag property", "name", name)?;
        let info = req_map(info, "The information of a tag property", "name", name)?.clone();
        let typ = TypeRef::from_value(typedef)?;
        if self.tagprop(name).is_some() {
            let mesg = format!("The tag property {name} is already there.");
            return Err(err!("DupPropName", mesg = mesg, name = name));
        }
        self.type_clone(&typ)?;
        Ok(PropDef { name: name.into(), typ, info: Arc::new(info) })
    }

    /// An edge a user wants to add.
    ///
    /// # Errors
    /// `BadArg`, `BadEdgeDef`, `NoSuchForm`, `DupEdgeType`.
    pub fn check_ext_edge(&self, edge: &Value, info: &Value) -> Result<EdgeKey> {
        if info.as_map().is_none() {
            let mesg = "The information of an edge must be a dictionary.";
            return Err(err!("BadArg", mesg = mesg, edgeinfo = info.clone()));
        }
        let key = edge_key_from_value(edge)?;
        if !key.1.starts_with('_') {
            let mesg = format!("The verb of an extended edge begins with \"_\", which {} does not.", key.1);
            return Err(edge_error("BadEdgeDef", mesg, &key));
        }
        for side in [&key.0, &key.2].into_iter().flatten() {
            self.req_form(side)?;
        }
        if self.edge(&key).is_some() {
            return Err(edge_error("DupEdgeType", format!("The edge {} is already there.", show_edge(&key)), &key));
        }
        Ok(key)
    }

    /// Adds an extended type.
    ///
    /// # Errors
    /// As [`Model::add_type`].
    pub fn add_ext_type(&mut self, name: &str, base: &str, opts: &Value, info: &Map) -> Result<()> {
        let def = TypeDef { name: name.into(), base: TypeRef::new(base, opts.clone()), info: info.clone() };
        self.add_type_checked(&def).map(|_| ())
    }

    /// Adds an extended form: the type of its name, and the form.
    ///
    /// # Errors
    /// As [`Model::add_type`] and [`Model::add_form`].
    pub fn add_ext_form(&mut self, name: &str, base: &str, opts: &Value, info: &Map) -> Result<()> {
        let mut next = self.clone();
        next.add_ext_type(name, base, opts, info)?;
        next.add_form(name, Map::new(), &[])?;
        *self = next;
        Ok(())
    }
}

/// The information of an extended type with the interface `taxonomy` under its present name.
pub fn present_ifaces(info: &Map) -> Map {
    let mut retn = info.clone();
    let names = info.get("interfaces").and_then(Value::as_list).unwrap_or_default();
    if names.iter().any(|name| name.as_str() == Some("taxonomy")) {
        let mut next: Vec<Value> = Vec::with_capacity(names.len());
        for name in names {
            let name = if name.as_str() == Some("taxonomy") { Value::from("meta:taxonomy") } else { name.clone() };
            if !next.contains(&name) {
                next.push(name);
            }
        }
        retn.insert("interfaces", Value::from(next));
    }
    retn
}

/// The stored definitions, each under the key it is stored by.
#[derive(Clone, Debug, Default)]
pub struct ExtModel {
    /// `name`: name, base, options, information.
    pub types: IndexMap<String, Value>,
    /// `name`: name, base, options, information.
    pub forms: IndexMap<String, Value>,
    /// `form:prop`: form, property, type, information.
    pub props: IndexMap<String, Value>,
    /// `name` without the dot: name, type, information.
    pub univs: IndexMap<String, Value>,
    /// `name`: name, type, information.
    pub tagprops: IndexMap<String, Value>,
    /// The guid of the edge: edge, information.
    pub edges: IndexMap<String, Value>,
}

/// Where an edge is stored.
pub fn edge_guid(key: &EdgeKey) -> String {
    guid_of(&pack_edge_key(key))
}

impl ExtModel {
    fn sections(&self) -> [(&'static str, &IndexMap<String, Value>); 6] {
        [
            ("types", &self.types),
            ("forms", &self.forms),
            ("props", &self.props),
            ("univs", &self.univs),
            ("tagprops", &self.tagprops),
            ("edges", &self.edges),
        ]
    }

    /// The dictionary that `getExtModel` answers: what there is of each kind, and the version of the shape.
    pub fn pack(&self) -> Value {
        let mut retn = Map::new();
        for (name, items) in self.sections().into_iter().filter(|(_, items)| !items.is_empty()) {
            // In the order of the names under which they are stored.
            let mut rows: Vec<_> = items.iter().collect();
            rows.sort_by_key(|(key, _)| key.as_str());
            retn.insert(name, Value::list(rows.into_iter().map(|(_, item)| item.clone())));
        }
        Value::from(retn.with("version", [1i64, 0]))
    }

    /// Applies the definitions to a model. What cannot be applied any more is left out, and said.
    pub fn load(&self, model: &mut Model) -> Vec<String> {
        let mut warnings = Vec::new();
        for (kind, items) in self.sections() {
            for (name, item) in items {
                if let Err(error) = load_one(model, kind, item) {
                    warnings.push(format!(
                        "The extended model has the {} {name}, which fails: {error}",
                        kind.trim_end_matches('s')
                    ));
                }
            }
        }
        warnings.extend(model.take_warnings());
        warnings
    }

    /// What another extended model has and this one does not.
    ///
    /// # Errors
    /// `BadTypeDef`, `BadFormDef`, `BadPropDef` or `BadEdgeDef` when both have a thing and disagree about it.
    pub fn missing_from(&self, other: &Value) -> Result<ExtModel> {
        let mut retn = ExtModel::default();
        let section = |name: &str| other.get(name).and_then(Value::as_list).unwrap_or_default();
        let text = |item: &Value, indx: usize| item.at(indx).and_then(Value::as_str).unwrap_or_default().to_owned();
        let named = |item: &Value| text(item, 0);
        let named_prop = |item: &Value| format!("{}:{}", text(item, 0), text(item, 1));
        diff(section("types"), &self.types, &mut retn.types, "BadTypeDef", named)?;
        diff(section("forms"), &self.forms, &mut retn.forms, "BadFormDef", named)?;
        diff(section("props"), &self.props, &mut retn.props, "BadPropDef", named_prop)?;
        diff(section("tagprops"), &self.tagprops, &mut retn.tagprops, "BadPropDef", named)?;
        diff(section("univs"), &self.univs, &mut retn.univs, "BadPropDef", named)?;
        for item in section("edges") {
            let key = edge_key_from_value(item.at(0).unwrap_or(&Value::Null))?;
            match self.edges.get(&edge_guid(&key)) {
                None => {
                    retn.edges.insert(edge_guid(&key), item.clone());
                }
                Some(have) if have == item => {}
                Some(_) => {
                    let mesg = format!("The edge {} is already there with another definition.", show_edge(&key));
                    return Err(edge_error("BadEdgeDef", mesg, &key));
                }
            }
        }
        Ok(retn)
    }
}

fn diff(
    items: &[Value],
    have: &IndexMap<String, Value>,
    into: &mut IndexMap<String, Value>,
    error: &'static str,
    name: impl Fn(&Value) -> String,
) -> Result<()> {
    for item in items {
        let name = name(item);
        match have.get(&name) {
            None => {
                into.insert(name, item.clone());
            }
            Some(have) if have == item => {}
            Some(_) => {
                let mesg = format!("{name} is already there with another definition.");
                // A property is named by the pair of form and property.
                let named = if item.as_list().is_some_and(|item| item.len() == 4) && error == "BadPropDef" {
                    Value::list([item.at(0).cloned().unwrap_or_default(), item.at(1).cloned().unwrap_or_default()])
                } else {
                    Value::from(name)
                };
                return Err(err!(error, mesg = mesg, name = named));
            }
        }
    }
    Ok(())
}

fn load_one(model: &mut Model, kind: &str, item: &Value) -> Result<()> {
    let bad = || err!("BadArg", mesg = format!("{item:?} is no definition."));
    let parts = item.as_list().ok_or_else(bad)?;
    match (kind, parts) {
        ("types", [name, base, opts, info]) | ("forms", [name, base, opts, info]) => {
            let (name, base) = (name.as_str().ok_or_else(bad)?, base.as_str().ok_or_else(bad)?);
            let info = info.as_map().ok_or_else(bad)?;
            if kind == "types" {
                model.add_ext_type(name, base, opts, info)
            } else {
                model.add_ext_form(name, base, opts, info)
            }
        }
        ("props", [form, name, typedef, info]) => {
            let def = PropDef::from_value(&Value::list([name.clone(), typedef.clone(), info.clone()]))?;
            let prop = model.add_form_prop(form.as_str().ok_or_else(bad)?, &def)?;
            warn_deprecated(model, &prop.full, &prop.typ);
            Ok(())
        }
        ("univs", _) => model.add_univ(&PropDef::from_value(item)?).map(|_| ()),
        ("tagprops", _) => model.add_tagprop(&PropDef::from_value(item)?).map(|_| ()),
        ("edges", [edge, info]) => {
            let info = info.as_map().cloned().unwrap_or_default();
            model.add_edge(edge_key_from_value(edge)?, info).map(|_| ())
        }
        _ => Err(bad()),
    }
}

fn warn_deprecated(model: &mut Model, full: &Arc<str>, typ: &crate::Type) {
    if typ.is_deprecated() {
        model.warnings.push(format!("The property {full} is of the deprecated type {}.", typ.name));
    }
}
