//! Edits: what a statement asks for becomes node edits, those become one event, and live nodes follow.
//!
//! An [`Editor`] collects the edits of one statement, with all that follows from them: nodes that properties refer to,
//! secondary values, tags above tags. [`Editor::finish`] applies them at once. Permissions are the caller's business.

mod del;
pub mod guid;
mod hooks;

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::{IndexMap, IndexSet};
use myelin_error::{Error, Result, err};
use myelin_model::types::{CtorKind, py};
use myelin_model::{Form, NormInfo, Prop};
use myelin_value::{Buid, BuidState, Map, Value};

use crate::ctl::{Ctl, Flow};
use crate::host::Change;
use crate::node::Node;
use crate::rt::Rt;
use crate::snap::ndef_buid;
use crate::store::{EditOp, NodeEdit};

/// The interval of a tag without one.
pub fn no_ival() -> Value {
    Value::list([Value::Null, Value::Null])
}

/// A node being edited.
struct Proto {
    form: Arc<Form>,
    valu: Value,
    node: Option<Node>,
    props: IndexMap<Arc<str>, Value, RandomState>,
    tags: IndexMap<Arc<str>, Value, RandomState>,
    tagprops: IndexMap<(Arc<str>, Arc<str>), Value, RandomState>,
    data: IndexMap<Arc<str>, Value, RandomState>,
    edges: IndexSet<(Arc<str>, Buid), RandomState>,
    edgedels: IndexSet<(Arc<str>, Buid), RandomState>,
}

impl Proto {
    fn new(form: Arc<Form>, valu: Value, node: Option<Node>) -> Proto {
        let (props, tags, tagprops, data) = Default::default();
        let (edges, edgedels) = Default::default();
        Proto { form, valu, node, props, tags, tagprops, data, edges, edgedels }
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.props.get(name).cloned().or_else(|| self.node.as_ref()?.get(name))
    }

    fn tag(&self, tag: &str) -> Option<Value> {
        self.tags.get(tag).cloned().or_else(|| self.node.as_ref()?.tag(tag))
    }

    fn edit(&self, rt: &Rt, buid: Buid) -> Option<NodeEdit> {
        let mut ops = Vec::new();
        if self.node.is_none() {
            ops.push(EditOp::NodeAdd(self.valu.clone(), self.form.typ.stortype));
        }
        for (name, valu) in &self.props {
            if let Some(prop) = self.form.prop(name) {
                ops.push(EditOp::PropSet(name.clone(), valu.clone(), Value::Null, prop.typ.stortype));
            }
        }
        for (tag, valu) in &self.tags {
            ops.push(EditOp::TagSet(tag.clone(), valu.clone(), Value::Null));
        }
        ops.extend(self.edges.iter().map(|(verb, n2)| EditOp::EdgeAdd(verb.clone(), *n2)));
        ops.extend(self.edgedels.iter().map(|(verb, n2)| EditOp::EdgeDel(verb.clone(), *n2)));
        let model = rt.model();
        for ((tag, name), valu) in &self.tagprops {
            if let Some(prop) = model.tagprop(name) {
                let stor = prop.typ.stortype;
                ops.push(EditOp::TagPropSet(tag.clone(), name.clone(), valu.clone(), Value::Null, stor));
            }
        }
        for (name, valu) in &self.data {
            ops.push(EditOp::DataSet(name.clone(), valu.clone(), Value::Null));
        }
        (!ops.is_empty()).then(|| NodeEdit { buid, form: self.form.name.clone(), ops })
    }
}

/// What still follows from an edit.
enum Todo {
    Sub(Buid, String, Value),
    Add(Arc<str>, Value, NormInfo),
    AddRaw(Arc<str>, Value, Option<NormInfo>),
}

/// Collects edits that are applied together.
pub struct Editor<'r> {
    rt: &'r Rt,
    /// Boxed: they are large, and the map moves them about as it grows.
    protos: IndexMap<Buid, Box<Proto>, BuidState>,
    /// How many tags wait for the ones above them.
    tags_above: usize,
}

