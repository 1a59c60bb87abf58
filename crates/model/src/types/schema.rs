//! JSON schemas of `data` types: compiled without any network.
//!
//! A schema may refer to the common parts of STIX 2.1, which come along (published by OASIS Open under the licence
//! beside them); a reference to anything else fails.

use std::error::Error;
use std::sync::OnceLock;

use jsonschema::{Resource, Retrieve, Uri, Validator};
use serde_json::Value as Json;

const STIX_COMMON: &str = "raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/common/";

macro_rules! stix {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../defs/schemas/stix2.1/", $name)))),*]
    };
}

static PARTS: &[(&str, &str)] = stix![
    "binary.json",
    "core.json",
    "dictionary.json",
    "extension.json",
    "external-reference.json",
    "granular-marking.json",
    "hashes-type.json",
    "hex.json",
    "identifier.json",
    "properties.json",
    "timestamp.json",
    "url-regex.json"
];

/// Where a value does not follow its schema: a JSON pointer. The source of the error that says so.
#[derive(Debug)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the schema is not followed at {:?}", self.0)
    }
}

impl std::error::Error for Violation {}

/// A schema, compiled when it is first needed: that takes milliseconds, and few services ever need it.
pub(super) struct Schema {
    json: Json,
    compiled: OnceLock<Result<Validator, String>>,
}

impl Schema {
    pub(super) fn new(json: Json) -> Schema {
        Schema { json, compiled: OnceLock::new() }
    }

    /// The compiled schema, or what is wrong with it.
    pub(super) fn compiled(&self) -> Result<&Validator, &str> {
        self.compiled.get_or_init(|| compile(&self.json)).as_ref().map_err(String::as_str)
    }
}

/// Compiles a schema. The error says what is wrong with it.
fn compile(schema: &Json) -> Result<Validator, String> {
    let mut options = jsonschema::draft7::options().with_retriever(Nowhere);
    if refers_to_stix(schema) {
        // Ahead of time, because the compiler looks for references only where its dialect has sub-schemas.
        for (name, text) in PARTS {
            let part = Resource::from_contents(part(text).map_err(|error| error.to_string())?);
            let part = part.map_err(|error| error.to_string())?;
            for scheme in ["http", "https"] {
                options = options.with_resource(format!("{scheme}://{STIX_COMMON}{name}"), part.clone());
            }
        }
    }
    options.build(schema).map_err(|error| error.to_string())
}

fn refers_to_stix(schema: &Json) -> bool {
    match schema {
        Json::String(text) => text.contains(STIX_COMMON),
        Json::Array(items) => items.iter().any(refers_to_stix),
        Json::Object(map) => map.values().any(refers_to_stix),
        _ => false,
    }
}

/// One of the parts. They name their dialect by a URL that is none: all of them are read in that of the schema which
/// refers to them.
fn part(text: &str) -> Result<Json, serde_json::Error> {
    let mut part: Json = serde_json::from_str(text)?;
    if let Some(part) = part.as_object_mut() {
        part.remove("$schema");
    }
    Ok(part)
}

/// Fetches nothing.
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn Error + Send + Sync>> {
        Err(format!("the schema {uri} does not come along, and is not fetched").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stix_parts_are_found_and_others_are_not() {
        let uri = format!("https://{STIX_COMMON}identifier.json");
        let schema = compile(&json!({ "$ref": uri })).expect("compiles");
        assert!(schema.is_valid(&json!("tool--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f")));
        assert!(!schema.is_valid(&json!("tool")));
        assert!(
            compile(&json!({"$ref": "https://example.com/other.json"}))
                .is_err_and(|error| error.contains("example.com"))
        );
    }

    #[test]
    fn schemas_that_ship_compile() {
        for (name, text) in crate::defs::SCHEMAS {
            let schema = Schema::new(serde_json::from_str(text).expect("JSON"));
            let schema = schema.compiled().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!schema.is_valid(&json!({"type": "Nothing"})), "{name}");
        }
    }

    #[test]
    fn every_part_resolves() {
        for (name, _) in PARTS {
            compile(&json!({ "$ref": format!("http://{STIX_COMMON}{name}") })).expect(name);
        }
    }
}
