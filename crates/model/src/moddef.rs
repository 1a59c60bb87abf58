//! Declarations: what a model file or a JSON definition says, before any of it is resolved.
//!
//! A [`ModelDef`] is one module of declarations in their order. It is read from a `.model` file ([`crate::defs`]) or from
//! the JSON shape that clients exchange ([`ModelDef::from_value`]), and loaded by
//! [`Model::add_data_models`](crate::Model::add_data_models).

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

/// A reference to a type with further options, as a property declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeRef {
    /// The name of the type.
    pub name: Arc<str>,
    /// The options as they were declared: a map, or an empty list where a declaration has one.
    pub opts: Value,
}

impl TypeRef {
    /// A type with options.
    pub fn new(name: impl Into<Arc<str>>, opts: impl Into<Value>) -> TypeRef {
        TypeRef { name: name.into(), opts: opts.into() }
    }

    /// The pair of name and options.
    pub fn pack(&self) -> Value {
        Value::list([Value::from(&self.name), self.opts.clone()])
    }

    /// The options, when there are any.
    pub fn opts_map(&self) -> Option<&Map> {
        self.opts.as_map().filter(|opts| !opts.is_empty())
    }

    /// Reads the pair.
    ///
    /// # Errors
    /// `BadTypeDef` when it is none.
    pub fn from_value(valu: &Value) -> Result<TypeRef> {
        let name = valu.at(0).and_then(Value::as_arc_str);
        let opts = valu.at(1).cloned().unwrap_or_else(|| Value::from(Map::new()));
        let usable = opts.as_map().is_some() || opts.as_list().is_some_and(<[Value]>::is_empty);
        match name {
            Some(name) if usable && valu.as_list().is_some_and(|pair| pair.len() <= 2) => {
                Ok(TypeRef { name: name.clone(), opts })
            }
            _ => {
                Err(err!("BadTypeDef", mesg = "A type is declared as a pair of name and options.", valu = valu.clone()))
            }
        }
    }
}

/// A property, universal property or tag property.
#[derive(Clone, Debug, PartialEq)]
pub struct PropDef {
    /// The name, relative to the form. Universal properties have no leading dot here.
    pub name: Arc<str>,
    /// Its type.
    pub typ: TypeRef,
    /// Further information: `doc`, `ro`, `deprecated`, `alts`, `disp`, …
    pub info: Arc<Map>,
}

impl PropDef {
    /// The triple of name, type and information.
    pub fn pack(&self) -> Value {
        Value::list([Value::from(&self.name), self.typ.pack(), Value::Map(self.info.clone())])
    }

    /// Reads the triple.
    ///
    /// # Errors
    /// `BadPropDef` when it is none.
    pub fn from_value(valu: &Value) -> Result<PropDef> {
        let bad = || err!("BadPropDef", mesg = "A property is name, type and info.", valu = valu.clone());
        match valu.as_list() {
            Some([Value::Str(name), typ, Value::Map(info)]) => {
                Ok(PropDef { name: name.clone(), typ: TypeRef::from_value(typ)?, info: info.clone() })
            }
            _ => Err(bad()),
        }
    }
}

/// A type made from a constructor.
#[derive(Clone, Debug)]
pub struct CtorDef {
    /// The name of the type.
    pub name: Arc<str>,
    /// The constructor: the name or the path of its class.
    pub ctor: Arc<str>,
    /// Options.
    pub opts: Map,
    /// Further information.
    pub info: Map,
}

/// A type made from another type.
#[derive(Clone, Debug)]
pub struct TypeDef {
    /// The name of the type.
    pub name: Arc<str>,
    /// The type it extends, with further options.
    pub base: TypeRef,
    /// Further information.
    pub info: Map,
}

/// A form with the properties declared on it.
#[derive(Clone, Debug)]
pub struct FormDef {
    /// The name, which is that of its type.
    pub name: Arc<str>,
    /// Further information (`runt`).
    pub info: Map,
    /// The properties in order.
    pub props: Vec<PropDef>,
    /// Whether the properties are also part of the type's information, for forms declared with their type.
    pub inline: bool,
}

/// The ends and the verb of an edge. `None` stands for any form.
pub type EdgeKey = (Option<Arc<str>>, Arc<str>, Option<Arc<str>>);

/// The triple of an edge as clients see it.
pub fn pack_edge_key(key: &EdgeKey) -> Value {
    let (n1form, verb, n2form) = key;
    Value::list([Value::from(n1form.clone()), Value::from(verb), Value::from(n2form.clone())])
}

/// Reads the triple of an edge.
///
/// # Errors
/// `BadArg` when it is none.
pub fn edge_key_from_value(valu: &Value) -> Result<EdgeKey> {
    let bad = |what: &str| err!("BadArg", mesg = format!("{what}: {valu:?}"));
    let side = |side: &Value| match side {
        Value::Null => Ok(None),
        side => side.as_arc_str().cloned().map(Some).ok_or_else(|| bad("An edge is between names of forms")),
    };
    match valu.as_list() {
        Some([n1form, verb, n2form]) => {
            let verb = verb.as_arc_str().ok_or_else(|| bad("The verb of an edge is a string"))?;
            Ok((side(n1form)?, verb.clone(), side(n2form)?))
        }
        _ => Err(bad("An edge is a form, a verb and a form")),
    }
}

