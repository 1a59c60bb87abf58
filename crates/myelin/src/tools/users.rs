//! `service.moduser`: add, change, list or delete users of a service.

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::Value;

use super::{Exit, HERE, open, opt_text, report, text, texts};

pub fn args() -> Command {
    let flag = |name: &'static str, long: &'static str, help: &'static str| {
        Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
    };
    let many = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::Append).help(help);
    Command::new("moduser")
        .about("Add, change, list or delete users of a service")
        .arg(Arg::new("svcurl").long("svcurl").default_value(HERE).help("Telepath URL of the service"))
        .arg(flag("add", "add", "Add the user if it does not exist"))
        .arg(flag("delete", "del", "Delete the user"))
        .arg(flag("list", "list", "List users, or show one"))
        .arg(
            Arg::new("admin")
                .long("admin")
                .value_parser(["true", "false"])
                .help("Make the user an admin, or no longer"),
        )
        .arg(Arg::new("passwd").long("passwd").help("Set a password"))
        .arg(Arg::new("email").long("email").help("Set an email address"))
        .arg(Arg::new("locked").long("locked").value_parser(["true", "false"]).help("Lock or unlock the user"))
        .arg(many("grant", "A role to grant; may be repeated"))
        .arg(many("revoke", "A role to revoke; may be repeated"))
        .arg(many("allow", "A permission to allow (node.add); may be repeated"))
        .arg(many("deny", "A permission to deny; may be repeated"))
        .arg(Arg::new("gate").long("gate").help("Apply rules and admin to this auth gate"))
        .arg(Arg::new("username").help("The user"))
}

pub async fn run(args: ArgMatches) -> Exit {
    if args.get_flag("add") && args.get_flag("delete") {
        println!("ERROR: Cannot specify --add and --del together.");
        return Ok(1);
    }
    let (_env, cell) = open(text(&args, "svcurl")).await?;
    report(work(&args, &cell).await.map(|()| 0))
}

async fn work(args: &ArgMatches, cell: &Proxy) -> Result<()> {
    let name = opt_text(args, "username");
    if args.get_flag("list") {
        return list(cell, name).await;
    }
    let name =
        name.ok_or_else(|| err!("BadArg", mesg = "A username argument is required when --list is not specified."))?;
    let gate = opt_text(args, "gate");
    require_gate(cell, gate).await?;
    let grants = roles(cell, &texts(args, "grant")).await?;
    let revokes = roles(cell, &texts(args, "revoke")).await?;

    let mut user = cell.call(Todo::new("getUserDefByName").arg(name)).await?;
    if user.is_null() {
        if !args.get_flag("add") {
            return Err(err!("NoSuchUser", mesg = format!("User not found (need --add?): {name}")));
        }
        println!("Adding user: {name}");
        user = cell.call(Todo::new("addUser").arg(name)).await?;
    } else {
        println!("Modifying user: {name}");
    }
    let iden =
        user.get("iden").and_then(Value::as_str).ok_or_else(|| err!("SynErr", mesg = "The user has no iden."))?;

    if args.get_flag("delete") {
        println!("...deleting user: {name}");
        cell.call(Todo::new("delUser").arg(iden)).await?;
        return Ok(());
    }
    settings(args, cell, iden, gate).await?;
    for (meth, what, names) in [("addUserRole", "granting", grants), ("delUserRole", "revoking", revokes)] {
        for (role, role_iden) in names {
            println!("...{what} role: {role}");
            cell.call(Todo::new(meth).arg(iden).arg(role_iden)).await?;
        }
    }
    rules(args, cell, Member::User, iden, gate).await
}

async fn settings(args: &ArgMatches, cell: &Proxy, iden: &str, gate: Option<&str>) -> Result<()> {
    if let Some(admin) = opt_text(args, "admin") {
        println!("...setting admin: {admin}{}", on_gate(gate));
        cell.call(Todo::new("setUserAdmin").arg(iden).arg(admin == "true").kw("gateiden", gate)).await?;
    }
    if let Some(locked) = opt_text(args, "locked") {
        println!("...setting locked: {locked}");
        cell.call(Todo::new("setUserLocked").arg(iden).arg(locked == "true")).await?;
    }
    if let Some(passwd) = opt_text(args, "passwd") {
        // Unlike the original this does not repeat the password on the screen.
        println!("...setting passwd");
        cell.call(Todo::new("setUserPasswd").arg(iden).arg(passwd)).await?;
    }
    if let Some(email) = opt_text(args, "email") {
        println!("...setting email: {email}");
        cell.call(Todo::new("setUserEmail").arg(iden).arg(email)).await?;
    }
    Ok(())
}

