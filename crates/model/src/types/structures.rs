//! Types made of other types: `comp`, `array`, `range`, `ndef`, `nodeprop`, `edge`, `timeedge`, `data`.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, json};

use super::ctors::Decl;
use super::schema::{Schema, Violation};
use super::{Decimal, Field, Name, Norm, NormAdd, NormCx, NormInfo, Type, TypeImpl, TypeResolver, py};
use crate::StorType;

/// A type reference of a declaration: a name, or a name with options.
fn type_ref(valu: &Value) -> Option<(Arc<str>, Map)> {
    match valu {
        Value::Str(name) => Some((name.clone(), Map::new())),
        Value::List(items) => {
            let name = items.first()?.as_arc_str()?.clone();
            Some((name, items.get(1).and_then(Value::as_map).cloned().unwrap_or_default()))
        }
        _ => None,
    }
}

/// `comp`: a tuple of named fields.
pub struct Comp {
    fields: Vec<Field>,
    declared: bool,
    sepr: Option<Arc<str>>,
    mutable: bool,
    /// How many sub values a norm had at most, so that the next has room for them at once.
    most_subs: AtomicUsize,
}

impl Comp {
    pub(super) fn new(decl: Decl<'_>) -> Result<Comp> {
        let mut fields = Vec::new();
        let mut mutable = false;
        for item in decl.opt("fields").and_then(Value::as_list).unwrap_or_default() {
            let name = item.at(0).and_then(Value::as_arc_str);
            let Some((name, (type_name, opts))) = name.zip(item.at(1).and_then(type_ref)) else {
                let mesg = "Fields are pairs of a name and a type.";
                return Err(err!("BadTypeDef", mesg = mesg, name = decl.name));
            };
            mutable |= decl.resolver.type_by_name(&type_name).is_some_and(|found| found.is_mutable());
            fields.push(Field::new(name.clone(), type_name, opts));
        }
        let declared = decl.opt("fields").is_some();
        Ok(Comp { fields, declared, sepr: decl.text("sepr").map(Arc::from), mutable, most_subs: AtomicUsize::new(0) })
    }

    fn norm_items(&self, ty: &Type, cx: &NormCx, items: &[Value]) -> Result<Norm> {
        if items.len() != self.fields.len() || !self.declared {
            let mesg =
                format!("The type {} has {} fields, {} values were given.", ty.name, self.fields.len(), items.len());
            let fields = ty.opts.get("fields").cloned().unwrap_or_default();
            return Err(ty.bad_named(mesg).with("fields", fields).with("numitems", items.len()));
        }
        let mut norms = Vec::with_capacity(items.len());
        let mut info = NormInfo::default();
        info.subs.reserve_exact(self.most_subs.load(AtomicOrdering::Relaxed).max(items.len()));
        for (field, item) in self.fields.iter().zip(items) {
            let typ = field.typ(&*cx.resolver)?;
            let made = typ.norm(cx, item)?;
            info.subs.push((Name::Shared(field.name.clone()), made.value.clone()));
            field.push_subs(&made.info.subs, &mut info.subs);
            norms.push(made.value.clone());
            match cx.resolver.form_name(&typ.name) {
                Some(form) => {
                    let deeper = made.info.adds.clone();
                    info.adds.push(NormAdd { form, value: made.value, info: made.info });
                    info.adds.extend(deeper);
                }
                None => info.adds.extend(made.info.adds),
            }
        }
        self.most_subs.fetch_max(info.subs.len(), AtomicOrdering::Relaxed);
        Ok(Norm { value: Value::from(norms), info })
    }
}

