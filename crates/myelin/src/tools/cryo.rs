//! `cryo.list` and `cryo.cat`: the tanks of the original's cryotank service, which older deployments still run.

use std::io::{BufRead, Read, Write};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Value, json, msgpack};

use super::{Exit, open, text, texts};

pub fn list_args() -> Command {
    Command::new("list")
        .about("List the tanks of cryotank services")
        .arg(Arg::new("cryocell").required(true).action(ArgAction::Append).num_args(1..).help("Their telepath URLs"))
}

pub async fn list(args: ArgMatches) -> Exit {
    for url in texts(&args, "cryocell") {
        println!("{url}");
        let (_env, cryo) = open(&url).await?;
        let tanks = cryo.call("list").await?;
        for tank in tanks.as_list().unwrap_or_default() {
            let name = tank.at(0).and_then(Value::as_str).unwrap_or_default();
            println!("    {name}: {:?}", tank.at(1).cloned().unwrap_or_default());
        }
    }
    Ok(0)
}

pub fn cat_args() -> Command {
    let flag = |name: &'static str, long: &'static str, help: &'static str| {
        Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
    };
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).value_parser(value_parser!(i64)).help(help)
    };
    Command::new("cat")
        .about("Print items of a tank, or put items into it")
        .arg(Arg::new("cryotank").required(true).help("Telepath URL of the tank"))
        .arg(number("offset", "0", "Begin at this offset"))
        .arg(number("size", "10", "How many items"))
        .arg(flag("omit_offset", "omit-offset", "Print items without their offsets"))
        .arg(flag("jsonl", "jsonl", "Items as JSON lines, without offsets"))
        .arg(flag("msgpack", "msgpack", "Items as msgpack, without offsets"))
        .group(ArgGroup::new("form").args(["jsonl", "msgpack"]))
        .arg(flag("verbose", "verbose", "Accepted and without effect").short('v'))
        .arg(flag("ingest", "ingest", "Put items from standard input into the tank").short('i'))
}

pub async fn cat(args: ArgMatches) -> Exit {
    let ingest = args.get_flag("ingest");
    if ingest && !args.get_flag("jsonl") && !args.get_flag("msgpack") {
        println!("Must specify exactly one of --jsonl or --msgpack if --ingest is specified");
        return Ok(1);
    }
    let (_env, tank) = open(text(&args, "cryotank")).await?;
    if ingest {
        let items = if args.get_flag("msgpack") { packed()? } else { lines()? };
        tank.call(Todo::new("puts").arg(Value::from(items))).await?;
    } else {
        print(&args, &tank).await?;
    }
    Ok(0)
}

async fn print(args: &ArgMatches, tank: &Proxy) -> Result<()> {
    let number = |name: &str| args.get_one::<i64>(name).copied().unwrap_or(0);
    let mut items = tank.genr(Todo::new("slice").arg(number("offset")).arg(number("size"))).await?;
    while let Some(item) = items.next().await {
        let item = item?;
        let valu = item.at(1).unwrap_or(&Value::Null);
        if args.get_flag("jsonl") {
            println!("{}", json::to_json_text(valu)?);
        } else if args.get_flag("msgpack") {
            std::io::stdout().write_all(&msgpack::encode(valu))?;
        } else if args.get_flag("omit_offset") {
            println!("{valu:?}");
        } else {
            println!("{item:?}");
        }
    }
    Ok(())
}

fn packed() -> Result<Vec<Value>> {
    let mut byts = Vec::new();
    std::io::stdin().read_to_end(&mut byts)?;
    let mut rest = &byts[..];
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (item, used) = msgpack::decode_prefix(rest)?;
        items.push(item);
        rest = &rest[used..];
    }
    Ok(items)
}

fn lines() -> Result<Vec<Value>> {
    let bad = |error| err!("BadJsonText", mesg = format!("A line of the input is no JSON: {error}."));
    std::io::stdin().lock().lines().map(|line| json::parse(line?.as_bytes()).map_err(bad)).collect()
}
