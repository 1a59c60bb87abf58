//! The shapes of what a cortex keeps for its users, as JSON schemas: packages, triggers, graph projections, background
//! queries, views. A violation is named by its place (`data.commands[0].name`).
//!
//! The files hold shapes only; what needs more than a shape to be checked stays with the part that keeps the thing.

use std::sync::LazyLock;

use myelin_error::Result;
use myelin_storm::libs::schema::Schema;
use myelin_value::{Map, Value};

macro_rules! schemas {
    ($($name:ident: $file:literal, $doc:literal;)*) => {$(
        #[doc = $doc]
        pub static $name: LazyLock<Schema> = LazyLock::new(|| compile(include_str!(concat!("schemas/", $file, ".json"))));
    )*};
}

schemas! {
    PKG: "pkg", "A Storm package.";
    TRIGGER: "trigger", "A trigger.";
    GRAPH: "graph", "A graph projection.";
    DMON: "dmon", "A background query.";
    VIEW: "view", "A view.";
}

fn compile(text: &str) -> Schema {
    Schema::parse(text, true).expect("the schemas of this crate compile")
}

/// A definition with its defaults.
///
/// # Errors
/// `SchemaViolation` with the place of what does not fit.
pub fn check_map(schema: &Schema, map: &Map) -> Result<Map> {
    let valu = schema.check(&Value::from(map.clone()))?;
    Ok(valu.as_map().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_compile_and_name_places() {
        for schema in [&PKG, &TRIGGER, &GRAPH, &DMON, &VIEW] {
            assert!(schema.check(&Value::from("text")).is_err_and(|error| error.is("SchemaViolation")));
        }
        let command = Map::new().with("name", "Not.A.Name").with("storm", "");
        let pkg =
            Map::new().with("name", "foo").with("version", "0.0.1").with("commands", Value::list([command.into()]));
        let error = check_map(&PKG, &pkg).expect_err("the name of the command is wrong");
        assert_eq!(error.get("name"), Some(&Value::from("data.commands[0].name")));
    }
}