impl TypeImpl for Comp {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match (valu, &self.sepr) {
            (Value::List(items), _) => self.norm_items(ty, cx, items),
            (Value::Str(text), Some(sepr)) if !sepr.is_empty() => {
                let items: Vec<Value> = text.split(&**sepr).map(Value::from).collect();
                self.norm_items(ty, cx, &items)
            }
            (other, _) => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        let items = norm.as_list().ok_or_else(|| ty.bad_valu(norm, "The stored value is no tuple."))?;
        let mut reprs = Vec::with_capacity(items.len());
        for (field, item) in self.fields.iter().zip(items) {
            reprs.push(field.typ(&*cx.resolver)?.repr(cx, item)?);
        }
        match &self.sepr {
            Some(sepr) => join(ty, sepr, &reprs),
            None => Ok(Value::from(reprs)),
        }
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn is_mutable(&self) -> bool {
        self.mutable
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

fn join(ty: &Type, sepr: &str, reprs: &[Value]) -> Result<Value> {
    let mut out = Vec::new();
    for (nth, repr) in reprs.iter().enumerate() {
        if nth > 0 {
            out.extend_from_slice(sepr.as_bytes());
        }
        let Some(text) = repr.text_bytes() else {
            return Err(err!("BadTypeValu", mesg = "Parts that print as lists cannot be joined.", name = &ty.name));
        };
        out.extend_from_slice(text);
    }
    Value::from_wtf8(&out).ok_or_else(|| ty.bad_plain("The parts make no text."))
}

/// `array`: any number of values of one type.
pub struct Array {
    item: Arc<Type>,
    uniq: bool,
    sorted: bool,
    split: Option<Arc<str>>,
}

impl Array {
    pub(super) fn new(decl: Decl<'_>) -> Result<Array> {
        let bad = |mesg: String| err!("BadTypeDef", mesg = mesg, name = decl.name);
        let name = decl.text("type").ok_or_else(|| bad("An array needs the option type.".to_owned()))?;
        let base = decl.resolver.type_by_name(name);
        let base = base.ok_or_else(|| bad(format!("The array {} is of the unknown type {name}.", decl.name)))?;
        let opts = decl.opt("typeopts").and_then(Value::as_map).cloned().unwrap_or_default();
        let item = base.with_opts(decl.resolver, &opts)?;
        if item.is_array() {
            return Err(bad("Arrays of arrays are not supported.".to_owned()));
        }
        let (uniq, sorted) = (decl.flag("uniq"), decl.flag("sorted"));
        Ok(Array { item, uniq, sorted, split: decl.text("split").map(Arc::from) })
    }

    fn norm_items<'a>(&self, ty: &Type, cx: &NormCx, items: impl Iterator<Item = &'a Value>) -> Result<Norm> {
        let form = cx.resolver.form_name(&self.item.name);
        let mut norms = Vec::with_capacity(items.size_hint().0);
        let mut info = NormInfo::default();
        for item in items {
            let made = self.item.norm(cx, item)?;
            norms.push(made.value.clone());
            match &form {
                Some(form) => {
                    info.adds.extend(made.info.adds.iter().cloned());
                    info.adds.push(NormAdd { form: form.clone(), value: made.value, info: made.info });
                }
                None => info.adds.extend(made.info.adds),
            }
        }
        if self.uniq {
            let mut seen = HashSet::with_capacity(norms.len());
            norms.retain(|norm| seen.insert(norm.clone()));
        }
        if self.sorted {
            let mut mixed = false;
            norms.sort_by(|left, right| {
                py::cmp(left, right).unwrap_or_else(|| {
                    mixed = true;
                    Ordering::Equal
                })
            });
            if mixed {
                return Err(err!("BadTypeValu", mesg = "The items have no order to sort by.", name = &ty.name));
            }
        }
        Ok(Norm { value: Value::from(norms), info })
    }
}

impl TypeImpl for Array {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match (valu, &self.split) {
            (Value::List(items), _) => self.norm_items(ty, cx, items.iter()),
            (Value::Str(text), Some(split)) if !split.is_empty() => {
                let items: Vec<Value> = text.split(&**split).map(|part| Value::from(py::strip(part))).collect();
                self.norm_items(ty, cx, items.iter())
            }
            (Value::Str(_), _) => Err(ty.bad_named("This array takes no text: it has no character to split at.")),
            (other, _) => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        let items = norm.as_list().ok_or_else(|| ty.bad_valu(norm, "The stored value is no array."))?;
        let reprs: Vec<Value> = items.iter().map(|item| self.item.repr(cx, item)).collect::<Result<_>>()?;
        match &self.split {
            Some(split) => join(ty, split, &reprs),
            None => Ok(Value::from(reprs)),
        }
    }

    fn array_type(&self) -> Option<&Arc<Type>> {
        Some(&self.item)
    }

    fn is_mutable(&self) -> bool {
        true
    }

    fn stortype(&self) -> StorType {
        self.item.stortype.array()
    }
}

/// `range`: a pair of values of one type, in order.
pub struct Range {
    item: Arc<Type>,
}

impl Range {
    pub(super) fn new(decl: Decl<'_>) -> Result<Range> {
        let bad = || err!("BadTypeDef", mesg = "A range needs the option type: a name and options.", name = decl.name);
        let pair =
            decl.opt("type").filter(|valu| valu.as_list().is_some_and(|items| items.len() == 2)).ok_or_else(bad)?;
        let (name, opts) = type_ref(pair).ok_or_else(bad)?;
        let base = decl.resolver.type_by_name(&name).ok_or_else(bad)?;
        Ok(Range { item: base.with_opts(decl.resolver, &opts)? })
    }

