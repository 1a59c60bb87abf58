//! `$lib.stix.import`: what the objects of a bundle become.

use std::collections::HashMap;

use indexmap::IndexMap;
use myelin_error::{Error, err};
use myelin_model::types::py;
use myelin_value::{Map, Value};

use super::{call, config, dict};
use crate::ctl::{Ctl, Flow};
use crate::edit;
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item};
use crate::node::Node;
use crate::registry::LibDef;
use crate::rt::{Rt, VarMap, var_map};

/// The library.
pub static LIB: LibDef = LibDef {
    path: "stix.import",
    funcs: &[
        FuncDef::ro("config", &[], |_, _, _| Ok(Item::deep(&config::import().into()))),
        FuncDef::rw("ingest", &[Arg::req("bundle"), Arg::opt("config", Dflt::Null)], |rt, _, args| {
            let (rt, mut nodes, mut args) = (rt.clone(), None, Some(args));
            // Nothing happens until a node is asked for, as with every generator.
            Ok(Item::Genr(Genr::from_fn(move || {
                if let Some(args) = args.take() {
                    nodes = Some(ingest(&rt, &args)?.into_iter());
                }
                Ok(nodes.as_mut().and_then(Iterator::next).map(Item::Node))
            })))
        }),
    ],
    consts: &[],
};

type Kinds = [Option<String>; 3];

fn bad(mesg: impl Into<String>) -> Ctl {
    Error::mesg("BadArg", mesg).into()
}

fn wrong(name: &str, want: &str) -> Ctl {
    let mesg = format!("The STIX bundle is wrong: {name} must {want}.");
    err!("SchemaViolation", mesg = mesg, name = name).into()
}

struct Config {
    objects: Map,
    relations: HashMap<Kinds, String>,
}

/// The Storm for the bundle itself, and that for what is in it.
fn configured(conf: Value) -> Flow<(Option<String>, Config)> {
    let Some(conf) = conf.as_map() else { return Err(bad("The configuration of an import is a dictionary.")) };
    let mut relations = HashMap::new();
    if let Some(rows) = conf.get("relationships") {
        let Some(rows) = rows.as_list() else { return Err(bad("The relationships of an import are a list.")) };
        for row in rows {
            let Some(kinds) = row.get("type").and_then(Value::as_list) else {
                return Err(bad("A relationship of an import lacks the key type."));
            };
            let kind = |at: usize| kinds.get(at).and_then(Value::as_str).map(str::to_owned);
            if let Some(storm) = row.get("storm").and_then(Value::as_str) {
                relations.insert([kind(0), kind(1), kind(2)], storm.to_owned());
            }
        }
    }
    let bundle = match conf.get("bundle") {
        None | Some(Value::Null) => None,
        Some(Value::Map(bundle)) => match bundle.get("storm") {
            Some(Value::Str(storm)) if !storm.is_empty() => Some(storm.to_string()),
            Some(storm) if storm.is_truthy() => return Err(bad("The Storm for the bundle of an import is text.")),
            _ => None,
        },
        Some(_) => return Err(bad("The key bundle of the configuration of an import is a dictionary.")),
    };
    let objects = dict(conf.get("objects"));
    Ok((bundle, Config { objects, relations }))
}

fn check_bundle(bundle: &Value) -> Flow<()> {
    let Some(objects) = bundle.get("objects") else { return Ok(()) };
    let Some(objects) = objects.as_list() else { return Err(wrong("data.objects", "be a list")) };
    for (indx, object) in objects.iter().enumerate() {
        let name = format!("data.objects[{indx}]");
        if object.as_map().is_none() {
            return Err(wrong(&name, "be a dictionary"));
        }
        let text = |key: &str| object.get(key).is_some_and(Value::is_text);
        if object.get("id").is_none() || object.get("type").is_none() {
            return Err(wrong(&name, "have the keys id and type"));
        }
        for key in ["id", "type", "relationship_type", "source_ref", "target_ref"] {
            if object.get(key).is_some() && !text(key) {
                return Err(wrong(&format!("{name}.{key}"), "be text"));
            }
        }
        let relation = object.get("type").and_then(Value::as_str) == Some("relationship");
        if relation && !(text("source_ref") && text("target_ref")) {
            return Err(wrong(&name, "have the keys source_ref and target_ref"));
        }
    }
    Ok(())
}

