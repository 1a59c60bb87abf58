//! What the prompt offers on Tab: forms, properties, commands, libraries, and tags as they are asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use myelin_error::Result;
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};
use reedline::{Completer, Span, Suggestion};

/// How many tags are asked for at a time.
const TAG_LIMIT: i64 = 200;

/// Names known to the prompt; sorted, so that a prefix is a range.
#[derive(Default)]
pub struct Names {
    words: BTreeSet<String>,
    libs: BTreeSet<String>,
    tags: BTreeSet<String>,
}

impl Names {
    /// Asks the Cortex for its forms, properties, commands and libraries.
    pub async fn load(proxy: &Proxy) -> Result<Names> {
        let mut names = Names::default();
        let model = proxy.call(Todo::new("getModelDict")).await?;
        let empty = Map::new();
        for (form, info) in model.get("forms").and_then(Value::as_map).unwrap_or(&empty).text_entries() {
            names.words.insert(form.to_owned());
            for (prop, _) in info.get("props").and_then(Value::as_map).unwrap_or(&empty).text_entries() {
                let sign = if prop.starts_with('.') { "" } else { ":" };
                names.words.insert(format!("{form}{sign}{prop}"));
            }
        }
        let info = proxy.call(Todo::new("getCoreInfoV2")).await?;
        let docs = info.get("stormdocs");
        let rows =
            |part: &str| docs.and_then(|docs| docs.get(part)).and_then(Value::as_list).unwrap_or_default().to_vec();
        for lib in rows("libraries") {
            let path: Vec<_> =
                lib.get("path").and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_str).collect();
            let path = path.join(".");
            for local in lib.get("locals").and_then(Value::as_list).unwrap_or_default() {
                names.libs.insert(format!("{path}.{}", local.get("name").and_then(Value::as_str).unwrap_or_default()));
            }
            names.libs.insert(path);
        }
        for cmd in rows("commands") {
            names.words.extend(cmd.get("name").and_then(Value::as_str).map(str::to_owned));
        }
        Ok(names)
    }
}

/// Completes from shared names, asking the Cortex for tags below what was typed.
pub struct StormCompleter {
    names: Arc<Mutex<Names>>,
    proxy: Arc<Mutex<Proxy>>,
    runtime: tokio::runtime::Handle,
}

impl StormCompleter {
    /// A completer over names that may still be loading. The connection is the shell's, which replaces one that broke.
    pub fn new(names: Arc<Mutex<Names>>, proxy: Arc<Mutex<Proxy>>, runtime: tokio::runtime::Handle) -> StormCompleter {
        StormCompleter { names, proxy, runtime }
    }

    fn tags(&self, prefix: &str) {
        let lookup =
            "$found = ([]) syn:tag^=$prefix | limit $size | $found.append($node.repr()) | spin | return($found)";
        let vars = Map::new().with("prefix", prefix).with("size", TAG_LIMIT);
        let todo = Todo::new("callStorm").arg(lookup).kw("opts", Map::new().with("vars", vars));
        let proxy = self.proxy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        // The prompt runs on a thread of its own, so waiting here holds up nothing else.
        if let Ok(found) = self.runtime.block_on(proxy.call(todo)) {
            let mut names = self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            names.tags.extend(found.as_list().unwrap_or_default().iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
}

impl Completer for StormCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> Vec<Suggestion> {
        let Some(before) = line.get(..pos) else { return Vec::new() };
        let (start, asked) = asked(before);
        if let Asked::Tag(word) = asked {
            self.tags(word);
        }
        let names = self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let span = Span::new(start, pos);
        names.find(&asked).map(|value| Suggestion { value, span, ..Suggestion::default() }).collect()
    }
}

/// What is being typed.
#[derive(Debug, PartialEq)]
enum Asked<'a> {
    Nothing,
    Tag(&'a str),
    Lib(&'a str),
    /// A form, a full property or a command.
    Word(&'a str),
    /// A property of a form, without the form's name.
    Prop(&'a str, &'a str),
    /// A command of the shell.
    Shell(&'a str),
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':')
}

/// What the text ends with, and where that begins.
fn asked(before: &str) -> (usize, Asked<'_>) {
    if let Some(word) = before.strip_prefix('!').filter(|word| !word.contains(' ')) {
        return (1, Asked::Shell(word));
    }
    let start = before.trim_end_matches(in_word).len();
    let (before, word) = before.split_at(start);
    let asked = match before.chars().next_back() {
        Some('#') => Asked::Tag(word),
        Some('$') => Asked::Lib(word),
        _ if word.is_empty() => Asked::Nothing,
        _ if word.starts_with([':', '.']) => match before.split(|c| !in_word(c)).rev().find(|part| is_form(part)) {
            Some(form) => Asked::Prop(form, word),
            None => Asked::Nothing,
        },
        _ => Asked::Word(word),
    };
    (start, asked)
}

/// Whether a word can name the form, or a property of the form, that a later `:prop` belongs to.
fn is_form(word: &str) -> bool {
    word.contains(':') && !word.starts_with([':', '.']) && !word.ends_with(':')
}

impl Names {
    fn find<'a>(&'a self, asked: &'a Asked<'_>) -> Box<dyn Iterator<Item = String> + 'a> {
        let below = |set: &'a BTreeSet<String>, word: &'a str| {
            set.range(word.to_owned()..).take_while(move |name| name.starts_with(word))
        };
        match *asked {
            Asked::Nothing => Box::new(std::iter::empty()),
            Asked::Tag(word) => Box::new(below(&self.tags, word).cloned()),
            Asked::Lib(word) => Box::new(below(&self.libs, word).cloned()),
            Asked::Word(word) => Box::new(below(&self.words, word).cloned()),
            Asked::Prop(form, word) => {
                let full = format!("{form}{word}");
                let end = full.clone();
                let found = self.words.range(full..).take_while(move |name| name.starts_with(&*end));
                Box::new(found.map(|name| name[form.len()..].to_owned()))
            }
            Asked::Shell(word) => {
                let names = super::words::names().filter(move |name| name.starts_with(word));
                Box::new(names.map(str::to_owned))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_told_from_what_stands_before_it() {
        let names = Names {
            words: ["inet:ipv4", "inet:ipv4:asn", "inet:ipv4.seen", "limit"].map(str::to_owned).into(),
            libs: ["lib.print", "lib.queue.add"].map(str::to_owned).into(),
            tags: ["a.b"].map(str::to_owned).into(),
        };
        let found = |text: &str| {
            let (start, asked) = asked(text);
            names.find(&asked).map(|name| format!("{}{name}", &text[..start])).collect::<Vec<_>>()
        };
        assert_eq!(found("inet:ipv4:"), ["inet:ipv4:asn"]);
        assert_eq!(found("[ inet:ip"), ["[ inet:ipv4", "[ inet:ipv4.seen", "[ inet:ipv4:asn"]);
        assert_eq!(found("inet:ipv4=1.2.3.4 +:a"), ["inet:ipv4=1.2.3.4 +:asn"]);
        assert_eq!(found("inet:ipv4 +.s"), ["inet:ipv4 +.seen"]);
        assert_eq!(found("inet:ipv4 | lim"), ["inet:ipv4 | limit"]);
        assert_eq!(found("$lib.p"), ["$lib.print"]);
        assert_eq!(found("inet:ipv4 +#a"), ["inet:ipv4 +#a.b"]);
        assert_eq!(found("!he"), ["!help"]);
        assert_eq!(found(":asn"), Vec::<String>::new());
        assert_eq!(found(""), Vec::<String>::new());
    }
}
