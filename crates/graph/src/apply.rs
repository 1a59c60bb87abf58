//! Applying edits on the writer thread.
//!
//! A batch is applied in order, one node at a time; storage nodes are decoded once, kept for the batch, and written at its
//! end together with what point reads see. Applying an edit again changes nothing (arrays rewrite the same rows), so that a
//! log may be replayed. What cannot be indexed is refused by [`validate`], before it is logged.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_model::StorType;
use myelin_slab::tables::Abrv;
use myelin_slab::{Reads, WriteCx};
use myelin_value::{Buid, BuidState, Value, msgpack};

use crate::edit::{Edit, EditOp, NodeEdit};
use crate::facts::{Facts, Kind};
use crate::index::{self, pair_of};
use crate::layer::{DATA_NAME_MAX, Layer, pack_names, write_names};
use crate::sode::{Key, Sode, SodeRef};

/// Keys of LMDB have at most this many bytes.
const KEY_MAX: usize = 511;

/// Whether a batch can be stored.
///
/// # Errors
/// `BadTypeValu` for a value without an index key, `BadArg` for a name that is too long.
pub fn validate(edits: &[NodeEdit]) -> Result<()> {
    let mut scratch = Vec::new();
    for edit in edits.iter().flat_map(|edit| &edit.edits) {
        let mut fits = |stor: StorType, valu: &Value| {
            index::for_each_key(stor, valu, &mut scratch, |key| {
                if key.len() + 8 > KEY_MAX {
                    return Err(err!("BadArg", mesg = "A value is too long to be indexed.", valu = valu.clone()));
                }
                Ok(())
            })
        };
        match &edit.op {
            EditOp::NodeAdd { valu, stor }
            | EditOp::PropSet { valu, stor, .. }
            | EditOp::TagPropSet { valu, stor, .. } => fits(*stor, valu)?,
            EditOp::DataSet { name, .. } => check_data_name(name)?,
            EditOp::TagSet { tag, .. } => short("tag", tag, KEY_MAX)?,
            EditOp::EdgeAdd { verb, .. } => short("verb", verb, KEY_MAX - 32)?,
            _ => {}
        }
        validate(&edit.subs)?;
    }
    Ok(())
}

/// Whether node data may have this name.
///
/// # Errors
/// `BadArg` for one that is too long.
pub fn check_data_name(name: &str) -> Result<()> {
    short("node data name", name, DATA_NAME_MAX)
}

fn short(what: &str, name: &str, max: usize) -> Result<()> {
    if name.len() <= max {
        return Ok(());
    }
    Err(err!("BadArg", mesg = format!("A {what} may have {max} bytes at most."), name = name))
}

impl Layer {
    /// Applies a batch on the writer thread. Returns what was changed, with true old values, by node in order of first
    /// appearance; a node whose edits were all no-ops has none.
    ///
    /// # Errors
    /// `BadTypeValu` for a value that cannot be indexed; the edits before it stay.
    pub fn apply_edits(
        &self,
        cx: &mut WriteCx,
        edits: &[NodeEdit],
        meta: &Value,
        offs: Option<u64>,
    ) -> Result<Vec<NodeEdit>> {
        let suppressed = cx.is_suppressed(self.tables.byform)?;
        let mut batch = Batch {
            layer: self,
            cx,
            created: meta.get("time").and_then(Value::as_i64),
            nodes: IndexMap::default(),
            key: Vec::with_capacity(64),
            scratch: Vec::with_capacity(64),
            suppressed,
            facts: Facts::default(),
            moved: 0,
            data_moved: 0,
        };
        let mut results: IndexMap<Buid, NodeEdit, BuidState> = IndexMap::default();
        let done = batch.run(edits, &mut results);
        batch.flush()?;
        done?;
        let applied: Vec<NodeEdit> = results.into_values().collect();
        if applied.iter().any(|edit| !edit.edits.is_empty()) {
            self.bump();
            self.wrote(cx, &applied, meta, offs)?;
        }
        Ok(applied)
    }
}

#[derive(Default)]
struct NodeState {
    sode: Sode,
    dirty: bool,
    gone: bool,
}

