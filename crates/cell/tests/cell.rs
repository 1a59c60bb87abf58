//! A cell from outside: first boot, restart, events, the reference's own directories.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use myelin_cell::{Cell, CellSpec, Event};
use myelin_error::Result;
use myelin_value::{Map, Value, json, msgpack};

const SPEC: CellSpec = CellSpec { celltype: "cell", confs: &[], envprefixes: &["SYN_CELL"], version: [2, 256, 0] };

fn open(dirn: &Path, conf: Map) -> Result<Cell> {
    let cell = Cell::open(SPEC, dirn, conf)?;
    cell.start()?;
    Ok(cell)
}

fn logged() -> Map {
    Map::new().with("nexslog:en", true)
}

/// The directory of shared material, or nothing where it is not checked out.
fn shared() -> Option<PathBuf> {
    let path = std::env::var("MYELIN_SHARED").map(PathBuf::from);
    let path = path.unwrap_or_else(|_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let found = path.join("spec/vectors/storage").is_dir();
    if !found {
        eprintln!("skipped: the shared vectors are not there");
    }
    found.then_some(path)
}

#[test]
fn a_first_boot_makes_root_and_all_and_a_second_finds_them() {
    let dir = tempfile::tempdir().expect("dir");
    let conf = logged().with("cell:guid", "1".repeat(32)).with("auth:passwd", "root");
    let cell = open(dir.path(), conf.clone()).expect("cell");
    assert!(cell.is_inaugural() && cell.is_active());
    let auth = cell.auth();
    let root = auth.root().expect("root");
    let all = auth.all_role().expect("all");
    assert!(auth.try_passwd(&root, "root").expect("check") && !auth.try_passwd(&root, "toor").expect("check"));
    let user = auth.add_user("visi", Some("secret"), &"Visi@Vertex.Link".into(), None).expect("user");
    assert!(user.has_role(all.iden()) && !user.is_admin(None));
    assert_eq!(user.get("email"), Value::from("visi@vertex.link"));
    let (iden, index) = (user.iden().clone(), cell.nexus().index());
    assert!(index >= 4);
    let error = Cell::open(SPEC, dir.path(), Map::new()).err().expect("locked or open");
    assert!(error.is("SlabAlreadyOpen") || error.is("FatalErr"), "{error}");
    cell.fini().expect("fini");
    drop((cell, user, root, all));

    let cell = open(dir.path(), conf).expect("reopened");
    assert!(!cell.is_inaugural());
    assert_eq!(cell.nexus().index(), index);
    let user = cell.auth().user_by_name("visi").expect("user");
    assert_eq!(user.iden(), &iden);
    assert_eq!(cell.auth().user_by_email("visi@vertex.link").expect("email"), Some(user));
    assert_eq!(cell.cell_vers("cell:storage").expect("vers"), 2);
    cell.fini().expect("fini");
}

#[test]
fn rules_decide_in_the_references_order() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), Map::new()).expect("cell");
    let auth = cell.auth();
    let user = auth.add_user("visi", None, &Value::Null, None).expect("user");
    let role = auth.add_role("ninjas", None).expect("role");
    auth.grant(&user, role.iden(), None).expect("grant");
    let gate = "a".repeat(32);
    let (made, name) = (auth.clone(), gate.clone());
    cell.writer()
        .run(move |cx| made.add_gate(&mut myelin_cell::ApplyCx::direct(cx), &name, "view").map(|_| ()))
        .expect("gate");
    let rule =
        |allow: bool, path: &[&str]| Value::list([allow.into(), path.iter().copied().map(Value::from).collect()]);
    let perm = ["node", "add", "inet:fqdn"];
    assert_eq!(user.allowed_or(&perm, None, None, false), None);
    auth.add_role_rule(&role, &rule(true, &["node"]), None, None).expect("rule");
    assert!(user.allowed(&perm, None));
    auth.add_role_rule(&role, &rule(false, &["node", "add"]), None, Some(&gate)).expect("rule");
    assert!(user.allowed(&perm, None) && !user.allowed(&perm, Some(&gate)), "a role's rule on the gate comes first");
    auth.add_user_rule(&user, &rule(true, &["node", "add"]), None, None).expect("rule");
    assert!(user.allowed(&perm, Some(&gate)), "the user's own rules come before its roles'");
    auth.add_user_rule(&user, &rule(false, &["node"]), None, Some(&gate)).expect("rule");
    assert!(!user.allowed(&perm, Some(&gate)));
    assert_eq!(
        user.allowed_reason(&perm, None, Some(&gate)).mesg(),
        format!("Matched user rule (!node) on gate {gate}.")
    );
    auth.add_user_rule(&user, &rule(false, &["node", "add", "it:host"]), None, None).expect("rule");
    assert_eq!(user.allowed_or(&["node", "add"], None, None, true), Some(false), "a denial below, with deepdeny");
    assert_eq!(user.allowed_or(&["node", "add"], None, None, false), Some(true));
    assert!(user.confirm(&["woot"], None).is_err_and(|error| {
        error.is("AuthDeny")
            && error.get("perm") == Some(&"woot".into())
            && error.get("username") == Some(&"visi".into())
    }));
    assert!(auth.del_user_rule(&user, &rule(false, &["node"]), Some(&gate)).expect("del"));
    assert!(user.info().get("authgates").and_then(Value::as_map).is_some_and(Map::is_empty));
    auth.del_role(role.iden()).expect("del");
    assert!(!user.has_role(role.iden()));
    auth.set_locked(&user, true).expect("lock");
    assert!(!user.allowed(&["node", "add"], None));
    cell.fini().expect("fini");
}

