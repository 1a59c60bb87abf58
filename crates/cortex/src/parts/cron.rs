//! Cron jobs: queries that run at their time, once or again and again.
//!
//! A job is stored in its packed form under `agenda:appt:<iden>` of the table `cortex`, with an auth gate of its own.
//! On a leader one thread watches the clock; each run has a thread of its own and reports by `cron:edits` events.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
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
use crate::agenda::schedule::{Schedule, Unit};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Errors kept of each job.
const MAX_ERRORS: usize = 5;
/// What a run may change of its job.
const RUN_KEYS: [&str; 9] = [
    "errcount",
    "isrunning",
    "lasterrs",
    "lastfinishtime",
    "lastresult",
    "laststarttime",
    "nexttime",
    "startcount",
    "enabled",
];

/// The cron jobs of a cortex.
pub struct Cron {
    stor: SafeKeyVal,
    jobs: Mutex<IndexMap<String, Job>>,
    runs: Mutex<HashMap<String, Arc<Cancel>>>,
    clock: Mutex<Option<Arc<Cancel>>>,
    auth: Auth,
    pusher: Pusher,
}

/// A job in its packed form, and which of its schedules is up next.
struct Job {
    def: Map,
    upnext: Option<usize>,
}

fn now_secs() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64()
}

fn no_job(iden: &str) -> Error {
    err!("NoSuchIden", mesg = format!("No cron job with iden: {iden}"), iden = iden)
}

impl Job {
    fn flag(&self, key: &str) -> bool {
        self.def.get(key).is_some_and(Value::is_truthy)
    }

    fn nexttime(&self) -> Option<f64> {
        let valu = self.def.get("nexttime")?;
        valu.as_f64().or_else(|| valu.as_i64().map(|secs| secs as f64))
    }

    fn recs(&self) -> Vec<Schedule> {
        let recs = self.def.get("recs").and_then(Value::as_list).unwrap_or_default();
        recs.iter().filter_map(|rec| Schedule::unpack(rec).ok()).collect()
    }

    /// Moves on to the next time after `now`; schedules that are over are dropped.
    fn advance(&mut self, now: f64) {
        let mut recs = self.recs();
        if let Some(indx) = self.upnext.take()
            && !self.flag("recur")
            && indx < recs.len()
        {
            recs.remove(indx);
        }
        let mut at = self.nexttime().unwrap_or(now);
        while !recs.is_empty() && at <= now {
            recs.retain(|rec| rec.next_after(at).is_some());
            let next = recs.iter().enumerate().filter_map(|(indx, rec)| Some((indx, rec.next_after(at)?)));
            let Some((indx, next)) = next.min_by(|left, right| left.1.total_cmp(&right.1)) else { break };
            self.upnext = Some(indx);
            at = next;
        }
        let next = if recs.is_empty() { Value::Null } else { Value::from(at) };
        self.def.insert("recs", recs.iter().map(Schedule::pack).collect::<Value>());
        self.def.insert("nexttime", next);
    }
}

/// The schedules that requirements and a step give, and whether the job is to run at once.
fn schedules(reqs: &Value, unit: Option<Unit>, steps: &Value) -> Result<(Vec<Schedule>, bool)> {
    let reqs: Vec<Map> = match reqs {
        Value::Null => vec![Map::new()],
        Value::Map(req) => vec![(**req).clone()],
        Value::List(reqs) => reqs.iter().filter_map(|req| req.as_map().cloned()).collect(),
        _ => return Err(err!("BadArg", mesg = "Required times are a dictionary or a list of them.")),
    };
    if unit.is_none() && reqs.iter().all(Map::is_empty) {
        return Err(err!("BadArg", mesg = "A job needs required times or a step between runs."));
    }
    let steps: Vec<Option<i64>> = match (unit, steps) {
        (None, _) => vec![None],
        (Some(_), Value::List(steps)) => steps.iter().map(Value::as_i64).collect(),
        (Some(_), step) => vec![step.as_i64()],
    };
    if unit.is_some() && steps.iter().any(Option::is_none) {
        return Err(err!("BadArg", mesg = "The step between runs needs a number."));
    }
    let mut at_once = false;
    let mut found = Vec::new();
    for req in reqs {
        let mut combos: Vec<Vec<(Unit, i64)>> = vec![Vec::new()];
        for (key, valu) in req.iter() {
            let unit_of = key.as_i64().and_then(Unit::from_number).or_else(|| key.as_str().and_then(Unit::from_name));
            let Some(unit_of) = unit_of else {
                return Err(err!("BadConfValu", mesg = "Unrecognized time unit"));
            };
            if unit_of == Unit::Now {
                if unit.is_some() {
                    return Err(err!("BadArg", mesg = "A job that runs again and again cannot be run at once."));
                }
                at_once = true;
                combos.clear();
                break;
            }
            let bad = || err!("BadTime", mesg = format!("This is no time: {valu:?}."));
            let wanted = match valu {
                Value::List(items) => items.iter().map(|item| item.as_i64().ok_or_else(bad)).collect::<Result<_>>()?,
                valu => vec![valu.as_i64().ok_or_else(bad)?],
            };
            combos = combos
                .iter()
                .flat_map(|combo| wanted.iter().map(|want| [&combo[..], &[(unit_of, *want)]].concat()))
                .collect();
        }
        for combo in combos {
            for step in &steps {
                found.push(Schedule::new(combo.clone(), unit.zip(*step))?);
            }
        }
    }
    Ok((found, at_once))
}

