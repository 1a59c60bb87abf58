//! Laws of the types, over their recorded and some made inputs: what was normalised stays as it is, and what it prints
//! normalises back to it.
//!
//! The recorded inputs lie outside the repository; without them the made ones are asked alone, and the test says so.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use myelin_model::types::CtorKind;
use myelin_model::{Model, NormCx, Type};
use myelin_value::Value;
use serde_json::Value as Json;

const MADE: &[&str] = &[
    "1.2.3.4",
    "010",
    "0x1f",
    "hxxp://Evil[.]com:443/a?b#c",
    "https://u:p@[::1]:80/x",
    "\\\\host\\share\\x",
    "fe80::1",
    "::ffff:1.2.3.4",
    "bücher.example",
    "FOO.bar.",
    "a+b@Example.com",
    "\"Foo, Bar\" <FOO@bar.com>",
    "C:\\..\\Windows\\.\\x.exe",
    "CPE:2.3:a:foo:b\\!r:1.0:*:*:*:*:*:*:*",
    "cpe:/a:foo:bar:1",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "490154203237518",
    "49015420323751",
    "+1 (202) 555-0123",
    "Us.VA. reston",
    "#Foo.Bar baz",
    "1.2.3-rc.1+b5",
    "38.9,-77.0",
    "10 km",
    "5 mph",
    "2.50",
    "2020-01-02T03:04:05.678+02:00",
    "?",
    "3D 04:05:06.7",
    "TRUE",
    "no",
    "00 AA:bb",
    "1.2.3.4/24",
    "2001:db8::/32",
    "1-5",
    "d41d8cd98f00b204e9800998ecf8427e",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "tcp://1.2.3.4:80",
];

fn recorded() -> BTreeMap<String, Vec<Value>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let dir = std::env::var_os("MYELIN_SHARED").map_or_else(beside, PathBuf::from);
    let mut out: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let Ok(file) = std::fs::File::open(dir.join("reference/norm_vectors.jsonl.gz")) else {
        eprintln!("no recorded inputs beside the repository: only the made ones are asked");
        return out;
    };
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
        let record: Json = serde_json::from_str(&line.expect("text")).expect("JSON");
        if record["k"] == "norm" && record.get("out").is_some() && record["in"].is_string() {
            let name = record["type"].as_str().unwrap_or_default().to_owned();
            out.entry(name).or_default().push(Value::from(record["in"].as_str().unwrap_or_default()));
        }
    }
    out
}

/// A law: what is wrong about a norm of a type, if anything.
type Law = fn(&Arc<Type>, &NormCx, &Value) -> Option<String>;

/// Where the original breaks the laws, and we with it: the name of a host is hashed anew at every norm, brackets take no
/// zone, years before 1000 print without their zeros, and a property with its value prints as Python shows tuples.
fn is_exempt(ty: &Type, norm: &Value) -> bool {
    const YEAR_1000: i64 = -30_610_224_000_000;
    let early = |valu: Option<&Value>| valu.and_then(Value::as_i64).is_some_and(|tick| tick < YEAR_1000);
    match ty.ctor {
        CtorKind::Addr => norm.as_str().is_some_and(|text| text.starts_with("host://") || text.contains('%')),
        CtorKind::Time => early(Some(norm)),
        CtorKind::Ival => early(norm.at(0)),
        CtorKind::NodeProp => true,
        _ => false,
    }
}

fn broken(law: Law) -> Vec<String> {
    let model = Arc::new(Model::builtin().expect("the model"));
    let cx = NormCx::new(model.clone());
    let recorded = recorded();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for ty in model.types() {
        let made = MADE.iter().map(|text| Value::from(*text));
        for valu in made.chain(recorded.get(&*ty.name).into_iter().flatten().cloned()) {
            if valu.as_str() == Some("*") {
                continue;
            }
            let Ok(norm) = ty.norm(&cx, &valu) else { continue };
            asked += 1;
            if let Some(what) = law(ty, &cx, &norm.value)
                && !is_exempt(ty, &norm.value)
            {
                wrong.push(format!("{} {valu:?}: {what}", ty.name));
            }
        }
    }
    assert!(asked > 5000, "only {asked} norms were asked");
    wrong
}

fn check(law: Law) {
    let wrong = broken(law);
    wrong.iter().take(30).for_each(|line| eprintln!("{line}"));
    assert!(wrong.is_empty(), "{} norms break the law", wrong.len());
}

#[test]
fn norms_stay_as_they_are() {
    check(|ty, cx, norm| match ty.norm(cx, norm) {
        Ok(again) if again.value == *norm => None,
        other => Some(format!("{norm:?} becomes {:?}", other.map(|again| again.value))),
    });
}

#[test]
fn what_is_printed_normalises_back() {
    check(|ty, cx, norm| {
        let text = ty.repr(cx, norm).ok()?;
        match ty.norm(cx, &text) {
            Ok(again) if again.value == *norm => None,
            other => Some(format!("{norm:?} prints {text:?}, which becomes {:?}", other.map(|again| again.value))),
        }
    });
}
