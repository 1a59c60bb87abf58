//! An AHA that the reference wrote opens here, and gives what the reference gave.

use std::path::Path;
use std::process::Command;

use myelin_aha::{Aha, SPEC};
use myelin_cell::Cell;
use myelin_value::{Map, Value, json};

#[test]
fn the_references_aha_opens() {
    let shared =
        std::env::var("MYELIN_SHARED").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let vectors = Path::new(&shared).join("spec/vectors/storage");
    let Ok(text) = std::fs::read(vectors.join("aha.expected.json")) else {
        return eprintln!("skipped: the shared storage vectors are not here");
    };
    let want = json::parse(&text).expect("JSON");
    let temp = tempfile::tempdir().expect("a directory");
    let archive = vectors.join("aha.tar.gz");
    let done = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(temp.path()).status().expect("tar runs");
    assert!(done.success());
    let conf = Map::new().with("aha:network", "vec.test").with("dns:name", "aha.vec.test").with("nexslog:en", true);
    let cell = Cell::open(SPEC, &temp.path().join("aha"), conf).expect("the directory opens");
    let aha = Aha::open(&cell, cell.certdir()).expect("the service opens");
    cell.start().expect("the cell starts");

    assert_eq!(Some(cell.nexus().index()), want.get("nexsindx").and_then(Value::as_u64));
    let store = aha.store();
    assert_eq!(Some(&Value::from(store.svcs(None).expect("services"))), want.get("svcs"));
    assert_eq!(store.svcs(Some("vec")).expect("services").len(), 3);
    assert_eq!(aha.svc("00.svc...", false).expect("a service").as_ref(), want.get("svc_00"));
    assert_eq!(aha.svc("svc.vec.test", false).expect("a service").as_ref(), want.get("svc_leader"));
    assert_eq!(Some(&Value::from(store.pools().expect("pools"))), want.get("pools"));
    assert_eq!(Some(&Value::from(store.servers().expect("servers"))), want.get("servers"));
    let users: Vec<Value> = cell.auth().users().iter().map(|user| Value::from(&*user.name())).collect();
    assert_eq!(Some(&Value::from(users)), want.get("users"));
    assert_eq!(aha.svcs_by_iden(&"d".repeat(32), true, None).expect("services").len(), 2);
    assert!(aha.mirrors(&"d".repeat(32)).expect("services").is_empty());

    // What was online is not any more, since its sessions are gone; its certificates are there already.
    aha.clear_stale().expect("cleared");
    aha.make_certs().expect("certificates");
    assert_eq!(Some(cell.nexus().index()), want.get("nexsindx").and_then(Value::as_u64).map(|indx| indx + 3));
    let svc = aha.svc("00.svc...", false).expect("a service").expect("a service");
    let info = svc.get("svcinfo").expect("info");
    assert_eq!((info.get("online"), info.get("ready")), (None, Some(&Value::Bool(false))));
    cell.fini().expect("the cell closes");
}
