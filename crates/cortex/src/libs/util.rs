//! What the libraries of this crate share: the cortex and the user behind a runtime, checks, and other views.

use std::sync::Arc;

use myelin_cell::User as CellUser;
use myelin_error::err;
use myelin_graph as graph;
use myelin_model::{Prop, StorType};
use myelin_storm::item::{Genr, StormObj};
use myelin_storm::rt::{NoSink, Shared, SubOpts};
use myelin_storm::{Flow, Item, Rt, Snap, User};
use myelin_value::{Buid, Map, Value};

use crate::Cortex;
use crate::host::QueryUser;

/// The cortex a query runs in.
pub fn core(rt: &Rt) -> Flow<&Cortex> {
    rt.host_as::<Cortex>()
}

/// The user of a query, as the cell knows them.
pub fn user(rt: &Rt) -> Flow<CellUser> {
    match rt.user().as_any().downcast_ref::<QueryUser>() {
        Some(user) => Ok(user.0.clone()),
        None => Ok(core(rt)?.cell.auth().req_user(rt.user().iden())?),
    }
}

/// The object that a method belongs to.
pub fn this<T: StormObj>(item: &Item) -> Flow<&T> {
    match item.as_obj::<T>() {
        Some(obj) => Ok(obj),
        None => Err(err!("StormRuntimeError", mesg = "A method was called on an object of another kind.").into()),
    }
}

/// A key of an object as text.
pub fn name_of(rt: &Rt, name: &Item) -> Flow<Arc<str>> {
    name.tostr(rt)
}

/// Data that a query may change as it likes, without changing where it came from.
pub fn data(valu: impl Into<Value>) -> Item {
    Item::stored(&valu.into())
}

/// Refuses who lacks a permission, whatever its definition says of a default.
pub fn confirm_gate(rt: &Rt, perm: &[&str], gate: Option<&str>) -> Flow<()> {
    if rt.asroot() {
        return Ok(());
    }
    Ok(user(rt)?.confirm(perm, gate)?)
}

/// Refuses who is no admin of a gate, with a message of one's own.
pub fn admin_or(rt: &Rt, gate: Option<&str>, mesg: &str) -> Flow<()> {
    rt.req_admin(gate, Some(mesg))
}

/// The view a query runs in, as the graph has it.
pub fn this_view(rt: &Rt) -> Flow<Arc<graph::View>> {
    Ok(core(rt)?.stack.require_view(rt.snap().view_iden())?)
}

/// A scope in another view, or in the same with another user. What happens in it sends no messages to the client.
pub fn scope_in(rt: &Rt, view: &str, user: Option<Arc<dyn User>>) -> Flow<Rt> {
    let missing = || err!("NoSuchView", mesg = format!("There is no view {view}."), iden = view);
    let store = rt.host().view(view).ok_or_else(missing)?;
    let shared = Shared::new(Arc::new(NoSink), rt.shared().cancel.clone(), rt.shared().task.clone());
    let user = user.unwrap_or_else(|| rt.user().clone());
    let snap = Snap::new(rt.host().clone(), store, user, shared);
    let query = rt.parse("")?;
    rt.sub(&query, SubOpts { snap: Some(snap), funcscope: true, ..SubOpts::default() })
}

/// A view of one layer only, to read that layer with the lifts and walks of views.
pub fn solo(layer: &Arc<graph::Layer>) -> Flow<Arc<graph::View>> {
    Ok(graph::View::new(Map::new().with("iden", layer.iden()), vec![layer.clone()])?)
}

/// A generator over a fallible closure.
pub fn genr(next: impl FnMut() -> Flow<Option<Item>> + Send + 'static) -> Item {
    Item::Genr(Genr::from_fn(next))
}

/// An immutable list.
pub fn tuple(items: impl IntoIterator<Item = Value>) -> Item {
    Item::Val(Value::list(items))
}

/// A map as a dictionary that a query may change.
pub fn dict(map: Map) -> Item {
    Item::stored(&Value::from(map))
}

