//! The parts of a cortex: each keeps one kind of record, with its events, its checks and its tests in one file.
//!
//! A [`Part`] applies its events on the writer thread; its other methods are what Storm and the telepath API call. They
//! check and prepare, then push the event through a [`Pusher`]. What is made by chance or by the clock (idens, times) is
//! made before the event is pushed, so that mirrors apply the same.

pub mod cron;
pub mod dmons;
pub mod easyperm;
pub mod extmodel;
pub mod graphs;
pub mod httpapi;

pub mod packages;

pub mod macros;
pub mod oauth;
pub mod pool;
pub mod queues;
pub mod services;
pub mod stores;
pub mod tagmodel;
pub mod triggers;
pub mod trigq;
pub mod vars;
pub mod vaults;

use std::collections::HashMap;
use std::sync::Arc;

use myelin_cell::{ApplyCx, Cell, CellEvents, Event, NexsHandler, Nexus};
use myelin_error::Result;
use myelin_value::{Map, Value};

/// One kind of record, and the events that change it.
pub trait Part: Send + Sync {
    /// The names of its events.
    fn events(&self) -> &'static [&'static str];

    /// Applies one event. Must be harmless when repeated right after itself.
    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value>;
}

/// Pushes the cortex's own events.
#[derive(Clone)]
pub struct Pusher {
    nexus: Nexus,
    iden: Arc<str>,
}

impl Pusher {
    /// A pusher for the events of one nexsiden.
    pub fn new(nexus: Nexus, iden: impl Into<Arc<str>>) -> Pusher {
        Pusher { nexus, iden: iden.into() }
    }

    /// The nexus itself.
    pub fn nexus(&self) -> &Nexus {
        &self.nexus
    }

    /// Logs and applies an event; what its handler returned. Blocks.
    pub fn push(&self, event: &str, args: impl IntoIterator<Item = Value>) -> Result<Value> {
        self.push_kw(event, args, Map::new())
    }

    /// The same with named arguments.
    pub fn push_kw(&self, event: &str, args: impl IntoIterator<Item = Value>, kwargs: Map) -> Result<Value> {
        self.nexus.push(&self.iden, event, args.into_iter().collect(), kwargs).map(|(_offs, valu)| valu)
    }
}

/// The handler of the cortex's nexsiden: every event goes to the part that knows it, the cell's own to the cell.
pub struct Parts {
    names: Vec<&'static str>,
    by_event: HashMap<&'static str, Arc<dyn Part>>,
    cell: CellEvents,
}

impl Parts {
    /// A handler over the given parts. No two may know the same event.
    pub fn new(cell: &Cell, parts: impl IntoIterator<Item = Arc<dyn Part>>) -> Parts {
        let mut by_event = HashMap::new();
        for part in parts {
            for name in part.events() {
                let taken = by_event.insert(*name, part.clone()).is_some();
                assert!(!taken, "two parts know the event {name}");
            }
        }
        let mut names: Vec<_> = by_event.keys().copied().collect();
        names.extend(Cell::base_events());
        Parts { names, by_event, cell: CellEvents(cell.clone()) }
    }
}

impl NexsHandler for Parts {
    fn events(&self) -> &[&str] {
        &self.names
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match self.by_event.get(event.name.as_str()) {
            Some(part) => part.apply(cx, event),
            None => self.cell.apply(cx, event),
        }
    }
}

/// Milliseconds since the epoch.
pub fn now_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
