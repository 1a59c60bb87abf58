//! What tags may look like: per tag a list of regular expressions for its parts, and how many levels a prune removes.
//!
//! Stored under `tagmeta:<tag>` of the table `cortex` as `{regex: [null or text, …], prune: number}`.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use myelin_cell::{ApplyCx, Event};
use myelin_error::{Result, err};
use myelin_model::types::PyRegex;
use myelin_slab::Slab;
use myelin_slab::tables::SafeKeyVal;
use myelin_value::{Map, Value};

use super::{Part, Pusher};

/// The tag model of a cortex. Reads take no lock.
pub struct TagModel {
    stor: SafeKeyVal,
    rules: ArcSwap<HashMap<String, Arc<Rule>>>,
    pusher: Pusher,
}

/// One tag's specification, ready to be checked against.
struct Rule {
    meta: Map,
    parts: Vec<Option<PyRegex>>,
}

impl TagModel {
    /// Loads it from the table `cortex` of the cell's slab.
    pub fn open(slab: &Slab, stor: &SafeKeyVal, pusher: Pusher) -> Result<TagModel> {
        let stor = stor.sub("tagmeta:");
        let mut rules = HashMap::new();
        for (tag, meta) in stor.items(&slab.read_fresh()?, "")? {
            rules.insert(tag, Arc::new(Rule::compile(meta.as_map().cloned().unwrap_or_default())?));
        }
        Ok(TagModel { stor, rules: ArcSwap::from_pointee(rules), pusher })
    }

    /// The specification of a tag.
    pub fn get(&self, tag: &str) -> Option<Map> {
        self.rules.load().get(tag).map(|rule| rule.meta.clone())
    }

    /// Every tag with its specification, by tag.
    pub fn list(&self) -> Vec<(String, Map)> {
        let mut rows: Vec<_> = self.rules.load().iter().map(|(tag, rule)| (tag.clone(), rule.meta.clone())).collect();
        rows.sort_by(|left, right| left.0.cmp(&right.0));
        rows
    }

    /// Whether a tag agrees with its own and its parents' specifications; the message says what does not.
    pub fn check(&self, tag: &str) -> Result<(), String> {
        let rules = self.rules.load();
        if rules.is_empty() {
            return Ok(());
        }
        let parts: Vec<&str> = tag.split('.').collect();
        let ends = tag.match_indices('.').map(|(at, _)| at).chain([tag.len()]);
        for rule in ends.filter_map(|end| rules.get(&tag[..end])) {
            for (regex, part) in rule.parts.iter().zip(&parts) {
                if regex.as_ref().is_some_and(|regex| !regex.is_full_match(part).unwrap_or(false)) {
                    return Err(format!(
                        "The part {part} of the tag {tag} does not match the expression that the tag model has for it."
                    ));
                }
            }
        }
        Ok(())
    }

    /// The tags that go when a tag is pruned: the tag, and parents as far as the specification of one says.
    pub fn prune(&self, tag: &str) -> Vec<String> {
        let rules = self.rules.load();
        let depth = tag.split('.').count();
        let ends = tag.match_indices('.').map(|(at, _)| at).chain([tag.len()]);
        for end in ends {
            let levels = rules.get(&tag[..end]).and_then(|rule| rule.meta.get_i64("prune"));
            if let Some(levels) = levels.and_then(|levels| usize::try_from(levels).ok()).filter(|levels| *levels > 0) {
                let keep = depth.saturating_sub(levels);
                let parts: Vec<&str> = tag.split('.').collect();
                return (keep + 1..=depth).rev().map(|size| parts[..size].join(".")).collect();
            }
        }
        Vec::new()
    }

    /// Sets `regex` or `prune` of a tag.
    pub fn set(&self, tag: &str, name: &str, valu: Value) -> Result<()> {
        let mut meta = self.get(tag).unwrap_or_default();
        meta.insert(name, valu.clone());
        Rule::compile(meta)?;
        self.pusher.push("tag:model:set", [tag.into(), name.into(), valu]).map(drop)
    }

    /// Removes the whole specification of a tag.
    pub fn del(&self, tag: &str) -> Result<()> {
        self.pusher.push("tag:model:del", [tag.into()]).map(drop)
    }

    /// Removes one key of a specification and returns its value.
    pub fn pop(&self, tag: &str, name: &str) -> Result<Value> {
        self.pusher.push("tag:model:pop", [tag.into(), name.into()])
    }

    fn store(&self, cx: &mut ApplyCx<'_>, tag: &str, meta: Option<Map>) -> Result<()> {
        let mut rules = HashMap::clone(&self.rules.load());
        match meta {
            Some(meta) => {
                let rule = Rule::compile(meta)?;
                self.stor.set(cx, tag, &Value::from(rule.meta.clone()))?;
                rules.insert(tag.to_owned(), Arc::new(rule));
            }
            None => {
                self.stor.del(cx, tag)?;
                rules.remove(tag);
            }
        }
        self.rules.store(Arc::new(rules));
        Ok(())
    }
}

impl Rule {
    fn compile(meta: Map) -> Result<Rule> {
        let bad = |mesg: &str, name: &str| err!("SchemaViolation", mesg = mesg, name = name);
        // Named as the place in the document, which is called data.
        let mut parts = Vec::new();
        for (key, valu) in meta.text_entries() {
            match (key, valu) {
                ("regex", Value::List(list)) => {
                    for (indx, part) in list.iter().enumerate() {
                        parts.push(match part {
                            Value::Null => None,
                            Value::Str(text) => Some(PyRegex::new(text)?),
                            _ => {
                                return Err(bad(
                                    "Each part of a tag's regex is a text or null.",
                                    &format!("data.regex[{indx}]"),
                                ));
                            }
                        });
                    }
                }
                ("prune", Value::Int(1..)) => {}
                ("regex", _) => return Err(bad("The regex of a tag is a list of texts and nulls.", "data.regex")),
                ("prune", _) => return Err(bad("The prune of a tag is a number of levels, at least 1.", "data.prune")),
                _ => {
                    return Err(bad(
                        &format!("A tag's specification has no {key}: there are regex and prune."),
                        "data",
                    ));
                }
            }
        }
        Ok(Rule { meta, parts })
    }
}

impl Part for TagModel {
    fn events(&self) -> &'static [&'static str] {
        &["tag:model:set", "tag:model:del", "tag:model:pop"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let tag = event.str_arg(0, "tagname")?;
        match event.name.as_str() {
            "tag:model:set" => {
                let mut meta = self.get(tag).unwrap_or_default();
                meta.insert(event.str_arg(1, "name")?, event.arg(2, "valu").clone());
                self.store(cx, tag, Some(meta))?;
                Ok(Value::Null)
            }
            "tag:model:del" => {
                self.store(cx, tag, None)?;
                Ok(Value::Null)
            }
            _ => {
                let Some(mut meta) = self.get(tag) else { return Ok(Value::Null) };
                let popped = meta.remove(event.str_arg(1, "name")?).unwrap_or_default();
                self.store(cx, tag, Some(meta))?;
                Ok(popped)
            }
        }
    }
}