/// The identifier of a node in any of the forms in which one may be given.
pub fn tobuid(rt: &Rt, item: &Item) -> Flow<Buid> {
    if let Item::Node(node) = item {
        return Ok(node.buid());
    }
    let prim = item.toprim(rt)?;
    let found = match &prim {
        Value::Str(text) => Buid::from_hex(text),
        Value::Bytes(byts) => Buid::from_slice(byts),
        _ => None,
    };
    match found {
        Some(buid) => Ok(buid),
        None => Err(err!("BadCast", mesg = format!("{prim:?} does not name a node.")).into()),
    }
}

/// Form and relative name of a property, as layers index it.
pub fn form_and_prop(prop: &Prop) -> (Option<Arc<str>>, Option<Arc<str>>) {
    if prop.is_form {
        return (Some(prop.name.clone()), None);
    }
    let form = if prop.is_univ { None } else { prop.form.clone() };
    (form, Some(prop.name.clone()))
}

/// What is counted: all rows of an index, or those of a value.
pub enum Counted {
    /// Rows of a property.
    Prop(Arc<Prop>),
    /// Items of an array property.
    Array(Arc<Prop>),
    /// A property of a tag: form, tag, name.
    TagProp(Option<Arc<str>>, Arc<str>, Arc<str>),
}

impl Counted {
    /// A property by its full name.
    pub fn prop(rt: &Rt, name: &str) -> Flow<Counted> {
        Ok(Counted::Prop(prop_of(rt, name)?))
    }

    /// An array property by its full name.
    pub fn array(rt: &Rt, name: &str) -> Flow<Counted> {
        let prop = prop_of(rt, name)?;
        if !prop.typ.is_array() {
            myelin_storm::fail!("BadTypeValu", mesg = format!("The type {} is no array.", prop.typ.name));
        }
        Ok(Counted::Array(prop))
    }

    /// Counts in layers; `Undef` as value counts all.
    pub fn count(&self, rt: &Rt, layers: &[Arc<graph::Layer>], valu: &Item) -> Flow<u64> {
        let norm = match valu {
            Item::Undef => None,
            valu => Some(self.norm(rt, &valu.toprim(rt)?)?),
        };
        let mut count = 0;
        for layer in layers {
            count += self.count_one(layer, norm.as_ref())?;
        }
        Ok(count)
    }

    fn norm(&self, rt: &Rt, valu: &Value) -> Flow<(Value, StorType)> {
        let model = rt.model();
        let typ = match self {
            Counted::Prop(prop) => prop.typ.clone(),
            Counted::Array(prop) => prop.typ.array_type().cloned().unwrap_or_else(|| prop.typ.clone()),
            Counted::TagProp(_, _, name) => {
                req_tagprop(rt, name).map(|_| model.req_tagprop(name).map(|prop| prop.typ.clone()))??
            }
        };
        Ok((typ.norm(&rt.norm_cx(), valu)?.value, typ.stortype))
    }

    fn count_one(&self, layer: &Arc<graph::Layer>, norm: Option<&(Value, StorType)>) -> Flow<u64> {
        Ok(match (self, norm) {
            (Counted::TagProp(form, tag, name), None) => layer.tagprop_count(form.as_deref(), tag, name)?,
            (Counted::TagProp(form, tag, name), Some((valu, stor))) => {
                layer.tagprop_valu_count(form.as_deref(), tag, name, *stor, valu)?
            }
            (Counted::Prop(prop), norm) => {
                let (form, name) = form_and_prop(prop);
                match norm {
                    None => layer.prop_count(form.as_deref(), name.as_deref())?,
                    Some((valu, stor)) => layer.prop_valu_count(form.as_deref(), name.as_deref(), *stor, valu)?,
                }
            }
            (Counted::Array(prop), norm) => {
                let (form, name) = form_and_prop(prop);
                match norm {
                    None => layer.array_count(form.as_deref(), name.as_deref())?,
                    Some((valu, stor)) => layer.array_valu_count(form.as_deref(), name.as_deref(), *stor, valu)?,
                }
            }
        })
    }
}

fn prop_of(rt: &Rt, name: &str) -> Flow<Arc<Prop>> {
    match rt.model().prop(name) {
        Some(prop) => Ok(prop.clone()),
        None => Err(err!("NoSuchProp", mesg = format!("There is no property {name}.")).into()),
    }
}

/// Refuses the name of a tag property that there is none of.
pub fn req_tagprop(rt: &Rt, name: &str) -> Flow<()> {
    rt.model().req_tagprop(name)?;
    Ok(())
}
