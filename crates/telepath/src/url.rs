//! Telepath URLs.
//!
//! `scheme://[user[:passwd]@]host[:port][/path][?k=v&k=v]`, taken apart by hand because the order of the cuts decides the
//! odd cases, and other programs depend on them. Query keys join the same flat map as the rest and may override it.
//! Query items are not percent-decoded, user and password are.

use std::fmt;
use std::sync::Arc;

use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_value::{Map, Value};
use percent_encoding::percent_decode_str;

use crate::env;

/// A URL taken apart, with the options a program adds.
#[derive(Clone, Default)]
pub struct UrlInfo {
    /// `scheme`, `user`, `passwd`, `host`, `port`, `path` and every query item.
    pub map: Map,
    /// The certificates to use instead of the process's own.
    pub certdir: Option<Arc<CertDir>>,
}

impl fmt::Debug for UrlInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlInfo({})", self.sanitized())
    }
}

impl UrlInfo {
    /// Takes a URL apart. Text without `://` is an alias from `aliases.yaml`.
    pub fn parse(url: &str) -> Result<UrlInfo> {
        if url.contains("://") {
            return Ok(UrlInfo { map: flatten(chop(url)?), certdir: None });
        }
        match env::alias(url)? {
            Some(found) => Ok(UrlInfo { map: flatten(chop(&found)?), certdir: None }),
            None => Err(err!("BadUrl", mesg = format!("[{url}] is neither a URL nor an alias."), url = url)),
        }
    }

    /// Takes over a map that was taken apart elsewhere (AHA sends them so).
    pub fn from_map(map: Map) -> UrlInfo {
        UrlInfo { map, certdir: None }
    }

    /// A URL as text, or a map of its parts.
    pub fn from_value(valu: &Value) -> Result<UrlInfo> {
        match valu {
            Value::Str(url) => UrlInfo::parse(url),
            Value::Map(map) => Ok(UrlInfo::from_map((**map).clone())),
            _ => Err(err!("BadArg", mesg = "A telepath URL must be a str or a dict of its parts.")),
        }
    }

    /// The same with one more option.
    #[must_use]
    pub fn with(mut self, key: &str, valu: impl Into<Value>) -> UrlInfo {
        self.map.insert(key, valu);
        self
    }

    /// The same with certificates of its own.
    #[must_use]
    pub fn with_certdir(mut self, certdir: Arc<CertDir>) -> UrlInfo {
        self.certdir = Some(certdir);
        self
    }

    /// The scheme, empty if a map brought none.
    pub fn scheme(&self) -> &str {
        self.get_str("scheme").unwrap_or("")
    }

