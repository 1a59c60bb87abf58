//! Recorded norms, prints, lifts, filters and merges of the reference, asked of our types.
//!
//! The vectors lie outside the repository (`MYELIN_SHARED`, or `../shared` beside it); without them the test says that
//! it is skipped. What differs on purpose is listed in `norm_known_differences.txt`: a prefix of the record's hash and
//! the reason. Set `MYELIN_NORM_REPORT` to a file to have every failure written there, `MYELIN_NORM_VECTORS` to ask other
//! records of the same form.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use myelin_error::{Error, Result, is_known};
use myelin_model::types::{BASE_TYPES, CtorKind, Decimal};
use myelin_model::{Norm, NormCx, NormEnv, StorCmpr, StorType, Type, TypeResolver};
use myelin_value::{BigInt, Map, Value, guid_of};
use serde_json::Value as Json;

fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let dir = std::env::var_os("MYELIN_SHARED").map_or_else(beside, PathBuf::from);
    let found = dir.join("reference/norm_vectors.jsonl.gz").is_file();
    if !found {
        eprintln!("skipped: no recorded norms beside the repository");
    }
    found.then_some(dir)
}

/// An input: numbers and nodes are not values.
enum Input {
    Plain(Value),
    Number(Decimal),
    Node(String, Value),
}

/// The tags of values that JSON does not have; other maps are maps, even with such a key.
const TAGS: &[&str] = &["$int", "$float", "$dec", "$number", "$bytes", "$tuple", "$set", "$dict", "$node", "$str"];

/// A tagged JSON value. `None` when it holds a kind that values do not have (a decimal inside a list).
fn decode(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(valu) => Value::from(*valu),
        Json::Number(number) => match number.as_i64() {
            Some(valu) => Value::from(valu),
            None => Value::from(number.as_f64()?),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(decode).collect::<Option<Vec<_>>>()?),
        Json::Object(map) => match map.iter().next() {
            Some((tag, inner)) if TAGS.contains(&tag.as_str()) && map.len() == 1 => decode_tagged(tag, inner)?,
            _ => {
                let mut out = Map::new();
                for (key, valu) in map {
                    out.insert(key.as_str(), decode(valu)?);
                }
                Value::from(out)
            }
        },
    })
}

fn decode_tagged(tag: &str, inner: &Json) -> Option<Value> {
    Some(match tag {
        "$int" => Value::from(inner.as_str()?.parse::<BigInt>().ok()?),
        "$float" => Value::from(inner.as_str()?.parse::<f64>().ok()?),
        "$bytes" => Value::from(&hex::decode(inner.as_str()?).ok()?[..]),
        "$tuple" => decode(inner)?,
        "$str" => Value::from_wtf8(&hex::decode(inner.as_str()?).ok()?)?,
        "$dict" => {
            let mut out = Map::new();
            for pair in inner.as_array()? {
                out.insert(decode(pair.get(0)?)?, decode(pair.get(1)?)?);
            }
            Value::from(out)
        }
        _ => return None,
    })
}

fn decode_input(json: &Json) -> Option<Input> {
    let number = json.get("$dec").or_else(|| json.get("$number")).and_then(Json::as_str);
    if let Some(text) = number {
        return Decimal::parse(text).map(Input::Number);
    }
    if let Some(node) = json.get("$node") {
        return Some(Input::Node(node.get(0)?.as_str()?.to_owned(), decode(node.get(1)?)?));
    }
    decode(json).map(Input::Plain)
}

/// The model as the recorded tables have it: enough to find types, forms and properties.
struct Tables {
    model: Json,
    types: RwLock<HashMap<String, Arc<Type>>>,
}

impl TypeResolver for Tables {
    fn type_by_name(&self, name: &str) -> Option<Arc<Type>> {
        self.types.read().expect("no panic while writing").get(name).cloned()
    }

    fn form_name(&self, name: &str) -> Option<Arc<str>> {
        self.model["forms"].get(name).map(|_| Arc::from(name))
    }

    fn form_implements(&self, form: &str, iface: &str) -> bool {
        self.has_iface(&self.model["types"][form]["interfaces"], iface)
    }

