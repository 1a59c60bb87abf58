//! Methods and properties of the built-in kinds, one file each.

mod bytes;
mod collect;
mod node;
mod number;
mod path;
mod query;
pub(crate) mod str;
pub(crate) mod text;

use crate::ctl::Flow;
use crate::item::Item;
use crate::node::{Node, Path};
use crate::registry::Registry;
use crate::rt::Rt;

/// Puts the tables of this crate into the registry.
pub fn register(registry: &mut Registry) {
    collect::register(registry);
    for def in [&bytes::TYPE, &number::TYPE, &str::TYPE] {
        registry.add_type(def);
    }
    node::register(registry);
    path::register(registry);
    query::register(registry);
}

/// `$base.name`, where a node may be at hand.
pub(crate) fn deref_at(rt: &Rt, base: &Item, name: &Item, _path: Option<&Path>) -> Flow<Item> {
    base.deref(rt, name)
}

/// What a function that yields nodes gives: node and path.
pub(crate) fn node_path(node: Node, path: Path) -> Item {
    Item::list([Item::Node(node), Item::Path(path)])
}
