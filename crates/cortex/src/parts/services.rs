//! Storm services: other services, by name and URL, that queries call over telepath and that may bring packages.
//!
//! Stored under `storm:services:<iden>` of the table `cortex`.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use myelin_cell::{ApplyCx, Event};
use myelin_error::{Result, err};
use myelin_slab::Slab;
use myelin_slab::tables::SafeKeyVal;
use myelin_telepath::{Client, Proxy};
use myelin_value::{Map, Value, rand_guid};
use parking_lot::Mutex;

use super::packages::Packages;
use super::{Part, Pusher};
use crate::wait;

/// The services that a cortex knows.
pub struct Services {
    stor: SafeKeyVal,
    services: Mutex<IndexMap<String, Arc<Service>>>,
    packages: Arc<Packages>,
    pusher: Pusher,
}

/// One service: how it is defined and the client that calls it.
pub struct Service {
    /// Its iden.
    pub iden: String,
    /// Its name.
    pub name: String,
    sdef: Map,
    client: Mutex<Option<Client>>,
    info: Mutex<Map>,
}

impl Services {
    /// Reads the definitions.
    pub fn open(slab: &Slab, stor: &SafeKeyVal, packages: Arc<Packages>, pusher: Pusher) -> Result<Services> {
        let stor = stor.sub("storm:services:");
        let rows = stor.items(&slab.read_fresh()?, "")?;
        let load = |(iden, sdef): (String, Value)| Some((iden, Service::new(sdef.as_map()?.clone())));
        Ok(Services { stor, services: Mutex::new(rows.into_iter().filter_map(load).collect()), packages, pusher })
    }

    /// A service by iden or by name, or by the name it gives itself.
    pub fn find(&self, name: &str) -> Option<Arc<Service>> {
        let services = self.services.lock();
        let by_iden = services.get(name).cloned();
        let by_name =
            || services.values().find(|svc| svc.name == name || svc.own_name().as_deref() == Some(name)).cloned();
        by_iden.or_else(by_name)
    }

    /// A service by iden or by name.
    ///
    /// # Errors
    /// `NoSuchName`.
    pub fn require(&self, name: &str) -> Result<Arc<Service>> {
        let missing = || err!("NoSuchName", mesg = format!("No service with name/iden: {name}"), name = name);
        self.find(name).ok_or_else(missing)
    }

    /// Every service.
    pub fn list(&self) -> Vec<Arc<Service>> {
        self.services.lock().values().cloned().collect()
    }

    /// Adds a service; its definition.
    ///
    /// # Errors
    /// `DupStormSvc` when the iden is taken, `BadUrl` for a URL that is none.
    pub fn add(&self, mut sdef: Map) -> Result<Value> {
        let iden = sdef.get_str("iden").map_or_else(rand_guid, str::to_owned);
        if self.services.lock().contains_key(&iden) {
            return Err(err!("DupStormSvc", mesg = format!("Storm service already exists with iden: {iden}")));
        }
        sdef.insert("iden", iden);
        self.pusher.push("svc:add", [sdef.into()])
    }

    /// Forgets a service.
    ///
    /// # Errors
    /// `NoSuchStormSvc`.
    pub fn del(&self, iden: &str) -> Result<Value> {
        if !self.services.lock().contains_key(iden) {
            let mesg = format!("No storm service with iden: {iden}");
            return Err(err!("NoSuchStormSvc", mesg = mesg, iden = iden));
        }
        self.pusher.push("svc:del", [iden.into()])
    }

    /// Connects to a service, and on the first connection takes over the packages that it brings.
    ///
    /// # Errors
    /// What connecting fails with; `TimeOut`.
    pub async fn connect(&self, svc: &Service, timeout: Option<Duration>) -> Result<Proxy> {
        let proxy = svc.proxy(timeout).await?;
        let first = svc.info.lock().is_empty();
        if first && proxy.has_meth("getStormSvcInfo") {
            let info = proxy.call("getStormSvcInfo").await?;
            let info = info.as_map().cloned().unwrap_or_default();
            *svc.info.lock() = info.clone();
            self.take_packages(svc, &info).await?;
        }
        Ok(proxy)
    }

