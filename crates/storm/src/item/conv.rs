//! Conversions between items, primitives, text and numbers, with the platform's names and rules.

use std::sync::Arc;

use myelin_error::err;
use myelin_model::types::{Decimal, py};
use myelin_value::{Map, Value};

use super::obj::no_prim;
use super::{Genr, Item, Key};
use crate::ctl::{Ctl, Flow};
use crate::rt::Rt;

/// A text shortened for messages.
pub fn trim_text(text: &str) -> String {
    const MAX: usize = 256;
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX - 3).collect();
    short.push_str("...");
    short
}

/// Python's `int(x, 0)` with `true` and `false` as 1 and 0.
///
/// # Errors
/// `BadCast` when it is no integer.
pub fn intify(valu: &Value) -> Flow<Value> {
    if let Some(text) = valu.as_str() {
        match text.to_lowercase().as_str() {
            "true" => return Ok(Value::from(1)),
            "false" => return Ok(Value::from(0)),
            text => return py::int_auto(text).ok_or_else(|| bad_cast("an integer", &py::repr_text(valu))),
        }
    }
    Item::Val(valu.clone()).toint_plain()
}

/// A tag as text without its leading `#`.
pub fn tag_text(text: &str) -> &str {
    text.trim_start_matches('#')
}

fn bad_cast(what: &str, text: &str) -> Ctl {
    err!("BadCast", mesg = format!("Failed to make {what} from {}.", trim_text(text))).into()
}

