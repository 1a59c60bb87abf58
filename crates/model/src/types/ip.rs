//! IP addresses: reading, printing and classing them. Public, since Storm filters and scrapes them too.
//!
//! IPv4 text is read as `inet_aton` reads it (short forms, octal and hex parts); inside IPv6 text it is strict.

/// An IPv4 address from text as the C library reads it: one to four parts, each decimal, octal (`010`) or hex (`0x10`),
/// the last filling what is left. What follows white space is not looked at.
pub fn aton(text: &str) -> Option<u32> {
    let mut rest = text.as_bytes();
    let mut made = 0_u32;
    for nth in 0..4 {
        let (valu, after) = aton_part(rest)?;
        match after.first() {
            Some(b'.') if nth < 3 => {
                made |= u32::from(u8::try_from(valu).ok()?) << (24 - 8 * nth);
                rest = &after[1..];
            }
            end => {
                let ends = end.is_none_or(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
                let most = u32::MAX >> (8 * nth);
                return (ends && valu <= u64::from(most)).then_some(made | valu as u32);
            }
        }
    }
    None
}

fn aton_part(text: &[u8]) -> Option<(u64, &[u8])> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', next, ..] if next.is_ascii_hexdigit() => (16, &text[2..]),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut valu = 0_u64;
    let mut size = 0;
    for byte in digits {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        valu = valu * u64::from(radix) + u64::from(digit);
        if valu > u64::from(u32::MAX) {
            return None;
        }
        size += 1;
    }
    Some((valu, &digits[size..]))
}

/// An IPv4 address from exactly four decimal parts without leading zeros.
pub fn parse_v4(text: &str) -> Option<u32> {
    let mut made = 0_u32;
    let mut parts = 0;
    for part in text.split('.') {
        let plain = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (part.len() > 1 && part.starts_with('0')) {
            return None;
        }
        made = (made << 8) | u32::from(part.parse::<u8>().ok()?);
        parts += 1;
        if parts > 4 {
            return None;
        }
    }
    (parts == 4).then_some(made)
}

/// An IPv4 address as a dotted quad.
pub fn v4_repr(addr: u32) -> String {
    let mut out = String::with_capacity(15);
    push_v4(&mut out, addr);
    out
}

/// An IPv6 address from text, perhaps with a zone (`fe80::1%eth0`).
pub fn parse_v6(text: &str) -> Option<(u128, Option<&str>)> {
    let (addr, zone) = match text.split_once('%') {
        Some((_, zone)) if zone.contains('/') => return None,
        Some((_, zone)) if zone.is_empty() || zone.contains('%') => return None,
        Some((addr, zone)) => (addr, Some(zone)),
        None => (text, None),
    };
    addr.parse::<std::net::Ipv6Addr>().ok().map(|addr| (u128::from(addr), zone))
}

/// An IPv6 address in its shortest form, in hex throughout.
pub fn v6_repr(addr: u128) -> String {
    let mut out = String::with_capacity(40);
    push_v6(&mut out, addr);
    out
}

/// Adds an IPv4 address as a dotted quad.
pub(super) fn push_v4(out: &mut String, addr: u32) {
    for (nth, byte) in addr.to_be_bytes().into_iter().enumerate() {
        if nth > 0 {
            out.push('.');
        }
        for unit in [100, 10, 1] {
            if byte >= unit || unit == 1 {
                out.push(char::from(b'0' + byte / unit % 10));
            }
        }
    }
}

/// Adds an IPv6 address in its shortest form.
fn push_v6(out: &mut String, addr: u128) {
    let begin = out.len();
    let parts: [u16; 8] = std::array::from_fn(|nth| (addr >> (112 - 16 * nth)) as u16);
    let (mut from, mut size) = (8, 1);
    let mut nth = 0;
    while nth < 8 {
        let run = parts[nth..].iter().take_while(|part| **part == 0).count();
        if run > size {
            (from, size) = (nth, run);
        }
        nth += run.max(1);
    }
    let mut nth = 0;
    while nth < 8 {
        if nth == from {
            out.push_str("::");
            nth += size;
            continue;
        }
        if out.len() > begin && !out.ends_with(':') {
            out.push(':');
        }
        push_hex(out, parts[nth]);
        nth += 1;
    }
}