/// Units by number, as the event carries them.
fn numbered(reqs: &Value) -> Result<Value> {
    let one = |req: &Map| -> Result<Value> {
        let mut out = Map::new();
        for (name, valu) in req.text_entries() {
            let unit = Unit::from_name(name)
                .ok_or_else(|| err!("BadConfValu", mesg = format!("Unrecognized time unit: {name}")))?;
            out.insert(unit as i64, valu.clone());
        }
        Ok(out.into())
    };
    match reqs {
        Value::Map(req) => one(req),
        Value::List(reqs) => {
            reqs.iter().filter_map(Value::as_map).map(one).collect::<Result<Vec<_>>>().map(Value::from)
        }
        other => Ok(other.clone()),
    }
}

fn unit_arg(valu: &Value) -> Result<Option<Unit>> {
    match valu {
        Value::Null => Ok(None),
        Value::Str(name) => Unit::from_name(name)
            .map(Some)
            .ok_or_else(|| err!("BadConfValu", mesg = format!("Unrecognized time unit: {name}"))),
        other => other
            .as_i64()
            .and_then(Unit::from_number)
            .map(Some)
            .ok_or_else(|| err!("BadConfValu", mesg = "Unrecognized time unit")),
    }
}

impl Cron {
    /// Reads the jobs.
    pub fn open(slab: &Slab, stor: &SafeKeyVal, auth: Auth, pusher: Pusher) -> Result<Cron> {
        let stor = stor.sub("agenda:appt:");
        let mut rows = stor.items(&slab.read_fresh()?, "")?;
        rows.sort_by_key(|(_, def)| def.get("indx").and_then(Value::as_i64).unwrap_or_default());
        let load = |(iden, def): (String, Value)| Some((iden, Job { def: def.as_map()?.clone(), upnext: None }));
        let jobs = Mutex::new(rows.into_iter().filter_map(load).collect());
        Ok(Cron { stor, jobs, runs: Mutex::default(), clock: Mutex::default(), auth, pusher })
    }

    /// Every job, with the name of its user.
    pub fn list(&self) -> Vec<Map> {
        let jobs = self.jobs.lock();
        let named = |job: &Job| {
            let user = job.def.get_str("creator").and_then(|iden| self.auth.user(iden));
            match user {
                Some(user) => job.def.clone().with("username", &*user.name()),
                None => job.def.clone(),
            }
        };
        jobs.values().map(named).collect()
    }

    /// A job in its packed form.
    ///
    /// # Errors
    /// `NoSuchIden`.
    pub fn require(&self, iden: &str) -> Result<Map> {
        self.jobs.lock().get(iden).map(|job| job.def.clone()).ok_or_else(|| no_job(iden))
    }

    /// Adds a job; its packed form. Units are names here.
    ///
    /// # Errors
    /// `DupIden`, `BadConfValu`, `BadArg`, `BadTime`, `BadSyntax`.
    pub fn add(&self, mut cdef: Map) -> Result<Value> {
        let iden = cdef.get_str("iden").filter(|iden| !iden.is_empty()).map_or_else(rand_guid, str::to_owned);
        if self.jobs.lock().contains_key(&iden) {
            return Err(err!("DupIden", mesg = format!("Duplicate cron iden ({iden})"), iden = iden));
        }
        if myelin_value::Iden::from_hex(&iden).is_none() {
            return Err(err!("SchemaViolation", mesg = "data.iden must be an iden", name = "data.iden"));
        }
        if let Some(unit) = unit_arg(cdef.get("incunit").unwrap_or(&Value::Null))? {
            cdef.insert("incunit", unit as i64);
        }
        let reqs = numbered(cdef.get("reqs").unwrap_or(&Value::Null))?;
        cdef.insert("reqs", reqs);
        cdef.insert("iden", iden);
        cdef.insert("created", now_millis());
        self.make(&cdef)?;
        self.pusher.push("cron:add", [cdef.into()])
    }

