//! The runtime's [`Store`] over a view of crate `graph`.

use std::any::Any;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_graph as graph;
use myelin_model::{Model, StorCmpr, StorType};
use myelin_value::{Buid, Map, Value};
use parking_lot::Mutex;

use crate::store::{EdgeIter, EditOp, Hit, LiftBy, Lifted, NodeEdit, RawNode, Store, View};

/// How the names of properties become forms and relative names, where counting needs it.
pub type ModelFn = Arc<dyn Fn() -> Arc<Model> + Send + Sync>;

/// The layers of a view and their identifiers.
type Named = (graph::Layers, Arc<[Arc<str>]>);

/// A view of the graph.
pub struct GraphView {
    view: Arc<graph::View>,
    model: ModelFn,
    layers: Mutex<Option<Named>>,
}

impl GraphView {
    /// Wraps a view.
    #[expect(clippy::new_ret_no_self, reason = "a view is always held behind the trait")]
    pub fn new(view: Arc<graph::View>, model: ModelFn) -> View {
        Arc::new(GraphView { view, model, layers: Mutex::new(None) })
    }

    /// The view of the graph behind a handle.
    pub fn of(view: &View) -> Option<&Arc<graph::View>> {
        view.as_any().downcast_ref::<GraphView>().map(|view| &view.view)
    }

    fn idens(&self) -> Arc<[Arc<str>]> {
        let layers = self.view.layers();
        let mut kept = self.layers.lock();
        if let Some((have, idens)) = &*kept
            && Arc::ptr_eq(have, &layers)
        {
            return idens.clone();
        }
        let idens: Arc<[Arc<str>]> = layers.iter().map(|layer| layer.iden().clone()).collect();
        *kept = Some((layers, idens.clone()));
        idens
    }
}

fn static_ival_op(op: &str) -> Result<&'static str> {
    match op {
        "=" => Ok("="),
        "@=" => Ok("@="),
        other => Err(err!("NoSuchCmpr", mesg = format!("Tags are not lifted by {other}."), cmpr = other)),
    }
}

fn lift_of(by: LiftBy, reverse: bool) -> Result<graph::Lift> {
    use graph::{Lift, LiftBy as By};
    let lift = match by {
        LiftBy::Prop(Some(form), None) => Lift::all(By::Form { form }),
        LiftBy::Prop(form, Some(prop)) => Lift::all(By::Prop { form, prop }),
        LiftBy::Prop(None, None) => return Err(err!("BadArg", mesg = "A lift names a form or a property.")),
        LiftBy::FormValu(form, cmprs) => Lift::by_valu(By::Form { form }, cmprs),
        LiftBy::PropValu(form, prop, cmprs) => Lift::by_valu(By::Prop { form, prop }, cmprs),
        LiftBy::PropArray(form, prop, cmprs) => Lift::by_valu(By::Array { form, prop }, cmprs),
        LiftBy::Tag(tag, form) => Lift::all(By::Tag { tag, form }),
        LiftBy::TagValu(tag, op, value, form) => {
            let cmpr = StorCmpr { op: static_ival_op(&op)?, value, stortype: StorType::IVAL };
            Lift::by_valu(By::Tag { tag, form }, vec![cmpr])
        }
        LiftBy::TagProp(form, tag, prop) => Lift::all(By::TagProp { form, tag, prop }),
        LiftBy::TagPropValu(form, tag, prop, cmprs) => Lift::by_valu(By::TagProp { form, tag, prop }, cmprs),
        LiftBy::DataName(name) => Lift::all(By::DataName { name }),
    };
    Ok(lift.reversed(reverse))
}

