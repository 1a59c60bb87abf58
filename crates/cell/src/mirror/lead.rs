//! Leadership: taking it over, handing it on, and the pause of a service for a snapshot of its volume.
//!
//! A hand-off, seen from the old leader: it waits until the mirror is near, pauses changes, waits until the mirror has all
//! of them, has it promoted, and becomes its mirror. Changes that came meanwhile waited, and are forwarded to the new leader.

use std::time::Duration;

use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo, UrlInfo};
use myelin_value::{Map, Value};

use super::fence::FEATURE as FENCING;
use super::{HOLD_LOST, HOLD_VERSION, TERM, lost_error};
use crate::Cell;
use crate::version::NEXUS_VERSION;

/// How long changes that a mirror has forwarded may take before it is handed the leadership.
const FORWARDS_WAIT: Duration = Duration::from_secs(10);
/// How long the old leader asks whether the mirror was promoted when the answer got lost.
const UNCLEAR_WAIT: Duration = Duration::from_secs(30);
/// How far a mirror may be behind when the pause begins, without more waiting.
const NEAR: u64 = 1000;

const HOLD_UNCLEAR: &str =
    "The leadership was handed on and the outcome is not known: see who leads, and restart this service as its mirror.";

impl Cell {
    /// The term of leadership that this service has seen last.
    pub fn term(&self) -> Result<i64> {
        self.cell_vers(TERM)
    }

    /// The URL under which others find this service in AHA.
    fn my_url(&self) -> Result<String> {
        match (self.aha_name(), self.conf().str("aha:network")) {
            (Some(name), Some(network)) => Ok(format!("aha://{name}.{network}")),
            _ => Err(err!(
                "NeedConfValu",
                mesg = "A leader hands on only to a mirror with an AHA name: set aha:name and aha:network, or promote with \
                        --failure once the leader has ended.",
                name = "aha:name"
            )),
        }
    }

    /// Makes this mirror the leader: gracefully, by asking its leader to hand on, or at once, when that is lost.
    /// Without `fence` the caller has made sure that the leader leads no more.
    pub async fn promote(&self, graceful: bool, fence: bool) -> Result<()> {
        let Some(leader) = self.conf().str("mirror") else {
            let mesg = "promote() called on non-mirror: the service has no leader to take over from.";
            return Err(err!("BadConfValu", mesg = mesg, name = "mirror"));
        };
        tracing::warn!(graceful, "promotion: begun");
        if graceful {
            let url = self.my_url()?;
            return self.ask_for_handoff(&leader, &url).await;
        }
        let _lead = self.standing().lead.lock().await;
        if self.is_active() {
            return Ok(());
        }
        // Changes that come meanwhile wait for the new leader.
        self.nexus().hold_forwards(Duration::ZERO).await;
        let led = self.take_over(&leader, fence).await;
        self.nexus().release_forwards();
        led?;
        let nexus = self.nexus();
        // Those whose changes the old leader did not confirm have to look for themselves.
        nexus.fail_waiting(&lost_error());
        tracing::warn!("promotion: this service is the leader now");
        Ok(())
    }

    async fn take_over(&self, leader: &str, fence: bool) -> Result<()> {
        self.conf().modify(&Map::new().with("mirror", Value::Null))?;
        self.stop_following().await;
        let term = self.term()? + 1;
        if fence {
            self.fence_old_leader(leader, term).await;
        }
        let nexus = self.nexus();
        nexus.del_hold(HOLD_LOST);
        nexus.del_hold(HOLD_VERSION);
        if self.needs_lease() {
            // Until AHA has been looked at, which happens as soon as this service is active.
            nexus.set_lease(std::time::Instant::now() + crate::register::LEASE);
        }
        nexus.set_leader(true);
        self.set_ready(true);
        let cell = self.clone();
        let led = tokio::task::spawn_blocking(move || {
            cell.begin_term(term)?;
            cell.become_active()
        });
        led.await.map_err(|error| err!("SynErr", mesg = format!("The promotion was abandoned: {error}.")))?
    }

    async fn ask_for_handoff(&self, leader: &str, url: &str) -> Result<()> {
        let nexus = self.nexus();
        // A change under way must not reach the old leader after it has handed on.
        if !nexus.hold_forwards(FORWARDS_WAIT).await {
            tracing::warn!("promotion: changes that were forwarded to the leader are still under way");
        }
        let asked = async {
            let proxy = Proxy::open(leader).await?;
            let asked = proxy.call(Todo::new("handoff").arg(url)).await;
            proxy.fini().await;
            asked
        };
        let asked = asked.await;
        nexus.release_forwards();
        match asked {
            // The answer may be lost with the connection while the promotion is not.
            Err(error) if !self.is_active() => Err(error),
            _ => Ok(()),
        }
    }

    /// A new term begins: whoever led in an older one learns of it with the next thing it hears from any of us. Blocks.
    fn begin_term(&self, term: i64) -> Result<()> {
        self.nexus().push_unconfirmed(self.iden(), "cell:vers:set", vec![TERM.into(), term.into()]).map(drop)
    }

