//! The shared msgpack and buid vectors, both ways. Skipped, and said so, where the shared folder is absent.

use std::path::PathBuf;

use myelin_value::{BigInt, Map, Value, guid_of, msgpack};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

fn vectors(name: &str) -> Option<String> {
    let shared = std::env::var_os("MYELIN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let text = std::fs::read_to_string(shared.join("spec/vectors/storage").join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: no shared vectors {name} here");
    }
    text
}

/// Vectors tag what JSON cannot hold; see the README beside them.
fn untag(json: &Json) -> Value {
    let Json::Object(tagged) = json else {
        return match json {
            Json::Array(items) => Value::list(items.iter().map(untag)),
            plain => myelin_value::json::from_json(plain),
        };
    };
    let Some((tag, inner)) = tagged.iter().next() else { return Value::from(Map::new()) };
    match (tag.as_str(), inner) {
        ("$int", Json::String(digits)) => Value::from(digits.parse::<BigInt>().expect("digits")),
        ("$float", Json::String(text)) => Value::from(text.parse::<f64>().expect("a float")),
        ("$bytes", Json::String(text)) => Value::from(&hex::decode(text).expect("hex")[..]),
        ("$str", Json::String(text)) => Value::from_wtf8(&hex::decode(text).expect("hex")).expect("text"),
        ("$map", Json::Array(rows)) => {
            Value::from(rows.iter().map(|row| (untag(&row[0]), untag(&row[1]))).collect::<Map>())
        }
        ("$rep", Json::Array(parts)) => repeated(parts),
        _ => Value::from(tagged.iter().map(|(key, valu)| (key.as_str(), untag(valu))).collect::<Map>()),
    }
}

fn repeated(parts: &[Json]) -> Value {
    let count = usize::try_from(parts[1].as_u64().expect("a count")).expect("a small count");
    match untag(&parts[0]) {
        Value::Bytes(unit) => Value::from(&unit.repeat(count)[..]),
        unit => {
            let text = unit.as_str().expect("a unit of text").repeat(count);
            if parts[2] == "bytes" { Value::from(text.as_bytes()) } else { Value::from(text) }
        }
    }
}

#[test]
fn msgpack_vectors_pass_both_ways() {
    let Some(text) = vectors("msgpack.jsonl") else { return };
    let mut passed = 0;
    for line in text.lines() {
        let row: Json = serde_json::from_str(line).expect("a JSON line");
        if let Some(bytes) = row["decode"].as_str() {
            let got = msgpack::decode(&hex::decode(bytes).expect("hex"));
            match row.get("decoded") {
                Some(want) => assert_eq!(got.expect("decodes"), untag(want), "{line}"),
                None => assert!(got.is_err(), "{line}"),
            }
            passed += 1;
            continue;
        }
        // Sets, objects and the like have no `Value`, which is how they fail here.
        let Some(valu) = row.get("valu").map(untag) else { continue };
        let byts = msgpack::encode(&valu);
        match row["hex"].as_str() {
            Some(want) => assert_eq!(hex::encode(&byts), want, "{line}"),
            None => assert_eq!(hex::encode(Sha256::digest(&byts)), row["sha256"].as_str().expect("a digest"), "{line}"),
        }
        assert_eq!(msgpack::decode(&byts).expect("decodes"), valu, "{line}");
        passed += 1;
    }
    assert!(passed > 90, "only {passed} vectors were run");
}

#[test]
fn buid_vectors_pass() {
    let Some(text) = vectors("buid.jsonl") else { return };
    for line in text.lines() {
        let row: Json = serde_json::from_str(line).expect("a JSON line");
        if let Some(of) = row.get("guid_of") {
            assert_eq!(guid_of(&untag(of)), row["guid"].as_str().expect("a guid"), "{line}");
            continue;
        }
        let ndef = untag(&row["ndef"]);
        let form = ndef.at(0).and_then(Value::as_str).expect("a form");
        let buid = myelin_value::ndef_buid(form, ndef.at(1).expect("a value"));
        assert_eq!(buid.to_hex(), row["buid"].as_str().expect("a buid"), "{line}");
    }
}
