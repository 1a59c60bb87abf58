//! What AHA keeps: services, pools, its own servers, keys for provisioning, certificates. Each change is a nexus event.
//!
//! Services are objects of a document store (`slabs/jsonstor`, prefix `aha`): `aha/services/<network>/<name>`, linked from
//! `aha/svcfull/<full name>`. The rest are tables of `cell.lmdb`: `aha:servers`, `aha:pools`, `aha:provs`, `aha:enrolls`,
//! `aha:clones` (keyed by the 16 bytes of the iden, the others by text).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_cell::{ApplyCx, Event, NexsHandler};
use myelin_error::{Result, err};
use myelin_jsonstor::JsonObjs;
use myelin_slab::{Reads, Slab, Table, WriteCx};
use myelin_value::{Iden, Map, Value, msgpack};

use crate::names::{SvcName, expand};
use crate::pools::{self, Watchers};

/// The names of its events.
pub const EVENTS: &[&str] = &[
    "aha:server:add",
    "aha:server:del",
    "aha:svc:add",
    "aha:svc:mod",
    "aha:svc:del",
    "aha:svc:down",
    "aha:pool:add",
    "aha:pool:del",
    "aha:pool:svc:add",
    "aha:pool:svc:del",
    "aha:ca:save",
    "aha:host:save",
    "aha:user:save",
    "aha:svc:prov:add",
    "aha:svc:prov:del",
    "aha:svc:prov:clear",
    "aha:enroll:add",
    "aha:enroll:del",
    "aha:enroll:clear",
    "aha:clone:add",
    "aha:clone:clear",
];

/// The tables of an AHA service.
pub struct Store {
    network: String,
    certs: PathBuf,
    cell: Slab,
    svcs: Slab,
    objs: JsonObjs,
    servers: Table,
    pools: Table,
    provs: Table,
    enrolls: Table,
    clones: Table,
    /// Who watches pools.
    pub watchers: Watchers,
}

impl Store {
    /// Opens the tables: `cell` is the cell's own slab, `svcs` the one of services.
    pub fn open(cell: &Slab, svcs: &Slab, certs: &Path, network: &str) -> Result<Store> {
        Ok(Store {
            network: network.to_owned(),
            certs: certs.to_owned(),
            objs: JsonObjs::open(svcs, "aha")?,
            servers: cell.table("aha:servers", false)?,
            pools: cell.table("aha:pools", false)?,
            provs: cell.table("aha:provs", false)?,
            enrolls: cell.table("aha:enrolls", false)?,
            clones: cell.table("aha:clones", false)?,
            cell: cell.clone(),
            svcs: svcs.clone(),
            watchers: Watchers::default(),
        })
    }

    /// The network that this AHA serves.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Expands `name...`.
    pub fn expand(&self, name: &str) -> String {
        expand(name, &self.network)
    }

    // ---- reading

    /// A service by its full name.
    pub fn svc(&self, full: &str) -> Result<Option<Value>> {
        Ok(self.objs.get(&self.svcs.read_fresh()?, &["aha", "svcfull", full])?.filter(|svc| !svc.is_null()))
    }

    /// A service by its parts.
    pub fn svc_at(&self, name: &SvcName) -> Result<Option<Value>> {
        let path = ["aha", "services", &name.network, &name.name];
        Ok(self.objs.get(&self.svcs.read_fresh()?, &path)?.filter(|svc| !svc.is_null()))
    }