impl Item {
    /// The primitive it stands for. Members of lists and dictionaries that stand for none are left out.
    ///
    /// # Errors
    /// `NoSuchType` when it stands for none.
    pub fn toprim(&self, rt: &Rt) -> Flow<Value> {
        match self {
            Item::Val(valu) => Ok(valu.clone()),
            Item::Num(num) => Ok(Value::from(num.to_f64())),
            Item::List(_) | Item::Set(_) => {
                let items = self.toiter_ready();
                Ok(Value::List(Arc::new(prims(&items, |item| item.toprim(rt))?)))
            }
            Item::Dict(_) => {
                let mut map = Map::new();
                for (key, valu) in self.entries().unwrap_or_default() {
                    match valu.toprim(rt) {
                        Ok(valu) => {
                            map.insert(key, valu);
                        }
                        Err(error) if error.isa("NoSuchType") => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(Value::from(map))
            }
            Item::Node(node) => Ok(node.valu().clone()),
            Item::Path(_) => Err(no_prim("Path")),
            Item::Query(query) => Ok(Value::from(&query.text)),
            Item::Obj(obj) => obj.value(rt),
            Item::Func(_) => Err(no_prim("function")),
            Item::Bound(_) => Err(no_prim("method")),
            Item::Lib(path) if path.is_empty() => Err(no_prim("LibBase")),
            Item::Lib(_) => Err(no_prim("Lib")),
            Item::Genr(_) => Err(no_prim("generator")),
            Item::Undef => Err(no_prim("Undef")),
        }
    }

    /// The primitive that goes into storage: numbers as text, which keeps their digits.
    ///
    /// # Errors
    /// As [`Item::toprim`].
    pub fn tostor(&self, rt: &Rt, isndef: bool) -> Flow<Value> {
        match self {
            Item::Num(num) => Ok(Value::from(num.to_plain())),
            Item::Node(node) if isndef => Ok(node.ndef_value()),
            Item::Val(_) => self.toprim(rt),
            Item::List(_) => {
                let items = self.members().unwrap_or_default();
                Ok(Value::List(Arc::new(prims(&items, |item| item.tostor(rt, isndef))?)))
            }
            Item::Dict(_) => {
                let mut map = Map::new();
                for (key, valu) in self.entries().unwrap_or_default() {
                    match valu.tostor(rt, isndef) {
                        Ok(valu) => {
                            map.insert(key, valu);
                        }
                        Err(error) if error.isa("NoSuchType") => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(Value::from(map))
            }
            other => other.toprim(rt),
        }
    }

    /// The value that an expression compares: objects stand for their primitives where they have one.
    ///
    /// # Errors
    /// Whatever an object's conversion gives.
    pub fn tocmprvalu(&self, rt: &Rt) -> Flow<Item> {
        match self {
            Item::Num(_) | Item::Genr(_) | Item::Val(_) => Ok(self.clone()),
            Item::List(_) | Item::Dict(_) | Item::Node(_) | Item::Path(_) | Item::Query(_) => {
                self.toprim(rt).map(Item::Val)
            }
            Item::Obj(obj) => match obj.value(rt) {
                Ok(valu) => Ok(Item::Val(valu)),
                Err(error) if error.isa("NoSuchType") => Ok(self.clone()),
                Err(error) => Err(error),
            },
            other => Ok(other.clone()),
        }
    }

    /// Python's `str()`, and UTF-8 text of bytes.
    ///
    /// # Errors
    /// `BadCast` for bytes that are not UTF-8.
    pub fn tostr(&self, rt: &Rt) -> Flow<Arc<str>> {
        match self {
            Item::Val(Value::Str(text)) => Ok(text.clone()),
            Item::Val(valu @ Value::Bytes(byts)) => match std::str::from_utf8(byts) {
                Ok(text) => Ok(Arc::from(text)),
                Err(_) => Err(bad_cast("a string", &py::repr_text(valu))),
            },
            Item::Val(valu) => Ok(Arc::from(py::str_text(valu))),
            Item::Node(node) => node.repr_text(rt).map(Arc::from),
            Item::Num(num) => Ok(Arc::from(num.to_plain())),
            Item::Query(query) => Ok(query.text.clone()),
            Item::Undef => Ok(Arc::from("$lib.undef")),
            other => other.torepr(rt, true).map(Arc::from),
        }
    }

    /// Truth.
    ///
    /// # Errors
    /// Whatever computing the truth of an object gives.
    pub fn tobool(&self, rt: &Rt) -> Flow<bool> {
        match self {
            Item::Val(valu) => Ok(valu.is_truthy()),
            Item::Num(num) => Ok(!num.is_zero()),
            Item::List(list) => Ok(!list.lock().is_empty()),
            Item::Dict(dict) | Item::Set(dict) => Ok(!dict.lock().is_empty()),
            Item::Query(query) => Ok(!query.text.is_empty()),
            Item::Obj(obj) => obj.truthy(rt),
            Item::Undef => Ok(true),
            _ => Ok(true),
        }
    }

    /// A number: a decimal where there is a point in it, else an integer.
    ///
    /// # Errors
    /// `BadCast` when it is none.
    pub fn tonumber(&self, rt: &Rt) -> Flow<Item> {
        match self {
            Item::Num(_) => Ok(self.clone()),
            Item::Val(valu @ Value::Float(_)) => todecimal(valu).map(Item::Num),
            Item::Val(valu @ Value::Str(text)) if text.contains('.') => todecimal(valu).map(Item::Num),
            other => other.toint(rt).map(Item::Val),
        }
    }

    /// Python's `int(x, 0)` for text, `int(x)` for the rest.
    ///
    /// # Errors
    /// `BadCast` when it is no integer.
    pub fn toint(&self, rt: &Rt) -> Flow<Value> {
        match self {
            Item::Val(valu @ Value::Str(text)) => {
                py::int_auto(text).ok_or_else(|| bad_cast("an integer", &py::repr_text(valu)))
            }
            Item::Val(_) | Item::Num(_) => self.toint_plain(),
            other => Err(bad_cast("an integer", &other.torepr(rt, false)?)),
        }
    }

    fn toint_plain(&self) -> Flow<Value> {
        match self {
            Item::Val(valu @ (Value::Int(_) | Value::Big(_))) => Ok(valu.clone()),
            Item::Val(Value::Bool(flag)) => Ok(Value::from(i64::from(*flag))),
            Item::Val(valu @ Value::Float(float)) => {
                py::float_to_int(*float).ok_or_else(|| bad_cast("an integer", &py::repr_text(valu)))
            }
            Item::Val(valu @ Value::Bytes(byts)) => std::str::from_utf8(byts)
                .ok()
                .and_then(py::int_decimal)
                .ok_or_else(|| bad_cast("an integer", &py::repr_text(valu))),
            Item::Num(num) => num.to_bigint().map(Value::from).ok_or_else(|| bad_cast("an integer", &num.to_plain())),
            Item::Val(valu) => Err(bad_cast("an integer", &py::repr_text(valu))),
            other => Err(bad_cast("an integer", other.type_name())),
        }
    }

    /// An integer of 64 bits.
    ///
    /// # Errors
    /// `BadCast` when it is none.
    pub fn toi64(&self, rt: &Rt) -> Flow<i64> {
        let valu = self.toint(rt)?;
        valu.as_i64().ok_or_else(|| bad_cast("a 64 bit integer", &py::repr_text(&valu)))
    }

    /// A double.
    ///
    /// # Errors
    /// `BadCast` when it is none.
    pub fn tofloat(&self, rt: &Rt) -> Flow<f64> {
        let found = match self {
            Item::Val(Value::Float(float)) => Some(*float),
            Item::Val(Value::Bool(flag)) => Some(f64::from(u8::from(*flag))),
            Item::Val(valu @ (Value::Int(_) | Value::Big(_))) => py::int_to_float(valu),
            Item::Num(num) => Some(num.to_f64()),
            other => py::float_text(&other.tostr(rt)?),
        };
        match found {
            Some(float) => Ok(float),
            None => Err(bad_cast("a float", &self.torepr(rt, false)?)),
        }
    }

    /// A decimal.
    ///
    /// # Errors
    /// `BadCast` when it is none.
    pub fn todecimal(&self, rt: &Rt) -> Flow<Decimal> {
        match self {
            Item::Num(num) => Ok(num.clone()),
            other => todecimal(&other.toprim(rt)?),
        }
    }

    /// The items a loop over it yields, lazily.
    ///
    /// # Errors
    /// `StormRuntimeError` when it is not iterable.
    pub fn toiter(&self, rt: &Rt) -> Flow<Genr> {
        match self {
            Item::Genr(genr) => Ok(genr.clone()),
            Item::List(list) => {
                let (list, mut indx) = (list.clone(), 0);
                Ok(Genr::from_fn(move || {
                    let found = list.lock().get(indx).cloned();
                    indx += 1;
                    Ok(found)
                }))
            }
            Item::Set(_) | Item::Dict(_) => Ok(Genr::of(self.toiter_ready())),
            Item::Val(valu) => match py_iter(valu) {
                Some(items) => Ok(Genr::of(items)),
                None => Err(self.not_iterable(rt)),
            },
            Item::Query(query) => Ok(query.rt.query_nodes(query)),
            Item::Path(path) => Ok(path.iter_item()),
            Item::Obj(obj) => obj.iter(rt),
            _ => Err(self.not_iterable(rt)),
        }
    }

    /// The members at once.
    ///
    /// # Errors
    /// As [`Item::toiter`] and whatever making the members gives.
    pub fn tovec(&self, rt: &Rt) -> Flow<Vec<Item>> {
        if let Some(items) = self.members() {
            return Ok(items);
        }
        let genr = self.toiter(rt)?;
        let mut retn = Vec::new();
        while let Some(item) = genr.next_item()? {
            rt.tick()?;
            retn.push(item);
        }
        Ok(retn)
    }

    fn toiter_ready(&self) -> Vec<Item> {
        match self {
            Item::List(list) => list.lock().clone(),
            Item::Set(set) => set.lock().values().cloned().collect(),
            Item::Dict(dict) => dict
                .lock()
                .iter()
                .map(|(key, valu)| Item::tuple(vec![Item::Val(key.0.clone()), valu.clone()]))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn not_iterable(&self, rt: &Rt) -> Ctl {
        let name = self.type_name();
        let text = self.torepr(rt, false).unwrap_or_default();
        err!("StormRuntimeError", mesg = format!("'{name}' object is not iterable: {}", trim_text(&text)), type = name)
            .into()
    }

    /// How `$lib.print` and format strings show it.
    ///
    /// # Errors
    /// Whatever computing it gives.
    pub fn torepr(&self, rt: &Rt, usestr: bool) -> Flow<String> {
        match self {
            Item::Val(Value::Bool(flag)) => Ok(flag.to_string()),
            Item::Val(Value::Null) => Ok("$lib.null".to_owned()),
            Item::Val(valu) if usestr => Ok(py::str_text(valu)),
            Item::Val(valu) => Ok(py::repr_text(valu)),
            Item::Num(num) => Ok(num.to_plain()),
            Item::List(list) if list.raw => self.pyrepr(rt),
            Item::Dict(dict) if dict.raw => self.pyrepr(rt),
            Item::List(_) => Ok(format!("[{}]", join_reprs(rt, &self.toiter_ready())?)),
            Item::Set(_) => Ok(format!("{{{}}}", join_reprs(rt, &self.toiter_ready())?)),
            Item::Dict(_) => {
                let mut parts = Vec::new();
                for (key, valu) in self.entries().unwrap_or_default() {
                    parts.push(format!("{}: {}", Item::Val(key).torepr(rt, false)?, valu.torepr(rt, false)?));
                }
                Ok(format!("{{{}}}", parts.join(", ")))
            }
            Item::Node(node) => Ok(node.debug_text()),
            Item::Path(path) => path.repr(rt),
            Item::Query(query) => Ok(format!("storm:query: \"{}\"", query.text)),
            Item::Lib(path) => {
                let dot = if path.is_empty() { "" } else { "." };
                Ok(format!("Library $lib{dot}{}", path.join(".")))
            }
            Item::Func(func) => Ok(format!("<function {}>", func.path.lock())),
            Item::Bound(func) => Ok(format!("<function {}>", func.path())),
            Item::Genr(_) => Ok("<generator>".to_owned()),
            Item::Undef => Ok("$lib.undef".to_owned()),
            Item::Obj(obj) => obj.repr(rt),
        }
    }

    /// How Python shows it.
    fn pyrepr(&self, rt: &Rt) -> Flow<String> {
        match self {
            Item::Val(valu) => Ok(py::repr_text(valu)),
            Item::List(list) => {
                let items = list.lock().clone();
                let parts: Flow<Vec<String>> = items.iter().map(|item| item.pyrepr(rt)).collect();
                Ok(format!("[{}]", parts?.join(", ")))
            }
            Item::Dict(_) => {
                let mut parts = Vec::new();
                for (key, valu) in self.entries().unwrap_or_default() {
                    parts.push(format!("{}: {}", py::repr_text(&key), valu.pyrepr(rt)?));
                }
                Ok(format!("{{{}}}", parts.join(", ")))
            }
            other => other.torepr(rt, false),
        }
    }

    /// A dictionary key made of it.
    ///
    /// # Errors
    /// `BadArg` when it is mutable.
    pub fn tokey(&self, rt: &Rt) -> Flow<Key> {
        if self.is_mutable() {
            let name = self.torepr(rt, false)?;
            return Err(err!("BadArg", mesg = "Mutable values are not allowed as dictionary keys", name = name).into());
        }
        Ok(Key::new(self.toprim(rt)?))
    }
}

fn join_reprs(rt: &Rt, items: &[Item]) -> Flow<String> {
    let parts: Flow<Vec<String>> = items.iter().map(|item| item.torepr(rt, false)).collect();
    Ok(parts?.join(", "))
}

fn prims(items: &[Item], conv: impl Fn(&Item) -> Flow<Value>) -> Flow<Vec<Value>> {
    let mut retn = Vec::with_capacity(items.len());
    for item in items {
        match conv(item) {
            Ok(valu) => retn.push(valu),
            Err(error) if error.isa("NoSuchType") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(retn)
}

fn todecimal(valu: &Value) -> Flow<Decimal> {
    Decimal::from_value(valu).ok_or_else(|| {
        err!("BadCast", mesg = format!("Failed to make number from {}.", trim_text(&py::repr_text(valu)))).into()
    })
}

/// What Python's iteration over a primitive yields.
fn py_iter(valu: &Value) -> Option<Vec<Item>> {
    match valu {
        Value::Null => Some(Vec::new()),
        Value::Map(map) => {
            Some(map.iter().map(|(key, valu)| Item::from(Value::list([key.clone(), valu.clone()]))).collect())
        }
        other => py::iter_items(other).map(|items| items.into_iter().map(Item::Val).collect()),
    }
}
