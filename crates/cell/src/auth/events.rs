//! The events of `auth:auth`, as they are applied. Each is harmless when repeated.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_slab::Slab;
use myelin_value::{Map, Value};
use parking_lot::RwLock;

use super::front::norm_email;
use super::{Auth, AuthGate, Role, User};
use crate::nexus::{ApplyCx, Event, NexsHandler};

const EVENTS: &[&str] = &[
    "user:add",
    "user:del",
    "user:name",
    "user:info",
    "user:var:set",
    "user:var:pop",
    "user:profile:set",
    "user:profile:pop",
    "role:add",
    "role:del",
    "role:name",
    "role:info",
];

impl NexsHandler for Auth {
    fn events(&self) -> &[&str] {
        EVENTS
    }

    fn homes(&self, _event: &Event) -> Vec<Slab> {
        vec![self.0.slab.clone()]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let iden = event.str_arg(0, "iden")?;
        match event.name.as_str() {
            "user:add" => self.add_user_record(cx, iden, event.str_arg(1, "name")?),
            "user:del" => self.del_user_record(cx, iden),
            "user:name" => self.set_user_name(cx, iden, event.str_arg(1, "name")?),
            "user:info" => self.apply_info_event(cx, iden, event),
            "user:var:set" => return self.set_value(cx, "vars", iden, event),
            "user:var:pop" => return self.pop_value(cx, "vars", iden, event),
            "user:profile:set" => return self.set_value(cx, "profile", iden, event),
            "user:profile:pop" => return self.pop_value(cx, "profile", iden, event),
            "role:add" => self.add_role_record(cx, iden, event.str_arg(1, "name")?),
            "role:del" => self.del_role_record(cx, iden),
            "role:name" => self.set_role_name(cx, iden, event.str_arg(1, "name")?),
            "role:info" => self.set_role_info(cx, iden, event),
            name => return Err(err!("NoSuchName", mesg = format!("Auth has no event {name}."), name = name)),
        }?;
        Ok(Value::Null)
    }
}

impl Auth {
    pub(super) fn save_user(&self, cx: &mut ApplyCx<'_>, iden: &str, info: Map) -> Result<()> {
        self.0.stor.set(cx, &format!("user:info:{iden}"), &Value::from(info.clone()))?;
        self.put_user_state(iden, info);
        Ok(())
    }

    fn save_role(&self, cx: &mut ApplyCx<'_>, iden: &str, info: Map) -> Result<()> {
        self.0.stor.set(cx, &format!("role:info:{iden}"), &Value::from(info.clone()))?;
        self.put_role_state(iden, info);
        Ok(())
    }

    pub(super) fn add_user_record(&self, cx: &mut ApplyCx<'_>, iden: &str, name: &str) -> Result<()> {
        if self.user_by_name(name).is_some() {
            return Ok(());
        }
        self.req_no_gate(iden)?;
        let info = Map::new()
            .with("iden", iden)
            .with("name", name)
            .with("admin", false)
            .with("roles", Value::empty_list())
            .with("rules", Value::empty_list())
            .with("passwd", Value::Null)
            .with("locked", false)
            .with("archived", false)
            .with("authgates", Map::new());
        self.save_user(cx, iden, info)?;
        self.0.stor.set(cx, &format!("user:name:{name}"), &iden.into())?;
        self.0.user_names.write().insert(name.into(), iden.into());
        self.0.nexus.tell("user:add", self.req_user(iden)?.pack(false), None);
        Ok(())
    }