    /// Services in the order of network and name. A network is matched as a prefix of text.
    pub fn svcs(&self, network: Option<&str>) -> Result<Vec<Value>> {
        let mut path = vec!["aha", "services"];
        path.extend(network);
        let objs = self.objs.objs(&self.svcs.read_fresh()?, &path)?;
        Ok(objs.into_iter().map(|(_, svc)| svc).filter(|svc| !svc.is_null()).collect())
    }

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        if key.is_empty() || key.len() > 500 {
            return Ok(None);
        }
        self.cell.read_fresh()?.get_value(table, key)
    }

    fn rows(&self, table: Table) -> Result<Vec<Value>> {
        let txn = self.cell.read_fresh()?;
        txn.iter(table)?.map(|row| Ok(msgpack::decode(row?.1)?)).collect()
    }

    /// A pool by its full name.
    pub fn pool(&self, full: &str) -> Result<Option<Value>> {
        self.row(self.pools, full.as_bytes())
    }

    /// All pools.
    pub fn pools(&self) -> Result<Vec<Value>> {
        self.rows(self.pools)
    }

    /// One of the AHA servers of the network.
    pub fn server(&self, host: &Value, port: &Value) -> Result<Option<Value>> {
        self.row(self.servers, &server_key(host, port))
    }

    /// The AHA servers of the network.
    pub fn servers(&self) -> Result<Vec<Value>> {
        self.rows(self.servers)
    }

    /// What a one-time key provisions.
    pub fn prov(&self, iden: &str) -> Result<Option<Value>> {
        self.row(self.provs, iden.as_bytes())
    }

    /// Whom a one-time key enrols.
    pub fn enroll(&self, iden: &str) -> Result<Option<Value>> {
        self.row(self.enrolls, iden.as_bytes())
    }

    /// The clone of this AHA that a key makes.
    pub fn clone_def(&self, iden: &str) -> Result<Option<Value>> {
        Iden::from_hex(iden).map_or(Ok(None), |iden| self.row(self.clones, &iden.0))
    }

    // ---- services

    fn apply_svc(&self, cx: &mut WriteCx, event: &Event) -> Result<Value> {
        let name = event.str_arg(0, "name")?;
        match event.name.as_str() {
            "aha:svc:add" => {
                let name = SvcName::parse(name, event.opt_str_arg(2, "network")?)?;
                self.add_svc(cx, &name, event.map_arg(1, "info")?)?;
                Ok(Value::Null)
            }
            "aha:svc:mod" => self.mod_svc(cx, &self.expand(name), event.map_arg(1, "svcinfo")?).map(Value::from),
            "aha:svc:del" => {
                let name = SvcName::parse(&self.expand(name), event.opt_str_arg(1, "network")?)?;
                self.objs.del(cx, &svc_path(&name))?;
                self.objs.del(cx, &["aha", "svcfull", &name.full])?;
                Ok(Value::Null)
            }
            _ => {
                let name = SvcName::parse(name, event.opt_str_arg(2, "network")?)?;
                if self.objs.cmp_del_prop(cx, &svc_path(&name), &["svcinfo", "online"], event.arg(1, "linkiden"))? {
                    self.objs.set_prop(cx, &svc_path(&name), &["svcinfo", "ready"], &false.into())?;
                    tracing::info!(service = name.full, "service went offline");
                }
                Ok(Value::Null)
            }
        }
    }

    fn add_svc(&self, cx: &mut WriteCx, name: &SvcName, info: &Map) -> Result<()> {
        let svc = Map::new()
            .with("name", &name.full)
            .with("svcname", &name.name)
            .with("svcnetw", &name.network)
            .with("svcinfo", info.clone());
        tracing::info!(service = name.full, "service registered");
        self.objs.set(cx, &svc_path(name), &svc.into())?;
        self.objs.link(cx, &["aha", "svcfull", &name.full], &svc_path(name))
    }

    fn mod_svc(&self, cx: &mut WriteCx, full: &str, changes: &Map) -> Result<bool> {
        let Some(svc) = self.objs.get(cx, &["aha", "svcfull", full])? else { return Ok(false) };
        let (Some(name), Some(network)) = (text(&svc, "svcname"), text(&svc, "svcnetw")) else { return Ok(false) };
        for (prop, valu) in changes.text_entries() {
            self.objs.set_prop(cx, &["aha", "services", network, name], &["svcinfo", prop], valu)?;
        }
        Ok(true)
    }

    // ---- pools

    fn apply_pool(&self, cx: &mut WriteCx, event: &Event) -> Result<Value> {
        if event.name == "aha:pool:add" {
            let info = event.map_arg(0, "info")?;
            self.save_pool(cx, info)?;
            return Ok(info.clone().into());
        }
        if event.name == "aha:pool:del" {
            let name = self.expand(event.str_arg(0, "name")?);
            let pool = cx.pop_value(self.pools, name.as_bytes())?;
            self.watchers.end(&name);
            return Ok(pool.unwrap_or_default());
        }
        let (name, svc) = (self.expand(event.str_arg(0, "poolname")?), self.expand(event.str_arg(1, "svcname")?));
        let adds = event.name == "aha:pool:svc:add";
        let item = match self.objs.get(cx, &["aha", "svcfull", &svc])? {
            None if adds => return Err(no_such_svc(&svc)),
            item => item.unwrap_or_default(),
        };
        let pool = cx.get_value(self.pools, name.as_bytes())?.ok_or_else(|| no_such_pool(&name))?;
        let mut pool = pool.as_map().cloned().unwrap_or_default();
        let mut services = pool.get("services").and_then(Value::as_map).cloned().unwrap_or_default();
        let mesg = if adds {
            services.insert(svc, event.map_arg(2, "info")?.clone());
            Value::list(["svc:add".into(), item])
        } else {
            services.remove(&svc);
            Value::list(["svc:del".into(), Map::new().with("name", svc).into()])
        };
        pool.insert("services", services);
        self.save_pool(cx, &pool)?;
        self.watchers.tell(&name, &mesg);
        Ok(pool.into())
    }

    fn save_pool(&self, cx: &mut WriteCx, pool: &Map) -> Result<()> {
        pools::check(pool)?;
        let name = pool.get_str("name").unwrap_or_default();
        cx.put_value(self.pools, name.as_bytes(), &pool.clone().into())
    }

    // ---- the rest

    fn apply_server(&self, cx: &mut WriteCx, event: &Event) -> Result<Value> {
        if event.name == "aha:server:del" {
            let key = server_key(event.arg(0, "host"), event.arg(1, "port"));
            return Ok(cx.pop_value(self.servers, &key)?.unwrap_or_default());
        }
        let server = event.arg(0, "server");
        let null = Value::Null;
        let key = server_key(server.get("host").unwrap_or(&null), server.get("port").unwrap_or(&null));
        if cx.get_value(self.servers, &key)?.is_some_and(|old| old.py_eq(server)) {
            return Ok(false.into());
        }
        cx.put_value(self.servers, &key, server)?;
        Ok(true.into())
    }

    fn apply_key(&self, cx: &mut WriteCx, event: &Event) -> Result<Value> {
        let table = match event.name.as_str() {
            name if name.starts_with("aha:svc:prov:") => self.provs,
            name if name.starts_with("aha:enroll:") => self.enrolls,
            _ => self.clones,
        };
        if event.name.ends_with(":clear") {
            cx.clear(table)?;
            return Ok(Value::Null);
        }
        if event.name.ends_with(":del") {
            cx.del(table, event.str_arg(0, "iden")?.as_bytes())?;
            return Ok(Value::Null);
        }
        let info = event.args.first().or_else(|| event.kwargs.values().next()).cloned().unwrap_or_default();
        let bad = || err!("BadArg", mesg = format!("The event {} needs a dict with an iden.", event.name));
        let iden = text(&info, "iden").ok_or_else(bad)?;
        if event.name == "aha:clone:add" {
            cx.put_value(table, &Iden::from_hex(iden).ok_or_else(bad)?.0, &info)?;
            return Ok(Value::Null);
        }
        cx.put_value(table, iden.as_bytes(), &info)?;
        Ok(iden.into())
    }

    fn apply_cert(&self, event: &Event) -> Result<Value> {
        let (sub, kind) = match event.name.as_str() {
            "aha:ca:save" => ("cas", "ca"),
            "aha:host:save" => ("hosts", "host"),
            _ => ("users", "user"),
        };
        let name = event.str_arg(0, "name")?;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(err!("BadArg", mesg = "That is no name for a certificate.", name = name));
        }
        let key = event.str_arg(1, &format!("{kind}key"))?;
        let cert = event.str_arg(2, &format!("{kind}cert"))?;
        let dirn = self.certs.join(sub);
        std::fs::create_dir_all(&dirn)?;
        write_file(&dirn.join(format!("{name}.key")), key, 0o600)?;
        write_file(&dirn.join(format!("{name}.crt")), cert, 0o644)?;
        Ok(Value::Null)
    }
}

