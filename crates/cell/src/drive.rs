//! The drive: a tree of named items, each with versions of its data and with permissions that callers check.
//!
//! ```text
//! table drive:celldrive in slabs/drive.lmdb, by the first byte of the key:
//! 00 type            → JSON schema          04 item vers(9) → version info
//! 01 parent name     → item (16 bytes)      05 type 00 item → 01
//! 02 item            → info                 06 type         → version of the schema
//! 03 item vers(9)    → data
//! ```
//!
//! A version is three numbers of three bytes each. The root is 32 zeros and has no info. Schemas are registered by each
//! service for itself and are no events. Removing an item leaves its `05` row behind and its parent's `kids` as they are,
//! as in the original: readers skip what has no info.

use std::sync::Arc;

use jsonschema::{Retrieve, Uri};
use myelin_error::{Result, err};
use myelin_slab::{Options, Reads, Slab, Table, Writer};
use myelin_value::{Iden, Map, Value, json, msgpack};

use crate::nexus::{ApplyCx, Event};

/// The parent of what has none.
pub const ROOT: &str = "00000000000000000000000000000000";
/// Items on a path from the root, and levels that a removal goes down, at most.
const MAX_DEPTH: usize = 1000;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Row {
    Type = 0,
    Step = 1,
    Info = 2,
    Data = 3,
    Vers = 4,
    ByType = 5,
}

impl Row {
    fn key(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = vec![self as u8];
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }
}

/// The drive of a service.
pub struct Drive {
    slab: Slab,
    table: Table,
}

impl Drive {
    /// Opens the drive, and makes it if it is not there.
    pub fn open(writer: &Writer, slabs: &std::path::Path, opts: Options) -> Result<Drive> {
        let slab = Slab::open(writer, &slabs.join("drive.lmdb"), opts)?;
        let table = slab.table("drive:celldrive", false)?;
        Ok(Drive { slab, table })
    }

    /// Its slab.
    pub fn slab(&self) -> &Slab {
        &self.slab
    }

    // ---- reading

    /// An item's info.
    pub fn info(&self, iden: &str) -> Result<Option<Map>> {
        self.info_in(&self.slab.read_fresh()?, iden_of(iden)?)
    }

    /// An item's data in a version, else in the current one: version info and data.
    pub fn data(&self, iden: &str, vers: Option<&Value>) -> Result<Option<(Value, Value)>> {
        self.data_in(&self.slab.read_fresh()?, iden_of(iden)?, vers)
    }

    /// The infos of the items on a path below another.
    pub fn path_infos(&self, path: &Value, reldir: &str) -> Result<Vec<Map>> {
        self.walk_path(&self.slab.read_fresh()?, &norm_path(path)?, iden_of(reldir)?)
    }

    fn info_in(&self, txn: &impl Reads, item: Iden) -> Result<Option<Map>> {
        let info = txn.get_value(self.table, &Row::Info.key(&[&item.0]))?;
        Ok(info.and_then(|info| info.as_map().cloned()))
    }

    fn req_info(&self, txn: &impl Reads, item: Iden) -> Result<Map> {
        let missing = || err!("NoSuchIden", mesg = format!("No drive item with ID {item}."), iden = item);
        self.info_in(txn, item)?.ok_or_else(missing)
    }

    fn data_in(&self, txn: &impl Reads, item: Iden, vers: Option<&Value>) -> Result<Option<(Value, Value)>> {
        let current;
        let vers = match vers {
            Some(vers) => vers,
            None => {
                let Some(info) = self.info_in(txn, item)? else { return Ok(None) };
                current = info.get("version").cloned().unwrap_or_default();
                &current
            }
        };
        let vers = vers_key(vers)?;
        let get = |row: Row| txn.get_value(self.table, &row.key(&[&item.0, &vers]));
        Ok(get(Row::Vers)?.zip(get(Row::Data)?))
    }

