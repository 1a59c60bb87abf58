//! The events of the cell itself: versions, sessions, API keys, the log's own upkeep.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_slab::{Reads, Slab};
use myelin_value::{Iden, Map, Value};

use crate::Cell;
use crate::nexus::{ApplyCx, Event, NexsHandler};

const EVENTS: &[&str] = &[
    "nexs:vers:set",
    "cell:vers:set",
    "nexslog:cull",
    "nexslog:rotate",
    "nexslog:setindex",
    "http:sess:add",
    "http:sess:del",
    "http:sess:set",
    "http:sess:update",
    "hive:loadtree",
    "sync",
    "user:apikey:add",
    "user:apikey:edit",
    "user:apikey:del",
    "drive:add",
    "drive:del",
    "drive:set:perm",
    "drive:set:path",
    "drive:data:set",
    "drive:data:path:set",
    "drive:data:path:del",
    "drive:data:del",
];

/// Applies the events of a cell. A service that has events of its own registers a handler which names them and hands every
/// other event to this one.
pub struct CellEvents(pub Cell);

impl Cell {
    pub(crate) fn add_handlers(&self) {
        self.nexus().add_handler(self.iden(), Arc::new(CellEvents(self.clone())));
        if !self.is_embedded() {
            self.add_hive_events();
        }
        let cell = self.clone();
        self.auth().on_user_del(Arc::new(move |cx, iden, _| cell.drop_user_keys(cx, iden)));
    }

    /// The names of the cell's own events, for a service that adds to them.
    pub fn base_events() -> &'static [&'static str] {
        EVENTS
    }
}

impl NexsHandler for CellEvents {
    fn events(&self) -> &[&str] {
        EVENTS
    }

    fn homes(&self, event: &Event) -> Vec<Slab> {
        let drive = event.name.starts_with("drive:");
        vec![if drive { self.0.drive().slab() } else { self.0.slab() }.clone()]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        self.0.apply_event(cx, event)
    }
}

impl Cell {
    /// Applies one of the cell's own events.
    pub fn apply_event(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let inner = self.inner();
        let offs = |indx, name| event.int_arg(indx, name).map(|offs| u64::try_from(offs).unwrap_or_default());
        match event.name.as_str() {
            "nexs:vers:set" => self.set_nexs_vers(cx, event.arg(0, "vers")),
            "cell:vers:set" => {
                inner.vers.set(cx, event.str_arg(0, "name")?, event.arg(1, "vers"))?;
                Ok(Value::Null)
            }
            "nexslog:cull" => self.nexus().cull(cx, offs(0, "offs")?).map(Value::from),
            "nexslog:rotate" => self.nexus().rotate(cx).map(Value::from),
            "nexslog:setindex" => self.nexus().set_index(cx, offs(0, "indx")?).map(Value::from),
            "hive:loadtree" => {
                let path = event.arg(1, "path").as_list().unwrap_or_default().iter();
                let mut path = path.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                let tree = event.arg(0, "tree").clone();
                self.load_hive_tree(cx, &mut path, &tree, event.arg(2, "trim").is_truthy()).map(|()| Value::Null)
            }
            "sync" => Ok(Value::Null),
            name if name.starts_with("drive:") => inner.drive.apply(cx, event),
            name if name.starts_with("http:sess:") => self.apply_session(cx, event),
            name if name.starts_with("user:apikey:") => self.apply_api_key(cx, event),
            name => Err(err!("NoSuchName", mesg = format!("A cell has no event {name}."), name = name)),
        }
    }

    fn set_nexs_vers(&self, cx: &mut ApplyCx<'_>, vers: &Value) -> Result<Value> {
        let pair = |vers: &Value| Some((vers.at(0)?.as_i64()?, vers.at(1)?.as_i64()?));
        let new = pair(vers).ok_or_else(|| err!("BadArg", mesg = "A nexus version has two numbers.", name = "vers"))?;
        let info = &self.inner().info;
        let old = info.get(&**cx, "nexus:version")?.as_ref().and_then(pair).unwrap_or_default();
        if new <= old {
            return Ok(Value::Null);
        }
        if old < (2, 198) {
            for user in self.auth().users().into_iter().filter(|user| user.is_archived() && !user.is_locked()) {
                self.auth().apply_user_info(cx, user.iden(), "locked", Value::Bool(true), None)?;
            }
        }
        self.auth().set_nexus_version(new);
        if old < (2, 243) && new >= (2, 243) {
            self.auth().index_emails(cx)?;
        }
        info.set(cx, "nexus:version", vers)?;
        Ok(Value::Null)
    }

