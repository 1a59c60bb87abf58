//! Addresses of the internet: IPv4, IPv6, their ranges and networks, and `inet:addr`.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use myelin_error::{Error, Result, err};
use myelin_value::{Value, guid_of};

use super::cmpr::ORDERED;
use super::ctors::Decl;
use super::scratch::{Scratch, Text};
use super::structures::{Range, split_once};
use super::textual::{TextOpts, TextRules, Textual};
use super::{Cmpr, Norm, NormCx, StorCmpr, Type, TypeImpl, TypeVals, ip, py, surrogates};
use crate::StorType;

/// `inet:addr` and what extends it.
pub type Addr = Textual<AddrRules>;
/// `inet:cidr4`.
pub type Cidr4 = Textual<Cidr4Rules>;
/// `inet:cidr6`.
pub type Cidr6 = Textual<Cidr6Rules>;

/// The text without the brackets that keep it from being a link.
pub(super) fn refang(text: &str) -> Text<'_> {
    if !text.contains(['[', '(']) {
        return Text::Given(text);
    }
    let mut out = Scratch::new();
    // Square brackets go first, and what that leaves may be in round ones.
    let mut rest = text;
    while let Some(at) = rest.find("[.]") {
        out.push_str(&rest[..at]);
        out.push('.');
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    if !out.contains("(.)") {
        return Text::Made(out);
    }
    let mut round = Scratch::new();
    for (nth, part) in out.split("(.)").enumerate() {
        if nth > 0 {
            round.push('.');
        }
        round.push_str(part);
    }
    Text::Made(round)
}

/// An IPv4 address from text.
pub(super) fn v4_text(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return ip::aton(text);
    }
    ip::aton(&py::printables(&refang(text)))
}

/// The error for text that is no IPv4 address, in whatever it stands.
fn bad_v4(text: &str) -> Error {
    let clean = py::printables(&refang(text)).into_owned();
    err!("BadTypeValu", mesg = "The text is no IPv4 address.", name = "inet:ipv4", valu = clean)
}

/// The error for text that is no IPv6 address, in whatever it stands.
fn bad_v6(text: &str) -> Error {
    let clean = py::printables(text);
    let valu = if clean.contains(':') { clean.into_owned() } else { format!("::ffff:{clean}") };
    err!("BadTypeValu", mesg = "The text is no IPv6 address.", name = "inet:ipv6", valu = valu)
}

/// An IPv6 address from text, where IPv4 text becomes its mapped address.
pub(super) fn v6_text(text: &str) -> Option<(u128, Option<String>)> {
    let clean = py::printables(text);
    if clean.contains(':') {
        return ip::parse_v6(&clean).map(|(addr, zone)| (addr, zone.map(str::to_owned)));
    }
    if let Some(v4) = ip::parse_v4(&clean) {
        return Some((0xffff_0000_0000 | u128::from(v4), None));
    }
    // Anything without a colon is put behind the prefix, so that a few hex digits are an address too.
    ip::parse_v6(&format!("::ffff:{clean}")).map(|(addr, zone)| (addr, zone.map(str::to_owned)))
}

/// A port from text, with its number.
pub(super) fn port_text(ty: &Type, text: &str) -> Result<i64> {
    let port = py::int_auto(text).and_then(|port| port.as_i64()).filter(|port| (0..=65535).contains(port));
    port.ok_or_else(|| {
        let mesg = format!("The port of {} is none: it lies between 0 and 65535.", ty.name);
        err!("BadTypeValu", mesg = mesg, name = "inet:port", valu = text)
    })
}

/// `inet:ipv4`: an address as a number.
pub struct IPv4;

