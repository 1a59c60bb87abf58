//! The nexus: every change to a service's state is an event, logged and applied in one order.
//!
//! Invariants:
//! 1. An event is appended to the log, then applied, both by who holds the writer's context, then acknowledged; the log is
//!    committed before the acknowledgement, other slabs within the commit period. The changes of a query are acknowledged
//!    together: they are settled, which commits the log, before anything at all leaves the process ([`Nexus::settle`] and the
//!    gate of telepath).
//! 2. A handler's error reaches the caller; the entry stays, and followers fail in the same way.
//! 3. Every commit of a slab records the last applied offset and LMDB's transaction id. At boot every entry above the
//!    recorded offset is applied again. If another program has written since, its rule holds: the last entry again.
//!
//! Embedded cells (a cortex's own axon) share their parent's nexus. A cell whose log is off only counts.

mod event;
mod follow;
mod lease;

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use myelin_error::{Result, err};
use myelin_slab::tables::{HotCount, MultiSlabSeqn};
use myelin_slab::{Options, Slab, WriteCx, Writer};
use myelin_telepath::gate::{self, Gate};
use myelin_value::{Map, Value, msgpack};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, watch};

use crate::boot::Progress;
pub use event::{Event, pack_entry};
pub use follow::{Followed, Incoming, Upstream};

/// An offset in the nexus log.
pub type NexusOffset = u64;

/// Messages a slow beholder may be behind before it loses the oldest.
const BEHOLD_BACKLOG: usize = 1000;

/// What applies the events of one nexsiden.
pub trait NexsHandler: Send + Sync {
    /// The event names it knows. Others are refused before they are logged.
    fn events(&self) -> &[&str];

    /// Applies one event. Must be harmless when repeated right after itself.
    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value>;

    /// The slabs that hold what its events change. At boot an entry is skipped when all of them have it already;
    /// with none named, an entry is always applied again and single slabs skip the writes they have.
    fn homes(&self, _event: &Event) -> Vec<Slab> {
        Vec::new()
    }
}

/// What a handler works with: the writer's context, the event's offset, and whether this is a repetition at boot.
pub struct ApplyCx<'a> {
    writer: &'a mut WriteCx,
    /// The event's offset.
    pub offs: NexusOffset,
    /// Whether the entry is applied again at boot.
    pub replay: bool,
}

impl<'a> ApplyCx<'a> {
    /// A context for a direct change, outside of the log.
    pub fn direct(writer: &'a mut WriteCx) -> ApplyCx<'a> {
        ApplyCx { writer, offs: 0, replay: false }
    }
}

impl Deref for ApplyCx<'_> {
    type Target = WriteCx;
    fn deref(&self) -> &WriteCx {
        self.writer
    }
}

impl DerefMut for ApplyCx<'_> {
    fn deref_mut(&mut self) -> &mut WriteCx {
        self.writer
    }
}

/// How a nexus is opened.
pub struct NexusConf {
    /// The service's directory of slabs.
    pub slabs: PathBuf,
    /// Keep a log.
    pub log: bool,
    /// Acknowledged changes survive a power loss.
    pub durable: bool,
}

/// The nexus of a service. Cheap to clone.
#[derive(Clone)]
pub struct Nexus(Arc<Inner>);

struct Inner {
    writer: Writer,
    /// Nothing for a nexus that neither logs nor counts (an embedded cell's auth).
    store: Option<Store>,
    handlers: RwLock<HashMap<String, Arc<dyn NexsHandler>>>,
    holds: Mutex<BTreeSet<String>>,
    held: AtomicBool,
    next: watch::Sender<NexusOffset>,
    behold: broadcast::Sender<Value>,
    started: AtomicBool,
    /// There are changes whose log entries nobody has waited for.
    unsettled: AtomicBool,
    follow: follow::State,
    /// A mirror applies each event twice, as after a crash: tests compare it with its leader then.
    twice: bool,
}

struct Store {
    conf: NexusConf,
    slab: Slab,
    counts: HotCount,
    log: ArcSwapOption<MultiSlabSeqn>,
}

