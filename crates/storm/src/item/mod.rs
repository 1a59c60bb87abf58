//! Runtime values.
//!
//! An [`Item`] is what a Storm variable holds. Primitives are shared [`Value`]s; lists, dictionaries and sets made by a
//! query are mutable and held by reference, as in Python. [`Item::Val`] of a list is Python's tuple: immutable, copied
//! when a method wants to change it.
//!
//! Conversions ([`conv`]) have the names the platform uses: `toprim`, `tostr`, `toint`, `tobool`, `torepr`, `toiter`.

mod conv;
mod deref;
mod func;
mod genr;
mod obj;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_model::types::Decimal;
use myelin_value::{Map, Value};
use parking_lot::Mutex;

pub use conv::{intify, tag_text, trim_text};
pub use func::{Arg, ArgKind, Args, Bound, Closure, Dflt, FuncDef, Getter, Handler, NativeFn, Setter, TypeDef};
pub use genr::{Genr, ItemIter};
pub use obj::{StormObj, obj_eq};

use crate::node::{Node, Path};
use crate::rt::Rt;

/// What a mutable list, dictionary or set is kept in.
pub struct Shelf<T> {
    items: Mutex<T>,
    /// Made by a library of plain data and not by a query: it is shown as Python shows it (`None`, not `$lib.null`).
    raw: bool,
}

impl<T> std::ops::Deref for Shelf<T> {
    type Target = Mutex<T>;

    fn deref(&self) -> &Mutex<T> {
        &self.items
    }
}

impl<T> Shelf<T> {
    /// Made by a query.
    pub fn made(items: T) -> Arc<Shelf<T>> {
        Arc::new(Shelf { items: Mutex::new(items), raw: false })
    }

    fn raw(items: T) -> Arc<Shelf<T>> {
        Arc::new(Shelf { items: Mutex::new(items), raw: true })
    }
}

/// A mutable list.
pub type ListRef = Arc<Shelf<Vec<Item>>>;
/// Members by what makes them equal, in order of insertion.
pub type Members = IndexMap<Key, Item, foldhash::fast::RandomState>;
/// A mutable dictionary. Keys are primitives.
pub type DictRef = Arc<Shelf<Members>>;
/// A mutable set.
pub type SetRef = Arc<Shelf<Members>>;

/// A runtime value.
#[derive(Clone)]
pub enum Item {
    /// A primitive. A list here is immutable.
    Val(Value),
    /// A decimal number.
    Num(Decimal),
    /// A mutable list.
    List(ListRef),
    /// A mutable dictionary.
    Dict(DictRef),
    /// A mutable set.
    Set(SetRef),
    /// A node.
    Node(Node),
    /// The way a node came.
    Path(Path),
    /// A Storm function.
    Func(Arc<Closure>),
    /// A function or method of the runtime.
    Bound(Arc<Bound>),
    /// An embedded query with the variables around it.
    Query(Arc<QueryObj>),
    /// A generator.
    Genr(Genr),
    /// A library, by the parts of its name after `lib`.
    Lib(Arc<Vec<Arc<str>>>),
    /// Any other object.
    Obj(Arc<dyn StormObj>),
    /// `$lib.undef`.
    Undef,
}

/// An embedded query: text, the variables it captured, the runtime it belongs to.
pub struct QueryObj {
    /// The text.
    pub text: Arc<str>,
    vars: Mutex<crate::rt::VarMap>,
    /// Where it was made.
    pub rt: Rt,
}

impl QueryObj {
    /// A query as written, with the variables around it.
    pub fn new(text: Arc<str>, vars: crate::rt::VarMap, rt: Rt) -> Arc<QueryObj> {
        let made = Arc::new(QueryObj { text, vars: Mutex::new(vars), rt: rt.clone() });
        rt.shared().note_query(&made);
        made
    }

    /// The variables it sees.
    pub fn vars(&self) -> crate::rt::VarMap {
        self.vars.lock().clone()
    }

    /// Forgets its variables: one of them may hold it.
    pub fn release(&self) {
        // Dropped after the lock is gone: this query may be in there.
        let vars = std::mem::take(&mut *self.vars.lock());
        drop(vars);
    }
}

impl Item {
    /// Nothing.
    pub const NULL: Item = Item::Val(Value::Null);

    /// Nothing.
    pub fn null() -> Item {
        Item::NULL
    }

    /// A mutable list.
    pub fn list(items: impl IntoIterator<Item = Item>) -> Item {
        Item::List(Shelf::made(items.into_iter().collect()))
    }

    /// A mutable dictionary with text keys.
    pub fn dict<K: Into<Value>>(items: impl IntoIterator<Item = (K, Item)>) -> Item {
        Item::Dict(Shelf::made(items.into_iter().map(|(key, valu)| (Key::new(key.into()), valu)).collect()))
    }

    /// A mutable set.
    pub fn set(items: impl IntoIterator<Item = Item>) -> Item {
        Item::Set(Shelf::made(items.into_iter().map(|item| (item.key(), item)).collect()))
    }

