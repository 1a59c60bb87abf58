//! The extended model: what users add to the data model of a running cortex, and the locks on parts of it.
//!
//! Stored under `model:types:`, `model:forms:`, `model:props:`, `model:univs:`, `model:tagprops:`, `model:edges:`,
//! `model:deprlocks:` and `model:locks:` of the table `cortex`. The model itself is an immutable snapshot; each change
//! publishes a new one, so that running queries keep the one they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use myelin_cell::{ApplyCx, Event};
use myelin_error::{Result, err};
use myelin_model::ext::{edge_guid, no_such_edge, present_ifaces};
use myelin_model::moddef::{edge_key_from_value, pack_edge_key};
use myelin_model::{EdgeKey, ExtModel, Model};
use myelin_slab::tables::SafeKeyVal;
use myelin_slab::{Slab, WriteCx};
use myelin_value::{Map, Value};
use parking_lot::RwLock;

use super::{Part, Pusher};

/// Asks the layers, on the writer thread, whether anything stored still uses a part of the model.
pub trait InUse: Send + Sync {
    /// The iden of a layer that has nodes of a form, if any has.
    fn form(&self, cx: &mut WriteCx, form: &str) -> Result<Option<Arc<str>>>;
    /// The iden of a layer that has values of a property of a form (its name without the form), if any has.
    fn prop(&self, cx: &mut WriteCx, form: Option<&str>, prop: &str) -> Result<Option<Arc<str>>>;
    /// The iden of a layer that has values of a tag property, if any has.
    fn tagprop(&self, cx: &mut WriteCx, name: &str) -> Result<Option<Arc<str>>>;
}

/// The model of a cortex and what was added to it.
pub struct ModelExt {
    slab: Slab,
    stor: SafeKeyVal,
    model: Arc<ArcSwap<Model>>,
    ext: RwLock<ExtModel>,
    in_use: Arc<dyn InUse>,
    pusher: Pusher,
}

/// Deprecated properties that a new cortex locks from the start.
const FIRST_LOCKS: [&str; 2] = ["crypto:currency:transaction:inputs", "crypto:currency:transaction:outputs"];

impl ModelExt {
    /// Loads what was added, applies it to the model and publishes that. What no longer fits is left out and logged.
    pub fn open(
        slab: Slab,
        stor: SafeKeyVal,
        model: Arc<ArcSwap<Model>>,
        in_use: Arc<dyn InUse>,
        pusher: Pusher,
    ) -> Result<ModelExt> {
        let txn = slab.read_fresh()?;
        let section = |name: &str| -> Result<IndexMap<String, Value>> {
            Ok(stor.sub(&format!("model:{name}:")).items(&txn, "")?.into_iter().collect())
        };
        let ext = ExtModel {
            types: section("types")?,
            forms: section("forms")?,
            props: section("props")?,
            univs: section("univs")?,
            tagprops: section("tagprops")?,
            edges: section("edges")?,
        };
        let mut next = Model::clone(&model.load());
        for warning in ext.load(&mut next) {
            tracing::warn!("{warning}");
        }
        for (name, locked) in section("deprlocks")? {
            next.load_depr_lock(&name, locked.is_truthy());
        }
        for (name, locked) in section("locks")? {
            if let Err(error) = set_lock(&mut next, &name, locked.is_truthy()) {
                tracing::warn!("A stored model lock names {name}, which is gone: {error}");
            }
        }
        model.store(Arc::new(next));
        drop(txn);
        Ok(ModelExt { slab, stor, model, ext: RwLock::new(ext), in_use, pusher })
    }

    /// Locks what a new cortex has locked; for the first boot, outside of the log.
    pub fn init_locks(&self, cx: &mut WriteCx) -> Result<()> {
        let mut next = self.next();
        for name in FIRST_LOCKS {
            self.stor.sub("model:deprlocks:").set(cx, name, &Value::from(true))?;
            next.load_depr_lock(name, true);
        }
        self.publish(next);
        Ok(())
    }

