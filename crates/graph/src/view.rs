//! A view: a stack of layers read as one, the top layer first. Edits go to the top one.
//!
//! What a node is in a view: the first primary value, property, tag and property of a tag found from the top down; node data
//! likewise by name; edges of all layers. There are no tombstones: a fork cannot hide what is below it.
//!
//! A lift of many layers merges their rows by index bytes and buid, and leaves out a row when a layer above the one it is
//! from has its own value there. So each node comes once for a value, from the layer that shows it.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_model::{StorCmpr, StorType};
use myelin_value::{Buid, Map, Value, ndef_buid};
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::edit::NodeEdit;
use crate::layer::Layer;
use crate::lift::{LayerLift, Lift, LiftBy, MergeKey, Stop};
use crate::node::{Node, Sodes};
use crate::scan::{Scan, Span};
use crate::sode::SodeRef;

/// Layers of a view, the top one first.
pub type Layers = Arc<[Arc<Layer>]>;

/// A view.
pub struct View {
    iden: Arc<str>,
    info: RwLock<Map>,
    layers: RwLock<Layers>,
    parent: RwLock<Option<Arc<View>>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({})", self.iden)
    }
}

/// What a view is.
impl View {
    /// A view over layers, the top one first. `info` is its record and holds `iden`.
    ///
    /// # Errors
    /// `BadArg` without layers.
    pub fn new(info: Map, layers: Vec<Arc<Layer>>) -> Result<Arc<View>> {
        if layers.is_empty() {
            return Err(err!("BadArg", mesg = "A view has one layer at least."));
        }
        Ok(Arc::new(View {
            iden: Arc::from(info.get_str("iden").unwrap_or_default()),
            info: RwLock::new(info),
            layers: RwLock::new(layers.into()),
            parent: RwLock::new(None),
        }))
    }

    /// Its iden.
    pub fn iden(&self) -> &Arc<str> {
        &self.iden
    }

    /// Its record.
    pub fn info(&self) -> Map {
        self.info.read().clone()
    }

    /// An entry of its record.
    pub fn info_get(&self, name: &str) -> Option<Value> {
        self.info.read().get(name).cloned()
    }

    /// Replaces its record.
    pub fn set_info(&self, info: Map) {
        *self.info.write() = info;
    }

    /// Its layers, the top one first.
    pub fn layers(&self) -> Layers {
        self.layers.read().clone()
    }

    /// Replaces its layers.
    ///
    /// # Errors
    /// `BadArg` without layers.
    pub fn set_layers(&self, layers: Vec<Arc<Layer>>) -> Result<()> {
        if layers.is_empty() {
            return Err(err!("BadArg", mesg = "A view has one layer at least."));
        }
        *self.layers.write() = layers.into();
        Ok(())
    }

    /// The top layer, where edits go.
    pub fn write_layer(&self) -> Arc<Layer> {
        self.layers.read()[0].clone()
    }

    /// The view it was forked from.
    pub fn parent(&self) -> Option<Arc<View>> {
        self.parent.read().clone()
    }

    /// Sets the view it was forked from.
    pub fn set_parent(&self, parent: Option<Arc<View>>) {
        *self.parent.write() = parent;
    }

    /// Whether it was forked from a view.
    pub fn is_fork(&self) -> bool {
        self.parent.read().is_some()
    }

    /// Grows with every change in one of its layers.
    pub fn version(&self) -> u64 {
        self.layers.read().iter().fold(0, |sum, layer| sum.wrapping_add(layer.version()))
    }

    /// Checks and stores edits in the top layer. Returns their offset and what was changed.
    ///
    /// # Errors
    /// As [`Layer::save_edits`].
    pub fn save_edits(&self, edits: &[NodeEdit], meta: &Value) -> Result<(u64, Vec<NodeEdit>)> {
        self.write_layer().save_edits(edits, meta)
    }

    /// The same, settled later.
    ///
    /// # Errors
    /// As [`Layer::save_edits_unsettled`].
    pub fn save_edits_unsettled(&self, edits: &[NodeEdit], meta: &Value) -> Result<(u64, Vec<NodeEdit>)> {
        self.write_layer().save_edits_unsettled(edits, meta)
    }
}

