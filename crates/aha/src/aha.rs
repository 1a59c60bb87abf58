//! The AHA service: its parts, what it makes at boot, and what its API does.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_cell::{Cell, User};
use myelin_certs::{CertDir, Csr, Issued};
use myelin_error::{Result, err};
use myelin_slab::Options;
use myelin_telepath::UrlInfo;
use myelin_value::{Map, Value, rand_guid};
use parking_lot::Mutex;

use crate::names::{SvcName, relative, short_user};
use crate::peers::Peers;
use crate::prov::{self, ProvDefaults};
use crate::store::{EVENTS, Store, no_such_pool, text};

/// The port of a telepath listener whose URL names none.
pub const DEFAULT_PORT: i64 = 27492;

/// An AHA service. Cheap to clone. Its methods block, but for those that say otherwise.
#[derive(Clone)]
pub struct Aha(Arc<Inner>);

struct Inner {
    cell: Cell,
    network: String,
    certdir: Arc<CertDir>,
    store: Arc<Store>,
    peers: Arc<Peers>,
    /// The ports that were bound, once they are.
    ports: Mutex<Ports>,
    /// Sessions that have registered services here, by what their entries say in `online`, with how many did.
    live: Mutex<HashMap<String, usize>>,
    /// Held while a one-time key is looked up and consumed.
    keys: Mutex<()>,
}

#[derive(Clone, Copy, Default)]
struct Ports {
    dmon: Option<u16>,
    prov: Option<u16>,
}

impl Aha {
    /// Opens the service's storage in a cell.
    pub fn open(cell: &Cell, certdir: Arc<CertDir>) -> Result<Aha> {
        let network = cell.conf().str("aha:network").ok_or_else(|| {
            err!("NeedConfValu", mesg = "The aha:network configuration option is required.", name = "aha:network")
        })?;
        let svcs = cell.open_slab("slabs/jsonstor", Options::small())?;
        let store = Arc::new(Store::open(cell.slab(), &svcs, &cell.dirn().join("certs"), &network)?);
        cell.add_service_events(EVENTS, store.clone());
        cell.set_feature("callpeers", 1);
        cell.set_feature("getAhaSvcsByIden", 1);
        Ok(Aha(Arc::new(Inner {
            cell: cell.clone(),
            network,
            peers: Arc::new(Peers::new(certdir.clone())),
            certdir,
            store,
            ports: Mutex::default(),
            live: Mutex::default(),
            keys: Mutex::default(),
        })))
    }

    /// The cell.
    pub fn cell(&self) -> &Cell {
        &self.0.cell
    }

    /// What is stored.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Clients of services.
    pub fn peers(&self) -> &Arc<Peers> {
        &self.0.peers
    }

    /// The network that is served.
    pub fn network(&self) -> &str {
        &self.0.network
    }

    /// The directory of certificates.
    pub fn certdir(&self) -> &Arc<CertDir> {
        &self.0.certdir
    }

    fn push(&self, event: &str, args: Vec<Value>, kwargs: Map) -> Result<Value> {
        Ok(self.0.cell.nexus().push(self.0.cell.iden(), event, args, kwargs)?.1)
    }

    // ---- where AHA is

