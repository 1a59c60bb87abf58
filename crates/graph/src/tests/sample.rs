//! The sample cortex of the shared vectors: it opens, its lifts give what they gave, its log makes its rows again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use myelin_model::{ExtModel, Model, NormCx, StorCmpr, StorType};
use myelin_slab::{Reads, Writer};
use myelin_value::{Buid, Map, Value, msgpack};
use serde_json::Value as Json;

use crate::index::hex_bytes;
use crate::testing::{shared_lines, shared_path, untag, untar};
use crate::{Layer, Lift, LiftBy, View, unpack_edits};

const DEFAULT_LAYER: &str = "fdbe5144eaff88fad08a8dba33444b63";

struct Sample {
    writer: Writer,
    dir: tempfile::TempDir,
    expected: Json,
}

impl Sample {
    fn open() -> Option<Sample> {
        let path = shared_path("spec/vectors/storage/cortex.tar.gz")?;
        let text = std::fs::read_to_string(shared_path("spec/vectors/storage/cortex.expected.json")?).expect("text");
        let dir = tempfile::tempdir().expect("dir");
        untar(&path, dir.path());
        let expected = serde_json::from_str(&text).expect("JSON");
        Some(Sample { writer: Writer::start("test").expect("writer"), dir, expected })
    }

    fn layer(&self, iden: &str) -> Arc<Layer> {
        let dir = self.dir.path().join("cortex/layers").join(iden);
        Layer::open(&self.writer, &dir, Map::new().with("iden", iden)).expect("layer")
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = self.writer.fini();
    }
}

#[test]
fn layers_of_the_sample_open_with_their_counts_and_nodes() {
    let Some(sample) = Sample::open() else { return };
    for want in sample.expected["layers"].as_array().expect("layers") {
        let layer = sample.layer(want["iden"].as_str().expect("iden"));
        assert_eq!(layer.edit_indx(), want["editindx"].as_u64().expect("indx"));
        assert_eq!(layer.edit_size().expect("size"), want["editsize"].as_u64().expect("size"));
        assert_eq!(layer.sode_count().expect("count"), want["nodecount"].as_u64().expect("count"));
        let counts: BTreeMap<String, i64> = layer.form_counts().into_iter().collect();
        let expected = want["formcounts"].as_object().expect("counts");
        let expected = expected.iter().map(|(form, count)| (form.clone(), count.as_i64().expect("count"))).collect();
        assert_eq!(counts, expected);
        layer.fini().expect("fini");
    }
    let layer = sample.layer(DEFAULT_LAYER);
    let view = View::new(Map::new().with("iden", "v"), vec![layer]).expect("view");
    for want in sample.expected["nodes"].as_array().expect("nodes") {
        let buid = Buid::from_hex(want["iden"].as_str().expect("iden")).expect("buid");
        let node = view.node(&buid).expect("node").expect("there");
        assert_eq!(node.ndef(), untag(&want["ndef"]));
        let props: Map =
            node.props().expect("props").into_iter().map(|(name, valu)| (Value::Str(name), valu)).collect();
        assert_eq!(Value::from(props), untag(&want["props"]));
        let tags: Map = node.tags().expect("tags").into_iter().map(|(name, valu)| (Value::Str(name), valu)).collect();
        assert_eq!(Value::from(tags), untag(&want["tags"]));
    }
}