    /// The model as it is now.
    pub fn model(&self) -> Arc<Model> {
        self.model.load_full()
    }

    fn next(&self) -> Model {
        Model::clone(&self.model.load())
    }

    fn publish(&self, next: Model) {
        self.model.store(Arc::new(next));
    }

    /// What was added, in the shape in which it is exchanged.
    pub fn pack(&self) -> Value {
        self.ext.read().pack()
    }

    /// Adds all of an extended model that is not here yet.
    pub fn add_all(&self, other: &Value) -> Result<()> {
        let missing = self.ext.read().missing_from(other)?;
        let part = |item: &Value, indx: usize| item.at(indx).cloned().unwrap_or_default();
        let text = |item: &Value, indx: usize| item.at(indx).and_then(Value::as_str).unwrap_or_default().to_owned();
        for item in missing.types.values() {
            self.add_type(&text(item, 0), &text(item, 1), part(item, 2), part(item, 3))?;
        }
        for item in missing.forms.values() {
            self.add_form(&text(item, 0), &text(item, 1), part(item, 2), part(item, 3))?;
        }
        for item in missing.props.values() {
            self.add_prop(&text(item, 0), &text(item, 1), part(item, 2), part(item, 3))?;
        }
        for item in missing.tagprops.values() {
            self.add_tagprop(&text(item, 0), part(item, 1), part(item, 2))?;
        }
        for item in missing.univs.values() {
            self.add_univ(&text(item, 0), part(item, 1), part(item, 2))?;
        }
        for item in missing.edges.values() {
            self.add_edge(part(item, 0), part(item, 1))?;
        }
        Ok(())
    }

    /// Adds a type.
    pub fn add_type(&self, name: &str, base: &str, opts: Value, info: Value) -> Result<()> {
        self.model().check_ext_type(name, base, &opts, &info)?;
        self.pusher.push("model:type:add", [name.into(), base.into(), opts, info]).map(drop)
    }

    /// Removes a type that was added.
    pub fn del_type(&self, name: &str) -> Result<()> {
        self.model().check_del_ext_type(name)?;
        self.pusher.push("model:type:del", [name.into()]).map(drop)
    }

    /// Adds a form with the type of its name.
    pub fn add_form(&self, name: &str, base: &str, opts: Value, info: Value) -> Result<()> {
        self.model().check_ext_form(name, base, &opts, &info)?;
        self.pusher.push("model:form:add", [name.into(), base.into(), opts, info]).map(drop)
    }

    /// Removes a form that was added, unless nodes of it exist.
    pub fn del_form(&self, name: &str) -> Result<()> {
        self.model().check_del_ext_form(name)?;
        self.pusher.push("model:form:del", [name.into()]).map(drop)
    }

    /// Adds a property to a form.
    pub fn add_prop(&self, form: &str, prop: &str, typedef: Value, info: Value) -> Result<()> {
        self.model().check_ext_prop(form, prop, &typedef, &info)?;
        self.pusher.push("model:prop:add", [form.into(), prop.into(), typedef, info]).map(drop)
    }

    /// The stored definition of a property that was added.
    pub fn require_prop(&self, form: &str, prop: &str) -> Result<Value> {
        let full = format!("{form}:{prop}");
        let missing = || err!("NoSuchProp", mesg = format!("No property {full} was added."), form = form, prop = prop);
        self.ext.read().props.get(&full).cloned().ok_or_else(missing)
    }

    /// Removes a property that was added, unless values of it exist.
    pub fn del_prop(&self, form: &str, prop: &str) -> Result<()> {
        self.require_prop(form, prop)?;
        self.pusher.push("model:prop:del", [form.into(), prop.into()]).map(drop)
    }

    /// Adds a universal property, named without its dot.
    pub fn add_univ(&self, name: &str, typedef: Value, info: Value) -> Result<()> {
        self.model().check_ext_univ(name, &typedef, &info)?;
        self.pusher.push("model:univ:add", [name.into(), typedef, info]).map(drop)
    }

