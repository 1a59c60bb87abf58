//! Dmons: queries that run in the background for ever. One that ends or fails is started again after a second.
//!
//! Stored under `storm:dmons:<iden>` of the table `cortex`. They run only on a leader, each on a thread of its own.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use indexmap::IndexMap;
use myelin_cell::{ApplyCx, Auth, Event};
use myelin_error::{Error, Result, err};
use myelin_slab::Slab;
use myelin_slab::tables::SafeKeyVal;
use myelin_storm::Sink;
use myelin_storm::rt::Cancel;
use myelin_value::{Map, Value, rand_guid};
use parking_lot::Mutex;

use super::{Part, Pusher, now_millis};
use crate::Cortex;
use crate::schemas;

/// Messages kept of each dmon.
const LOG_SIZE: usize = 2000;
/// How long a dmon rests between two runs.
const REST: Duration = Duration::from_secs(1);

/// The dmons of a cortex.
pub struct Dmons {
    stor: SafeKeyVal,
    dmons: Mutex<IndexMap<String, Arc<Dmon>>>,
    auth: Auth,
    pusher: Pusher,
    core: OnceLock<Weak<Cortex>>,
}

/// One dmon and how it fares.
struct Dmon {
    iden: String,
    ddef: Mutex<Map>,
    state: Mutex<State>,
    /// Ends the run that there is.
    run: Mutex<Option<Arc<Cancel>>>,
}

struct State {
    status: String,
    count: u64,
    failed: bool,
    log: VecDeque<Value>,
}

impl Dmons {
    /// Reads the definitions.
    pub fn open(slab: &Slab, stor: &SafeKeyVal, auth: Auth, pusher: Pusher) -> Result<Dmons> {
        let stor = stor.sub("storm:dmons:");
        let rows = stor.items(&slab.read_fresh()?, "")?;
        let load = |(iden, ddef): (String, Value)| Some((iden.clone(), Dmon::new(iden, ddef.as_map()?.clone())));
        let dmons = Mutex::new(rows.into_iter().filter_map(load).collect());
        Ok(Dmons { stor, dmons, auth, pusher, core: OnceLock::new() })
    }

    /// Starts those that are enabled, or stops all, as the cortex becomes leader or follower.
    pub fn set_active(&self, core: &Weak<Cortex>, active: bool) {
        drop(self.core.set(core.clone()));
        for dmon in self.dmons.lock().values() {
            dmon.stop();
            if active && dmon.is_enabled() {
                dmon.start(core.clone());
            }
        }
    }

    fn find(&self, iden: &str) -> Option<Arc<Dmon>> {
        self.dmons.lock().get(iden).cloned()
    }

    /// The core to run in, on a leader.
    fn leader(&self) -> Option<Weak<Cortex>> {
        let core = self.core.get()?;
        core.upgrade()
            .is_some_and(|core| core.cell.is_active() && !core.cell.conf().is_on("safemode"))
            .then(|| core.clone())
    }

    /// The definition of a dmon and how it fares; nothing if there is none.
    pub fn get(&self, iden: &str) -> Option<Map> {
        self.find(iden).map(|dmon| dmon.pack())
    }

    /// The definitions of all dmons and how they fare.
    pub fn list(&self) -> Vec<Map> {
        self.dmons.lock().values().map(|dmon| dmon.pack()).collect()
    }

    /// What a dmon said of late: `(time, message)` each.
    pub fn log(&self, iden: &str) -> Vec<Value> {
        self.find(iden).map(|dmon| dmon.state.lock().log.iter().cloned().collect()).unwrap_or_default()
    }

    /// Adds a dmon and starts it.
    ///
    /// # Errors
    /// `DupIden`, `NoSuchUser`, `BadSyntax`, `SchemaViolation`.
    pub fn add(&self, mut ddef: Map) -> Result<Value> {
        let iden = ddef.get_str("iden").map_or_else(rand_guid, str::to_owned);
        if self.find(&iden).is_some() {
            return Err(err!("DupIden", mesg = format!("Duplicate iden specified for dmon: {iden}")));
        }
        ddef.insert("iden", iden);
        self.check(&ddef)?;
        self.pusher.push("storm:dmon:add", [ddef.into()])
    }

    fn check(&self, ddef: &Map) -> Result<()> {
        schemas::check_map(&schemas::DMON, ddef)?;
        let text = ddef.get_str("storm").unwrap_or_default();
        if let Some(user) = ddef.get_str("user") {
            self.auth.req_user(user)?;
        }
        myelin_storm::run::parse(text).map(drop)
    }