    fn step(&self, txn: &impl Reads, parent: Iden, name: &str) -> Result<Option<Iden>> {
        let found = txn.get(self.table, &Row::Step.key(&[&parent.0, name.as_bytes()]))?;
        Ok(found.and_then(|byts| byts.try_into().ok()).map(Iden))
    }

    fn walk_path(&self, txn: &impl Reads, path: &[String], reldir: Iden) -> Result<Vec<Map>> {
        let mut parent = reldir;
        let mut infos = Vec::new();
        for name in path {
            let missing = || err!("NoSuchPath", mesg = format!("Path step not found: {name}"), path = name);
            parent = self.step(txn, parent, name)?.ok_or_else(missing)?;
            infos.push(self.info_in(txn, parent)?.ok_or_else(missing)?);
        }
        Ok(infos)
    }

    /// The infos of an item's ancestors and its own, from the root on.
    fn path_of(&self, txn: &impl Reads, item: Iden) -> Result<Vec<Map>> {
        let mut infos = Vec::new();
        let mut at = item;
        while infos.len() < MAX_DEPTH {
            let info = self.req_info(txn, at)?;
            let parent = info.get_str("parent").unwrap_or(ROOT).to_owned();
            infos.push(info);
            if parent == ROOT {
                break;
            }
            at = iden_of(&parent)?;
        }
        infos.reverse();
        Ok(infos)
    }

    fn req_free(&self, txn: &impl Reads, parent: Iden, name: &str) -> Result<()> {
        if self.step(txn, parent, name)?.is_none() {
            return Ok(());
        }
        let mesg = format!("A drive entry with name {name} already exists in parent {parent}.");
        Err(err!("DupName", mesg = mesg, name = name))
    }

    // ---- types

    /// Says what data of a type must be like. Not an event: each service does so for itself.
    pub fn set_type_schema(&self, name: &str, schema: &Value) -> Result<()> {
        check_name(name)?;
        validator(schema)?;
        let (table, key, schema) = (self.table, Row::Type.key(&[name.as_bytes()]), schema.clone());
        self.slab.writer()?.run(move |cx| cx.put_value(table, &key, &schema))
    }

    fn req_schema(&self, txn: &impl Reads, name: &Value) -> Result<Value> {
        let missing =
            || err!("NoSuchType", mesg = format!("No schema registered with name: {name:?}"), name = name.clone());
        let name = name.as_str().ok_or_else(missing)?;
        txn.get_value(self.table, &Row::Type.key(&[name.as_bytes()]))?.ok_or_else(missing)
    }

    // ---- events

