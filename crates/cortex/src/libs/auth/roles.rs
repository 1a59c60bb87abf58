//! `$lib.auth.roles` and the object `auth:role`.

use std::any::Any;
use std::sync::Arc;

use myelin_cell::Role;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::Value;

use super::users::{either, gates_of};
use super::{entry, gate_text, pop_at, rules_item};
use crate::libs::util::core;

static LIB: LibDef = LibDef {
    path: "auth.roles",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("name"), Arg::opt("iden", Dflt::Null)], |rt, _, args| {
            either(rt, &["auth", "role", "add"], &["storm", "lib", "auth", "roles", "add"])?;
            let (name, iden) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
            Ok(RoleObj::of(Some(core(rt)?.cell.auth().add_role(&name, iden.as_deref())?)))
        }),
        FuncDef::ro("byname", &[Arg::req("name")], |rt, _, args| {
            Ok(RoleObj::of(core(rt)?.cell.auth().role_by_name(&args.str(rt, 0)?)))
        }),
        FuncDef::rw("del", &[Arg::req("iden")], |rt, _, args| {
            either(rt, &["auth", "role", "del"], &["storm", "lib", "auth", "roles", "del"])?;
            core(rt)?.cell.auth().del_role(&args.str(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", &[Arg::req("iden")], |rt, _, args| match args.opt_str(rt, 0)? {
            Some(iden) => Ok(RoleObj::of(core(rt)?.cell.auth().role(&iden))),
            None => Ok(Item::NULL),
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            Ok(Item::list(core(rt)?.cell.auth().roles().into_iter().map(|role| RoleObj::of(Some(role)))))
        }),
    ],
    consts: &[],
};

const GATE: Arg = Arg::opt("gateiden", Dflt::Null);
const SET_RULES: &[&str] = &["auth", "role", "set", "rules"];

static DEF: TypeDef = TypeDef {
    name: "auth:role",
    funcs: &[
        FuncDef::rw("addRule", &[Arg::req("rule"), GATE, Arg::opt("indx", Dflt::Null)], add_rule),
        FuncDef::rw("delRule", &[Arg::req("rule"), GATE], |rt, this, args| {
            let (rule, gate) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?);
            rt.confirm(SET_RULES, gate_text(&gate))?;
            core(rt)?.cell.auth().del_role_rule(&this_role(rt, this)?, &rule, gate_text(&gate))?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("gates", &[], |rt, this, _| {
            let info = this_role(rt, this)?.info();
            gates_of(rt, info.get("authgates").unwrap_or(&Value::Null))
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, this, args| {
            Ok(entry(&this_role(rt, this)?.pack(), &args.str(rt, 0)?)?.unwrap_or_default())
        }),
        FuncDef::ro("getRules", &[GATE], |rt, this, args| {
            Ok(rules_item(this_role(rt, this)?.rules(gate_text(&args.opt_str(rt, 0)?))))
        }),
        FuncDef::ro("pack", &[], |rt, this, _| Ok(Item::stored(&this_obj(this)?.value(rt)?))),
        FuncDef::rw("popRule", &[Arg::req("indx"), GATE], |rt, this, args| {
            let gate = args.opt_str(rt, 1)?;
            rt.confirm(SET_RULES, gate_text(&gate))?;
            let role = this_role(rt, this)?;
            let mut rules = role.rules(gate_text(&gate));
            let rule = pop_at(&mut rules, args.int(rt, 0)?, &format!("The role {}", role.iden()))?;
            core(rt)?.cell.auth().set_role_rules(&role, rules.into(), gate_text(&gate))?;
            Ok(Item::stored(&rule))
        }),
        FuncDef::rw("setRules", &[Arg::req("rules"), GATE], |rt, this, args| {
            let (rules, gate) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?);
            rt.confirm(SET_RULES, gate_text(&gate))?;
            core(rt)?.cell.auth().set_role_rules(&this_role(rt, this)?, rules, gate_text(&gate))?;
            Ok(Item::NULL)
        }),
    ],
    getters: &[("iden", |_, this| Ok(Item::from(&*this_obj(this)?.0)))],
    setters: &[("name", false, |rt, this, valu| {
        rt.confirm(&["auth", "role", "set", "name"], None)?;
        Ok(core(rt)?.cell.auth().rename_role(&this_obj(this)?.0, &valu.tostr(rt)?)?)
    })],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF]);
    registry.add_computed("auth:role", &["iden", "name"]);
    registry.add_lib(&LIB);
}

/// A role, by its iden.
pub struct RoleObj(Arc<str>);

impl RoleObj {
    /// The object of a role, or null.
    pub fn of(role: Option<Role>) -> Item {
        role.map_or(Item::NULL, |role| Item::obj(RoleObj(role.iden().clone())))
    }
}

impl StormObj for RoleObj {
    fn type_name(&self) -> &'static str {
        "auth:role"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DEF)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let role = core(rt)?.cell.auth().req_role(&self.0)?;
        entry(&role.pack(), &name.tostr(rt)?)
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        let role = core(rt)?.cell.auth().role(&self.0);
        Ok(role.map_or(Value::Null, |role| role.pack().into()))
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::from(&*self.0))
    }
}

fn this_obj(this: &Item) -> Flow<&RoleObj> {
    match this.as_obj::<RoleObj>() {
        Some(role) => Ok(role),
        None => fail!("BadArg", mesg = "This is no role."),
    }
}

fn this_role(rt: &Rt, this: &Item) -> Flow<Role> {
    Ok(core(rt)?.cell.auth().req_role(&this_obj(this)?.0)?)
}

fn add_rule(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (rule, gate, indx) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?, args.opt_int(rt, 2)?);
    rt.confirm(SET_RULES, gate_text(&gate))?;
    if gate.as_deref() == Some("cortex") {
        rt.warn("Adding rule on the \"cortex\" authgate. This authgate is not used for permission checks.")?;
    }
    core(rt)?.cell.auth().add_role_rule(&this_role(rt, this)?, &rule, indx, gate_text(&gate))?;
    Ok(Item::NULL)
}
