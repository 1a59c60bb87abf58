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
use myelin_value::{Map, Value};
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
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "guid:d41d8cd98f00b204e9800998ecf8427e",
    "d41d8cd9",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    "00:11:22:33:44:55",
    "1.2.3.4-1.2.3.9",
    "2001:db8::1-2001:db8::9",
    "AV:L/AC:H/Au:M/C:C/I:N/A:P",
    "310150123456789",
    "T1234",
    "T1234.001",
    "TA0001",
    "S0001",
    "G0001",
    "M1000",
    "C0001",
    "DS0001",
    "CVE-2020-1234",
    "CWE-79",
    "S-1-5-18",
    "1.3.6.1.4",
    "usd",
    "en.us",
    "enterprise",
    "current",
    "public",
    "90210",
    "3082",
    "7Y8E4",
    "123",
    "foo=bar",
    "inet:ipv4:asn=20",
    "5 sq.km",
    "0x52908400098527886e21f0f7030de857d2149ea697",
    "t13d1516h2_8daaf6152771_b186095e22b6",
    "t130200_1301_234ea6891581",
    "100 kg",
    "N12345",
    "123456789",
    "1033",
    "3",
    "1dd28d28d00028d00041d28d1dd28d4b3a2a5b6c7d8e9f00112233445566aa",
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
/// zone, years before 1000 print without their zeros, a property with its value and data print as Python shows them, parts
/// of a CPE given as a list are not looked at, and a separator may occur in what it separates.
fn is_exempt(ty: &Type, norm: &Value) -> bool {
    const YEAR_1000: i64 = -30_610_224_000_000;
    fn is_early(valu: &Value) -> bool {
        valu.as_i64().is_some_and(|tick| tick < YEAR_1000) || valu.as_list().unwrap_or_default().iter().any(is_early)
    }
    fn holds(valu: &Value, look: &str) -> bool {
        valu.as_str().is_some_and(|text| text.contains(look))
            || valu.as_list().unwrap_or_default().iter().any(|item| holds(item, look))
    }
    match ty.ctor {
        CtorKind::Addr => holds(norm, "host://") || holds(norm, "%"),
        CtorKind::Time => is_early(norm),
        CtorKind::NodeProp | CtorKind::Data => true,
        CtorKind::Cpe22Str => !norm.as_str().is_some_and(|text| text[5..].starts_with(['a', 'h', 'o', ':'])),
        _ if norm.as_list().is_some() => {
            let sepr = ty.opts.get("sepr").and_then(Value::as_str);
            let sepr = sepr.or(ty.name.starts_with("inet:web:").then_some("/"));
            let split = sepr.is_some_and(|sepr| holds(norm, sepr));
            split || is_early(norm) || holds(norm, "host://") || holds(norm, "%")
        }
        _ => false,
    }
}

/// A small generator of numbers; the same at every run.
struct Rng(u64);

impl Rng {
    fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = u64::try_from(items.len()).ok().filter(|size| *size > 0)?;
        items.get(usize::try_from((self.0 >> 33) % size).ok()?)
    }
}

/// A value that has the shape of a type: tuples of fields, lists of items, pairs, and text for the rest.
fn shaped(model: &Arc<Model>, ty: &Type, texts: &[Value], rng: &mut Rng, depth: u32) -> Value {
    let text = |rng: &mut Rng| rng.of(texts).cloned().unwrap_or_default();
    if depth > 4 {
        return text(rng);
    }
    let fields = ty.imp().fields();
    if !fields.is_empty() {
        return Value::list(fields.iter().map(|field| match field.typ(&**model) {
            Ok(typ) => fitting(model, typ, texts, rng, depth + 1),
            Err(_) => Value::Null,
        }));
    }
    if let Some(item) = ty.array_type() {
        return Value::list((0..3).map(|_| fitting(model, item, texts, rng, depth + 1)));
    }
    let node = |rng: &mut Rng| {
        let forms: Vec<_> = model.forms().cloned().collect();
        let form = rng.of(&forms).cloned().expect("there are forms");
        let valu = fitting(model, &form.typ, texts, rng, depth + 2);
        Value::list([Value::from(&form.name), valu])
    };
    match ty.ctor {
        CtorKind::Ndef => node(rng),
        CtorKind::Edge => Value::list([node(rng), node(rng)]),
        CtorKind::TimeEdge => Value::list([node(rng), node(rng), Value::from("2020")]),
        CtorKind::Ival | CtorKind::Range => Value::list([text(rng), text(rng)]),
        _ => text(rng),
    }
}

/// A value of that shape that the type takes, if one is found within some tries.
fn fitting(model: &Arc<Model>, ty: &Type, texts: &[Value], rng: &mut Rng, depth: u32) -> Value {
    let cx = NormCx::new(model.clone());
    let mut last = Value::Null;
    for _ in 0..if depth > 2 { 30 } else { 200 } {
        last = shaped(model, ty, texts, rng, depth);
        if ty.norm(&cx, &last).is_ok() {
            break;
        }
    }
    last
}

/// Types that take nothing which can be made here: users and roles need a service that has some, and base types without
/// options say nothing about their items.
const UNASKED: &[&str] = &["syn:user", "syn:role", "array", "comp", "range"];

fn broken(law: Law) -> Vec<String> {
    let model = Arc::new(Model::builtin().expect("the model"));
    let cx = NormCx::new(model.clone());
    let recorded = recorded();
    let mut wrong = Vec::new();
    let mut asked = 0;
    let mut silent = Vec::new();
    let texts: Vec<Value> = MADE.iter().map(|text| Value::from(*text)).collect();
    let mut rng = Rng(0x5bd1_e995);
    for ty in model.types() {
        let before = asked;
        let mut inputs = texts.clone();
        inputs.extend((0..4).map(|_| fitting(&model, ty, &texts, &mut rng, 0)));
        inputs.extend([Value::from(7), Value::from(1.5), Value::from(["a", "b"]), Value::from(["1", "5"])]);
        let point = Value::list([Value::from(1.0), Value::from(2.0)]);
        inputs.push(Value::from(Map::new().with("type", "Point").with("coordinates", point)));
        for valu in inputs.into_iter().chain(recorded.get(&*ty.name).into_iter().flatten().cloned()) {
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
        if asked == before && !UNASKED.contains(&&*ty.name) {
            silent.push(ty.name.clone());
        }
    }
    assert!(silent.is_empty(), "types of which nothing was asked: {silent:?}");
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
