//! Base types: what a value of a type looks like, how it prints, compares and is looked up.
//!
//! A [`Type`] is a name, its effective options and an implementation ([`TypeImpl`]) chosen by its constructor
//! ([`CtorKind`]). Named types are built from a constructor ([`Type::from_ctor`]) or from another type
//! ([`Type::extend`]); a property declaration `[type, opts]` is [`Type::with_opts`]. Types never change once built.
//!
//! [`Type::norm`] turns outside input into the one stored form, and says what follows from it: secondary property
//! values (`subs`) and nodes that must exist beside it (`adds`). It fails with `BadTypeValu` (or, for references,
//! `NoSuchForm` and `NoSuchProp`), never with a panic.
//!
//! Types refer to other types by name, found through a [`TypeResolver`] when they are first needed, since a declaration
//! may come before what it refers to. Clock, randomness and identities come from a [`NormEnv`].
//!
//! Not here: forms, properties and interfaces (the rest of the crate), indexing (the layer).

mod cmpr;
mod ctors;
mod cvss;
mod files;
mod fqdn;
mod geo;
mod identity;
mod inet;
mod mail;
mod numbers;
pub mod schema;
mod scratch;
mod software;
mod structures;
mod surrogates;
mod tables;
mod telco;
mod temporal;
mod text;
mod textual;
mod url;

pub mod hugenum;
pub mod ip;
pub mod py;
pub mod regex;
pub mod time;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, guid_of};
use smallvec::SmallVec;

pub use self::cmpr::{Cmpr, StorCmpr};
pub use self::ctors::{BASE_TYPES, BaseType, CtorKind};
pub use self::cvss::{Version as CvssVersion, normalize as cvss_normalize, validate as cvss_validate};
pub use self::files::base64_loose;
pub use self::fqdn::fqdn_repr;
pub use self::geo::{bounding_box, haversine};
pub use self::hugenum::Decimal;
pub use self::numbers::bool_text;
pub use self::regex::PyRegex;
pub use self::software::unpack as unpack_version;
pub use self::structures::json_unsafe;
pub use self::temporal::{duration_repr, duration_text};
pub use self::text::norm_word;
pub use self::url::unc_url;
use crate::StorType;

/// A short name that is mostly known at compile time, such as that of a secondary property.
#[derive(Clone)]
pub enum Name {
    /// Known at compile time.
    Static(&'static str),
    /// Made at run time, shared.
    Shared(Arc<str>),
}

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Name::Static(text) => text,
            Name::Shared(text) => text,
        }
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl From<&'static str> for Name {
    #[inline]
    fn from(text: &'static str) -> Name {
        Name::Static(text)
    }
}

impl From<Arc<str>> for Name {
    fn from(text: Arc<str>) -> Name {
        Name::Shared(text)
    }
}

impl From<&Name> for Arc<str> {
    fn from(name: &Name) -> Arc<str> {
        match name {
            Name::Static(text) => Arc::from(*text),
            Name::Shared(text) => text.clone(),
        }
    }
}

impl From<&Name> for Value {
    fn from(name: &Name) -> Value {
        Value::Str(Arc::from(name))
    }
}

/// A node that must exist beside the value which was normalised.
#[derive(Clone, Debug)]
pub struct NormAdd {
    /// Its form.
    pub form: Arc<str>,
    /// Its normalised primary value.
    pub value: Value,
    /// What follows from it.
    pub info: NormInfo,
}

/// Secondary values by name, in the order the type makes them.
pub type Subs = SmallVec<[(Name, Value); 2]>;

/// What follows from a normalised value.
#[derive(Clone, Debug, Default)]
pub struct NormInfo {
    /// Values for secondary properties.
    pub subs: Subs,
    /// Nodes to add.
    pub adds: Vec<NormAdd>,
    /// The tag whose parts are known to be well formed (`syn:tag` only, else null).
    pub tag: Value,
}

impl NormInfo {
    /// The sub value under a name.
    pub fn sub(&self, name: &str) -> Option<&Value> {
        self.subs.iter().find(|(have, _)| have.as_str() == name).map(|(_, valu)| valu)
    }

