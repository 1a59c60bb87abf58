//! `aha.list` and `aha.clone`.

use std::collections::HashSet;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use myelin_telepath::Todo;
use myelin_value::{Map, Value};

use super::{Exit, HERE, open, opt_text, report, text};

pub fn list_args() -> Command {
    Command::new("list")
        .about("List the services that AHA knows")
        .arg(Arg::new("url").required(true).help("Telepath URL of the AHA service"))
        .arg(Arg::new("network").help("Only services of this AHA network"))
}

pub async fn list(args: ArgMatches) -> Exit {
    let url = text(&args, "url");
    let (_env, aha) = open(url).await?;
    if !aha.classes().iter().any(|class| class == "synapse.lib.aha.AhaApi") {
        println!("Service at {url} is not an Aha server");
        return Ok(1);
    }
    println!(
        "{:<20} {:<30} {:<6} {:<6} {:<6} {:<20} {:<5}  connection opts",
        "Service", "network", "leader", "online", "scheme", "host", "port"
    );
    let svcs = aha.genr(Todo::new("getAhaSvcs").arg(opt_text(&args, "network"))).await?.list().await?;
    let leaders: HashSet<&str> = svcs.iter().filter_map(leader_run).collect();
    for svc in &svcs {
        print_service(svc, &leaders);
    }
    Ok(0)
}

/// The run iden of a service that is the leader of its name.
fn leader_run(svc: &Value) -> Option<&str> {
    let info = svc.get("svcinfo")?;
    (svc.get("svcname")? == info.get("leader")?).then(|| info.get("run")?.as_str())?
}

fn print_service(svc: &Value, leaders: &HashSet<&str>) {
    let text = |valu: Option<&Value>| match valu {
        Some(Value::Str(text)) => text.to_string(),
        Some(Value::Int(number)) => number.to_string(),
        _ => String::new(),
    };
    let info = svc.get("svcinfo");
    let part = |key: &str| info.and_then(|info| info.get(key));
    let url = |key: &str| text(part("urlinfo").and_then(|url| url.get(key)));
    let leader = match (part("leader"), part("run").and_then(Value::as_str)) {
        (None | Some(Value::Null), _) => "None",
        (_, Some(run)) if leaders.contains(run) => "True",
        _ => "False",
    };
    let online = if part("online").is_some_and(Value::is_truthy) { "True" } else { "False" };
    let mut line = format!(
        "{:<20} {:<30} {leader:<6} {online:<6} {:<6} {:<20} {:<5}",
        text(svc.get("svcname")),
        text(svc.get("svcnetw")),
        url("scheme"),
        url("host"),
        url("port")
    );
    let rest: Map = svc
        .as_map()
        .map(|map| {
            map.text_entries()
                .filter(|(key, _)| !key.starts_with("svc"))
                .map(|(key, valu)| (key, valu.clone()))
                .collect()
        })
        .unwrap_or_default();
    if !rest.is_empty() {
        line.push_str(&format!("  {:?}", Value::from(rest)));
    }
    println!("{line}");
}

pub fn clone_args() -> Command {
    Command::new("clone")
        .about("Prepare a clone of the AHA service and print the one-time URL with which it boots")
        .arg(Arg::new("port").long("port").default_value("27492").value_parser(value_parser!(i64)).help("Its port"))
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the AHA service"))
        .arg(Arg::new("only_url").long("only-url").action(ArgAction::SetTrue).help("Print the URL and nothing else"))
        .arg(Arg::new("dnsname").required(true).help("The DNS name under which the clone is reached"))
}

pub async fn clone(args: ArgMatches) -> Exit {
    let work = async {
        let (_env, aha) = open(text(&args, "url")).await?;
        let port = args.get_one::<i64>("port").copied().unwrap_or(27492);
        let url = aha.call(Todo::new("addAhaClone").arg(text(&args, "dnsname")).kw("port", port)).await?;
        let url = url.as_str().unwrap_or_default();
        if args.get_flag("only_url") {
            println!("{url}");
        } else {
            println!("one-time use URL: {url}");
        }
        Ok(0)
    };
    report(work.await)
}
