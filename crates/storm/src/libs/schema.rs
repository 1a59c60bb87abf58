//! JSON schemas as the platform applies them: defaults are filled in, and the first violation is named by its place
//! (`data.columns[0].width`).

use jsonschema::{Retrieve, Uri, Validator};
use myelin_error::{Result, err};
use myelin_value::{Value, json};
use serde_json::{Map as JsonMap, Value as Json};

/// A compiled schema.
pub struct Schema {
    json: Json,
    validator: Validator,
    use_default: bool,
}

/// Fetches nothing.
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, uri: &Uri<String>) -> std::result::Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("the schema {uri} is not fetched").into())
    }
}

impl Schema {
    /// Compiles a schema, by draft 7 unless it says otherwise.
    ///
    /// # Errors
    /// `BadArg` saying what is wrong with it.
    pub fn compile(mut schema: Json, use_default: bool) -> Result<Schema> {
        let Some(map) = schema.as_object_mut() else {
            return Err(err!("BadArg", mesg = "A schema must be a dictionary."));
        };
        if map.get("$schema").is_none_or(Json::is_null) {
            map.insert("$schema".to_owned(), Json::from("http://json-schema.org/draft-07/schema#"));
        }
        let made = jsonschema::options().with_retriever(Nowhere).build(&schema);
        let validator = made.map_err(|error| err!("BadArg", mesg = error.to_string()))?;
        Ok(Schema { json: schema, validator, use_default })
    }

    /// Compiles a schema of the text of one.
    ///
    /// # Errors
    /// `BadArg` saying what is wrong with it.
    pub fn parse(text: &str, use_default: bool) -> Result<Schema> {
        let json = serde_json::from_str(text).map_err(|error| err!("BadArg", mesg = error.to_string()))?;
        Schema::compile(json, use_default)
    }

    /// The schema.
    pub fn json(&self) -> &Json {
        &self.json
    }

    /// A value with the defaults filled in.
    ///
    /// # Errors
    /// `SchemaViolation` with the place of the first violation, `MustBeJsonSafe` for what is no JSON.
    pub fn check(&self, valu: &Value) -> Result<Value> {
        let mut item =
            json::to_json(valu).map_err(|why| err!("MustBeJsonSafe", mesg = format!("The value holds {}.", why.0)))?;
        if self.use_default {
            fill(&self.json, &self.json, &mut item, 0);
        }
        match self.validator.iter_errors(&item).min_by_key(|error| error.instance_path.to_string().matches('/').count())
        {
            None => Ok(json::from_json(&item)),
            Some(error) => {
                let name = place(&error.instance_path.to_string(), &item);
                Err(err!("SchemaViolation", mesg = format!("{name}: {error}"), name = name))
            }
        }
    }
}

/// A JSON pointer as the platform writes places.
pub fn place(pointer: &str, item: &Json) -> String {
    let (mut name, mut here) = ("data".to_owned(), Some(item));
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        match here {
            Some(Json::Array(items)) => {
                name.push_str(&format!("[{part}]"));
                here = part.parse::<usize>().ok().and_then(|indx| items.get(indx));
            }
            other => {
                name.push_str(&format!(".{part}"));
                here = other.and_then(|item| item.get(&part));
            }
        }
    }
    name
}

/// How deep defaults are filled in.
const MAX_DEPTH: usize = 64;

fn fill(root: &Json, schema: &Json, item: &mut Json, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(Json::String(path)) = schema.get("$ref") {
        if let Some(found) = path.strip_prefix('#').and_then(|path| root.pointer(path)) {
            fill(root, found, item, depth + 1);
        }
        return;
    }
    if let Some(Json::Array(parts)) = schema.get("allOf") {
        parts.iter().for_each(|part| fill(root, part, item, depth + 1));
    }
    match item {
        Json::Object(map) => fill_object(root, schema, map, depth),
        Json::Array(items) => match schema.get("items") {
            Some(Json::Array(schemas)) => {
                items.iter_mut().zip(schemas).for_each(|(item, schema)| fill(root, schema, item, depth + 1));
            }
            Some(schema) => items.iter_mut().for_each(|item| fill(root, schema, item, depth + 1)),
            None => {}
        },
        _ => {}
    }
}

fn fill_object(root: &Json, schema: &Json, map: &mut JsonMap<String, Json>, depth: usize) {
    let Some(Json::Object(props)) = schema.get("properties") else { return };
    for (name, prop) in props {
        if let Some(item) = map.get_mut(name) {
            fill(root, prop, item, depth + 1);
        } else if let Some(dflt) = prop.get("default") {
            map.insert(name.clone(), dflt.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, item: &str) -> Result<Value> {
        let schema = Schema::compile(serde_json::from_str(schema).expect("valid"), true)?;
        schema.check(&crate::libs::jsontext::loads(item)?)
    }

    #[test]
    fn defaults_and_places() {
        let schema = r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":
            {"n":{"type":"number","exclusiveMinimum":0},"d":{"type":"string","default":"x"}}}}}}"#;
        let made = check(schema, r#"{"a":[{"n":1}]}"#).expect("fits");
        assert_eq!(crate::libs::jsontext::dumps(&made, false, false).expect("safe"), r#"{"a":[{"n":1,"d":"x"}]}"#);
        let error = check(schema, r#"{"a":[{"n":-1}]}"#).expect_err("too small");
        assert_eq!((error.name(), error.get("name")), ("SchemaViolation", Some(&Value::from("data.a[0].n"))));
    }
}
