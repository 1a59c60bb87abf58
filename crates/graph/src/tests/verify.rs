//! Verification: the sample of the reference is sound, and each kind of damage is found and named.

use std::path::Path;
use std::sync::Arc;

use myelin_model::StorType;
use myelin_slab::{Findings, Options, Reads, Slab, Writer};
use myelin_value::{Map, Value, ndef_buid};

use crate::testing::{shared_path, untar};
use crate::{EditOp, Layer, NodeEdit, verify_layer, verify_replay};

fn findings(dir: &Path) -> Findings {
    let mut found = Findings::new(Box::new(|_, _| {}));
    verify_layer(dir, &mut found).expect("verified");
    found
}

/// A layer with every kind of row.
fn filled(dir: &Path) {
    let writer = Writer::start("test").expect("writer");
    let layer = Layer::open(&writer, dir, Map::new().with("iden", "a")).expect("layer");
    let text = |text: &str| Arc::<str>::from(text);
    let buid = |numb: i64| ndef_buid("inet:asn", &Value::from(numb));
    let set = |prop: &str, valu: Value, stor| EditOp::PropSet { prop: text(prop), valu, old: Value::Null, stor };
    for numb in 1..40 {
        let ref_to = Value::list([Value::from("inet:asn"), Value::from(numb + 1)]);
        let ops = vec![
            EditOp::NodeAdd { valu: Value::from(numb), stor: StorType::I64 },
            set("name", Value::from(format!("as {numb}")), StorType::UTF8),
            set(".seen", Value::list([Value::from(1), Value::from(numb + 5)]), StorType::IVAL),
            set("names", Value::list([Value::from("x"), Value::from("x"), Value::from("y")]), StorType::UTF8.array()),
            set("next", ref_to, StorType::NDEF),
            EditOp::TagSet { tag: text("foo.bar"), valu: Value::list([Value::Null, Value::Null]), old: Value::Null },
            EditOp::TagPropSet {
                tag: text("foo.bar"),
                prop: text("score"),
                valu: Value::from(numb),
                old: Value::Null,
                stor: StorType::I64,
            },
            EditOp::DataSet { name: text("note"), valu: Value::from("data"), old: Value::Null },
            EditOp::EdgeAdd { verb: text("refs"), n2: buid(numb + 1) },
        ];
        layer.save_edits(&[NodeEdit::new(buid(numb), text("inet:asn"), ops)], &Value::from(Map::new())).expect("saved");
    }
    let gone =
        NodeEdit::new(buid(7), text("inet:asn"), vec![EditOp::NodeDel { old: Value::from(7), stor: StorType::I64 }]);
    layer.save_edits(&[gone], &Value::from(Map::new())).expect("deleted");
    writer.fini().expect("fini");
}

/// Changes a slab behind the back of the layer.
fn tamper(dir: &Path, slab: &str, table: &str, change: impl FnOnce(&mut Vec<(Vec<u8>, Vec<u8>)>)) {
    let writer = Writer::start("tamper").expect("writer");
    let slab = Slab::open(&writer, &dir.join(slab), Options::default()).expect("slab");
    let table = slab.find_table(table).expect("table").expect("there");
    let txn = slab.read().expect("txn");
    let mut rows: Vec<(Vec<u8>, Vec<u8>)> = txn
        .iter(table)
        .expect("rows")
        .map(|row| row.map(|(key, valu)| (key.to_vec(), valu.to_vec())).expect("row"))
        .collect();
    drop(txn);
    change(&mut rows);
    writer
        .run(|cx| {
            cx.clear(table)?;
            rows.iter().try_for_each(|(key, valu)| cx.put(table, key, valu))
        })
        .expect("changed");
    writer.fini().expect("fini");
}

#[test]
fn each_kind_of_damage_is_named() {
    let dir = tempfile::tempdir().expect("dir");
    let sound = dir.path().join("sound");
    filled(&sound);
    let found = findings(&sound);
    assert!(found.damage().is_empty() && found.rows() > 500, "{:?}", found.damage());
    let mut replayed = Findings::new(Box::new(|_, _| {}));
    verify_replay(&sound, &dir.path().join("scratch"), &mut replayed).expect("replayed");
    assert!(replayed.damage().is_empty(), "{:?}", replayed.damage());

    let indexes = ["byform", "byprop", "byarray", "byndef", "bytag", "bytagprop"];
    let more = ["edgesn1", "edgesn2", "edgesn1n2", "byverb", "count:forms", "propabrv:abrv2byts", "bybuidv3"];
    for table in indexes.into_iter().chain(more) {
        for kind in ["lost", "extra"] {
            let bad = dir.path().join("bad");
            let _ = std::fs::remove_dir_all(&bad);
            filled(&bad);
            tamper(&bad, "layer_v2.lmdb", table, |rows| {
                let middle = rows.len() / 2;
                if kind == "lost" {
                    rows.remove(middle);
                } else {
                    let mut row = rows[middle].clone();
                    let last = row.1.len() - 1;
                    row.1[last] ^= 0x55;
                    match table {
                        // One value a key: the changed row takes the place of the good one.
                        "count:forms" | "propabrv:abrv2byts" | "bybuidv3" => rows[middle] = row,
                        _ => rows.push(row),
                    }
                    rows.sort();
                }
            });
            let found = findings(&bad);
            let named =
                found.damage().iter().any(|what| what.contains(table) || table.contains("abrv") || table == "bybuidv3");
            assert!(named, "{table}, {kind}: {:?}", found.damage());
        }
    }
    for (table, slab) in [("nodedata", "nodedata.lmdb"), ("dataname", "nodedata.lmdb"), ("nodeedits", "nodeedits.lmdb")]
    {
        let bad = dir.path().join("bad");
        let _ = std::fs::remove_dir_all(&bad);
        filled(&bad);
        tamper(&bad, slab, table, |rows| match table {
            "nodeedits" => rows[3].1 = b"\xc1".to_vec(),
            _ => drop(rows.remove(5)),
        });
        let found = findings(&bad);
        assert!(!found.damage().is_empty(), "{table}");
    }
    // An edit that is missing from the log shows only when the log is applied anew.
    let bad = dir.path().join("bad");
    let _ = std::fs::remove_dir_all(&bad);
    filled(&bad);
    tamper(&bad, "nodeedits.lmdb", "nodeedits", |rows| drop(rows.remove(4)));
    assert!(findings(&bad).damage().is_empty());
    let mut replayed = Findings::new(Box::new(|_, _| {}));
    let _ = std::fs::remove_dir_all(dir.path().join("scratch"));
    verify_replay(&bad, &dir.path().join("scratch"), &mut replayed).expect("replayed");
    assert!(replayed.damage().iter().any(|what| what.contains("is not in the log")), "{:?}", replayed.damage());
}

#[test]
fn layers_of_the_reference_are_sound() {
    let Some(path) = shared_path("spec/vectors/storage/cortex.tar.gz") else { return };
    let dir = tempfile::tempdir().expect("dir");
    untar(&path, dir.path());
    let mut count = 0;
    for entry in std::fs::read_dir(dir.path().join("cortex/layers")).expect("layers") {
        let found = findings(&entry.expect("entry").path());
        assert!(found.damage().is_empty(), "{:?}", found.damage());
        count += 1;
    }
    assert!(count > 2);
}
