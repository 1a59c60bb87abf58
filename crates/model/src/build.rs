//! Changes to a [`Model`]: loading declarations, adding to them, removing from them.
//!
//! Each method leaves the model as it was when it fails, except [`Model::add_data_models`] and
//! [`Model::del_form`], whose callers throw the copy away. What only the service can know (whether nodes still use a
//! property, whether a definition was added by a user) is checked in [`crate::ext`] or by the service.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_value::{Map, Value, msgpack};

use crate::moddef::{CtorDef, EdgeKey, ModelDef, PropDef, TypeDef, TypeRef};
use crate::model::{Edge, Form, FormId, Model, Prop, PropId, TagProp, fill_map, no_such_form};
use crate::names::is_form_name;
use crate::types::{CtorKind, Type};

/// Types by name and encoded options, so that equal declarations share one type while models are loaded.
type CloneCache = HashMap<(Arc<str>, Vec<u8>), Arc<Type>>;

/// Loading.
impl Model {
    /// The model that ships with the platform.
    ///
    /// # Errors
    /// `BadArg`, `BadTypeDef`, … when the files contradict themselves, which the tests exclude.
    pub fn builtin() -> Result<Model> {
        let mut model = Model::default();
        model.trusted = true;
        model.add_data_models(&crate::defs::builtin()?)?;
        model.trusted = false;
        Ok(model)
    }

    /// The model that ships with the platform, loaded once for all who only read it.
    ///
    /// # Errors
    /// As [`Model::builtin`].
    pub fn shared() -> Result<Arc<Model>> {
        static SHARED: OnceLock<Result<Arc<Model>>> = OnceLock::new();
        SHARED.get_or_init(|| Model::builtin().map(Arc::new)).clone()
    }

    /// Loads modules of declarations: all types of all modules first, then interfaces, properties, forms and edges.
    ///
    /// # Errors
    /// As the methods that add one thing.
    pub fn add_data_models(&mut self, defs: &[ModelDef]) -> Result<()> {
        let mut cache = CloneCache::new();
        for ctor in defs.iter().flat_map(|def| &def.ctors) {
            self.add_ctor(ctor)?;
        }
        for def in defs {
            for typ in &def.types {
                let mut info = typ.info.clone();
                info.insert("custom", def.custom);
                self.add_type(&typ.name, &typ.base, &info)?;
            }
        }
        for (name, info) in defs.iter().flat_map(|def| &def.interfaces) {
            self.add_iface(name.clone(), info.clone());
        }
        for def in defs {
            for univ in &def.univs {
                let mut univ = univ.clone();
                if &*def.name != "core" {
                    Arc::make_mut(&mut univ.info).insert("custom", def.custom);
                }
                self.add_univ(&univ)?;
            }
        }
        for prop in defs.iter().flat_map(|def| &def.tagprops) {
            self.add_tagprop(prop)?;
        }
        let forms = || defs.iter().flat_map(|def| &def.forms);
        for form in forms() {
            self.add_form_cached(form.name.clone(), form.info.clone(), &form.props, &mut cache)?;
        }
        for (key, info) in defs.iter().flat_map(|def| &def.edges) {
            self.add_edge(key.clone(), info.clone())?;
        }
        for form in forms() {
            self.check_display(self.req_form(&form.name)?)?;
        }
        for typ in defs.iter().flat_map(|def| &def.types) {
            self.check_fields(&typ.name);
        }
        Ok(())
    }

    /// Adds a type from a constructor.
    ///
    /// # Errors
    /// `NoSuchCtor` when there is no such constructor, `BadTypeDef` when the options do not fit it.
    pub fn add_ctor(&mut self, def: &CtorDef) -> Result<()> {
        let missing = || {
            let mesg =
                format!("The type {} needs the constructor {}, which this build does not have.", def.name, def.ctor);
            err!("NoSuchCtor", mesg = mesg, name = &def.ctor, type = &def.name)
        };
        let kind = CtorKind::from_path(&def.ctor).ok_or_else(missing)?;
        let made = Type::from_ctor(self, def.name.clone(), kind, &def.opts, &def.info)?;
        self.touch();
        self.types.insert(def.name.clone(), made);
        self.ctor_defs.push(def.clone());
        Ok(())
    }

