//! Following a leader: the connection, the stream of changes, and the states a mirror is in.
//!
//! ```text
//!            ┌───────────── back-off ◀── connection lost ──────────────┐
//!            ▼                                                         │
//! connecting ──▶ linked (checks) ──▶ catching up ──▶ real time (ready) ┘
//!                  │ leader is newer: hold, again at the next connection
//!                  └ other iden, out of step, unknown event: hold, ended (or rebuilt, see `mirror:resync`)
//! ```
//!
//! One task reads and decodes, another hands batches to the writer; between them lie at most [`WINDOW_BYTES`].

pub(crate) mod compare;
pub(crate) mod fence;
mod lead;
mod link;
pub(crate) mod resync;
pub(crate) mod rival;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo, UrlInfo};
use myelin_value::Value;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Cell;
use crate::nexus::{Event, Upstream};

/// How long a change waits for a connection to the leader.
const WRITE_WAIT: Duration = Duration::from_secs(30);
/// How long the leader may be unreachable before changes are refused.
const CONNECT_WAIT: Duration = Duration::from_secs(60);
/// Pauses between attempts to reach the leader: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Why changes are refused on a mirror that has been without its leader for too long.
pub(crate) const HOLD_LOST: &str = "Unable to connect to leader for 60.0s.";
/// Why changes are refused on a mirror whose leader runs a newer version.
const HOLD_VERSION: &str = "Leader is a higher version than we are.";

/// What a service is to its leader at the moment.
#[derive(Default)]
pub(crate) struct Standing {
    /// Connected to the leader.
    pub uplink: AtomicBool,
    /// In the real-time window, or itself the leader. Watched by the registration with AHA.
    pub ready: watch::Sender<bool>,
    /// Marked whenever AHA has said that this leader is the one.
    pub heard: watch::Sender<()>,
    /// The first offset that is not committed here yet.
    pub applied: watch::Sender<u64>,
    /// How this one's state compares with others'.
    pub compared: compare::Compared,
    /// The first offset of the log as of which sums are remembered.
    pub sums_from: std::sync::atomic::AtomicU64,
    /// Where this service listens, as AHA is told.
    pub port: std::sync::atomic::AtomicU16,
    /// Attempts to hear from AHA that have failed since the last one that has not.
    pub unheard: std::sync::atomic::AtomicU32,
    /// The leader that was followed last is not one that can be told to give way.
    pub old_leader: AtomicBool,
    following: Mutex<Option<Following>>,
    /// One hand-over of leadership at a time.
    lead: tokio::sync::Mutex<()>,
}

struct Following {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The current connection to the leader, for changes that are forwarded.
pub(crate) struct Uplink {
    proxy: watch::Sender<Option<(Proxy, bool)>>,
}

#[async_trait]
impl Upstream for Uplink {
    async fn issue(&self, event: Event) -> Result<()> {
        let mut proxies = self.proxy.subscribe();
        let linked = tokio::time::timeout(WRITE_WAIT, proxies.wait_for(Option::is_some)).await;
        let linked = linked.ok().and_then(Result::ok).and_then(|found| found.clone());
        let Some((proxy, issuewait)) = linked else {
            return Err(err!("LinkErr", mesg = "The mirror cannot reach its leader to make a change."));
        };
        let todo =
            Todo::new("issue").arg(event.nexsiden).arg(event.name).arg(event.args).arg(event.kwargs).arg(event.meta);
        let todo = if issuewait { todo.kw("wait", false) } else { todo };
        proxy.call(todo).await.map(drop)
    }
}

impl Cell {
    /// Whether this service is in step with its leader, or is the leader.
    pub fn is_ready(&self) -> bool {
        *self.standing().ready.borrow()
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.standing().ready.send_if_modified(|old| std::mem::replace(old, ready) != ready);
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.inner().standing
    }

