//! `$lib.auth.users` and the object `auth:user`.

use std::any::Any;
use std::sync::Arc;

use myelin_cell::User as CellUser;
use myelin_error::err;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};

use super::values::{UserValues, vars_of};
use super::{GateObj, RoleObj, entry, gate_text, perm_parts, pop_at, rules_item};
use crate::libs::util::{core, user};

static LIB: LibDef = LibDef {
    path: "auth.users",
    funcs: &[
        FuncDef::rw(
            "add",
            &[
                Arg::req("name"),
                Arg::opt("passwd", Dflt::Null),
                Arg::opt("email", Dflt::Null),
                Arg::opt("iden", Dflt::Null),
            ],
            add,
        ),
        FuncDef::ro("byemail", &[Arg::req("email")], |rt, _, args| {
            Ok(obj_of(core(rt)?.cell.auth().user_by_email(&args.str(rt, 0)?)?))
        }),
        FuncDef::ro("byname", &[Arg::req("name")], |rt, _, args| {
            Ok(obj_of(core(rt)?.cell.auth().user_by_name(&args.str(rt, 0)?)))
        }),
        FuncDef::rw("del", &[Arg::req("iden")], |rt, _, args| {
            either(rt, &["auth", "user", "del"], &["storm", "lib", "auth", "users", "del"])?;
            core(rt)?.cell.auth().del_user(&args.str(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", &[Arg::opt("iden", Dflt::Null)], |rt, _, args| {
            let iden = args.opt_str(rt, 0)?.unwrap_or_else(|| Arc::from(rt.user().iden()));
            Ok(obj_of(core(rt)?.cell.auth().user(&iden)))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            Ok(Item::list(core(rt)?.cell.auth().users().into_iter().map(|user| obj_of(Some(user)))))
        }),
    ],
    consts: &[],
};

const GATE: Arg = Arg::opt("gateiden", Dflt::Null);
const PERM_ARGS: &[Arg] = &[Arg::req("permname"), GATE, Arg::opt("default", Dflt::Bool(false))];

static DEF: TypeDef = TypeDef {
    name: "auth:user",
    funcs: &[
        FuncDef::rw("addRule", &[Arg::req("rule"), GATE, Arg::opt("indx", Dflt::Null)], add_rule),
        FuncDef::ro("allowed", PERM_ARGS, |rt, this, args| {
            let (perm, gate, default) = (args.str(rt, 0)?, args.opt_str(rt, 1)?, args.bool(rt, 2)?);
            let user = this_user(rt, this)?;
            Ok(Item::from(user.allowed_or(&perm_parts(&perm), Some(default), gate_text(&gate), false)))
        }),
        FuncDef::rw("delApiKey", &[Arg::req("iden")], |rt, this, args| {
            let iden = args.str(rt, 0)?;
            self_or(rt, this, "apikey")?;
            Ok(Item::from(core(rt)?.cell.del_api_key(&iden)?))
        }),
        FuncDef::rw("delRule", &[Arg::req("rule"), GATE], |rt, this, args| {
            let (rule, gate) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?);
            rt.confirm(&["auth", "user", "set", "rules"], gate_text(&gate))?;
            core(rt)?.cell.auth().del_user_rule(&this_user(rt, this)?, &rule, gate_text(&gate))?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("gates", &[], |rt, this, _| {
            let gates = this_user(rt, this)?.get("authgates");
            gates_of(rt, &gates)
        }),
        FuncDef::rw("genApiKey", &[Arg::req("name"), Arg::opt("duration", Dflt::Null)], |rt, this, args| {
            let (name, duration) = (args.str(rt, 0)?, args.opt_int(rt, 1)?);
            self_or(rt, this, "apikey")?;
            let (token, kdef) = core(rt)?.cell.add_api_key(&this_obj(this)?.0, &name, duration)?;
            Ok(Item::Val(Value::list([token.into(), kdef.into()])))
        }),
        FuncDef::rw("get", &[Arg::req("name")], |rt, this, args| {
            let name = args.str(rt, 0)?;
            let packed = this_user(rt, this)?.pack(&*name == "roles");
            Ok(entry(&packed, &name)?.unwrap_or_default())
        }),
        FuncDef::ro("getAllowedReason", PERM_ARGS, |rt, this, args| {
            let (perm, gate, default) = (args.str(rt, 0)?, args.opt_str(rt, 1)?, args.bool(rt, 2)?);
            let user = this_user(rt, this)?;
            let reason = user.allowed_reason(&perm_parts(&perm), Some(default), gate_text(&gate));
            Ok(Item::Val(Value::list([reason.value.into(), reason.mesg().into()])))
        }),
        FuncDef::ro("getApiKey", &[Arg::req("iden")], |rt, this, args| {
            let iden = args.str(rt, 0)?;
            self_or(rt, this, "apikey")?;
            match core(rt)?.cell.api_key(&iden)? {
                Some(kdef) => Ok(Item::stored(&kdef.into())),
                None => Err(err!("NoSuchIden", mesg = "There is no such API key.", iden = &*iden).into()),
            }
        }),
        FuncDef::ro("getRules", &[GATE], |rt, this, args| {
            Ok(rules_item(this_user(rt, this)?.rules(gate_text(&args.opt_str(rt, 0)?))))
        }),
        FuncDef::rw("grant", &[Arg::req("iden"), Arg::opt("indx", Dflt::Null)], |rt, this, args| {
            rt.confirm(&["auth", "user", "grant"], None)?;
            let (iden, indx) = (args.str(rt, 0)?, args.opt_int(rt, 1)?);
            core(rt)?.cell.auth().grant(&this_user(rt, this)?, &iden, indx)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("listApiKeys", &[], |rt, this, _| {
            self_or(rt, this, "apikey")?;
            let keys = core(rt)?.cell.list_api_keys(Some(&this_obj(this)?.0))?;
            Ok(Item::list(keys.into_iter().map(|kdef| Item::stored(&kdef.into()))))
        }),
        FuncDef::rw("modApiKey", &[Arg::req("iden"), Arg::req("name"), Arg::req("valu")], mod_api_key),
        FuncDef::rw("notify", &[Arg::req("mesgtype"), Arg::req("mesgdata")], |rt, this, args| {
            rt.warn_once("user.notify() is deprecated.")?;
            rt.req_admin(None, Some("$user.notify() method requires admin privs."))?;
            let (kind, info) = (args.str(rt, 0)?, args.prim(rt, 1)?);
            Ok(Item::from(core(rt)?.stores.jsonstor.add_notif(&this_obj(this)?.0, &kind, info)?))
        }),
        FuncDef::ro("pack", &[], |rt, this, _| Ok(Item::stored(&this_obj(this)?.value(rt)?))),
        FuncDef::rw("popRule", &[Arg::req("indx"), GATE], |rt, this, args| {
            let gate = args.opt_str(rt, 1)?;
            rt.confirm(&["auth", "user", "set", "rules"], gate_text(&gate))?;
            let user = this_user(rt, this)?;
            let mut rules = user.rules(gate_text(&gate));
            let rule = pop_at(&mut rules, args.int(rt, 0)?, &format!("The user {}", user.iden()))?;
            core(rt)?.cell.auth().set_user_rules(&user, rules.into(), gate_text(&gate))?;
            Ok(Item::stored(&rule))
        }),
        FuncDef::rw("revoke", &[Arg::req("iden")], |rt, this, args| {
            rt.confirm(&["auth", "user", "revoke"], None)?;
            core(rt)?.cell.auth().revoke(&this_user(rt, this)?, &args.str(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("roles", &[], |rt, this, _| {
            // Nobody has no roles: a user who was deleted meanwhile is no error here.
            let roles = core(rt)?.cell.auth().user(&this_obj(this)?.0).map(|user| user.roles()).unwrap_or_default();
            Ok(Item::list(roles.into_iter().map(|role| RoleObj::of(Some(role)))))
        }),
        FuncDef::rw("setAdmin", &[Arg::req("admin"), GATE], |rt, this, args| {
            let gate = args.opt_str(rt, 1)?;
            rt.confirm(&["auth", "user", "set", "admin"], gate_text(&gate))?;
            core(rt)?.cell.auth().set_admin(&this_user(rt, this)?, args.bool(rt, 0)?, gate_text(&gate))?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("setArchived", &[Arg::req("archived")], |rt, this, args| {
            rt.confirm(&["auth", "user", "set", "archived"], None)?;
            core(rt)?.cell.auth().set_archived(&this_user(rt, this)?, args.bool(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("setEmail", &[Arg::req("email")], |rt, this, args| {
            set_email(rt, this, args.item(0).clone())?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("setLocked", &[Arg::req("locked")], |rt, this, args| {
            rt.confirm(&["auth", "user", "set", "locked"], None)?;
            core(rt)?.cell.auth().set_locked(&this_user(rt, this)?, args.bool(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("setPasswd", &[Arg::req("passwd")], |rt, this, args| {
            let passwd = args.opt_str(rt, 0)?;
            self_or(rt, this, "passwd")?;
            core(rt)?.cell.auth().set_passwd(&this_user(rt, this)?, &Value::from(passwd), true)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("setRoles", &[Arg::req("idens")], |rt, this, args| {
            rt.confirm(&["auth", "user", "grant"], None)?;
            rt.confirm(&["auth", "user", "revoke"], None)?;
            core(rt)?.cell.auth().set_roles(&this_user(rt, this)?, &args.prim(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("setRules", &[Arg::req("rules"), GATE], |rt, this, args| {
            let (rules, gate) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?);
            rt.confirm(&["auth", "user", "set", "rules"], gate_text(&gate))?;
            core(rt)?.cell.auth().set_user_rules(&this_user(rt, this)?, rules, gate_text(&gate))?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("tell", &[Arg::req("text")], |rt, this, args| {
            rt.warn_once("user.tell() is deprecated.")?;
            let iden = &this_obj(this)?.0;
            if !rt.asroot() {
                user(rt)?.confirm_or(&["tell", iden], Some(true), None)?;
            }
            let info = Map::new().with("text", args.str(rt, 0)?).with("from", rt.user().iden());
            Ok(Item::from(core(rt)?.stores.jsonstor.add_notif(iden, "tell", info.into())?))
        }),
    ],
    getters: &[
        ("iden", |_, this| Ok(Item::from(&*this_obj(this)?.0))),
        ("json", |_, this| Ok(crate::libs::jsonstor::user_json(&this_obj(this)?.0))),
        ("profile", |_, this| Ok(Item::obj(UserValues::new(&this_obj(this)?.0, "profile")))),
        ("vars", |rt, this| vars_of(rt, &this_obj(this)?.0)),
    ],
    setters: &[("name", false, set_name), ("email", false, set_email)],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF, &super::values::VARS, &super::values::PROFILE]);
    registry.add_computed("auth:user", &["iden", "name", "email"]);
    registry.add_lib(&LIB);
}

/// A user, by its iden.
pub struct UserObj(pub Arc<str>);

impl StormObj for UserObj {
    fn type_name(&self) -> &'static str {
        "auth:user"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DEF)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let user = core(rt)?.cell.auth().req_user(&self.0)?;
        entry(&user.pack(false), &name.tostr(rt)?)
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        let user = core(rt)?.cell.auth().user(&self.0);
        Ok(user.map_or(Value::Null, |user| user.pack(true).into()))
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::from(&*self.0))
    }
}

/// Gates by the idens that are the keys of a record's `authgates`.
pub fn gates_of(rt: &Rt, gates: &Value) -> Flow<Item> {
    let auth = core(rt)?.cell.auth();
    let idens = gates.as_map().into_iter().flat_map(|map| map.text_entries().map(|(iden, _)| iden));
    Ok(Item::list(idens.filter_map(|iden| auth.gate(iden)).map(|gate| GateObj::of(&gate))))
}

fn obj_of(user: Option<CellUser>) -> Item {
    user.map_or(Item::NULL, |user| Item::obj(UserObj(user.iden().clone())))
}

fn this_obj(this: &Item) -> Flow<&UserObj> {
    match this.as_obj::<UserObj>() {
        Some(user) => Ok(user),
        None => fail!("BadArg", mesg = "This is no user."),
    }
}

fn this_user(rt: &Rt, this: &Item) -> Flow<CellUser> {
    Ok(core(rt)?.cell.auth().req_user(&this_obj(this)?.0)?)
}

/// Refuses who has neither of two permissions; the second is the old name.
pub fn either(rt: &Rt, perm: &[&str], old: &[&str]) -> Flow<()> {
    if rt.allowed(perm, None) { Ok(()) } else { rt.confirm(old, None) }
}

/// Refuses who may not set that of the user: one's own mostly may.
fn self_or(rt: &Rt, this: &Item, what: &str) -> Flow<()> {
    if *rt.user().iden() != *this_obj(this)?.0 {
        return rt.confirm(&["auth", "user", "set", what], None);
    }
    if rt.asroot() {
        return Ok(());
    }
    Ok(this_user(rt, this)?.confirm_or(&["auth", "self", "set", what], Some(true), None)?)
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    either(rt, &["auth", "user", "add"], &["storm", "lib", "auth", "users", "add"])?;
    let (name, passwd) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
    let (email, iden) = (args.opt_str(rt, 2)?, args.opt_str(rt, 3)?);
    let auth = core(rt)?.cell.auth();
    Ok(obj_of(Some(auth.add_user(&name, passwd.as_deref(), &Value::from(email), iden.as_deref())?)))
}

fn add_rule(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (rule, gate, indx) = (args.prim(rt, 0)?, args.opt_str(rt, 1)?, args.opt_int(rt, 2)?);
    rt.confirm(&["auth", "user", "set", "rules"], gate_text(&gate))?;
    if gate.as_deref() == Some("cortex") {
        rt.warn("Adding rule on the \"cortex\" authgate. This authgate is not used for permission checks.")?;
    }
    core(rt)?.cell.auth().add_user_rule(&this_user(rt, this)?, &rule, indx, gate_text(&gate))?;
    Ok(Item::NULL)
}

fn mod_api_key(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (iden, name, valu) = (args.str(rt, 0)?, args.str(rt, 1)?, args.prim(rt, 2)?);
    self_or(rt, this, "apikey")?;
    match (&*name, valu.as_str()) {
        ("name", Some(valu)) => Ok(Item::stored(&core(rt)?.cell.mod_api_key(&iden, valu)?.into())),
        _ => fail!("BadArg", mesg = format!("The {name} of an API key cannot be set to this."), name = name),
    }
}

fn set_name(rt: &Rt, this: &Item, valu: Item) -> Flow<()> {
    let name = valu.tostr(rt)?;
    self_or(rt, this, "name")?;
    Ok(core(rt)?.cell.auth().rename_user(&this_obj(this)?.0, &name)?)
}

fn set_email(rt: &Rt, this: &Item, valu: Item) -> Flow<()> {
    let email = valu.tostr(rt)?;
    self_or(rt, this, "email")?;
    Ok(core(rt)?.cell.auth().set_email_of(&this_user(rt, this)?, Value::from(email))?)
}
