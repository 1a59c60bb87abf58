//! The graph as the runtime sees it: a view that lifts, reads and edits, and knows no permissions.
//!
//! A trait stands here, so that a test or a service may put anything behind it; the implementation over the layers of
//! crate `graph` is `crate::store_graph`.

use std::any::Any;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::Result;
use myelin_model::{StorCmpr, StorType};
use myelin_value::{Buid, Value};

/// A handle on a view.
pub type View = Arc<dyn Store>;

/// Nodes of a lift, in order, each once.
pub type Lifted = Box<dyn Iterator<Item = Result<Hit>> + Send>;

/// A node that a lift found.
pub struct Hit {
    /// The node.
    pub buid: Buid,
    /// Its form and value, where the index says them: then the node is there, and need not be read to know that.
    pub ndef: Option<(Arc<str>, Value)>,
}

/// Values by name, each with the layer it is from.
pub type Placed = IndexMap<Arc<str>, (Value, Arc<str>)>;

/// A node merged over the layers of a view, lowest layer first.
#[derive(Clone, Debug, Default)]
pub struct NodeData {
    /// The form and primary value; nothing when no layer of the view has the node itself.
    pub ndef: Option<(Arc<str>, Value)>,
    /// The layer that has the node itself.
    pub ndef_layer: Option<Arc<str>>,
    /// Properties and the layer each comes from.
    pub props: IndexMap<Arc<str>, (Value, Arc<str>)>,
    /// Tags and the layer each comes from.
    pub tags: IndexMap<Arc<str>, (Value, Arc<str>)>,
    /// Properties of tags and the layer each comes from.
    pub tagprops: IndexMap<Arc<str>, Placed>,
}

pub use crate::raw::RawNode;
pub use myelin_graph::Stop;

/// Which index a lift by value walks.
#[derive(Clone, Debug)]
pub enum LiftBy {
    /// Every node with a property (no name: every node of the form; no form: a universal property).
    Prop(Option<Arc<str>>, Option<Arc<str>>),
    /// By the primary value of a form.
    FormValu(Arc<str>, Vec<StorCmpr>),
    /// By the value of a property.
    PropValu(Option<Arc<str>>, Arc<str>, Vec<StorCmpr>),
    /// By an item of an array property (no name: of a form that is an array).
    PropArray(Option<Arc<str>>, Option<Arc<str>>, Vec<StorCmpr>),
    /// Every node with a tag, of a form when one is given.
    Tag(Arc<str>, Option<Arc<str>>),
    /// By the interval of a tag: comparator and normalised interval.
    TagValu(Arc<str>, String, Value, Option<Arc<str>>),
    /// Every node with a property of a tag.
    TagProp(Option<Arc<str>>, Arc<str>, Arc<str>),
    /// By the value of a property of a tag.
    TagPropValu(Option<Arc<str>>, Arc<str>, Arc<str>, Vec<StorCmpr>),
    /// Every node with node data of a name.
    DataName(Arc<str>),
}

/// Edits of one node.
#[derive(Clone, Debug)]
pub struct NodeEdit {
    /// The node.
    pub buid: Buid,
    /// Its form.
    pub form: Arc<str>,
    /// What to do, in this order.
    pub ops: Vec<EditOp>,
}

/// One edit. Old values are filled in by the layer.
#[derive(Clone, Debug)]
pub enum EditOp {
    /// Adds the node.
    NodeAdd(Value, StorType),
    /// Removes it.
    NodeDel(Value, StorType),
    /// Sets a property: name, value, old value.
    PropSet(Arc<str>, Value, Value, StorType),
    /// Removes a property: name, old value.
    PropDel(Arc<str>, Value, StorType),
    /// Sets a tag: name, interval, old interval.
    TagSet(Arc<str>, Value, Value),
    /// Removes a tag: name, old interval.
    TagDel(Arc<str>, Value),
    /// Sets a property of a tag: tag, name, value, old value.
    TagPropSet(Arc<str>, Arc<str>, Value, Value, StorType),
    /// Removes a property of a tag: tag, name, old value.
    TagPropDel(Arc<str>, Arc<str>, Value, StorType),
    /// Sets node data: name, value, old value.
    DataSet(Arc<str>, Value, Value),
    /// Removes node data: name, old value.
    DataDel(Arc<str>, Value),
    /// Adds an edge.
    EdgeAdd(Arc<str>, Buid),
    /// Removes an edge.
    EdgeDel(Arc<str>, Buid),
}

