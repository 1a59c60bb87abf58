//! What callers do with users and roles: checked and prepared here, then sent as events. All of it blocks.

use myelin_error::{Result, err};
use myelin_value::{Iden, Map, Value, rand_guid};

use super::passwd::{check_legacy, check_shadow, make_shadow};
use super::{Auth, NEXSIDEN, Role, User};
use crate::version::now;

/// A mail address as a unique key: null and blank become nothing.
pub(super) fn norm_email(valu: &Value) -> Result<Option<String>> {
    if valu.is_null() {
        return Ok(None);
    }
    let text = valu.as_str().ok_or_else(|| err!("BadArg", mesg = "A mail address must be a str.", name = "email"))?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || err!("BadArg", mesg = format!("This is no mail address: {text}"), name = "email");
    let (local, host) = text.split_once('@').ok_or_else(bad)?;
    let host = host.trim_end_matches('.').replace("[.]", ".").to_lowercase();
    let good = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c == '@');
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    if !good(local) || !host.split('.').all(label) {
        return Err(bad());
    }
    Ok(Some(format!("{}@{host}", local.to_lowercase())))
}

/// Fails with `SchemaViolation` unless a value is a list of rules.
pub fn check_rules(rules: &Value) -> Result<()> {
    let bad = |name: String| err!("SchemaViolation", mesg = "Rules must be a list of [bool, [str, ...]].", name = name);
    for (indx, rule) in rules.as_list().ok_or_else(|| bad("data".to_owned()))?.iter().enumerate() {
        let place = format!("data[{indx}]");
        let Some([allow, path]) = rule.as_list() else { return Err(bad(place)) };
        if allow.as_bool().is_none() {
            return Err(bad(format!("{place}[0]")));
        }
        let parts = path.as_list().filter(|parts| !parts.is_empty()).ok_or_else(|| bad(format!("{place}[1]")))?;
        if let Some(indx) = parts.iter().position(|part| !part.is_text()) {
            return Err(bad(format!("{place}[1][{indx}]")));
        }
    }
    Ok(())
}

fn check_iden(iden: &str) -> Result<()> {
    if Iden::from_hex(iden).is_some() && iden.len() == 32 {
        return Ok(());
    }
    Err(err!("BadArg", mesg = "An iden has 32 lowercase hexadecimal digits.", name = "iden", arg = iden))
}

impl Auth {
    fn push(&self, event: &str, args: Vec<Value>, kwargs: Map) -> Result<Value> {
        Ok(self.0.nexus.push(NEXSIDEN, event, args, kwargs)?.1)
    }

    /// Fails with `HitLimit` when as many users are active as may be.
    pub fn check_user_limit(&self) -> Result<()> {
        let max = self.0.conf.max_users;
        if max == 0 {
            return Ok(());
        }
        let active = |user: &&User| &*user.name() != "root" && !user.is_locked() && !user.is_archived();
        if (self.users().iter().filter(active).count() as u64) < max {
            return Ok(());
        }
        Err(err!("HitLimit", mesg = format!("The service may have {max} active users and has them.")))
    }

    pub(super) fn req_email_free(&self, email: &str, iden: &str) -> Result<()> {
        match self.0.emails.read().get(email) {
            Some(other) if &**other != iden => {
                let mesg = format!("Another user has the mail address {email}.");
                Err(err!("DupUserEmail", mesg = mesg, email = email))
            }
            _ => Ok(()),
        }
    }

