//! A view as one query sees it: lifts give live nodes, each node once, edits seen by everybody who holds it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use myelin_error::{Result, err};
use myelin_model::types::{CtorKind, py};
use myelin_model::{Form, Model, NormCx, Prop, StorCmpr, StorType, Type};
use myelin_value::{Buid, BuidState, Map, Value};
use parking_lot::Mutex;

use crate::ctl::{Ctl, Flow};
use crate::host::{Host, User};
use crate::node::{Node, NodeInner};
use crate::rt::Shared;
use crate::store::{Hit, LiftBy, Lifted, RawNode, Stop, View};

/// Nodes of a lift, one by one.
pub type Nodes = Box<dyn Iterator<Item = Flow<Node>> + Send>;

/// View, user and live nodes of a query.
pub struct Snap {
    host: Arc<dyn Host>,
    view: View,
    view_iden: Arc<str>,
    layer: Arc<str>,
    user: Arc<dyn User>,
    shared: Arc<Shared>,
    live: Mutex<Live>,
    tags: Mutex<HashMap<Arc<str>, Option<Node>>>,
    norm_cx: Mutex<Option<(Arc<Model>, NormCx)>>,
}

/// The nodes somebody holds, so that all hold the same one.
struct Live {
    nodes: HashMap<Buid, Weak<NodeInner>, BuidState>,
    sweep_at: usize,
    /// The form seen last, and the model it is of: most nodes of a lift have the same.
    form: Option<(Arc<Model>, Arc<Form>)>,
}

/// How many dead nodes may lie around before they are looked for.
const SWEEP_MIN: usize = 512;

fn no_nodes() -> Nodes {
    Box::new(std::iter::empty())
}

fn no_prop(full: &str) -> Ctl {
    err!("NoSuchProp", mesg = format!("No property named \"{full}\"."), name = full).into()
}

impl Snap {
    /// A view for a user within a query.
    pub fn new(host: Arc<dyn Host>, view: View, user: Arc<dyn User>, shared: Arc<Shared>) -> Arc<Snap> {
        let view_iden = view.iden();
        let layer = view.layers().first().cloned().unwrap_or_else(|| Arc::from(""));
        let live = Mutex::new(Live { nodes: HashMap::default(), sweep_at: SWEEP_MIN, form: None });
        Arc::new(Snap {
            host,
            view,
            view_iden,
            layer,
            user,
            shared,
            live,
            tags: Mutex::default(),
            norm_cx: Mutex::default(),
        })
    }

    /// The service.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// The view.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The identifier of the view.
    pub fn view_iden(&self) -> &Arc<str> {
        &self.view_iden
    }

    /// The identifier of the layer that is written to.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The identifier of the layer that is written to, shared.
    pub fn layer_arc(&self) -> &Arc<str> {
        &self.layer
    }

    /// On whose behalf.
    pub fn user(&self) -> &Arc<dyn User> {
        &self.user
    }

    /// What all parts of the query share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The data model as it is now.
    pub fn model(&self) -> Arc<Model> {
        self.host.model()
    }

    /// What types consult when they normalise.
    pub fn norm_cx(&self) -> NormCx {
        let model = self.model();
        let mut kept = self.norm_cx.lock();
        match &*kept {
            Some((have, cx)) if Arc::ptr_eq(have, &model) => cx.clone(),
            _ => kept.insert((model, self.host.norm_cx())).1.clone(),
        }
    }

    /// Forgets live nodes.
    pub fn clear_cache(&self) {
        self.live.lock().nodes.clear();
        self.tags.lock().clear();
    }

    /// Forgets one live node.
    pub fn forget(&self, buid: &Buid) {
        self.live.lock().nodes.remove(buid);
    }
}

/// Single nodes.
impl Snap {
    /// A node by its name.
    ///
    /// # Errors
    /// What reading storage gives.
    pub fn node_by_buid(&self, buid: &Buid) -> Flow<Option<Node>> {
        if let Some(node) = self.live_node(buid) {
            return Ok(Some(node));
        }
        let raw = self.view.node(buid)?;
        let model = self.model();
        let found = raw.ndef(|name, valu| Some((self.form(&model, name)?, valu)))?;
        let Some((form, valu)) = found.flatten() else { return Ok(None) };
        Ok(Some(self.join(*buid, form, valu, Some(raw))))
    }

