//! The Storm pool: mirrors of this cortex that queries are handed on to.
//!
//! Table `cell:conf`, key `storm:pool` → `[url, {timeout:sync, timeout:connection}]`. A query that no mirror takes (none is
//! there, none answers, all lag behind) runs here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use myelin_cell::{ApplyCx, Event};
use myelin_error::{Result, err};
use myelin_slab::{Reads, Slab, Table};
use myelin_telepath::{Client, Proxy};
use myelin_value::{Map, Value, msgpack};
use parking_lot::Mutex;

use super::{Part, Pusher};
use crate::wait;

const KEY: &[u8] = b"storm:pool";
/// How many events a mirror may lag behind and still be asked.
const MAX_LAG: u64 = 3600;

/// The pool of a cortex, which may have none.
pub struct Pool {
    slab: Slab,
    table: Table,
    pusher: Pusher,
    client: Mutex<Option<Client>>,
    set: AtomicBool,
}

impl Pool {
    /// Opens the table in the cell's slab.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn open(slab: Slab, pusher: Pusher) -> Result<Pool> {
        let table = slab.table("cell:conf", false)?;
        let pool = Pool { slab, table, pusher, client: Mutex::default(), set: AtomicBool::new(false) };
        pool.set.store(pool.get()?.is_some(), Ordering::Release);
        Ok(pool)
    }

    /// The URL and the options of the pool, if there is one.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn get(&self) -> Result<Option<(String, Map)>> {
        let txn = self.slab.read_fresh()?;
        let Some(byts) = txn.get(self.table, KEY)? else { return Ok(None) };
        let conf = msgpack::decode(byts)?;
        let url = conf.at(0).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some((url, conf.at(1).and_then(Value::as_map).cloned().unwrap_or_default())))
    }

    /// Sets the pool.
    ///
    /// # Errors
    /// `SchemaViolation` for options that are no times.
    pub fn set(&self, url: &str, opts: Map) -> Result<()> {
        for (key, valu) in opts.text_entries() {
            if !["timeout:sync", "timeout:connection"].contains(&key) || valu.as_i64().is_none_or(|secs| secs < 1) {
                let mesg = format!("The option {key} of a Storm pool must be a number of seconds.");
                return Err(err!("SchemaViolation", mesg = mesg, name = format!("data.{key}")));
            }
        }
        self.pusher.push("storm:pool:set", [url.into(), opts.into()]).map(drop)
    }

    /// Removes the pool.
    ///
    /// # Errors
    /// What the log fails with.
    pub fn del(&self) -> Result<()> {
        self.pusher.push("storm:pool:del", []).map(drop)
    }

    fn close(&self) {
        if let Some(client) = self.client.lock().take() {
            wait::spawn(async move { client.fini().await });
        }
    }

    fn client(&self, url: &str) -> Result<Client> {
        let mut client = self.client.lock();
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = wait::enter(|| Client::open(url))?;
        Ok(client.insert(made).clone())
    }

    /// A mirror that is near enough to an offset, and how many seconds it may take to reach it. `own` is the name of this
    /// service, which may be in the pool itself.
    pub async fn mirror(&self, offs: u64, own: Option<&str>) -> Option<(Proxy, Value)> {
        let (url, opts) = self.get().ok().flatten()?;
        let client = self.client(&url).ok()?;
        let secs = opts.get("timeout:connection").and_then(Value::as_u64).unwrap_or(2);
        let time = Duration::from_secs(secs);
        for _ in 0..client.size().max(1) {
            let Ok(proxy) = client.proxy(Some(time)).await else {
                tracing::warn!("no mirror of the Storm pool could be reached in time");
                continue;
            };
            let info = proxy.ahainfo();
            let name = info.get_str("name").map(str::to_owned);
            if name.is_some() && name.as_deref() == own {
                continue;
            }
            let asked = tokio::time::timeout(time, proxy.call("getNexsIndx")).await;
            match asked.ok().and_then(Result::ok).and_then(|indx| indx.as_u64()) {
                Some(indx) if offs.saturating_sub(indx.saturating_sub(1)) <= MAX_LAG => {
                    return Some((proxy, opts.get("timeout:sync").cloned().unwrap_or_default()));
                }
                Some(_) => tracing::warn!(mirror = name, "a mirror of the Storm pool lags too far behind"),
                None => tracing::warn!(mirror = name, "a mirror of the Storm pool does not answer"),
            }
        }
        tracing::warn!("no mirror of the Storm pool takes the query: it runs here");
        None
    }

    /// Whether there is a pool.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }
}

impl Part for Pool {
    fn events(&self) -> &'static [&'static str] {
        &["storm:pool:set", "storm:pool:del"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        if event.name == "storm:pool:set" {
            let conf = Value::list([event.arg(0, "url").clone(), event.arg(1, "opts").clone()]);
            cx.put_value(self.table, KEY, &conf)?;
        } else {
            cx.del(self.table, KEY)?;
        }
        self.set.store(event.name == "storm:pool:set", Ordering::Release);
        self.close();
        Ok(Value::Null)
    }
}
