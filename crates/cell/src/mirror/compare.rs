//! Comparing what a mirror holds with what its leader holds, while both go on: see
//! [`StateSum`](myelin_slab::tables::StateSum).
//!
//! A mirror takes its sums at one offset of the log and sends them to the leader, which remembers what its own were when it
//! was there. A difference is looked at a second time before it is believed. It is then an error in the log of both, a
//! metric (`getCellInfo`, under `myelin`), a component of the health check, and with `mirror:resync` the mirror rebuilds
//! itself. Leaders of the original do not know the call and are not asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};
use parking_lot::Mutex;

use super::link::Lost;
use crate::Cell;
use crate::version::now;

/// The feature of services that can be asked.
pub(crate) const FEATURE: &str = "statesums";
/// How long after the begin of a connection the first look is taken.
const FIRST: Duration = Duration::from_secs(1);
/// How long until a difference is looked at again, and until an unknown sum has been counted.
const AGAIN: Duration = Duration::from_secs(1);
/// Members whose differences are remembered at most.
const MAX_MEMBERS: usize = 100;

/// A part of a service's state that has a sum.
pub trait HasSum: Send + Sync {
    /// The sum when everything below an offset of the nexus log was applied, or now. Nothing if that is not known.
    fn state_sum(&self, next: Option<u64>) -> Option<u64>;

    /// Counts what the sum begins with where that is not known. Blocks.
    ///
    /// # Errors
    /// What reading fails with.
    fn count_sum(&self) -> Result<()>;
}

/// Says which parts there are at the moment, by name.
pub type SumsFunc = Arc<dyn Fn() -> Vec<(String, Arc<dyn HasSum>)> + Send + Sync>;

/// What is known of differences.
#[derive(Default)]
pub(crate) struct Compared {
    /// Of this mirror's state to its leader's: the last look.
    own: Mutex<Option<Look>>,
    /// Of mirrors' states to this one's, by the iden of their run: the names of the parts.
    members: Mutex<BTreeMap<String, Vec<String>>>,
    counting: AtomicBool,
}

#[derive(Clone)]
struct Look {
    time: i64,
    offs: u64,
    parts: usize,
    unknown: usize,
    differ: Vec<String>,
}

impl Cell {
    /// Adds parts of the state that are compared.
    pub fn add_sums(&self, func: SumsFunc) {
        self.inner().sums.write().push(func);
    }

    fn summed(&self) -> Vec<(String, Arc<dyn HasSum>)> {
        let funcs = self.inner().sums.read().clone();
        let auth: Arc<dyn HasSum> = Arc::new(self.auth().clone());
        std::iter::once(("auth".to_owned(), auth)).chain(funcs.iter().flat_map(|func| func())).collect()
    }

    /// The next offset of the log, and every known sum as of it.
    async fn sums_now(&self) -> Result<(u64, Map, bool)> {
        let cell = self.clone();
        let look = move || {
            let mut all = true;
            let mut sums = Map::new();
            for (name, part) in cell.summed() {
                match part.state_sum(None) {
                    Some(sum) => drop(sums.insert(name, format!("{sum:016x}"))),
                    None => all = false,
                }
            }
            (cell.nexus().index(), sums, all)
        };
        // On the writer nothing changes between one part and the next.
        self.writer().run_async(move |_| Ok(look())).await
    }

    /// Counts in the background what is not known.
    fn count_sums(&self) {
        if self.standing().compared.counting.swap(true, Ordering::AcqRel) {
            return;
        }
        let cell = self.clone();
        let spawned = std::thread::Builder::new().name("sums".to_owned()).spawn(move || {
            for (name, part) in cell.summed() {
                if cell.done().is_cancelled() {
                    break;
                }
                if let Err(error) = part.count_sum() {
                    tracing::warn!(name, %error, "what is held could not be summed up, and is not compared");
                }
            }
            cell.standing().compared.counting.store(false, Ordering::Release);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "what is held could not be summed up, and is not compared");
            self.standing().compared.counting.store(false, Ordering::Release);
        }
    }

