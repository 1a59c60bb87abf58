//! The document store: objects by path, queues and notifications, each change a nexus event.
//!
//! It stands on a cell, so that it is the same in a service of its own and inside a cortex.

use std::sync::Arc;

use myelin_cell::{ApplyCx, Cell, Event, NexsHandler, Nexus};
use myelin_error::{Result, err};
use myelin_slab::tables::MultiQueue;
use myelin_slab::{Slab, WriteCx};
use myelin_telepath::ValueStream;
use myelin_value::{Iden, Map, Value};
use tokio::sync::watch;

use crate::notifs::Notifs;
use crate::objs::JsonObjs;
use crate::path;

/// Rows read at a time by a stream.
const PAGE: usize = 1000;
/// How long a watcher of notifications waits for the next one.
const WATCH_WAIT: std::time::Duration = std::time::Duration::from_secs(120);

const EVENTS: &[&str] = &[
    "json:set",
    "json:del",
    "json:link",
    "json:copy",
    "json:copys",
    "json:set:prop",
    "json:del:prop",
    "json:pop:prop",
    "json:cmp:del:prop",
    "q:add",
    "q:del",
    "q:puts",
    "q:cull",
    "notif:add",
    "notif:del",
];

/// A document store. Cheap to clone. Its methods block, but for those that say otherwise.
#[derive(Clone)]
pub struct JsonStor {
    iden: Arc<str>,
    nexus: Nexus,
    parts: Arc<Parts>,
}

struct Parts {
    slab: Slab,
    objs: JsonObjs,
    queues: MultiQueue,
    notifs: Notifs,
    /// Counts changes of queues and notifications, for those who wait for them.
    news: watch::Sender<u64>,
}

impl JsonStor {
    /// Opens the store of a cell, whether it is a service or lives inside another cell.
    pub fn open(cell: &Cell) -> Result<JsonStor> {
        let slab = cell.slab();
        let parts = Arc::new(Parts {
            slab: slab.clone(),
            objs: JsonObjs::open(slab, "jsonstor")?,
            queues: MultiQueue::open(slab, "multique", MultiQueue::reqids(slab)?)?,
            notifs: Notifs::open(slab)?,
            news: watch::Sender::new(0),
        });
        cell.add_service_events(EVENTS, parts.clone());
        Ok(JsonStor { iden: cell.iden().into(), nexus: cell.nexus().clone(), parts })
    }

    fn push(&self, event: &str, args: impl IntoIterator<Item = Value>) -> Result<Value> {
        Ok(self.nexus.push(&self.iden, event, args.into_iter().collect(), Map::new())?.1)
    }

    fn push_bool(&self, event: &str, args: impl IntoIterator<Item = Value>) -> Result<bool> {
        Ok(self.push(event, args)?.is_truthy())
    }

    // ---- objects

    /// Whether there is an object.
    pub fn has(&self, path: &[String]) -> Result<bool> {
        self.parts.objs.has(&self.parts.slab.read_fresh()?, path)
    }

    /// The object at a path; null if there is none.
    pub fn get(&self, path: &[String]) -> Result<Value> {
        Ok(self.parts.objs.get(&self.parts.slab.read_fresh()?, path)?.unwrap_or_default())
    }

    /// A property of the object at a path; null if there is none.
    pub fn get_prop(&self, path: &[String], prop: &[String]) -> Result<Value> {
        Ok(self.parts.objs.get_prop(&self.parts.slab.read_fresh()?, path, prop)?.unwrap_or_default())
    }

    /// Paths under a prefix, as text, each without as many elements as the prefix has.
    pub fn list(&self, path: &[String]) -> Result<Vec<String>> {
        let paths = self.parts.objs.list(&self.parts.slab.read_fresh()?, path)?;
        Ok(paths.into_iter().map(|path| path.join("/")).collect())
    }

    /// Paths under a prefix, with their objects.
    pub fn objs(&self, path: &[String]) -> Result<Vec<(Vec<String>, Value)>> {
        self.parts.objs.objs(&self.parts.slab.read_fresh()?, path)
    }

    /// Stores an object.
    pub fn set(&self, path: &[String], item: Value) -> Result<()> {
        self.push("json:set", [list(path), item]).map(drop)
    }

    /// Removes a path.
    pub fn del(&self, path: &[String]) -> Result<()> {
        self.push("json:del", [list(path)]).map(drop)
    }

    /// Makes `src` another path of the object at `dst`.
    pub fn link(&self, src: &[String], dst: &[String]) -> Result<()> {
        self.push("json:link", [list(src), list(dst)]).map(drop)
    }

    /// Copies an object.
    pub fn copy(&self, old: &[String], new: &[String]) -> Result<()> {
        self.push("json:copy", [list(old), list(new)]).map(drop)
    }