    /// The stored definition of a universal property that was added.
    pub fn require_univ(&self, name: &str) -> Result<Value> {
        let missing = || err!("NoSuchUniv", mesg = format!("No universal property {name} was added."), name = name);
        self.ext.read().univs.get(name).cloned().ok_or_else(missing)
    }

    /// Removes a universal property that was added, unless values of it exist.
    pub fn del_univ(&self, name: &str) -> Result<()> {
        self.require_univ(name)?;
        self.pusher.push("model:univ:del", [name.into()]).map(drop)
    }

    /// Adds a tag property.
    pub fn add_tagprop(&self, name: &str, typedef: Value, info: Value) -> Result<()> {
        self.model().check_ext_tagprop(name, &typedef, &info)?;
        self.pusher.push("model:tagprop:add", [name.into(), typedef, info]).map(drop)
    }

    /// The stored definition of a tag property that was added.
    pub fn require_tagprop(&self, name: &str) -> Result<Value> {
        let missing = || err!("NoSuchTagProp", mesg = format!("No tag property {name} was added."), name = name);
        self.ext.read().tagprops.get(name).cloned().ok_or_else(missing)
    }

    /// Removes a tag property that was added, unless values of it exist.
    pub fn del_tagprop(&self, name: &str) -> Result<()> {
        self.require_tagprop(name)?;
        self.pusher.push("model:tagprop:del", [name.into()]).map(drop)
    }

    /// Declares a light edge.
    pub fn add_edge(&self, edge: Value, info: Value) -> Result<()> {
        let key = self.model().check_ext_edge(&edge, &info)?;
        self.pusher.push("model:edge:add", [pack_edge_key(&key), info]).map(drop)
    }

    /// Removes a light edge that was declared here.
    pub fn del_edge(&self, edge: &Value) -> Result<()> {
        let key = edge_key_from_value(edge)?;
        if !self.ext.read().edges.contains_key(&edge_guid(&key)) {
            return Err(no_such_edge(&key));
        }
        self.pusher.push("model:edge:del", [pack_edge_key(&key)]).map(drop)
    }

    /// Locks or frees a deprecated form, property or type.
    pub fn set_depr_lock(&self, name: &str, locked: bool) -> Result<()> {
        self.next().set_depr_lock(name, locked)?;
        self.pusher.push("model:depr:lock", [name.into(), locked.into()]).map(drop)
    }

    /// The deprecated forms and properties, and whether each is locked.
    pub fn depr_locks(&self) -> Vec<(Arc<str>, bool)> {
        self.model().depr_locks()
    }

    fn apply_add(&self, cx: &mut ApplyCx<'_>, event: &Event, kind: &str) -> Result<()> {
        let mut next = self.next();
        let name = event.str_arg(0, "name");
        let item = |count: usize| Value::list((0..count).map(|indx| event.arg(indx, "").clone()));
        let mut ext = self.ext.write();
        let (section, key, item) = match kind {
            "type" | "form" => {
                let (name, base) = (name?, event.str_arg(1, "basetype")?);
                let info = present_ifaces(event.map_arg(3, "typeinfo")?);
                let opts = event.arg(2, "typeopts");
                let stored = Value::list([name.into(), base.into(), opts.clone(), info.clone().into()]);
                if kind == "type" {
                    next.add_ext_type(name, base, opts, &info)?;
                    ext.types.insert(name.to_owned(), stored.clone());
                    ("types", name.to_owned(), stored)
                } else {
                    next.add_ext_form(name, base, opts, &info)?;
                    ext.forms.insert(name.to_owned(), stored.clone());
                    ("forms", name.to_owned(), stored)
                }
            }
            "prop" => {
                let (form, prop) = (event.str_arg(0, "form")?, event.str_arg(1, "prop")?);
                let def = next.check_ext_prop(form, prop, event.arg(2, "tdef"), event.arg(3, "info"))?;
                next.add_form_prop(form, &def)?;
                let full = format!("{form}:{prop}");
                ext.props.insert(full.clone(), item(4));
                ("props", full, item(4))
            }
            "univ" => {
                let name = name?;
                let def = next.check_ext_univ(name, event.arg(1, "tdef"), event.arg(2, "info"))?;
                next.add_univ(&def)?;
                ext.univs.insert(name.to_owned(), item(3));
                ("univs", name.to_owned(), item(3))
            }
            "tagprop" => {
                let name = name?;
                let def = next.check_ext_tagprop(name, event.arg(1, "tdef"), event.arg(2, "info"))?;
                next.add_tagprop(&def)?;
                ext.tagprops.insert(name.to_owned(), item(3));
                ("tagprops", name.to_owned(), item(3))
            }
            _ => {
                let key = edge_key_from_value(event.arg(0, "edge"))?;
                next.add_edge(key.clone(), event.map_arg(1, "edgeinfo")?.clone())?;
                let stored = Value::list([pack_edge_key(&key), event.arg(1, "edgeinfo").clone()]);
                ext.edges.insert(edge_guid(&key), stored.clone());
                ("edges", edge_guid(&key), stored)
            }
        };
        self.stor.sub(&format!("model:{section}:")).set(cx, &key, &item)?;
        self.publish(next);
        Ok(())
    }

