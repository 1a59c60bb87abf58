//! Users, roles, rules, passwords and API keys over telepath.

use myelin_error::{Result, err};
use myelin_telepath::{Args, MethTable};
use myelin_value::{Map, Value};

use super::{CellApi, admin, logged, null, packed, perm_of};
use crate::{Role, User};

type Table = MethTable<CellApi>;

pub(super) fn add(table: Table) -> Table {
    by_name(keys(checks(passwords(rules(roles(users(table)))))))
}

impl CellApi {
    fn user_arg(&self, args: &Args, name: &str) -> Result<User> {
        self.cell().auth().req_user(args.str(name)?)
    }

    fn role_arg(&self, args: &Args, name: &str) -> Result<Role> {
        self.cell().auth().req_role(args.str(name)?)
    }

    /// A user's own thing needs one permission, which everybody has unless it is denied; that of others another.
    fn confirm_for(&self, useriden: &str, what: &str) -> Result<()> {
        if &**self.user().iden() == useriden {
            return self.user().confirm_or(&["auth", "self", "set", what], Some(true), None);
        }
        self.user().confirm(&["auth", "user", "set", what], None)
    }
}

fn bool_arg(args: &Args, name: &str) -> Result<bool> {
    let bad = || err!("BadArg", mesg = format!("The argument {name} must be true or false."), name = name);
    args.get(name).as_bool().ok_or_else(bad)
}

/// A user as old clients know it: with the names of its roles.
fn with_role_names(user: &User) -> Map {
    let names: Value = user.roles().iter().map(|role| Value::from(role.name())).collect();
    user.pack(false).with("roles", names)
}

fn users(t: Table) -> Table {
    let t = logged(t, "addUser", "name, passwd=None, email=None, iden=None", |api, args| {
        let auth = api.cell().auth();
        let user =
            auth.add_user(args.str("name")?, args.opt_str("passwd")?, args.get("email"), args.opt_str("iden")?)?;
        Ok(user.pack(true).into())
    });
    let t = logged(t, "delUser", "iden", |api, args| null(api.cell().auth().del_user(args.str("iden")?)));
    let t = logged(t, "setUserAdmin", "iden, admin, gateiden=None", |api, args| {
        null(api.cell().auth().set_admin(
            &api.user_arg(args, "iden")?,
            bool_arg(args, "admin")?,
            args.opt_str("gateiden")?,
        ))
    });
    let t = logged(t, "setUserLocked", "useriden, locked", |api, args| {
        null(api.cell().auth().set_locked(&api.user_arg(args, "useriden")?, bool_arg(args, "locked")?))
    });
    let t = logged(t, "setUserArchived", "useriden, archived", |api, args| {
        null(api.cell().auth().set_archived(&api.user_arg(args, "useriden")?, bool_arg(args, "archived")?))
    });
    let t = logged(t, "setUserEmail", "useriden, email", |api, args| {
        null(api.cell().auth().set_email_of(&api.user_arg(args, "useriden")?, args.get("email").clone()))
    });
    let t = admin(t, "getUserDef", "iden, packroles=True", |api, args| {
        let user = api.cell().auth().user(args.str("iden")?);
        Ok(user.map_or(Value::Null, |user| user.pack(args.get("packroles").is_truthy()).into()))
    });
    let t = admin(t, "getUserDefByName", "name", |api, args| {
        let user = api.cell().auth().user_by_name(args.str("name")?);
        Ok(user.map_or(Value::Null, |user| user.pack(true).into()))
    });
    let t =
        admin(t, "getUserDefs", "", |api, _| Ok(packed(api.cell().auth().users().iter().map(|user| user.pack(true)))));
    let t = admin(t, "getAuthUsers", "archived=False", |api, args| {
        let all = args.get("archived").is_truthy();
        let users = api.cell().auth().users();
        Ok(packed(users.iter().filter(|user| all || !user.is_archived()).map(|user| user.pack(false))))
    });
    let t = admin(t, "getUserProfile", "iden", |api, args| {
        let valus = api.cell().auth().user_values("profile", api.user_arg(args, "iden")?.iden())?;
        Ok(valus.into_iter().collect::<Map>().into())
    });
    let t = admin(t, "getUserProfInfo", "iden, name", |api, args| {
        let user = api.user_arg(args, "iden")?;
        Ok(api.cell().auth().user_value("profile", user.iden(), args.str("name")?)?.unwrap_or_default())
    });
    let t = admin(t, "setUserProfInfo", "iden, name, valu", |api, args| {
        let user = api.user_arg(args, "iden")?;
        api.cell().auth().set_user_value("user:profile", user.iden(), args.str("name")?, args.get("valu").clone())
    });
    admin(t, "popUserProfInfo", "iden, name, default=None", |api, args| {
        let auth = api.cell().auth();
        auth.pop_user_value("user:profile", args.str("iden")?, args.str("name")?, args.get("default").clone())
    })
}