    /// Makes a user, gives it the role `all`, and sets its mail address and password.
    pub fn add_user(&self, name: &str, passwd: Option<&str>, email: &Value, iden: Option<&str>) -> Result<User> {
        self.check_user_limit()?;
        if self.user_by_name(name).is_some() {
            return Err(err!("DupUserName", mesg = format!("There is a user named {name} already."), name = name));
        }
        if let Some(norm) = norm_email(email)? {
            self.req_email_free(&norm, "")?;
        }
        let iden = match iden {
            None => rand_guid(),
            Some(iden) => {
                check_iden(iden)?;
                if self.user(iden).is_some() {
                    return Err(err!("DupIden", mesg = "A user has the iden already.", name = name, iden = iden));
                }
                iden.to_owned()
            }
        };
        self.push("user:add", vec![iden.as_str().into(), name.into()], Map::new())?;
        let user = self.req_user(&iden)?;
        self.grant(&user, self.all_role()?.iden(), None)?;
        if !email.is_null() {
            self.set_user_info_event(&user, "email", email.clone(), None, Value::Null)?;
        }
        if let Some(passwd) = passwd {
            self.set_passwd(&user, &Value::from(passwd), true)?;
        }
        Ok(user)
    }

    /// Deletes a user.
    pub fn del_user(&self, iden: &str) -> Result<()> {
        self.req_user(iden)?;
        self.push("user:del", vec![iden.into()], Map::new()).map(|_| ())
    }

    /// Renames a user.
    pub fn rename_user(&self, iden: &str, name: &str) -> Result<()> {
        self.push("user:name", vec![iden.into(), name.into()], Map::new()).map(|_| ())
    }

    /// Makes a role.
    pub fn add_role(&self, name: &str, iden: Option<&str>) -> Result<Role> {
        if self.role_by_name(name).is_some() {
            return Err(err!("DupRoleName", mesg = format!("There is a role named {name} already."), name = name));
        }
        let iden = match iden {
            None => rand_guid(),
            Some(iden) => {
                check_iden(iden)?;
                if self.role(iden).is_some() {
                    return Err(err!("DupIden", mesg = "A role has the iden already.", name = name, iden = iden));
                }
                iden.to_owned()
            }
        };
        self.push("role:add", vec![iden.as_str().into(), name.into()], Map::new())?;
        self.req_role(&iden)
    }

    /// Deletes a role.
    pub fn del_role(&self, iden: &str) -> Result<()> {
        self.req_role(iden)?;
        self.push("role:del", vec![iden.into()], Map::new()).map(|_| ())
    }

    /// Renames a role.
    pub fn rename_role(&self, iden: &str, name: &str) -> Result<()> {
        self.push("role:name", vec![iden.into(), name.into()], Map::new()).map(|_| ())
    }

    /// Sets any field of a user.
    pub fn set_user_info(&self, iden: &str, name: &str, valu: Value, gateiden: Option<&str>) -> Result<()> {
        self.set_user_info_event(&self.req_user(iden)?, name, valu, gateiden, Value::Null)
    }

    fn set_user_info_event(
        &self,
        user: &User,
        name: &str,
        valu: Value,
        gateiden: Option<&str>,
        mesg: Value,
    ) -> Result<()> {
        if name == "locked" && !valu.is_truthy() && user.is_archived() {
            let mesg = "An archived user cannot be unlocked.";
            return Err(err!("BadArg", mesg = mesg, user = user.iden(), username = user.name()));
        }
        if matches!(name, "locked" | "archived") && !valu.is_truthy() {
            self.check_user_limit()?;
        }
        if name == "email" && gateiden.is_none() {
            let norm = norm_email(&valu)?;
            if norm.as_deref() == user.get("email").as_str() {
                return Ok(());
            }
            if let Some(norm) = norm {
                self.req_email_free(&norm, user.iden())?;
            }
        }
        let kwargs = Map::new().with("gateiden", gateiden.map_or(Value::Null, Value::from)).with("logged", true);
        let args = vec![user.iden().into(), name.into(), valu];
        self.push("user:info", args, kwargs.with("mesg", mesg)).map(|_| ())
    }

    fn set_role_info_event(
        &self,
        role: &Role,
        name: &str,
        valu: Value,
        gateiden: Option<&str>,
        mesg: Value,
    ) -> Result<()> {
        let kwargs = Map::new().with("gateiden", gateiden.map_or(Value::Null, Value::from)).with("mesg", mesg);
        self.push("role:info", vec![role.iden().into(), name.into(), valu], kwargs).map(|_| ())
    }