    /// Applies one of the drive's events.
    pub(crate) fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        if event.name == "drive:add" {
            return self.add(cx, event);
        }
        let item = iden_of(event.str_arg(0, "iden")?)?;
        match event.name.as_str() {
            "drive:del" => self.remove(cx, item, 0).map(|()| Value::Null),
            "drive:set:perm" => {
                let mut info = self.req_info(&**cx, item)?;
                info.insert("permissions", event.arg(1, "perm").clone());
                check_info(&info)?;
                self.put_info(cx, item, &info)?;
                Ok(info.into())
            }
            "drive:set:path" => self.set_path(cx, item, &norm_path(event.arg(1, "path"))?),
            "drive:data:set" => self.set_data(cx, item, event.map_arg(1, "versinfo")?, event.arg(2, "data")),
            "drive:data:path:set" | "drive:data:path:del" => self.edit_data(cx, item, event),
            "drive:data:del" => self.del_data(cx, item, event.arg(1, "vers")),
            name => Err(err!("NoSuchName", mesg = format!("A drive has no event {name}."), name = name)),
        }
    }

    fn put_info(&self, cx: &mut ApplyCx<'_>, item: Iden, info: &Map) -> Result<()> {
        cx.put_value(self.table, &Row::Info.key(&[&item.0]), &info.clone().into())
    }

    fn add(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let mut info = event.map_arg(0, "info")?.clone();
        let item = iden_of(info.get_str("iden").unwrap_or_default())?;
        if self.info_in(&**cx, item)?.is_some() {
            return Ok(list_of(self.path_of(&**cx, item)?));
        }
        if let Some(perm) = info.remove("perm").filter(Value::is_truthy) {
            let perm = perm.as_map().cloned().unwrap_or_default();
            info.insert("permissions", with_defaults(perm, &["users", "roles"]));
        }
        let reldir = event.opt_str_arg(2, "reldir")?.unwrap_or(ROOT);
        let mut parent = iden_of(reldir)?;
        let mut infos = Vec::new();
        if !event.arg(1, "path").is_null() {
            infos = self.walk_path(&**cx, &norm_path(event.arg(1, "path"))?, parent)?;
            if let Some(last) = infos.last() {
                parent = iden_of(last.get_str("iden").unwrap_or_default())?;
            }
        }
        info.insert("size", 0);
        info.insert("kids", 0);
        info.insert("parent", parent.to_hex());
        if !info.contains("permissions") {
            info.insert("permissions", with_defaults(Map::new(), &["users", "roles"]));
        }
        if !info.contains("version") {
            info.insert("version", no_version());
        }
        check_info(&info)?;
        let name = info.get_str("name").unwrap_or_default().to_owned();
        if let Some(kind) = info.get("type") {
            self.req_schema(&**cx, kind)?;
        }
        self.req_free(&**cx, parent, &name)?;
        cx.put(self.table, &Row::Step.key(&[&parent.0, name.as_bytes()]), &item.0)?;
        self.put_info(cx, item, &info)?;
        self.count_kids(cx, parent, 1)?;
        if let Some(kind) = info.get_str("type") {
            cx.put(self.table, &Row::ByType.key(&[kind.as_bytes(), b"\0", &item.0]), b"\x01")?;
        }
        infos.push(info);
        Ok(list_of(infos))
    }

    /// The root counts nothing.
    fn count_kids(&self, cx: &mut ApplyCx<'_>, parent: Iden, by: i64) -> Result<()> {
        let Some(mut info) = self.info_in(&**cx, parent)? else { return Ok(()) };
        let kids = info.get_i64("kids").unwrap_or_default();
        info.insert("kids", (kids + by).max(0));
        self.put_info(cx, parent, &info)
    }

    fn remove(&self, cx: &mut ApplyCx<'_>, item: Iden, depth: usize) -> Result<()> {
        let Some(info) = self.info_in(&**cx, item)? else { return Ok(()) };
        if depth > MAX_DEPTH {
            return Err(err!(
                "RecursionLimitHit",
                mesg = "The items of the drive lie too deep in each other to be removed."
            ));
        }
        let kids: Vec<Iden> = cx
            .prefix(self.table, &Row::Step.key(&[&item.0]))?
            .map(|row| row.map(|(_, kid)| kid.try_into().ok().map(Iden)))
            .filter_map(Result::transpose)
            .collect::<Result<_>>()?;
        for kid in kids {
            self.remove(cx, kid, depth + 1)?;
        }
        let parent = iden_of(info.get_str("parent").unwrap_or(ROOT))?;
        let name = info.get_str("name").unwrap_or_default();
        cx.del(self.table, &Row::Info.key(&[&item.0]))?;
        cx.del(self.table, &Row::Step.key(&[&parent.0, name.as_bytes()]))?;
        for row in [Row::Vers, Row::Data] {
            cx.del_prefix(self.table, &row.key(&[&item.0]))?;
        }
        Ok(())
    }

    fn set_path(&self, cx: &mut ApplyCx<'_>, item: Iden, path: &[String]) -> Result<Value> {
        let now = self.path_of(&**cx, item)?;
        if path.iter().map(String::as_str).eq(now.iter().map(|info| info.get_str("name").unwrap_or_default())) {
            return Ok(list_of(now));
        }
        let empty = || err!("BadArg", mesg = "A path of the drive has at least one name.", name = "path");
        let (name, above) = path.split_last().ok_or_else(empty)?;
        let root = iden_of(ROOT)?;
        let mut infos = self.walk_path(&**cx, above, root)?;
        let parent = match infos.last() {
            Some(last) => iden_of(last.get_str("iden").unwrap_or_default())?,
            None => root,
        };
        if self.path_of_or_root(&**cx, parent)?.iter().any(|info| info.get_str("iden") == Some(&*item.to_hex())) {
            return Err(err!("BadArg", mesg = "An item of the drive cannot be moved below itself.", name = "path"));
        }
        self.req_free(&**cx, parent, name)?;
        let mut info = self.req_info(&**cx, item)?;
        let old = iden_of(info.get_str("parent").unwrap_or(ROOT))?;
        let oldname = info.get_str("name").unwrap_or_default().to_owned();
        info.insert("name", name.as_str());
        info.insert("parent", parent.to_hex());
        cx.del(self.table, &Row::Step.key(&[&old.0, oldname.as_bytes()]))?;
        cx.put(self.table, &Row::Step.key(&[&parent.0, name.as_bytes()]), &item.0)?;
        self.put_info(cx, item, &info)?;
        self.count_kids(cx, parent, 1)?;
        self.count_kids(cx, old, -1)?;
        if let Some(last) = infos.last_mut() {
            *last = self.req_info(&**cx, parent)?;
        }
        infos.push(info);
        Ok(list_of(infos))
    }

    fn path_of_or_root(&self, txn: &impl Reads, item: Iden) -> Result<Vec<Map>> {
        if item.to_hex() == ROOT { Ok(Vec::new()) } else { self.path_of(txn, item) }
    }

    fn set_data(&self, cx: &mut ApplyCx<'_>, item: Iden, versinfo: &Map, data: &Value) -> Result<Value> {
        let mut info = self.req_info(&**cx, item)?;
        let schema = self.req_schema(&**cx, info.get("type").unwrap_or(&Value::Null))?;
        check_data(&schema, data)?;
        let byts = msgpack::encode(data);
        let versinfo = versinfo.clone().with("size", byts.len());
        check_versinfo(&versinfo)?;
        let (new, now) = (numbers(versinfo.get("version"))?, numbers(info.get("version"))?);
        let vers = vers_bytes(new);
        cx.put(self.table, &Row::Data.key(&[&item.0, &vers]), &byts)?;
        cx.put_value(self.table, &Row::Vers.key(&[&item.0, &vers]), &versinfo.clone().into())?;
        if new >= now {
            info.update(&versinfo);
            self.put_info(cx, item, &info)?;
        }
        Ok(Value::list([info.into(), versinfo.into()]))
    }

    /// Sets or removes a value inside the current data, and stores that as a version.
    fn edit_data(&self, cx: &mut ApplyCx<'_>, item: Iden, event: &Event) -> Result<Value> {
        let missing = || err!("NoSuchIden", mesg = format!("No drive item with ID {item}."), iden = item);
        let (_, mut data) = self.data_in(&**cx, item, None)?.ok_or_else(missing)?;
        let path = match event.arg(2, "path") {
            Value::List(path) => path.to_vec(),
            one => vec![one.clone()],
        };
        let valu = (event.name == "drive:data:path:set").then(|| event.arg(3, "valu"));
        let sets = valu.is_some();
        match edit_at(&data, &path, valu) {
            Some(edited) => data = edited,
            None if sets => {
                return Err(err!(
                    "BadArg",
                    mesg = "The data of the drive item has nothing at that path.",
                    name = "path"
                ));
            }
            None => return Ok(Value::Null),
        }
        self.set_data(cx, item, event.map_arg(1, "vers")?, &data)
    }

    fn del_data(&self, cx: &mut ApplyCx<'_>, item: Iden, vers: &Value) -> Result<Value> {
        let mut info = self.req_info(&**cx, item)?;
        let vers = if vers.is_null() { info.get("version").cloned().unwrap_or_default() } else { vers.clone() };
        let key = vers_key(&vers)?;
        for row in [Row::Vers, Row::Data] {
            cx.del(self.table, &row.key(&[&item.0, &key]))?;
        }
        if numbers(Some(&vers))? == numbers(info.get("version"))? {
            let last = cx.prefix(self.table, &Row::Vers.key(&[&item.0]))?.last().transpose()?;
            match last.map(|(_, byts)| msgpack::decode(byts)).transpose()? {
                Some(Value::Map(versinfo)) => info.update(&versinfo),
                _ => {
                    info.insert("size", 0);
                    info.insert("version", no_version());
                    info.remove("updated");
                    info.remove("updater");
                }
            }
        }
        self.put_info(cx, item, &info)?;
        Ok(info.into())
    }
}

