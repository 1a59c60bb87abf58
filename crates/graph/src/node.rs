//! A node in a view: a cheap handle that decodes what it is asked for.
//!
//! It keeps the stored bytes of each layer and looks them up again when a layer of the view has changed since, so that all
//! handles of a node agree and a query sees its own edits. A handle outlives the node: after a delete its form and value
//! still stand, and everything else is gone.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::Result;
use myelin_model::StorType;
use myelin_value::{Buid, Value};
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::apply::is_bare;
use crate::sode::SodeRef;
use crate::view::{EdgeWalk, View};

/// The stored bytes of a node by layer, the top one first.
pub type Sodes = SmallVec<[Option<Arc<[u8]>>; 2]>;

/// A node. Cloning is cheap, and clones share what they have read.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    view: Arc<View>,
    buid: Buid,
    form: Arc<str>,
    valu: Value,
    sodes: RwLock<(u64, Sodes)>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({}={:?})", self.0.form, self.0.valu)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.0.buid == other.0.buid
    }
}

/// A value and the layer it is from, by its position from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The value.
    pub valu: Value,
    /// Its storage type.
    pub stor: StorType,
    /// The position of the layer in the view, the top one being 0.
    pub layer: usize,
}

/// Properties of tags, by tag and name.
pub type SeenTagProps = IndexMap<Arc<str>, IndexMap<Arc<str>, Seen>>;

impl Node {
    pub(crate) fn load(view: &Arc<View>, buid: Buid) -> Result<Option<Node>> {
        // The version before the rows: a change in between only makes the handle look again.
        let version = view.version();
        let sodes = view.sodes(&buid)?;
        for byts in sodes.iter().flatten() {
            let sode = SodeRef::new(byts);
            if let Some((valu, _)) = sode.valu()? {
                let form = Arc::from(sode.form()?.unwrap_or_default());
                let sodes = RwLock::new((version, sodes));
                return Ok(Some(Node(Arc::new(Inner { view: view.clone(), buid, form, valu, sodes }))));
            }
        }
        Ok(None)
    }

    /// The view it is seen in.
    pub fn view(&self) -> &Arc<View> {
        &self.0.view
    }

    /// Its buid.
    pub fn buid(&self) -> &Buid {
        &self.0.buid
    }

    /// Its buid in hex.
    pub fn iden(&self) -> String {
        self.0.buid.to_hex()
    }

    /// The name of its form.
    pub fn form(&self) -> &Arc<str> {
        &self.0.form
    }

    /// Its primary value.
    pub fn valu(&self) -> &Value {
        &self.0.valu
    }

    /// `[form, value]`.
    pub fn ndef(&self) -> Value {
        Value::list([Value::Str(self.0.form.clone()), self.0.valu.clone()])
    }

    /// Looks its storage nodes up again.
    pub fn refresh(&self) -> Result<()> {
        let version = self.0.view.version();
        let sodes = self.0.view.sodes(&self.0.buid)?;
        *self.0.sodes.write() = (version, sodes);
        Ok(())
    }

    /// Its storage nodes as they are now.
    pub fn sodes(&self) -> Result<Sodes> {
        let version = self.0.view.version();
        {
            let have = self.0.sodes.read();
            if have.0 == version {
                return Ok(have.1.clone());
            }
        }
        self.refresh()?;
        Ok(self.0.sodes.read().1.clone())
    }

