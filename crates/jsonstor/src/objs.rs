//! Objects by path, counted by reference, in four tables of one slab.
//!
//! | table | key → value |
//! |---|---|
//! | `P:paths` | elements joined by a zero byte → object id (16 bytes) |
//! | `P:items` | object id → msgpack of the object |
//! | `P:meta` | object id + `refs` → msgpack of the number of paths |
//! | `P:fsinfo` | made and never written |
//!
//! Listings are by prefix of bytes, without regard for where an element ends: `foo` also lists what is under `foobar`.
//! Storing an object makes a new id, so it breaks links to the old one.

use myelin_error::{Result, err};
use myelin_slab::{Reads, Slab, Table, WriteCx};
use myelin_value::{Iden, Value, buid_of, msgpack};

use crate::path;

/// Objects by path. Cheap to clone.
#[derive(Clone, Copy, Debug)]
pub struct JsonObjs {
    paths: Table,
    items: Table,
    meta: Table,
}

impl JsonObjs {
    /// Opens the tables of a prefix.
    pub fn open(slab: &Slab, prefix: &str) -> Result<JsonObjs> {
        slab.table(&format!("{prefix}:fsinfo"), false)?;
        Ok(JsonObjs {
            paths: slab.table(&format!("{prefix}:paths"), false)?,
            items: slab.table(&format!("{prefix}:items"), false)?,
            meta: slab.table(&format!("{prefix}:meta"), false)?,
        })
    }

    // ---- reading

    /// Whether there is an object.
    pub fn has<P: AsRef<str>>(&self, txn: &impl Reads, path: &[P]) -> Result<bool> {
        txn.has(self.paths, &path::to_key(path))
    }

    /// The object at a path.
    pub fn get<P: AsRef<str>>(&self, txn: &impl Reads, path: &[P]) -> Result<Option<Value>> {
        match txn.get(self.paths, &path::to_key(path))? {
            Some(iden) => txn.get_value(self.items, iden),
            None => Ok(None),
        }
    }

    /// A property of the object at a path.
    pub fn get_prop<P: AsRef<str>, Q: AsRef<str>>(
        &self,
        txn: &impl Reads,
        path: &[P],
        prop: &[Q],
    ) -> Result<Option<Value>> {
        Ok(self.get(txn, path)?.and_then(|item| path::get_prop(&item, prop).cloned()))
    }

    /// Paths whose key starts with that of a path, each without as many elements as that has.
    pub fn list<P: AsRef<str>>(&self, txn: &impl Reads, path: &[P]) -> Result<Vec<Vec<String>>> {
        let rows = txn.prefix(self.paths, &path::to_key(path))?;
        rows.map(|row| Ok(tail(row?.0, path.len()))).collect()
    }

    /// The same with the objects.
    pub fn objs<P: AsRef<str>>(&self, txn: &impl Reads, path: &[P]) -> Result<Vec<(Vec<String>, Value)>> {
        let rows = txn.prefix(self.paths, &path::to_key(path))?;
        rows.map(|row| {
            let (key, iden) = row?;
            Ok((tail(key, path.len()), txn.get_value(self.items, iden)?.unwrap_or_default()))
        })
        .collect()
    }

    fn iden<P: AsRef<str>>(&self, txn: &impl Reads, path: &[P]) -> Result<Option<Vec<u8>>> {
        Ok(txn.get(self.paths, &path::to_key(path))?.map(<[u8]>::to_vec))
    }

    // ---- writing

    /// Whether the slab has the effects of the event that is applied again.
    pub fn is_suppressed(&self, cx: &WriteCx) -> Result<bool> {
        cx.is_suppressed(self.paths)
    }

    /// Stores an object under a path, breaking links.
    pub fn set<P: AsRef<str>>(&self, cx: &mut WriteCx, path: &[P], item: &Value) -> Result<()> {
        let old = self.iden(cx, path)?;
        let key = path::to_key(path);
        let iden = new_iden(cx, &key);
        if old.as_deref() == Some(&iden[..]) {
            // The same event again.
            return cx.put_value(self.items, &iden, item);
        }
        cx.put(self.paths, &key, &iden)?;
        if let Some(old) = old {
            self.count(cx, &old, -1)?;
        }
        self.count(cx, &iden, 1)?;
        cx.put_value(self.items, &iden, item)
    }

