//! The cell: a service's directory and the parts that every service has.
//!
//! Boot goes in phases, since a service's own storage must be there before the log is applied again:
//! [`Cell::open`] (directory, lock, options, slabs, auth) → the service opens its slabs and adds its handlers →
//! [`Cell::start`] (log applied again, first users) → [`Cell::serve`](crate::Cell::serve) (listeners, AHA).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use myelin_error::{Result, err};
use myelin_slab::tables::{GuidStor, SafeKeyVal};
use myelin_slab::{Options, Reads, Slab, Table, Writer, WriterConf};
use myelin_value::{Map, Value, guid_of, rand_guid};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::{Auth, AuthConf};
use crate::boot::Boot;
use crate::boss::Boss;
use crate::conf::{Conf, ConfDef};
use crate::nexus::{Nexus, NexusConf};
use crate::version::{NEXUS_VERSION, VERSION, now, version_value};

/// What distinguishes one kind of service from another.
#[derive(Clone, Copy, Debug)]
pub struct CellSpec {
    /// What `getCellType` says: `cortex`, `axon`.
    pub celltype: &'static str,
    /// Its own options, which also replace common ones.
    pub confs: &'static [ConfDef],
    /// Prefixes of its environment variables.
    pub envprefixes: &'static [&'static str],
    /// The version of the service.
    pub version: [i64; 3],
}

/// Storage versions that a first boot writes: the name and the last number.
pub const CELL_VERS: &[(&str, i64)] = &[("cell:storage", 2), ("drive:storage", 2)];

/// A service's common parts. Cheap to clone.
#[derive(Clone)]
pub struct Cell(Arc<Inner>);

/// A cell that may be gone.
pub(crate) struct WeakCell(Weak<Inner>);

impl WeakCell {
    /// The cell, if it is still there.
    pub fn upgrade(&self) -> Option<Cell> {
        self.0.upgrade().map(Cell)
    }
}

pub(crate) struct Inner {
    pub spec: CellSpec,
    pub dirn: PathBuf,
    pub iden: String,
    pub runid: String,
    pub conf: Conf,
    pub inaugural: bool,
    pub writer: Writer,
    pub slab: Slab,
    pub nexus: Nexus,
    pub auth: Auth,
    pub boss: Boss,
    pub info: SafeKeyVal,
    pub vers: SafeKeyVal,
    pub sess: GuidStor,
    pub user_meta: Table,
    pub user_apikeys: Table,
    pub drive: crate::drive::Drive,
    pub embedded: bool,
    pub active: watch::Sender<bool>,
    pub standing: crate::mirror::Standing,
    pub aha: std::sync::OnceLock<myelin_telepath::Client>,
    pub started: Instant,
    pub startms: i64,
    pub done: CancellationToken,
    pub features: Mutex<Map>,
    pub health: RwLock<Vec<HealthFunc>>,
    pub on_active: RwLock<Vec<ActiveHook>>,
    pub sums: RwLock<Vec<crate::mirror::compare::SumsFunc>>,
    /// What answers until the service does.
    pub boot: Mutex<Option<Boot>>,
    pub reloads: Mutex<indexmap::IndexMap<String, crate::reload::ReloadFunc>>,
    pub permdefs: RwLock<Vec<Map>>,
    pub backup: Mutex<crate::backup::BackupState>,
    pub routes: RwLock<crate::http::Routes>,
    pub https: Mutex<Vec<Value>>,
    pub dmon: std::sync::OnceLock<myelin_telepath::Dmon>,
    /// Held for as long as the cell is open: whoever still has a handle of an ended one does not keep others out.
    lock: Mutex<Option<File>>,
}

/// Adds its findings to a health check.
pub type HealthFunc = Arc<dyn Fn(&mut HealthCheck) + Send + Sync>;
/// Called when the cell becomes active (leader), or stops being it.
pub type ActiveHook = Arc<dyn Fn(bool) + Send + Sync>;

