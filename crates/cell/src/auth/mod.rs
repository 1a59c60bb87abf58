//! Users, roles, gates and rules.
//!
//! The stored form is the reference's: maps under `user:info:`, `role:info:` and `gate:` keys of the table `auth`. Readers
//! work on immutable states behind atomic pointers and never wait for a writer. Changes are nexus events of `auth:auth`
//! ([`events`]); what checks and prepares them before is in [`front`].

mod events;
mod front;
mod known;
mod passwd;
mod ruler;
pub(crate) mod sum;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_slab::tables::{SafeKeyVal, StateSum};
use myelin_slab::{ReadTxn, Reads, Slab};
use myelin_value::{Map, Value, guid_of};
use parking_lot::RwLock;

use crate::nexus::{ApplyCx, Nexus};
use ruler::{RoleCell, RoleState, UserCell, UserState};

pub use passwd::{check_shadow, make_api_key, make_shadow, parse_api_key};
pub use ruler::{AllowedReason, AuthGate, GateRules, Role, Rule, User};

/// The nexsiden of auth events.
pub const NEXSIDEN: &str = "auth:auth";

/// How auth is opened.
#[derive(Default, Clone)]
pub struct AuthConf {
    /// What the idens of `root` and `all` derive from.
    pub seed: String,
    /// Users that may be active at a time, root aside; 0 for any number.
    pub max_users: u64,
    /// The password policy, or null.
    pub policy: Value,
}

/// Called on the writer when a user was deleted, with its last definition.
pub type OnUserDel = Arc<dyn Fn(&mut ApplyCx<'_>, &str, &Map) -> Result<()> + Send + Sync>;
/// Called when a user was locked or unlocked.
pub type OnUserLock = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// Users, roles and gates of a cell. Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    slab: Slab,
    nexus: Nexus,
    conf: AuthConf,
    /// The stored nexus version, which decides on how some events act.
    nexsvers: ArcSwap<(i64, i64)>,
    users: RwLock<HashMap<Arc<str>, Arc<UserCell>>>,
    user_names: RwLock<BTreeMap<Arc<str>, Arc<str>>>,
    emails: RwLock<HashMap<String, Arc<str>>>,
    roles: RwLock<HashMap<Arc<str>, Arc<RoleCell>>>,
    role_names: RwLock<BTreeMap<Arc<str>, Arc<str>>>,
    gates: Arc<RwLock<HashMap<Arc<str>, Arc<AuthGate>>>>,
    stor: SafeKeyVal,
    sum: StateSum,
    root: OnceLock<User>,
    all: OnceLock<Role>,
    on_user_del: RwLock<Vec<OnUserDel>>,
    on_user_lock: RwLock<Vec<OnUserLock>>,
}

impl Auth {
    /// Loads the table `auth` of a slab, makes `root` and `all` if they are not there, and registers its events.
    pub fn open(slab: &Slab, nexus: &Nexus, conf: AuthConf) -> Result<Auth> {
        let stor = SafeKeyVal::open(slab, "auth")?;
        let sum = sum::open(slab, stor.table())?;
        let auth = Auth(Arc::new(Inner {
            slab: slab.clone(),
            nexus: nexus.clone(),
            conf,
            nexsvers: ArcSwap::from_pointee((0, 0)),
            users: RwLock::default(),
            user_names: RwLock::default(),
            emails: RwLock::default(),
            roles: RwLock::default(),
            role_names: RwLock::default(),
            gates: Arc::default(),
            stor: stor.summed(sum.clone(), sum::row_fact),
            sum,
            root: OnceLock::new(),
            all: OnceLock::new(),
            on_user_del: RwLock::default(),
            on_user_lock: RwLock::default(),
        }));
        auth.load()?;
        nexus.add_handler(NEXSIDEN, Arc::new(auth.clone()));
        auth.make_defaults()?;
        Ok(auth)
    }

    fn load(&self) -> Result<()> {
        let txn = self.0.slab.read_fresh()?;
        for (iden, info) in self.records(&txn, "role:info:")? {
            self.put_role_state(&iden, info);
        }
        for (iden, info) in self.records(&txn, "user:info:")? {
            self.put_user_state(&iden, info);
        }
        let names = |pref: &str| -> Result<BTreeMap<Arc<str>, Arc<str>>> {
            let items = self.0.stor.items(&txn, pref)?;
            let name = |(key, valu): (String, Value)| Some((Arc::from(&key[pref.len()..]), valu.as_arc_str()?.clone()));
            Ok(items.into_iter().filter_map(name).collect())
        };
        *self.0.user_names.write() = names("user:name:")?;
        *self.0.role_names.write() = names("role:name:")?;
        *self.0.emails.write() = names("user:email:")?.into_iter().map(|(key, valu)| (key.to_string(), valu)).collect();
        for (iden, info) in self.records(&txn, "gate:info:")? {
            let kind = info.get("type").and_then(Value::as_arc_str).cloned().unwrap_or_default();
            let members = |scope: &str| -> Result<RwLock<IndexMap<String, Value>>> {
                let pref = format!("gate:{iden}:{scope}:");
                let items = self.0.stor.items(&txn, &pref)?;
                Ok(RwLock::new(items.into_iter().map(|(key, valu)| (key[pref.len()..].to_owned(), valu)).collect()))
            };
            let gate = AuthGate { iden: iden.as_str().into(), kind, users: members("user")?, roles: members("role")? };
            self.0.gates.write().insert(gate.iden.clone(), Arc::new(gate));
        }
        Ok(())
    }

