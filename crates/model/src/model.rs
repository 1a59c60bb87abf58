//! The data model: forms, properties, types, interfaces and edges, with every lookup a query needs.
//!
//! A [`Model`] is read through an `Arc` and never changes under a reader. Whoever extends it takes a copy
//! (`Arc::make_mut`, or [`Model::clone`]: maps of shared entries, well under a millisecond), changes that, and puts it in
//! the place of the old one.
//!
//! Nouns: a [`Form`] is a kind of node; a [`Prop`] is a property of one form, a universal property (of none), or the
//! primary property that stands for a form itself, so that whatever lifts by property lifts by form too.
//! Ids ([`FormId`], [`PropId`]) are dense and never used twice in one lineage of models.
//!
//! Invariants: `props[name].full == name`; every form's properties are in `props` as well, as the same `Arc`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use indexmap::{IndexMap, IndexSet};
use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};

use crate::moddef::{CtorDef, EdgeKey, TypeRef};
use crate::types::{CtorKind, Type, TypeResolver};

/// The dense number of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormId(pub u32);

/// The dense number of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropId(pub u32);

/// A property of a form, a universal property, or the primary property of a form.
#[derive(Clone, Debug)]
pub struct Prop {
    /// Its number.
    pub id: PropId,
    /// The form it belongs to; none for the universal property as such.
    pub form: Option<Arc<str>>,
    /// The number of that form.
    pub form_id: Option<FormId>,
    /// The name relative to the form (`asn`, `.seen`). The primary property has the name of its form.
    pub name: Arc<str>,
    /// The full name (`inet:ipv4:asn`, `inet:ipv4.seen`, `.seen`, `inet:ipv4`).
    pub full: Arc<str>,
    /// Its type, with the options of the declaration.
    pub typ: Arc<Type>,
    /// Its type as it was declared.
    pub typedef: TypeRef,
    /// Declared information.
    pub info: Arc<Map>,
    /// Whether it is the primary property of a form.
    pub is_form: bool,
    /// Whether it is a universal property as such.
    pub is_univ: bool,
    /// Whether it is a form's copy of a universal property.
    pub from_univ: bool,
    /// Whether it was added by a user (the name begins with `_`).
    pub is_ext: bool,
    /// Whether its form has computed nodes.
    pub is_runt: bool,
    /// The position inside a compound primary value.
    pub comp_offs: Option<usize>,
    /// Whether it is set once, with its node.
    pub ro: bool,
    /// Whether its declaration says deprecated (not its type: see [`Prop::warns_deprecated`]).
    pub deprecated: bool,
    /// Whether it may not be set any more.
    pub locked: bool,
    /// Other properties of the form that may hold the same value.
    pub alts: Vec<Arc<str>>,
}

impl Prop {
    /// Whether setting it deserves a warning: it or its type is deprecated.
    pub fn warns_deprecated(&self) -> bool {
        self.deprecated || self.typ.is_deprecated()
    }

    /// What it means.
    pub fn doc(&self) -> &str {
        self.info.get_str("doc").unwrap_or_default()
    }
}

/// A kind of node.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its number.
    pub id: FormId,
    /// Its name, which is also that of its type.
    pub name: Arc<str>,
    /// The type of its primary value.
    pub typ: Arc<Type>,
    /// Declared information.
    pub info: Map,
    /// The properties in order of declaration, universal ones first.
    pub props: IndexMap<Arc<str>, Arc<Prop>>,
    /// The interfaces it implements, their templates filled in.
    pub ifaces: IndexMap<Arc<str>, Arc<Map>>,
    /// The property that stands for the form.
    pub prime: Arc<Prop>,
    /// Whether its nodes are computed.
    pub is_runt: bool,
    /// Whether its type is deprecated.
    pub deprecated: bool,
    /// Whether nodes may not be added any more.
    pub locked: bool,
}

impl Form {
    /// A property by its relative name.
    pub fn prop(&self, name: &str) -> Option<&Arc<Prop>> {
        self.props.get(name)
    }

    /// A property by its relative name.
    ///
    /// # Errors
    /// `NoSuchProp` when there is none.
    pub fn req_prop(&self, name: &str) -> Result<&Arc<Prop>> {
        self.props.get(name).ok_or_else(|| no_such_prop(&format!("{}:{name}", self.name)))
    }