    // ---- roles of users

    /// Gives a user a role, at a place among its roles.
    pub fn grant(&self, user: &User, roleiden: &str, indx: Option<i64>) -> Result<()> {
        let role = self.req_role(roleiden)?;
        let mut roles = user.get("roles").as_list().unwrap_or_default().to_vec();
        if roles.iter().any(|have| have.as_str() == Some(roleiden)) {
            return Ok(());
        }
        insert_at(&mut roles, indx, roleiden.into());
        let mesg = Map::new().with("name", "role:grant").with("iden", user.iden()).with("role", role.pack());
        self.set_user_info_event(user, "roles", Value::list(roles), None, mesg.into())
    }

    /// Takes a role from a user.
    pub fn revoke(&self, user: &User, roleiden: &str) -> Result<()> {
        let role = self.req_role(roleiden)?;
        if &*role.name() == "all" {
            return Err(err!("BadArg", mesg = "Every user has the role all."));
        }
        let old = user.get("roles").as_list().unwrap_or_default().to_vec();
        let roles: Vec<Value> = old.iter().filter(|have| have.as_str() != Some(roleiden)).cloned().collect();
        if roles.len() == old.len() {
            return Ok(());
        }
        let mesg = Map::new().with("name", "role:revoke").with("iden", user.iden()).with("role", role.pack());
        self.set_user_info_event(user, "roles", Value::list(roles), None, mesg.into())
    }

    /// Replaces a user's roles; `all` must be among them.
    pub fn set_roles(&self, user: &User, idens: &Value) -> Result<()> {
        let idens = idens.as_list().ok_or_else(|| err!("BadArg", mesg = "Roles must be a list of idens."))?;
        if user.get("roles").as_list() == Some(idens) {
            return Ok(());
        }
        let all = self.all_role()?;
        if !idens.iter().any(|iden| iden.as_str() == Some(all.iden())) {
            return Err(err!("BadArg", mesg = "The role all must be among a user's roles."));
        }
        let packed = idens
            .iter()
            .map(|iden| Ok(self.req_role(iden.as_str().unwrap_or_default())?.pack().into()))
            .collect::<Result<Vec<Value>>>()?;
        let mesg = Map::new().with("name", "role:set").with("iden", user.iden()).with("roles", Value::list(packed));
        self.set_user_info_event(user, "roles", Value::list(idens.to_vec()), None, mesg.into())
    }

    // ---- rules

    /// Replaces a user's rules.
    pub fn set_user_rules(&self, user: &User, rules: Value, gateiden: Option<&str>) -> Result<()> {
        check_rules(&rules)?;
        self.set_user_info_event(user, "rules", rules, gateiden, Value::Null)
    }

    /// Adds a rule to a user's.
    pub fn add_user_rule(&self, user: &User, rule: &Value, indx: Option<i64>, gateiden: Option<&str>) -> Result<()> {
        let (rules, mesg) = added_rule(user.rules(gateiden), user.iden(), rule, indx)?;
        self.set_user_info_event(user, "rules", rules, gateiden, mesg)
    }

    /// Removes a rule of a user's. Says whether it was there.
    pub fn del_user_rule(&self, user: &User, rule: &Value, gateiden: Option<&str>) -> Result<bool> {
        match removed_rule(user.rules(gateiden), user.iden(), rule)? {
            None => Ok(false),
            Some((rules, mesg)) => self.set_user_info_event(user, "rules", rules, gateiden, mesg).map(|()| true),
        }
    }

    /// Replaces a role's rules.
    pub fn set_role_rules(&self, role: &Role, rules: Value, gateiden: Option<&str>) -> Result<()> {
        check_rules(&rules)?;
        self.set_role_info_event(role, "rules", rules, gateiden, Value::Null)
    }