impl IPv4 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<IPv4> {
        Ok(IPv4)
    }

    fn req(ty: &Type, text: &str) -> Result<u32> {
        v4_text(text).ok_or_else(|| bad_v4(text).with("name", &ty.name))
    }

    fn norm_int(ty: &Type, valu: &Value) -> Result<Norm> {
        let addr = valu.as_i64().and_then(|addr| u32::try_from(addr).ok());
        addr.map(v4_norm).ok_or_else(|| ty.bad_valu(valu, "The number lies outside the IPv4 addresses."))
    }

    /// The first and last address that text stands for, when it is a network or a range.
    fn span(ty: &Type, text: &str) -> Option<Result<(u32, u32)>> {
        if let Some((addr, bits)) = text.split_once('/') {
            return Some(IPv4::req(ty, addr).and_then(|addr| {
                let mask = cidr_mask(bits).ok_or_else(|| ty.bad_valu(&Value::from(text), "The CIDR mask is none."))?;
                Ok((addr & mask, addr | !mask))
            }));
        }
        let (min, max) = text.split_once('-')?;
        Some(IPv4::req(ty, min).and_then(|min| Ok((min, IPv4::req(ty, max)?))))
    }
}

/// The words for classes, scopes and protocols as shared values: there are few, and every address has some.
fn word_of(text: &str) -> Value {
    static WORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let classes = ["unicast", "private", "multicast", "loopback", "linklocal", "reserved", "shared"];
        let others = ["global", "link-local", "tcp", "udp", "icmp", "host", "gre"];
        classes.into_iter().chain(others).map(Value::from).collect()
    });
    WORDS.iter().find(|have| have.as_str() == Some(text)).cloned().unwrap_or_else(|| Value::from(text))
}

fn v4_norm(addr: u32) -> Norm {
    Norm::new(addr).sub("type", word_of(ip::v4_type(addr)))
}

fn cidr_bits(bits: &str) -> Option<u32> {
    let bits = py::int_decimal(bits)?.as_i64()?;
    u32::try_from(bits).ok().filter(|bits| *bits <= 32)
}

fn cidr_mask(bits: &str) -> Option<u32> {
    cidr_bits(bits).map(|bits| u32::MAX.checked_shl(32 - bits).unwrap_or(0))
}

