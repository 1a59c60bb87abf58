//! Nodes and paths as a query holds them.
//!
//! A [`Node`] is shared: everybody in a query who holds a node sees edits made through another handle. A [`Path`] is how
//! a node came into the pipe; it carries the variables that are per node.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_model::Form;
use myelin_model::types::py;
use myelin_value::{Buid, Map, Value};
use parking_lot::{Mutex, RwLock};

use crate::ctl::Flow;
use crate::item::{Genr, Item};
use crate::rt::{Rt, VarMap};
use crate::store::{EditOp, NodeData};

/// What flows through the pipe.
pub type NodePath = (Node, Path);

/// A node.
#[derive(Clone)]
pub struct Node(Arc<NodeInner>);

/// The inside of a [`Node`], public only for weak references.
pub struct NodeInner {
    buid: Buid,
    form: Arc<Form>,
    valu: Value,
    view: Arc<str>,
    is_runt: bool,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    data: NodeData,
    nodedata: Map,
}

impl Node {
    /// A node of a view. Nothing when no layer has the node itself.
    pub fn new(buid: Buid, form: Arc<Form>, view: Arc<str>, data: NodeData) -> Option<Node> {
        let (_, valu) = data.ndef.clone()?;
        let state = RwLock::new(State { data, nodedata: Map::new() });
        Some(Node(Arc::new(NodeInner { buid, form, valu, view, is_runt: false, state })))
    }

    /// A computed node.
    pub fn runt(buid: Buid, form: Arc<Form>, view: Arc<str>, valu: Value, props: &Map) -> Node {
        let mut data = NodeData { ndef: Some((form.name.clone(), valu.clone())), ..NodeData::default() };
        for (name, prop) in props.text_entries() {
            data.props.insert(Arc::from(name), (prop.clone(), Arc::from("")));
        }
        let state = RwLock::new(State { data, nodedata: Map::new() });
        Node(Arc::new(NodeInner { buid, form, valu, view, is_runt: true, state }))
    }

    /// Replaces what was read of it, when somebody else changed it.
    pub fn reload(&self, data: NodeData) {
        *self.0.state.write() = State { data, nodedata: Map::new() };
    }

    /// The node of a weak reference.
    pub(crate) fn from_inner(inner: Arc<NodeInner>) -> Node {
        Node(inner)
    }

    /// A weak reference.
    pub(crate) fn downgrade(&self) -> std::sync::Weak<NodeInner> {
        Arc::downgrade(&self.0)
    }

    /// Its name.
    pub fn buid(&self) -> Buid {
        self.0.buid
    }

    /// Its name as hex.
    pub fn iden(&self) -> String {
        self.0.buid.to_hex()
    }

    /// Its form.
    pub fn form(&self) -> &Arc<Form> {
        &self.0.form
    }

    /// The name of its form.
    pub fn form_name(&self) -> &Arc<str> {
        &self.0.form.name
    }

    /// Its primary value.
    pub fn valu(&self) -> &Value {
        &self.0.valu
    }

    /// Form and primary value.
    pub fn ndef_value(&self) -> Value {
        Value::list([Value::from(&self.0.form.name), self.0.valu.clone()])
    }

    /// The identifier of the view it was read from.
    pub fn view_iden(&self) -> &Arc<str> {
        &self.0.view
    }

    /// Whether it is computed.
    pub fn is_runt(&self) -> bool {
        self.0.is_runt
    }

    /// Whether a property is set.
    pub fn has(&self, name: &str) -> bool {
        self.0.state.read().data.props.contains_key(name)
    }

    /// A property, or a tag's interval by `#tag`.
    pub fn get(&self, name: &str) -> Option<Value> {
        match name.strip_prefix('#') {
            Some(tag) => self.tag(tag),
            None => self.0.state.read().data.props.get(name).map(|(valu, _)| valu.clone()),
        }
    }