impl NexsHandler for Store {
    fn events(&self) -> &[&str] {
        EVENTS
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "aha:svc:add" | "aha:svc:mod" | "aha:svc:del" | "aha:svc:down" => self.apply_svc(cx, event),
            "aha:server:add" | "aha:server:del" => self.apply_server(cx, event),
            "aha:ca:save" | "aha:host:save" | "aha:user:save" => self.apply_cert(event),
            name if name.starts_with("aha:pool:") => self.apply_pool(cx, event),
            _ => self.apply_key(cx, event),
        }
    }

    fn homes(&self, event: &Event) -> Vec<Slab> {
        match event.name.as_str() {
            "aha:svc:add" | "aha:svc:mod" | "aha:svc:del" | "aha:svc:down" => vec![self.svcs.clone()],
            // Files have no offset: they are written again.
            "aha:ca:save" | "aha:host:save" | "aha:user:save" => Vec::new(),
            _ => vec![self.cell.clone()],
        }
    }
}

/// A text property of a map.
pub fn text<'a>(valu: &'a Value, key: &str) -> Option<&'a str> {
    valu.get(key).and_then(Value::as_str)
}

/// The error for a service that is not there.
pub fn no_such_svc(name: &str) -> myelin_error::Error {
    err!("NoSuchName", mesg = format!("No AHA service is currently named \"{name}\"."), name = name)
}

/// The error for a pool that is not there.
pub fn no_such_pool(name: &str) -> myelin_error::Error {
    err!("NoSuchName", mesg = format!("There is no AHA service pool named {name}."), name = name)
}

fn svc_path(name: &SvcName) -> [&str; 4] {
    ["aha", "services", &name.network, &name.name]
}

fn server_key(host: &Value, port: &Value) -> Vec<u8> {
    msgpack::encode(&Value::list([host.clone(), port.clone()]))
}

fn write_file(path: &Path, text: &str, mode: u32) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut opts = std::fs::OpenOptions::new();
    let mut file = opts.write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// A handle for those who share the tables.
pub type SharedStore = Arc<Store>;
