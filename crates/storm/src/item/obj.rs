//! Objects beyond the built-in kinds.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use myelin_value::Value;

use super::{Genr, Item, TypeDef};
use crate::ctl::{Ctl, Flow};
use crate::rt::Rt;

/// An object of the runtime: a user, a view, a queue, a pipe.
///
/// Most objects need `type_name`, `type_def` (their table of methods and properties) and `value`.
pub trait StormObj: Send + Sync + Any {
    /// The name Storm's `$lib.utils.type()` gives.
    fn type_name(&self) -> &'static str;

    /// The object as `Any`, for [`Item::as_obj`].
    fn as_any(&self) -> &dyn Any;

    /// Methods and properties.
    fn type_def(&self) -> Option<&'static TypeDef> {
        None
    }

    /// A name that the table does not have. Nothing means `NoSuchName`.
    ///
    /// # Errors
    /// Whatever computing it gives.
    fn deref(&self, _rt: &Rt, _name: &Item) -> Flow<Option<Item>> {
        Ok(None)
    }

    /// Sets `$obj.name = valu`, after the table had no setter. `valu` may be `Undef`.
    ///
    /// # Errors
    /// By default `StormRuntimeError`: there is nothing to set.
    fn setitem(&self, _rt: &Rt, _name: &Item, _valu: Item) -> Flow<()> {
        Err(no_assign(self.type_name()))
    }

    /// Whether [`StormObj::setitem`] may run in a read-only query.
    fn setitem_readonly(&self) -> bool {
        false
    }

    /// What a loop over it yields.
    ///
    /// # Errors
    /// By default `StormRuntimeError`: it is not iterable.
    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        let mesg = format!("Object {} is not iterable.", self.type_name());
        Err(err!("StormRuntimeError", mesg = mesg, name = self.type_name()).into())
    }

    /// The nodes that `yield $obj` gives. By default none.
    ///
    /// # Errors
    /// Whatever making them gives.
    fn nodes(&self, _rt: &Rt) -> Flow<Option<Genr>> {
        Ok(None)
    }

    /// The primitive it stands for.
    ///
    /// # Errors
    /// By default `NoSuchType`: it stands for none.
    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Err(no_prim(&super::deref::python_class(self.type_name())))
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// Whatever computing it gives.
    fn truthy(&self, rt: &Rt) -> Flow<bool> {
        match self.value(rt) {
            Ok(valu) => Ok(valu.is_truthy()),
            Err(Ctl::Err(error)) if error.is("NoSuchType") => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// How `$lib.print` shows it.
    ///
    /// # Errors
    /// Whatever computing it gives.
    fn repr(&self, rt: &Rt) -> Flow<String> {
        match self.value(rt) {
            Ok(valu) => Ok(format!("{}: {}", self.type_name(), myelin_model::types::py::str_text(&valu))),
            Err(Ctl::Err(error)) if error.is("NoSuchType") => Ok(format!("{} object", self.type_name())),
            // Who may not read it does not get to see it either.
            Err(error) => Err(error),
        }
    }

    /// How many members it has, where that means something.
    ///
    /// # Errors
    /// Whatever counting gives.
    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(None)
    }

    /// Calls it as a function.
    ///
    /// # Errors
    /// By default `StormRuntimeError`: it is not callable.
    fn call(&self, _rt: &Rt, _args: Vec<Item>, _kwargs: Vec<(Arc<str>, Item)>) -> Flow<Item> {
        let mesg = format!("'{}' object is not callable.", self.type_name());
        Err(err!("StormRuntimeError", mesg = mesg).into())
    }

    /// Whether [`StormObj::call`] may be used.
    fn is_callable(&self) -> bool {
        false
    }

    /// Whether a call may run in a read-only query.
    fn call_readonly(&self) -> bool {
        false
    }

    /// What makes two objects the same key; by default only the object itself is.
    fn hash_key(&self) -> Option<Value> {
        None
    }

    /// Whether it is refused as a key and as a default argument.
    fn is_mutable(&self) -> bool {
        true
    }
}

/// Equality of objects: same object, or same kind and same key.
pub fn obj_eq(left: &Arc<dyn StormObj>, right: &Arc<dyn StormObj>) -> bool {
    Arc::ptr_eq(left, right)
        || (left.type_name() == right.type_name() && left.hash_key().is_some_and(|key| right.hash_key() == Some(key)))
}

/// The error of an object that stands for no primitive.
pub(crate) fn no_prim(name: &str) -> Ctl {
    err!("NoSuchType", mesg = "Unable to convert object to Storm primitive.", name = name).into()
}

/// The error of an object that has nothing to set.
pub(crate) fn no_assign(name: &str) -> Ctl {
    err!("StormRuntimeError", mesg = format!("{name} does not support assignment.")).into()
}
