//! `axon.copy`, `axon.dump` and `axon.load`: all files of an Axon to another, or to and from archives.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo, yaml};
use myelin_value::{Map, Value};

use super::{Exit, HERE, open, opt_text, report, text, texts};

/// How much of a file is sent at a time.
const CHUNK: usize = 8 * 1024 * 1024;
/// An archive is closed once it holds so many bytes of files.
const ROTATE_SIZE: &str = "4000000000";

// ---- copy

pub fn copy_args() -> Command {
    Command::new("copy")
        .about("Copy the files of one Axon to another")
        .arg(
            Arg::new("offset")
                .long("offset")
                .default_value("0")
                .value_parser(value_parser!(u64))
                .help("Begin at this offset of the source"),
        )
        .arg(Arg::new("src_axon").required(true).help("Telepath URL of the source"))
        .arg(Arg::new("dst_axon").required(true).help("Telepath URL of the destination"))
}

pub async fn copy(args: ArgMatches) -> Exit {
    let (_env, src) = open(text(&args, "src_axon")).await?;
    let dst = Proxy::open(text(&args, "dst_axon")).await?;
    let offset = args.get_one::<u64>("offset").copied().unwrap_or(0);
    println!("Starting transfer at offset: {offset}");
    let mut hashes = src.genr(Todo::new("hashes").arg(offset)).await?;
    while let Some(row) = hashes.next().await {
        let blob = Blob::of(&row?)?;
        println!("[{:>10}] - {} ({})", blob.offs, hex::encode(&blob.sha256), blob.size);
        let upload = dst.share("upload").await?;
        let mut parts = src.genr(Todo::new("get").arg(&blob.sha256[..])).await?;
        while let Some(part) = parts.next().await {
            upload.call(Todo::new("write").arg(part?)).await?;
        }
        upload.call("save").await?;
    }
    Ok(0)
}

/// A row of `hashes`.
struct Blob {
    offs: u64,
    sha256: Vec<u8>,
    size: u64,
}

impl Blob {
    fn of(row: &Value) -> Result<Blob> {
        let bad = || err!("BadMesgFormat", mesg = "The Axon lists its files in an unknown form.");
        let file = row.at(1).ok_or_else(bad)?;
        Ok(Blob {
            offs: row.at(0).and_then(Value::as_u64).ok_or_else(bad)?,
            sha256: file.at(0).and_then(Value::as_bytes).ok_or_else(bad)?.to_vec(),
            size: file.at(1).and_then(Value::as_u64).ok_or_else(bad)?,
        })
    }
}

/// The iden of an Axon; an error for any other service.
async fn axon_iden(axon: &Proxy, tool: &str) -> Result<String> {
    let info = axon.call("getCellInfo").await?;
    let part = |key: &str| {
        let valu = info.get("cell").and_then(|cell| cell.get(key)).and_then(Value::as_str);
        valu.unwrap_or_default().to_owned()
    };
    let celltype = part("type");
    if celltype.to_lowercase().contains("axon") {
        return Ok(part("iden"));
    }
    Err(err!("TypeMismatch", mesg = format!("Axon {tool} tool only works on axons, not {celltype}")))
}

// ---- dump

pub fn dump_args() -> Command {
    Command::new("dump")
        .about("Write the files of an Axon into archives (.tar.gz), beginning where the last dump ended")
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the Axon"))
        .arg(Arg::new("offset").long("offset").value_parser(value_parser!(u64)).help("Begin at this offset"))
        .arg(
            Arg::new("rotate_size")
                .long("rotate-size")
                .default_value(ROTATE_SIZE)
                .value_parser(value_parser!(u64))
                .help("Begin a new archive after so many bytes of files"),
        )
        .arg(Arg::new("statefile").long("statefile").help("Where to keep how far the dump came"))
        .arg(Arg::new("outdir").required(true).help("The directory for the archives"))
}

pub async fn dump(args: ArgMatches) -> Exit {
    report(dump_all(&args).await.map(|()| {
        println!("Successfully dumped blobs.");
        0
    }))
}

async fn dump_all(args: &ArgMatches) -> Result<()> {
    let (_env, axon) = open(text(args, "url")).await?;
    let iden = axon_iden(&axon, "dump").await?;
    let outdir = PathBuf::from(text(args, "outdir"));
    if outdir.exists() && !outdir.is_dir() {
        let mesg = format!("Specified output directory {} exists but is not a directory.", outdir.display());
        return Err(err!("BadDataValu", mesg = mesg));
    }
    std::fs::create_dir_all(&outdir)?;
    let statefile = match opt_text(args, "statefile").map(PathBuf::from) {
        Some(path) if path.is_dir() => path.join(format!("{iden}.yaml")),
        Some(path) => path,
        None => outdir.join(format!("{iden}.yaml")),
    };
    let mut state = yaml::load_file(&statefile)?.and_then(|state| state.as_map().cloned()).unwrap_or_default();
    let given = args.get_one::<u64>("offset").copied();
    let start = given.or_else(|| state.get("offset:next").and_then(Value::as_u64)).unwrap_or(0);
    let rotate = args.get_one::<u64>("rotate_size").copied().unwrap_or(u64::MAX);
    println!("Starting the dump from offs={start}");

    let mut next = start;
    let mut archive: Option<Archive> = None;
    let mut hashes = axon.genr(Todo::new("hashes").arg(start)).await?;
    while let Some(row) = hashes.next().await {
        let blob = Blob::of(&row?)?;
        println!("Dumping blob {} (size={}, offs={})", hex::encode(&blob.sha256), blob.size, blob.offs);
        let mut open = match archive.take() {
            Some(open) => open,
            None => Archive::create(&outdir, &iden, blob.offs)?,
        };
        open.add(&axon, &blob).await?;
        next = blob.offs + 1;
        if open.size >= rotate {
            println!("Rotating to new .tar.gz file at offset {next}");
            open.close(next)?;
        } else {
            archive = Some(open);
        }
    }
    if let Some(open) = archive {
        open.close(next)?;
    }
    state.insert("offset:next", next);
    yaml::save_file(&statefile, &state.into())
}

