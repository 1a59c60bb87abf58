//! The AHA servers a process knows, and looking a service up through them.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_value::{Map, Value};
use parking_lot::Mutex;

use crate::client::Client;
use crate::proxy::Todo;
use crate::url::UrlInfo;
use crate::yaml;

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

/// How long one step of a lookup may take with one AHA cluster.
const STEP: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Entry {
    refs: usize,
    client: Option<Client>,
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

impl Entry {
    fn client(&mut self, urls: &AhaUrls) -> Result<Client> {
        if let Some(client) = self.client.as_ref().filter(|client| !client.is_fini()) {
            return Ok(client.clone());
        }
        let infos = urls.0.iter().map(|url| UrlInfo::parse(url)).collect::<Result<Vec<_>>>()?;
        Ok(self.client.insert(Client::new(infos, None)).clone())
    }
}

/// Finds a service by the host of an `aha://` URL. Returns the AHA client that knew it, and the service as AHA tells it.
pub async fn lookup(info: &UrlInfo) -> Result<(Client, Value)> {
    let Some(name) = info.get_str("host").filter(|name| !name.is_empty()) else {
        return Err(err!("NoSuchName", mesg = format!("The aha URL names no service: {}", info.sanitized())));
    };
    let entries: Vec<_> = registry().lock().iter().map(|(urls, entry)| (urls.clone(), entry.clone())).collect();
    if entries.is_empty() {
        return Err(err!("NotReady", mesg = format!("No aha servers registered to lookup {name}")));
    }
    let mirror = match info.map.get("mirror") {
        Some(Value::Str(text)) => yaml::load(text)?.is_truthy(),
        Some(valu) => valu.is_truthy(),
        None => false,
    };
    let mut trouble = None;
    for (urls, entry) in entries {
        let client = entry.lock().client(&urls);
        let asked = match client {
            Ok(client) => ask(&client, name, mirror).await.map(|svc| (client, svc)),
            Err(e) => Err(e),
        };
        match asked {
            Ok((client, Some(svc))) => return Ok((client, svc)),
            Ok((_, None)) => {}
            Err(e) => {
                tracing::warn!("the aha server did not answer: {e}");
                trouble = Some(e);
            }
        }
    }
    Err(trouble.unwrap_or_else(|| err!("NoSuchName", mesg = format!("aha lookup failed: {name}"))))
}

async fn ask(client: &Client, name: &str, mirror: bool) -> Result<Option<Value>> {
    let proxy = client.proxy(Some(STEP)).await?;
    let late = |_| err!("TimeOut", mesg = "The aha server took longer than 5 seconds to answer.");
    let info = tokio::time::timeout(STEP, proxy.call("getCellInfo")).await.map_err(late)??;
    let mut todo = Todo::new("getAhaSvc").arg(name);
    if takes_filters(&info) {
        todo = todo.kw("filters", Map::new().with("mirror", mirror));
    }
    let svc = tokio::time::timeout(STEP, proxy.call(todo)).await.map_err(late)??;
    let online = svc.get("svcinfo").and_then(|info| info.get("online")).is_some_and(Value::is_truthy);
    Ok(online.then_some(svc))
}

/// Lookups take filters since 2.95.0.
fn takes_filters(cellinfo: &Value) -> bool {
    let vers =
        cellinfo.get("synapse").and_then(|info| info.get("version")).and_then(Value::as_list).unwrap_or_default();
    let vers: Vec<i64> = vers.iter().filter_map(Value::as_i64).collect();
    vers.as_slice() >= [2, 95, 0].as_slice()
}

/// The URL that leads to a service which was looked up.
pub fn merge(info: &UrlInfo, svc: &Value) -> UrlInfo {
    match svc.get("svcinfo").and_then(|info| info.get("urlinfo")).and_then(Value::as_map) {
        Some(upstream) => info.merge_aha(upstream),
        None => info.clone(),
    }
}

/// Turns an `aha://` URL into the one of the service itself.
pub async fn resolve(info: &UrlInfo) -> Result<UrlInfo> {
    let (_, svc) = lookup(info).await?;
    Ok(merge(info, &svc))
}