    /// The first layer's answer, from the top down.
    fn first<T>(&self, ask: impl Fn(SodeRef<'_>) -> Result<Option<T>>) -> Result<Option<(T, usize)>> {
        for (layer, byts) in self.sodes()?.iter().enumerate() {
            if let Some(byts) = byts
                && let Some(answer) = ask(SodeRef::new(byts))?
            {
                return Ok(Some((answer, layer)));
            }
        }
        Ok(None)
    }

    /// Calls `each` with every layer's storage node from the bottom up.
    fn upwards(&self, mut each: impl FnMut(SodeRef<'_>, usize) -> Result<()>) -> Result<()> {
        for (layer, byts) in self.sodes()?.iter().enumerate().rev() {
            if let Some(byts) = byts {
                each(SodeRef::new(byts), layer)?;
            }
        }
        Ok(())
    }

    /// Whether it has a value in any layer still.
    pub fn exists(&self) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_valu()?.then_some(())))?.is_some())
    }

    /// The highest layer that holds its value, by position from the top.
    pub fn ndef_layer(&self) -> Result<Option<usize>> {
        Ok(self.first(|sode| Ok(sode.has_valu()?.then_some(())))?.map(|(_, layer)| layer))
    }

    /// A property.
    pub fn get(&self, prop: &str) -> Result<Option<Value>> {
        Ok(self.first(|sode| sode.prop(prop))?.map(|((valu, _), _)| valu))
    }

    /// Whether a property is set.
    pub fn has(&self, prop: &str) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_prop(prop)?.then_some(())))?.is_some())
    }

    /// A property and where it is from.
    pub fn get_seen(&self, prop: &str) -> Result<Option<Seen>> {
        let found = self.first(|sode| sode.prop(prop))?;
        Ok(found.map(|((valu, stor), layer)| Seen { valu, stor, layer }))
    }

    /// All properties, in the order in which the layers from the bottom up first have them.
    pub fn props(&self) -> Result<IndexMap<Arc<str>, Value>> {
        Ok(self.props_seen()?.into_iter().map(|(name, seen)| (name, seen.valu)).collect())
    }

    /// All properties and where they are from.
    pub fn props_seen(&self) -> Result<IndexMap<Arc<str>, Seen>> {
        let mut props = IndexMap::new();
        self.upwards(|sode, layer| {
            sode.each_prop(|name, valu, stor| {
                props.insert(Arc::from(name), Seen { valu, stor, layer });
            })
        })?;
        Ok(props)
    }

    /// A tag's interval: `[min, max]` or `[null, null]`.
    pub fn tag(&self, tag: &str) -> Result<Option<Value>> {
        Ok(self.first(|sode| sode.tag(tag))?.map(|(ival, _)| ival))
    }

    /// Whether a tag is set.
    pub fn has_tag(&self, tag: &str) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_tag(tag)?.then_some(())))?.is_some())
    }

    /// All tags with their intervals.
    pub fn tags(&self) -> Result<IndexMap<Arc<str>, Value>> {
        Ok(self.tags_seen()?.into_iter().map(|(tag, (ival, _))| (tag, ival)).collect())
    }

    /// All tags with their intervals and layers.
    pub fn tags_seen(&self) -> Result<IndexMap<Arc<str>, (Value, usize)>> {
        let mut tags = IndexMap::new();
        self.upwards(|sode, layer| {
            sode.each_tag(|tag, ival| {
                tags.insert(Arc::from(tag), (ival, layer));
            })
        })?;
        Ok(tags)
    }

    /// The tags that no longer tag continues.
    pub fn leaf_tags(&self) -> Result<Vec<(Arc<str>, Value)>> {
        let tags = self.tags()?;
        let has_child =
            |tag: &str| tags.keys().any(|other| other.strip_prefix(tag).is_some_and(|rest| rest.starts_with('.')));
        Ok(tags.iter().filter(|(tag, _)| !has_child(tag)).map(|(tag, ival)| (tag.clone(), ival.clone())).collect())
    }

    /// A property of a tag.
    pub fn tagprop(&self, tag: &str, prop: &str) -> Result<Option<Value>> {
        Ok(self.first(|sode| sode.tagprop(tag, prop))?.map(|((valu, _), _)| valu))
    }

    /// Whether a property of a tag is set.
    pub fn has_tagprop(&self, tag: &str, prop: &str) -> Result<bool> {
        Ok(self.first(|sode| Ok(sode.has_tagprop(tag, prop)?.then_some(())))?.is_some())
    }

    /// All properties of all tags.
    pub fn tagprops(&self) -> Result<SeenTagProps> {
        let mut tags = SeenTagProps::new();
        self.upwards(|sode, layer| {
            sode.each_tagprop(|tag, prop, valu, stor| {
                tags.entry(Arc::from(tag)).or_default().insert(Arc::from(prop), Seen { valu, stor, layer });
            })
        })?;
        Ok(tags)
    }

    /// Whether a tag is set with an interval.
    pub fn has_tag_ival(&self, tag: &str) -> Result<bool> {
        Ok(self.tag(tag)?.is_some_and(|ival| !is_bare(&ival)))
    }

    /// A piece of its data.
    pub fn data(&self, name: &str) -> Result<Option<Value>> {
        self.0.view.node_data(&self.0.buid, name)
    }

    /// Whether a piece of its data is there.
    pub fn has_data(&self, name: &str) -> Result<bool> {
        self.0.view.has_node_data(&self.0.buid, name)
    }

    /// The names of its data.
    pub fn data_names(&self) -> Result<Vec<String>> {
        self.0.view.node_data_names(&self.0.buid)
    }

    /// Edges that go out of it.
    pub fn edges_n1(&self, verb: Option<&str>) -> Result<EdgeWalk> {
        self.0.view.edges_n1(&self.0.buid, verb)
    }

    /// Edges that go into it.
    pub fn edges_n2(&self, verb: Option<&str>) -> Result<EdgeWalk> {
        self.0.view.edges_n2(&self.0.buid, verb)
    }
}