/// Where an embedded cell takes its writer and nexus from.
struct Parts {
    writer: Writer,
    nexus: Option<Nexus>,
}

impl Cell {
    /// Opens the directory of a service, and makes it if it is not there. Blocks.
    pub fn open(spec: CellSpec, dirn: &Path, conf: Map) -> Result<Cell> {
        // URLs are made of it, and the process may go elsewhere.
        let dirn = &std::path::absolute(dirn)?;
        let given = Conf::load(dirn, spec.confs, conf.clone())?;
        let durable = given.is_on("nexus:durable");
        let writer = Writer::with_conf(spec.celltype, WriterConf { durable, ..WriterConf::default() })?;
        let opened = Cell::build(spec, dirn, conf, None, Parts { writer: writer.clone(), nexus: None });
        opened.inspect_err(|_| drop(writer.fini()))
    }

    /// Opens a cell inside another (a cortex's own axon): it writes through its parent's writer and nexus. `iden` is given
    /// where it derives from the parent's.
    pub fn open_child(spec: CellSpec, parent: &Cell, dirn: &Path, conf: Map, iden: Option<&str>) -> Result<Cell> {
        let parts = Parts { writer: parent.writer().clone(), nexus: Some(parent.nexus().clone()) };
        Cell::build(spec, dirn, conf, iden, parts)
    }

    fn build(spec: CellSpec, dirn: &Path, given: Map, iden: Option<&str>, parts: Parts) -> Result<Cell> {
        let conf = Conf::load(dirn, spec.confs, given)?;
        req_whole(dirn)?;
        std::fs::create_dir_all(dirn)?;
        let top = parts.nexus.is_none();
        let (iden, lock, inaugural) = claim(dirn, &conf, iden, top)?;
        if !inaugural {
            req_known_versions(&spec, dirn)?;
        }
        make_tree(dirn)?;
        let writer = parts.writer;
        let claimed = (iden, lock, inaugural);
        if let Some(nexus) = parts.nexus {
            return Cell::assemble(spec, dirn, conf, claimed, writer, nexus, true);
        }
        let boot = Boot::begin(dirn, &claimed.0, conf.str("dmon:listen"));
        let optimized = match conf.is_on("onboot:optimize") && !inaugural {
            true => crate::optimize::optimize(dirn, &boot.progress),
            false => None,
        };
        let log = conf.is_on("nexslog:en") || conf.is_on("mirror");
        let nexus_conf = NexusConf { slabs: dirn.join("slabs"), log, durable: conf.is_on("nexus:durable") };
        let nexus = Nexus::open(&writer, nexus_conf)?;
        let built = Cell::assemble(spec, dirn, conf, claimed, writer, nexus.clone(), false)
            .and_then(|cell| cell.keep_optimized(optimized).map(|()| cell))
            .inspect(|cell| *cell.0.boot.lock() = Some(boot));
        // Handlers hold what they change: without this nothing of a cell that did not open would ever close.
        built.inspect_err(|_| nexus.clear_handlers())
    }

