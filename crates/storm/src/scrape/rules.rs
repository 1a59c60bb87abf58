//! The rules, form by form.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use fancy_regex::Regex;
use myelin_model::types::{ip, unc_url};
use myelin_value::Value;

use super::{coin, pattern};

/// A match: where it stands (in bytes), its text, its value.
pub struct Hit {
    /// Byte offset.
    pub at: usize,
    /// The text.
    pub text: String,
    /// The value.
    pub valu: Value,
}

impl Hit {
    fn new(at: usize, text: &str) -> Hit {
        Hit { at, text: text.to_owned(), valu: Value::from(text) }
    }
}

type Rule = fn(&str) -> Vec<Hit>;

/// Forms and what looks for them, in the order results come in.
pub const RULES: &[(&str, Rule)] = &[
    ("file:path", linux_paths),
    ("file:path", windows_paths),
    ("inet:url", urls),
    ("inet:url", unc_paths),
    ("inet:email", emails),
    ("inet:server", servers),
    ("inet:ipv4", |text| matches(&IPV4, text, |_| true)),
    ("inet:ipv6", |text| matches(&IPV6, text, |valu| ip::parse_v6(valu).is_some())),
    ("inet:fqdn", fqdns),
    ("hash:md5", |text| tokens(text, |token| is_hex(token, 32))),
    ("hash:sha1", |text| tokens(text, |token| is_hex(token, 40))),
    ("hash:sha256", |text| tokens(text, |token| is_hex(token, 64))),
    ("it:sec:cve", cves),
    ("it:sec:cwe", |text| {
        let digits = |token: &str| token.get(4..).is_some_and(|rest| (1..=8).contains(&rest.len()) && all_digits(rest));
        matches(&CWE, text, digits)
    }),
    ("it:sec:cpe", |text| matches(&CPE, text, |_| true)),
    ("crypto:currency:address", coins),
    ("crypto:currency:address", bitcoin_cash),
];

static TLDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("tlds.txt").lines().collect());
static SCHEMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("schemes.txt").lines().collect());

type Pattern = LazyLock<Option<Arc<Regex>>>;

macro_rules! v4 {
    () => {
        r"(?:(?:25[0-5]|2[0-4]\d|[01]?\d\d?)\.){3}(?:25[0-5]|2[0-4]\d|[01]?\d\d?)"
    };
}

macro_rules! v6 {
    () => {
        concat!(
            r"(?:(?:[0-9a-f]{1,4}:){1,7}(?:(?::?(?:[0-9a-f]{1,4}:){0,5}(?:",
            v4!(),
            r"|[0-9a-f]{1,4}))|:))|(?:::(?:[0-9a-f]{1,4}:){0,6}(?:",
            v4!(),
            r"|[0-9a-f]{1,4}))"
        )
    };
}

/// Not within a longer number, nor at the end of an address of the other kind.
macro_rules! before_v4 {
    () => {
        r"(?<!\d)(?<!\d\.)(?<!::)(?<!:[0-9a-f]:)(?<!:[0-9a-f]{2}:)(?<!:[0-9a-f]{3}:)(?<!:[0-9a-f]{4}:)"
    };
}

/// Where a pattern is worth trying. Matching with looks around is slow; most of a text is nowhere near a match.
struct Probe {
    /// What no match of the pattern reaches across, save that it may end with one.
    stop: fn(u8) -> bool,
    /// Finds what every match of the pattern holds.
    made: LazyLock<Option<regex::Regex>>,
    pattern: Pattern,
}

fn newline(byte: u8) -> bool {
    byte == b'\n'
}

fn space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

macro_rules! probe {
    ($name:ident, $text:expr, $stop:expr, $pattern:expr) => {
        static $name: Probe = Probe {
            stop: $stop,
            made: LazyLock::new(|| regex::Regex::new($text).ok()),
            pattern: LazyLock::new(|| pattern($pattern)),
        };
    };
}

/// The matches of a pattern that pass a check, one behind the other.
fn matches(probe: &Probe, text: &str, keep: impl Fn(&str) -> bool) -> Vec<Hit> {
    let mut retn = Vec::new();
    captures(probe, text, |caps| {
        if let Some(valu) = caps.name("valu").filter(|valu| keep(valu.as_str())) {
            retn.push(Hit::new(valu.start(), valu.as_str()));
        }
    });
    retn
}