    /// The parts of a tag (`syn:tag` only, else none).
    pub fn toks(&self) -> Vec<Value> {
        match &self.tag {
            Value::Str(tag) => tag.split('.').map(Value::from).collect(),
            Value::Surrogates(tag) => {
                let hidden = surrogates::hide_text(tag);
                hidden.split('.').map(|tok| surrogates::show(&Value::from(tok))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.subs.is_empty() && self.adds.is_empty() && self.tag == Value::Null
    }

    /// The info map as Storm and Python see it: only keys that hold something.
    pub fn pack(&self) -> Value {
        let mut map = Map::new();
        if !self.subs.is_empty() {
            map.insert("subs", self.subs.iter().map(|(name, valu)| (Value::from(name), valu.clone())).collect::<Map>());
        }
        if !self.adds.is_empty() {
            let adds = self.adds.iter();
            let adds = adds.map(|add| Value::list([Value::from(&add.form), add.value.clone(), add.info.pack()]));
            map.insert("adds", Value::list(adds));
        }
        let toks = self.toks();
        if !toks.is_empty() {
            map.insert("toks", Value::from(toks));
        }
        Value::from(map)
    }
}

/// A normalised value and what follows from it.
#[derive(Clone, Debug)]
pub struct Norm {
    /// The value as it is stored.
    pub value: Value,
    /// What follows from it.
    pub info: NormInfo,
}

impl Norm {
    /// A value from which nothing follows.
    #[inline]
    pub fn new(value: impl Into<Value>) -> Norm {
        Norm { value: value.into(), info: NormInfo::default() }
    }

    /// A value with room for so many sub values.
    #[inline]
    fn with_room(value: impl Into<Value>, subs: usize) -> Norm {
        Norm { value: value.into(), info: NormInfo { subs: Subs::with_capacity(subs), ..NormInfo::default() } }
    }

    /// The same with one more sub value.
    #[inline]
    #[must_use]
    pub fn sub(mut self, name: impl Into<Name>, valu: impl Into<Value>) -> Norm {
        self.info.subs.push((name.into(), valu.into()));
        self
    }
}

/// Where names of types, forms and properties are looked up: the data model, or one being built.
pub trait TypeResolver: Send + Sync {
    /// A type by its name.
    fn type_by_name(&self, name: &str) -> Option<Arc<Type>>;

    /// The shared name of a form, if there is such a form.
    fn form_name(&self, name: &str) -> Option<Arc<str>>;

    /// The type of a form's primary value. Forms and their types share the name.
    fn form_type(&self, name: &str) -> Option<Arc<Type>> {
        self.form_name(name).and_then(|name| self.type_by_name(&name))
    }

    /// Whether a form implements an interface.
    fn form_implements(&self, form: &str, iface: &str) -> bool;

    /// The shared full name and type of a property (`form:prop`, `.univ`, or a form's own name).
    fn prop_type(&self, full: &str) -> Option<(Arc<str>, Arc<Type>)>;

    /// Whether declarations are known to be sound (those that ship), so that costly checks may wait for the first use.
    fn trusts_declarations(&self) -> bool {
        false
    }

    /// A type by its name, or `NoSuchType`.
    ///
    /// # Errors
    /// `NoSuchType` when there is none.
    fn req_type(&self, name: &str) -> Result<Arc<Type>> {
        self.type_by_name(name).ok_or_else(|| err!("NoSuchType", mesg = format!("No type named {name}."), name = name))
    }
}

/// What normalisation needs from the service around the model. Every method has a default for a model on its own.
pub trait NormEnv: Send + Sync {
    /// The present in epoch milliseconds.
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// A fresh random guid.
    fn rand_guid(&self) -> String {
        myelin_value::rand_guid()
    }

    /// The iden of a user given by iden or name.
    fn user_iden(&self, _text: &str) -> Option<String> {
        None
    }

    /// The name of the user with an iden.
    fn user_name(&self, _iden: &str) -> Option<String> {
        None
    }

    /// The iden of a role given by iden or name.
    fn role_iden(&self, _text: &str) -> Option<String> {
        None
    }

    /// The name of the role with an iden.
    fn role_name(&self, _iden: &str) -> Option<String> {
        None
    }

    /// Whether the tag model allows a tag; the error text when it does not.
    ///
    /// # Errors
    /// Why the tag may not be used.
    fn check_tag(&self, _tag: &str) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// The environment of a model on its own: system clock, system randomness, no identities.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEnv;

impl NormEnv for NoEnv {}

/// What a norm may consult. Cloning is cheap.
#[derive(Clone)]
pub struct NormCx {
    /// Types, forms and properties by name.
    pub resolver: Arc<dyn TypeResolver>,
    /// Clock, randomness, identities.
    pub env: Arc<dyn NormEnv>,
}

impl NormCx {
    /// A context over a model alone.
    pub fn new(resolver: Arc<dyn TypeResolver>) -> NormCx {
        NormCx { resolver, env: Arc::new(NoEnv) }
    }

    /// The same with another environment.
    #[must_use]
    pub fn with_env(self, env: Arc<dyn NormEnv>) -> NormCx {
        NormCx { env, ..self }
    }
}

/// The behaviour of a base type. `ty` is the named type it is used for.
pub trait TypeImpl: Send + Sync {
    /// The stored form of an input.
    ///
    /// # Errors
    /// `BadTypeValu` when the input is not of this type.
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm>;

    /// The stored form of a Storm number. Default: not accepted.
    ///
    /// # Errors
    /// As [`TypeImpl::norm`].
    fn norm_number(&self, ty: &Type, _cx: &NormCx, _number: &Decimal) -> Result<Norm> {
        Err(ty.no_norm("number"))
    }

    /// The stored form for a live node given as input. Default: of its primary value.
    ///
    /// # Errors
    /// As [`TypeImpl::norm`].
    fn norm_node(&self, ty: &Type, cx: &NormCx, _form: &str, valu: &Value) -> Result<Norm> {
        self.norm(ty, cx, valu)
    }

    /// How a stored value prints: text, or a list of texts. Default: as Python's `str()`.
    ///
    /// # Errors
    /// `BadTypeValu` when the value is none of this type's.
    fn repr(&self, _ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        Ok(py::str_value(norm))
    }

    /// A filter comparator of its own, or `None` for the default one of that name.
    fn cmpr_ctor(&self, _ty: &Arc<Type>, _cx: &NormCx, _op: &str, _rhs: &Value) -> Option<Result<Cmpr>> {
        None
    }

    /// Filter comparators beside the defaults, and defaults it does without (written `-name`).
    fn cmpr_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Lift operations of its own, or `None` for the default of that name.
    fn lift(&self, _ty: &Type, _cx: &NormCx, _op: &str, _valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        None
    }

    /// Lift comparators beside the defaults.
    fn lift_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// The value that stays when a node which has `old` is given `new`.
    fn merge(&self, _old: &Value, new: &Value) -> Value {
        new.clone()
    }

    /// The storage type.
    fn stortype(&self) -> StorType;

    /// Whether values of it are handed to Storm as mutable copies.
    fn is_mutable(&self) -> bool {
        false
    }

    /// Whether it takes text with lone surrogates as it is, for it does not look at it.
    fn takes_surrogates(&self) -> bool {
        false
    }

    /// The item type, for arrays.
    fn array_type(&self) -> Option<&Arc<Type>> {
        None
    }

    /// The fields in order, for types whose primary value is a tuple of secondary ones.
    fn fields(&self) -> &[Field] {
        &[]
    }

    /// The position of a secondary property inside the primary value.
    fn comp_offs(&self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| &*field.name == name)
    }

    /// Whether a filter by this comparator also helps while lifting by prefix (only `loc` says so).
    fn lift_hint(&self, _op: &str) -> bool {
        false
    }

    /// The values which one input stands for when it creates nodes (a CIDR, a list of cookies). `None`: itself.
    fn type_vals(&self, _ty: &Type, _cx: &NormCx, _valu: &Value) -> Option<Result<TypeVals>> {
        None
    }
}

/// The values one input stands for, made one by one.
pub type TypeVals = Box<dyn Iterator<Item = Value> + Send>;

/// A field of a compound type: its name and its type, which is found when first needed.
pub struct Field {
    /// The name of the secondary property.
    pub name: Arc<str>,
    /// The name of its type.
    pub type_name: Arc<str>,
    opts: Map,
    found: std::sync::OnceLock<Arc<Type>>,
    /// Full names of the sub values seen so far (`fqdn:host`), so that they are made once.
    subs: std::sync::RwLock<Vec<(Name, Arc<str>)>>,
}

impl Field {
    /// A field of a type with further options.
    pub fn new(name: Arc<str>, type_name: Arc<str>, opts: Map) -> Field {
        Field { name, type_name, opts, found: std::sync::OnceLock::new(), subs: std::sync::RwLock::default() }
    }

    /// Adds the sub values of the field's norm under their full names.
    fn push_subs(&self, from: &Subs, into: &mut Subs) {
        // Types have a handful of subs; patterns with groups at most as many as they name.
        const MOST: usize = 64;
        if from.is_empty() {
            return;
        }
        let known = self.subs.read();
        for (name, valu) in from {
            let have = known.as_ref().ok().and_then(|known| known.iter().find(|(have, _)| have == name));
            let full = have.map(|(_, full)| full.clone());
            let full = full.unwrap_or_else(|| Arc::from(format!("{}:{name}", self.name)));
            into.push((Name::Shared(full), valu.clone()));
        }
        let missing = known.as_ref().is_ok_and(|known| {
            known.len() < MOST && from.iter().any(|(name, _)| !known.iter().any(|(have, _)| have == name))
        });
        drop(known);
        if let (true, Ok(mut known)) = (missing, self.subs.write()) {
            for (name, _) in from {
                if !known.iter().any(|(have, _)| have == name) {
                    known.push((name.clone(), Arc::from(format!("{}:{name}", self.name))));
                }
            }
        }
    }

    /// Its type.
    ///
    /// # Errors
    /// `BadTypeDef` when there is no such type.
    pub fn typ(&self, resolver: &dyn TypeResolver) -> Result<&Arc<Type>> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let base = resolver.type_by_name(&self.type_name).ok_or_else(|| {
            let mesg = format!("The field {} is of the unknown type {}.", self.name, self.type_name);
            err!("BadTypeDef", mesg = mesg, valu = &self.type_name)
        })?;
        let made = base.with_opts(resolver, &self.opts)?;
        Ok(self.found.get_or_init(|| made))
    }
}

/// A named type.
pub struct Type {
    /// Its name.
    pub name: Arc<str>,
    /// Its constructor.
    pub ctor: CtorKind,
    /// The effective options: defaults, overlaid by every declaration on the way down.
    pub opts: Map,
    /// Declared information (`doc`, `ex`, `deprecated`, `interfaces`, `template`, …).
    pub info: Map,
    /// The names it descends from, `base` first.
    pub bases: Vec<Arc<str>>,
    /// The type it was extended from.
    pub subof: Option<Arc<str>>,
    /// The storage type.
    pub stortype: StorType,
    /// Identifies constructor and options: equal hashes mean that values need no norm when they pass between.
    pub typehash: Arc<str>,
    imp: Box<dyn TypeImpl>,
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Type({} {:?} {:?})", self.name, self.ctor, self.opts)
    }
}

impl Type {
    /// A type straight from a constructor.
    ///
    /// # Errors
    /// `BadTypeDef` and `BadConfValu` when the options do not make a type.
    pub fn from_ctor(
        resolver: &dyn TypeResolver,
        name: impl Into<Arc<str>>,
        ctor: CtorKind,
        opts: &Map,
        info: &Map,
    ) -> Result<Arc<Type>> {
        Type::build(resolver, name.into(), ctor, opts.clone(), info.clone(), vec![Arc::from("base")], None)
    }