    /// Deletes a job.
    pub fn del(&self, iden: &str) -> Result<Value> {
        self.pusher.push("cron:del", [iden.into()])
    }

    /// Changes the query or the times of a job; null leaves them.
    ///
    /// # Errors
    /// `NoSuchIden`, `BadSyntax`, `BadTime`, `BadConfValu`.
    pub fn modify(&self, iden: &str, query: Value, reqs: Value, unit: Value, steps: Value) -> Result<Value> {
        let kwargs = Map::new().with("query", query).with("reqs", reqs).with("incunit", unit).with("incvals", steps);
        self.pusher.push_kw("cron:mod", [iden.into()], kwargs)
    }

    /// Moves a job to another view.
    pub fn relocate(&self, iden: &str, view: &str) -> Result<Value> {
        if self.require(iden)?.get_str("view") == Some(view) {
            return Ok(iden.into());
        }
        self.pusher.push("cron:move", [iden.into(), view.into()])
    }

    /// Lets a job run, or not.
    pub fn enable(&self, iden: &str, enabled: bool) -> Result<Value> {
        self.pusher.push(if enabled { "cron:enable" } else { "cron:disable" }, [iden.into()])
    }

    /// Stops the run of a job. False if there is none.
    pub fn kill(&self, iden: &str) -> Result<Value> {
        if !self.jobs.lock().contains_key(iden) {
            return Ok(Value::from(false));
        }
        self.pusher.push("cron:task:kill", [iden.into()])
    }

    /// Sets one editable field of a job; its packed form.
    pub fn edit(&self, iden: &str, name: &str, valu: Value) -> Result<Value> {
        self.pusher.push("cron:edit", [iden.into(), name.into(), valu])
    }

    /// Makes a job of the event's definition.
    fn make(&self, cdef: &Map) -> Result<Job> {
        let text = cdef.get_str("storm").filter(|text| !text.is_empty());
        let Some(text) = text else {
            return Err(err!("BadArg", mesg = "A cron job needs a query."));
        };
        myelin_storm::run::parse(text)?;
        let get = |key: &str| cdef.get(key).cloned().unwrap_or_default();
        if get("affinity").is_truthy() && get("pool").is_truthy() {
            return Err(err!("BadConfValu", mesg = "Cron jobs may not have both affinity and pool set."));
        }
        let creator = cdef.get_str("creator").unwrap_or_default();
        self.auth.req_user(creator)?;
        let loglevel = cdef.get_str("loglevel").unwrap_or("WARNING");
        let unit = unit_arg(&get("incunit"))?;
        let (recs, at_once) = schedules(&get("reqs"), unit, &get("incvals"))?;
        let now = now_secs();
        let text_or = |key: &str| Value::from(cdef.get_str(key).unwrap_or_default());
        let def = Map::new()
            .with("ver", 1)
            .with("doc", text_or("doc"))
            .with("name", text_or("name"))
            .with("pool", get("pool").is_truthy())
            .with("affinity", get("affinity"))
            .with("enabled", true)
            .with("recur", unit.is_some())
            .with("iden", get("iden"))
            .with("view", get("view"))
            .with("indx", 0)
            .with("query", text)
            .with("creator", creator)
            .with("created", get("created"))
            .with("recs", recs.iter().map(Schedule::pack).collect::<Value>())
            .with("nexttime", now)
            .with("startcount", 0)
            .with("errcount", 0)
            .with("isrunning", false)
            .with("laststarttime", Value::Null)
            .with("lastfinishtime", Value::Null)
            .with("lastresult", Value::Null)
            .with("lasterrs", Value::empty_list())
            .with("loglevel", loglevel);
        let mut job = Job { def, upnext: None };
        if !at_once {
            job.advance(now);
            if job.nexttime().is_none() {
                return Err(err!("BadTime", mesg = "Appointment is in the past"));
            }
        }
        Ok(job)
    }

