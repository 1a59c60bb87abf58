//! kill -9 of running services at random moments under acknowledged writes: nothing acknowledged is missing after the restart,
//! and what the databases hold is what the logs make.
//!
//! Five rounds; `MYELIN_CRASH_ROUNDS=200` runs more.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Service, verify};
use myelin_error::Result;
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};
use sha2::{Digest, Sha256};

const WRITERS: u64 = 3;

/// What was acknowledged: numbers of nodes, files and documents.
#[derive(Default)]
struct Acked([std::sync::Mutex<BTreeSet<u64>>; 3]);

impl Acked {
    fn add(&self, kind: usize, numb: u64) {
        self.0[kind].lock().expect("lock").insert(numb);
    }

    fn all(&self, kind: usize) -> Vec<u64> {
        self.0[kind].lock().expect("lock").iter().copied().collect()
    }
}

fn bytes_of(numb: u64) -> Vec<u8> {
    numb.to_be_bytes().repeat(1 + (numb as usize * 37) % 3000)
}

fn sha_of(byts: &[u8]) -> Vec<u8> {
    Sha256::digest(byts).to_vec()
}

/// One acknowledged write of a kind.
async fn write(proxy: &Proxy, kind: usize, numb: u64) -> Result<()> {
    match kind {
        0 => {
            let query = "[ inet:ipv4=$ip :asn=$ip +#crash.test=(2020,2021) ]";
            let opts = Map::new().with("vars", Map::new().with("ip", numb as i64));
            let mut mesgs = proxy.genr(Todo::new("storm").arg(query).kw("opts", opts)).await?;
            let mut done = false;
            while let Some(mesg) = mesgs.next().await {
                let mesg = mesg?;
                let name = mesg.at(0).and_then(Value::as_str).unwrap_or_default();
                assert_ne!(name, "err", "{mesg:?}");
                done |= name == "fini";
            }
            if done { Ok(()) } else { Err(myelin_error::err!("LinkShutDown")) }
        }
        1 => proxy.call(Todo::new("put").arg(Value::from(&bytes_of(numb)[..]))).await.map(drop),
        _ => {
            let item = Value::from(Map::new().with("numb", numb as i64));
            proxy.call(Todo::new("setPathObj").arg(format!("crash/{numb}")).arg(item)).await.map(drop)
        }
    }
}

/// Fails for what was acknowledged and is not there.
async fn check(proxy: &Proxy, kind: usize, numbs: &[u64]) {
    if kind == 0 {
        let query = "$found=([]) for $ip in $ips { inet:ipv4=$ip +:asn=$ip +#crash.test $found.append($node.value()) } \
                     fini { return($found) }";
        for part in numbs.chunks(1000) {
            let ips: Value = part.iter().map(|numb| Value::from(*numb as i64)).collect();
            let opts = Map::new().with("vars", Map::new().with("ips", ips));
            let found = proxy.call(Todo::new("callStorm").arg(query).kw("opts", opts)).await.expect("nodes");
            let found: BTreeSet<u64> = found.as_list().expect("a list").iter().filter_map(Value::as_u64).collect();
            let lost: Vec<&u64> = part.iter().filter(|numb| !found.contains(numb)).collect();
            assert!(lost.is_empty(), "acknowledged nodes are lost: {lost:?}");
        }
        return;
    }
    for numb in numbs {
        let there = match kind {
            1 => {
                let byts = bytes_of(*numb);
                let size = proxy.call(Todo::new("size").arg(Value::from(&sha_of(&byts)[..]))).await.expect("size");
                size.as_u64() == Some(byts.len() as u64)
            }
            _ => {
                let item = proxy.call(Todo::new("getPathObj").arg(format!("crash/{numb}"))).await.expect("item");
                item.get("numb").and_then(Value::as_u64) == Some(*numb)
            }
        };
        assert!(there, "acknowledged write {numb} of kind {kind} is lost");
    }
}

