//! Users, roles and gates as readers see them, and the order in which rules decide.
//!
//! Reading takes no lock: each user and role is a cell that points to its current, immutable state.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};
use parking_lot::RwLock;

/// Allow or deny everything under a path of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether it allows.
    pub allow: bool,
    /// The path, shortest part first: `node add`.
    pub path: Vec<Arc<str>>,
}

impl Rule {
    /// A rule from its stored form `[bool, [str, …]]`.
    pub fn from_value(valu: &Value) -> Option<Rule> {
        let path = valu.at(1)?.as_list()?.iter().map(|part| part.as_arc_str().cloned()).collect::<Option<_>>()?;
        Some(Rule { allow: valu.at(0)?.as_bool()?, path })
    }

    /// Rules from their stored form; whatever is none is left out.
    pub fn list_from(valu: Option<&Value>) -> Vec<Rule> {
        valu.and_then(Value::as_list).unwrap_or_default().iter().filter_map(Rule::from_value).collect()
    }

    /// `!node.add` or `node.add`.
    pub fn text(&self) -> String {
        let path = self.path.join(".");
        if self.allow { path } else { format!("!{path}") }
    }

    fn matches<P: AsRef<str>>(&self, perm: &[P]) -> bool {
        self.path.len() <= perm.len() && self.path.iter().zip(perm).all(|(part, want)| &**part == want.as_ref())
    }

    /// Whether it denies something below the permission.
    fn denies_below<P: AsRef<str>>(&self, perm: &[P]) -> bool {
        !self.allow
            && self.path.len() > perm.len()
            && self.path.iter().zip(perm).all(|(part, want)| &**part == want.as_ref())
    }
}

/// What a gate says of one user or role.
#[derive(Clone, Debug, Default)]
pub struct GateRules {
    /// Admin of what the gate guards.
    pub admin: bool,
    /// The rules, first match wins.
    pub rules: Vec<Rule>,
}

fn gates_from(info: &Map) -> HashMap<String, GateRules> {
    let gates = info.get("authgates").and_then(Value::as_map);
    let rules = |valu: &Value| GateRules {
        admin: valu.get("admin").is_some_and(Value::is_truthy),
        rules: Rule::list_from(valu.get("rules")),
    };
    gates.into_iter().flat_map(Map::text_entries).map(|(iden, valu)| (iden.to_owned(), rules(valu))).collect()
}

pub(super) struct RoleState {
    pub info: Map,
    pub name: Arc<str>,
    rules: Vec<Rule>,
    gates: HashMap<String, GateRules>,
}

impl RoleState {
    pub fn new(info: Map) -> RoleState {
        RoleState {
            name: info.get("name").and_then(Value::as_arc_str).cloned().unwrap_or_default(),
            rules: Rule::list_from(info.get("rules")),
            gates: gates_from(&info),
            info,
        }
    }
}

pub(super) struct RoleCell {
    pub iden: Arc<str>,
    pub state: ArcSwap<RoleState>,
}

/// A role. The handle stays current when the role changes.
#[derive(Clone)]
pub struct Role(pub(super) Arc<RoleCell>);

impl Role {
    /// Its iden.
    pub fn iden(&self) -> &Arc<str> {
        &self.0.iden
    }

    /// Its name.
    pub fn name(&self) -> Arc<str> {
        self.0.state.load().name.clone()
    }

    /// Everything that is stored of it.
    pub fn info(&self) -> Map {
        self.0.state.load().info.clone()
    }

    /// What its rules (or those it has on a gate) say; nothing if none matches.
    pub fn allowed<P: AsRef<str>>(&self, perm: &[P], default: Option<bool>, gateiden: Option<&str>) -> Option<bool> {
        let state = self.0.state.load();
        let rules = match gateiden {
            Some(gate) => state.gates.get(gate).map(|gate| &gate.rules),
            None => Some(&state.rules),
        };
        rules.and_then(|rules| find(rules, perm)).map(|rule| rule.allow).or(default)
    }

    /// Its rules as they are stored, on a gate or globally.
    pub fn rules(&self, gateiden: Option<&str>) -> Vec<Value> {
        stored_rules(&self.0.state.load().info, gateiden)
    }

    /// The role as peers see it.
    pub fn pack(&self) -> Map {
        let state = self.0.state.load();
        let get = |key: &str| state.info.get(key).cloned().unwrap_or_default();
        Map::new()
            .with("type", "role")
            .with("iden", &self.0.iden)
            .with("name", &state.name)
            .with("rules", get("rules"))
            .with("authgates", get("authgates"))
    }
}

