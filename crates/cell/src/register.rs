//! Registration with AHA, which lasts as long as the connection does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use myelin_error::{Result, err};
use myelin_telepath::aha::AhaUrls;
use myelin_telepath::{Client, OnLink, Proxy, Todo, UrlInfo};
use myelin_value::{Map, Value};

use crate::Cell;
use crate::mirror::rival::{LOOK_PERIOD, NameIs};

/// How long to wait after an attempt that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long AHA may take to say who leads.
const LOOK_WAIT: Duration = Duration::from_secs(3);
/// How long after a look at AHA a leader acknowledges changes. A look begins a second after the last, and AHA is out of reach
/// when one has taken too long.
pub(crate) const LEASE: Duration = Duration::from_secs(4);
/// How long a leader that AHA may replace goes on without having heard from AHA: half of AHA's lease.
const LEASE_HOLD: Duration = Duration::from_secs(5);
const HOLD_LEASE: &str = "AHA is out of reach, and may have promoted a mirror (aha:failover).";

impl Cell {
    /// The service's AHA name without its network. A full name is accepted, as older deployments wrote it.
    pub fn aha_name(&self) -> Option<String> {
        let name = self.conf().str("aha:name")?;
        let suffix = self.conf().str("aha:network").map(|network| format!(".{network}")).unwrap_or_default();
        Some(name.strip_suffix(&suffix).filter(|_| !suffix.is_empty()).unwrap_or(&name).to_owned())
    }

    /// What AHA is told of this service.
    pub fn aha_info(&self, port: u16) -> Result<Map> {
        if let Some(info) = self.conf().get("aha:svcinfo").as_map() {
            return Ok(info.clone());
        }
        let listen = self.conf().str("dmon:listen").unwrap_or_default();
        let mut urlinfo = myelin_telepath::UrlInfo::parse(&listen)?.map;
        urlinfo.remove("host");
        urlinfo.insert("port", i64::from(port));
        Ok(Map::new()
            .with("run", self.run_id())
            .with("iden", self.iden())
            .with("leader", self.conf().get("aha:leader"))
            .with("urlinfo", urlinfo)
            .with("ready", self.is_active() || self.is_ready())
            .with("promotable", self.conf().get("aha:promotable")))
    }

    /// What AHA is told of this service under the name of the leader: the term of its leadership, too.
    pub(crate) fn leader_info(&self, port: u16, term: i64) -> Result<Map> {
        Ok(self.aha_info(port)?.with("term", term))
    }

    /// Whether this service acknowledges changes only while AHA says that it leads.
    pub(crate) fn needs_lease(&self) -> bool {
        // An AHA server does not ask itself.
        self.celltype() != "ahacell"
            && ["aha:name", "aha:network", "aha:leader", "aha:registry", "dmon:listen"]
                .iter()
                .all(|key| self.conf().get(key).is_truthy())
    }

    /// AHA cannot be asked. Where it may replace this leader that ends what it may acknowledge; elsewhere it goes on alone.
    fn aha_out_of_reach(&self) {
        if !self.conf().is_on("aha:failover") {
            self.nexus().free_lease();
        }
    }

    /// A connection to AHA, else an error that says which option is missing.
    pub(crate) async fn req_aha_proxy(&self, limit: Option<Duration>) -> Result<Proxy> {
        match self.inner().aha.get() {
            Some(client) => client.proxy(limit).await,
            None => {
                let mesg = "AHA is not configured on this service.";
                Err(err!("NeedConfValu", mesg = mesg, name = "aha:registry"))
            }
        }
    }

