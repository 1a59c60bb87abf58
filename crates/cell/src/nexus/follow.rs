//! A mirror's side: changes go to the leader, and come back on its stream.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use myelin_error::{Result, err};
use myelin_slab::WriteCx;
use myelin_value::{Map, Value, rand_guid};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use super::{ApplyCx, Event, FOLLOWER_WRITE_WAIT, Nexus, NexusOffset};

/// Where a mirror sends its changes.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Has the leader make a change. The result comes back on the stream, under `meta`'s `resp`.
    async fn issue(&self, event: Event) -> Result<()>;
}

type Waiter = crossbeam_channel::Sender<Result<(NexusOffset, Value)>>;

#[derive(Default)]
pub(super) struct State {
    upstream: RwLock<Option<(Arc<dyn Upstream>, Handle)>>,
    waiting: Mutex<HashMap<String, Waiter>>,
}

impl Nexus {
    /// Makes this the nexus of a mirror, or (with none) of a leader.
    pub fn set_upstream(&self, upstream: Option<(Arc<dyn Upstream>, Handle)>) {
        *self.0.follow.upstream.write() = upstream;
    }

    /// Whether changes are made here.
    pub fn is_leader(&self) -> bool {
        self.0.follow.upstream.read().is_none()
    }

    pub(super) fn upstream(&self) -> Option<Arc<(Arc<dyn Upstream>, Handle)>> {
        self.0.follow.upstream.read().clone().map(Arc::new)
    }

    pub(super) fn forward(
        &self,
        upstream: &(Arc<dyn Upstream>, Handle),
        nexsiden: &str,
        event: &str,
        args: Vec<Value>,
        kwargs: Map,
    ) -> Result<(NexusOffset, Value)> {
        self.check_writable()?;
        self.handler(nexsiden, event)?;
        let resp = rand_guid();
        let (tell, told) = crossbeam_channel::bounded(1);
        self.0.follow.waiting.lock().insert(resp.clone(), tell);
        let event = Event {
            nexsiden: nexsiden.to_owned(),
            name: event.to_owned(),
            args,
            kwargs,
            meta: Map::new().with("resp", resp.as_str()),
        };
        let done = upstream.1.block_on(upstream.0.issue(event)).and_then(|()| {
            told.recv_timeout(FOLLOWER_WRITE_WAIT).unwrap_or_else(|_| {
                Err(err!("TimeOut", mesg = "The leader took a change, and it did not come back in time."))
            })
        });
        self.0.follow.waiting.lock().remove(&resp);
        done
    }

    /// Logs and applies an entry from the leader's stream. It must be the next one here. Blocks.
    pub fn follow(&self, offs: NexusOffset, entry: &Value) -> Result<()> {
        let event = Event::unpack(entry)?;
        let next = self.index();
        if offs != next {
            let mesg =
                format!("The mirror is out of sync: the leader sent offset {offs}, the next one here is {next}.");
            return Err(err!("FatalErr", mesg = mesg));
        }
        let handler = self.handler(&event.nexsiden, &event.name)?;
        let packed = event.pack();
        let done = self
            .0
            .writer
            .run(|cx: &mut WriteCx| self.log_and_apply(cx, &packed, |cx: &mut ApplyCx<'_>| handler.apply(cx, &event)));
        self.complete(&event, &done);
        match done {
            // The handler's own error is what the leader had too; one of the store is ours.
            Err(error) if self.index() == offs => Err(error),
            _ => Ok(()),
        }
    }

    /// Hands the result to whoever waits for it here.
    pub(super) fn complete(&self, event: &Event, done: &Result<(NexusOffset, Value)>) {
        let Some(resp) = event.meta.get_str("resp") else { return };
        if let Some(waiter) = self.0.follow.waiting.lock().remove(resp) {
            let _ = waiter.send(done.clone());
        }
    }
}
