//! One connection to the leader: the checks at its begin, then the stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use myelin_error::{Error, Result, err};
use myelin_telepath::{Genr, Proxy, Todo};
use myelin_value::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::compare::FEATURE;
use super::fence::FEATURE as FENCING;
use super::{HOLD_LOST, HOLD_VERSION, Uplink, term_of};
use crate::Cell;
use crate::nexus::Incoming;

/// Entries that lie between reading and applying at most, by number and by size.
const WINDOW: usize = 4096;
const WINDOW_BYTES: usize = 64 << 20;
/// Entries that share a commit at most.
const BATCH: usize = 512;
/// Entries that are compared with the leader's when a connection begins.
const TAIL: usize = 16;
/// How long to wait before looking whether changes are accepted again.
const HELD_WAIT: Duration = Duration::from_secs(2);

/// Why a connection is not followed any more.
pub(super) enum Lost {
    /// Another connection may do.
    Retry(Error),
    /// None will.
    Fatal(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Lost {
        Lost::Retry(error)
    }
}

/// What the reading task found.
enum Item {
    Entry(Incoming, OwnedSemaphorePermit),
    /// Everything the leader had has been sent.
    RealTime,
}

impl Cell {
    /// Follows the leader over one connection, until that is lost or the mirror is told to stop.
    pub(super) async fn follow_over(
        &self,
        proxy: &Proxy,
        uplink: &Uplink,
        stop: &CancellationToken,
    ) -> Result<(), Lost> {
        let info = tokio::select! {
            info = self.greet(proxy) => info?,
            () = stop.cancelled() => return Ok(()),
        };
        self.standing().uplink.store(true, Ordering::Release);
        self.nexus().del_hold(HOLD_LOST);
        self.standing().applied.send_replace(self.nexus().index());
        let issuewait = info.get("features").and_then(|feats| feats.get("issuewait")).is_some_and(Value::is_truthy);
        let fences = info.get("features").and_then(|feats| feats.get(FENCING)).is_some_and(Value::is_truthy);
        self.standing().old_leader.store(!fences, Ordering::Release);
        uplink.proxy.send_replace(Some((proxy.clone(), issuewait)));
        let cell = info.get("cell").cloned().unwrap_or_default();
        let leader = cell.get("aha").and_then(|aha| aha.get("name")).and_then(Value::as_str).unwrap_or("the leader");
        tracing::info!(leader, offset = self.nexus().index(), "following");
        while !proxy.is_fini() && !stop.is_cancelled() {
            if !self.nexus().holds().is_empty() || self.nexus().is_paused() {
                // A mirror that refuses changes does not take the leader's either.
                tokio::select! {
                    () = tokio::time::sleep(HELD_WAIT) => {}
                    () = proxy.wait_fini() => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            let todo = Todo::new("getNexusChanges").arg(self.nexus().index()).kw("tellready", true);
            let stream = tokio::select! {
                stream = proxy.genr(todo) => stream?,
                () = stop.cancelled() => break,
            };
            let can = |name: &str| info.get("features").and_then(|feats| feats.get(name)).is_some_and(Value::is_truthy);
            tokio::select! {
                pumped = self.pump(stream, stop) => pumped?,
                never = self.confirm_to(proxy, can("nexusconfirm")) => never?,
                lost = self.compare_with(proxy, can(FEATURE)) => return Err(lost),
            }
            self.set_ready(false);
        }
        Ok(())
    }

    /// Tells the leader how far this mirror is, with one call for all that was applied during the one before.
    async fn confirm_to(&self, proxy: &Proxy, wanted: bool) -> Result<(), Lost> {
        if !wanted {
            return std::future::pending().await;
        }
        let mut applied = self.standing().applied.subscribe();
        loop {
            let next = *applied.borrow_and_update();
            let todo = Todo::new("confirmNexsOffs").arg(self.run_id()).arg(next);
            if let Err(error) = proxy.call(todo).await {
                tracing::debug!(%error, "the leader could not be told how far this mirror is");
                break;
            }
            if applied.changed().await.is_err() {
                break;
            }
        }
        std::future::pending().await
    }

    /// Finds out whether the peer can be followed, and prepares it.
    async fn greet(&self, proxy: &Proxy) -> Result<Value, Lost> {
        let info = proxy.call("getCellInfo").await?;
        let cell = info.get("cell").cloned().unwrap_or_default();
        let text = |key: &str| cell.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("run") == self.run_id() {
            return Err(Lost::Retry(err!("BadState", mesg = "The URL of the leader leads to this service itself.")));
        }
        if info.get("features").and_then(|feats| feats.get("dynmirror")).is_some_and(Value::is_truthy) {
            proxy.call("readyToMirror").await?;
        }
        let version: Option<Vec<i64>> =
            cell.get("version").and_then(Value::as_list).map(|vers| vers.iter().filter_map(Value::as_i64).collect());
        if version.is_some_and(|version| version.as_slice() > &self.inner().spec.version[..]) {
            if self.nexus().add_hold(HOLD_VERSION) {
                tracing::error!("changes are refused: {HOLD_VERSION} Mirrors must be updated before their leader is.");
            }
            proxy.wait_fini().await;
            return Err(Lost::Retry(err!("BadVersion", mesg = HOLD_VERSION)));
        }
        self.nexus().del_hold(HOLD_VERSION);
        if proxy.call("getCellIden").await?.as_str() != Some(self.iden()) {
            let mesg = "The leader has another iden than this mirror: one was not made from the other.";
            return Err(Lost::Fatal(err!("BadState", mesg = mesg, iden = text("iden"))));
        }
        let (theirs, ours) = (term_of(&info), self.term()?);
        if theirs < ours {
            let mesg = format!("The leader is of term {theirs}, which is over: this mirror has seen term {ours}.");
            return Err(Lost::Retry(err!("BadState", mesg = mesg)));
        }
        let next = proxy.call("getNexsIndx").await?.as_u64().unwrap_or_default();
        if next < self.nexus().index() {
            let ours = self.nexus().index();
            let mesg = format!(
                "This mirror has diverged: it has changes up to offset {ours}, and its leader only up to {next}."
            );
            return Err(Lost::Fatal(err!("BadState", mesg = mesg)));
        }
        self.compare_tails(proxy).await?;
        Ok(info)
    }

    /// Compares the last entries of the log with those that the leader has at their offsets: a service that led meanwhile
    /// has others there.
    async fn compare_tails(&self, proxy: &Proxy) -> Result<(), Lost> {
        let nexus = self.nexus().clone();
        let ours = tokio::task::spawn_blocking(move || nexus.tail(TAIL)).await;
        let ours = ours.map_err(|error| err!("SynErr", mesg = format!("Reading the log failed: {error}.")))??;
        let Some((from, _)) = ours.first() else { return Ok(()) };
        let todo = Todo::new("getNexusChanges").arg(*from).kw("wait", false);
        let mut stream = proxy.genr(todo).await?;
        let mut ours = ours.iter().peekable();
        while let Some((offs, entry)) = ours.peek() {
            let Some(item) = stream.next().await else { break };
            let theirs = Incoming::from_item(&item?)?;
            if theirs.offs > *offs {
                // The leader's log was trimmed up to there.
                ours.next();
            } else if theirs.offs == *offs {
                if theirs.packed != *entry {
                    let mesg =
                        format!("This mirror has diverged: it has another change at offset {offs} than its leader.");
                    return Err(Lost::Fatal(err!("BadState", mesg = mesg, offset = *offs)));
                }
                ours.next();
            }
        }
        Ok(())
    }

    /// Moves one stream of changes into the log.
    async fn pump(&self, stream: Genr, stop: &CancellationToken) -> Result<(), Lost> {
        let (tx, rx) = mpsc::channel(WINDOW);
        // Dropped when applying ends, whatever for, which closes the stream.
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let stop = stop.clone();
        let reads = tokio::spawn(async move {
            tokio::select! {
                done = read(stream, tx) => done,
                () = ended.cancelled() => Ok(()),
                () = stop.cancelled() => Ok(()),
            }
        });
        let applied = self.apply(rx).await;
        drop(guard);
        let read = reads.await.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("Reading failed: {error}."))));
        applied?;
        Ok(read?)
    }