    fn records(&self, txn: &ReadTxn, pref: &str) -> Result<Vec<(String, Map)>> {
        let items = self.0.stor.items(txn, pref)?;
        items
            .into_iter()
            .map(|(key, valu)| {
                let bad = || err!("BadCoreStore", mesg = format!("The auth record {key} is damaged."));
                Ok((key[pref.len()..].to_owned(), valu.as_map().cloned().ok_or_else(bad)?))
            })
            .collect()
    }

    /// `root` is an admin and not locked after every boot, whatever happened; that is no event.
    fn make_defaults(&self) -> Result<()> {
        let auth = self.clone();
        self.0.nexus.writer().run(move |cx| {
            let cx = &mut ApplyCx::direct(cx);
            let iden = |kind: &str, name: &str| {
                let parts = [auth.0.conf.seed.as_str(), "auth", kind, name];
                guid_of(&parts.into_iter().map(Value::from).collect())
            };
            auth.add_role_record(cx, &iden("role", "all"), "all")?;
            auth.add_user_record(cx, &iden("user", "root"), "root")?;
            let root = auth.req_user_by_name("root")?;
            let info = root.info();
            if info.get("admin") != Some(&Value::Bool(true)) || info.get("locked") != Some(&Value::Bool(false)) {
                auth.save_user(cx, root.iden(), info.with("admin", true).with("locked", false))?;
            }
            let all = auth.req_role_by_name("all")?;
            let _ = (auth.0.root.set(root), auth.0.all.set(all));
            Ok(())
        })
    }

    fn put_role_state(&self, iden: &str, info: Map) {
        let state = Arc::new(RoleState::new(info));
        let mut roles = self.0.roles.write();
        match roles.get(iden) {
            Some(cell) => cell.state.store(state),
            None => {
                let iden: Arc<str> = iden.into();
                let cell = RoleCell { iden: iden.clone(), state: ArcSwap::from(state) };
                roles.insert(iden, Arc::new(cell));
            }
        }
    }

    fn put_user_state(&self, iden: &str, info: Map) {
        let state = Arc::new(UserState::new(info, &self.0.roles.read()));
        let mut users = self.0.users.write();
        match users.get(iden) {
            Some(cell) => cell.state.store(state),
            None => {
                let iden: Arc<str> = iden.into();
                let cell = UserCell { iden: iden.clone(), state: ArcSwap::from(state), gates: self.0.gates.clone() };
                users.insert(iden, Arc::new(cell));
            }
        }
    }

    /// Tells how events act: as of the stored nexus version.
    pub fn set_nexus_version(&self, vers: (i64, i64)) {
        self.0.nexsvers.store(Arc::new(vers));
    }

    /// Calls `hook` when a user is deleted.
    pub fn on_user_del(&self, hook: OnUserDel) {
        self.0.on_user_del.write().push(hook);
    }

    /// Calls `hook` when a user is locked or unlocked.
    pub fn on_user_lock(&self, hook: OnUserLock) {
        self.0.on_user_lock.write().push(hook);
    }

    /// Lets go of every hook, which hold on to other parts of the cell.
    pub(crate) fn clear_hooks(&self) {
        self.0.on_user_del.write().clear();
        self.0.on_user_lock.write().clear();
        self.0.nexus.del_handler(NEXSIDEN);
    }

    // ---- lookups

    /// The user `root`.
    pub fn root(&self) -> Result<User> {
        self.0.root.get().cloned().ok_or_else(|| err!("NoSuchUser", mesg = "There is no user root yet."))
    }

    /// The role `all`.
    pub fn all_role(&self) -> Result<Role> {
        self.0.all.get().cloned().ok_or_else(|| err!("NoSuchRole", mesg = "There is no role all yet."))
    }

    /// A user by its iden.
    pub fn user(&self, iden: &str) -> Option<User> {
        self.0.users.read().get(iden).cloned().map(User)
    }

    /// A user by its iden, else `NoSuchUser`.
    pub fn req_user(&self, iden: &str) -> Result<User> {
        self.user(iden)
            .ok_or_else(|| err!("NoSuchUser", mesg = format!("There is no user with the iden {iden}."), user = iden))
    }