    async fn take_packages(&self, svc: &Service, info: &Map) -> Result<()> {
        for pkgdef in info.get("pkgs").and_then(Value::as_list).unwrap_or_default() {
            let Some(pkgdef) = pkgdef.as_map() else { continue };
            let pkgdef = with_svc(pkgdef, &svc.iden, &svc.name);
            let packages = self.packages.clone();
            let added = tokio::task::spawn_blocking(move || packages.add(&pkgdef)).await;
            if let Ok(Err(error)) = added {
                tracing::warn!(service = svc.name, %error, "a package of a service cannot be added");
            }
        }
        Ok(())
    }
}

/// A package marked as that of a service: its commands and modules know which.
fn with_svc(pkgdef: &Map, iden: &str, name: &str) -> Map {
    let mut pkgdef = pkgdef.clone().with("svciden", iden);
    for (part, conf) in [("commands", "cmdconf"), ("modules", "modconf")] {
        let Some(items) = pkgdef.get(part).and_then(Value::as_list) else { continue };
        let items: Value = items
            .iter()
            .map(|item| {
                let item = item.as_map().cloned().unwrap_or_default();
                let have = item.get(conf).and_then(Value::as_map).cloned().unwrap_or_default();
                Value::from(item.with(conf, have.with("svciden", iden).with("svcname", name)))
            })
            .collect();
        pkgdef.insert(part, items);
    }
    pkgdef
}

impl Service {
    fn new(sdef: Map) -> Arc<Service> {
        let text = |key: &str| sdef.get_str(key).unwrap_or_default().to_owned();
        let (client, info) = Default::default();
        Arc::new(Service { iden: text("iden"), name: text("name"), sdef, client, info })
    }

    /// Its definition.
    pub fn sdef(&self) -> &Map {
        &self.sdef
    }

    /// The name it gives itself, once it was connected.
    pub fn own_name(&self) -> Option<String> {
        self.info.lock().get_str("name").map(str::to_owned)
    }

    /// Its version as it says, once it was connected.
    pub fn version(&self) -> Value {
        self.info.lock().get("vers").cloned().unwrap_or_default()
    }

    /// Whether there is a connection at the moment.
    pub fn is_ready(&self) -> bool {
        self.client.lock().as_ref().and_then(Client::try_proxy).is_some_and(|proxy| !proxy.is_fini())
    }

    fn client(&self) -> Result<Client> {
        let mut client = self.client.lock();
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let url = self.sdef.get_str("url").unwrap_or_default().to_owned();
        let made = wait::enter(|| Client::open(&url))?;
        Ok(client.insert(made).clone())
    }

    async fn proxy(&self, timeout: Option<Duration>) -> Result<Proxy> {
        self.client()?.proxy(timeout).await
    }

    fn close(&self) {
        if let Some(client) = self.client.lock().take() {
            wait::spawn(async move { client.fini().await });
        }
    }
}

impl Part for Services {
    fn events(&self) -> &'static [&'static str] {
        &["svc:add", "svc:del"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        if event.name == "svc:add" {
            let sdef = event.map_arg(0, "sdef")?;
            let iden = sdef.get_str("iden").unwrap_or_default();
            if let Some(svc) = self.services.lock().get(iden) {
                return Ok(svc.sdef.clone().into());
            }
            self.stor.set(cx, iden, &Value::from(sdef.clone()))?;
            self.services.lock().insert(iden.to_owned(), Service::new(sdef.clone()));
            return Ok(sdef.clone().into());
        }
        let iden = event.str_arg(0, "iden")?;
        self.stor.del(cx, iden)?;
        self.packages.drop_of_service(cx, iden)?;
        let svc = self.services.lock().shift_remove(iden);
        if let Some(svc) = svc {
            svc.close();
        }
        Ok(Value::Null)
    }
}