    fn save(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<Value> {
        let def = Value::from(self.require(iden)?);
        self.stor.set(cx, iden, &def)?;
        Ok(def)
    }

    fn change(&self, cx: &mut ApplyCx<'_>, iden: &str, func: impl FnOnce(&mut Job) -> Result<()>) -> Result<Value> {
        func(self.jobs.lock().get_mut(iden).ok_or_else(|| no_job(iden))?)?;
        self.save(cx, iden)
    }

    fn apply_add(&self, cx: &mut ApplyCx<'_>, cdef: &Map) -> Result<Value> {
        let iden = cdef.get_str("iden").unwrap_or_default();
        if let Ok(have) = self.require(iden) {
            return Ok(have.into());
        }
        self.auth.req_no_gate(iden)?;
        let mut job = self.make(cdef)?;
        {
            let mut jobs = self.jobs.lock();
            let indx = jobs.values().filter_map(|job| job.def.get_i64("indx")).max().map_or(0, |indx| indx + 1);
            job.def.insert("indx", indx);
            jobs.insert(iden.to_owned(), job);
        }
        self.auth.add_gate(cx, iden, "cronjob")?;
        let creator = cdef.get_str("creator").unwrap_or_default();
        self.auth.apply_user_info(cx, creator, "admin", Value::from(true), Some(iden))?;
        self.save(cx, iden)
    }

    fn apply_del(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<Value> {
        self.stop(iden);
        self.stor.del(cx, iden)?;
        self.jobs.lock().shift_remove(iden);
        if self.auth.gate(iden).is_some() {
            self.auth.del_gate(cx, iden)?;
        }
        Ok(Value::Null)
    }

    fn apply_mod(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let iden = event.str_arg(0, "iden")?;
        let [query, reqs, unit, steps] =
            [(1, "query"), (2, "reqs"), (3, "incunit"), (4, "incvals")].map(|(indx, name)| event.arg(indx, name));
        if [query, reqs, unit, steps].iter().all(|valu| valu.is_null()) {
            return Ok(Value::Null);
        }
        self.change(cx, iden, |job| {
            if let Some(text) = query.as_str() {
                if text.is_empty() {
                    return Err(err!("BadArg", mesg = "A cron job needs a query."));
                }
                myelin_storm::run::parse(text)?;
                job.def.insert("query", text);
            }
            if reqs.is_null() && unit.is_null() && steps.is_null() {
                return Ok(());
            }
            if job.nexttime().is_none() {
                let mesg = "Cannot modify the schedule of a finished non-recurring cron job.";
                return Err(err!("BadConfValu", mesg = mesg));
            }
            let unit = unit_arg(unit)?;
            let (recs, at_once) = schedules(reqs, unit, steps)?;
            let now = now_secs();
            let mut def = job.def.clone();
            def.insert("recs", recs.iter().map(Schedule::pack).collect::<Value>());
            def.insert("recur", unit.is_some());
            def.insert("nexttime", now);
            let mut next = Job { def, upnext: None };
            if !at_once {
                next.advance(now);
            }
            if next.nexttime().is_none() {
                return Err(err!("BadTime", mesg = "Appointment is in the past"));
            }
            *job = next;
            Ok(())
        })?;
        Ok(Value::Null)
    }

    fn apply_edit(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let (iden, name, valu) = (event.str_arg(0, "iden")?, event.str_arg(1, "name")?, event.arg(2, "valu"));
        let both = || err!("BadConfValu", mesg = "Cron jobs may not have both affinity and pool set.");
        self.change(cx, iden, |job| {
            let valu = match name {
                "creator" => {
                    let user = self.auth.req_user(valu.as_str().unwrap_or_default())?;
                    Value::from(&**user.iden())
                }
                "name" | "doc" => Value::from(myelin_model::types::py::str_text(valu)),
                "pool" if valu.is_truthy() && job.flag("affinity") => return Err(both()),
                "pool" => Value::from(valu.is_truthy()),
                "affinity" if !valu.is_null() && job.flag("pool") => return Err(both()),
                "affinity" if valu.is_null() => Value::Null,
                "affinity" => Value::from(myelin_model::types::py::str_text(valu)),
                _ => {
                    let mesg = format!("editCronJob name {name} is not supported for editing.");
                    return Err(err!("BadArg", mesg = mesg));
                }
            };
            job.def.insert(name, valu);
            Ok(())
        })
    }

    fn stop(&self, iden: &str) -> bool {
        match self.runs.lock().get(iden) {
            Some(cancel) => {
                cancel.cancel();
                true
            }
            None => false,
        }
    }
}

impl Part for Cron {
    fn events(&self) -> &'static [&'static str] {
        &[
            "cron:add",
            "cron:del",
            "cron:mod",
            "cron:move",
            "cron:enable",
            "cron:disable",
            "cron:task:kill",
            "cron:edit",
            "cron:edits",
        ]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "cron:add" => self.apply_add(cx, event.map_arg(0, "cdef")?),
            "cron:del" => self.apply_del(cx, event.str_arg(0, "iden")?),
            "cron:mod" => self.apply_mod(cx, event),
            "cron:move" => {
                let (iden, view) = (event.str_arg(0, "croniden")?, event.str_arg(1, "viewiden")?);
                self.change(cx, iden, |job| {
                    job.def.insert("view", view);
                    Ok(())
                })?;
                Ok(iden.into())
            }
            "cron:task:kill" => Ok(Value::from(self.stop(event.str_arg(0, "iden")?))),
            "cron:edit" => self.apply_edit(cx, event),
            "cron:edits" => {
                let edits = event.map_arg(1, "edits")?;
                self.change(cx, event.str_arg(0, "iden")?, |job| {
                    for (name, valu) in edits.text_entries().filter(|(name, _)| RUN_KEYS.contains(name)) {
                        job.def.insert(name, valu.clone());
                        if name == "nexttime" && valu.is_null() {
                            job.def.insert("recs", Value::empty_list());
                        }
                    }
                    Ok(())
                })?;
                Ok(Value::Null)
            }
            name => {
                let (iden, enabled) = (event.str_arg(0, "iden")?, name == "cron:enable");
                self.change(cx, iden, |job| {
                    job.def.insert("enabled", enabled);
                    Ok(())
                })?;
                if !enabled {
                    self.stop(iden);
                }
                Ok(Value::Null)
            }
        }
    }
}

