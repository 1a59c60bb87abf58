//! A mirror's side: changes go to the leader, and come back on its stream.
//!
//! Whether changes are made here (leader) or elsewhere (mirror) can turn at any moment. The writer thread decides, as it
//! takes a change up: one that finds itself on a mirror by then is forwarded, one that finds the nexus paused waits and
//! looks again. So a hand-off loses no change and makes none twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use myelin_error::{Error, Result, err};
use myelin_slab::WriteCx;
use myelin_value::{Map, Value, rand_guid};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::runtime::Handle;

use super::{ApplyCx, Event, Nexus, NexusOffset};

/// How long a change waits to come back when the connection broke while the leader was asked for it.
const LOST_CALL_WAIT: Duration = Duration::from_secs(10);
/// How long mirrors may take to confirm a change.
const CONFIRM_WAIT: Duration = Duration::from_secs(30);
/// Changes that wait for the end of a pause at most.
const MAX_DELAYED: usize = 256;
/// Runs of mirrors that are remembered at most.
const MAX_MIRRORS: usize = 1000;
/// How often those who wait look whether the service ends.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Where a mirror sends its changes.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Has the leader make a change. The result comes back on the stream, under `meta`'s `resp`.
    async fn issue(&self, event: Event) -> Result<()>;
}

type Waiter = crossbeam_channel::Sender<Result<(NexusOffset, Value)>>;

/// An entry from the leader's stream.
pub struct Incoming {
    /// Its offset.
    pub offs: NexusOffset,
    /// What it says.
    pub event: Event,
    /// The bytes it has in the log.
    pub packed: Vec<u8>,
}

/// What became of a batch of entries.
#[derive(Default)]
pub struct Followed {
    /// Entries that were not taken, since the nexus is paused or refuses changes now.
    pub left: Vec<Incoming>,
    /// Why the stream cannot be followed any further.
    pub stop: Option<Error>,
}

pub(super) struct State {
    /// Changes are made elsewhere.
    mirror: AtomicBool,
    /// Nothing is changed at all for now.
    paused: AtomicBool,
    /// Changes that would be forwarded wait: this mirror is about to lead.
    forwards_held: AtomicBool,
    /// Changes that wait for the end of a pause. Each holds a thread.
    delayed: AtomicUsize,
    pub(super) ending: AtomicBool,
    /// Until when changes are acknowledged: see [`super::lease`].
    pub(super) lease: AtomicU64,
    /// How often this service has lost the leadership without handing it on.
    pub(super) fenced: AtomicU64,
    turn: Mutex<()>,
    turned: Condvar,
    upstream: RwLock<Option<(Arc<dyn Upstream>, Handle)>>,
    waiting: Mutex<HashMap<String, Waiter>>,
    forwarding: AtomicUsize,
    /// How many mirrors must have a change before it is acknowledged.
    min_mirrors: AtomicUsize,
    /// Mirrors by the iden of their run, with the first offset that they have not yet.
    mirrors: Mutex<HashMap<String, NexusOffset>>,
    confirmed: Condvar,
}

impl Default for State {
    fn default() -> State {
        State {
            mirror: AtomicBool::default(),
            paused: AtomicBool::default(),
            forwards_held: AtomicBool::default(),
            delayed: AtomicUsize::default(),
            ending: AtomicBool::default(),
            lease: AtomicU64::new(super::lease::FREE),
            fenced: AtomicU64::default(),
            turn: Mutex::default(),
            turned: Condvar::default(),
            upstream: RwLock::default(),
            waiting: Mutex::default(),
            forwarding: AtomicUsize::default(),
            min_mirrors: AtomicUsize::default(),
            mirrors: Mutex::default(),
            confirmed: Condvar::default(),
        }
    }
}

impl State {
    /// Wakes whoever waits for a turn.
    pub(super) fn wake(&self) {
        let _turn = self.turn.lock();
        self.turned.notify_all();
    }

    /// Waits for a turn of whatever kind, or so long.
    pub(super) fn wait_turn(&self, limit: Duration) {
        self.turned.wait_for(&mut self.turn.lock(), limit);
    }

    /// Wakes whoever waits for a flag.
    fn set(&self, flag: &AtomicBool, valu: bool) -> bool {
        let _turn = self.turn.lock();
        let old = flag.swap(valu, Ordering::AcqRel);
        self.turned.notify_all();
        old
    }

    /// Waits until a flag is down. Fails when the service ends.
    fn wait_down(&self, flag: &AtomicBool) -> Result<()> {
        let mut turn = self.turn.lock();
        while flag.load(Ordering::Acquire) {
            if self.ending.load(Ordering::Acquire) {
                return Err(err!("IsFini", mesg = "The service is ending."));
            }
            self.turned.wait_for(&mut turn, LOOK_PERIOD);
        }
        Ok(())
    }
}

impl Nexus {
    // ---- whose changes are made here

    /// Whether changes are made here.
    pub fn is_leader(&self) -> bool {
        !self.0.follow.mirror.load(Ordering::Acquire)
    }