    fn prop_type(&self, full: &str) -> Option<(Arc<str>, Arc<Type>)> {
        if let Some(form) = self.form_name(full) {
            return Some((form, self.type_by_name(full)?));
        }
        let decl = if full.starts_with('.') {
            self.model["univs"].get(full)?
        } else {
            full.char_indices().filter(|(_, ch)| matches!(ch, ':' | '.')).find_map(|(at, ch)| {
                let prop = if ch == '.' { &full[at..] } else { &full[at + 1..] };
                self.model["forms"].get(&full[..at])?["props"].get(prop)
            })?
        };
        let opts = decode(&decl["type"][1]).and_then(|opts| opts.as_map().cloned()).unwrap_or_default();
        let typ = self.type_by_name(decl["type"][0].as_str()?)?.with_opts(self, &opts).ok()?;
        Some((Arc::from(full), typ))
    }
}

impl Tables {
    /// Whether a list of interfaces holds one, or one that descends from it.
    fn has_iface(&self, ifaces: &Json, iface: &str) -> bool {
        let mut names = ifaces.as_array().into_iter().flatten().filter_map(Json::as_str);
        names.any(|have| have == iface || self.has_iface(&self.model["interfaces"][have]["interfaces"], iface))
    }

    fn load(dir: &std::path::Path) -> Arc<Tables> {
        let text = std::fs::read(dir.join("reference/model.json")).expect("the recorded model");
        let model: Json = serde_json::from_slice(&text).expect("JSON");
        let made = Arc::new(Tables { model, types: RwLock::default() });
        for base in BASE_TYPES {
            made.add(base.name, Type::from_ctor(&*made, base.name, base.ctor, &base.opts(), &Map::new()));
        }
        let mut left: Vec<(&String, &Json)> = made.model["types"].as_object().expect("types").iter().collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|(name, decl)| !made.declare(name, decl));
            assert!(left.len() < before, "types whose parents are never declared: {:?}", left.first());
        }
        made
    }

    fn add(&self, name: &str, made: Result<Arc<Type>>) {
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        self.types.write().expect("no panic while writing").insert(name.to_owned(), made);
    }

    /// Declares a type, unless something it needs is not there yet.
    fn declare(&self, name: &str, decl: &Json) -> bool {
        if self.type_by_name(name).is_some() {
            return true;
        }
        let opts = decode(&decl["declopts"]).and_then(|opts| opts.as_map().cloned()).unwrap_or_default();
        let made = match decl["subof"].as_str() {
            Some(base) => match self.type_by_name(base) {
                Some(base) => base.extend(self, name, &opts, &Map::new()),
                None => return false,
            },
            None => {
                let ctor = CtorKind::from_path(decl["ctor"].as_str().unwrap_or_default()).expect("a constructor");
                Type::from_ctor(self, name, ctor, &opts, &Map::new())
            }
        };
        if let Ok(made) = made {
            self.types.write().expect("no panic while writing").insert(name.to_owned(), made);
            return true;
        }
        false
    }

    /// The type of a record: the named one when its options fit, else one made for it.
    fn record_type(&self, record: &Json) -> Result<Arc<Type>> {
        let name = record["type"].as_str().unwrap_or_default();
        let opts = decode(&record["opts"]).and_then(|opts| opts.as_map().cloned()).unwrap_or_default();
        if let Some(found) = self.type_by_name(name)
            && found.opts == opts
        {
            return Ok(found);
        }
        let ctor = CtorKind::from_path(record["ctor"].as_str().unwrap_or_default()).expect("a constructor");
        Type::from_ctor(self, name, ctor, &opts, &Map::new())
    }
}

struct Fixed;

impl NormEnv for Fixed {}

fn norm_input(ty: &Type, cx: &NormCx, input: &Input) -> Result<Norm> {
    match input {
        Input::Plain(valu) => ty.norm(cx, valu),
        Input::Number(number) => ty.norm_number(cx, number),
        Input::Node(form, valu) => ty.norm_node(cx, form, valu),
    }
}

fn req_plain(input: Option<Input>) -> Option<Value> {
    match input? {
        Input::Plain(valu) => Some(valu),
        _ => None,
    }
}

/// The info map without what is empty, and without what inner infos leave empty.
fn trim_info(info: &Value) -> Value {
    let mut out = Map::new();
    for (key, valu) in info.as_map().into_iter().flat_map(Map::text_entries) {
        let empty = !valu.is_truthy();
        let valu = match key {
            "adds" => Value::list(valu.as_list().unwrap_or_default().iter().map(|add| {
                let parts = add.as_list().unwrap_or_default();
                let [form, norm, info] = parts else { return add.clone() };
                Value::list([form.clone(), norm.clone(), trim_info(info)])
            })),
            _ => valu.clone(),
        };
        if !empty {
            out.insert(key, valu);
        }
    }
    Value::from(out)
}