/// An archive being written, under a name that says so until it is whole; removed when it does not get there.
struct Archive {
    tar: Option<tar::Builder<GzEncoder<File>>>,
    path: PathBuf,
    stem: PathBuf,
    start: u64,
    size: u64,
}

impl Archive {
    fn create(outdir: &Path, iden: &str, start: u64) -> Result<Archive> {
        let stem = outdir.join(iden);
        let path = Self::name(&stem, start, "-00000000001");
        let tar = tar::Builder::new(GzEncoder::new(File::create(&path)?, Compression::default()));
        Ok(Archive { tar: Some(tar), path, stem, start, size: 0 })
    }

    fn name(stem: &Path, start: u64, end: &str) -> PathBuf {
        PathBuf::from(format!("{}.{start:012}-{end}.tar.gz", stem.display()))
    }

    async fn add(&mut self, axon: &Proxy, blob: &Blob) -> Result<()> {
        let mut spool = tempfile::tempfile_in(self.stem.parent().unwrap_or(Path::new(".")))?;
        let mut parts = axon.genr(Todo::new("get").arg(&blob.sha256[..])).await?;
        let mut total = 0;
        while let Some(part) = parts.next().await {
            let part = part?;
            let byts = part.as_bytes().unwrap_or_default();
            spool.write_all(byts)?;
            total += byts.len() as u64;
        }
        let name = hex::encode(&blob.sha256);
        if total != blob.size {
            let mesg = format!("Blob size mismatch for {name}: expected {}, got {total}", blob.size);
            return Err(err!("BadDataValu", mesg = mesg));
        }
        spool.seek(SeekFrom::Start(0))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(total);
        header.set_mode(0o644);
        if let Some(tar) = &mut self.tar {
            tar.append_data(&mut header, format!("{name}.blob"), spool)?;
        }
        self.size += total;
        Ok(())
    }

    fn close(mut self, end: u64) -> Result<()> {
        if let Some(tar) = self.tar.take() {
            tar.into_inner()?.finish()?.sync_all()?;
        }
        Ok(std::fs::rename(&self.path, Self::name(&self.stem, self.start, &format!("{end:012}")))?)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.tar.take().is_some() {
            // What is left of a dump that failed.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

// ---- load

pub fn load_args() -> Command {
    Command::new("load")
        .about("Load the files of archives that axon.dump wrote into an Axon")
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the Axon"))
        .arg(Arg::new("files").required(true).action(ArgAction::Append).num_args(1..).help("Archives (.tar.gz)"))
}

pub async fn load(args: ArgMatches) -> Exit {
    report(load_all(&args).await.map(|()| {
        println!("Successfully loaded blobs.");
        0
    }))
}

async fn load_all(args: &ArgMatches) -> Result<()> {
    let mut paths: Vec<String> = texts(args, "files").into_iter().filter(|path| path.ends_with(".tar.gz")).collect();
    paths.sort();
    let (_env, axon) = open(text(args, "url")).await?;
    axon_iden(&axon, "load").await?;
    for path in paths {
        println!("Processing tar archive: {path}");
        let file = File::open(&path).map_err(|error| {
            err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path.as_str())
        })?;
        let mut tar = tar::Archive::new(GzDecoder::new(file));
        for member in tar.entries()? {
            let mut member = member?;
            let name = member.path()?.to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(".blob") else { continue };
            let Ok(sha256) = hex::decode(stem) else {
                println!("Skipping invalid blob filename: {name}");
                continue;
            };
            if axon.call(Todo::new("has").arg(&sha256[..])).await?.is_truthy() {
                println!("Skipping existing blob {stem}");
                continue;
            }
            println!("Loading blob {stem} (size={})", member.size());
            load_one(&axon, &mut member, &sha256).await?;
        }
    }
    Ok(())
}

async fn load_one(axon: &Proxy, member: &mut impl Read, sha256: &[u8]) -> Result<()> {
    let upload = axon.share("upload").await?;
    let mut buff = vec![0; CHUNK];
    loop {
        let count = member.read(&mut buff)?;
        if count == 0 {
            break;
        }
        upload.call(Todo::new("write").arg(&buff[..count])).await?;
    }
    let saved = upload.call("save").await?;
    let found = saved.at(1).and_then(Value::as_bytes).unwrap_or_default();
    if found == sha256 {
        return Ok(());
    }
    let info = Map::new().with("expected", hex::encode(sha256)).with("found", hex::encode(found));
    let mesg = format!("The archive holds other bytes under {} than its name says: {info:?}", hex::encode(sha256));
    Err(err!("BadDataValu", mesg = mesg))
}