fn roles(t: Table) -> Table {
    let t = logged(t, "addRole", "name, iden=None", |api, args| {
        Ok(api.cell().auth().add_role(args.str("name")?, args.opt_str("iden")?)?.pack().into())
    });
    let t = logged(t, "delRole", "iden", |api, args| null(api.cell().auth().del_role(args.str("iden")?)));
    let t = admin(t, "getRoleDef", "iden", |api, args| {
        Ok(api.cell().auth().role(args.str("iden")?).map_or(Value::Null, |role| role.pack().into()))
    });
    let t = admin(t, "getRoleDefByName", "name", |api, args| {
        Ok(api.cell().auth().role_by_name(args.str("name")?).map_or(Value::Null, |role| role.pack().into()))
    });
    let t = admin(t, "getRoleDefs", "", |api, _| Ok(packed(api.cell().auth().roles().iter().map(Role::pack))));
    let t = admin(t, "getAuthRoles", "", |api, _| Ok(packed(api.cell().auth().roles().iter().map(Role::pack))));
    let t = logged(t, "addUserRole", "useriden, roleiden, indx=None", |api, args| {
        let user = api.user_arg(args, "useriden")?;
        null(api.cell().auth().grant(&user, args.str("roleiden")?, args.opt_int("indx")?))
    });
    let t = logged(t, "delUserRole", "useriden, roleiden", |api, args| {
        null(api.cell().auth().revoke(&api.user_arg(args, "useriden")?, args.str("roleiden")?))
    });
    let t = logged(t, "setUserRoles", "useriden, roleidens", |api, args| {
        null(api.cell().auth().set_roles(&api.user_arg(args, "useriden")?, args.get("roleidens")))
    });
    let t = admin(t, "getAuthGate", "iden", |api, args| {
        Ok(api.cell().auth().gate(args.str("iden")?).map_or(Value::Null, |gate| gate.pack().into()))
    });
    admin(t, "getAuthGates", "", |api, _| Ok(packed(api.cell().auth().gates().iter().map(|gate| gate.pack()))))
}

