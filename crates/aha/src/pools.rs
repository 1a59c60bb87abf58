//! Pools: services that share a name, and those who watch which services they are.

use std::collections::HashMap;

use myelin_error::{Result, err};
use myelin_value::{Map, Value};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Messages a watcher may be behind before its stream ends.
const BACKLOG: usize = 1000;

/// Refuses a pool with keys that it may not have.
pub fn check(pool: &Map) -> Result<()> {
    const KEYS: [&str; 4] = ["name", "creator", "created", "services"];
    let text = |key: &str| pool.get(key).is_some_and(Value::is_text);
    if let Some(key) = pool.keys().find(|key| !key.as_str().is_some_and(|key| KEYS.contains(&key))) {
        let mesg = format!("data must not contain {{{key:?}}} properties");
        return Err(err!("SchemaViolation", mesg = mesg, name = "data"));
    }
    if !text("name") || !text("creator") || pool.get("services").and_then(Value::as_map).is_none() {
        let mesg = "A pool has a name, a creator and a dict of services.";
        return Err(err!("SchemaViolation", mesg = mesg, name = "data"));
    }
    let services = pool.get("services").and_then(Value::as_map);
    for (name, info) in services.iter().flat_map(|map| map.iter()) {
        let known = |key: &Value| matches!(key.as_str(), Some("created" | "creator"));
        if !info.as_map().is_some_and(|info| info.keys().all(known)) {
            let mesg = format!("data.services.{name:?} must have no other keys than created and creator");
            return Err(err!("SchemaViolation", mesg = mesg, name = "data"));
        }
    }
    Ok(())
}

/// Those who watch pools.
#[derive(Default)]
pub struct Watchers(Mutex<HashMap<String, Vec<mpsc::Sender<Value>>>>);

impl Watchers {
    /// A new watcher of a pool.
    pub fn add(&self, pool: &str) -> mpsc::Receiver<Value> {
        let (tx, rx) = mpsc::channel(BACKLOG);
        self.0.lock().entry(pool.to_owned()).or_default().push(tx);
        rx
    }

    /// Tells the watchers of a pool. One that is gone, or too far behind, is dropped, which ends its stream.
    pub fn tell(&self, pool: &str, mesg: &Value) {
        if let Some(watchers) = self.0.lock().get_mut(pool) {
            watchers.retain(|tx| tx.try_send(mesg.clone()).is_ok());
        }
    }

    /// Ends the streams of a pool's watchers.
    pub fn end(&self, pool: &str) {
        self.0.lock().remove(pool);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_have_no_other_keys() {
        let pool =
            Map::new().with("name", "p.net").with("creator", "x").with("created", 1).with("services", Map::new());
        assert!(check(&pool).is_ok());
        assert!(check(&pool.clone().with("newp", 1)).is_err_and(|error| error.is("SchemaViolation")));
        assert!(check(&Map::new().with("name", "p.net")).is_err());
        let services = Map::new().with("a.net", Map::new().with("newp", 1));
        assert!(check(&pool.with("services", services)).is_err());
    }

    #[tokio::test]
    async fn watchers_hear_until_the_pool_ends() {
        let watchers = Watchers::default();
        let mut rx = watchers.add("p");
        watchers.tell("p", &Value::from(1));
        watchers.tell("other", &Value::from(2));
        watchers.end("p");
        assert_eq!(rx.recv().await, Some(Value::from(1)));
        assert_eq!(rx.recv().await, None);
    }
}
