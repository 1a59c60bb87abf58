//! The lease of a leader: until when it may acknowledge changes, by what AHA last said of who leads.
//!
//! A leader that AHA knows looks there every second. What it makes between two looks it acknowledges only while the last
//! look is younger than the lease, measured when the answer goes out: also a process that was stopped for a minute finds
//! that its lease has run out before it can confirm anything. A new leader waits that long before it begins, unless the old
//! one has given way. So there is no moment at which both acknowledge.
//!
//! Where no lease is set (no AHA, or a mirror) nothing is waited for.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use myelin_error::{Result, err};

use super::Nexus;

/// How long an answer waits for a lease to be renewed.
const RENEWAL_WAIT: Duration = Duration::from_secs(30);
/// How long a stream to a mirror does.
const STREAM_WAIT: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(20);
/// No lease is needed.
pub(super) const FREE: u64 = u64::MAX;

fn millis(at: Instant) -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*BEGIN.get_or_init(Instant::now));
    // Not 0, so that a lease can have run out at the beginning.
    u64::try_from(since.as_millis()).unwrap_or(FREE - 2) + 1
}

impl Nexus {
    /// Changes are acknowledged until then.
    pub(crate) fn set_lease(&self, until: Instant) {
        self.store_lease(millis(until));
    }

    /// Nothing is acknowledged until there is a lease.
    pub(crate) fn end_lease(&self) {
        self.store_lease(0);
    }

    /// No lease is needed any more.
    pub(crate) fn free_lease(&self) {
        self.store_lease(FREE);
    }

    fn store_lease(&self, until: u64) {
        let state = &self.0.follow;
        state.lease.store(until, Ordering::Release);
        state.wake();
    }

    /// This service leads no longer, and nobody made sure that whoever does has what was made here last: what is not
    /// acknowledged yet never is, and streams to mirrors end.
    pub(crate) fn depose(&self) {
        self.end_lease();
        self.fence();
        self.set_leader(false);
        // For what began in between, which has no lease either; what begins after this is forwarded.
        self.fence();
        self.free_lease();
    }

    /// Nothing that is not acknowledged yet will be, and streams to mirrors end: they look for whoever leads now.
    pub(crate) fn fence(&self) {
        let state = &self.0.follow;
        state.fenced.fetch_add(1, Ordering::AcqRel);
        state.wake();
        // Streams look at the mark when the log moves.
        self.0.next.send_modify(|_| {});
    }

    /// To be taken before a change, and shown to [`Nexus::wait_lease`] after it.
    pub(super) fn fence_mark(&self) -> u64 {
        self.0.follow.fenced.load(Ordering::Acquire)
    }

    /// Whether changes are acknowledged under a lease.
    pub(super) fn has_lease(&self) -> bool {
        self.0.follow.lease.load(Ordering::Acquire) != FREE
    }

    fn lease_state(&self, mark: u64) -> Option<Result<()>> {
        let state = &self.0.follow;
        let until = state.lease.load(Ordering::Acquire);
        if self.fence_mark() != mark {
            let mesg =
                "Another service leads now: the change was made here, and may not be there. Look before you repeat it.";
            return Some(Err(err!("LinkErr", mesg = mesg)));
        }
        let holds = until == FREE || millis(Instant::now()) < until;
        holds.then_some(Ok(()))
    }

    /// Waits until a change that was made here may be acknowledged. Blocks.
    #[inline]
    pub(super) fn wait_lease(&self, mark: u64) -> Result<()> {
        match self.lease_state(mark) {
            Some(done) => done,
            None => self.wait_renewal(mark),
        }
    }

    #[cold]
    fn wait_renewal(&self, mark: u64) -> Result<()> {
        let state = &self.0.follow;
        let begun = Instant::now();
        loop {
            state.wait_turn(POLL);
            if let Some(done) = self.lease_state(mark) {
                return done;
            }
            if begun.elapsed() > RENEWAL_WAIT || state.ending.load(Ordering::Acquire) {
                let mesg = "The change is made here, and AHA did not say in time that this service still leads: it may be \
                            lost with this service.";
                return Err(err!("TimeOut", mesg = mesg));
            }
        }
    }

    /// The same for a stream to a mirror: what a mirror has is as good as acknowledged.
    pub(super) async fn stream_lease(&self, mark: u64) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(done) = self.lease_state(mark) {
                return done;
            }
            if begun.elapsed() > STREAM_WAIT {
                // A mirror that looks again may find who leads instead.
                let mesg = "AHA did not say in time that this service still leads: look there for who does.";
                return Err(err!("LinkErr", mesg = mesg));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_never_the_marks() {
        assert!(millis(Instant::now()) > 0 && millis(Instant::now()) < FREE);
    }
}
