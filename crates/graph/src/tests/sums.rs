//! The sums that copies are compared by: kept up by every kind of edit, and the same by whatever way a state came about.

use std::path::Path;
use std::sync::Arc;

use myelin_model::StorType;
use myelin_slab::Writer;
use myelin_value::{Map, Value, ndef_buid};

use crate::{EditOp, Layer, NodeEdit};

fn open(dir: &Path) -> (Writer, Arc<Layer>) {
    let writer = Writer::start("test").expect("writer");
    let layer = Layer::open(&writer, dir, Map::new().with("iden", "a")).expect("layer");
    (writer, layer)
}

fn save(layer: &Layer, numb: i64, op: EditOp) {
    let buid = ndef_buid("inet:asn", &Value::from(numb));
    let meta = Value::from(Map::new().with("time", 1));
    layer.save_edits(&[NodeEdit::new(buid, Arc::from("inet:asn"), vec![op])], &meta).expect("saved");
}

/// A sequence of edits that never ends the same way twice.
struct Dice(u64);

impl Dice {
    fn below(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % max
    }

    fn op(&mut self, numb: i64) -> EditOp {
        let text = |name: &str, count: u64| Arc::<str>::from(format!("{name}{count}"));
        let (old, stor) = (Value::Null, StorType::I64);
        let (name, valu) = (self.below(3), Value::from(self.below(4) as i64));
        let tag = text("tag", self.below(2));
        let seen = || Value::list([Value::from(name as i64), Value::from(9)]);
        match self.below(14) {
            0..=3 => EditOp::NodeAdd { valu: Value::from(numb), stor },
            4 => EditOp::NodeDel { old: Value::from(numb), stor },
            5 | 6 => EditOp::PropSet { prop: text("prop", name), valu, old, stor },
            7 => EditOp::PropDel { prop: text("prop", name), old, stor },
            8 => EditOp::TagSet { tag, valu: seen(), old },
            9 => EditOp::TagDel { tag, old },
            10 => EditOp::TagPropSet { tag, prop: text("score", name), valu, old, stor },
            11 => EditOp::TagPropDel { tag, prop: text("score", name), old, stor },
            12 => EditOp::DataSet { name: text("data", name), valu, old },
            _ if name == 0 => EditOp::DataDel { name: text("data", 0), old },
            _ if name == 1 => EditOp::EdgeDel { verb: text("verb", 0), n2: ndef_buid("inet:asn", &valu) },
            _ => EditOp::EdgeAdd { verb: text("verb", 0), n2: ndef_buid("inet:asn", &valu) },
        }
    }
}

#[test]
fn sums_are_kept_up_by_every_edit_and_counted_where_unknown() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("layer");
    let (writer, layer) = open(&path);
    let mut dice = Dice(7);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3000 {
        let numb = dice.below(5) as i64;
        let op = dice.op(numb);
        save(&layer, numb, op);
        seen.insert(layer.state_sum(None).expect("known from the beginning"));
    }
    assert!(seen.len() > 500, "a sum that hardly changes shows nothing: {}", seen.len());
    let kept = layer.state_sum(None);
    writer.fini().expect("fini");
    drop(layer);
    // Nothing says how far a log was applied here, as after another program: it has to be counted.
    let (writer, layer) = open(&path);
    assert_eq!(layer.state_sum(None), None);
    save(&layer, 1, EditOp::NodeAdd { valu: Value::from(1), stor: StorType::I64 });
    layer.count_sum().expect("counted");
    for numb in 0..5 {
        save(&layer, numb, EditOp::NodeDel { old: Value::from(numb), stor: StorType::I64 });
    }
    assert_ne!(layer.state_sum(None), kept);
    let empty_of_nodes = layer.state_sum(None).expect("known");
    layer
        .sums()
        .layer
        .count(|txn| crate::facts::Facts::default().of_layer(txn, layer.tables.bybuid, layer.tables.edgesn1))
        .expect("counted");
    assert_eq!(layer.state_sum(None), Some(empty_of_nodes), "kept up and counted are the same");
    writer.fini().expect("fini");
}

#[test]
fn the_order_of_edits_and_of_names_does_not_matter() {
    let dir = tempfile::tempdir().expect("dir");
    let set =
        |name: &str, valu: i64| EditOp::DataSet { name: Arc::from(name), valu: Value::from(valu), old: Value::Null };
    let prop = |name: &str| EditOp::PropSet {
        prop: Arc::from(name),
        valu: Value::from(1),
        old: Value::Null,
        stor: StorType::I64,
    };
    let add = || EditOp::NodeAdd { valu: Value::from(1), stor: StorType::I64 };
    let sum_of = |name: &str, ops: Vec<EditOp>| {
        let (writer, layer) = open(&dir.path().join(name));
        ops.into_iter().for_each(|op| save(&layer, 1, op));
        let sum = layer.state_sum(None).expect("known");
        writer.fini().expect("fini");
        sum
    };
    let one = sum_of("one", vec![add(), set("a", 1), set("b", 2), prop("x"), prop("y")]);
    // Other abbreviations, another order in the storage node, and a detour.
    let two = sum_of("two", vec![add(), prop("y"), set("b", 3), set("a", 1), set("b", 2), prop("x")]);
    let other = sum_of("other", vec![add(), set("a", 2), set("b", 1), prop("x"), prop("y")]);
    assert_eq!(one, two);
    assert_ne!(one, other);
}