/// Adds a number in hex without leading zeros.
fn push_hex(out: &mut String, part: u16) {
    let mut begun = false;
    for shift in [12, 8, 4, 0] {
        let digit = part >> shift & 0xf;
        begun |= digit > 0 || shift == 0;
        if begun {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
}

/// The IPv4 address inside a mapped IPv6 address.
pub fn v6_mapped(addr: u128) -> Option<u32> {
    (addr >> 32 == 0xffff).then_some(addr as u32)
}

/// An IPv6 address as it is stored: shortest form, mapped addresses with their dotted quad.
pub fn v6_norm(addr: u128) -> String {
    let mut out = String::with_capacity(40);
    push_v6_norm(&mut out, addr, None);
    out
}

/// Adds an IPv6 address as it is stored. Mapped addresses lose their zone.
pub(super) fn push_v6_norm(out: &mut String, addr: u128, zone: Option<&str>) {
    match (v6_mapped(addr), zone) {
        (Some(v4), _) => {
            out.push_str("::ffff:");
            push_v4(out, v4);
        }
        (None, Some(zone)) => {
            push_v6(out, addr);
            out.push('%');
            out.push_str(zone);
        }
        (None, None) => push_v6(out, addr),
    }
}

type Net4 = (u32, u32);
type Net6 = (u128, u32);

fn in4(addr: u32, nets: &[Net4]) -> bool {
    nets.iter().any(|(net, bits)| addr >> (32 - bits) == net >> (32 - bits))
}

fn in6(addr: u128, nets: &[Net6]) -> bool {
    nets.iter().any(|(net, bits)| addr >> (128 - bits) == net >> (128 - bits))
}

/// Not globally reachable by the IANA registry, with what is exempt in it.
const PRIVATE4: &[Net4] = &[
    (0x0000_0000, 8),
    (0x0a00_0000, 8),
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc000_0000, 24),
    (0xc000_0200, 24),
    (0xc0a8_0000, 16),
    (0xc612_0000, 15),
    (0xc633_6400, 24),
    (0xcb00_7100, 24),
    (0xf000_0000, 4),
];
const PUBLIC4: &[Net4] = &[(0xc000_0009, 32), (0xc000_000a, 32)];

const PRIVATE6: &[Net6] = &[
    (1, 128),
    (0, 128),
    (0x0064_ff9b_0001 << 80, 48),
    (0x0100 << 112, 64),
    (0x2001 << 112, 23),
    (0x2001_0db8 << 96, 32),
    (0x2002 << 112, 16),
    (0xfc00 << 112, 7),
    (0xfe80 << 112, 10),
];
const PUBLIC6: &[Net6] = &[
    ((0x2001_0001 << 96) + 1, 128),
    ((0x2001_0001 << 96) + 2, 128),
    (0x2001_0003 << 96, 32),
    (0x2001_0004_0112 << 80, 48),
    (0x2001_0020 << 96, 28),
    (0x2001_0030 << 96, 28),
];
const RESERVED6: &[Net6] = &[
    (0, 8),
    (0x0100 << 112, 8),
    (0x0200 << 112, 7),
    (0x0400 << 112, 6),
    (0x0800 << 112, 5),
    (0x1000 << 112, 4),
    (0x4000 << 112, 3),
    (0x6000 << 112, 3),
    (0x8000 << 112, 3),
    (0xa000 << 112, 3),
    (0xc000 << 112, 3),
    (0xe000 << 112, 4),
    (0xf000 << 112, 5),
    (0xf800 << 112, 6),
    (0xfe00 << 112, 9),
];

fn is_private4(addr: u32) -> bool {
    in4(addr, PRIVATE4) && !in4(addr, PUBLIC4)
}

/// The class of an IPv4 address.
pub fn v4_type(addr: u32) -> &'static str {
    match addr {
        _ if in4(addr, &[(0xe000_0000, 4)]) => "multicast",
        _ if in4(addr, &[(0x7f00_0000, 8)]) => "loopback",
        _ if in4(addr, &[(0xa9fe_0000, 16)]) => "linklocal",
        _ if is_private4(addr) => "private",
        _ if in4(addr, &[(0xf000_0000, 4)]) => "reserved",
        _ if in4(addr, &[(0x6440_0000, 10)]) => "shared",
        _ => "unicast",
    }
}

