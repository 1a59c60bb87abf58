//! What shells and editors ask before they run anything: what there is, and whether a query or a value is valid.

use myelin_error::{Result, err};
use myelin_model::NormCx;
use myelin_value::{Map, Value};

use crate::Cortex;

/// Parses a query in the mode that its options name.
///
/// # Errors
/// `BadSyntax`.
pub fn check_storm(text: &str, opts: &Value) -> Result<()> {
    myelin_storm::run::check_mode(text, opts.get("mode").and_then(Value::as_str).unwrap_or("storm"))
}

/// Whether a query is valid: `[true, {}]`, or `[false, [name, info]]` with the error.
pub fn is_valid_storm(text: &str, opts: &Value) -> Value {
    match check_storm(text, opts) {
        Ok(()) => Value::list([true.into(), Map::new().into()]),
        Err(error) => Value::list([false.into(), error.pack()]),
    }
}

/// What can be fed into a cortex.
pub fn feeds() -> Value {
    let doc = "Add nodes from packed nodes, as a query or an export gives them.";
    Value::list([Map::new().with("name", "syn.nodes").with("desc", doc).with("fulldoc", doc).into()])
}

impl Cortex {
    /// Version, model and the names of libraries and commands, for shells that complete them.
    pub fn info(&self) -> Map {
        let registry = self.registry();
        let libs = registry.all_libs().into_iter().map(|lib| {
            let path: Value = std::iter::once("lib")
                .chain(lib.path.split('.').filter(|part| !part.is_empty()))
                .map(Value::from)
                .collect();
            let locals: Value = lib.funcs.iter().map(|func| Value::from(Map::new().with("name", func.name))).collect();
            Value::from(Map::new().with("path", path).with("locals", locals))
        });
        let commands = registry
            .cmds()
            .into_iter()
            .map(|def| Value::from(Map::new().with("name", def.name).with("doc", def.descr)));
        let pure = myelin_storm::Host::pure_cmds(self);
        let pure = pure.iter().map(|cdef| {
            let doc = cdef.get_str("descr").unwrap_or_default().trim().lines().next().unwrap_or_default().to_owned();
            Value::from(Map::new().with("name", cdef.get("name").cloned().unwrap_or_default()).with("doc", doc))
        });
        let docs = Map::new()
            .with("libraries", libs.collect::<Value>())
            .with("types", Value::empty_list())
            .with("commands", commands.chain(pure).collect::<Value>());
        Map::new()
            .with("version", crate::SPEC.version)
            .with("modeldict", self.model().model_dict())
            .with("modeldef", self.model().model_defs())
            .with("stormdocs", docs)
    }

    /// A value as the type of a property normalises it, with further options of the type if any are given:
    /// `[norm, info]`.
    ///
    /// # Errors
    /// `NoSuchProp`, and what the type says of the value.
    pub fn prop_norm(&self, name: &str, valu: &Value, typeopts: &Value) -> Result<Value> {
        let model = self.model();
        let missing = || err!("NoSuchProp", mesg = format!("The property {name} does not exist."), prop = name);
        let prop = model.prop(name).ok_or_else(missing)?;
        let typ = match typeopts.as_map().filter(|opts| !opts.is_empty()) {
            Some(opts) => prop.typ.with_opts(&*model, opts)?,
            None => prop.typ.clone(),
        };
        let norm = typ.norm(&NormCx::new(model.clone()), valu)?;
        Ok(Value::list([norm.value, norm.info.pack()]))
    }
}