    /// A named type extended from this one.
    ///
    /// # Errors
    /// `BadTypeDef` and `BadConfValu` when the options do not make a type.
    pub fn extend(
        &self,
        resolver: &dyn TypeResolver,
        name: impl Into<Arc<str>>,
        opts: &Map,
        info: &Map,
    ) -> Result<Arc<Type>> {
        let mut alls = self.opts.clone();
        alls.update(opts);
        let mut tifo = self.info.clone();
        tifo.update(info);
        let mut bases = self.bases.clone();
        bases.push(self.name.clone());
        Type::build(resolver, name.into(), self.ctor, alls, tifo, bases, Some(self.name.clone()))
    }

    /// The same type with further options, as a property declaration gives them. The name stays.
    ///
    /// # Errors
    /// `BadTypeDef` and `BadConfValu` when the options do not make a type.
    pub fn with_opts(self: &Arc<Type>, resolver: &dyn TypeResolver, opts: &Map) -> Result<Arc<Type>> {
        if opts.is_empty() {
            return Ok(self.clone());
        }
        let mut alls = self.opts.clone();
        alls.update(opts);
        let (info, bases, subof) = (self.info.clone(), self.bases.clone(), self.subof.clone());
        Type::build(resolver, self.name.clone(), self.ctor, alls, info, bases, subof)
    }

