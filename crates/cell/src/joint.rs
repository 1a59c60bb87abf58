//! One handler for a cell's own events and those of the service it carries: both have the cell's iden.

use std::sync::Arc;

use myelin_error::Result;
use myelin_slab::Slab;
use myelin_value::Value;

use crate::nexus::{ApplyCx, Event, NexsHandler};
use crate::{Cell, CellEvents};

struct Joint {
    cell: CellEvents,
    service: Arc<dyn NexsHandler>,
    events: Vec<&'static str>,
}

impl Cell {
    /// Adds the events of the service. `events` are their names.
    pub fn add_service_events(&self, events: &'static [&'static str], service: Arc<dyn NexsHandler>) {
        let events = Cell::base_events().iter().chain(events).copied().collect();
        let joint = Joint { cell: CellEvents(self.clone()), service, events };
        self.nexus().add_handler(self.iden(), Arc::new(joint));
    }
}

impl Joint {
    fn side(&self, event: &Event) -> &dyn NexsHandler {
        if Cell::base_events().contains(&event.name.as_str()) { &self.cell } else { &*self.service }
    }
}

impl NexsHandler for Joint {
    fn events(&self) -> &[&str] {
        &self.events
    }

    fn homes(&self, event: &Event) -> Vec<Slab> {
        self.side(event).homes(event)
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        self.side(event).apply(cx, event)
    }
}
