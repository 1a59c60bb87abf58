//! Queues: those of users (`queue:*`, each with an auth gate) and those of packages (`storm:pkg:queue:*`).
//!
//! Both live in `slabs/queues.lmdb` and share its `reqid` table. The nexus offset of a put is its request id, which
//! makes a repeated put harmless.

use std::time::Duration;

use myelin_cell::{ApplyCx, Auth, Event};
use myelin_error::{Result, err};
use myelin_slab::Slab;
use myelin_slab::tables::MultiQueue;
use myelin_value::{Map, Value, guid_of};
use parking_lot::{Condvar, Mutex};

use super::{Part, Pusher, now_millis};

/// The queues of a cortex.
pub struct Queues {
    slab: Slab,
    user: MultiQueue,
    package: MultiQueue,
    auth: Auth,
    pusher: Pusher,
    /// Counts puts and removals, so that readers which wait can look again.
    changes: Mutex<u64>,
    changed: Condvar,
}

/// Which queue is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueName {
    /// A user's queue.
    User(String),
    /// A queue of a package.
    Package {
        /// The package.
        pkgname: String,
        /// The queue.
        name: String,
    },
}

impl QueueName {
    fn stored(&self) -> String {
        match self {
            QueueName::User(name) => name.clone(),
            QueueName::Package { pkgname, name } => package_iden(pkgname, name),
        }
    }

    /// The event of that verb and the arguments that name the queue.
    fn event(&self, verb: &str) -> (String, Vec<Value>) {
        match self {
            QueueName::User(name) => (format!("queue:{verb}"), vec![name.as_str().into()]),
            QueueName::Package { pkgname, name } => {
                (format!("storm:pkg:queue:{verb}"), vec![pkgname.as_str().into(), name.as_str().into()])
            }
        }
    }
}

/// The name under which a package's queue is stored.
pub fn package_iden(pkgname: &str, name: &str) -> String {
    guid_of(&Value::from([pkgname, name]))
}

/// The auth gate of a user's queue.
pub fn gate_of(name: &str) -> String {
    format!("queue:{name}")
}

impl Queues {
    /// Opens both kinds in `slabs/queues.lmdb`.
    pub fn open(slab: Slab, auth: Auth, pusher: Pusher) -> Result<Queues> {
        let reqids = MultiQueue::reqids(&slab)?;
        let user = MultiQueue::open(&slab, "cortex:queue", reqids.clone())?;
        let package = MultiQueue::open(&slab, "storm:pkg:queue", reqids)?;
        Ok(Queues { slab, user, package, auth, pusher, changes: Mutex::new(0), changed: Condvar::new() })
    }

    fn of(&self, name: &QueueName) -> &MultiQueue {
        match name {
            QueueName::User(_) => &self.user,
            QueueName::Package { .. } => &self.package,
        }
    }

    /// Whether there is such a queue.
    pub fn exists(&self, name: &QueueName) -> bool {
        self.of(name).exists(&name.stored())
    }

    fn require(&self, name: &QueueName) -> Result<()> {
        if self.exists(name) {
            return Ok(());
        }
        Err(match name {
            QueueName::User(name) => {
                err!("NoSuchName", mesg = format!("There is no queue named {name}."), name = name.as_str())
            }
            QueueName::Package { pkgname, name } => {
                err!(
                    "NoSuchName",
                    mesg = format!("The package {pkgname} has no queue named {name}."),
                    name = name.as_str()
                )
            }
        })
    }

    /// Makes a queue; a user's queue belongs to its creator.
    pub fn add(&self, name: &QueueName, creator: Option<&str>) -> Result<()> {
        if self.exists(name) {
            return Err(err!("DupName", mesg = format!("A queue named {} exists already.", name.stored())));
        }
        let info = match name {
            QueueName::User(_) => Map::new().with("time", now_millis()).with("creator", creator),
            QueueName::Package { pkgname, name } => Map::new()
                .with("iden", package_iden(pkgname, name))
                .with("name", name.as_str())
                .with("pkgname", pkgname.as_str())
                .with("created", now_millis()),
        };
        let (event, mut args) = name.event("add");
        args.push(info.into());
        self.pusher.push(&event, args).map(drop)
    }

    /// Deletes a queue with everything in it.
    pub fn del(&self, name: &QueueName) -> Result<()> {
        if !self.exists(name) {
            return Err(err!("NoSuchName", mesg = format!("There is no queue named {}.", name.stored())));
        }
        let (event, args) = name.event("del");
        self.pusher.push(&event, args).map(drop)
    }

    /// Name, info, size and next offset of a queue.
    pub fn status(&self, name: &QueueName) -> Result<Map> {
        self.require(name)?;
        self.of(name).status(&name.stored())
    }

    /// The status of every user's queue.
    pub fn list(&self) -> Vec<Map> {
        self.user.list()
    }

    /// The status of every queue of a package, or of all packages.
    pub fn list_packages(&self, pkgname: Option<&str>) -> Vec<Map> {
        let mut rows = self.package.list();
        rows.retain(|row| {
            pkgname.is_none_or(|want| row.get("meta").and_then(|meta| meta.get("pkgname")?.as_str()) == Some(want))
        });
        rows
    }