    /// What a leader does when it becomes one. Blocks.
    pub(crate) fn become_active(&self) -> Result<()> {
        let ours = NEXUS_VERSION;
        if self.nexus_version()? < ours {
            let vers = Value::list([ours.0.into(), ours.1.into()]);
            self.nexus().push_unconfirmed(self.iden(), "nexs:vers:set", vec![vers])?;
        }
        self.set_active(true);
        Ok(())
    }

    /// Hands the leadership to a mirror and follows it from then on.
    pub async fn handoff(&self, url: &str, limit: Duration) -> Result<()> {
        let shown = myelin_telepath::url::sanitize(url);
        let _lead = self.standing().lead.lock().await;
        if !self.is_active() {
            let mesg = format!("This service is not the leader and cannot hand leadership to {shown}.");
            return Err(err!("BadState", mesg = mesg, turl = shown));
        }
        tracing::warn!(mirror = shown, "hand-off: begun");
        let peer = Proxy::open(url).await?;
        let done = self.handoff_to(&peer, url, limit).await;
        peer.fini().await;
        done.inspect(|()| tracing::warn!(mirror = shown, "hand-off: done, this service follows now"))
    }

    async fn handoff_to(&self, peer: &Proxy, url: &str, limit: Duration) -> Result<()> {
        let info = peer.call("getCellInfo").await?;
        let cell = info.get("cell").cloned().unwrap_or_default();
        let text = |key: &str| cell.get(key).and_then(Value::as_str).map(str::to_owned);
        if text("iden").as_deref() != Some(self.iden()) {
            return Err(err!(
                "BadArg",
                mesg = "The service to hand leadership to is no mirror of this one.",
                name = "turl"
            ));
        }
        if text("run").as_deref() == Some(self.run_id()) {
            return Err(err!("BadArg", mesg = "A service cannot hand leadership to itself.", name = "turl"));
        }
        let mirror = self.url_of_next(&cell, url)?;
        // Most of the waiting happens before the pause, so that the pause is short.
        let near = self.nexus().index().saturating_sub(NEAR);
        self.wait_for_peer(peer, near, limit).await?;
        let nexus = self.nexus().clone();
        let paused = tokio::task::spawn_blocking({
            let nexus = nexus.clone();
            move || nexus.pause()
        });
        if !paused.await.map_err(|error| err!("SynErr", mesg = format!("Pausing was abandoned: {error}.")))?? {
            return Err(err!("BadState", mesg = "The service is frozen: resume it first."));
        }
        let turned = async {
            self.wait_for_peer(peer, nexus.index(), limit).await?;
            // The pause is its fence.
            let fences = info.get("features").and_then(|feats| feats.get(FENCING)).is_some_and(Value::is_truthy);
            self.promote_peer(peer, url, fences).await
        };
        let turned = turned.await;
        if turned.is_ok() {
            if let Err(error) = self.conf().modify(&Map::new().with("mirror", mirror.as_str())) {
                tracing::error!(%error, "hand-off: the new leader could not be kept in cell.mods.yaml");
                self.conf().set("mirror", mirror.into())?;
            }
            self.begin_following();
            nexus.free_lease();
        }
        nexus.unpause();
        if turned.is_ok() {
            // What stops now may have a last change to make, which the new leader makes.
            let cell = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || cell.set_active(false)).await {
                tracing::error!(%error, "hand-off: becoming passive failed");
            }
        }
        turned
    }

    /// Waits until the peer has applied everything below an offset.
    async fn wait_for_peer(&self, peer: &Proxy, next: u64, limit: Duration) -> Result<()> {
        let Some(last) = next.checked_sub(1) else { return Ok(()) };
        let todo = Todo::new("waitNexsOffs").arg(last).kw("timeout", limit.as_secs_f64());
        if peer.call(todo).await?.is_truthy() {
            return Ok(());
        }
        let has = peer.call("getNexsIndx").await?.as_u64().unwrap_or_default();
        Err(err!("NotReady", mesg = format!("The mirror did not catch up in time: it is at {has} of {next}.")))
    }

    /// Promotes the peer. When the answer is lost, finds out whether it happened.
    async fn promote_peer(&self, peer: &Proxy, url: &str, fences: bool) -> Result<()> {
        let todo = Todo::new("promote");
        let todo = if fences { todo.kw("fence", false) } else { todo };
        let Err(error) = peer.call(todo).await else { return Ok(()) };
        if !error.isa("LinkErr") && !error.is("IsFini") {
            return Err(error);
        }
        tracing::warn!(%error, "hand-off: the mirror did not answer; finding out whether it leads");
        let asked = tokio::time::timeout(UNCLEAR_WAIT, async {
            loop {
                match ask_active(url).await {
                    Ok(active) => return active,
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        });
        match asked.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(error),
            Err(_) => {
                self.nexus().add_hold(HOLD_UNCLEAR);
                Err(error)
            }
        }
    }

    /// Where this service will find its new leader: under the name of the leader in AHA if there is one, else where it is.
    fn url_of_next(&self, peer: &Value, url: &str) -> Result<String> {
        let leader = peer.get("aha").and_then(|aha| aha.get("leader")).and_then(Value::as_str);
        let user = self.conf().str("aha:user").map(|user| format!("{user}@")).unwrap_or_default();
        match leader {
            Some(leader) if UrlInfo::parse(url)?.scheme() == "aha" => Ok(format!("aha://{user}{leader}...")),
            _ => Ok(url.to_owned()),
        }
    }

    /// Has the mirror that is furthest along take over. False if there was none to, or this is not the leader.
    pub async fn demote(&self, limit: Option<Duration>) -> Result<bool> {
        tracing::warn!("demotion: looking for a mirror to take over");
        if !self.is_active() {
            tracing::warn!("demotion: this service is not the leader");
            return Ok(false);
        }
        let mut peers = Vec::new();
        for name in self.promotable_peers(limit).await? {
            let user = self.conf().str("aha:user").unwrap_or_else(|| "root".to_owned());
            let opened = async {
                let proxy = Proxy::open(&format!("aha://{user}@{name}")).await?;
                let indx = proxy.call("getNexsIndx").await?.as_u64().unwrap_or_default();
                Ok::<_, Error>((indx, proxy))
            };
            match opened.await {
                Ok((indx, proxy)) => peers.push((indx, name, proxy)),
                Err(error) => tracing::warn!(name, %error, "demotion: a mirror cannot be asked"),
            }
        }
        peers.sort_by_key(|(indx, ..)| std::cmp::Reverse(*indx));
        let mut done = false;
        for (_, name, proxy) in &peers {
            match proxy.call(Todo::new("promote").kw("graceful", true)).await {
                Ok(_) => {
                    tracing::warn!(name, "demotion: a mirror has taken over");
                    done = true;
                    break;
                }
                Err(error) => tracing::warn!(name, %error, "demotion: a mirror could not take over"),
            }
        }
        for (.., proxy) in &peers {
            proxy.fini().await;
        }
        if !done {
            tracing::warn!("demotion: there is no mirror that could take over");
        }
        Ok(done)
    }

    /// The full names of the mirrors that may be promoted, as AHA knows them.
    async fn promotable_peers(&self, limit: Option<Duration>) -> Result<Vec<String>> {
        let proxy = self.req_aha_proxy(limit).await?;
        if !proxy.has_feature("getAhaSvcsByIden", 1) {
            let mesg = "AHA server does not support feature: getAhaSvcsByIden >= 1";
            return Err(err!("BadVersion", mesg = mesg));
        }
        let mut svcs = proxy.genr(Todo::new("getAhaSvcsByIden").arg(self.iden()).kw("skiprun", self.run_id())).await?;
        let mut names = Vec::new();
        while let Some(svc) = svcs.next().await {
            let svc = svc?;
            let promotable = svc.get("svcinfo").and_then(|info| info.get("promotable")).is_some_and(Value::is_truthy);
            if let Some(name) = svc.get("name").and_then(Value::as_str).filter(|_| promotable) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    // ---- snapshots of the volume

    /// Stops all changes and puts everything on the disk, for a snapshot of the volume, until [`Cell::resume`].
    pub async fn freeze(&self, limit: Duration) -> Result<()> {
        tracing::warn!("freezing: changes are stopped for a snapshot");
        let nexus = self.nexus().clone();
        let already = || err!("BadState", mesg = "The service is already frozen.");
        if nexus.is_paused() {
            return Err(already());
        }
        let work = tokio::task::spawn_blocking({
            let (nexus, writer) = (nexus.clone(), self.writer().clone());
            move || {
                if !nexus.pause()? {
                    return Err(already());
                }
                writer.commit()?;
                rustix::fs::sync();
                Ok(())
            }
        });
        match tokio::time::timeout(limit, work).await {
            Ok(done) => {
                let done = done.map_err(|error| err!("SynErr", mesg = format!("Freezing was abandoned: {error}.")))?;
                done.inspect_err(|error| {
                    if !error.is("BadState") {
                        nexus.unpause()
                    }
                })
            }
            Err(_) => {
                nexus.unpause();
                tracing::warn!("freezing took too long and was given up");
                Err(err!("TimeOut", mesg = "Nexus lock acquire timed out: changes under way took too long."))
            }
        }
    }

    /// Ends a freeze.
    pub fn resume(&self) -> Result<()> {
        if !self.nexus().is_paused() {
            return Err(err!("BadState", mesg = "The service is not frozen."));
        }
        self.nexus().unpause();
        tracing::warn!("resumed after a freeze");
        Ok(())
    }
}

async fn ask_active(url: &str) -> Result<bool> {
    let proxy = Proxy::open(url).await?;
    let active = proxy.call("isCellActive").await;
    proxy.fini().await;
    Ok(active?.is_truthy())
}