    /// Removes a path, and the object if that was its last one.
    pub fn del<P: AsRef<str>>(&self, cx: &mut WriteCx, path: &[P]) -> Result<()> {
        let Some(iden) = self.iden(cx, path)? else { return Ok(()) };
        cx.del(self.paths, &path::to_key(path))?;
        self.count(cx, &iden, -1)
    }

    /// Makes `src` another path of the object at `dst`. What was at `src` goes first, so that linking a path to itself
    /// loses an object with one path, as it always did.
    pub fn link<P: AsRef<str>, Q: AsRef<str>>(&self, cx: &mut WriteCx, src: &[P], dst: &[Q]) -> Result<()> {
        let Some(iden) = self.iden(cx, dst)? else {
            let dst = Value::list(dst.iter().map(|part| Value::from(part.as_ref())));
            return Err(err!("NoSuchPath", mesg = "There is no object at the path to be linked.", path = dst));
        };
        if let Some(old) = self.iden(cx, src)? {
            cx.del(self.paths, &path::to_key(src))?;
            self.count(cx, &old, -1)?;
        }
        self.count(cx, &iden, 1)?;
        cx.put(self.paths, &path::to_key(src), &iden)
    }

    /// Stores the object at one path under another.
    pub fn copy<P: AsRef<str>, Q: AsRef<str>>(&self, cx: &mut WriteCx, old: &[P], new: &[Q]) -> Result<()> {
        let item = self.get(cx, old)?.unwrap_or_default();
        self.set(cx, new, &item)
    }

    /// Sets a property, making the maps on the way. False if there is no object.
    pub fn set_prop<P: AsRef<str>, Q: AsRef<str>>(
        &self,
        cx: &mut WriteCx,
        path: &[P],
        prop: &[Q],
        valu: &Value,
    ) -> Result<bool> {
        let Some((iden, mut item)) = self.item(cx, path)? else { return Ok(false) };
        if path::set_prop(&mut item, prop, valu)? {
            cx.put_value(self.items, &iden, &item)?;
        }
        Ok(true)
    }

    /// Removes a property. False if there is no object or a step before the last is missing.
    pub fn del_prop<P: AsRef<str>, Q: AsRef<str>>(&self, cx: &mut WriteCx, path: &[P], prop: &[Q]) -> Result<bool> {
        Ok(self.take(cx, path, prop)?.is_some())
    }

    /// Removes a property and returns it.
    pub fn pop_prop<P: AsRef<str>, Q: AsRef<str>>(
        &self,
        cx: &mut WriteCx,
        path: &[P],
        prop: &[Q],
    ) -> Result<Option<Value>> {
        Ok(self.take(cx, path, prop)?.flatten())
    }

    /// Removes a property if it has a value. Says whether it did.
    pub fn cmp_del_prop<P: AsRef<str>, Q: AsRef<str>>(
        &self,
        cx: &mut WriteCx,
        path: &[P],
        prop: &[Q],
        valu: &Value,
    ) -> Result<bool> {
        let Some((_, item)) = self.item(cx, path)? else { return Ok(false) };
        if !path::get_prop(&item, prop).unwrap_or(&Value::Null).py_eq(valu) {
            return Ok(false);
        }
        self.take(cx, path, prop)?;
        Ok(true)
    }

    fn take<P: AsRef<str>, Q: AsRef<str>>(
        &self,
        cx: &mut WriteCx,
        path: &[P],
        prop: &[Q],
    ) -> Result<Option<Option<Value>>> {
        let Some((iden, mut item)) = self.item(cx, path)? else { return Ok(None) };
        let taken = path::pop_prop(&mut item, prop)?;
        if let Some(Some(_)) = taken {
            cx.put_value(self.items, &iden, &item)?;
        }
        Ok(taken)
    }

    fn item<P: AsRef<str>>(&self, txn: &impl Reads, path: &[P]) -> Result<Option<(Vec<u8>, Value)>> {
        let Some(iden) = self.iden(txn, path)? else { return Ok(None) };
        let item = txn.get_value(self.items, &iden)?.unwrap_or_default();
        Ok(if item.is_null() { None } else { Some((iden, item)) })
    }

