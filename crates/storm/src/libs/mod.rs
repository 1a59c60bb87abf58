//! Libraries: one file for each `$lib.x`, one line each in [`register`].

mod attackflow;
mod base;
mod base64;
mod basex;
mod cache;
pub(crate) mod compression;
pub(crate) mod crypto;
mod csv;
mod dict;
mod env;
mod r#gen;
mod gis;
pub mod help;
mod hex;
mod infosec;
mod ipv6;
mod iters;
mod json;
pub mod jsontext;
mod log;
mod math;
mod mime;
mod pack;
mod pformat;
mod pipe;
pub(crate) mod pystruct;
mod random;
mod regex;
pub mod schema;
mod scrape;
mod spooled;
mod stats;
mod stix;
mod str;
mod strftime;
mod tabular;
mod tags;
mod time;
mod utils;
mod vars;
mod version;
mod whois;
mod xml;
mod yaml;

use crate::registry::Registry;

/// Puts the libraries of this crate into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[
        &cache::TYPE,
        &json::TYPE,
        &pipe::PIPE,
        &random::TYPE,
        &spooled::TYPE,
        &stats::TYPE,
        &tabular::TYPE,
        &xml::TYPE,
        &crate::types::text::TYPE,
    ]);
    base::register(registry);
    crypto::register(registry);
    stix::register(registry);
    for lib in [
        &attackflow::LIB,
        &base64::LIB,
        &basex::LIB,
        &cache::LIB,
        &csv::LIB,
        &dict::LIB,
        &env::LIB,
        &r#gen::LIB,
        &gis::LIB,
        &hex::LIB,
        &infosec::LIB,
        &ipv6::LIB,
        &mime::HTML,
        &iters::LIB,
        &json::LIB,
        &log::LIB,
        &math::LIB,
        &pack::LIB,
        &pipe::LIB,
        &random::LIB,
        &regex::LIB,
        &scrape::LIB,
        &spooled::LIB,
        &stats::LIB,
        &str::LIB,
        &tabular::LIB,
        &tags::LIB,
        &time::LIB,
        &utils::LIB,
        &vars::LIB,
        &version::LIB,
        &whois::LIB,
        &xml::LIB,
        &yaml::LIB,
        &compression::BZIP2,
        &compression::GZIP,
        &compression::ZLIB,
    ] {
        registry.add_lib(lib);
    }
}