#[test]
fn changes_stream_and_offsets_are_waited_for() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), logged()).expect("cell");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let nexus = cell.nexus().clone();
        let first = nexus.index();
        let mut stream = Box::pin(nexus.changes(0, true, true).expect("stream"));
        for offs in 0..first {
            let item = stream.next().await.expect("item").expect("good");
            assert_eq!(item.at(0), Some(&Value::from(offs)));
        }
        assert!(stream.next().await.expect("item").expect("good").is_null());
        let iden = cell.iden().to_owned();
        nexus.push_async(&iden, "sync", Vec::new(), Map::new()).await.expect("push");
        let item = stream.next().await.expect("item").expect("good");
        assert_eq!(item.at(1).and_then(|entry| entry.at(1)), Some(&Value::from("sync")));
        assert!(nexus.wait_offs(first, None).await);
        assert!(!nexus.wait_offs(first + 1, Some(std::time::Duration::from_millis(20))).await);
    });
    let error = cell.nexus().push("woot", "sync", Vec::new(), Map::new()).expect_err("unknown");
    assert!(error.is("NoSuchIden"));
    let error = cell.nexus().push(cell.iden(), "woot", Vec::new(), Map::new()).expect_err("unknown");
    assert!(error.is("NoSuchName"));
    cell.nexus().add_hold("testing");
    assert!(cell.nexus().push(cell.iden(), "sync", Vec::new(), Map::new()).is_err_and(|error| error.is("IsReadOnly")));
    cell.fini().expect("fini");
}

#[test]
fn api_keys_work_until_they_are_deleted() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), Map::new()).expect("cell");
    let root = cell.auth().root().expect("root");
    let (token, kdef) = cell.add_api_key(root.iden(), "test", None).expect("key");
    assert!(kdef.get("shadow").is_none());
    assert!(cell.check_api_key(&token).expect("check").is_ok());
    assert!(cell.check_api_key("bad").expect("check").is_err());
    assert_eq!(cell.list_api_keys(Some(root.iden())).expect("list").len(), 1);
    let iden = kdef.get_str("iden").expect("iden").to_owned();
    assert_eq!(cell.mod_api_key(&iden, "renamed").expect("mod").get_str("name"), Some("renamed"));
    assert!(cell.del_api_key(&iden).expect("del"));
    assert!(cell.check_api_key(&token).expect("check").is_err());
    cell.fini().expect("fini");
}