    /// Copies many objects as one change.
    pub fn copies(&self, paths: &[(Vec<String>, Vec<String>)]) -> Result<()> {
        let pairs = paths.iter().map(|(old, new)| Value::list([list(old), list(new)]));
        self.push("json:copys", [Value::list(pairs)]).map(drop)
    }

    /// Sets a property; false if there is no object.
    pub fn set_prop(&self, path: &[String], prop: &[String], valu: Value) -> Result<bool> {
        self.push_bool("json:set:prop", [list(path), list(prop), valu])
    }

    /// Removes a property; false if there is no object.
    pub fn del_prop(&self, path: &[String], prop: &[String]) -> Result<bool> {
        self.push_bool("json:del:prop", [list(path), list(prop)])
    }

    /// Removes a property and returns it; null if there is none.
    pub fn pop_prop(&self, path: &[String], prop: &[String]) -> Result<Value> {
        self.push("json:pop:prop", [list(path), list(prop)])
    }

    /// Removes a property if it has a value. Says whether it did.
    pub fn cmp_del_prop(&self, path: &[String], prop: &[String], valu: Value) -> Result<bool> {
        self.push_bool("json:cmp:del:prop", [list(path), list(prop), valu])
    }

    // ---- queues

    /// Makes a queue; false if it is there.
    pub fn add_queue(&self, name: &str, info: Map) -> Result<bool> {
        self.push_bool("q:add", [name.into(), info.into()])
    }

    /// Removes a queue; false if there is none.
    pub fn del_queue(&self, name: &str) -> Result<bool> {
        self.push_bool("q:del", [name.into()])
    }

    /// Appends items and returns the offset of the first.
    pub fn puts_queue(&self, name: &str, items: Vec<Value>) -> Result<Value> {
        self.push("q:puts", [name.into(), items.into()])
    }

    /// Removes items up to an offset, which is included.
    pub fn cull_queue(&self, name: &str, offs: u64) -> Result<()> {
        self.push("q:cull", [name.into(), offs.into()]).map(drop)
    }

    /// The status of every queue.
    pub fn queues(&self) -> Vec<Map> {
        self.parts.queues.list()
    }

    /// Items `(offset, item)` of a queue from an offset on; with `cull`, those before it are removed first, with `wait`
    /// the stream goes on with what is put later. Does not block.
    pub async fn gets_queue(
        &self,
        name: &str,
        offs: u64,
        size: Option<u64>,
        cull: bool,
        wait: bool,
    ) -> Result<ValueStream> {
        let parts = self.parts.clone();
        if cull && offs > 0 {
            let (stor, name) = (self.clone(), name.to_owned());
            blocking(move || stor.cull_queue(&name, offs - 1)).await?;
        }
        let name = name.to_owned();
        Ok(Box::pin(async_stream::try_stream! {
            let mut news = parts.news.subscribe();
            let (mut offs, mut left) = (offs, size.unwrap_or(u64::MAX));
            while left > 0 {
                news.mark_unchanged();
                let (from, queue, limit) = (parts.clone(), name.clone(), left.min(PAGE as u64) as usize);
                let rows = blocking(move || {
                    from.queues.gets(&from.slab.read_fresh()?, &queue, offs, Some(limit))
                }).await?;
                if rows.is_empty() && (!wait || news.changed().await.is_err()) {
                    break;
                }
                for (at, item) in rows {
                    offs = at + 1;
                    left -= 1;
                    yield Value::list([at.into(), item]);
                }
            }
        }))
    }

    // ---- notifications

    /// Adds a notification and returns its offset.
    pub fn add_notif(&self, user: &str, kind: &str, data: Value) -> Result<Value> {
        if Iden::from_hex(user).is_none() {
            return Err(err!("BadArg", mesg = "A user iden is 32 hex digits.", name = user));
        }
        self.push("notif:add", [Value::list([user.into(), now().into(), kind.into(), data])])
    }

    /// Removes a notification.
    pub fn del_notif(&self, offs: u64) -> Result<()> {
        self.push("notif:del", [offs.into()]).map(drop)
    }

    /// One notification, null if there is none.
    pub fn notif(&self, offs: u64) -> Result<Value> {
        Ok(self.parts.notifs.get(&self.parts.slab.read_fresh()?, offs)?.unwrap_or_default())
    }

    /// The notifications of a user: `(offset, (user, time, type, data))`.
    pub fn user_notifs(&self, user: &str, size: Option<usize>) -> Result<Vec<Value>> {
        let Some(user) = Iden::from_hex(user) else {
            return Err(err!("BadArg", mesg = "A user iden is 32 hex digits.", name = user));
        };
        let found = self.parts.notifs.of_user(&self.parts.slab.read_fresh()?, user, size)?;
        Ok(found.into_iter().map(|(offs, mesg)| Value::list([offs.into(), mesg])).collect())
    }

