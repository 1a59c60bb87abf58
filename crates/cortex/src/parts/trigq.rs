//! Triggers that run later: each run waits in its view's queue until the leader gets to it.
//!
//! The queue is the table `trigqueue` of `views/<iden>/viewstate.lmdb`, be64 of the nexus offset → `{buid, trig, vars}`. A row
//! goes when its run has ended, whatever came of it; what is there when a cortex becomes the leader is run then.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use myelin_cell::{ApplyCx, Cell, Event};
use myelin_error::{Error, Result, err};
use myelin_graph::View;
use myelin_slab::{Options, Reads, Slab, Table};
use myelin_storm::{Sink, StormQuery};
use myelin_value::{Buid, Map, Value, msgpack};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::Cortex;

/// The events of the queues; they belong to views.
pub const EVENTS: [&str; 2] = ["trig:q:add", "trig:q:del"];
/// Rows that are read at a time.
const PAGE: usize = 100;

/// The queues of all views.
pub struct TrigQueues {
    cell: Cell,
    /// Views that have a queue: most never do.
    queues: RwLock<HashMap<Arc<str>, (Slab, Table)>>,
    stirred: Notify,
}

impl TrigQueues {
    /// No queue yet: [`TrigQueues::load`] opens that of a view.
    pub fn new(cell: Cell) -> TrigQueues {
        TrigQueues { cell, queues: RwLock::default(), stirred: Notify::new() }
    }

    fn path(&self, view: &str) -> std::path::PathBuf {
        self.cell.dirn().join("views").join(view).join("viewstate.lmdb")
    }

    /// Opens the queue of a view, if there is one.
    ///
    /// # Errors
    /// What opening fails with.
    pub fn load(&self, view: &Arc<str>) -> Result<()> {
        if !self.path(view).join("data.mdb").exists() {
            return Ok(());
        }
        let slab = Slab::open(self.cell.writer(), &self.path(view), self.cell.slab_opts(Options::small()))?;
        let table = slab.table("trigqueue", false)?;
        self.queues.write().insert(view.clone(), (slab, table));
        Ok(())
    }

    fn queue_in(&self, cx: &mut ApplyCx<'_>, view: &Arc<str>) -> Result<Table> {
        if let Some((_, table)) = self.queues.read().get(view) {
            return Ok(*table);
        }
        let slab = cx.open_slab(self.cell.writer(), &self.path(view), self.cell.slab_opts(Options::small()))?;
        let table = cx.table(&slab, "trigqueue", false)?;
        self.queues.write().insert(view.clone(), (slab, table));
        Ok(table)
    }

    /// Applies an event of a view's queue.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn apply(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, event: &Event) -> Result<Value> {
        if event.name == "trig:q:add" {
            let row = msgpack::encode(event.arg(0, "triginfo"));
            let table = self.queue_in(cx, view.iden())?;
            let offs = cx.offs;
            cx.put(table, &offs.to_be_bytes(), &row)?;
            self.stirred.notify_one();
        } else {
            let offs = u64::try_from(event.int_arg(0, "offs")?).unwrap_or_default();
            let table = self.queues.read().get(view.iden()).map(|(_, table)| *table);
            if let Some(table) = table {
                cx.del(table, &offs.to_be_bytes())?;
            }
        }
        Ok(Value::Null)
    }

    /// Closes the queue of a view that is deleted.
    ///
    /// # Errors
    /// What closing fails with.
    pub fn drop_view(&self, cx: &mut ApplyCx<'_>, view: &str) -> Result<()> {
        let queue = self.queues.write().remove(view);
        queue.map_or(Ok(()), |(slab, _)| cx.close_slab(&slab))
    }

    /// Has a trigger run later.
    ///
    /// # Errors
    /// What logging fails with.
    pub fn push(&self, view: &str, buid: &Buid, trigger: &str, vars: Map) -> Result<()> {
        let info = Map::new().with("buid", &buid.0[..]).with("trig", trigger).with("vars", vars);
        self.cell.nexus().push(view, "trig:q:add", vec![info.into()], Map::new()).map(drop)
    }

    /// How many runs wait in a view.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn size(&self, view: &str) -> Result<u64> {
        let queue = self.queues.read().get(view).cloned();
        queue.map_or(Ok(0), |(slab, table)| slab.read_fresh()?.entries(table))
    }

    fn page(&self, view: &str) -> Result<Vec<(u64, Value)>> {
        let Some((slab, table)) = self.queues.read().get(view).cloned() else { return Ok(Vec::new()) };
        let txn = slab.read_fresh()?;
        let row = |row: Result<(&[u8], &[u8])>| {
            let (key, valu) = row?;
            let offs = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            Ok((offs, msgpack::decode(valu)?))
        };
        txn.iter(table)?.take(PAGE).map(row).collect()
    }

    fn views(&self) -> Vec<Arc<str>> {
        self.queues.read().keys().cloned().collect()
    }
}

