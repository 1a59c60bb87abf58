//! Vaults: configuration and secrets of a kind, each of one user, one role, everybody or nobody in particular.
//!
//! Three tables of the cell's slab: `vaults` (iden → definition), `vaults:byname` (name → iden) and `vaults:byTSI`
//! (type, scope and owner → iden). Who may see the secrets is decided by the caller.

use myelin_cell::{ApplyCx, Auth, Event, User};
use myelin_error::{Error, Result, err};
use myelin_slab::{Reads, Scan, Slab, Table};
use myelin_value::{Iden, Map, Value, msgpack, rand_guid};

use super::easyperm::{self, Level};
use super::{Part, Pusher};

/// The longest name or type of a vault, in characters.
const MAX_NAME: usize = 128;

/// The vaults of a cortex.
pub struct Vaults {
    slab: Slab,
    vaults: Table,
    by_name: Table,
    by_tsi: Table,
    auth: Auth,
    pusher: Pusher,
}

/// One of the two kinds of data in a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultData {
    /// What whoever may read the vault sees.
    Configs,
    /// What whoever may edit the vault sees.
    Secrets,
}

impl VaultData {
    /// The key in the definition.
    pub fn key(self) -> &'static str {
        match self {
            VaultData::Configs => "configs",
            VaultData::Secrets => "secrets",
        }
    }
}

impl Vaults {
    /// Opens the tables in the cell's slab.
    pub fn open(slab: Slab, auth: Auth, pusher: Pusher) -> Result<Vaults> {
        let vaults = slab.table("vaults", false)?;
        let by_name = slab.table("vaults:byname", false)?;
        let by_tsi = slab.table("vaults:byTSI", false)?;
        Ok(Vaults { slab, vaults, by_name, by_tsi, auth, pusher })
    }

    fn read(&self, txn: &impl Reads, iden: &[u8]) -> Result<Option<Map>> {
        let Some(byts) = txn.get(self.vaults, iden)? else { return Ok(None) };
        Ok(msgpack::decode(byts)?.as_map().cloned())
    }

    fn read_by(&self, txn: &impl Reads, table: Table, key: &str) -> Result<Option<Map>> {
        match txn.get(table, key.as_bytes())?.map(<[u8]>::to_vec) {
            Some(iden) => self.read(txn, &iden),
            None => Ok(None),
        }
    }

    fn require_in(&self, txn: &impl Reads, iden: &str) -> Result<Map> {
        let Some(byts) = Iden::from_hex(iden) else {
            return Err(err!("BadArg", mesg = format!("This is no iden of a vault: {iden}.")));
        };
        self.read(txn, &byts.0)?
            .ok_or_else(|| err!("NoSuchIden", mesg = format!("There is no vault with the iden {iden}."), iden = iden))
    }

    /// A vault by its iden.
    ///
    /// # Errors
    /// `BadArg` for what is no iden, `NoSuchIden` for an unknown one.
    pub fn require(&self, iden: &str) -> Result<Map> {
        self.require_in(&self.slab.read_fresh()?, iden)
    }

    /// A vault by name.
    ///
    /// # Errors
    /// `NoSuchName` when there is none.
    pub fn require_by_name(&self, name: &str) -> Result<Map> {
        self.by_name(name)?.ok_or_else(|| err!("NoSuchName", mesg = format!("There is no vault named {name}.")))
    }

    fn by_name(&self, name: &str) -> Result<Option<Map>> {
        self.read_by(&self.slab.read_fresh()?, self.by_name, name)
    }

