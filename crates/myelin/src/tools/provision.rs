//! `aha.provision.service`, `aha.provision.user`, and the older `aha.provision` that prints a bare key.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo, UrlInfo, yaml};
use myelin_value::{Map, Value};

use super::{Exit, HERE, open, opt_text, report, text};

fn common(about: &'static str) -> Command {
    Command::new("provision")
        .about(about)
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the AHA service"))
        .arg(Arg::new("only_url").long("only-url").action(ArgAction::SetTrue).help("Print the URL and nothing else"))
}

pub fn service_args() -> Command {
    with_service_options(common("Prepare a new service in AHA and print the one-time URL with which it boots"))
}

fn with_service_options(command: Command) -> Command {
    let port = value_parser!(i64);
    command
        .arg(Arg::new("user").long("user").help("The user that the service acts as"))
        .arg(Arg::new("cellyaml").long("cellyaml").help("A YAML file of configuration for the service"))
        .arg(Arg::new("mirror").long("mirror").help("Make the service a mirror of this one"))
        .arg(Arg::new("dmon_port").long("dmon-port").value_parser(port).help("Port of its TLS listener"))
        .arg(Arg::new("https_port").long("https-port").value_parser(port).help("Port of its HTTPS listener"))
        .arg(Arg::new("svcname").required(true).help("Its name, relative to the AHA network: 00.cortex"))
}

pub async fn service(args: ArgMatches) -> Exit {
    report(service_url(&args).await.map(|url| {
        print_url(&args, "one-time use URL", &url);
        0
    }))
}

/// The seed's form: one name, and the bare key of the new entry.
pub fn key_args() -> Command {
    with_service_options(common("Prepare a new service in AHA and print its one-time provisioning key"))
}

pub async fn key(args: ArgMatches) -> Exit {
    report(service_url(&args).await.and_then(|url| {
        let path = UrlInfo::parse(&url)?.get_str("path").unwrap_or_default().to_owned();
        let key = path.trim_start_matches('/').to_owned();
        if key.is_empty() {
            return Err(err!("BadUrl", mesg = "AHA answered with a URL that carries no key.", url = url));
        }
        print_url(&args, "one-time use provisioning key", &key);
        Ok(0)
    }))
}

async fn service_url(args: &ArgMatches) -> Result<String> {
    let info = provinfo(args)?;
    let (_env, aha) = open(text(args, "url")).await?;
    let todo = Todo::new("addAhaSvcProv").arg(text(args, "svcname")).kw("provinfo", info);
    text_answer(&aha, todo).await
}

fn provinfo(args: &ArgMatches) -> Result<Map> {
    let mut conf = Map::new();
    if let Some(path) = opt_text(args, "cellyaml") {
        match yaml::load_file(std::path::Path::new(path))? {
            Some(Value::Map(given)) => conf.update(&given),
            Some(Value::Null) => {}
            None => return Err(err!("NoSuchFile", mesg = format!("There is no file {path}."), path = path)),
            Some(_) => {
                return Err(err!("BadConfValu", mesg = format!("{path} is not a YAML map of options."), path = path));
            }
        }
    }
    if let Some(user) = opt_text(args, "user") {
        conf.insert("aha:user", user);
    }
    let mut info = Map::new().with("conf", conf).with("mirror", opt_text(args, "mirror"));
    for (arg, key, what) in [("dmon_port", "dmon:port", "dmon"), ("https_port", "https:port", "HTTPS")] {
        if let Some(port) = args.get_one::<i64>(arg) {
            if !(0..65535).contains(port) {
                return Err(err!("BadArg", mesg = format!("Invalid {what} port: {port}")));
            }
            info.insert(key, *port);
        }
    }
    Ok(info)
}

pub fn user_args() -> Command {
    common("Let a user enroll, and print the one-time URL for it")
        .arg(Arg::new("again").long("again").action(ArgAction::SetTrue).help("A new URL for a user that exists"))
        .arg(Arg::new("username").required(true).help("The user, who becomes <username>@<network>"))
}

pub async fn user(args: ArgMatches) -> Exit {
    report(user_url(&args).await.map(|url| {
        print_url(&args, "one-time use URL", &url);
        0
    }))
}

async fn user_url(args: &ArgMatches) -> Result<String> {
    let (_env, aha) = open(text(args, "url")).await?;
    let todo = Todo::new("addAhaUserEnroll").arg(text(args, "username"));
    text_answer(&aha, todo.kw("userinfo", Map::new()).kw("again", args.get_flag("again"))).await
}

async fn text_answer(aha: &Proxy, todo: Todo) -> Result<String> {
    let answer = aha.call(todo).await?;
    answer.as_str().map(str::to_owned).ok_or_else(|| err!("SynErr", mesg = "AHA answered with no URL."))
}

fn print_url(args: &ArgMatches, what: &str, url: &str) {
    if args.get_flag("only_url") {
        println!("{url}");
    } else {
        println!("{what}: {url}");
    }
}