#[test]
fn lifts_of_the_sample_give_what_they_gave() {
    let Some(sample) = Sample::open() else { return };
    let mut model = Model::builtin().expect("model");
    ext_model(&sample.expected["extmodel"]).load(&mut model);
    let model = Arc::new(model);
    let cx = NormCx::new(model.clone());
    let layers: BTreeMap<String, Arc<Layer>> = sample.expected["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| layer["iden"].as_str().expect("iden"))
        .map(|iden| (iden.to_owned(), sample.layer(iden)))
        .collect();
    let mut done = 0;
    for (name, lifts) in [("default", "lifts"), ("forked", "lifts_fork"), ("second", "lifts_second")] {
        let views = sample.expected["views"].as_array().expect("views");
        let view = views.iter().find(|view| view["name"] == name).expect("view");
        let stack = view["layers"].as_array().expect("layers").iter();
        let stack = stack.map(|iden| layers[iden.as_str().expect("iden")].clone()).collect();
        let view = View::new(Map::new().with("iden", name), stack).expect("view");
        for want in sample.expected[lifts].as_array().expect("lifts") {
            let query = want["query"].as_str().expect("query");
            let Some(lift) = parse_lift(&model, &cx, query) else { continue };
            let lift = match lift {
                Ok(lift) => lift,
                Err(error) => {
                    assert!(want.get("err").is_some_and(|err| err[0] == error.name()), "{query}: {error}");
                    continue;
                }
            };
            let have: Vec<String> = view.lift(lift).map(|node| node.expect("node").iden()).collect();
            let nodes = want["nodes"].as_array().expect("nodes");
            let nodes: Vec<&str> = nodes.iter().map(|node| node[0].as_str().expect("iden")).collect();
            assert_eq!(have, nodes, "{name}: {query}");
            done += 1;
        }
    }
    assert!(done > 140, "only {done} lifts were understood");
}

/// The extended model of the recording: lists by kind, each definition under its name.
fn ext_model(json: &Json) -> ExtModel {
    let all = untag(json);
    ExtModel::default().missing_from(&all).expect("extended model")
}

/// The lifts among the recorded queries, as far as they are no more than that.
fn parse_lift(model: &Model, cx: &NormCx, query: &str) -> Option<myelin_error::Result<Lift>> {
    if let Some(inner) = query.strip_prefix("reverse(").and_then(|query| query.strip_suffix(')')) {
        return Some(parse_lift(model, cx, inner)?.map(|lift| lift.reversed(true)));
    }
    if let Some(name) = query.strip_prefix("yield $lib.lift.byNodeData(") {
        return Some(Ok(Lift::all(LiftBy::DataName { name: Arc::from(name.strip_suffix(')')?) })));
    }
    if ["->", "<-", "-(", "<(", "|", "-#"].iter().any(|mark| query.contains(mark)) && !query.contains('"') {
        return None;
    }
    let end = query.find(|ch: char| "=<>^~@*".contains(ch)).unwrap_or(query.len());
    let (name, rest) = query.split_at(end);
    let (array, rest) = match rest.strip_prefix("*[") {
        Some(rest) => (true, rest.strip_suffix(']')?),
        None => (false, rest.strip_prefix('*').unwrap_or(rest)),
    };
    let at = rest.find(|ch: char| !"=<>^~@".contains(ch) && !ch.is_ascii_lowercase()).unwrap_or(rest.len());
    let at = rest.find('=').map_or(at.min(1), |equal| equal + 1);
    let (op, text) =
        if rest.starts_with(['<', '>']) && !rest[1..].starts_with('=') { rest.split_at(1) } else { rest.split_at(at) };
    let valu = parse_valu(text.trim());
    Some(make_lift(model, cx, name, op, &valu, array))
}

fn make_lift(
    model: &Model,
    cx: &NormCx,
    name: &str,
    op: &str,
    valu: &Value,
    array: bool,
) -> myelin_error::Result<Lift> {
    let text = |text: &str| Arc::<str>::from(text);
    if let Some((form, tag)) = name.split_once('#') {
        let form = (!form.is_empty()).then(|| text(form));
        if let Some((tag, prop)) = tag.split_once(':') {
            let by = LiftBy::TagProp { form, tag: text(tag), prop: text(prop) };
            if op.is_empty() {
                return Ok(Lift::all(by));
            }
            return Ok(Lift::by_valu(by, model.tagprop(prop).expect("tagprop").typ.lift_cmprs(cx, op, valu)?));
        }
        let by = LiftBy::Tag { tag: text(tag), form };
        if op.is_empty() {
            return Ok(Lift::all(by));
        }
        let value = model.req_type("ival")?.norm(cx, valu)?.value;
        return Ok(Lift::by_valu(by, vec![StorCmpr { op: "@=", value, stortype: StorType::IVAL }]));
    }
    let prop = model.req_prop(name)?;
    let own = (!prop.is_form).then(|| prop.name.clone());
    let by = match own.clone() {
        _ if array => LiftBy::Array { form: prop.form.clone(), prop: own },
        None => LiftBy::Form { form: prop.name.clone() },
        Some(own) => LiftBy::Prop { form: prop.form.clone(), prop: own },
    };
    if op.is_empty() {
        return Ok(Lift::all(by));
    }
    let typ = if array { prop.typ.array_type().expect("array") } else { &prop.typ };
    Ok(Lift::by_valu(by, typ.lift_cmprs(cx, op, valu)?))
}

/// Text, quoted text, or a list in parentheses.
fn parse_valu(text: &str) -> Value {
    if let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return Value::from(inner);
    }
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return Value::from(text);
    };
    let mut items = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, ch) in inner.char_indices() {
        match ch {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(parse_valu(inner[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(parse_valu(inner[start..].trim()));
    Value::list(items)
}

type Rows = BTreeMap<(String, String), BTreeSet<(Vec<u8>, Vec<u8>)>>;

fn rows_of(layer: &Layer) -> Rows {
    layer.commit().expect("commit");
    let mut rows = Rows::new();
    for (slab, name) in layer.slabs().into_iter().zip(["layer_v2", "nodedata", "nodeedits"]) {
        let txn = slab.read_fresh().expect("txn");
        for table in slab.table_names().expect("names") {
            let into = rows.entry((name.to_owned(), table.clone())).or_default();
            let table = slab.find_table(&table).expect("table").expect("there");
            for row in txn.iter(table).expect("rows") {
                let (key, valu) = row.expect("row");
                into.insert((key.to_vec(), valu.to_vec()));
            }
        }
    }
    rows
}

/// Replays the log of the sample's default layer into a new one: every row must come out again, abbreviations too.
#[test]
fn the_log_of_the_sample_makes_its_rows_again() {
    let Some(sample) = Sample::open() else { return };
    let Some(lines) = shared_lines("spec/vectors/storage/layer_rows.jsonl") else { return };
    let old = sample.layer(DEFAULT_LAYER);
    let dir = sample.dir.path().join("again");
    let new = Layer::open(&sample.writer, &dir, Map::new().with("iden", "again")).expect("layer");
    for (offs, edits, meta) in old.edit_page(0, usize::MAX, false).expect("page") {
        let edits = unpack_edits(&edits).expect("edits");
        sample.writer.run(|cx| new.apply_edits(cx, &edits, &meta, Some(offs)).map(drop)).expect("apply");
    }
    let have = rows_of(&new);
    let mut want = Rows::new();
    for line in &lines {
        let text = |name: &str| line[name].as_str().expect("text").to_owned();
        let byts = |name: &str| hex_bytes(&text(name)).expect("hex");
        want.entry((text("slab"), text("db"))).or_default().insert((byts("k"), byts("v")));
    }
    for (table, rows) in &want {
        let have = &have[table];
        let missing: Vec<String> = rows.difference(have).take(5).map(|row| format!("{row:02x?}")).collect();
        assert!(missing.is_empty(), "{table:?} has not {missing:?}");
        if table.1 != "nodeedits" && table.1 != "count:forms" {
            let more: Vec<String> = have.difference(rows).take(5).map(|row| format!("{row:02x?}")).collect();
            assert!(more.is_empty(), "{table:?} has {more:?}");
        }
    }
    let sodes = ("layer_v2".to_owned(), "bybuidv3".to_owned());
    let old_rows = rows_of(&old);
    let decode = |rows: &Rows| -> BTreeMap<Vec<u8>, Value> {
        rows[&sodes].iter().map(|(key, valu)| (key.clone(), msgpack::decode(valu).expect("sode"))).collect()
    };
    assert_eq!(decode(&have).len(), decode(&old_rows).len());
    for (buid, sode) in decode(&old_rows) {
        let again = &decode(&have)[&buid];
        for key in ["form", "valu", "props", "tags", "tagprops"] {
            let full = |sode: &Value| sode.get(key).filter(|valu| valu.is_truthy()).cloned();
            assert_eq!(full(again), full(&sode), "{key} of {}", hex::encode(&buid));
        }
    }
}