    /// URLs of this service's mirrors, as AHA knows them.
    pub async fn mirror_urls(&self) -> Result<Vec<String>> {
        const WAIT: Duration = Duration::from_secs(5);
        let (Some(name), Some(network), Some(client)) =
            (self.aha_name(), self.conf().str("aha:network"), self.inner().aha.get())
        else {
            let mesg = "Enumerating mirror URLs is only supported when AHA is configured";
            return Err(err!("BadConfValu", mesg = mesg));
        };
        let full = format!("{name}.{network}");
        let told = client.proxy(Some(WAIT)).await?.call(Todo::new("getAhaSvcMirrors").arg(&full)).await?;
        let missing = || err!("NoSuchName", mesg = "AHA does not know this service.", name = &full);
        let part = |svc: &Value, key: &str| svc.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mirrors = told.as_list().ok_or_else(missing)?.iter();
        Ok(mirrors.map(|svc| format!("aha://{}.{}", part(svc, "svcname"), part(svc, "svcnetw"))).collect())
    }

    /// Opens the client for the AHA servers that the options name. Must be called on a tokio runtime.
    pub(crate) fn open_aha(&self) {
        let registry = self.conf().get("aha:registry");
        if !registry.is_truthy() {
            return;
        }
        let weak = self.downgrade();
        let onlink: OnLink = Arc::new(move |proxy, _| {
            let cell = weak.upgrade();
            Box::pin(async move {
                if let Some(cell) = cell
                    && let Err(error) = cell.learn_registry(&proxy).await
                {
                    tracing::warn!(%error, "AHA did not say where its servers are");
                }
            })
        });
        match Client::from_value(&registry, Some(onlink)) {
            Ok(client) => drop(self.inner().aha.set(client)),
            Err(error) => tracing::error!(%error, "the option aha:registry cannot be used"),
        }
    }

    /// Keeps the list of servers that AHA tells of, and goes by it.
    async fn learn_registry(&self, proxy: &Proxy) -> Result<()> {
        let user = self.conf().str("aha:user").unwrap_or_else(|| "root".to_owned());
        let told = proxy.call(Todo::new("getAhaUrls").kw("user", user)).await?;
        let old = self.conf().get("aha:registry");
        let listed = |urls: &Value| match urls {
            Value::List(urls) => urls.to_vec(),
            one => vec![one.clone()],
        };
        // Plain connections are an operator's choice that AHA does not know of.
        let plain = listed(&old).first().and_then(Value::as_str).is_some_and(|url| url.starts_with("tcp://"));
        if !told.is_truthy() || plain || listed(&told) == listed(&old) {
            return Ok(());
        }
        // In this run, too: the server that told it may be gone when it is needed.
        myelin_telepath::aha::add_urls(&AhaUrls::from_value(&told)?);
        if let Some(client) = self.inner().aha.get() {
            client.set_urls(listed(&told).iter().map(UrlInfo::from_value).collect::<Result<_>>()?);
        }
        self.conf().modify(&Map::new().with("aha:registry", told))
    }