    /// Makes this the nexus of a leader or of a mirror.
    pub fn set_leader(&self, leader: bool) {
        self.0.follow.set(&self.0.follow.mirror, !leader);
    }

    /// Where a mirror's changes go.
    pub fn set_upstream(&self, upstream: Option<(Arc<dyn Upstream>, Handle)>) {
        *self.0.follow.upstream.write() = upstream;
    }

    /// Lets nothing be changed until [`Nexus::unpause`]: who wants to waits. Returns when nothing is under way any more;
    /// false if it was paused already. Blocks.
    pub fn pause(&self) -> Result<bool> {
        if self.0.follow.set(&self.0.follow.paused, true) {
            return Ok(false);
        }
        // What the writer took up before is done when this is.
        self.0.writer.run(|_| Ok(())).inspect_err(|_| self.unpause())?;
        Ok(true)
    }

    /// Ends a pause.
    pub fn unpause(&self) {
        self.0.follow.set(&self.0.follow.paused, false);
    }

    /// Whether nothing can be changed now.
    pub fn is_paused(&self) -> bool {
        self.0.follow.paused.load(Ordering::Acquire)
    }

    /// Whether a change may be made here at this moment; asked on the writer thread.
    pub(super) fn may_change(&self) -> bool {
        let state = &self.0.follow;
        !state.mirror.load(Ordering::Acquire) && !state.paused.load(Ordering::Acquire)
    }

    /// Waits while the nexus is paused. Blocks.
    pub(super) fn wait_unpaused(&self) -> Result<()> {
        let state = &self.0.follow;
        if !state.paused.load(Ordering::Acquire) {
            return Ok(());
        }
        let count = state.delayed.fetch_add(1, Ordering::AcqRel);
        let done = if count < MAX_DELAYED {
            state.wait_down(&state.paused)
        } else {
            let mesg = "The service is frozen, and too many changes wait already: try again when it has been resumed.";
            Err(err!("IsReadOnly", mesg = mesg))
        };
        state.delayed.fetch_sub(1, Ordering::AcqRel);
        done
    }

    /// No more waiting: the service ends.
    pub(crate) fn set_ending(&self) {
        self.0.follow.set(&self.0.follow.ending, true);
        self.fail_waiting(&err!("IsFini", mesg = "The service is ending."));
    }

    // ---- what mirrors have

    /// Acknowledges a change only when so many mirrors have it.
    pub fn set_min_mirrors(&self, count: usize) {
        self.0.follow.min_mirrors.store(count, Ordering::Release);
    }

    /// How many mirrors must have a change before it is acknowledged.
    pub fn min_mirrors(&self) -> usize {
        self.0.follow.min_mirrors.load(Ordering::Acquire)
    }

    /// A mirror has everything below an offset, committed.
    pub fn confirm(&self, run: &str, next: NexusOffset) {
        let state = &self.0.follow;
        let mut mirrors = state.mirrors.lock();
        if mirrors.len() >= MAX_MIRRORS && !mirrors.contains_key(run) {
            mirrors.clear();
        }
        mirrors.insert(run.to_owned(), next);
        state.confirmed.notify_all();
    }

    /// Waits until enough mirrors have a change. Blocks.
    pub(super) fn wait_mirrored(&self, offs: NexusOffset) -> Result<()> {
        let state = &self.0.follow;
        let wanted = state.min_mirrors.load(Ordering::Acquire);
        // On a mirror the leader has seen to it.
        if wanted == 0 || !self.is_leader() {
            return Ok(());
        }
        let begun = Instant::now();
        let mut mirrors = state.mirrors.lock();
        loop {
            let have = mirrors.values().filter(|next| **next > offs).count();
            if have >= wanted {
                return Ok(());
            }
            if begun.elapsed() > CONFIRM_WAIT || state.ending.load(Ordering::Acquire) {
                let mesg = format!(
                    "The change is made here, and {have} of {wanted} mirrors have confirmed it in time: it may be lost \
                     with this service (nexus:min_mirrors)."
                );
                return Err(err!("TimeOut", mesg = mesg, offset = offs));
            }
            state.confirmed.wait_for(&mut mirrors, LOOK_PERIOD);
        }
    }

    // ---- forwarding

