//! `$lib.vault`: configuration and secrets by type, for a user, its roles or everybody.

use std::any::Any;

use myelin_error::err;
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value};

use super::util::{core, data, name_of, this, user};
use crate::parts::easyperm::Level;
use crate::parts::vaults::VaultData;

static LIB: LibDef = LibDef {
    path: "vault",
    funcs: &[
        FuncDef::rw(
            "add",
            &[
                Arg::req("name"),
                Arg::req("vtype"),
                Arg::req("scope"),
                Arg::req("owner"),
                Arg::req("secrets"),
                Arg::req("configs"),
            ],
            add,
        ),
        FuncDef::rw("byname", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            let vault = core(rt)?.vaults.require_by_name(&name)?;
            confirm(rt, &vault, Level::Read, &name)?;
            Ok(object(&vault))
        }),
        FuncDef::rw("get", &[Arg::req("iden")], |rt, _, args| {
            let iden = args.str(rt, 0)?;
            let vault = core(rt)?.vaults.require(&iden)?;
            confirm(rt, &vault, Level::Read, &iden)?;
            Ok(object(&vault))
        }),
        FuncDef::rw("bytype", &[Arg::req("vtype"), Arg::opt("scope", Dflt::Null)], |rt, _, args| {
            let (vtype, scope) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
            let Some(vault) = core(rt)?.vaults.by_type(&vtype, &user(rt)?, scope.as_deref())? else {
                return Ok(Item::NULL);
            };
            confirm(rt, &vault, Level::Read, vault.get_str("iden").unwrap_or_default())?;
            Ok(object(&vault))
        }),
        FuncDef::rw("list", &[], |rt, _, _| {
            let mut vaults = core(rt)?.vaults.list()?;
            vaults.retain(|vault| rt.allowed_easy(vault, Level::Read as i64));
            Ok(Item::Genr(Genr::of(vaults.into_iter().map(|vault| object(&vault)).collect::<Vec<_>>())))
        }),
        FuncDef::rw("print", &[Arg::req("vault"), Arg::opt("showsecrets", Dflt::Bool(false))], print),
    ],
    consts: &[],
};

static VAULT: TypeDef = TypeDef {
    name: "vault",
    funcs: &[
        FuncDef::rw("setPerm", &[Arg::req("iden"), Arg::req("level")], |rt, item, args| {
            let vault = this::<Vault>(item)?;
            vault.confirm(rt, Level::Admin)?;
            let iden = args.str(rt, 0)?;
            let level = args.opt_int(rt, 1)?.map(Level::from_number).transpose()?;
            Ok(data(core(rt)?.vaults.set_perm(&vault.iden, &iden, level)?))
        }),
        FuncDef::rw("delete", &[], |rt, item, _| {
            let vault = this::<Vault>(item)?;
            vault.confirm(rt, Level::Admin)?;
            Ok(data(core(rt)?.vaults.del(&vault.iden)?))
        }),
    ],
    getters: &[
        ("iden", |_, item| Ok(Item::from(this::<Vault>(item)?.iden.as_str()))),
        ("type", |rt, item| this::<Vault>(item)?.field(rt, "type")),
        ("scope", |rt, item| this::<Vault>(item)?.field(rt, "scope")),
        ("owner", |rt, item| this::<Vault>(item)?.field(rt, "owner")),
        ("name", |rt, item| this::<Vault>(item)?.field(rt, "name")),
        ("permissions", |rt, item| this::<Vault>(item)?.field(rt, "permissions")),
        ("configs", |_, item| Ok(this::<Vault>(item)?.data(VaultData::Configs))),
        ("secrets", |rt, item| {
            let vault = this::<Vault>(item)?;
            let record = core(rt)?.vaults.require(&vault.iden)?;
            let edits = rt.allowed_easy(&record, Level::Edit as i64);
            Ok(if edits { vault.data(VaultData::Secrets) } else { Item::NULL })
        }),
    ],
    setters: &[
        ("name", false, |rt, item, valu| {
            let vault = this::<Vault>(item)?;
            vault.confirm(rt, Level::Edit)?;
            core(rt)?.vaults.rename(&vault.iden, &valu.tostr(rt)?)?;
            Ok(())
        }),
        ("configs", false, |rt, item, valu| this::<Vault>(item)?.replace(rt, VaultData::Configs, &valu)),
        ("secrets", false, |rt, item, valu| this::<Vault>(item)?.replace(rt, VaultData::Secrets, &valu)),
    ],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&VAULT]);
    registry.add_lib(&LIB);
}

fn object(vault: &Map) -> Item {
    Item::obj(Vault { iden: vault.get_str("iden").unwrap_or_default().to_owned() })
}

fn confirm(rt: &Rt, vault: &Map, level: Level, what: &str) -> Flow<()> {
    let mesg = format!("The user needs {} permission on the vault {what}.", level.name());
    rt.confirm_easy(vault, level as i64, Some(&mesg))
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (name, vtype) = (args.str(rt, 0)?, args.str(rt, 1)?);
    let (scope, owner) = (args.opt_str(rt, 2)?, args.opt_str(rt, 3)?);
    if !rt.is_admin(None) {
        let user = rt.user();
        match scope.as_deref() {
            Some(scope @ ("global" | "role")) => {
                let mesg = format!("User {} may not create {scope} vaults.", user.name());
                return Err(err!("AuthDeny", mesg = mesg, user = user.name()).into());
            }
            Some("user") if owner.as_deref() != Some(user.iden()) => {
                let mesg = format!("User {} may not create vaults for another user.", user.name());
                return Err(err!("AuthDeny", mesg = mesg).into());
            }
            _ => {}
        }
    }
    let vault = Map::new()
        .with("name", name)
        .with("type", vtype)
        .with("scope", scope)
        .with("owner", owner)
        .with("secrets", args.prim(rt, 4)?)
        .with("configs", args.prim(rt, 5)?);
    Ok(data(core(rt)?.vaults.add(vault)?))
}

