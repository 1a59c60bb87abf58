//! How much more work queries that only read do at the same time than one after the other.
//!
//!     cargo run --release -p myelin-cortex --example concurrent [seconds]
//!
//! Fills a cortex in a temporary directory, then lets 1, 2, 4 and 8 clients ask the same queries for some seconds each, three times
//! over. Shown for every query: what all clients got done in a second of wall time, against one client; what was done in a second
//! of processor time, likewise (a lock that spins or a cache line that travels shows there, on a busy machine too); and how many
//! processors were at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use myelin_cortex::Cortex;
use myelin_value::{Map, Value};

const FILL: &[&str] = &[
    "for $i in $lib.range(6000) { [ inet:ipv4=$($i + 167772160) :asn=$(($i % 50) + 1) :loc=us.ca +#bench.a=2020 ] }",
    "for $i in $lib.range(2000) { $f=($i % 200) [ inet:dns:a=(`d{$f}.bench.link`, $($i + 167772160)) ] }",
    "inet:ipv4 $n=$node.value() [ +(refs)> { inet:ipv4=$($n + 1) inet:ipv4=$($n + 2) } ]",
];

const QUERIES: &[(&str, &str)] = &[
    ("filter", "inet:ipv4 +$(:asn > 25)"),
    ("pivot", "inet:fqdn=bench.link inet:fqdn=\"*.bench.link\" -> inet:dns:a -> inet:ipv4"),
    ("pivot *", "inet:ipv4*range=(10.0.0.0, 10.0.7.255) -> *"),
    ("walk", "inet:ipv4*range=(10.0.0.0, 10.0.1.255) -(refs)> * -(refs)> *"),
    ("loop", "$x=(0) for $i in $lib.range(20000) { $x=($x + $i) }"),
    ("function", "function f(x) { return(($x + 1)) } $x=(0) for $i in $lib.range(8000) { $x=$f($x) }"),
];

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| rest.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

async fn count(core: &Arc<Cortex>, text: &str) {
    let root = core.cell.auth().root().expect("root");
    let opts = Map::new().with("editformat", "none");
    core.clone().count(root, text.to_owned(), opts.into()).await.unwrap_or_else(|error| panic!("{text}: {error}"));
}

struct Done {
    per_second: f64,
    per_cpu: f64,
    busy: f64,
}

async fn measure(core: &Arc<Cortex>, text: &'static str, clients: usize, time: Duration) -> Done {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (began, before) = (Instant::now(), cpu());
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (core, stop, done) = (core.clone(), stop.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                count(&core, text).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no panic");
    }
    let (wall, used) = (began.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64());
    let done = done.load(Ordering::Relaxed) as f64;
    Done { per_second: done / wall, per_cpu: done / used, busy: used / wall }
}

fn median(mut vals: Vec<f64>) -> f64 {
    vals.sort_by(f64::total_cmp);
    vals[vals.len() / 2]
}

#[tokio::main]
async fn main() {
    let secs = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let time = Duration::from_secs_f64(secs);
    let dir = tempfile::tempdir().expect("a directory");
    let conf = Map::new().with("limit:disk:free", Value::Null);
    let core = Cortex::open(&dir.path().join("core"), conf).expect("a cortex");
    for text in FILL {
        count(&core, text).await;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{cores} processors\n{:10} {:>8} {:>10} {:>10} {:>8}", "query", "clients", "wall", "per cpu", "busy");
    for (name, text) in QUERIES {
        count(&core, text).await;
        let mut runs = vec![Vec::new(); 4];
        for _ in 0..3 {
            for (indx, clients) in [1, 2, 4, 8].into_iter().enumerate() {
                let done = measure(&core, text, clients, time).await;
                runs[indx].push((done.per_second, done.per_cpu, done.busy));
            }
        }
        let of = |indx: usize, part: fn(&(f64, f64, f64)) -> f64| median(runs[indx].iter().map(part).collect());
        for (indx, clients) in [1, 2, 4, 8].into_iter().enumerate() {
            let wall = of(indx, |run| run.0) / of(0, |run| run.0);
            let per_cpu = of(indx, |run| run.1) / of(0, |run| run.1);
            println!("{name:10} {clients:>8} {wall:>9.2}x {per_cpu:>9.2}x {:>8.2}", of(indx, |run| run.2));
        }
    }
    core.fini().expect("the end");
}
