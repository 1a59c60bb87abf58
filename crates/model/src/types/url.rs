//! `inet:url`, with Windows shares as URLs, and `inet:http:cookie`.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::Value;
use percent_encoding::percent_decode_str;

use super::ctors::Decl;
use super::fqdn::fqdn_text;
use super::inet::{bracketed, port_text, v4_text, v6_text};
use super::tables::services::default_port;
use super::textual::{TextOpts, TextRules, Textual};
use super::{Cmpr, Norm, NormCx, Type, TypeVals, ip, py};

/// `inet:url`.
pub type Url = Textual<UrlRules>;
/// `inet:http:cookie`.
pub type HttpCookie = Textual<CookieRules>;

/// The rules of `inet:url`.
pub struct UrlRules;

/// How a URL names what is before its path.
struct Scheme<'a> {
    proto: String,
    rest: &'a str,
    /// A share on another machine, written with more slashes than a URL has.
    share: bool,
    /// A path on this machine: `file:` without slashes.
    local: bool,
}

fn split_scheme(text: &str) -> Option<Scheme<'_>> {
    for splitter in ["://///", ":////"] {
        if let Some((proto, rest)) = text.split_once(splitter)
            && proto.eq_ignore_ascii_case("file")
        {
            return (!rest.is_empty()).then(|| Scheme { proto: "file".to_owned(), rest, share: true, local: false });
        }
    }
    if let Some((proto, rest)) = text.split_once("://").filter(|(proto, _)| !proto.is_empty()) {
        return (!rest.is_empty()).then(|| Scheme { proto: proto.to_lowercase(), rest, share: false, local: false });
    }
    let (proto, rest) = text.split_once(':')?;
    let local = proto.eq_ignore_ascii_case("file") && !rest.is_empty();
    local.then(|| Scheme { proto: "file".to_owned(), rest, share: false, local: true })
}

/// Whether a text begins with a drive letter.
fn has_drive(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|ch| ch.is_alphanumeric() || ch == '_') && matches!(chars.next(), Some(':' | '|'))
}

/// The host of a URL: how it prints, and its port's text.
struct Host<'a> {
    text: Option<String>,
    port: Option<&'a str>,
}

fn read_host(text: &str, mut made: Norm) -> (Host<'_>, Norm) {
    if text.starts_with('[') || text.matches(':').count() >= 2 {
        let (addr, port) = bracketed(text).unwrap_or((text, None));
        let host = v6_text(addr).map(|(addr, zone)| {
            let norm = match zone {
                Some(zone) if ip::v6_mapped(addr).is_none() => format!("{}%{zone}", ip::v6_norm(addr)),
                _ => ip::v6_norm(addr),
            };
            (norm, ip::v6_mapped(addr))
        });
        let Some((norm, mapped)) = host else { return (Host { text: None, port }, made) };
        made = made.sub("ipv6", norm.as_str());
        if let Some(v4) = mapped {
            made = made.sub("ipv4", v4);
        }
        return (Host { text: Some(format!("[{norm}]")), port }, made);
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    if let Some(v4) = v4_text(name) {
        return (Host { text: Some(ip::v4_repr(v4)), port }, made.sub("ipv4", v4));
    }
    if let Some(fqdn) = fqdn_text(name) {
        made = made.sub("fqdn", fqdn.as_str());
        return (Host { text: Some(fqdn), port }, made);
    }
    // Windows lets a URL listen on every host by this name.
    (Host { text: (name == "+").then(|| name.to_owned()), port }, made)
}

impl TextRules for UrlRules {
    fn make(_decl: &mut Decl<'_>) -> Result<UrlRules> {
        Ok(UrlRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let bad = |mesg: &str| ty.bad_valu(&Value::from(text), mesg);
        let share;
        let orig = if text.starts_with("\\\\") {
            share = unc_url(text)?;
            &share
        } else {
            text
        };
        let scheme = split_scheme(orig).ok_or_else(|| bad("The protocol is missing."))?;
        let mut made = Norm::new(Value::Null).sub("proto", scheme.proto.as_str());
        let (rest, params) = match scheme.rest.split_once('?') {
            Some((rest, params)) if !params.is_empty() => (rest, format!("?{params}")),
            Some((rest, _)) => (rest, String::new()),
            None => (scheme.rest, String::new()),
        };
        let (mut authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path.to_owned())),
            None => (rest, None),
        };
        let path = path.map(|path| {
            if scheme.local && has_drive(authority) {
                return format!("{}/{path}", std::mem::take(&mut authority));
            }
            path
        });
        let (path, path_sub) = match path {
            Some(path) if scheme.proto == "file" && has_drive(&path) => (format!("/{path}"), path),
            Some(path) => (format!("/{path}"), format!("/{path}")),
            None => Default::default(),
        };
        made = made.sub("path", path_sub).sub("params", params.as_str());
        let (auth, host) = match authority.rsplit_once('@') {
            Some((auth, host)) => (auth, host),
            None => ("", authority),
        };
        if authority.contains('@') {
            let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (user, passwd) = auth.split_once(':').map_or((auth, None), |(user, passwd)| (user, Some(passwd)));
            made = made.sub("user", decode(user));
            if let Some(passwd) = passwd {
                made = made.sub("passwd", decode(passwd));
            }
        }
        let (host, mut made) = read_host(host, made);
        if host.text.is_some() && scheme.local {
            return Err(bad("A file on this machine has no host."));
        }
        let port = host.port.map(|port| port_text(ty, port)).transpose()?;
        match port {
            Some(port) => made = made.sub("port", port),
            None => {
                if let Some(port) = default_port(&scheme.proto) {
                    made = made.sub("port", i64::from(port));
                }
            }
        }
        if host.text.is_none() && scheme.proto != "file" {
            return Err(bad("The host is missing or none."));
        }
        let mut before = if !auth.is_empty() {
            format!("{auth}@")
        } else if scheme.share {
            "//".to_owned()
        } else {
            String::new()
        };
        if let Some(text) = &host.text {
            before.push_str(text);
            if let Some(port) = port {
                before.push_str(&format!(":{port}"));
            }
        }
        if before.is_empty() && path.is_empty() {
            return Err(bad("The host and the path are missing."));
        }
        let base = format!("{}://{before}{path}", scheme.proto);
        made.value = Value::from(format!("{base}{params}"));
        Ok(made.sub("base", base))
    }

    fn cmpr_ctor(
        &self,
        _opts: &TextOpts,
        _ty: &Arc<Type>,
        _cx: &NormCx,
        op: &str,
        rhs: &Value,
    ) -> Option<Result<Cmpr>> {
        (op == "=" && rhs.as_str() == Some("")).then(|| Ok(Box::new(|_: &Value| Ok(false)) as Cmpr))
    }
}