    /// The property and those that may hold the same value.
    ///
    /// # Errors
    /// `NoSuchProp` when the declaration names one that is not there.
    pub fn alts(&self, prop: &Arc<Prop>) -> Result<Vec<Arc<Prop>>> {
        let mut retn = vec![prop.clone()];
        for name in &prop.alts {
            retn.push(self.req_prop(name)?.clone());
        }
        Ok(retn)
    }

    /// Whether it implements an interface.
    pub fn implements(&self, iface: &str) -> bool {
        self.ifaces.contains_key(iface)
    }
}

/// A property that tags have on a node.
#[derive(Clone, Debug)]
pub struct TagProp {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub typ: Arc<Type>,
    /// Its type as it was declared.
    pub typedef: TypeRef,
    /// Declared information.
    pub info: Map,
    /// Whether it may not be set any more.
    pub locked: bool,
}

/// A kind of light edge.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The form it comes from (none: any), its verb, the form it goes to (none: any).
    pub key: EdgeKey,
    /// Declared information.
    pub info: Map,
}

impl Edge {
    /// The verb.
    pub fn verb(&self) -> &str {
        &self.key.1
    }
}

/// The references that go out of a form, by how they are held.
#[derive(Clone, Debug, Default)]
pub struct RefsOut {
    /// Properties whose type is a form.
    pub prop: Vec<(Arc<str>, Arc<str>)>,
    /// Properties that hold a form and a value.
    pub ndef: Vec<Arc<str>>,
    /// Arrays whose items are of a form's type.
    pub array: Vec<(Arc<str>, Arc<str>)>,
    /// Arrays of forms and values.
    pub ndefarray: Vec<Arc<str>>,
}

type RefsCache = Arc<OnceLock<HashMap<Arc<str>, Arc<RefsOut>>>>;

/// The data model at one moment.
#[derive(Clone, Default)]
pub struct Model {
    pub(crate) types: IndexMap<Arc<str>, Arc<Type>>,
    pub(crate) forms: IndexMap<Arc<str>, Arc<Form>>,
    pub(crate) props: IndexMap<Arc<str>, Arc<Prop>>,
    pub(crate) univs: IndexMap<Arc<str>, Arc<Prop>>,
    pub(crate) tagprops: IndexMap<Arc<str>, Arc<TagProp>>,
    pub(crate) edges: IndexMap<EdgeKey, Arc<Edge>>,
    pub(crate) ifaces: IndexMap<Arc<str>, Arc<Map>>,
    pub(crate) form_slots: Vec<Option<Arc<Form>>>,
    pub(crate) prop_slots: Vec<Option<Arc<Prop>>>,
    pub(crate) props_by_type: HashMap<Arc<str>, IndexSet<Arc<str>>>,
    pub(crate) arrays_by_type: HashMap<Arc<str>, IndexSet<Arc<str>>>,
    pub(crate) iface_props: HashMap<Arc<str>, Vec<Arc<str>>>,
    pub(crate) forms_by_iface: HashMap<Arc<str>, Vec<Arc<str>>>,
    pub(crate) locked_types: HashSet<Arc<str>>,
    pub(crate) ctor_defs: Vec<CtorDef>,
    pub(crate) type_defs: IndexSet<Arc<str>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) trusted: bool,
    refs: RefsCache,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({} types, {} forms, {} props)", self.types.len(), self.forms.len(), self.props.len())
    }
}

pub(crate) fn no_such_form(name: &str) -> Error {
    err!("NoSuchForm", mesg = format!("There is no form {name}."), name = name)
}

pub(crate) fn no_such_prop(name: &str) -> Error {
    err!("NoSuchProp", mesg = format!("There is no property {name}."), name = name)
}

pub(crate) fn no_such_type(name: &str) -> Error {
    err!("NoSuchType", mesg = format!("There is no type {name}."), name = name)
}

/// Lookups by name.
impl Model {
    /// A type.
    pub fn typ(&self, name: &str) -> Option<&Arc<Type>> {
        self.types.get(name)
    }

    /// A form.
    pub fn form(&self, name: &str) -> Option<&Arc<Form>> {
        self.forms.get(name)
    }

    /// A property by its full name; a form's name stands for its primary property, `.name` for a universal one.
    pub fn prop(&self, full: &str) -> Option<&Arc<Prop>> {
        self.props.get(full)
    }

    /// A universal property by its name with the dot.
    pub fn univ(&self, name: &str) -> Option<&Arc<Prop>> {
        self.univs.get(name)
    }