// ---- parts

fn list_of(infos: Vec<Map>) -> Value {
    infos.into_iter().map(Value::from).collect()
}

fn with_defaults(mut map: Map, keys: &[&str]) -> Map {
    for key in keys {
        if !map.contains(key) {
            map.insert(*key, Map::new());
        }
    }
    map
}

fn no_version() -> Value {
    Value::list([0.into(), 0.into(), 0.into()])
}

fn iden_of(text: &str) -> Result<Iden> {
    let bad = || err!("BadArg", mesg = format!("This is no ID of a drive item: {text}"), name = "iden");
    Iden::from_hex(text).ok_or_else(bad)
}

fn numbers(vers: Option<&Value>) -> Result<[u32; 3]> {
    let bad = || err!("BadArg", mesg = "A version of a drive item is three numbers below 16777216.", name = "version");
    let list = vers.and_then(Value::as_list).ok_or_else(bad)?;
    let numbers: Option<Vec<u32>> = list
        .iter()
        .map(|numb| numb.as_u64().and_then(|numb| u32::try_from(numb).ok()).filter(|numb| *numb < 1 << 24))
        .collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(bad)
}

fn vers_bytes(vers: [u32; 3]) -> [u8; 9] {
    let mut byts = [0; 9];
    for (numb, into) in vers.iter().zip(byts.chunks_exact_mut(3)) {
        into.copy_from_slice(&numb.to_be_bytes()[1..]);
    }
    byts
}