fn print(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let vault = this::<Vault>(args.item(0))?;
    let record = core(rt)?.vaults.require(&vault.iden)?;
    let show = args.bool(rt, 1)?;
    rt.printf(format!("Vault: {}", vault.iden))?;
    for (label, key) in [("Name", "name"), ("Type", "type"), ("Scope", "scope")] {
        let valu = Item::Val(record.get(key).cloned().unwrap_or_default());
        rt.printf(format!("  {label}: {}", valu.torepr(rt, true)?))?;
    }
    rt.printf("  Permissions:")?;
    let perms = record.get("permissions").cloned().unwrap_or_default();
    let auth = core(rt)?.cell.auth().clone();
    for (label, key) in [("Users", "users"), ("Roles", "roles")] {
        let entries = perms.get(key).and_then(Value::as_map).cloned().unwrap_or_default();
        if entries.is_empty() {
            rt.printf(format!("    {label}: None"))?;
            continue;
        }
        rt.printf(format!("    {label}:"))?;
        for (iden, level) in entries.text_entries() {
            let name = match key {
                "users" => auth.user(iden).map(|user| user.name()),
                _ => auth.role(iden).map(|role| role.name()),
            };
            let level = level.as_i64().and_then(|level| Level::from_number(level).ok()).map_or("none", Level::name);
            rt.printf(format!("      {}: {level}", name.as_deref().unwrap_or(iden)))?;
        }
    }
    print_data(rt, "Configs", record.get("configs"))?;
    if show {
        if rt.allowed_easy(&record, Level::Edit as i64) {
            print_data(rt, "Secrets", record.get("secrets"))?;
        } else {
            rt.printf("  Secrets: Cannot display secrets - no edit permission to vault.")?;
        }
    }
    Ok(Item::NULL)
}

fn print_data(rt: &Rt, label: &str, items: Option<&Value>) -> Flow<()> {
    let items = items.and_then(Value::as_map).cloned().unwrap_or_default();
    if items.is_empty() {
        return rt.printf(format!("  {label}: None"));
    }
    rt.printf(format!("  {label}:"))?;
    for (key, valu) in items.iter() {
        let (key, valu) = (Item::Val(key.clone()).torepr(rt, true)?, Item::Val(valu.clone()).torepr(rt, true)?);
        rt.printf(format!("    {key}: {valu}"))?;
    }
    Ok(())
}

/// A vault that the user may read.
struct Vault {
    iden: String,
}

impl Vault {
    fn record(&self, rt: &Rt) -> Flow<Map> {
        Ok(core(rt)?.vaults.require(&self.iden)?)
    }

    fn confirm(&self, rt: &Rt, level: Level) -> Flow<()> {
        confirm(rt, &self.record(rt)?, level, &self.iden)
    }

    fn field(&self, rt: &Rt, key: &str) -> Flow<Item> {
        Ok(Item::Val(self.record(rt)?.get(key).cloned().unwrap_or_default()))
    }

    fn data(&self, kind: VaultData) -> Item {
        Item::obj(Data { iden: self.iden.clone(), kind })
    }

    fn replace(&self, rt: &Rt, kind: VaultData, valu: &Item) -> Flow<()> {
        let valu = valu.toprim(rt)?;
        self.confirm(rt, Level::Edit)?;
        core(rt)?.vaults.replace_data(&self.iden, kind, valu)?;
        Ok(())
    }
}

impl StormObj for Vault {
    fn type_name(&self) -> &'static str {
        "vault"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&VAULT)
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        let mut record = self.record(rt)?;
        if !rt.allowed_easy(&record, Level::Edit as i64) {
            record.remove("secrets");
        }
        Ok(record.into())
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        Ok(format!("vault: {}", self.iden))
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::list(["vault".into(), self.iden.as_str().into()]))
    }

    fn is_mutable(&self) -> bool {
        false
    }
}

/// The configuration or the secrets of a vault.
struct Data {
    iden: String,
    kind: VaultData,
}

impl Data {
    fn items(&self, rt: &Rt) -> Flow<Map> {
        let record = core(rt)?.vaults.require(&self.iden)?;
        let level = match self.kind {
            VaultData::Configs => Level::Read,
            VaultData::Secrets => Level::Edit,
        };
        confirm(rt, &record, level, &self.iden)?;
        Ok(record.get(self.kind.key()).and_then(Value::as_map).cloned().unwrap_or_default())
    }
}

impl StormObj for Data {
    fn type_name(&self) -> &'static str {
        "vault:data"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name_of(rt, name)?;
        Ok(Some(self.items(rt)?.get(&name).map_or(Item::NULL, Item::deep)))
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let vaults = &core(rt)?.vaults;
        confirm(rt, &vaults.require(&self.iden)?, Level::Edit, &self.iden)?;
        let name = name_of(rt, name)?;
        let valu = match valu {
            Item::Undef => None,
            valu => Some(valu.toprim(rt)?),
        };
        vaults.set_data(&self.iden, self.kind, &name, valu)?;
        Ok(())
    }

    fn iter(&self, rt: &Rt) -> Flow<Genr> {
        let items = self.items(rt)?;
        let pairs: Vec<Item> =
            items.iter().map(|(key, valu)| Item::list([Item::Val(key.clone()), Item::deep(valu)])).collect();
        Ok(Genr::of(pairs))
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        Ok(self.items(rt)?.into())
    }

    fn size(&self, rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.items(rt)?.len()))
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        Item::Val(self.items(rt)?.into()).torepr(rt, false)
    }

    fn is_mutable(&self) -> bool {
        false
    }
}