    /// The norm of a pair, with an order of its own.
    pub(super) fn norm_pair(
        &self,
        ty: &Type,
        cx: &NormCx,
        items: &[Value],
        order: impl Fn(&Value, &Value) -> Option<Ordering>,
    ) -> Result<Norm> {
        let [min, max] = items else {
            let mesg = format!("A range is a pair of {}.", self.item.name);
            return Err(err!("BadTypeValu", mesg = mesg, name = &ty.name, numitems = items.len()));
        };
        let (min_norm, max_norm) = (self.item.norm(cx, min)?.value, self.item.norm(cx, max)?.value);
        let fine = match order(&min_norm, &max_norm) {
            // What has no order is not greater.
            None => matches!((&min_norm, &max_norm), (Value::Float(_), Value::Float(_))),
            Some(order) => order.is_le(),
        };
        if !fine {
            let given = Value::from([min.clone(), max.clone()]);
            return Err(ty.bad_valu(&given, "The minimum may not be greater than the maximum."));
        }
        Ok(Norm::new([min_norm.clone(), max_norm.clone()]).sub("min", min_norm).sub("max", max_norm))
    }

    pub(super) fn repr_pair(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        match norm.as_list() {
            Some([min, max]) => Ok(Value::list([self.item.repr(cx, min)?, self.item.repr(cx, max)?])),
            _ => Err(ty.bad_valu(norm, "The stored value is no range.")),
        }
    }
}

/// The two sides of a text split once, or the text alone.
pub(super) fn split_once(text: &str, at: char) -> Vec<Value> {
    match text.split_once(at) {
        Some((first, second)) => vec![Value::from(first), Value::from(second)],
        None => vec![Value::from(text)],
    }
}

impl TypeImpl for Range {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => self.norm_pair(ty, cx, &split_once(text, '-'), py::cmp),
            Value::List(items) => self.norm_pair(ty, cx, items, py::cmp),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        self.repr_pair(ty, cx, norm)
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

fn no_such_form(name: &Value) -> Error {
    let text = py::str_text(name);
    err!("NoSuchForm", mesg = format!("No form named {text}."), name = name.clone())
}

fn form_type(cx: &NormCx, name: &Value) -> Result<(Arc<str>, Arc<Type>)> {
    let found = name.as_str().and_then(|name| Some((cx.resolver.form_name(name)?, cx.resolver.form_type(name)?)));
    found.ok_or_else(|| no_such_form(name))
}

/// The norm of a (form, value) pair.
fn norm_ndef(cx: &NormCx, form: &Value, valu: &Value) -> Result<(Arc<str>, Norm)> {
    let (form, typ) = form_type(cx, form)?;
    let norm = typ.norm(cx, valu)?;
    Ok((form, norm))
}

fn repr_ndef(ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
    match norm.as_list() {
        Some([form, valu]) => {
            let (_, typ) = form_type(cx, form)?;
            Ok(Value::list([form.clone(), typ.repr(cx, valu)?]))
        }
        _ => Err(ty.bad_valu(norm, "The stored value is no (form, value) pair.")),
    }
}

/// `ndef`: a form and a value of it.
pub struct Ndef {
    forms: Vec<Arc<str>>,
    ifaces: Vec<Arc<str>>,
}

fn names(valu: Option<&Value>) -> Vec<Arc<str>> {
    let items = valu.and_then(Value::as_list).unwrap_or_default();
    items.iter().filter_map(|item| item.as_arc_str().cloned()).collect()
}

impl Ndef {
    pub(super) fn new(decl: Decl<'_>) -> Result<Ndef> {
        Ok(Ndef { forms: names(decl.opt("forms")), ifaces: names(decl.opt("interfaces")) })
    }

    fn allows(&self, resolver: &dyn TypeResolver, form: &str) -> bool {
        (self.forms.is_empty() && self.ifaces.is_empty())
            || self.forms.iter().any(|have| &**have == form)
            || self.ifaces.iter().any(|iface| resolver.form_implements(form, iface))
    }