/// Every match: around each place where the probe strikes, between the stops, with all of the text before in sight.
fn captures(probe: &Probe, text: &str, mut run: impl FnMut(&fancy_regex::Captures<'_>)) {
    let (Some(regx), Some(near)) = (probe.pattern.as_ref(), probe.made.as_ref()) else { return };
    let byts = text.as_bytes();
    let mut pos = 0;
    while let Some(strike) = near.find_at(text, pos) {
        let from =
            byts[pos..strike.start()].iter().rposition(|byte| (probe.stop)(*byte)).map_or(pos, |at| pos + at + 1);
        let end = byts[strike.end()..].iter().position(|byte| (probe.stop)(*byte));
        let end = end.map_or(text.len(), |at| strike.end() + at + 1);
        let mut at = from;
        // A place at which matching takes too long gives what was found so far.
        while at < end
            && let Ok(Some(caps)) = regx.captures_from_pos(&text[..end], at)
            && let Some(whole) = caps.get(0)
        {
            run(&caps);
            at = whole.end().max(at + 1);
        }
        pos = end.max(at);
        while !text.is_char_boundary(pos) {
            pos += 1;
        }
    }
}

probe!(LINUX, "/", newline, r"(?<!\w)(?P<valu>(?:/[^\x00\n]+)+)");
probe!(WINDOWS, r":\\", newline, r#"(?P<valu>[a-zA-Z]+:\\[^<>:"/|?*\n\x00]+)"#);
probe!(
    URL,
    "://",
    space,
    concat!(
        r"(?i)(?P<prefix>[‘“{<(\[]?)(?P<valu>[a-zA-Z][a-zA-Z0-9]*://",
        r#"(?:(?![,.]+[ '"\t\n\r\f\v])[^ '"\t\n\r\f\v])*)"#
    )
);
probe!(UNC, r"\\", newline, r#"(?:"(?P<dq>\\[^\n]+?)")|(?:'(?P<sq>\\[^\n]+?)')|(?:(?P<valu>\\[^\n]+?)\s)"#);
probe!(
    SERVER,
    r"(?:\d|\]):\d",
    space,
    concat!(
        "(?i)(?P<valu>",
        before_v4!(),
        "(?:(?P<addr>",
        v4!(),
        r")|\[(?P<v6addr>",
        v6!(),
        r")\]):(?P<port>\d{1,5})(?!\d|\.\d))"
    )
);
probe!(
    IPV4,
    r"\d\.\d{1,3}\.\d{1,3}\.\d",
    space,
    concat!(r"(?i)(?P<valu>", before_v4!(), "(?:", v4!(), r")(?!\d|\.\d))")
);
probe!(
    IPV6,
    "(?i)(?:[0-9a-f]|:):[0-9a-f:]",
    space,
    concat!(r"(?i)(?P<valu>(?<![0-9a-f]:)(?<!:[0-9a-f])(?<!::)(?<!\d\.)(?:", v6!(), r")(?![0-9a-f:]|\.\d))")
);
probe!(
    CVE,
    "(?i)CVE",
    space,
    "(?i)(?<![a-z0-9])(?P<valu>CVE[-\u{2011}-\u{2014}][0-9]{4}[-\u{2011}-\u{2014}][0-9]{4,})(?![a-z0-9])"
);
probe!(CWE, "(?i)CWE-", space, r"(?i)(?<![a-z0-9])(?P<valu>CWE-[0-9]+)(?![a-z0-9])");
macro_rules! cpe_part {
    () => {
        r##"(?::(?:(?:[?]+|\*)?(?:[a-z0-9\-._]|\\[\\?*!"#$%&'()+,/:;<=>@\[\]^`{|}~])+(?:[?]+|\*)?|[*\-]))"##
    };
}
probe!(
    CPE,
    r"(?i)cpe:2\.3:",
    space,
    concat!(
        r"(?i)(?P<valu>cpe:2\.3:[aho*\-]",
        cpe_part!(),
        r"{5}:(?:[*\-]|(?:[a-z]{2,3}(?:-(?:[0-9]{3}|[a-z]{2}))?))",
        cpe_part!(),
        "{4})"
    )
);
probe!(
    CASH,
    "(?i)bitcoincash:|bchtest:",
    space,
    "(?i)(?<![a-z0-9])(?P<valu>(?:bitcoincash|bchtest):[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{42})(?![a-z0-9])"
);

const LINUX_ROOTS: [&str; 22] = [
    "bin", "boot", "cdrom", "dev", "etc", "home", "lib", "lib64", "lib32", "libx32", "media", "mnt", "opt", "proc",
    "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
];
const MAX_PARTS: usize = 1024;

fn linux_paths(text: &str) -> Vec<Hit> {
    matches(&LINUX, text, |valu| {
        let doubled = valu.starts_with("//") && !valu.starts_with("///");
        let parts: Vec<&str> = valu.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let sized = valu.chars().count() <= 4096 && parts.len() < MAX_PARTS;
        sized && !doubled && parts.first().is_some_and(|root| LINUX_ROOTS.contains(root))
    })
}

fn windows_paths(text: &str) -> Vec<Hit> {
    matches(&WINDOWS, text, |valu| {
        let (drive, rest) = valu.split_once(':').unwrap_or_default();
        let parts: Vec<&str> = rest.split('\\').filter(|part| !part.is_empty() && *part != ".").collect();
        let reserved = |part: &&str| {
            matches!(*part, "CON" | "PRN" | "AUX" | "NUL")
                || part.strip_prefix("COM").or(part.strip_prefix("LPT")).is_some_and(|n| n.len() == 1 && all_digits(n))
        };
        let sized = valu.chars().count() <= 32767 && parts.len() < MAX_PARTS;
        drive.len() == 1 && sized && !parts.iter().any(|part| reserved(part) || part.ends_with('.'))
    })
}

fn urls(text: &str) -> Vec<Hit> {
    let mut retn = Vec::new();
    captures(&URL, text, |caps| {
        let Some(found) = caps.name("valu") else { return };
        let mut valu = found.as_str();
        valu = match caps.name("prefix").map_or("", |prefix| prefix.as_str()) {
            "[" => valu.trim_end_matches(']'),
            "<" => valu.trim_end_matches('>'),
            "{" => valu.trim_end_matches('}'),
            "(" => valu.trim_end_matches(')'),
            "‘" => valu.trim_end_matches('’'),
            "“" => valu.trim_end_matches('”'),
            _ => valu.trim_end(),
        };
        let scheme = valu.split("://").next().unwrap_or_default().to_lowercase();
        if SCHEMES.contains(scheme.as_str()) {
            retn.push(Hit::new(found.start(), valu));
        }
    });
    retn
}

fn unc_paths(text: &str) -> Vec<Hit> {
    let mut retn = Vec::new();
    captures(&UNC, text, |caps| {
        let found = caps.name("valu").or_else(|| caps.name("dq")).or_else(|| caps.name("sq"));
        if let Some(found) = found
            && let Ok(valu) = unc_url(found.as_str())
        {
            retn.push(Hit { at: found.start(), text: found.as_str().to_owned(), valu: Value::from(valu) });
        }
    });
    retn
}

fn servers(text: &str) -> Vec<Hit> {
    let mut retn = Vec::new();
    captures(&SERVER, text, |caps| {
        let port = caps.name("port").and_then(|port| port.as_str().parse::<u32>().ok());
        let v6_ok = caps.name("v6addr").is_none_or(|addr| ip::parse_v6(addr.as_str()).is_some());
        if let Some(found) = caps.name("valu").filter(|_| v6_ok && port.is_some_and(|port| (1..=65535).contains(&port)))
        {
            retn.push(Hit::new(found.start(), found.as_str()));
        }
    });
    retn
}

/// Maximal runs of characters: where each begins, and it.
fn runs(text: &str, inside: impl Fn(char) -> bool) -> Vec<(usize, &str)> {
    let mut retn = Vec::new();
    let mut from = None;
    for (at, ch) in text.char_indices() {
        match (from, inside(ch)) {
            (None, true) => from = Some(at),
            (Some(start), false) => {
                retn.push((start, &text[start..at]));
                from = None;
            }
            _ => {}
        }
    }
    if let Some(start) = from {
        retn.push((start, &text[start..]));
    }
    retn
}

fn emails(text: &str) -> Vec<Hit> {
    let local = |ch: char| ch.is_ascii_alphanumeric() || "_.+-".contains(ch);
    let domain = |ch: char| ch.is_ascii_alphanumeric() || "_.-".contains(ch);
    let mut retn = Vec::new();
    for (at, _) in text.match_indices('@') {
        let from = text[..at].char_indices().rev().take_while(|(_, ch)| local(*ch)).last().map_or(at, |(from, _)| from);
        if from == at || at - from > 256 {
            continue;
        }
        let rest = &text[at + 1..];
        let run = &rest[..rest.find(|ch| !domain(ch)).unwrap_or(rest.len())];
        if let Some(size) = longest_domain(run) {
            retn.push(Hit::new(from, &text[from..at + 1 + size]));
        }
    }
    retn
}

/// The size of the longest start of a run that is labels before a top level domain.
fn longest_domain(run: &str) -> Option<usize> {
    let mut ends = Vec::new();
    let mut pos = 0;
    for label in run.split('.') {
        if label.is_empty() || ends.len() > 10 {
            break;
        }
        pos += label.len();
        ends.push((pos, label));
        pos += 1;
    }
    let sized = |count: usize| ends[..count].iter().all(|(_, label)| label.len() <= 63);
    let found = (1..ends.len()).rev().find(|last| sized(*last) && TLDS.contains(ends[*last].1.to_lowercase().as_str()));
    found.map(|last| ends[last].0)
}

fn is_dot(ch: char) -> bool {
    matches!(ch, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Symbols that no name may hold.
fn disallowed(ch: char) -> bool {
    matches!(ch,
        '$' | '+' | '<'..='>' | '^' | '`' | '|' | '~' | '\u{a8}' | '\u{af}' | '\u{b4}' | '\u{b8}'
        | '\u{2d8}'..='\u{2dd}' | '\u{37a}' | '\u{384}' | '\u{385}' | '\u{1fbd}' | '\u{1fbf}'..='\u{1fc1}'
        | '\u{1fcd}'..='\u{1fcf}' | '\u{1fdd}'..='\u{1fdf}' | '\u{1fed}'..='\u{1fef}' | '\u{1ffd}' | '\u{1ffe}'
        | '\u{207a}' | '\u{207c}' | '\u{208a}' | '\u{208c}' | '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}'
        | '\u{2474}'..='\u{24b5}' | '\u{2a74}'..='\u{2a76}' | '\u{2ff0}'..='\u{2ffb}' | '\u{309b}' | '\u{309c}'
        | '\u{3200}'..='\u{321e}' | '\u{3220}'..='\u{3243}' | '\u{33c2}' | '\u{33c7}' | '\u{33d8}' | '\u{fb29}'
        | '\u{fc5e}'..='\u{fc63}' | '\u{fdfa}' | '\u{fdfb}' | '\u{fe62}' | '\u{fe64}'..='\u{fe66}' | '\u{fe69}'
        | '\u{fe70}' | '\u{fe72}' | '\u{fe74}' | '\u{fe76}' | '\u{fe78}' | '\u{fe7a}' | '\u{fe7c}' | '\u{fe7e}'
        | '\u{ff04}' | '\u{ff0b}' | '\u{ff1c}'..='\u{ff1e}' | '\u{ff3e}' | '\u{ff40}' | '\u{ff5c}' | '\u{ff5e}'
        | '\u{ffe3}' | '\u{fffc}' | '\u{fffd}' | '\u{1f100}'..='\u{1f10a}' | '\u{1f110}'..='\u{1f129}'
        | '\u{e0100}'..='\u{e01ef}')
}

static NAME_CHAR: LazyLock<Option<regex::Regex>> =
    LazyLock::new(|| regex::Regex::new(r"^[\p{L}\p{M}\p{N}\p{S}_-]$").ok());

fn name_char(ch: char) -> bool {
    if ch.is_ascii() {
        return (ch.is_ascii_alphanumeric() || ch == '_' || ch == '-') && !disallowed(ch);
    }
    !disallowed(ch) && NAME_CHAR.as_ref().is_some_and(|regx| regx.is_match(ch.encode_utf8(&mut [0; 4])))
}

fn fqdns(text: &str) -> Vec<Hit> {
    let mut retn = Vec::new();
    for (at, run) in runs(text, |ch| name_char(ch) || is_dot(ch)) {
        if !run.contains(is_dot) {
            continue;
        }
        let mut name = run;
        if let Some(last) = run.chars().next_back().filter(|ch| is_dot(*ch)) {
            let next = text[at + run.len()..].chars().next();
            if next.is_none_or(|ch| ch.is_whitespace() || ch.is_control()) {
                name = &run[..run.len() - last.len_utf8()];
            }
        }
        let labels: Vec<&str> = name.split(is_dot).collect();
        let sized = (2..=11).contains(&labels.len())
            && labels.iter().all(|label| !label.is_empty() && label.chars().count() <= 63);
        let known = labels.last().is_some_and(|tld| TLDS.contains(tld.to_lowercase().as_str()));
        if sized && known && idna::domain_to_ascii(&name.replace('_', "a")).is_ok() {
            retn.push(Hit::new(at, name));
        }
    }
    retn
}

fn tokens(text: &str, keep: impl Fn(&str) -> bool) -> Vec<Hit> {
    let all = runs(text, |ch| ch.is_ascii_alphanumeric());
    all.into_iter().filter(|(_, token)| keep(token)).map(|(at, token)| Hit::new(at, token)).collect()
}

fn is_hex(token: &str, size: usize) -> bool {
    token.len() == size && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn cves(text: &str) -> Vec<Hit> {
    let mut hits = matches(&CVE, text, |_| true);
    for hit in &mut hits {
        hit.valu = Value::from(hit.text.replace(['\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}'], "-"));
    }
    hits
}

fn coins(text: &str) -> Vec<Hit> {
    let mut retn = Vec::new();
    for (at, token) in runs(text, |ch| ch.is_ascii_alphanumeric()) {
        let Some((coin, valu)) = coin_of(token) else { continue };
        retn.push(Hit { at, text: token.to_owned(), valu: Value::list([Value::from(coin), Value::from(valu)]) });
    }
    retn
}

fn coin_of(token: &str) -> Option<(&'static str, String)> {
    let lower = token.to_lowercase();
    let size = token.len();
    if (token.starts_with('1') && (26..=40).contains(&size)) || (token.starts_with('3') && size == 34) {
        return coin::is_bitcoin(token).then(|| ("btc", token.to_owned()));
    }
    if ["bc1", "bcrt1", "tb1"].iter().any(|prefix| lower.starts_with(prefix)) && coin::is_segwit(token) {
        return Some(("btc", lower));
    }
    if let Some(body) = lower.strip_prefix("0x").filter(|body| is_hex(body, 40)) {
        let want = crate::libs::crypto::ethereum::eip55(body)?;
        let given = &token[2..];
        let plain = given == given.to_uppercase() || given == given.to_lowercase();
        return (plain || want == token).then_some(("eth", want));
    }
    let ripple = matches!(lower.chars().next(), Some('r')) && (26..=47).contains(&size);
    (ripple && coin::is_ripple(token)).then(|| ("xrp", token.to_owned()))
}

fn bitcoin_cash(text: &str) -> Vec<Hit> {
    let mut hits = matches(&CASH, text, coin::is_bitcoin_cash);
    for hit in &mut hits {
        hit.valu = Value::list([Value::from("bch"), Value::from(hit.text.to_lowercase())]);
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cheap stand-in for chance, so that a failure can be repeated.
    fn next(seed: &mut u64) -> usize {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize
    }

    #[test]
    fn probing_finds_what_matching_everywhere_finds() {
        const PARTS: &[&str] = &[
            "http://",
            "a.com",
            "1.2.3.4",
            "::1",
            "fe80::1",
            "1:2:3",
            "[::1]:80",
            ":80",
            "/",
            "\\",
            "\\\\srv\\f ",
            "c:\\x",
            "CVE-2020-1234",
            "CWE-79",
            "cpe:2.3:a:v:p:1:*:*:*:*:*:*:*",
            "bchtest:",
            "\n",
            " ",
            ".",
            ",",
            "\"",
            "'",
            "(",
            "<",
            "é",
            "://",
            "123",
            "x",
            "ſ",
            "\u{212a}",
            "\0",
            "::ffff:1.2.3.4",
        ];
        let probes = [&LINUX, &WINDOWS, &URL, &UNC, &SERVER, &IPV4, &IPV6, &CVE, &CWE, &CPE, &CASH];
        let (mut seed, mut found) = (7, 0);
        for _ in 0..400 {
            let text: String = (0..next(&mut seed) % 40).map(|_| PARTS[next(&mut seed) % PARTS.len()]).collect();
            for probe in probes {
                let regx = probe.pattern.as_ref().expect("a pattern");
                let spans = |caps: &fancy_regex::Captures<'_>| caps.get(0).map(|all| (all.start(), all.end()));
                let want: Vec<_> = regx.captures_iter(&text).map_while(Result::ok).map(|caps| spans(&caps)).collect();
                let mut have = Vec::new();
                captures(probe, &text, |caps| have.push(spans(caps)));
                assert_eq!(have, want, "{} in {text:?}", regx.as_str());
                found += want.len();
            }
        }
        assert!(found > 1000, "the texts hold something to find: {found}");
    }
}
