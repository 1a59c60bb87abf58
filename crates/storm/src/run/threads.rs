//! The threads that queries run on: with a stack that deep queries fit, and kept for the next query.
//!
//! Starting a thread and mapping its stack costs more than a small query does, so a thread that has finished waits a
//! while for another one. The last to finish is the first to be used again. A thread whose stack was used deeply ends,
//! so that its memory goes back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use myelin_error::{Error, Result};
use parking_lot::{Condvar, Mutex};

/// The stack of a thread. It is reserved, not used, until a query nests deeply.
const STACK_BYTES: usize = 256 << 20;
/// How many threads wait for work at most.
const MAX_IDLE: usize = 64;
/// How long a thread waits for work.
const IDLE: Duration = Duration::from_secs(20);

type Job = Box<dyn FnOnce() + Send>;

/// A thread that waits: where its next job is put.
#[derive(Default)]
struct Slot {
    job: Mutex<Option<Job>>,
    filled: Condvar,
}

static WAITING: Mutex<Vec<Arc<Slot>>> = Mutex::new(Vec::new());

impl Slot {
    fn put(&self, job: Job) {
        *self.job.lock() = Some(job);
        self.filled.notify_one();
    }

    /// Waits for a job; nothing when there was none for long, or when enough other threads wait.
    fn wait(self: &Arc<Slot>) -> Option<Job> {
        {
            let mut waiting = WAITING.lock();
            if waiting.len() >= MAX_IDLE {
                return None;
            }
            waiting.push(self.clone());
        }
        let mut job = self.job.lock();
        if job.is_none() {
            self.filled.wait_for(&mut job, IDLE);
        }
        if job.is_some() {
            return job.take();
        }
        drop(job);
        let mut waiting = WAITING.lock();
        if let Some(at) = waiting.iter().position(|slot| Arc::ptr_eq(slot, self)) {
            waiting.remove(at);
            return None;
        }
        drop(waiting);
        // Somebody has just taken the slot: the job is on its way.
        let mut job = self.job.lock();
        while job.is_none() {
            self.filled.wait(&mut job);
        }
        job.take()
    }
}

fn work(first: Job) {
    let slot = Arc::new(Slot::default());
    let mut job = Some(first);
    while let Some(now) = job.take() {
        now();
        if super::take_deepest() > super::DEEP {
            return;
        }
        job = slot.wait();
    }
}

/// Runs a job on a thread for queries. A panic in it ends the job only.
///
/// # Errors
/// `SynErr` when no thread can start.
pub fn spawn(job: impl FnOnce() + Send + 'static) -> Result<()> {
    let job: Job = Box::new(move || {
        // What the panic hook says about it is all there is to say.
        let _ = catch_unwind(AssertUnwindSafe(job));
    });
    let waiting = WAITING.lock().pop();
    match waiting {
        Some(slot) => slot.put(job),
        None => {
            let thread = std::thread::Builder::new().name("storm".to_owned()).stack_size(STACK_BYTES);
            thread.spawn(move || work(job))?;
        }
    }
    Ok(())
}

/// The error of a job whose answer never comes: it panicked.
pub fn failed() -> Error {
    Error::mesg("SynErr", "A query failed in a way that was not foreseen.")
}

/// Runs a closure on a thread with a stack that deep queries fit, and waits for it.
///
/// # Errors
/// `SynErr` when no thread can start or the closure panics: a panic ends its query only.
pub fn on_big_stack<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (tx, rx) = crossbeam_channel::bounded(1);
    spawn(move || {
        let _ = tx.send(work());
    })?;
    rx.recv().unwrap_or_else(|_| Err(failed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_used_again_and_outlive_a_panic() {
        let one = on_big_stack(|| Ok(std::thread::current().id())).expect("ran");
        let failed = on_big_stack(|| -> Result<()> { panic!("on purpose") });
        assert!(failed.is_err_and(|error| error.is("SynErr")));
        let mut ids = std::collections::HashSet::from([one]);
        for _ in 0..100 {
            ids.insert(on_big_stack(|| Ok(std::thread::current().id())).expect("ran"));
        }
        assert!(ids.len() < 50, "a hundred queries one after the other took {} threads", ids.len());
    }
}
