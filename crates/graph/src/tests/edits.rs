//! What edits do to a layer, and what a fork shows.

use std::sync::Arc;

use myelin_model::{StorCmpr, StorType};
use myelin_slab::Writer;
use myelin_value::{Buid, Map, Value, ndef_buid};

use crate::{EditOp, Layer, Lift, LiftBy, NodeEdit, SodeRef, View};

struct Fixture {
    writer: Writer,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { writer: Writer::start("test").expect("writer"), dir: tempfile::tempdir().expect("dir") }
    }

    fn layer(&self, name: &str) -> Arc<Layer> {
        let info = Map::new().with("iden", name);
        Layer::open(&self.writer, &self.dir.path().join(name), info).expect("layer")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.writer.fini();
    }
}

fn meta() -> Value {
    Value::from(Map::new().with("time", 1000).with("user", "u"))
}

fn asn(numb: i64) -> Buid {
    ndef_buid("inet:asn", &Value::from(numb))
}

fn edit(numb: i64, ops: Vec<EditOp>) -> NodeEdit {
    NodeEdit::new(asn(numb), Arc::from("inet:asn"), ops)
}

fn add(numb: i64) -> EditOp {
    EditOp::NodeAdd { valu: Value::from(numb), stor: StorType::I64 }
}

fn set(prop: &str, valu: impl Into<Value>, stor: StorType) -> EditOp {
    EditOp::PropSet { prop: Arc::from(prop), valu: valu.into(), old: Value::Null, stor }
}

fn ival(min: i64, max: i64) -> Value {
    Value::list([Value::from(min), Value::from(max)])
}

fn save(layer: &Layer, edits: &[NodeEdit]) -> Vec<NodeEdit> {
    layer.save_edits(edits, &meta()).expect("edits").1
}

fn by_name(name: &str) -> LiftBy {
    LiftBy::Prop { form: Some(Arc::from("inet:asn")), prop: Arc::from(name) }
}

#[test]
fn an_added_node_is_read_before_and_after_the_commit() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    let done = save(&layer, &[edit(1, vec![add(1), set("name", "foo", StorType::UTF8)])]);
    let ops: Vec<i64> = done[0].edits.iter().map(|edit| edit.op.code()).collect();
    assert_eq!(ops, [0, 2, 2]);
    for _ in 0..2 {
        let byts = layer.sode(&asn(1)).expect("sode").expect("stored");
        let sode = SodeRef::new(&byts);
        assert_eq!(sode.prop("name").expect("prop"), Some((Value::from("foo"), StorType::UTF8)));
        assert_eq!(sode.prop(".created").expect("prop"), Some((Value::from(1000), StorType::MINTIME)));
        layer.commit().expect("commit");
    }
    assert_eq!(layer.form_count("inet:asn"), 1);
    assert_eq!(layer.prop_count(None, Some(".created")).expect("count"), 1);
    // Again: nothing changes, and nothing is logged.
    let size = layer.edit_size().expect("size");
    let done = save(&layer, &[edit(1, vec![add(1), set("name", "foo", StorType::UTF8)])]);
    assert!(done[0].edits.is_empty());
    assert_eq!(layer.edit_size().expect("size"), size);
}

#[test]
fn values_merge_by_their_storage_type() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    save(&layer, &[edit(1, vec![add(1), set(".seen", ival(5, 9), StorType::IVAL)])]);
    let done = save(
        &layer,
        &[edit(
            1,
            vec![
                set(".seen", ival(7, 12), StorType::IVAL),
                set("min", 5, StorType::MINTIME),
                set("min", 7, StorType::MINTIME),
                set("max", 5, StorType::MAXTIME),
                set("max", 7, StorType::MAXTIME),
            ],
        )],
    );
    let got: Vec<&EditOp> = done[0].edits.iter().map(|edit| &edit.op).collect();
    assert_eq!(got.len(), 4, "setting a later minimum is a no-op");
    let EditOp::PropSet { valu, old, .. } = got[0] else { panic!("{got:?}") };
    assert_eq!((valu, old), (&ival(5, 12), &ival(5, 9)));
    assert_eq!(layer.prop_count(Some("inet:asn"), Some(".seen")).expect("count"), 1);
}