    /// Every property.
    pub fn props(&self) -> Vec<(Arc<str>, Value)> {
        let state = self.0.state.read();
        state.data.props.iter().map(|(name, (valu, _))| (name.clone(), valu.clone())).collect()
    }

    /// A tag's interval.
    pub fn tag(&self, name: &str) -> Option<Value> {
        self.0.state.read().data.tags.get(name).map(|(valu, _)| valu.clone())
    }

    /// Whether it has any tag.
    pub fn has_tags(&self) -> bool {
        !self.0.state.read().data.tags.is_empty()
    }

    /// Every tag and its interval.
    pub fn tags(&self) -> Vec<(Arc<str>, Value)> {
        let state = self.0.state.read();
        state.data.tags.iter().map(|(name, (valu, _))| (name.clone(), valu.clone())).collect()
    }

    /// The tags that have no tags below them, longest first.
    pub fn leaf_tags(&self) -> Vec<(Arc<str>, Value)> {
        let mut tags = self.tags();
        tags.sort_by(|(left, _), (right, _)| (right.chars().count(), right).cmp(&(left.chars().count(), left)));
        let mut retn: Vec<(Arc<str>, Value)> = Vec::new();
        for (tag, valu) in tags {
            let look = format!("{tag}.");
            if !retn.iter().any(|(have, _)| have.starts_with(&look)) {
                retn.push((tag, valu));
            }
        }
        retn
    }

    /// A property of a tag.
    pub fn tagprop(&self, tag: &str, name: &str) -> Option<Value> {
        self.0.state.read().data.tagprops.get(tag)?.get(name).map(|(valu, _)| valu.clone())
    }

    /// The names of the properties of a tag.
    pub fn tagprop_names(&self, tag: &str) -> Vec<Arc<str>> {
        let state = self.0.state.read();
        state.data.tagprops.get(tag).map(|props| props.keys().cloned().collect()).unwrap_or_default()
    }

    /// The tags with properties: tag, property, value.
    pub fn tagprops(&self) -> Vec<(Arc<str>, Arc<str>, Value)> {
        let state = self.0.state.read();
        let flat = state.data.tagprops.iter().flat_map(|(tag, props)| {
            props.iter().map(move |(name, (valu, _))| (tag.clone(), name.clone(), valu.clone()))
        });
        flat.collect()
    }

    /// The layer that has the node itself.
    pub fn ndef_layer(&self) -> Option<Arc<str>> {
        self.0.state.read().data.ndef_layer.clone()
    }

    /// Which layer each part comes from, as `$node.getByLayer()` shows it.
    pub fn by_layer(&self) -> Value {
        let state = self.0.state.read();
        let mut retn: IndexMap<Arc<str>, Map> = IndexMap::new();
        let mut slot = |layer: &Arc<str>, key: &str, name: Value| {
            let map = retn.entry(layer.clone()).or_default();
            let mut items: Vec<Value> = map.get(key).and_then(Value::as_list).unwrap_or_default().to_vec();
            items.push(name);
            map.insert(key, Value::list(items));
        };
        for (name, (_, layer)) in &state.data.props {
            slot(layer, "props", Value::from(name));
        }
        for (name, (_, layer)) in &state.data.tags {
            slot(layer, "tags", Value::from(name));
        }
        for (tag, props) in &state.data.tagprops {
            for (name, (_, layer)) in props {
                slot(layer, "tagprops", Value::list([Value::from(tag), Value::from(name)]));
            }
        }
        if let Some(layer) = &state.data.ndef_layer {
            retn.entry(layer.clone()).or_default().insert("ndef", self.0.form.name.clone());
        }
        Value::from(retn.into_iter().map(|(layer, map)| (Value::from(layer), Value::from(map))).collect::<Map>())
    }

    /// Node data set in this query, before storage is asked.
    pub fn cached_data(&self, name: &str) -> Option<Value> {
        self.0.state.read().nodedata.get(name).cloned()
    }