/// Every event is applied twice, as a crash may do: what is stored afterwards is the same.
#[test]
fn events_are_harmless_when_repeated() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), logged()).expect("cell");
    let auth = cell.auth().clone();
    let user = auth.add_user("visi", Some("secret"), &"a@b.com".into(), None).expect("user");
    auth.set_user_value("user:profile", user.iden(), "key", 1.into()).expect("set");
    auth.rename_user(user.iden(), "visi2").expect("rename");
    let role = auth.add_role("ninjas", None).expect("role");
    auth.grant(&user, role.iden(), None).expect("grant");
    auth.set_archived(&user, true).expect("archive");
    cell.add_api_key(user.iden(), "key", None).expect("key");
    let state = |cell: &Cell| -> (Vec<Value>, u64) {
        (cell.auth().users().iter().map(|user| user.info().into()).collect(), cell.auth().entries().expect("entries"))
    };
    let before = state(&cell);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let entries: Vec<Value> = runtime.block_on(async {
        let stream = cell.nexus().changes(0, false, false).expect("stream");
        stream.map(|item| item.expect("item")).collect().await
    });
    let last = entries.last().and_then(|entry| entry.at(1)).expect("an entry");
    cell.nexus().issue(Event::unpack(last).expect("event")).expect("again");
    assert_eq!(state(&cell), before);
    cell.fini().expect("fini");
}

#[test]
fn entries_of_the_reference_are_read_and_written_the_same() {
    let Some(shared) = shared() else { return };
    let text = std::fs::read_to_string(shared.join("spec/vectors/storage/nexus_entries.jsonl")).expect("vectors");
    let mut count = 0;
    for line in text.lines() {
        let row = json::parse(line.as_bytes()).expect("json");
        let hex = row.get("entry").and_then(Value::as_str).expect("hex");
        let byts: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hex")).collect();
        let event = Event::unpack(&msgpack::decode(&byts).expect("msgpack")).expect("event");
        assert_eq!(event.pack(), byts, "{}", event.name);
        count += 1;
    }
    assert!(count > 10);
}

/// Directories that the original wrote open, with their users, and keep what they had.
#[test]
fn directories_of_the_reference_open() {
    let Some(shared) = shared() else { return };
    for name in ["axon", "jsonstor", "aha", "cortex"] {
        let dir = tempfile::tempdir().expect("dir");
        let tar = shared.join(format!("spec/vectors/storage/{name}.tar.gz"));
        let done = std::process::Command::new("tar").arg("xzf").arg(&tar).arg("-C").arg(dir.path()).status();
        assert!(done.expect("tar").success());
        let dirn = dir.path().join(name);
        let cell = Cell::open(SPEC, &dirn, logged()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!cell.is_inaugural());
        let root = cell.auth().root().expect("root");
        assert!(root.is_admin(None) && !root.is_locked());
        assert_eq!(cell.cell_vers("cell:storage").expect("vers"), 2, "{name}");
        assert!(cell.nexus().index() > 0 || name == "jsonstor" || name == "axon", "{name}");
        cell.fini().expect("fini");
    }
}

#[test]
fn beholders_hear_of_changes() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), Map::new()).expect("cell");
    let mut told = cell.nexus().beholders();
    cell.auth().add_user("visi", None, &Value::Null, None).expect("user");
    let first = told.try_recv().expect("a message");
    assert_eq!(first.get("event"), Some(&"user:add".into()));
    let hook = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = hook.clone();
    cell.auth().on_user_lock(Arc::new(move |_, locked| seen.store(locked, std::sync::atomic::Ordering::SeqCst)));
    let user = cell.auth().user_by_name("visi").expect("user");
    cell.auth().set_locked(&user, true).expect("lock");
    assert!(hook.load(std::sync::atomic::Ordering::SeqCst));
    cell.fini().expect("fini");
}