#[test]
fn a_bare_tag_replaces_an_interval() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    let tag = |valu: Value| EditOp::TagSet { tag: Arc::from("foo"), valu, old: Value::Null };
    let bare = || Value::list([Value::Null, Value::Null]);
    save(&layer, &[edit(1, vec![add(1), tag(ival(5, 9)), tag(ival(2, 6))])]);
    let read = || SodeRef::new(&layer.sode(&asn(1)).expect("sode").expect("stored")).tag("foo").expect("tag");
    assert_eq!(read(), Some(ival(2, 9)));
    save(&layer, &[edit(1, vec![tag(bare())])]);
    assert_eq!(read(), Some(bare()));
}

#[test]
fn nothing_is_left_of_a_deleted_node() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    let text = Arc::<str>::from;
    save(
        &layer,
        &[edit(
            1,
            vec![
                add(1),
                EditOp::DataSet { name: text("foo"), valu: Value::from(3), old: Value::Null },
                EditOp::EdgeAdd { verb: text("refs"), n2: asn(2) },
                EditOp::TagSet { tag: text("t"), valu: ival(1, 2), old: Value::Null },
            ],
        )],
    );
    assert!(layer.has_edge(&asn(1), "refs", &asn(2)).expect("edge"));
    assert_eq!(layer.node_data(&asn(1), "foo").expect("data"), Some(Value::from(3)));
    save(
        &layer,
        &[edit(
            1,
            vec![
                EditOp::TagDel { tag: text("t"), old: Value::Null },
                EditOp::PropDel { prop: text(".created"), old: Value::Null, stor: StorType::MINTIME },
                EditOp::NodeDel { old: Value::Null, stor: StorType::I64 },
            ],
        )],
    );
    assert!(layer.sode(&asn(1)).expect("sode").is_none());
    assert!(!layer.has_edge(&asn(1), "refs", &asn(2)).expect("edge"));
    assert!(!layer.has_node_data(&asn(1), "foo").expect("data"));
    layer.commit().expect("commit");
    let txn = layer.slab.read().expect("txn");
    use myelin_slab::Reads;
    let tables = &layer.tables;
    for table in [tables.bybuid, tables.byform, tables.byprop, tables.bytag, tables.byverb, tables.edgesn2] {
        assert_eq!(txn.entries(table).expect("entries"), 0, "{table:?}");
    }
    assert_eq!(layer.form_count("inet:asn"), 0);
}

#[test]
fn what_cannot_be_indexed_is_refused_as_a_whole() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    let bad = edit(1, vec![add(1), set("name", i64::MIN, StorType::I64)]);
    assert!(layer.save_edits(&[bad], &meta()).expect_err("refused").is("BadTypeValu"));
    assert!(layer.sode(&asn(1)).expect("sode").is_none());
    assert_eq!(layer.edit_indx(), 0);
}

#[test]
fn subedits_follow_a_change_only() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    let mut first = edit(1, vec![add(1)]);
    first.edits[0].subs = vec![edit(2, vec![add(2)])];
    assert_eq!(save(&layer, std::slice::from_ref(&first)).len(), 2);
    assert_eq!(save(&layer, &[first]).len(), 1);
}