    /// Deletes a dmon.
    ///
    /// # Errors
    /// `NoSuchIden`.
    pub fn del(&self, iden: &str) -> Result<Value> {
        if self.find(iden).is_none() {
            return Err(err!("NoSuchIden", mesg = format!("There is no dmon with the iden {iden}.")));
        }
        self.pusher.push("storm:dmon:del", [iden.into()])
    }

    /// Starts a dmon again. False if there is none, or it is disabled.
    pub fn bump(&self, iden: &str) -> Result<Value> {
        self.pusher.push("storm:dmon:bump", [iden.into()])
    }

    /// Lets a dmon run, or not. False if there is none, or it is so already.
    pub fn enable(&self, iden: &str, enabled: bool) -> Result<Value> {
        let event = if enabled { "storm:dmon:enable" } else { "storm:dmon:disable" };
        self.pusher.push(event, [iden.into()])
    }

    fn apply_add(&self, cx: &mut ApplyCx<'_>, ddef: &Map) -> Result<Value> {
        let iden = ddef.get_str("iden").unwrap_or_default().to_owned();
        if let Some(dmon) = self.find(&iden) {
            return Ok(dmon.pack().into());
        }
        let mut ddef = ddef.clone();
        if ddef.get("user").is_none_or(Value::is_null) {
            ddef.insert("user", &**self.auth.root()?.iden());
        }
        self.check(&ddef)?;
        self.stor.set(cx, &iden, &Value::from(ddef.clone()))?;
        let dmon = Dmon::new(iden.clone(), ddef);
        self.dmons.lock().insert(iden, dmon.clone());
        if let Some(core) = self.leader().filter(|_| dmon.is_enabled()) {
            dmon.start(core);
        }
        Ok(dmon.pack().into())
    }

    fn apply_enable(&self, cx: &mut ApplyCx<'_>, iden: &str, enabled: bool) -> Result<Value> {
        let Some(dmon) = self.find(iden).filter(|dmon| dmon.is_enabled() != enabled) else {
            return Ok(Value::from(false));
        };
        let ddef = {
            let mut ddef = dmon.ddef.lock();
            ddef.insert("enabled", enabled);
            ddef.clone()
        };
        self.stor.set(cx, iden, &ddef.into())?;
        match self.leader() {
            Some(core) if enabled => dmon.start(core),
            _ => dmon.stop(),
        }
        Ok(Value::from(true))
    }
}

impl Dmon {
    /// A dmon of a definition; its query finds in `$auto` what runs it.
    fn new(iden: String, mut ddef: Map) -> Arc<Dmon> {
        let mut opts = ddef.get("stormopts").and_then(Value::as_map).cloned().unwrap_or_default();
        let mut vars = opts.get("vars").and_then(Value::as_map).cloned().unwrap_or_default();
        if !vars.contains("auto") {
            vars.insert("auto", Map::new().with("iden", iden.as_str()).with("type", "dmon"));
        }
        opts.insert("vars", vars);
        ddef.insert("stormopts", opts);
        let state = State { status: "initialized".to_owned(), count: 0, failed: false, log: VecDeque::new() };
        Arc::new(Dmon { iden, ddef: Mutex::new(ddef), state: Mutex::new(state), run: Mutex::default() })
    }

    fn is_enabled(&self) -> bool {
        self.ddef.lock().get("enabled").is_none_or(Value::is_truthy)
    }

    fn pack(&self) -> Map {
        let state = self.state.lock();
        let ddef = self.ddef.lock().clone();
        ddef.with("count", state.count).with("status", state.status.as_str()).with("err", state.failed)
    }

    fn set_status(&self, status: impl Into<String>) {
        self.state.lock().status = status.into();
    }

    fn note(&self, kind: &str, info: Value) {
        let mut state = self.state.lock();
        if state.log.len() >= LOG_SIZE {
            state.log.pop_front();
        }
        state.log.push_back(Value::list([now_millis().into(), Value::list([kind.into(), info])]));
    }

    fn stop(&self) {
        if let Some(cancel) = self.run.lock().take() {
            cancel.cancel();
            self.set_status("stopped");
        }
    }

    /// Starts it on a thread of its own, which ends when it is stopped.
    fn start(self: &Arc<Dmon>, core: Weak<Cortex>) {
        let cancel = Arc::new(Cancel::default());
        if let Some(before) = self.run.lock().replace(cancel.clone()) {
            before.cancel();
        }
        let dmon = self.clone();
        let spawned = std::thread::Builder::new().name("dmon".to_owned()).spawn(move || dmon.run(&core, &cancel));
        if let Err(error) = spawned {
            self.set_status(format!("error: {error}"));
        }
    }

