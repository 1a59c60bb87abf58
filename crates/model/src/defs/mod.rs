//! The data model that ships with the platform: one file a domain, in an order that lets later files build on earlier ones.
//!
//! The format is described in `README.md` beside the files and read by [`parse`].

mod format;

use myelin_error::Result;

pub use self::format::parse;
use crate::moddef::ModelDef;

macro_rules! domains {
    ($($name:literal = $file:literal;)*) => {
        /// The domains: module name and the text of its file.
        pub const DOMAINS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../defs/", $file, ".model")))),*];
    };
}

domains! {
    "core" = "core";
    "doc" = "doc";
    "inet:dns" = "dns";
    "ou" = "ou";
    "syn" = "syn";
    "auth" = "auth";
    "base" = "base";
    "math" = "math";
    "risk" = "risk";
    "ps" = "ps";
    "file" = "file";
    "it" = "it";
    "geo" = "geo";
    "media" = "media";
    "pol" = "pol";
    "tel" = "tel";
    "inet" = "inet";
    "mat" = "mat";
    "entity" = "entity";
    "lang" = "lang";
    "crypto" = "crypto";
    "gov:cn" = "gov_cn";
    "gov:us" = "gov_us";
    "gov:intl" = "gov_intl";
    "econ" = "econ";
    "transport" = "transport";
    "proj" = "proj";
    "biz" = "biz";
    "belief" = "belief";
    "sci" = "sci";
    "plan" = "plan";
}

/// JSON schemas that declarations name with `@name`. Both were published by others (the GeoJSON format, and MITRE
/// Engenuity's Attack Flow extension of STIX) and are kept as they are.
pub const SCHEMAS: &[(&str, &str)] = &[
    ("geojson", include_str!("../../defs/schemas/geojson.json")),
    ("attack-flow", include_str!("../../defs/schemas/attack-flow.json")),
];

/// The declarations of all domains.
///
/// # Errors
/// `BadArg` naming file and line, when a file is not well-formed.
pub fn builtin() -> Result<Vec<ModelDef>> {
    DOMAINS.iter().map(|(name, text)| parse(name, text)).collect()
}
