//! `cortex.csv`: rows of CSV files through a Storm query, or out of one.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value, json};

use super::temp::TempCortex;
use super::{Exit, open, opt_text, text, texts};
use crate::shell::plain;

/// Rows that are handed to the query at a time.
const ROWS: usize = 1000;

pub fn args() -> Command {
    let flag = |name: &'static str, long: &'static str, help: &'static str| {
        Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
    };
    Command::new("csv")
        .about("Run a Storm query over the rows of CSV files, which it finds in $rows; or write what it emits into one")
        .arg(
            Arg::new("logfile").long("logfile").help("Append every message of the queries to this file, as JSON lines"),
        )
        .arg(flag("csv_header", "csv-header", "The first line of each file holds names: pass over it"))
        .arg(flag("cli", "cli", "Open a Storm prompt when done"))
        .arg(flag("debug", "debug", "Print every message"))
        .arg(Arg::new("cortex").long("cortex").short('c').help("Telepath URL of the Cortex"))
        .arg(flag("test", "test", "Use a temporary Cortex").short('t'))
        .group(ArgGroup::new("where").args(["cortex", "test"]).required(true))
        .arg(flag("export", "export", "Write the rows that the query gives to $lib.csv.emit() into the file"))
        .arg(Arg::new("view").long("view").help("The iden of the view to work in"))
        .arg(Arg::new("optsfile").long("optsfile").help("A YAML file of query options"))
        .arg(Arg::new("stormfile").required(true).help("The file with the query"))
        .arg(Arg::new("csvfiles").required(true).action(ArgAction::Append).num_args(1..).help("The CSV files"))
}

pub async fn run(args: ArgMatches) -> Exit {
    let path = text(&args, "stormfile");
    let query = std::fs::read_to_string(path)
        .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path))?;
    let mut opts = match opt_text(&args, "optsfile") {
        Some(path) => crate::shell::load_opts(path.as_ref())?,
        None => Map::new(),
    };
    if let Some(view) = opt_text(&args, "view") {
        if view.len() != 32 || hex::decode(view).is_err() {
            println!("View is not a guid {view}");
            return Ok(1);
        }
        opts.insert("view", view);
    }
    if args.get_flag("export") {
        if args.get_flag("test") {
            println!("--export requires --cortex");
            return Ok(1);
        }
        if texts(&args, "csvfiles").len() != 1 {
            println!("--export requires exactly 1 csvfile");
            return Ok(1);
        }
        return export(&args, &query, opts).await;
    }
    import(&args, &query, opts).await
}

async fn export(args: &ArgMatches, query: &str, mut opts: Map) -> Exit {
    let path = std::path::absolute(&texts(args, "csvfiles")[0])?;
    println!("Exporting CSV rows to: {}", path.display());
    let (_env, core) = open(text(args, "cortex")).await?;
    opts.insert("show", Value::list(["csv:row", "print", "warn", "err"].map(Value::from)));
    let mut out =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).flexible(true).from_path(&path).map_err(bad)?;
    let mut count = 0;
    let mut mesgs = core.genr(Todo::new("storm").arg(query).kw("opts", opts)).await?;
    while let Some(mesg) = mesgs.next().await {
        let mesg = mesg?;
        let info = mesg.at(1).unwrap_or(&Value::Null);
        match mesg.at(0).and_then(Value::as_str).unwrap_or_default() {
            "csv:row" => {
                let row = info.get("row").and_then(Value::as_list).unwrap_or_default();
                out.write_record(row.iter().map(|cell| if cell.is_null() { String::new() } else { plain(Some(cell)) }))
                    .map_err(bad)?;
                count += 1;
            }
            "init" | "fini" => {}
            name => println!("{name}: {info:?}"),
        }
    }
    out.flush()?;
    println!("exported {count} csv rows.");
    Ok(0)
}

fn bad(error: csv::Error) -> myelin_error::Error {
    err!("BadDataValu", mesg = format!("The CSV file cannot be read or written: {error}."))
}

async fn import(args: &ArgMatches, query: &str, opts: Map) -> Exit {
    let temp = if args.get_flag("test") { Some(TempCortex::start().await?) } else { None };
    let url = temp.as_ref().map_or_else(|| text(args, "cortex").to_owned(), TempCortex::url);
    let (_env, core) = open(&url).await?;
    let log = opt_text(args, "logfile").map(|path| File::options().create(true).append(true).open(path)).transpose()?;
    let mut job = Import { core, query, opts, debug: args.get_flag("debug"), log, nodes: 0 };
    for path in texts(args, "csvfiles") {
        job.file(&path, args.get_flag("csv_header")).await?;
    }
    if args.get_flag("cli") {
        crate::shell::run(crate::shell::ShellArgs { cortex: url, ..Default::default() }).await?;
    }
    println!("{} nodes.", job.nodes);
    if let Some(temp) = temp {
        temp.stop().await?;
    }
    Ok(0)
}

struct Import<'a> {
    core: Proxy,
    query: &'a str,
    opts: Map,
    debug: bool,
    log: Option<File>,
    nodes: usize,
}

impl Import<'_> {
    async fn file(&mut self, path: &str, header: bool) -> Result<()> {
        let mut file = BufReader::new(
            File::open(path)
                .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path))?,
        );
        if header {
            file.skip_until(b'\n')?;
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
        let mut records = reader.records();
        loop {
            let mut rows = Vec::new();
            for record in records.by_ref().take(ROWS) {
                rows.push(Value::list(record.map_err(bad)?.iter().map(Value::from)));
            }
            if rows.is_empty() {
                return Ok(());
            }
            self.rows(rows).await?;
        }
    }

    async fn rows(&mut self, rows: Vec<Value>) -> Result<()> {
        let mut vars = self.opts.get("vars").and_then(Value::as_map).cloned().unwrap_or_default();
        vars.insert("rows", Value::from(rows));
        let opts = self.opts.clone().with("vars", vars).with("editformat", "nodeedits");
        let mut mesgs = self.core.genr(Todo::new("storm").arg(self.query).kw("opts", opts)).await?;
        while let Some(mesg) = mesgs.next().await {
            let mesg = mesg?;
            match mesg.at(0).and_then(Value::as_str) {
                Some("node") => self.nodes += 1,
                Some("err") if !self.debug => println!("{mesg:?}"),
                Some("print") => println!("{}", plain(mesg.at(1).and_then(|info| info.get("mesg")))),
                _ => {}
            }
            if self.debug {
                println!("{mesg:?}");
            }
            if let Some(log) = &mut self.log {
                writeln!(log, "{}", json::to_json_text(&mesg).unwrap_or_else(|_| format!("{mesg:?}")))?;
            }
        }
        Ok(())
    }
}