/// The class of an IPv6 address.
pub fn v6_type(addr: u128) -> &'static str {
    let private = match v6_mapped(addr) {
        Some(v4) => is_private4(v4),
        None => in6(addr, PRIVATE6) && !in6(addr, PUBLIC6),
    };
    match addr {
        _ if addr >> 120 == 0xff => "multicast",
        1 => "loopback",
        _ if in6(addr, &[(0xfe80 << 112, 10)]) => "linklocal",
        _ if private => "private",
        _ if in6(addr, RESERVED6) => "reserved",
        _ => "unicast",
    }
}

/// The scope of an IPv6 address.
pub fn v6_scope(addr: u128) -> &'static str {
    if addr == 1 || in6(addr, &[(0xfe80 << 112, 10)]) {
        return "link-local";
    }
    match (addr >> 112) as u16 {
        0xff00 | 0xff0f => "reserved",
        0xff01 => "interface-local",
        0xff02 => "link-local",
        0xff03 => "realm-local",
        0xff04 => "admin-local",
        0xff05 => "site-local",
        0xff08 => "organization-local",
        0xff0e => "global",
        0xff06 | 0xff07 | 0xff09..=0xff0d | 0xff10..=0xffff => "unassigned",
        _ => "global",
    }
}

/// The first address of a network and how many bits lead it, from `addr/bits`. Host bits are kept.
pub fn parse_cidr6(text: &str) -> Option<(u128, Option<&str>, u32)> {
    let (addr, bits) = text.split_once('/').unwrap_or((text, "128"));
    if bits.is_empty() || bits.len() > 20 || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bits = bits.parse::<u32>().ok().filter(|bits| *bits <= 128)?;
    let (addr, zone) = parse_v6(addr)?;
    Some((addr, zone, bits))
}

/// The bits of an IPv6 address that are its host's under a prefix length.
pub fn host_bits6(bits: u32) -> u128 {
    u128::MAX.checked_shr(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_read_as_c_does() {
        let cases = [
            ("1.2.3.4", Some(0x0102_0304)),
            ("1.2.3", Some(0x0102_0003)),
            ("010.0x10", Some(0x0800_0010)),
            ("1.2.3.4 junk", Some(0x0102_0304)),
            (" 1.2.3.4", None),
            ("1.2.3.256", None),
            ("08", None),
            ("4294967296", None),
            ("1.2.3.4.5", None),
        ];
        for (text, want) in cases {
            assert_eq!(aton(text), want, "{text}");
        }
    }

    #[test]
    fn addresses_print_shortest() {
        for (text, want) in [
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("::ffff:1.2.3.4", "::ffff:102:304"),
            ("a0b:10:f00f:1:1:1:1:ffff", "a0b:10:f00f:1:1:1:1:ffff"),
        ] {
            assert_eq!(parse_v6(text).map(|(addr, _)| v6_repr(addr)).as_deref(), Some(want));
        }
    }

    #[test]
    fn quads_print_without_zeros() {
        for addr in [0, 1, 0x0a64_0909, 0x6401_0a00, 0xff00_c8ff] {
            assert_eq!(v4_repr(addr), std::net::Ipv4Addr::from(addr).to_string());
        }
    }

    #[test]
    fn classes_follow_the_registry() {
        assert_eq!(v4_type(0x0808_0808), "unicast");
        assert_eq!(v4_type(0x6440_0001), "shared");
        assert_eq!(v4_type(0xc000_0009), "unicast");
        assert_eq!(v6_type(0x2001_0db8 << 96), "private");
        assert_eq!(v6_scope(0xff02 << 112), "link-local");
    }
}
