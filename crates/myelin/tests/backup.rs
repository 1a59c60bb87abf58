//! Backups of running services, restored and verified; services that are frozen, full, or in the way of one another.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Service, myelin, tool, verify};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};

async fn add_ip(proxy: &Proxy, numb: u64) -> myelin_error::Result<()> {
    let opts = Map::new().with("vars", Map::new().with("ip", numb as i64));
    let todo = Todo::new("callStorm").arg("[ inet:ipv4=$ip :asn=$ip +#live ] fini { return((1)) }").kw("opts", opts);
    proxy.call(todo).await.map(drop)
}

async fn count_ips(proxy: &Proxy) -> u64 {
    proxy.call(Todo::new("count").arg("inet:ipv4")).await.expect("count").as_u64().expect("a number")
}

/// A backup under writes opens, is sound, holds all that was acknowledged before it was asked for, and stops writers for no
/// longer than it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_backup_is_of_one_moment() {
    let dir = tempfile::tempdir().expect("dir");
    let (svc, backups) = (dir.path().join("cortex"), dir.path().join("backups"));
    let mut core = Service::start("cortex", &svc, &["--backup-dir", &backups.display().to_string()]);
    let proxy = core.proxy().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (acked, slowest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (proxy, stop) = (core.proxy().await, stop.clone());
        let (acked, slowest) = (acked.clone(), slowest.clone());
        tokio::spawn(async move {
            for numb in 1.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let begun = Instant::now();
                add_ip(&proxy, numb).await.expect("written");
                slowest.fetch_max(begun.elapsed().as_micros() as u64, Ordering::SeqCst);
                acked.store(numb, Ordering::SeqCst);
            }
        })
    };
    while acked.load(Ordering::SeqCst) < 50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = acked.load(Ordering::SeqCst);
    let url = format!("unix://{}/sock", svc.display());
    let out = tokio::task::spawn_blocking(move || tool(&["service.livebackup", "--url", &url, "--name", "one"]));
    let out = out.await.expect("joined");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("...backup created: one"), "{text}");
    let after = acked.load(Ordering::SeqCst) + 1;
    let streamed = proxy.genr(Todo::new("iterNewBackupArchive").kw("name", "two").kw("remove", true)).await;
    let mut tgz = Vec::new();
    let mut streamed = streamed.expect("a stream");
    while let Some(chunk) = streamed.next().await {
        tgz.extend_from_slice(chunk.expect("a chunk").as_bytes().expect("bytes"));
    }
    let names = proxy.call("getBackups").await.expect("names");
    assert_eq!(names, Value::list([Value::from("one")]));
    stop.store(true, Ordering::SeqCst);
    writer.await.expect("the writer");
    let total = count_ips(&proxy).await;
    let log = core.log();
    let pause = log.split("pause_us=").nth(1).and_then(|rest| rest.split_whitespace().next().map(str::to_owned));
    println!("write pause {pause:?} us; slowest write {} us", slowest.load(Ordering::SeqCst));
    core.stop();

    let (status, text) = verify(&backups.join("one"), &["--replay"]);
    assert_eq!(status, 0, "{text}");
    let mut old = Service::start("cortex", &backups.join("one"), &[]);
    let count = count_ips(&old.proxy().await).await;
    assert!((before..=after).contains(&count), "{count} nodes, and {before} to {after} were acknowledged");
    old.stop();

    // The streamed one, fetched by a service that begins from it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/two.tgz", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 4096]);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", tgz.len());
        let _ = stream.write_all(&tgz);
    });
    let restored = dir.path().join("restored");
    let mut again = Service::start_with("cortex", &restored, &[], &[("SYN_RESTORE_HTTPS_URL", &url)]);
    let count = count_ips(&again.proxy().await).await;
    assert!(count >= before && count <= total, "{count} of {total}");
    again.stop();
    assert!(restored.join("restore.done").is_file());
    // The variable may stay: the second start asks for nothing.
    let mut again = Service::start_with("cortex", &restored, &[], &[("SYN_RESTORE_HTTPS_URL", &url)]);
    assert_eq!(count_ips(&again.proxy().await).await, count);
    again.stop();
    let (status, text) = verify(&restored, &[]);
    assert_eq!(status, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_copy_freeze_and_verify() {
    let dir = tempfile::tempdir().expect("dir");
    let svc = dir.path().join("jsonstor");
    let url = format!("unix://{}/sock", svc.display());
    let mut service = Service::start("jsonstor", &svc, &[]);
    let proxy = service.proxy().await;
    let set = |numb: i64| Todo::new("setPathObj").arg(format!("a/{numb}")).arg(Value::from(numb));
    proxy.call(set(1)).await.expect("set");

    // Frozen: a change waits, a copy made meanwhile is whole.
    assert_eq!(tool(&["service.snapshot", "resume", "--svcurl", &url]).status.code(), Some(1));
    assert!(tool(&["service.snapshot", "freeze", "--svcurl", &url]).status.success());
    let second = String::from_utf8_lossy(&tool(&["snapshot", "freeze", "--svcurl", &url]).stdout).into_owned();
    assert!(second.starts_with("ERROR BadState:"), "{second}");
    let info = proxy.call("getCellInfo").await.expect("info");
    assert_eq!(info.get("cell").and_then(|cell| cell.get("paused")), Some(&Value::Bool(true)));
    let waiting = tokio::spawn({
        let (proxy, todo) = (service.proxy().await, set(2));
        async move { proxy.call(todo).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    assert_eq!(proxy.call(Todo::new("getPathObj").arg("a/1")).await.expect("read"), Value::from(1));
    let frozen = dir.path().join("frozen");
    let (from, into) = (svc.display().to_string(), frozen.display().to_string());
    assert!(tool(&["service.backup", &from, &into]).status.success());
    assert!(tool(&["service.snapshot", "resume", "--svcurl", &url]).status.success());
    waiting.await.expect("joined").expect("the change goes on");

    // A running service keeps its lock, also while its directory is copied.
    let copied = dir.path().join("copied");
    assert!(tool(&["backup", &from, &copied.display().to_string(), "--skipdirs", "./certs"]).status.success());
    assert!(!copied.join("certs").exists() && !copied.join("tmp").exists());
    let mut twice = Service::start("jsonstor", &svc, &[]);
    assert!(!twice.wait_end().success());
    assert!(twice.log().contains("already running"), "{}", twice.log());
    proxy.call(set(3)).await.expect("the first goes on");
    let (status, text) = verify(&svc, &[]);
    assert!(status == 2 && text.contains("is running"), "{status}: {text}");
    service.stop();

    for (path, want) in [(&frozen, vec![1]), (&copied, vec![1, 2]), (&svc, vec![1, 2, 3])] {
        let (status, text) = verify(path, &[]);
        assert_eq!(status, 0, "{}: {text}", path.display());
        let mut service = Service::start("jsonstor", path, &[]);
        let proxy = service.proxy().await;
        for numb in 1..=3 {
            let there = proxy.call(Todo::new("getPathObj").arg(format!("a/{numb}"))).await.expect("read");
            assert_eq!(!there.is_null(), want.contains(&numb), "{} {numb}", path.display());
        }
        service.stop();
    }

    // Damage is named, and by its status.
    let data = svc.join("slabs/cell.lmdb/data.mdb");
    let mut byts = std::fs::read(&data).expect("read");
    let half = byts.len() / 4096 / 2 * 4096;
    byts[2 * 4096..half].fill(0);
    std::fs::write(&data, &byts).expect("damaged");
    let (status, text) = verify(&svc, &[]);
    assert!(status == 1 && text.contains("damaged: slabs/cell.lmdb: "), "{status}: {text}");
    assert_eq!(verify(dir.path(), &[]).0, 2);
}

/// What is wrong with a directory or its options is said by name, and nothing is changed.
#[test]
fn bad_directories_and_options_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("dir");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let svc = dir.path().join("axon");
    let mut service = Service::start("axon", &svc, &[]);
    runtime.block_on(async { service.proxy().await.fini().await });
    service.stop();
    let run = |args: &[&str]| {
        let mut starter = myelin();
        starter.arg("axon").arg(&svc).args(["--https", "0", "--telepath", "tcp://127.0.0.1:0"]).args(args);
        let out = starter.output().expect("run");
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let snapshot = || std::fs::read(svc.join("slabs/cell.lmdb/data.mdb")).expect("read");
    let sound = snapshot();
    for (yaml, want) in
        [("no:such:option: 1\n", "no:such:option"), ("max:bytes: lots\n", "max:bytes"), ("{[", "cell.yaml")]
    {
        std::fs::write(svc.join("cell.yaml"), yaml).expect("written");
        let (good, text) = run(&[]);
        assert!(!good && text.contains(want), "{yaml}: {text}");
        assert_eq!(snapshot(), sound);
    }
    std::fs::remove_file(svc.join("cell.yaml")).expect("removed");
    for slab in ["slabs/cell.lmdb", "axon.lmdb", "blob.lmdb", "slabs/nexus.lmdb"] {
        let path = svc.join(slab).join("data.mdb");
        let good = std::fs::read(&path).expect("read");
        for bad in [b"this is no database of ours at all".repeat(300), good[..good.len() / 2].to_vec()] {
            std::fs::write(&path, &bad).expect("damaged");
            let (started, text) = run(&[]);
            assert!(!started && text.contains(slab) && text.contains("data.mdb"), "{slab}: {text}");
            assert_eq!(std::fs::read(&path).expect("read"), bad, "{slab} was changed");
        }
        std::fs::write(&path, &good).expect("mended");
    }
    std::fs::write(svc.join("slabs/cell.opts.yaml"), "map_size: big\n").expect("written");
    let (started, text) = run(&[]);
    assert!(!started && text.contains("cell.opts.yaml"), "{text}");
    std::fs::write(svc.join("slabs/cell.opts.yaml"), "--- {}\n...\n").expect("written");
    let mut service = Service::start("axon", &svc, &[]);
    runtime.block_on(async { service.proxy().await.fini().await });
    service.stop();
}

/// A volume that fills up: changes are refused by name, reads go on, a restart with room has all that was acknowledged. Needs
/// the right to mount; skipped without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_volume_loses_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let vol = dir.path().join("vol");
    std::fs::create_dir(&vol).expect("made");
    let mount = |args: &[&str]| {
        let done = std::process::Command::new("mount").args(args).arg(&vol).output();
        done.is_ok_and(|out| out.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=24m", "none"]) {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _mounted = Mounted(vol.clone());
    for (limit, name) in [("null", "DbOutOfSpace"), ("10", "IsReadOnly")] {
        let svc = vol.join("axon");
        std::fs::create_dir_all(&svc).expect("made");
        std::fs::write(svc.join("cell.yaml"), format!("limit:disk:free: {limit}\n")).expect("written");
        let mut service = Service::start("axon", &svc, &["--nexslog-en"]);
        let proxy = service.proxy().await;
        let (mut stored, mut refused) = (Vec::new(), None);
        for numb in 0..200u64 {
            let byts: Vec<u8> = (0..200_000u64).map(|at| (at.wrapping_mul(numb + 7) >> 3) as u8).collect();
            match proxy.call(Todo::new("put").arg(Value::from(&byts[..]))).await {
                Ok(done) => stored.push(done.at(1).expect("a hash").clone()),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
            // The free space is looked at every two seconds.
            let pause = if limit == "null" { 1 } else { 400 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let refused = refused.expect("the volume is full");
        assert!(refused.is(name), "{limit}: {refused}");
        for sha in &stored {
            assert!(proxy.call(Todo::new("size").arg(sha.clone())).await.expect("size").as_u64() == Some(200_000));
        }
        println!("limit {limit}: {} files stored, then {refused}", stored.len());
        if limit == "10" {
            // Read-only, and back when there is room.
            assert!(mount(&["-o", "remount,size=64m"]));
            let begun = Instant::now();
            while proxy.call(Todo::new("put").arg(Value::from(&b"room"[..]))).await.is_err() {
                assert!(begun.elapsed() < Duration::from_secs(20), "it stays read-only");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        } else {
            let health = proxy.call("getHealthCheck").await.expect("health");
            assert_eq!(health.get("status"), Some(&"failed".into()));
        }
        service.kill();
        assert!(mount(&["-o", "remount,size=64m"]));
        let mut service = Service::start("axon", &svc, &["--nexslog-en"]);
        let proxy = service.proxy().await;
        for sha in &stored {
            assert!(proxy.call(Todo::new("size").arg(sha.clone())).await.expect("size").as_u64() == Some(200_000));
        }
        proxy.fini().await;
        service.stop();
        let (status, text) = verify(&svc, &[]);
        assert_eq!(status, 0, "{text}");
        std::fs::remove_dir_all(&svc).expect("removed");
        assert!(mount(&["-o", "remount,size=24m"]));
    }
}