    fn norm_pair(&self, ty: &Type, cx: &NormCx, form: &Value, valu: &Value) -> Result<Norm> {
        let (name, _) = form_type(cx, form)?;
        if !self.allows(&*cx.resolver, &name) {
            let mesg = format!("Values of {} may not be of the form {name}.", ty.name);
            return Err(ty
                .bad_valu(form, mesg)
                .with("forms", ty.opts.get("forms").cloned())
                .with("interfaces", ty.opts.get("interfaces").cloned()));
        }
        let (form, norm) = norm_ndef(cx, form, valu)?;
        let name = Value::from(&form);
        let mut made = Norm::new([name.clone(), norm.value.clone()]).sub("form", name);
        made.info.adds.push(NormAdd { form, value: norm.value, info: norm.info });
        Ok(made)
    }
}

impl TypeImpl for Ndef {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::List(items) => match &items[..] {
                [form, valu] => self.norm_pair(ty, cx, form, valu),
                _ => Err(ty.bad_valu(valu, "A node is named by a form and a value.")),
            },
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn norm_node(&self, ty: &Type, cx: &NormCx, form: &str, valu: &Value) -> Result<Norm> {
        self.norm_pair(ty, cx, &Value::from(form), valu)
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        repr_ndef(ty, cx, norm)
    }

    fn stortype(&self) -> StorType {
        StorType::NDEF
    }
}

/// `nodeprop`: a property and a value of it.
pub struct NodeProp;

impl NodeProp {
    pub(super) fn new(_decl: Decl<'_>) -> Result<NodeProp> {
        Ok(NodeProp)
    }

