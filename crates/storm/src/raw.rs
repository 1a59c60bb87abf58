//! A node as its layers hold it: bytes, decoded only as far as somebody asks.
//!
//! Most nodes in a pipe are asked for one property or a tag, many for nothing at all. [`RawNode`] answers such questions
//! from the stored bytes; [`RawNode::decode`] makes the whole of it when something has to be changed or listed by layer.

use std::sync::Arc;

use myelin_error::Result;
use myelin_graph::{Layers, SodeRef, Sodes};
use myelin_value::{Map, Value};
use smallvec::SmallVec;

use crate::store::NodeData;

/// The parts of a packed node that storage holds.
#[derive(Default)]
pub struct Packed {
    /// Properties.
    pub props: Map,
    /// Tags with their intervals.
    pub tags: Map,
    /// Properties of tags, by tag.
    pub tagprops: Map,
}

/// The stored bytes of a node by layer.
#[derive(Clone)]
pub struct RawNode {
    sodes: Sodes,
    layers: Layers,
}

impl RawNode {
    /// Over what the layers of a view hold, the topmost first.
    pub fn new(sodes: Sodes, layers: Layers) -> RawNode {
        RawNode { sodes, layers }
    }

    /// The topmost layer's answer.
    fn first<T>(&self, ask: impl Fn(SodeRef<'_>) -> Result<Option<T>>) -> Result<Option<T>> {
        for byts in self.sodes.iter().flatten() {
            if let Some(found) = ask(SodeRef::new(byts))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Hands form and primary value to a function; nothing when no layer has the node itself.
    ///
    /// # Errors
    /// `BadCoreStore` for damaged bytes, as all others here.
    pub fn ndef<T>(&self, func: impl Fn(&str, Value) -> T) -> Result<Option<T>> {
        self.first(|sode| {
            let Some((valu, _)) = sode.valu()? else { return Ok(None) };
            Ok(Some(func(sode.form()?.unwrap_or_default(), valu)))
        })
    }

    /// A property.
    pub fn prop(&self, name: &str) -> Result<Option<Value>> {
        self.first(|sode| Ok(sode.prop(name)?.map(|(valu, _)| valu)))
    }

    /// Those of some properties that are set, in the order of the names.
    pub fn pick(&self, names: &[Arc<str>]) -> Result<SmallVec<[(usize, Value); 4]>> {
        let mut found: SmallVec<[(usize, Value); 4]> = SmallVec::new();
        for byts in self.sodes.iter().flatten() {
            let above = found.len();
            let place = |name: &[u8]| {
                let indx = names.iter().position(|want| want.as_bytes() == name)?;
                let hidden = found[..above].iter().any(|(have, _)| *have == indx);
                (!hidden).then_some(indx)
            };
            let more = SodeRef::new(byts).pick_props(place)?;
            found.extend(more);
        }
        found.sort_unstable_by_key(|(indx, _)| *indx);
        Ok(found)
    }

    /// Whether a property is set.
    pub fn has_prop(&self, name: &str) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_prop(name)?.then_some(())))?.is_some())
    }

    /// A tag's interval.
    pub fn tag(&self, name: &str) -> Result<Option<Value>> {
        self.first(|sode| sode.tag(name))
    }

    /// Whether a tag is set.
    pub fn has_tag(&self, name: &str) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_tag(name)?.then_some(())))?.is_some())
    }

    /// Whether any tag is set.
    pub fn has_tags(&self) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_tags()?.then_some(())))?.is_some())
    }

    /// A property of a tag.
    pub fn tagprop(&self, tag: &str, name: &str) -> Result<Option<Value>> {
        self.first(|sode| Ok(sode.tagprop(tag, name)?.map(|(valu, _)| valu)))
    }

    /// Tags, properties and properties of tags, as clients get them.
    pub fn pack(&self) -> Result<Packed> {
        let mut packed = Packed::default();
        for byts in self.sodes.iter().rev().flatten() {
            let sode = SodeRef::new(byts);
            sode.each_prop(|name, valu, _| {
                packed.props.insert(name, valu);
            })?;
            sode.each_tag(|tag, valu| {
                packed.tags.insert(tag, valu);
            })?;
            sode.each_tagprop(|tag, name, valu, _| {
                let mut props = packed.tagprops.get(tag).and_then(Value::as_map).cloned().unwrap_or_default();
                props.insert(name, valu);
                packed.tagprops.insert(tag, props);
            })?;
        }
        Ok(packed)
    }

    /// All of it, merged: from the bottom up, what is above replaces what is below and keeps its place.
    pub fn decode(&self) -> Result<NodeData> {
        let mut data = NodeData::default();
        for (byts, layer) in self.sodes.iter().zip(self.layers.iter()).rev() {
            let Some(byts) = byts else { continue };
            let (sode, layer) = (SodeRef::new(byts), layer.iden());
            if let Some((valu, _)) = sode.valu()? {
                data.ndef = Some((Arc::from(sode.form()?.unwrap_or_default()), valu));
                data.ndef_layer = Some(layer.clone());
            }
            sode.each_prop(|name, valu, _| {
                data.props.insert(Arc::from(name), (valu, layer.clone()));
            })?;
            sode.each_tag(|tag, valu| {
                data.tags.insert(Arc::from(tag), (valu, layer.clone()));
            })?;
            sode.each_tagprop(|tag, name, valu, _| {
                data.tagprops.entry(Arc::from(tag)).or_default().insert(Arc::from(name), (valu, layer.clone()));
            })?;
        }
        Ok(data)
    }
}
