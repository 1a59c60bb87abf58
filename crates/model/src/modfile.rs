//! Model files in JSON: definitions an operator gives to a service on top of those it ships with.
//!
//! The file is a map with `models`, a list of `[name, {ctors, types, interfaces, univs, tagprops, forms, edges}]`, and
//! optionally `setup`, a query that makes the first nodes. Constructors that this build does not have (classes of some
//! Python module) cannot be loaded: they are left out with everything that rests on them, and the file says what.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

use crate::moddef::{ModelDef, PropDef, TypeRef};
use crate::types::CtorKind;

/// What a model file holds.
#[derive(Clone, Debug, Default)]
pub struct ModelFile {
    /// The definitions that can be loaded.
    pub defs: Vec<ModelDef>,
    /// A query to run once, when the service is new.
    pub setup: Option<String>,
    /// What was left out, and why, one sentence each.
    pub skipped: Vec<String>,
}

/// Reads a model file.
///
/// # Errors
/// `BadJsonText` when it is no JSON, `BadArg`, `BadTypeDef`, `BadFormDef` or `BadPropDef` when an entry is out of shape.
pub fn load_model_json(text: &[u8]) -> Result<ModelFile> {
    let json = myelin_value::json::parse(text)
        .map_err(|error| err!("BadJsonText", mesg = format!("The model file is no JSON: {error}")))?;
    let models = json.get("models").and_then(Value::as_list);
    let models = models.ok_or_else(|| err!("BadArg", mesg = "A model file is a map with a list of models."))?;
    let mut file =
        ModelFile { setup: json.get("setup").and_then(Value::as_str).map(str::to_owned), ..ModelFile::default() };
    let mut missing = Missing::default();
    for model in models {
        let mut def = ModelDef::from_value(model)?;
        def.custom = true;
        missing.strip(&mut def);
        file.defs.push(def);
    }
    file.skipped = missing.said;
    Ok(file)
}

/// The types that cannot be made.
#[derive(Default)]
struct Missing {
    types: HashSet<Arc<str>>,
    said: Vec<String>,
}

impl Missing {
    /// Takes out of a module what cannot be made.
    fn strip(&mut self, def: &mut ModelDef) {
        def.ctors.retain(|ctor| {
            let known = CtorKind::from_path(&ctor.ctor).is_some();
            if !known {
                self.types.insert(ctor.name.clone());
                self.said.push(format!("The type {} needs the class {}.", ctor.name, ctor.ctor));
            }
            known
        });
        def.types.retain(|typ| {
            let fits = self.fits(&typ.base);
            if !fits {
                self.types.insert(typ.name.clone());
                self.said.push(format!("The type {} rests on {}.", typ.name, typ.base.name));
            }
            fits
        });
        def.forms.retain(|form| {
            let fits = !self.types.contains(&form.name);
            if !fits {
                self.said.push(format!("The form {} has a type that is left out.", form.name));
            }
            fits
        });
        for form in &mut def.forms {
            let name = form.name.clone();
            form.props.retain(|prop| self.keep(&name, prop));
        }
        for (name, info) in &mut def.interfaces {
            self.strip_iface(name, info);
        }
        def.univs.retain(|prop| self.keep("", prop));
        def.tagprops.retain(|prop| self.keep("#", prop));
        def.edges.retain(|((n1form, _, n2form), _)| {
            ![n1form, n2form].into_iter().flatten().any(|side| self.types.contains(side))
        });
    }

    fn strip_iface(&mut self, name: &str, info: &mut Map) {
        let props = info.get("props").and_then(Value::as_list).unwrap_or_default();
        let keep = |prop: &&Value| PropDef::from_value(prop).map_or(true, |prop| self.keep(name, &prop));
        let kept: Vec<Value> = props.iter().filter(keep).cloned().collect();
        if kept.len() != props.len() {
            info.insert("props", Value::from(kept));
        }
    }

    fn keep(&mut self, owner: &str, prop: &PropDef) -> bool {
        let fits = self.fits(&prop.typ);
        if !fits {
            self.said.push(format!("The property {owner}:{} has a type that is left out.", prop.name));
        }
        fits
    }

    /// Whether a type can be made: neither it nor what its options name is missing.
    fn fits(&self, typ: &TypeRef) -> bool {
        let item = typ.opts_map().and_then(|opts| opts.get_str("type"));
        !self.types.contains(&typ.name) && item.is_none_or(|item| !self.types.contains(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_needs_foreign_classes() {
        let text = br#"{"models": [["mine", {
            "ctors": [["my:odd", "somewhere.Odd", {}, {}], ["my:fqdn", "synapse.models.inet.Fqdn", {}, {}]],
            "types": [["my:sub", ["my:odd", {}], {}], ["my:str", ["str", {"lower": true}], {}]],
            "forms": [["my:sub", {}, []], ["my:str", {}, [["odds", ["array", {"type": "my:odd"}], {}], ["size", ["int", {}], {}]]]],
            "edges": [[["my:sub", "likes", null], {}], [["my:str", "likes", null], {}]]
        }]], "setup": "[ my:str=x ]"}"#;
        let file = load_model_json(text).expect("well-formed");
        let def = &file.defs[0];
        assert_eq!((def.ctors.len(), def.types.len(), def.forms.len(), def.edges.len()), (1, 1, 1, 1));
        assert_eq!(def.forms[0].props.len(), 1);
        assert_eq!(file.skipped.len(), 4, "{:?}", file.skipped);
        assert_eq!(file.setup.as_deref(), Some("[ my:str=x ]"));
    }

    #[test]
    fn says_what_is_out_of_shape() {
        assert!(load_model_json(b"{").is_err_and(|error| error.is("BadJsonText")));
        assert!(load_model_json(b"[]").is_err_and(|error| error.is("BadArg")));
        let text = br#"{"models": [["mine", {"forms": [["a:b", {}, [["x"]]]]}]]}"#;
        assert!(load_model_json(text).is_err_and(|error| error.is("BadPropDef")));
    }
}