    /// Adds a type that extends another.
    ///
    /// # Errors
    /// `NoSuchType` when there is no such base, `BadTypeDef` when the options do not fit it.
    pub fn add_type(&mut self, name: &Arc<str>, base: &TypeRef, info: &Map) -> Result<Arc<Type>> {
        let no_opts = Map::new();
        let opts = base.opts_map().unwrap_or(&no_opts);
        let made = self.req_type(&base.name)?.extend(self, name.clone(), opts, info)?;
        self.touch();
        if made.is_deprecated() && info.get("custom").is_some_and(Value::is_truthy) {
            self.warnings.push(format!("The type {name} extends a deprecated type, which version 3.0.0 drops."));
        }
        self.types.insert(name.clone(), made.clone());
        self.type_defs.insert(name.clone());
        Ok(made)
    }

    /// Adds an interface.
    pub fn add_iface(&mut self, name: Arc<str>, info: Map) {
        self.touch();
        self.ifaces.insert(name, Arc::new(info));
    }

    /// Warns of the fields of a type that cannot work or will not for long.
    fn check_fields(&mut self, name: &str) {
        let Some(typ) = self.types.get(name).filter(|typ| typ.isa("comp")).cloned() else {
            return;
        };
        let is_ext = name.starts_with('_');
        for field in typ.imp().fields() {
            let label = format!("The field {} of the type {name}", field.name);
            match field.typ(self) {
                Err(_) => {
                    self.warnings.push(format!("{label} is of the type {}, which is not there.", field.type_name))
                }
                Ok(have) => {
                    if is_ext && have.is_mutable() {
                        let mesg = format!("{label} holds values that can change, which version 3.0.0 does not allow.");
                        self.warnings.push(mesg);
                    }
                    if is_ext && have.is_deprecated() {
                        self.warnings.push(format!("{label} is of the deprecated type {}.", have.name));
                    }
                }
            }
        }
    }

    /// As [`Model::add_type`], with warnings about its fields. For types that come one by one.
    ///
    /// # Errors
    /// As [`Model::add_type`].
    pub fn add_type_checked(&mut self, def: &TypeDef) -> Result<Arc<Type>> {
        let made = self.add_type(&def.name, &def.base, &def.info)?;
        self.check_fields(&def.name);
        Ok(made)
    }
}

/// Forms and properties.
impl Model {
    /// Adds the form of a type.
    ///
    /// # Errors
    /// `BadFormDef` for a name that is none, `NoSuchType` when the type is not there, `NoSuchName` for a missing
    /// interface, and what [`Model::add_form_prop`] answers.
    pub fn add_form(&mut self, name: impl Into<Arc<str>>, info: Map, props: &[PropDef]) -> Result<Arc<Form>> {
        let name = name.into();
        let mut next = self.clone();
        next.add_form_cached(name.clone(), info, props, &mut CloneCache::new())?;
        next.check_display(next.req_form(&name)?)?;
        *self = next;
        self.req_form(&name).cloned()
    }

