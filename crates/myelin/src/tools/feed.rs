//! `cortex.feed`: packed nodes from files into a Cortex.

use std::path::Path;
use std::time::Instant;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo, yaml};
use myelin_value::{Value, json};

use super::temp::TempCortex;
use super::{Exit, open, opt_text, text, texts};

pub fn args() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("feed")
        .about("Add packed nodes from files (.nodes, .mpk, .json, .jsonl, .yaml) to a Cortex")
        .arg(Arg::new("cortex").long("cortex").short('c').help("Telepath URL of the Cortex"))
        .arg(flag("test", "Add them to a temporary Cortex").short('t'))
        .group(ArgGroup::new("where").args(["cortex", "test"]).required(true))
        .arg(flag("debug", "Open a Storm prompt when done").short('d'))
        .arg(Arg::new("format").long("format").short('f').default_value("syn.nodes").help("The format of the items"))
        .arg(
            Arg::new("modules")
                .long("modules")
                .short('m')
                .action(ArgAction::Append)
                .help("Python modules; not supported, a model file (cortex --model) takes their place"),
        )
        .arg(
            Arg::new("chunksize")
                .long("chunksize")
                .default_value("1000")
                .value_parser(value_parser!(u32).range(1..))
                .help("Items that are sent at a time"),
        )
        .arg(
            Arg::new("offset")
                .long("offset")
                .default_value("0")
                .value_parser(value_parser!(usize))
                .help("Begin with the chunk that holds this item"),
        )
        .arg(Arg::new("view").long("view").help("The view to add them to"))
        .arg(Arg::new("files").action(ArgAction::Append).num_args(0..).help("The files"))
}

pub async fn run(args: ArgMatches) -> Exit {
    if !texts(&args, "modules").is_empty() {
        let mesg =
            "Python modules cannot be loaded: give their types and forms in a model file to a Cortex of your own.";
        return Err(err!("FeatureNotSupported", mesg = mesg));
    }
    let files = texts(&args, "files");
    let offset = args.get_one::<usize>("offset").copied().unwrap_or(0);
    if offset > 0 {
        if files.len() > 1 {
            println!("Cannot start from a arbitrary offset for more than 1 file.");
            return Ok(1);
        }
        println!("Starting from offset [{offset}] - it may take a while to get to that location in the input file.");
    }
    let temp = if args.get_flag("test") { Some(TempCortex::start().await?) } else { None };
    let url = temp.as_ref().map_or_else(|| text(&args, "cortex").to_owned(), TempCortex::url);
    let (_env, core) = open(&url).await?;
    for path in &files {
        feed(&core, &args, path, offset).await?;
    }
    if args.get_flag("debug") {
        crate::shell::run(crate::shell::ShellArgs { cortex: url, ..Default::default() }).await?;
    }
    if let Some(temp) = temp {
        temp.stop().await?;
    }
    Ok(0)
}

async fn feed(core: &Proxy, args: &ArgMatches, path: &str, offset: usize) -> Result<()> {
    let Some(mut items) = Items::open(path)? else {
        eprintln!("Unsupported file path: [{path}]");
        return Ok(());
    };
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let chunksize = args.get_one::<u32>("chunksize").map_or(1000, |size| *size as usize);
    let began = Instant::now();
    println!("Adding items from [{path}]");
    let mut done = 0;
    loop {
        let chunk: Vec<Value> = items.by_ref().take(chunksize).collect::<Result<_>>()?;
        if chunk.is_empty() {
            break;
        }
        let count = chunk.len();
        done += count;
        if offset > 0 && done < offset {
            continue;
        }
        let todo = Todo::new("addFeedData").arg(text(args, "format")).arg(Value::from(chunk));
        core.call(todo.kw("viewiden", opt_text(args, "view"))).await?;
        println!("Added [{count}] items from [{name}] - offset [{done}]");
    }
    println!("Done consuming from [{name}]");
    println!("Took [{}] seconds.", began.elapsed().as_secs_f64());
    Ok(())
}

/// The items of a file, by its extension.
enum Items {
    Packed(super::mpk::MpkFile),
    Listed(std::vec::IntoIter<Value>),
}

impl Items {
    fn open(path: &str) -> Result<Option<Items>> {
        let read = || {
            std::fs::read(path)
                .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path))
        };
        let bad =
            |error: serde_json::Error| err!("BadJsonText", mesg = format!("{path} is no JSON: {error}."), path = path);
        let listed = |valu: Value| match valu {
            Value::List(items) => items.to_vec(),
            one => vec![one],
        };
        let ext = Path::new(path).extension().and_then(|ext| ext.to_str()).unwrap_or_default();
        let items = match ext {
            "mpk" | "nodes" => return Ok(Some(Items::Packed(super::mpk::MpkFile::open(path)?))),
            "json" => listed(json::parse(&read()?).map_err(bad)?),
            "jsonl" => {
                let byts = read()?;
                let lines = byts.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
                lines.map(|line| json::parse(line).map_err(bad)).collect::<Result<_>>()?
            }
            "yaml" | "yml" => listed(yaml::load(&String::from_utf8_lossy(&read()?))?),
            _ => return Ok(None),
        };
        Ok(Some(Items::Listed(items.into_iter())))
    }
}

impl Iterator for Items {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Items::Packed(file) => file.next(),
            Items::Listed(items) => items.next().map(Ok),
        }
    }
}