#[test]
fn peers_log_in_and_call() {
    let dir = tempfile::tempdir().expect("dir");
    let conf = logged().with("dmon:listen", "tcp://127.0.0.1:0").with("auth:passwd", "secret");
    let cell = open(dir.path(), conf).expect("cell");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        use myelin_telepath::{Proxy, Todo};
        let port = cell.serve_base().await.expect("serve").and_then(|bound| bound.port()).expect("port");
        let local = Proxy::open(&format!("unix://{}/sock", dir.path().display())).await.expect("local");
        let info = local.call(Todo::new("getCellInfo")).await.expect("info");
        assert_eq!(info.get("cell").and_then(|cell| cell.get("iden")), Some(&Value::from(cell.iden())));
        let udef = local.call(Todo::new("addUser").arg("visi").kw("passwd", "pw")).await.expect("user");
        assert_eq!(udef.get("name"), Some(&Value::from("visi")));
        let bad = Proxy::open(&format!("tcp://visi:wrong@127.0.0.1:{port}/")).await.err().expect("denied");
        assert!(bad.is("AuthDeny"), "{bad}");
        let visi = Proxy::open(&format!("tcp://visi:pw@127.0.0.1:{port}/")).await.expect("visi");
        let error = visi.call(Todo::new("getUserDefs")).await.expect_err("denied");
        assert!(error.is("AuthDeny"), "{error}");
        assert!(visi.call(Todo::new("addUserApiKey").arg("mine")).await.is_ok());
        let name = local.call(Todo::new("runBackup")).await.expect("a backup");
        assert_eq!(local.call(Todo::new("getBackups")).await.expect("backups"), Value::list([name]));
        let error = local.call(Todo::new("promote")).await.expect_err("it leads");
        assert!(error.is("BadConfValu"), "{error}");
        local.call(Todo::new("freeze")).await.expect("frozen");
        let error = local.call(Todo::new("freeze")).await.expect_err("frozen already");
        assert!(error.is("BadState"), "{error}");
        let late = tokio::time::timeout(Duration::from_millis(300), visi.call(Todo::new("addUserApiKey").arg("late")));
        assert!(late.await.is_err(), "a change waits while the service is frozen");
        local.call(Todo::new("resume")).await.expect("resumed");
        assert!(local.call(Todo::new("resume")).await.is_err_and(|error| error.is("BadState")));
        assert!(visi.call(Todo::new("addUserApiKey").arg("later")).await.is_ok());
        let mut changes = local.genr(Todo::new("getNexusChanges").arg(0)).await.expect("stream");
        assert_eq!(changes.next().await.expect("item").expect("good").at(0), Some(&Value::from(0)));
        local.fini().await;
        visi.fini().await;
        if let Some(dmon) = cell.dmon() {
            dmon.fini().await;
        }
    });
    cell.fini().expect("fini");
}

/// The child of the test below: tries to open a directory that is in use.
#[test]
#[ignore = "run by the test of the lock"]
fn lock_child() {
    let Ok(dirn) = std::env::var("MYELIN_LOCK_DIR") else { return };
    let error = open(Path::new(&dirn), logged()).err().expect("the directory is in use");
    assert!(error.is("FatalErr"), "{error}");
}

/// A second process is refused and changes nothing, also after the file with the lock was read or copied.
#[test]
fn a_directory_in_use_is_refused_to_others() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), logged()).expect("cell");
    std::fs::write(dir.path().join("tmp/scratch"), b"in use").expect("written");
    std::fs::copy(dir.path().join("cell.guid"), dir.path().join("copied")).expect("copied");
    let child = std::process::Command::new(std::env::current_exe().expect("exe"))
        .args(["--exact", "lock_child", "--ignored"])
        .env("MYELIN_LOCK_DIR", dir.path())
        .status();
    assert!(child.expect("child").success());
    assert_eq!(std::fs::read(dir.path().join("tmp/scratch")).expect("still there"), b"in use");
    cell.fini().expect("fini");
}

