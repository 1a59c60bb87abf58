//! `cmdr`: the older prompt of a service. `cmdr <url> '<command>'` runs one command: `storm`, `ps`, `kill`, `help`.

use clap::{Arg, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::Value;

use super::{Exit, open, opt_text, report, text};
use crate::shell::{self, ShellArgs, plain, time_text};

/// Flags of its `storm` that take a value, and that take none.
const IGNORED: [&str; 7] =
    ["--hide-tags", "--show-nodeedits", "--show-prov", "--hide-props", "--hide-unknown", "--raw", "--debug"];

pub fn args() -> Command {
    Command::new("cmdr")
        .about("Run a command of the older prompt, or open a Storm shell")
        .arg(Arg::new("url").required(true).help("Telepath URL of the service"))
        .arg(Arg::new("command").help("One of: storm <query>, ps [-v], kill <iden>, help"))
}

pub async fn run(args: ArgMatches) -> Exit {
    let url = text(&args, "url");
    let Some(command) = opt_text(&args, "command") else {
        println!("Queries need no leading \"storm\" here.");
        return shell::run(ShellArgs { cortex: url.to_owned(), ..ShellArgs::default() }).await;
    };
    let (name, rest) = command.trim().split_once(char::is_whitespace).unwrap_or((command.trim(), ""));
    match name {
        "storm" => storm(url, rest.trim()).await,
        "ps" => {
            let (_env, cell) = open(url).await?;
            report(ps(&cell, rest.contains("-v")).await.map(|()| 0))
        }
        "kill" => {
            let (_env, cell) = open(url).await?;
            report(kill(&cell, rest.trim()).await.map(|()| 0))
        }
        "quit" => Ok(0),
        "help" => {
            println!(
                "storm <query>  Run a query\nps [-v]        List tasks\nkill <iden>    End a task by the start of its iden"
            );
            Ok(0)
        }
        other => report(Err(err!(
            "FeatureNotSupported",
            mesg = format!("The command {other} is not part of this build: there are storm, ps, kill and help.")
        ))),
    }
}

async fn storm(url: &str, rest: &str) -> Exit {
    let mut rest = rest;
    let mut args = ShellArgs { cortex: url.to_owned(), ..ShellArgs::default() };
    while let Some(flag) = rest.split_whitespace().next().filter(|word| word.starts_with("--")) {
        let after = rest[flag.len()..].trim_start();
        rest = match flag {
            "--optsfile" | "--file" => {
                let path = after.split_whitespace().next().unwrap_or_default();
                if flag == "--optsfile" {
                    args.optsfile = Some(path.into());
                } else {
                    args.onecmd = Some(std::fs::read_to_string(path)?);
                }
                after[path.len()..].trim_start()
            }
            flag if IGNORED.contains(&flag) => after,
            flag => {
                let mesg =
                    format!("The flag {flag} of storm is not supported: the tool storm has --view and --optsfile.");
                return report(Err(err!("FeatureNotSupported", mesg = mesg)));
            }
        };
    }
    if args.onecmd.is_none() {
        args.onecmd = Some(rest.to_owned());
    }
    shell::run(args).await
}

async fn ps(cell: &Proxy, verbose: bool) -> Result<()> {
    let tasks = cell.call("ps").await?;
    let tasks = tasks.as_list().unwrap_or_default();
    for task in tasks {
        println!("task iden: {}", plain(task.get("iden")));
        println!("    name: {}", plain(task.get("name")));
        println!("    user: {}", plain(task.get("user")));
        println!("    start time: {}", task.get("tick").map(time_text).unwrap_or_default());
        let info = format!("{:?}", task.get("info").cloned().unwrap_or_default());
        println!("    metadata: {}", if verbose { info } else { info.chars().take(120).collect() });
    }
    println!("{} tasks found.", tasks.len());
    Ok(())
}

async fn kill(cell: &Proxy, prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Err(err!("BadArg", mesg = "Say which task: kill <iden>."));
    }
    let tasks = cell.call("ps").await?;
    let idens = tasks.as_list().unwrap_or_default().iter().filter_map(|task| task.get("iden").and_then(Value::as_str));
    let found: Vec<&str> = idens.filter(|iden| iden.starts_with(prefix)).collect();
    let [iden] = found[..] else {
        let mesg = format!("{} tasks have an iden that begins with {prefix}: say more of it.", found.len());
        return Err(err!("BadArg", mesg = mesg));
    };
    let done = cell.call(Todo::new("kill").arg(iden)).await?;
    println!("kill status: {}", if done.is_truthy() { "True" } else { "False" });
    Ok(())
}
