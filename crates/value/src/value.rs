//! The value itself: construction, views, truth and the equality of the platform.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::{Map, Wtf8};

/// Any value that can be sent, stored or normalised. Cloning is cheap: long contents are shared.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing; `null` in Storm.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer that does not. Use [`Value::from`] on a `BigInt` to keep that so.
    Big(Arc<BigInt>),
    /// A double.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// Text holding at least one lone surrogate, which no UTF-8 string can hold.
    Surrogates(Arc<Wtf8>),
    /// Raw bytes.
    Bytes(Arc<[u8]>),
    /// A list or tuple.
    List(Arc<Vec<Value>>),
    /// A map that keeps the order of insertion.
    Map(Arc<Map>),
}

impl Value {
    /// A list of the given values.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(Arc::new(items.into_iter().collect()))
    }

    /// An empty list.
    pub fn empty_list() -> Value {
        Value::List(Arc::default())
    }

    /// Text from bytes that are UTF-8, lone surrogates allowed in their three-byte form. `None` for anything else.
    pub fn from_wtf8(bytes: &[u8]) -> Option<Value> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(Value::from(text)),
            Err(_) => Wtf8::from_bytes(bytes).map(|text| Value::Surrogates(Arc::new(text))),
        }
    }

    /// The text, if it is text without lone surrogates.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The shared text, if it is text without lone surrogates.
    pub fn as_arc_str(&self) -> Option<&Arc<str>> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of the text as the wire has them, surrogates included. `None` when it is not text.
    pub fn text_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(text) => Some(text.as_bytes()),
            Value::Surrogates(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(valu) => Some(*valu),
            _ => None,
        }
    }

    /// The integer, if it is one that fits (truth values are not integers here).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(valu) => Some(*valu),
            _ => None,
        }
    }

    /// The integer as unsigned, if it is one that fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(valu) => u64::try_from(*valu).ok(),
            Value::Big(valu) => valu.to_u64(),
            _ => None,
        }
    }

    /// The integer as 128 bits, if it is one that fits.
    pub fn as_i128(&self) -> Option<i128> {
        match self {
            Value::Int(valu) => Some(i128::from(*valu)),
            Value::Big(valu) => valu.to_i128(),
            _ => None,
        }
    }

    /// The integer of any size, if it is one.
    pub fn to_bigint(&self) -> Option<BigInt> {
        match self {
            Value::Int(valu) => Some(BigInt::from(*valu)),
            Value::Big(valu) => Some((**valu).clone()),
            _ => None,
        }
    }

    /// The double, if it is one (integers are not converted).
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(valu) => Some(*valu),
            _ => None,
        }
    }

    /// The bytes, if it is bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(byts) => Some(byts),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value under a text key, if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// The item at a position, if it is a list that long.
    pub fn at(&self, indx: usize) -> Option<&Value> {
        self.as_list()?.get(indx)
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether it is text, with or without surrogates.
    pub fn is_text(&self) -> bool {
        matches!(self, Value::Str(_) | Value::Surrogates(_))
    }

    /// Whether it is an integer of any size.
    pub fn is_int(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Big(_))
    }

    /// Truth as Python and Storm see it: null, zero and everything empty are false.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(valu) => *valu,
            Value::Int(valu) => *valu != 0,
            Value::Big(_) | Value::Surrogates(_) => true,
            Value::Float(valu) => *valu != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Bytes(byts) => !byts.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
        }
    }

    /// The kind, in the words the platform uses in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) | Value::Surrogates(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "dict",
        }
    }

    /// Equality as Python has it: `true`, `1` and `1.0` are equal, maps are equal in any order, NaN equals nothing.
    /// [`PartialEq`] on the other hand is equality of what would be encoded.
    pub fn py_eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::List(left), Value::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(a, b)| a.py_eq(b))
            }
            (Value::Map(left), Value::Map(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, valu)| right.get_value(key).is_some_and(|have| valu.py_eq(have)))
            }
            (Value::Float(left), Value::Float(right)) => left == right,
            (Value::Float(left), right) => right.number_eq_float(*left),
            (left, Value::Float(right)) => left.number_eq_float(*right),
            (Value::Bool(left), Value::Int(right)) | (Value::Int(right), Value::Bool(left)) => {
                i64::from(*left) == *right
            }
            (left, right) => left == right,
        }
    }

    fn number_eq_float(&self, float: f64) -> bool {
        match self {
            Value::Bool(valu) => f64::from(u8::from(*valu)) == float,
            // Compared exactly: a double past 2^53 must not equal its integer neighbours.
            Value::Int(valu) => float.fract() == 0.0 && float.abs() < 1e19 && float as i128 == i128::from(*valu),
            Value::Big(valu) => {
                float.is_finite()
                    && float.fract() == 0.0
                    && num_traits::FromPrimitive::from_f64(float).as_ref() == Some(&**valu)
            }
            _ => false,
        }
    }
}

