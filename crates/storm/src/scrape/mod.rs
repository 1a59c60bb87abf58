//! Finding indicators in text: what `lookup` mode, the `scrape` command and `$lib.scrape` look for.
//!
//! The text is refanged first (`hxxp:` is `http:`); what was found is reported with its place in the text as given.
//! Rules run form by form in a fixed order, so results come grouped by form. Checksums decide over currency addresses;
//! those of Substrate and Cardano are not looked for.

mod coin;
mod rules;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};

use rules::RULES;

/// Something found: what it is, as it stands in the text, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The form.
    pub form: &'static str,
    /// The value, not normalised.
    pub valu: Value,
    /// The text as given.
    pub text: String,
    /// The offset in characters.
    pub offset: usize,
}

impl Found {
    /// Match and offset, as the platform reports them.
    pub fn info(&self) -> Map {
        Map::new().with("match", self.text.as_str()).with("offset", self.offset)
    }
}

/// Pairs of text that replace each other.
pub struct Fangs {
    pairs: Vec<(String, String)>,
    /// The pairs by how they begin, for characters of ASCII in lower case.
    begins: Box<[Vec<u32>; 128]>,
    /// The pairs that begin with another character, or one that lower case makes of such.
    others: Vec<u32>,
}

impl Fangs {
    fn make(pairs: Vec<(String, String)>) -> Fangs {
        let mut begins = Box::new([const { Vec::new() }; 128]);
        let mut others = Vec::new();
        for (indx, (from, _)) in (0u32..).zip(&pairs) {
            match from.chars().next() {
                Some(ch) if ch.is_ascii() => {
                    begins[ch.to_ascii_lowercase() as usize].push(indx);
                    others.push(indx);
                }
                Some(_) => others.push(indx),
                None => {}
            }
        }
        Fangs { pairs, begins, others }
    }

    /// The pair whose source a text begins with.
    fn find(&self, ch: char, rest: &str) -> Option<&(String, String)> {
        let near = if ch.is_ascii() { &self.begins[ch.to_ascii_lowercase() as usize] } else { &self.others };
        near.iter().filter_map(|indx| self.pairs.get(*indx as usize)).find(|(from, _)| starts_icase(rest, from))
    }

    /// The usual ones, made once.
    pub fn shared() -> &'static Fangs {
        static USUAL: LazyLock<Fangs> = LazyLock::new(Fangs::usual);
        &USUAL
    }

    /// The usual ones: schemes that are spelt wrong on purpose, and brackets around what makes a name or an address.
    pub fn usual() -> Fangs {
        let mut pairs: Vec<(String, String)> = [
            ("fxp:", "ftp:"),
            ("fxps:", "ftps:"),
            ("hxxp:", "http:"),
            ("hxxps:", "https:"),
            ("fxp[s]:", "ftps:"),
            ("hxxp[s]:", "https:"),
        ]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .to_vec();
        for fang in ["[:]", "[://]", "[:", "(:)"] {
            for scheme in ["ftp", "fxp", "ftps", "fxps", "http", "hxxp", "https", "hxxps"] {
                let plain = fang.replace(['[', ']', '(', ')'], "");
                pairs.push((format!("{scheme}{fang}"), format!("{}{plain}", scheme.replace('x', "t"))));
            }
        }
        let marks = [
            ("[.]", "."),
            (".]", "."),
            ("[.", "."),
            ("[．]", "．"),
            ("[。]", "。"),
            ("[｡]", "｡"),
            ("(.)", "."),
            ("(．)", "．"),
            ("(。)", "。"),
            ("(｡)", "｡"),
            ("[dot]", "."),
            ("[:]", ":"),
            ("[at]", "@"),
            ("[@]", "@"),
            ("\\.", "."),
        ];
        pairs.extend(marks.map(|(from, to)| (from.to_owned(), to.to_owned())));
        Fangs::make(pairs)
    }

    /// Pairs of one's own. None may make the text longer.
    ///
    /// # Errors
    /// `BadArg`.
    pub fn of(pairs: Vec<(String, String)>) -> Result<Fangs> {
        match pairs.iter().find(|(from, to)| to.chars().count() > from.chars().count()) {
            Some((src, dst)) => {
                let mesg = format!("fang dst[{dst}] must be <= in length to src[{src}]");
                Err(err!("BadArg", mesg = mesg, src = src, dst = dst))
            }
            None => Ok(Fangs::make(pairs)),
        }
    }

    /// The text with every source replaced, and how much longer the original is at each place of the new text.
    pub fn refang(&self, text: &str) -> (String, Offsets) {
        let (mut out, mut offsets, mut at) = (String::new(), BTreeMap::new(), 0usize);
        let mut rest = text;
        while let Some(ch) = rest.chars().next() {
            let Some((from, to)) = self.find(ch, rest) else {
                out.push(ch);
                rest = &rest[ch.len_utf8()..];
                at += 1;
                continue;
            };
            offsets.insert(at, from.chars().count() - to.chars().count() + 1);
            out.push_str(to);
            at += to.chars().count();
            let size: usize = rest.chars().take(from.chars().count()).map(char::len_utf8).sum();
            rest = &rest[size..];
        }
        (out, offsets)
    }
}

fn starts_icase(text: &str, part: &str) -> bool {
    if let Some(head) = text.as_bytes().get(..part.len())
        && head.is_ascii()
        && part.is_ascii()
    {
        return head.eq_ignore_ascii_case(part.as_bytes());
    }
    let mut chars = text.chars();
    part.chars()
        .all(|want| chars.next().is_some_and(|have| have == want || have.to_lowercase().eq(want.to_lowercase())))
}

