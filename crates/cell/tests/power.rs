//! What a service finds after its process or its machine has failed at any write: what LMDB asked of the system is recorded,
//! and directories are made from it as a kill or a power loss could have left them. Each must open, hold everything that was
//! acknowledged, and agree with its log.
//!
//! `MYELIN_POWER_IMAGES=2000` tries more images than the usual ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use myelin_cell::{Cell, CellSpec};
use myelin_slab::faults::{self, Fail, Recording};
use myelin_slab::{Findings, check_file};
use myelin_value::{Map, Value};

const SPEC: CellSpec =
    CellSpec { celltype: "cell", confs: &[], envprefixes: &[], version: myelin_cell::version::VERSION };

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Recordings are of the whole process, so that one test at a time makes them.
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn images() -> u64 {
    std::env::var("MYELIN_POWER_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
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

fn open(dirn: &Path, log: bool, durable: bool) -> myelin_error::Result<Cell> {
    let conf = Map::new().with("nexslog:en", log).with("nexus:durable", durable).with("limit:disk:free", Value::Null);
    let cell = Cell::open(SPEC, dirn, conf)?;
    cell.start().inspect_err(|_| drop(cell.fini()))?;
    Ok(cell)
}

/// Makes changes until one fails; each is marked when it is acknowledged.
fn work(cell: &Cell, count: u64) {
    let Ok(root) = cell.auth().root() else { return };
    for numb in 0..count {
        let valu = Value::from("x".repeat(1 + (numb as usize * 97) % 3000));
        if cell.auth().set_user_value("user:profile", root.iden(), &format!("n{numb}"), valu).is_err() {
            return;
        }
        faults::mark(numb);
        if numb % 25 == 24 && cell.nexus().is_logged() && cell.rotate_log().is_err() {
            return;
        }
        if numb % 10 == 9 && cell.writer().commit().is_err() {
            return;
        }
    }
}

fn lost(cell: &Cell, acked: &[u64]) -> Vec<u64> {
    let root = cell.auth().root().expect("root");
    let want = |numb: u64| Value::from("x".repeat(1 + (numb as usize * 97) % 3000));
    let there = |numb: u64| cell.auth().user_value("profile", root.iden(), &format!("n{numb}")).expect("get");
    acked.iter().copied().filter(|numb| there(*numb) != Some(want(*numb))).collect()
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

/// Writes an image below another directory.
fn write_image(files: &Files, root: &Path, into: &Path) {
    let _ = std::fs::remove_dir_all(into);
    for (path, byts) in files {
        let target = into.join(path.strip_prefix(root).expect("inside"));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        std::fs::write(target, byts).expect("written");
    }
}

/// Opens an image, looks for what was acknowledged, and checks every page and the log.
fn try_image(dirn: &Path, log: bool, durable: bool, acked: &[u64], what: &str) {
    let cell = open(dirn, log, durable).unwrap_or_else(|error| panic!("{what}: the image does not open: {error}"));
    let gone = lost(&cell, acked);
    assert!(gone.is_empty(), "{what}: of {} acknowledged changes {gone:?} are lost", acked.len());
    // One more change is made, so that the image is also written to.
    cell.auth().add_user("after", None, &Value::Null, None).unwrap_or_else(|error| panic!("{what}: {error}"));
    cell.fini().expect("fini");
    drop(cell);
    let mut found = Findings::new(Box::new(|_, _| {}));
    for slab in ["cell.lmdb", "nexus.lmdb"] {
        let checked = check_file(&dirn.join("slabs").join(slab)).expect("checked");
        assert!(checked.damage.is_empty(), "{what}: {slab}: {:?}", checked.damage);
    }
    if let Some(slab) = found.open(&dirn.join("slabs/cell.lmdb")).expect("opened") {
        myelin_cell::verify_auth(&slab, &mut found).expect("verified");
    }
    myelin_cell::verify_log(&dirn.join("slabs"), &mut found).expect("verified");
    assert!(found.damage().is_empty(), "{what}: {:?}", found.damage());
}

fn recorded(dirn: &Path, log: bool, durable: bool) -> (Files, Recording) {
    // A first start, so that there is something to be lost.
    open(dirn, log, durable).expect("cell").fini().expect("fini");
    let mut base = Files::new();
    files_of(dirn, &mut base);
    faults::record(dirn, None);
    let cell = open(dirn, log, durable).expect("cell");
    work(&cell, 120);
    let recording = faults::finish();
    cell.fini().expect("fini");
    // Options of slabs that were made meanwhile; not what is recorded.
    let mut now = Files::new();
    files_of(dirn, &mut now);
    base.extend(now.into_iter().filter(|(path, _)| path.extension().is_some_and(|ext| ext == "yaml")));
    (base, recording)
}

#[test]
fn a_kill_at_any_write_loses_nothing() {
    let _one = ONE.lock().unwrap_or_else(|error| error.into_inner());
    for log in [true, false] {
        let dir = tempfile::tempdir().expect("dir");
        let dirn = dir.path().canonicalize().expect("path").join("svc");
        let (base, recording) = recorded(&dirn, log, false);
        let (count, mut dice) = (images() / 2, Dice(7));
        for numb in 0..count {
            let end = dice.roll(recording.0.len() as u64 + 1) as usize;
            let image = dir.path().join("image");
            write_image(&recording.after_crash(&base, end), &dirn, &image);
            try_image(&image, log, false, &recording.acked(end), &format!("log {log}, image {numb}, cut at {end}"));
        }
        println!("log {log}: {count} images of {} operations, nothing lost", recording.0.len());
    }
}

#[test]
fn a_power_loss_at_any_write_loses_nothing_in_durable_mode() {
    let _one = ONE.lock().unwrap_or_else(|error| error.into_inner());
    for log in [true, false] {
        let dir = tempfile::tempdir().expect("dir");
        let dirn = dir.path().canonicalize().expect("path").join("svc");
        let (base, recording) = recorded(&dirn, log, true);
        let (count, mut dice) = (images() / 2, Dice(11));
        for numb in 0..count {
            let end = dice.roll(recording.0.len() as u64 + 1) as usize;
            let image = dir.path().join("image");
            let files = recording.after_power_loss(&base, end, &mut |below| dice.roll(below));
            write_image(&files, &dirn, &image);
            try_image(&image, log, true, &recording.acked(end), &format!("log {log}, image {numb}, cut at {end}"));
        }
        println!("log {log}: {count} torn images of {} operations, nothing lost", recording.0.len());
    }
}

/// The n-th write or sync fails, once or from then on: the service refuses changes by name, and a restart has everything.
#[test]
fn a_failing_disk_loses_nothing() {
    let _one = ONE.lock().unwrap_or_else(|error| error.into_inner());
    let mut tried = 0;
    for (durable, errno) in [(true, 5), (false, 28), (true, 28), (false, 5)] {
        let mut dice = Dice(13 + errno as u64);
        for round in 0..images() / 10 {
            let dir = tempfile::tempdir().expect("dir");
            let dirn = dir.path().canonicalize().expect("path").join("svc");
            open(&dirn, true, durable).expect("cell").fini().expect("fini");
            let fail = Fail { nth: dice.roll(400), errno, sticky: round % 2 == 0 };
            faults::record(&dirn, Some(fail));
            let cell = open(&dirn, true, durable);
            if let Ok(cell) = &cell {
                work(cell, 60);
                if let Some(error) = cell.writer().broken() {
                    assert!(errno != 28 || error.is("DbOutOfSpace"), "{fail:?}: {error}");
                    let health = cell.health_check().pack();
                    assert_eq!(health.get("status"), Some(&"failed".into()), "{fail:?}");
                }
                let _ = cell.fini();
            }
            drop(cell);
            let recording = faults::finish();
            let acked = recording.acked(recording.0.len());
            // As another process would find it: a writer that broke keeps this one's hold on the directory until it ends.
            let (mut files, image) = (Files::new(), dir.path().join("image"));
            files_of(&dirn, &mut files);
            write_image(&files, &dirn, &image);
            try_image(&image, true, durable, &acked, &format!("{fail:?}, durable {durable}"));
            tried += 1;
        }
    }
    println!("{tried} failures of single operations, nothing lost");
}
