//! Global variables (`$lib.globals`) and the variables of packages.
//!
//! Stored under `storm:vars:<name>` and `stormpkg:vars:<package>:<name>` of the table `cortex`.

use myelin_cell::{ApplyCx, Event};
use myelin_error::Result;
use myelin_slab::Slab;
use myelin_slab::tables::SafeKeyVal;
use myelin_value::{Map, Value};

use super::{Part, Pusher};

/// Variables that outlive queries.
pub struct Vars {
    slab: Slab,
    stor: SafeKeyVal,
    pusher: Pusher,
}

impl Vars {
    /// Opens them in the table `cortex` of the cell's slab.
    pub fn new(slab: Slab, stor: SafeKeyVal, pusher: Pusher) -> Vars {
        Vars { slab, stor, pusher }
    }

    fn globals(&self) -> SafeKeyVal {
        self.stor.sub("storm:vars:")
    }

    fn package(&self, pkgname: &str) -> SafeKeyVal {
        self.stor.sub(&format!("stormpkg:vars:{pkgname}:"))
    }

    /// A global variable.
    pub fn get(&self, name: &str) -> Result<Option<Value>> {
        self.globals().get(&self.slab.read_fresh()?, name)
    }

    /// Every global variable, by name.
    pub fn items(&self) -> Result<Vec<(String, Value)>> {
        self.globals().items(&self.slab.read_fresh()?, "")
    }

    /// Sets a global variable of a new cortex, outside of the log.
    pub(crate) fn init(&self, cx: &mut myelin_slab::WriteCx, name: &str, valu: &Value) -> Result<()> {
        self.globals().set(cx, name, valu)
    }

    /// Sets a global variable and returns its value.
    pub fn set(&self, name: &str, valu: Value) -> Result<Value> {
        self.pusher.push("stormvar:set", [name.into(), valu])
    }

    /// Removes a global variable and returns the value it had.
    pub fn pop(&self, name: &str) -> Result<Option<Value>> {
        let popped = self.pusher.push("stormvar:pop", [name.into()])?;
        let found = popped.at(0).is_some_and(Value::is_truthy);
        Ok(found.then(|| popped.at(1).cloned().unwrap_or_default()))
    }

    /// A variable of a package.
    pub fn pkg_get(&self, pkgname: &str, name: &str) -> Result<Option<Value>> {
        self.package(pkgname).get(&self.slab.read_fresh()?, name)
    }

    /// Every variable of a package, by name.
    pub fn pkg_items(&self, pkgname: &str) -> Result<Vec<(String, Value)>> {
        self.package(pkgname).items(&self.slab.read_fresh()?, "")
    }

    /// Sets a variable of a package. Nothing is logged when it has that value.
    pub fn pkg_set(&self, pkgname: &str, name: &str, valu: Value) -> Result<Value> {
        if self.pkg_get(pkgname, name)?.as_ref() == Some(&valu) {
            return Ok(Value::Null);
        }
        self.pusher.push("storm:pkg:var:set", [pkgname.into(), name.into(), valu])
    }

    /// Removes a variable of a package and returns the value it had.
    pub fn pkg_pop(&self, pkgname: &str, name: &str) -> Result<Option<Value>> {
        if self.pkg_get(pkgname, name)?.is_none() {
            return Ok(None);
        }
        let kwargs = Map::new().with("default", Value::Null);
        self.pusher.push_kw("storm:pkg:var:pop", [pkgname.into(), name.into()], kwargs).map(Some)
    }
}

impl Part for Vars {
    fn events(&self) -> &'static [&'static str] {
        &["stormvar:set", "stormvar:pop", "storm:pkg:var:set", "storm:pkg:var:pop"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "stormvar:set" => {
                let valu = event.arg(1, "valu");
                self.globals().set(cx, event.str_arg(0, "name")?, valu)?;
                Ok(valu.clone())
            }
            "stormvar:pop" => {
                let popped = self.globals().pop(cx, event.str_arg(0, "name")?)?;
                Ok(Value::list([Value::from(popped.is_some()), popped.unwrap_or_default()]))
            }
            "storm:pkg:var:set" => {
                let valu = event.arg(2, "valu");
                self.package(event.str_arg(0, "name")?).set(cx, event.str_arg(1, "key")?, valu)?;
                Ok(valu.clone())
            }
            _ => {
                let popped = self.package(event.str_arg(0, "name")?).pop(cx, event.str_arg(1, "key")?)?;
                Ok(popped.unwrap_or_else(|| event.arg(2, "default").clone()))
            }
        }
    }
}
