//! Filter comparators and lift operations: the defaults, and the dispatch to a type's own.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::Value;

use super::{NormCx, PyRegex, Type, py, surrogates};
use crate::StorType;

/// A filter made ready: whether a stored value passes.
pub type Cmpr = Box<dyn Fn(&Value) -> Result<bool> + Send + Sync>;

/// One index operation of a lift.
#[derive(Clone, PartialEq)]
pub struct StorCmpr {
    /// The operation (`=`, `range=`, `^=`, `~=`, `@=`, `near=`, `<` …).
    pub op: &'static str,
    /// Its normalised value.
    pub value: Value,
    /// Which index.
    pub stortype: StorType,
}

impl fmt::Debug for StorCmpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {:?} {:?})", self.op, self.value, self.stortype)
    }
}

/// The operations as static text, so that lifts carry no allocation for them.
const OPS: &[&str] = &["=", "!=", "~=", "^=", "?=", "in=", "range=", "<", ">", "<=", ">=", "@=", "near="];

fn static_op(op: &str) -> Option<&'static str> {
    OPS.iter().copied().find(|have| *have == op)
}

const DEFAULT_CMPRS: &[&str] = &["=", "!=", "~=", "^=", "in=", "range="];
const DEFAULT_LIFTS: &[&str] = &["=", "~=", "?=", "in=", "range="];

/// The four comparators of ordered types.
pub(super) const ORDERED: &[&str] = &["<", ">", "<=", ">="];

impl Type {
    /// A single index operation on this type.
    pub(super) fn stor(&self, op: &'static str, value: impl Into<Value>) -> Vec<StorCmpr> {
        vec![StorCmpr { op, value: value.into(), stortype: self.stortype }]
    }