/// How many tags may lie above one another. A tag that stands for one below itself has no end of them.
const MAX_TAGS_ABOVE: usize = 256;

impl<'r> Editor<'r> {
    /// With no edits yet.
    pub fn new(rt: &'r Rt) -> Editor<'r> {
        Editor { rt, protos: IndexMap::default(), tags_above: 0 }
    }

    /// The query it belongs to.
    pub fn rt(&self) -> &'r Rt {
        self.rt
    }

    /// Begins to edit a node that is there.
    ///
    /// # Errors
    /// `IsRuntForm` for computed nodes.
    pub fn load(&mut self, node: &Node) -> Flow<Buid> {
        if node.is_runt() || node.form().is_runt {
            let mesg = format!("Cannot edit runt nodes: {}.", node.form_name());
            return Err(err!("IsRuntForm", mesg = mesg).into());
        }
        let make = || Box::new(Proto::new(node.form().clone(), node.valu().clone(), Some(node.clone())));
        self.protos.entry(node.buid()).or_insert_with(make);
        Ok(node.buid())
    }

    /// Applies everything.
    ///
    /// # Errors
    /// What storing gives.
    pub fn finish(self) -> Flow<()> {
        let mut edits = Vec::new();
        let mut known = Vec::new();
        for (buid, proto) in &self.protos {
            edits.extend(proto.edit(self.rt, *buid));
            known.extend(proto.node.clone());
        }
        apply(self.rt, edits)
    }

    /// Applies what there is and goes on.
    ///
    /// # Errors
    /// What storing gives.
    pub fn flush(&mut self) -> Flow<()> {
        let protos = std::mem::take(&mut self.protos);
        Editor { rt: self.rt, protos, tags_above: 0 }.finish()
    }

    /// How many edits of edges a node has waiting.
    pub fn edge_count(&self, buid: &Buid) -> usize {
        self.protos.get(buid).map_or(0, |proto| proto.edges.len() + proto.edgedels.len())
    }

    fn check_add(&self, form: &Form, valu: &Value) -> Result<()> {
        self.rt.host().check_max_nodes()?;
        if form.is_runt {
            return Err(err!("IsRuntForm", mesg = format!("Cannot make runt nodes: {}.", form.name)));
        }
        if form.locked {
            let mesg = format!("Form {} is locked due to deprecation for valu={}.", form.name, py::str_text(valu));
            return Err(err!("IsDeprLocked", mesg = mesg, prop = &form.name));
        }
        Ok(())
    }

    /// Adds a node, with all that follows from its value.
    ///
    /// # Errors
    /// `NoSuchForm`, `BadTypeValu`, `IsRuntForm`, `IsDeprLocked`.
    pub fn add_node(&mut self, form: &str, valu: &Value) -> Flow<Buid> {
        let model = self.rt.model();
        let Some(form) = model.form(form) else {
            let mesg = format!("No form named {form} for valu={}.", py::str_text(valu));
            return Err(err!("NoSuchForm", mesg = mesg).into());
        };
        self.check_add(form, valu)?;
        let norm = form.typ.norm(&self.rt.norm_cx(), valu).map_err(|error| error.with("form", &form.name))?;
        self.add_normed(form, norm.value, norm.info)
    }

    /// Adds a node by its normalised value.
    ///
    /// # Errors
    /// As [`Editor::add_node`].
    pub fn add_normed(&mut self, form: &Arc<Form>, valu: Value, info: NormInfo) -> Flow<Buid> {
        let buid = ndef_buid(&form.name, &valu);
        if self.protos.contains_key(&buid) {
            return Ok(buid);
        }
        let node = self.rt.snap().node_by_buid(&buid)?;
        self.protos.insert(buid, Box::new(Proto::new(form.clone(), valu, node)));
        let mut todo = VecDeque::new();
        todo.extend(info.subs.into_iter().map(|(name, valu)| Todo::Sub(buid, name.as_str().to_owned(), valu)));
        self.work(todo)?;
        self.work(info.adds.into_iter().map(|add| Todo::Add(add.form, add.value, add.info)).collect())?;
        Ok(buid)
    }

