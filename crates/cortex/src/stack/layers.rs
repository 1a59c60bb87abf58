//! Events of one layer, and the way of its edits through the nexus.

use std::sync::Arc;

use myelin_cell::{ApplyCx, Event, NexsHandler, Nexus, pack_entry};
use myelin_error::Result;
use myelin_graph::{EditSink, Layer, NodeEdit, pack_edits, unpack_edits, write_edits};
use myelin_slab::tables::SafeKeyVal;
use myelin_slab::{Slab, WriteCx};
use myelin_value::{Map, Value, msgpack};

use crate::follow::Stir;

/// Sends a layer's edits through the nexus.
pub(super) struct NexusSink {
    nexus: Nexus,
    stir: Stir,
}

impl NexusSink {
    pub(super) fn new(nexus: Nexus, stir: Stir) -> NexusSink {
        NexusSink { nexus, stir }
    }
}

impl EditSink for NexusSink {
    fn push_edits(&self, layer: &Layer, edits: &[NodeEdit], meta: &Value, later: bool) -> Result<(u64, Vec<NodeEdit>)> {
        // Encoded once, straight into the log's entry, and applied as they are.
        let mut entry = Vec::with_capacity(512);
        pack_entry(&mut entry, layer.iden(), "edits", |out| {
            msgpack::write_array_len(out, 2);
            write_edits(out, edits);
            msgpack::encode_into(out, meta);
            msgpack::write_map_len(out, 0);
        });
        let apply = |cx: &mut ApplyCx<'_>| {
            let offs = Some(cx.offs);
            let done = layer.apply_edits(cx, edits, meta, offs)?;
            self.stir.stir();
            Ok(done)
        };
        let iden = layer.iden();
        let made = match later {
            true => self.nexus.push_unsettled(iden, &entry, apply),
            false => self.nexus.push_packed(iden, &entry, apply),
        };
        if let Some(done) = made? {
            return Ok(done);
        }
        // A mirror has its leader do it.
        let args = vec![pack_edits(edits), meta.clone()];
        let (offs, done) = self.nexus.push(layer.iden(), "edits", args, Map::new())?;
        Ok((offs, unpack_edits(&done)?))
    }
}

/// Applies the events of one layer; its record is written with them.
pub struct LayerHandler {
    layer: Arc<Layer>,
    stor: SafeKeyVal,
    stir: Stir,
}

impl LayerHandler {
    /// A handler for a layer whose record lies in the table `cortex`.
    pub fn new(layer: Arc<Layer>, stor: SafeKeyVal, stir: Stir) -> LayerHandler {
        LayerHandler { layer, stor, stir }
    }
}

impl NexsHandler for LayerHandler {
    fn events(&self) -> &[&str] {
        &["edits", "layer:set", "layer:set:modelvers", "layer:truncate"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let offs = Some(cx.offs);
        let done = self.layer.apply_event(cx, &event.name, &event.args, offs)?;
        if ["edits", "layer:truncate"].contains(&event.name.as_str()) {
            self.stir.stir();
        } else {
            self.stor.sub("layer:info:").set(cx, self.layer.iden(), &Value::from(self.layer.info()))?;
        }
        Ok(done)
    }

    fn homes(&self, event: &Event) -> Vec<Slab> {
        if event.name == "edits" { self.layer.slabs().into_iter().cloned().collect() } else { Vec::new() }
    }
}

/// Adds or removes a push or pull definition in a layer's record. An empty map stays behind the last one.
pub(super) fn set_sync(
    cx: &mut WriteCx,
    stor: &SafeKeyVal,
    layer: &Layer,
    kind: &str,
    adds: bool,
    arg: &Value,
) -> Result<()> {
    let mut info = layer.info();
    let mut defs = info.get(kind).and_then(Value::as_map).cloned().unwrap_or_default();
    if adds {
        let iden = arg.get("iden").and_then(Value::as_str).unwrap_or_default();
        if defs.contains(iden) {
            return Ok(());
        }
        defs.insert(iden, arg.clone());
    } else {
        defs.remove(arg.as_str().unwrap_or_default());
    }
    info.insert(kind, defs);
    stor.sub("layer:info:").set(cx, layer.iden(), &Value::from(info.clone()))?;
    layer.set_info(info);
    Ok(())
}
