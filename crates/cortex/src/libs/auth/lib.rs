//! `$lib.auth`: rules as text and the permission definitions; `$lib.user`: the user of the query;
//! `$lib.auth.easyperm`: permissions in records.

use std::sync::Arc;

use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};

use super::perm_parts;
use super::values::OwnValues;
use crate::libs::util::{core, user};
use crate::parts::easyperm::{self, Level};
use crate::perms;

static AUTH: LibDef = LibDef {
    path: "auth",
    funcs: &[
        FuncDef::ro("getPermDef", &[Arg::req("perm")], |rt, _, args| {
            let perm = args.prim(rt, 0)?;
            let parts: Vec<&str> = perm.as_list().unwrap_or_default().iter().filter_map(Value::as_str).collect();
            Ok(perms::find(core(rt)?, &parts).map_or(Item::NULL, |def| Item::deep(&def.into())))
        }),
        FuncDef::ro("getPermDefs", &[], |rt, _, _| {
            Ok(Item::list(perms::all(core(rt)?).into_iter().map(|def| Item::deep(&def.into()))))
        }),
        FuncDef::ro("ruleFromText", &[Arg::req("text")], |rt, _, args| {
            let text = args.str(rt, 0)?;
            let (allow, path) = match text.strip_prefix('!') {
                Some(path) => (false, path),
                None => (true, &*text),
            };
            Ok(Item::Val(Value::list([Value::from(allow), path.split('.').map(Value::from).collect()])))
        }),
        FuncDef::ro("textFromRule", &[Arg::req("rule")], |rt, _, args| {
            let rule = args.prim(rt, 0)?;
            let path = rule.at(1).and_then(Value::as_list).unwrap_or_default();
            let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
            let mark = if rule.at(0).is_some_and(Value::is_truthy) { "" } else { "!" };
            Ok(Item::from(format!("{mark}{}", path.join("."))))
        }),
    ],
    consts: &[],
};

static EASYPERM: LibDef = LibDef {
    path: "auth.easyperm",
    funcs: &[
        FuncDef::rw("allowed", &[Arg::req("edef"), Arg::req("level")], |rt, _, args| {
            let (edef, level) = (edef(rt, &args)?, level(rt, &args, 1)?);
            Ok(Item::from(rt.asroot() || easyperm::allows(&edef, &user(rt)?, level)))
        }),
        FuncDef::rw("confirm", &[Arg::req("edef"), Arg::req("level"), Arg::opt("mesg", Dflt::Null)], |rt, _, args| {
            let (edef, level) = (edef(rt, &args)?, level(rt, &args, 1)?);
            let mesg = args.opt_str(rt, 2)?;
            let user = user(rt)?;
            if !rt.asroot() && !easyperm::allows(&edef, &user, level) {
                let mesg = mesg
                    .unwrap_or_else(|| Arc::from(format!("User requires {} permission on the object.", level.name())));
                fail!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name());
            }
            Ok(Item::NULL)
        }),
        FuncDef::rw("init", &[Arg::opt("edef", Dflt::Null), Arg::opt("default", Dflt::Int(1))], |rt, _, args| {
            let mut edef = match args.prim(rt, 0)? {
                Value::Null => Map::new(),
                _ => self::edef(rt, &args)?,
            };
            let default = Level::from_number(args.int(rt, 1)?)?;
            easyperm::init(&mut edef, default, Some(rt.user().iden()));
            Ok(Item::deep(&edef.into()))
        }),
        FuncDef::rw(
            "set",
            &[Arg::req("edef"), Arg::req("scope"), Arg::req("iden"), Arg::req("level")],
            |rt, _, args| {
                let mut edef = edef(rt, &args)?;
                let level = args.opt_int(rt, 3)?.map(Level::from_number).transpose()?;
                let (scope, iden) = (args.str(rt, 1)?, args.str(rt, 2)?);
                easyperm::set(&mut edef, core(rt)?.cell.auth(), &scope, &iden, level)?;
                Ok(Item::deep(&edef.into()))
            },
        ),
    ],
    consts: &[],
};

static LEVELS: LibDef = LibDef {
    path: "auth.easyperm.level",
    funcs: &[],
    consts: &[
        ("deny", |_, _| Ok(Item::from(Level::Deny as i64))),
        ("read", |_, _| Ok(Item::from(Level::Read as i64))),
        ("edit", |_, _| Ok(Item::from(Level::Edit as i64))),
        ("admin", |_, _| Ok(Item::from(Level::Admin as i64))),
    ],
};

static USER: LibDef = LibDef {
    path: "user",
    funcs: &[
        FuncDef::ro("name", &[], |rt, _, _| Ok(Item::from(rt.user().name()))),
        FuncDef::ro(
            "allowed",
            &[Arg::req("permname"), Arg::opt("gateiden", Dflt::Null), Arg::opt("default", Dflt::Bool(false))],
            |rt, _, args| {
                let (perm, gate, default) = (args.str(rt, 0)?, args.opt_str(rt, 1)?, args.bool(rt, 2)?);
                let allowed = user(rt)?.allowed_or(&perm_parts(&perm), Some(default), gate.as_deref(), false);
                Ok(Item::from(allowed))
            },
        ),
    ],
    consts: &[
        ("iden", |rt, _| Ok(Item::from(rt.user().iden()))),
        ("vars", |rt, _| Ok(Item::obj(OwnValues::new(rt.user().iden(), "vars")))),
        ("profile", |rt, _| Ok(Item::obj(OwnValues::new(rt.user().iden(), "profile")))),
        ("json", |rt, _| Ok(crate::libs::jsonstor::user_json(rt.user().iden()))),
    ],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&AUTH);
    registry.add_lib(&EASYPERM);
    registry.add_lib(&LEVELS);
    registry.add_lib(&USER);
}

fn edef(rt: &Rt, args: &Args) -> Flow<Map> {
    match args.prim(rt, 0)? {
        Value::Map(map) => Ok((*map).clone()),
        _ => fail!("BadArg", mesg = "Object to check permissions on must be a dictionary.", name = "edef"),
    }
}

fn level(rt: &Rt, args: &Args, indx: usize) -> Flow<Level> {
    Ok(Level::from_number(args.int(rt, indx)?)?)
}
