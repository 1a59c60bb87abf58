//! A document store that the reference wrote opens here, and gives what the reference gave.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures::StreamExt;
use myelin_cell::Cell;
use myelin_jsonstor::{JsonStor, SPEC, path};
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

fn open(dirn: &Path) -> (Cell, JsonStor) {
    let cell = Cell::open(SPEC, dirn, Map::new().with("nexslog:en", true)).expect("the directory opens");
    let stor = JsonStor::open(&cell).expect("the store opens");
    cell.start().expect("the cell starts");
    (cell, stor)
}

#[tokio::test]
async fn the_references_store_opens() {
    let Some((_temp, dirn, want)) = sample("jsonstor") else { return };
    let (cell, stor) = open(&dirn);
    assert_eq!(Some(cell.nexus().index()), want.get("nexsindx").and_then(Value::as_u64));
    let entries = |key: &str| want.get(key).and_then(Value::as_map).expect("a map").clone();
    for (name, obj) in entries("objs").text_entries() {
        assert_eq!(&stor.get(&path::split(name)).expect("an object"), obj, "{name}");
    }
    for (name, has) in entries("has").text_entries() {
        assert_eq!(Some(stor.has(&path::split(name)).expect("has")), has.as_bool(), "{name}");
    }
    for (name, names) in entries("list").text_entries() {
        let found: Value = stor.list(&path::split(name)).expect("a list").into_iter().map(Value::from).collect();
        assert_eq!(&found, names, "list of {name:?}");
    }
    for (name, objs) in entries("pathobjs").text_entries() {
        let found = stor.objs(&path::split(name)).expect("objects").into_iter();
        let found: Value =
            found.map(|(path, obj)| Value::list([path.into_iter().map(Value::from).collect(), obj])).collect();
        assert_eq!(&found, objs, "objects of {name:?}");
    }
    for (name, valu) in entries("props").text_entries() {
        let (path, prop) = name.split_once(' ').expect("a path and a property");
        assert_eq!(&stor.get_prop(&path::split(path), &path::split(prop)).expect("a property"), valu, "{name}");
    }
    for (user, notifs) in entries("notifs").text_entries() {
        assert_eq!(&Value::from(stor.user_notifs(user, None).expect("notifications")), notifs, "{user}");
    }
    let queues: Value = stor.queues().into_iter().map(Value::from).collect();
    assert_eq!(Some(queues.at(0)), want.get("queues").map(|queues| queues.at(0)));
    let items = stor.gets_queue("q1", 0, None, false, false).await.expect("items");
    let items: Vec<Value> = items.map(|item| item.expect("an item")).collect().await;
    assert_eq!(Some(&Value::from(items)), want.get("q1items"));
    cell.fini().expect("the cell closes");
}

#[tokio::test]
async fn queues_and_notifications_wake_those_who_wait() {
    let temp = tempfile::tempdir().expect("a directory");
    let (cell, stor) = open(temp.path());
    assert!(stor.add_queue("q", Map::new()).expect("made"));
    assert!(!stor.add_queue("q", Map::new()).expect("there"));
    let mut items = stor.gets_queue("q", 0, None, false, true).await.expect("items");
    let mut notifs = stor.watch_notifs(None);
    let other = stor.clone();
    let put = tokio::task::spawn_blocking(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        other.puts_queue("q", vec![1.into(), 2.into()]).expect("put");
        other.add_notif(&"2".repeat(32), "hello", Value::Null).expect("a notification")
    });
    assert_eq!(items.next().await.expect("an item").expect("an item"), Value::list([0.into(), 1.into()]));
    assert_eq!(items.next().await.expect("an item").expect("an item"), Value::list([1.into(), 2.into()]));
    let first = notifs.next().await.expect("a notification").expect("a notification");
    assert_eq!(first.at(0), Some(&put.await.expect("put")));
    assert_eq!(stor.user_notifs(&"2".repeat(32), None).expect("notifications").len(), 1);
    drop((items, notifs));
    cell.fini().expect("the cell closes");
}
