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

/// The levels of a tag that are pruned, where `levels` says how many a specification covers from its own tag on.
fn pruned(tag: &str, levels: impl Fn(&str) -> i64) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = 0;
    for end in tag.match_indices('.').map(|(at, _)| at).chain([tag.len()]) {
        let level = &tag[..end];
        // Within the reach of one specification no other is looked at.
        if left == 0 {
            left = levels(level);
        }
        if left > 0 {
            left -= 1;
            found.push(level.to_owned());
        }
    }
    if found.last().is_some_and(|last| last == tag) { found } else { Vec::new() }
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

    /// The tags that go with the last one below a tag, the outermost first: those which a specification covers, as long as
    /// that reaches down to the tag itself.
    pub fn prune(&self, tag: &str) -> Vec<String> {
        let rules = self.rules.load();
        pruned(tag, |tag| rules.get(tag).and_then(|rule| rule.meta.get_i64("prune")).unwrap_or(0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prune_reaches_as_many_levels_as_it_says() {
        let levels = |tag: &str| match tag {
            "foo" => 2,
            "foo.bar.baz" => 1,
            "one" => 1,
            _ => 0,
        };
        assert_eq!(pruned("foo.bar", levels), ["foo", "foo.bar"]);
        assert_eq!(pruned("foo", levels), ["foo"]);
        assert_eq!(pruned("foo.bar.baz", levels), ["foo", "foo.bar", "foo.bar.baz"]);
        // Neither reaches down to these.
        assert!(pruned("foo.bar.x", levels).is_empty());
        assert!(pruned("one.two", levels).is_empty());
        assert!(pruned("two", levels).is_empty());
    }
}