    fn apply_session(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let sess = self.inner().sess;
        let iden = iden_of(event.str_arg(0, "iden")?)?;
        match event.name.as_str() {
            "http:sess:add" => {
                let info = event.map_arg(1, "info")?;
                for (key, valu) in info.text_entries() {
                    sess.set(cx, iden, key, valu)?;
                }
                return Ok(info.clone().into());
            }
            "http:sess:del" => sess.del(cx, iden)?,
            "http:sess:set" => sess.set(cx, iden, event.str_arg(1, "name")?, event.arg(2, "valu"))?,
            _ => {
                for (key, valu) in event.map_arg(1, "vals")?.text_entries() {
                    sess.set(cx, iden, key, valu)?;
                }
            }
        }
        Ok(Value::Null)
    }

    fn apply_api_key(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let inner = self.inner();
        if event.name == "user:apikey:add" {
            let kdef = event.map_arg(0, "kdef")?;
            let part = |key: &str| iden_of(kdef.get_str(key).unwrap_or_default());
            let (iden, user) = (part("iden")?, part("user")?);
            cx.put(inner.user_apikeys, &iden.0, &user.0)?;
            cx.put_value(inner.user_meta, &key_row(user, iden), &kdef.clone().into())?;
            return Ok(Value::Null);
        }
        let (user, iden) = (iden_of(event.str_arg(0, "useriden")?)?, iden_of(event.str_arg(1, "iden")?)?);
        let row = key_row(user, iden);
        if event.name == "user:apikey:del" {
            cx.del(inner.user_meta, &row)?;
            cx.del(inner.user_apikeys, &iden.0)?;
            return Ok(Value::Bool(true));
        }
        let missing = || err!("NoSuchIden", mesg = "There is no such API key.", iden = iden);
        let mut kdef =
            cx.get_value(inner.user_meta, &row)?.and_then(|kdef| kdef.as_map().cloned()).ok_or_else(missing)?;
        kdef.update(event.map_arg(2, "vals")?);
        cx.put_value(inner.user_meta, &row, &kdef.clone().into())?;
        Ok(kdef.into())
    }

    fn drop_user_keys(&self, cx: &mut ApplyCx<'_>, useriden: &str) -> Result<()> {
        let inner = self.inner();
        let user = iden_of(useriden)?;
        let pref = [&user.0[..], b"apikey"].concat();
        let keys: Vec<Vec<u8>> = cx
            .prefix(inner.user_meta, &pref)?
            .map(|row| row.map(|(key, _)| key[pref.len()..].to_vec()))
            .collect::<Result<_>>()?;
        for key in keys {
            cx.del(inner.user_apikeys, &key)?;
        }
        cx.del_prefix(inner.user_meta, &user.0).map(|_| ())
    }

    // ---- API keys

    /// Makes an API key for a user: the token, which nobody sees again, and the key's definition without its shadow.
    pub fn add_api_key(&self, useriden: &str, name: &str, duration_ms: Option<i64>) -> Result<(String, Map)> {
        let user = self.auth().req_user(useriden)?;
        if duration_ms.is_some_and(|duration| duration <= 0) {
            return Err(err!("BadArg", mesg = "The duration of an API key must be above 0.", name = "duration"));
        }
        let (iden, token, shadow) = crate::auth::make_api_key();
        let now = crate::version::now();
        let mut kdef = Map::new()
            .with("iden", iden)
            .with("name", name)
            .with("user", user.iden())
            .with("created", now)
            .with("updated", now)
            .with("shadow", shadow);
        if let Some(duration) = duration_ms {
            kdef.insert("expires", now.saturating_add(duration));
        }
        self.nexus().push(self.iden(), "user:apikey:add", vec![kdef.clone().into()], Map::new())?;
        kdef.remove("shadow");
        Ok((token, kdef))
    }