/// The clock and the runs, on a leader.
impl Cron {
    /// Starts or stops watching the clock, as the cortex becomes leader or follower.
    pub fn set_active(self: &Arc<Cron>, core: &Weak<Cortex>, active: bool) {
        if let Some(before) = self.clock.lock().take() {
            before.cancel();
        }
        for cancel in self.runs.lock().values() {
            cancel.cancel();
        }
        if !active {
            return;
        }
        let cancel = Arc::new(Cancel::default());
        *self.clock.lock() = Some(cancel.clone());
        let (cron, core) = (self.clone(), core.clone());
        let spawned = std::thread::Builder::new().name("cron".to_owned()).spawn(move || cron.watch(&core, &cancel));
        if let Err(error) = spawned {
            tracing::error!(%error, "cron jobs will not run: no thread to watch the clock");
        }
    }

    fn report(&self, iden: &str, edits: Map) {
        if let Err(error) = self.pusher.push("cron:edits", [iden.into(), edits.into()]) {
            tracing::warn!(iden, %error, "the state of a cron job cannot be stored");
        }
    }

    fn watch(self: Arc<Cron>, core: &Weak<Cortex>, cancel: &Arc<Cancel>) {
        self.clear_stale();
        while !cancel.is_cancelled() {
            match core.upgrade() {
                Some(core) if !core.cell.done().is_cancelled() => self.fire_due(&core),
                _ => return,
            }
            cancel.sleep(LOOK);
        }
    }

    /// Jobs that say they run, though no run outlives the leader.
    fn clear_stale(&self) {
        let stale: Vec<Map> =
            self.list().into_iter().filter(|def| def.get("isrunning").is_some_and(Value::is_truthy)).collect();
        for def in stale {
            let edits = Map::new()
                .with("isrunning", false)
                .with("lastfinishtime", now_secs())
                .with("lasterrs", errors_with(&def, "aborted"));
            self.report(def.get_str("iden").unwrap_or_default(), edits);
        }
    }

    fn fire_due(self: &Arc<Cron>, core: &Arc<Cortex>) {
        let now = now_secs();
        let due: Vec<Map> = {
            let mut jobs = self.jobs.lock();
            let due = jobs.values_mut().filter(|job| job.nexttime().is_some_and(|at| at <= now));
            due.map(|job| {
                job.advance(now);
                job.def.clone()
            })
            .collect()
        };
        for def in due {
            let iden = def.get_str("iden").unwrap_or_default().to_owned();
            self.report(&iden, Map::new().with("nexttime", def.get("nexttime").cloned().unwrap_or_default()));
            let is = |key: &str| def.get(key).is_some_and(Value::is_truthy);
            if !is("enabled") {
                continue;
            }
            if is("isrunning") {
                tracing::warn!(iden, "a cron job is still running: it is not started again");
                continue;
            }
            let (cron, core) = (self.clone(), core.clone());
            let run = move || cron.run(&core, &def);
            if let Err(error) = std::thread::Builder::new().name("cron-job".to_owned()).spawn(run) {
                tracing::error!(iden, %error, "a cron job cannot be started");
            }
        }
    }

