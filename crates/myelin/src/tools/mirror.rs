//! `aha.mirror`: groups of a leader and its mirrors, and how far each has come.

use std::collections::HashMap;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use myelin_error::Result;
use myelin_telepath::{Proxy, Todo};
use myelin_value::{Map, Value};

use super::{Exit, HERE, open, report, text};
use crate::shell::plain;

/// The columns: a title and the width of all but the last.
const COLUMNS: [(&str, usize); 10] = [
    ("name", 40),
    ("role", 9),
    ("online", 7),
    ("ready", 6),
    ("host", 16),
    ("port", 8),
    ("version", 12),
    ("synapse", 12),
    ("nexus idx", 10),
    ("follows", 0),
];

pub fn args() -> Command {
    Command::new("mirror")
        .about("Show the mirror groups that AHA knows and whether they are in sync")
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the AHA service"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .default_value("10")
                .value_parser(value_parser!(u32))
                .help("Seconds to wait for each service"),
        )
        .arg(Arg::new("wait").long("wait").action(ArgAction::SetTrue).help("Wait until the mirrors are in sync"))
}

pub async fn run(args: ArgMatches) -> Exit {
    report(work(&args).await)
}

async fn work(args: &ArgMatches) -> Exit {
    let url = text(args, "url");
    let (_env, aha) = open(url).await?;
    if !aha.has_feature("callpeers", 1) {
        println!("Service at {url} does not support the required callpeers feature.");
        return Ok(1);
    }
    if !aha.classes().iter().any(|class| class == "synapse.lib.aha.AhaApi") {
        println!("Service at {url} is not an Aha server");
        return Ok(1);
    }
    let timeout = args.get_one::<u32>("timeout").copied().unwrap_or(10);
    let groups = groups(aha.genr("getAhaSvcs").await?.list().await?);
    if groups.is_empty() {
        println!("No mirror groups found.");
        return Ok(0);
    }
    println!("Service Mirror Groups:");
    for group in &groups {
        group.show(&aha, timeout, args.get_flag("wait")).await?;
        println!();
    }
    Ok(0)
}

fn info<'a>(svc: &'a Value, key: &str) -> Option<&'a Value> {
    svc.get("svcinfo")?.get(key).filter(|valu| !valu.is_null())
}

/// Services of one iden: a leader and its mirrors.
struct Group {
    iden: String,
    name: String,
    members: Vec<Value>,
}

/// The groups of more than one running service. The leader's alias names a group and is no member of it.
fn groups(svcs: Vec<Value>) -> Vec<Group> {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut members: Vec<(String, Vec<Value>)> = Vec::new();
    for svc in svcs {
        let (Some(iden), Some(run)) = (info(&svc, "iden"), info(&svc, "run")) else { continue };
        let (iden, run) = (plain(Some(iden)), run.clone());
        if info(&svc, "leader").is_some_and(|leader| svc.get("svcname") == Some(leader)) {
            names.entry(iden).or_insert_with(|| plain(svc.get("name")));
            continue;
        }
        let group = match members.iter_mut().find(|(have, _)| *have == iden) {
            Some((_, group)) => group,
            None => {
                members.push((iden, Vec::new()));
                &mut members.last_mut().expect("just pushed").1
            }
        };
        match group.iter_mut().find(|have| info(have, "run") == Some(&run)) {
            // Of several names for one service, the one that its certificate has.
            Some(have) => {
                let hostname = info(&svc, "urlinfo").and_then(|url| url.get("hostname"));
                if hostname.is_some() && svc.get("name") == hostname {
                    *have = svc;
                }
            }
            None => group.push(svc),
        }
    }
    let groups = members.into_iter().filter(|(_, members)| members.len() > 1);
    groups
        .map(|(iden, members)| {
            let by_leader = || {
                let svc = members.iter().find(|svc| info(svc, "leader").is_some())?;
                let leader = format!("{}.{}", plain(info(svc, "leader")), plain(svc.get("svcnetw")));
                Some(format!("{leader} (leader alias not registered)"))
            };
            let name = names.remove(&iden).or_else(by_leader);
            let name = name.unwrap_or_else(|| format!("<no leader alias> (service iden: {iden})"));
            Group { iden, name, members }
        })
        .collect()
}

