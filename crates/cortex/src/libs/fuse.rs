//! Fusing one node into another in every layer of the cortex.
//!
//! Layers are gone through and not views, so that nothing is done twice and nothing is missed; what a layer holds of the
//! source goes to the target in that same layer. References to the source are turned to the target where they are held.
//! A node whose compound value contains the source changes its own name with it: that is a fuse too, and so on.
//!
//! Three steps: find every node that changes its name ([`Fuse::discover`]), work out what it becomes ([`Fuse::resolve`]),
//! make and store each layer's edits ([`Fuse::layer_edits`]). Only with all names known can one node's references to
//! another be turned rightly. Within a layer what adds is stored before what removes, so that a fuse that was interrupted
//! loses nothing and can be run again.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Error, Result, err};
use myelin_graph as graph;
use myelin_graph::{EditOp, NodeEdit, SodeRef};
use myelin_model::types::{CtorKind, Subs};
use myelin_model::{Form, Model, NormCx, Prop, StorCmpr, StorType};
use myelin_value::{Buid, Map, Value, ndef_buid};

use crate::Cortex;
use crate::parts::now_millis;

/// After how many edits an event is stored. A node's edits stay together.
const EDITS_AN_EVENT: usize = 1000;

/// A form and a value.
type Ndef = (Arc<str>, Value);

struct Rename {
    src: Ndef,
    dst: Option<Ndef>,
    subs: Subs,
}

/// How a property may name a node: itself or its items, by form and value or by value.
struct Refers {
    array: bool,
    /// The form that a plain value is of.
    form: Option<Arc<str>>,
}

/// What a fuse had to tell.
#[derive(Default)]
pub struct Outcome {
    /// Warnings, in order.
    pub warnings: Vec<String>,
    /// Layers that could not be written, and why.
    pub failed: Vec<(String, String)>,
}

struct Fuse<'a> {
    core: &'a Cortex,
    model: Arc<Model>,
    cx: NormCx,
    layers: Vec<(Arc<graph::Layer>, Arc<graph::View>)>,
    renames: IndexMap<Buid, Rename>,
    outcome: Outcome,
}

/// Fuses the node of `src` into that of `dst`, which is of the same form.
///
/// # Errors
/// `BadTypeValu` when a compound value cannot be made anew; what reading fails with.
pub fn fuse(core: &Cortex, cx: NormCx, user: &str, src: Ndef, dst: Ndef) -> Result<Outcome> {
    let mut fuse = Fuse {
        core,
        model: core.model(),
        cx,
        layers: Vec::new(),
        renames: IndexMap::new(),
        outcome: Outcome::default(),
    };
    fuse.discover(&src)?;
    fuse.resolve(&src, dst)?;
    fuse.apply(user)?;
    Ok(fuse.outcome)
}

fn is_comp_key(form: &Form, prop: &Prop) -> bool {
    prop.ro && prop.comp_offs.is_some() && form.typ.ctor == CtorKind::Comp
}

/// How a property may name a node; nothing when it cannot.
fn refers(model: &Model, prop: &Prop) -> Option<Refers> {
    let array = prop.typ.is_array();
    let typ = prop.typ.array_type().unwrap_or(&prop.typ);
    if typ.ctor == CtorKind::Ndef {
        return Some(Refers { array, form: None });
    }
    let form = model.form(&typ.name)?;
    Some(Refers { array, form: Some(form.name.clone()) })
}