/// Nodes.
impl View {
    /// The node with a buid, if it has a value in any layer.
    pub fn node(self: &Arc<View>, buid: &Buid) -> Result<Option<Node>> {
        Node::load(self, *buid)
    }

    /// The node with a form and a normalised value.
    pub fn node_by_ndef(self: &Arc<View>, form: &str, valu: &Value) -> Result<Option<Node>> {
        self.node(&ndef_buid(form, valu))
    }

    /// Whether there is a node with a buid.
    pub fn has_node(&self, buid: &Buid) -> Result<bool> {
        for layer in self.layers().iter() {
            if let Some(byts) = layer.sode(buid)?
                && SodeRef::new(&byts).has_valu()?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The storage nodes of a buid, the top layer's first.
    pub fn sodes(&self, buid: &Buid) -> Result<Sodes> {
        self.layers().iter().map(|layer| layer.sode(buid)).collect()
    }

    /// The form of a buid's storage nodes, valued or not.
    pub fn form_of(&self, buid: &Buid) -> Result<Option<String>> {
        for layer in self.layers().iter() {
            if let Some(byts) = layer.sode(buid)?
                && let Some(form) = SodeRef::new(&byts).form()?
            {
                return Ok(Some(form.to_owned()));
            }
        }
        Ok(None)
    }

    /// Starts a lift.
    pub fn lift(self: &Arc<View>, lift: Lift) -> ViewLift {
        let with_cmpr = lift.cmprs.is_some();
        let cmprs = match lift.cmprs {
            None => vec![None],
            Some(cmprs) => cmprs.into_iter().map(Some).collect(),
        };
        ViewLift {
            view: self.clone(),
            layers: self.layers(),
            by: lift.by,
            cmprs: cmprs.into_iter(),
            with_cmpr,
            reverse: lift.reverse,
            valued: lift.valued,
            stop: lift.stop,
            sources: Vec::new(),
            pending: None,
            group: SmallVec::new(),
            next_group: SmallVec::new(),
        }
    }

    /// How many nodes a lift yields, from the indexes alone where they say it: rows of a form's values are nodes, and so
    /// are all rows of a layer in which every storage node has a value. Only for the others nodes are looked at.
    pub fn count(self: &Arc<View>, lift: Lift) -> Result<u64> {
        let layers = self.layers();
        let of_form = matches!(lift.by, LiftBy::Form { .. });
        let valued = layers.iter().map(|layer| Ok(of_form || layer.all_valued()?)).collect::<Result<Vec<_>>>()?;
        if let ([layer], [true]) = (&*layers, &*valued) {
            let Some(cmprs) = lift.cmprs else { return layer.lift_count(&lift.by, None, lift.stop.as_ref()) };
            return cmprs.iter().map(|cmpr| layer.lift_count(&lift.by, Some(cmpr), lift.stop.as_ref())).sum();
        }
        let stop = lift.stop.clone();
        let mut lift = self.lift(lift);
        let mut count = 0;
        while let Some((buid, _)) = lift.next_row()? {
            Stop::check(stop.as_ref())?;
            let shown = lift.group.iter().zip(&valued).any(|(shown, valued)| *shown && *valued);
            count += u64::from(shown || self.has_node(&buid)?);
        }
        Ok(count)
    }

    /// Nodes by form over all layers, with those that several layers hold counted in each.
    pub fn form_counts(&self) -> indexmap::IndexMap<String, i64> {
        let mut counts = indexmap::IndexMap::new();
        for (form, count) in self.layers().iter().flat_map(|layer| layer.form_counts()) {
            *counts.entry(form).or_default() += count;
        }
        counts
    }

    /// Rows of a property over all layers.
    pub fn prop_count(&self, form: Option<&str>, prop: Option<&str>) -> Result<u64> {
        self.layers().iter().map(|layer| layer.prop_count(form, prop)).sum()
    }

    /// Rows of a value of a property over all layers.
    pub fn prop_valu_count(&self, form: Option<&str>, prop: Option<&str>, stor: StorType, valu: &Value) -> Result<u64> {
        self.layers().iter().map(|layer| layer.prop_valu_count(form, prop, stor, valu)).sum()
    }

    /// Rows of a tag over all layers.
    pub fn tag_count(&self, tag: &str, form: Option<&str>) -> Result<u64> {
        self.layers().iter().map(|layer| layer.tag_count(tag, form)).sum()
    }

    /// Rows of a property of a tag over all layers.
    pub fn tagprop_count(&self, form: Option<&str>, tag: &str, prop: &str) -> Result<u64> {
        self.layers().iter().map(|layer| layer.tagprop_count(form, tag, prop)).sum()
    }
}

/// Node data and edges.
impl View {
    /// A piece of node data, from the highest layer that has it.
    pub fn node_data(&self, buid: &Buid, name: &str) -> Result<Option<Value>> {
        for layer in self.layers().iter() {
            if let Some(valu) = layer.node_data(buid, name)? {
                return Ok(Some(valu));
            }
        }
        Ok(None)
    }

    /// Whether a piece of node data is there.
    pub fn has_node_data(&self, buid: &Buid, name: &str) -> Result<bool> {
        for layer in self.layers().iter() {
            if layer.has_node_data(buid, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of a node's data, the top layer's first.
    pub fn node_data_names(&self, buid: &Buid) -> Result<Vec<String>> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for layer in self.layers().iter() {
            names.extend(layer.node_data_names(buid)?.into_iter().filter(|name| seen.insert(name.clone())));
        }
        Ok(names)
    }

    /// Whether an edge is there.
    pub fn has_edge(&self, n1: &Buid, verb: &str, n2: &Buid) -> Result<bool> {
        for layer in self.layers().iter() {
            if layer.has_edge(n1, verb, n2)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The verbs between two nodes, sorted.
    pub fn edge_verbs(&self, n1: &Buid, n2: &Buid) -> Result<Vec<String>> {
        let mut verbs = Vec::new();
        for layer in self.layers().iter() {
            verbs.extend(layer.edge_verbs(n1, n2)?);
        }
        verbs.sort_unstable();
        verbs.dedup();
        Ok(verbs)
    }

    /// Edges that go out of a node: `(verb, other node)`. A verb also finds those it is the beginning of.
    pub fn edges_n1(&self, buid: &Buid, verb: Option<&str>) -> Result<EdgeWalk> {
        let pref = [&buid.0[..], verb.unwrap_or_default().as_bytes()].concat();
        EdgeWalk::new(&self.layers(), |layer| (layer.tables.edgesn1, Span::prefix(&pref)), 32)
    }

    /// Edges that go into a node: `(verb, other node)`. A verb also finds those it is the beginning of.
    pub fn edges_n2(&self, buid: &Buid, verb: Option<&str>) -> Result<EdgeWalk> {
        let pref = [&buid.0[..], verb.unwrap_or_default().as_bytes()].concat();
        EdgeWalk::new(&self.layers(), |layer| (layer.tables.edgesn2, Span::prefix(&pref)), 32)
    }

    /// All edges, or those of one verb.
    pub fn edges(&self, verb: Option<&str>) -> Result<EdgeWalk> {
        let span = match verb {
            Some(verb) => Span::Key(verb.as_bytes().to_vec()),
            None => Span::prefix(&[]),
        };
        EdgeWalk::new(&self.layers(), |layer| (layer.tables.byverb, span.clone()), 0)
    }

    /// The nodes that refer to one by a property of form and value, each once, with form and property.
    pub fn ndef_refs(&self, buid: &Buid) -> Result<Vec<(Buid, Value)>> {
        let mut refs = Vec::new();
        for layer in self.layers().iter() {
            refs.extend(layer.ndef_refs(buid)?);
        }
        refs.sort_by_key(|(buid, _)| buid.0);
        refs.dedup_by_key(|(buid, _)| buid.0);
        Ok(refs)
    }
}

/// A lift over the layers of a view. An iterator over nodes; [`ViewLift::next_buid`] is the same without reading them.
///
/// It may move between threads, and keeps a snapshot of each layer for a short while at most.
pub struct ViewLift {
    view: Arc<View>,
    layers: Layers,
    by: LiftBy,
    cmprs: std::vec::IntoIter<Option<StorCmpr>>,
    with_cmpr: bool,
    reverse: bool,
    valued: Option<StorType>,
    stop: Option<Stop>,
    /// The layers that have rows left, from the bottom up, as ties go.
    sources: Vec<Source>,
    /// The node whose rows are being gathered, and the value they stand for.
    pending: Option<LiftRow>,
    /// Which layers have shown a row of it. Of the row given last, until the next one is asked for.
    group: SmallVec<[bool; 4]>,
    /// Which layers have shown a row of the one that is being gathered now.
    next_group: SmallVec<[bool; 4]>,
}

/// A node that a lift found, and the value that the row stands for, where that was asked for and the key holds it.
pub type LiftRow = (Buid, Option<Value>);

struct Source {
    lift: LayerLift,
    /// Of the layer, from the top.
    indx: usize,
}

impl ViewLift {
    /// The next row's node. A node may be one that has no value in any layer, or come again for another operation.
    ///
    /// # Errors
    /// What the lift or reading fails with.
    pub fn next_buid(&mut self) -> Result<Option<Buid>> {
        Ok(self.next_row()?.map(|(buid, _)| buid))
    }

    /// The next row.
    ///
    /// # Errors
    /// What the lift or reading fails with.
    pub fn next_row(&mut self) -> Result<Option<LiftRow>> {
        loop {
            if self.sources.is_empty() && self.pending.is_none() {
                let Some(cmpr) = self.cmprs.next() else { return Ok(None) };
                self.start(cmpr.as_ref())?;
                if self.sources.is_empty() {
                    continue;
                }
            }
            if self.layers.len() == 1 {
                let lift = &self.sources[0].lift;
                let row = (lift.buid(), lift.valu(self.valued));
                self.step(0)?;
                return Ok(Some(row));
            }
            if let Some(row) = self.next_merged()? {
                return Ok(Some(row));
            }
        }
    }

    fn start(&mut self, cmpr: Option<&StorCmpr>) -> Result<()> {
        for (indx, layer) in self.layers.iter().enumerate().rev() {
            let Some(lift) = LayerLift::start(layer, &self.by, cmpr, self.reverse)? else { continue };
            let mut lift = lift.until(self.stop.clone());
            if lift.advance()? {
                self.sources.push(Source { lift, indx });
            }
        }
        Ok(())
    }

    fn step(&mut self, at: usize) -> Result<()> {
        if !self.sources[at].lift.advance()? {
            self.sources.remove(at);
        }
        Ok(())
    }

    /// Takes one row. Gives a node when its rows are complete and it is to be seen.
    fn next_merged(&mut self) -> Result<Option<LiftRow>> {
        let Some(at) = self.best() else {
            return self.finish();
        };
        let (buid, indx) = (self.sources[at].lift.buid(), self.sources[at].indx);
        let over = self.pending.as_ref().is_some_and(|(pending, _)| *pending != buid || self.next_group[indx]);
        let done = if over { self.finish()? } else { None };
        if self.pending.is_none() {
            self.next_group = SmallVec::from_elem(false, self.layers.len());
            self.pending = Some((buid, self.sources[at].lift.valu(self.valued)));
        }
        self.next_group[indx] = true;
        self.step(at)?;
        Ok(done)
    }

    /// The source whose row comes next; of equal ones the lowest layer's.
    fn best(&self) -> Option<usize> {
        let key = self.by.merge_key();
        let order = |a: &LayerLift, b: &LayerLift| match key {
            MergeKey::Index => a.indx().cmp(b.indx()).then_with(|| a.buid().0.cmp(&b.buid().0)),
            MergeKey::Buid => a.buid().0.cmp(&b.buid().0),
        };
        let mut best: Option<usize> = None;
        for at in 0..self.sources.len() {
            let better = best.is_none_or(|best| {
                let order = order(&self.sources[at].lift, &self.sources[best].lift);
                if self.reverse { order.is_gt() } else { order.is_lt() }
            });
            if better {
                best = Some(at);
            }
        }
        best
    }

    fn finish(&mut self) -> Result<Option<LiftRow>> {
        let Some(row) = self.pending.take() else { return Ok(None) };
        self.group = std::mem::take(&mut self.next_group);
        if self.by.is_never_held(self.with_cmpr) {
            return Ok(Some(row));
        }
        for (layer, shown) in self.layers.iter().zip(&self.group) {
            if *shown {
                break;
            }
            if let Some(byts) = layer.sode(&row.0)?
                && self.by.is_held_by(SodeRef::new(&byts), self.with_cmpr)?
            {
                return Ok(None);
            }
        }
        Ok(Some(row))
    }
}

impl Iterator for ViewLift {
    type Item = Result<Node>;

    fn next(&mut self) -> Option<Result<Node>> {
        loop {
            match self.next_buid() {
                Err(error) => return Some(Err(error)),
                Ok(None) => return None,
                Ok(Some(buid)) => match self.view.node(&buid) {
                    Ok(None) => {}
                    Ok(Some(node)) => return Some(Ok(node)),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}

/// An edge as seen by [`View::edges`] (both ends) or from a node (`n1` is that node for both directions).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeRow {
    /// The verb.
    pub verb: Arc<str>,
    /// The node the walk started from, or the edge's first one.
    pub n1: Buid,
    /// The other node.
    pub n2: Buid,
}

/// A walk over edges of all layers, sorted, each edge once.
pub struct EdgeWalk {
    scans: Vec<Scan>,
    /// Where the verb begins in the key: 32 if a buid comes first.
    verb_at: usize,
    /// Whether several layers have rows, so that one may come again.
    many: bool,
    last: Option<(Vec<u8>, Vec<u8>)>,
    verb: Arc<str>,
}

impl EdgeWalk {
    fn new(
        layers: &[Arc<Layer>],
        span: impl Fn(&Layer) -> (myelin_slab::Table, Span),
        verb_at: usize,
    ) -> Result<EdgeWalk> {
        let mut scans = Vec::new();
        for layer in layers.iter().rev() {
            let (table, span) = span(layer);
            if matches!(&span, Span::Key(key) | Span::Range(key, _) if key.len() > 511) {
                continue;
            }
            let mut scan = Scan::fresh(&layer.slab, table, span, false)?;
            if scan.advance()? {
                scans.push(scan);
            }
        }
        let many = scans.len() > 1;
        Ok(EdgeWalk { scans, verb_at, many, last: None, verb: Arc::from("") })
    }

    fn next_row(&mut self) -> Result<Option<EdgeRow>> {
        loop {
            let keys = self.scans.iter().enumerate();
            let Some((at, _)) = keys.min_by(|(_, a), (_, b)| (a.key(), a.valu()).cmp(&(b.key(), b.valu()))) else {
                return Ok(None);
            };
            let scan = &mut self.scans[at];
            let again = self.last.as_ref().is_some_and(|(key, valu)| scan.key() == key && scan.valu() == valu);
            let row = if again { None } else { Some(edge_row(scan, self.verb_at, &mut self.verb)?) };
            if row.is_some() && self.many {
                self.last = Some((scan.key().to_vec(), scan.valu().to_vec()));
            }
            if !scan.advance()? {
                self.scans.remove(at);
            }
            if row.is_some() {
                return Ok(row);
            }
        }
    }
}

fn edge_row(scan: &Scan, verb_at: usize, verb: &mut Arc<str>) -> Result<EdgeRow> {
    let damaged = || err!("BadCoreStore", mesg = "An edge row is damaged.");
    let (key, valu) = (scan.key(), scan.valu());
    let text = key.get(verb_at..).and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(damaged)?;
    if &**verb != text {
        *verb = Arc::from(text);
    }
    let pair = if verb_at == 0 { valu.split_at_checked(32) } else { key.get(..32).map(|n1| (n1, valu)) };
    let (n1, n2) = pair.ok_or_else(damaged)?;
    let n1 = Buid::from_slice(n1).ok_or_else(damaged)?;
    Ok(EdgeRow { verb: verb.clone(), n1, n2: Buid::from_slice(n2).ok_or_else(damaged)? })
}

impl Iterator for EdgeWalk {
    type Item = Result<EdgeRow>;

    fn next(&mut self) -> Option<Result<EdgeRow>> {
        self.next_row().transpose()
    }
}