    fn assemble(
        spec: CellSpec,
        dirn: &Path,
        conf: Conf,
        (iden, lock, inaugural): (String, File, bool),
        writer: Writer,
        nexus: Nexus,
        embedded: bool,
    ) -> Result<Cell> {
        let durable = conf.is_on("nexus:durable");
        let opts = Options { durable, ..Options::small() };
        let slab = Slab::open(&writer, &dirn.join("slabs/cell.lmdb"), opts)?;
        let seed = guid_of(&[iden.as_str(), "hive", "auth"].into_iter().map(Value::from).collect());
        let max_users = conf.int("max:users").and_then(|max| u64::try_from(max).ok()).unwrap_or_default();
        let auth_conf = AuthConf { seed, max_users, policy: conf.get("auth:passwd:policy") };
        let auth_nexus = if embedded { Nexus::direct(&writer) } else { nexus.clone() };
        let auth = Auth::open(&slab, &auth_nexus, auth_conf)?;
        slab.table("cell:conf", false)?;
        slab.table("hive", false)?;
        let cell = Cell(Arc::new(Inner {
            info: SafeKeyVal::open(&slab, "cell:info")?,
            vers: SafeKeyVal::open(&slab, "cell:vers")?,
            sess: GuidStor::open(&slab, "http:sess")?,
            user_meta: slab.table("user:meta", false)?,
            user_apikeys: slab.table("user:apikeys", false)?,
            drive: crate::drive::Drive::open(&writer, &dirn.join("slabs"), Options { durable, ..Options::default() })?,
            spec,
            dirn: dirn.to_owned(),
            iden,
            runid: rand_guid(),
            conf,
            inaugural,
            writer,
            slab,
            nexus,
            auth,
            boss: Boss::default(),
            embedded,
            active: watch::Sender::new(false),
            standing: crate::mirror::Standing::default(),
            aha: std::sync::OnceLock::new(),
            started: Instant::now(),
            startms: now(),
            done: CancellationToken::new(),
            features: Mutex::new(base_features()),
            health: RwLock::default(),
            on_active: RwLock::default(),
            sums: RwLock::default(),
            boot: Mutex::default(),
            reloads: Mutex::default(),
            permdefs: RwLock::default(),
            backup: Mutex::default(),
            routes: RwLock::default(),
            https: Mutex::default(),
            dmon: std::sync::OnceLock::new(),
            lock: Mutex::new(Some(lock)),
        }));
        // What hangs on a cell holds it: without an end, one that did not get ready would keep its directory locked.
        cell.prepare().inspect_err(|_| drop(cell.fini()))?;
        Ok(cell)
    }

    /// What an opened cell does before it can be started.
    fn prepare(&self) -> Result<()> {
        if !self.0.embedded {
            self.req_free_space()?;
        }
        self.state_versions()?;
        if !self.0.embedded {
            let min = self.conf().int("nexus:min_mirrors").and_then(|min| usize::try_from(min).ok());
            self.nexus().set_min_mirrors(min.unwrap_or_default());
        }
        self.add_handlers();
        self.set_root_passwd()
    }

    /// States this version in the directory.
    fn state_versions(&self) -> Result<()> {
        let inner = &self.0;
        let txn = inner.slab.read_fresh()?;
        let nexsvers = match inner.info.get(&txn, "nexus:version")? {
            Some(vers) => (int_at(&vers, 0), int_at(&vers, 1)),
            None if inner.inaugural => NEXUS_VERSION,
            None => (0, 0),
        };
        inner.auth.set_nexus_version(nexsvers);
        let cell = self.clone();
        inner.writer.run(move |cx| {
            let inner = &cell.0;
            let version = Value::from(inner.spec.version);
            if inner.inaugural {
                inner.info.set(cx, "nexus:version", &Value::list([NEXUS_VERSION.0.into(), NEXUS_VERSION.1.into()]))?;
                for (name, vers) in CELL_VERS {
                    inner.vers.set(cx, name, &Value::from(*vers))?;
                }
            }
            inner.info.set(cx, "cell:version", &version)?;
            inner.info.set(cx, "synapse:version", &version_value())
        })
    }

    /// Refuses a directory whose storage is of a version that this build does not know. One that is not stated is taken for
    /// the right one.
    ///
    /// # Errors
    /// `BadStorageVersion`, which says what to do.
    pub fn check_storage(&self, name: &str, oldest: i64, newest: i64) -> Result<()> {
        let txn = self.0.slab.read_fresh()?;
        let stored = self.0.vers.get(&txn, name)?.and_then(|vers| vers.as_i64());
        check_number(self.dirn(), name, stored, oldest, newest)
    }