impl EditOp {
    /// The shape of the wire: `[code, info, []]`.
    pub fn pack(&self) -> Value {
        let stor = |stor: &StorType| Value::from(stor.0);
        let (code, info) = match self {
            EditOp::NodeAdd(valu, typ) => (0, vec![valu.clone(), stor(typ)]),
            EditOp::NodeDel(valu, typ) => (1, vec![valu.clone(), stor(typ)]),
            EditOp::PropSet(name, valu, old, typ) => (2, vec![Value::from(name), valu.clone(), old.clone(), stor(typ)]),
            EditOp::PropDel(name, old, typ) => (3, vec![Value::from(name), old.clone(), stor(typ)]),
            EditOp::TagSet(tag, valu, old) => (4, vec![Value::from(tag), valu.clone(), old.clone()]),
            EditOp::TagDel(tag, old) => (5, vec![Value::from(tag), old.clone()]),
            EditOp::TagPropSet(tag, name, valu, old, typ) => {
                (6, vec![Value::from(tag), Value::from(name), valu.clone(), old.clone(), stor(typ)])
            }
            EditOp::TagPropDel(tag, name, old, typ) => {
                (7, vec![Value::from(tag), Value::from(name), old.clone(), stor(typ)])
            }
            EditOp::DataSet(name, valu, old) => (8, vec![Value::from(name), valu.clone(), old.clone()]),
            EditOp::DataDel(name, old) => (9, vec![Value::from(name), old.clone()]),
            EditOp::EdgeAdd(verb, n2) => (10, vec![Value::from(verb), Value::from(n2.to_hex())]),
            EditOp::EdgeDel(verb, n2) => (11, vec![Value::from(verb), Value::from(n2.to_hex())]),
        };
        Value::list([Value::from(code), Value::list(info), Value::empty_list()])
    }
}

impl NodeEdit {
    /// The shape of the `node:edits` message: the identifier is hex.
    pub fn pack_json(&self) -> Value {
        Value::list([
            Value::from(self.buid.to_hex()),
            Value::from(&self.form),
            Value::list(self.ops.iter().map(EditOp::pack)),
        ])
    }
}

/// A view of the graph.
pub trait Store: Send + Sync + Any {
    /// The view behind it, for those who know which kind it is.
    fn as_any(&self) -> &dyn Any;

    /// The identifier of the view.
    fn iden(&self) -> Arc<str>;

    /// The identifiers of the layers, topmost (written to) first.
    fn layers(&self) -> Vec<Arc<str>>;

    /// Whether the topmost layer takes no edits.
    fn is_readonly(&self) -> bool {
        false
    }

    /// What the layers hold of a node, not yet decoded.
    fn node(&self, buid: &Buid) -> Result<RawNode>;

    /// The storage node of every layer, topmost first, as Storm shows them.
    fn stor_nodes(&self, buid: &Buid) -> Result<Vec<Value>>;

    /// Lifts nodes, until that says that nobody wants more.
    fn lift(&self, by: LiftBy, reverse: bool, stop: Option<Stop>) -> Result<Lifted>;

    /// Whether a lift may find anything: false when no layer ever had what it lifts by.
    fn may_have(&self, _by: &LiftBy) -> bool {
        true
    }

    /// How many nodes a lift finds, from the index alone where that says it.
    fn count(&self, by: LiftBy, stop: Option<Stop>) -> Result<u64>;

    /// How many values an index has: of a property by full name, of one value, of items of an array.
    fn prop_count(&self, full: &str, valu: Option<&Value>, array: bool) -> Result<u64>;

    /// Applies edits to the topmost layer: an event, a log entry. Gives what really changed, old values filled in.
    fn apply(&self, edits: Vec<NodeEdit>, meta: Value) -> Result<Vec<NodeEdit>>;

    /// The edges that leave a node: verb and target, sorted.
    fn edges_n1(&self, buid: &Buid, verb: Option<&str>) -> Result<EdgeIter>;

    /// The edges that reach a node: verb and source, sorted.
    fn edges_n2(&self, buid: &Buid, verb: Option<&str>) -> Result<EdgeIter>;

    /// Whether there is an edge, in any layer or in the topmost only.
    fn has_edge(&self, n1: &Buid, verb: &str, n2: &Buid, top_only: bool) -> Result<bool>;

    /// The verbs between two nodes, sorted.
    fn edge_verbs(&self, n1: &Buid, n2: &Buid) -> Result<Vec<Arc<str>>>;

    /// The nodes that hold a reference (form and value) to a node, and by which property.
    fn ndef_refs(&self, buid: &Buid) -> Result<Vec<(Buid, Arc<str>)>>;

    /// Node data of a name.
    fn data(&self, buid: &Buid, name: &str) -> Result<Option<Value>>;

    /// The names of node data.
    fn data_names(&self, buid: &Buid) -> Result<Vec<Arc<str>>>;
}

/// Edges: verb and the other node.
pub type EdgeIter = Box<dyn Iterator<Item = Result<(Arc<str>, Buid)>> + Send>;
