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
    proxy: Proxy,
    runtime: tokio::runtime::Handle,
}

impl StormCompleter {
    /// A completer over names that may still be loading.
    pub fn new(names: Arc<Mutex<Names>>, proxy: Proxy, runtime: tokio::runtime::Handle) -> StormCompleter {
        StormCompleter { names, proxy, runtime }
    }

    fn tags(&self, prefix: &str) {
        let lookup =
            "$found = ([]) syn:tag^=$prefix | limit $size | $found.append($node.repr()) | spin | return($found)";
        let vars = Map::new().with("prefix", prefix).with("size", TAG_LIMIT);
        let todo = Todo::new("callStorm").arg(lookup).kw("opts", Map::new().with("vars", vars));
        // The prompt runs on a thread of its own, so waiting here holds up nothing else.
        if let Ok(found) = self.runtime.block_on(self.proxy.call(todo)) {
            let mut names = self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            names.tags.extend(found.as_list().unwrap_or_default().iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
}

impl Completer for StormCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> Vec<Suggestion> {
        let Some(before) = line.get(..pos) else { return Vec::new() };
        let start = before.rfind(|c: char| !(c.is_alphanumeric() || "_.:".contains(c))).map_or(0, |at| at + 1);
        let word = &before[start..];
        let sign = before[..start].chars().next_back();
        if word.is_empty() && sign != Some('$') {
            return Vec::new();
        }
        if sign == Some('#') {
            self.tags(word);
        }
        let names = self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let set = match sign {
            Some('#') => &names.tags,
            Some('$') => &names.libs,
            _ => &names.words,
        };
        let span = Span::new(start, pos);
        let found = set.range(word.to_owned()..).take_while(|name| name.starts_with(word));
        found.map(|name| Suggestion { value: name.clone(), span, ..Suggestion::default() }).collect()
    }
}
