//! Nodes and paths as a query holds them.
//!
//! A [`Node`] is shared: everybody in a query who holds a node sees edits made through another handle. A [`Path`] is how
//! a node came into the pipe; it carries the variables that are per node.

use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_model::Form;
use myelin_model::types::py;
use myelin_value::{Buid, Map, Value};
use parking_lot::{Mutex, RwLock};
use smallvec::{SmallVec, smallvec};

use crate::ctl::Flow;
use crate::item::{Genr, Item};
use crate::raw::Packed;
use crate::rt::{Rt, VarMap};
use crate::store::{EditOp, NodeData, RawNode, View};

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
    /// Where it was read from; nothing for a computed node.
    store: Option<View>,
    view: Arc<str>,
    state: RwLock<State>,
}

struct State {
    held: Held,
    nodedata: Map,
}

/// What is known of a node beside form and value.
enum Held {
    /// Nothing yet: it came from an index, and nobody has asked for more.
    Unread,
    /// The stored bytes.
    Raw(RawNode),
    /// All of it, decoded.
    Whole(Box<NodeData>),
}

impl Node {
    /// A node of a view, with what was read of it already.
    pub fn new(buid: Buid, form: Arc<Form>, valu: Value, store: &View, view: &Arc<str>, raw: Option<RawNode>) -> Node {
        let held = raw.map_or(Held::Unread, Held::Raw);
        Node::make(buid, form, valu, Some(store.clone()), view.clone(), held)
    }

    fn make(buid: Buid, form: Arc<Form>, valu: Value, store: Option<View>, view: Arc<str>, held: Held) -> Node {
        let state = RwLock::new(State { held, nodedata: Map::new() });
        Node(Arc::new(NodeInner { buid, form, valu, store, view, state }))
    }

    /// A computed node.
    pub fn runt(buid: Buid, form: Arc<Form>, view: Arc<str>, valu: Value, props: &Map) -> Node {
        let mut data = NodeData { ndef: Some((form.name.clone(), valu.clone())), ..NodeData::default() };
        for (name, prop) in props.text_entries() {
            data.props.insert(Arc::from(name), (prop.clone(), Arc::from("")));
        }
        Node::make(buid, form, valu, None, view, Held::Whole(Box::new(data)))
    }

    /// Forgets what was read of it, when somebody else has changed it.
    pub fn reload(&self) {
        if self.0.store.is_some() {
            *self.0.state.write() = State { held: Held::Unread, nodedata: Map::new() };
        }
    }

    /// Asks the stored bytes, or what was decoded of them.
    ///
    /// Storage that cannot be read is logged and taken as empty: these questions have no way to fail.
    fn ask<T: Default>(&self, raw: impl Fn(&RawNode) -> Result<T>, whole: impl Fn(&NodeData) -> T) -> T {
        let answer = |state: &State| match &state.held {
            Held::Unread => None,
            Held::Raw(node) => Some(raw(node).unwrap_or_else(|error| self.unreadable(&error))),
            Held::Whole(data) => Some(whole(data)),
        };
        if let Some(found) = answer(&self.0.state.read()) {
            return found;
        }
        self.read();
        answer(&self.0.state.read()).unwrap_or_default()
    }

    fn unreadable<T: Default>(&self, error: &myelin_error::Error) -> T {
        tracing::error!(node = self.iden(), "a node cannot be read: {error}");
        T::default()
    }

    /// Reads the stored bytes.
    fn read(&self) {
        let Some(store) = &self.0.store else { return };
        let held = match store.node(&self.0.buid) {
            Ok(raw) => Held::Raw(raw),
            Err(error) => Held::Whole(self.unreadable(&error)),
        };
        let mut state = self.0.state.write();
        if matches!(state.held, Held::Unread) {
            state.held = held;
        }
    }

    /// Hands the decoded whole to a function.
    fn whole<T>(&self, func: impl FnOnce(&NodeData, &Map) -> T) -> T {
        {
            let state = self.0.state.read();
            if let Held::Whole(data) = &state.held {
                return func(data, &state.nodedata);
            }
        }
        let mut state = self.0.state.write();
        let State { held, nodedata } = &mut *state;
        func(self.decode(held), nodedata)
    }