    /// Notifications from an offset on (by default from now on); ends when none came for two minutes. Does not block.
    pub fn watch_notifs(&self, offs: Option<u64>) -> ValueStream {
        let parts = self.parts.clone();
        let mut offs = offs.unwrap_or_else(|| parts.notifs.next_offs());
        Box::pin(async_stream::try_stream! {
            let mut news = parts.news.subscribe();
            loop {
                news.mark_unchanged();
                let from = parts.clone();
                let rows = blocking(move || from.notifs.from(&from.slab.read_fresh()?, offs, PAGE)).await?;
                if rows.is_empty() {
                    match tokio::time::timeout(WATCH_WAIT, news.changed()).await {
                        Ok(Ok(())) => continue,
                        _ => break,
                    }
                }
                for (at, mesg) in rows {
                    offs = at + 1;
                    yield Value::list([at.into(), mesg]);
                }
            }
        })
    }
}

impl Parts {
    fn apply_json(&self, cx: &mut WriteCx, event: &Event) -> Result<Value> {
        let arg = |indx: usize, name: &str| path::elements(event.arg(indx, name));
        let objs = &self.objs;
        Ok(match event.name.as_str() {
            "json:set" => objs.set(cx, &arg(0, "path")?, event.arg(1, "item"))?.into_null(),
            "json:del" => objs.del(cx, &arg(0, "path")?)?.into_null(),
            "json:link" => objs.link(cx, &arg(0, "srcpath")?, &arg(1, "dstpath")?)?.into_null(),
            "json:copy" => objs.copy(cx, &arg(0, "oldp")?, &arg(1, "newp")?)?.into_null(),
            "json:copys" => {
                for pair in event.list_arg(0, "paths")? {
                    let side = |indx| path::elements(pair.at(indx).unwrap_or(&Value::Null));
                    objs.copy(cx, &side(0)?, &side(1)?)?;
                }
                Value::Null
            }
            "json:set:prop" => objs.set_prop(cx, &arg(0, "path")?, &arg(1, "prop")?, event.arg(2, "valu"))?.into(),
            "json:del:prop" => objs.del_prop(cx, &arg(0, "path")?, &arg(1, "name")?)?.into(),
            "json:pop:prop" => objs.pop_prop(cx, &arg(0, "path")?, &arg(1, "prop")?)?.unwrap_or_default(),
            _ => objs.cmp_del_prop(cx, &arg(0, "path")?, &arg(1, "name")?, event.arg(2, "valu"))?.into(),
        })
    }

    fn apply_queue(&self, cx: &mut WriteCx, offs: u64, event: &Event) -> Result<Value> {
        let (name, queues) = (event.str_arg(0, "name")?, &self.queues);
        Ok(match event.name.as_str() {
            "q:add" if queues.exists(name) => false.into(),
            "q:add" => {
                queues.add(cx, name, event.arg(1, "info"))?;
                true.into()
            }
            "q:del" if !queues.exists(name) => false.into(),
            "q:del" => {
                queues.rem(cx, name)?;
                true.into()
            }
            "q:puts" => queues.puts(cx, name, event.list_arg(1, "items")?, Some(offs.into()))?.into(),
            _ => queues.cull(cx, name, uint(event, 1, "offs")?)?.into_null(),
        })
    }

    fn apply_notif(&self, cx: &mut WriteCx, offs: u64, event: &Event) -> Result<Value> {
        if event.name == "notif:add" {
            self.notifs.add(cx, offs, event.arg(0, "mesg"))?;
            return Ok(offs.into());
        }
        Ok(self.notifs.del(cx, uint(event, 0, "indx")?)?.into_null())
    }
}

impl NexsHandler for Parts {
    fn events(&self) -> &[&str] {
        EVENTS
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let offs = cx.offs;
        if event.name.starts_with("json:") {
            return self.apply_json(cx, event);
        }
        let done = match event.name.starts_with("q:") {
            true => self.apply_queue(cx, offs, event),
            false => self.apply_notif(cx, offs, event),
        };
        self.news.send_modify(|count| *count += 1);
        done
    }

    fn homes(&self, _event: &Event) -> Vec<Slab> {
        vec![self.slab.clone()]
    }
}

/// `()` is null.
trait IntoNull {
    fn into_null(self) -> Value;
}

impl IntoNull for () {
    fn into_null(self) -> Value {
        Value::Null
    }
}

fn uint(event: &Event, indx: usize, name: &str) -> Result<u64> {
    u64::try_from(event.int_arg(indx, name)?)
        .map_err(|_| err!("BadArg", mesg = format!("The argument {name} must not be negative."), name = name))
}

fn list(path: &[String]) -> Value {
    Value::list(path.iter().map(|part| Value::from(part.as_str())))
}

pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

pub(crate) async fn blocking<T: Send + 'static>(func: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(func).await;
    done.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("A read was abandoned: {error}."))))
}
