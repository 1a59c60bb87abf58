//! Making sure that the old leader acknowledges nothing any more, before a new one that was promoted without its consent does.
//!
//! In this order: it is told directly to give way; the new term is claimed in AHA, where it looks every second; and unless it
//! has given way, or is gone for certain, its lease is waited for (see [`crate::nexus`]). A leader that cannot reach AHA
//! either goes on by itself, unless it has the option `aha:failover`: then its lease ends all the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::Value;

use crate::Cell;
use crate::register::LEASE;

/// The feature of leaders that can be told to give way.
pub(crate) const FEATURE: &str = "fencing";
/// How long each step may take.
const STEP_WAIT: Duration = Duration::from_secs(2);
/// How long AHA may take to answer.
const CLAIM_WAIT: Duration = Duration::from_secs(5);
/// What is waited for on top of the lease of another machine.
const SLACK: Duration = Duration::from_secs(1);

impl Cell {
    /// Comes back when the leader of the last term cannot acknowledge anything any more, as far as that can be known.
    pub(super) async fn fence_old_leader(&self, url: &str, term: i64) {
        if self.standing().old_leader.load(Ordering::Acquire) {
            tracing::warn!("promotion: the leader is of a kind that does not give way; it must have ended");
            return;
        }
        let told = tokio::time::timeout(STEP_WAIT, self.tell_to_give_way(url, term)).await;
        let gave_way = matches!(told, Ok(Ok(true)));
        match &told {
            Ok(Ok(true)) => tracing::warn!("promotion: the old leader has given way"),
            Ok(Ok(false)) => tracing::warn!("promotion: there is no leader at the old one's place"),
            Ok(Err(error)) => tracing::warn!(%error, "promotion: the old leader cannot be told to give way"),
            Err(_) => tracing::warn!("promotion: the old leader does not answer"),
        }
        if !self.needs_lease() {
            return;
        }
        let claimed = tokio::time::timeout(CLAIM_WAIT, self.claim(term)).await;
        let late = |_| err!("TimeOut", mesg = "AHA does not answer.");
        let gone = claimed.map_err(late).and_then(|claimed| claimed).unwrap_or_else(|error| {
            tracing::error!(%error, "promotion: AHA cannot be told");
            false
        });
        if gone || gave_way {
            return;
        }
        let wait = LEASE + SLACK;
        tracing::warn!(seconds = wait.as_secs(), "promotion: the lease of the old leader has to run out");
        tokio::time::sleep(wait).await;
    }

    /// False if whoever is there does not lead.
    async fn tell_to_give_way(&self, url: &str, term: i64) -> Result<bool> {
        let proxy = Proxy::open(url).await?;
        let told = proxy.call(Todo::new("giveWay").arg(self.iden()).arg(self.run_id()).arg(term)).await;
        proxy.fini().await;
        Ok(told?.is_truthy())
    }

    /// Puts this service and its term under the leader's name in AHA. Says whether the leader before is gone for certain.
    async fn claim(&self, term: i64) -> Result<bool> {
        let (leader, network) = (self.conf().str("aha:leader"), self.conf().str("aha:network"));
        let (Some(leader), Some(network)) = (leader, network) else { return Ok(true) };
        let proxy = self.req_aha_proxy(None).await?;
        let old = proxy.call(Todo::new("getAhaSvc").arg(format!("{leader}.{network}"))).await?;
        let port = self.standing().port.load(Ordering::Acquire);
        let info = self.leader_info(port, term)?;
        proxy.call(Todo::new("addAhaSvc").arg(&leader).arg(info).kw("network", &network)).await?;
        let info = old.get("svcinfo").cloned().unwrap_or_default();
        if info.is_null() || info.get("run").and_then(Value::as_str) == Some(self.run_id()) {
            return Ok(true);
        }
        let offline = info.get("online").is_none_or(Value::is_null);
        Ok(offline && refuses(info.get("urlinfo").unwrap_or(&Value::Null)).await)
    }

    /// What a leader does when it is told that another one begins a later term. Says whether it leads no longer.
    ///
    /// # Errors
    /// `BadArg` for a member of another cluster, `BadState` for a term that is over.
    pub(crate) async fn told_to_give_way(&self, iden: &str, run: &str, term: i64) -> Result<bool> {
        if iden != self.iden() || run == self.run_id() {
            return Err(err!("BadArg", mesg = "Only a mirror of this service can take over from it.", iden = iden));
        }
        if term <= self.term()? {
            return Err(err!("BadState", mesg = format!("The term {term} is over.")));
        }
        if !self.is_active() {
            return Ok(false);
        }
        let Some(leader) = self.conf().str("aha:leader").filter(|_| self.needs_lease()) else {
            // Without AHA it would not find the new leader: whoever promotes says where that is.
            return Err(err!(
                "NeedConfValu",
                mesg = "The service has no AHA to find its new leader with.",
                name = "aha:leader"
            ));
        };
        tracing::error!(run, term, "told to give way: another service begins a later term");
        self.give_way(&leader).await?;
        Ok(true)
    }
}

/// Whether nobody listens there, on a machine that answers: the process is gone.
async fn refuses(urlinfo: &Value) -> bool {
    let host = urlinfo.get("host").and_then(Value::as_str);
    let port = urlinfo.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let Some(place) = host.zip(port) else { return false };
    let tried = tokio::time::timeout(STEP_WAIT, tokio::net::TcpStream::connect(place)).await;
    matches!(tried, Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}
