//! What a view counts is what its lifts yield: in one layer, with storage nodes that have no value, and in forks.

use std::sync::Arc;

use myelin_graph::{EditOp, Layer, Lift, LiftBy, NodeEdit, View};
use myelin_model::{StorCmpr, StorType};
use myelin_slab::Writer;
use myelin_value::{Map, Value, ndef_buid};

const FORM: &str = "inet:ipv4";

fn layer(writer: &Writer, dir: &std::path::Path, iden: &str) -> Arc<Layer> {
    Layer::open(writer, &dir.join(iden), Map::new().with("iden", iden)).expect("a layer")
}

fn edit(valu: i64, add: bool, asn: Option<i64>, tag: bool) -> NodeEdit {
    let valu = Value::from(valu);
    let mut ops = Vec::new();
    if add {
        ops.push(EditOp::NodeAdd { valu: valu.clone(), stor: StorType::U32 });
    }
    if let Some(asn) = asn {
        ops.push(EditOp::PropSet { prop: "asn".into(), valu: asn.into(), old: Value::Null, stor: StorType::I64 });
    }
    if tag {
        let ival = Value::list([Value::Null, Value::Null]);
        ops.push(EditOp::TagSet { tag: "foo".into(), valu: ival, old: Value::Null });
    }
    NodeEdit::new(ndef_buid(FORM, &valu), FORM.into(), ops)
}

fn lifts() -> Vec<(&'static str, Lift)> {
    let form = || LiftBy::Form { form: FORM.into() };
    let prop = || LiftBy::Prop { form: Some(FORM.into()), prop: "asn".into() };
    let cmpr = |op, value, stortype| vec![StorCmpr { op, value, stortype }];
    let range = Value::list([Value::from(2), Value::from(5)]);
    vec![
        ("form", Lift::all(form())),
        ("form by range", Lift::by_valu(form(), cmpr("range=", range.clone(), StorType::U32))),
        ("form by value", Lift::by_valu(form(), cmpr("=", Value::from(3), StorType::U32))),
        ("prop", Lift::all(prop())),
        ("prop by value", Lift::by_valu(prop(), cmpr("=", Value::from(7), StorType::I64))),
        ("prop by range", Lift::by_valu(prop(), cmpr("range=", range, StorType::I64))),
        ("prop above", Lift::by_valu(prop(), cmpr(">", Value::from(3), StorType::I64))),
        ("tag", Lift::all(LiftBy::Tag { tag: "foo".into(), form: None })),
        ("tag of form", Lift::all(LiftBy::Tag { tag: "foo".into(), form: Some(FORM.into()) })),
    ]
}

/// Counts by each lift; every one is checked against the nodes it yields, and the values that come with them.
fn counts(view: &Arc<View>) -> Vec<u64> {
    let mut retn = Vec::new();
    for (name, lift) in lifts() {
        let nodes: Vec<_> = view.lift(lift.clone()).collect::<Result<_, _>>().expect("nodes");
        let count = view.count(lift.clone()).expect("a count");
        assert_eq!(count, nodes.len() as u64, "{name}");
        if let LiftBy::Form { .. } = lift.by {
            let mut rows = view.lift(lift.with_values(StorType::U32));
            for node in &nodes {
                let (buid, valu) = rows.next_row().expect("a row").expect("as many rows as nodes");
                assert_eq!((&buid, valu.as_ref()), (node.buid(), Some(node.valu())), "{name}");
            }
        }
        retn.push(count);
    }
    retn
}

#[test]
fn counts_are_what_lifts_yield() {
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::start("counts").expect("a writer");
    let meta = Value::from(Map::new());
    let base = layer(&writer, dir.path(), "base");
    let below = View::new(Map::new().with("iden", "below"), vec![base.clone()]).expect("a view");
    let edits: Vec<_> = (0..10).map(|valu| edit(valu, true, (valu % 2 == 0).then_some(valu), valu < 4)).collect();
    below.save_edits(&edits, &meta).expect("stored");
    assert!(base.all_valued().expect("read"));
    assert_eq!(counts(&below), [10, 4, 1, 5, 0, 2, 3, 4, 4]);

    // Storage nodes without a value stand for no node, although the indexes have rows of them.
    below.save_edits(&[edit(20, false, Some(7), true), edit(21, false, Some(4), false)], &meta).expect("stored");
    assert!(!base.all_valued().expect("read"));
    assert_eq!(counts(&below), [10, 4, 1, 5, 0, 2, 3, 4, 4]);

    // A fork hides values, adds some, makes a node of what was none, and has a value of its own twice.
    let top = layer(&writer, dir.path(), "top");
    let fork = View::new(Map::new().with("iden", "fork"), vec![top, base]).expect("a view");
    let edits = [
        edit(4, false, Some(7), false),
        edit(3, false, Some(7), true),
        edit(20, true, None, false),
        edit(5, true, Some(3), false),
        edit(30, false, Some(7), true),
        edit(31, true, None, true),
    ];
    fork.save_edits(&edits, &meta).expect("stored");
    assert_eq!(counts(&fork), [12, 4, 1, 8, 3, 2, 5, 6, 6]);
    writer.fini().expect("closed");
}
