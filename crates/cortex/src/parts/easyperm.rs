//! Easy permissions: a map `permissions` in a record, `{users: {iden: level}, roles: {iden: level}, default: level}`.

use std::sync::Arc;

use myelin_cell::{Auth, User};
use myelin_error::{Result, err};
use myelin_value::{Map, Value};

/// What a user may do with a record; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum Level {
    /// Nothing at all.
    Deny = 0,
    /// Look at it and use it.
    Read = 1,
    /// Change it.
    Edit = 2,
    /// Delete it and say who may do what.
    Admin = 3,
}

impl Level {
    /// The level of that number.
    ///
    /// # Errors
    /// `BadArg` for a number that is none.
    pub fn from_number(number: i64) -> Result<Level> {
        Ok(match number {
            0 => Level::Deny,
            1 => Level::Read,
            2 => Level::Edit,
            3 => Level::Admin,
            _ => {
                return Err(err!(
                    "BadArg",
                    mesg = format!("The permission level {number} is none: give 0 (deny) to 3 (admin).")
                ));
            }
        })
    }

    /// The name for messages.
    pub fn name(self) -> &'static str {
        ["deny", "read", "edit", "admin"][self as usize]
    }
}

/// Fills in what a new record's permissions lack; its creator, if given, becomes its admin.
pub fn init(record: &mut Map, default: Level, creator: Option<&str>) {
    let mut perms = record.get("permissions").and_then(Value::as_map).cloned().unwrap_or_default();
    for part in ["users", "roles"] {
        if !perms.contains(part) {
            perms.insert(part, Map::new());
        }
    }
    if !perms.contains("default") {
        perms.insert("default", default as i64);
    }
    if let Some(creator) = creator
        && let Some(Value::Map(users)) = perms.get_mut("users")
    {
        Arc::make_mut(users).insert(creator, Level::Admin as i64);
    }
    record.insert("permissions", perms);
}

/// Whether a user may do what a level says. The user's own entry comes before roles, and those before the default.
pub fn allows(record: &Map, user: &User, level: Level) -> bool {
    if user.is_admin(None) {
        return true;
    }
    let perms = record.get("permissions");
    let entry = |part: &str, iden: &str| perms.and_then(|perms| perms.get(part)?.get(iden)?.as_i64());
    let wanted = level as i64;
    match entry("users", user.iden()) {
        Some(0) => return false,
        Some(have) if have >= wanted => return true,
        _ => {}
    }
    for role in user.roles() {
        match entry("roles", role.iden()) {
            Some(0) => return false,
            Some(have) if have >= wanted => return true,
            _ => {}
        }
    }
    let default = perms.and_then(|perms| perms.get("default")?.as_i64()).unwrap_or(Level::Read as i64);
    wanted <= default
}

/// Fails with `AuthDeny` unless [`allows`]; `what` names the record for the message.
pub fn require(record: &Map, user: &User, level: Level, what: &str) -> Result<()> {
    if allows(record, user, level) {
        return Ok(());
    }
    let mesg = format!("User ({}) needs {} permission on {what}.", user.name(), level.name());
    Err(err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name()))
}

/// Sets or (with no level) removes what a user or role may do. `scope` is `users` or `roles`.
pub fn set(record: &mut Map, auth: &Auth, scope: &str, iden: &str, level: Option<Level>) -> Result<()> {
    match scope {
        "users" => drop(auth.req_user(iden)?),
        "roles" => drop(auth.req_role(iden)?),
        _ => {
            return Err(err!(
                "BadArg",
                mesg = format!("The permission scope {scope} is none: give \"users\" or \"roles\".")
            ));
        }
    }
    init(record, Level::Read, None);
    let Some(Value::Map(perms)) = record.get_mut("permissions") else { return Ok(()) };
    let Some(Value::Map(members)) = Arc::make_mut(perms).get_mut(scope) else { return Ok(()) };
    let members = Arc::make_mut(members);
    match level {
        Some(level) => drop(members.insert(iden, level as i64)),
        None => drop(members.remove(iden)),
    }
    Ok(())
}

/// A level as an event carries it: a number or null.
pub fn level_arg(valu: &Value) -> Result<Option<Level>> {
    match valu {
        Value::Null => Ok(None),
        Value::Int(number) => Level::from_number(*number).map(Some),
        _ => Err(err!("BadArg", mesg = "A permission level is a number from 0 (deny) to 3 (admin), or null.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_record_belongs_to_its_creator() {
        let mut record = Map::new().with("permissions", Map::new().with("default", 0));
        init(&mut record, Level::Read, Some("u1"));
        let perms = record.get("permissions").expect("permissions");
        assert_eq!(perms.get("default"), Some(&Value::from(0)));
        assert_eq!(perms.get("users").and_then(|users| users.get("u1")), Some(&Value::from(3)));
        assert!(perms.get("roles").is_some());
    }

    #[test]
    fn levels_have_bounds() {
        assert!(Level::from_number(4).is_err_and(|error| error.is("BadArg")));
        assert_eq!(level_arg(&Value::Null).expect("none"), None);
    }
}