fn vers_key(vers: &Value) -> Result<[u8; 9]> {
    Ok(vers_bytes(numbers(Some(vers))?))
}

fn check_name(name: &str) -> Result<()> {
    let good = |chr: char| chr.is_alphanumeric() || matches!(chr, '_' | '.' | '-');
    if (1..=128).contains(&name.chars().count()) && name.chars().all(good) {
        return Ok(());
    }
    let mesg = format!("Name {name} is invalid: it may have up to 128 letters, digits, '_', '.' and '-'.");
    Err(err!("BadName", mesg = mesg, name = name))
}

/// A path as text with slashes or as a list of names.
fn norm_path(path: &Value) -> Result<Vec<String>> {
    let bad = || err!("BadArg", mesg = "A path of the drive is a str or a list of str.", name = "path");
    let parts: Vec<&str> = match path {
        Value::Str(text) => text.trim().trim_matches('/').split('/').collect(),
        Value::List(list) => list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(bad)?,
        _ => return Err(bad()),
    };
    parts
        .into_iter()
        .map(|part| {
            let name = part.trim().to_lowercase();
            check_name(&name).map(|()| name)
        })
        .collect()
}

fn bad_schema(what: &str, key: &str) -> myelin_error::Error {
    let mesg = format!("The {what} of a drive item has a wrong or missing value {key}.");
    err!("SchemaViolation", mesg = mesg, name = key)
}