/// What a member said, or null when it did not answer.
struct Status {
    name: String,
    cells: Vec<String>,
    index: Option<i64>,
    leads: bool,
    answered: bool,
}

impl Status {
    fn new(svc: &Value, answer: &Value) -> Status {
        let cell = answer.get("cell").cloned().unwrap_or_default();
        let answered = !answer.is_null();
        let truth = |valu: bool| if valu { "True" } else { "False" }.to_owned();
        let unknown = || "<unknown>".to_owned();
        let url = |key: &str| plain(info(svc, "urlinfo").and_then(|url| url.get(key)));
        let leads = cell.get("active").is_some_and(Value::is_truthy);
        let index = cell.get("nexsindx").and_then(Value::as_i64);
        let follows = match cell.get("mirror") {
            None => unknown(),
            Some(Value::Null) => "<none - write root>".to_owned(),
            url => plain(url),
        };
        let told = |valu: Option<&Value>| if answered { plain(valu) } else { unknown() };
        let synapse = answer.get("synapse").and_then(|synapse| synapse.get("verstring"));
        let role = if !answered {
            unknown()
        } else if leads {
            "leader".to_owned()
        } else {
            "follower".to_owned()
        };
        let name = plain(svc.get("name"));
        let cells = vec![
            name.clone(),
            role,
            truth(answered || info(svc, "online").is_some()),
            info(svc, "ready").map_or_else(String::new, |ready| truth(ready.is_truthy())),
            url("host"),
            url("port"),
            told(cell.get("verstring")),
            told(synapse),
            index.map_or_else(unknown, |index| index.to_string()),
            follows,
        ];
        Status { name, cells, index, leads, answered }
    }
}

impl Group {
    async fn ask(&self, aha: &Proxy, timeout: u32) -> Result<Vec<Status>> {
        let call = Value::list([Value::from("getCellInfo"), Value::empty_list(), Map::new().into()]);
        let todo = Todo::new("callAhaPeerApi").arg(self.iden.as_str()).arg(call).kw("timeout", timeout);
        // By the run of a service: AHA may answer under the alias of the leader.
        let (mut by_run, mut by_name) = (HashMap::new(), HashMap::new());
        let mut answers = aha.genr(todo).await?;
        while let Some(answer) = answers.next().await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    println!("WARNING: Failed to query mirror group members: {}", error.message());
                    break;
                }
            };
            let Some(told) = answer.at(1).filter(|told| told.at(0).is_some_and(Value::is_truthy)) else { continue };
            let told = told.at(1).cloned().unwrap_or_default();
            if let Some(run) = told.get("cell").and_then(|cell| cell.get("run")) {
                by_run.insert(plain(Some(run)), told.clone());
            }
            by_name.insert(plain(answer.at(0)), told);
        }
        let find = |svc: &Value| {
            let run = by_run.get(&plain(info(svc, "run")));
            run.or_else(|| by_name.get(&plain(svc.get("name")))).cloned().unwrap_or_default()
        };
        Ok(self.members.iter().map(|svc| Status::new(svc, &find(svc))).collect())
    }

    async fn show(&self, aha: &Proxy, timeout: u32, wait: bool) -> Result<()> {
        let rows = self.ask(aha, timeout).await?;
        print_table(&self.name, &rows);
        let leaders: Vec<&Status> = rows.iter().filter(|row| row.leads).collect();
        match &leaders[..] {
            [] => println!("Group Leader: <none>"),
            [one] => println!("Group Leader: {}", one.name),
            many => {
                let names: Vec<_> = many.iter().map(|row| row.name.as_str()).collect();
                println!("Group Leader: <multiple: {}>", names.join(", "));
            }
        }
        let state = sync_state(&rows);
        println!("Group Status: {state}");
        if !wait || state == "In Sync" {
            return Ok(());
        }
        let skip = |why: &str| println!("WARNING: Skipping --wait: {why}.");
        let [leader] = &leaders[..] else {
            skip("the group has no active leader");
            return Ok(());
        };
        if !rows.iter().all(|row| row.answered) {
            skip("one or more group members did not respond");
            return Ok(());
        }
        let Some(index) = leader.index else {
            skip("the leader did not report a nexus index");
            return Ok(());
        };
        self.await_sync(aha, timeout, index).await
    }

    async fn await_sync(&self, aha: &Proxy, timeout: u32, index: i64) -> Result<()> {
        let kwargs = Map::new().with("timeout", timeout);
        let call = Value::list([Value::from("waitNexsOffs"), Value::list([Value::from(index - 1)]), kwargs.into()]);
        loop {
            let todo = Todo::new("callAhaPeerApi").arg(self.iden.as_str()).arg(call.clone()).kw("timeout", timeout);
            let answers = aha.genr(todo).await?.list().await?;
            let there = |answer: &&Value| {
                let told = answer.at(1);
                told.and_then(|told| told.at(0)).is_some_and(Value::is_truthy)
                    && told.and_then(|told| told.at(1)).is_some_and(Value::is_truthy)
            };
            if answers.iter().filter(there).count() < self.members.len() {
                // A member that answers at once with "not yet" must not make this spin.
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                continue;
            }
            let rows = self.ask(aha, timeout).await?;
            println!("\nUpdated status:");
            print_table(&self.name, &rows);
            if sync_state(&rows) == "In Sync" {
                println!("Group Status: In Sync");
                return Ok(());
            }
        }
    }
}

