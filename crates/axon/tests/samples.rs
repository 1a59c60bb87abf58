//! An axon that the reference wrote opens here, and gives what the reference gave.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures::StreamExt;
use myelin_axon::{Axon, SPEC};
use myelin_cell::Cell;
use myelin_value::{Map, Value, json};

fn sample(name: &str) -> Option<(tempfile::TempDir, PathBuf, Value)> {
    let shared =
        std::env::var("MYELIN_SHARED").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let vectors = Path::new(&shared).join("spec/vectors/storage");
    let Ok(text) = std::fs::read(vectors.join(format!("{name}.expected.json"))) else {
        eprintln!("skipped: the shared storage vectors are not here");
        return None;
    };
    let temp = tempfile::tempdir().expect("a directory");
    let archive = vectors.join(format!("{name}.tar.gz"));
    let done = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(temp.path()).status().expect("tar runs");
    assert!(done.success());
    let dirn = temp.path().join(name);
    Some((temp, dirn, json::parse(&text).expect("JSON")))
}

fn open(dirn: &Path) -> (Cell, Axon) {
    let conf = Map::new().with("nexslog:en", true).with("health:sysctl:checks", false);
    let cell = Cell::open(SPEC, dirn, conf).expect("the directory opens");
    let axon = Axon::open(&cell).expect("the axon opens");
    cell.start().expect("the cell starts");
    (cell, axon)
}

fn hex_items(items: impl IntoIterator<Item = Value>) -> Value {
    let hexed = |item: Value| {
        let (at, pair) = (item.at(0).cloned().expect("an offset"), item.at(1).cloned().expect("a pair"));
        let sha256 = pair.at(0).and_then(Value::as_bytes).expect("a hash");
        Value::list([at, Value::list([hex::encode(sha256).into(), pair.at(1).cloned().expect("a size")])])
    };
    items.into_iter().map(hexed).collect()
}

#[tokio::test]
async fn the_references_axon_opens() {
    let Some((_temp, dirn, want)) = sample("axon") else { return };
    let (cell, axon) = open(&dirn);
    assert_eq!(Some(cell.iden()), want.get("iden").and_then(Value::as_str));
    assert_eq!(Some(cell.nexus().index()), want.get("nexsindx").and_then(Value::as_u64));
    for (sha256, has) in want.get("has").and_then(Value::as_map).expect("has").text_entries() {
        assert_eq!(Some(axon.has(&hex::decode(sha256).expect("hex")).expect("has")), has.as_bool(), "{sha256}");
    }
    for put in want.get("puts").and_then(Value::as_list).expect("puts") {
        let sha256 = hex::decode(put.get("sha256").and_then(Value::as_str).expect("a hash")).expect("hex");
        let byts = axon.get_bytes(&sha256).expect("bytes");
        assert_eq!(Some(byts.len() as u64), put.get("size").and_then(Value::as_u64));
        assert_eq!(axon.hashset(&sha256).expect("hashes").get_str("sha256"), put.get("sha256").and_then(Value::as_str));
    }
    for part in want.get("range_reads").and_then(Value::as_list).expect("range reads") {
        let int = |key: &str| part.get(key).and_then(Value::as_i64).expect("an int");
        let sha256 = hex::decode(part.get("sha256").and_then(Value::as_str).expect("a hash")).expect("hex");
        let chunks = axon.get_part(&sha256, int("offs"), Some(int("size"))).expect("a part");
        let byts: Vec<u8> = chunks.flat_map(|chunk| chunk.expect("a chunk").to_vec()).collect();
        assert_eq!(Some(hex::encode(byts).as_str()), part.get("hex").and_then(Value::as_str), "{part:?}");
    }
    let rows: Vec<Value> = axon.hashes(0, false, None).map(|row| row.expect("a row")).collect().await;
    assert_eq!(Some(&hex_items(rows)), want.get("hashes"));
    let past = axon.history(0, None).expect("history");
    let past: Vec<Value> =
        hex_items(past).as_list().expect("rows").iter().map(|row| row.at(1).cloned().unwrap()).collect();
    assert_eq!(Some(&Value::from(past)), want.get("history"));
    let metrics = axon.metrics();
    let wanted = want.get("metrics").and_then(Value::as_map).expect("metrics");
    assert_eq!(
        (metrics.get("file:count"), metrics.get("size:bytes")),
        (wanted.get("file:count"), wanted.get("size:bytes"))
    );
    cell.fini().expect("the cell closes");
}

#[test]
fn files_come_and_go_and_survive_a_restart() {
    let temp = tempfile::tempdir().expect("a directory");
    let (cell, axon) = open(temp.path());
    let (size, sha256) = axon.put(b"asdfasdf").expect("stored");
    assert_eq!(size, 8);
    let (_, empty) = axon.put(b"").expect("stored");
    let mut upload = axon.upload();
    for _ in 0..70 {
        upload.write(&vec![7; 1 << 20]).expect("written");
    }
    let (size, large) = upload.save().expect("saved");
    assert_eq!(size, 70 << 20);
    assert_eq!(axon.metrics().get_i64("file:count"), Some(3));
    assert!(axon.del(&sha256).expect("deleted"));
    assert!(!axon.del(&sha256).expect("deleted"));
    assert!(axon.get(&sha256).is_err_and(|error| error.is("NoSuchFile")));
    cell.fini().expect("the cell closes");
    drop((cell, axon, upload));
    let (cell, axon) = open(temp.path());
    assert_eq!(axon.size(&large).expect("a size"), Some(70 << 20));
    let chunks: Vec<usize> = axon.get(&large).expect("chunks").map(|chunk| chunk.expect("a chunk").len()).collect();
    assert_eq!(chunks, [16 << 20, 16 << 20, 16 << 20, 16 << 20, 6 << 20]);
    assert_eq!(axon.get(&empty).expect("chunks").count(), 0);
    assert_eq!(axon.wants(&[(&sha256[..]).into(), (&empty[..]).into()]).expect("wants"), [(&sha256[..]).into()]);
    assert_eq!(axon.metrics().get_i64("size:bytes"), Some(70 << 20));
    cell.fini().expect("the cell closes");
}