    fn build(
        resolver: &dyn TypeResolver,
        name: Arc<str>,
        ctor: CtorKind,
        opts: Map,
        info: Map,
        bases: Vec<Arc<str>>,
        subof: Option<Arc<str>>,
    ) -> Result<Arc<Type>> {
        let mut alls = ctor.default_opts();
        alls.update(&opts);
        let imp = ctor.make(resolver, &name, &mut alls)?;
        let stortype = imp.stortype();
        let typehash = Arc::from(type_hash(ctor, &alls));
        Ok(Arc::new(Type { name, ctor, opts: alls, info, bases, subof, stortype, typehash, imp }))
    }

    /// The implementation, for those who must know more than this type tells.
    pub fn imp(&self) -> &dyn TypeImpl {
        &*self.imp
    }

    /// The stored form of an input.
    ///
    /// # Errors
    /// `BadTypeValu` when the input is not of this type.
    pub fn norm(&self, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Surrogates(_) if !self.imp.takes_surrogates() => {
                let made = self.imp.norm(self, cx, &surrogates::hide(valu));
                made.map(|norm| surrogates::show_norm(&norm)).map_err(surrogates::show_error)
            }
            _ => self.imp.norm(self, cx, valu),
        }
    }

    /// The stored form of a Storm number.
    ///
    /// # Errors
    /// As [`Type::norm`].
    pub fn norm_number(&self, cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.imp.norm_number(self, cx, number)
    }

