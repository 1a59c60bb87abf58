//! Pushing the edits of layers to other services, and pulling those of others into layers.
//!
//! What is to be done lies in the records of layers (`pushs`, `pulls`: iden → definition). While the cortex is the leader,
//! a supervisor keeps one task for each, whatever way it got there. Progress is a global variable, `push:<iden>` for both,
//! with the last offset that was stored at the other end; a task that fails begins again from there.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use myelin_error::{Error, Result, err};
use myelin_graph::{Layer, unpack_edits};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::Cortex;
use crate::parts::now_millis;

/// How often the records are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a task that failed waits before it begins again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a push waits for further edits before it looks again.
const IDLE: Duration = Duration::from_millis(100);
/// Rows of the edit log that are read at once.
const PAGE: usize = 100;
/// Edits that are stored at once unless the definition says otherwise.
pub const CHUNK: i64 = 1000;
/// Rows that wait to be stored at most.
pub const QUEUE: i64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Push,
    Pull,
}

impl Way {
    fn key(self) -> &'static str {
        if self == Way::Push { "pushs" } else { "pulls" }
    }

    fn name(self) -> &'static str {
        if self == Way::Push { "push" } else { "pull" }
    }
}

/// A running task; it ends when this is dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the supervisor.
pub fn supervise(core: &Arc<Cortex>) {
    let (weak, done) = (Arc::downgrade(core), core.cell.done().clone());
    crate::wait::spawn(async move {
        let mut tasks: HashMap<String, Running> = HashMap::new();
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let Some(core) = weak.upgrade() else { return };
            let wanted = if core.cell.is_active() && !core.cell.conf().is_on("safemode") {
                wanted(&core)
            } else {
                HashMap::new()
            };
            tasks.retain(|iden, _| wanted.contains_key(iden));
            for (iden, (way, layer, pdef)) in wanted {
                tasks.entry(iden).or_insert_with(|| Running(tokio::spawn(keep(weak.clone(), way, layer, pdef))));
            }
        }
    });
}

fn wanted(core: &Cortex) -> HashMap<String, (Way, Arc<Layer>, Map)> {
    let mut wanted = HashMap::new();
    for layer in core.stack.layers() {
        for way in [Way::Push, Way::Pull] {
            let defs = layer.info_get(way.key()).and_then(|defs| defs.as_map().cloned()).unwrap_or_default();
            for (iden, pdef) in defs.text_entries() {
                if let Some(pdef) = pdef.as_map() {
                    wanted.insert(iden.to_owned(), (way, layer.clone(), pdef.clone()));
                }
            }
        }
    }
    wanted
}