/// How many characters of the original stand behind a character of the new text, where that is not one.
pub type Offsets = BTreeMap<usize, usize>;

/// A match of refanged text as it stands in the original: text and offset.
pub fn original(text: &[char], offsets: &Offsets, offset: usize, size: usize) -> (String, usize) {
    let base: usize = offsets.range(..offset).map(|(_, width)| width - 1).sum();
    let end: usize = (offset..offset + size).map(|at| offsets.get(&at).copied().unwrap_or(1)).sum();
    let part = text.iter().skip(base + offset).take(end).collect();
    (part, base + offset)
}

/// Everything a text holds, of one form or of all.
pub fn context(text: &str, form: Option<&str>, refang: bool) -> Vec<Found> {
    let (plain, offsets) = if refang { Fangs::shared().refang(text) } else { (text.to_owned(), Offsets::new()) };
    let chars: Vec<char> = text.chars().collect();
    let mut retn = Vec::new();
    for (name, rule) in RULES {
        if form.is_some_and(|form| form != *name) {
            continue;
        }
        // Bytes and characters up to the hit before: hits come in order, as a rule.
        let (mut bytes, mut before) = (0, 0);
        for hit in rule(&plain) {
            if hit.at < bytes {
                (bytes, before) = (0, 0);
            }
            before += plain[bytes..hit.at].chars().count();
            bytes = hit.at;
            let offset = before;
            let (text, offset) = if offsets.is_empty() {
                (hit.text, offset)
            } else {
                let size = hit.valu.as_str().unwrap_or(&hit.text).chars().count();
                original(&chars, &offsets, offset, size)
            };
            retn.push(Found { form: name, valu: hit.valu, text, offset });
        }
    }
    retn
}

/// What a text holds that the types of the model take: form, norm, and what was found.
///
/// # Errors
/// When the model lacks a form, or a type fails for another reason than a bad value.
pub fn normed(rt: &crate::rt::Rt, text: &str, unique: bool) -> std::result::Result<Vec<(Found, Value)>, Error> {
    let (model, cx) = (rt.model(), rt.norm_cx());
    let mut seen = std::collections::HashSet::new();
    let mut retn = Vec::new();
    for found in context(text, None, true) {
        if unique && !seen.insert((found.form, found.valu.clone())) {
            continue;
        }
        match model.req_type(found.form)?.norm(&cx, &found.valu) {
            Ok(norm) => retn.push((found, norm.value)),
            Err(error) if error.isa("BadTypeValu") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(retn)
}

/// Forms and values of a text, as the text has them.
pub fn scrape(text: &str) -> Vec<(String, Value)> {
    context(text, None, true).into_iter().map(|found| (found.form.to_owned(), found.valu)).collect()
}

/// A pattern compiled once.
fn pattern(text: &str) -> Option<Arc<fancy_regex::Regex>> {
    fancy_regex::RegexBuilder::new(text).backtrack_limit(10_000_000).build().ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        context(text, None, true)
            .iter()
            .map(|found| {
                format!(
                    "{} {} {}@{}",
                    found.form,
                    myelin_model::types::py::str_text(&found.valu),
                    found.text,
                    found.offset
                )
            })
            .collect()
    }

    #[test]
    fn indicators() {
        assert_eq!(
            all("see hxxp[s]://vertex.link/x, 1.2.3.4:80 and bob@vertex.link."),
            [
                "inet:url https://vertex.link/x hxxp[s]://vertex.link/x@4",
                "inet:email bob@vertex.link bob@vertex.link@44",
                "inet:server 1.2.3.4:80 1.2.3.4:80@29",
                "inet:ipv4 1.2.3.4 1.2.3.4@29",
                "inet:fqdn vertex.link vertex.link@14",
                "inet:fqdn vertex.link vertex.link@48",
            ]
        );
        assert_eq!(
            all("CVE\u{2013}2020\u{2013}1234 CWE-79"),
            ["it:sec:cve CVE-2020-1234 CVE\u{2013}2020\u{2013}1234@0", "it:sec:cwe CWE-79 CWE-79@14"]
        );
        assert_eq!(
            all("::ffff:1.2.3.4 and fe80::1 not 1:2"),
            ["inet:ipv6 ::ffff:1.2.3.4 ::ffff:1.2.3.4@0", "inet:ipv6 fe80::1 fe80::1@19"]
        );
        assert_eq!(all(&"a".repeat(32)), [format!("hash:md5 {0} {0}@0", "a".repeat(32))]);
        assert_eq!(
            all("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
            [
                "crypto:currency:address ('btc', '1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2') 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2@0"
            ]
        );
        assert_eq!(all("/bin/ls"), ["file:path /bin/ls /bin/ls@0"]);
        assert_eq!(
            all("see hxxp://vertex[.]link/"),
            ["inet:url http://vertex.link/ hxxp://vertex[.]link/@4", "inet:fqdn vertex.link vertex[.]link@11"]
        );
        assert_eq!(
            all("\\\\srv\\share\\f x, foo.com, baz.net.. a_b.com 中文.com"),
            [
                "inet:url smb://srv/share/f \\\\srv\\share\\f@0",
                "inet:fqdn foo.com foo.com@17",
                "inet:fqdn a_b.com a_b.com@36",
                "inet:fqdn 中文.com 中文.com@44"
            ]
        );
        assert!(all("nothing here.").is_empty());
    }
}