    /// Adds a rule to a role's.
    pub fn add_role_rule(&self, role: &Role, rule: &Value, indx: Option<i64>, gateiden: Option<&str>) -> Result<()> {
        let (rules, mesg) = added_rule(role.rules(gateiden), role.iden(), rule, indx)?;
        self.set_role_info_event(role, "rules", rules, gateiden, mesg)
    }

    /// Removes a rule of a role's. Says whether it was there.
    pub fn del_role_rule(&self, role: &Role, rule: &Value, gateiden: Option<&str>) -> Result<bool> {
        match removed_rule(role.rules(gateiden), role.iden(), rule)? {
            None => Ok(false),
            Some((rules, mesg)) => self.set_role_info_event(role, "rules", rules, gateiden, mesg).map(|()| true),
        }
    }

    // ---- flags

    /// Makes a user an admin, or not.
    pub fn set_admin(&self, user: &User, admin: bool, gateiden: Option<&str>) -> Result<()> {
        if !admin && &self.root()? == user {
            return Err(err!("BadArg", mesg = "The user root is always an admin."));
        }
        self.set_user_info_event(user, "admin", Value::Bool(admin), gateiden, Value::Null)
    }

    /// Locks or unlocks a user.
    pub fn set_locked(&self, user: &User, locked: bool) -> Result<()> {
        if locked && &self.root()? == user {
            return Err(err!("BadArg", mesg = "The user root cannot be locked."));
        }
        self.set_user_info_event(user, "locked", Value::Bool(locked), None, Value::Null)?;
        if !locked && user.get("policy:attempts").as_i64().is_some_and(|count| count > 0) {
            self.set_user_info_event(user, "policy:attempts", Value::from(0), None, Value::Null)?;
        }
        Ok(())
    }

    /// Archives a user, who is locked by that, or takes it back.
    pub fn set_archived(&self, user: &User, archived: bool) -> Result<()> {
        if archived && &self.root()? == user {
            return Err(err!("BadArg", mesg = "The user root cannot be archived."));
        }
        self.set_user_info_event(user, "archived", Value::Bool(archived), None, Value::Null)?;
        if archived { self.set_locked(user, true) } else { Ok(()) }
    }

    /// Sets a mail address.
    pub fn set_email_of(&self, user: &User, email: Value) -> Result<()> {
        self.set_user_info_event(user, "email", email, None, Value::Null)
    }

    // ---- variables

    /// Sets a variable (`user:var`) or profile value (`user:profile`) of a user.
    pub fn set_user_value(&self, kind: &str, iden: &str, name: &str, valu: Value) -> Result<Value> {
        self.push(&format!("{kind}:set"), vec![iden.into(), name.into(), valu], Map::new())
    }

    /// Removes such a value and returns it, or the default.
    pub fn pop_user_value(&self, kind: &str, iden: &str, name: &str, default: Value) -> Result<Value> {
        self.req_user(iden)?;
        let found = self.push(&format!("{kind}:pop"), vec![iden.into(), name.into()], Map::new())?;
        let had = found.at(0).is_some_and(Value::is_truthy);
        Ok(if had { found.at(1).cloned().unwrap_or_default() } else { default })
    }

    // ---- passwords

    /// Sets a password, or with null removes it.
    pub fn set_passwd(&self, user: &User, passwd: &Value, enforce: bool) -> Result<()> {
        let shadow = match passwd {
            Value::Null => Value::Null,
            Value::Str(text) if !text.is_empty() => {
                let shadow = make_shadow(text);
                if enforce {
                    self.check_policy(user, text, &shadow)?;
                }
                shadow
            }
            _ => return Err(err!("BadArg", mesg = "A password must be a str that is not empty.")),
        };
        self.set_user_info_event(user, "passwd", shadow, None, Value::Null)
    }