    /// The names of the filter comparators.
    pub fn cmpr_names(&self) -> Vec<&'static str> {
        let own = self.imp().cmpr_names();
        let mut names: Vec<&'static str> = DEFAULT_CMPRS.to_vec();
        for name in own {
            match name.strip_prefix('-') {
                Some(gone) => names.retain(|have| have != &gone),
                None if names.contains(name) => {}
                None => names.push(name),
            }
        }
        names
    }

    /// The names of the lift comparators.
    pub fn lift_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = DEFAULT_LIFTS.to_vec();
        names.extend(self.imp().lift_names().iter().filter(|name| !DEFAULT_LIFTS.contains(name)));
        names
    }

    /// Whether it has a filter comparator of that name.
    pub fn has_cmpr(&self, op: &str) -> bool {
        self.cmpr_names().contains(&op)
    }

    /// A filter on stored values, made once from its right side.
    ///
    /// # Errors
    /// `NoSuchCmpr` for an unknown name, `BadCmprValu` or `BadTypeValu` for a right side that is none.
    pub fn cmpr_ctor(self: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Result<Cmpr> {
        match self.hide(op, rhs) {
            Cow::Borrowed(rhs) => self.make_cmpr(cx, op, rhs),
            Cow::Owned(rhs) => self.make_cmpr(cx, op, &rhs).map_err(surrogates::show_error),
        }
    }

    fn make_cmpr(self: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Result<Cmpr> {
        if let Some(made) = self.imp().cmpr_ctor(self, cx, op, rhs) {
            return made;
        }
        if !self.has_cmpr(op) {
            return Err(self.no_such_cmpr(op));
        }
        match op {
            "=" => {
                let norm = self.norm_shown(cx, rhs)?;
                Ok(Box::new(move |valu| Ok(valu.py_eq(&norm))))
            }
            "!=" => {
                let norm = self.norm_shown(cx, rhs)?;
                Ok(Box::new(move |valu| Ok(!valu.py_eq(&norm))))
            }
            "~=" => self.cmpr_regex(cx, rhs),
            "^=" => Ok(self.cmpr_prefix(cx, rhs)),
            "in=" => {
                let mut norms = Vec::new();
                for item in py::iter_items(rhs).ok_or_else(|| self.bad_rhs(op, rhs))? {
                    norms.push(self.norm_shown(cx, &item)?);
                }
                Ok(Box::new(move |valu| Ok(norms.iter().any(|norm| valu.py_eq(norm)))))
            }
            "range=" => self.cmpr_range(cx, rhs),
            "<" | ">" | "<=" | ">=" => Ok(ordered(op, self.norm(cx, rhs)?.value)),
            _ => Err(self.no_such_cmpr(op)),
        }
    }

    /// The value with lone surrogates hidden where the operation looks at text: the value itself, or the items of a list
    /// that is a range or a choice.
    fn hide<'a>(&self, op: &str, valu: &'a Value) -> Cow<'a, Value> {
        let looks = matches!(valu, Value::Surrogates(_)) || matches!(op, "in=" | "range=");
        if looks && !self.imp().takes_surrogates() { surrogates::hide(valu) } else { Cow::Borrowed(valu) }
    }

    /// The stored form of a value whose surrogates may be hidden.
    fn norm_shown(&self, cx: &NormCx, valu: &Value) -> Result<Value> {
        let norm = self.norm(cx, valu)?.value;
        Ok(if valu.is_text() { surrogates::show(&norm) } else { norm })
    }

    /// Compares two inputs by a named comparator, normalising both.
    ///
    /// # Errors
    /// `NoSuchCmpr` for an unknown name, `BadTypeValu` for inputs that are none of this type's.
    pub fn cmpr(self: &Arc<Type>, cx: &NormCx, left: &Value, op: &str, right: &Value) -> Result<bool> {
        if !self.has_cmpr(op) {
            return Err(self.no_such_cmpr(op));
        }
        let norm = self.norm(cx, left)?.value;
        let right = if op == "~=" { right.clone() } else { self.norm(cx, right)?.value };
        self.cmpr_ctor(cx, op, &right)?(&norm)
    }

    /// The index operations that lift by a comparator.
    ///
    /// # Errors
    /// `NoSuchCmpr` for an unknown name, `BadTypeValu` for a value that is none of this type's.
    pub fn lift_cmprs(&self, cx: &NormCx, op: &str, valu: &Value) -> Result<Vec<StorCmpr>> {
        if op == "?=" {
            // Asks whether there is such a node: a value that cannot be one finds none.
            return Ok(self.lift_cmprs(cx, "=", valu).unwrap_or_default());
        }
        if let Cow::Owned(hidden) = self.hide(op, valu) {
            let made = self.lift_cmprs(cx, op, &hidden);
            return made.map(surrogates::show_lifts).map_err(surrogates::show_error);
        }
        if let Some(made) = self.imp().lift(self, cx, op, valu) {
            return made;
        }
        if !DEFAULT_LIFTS.contains(&op) && !self.imp().lift_names().contains(&op) {
            return Err(err!(
                "NoSuchCmpr",
                mesg = format!("The type {} has no comparator {op} to lift by.", self.name)
            ));
        }
        match op {
            "~=" => Ok(self.stor("~=", valu.clone())),
            "in=" => {
                let mut made = Vec::new();
                for item in py::iter_items(valu).ok_or_else(|| self.bad_rhs(op, valu))? {
                    made.extend(self.lift_cmprs(cx, "=", &item)?);
                }
                Ok(made)
            }
            "range=" => {
                let (min, max) = self.pair_items(op, valu)?;
                let (min, max) = (self.norm(cx, &min)?.value, self.norm(cx, &max)?.value);
                Ok(self.stor("range=", [min, max]))
            }
            _ => {
                let op = static_op(op).ok_or_else(|| self.no_such_cmpr(op))?;
                Ok(self.stor(op, self.norm(cx, valu)?.value))
            }
        }
    }

    /// The first two items of something that can be indexed. More are allowed: lifts have never looked at them.
    pub(super) fn pair_items(&self, op: &str, valu: &Value) -> Result<(Value, Value)> {
        match (py::index_item(valu, 0), py::index_item(valu, 1)) {
            (Some(min), Some(max)) => Ok((min, max)),
            _ => Err(self.bad_rhs(op, valu)),
        }
    }

    pub(super) fn no_such_cmpr(&self, op: &str) -> myelin_error::Error {
        let mesg = format!("The type {} has no comparator {op}", self.name);
        err!("NoSuchCmpr", mesg = mesg)
    }

    fn bad_rhs(&self, op: &str, valu: &Value) -> myelin_error::Error {
        self.bad_valu(valu, format!("The comparator {op} of {} takes no {}.", self.name, valu.kind()))
    }

    fn cmpr_regex(self: &Arc<Type>, cx: &NormCx, rhs: &Value) -> Result<Cmpr> {
        let Some(text) = rhs.as_str() else { return Err(self.bad_rhs("~=", rhs)) };
        let regx = PyRegex::new_icase(text)?;
        let (ty, cx) = (self.clone(), cx.clone());
        Ok(Box::new(move |valu| match ty.repr(&cx, valu)? {
            Value::Str(text) => regx.is_search(&text),
            Value::Surrogates(text) => regx.is_search(&surrogates::hide_text(&text)),
            other => Err(ty.bad_valu(&other, format!("Values of {} print as lists: no pattern applies.", ty.name))),
        }))
    }

    fn cmpr_prefix(self: &Arc<Type>, cx: &NormCx, rhs: &Value) -> Cmpr {
        let text = py::str_text(rhs);
        let (ty, cx) = (self.clone(), cx.clone());
        Box::new(move |valu| match ty.repr(&cx, valu)? {
            Value::Str(have) => Ok(have.starts_with(&text)),
            Value::Surrogates(have) => Ok(surrogates::hide_text(&have).starts_with(&text)),
            other => Err(ty.bad_valu(&other, format!("Values of {} print as lists: no prefix applies.", ty.name))),
        })
    }

    fn cmpr_range(self: &Arc<Type>, cx: &NormCx, rhs: &Value) -> Result<Cmpr> {
        let (min, max) = self.range_pair(rhs)?;
        let (min, max) = (self.norm_shown(cx, min)?, self.norm_shown(cx, max)?);
        let name = self.name.clone();
        Ok(Box::new(move |valu| {
            let over = py::cmp(&min, valu).map(Ordering::is_le);
            match over {
                Some(false) => Ok(false),
                Some(true) => match py::cmp(valu, &max) {
                    Some(order) => Ok(order.is_le()),
                    None => unordered(&name, valu, &max),
                },
                None => unordered(&name, &min, valu),
            }
        }))
    }

    /// The two sides of a `range=` filter.
    pub(super) fn range_pair<'a>(&self, rhs: &'a Value) -> Result<(&'a Value, &'a Value)> {
        match rhs.as_list() {
            Some([min, max]) => Ok((min, max)),
            _ => {
                let mesg = format!("A range of {} is a list of two values.", self.name);
                Err(err!("BadCmprValu", mesg = mesg, name = &self.name, valu = rhs.clone(), cmpr = "range="))
            }
        }
    }
}

/// Two values without an order: floats that are no number compare as false, kinds that differ are an error.
fn unordered(name: &str, left: &Value, right: &Value) -> Result<bool> {
    let is_number = |valu: &Value| valu.is_int() || matches!(valu, Value::Float(_) | Value::Bool(_));
    if is_number(left) && is_number(right) {
        return Ok(false);
    }
    let mesg = format!("Values of {name} have no order: {} and {}.", left.kind(), right.kind());
    Err(err!("BadTypeValu", mesg = mesg, name = name))
}

/// A filter by one of the four orders against a normalised right side.
pub(super) fn ordered(op: &str, norm: Value) -> Cmpr {
    let pass: fn(Ordering) -> bool = match op {
        "<" => Ordering::is_lt,
        ">" => Ordering::is_gt,
        "<=" => Ordering::is_le,
        _ => Ordering::is_ge,
    };
    Box::new(move |valu| match py::cmp(valu, &norm) {
        Some(order) => Ok(pass(order)),
        None => unordered("the property", valu, &norm),
    })
}