fn to_graph(op: EditOp) -> graph::EditOp {
    match op {
        EditOp::NodeAdd(valu, stor) => graph::EditOp::NodeAdd { valu, stor },
        EditOp::NodeDel(old, stor) => graph::EditOp::NodeDel { old, stor },
        EditOp::PropSet(prop, valu, old, stor) => graph::EditOp::PropSet { prop, valu, old, stor },
        EditOp::PropDel(prop, old, stor) => graph::EditOp::PropDel { prop, old, stor },
        EditOp::TagSet(tag, valu, old) => graph::EditOp::TagSet { tag, valu, old },
        EditOp::TagDel(tag, old) => graph::EditOp::TagDel { tag, old },
        EditOp::TagPropSet(tag, prop, valu, old, stor) => graph::EditOp::TagPropSet { tag, prop, valu, old, stor },
        EditOp::TagPropDel(tag, prop, old, stor) => graph::EditOp::TagPropDel { tag, prop, old, stor },
        EditOp::DataSet(name, valu, old) => graph::EditOp::DataSet { name, valu, old },
        EditOp::DataDel(name, old) => graph::EditOp::DataDel { name, old },
        EditOp::EdgeAdd(verb, n2) => graph::EditOp::EdgeAdd { verb, n2 },
        EditOp::EdgeDel(verb, n2) => graph::EditOp::EdgeDel { verb, n2 },
    }
}

fn from_graph(op: graph::EditOp) -> EditOp {
    match op {
        graph::EditOp::NodeAdd { valu, stor } => EditOp::NodeAdd(valu, stor),
        graph::EditOp::NodeDel { old, stor } => EditOp::NodeDel(old, stor),
        graph::EditOp::PropSet { prop, valu, old, stor } => EditOp::PropSet(prop, valu, old, stor),
        graph::EditOp::PropDel { prop, old, stor } => EditOp::PropDel(prop, old, stor),
        graph::EditOp::TagSet { tag, valu, old } => EditOp::TagSet(tag, valu, old),
        graph::EditOp::TagDel { tag, old } => EditOp::TagDel(tag, old),
        graph::EditOp::TagPropSet { tag, prop, valu, old, stor } => EditOp::TagPropSet(tag, prop, valu, old, stor),
        graph::EditOp::TagPropDel { tag, prop, old, stor } => EditOp::TagPropDel(tag, prop, old, stor),
        graph::EditOp::DataSet { name, valu, old } => EditOp::DataSet(name, valu, old),
        graph::EditOp::DataDel { name, old } => EditOp::DataDel(name, old),
        graph::EditOp::EdgeAdd { verb, n2 } => EditOp::EdgeAdd(verb, n2),
        graph::EditOp::EdgeDel { verb, n2 } => EditOp::EdgeDel(verb, n2),
    }
}

impl Store for GraphView {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn iden(&self) -> Arc<str> {
        self.view.iden().clone()
    }

    fn layers(&self) -> Vec<Arc<str>> {
        self.idens().to_vec()
    }

    fn is_readonly(&self) -> bool {
        self.view.write_layer().is_readonly()
    }

    fn node(&self, buid: &Buid) -> Result<RawNode> {
        let layers = self.view.layers();
        let sodes = layers.iter().map(|layer| layer.sode(buid)).collect::<Result<_>>()?;
        Ok(RawNode::new(sodes, layers))
    }

    fn stor_nodes(&self, buid: &Buid) -> Result<Vec<Value>> {
        let sodes = self.view.sodes(buid)?;
        sodes
            .iter()
            .map(|byts| match byts {
                Some(byts) => graph::SodeRef::new(byts).to_value(),
                None => Ok(Value::from(Map::new())),
            })
            .collect()
    }

    fn lift(&self, by: LiftBy, reverse: bool, stop: Option<graph::Stop>) -> Result<Lifted> {
        let form = match &by {
            LiftBy::Prop(Some(form), None) | LiftBy::FormValu(form, _) => Some(form.clone()),
            _ => None,
        };
        let mut lift = lift_of(by, reverse)?.until(stop);
        if let Some(form) = form.as_ref().and_then(|form| (self.model)().form(form).cloned()) {
            lift = lift.with_values(form.typ.stortype);
        }
        let mut lift = self.view.lift(lift);
        Ok(Box::new(std::iter::from_fn(move || {
            let found = lift.next_row().transpose()?;
            Some(found.map(|(buid, valu)| Hit { buid, ndef: form.clone().zip(valu) }))
        })))
    }