impl Fuse<'_> {
    fn discover(&mut self, src: &Ndef) -> Result<()> {
        let mut layers = self.core.stack.layers();
        layers.sort_by(|left, right| left.iden().cmp(right.iden()));
        for layer in layers.iter().filter(|layer| !layer.is_readonly()) {
            let alone = graph::View::new(Map::new().with("iden", layer.iden()), vec![layer.clone()])?;
            self.layers.push((layer.clone(), alone));
        }
        let mut todo = VecDeque::from([src.clone()]);
        while let Some(next) = todo.pop_front() {
            let buid = ndef_buid(&next.0, &next.1);
            if self.renames.contains_key(&buid) {
                continue;
            }
            self.renames.insert(buid, Rename { src: next.clone(), dst: None, subs: Subs::new() });
            for layer in layers.iter().filter(|layer| layer.is_readonly()) {
                if layer.sode(&buid)?.is_some() {
                    self.outcome.warnings.push(format!(
                        "The layer {} is read-only: fuse() leaves {}={:?} in it, where views with that layer show it.",
                        layer.iden(),
                        next.0,
                        next.1
                    ));
                }
            }
            for indx in 0..self.layers.len() {
                for (refbuid, prop) in self.references(indx, &next)? {
                    let Some(form) = prop.form.as_deref().and_then(|form| self.model.form(form)) else { continue };
                    if is_comp_key(form, &prop)
                        && let Some(valu) = self.primary(&layers, &refbuid)?
                    {
                        todo.push_back((form.name.clone(), valu));
                    }
                }
            }
        }
        Ok(())
    }

    fn primary(&self, layers: &[Arc<graph::Layer>], buid: &Buid) -> Result<Option<Value>> {
        for layer in layers {
            if let Some(byts) = layer.sode(buid)?
                && let Some((valu, _)) = SodeRef::new(&byts).valu()?
            {
                return Ok(Some(valu));
            }
        }
        Ok(None)
    }

    fn form_of(&self, buid: &Buid) -> Result<Option<Arc<str>>> {
        for layer in self.core.stack.layers() {
            if let Some(byts) = layer.sode(buid)?
                && let Some(form) = SodeRef::new(&byts).form()?
            {
                return Ok(Some(Arc::from(form)));
            }
        }
        Ok(None)
    }

    /// Nodes of a layer that refer to one, and by which property; the node itself aside.
    fn references(&self, indx: usize, src: &Ndef) -> Result<Vec<(Buid, Arc<Prop>)>> {
        let (layer, alone) = &self.layers[indx];
        let own = ndef_buid(&src.0, &src.1);
        let mut found = Vec::new();
        for (buid, name) in layer.ndef_refs(&own)? {
            let form = name.at(0).and_then(Value::as_str).and_then(|form| self.model.form(form));
            let prop = name.at(1).and_then(Value::as_str).and_then(|prop| form?.prop(prop));
            found.extend(prop.map(|prop| (buid, prop.clone())));
        }
        let plain = self.model.props_by_type(&src.0).into_iter().map(|prop| (prop, false));
        let arrays = self.model.array_props_by_type(&src.0).into_iter().map(|prop| (prop, true));
        for (prop, array) in plain.chain(arrays) {
            let (form, name) = super::util::form_and_prop(&prop);
            let Some(name) = name else { continue };
            let item = prop.typ.array_type().filter(|_| array).unwrap_or(&prop.typ);
            let by = match array {
                true => graph::LiftBy::Array { form, prop: Some(name) },
                false => graph::LiftBy::Prop { form, prop: name },
            };
            let cmpr = StorCmpr { op: "=", value: src.1.clone(), stortype: item.stortype };
            let mut lift = alone.lift(graph::Lift::by_valu(by, vec![cmpr]));
            while let Some(buid) = lift.next_buid()? {
                found.push((buid, prop.clone()));
            }
        }
        found.retain(|(buid, _)| *buid != own);
        Ok(found)
    }

    /// The value that a value of a form becomes; itself unless its node changes its name.
    fn renamed(&self, refers: &Refers, valu: &Value) -> Value {
        let pair = |form: &str, valu: &Value| {
            let dst = self.renames.get(&ndef_buid(form, valu))?.dst.as_ref()?;
            Some(dst.clone())
        };
        let found = match &refers.form {
            Some(form) => pair(form, valu).map(|(_, valu)| valu),
            None => match (valu.at(0).and_then(Value::as_str), valu.at(1)) {
                (Some(form), Some(inner)) => {
                    pair(form, inner).map(|(form, valu)| Value::list([Value::from(&*form), valu]))
                }
                _ => None,
            },
        };
        found.unwrap_or_else(|| valu.clone())
    }

    /// [`Fuse::renamed`] for the value of a property, whose items it may mean.
    fn renamed_all(&self, refers: &Refers, valu: &Value) -> Value {
        match valu.as_list().filter(|_| refers.array) {
            Some(items) => items.iter().map(|item| self.renamed(refers, item)).collect(),
            None => self.renamed(refers, valu),
        }
    }

    fn resolve(&mut self, src: &Ndef, dst: Ndef) -> Result<()> {
        let first = ndef_buid(&src.0, &src.1);
        let subs = self.model.req_form(&src.0)?.typ.norm(&self.cx, &dst.1)?.info.subs;
        if let Some(rename) = self.renames.get_mut(&first) {
            (rename.dst, rename.subs) = (Some(dst), subs);
        }
        // A compound may contain another that is not worked out yet: as many rounds as they are deep.
        loop {
            let mut changed = false;
            for indx in 0..self.renames.len() {
                let Some((buid, rename)) = self.renames.get_index(indx) else { break };
                if *buid == first {
                    continue;
                }
                let form = self.model.req_form(&rename.src.0)?;
                let Some(valu) = self.remade(form, &rename.src.1) else { continue };
                let norm = form.typ.norm(&self.cx, &valu).map_err(|error| {
                    let mesg = format!("fuse() cannot make a value of {} anew: {error}", form.name);
                    err!("BadTypeValu", mesg = mesg, form = &*form.name)
                })?;
                let dst = (form.name.clone(), norm.value);
                if rename.dst.as_ref() != Some(&dst)
                    && let Some((_, rename)) = self.renames.get_index_mut(indx)
                {
                    (rename.dst, rename.subs) = (Some(dst), norm.info.subs);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let circle = self.renames.values().filter_map(|rename| rename.dst.as_ref());
        if circle.into_iter().any(|(form, valu)| self.renames.contains_key(&ndef_buid(form, valu))) {
            return Err(Error::mesg("SynErr", "fuse() would turn a node into one that is fused away itself."));
        }
        Ok(())
    }

    /// A compound value with every part that names a renamed node replaced; nothing when there is no such part.
    fn remade(&self, form: &Form, valu: &Value) -> Option<Value> {
        let mut parts = valu.as_list()?.to_vec();
        let mut changed = false;
        for prop in form.props.values().filter(|prop| prop.ro) {
            let (Some(offs), Some(refers)) = (prop.comp_offs, refers(&self.model, prop)) else { continue };
            let Some(part) = parts.get_mut(offs) else { continue };
            let new = self.renamed_all(&refers, part);
            if new != *part {
                *part = new;
                changed = true;
            }
        }
        changed.then(|| Value::from(parts))
    }

    fn apply(&mut self, user: &str) -> Result<()> {
        let meta = Value::from(Map::new().with("time", now_millis()).with("user", user));
        for indx in 0..self.layers.len() {
            let edits = self.layer_edits(indx)?;
            let layer = self.layers[indx].0.clone();
            let (gone, rest): (Vec<_>, Vec<_>) =
                edits.into_values().partition(|edit| self.renames.contains_key(&edit.buid));
            let mut event = Vec::new();
            let mut count = 0;
            let mut stored = Ok(());
            for edit in rest.into_iter().chain(gone) {
                count += edit.edits.len();
                event.push(edit);
                if count >= EDITS_AN_EVENT {
                    count = 0;
                    stored = layer.save_edits(&std::mem::take(&mut event), &meta).map(drop);
                    if stored.is_err() {
                        break;
                    }
                }
            }
            if stored.is_ok() && !event.is_empty() {
                stored = layer.save_edits(&event, &meta).map(drop);
            }
            if let Err(error) = stored {
                let iden = layer.iden().to_string();
                self.outcome.warnings.push(format!("fuse() could not write the layer {iden}: {error}. Run it again."));
                self.outcome.failed.push((iden, error.to_string()));
            }
        }
        Ok(())
    }

    fn layer_edits(&mut self, indx: usize) -> Result<IndexMap<Buid, NodeEdit>> {
        let mut edits = IndexMap::new();
        for at in 0..self.renames.len() {
            self.fuse_one(indx, at, &mut edits)?;
            self.turn_references(indx, at, &mut edits)?;
        }
        Ok(edits)
    }

    /// What carries one node over in one layer, and removes what is left of it there.
    fn fuse_one(&mut self, indx: usize, at: usize, edits: &mut IndexMap<Buid, NodeEdit>) -> Result<()> {
        let (layer, alone) = self.layers[indx].clone();
        let Some((srcbuid, rename)) = self.renames.get_index(at) else { return Ok(()) };
        let Some((_, dstvalu)) = rename.dst.clone() else { return Ok(()) };
        let (srcbuid, subs) = (*srcbuid, rename.subs.clone());
        let form = self.model.req_form(&rename.src.0)?.clone();
        let dstbuid = ndef_buid(&form.name, &dstvalu);
        let (src, dst) = (Held::read(&layer, &srcbuid)?, Held::read(&layer, &dstbuid)?);
        let mut adds = Vec::new();
        if src.valu.is_some() {
            adds.push(EditOp::NodeAdd { valu: dstvalu, stor: form.typ.stortype });
            if dst.valu.is_none() {
                for (name, valu) in &subs {
                    if let Some(prop) = form.prop(name.as_str()) {
                        adds.push(set(&prop.name, valu.clone(), prop.typ.stortype));
                    }
                }
                if let Some((valu, stor)) = src.props.get(".created") {
                    adds.push(set(".created", valu.clone(), *stor));
                }
            }
        }
        for (name, (valu, stor)) in &src.props {
            let prop = form.prop(name);
            if prop.is_some_and(|prop| prop.ro) || (!merges(*stor) && dst.props.contains_key(name)) {
                continue;
            }
            let refers = prop.and_then(|prop| Some((prop, refers(&self.model, prop)?)));
            let valu = match refers {
                Some((prop, refers)) => self.turned(prop, &refers, valu),
                None => valu.clone(),
            };
            adds.push(set(name, valu, *stor));
        }
        for (tag, valu) in &src.tags {
            let bare = valu.as_list().is_some_and(|ival| ival.iter().all(Value::is_null));
            if !(bare && dst.tags.contains_key(tag)) {
                adds.push(EditOp::TagSet { tag: Arc::from(tag.as_str()), valu: valu.clone(), old: Value::Null });
            }
        }
        for ((tag, name), (valu, stor)) in &src.tagprops {
            if merges(*stor) || !dst.tagprops.contains_key(&(tag.clone(), name.clone())) {
                let (tag, prop) = (Arc::from(tag.as_str()), Arc::from(name.as_str()));
                adds.push(EditOp::TagPropSet { tag, prop, valu: valu.clone(), old: Value::Null, stor: *stor });
            }
        }
        let data = layer.node_data_names(&srcbuid)?;
        for name in &data {
            if !layer.has_node_data(&dstbuid, name)?
                && let Some(valu) = layer.node_data(&srcbuid, name)?
            {
                adds.push(EditOp::DataSet { name: Arc::from(name.as_str()), valu, old: Value::Null });
            }
        }
        let mut outgoing = Vec::new();
        for row in alone.edges_n1(&srcbuid, None)? {
            let row = row?;
            adds.push(EditOp::EdgeAdd { verb: row.verb.clone(), n2: self.new_buid(&row.n2) });
            outgoing.push(EditOp::EdgeDel { verb: row.verb, n2: row.n2 });
        }
        add(edits, dstbuid, &form.name, adds);
        for row in alone.edges_n2(&srcbuid, None)? {
            let row = row?;
            if self.renames.contains_key(&row.n2) {
                continue;
            }
            match self.form_of(&row.n2)? {
                Some(n1form) => {
                    let ops = vec![
                        EditOp::EdgeAdd { verb: row.verb.clone(), n2: dstbuid },
                        EditOp::EdgeDel { verb: row.verb, n2: srcbuid },
                    ];
                    add(edits, row.n2, &n1form, ops);
                }
                None => self.outcome.warnings.push(format!(
                    "fuse() does not move an edge of the node {}, whose form no layer knows.",
                    row.n2.to_hex()
                )),
            }
        }
        let mut dels = src.removal();
        if src.valu.is_none() {
            dels.extend(data.iter().map(|name| EditOp::DataDel { name: Arc::from(name.as_str()), old: Value::Null }));
            dels.extend(outgoing);
        }
        add(edits, srcbuid, &form.name, dels);
        Ok(())
    }

    fn new_buid(&self, buid: &Buid) -> Buid {
        let dst = self.renames.get(buid).and_then(|rename| rename.dst.as_ref());
        dst.map_or(*buid, |(form, valu)| ndef_buid(form, valu))
    }

    /// The value of a property with all references in it turned. Arrays are normalised anew: they may be sorted.
    fn turned(&mut self, prop: &Prop, refers: &Refers, valu: &Value) -> Value {
        let new = self.renamed_all(refers, valu);
        if !refers.array || new == *valu {
            return new;
        }
        match prop.typ.norm(&self.cx, &new) {
            Ok(norm) => norm.value,
            Err(error) => {
                self.outcome
                    .warnings
                    .push(format!("fuse() turned references in {}, which is not normalised: {error}", prop.full));
                new
            }
        }
    }

    fn turn_references(&mut self, indx: usize, at: usize, edits: &mut IndexMap<Buid, NodeEdit>) -> Result<()> {
        let Some((_, rename)) = self.renames.get_index(at) else { return Ok(()) };
        if rename.dst.is_none() {
            return Ok(());
        }
        let src = rename.src.clone();
        let layer = self.layers[indx].0.clone();
        for (buid, prop) in self.references(indx, &src)? {
            let Some(form) = prop.form.as_deref().and_then(|form| self.model.form(form)).cloned() else { continue };
            if is_comp_key(&form, &prop) || self.renames.contains_key(&buid) {
                continue;
            }
            let (Some(byts), Some(refers)) = (layer.sode(&buid)?, refers(&self.model, &prop)) else { continue };
            let Some((valu, stor)) = SodeRef::new(&byts).prop(&prop.name)? else { continue };
            let valu = self.turned(&prop, &refers, &valu);
            add(edits, buid, &form.name, vec![set(&prop.name, valu, stor)]);
        }
        Ok(())
    }
}

/// Whether values of that kind are merged by storing one over the other.
fn merges(stor: StorType) -> bool {
    [StorType::IVAL, StorType::MINTIME, StorType::MAXTIME].contains(&stor)
}

fn set(name: &str, valu: Value, stor: StorType) -> EditOp {
    EditOp::PropSet { prop: Arc::from(name), valu, old: Value::Null, stor }
}

fn add(edits: &mut IndexMap<Buid, NodeEdit>, buid: Buid, form: &Arc<str>, ops: Vec<EditOp>) {
    if !ops.is_empty() {
        let edit = edits.entry(buid).or_insert_with(|| NodeEdit::new(buid, form.clone(), []));
        edit.edits.extend(ops.into_iter().map(Into::into));
    }
}

/// What a layer holds of a node.
#[derive(Default)]
struct Held {
    valu: Option<(Value, StorType)>,
    props: IndexMap<String, (Value, StorType)>,
    tags: IndexMap<String, Value>,
    tagprops: IndexMap<(String, String), (Value, StorType)>,
}

impl Held {
    fn read(layer: &graph::Layer, buid: &Buid) -> Result<Held> {
        let mut held = Held::default();
        let Some(byts) = layer.sode(buid)? else { return Ok(held) };
        let sode = SodeRef::new(&byts);
        held.valu = sode.valu()?;
        sode.each_prop(|name, valu, stor| drop(held.props.insert(name.to_owned(), (valu, stor))))?;
        sode.each_tag(|tag, valu| drop(held.tags.insert(tag.to_owned(), valu)))?;
        sode.each_tagprop(|tag, name, valu, stor| {
            held.tagprops.insert((tag.to_owned(), name.to_owned()), (valu, stor));
        })?;
        Ok(held)
    }

    fn removal(&self) -> Vec<EditOp> {
        let props = self.props.iter().map(|(name, (valu, stor))| EditOp::PropDel {
            prop: Arc::from(name.as_str()),
            old: valu.clone(),
            stor: *stor,
        });
        let tags =
            self.tags.iter().map(|(tag, valu)| EditOp::TagDel { tag: Arc::from(tag.as_str()), old: valu.clone() });
        let tagprops = self.tagprops.iter().map(|((tag, name), (valu, stor))| EditOp::TagPropDel {
            tag: Arc::from(tag.as_str()),
            prop: Arc::from(name.as_str()),
            old: valu.clone(),
            stor: *stor,
        });
        let node = self.valu.iter().map(|(valu, stor)| EditOp::NodeDel { old: valu.clone(), stor: *stor });
        props.chain(tags).chain(tagprops).chain(node).collect()
    }
}