    fn del_user_record(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<()> {
        if self.root()?.iden().as_ref() == iden {
            return Err(err!("BadArg", mesg = "The user root cannot be deleted."));
        }
        let Some(user) = self.user(iden) else { return Ok(()) };
        let (udef, info) = (user.pack(false), user.info());
        if let Some(email) = info.get_str("email") {
            self.0.stor.del(cx, &format!("user:email:{email}"))?;
            self.0.emails.write().remove(email);
        }
        for (gate, _) in info.get("authgates").and_then(Value::as_map).into_iter().flat_map(Map::text_entries) {
            self.drop_gate_member(cx, gate, "user", iden)?;
        }
        self.stor_of("vars", iden).truncate(cx, "")?;
        self.stor_of("profile", iden).truncate(cx, "")?;
        self.0.stor.del(cx, &format!("user:info:{iden}"))?;
        self.0.stor.del(cx, &format!("user:name:{}", user.name()))?;
        self.0.user_names.write().remove(&user.name());
        // Handles that are still held may do nothing any more.
        self.put_user_state(iden, info.with("locked", true));
        self.0.users.write().remove(iden);
        let hooks = self.0.on_user_del.read().clone();
        for hook in hooks {
            hook(cx, iden, &udef)?;
        }
        self.0.nexus.tell("user:del", Map::new().with("iden", iden), None);
        Ok(())
    }

    fn set_user_name(&self, cx: &mut ApplyCx<'_>, iden: &str, name: &str) -> Result<()> {
        if let Some(other) = self.user_by_name(name) {
            if other.iden().as_ref() == iden {
                return Ok(());
            }
            return Err(err!("DupUserName", mesg = format!("There is a user named {name} already."), name = name));
        }
        let user = self.req_user(iden)?;
        if self.root()? == user {
            return Err(err!("BadArg", mesg = "The user root cannot be renamed."));
        }
        let old = user.name();
        self.0.stor.set(cx, &format!("user:name:{name}"), &iden.into())?;
        self.0.stor.del(cx, &format!("user:name:{old}"))?;
        let mut names = self.0.user_names.write();
        names.remove(&old);
        names.insert(name.into(), iden.into());
        drop(names);
        self.save_user(cx, iden, user.info().with("name", name))?;
        self.0.nexus.tell("user:name", Map::new().with("iden", iden).with("valu", name), None);
        Ok(())
    }

    fn apply_info_event(&self, cx: &mut ApplyCx<'_>, iden: &str, event: &Event) -> Result<()> {
        let user = self.req_user(iden)?;
        let (name, valu) = (event.str_arg(1, "name")?, event.arg(2, "valu"));
        let gateiden = event.opt_str_arg(3, "gateiden")?;
        if name == "locked" && !valu.is_truthy() && user.is_archived() && **self.0.nexsvers.load() >= (2, 198) {
            return Ok(());
        }
        if matches!(name, "locked" | "archived") && !valu.is_truthy() {
            self.check_user_limit()?;
        }
        match gateiden {
            Some(gate) => self.set_user_gate(cx, &user, gate, name, valu)?,
            None if name == "email" && **self.0.nexsvers.load() >= (2, 243) => {
                if !self.set_email(cx, &user, valu)? {
                    return Ok(());
                }
            }
            None => self.save_user(cx, iden, user.info().with(name, valu.clone()))?,
        }
        let mesg = match event.arg(5, "mesg") {
            Value::Null => {
                let mesg = Map::new().with("iden", iden).with("name", name);
                Value::from(if name == "passwd" { mesg } else { mesg.with("valu", valu.clone()) })
            }
            mesg => mesg.clone(),
        };
        self.tell_info("user:info", mesg, gateiden, event.arg(4, "logged"));
        if name == "locked" {
            let hooks = self.0.on_user_lock.read().clone();
            hooks.iter().for_each(|hook| hook(iden, valu.is_truthy()));
        }
        Ok(())
    }

    fn tell_info(&self, event: &str, mesg: Value, gateiden: Option<&str>, logged: &Value) {
        if logged != &Value::Bool(false) {
            let gate = gateiden.and_then(|iden| self.gate(iden));
            self.0.nexus.tell(event, mesg, gate.map(|gate| Value::list([gate.pack().into()])));
        }
    }

    fn set_user_gate(&self, cx: &mut ApplyCx<'_>, user: &User, gateiden: &str, name: &str, valu: &Value) -> Result<()> {
        let gate = self.req_gate(gateiden)?;
        let iden = user.iden().clone();
        let old = gate.users.read().get(&*iden).and_then(Value::as_map).cloned().unwrap_or_default();
        let has = |key: &str| old.get(key).is_some_and(Value::is_truthy);
        let drops = !valu.is_truthy() && ((name == "rules" && !has("admin")) || (name == "admin" && !has("rules")));
        let mut info = user.info();
        let mut gates = info.get("authgates").and_then(Value::as_map).cloned().unwrap_or_default();
        if drops {
            self.drop_gate_member(cx, gateiden, "user", &iden)?;
            gates.remove(gateiden);
        } else {
            let entry = Value::from(old.with(name, valu.clone()));
            self.0.stor.set(cx, &format!("gate:{gateiden}:user:{iden}"), &entry)?;
            gate.users.write().insert(iden.to_string(), entry.clone());
            gates.insert(gateiden, entry);
        }
        info.insert("authgates", gates);
        self.save_user(cx, &iden, info)
    }

    fn drop_gate_member(&self, cx: &mut ApplyCx<'_>, gateiden: &str, scope: &str, iden: &str) -> Result<()> {
        self.0.stor.del(cx, &format!("gate:{gateiden}:{scope}:{iden}"))?;
        if let Some(gate) = self.gate(gateiden) {
            let members = if scope == "user" { &gate.users } else { &gate.roles };
            members.write().shift_remove(iden);
        }
        Ok(())
    }

    /// Says whether something changed.
    fn set_email(&self, cx: &mut ApplyCx<'_>, user: &User, valu: &Value) -> Result<bool> {
        let info = user.info();
        let (new, old) = (norm_email(valu)?, info.get_str("email").map(str::to_owned));
        if new == old {
            return Ok(false);
        }
        if let Some(new) = &new {
            self.req_email_free(new, user.iden())?;
            self.0.stor.set(cx, &format!("user:email:{new}"), &Value::from(user.iden()))?;
            self.0.emails.write().insert(new.clone(), user.iden().clone());
        }
        if let Some(old) = old {
            self.0.stor.del(cx, &format!("user:email:{old}"))?;
            self.0.emails.write().remove(&old);
        }
        self.save_user(cx, user.iden(), info.with("email", new.map_or(Value::Null, Value::from)))?;
        Ok(true)
    }

    fn set_value(&self, cx: &mut ApplyCx<'_>, scope: &str, iden: &str, event: &Event) -> Result<Value> {
        self.req_user(iden)?;
        let valu = event.arg(2, "valu");
        self.stor_of(scope, iden).set(cx, event.str_arg(1, "name")?, valu)?;
        Ok(valu.clone())
    }

    fn pop_value(&self, cx: &mut ApplyCx<'_>, scope: &str, iden: &str, event: &Event) -> Result<Value> {
        self.req_user(iden)?;
        let found = self.stor_of(scope, iden).pop(cx, event.str_arg(1, "name")?)?;
        Ok(Value::list([Value::Bool(found.is_some()), found.unwrap_or_default()]))
    }

    pub(super) fn add_role_record(&self, cx: &mut ApplyCx<'_>, iden: &str, name: &str) -> Result<()> {
        if self.role_by_name(name).is_some() {
            return Ok(());
        }
        self.req_no_gate(iden)?;
        let info = Map::new()
            .with("iden", iden)
            .with("name", name)
            .with("admin", false)
            .with("rules", Value::empty_list())
            .with("authgates", Map::new());
        self.save_role(cx, iden, info)?;
        self.0.stor.set(cx, &format!("role:name:{name}"), &iden.into())?;
        self.0.role_names.write().insert(name.into(), iden.into());
        self.0.nexus.tell("role:add", self.req_role(iden)?.pack(), None);
        Ok(())
    }

    fn del_role_record(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<()> {
        if self.all_role()?.iden().as_ref() == iden {
            return Err(err!("BadArg", mesg = "The role all cannot be deleted."));
        }
        let Some(role) = self.role(iden) else { return Ok(()) };
        for user in self.users().into_iter().filter(|user| user.has_role(iden)) {
            let info = user.info();
            let keep = info.get("roles").and_then(Value::as_list).unwrap_or_default();
            let keep: Value = keep.iter().filter(|have| have.as_str() != Some(iden)).cloned().collect();
            self.save_user(cx, user.iden(), info.with("roles", keep))?;
        }
        for (gate, _) in role.info().get("authgates").and_then(Value::as_map).into_iter().flat_map(Map::text_entries) {
            self.drop_gate_member(cx, gate, "role", iden)?;
        }
        self.0.stor.del(cx, &format!("role:info:{iden}"))?;
        self.0.stor.del(cx, &format!("role:name:{}", role.name()))?;
        self.0.role_names.write().remove(&role.name());
        self.0.roles.write().remove(iden);
        self.0.nexus.tell("role:del", Map::new().with("iden", iden), None);
        Ok(())
    }

    fn set_role_name(&self, cx: &mut ApplyCx<'_>, iden: &str, name: &str) -> Result<()> {
        if let Some(other) = self.role_by_name(name) {
            if other.iden().as_ref() == iden {
                return Ok(());
            }
            return Err(err!("DupRoleName", mesg = format!("There is a role named {name} already."), name = name));
        }
        let role = self.req_role(iden)?;
        let old = role.name();
        if &*old == "all" {
            return Err(err!("BadArg", mesg = "The role all cannot be renamed."));
        }
        self.0.stor.set(cx, &format!("role:name:{name}"), &iden.into())?;
        self.0.stor.del(cx, &format!("role:name:{old}"))?;
        let mut names = self.0.role_names.write();
        names.remove(&old);
        names.insert(name.into(), iden.into());
        drop(names);
        self.save_role(cx, iden, role.info().with("name", name))?;
        self.0.nexus.tell("role:name", Map::new().with("iden", iden).with("valu", name), None);
        Ok(())
    }

    fn set_role_info(&self, cx: &mut ApplyCx<'_>, iden: &str, event: &Event) -> Result<()> {
        let role = self.req_role(iden)?;
        let (name, valu) = (event.str_arg(1, "name")?, event.arg(2, "valu"));
        let gateiden = event.opt_str_arg(3, "gateiden")?;
        match gateiden {
            Some(gate) => self.set_role_gate(cx, &role, gate, name, valu)?,
            None => self.save_role(cx, iden, role.info().with(name, valu.clone()))?,
        }
        let mesg = match event.arg(5, "mesg") {
            Value::Null => Map::new().with("iden", iden).with("name", name).with("valu", valu.clone()).into(),
            mesg => mesg.clone(),
        };
        self.tell_info("role:info", mesg, gateiden, event.arg(4, "logged"));
        Ok(())
    }

    fn set_role_gate(&self, cx: &mut ApplyCx<'_>, role: &Role, gateiden: &str, name: &str, valu: &Value) -> Result<()> {
        let gate = self.req_gate(gateiden)?;
        let iden = role.iden().clone();
        let mut info = role.info();
        let mut gates = info.get("authgates").and_then(Value::as_map).cloned().unwrap_or_default();
        if name == "rules" && !valu.is_truthy() {
            self.drop_gate_member(cx, gateiden, "role", &iden)?;
            gates.remove(gateiden);
        } else {
            let old = gates.get(gateiden).and_then(Value::as_map).cloned().unwrap_or_default();
            let entry = Value::from(old.with(name, valu.clone()));
            self.0.stor.set(cx, &format!("gate:{gateiden}:role:{iden}"), &entry)?;
            gate.roles.write().insert(iden.to_string(), entry.clone());
            gates.insert(gateiden, entry);
        }
        info.insert("authgates", gates);
        self.save_role(cx, &iden, info)
    }

    // ---- from within the events of others

    /// Makes a gate, or finds it. `InconsistentStorage` if it guards something of another kind.
    pub fn add_gate(&self, cx: &mut ApplyCx<'_>, iden: &str, kind: &str) -> Result<Arc<AuthGate>> {
        if let Some(gate) = self.gate(iden) {
            if &*gate.kind != kind {
                let mesg = format!("The auth gate {iden} is of the type {}, and not {kind}.", gate.kind);
                return Err(err!("InconsistentStorage", mesg = mesg));
            }
            return Ok(gate);
        }
        let info = Map::new().with("iden", iden).with("type", kind);
        self.0.stor.set(cx, &format!("gate:info:{iden}"), &info.into())?;
        let members = || RwLock::new(IndexMap::new());
        let gate = Arc::new(AuthGate { iden: iden.into(), kind: kind.into(), users: members(), roles: members() });
        self.0.gates.write().insert(gate.iden.clone(), gate.clone());
        Ok(gate)
    }

    /// Removes a gate with the rules of its members.
    pub fn del_gate(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<()> {
        let gate = self.req_gate(iden)?;
        let without = |info: Map| {
            let mut gates = info.get("authgates").and_then(Value::as_map).cloned().unwrap_or_default();
            gates.remove(iden);
            info.with("authgates", gates)
        };
        let users: Vec<String> = gate.users.read().keys().cloned().collect();
        for user in users.iter().filter_map(|iden| self.user(iden)) {
            self.save_user(cx, user.iden(), without(user.info()))?;
        }
        let roles: Vec<String> = gate.roles.read().keys().cloned().collect();
        for role in roles.iter().filter_map(|iden| self.role(iden)) {
            self.save_role(cx, role.iden(), without(role.info()))?;
        }
        self.0.stor.del(cx, &format!("gate:info:{iden}"))?;
        self.0.stor.truncate(cx, &format!("gate:{iden}:"))?;
        self.0.gates.write().remove(iden);
        Ok(())
    }

    /// Changes a field of a user from within another event (a creator becomes the admin of a view's gate).
    pub fn apply_user_info(
        &self,
        cx: &mut ApplyCx<'_>,
        iden: &str,
        name: &str,
        valu: Value,
        gateiden: Option<&str>,
    ) -> Result<()> {
        self.apply_info_event(cx, iden, &nested(iden, name, valu, gateiden))
    }

    /// Changes a field of a role from within another event.
    pub fn apply_role_info(
        &self,
        cx: &mut ApplyCx<'_>,
        iden: &str,
        name: &str,
        valu: Value,
        gateiden: Option<&str>,
    ) -> Result<()> {
        self.set_role_info(cx, iden, &nested(iden, name, valu, gateiden))
    }
}

fn nested(iden: &str, name: &str, valu: Value, gateiden: Option<&str>) -> Event {
    Event {
        nexsiden: super::NEXSIDEN.into(),
        name: "info".into(),
        args: vec![iden.into(), name.into(), valu, gateiden.map_or(Value::Null, Value::from), Value::Bool(false)],
        kwargs: Map::new(),
        meta: Map::new(),
    }
}

impl Auth {
    /// Builds the index of mail addresses: a duplicate gets its user's iden into it, an invalid one is dropped.
    pub(crate) fn index_emails(&self, cx: &mut ApplyCx<'_>) -> Result<()> {
        for user in self.users() {
            let info = user.info();
            let Some(email) = info.get("email").filter(|email| !email.is_null()) else { continue };
            let mut norm = norm_email(email).unwrap_or_default();
            if let Some(taken) = norm.as_ref().filter(|norm| self.req_email_free(norm, user.iden()).is_err()) {
                norm = taken.split_once('@').map(|(local, host)| format!("{local}+{}@{host}", user.iden()));
            }
            if let Some(norm) = &norm {
                self.0.stor.set(cx, &format!("user:email:{norm}"), &Value::from(user.iden()))?;
                self.0.emails.write().insert(norm.clone(), user.iden().clone());
            }
            self.save_user(cx, user.iden(), info.with("email", norm.map_or(Value::Null, Value::from)))?;
        }
        Ok(())
    }
}