    fn add_form_cached(&mut self, name: Arc<str>, info: Map, props: &[PropDef], cache: &mut CloneCache) -> Result<()> {
        if !is_form_name(&name) {
            return Err(err!("BadFormDef", mesg = format!("{name} is no name of a form."), name = &name));
        }
        let typ = self.req_type(&name)?.clone();
        self.touch();
        let id = FormId(self.form_slots.len() as u32);
        let is_runt = info.get("runt").is_some_and(Value::is_truthy);
        let prime = self.put_prop(Prop {
            id: PropId(self.prop_slots.len() as u32),
            form: Some(name.clone()),
            form_id: Some(id),
            name: name.clone(),
            full: name.clone(),
            typ: typ.clone(),
            typedef: TypeRef::new(name.clone(), Map::new()),
            info: Arc::new(info.clone()),
            is_form: true,
            is_univ: false,
            from_univ: false,
            is_ext: name.starts_with('_'),
            is_runt,
            comp_offs: None,
            ro: false,
            deprecated: typ.is_deprecated(),
            locked: false,
            alts: Vec::new(),
        });
        if let Some(item) = typ.array_type() {
            self.arrays_by_type.entry(item.name.clone()).or_default().insert(name.clone());
        }
        let deprecated = typ.is_deprecated();
        let (props_map, ifaces) = (IndexMap::with_capacity(props.len() + 4), IndexMap::new());
        let mut form =
            Form { id, name, typ, info, props: props_map, ifaces, prime, is_runt, deprecated, locked: false };
        for univ in self.univs.values().cloned().collect::<Vec<_>>() {
            self.build_prop(&mut form, &univ.name, &univ.typedef, univ.info.clone(), univ.locked, cache)?;
        }
        for def in props {
            self.build_prop(&mut form, &def.name, &def.typ, def.info.clone(), false, cache)?;
        }
        let ifaces = form.typ.info.get("interfaces").and_then(Value::as_list).map(<[Value]>::to_vec);
        for iface in ifaces.iter().flatten().filter_map(Value::as_arc_str) {
            self.build_iface(&mut form, iface, &[], cache)?;
        }
        self.put_form(form);
        Ok(())
    }

    /// Makes a property of a form that is not yet in the model.
    fn build_prop(
        &mut self,
        form: &mut Form,
        name: &Arc<str>,
        typedef: &TypeRef,
        info: Arc<Map>,
        locked: bool,
        cache: &mut CloneCache,
    ) -> Result<Arc<Prop>> {
        let typ = self.cached_clone(typedef, cache)?;
        let from_univ = name.starts_with('.');
        let full: Arc<str> =
            if from_univ { format!("{}{name}", form.name) } else { format!("{}:{name}", form.name) }.into();
        if let (Some(item), false) = (typ.array_type(), from_univ) {
            self.arrays_by_type.entry(item.name.clone()).or_default().insert(full.clone());
        }
        self.props_by_type.entry(typ.name.clone()).or_default().insert(full.clone());
        let prop = self.put_prop(Prop {
            id: PropId(self.prop_slots.len() as u32),
            form: Some(form.name.clone()),
            form_id: Some(form.id),
            name: name.clone(),
            full,
            is_ext: name.trim_start_matches('.').starts_with('_'),
            is_runt: form.is_runt,
            is_form: false,
            is_univ: false,
            from_univ,
            comp_offs: form.typ.comp_offs(name),
            locked,
            ..prop_facts(typ, typedef, info)
        });
        form.props.insert(name.clone(), prop.clone());
        Ok(prop)
    }

    fn cached_clone(&self, typedef: &TypeRef, cache: &mut CloneCache) -> Result<Arc<Type>> {
        if typedef.opts_map().is_none() {
            return self.type_clone(typedef);
        }
        let key = (typedef.name.clone(), msgpack::encode(&typedef.opts));
        if let Some(found) = cache.get(&key) {
            return Ok(found.clone());
        }
        let made = self.type_clone(typedef)?;
        cache.insert(key, made.clone());
        Ok(made)
    }

    /// Gives a form what an interface declares, and what that interface builds on.
    fn build_iface(
        &mut self,
        form: &mut Form,
        name: &Arc<str>,
        above: &[Arc<str>],
        cache: &mut CloneCache,
    ) -> Result<()> {
        let iface = self.filled_iface(form, name)?;
        for item in iface.get("props").and_then(Value::as_list).unwrap_or_default() {
            let def = PropDef::from_value(item)?;
            let prop = match form.props.get(&def.name) {
                Some(have) => have.clone(),
                None => self.build_prop(form, &def.name, &def.typ, def.info, false, cache)?,
            };
            for iface in std::iter::once(name).chain(above) {
                let key: Arc<str> = format!("{iface}:{}", def.name).into();
                self.iface_props.entry(key).or_default().push(prop.full.clone());
            }
        }
        let below = iface.get("interfaces").and_then(Value::as_list).map(<[Value]>::to_vec);
        form.ifaces.insert(name.clone(), iface);
        self.forms_by_iface.entry(name.clone()).or_default().push(form.name.clone());
        let mut above = above.to_vec();
        above.push(name.clone());
        for below in below.iter().flatten().filter_map(Value::as_arc_str) {
            if above.contains(below) {
                return Err(err!(
                    "BadFormDef",
                    mesg = format!("The interface {below} builds on itself."),
                    name = below
                ));
            }
            self.build_iface(form, below, &above, cache)?;
        }
        Ok(())
    }