    fn set_root_passwd(&self) -> Result<()> {
        let Some(passwd) = self.conf().str("auth:passwd") else { return Ok(()) };
        let auth = self.auth();
        let root = auth.root()?;
        if root
            .get("passwd")
            .as_map()
            .is_some_and(|_| crate::auth::check_shadow(&passwd, &root.get("passwd")).unwrap_or(false))
        {
            return Ok(());
        }
        let shadow = crate::auth::make_shadow(&passwd);
        let auth = auth.clone();
        // As in the original this is no event: each mirror has its own.
        self.writer().run(move |cx| {
            let cx = &mut crate::nexus::ApplyCx::direct(cx);
            auth.apply_user_info(cx, root.iden(), "passwd", shadow, None)
        })
    }

    /// Applies again what the log has and the slabs lack, then makes the first users and roles. Blocks. Called when the
    /// service's own storage is open and its handlers are added.
    pub fn start(&self) -> Result<()> {
        if !self.0.embedded {
            let progress = self.0.boot.lock().as_ref().map(|boot| boot.progress.clone()).unwrap_or_default();
            let again = self.nexus().recover(&progress)?;
            if again > 0 {
                tracing::info!(count = again, "entries of the nexus log were applied again");
            }
            self.standing().sums_from.store(self.nexus().index(), std::sync::atomic::Ordering::Release);
        }
        if self.0.embedded {
            self.set_active(true);
        } else if self.conf().get("mirror").is_null() {
            self.set_ready(true);
            self.become_active()?;
        } else {
            self.nexus().set_leader(false);
        }
        if self.0.inaugural {
            self.make_first_users()?;
            // What a first start makes comes through no event, so that nothing could make it good after a kill.
            self.writer().commit()?;
            if !self.0.embedded {
                crate::first::finish(self.dirn())?;
            }
        }
        if let Some(name) = self.conf().str("aha:admin")
            && self.is_active()
        {
            self.make_admin(&name)?;
        }
        Ok(())
    }

    fn make_first_users(&self) -> Result<()> {
        let first = self.conf().get("inaugural");
        let auth = self.auth();
        let items = |valu: &Value, key: &str| valu.get(key).and_then(Value::as_list).unwrap_or_default().to_vec();
        let derive =
            |kind: &str, name: &str| guid_of(&[self.iden(), "auth", kind, name].into_iter().map(Value::from).collect());
        let name_of = |valu: &Value| -> Result<String> {
            let name = valu.get("name").and_then(Value::as_str).map(str::to_owned);
            name.ok_or_else(|| {
                err!("BadConfValu", mesg = "A user or role of the option inaugural has no name.", name = "inaugural")
            })
        };
        for rdef in items(&first, "roles") {
            let name = name_of(&rdef)?;
            let role = auth.add_role(&name, Some(&derive("role", &name)))?;
            for rule in items(&rdef, "rules") {
                auth.add_role_rule(&role, &rule, None, None)?;
            }
        }
        for udef in items(&first, "users") {
            let name = name_of(&udef)?;
            let email = udef.get("email").cloned().unwrap_or_default();
            let user = auth.add_user(&name, None, &email, Some(&derive("user", &name)))?;
            if udef.get("admin").is_some_and(Value::is_truthy) {
                auth.set_admin(&user, true, None)?;
            }
            for role in items(&udef, "roles") {
                let role = auth.req_role_by_name(role.as_str().unwrap_or_default())?;
                auth.grant(&user, role.iden(), None)?;
            }
            for rule in items(&udef, "rules") {
                auth.add_user_rule(&user, &rule, None, None)?;
            }
        }
        Ok(())
    }

    /// Makes sure that a user of that name exists, is an admin and not locked.
    pub fn make_admin(&self, name: &str) -> Result<()> {
        let auth = self.auth();
        let user = match auth.user_by_name(name) {
            Some(user) => user,
            None => auth.add_user(name, None, &Value::Null, None)?,
        };
        if !user.is_admin(None) {
            auth.set_admin(&user, true, None)?;
        }
        if user.is_locked() {
            auth.set_locked(&user, false)?;
        }
        Ok(())
    }

    // ---- parts

    /// The iden of the cell.
    pub fn iden(&self) -> &str {
        &self.0.iden
    }