    /// The API keys of one user, or of all, without their shadows.
    pub fn list_api_keys(&self, useriden: Option<&str>) -> Result<Vec<Map>> {
        let inner = self.inner();
        let txn = self.slab().read_fresh()?;
        let mut found = Vec::new();
        for row in txn.iter(inner.user_apikeys)? {
            let (iden, user) = row?;
            let (Ok(iden), Ok(user)) = (iden.try_into().map(Iden), user.try_into().map(Iden)) else { continue };
            if useriden.is_some_and(|want| want != user.to_hex()) {
                continue;
            }
            if let Some(Value::Map(kdef)) = txn.get_value(inner.user_meta, &key_row(user, iden))? {
                let mut kdef = (*kdef).clone();
                kdef.remove("shadow");
                found.push(kdef);
            }
        }
        Ok(found)
    }

    /// The definition of an API key, without its shadow.
    pub fn api_key(&self, iden: &str) -> Result<Option<Map>> {
        Ok(self.stored_api_key(iden)?.map(|mut kdef| {
            kdef.remove("shadow");
            kdef
        }))
    }

    fn stored_api_key(&self, iden: &str) -> Result<Option<Map>> {
        let inner = self.inner();
        let iden = iden_of(iden)?;
        let txn = self.slab().read_fresh()?;
        let user = txn.get(inner.user_apikeys, &iden.0)?.and_then(|user| user.try_into().ok()).map(Iden);
        let Some(user) = user else { return Ok(None) };
        Ok(txn.get_value(inner.user_meta, &key_row(user, iden))?.and_then(|kdef| kdef.as_map().cloned()))
    }

    /// Renames an API key.
    pub fn mod_api_key(&self, iden: &str, name: &str) -> Result<Map> {
        let missing = || err!("NoSuchIden", mesg = "There is no such API key.", iden = iden);
        let kdef = self.stored_api_key(iden)?.ok_or_else(missing)?;
        let vals = Map::new().with("name", name).with("updated", crate::version::now());
        let user = kdef.get("user").cloned().unwrap_or_default();
        let (_, kdef) =
            self.nexus().push(self.iden(), "user:apikey:edit", vec![user, iden.into(), vals.into()], Map::new())?;
        let mut kdef = kdef.as_map().cloned().unwrap_or_default();
        kdef.remove("shadow");
        Ok(kdef)
    }

    /// Deletes an API key.
    pub fn del_api_key(&self, iden: &str) -> Result<bool> {
        let missing = || err!("NoSuchIden", mesg = "There is no such API key.", iden = iden);
        let user = self.stored_api_key(iden)?.ok_or_else(missing)?.get("user").cloned().unwrap_or_default();
        let (_, done) = self.nexus().push(self.iden(), "user:apikey:del", vec![user, iden.into()], Map::new())?;
        Ok(done.is_truthy())
    }

    /// Whose token this is: the user and the key's definition, or what is wrong.
    pub fn check_api_key(&self, token: &str) -> Result<std::result::Result<Map, String>> {
        let (iden, secret) = match crate::auth::parse_api_key(token) {
            Ok(parts) => parts,
            Err(mesg) => return Ok(Err(mesg)),
        };
        let Some(mut kdef) = self.stored_api_key(&iden.to_hex())? else {
            return Ok(Err(format!("The API key does not exist: {iden}")));
        };
        let useriden = kdef.get_str("user").unwrap_or_default().to_owned();
        let Some(user) = self.auth().user(&useriden) else {
            return Ok(Err(format!("The user of the API key does not exist: {useriden}")));
        };
        if user.is_locked() {
            return Ok(Err(format!("The user of the API key is locked: {useriden}")));
        }
        if kdef.get_i64("expires").is_some_and(|expires| expires < crate::version::now()) {
            return Ok(Err(format!("The API key has expired: {iden}")));
        }
        let shadow = kdef.remove("shadow").unwrap_or_default();
        if !crate::auth::check_shadow(&secret, &shadow)? {
            return Ok(Err(format!("The API key is not valid: {iden}")));
        }
        Ok(Ok(Map::new().with("kdef", kdef).with("udef", user.pack(false))))
    }
}

fn key_row(user: Iden, iden: Iden) -> Vec<u8> {
    [&user.0[..], b"apikey", &iden.0[..]].concat()
}

fn iden_of(text: &str) -> Result<Iden> {
    Iden::from_hex(text)
        .ok_or_else(|| err!("BadArg", mesg = format!("This is no iden: {text}"), name = "iden", arg = text))
}