    /// Compares a mirror's sums as of an offset with what this service had there. Called by mirrors.
    ///
    /// # Errors
    /// `BadArg` for sums that are none.
    pub(crate) fn compare_sums(&self, run: &str, next: u64, theirs: &Map) -> Result<Map> {
        let (mut differ, mut unknown) = (Vec::new(), Vec::new());
        let parts: BTreeMap<String, Arc<dyn HasSum>> = self.summed().into_iter().collect();
        // What was before this start is not remembered.
        let known = next >= self.standing().sums_from.load(Ordering::Acquire);
        for (name, sum) in theirs.text_entries() {
            let bad =
                || err!("BadArg", mesg = format!("The sum of {name} is no text of 16 hex digits."), name = "sums");
            let sum = u64::from_str_radix(sum.as_str().ok_or_else(bad)?, 16).map_err(|_| bad())?;
            let ours = parts.get(name).filter(|_| known).and_then(|part| part.state_sum(Some(next)));
            match ours {
                None => unknown.push(name.to_owned()),
                Some(ours) if ours != sum => differ.push(name.to_owned()),
                Some(_) => {}
            }
        }
        if parts.values().any(|part| part.state_sum(None).is_none()) {
            self.count_sums();
        }
        let list = |names: &[String]| names.iter().map(Value::from).collect::<Value>();
        let told = Map::new().with("differ", list(&differ)).with("unknown", list(&unknown));
        let mut members = self.standing().compared.members.lock();
        if differ.is_empty() || members.len() >= MAX_MEMBERS {
            members.remove(run);
        } else if members.insert(run.to_owned(), differ.clone()).is_some_and(|old| old == differ) {
            // The second look: the first may have been between two changes.
            tracing::error!(run, offset = next, differ = ?differ, "a mirror holds something else than this service");
        }
        Ok(told)
    }

    /// Compares this mirror with its leader from time to time, over a connection. Returns only when it has to be rebuilt.
    pub(super) async fn compare_with(&self, proxy: &Proxy, can: bool) -> Lost {
        let period = self.conf().int("mirror:check").and_then(|secs| u64::try_from(secs).ok()).unwrap_or_default();
        if !can || period == 0 {
            return std::future::pending().await;
        }
        tokio::time::sleep(FIRST).await;
        let mut doubted: Option<Vec<String>> = None;
        loop {
            let look = match self.look_at_sums(proxy).await {
                Ok(look) => look,
                Err(error) => {
                    tracing::warn!(%error, "what this mirror holds could not be compared with its leader");
                    tokio::time::sleep(Duration::from_secs(period)).await;
                    continue;
                }
            };
            let doubtful = !look.differ.is_empty() && doubted.as_ref() != Some(&look.differ);
            let pause = if doubtful || look.unknown > 0 { AGAIN } else { Duration::from_secs(period) };
            doubted = Some(look.differ.clone());
            if doubtful {
                tokio::time::sleep(pause).await;
                continue;
            }
            let names = look.differ.join(", ");
            let known = self.standing().compared.own.lock().replace(look.clone());
            if !look.differ.is_empty() && known.is_none_or(|known| known.differ != look.differ) {
                tracing::error!(
                    offset = look.offs,
                    differ = names,
                    "this mirror has diverged: it holds something else than its leader; rebuild it (mirror:resync)"
                );
            }
            if !look.differ.is_empty() && self.conf().is_on("mirror:resync") {
                let mesg = format!("This mirror has diverged: it holds something else than its leader in {names}.");
                return Lost::Fatal(err!("BadState", mesg = mesg, offset = look.offs));
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn look_at_sums(&self, proxy: &Proxy) -> Result<Look> {
        let (offs, sums, all) = self.sums_now().await?;
        if !all {
            self.count_sums();
        }
        let parts = sums.len();
        let told = proxy.call(Todo::new("compareStateSums").arg(self.run_id()).arg(offs).arg(sums)).await?;
        let names = |key: &str| -> Vec<String> {
            let listed = told.get(key).and_then(Value::as_list).unwrap_or_default();
            listed.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let unknown = names("unknown").len() + usize::from(!all);
        Ok(Look { time: now(), offs, parts, unknown, differ: names("differ") })
    }

    /// What `getCellInfo` says of comparisons.
    pub(crate) fn sums_info(&self) -> Map {
        let compared = &self.standing().compared;
        let list = |names: &[String]| names.iter().map(Value::from).collect::<Value>();
        let mut info = Map::new();
        if let Some(look) = &*compared.own.lock() {
            info.insert("checked", look.time);
            info.insert("offset", look.offs);
            info.insert("parts", look.parts as i64);
            info.insert("unknown", look.unknown as i64);
            info.insert("differ", list(&look.differ));
        }
        let members = compared.members.lock();
        let members: Map = members.iter().map(|(run, names)| (run.as_str(), list(names))).collect();
        info.with("members", members)
    }

    /// Adds the last comparison to a health check.
    pub(crate) fn sums_health(&self, check: &mut crate::cell::HealthCheck) {
        let Some(look) = self.standing().compared.own.lock().clone().filter(|_| !self.is_active()) else { return };
        if look.differ.is_empty() {
            return;
        }
        let data = Map::new().with("differ", look.differ.iter().map(Value::from).collect::<Value>());
        check.update("mirror", "failed", "This mirror holds something else than its leader.", data);
    }
}