fn lifts_value(lifts: &[StorCmpr]) -> Value {
    Value::list(
        lifts.iter().map(|lift| Value::list([Value::from(lift.op), lift.value.clone(), Value::from(lift.stortype)])),
    )
}

/// What our side answers. `None` when the record cannot be asked.
fn answer(ty: &Arc<Type>, cx: &NormCx, record: &Json) -> Option<Result<Value>> {
    let cmpr = record["cmpr"].as_str().unwrap_or_default();
    Some(match record["k"].as_str()? {
        "norm" => norm_input(ty, cx, &decode_input(&record["in"])?)
            .map(|norm| Value::list([norm.value.clone(), trim_info(&norm.info.pack())])),
        "repr" => ty.repr(cx, &decode(&record["in"])?),
        "lift" => ty.lift_cmprs(cx, cmpr, &req_plain(decode_input(&record["in"]))?).map(|lifts| lifts_value(&lifts)),
        "filt" => {
            let made = ty.cmpr_ctor(cx, cmpr, &req_plain(decode_input(&record["in"]))?);
            match record.get("valu") {
                Some(valu) => {
                    let valu = decode(valu)?;
                    made.and_then(|made| made(&valu)).map(Value::from)
                }
                None => made.map(|_| Value::from("made")),
            }
        }
        "cmpr" => ty.cmpr(cx, &decode(&record["a"])?, cmpr, &decode(&record["b"])?).map(Value::from),
        "merge" => Ok(ty.merge(&decode(&record["a"])?, &decode(&record["b"])?)),
        _ => return None,
    })
}

/// What the record expects, in the same shape.
fn expected(record: &Json) -> Option<Result<Value>> {
    if let Some(name) = record["err"].as_str() {
        return Some(Err(Error::new(name.to_owned())));
    }
    let out = decode(&record["out"])?;
    Some(Ok(match record["k"].as_str()? {
        "norm" => Value::list([out, trim_info(&decode(&record["info"])?)]),
        _ => out,
    }))
}

fn same(have: &Result<Value>, want: &Result<Value>) -> bool {
    match (have, want) {
        (Ok(have), Ok(want)) => have == want,
        // Errors of the host language have no name of ours.
        (Err(have), Err(want)) => !is_known(want.name()) || have.name() == want.name(),
        _ => false,
    }
}

struct Score {
    total: usize,
    unasked: usize,
    known: usize,
    failed: usize,
    /// Errors of the right name with other info keys, in records that have them.
    keys: HashMap<String, (usize, String)>,
    classes: HashMap<String, (usize, Vec<String>)>,
    report: String,
}

impl Score {
    fn fail(&mut self, record: &Json, line: &str, have: &Result<Value>) {
        self.failed += 1;
        let class = format!(
            "{} {} {} {}",
            record["ctor"].as_str().unwrap_or_default(),
            record["k"].as_str().unwrap_or_default(),
            record["cmpr"].as_str().unwrap_or_default(),
            record["err"].as_str().map_or("ok", |err| err),
        );
        let entry = self.classes.entry(class).or_default();
        entry.0 += 1;
        let text = format!("{} {line}\n    ours: {have:?}", record_id(line));
        if entry.1.len() < 3 {
            entry.1.push(text.clone());
        }
        let _ = writeln!(self.report, "{text}");
    }
}

impl Score {
    fn check_keys(&mut self, record: &Json, line: &str, error: &Error, keys: &[Json]) {
        let mut want: Vec<&str> = keys.iter().filter_map(Json::as_str).filter(|key| *key != "mesg").collect();
        let mut have: Vec<&str> =
            error.info().text_entries().map(|(key, _)| key).filter(|key| *key != "mesg").collect();
        want.sort_unstable();
        have.sort_unstable();
        if want != have {
            let class = format!("{} {} {want:?} not {have:?}", record["ctor"], record["k"]);
            let entry = self.keys.entry(class).or_insert_with(|| (0, line.to_owned()));
            entry.0 += 1;
            return;
        }
        for (key, want) in record["errinfo"].as_object().into_iter().flatten() {
            if decode(want).as_ref() != error.info().get(key) {
                let class = format!("{} {} value of {key}", record["ctor"], record["k"]);
                let entry =
                    self.keys.entry(class).or_insert_with(|| (0, format!("{line} not {:?}", error.info().get(key))));
                entry.0 += 1;
            }
        }
    }
}