    fn filled_iface(&mut self, form: &Form, name: &str) -> Result<Arc<Map>> {
        let missing = || {
            let mesg = format!("The form {} implements the interface {name}, which is not there.", form.name);
            err!("NoSuchName", mesg = mesg)
        };
        let iface = self.ifaces.get(name).ok_or_else(missing)?.clone();
        if iface.get("deprecated").is_some_and(Value::is_truthy) {
            let mesg = format!("The form {} implements the deprecated interface {name}.", form.name);
            self.warnings.push(mesg);
        }
        let mut template = iface.get("template").and_then(Value::as_map).cloned().unwrap_or_default();
        if let Some(own) = form.typ.info.get("template").and_then(Value::as_map) {
            template.update(own);
        }
        Ok(fill_map(&iface, &form.name, &template).map_or(iface, Arc::new))
    }

    fn check_display(&self, form: &Arc<Form>) -> Result<()> {
        let columns = form.typ.info.get("display").and_then(|display| display.get("columns"));
        for column in columns.and_then(Value::as_list).unwrap_or_default() {
            let kind = column.get("type").and_then(Value::as_str).unwrap_or_default();
            if kind != "prop" {
                let mesg = format!("The form {} has a display column of the unknown type {kind}.", form.name);
                return Err(err!("BadFormDef", mesg = mesg));
            }
            let path = column.get("opts").and_then(|opts| opts.get("name")).and_then(Value::as_str).unwrap_or_default();
            let mut at = Some(form);
            for part in path.split("::") {
                let Some(prop) = at.and_then(|form| form.prop(part)) else {
                    let mesg =
                        format!("The form {} has the display column {path}, but no property {part} there.", form.name);
                    return Err(err!("BadFormDef", mesg = mesg));
                };
                at = self.forms.get(&prop.typ.name);
            }
        }
        Ok(())
    }

    /// Adds a property to a form.
    ///
    /// # Errors
    /// `NoSuchForm` and `NoSuchType` when one is not there, `BadTypeDef` when the options do not fit the type.
    pub fn add_form_prop(&mut self, form: &str, def: &PropDef) -> Result<Arc<Prop>> {
        let mut form = Form::clone(self.req_form(form)?);
        self.type_clone(&def.typ)?;
        self.touch();
        let prop = self.build_prop(&mut form, &def.name, &def.typ, def.info.clone(), false, &mut CloneCache::new())?;
        self.put_form(form);
        Ok(prop)
    }

    /// Adds a universal property to every form.
    ///
    /// # Errors
    /// `NoSuchType` when the type is not there, `BadTypeDef` when the options do not fit it.
    pub fn add_univ(&mut self, def: &PropDef) -> Result<Arc<Prop>> {
        let typ = self.type_clone(&def.typ)?;
        self.touch();
        let name: Arc<str> = format!(".{}", def.name).into();
        if typ.is_deprecated() {
            self.warnings.push(format!("The universal property {name} is of the deprecated type {}.", typ.name));
        }
        let univ = self.put_prop(Prop {
            id: PropId(self.prop_slots.len() as u32),
            name: name.clone(),
            full: name.clone(),
            is_ext: def.name.starts_with('_'),
            is_univ: true,
            ..prop_facts(typ, &def.typ, def.info.clone())
        });
        self.univs.insert(name.clone(), univ.clone());
        let mut cache = CloneCache::new();
        for form in self.forms.values().cloned().collect::<Vec<_>>() {
            let mut form = Form::clone(&form);
            self.build_prop(&mut form, &name, &def.typ, def.info.clone(), false, &mut cache)?;
            self.put_form(form);
        }
        Ok(univ)
    }