    /// A tag property.
    pub fn tagprop(&self, name: &str) -> Option<&Arc<TagProp>> {
        self.tagprops.get(name)
    }

    /// An interface as it was declared.
    pub fn iface(&self, name: &str) -> Option<&Arc<Map>> {
        self.ifaces.get(name)
    }

    /// A form by its number.
    pub fn form_by_id(&self, id: FormId) -> Option<&Arc<Form>> {
        self.form_slots.get(id.0 as usize)?.as_ref()
    }

    /// A property by its number.
    pub fn prop_by_id(&self, id: PropId) -> Option<&Arc<Prop>> {
        self.prop_slots.get(id.0 as usize)?.as_ref()
    }

    /// A type.
    ///
    /// # Errors
    /// `NoSuchType` when there is none.
    pub fn req_type(&self, name: &str) -> Result<&Arc<Type>> {
        self.types.get(name).ok_or_else(|| no_such_type(name))
    }

    /// A form.
    ///
    /// # Errors
    /// `NoSuchForm` when there is none.
    pub fn req_form(&self, name: &str) -> Result<&Arc<Form>> {
        self.forms.get(name).ok_or_else(|| no_such_form(name))
    }

    /// A property by its full name.
    ///
    /// # Errors
    /// `NoSuchProp` when there is none.
    pub fn req_prop(&self, full: &str) -> Result<&Arc<Prop>> {
        self.props.get(full).ok_or_else(|| no_such_prop(full))
    }

    /// A universal property by its name with the dot.
    ///
    /// # Errors
    /// `NoSuchUniv` when there is none.
    pub fn req_univ(&self, name: &str) -> Result<&Arc<Prop>> {
        let missing = || err!("NoSuchUniv", mesg = format!("There is no universal property {name}."), name = name);
        self.univs.get(name).ok_or_else(missing)
    }

    /// A tag property.
    ///
    /// # Errors
    /// `NoSuchTagProp` when there is none.
    pub fn req_tagprop(&self, name: &str) -> Result<&Arc<TagProp>> {
        let missing = || err!("NoSuchTagProp", mesg = format!("There is no tag property {name}."), name = name);
        self.tagprops.get(name).ok_or_else(missing)
    }

    /// A type with further options, as a property or a query declares it.
    ///
    /// # Errors
    /// `NoSuchType` when there is no such type, `BadTypeDef` when the options do not fit it.
    pub fn type_clone(&self, typedef: &TypeRef) -> Result<Arc<Type>> {
        let base = self.req_type(&typedef.name)?;
        match typedef.opts_map() {
            Some(opts) => base.with_opts(self, opts),
            None => Ok(base.clone()),
        }
    }
}

/// Everything of a kind, in order of declaration.
impl Model {
    /// The types.
    pub fn types(&self) -> impl ExactSizeIterator<Item = &Arc<Type>> {
        self.types.values()
    }

    /// The forms.
    pub fn forms(&self) -> impl ExactSizeIterator<Item = &Arc<Form>> {
        self.forms.values()
    }

    /// The properties: universal ones, the primary property of each form, and those on forms.
    pub fn props(&self) -> impl ExactSizeIterator<Item = &Arc<Prop>> {
        self.props.values()
    }

    /// The universal properties.
    pub fn univs(&self) -> impl ExactSizeIterator<Item = &Arc<Prop>> {
        self.univs.values()
    }

    /// The tag properties.
    pub fn tagprops(&self) -> impl ExactSizeIterator<Item = &Arc<TagProp>> {
        self.tagprops.values()
    }

    /// The edges.
    pub fn edges(&self) -> impl ExactSizeIterator<Item = &Arc<Edge>> {
        self.edges.values()
    }

    /// The interfaces by name.
    pub fn ifaces(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<Map>)> {
        self.ifaces.iter()
    }

    /// One more than the highest form number in use.
    pub fn form_count(&self) -> usize {
        self.form_slots.len()
    }

    /// One more than the highest property number in use.
    pub fn prop_count(&self) -> usize {
        self.prop_slots.len()
    }
}

/// Lookups by something else than the name.
impl Model {
    /// The properties on forms that are of a type.
    pub fn props_by_type(&self, name: &str) -> Vec<Arc<Prop>> {
        self.named_props(self.props_by_type.get(name))
    }

    /// The properties (and forms) that are arrays of a type.
    pub fn array_props_by_type(&self, name: &str) -> Vec<Arc<Prop>> {
        self.named_props(self.arrays_by_type.get(name))
    }