    /// The stored form for a live node given as input.
    ///
    /// # Errors
    /// As [`Type::norm`].
    pub fn norm_node(&self, cx: &NormCx, form: &str, valu: &Value) -> Result<Norm> {
        self.imp.norm_node(self, cx, form, valu)
    }

    /// How a stored value prints: text, or a list of texts.
    ///
    /// # Errors
    /// `BadTypeValu` when the value is none of this type's, `NoSuchForm` when it refers to a form that is gone.
    pub fn repr(&self, cx: &NormCx, norm: &Value) -> Result<Value> {
        self.imp.repr(self, cx, norm)
    }

    /// The value that stays when a node which has `old` is given `new`.
    pub fn merge(&self, old: &Value, new: &Value) -> Value {
        self.imp.merge(old, new)
    }

    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.imp.array_type().is_some()
    }

    /// The item type, for arrays.
    pub fn array_type(&self) -> Option<&Arc<Type>> {
        self.imp.array_type()
    }

    /// Whether values of it are handed to Storm as mutable copies.
    pub fn is_mutable(&self) -> bool {
        self.imp.is_mutable()
    }

    /// The position of a secondary property inside the primary value.
    pub fn comp_offs(&self, name: &str) -> Option<usize> {
        self.imp.comp_offs(name)
    }

    /// Whether it is of that name or descends from it.
    pub fn isa(&self, name: &str) -> bool {
        &*self.name == name || self.bases.iter().any(|base| &**base == name)
    }

    /// Whether it is marked deprecated.
    pub fn is_deprecated(&self) -> bool {
        matches!(self.ctor, CtorKind::Edge | CtorKind::TimeEdge)
            || self.info.get("deprecated").is_some_and(Value::is_truthy)
    }

    /// The values which one input stands for when it creates nodes.
    ///
    /// # Errors
    /// `BadTypeValu` when it looks like a range and is none.
    pub fn type_vals(&self, cx: &NormCx, valu: &Value) -> Result<TypeVals> {
        match self.imp.type_vals(self, cx, valu) {
            Some(vals) => vals,
            None => Ok(Box::new(std::iter::once(valu.clone()))),
        }
    }

    /// The error for an input kind that this type does not take.
    pub fn no_norm(&self, kind: &str) -> Error {
        err!("BadTypeValu", mesg = format!("The type {} takes no {kind}.", self.name), name = &self.name)
    }

    /// The error for an input that is none of this type's, of which the original says neither type nor value.
    pub fn bad_plain(&self, mesg: impl Into<String>) -> Error {
        err!("BadTypeValu", mesg = format!("{} (type {})", mesg.into(), self.name))
    }

    /// The error for an input that is none of this type's, of which the original says the type only.
    pub fn bad_named(&self, mesg: impl Into<String>) -> Error {
        err!("BadTypeValu", mesg = mesg.into(), name = &self.name)
    }

    /// The error for an input that is none of this type's.
    pub fn bad_valu(&self, valu: &Value, mesg: impl Into<String>) -> Error {
        err!("BadTypeValu", mesg = mesg.into(), name = &self.name, valu = valu.clone())
    }
}