    fn form(&self, model: &Arc<Model>, name: &str) -> Option<Arc<Form>> {
        let mut live = self.live.lock();
        if let Some((have, form)) = &live.form
            && Arc::ptr_eq(have, model)
            && &*form.name == name
        {
            return Some(form.clone());
        }
        let form = model.form(name)?.clone();
        live.form = Some((model.clone(), form.clone()));
        Some(form)
    }

    fn live_node(&self, buid: &Buid) -> Option<Node> {
        self.live.lock().nodes.get(buid)?.upgrade().map(Node::from_inner)
    }

    /// The node that others hold already, or a new one.
    fn join(&self, buid: Buid, form: Arc<Form>, valu: Value, raw: Option<RawNode>) -> Node {
        let mut live = self.live.lock();
        if let Some(node) = live.nodes.get(&buid).and_then(Weak::upgrade) {
            return Node::from_inner(node);
        }
        let node = Node::new(buid, form, valu, &self.view, &self.view_iden, raw);
        if live.nodes.len() >= live.sweep_at {
            live.nodes.retain(|_, node| node.strong_count() > 0);
            live.sweep_at = (live.nodes.len() * 2).max(SWEEP_MIN);
        }
        live.nodes.insert(buid, node.downgrade());
        node
    }

    fn join_hit(&self, hit: Hit) -> Flow<Option<Node>> {
        let known = hit.ndef.filter(|_| !self.shared.is_plain());
        let Some((form, valu)) = known else { return self.node_by_buid(&hit.buid) };
        let model = self.model();
        Ok(self.form(&model, &form).map(|form| self.join(hit.buid, form, valu, None)))
    }

    /// A node by form and normalised value.
    ///
    /// # Errors
    /// What reading storage gives.
    pub fn node_by_ndef(&self, form: &str, valu: &Value) -> Flow<Option<Node>> {
        self.node_by_buid(&ndef_buid(form, valu))
    }

    /// A node by a `[form, value]` reference.
    ///
    /// # Errors
    /// What reading storage gives.
    pub fn node_by_ref(&self, ndef: &Value) -> Flow<Option<Node>> {
        match (ndef.at(0).and_then(Value::as_str), ndef.at(1)) {
            (Some(form), Some(valu)) => self.node_by_ndef(form, valu),
            _ => Ok(None),
        }
    }

    /// The node of a normalised tag; where its `:isnow` leads, when it has one. Cached.
    ///
    /// # Errors
    /// What reading storage gives.
    pub fn tag_node(&self, tag: &Arc<str>) -> Flow<Option<Node>> {
        if let Some(Some(found)) = self.tags.lock().get(tag) {
            return Ok(Some(found.clone()));
        }
        let mut node = self.node_by_ndef("syn:tag", &Value::from(tag))?;
        let mut steps = 0;
        while let Some(now) = node.as_ref().and_then(|node| node.get("isnow")) {
            node = self.node_by_ndef("syn:tag", &now)?;
            steps += 1;
            if steps > 1000 {
                break;
            }
        }
        if node.is_some() {
            self.tags.lock().insert(tag.clone(), node.clone());
        }
        Ok(node)
    }

    /// Forgets the tag nodes found so far: an `:isnow` may have changed.
    pub fn forget_tags(&self) {
        self.tags.lock().clear();
    }
}

/// The name of a node.
pub fn ndef_buid(form: &str, valu: &Value) -> Buid {
    myelin_value::ndef_buid(form, valu)
}

/// Lifts.
impl Snap {
    /// Lifts by an index.
    ///
    /// # Errors
    /// What opening the lift gives.
    pub fn lift(self: &Arc<Snap>, by: LiftBy, reverse: bool) -> Flow<Nodes> {
        if self.shared.plan().is_some() {
            crate::plan::note(&by);
        }
        Ok(self.nodes(self.view.lift(by, reverse, Some(self.stop()))?))
    }

    /// How many nodes a lift finds, by the index.
    ///
    /// # Errors
    /// What reading gives, and the end of the query.
    pub fn count(&self, by: LiftBy) -> Flow<u64> {
        self.view.count(by, Some(self.stop())).map_err(|error| self.ended(error))
    }

    fn stop(&self) -> Stop {
        let cancel = self.shared.cancel.clone();
        Stop::new(move || cancel.is_cancelled())
    }

    /// The error of a lift; the end of the query when that is why it ended.
    fn ended(&self, error: myelin_error::Error) -> Ctl {
        if error.is("TaskCancelled") && self.shared.cancel.is_cancelled() { Ctl::cancelled() } else { error.into() }
    }