fn check_info(info: &Map) -> Result<()> {
    const KEYS: &[&str] = &[
        "iden",
        "parent",
        "type",
        "name",
        "permissions",
        "kids",
        "created",
        "creator",
        "size",
        "updated",
        "updater",
        "version",
    ];
    check_keys("info", info, KEYS, &["iden", "parent", "name", "created", "creator", "kids"])?;
    let named = |key: &str| info.get(key).is_none_or(|name| name.as_str().is_some_and(|name| check_name(name).is_ok()));
    for key in ["name", "type"] {
        if !named(key) {
            return Err(bad_schema("info", key));
        }
    }
    let shares = info.get("permissions").is_none_or(|perms| {
        ["users", "roles"].iter().all(|key| perms.get(key).is_some_and(|levels| levels.as_map().is_some()))
    });
    if shares { Ok(()) } else { Err(bad_schema("info", "permissions")) }
}

fn check_versinfo(info: &Map) -> Result<()> {
    const KEYS: &[&str] = &["size", "version", "updated", "updater"];
    check_keys("version info", info, KEYS, KEYS)
}

/// What both kinds of info have in common.
fn check_keys(what: &str, info: &Map, known: &[&str], needed: &[&str]) -> Result<()> {
    for key in info.keys() {
        let key = key.as_str().unwrap_or_default();
        if !known.contains(&key) {
            return Err(bad_schema(what, key));
        }
    }
    if let Some(key) = needed.iter().find(|key| !info.contains(key)) {
        return Err(bad_schema(what, key));
    }
    for (key, valu) in info.text_entries() {
        let good = match key {
            "iden" | "parent" | "creator" | "updater" => {
                valu.as_str().is_some_and(|text| Iden::from_hex(text).is_some())
            }
            "kids" | "size" => {
                valu.as_f64().is_some_and(|numb| numb >= 0.0) || valu.as_i64().is_some_and(|numb| numb >= 0)
            }
            "created" | "updated" => valu.as_i64().is_some() || valu.as_f64().is_some(),
            "version" => numbers(Some(valu)).is_ok(),
            _ => true,
        };
        if !good {
            return Err(bad_schema(what, key));
        }
    }
    Ok(())
}

/// The data with a value replaced (or, with none, removed) at a path; nothing if there is no such place.
fn edit_at(data: &Value, path: &[Value], valu: Option<&Value>) -> Option<Value> {
    let (step, rest) = path.split_first()?;
    match data {
        Value::Map(map) => {
            let mut map = (**map).clone();
            if rest.is_empty() {
                match valu {
                    Some(valu) => drop(map.insert(step.clone(), valu.clone())),
                    None => drop(map.remove_value(step)?),
                }
            } else {
                let below = edit_at(map.get_value(step)?, rest, valu)?;
                map.insert(step.clone(), below);
            }
            Some(map.into())
        }
        Value::List(list) => {
            let mut list = list.to_vec();
            let at = step.as_i64()?;
            let at =
                usize::try_from(if at < 0 { at + list.len() as i64 } else { at }).ok().filter(|at| *at < list.len())?;
            match (rest.is_empty(), valu) {
                (true, Some(valu)) => list[at] = valu.clone(),
                (true, None) => drop(list.remove(at)),
                _ => list[at] = edit_at(&list[at], rest, valu)?,
            }
            Some(list.into())
        }
        _ => None,
    }
}

struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, uri: &Uri<String>) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("schemas are not fetched: {uri}").into())
    }
}

fn to_serde(valu: &Value) -> Result<serde_json::Value> {
    let text = json::to_json_text(valu)?;
    serde_json::from_str(&text).map_err(|error| err!("BadJsonText", mesg = format!("This is no JSON: {error}.")))
}

fn validator(schema: &Value) -> Result<Arc<jsonschema::Validator>> {
    let made = jsonschema::draft7::options().with_retriever(Nowhere).build(&to_serde(schema)?);
    made.map(Arc::new)
        .map_err(|error| err!("BadArg", mesg = format!("This is no JSON schema: {error}."), name = "schema"))
}