fn sync_state(rows: &[Status]) -> &'static str {
    let known: Vec<i64> = rows.iter().filter_map(|row| row.index).collect();
    match known.split_first() {
        None => "Unknown",
        Some((first, rest)) if known.len() == rows.len() && rest.iter().all(|index| index == first) => "In Sync",
        Some(_) => "Out of Sync",
    }
}

fn print_table(group: &str, rows: &[Status]) {
    let line = |cells: &mut dyn Iterator<Item = String>, pad: &str| {
        let cells: Vec<String> = cells.zip(COLUMNS).map(|(cell, (_, width))| format!("{cell:<width$}")).collect();
        println!("{pad}{}{pad}", cells.join(&pad.repeat(2)));
    };
    line(&mut COLUMNS.iter().map(|(title, _)| (*title).to_owned()), " ");
    line(&mut COLUMNS.iter().map(|(title, width)| "#".repeat(if *width > 0 { *width } else { title.len() })), "#");
    println!("{group}");
    for row in rows {
        line(&mut row.cells.iter().cloned(), " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svc(name: &str, run: &str, leader: Option<&str>) -> Value {
        let info = Map::new().with("iden", "aa").with("run", run).with("leader", leader);
        Map::new()
            .with("name", format!("{name}.net"))
            .with("svcname", name)
            .with("svcnetw", "net")
            .with("svcinfo", info)
            .into()
    }

    #[test]
    fn a_group_has_more_than_one_member_and_its_aliases_are_none() {
        let found = groups(vec![
            svc("00.core", "1", Some("core")),
            svc("01.core", "2", Some("core")),
            svc("core", "1", Some("core")),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].members.len()), ("core.net", 2));
        assert!(groups(vec![svc("00.core", "1", Some("core")), svc("core", "1", Some("core"))]).is_empty());
        let found = groups(vec![svc("00.core", "1", Some("core")), svc("01.core", "2", Some("core"))]);
        assert_eq!(found[0].name, "core.net (leader alias not registered)");
    }

    #[test]
    fn a_group_is_in_sync_when_all_say_the_same_index() {
        let row =
            |index: Option<i64>| Status { name: String::new(), cells: Vec::new(), index, leads: false, answered: true };
        assert_eq!(sync_state(&[row(Some(3)), row(Some(3))]), "In Sync");
        assert_eq!(sync_state(&[row(Some(3)), row(Some(4))]), "Out of Sync");
        assert_eq!(sync_state(&[row(Some(3)), row(None)]), "Out of Sync");
        assert_eq!(sync_state(&[row(None)]), "Unknown");
    }
}