    /// The iden of this run.
    pub fn run_id(&self) -> &str {
        &self.0.runid
    }

    /// The kind of service.
    pub fn celltype(&self) -> &'static str {
        self.0.spec.celltype
    }

    /// The directory, or a path inside.
    pub fn dirn(&self) -> &Path {
        &self.0.dirn
    }

    /// The options.
    pub fn conf(&self) -> &Conf {
        &self.0.conf
    }

    /// The nexus.
    pub fn nexus(&self) -> &Nexus {
        &self.0.nexus
    }

    /// Users and permissions.
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// The tasks.
    pub fn boss(&self) -> &Boss {
        &self.0.boss
    }

    /// The writer of all slabs.
    pub fn writer(&self) -> &Writer {
        &self.0.writer
    }

    /// The cell's own slab, `cell.lmdb`.
    pub fn slab(&self) -> &Slab {
        &self.0.slab
    }

    /// The drive.
    pub fn drive(&self) -> &crate::drive::Drive {
        &self.0.drive
    }

    /// The table `cell:info`.
    pub fn info_table(&self) -> &SafeKeyVal {
        &self.0.info
    }

    /// The table `cell:vers`.
    pub fn vers_table(&self) -> &SafeKeyVal {
        &self.0.vers
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// A handle that does not keep the cell open.
    pub(crate) fn downgrade(&self) -> WeakCell {
        WeakCell(Arc::downgrade(&self.0))
    }

    /// Whether this boot is the directory's first.
    pub fn is_inaugural(&self) -> bool {
        self.0.inaugural
    }

    /// Whether it lives inside another cell.
    pub fn is_embedded(&self) -> bool {
        self.0.embedded
    }

    /// Options for a slab of this service: as durable as the service is.
    pub fn slab_opts(&self, opts: Options) -> Options {
        Options { durable: self.conf().is_on("nexus:durable"), ..opts }
    }

    /// Opens a slab of this service by its path below the directory.
    pub fn open_slab(&self, path: &str, opts: Options) -> Result<Slab> {
        Slab::open(self.writer(), &self.0.dirn.join(path), self.slab_opts(opts))
    }

    // ---- state

    /// Whether this is the leader, or has none.
    pub fn is_active(&self) -> bool {
        *self.0.active.borrow()
    }

    /// Makes the cell active or passive.
    pub fn set_active(&self, active: bool) {
        if self.0.active.send_if_modified(|old| std::mem::replace(old, active) != active) {
            let hooks = self.0.on_active.read().clone();
            hooks.iter().for_each(|hook| hook(active));
        }
    }

    /// Calls `hook` when the cell becomes active or passive, and now if it is active.
    pub fn on_active(&self, hook: ActiveHook) {
        self.0.on_active.write().push(hook.clone());
        if self.is_active() {
            hook(true);
        }
    }

    /// Cancelled when the cell ends.
    pub fn done(&self) -> &CancellationToken {
        &self.0.done
    }

    /// Ends the cell: tasks stop, slabs are committed and closed. Blocks.
    pub fn fini(&self) -> Result<()> {
        self.0.done.cancel();
        self.0.on_active.write().clear();
        self.0.health.write().clear();
        self.0.sums.write().clear();
        drop(self.0.boot.lock().take());
        self.0.reloads.lock().clear();
        *self.0.routes.write() = crate::http::Routes::new();
        self.auth().clear_hooks();
        if self.0.embedded {
            self.nexus().del_handler(self.iden());
            let done = self.0.slab.fini();
            self.0.lock.lock().take();
            return done;
        }
        self.nexus().set_ending();
        self.nexus().clear_handlers();
        for task in self.boss().ps() {
            task.kill();
        }
        let done = self.writer().fini();
        // Also after an error: nothing is written any more.
        self.0.lock.lock().take();
        done
    }

    // ---- what peers are told

    /// Adds a feature that peers are told of.
    pub fn set_feature(&self, name: &str, level: i64) {
        self.0.features.lock().insert(name, level);
    }

    /// The features that peers are told of.
    pub fn features(&self) -> Map {
        self.0.features.lock().clone()
    }

    /// The version of the events' behaviour that the storage has.
    pub(crate) fn nexus_version(&self) -> Result<(i64, i64)> {
        let txn = self.0.slab.read_fresh()?;
        let vers = self.0.info.get(&txn, "nexus:version")?;
        Ok(vers.map_or((0, 0), |vers| (int_at(&vers, 0), int_at(&vers, 1))))
    }

    /// A storage version.
    pub fn cell_vers(&self, name: &str) -> Result<i64> {
        let txn = self.0.slab.read_fresh()?;
        Ok(self.0.vers.get(&txn, name)?.and_then(|vers| vers.as_i64()).unwrap_or_default())
    }

    /// What `getCellInfo` says.
    pub fn cell_info(&self) -> Result<Map> {
        let inner = &self.0;
        let txn = inner.slab.read_fresh()?;
        let cellvers: Map = inner.vers.items(&txn, "")?.into_iter().collect();
        let conf = |key: &str| inner.conf.get(key);
        let mirror = inner.conf.str("mirror").map(|url| myelin_telepath::url::sanitize(&url));
        let holds = inner.nexus.holds();
        let (active, ready) = (self.is_active(), self.is_ready());
        let uplink = inner.standing.uplink.load(std::sync::atomic::Ordering::Acquire);
        let nexus = Map::new()
            .with("indx", inner.nexus.index())
            .with("ready", ready)
            .with("uplink:ready", uplink)
            .with("readonly", !holds.is_empty())
            .with("holds", holds.iter().map(|hold| Value::from(Map::new().with("reason", hold))).collect::<Value>());
        let aha = Map::new()
            .with("name", conf("aha:name"))
            .with("leader", conf("aha:leader"))
            .with("network", conf("aha:network"));
        let version = Value::from(inner.spec.version);
        let cell = Map::new()
            .with("run", self.run_id())
            .with("type", self.celltype())
            .with("iden", self.iden())
            .with("paused", inner.nexus.is_paused())
            .with("active", active)
            .with("safemode", inner.conf.is_on("safemode"))
            .with("started", inner.startms)
            .with("ready", ready)
            .with("commit", crate::version::commit())
            .with("version", version)
            .with("verstring", inner.spec.version.map(|part| part.to_string()).join("."))
            .with("cellvers", cellvers)
            .with("nexsindx", inner.nexus.index())
            .with("uplink", uplink)
            .with("mirror", mirror.map_or(Value::Null, Value::from))
            .with("aha", aha)
            .with("network", Map::new().with("https", Value::list(inner.https.lock().clone())))
            .with("nexus", nexus);
        let synapse = Map::new()
            .with("commit", crate::version::commit())
            .with("version", version_value())
            .with("verstring", crate::version::VERSTRING);
        Ok(Map::new()
            .with("synapse", synapse)
            .with("cell", cell)
            .with("features", self.features())
            .with("optimized", self.last_optimized()?)
            .with(
                "myelin",
                Map::new()
                    .with("version", crate::version::MYELIN_VERSION)
                    .with("min_mirrors", inner.nexus.min_mirrors())
                    .with("sums", self.sums_info()),
            ))
    }

    /// How long the cell has been open.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Says which permissions this service knows: dicts with `perm`, `gate`, `desc` and `default`.
    pub fn set_perm_defs(&self, defs: Vec<Map>) {
        *self.0.permdefs.write() = defs;
    }

    /// The permissions this service knows. Not all that can be asked for: some have parts that users make up.
    pub fn perm_defs(&self) -> Vec<Map> {
        self.0.permdefs.read().clone()
    }

    /// The definition of a permission, if there is one for exactly that.
    pub fn perm_def(&self, perm: &Value) -> Option<Map> {
        self.0.permdefs.read().iter().find(|def| def.get("perm") == Some(perm)).cloned()
    }

    /// What `getDiagInfo` says: the slabs that are open.
    pub fn diag_info(&self) -> Result<Map> {
        let slabs = self.writer().run(|cx| Ok(cx.slabs()))?;
        let slabs = slabs.iter().map(|slab| {
            let path = slab.path().display().to_string();
            Value::from(
                Map::new().with("path", path).with("size", slab.used_bytes()).with("commitstats", Value::empty_list()),
            )
        });
        Ok(Map::new().with("slabs", slabs.collect::<Value>()))
    }

    /// Adds to what a health check looks at.
    pub fn add_health(&self, func: HealthFunc) {
        self.0.health.write().push(func);
    }

    /// What `getHealthCheck` says.
    pub fn health_check(&self) -> HealthCheck {
        let mut check = HealthCheck { iden: self.iden().to_owned(), status: "nominal", components: Vec::new() };
        check.update("cell", "nominal", "", Map::new().with("active", self.is_active()));
        if let Some(error) = self.0.writer.broken() {
            let mesg = format!("Nothing can be written until the service is restarted: {}", error.message());
            check.update("storage", "failed", &mesg, Map::new().with("err", error.name()));
        }
        self.sums_health(&mut check);
        let funcs = self.0.health.read().clone();
        funcs.iter().for_each(|func| func(&mut check));
        check
    }
}

