//! The model as clients see it: the dictionary of `getModelDict`, the definitions of `getModelDefs`, the properties of
//! the computed nodes (`syn:type`, `syn:form`, `syn:prop`, `syn:tagprop`).

use std::sync::Arc;

use myelin_value::{Map, Value};

use crate::moddef::pack_edge_key;
use crate::model::{Form, Model, Prop, TagProp};
use crate::types::{CtorKind, Type};

impl Model {
    /// The whole model as one dictionary, as `getModelDict` and `/api/v1/model` answer it.
    pub fn model_dict(&self) -> Value {
        let types: Map = self.types.values().map(|typ| (Value::from(&typ.name), pack_type(typ))).collect();
        let forms: Map = self.forms.values().map(|form| (Value::from(&form.name), pack_form(form))).collect();
        let edges =
            self.edges.values().map(|edge| Value::list([pack_edge_key(&edge.key), Value::from(edge.info.clone())]));
        let univs: Map = self.univs.values().map(|univ| (Value::from(&univ.name), pack_prop(univ))).collect();
        let tagprops: Map = self.tagprops.values().map(|prop| (Value::from(&prop.name), pack_tagprop(prop))).collect();
        let ifaces: Map =
            self.ifaces.iter().map(|(name, info)| (Value::from(name), Value::Map(info.clone()))).collect();
        let retn = Map::new()
            .with("types", types)
            .with("forms", forms)
            .with("edges", Value::list(edges))
            .with("univs", univs)
            .with("tagprops", tagprops)
            .with("interfaces", ifaces);
        Value::from(retn)
    }

    /// The model as definitions that could be loaded again, as `getModelDefs` answers it.
    pub fn model_defs(&self) -> Value {
        let ctors = self.ctor_defs.iter().map(|def| {
            let path = CtorKind::from_path(&def.ctor);
            let path = path.map_or_else(|| Value::from(&def.ctor), |kind| Value::from(kind.python_path()));
            let opts = self.base_opts(&def.name, &def.opts);
            let info = def.info.clone().with("bases", Value::list([Value::from("base")]));
            Value::list([Value::from(&def.name), path, Value::from(opts), Value::from(info)])
        });
        let types = self.type_defs.iter().filter_map(|name| self.types.get(name)).map(|typ| {
            let base = Value::list([Value::from(typ.subof.clone()), Value::from(typ.opts.clone())]);
            let info = type_info(typ).with("stortype", typ.stortype);
            Value::list([Value::from(&typ.name), base, Value::from(info)])
        });
        let forms = self.forms.values().map(|form| {
            let props = form.props.values().map(pack_propdef);
            Value::list([Value::from(&form.name), Value::from(form.info.clone()), Value::list(props)])
        });
        let tagprops = self
            .tagprops
            .values()
            .map(|prop| Value::list([Value::from(&prop.name), prop.typedef.pack(), Value::from(prop.info.clone())]));
        let ifaces = self.ifaces.iter().map(|(name, info)| Value::list([Value::from(name), Value::Map(info.clone())]));
        let edges =
            self.edges.values().map(|edge| Value::list([pack_edge_key(&edge.key), Value::from(edge.info.clone())]));
        let defs = Map::new()
            .with("ctors", Value::list(ctors))
            .with("types", Value::list(types))
            .with("forms", Value::list(forms))
            .with("univs", Value::list(self.univs.values().map(pack_propdef)))
            .with("edges", Value::list(edges))
            .with("tagprops", Value::list(tagprops))
            .with("interfaces", Value::list(ifaces));
        Value::list([Value::list([Value::from("all"), Value::from(defs)])])
    }

    /// The options of a constructor as definitions carry them: the core's own in full, those of domains as declared.
    fn base_opts(&self, name: &str, declared: &Map) -> Map {
        let is_core = crate::types::BASE_TYPES.iter().any(|base| base.name == name);
        let typ = self.types.get(name).filter(|_| is_core);
        typ.map_or_else(|| declared.clone(), |typ| typ.opts.clone())
    }
}

fn type_info(typ: &Type) -> Map {
    typ.info.clone().with("bases", Value::list(typ.bases.iter().map(Value::from)))
}