impl Inner {
    /// Commits the log. Only here, where nothing else can be logged, is it known that nothing is unsettled.
    fn commit_log(&self, cx: &mut WriteCx) -> Result<()> {
        let logged = self.store.as_ref().is_some_and(|store| store.log.load().is_some());
        // Without a log nothing could make good what a kill takes from the slabs.
        if logged {
            cx.commit_log()?
        } else {
            cx.commit_all()?
        }
        self.unsettled.store(false, Ordering::Release);
        Ok(())
    }
}

/// A writer that has ended has committed everything before.
fn ended_is_settled(done: Result<()>) -> Result<()> {
    done.or_else(|error| if error.is("IsFini") { Ok(()) } else { Err(error) })
}

impl Gate for Inner {
    /// When the writer has failed, the change that did not get through was refused, and what is read still may leave.
    fn is_open(&self) -> bool {
        !self.unsettled.load(Ordering::Acquire) || self.writer.is_broken()
    }

    fn open(self: Arc<Inner>) -> BoxFuture<'static, Result<()>> {
        let inner = self.clone();
        self.writer.run_async(move |cx| inner.commit_log(cx)).map(ended_is_settled).boxed()
    }
}

impl Nexus {
    /// Opens the nexus of a service.
    pub fn open(writer: &Writer, conf: NexusConf) -> Result<Nexus> {
        let opts = Options { durable: conf.durable, ..Options::small() };
        let slab = Slab::open(writer, &conf.slabs.join("nexus.lmdb"), opts)?;
        let counts = HotCount::open(&slab, "nexs:indx")?;
        if slab.find_table("nexuslog")?.is_some() {
            return Err(err!(
                "BadStorageVersion",
                mesg = "The nexus log has the layout of a version before 2; let the original open it once."
            ));
        }
        writer.run(|cx| if counts.get("version") == 2 { Ok(()) } else { counts.set(cx, "version", 2) })?;
        let store = Store { conf, slab, counts, log: ArcSwapOption::empty() };
        let nexus = Nexus::build(writer, Some(store));
        if let Some(store) = nexus.store()
            && store.conf.log
        {
            nexus.open_log(store)?;
        }
        nexus.0.next.send_replace(nexus.index());
        Ok(nexus)
    }

    /// A nexus that applies and does not log.
    pub fn direct(writer: &Writer) -> Nexus {
        Nexus::build(writer, None)
    }

    fn build(writer: &Writer, store: Option<Store>) -> Nexus {
        let inner = Arc::new(Inner {
            writer: writer.clone(),
            store,
            handlers: RwLock::default(),
            holds: Mutex::default(),
            held: AtomicBool::new(false),
            next: watch::Sender::new(0),
            behold: broadcast::Sender::new(BEHOLD_BACKLOG),
            started: AtomicBool::new(false),
            unsettled: AtomicBool::new(false),
            follow: follow::State::default(),
            twice: std::env::var_os("MYELIN_NEXUS_TWICE").is_some(),
        });
        let gate: Arc<dyn Gate> = inner.clone();
        gate::add(&gate);
        Nexus(inner)
    }

    fn open_log(&self, store: &Store) -> Result<()> {
        let opts = Options { durable: store.conf.durable, ..Options::log() };
        let log = MultiSlabSeqn::open(&self.0.writer, &store.conf.slabs.join("nexuslog"), opts)?;
        let counted = u64::try_from(store.counts.get("nexs:indx")).unwrap_or_default();
        log.set_next(counted);
        let next = log.next_offs();
        // A log without entries has nothing that could be missing.
        let known = if log.last()?.is_none() { Some(next) } else { None };
        let applied = store.slab.applied_at_open().or(known);
        self.0.writer.run(|cx| {
            cx.track_applied(&store.slab, applied);
            if next != counted {
                store.counts.set(cx, "nexs:indx", next as i64)?;
            }
            // Recorded before the first change is acknowledged: a crash right after it must find where to begin.
            cx.touch(&store.slab)?;
            cx.commit_all()
        })?;
        store.log.store(Some(Arc::new(log)));
        Ok(())
    }

    fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    fn log(&self) -> Option<Arc<MultiSlabSeqn>> {
        self.store()?.log.load_full()
    }

    fn need_log(&self) -> Result<Arc<MultiSlabSeqn>> {
        self.log().ok_or_else(|| err!("BadConfValu", mesg = "The nexus log is off (nexslog:en).", name = "nexslog:en"))
    }

    /// Turns the log on for good (a mirror asks for it). Says whether it was off.
    pub fn enable_log(&self) -> Result<bool> {
        match self.store() {
            Some(store) if store.log.load().is_none() => {
                self.open_log(store)?;
                let next = self.index();
                self.0.writer.run(|cx| {
                    cx.track_applied(&store.slab, Some(next));
                    Ok(())
                })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether events are logged.
    pub fn is_logged(&self) -> bool {
        self.log().is_some()
    }

    /// The writer.
    pub fn writer(&self) -> &Writer {
        &self.0.writer
    }

    // ---- handlers

    /// Adds what applies the events of a nexsiden.
    pub fn add_handler(&self, nexsiden: &str, handler: Arc<dyn NexsHandler>) {
        self.0.handlers.write().insert(nexsiden.to_owned(), handler);
    }

    /// Removes a handler (a view or layer that was deleted).
    pub fn del_handler(&self, nexsiden: &str) {
        self.0.handlers.write().remove(nexsiden);
    }

    /// The names of all events that something here applies, sorted.
    pub fn event_names(&self) -> Vec<String> {
        let handlers = self.0.handlers.read();
        let names: std::collections::BTreeSet<&str> =
            handlers.values().flat_map(|handler| handler.events().iter().copied()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Lets go of every handler, which hold on to the parts they change.
    pub(crate) fn clear_handlers(&self) {
        self.0.handlers.write().clear();
    }

    fn handler(&self, nexsiden: &str, event: &str) -> Result<Arc<dyn NexsHandler>> {
        let handler = self.0.handlers.read().get(nexsiden).cloned();
        let Some(handler) = handler else {
            let mesg = format!("Nothing here has the nexus iden {nexsiden} (event {event}).");
            return Err(err!("NoSuchIden", mesg = mesg, iden = nexsiden, event = event));
        };
        if !handler.events().contains(&event) {
            let mesg = format!("The nexus iden {nexsiden} has no event {event}.");
            return Err(err!("NoSuchName", mesg = mesg, iden = nexsiden, event = event, name = event));
        }
        Ok(handler)
    }

    // ---- changes

    /// Logs and applies an event; on a mirror, has its leader do it and waits for it to come back. Blocks.
    pub fn push(&self, nexsiden: &str, event: &str, args: Vec<Value>, kwargs: Map) -> Result<(NexusOffset, Value)> {
        self.issue(Event { nexsiden: nexsiden.to_owned(), name: event.to_owned(), args, kwargs, meta: Map::new() })
    }

    /// [`Nexus::push`] for async callers.
    pub async fn push_async(
        &self,
        nexsiden: &str,
        event: &str,
        args: Vec<Value>,
        kwargs: Map,
    ) -> Result<(NexusOffset, Value)> {
        let (nexus, nexsiden, event) = (self.clone(), nexsiden.to_owned(), event.to_owned());
        tokio::task::spawn_blocking(move || nexus.push(&nexsiden, &event, args, kwargs))
            .await
            .map_err(|error| err!("SynErr", mesg = format!("A change was abandoned: {error}.")))?
    }

    /// Logs and applies an event, or has the leader do it, with the `meta` of whoever forwarded it. Blocks.
    pub fn issue(&self, event: Event) -> Result<(NexusOffset, Value)> {
        let mark = self.fence_mark();
        let done = self.issue_unconfirmed(event)?;
        self.wait_mirrored(done.0)?;
        self.wait_lease(mark)?;
        Ok(done)
    }

    /// [`Nexus::push`] without waiting for mirrors to confirm it: what a new leader has to say before it has any.
    pub(crate) fn push_unconfirmed(&self, nexsiden: &str, event: &str, args: Vec<Value>) -> Result<Value> {
        let (nexsiden, name) = (nexsiden.to_owned(), event.to_owned());
        let event = Event { nexsiden, name, args, kwargs: Map::new(), meta: Map::new() };
        self.issue_unconfirmed(event).map(|(_, valu)| valu)
    }

    fn issue_unconfirmed(&self, event: Event) -> Result<(NexusOffset, Value)> {
        let mut entry = None;
        loop {
            let done = if self.is_leader() {
                self.wait_unpaused()?;
                let entry = entry.get_or_insert_with(|| event.pack());
                self.issue_here(&event, entry)?
            } else {
                self.forward(&event)?
            };
            if let Some(done) = done {
                return Ok(done);
            }
        }
    }

    /// [`Nexus::issue`] for a caller who hears of the result in another way: it returns once the change can be made.
    pub fn issue_only(&self, event: Event) -> Result<()> {
        if !self.is_leader() {
            return self.issue(event).map(drop);
        }
        self.handler(&event.nexsiden, &event.name)?;
        self.check_writable()?;
        self.wait_unpaused()?;
        let nexus = self.clone();
        self.0.writer.submit(move |cx| {
            if !nexus.may_change() {
                // Rare, and whoever waits must not do so on the writer.
                std::thread::Builder::new().spawn(move || nexus.issue(event))?;
                return Ok(());
            }
            let handler = nexus.handler(&event.nexsiden, &event.name)?;
            let done = nexus.log_and_apply(cx, &event.pack(), |cx| handler.apply(cx, &event));
            // A handler's error is for whoever waits for the entry on the stream.
            nexus.complete(&event, &done);
            Ok(())
        })
    }

    /// Nothing if leadership turned, or the nexus was paused, before the writer took the change up.
    fn issue_here(&self, event: &Event, entry: &[u8]) -> Result<Option<(NexusOffset, Value)>> {
        let handler = self.handler(&event.nexsiden, &event.name)?;
        self.check_writable()?;
        let done = self.0.writer.run(|cx| {
            if !self.may_change() {
                return Ok(None);
            }
            self.log_and_apply(cx, entry, |cx| handler.apply(cx, event)).map(Some)
        });
        match done.transpose() {
            None => Ok(None),
            Some(done) => {
                self.complete(event, &done);
                done.map(Some)
            }
        }
    }

    /// The fast path: the caller has encoded the entry (see [`pack_entry`]) and applies it with a closure, so that nothing
    /// is decoded and no handler is looked up. Nothing happens on a mirror, where [`Nexus::push`] is to be used.
    pub fn push_packed<T: Send>(
        &self,
        nexsiden: &str,
        entry: &[u8],
        apply: impl FnOnce(&mut ApplyCx<'_>) -> Result<T> + Send,
    ) -> Result<Option<(NexusOffset, T)>> {
        let mut apply = Some(apply);
        let mark = self.fence_mark();
        while self.is_leader() {
            self.wait_unpaused()?;
            self.check_writable()?;
            let done = self.0.writer.run(|cx| match apply.take_if(|_| self.may_change()) {
                None => Ok(None),
                Some(apply) => {
                    self.req_there(nexsiden)?;
                    self.log_and_apply(cx, entry, apply).map(Some)
                }
            })?;
            if let Some((offs, _)) = &done {
                self.wait_mirrored(*offs)?;
                self.wait_lease(mark)?;
                return Ok(done);
            }
        }
        Ok(None)
    }

    /// Refuses a change to a part that was deleted meanwhile: what is logged must be something that mirrors can apply.
    fn req_there(&self, nexsiden: &str) -> Result<()> {
        if self.0.handlers.read().contains_key(nexsiden) {
            return Ok(());
        }
        Err(err!("NoSuchIden", mesg = format!("Nothing here has the nexus iden {nexsiden}."), iden = nexsiden))
    }

    fn log_and_apply<T>(
        &self,
        writer: &mut WriteCx,
        entry: &[u8],
        apply: impl FnOnce(&mut ApplyCx<'_>) -> Result<T>,
    ) -> Result<(NexusOffset, T)> {
        // Without a log nothing could make good what a kill takes from the slabs.
        if self.is_logged() {
            writer.ack_after_commit();
        } else {
            writer.ack_after_full_commit();
        }
        self.log_and_apply_unsettled(writer, entry, apply)
    }

    fn log_and_apply_unsettled<T>(
        &self,
        writer: &mut WriteCx,
        entry: &[u8],
        apply: impl FnOnce(&mut ApplyCx<'_>) -> Result<T>,
    ) -> Result<(NexusOffset, T)> {
        let offs = self.append(writer, entry)?;
        writer.set_event(self.store().map(|_| offs));
        let out = apply(&mut ApplyCx { writer, offs, replay: false });
        writer.set_event(None);
        writer.set_applied(offs);
        self.0.next.send_replace(offs + 1);
        Ok((offs, out?))
    }

    /// As [`Nexus::push_packed`], for one of many changes that nobody has been told of yet: it is logged and applied, on
    /// this thread where that is free, and visible to every read here. It is settled before anything leaves the process;
    /// who reports that it is made calls [`Nexus::settle`] first, to learn of a failure.
    pub fn push_unsettled<T: Send>(
        &self,
        nexsiden: &str,
        entry: &[u8],
        apply: impl FnOnce(&mut ApplyCx<'_>) -> Result<T> + Send,
    ) -> Result<Option<(NexusOffset, T)>> {
        if self.min_mirrors() > 0 || self.has_lease() {
            // Each is confirmed by itself: by mirrors, or within a lease.
            return self.push_packed(nexsiden, entry, apply);
        }
        let mut apply = Some(apply);
        while self.is_leader() {
            self.wait_unpaused()?;
            self.check_writable()?;
            let done = self.0.writer.run_near(|cx| match apply.take_if(|_| self.may_change()) {
                None => Ok(None),
                Some(apply) => {
                    self.req_there(nexsiden)?;
                    // Set first, so that no error in between leaves a logged entry unsettled.
                    self.0.unsettled.store(true, Ordering::Release);
                    self.log_and_apply_unsettled(cx, entry, apply).map(Some)
                }
            })?;
            if done.is_some() {
                return Ok(done);
            }
        }
        Ok(None)
    }

    /// Commits the log if there are changes which [`Nexus::push_unsettled`] made since the last time. Costs one load where
    /// there are none. Fails when any of them was lost. Blocks.
    pub fn settle(&self) -> Result<()> {
        if !self.0.unsettled.load(Ordering::Acquire) {
            return Ok(());
        }
        ended_is_settled(self.0.writer.run(|cx| self.0.commit_log(cx)))
    }

    /// [`Nexus::settle`] without waiting: tells a closure how it went, on the writer's thread or at once on this one.
    pub fn settle_then(&self, tell: impl FnOnce(Result<()>) + Send + 'static) {
        if !self.0.unsettled.load(Ordering::Acquire) {
            return tell(Ok(()));
        }
        let (inner, tell) = (self.0.clone(), Arc::new(Mutex::new(Some(tell))));
        let mine = tell.clone();
        let sent = self.0.writer.submit(move |cx| {
            let done = inner.commit_log(cx);
            if let Some(tell) = tell.lock().take() {
                tell(done.clone());
            }
            done
        });
        if let Err(error) = sent
            && let Some(tell) = mine.lock().take()
        {
            tell(ended_is_settled(Err(error)));
        }
    }

    /// [`Nexus::settle`] for async callers.
    pub async fn settle_async(&self) -> Result<()> {
        if !self.0.unsettled.load(Ordering::Acquire) {
            return Ok(());
        }
        self.0.clone().open().await
    }

    fn append(&self, writer: &mut WriteCx, entry: &[u8]) -> Result<NexusOffset> {
        let Some(store) = self.store() else { return Ok(0) };
        match &*store.log.load() {
            Some(log) => {
                let offs = log.next_offs();
                log.put(writer, offs, entry)?;
                Ok(offs)
            }
            None => Ok((store.counts.inc(writer, "nexs:indx", 1)? - 1) as u64),
        }
    }

    // ---- read-only state

    /// Refuses changes for a reason, until it is taken back.
    pub fn add_hold(&self, reason: &str) -> bool {
        let mut holds = self.0.holds.lock();
        self.0.held.store(true, Ordering::Release);
        holds.insert(reason.to_owned())
    }

    /// Takes a reason back.
    pub fn del_hold(&self, reason: &str) -> bool {
        let mut holds = self.0.holds.lock();
        let had = holds.remove(reason);
        self.0.held.store(!holds.is_empty(), Ordering::Release);
        had
    }

    /// Why changes are refused now.
    pub fn holds(&self) -> Vec<String> {
        self.0.holds.lock().iter().cloned().collect()
    }

    /// Fails with `IsReadOnly` while changes are refused.
    pub fn check_writable(&self) -> Result<()> {
        if !self.0.held.load(Ordering::Acquire) {
            return Ok(());
        }
        let reasons = self.holds();
        if reasons.is_empty() {
            return Ok(());
        }
        let mesg = format!("Nothing can be changed now: {}", reasons.join(" "));
        Err(err!("IsReadOnly", mesg = mesg, reasons = reasons.iter().map(Value::from).collect::<Value>()))
    }

    // ---- offsets and streams

    /// The offset the next event gets.
    pub fn index(&self) -> NexusOffset {
        match (self.store(), self.log()) {
            (_, Some(log)) => log.next_offs(),
            (Some(store), None) => u64::try_from(store.counts.get("nexs:indx")).unwrap_or_default(),
            (None, None) => 0,
        }
    }

    /// The lowest offset that the log still has.
    pub fn first(&self) -> NexusOffset {
        self.log().map_or(0, |log| log.first_offs())
    }

    /// The last entries of the log, packed, at most so many.
    pub(crate) fn tail(&self, count: usize) -> Result<Vec<(NexusOffset, Vec<u8>)>> {
        let Some(log) = self.log() else { return Ok(Vec::new()) };
        let mut rows = log.read(log.next_offs().saturating_sub(count as u64))?;
        rows.truncate(count);
        Ok(rows)
    }

    /// Moves the index forward without an event (a cortex whose layers are ahead of its log). Says whether it did.
    pub fn raise_index(&self, offs: NexusOffset) -> Result<bool> {
        let Some(store) = self.store() else { return Ok(false) };
        let moved = match self.log() {
            Some(log) => log.set_next(offs),
            None => self.index() < offs,
        };
        if moved {
            self.0.writer.run(|cx| store.counts.set(cx, "nexs:indx", offs as i64))?;
            self.0.next.send_replace(offs);
        }
        Ok(moved)
    }

    /// Waits until the event at an offset has been applied. False when the time was not enough.
    pub async fn wait_offs(&self, offs: NexusOffset, timeout: Option<Duration>) -> bool {
        let mut next = self.0.next.subscribe();
        let reached = async { next.wait_for(|next| *next > offs).await.is_ok() };
        match timeout {
            None => reached.await,
            Some(timeout) => tokio::time::timeout(timeout, reached).await.unwrap_or(false),
        }
    }

    /// Entries from an offset on, each `[offset, entry]`; with `wait`, also those that are still to come. With `tellready`
    /// a null says once that everything there was has been sent.
    pub fn changes(
        &self,
        offs: NexusOffset,
        tellready: bool,
        wait: bool,
    ) -> Result<impl Stream<Item = Result<Value>> + use<>> {
        let log = self.need_log()?;
        let mut next = self.0.next.subscribe();
        let mut offs = offs;
        let mut tell = tellready;
        let (nexus, mark) = (self.clone(), self.fence_mark());
        Ok(async_stream::try_stream! {
            loop {
                // Marked before reading, so that what comes meanwhile wakes the wait below.
                next.mark_unchanged();
                let from = log.clone();
                let rows = tokio::task::spawn_blocking(move || from.read(offs)).await.map_err(|error| {
                    err!("SynErr", mesg = format!("Reading the nexus log failed: {error}."))
                })??;
                nexus.stream_lease(mark).await?;
                if rows.is_empty() {
                    if tell {
                        tell = false;
                        yield Value::Null;
                    }
                    if !wait || next.changed().await.is_err() {
                        break;
                    }
                    continue;
                }
                for (at, entry) in rows {
                    offs = at + 1;
                    yield Value::list([Value::from(at), msgpack::decode(&entry)?]);
                }
            }
        })
    }

    /// Closes the tail of the log; from within its event.
    pub fn rotate(&self, cx: &mut WriteCx) -> Result<NexusOffset> {
        self.need_log()?.rotate(cx)
    }

    /// Removes entries up to an offset, which is included; from within its event.
    pub fn cull(&self, cx: &mut WriteCx, offs: NexusOffset) -> Result<bool> {
        self.need_log()?.cull(cx, offs)
    }

    /// Moves the index forward; from within its event.
    pub fn set_index(&self, cx: &mut WriteCx, offs: NexusOffset) -> Result<bool> {
        match (self.store(), self.log()) {
            (_, Some(log)) => Ok(log.set_next(offs)),
            (Some(store), None) if self.index() < offs => store.counts.set(cx, "nexs:indx", offs as i64).map(|()| true),
            _ => Ok(false),
        }
    }

    // ---- boot

    /// Applies again what the slabs may lack. Called when every handler is there and before anything else changes.
    /// Returns how many entries that were.
    pub(crate) fn recover(&self, progress: &Progress) -> Result<usize> {
        let count = match (self.store(), self.log()) {
            (Some(store), Some(log)) => self.recover_from(store, &log, progress)?,
            _ => 0,
        };
        self.0.started.store(true, Ordering::Release);
        Ok(count)
    }

    fn recover_from(&self, store: &Store, log: &MultiSlabSeqn, progress: &Progress) -> Result<usize> {
        let Some((last, _)) = log.last()? else { return Ok(0) };
        let mut offs = store.slab.applied_at_open().unwrap_or(last);
        let mut count = 0;
        let first = offs;
        while offs <= last {
            progress.set("applying the log", offs - first, last + 1 - first);
            let rows = log.read(offs)?;
            let Some((end, _)) = rows.last() else { break };
            offs = end + 1;
            for (at, entry) in rows {
                if let Err(error) = self.reapply(at, &entry) {
                    tracing::warn!(offset = at, %error, "an entry of the nexus log could not be applied again");
                }
                count += 1;
            }
        }
        self.0.writer.run(|cx| {
            cx.set_applied(last);
            cx.commit_all()
        })?;
        Ok(count)
    }

    fn reapply(&self, offs: NexusOffset, entry: &[u8]) -> Result<()> {
        let event = Event::unpack(&msgpack::decode(entry)?)?;
        let handler = self.handler(&event.nexsiden, &event.name)?;
        self.0.writer.run(|cx| {
            let homes = handler.homes(&event);
            let has = |slab: &Slab| slab.applied_at_open().is_some_and(|has| offs < has);
            if !homes.is_empty() && homes.iter().all(has) {
                return Ok(());
            }
            cx.set_replay(Some(offs));
            cx.set_event(Some(offs));
            let done = handler.apply(&mut ApplyCx { writer: cx, offs, replay: true }, &event);
            cx.set_event(None);
            cx.set_replay(None);
            cx.set_applied(offs);
            done.map(|_| ())
        })
    }

    // ---- beholders

    /// Tells beholders of a change.
    pub fn tell(&self, event: &str, info: impl Into<Value>, gates: Option<Value>) {
        if self.0.behold.receiver_count() == 0 || !self.0.started.load(Ordering::Acquire) {
            return;
        }
        let mut mesg = Map::new().with("event", event).with("offset", self.index()).with("info", info.into());
        if let Some(gates) = gates {
            mesg.insert("gates", gates);
        }
        // Nobody listening is no error.
        let _ = self.0.behold.send(mesg.into());
    }

    /// Messages about changes from now on.
    pub fn beholders(&self) -> broadcast::Receiver<Value> {
        self.0.behold.subscribe()
    }
}