fn record_id(line: &str) -> String {
    guid_of(&Value::from(line))[..12].to_owned()
}

fn known_differences() -> Vec<String> {
    let text = include_str!("norm_known_differences.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn recorded_norms_are_ours() {
    let Some(dir) = shared() else { return };
    let tables = Tables::load(&dir);
    let cx = NormCx::new(tables.clone()).with_env(Arc::new(Fixed));
    let known = known_differences();
    let other = std::env::var_os("MYELIN_NORM_VECTORS").map(PathBuf::from);
    let path = other.unwrap_or_else(|| dir.join("reference/norm_vectors.jsonl.gz"));
    let file = std::fs::File::open(path).expect("the vectors");
    let mut score = Score {
        total: 0,
        unasked: 0,
        known: 0,
        failed: 0,
        keys: HashMap::new(),
        classes: HashMap::new(),
        report: String::new(),
    };
    let mut made: HashMap<String, Arc<Type>> = HashMap::new();
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
        let line = line.expect("text");
        let record: Json = serde_json::from_str(&line).expect("JSON");
        score.total += 1;
        let key = format!("{}{}{}", record["type"], record["ctor"], record["opts"]);
        let ty = match made.get(&key) {
            Some(ty) => ty.clone(),
            None => match tables.record_type(&record) {
                Ok(ty) => made.entry(key).or_insert(ty).clone(),
                Err(error) => {
                    score.fail(&record, &line, &Err(error));
                    continue;
                }
            },
        };
        let (Some(want), Some(have)) = (expected(&record), answer(&ty, &cx, &record)) else {
            score.unasked += 1;
            continue;
        };
        if let (Err(error), Some(keys)) = (&have, record["errkeys"].as_array())
            && is_known(record["err"].as_str().unwrap_or_default())
            && same(&have, &want)
        {
            score.check_keys(&record, &line, error, keys);
        }
        if !same(&have, &want) {
            if known.contains(&record_id(&line)) {
                score.known += 1;
            } else {
                score.fail(&record, &line, &have);
            }
        }
    }
    if let Some(path) = std::env::var_os("MYELIN_NORM_REPORT") {
        std::fs::write(path, &score.report).expect("the report");
    }
    let mut classes: Vec<_> = score.classes.iter().collect();
    classes.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (class, (count, examples)) in classes.iter().take(40) {
        eprintln!("{count:6} {class}");
        for example in examples.iter().take(1) {
            eprintln!("         {}", example.chars().take(600).collect::<String>());
        }
    }
    for (class, (count, line)) in &score.keys {
        eprintln!("KEYS {count:6} {class} {}", line.chars().take(2000).collect::<String>());
    }
    let Score { total, unasked, known, failed, .. } = score;
    eprintln!("{total} records, {unasked} not askable, {known} known to differ, {failed} failed");
    assert_eq!(failed, 0, "records that differ and are not listed");
    assert!((known + unasked) * 1000 < total, "at most one in a thousand may differ");
}

#[test]
fn types_are_described_alike() {
    let Some(dir) = shared() else { return };
    let tables = Tables::load(&dir);
    let mut wrong = Vec::new();
    for (name, decl) in tables.model["types"].as_object().expect("types") {
        let ty = tables.type_by_name(name).expect("declared");
        if name == "geo:json" {
            // Its schema is recorded without its titles and not as declared, so neither can be compared.
            continue;
        }
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            Value::from(names)
        };
        let checks = [
            ("stortype", Value::from(ty.stortype)),
            ("cmprs", sorted(ty.cmpr_names())),
            ("lifts", sorted(ty.lift_names())),
            ("typehash", Value::from(&ty.typehash)),
            ("opts", Value::from(ty.opts.clone())),
        ];
        for (what, have) in checks {
            if decode(&decl[what]).as_ref() != Some(&have) {
                wrong.push(format!("{name} {what}: {have:?} is not {}", decl[what]));
            }
        }
    }
    for line in wrong.iter().take(40) {
        eprintln!("{line}");
    }
    assert!(wrong.is_empty(), "{} descriptions differ", wrong.len());
    assert_eq!(StorType::UTF8.array().code(), 32769);
}