#[test]
fn a_fork_shows_its_own_values_and_the_rest() {
    let fix = Fixture::new();
    let (low, top) = (fix.layer("low"), fix.layer("top"));
    let view = View::new(Map::new().with("iden", "v"), vec![top.clone(), low.clone()]).expect("view");
    for (numb, name) in [(1, "a"), (2, "b"), (3, "c")] {
        save(&low, &[edit(numb, vec![add(numb), set("name", name, StorType::UTF8)])]);
    }
    save(&top, &[edit(2, vec![set("name", "z", StorType::UTF8)]), edit(4, vec![add(4)])]);
    // An orphan: a property without a node.
    save(&top, &[edit(5, vec![set("name", "y", StorType::UTF8)])]);
    let values = |lift: Lift| -> Vec<i64> {
        view.lift(lift).map(|node| node.expect("node").valu().as_i64().expect("int")).collect()
    };
    assert_eq!(values(Lift::all(LiftBy::Form { form: Arc::from("inet:asn") })), [1, 2, 3, 4]);
    assert_eq!(values(Lift::all(by_name("name"))), [1, 3, 2]);
    assert_eq!(values(Lift::all(by_name("name")).reversed(true)), [2, 3, 1]);
    let equal = |text: &str| {
        let cmpr = StorCmpr { op: "=", value: Value::from(text), stortype: StorType::UTF8 };
        values(Lift::by_valu(by_name("name"), vec![cmpr]))
    };
    assert!(equal("b").is_empty());
    assert_eq!(equal("z"), [2]);
    assert_eq!(view.count(Lift::all(by_name("name"))).expect("count"), 3);
    let node = view.node(&asn(2)).expect("node").expect("there");
    assert_eq!(node.get("name").expect("prop"), Some(Value::from("z")));
    assert_eq!(node.get_seen("name").expect("prop").expect("set").layer, 0);
    // A handle sees a later edit.
    save(&top, &[edit(2, vec![set("name", "zz", StorType::UTF8)])]);
    assert_eq!(node.get("name").expect("prop"), Some(Value::from("zz")));
}

#[test]
fn edges_of_layers_come_sorted_and_once() {
    let fix = Fixture::new();
    let (low, top) = (fix.layer("low"), fix.layer("top"));
    let view = View::new(Map::new().with("iden", "v"), vec![top.clone(), low.clone()]).expect("view");
    let edge = |verb: &str, numb| EditOp::EdgeAdd { verb: Arc::from(verb), n2: asn(numb) };
    save(&low, &[edit(1, vec![add(1), edge("seen", 2), edge("refs", 2)])]);
    save(&top, &[edit(1, vec![edge("seen", 2), edge("aaa", 2)])]);
    let verbs = |verb: Option<&str>| -> Vec<String> {
        view.edges_n1(&asn(1), verb).expect("edges").map(|row| row.expect("edge").verb.to_string()).collect()
    };
    assert_eq!(verbs(None), ["aaa", "refs", "seen"]);
    // As in the original, a verb also finds those that continue it.
    assert_eq!(verbs(Some("see")), ["seen"]);
    let into: Vec<Buid> =
        view.edges_n2(&asn(2), Some("refs")).expect("edges").map(|row| row.expect("edge").n2).collect();
    assert_eq!(into, [asn(1)]);
    assert_eq!(view.edge_verbs(&asn(1), &asn(2)).expect("verbs"), ["aaa", "refs", "seen"]);
}

#[test]
fn walks_and_nodes_may_change_threads() {
    fn is_send<T: Send>() {}
    is_send::<crate::ViewLift>();
    is_send::<crate::EdgeWalk>();
    is_send::<crate::Node>();
    is_send::<Arc<View>>();
}

fn all_rows(layer: &Layer) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    use myelin_slab::Reads;
    layer.commit().expect("commit");
    let mut rows = Vec::new();
    for slab in layer.slabs() {
        let txn = slab.read_fresh().expect("txn");
        for name in slab.table_names().expect("names") {
            let table = slab.find_table(&name).expect("table").expect("there");
            let table = txn.iter(table).expect("rows").map(|row| row.expect("row"));
            // The writer's note of how far it has come is none of the layer's rows.
            let table = table.filter(|(key, _)| *key != b"offs");
            rows.extend(table.map(|(key, valu)| (name.clone(), key.to_vec(), valu.to_vec())));
        }
    }
    rows
}