struct Batch<'a> {
    layer: &'a Layer,
    cx: &'a mut WriteCx,
    created: Option<i64>,
    nodes: IndexMap<Buid, NodeState, BuidState>,
    key: Vec<u8>,
    scratch: Vec<u8>,
    /// The slab has the effects already: counts in memory must not count again.
    suppressed: bool,
    facts: Facts,
    /// By how much the sums of what the layer and its node data hold have changed.
    moved: u64,
    data_moved: u64,
}

/// The two abbreviations of a property: of the form's, and of the universal one.
#[derive(Clone, Copy)]
struct PropAbrvs {
    own: Abrv,
    univ: Option<Abrv>,
}

impl Batch<'_> {
    fn run(&mut self, edits: &[NodeEdit], results: &mut IndexMap<Buid, NodeEdit, BuidState>) -> Result<()> {
        let mut queue: VecDeque<&NodeEdit> = edits.iter().collect();
        while let Some(node) = queue.pop_front() {
            let mut state = self.take(&node.buid)?;
            let into = results.entry(node.buid).or_insert_with(|| NodeEdit {
                buid: node.buid,
                form: node.form.clone(),
                edits: Vec::new(),
            });
            let mut done = Ok(());
            for edit in &node.edits {
                let before = into.edits.len();
                done = self.edit(node, &edit.op, &mut state, &mut into.edits);
                if done.is_err() {
                    break;
                }
                if into.edits.len() > before {
                    queue.extend(&edit.subs);
                }
            }
            self.nodes.insert(node.buid, state);
            done?;
        }
        Ok(())
    }

    fn take(&mut self, buid: &Buid) -> Result<NodeState> {
        if let Some(state) = self.nodes.get_mut(buid) {
            return Ok(std::mem::take(state));
        }
        let mut state = NodeState::default();
        if let Some(byts) = self.cx.get(self.layer.tables.bybuid, &buid.0)? {
            state.sode = Sode::decode(byts)?;
        }
        Ok(state)
    }

    /// Writes the storage nodes of the batch.
    fn flush(&mut self) -> Result<()> {
        let sums = self.layer.sums();
        sums.layer.add(self.cx, self.moved)?;
        sums.data.add(self.cx, self.data_moved)?;
        let mut rows = Vec::with_capacity(self.nodes.len());
        for (buid, state) in std::mem::take(&mut self.nodes) {
            if state.dirty {
                let byts = state.sode.encode();
                self.cx.put(self.layer.tables.bybuid, &buid.0, &byts)?;
                rows.push((buid, Some(Arc::from(byts))));
            } else if state.gone {
                self.cx.del(self.layer.tables.bybuid, &buid.0)?;
                rows.push((buid, None));
            }
        }
        // A suppressed slab holds what is newer than this.
        if !rows.is_empty() && !self.suppressed {
            self.layer.overlay(rows.into_iter());
        }
        Ok(())
    }

    fn edit(&mut self, node: &NodeEdit, op: &EditOp, state: &mut NodeState, out: &mut Vec<Edit>) -> Result<()> {
        match op {
            EditOp::NodeAdd { valu, stor } => self.node_add(node, valu, *stor, state, out),
            EditOp::NodeDel { .. } => self.node_del(node, state, out),
            EditOp::PropSet { prop, valu, stor, .. } => self.prop_set(node, prop, valu.clone(), *stor, state, out),
            EditOp::PropDel { prop, .. } => self.prop_del(node, prop, state, out),
            EditOp::TagSet { tag, valu, .. } => self.tag_set(node, tag, valu.clone(), state, out),
            EditOp::TagDel { tag, .. } => self.tag_del(node, tag, state, out),
            EditOp::TagPropSet { tag, prop, valu, stor, .. } => {
                self.tagprop_set(node, (tag, prop), valu.clone(), *stor, state, out)
            }
            EditOp::TagPropDel { tag, prop, .. } => self.tagprop_del(node, tag, prop, state, out),
            EditOp::DataSet { name, valu, .. } => self.data_set(node, name, valu, state, out),
            EditOp::DataDel { name, .. } => self.data_del(node, name, state, out),
            EditOp::EdgeAdd { verb, n2 } => self.edge_add(node, verb, n2, state, out),
            EditOp::EdgeDel { verb, n2 } => self.edge_del(node, verb, n2, state, out),
        }
    }

    fn node_add(
        &mut self,
        node: &NodeEdit,
        valu: &Value,
        stor: StorType,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        let same = state.sode.valu().is_some_and(|(have, old)| have.py_eq(valu) && *old == stor);
        if same && !stor.is_array() {
            return Ok(());
        }
        let rows = Rows::of(stor, valu, &mut self.scratch)?;
        let abrv = self.prop_abrv(Some(&node.form), None)?;
        if state.sode.form().is_none() {
            self.cx.put(self.layer.tables.byform, &abrv, &node.buid.0)?;
        }
        let old = state.sode.valu().map(|(old, was)| (old, Some(*was)));
        self.fact(node, Kind::Valu, ["", ""], old, Some((valu, Some(stor))));
        state.sode.set_valu((valu.clone(), stor));
        self.mark(node, state);
        self.put_rows(&rows, PropAbrvs { own: abrv, univ: None }, node, true)?;
        self.count(&node.form, 1)?;
        out.push(EditOp::NodeAdd { valu: valu.clone(), stor }.into());
        let created = self.created.unwrap_or_else(now_ms);
        self.prop_set(node, &created_name(), Value::from(created), StorType::MINTIME, state, out)
    }

    fn node_del(&mut self, node: &NodeEdit, state: &mut NodeState, out: &mut Vec<Edit>) -> Result<()> {
        let Some((valu, stor)) = state.sode.valu().cloned() else { return self.clean(node, state) };
        let abrv = self.prop_abrv(Some(&node.form), None)?;
        if let Ok(rows) = Rows::of(stor, &valu, &mut self.scratch) {
            self.put_rows(&rows, PropAbrvs { own: abrv, univ: None }, node, false)?;
        }
        self.count(&node.form, -1)?;
        self.wipe_data(node)?;
        self.wipe_edges(node)?;
        self.fact(node, Kind::Valu, ["", ""], Some((&valu, Some(stor))), None);
        state.sode.take_valu();
        self.mark(node, state);
        self.clean(node, state)?;
        out.push(EditOp::NodeDel { old: valu, stor }.into());
        Ok(())
    }

    fn prop_set(
        &mut self,
        node: &NodeEdit,
        prop: &Arc<str>,
        valu: Value,
        stor: StorType,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        state.sode.touch(Key::Props);
        let abrvs = self.abrvs(node, prop)?;
        let old = state.sode.props().get(prop).filter(|(old, _)| !old.is_null()).cloned();
        let mut valu = valu;
        if let Some((have, was)) = &old {
            valu = merged(stor, have, valu);
            if !stor.is_array() && *was == stor && have.py_eq(&valu) {
                return Ok(());
            }
        }
        let rows = Rows::of(stor, &valu, &mut self.scratch)?;
        if let Some((have, was)) = &old
            && let Ok(rows) = Rows::of(*was, have, &mut self.scratch)
        {
            self.put_rows(&rows, abrvs, node, false)?;
            self.put_ndefs(&rows, *was, abrvs, node, false)?;
        }
        self.put_form(node, state)?;
        let had = old.as_ref().map(|(old, was)| (old, Some(*was)));
        self.fact(node, Kind::Prop, [prop, ""], had, Some((&valu, Some(stor))));
        state.sode.props_mut().insert(prop.clone(), (valu.clone(), stor));
        self.mark(node, state);
        self.put_rows(&rows, abrvs, node, true)?;
        self.put_ndefs(&rows, stor, abrvs, node, true)?;
        let old = old.map_or(Value::Null, |(old, _)| old);
        out.push(EditOp::PropSet { prop: prop.clone(), valu, old, stor }.into());
        Ok(())
    }

    fn prop_del(&mut self, node: &NodeEdit, prop: &Arc<str>, state: &mut NodeState, out: &mut Vec<Edit>) -> Result<()> {
        let abrvs = self.abrvs(node, prop)?;
        let Some((old, stor)) = state.sode.props_mut().shift_remove(prop) else { return self.clean(node, state) };
        self.fact(node, Kind::Prop, [prop, ""], Some((&old, Some(stor))), None);
        if let Ok(rows) = Rows::of(stor, &old, &mut self.scratch) {
            self.put_rows(&rows, abrvs, node, false)?;
            self.put_ndefs(&rows, stor, abrvs, node, false)?;
        }
        self.mark(node, state);
        self.clean(node, state)?;
        out.push(EditOp::PropDel { prop: prop.clone(), old, stor }.into());
        Ok(())
    }

    fn tag_set(
        &mut self,
        node: &NodeEdit,
        tag: &Arc<str>,
        valu: Value,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        let abrv = self.layer.tags.set(self.cx, tag.as_bytes())?;
        let form = self.prop_abrv(Some(&node.form), None)?;
        state.sode.touch(Key::Tags);
        let old = state.sode.tags().get(tag).filter(|old| !old.is_null()).cloned();
        let mut valu = valu;
        if let Some(old) = &old {
            // An interval given up for a bare tag is lost: callers pass on what they want kept.
            if !is_bare(old) && !is_bare(&valu) {
                valu = merged(StorType::IVAL, old, valu);
            }
            if old.py_eq(&valu) {
                return Ok(());
            }
        }
        self.put_form(node, state)?;
        self.fact(node, Kind::Tag, [tag, ""], old.as_ref().map(|old| (old, None)), Some((&valu, None)));
        state.sode.tags_mut().insert(tag.clone(), valu.clone());
        self.mark(node, state);
        self.cx.put(self.layer.tables.bytag, &joined(&abrv, &form), &node.buid.0)?;
        out.push(EditOp::TagSet { tag: tag.clone(), valu, old: old.unwrap_or(Value::Null) }.into());
        Ok(())
    }

    fn tag_del(&mut self, node: &NodeEdit, tag: &Arc<str>, state: &mut NodeState, out: &mut Vec<Edit>) -> Result<()> {
        let form = self.prop_abrv(Some(&node.form), None)?;
        let Some(old) = state.sode.tags_mut().shift_remove(tag) else { return self.clean(node, state) };
        self.fact(node, Kind::Tag, [tag, ""], Some((&old, None)), None);
        self.mark(node, state);
        if let Some(abrv) = self.layer.tags.get(tag.as_bytes()) {
            self.cx.del_dup(self.layer.tables.bytag, &joined(&abrv, &form), &node.buid.0)?;
        }
        self.clean(node, state)?;
        out.push(EditOp::TagDel { tag: tag.clone(), old }.into());
        Ok(())
    }

    fn tagprop_set(
        &mut self,
        node: &NodeEdit,
        (tag, prop): (&Arc<str>, &Arc<str>),
        valu: Value,
        stor: StorType,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        let abrvs = self.tagprop_abrvs(node, tag, prop)?;
        state.sode.touch(Key::TagProps);
        let old = state.sode.tagprops().get(tag).and_then(|props| props.get(prop));
        let old = old.filter(|(old, _)| !old.is_null()).cloned();
        let mut valu = valu;
        if let Some((have, was)) = &old {
            valu = merged(stor, have, valu);
            if *was == stor && have.py_eq(&valu) {
                return Ok(());
            }
        }
        // All keys first: nothing is changed if there is none.
        index::for_each_key(stor, &valu, &mut self.scratch, |_| Ok(()))?;
        if let Some((have, was)) = &old {
            self.put_tagprop(*was, have, abrvs, node, false).or_else(ignore_no_key)?;
        }
        self.put_form(node, state)?;
        let had = old.as_ref().map(|(old, was)| (old, Some(*was)));
        self.fact(node, Kind::TagProp, [tag, prop], had, Some((&valu, Some(stor))));
        state.sode.tagprops_mut().entry(tag.clone()).or_default().insert(prop.clone(), (valu.clone(), stor));
        self.mark(node, state);
        self.put_tagprop(stor, &valu, abrvs, node, true)?;
        let old = old.map_or(Value::Null, |(old, _)| old);
        out.push(EditOp::TagPropSet { tag: tag.clone(), prop: prop.clone(), valu, old, stor }.into());
        Ok(())
    }

    fn tagprop_del(
        &mut self,
        node: &NodeEdit,
        tag: &Arc<str>,
        prop: &Arc<str>,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        let tagprops = state.sode.tagprops_mut();
        let old = tagprops.get_mut(tag).and_then(|props| props.shift_remove(prop));
        if tagprops.get(tag).is_some_and(|props| props.is_empty()) {
            tagprops.shift_remove(tag);
        }
        let Some((old, stor)) = old else { return self.clean(node, state) };
        self.fact(node, Kind::TagProp, [tag, prop], Some((&old, Some(stor))), None);
        self.mark(node, state);
        let abrvs = self.tagprop_abrvs(node, tag, prop)?;
        self.put_tagprop(stor, &old, abrvs, node, false).or_else(ignore_no_key)?;
        self.clean(node, state)?;
        out.push(EditOp::TagPropDel { tag: tag.clone(), prop: prop.clone(), old, stor }.into());
        Ok(())
    }

    fn data_set(
        &mut self,
        node: &NodeEdit,
        name: &Arc<str>,
        valu: &Value,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        check_data_name(name)?;
        let abrv = self.prop_abrv(Some(name), None)?;
        let key = [&node.buid.0[..], &abrv].concat();
        let byts = msgpack::encode(valu);
        let have = self.cx.get(self.layer.tables.nodedata, &key)?;
        let same = have == Some(&byts);
        let gone = have.map_or(0, |have| self.facts.data(&node.buid, name, have));
        let old = have.map(msgpack::decode).transpose()?.unwrap_or(Value::Null);
        // The data may be on disk before the storage node is: then the rest is still to be done.
        if same && !self.cx.is_suppressed(self.layer.tables.nodedata)? {
            return Ok(());
        }
        self.put_form(node, state)?;
        if state.sode.form().is_none() {
            self.mark(node, state);
        }
        let come = self.facts.data(&node.buid, name, &byts);
        self.data_moved = self.data_moved.wrapping_add(come).wrapping_sub(gone);
        self.cx.put(self.layer.tables.nodedata, &key, &byts)?;
        self.cx.put(self.layer.tables.dataname, &abrv, &node.buid.0)?;
        out.push(EditOp::DataSet { name: name.clone(), valu: valu.clone(), old }.into());
        Ok(())
    }

    fn data_del(&mut self, node: &NodeEdit, name: &Arc<str>, state: &mut NodeState, out: &mut Vec<Edit>) -> Result<()> {
        let abrv = self.prop_abrv(Some(name), None)?;
        let key = [&node.buid.0[..], &abrv].concat();
        let Some(byts) = self.cx.pop(self.layer.tables.nodedata, &key)? else { return self.clean(node, state) };
        self.data_moved = self.data_moved.wrapping_sub(self.facts.data(&node.buid, name, &byts));
        let old = msgpack::decode(&byts)?;
        self.cx.del_dup(self.layer.tables.dataname, &abrv, &node.buid.0)?;
        self.clean(node, state)?;
        out.push(EditOp::DataDel { name: name.clone(), old }.into());
        Ok(())
    }

    fn edge_add(
        &mut self,
        node: &NodeEdit,
        verb: &Arc<str>,
        n2: &Buid,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        let (n1, tables) = (&node.buid, &self.layer.tables);
        let n1key = [&n1.0[..], verb.as_bytes()].concat();
        if !self.cx.put_dup(tables.edgesn1, &n1key, &n2.0)? {
            return Ok(());
        }
        self.moved = self.moved.wrapping_add(self.facts.edge(n1, verb.as_bytes(), n2));
        self.put_form(node, state)?;
        if state.sode.form().is_none() {
            self.mark(node, state);
        }
        let pair = [&n1.0[..], &n2.0].concat();
        self.cx.put(tables.byverb, verb.as_bytes(), &pair)?;
        self.cx.put(tables.edgesn2, &[&n2.0[..], verb.as_bytes()].concat(), &n1.0)?;
        self.cx.put(tables.edgesn1n2, &pair, verb.as_bytes())?;
        out.push(EditOp::EdgeAdd { verb: verb.clone(), n2: *n2 }.into());
        Ok(())
    }

    fn edge_del(
        &mut self,
        node: &NodeEdit,
        verb: &Arc<str>,
        n2: &Buid,
        state: &mut NodeState,
        out: &mut Vec<Edit>,
    ) -> Result<()> {
        let had = self.del_edge_rows(&node.buid, verb.as_bytes(), n2)?;
        self.clean(node, state)?;
        if had {
            out.push(EditOp::EdgeDel { verb: verb.clone(), n2: *n2 }.into());
        }
        Ok(())
    }
}

