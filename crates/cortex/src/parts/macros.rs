//! Macros: named queries that users share. Table `storm:macros`, name → definition.

use myelin_cell::{ApplyCx, Auth, Event, User};
use myelin_error::{Result, err};
use myelin_slab::{Reads, Scan, Slab, Table};
use myelin_value::{Map, Value, msgpack, rand_guid};

use super::easyperm::{self, Level};
use super::{Part, Pusher, now_millis};

/// The longest name a macro may have, in characters.
const MAX_NAME: usize = 491;

/// The macros of a cortex.
pub struct Macros {
    slab: Slab,
    table: Table,
    auth: Auth,
    pusher: Pusher,
}

impl Macros {
    /// Opens the table in the cell's slab.
    pub fn open(slab: Slab, auth: Auth, pusher: Pusher) -> Result<Macros> {
        let table = slab.table("storm:macros", false)?;
        Ok(Macros { slab, table, auth, pusher })
    }

    fn read(&self, txn: &impl Reads, name: &str) -> Result<Option<Map>> {
        check_name(name)?;
        let Some(byts) = txn.get(self.table, name.as_bytes())? else { return Ok(None) };
        Ok(msgpack::decode(byts)?.as_map().cloned())
    }

    /// A macro, if the user may read it.
    ///
    /// # Errors
    /// `NoSuchName` when there is none, `AuthDeny` when the user may not read it.
    pub fn require(&self, name: &str, user: &User) -> Result<Map> {
        self.with_level(name, user, Level::Read)
    }

    /// A macro whatever the permissions, or nothing.
    pub fn find(&self, name: &str) -> Result<Option<Map>> {
        self.read(&self.slab.read_fresh()?, name)
    }

    fn with_level(&self, name: &str, user: &User, level: Level) -> Result<Map> {
        let mdef = self.find(name)?.ok_or_else(|| no_macro(name))?;
        let global = |perm: &str| user.allowed(&["storm", "macro", perm], None);
        let granted = match level {
            Level::Edit => global("edit") || global("admin"),
            Level::Admin => global("admin"),
            _ => false,
        };
        if !granted {
            easyperm::require(&mdef, user, level, &format!("the macro {name}"))?;
        }
        Ok(mdef)
    }

    /// Every macro that the user may read, by name.
    pub fn list(&self, user: &User) -> Result<Vec<Map>> {
        let txn = self.slab.read_fresh()?;
        let mut found = Vec::new();
        let rows = txn.scan(self.table, Scan::All)?;
        for row in rows {
            let (_, byts) = row?;
            let valu = msgpack::decode(byts)?;
            if let Some(mdef) = valu.as_map().filter(|mdef| easyperm::allows(mdef, user, Level::Read)) {
                found.push(mdef.clone());
            }
        }
        Ok(found)
    }

    /// Adds a macro that belongs to the user.
    pub fn add(&self, name: &str, storm: &str, user: &User) -> Result<Value> {
        user.confirm_or(&["storm", "macro", "add"], Some(true), None)?;
        check_name(name)?;
        if self.find(name)?.is_some() {
            return Err(err!("DupName", mesg = format!("A macro named {name} exists already."), name = name));
        }
        let now = now_millis();
        let mut mdef = Map::new()
            .with("name", name)
            .with("storm", storm)
            .with("desc", "")
            .with("iden", rand_guid())
            .with("updated", now)
            .with("created", now)
            .with("user", user.iden())
            .with("creator", user.iden());
        easyperm::init(&mut mdef, Level::Read, Some(user.iden()));
        self.pusher.push("storm:macro:add", [mdef.into()])
    }

    /// Deletes a macro and returns its definition.
    pub fn del(&self, name: &str, user: &User) -> Result<Value> {
        self.with_level(name, user, Level::Admin)?;
        self.pusher.push("storm:macro:del", [name.into()])
    }

    /// Changes keys of a macro (`name`, `desc`, `storm`).
    pub fn modify(&self, name: &str, mut info: Map, user: &User) -> Result<Value> {
        self.with_level(name, user, Level::Edit)?;
        if let Some(newname) = info.get_str("name") {
            check_name(newname)?;
        }
        info.insert("updated", now_millis());
        self.pusher.push("storm:macro:mod", [name.into(), info.into()])
    }

    /// Sets what a user or role may do with a macro.
    pub fn grant(&self, name: &str, scope: &str, iden: &str, level: Option<Level>, user: &User) -> Result<Value> {
        self.with_level(name, user, Level::Admin)?;
        let level = level.map_or(Value::Null, |level| Value::from(level as i64));
        self.pusher.push("storm:macro:set:perm", [name.into(), scope.into(), iden.into(), level])
    }

    fn apply_mod(&self, cx: &mut ApplyCx<'_>, name: &str, info: &Map) -> Result<Value> {
        let Some(mut mdef) = self.read(&**cx, name)? else { return Ok(Value::Null) };
        mdef.update(info);
        let newname = info.get_str("name").unwrap_or(name);
        if newname != name {
            check_name(newname)?;
            if self.read(&**cx, newname)?.is_some() {
                return Err(err!("DupName", mesg = format!("A macro named {newname} exists already."), name = newname));
            }
            cx.del(self.table, name.as_bytes())?;
        }
        let mdef = Value::from(mdef);
        cx.put_value(self.table, newname.as_bytes(), &mdef)?;
        Ok(mdef)
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(err!("BadArg", mesg = "The name of a macro has at least one character."));
    }
    if name.chars().count() > MAX_NAME {
        return Err(err!("BadArg", mesg = format!("The name of a macro has at most {MAX_NAME} characters.")));
    }
    Ok(())
}

fn no_macro(name: &str) -> myelin_error::Error {
    err!("NoSuchName", mesg = format!("There is no macro named {name}."))
}

impl Part for Macros {
    fn events(&self) -> &'static [&'static str] {
        &["storm:macro:add", "storm:macro:del", "storm:macro:mod", "storm:macro:set:perm"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "storm:macro:add" => {
                let mdef = event.map_arg(0, "mdef")?;
                let name = mdef.get_str("name").unwrap_or_default();
                if let Some(have) = self.read(&**cx, name)?
                    && have.get("iden") != mdef.get("iden")
                {
                    return Err(err!("BadArg", mesg = format!("A macro named {name} exists already.")));
                }
                let mdef = Value::from(mdef.clone());
                cx.put_value(self.table, name.as_bytes(), &mdef)?;
                Ok(mdef)
            }
            "storm:macro:del" => {
                let name = event.str_arg(0, "name")?;
                check_name(name)?;
                Ok(cx.pop_value(self.table, name.as_bytes())?.unwrap_or_default())
            }
            "storm:macro:mod" => self.apply_mod(cx, event.str_arg(0, "name")?, event.map_arg(1, "info")?),
            _ => {
                let name = event.str_arg(0, "name")?;
                let mut mdef = self.read(&**cx, name)?.ok_or_else(|| no_macro(name))?;
                let level = easyperm::level_arg(event.arg(3, "level"))?;
                easyperm::set(&mut mdef, &self.auth, event.str_arg(1, "scope")?, event.str_arg(2, "iden")?, level)?;
                let mdef = Value::from(mdef);
                cx.put_value(self.table, name.as_bytes(), &mdef)?;
                Ok(mdef)
            }
        }
    }
}