#[test]
fn an_event_that_is_applied_twice_leaves_the_same_rows() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    let text = Arc::<str>::from;
    let events = [
        vec![edit(
            1,
            vec![
                add(1),
                set("name", "foo", StorType::UTF8),
                set(".seen", ival(5, 9), StorType::IVAL),
                EditOp::TagSet { tag: text("t"), valu: ival(1, 2), old: Value::Null },
                EditOp::TagPropSet {
                    tag: text("t"),
                    prop: text("score"),
                    valu: Value::from(3),
                    old: Value::Null,
                    stor: StorType::I64,
                },
            ],
        )],
        vec![edit(
            1,
            vec![
                set(".seen", ival(2, 6), StorType::IVAL),
                EditOp::DataSet { name: text("foo"), valu: Value::from(3), old: Value::Null },
                EditOp::EdgeAdd { verb: text("refs"), n2: asn(2) },
            ],
        )],
        vec![edit(
            1,
            vec![
                EditOp::TagPropDel { tag: text("t"), prop: text("score"), old: Value::Null, stor: StorType::I64 },
                EditOp::EdgeDel { verb: text("refs"), n2: asn(2) },
                EditOp::DataDel { name: text("foo"), old: Value::Null },
                EditOp::NodeDel { old: Value::Null, stor: StorType::I64 },
            ],
        )],
    ];
    for (offs, event) in events.iter().enumerate() {
        let apply = || fix.writer.run(|cx| layer.apply_edits(cx, event, &meta(), Some(offs as u64))).expect("apply");
        assert!(apply().iter().any(|edit| !edit.edits.is_empty()));
        let rows = all_rows(&layer);
        assert!(apply().iter().all(|edit| edit.edits.is_empty()));
        assert_eq!(all_rows(&layer), rows);
    }
}

#[test]
fn tags_are_listed_down_to_a_depth() {
    let fix = Fixture::new();
    let layer = fix.layer("one");
    for tag in ["foo", "foo.bar", "foo.bar.baz", "foo.bar.faz", "foo.car", "food"] {
        let buid = ndef_buid("syn:tag", &Value::from(tag));
        let add = EditOp::NodeAdd { valu: Value::from(tag), stor: StorType::UTF8 };
        save(&layer, &[NodeEdit::new(buid, Arc::from("syn:tag"), [add])]);
    }
    assert_eq!(layer.tags_by_prefix("foo.", 0).expect("tags"), ["foo.bar", "foo.car"]);
    assert_eq!(layer.tags_by_prefix("foo.", 1).expect("tags"), ["foo.bar", "foo.bar.baz", "foo.bar.faz", "foo.car"]);
    assert_eq!(layer.tags_by_prefix("", 0).expect("tags"), ["foo", "food"]);
}

#[test]
fn a_layer_makes_the_edits_that_would_make_it() {
    let fix = Fixture::new();
    let (one, two) = (fix.layer("one"), fix.layer("two"));
    let edges = (0..250).map(|numb| EditOp::EdgeAdd { verb: Arc::from("refs"), n2: asn(numb + 10) });
    let data = EditOp::DataSet { name: Arc::from("foo"), valu: Value::from(3), old: Value::Null };
    let ops = [add(1), set("name", "foo", StorType::UTF8), data].into_iter().chain(edges).collect();
    save(&one, &[edit(1, ops)]);
    let mut walk = one.sode_walk().expect("walk");
    let mut parts = 0;
    while let Some(edits) = walk.next_edits().expect("edits") {
        parts += edits.len();
        save(&two, &edits);
    }
    assert_eq!(parts, 3);
    let skip = |rows: Vec<(String, Vec<u8>, Vec<u8>)>| -> Vec<_> {
        rows.into_iter().filter(|row| row.0 != "nodeedits").collect()
    };
    assert_eq!(skip(all_rows(&one)), skip(all_rows(&two)));
}

#[test]
fn a_copied_layer_has_the_same_rows() {
    let fix = Fixture::new();
    let one = fix.layer("one");
    save(&one, &[edit(1, vec![add(1), set("name", "foo", StorType::UTF8)])]);
    fix.writer.run(|cx| one.copy_in(cx, &fix.dir.path().join("two"))).expect("copy");
    assert_eq!(all_rows(&fix.layer("two")), all_rows(&one));
    assert!(fix.writer.run(|cx| one.copy_in(cx, &fix.dir.path().join("two"))).expect_err("there").is("FileExists"));
}

