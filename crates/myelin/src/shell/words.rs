//! Commands of the shell itself: `!help`, `!quit`, `!runfile`, `!export`, `!pushfile`, `!pullfile`.

use std::io::{Read, Write};
use std::path::Path;

use myelin_error::{Result, err};
use myelin_telepath::Todo;
use myelin_value::{Value, msgpack};

use super::Session;

/// How much of a file is sent at a time.
const CHUNK: usize = 8 * 1024 * 1024;

/// Every command with its arguments and what it does.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("help", "", "List these commands"),
    ("quit", "", "Leave the shell"),
    ("runfile", "<path>", "Run the query that a file holds"),
    ("export", "<path> <query>", "Write the nodes of a query to a .nodes file"),
    ("pushfile", "<path>", "Upload a file into the Axon and make its file:bytes node"),
    ("pullfile", "<sha256> <path>", "Fetch a file out of the Axon"),
];

/// The names of the commands.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|(name, ..)| *name)
}

/// Runs a command, given without its exclamation mark. False when it failed.
pub(super) async fn run(session: &mut Session, line: &str) -> Result<bool> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let outcome = match name {
        "help" => {
            for (name, args, what) in COMMANDS {
                session.printer.line(format!("!{:<28} {what}", format!("{name} {args}")));
            }
            Ok(true)
        }
        "quit" => Ok(true),
        "runfile" => runfile(session, rest).await,
        "export" => export(session, rest).await,
        "pushfile" => pushfile(session, rest).await,
        "pullfile" => pullfile(session, rest).await,
        _ => Err(err!("NoSuchName", mesg = format!("There is no command !{name}; !help lists them."), name = name)),
    };
    outcome.or_else(|error| {
        session
            .printer
            .line(format!("ERROR: {}", if error.message().is_empty() { error.name() } else { error.message() }));
        Ok(false)
    })
}

async fn runfile(session: &mut Session, path: &str) -> Result<bool> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path))?;
    session.printer.line(format!("running storm file: {path}"));
    session.storm(&text).await
}

async fn export(session: &mut Session, rest: &str) -> Result<bool> {
    let Some((path, query)) = rest.split_once(char::is_whitespace) else {
        return Err(err!("BadArg", mesg = "Give a file and a query: !export dump.nodes inet:fqdn"));
    };
    let todo = Todo::new("exportStorm").arg(query).kw("opts", session.opts.clone());
    let mut nodes = session.proxy.genr(todo).await?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut count = 0;
    while let Some(node) = nodes.next().await {
        file.write_all(&msgpack::encode(&node?))?;
        count += 1;
    }
    file.flush()?;
    session.printer.line(format!("saved {count} nodes to: {path}"));
    Ok(true)
}

async fn pushfile(session: &mut Session, path: &str) -> Result<bool> {
    let mut file = std::fs::File::open(path)
        .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path))?;
    session.printer.line(format!("uploading file: {path}"));
    let share = session.proxy.share(Todo::new("getAxonUpload")).await?;
    let mut buff = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buff)?;
        if count == 0 {
            break;
        }
        share.call(Todo::new("write").arg(&buff[..count])).await?;
    }
    let saved = share.call(Todo::new("save")).await?;
    let sha256 = saved.at(1).and_then(Value::as_bytes).map(hex::encode).unwrap_or_default();
    session.opts.insert("vars", node_vars(path, &sha256, saved.at(0)));
    let good = session.storm("[ file:bytes=$sha256 :name=$name :size=$size ]").await;
    session.opts.remove("vars");
    good
}

fn node_vars(path: &str, sha256: &str, size: Option<&Value>) -> myelin_value::Map {
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    myelin_value::Map::new()
        .with("sha256", sha256)
        .with("name", name)
        .with("size", size.cloned().unwrap_or(Value::Null))
}

async fn pullfile(session: &mut Session, rest: &str) -> Result<bool> {
    let Some((sha256, path)) = rest.split_once(char::is_whitespace) else {
        return Err(err!("BadArg", mesg = "Give a SHA-256 and a file: !pullfile <sha256> sample.bin"));
    };
    let mut parts = session.proxy.genr(Todo::new("getAxonBytes").arg(sha256)).await?;
    session.printer.line(format!("downloading sha256: {sha256}"));
    let mut file = std::fs::File::create(path.trim())?;
    while let Some(part) = parts.next().await {
        file.write_all(part?.as_bytes().unwrap_or_default())?;
    }
    session.printer.line(format!("saved to: {}", path.trim()));
    Ok(true)
}
