//! What is seen to before anything leaves the process.
//!
//! A service may make changes known to readers before they are safe from a kill of the process. Whatever leaves it - a reply, an
//! item of a stream, a call to another service - may depend on such a change, and so passes the gates first: every
//! [`LinkTx`](crate::LinkTx) does, on either side of a connection. Who sends in another way calls [`pass`].

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use myelin_error::Result;
use parking_lot::RwLock;

/// Something that may have to be done before anything leaves.
pub trait Gate: Send + Sync {
    /// Whether there is nothing to do. Asked for each message.
    fn is_open(&self) -> bool;

    /// Does it.
    fn open(self: Arc<Self>) -> BoxFuture<'static, Result<()>>;
}

static GATES: RwLock<Vec<Weak<dyn Gate>>> = RwLock::new(Vec::new());

/// Adds a gate, until it is dropped.
pub fn add(gate: &Arc<dyn Gate>) {
    let mut gates = GATES.write();
    gates.retain(|gate| gate.strong_count() > 0);
    gates.push(Arc::downgrade(gate));
}

/// Opens every gate of the process.
///
/// # Errors
/// What a gate fails with: then nothing may leave that says otherwise.
pub async fn pass() -> Result<()> {
    // Nearly always none: nothing is allocated.
    let shut: Vec<Arc<dyn Gate>> =
        GATES.read().iter().filter_map(Weak::upgrade).filter(|gate| !gate.is_open()).collect();
    for gate in shut {
        gate.open().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use myelin_value::Value;

    use super::*;

    /// A gate with so much to do.
    struct Todo(AtomicUsize);

    impl Gate for Todo {
        fn is_open(&self) -> bool {
            self.0.load(Ordering::Acquire) == 0
        }

        fn open(self: Arc<Self>) -> BoxFuture<'static, Result<()>> {
            async move {
                tokio::task::yield_now().await;
                self.0.store(0, Ordering::Release);
                Ok(())
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_before_the_gates_are_open() {
        let todo = Arc::new(Todo(AtomicUsize::new(3)));
        let gate: Arc<dyn Gate> = todo.clone();
        add(&gate);
        let (near, far) = tokio::io::duplex(1024);
        let (_, tx) = crate::split(Box::new(near), 1024);
        let (mut rx, _tx) = crate::split(Box::new(far), 1024);
        let seven = Value::from(7);
        let sent = tx.tx(&seven);
        let seen = async {
            let frame = rx.rx().await.expect("a frame");
            (frame, todo.0.load(Ordering::Acquire))
        };
        let (sent, seen) = tokio::join!(sent, seen);
        sent.expect("sent");
        assert_eq!(seen, (Some(seven.clone()), 0));
        drop((todo, gate));
        pass().await.expect("a gate that is gone is no gate");
    }
}