    /// Appends items and returns the offset of the first.
    pub fn puts(&self, name: &QueueName, items: Vec<Value>) -> Result<Value> {
        self.require(name)?;
        let (event, mut args) = name.event("puts");
        args.push(items.into());
        self.pusher.push(&event, args)
    }

    /// The first item from an offset on. With `wait`, waits for one as long as `keep_waiting` says.
    pub fn get(
        &self,
        name: &QueueName,
        offs: u64,
        wait: bool,
        keep_waiting: &dyn Fn() -> Result<()>,
    ) -> Result<Option<(u64, Value)>> {
        loop {
            let seen = *self.changes.lock();
            self.require(name)?;
            let found = self.of(name).get(&self.slab.read_fresh()?, &name.stored(), offs)?;
            if found.is_some() || !wait {
                return Ok(found);
            }
            keep_waiting()?;
            let mut changes = self.changes.lock();
            if *changes == seen {
                // Wakes by itself now and then, so that a cancelled query does not wait for the next put.
                self.changed.wait_for(&mut changes, Duration::from_millis(100));
            }
        }
    }

    /// Items from an offset on.
    pub fn gets(&self, name: &QueueName, offs: u64, size: Option<usize>) -> Result<Vec<(u64, Value)>> {
        self.require(name)?;
        self.of(name).gets(&self.slab.read_fresh()?, &name.stored(), offs, size)
    }

    /// Removes everything up to an offset, which is included.
    pub fn cull(&self, name: &QueueName, offs: u64) -> Result<()> {
        self.require(name)?;
        let (event, mut args) = name.event("cull");
        args.push(offs.into());
        self.pusher.push(&event, args).map(drop)
    }

    /// Removes the item at an offset and returns `[offset, item]`, or null.
    pub fn pop(&self, name: &QueueName, offs: u64) -> Result<Value> {
        self.require(name)?;
        let (event, mut args) = name.event("pop");
        args.push(offs.into());
        self.pusher.push(&event, args)
    }

    /// How many items a queue has.
    pub fn size(&self, name: &QueueName) -> Result<u64> {
        self.require(name)?;
        Ok(self.of(name).size(&name.stored()))
    }

    fn wake(&self) {
        *self.changes.lock() += 1;
        self.changed.notify_all();
    }

    fn apply_add(&self, cx: &mut ApplyCx<'_>, name: &QueueName, info: &Value) -> Result<Value> {
        if self.exists(name) {
            return Ok(Value::Null);
        }
        if let QueueName::User(queue) = name {
            let gate = gate_of(queue);
            self.auth.add_gate(cx, &gate, "queue")?;
            if let Some(creator) = info.get("creator").and_then(Value::as_str) {
                self.auth.apply_user_info(cx, creator, "admin", Value::from(true), Some(&gate))?;
            }
        }
        self.of(name).add(cx, &name.stored(), info)?;
        Ok(Value::Null)
    }

    fn apply_del(&self, cx: &mut ApplyCx<'_>, name: &QueueName) -> Result<Value> {
        if !self.exists(name) {
            return Ok(Value::Null);
        }
        if let QueueName::User(queue) = name
            && self.auth.gate(&gate_of(queue)).is_some()
        {
            self.auth.del_gate(cx, &gate_of(queue))?;
        }
        self.of(name).rem(cx, &name.stored())?;
        self.wake();
        Ok(Value::Null)
    }
}

impl Part for Queues {
    fn events(&self) -> &'static [&'static str] {
        &[
            "queue:add",
            "queue:del",
            "queue:puts",
            "queue:cull",
            "queue:pop",
            "storm:pkg:queue:add",
            "storm:pkg:queue:del",
            "storm:pkg:queue:puts",
            "storm:pkg:queue:cull",
            "storm:pkg:queue:pop",
        ]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let (name, rest, verb) = match event.name.strip_prefix("storm:pkg:queue:") {
            Some(verb) => {
                let (pkgname, name) = (event.str_arg(0, "pkgname")?.to_owned(), event.str_arg(1, "name")?.to_owned());
                (QueueName::Package { pkgname, name }, 2, verb)
            }
            None => {
                let name = QueueName::User(event.str_arg(0, "name")?.to_owned());
                (name, 1, event.name.strip_prefix("queue:").unwrap_or_default())
            }
        };
        let offs = || {
            event
                .arg(rest, "offs")
                .as_u64()
                .ok_or_else(|| err!("BadArg", mesg = "A queue's offset is a number.", name = "offs"))
        };
        match verb {
            "add" => self.apply_add(cx, &name, event.arg(rest, "info")),
            "del" => self.apply_del(cx, &name),
            "puts" => {
                self.require(&name)?;
                let reqid = Value::from(cx.offs);
                let first = self.of(&name).puts(cx, &name.stored(), event.list_arg(rest, "items")?, Some(reqid))?;
                self.wake();
                Ok(first.into())
            }
            "cull" => {
                self.require(&name)?;
                self.of(&name).cull(cx, &name.stored(), offs()?)?;
                Ok(Value::Null)
            }
            _ => {
                self.require(&name)?;
                let popped = self.of(&name).pop(cx, &name.stored(), offs()?)?;
                Ok(popped.map_or(Value::Null, |(offs, item)| Value::list([Value::from(offs), item])))
            }
        }
    }
}