    fn named_props(&self, names: Option<&IndexSet<Arc<str>>>) -> Vec<Arc<Prop>> {
        let names = names.into_iter().flatten();
        names.filter_map(|name| self.props.get(name)).cloned().collect()
    }

    /// The forms whose name begins with a text, by name.
    pub fn forms_by_prefix(&self, prefix: &str) -> Vec<Arc<Form>> {
        let mut forms: Vec<_> = self.forms.values().filter(|form| form.name.starts_with(prefix)).cloned().collect();
        forms.sort_by(|left, right| left.name.cmp(&right.name));
        forms
    }

    /// The forms that implement an interface, in order of declaration. `None` when no form does.
    pub fn forms_by_iface(&self, iface: &str) -> Option<Vec<Arc<Form>>> {
        let names = self.forms_by_iface.get(iface).filter(|names| !names.is_empty())?;
        Some(names.iter().filter_map(|name| self.forms.get(name)).cloned().collect())
    }

    /// The properties that come from a property of an interface, written `interface:prop`.
    pub fn iface_props(&self, name: &str) -> Option<Vec<Arc<Prop>>> {
        let names = self.iface_props.get(name).filter(|names| !names.is_empty())?;
        Some(names.iter().filter_map(|name| self.props.get(name)).cloned().collect())
    }

    /// The forms that begin with a text.
    ///
    /// # Errors
    /// `NoSuchForm` when there is none.
    pub fn req_forms_by_prefix(&self, prefix: &str) -> Result<Vec<Arc<Form>>> {
        let forms = self.forms_by_prefix(prefix);
        if forms.is_empty() {
            return Err(err!("NoSuchForm", mesg = format!("No form begins with {prefix}."), name = prefix));
        }
        Ok(forms)
    }

    /// The forms that a query means by a name: a form, an interface, or `prefix*`.
    ///
    /// # Errors
    /// `NoSuchForm` when it means none.
    pub fn req_forms_by_look(&self, name: &str) -> Result<Vec<Arc<Form>>> {
        if let Some(form) = self.form(name) {
            return Ok(vec![form.clone()]);
        }
        if let Some(forms) = self.forms_by_iface(name) {
            return Ok(forms);
        }
        match name.strip_suffix('*') {
            Some(prefix) => self.req_forms_by_prefix(prefix),
            None => Err(no_such_form(name)),
        }
    }

    /// The properties that a query means by a name which is not that of a property: an interface (the forms), a property
    /// of an interface, or `prefix*` (the forms).
    ///
    /// # Errors
    /// `NoSuchProp` or `NoSuchForm` when it means none.
    pub fn req_props_by_look(&self, name: &str) -> Result<Vec<Arc<Prop>>> {
        let primes = |forms: Vec<Arc<Form>>| forms.iter().map(|form| form.prime.clone()).collect();
        if let Some(forms) = self.forms_by_iface(name) {
            return Ok(primes(forms));
        }
        if let Some(props) = self.iface_props(name) {
            return Ok(props);
        }
        match name.strip_suffix('*') {
            Some(prefix) => self.req_forms_by_prefix(prefix).map(primes),
            None => Err(no_such_prop(name)),
        }
    }

    /// The copies of a universal property on forms, and itself first.
    pub fn all_univs(&self, name: &str) -> Vec<Arc<Prop>> {
        let mut retn: Vec<_> = self.univs.get(name).cloned().into_iter().collect();
        if !retn.is_empty() {
            retn.extend(self.forms.values().filter_map(|form| form.props.get(name)).cloned());
        }
        retn
    }

    /// The references that go out of a form.
    pub fn refs_out(&self, form: &str) -> Arc<RefsOut> {
        let all = self.refs.get_or_init(|| {
            self.forms.values().map(|form| (form.name.clone(), Arc::new(self.make_refs_out(form)))).collect()
        });
        all.get(form).cloned().unwrap_or_default()
    }

    fn make_refs_out(&self, form: &Form) -> RefsOut {
        let mut refs = RefsOut::default();
        for (name, prop) in &form.props {
            match prop.typ.array_type() {
                Some(item) if item.ctor == CtorKind::Ndef => refs.ndefarray.push(name.clone()),
                Some(item) if self.forms.contains_key(&item.name) => {
                    refs.array.push((name.clone(), item.name.clone()));
                }
                Some(_) => {}
                None if prop.typ.ctor == CtorKind::Ndef => refs.ndef.push(name.clone()),
                None if self.forms.contains_key(&prop.typ.name) => {
                    refs.prop.push((name.clone(), prop.typ.name.clone()));
                }
                None => {}
            }
        }
        refs
    }