pub(super) fn stored_rules(info: &Map, gateiden: Option<&str>) -> Vec<Value> {
    let rules = match gateiden {
        None => info.get("rules"),
        Some(gate) => info.get("authgates").and_then(|gates| gates.get(gate)).and_then(|gate| gate.get("rules")),
    };
    rules.and_then(Value::as_list).unwrap_or_default().to_vec()
}

fn find<'r, P: AsRef<str>>(rules: &'r [Rule], perm: &[P]) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.matches(perm))
}

pub(super) struct UserState {
    pub info: Map,
    pub name: Arc<str>,
    pub admin: bool,
    pub locked: bool,
    pub archived: bool,
    rules: Vec<Rule>,
    pub roles: Vec<Arc<RoleCell>>,
    gates: HashMap<String, GateRules>,
}

impl UserState {
    pub fn new(info: Map, roles: &HashMap<Arc<str>, Arc<RoleCell>>) -> UserState {
        let flag = |key: &str| info.get(key).is_some_and(Value::is_truthy);
        let idens = info.get("roles").and_then(Value::as_list).unwrap_or_default();
        UserState {
            name: info.get("name").and_then(Value::as_arc_str).cloned().unwrap_or_default(),
            admin: flag("admin"),
            locked: flag("locked"),
            archived: flag("archived"),
            rules: Rule::list_from(info.get("rules")),
            roles: idens.iter().filter_map(|iden| roles.get(iden.as_str()?).cloned()).collect(),
            gates: gates_from(&info),
            info,
        }
    }
}

pub(super) struct UserCell {
    pub iden: Arc<str>,
    pub state: ArcSwap<UserState>,
    pub gates: Arc<RwLock<HashMap<Arc<str>, Arc<AuthGate>>>>,
}

/// A user. The handle stays current when the user changes, and when the user is deleted it keeps the last state, locked.
#[derive(Clone)]
pub struct User(pub(super) Arc<UserCell>);

impl PartialEq for User {
    fn eq(&self, other: &User) -> bool {
        self.0.iden == other.0.iden
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({} {})", self.name(), self.iden())
    }
}

/// Why a permission is given or not.
#[derive(Clone, Debug, Default)]
pub struct AllowedReason {
    /// The answer; nothing when no rule matched and there is no default.
    pub value: Option<bool>,
    /// No rule matched.
    pub default: bool,
    /// An admin may do anything.
    pub isadmin: bool,
    /// A locked user may do nothing.
    pub islocked: bool,
    /// The gate whose rule it was.
    pub gateiden: Option<String>,
    /// The role whose rule it was.
    pub role: Option<Role>,
    /// The rule.
    pub rule: Option<Rule>,
}

impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Role({})", self.name())
    }
}

impl AllowedReason {
    /// The reason as text.
    pub fn mesg(&self) -> String {
        if self.islocked {
            return "The user is locked.".into();
        }
        if self.isadmin {
            return match &self.gateiden {
                Some(gate) => format!("The user is an admin of auth gate {gate}."),
                None => "The user is a global admin.".into(),
            };
        }
        let Some(rule) = &self.rule else { return "No matching rule found.".into() };
        let mut mesg = match &self.role {
            Some(role) => format!("Matched role rule ({}) for role {}", rule.text(), role.name()),
            None => format!("Matched user rule ({})", rule.text()),
        };
        if let Some(gate) = &self.gateiden {
            mesg += &format!(" on gate {gate}");
        }
        mesg + "."
    }
}

/// Where a decision was found.
enum Found<'s> {
    Locked,
    Admin(Option<&'s str>),
    Rule {
        rule: &'s Rule,
        gate: Option<&'s str>,
    },
    /// A rule of a role, by its place: the role's state may change meanwhile, so what it said is kept.
    RoleRule {
        allow: bool,
        rule: Option<Rule>,
        gate: Option<&'s str>,
        role: &'s Arc<RoleCell>,
    },
    Nothing,
}

impl User {
    /// Its iden.
    pub fn iden(&self) -> &Arc<str> {
        &self.0.iden
    }

    /// Its name.
    pub fn name(&self) -> Arc<str> {
        self.0.state.load().name.clone()
    }

    /// Everything that is stored of it.
    pub fn info(&self) -> Map {
        self.0.state.load().info.clone()
    }

    /// One stored field.
    pub fn get(&self, key: &str) -> Value {
        self.0.state.load().info.get(key).cloned().unwrap_or_default()
    }

    /// Whether it may do nothing.
    pub fn is_locked(&self) -> bool {
        self.0.state.load().locked
    }

