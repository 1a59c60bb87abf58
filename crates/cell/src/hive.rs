//! The hive: a tree of values that old versions kept users and versions in. What is said of verbs is still kept there; its
//! two events are also applied when an old log holds them.
//!
//! Table `hive`: the path's elements joined by a zero byte → the value.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_slab::{Reads, Slab, Table};
use myelin_value::{Map, Value};

use crate::Cell;
use crate::nexus::{ApplyCx, Event, NexsHandler};

/// Whose events they are.
pub(crate) const NEXSIDEN: &str = "hive";

pub(crate) struct HiveEvents(pub Cell);

impl Cell {
    pub(crate) fn add_hive_events(&self) {
        self.nexus().add_handler(NEXSIDEN, Arc::new(HiveEvents(self.clone())));
    }

    /// A value of the hive; null when there is none. Blocks.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn hive_get(&self, path: &[&str]) -> Result<Value> {
        self.hive_value(path)
    }

    /// Sets a value of the hive. Blocks.
    ///
    /// # Errors
    /// What logging and storing fail with.
    pub fn hive_set(&self, path: &[&str], valu: Value) -> Result<()> {
        let path: Value = path.iter().map(|part| Value::from(*part)).collect();
        self.nexus().push(NEXSIDEN, "hive:set", vec![path, valu], Map::new()).map(drop)
    }
}

impl NexsHandler for HiveEvents {
    fn events(&self) -> &[&str] {
        &["hive:set", "hive:pop"]
    }

    fn homes(&self, _event: &Event) -> Vec<Slab> {
        vec![self.0.slab().clone()]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let path: Option<Vec<&str>> = event.list_arg(0, "full")?.iter().map(Value::as_str).collect();
        let bad = || err!("BadArg", mesg = "A path of the hive is a list of str.", name = "full");
        let path = path.filter(|path| !path.is_empty()).ok_or_else(bad)?;
        let table = cx.find_table(self.0.slab(), "hive")?;
        let table = table.ok_or_else(|| err!("NoSuchName", mesg = "The table hive is missing.", name = "hive"))?;
        if event.name == "hive:set" {
            self.set(cx, table, &path, event.arg(1, "valu"))
        } else {
            self.pop(cx, table, &path)
        }
    }
}

/// The kind and place of a user's value that is kept elsewhere today.
fn user_value<'a>(path: &[&'a str]) -> Option<(&'static str, &'a str, &'a str)> {
    match path {
        ["auth", "users", iden, "vars", name] => Some(("user:var", iden, name)),
        ["auth", "users", iden, "profile", name] => Some(("user:profile", iden, name)),
        _ => None,
    }
}

impl HiveEvents {
    fn auth_event(&self, cx: &mut ApplyCx<'_>, name: String, args: Vec<Value>) -> Result<Value> {
        let event =
            Event { nexsiden: "auth:auth".into(), name, args, kwargs: Default::default(), meta: Default::default() };
        self.0.auth().apply(cx, &event)
    }

    fn set(&self, cx: &mut ApplyCx<'_>, table: Table, path: &[&str], valu: &Value) -> Result<Value> {
        if let Some((kind, iden, name)) = user_value(path) {
            self.auth_event(cx, format!("{kind}:set"), vec![iden.into(), name.into(), valu.clone()])?;
        } else if let ["cellvers", name] = path {
            self.0.inner().vers.set(cx, name, valu)?;
        }
        let key = path.join("\0");
        let old = cx.get_value(table, key.as_bytes())?;
        cx.put_value(table, key.as_bytes(), valu)?;
        Ok(old.unwrap_or_default())
    }

    fn pop(&self, cx: &mut ApplyCx<'_>, table: Table, path: &[&str]) -> Result<Value> {
        if let Some((kind, iden, name)) = user_value(path) {
            self.auth_event(cx, format!("{kind}:pop"), vec![iden.into(), name.into()])?;
        }
        let key = path.join("\0");
        let old = cx.pop_value(table, key.as_bytes())?;
        cx.del_prefix(table, format!("{key}\0").as_bytes())?;
        Ok(old.unwrap_or_default())
    }
}

/// A part of the tree: the value there, and what lies below.
#[derive(Default)]
struct Node {
    valu: Value,
    kids: indexmap::IndexMap<String, Node>,
}

impl Node {
    /// As `saveHiveTree` returns it.
    fn pack(&self) -> Map {
        let tree = Map::new().with("value", self.valu.clone());
        if self.kids.is_empty() {
            return tree;
        }
        let kids: Map = self.kids.iter().map(|(name, kid)| (name.as_str(), Value::from(kid.pack()))).collect();
        tree.with("kids", kids)
    }
}

impl Cell {
    /// What the hive has at a path and below; nothing where there is nothing.
    fn hive_node(&self, path: &[&str]) -> Result<Option<Node>> {
        let table = self.slab().table("hive", false)?;
        let txn = self.slab().read_fresh()?;
        let key = path.join("\0");
        let valu = if path.is_empty() { None } else { txn.get_value(table, key.as_bytes())? };
        let pref = if path.is_empty() { Vec::new() } else { [key.as_bytes(), b"\0"].concat() };
        let found = path.is_empty() || valu.is_some();
        let mut root = Node { valu: valu.unwrap_or_default(), ..Node::default() };
        for row in txn.prefix(table, &pref)? {
            let (key, byts) = row?;
            let mut at = &mut root;
            for name in String::from_utf8_lossy(&key[pref.len()..]).split('\0') {
                at = at.kids.entry(name.to_owned()).or_default();
            }
            at.valu = myelin_value::msgpack::decode(byts)?;
        }
        Ok((found || !root.kids.is_empty()).then_some(root))
    }