    /// A tuple of items: immutable where all are primitives, else a list.
    pub fn tuple(items: Vec<Item>) -> Item {
        if items.iter().all(|item| matches!(item, Item::Val(_))) {
            return Item::Val(Value::list(items.into_iter().map(|item| match item {
                Item::Val(valu) => valu,
                _ => Value::Null,
            })));
        }
        Item::list(items)
    }

    /// An object.
    pub fn obj(obj: impl StormObj) -> Item {
        Item::Obj(Arc::new(obj))
    }

    /// A generator over an iterator of items.
    pub fn genr(iter: impl ItemIter + 'static) -> Item {
        Item::Genr(Genr::new(iter))
    }

    /// A primitive as what a query may change: lists and dictionaries by reference, at the top level only.
    pub fn from_prim(valu: Value) -> Item {
        match valu {
            Value::List(items) => Item::list(items.iter().cloned().map(Item::Val)),
            Value::Map(map) => {
                Item::dict(map.iter().map(|(key, valu)| (key.clone(), Item::Val(valu.clone()))).collect::<Vec<_>>())
            }
            other => Item::Val(other),
        }
    }

    /// Plain data as what a query may change, all the way down.
    pub fn deep(valu: &Value) -> Item {
        match valu {
            Value::List(items) => Item::List(Shelf::raw(items.iter().map(Item::deep).collect())),
            Value::Map(map) => Item::raw_dict(map, Item::deep),
            other => Item::Val(other.clone()),
        }
    }

    /// Data that came from storage or from the wire: dictionaries may be changed, lists are tuples.
    pub fn stored(valu: &Value) -> Item {
        match valu {
            Value::Map(map) => Item::raw_dict(map, Item::stored),
            other => Item::Val(other.clone()),
        }
    }

    fn raw_dict(map: &Map, item: fn(&Value) -> Item) -> Item {
        Item::Dict(Shelf::raw(map.iter().map(|(key, valu)| (Key::new(key.clone()), item(valu))).collect()))
    }