    fn failed(&self, def: &Map, reason: &str) {
        let now = now_secs();
        let edits = Map::new()
            .with("laststarttime", now)
            .with("lastfinishtime", now)
            .with("startcount", def.get_i64("startcount").unwrap_or_default() + 1)
            .with("isrunning", false)
            .with("lastresult", format!("Failed due to {reason}"));
        self.report(def.get_str("iden").unwrap_or_default(), edits);
    }

    fn run(&self, core: &Arc<Cortex>, def: &Map) {
        let iden = def.get_str("iden").unwrap_or_default();
        let user = def.get_str("creator").and_then(|iden| self.auth.user(iden));
        let Some(user) = user else { return self.failed(def, "unknown user") };
        if user.is_locked() {
            return self.failed(def, "locked user");
        }
        let view = def.get_str("view").unwrap_or_default();
        if core.stack.view(view).is_none() {
            return self.failed(def, "unknown view");
        }
        let auto = Map::new().with("iden", iden).with("type", "cron");
        let opts = Map::new().with("view", view).with("vars", Map::new().with("auto", auto));
        let text = def.get_str("query").unwrap_or_default();
        let (query, user) = match core.query(&user, text, &opts.into()) {
            Ok(ready) => ready,
            Err(error) => return self.failed(def, &format!("error: {error}")),
        };
        let info = Map::new().with("iden", iden).with("query", text).with("view", view);
        let task = match core.cell.boss().promote(&format!("Cron {iden}"), Some(user), info, None) {
            Ok(task) => task,
            Err(error) => return self.failed(def, &format!("error: {error}")),
        };
        let cancel = query.cancel.clone();
        self.runs.lock().insert(iden.to_owned(), cancel.clone());
        let _watch = crate::wait::cancel_with(task.cancel().clone(), cancel.clone());
        let started = Map::new()
            .with("isrunning", true)
            .with("laststarttime", now_secs())
            .with("startcount", def.get_i64("startcount").unwrap_or_default() + 1);
        self.report(iden, started);
        core.cell.nexus().tell("cron:start", Map::new().with("iden", iden), None);

        let sink = Arc::new(JobSink::default());
        let done = query.run_threaded(sink.clone()).map(drop);
        let (count, failed) = (*sink.count.lock(), sink.failed.lock().take());
        let result = match (cancel.is_cancelled(), done, failed) {
            (true, ..) => Err("cancelled".to_owned()),
            (_, Err(error), _) | (_, _, Some(error)) => Err(format!("raised exception {error}")),
            _ => Ok(format!("finished successfully with {count} nodes")),
        };
        self.runs.lock().remove(iden);
        drop(task);
        let mut edits = Map::new();
        if let Err(error) = &result
            && let Ok(def) = self.require(iden)
        {
            edits.insert("errcount", def.get_i64("errcount").unwrap_or_default() + 1);
            edits.insert("lasterrs", errors_with(&def, error));
        }
        let text = match &result {
            Ok(text) | Err(text) => text.as_str(),
        };
        edits.insert("lastfinishtime", now_secs());
        edits.insert("isrunning", false);
        edits.insert("lastresult", text);
        if self.require(iden).is_ok() {
            self.report(iden, edits);
        }
        core.cell.nexus().tell("cron:stop", Map::new().with("iden", iden), None);
    }
}

/// The last errors of a job with one more.
fn errors_with(def: &Map, error: &str) -> Value {
    let have = def.get("lasterrs").and_then(Value::as_list).unwrap_or_default();
    let skip = (have.len() + 1).saturating_sub(MAX_ERRORS);
    have.iter().cloned().chain([Value::from(error)]).skip(skip).collect()
}

/// Counts the nodes of a run and notes its error.
#[derive(Default)]
struct JobSink {
    count: Mutex<u64>,
    failed: Mutex<Option<Error>>,
}

impl Sink for JobSink {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        match kind {
            "node" => *self.count.lock() += 1,
            "err" => *self.failed.lock() = Some(Error::unpack(&info)),
            _ => {}
        }
        Ok(())
    }
}