/// Numbers that differ from run to run; the seed is printed, for what it is worth with real clocks.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kills() {
    let rounds = std::env::var("MYELIN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5u32);
    let seed = std::time::UNIX_EPOCH.elapsed().expect("now").as_nanos() as u64 | 1;
    println!("{rounds} rounds, seed {seed}");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().expect("dir");
    let acked = Arc::new(Acked::default());
    let next = Arc::new(AtomicU64::new(1));
    // After each round what that round has written is looked for, and everything at the end.
    let mut checked = [0; 3];
    for round in 0..rounds {
        let kinds = ["cortex", "axon", "jsonstor"];
        let mut services: Vec<Service> =
            kinds.into_iter().map(|kind| Service::start(kind, &dir.path().join(kind), &[])).collect();
        let mut proxies = Vec::new();
        for (kind, service) in services.iter_mut().enumerate() {
            let proxy = service.proxy().await;
            let all = acked.all(kind);
            check(&proxy, kind, &all[checked[kind]..]).await;
            checked[kind] = all.len();
            proxies.push(proxy);
        }
        let mut writers = Vec::new();
        for (kind, service) in services.iter_mut().enumerate() {
            for _ in 0..WRITERS {
                let (proxy, acked, next) = (service.proxy().await, acked.clone(), next.clone());
                writers.push(tokio::spawn(async move {
                    loop {
                        let numb = next.fetch_add(1, Ordering::Relaxed);
                        if write(&proxy, kind, numb).await.is_err() {
                            break;
                        }
                        acked.add(kind, numb);
                    }
                }));
            }
        }
        tokio::time::sleep(Duration::from_micros(20_000 + dice.roll(600_000))).await;
        services.iter_mut().for_each(Service::kill);
        for writer in writers {
            writer.await.expect("a writer");
        }
        let counts = [0, 1, 2].map(|kind| acked.all(kind).len());
        println!("round {round}: {counts:?} acknowledged so far");
    }
    assert!((0..3).all(|kind| !acked.all(kind).is_empty()), "nothing was written");
    for (kind, name) in ["cortex", "axon", "jsonstor"].into_iter().enumerate() {
        let mut service = Service::start(name, &dir.path().join(name), &[]);
        let proxy = service.proxy().await;
        check(&proxy, kind, &acked.all(kind)).await;
        proxy.fini().await;
        service.stop();
        let (status, text) = verify(&dir.path().join(name), &["--replay"]);
        assert_eq!(status, 0, "{name}: {text}");
        println!("{text}");
    }
}

/// A first start that was killed at any moment is begun again by the next, with everything that a first start makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_starts_survive_kills() {
    let dir = tempfile::tempdir().expect("dir");
    let options = "inaugural:\n  users: [{name: visi@vertex.link, admin: true}]\nnexslog:en: true\n";
    let kinds = ["cortex", "axon", "jsonstor"];
    let mut took = Vec::new();
    for kind in kinds {
        let dirn = dir.path().join(format!("whole-{kind}"));
        std::fs::create_dir_all(&dirn).expect("made");
        std::fs::write(dirn.join("cell.yaml"), options).expect("written");
        let begun = std::time::Instant::now();
        let mut service = Service::start(kind, &dirn, &[]);
        service.proxy().await.fini().await;
        took.push(begun.elapsed());
        service.stop();
    }
    let rounds = std::env::var("MYELIN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4u32);
    let mut cut = 0;
    for round in 0..rounds {
        for (kind, took) in kinds.into_iter().zip(&took) {
            let dirn = dir.path().join(format!("{kind}{round}"));
            std::fs::create_dir_all(&dirn).expect("made");
            std::fs::write(dirn.join("cell.yaml"), options).expect("written");
            let mut service = Service::start(kind, &dirn, &[]);
            tokio::time::sleep(*took * (round + 1) / (rounds + 1)).await;
            service.kill();
            cut += u32::from(dirn.join("boot.unfinished").exists());
            let mut service = Service::start(kind, &dirn, &[]);
            let proxy = service.proxy().await;
            let user = proxy.call(Todo::new("getUserDefByName").arg("visi@vertex.link")).await.expect("asked");
            assert_eq!(
                user.get("admin"),
                Some(&Value::Bool(true)),
                "{kind}, round {round}: {user:?} {}",
                service.log()
            );
            write(&proxy, kinds.iter().position(|name| *name == kind).expect("a kind"), 7).await.expect("a write");
            proxy.fini().await;
            service.stop();
            let (status, text) = verify(&dirn, &[]);
            assert_eq!(status, 0, "{kind}, round {round}: {text}");
        }
    }
    println!("{cut} of {} first starts were cut off", rounds * 3);
    assert!(cut > 0, "no kill came in time");
}