/// A type as clients see it.
pub fn pack_type(typ: &Type) -> Value {
    let retn = Map::new().with("info", type_info(typ)).with("opts", typ.opts.clone()).with("stortype", typ.stortype);
    Value::from(retn)
}

/// A form as clients see it.
pub fn pack_form(form: &Form) -> Value {
    let props: Map = form.props.values().map(|prop| (Value::from(&prop.name), pack_prop(prop))).collect();
    let mut retn = Map::new().with("name", &form.name).with("props", props).with("stortype", form.typ.stortype);
    retn.update(&form.info);
    Value::from(retn)
}

/// A property as clients see it.
pub fn pack_prop(prop: &Prop) -> Value {
    let mut retn = Map::new()
        .with("name", &prop.name)
        .with("full", &prop.full)
        .with("type", prop.typedef.pack())
        .with("stortype", prop.typ.stortype);
    retn.update(&prop.info);
    Value::from(retn)
}

/// A tag property as clients see it.
pub fn pack_tagprop(prop: &TagProp) -> Value {
    let retn = Map::new()
        .with("name", &prop.name)
        .with("info", prop.info.clone())
        .with("type", prop.typedef.pack())
        .with("stortype", prop.typ.stortype);
    Value::from(retn)
}

fn pack_propdef(prop: &Arc<Prop>) -> Value {
    Value::list([Value::from(&prop.name), prop.typedef.pack(), Value::Map(prop.info.clone())])
}

/// A computed node about the model: its primary value and its properties, not yet normalised.
#[derive(Clone, Debug)]
pub struct ModelNode {
    /// The primary value.
    pub valu: Value,
    /// The properties by relative name. Those which the form does not have are to be left out.
    pub props: Vec<(&'static str, Value)>,
}

/// The `syn:type` node of a type.
pub fn type_node(typ: &Type) -> ModelNode {
    let mut props = vec![("ctor", Value::from(typ.ctor.python_path()))];
    if let Some(doc) = typ.info.get("doc") {
        props.push(("doc", doc.clone()));
    }
    if !typ.opts.is_empty() {
        props.push(("opts", Value::from(typ.opts.clone())));
    }
    if let Some(subof) = &typ.subof {
        props.push(("subof", Value::from(subof)));
    }
    ModelNode { valu: Value::from(&typ.name), props }
}

/// The `syn:form` node of a form.
pub fn form_node(form: &Form) -> ModelNode {
    let props =
        vec![("doc", form_doc(form)), ("type", Value::from(&form.typ.name)), ("runt", Value::from(form.is_runt))];
    ModelNode { valu: Value::from(&form.name), props }
}

fn form_doc(form: &Form) -> Value {
    form.info.get("doc").or_else(|| form.typ.info.get("doc")).cloned().unwrap_or_else(|| Value::from(""))
}

/// The `syn:prop` node of a property; of a form, when it is the form's primary property.
pub fn prop_node(model: &Model, prop: &Prop) -> ModelNode {
    if let Some(form) = prop.form.as_deref().filter(|_| prop.is_form).and_then(|form| model.form(form)) {
        let props = vec![
            ("doc", form_doc(form)),
            ("type", Value::from(&form.typ.name)),
            ("univ", Value::from(false)),
            ("extmodel", Value::from(false)),
            ("form", Value::from(&form.name)),
        ];
        return ModelNode { valu: Value::from(&form.name), props };
    }
    let mut props = vec![
        ("doc", Value::from(prop.doc())),
        ("type", Value::from(&prop.typ.name)),
        ("relname", Value::from(&prop.name)),
        ("univ", Value::from(prop.is_univ)),
        ("base", Value::from(prop.name.rsplit(':').next().unwrap_or_default())),
        ("ro", Value::from(i64::from(prop.ro))),
        ("extmodel", Value::from(prop.is_ext)),
    ];
    if let Some(form) = &prop.form {
        props.push(("form", Value::from(form)));
    }
    ModelNode { valu: Value::from(&prop.full), props }
}

/// The `syn:tagprop` node of a tag property.
pub fn tagprop_node(prop: &TagProp) -> ModelNode {
    let doc = prop.info.get_str("doc").unwrap_or_default();
    ModelNode {
        valu: Value::from(&prop.name),
        props: vec![("doc", Value::from(doc)), ("type", Value::from(&prop.typ.name))],
    }
}