#[test]
fn a_frozen_service_lets_changes_wait() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), logged()).expect("cell");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    assert!(cell.resume().is_err_and(|error| error.is("BadState")));
    runtime.block_on(cell.freeze(std::time::Duration::from_secs(30))).expect("frozen");
    assert!(runtime.block_on(cell.freeze(std::time::Duration::from_secs(1))).is_err_and(|error| error.is("BadState")));
    let indx = cell.nexus().index();
    let at = cell.clone();
    let waiting = std::thread::spawn(move || at.auth().add_user("visi", None, &Value::Null, None).map(drop));
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(cell.nexus().is_paused() && cell.nexus().index() == indx && cell.auth().user_by_name("visi").is_none());
    cell.resume().expect("resumed");
    waiting.join().expect("joined").expect("a user");
    assert!(cell.auth().user_by_name("visi").is_some());
    cell.fini().expect("fini");
}

#[test]
fn databases_are_compacted_at_a_start() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), logged()).expect("cell");
    let root = cell.auth().root().expect("root");
    let big = Value::from("x".repeat(20_000));
    for numb in 0..300 {
        cell.auth().set_user_value("user:profile", root.iden(), &format!("n{numb}"), big.clone()).expect("set");
    }
    for numb in 0..299 {
        cell.auth().pop_user_value("user:profile", root.iden(), &format!("n{numb}"), Value::Null).expect("popped");
    }
    cell.fini().expect("fini");
    drop(cell);
    let size = || std::fs::metadata(dir.path().join("slabs/cell.lmdb/data.mdb")).expect("file").len();
    let before = size();
    let cell = open(dir.path(), logged().with("onboot:optimize", true)).expect("cell");
    assert!(size() < before / 4, "{before} -> {}", size());
    let told = cell.cell_info().expect("info").get("optimized").cloned().expect("optimized");
    assert!(told.get("fini").and_then(|fini| fini.get("size")).is_some(), "{told:?}");
    let root = cell.auth().root().expect("root");
    assert_eq!(cell.auth().user_value("profile", root.iden(), "n299").expect("get"), Some(big));
    cell.fini().expect("fini");
}

/// The child of the test below: changes profile values and says each number once it is acknowledged.
#[test]
#[ignore = "run by the crash test"]
fn crash_child() {
    let Ok(dirn) = std::env::var("MYELIN_CRASH_DIR") else { return };
    let cell = open(Path::new(&dirn), logged()).expect("cell");
    let root = cell.auth().root().expect("root");
    for numb in 0.. {
        cell.auth().set_user_value("user:profile", root.iden(), &format!("n{numb}"), numb.into()).expect("set");
        println!("acked {numb}");
    }
}

/// Whatever was acknowledged before a kill -9 is there after it, in the log and in the slab.
#[test]
fn acknowledged_changes_survive_a_kill() {
    use std::io::BufRead;
    let dir = tempfile::tempdir().expect("dir");
    for round in 1..=3 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("exe"))
            .args(["--exact", "crash_child", "--ignored", "--nocapture"])
            .env("MYELIN_CRASH_DIR", dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("child");
        let lines = std::io::BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut last = None;
        for line in lines.map_while(|line| line.ok()) {
            if let Some(numb) = line.split("acked ").nth(1).and_then(|numb| numb.trim().parse::<u64>().ok()) {
                last = Some(numb);
                if numb > round * 150 {
                    child.kill().expect("kill");
                    break;
                }
            }
        }
        child.wait().expect("wait");
        let cell = open(dir.path(), logged()).expect("reopened");
        let root = cell.auth().root().expect("root");
        for numb in 0..=last.expect("acknowledged") {
            let valu = cell.auth().user_value("profile", root.iden(), &format!("n{numb}")).expect("get");
            assert_eq!(valu, Some(Value::from(numb)), "acknowledged change {numb} of round {round}");
        }
        cell.fini().expect("fini");
    }
}