fn rules(t: Table) -> Table {
    let t = logged(t, "addUserRule", "iden, rule, indx=None, gateiden=None", |api, args| {
        let user = api.user_arg(args, "iden")?;
        let (indx, gate) = (args.opt_int("indx")?, args.opt_str("gateiden")?);
        null(api.cell().auth().add_user_rule(&user, args.get("rule"), indx, gate))
    });
    let t = logged(t, "delUserRule", "iden, rule, gateiden=None", |api, args| {
        let user = api.user_arg(args, "iden")?;
        api.cell().auth().del_user_rule(&user, args.get("rule"), args.opt_str("gateiden")?).map(Value::from)
    });
    let t = logged(t, "setUserRules", "iden, rules, gateiden=None", |api, args| {
        let user = api.user_arg(args, "iden")?;
        null(api.cell().auth().set_user_rules(&user, args.get("rules").clone(), args.opt_str("gateiden")?))
    });
    let t = logged(t, "addRoleRule", "iden, rule, indx=None, gateiden=None", |api, args| {
        let role = api.role_arg(args, "iden")?;
        let (indx, gate) = (args.opt_int("indx")?, args.opt_str("gateiden")?);
        null(api.cell().auth().add_role_rule(&role, args.get("rule"), indx, gate))
    });
    let t = logged(t, "delRoleRule", "iden, rule, gateiden=None", |api, args| {
        let role = api.role_arg(args, "iden")?;
        api.cell().auth().del_role_rule(&role, args.get("rule"), args.opt_str("gateiden")?).map(Value::from)
    });
    logged(t, "setRoleRules", "iden, rules, gateiden=None", |api, args| {
        let role = api.role_arg(args, "iden")?;
        null(api.cell().auth().set_role_rules(&role, args.get("rules").clone(), args.opt_str("gateiden")?))
    })
}

fn passwords(t: Table) -> Table {
    let t = t.blocking("setUserPasswd", "iden, passwd", |api, _, args| {
        let user = api.user_arg(&args, "iden")?;
        api.confirm_for(user.iden(), "passwd")?;
        null(api.cell().auth().set_passwd(&user, args.get("passwd"), true))
    });
    let t = admin(t, "genUserOnepass", "iden, duration=60000", |api, args| {
        let user = api.user_arg(args, "iden")?;
        api.cell().auth().gen_onepass(&user, args.int("duration")?).map(Value::from)
    });
    admin(t, "tryUserPasswd", "name, passwd", |api, args| {
        let auth = api.cell().auth();
        let Some(user) = auth.user_by_name(args.str("name")?) else { return Ok(Value::Null) };
        let good = auth.try_passwd(&user, args.str("passwd")?)?;
        Ok(if good { user.pack(false).into() } else { Value::Null })
    })
}

fn checks(t: Table) -> Table {
    let t = t.blocking("allowed", "perm, default=None", |api, _, args| {
        let allowed = api.user().allowed_or(&perm_of(&args, "perm")?, args.get("default").as_bool(), None, false);
        Ok(allowed.map_or(Value::Null, Value::Bool))
    });
    let t = admin(t, "isUserAllowed", "iden, perm, gateiden=None, default=False", |api, args| {
        let Some(user) = api.cell().auth().user(args.str("iden")?) else { return Ok(Value::Bool(false)) };
        let (default, gate) = (args.get("default"), args.opt_str("gateiden")?);
        // What is given for the default is what comes back, whatever it is.
        let allowed = user.allowed_or(&perm_of(args, "perm")?, default.as_bool(), gate, false);
        Ok(allowed.map_or_else(|| default.clone(), Value::Bool))
    });
    admin(t, "isRoleAllowed", "iden, perm, gateiden=None", |api, args| {
        let Some(role) = api.cell().auth().role(args.str("iden")?) else { return Ok(Value::Bool(false)) };
        let allowed = role.allowed(&perm_of(args, "perm")?, None, args.opt_str("gateiden")?);
        Ok(allowed.map_or(Value::Null, Value::Bool))
    })
}

