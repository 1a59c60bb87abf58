//! `axon.put` and `axon.get`: files into and out of an Axon.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use md5::Md5;
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Exit, open, opt_text, text, texts};

/// How much of a file is read and sent at a time.
const CHUNK: usize = 8 * 1024 * 1024;

pub fn put_args() -> Command {
    Command::new("put")
        .about("Upload files to an Axon, and make their nodes in a Cortex")
        .arg(Arg::new("axon").long("axon").short('a').required(true).help("Telepath URL of the Axon"))
        .arg(
            Arg::new("cortex")
                .long("cortex")
                .short('c')
                .help("Telepath URL of a Cortex that shall have file:bytes nodes"),
        )
        .arg(
            Arg::new("filenames").required(true).action(ArgAction::Append).num_args(1..).help("Files or glob patterns"),
        )
        .arg(Arg::new("recursive").long("recursive").short('r').action(ArgAction::SetTrue).help("Let ** cross folders"))
        .arg(Arg::new("tags").long("tags").short('t').help("Comma-separated tags for the nodes"))
}

/// The digests of one file and its size in bytes.
struct Hashes {
    md5: String,
    sha1: String,
    sha256: Vec<u8>,
    sha512: String,
    size: u64,
}

pub async fn put(args: ArgMatches) -> Exit {
    let (_env, axon) = open(text(&args, "axon")).await?;
    let core = match opt_text(&args, "cortex") {
        Some(url) => Some(Proxy::open(url).await?),
        None => None,
    };
    let tags: BTreeSet<String> =
        opt_text(&args, "tags").into_iter().flat_map(|tags| tags.split(',')).map(str::to_owned).collect();
    if core.is_some() && !tags.is_empty() {
        println!("adding tags: {}", tags.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    for path in matching_files(&texts(&args, "filenames"))? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let hashes = hash_file(&path)?;
        if axon.call(Todo::new("has").arg(&hashes.sha256[..])).await?.is_truthy() {
            println!("Axon already had [{name}]");
        } else {
            upload(&axon, &path, &hashes).await?;
            println!("Uploaded [{name}] to axon");
        }
        if let Some(core) = &core {
            add_node(core, &name, &hashes, &tags).await?;
        }
    }
    Ok(0)
}

fn matching_files(patterns: &[String]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let paths = glob::glob(pattern).map_err(|error| {
            err!("BadArg", mesg = format!("{pattern} is no glob pattern: {error}."), name = pattern.as_str())
        })?;
        let before = found.len();
        found.extend(paths.filter_map(Result::ok).filter(|path| path.is_file()));
        if found.len() == before && !Path::new(pattern).is_file() {
            println!("filepath does not contain any files: {pattern}");
        }
    }
    Ok(found)
}

fn hash_file(path: &Path) -> Result<Hashes> {
    let mut file = File::open(path)?;
    let (mut md5, mut sha1, mut sha256, mut sha512) = (Md5::new(), Sha1::new(), Sha256::new(), Sha512::new());
    let mut buff = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let count = file.read(&mut buff)?;
        if count == 0 {
            break;
        }
        let part = &buff[..count];
        md5.update(part);
        sha1.update(part);
        sha256.update(part);
        sha512.update(part);
        size += count as u64;
    }
    Ok(Hashes {
        md5: hex::encode(md5.finalize()),
        sha1: hex::encode(sha1.finalize()),
        sha256: sha256.finalize().to_vec(),
        sha512: hex::encode(sha512.finalize()),
        size,
    })
}

async fn upload(axon: &Proxy, path: &Path, hashes: &Hashes) -> Result<()> {
    let share = axon.share(Todo::new("upload")).await?;
    let mut file = File::open(path)?;
    let mut buff = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buff)?;
        if count == 0 {
            break;
        }
        share.call(Todo::new("write").arg(&buff[..count])).await?;
    }
    let saved = share.call(Todo::new("save")).await?;
    if saved.at(1).and_then(Value::as_bytes) != Some(&hashes.sha256) {
        return Err(err!(
            "SynErr",
            mesg = "The Axon saved other bytes than were sent: the file changed while it was read."
        ));
    }
    Ok(())
}

async fn add_node(core: &Proxy, name: &str, hashes: &Hashes, tags: &BTreeSet<String>) -> Result<()> {
    let query = "[file:bytes=$sha256 :md5=$md5 :sha1=$sha1 :sha512=$sha512 :size=$size :name=$name] \
                 { for $tag in $tags { [+#$tag] } }";
    let vars = Map::new()
        .with("md5", hashes.md5.as_str())
        .with("sha1", hashes.sha1.as_str())
        .with("sha256", hex::encode(&hashes.sha256))
        .with("sha512", hashes.sha512.as_str())
        .with("size", hashes.size)
        .with("name", name)
        .with("tags", tags.iter().map(Value::from).collect::<Value>());
    let mut mesgs = core.genr(Todo::new("storm").arg(query).kw("opts", Map::new().with("vars", vars))).await?;
    while let Some(mesg) = mesgs.next().await {
        let mesg = mesg?;
        match mesg.at(0).and_then(Value::as_str) {
            Some("err") => return Err(myelin_error::Error::unpack(mesg.at(1).unwrap_or(&Value::Null))),
            Some("node") => {
                let iden =
                    mesg.at(1).and_then(|node| node.at(0)?.at(1)?.as_str().map(str::to_owned)).unwrap_or_default();
                println!("file: {name} ({}) added to core ({iden}) as {name}", hashes.size);
            }
            _ => {}
        }
    }
    Ok(())
}

pub fn get_args() -> Command {
    Command::new("get")
        .about("Fetch files from an Axon by their SHA-256")
        .arg(Arg::new("axon").long("axon").short('a').required(true).help("Telepath URL of the Axon"))
        .arg(Arg::new("output").long("output").short('o').default_value(".").help("Folder to write files to"))
        .arg(
            Arg::new("hashes")
                .long("list-hashes")
                .short('l')
                .action(ArgAction::Append)
                .help("SHA-256 of a file to fetch"),
        )
}

pub async fn get(args: ArgMatches) -> Exit {
    let outdir = PathBuf::from(text(&args, "output"));
    std::fs::create_dir_all(&outdir)?;
    let (_env, axon) = open(text(&args, "axon")).await?;
    for sha256 in texts(&args, "hashes") {
        let raw = hex::decode(&sha256).map_err(|_| err!("BadArg", mesg = format!("{sha256} is no SHA-256 in hex.")))?;
        if !axon.call(Todo::new("has").arg(&raw[..])).await?.is_truthy() {
            println!("{sha256} not in axon store");
            continue;
        }
        println!("Fetching {sha256} to file");
        match fetch(&axon, &raw, &outdir.join(&sha256)).await {
            Ok(()) => println!("Fetched {sha256} to file"),
            Err(error) => println!("Error: Hit Exception: {error}"),
        }
    }
    Ok(0)
}

async fn fetch(axon: &Proxy, sha256: &[u8], path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let mut parts = axon.genr(Todo::new("get").arg(sha256)).await?;
    while let Some(part) = parts.next().await {
        file.write_all(part?.as_bytes().unwrap_or_default())?;
    }
    Ok(())
}