impl TypeImpl for IPv4 {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => IPv4::req(ty, text).map(v4_norm),
            Value::Int(_) | Value::Big(_) => IPv4::norm_int(ty, valu),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        let addr = norm.as_i64().and_then(|addr| u32::try_from(addr).ok());
        addr.map(|addr| Value::from(ip::v4_repr(addr)))
            .ok_or_else(|| ty.bad_valu(norm, "The stored value is no address."))
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, _cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        let span = match (op, rhs) {
            ("=", Value::Str(text)) => IPv4::span(ty, text)?,
            _ => return None,
        };
        Some(span.map(|(min, max)| -> Cmpr {
            let (min, max) = (i64::from(min), i64::from(max));
            Box::new(move |valu| Ok(valu.as_i64().is_some_and(|have| min <= have && have <= max)))
        }))
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift(&self, ty: &Type, _cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match (op, valu) {
            ("=", Value::Str(text)) => Some(IPv4::span(ty, text)?.map(|(min, max)| ty.stor("range=", [min, max]))),
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn type_vals(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<TypeVals>> {
        let span = IPv4::span(ty, valu.as_str()?)?;
        Some(span.map(|(min, max)| -> TypeVals { Box::new((min..=max).map(Value::from)) }))
    }

    fn stortype(&self) -> StorType {
        StorType::U32
    }
}

/// `inet:ipv6`: an address as its shortest text.
pub struct IPv6;

impl IPv6 {
    pub(super) fn new(_decl: Decl<'_>) -> Result<IPv6> {
        Ok(IPv6)
    }

    fn span(ty: &Type, text: &str) -> Option<Result<(u128, u128)>> {
        let bad = |mesg: &str| ty.bad_valu(&Value::from(text), mesg);
        if text.contains('/') {
            return Some(ip::parse_cidr6(text).ok_or_else(|| bad("The text is no IPv6 network.")).map(
                |(addr, _, bits)| {
                    let host = ip::host_bits6(bits);
                    (addr & !host, addr | host)
                },
            ));
        }
        let (min, max) = text.split_once('-')?;
        let pair = ip::parse_v6(min).zip(ip::parse_v6(max)).map(|((min, _), (max, _))| (min, max));
        Some(pair.ok_or_else(|| bad("The text is no range of IPv6 addresses.")))
    }
}

/// The norm of an IPv6 address.
fn v6_norm(addr: u128, zone: Option<&str>) -> Norm {
    let (kind, scope) = (ip::v6_type(addr), ip::v6_scope(addr));
    let mut text = Scratch::new();
    ip::push_v6_norm(&mut text, addr, zone);
    let mapped = ip::v6_mapped(addr);
    let made = Norm::with_room(text.as_str(), 2 + usize::from(mapped.is_some()));
    let made = made.sub("type", word_of(kind)).sub("scope", word_of(scope));
    match mapped {
        Some(v4) => made.sub("ipv4", v4),
        None => made,
    }
}

/// A stored or given IPv6 address as a number, for comparing.
fn v6_number(valu: &Value) -> Option<u128> {
    match valu {
        Value::Str(text) => ip::parse_v6(text).map(|(addr, _)| addr),
        Value::Int(_) | Value::Big(_) => valu.to_bigint().and_then(|addr| u128::try_from(addr).ok()),
        Value::Bool(flag) => Some(u128::from(*flag)),
        // The bytes of an address compare as one, though they do not normalise.
        Value::Bytes(byts) => <[u8; 16]>::try_from(&byts[..]).ok().map(u128::from_be_bytes),
        _ => None,
    }
}

impl TypeImpl for IPv6 {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => match v6_text(text) {
                Some((addr, zone)) => Ok(v6_norm(addr, zone.as_deref())),
                None => Err(bad_v6(text).with("name", &ty.name)),
            },
            Value::Int(_) | Value::Big(_) => {
                let addr = v6_number(valu).ok_or_else(|| ty.bad_valu(valu, "The number is no IPv6 address."))?;
                Ok(v6_norm(addr, None))
            }
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, _cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        let name = ty.name.clone();
        let bad = move || err!("BadTypeValu", mesg = "The stored value is no IPv6 address.", name = &name);
        if let ("=", Value::Str(text)) = (op, rhs) {
            return Some(IPv6::span(ty, text)?.map(|(min, max)| -> Cmpr {
                Box::new(move |valu| v6_number(valu).map(|have| min <= have && have <= max).ok_or_else(&bad))
            }));
        }
        let pass: fn(std::cmp::Ordering) -> bool = match op {
            "<" => std::cmp::Ordering::is_lt,
            ">" => std::cmp::Ordering::is_gt,
            "<=" => std::cmp::Ordering::is_le,
            ">=" => std::cmp::Ordering::is_ge,
            _ => return None,
        };
        // Bare IPv4 text is not accepted on this side: the reference never mapped it here.
        Some(match v6_number(rhs) {
            Some(than) => Ok(Box::new(move |valu| v6_number(valu).map(|have| pass(have.cmp(&than))).ok_or_else(&bad))),
            None => Err(ty.bad_valu(rhs, "The value is no IPv6 address.")),
        })
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift(&self, ty: &Type, _cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match (op, valu) {
            ("=", Value::Str(text)) => {
                Some(IPv6::span(ty, text)?.map(|(min, max)| ty.stor("range=", [ip::v6_repr(min), ip::v6_repr(max)])))
            }
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn type_vals(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<TypeVals>> {
        let span = IPv6::span(ty, valu.as_str()?)?;
        Some(span.map(|(min, max)| -> TypeVals { Box::new((min..=max).map(|addr| Value::from(ip::v6_repr(addr)))) }))
    }

    fn stortype(&self) -> StorType {
        StorType::IPV6
    }
}

/// `inet:ipv4range`.
pub struct IPv4Range {
    range: Range,
}

fn range_of(decl: Decl<'_>, name: &str) -> Result<Range> {
    decl.opts.insert("type", Value::list([Value::from(name), Value::from(myelin_value::Map::new())]));
    Range::new(decl)
}

impl IPv4Range {
    pub(super) fn new(decl: Decl<'_>) -> Result<IPv4Range> {
        range_of(decl, "inet:ipv4").map(|range| IPv4Range { range })
    }
}

impl TypeImpl for IPv4Range {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) if text.contains('-') => self.range.norm_pair(ty, cx, &split_once(text, '-'), py::cmp),
            Value::Str(text) => {
                let (net, last, _) = norm_cidr4(text)?;
                self.range.norm_pair(ty, cx, &[Value::from(net), Value::from(last)], py::cmp)
            }
            Value::List(items) => self.range.norm_pair(ty, cx, items, py::cmp),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        self.range.repr_pair(ty, cx, norm)
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

/// `inet:ipv6range`.
pub struct IPv6Range {
    range: Range,
}

impl IPv6Range {
    pub(super) fn new(decl: Decl<'_>) -> Result<IPv6Range> {
        range_of(decl, "inet:ipv6").map(|range| IPv6Range { range })
    }
}

fn v6_order(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    let order = v6_number(left)?.cmp(&v6_number(right)?);
    // The same address in two zones is two addresses without an order, which no range may begin and end with.
    Some(if order.is_eq() && left != right { std::cmp::Ordering::Greater } else { order })
}

impl TypeImpl for IPv6Range {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) if text.contains('-') => self.range.norm_pair(ty, cx, &split_once(text, '-'), v6_order),
            Value::Str(text) => {
                let (net, network, bits) = norm_cidr6(text)?;
                let last = ip::v6_repr(net | ip::host_bits6(bits));
                self.range.norm_pair(ty, cx, &[Value::from(network), Value::from(last)], v6_order)
            }
            Value::List(items) => self.range.norm_pair(ty, cx, items, v6_order),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        self.range.repr_pair(ty, cx, norm)
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

/// First address, last address and bits of an IPv4 network.
fn norm_cidr4(text: &str) -> Result<(u32, u32, u32)> {
    let bad = |mesg: &str| err!("BadTypeValu", mesg = mesg, name = "inet:cidr4", valu = text);
    let (addr, bits) = text.split_once('/').ok_or_else(|| bad("The CIDR mask is missing."))?;
    let bits = cidr_bits(bits).ok_or_else(|| bad("The CIDR mask is none."))?;
    let addr = v4_text(addr).ok_or_else(|| bad_v4(addr))?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    Ok((addr & mask, addr | !mask, bits))
}

/// The rules of `inet:cidr4`.
pub struct Cidr4Rules;

impl TextRules for Cidr4Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<Cidr4Rules> {
        Ok(Cidr4Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, _ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let (net, last, bits) = norm_cidr4(text)?;
        let norm = format!("{}/{bits}", ip::v4_repr(net));
        Ok(Norm::new(norm).sub("broadcast", last).sub("mask", bits).sub("network", net))
    }
}

/// First address, its text with its zone, and bits of an IPv6 network. Host bits may not be set.
fn norm_cidr6(text: &str) -> Result<(u128, String, u32)> {
    let found = text.contains('/').then(|| ip::parse_cidr6(text)).flatten();
    match found {
        Some((addr, zone, bits)) if addr & ip::host_bits6(bits) == 0 => {
            let zone = zone.map(|zone| format!("%{zone}")).unwrap_or_default();
            Ok((addr, ip::v6_repr(addr) + &zone, bits))
        }
        _ => Err(err!("BadTypeValu", mesg = "The text is no IPv6 network.", name = "inet:cidr6", valu = text)),
    }
}

/// The rules of `inet:cidr6`.
pub struct Cidr6Rules;

impl TextRules for Cidr6Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<Cidr6Rules> {
        Ok(Cidr6Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, _ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let (net, network, bits) = norm_cidr6(text)?;
        let last = ip::v6_repr(net | ip::host_bits6(bits));
        Ok(Norm::new(format!("{network}/{bits}")).sub("broadcast", last).sub("mask", bits).sub("network", network))
    }
}

/// The rules of `inet:addr`.
pub struct AddrRules {
    defport: Option<i64>,
    defproto: Arc<str>,
}

/// The address and port of `[addr]` or `[addr]:port`.
pub(super) fn bracketed(text: &str) -> Option<(&str, Option<&str>)> {
    let (addr, rest) = text.strip_prefix('[')?.split_once(']')?;
    let plain = !addr.is_empty() && addr.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'));
    match (plain, rest.strip_prefix(':')) {
        (true, Some(port)) if !port.is_empty() && port.chars().all(|ch| py::decimal_digit(ch).is_some()) => {
            Some((addr, Some(port)))
        }
        (true, None) if rest.is_empty() => Some((addr, None)),
        _ => None,
    }
}

impl AddrRules {
    /// The text before the port, and the port.
    fn split_port<'a>(&self, ty: &Type, text: &'a str) -> Result<(&'a str, Option<i64>)> {
        match text.split_once(':') {
            Some((text, port)) => Ok((text, Some(port_text(ty, port)?))),
            None => Ok((text, self.defport)),
        }
    }

    fn norm_v6(&self, proto: &str, made: Norm, addr: &str, port: Option<i64>) -> Result<Norm> {
        let (addr, zone) = v6_text(addr).ok_or_else(|| bad_v6(addr))?;
        let mut made = match ip::v6_mapped(addr) {
            Some(v4) => made.sub("ipv4", v4),
            None => made,
        };
        let mut text = Scratch::new();
        let _ = write!(text, "{proto}://[");
        let from = text.len();
        ip::push_v6_norm(&mut text, addr, zone.as_deref());
        made = made.sub("ipv6", &text[from..]);
        text.push(']');
        if let Some(port) = port {
            made = made.sub("port", port);
            let _ = write!(text, ":{port}");
        }
        made.value = Value::from(text.as_str());
        Ok(made)
    }
}

impl TextRules for AddrRules {
    fn make(decl: &mut Decl<'_>) -> Result<AddrRules> {
        let defport = decl.opt("defport").and_then(Value::as_i64).filter(|port| *port != 0);
        let defproto = decl.text("defproto").unwrap_or("tcp").into();
        Ok(AddrRules { defport, defproto })
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, orig: &str) -> Result<Norm> {
        let bad = |mesg: &str| ty.bad_valu(&Value::from(orig), mesg);
        let mut lower = Scratch::new();
        lower.push_lower(orig);
        let (proto, text) = lower.split_once("://").unwrap_or((&*self.defproto, &lower));
        if !matches!(proto, "tcp" | "udp" | "icmp" | "host" | "gre") {
            return Err(bad("The protocol is none of: tcp, udp, icmp, host, gre."));
        }
        let made = Norm::with_room(Value::Null, 4).sub("proto", word_of(proto));
        let no_ports = |port: Option<i64>| match (proto, port) {
            ("gre", Some(port)) if port != 0 => {
                Err(err!("BadTypeValu", mesg = "The protocol gre has no ports.", valu = orig))
            }
            _ => Ok(()),
        };
        let text = py::strip(text).trim_matches('/');
        let mut out = Scratch::new();
        if proto == "host" {
            let (host, port) = self.split_port(ty, text)?;
            let guid = guid_of(&surrogates::show(&Value::from(host)));
            let made = sub_port(made, port).sub("host", guid.as_str());
            let _ = write!(out, "host://{guid}");
            return Ok(with_port(made, out, port));
        }
        if text.starts_with('[') {
            let (addr, port) = bracketed(text).ok_or_else(|| bad("The text is no IPv6 address with a port."))?;
            v6_text(addr).ok_or_else(|| bad_v6(addr))?;
            let port = port.map(|port| port_text(ty, port)).transpose()?;
            no_ports(port)?;
            return self.norm_v6(proto, made, addr, port);
        }
        if text.matches(':').count() >= 2 {
            return self.norm_v6(proto, made, text, None);
        }
        let (addr, port) = self.split_port(ty, text)?;
        no_ports(port)?;
        let addr = v4_text(addr).ok_or_else(|| bad_v4(addr))?;
        let made = sub_port(made, port).sub("ipv4", addr);
        let _ = write!(out, "{proto}://");
        ip::push_v4(&mut out, addr);
        Ok(with_port(made, out, port))
    }
}

/// The norm with its port as a sub value, unless that is 0.
fn sub_port(made: Norm, port: Option<i64>) -> Norm {
    match port.filter(|port| *port != 0) {
        Some(port) => made.sub("port", port),
        None => made,
    }
}

/// The norm whose value is a text with the port behind it, which may be 0.
fn with_port(mut made: Norm, mut text: Scratch, port: Option<i64>) -> Norm {
    if let Some(port) = port {
        let _ = write!(text, ":{port}");
    }
    made.value = Value::from(text.as_str());
    made
}