fn keys(t: Table) -> Table {
    let t = t.blocking("addUserApiKey", "name, duration=None, useriden=None", |api, _, args| {
        let useriden = args.opt_str("useriden")?.unwrap_or(api.user().iden());
        api.confirm_for(useriden, "apikey")?;
        let (token, kdef) = api.cell().add_api_key(useriden, args.str("name")?, args.opt_int("duration")?)?;
        Ok(Value::list([token.into(), kdef.into()]))
    });
    let t = t.blocking("listUserApiKeys", "useriden=None", |api, _, args| {
        let useriden = args.opt_str("useriden")?.unwrap_or(api.user().iden());
        api.confirm_for(useriden, "apikey")?;
        Ok(packed(api.cell().list_api_keys(Some(useriden))?))
    });
    let t = t.blocking("delUserApiKey", "iden", |api, _, args| {
        let iden = args.str("iden")?;
        let missing = || err!("NoSuchIden", mesg = "There is no such API key.", iden = iden);
        let kdef = api.cell().api_key(iden)?.ok_or_else(missing)?;
        api.confirm_for(kdef.get_str("user").unwrap_or_default(), "apikey")?;
        api.cell().del_api_key(iden).map(Value::from)
    });
    logged(t, "checkUserApiKey", "key", |api, args| {
        Ok(match api.cell().check_api_key(args.str("key")?)? {
            Ok(info) => Value::list([Value::Bool(true), info.into()]),
            Err(mesg) => Value::list([Value::Bool(false), Map::new().with("mesg", mesg).into()]),
        })
    })
}

/// Calls of old clients, by name.
fn by_name(t: Table) -> Table {
    let t = logged(t, "addAuthRole", "name", |api, args| {
        Ok(api.cell().auth().add_role(args.str("name")?, None)?.pack().into())
    });
    let t = logged(t, "delAuthRole", "name", |api, args| {
        let auth = api.cell().auth();
        null(auth.del_role(auth.req_role_by_name(args.str("name")?)?.iden()))
    });
    let t = logged(t, "delAuthUser", "name", |api, args| {
        let auth = api.cell().auth();
        null(auth.del_user(auth.req_user_by_name(args.str("name")?)?.iden()))
    });
    let t = logged(t, "setAuthAdmin", "name, isadmin", |api, args| {
        let auth = api.cell().auth();
        null(auth.set_admin(&auth.req_user_by_name(args.str("name")?)?, bool_arg(args, "isadmin")?, None))
    });
    let t = logged(t, "addAuthRule", "name, rule, indx=None, gateiden=None", |api, args| {
        let (auth, name) = (api.cell().auth(), args.str("name")?);
        let (indx, gate) = (args.opt_int("indx")?, args.opt_str("gateiden")?);
        null(match auth.user_by_name(name) {
            Some(user) => auth.add_user_rule(&user, args.get("rule"), indx, gate),
            None => auth.add_role_rule(&auth.req_role_by_name(name)?, args.get("rule"), indx, gate),
        })
    });
    let t = logged(t, "delAuthRule", "name, rule, gateiden=None", |api, args| {
        let (auth, name, gate) = (api.cell().auth(), args.str("name")?, args.opt_str("gateiden")?);
        let done = match auth.user_by_name(name) {
            Some(user) => auth.del_user_rule(&user, args.get("rule"), gate),
            None => auth.del_role_rule(&auth.req_role_by_name(name)?, args.get("rule"), gate),
        };
        done.map(|_| Value::Null)
    });
    let t = admin(t, "getAuthInfo", "name", |api, args| {
        let (auth, name) = (api.cell().auth(), args.str("name")?);
        if let Some(user) = auth.user_by_name(name) {
            return Ok(with_role_names(&user).into());
        }
        let missing = || err!("NoSuchName", mesg = format!("There is no user or role named {name}."), name = name);
        Ok(auth.role_by_name(name).ok_or_else(missing)?.pack().into())
    });
    let t = t.blocking("getUserInfo", "name", |api, _, args| {
        let user = api.cell().auth().req_user_by_name(args.str("name")?)?;
        if &user != api.user() {
            api.user().req_admin(None, Some("Only an admin may look at other users."))?;
        }
        Ok(with_role_names(&user))
    });
    t.blocking("getRoleInfo", "name", |api, _, args| {
        let role = api.cell().auth().req_role_by_name(args.str("name")?)?;
        if !api.user().has_role(role.iden()) {
            api.user().req_admin(None, Some("Only an admin may look at roles of others."))?;
        }
        Ok(role.pack())
    })
}
