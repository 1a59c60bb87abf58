//! `inet:url`, with Windows shares as URLs, and `inet:http:cookie`.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use myelin_error::{Result, err};
use myelin_value::Value;
use percent_encoding::percent_decode_str;

use super::ctors::Decl;
use super::fqdn::fqdn_text;
use super::inet::{bracketed, port_text, v4_text, v6_text};
use super::scratch::Scratch;
use super::tables::services::default_port;
use super::textual::{TextOpts, TextRules, Textual};
use super::{Cmpr, Norm, NormCx, Subs, Type, TypeVals, ip, py};

/// `inet:url`.
pub type Url = Textual<UrlRules>;
/// `inet:http:cookie`.
pub type HttpCookie = Textual<CookieRules>;

/// The rules of `inet:url`.
pub struct UrlRules;

/// How a URL names what is before its path.
struct Scheme<'a> {
    /// As it was given, in any case.
    proto: &'a str,
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
            return (!rest.is_empty()).then_some(Scheme { proto, rest, share: true, local: false });
        }
    }
    if let Some((proto, rest)) = text.split_once("://").filter(|(proto, _)| !proto.is_empty()) {
        return (!rest.is_empty()).then_some(Scheme { proto, rest, share: false, local: false });
    }
    let (proto, rest) = text.split_once(':')?;
    let local = proto.eq_ignore_ascii_case("file") && !rest.is_empty();
    local.then_some(Scheme { proto, rest, share: false, local: true })
}

/// A protocol as a shared value, for those that nearly all URLs have.
fn proto_value(proto: &str) -> Value {
    static COMMON: LazyLock<Vec<Value>> =
        LazyLock::new(|| ["https", "http", "ftp", "file", "smb", "tcp", "udp"].into_iter().map(Value::from).collect());
    COMMON.iter().find(|have| have.as_str() == Some(proto)).cloned().unwrap_or_else(|| Value::from(proto))
}

/// Whether a text begins with a drive letter.
fn has_drive(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|ch| ch.is_alphanumeric() || ch == '_') && matches!(chars.next(), Some(':' | '|'))
}

/// The host of a URL, and its port's text.
struct Host<'a> {
    name: HostName,
    port: Option<&'a str>,
}

/// How a host prints.
enum HostName {
    None,
    V4(u32),
    /// The address without its brackets, or a domain name.
    V6(Value),
    Fqdn(Value),
    /// Windows lets a URL listen on every host by the name `+`.
    Any,
}

impl HostName {
    fn push_to(&self, out: &mut String) {
        match self {
            HostName::None => {}
            HostName::V4(addr) => ip::push_v4(out, *addr),
            HostName::V6(addr) => {
                out.push('[');
                out.push_str(addr.as_str().unwrap_or_default());
                out.push(']');
            }
            HostName::Fqdn(name) => out.push_str(name.as_str().unwrap_or_default()),
            HostName::Any => out.push('+'),
        }
    }
}

fn read_host<'a>(text: &'a str, subs: &mut Subs) -> Host<'a> {
    if text.starts_with('[') || text.matches(':').count() >= 2 {
        let (addr, port) = bracketed(text).unwrap_or((text, None));
        let Some((addr, zone)) = v6_text(addr) else { return Host { name: HostName::None, port } };
        let mut out = Scratch::new();
        ip::push_v6_norm(&mut out, addr, zone.as_deref());
        let norm = Value::from(out.as_str());
        subs.push(("ipv6".into(), norm.clone()));
        if let Some(v4) = ip::v6_mapped(addr) {
            subs.push(("ipv4".into(), Value::from(v4)));
        }
        return Host { name: HostName::V6(norm), port };
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    if let Some(v4) = v4_text(name) {
        subs.push(("ipv4".into(), Value::from(v4)));
        return Host { name: HostName::V4(v4), port };
    }
    if let Some(fqdn) = fqdn_text(name) {
        let fqdn = Value::from(&*fqdn);
        subs.push(("fqdn".into(), fqdn.clone()));
        return Host { name: HostName::Fqdn(fqdn), port };
    }
    Host { name: if name == "+" { HostName::Any } else { HostName::None }, port }
}

/// Adds user and password of what stands before an `@`.
fn push_auth(auth: &str, subs: &mut Subs) {
    let decode = |text: &str| Value::from(&*percent_decode_str(text).decode_utf8_lossy());
    let (user, passwd) = auth.split_once(':').map_or((auth, None), |(user, passwd)| (user, Some(passwd)));
    subs.push(("user".into(), decode(user)));
    if let Some(passwd) = passwd {
        subs.push(("passwd".into(), decode(passwd)));
    }
}

