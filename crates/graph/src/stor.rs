//! Walks over everything a layer holds: its storage nodes, the edits that would make them, the values of a property.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_model::StorType;
use myelin_slab::{Reads, Scan as Walk};
use myelin_value::{Buid, Value};

use crate::apply::sode_edits;
use crate::edit::{EditOp, NodeEdit};
use crate::index;
use crate::layer::Layer;
use crate::scan::{Scan, Span};
use crate::sode::SodeRef;

/// Edits handed out together at most, when a node has many edges.
const EDITS_A_BATCH: usize = 100;

/// A walk over the storage nodes of a layer, in order of their buids.
pub struct SodeWalk {
    layer: Arc<Layer>,
    scan: Scan,
}

impl SodeWalk {
    /// The next storage node's bytes; they live until the walk goes on.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn next_sode(&mut self) -> Result<Option<(Buid, SodeRef<'_>)>> {
        if !self.scan.advance()? {
            return Ok(None);
        }
        let buid = Buid::from_slice(self.scan.key());
        let buid = buid.ok_or_else(|| err!("BadCoreStore", mesg = "A storage node has a key that is no buid."))?;
        Ok(Some((buid, SodeRef::new(self.scan.valu()))))
    }

    /// The next node as edits that would make it: a list, since one with many edges comes in parts.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn next_edits(&mut self) -> Result<Option<Vec<NodeEdit>>> {
        let layer = self.layer.clone();
        loop {
            let Some((buid, sode)) = self.next_sode()? else { return Ok(None) };
            let Some(form) = sode.form()? else { continue };
            let form: Arc<str> = Arc::from(form);
            let mut ops = sode_edits(sode)?;
            for name in layer.node_data_names(&buid)? {
                if let Some(valu) = layer.node_data(&buid, &name)? {
                    ops.push(EditOp::DataSet { name: Arc::from(name), valu, old: Value::Null });
                }
            }
            let mut parts = Vec::new();
            let mut edges = layer.edge_scan(&buid)?;
            while edges.advance()? {
                let verb = String::from_utf8_lossy(&edges.key()[32..]).into_owned();
                let Some(n2) = Buid::from_slice(edges.valu()) else { continue };
                ops.push(EditOp::EdgeAdd { verb: Arc::from(verb), n2 });
                if ops.len() >= EDITS_A_BATCH {
                    parts.push(NodeEdit::new(buid, form.clone(), std::mem::take(&mut ops)));
                }
            }
            parts.push(NodeEdit::new(buid, form, ops));
            return Ok(Some(parts));
        }
    }
}

/// A walk over the values of a property, each once, with their index bytes.
pub struct ValuWalk {
    layer: Arc<Layer>,
    scan: Scan,
    prop: Option<Arc<str>>,
    stor: StorType,
    last: Option<Vec<u8>>,
}

impl ValuWalk {
    /// The next value: its index bytes and itself.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn next_valu(&mut self) -> Result<Option<(Vec<u8>, Value)>> {
        while self.scan.advance()? {
            let indx = self.scan.key().get(8..).unwrap_or_default();
            if self.last.as_deref() == Some(indx) {
                continue;
            }
            let indx = indx.to_vec();
            let valu = match index::decode_item(self.stor, &indx) {
                Some(valu) => Some(valu),
                None => self.stored()?,
            };
            self.last = Some(indx.clone());
            if let Some(valu) = valu {
                return Ok(Some((indx, valu)));
            }
        }
        Ok(None)
    }

    fn stored(&self) -> Result<Option<Value>> {
        let Some(buid) = Buid::from_slice(self.scan.valu()) else { return Ok(None) };
        let Some(byts) = self.layer.sode(&buid)? else { return Ok(None) };
        let sode = SodeRef::new(&byts);
        let stored = match &self.prop {
            None => sode.valu()?,
            Some(prop) => sode.prop(prop)?,
        };
        Ok(stored.map(|(valu, _)| valu))
    }
}

impl Layer {
    /// All storage nodes.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn sode_walk(self: &Arc<Layer>) -> Result<SodeWalk> {
        let scan = Scan::fresh(&self.slab, self.tables.bybuid, Span::prefix(&[]), false)?;
        Ok(SodeWalk { layer: self.clone(), scan })
    }

    /// The values of a property (of a form without `prop`, of a universal property without `form`), each once.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn valu_walk(
        self: &Arc<Layer>,
        form: Option<&str>,
        prop: Option<&str>,
        stor: StorType,
    ) -> Result<Option<ValuWalk>> {
        let Some(abrv) = self.prop_abrv(form, prop) else { return Ok(None) };
        let scan = Scan::fresh(&self.slab, self.tables.byprop, Span::prefix(&abrv), false)?;
        let stor = if stor.is_array() { StorType::MSGP } else { stor };
        Ok(Some(ValuWalk { layer: self.clone(), scan, prop: prop.map(Arc::from), stor, last: None }))
    }

    /// The verbs in use.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn verbs(&self) -> Result<Vec<String>> {
        let keys = self.read_now(&self.slab, |txn| txn.now_keys(self.tables.byverb, &[]))?;
        Ok(keys.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect())
    }

    /// The edges that go out of a node here.
    pub(crate) fn edge_scan(&self, buid: &Buid) -> Result<Scan> {
        Scan::fresh(&self.slab, self.tables.edgesn1, Span::prefix(&buid.0), false)
    }
}

/// Tags as a tree.
impl Layer {
    /// The tags with nodes here whose names start with `pref` and go on for at most `depth` more separators. What lies
    /// deeper is jumped over and not read.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn tags_by_prefix(&self, pref: &str, depth: usize) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let Some(abrv) = self.prop_abrv(Some("syn:tag"), None) else { return Ok(tags) };
        let full = [&abrv[..], pref.as_bytes()].concat();
        let txn = self.slab.read_fresh()?;
        let mut from = full.clone();
        while let Some(row) = txn.scan(self.tables.byprop, Walk::PrefixFrom(&from, &full))?.next() {
            let key = row?.0;
            let tail = &key[full.len()..];
            let seps = tail.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
            from.clear();
            match seps.clone().nth(depth) {
                None => {
                    tags.push(String::from_utf8_lossy(&key[8..]).into_owned());
                    from.extend_from_slice(key);
                    from.push(0);
                }
                Some(at) => {
                    // Behind every tag below this one: the byte after the separator.
                    from.extend_from_slice(&key[..full.len() + at]);
                    from.push(b'.' + 1);
                }
            }
        }
        Ok(tags)
    }
}