    fn work(&mut self, mut todo: VecDeque<Todo>) -> Flow<()> {
        while let Some(item) = todo.pop_front() {
            match item {
                Todo::Sub(buid, name, valu) => self.set_sub(buid, &name, &valu, &mut todo)?,
                Todo::Add(form, valu, info) => self.add_quiet(&form, valu, Some(info), &mut todo)?,
                Todo::AddRaw(form, valu, info) => self.add_quiet(&form, valu, info, &mut todo)?,
            }
        }
        Ok(())
    }

    /// Adds a node that follows from another, unless it is there.
    fn add_quiet(&mut self, form: &str, valu: Value, info: Option<NormInfo>, todo: &mut VecDeque<Todo>) -> Flow<()> {
        let model = self.rt.model();
        let Some(form) = model.form(form) else {
            return Err(err!("NoSuchForm", mesg = format!("No form named {form}."), name = form).into());
        };
        self.check_add(form, &valu)?;
        let (valu, info) = match info {
            Some(info) => (valu, info),
            None => {
                let norm = form.typ.norm(&self.rt.norm_cx(), &valu).map_err(|error| error.with("form", &form.name))?;
                (norm.value, norm.info)
            }
        };
        let buid = ndef_buid(&form.name, &valu);
        if self.protos.contains_key(&buid) || self.rt.snap().node_by_buid(&buid)?.is_some() {
            return Ok(());
        }
        self.protos.insert(buid, Box::new(Proto::new(form.clone(), valu, None)));
        todo.extend(info.subs.into_iter().map(|(name, valu)| Todo::Sub(buid, name.as_str().to_owned(), valu)));
        todo.extend(info.adds.into_iter().map(|add| Todo::Add(add.form, add.value, add.info)));
        Ok(())
    }

    fn proto(&mut self, buid: &Buid) -> Flow<&mut Proto> {
        match self.protos.get_mut(buid) {
            Some(proto) => Ok(proto),
            None => Err(Error::mesg("SynErr", "An edit was asked for a node that is not being edited.").into()),
        }
    }

    /// Sets a secondary value that follows from another.
    fn set_sub(&mut self, buid: Buid, name: &str, valu: &Value, todo: &mut VecDeque<Todo>) -> Flow<()> {
        let prop = self.proto(&buid)?.form.prop(name).cloned();
        let Some(prop) = prop.filter(|prop| !prop.locked) else { return Ok(()) };
        if prop.deprecated {
            self.rt.shared().warn_first(&prop_warning(&prop));
        }
        let Some((valu, info)) = self.set_one(buid, &prop, valu, None, false)? else { return Ok(()) };
        if self.rt.model().form(&prop.typ.name).is_some() {
            todo.push_back(Todo::AddRaw(prop.typ.name.clone(), valu, Some(info.clone())));
        }
        for (sub, valu) in info.subs {
            todo.push_back(Todo::Sub(buid, format!("{}:{}", prop.name, sub.as_str()), valu));
        }
        todo.extend(info.adds.into_iter().map(|add| Todo::Add(add.form, add.value, add.info)));
        Ok(())
    }