    /// A user by its name.
    pub fn user_by_name(&self, name: &str) -> Option<User> {
        let iden = self.0.user_names.read().get(name).cloned()?;
        self.user(&iden)
    }

    /// A user by its name, else `NoSuchUser`.
    pub fn req_user_by_name(&self, name: &str) -> Result<User> {
        self.user_by_name(name)
            .ok_or_else(|| err!("NoSuchUser", mesg = format!("There is no user named {name}."), username = name))
    }

    /// A user by its name or iden, else `NoSuchUser`.
    pub fn req_user_by_name_or_iden(&self, name: &str) -> Result<User> {
        let found = self.user_by_name(name).or_else(|| self.user(name));
        found.ok_or_else(|| err!("NoSuchUser", mesg = format!("There is no user with the name or iden {name}.")))
    }

    /// A user by its mail address.
    pub fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let Some(norm) = front::norm_email(&Value::from(email))? else { return Ok(None) };
        let iden = self.0.emails.read().get(&norm).cloned();
        Ok(iden.and_then(|iden| self.user(&iden)))
    }

    /// All users, by name.
    pub fn users(&self) -> Vec<User> {
        let users = self.0.users.read();
        self.0.user_names.read().values().filter_map(|iden| users.get(iden).cloned().map(User)).collect()
    }

    /// A role by its iden.
    pub fn role(&self, iden: &str) -> Option<Role> {
        self.0.roles.read().get(iden).cloned().map(Role)
    }

    /// A role by its iden, else `NoSuchRole`.
    pub fn req_role(&self, iden: &str) -> Result<Role> {
        self.role(iden).ok_or_else(|| err!("NoSuchRole", mesg = format!("There is no role with the iden {iden}.")))
    }

    /// A role by its name.
    pub fn role_by_name(&self, name: &str) -> Option<Role> {
        let iden = self.0.role_names.read().get(name).cloned()?;
        self.role(&iden)
    }

    /// A role by its name, else `NoSuchRole`.
    pub fn req_role_by_name(&self, name: &str) -> Result<Role> {
        self.role_by_name(name).ok_or_else(|| err!("NoSuchRole", mesg = format!("There is no role named {name}.")))
    }

    /// All roles, by name.
    pub fn roles(&self) -> Vec<Role> {
        let roles = self.0.roles.read();
        self.0.role_names.read().values().filter_map(|iden| roles.get(iden).cloned().map(Role)).collect()
    }

    /// A gate by its iden.
    pub fn gate(&self, iden: &str) -> Option<Arc<AuthGate>> {
        self.0.gates.read().get(iden).cloned()
    }

    /// A gate by its iden, else `NoSuchAuthGate`.
    pub fn req_gate(&self, iden: &str) -> Result<Arc<AuthGate>> {
        let missing =
            || err!("NoSuchAuthGate", mesg = format!("There is no auth gate with the iden {iden}."), iden = iden);
        self.gate(iden).ok_or_else(missing)
    }

    /// Fails with `DupIden` if a gate has the iden.
    pub fn req_no_gate(&self, iden: &str) -> Result<()> {
        if self.gate(iden).is_none() {
            return Ok(());
        }
        Err(err!("DupIden", mesg = format!("An auth gate has the iden {iden} already."), iden = iden))
    }

    /// All gates, by iden.
    pub fn gates(&self) -> Vec<Arc<AuthGate>> {
        let mut gates: Vec<_> = self.0.gates.read().values().cloned().collect();
        gates.sort_by(|a, b| a.iden.cmp(&b.iden));
        gates
    }

    // ---- variables

    /// A variable or profile value of a user (`scope` is `vars` or `profile`).
    pub fn user_value(&self, scope: &str, iden: &str, name: &str) -> Result<Option<Value>> {
        self.stor_of(scope, iden).get(&self.0.slab.read_fresh()?, name)
    }

    /// All variables or profile values of a user.
    pub fn user_values(&self, scope: &str, iden: &str) -> Result<Vec<(String, Value)>> {
        self.stor_of(scope, iden).items(&self.0.slab.read_fresh()?, "")
    }

    fn stor_of(&self, scope: &str, iden: &str) -> SafeKeyVal {
        self.0.stor.sub(&format!("user:{iden}:{scope}:"))
    }

    /// The slab it is stored in.
    pub fn slab(&self) -> &Slab {
        &self.0.slab
    }

    /// The nexus its events go through.
    pub fn nexus(&self) -> &Nexus {
        &self.0.nexus
    }

    /// Whether anything is stored at all. For tests of what a boot leaves.
    pub fn entries(&self) -> Result<u64> {
        self.0.slab.read_fresh()?.entries(self.0.stor.table())
    }
}
