//! `service.modrole`: add, change, list or delete roles of a service.

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo};
use myelin_value::Value;

use super::users::{Member, print_gates, print_rules, require_gate, rules, show};
use super::{Exit, HERE, open, opt_text, report, text};

pub fn args() -> Command {
    let flag = |name: &'static str, long: &'static str, help: &'static str| {
        Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
    };
    let many = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::Append).help(help);
    Command::new("modrole")
        .about("Add, change, list or delete roles of a service")
        .arg(Arg::new("svcurl").long("svcurl").default_value(HERE).help("Telepath URL of the service"))
        .arg(flag("add", "add", "Add the role if it does not exist"))
        .arg(flag("delete", "del", "Delete the role"))
        .arg(flag("list", "list", "List roles, or show one"))
        .arg(many("allow", "A permission to allow (node.add); may be repeated"))
        .arg(many("deny", "A permission to deny; may be repeated"))
        .arg(Arg::new("gate").long("gate").help("Apply rules to this auth gate"))
        .arg(Arg::new("rolename").help("The role"))
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
    let name = opt_text(args, "rolename");
    if args.get_flag("list") {
        return list(cell, name).await;
    }
    let name =
        name.ok_or_else(|| err!("BadArg", mesg = "A rolename argument is required when --list is not specified."))?;
    let gate = opt_text(args, "gate");
    require_gate(cell, gate).await?;

    let mut role = cell.call(Todo::new("getRoleDefByName").arg(name)).await?;
    if role.is_null() {
        if !args.get_flag("add") {
            return Err(err!("NoSuchRole", mesg = format!("Role not found (need --add?): {name}")));
        }
        println!("Adding role: {name}");
        role = cell.call(Todo::new("addRole").arg(name)).await?;
    } else {
        println!("Modifying role: {name}");
    }
    let iden =
        role.get("iden").and_then(Value::as_str).ok_or_else(|| err!("SynErr", mesg = "The role has no iden."))?;
    if args.get_flag("delete") {
        println!("...deleting role: {name}");
        cell.call(Todo::new("delRole").arg(iden)).await?;
        return Ok(());
    }
    rules(args, cell, Member::Role, iden, gate).await
}

async fn list(cell: &Proxy, name: Option<&str>) -> Result<()> {
    let Some(name) = name else {
        println!("Roles:");
        for role in cell.call(Todo::new("getRoleDefs")).await?.as_list().unwrap_or_default() {
            println!("  {} - {}", show(role.get("iden")), show(role.get("name")));
        }
        return Ok(());
    };
    let role = cell.call(Todo::new("getRoleDefByName").arg(name)).await?;
    if role.is_null() {
        return Err(err!("NoSuchRole", mesg = format!("Role not found: {name}")));
    }
    println!("Role: {} ({})\n", show(role.get("name")), show(role.get("iden")));
    println!("  Rules:");
    print_rules(role.get("rules"), "    ");
    print_gates(&role);
    Ok(())
}
