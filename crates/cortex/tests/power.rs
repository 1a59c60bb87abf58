//! What a cortex finds after a kill or a power loss at any write: nothing acknowledged is missing, every index agrees with its
//! nodes, and the layer is what its log of edits makes.
//!
//! `MYELIN_POWER_IMAGES=500` tries more images than the usual ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_cortex::Cortex;
use myelin_slab::Findings;
use myelin_slab::faults::{self, Recording};
use myelin_value::{Map, Value};

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn images() -> u64 {
    std::env::var("MYELIN_POWER_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

fn open(dirn: &Path, durable: bool) -> Arc<Cortex> {
    let conf = Map::new().with("nexus:durable", durable).with("limit:disk:free", Value::Null);
    Cortex::open(dirn, conf).unwrap_or_else(|error| panic!("{}: {error}", dirn.display()))
}

async fn call(core: &Arc<Cortex>, query: &str, vars: Map) -> Value {
    let root = core.cell.auth().root().expect("root");
    let opts = Map::new().with("vars", vars);
    core.clone()
        .call_storm(root, query.to_owned(), opts.into())
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// Nodes with every kind of row; each query is marked when it is acknowledged.
async fn work(core: &Arc<Cortex>, count: u64) {
    for numb in 0..count {
        let query = "[ inet:ipv4=$n :asn=$n .seen=(2020,2021) +#foo.bar=(2019,2022) +(refs)> {[ inet:fqdn=$name ]} ] \
                     $node.data.set(note, $n) fini { return((1)) }";
        let vars = Map::new().with("n", numb as i64 + 1).with("name", format!("x{numb}.link"));
        call(core, query, vars).await;
        faults::mark(numb);
        if numb % 7 == 6 {
            call(core, "inet:ipv4=$n [ -#foo -:asn ] fini { return((1)) }", Map::new().with("n", numb as i64)).await;
            core.cell.writer().commit().expect("committed");
        }
    }
}

fn files_of(dirn: &Path, into: &mut Files) {
    for entry in std::fs::read_dir(dirn).expect("listed") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            files_of(&path, into);
        } else if path.file_name().is_some_and(|name| name != "lock.mdb") {
            into.insert(path.clone(), std::fs::read(&path).expect("read"));
        }
    }
}

fn write_image(files: &Files, root: &Path, into: &Path) {
    let _ = std::fs::remove_dir_all(into);
    for (path, byts) in files {
        let target = into.join(path.strip_prefix(root).expect("inside"));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        std::fs::write(target, byts).expect("written");
    }
}

/// A recording of the first start of a cortex and of what it is then told.
async fn recorded(dirn: &Path, durable: bool) -> (Files, Recording) {
    std::fs::create_dir_all(dirn).expect("made");
    faults::record(dirn, None);
    let core = open(dirn, durable);
    let first = call(&core, "return((1))", Map::new()).await;
    assert_eq!(first, Value::from(1));
    core.cell.writer().commit().expect("committed");
    work(&core, 60).await;
    let recording = faults::finish();
    core.fini().expect("fini");
    // What is not recorded is taken from the end: it was all there when the work began.
    let mut base = Files::new();
    files_of(dirn, &mut base);
    base.retain(|path, _| {
        path.file_name().is_some_and(|name| name != "data.mdb") && !path.starts_with(dirn.join("tmp"))
    });
    (base, recording)
}

/// The child of the test below, since a cortex is opened once in a process: opens an image and looks for what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run for each image by the test below"]
async fn image_child() {
    let Ok(dirn) = std::env::var("MYELIN_POWER_DIR") else { return };
    let acked: i64 = std::env::var("MYELIN_POWER_ACKED").ok().and_then(|text| text.parse().ok()).expect("a number");
    let core = open(Path::new(&dirn), std::env::var("MYELIN_POWER_DURABLE").is_ok());
    let query = "$found=([]) for $n in $nums { inet:ipv4=$n +{ -(refs)> inet:fqdn } if ($node.data.get(note) = $n) \
                 { $found.append($n) } } fini { return($found) }";
    let nums: Value = (1..=acked).map(Value::from).collect();
    let found = call(&core, query, Map::new().with("nums", nums)).await;
    assert_eq!(found.as_list().map(<[Value]>::len), Some(acked as usize), "{found:?} of {acked}");
    call(&core, "[ inet:ipv4=9.9.9.9 ] fini { return((1)) }", Map::new()).await;
    core.fini().expect("fini");
}

fn try_image(dirn: &Path, durable: bool, acked: usize, what: &str) {
    let mut child = std::process::Command::new(std::env::current_exe().expect("exe"));
    child.args(["--exact", "image_child", "--ignored", "--nocapture"]);
    child.env("MYELIN_POWER_DIR", dirn).env("MYELIN_POWER_ACKED", acked.to_string());
    if durable {
        child.env("MYELIN_POWER_DURABLE", "1");
    }
    let out = child.output().expect("child");
    assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    let mut findings = Findings::new(Box::new(|_, _| {}));
    for entry in std::fs::read_dir(dirn.join("layers")).expect("layers") {
        let layer = entry.expect("entry").path();
        myelin_graph::verify_layer(&layer, &mut findings).expect("verified");
        let scratch = dirn.join("tmp/scratch");
        myelin_graph::verify_replay(&layer, &scratch, &mut findings).expect("replayed");
        std::fs::remove_dir_all(&scratch).expect("removed");
    }
    myelin_cell::verify_log(&dirn.join("slabs"), &mut findings).expect("verified");
    assert!(findings.damage().is_empty(), "{what}: {:#?}", findings.damage());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cortex_survives_kills_and_power_losses() {
    for durable in [false, true] {
        let dir = tempfile::tempdir().expect("dir");
        let dirn = dir.path().canonicalize().expect("path").join("svc");
        let (base, recording) = recorded(&dirn, durable).await;
        let (count, mut dice) = (images(), Dice(17));
        let first = recording.0.iter().position(|op| matches!(op, faults::Op::Mark(0))).expect("a mark");
        for numb in 0..count {
            let end = first + 1 + dice.roll((recording.0.len() - first) as u64) as usize;
            let files = match durable {
                true => recording.after_power_loss(&base, end, &mut |below| dice.roll(below)),
                false => recording.after_crash(&base, end),
            };
            let image = dir.path().join(format!("image{numb}"));
            write_image(&files, &dirn, &image);
            let what = format!("durable {durable}, image {numb}, cut at {end} of {}", recording.0.len());
            try_image(&image, durable, recording.acked(end).len(), &what);
            std::fs::remove_dir_all(&image).expect("removed");
        }
        println!("durable {durable}: {count} images of {} operations, nothing lost", recording.0.len());
    }
}