    fn nodes(self: &Arc<Snap>, lifted: Lifted) -> Nodes {
        let snap = self.clone();
        Box::new(lifted.filter_map(move |hit| {
            if snap.shared.cancel.is_cancelled() {
                return Some(Err(Ctl::cancelled()));
            }
            match hit {
                Ok(hit) => snap.join_hit(hit).transpose(),
                Err(error) => Some(Err(snap.ended(error))),
            }
        }))
    }

    fn runt_nodes(self: &Arc<Snap>, full: &str, valu: Option<&Value>, cmpr: Option<&str>) -> Flow<Nodes> {
        let (model, mut retn) = (self.model(), Vec::new());
        for node in self.host.runt_lift(&self.view, full, valu, cmpr)? {
            let Some(form) = model.form(&node.form).cloned() else { continue };
            let buid = ndef_buid(&node.form, &node.valu);
            retn.push(Ok(Node::runt(buid, form, self.view_iden.clone(), node.valu, &node.props)));
        }
        Ok(Box::new(retn.into_iter()))
    }

    /// Every node with a property, or of a form.
    ///
    /// # Errors
    /// `NoSuchProp`.
    pub fn by_prop(self: &Arc<Snap>, full: &str, reverse: bool) -> Flow<Nodes> {
        let prop = self.model().prop(full).cloned().ok_or_else(|| no_prop(full))?;
        match Snap::index_of(&prop) {
            Some(by) => self.lift(by, reverse),
            None => self.runt_nodes(&prop.full, None, None),
        }
    }

    /// The index of all values of a property or form; computed ones have none.
    pub fn index_of(prop: &Prop) -> Option<LiftBy> {
        if prop.is_runt {
            return None;
        }
        Some(if prop.is_form {
            LiftBy::Prop(Some(prop.name.clone()), None)
        } else if prop.is_univ {
            LiftBy::Prop(None, Some(prop.name.clone()))
        } else {
            LiftBy::Prop(prop.form.clone(), Some(prop.name.clone()))
        })
    }

    /// Whether there may be rows of a property: one that no layer ever had needs no lift.
    pub fn has_index(&self, prop: &Prop) -> bool {
        prop.is_runt || self.shared.is_plain() || Snap::index_of(prop).is_none_or(|by| self.view.may_have(&by))
    }

    /// The index of values of a property or form that operations compare; computed ones have none.
    pub fn index_by(prop: &Prop, cmprs: Vec<StorCmpr>) -> Option<LiftBy> {
        if prop.is_runt {
            return None;
        }
        Some(if prop.is_form {
            LiftBy::FormValu(prop.name.clone(), cmprs)
        } else if prop.is_univ {
            LiftBy::PropValu(None, prop.name.clone(), cmprs)
        } else {
            LiftBy::PropValu(prop.form.clone(), prop.name.clone(), cmprs)
        })
    }

    /// By the value of a property or form; the value is normalised.
    ///
    /// # Errors
    /// `NoSuchProp`, `NoSuchCmpr`, `BadTypeValu`.
    pub fn by_prop_valu(self: &Arc<Snap>, full: &str, cmpr: &str, valu: &Value, reverse: bool) -> Flow<Nodes> {
        if cmpr == "type=" {
            let (equal, typed) = (self.by_prop_valu(full, "=", valu, reverse), self.by_type_valu(full, valu, reverse));
            let (first, second) = if reverse { (typed?, equal?) } else { (equal?, typed?) };
            return Ok(Box::new(first.chain(second)));
        }
        let prop = self.model().prop(full).cloned().ok_or_else(|| no_prop(full))?;
        if let (Value::Map(map), CtorKind::Guid, "=" | "?=") = (valu, prop.typ.ctor, cmpr) {
            let found = match self.guid_lift(&prop, map) {
                Err(error) if cmpr == "?=" && error.isa("BadTypeValu") => return Ok(no_nodes()),
                other => other?,
            };
            return match found {
                Some(node) if prop.is_form => Ok(Box::new(std::iter::once(Ok(node)))),
                Some(node) => self.by_norm(&prop, node.valu(), reverse),
                None => Ok(no_nodes()),
            };
        }
        let cmprs = prop.typ.lift_cmprs(&self.norm_cx(), cmpr, valu)?;
        self.by_cmprs(&prop, cmprs, reverse)
    }

    /// By the normalised value of a property or form.
    ///
    /// # Errors
    /// What opening the lift gives.
    pub fn by_norm(self: &Arc<Snap>, prop: &Arc<Prop>, norm: &Value, reverse: bool) -> Flow<Nodes> {
        let cmpr = StorCmpr { op: "=", value: norm.clone(), stortype: prop.typ.stortype };
        self.by_cmprs(prop, vec![cmpr], reverse)
    }