    async fn apply(&self, mut rx: mpsc::Receiver<Item>) -> Result<(), Lost> {
        let mut items = Vec::with_capacity(BATCH);
        while rx.recv_many(&mut items, BATCH).await > 0 {
            let mut batch = Vec::with_capacity(items.len());
            let mut permits = Vec::with_capacity(items.len());
            let mut real_time = false;
            for item in items.drain(..) {
                match item {
                    Item::Entry(entry, permit) => {
                        batch.push(entry);
                        permits.push(permit);
                    }
                    Item::RealTime => real_time = true,
                }
            }
            if !batch.is_empty() {
                let done = self.nexus().follow(batch).await?;
                self.standing().applied.send_replace(self.nexus().index());
                if let Some(error) = done.stop {
                    // What the store refuses may work later; an entry that cannot be understood never will.
                    let fatal = ["BadState", "NoSuchIden", "NoSuchName"].iter().any(|name| error.is(name));
                    return Err(if fatal { Lost::Fatal(error) } else { Lost::Retry(error) });
                }
                if !done.left.is_empty() {
                    return Ok(());
                }
            }
            if real_time {
                tracing::info!(offset = self.nexus().index(), "in step with the leader");
                self.set_ready(true);
            }
        }
        Ok(())
    }
}

async fn read(mut stream: Genr, tx: mpsc::Sender<Item>) -> Result<()> {
    let room = std::sync::Arc::new(Semaphore::new(WINDOW_BYTES));
    while let Some(item) = stream.next().await {
        let item = item?;
        let item = if item.is_null() {
            Item::RealTime
        } else {
            let entry = Incoming::from_item(&item)?;
            let size = u32::try_from(entry.packed.len().min(WINDOW_BYTES)).unwrap_or(u32::MAX);
            let closed = |_| err!("IsFini", mesg = "Reading the stream was given up.");
            Item::Entry(entry, room.clone().acquire_many_owned(size).await.map_err(closed)?)
        };
        if tx.send(item).await.is_err() {
            break;
        }
    }
    Ok(())
}
