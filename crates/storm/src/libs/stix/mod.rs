//! `$lib.stix`: nodes as STIX 2.1 and STIX objects as nodes.

mod config;
mod export;
mod import;

use myelin_error::Error;
use myelin_value::{Map, Value, guid_of};

use crate::ctl::{Ctl, Ctrl, Flow};
use crate::item::{Arg, FuncDef, Genr, Item};
use crate::node::Node;
use crate::ops;
use crate::registry::{LibDef, Registry};
use crate::rt::{Rt, VarMap};

static LIB: LibDef = LibDef {
    path: "stix",
    funcs: &[
        FuncDef::ro("lift", &[Arg::req("bundle")], |rt, _, args| lift(rt, &args.prim(rt, 0)?)),
        FuncDef::ro("validate", &[Arg::req("bundle")], |_, _, _| {
            Err(Error::not_supported("Validating STIX bundles: the rules of the standard do not come along").into())
        }),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
    registry.add_objects(&[&export::BUNDLE]);
    registry.add_lib(&export::LIB);
    registry.add_lib(&import::LIB);
}

/// A guid in the form and with the version of a UUID.
fn uuid(valu: &Value, version: char) -> String {
    let guid = guid_of(valu);
    let mut digits: Vec<char> = guid.chars().collect();
    digits[12] = version;
    // The variant of the standard: 8, 9, a or b.
    let variant = digits[16].to_digit(16).unwrap_or(0) & 3 | 8;
    digits[16] = char::from_digit(variant, 16).unwrap_or('8');
    let text: String = digits.into_iter().collect();
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// The extension that tells which node an object was.
fn extension() -> String {
    format!("extension-definition--{}", uuid(&Value::from("bf1c0a4d90ee557ac05055385971f17c"), '4'))
}

/// The nodes that the objects of a bundle were, as far as they are in the view.
fn lift(rt: &Rt, bundle: &Value) -> Flow<Item> {
    let extension = extension();
    let objects = bundle.get("objects").and_then(Value::as_list).unwrap_or_default().to_vec();
    let (rt, mut objects) = (rt.clone(), objects.into_iter());
    Ok(Item::Genr(Genr::from_fn(move || {
        for object in objects.by_ref() {
            rt.tick()?;
            let ndef =
                object.get("extensions").and_then(|exts| exts.get(&extension)).and_then(|ext| ext.get("synapse_ndef"));
            let Some((form, valu)) = ndef.and_then(|ndef| Some((ndef.at(0)?.as_str()?, ndef.at(1)?))) else { continue };
            if let Some(node) = rt.snap().node_by_ndef(form, valu)? {
                return Ok(Some(Item::Node(node)));
            }
        }
        Ok(None)
    })))
}

/// Runs Storm text beside the query, with a node as input if there is one; what it returns.
fn call(rt: &Rt, text: &str, vars: VarMap, node: Option<&Node>) -> Flow<Option<Item>> {
    let query = rt.parse(text)?;
    let sub = rt.beside(&query, vars)?;
    let mut genr = match node {
        Some(node) => sub.execute_with(ops::once((node.clone(), sub.init_path(node))))?,
        None => sub.execute()?,
    };
    loop {
        match genr.next() {
            Ok(Some(_)) => rt.tick()?,
            Ok(None) => return Ok(None),
            Err(Ctl::Ctrl(ctrl)) => match *ctrl {
                Ctrl::Return(item) => return Ok(Some(item)),
                other => return Err(Ctl::from(other)),
            },
            Err(error) => return Err(error),
        }
    }
}

fn dict(valu: Option<&Value>) -> Map {
    valu.and_then(Value::as_map).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_has_the_identifier_that_every_service_knows() {
        assert!(extension().starts_with("extension-definition--"));
        let uuid = uuid(&Value::from("x"), '5');
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "5"));
        assert!("89ab".contains(&uuid[19..20]));
    }

    #[test]
    fn every_type_that_nodes_become_is_one_of_the_standard() {
        for info in config::export().get("forms").and_then(Value::as_map).expect("forms").values() {
            let stix = info.get("stix").and_then(Value::as_map).expect("types");
            let default = info.get("default").and_then(Value::as_str).expect("a default");
            assert!(stix.contains(default));
            for (kind, info) in stix.text_entries() {
                assert!(config::OBJECTS.contains(&kind) || config::OBSERVABLES.contains(&kind), "{kind}");
                for (name, storm) in info.get("props").and_then(Value::as_map).expect("properties").text_entries() {
                    crate::run::parse(storm.as_str().expect("text")).unwrap_or_else(|error| panic!("{name}: {error}"));
                }
            }
        }
        let import = config::import();
        for (kind, info) in import.get("objects").and_then(Value::as_map).expect("objects").text_entries() {
            let storm = info.get("storm").and_then(Value::as_str).expect("text");
            crate::run::parse(storm).unwrap_or_else(|error| panic!("{kind}: {error}"));
        }
    }
}