    /// The name under which others reach AHA.
    pub fn dns_name(&self) -> Option<String> {
        let conf = self.0.cell.conf();
        conf.str("dns:name").or_else(|| conf.str("aha:name").map(|name| self.full_name(&name)))
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}.{}", relative(name, &self.0.network), self.0.network)
    }

    /// The URL to listen on, where the options or the name of the service give one.
    pub fn dmon_listen(&self) -> Option<String> {
        let conf = self.0.cell.conf();
        if let Some(url) = conf.str("dmon:listen") {
            return Some(url);
        }
        self.dns_name().map(|name| format!("ssl://0.0.0.0?hostname={name}&ca={}", self.0.network))
    }

    /// The URL to listen on for provisioning. Only a `dns:name` turns it on by itself: older setups that have just an
    /// `aha:name` did not listen.
    pub fn prov_listen(&self) -> Option<String> {
        let conf = self.0.cell.conf();
        conf.str("provision:listen")
            .or_else(|| conf.str("dns:name").map(|name| format!("ssl://0.0.0.0:27272?hostname={name}")))
    }

    /// Records the port of the telepath listener, and announces this server.
    pub fn set_dmon_port(&self, port: u16) -> Result<()> {
        self.0.ports.lock().dmon = Some(port);
        match self.dns_name() {
            Some(host) => self.add_server(Map::new().with("host", host).with("port", i64::from(port))).map(drop),
            None => Ok(()),
        }
    }

    /// Records the port of the provisioning listener.
    pub fn set_prov_port(&self, port: u16) {
        self.0.ports.lock().prov = Some(port);
    }

    /// The URLs of the AHA servers of the network, for a user.
    pub fn urls(&self, user: &str) -> Result<Value> {
        let network = self.network();
        let given = self.0.cell.conf().get("aha:urls");
        if !given.is_null() {
            return Ok(prov::with_certname(&given, user, network));
        }
        let servers = self.0.store.servers()?;
        let url = |server: &Value| {
            let port = server.get("port").and_then(Value::as_i64).unwrap_or(DEFAULT_PORT);
            Value::from(format!("ssl://{}:{port}?certname={user}@{network}", text(server, "host").unwrap_or_default()))
        };
        Ok(servers.iter().map(url).collect())
    }

    /// Adds a server; false if it is there as it is.
    pub fn add_server(&self, mut server: Map) -> Result<bool> {
        if !server.contains("port") {
            server.insert("port", DEFAULT_PORT);
        }
        let null = Value::Null;
        let (host, port) = (server.get("host").unwrap_or(&null), server.get("port").unwrap_or(&null));
        if !host.is_text() || port.as_i64().is_none() {
            return Err(err!("BadArg", mesg = "A server has a host, which is text, and a port.", name = "server"));
        }
        let server = Value::from(server.clone());
        if self.0.store.server(host, port)?.is_some_and(|old| old.py_eq(&server)) {
            return Ok(false);
        }
        Ok(self.push("aha:server:add", vec![server], Map::new())?.is_truthy())
    }

    /// Removes a server and returns it.
    pub fn del_server(&self, host: &Value, port: &Value) -> Result<Value> {
        self.push("aha:server:del", vec![host.clone(), port.clone()], Map::new())
    }

    // ---- boot

    /// Makes the authority of the network and the certificates that this server needs, where they are missing. Through
    /// the log, so that its mirrors have them too.
    pub fn make_certs(&self) -> Result<()> {
        let (conf, network) = (self.0.cell.conf(), self.network());
        self.gen_ca(network)?;
        if let Some(name) = conf.str("aha:name") {
            self.make_host_cert(&self.full_name(&name))?;
        }
        self.make_user_cert(&format!("root@{network}"))?;
        if let Some(user) = conf.str("aha:admin") {
            self.make_user_cert(&user)?;
        }
        Ok(())
    }

    /// Makes the certificates that the listeners present, where they are missing.
    pub fn make_listen_certs(&self) -> Result<()> {
        if let Some(name) = self.dns_name() {
            self.make_host_cert(&name)?;
        }
        for url in [self.dmon_listen(), self.prov_listen()].into_iter().flatten() {
            let info = UrlInfo::parse(&url)?;
            let names = info.get_str("hostname").unwrap_or_default().to_owned();
            for name in names.split(',').filter(|name| info.scheme() == "ssl" && !name.is_empty()) {
                self.make_host_cert(name)?;
            }
        }
        Ok(())
    }

    /// The authority of a network as PEM text; made if it is not there.
    pub fn gen_ca(&self, network: &str) -> Result<String> {
        if let Some(pem) = self.ca_cert(network)? {
            return Ok(pem);
        }
        tracing::info!(network, "making the certificate authority");
        let issued = self.0.certdir.gen_ca_cert(network, None, false)?;
        self.save_cert("aha:ca:save", network, &issued)
    }

    /// The authority of a network as PEM text.
    pub fn ca_cert(&self, network: &str) -> Result<Option<String>> {
        let byts = self.0.certdir.ca_cert_bytes(network)?;
        Ok(byts.map(|byts| String::from_utf8_lossy(&byts).into_owned()))
    }

    fn make_host_cert(&self, name: &str) -> Result<()> {
        if self.0.certdir.is_cert(myelin_certs::Sub::Hosts, name) {
            return Ok(());
        }
        tracing::info!(name, "making a server's certificate");
        if !self.0.cell.nexus().is_leader() {
            // A clone has the authority's key, and nobody else needs the key of this server.
            return self.0.certdir.gen_host_cert(name, Some(self.network()), None, true).map(drop);
        }
        let issued = self.0.certdir.gen_host_cert(name, Some(self.network()), None, false)?;
        self.save_cert("aha:host:save", name, &issued).map(drop)
    }

    fn make_user_cert(&self, name: &str) -> Result<()> {
        if self.0.certdir.is_cert(myelin_certs::Sub::Users, name) {
            return Ok(());
        }
        tracing::info!(name, "making a user's certificate");
        let issued = self.0.certdir.gen_user_cert(name, Some(self.network()), false)?;
        self.save_cert("aha:user:save", name, &issued).map(drop)
    }

    fn save_cert(&self, event: &str, name: &str, issued: &Issued) -> Result<String> {
        let pem = issued.cert.to_pem();
        let key = issued.key.as_ref().map(myelin_certs::PrivKey::to_pem).unwrap_or_default();
        self.push(event, vec![name.into(), key.into(), pem.as_str().into()], Map::new())?;
        Ok(pem)
    }

    // ---- services

    /// A service by name, expanded; a pool gives one of its services with the pool's own keys over it. With `mirror` a
    /// follower of the service, if one is there and ready.
    pub fn svc(&self, name: &str, mirror: bool) -> Result<Option<Value>> {
        let name = self.0.store.expand(name);
        if let Some(svc) = self.0.store.svc(&name)? {
            if mirror && let Some(iden) = svc.get("svcinfo").and_then(|info| text(info, "iden")) {
                let mut mirrors = self.mirrors(iden)?;
                if !mirrors.is_empty() {
                    return Ok(Some(mirrors.swap_remove(rand::random_range(0..mirrors.len()))));
                }
            }
            return Ok(Some(svc));
        }
        let Some(pool) = self.0.store.pool(&name)? else { return Ok(None) };
        let members = pool.get("services").and_then(Value::as_map);
        let members: Vec<&str> = members.iter().flat_map(|map| map.keys()).filter_map(Value::as_str).collect();
        if members.is_empty() {
            return Err(err!("BadArg", mesg = format!("No services configured for pool: {name}"), name = name));
        }
        let member = members[rand::random_range(0..members.len())];
        let mut svc = self.0.store.svc(member)?.and_then(|svc| svc.as_map().cloned()).unwrap_or_default();
        svc.update(pool.as_map().unwrap_or(&Map::new()));
        Ok(Some(svc.into()))
    }

    /// Online and ready services of an iden, one for each run, without the leader.
    pub fn mirrors(&self, iden: &str) -> Result<Vec<Value>> {
        let (mut found, mut leader) = (Vec::<(Value, Value)>::new(), None);
        for svc in self.0.store.svcs(None)? {
            let Some(info) = svc.get("svcinfo").filter(|info| text(info, "iden") == Some(iden)) else { continue };
            if !is_online(info) || !info.get("ready").is_some_and(Value::is_truthy) {
                continue;
            }
            let run = info.get("run").cloned().unwrap_or_default();
            if svc.get("svcname") == info.get("leader") {
                leader = Some(run);
                continue;
            }
            found.retain(|(other, _)| *other != run);
            found.push((run, svc));
        }
        Ok(found.into_iter().filter(|(run, _)| Some(run) != leader.as_ref()).map(|(_, svc)| svc).collect())
    }

    /// Services of an iden, one for each run; the leader's alias only if its run has no other entry.
    pub fn svcs_by_iden(&self, iden: &str, online: bool, skiprun: Option<&str>) -> Result<Vec<Value>> {
        let (mut found, mut runs, mut aliases) = (Vec::new(), Vec::new(), Vec::<(Value, Value)>::new());
        for svc in self.0.store.svcs(None)? {
            let Some(info) = svc.get("svcinfo").filter(|info| text(info, "iden") == Some(iden)) else { continue };
            let run = info.get("run").cloned().unwrap_or_default();
            if (online && !is_online(info)) || runs.contains(&run) || (skiprun.is_some() && run.as_str() == skiprun) {
                continue;
            }
            if svc.get("svcname") == info.get("leader") {
                if !aliases.iter().any(|(other, _)| *other == run) {
                    aliases.push((run, svc));
                }
                continue;
            }
            runs.push(run);
            found.push(svc);
        }
        found.extend(aliases.into_iter().filter(|(run, _)| !runs.contains(run)).map(|(_, svc)| svc));
        Ok(found)
    }

    /// Registers a service. `online` names the session that vouches for it.
    ///
    /// # Errors
    /// `BadState` for a leader whose term is over.
    pub fn add_svc(&self, name: &str, network: Option<&str>, info: Map, online: &str) -> Result<()> {
        self.req_term(&SvcName::parse(name, network)?, &info)?;
        *self.0.live.lock().entry(online.to_owned()).or_default() += 1;
        let kwargs = Map::new().with("network", network.map_or(Value::Null, Value::from));
        self.0.peers.forget(&SvcName::parse(name, network)?.full);
        self.push("aha:svc:add", vec![name.into(), info.into()], kwargs).map(drop)
    }

    /// Whoever says which term of leadership it is in has to be in the latest that is known.
    fn req_term(&self, name: &SvcName, info: &Map) -> Result<()> {
        let Some(term) = info.get_i64("term") else { return Ok(()) };
        let known = self.0.store.svc_at(name)?.and_then(|svc| svc.get("svcinfo").cloned()).unwrap_or_default();
        let same = text(&known, "iden") == info.get_str("iden");
        let last = known.get("term").and_then(Value::as_i64).filter(|_| same);
        if last.is_some_and(|last| last > term) {
            let mesg = format!("The term {term} of leadership is over: {} is in another one.", name.full);
            return Err(err!("BadState", mesg = mesg, term = term));
        }
        Ok(())
    }

    /// Changes a service's info; false if there is no such service.
    pub fn mod_svc(&self, name: &str, changes: Map) -> Result<bool> {
        Ok(self.push("aha:svc:mod", vec![name.into(), changes.into()], Map::new())?.is_truthy())
    }

    /// Removes a service.
    pub fn del_svc(&self, name: &str, network: Option<&str>) -> Result<()> {
        let kwargs = Map::new().with("network", network.map_or(Value::Null, Value::from));
        self.push("aha:svc:del", vec![name.into()], kwargs).map(drop)
    }

    /// A session that had registered a service ended: it is offline, unless another session has registered it since.
    pub fn svc_down(&self, name: &str, network: Option<&str>, online: &str) -> Result<()> {
        {
            let mut live = self.0.live.lock();
            if let Some(count) = live.get_mut(online) {
                *count -= 1;
                if *count == 0 {
                    live.remove(online);
                }
            }
        }
        let name = self.0.store.expand(name);
        let parts = SvcName::parse(&name, network)?;
        let now = self.0.store.svc_at(&parts)?;
        if !now.as_ref().and_then(|svc| svc.get("svcinfo")).is_some_and(is_online) {
            return Ok(());
        }
        self.0.peers.forget(&parts.full);
        let kwargs = Map::new().with("network", network.map_or(Value::Null, Value::from));
        self.push("aha:svc:down", vec![name.into(), online.into()], kwargs).map(drop)
    }

    /// Marks as offline what says to be online by a session that this server does not have.
    pub fn clear_stale(&self) -> Result<()> {
        for svc in self.0.store.svcs(None)? {
            let online = svc.get("svcinfo").and_then(|info| text(info, "online")).map(str::to_owned);
            let (Some(name), Some(network)) = (text(&svc, "svcname"), text(&svc, "svcnetw")) else { continue };
            if let Some(online) = online.filter(|online| !self.0.live.lock().contains_key(online)) {
                self.svc_down(name, Some(network), &online)?;
            }
        }
        Ok(())
    }

    // ---- pools

    /// Makes a pool, or empties one.
    pub fn add_pool(&self, name: &str, mut info: Map, creator: &str) -> Result<Value> {
        let name = self.0.store.expand(name);
        if self.0.store.svc(&name)?.is_some() {
            let mesg = format!("An AHA service or pool is already using the name \"{name}\".");
            return Err(err!("DupName", mesg = mesg, name = name));
        }
        info.insert("name", name);
        info.insert("created", now());
        info.insert("services", Map::new());
        if !info.contains("creator") {
            info.insert("creator", creator);
        }
        crate::pools::check(&info)?;
        self.push("aha:pool:add", vec![info.into()], Map::new())
    }

    /// Removes a pool and returns it.
    pub fn del_pool(&self, name: &str) -> Result<Value> {
        self.push("aha:pool:del", vec![name.into()], Map::new())
    }

    /// Adds a service to a pool.
    pub fn add_pool_svc(&self, pool: &str, svc: &str, mut info: Map, creator: &str) -> Result<Value> {
        info.insert("created", now());
        if !info.contains("creator") {
            info.insert("creator", creator);
        }
        self.push("aha:pool:svc:add", vec![pool.into(), svc.into(), info.into()], Map::new())
    }

    /// Removes a service from a pool.
    pub fn del_pool_svc(&self, pool: &str, svc: &str) -> Result<Value> {
        self.push("aha:pool:svc:del", vec![pool.into(), svc.into()], Map::new())
    }

    /// What a pool consists of: messages for its services now, and the channel of those to come.
    pub fn pool_topo(&self, name: &str) -> Result<(Vec<Value>, tokio::sync::mpsc::Receiver<Value>)> {
        let name = self.0.store.expand(name);
        // Watched first, so that nothing between the two is missed.
        let rx = self.0.store.watchers.add(&name);
        let pool = self.0.store.pool(&name)?.ok_or_else(|| no_such_pool(&name))?;
        let mut first = Vec::new();
        let members = pool.get("services").and_then(Value::as_map);
        for member in members.iter().flat_map(|map| map.keys()).filter_map(Value::as_str) {
            match self.0.store.svc(member)? {
                Some(svc) => first.push(Value::list(["svc:add".into(), svc])),
                None => tracing::warn!(pool = name, service = member, "the pool has a service that is not there"),
            }
        }
        Ok((first, rx))
    }

    // ---- certificates for others

    /// Signs a host's request as text; the certificate replaces the copy kept here.
    pub fn sign_host(&self, csr: &str, signas: Option<&str>, sans: Option<&str>) -> Result<String> {
        let csr = Csr::from_pem(csr.as_bytes())?;
        let name = csr.common_name()?;
        let signas = signas.or_else(|| name.split_once('.').map(|(_, network)| network)).ok_or_else(|| {
            err!("BadArg", mesg = "The name in the request has no network to sign it as.", name = &name)
        })?;
        self.drop_copy(myelin_certs::Sub::Hosts, &name)?;
        Ok(self.0.certdir.sign_host_csr(&csr, signas, sans, true)?.cert.to_pem())
    }

    /// Signs a user's request as text; the certificate replaces the copy kept here.
    pub fn sign_user(&self, csr: &str, signas: Option<&str>) -> Result<String> {
        let csr = Csr::from_pem(csr.as_bytes())?;
        let name = csr.common_name()?;
        let signas = signas.or_else(|| name.split_once('@').map(|(_, network)| network)).ok_or_else(|| {
            err!("BadArg", mesg = "The name in the request has no network to sign it as.", name = &name)
        })?;
        self.drop_copy(myelin_certs::Sub::Users, &name)?;
        Ok(self.0.certdir.sign_user_csr(&csr, signas, true)?.cert.to_pem())
    }

    fn drop_copy(&self, sub: myelin_certs::Sub, name: &str) -> Result<()> {
        if let Some(path) = self.0.certdir.cert_path(sub, name) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }

    // ---- one-time keys

    fn req_prov_listen(&self) -> Result<String> {
        self.prov_listen().ok_or_else(|| {
            err!("NeedConfValu", mesg = "The AHA server is not configured for provisioning.", name = "provision:listen")
        })
    }

    fn key_url(&self, iden: &str) -> Result<String> {
        let info = UrlInfo::parse(&self.req_prov_listen()?)?;
        let port = self.0.ports.lock().prov.or_else(|| info.port());
        let port = port.ok_or_else(|| err!("NotReady", mesg = "The provisioning listener is not up yet."))?;
        let host = self
            .dns_name()
            .ok_or_else(|| err!("NeedConfValu", mesg = "Provisioning needs the option dns:name.", name = "dns:name"))?;
        let mut url = format!("{}://{host}:{port}/{iden}", info.scheme());
        if info.scheme() == "ssl"
            && let Some(name) = info.get_str("hostname").or_else(|| info.get_str("host"))
            && let Some(hash) = self.0.certdir.host_cert_hash(name)?
        {
            url = format!("{url}?certhash={hash}");
        }
        Ok(url)
    }

    /// Makes the one-time URL that a new service is provisioned by.
    pub fn add_prov(&self, name: &str, provinfo: &Map) -> Result<String> {
        self.req_prov_listen()?;
        let network = self.network().to_owned();
        let user = prov::prov_user(provinfo).to_owned();
        let defaults = ProvDefaults { network: network.clone(), admin: self.0.cell.conf().str("aha:admin") };
        let iden = rand_guid();
        let done = prov::complete(name, provinfo, &iden, &defaults, self.urls(&user)?)?;
        let user = self.req_user(&user)?;
        for perm in prov::needed_perms(name, &network) {
            self.allow(&user, &perm)?;
        }
        self.push("aha:svc:prov:add", vec![done.into()], Map::new())?;
        tracing::info!(service = name, iden, "made a provisioning URL");
        self.key_url(&iden)
    }

    /// Makes the one-time URL that a person enrols by.
    pub fn add_enroll(&self, name: &str, again: bool) -> Result<String> {
        self.req_prov_listen()?;
        let full = format!("{name}@{}", self.network());
        prov::check_name(name, &full, "Username")?;
        let auth = self.0.cell.auth();
        if !again && auth.user_by_name(&full).is_some() {
            let mesg = format!("User name ({name}) already exists.  Need --again?");
            return Err(err!("DupUserName", mesg = mesg, name = name));
        }
        let user = self.req_user(&full)?;
        self.allow(&user, &["aha", "service", "get", self.network()])?;
        let iden = rand_guid();
        let info = Map::new().with("name", name).with("iden", &iden);
        self.push("aha:enroll:add", vec![info.into()], Map::new())?;
        tracing::info!(name, iden, "made an enrolment URL");
        self.key_url(&iden)
    }

    /// Makes the URL that a mirror of this AHA begins with. It can be used until it is cleared.
    pub fn add_clone(&self, host: &str, port: i64, conf: Map) -> Result<String> {
        let network = self.network();
        let mine = self
            .dns_name()
            .ok_or_else(|| err!("NeedConfValu", mesg = "A clone needs the option dns:name here.", name = "dns:name"))?;
        let myport = self.0.ports.lock().dmon.ok_or_else(|| err!("NotReady", mesg = "The listener is not up yet."))?;
        let iden = rand_guid();
        let conf = conf
            .with("mirror", format!("ssl://{mine}:{myport}?certname=root@{network}"))
            .with("dns:name", host)
            .with("aha:network", network)
            .with("dmon:listen", format!("ssl://0.0.0.0:{port}?hostname={host}&ca={network}"));
        let clone = Map::new().with("iden", &iden).with("host", host).with("port", port).with("conf", conf);
        self.push("aha:clone:add", vec![clone.into()], Map::new())?;
        self.key_url(&iden)
    }

    /// Removes a key, or all keys of a kind: `aha:svc:prov:del`, `aha:enroll:clear` and the like.
    pub fn drop_keys(&self, event: &str, iden: Option<&str>) -> Result<()> {
        self.push(event, iden.map(Value::from).into_iter().collect(), Map::new()).map(drop)
    }

    /// What a key opens. Those of services and persons are gone afterwards, those of clones stay.
    pub fn open_key(&self, iden: &str) -> Result<Key> {
        let _guard = self.0.keys.lock();
        let store = &self.0.store;
        if let Some(info) = store.prov(iden)? {
            self.drop_keys("aha:svc:prov:del", Some(iden))?;
            tracing::info!(iden, "a service used its provisioning key");
            return Ok(Key::Service(info));
        }
        if let Some(info) = store.enroll(iden)? {
            self.drop_keys("aha:enroll:del", Some(iden))?;
            tracing::info!(iden, "a person used an enrolment key");
            return Ok(Key::Person(info));
        }
        if let Some(info) = store.clone_def(iden)? {
            return Ok(Key::Clone(info));
        }
        let mesg = format!(
            "Invalid provisioning identifier name={iden}. This could be caused by the re-use of a provisioning URL."
        );
        Err(err!("NoSuchName", mesg = mesg, name = iden))
    }

    fn req_user(&self, name: &str) -> Result<User> {
        let auth = self.0.cell.auth();
        match auth.user_by_name(name) {
            Some(user) => Ok(user),
            None => auth.add_user(name, None, &Value::Null, None),
        }
    }

    fn allow<P: AsRef<str>>(&self, user: &User, perm: &[P]) -> Result<()> {
        if user.allowed(perm, None) {
            return Ok(());
        }
        let perm: Value = perm.iter().map(|part| Value::from(part.as_ref())).collect();
        self.0.cell.auth().add_user_rule(user, &Value::list([true.into(), perm]), None, None)
    }
}

/// What a one-time key opens.
pub enum Key {
    /// A new service.
    Service(Value),
    /// A person.
    Person(Value),
    /// A mirror of this AHA.
    Clone(Value),
}

/// Puts the user whom a peer should be into a service's URL: the one it is here.
pub fn suggest_user(svc: &Value, user: &str) -> Value {
    let info = svc.get("svcinfo").and_then(Value::as_map);
    let urlinfo = info.and_then(|info| info.get("urlinfo")).and_then(Value::as_map);
    let (Some(all), Some(info), Some(urlinfo)) = (svc.as_map(), info, urlinfo) else { return svc.clone() };
    let urlinfo = urlinfo.clone().with("user", short_user(user));
    let info = info.clone().with("urlinfo", urlinfo);
    all.clone().with("svcinfo", info).into()
}

fn is_online(info: &Value) -> bool {
    info.get("online").is_some_and(|online| !online.is_null())
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