    /// Begins to follow the leader that the option `mirror` names, if it names one. Must be called on a tokio runtime.
    pub(crate) fn begin_following(&self) {
        let Some(url) = self.conf().str("mirror") else { return };
        let stop = self.done().child_token();
        let uplink = Arc::new(Uplink { proxy: watch::Sender::new(None) });
        self.nexus().set_upstream(Some((uplink.clone(), tokio::runtime::Handle::current())));
        self.nexus().set_leader(false);
        self.set_ready(false);
        let (cell, token) = (self.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let ended = tokio::select! {
                ended = cell.follow_leader(&url, &uplink, &token) => ended,
                () = watch_uplink(&cell, &token) => Ok(()),
            };
            cell.standing().uplink.store(false, Ordering::Release);
            if let Err(error) = ended {
                cell.set_ready(false);
                if cell.conf().is_on("mirror:resync") && error.is("BadState") {
                    match cell.begin_resync(error.message()) {
                        Ok(()) => return,
                        Err(error) => tracing::error!(%error, "the rebuild could not be prepared"),
                    }
                }
                let mesg = error.message().to_owned();
                tracing::error!(%error, "following the leader has ended");
                cell.nexus().add_hold(&format!("This mirror cannot follow its leader any more: {mesg}"));
                cell.nexus().fail_waiting(&error);
            }
        });
        *self.standing().following.lock() = Some(Following { stop, task });
    }

    /// Ends following. What was received is applied first.
    async fn stop_following(&self) {
        let following = self.standing().following.lock().take();
        if let Some(following) = following {
            following.stop.cancel();
            if let Err(error) = following.task.await {
                tracing::error!(%error, "the task that follows the leader failed");
            }
        }
        self.nexus().set_upstream(None);
    }

    /// Connects again and again. Ends with an error when following makes no sense any more.
    async fn follow_leader(&self, url: &str, uplink: &Uplink, stop: &CancellationToken) -> Result<()> {
        let info = UrlInfo::parse(url)?;
        let shown = info.sanitized();
        let mut pause = BACKOFF.0;
        let mut told = false;
        while !stop.is_cancelled() {
            let opened = tokio::select! {
                opened = Proxy::open_info(&info) => opened,
                () = stop.cancelled() => break,
            };
            let lost = match opened {
                Ok(proxy) => {
                    let lost = self.follow_over(&proxy, uplink, stop).await;
                    uplink.proxy.send_replace(None);
                    self.standing().uplink.store(false, Ordering::Release);
                    self.set_ready(false);
                    proxy.fini().await;
                    match lost {
                        Ok(()) => {
                            pause = BACKOFF.0;
                            told = false;
                            None
                        }
                        Err(link::Lost::Fatal(error)) => return Err(error),
                        Err(link::Lost::Retry(error)) => Some(error),
                    }
                }
                Err(error) => Some(error),
            };
            if let Some(error) = lost
                && !std::mem::replace(&mut told, true)
            {
                tracing::warn!(leader = shown, %error, "the leader cannot be followed now; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
        Ok(())
    }
}

/// Refuses changes while the leader has been out of reach for too long.
async fn watch_uplink(cell: &Cell, stop: &CancellationToken) {
    let mut waited = Duration::ZERO;
    const STEP: Duration = Duration::from_millis(500);
    loop {
        tokio::select! {
            () = tokio::time::sleep(STEP) => {}
            // Following itself ends when it has been told to.
            () = stop.cancelled() => std::future::pending().await,
        }
        if cell.standing().uplink.load(Ordering::Acquire) {
            waited = Duration::ZERO;
            continue;
        }
        waited += STEP;
        if waited >= CONNECT_WAIT && cell.nexus().add_hold(HOLD_LOST) {
            tracing::error!("changes are refused: {HOLD_LOST}");
            cell.nexus().fail_waiting(&lost_error());
        }
    }
}

fn lost_error() -> Error {
    err!("LinkErr", mesg = HOLD_LOST)
}

/// The term of leadership that a service's `getCellInfo` tells of. It grows with each promotion.
pub(crate) fn term_of(info: &Value) -> i64 {
    let vers = info.get("cell").and_then(|cell| cell.get("cellvers"));
    vers.and_then(|vers| vers.get(TERM)).and_then(Value::as_i64).unwrap_or_default()
}

/// The name among the storage versions under which the term is kept. Versions travel through the log to every member of a
/// cluster, also to those that do not know this one.
pub(crate) const TERM: &str = "nexus:term";