    /// Applies what a layer said it changed.
    pub fn apply(&self, op: &EditOp, layer: &Arc<str>) {
        let mut state = self.0.state.write();
        let data = &mut state.data;
        match op {
            EditOp::NodeAdd(..) => data.ndef_layer = Some(layer.clone()),
            EditOp::NodeDel(..) | EditOp::EdgeAdd(..) | EditOp::EdgeDel(..) => {}
            EditOp::PropSet(name, valu, ..) => {
                data.props.insert(name.clone(), (valu.clone(), layer.clone()));
            }
            EditOp::PropDel(name, ..) => {
                data.props.shift_remove(name);
            }
            EditOp::TagSet(tag, valu, _) => {
                data.tags.insert(tag.clone(), (valu.clone(), layer.clone()));
            }
            EditOp::TagDel(tag, _) => {
                data.tags.shift_remove(tag);
            }
            EditOp::TagPropSet(tag, name, valu, ..) => {
                data.tagprops.entry(tag.clone()).or_default().insert(name.clone(), (valu.clone(), layer.clone()));
            }
            EditOp::TagPropDel(tag, name, ..) => {
                if let Some(props) = data.tagprops.get_mut(tag) {
                    props.shift_remove(name);
                    if props.is_empty() {
                        data.tagprops.shift_remove(tag);
                    }
                }
            }
            EditOp::DataSet(name, valu, _) => {
                state.nodedata.insert(name, valu.clone());
            }
            EditOp::DataDel(name, _) => {
                state.nodedata.remove(name);
            }
        }
    }

    /// How the primary value prints.
    ///
    /// # Errors
    /// As the type's `repr`.
    pub fn repr(&self, rt: &Rt) -> Result<Value> {
        self.0.form.typ.repr(&rt.norm_cx(), &self.0.valu)
    }

    /// How the primary value prints, as text.
    ///
    /// # Errors
    /// As the type's `repr`.
    pub fn repr_text(&self, rt: &Rt) -> Flow<String> {
        Ok(py::str_text(&self.repr(rt)?))
    }

    /// How a property prints; nothing when it is not set.
    ///
    /// # Errors
    /// `NoSuchProp` when the form has no such property.
    pub fn repr_prop(&self, rt: &Rt, name: &str) -> Result<Option<Value>> {
        let Some(prop) = self.0.form.prop(name) else {
            let mesg = format!("No property named {name}.");
            return Err(err!("NoSuchProp", mesg = mesg, form = self.form_name(), prop = name));
        };
        self.get(name).map(|valu| prop.typ.repr(&rt.norm_cx(), &valu)).transpose()
    }

    /// What `$lib.print($node)` shows.
    pub fn debug_text(&self) -> String {
        format!("node: Node{{{}}}", py::repr_text(&self.pack_plain()))
    }

    fn pack_plain(&self) -> Value {
        Value::list([self.ndef_value(), Value::from(self.pack_info())])
    }

    fn pack_info(&self) -> Map {
        let state = self.0.state.read();
        let pairs = |map: &IndexMap<Arc<str>, (Value, Arc<str>)>| -> Map {
            map.iter().map(|(name, (valu, _))| (Value::from(name), valu.clone())).collect()
        };
        let tagprops: Map =
            state.data.tagprops.iter().map(|(tag, props)| (Value::from(tag), Value::from(pairs(props)))).collect();
        Map::new()
            .with("iden", self.iden())
            .with("tags", pairs(&state.data.tags))
            .with("props", pairs(&state.data.props))
            .with("tagprops", tagprops)
            .with("nodedata", state.nodedata.clone())
    }