    /// By a value of another property: normalised again only where the types differ.
    ///
    /// # Errors
    /// `NoSuchProp`, `BadTypeValu`.
    pub fn by_pivot(self: &Arc<Snap>, full: &str, valu: &Value, norm: bool) -> Flow<Nodes> {
        if norm {
            return self.by_prop_valu(full, "=", valu, false);
        }
        let prop = self.model().prop(full).cloned().ok_or_else(|| no_prop(full))?;
        self.by_norm(&prop, valu, false)
    }

    fn by_cmprs(self: &Arc<Snap>, prop: &Arc<Prop>, cmprs: Vec<StorCmpr>, reverse: bool) -> Flow<Nodes> {
        if cmprs.is_empty() {
            return Ok(no_nodes());
        }
        if prop.is_form
            && !prop.is_runt
            && !self.shared.is_plain()
            && let [StorCmpr { op: "=", value, stortype }] = cmprs.as_slice()
            && !(*stortype == StorType::FQDN && value.as_str().is_some_and(|name| name.starts_with('*')))
        {
            // One node at most: no index has to be walked. (A name with a wildcard is equal to many.)
            if self.shared.plan().is_some() {
                crate::plan::note_node();
            }
            return Ok(Box::new(self.node_by_ndef(&prop.name, value)?.into_iter().map(Ok)));
        }
        if prop.is_runt {
            let mut retn = no_nodes();
            for cmpr in cmprs {
                retn = Box::new(retn.chain(self.runt_nodes(&prop.full, Some(&cmpr.value), Some(cmpr.op))?));
            }
            return Ok(retn);
        }
        match Snap::index_by(prop, cmprs) {
            Some(by) => self.lift(by, reverse),
            None => Ok(no_nodes()),
        }
    }

    /// By an item of an array property.
    ///
    /// # Errors
    /// `NoSuchProp`, `BadTypeValu` when it is no array.
    pub fn by_array(self: &Arc<Snap>, full: &str, cmpr: &str, valu: &Value, reverse: bool, norm: bool) -> Flow<Nodes> {
        let prop = self.model().prop(full).cloned().ok_or_else(|| no_prop(full))?;
        let Some(item) = prop.typ.array_type() else {
            let mesg = format!("Array syntax is invalid on non array type: {}.", prop.typ.name);
            return Err(err!("BadTypeValu", mesg = mesg).into());
        };
        let cmprs = if norm {
            item.lift_cmprs(&self.norm_cx(), cmpr, valu)?
        } else {
            vec![StorCmpr { op: "=", value: valu.clone(), stortype: item.stortype }]
        };
        if cmprs.is_empty() {
            return Ok(no_nodes());
        }
        let by = if prop.is_form {
            LiftBy::PropArray(Some(prop.name.clone()), None, cmprs)
        } else {
            LiftBy::PropArray(prop.form.clone(), Some(prop.name.clone()), cmprs)
        };
        self.lift(by, reverse)
    }

    /// By any property of a type, and any array of it.
    ///
    /// # Errors
    /// `NoSuchType`, `BadTypeValu`.
    pub fn by_type_valu(self: &Arc<Snap>, name: &str, valu: &Value, reverse: bool) -> Flow<Nodes> {
        let model = self.model();
        model.req_type(name)?;
        let mut steps: Vec<(Arc<str>, bool)> = Vec::new();
        steps.extend(model.props_by_type(name).into_iter().map(|prop| (prop.full.clone(), false)));
        steps.extend(model.array_props_by_type(name).into_iter().map(|prop| (prop.full.clone(), true)));
        let (snap, valu) = (self.clone(), valu.clone());
        let nodes = steps.into_iter().flat_map(move |(full, array)| {
            let nodes = if array {
                snap.by_array(&full, "=", &valu, reverse, true)
            } else {
                snap.by_prop_valu(&full, "=", &valu, reverse)
            };
            nodes.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
        });
        Ok(Box::new(nodes))
    }

    /// Every node with a tag, of a form when one is given.
    ///
    /// # Errors
    /// What opening the lift gives.
    pub fn by_tag(self: &Arc<Snap>, tag: &str, form: Option<&Arc<str>>, reverse: bool) -> Flow<Nodes> {
        self.lift(LiftBy::Tag(Arc::from(tag), form.cloned()), reverse)
    }