    /// Adds a tag property.
    ///
    /// # Errors
    /// `DupTagPropName` when it is there, `NoSuchType` when its type is not, `BadPropDef` for an array.
    pub fn add_tagprop(&mut self, def: &PropDef) -> Result<Arc<TagProp>> {
        if self.tagprops.contains_key(&def.name) {
            let mesg = format!("The tag property {} is already there.", def.name);
            return Err(err!("DupTagPropName", mesg = mesg, name = &def.name));
        }
        let typ = self.type_clone(&def.typ)?;
        if typ.is_array() {
            return Err(err!("BadPropDef", mesg = format!("The tag property {} cannot be an array.", def.name)));
        }
        self.touch();
        if typ.is_deprecated() {
            self.warnings.push(format!("The tag property {} is of the deprecated type {}.", def.name, typ.name));
        }
        let (name, typedef, info) = (def.name.clone(), def.typ.clone(), Map::clone(&def.info));
        let prop = Arc::new(TagProp { name: name.clone(), typ, typedef, info, locked: false });
        self.tagprops.insert(name, prop.clone());
        Ok(prop)
    }

    /// Adds an edge.
    ///
    /// # Errors
    /// `NoSuchForm` when a side is not there, `BadArg` when the edge already is.
    pub fn add_edge(&mut self, key: EdgeKey, info: Map) -> Result<Arc<Edge>> {
        for side in [&key.0, &key.2].into_iter().flatten() {
            if !self.forms.contains_key(side) {
                return Err(no_such_form(side));
            }
        }
        if self.edges.contains_key(&key) {
            return Err(err!("BadArg", mesg = format!("The edge {key:?} is already declared.")));
        }
        self.touch();
        let edge = Arc::new(Edge { key: key.clone(), info });
        self.edges.insert(key, edge.clone());
        Ok(edge)
    }
}

/// Removal.
impl Model {
    /// Removes a type. One that is not there is no error.
    ///
    /// # Errors
    /// `CantDelType` while a property, a type or an array uses it.
    pub fn del_type(&mut self, name: &str) -> Result<()> {
        if !self.types.contains_key(name) {
            return Ok(());
        }
        let user = if self.props_by_type.get(name).is_some_and(|props| !props.is_empty()) {
            Some("properties")
        } else if self.types.values().any(|typ| typ.bases.iter().any(|base| &**base == name)) {
            Some("types")
        } else if self.types.values().any(|typ| typ.array_type().is_some_and(|item| &*item.name == name)) {
            Some("arrays")
        } else {
            None
        };
        if let Some(user) = user {
            let mesg = format!("The type {name} cannot be removed while other {user} use it.");
            return Err(err!("CantDelType", mesg = mesg, name = name));
        }
        self.touch();
        self.types.shift_remove(name);
        self.type_defs.shift_remove(name);
        self.locked_types.remove(name);
        self.props_by_type.remove(name);
        self.arrays_by_type.remove(name);
        Ok(())
    }

    /// Removes a form. One that is not there is no error.
    ///
    /// # Errors
    /// `CantDelForm` while it has properties of its own.
    pub fn del_form(&mut self, name: &str) -> Result<()> {
        let Some(form) = self.forms.get(name).cloned() else {
            return Ok(());
        };
        let iface_props = |iface: &Arc<Map>| iface.get("props").and_then(Value::as_list).unwrap_or_default().to_vec();
        let from_ifaces: Vec<Value> =
            form.ifaces.values().flat_map(iface_props).filter_map(|prop| prop.at(0).cloned()).collect();
        let is_own = |prop: &&Arc<Prop>| !prop.from_univ && !from_ifaces.contains(&Value::from(&prop.name));
        let own: Vec<&str> = form.props.values().filter(is_own).map(|prop| &*prop.name).collect();
        if !own.is_empty() {
            let mesg = format!("The form {name} still has the properties {}.", own.join(", "));
            return Err(err!("CantDelForm", mesg = mesg));
        }
        self.touch();
        for names in self.forms_by_iface.values_mut() {
            names.retain(|have| **have != *name);
        }
        for names in self.iface_props.values_mut() {
            names.retain(|full| full.strip_prefix(name).is_none_or(|rest| !rest.starts_with(':')));
        }
        for prop in form.props.values() {
            self.drop_prop(prop);
        }
        self.drop_prop(&form.prime);
        self.forms.shift_remove(name);
        if let Some(slot) = self.form_slots.get_mut(form.id.0 as usize) {
            *slot = None;
        }
        Ok(())
    }