    /// The packed form clients get: `[[form, valu], info]`, here as ndef and info.
    ///
    /// # Errors
    /// What printing a value gives.
    pub fn pack(&self, rt: &Rt, dorepr: bool) -> Result<(Value, Map)> {
        let mut info = self.pack_info();
        if dorepr {
            let cx = rt.norm_cx();
            let repr = self.repr(rt)?;
            if !repr.is_null() && !repr.py_eq(&self.0.valu) {
                info.insert("repr", repr);
            }
            let mut reprs = Map::new();
            for (name, valu) in self.props() {
                let Some(prop) = self.0.form.prop(&name) else { continue };
                let repr = prop.typ.repr(&cx, &valu)?;
                if !repr.is_null() && !repr.py_eq(&valu) {
                    reprs.insert(&name, repr);
                }
            }
            info.insert("reprs", reprs);
            let model = rt.model();
            let mut tagreprs = Map::new();
            for (tag, name, valu) in self.tagprops() {
                let Some(prop) = model.tagprop(&name) else { continue };
                let repr = prop.typ.repr(&cx, &valu)?;
                if repr.is_null() || repr.py_eq(&valu) {
                    continue;
                }
                let mut of_tag = tagreprs.get(&tag).and_then(Value::as_map).cloned().unwrap_or_default();
                of_tag.insert(&name, repr);
                tagreprs.insert(&tag, of_tag);
            }
            info.insert("tagpropreprs", tagreprs);
        }
        Ok((self.ndef_value(), info))
    }

    /// The references that go out: property and (form, value).
    pub fn refs_out(&self, rt: &Rt) -> Vec<(Arc<str>, Value)> {
        let refs = rt.model().refs_out(&self.0.form.name);
        let mut retn = Vec::new();
        let ndef = |form: &Arc<str>, valu: Value| Value::list([Value::from(form), valu]);
        for (name, dest) in &refs.prop {
            retn.extend(self.get(name).map(|valu| (name.clone(), ndef(dest, valu))));
        }
        for name in &refs.ndef {
            retn.extend(self.get(name).map(|valu| (name.clone(), valu)));
        }
        for (name, dest) in &refs.array {
            for item in self.get(name).as_ref().and_then(Value::as_list).unwrap_or_default() {
                retn.push((name.clone(), ndef(dest, item.clone())));
            }
        }
        for name in &refs.ndefarray {
            for item in self.get(name).as_ref().and_then(Value::as_list).unwrap_or_default() {
                retn.push((name.clone(), item.clone()));
            }
        }
        retn
    }
}

/// The way a node came into the pipe, with the variables that belong to it.
#[derive(Clone)]
pub struct Path(Arc<Mutex<PathState>>);

struct PathState {
    nodes: Vec<Node>,
    links: Vec<Value>,
    vars: VarMap,
    frames: Vec<VarMap>,
    meta: IndexMap<Arc<str>, Item>,
    display: Option<Value>,
}

impl Path {
    /// A path that begins at a node.
    pub fn new(vars: VarMap, node: Node) -> Path {
        Path::make(vars, vec![node], Vec::new(), Vec::new())
    }

    fn make(vars: VarMap, nodes: Vec<Node>, links: Vec<Value>, frames: Vec<VarMap>) -> Path {
        let (meta, display) = (IndexMap::new(), None);
        Path(Arc::new(Mutex::new(PathState { nodes, links, vars, frames, meta, display })))
    }

    /// The node it ends at.
    pub fn node(&self) -> Option<Node> {
        self.0.lock().nodes.last().cloned()
    }

    /// Every node on it.
    pub fn nodes(&self) -> Vec<Node> {
        self.0.lock().nodes.clone()
    }

    /// How each node but the first was reached: `[iden, link]`.
    pub fn links(&self) -> Vec<Value> {
        self.0.lock().links.clone()
    }

    /// A variable of the path; `$node` and `$path` are there unless overshadowed.
    pub fn get_var(&self, name: &str) -> Option<Item> {
        let state = self.0.lock();
        if let Some(item) = state.vars.get(name) {
            return Some(item.clone());
        }
        match name {
            "node" => Some(state.nodes.last().cloned().map_or(Item::NULL, Item::Node)),
            "path" => {
                drop(state);
                Some(Item::Path(self.clone()))
            }
            _ => None,
        }
    }

    /// Sets a variable.
    pub fn set_var(&self, name: &Arc<str>, valu: Item) {
        let mut state = self.0.lock();
        Arc::make_mut(&mut state.vars).insert(name.clone(), valu);
    }

