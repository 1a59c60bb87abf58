//! The Extended HTTP API: endpoints whose methods are Storm.
//!
//! Table `http:ext:apis`: iden → definition, and under `exthttpapiorder` the idens in the order in which their paths are
//! tried. What is there is also kept in memory, with its compiled paths, for each request asks for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use myelin_cell::{ApplyCx, Auth, Event};
use myelin_error::{Error, Result, err};
use myelin_model::types::regex::PyRegex;
use myelin_slab::{Reads, Slab, Table};
use myelin_value::{Iden, Map, Value, msgpack, rand_guid};

use super::{Part, Pusher, now_millis};
use crate::stack::Stack;

const ORDER: &[u8] = b"exthttpapiorder";
/// The methods that an endpoint may have, as its definition calls them.
pub const METHODS: [&str; 7] = ["get", "head", "post", "put", "delete", "patch", "options"];
/// What may be changed without regard to anything else.
const PLAIN: [&str; 9] = ["name", "desc", "runas", "methods", "authenticated", "pool", "perms", "readonly", "vars"];

/// The endpoints of a cortex.
pub struct HttpApis {
    slab: Slab,
    table: Table,
    auth: Auth,
    stack: Arc<Stack>,
    pusher: Pusher,
    known: ArcSwap<Vec<Endpoint>>,
}

struct Endpoint {
    adef: Map,
    /// Nothing where the path is no pattern here; such an endpoint never matches.
    path: Option<PyRegex>,
}

impl Endpoint {
    fn is(&self, iden: &str) -> bool {
        self.adef.get_str("iden") == Some(iden)
    }
}

