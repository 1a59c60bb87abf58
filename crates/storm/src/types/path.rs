//! `node:path`: how a node came into the pipe, its variables and what is sent along.

use std::any::Any;

use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Args, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::node::Path;
use crate::registry::Registry;
use crate::rt::Rt;

static DEF: TypeDef = TypeDef {
    name: "node:path",
    funcs: &[
        FuncDef::ro("idens", &[], idens),
        FuncDef::ro("listvars", &[], listvars),
        FuncDef::ro("links", &[], links),
    ],
    getters: &[("vars", vars), ("meta", meta)],
    setters: &[],
};

/// Puts the table into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_type(&DEF);
}

fn this_path(this: &Item) -> Flow<&Path> {
    match this {
        Item::Path(path) => Ok(path),
        _ => crate::fail!("BadArg", mesg = "This is no path."),
    }
}

fn idens(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    Ok(Item::list(this_path(this)?.nodes().iter().map(|node| Item::from(node.iden()))))
}

fn listvars(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    let vars = this_path(this)?.vars();
    Ok(Item::list(vars.iter().map(|(name, valu)| Item::list([Item::from(name), valu.clone()]))))
}

fn vars(_rt: &Rt, this: &Item) -> Flow<Item> {
    Ok(Item::obj(PathVars(this_path(this)?.clone())))
}

fn meta(_rt: &Rt, this: &Item) -> Flow<Item> {
    Ok(Item::obj(PathMeta(this_path(this)?.clone())))
}

fn links(_rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    Ok(Item::deep(&Value::list(this_path(this)?.links())))
}

fn pairs(items: Vec<(std::sync::Arc<str>, Item)>) -> Genr {
    Genr::of(items.into_iter().map(|(name, valu)| Item::list([Item::from(name), valu])).collect::<Vec<_>>())
}

/// `$path.vars`
struct PathVars(Path);

impl StormObj for PathVars {
    fn type_name(&self) -> &'static str {
        "node:path:vars"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name.tostr(rt)?;
        match self.0.get_var(&name) {
            Some(item) => Ok(Some(item)),
            None => crate::fail!("StormRuntimeError", mesg = format!("No var with name: {name}")),
        }
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let name = name.tostr(rt)?;
        match valu {
            Item::Undef => {
                self.0.pop_var(&name);
                rt.pop_var(&name);
            }
            valu => {
                rt.set_var(&name, valu.clone());
                self.0.set_var(&name, valu);
            }
        }
        Ok(())
    }

    fn setitem_readonly(&self) -> bool {
        true
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(pairs(self.0.vars().iter().map(|(name, valu)| (name.clone(), valu.clone())).collect()))
    }
}

/// `$path.meta`
struct PathMeta(Path);

impl StormObj for PathMeta {
    fn type_name(&self) -> &'static str {
        "node:path:meta"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name.tostr(rt)?;
        let found = self.0.meta().into_iter().find(|(have, _)| *have == name);
        Ok(Some(found.map(|(_, valu)| valu).unwrap_or_default()))
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let name = name.tostr(rt)?;
        match valu {
            Item::Undef => self.0.pop_meta(&name),
            // What is packed is what the value is then: it may change until the node is sent.
            valu => self.0.set_meta(name, valu),
        }
        Ok(())
    }

    fn setitem_readonly(&self) -> bool {
        true
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(pairs(self.0.meta()))
    }
}
