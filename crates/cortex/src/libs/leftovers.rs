//! `$lib.model.migration.s.model_0_2_31` and `model_0_2_37`: nodes that a migration of the data model could not carry
//! over. The original puts them into a queue; a store that was migrated there may still hold them.
//!
//! Migrations are not run here, so the queues never come to be in a store of our own. Nodes are listed and shown;
//! repairing one is left to the original.

use myelin_error::Error;
use myelin_model::types::py;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::Value;

use super::util::{core, genr};
use crate::parts::queues::QueueName;

const LIST: &[Arg] = &[
    Arg::opt("form", Dflt::Null),
    Arg::opt("source", Dflt::Null),
    Arg::opt("offset", Dflt::Int(0)),
    Arg::opt("size", Dflt::Null),
];
const PRINT: &[Arg] = &[Arg::req("offset")];
const REPAIR: &[Arg] = &[Arg::req("offset"), Arg::req("newvalu"), Arg::opt("remove", Dflt::Bool(false))];

macro_rules! migration {
    ($name:ident, $version:literal) => {
        static $name: LibDef = LibDef {
            path: concat!("model.migration.s.", $version),
            funcs: &[
                FuncDef::ro("listNodes", LIST, |rt, _, args| list(rt, concat!($version, ":nodes"), &args)),
                FuncDef::ro("printNode", PRINT, |rt, _, args| print(rt, concat!($version, ":nodes"), &args)),
                FuncDef::rw("repairNode", REPAIR, |rt, _, _| repair(rt, concat!($version, ":nodes"))),
            ],
            consts: &[],
        };
    };
}
migration!(V31, "model_0_2_31");
migration!(V37, "model_0_2_37");

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&V31);
    registry.add_lib(&V37);
}

/// The queue, if it is there; else that is said.
fn queue(rt: &Rt, name: &str, what: &str) -> Flow<Option<QueueName>> {
    let queue = QueueName::User(name.to_owned());
    if core(rt)?.queues.exists(&queue) {
        return Ok(Some(queue));
    }
    rt.printf(format!("There is no queue {name}, and so no nodes to {what}."))?;
    Ok(None)
}

fn offset(rt: &Rt, args: &Args, at: usize) -> Flow<u64> {
    Ok(u64::try_from(args.int(rt, at)?).unwrap_or_default())
}

fn list(rt: &Rt, name: &'static str, args: &Args) -> Flow<Item> {
    let (form, source) = (args.opt_str(rt, 0)?, args.opt_str(rt, 1)?);
    let (offs, size) = (offset(rt, args, 2)?, args.opt_int(rt, 3)?);
    let size = size.map(|size| usize::try_from(size).unwrap_or_default());
    let found = match queue(rt, name, "list")? {
        Some(queue) => core(rt)?.queues.gets(&queue, offs, size)?,
        None => Vec::new(),
    };
    let mut rows = found.into_iter();
    Ok(genr(move || {
        for (offs, node) in rows.by_ref() {
            let part = |key: &str| node.get(key).cloned().unwrap_or_default();
            let (have, sources) = (part("formname"), part("sources"));
            let other = form.as_deref().is_some_and(|form| have.as_str() != Some(form));
            let from =
                |want: &str| sources.as_list().unwrap_or_default().iter().any(|have| have.as_str() == Some(want));
            if other || source.as_deref().is_some_and(|source| !from(source)) {
                continue;
            }
            return Ok(Some(Item::Val(Value::list([Value::from(offs), have, part("formvalu"), sources]))));
        }
        Ok(None)
    }))
}

fn print(rt: &Rt, name: &str, args: &Args) -> Flow<Item> {
    let offs = offset(rt, args, 0)?;
    let Some(queue) = queue(rt, name, "print")? else { return Ok(Item::NULL) };
    let Some((_, node)) = core(rt)?.queues.gets(&queue, offs, Some(1))?.into_iter().next() else {
        rt.warn(format!("There is no node at the offset {offs} of the queue {name}."))?;
        return Ok(Item::NULL);
    };
    let part = |key: &str| node.get(key).cloned().unwrap_or_default();
    rt.printf(format!("{}={}", py::str_text(&part("formname")), py::repr_text(&part("formvalu"))))?;
    let sodes = part("sodes");
    for (layer, sode) in sodes.as_map().into_iter().flat_map(|sodes| sodes.iter()) {
        rt.printf(format!("  layer: {}", py::str_text(layer)))?;
        for (name, valu) in sode.get("props").and_then(Value::as_map).into_iter().flat_map(|props| props.iter()) {
            let valu = valu.at(0).cloned().unwrap_or_default();
            rt.printf(format!("    :{} = {}", py::str_text(name), py::str_text(&valu)))?;
        }
        for (name, _) in sode.get("tags").and_then(Value::as_map).into_iter().flat_map(|tags| tags.iter()) {
            rt.printf(format!("    #{}", py::str_text(name)))?;
        }
    }
    let sources = part("sources");
    if sources.is_truthy() {
        rt.printf(format!("  sources: {}", py::str_text(&sources)))?;
    }
    Ok(Item::NULL)
}

fn repair(rt: &Rt, name: &str) -> Flow<Item> {
    match queue(rt, name, "repair")? {
        Some(_) => Err(Error::not_supported("Repairing nodes that a migration of the data model left over").into()),
        None => Ok(Item::NULL),
    }
}