    /// Being connected is the registration: the task reconnects and registers again for as long as the service lives.
    pub(crate) fn register_with_aha(&self, port: u16) {
        let (Some(name), Some(network)) = (self.aha_name(), self.conf().str("aha:network")) else { return };
        let Some(client) = self.inner().aha.get().cloned() else { return };
        self.watch_lease();
        self.standing().port.store(port, Ordering::Release);
        let cell = self.clone();
        tokio::spawn(async move {
            while !cell.done().is_cancelled() {
                let done = tokio::select! {
                    () = cell.done().cancelled() => break,
                    done = cell.stay_registered(&client, &name, &network, port) => done,
                };
                if let Err(error) = done {
                    // One failure says nothing: it may be of a time during which this process was stopped.
                    if cell.standing().unheard.fetch_add(1, Ordering::AcqRel) > 0 {
                        cell.aha_out_of_reach();
                    }
                    tracing::warn!(%error, "registering with AHA failed; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
            client.fini().await;
        });
    }

    /// Where AHA may replace this leader, refuses changes while AHA is out of reach: it may have done so.
    fn watch_lease(&self) {
        if !self.conf().is_on("aha:failover") {
            return;
        }
        let cell = self.clone();
        tokio::spawn(async move {
            let mut heard = cell.standing().heard.subscribe();
            while !cell.done().is_cancelled() {
                heard.mark_unchanged();
                let told = tokio::time::timeout(LEASE_HOLD, heard.changed()).await;
                if told.is_err() && cell.is_active() && cell.nexus().add_hold(HOLD_LEASE) {
                    tracing::error!("changes are refused: {HOLD_LEASE}");
                    cell.nexus().fence();
                }
                if told.is_ok() && cell.nexus().del_hold(HOLD_LEASE) {
                    tracing::error!("changes are accepted again: AHA is back, and has no other leader");
                }
            }
        });
    }

    /// Registers over one connection, and tells of what changes meanwhile.
    async fn stay_registered(&self, client: &Client, name: &str, network: &str, port: u16) -> Result<()> {
        let proxy = match tokio::time::timeout(LOOK_WAIT, client.proxy(None)).await {
            Ok(proxy) => proxy?,
            Err(_) => {
                self.aha_out_of_reach();
                client.proxy(None).await?
            }
        };
        let (mut active, mut ready) = (self.inner().active.subscribe(), self.standing().ready.subscribe());
        let leads = *active.borrow_and_update();
        let mut told = *ready.borrow_and_update();
        let add = |name: &str| -> Result<Todo> {
            Ok(Todo::new("addAhaSvc").arg(name).arg(self.aha_info(port)?).kw("network", network))
        };
        let lead = |name: &str| -> Result<Todo> {
            Ok(Todo::new("addAhaSvc").arg(name).arg(self.leader_info(port, self.term()?)?).kw("network", network))
        };
        let leader = self.conf().str("aha:leader").filter(|_| leads);
        let leased = |begun: Instant| {
            self.standing().unheard.store(0, Ordering::Release);
            if self.needs_lease() {
                self.nexus().set_lease(begun + LEASE);
            }
        };
        if leads && self.needs_lease() {
            // Whatever was while AHA could not be asked: from here on it decides.
            self.nexus().end_lease();
        }
        proxy.call(add(name)?).await?;
        if let Some(leader) = &leader {
            let begun = Instant::now();
            if self.look_at_leader(&proxy, leader, network).await? == NameIs::Others {
                return self.give_way(leader).await;
            }
            proxy.call(lead(leader)?).await?;
            leased(begun);
        }
        self.standing().heard.send_replace(());
        let mut looks = tokio::time::interval(LOOK_PERIOD);
        tracing::info!(name, network, leads, "registered with AHA");
        loop {
            tokio::select! {
                () = proxy.wait_fini() => return Ok(()),
                turned = async { active.wait_for(|now| *now != leads).await.is_ok() } => {
                    // A new connection, since AHA drops the leader's name with the old one.
                    if turned && leads {
                        proxy.fini().await;
                    }
                    return Ok(());
                }
                _ = looks.tick(), if leader.is_some() => {
                    let Some(leader) = &leader else { continue };
                    let begun = Instant::now();
                    let looked = tokio::time::timeout(LOOK_WAIT, self.look_at_leader(&proxy, leader, network)).await;
                    let late = |_| err!("TimeOut", mesg = "AHA does not answer.");
                    let looked = looked.map_err(late).and_then(|looked| looked);
                    if looked.is_err() {
                        proxy.fini().await;
                    }
                    let looked = looked?;
                    self.standing().heard.send_replace(());
                    match looked {
                        NameIs::Mine => leased(begun),
                        NameIs::Stale => {
                            proxy.call(lead(leader)?).await?;
                            leased(begun);
                        }
                        NameIs::Others => self.give_way(leader).await?,
                    }
                }
                changed = ready.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let now = *ready.borrow_and_update();
                    if now != told {
                        told = now;
                        let info = Map::new().with("ready", now);
                        proxy.call(Todo::new("modAhaSvcInfo").arg(format!("{name}.{network}")).arg(info)).await?;
                    }
                }
            }
        }
    }
}
