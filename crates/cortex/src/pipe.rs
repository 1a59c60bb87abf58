//! The way of messages from a query's thread to its client's stream.
//!
//! Bounded: a query waits for a slow client. A query that sends nodes quickly does not wake the stream for each: while
//! the stream has just had something, it looks again a millisecond later by itself, and is woken before only for a
//! message that should not wait or when many have gathered. A stream that has found nothing sleeps until it is woken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use myelin_cell::Nexus;
use myelin_error::{Result, err};
use myelin_storm::Sink;
use myelin_storm::rt::Cancel;
use myelin_telepath::ValueStream;
use myelin_value::Value;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// How many messages wait for a client before its query waits too.
const MAX_WAITING: usize = 512;
/// How many wake the stream.
const MANY: usize = 128;
/// How long others wait at most.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Default)]
struct State {
    queue: VecDeque<Result<Value>>,
    /// Whether the stream sleeps.
    asleep: bool,
    ended: bool,
    dropped: bool,
}

#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    room: Condvar,
    wake: Notify,
}

/// How often a query that waits for its client looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// The query's end. The stream ends when it is dropped.
pub struct Sender(Arc<Pipe>, Option<Arc<Cancel>>);

impl Sender {
    /// Waits for the client no longer than until the query is cancelled.
    #[must_use]
    pub fn until(mut self, cancel: &Arc<Cancel>) -> Sender {
        self.1 = Some(cancel.clone());
        self
    }

    /// Sends an item; `now` when it should not wait for others.
    ///
    /// # Errors
    /// `LinkShutDown` when the stream is gone.
    pub fn send(&self, item: Result<Value>, now: bool) -> Result<()> {
        let mut state = self.0.state.lock();
        while state.queue.len() >= MAX_WAITING && !state.dropped {
            self.0.wake.notify_one();
            let Some(cancel) = &self.1 else {
                self.0.room.wait(&mut state);
                continue;
            };
            self.0.room.wait_for(&mut state, LOOK);
            if cancel.is_cancelled() {
                return Err(err!("TaskCancelled", mesg = "The query was cancelled."));
            }
        }
        if state.dropped {
            return Err(err!("LinkShutDown", mesg = "The client is gone."));
        }
        state.queue.push_back(item);
        let wake = now || std::mem::take(&mut state.asleep) || state.queue.len() >= MANY;
        drop(state);
        if wake {
            self.0.wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.wake.notify_one();
    }
}

impl Sink for Sender {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        let now = !matches!(kind, "node" | "node:edits" | "init");
        Sender::send(self, Ok(Value::list([Value::from(kind), info])), now)
    }
}

/// The stream's end.
struct Receiver(Arc<Pipe>);

impl Receiver {
    /// Takes what waits; nothing at the end.
    fn take(&self, asleep: bool) -> Option<VecDeque<Result<Value>>> {
        let mut state = self.0.state.lock();
        state.asleep = asleep && state.queue.is_empty();
        if state.queue.is_empty() && state.ended {
            return None;
        }
        let items = std::mem::take(&mut state.queue);
        drop(state);
        self.0.room.notify_all();
        Some(items)
    }

    async fn next(&self, busy: bool) -> Option<VecDeque<Result<Value>>> {
        let mut asleep = !busy;
        loop {
            let items = self.take(asleep)?;
            if !items.is_empty() {
                return Some(items);
            }
            if asleep {
                self.0.wake.notified().await;
            } else {
                let _ = tokio::time::timeout(PAUSE, self.0.wake.notified()).await;
                asleep = true;
            }
        }
    }
}

impl Receiver {
    /// Takes nothing more.
    fn end(&self) {
        let mut state = self.0.state.lock();
        (state.dropped, state.ended) = (true, true);
        state.queue.clear();
        drop(state);
        self.0.room.notify_all();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

/// A sender, and the stream of what is sent, which holds a guard as long as it is there. What was changed before something
/// was sent is settled before it is given out, once for all that had gathered.
pub fn pipe(nexus: Nexus, guard: impl Send + 'static) -> (Sender, ValueStream) {
    let pipe = Arc::new(Pipe::default());
    let state = (Receiver(pipe.clone()), VecDeque::new(), nexus, guard);
    let stream = futures::stream::unfold(state, async |(receiver, mut ready, nexus, guard)| {
        if ready.is_empty() {
            // The first time there was nothing before that it could follow closely.
            ready = receiver.next(ready.capacity() > 0).await?;
            if let Err(error) = nexus.settle_async().await {
                receiver.end();
                ready = VecDeque::from([Err(error)]);
            }
        }
        let item = ready.pop_front()?;
        Some((item, (receiver, ready, nexus, guard)))
    });
    (Sender(pipe, None), stream.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nexus() -> Nexus {
        Nexus::direct(&myelin_slab::Writer::start("test").expect("a writer"))
    }

    #[tokio::test]
    async fn everything_comes_in_order_and_the_end_is_seen() {
        let (sender, mut stream) = pipe(nexus(), ());
        let thread = std::thread::spawn(move || {
            for indx in 0..5000i64 {
                sender.send(Ok(Value::from(indx)), indx % 700 == 0).expect("sent");
                if indx % 900 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let mut want = 0i64;
        while let Some(item) = stream.next().await {
            assert_eq!(item.expect("an item"), Value::from(want));
            want += 1;
        }
        assert_eq!(want, 5000);
        thread.join().expect("joined");
    }

    #[tokio::test]
    async fn a_full_pipe_ends_with_its_stream() {
        let (sender, stream) = pipe(nexus(), ());
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while sender.send(Ok(Value::Null), false).is_ok() {
                sent += 1;
            }
            sent
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
        assert_eq!(thread.join().expect("joined"), MAX_WAITING);
    }
}