/// Runs a task again and again, for it ends only when something fails.
async fn keep(core: Weak<Cortex>, way: Way, layer: Arc<Layer>, pdef: Map) {
    loop {
        let done = match way {
            Way::Push => push(&core, &layer, &pdef).await,
            Way::Pull => pull(&core, &layer, &pdef).await,
        };
        if let Err(error) = done {
            let (layer, iden) = (&**layer.iden(), pdef.get_str("iden"));
            tracing::warn!(layer, iden, %error, "a {} of a layer failed and begins again", way.name());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn alive(core: &Weak<Cortex>) -> Result<Arc<Cortex>> {
    core.upgrade().ok_or_else(|| Error::mesg("IsFini", "The cortex is ending."))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| err!("SynErr", mesg = format!("The work was abandoned: {error}.")))?
}

struct Plan {
    iden: String,
    chunk: usize,
    meta: Map,
    _task: myelin_cell::Task,
}

impl Plan {
    fn new(core: &Cortex, way: Way, layer: &Layer, pdef: &Map) -> Result<Plan> {
        let iden = pdef.get_str("iden").unwrap_or_default().to_owned();
        let name = format!("layer {}: {} {iden}", way.name(), layer.iden());
        let task = core.cell.boss().promote(&name, Some(core.cell.auth().root()?), Map::new(), None)?;
        task.set_background(true);
        let chunk = pdef.get("chunk:size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        let chunk = chunk.unwrap_or(1000).max(1);
        let meta = Map::new().with("user", pdef.get("user").cloned().unwrap_or_default());
        Ok(Plan { iden, chunk, meta, _task: task })
    }

    /// Where to go on.
    async fn start(&self, core: &Arc<Cortex>, pdef: &Map) -> Result<u64> {
        let (core, name) = (core.clone(), format!("push:{}", self.iden));
        let last = blocking(move || core.vars.get(&name)).await?.and_then(|last| last.as_u64());
        Ok(match last {
            Some(last) => last + 1,
            None => pdef.get("offs").and_then(Value::as_u64).unwrap_or(0),
        })
    }

    async fn reached(&self, core: &Arc<Cortex>, offs: u64) -> Result<()> {
        let (core, name) = (core.clone(), format!("push:{}", self.iden));
        blocking(move || core.vars.set(&name, offs.into())).await.map(drop)
    }

    fn meta(&self) -> Map {
        self.meta.clone().with("time", now_millis())
    }
}

/// Rows put together until they hold enough edits: the edits, and the offset of the last row.
fn batches(rows: Vec<(u64, Value)>, chunk: usize) -> Vec<(u64, Vec<Value>)> {
    let mut batches = Vec::new();
    let mut edits: Vec<Value> = Vec::new();
    let mut last = None;
    for (offs, row) in rows {
        edits.extend(row.as_list().unwrap_or_default().iter().cloned());
        last = Some(offs);
        if edits.len() > chunk {
            batches.push((offs, std::mem::take(&mut edits)));
            last = None;
        }
    }
    batches.extend(last.map(|offs| (offs, edits)));
    batches
}

async fn push(core: &Weak<Cortex>, layer: &Arc<Layer>, pdef: &Map) -> Result<()> {
    let plan = Plan::new(&*alive(core)?, Way::Push, layer, pdef)?;
    let proxy = Proxy::open(pdef.get_str("url").unwrap_or_default()).await?;
    let mut offs = plan.start(&alive(core)?, pdef).await?;
    loop {
        let from = layer.clone();
        let page = blocking(move || from.edit_page(offs, PAGE, false)).await?;
        if page.is_empty() {
            if proxy.is_fini() {
                return Err(Error::mesg("LinkShutDown", "The other service is gone."));
            }
            tokio::time::sleep(IDLE).await;
            continue;
        }
        let rows = page.into_iter().map(|(offs, edits, _meta)| (offs, edits)).collect();
        for (last, edits) in batches(rows, plan.chunk) {
            let todo = Todo::new("storNodeEdits").arg(Value::from(edits)).arg(plan.meta());
            proxy.call(todo).await?;
            plan.reached(&alive(core)?, last).await?;
            offs = last + 1;
        }
    }
}

async fn pull(core: &Weak<Cortex>, layer: &Arc<Layer>, pdef: &Map) -> Result<()> {
    let plan = Plan::new(&*alive(core)?, Way::Pull, layer, pdef)?;
    let proxy = Proxy::open(pdef.get_str("url").unwrap_or_default()).await?;
    let offs = plan.start(&alive(core)?, pdef).await?;
    let genr = proxy.genr(Todo::new("syncNodeEdits").arg(offs).kw("wait", true)).await?;
    let mut rows = std::pin::pin!(genr.into_stream().ready_chunks(PAGE));
    while let Some(page) = rows.next().await {
        let mut page_rows = Vec::with_capacity(page.len());
        for row in page {
            let row = row?;
            let wrong = || Error::mesg("BadMesgFormat", "A row of edits is an offset and the edits.");
            let offs = row.at(0).and_then(Value::as_u64).ok_or_else(wrong)?;
            page_rows.push((offs, row.at(1).cloned().unwrap_or_default()));
        }
        for (last, edits) in batches(page_rows, plan.chunk) {
            let (to, meta) = (layer.clone(), Value::from(plan.meta()));
            blocking(move || to.save_edits(&unpack_edits(&Value::from(edits))?, &meta)).await?;
            plan.reached(&alive(core)?, last).await?;
        }
    }
    Err(Error::mesg("LinkShutDown", "The other service is gone."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_together_and_none_is_lost() {
        let row = |offs: u64, count: i64| (offs, (0..count).map(Value::from).collect::<Value>());
        let made = batches(vec![row(1, 2), row(2, 2), row(5, 1), row(6, 0)], 3);
        let shape: Vec<_> = made.iter().map(|(offs, edits)| (*offs, edits.len())).collect();
        assert_eq!(shape, [(2, 4), (6, 1)]);
        assert!(batches(Vec::new(), 3).is_empty());
    }
}
