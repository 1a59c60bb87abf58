//! Parts of a service that can be read again while it runs: certificates, above all.
//!
//! A part is a name and a function. `reload` over telepath runs one or all; SIGHUP runs all.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

use crate::Cell;

/// Reads a part again and says what `reload` answers with.
pub type ReloadFunc = Arc<dyn Fn() -> Result<Value> + Send + Sync>;

impl Cell {
    /// Adds a part that can be reloaded, or replaces the one of that name.
    pub fn add_reload(&self, name: &str, func: ReloadFunc) {
        self.inner().reloads.lock().insert(name.to_owned(), func);
    }

    /// The names of the parts, in the order they were added.
    pub fn reload_names(&self) -> Vec<String> {
        self.inner().reloads.lock().keys().cloned().collect()
    }

    /// Reloads one part, or all: for each name `[true, value]` or `[false, [error name, info]]`. Blocks.
    pub fn reload(&self, name: Option<&str>) -> Result<Map> {
        let parts: Vec<(String, ReloadFunc)> = {
            let parts = self.inner().reloads.lock();
            let chosen = parts.iter().filter(|(part, _)| name.is_none_or(|name| name == *part));
            chosen.map(|(part, func)| (part.clone(), func.clone())).collect()
        };
        if let Some(name) = name.filter(|_| parts.is_empty()) {
            return Err(err!("NoSuchName", mesg = format!("No reload system named {name}"), name = name));
        }
        Ok(parts.into_iter().map(|(part, func)| (part.clone(), run(&part, &func))).collect())
    }
}

fn run(name: &str, func: &ReloadFunc) -> Value {
    tracing::debug!(name, "reloading");
    match func() {
        Ok(valu) => Value::list([true.into(), valu]),
        Err(error) => {
            tracing::error!(name, error = &error as &dyn std::error::Error, "reloading failed");
            Value::list([false.into(), error.pack()])
        }
    }
}