    fn norm_items(ty: &Type, cx: &NormCx, items: &[Value]) -> Result<Norm> {
        let [name, valu] = items else {
            return Err(err!(
                "BadTypeValu",
                mesg = "A property and its value are a pair.",
                name = &ty.name,
                numitems = items.len()
            ));
        };
        let Some((full, typ)) = name.as_str().and_then(|name| cx.resolver.prop_type(name)) else {
            let mesg = format!("No property named {}.", py::str_text(name));
            return Err(err!("NoSuchProp", mesg = mesg, name = &ty.name, prop = name.clone()));
        };
        let norm = typ.norm(cx, valu)?.value;
        Ok(Norm::new([Value::from(&full), norm]).sub("prop", full))
    }
}

impl TypeImpl for NodeProp {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => NodeProp::norm_items(ty, cx, &split_once(text, '=')),
            Value::List(items) => NodeProp::norm_items(ty, cx, items),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn is_mutable(&self) -> bool {
        true
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

/// `edge`: two nodes (deprecated in the model, still stored).
pub struct Edge {
    n1forms: Option<Vec<Arc<str>>>,
    n2forms: Option<Vec<Arc<str>>>,
}

impl Edge {
    pub(super) fn new(decl: Decl<'_>) -> Result<Edge> {
        let forms = |name: &str| decl.opt(name).map(|valu| names(Some(valu)));
        Ok(Edge { n1forms: forms("n1:forms"), n2forms: forms("n2:forms") })
    }

    fn side(&self, ty: &Type, cx: &NormCx, valu: &Value, forms: Option<&Vec<Arc<str>>>) -> Result<(Value, Value)> {
        let [form, primary] = valu.as_list().unwrap_or_default() else {
            let error = err!("BadTypeValu", mesg = "A node is named by a form and a value.", name = "ndef");
            return Err(if valu.as_list().is_some() { error.with("valu", valu.clone()) } else { error });
        };
        let (form, norm) = norm_ndef(cx, form, primary)?;
        if forms.is_some_and(|forms| !forms.contains(&form)) {
            return Err(ty.bad_valu(&Value::from(&form), "The edge may not have a node of this form there."));
        }
        let form = Value::Str(form);
        Ok((Value::from([form.clone(), norm.value]), form))
    }

    fn norm_pair(&self, ty: &Type, cx: &NormCx, n1: &Value, n2: &Value) -> Result<(Value, Value, NormInfo)> {
        let (n1, n1form) = self.side(ty, cx, n1, self.n1forms.as_ref())?;
        let (n2, n2form) = self.side(ty, cx, n2, self.n2forms.as_ref())?;
        let mut info = NormInfo::default();
        for (name, valu) in [("n1", &n1), ("n1:form", &n1form), ("n2", &n2), ("n2:form", &n2form)] {
            info.subs.push((name.into(), valu.clone()));
        }
        Ok((n1, n2, info))
    }
}

impl TypeImpl for Edge {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::List(items) => match &items[..] {
                [n1, n2] => {
                    let (n1, n2, info) = self.norm_pair(ty, cx, n1, n2)?;
                    Ok(Norm { value: Value::from([n1, n2]), info })
                }
                _ => Err(ty.bad_valu(valu, "An edge is a pair of nodes.")),
            },
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        match norm.as_list() {
            Some([n1, n2]) => Ok(Value::list([repr_ndef(ty, cx, n1)?, repr_ndef(ty, cx, n2)?])),
            _ => Err(ty.bad_valu(norm, "The stored value is no edge.")),
        }
    }

    fn comp_offs(&self, name: &str) -> Option<usize> {
        ["n1", "n2"].iter().position(|have| *have == name)
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

/// `timeedge`: two nodes and a time (deprecated in the model, still stored).
pub struct TimeEdge {
    edge: Edge,
}

impl TimeEdge {
    pub(super) fn new(decl: Decl<'_>) -> Result<TimeEdge> {
        Edge::new(decl).map(|edge| TimeEdge { edge })
    }
}

impl TypeImpl for TimeEdge {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::List(items) => match &items[..] {
                [n1, n2, time] => {
                    let time = cx.resolver.req_type("time")?.norm(cx, time)?.value;
                    let (n1, n2, mut info) = self.edge.norm_pair(ty, cx, n1, n2)?;
                    info.subs.push(("time".into(), time.clone()));
                    Ok(Norm { value: Value::from([n1, n2, time]), info })
                }
                _ => Err(ty.bad_valu(valu, "A timed edge is a pair of nodes and a time.")),
            },
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
        match norm.as_list() {
            Some([n1, n2, time]) => {
                let time = cx.resolver.req_type("time")?.repr(cx, time)?;
                Ok(Value::list([repr_ndef(ty, cx, n1)?, repr_ndef(ty, cx, n2)?, time]))
            }
            _ => Err(ty.bad_valu(norm, "The stored value is no timed edge.")),
        }
    }

    fn comp_offs(&self, name: &str) -> Option<usize> {
        ["n1", "n2", "time"].iter().position(|have| *have == name)
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}

/// `data`: anything JSON can say, perhaps under a schema.
pub struct Data {
    schema: Option<Schema>,
}

impl Data {
    pub(super) fn new(decl: Decl<'_>) -> Result<Data> {
        let Some(schema) = decl.opt("schema") else {
            return Ok(Data { schema: None });
        };
        let bad = |mesg: &str| err!("BadTypeDef", mesg = format!("The schema is none: {mesg}"), name = decl.name);
        let schema = Schema::new(json::to_json(schema).map_err(|error| bad(error.0))?);
        if !decl.resolver.trusts_declarations() {
            schema.compiled().map_err(bad)?;
        }
        Ok(Data { schema: Some(schema) })
    }
}

/// What about a value JSON cannot hold, if anything. Keys are text; numbers are finite.
pub fn json_unsafe(valu: &Value) -> Option<&'static str> {
    match valu {
        Value::Float(float) if !float.is_finite() => Some("a number that is not finite"),
        Value::Bytes(_) => Some("bytes"),
        Value::List(items) => items.iter().find_map(json_unsafe),
        Value::Map(map) => map
            .iter()
            .find_map(|(key, valu)| if key.is_text() { json_unsafe(valu) } else { Some("a key that is not text") }),
        _ => None,
    }
}

impl TypeImpl for Data {
    fn takes_surrogates(&self) -> bool {
        true
    }

    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        let bad = |mesg: String| err!("BadTypeValu", mesg = mesg, name = &ty.name);
        if let Some(what) = json_unsafe(valu) {
            return Err(bad(format!("The data holds {what}, which JSON cannot.")));
        }
        if let Some(schema) = &self.schema {
            let json = json::to_json(valu).map_err(|error| bad(format!("The data holds {}.", error.0)))?;
            let schema = schema.compiled().map_err(|error| bad(format!("The schema is none: {error}")))?;
            let place = |error: &jsonschema::ValidationError<'_>| error.instance_path.to_string();
            let first = schema.iter_errors(&json).min_by_key(|error| place(error).matches('/').count());
            if let Some(error) = first {
                let what = bad(format!("The data does not follow the schema: {error}"));
                return Err(what.caused_by(Violation(place(&error))));
            }
        }
        Ok(Norm::new(valu.clone()))
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, _number: &Decimal) -> Result<Norm> {
        Err(ty.bad_named("Numbers of many digits have no stored form as data: give a float, an integer or text."))
    }

    fn is_mutable(&self) -> bool {
        true
    }

    fn stortype(&self) -> StorType {
        StorType::MSGP
    }
}
