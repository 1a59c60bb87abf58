//! Backups from the outside: `service.backup` copies a directory, `service.livebackup` asks a service for a backup,
//! `service.snapshot` holds a service still while its volume is copied by other means.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use glob::Pattern;
use myelin_error::{Error, Result, err};
use myelin_slab::{Slab, SlabCopy};
use myelin_telepath::Todo;
use myelin_value::Value;

use super::{Exit, HERE, open, opt_text, text, texts};

/// How often a copy is begun anew when a service commits just then.
const TRIES: usize = 1000;

pub fn backup_args() -> Command {
    Command::new("backup")
        .about("Copy the directory of a service, its databases compacted. The service may run")
        .arg(Arg::new("srcdir").required(true).help("The directory of the service"))
        .arg(Arg::new("dstdir").required(true).help("The directory to make"))
        .arg(
            Arg::new("skipdirs")
                .long("skipdirs")
                .num_args(1..)
                .action(ArgAction::Append)
                .help("Patterns of directories to leave out, relative to the service's directory"),
        )
}

pub async fn backup(args: ArgMatches) -> Exit {
    let (src, dst) = (PathBuf::from(text(&args, "srcdir")), PathBuf::from(text(&args, "dstdir")));
    let skip = texts(&args, "skipdirs");
    let copied = tokio::task::spawn_blocking(move || copy_dir(&src, &dst, &skip)).await;
    copied.map_err(|error| err!("SynErr", mesg = format!("The backup was abandoned: {error}.")))??;
    Ok(0)
}

/// Snapshots of all databases come first, so that they are as close together as a process beside the service can have them.
fn copy_dir(src: &Path, dst: &Path, skip: &[String]) -> Result<()> {
    if !src.is_dir() {
        return Err(err!("NoSuchDir", mesg = format!("There is no directory {}.", src.display())));
    }
    let bad = |error| err!("BadArg", mesg = format!("A pattern cannot be read: {error}"), name = "skipdirs");
    let always = ["**/tmp", "**/backups"].into_iter().map(str::to_owned);
    let skip: Vec<Pattern> =
        skip.iter().cloned().chain(always).map(|text| Pattern::new(&text).map_err(bad)).collect::<Result<_>>()?;
    let (mut slabs, mut files, mut dirs) = (Vec::new(), Vec::new(), Vec::new());
    walk(src, Path::new("."), &skip, &mut |kind, inner| match kind {
        Kind::Slab => slabs.push(inner),
        Kind::File => files.push(inner),
        Kind::Dir => dirs.push(inner),
    })?;
    fs::create_dir_all(dst)?;
    let copies = slabs.iter().map(|inner| begin(&src.join(inner))).collect::<Result<Vec<(Slab, SlabCopy)>>>()?;
    for inner in dirs {
        fs::create_dir_all(dst.join(inner))?;
    }
    for (inner, (slab, copy)) in slabs.iter().zip(copies) {
        let (target, raw) = (dst.join(inner), dst.join(inner).join("raw"));
        copy.finish(&raw, |_| Ok(()))?;
        drop(slab);
        Slab::compact_dir(&raw, &target)?;
        fs::remove_dir_all(&raw)?;
    }
    for inner in files {
        fs::copy(src.join(&inner), dst.join(&inner))?;
    }
    Ok(())
}

fn begin(path: &Path) -> Result<(Slab, SlabCopy)> {
    let slab = Slab::open_readonly(path)?;
    for _ in 0..TRIES {
        if let Ok(copy) = slab.begin_copy() {
            return Ok((slab, copy));
        }
    }
    slab.begin_copy().map(|copy| (slab.clone(), copy))
}

enum Kind {
    Slab,
    File,
    Dir,
}

fn walk(root: &Path, inner: &Path, skip: &[Pattern], found: &mut impl FnMut(Kind, PathBuf)) -> Result<()> {
    for entry in fs::read_dir(root.join(inner))? {
        let entry = entry?;
        let (path, kind) = (inner.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() && skip.iter().any(|pattern| pattern.matches_path(&path)) {
            continue;
        } else if kind.is_dir() && entry.path().join("data.mdb").is_file() {
            found(Kind::Slab, path);
        } else if kind.is_dir() {
            found(Kind::Dir, path.clone());
            walk(root, &path, skip, found)?;
        } else if kind.is_file() {
            found(Kind::File, path);
        }
    }
    Ok(())
}

pub fn live_args() -> Command {
    Command::new("livebackup")
        .about("Have a running service make a backup of itself")
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the service"))
        .arg(Arg::new("name").long("name").help("The name of the backup; the time if there is none"))
}

pub async fn live(args: ArgMatches) -> Exit {
    let url = text(&args, "url");
    let (_env, proxy) = open(url).await?;
    println!("Running backup of: {}", myelin_telepath::url::sanitize(url));
    let name = proxy.call(Todo::new("runBackup").kw("name", opt_text(&args, "name"))).await?;
    println!("...backup created: {}", name.as_str().unwrap_or_default());
    Ok(0)
}

pub fn snapshot_args() -> Command {
    let url = || Arg::new("svcurl").long("svcurl").default_value(HERE).help("Telepath URL of the service");
    let timeout = Arg::new("timeout")
        .long("timeout")
        .default_value("120")
        .value_parser(value_parser!(i64))
        .help("Seconds to wait for the changes under way");
    Command::new("snapshot")
        .about("Hold a service still while its volume is snapshotted. Status 0 when it worked")
        .subcommand_required(true)
        .subcommand(
            Command::new("freeze").about("Let changes wait, and write everything to the disk").arg(timeout).arg(url()),
        )
        .subcommand(Command::new("resume").about("Go on").arg(url()))
}

pub async fn snapshot(args: ArgMatches) -> Exit {
    let work = async {
        let (name, sub) = args.subcommand().ok_or_else(|| err!("BadArg", mesg = "A command is required."))?;
        let (_env, proxy) = open(text(sub, "svcurl")).await?;
        let todo = match name {
            "freeze" => Todo::new("freeze").kw("timeout", sub.get_one::<i64>("timeout").copied().map(Value::from)),
            _ => Todo::new("resume"),
        };
        proxy.call(todo).await?;
        Ok(0)
    };
    work.await.or_else(|error: Error| {
        println!("ERROR {}: {}", error.name(), error.message());
        Ok(1)
    })
}