/// Runs what waits for as long as the cortex lives and leads.
pub fn supervise(core: &Arc<Cortex>) {
    let (weak, done, queues) = (Arc::downgrade(core), core.cell.done().clone(), core.trigqueues.clone());
    crate::wait::spawn(async move {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = queues.stirred.notified() => {}
            }
            let weak = weak.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || drain(&weak)).await {
                tracing::error!(%error, "the queues of triggers are not run any more");
                return;
            }
        }
    });
    let weak = Arc::downgrade(core);
    core.cell.on_active(Arc::new(move |active| {
        if let Some(core) = weak.upgrade().filter(|_| active) {
            core.trigqueues.stirred.notify_one();
        }
    }));
}

fn drain(core: &Weak<Cortex>) {
    let mut again = true;
    while std::mem::take(&mut again) {
        let Some(core) = core.upgrade() else { return };
        for view in core.trigqueues.views() {
            let rows = core.trigqueues.page(&view).unwrap_or_else(|error| {
                tracing::error!(view = &*view, %error, "the queue of triggers cannot be read");
                Vec::new()
            });
            for (offs, info) in rows {
                let stopped = core.cell.done().is_cancelled() || core.cell.conf().is_on("safemode");
                if stopped || !core.cell.is_active() {
                    return;
                }
                if let Err(error) = run(&core, &view, &info) {
                    tracing::warn!(view = &*view, %error, "a trigger that waited in the queue failed");
                }
                if core.cell.done().is_cancelled() {
                    // It may not have come to its end, and runs again.
                    return;
                }
                if let Err(error) = core.cell.nexus().push(&view, "trig:q:del", vec![offs.into()], Map::new()) {
                    tracing::error!(view = &*view, %error, "the queue of triggers cannot be shortened");
                    return;
                }
                again = true;
            }
        }
    }
}

fn run(core: &Arc<Cortex>, view: &Arc<str>, info: &Value) -> Result<()> {
    let iden = info.get("trig").and_then(Value::as_str).unwrap_or_default();
    let Some(trigger) = core.triggers.find(view, iden).filter(|trigger| trigger.is_enabled()) else { return Ok(()) };
    let bad = || err!("BadDataValu", mesg = "A waiting trigger names no node.");
    let buid = info.get("buid").and_then(Value::as_bytes).and_then(Buid::from_slice).ok_or_else(bad)?;
    let tdef = trigger.tdef();
    let user = tdef.get_str("user").unwrap_or_default();
    let Some(user) = core.cell.auth().user(user).filter(|user| !user.is_locked()) else {
        tracing::warn!(trigger = iden, user, "a trigger is left out: its user is locked or gone");
        return Ok(());
    };
    let found = core.stack.view(view).map(|view| view.node(&buid)).transpose()?.flatten();
    let Some(node) = found else { return Ok(()) };
    let mut vars = info.get("vars").and_then(Value::as_map).cloned().unwrap_or_default();
    let mut auto = vars.get("auto").and_then(Value::as_map).cloned().unwrap_or_default();
    let opts = auto.get("opts").and_then(Value::as_map).cloned().unwrap_or_default();
    auto.insert("opts", opts.with("form", &**node.form()).with("valu", node.valu().clone()));
    vars.insert("auto", auto.with("iden", iden).with("type", "trigger"));
    let idens = Value::list([buid.to_hex().into()]);
    let opts = Map::new().with("view", &**view).with("vars", vars).with("idens", idens);
    let (query, _) = core.query(&user, tdef.get_str("storm").unwrap_or_default(), &opts.into())?;
    trigger.started();
    let done = run_query(core, query);
    if let Err(error) = &done {
        trigger.failed(error.to_string());
    }
    done
}

fn run_query(core: &Arc<Cortex>, query: StormQuery) -> Result<()> {
    let _watch = crate::wait::cancel_with(core.cell.done().clone(), query.cancel.clone());
    let sink = Arc::new(Failed::default());
    query.run_threaded(sink.clone())?;
    sink.0.lock().take().map_or(Ok(()), Err)
}

/// Notes the error of a run.
#[derive(Default)]
struct Failed(Mutex<Option<Error>>);

impl Sink for Failed {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        if kind == "err" {
            *self.0.lock() = Some(Error::unpack(&info));
        }
        Ok(())
    }
}