    fn count(&self, cx: &mut WriteCx, iden: &[u8], by: i64) -> Result<()> {
        let key = [iden, b"refs"].concat();
        let refs = cx.get_value(self.meta, &key)?.and_then(|refs| refs.as_i64()).unwrap_or(0) + by;
        if refs > 0 {
            return cx.put(self.meta, &key, &msgpack::encode(&Value::from(refs)));
        }
        cx.del_prefix(self.meta, iden)?;
        cx.del(self.items, iden).map(|_| ())
    }
}

/// The id of an object that an event stores at a path: the same wherever and however often the event is applied.
fn new_iden(cx: &WriteCx, key: &[u8]) -> [u8; 16] {
    let Some(offs) = cx.event() else { return Iden::random().0 };
    let seed = Value::list(["jsonstor".into(), Value::from(offs), Value::from(key)]);
    let mut iden = [0; 16];
    iden.copy_from_slice(&buid_of(&seed).0[..16]);
    iden
}

fn tail(key: &[u8], count: usize) -> Vec<String> {
    path::from_key(key).into_iter().skip(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use myelin_slab::{Options, Writer};
    use myelin_value::Map;

    fn with_objs(func: impl FnOnce(&mut WriteCx, &JsonObjs) -> Result<()> + Send) {
        let dirn = tempfile::tempdir().expect("a directory");
        let writer = Writer::start("test").expect("a writer");
        let slab = Slab::open(&writer, &dirn.path().join("s.lmdb"), Options::small()).expect("a slab");
        let objs = JsonObjs::open(&slab, "jsonstor").expect("tables");
        writer.run(|cx| func(cx, &objs)).expect("no error");
        writer.fini().expect("closed");
    }

    #[test]
    fn links_share_an_object_and_sets_break_them() {
        with_objs(|cx, objs| {
            objs.set(cx, &["foo", "bar"], &Map::new().with("hi", "there").into())?;
            objs.link(cx, &["foo", "link"], &["foo", "bar"])?;
            assert!(objs.set_prop(cx, &["foo", "link"], &["via"], &"link".into())?);
            assert_eq!(objs.get_prop(cx, &["foo", "bar"], &["via"])?, Some("link".into()));
            objs.set(cx, &["foo", "bar"], &Map::new().into())?;
            assert_eq!(objs.get_prop(cx, &["foo", "link"], &["via"])?, Some("link".into()));
            objs.del(cx, &["foo", "link"])?;
            objs.del(cx, &["foo", "bar"])?;
            assert_eq!((cx.entries(objs.items)?, cx.entries(objs.meta)?, cx.entries(objs.paths)?), (0, 0, 0));
            assert!(objs.link(cx, &["a"], &["newp"]).is_err_and(|error| error.is("NoSuchPath")));
            Ok(())
        });
    }

    #[test]
    fn lists_are_by_prefix_of_bytes() {
        with_objs(|cx, objs| {
            for path in [&["foo", "bar"][..], &["foo", "baz"], &["foobar", "x"], &["top"]] {
                objs.set(cx, path, &Value::from(1))?;
            }
            let names = |path: &[&str]| -> Result<Vec<String>> {
                Ok(objs.list(cx, path)?.iter().map(|path| path.join("/")).collect())
            };
            assert_eq!(names(&["foo"])?, ["bar", "baz", "x"]);
            assert_eq!(names(&["top"])?, [""]);
            assert_eq!(names(&[""])?, ["bar", "baz", "x", ""]);
            Ok(())
        });
    }

    #[test]
    fn properties_come_and_go() {
        with_objs(|cx, objs| {
            assert!(!objs.set_prop(cx, &["a"], &["x"], &1.into())?);
            objs.set(cx, &["a"], &Map::new().with("x", 1).into())?;
            assert!(!objs.cmp_del_prop(cx, &["a"], &["x"], &2.into())?);
            assert!(objs.cmp_del_prop(cx, &["a"], &["x"], &1.into())?);
            assert_eq!(objs.pop_prop(cx, &["a"], &["x"])?, None);
            assert!(objs.del_prop(cx, &["a"], &["x"])?);
            assert!(!objs.del_prop(cx, &["a"], &["n", "x"])?);
            Ok(())
        });
    }
}
