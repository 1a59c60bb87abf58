//! `service.verify`: looks for damage in the directory of a service that does not run, or in a backup. Nothing is changed.
//!
//! Every database is checked page by page; then rows against one another: indexes and storage nodes, files and hashes, paths
//! and objects, users and gates, the nexus log and what the databases have of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_slab::{Findings, Reads};
use myelin_value::json;
use myelin_value::{Map, Value};

use super::{Exit, text};

pub fn args() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("verify")
        .about("Look for damage in a service's directory or a backup. Status 0: sound; 1: damaged; 2: not to be read")
        .arg(Arg::new("dirn").required(true).help("The directory of a service that does not run, or a backup"))
        .arg(flag("replay", "Apply each layer's log of edits anew and compare; needs space for a second layer"))
        .arg(flag("json", "Print the outcome as JSON"))
        .arg(flag("quiet", "Say nothing of the progress"))
}

pub async fn run(args: ArgMatches) -> Exit {
    let dirn = PathBuf::from(text(&args, "dirn"));
    let (replay, quiet) = (args.get_flag("replay"), args.get_flag("quiet"));
    let begun = Instant::now();
    let (at, as_json) = (dirn.clone(), args.get_flag("json"));
    let done = tokio::task::spawn_blocking(move || {
        let progress = move |place: &str, rows: u64| {
            if !quiet {
                eprintln!("… {place} ({rows} rows so far)");
            }
        };
        verify(&at, replay, Box::new(progress)).map(|found| Outcome::of(&found))
    });
    let done = done.await.map_err(|error| err!("SynErr", mesg = format!("The check was abandoned: {error}.")))?;
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(error) => {
            println!("ERROR: {} cannot be verified: {error}", dirn.display());
            return Ok(2);
        }
    };
    let secs = begun.elapsed().as_secs_f64();
    if as_json {
        outcome.print_json(secs)?
    } else {
        outcome.print(&dirn, secs)
    }
    Ok(u8::from(outcome.count > 0))
}

struct Outcome {
    damage: Vec<String>,
    notes: Vec<String>,
    count: u64,
    rows: u64,
}

impl Outcome {
    fn of(found: &Findings) -> Outcome {
        Outcome {
            damage: found.damage().to_vec(),
            notes: found.notes().to_vec(),
            count: found.damage_count(),
            rows: found.rows(),
        }
    }

    fn print(&self, dirn: &Path, secs: f64) {
        self.notes.iter().for_each(|note| println!("note: {note}"));
        self.damage.iter().for_each(|damage| println!("damaged: {damage}"));
        let more = self.count - self.damage.len() as u64;
        if more > 0 {
            println!("damaged: … and {more} more of the same");
        }
        let verdict = if self.count == 0 { "sound".to_owned() } else { format!("{} damaged", self.count) };
        println!("verified {}: {} rows in {secs:.1} s, {verdict}", dirn.display(), self.rows);
    }

    fn print_json(&self, secs: f64) -> Result<()> {
        let texts = |list: &[String]| list.iter().map(Value::from).collect::<Value>();
        let all = Map::new()
            .with("sound", self.count == 0)
            .with("rows", self.rows)
            .with("seconds", secs)
            .with("damagecount", self.count)
            .with("damage", texts(&self.damage))
            .with("notes", texts(&self.notes));
        println!("{}", json::to_json_text(&all.into())?);
        Ok(())
    }
}

fn verify(dirn: &Path, replay: bool, progress: myelin_slab::Progress) -> Result<Findings> {
    if !dirn.join("cell.guid").is_file() {
        let mesg = format!("There is no service in {}: it has no cell.guid.", dirn.display());
        return Err(err!("NoSuchDir", mesg = mesg));
    }
    let _lock = hold(dirn)?;
    let mut found = Findings::new(progress);
    if dirn.join("backup.unfinished").exists() {
        found.at("the directory");
        found.bad("it is a backup that was not finished");
    }
    service(dirn, dirn, replay, &mut found)?;
    Ok(found)
}

