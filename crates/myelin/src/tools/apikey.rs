//! `service.apikey`: add, list and delete API keys of users.

use clap::{Arg, ArgMatches, Command, value_parser};
use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::Value;

use super::{Exit, HERE, open, opt_text, text};
use crate::shell::{plain, time_text};

pub fn args() -> Command {
    let user = || Arg::new("username").long("username").short('u').help("Whose keys; for admins");
    Command::new("apikey")
        .about("Add, list or delete API keys")
        .arg(Arg::new("svcurl").long("svcurl").default_value(HERE).help("Telepath URL of the service"))
        .subcommand_required(true)
        .subcommand(
            Command::new("add")
                .about("Add a key and print it; it cannot be seen again")
                .arg(
                    Arg::new("duration")
                        .long("duration")
                        .short('d')
                        .value_parser(value_parser!(i64).range(1..))
                        .help("Seconds after which it expires"),
                )
                .arg(user())
                .arg(Arg::new("name").required(true).help("A name for the key")),
        )
        .subcommand(Command::new("list").about("List keys").arg(user()))
        .subcommand(
            Command::new("del").about("Delete a key").arg(Arg::new("iden").required(true).help("The iden of the key")),
        )
}

pub async fn run(args: ArgMatches) -> Exit {
    let (_env, cell) = open(text(&args, "svcurl")).await?;
    work(&args, &cell).await.map(|()| 0).or_else(|error: Error| {
        println!("ERROR: {}: {}", error.name(), error.message());
        Ok(1)
    })
}

async fn work(args: &ArgMatches, cell: &Proxy) -> Result<()> {
    match args.subcommand() {
        Some(("add", sub)) => {
            let duration = sub.get_one::<i64>("duration").map(|secs| secs.saturating_mul(1000));
            let todo = Todo::new("addUserApiKey").arg(text(sub, "name")).kw("duration", duration);
            let made = cell.call(todo.kw("useriden", user_iden(sub, cell).await?)).await?;
            println!("Successfully added API key with name={}.", text(sub, "name"));
            print_key(made.at(1), made.at(0));
        }
        Some(("list", sub)) => {
            let keys = cell.call(Todo::new("listUserApiKeys").kw("useriden", user_iden(sub, cell).await?)).await?;
            let keys = keys.as_list().unwrap_or_default();
            if keys.is_empty() {
                println!("No API keys found.");
            }
            keys.iter().for_each(|key| print_key(Some(key), None));
        }
        Some(("del", sub)) => {
            cell.call(Todo::new("delUserApiKey").arg(text(sub, "iden"))).await?;
            println!("Successfully deleted API key with iden={}.", text(sub, "iden"));
        }
        _ => {}
    }
    Ok(())
}

async fn user_iden(args: &ArgMatches, cell: &Proxy) -> Result<Value> {
    let Some(name) = opt_text(args, "username") else { return Ok(Value::Null) };
    let user = cell.call(Todo::new("getUserInfo").arg(name)).await?;
    user.get("iden")
        .cloned()
        .ok_or_else(|| err!("NoSuchUser", mesg = format!("No user named {name}."), username = name))
}

fn print_key(info: Option<&Value>, secret: Option<&Value>) {
    let part = |key: &str| info.and_then(|info| info.get(key));
    println!("Iden: {}", plain(part("iden")));
    if let Some(secret) = secret {
        println!("  API Key: {}", plain(Some(secret)));
    }
    println!("  Name: {}", plain(part("name")));
    for (label, key) in [("Created", "created"), ("Updated", "updated"), ("Expires", "expires")] {
        if let Some(time) = part(key).filter(|time| !time.is_null()) {
            println!("  {label}: {}", time_text(time));
        }
    }
    println!();
}
