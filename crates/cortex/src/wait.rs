//! Waiting for async work on threads that may block: query threads, the threads of jobs.
//!
//! Queries run on plain threads. What they wait for (HTTP, telepath) is driven by a small runtime of its own, so that it
//! neither needs nor disturbs the one that serves clients. A waiting query looks every now and then whether it was
//! cancelled. What is waited for is mostly somebody outside: the gates are passed first, so that no other service hears of a
//! change that could still be lost.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use myelin_error::Result;
use myelin_storm::{Ctl, Flow, Rt};
use myelin_telepath::gate;
use myelin_value::Value;
use tokio::runtime::{Builder, Runtime};

/// How often a waiting query looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(50);
/// Threads that drive what is waited for.
const THREADS: usize = 2;

/// A lazy sequence of values whose `next` may block.
pub type Values = Box<dyn Iterator<Item = Result<Value>> + Send>;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("storm-wait")
        .enable_all()
        .build()
        .expect("threads can be started when the process starts")
});

/// Drives a future to its end. Must not be called on a thread of an async runtime. The future passes the gates itself: calls
/// by telepath do.
pub fn block<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Runs something that expects an async runtime around it but does not wait.
pub fn enter<T>(func: impl FnOnce() -> T) -> T {
    let _guard = RUNTIME.enter();
    func()
}

/// Drives a future to its end, or to that of the query.
///
/// # Errors
/// The end of the query.
pub fn query<F: Future>(rt: &Rt, future: F) -> Flow<F::Output> {
    RUNTIME.block_on(async {
        gate::pass().await?;
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                done = &mut future => return Ok(done),
                () = tokio::time::sleep(LOOK) => {}
            }
            if rt.shared().cancel.is_cancelled() {
                return Err(Ctl::cancelled());
            }
        }
    })
}

/// Cancels a query when a token is; until the guard is dropped.
pub fn cancel_with(
    token: tokio_util::sync::CancellationToken,
    cancel: std::sync::Arc<myelin_storm::rt::Cancel>,
) -> CancelGuard {
    CancelGuard(RUNTIME.spawn(async move {
        token.cancelled().await;
        cancel.cancel();
    }))
}

/// Stops watching when it is dropped.
pub struct CancelGuard(tokio::task::JoinHandle<()>);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets a future run on its own.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(RUNTIME.spawn(future));
}