fn check_data(schema: &Value, data: &Value) -> Result<()> {
    let checked = to_serde(data)?;
    validator(schema)?.validate(&checked).map_err(|error| {
        err!("SchemaViolation", mesg = format!("The data does not fit the schema of its type: {error}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, CellSpec};

    fn path(parts: &[&str]) -> Value {
        parts.iter().map(|part| Value::from(*part)).collect()
    }

    #[test]
    fn events_applied_twice_are_as_applied_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let spec = CellSpec { celltype: "cell", confs: &[], envprefixes: &[], version: crate::version::VERSION };
        let cell = Cell::open(spec, dir.path(), Map::new()).expect("a cell");
        cell.start().expect("started");
        let drive = cell.drive();
        let schema = Map::new().with("type", "object").with("required", path(&["title"]));
        drive.set_type_schema("note", &schema.into()).expect("a schema");
        let user = "1".repeat(32);
        let (top, item) = ("a".repeat(32), "b".repeat(32));
        let info = |iden: &str, name: &str| {
            Map::new().with("iden", iden).with("name", name).with("created", 1).with("creator", user.as_str())
        };
        let push = |name: &str, args: Vec<Value>| {
            let once = cell.nexus().push(cell.iden(), name, args.clone(), Map::new()).expect("applied").1;
            let rows = rows(drive);
            let twice = cell.nexus().push(cell.iden(), name, args, Map::new()).expect("applied again").1;
            assert_eq!(rows, self::rows(drive), "{name} twice");
            (once, twice)
        };
        push("drive:add", vec![info(&top, "top").into()]);
        let (infos, again) = push("drive:add", vec![info(&item, "item").with("type", "note").into(), path(&["top"])]);
        assert_eq!(
            (infos.at(0).and_then(|top| top.get("name")), infos.as_list().map(<[Value]>::len)),
            (Some(&"top".into()), Some(2))
        );
        assert_eq!(again.at(0).and_then(|top| top.get("kids")), Some(&1.into()));
        let vers = |patch: i64| {
            let vers = Value::list([1.into(), 0.into(), patch.into()]);
            Map::new().with("version", vers).with("updated", 2).with("updater", user.as_str())
        };
        let data = Map::new().with("title", "x").with("tags", path(&["a", "b"]));
        push("drive:data:set", vec![item.as_str().into(), vers(0).into(), data.into()]);
        push("drive:data:path:set", vec![item.as_str().into(), vers(1).into(), path(&["title"]), "y".into()]);
        let now = drive.data(&item, None).expect("read").expect("data").1;
        assert_eq!(now.get("title"), Some(&"y".into()));
        let bad = vec![item.as_str().into(), vers(2).into(), Map::new().into()];
        let error = cell.nexus().push(cell.iden(), "drive:data:set", bad, Map::new()).expect_err("against the schema");
        assert!(error.is("SchemaViolation"), "{error}");
        push("drive:data:del", vec![item.as_str().into(), vers(1).get("version").cloned().unwrap_or_default()]);
        assert_eq!(drive.data(&item, None).expect("read").expect("data").1.get("title"), Some(&"x".into()));
        push("drive:set:path", vec![item.as_str().into(), path(&["moved"])]);
        assert_eq!(drive.path_infos(&"moved".into(), ROOT).expect("found").len(), 1);
        assert_eq!(drive.info(&top).expect("read").and_then(|info| info.get_i64("kids")), Some(0));
        let below = cell.nexus().push(
            cell.iden(),
            "drive:set:path",
            vec![top.as_str().into(), path(&["moved", "top"])],
            Map::new(),
        );
        below.expect("moved");
        push("drive:del", vec![item.as_str().into()]);
        assert_eq!(drive.info(&top).expect("read"), None);
        cell.fini().expect("closed");
    }

    fn rows(drive: &Drive) -> Vec<(Vec<u8>, Vec<u8>)> {
        let txn = drive.slab().read_fresh().expect("read");
        let rows = txn.prefix(drive.table, b"").expect("rows");
        rows.map(|row| row.map(|(key, valu)| (key.to_vec(), valu.to_vec())).expect("a row")).collect()
    }
}