    /// By the interval of a tag.
    ///
    /// # Errors
    /// `BadTypeValu` when the value is no interval.
    pub fn by_tag_valu(
        self: &Arc<Snap>,
        tag: &str,
        cmpr: &str,
        valu: &Value,
        form: Option<&Arc<str>>,
        reverse: bool,
    ) -> Flow<Nodes> {
        let norm = self.model().req_type("ival")?.norm(&self.norm_cx(), valu)?.value;
        // Tags are found by two comparators, and nothing is found by any other.
        if !matches!(cmpr, "=" | "@=") {
            return Ok(no_nodes());
        }
        self.lift(LiftBy::TagValu(Arc::from(tag), cmpr.to_owned(), norm, form.cloned()), reverse)
    }

    /// By a property of a tag, with a value when one is given.
    ///
    /// # Errors
    /// `NoSuchTagProp`, `BadTypeValu`.
    pub fn by_tagprop(
        self: &Arc<Snap>,
        form: Option<&Arc<str>>,
        tag: &str,
        name: &str,
        cmpr: Option<(&str, &Value)>,
        reverse: bool,
    ) -> Flow<Nodes> {
        let model = self.model();
        let prop = model.req_tagprop(name)?;
        let (form, tag) = (form.cloned(), Arc::from(tag));
        let Some((cmpr, valu)) = cmpr else {
            return self.lift(LiftBy::TagProp(form, tag, prop.name.clone()), reverse);
        };
        let cmprs = prop.typ.lift_cmprs(&self.norm_cx(), cmpr, valu)?;
        if cmprs.is_empty() {
            return Ok(no_nodes());
        }
        self.lift(LiftBy::TagPropValu(form, tag, prop.name.clone(), cmprs), reverse)
    }

    /// A normalised tag and its parts.
    ///
    /// # Errors
    /// `BadTypeValu`.
    pub fn tag_norm(&self, tag: &str) -> Result<myelin_model::Norm> {
        self.model().req_type("syn:tag")?.norm(&self.norm_cx(), &Value::from(tag))
    }
}

/// Nodes whose identifier is derived from properties.
impl Snap {
    fn guid_lift(self: &Arc<Snap>, prop: &Arc<Prop>, map: &Map) -> Flow<Option<Node>> {
        let model = self.model();
        let form = if prop.is_form { prop.form.as_ref().or(Some(&prop.name)) } else { Some(&prop.typ.name) };
        let Some(form) = form.and_then(|form| model.form(form)) else {
            let mesg = format!("The property {} is no form and cannot be lifted by a dictionary.", prop.full);
            return Err(err!("BadTypeValu", mesg = mesg).into());
        };
        let mut norms = crate::edit::guid::norm_dict(self, form, map, None)?;
        crate::edit::guid::find(self, form, &mut norms.norms)
    }

    /// Whether two types hold values of the same shape.
    pub fn same_type(left: &Type, right: &Type) -> bool {
        left.typehash == right.typehash
    }

    /// Merges sorted lifts by a key, as a union lift over several properties does.
    pub fn merge(genrs: Vec<Nodes>, key: impl Fn(&Node) -> Value + Send + 'static, reverse: bool) -> Nodes {
        let mut heads: Vec<(Option<(Value, Node)>, Nodes)> = Vec::new();
        let mut pending: Vec<Nodes> = genrs;
        let mut failed = None;
        Box::new(std::iter::from_fn(move || {
            let pull = |genr: &mut Nodes| -> Flow<Option<(Value, Node)>> {
                Ok(genr.next().transpose()?.map(|node| (key(&node), node)))
            };
            for mut genr in std::mem::take(&mut pending) {
                match pull(&mut genr) {
                    Ok(Some(head)) => heads.push((Some(head), genr)),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed.take() {
                return Some(Err(error));
            }
            let mut best: Option<usize> = None;
            for (indx, (head, _)) in heads.iter().enumerate() {
                let Some((valu, _)) = head else { continue };
                let better = best.and_then(|best| heads[best].0.as_ref()).is_none_or(|(have, _)| {
                    let order = py::cmp(valu, have).unwrap_or(std::cmp::Ordering::Equal);
                    if reverse { order.is_gt() } else { order.is_lt() }
                });
                if better {
                    best = Some(indx);
                }
            }
            let best = best?;
            let (_, node) = heads[best].0.take()?;
            match pull(&mut heads[best].1) {
                Ok(head) => heads[best].0 = head,
                Err(error) => failed = Some(error),
            }
            Some(Ok(node))
        }))
    }
}