    /// Makes a password that works once and for so long.
    pub fn gen_onepass(&self, user: &User, duration_ms: i64) -> Result<String> {
        let passwd = rand_guid();
        let create = now();
        let onepass = Map::new()
            .with("create", create)
            .with("expires", create.saturating_add(duration_ms))
            .with("shadow", make_shadow(&passwd));
        self.set_user_info_event(user, "onepass", onepass.into(), None, Value::Null)?;
        Ok(passwd)
    }

    /// Whether a password is a user's. Counts failures where the policy says so.
    pub fn try_passwd(&self, user: &User, passwd: &str) -> Result<bool> {
        if user.is_locked() {
            return Ok(false);
        }
        if self.try_onepass(user, passwd)? {
            return Ok(true);
        }
        match user.get("passwd") {
            Value::Null => Ok(false),
            shadow @ Value::Map(_) => {
                let good = check_shadow(passwd, &shadow)?;
                self.count_attempt(user, good)?;
                Ok(good)
            }
            record => {
                let (salt, hashed) =
                    (record.at(0).cloned().unwrap_or_default(), record.at(1).cloned().unwrap_or_default());
                let good = check_legacy(passwd, &salt, &hashed);
                if good {
                    // The old form is replaced as soon as the password is known.
                    self.set_passwd(user, &Value::from(passwd), false)?;
                }
                Ok(good)
            }
        }
    }

    fn try_onepass(&self, user: &User, passwd: &str) -> Result<bool> {
        let onepass = user.get("onepass");
        let good = match &onepass {
            Value::Map(map) if map.get_i64("expires").is_some_and(|expires| expires >= now()) => {
                map.get("shadow").map(|shadow| check_shadow(passwd, shadow)).transpose()?.unwrap_or(false)
            }
            Value::List(old) if old.len() == 3 && old[0].as_i64().is_some_and(|expires| expires >= now()) => {
                check_legacy(passwd, &old[1], &old[2])
            }
            _ => false,
        };
        if good {
            self.set_user_info_event(user, "onepass", Value::Null, None, Value::Null)?;
        }
        Ok(good)
    }

    fn count_attempt(&self, user: &User, good: bool) -> Result<()> {
        let Some(max) = self.0.conf.policy.get("attempts").and_then(Value::as_i64) else { return Ok(()) };
        let count = user.get("policy:attempts").as_i64().unwrap_or_default();
        if good {
            return if count > 0 {
                self.set_user_info_event(user, "policy:attempts", Value::from(0), None, Value::Null)
            } else {
                Ok(())
            };
        }
        let count = count + 1;
        self.set_user_info_event(user, "policy:attempts", Value::from(count), None, Value::Null)?;
        if count < max {
            return Ok(());
        }
        if &self.root()? == user {
            tracing::error!(target_username = "root", count, "too many failed logins; root cannot be locked");
            return Ok(());
        }
        tracing::warn!(target_username = %user.name(), count, "locking a user after too many failed logins");
        self.set_locked(user, true)
    }

    fn check_policy(&self, user: &User, passwd: &str, shadow: &Value) -> Result<()> {
        let policy = &self.0.conf.policy;
        if !policy.is_truthy() {
            return Ok(());
        }
        let mut failures = policy.get("complexity").map(|rules| complexity_failures(passwd, rules)).unwrap_or_default();
        let keep = policy.get("previous").and_then(Value::as_i64);
        let previous = user.get("policy:previous").as_list().unwrap_or_default().to_vec();
        if let Some(keep) = keep {
            for old in &previous {
                if check_shadow(passwd, old)? {
                    failures.push(format!("It is one of the last {keep} passwords."));
                    break;
                }
            }
        }
        if !failures.is_empty() {
            let mesg = format!("The password breaks the policy:\n  - {}", failures.join("\n  - "));
            let failures: Value = failures.into_iter().map(Value::from).collect();
            return Err(err!("BadArg", mesg = mesg, failures = failures));
        }
        if let Some(keep) = keep {
            let kept = std::iter::once(shadow.clone()).chain(previous).take(usize::try_from(keep).unwrap_or_default());
            self.set_user_info_event(user, "policy:previous", kept.collect(), None, Value::Null)?;
        }
        Ok(())
    }
}