    /// Forgets what was computed from the model. Every change calls it.
    pub(crate) fn touch(&mut self) {
        if self.refs.get().is_some() {
            self.refs = Arc::default();
        }
    }

    /// What the operator should hear about the declarations that were added, in order; taking empties it.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

/// Edges.
impl Model {
    /// An edge exactly as it was declared.
    pub fn edge(&self, key: &EdgeKey) -> Option<&Arc<Edge>> {
        self.edges.get(key)
    }

    /// The edge that speaks of a verb between two forms: the most exact declaration, with any-form sides considered.
    pub fn find_edge(&self, n1form: &str, verb: &str, n2form: &str) -> Option<&Arc<Edge>> {
        let (one, two): (Option<Arc<str>>, Option<Arc<str>>) = (Some(n1form.into()), Some(n2form.into()));
        let verb: Arc<str> = verb.into();
        let keys = [(one.clone(), two.clone()), (one, None), (None, two), (None, None)];
        keys.into_iter().find_map(|(one, two)| self.edges.get(&(one, verb.clone(), two)))
    }

    /// The edges that may leave a form, any-form ones included when asked.
    pub fn edges_from(&self, form: &str, any: bool) -> impl Iterator<Item = &Arc<Edge>> {
        self.edges.values().filter(move |edge| edge.key.0.as_deref().map_or(any, |name| name == form))
    }

    /// The edges that may reach a form, any-form ones included when asked.
    pub fn edges_to(&self, form: &str, any: bool) -> impl Iterator<Item = &Arc<Edge>> {
        self.edges.values().filter(move |edge| edge.key.2.as_deref().map_or(any, |name| name == form))
    }
}

impl TypeResolver for Model {
    fn type_by_name(&self, name: &str) -> Option<Arc<Type>> {
        self.types.get(name).cloned()
    }

    fn trusts_declarations(&self) -> bool {
        self.trusted
    }

    fn form_name(&self, name: &str) -> Option<Arc<str>> {
        self.forms.get(name).map(|form| form.name.clone())
    }

    fn form_implements(&self, form: &str, iface: &str) -> bool {
        self.forms.get(form).is_some_and(|form| form.implements(iface))
    }

    fn prop_type(&self, full: &str) -> Option<(Arc<str>, Arc<Type>)> {
        self.props.get(full).map(|prop| (prop.full.clone(), prop.typ.clone()))
    }
}

/// A value as the template of an interface has it for one form: `{name}` replaced, `$self` the form. `None` when nothing
/// had to be replaced, so that most of an interface is shared by its forms.
fn fill(valu: &Value, form: &Arc<str>, template: &Map) -> Option<Value> {
    match valu {
        Value::Str(text) if &**text == "$self" => Some(Value::from(form)),
        Value::Str(text) if text.contains('{') => {
            let mut text = text.to_string();
            for (key, with) in template.text_entries() {
                text = text.replace(&format!("{{{key}}}"), with.as_str().unwrap_or_default());
            }
            Some(Value::from(text))
        }
        Value::List(items) => {
            let filled: Vec<_> = items.iter().map(|item| fill(item, form, template)).collect();
            let items = || items.iter().zip(&filled).map(|(item, filled)| filled.as_ref().unwrap_or(item).clone());
            filled.iter().any(Option::is_some).then(|| Value::list(items()))
        }
        Value::Map(map) => fill_map(map, form, template).map(Value::from),
        _ => None,
    }
}

/// As [`fill`], for a map.
pub(crate) fn fill_map(map: &Map, form: &Arc<str>, template: &Map) -> Option<Map> {
    let fill = |valu| fill(valu, form, template);
    let filled: Vec<_> = map.iter().map(|(key, valu)| (fill(key), fill(valu))).collect();
    if filled.iter().all(|(key, valu)| key.is_none() && valu.is_none()) {
        return None;
    }
    let items = map.iter().zip(filled);
    let items = items.map(|((key, valu), (new_key, new_valu))| {
        (new_key.unwrap_or_else(|| key.clone()), new_valu.unwrap_or_else(|| valu.clone()))
    });
    Some(items.collect())
}
