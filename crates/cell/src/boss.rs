//! The tasks of a service: what runs, for whom, since when, and how to stop it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_value::{Map, Value, rand_guid};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::auth::User;
use crate::version::now;

/// The tasks of a service. Cheap to clone.
#[derive(Clone, Default)]
pub struct Boss(Arc<Inner>);

#[derive(Default)]
struct Inner {
    tasks: Mutex<IndexMap<String, Arc<TaskState>>>,
    shut: AtomicBool,
}

struct TaskState {
    iden: String,
    name: String,
    info: Mutex<Map>,
    tick: i64,
    user: Option<User>,
    root: Option<String>,
    kids: Mutex<HashMap<String, Arc<TaskState>>>,
    background: AtomicBool,
    protected: AtomicBool,
    cancel: CancellationToken,
}

/// A running task. It leaves the list when the handle is dropped.
pub struct Task {
    boss: Boss,
    state: Arc<TaskState>,
}

impl Boss {
    /// Starts a task for a user. Fails with `ShuttingDown` once the service ends, with `DupIden` for an iden in use.
    pub fn promote(&self, name: &str, user: Option<User>, info: Map, iden: Option<String>) -> Result<Task> {
        self.start(name, user, info, iden, None)
    }

    fn start(
        &self,
        name: &str,
        user: Option<User>,
        info: Map,
        iden: Option<String>,
        root: Option<&Task>,
    ) -> Result<Task> {
        self.check_open()?;
        let iden = iden.unwrap_or_else(rand_guid);
        let state = Arc::new(TaskState {
            iden: iden.clone(),
            name: name.to_owned(),
            info: Mutex::new(info),
            tick: now(),
            user,
            root: root.map(|task| task.state.iden.clone()),
            kids: Mutex::default(),
            background: AtomicBool::new(false),
            protected: AtomicBool::new(false),
            cancel: root.map_or_else(CancellationToken::new, |task| task.state.cancel.child_token()),
        });
        let mut tasks = self.0.tasks.lock();
        if tasks.contains_key(&iden) {
            return Err(err!("DupIden", mesg = format!("There is a task with the iden {iden} already."), iden = iden));
        }
        if let Some(root) = root {
            root.state.kids.lock().insert(iden.clone(), state.clone());
        }
        tasks.insert(iden, state.clone());
        Ok(Task { boss: self.clone(), state })
    }

    /// Tasks that are nobody's child, oldest first.
    pub fn ps(&self) -> Vec<TaskInfo> {
        self.0.tasks.lock().values().filter(|task| task.root.is_none()).cloned().map(TaskInfo).collect()
    }

    /// A task by its iden.
    pub fn get(&self, iden: &str) -> Option<TaskInfo> {
        self.0.tasks.lock().get(iden).cloned().map(TaskInfo)
    }

    fn check_open(&self) -> Result<()> {
        if self.0.shut.load(Ordering::Acquire) {
            return Err(err!("ShuttingDown", mesg = "The service is shutting down."));
        }
        Ok(())
    }

    /// Lets no new task start, and stops those that run unless they are to finish. True when none is left in time.
    pub async fn shutdown(&self, drain: bool, timeout: Option<std::time::Duration>) -> bool {
        self.0.shut.store(true, Ordering::Release);
        let tops = || self.ps().into_iter().filter(|task| !task.0.background.load(Ordering::Acquire));
        if !drain {
            tops().for_each(|task| task.0.cancel.cancel());
        }
        let until = timeout.map(|timeout| std::time::Instant::now() + timeout);
        while tops().next().is_some() {
            if until.is_some_and(|until| std::time::Instant::now() > until) {
                self.0.shut.store(false, Ordering::Release);
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        true
    }
}

/// A task as others see it.
#[derive(Clone)]
pub struct TaskInfo(Arc<TaskState>);

impl TaskInfo {
    /// Its iden.
    pub fn iden(&self) -> &str {
        &self.0.iden
    }

    /// Whose it is.
    pub fn user(&self) -> Option<&User> {
        self.0.user.as_ref()
    }

    /// Stops it. A protected task refuses with false.
    pub fn kill(&self) -> bool {
        if self.0.protected.load(Ordering::Acquire) {
            return false;
        }
        self.0.cancel.cancel();
        true
    }

    /// The form of `ps`.
    pub fn pack(&self) -> Map {
        let kids =
            self.0.kids.lock().values().map(|kid| (kid.iden.clone(), TaskInfo(kid.clone()).pack())).collect::<Map>();
        self.common().with("user", self.0.user.as_ref().map_or("root".into(), |user| user.name())).with("kids", kids)
    }

    /// The form of `getTasks`.
    pub fn packv2(&self) -> Map {
        let kids =
            self.0.kids.lock().values().map(|kid| (kid.iden.clone(), TaskInfo(kid.clone()).packv2())).collect::<Map>();
        let user = self.0.user.as_ref();
        self.common()
            .with("user", user.map_or(Value::Null, |user| user.iden().into()))
            .with("username", user.map_or(Value::Null, |user| user.name().into()))
            .with("protected", self.0.protected.load(Ordering::Acquire))
            .with("background", self.0.background.load(Ordering::Acquire))
            .with("kids", kids)
    }

    fn common(&self) -> Map {
        Map::new()
            .with("iden", &self.0.iden)
            .with("name", &self.0.name)
            .with("info", self.0.info.lock().clone())
            .with("tick", self.0.tick)
    }
}

impl Task {
    /// Its iden.
    pub fn iden(&self) -> &str {
        &self.state.iden
    }

    /// Whose it is.
    pub fn user(&self) -> Option<&User> {
        self.state.user.as_ref()
    }

    /// Cancelled when the task is to stop.
    pub fn cancel(&self) -> &CancellationToken {
        &self.state.cancel
    }

    /// Changes what `ps` says of it.
    pub fn set_info(&self, key: &str, valu: impl Into<Value>) {
        self.state.info.lock().insert(key, valu);
    }

    /// A background task does not hold up a shutdown.
    pub fn set_background(&self, background: bool) {
        self.state.background.store(background, Ordering::Release);
    }

    /// A protected task cannot be killed by users.
    pub fn set_protected(&self, protected: bool) {
        self.state.protected.store(protected, Ordering::Release);
    }

    /// Starts a part of this task.
    pub fn child(&self, name: &str, info: Map) -> Result<Task> {
        self.boss.start(name, self.state.user.clone(), info, None, Some(self))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut tasks = self.boss.0.tasks.lock();
        tasks.shift_remove(&self.state.iden);
        if let Some(root) = self.state.root.as_ref().and_then(|root| tasks.get(root)) {
            root.kids.lock().remove(&self.state.iden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_listed_while_they_run() {
        let boss = Boss::default();
        let task = boss.promote("storm", None, Map::new().with("query", "inet:fqdn"), None).expect("task");
        let kid = task.child("part", Map::new()).expect("kid");
        assert_eq!(boss.ps().len(), 1);
        assert_eq!(boss.ps()[0].pack().get("kids").and_then(|kids| kids.as_map()).map(Map::len), Some(1));
        assert!(boss.get(task.iden()).expect("found").kill() && kid.cancel().is_cancelled());
        drop((kid, task));
        assert!(boss.ps().is_empty());
    }
}