fn complexity_failures(passwd: &str, rules: &Value) -> Vec<String> {
    const KINDS: [(&str, &str, &str); 4] = [
        ("upper", "uppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("lower", "lowercase", "abcdefghijklmnopqrstuvwxyz"),
        ("special", "special", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        ("number", "digit", "0123456789"),
    ];
    let mut failures = Vec::new();
    if let Some(size) = rules.get("length").and_then(Value::as_i64)
        && (passwd.chars().count() as i64) < size
    {
        failures.push(format!("It must have at least {size} characters."));
    }
    let mut valid = String::new();
    for (kind, name, default) in KINDS {
        let chars = rules.get(&format!("{kind}:valid")).map_or(Some(default), Value::as_str).unwrap_or_default();
        valid += chars;
        let need = rules.get(&format!("{kind}:count")).and_then(Value::as_i64).unwrap_or_default();
        let have = passwd.chars().filter(|c| chars.contains(*c)).count() as i64;
        if !chars.is_empty() && have < need {
            failures.push(format!("It must have at least {need} {name} characters and has {have}."));
        }
    }
    let invalid: String = passwd.chars().filter(|c| !valid.contains(*c)).collect();
    if !valid.is_empty() && !invalid.is_empty() {
        failures.push(format!("It has characters that are not allowed: {invalid}"));
    }
    if let Some(size) = rules.get("sequences").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok())
        && has_sequence(passwd, size)
    {
        failures.push(format!("It must not have {size} or more characters in sequence."));
    }
    failures
}

fn has_sequence(passwd: &str, size: usize) -> bool {
    let ords: Vec<i64> = passwd.chars().map(|c| i64::from(u32::from(c))).collect();
    size > 0
        && ords.windows(size).any(|run| {
            let steps = |by: i64| run.windows(2).all(|pair| pair[1] - pair[0] == by);
            steps(1) || steps(-1)
        })
}

/// Python's `list.insert`: a place beyond either end is that end, and negative ones count from the end.
fn insert_at(items: &mut Vec<Value>, indx: Option<i64>, item: Value) {
    let size = items.len() as i64;
    let at = indx.unwrap_or(size);
    let at = if at < 0 { at + size } else { at }.clamp(0, size);
    items.insert(at as usize, item);
}

fn added_rule(mut rules: Vec<Value>, iden: &str, rule: &Value, indx: Option<i64>) -> Result<(Value, Value)> {
    check_rules(&Value::list([rule.clone()]))?;
    let mut mesg = Map::new().with("name", "rule:add").with("iden", iden).with("valu", rule.clone());
    if let Some(indx) = indx {
        mesg.insert("indx", indx);
    }
    insert_at(&mut rules, indx, rule.clone());
    Ok((Value::list(rules), mesg.into()))
}

fn removed_rule(mut rules: Vec<Value>, iden: &str, rule: &Value) -> Result<Option<(Value, Value)>> {
    check_rules(&Value::list([rule.clone()]))?;
    let Some(at) = rules.iter().position(|have| have == rule) else { return Ok(None) };
    rules.remove(at);
    let mesg = Map::new().with("name", "rule:del").with("iden", iden).with("valu", rule.clone());
    Ok(Some((Value::list(rules), mesg.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_become_keys() {
        let norm = |text: &str| norm_email(&Value::from(text));
        assert_eq!(norm(" Foo@Bar.COM ").ok().flatten().as_deref(), Some("foo@bar.com"));
        assert_eq!(norm("  ").ok().flatten(), None);
        assert!(norm("foo").is_err_and(|error| error.is("BadArg")));
    }

    #[test]
    fn sequences_are_seen_both_ways() {
        assert!(has_sequence("xabcx", 3) && has_sequence("x321", 3));
        assert!(!has_sequence("acegi", 3));
    }
}
