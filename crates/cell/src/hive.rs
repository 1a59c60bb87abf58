//! The hive: a tree of values that old versions kept users and versions in. Nothing writes to it any more; its two events are
//! still applied, since an old log may hold them.
//!
//! Table `hive`: the path's elements joined by a zero byte → the value.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_slab::{Reads, Slab, Table};
use myelin_value::Value;

use crate::Cell;
use crate::nexus::{ApplyCx, Event, NexsHandler};

/// Whose events they are.
pub(crate) const NEXSIDEN: &str = "hive";

pub(crate) struct HiveEvents(pub Cell);

impl Cell {
    pub(crate) fn add_hive_events(&self) {
        self.nexus().add_handler(NEXSIDEN, Arc::new(HiveEvents(self.clone())));
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

#[cfg(test)]
mod tests {
    use myelin_value::Map;

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
        let wrong = cell.nexus().push(NEXSIDEN, "hive:set", vec![1.into()], Map::new());
        assert!(wrong.is_err_and(|error| error.is("BadArg")));
        cell.fini().expect("closed");
    }
}
