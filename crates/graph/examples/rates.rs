//! How fast a layer takes edits and a view gives nodes: `cargo run --release --example rates [nodes]`.
//!
//! Numbers of one machine and one run, for comparison with the next change; nothing asserts them.

use std::sync::Arc;
use std::time::Instant;

use myelin_error::Result;
use myelin_graph::{EditOp, Layer, Lift, LiftBy, NodeEdit, View};
use myelin_model::StorType;
use myelin_slab::Writer;
use myelin_value::{Map, Value, ndef_buid};

fn main() -> Result<()> {
    let count: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let dir = std::env::temp_dir().join(format!("rates-{}", std::process::id()));
    let writer = Writer::start("rates")?;
    let layer = Layer::open(&writer, &dir.join("low"), Map::new().with("iden", "low"))?;
    let top = Layer::open(&writer, &dir.join("top"), Map::new().with("iden", "top"))?;
    let done = run(count, &layer, &top);
    writer.fini()?;
    std::fs::remove_dir_all(&dir)?;
    done
}

fn run(count: i64, layer: &Arc<Layer>, top: &Arc<Layer>) -> Result<()> {
    let meta = Value::from(Map::new().with("time", 1_700_000_000_000i64).with("user", "0".repeat(32)));
    let start = Instant::now();
    for numb in 0..count {
        layer.save_edits(&[node(numb)], &meta)?;
    }
    rate("nodes added, one a batch", count, start);
    let start = Instant::now();
    let more: Vec<NodeEdit> = (count..2 * count).map(node).collect();
    for batch in more.chunks(100) {
        layer.save_edits(batch, &meta)?;
    }
    rate("nodes added, 100 a batch", count, start);
    let start = Instant::now();
    layer.commit()?;
    rate("last commit", 1, start);

    let by = LiftBy::Form { form: Arc::from("inet:ipv4") };
    let view = View::new(Map::new().with("iden", "one"), vec![layer.clone()])?;
    let start = Instant::now();
    rate("counted by the index", view.count(Lift::all(by.clone()))? as i64, start);
    let start = Instant::now();
    rate("lifted", view.lift(Lift::all(by.clone())).count() as i64, start);
    let start = Instant::now();
    let mut seen = 0;
    for node in view.lift(Lift::all(by.clone())) {
        seen += i64::from(node?.get("asn")?.is_some());
    }
    rate("lifted, and a property read", seen, start);
    let fork = View::new(Map::new().with("iden", "fork"), vec![top.clone(), layer.clone()])?;
    let start = Instant::now();
    rate("lifted in a fork", fork.lift(Lift::all(by)).count() as i64, start);
    Ok(())
}

fn node(numb: i64) -> NodeEdit {
    let set = |prop: &str, valu: Value, stor| EditOp::PropSet { prop: Arc::from(prop), valu, old: Value::Null, stor };
    NodeEdit::new(
        ndef_buid("inet:ipv4", &Value::from(numb)),
        Arc::from("inet:ipv4"),
        [
            EditOp::NodeAdd { valu: Value::from(numb), stor: StorType::U32 },
            set("type", Value::from("unicast"), StorType::UTF8),
            set("asn", Value::from(numb % 1000), StorType::I64),
            set("loc", Value::from("us.va"), StorType::LOC),
        ],
    )
}

fn rate(what: &str, count: i64, start: Instant) {
    let secs = start.elapsed().as_secs_f64();
    println!("{what}: {count} in {secs:.3} s, {:.0} a second", count as f64 / secs);
}