    /// Whether it is put away for good.
    pub fn is_archived(&self) -> bool {
        self.0.state.load().archived
    }

    /// Whether it is an admin, globally or of a gate.
    pub fn is_admin(&self, gateiden: Option<&str>) -> bool {
        let state = self.0.state.load();
        state.admin || gateiden.is_some_and(|gate| state.gates.get(gate).is_some_and(|gate| gate.admin))
    }

    /// Its roles, in order.
    pub fn roles(&self) -> Vec<Role> {
        self.0.state.load().roles.iter().cloned().map(Role).collect()
    }

    /// Whether it has a role.
    pub fn has_role(&self, iden: &str) -> bool {
        self.0.state.load().roles.iter().any(|role| &*role.iden == iden)
    }

    /// Its rules as they are stored, on a gate or globally.
    pub fn rules(&self, gateiden: Option<&str>) -> Vec<Value> {
        stored_rules(&self.0.state.load().info, gateiden)
    }

    /// Whether the user has a permission, true or false.
    pub fn allowed<P: AsRef<str>>(&self, perm: &[P], gateiden: Option<&str>) -> bool {
        self.allowed_or(perm, None, gateiden, false).unwrap_or(false)
    }

    /// What decides on a permission, else the default. With `deepdeny` a rule that denies something below the permission
    /// comes before all but admins.
    pub fn allowed_or<P: AsRef<str>>(
        &self,
        perm: &[P],
        default: Option<bool>,
        gateiden: Option<&str>,
        deepdeny: bool,
    ) -> Option<bool> {
        let state = self.0.state.load();
        if deepdeny && !state.locked && !state.admin && deep_deny(&state, perm, gateiden) {
            return Some(false);
        }
        match decide(&state, perm, gateiden, false) {
            Found::Locked => Some(false),
            Found::Admin(_) => Some(true),
            Found::Rule { rule, .. } => Some(rule.allow),
            Found::RoleRule { allow, .. } => Some(allow),
            Found::Nothing => default,
        }
    }

    /// The decision with its reason.
    pub fn allowed_reason<P: AsRef<str>>(
        &self,
        perm: &[P],
        default: Option<bool>,
        gateiden: Option<&str>,
    ) -> AllowedReason {
        let state = self.0.state.load();
        match decide(&state, perm, gateiden, true) {
            Found::Locked => AllowedReason { value: Some(false), islocked: true, ..AllowedReason::default() },
            Found::Admin(gate) => AllowedReason {
                value: Some(true),
                isadmin: true,
                gateiden: gate.map(str::to_owned),
                ..AllowedReason::default()
            },
            Found::Rule { rule, gate } => AllowedReason {
                value: Some(rule.allow),
                gateiden: gate.map(str::to_owned),
                rule: Some(rule.clone()),
                ..AllowedReason::default()
            },
            Found::RoleRule { allow, rule, gate, role } => AllowedReason {
                value: Some(allow),
                gateiden: gate.map(str::to_owned),
                role: Some(Role(role.clone())),
                rule,
                ..AllowedReason::default()
            },
            Found::Nothing => AllowedReason { value: default, default: true, ..AllowedReason::default() },
        }
    }

    /// Fails with `AuthDeny` unless the user has a permission.
    pub fn confirm<P: AsRef<str>>(&self, perm: &[P], gateiden: Option<&str>) -> Result<()> {
        self.confirm_or(perm, None, gateiden)
    }

    /// [`User::confirm`] with what holds when no rule matches.
    pub fn confirm_or<P: AsRef<str>>(&self, perm: &[P], default: Option<bool>, gateiden: Option<&str>) -> Result<()> {
        if self.allowed_or(perm, default, gateiden, false) == Some(true) {
            return Ok(());
        }
        Err(self.perm_deny(perm, gateiden))
    }

    /// The error for a permission the user lacks.
    pub fn perm_deny<P: AsRef<str>>(&self, perm: &[P], gateiden: Option<&str>) -> Error {
        let perm = perm.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(".");
        let mut mesg = format!("User '{}' ({}) must have permission {perm}", self.name(), self.0.iden);
        if let Some(iden) = gateiden {
            let Some(kind) = self.0.gates.read().get(iden).map(|gate| gate.kind.clone()) else {
                return err!(
                    "NoSuchAuthGate",
                    mesg = format!("There is no auth gate with the iden {iden}."),
                    iden = iden
                );
            };
            mesg += &format!(" on object {iden} ({kind}).");
        }
        err!("AuthDeny", mesg = mesg, perm = perm, user = &self.0.iden, username = self.name())
    }