impl HttpApis {
    /// Opens the table in the cell's slab.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn open(slab: Slab, auth: Auth, stack: Arc<Stack>, pusher: Pusher) -> Result<HttpApis> {
        let table = slab.table("http:ext:apis", false)?;
        let apis = HttpApis { slab, table, auth, stack, pusher, known: ArcSwap::default() };
        let txn = apis.slab.read_fresh()?;
        apis.reload(&txn)?;
        drop(txn);
        Ok(apis)
    }

    fn read(&self, txn: &impl Reads, iden: &str) -> Result<Option<Map>> {
        let Some(key) = Iden::from_hex(iden) else { return Ok(None) };
        let Some(byts) = txn.get(self.table, &key.0)? else { return Ok(None) };
        Ok(msgpack::decode(byts)?.as_map().cloned())
    }

    fn order(&self, txn: &impl Reads) -> Result<Vec<String>> {
        let Some(byts) = txn.get(self.table, ORDER)? else { return Ok(Vec::new()) };
        let valu = msgpack::decode(byts)?;
        Ok(valu.as_list().unwrap_or_default().iter().filter_map(|iden| iden.as_str().map(str::to_owned)).collect())
    }

    fn set_order(&self, cx: &mut ApplyCx<'_>, order: &[String]) -> Result<()> {
        cx.put_value(self.table, ORDER, &order.iter().map(Value::from).collect())
    }

    fn reload(&self, txn: &impl Reads) -> Result<()> {
        let mut known = Vec::new();
        for iden in self.order(txn)? {
            if let Some(adef) = self.read(txn, &iden)? {
                let path = PyRegex::new(adef.get_str("path").unwrap_or_default()).ok();
                known.push(Endpoint { adef, path });
            }
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// Every endpoint in the order in which they are tried.
    pub fn list(&self) -> Vec<Map> {
        self.known.load().iter().map(|api| api.adef.clone()).collect()
    }

    /// An endpoint by its iden.
    ///
    /// # Errors
    /// `NoSuchIden`.
    pub fn require(&self, iden: &str) -> Result<Map> {
        let known = self.known.load();
        known.iter().find(|api| api.is(iden)).map(|api| api.adef.clone()).ok_or_else(|| no_api(iden))
    }

    /// The first endpoint whose path matches, with what the groups of its path match.
    ///
    /// # Errors
    /// `BadArg` when matching takes too long.
    pub fn by_path(&self, path: &str) -> Result<Option<(Map, Value)>> {
        for api in self.known.load().iter() {
            let Some(regx) = &api.path else { continue };
            let Some(groups) = regx.full_match(path)? else { continue };
            let args = groups.iter().skip(1).map(|group| match group {
                Some((from, to)) => Value::from(&path[*from..*to]),
                None => Value::Null,
            });
            return Ok(Some((api.adef.clone(), args.collect())));
        }
        Ok(None)
    }

    /// Adds an endpoint after those that are there. Without an iden it gets one.
    ///
    /// # Errors
    /// `BadArg` for a path that is no pattern, `DupIden`, `SchemaViolation`.
    pub fn add(&self, mut adef: Map) -> Result<Map> {
        check_path(adef.get_str("path").unwrap_or_default())?;
        if adef.get("iden").is_none_or(Value::is_null) {
            adef.insert("iden", rand_guid());
        }
        if let Some(iden) = adef.get_str("iden")
            && self.known.load().iter().any(|api| api.is(iden))
        {
            let mesg = format!("There already is an Extended HTTP API with the iden {iden}.");
            return Err(err!("DupIden", mesg = mesg, iden = iden));
        }
        let now = now_millis();
        adef.insert("created", now);
        adef.insert("updated", now);
        let added = self.pusher.push("http:api:add", [checked(adef)?.into()])?;
        Ok(added.as_map().cloned().unwrap_or_default())
    }

    /// Removes an endpoint.
    ///
    /// # Errors
    /// `BadArg` for what is no iden.
    pub fn del(&self, iden: &str) -> Result<()> {
        req_iden(iden)?;
        self.pusher.push("http:api:del", [iden.into()]).map(drop)
    }

    /// Changes one key of an endpoint; what it is then.
    ///
    /// # Errors
    /// `NoSuchIden`, `BadArg`, `NoSuchUser`, `NoSuchView`, `SchemaViolation`.
    pub fn modify(&self, iden: &str, name: &str, valu: Value) -> Result<Map> {
        // What the handler would refuse is not logged.
        self.modified(self.require(iden)?, name, valu.clone())?;
        let done = self.pusher.push("http:api:mod", [iden.into(), name.into(), valu])?;
        Ok(done.as_map().cloned().unwrap_or_default())
    }

    fn modified(&self, adef: Map, name: &str, valu: Value) -> Result<Map> {
        let text = valu.as_str().unwrap_or_default();
        match name {
            "owner" if self.auth.user(text).is_none() => {
                return Err(err!("NoSuchUser", mesg = format!("There is no user with the iden {text} to own it.")));
            }
            "view" if self.stack.view(text).is_none() => {
                return Err(err!("NoSuchView", mesg = format!("There is no view with the iden {text} to run in.")));
            }
            "path" => check_path(text)?,
            "owner" | "view" => {}
            name if PLAIN.contains(&name) => {}
            _ => return Err(err!("BadArg", mesg = format!("The {name} of an Extended HTTP API cannot be set."))),
        }
        checked(adef.with(name, valu).with("updated", now_millis()))
    }

    /// Moves an endpoint in the order; where it is then.
    ///
    /// # Errors
    /// `BadArg` for a negative place, `NoSuchIden`.
    pub fn set_index(&self, iden: &str, indx: i64) -> Result<i64> {
        check_index(indx)?;
        if !self.known.load().iter().any(|api| api.is(iden)) {
            let mesg = format!("There is no Extended HTTP API with the iden {iden} that could be moved.");
            return Err(Error::mesg("NoSuchIden", mesg));
        }
        let done = self.pusher.push("http:api:indx", [iden.into(), indx.into()])?;
        Ok(done.as_i64().unwrap_or(indx))
    }

    fn apply_index(&self, cx: &mut ApplyCx<'_>, iden: &str, indx: i64) -> Result<Value> {
        let indx = check_index(indx)?;
        let mut order = self.order(&**cx)?;
        if order.is_empty() {
            return Err(Error::mesg("SynErr", "There is no Extended HTTP API whose order could be set."));
        }
        let at = order.iter().position(|have| have == iden).ok_or_else(|| no_api(iden))?;
        if at == indx {
            return Ok(Value::from(indx));
        }
        let moved = order.remove(at);
        let indx = indx.min(order.len());
        order.insert(indx, moved);
        self.set_order(cx, &order)?;
        Ok(Value::from(indx))
    }

    fn write(&self, cx: &mut ApplyCx<'_>, adef: Map) -> Result<Value> {
        let key = req_iden(adef.get_str("iden").unwrap_or_default())?;
        let adef = Value::from(adef);
        cx.put_value(self.table, &key.0, &adef)?;
        Ok(adef)
    }
}

fn no_api(iden: &str) -> Error {
    err!("NoSuchIden", mesg = format!("There is no Extended HTTP API with the iden {iden}."), iden = iden)
}

fn req_iden(iden: &str) -> Result<Iden> {
    Iden::from_hex(iden)
        .ok_or_else(|| err!("BadArg", mesg = format!("An Extended HTTP API is named by its iden, not by {iden}.")))
}

fn check_index(indx: i64) -> Result<usize> {
    usize::try_from(indx).map_err(|_| err!("BadArg", mesg = format!("A place in the order is at least 0, not {indx}.")))
}

fn check_path(path: &str) -> Result<()> {
    let bad = |error: Error| {
        let mesg = format!("The path {path} of an Extended HTTP API is no regular expression: {}", error.message());
        err!("BadArg", mesg = mesg)
    };
    PyRegex::new(path).map(drop).map_err(bad)
}

/// A definition with its defaults, if everything in it is what it has to be.
fn checked(mut adef: Map) -> Result<Map> {
    let bad = |name: String, want: &str| {
        let mesg = format!("The definition of an Extended HTTP API is wrong: {name} must be {want}.");
        Err(err!("SchemaViolation", mesg = mesg, name = name))
    };
    for (key, dflt) in [
        ("methods", Map::new().into()),
        ("authenticated", true.into()),
        ("name", "".into()),
        ("desc", "".into()),
        ("pool", false.into()),
        ("readonly", false.into()),
        ("perms", Value::empty_list()),
        ("vars", Map::new().into()),
    ] {
        if !adef.contains(key) {
            adef.insert(key, dflt);
        }
    }
    for (key, valu) in adef.text_entries() {
        let name = || format!("data.{key}");
        match key {
            "iden" | "view" | "owner" | "creator" if !valu.as_str().is_some_and(is_iden) => {
                return bad(name(), "an iden");
            }
            "runas" if !matches!(valu.as_str(), Some("owner" | "user")) => return bad(name(), "owner or user"),
            "authenticated" | "pool" | "readonly" if valu.as_bool().is_none() => return bad(name(), "true or false"),
            "name" | "desc" | "path" if !valu.is_text() => return bad(name(), "text"),
            "created" | "updated" if valu.as_i64().is_none_or(|tick| tick < 0) => return bad(name(), "a time"),
            "methods" => {
                let Some(methods) = valu.as_map() else { return bad(name(), "a dictionary") };
                for (meth, text) in methods.text_entries() {
                    if !METHODS.contains(&meth) {
                        return bad(name(), "of the methods of HTTP");
                    }
                    if !text.is_text() {
                        return bad(format!("data.methods.{meth}"), "text");
                    }
                }
            }
            "vars" if valu.as_map().is_none() => return bad(name(), "a dictionary"),
            "perms" if valu.as_list().is_none() => return bad(name(), "a list"),
            "iden" | "view" | "owner" | "creator" | "runas" | "authenticated" | "pool" | "readonly" | "name"
            | "desc" | "path" | "created" | "updated" | "vars" | "perms" => {}
            _ => return bad("data".to_owned(), "of the known keys only"),
        }
    }
    let perms = adef.get("perms").and_then(Value::as_list).unwrap_or_default().to_vec();
    let mut whole = Vec::with_capacity(perms.len());
    for (indx, pdef) in perms.iter().enumerate() {
        let Some(pdef) = pdef.as_map() else { return bad(format!("data.perms[{indx}]"), "a dictionary") };
        if let Some(perm) = pdef.get("perm") {
            let Some(parts) = perm.as_list() else { return bad(format!("data.perms[{indx}].perm"), "a list") };
            if let Some(part) = parts.iter().position(|part| !part.is_text()) {
                return bad(format!("data.perms[{indx}].perm[{part}]"), "text");
            }
        }
        match pdef.get("default") {
            None => whole.push(Value::from(pdef.clone().with("default", false))),
            Some(Value::Bool(_)) => whole.push(Value::from(pdef.clone())),
            Some(_) => return bad(format!("data.perms[{indx}].default"), "true or false"),
        }
    }
    Ok(adef.with("perms", Value::from(whole)))
}

fn is_iden(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Part for HttpApis {
    fn events(&self) -> &'static [&'static str] {
        &["http:api:add", "http:api:del", "http:api:mod", "http:api:indx"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let done = match event.name.as_str() {
            "http:api:add" => {
                let adef = event.map_arg(0, "adef")?.clone();
                let iden = adef.get_str("iden").unwrap_or_default().to_owned();
                let added = self.write(cx, adef)?;
                let mut order = self.order(&**cx)?;
                if !order.contains(&iden) {
                    order.push(iden);
                    self.set_order(cx, &order)?;
                }
                added
            }
            "http:api:del" => {
                let iden = event.str_arg(0, "iden")?;
                cx.del(self.table, &req_iden(iden)?.0)?;
                let mut order = self.order(&**cx)?;
                if let Some(at) = order.iter().position(|have| have == iden) {
                    order.remove(at);
                    self.set_order(cx, &order)?;
                }
                Value::Null
            }
            "http:api:mod" => {
                let (iden, name) = (event.str_arg(0, "iden")?, event.str_arg(1, "name")?);
                let adef = self.read(&**cx, iden)?.ok_or_else(|| no_api(iden))?;
                let adef = self.modified(adef, name, event.arg(2, "valu").clone())?;
                self.write(cx, adef)?
            }
            _ => {
                let indx = event.arg(1, "indx").as_i64().unwrap_or(-1);
                self.apply_index(cx, event.str_arg(0, "iden")?, indx)?
            }
        };
        self.reload(&**cx)?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_get_their_defaults_and_wrong_ones_are_refused() {
        let iden = "0123456789abcdef0123456789abcdef";
        let adef = || Map::new().with("iden", iden).with("path", "foo").with("runas", "owner");
        let full = checked(adef()).expect("a definition");
        assert_eq!(full.get("pool"), Some(&Value::from(false)));
        assert_eq!(full.get("authenticated"), Some(&Value::from(true)));
        assert_eq!(full.get("perms"), Some(&Value::empty_list()));
        let perm = Map::new().with("perm", Value::list(["foo".into()]));
        let full = checked(adef().with("perms", Value::list([perm.into()]))).expect("a definition");
        let dflt = full.get("perms").and_then(|perms| perms.at(0)).and_then(|perm| perm.get("default"));
        assert_eq!(dflt, Some(&Value::from(false)));
        for (name, wrong) in [
            ("data.iden", adef().with("iden", "newp")),
            ("data.runas", adef().with("runas", "visi")),
            ("data.methods", adef().with("methods", Map::new().with("trace", "return()"))),
            ("data.methods.get", adef().with("methods", Map::new().with("get", 1))),
            ("data.vars", adef().with("vars", "x")),
            ("data.perms[0]", adef().with("perms", Value::list(["a.b".into()]))),
            ("data", adef().with("other", 1)),
        ] {
            let error = checked(wrong).expect_err(name);
            assert_eq!((error.name(), error.get("name").and_then(Value::as_str)), ("SchemaViolation", Some(name)));
        }
    }
}
