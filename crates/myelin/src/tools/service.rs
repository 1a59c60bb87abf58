//! Tools that any service answers: `service.healthcheck`, `service.shutdown`, `service.reload`.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use myelin_error::{Error, Result, err};
use myelin_telepath::{Todo, url};
use myelin_value::{Map, Value, json};

use super::{Exit, HERE, open, opt_text, text};

pub fn health_args() -> Command {
    Command::new("healthcheck")
        .about("Ask a service how it is; status 0 when it is nominal or degraded")
        .arg(Arg::new("cell").long("cell").short('c').required(true).help("Telepath URL of the service"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .short('t')
                .default_value("10")
                .value_parser(value_parser!(f64))
                .help("Seconds to wait for the connection, and again for the answer"),
        )
}

pub async fn health(args: ArgMatches) -> Exit {
    let cell = text(&args, "cell");
    let secs = args.get_one::<f64>("timeout").copied().unwrap_or(10.0);
    let limit = Duration::try_from_secs_f64(secs).map_err(|_| err!("BadArg", mesg = "The timeout is no duration."))?;
    let answer = match ask_health(cell, limit).await {
        Ok(answer) => answer,
        Err((mesg, error)) => failed(cell, &mesg, &error),
    };
    println!("{}", json::to_json_text(&answer)?);
    let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    Ok(if matches!(status, "nominal" | "degraded") { 0 } else { 1 })
}

async fn ask_health(cell: &str, limit: Duration) -> Result<Value, (String, Error)> {
    let late = |what: &str| (format!("Timeout {what} cell"), err!("TimeOut", mesg = "The time limit was reached."));
    let sane = url::sanitize(cell);
    let (_env, proxy) =
        tokio::time::timeout(limit, open(cell)).await.map_err(|_| late("connecting to"))?.map_err(|error| {
            let unreachable = error.isa("LinkErr") || error.is("NoSuchPath");
            let mesg = if unreachable {
                format!("Unable to connect to cell @ {sane}.")
            } else {
                "Synapse error encountered.".into()
            };
            (mesg, error)
        })?;
    let call = proxy.call(Todo::new("getHealthCheck"));
    let answer = tokio::time::timeout(limit, call).await.map_err(|_| late("getting health information from"))?;
    answer.map_err(|error| ("Synapse error encountered.".to_owned(), error))
}

/// The report of a service that could not be asked.
fn failed(cell: &str, mesg: &str, error: &Error) -> Value {
    let data = Map::new().with("errname", error.name()).with("errmesg", error.to_string());
    let part = Map::new().with("name", "error").with("status", "failed").with("mesg", mesg).with("data", data);
    Value::from(
        Map::new().with("status", "failed").with("iden", cell).with("components", Value::list([Value::from(part)])),
    )
}

pub fn shutdown_args() -> Command {
    Command::new("shutdown")
        .about("End a service gracefully. Status 0: begun; 1: the time limit came first; 2: an error")
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the service"))
        .arg(
            Arg::new("timeout").long("timeout").value_parser(value_parser!(i64)).help("Seconds after which to give up"),
        )
        .arg(
            Arg::new("no_drain")
                .long("no-drain")
                .action(ArgAction::SetTrue)
                .help("Cancel running tasks, do not await them"),
        )
}

pub async fn shutdown(args: ArgMatches) -> Exit {
    let url = text(&args, "url");
    let work = async {
        let (_env, proxy) = open(url).await?;
        let mut todo = Todo::new("shutdown").kw("timeout", args.get_one::<i64>("timeout").copied());
        if args.get_flag("no_drain") {
            if !proxy.has_feature("shutdowndrain", 1) {
                return Err(err!(
                    "FeatureNotSupported",
                    mesg = format!("Service at {url} does not support the --no-drain feature.")
                ));
            }
            todo = todo.kw("drain", false);
        }
        Ok(if proxy.call(todo).await?.is_truthy() { 0 } else { 1 })
    };
    work.await.or_else(|error: Error| {
        println!("Error while attempting graceful shutdown: {error}");
        Ok(2)
    })
}

pub fn reload_args() -> Command {
    let name = Arg::new("name").long("name").short('n').help("Only this subsystem");
    Command::new("reload")
        .about("List what a service can reload while it runs, or reload it")
        .arg(Arg::new("svcurl").long("svcurl").default_value(HERE).help("Telepath URL of the service"))
        .subcommand_required(true)
        .subcommand(Command::new("list").about("List the subsystems that can be reloaded"))
        .subcommand(Command::new("reload").about("Reload them").arg(name))
}

pub async fn reload(args: ArgMatches) -> Exit {
    let url = text(&args, "svcurl");
    let sane = url::sanitize(url);
    let (_env, proxy) = open(url).await?;
    match args.subcommand() {
        Some(("reload", sub)) => {
            println!("Reloading cell at {sane}");
            match proxy.call(Todo::new("reload").kw("subsystem", opt_text(sub, "name"))).await {
                Ok(answer) => print_reloaded(&answer),
                Err(error) => {
                    println!("Error reloading cell: {error}");
                    return Ok(1);
                }
            }
        }
        _ => {
            let names = proxy.call(Todo::new("getReloadableSystems")).await?;
            let names: Vec<_> = names.as_list().unwrap_or_default().iter().filter_map(Value::as_str).collect();
            if names.is_empty() {
                println!("Cell at {sane} has no registered reload subsystems.");
            } else {
                println!("Cell at {sane} has the following reload subsystems:");
                names.iter().for_each(|name| println!("{name}"));
            }
        }
    }
    Ok(0)
}

fn print_reloaded(answer: &Value) {
    let rows = answer.as_map().filter(|rows| !rows.is_empty());
    let Some(rows) = rows else {
        println!("No subsystems reloaded.");
        return;
    };
    println!("{:<40}{:<10}Value:", "Name:", "Result:");
    for (name, row) in rows.text_entries() {
        let good = row.at(0).is_some_and(Value::is_truthy);
        let mesg = match row.at(1) {
            Some(Value::Str(text)) => text.to_string(),
            Some(Value::List(error)) if !good => Error::unpack(&Value::List(error.clone())).to_string(),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        };
        println!("{name:<40}{:<10}{mesg}", if good { "Success" } else { "Failed" });
    }
}
