//! `cellauth`: the older way to look at and change users and roles of a service.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::Value;

use super::{Exit, open, opt_text, text, texts};
use crate::shell::plain;

/// What `modify` can be asked for, of which one at a time.
const CHANGES: [&str; 14] = [
    "adduser", "addrole", "deluser", "delrole", "admin", "noadmin", "lock", "unlock", "passwd", "grant", "revoke",
    "setroles", "addrule", "delrule",
];

pub fn args() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let valu = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    let list = Command::new("list")
        .about("List users and roles, or show one")
        .arg(Arg::new("name").action(ArgAction::Append).num_args(0..).help("The user or role to show"))
        .arg(flag("detail", "With the rules of a user's roles").short('d'));
    let modify = Command::new("modify")
        .about("Add, change or delete a user or role")
        .arg(flag("adduser", "Add the user"))
        .arg(flag("addrole", "Add the role"))
        .arg(flag("deluser", "Delete the user"))
        .arg(flag("delrole", "Delete the role"))
        .arg(flag("admin", "Make the user an admin"))
        .arg(flag("noadmin", "Make the user no admin any more"))
        .arg(flag("lock", "Lock the user"))
        .arg(flag("unlock", "Unlock the user"))
        .arg(valu("passwd", "Set the user's password"))
        .arg(valu("grant", "A role to grant"))
        .arg(valu("revoke", "A role to revoke"))
        .arg(valu("setroles", "The roles that the user shall have").action(ArgAction::Append).num_args(1..))
        .arg(valu("addrule", "A rule to add: node.add, or !node.add to deny"))
        .arg(valu("delrule", "The number of a rule to remove").value_parser(value_parser!(usize)))
        .group(ArgGroup::new("change").args(CHANGES))
        .arg(valu("object", "The auth gate that --addrule is about"))
        .arg(Arg::new("name").required(true).help("The user or role"));
    Command::new("cellauth")
        .about("Look at and change users and roles of a service (deprecated: service.moduser, service.modrole)")
        .arg(flag("debug", "Accepted and without effect"))
        .arg(Arg::new("cellurl").required(true).help("Telepath URL of the service"))
        .subcommand_required(true)
        .subcommand(list)
        .subcommand(modify)
}

pub async fn run(args: ArgMatches) -> Exit {
    println!("WARNING: \"synapse.tools.cellauth\" is deprecated in 2.164.0 and will be removed in 3.0.0");
    let work = async {
        let (_env, cell) = open(text(&args, "cellurl")).await?;
        match args.subcommand() {
            Some(("modify", sub)) => modify(&cell, sub).await,
            Some((_, sub)) => list(&cell, sub).await,
            None => Ok(0),
        }
    };
    work.await.or_else(|error: Error| {
        println!("{error}");
        Ok(1)
    })
}

async fn list(cell: &Proxy, args: &ArgMatches) -> Exit {
    if let Some(name) = texts(args, "name").first() {
        let member = info_of(cell, name).await?;
        if member.is_null() {
            println!("no such user: {name}");
            return Ok(1);
        }
        print_member(cell, &member, args.get_flag("detail")).await?;
        return Ok(0);
    }
    println!("getting users and roles");
    for (what, meth) in [("users", "getAuthUsers"), ("roles", "getAuthRoles")] {
        println!("{what}:");
        for member in cell.call(meth).await?.as_list().unwrap_or_default() {
            println!("    {}", plain(member.get("name")));
        }
    }
    Ok(0)
}

/// A user or role by name; null when there is none.
async fn info_of(cell: &Proxy, name: &str) -> Result<Value> {
    match cell.call(Todo::new("getAuthInfo").arg(name)).await {
        Err(error) if error.is("NoSuchName") => Ok(Value::Null),
        other => other,
    }
}

async fn iden_of(cell: &Proxy, meth: &str, what: &str, name: &str) -> Result<Value> {
    let member = cell.call(Todo::new(meth).arg(name)).await?;
    let missing = || err!("NoSuchName", mesg = format!("There is no {what} {name}."), name = name);
    member.get("iden").cloned().ok_or_else(missing)
}

async fn modify(cell: &Proxy, args: &ArgMatches) -> Exit {
    let name = text(args, "name");
    if opt_text(args, "object").is_some() && opt_text(args, "addrule").is_none() {
        println!("--object option only valid with --addrule");
        return Ok(1);
    }
    change(cell, args, name).await?;
    let member = info_of(cell, name).await?;
    if member.is_null() {
        println!("no such user: {name}");
        return Ok(1);
    }
    print_member(cell, &member, false).await?;
    Ok(0)
}

