//! `cortex.layer.dump` and `cortex.layer.load`: the edits of a layer as files, which another Cortex can load.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo, UrlInfo, yaml};
use myelin_value::{Map, Value, msgpack};

use super::mpk::MpkFile;
use super::{Exit, HERE, open, opt_text, text, texts};
use crate::shell::{plain, time_text};

fn with_url(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the Cortex"))
        .arg(Arg::new("iden").required(true).help("The iden of the layer"))
}

pub fn dump_args() -> Command {
    with_url("dump", "Write the edits of a layer into files, beginning where the last dump ended")
        .arg(Arg::new("offset").long("offset").value_parser(value_parser!(u64)).help("Begin at this offset"))
        .arg(
            Arg::new("chunksize")
                .long("chunksize")
                .default_value("0")
                .value_parser(value_parser!(u64))
                .help("Edits in a file; 0 for all"),
        )
        .arg(Arg::new("statefile").long("statefile").help("Where to keep how far the dump came"))
        .arg(Arg::new("outdir").required(true).help("The directory for the files"))
}

pub fn load_args() -> Command {
    with_url("load", "Load edits that cortex.layer.dump wrote into a layer")
        .arg(Arg::new("dryrun").long("dryrun").action(ArgAction::SetTrue).help("Read the files and change nothing"))
        .arg(Arg::new("files").required(true).action(ArgAction::Append).num_args(1..).help("The files"))
}

fn report(outcome: Exit) -> Exit {
    outcome.or_else(|error: Error| {
        println!("ERROR: {}.", error.message().trim_end_matches('.'));
        Ok(1)
    })
}

/// What a Cortex is: its iden and version. An error for any other service.
async fn cortex_info(core: &Proxy, tool: &str) -> Result<(String, Value)> {
    let info = core.call("getCellInfo").await?;
    let cell = info.get("cell").cloned().unwrap_or_default();
    let celltype = plain(cell.get("type"));
    if celltype != "cortex" {
        return Err(err!("TypeMismatch", mesg = format!("Layer {tool} tool only works on cortexes, not {celltype}")));
    }
    Ok((plain(cell.get("iden")), cell.get("version").cloned().unwrap_or_default()))
}

/// A layer is a share of the Cortex.
async fn open_layer(url: &str, iden: &str) -> Result<Proxy> {
    Proxy::open_info(&UrlInfo::parse(url)?.with("name", format!("*/layer/{iden}"))).await
}

pub async fn dump(args: ArgMatches) -> Exit {
    report(dump_all(&args).await.map(|()| {
        println!("Successfully exported layer {}.", text(&args, "iden"));
        0
    }))
}

async fn dump_all(args: &ArgMatches) -> Result<()> {
    let (url, layriden) = (text(args, "url"), text(args, "iden"));
    let outdir = PathBuf::from(text(args, "outdir"));
    if outdir.exists() && !outdir.is_dir() {
        let mesg = format!("Specified output directory {} exists but is not a directory.", outdir.display());
        return Err(err!("BadArg", mesg = mesg));
    }
    std::fs::create_dir_all(&outdir)?;
    let (_env, core) = open(url).await?;
    let (celliden, cellvers) = cortex_info(&core, "dump").await?;
    let statefile =
        opt_text(args, "statefile").map_or_else(|| outdir.join(format!("{celliden}.{layriden}.yaml")), PathBuf::from);
    let mut state = yaml::load_file(&statefile)?.and_then(|state| state.as_map().cloned()).unwrap_or_default();
    let given = args.get_one::<u64>("offset").copied();
    let start = given.or_else(|| state.get("offset:next").and_then(Value::as_u64)).unwrap_or(0);
    let chunksize = args.get_one::<u64>("chunksize").copied().unwrap_or(0);

    let layer = open_layer(url, layriden).await?;
    if layer.call("getEditIndx").await?.as_u64().is_none_or(|end| start >= end) {
        return Err(err!("BadArg", mesg = format!("No edits to export starting from offset ({start})")));
    }
    let head = Map::new().with("hdrvers", 1).with("celliden", celliden.as_str()).with("cellvers", cellvers);
    let head = head.with("layriden", layriden);
    let mut edits = layer.genr(Todo::new("syncNodeEdits2").arg(start).kw("wait", false)).await?;
    let mut file: Option<Chunk> = None;
    loop {
        let edit = edits.next().await.transpose()?;
        let full = file.as_ref().is_some_and(|file| chunksize > 0 && file.count >= chunksize);
        if (edit.is_none() || full)
            && let Some(done) = file.take()
        {
            let (first, last) = (done.first, done.last);
            let path = done.close(&outdir, &format!("{celliden}.{layriden}"))?;
            println!("Wrote layer node edits {first}-{last} to {}.", path.display());
            state.insert("offset:next", last + 1);
            yaml::save_file(&statefile, &state.clone().into())?;
        }
        let Some(edit) = edit else { return Ok(()) };
        let bad = || err!("BadMesgFormat", mesg = "The layer sent edits in an unknown form.");
        let offs = edit.at(0).and_then(Value::as_u64).ok_or_else(bad)?;
        let open = match &mut file {
            Some(open) => open,
            None => file.insert(Chunk::create(&outdir, offs, &head.clone().with("chunksize", chunksize))?),
        };
        open.add(offs, edit)?;
    }
}