/// Equality as the model has it: same name, same options.
impl PartialEq for Type {
    fn eq(&self, other: &Type) -> bool {
        self.name == other.name && self.opts == other.opts
    }
}

fn type_hash(ctor: CtorKind, opts: &Map) -> String {
    let mut norm = Map::with_capacity(opts.len());
    for (key, valu) in opts.iter() {
        let valu = match valu {
            Value::Float(float) => Value::from(py::float_repr(*float)),
            other => other.clone(),
        };
        norm.insert(key.clone(), valu);
    }
    guid_of(&Value::list([Value::from(ctor.python_path()), flatten(&Value::from(norm))]))
}

/// A value with every map sorted by its keys.
fn flatten(valu: &Value) -> Value {
    match valu {
        Value::List(items) => Value::list(items.iter().map(flatten)),
        Value::Map(map) => {
            let mut items: Vec<_> = map.iter().collect();
            items.sort_by(|(left, _), (right, _)| py::cmp(left, right).unwrap_or(std::cmp::Ordering::Equal));
            Value::from(items.into_iter().map(|(key, valu)| (key.clone(), flatten(valu))).collect::<Map>())
        }
        other => other.clone(),
    }
}

/// Builds a type from the name of a base type, or of a constructor (`synapse.models.inet.Url`, `lib.types.Str`).
///
/// # Errors
/// `NoSuchType` when there is no such base, `BadTypeDef` when the options do not make a type.
pub fn build_type(
    resolver: &dyn TypeResolver,
    name: &str,
    base_or_ctor: &str,
    opts: &Map,
    info: &Map,
) -> Result<Arc<Type>> {
    if let Some(base) = resolver.type_by_name(base_or_ctor) {
        return base.extend(resolver, name, opts, info);
    }
    match CtorKind::from_path(base_or_ctor) {
        Some(ctor) => Type::from_ctor(resolver, name, ctor, opts, info),
        None => Err(err!("NoSuchType", mesg = format!("No type named {base_or_ctor}."), name = base_or_ctor)),
    }
}