    /// Whether what an event adds is here already: the event is a repetition.
    fn has(&self, event: &Event, kind: &str) -> Result<bool> {
        let model = self.model();
        let name = || event.str_arg(0, "name");
        Ok(match kind {
            "type" => model.typ(name()?).is_some(),
            "form" => model.form(name()?).is_some(),
            "prop" => model
                .form(event.str_arg(0, "form")?)
                .is_some_and(|form| form.prop(event.str_arg(1, "prop").unwrap_or_default()).is_some()),
            "univ" => model.univ(&format!(".{}", name()?)).is_some(),
            "tagprop" => self.ext.read().tagprops.contains_key(name()?),
            _ => model.edge(&edge_key_from_value(event.arg(0, "edge"))?).is_some(),
        })
    }

    fn apply_del(&self, cx: &mut ApplyCx<'_>, event: &Event, kind: &str) -> Result<()> {
        let mut next = self.next();
        let (section, key) = match kind {
            "type" => {
                let name = event.str_arg(0, "typename")?;
                if next.typ(name).is_none() {
                    return Ok(());
                }
                next.del_type(name)?;
                self.ext.write().types.shift_remove(name);
                ("types", name.to_owned())
            }
            "form" => {
                let name = event.str_arg(0, "formname")?;
                if next.form(name).is_none() {
                    return Ok(());
                }
                if let Some(layer) = self.in_use.form(cx, name)? {
                    return Err(err!(
                        "CantDelForm",
                        mesg = format!("The layer {layer} still has nodes of the form {name}: delete them first.")
                    ));
                }
                next.del_form(name)?;
                next.del_type(name)?;
                self.ext.write().forms.shift_remove(name);
                ("forms", name.to_owned())
            }
            "prop" => {
                let (form, prop) = (event.str_arg(0, "form")?, event.str_arg(1, "prop")?);
                let full = format!("{form}:{prop}");
                if !self.ext.read().props.contains_key(&full) {
                    return Ok(());
                }
                if let Some(layer) = self.in_use.prop(cx, Some(form), prop)? {
                    return Err(err!(
                        "CantDelProp",
                        mesg = format!("The layer {layer} still has values of {full}: delete them first.")
                    ));
                }
                next.del_form_prop(form, prop)?;
                self.ext.write().props.shift_remove(&full);
                self.unlock(cx, "prop", &full)?;
                ("props", full)
            }
            "univ" => {
                let name = event.str_arg(0, "prop")?;
                if !self.ext.read().univs.contains_key(name) {
                    return Ok(());
                }
                if let Some(layer) = self.in_use.prop(cx, None, &format!(".{name}"))? {
                    return Err(err!(
                        "CantDelUniv",
                        mesg = format!("The layer {layer} still has values of .{name}: delete them first.")
                    ));
                }
                next.del_univ(name)?;
                self.ext.write().univs.shift_remove(name);
                self.unlock(cx, "univ", name)?;
                ("univs", name.to_owned())
            }
            "tagprop" => {
                let name = event.str_arg(0, "name")?;
                if !self.ext.read().tagprops.contains_key(name) {
                    return Ok(());
                }
                if let Some(layer) = self.in_use.tagprop(cx, name)? {
                    return Err(err!(
                        "CantDelProp",
                        mesg = format!(
                            "The layer {layer} still has values of the tag property {name}: delete them first."
                        )
                    ));
                }
                next.del_tagprop(name)?;
                self.ext.write().tagprops.shift_remove(name);
                self.unlock(cx, "tagprop", name)?;
                ("tagprops", name.to_owned())
            }
            _ => {
                let key: EdgeKey = edge_key_from_value(event.arg(0, "edge"))?;
                let guid = edge_guid(&key);
                if self.ext.write().edges.shift_remove(&guid).is_none() {
                    return Ok(());
                }
                next.del_edge(&key);
                ("edges", guid)
            }
        };
        self.stor.sub(&format!("model:{section}:")).del(cx, &key)?;
        self.publish(next);
        Ok(())
    }