/// The parts edits are made of.
impl Batch<'_> {
    fn mark(&self, node: &NodeEdit, state: &mut NodeState) {
        state.sode.set_form(&node.form);
        state.dirty = true;
        state.gone = false;
    }

    /// Counts that a node has something else in a place than it had.
    fn fact(
        &mut self,
        node: &NodeEdit,
        kind: Kind,
        names: [&str; 2],
        old: Option<(&Value, Option<StorType>)>,
        new: Option<(&Value, Option<StorType>)>,
    ) {
        if let Some((valu, stor)) = old {
            self.moved = self.moved.wrapping_sub(self.facts.valu(kind, &node.buid, names, valu, stor));
        }
        if let Some((valu, stor)) = new {
            self.moved = self.moved.wrapping_add(self.facts.valu(kind, &node.buid, names, valu, stor));
        }
    }

    fn put_form(&mut self, node: &NodeEdit, state: &NodeState) -> Result<()> {
        if state.sode.form().is_some() {
            return Ok(());
        }
        let abrv = self.prop_abrv(Some(&node.form), None)?;
        self.cx.put(self.layer.tables.byform, &abrv, &node.buid.0)
    }

    fn count(&mut self, form: &str, by: i64) -> Result<()> {
        if !self.suppressed {
            self.layer.form_counts.inc(self.cx, form, by)?;
        }
        Ok(())
    }

    /// Removes the storage node if nothing is left of it.
    fn clean(&mut self, node: &NodeEdit, state: &mut NodeState) -> Result<()> {
        let tables = &self.layer.tables;
        if !state.sode.is_bare()
            || self.cx.prefix(tables.nodedata, &node.buid.0)?.next().transpose()?.is_some()
            || self.cx.prefix(tables.edgesn1, &node.buid.0)?.next().transpose()?.is_some()
        {
            return Ok(());
        }
        if let Some(abrv) = state.sode.form().and_then(|form| self.layer.prop_abrv(Some(form), None)) {
            self.cx.del_dup(tables.byform, &abrv, &node.buid.0)?;
        }
        *state = NodeState { gone: true, ..NodeState::default() };
        Ok(())
    }

    fn wipe_data(&mut self, node: &NodeEdit) -> Result<()> {
        let tables = &self.layer.tables;
        let keys = self.cx.keys_prefix(tables.nodedata, &node.buid.0)?;
        let keys: Vec<Vec<u8>> = keys.map(|row| row.map(|(key, _)| key.to_vec())).collect::<Result<_>>()?;
        for key in keys {
            let byts = self.cx.pop(tables.nodedata, &key)?.unwrap_or_default();
            let name = self.layer.name_of(&key[32..]).unwrap_or_default();
            self.data_moved = self.data_moved.wrapping_sub(self.facts.data(&node.buid, &name, &byts));
            self.cx.del_dup(tables.dataname, &key[32..], &node.buid.0)?;
        }
        Ok(())
    }

    fn wipe_edges(&mut self, node: &NodeEdit) -> Result<()> {
        loop {
            // In slices: a node may have millions of edges.
            let rows = self.cx.prefix(self.layer.tables.edgesn1, &node.buid.0)?.take(1000);
            let rows: Vec<(Vec<u8>, Option<Buid>)> = rows
                .map(|row| row.map(|(key, n2)| (key[32..].to_vec(), Buid::from_slice(n2))))
                .collect::<Result<_>>()?;
            if rows.is_empty() || self.suppressed {
                return Ok(());
            }
            for (verb, n2) in rows {
                let n2 = n2.ok_or_else(|| err!("BadCoreStore", mesg = "An edge row is damaged."))?;
                self.del_edge_rows(&node.buid, &verb, &n2)?;
            }
        }
    }

    fn del_edge_rows(&mut self, n1: &Buid, verb: &[u8], n2: &Buid) -> Result<bool> {
        let tables = &self.layer.tables;
        let n1key = [&n1.0[..], verb].concat();
        // While suppressed every delete says it did something, so the row itself is asked.
        if !self.cx.has_dup(tables.edgesn1, &n1key, &n2.0)? {
            return Ok(false);
        }
        self.moved = self.moved.wrapping_sub(self.facts.edge(n1, verb, n2));
        let pair = [&n1.0[..], &n2.0].concat();
        self.cx.del_dup(tables.edgesn1, &n1key, &n2.0)?;
        self.cx.del_dup(tables.byverb, verb, &pair)?;
        self.cx.del_dup(tables.edgesn2, &[&n2.0[..], verb].concat(), &n1.0)?;
        self.cx.del_dup(tables.edgesn1n2, &pair, verb)?;
        Ok(true)
    }

    fn prop_abrv(&mut self, form: Option<&str>, prop: Option<&str>) -> Result<Abrv> {
        let name = &mut self.key;
        name.clear();
        write_names(name, &[form, prop]);
        self.layer.props.set(self.cx, name)
    }

    fn abrvs(&mut self, node: &NodeEdit, prop: &str) -> Result<PropAbrvs> {
        let own = self.prop_abrv(Some(&node.form), Some(prop))?;
        let univ = prop.starts_with('.').then(|| self.prop_abrv(None, Some(prop))).transpose()?;
        Ok(PropAbrvs { own, univ })
    }

    fn tagprop_abrvs(&mut self, node: &NodeEdit, tag: &str, prop: &str) -> Result<[Abrv; 2]> {
        let all = self.layer.tagprops.set(self.cx, &pack_names(&[None, Some(tag), Some(prop)]))?;
        let own = self.layer.tagprops.set(self.cx, &pack_names(&[Some(&node.form), Some(tag), Some(prop)]))?;
        Ok([all, own])
    }

    fn put_tagprop(
        &mut self,
        stor: StorType,
        valu: &Value,
        abrvs: [Abrv; 2],
        node: &NodeEdit,
        put: bool,
    ) -> Result<()> {
        let (cx, row, table) = (&mut *self.cx, &mut self.key, self.layer.tables.bytagprop);
        index::for_each_key(stor, valu, &mut self.scratch, |key| {
            for abrv in abrvs {
                row.clear();
                row.extend_from_slice(&abrv);
                row.extend_from_slice(key);
                if put {
                    cx.put(table, row, &node.buid.0)?;
                } else {
                    cx.del_dup(table, row, &node.buid.0)?;
                }
            }
            Ok(())
        })
    }

    /// Puts or removes the rows of a value under its abbreviations.
    fn put_rows(&mut self, rows: &Rows, abrvs: PropAbrvs, node: &NodeEdit, put: bool) -> Result<()> {
        let tables = &self.layer.tables;
        let items = rows.items.iter().map(|key| (tables.byarray, key));
        for (table, key) in items.chain([(tables.byprop, &rows.whole)]) {
            for abrv in [Some(abrvs.own), abrvs.univ].into_iter().flatten() {
                self.key.clear();
                self.key.extend_from_slice(&abrv);
                self.key.extend_from_slice(key);
                if put {
                    self.cx.put(table, &self.key, &node.buid.0)?;
                } else {
                    self.cx.del_dup(table, &self.key, &node.buid.0)?;
                }
            }
        }
        Ok(())
    }

    /// The same for references to nodes.
    fn put_ndefs(&mut self, rows: &Rows, stor: StorType, abrvs: PropAbrvs, node: &NodeEdit, put: bool) -> Result<()> {
        if stor.item() != StorType::NDEF {
            return Ok(());
        }
        let table = self.layer.tables.byndef;
        let row = [&node.buid.0[..], &abrvs.own].concat();
        let keys = if stor.is_array() { &rows.items[..] } else { std::slice::from_ref(&rows.whole) };
        for key in keys {
            if put {
                self.cx.put(table, key, &row)?;
            } else {
                self.cx.del_dup(table, key, &row)?;
            }
        }
        Ok(())
    }
}