    fn may_have(&self, by: &LiftBy) -> bool {
        match by {
            LiftBy::Prop(form, prop) => {
                let layers = self.view.layers();
                layers.iter().any(|layer| layer.prop_abrv(form.as_deref(), prop.as_deref()).is_some())
            }
            _ => true,
        }
    }

    fn count(&self, by: LiftBy, stop: Option<graph::Stop>) -> Result<u64> {
        self.view.count(lift_of(by, false)?.until(stop))
    }

    fn prop_count(&self, full: &str, valu: Option<&Value>, array: bool) -> Result<u64> {
        let model = (self.model)();
        let prop = model.req_prop(full)?;
        let (form, name) = match (&prop.form, prop.is_form) {
            (_, true) => (Some(&*prop.name), None),
            (form, false) => (form.as_deref(), Some(&*prop.name)),
        };
        match (valu, array, prop.typ.array_type()) {
            (None, false, _) => self.view.prop_count(form, name),
            (Some(valu), true, Some(item)) => {
                let layers = self.view.layers();
                layers.iter().map(|layer| layer.array_valu_count(form, name, item.stortype, valu)).sum()
            }
            (None, true, _) => self.view.layers().iter().map(|layer| layer.array_count(form, name)).sum(),
            (Some(valu), ..) => self.view.prop_valu_count(form, name, prop.typ.stortype, valu),
        }
    }

    fn apply(&self, edits: Vec<NodeEdit>, meta: Value) -> Result<Vec<NodeEdit>> {
        let edits: Vec<graph::NodeEdit> = edits
            .into_iter()
            .map(|edit| graph::NodeEdit::new(edit.buid, edit.form, edit.ops.into_iter().map(to_graph)))
            .collect();
        let (_, done) = self.view.save_edits_unsettled(&edits, &meta)?;
        Ok(done
            .into_iter()
            .map(|edit| NodeEdit {
                buid: edit.buid,
                form: edit.form,
                ops: edit.edits.into_iter().map(|edit| from_graph(edit.op)).collect(),
            })
            .collect())
    }

    fn edges_n1(&self, buid: &Buid, verb: Option<&str>) -> Result<EdgeIter> {
        Ok(Box::new(self.view.edges_n1(buid, verb)?.map(|row| row.map(|row| (row.verb, row.n2)))))
    }

    fn edges_n2(&self, buid: &Buid, verb: Option<&str>) -> Result<EdgeIter> {
        Ok(Box::new(self.view.edges_n2(buid, verb)?.map(|row| row.map(|row| (row.verb, row.n2)))))
    }

    fn has_edge(&self, n1: &Buid, verb: &str, n2: &Buid, top_only: bool) -> Result<bool> {
        if top_only { self.view.write_layer().has_edge(n1, verb, n2) } else { self.view.has_edge(n1, verb, n2) }
    }

    fn edge_verbs(&self, n1: &Buid, n2: &Buid) -> Result<Vec<Arc<str>>> {
        Ok(self.view.edge_verbs(n1, n2)?.into_iter().map(Arc::from).collect())
    }

    fn ndef_refs(&self, buid: &Buid) -> Result<Vec<(Buid, Arc<str>)>> {
        let refs = self.view.ndef_refs(buid)?;
        let name = |prop: &Value| Arc::from(prop.at(1).and_then(Value::as_str).unwrap_or_default());
        Ok(refs.into_iter().map(|(buid, prop)| (buid, name(&prop))).collect())
    }

    fn data(&self, buid: &Buid, name: &str) -> Result<Option<Value>> {
        self.view.node_data(buid, name)
    }

    fn data_names(&self, buid: &Buid) -> Result<Vec<Arc<str>>> {
        Ok(self.view.node_data_names(buid)?.into_iter().map(Arc::from).collect())
    }
}
