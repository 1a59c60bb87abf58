//! Replays recorded cases on the test host, as far as it goes: nodes, prints, values and errors are compared.
//!
//! `replay <case files…> [--show <text>]`; without a cortex around it, cases that need one fail early and are left out.

use std::io::Read as _;

use myelin_storm::registry::Registry;
use myelin_storm::testing::Bench;
use myelin_value::{Map, Value};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let show = args.iter().position(|arg| arg == "--show").and_then(|at| args.get(at + 1)).cloned();
    let base = std::env::var("MYELIN_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let text = std::fs::read(format!("{base}/conformance/testmodel.json")).expect("test model");
    let file = myelin_model::load_model_json(&text).expect("test model");
    let mut model = myelin_model::Model::builtin().expect("model");
    model.add_data_models(&file.defs).expect("test model");
    let model = std::sync::Arc::new(model);
    let (mut good, mut bad) = (0, 0);
    for path in args.iter().filter(|arg| arg.ends_with(".gz")) {
        let mut text = String::new();
        let read = flate2::read::GzDecoder::new(std::fs::File::open(path).expect("file")).read_to_string(&mut text);
        read.expect("gzip");
        for line in text.lines() {
            let case = untag(&myelin_storm::libs::jsontext::loads(line).expect("json"));
            let bench = Bench::with_model(Registry::builtin(), model.clone());
            let id = case.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            for op in case.get("ops").and_then(Value::as_list).unwrap_or_default() {
                let Some(text) = op.get("text").and_then(Value::as_str) else {
                    if op.get("name").and_then(Value::as_str) == Some("addTagProp") {
                        add_tagprop(&bench, op);
                    }
                    continue;
                };
                match differs(&bench, op, text) {
                    None => good += 1,
                    Some(why) => {
                        bad += 1;
                        if show.as_ref().is_none_or(|show| why.contains(show.as_str())) {
                            println!("{id}\n   {}\n   {why}", text.replace('\n', " "));
                        }
                    }
                }
            }
        }
    }
    println!("{good} as recorded, {bad} not");
}

/// Values that JSON has not (`{"$b": base64}`, `{"$f": text}`) as what they stand for.
fn untag(valu: &Value) -> Value {
    match valu {
        Value::List(items) => Value::list(items.iter().map(untag)),
        Value::Map(map) => match (map.len(), map.get_str("$b"), map.get_str("$f")) {
            (1, Some(text), _) => {
                let byts = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
                Value::from(byts.unwrap_or_default().as_slice())
            }
            (1, _, Some(text)) => Value::Float(text.parse().unwrap_or(f64::NAN)),
            _ => Value::from(map.iter().map(|(key, valu)| (key.clone(), untag(valu))).collect::<Map>()),
        },
        other => other.clone(),
    }
}

/// Whether a value is as recorded; `{"$any": 1}` stands for any. What error info says in words does not count.
fn same(want: &Value, have: &Value) -> bool {
    match (want, have) {
        (Value::Map(map), _) if map.contains("$any") => true,
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            let words = ["mesg", "efile", "eline", "esrc", "ename", "errmsg", "highlight"];
            let keys = |map: &Map| map.text_entries().filter(|(key, _)| !words.contains(key)).count();
            keys(left) == keys(right)
                && left
                    .text_entries()
                    .filter(|(key, _)| !words.contains(key))
                    .all(|(key, valu)| right.get(key).is_some_and(|have| same(valu, have)))
        }
        _ => want.py_eq(have),
    }
}

fn add_tagprop(bench: &Bench, op: &Value) {
    let Some(kwargs) = op.get("kwargs") else { return };
    let (Some(name), Some(tdef)) = (kwargs.get("name").and_then(Value::as_str), kwargs.get("tdef")) else { return };
    let mut model = (*bench.model()).clone();
    let Ok(typ) = myelin_model::TypeRef::from_value(tdef) else { return };
    let def = myelin_model::PropDef { name: name.into(), typ, info: Map::new().into() };
    if model.add_tagprop(&def).is_ok() {
        bench.set_model(model);
    }
}

/// Identifiers are random and times pass: they all look alike here.
fn blur(valu: &Value) -> Value {
    match valu {
        Value::Str(text) if text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Value::from("*"),
        Value::Str(text) if text.starts_with("guid:") => Value::from("*"),
        Value::Int(int) if *int > 1_790_000_000_000 => Value::from("*"),
        Value::List(items) => Value::list(items.iter().map(blur)),
        Value::Map(map) if map.contains("$any") => Value::from("*"),
        Value::Map(map) => map.iter().map(|(key, valu)| (blur(key), blur(valu))).collect::<Map>().into(),
        other => other.clone(),
    }
}

fn differs(bench: &Bench, op: &Value, text: &str) -> Option<String> {
    let exp = op.get("exp")?;
    let opts = op.get("opts").and_then(Value::as_map).cloned().unwrap_or_default();
    let want_err = exp.get("err").and_then(|err| err.get("name")).and_then(Value::as_str).map(str::to_owned);
    match op.get("op").and_then(Value::as_str)? {
        "storm" => {
            let said = bench.storm_opts(text, opts);
            let have_err = said.error();
            if have_err.as_ref().map(|err| err.name().to_owned()) != want_err {
                return Some(format!("ERR want {want_err:?} have {have_err:?}"));
            }
            let strip = |pode: &Value| {
                blur(&{
                    let mut info = pode.at(1).and_then(Value::as_map).cloned().unwrap_or_default();
                    if let Some(Value::Map(props)) = info.get("props") {
                        let mut props = (**props).clone();
                        props.remove(".created");
                        info.insert("props", props);
                    }
                    Value::list([pode.at(0).cloned().unwrap_or_default(), Value::from(info)])
                })
            };
            let want: Vec<Value> =
                exp.get("nodes").and_then(Value::as_list).unwrap_or_default().iter().map(strip).collect();
            let have: Vec<Value> = said.nodes().iter().map(strip).collect();
            if want.len() != have.len() || !want.iter().zip(&have).all(|(one, two)| same(one, two)) {
                return Some(format!("NODES\n     want {want:?}\n     have {have:?}"));
            }
            let msgs = exp.get("msgs").and_then(Value::as_list).unwrap_or_default();
            for kind in ["print", "warn"] {
                let want: Vec<&Value> =
                    msgs.iter().filter(|mesg| mesg.at(0).and_then(Value::as_str) == Some(kind)).collect();
                let have = if kind == "print" { said.prints() } else { said.warns() };
                let texts: Vec<Option<&str>> = want.iter().map(|mesg| mesg.at(1)?.get("mesg")?.as_str()).collect();
                let same = texts.len() == have.len()
                    && texts.iter().zip(&have).all(|(want, have)| want.is_none_or(|want| want == have));
                if !same {
                    return Some(format!("MSGS {kind} want {texts:?} have {have:?}"));
                }
            }
            None
        }
        "callStorm" => match bench.call_opts(text, opts) {
            Ok(have) => match exp.get("value") {
                Some(want) if same(&blur(want), &blur(&have)) => None,
                None if want_err.is_none() && have.is_null() => None,
                want => Some(format!("VALUE want {want:?} {want_err:?} have {have:?}")),
            },
            Err(err) if Some(err.name().to_owned()) == want_err => None,
            Err(err) => Some(format!("CALL want {want_err:?} {:?} have {err:?}", exp.get("value"))),
        },
        _ => None,
    }
}