/// Equality of what would be encoded: kinds differ, floats are equal by their bits, maps by content in any order.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Big(a), Value::Big(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Surrogates(a), Value::Surrogates(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => Arc::ptr_eq(a, b) || a == b,
            (Value::Map(a), Value::Map(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // Text hashes as `str` does: maps are looked up by `&str`.
            Value::Str(text) => text.hash(state),
            Value::Null => state.write_u8(0),
            Value::Bool(valu) => state.write_u8(1 + u8::from(*valu)),
            Value::Int(valu) => valu.hash(state),
            Value::Big(valu) => valu.hash(state),
            Value::Float(valu) => valu.to_bits().hash(state),
            Value::Surrogates(text) => text.as_bytes().hash(state),
            Value::Bytes(byts) => byts.hash(state),
            Value::List(items) => items.hash(state),
            // Equal maps may differ in order, so only the size can take part.
            Value::Map(map) => map.len().hash(state),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(valu) => write!(f, "{valu}"),
            Value::Int(valu) => write!(f, "{valu}"),
            Value::Big(valu) => write!(f, "{valu}"),
            Value::Float(valu) => write!(f, "{valu:?}"),
            Value::Str(text) => write!(f, "{text:?}"),
            Value::Surrogates(text) => write!(f, "{text:?}"),
            Value::Bytes(byts) => write!(f, "b\"{}\"", hex::encode(byts)),
            Value::List(items) => f.debug_list().entries(items.iter()).finish(),
            Value::Map(map) => f.debug_map().entries(map.iter()).finish(),
        }
    }
}

macro_rules! from_small_int {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            #[inline]
            fn from(valu: $kind) -> Value {
                Value::Int(i64::from(valu))
            }
        }
    )*};
}
from_small_int!(i8, i16, i32, i64, u8, u16, u32);

macro_rules! from_wide_int {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            #[inline]
            fn from(valu: $kind) -> Value {
                match i64::try_from(valu) {
                    Ok(small) => Value::Int(small),
                    Err(_) => Value::Big(Arc::new(BigInt::from(valu))),
                }
            }
        }
    )*};
}
from_wide_int!(u64, i128, u128, usize, isize);

impl From<BigInt> for Value {
    fn from(valu: BigInt) -> Value {
        match valu.to_i64() {
            Some(small) => Value::Int(small),
            None => Value::Big(Arc::new(valu)),
        }
    }
}

/// A call that returns nothing answers with null.
impl From<()> for Value {
    fn from((): ()) -> Value {
        Value::Null
    }
}

impl From<bool> for Value {
    #[inline]
    fn from(valu: bool) -> Value {
        Value::Bool(valu)
    }
}

impl From<f64> for Value {
    #[inline]
    fn from(valu: f64) -> Value {
        Value::Float(valu)
    }
}

impl From<&str> for Value {
    #[inline]
    fn from(text: &str) -> Value {
        Value::Str(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Str(Arc::from(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Str(Arc::from(text.as_str()))
    }
}

impl From<Arc<str>> for Value {
    #[inline]
    fn from(text: Arc<str>) -> Value {
        Value::Str(text)
    }
}

impl From<&Arc<str>> for Value {
    #[inline]
    fn from(text: &Arc<str>) -> Value {
        Value::Str(text.clone())
    }
}

impl From<&[u8]> for Value {
    fn from(byts: &[u8]) -> Value {
        Value::Bytes(Arc::from(byts))
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value::Map(Arc::new(map))
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Value {
        Value::List(Arc::new(items.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Value {
        Value::List(Arc::new(items.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(valu: Option<T>) -> Value {
        valu.map_or(Value::Null, Into::into)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Value {
        Value::list(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_their_one_form() {
        assert!(matches!(Value::from(BigInt::from(7)), Value::Int(7)));
        assert!(matches!(Value::from(u64::MAX), Value::Big(_)));
        assert_eq!(Value::from(u64::MAX).as_u64(), Some(u64::MAX));
    }

    #[test]
    fn python_equality_crosses_number_kinds() {
        assert!(Value::from(true).py_eq(&Value::from(1)));
        assert!(Value::from(1.0).py_eq(&Value::from(1)));
        assert!(!Value::from(f64::NAN).py_eq(&Value::from(f64::NAN)));
        assert!(!Value::from(9_007_199_254_740_993_i64).py_eq(&Value::from(9_007_199_254_740_992.0)));
        assert_ne!(Value::from(true), Value::from(1));
    }
}