/// Whoever keeps a handle of a cell that has ended does not keep others out of its directory.
#[test]
fn an_ended_cell_lets_go_of_its_directory() {
    let dir = tempfile::tempdir().expect("dir");
    let cell = open(dir.path(), logged()).expect("cell");
    let free = || {
        let file = std::fs::File::options().read(true).write(true).open(dir.path().join("cell.guid")).expect("file");
        myelin_slab::lock_exclusive(&file).expect("asked")
    };
    assert!(!free(), "a running cell has it");
    let handle = cell.clone();
    cell.fini().expect("fini");
    assert!(free());
    drop(handle);
}

/// A first start that was cut off is begun again, with the options and without what was half there.
#[test]
fn a_first_start_that_was_cut_off_begins_anew() {
    let dir = tempfile::tempdir().expect("dir");
    let inaugural = Map::new().with("users", Value::list([Map::new().with("name", "visi").into()]));
    let conf = logged().with("inaugural", inaugural);
    // As a kill before the first users leaves it.
    let cell = Cell::open(SPEC, dir.path(), conf.clone()).expect("cell");
    cell.auth().add_user("half", None, &Value::Null, None).expect("user");
    cell.fini().expect("fini");
    drop(cell);
    assert!(dir.path().join("boot.unfinished").exists());
    std::fs::write(dir.path().join("cell.yaml"), "backup:dir: /b\n").expect("written");
    let cell = open(dir.path(), conf.clone()).expect("cell");
    assert!(cell.is_inaugural() && cell.auth().user_by_name("visi").is_some());
    assert!(cell.auth().user_by_name("half").is_none(), "of the start that was cut off");
    assert_eq!(cell.conf().str("backup:dir").as_deref(), Some("/b"));
    cell.fini().expect("fini");
    drop(cell);
    let cell = open(dir.path(), conf).expect("cell");
    assert!(!cell.is_inaugural() && cell.auth().user_by_name("visi").is_some());
    cell.fini().expect("fini");
}

/// What users, roles and gates add up to does not depend on the way they came about, nor on the password of root.
#[test]
fn the_sum_of_auth_is_kept_up_and_the_same_for_the_same_state() {
    use myelin_cell::HasSum;
    let dir = tempfile::tempdir().expect("dir");
    let sum_of = |name: &str, passwd: &str, detour: bool| {
        let dirn = dir.path().join(name);
        let conf = logged().with("cell:guid", "1".repeat(32)).with("auth:passwd", passwd);
        let cell = open(&dirn, conf.clone()).expect("cell");
        let auth = cell.auth();
        let user = auth.add_user("visi", None, &Value::Null, Some(&"2".repeat(32))).expect("user");
        if detour {
            auth.set_admin(&user, true, None).expect("set");
            auth.set_admin(&user, false, None).expect("set");
        }
        auth.add_role("ninjas", Some(&"3".repeat(32))).expect("role");
        let sum = auth.state_sum(None).expect("known");
        let (next, before) = (cell.nexus().index(), auth.state_sum(Some(cell.nexus().index())));
        assert_eq!(before, Some(sum));
        auth.set_admin(&user, true, None).expect("set");
        assert_ne!(auth.state_sum(None), Some(sum));
        assert_eq!(auth.state_sum(Some(next)), Some(sum), "what it was then is remembered");
        auth.set_admin(&user, false, None).expect("set");
        assert_eq!(auth.state_sum(None), Some(sum));
        cell.fini().expect("fini");
        drop((cell, user));
        let cell = open(&dirn, conf).expect("reopened");
        cell.auth().count_sum().expect("counted");
        assert_eq!(cell.auth().state_sum(None), Some(sum), "kept");
        cell.fini().expect("fini");
        sum
    };
    let one = sum_of("one", "secret", false);
    assert_eq!(one, sum_of("two", "other", true));
}