    /// Makes the whole of what is held.
    fn decode<'a>(&self, held: &'a mut Held) -> &'a mut NodeData {
        if let Held::Unread = held {
            let raw = self.0.store.as_ref().map(|store| store.node(&self.0.buid));
            *held = match raw {
                Some(Ok(raw)) => Held::Raw(raw),
                Some(Err(error)) => Held::Whole(self.unreadable(&error)),
                None => Held::Whole(Box::default()),
            };
        }
        if let Held::Raw(raw) = held {
            let data = raw.decode().unwrap_or_else(|error| self.unreadable(&error));
            *held = Held::Whole(Box::new(data));
        }
        match held {
            Held::Whole(data) => data,
            Held::Raw(_) | Held::Unread => unreachable!("it was decoded above"),
        }
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
        self.0.store.is_none()
    }

    /// Whether a property is set.
    pub fn has(&self, name: &str) -> bool {
        self.ask(|raw| raw.has_prop(name), |data| data.props.contains_key(name))
    }

    /// A property, or a tag's interval by `#tag`.
    pub fn get(&self, name: &str) -> Option<Value> {
        match name.strip_prefix('#') {
            Some(tag) => self.tag(tag),
            None => self.ask(|raw| raw.prop(name), |data| data.props.get(name).map(|(valu, _)| valu.clone())),
        }
    }

    /// Those of some properties that are set, in the order in which they are asked for.
    pub fn pick(&self, names: &[Arc<str>]) -> SmallVec<[(usize, Value); 4]> {
        let whole = |data: &NodeData| {
            let all = names.iter().enumerate();
            all.filter_map(|(indx, name)| Some((indx, data.props.get(name)?.0.clone()))).collect()
        };
        self.ask(|raw| raw.pick(names), whole)
    }

    /// Every property.
    pub fn props(&self) -> Vec<(Arc<str>, Value)> {
        self.whole(|data, _| data.props.iter().map(|(name, (valu, _))| (name.clone(), valu.clone())).collect())
    }

    /// A tag's interval.
    pub fn tag(&self, name: &str) -> Option<Value> {
        self.ask(|raw| raw.tag(name), |data| data.tags.get(name).map(|(valu, _)| valu.clone()))
    }

    /// Whether a tag is set.
    pub fn has_tag(&self, name: &str) -> bool {
        self.ask(|raw| raw.has_tag(name), |data| data.tags.contains_key(name))
    }

    /// Whether it has any tag.
    pub fn has_tags(&self) -> bool {
        self.ask(RawNode::has_tags, |data| !data.tags.is_empty())
    }

    /// Every tag and its interval.
    pub fn tags(&self) -> Vec<(Arc<str>, Value)> {
        self.whole(|data, _| data.tags.iter().map(|(name, (valu, _))| (name.clone(), valu.clone())).collect())
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
        let whole = |data: &NodeData| data.tagprops.get(tag)?.get(name).map(|(valu, _)| valu.clone());
        self.ask(|raw| raw.tagprop(tag, name), whole)
    }

    /// The names of the properties of a tag.
    pub fn tagprop_names(&self, tag: &str) -> Vec<Arc<str>> {
        self.whole(|data, _| data.tagprops.get(tag).map(|props| props.keys().cloned().collect()).unwrap_or_default())
    }

    /// The tags with properties: tag, property, value.
    pub fn tagprops(&self) -> Vec<(Arc<str>, Arc<str>, Value)> {
        self.whole(|data, _| {
            let flat = data.tagprops.iter().flat_map(|(tag, props)| {
                props.iter().map(move |(name, (valu, _))| (tag.clone(), name.clone(), valu.clone()))
            });
            flat.collect()
        })
    }

    /// The layer that has the node itself.
    pub fn ndef_layer(&self) -> Option<Arc<str>> {
        self.whole(|data, _| data.ndef_layer.clone())
    }

    /// Which layer each part comes from, as `$node.getByLayer()` shows it.
    pub fn by_layer(&self) -> Value {
        self.whole(|data, _| self.placed(data))
    }

    fn placed(&self, data: &NodeData) -> Value {
        let props = data.props.iter().map(|(name, (_, layer))| (Value::from(name), Value::from(layer)));
        let tags = data.tags.iter().map(|(name, (_, layer))| (Value::from(name), Value::from(layer)));
        let tagprops = data.tagprops.iter().map(|(tag, props)| {
            let props = props.iter().map(|(name, (_, layer))| (Value::from(name), Value::from(layer)));
            (Value::from(tag), Value::from(props.collect::<Map>()))
        });
        let (tags, props, tagprops): (Map, Map, Map) = (tags.collect(), props.collect(), tagprops.collect());
        let ndef = data.ndef_layer.clone();
        Value::from(Map::new().with("ndef", ndef).with("tags", tags).with("props", props).with("tagprops", tagprops))
    }

    /// Node data set in this query, before storage is asked.
    pub fn cached_data(&self, name: &str) -> Option<Value> {
        self.0.state.read().nodedata.get(name).cloned()
    }

    /// Applies what a layer said it changed.
    pub fn apply(&self, op: &EditOp, layer: &Arc<str>) {
        let mut state = self.0.state.write();
        let State { held, nodedata } = &mut *state;
        if let EditOp::EdgeAdd(..) | EditOp::EdgeDel(..) | EditOp::NodeDel(..) = op {
            return;
        }
        if let Held::Unread = held
            && !matches!(op, EditOp::DataSet(..) | EditOp::DataDel(..))
        {
            // Whoever reads it sees the change.
            return;
        }
        let data = self.decode(held);
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
                nodedata.insert(name, valu.clone());
            }
            EditOp::DataDel(name, _) => {
                nodedata.remove(name);
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
        let unread = matches!(self.0.state.read().held, Held::Unread);
        if unread {
            self.read();
        }
        let state = self.0.state.read();
        let packed = match &state.held {
            Held::Raw(raw) => raw.pack().unwrap_or_else(|error| self.unreadable(&error)),
            Held::Whole(data) => pack_whole(data),
            Held::Unread => Packed::default(),
        };
        let keys = &*KEYS;
        let mut info = Map::with_capacity(8);
        info.insert(keys.iden.clone(), self.iden());
        info.insert(keys.tags.clone(), packed.tags);
        info.insert(keys.props.clone(), packed.props);
        info.insert(keys.tagprops.clone(), packed.tagprops);
        info.insert(keys.nodedata.clone(), state.nodedata.clone());
        info
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
                // An array's is always there: it prints as a list, and its value is a tuple.
                if !repr.is_null() && (prop.typ.is_array() || !repr.py_eq(&valu)) {
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

/// The keys of every packed node, made once.
struct Keys {
    iden: Value,
    tags: Value,
    props: Value,
    tagprops: Value,
    nodedata: Value,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    iden: Value::from("iden"),
    tags: Value::from("tags"),
    props: Value::from("props"),
    tagprops: Value::from("tagprops"),
    nodedata: Value::from("nodedata"),
});

/// The way a node came into the pipe, with the variables that belong to it.
#[derive(Clone)]
pub struct Path(Arc<Mutex<PathState>>);

fn pack_whole(data: &NodeData) -> Packed {
    let pairs = |map: &IndexMap<Arc<str>, (Value, Arc<str>)>| -> Map {
        map.iter().map(|(name, (valu, _))| (Value::from(name), valu.clone())).collect()
    };
    let tagprops = data.tagprops.iter().map(|(tag, props)| (Value::from(tag), Value::from(pairs(props)))).collect();
    Packed { props: pairs(&data.props), tags: pairs(&data.tags), tagprops }
}

/// How a node was reached from the one before it.
#[derive(Clone)]
pub enum Link {
    /// By a property.
    Prop {
        /// The property's name.
        name: Arc<str>,
        /// Whether the reached node has it.
        reverse: bool,
    },
    /// By a light edge.
    Edge {
        /// The verb.
        verb: Arc<str>,
        /// Whether against its direction.
        reverse: bool,
    },
    /// In another way, as the platform describes it.
    Other(Value),
}

impl Link {
    /// As clients get it.
    pub fn value(&self) -> Value {
        let (kind, name, text, reverse) = match self {
            Link::Prop { name, reverse } => ("prop", "prop", name, *reverse),
            Link::Edge { verb, reverse } => ("edge", "verb", verb, *reverse),
            Link::Other(valu) => return valu.clone(),
        };
        let link = Map::new().with("type", kind).with(name, text);
        Value::from(if reverse { link.with("reverse", true) } else { link })
    }
}

impl From<Map> for Link {
    fn from(link: Map) -> Link {
        Link::Other(Value::from(link))
    }
}

/// What few paths have.
#[derive(Clone, Default)]
struct Rare {
    frames: Vec<VarMap>,
    meta: IndexMap<Arc<str>, Item>,
    display: Option<Value>,
}

struct PathState {
    nodes: SmallVec<[Node; 3]>,
    /// How a node was left, and which one.
    links: Vec<(Node, Link)>,
    vars: VarMap,
    /// What few paths have.
    rare: Option<Box<Rare>>,
}

impl PathState {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(Box::default)
    }
}