    /// Fails with `AuthDeny` unless the user is an admin.
    pub fn req_admin(&self, gateiden: Option<&str>, mesg: Option<&str>) -> Result<()> {
        if self.is_admin(gateiden) {
            return Ok(());
        }
        let mesg = mesg.map(str::to_owned).unwrap_or_else(|| match gateiden {
            None => "Only a global admin may do this.".into(),
            Some(gate) => format!("Only an admin of the gate {gate} may do this."),
        });
        Err(err!("AuthDeny", mesg = mesg, user = &self.0.iden, username = self.name()))
    }

    /// The user as peers see it; with `packroles` the roles are packed too.
    pub fn pack(&self, packroles: bool) -> Map {
        let state = self.0.state.load();
        let get = |key: &str| state.info.get(key).cloned().unwrap_or_default();
        let roles = if packroles {
            state.roles.iter().map(|role| Role(role.clone()).pack().into()).collect::<Value>()
        } else {
            get("roles")
        };
        Map::new()
            .with("type", "user")
            .with("iden", &self.0.iden)
            .with("name", &state.name)
            .with("rules", get("rules"))
            .with("roles", roles)
            .with("admin", get("admin"))
            .with("email", get("email"))
            .with("locked", get("locked"))
            .with("archived", get("archived"))
            .with("authgates", get("authgates"))
    }
}

/// Locked, admin, then the user's rules on the gate, its own, its roles' on the gate, its roles' own.
fn decide<'s, P: AsRef<str>>(state: &'s UserState, perm: &[P], gateiden: Option<&'s str>, keep: bool) -> Found<'s> {
    if state.locked {
        return Found::Locked;
    }
    if state.admin {
        return Found::Admin(None);
    }
    let gate = gateiden.and_then(|iden| state.gates.get(iden));
    if let Some(gate) = gate {
        if gate.admin {
            return Found::Admin(gateiden);
        }
        if let Some(rule) = find(&gate.rules, perm) {
            return Found::Rule { rule, gate: gateiden };
        }
    }
    if let Some(rule) = find(&state.rules, perm) {
        return Found::Rule { rule, gate: None };
    }
    let of_role = |role: &'s Arc<RoleCell>, gate: Option<&'s str>| {
        let state = role.state.load();
        let rules = match gate {
            Some(gate) => &state.gates.get(gate)?.rules,
            None => &state.rules,
        };
        let rule = find(rules, perm)?;
        Some(Found::RoleRule { allow: rule.allow, rule: keep.then(|| rule.clone()), gate, role })
    };
    let on_gate = gateiden.and_then(|gate| state.roles.iter().find_map(|role| of_role(role, Some(gate))));
    on_gate.or_else(|| state.roles.iter().find_map(|role| of_role(role, None))).unwrap_or(Found::Nothing)
}

fn deep_deny<P: AsRef<str>>(state: &UserState, perm: &[P], gateiden: Option<&str>) -> bool {
    let below = |rules: &[Rule]| rules.iter().any(|rule| rule.denies_below(perm));
    if let Some(gate) = gateiden.and_then(|iden| state.gates.get(iden)) {
        if gate.admin {
            return false;
        }
        if below(&gate.rules) {
            return true;
        }
    }
    let on_gate =
        |role: &RoleState| gateiden.and_then(|iden| role.gates.get(iden)).is_some_and(|gate| below(&gate.rules));
    below(&state.rules)
        || state.roles.iter().any(|role| {
            let role = role.state.load();
            on_gate(&role) || below(&role.rules)
        })
}

/// Something with rules of its own: a view, a layer, a queue.
pub struct AuthGate {
    /// Its iden, that of what it guards.
    pub iden: Arc<str>,
    /// What it guards.
    pub kind: Arc<str>,
    pub(super) users: RwLock<indexmap::IndexMap<String, Value>>,
    pub(super) roles: RwLock<indexmap::IndexMap<String, Value>>,
}

impl AuthGate {
    /// The gate as peers see it.
    pub fn pack(&self) -> Map {
        let pack = |table: &RwLock<indexmap::IndexMap<String, Value>>| -> Value {
            let entry = |(iden, info): (&String, &Value)| -> Value {
                Map::new()
                    .with("iden", iden)
                    .with("rules", info.get("rules").cloned().unwrap_or_else(Value::empty_list))
                    .with("admin", info.get("admin").cloned().unwrap_or(Value::Bool(false)))
                    .into()
            };
            table.read().iter().map(entry).collect()
        };
        Map::new()
            .with("iden", &self.iden)
            .with("type", &self.kind)
            .with("users", pack(&self.users))
            .with("roles", pack(&self.roles))
    }
}