/// What a health check finds.
pub struct HealthCheck {
    iden: String,
    status: &'static str,
    components: Vec<Value>,
}

impl HealthCheck {
    /// Adds a component's state: `nominal`, `degraded` or `failed`. The worst one is the state of all.
    pub fn update(&mut self, name: &str, status: &'static str, mesg: &str, data: Map) {
        let rank = |status: &str| match status {
            "nominal" => 0,
            "degraded" => 1,
            _ => 2,
        };
        if rank(status) > rank(self.status) {
            self.status = status;
        }
        let component = Map::new().with("status", status).with("name", name).with("mesg", mesg).with("data", data);
        self.components.push(component.into());
    }

    /// The form peers get.
    pub fn pack(&self) -> Map {
        Map::new()
            .with("iden", &self.iden)
            .with("status", self.status)
            .with("components", Value::list(self.components.clone()))
    }
}

fn int_at(valu: &Value, indx: usize) -> i64 {
    valu.at(indx).and_then(Value::as_i64).unwrap_or_default()
}

fn base_features() -> Map {
    [
        "tellready",
        "dynmirror",
        "tasks",
        "issuewait",
        "shutdowndrain",
        "nexusconfirm",
        crate::mirror::compare::FEATURE,
        crate::mirror::fence::FEATURE,
    ]
    .into_iter()
    .map(|name| (name, 1))
    .collect()
}