/// The norm of a URL; `given` is its text when that may be kept as it is.
fn norm_url(ty: &Type, text: &str, given: Option<&Arc<str>>) -> Result<Norm> {
    let share;
    let orig = if text.starts_with("\\\\") {
        share = unc_url(text)?;
        &share
    } else {
        text
    };
    let bad = |mesg: &str| ty.bad_valu(&Value::from(orig), mesg);
    let scheme = split_scheme(orig).ok_or_else(|| bad("The protocol is missing."))?;
    let mut out = Scratch::new();
    out.push_lower(scheme.proto);
    let (is_file, usual_port) = (out.as_str() == "file", default_port(&out));
    let mut made = Norm::with_room(Value::Null, 9).sub("proto", proto_value(&out));
    let subs = &mut made.info.subs;
    let (rest, params) = match scheme.rest.split_once('?') {
        Some((rest, "")) => (rest, ""),
        Some((rest, _)) => (rest, &scheme.rest[rest.len()..]),
        None => (scheme.rest, ""),
    };
    // The path without the slash that it begins with.
    let (authority, path) = match rest.split_once('/') {
        Some((drive, _)) if scheme.local && has_drive(drive) => ("", Some(rest)),
        Some((authority, path)) => (authority, Some(path)),
        None => (rest, None),
    };
    let path_value = match path {
        Some(path) if is_file && has_drive(path) => Value::from(path),
        // Here the slash stands before it.
        Some(path) => Value::from(&rest[rest.len() - path.len() - 1..]),
        None => Value::from(""),
    };
    subs.push(("path".into(), path_value));
    subs.push(("params".into(), Value::from(params)));
    let (auth, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.len() < authority.len() {
        push_auth(auth, subs);
    }
    let host = read_host(host, subs);
    let has_host = !matches!(host.name, HostName::None);
    if has_host && scheme.local {
        return Err(bad("A file on this machine has no host."));
    }
    let port = host.port.map(|port| port_text(ty, port)).transpose()?;
    if let Some(port) = port.or_else(|| usual_port.map(i64::from)) {
        subs.push(("port".into(), Value::from(port)));
    }
    if !has_host && !is_file {
        return Err(bad("The host is missing or none."));
    }
    if auth.is_empty() && !scheme.share && !has_host && path.is_none() {
        return Err(bad("The host and the path are missing."));
    }
    out.push_str("://");
    if !auth.is_empty() {
        out.push_str(auth);
        out.push('@');
    } else if scheme.share {
        out.push_str("//");
    }
    host.name.push_to(&mut out);
    if let Some(port) = port.filter(|_| has_host) {
        let _ = write!(out, ":{port}");
    }
    if let Some(path) = path {
        out.push('/');
        out.push_str(path);
    }
    let base_size = out.len();
    out.push_str(params);
    let value: Arc<str> = given.filter(|given| ***given == **out).cloned().unwrap_or_else(|| Arc::from(out.as_str()));
    let base = if params.is_empty() { Value::from(&value) } else { Value::from(&out[..base_size]) };
    subs.push(("base".into(), base));
    made.value = Value::from(value);
    Ok(made)
}

impl TextRules for UrlRules {
    fn make(_decl: &mut Decl<'_>) -> Result<UrlRules> {
        Ok(UrlRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        norm_url(ty, text, None)
    }

    fn norm_shared(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &Arc<str>) -> Result<Norm> {
        norm_url(ty, text, Some(text))
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
    let bad = |mesg: &str| err!("BadTypeValu", mesg = format!("Invalid UNC path {text:?}: {mesg}"));
    let bad_part = |mesg: &str, part: &str| bad(mesg).with("valu", part);
    let parts: Vec<&str> =
        text.strip_prefix("\\\\").ok_or_else(|| bad("it begins with two backslashes."))?.split('\\').collect();
    let [host, share, names @ ..] = &parts[..] else { return Err(bad("host and share are needed.")) };
    if !(1..=80).contains(&share.chars().count()) {
        return Err(bad("the share has 1 to 80 characters."));
    }
    let (file, dirs) = names.split_last().unwrap_or((&"", &[]));
    let name = file.split(':').next().unwrap_or_default();
    if let Some(long) = dirs.iter().copied().chain([name]).find(|name| name.chars().count() > 255) {
        return Err(bad_part("names have at most 255 characters.", long));
    }
    let proto = if host.contains("@SSL") { "https" } else { "smb" };
    let host = host.replace("@SSL", "");
    let (host, port) = match host.split_once('@') {
        Some((host, port)) => {
            let port = py::int_decimal(port).ok_or_else(|| bad_part("the port is no number.", port))?;
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