    /// The text, if it is plain text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Item::Val(valu) => valu.as_str(),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Item::Val(Value::Null))
    }

    /// The object, if it is one of that kind.
    pub fn as_obj<T: StormObj>(&self) -> Option<&T> {
        match self {
            Item::Obj(obj) => obj.as_any().downcast_ref::<T>(),
            _ => None,
        }
    }

    /// The node, if it is one.
    pub fn as_node(&self) -> Option<&Node> {
        match self {
            Item::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The name of its type as Storm has it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Item::Val(valu) => match valu {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Int(_) | Value::Big(_) => "int",
                Value::Float(_) => "number",
                Value::Str(_) | Value::Surrogates(_) => "str",
                Value::Bytes(_) => "bytes",
                Value::List(_) => "list",
                Value::Map(_) => "dict",
            },
            Item::Num(_) => "number",
            Item::List(_) => "list",
            Item::Dict(_) => "dict",
            Item::Set(_) => "set",
            Item::Node(_) => "node",
            Item::Path(_) => "node:path",
            Item::Func(_) | Item::Bound(_) => "function",
            Item::Query(_) => "storm:query",
            Item::Genr(_) => "generator",
            Item::Lib(_) => "lib",
            Item::Obj(obj) => obj.type_name(),
            Item::Undef => "undef",
        }
    }

    /// Whether it may hold the scope it was made in, directly or by way of what it holds.
    pub fn holds_scope(&self) -> bool {
        !matches!(self, Item::Val(_) | Item::Num(_) | Item::Node(_) | Item::Lib(_) | Item::Undef)
    }

    /// Whether there is a set in it: sets are not sent nor kept.
    pub fn holds_set(&self) -> bool {
        match self {
            Item::Set(_) => true,
            Item::List(list) => list.lock().iter().any(Item::holds_set),
            Item::Dict(dict) => dict.lock().values().any(Item::holds_set),
            _ => false,
        }
    }

    /// Whether it can be changed, and so be no key and no member of a set.
    pub fn is_mutable(&self) -> bool {
        match self {
            Item::Val(valu) => matches!(valu, Value::Map(_)),
            Item::List(_) | Item::Dict(_) | Item::Set(_) | Item::Path(_) => true,
            Item::Obj(obj) => obj.is_mutable(),
            Item::Query(_) => true,
            _ => false,
        }
    }

    /// Its identity for dictionaries and sets.
    pub fn key(&self) -> Key {
        match self {
            Item::Val(valu) => Key::new(valu.clone()),
            Item::Num(num) => Key::new(Value::from(num.to_plain())),
            Item::Node(node) => Key::new(Value::from(format!("node:{}", node.iden()))),
            Item::Obj(obj) => Key::new(obj.hash_key().unwrap_or_else(|| addr(Arc::as_ptr(obj).cast::<()>()))),
            Item::List(list) => Key::new(addr(Arc::as_ptr(list).cast())),
            Item::Dict(dict) | Item::Set(dict) => Key::new(addr(Arc::as_ptr(dict).cast())),
            Item::Func(func) => Key::new(addr(Arc::as_ptr(func).cast())),
            Item::Bound(func) => Key::new(addr(Arc::as_ptr(func).cast())),
            Item::Query(query) => Key::new(addr(Arc::as_ptr(query).cast())),
            Item::Lib(path) => Key::new(Value::from(format!("lib:{}", path.join(".")))),
            Item::Path(path) => Key::new(Value::from(format!("path:{:x}", path.addr()))),
            Item::Genr(genr) => Key::new(Value::from(format!("genr:{:x}", genr.addr()))),
            Item::Undef => Key::new(Value::from("undef")),
        }
    }

    /// Equality of two values as Storm's `=` in an expression has it, members of lists included.
    pub fn py_eq(&self, other: &Item) -> bool {
        match (self, other) {
            (Item::Val(left), Item::Val(right)) => left.py_eq(right),
            (Item::Num(left), right) => right.as_decimal().is_some_and(|right| *left == right),
            (left, Item::Num(right)) => left.as_decimal().is_some_and(|left| left == *right),
            (Item::Node(left), Item::Node(right)) => left.buid() == right.buid(),
            (Item::Obj(left), Item::Obj(right)) => obj_eq(left, right),
            (Item::Set(left), Item::Set(right)) => {
                let (left, right) = (left.lock().clone(), right.lock().clone());
                left.len() == right.len() && left.keys().all(|key| right.contains_key(key))
            }
            (Item::Dict(_) | Item::Val(Value::Map(_)), Item::Dict(_) | Item::Val(Value::Map(_))) => {
                let (left, right) = (self.entries().unwrap_or_default(), other.entries().unwrap_or_default());
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, valu)| right.iter().any(|(have, othr)| have.py_eq(key) && valu.py_eq(othr)))
            }
            (Item::Query(left), Item::Query(right)) => left.text == right.text,
            (Item::Query(left), Item::Val(Value::Str(right))) | (Item::Val(Value::Str(right)), Item::Query(left)) => {
                left.text == *right
            }
            (Item::Undef, Item::Undef) => true,
            _ => match (self.members(), other.members()) {
                (Some(left), Some(right)) => {
                    left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| left.py_eq(right))
                }
                _ => self.key() == other.key() && std::mem::discriminant(self) == std::mem::discriminant(other),
            },
        }
    }

    /// The entries of a dictionary of either kind.
    pub fn entries(&self) -> Option<Vec<(Value, Item)>> {
        match self {
            Item::Dict(dict) => Some(dict.lock().iter().map(|(key, valu)| (key.0.clone(), valu.clone())).collect()),
            Item::Val(Value::Map(map)) => {
                Some(map.iter().map(|(key, valu)| (key.clone(), Item::Val(valu.clone()))).collect())
            }
            _ => None,
        }
    }

    /// The members of a list of either kind.
    pub fn members(&self) -> Option<Vec<Item>> {
        match self {
            Item::List(list) => Some(list.lock().clone()),
            Item::Val(Value::List(items)) => Some(items.iter().cloned().map(Item::Val).collect()),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Item::Num(num) => Some(num.clone()),
            Item::Val(valu @ (Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_))) => {
                Decimal::from_value(valu)
            }
            _ => None,
        }
    }
}

fn addr(ptr: *const ()) -> Value {
    Value::from(format!("object:{ptr:p}"))
}

/// A dictionary key: equality and hash as Python has them (`1`, `1.0` and `true` are one key).
#[derive(Clone)]
pub struct Key(pub Value);

impl Key {
    /// A key of a value.
    pub fn new(valu: Value) -> Key {
        Key(valu)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.py_eq(&other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Bool(flag) => i64::from(*flag).hash(state),
            Value::Int(int) => int.hash(state),
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range just before")]
            Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e18 => (*float as i64).hash(state),
            Value::Str(text) => text.hash(state),
            Value::List(items) => items.iter().for_each(|item| Key(item.clone()).hash(state)),
            Value::Map(map) => map.len().hash(state),
            other => other.hash(state),
        }
    }
}

impl Default for Item {
    fn default() -> Item {
        Item::NULL
    }
}

macro_rules! from_value {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Item {
            fn from(valu: $kind) -> Item {
                Item::Val(valu.into())
            }
        }
    )*};
}
from_value!(Value, bool, i8, i16, i32, i64, u8, u16, u32, u64, i128, u128, usize, isize, f64);
from_value!(&str, String, &String, Arc<str>, &Arc<str>, &[u8], Map, myelin_value::BigInt);

impl<T: Into<Value>> From<Option<T>> for Item {
    fn from(valu: Option<T>) -> Item {
        Item::Val(valu.into())
    }
}

impl From<Node> for Item {
    fn from(node: Node) -> Item {
        Item::Node(node)
    }
}

impl From<Path> for Item {
    fn from(path: Path) -> Item {
        Item::Path(path)
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Item::Val(valu) => write!(f, "{valu:?}"),
            other => write!(f, "<{}>", other.type_name()),
        }
    }
}

/// Text-keyed map of primitives as a dictionary item.
pub fn map_item(map: &Map) -> Item {
    Item::Val(Value::from(map.clone()))
}