    /// Removes a property of a form.
    ///
    /// # Errors
    /// `NoSuchForm` or `NoSuchProp` when it is not there.
    pub fn del_form_prop(&mut self, form: &str, name: &str) -> Result<()> {
        let mut form = Form::clone(self.req_form(form)?);
        let prop = form.req_prop(name)?.clone();
        self.touch();
        form.props.shift_remove(name);
        self.drop_prop(&prop);
        self.put_form(form);
        Ok(())
    }

    /// Removes a universal property, by its name without the dot, from every form.
    ///
    /// # Errors
    /// `NoSuchUniv` when it is not there.
    pub fn del_univ(&mut self, name: &str) -> Result<()> {
        let dotted = format!(".{name}");
        let Some(univ) = self.univs.shift_remove(dotted.as_str()) else {
            let mesg = format!("There is no universal property {dotted}.");
            return Err(err!("NoSuchUniv", mesg = mesg, name = name));
        };
        self.touch();
        self.drop_prop(&univ);
        for form in self.forms.keys().cloned().collect::<Vec<_>>() {
            self.del_form_prop(&form, &dotted)?;
        }
        Ok(())
    }

    /// Removes a tag property.
    ///
    /// # Errors
    /// `NoSuchTagProp` when it is not there.
    pub fn del_tagprop(&mut self, name: &str) -> Result<()> {
        self.req_tagprop(name)?;
        self.touch();
        self.tagprops.shift_remove(name);
        Ok(())
    }

    /// Removes an edge. One that is not there is no error.
    pub fn del_edge(&mut self, key: &EdgeKey) {
        self.touch();
        self.edges.shift_remove(key);
    }

    fn drop_prop(&mut self, prop: &Arc<Prop>) {
        self.props.shift_remove(&prop.full);
        if let Some(slot) = self.prop_slots.get_mut(prop.id.0 as usize) {
            *slot = None;
        }
        if let Some(names) = self.props_by_type.get_mut(&prop.typ.name) {
            names.shift_remove(&prop.full);
        }
        let arrays = prop.typ.array_type().and_then(|item| self.arrays_by_type.get_mut(&item.name));
        if let Some(names) = arrays {
            names.shift_remove(&prop.full);
        }
    }
}

/// Keeping the copies of a thing together.
impl Model {
    /// Puts a property under its name and its number.
    pub(crate) fn put_prop(&mut self, prop: Prop) -> Arc<Prop> {
        let slot = prop.id.0 as usize;
        let prop = Arc::new(prop);
        if self.prop_slots.len() <= slot {
            self.prop_slots.resize(slot + 1, None);
        }
        self.prop_slots[slot] = Some(prop.clone());
        self.props.insert(prop.full.clone(), prop.clone());
        prop
    }

    /// Puts a form under its name and its number.
    pub(crate) fn put_form(&mut self, form: Form) {
        let (form, slot) = (Arc::new(form), self.form_slots.len());
        let at = form.id.0 as usize;
        if slot <= at {
            self.form_slots.resize(at + 1, None);
        }
        self.form_slots[at] = Some(form.clone());
        self.forms.insert(form.name.clone(), form);
    }
}

/// What a property has from its declaration alone; the rest is filled in by the caller.
fn prop_facts(typ: Arc<Type>, typedef: &TypeRef, info: Arc<Map>) -> Prop {
    let alts = info.get("alts").and_then(Value::as_list).unwrap_or_default();
    Prop {
        id: PropId(0),
        form: None,
        form_id: None,
        name: Arc::default(),
        full: Arc::default(),
        typ,
        typedef: typedef.clone(),
        is_form: false,
        is_univ: false,
        from_univ: false,
        is_ext: false,
        is_runt: false,
        comp_offs: None,
        ro: info.get("ro").is_some_and(Value::is_truthy),
        deprecated: info.get("deprecated").is_some_and(Value::is_truthy),
        locked: false,
        alts: alts.iter().filter_map(Value::as_arc_str).cloned().collect(),
        info,
    }
}
