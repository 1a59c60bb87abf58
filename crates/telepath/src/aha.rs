//! The AHA servers a process knows, and looking a service up through them.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_value::Value;
use parking_lot::Mutex;

/// The redundant URLs of one AHA cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AhaUrls(pub Vec<String>);

impl AhaUrls {
    /// One URL, or a list of them.
    pub fn from_value(valu: &Value) -> Result<AhaUrls> {
        let urls: Option<Vec<String>> = match valu {
            Value::Str(url) => Some(vec![url.to_string()]),
            Value::List(urls) => urls.iter().map(|url| url.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        urls.filter(|urls| !urls.is_empty())
            .map(AhaUrls)
            .ok_or_else(|| err!("BadUrl", mesg = "AHA servers must be given as a URL or a list of URLs."))
    }
}

#[derive(Default)]
struct Entry {
    refs: usize,
}

type Registry = Mutex<IndexMap<AhaUrls, Arc<Mutex<Entry>>>>;

fn registry() -> &'static Registry {
    static REGISTRY: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    REGISTRY.get_or_init(Registry::default)
}

/// Registers an AHA cluster for the process; counted, so that each user can take its own back.
pub fn add_urls(urls: &AhaUrls) {
    registry().lock().entry(urls.clone()).or_default().lock().refs += 1;
}

/// Takes a registration back. Returns how many are left.
pub fn del_urls(urls: &AhaUrls) -> usize {
    let mut registry = registry().lock();
    let Some(entry) = registry.get(urls).cloned() else { return 0 };
    let mut entry = entry.lock();
    entry.refs = entry.refs.saturating_sub(1);
    if entry.refs == 0 {
        registry.shift_remove(urls);
    }
    entry.refs
}
