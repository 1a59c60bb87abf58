//! `$lib.auth` and `$lib.user`: users, roles, gates, and their objects.

mod gates;
mod lib;
mod roles;
pub(crate) mod users;
mod values;

use std::sync::Arc;

use myelin_error::Error;
use myelin_storm::item::Genr;
use myelin_storm::{Flow, Item, Registry};
use myelin_value::Value;

pub use gates::GateObj;
pub use roles::RoleObj;

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    lib::register(registry);
    users::register(registry);
    roles::register(registry);
    gates::register(registry);
}

/// A permission written with dots.
fn perm_parts(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

/// Names and values as pairs.
fn pairs(items: Vec<(String, Value)>) -> Genr {
    let pair = |(name, valu): (String, Value)| Item::list([Item::from(name), Item::deep(&valu)]);
    Genr::of(items.into_iter().map(pair).collect::<Vec<_>>())
}

/// An entry of a record as an item; nothing when it has no such entry.
fn entry(record: &myelin_value::Map, name: &str) -> Flow<Option<Item>> {
    Ok(record.get(name).map(Item::stored))
}

/// The rules of somebody as a list that a query may change.
fn rules_item(rules: Vec<Value>) -> Item {
    Item::stored(&Value::from(rules))
}

/// Takes a rule out of a list by its place, negative ones from the end.
fn pop_at(rules: &mut Vec<Value>, indx: i64, who: &str) -> Flow<Value> {
    let size = i64::try_from(rules.len()).unwrap_or(i64::MAX);
    let at = if indx < 0 { size + indx } else { indx };
    match usize::try_from(at).ok().filter(|at| *at < rules.len()) {
        Some(at) => Ok(rules.remove(at)),
        None => {
            let name = if indx < 0 { "IndexError" } else { "BadArg" };
            Err(Error::mesg(name, format!("{who} has {size} rules only.")).into())
        }
    }
}

/// The gate given as an argument.
fn gate_text(gate: &Option<Arc<str>>) -> Option<&str> {
    gate.as_deref()
}
