//! Two who lead: how a leader notices that another one has taken its name over, and gives way.
//!
//! The service with the higher term is right. With equal terms it is the one whom AHA has under the leader's name, since
//! that one was promoted by an operator whose service knows no terms. Whoever gives way becomes a mirror of the other, and
//! says so if it has changes that the other has not.

use std::time::Duration;

use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};

use super::term_of;
use crate::Cell;

/// How often a leader looks whom AHA has under its name.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How long the other one may take to answer.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// What stands under the leader's name in AHA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameIs {
    /// This service.
    Mine,
    /// Nobody, or one that has no right to it: it is to be registered again.
    Stale,
    /// The leader that this service has to follow.
    Others,
}

impl Cell {
    /// Whom AHA has under the name of the leader.
    pub(crate) async fn look_at_leader(&self, aha: &Proxy, leader: &str, network: &str) -> Result<NameIs> {
        let svc = aha.call(Todo::new("getAhaSvc").arg(format!("{leader}.{network}"))).await?;
        let info = svc.get("svcinfo").cloned().unwrap_or_default();
        let text = |key: &str| info.get(key).and_then(Value::as_str);
        if text("online").is_none() || text("iden") != Some(self.iden()) {
            return Ok(NameIs::Stale);
        }
        if text("run") == Some(self.run_id()) {
            return Ok(NameIs::Mine);
        }
        // Who claims a later term waits until this one has seen it.
        if info.get("term").and_then(Value::as_i64).unwrap_or_default() > self.term()? {
            tracing::error!(leader, "another service has begun a later term");
            return Ok(NameIs::Others);
        }
        let asked = tokio::time::timeout(ASK_WAIT, self.ask_rival(leader, network)).await;
        let late = |_| err!("TimeOut", mesg = "It did not answer in time.");
        let rival = match asked.map_err(late).and_then(|asked| asked) {
            Ok(rival) => rival,
            Err(error) => {
                tracing::warn!(leader, %error, "AHA has another leader than this one, which cannot be asked");
                return Ok(NameIs::Stale);
            }
        };
        let cell = rival.get("cell").cloned().unwrap_or_default();
        let is = |key: &str| cell.get(key).is_some_and(Value::is_truthy);
        if !is("active") || cell.get("run").and_then(Value::as_str) == Some(self.run_id()) {
            return Ok(NameIs::Stale);
        }
        let (theirs, ours) = (term_of(&rival), self.term()?);
        tracing::error!(leader, theirs, ours, "there is another leader of this name; the higher term is right");
        Ok(if theirs >= ours { NameIs::Others } else { NameIs::Stale })
    }

    async fn ask_rival(&self, leader: &str, network: &str) -> Result<Value> {
        let user = self.conf().str("aha:user").map(|user| format!("{user}@")).unwrap_or_default();
        let proxy = Proxy::open(&format!("aha://{user}{leader}.{network}")).await?;
        let info = proxy.call("getCellInfo").await;
        proxy.fini().await;
        info
    }

    /// Ceases to lead, and follows whoever has the leader's name.
    pub(crate) async fn give_way(&self, leader: &str) -> Result<()> {
        let _lead = self.standing().lead.lock().await;
        if !self.is_active() {
            return Ok(());
        }
        let user = self.conf().str("aha:user").map(|user| format!("{user}@")).unwrap_or_default();
        let url = format!("aha://{user}{leader}...");
        tracing::error!(mirror = url, "another service leads: this one makes no changes any more and follows it");
        self.nexus().depose();
        self.set_ready(false);
        if let Err(error) = self.conf().modify(&Map::new().with("mirror", url.as_str())) {
            tracing::error!(%error, "the new leader could not be kept in cell.mods.yaml");
            self.conf().set("mirror", url.into())?;
        }
        self.begin_following();
        let cell = self.clone();
        let passive = tokio::task::spawn_blocking(move || cell.set_active(false)).await;
        passive.map_err(|error| -> Error { err!("SynErr", mesg = format!("Becoming passive was abandoned: {error}.")) })
    }
}