/// Keeps the service from starting meanwhile. A directory that nobody may write to cannot be started either.
fn hold(dirn: &Path) -> Result<Option<File>> {
    let Ok(file) = File::options().read(true).write(true).open(dirn.join("cell.guid")) else { return Ok(None) };
    if myelin_slab::lock_exclusive(&file)? {
        return Ok(Some(file));
    }
    let mesg = format!("The service in {} is running. Verify a backup of it, or stop it first.", dirn.display());
    Err(err!("FatalErr", mesg = mesg))
}

/// The service in a directory, and those inside of it.
fn service(root: &Path, dirn: &Path, replay: bool, found: &mut Findings) -> Result<()> {
    let guid = std::fs::read_to_string(dirn.join("cell.guid")).unwrap_or_default();
    found.at(name_of(root, dirn));
    if myelin_value::Iden::from_hex(guid.trim()).is_none() {
        found.bad("cell.guid does not hold an iden");
    }
    cell_slab(root, dirn, found)?;
    if dirn.join("axon.lmdb").is_dir() || dirn.join("blob.lmdb").is_dir() {
        myelin_axon::verify_axon(dirn, found)?;
    }
    layers(dirn, replay, found)?;
    let jsonstor = dirn.join("slabs/jsonstor");
    if jsonstor.join("data.mdb").is_file() {
        found.at(name_of(root, &jsonstor));
        if let Some(slab) = found.open(&jsonstor)? {
            myelin_jsonstor::verify_objs(&slab, "aha", found)?;
        }
    }
    others(root, dirn, found)?;
    for entry in std::fs::read_dir(dirn)? {
        let path = entry?.path();
        if path.join("cell.guid").is_file() {
            service(root, &path, replay, found)?;
        }
    }
    myelin_cell::verify_log(&dirn.join("slabs"), found)
}

fn cell_slab(root: &Path, dirn: &Path, found: &mut Findings) -> Result<()> {
    let path = dirn.join("slabs/cell.lmdb");
    found.at(name_of(root, &path));
    if !path.join("data.mdb").is_file() {
        found.bad("the slab is missing");
        return Ok(());
    }
    let Some(slab) = found.open(&path)? else { return Ok(()) };
    myelin_cell::verify_auth(&slab, found)?;
    if slab.find_table("jsonstor:paths")?.is_some() {
        myelin_jsonstor::verify_objs(&slab, "jsonstor", found)?;
    }
    let Some(table) = slab.find_table("cortex")? else { return Ok(()) };
    let txn = slab.read()?;
    for row in txn.prefix(table, b"layer:info:")? {
        let iden = String::from_utf8_lossy(&row?.0["layer:info:".len()..]).into_owned();
        if !dirn.join("layers").join(&iden).is_dir() {
            found.bad(format!("the layer {iden} has a record and no directory"));
        }
    }
    Ok(())
}

fn layers(dirn: &Path, replay: bool, found: &mut Findings) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(dirn.join("layers")) else { return Ok(()) };
    let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    for layer in dirs {
        let before = found.damage_count();
        myelin_graph::verify_layer(&layer, found)?;
        if replay && found.damage_count() == before {
            let scratch = std::env::temp_dir().join(format!("myelin-replay-{}", std::process::id()));
            let done = myelin_graph::verify_replay(&layer, &scratch, found);
            let _ = std::fs::remove_dir_all(&scratch);
            done?;
        }
    }
    Ok(())
}

/// Databases that nothing above knows more about: their pages.
fn others(root: &Path, dirn: &Path, found: &mut Findings) -> Result<()> {
    const KNOWN: &[&str] = &["cell.lmdb", "axon.lmdb", "blob.lmdb", "nexuslog", "jsonstor", "layers", "tmp", "backups"];
    for entry in std::fs::read_dir(dirn)? {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_dir()
            || KNOWN.iter().any(|name| path.ends_with(name))
            || path.join("cell.guid").is_file()
        {
            continue;
        }
        if path.join("data.mdb").is_file() {
            found.at(name_of(root, &path));
            found.open(&path)?;
        } else {
            others(root, &path, found)?;
        }
    }
    Ok(())
}

fn name_of(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path).display().to_string();
    if inner.is_empty() { "the service".to_owned() } else { inner }
}