/// Refuses a backup that was not finished: it lacks what it lacks without saying so.
fn req_whole(dirn: &Path) -> Result<()> {
    if !dirn.join(crate::backup::UNFINISHED).exists() {
        return Ok(());
    }
    let dirn = dirn.display().to_string();
    let mesg = format!("The directory {dirn} is a backup that was not finished. Use another one.");
    Err(err!("BadCoreStore", mesg = mesg, dirn = dirn))
}

/// Refuses a directory that a newer version wrote, before anything in it is changed.
fn req_known_versions(spec: &CellSpec, dirn: &Path) -> Result<()> {
    let path = dirn.join("slabs/cell.lmdb");
    if !path.join("data.mdb").exists() {
        return Ok(());
    }
    let slab = Slab::open_readonly(&path)?;
    // A transaction knows the tables that were opened before it.
    let (info, vers) = (slab.find_table("cell:info")?, slab.find_table("cell:vers")?);
    let txn = slab.read()?;
    let get = |table: Option<Table>, key: &str| -> Result<Option<Value>> {
        table.map_or(Ok(None), |table| txn.get_value(table, key.as_bytes()))
    };
    for (key, ours) in [("cell:version", spec.version), ("synapse:version", VERSION)] {
        let stored = get(info, key)?;
        let stored = stored.as_ref().and_then(Value::as_list).unwrap_or_default();
        let stored: Vec<i64> = stored.iter().filter_map(Value::as_i64).collect();
        if stored.as_slice() > &ours[..] {
            let text = |vers: &[i64]| vers.iter().map(i64::to_string).collect::<Vec<_>>().join(".");
            let mesg = format!(
                "The directory {} was written by version {} ({key}), and this is {}: start it with that build or a newer one.",
                dirn.display(),
                text(&stored),
                text(&ours)
            );
            let last: Value = stored.into_iter().map(Value::from).collect();
            return Err(err!("BadVersion", mesg = mesg, currver = ours, lastver = last));
        }
    }
    for (name, ours) in CELL_VERS {
        check_number(dirn, name, get(vers, name)?.and_then(|vers| vers.as_i64()), *ours, *ours)?;
    }
    Ok(())
}