type KeyBytes = smallvec::SmallVec<[u8; 40]>;

/// The keys of a property's value, without abbreviation: of the whole, and of the items of an array.
struct Rows {
    whole: KeyBytes,
    items: Vec<KeyBytes>,
}

impl Rows {
    fn of(stor: StorType, valu: &Value, scratch: &mut Vec<u8>) -> Result<Rows> {
        let mut items = Vec::new();
        if stor.is_array() {
            index::for_each_key(stor, valu, scratch, |key| {
                items.push(KeyBytes::from_slice(key));
                Ok(())
            })?;
        }
        scratch.clear();
        index::encode_item(if stor.is_array() { StorType::MSGP } else { stor }, valu, scratch)?;
        Ok(Rows { whole: KeyBytes::from_slice(scratch), items })
    }
}

/// What becomes of a value that is set over another one, by the new storage type.
pub(crate) fn merged(stor: StorType, old: &Value, new: Value) -> Value {
    let less = |a: &Value, b: &Value| index::int_of(a) < index::int_of(b);
    match stor {
        StorType::IVAL => {
            let Some(((omin, omax), (nmin, nmax))) = pair_of(old).zip(pair_of(&new)) else { return new };
            let times = [omin, omax, nmin, nmax];
            if times.iter().any(|time| index::int_of(time).is_none()) {
                return new;
            }
            let min = times.iter().copied().reduce(|a, b| if less(b, a) { b } else { a });
            let max = times.iter().copied().reduce(|a, b| if less(a, b) { b } else { a });
            Value::list(min.into_iter().chain(max).cloned())
        }
        StorType::MINTIME if less(old, &new) => old.clone(),
        StorType::MAXTIME if less(&new, old) => old.clone(),
        _ => new,
    }
}