/// One file of edits, without a name until it is whole.
struct Chunk {
    out: BufWriter<tempfile::NamedTempFile>,
    first: u64,
    last: u64,
    count: u64,
}

impl Chunk {
    fn create(outdir: &Path, first: u64, head: &Map) -> Result<Chunk> {
        let out = BufWriter::new(tempfile::Builder::new().prefix("layer.dump").tempfile_in(outdir)?);
        let mut chunk = Chunk { out, first, last: first, count: 0 };
        chunk.write("init", head.clone().with("offset", first).with("tick", now()).into())?;
        Ok(chunk)
    }

    fn write(&mut self, kind: &str, info: Value) -> Result<()> {
        Ok(self.out.write_all(&msgpack::encode(&Value::list([Value::from(kind), info])))?)
    }

    fn add(&mut self, offs: u64, edit: Value) -> Result<()> {
        self.last = offs;
        self.count += 1;
        self.write("edit", edit)
    }

    fn close(mut self, outdir: &Path, stem: &str) -> Result<PathBuf> {
        self.write("fini", Map::new().with("offset", self.last).with("tock", now()).into())?;
        let path = outdir.join(format!("{stem}.{}-{}.nodeedits", self.first, self.last));
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(path)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub async fn load(args: ArgMatches) -> Exit {
    report(load_all(&args).await.map(|()| 0))
}

/// A file of edits whose head was read.
struct Source {
    path: String,
    head: Value,
    rows: MpkFile,
}

impl Source {
    fn open(path: String) -> Result<Source> {
        if !Path::new(&path).is_file() {
            return Err(err!("NoSuchFile", mesg = format!("Invalid input file specified: {path}")));
        }
        let bad = || err!("BadMesgFormat", mesg = format!("Invalid header in {path}"));
        let mut rows = MpkFile::open(&path)?;
        let first = rows.next().transpose()?.ok_or_else(bad)?;
        match (first.at(0).and_then(Value::as_str), first.at(1)) {
            (Some("init"), Some(head)) => Ok(Source { head: head.clone(), rows, path: path.clone() }),
            _ => Err(bad()),
        }
    }

    fn offset(&self) -> u64 {
        self.head.get("offset").and_then(Value::as_u64).unwrap_or(0)
    }
}

async fn load_all(args: &ArgMatches) -> Result<()> {
    let mut sources: Vec<Source> = texts(args, "files").into_iter().map(Source::open).collect::<Result<_>>()?;
    sources.sort_by_key(Source::offset);
    println!("Processing the following nodeedits:\nOffset           | Filename\n-----------------|----------");
    for source in &sources {
        println!("{:<16} | {}", source.offset(), source.path);
    }
    let url = text(args, "url");
    let (_env, core) = open(url).await?;
    let (_, have) = cortex_info(&core, "load").await?;
    let version =
        |valu: &Value| -> Vec<i64> { valu.as_list().unwrap_or_default().iter().filter_map(Value::as_i64).collect() };
    let need = sources.iter().filter_map(|source| source.head.get("cellvers")).map(version).max().unwrap_or_default();
    if version(&have) < need {
        let text = |vers: &[i64]| vers.iter().map(i64::to_string).collect::<Vec<_>>().join(".");
        let mesg = format!("Synapse version mismatch ({} < {})", text(&version(&have)), text(&need));
        return Err(err!("BadVersion", mesg = mesg));
    }
    let layer = open_layer(url, text(args, "iden")).await?;
    for source in sources {
        load_one(&layer, source, args.get_flag("dryrun")).await?;
    }
    Ok(())
}

async fn load_one(layer: &Proxy, source: Source, dryrun: bool) -> Result<()> {
    let (path, start) = (source.path.clone(), source.offset());
    let tick = source.head.get("tick").map(time_text).unwrap_or_default();
    println!("Loading {path}, offset={start}, tick={tick}.");
    let corrupt = |why: &str| err!("BadDataValu", mesg = format!("Incomplete/corrupt export: {path}{why}"));
    let mut last = start;
    for row in source.rows {
        let row = row?;
        let info = row.at(1).cloned().unwrap_or_default();
        match row.at(0).and_then(Value::as_str) {
            Some("edit") => {
                last = info.at(0).and_then(Value::as_u64).ok_or_else(|| corrupt(". An edit has no offset"))?;
                if !dryrun {
                    let part = |indx: usize| info.at(indx).cloned().unwrap_or_default();
                    layer.call(Todo::new("saveNodeEdits").arg(part(1)).kw("meta", part(2))).await?;
                }
            }
            Some("fini") => {
                let told = info.get("offset").and_then(Value::as_u64);
                if told != Some(last) {
                    return Err(corrupt(&format!(". Expected offset {}, got {last}", plain(info.get("offset")))));
                }
                if dryrun {
                    println!("Successfully read {path} as a dryrun test.");
                } else {
                    println!("Successfully loaded {path} with {} edits ({start} - {last}).", last + 1 - start);
                }
                return Ok(());
            }
            other => {
                let mesg = format!("Unexpected message type: {}", other.unwrap_or("none"));
                return Err(err!("BadMesgFormat", mesg = mesg));
            }
        }
    }
    Err(corrupt(""))
}
