//! Variables, profile and documents of users.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Dflt, Flow, FuncDef, Item, Rt, fail};
use myelin_value::{Map, Value};

use super::pairs;
use crate::libs::util::core;

fn get(rt: &Rt, iden: &str, scope: &str, name: &str) -> Flow<Option<Value>> {
    Ok(core(rt)?.cell.auth().user_value(scope, iden, name)?)
}

fn event(scope: &str) -> &'static str {
    if scope == "vars" { "user:var" } else { "user:profile" }
}

fn set(rt: &Rt, iden: &str, scope: &str, name: &str, valu: Value) -> Flow<()> {
    core(rt)?.cell.auth().set_user_value(event(scope), iden, name, valu)?;
    Ok(())
}

fn pop(rt: &Rt, iden: &str, scope: &str, name: &str) -> Flow<Option<Value>> {
    let have = get(rt, iden, scope, name)?;
    if have.is_some() {
        core(rt)?.cell.auth().pop_user_value(event(scope), iden, name, Value::Null)?;
    }
    Ok(have)
}

fn all(rt: &Rt, iden: &str, scope: &str) -> Flow<Vec<(String, Value)>> {
    Ok(core(rt)?.cell.auth().user_values(scope, iden)?)
}

/// `$lib.user.vars` and `$lib.user.profile`.
pub struct OwnValues {
    iden: Arc<str>,
    scope: &'static str,
}

impl OwnValues {
    /// The values of a user of one scope (`vars`, `profile`).
    pub fn new(iden: &str, scope: &'static str) -> OwnValues {
        OwnValues { iden: iden.into(), scope }
    }
}

const OWN_FUNCS: &[FuncDef] = &[
    FuncDef::ro("get", &[Arg::req("name"), Arg::opt("default", Dflt::Null)], |rt, this, args| {
        let own = own(this)?;
        let found = get(rt, &own.iden, own.scope, &args.str(rt, 0)?)?;
        Ok(found.map_or_else(|| args.item(1).clone(), |valu| Item::deep(&valu)))
    }),
    FuncDef::ro("list", &[], |rt, this, _| {
        let own = own(this)?;
        let items = all(rt, &own.iden, own.scope)?;
        Ok(Item::list(items.into_iter().map(|(name, valu)| Item::list([Item::from(name), Item::deep(&valu)]))))
    }),
    FuncDef::rw("pop", &[Arg::req("name"), Arg::opt("default", Dflt::Null)], |rt, this, args| {
        let own = own(this)?;
        let had = pop(rt, &own.iden, own.scope, &args.str(rt, 0)?)?;
        Ok(had.map_or_else(|| args.item(1).clone(), |valu| Item::deep(&valu)))
    }),
    FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], |rt, this, args| {
        let own = own(this)?;
        let Some(name) = args.item(0).as_str() else {
            let name = args.prim(rt, 0)?;
            fail!("StormRuntimeError", mesg = "The name of a variable must be a string.", name = name);
        };
        let old = get(rt, &own.iden, own.scope, name)?;
        set(rt, &own.iden, own.scope, name, args.prim(rt, 1)?)?;
        Ok(old.map_or(Item::NULL, |valu| Item::deep(&valu)))
    }),
];

pub(super) static VARS: TypeDef = TypeDef { name: "user:vars:dict", funcs: OWN_FUNCS, getters: &[], setters: &[] };
pub(super) static PROFILE: TypeDef =
    TypeDef { name: "user:profile:dict", funcs: OWN_FUNCS, getters: &[], setters: &[] };

fn own(this: &Item) -> Flow<&OwnValues> {
    match this.as_obj::<OwnValues>() {
        Some(own) => Ok(own),
        None => fail!("BadArg", mesg = "These are not the values of a user."),
    }
}

impl StormObj for OwnValues {
    fn type_name(&self) -> &'static str {
        if self.scope == "vars" { "user:vars:dict" } else { "user:profile:dict" }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(if self.scope == "vars" { &VARS } else { &PROFILE })
    }

    fn iter(&self, rt: &Rt) -> Flow<Genr> {
        Ok(pairs(all(rt, &self.iden, self.scope)?))
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        Ok(Value::from(all(rt, &self.iden, self.scope)?.into_iter().collect::<Map>()))
    }
}

/// `$user.vars` and `$user.profile`, changed like dictionaries.
pub struct UserValues {
    iden: Arc<str>,
    scope: &'static str,
}

impl UserValues {
    /// The values of a user of one scope (`vars`, `profile`).
    pub fn new(iden: &Arc<str>, scope: &'static str) -> UserValues {
        UserValues { iden: iden.clone(), scope }
    }

    fn confirm(&self, rt: &Rt, verb: &str, name: Option<&str>) -> Flow<()> {
        if self.scope == "vars" {
            return Ok(());
        }
        let perm: Vec<&str> = ["auth", "user", verb, "profile"].into_iter().chain(name).collect();
        rt.confirm(&perm, None)
    }
}

impl StormObj for UserValues {
    fn type_name(&self) -> &'static str {
        if self.scope == "vars" { "auth:user:vars" } else { "auth:user:profile" }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name.tostr(rt)?;
        self.confirm(rt, "get", Some(&name))?;
        let found = get(rt, &self.iden, self.scope, &name)?;
        Ok(Some(found.map(|valu| Item::deep(&valu)).unwrap_or_default()))
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let name = name.tostr(rt)?;
        match valu {
            Item::Undef => {
                self.confirm(rt, "pop", Some(&name))?;
                pop(rt, &self.iden, self.scope, &name).map(drop)
            }
            valu => {
                let valu = valu.toprim(rt)?;
                self.confirm(rt, "set", Some(&name))?;
                set(rt, &self.iden, self.scope, &name, valu)
            }
        }
    }

    fn iter(&self, rt: &Rt) -> Flow<Genr> {
        self.confirm(rt, "get", None)?;
        Ok(pairs(all(rt, &self.iden, self.scope)?))
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        if self.scope == "vars" {
            return Ok(Value::from(&*self.iden));
        }
        self.confirm(rt, "get", None)?;
        Ok(Value::from(all(rt, &self.iden, self.scope)?.into_iter().collect::<Map>()))
    }
}

/// The values that only the user or an admin may see.
pub fn vars_of(rt: &Rt, iden: &Arc<str>) -> Flow<Item> {
    if *rt.user().iden() != **iden && !rt.is_admin(None) {
        let (mesg, user) = ("$user.vars requires admin privs when $user is not the current user.", rt.user());
        return Err(err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name()).into());
    }
    Ok(Item::obj(UserValues::new(iden, "vars")))
}