    /// The vault of a type for a user: the user's own, else that of one of its roles, else the global one; or only that
    /// of the scope asked for.
    ///
    /// # Errors
    /// `BadArg` for an unknown scope.
    pub fn by_type(&self, vtype: &str, user: &User, scope: Option<&str>) -> Result<Option<Map>> {
        if scope.is_some_and(|scope| !["user", "role", "global"].contains(&scope)) {
            return Err(bad_scope(scope.unwrap_or_default()));
        }
        let txn = self.slab.read_fresh()?;
        for level in ["user", "role", "global"] {
            if scope.is_some_and(|scope| scope != level) {
                continue;
            }
            let found = match level {
                "user" => self.read_by(&txn, self.by_tsi, &tsi(vtype, level, Some(user.iden()))?)?,
                "global" => self.read_by(&txn, self.by_tsi, &tsi(vtype, level, None)?)?,
                _ => {
                    let mut found = None;
                    for role in user.roles() {
                        let vault = self.read_by(&txn, self.by_tsi, &tsi(vtype, level, Some(role.iden()))?)?;
                        found = vault.filter(|vault| easyperm::allows(vault, user, Level::Read));
                        if found.is_some() {
                            break;
                        }
                    }
                    found
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Every vault.
    pub fn list(&self) -> Result<Vec<Map>> {
        let txn = self.slab.read_fresh()?;
        let mut found = Vec::new();
        for row in txn.scan(self.vaults, Scan::All)? {
            let (_, byts) = row?;
            found.extend(msgpack::decode(byts)?.as_map().cloned());
        }
        Ok(found)
    }

    /// Adds a vault and returns its iden. The definition has `name`, `type`, `scope`, `owner`, `secrets` and `configs`.
    ///
    /// # Errors
    /// `SchemaViolation`, `BadArg`, `DupName`, `NoSuchUser`, `NoSuchRole` say what is wrong with it.
    pub fn add(&self, mut vault: Map) -> Result<Value> {
        vault.insert("iden", rand_guid());
        vault.remove("permissions");
        easyperm::init(&mut vault, Level::Deny, None);
        check(&vault)?;
        let scope = vault.get_str("scope").map(str::to_owned);
        let owner = vault.get_str("owner").map(str::to_owned);
        let (name, vtype) = (text(&vault, "name"), text(&vault, "type"));
        if owner.is_none() && scope.as_deref() != Some("global") {
            return Err(err!("BadArg", mesg = "Vaults other than global ones need an owner."));
        }
        if let Some(scope) = &scope
            && self.read_by(&self.slab.read_fresh()?, self.by_tsi, &tsi(&vtype, scope, owner.as_deref())?)?.is_some()
        {
            let owner = owner.as_deref().unwrap_or("None");
            let mesg = format!("There is a vault of type {vtype}, scope {scope} and owner {owner} already.");
            return Err(err!("DupName", mesg = mesg));
        }
        if self.by_name(&name)?.is_some() {
            return Err(dup_name(&name));
        }
        match (scope.as_deref(), owner.as_deref().unwrap_or_default()) {
            (Some("global"), _) => {
                let all = self.auth.all_role()?;
                easyperm::set(&mut vault, &self.auth, "roles", all.iden(), Some(Level::Read))?;
            }
            (Some("role"), owner) => {
                self.auth.req_role(owner)?;
                easyperm::set(&mut vault, &self.auth, "roles", owner, Some(Level::Read))?;
            }
            (_, owner) => {
                self.auth.req_user(owner)?;
                easyperm::set(&mut vault, &self.auth, "users", owner, Some(Level::Admin))?;
            }
        }
        self.pusher.push("vault:add", [vault.into()])
    }

    /// Sets one item of a vault's data, or (with no value) removes it. Returns the data as it is then.
    ///
    /// # Errors
    /// `NoSuchIden`; `BadArg` when there is no such item to remove.
    pub fn set_data(&self, iden: &str, data: VaultData, key: &str, valu: Option<Value>) -> Result<Value> {
        let vault = self.require(iden)?;
        let delete = valu.is_none();
        if delete && vault.get(data.key()).is_none_or(|map| map.get(key).is_none()) {
            return Err(err!("BadArg", mesg = format!("There is no item {key} in the {} of the vault.", data.key())));
        }
        let args = [iden.into(), data.key().into(), key.into(), valu.unwrap_or_default(), delete.into()];
        self.pusher.push("vault:data:set", args)
    }

    /// Replaces the data of a vault.
    ///
    /// # Errors
    /// `NoSuchIden`; `BadArg` for what is no dictionary.
    pub fn replace_data(&self, iden: &str, data: VaultData, valu: Value) -> Result<Value> {
        self.require(iden)?;
        if valu.as_map().is_none() {
            return Err(err!("BadArg", mesg = "The data of a vault is a dictionary.", name = "valu", valu = valu));
        }
        self.pusher.push("vault:data:replace", [iden.into(), data.key().into(), valu])
    }

    /// Sets (or with no level removes) what a user or role may do with a vault.
    ///
    /// # Errors
    /// `NoSuchIden` for an unknown vault, user or role.
    pub fn set_perm(&self, viden: &str, iden: &str, level: Option<Level>) -> Result<Value> {
        let mut vault = self.require(viden)?;
        let scope = match (self.auth.user(iden), self.auth.role(iden)) {
            (Some(_), _) => "users",
            (None, Some(_)) => "roles",
            (None, None) => {
                let mesg = format!("There is no user or role with the iden {iden}.");
                return Err(err!("NoSuchIden", mesg = mesg, iden = iden));
            }
        };
        easyperm::set(&mut vault, &self.auth, scope, iden, level)?;
        let perms = vault.get("permissions").cloned().unwrap_or_default();
        self.pusher.push("vault:set", [viden.into(), "permissions".into(), perms])
    }

    /// Gives a vault another name.
    ///
    /// # Errors
    /// `DupName` when it is taken.
    pub fn rename(&self, iden: &str, name: &str) -> Result<Value> {
        if self.by_name(name)?.is_some() {
            return Err(dup_name(name));
        }
        self.pusher.push("vault:set", [iden.into(), "name".into(), name.into()])
    }

    /// Deletes a vault.
    pub fn del(&self, iden: &str) -> Result<Value> {
        self.pusher.push("vault:del", [iden.into()])
    }

    fn put(&self, cx: &mut ApplyCx<'_>, iden: &str, vault: &Map) -> Result<()> {
        let byts = Iden::from_hex(iden).ok_or_else(|| err!("BadArg", mesg = format!("This is no iden: {iden}.")))?;
        cx.put_value(self.vaults, &byts.0, &Value::from(vault.clone()))
    }

    fn apply_add(&self, cx: &mut ApplyCx<'_>, vault: &Map) -> Result<Value> {
        let iden = text(vault, "iden");
        let byts = Iden::from_hex(&iden).ok_or_else(|| err!("BadArg", mesg = format!("This is no iden: {iden}.")))?;
        if let Some(scope) = vault.get_str("scope") {
            let key = tsi(&text(vault, "type"), scope, vault.get_str("owner"))?;
            cx.put(self.by_tsi, key.as_bytes(), &byts.0)?;
        }
        cx.put(self.by_name, text(vault, "name").as_bytes(), &byts.0)?;
        self.put(cx, &iden, vault)?;
        Ok(Value::from(iden))
    }

    fn apply_set(&self, cx: &mut ApplyCx<'_>, iden: &str, key: &str, valu: &Value) -> Result<Value> {
        let mut vault = self.require_in(&**cx, iden)?;
        let old = text(&vault, "name");
        vault.insert(key, valu.clone());
        check(&vault)?;
        if key == "name"
            && let Some(byts) = Iden::from_hex(iden)
        {
            cx.del(self.by_name, old.as_bytes())?;
            cx.put(self.by_name, text(&vault, "name").as_bytes(), &byts.0)?;
        }
        self.put(cx, iden, &vault)?;
        Ok(vault.into())
    }

    fn apply_del(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<Value> {
        let Some(byts) = Iden::from_hex(iden) else { return Ok(Value::Null) };
        let Some(vault) = self.read(&**cx, &byts.0)? else { return Ok(Value::Null) };
        if let Some(scope) = vault.get_str("scope") {
            let key = tsi(&text(&vault, "type"), scope, vault.get_str("owner"))?;
            cx.del(self.by_tsi, key.as_bytes())?;
        }
        cx.del(self.by_name, text(&vault, "name").as_bytes())?;
        cx.del(self.vaults, &byts.0)?;
        Ok(Value::Null)
    }
}

fn text(vault: &Map, key: &str) -> String {
    vault.get_str(key).unwrap_or_default().to_owned()
}

fn dup_name(name: &str) -> Error {
    err!("DupName", mesg = format!("A vault named {name} exists already."), name = name)
}

fn bad_scope(scope: &str) -> Error {
    err!("BadArg", mesg = format!("The scope {scope} is none: give user, role or global."))
}

/// The key that makes type, scope and owner unique.
fn tsi(vtype: &str, scope: &str, owner: Option<&str>) -> Result<String> {
    match scope {
        "global" => Ok(format!("{vtype}:global")),
        "user" | "role" => Ok(format!("{vtype}:{scope}:{}", owner.unwrap_or("None"))),
        _ => Err(bad_scope(scope)),
    }
}

/// Checks the shape of a definition.
fn check(vault: &Map) -> Result<()> {
    let bad = |name: &str, why: &str| {
        Err(err!("SchemaViolation", mesg = format!("data.{name} {why}"), name = format!("data.{name}")))
    };
    for key in ["name", "type"] {
        let size = vault.get_str(key).map_or(0, |text| text.chars().count());
        if size == 0 || size > MAX_NAME {
            return bad(key, "must be text of 1 to 128 characters");
        }
    }
    match vault.get("scope") {
        None | Some(Value::Null) => {}
        Some(scope) if scope.as_str().is_some_and(|scope| ["user", "role", "global"].contains(&scope)) => {}
        Some(_) => return bad("scope", "must be one of [None, 'user', 'role', 'global']"),
    }
    match vault.get("owner") {
        None | Some(Value::Null) => {}
        Some(owner) if owner.as_str().is_some_and(|owner| Iden::from_hex(owner).is_some()) => {}
        Some(_) => return bad("owner", "must be an iden"),
    }
    for key in ["secrets", "configs"] {
        if vault.get(key).is_none_or(|valu| valu.as_map().is_none()) {
            return bad(key, "must be object");
        }
    }
    Ok(())
}

impl Part for Vaults {
    fn events(&self) -> &'static [&'static str] {
        &["vault:add", "vault:set", "vault:data:set", "vault:data:replace", "vault:del"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "vault:add" => self.apply_add(cx, event.map_arg(0, "vault")?),
            "vault:set" => {
                self.apply_set(cx, event.str_arg(0, "iden")?, event.str_arg(1, "key")?, event.arg(2, "valu"))
            }
            "vault:del" => self.apply_del(cx, event.str_arg(0, "iden")?),
            "vault:data:set" => {
                let (iden, obj) = (event.str_arg(0, "iden")?, event.str_arg(1, "obj")?);
                let mut vault = self.require_in(&**cx, iden)?;
                let mut data = vault.get(obj).and_then(Value::as_map).cloned().unwrap_or_default();
                let key = event.arg(2, "key").clone();
                if event.arg(4, "delete").is_truthy() {
                    data.remove_value(&key);
                } else {
                    data.insert(key, event.arg(3, "valu").clone());
                }
                vault.insert(obj, data.clone());
                self.put(cx, iden, &vault)?;
                Ok(data.into())
            }
            _ => {
                let (iden, obj) = (event.str_arg(0, "iden")?, event.str_arg(1, "obj")?);
                let mut vault = self.require_in(&**cx, iden)?;
                vault.insert(obj, event.arg(2, "valu").clone());
                self.put(cx, iden, &vault)?;
                Ok(event.arg(2, "valu").clone())
            }
        }
    }
}