async fn change(cell: &Proxy, args: &ArgMatches, name: &str) -> Result<()> {
    let user = || iden_of(cell, "getUserDefByName", "user", name);
    let role = |name: &str| {
        let name = name.to_owned();
        async move { iden_of(cell, "getRoleDefByName", "role", &name).await }
    };
    let is = |flag: &str| args.get_flag(flag);
    let todo = if is("adduser") {
        println!("adding user: {name}");
        Todo::new("addUser").arg(name)
    } else if is("deluser") {
        println!("deleting user: {name}");
        Todo::new("delUser").arg(user().await?)
    } else if is("addrole") {
        println!("adding role: {name}");
        Todo::new("addRole").arg(name)
    } else if is("delrole") {
        println!("deleting role: {name}");
        Todo::new("delRole").arg(role(name).await?)
    } else if is("admin") || is("noadmin") {
        println!("{} admin status: {name}", if is("admin") { "granting" } else { "revoking" });
        Todo::new("setUserAdmin").arg(user().await?).arg(is("admin"))
    } else if is("lock") || is("unlock") {
        println!("{} user: {name}", if is("lock") { "locking" } else { "unlocking" });
        Todo::new("setUserLocked").arg(user().await?).arg(is("lock"))
    } else if let Some(passwd) = opt_text(args, "passwd") {
        println!("setting passwd for: {name}");
        Todo::new("setUserPasswd").arg(user().await?).arg(passwd)
    } else if let Some(grant) = opt_text(args, "grant") {
        println!("granting {grant} to: {name}");
        Todo::new("addUserRole").arg(user().await?).arg(role(grant).await?)
    } else if let Some(revoke) = opt_text(args, "revoke") {
        println!("revoking {revoke} from: {name}");
        Todo::new("delUserRole").arg(user().await?).arg(role(revoke).await?)
    } else if let Some(rule) = opt_text(args, "addrule") {
        let (allow, path) = rule.strip_prefix('!').map_or((true, rule), |path| (false, path));
        println!("adding rule to {name}: {rule}");
        let rule = Value::list([Value::from(allow), Value::list(path.split('.').map(Value::from))]);
        Todo::new("addAuthRule").arg(name).arg(rule).kw("gateiden", opt_text(args, "object"))
    } else if let Some(indx) = args.get_one::<usize>("delrule") {
        println!("deleting rule index: {indx}");
        match rule_at(&info_of(cell, name).await?, *indx) {
            Some((rule, gate)) => Todo::new("delAuthRule").arg(name).arg(rule).kw("gateiden", gate),
            None => {
                println!("rule index is out of range");
                return Ok(());
            }
        }
    } else if args.contains_id("setroles") {
        let names = texts(args, "setroles");
        println!("settings roles {names:?} to: {name}");
        let mut idens = Vec::new();
        for name in &names {
            idens.push(role(name).await?);
        }
        Todo::new("setUserRoles").arg(user().await?).arg(Value::from(idens))
    } else {
        return Ok(());
    };
    cell.call(todo).await.map(drop)
}

/// A rule by its number in what `list` prints: those of the member, then those of its gates.
fn rule_at(member: &Value, indx: usize) -> Option<(Value, Value)> {
    let own = member.get("rules").and_then(Value::as_list).unwrap_or_default().iter();
    let gates = member.get("authgates").and_then(Value::as_map).into_iter().flat_map(|gates| gates.text_entries());
    let of_gates = gates.flat_map(|(gate, info)| {
        let rules = info.get("rules").and_then(Value::as_list).unwrap_or_default().iter();
        rules.map(move |rule| (rule.clone(), Value::from(gate)))
    });
    own.map(|rule| (rule.clone(), Value::Null)).chain(of_gates).nth(indx)
}

async fn print_member(cell: &Proxy, member: &Value, detail: bool) -> Result<()> {
    let kind = plain(member.get("type"));
    println!("{} ({})\ntype: {kind}", plain(member.get("name")), plain(member.get("iden")));
    let truth = |key: &str| if member.get(key).is_some_and(Value::is_truthy) { "True" } else { "False" };
    if member.get("admin").is_some_and(|admin| !admin.is_null()) {
        println!("admin: {}", truth("admin"));
    }
    if kind == "user" {
        println!("locked: {}", truth("locked"));
    }
    println!("rules:");
    print_rules(member, "    ", "  auth gate", "    ");
    println!();
    if kind != "user" {
        return Ok(());
    }
    println!("roles:");
    for role in member.get("roles").and_then(Value::as_list).unwrap_or_default() {
        println!("    role: {}", plain(Some(role)));
        if detail {
            print_rules(&info_of(cell, &plain(Some(role))).await?, "        ", "    auth gate", "      ");
        }
    }
    Ok(())
}

fn print_rules(member: &Value, indent: &str, gate_label: &str, gate_indent: &str) {
    let show = |rule: &Value| {
        let path = rule.at(1).and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_str);
        let sign = if rule.at(0).is_some_and(Value::is_truthy) { "allow" } else { "deny" };
        format!("{sign}: {}", path.collect::<Vec<_>>().join("."))
    };
    let mut indx = 0;
    for rule in member.get("rules").and_then(Value::as_list).unwrap_or_default() {
        println!("{indent}{indx} {}", show(rule));
        indx += 1;
    }
    for (gate, info) in
        member.get("authgates").and_then(Value::as_map).into_iter().flat_map(|gates| gates.text_entries())
    {
        println!("{gate_label}: {gate}");
        for rule in info.get("rules").and_then(Value::as_list).unwrap_or_default() {
            println!("{gate_indent}{indx} {}", show(rule));
            indx += 1;
        }
    }
}
