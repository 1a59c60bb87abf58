//! `$lib.infosec.mitre.attack.flow`: ATT&CK Flow diagrams (their JSON is a STIX bundle) as nodes.

use myelin_error::{Error, err};
use myelin_model::types::schema::Violation;
use myelin_value::{Map, Value, json};

use crate::ctl::Flow;
use crate::item::{Arg, FuncDef, Item};
use crate::libs::schema::place;
use crate::registry::LibDef;
use crate::rt::{Rt, var_map};

/// The library.
pub static LIB: LibDef = LibDef {
    path: "infosec.mitre.attack.flow",
    funcs: &[
        FuncDef::ro("norm", &[Arg::req("flow")], |rt, _, args| Ok(Item::deep(&norm(rt, &args.prim(rt, 0)?)?))),
        FuncDef::rw("ingest", &[Arg::req("flow")], |rt, _, args| ingest(rt, &args.prim(rt, 0)?)),
    ],
    consts: &[],
};

/// The property whose type knows the rules of a diagram.
const DATA: &str = "it:mitre:attack:flow:data";

/// A diagram that follows the rules, with its keys in order and its objects in that of their identifiers, so that the
/// same diagram always makes the same node.
fn norm(rt: &Rt, flow: &Value) -> Flow<Value> {
    let model = rt.model();
    let missing = || err!("NoSuchProp", mesg = format!("The model lacks the property {DATA}."), name = DATA);
    let prop = model.prop(DATA).ok_or_else(missing)?;
    let flow = prop.typ.norm(&rt.norm_cx(), flow).map_err(|error| violated(error, flow))?.value;
    let Some(sorted) = in_order(&flow).as_map().cloned() else { return Ok(flow) };
    let mut objects = sorted.get("objects").and_then(Value::as_list).unwrap_or_default().to_vec();
    objects.sort_by_key(|object| object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned());
    Ok(sorted.with("objects", Value::from(objects)).into())
}

/// The error of a diagram that does not follow the rules, with the place where it does not.
fn violated(error: Error, flow: &Value) -> Error {
    let Some(Violation(pointer)) = std::error::Error::source(&error).and_then(|source| source.downcast_ref()) else {
        return error;
    };
    let name = json::to_json(flow).map_or_else(|_| "data".to_owned(), |item| place(pointer, &item));
    err!("SchemaViolation", mesg = format!("The flow is none at {name}: {}", error.message()), name = name)
}

fn in_order(valu: &Value) -> Value {
    match valu {
        Value::List(items) => items.iter().map(in_order).collect(),
        Value::Map(map) => {
            let mut pairs: Vec<_> = map.text_entries().collect();
            pairs.sort_by_key(|(key, _)| *key);
            pairs.into_iter().map(|(key, valu)| (key, in_order(valu))).collect::<Map>().into()
        }
        other => other.clone(),
    }
}

const INGEST: &str = "
    ($ok, $name) = $lib.trycast(ps:name, $author.name)
    if (not $ok) { $lib.warn(`The author of the flow has no usable name: {$author.name}`) return() }
    ($ok, $email) = $lib.trycast(inet:email, $author.contact_information)
    if (not $ok) {
        $lib.warn(`The author of the flow has no usable email address: {$author.contact_information}`) return()
    }
    [ it:mitre:attack:flow=$lib.guid($flow)
        :name?=$info.name :data=$flow :created?=$info.created :updated?=$info.modified :author:user?=$lib.user.iden
        :author:contact={[ ps:contact=(attack-flow, $name, $email) :name=$name :email=$email ]} ]
";

fn ingest(rt: &Rt, flow: &Value) -> Flow<Item> {
    let flow = norm(rt, flow)?;
    let objects = flow.get("objects").and_then(Value::as_list).unwrap_or_default();
    let text = |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let info = objects.iter().find(|object| text(object, "type") == "attack-flow").cloned().unwrap_or_default();
    let author = text(&info, "created_by_ref");
    let author = objects.iter().find(|object| text(object, "id") == author).cloned().unwrap_or_default();
    let vars = [("flow", Item::deep(&flow)), ("info", Item::deep(&info)), ("author", Item::deep(&author))];
    let query = rt.parse(INGEST)?;
    let mut genr = rt.beside(&query, var_map(vars))?.execute()?;
    match genr.next() {
        Ok(found) => Ok(found.map_or(Item::NULL, |(node, _)| Item::Node(node))),
        Err(crate::Ctl::Ctrl(ctrl)) if matches!(*ctrl, crate::Ctrl::Return(_)) => Ok(Item::NULL),
        Err(error) => Err(error),
    }
}