    /// Sets a property; nothing when it does not change.
    fn set_one(
        &mut self,
        buid: Buid,
        prop: &Arc<Prop>,
        valu: &Value,
        info: Option<NormInfo>,
        ignore_ro: bool,
    ) -> Flow<Option<(Value, NormInfo)>> {
        let locked = |prop: &Prop| -> Ctl {
            let mesg = format!("Prop {} is locked due to deprecation.", prop.full);
            err!("IsDeprLocked", mesg = mesg, prop = &prop.full).into()
        };
        let model = self.rt.model();
        let array_locked =
            prop.typ.array_type().and_then(|item| model.form(&item.name)).is_some_and(|form| form.locked);
        if prop.locked || array_locked {
            return Err(locked(prop));
        }
        let (valu, info) = match info {
            Some(info) => (valu.clone(), info),
            None => self.norm_prop(prop, valu)?,
        };
        if prop.typ.ctor == CtorKind::Ndef {
            let form = valu.at(0).and_then(Value::as_str).and_then(|form| model.form(form));
            if form.is_some_and(|form| form.locked) {
                return Err(locked(prop));
            }
        }
        let proto = self.proto(&buid)?;
        let have = proto.get(&prop.name);
        if prop.full.as_ref() == "file:bytes:sha256"
            && proto.node.is_some()
            && let (Some(own), Some(hash)) = (proto.valu.as_str(), valu.as_str())
            && own.strip_prefix("sha256:").is_some_and(|own| own != hash)
        {
            let mesg = "The :sha256 of a file that is named by its hash cannot become another.";
            return Err(err!("BadTypeValu", mesg = mesg).into());
        }
        if have.as_ref().is_some_and(|have| have.py_eq(&valu)) {
            return Ok(None);
        }
        if !ignore_ro && prop.ro && have.is_some() {
            let mesg = format!("Property is read only: {}.", prop.full);
            return Err(err!("ReadOnlyProp", mesg = mesg).into());
        }
        proto.props.insert(prop.name.clone(), valu.clone());
        Ok(Some((valu, info)))
    }