fn check_number(dirn: &Path, name: &str, stored: Option<i64>, oldest: i64, newest: i64) -> Result<()> {
    let Some(stored) = stored.filter(|stored| !(oldest..=newest).contains(stored)) else { return Ok(()) };
    let todo = if stored > newest {
        "start it with a newer build"
    } else {
        "start it once with version 2.256 of the original, which brings it up to that"
    };
    let dirn = dirn.display();
    let mesg = format!("The directory {dirn} has version {stored} of {name}, and this build needs {newest}: {todo}.");
    Err(err!("BadStorageVersion", mesg = mesg, name = name, version = stored))
}

/// Makes the directories every service has, and empties those that hold nothing worth keeping.
fn make_tree(dirn: &Path) -> Result<()> {
    for sub in ["tmp", "sockets"] {
        let path = dirn.join(sub);
        if path.is_dir() {
            std::fs::remove_dir_all(&path)?;
        }
    }
    for sub in ["sockets", "slabs", "tmp", "certs", "backups"] {
        std::fs::create_dir_all(dirn.join(sub))?;
    }
    let secret = dirn.join("cookie.secret");
    if !secret.exists() {
        std::fs::write(&secret, rand_guid())?;
        set_private(&secret)?;
    }
    Ok(())
}

pub(crate) fn set_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}

/// Reads (or makes) the iden of the cell and locks the file that holds it. Says whether this is the first start; `top` is
/// the cell of a process, whose first start is marked until it is finished.
fn claim(dirn: &Path, conf: &Conf, iden: Option<&str>, top: bool) -> Result<(String, File, bool)> {
    let path = dirn.join("cell.guid");
    let mut inaugural = !path.exists();
    if inaugural {
        let iden = iden.map(str::to_owned).or_else(|| conf.str("cell:guid")).unwrap_or_else(rand_guid);
        if top {
            crate::first::begin(dirn)?;
        }
        // Whole or not at all.
        let new = dirn.join("cell.guid.new");
        std::fs::write(&new, iden)?;
        std::fs::rename(&new, &path)?;
    }
    let mut file = File::options().read(true).write(true).open(&path)?;
    if !myelin_slab::lock_exclusive(&file)? {
        let mesg = format!("Another process is already running the service in {}.", dirn.display());
        return Err(err!("FatalErr", mesg = mesg, path = path.display().to_string()));
    }
    if top && !inaugural && crate::first::is_unfinished(dirn) {
        crate::first::clear(dirn)?;
        inaugural = true;
    }
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    let mut stored = read.map_or_else(|_| String::new(), |_| text.trim().to_owned());
    if let Some(iden) = iden
        && stored != iden
    {
        std::fs::write(&path, iden)?;
        stored = iden.to_owned();
    }
    if myelin_value::Iden::from_hex(&stored).is_none() {
        let mesg = format!("The file {} does not hold an iden.", path.display());
        return Err(err!("BadCoreStore", mesg = mesg, path = path.display().to_string()));
    }
    Ok((stored, file, inaugural))
}