    fn run(self: Arc<Dmon>, core: &Weak<Cortex>, cancel: &Arc<Cancel>) {
        while !cancel.is_cancelled() {
            let Some(core) = core.upgrade().filter(|core| !core.cell.done().is_cancelled()) else { return };
            match self.once(&core, cancel) {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) if cancel.is_cancelled() => return,
                Err(error) => {
                    tracing::warn!(iden = self.iden, %error, "a dmon failed");
                    let info = Map::new()
                        .with("err", error.name())
                        .with("errmsg", error.message())
                        .with("errinfo", error.info().clone());
                    self.note("err", info.into());
                    let mut state = self.state.lock();
                    state.status = format!("error: {error}");
                    state.failed = true;
                }
            }
            drop(core);
            cancel.sleep(REST);
        }
    }

    /// Runs the query once. False when it must not be tried again.
    fn once(self: &Arc<Dmon>, core: &Arc<Cortex>, cancel: &Arc<Cancel>) -> Result<bool> {
        let ddef = self.ddef.lock().clone();
        let user = ddef.get_str("user").and_then(|iden| core.cell.auth().user(iden));
        let Some(user) = user.filter(|user| !user.is_locked()) else {
            self.set_status("fatal error: user locked");
            return Ok(false);
        };
        let opts = ddef.get("stormopts").and_then(Value::as_map).cloned().unwrap_or_default();
        let view = opts.get("view").cloned().unwrap_or_default();
        if view.as_str().is_some_and(|view| core.stack.view(view).is_none()) {
            self.set_status("fatal error: invalid view");
            return Ok(false);
        }
        let text = ddef.get_str("storm").unwrap_or_default();
        let (mut query, user) = core.query(&user, text, &opts.into())?;
        query.cancel = cancel.clone();
        let info = Map::new()
            .with("iden", self.iden.as_str())
            .with("name", ddef.get_str("name").unwrap_or("storm dmon"))
            .with("view", view);
        let task = core.cell.boss().promote("storm:dmon", Some(user), info, None)?;
        task.set_background(true);
        let _watch = crate::wait::cancel_with(task.cancel().clone(), cancel.clone());
        {
            let mut state = self.state.lock();
            state.status = "running".to_owned();
            state.failed = false;
        }
        let sink = Arc::new(DmonSink { dmon: self.clone(), failed: Mutex::new(None) });
        query.run_threaded(sink.clone())?;
        if let Some(error) = sink.failed.lock().take() {
            return Err(error);
        }
        self.set_status(if cancel.is_cancelled() { "stopped" } else { "sleeping" });
        Ok(true)
    }
}

/// Notes what a dmon says.
struct DmonSink {
    dmon: Arc<Dmon>,
    failed: Mutex<Option<Error>>,
}

impl Sink for DmonSink {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        match kind {
            "print" | "warn" => {
                let mesg = info.get("mesg").and_then(Value::as_str).unwrap_or_default();
                tracing::info!(iden = self.dmon.iden, kind, mesg, "a dmon speaks");
                self.dmon.note(kind, info);
            }
            "node" => self.dmon.state.lock().count += 1,
            "err" => *self.failed.lock() = Some(Error::unpack(&info)),
            _ => {}
        }
        Ok(())
    }
}

impl Part for Dmons {
    fn events(&self) -> &'static [&'static str] {
        &["storm:dmon:add", "storm:dmon:del", "storm:dmon:bump", "storm:dmon:enable", "storm:dmon:disable"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        if event.name == "storm:dmon:add" {
            return self.apply_add(cx, event.map_arg(0, "ddef")?);
        }
        let iden = event.str_arg(0, "iden")?;
        match event.name.as_str() {
            "storm:dmon:del" => {
                self.stor.del(cx, iden)?;
                let dmon = self.dmons.lock().shift_remove(iden);
                if let Some(dmon) = dmon {
                    dmon.stop();
                }
                Ok(Value::Null)
            }
            "storm:dmon:bump" => {
                let Some(dmon) = self.find(iden).filter(|dmon| dmon.is_enabled()) else {
                    return Ok(Value::from(false));
                };
                if let Some(core) = self.leader() {
                    dmon.start(core);
                }
                Ok(Value::from(true))
            }
            name => self.apply_enable(cx, iden, name == "storm:dmon:enable"),
        }
    }
}