    fn norm_prop(&mut self, prop: &Arc<Prop>, valu: &Value) -> Flow<(Value, NormInfo)> {
        let model = self.rt.model();
        if let (Value::Map(map), CtorKind::Guid, Some(form)) = (valu, prop.typ.ctor, model.form(&prop.typ.name)) {
            let norms = guid::norm_dict(self.rt.snap(), form, map, None)?;
            return Ok((guid::add(self.rt, form, norms)?, NormInfo::default()));
        }
        match prop.typ.norm(&self.rt.norm_cx(), valu) {
            Ok(norm) => Ok((norm.value, norm.info)),
            Err(error) if error.is("BadTypeValu") && error.get("prop").is_none() => {
                let mesg = format!("Bad prop value {}={} : {}", prop.full, py::repr_text(valu), error.message());
                Err(error.with("prop", &prop.name).with("form", prop.form.clone()).with("mesg", mesg).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A property of a node that is being edited.
    pub fn get(&self, buid: &Buid, name: &str) -> Option<Value> {
        self.protos.get(buid)?.get(name)
    }

    /// Puts a normalised value on a property as it is, whatever rules there are for it.
    ///
    /// # Errors
    /// `SynErr` when the node is not being edited.
    pub fn put(&mut self, buid: Buid, name: &Arc<str>, valu: Value) -> Flow<()> {
        self.proto(&buid)?.props.insert(name.clone(), valu);
        Ok(())
    }

    /// Sets a property, with all that follows from its value. False when it does not change.
    ///
    /// # Errors
    /// `BadTypeValu`, `ReadOnlyProp`, `IsDeprLocked`.
    pub fn set(&mut self, buid: Buid, name: &str, valu: &Value) -> Flow<bool> {
        self.set_info(buid, name, valu, None)
    }

    /// As [`Editor::set`], for a value that may be normalised already.
    ///
    /// # Errors
    /// `BadTypeValu`, `ReadOnlyProp`, `IsDeprLocked`.
    pub fn set_info(&mut self, buid: Buid, name: &str, valu: &Value, info: Option<NormInfo>) -> Flow<bool> {
        let Some(prop) = self.proto(&buid)?.form.prop(name).cloned() else { return Ok(false) };
        let Some((valu, info)) = self.set_one(buid, &prop, valu, info, false)? else { return Ok(false) };
        if let Some(form) = self.rt.model().form(&prop.typ.name) {
            self.check_add(form, &valu)?;
            self.add_normed(form, valu, info.clone())?;
        }
        for (sub, valu) in &info.subs {
            let full = format!("{}:{}", prop.name, sub.as_str());
            let found = self.proto(&buid)?.form.prop(&full).cloned();
            if let Some(subprop) = found.filter(|prop| !prop.locked) {
                if subprop.deprecated {
                    self.rt.shared().warn_first(&prop_warning(&subprop));
                }
                self.set(buid, &full, valu)?;
            }
        }
        for add in info.adds {
            if let Some(form) = self.rt.model().form(&add.form) {
                self.check_add(form, &add.value)?;
                self.add_normed(form, add.value, add.info)?;
            }
        }
        Ok(true)
    }

    /// The tag that a tag really means (`:isnow`), added when it is not there.
    fn real_tag(&mut self, tag: &str) -> Flow<Buid> {
        let norm = self.rt.snap().tag_norm(tag)?;
        let snap = self.rt.snap().clone();
        let (mut name, mut info) = (Arc::<str>::from(norm.value.as_str().unwrap_or(tag)), norm.info);
        if let Some(node) = snap.tag_node(&name)? {
            return self.load(&node);
        }
        let toks: Vec<String> = info.toks().iter().map(py::str_text).collect();
        for indx in 0..toks.len() {
            let upper: Arc<str> = Arc::from(toks[..=indx].join("."));
            let Some(node) = snap.tag_node(&upper)? else { continue };
            let now = node.valu().as_str().unwrap_or_default().to_owned();
            if now == *upper {
                continue;
            }
            let real: Arc<str> = Arc::from(format!("{now}{}", &name[upper.len()..]));
            if let Some(node) = snap.tag_node(&real)? {
                return self.load(&node);
            }
            let norm = snap.tag_norm(&real)?;
            (name, info) = (Arc::from(norm.value.as_str().unwrap_or(&real)), norm.info);
            break;
        }
        let form = self.rt.model().req_form("syn:tag")?.clone();
        self.add_normed(&form, Value::from(&name), info)
    }

    /// Adds a tag, and those above it. Gives the name it really has.
    ///
    /// # Errors
    /// `BadTypeValu` for a bad tag or interval.
    pub fn add_tag(&mut self, buid: Buid, tag: &str, valu: &Value) -> Flow<Arc<str>> {
        let tagnode = self.real_tag(tag)?;
        let proto = self.proto(&tagnode)?;
        let name: Arc<str> = Arc::from(proto.valu.as_str().unwrap_or(tag));
        let up = proto.get("up");
        let none = no_ival();
        let valu = if valu.py_eq(&none) {
            none.clone()
        } else {
            let ival = self.rt.model().req_type("ival")?.clone();
            let norm = ival.norm(&self.rt.norm_cx(), valu).map_err(|error| error.with("tag", &name))?;
            norm.value
        };
        if let Some(up) = up.as_ref().and_then(Value::as_str) {
            if self.tags_above >= MAX_TAGS_ABOVE {
                let mesg =
                    format!("The tag {name} has no end of tags above it: look for a :isnow that leads below itself.");
                return Err(err!("RecursionLimitHit", mesg = mesg, query = self.rt.query().text()).into());
            }
            self.tags_above += 1;
            self.add_tag(buid, up, &none)?;
            self.tags_above -= 1;
        }
        let proto = self.proto(&buid)?;
        let valu = match proto.tag(&name) {
            Some(have) if have.py_eq(&valu) || valu.py_eq(&none) => return Ok(name),
            Some(have) => merge_ival(&valu, &have),
            None => valu,
        };
        proto.tags.insert(name.clone(), valu);
        Ok(name)
    }

    /// Sets a property of a tag, and the tag.
    ///
    /// # Errors
    /// `NoSuchTagProp`, `IsDeprLocked`, `BadTypeValu`.
    pub fn set_tagprop(&mut self, buid: Buid, tag: &str, name: &str, valu: &Value) -> Flow<()> {
        let tag = self.add_tag(buid, tag, &no_ival())?;
        let model = self.rt.model();
        let Some(prop) = model.tagprop(name) else {
            let mesg = format!("Tagprop {name} does not exist in this Cortex.");
            return Err(err!("NoSuchTagProp", mesg = mesg).into());
        };
        if prop.locked {
            return Err(err!("IsDeprLocked", mesg = format!("Tagprop {name} is locked."), prop = name).into());
        }
        let norm = prop.typ.norm(&self.rt.norm_cx(), valu)?.value;
        let proto = self.proto(&buid)?;
        let key = (tag.clone(), prop.name.clone());
        let have = proto.tagprops.get(&key).cloned();
        let have = have.or_else(|| proto.node.as_ref()?.tagprop(&tag, name));
        if !have.is_some_and(|have| have.py_eq(&norm)) {
            proto.tagprops.insert(key, norm);
        }
        Ok(())
    }

    /// Sets node data.
    ///
    /// # Errors
    /// `BadArg` for a bad name, `MustBeJsonSafe` for a value that is none.
    pub fn set_data(&mut self, buid: Buid, name: &str, valu: &Value) -> Flow<()> {
        check_data_name(name)?;
        let have = match self.proto(&buid)?.data.get(name) {
            Some(valu) => Some(valu.clone()),
            None => match self.proto(&buid)?.node.clone() {
                Some(node) => node_data(self.rt, &node, name)?,
                None => None,
            },
        };
        if have.is_some_and(|have| have.py_eq(valu)) {
            return Ok(());
        }
        json_safe(valu)?;
        self.proto(&buid)?.data.insert(Arc::from(name), valu.clone());
        Ok(())
    }

    /// Adds an edge. False when it is there.
    ///
    /// # Errors
    /// What reading gives.
    pub fn add_edge(&mut self, buid: Buid, verb: &str, n2: Buid) -> Flow<bool> {
        let edge = (Arc::from(verb), n2);
        let view = self.rt.snap().view().clone();
        let proto = self.proto(&buid)?;
        if proto.edges.contains(&edge) {
            return Ok(false);
        }
        if proto.edgedels.shift_remove(&edge) {
            return Ok(true);
        }
        if view.has_edge(&buid, verb, &n2, false)? {
            return Ok(false);
        }
        proto.edges.insert(edge);
        Ok(true)
    }

    /// Removes an edge. False when it is not there.
    ///
    /// # Errors
    /// What reading gives.
    pub fn del_edge(&mut self, buid: Buid, verb: &str, n2: Buid) -> Flow<bool> {
        let edge = (Arc::from(verb), n2);
        let view = self.rt.snap().view().clone();
        let proto = self.proto(&buid)?;
        if proto.edgedels.contains(&edge) {
            return Ok(false);
        }
        if proto.edges.shift_remove(&edge) {
            return Ok(true);
        }
        if !view.has_edge(&buid, verb, &n2, true)? {
            return Ok(false);
        }
        proto.edgedels.insert(edge);
        Ok(true)
    }
}

/// What a query hears when it sets a deprecated property.
fn prop_warning(prop: &Prop) -> String {
    format!("The property {} is deprecated or using a deprecated type and will be removed in 3.0.0", prop.full)
}

/// The interval that spans two.
fn merge_ival(left: &Value, right: &Value) -> Value {
    let pick = |indx: usize, larger: bool| match (left.at(indx), right.at(indx)) {
        (Some(left), Some(right)) if !left.is_null() && !right.is_null() => {
            let order = py::cmp(left, right).unwrap_or(std::cmp::Ordering::Equal);
            if order.is_gt() == larger { left.clone() } else { right.clone() }
        }
        (Some(left), _) if !left.is_null() => left.clone(),
        (_, right) => right.cloned().unwrap_or_default(),
    };
    Value::list([pick(0, false), pick(1, true)])
}

/// Refuses values that JSON cannot say.
///
/// # Errors
/// `MustBeJsonSafe`.
pub fn json_safe(valu: &Value) -> Result<()> {
    match valu {
        Value::Bytes(_) => Err(err!("MustBeJsonSafe", mesg = "Bytes cannot be JSON.")),
        Value::Float(float) if !float.is_finite() => {
            Err(err!("MustBeJsonSafe", mesg = "A number that is not finite cannot be JSON."))
        }
        Value::List(items) => items.iter().try_for_each(json_safe),
        Value::Map(map) => map.iter().try_for_each(|(key, valu)| {
            if !key.is_text() {
                return Err(err!("MustBeJsonSafe", mesg = "The keys of a JSON object are text."));
            }
            json_safe(valu)
        }),
        _ => Ok(()),
    }
}

/// Refuses names that node data may not have.
///
/// # Errors
/// `BadArg`.
pub fn check_data_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 512 {
        return Err(err!("BadArg", mesg = "The name of node data is 1 to 512 bytes long.", name = name));
    }
    Ok(())
}

/// Node data of a name: what this query set, else what storage has.
///
/// # Errors
/// What reading gives.
pub fn node_data(rt: &Rt, node: &Node, name: &str) -> Flow<Option<Value>> {
    if let Some(valu) = node.cached_data(name) {
        return Ok(Some(valu));
    }
    Ok(rt.snap().view().data(&node.buid(), name)?)
}

/// Edits one node.
///
/// # Errors
/// What the edits give.
pub fn edit_node(rt: &Rt, node: &Node, edit: impl FnOnce(&mut Editor<'_>, Buid) -> Flow<()>) -> Flow<()> {
    let mut editor = Editor::new(rt);
    let buid = editor.load(node)?;
    edit(&mut editor, buid)?;
    editor.finish()
}

/// Adds a node by form and input value; a dictionary finds or makes a guid node.
///
/// # Errors
/// As [`Editor::add_node`].
pub fn add_node(rt: &Rt, form: &str, valu: &Value) -> Flow<Node> {
    add_node_with(rt, form, valu, &Map::new())
}

/// Adds a node with properties. The value of a guid form may be a dictionary of the properties that identify the node.
///
/// # Errors
/// As [`add_node`].
pub fn add_node_with(rt: &Rt, form: &str, valu: &Value, props: &Map) -> Flow<Node> {
    req_writable(rt)?;
    let model = rt.model();
    if let (Value::Map(map), Some(form)) = (valu, model.form(form))
        && form.typ.ctor == CtorKind::Guid
    {
        let norms = guid::norm_dict(rt.snap(), form, map, Some(props))?;
        let valu = guid::add(rt, form, norms)?;
        return rt.snap().node_by_ndef(&form.name, &valu)?.ok_or_else(|| gone(&form.name));
    }
    let mut editor = Editor::new(rt);
    let buid = editor.add_node(form, valu)?;
    for (name, valu) in props.text_entries() {
        editor.set(buid, name, valu)?;
    }
    editor.finish()?;
    rt.snap().node_by_buid(&buid)?.ok_or_else(|| gone(form))
}

fn gone(form: &str) -> Ctl {
    Error::mesg("SynErr", format!("A {form} node that was just added is not there.")).into()
}

fn req_writable(rt: &Rt) -> Flow<()> {
    if rt.snap().view().is_readonly() {
        return Err(err!("IsReadOnly", mesg = "The layer takes no edits.").into());
    }
    Ok(())
}

/// Sets a property of a node, computed ones included. Gives whether it changed.
///
/// # Errors
/// `BadTypeValu`, `ReadOnlyProp`, `IsDeprLocked`, `IsRuntForm`.
pub fn set_prop(rt: &Rt, node: &Node, name: &str, valu: &Value) -> Flow<bool> {
    req_writable(rt)?;
    let Some(prop) = node.form().prop(name) else {
        let mesg = format!("No property named {name} on form {}.", node.form_name());
        return Err(err!("NoSuchProp", mesg = mesg, name = name, form = node.form_name()).into());
    };
    if node.form().is_runt {
        if prop.ro {
            let mesg = format!("Cannot set read-only props on runt nodes: {}", py::repr_text(valu));
            return Err(err!("IsRuntForm", mesg = mesg, form = node.form_name(), prop = name).into());
        }
        rt.host().runt_set(rt, node, name, valu)?;
        return Ok(true);
    }
    let mut editor = Editor::new(rt);
    let buid = editor.load(node)?;
    let changed = editor.set(buid, name, valu)?;
    editor.finish()?;
    Ok(changed)
}

/// The present in epoch milliseconds.
pub fn now_ms(rt: &Rt) -> i64 {
    rt.norm_cx().env.now_ms()
}

/// Applies edits to the view: stores them, follows up on live nodes, fires triggers, tells the client.
///
/// # Errors
/// What storing and the triggers give.
pub fn apply(rt: &Rt, edits: Vec<NodeEdit>) -> Flow<()> {
    if edits.is_empty() {
        return Ok(());
    }
    req_writable(rt)?;
    let meta = Map::new().with("time", now_ms(rt)).with("user", rt.user().iden());
    apply_meta(rt, edits, meta.into())
}

/// As [`apply`], with meta information of one's own.
///
/// # Errors
/// What storing and the triggers give.
pub fn apply_meta(rt: &Rt, edits: Vec<NodeEdit>, meta: Value) -> Flow<()> {
    let snap = rt.snap();
    // Nodes held by the query must be live before the edit, to see it.
    let mut nodes: IndexMap<Buid, Option<Node>, BuidState> = IndexMap::default();
    for edit in &edits {
        let fresh = matches!(edit.ops.first(), Some(EditOp::NodeAdd(..)));
        let node = if fresh { None } else { snap.node_by_buid(&edit.buid)? };
        nodes.insert(edit.buid, node);
    }
    let done = snap.view().apply(edits, meta)?;
    let mut changes: Vec<(Node, Change)> = Vec::new();
    let mut warnings = Vec::new();
    let model = rt.model();
    for edit in &done {
        let held = nodes.get(&edit.buid).cloned().flatten();
        let node = match held {
            Some(node) => {
                edit.ops.iter().for_each(|op| node.apply(op, snap.layer_arc()));
                node
            }
            None => match snap.node_by_buid(&edit.buid)? {
                Some(node) => node,
                None => continue,
            },
        };
        for op in &edit.ops {
            if let EditOp::PropSet(name, ..) = op
                && let Some(prop) = node.form().prop(name)
                && prop.warns_deprecated()
            {
                warnings.push(prop_warning(prop));
            }
            if matches!(op, EditOp::NodeAdd(..)) && node.form().deprecated {
                let form = &node.form().name;
                warnings.push(format!(
                    "The form {form} is deprecated or using a deprecated type and will be removed in 3.0.0"
                ));
            }
            changes.extend(change_of(rt, op)?.map(|change| (node.clone(), change)));
        }
        if edit.form.as_ref() == "syn:tag" {
            snap.forget_tags();
        }
        if edit.ops.iter().any(|op| matches!(op, EditOp::NodeDel(..))) {
            snap.forget(&edit.buid);
        }
    }
    drop(model);
    for mesg in warnings {
        rt.warn_once(&mesg)?;
    }
    for (node, change) in &changes {
        hooks::run(rt, node, change)?;
        rt.host().changed(rt, node, change)?;
    }
    if !rt.shared().wants("node:edits") {
        return Ok(());
    }
    let actual: Vec<Value> = done.iter().filter(|edit| !edit.ops.is_empty()).map(NodeEdit::pack_json).collect();
    if !actual.is_empty() {
        rt.fire("node:edits", Map::new().with("edits", Value::list(actual)))?;
    }
    Ok(())
}

fn change_of(rt: &Rt, op: &EditOp) -> Flow<Option<Change>> {
    let old = |valu: &Value| (!valu.is_null()).then(|| valu.clone());
    Ok(Some(match op {
        EditOp::NodeAdd(..) => Change::NodeAdd,
        EditOp::NodeDel(..) => Change::NodeDel,
        EditOp::PropSet(name, _, have, _) | EditOp::PropDel(name, have, _) => {
            Change::PropSet { prop: name.clone(), old: old(have) }
        }
        EditOp::TagSet(tag, ..) => Change::TagAdd(tag.clone()),
        EditOp::TagDel(tag, _) => Change::TagDel(tag.clone()),
        EditOp::EdgeAdd(verb, n2) => Change::EdgeAdd(verb.clone(), rt.snap().node_by_buid(n2)?),
        EditOp::EdgeDel(verb, n2) => Change::EdgeDel(verb.clone(), rt.snap().node_by_buid(n2)?),
        _ => return Ok(None),
    }))
}

pub use del::{del_data, del_node, del_prop, del_tag, del_tagprop};