    /// Removes a variable.
    pub fn pop_var(&self, name: &str) -> Option<Item> {
        let mut state = self.0.lock();
        if !state.vars.contains_key(name) {
            return None;
        }
        Arc::make_mut(&mut state.vars).shift_remove(name)
    }

    /// Every variable.
    pub fn vars(&self) -> VarMap {
        self.0.lock().vars.clone()
    }

    /// Takes over the variables of another path.
    pub fn update_vars(&self, other: &VarMap) {
        let mut state = self.0.lock();
        if Arc::ptr_eq(&state.vars, other) {
            return;
        }
        let vars = Arc::make_mut(&mut state.vars);
        for (name, valu) in other.iter() {
            vars.insert(name.clone(), valu.clone());
        }
    }

    /// A path one step further.
    #[must_use]
    pub fn fork(&self, node: Node, link: Option<Value>) -> Path {
        let state = self.0.lock();
        let (mut nodes, mut links) = (state.nodes.clone(), state.links.clone());
        if let (Some(last), Some(link)) = (nodes.last(), link) {
            links.push(Value::list([Value::from(last.iden()), link]));
        }
        nodes.push(node);
        Path::make(state.vars.clone(), nodes, links, Vec::new())
    }

    /// A copy with variables of its own.
    #[must_use]
    pub fn copy(&self) -> Path {
        let state = self.0.lock();
        Path::make(state.vars.clone(), state.nodes.clone(), state.links.clone(), state.frames.clone())
    }

    /// Puts the variables aside for a fresh set.
    pub fn init_frame(&self, vars: VarMap) {
        let mut state = self.0.lock();
        let old = std::mem::replace(&mut state.vars, vars);
        state.frames.push(old);
    }

    /// Takes back the variables put aside last.
    pub fn fini_frame(&self) {
        let mut state = self.0.lock();
        state.vars = state.frames.pop().unwrap_or_default();
    }

    /// Adds what is sent along with the node.
    pub fn set_meta(&self, name: impl Into<Arc<str>>, valu: Item) {
        self.0.lock().meta.insert(name.into(), valu);
    }

    /// Removes what would be sent along.
    pub fn pop_meta(&self, name: &str) {
        self.0.lock().meta.shift_remove(name);
    }

    /// What is sent along with the node.
    pub fn meta(&self) -> Vec<(Arc<str>, Item)> {
        self.0.lock().meta.iter().map(|(name, valu)| (name.clone(), valu.clone())).collect()
    }

    /// Sets the `display` entry of the packed node.
    pub fn set_display(&self, display: Value) {
        self.0.lock().display = Some(display);
    }

    /// The `display` entry of the packed node.
    pub fn display(&self) -> Option<Value> {
        self.0.lock().display.clone()
    }

    /// What is sent along, packed.
    ///
    /// # Errors
    /// Whatever converting an object gives.
    pub fn pack(&self, rt: &Rt, nodes: bool) -> Flow<Map> {
        let mut info = Map::new();
        for (name, valu) in self.meta() {
            match valu.toprim(rt) {
                Ok(valu) => {
                    info.insert(name, valu);
                }
                Err(error) if error.isa("NoSuchType") => {}
                Err(error) => return Err(error),
            }
        }
        if nodes {
            info.insert("nodes", Value::list(self.nodes().iter().map(|node| Value::from(node.iden()))));
        }
        Ok(info)
    }

    /// Where it is, for identity.
    pub fn addr(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    pub(crate) fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Value::list(self.nodes().iter().map(|node| Value::from(node.iden()))))
    }

    pub(crate) fn repr(&self, rt: &Rt) -> Flow<String> {
        Ok(format!("node:path: {}", py::str_text(&self.value(rt)?)))
    }

    pub(crate) fn iter_item(&self) -> Genr {
        Genr::of(self.nodes().into_iter().map(Item::Node).collect::<Vec<_>>())
    }
}