    /// Lets changes wait that would be forwarded, and waits until none is under way. Says whether that was so in time.
    pub async fn hold_forwards(&self, limit: Duration) -> bool {
        let state = &self.0.follow;
        state.set(&state.forwards_held, true);
        let begun = Instant::now();
        while state.forwarding.load(Ordering::Acquire) > 0 {
            if begun.elapsed() > limit {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Lets them go on.
    pub fn release_forwards(&self) {
        self.0.follow.set(&self.0.follow.forwards_held, false);
    }

    /// Has the leader make a change and waits for it to come back; nothing if this is the leader by now. Blocks.
    pub(super) fn forward(&self, event: &Event) -> Result<Option<(NexusOffset, Value)>> {
        let state = &self.0.follow;
        state.forwarding.fetch_add(1, Ordering::AcqRel);
        let _count = Forwarding(&state.forwarding);
        if state.forwards_held.load(Ordering::Acquire) {
            drop(_count);
            state.wait_down(&state.forwards_held)?;
            return Ok(None);
        }
        if self.is_leader() {
            return Ok(None);
        }
        // A change that this mirror would refuse to apply must not reach the log.
        self.check_writable()?;
        self.handler(&event.nexsiden, &event.name)?;
        let unready = || err!("LinkErr", mesg = "The mirror has no connection to its leader yet: try again later.");
        let (upstream, runtime) = state.upstream.read().clone().ok_or_else(unready)?;
        if event.meta.contains("resp") {
            // Of a mirror that follows this one; the result travels down the stream.
            runtime.block_on(upstream.issue(event.clone()))?;
            return Ok(Some((0, Value::Null)));
        }
        let resp = rand_guid();
        let (tell, told) = crossbeam_channel::bounded(1);
        state.waiting.lock().insert(resp.clone(), tell);
        let event = Event { meta: Map::new().with("resp", resp.as_str()), ..event.clone() };
        let done = match runtime.block_on(upstream.issue(event)) {
            Ok(()) => told.recv().unwrap_or_else(|_| Err(unready())),
            // It may have been made nevertheless.
            Err(error) if is_link_error(&error) => told.recv_timeout(LOST_CALL_WAIT).unwrap_or(Err(error)),
            Err(error) => Err(error),
        };
        state.waiting.lock().remove(&resp);
        done.map(Some)
    }

    /// Gives up on the changes that were forwarded and have not come back.
    pub fn fail_waiting(&self, error: &Error) {
        for (_, waiter) in self.0.follow.waiting.lock().drain() {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// Hands the result to whoever waits for it here.
    pub(super) fn complete(&self, event: &Event, done: &Result<(NexusOffset, Value)>) {
        let Some(resp) = event.meta.get_str("resp") else { return };
        if let Some(waiter) = self.0.follow.waiting.lock().remove(resp) {
            let _ = waiter.send(done.clone());
        }
    }

    // ---- following

    /// Logs and applies entries from the leader's stream, which must be the next ones here. They are committed when this
    /// returns.
    pub async fn follow(&self, batch: Vec<Incoming>) -> Result<Followed> {
        let nexus = self.clone();
        let (done, results) = self
            .0
            .writer
            .run_async(move |cx| {
                let mut results = Vec::new();
                let done = nexus.follow_on(cx, batch, &mut results);
                Ok((done, results))
            })
            .await?;
        for (event, result) in results {
            self.complete(&event, &result);
        }
        Ok(done)
    }

    fn follow_on(
        &self,
        cx: &mut WriteCx,
        batch: Vec<Incoming>,
        results: &mut Vec<(Event, Result<(NexusOffset, Value)>)>,
    ) -> Followed {
        let mut batch = batch.into_iter();
        let state = &self.0.follow;
        while let Some(item) = batch.next() {
            if state.paused.load(Ordering::Acquire) || self.0.held.load(Ordering::Acquire) {
                return Followed { left: std::iter::once(item).chain(batch).collect(), stop: None };
            }
            let next = self.index();
            if item.offs != next {
                let mesg = format!(
                    "The mirror is out of step: its leader sent offset {}, and the next one here is {next}.",
                    item.offs
                );
                return Followed { left: Vec::new(), stop: Some(err!("BadState", mesg = mesg)) };
            }
            let Incoming { offs, event, packed } = item;
            let handler = match self.handler(&event.nexsiden, &event.name) {
                Ok(handler) => handler,
                Err(error) => return Followed { left: Vec::new(), stop: Some(error) },
            };
            let done = self.log_and_apply(cx, &packed, |cx: &mut ApplyCx<'_>| {
                let done = handler.apply(cx, &event);
                if self.0.twice {
                    cx.replay = true;
                    drop(handler.apply(cx, &event));
                }
                done
            });
            if let Err(error) = &done {
                if self.index() == offs {
                    // Not logged: that is the store's error, and the entry is to come again.
                    return Followed { left: Vec::new(), stop: Some(error.clone()) };
                }
                if !event.meta.contains("resp") {
                    tracing::debug!(offset = offs, event = event.name, %error, "a change failed, as on the leader");
                }
            }
            if event.meta.contains("resp") {
                results.push((event, done));
            }
        }
        Followed::default()
    }
}

struct Forwarding<'a>(&'a AtomicUsize);

impl Drop for Forwarding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn is_link_error(error: &Error) -> bool {
    error.isa("LinkErr") || error.is("IsFini") || error.is("LinkShutDown")
}

impl Incoming {
    /// An item of the stream: `[offset, entry]`.
    pub fn from_item(item: &Value) -> Result<Incoming> {
        let bad = || err!("BadMesgFormat", mesg = "An item of the leader's stream is no change.");
        let offs = item.at(0).and_then(Value::as_u64).ok_or_else(bad)?;
        let event = Event::unpack(item.at(1).ok_or_else(bad)?)?;
        let packed = event.pack();
        Ok(Incoming { offs, event, packed })
    }
}