    /// Names and values right below a path of the hive; nothing where there is no such path.
    pub(crate) fn hive_kids(&self, path: &[&str]) -> Result<Option<Vec<(String, Value)>>> {
        let node = self.hive_node(path)?;
        Ok(node.map(|node| node.kids.into_iter().map(|(name, kid)| (name, kid.valu)).collect()))
    }

    /// The value at a path of the hive.
    pub(crate) fn hive_value(&self, path: &[&str]) -> Result<Value> {
        Ok(self.hive_node(path)?.unwrap_or_default().valu)
    }

    /// The values at and below a path of the hive.
    pub(crate) fn hive_tree(&self, path: &[&str]) -> Result<Map> {
        Ok(self.hive_node(path)?.unwrap_or_default().pack())
    }

    /// Writes a tree of values below a path; with `trim` what else is there goes.
    pub(crate) fn load_hive_tree(
        &self,
        cx: &mut ApplyCx<'_>,
        path: &mut Vec<String>,
        tree: &Value,
        trim: bool,
    ) -> Result<()> {
        let table = cx.find_table(self.slab(), "hive")?;
        let table = table.ok_or_else(|| err!("NoSuchName", mesg = "The table hive is missing.", name = "hive"))?;
        let events = HiveEvents(self.clone());
        if let Some(valu) = tree.get("value").filter(|_| !path.is_empty()) {
            let full: Vec<&str> = path.iter().map(String::as_str).collect();
            events.set(cx, table, &full, valu)?;
        }
        let kids = tree.get("kids").and_then(Value::as_map).cloned().unwrap_or_default();
        for (name, kid) in kids.text_entries() {
            path.push(name.to_owned());
            let done = self.load_hive_tree(cx, path, kid, trim);
            path.pop();
            done?;
        }
        if trim {
            let pref = if path.is_empty() { String::new() } else { format!("{}\0", path.join("\0")) };
            let mut gone: Vec<String> = Vec::new();
            for row in cx.prefix(table, pref.as_bytes())? {
                let name =
                    String::from_utf8_lossy(&row?.0[pref.len()..]).split('\0').next().unwrap_or_default().to_owned();
                if !kids.contains(&name) && gone.last() != Some(&name) {
                    gone.push(name);
                }
            }
            for name in gone {
                path.push(name);
                let full: Vec<&str> = path.iter().map(String::as_str).collect();
                let done = events.pop(cx, table, &full);
                path.pop();
                done?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CellSpec;

    #[test]
    fn old_events_reach_where_the_values_are_today() {
        let dir = tempfile::tempdir().expect("a directory");
        let spec = CellSpec { celltype: "cell", confs: &[], envprefixes: &[], version: crate::version::VERSION };
        let cell = Cell::open(spec, dir.path(), Map::new()).expect("a cell");
        cell.start().expect("started");
        let path = |parts: &[&str]| parts.iter().map(|part| Value::from(*part)).collect::<Value>();
        let push = |name: &str, args: Vec<Value>| {
            let args = [args.clone(), args];
            // Twice: an event may be applied again after a crash.
            args.map(|args| cell.nexus().push(NEXSIDEN, name, args, Map::new()).expect("applied").1)
        };
        assert_eq!(push("hive:set", vec![path(&["a", "b"]), 1.into()]), [Value::Null, 1.into()]);
        push("hive:set", vec![path(&["a", "b", "c"]), 2.into()]);
        assert_eq!(push("hive:pop", vec![path(&["a", "b"])]), [1.into(), Value::Null]);
        assert_eq!(push("hive:set", vec![path(&["a", "b", "c"]), 3.into()])[0], Value::Null);
        push("hive:set", vec![path(&["cellvers", "x"]), 4.into()]);
        assert_eq!(cell.cell_vers("x").expect("a version"), 4);
        let root = cell.auth().root().expect("root");
        push("hive:set", vec![path(&["auth", "users", root.iden(), "vars", "v"]), 5.into()]);
        assert_eq!(cell.auth().user_value("vars", root.iden(), "v").expect("read"), Some(5.into()));
        assert_eq!(cell.hive_value(&["a", "b", "c"]).expect("read"), 3.into());
        let tree = cell.hive_tree(&["a"]).expect("read");
        let leaf = Map::new().with("value", 3);
        let inner = Map::new().with("value", Value::Null).with("kids", Map::new().with("c", leaf));
        assert_eq!(tree, Map::new().with("value", Value::Null).with("kids", Map::new().with("b", inner)));
        let kids = Map::new().with("d", Map::new().with("value", 7));
        for _ in 0..2 {
            let args = vec![Map::new().with("kids", kids.clone()).into(), path(&["a"]), true.into()];
            cell.nexus().push(cell.iden(), "hive:loadtree", args, Map::new()).expect("loaded");
            assert_eq!(cell.hive_kids(&["a"]).expect("read"), Some(vec![("d".to_owned(), 7.into())]));
        }
        assert_eq!(cell.hive_kids(&["newp"]).expect("read"), None);
        let wrong = cell.nexus().push(NEXSIDEN, "hive:set", vec![1.into()], Map::new());
        assert!(wrong.is_err_and(|error| error.is("BadArg")));
        cell.fini().expect("closed");
    }
}