#[test]
fn a_walk_without_hits_ends_when_it_is_told_to() {
    use std::sync::atomic::{AtomicU32, Ordering};

    let fixture = Fixture::new();
    let layer = fixture.layer("one");
    let edits: Vec<NodeEdit> =
        (0..5000).map(|numb| edit(numb, vec![add(numb), set("name", format!("n{numb}"), StorType::UTF8)])).collect();
    save(&layer, &edits);
    let view = View::new(Map::new().with("iden", "v"), vec![layer]).expect("view");
    let by = LiftBy::Prop { form: Some(Arc::from("inet:asn")), prop: Arc::from("name") };
    let lift = |regex: &str| {
        let cmpr = StorCmpr { op: "~=", value: Value::from(regex), stortype: StorType::UTF8 };
        Lift::by_valu(by.clone(), vec![cmpr])
    };
    let asked = Arc::new(AtomicU32::new(0));
    let stop = |after: u32| {
        let asked = asked.clone();
        asked.store(0, Ordering::Relaxed);
        Some(crate::Stop::new(move || asked.fetch_add(1, Ordering::Relaxed) >= after))
    };
    // Nothing matches: it is asked every thousand rows or so.
    assert_eq!(view.count(lift("nothing").until(stop(100))).expect("counted"), 0);
    assert!(asked.load(Ordering::Relaxed) >= 4);
    let ended = view.lift(lift("nothing").until(stop(2))).next().expect("an end").expect_err("an error");
    assert!(ended.is("TaskCancelled") && asked.load(Ordering::Relaxed) == 3);
    // Everything matches, and is only counted.
    assert!(view.count(lift("^n").until(stop(2))).expect_err("an error").is("TaskCancelled"));
    assert_eq!(view.count(lift("^n")).expect("counted"), 5000);
}

#[test]
fn a_node_read_before_is_read_as_it_is_now() {
    let fixture = Fixture::new();
    let layer = fixture.layer("one");
    let seen = |numb: i64| {
        let byts = layer.sode(&asn(numb)).expect("read")?;
        SodeRef::new(&byts).prop("name").expect("decoded").map(|(valu, _)| valu)
    };
    for round in 0..50i64 {
        for numb in 0..20 {
            save(&layer, &[edit(numb, vec![add(numb), set("name", format!("{round}"), StorType::UTF8)])]);
            // Uncommitted, committed, and from what is kept.
            assert_eq!(seen(numb), Some(Value::from(format!("{round}"))));
            if numb % 3 == 0 {
                layer.commit().expect("committed");
            }
            assert_eq!(seen(numb), seen(numb));
            assert_eq!(seen(numb), Some(Value::from(format!("{round}"))));
        }
    }
    let there =
        || layer.sode(&asn(3)).expect("read").is_some_and(|byts| SodeRef::new(&byts).has_valu().expect("decoded"));
    assert!(there());
    save(&layer, &[edit(3, vec![EditOp::NodeDel { old: Value::Null, stor: StorType::I64 }])]);
    assert!(!there());
    layer.commit().expect("committed");
    assert!(!there());
}

#[test]
fn readers_beside_a_writer_never_go_back() {
    let fixture = Fixture::new();
    let layer = fixture.layer("one");
    let done = std::sync::atomic::AtomicBool::new(false);
    let read = |numb: i64| {
        let byts = layer.sode(&asn(numb)).expect("read")?;
        SodeRef::new(&byts).prop("size").expect("decoded").and_then(|(valu, _)| valu.as_i64())
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = [0i64; 8];
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for numb in 0..8 {
                        let now = read(numb).unwrap_or(0);
                        assert!(now >= last[numb as usize], "{now} after {}", last[numb as usize]);
                        last[numb as usize] = now;
                    }
                }
            });
        }
        for round in 1..400i64 {
            let edits: Vec<NodeEdit> =
                (0..8).map(|numb| edit(numb, vec![add(numb), set("size", round, StorType::I64)])).collect();
            save(&layer, &edits);
            if round % 5 == 0 {
                layer.commit().expect("committed");
            }
            assert!((0..8).all(|numb| read(numb) == Some(round)), "what was just written is seen");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