    /// Any text part.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.map.get_str(key)
    }

    /// The port: a number, or text when a query item brought it.
    pub fn port(&self) -> Option<u16> {
        match self.map.get("port")? {
            Value::Int(port) => u16::try_from(*port).ok(),
            Value::Str(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The URL as text again, nothing escaped. Holds the password.
    pub fn zip(&self) -> String {
        let map = &self.map;
        let mut url = format!("{}://", self.scheme());
        if let Some(user) = map.get_str("user").filter(|user| !user.is_empty()) {
            url += user;
            if let Some(passwd) = map.get_str("passwd").filter(|passwd| !passwd.is_empty()) {
                url += &format!(":{passwd}");
            }
            url.push('@');
        }
        if let Some(host) = map.get_str("host").filter(|host| !host.is_empty()) {
            url += host;
            if let Some(port) = map.get("port").filter(|port| !port.is_null()) {
                url += &format!(":{}", show(port));
            }
        }
        url += map.get_str("path").unwrap_or("");
        let rest: Vec<String> = map
            .text_entries()
            .filter(|(key, _)| !PARTS.contains(key))
            .map(|(key, valu)| format!("{key}={}", show(valu)))
            .collect();
        if !rest.is_empty() {
            url += &format!("?{}", rest.join("&"));
        }
        url
    }

    /// The URL as text, fit for logs.
    pub fn sanitized(&self) -> String {
        let mut copy = self.clone();
        if copy.map.get("passwd").is_some_and(Value::is_truthy) {
            copy.map.insert("passwd", "****");
        }
        copy.zip()
    }

    /// What AHA says of a service laid over what the caller asked for: the local path wins, the local user if there is
    /// one, AHA everything else.
    #[must_use]
    pub fn merge_aha(&self, upstream: &Map) -> UrlInfo {
        let mut merged = self.clone();
        let local_user = self.map.get("user").is_some_and(|user| !user.is_null());
        for (key, valu) in upstream.iter() {
            match key.as_str() {
                Some("path") => {}
                Some("user") if local_user => {}
                _ => {
                    merged.map.insert(key.clone(), valu.clone());
                }
            }
        }
        merged
    }
}

/// The keys of a URL map that are not query items.
const PARTS: [&str; 6] = ["scheme", "user", "passwd", "host", "port", "path"];

fn show(valu: &Value) -> String {
    match valu {
        Value::Str(text) => text.to_string(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Takes a URL apart, query items kept under `query`.
pub fn chop(url: &str) -> Result<Map> {
    let Some((scheme, remain)) = url.split_once("://") else {
        return Err(err!("BadUrl", mesg = format!(":// not found in [{url}]!")));
    };
    let mut info = Map::new().with("scheme", scheme.to_lowercase());

    let (remain, query) = match remain.split_once('?') {
        Some((remain, query)) => (remain, Some(query)),
        None => (remain, None),
    };
    if let Some(query) = query {
        let mut items = Map::new();
        for item in query.split('&') {
            match item.split_once('=') {
                Some((key, valu)) => items.insert(key, valu),
                None => items.insert(item, Value::Null),
            };
        }
        info.insert("query", items);
    }

    let (remain, path) = remain.split_at(remain.find('/').unwrap_or(remain.len()));

    let netloc = match remain.rsplit_once('@') {
        None => remain,
        Some((user, netloc)) => {
            let user = match user.split_once(':') {
                None => user,
                Some((user, passwd)) => {
                    info.insert("passwd", &*percent_decode_str(passwd).decode_utf8_lossy());
                    user
                }
            };
            info.insert("user", &*percent_decode_str(user).decode_utf8_lossy());
            netloc
        }
    };

    let bad_port = |text: &str| err!("BadUrl", mesg = format!("[{text}] is no port."));
    let (host, port) = if netloc.starts_with('[') {
        let (host, port) = netloc.rsplit_once(':').ok_or_else(|| bad_port(netloc))?;
        let host = host.get(1..host.len().saturating_sub(1)).unwrap_or("");
        (host, Some(port))
    } else if netloc.matches(':').count() > 1 {
        (netloc, None)
    } else {
        netloc.split_once(':').map_or((netloc, None), |(host, port)| (host, Some(port)))
    };
    if let Some(port) = port {
        info.insert("port", port.trim().parse::<i64>().map_err(|_| bad_port(port))?);
    }
    info.insert("host", host);
    info.insert("path", path);
    Ok(info)
}

fn flatten(mut info: Map) -> Map {
    if let Some(query) = info.remove("query")
        && let Some(query) = query.as_map()
    {
        info.update(query);
    }
    info
}

/// The URL with its password, if it has one, replaced by `****`. Anything that is no URL comes back unchanged.
pub fn sanitize(url: &str) -> String {
    let Ok(info) = chop(url) else { return url.to_owned() };
    if !info.get("passwd").is_some_and(Value::is_truthy) {
        return url.to_owned();
    }
    let text = |key| info.get_str(key).unwrap_or("");
    let host = text("host");
    let netloc = match info.get_i64("port").filter(|port| *port != 0) {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut safe = format!("{}://{}:****@{netloc}{}", text("scheme"), text("user"), text("path"));
    if let Some(query) = info.get("query").and_then(Value::as_map) {
        let items: Vec<String> = query.text_entries().map(|(key, valu)| format!("{key}={}", show(valu))).collect();
        safe += &format!("?{}", items.join("&"));
    }
    safe
}

/// The URL with some parts replaced.
pub fn modify(url: &str, parts: &Map) -> Result<String> {
    let mut info = UrlInfo::parse(url)?;
    info.map.update(parts);
    Ok(info.zip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Map {
        UrlInfo::parse(url).unwrap().map
    }

    #[test]
    fn the_cuts_come_in_the_known_order() {
        let map = parts("TCP://us%40er:pa%3Ass:w@host:1234/path/x?name=foo%20&flag&a=b=c");
        let want = Map::new()
            .with("scheme", "tcp")
            .with("passwd", "pa:ss:w")
            .with("user", "us@er")
            .with("port", 1234)
            .with("host", "host")
            .with("path", "/path/x")
            .with("name", "foo%20")
            .with("flag", Value::Null)
            .with("a", "b=c");
        assert_eq!(map, want);
        assert_eq!(parts("tcp://a@b@host").get_str("user"), Some("a@b"));
        assert_eq!(parts("tcp://h?x=/y").get_str("path"), Some(""));
        assert_eq!(parts("tcp://h/?host=other").get_str("host"), Some("other"));
    }

    #[test]
    fn hosts_of_every_form() {
        let map = parts("tcp://[::1]:99/");
        assert_eq!((map.get_str("host"), map.get_i64("port")), (Some("::1"), Some(99)));
        assert_eq!(parts("tcp://::1/x").get_str("host"), Some("::1"));
        assert_eq!(parts("tcp://host").get("port"), None);
        assert!(UrlInfo::parse("tcp://[::1]/").unwrap_err().is("BadUrl"));
        assert!(UrlInfo::parse("tcp://h:port/").unwrap_err().is("BadUrl"));
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(sanitize("tcp://u:secret@h:1/p?a=b"), "tcp://u:****@h:1/p?a=b");
        assert_eq!(sanitize("tcp://u:secret@[::1]:1/p"), "tcp://u:****@[::1]:1/p");
        assert_eq!(sanitize("tcp://u@h:1/p"), "tcp://u@h:1/p");
        assert_eq!(sanitize("newp"), "newp");
        assert!(!format!("{:?}", UrlInfo::parse("tcp://u:secret@h").unwrap()).contains("secret"));
    }

    #[test]
    fn zip_puts_it_back() {
        let url = "ssl://root:pw@host:27492/share?certname=root";
        assert_eq!(UrlInfo::parse(url).unwrap().zip(), url);
        assert_eq!(modify("tcp://h:1/x", &Map::new().with("port", 2)).unwrap(), "tcp://h:2/x");
    }

    #[test]
    fn aha_wins_but_for_path_and_user() {
        let local = UrlInfo::parse("aha://visi@svc.../mine").unwrap();
        let upstream = Map::new().with("scheme", "ssl").with("host", "h").with("path", "/x").with("user", "root");
        assert_eq!(local.merge_aha(&upstream).zip(), "ssl://visi@h/mine");
    }
}