impl Path {
    /// A path that begins at a node.
    pub fn new(vars: VarMap, node: Node) -> Path {
        Path::make(vars, smallvec![node], Vec::new(), Vec::new())
    }

    fn make(vars: VarMap, nodes: SmallVec<[Node; 3]>, links: Vec<(Node, Link)>, frames: Vec<VarMap>) -> Path {
        let rare = (!frames.is_empty()).then(|| Box::new(Rare { frames, ..Rare::default() }));
        Path(Arc::new(Mutex::new(PathState { nodes, links, vars, rare })))
    }

    /// The node it ends at.
    pub fn node(&self) -> Option<Node> {
        self.0.lock().nodes.last().cloned()
    }

    /// Every node on it.
    pub fn nodes(&self) -> Vec<Node> {
        self.0.lock().nodes.to_vec()
    }

    /// How each node but the first was reached: `[iden, link]`.
    pub fn links(&self) -> Vec<Value> {
        let links = self.0.lock().links.clone();
        links.iter().map(|(node, link)| Value::list([Value::from(node.iden()), link.value()])).collect()
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
    pub fn fork(&self, node: Node, link: Option<Link>) -> Path {
        let state = self.0.lock();
        let (mut nodes, mut links) = (state.nodes.clone(), state.links.clone());
        if let (Some(last), Some(link)) = (nodes.last(), link) {
            links.push((last.clone(), link));
        }
        nodes.push(node);
        Path::make(state.vars.clone(), nodes, links, Vec::new())
    }

    /// A copy with variables of its own.
    #[must_use]
    pub fn copy(&self) -> Path {
        let state = self.0.lock();
        let frames = state.rare.as_ref().map(|rare| rare.frames.clone()).unwrap_or_default();
        Path::make(state.vars.clone(), state.nodes.clone(), state.links.clone(), frames)
    }

    /// Puts the variables aside for a fresh set.
    pub fn init_frame(&self, vars: VarMap) {
        let mut state = self.0.lock();
        let old = std::mem::replace(&mut state.vars, vars);
        state.rare().frames.push(old);
    }

    /// Takes back the variables put aside last.
    pub fn fini_frame(&self) {
        let mut state = self.0.lock();
        state.vars = state.rare().frames.pop().unwrap_or_default();
    }

    /// Adds what is sent along with the node.
    pub fn set_meta(&self, name: impl Into<Arc<str>>, valu: Item) {
        self.0.lock().rare().meta.insert(name.into(), valu);
    }

    /// Removes what would be sent along.
    pub fn pop_meta(&self, name: &str) {
        self.0.lock().rare().meta.shift_remove(name);
    }

    /// What is sent along with the node.
    pub fn meta(&self) -> Vec<(Arc<str>, Item)> {
        let state = self.0.lock();
        let meta = state.rare.iter().flat_map(|rare| &rare.meta);
        meta.map(|(name, valu)| (name.clone(), valu.clone())).collect()
    }

    /// Sets the `display` entry of the packed node.
    pub fn set_display(&self, display: Value) {
        self.0.lock().rare().display = Some(display);
    }

    /// The `display` entry of the packed node.
    pub fn display(&self) -> Option<Value> {
        self.0.lock().rare.as_ref().and_then(|rare| rare.display.clone())
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