    fn unlock(&self, cx: &mut ApplyCx<'_>, kind: &str, name: &str) -> Result<()> {
        self.stor.sub("model:locks:").del(cx, &format!("{kind}/{name}")).map(drop)
    }

    fn apply_lock(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<()> {
        let (name, locked) = (event.str_arg(0, "name")?, event.arg(1, "locked").is_truthy());
        let mut next = self.next();
        match event.name.strip_prefix("model:lock:") {
            Some(kind) => {
                let key = format!("{kind}/{name}");
                set_lock(&mut next, &key, locked)?;
                self.stor.sub("model:locks:").set(cx, &key, &Value::from(locked))?;
            }
            None => {
                next.set_depr_lock(name, locked)?;
                self.stor.sub("model:deprlocks:").set(cx, name, &Value::from(locked))?;
            }
        }
        self.publish(next);
        Ok(())
    }

    /// Every added definition of one kind (`types`, `forms`, `props`, `univs`, `tagprops`, `edges`).
    pub fn section(&self, name: &str) -> Vec<Value> {
        let packed = self.ext.read().pack();
        packed.get(name).and_then(Value::as_list).unwrap_or_default().to_vec()
    }

    /// The stored locks on deprecated things, by name.
    pub fn stored_locks(&self) -> Result<Map> {
        Ok(self.stor.sub("model:deprlocks:").items(&self.slab.read_fresh()?, "")?.into_iter().collect())
    }
}

/// Sets a lock stored as `prop/<full>`, `univ/<name>` or `tagprop/<name>`.
fn set_lock(model: &mut Model, key: &str, locked: bool) -> Result<()> {
    match key.split_once('/') {
        Some(("prop", name)) => model.set_prop_locked(name, locked),
        Some(("univ", name)) => model.set_univ_locked(name, locked),
        Some(("tagprop", name)) => model.set_tagprop_locked(name, locked),
        _ => Err(err!("BadArg", mesg = format!("{key} is no lock of the model."), name = key)),
    }
}

impl Part for ModelExt {
    fn events(&self) -> &'static [&'static str] {
        &[
            "model:type:add",
            "model:type:del",
            "model:form:add",
            "model:form:del",
            "model:prop:add",
            "model:prop:del",
            "model:univ:add",
            "model:univ:del",
            "model:tagprop:add",
            "model:tagprop:del",
            "model:edge:add",
            "model:edge:del",
            "model:lock:prop",
            "model:lock:univ",
            "model:lock:tagprop",
            "model:depr:lock",
        ]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let mut words = event.name.splitn(3, ':').skip(1);
        let (kind, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (kind, verb) {
            (kind, "add") if self.has(event, kind)? => {}
            (kind, "add") => self.apply_add(cx, event, kind)?,
            (kind, "del") => self.apply_del(cx, event, kind)?,
            _ => self.apply_lock(cx, event)?,
        }
        Ok(Value::Null)
    }
}