/// A Windows share (`\\host\share\dir\file`) as a URL. `host@SSL` means https, `host@port` a port.
pub fn unc_url(text: &str) -> Result<String> {
    let bad = |mesg: &str| err!("BadTypeValu", mesg = format!("Invalid UNC path: {mesg}"), valu = text);
    let parts: Vec<&str> =
        text.strip_prefix("\\\\").ok_or_else(|| bad("it begins with two backslashes."))?.split('\\').collect();
    let [host, share, names @ ..] = &parts[..] else { return Err(bad("host and share are needed.")) };
    if !(1..=80).contains(&share.chars().count()) {
        return Err(bad("the share has 1 to 80 characters."));
    }
    let (file, dirs) = names.split_last().unwrap_or((&"", &[]));
    let too_long = |name: &str| name.chars().count() > 255;
    if dirs.iter().any(|dir| too_long(dir)) || too_long(file.split(':').next().unwrap_or_default()) {
        return Err(bad("names have at most 255 characters."));
    }
    let proto = if host.contains("@SSL") { "https" } else { "smb" };
    let host = host.replace("@SSL", "");
    let (host, port) = match host.split_once('@') {
        Some((host, port)) => {
            let port = py::int_decimal(port).ok_or_else(|| bad("the port is no number."))?;
            (host.to_owned(), Some(port).filter(Value::is_truthy))
        }
        None => (host, None),
    };
    let mut host = ipv6_literal(&host).unwrap_or(host);
    if host.matches(':').count() >= 2 {
        host = match port {
            Some(_) => format!("[{host}]"),
            None => host.trim_matches(['[', ']']).to_owned(),
        };
    }
    let mut out = format!("{proto}://{host}");
    if let Some(port) = port {
        out.push_str(&format!(":{}", py::str_text(&port)));
    }
    out.push_str(&format!("/{share}"));
    for dir in dirs {
        out.push_str(&format!("/{dir}"));
    }
    if !file.is_empty() {
        out.push_str(&format!("/{file}"));
    }
    Ok(out)
}

/// The IPv6 address in a name such as `2001-db8--1.ipv6-literal.net`.
fn ipv6_literal(host: &str) -> Option<String> {
    const SUFFIX: &str = ".ipv6-literal.net";
    let lower = host.to_lowercase();
    lower.ends_with(SUFFIX).then(|| {
        // Every character of the suffix goes from both ends, not only the suffix: addresses never end in one of them
        // but 6 and a to f, and there the reference is wrong in the same way.
        let addr = lower.trim_matches(|ch| SUFFIX.contains(ch)).replace('-', ":");
        addr.split('s').next().unwrap_or_default().to_owned()
    })
}

/// The rules of `inet:http:cookie`.
pub struct CookieRules;

impl TextRules for CookieRules {
    fn make(_decl: &mut Decl<'_>) -> Result<CookieRules> {
        Ok(CookieRules)
    }

    fn norm_text(&self, _opts: &TextOpts, _ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let text = py::strip(text);
        let first = |part: &str| py::strip(part.split(';').next().unwrap_or_default()).to_owned();
        let made = Norm::new(text);
        Ok(match text.split_once('=') {
            Some((name, valu)) => made.sub("name", first(name)).sub("value", first(valu)),
            None => made.sub("name", first(text)),
        })
    }

    fn type_vals(&self, valu: &Value) -> Option<TypeVals> {
        match valu {
            Value::Str(text) => {
                let parts: Vec<Value> =
                    text.split(';').map(py::strip).filter(|part| !part.is_empty()).map(Value::from).collect();
                Some(Box::new(parts.into_iter()))
            }
            Value::List(items) => {
                let items: Vec<Value> = items.iter().filter(|item| item.is_truthy()).cloned().collect();
                Some(Box::new(items.into_iter()))
            }
            _ => None,
        }
    }
}