/// How many nodes there are: the count in memory is what sees a change first.
async fn count(proxy: &Proxy) -> Result<u64> {
    let query = "return($lib.layer.get().getFormCounts().\"inet:ipv4\")";
    Ok(proxy.call(Todo::new("callStorm").arg(query)).await?.as_u64().unwrap_or_default())
}

/// One long query writes, others look on: what any of them was told of is there after a kill, although the changes of a query
/// are committed together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_heard_of_what_a_kill_takes_away() {
    let rounds = std::env::var("MYELIN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5u32);
    let mut dice = Dice(std::time::UNIX_EPOCH.elapsed().expect("now").as_nanos() as u64 | 1);
    let dir = tempfile::tempdir().expect("dir");
    let dirn = dir.path().join("cortex");
    let mut heard = 0;
    for round in 0..rounds {
        let mut service = Service::start("cortex", &dirn, &[]);
        let proxy = service.proxy().await;
        let have = count(&proxy).await.expect("a count");
        assert!(have >= heard, "round {round}: {have} nodes are left of {heard} that somebody was told of");
        let told = Arc::new(AtomicU64::new(have));
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let (proxy, told) = (service.proxy().await, told.clone());
            tasks.push(tokio::spawn(async move {
                while let Ok(have) = count(&proxy).await {
                    told.fetch_max(have, Ordering::Relaxed);
                }
            }));
        }
        let (writer, by_writer) = (service.proxy().await, told.clone());
        tasks.push(tokio::spawn(async move {
            let text = "for $i in $lib.range(10000000) { $ip=($base + $i) [ inet:ipv4=$ip ] if (($i % 97) = 0) { $lib.print($i) } }";
            let opts = Map::new().with("vars", Map::new().with("base", have as i64)).with("show", vec![Value::from("print")]);
            let Ok(mut mesgs) = writer.genr(Todo::new("storm").arg(text).kw("opts", opts)).await else { return };
            while let Some(Ok(mesg)) = mesgs.next().await {
                assert_ne!(mesg.at(0).and_then(Value::as_str), Some("err"), "{mesg:?}");
                let numb = mesg.at(1).and_then(|info| info.get("mesg")).and_then(Value::as_str);
                if let Some(numb) = numb.and_then(|numb| numb.parse::<u64>().ok()) {
                    by_writer.fetch_max(have + numb + 1, Ordering::Relaxed);
                }
            }
        }));
        tokio::time::sleep(Duration::from_micros(50_000 + dice.roll(600_000))).await;
        service.kill();
        for task in tasks {
            task.await.expect("a task");
        }
        heard = told.load(Ordering::Relaxed);
        println!("round {round}: {heard} nodes were told of");
    }
    assert!(heard > 0, "nothing was written");
    let mut service = Service::start("cortex", &dirn, &[]);
    let proxy = service.proxy().await;
    let have = proxy.call(Todo::new("count").arg("inet:ipv4")).await.expect("a count").as_u64().unwrap_or_default();
    assert!(have >= heard, "{have} nodes are left of {heard}");
    proxy.fini().await;
    service.stop();
    let (status, text) = verify(&dirn, &["--replay"]);
    assert_eq!(status, 0, "{text}");
}