fn ingest(rt: &Rt, args: &Args) -> Flow<Vec<Node>> {
    let conf = if args.is_null(1) { config::import().into() } else { args.prim(rt, 1)? };
    let bundle = args.prim(rt, 0)?;
    let (storm, conf) = configured(conf)?;
    let mut of_bundle = None;
    if let Some(storm) = storm {
        of_bundle = node_of(rt, &storm, var_map([("bundle", Item::deep(&bundle))]))?;
    }
    rt.layer_confirm(&["node", "edge", "add", "refs"])?;
    check_bundle(&bundle)?;
    let nodes = objects(rt, &bundle, &conf)?;
    if let Some(node) = &of_bundle {
        link(rt, node, nodes.values())?;
    }
    Ok(of_bundle.into_iter().chain(nodes.into_values()).collect())
}

fn node_of(rt: &Rt, storm: &str, vars: VarMap) -> Flow<Option<Node>> {
    Ok(call(rt, storm, vars, None)?.and_then(|item| item.as_node().cloned()))
}

/// As [`node_of`]; what goes wrong in it only warns.
fn try_node(rt: &Rt, storm: &str, vars: VarMap, what: &str) -> Flow<Option<Node>> {
    match node_of(rt, storm, vars) {
        Err(Ctl::Err(error)) => {
            rt.warn(format!("The Storm for {what} of a STIX bundle failed: {error}"))?;
            Ok(None)
        }
        other => other,
    }
}

fn link<'n>(rt: &Rt, from: &Node, to: impl Iterator<Item = &'n Node>) -> Flow<()> {
    edit::edit_node(rt, from, |editor, buid| {
        for node in to {
            editor.add_edge(buid, "refs", node.buid())?;
        }
        Ok(())
    })
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The nodes of the objects by their identifiers: first the objects, then their relations, then what they refer to.
fn objects(rt: &Rt, bundle: &Value, conf: &Config) -> Flow<IndexMap<String, Node>> {
    let mut nodes: IndexMap<String, Node> = IndexMap::new();
    let all = bundle.get("objects").and_then(Value::as_list).unwrap_or_default();
    let shared = Item::deep(bundle);
    let (relations, plain): (Vec<&Value>, Vec<&Value>) =
        all.iter().partition(|object| text(object, "type") == "relationship");
    for object in plain {
        rt.tick()?;
        let kind = text(object, "type");
        let Some(info) = conf.objects.get(kind).filter(|info| !info.is_null()) else {
            rt.warn_once(&format!("The import of a STIX bundle does not know {kind}."))?;
            continue;
        };
        let Some(storm) = info.get("storm").and_then(Value::as_str) else { continue };
        let vars = var_map([("bundle", shared.clone()), ("object", Item::deep(object))]);
        if let Some(node) = try_node(rt, storm, vars, kind)? {
            nodes.insert(text(object, "id").to_owned(), node);
        }
    }
    for relation in relations {
        rt.tick()?;
        let (from, to) = (text(relation, "source_ref"), text(relation, "target_ref"));
        let (Some(n1), Some(n2)) = (nodes.get(from).cloned(), nodes.get(to).cloned()) else { continue };
        let kind = |iden: &str| iden.split("--").next().map(str::to_owned);
        let name = relation.get("relationship_type").and_then(Value::as_str).map(str::to_owned);
        let mut known = false;
        for kinds in [[None, None], [None, kind(to)], [kind(from), None], [kind(from), kind(to)]] {
            let [source, target] = kinds;
            let Some(storm) = conf.relations.get(&[source, name.clone(), target]) else { continue };
            known = true;
            let vars =
                [("bundle", shared.clone()), ("n1node", Item::Node(n1.clone())), ("n2node", Item::Node(n2.clone()))];
            if let Some(node) = try_node(rt, storm, var_map(vars), "a relation")? {
                nodes.insert(text(relation, "id").to_owned(), node);
            }
        }
        if !known {
            let part = |part: Option<String>| part.unwrap_or_default();
            let whole = format!("{} {} {}", part(kind(from)), part(name), part(kind(to)));
            rt.warn_once(&format!("The import of a STIX bundle does not know the relation {whole}."))?;
        }
    }
    for object in all {
        let Some(node) = nodes.get(text(object, "id")) else { continue };
        let refs = object.get("object_refs").and_then(Value::as_list).unwrap_or_default();
        let refs: Vec<&Node> = refs.iter().filter_map(|iden| nodes.get(&*py::str_text(iden))).collect();
        if !refs.is_empty() {
            link(rt, node, refs.into_iter())?;
        }
    }
    Ok(nodes)
}