/// One module of declarations, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct ModelDef {
    /// The name of the module.
    pub name: Arc<str>,
    /// Whether it was added by the operator rather than shipped.
    pub custom: bool,
    /// Types from constructors.
    pub ctors: Vec<CtorDef>,
    /// Types from other types.
    pub types: Vec<TypeDef>,
    /// Interfaces: name and definition (`props`, `interfaces`, `template`, `doc`).
    pub interfaces: Vec<(Arc<str>, Map)>,
    /// Universal properties.
    pub univs: Vec<PropDef>,
    /// Tag properties.
    pub tagprops: Vec<PropDef>,
    /// Forms.
    pub forms: Vec<FormDef>,
    /// Edges with their information.
    pub edges: Vec<(EdgeKey, Map)>,
}

impl ModelDef {
    /// Reads the shape which clients exchange: `[name, {ctors, types, interfaces, univs, tagprops, forms, edges}]`.
    ///
    /// # Errors
    /// `BadTypeDef`, `BadPropDef`, `BadFormDef` or `BadArg`, naming the entry that is not of its shape.
    pub fn from_value(valu: &Value) -> Result<ModelDef> {
        let (Some(name), Some(defs)) = (valu.at(0).and_then(Value::as_arc_str), valu.at(1).and_then(Value::as_map))
        else {
            return Err(err!("BadArg", mesg = "A model definition is a pair of name and definitions."));
        };
        let section = |name: &str| defs.get(name).and_then(Value::as_list).unwrap_or_default();
        let mut retn = ModelDef {
            name: name.clone(),
            custom: defs.get("custom").is_some_and(Value::is_truthy),
            ..ModelDef::default()
        };
        for item in section("ctors") {
            let ctor = ctor_from_value(item)?;
            retn.forms.extend(inline_form(&ctor.name, &ctor.info)?);
            retn.ctors.push(ctor);
        }
        for item in section("types") {
            let typ = type_from_value(item)?;
            retn.forms.extend(inline_form(&typ.name, &typ.info)?);
            retn.types.push(typ);
        }
        for item in section("interfaces") {
            match (item.at(0).and_then(Value::as_arc_str), item.at(1).and_then(Value::as_map)) {
                (Some(name), Some(info)) => retn.interfaces.push((name.clone(), info.clone())),
                _ => return Err(err!("BadFormDef", mesg = "An interface is name and info.", valu = item.clone())),
            }
        }
        retn.univs = section("univs").iter().map(PropDef::from_value).collect::<Result<_>>()?;
        retn.tagprops = section("tagprops").iter().map(PropDef::from_value).collect::<Result<_>>()?;
        for item in section("forms") {
            retn.forms.push(form_from_value(item)?);
        }
        for item in section("edges") {
            let info = item.at(1).and_then(Value::as_map).cloned().unwrap_or_default();
            retn.edges.push((edge_key_from_value(item.at(0).unwrap_or(&Value::Null))?, info));
        }
        Ok(retn)
    }
}

fn ctor_from_value(item: &Value) -> Result<CtorDef> {
    let parts = match item.as_list() {
        Some([name, ctor, opts, info]) => (name.as_arc_str(), ctor.as_arc_str(), opts.as_map(), info.as_map()),
        _ => (None, None, None, None),
    };
    match parts {
        (Some(name), Some(ctor), Some(opts), Some(info)) => {
            Ok(CtorDef { name: name.clone(), ctor: ctor.clone(), opts: opts.clone(), info: info.clone() })
        }
        _ => Err(err!("BadTypeDef", mesg = "A constructor is name, class, options and info.", valu = item.clone())),
    }
}

fn type_from_value(item: &Value) -> Result<TypeDef> {
    match item.as_list() {
        Some([name, base, info]) if name.is_text() && info.as_map().is_some() => Ok(TypeDef {
            name: name.as_arc_str().cloned().unwrap_or_default(),
            base: TypeRef::from_value(base)?,
            info: info.as_map().cloned().unwrap_or_default(),
        }),
        _ => Err(err!("BadTypeDef", mesg = "A type is name, base and info.", valu = item.clone())),
    }
}

fn form_from_value(item: &Value) -> Result<FormDef> {
    match item.as_list() {
        Some([name, info, props]) if name.is_text() && info.as_map().is_some() && props.as_list().is_some() => {
            let props = props.as_list().unwrap_or_default();
            Ok(FormDef {
                name: name.as_arc_str().cloned().unwrap_or_default(),
                info: info.as_map().cloned().unwrap_or_default(),
                props: props.iter().map(PropDef::from_value).collect::<Result<_>>()?,
                inline: false,
            })
        }
        _ => Err(err!("BadFormDef", mesg = "A form is name, info and properties.", valu = item.clone())),
    }
}

/// The form which a type declares by carrying `props` in its information.
fn inline_form(name: &Arc<str>, info: &Map) -> Result<Option<FormDef>> {
    let Some(props) = info.get("props").and_then(Value::as_list) else {
        return Ok(None);
    };
    let props = props.iter().map(PropDef::from_value).collect::<Result<_>>()?;
    Ok(Some(FormDef { name: name.clone(), info: Map::new(), props, inline: true }))
}