/// Whose rules are changed.
#[derive(Clone, Copy)]
pub(super) enum Member {
    User,
    Role,
}

/// Adds the allow and deny rules that would change something, first in the list.
pub(super) async fn rules(
    args: &ArgMatches,
    cell: &Proxy,
    member: Member,
    iden: &str,
    gate: Option<&str>,
) -> Result<()> {
    let (is_allowed, add_rule) = match member {
        Member::User => ("isUserAllowed", "addUserRule"),
        Member::Role => ("isRoleAllowed", "addRoleRule"),
    };
    for (list, allow) in [("allow", true), ("deny", false)] {
        for rule in texts(args, list) {
            println!("...adding {list} rule: {rule}{}", on_gate(gate));
            let perm = Value::list(rule.to_lowercase().split('.').map(Value::from));
            let has = cell.call(Todo::new(is_allowed).arg(iden).arg(perm.clone()).kw("gateiden", gate)).await?;
            if has.is_truthy() != allow {
                let rule = Value::list([Value::from(allow), perm]);
                cell.call(Todo::new(add_rule).arg(iden).arg(rule).kw("indx", 0).kw("gateiden", gate)).await?;
            }
        }
    }
    Ok(())
}

fn on_gate(gate: Option<&str>) -> String {
    gate.map(|gate| format!(" on gate {gate}")).unwrap_or_default()
}

pub(super) async fn require_gate(cell: &Proxy, gate: Option<&str>) -> Result<()> {
    let Some(iden) = gate else { return Ok(()) };
    if cell.call(Todo::new("getAuthGate").arg(iden)).await?.is_null() {
        return Err(err!("NoSuchAuthGate", mesg = format!("No auth gate found with iden: {iden}")));
    }
    Ok(())
}

/// Names and idens of roles that must exist.
async fn roles(cell: &Proxy, names: &[String]) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let role = cell.call(Todo::new("getRoleDefByName").arg(name.as_str())).await?;
        let iden =
            role.get("iden").cloned().ok_or_else(|| err!("NoSuchRole", mesg = format!("Role not found: {name}")))?;
        found.push((name.clone(), iden));
    }
    Ok(found)
}

async fn list(cell: &Proxy, name: Option<&str>) -> Result<()> {
    let Some(name) = name else {
        println!("Users:");
        for user in cell.call(Todo::new("getUserDefs")).await?.as_list().unwrap_or_default() {
            println!("  {}", show(user.get("name")));
        }
        return Ok(());
    };
    let user = cell.call(Todo::new("getUserDefByName").arg(name)).await?;
    if user.is_null() {
        return Err(err!("NoSuchUser", mesg = format!("User not found: {name}")));
    }
    println!("User: {} ({})\n", show(user.get("name")), show(user.get("iden")));
    for (label, key) in [("Locked", "locked"), ("Admin", "admin"), ("Email", "email")] {
        println!("  {label}: {}", show(user.get(key)));
    }
    println!("  Rules:");
    print_rules(user.get("rules"), "    ");
    println!("\n  Roles:");
    for role in user.get("roles").and_then(Value::as_list).unwrap_or_default() {
        println!("    {} - {}", show(role.get("iden")), show(role.get("name")));
    }
    print_gates(&user);
    Ok(())
}

pub(super) fn print_gates(member: &Value) {
    println!("\n  Gates:");
    for (iden, info) in
        member.get("authgates").and_then(Value::as_map).into_iter().flat_map(|gates| gates.text_entries())
    {
        println!("    {iden}");
        println!("      Admin: {}", show(Some(&Value::from(info.get("admin") == Some(&Value::Bool(true))))));
        print_rules(info.get("rules"), "      ");
    }
}

pub(super) fn print_rules(rules: Option<&Value>, indent: &str) {
    for (indx, rule) in rules.and_then(Value::as_list).unwrap_or_default().iter().enumerate() {
        let sign = if rule.at(0).is_some_and(Value::is_truthy) { "" } else { "!" };
        let path: Vec<_> =
            rule.at(1).and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_str).collect();
        println!("{indent}[{indx:<3}] - {sign}{}", path.join("."));
    }
}

/// A value as runbooks written for the original expect to read it.
pub(super) fn show(valu: Option<&Value>) -> String {
    match valu {
        None | Some(Value::Null) => "None".to_owned(),
        Some(Value::Bool(true)) => "True".to_owned(),
        Some(Value::Bool(false)) => "False".to_owned(),
        Some(Value::Str(text)) => text.to_string(),
        Some(other) => format!("{other:?}"),
    }
}