/// Whether a tag's interval is none: `[nil, nil]`.
pub fn is_bare(ival: &Value) -> bool {
    pair_of(ival).is_some_and(|(min, max)| min.is_null() && max.is_null())
}

fn joined(one: &Abrv, two: &Abrv) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(one);
    key[8..].copy_from_slice(two);
    key
}

/// A stored value without a key has no rows to remove.
fn ignore_no_key(error: myelin_error::Error) -> Result<()> {
    if error.is("BadTypeValu") { Ok(()) } else { Err(error) }
}

fn created_name() -> Arc<str> {
    static NAME: std::sync::OnceLock<Arc<str>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| Arc::from(".created")).clone()
}

pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Everything of a storage node as edits that would make it, old values null.
///
/// # Errors
/// What decoding fails with.
pub fn sode_edits(sode: SodeRef<'_>) -> Result<Vec<EditOp>> {
    let mut ops = Vec::new();
    if let Some((valu, stor)) = sode.valu()? {
        ops.push(EditOp::NodeAdd { valu, stor });
    }
    sode.each_prop(|prop, valu, stor| {
        ops.push(EditOp::PropSet { prop: Arc::from(prop), valu, old: Value::Null, stor });
    })?;
    sode.each_tag(|tag, valu| ops.push(EditOp::TagSet { tag: Arc::from(tag), valu, old: Value::Null }))?;
    sode.each_tagprop(|tag, prop, valu, stor| {
        let (tag, prop) = (Arc::from(tag), Arc::from(prop));
        ops.push(EditOp::TagPropSet { tag, prop, valu, old: Value::Null, stor });
    })?;
    Ok(ops)
}
