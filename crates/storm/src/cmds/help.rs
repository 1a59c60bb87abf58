//! `help`: the commands, and what libraries, types and functions offer.

use std::collections::BTreeMap;
use std::sync::Arc;

use myelin_value::Value;

use super::{ArgDef, CmdCx, CmdDef, Nargs};
use crate::ctl::Flow;
use crate::item::{ArgKind, Bound, FuncDef, Item, TypeDef};
use crate::ops::{NodeGenr, each_or_once};
use crate::registry::Registry;
use crate::rt::Rt;

/// Puts the command of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&HELP);
}

static HELP: CmdDef = CmdDef {
    name: "help",
    descr: "List commands, or show what a library, a type or a function offers.\n\n\
        Examples:\n\n    // Every command, and those with a word in their names\n    help\n    help model\n\n    \
        // A library and one of its functions\n    help $lib\n    help $lib.print\n\n    // A type\n    help str",
    args: &[
        ArgDef::flag(&["-v", "--verbose"], "Show more."),
        ArgDef::pos(&["item"], "A word, or what to show.").nargs(Nargs::Maybe),
    ],
    readonly: false,
    run: help,
};

fn help(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let (held, runtsafe) = (cx.clone(), cx.runtsafe());
    Ok(each_or_once(input, move |_, _| show(&cx), move || if runtsafe { show(&held) } else { Ok(()) }))
}

fn show(cx: &CmdCx) -> Flow<()> {
    let (rt, item) = (cx.rt(), cx.opts().get("item"));
    match &item {
        Item::Val(Value::Null) => commands(rt, None, false),
        Item::Val(Value::Str(text)) => {
            let found = type_help(rt, &item, text)?;
            commands(rt, Some(text), found)
        }
        Item::Lib(path) => lib_help(rt, path),
        Item::Bound(func) => func_help(rt, func),
        Item::Func(_) => {
            crate::fail!("BadArg", mesg = "help does not currently support runtime defined functions.")
        }
        Item::Obj(obj) if obj.is_callable() => {
            crate::fail!("BadArg", mesg = "help does not support functions that are made at run time.")
        }
        Item::Val(_) | Item::Genr(_) | Item::Undef => {
            let mesg = format!("Item must be a word, a type, a library or a function. Got {}", item.type_name());
            crate::fail!("BadArg", mesg = mesg)
        }
        _ => {
            let name = item.type_name();
            if !type_help(rt, &item, name)? {
                rt.printf(format!("type: {name}"))?;
            }
            Ok(())
        }
    }
}

/// Lists commands with a word in their names, by the package that they are of.
fn commands(rt: &Rt, word: Option<&str>, found: bool) -> Flow<()> {
    let brief = |descr: &str| descr.trim().lines().next().unwrap_or_default().to_owned();
    let mut cmds: Vec<(String, String, String)> = Vec::new();
    for def in rt.registry().cmds() {
        cmds.push((String::new(), def.name.to_owned(), brief(def.descr)));
    }
    for def in rt.host().pure_cmds() {
        let text = |name: &str| def.get_str(name).unwrap_or_default().to_owned();
        cmds.push((text("pkgname"), text("name"), brief(&text("descr"))));
    }
    cmds.retain(|(_, name, _)| word.is_none_or(|word| name.contains(word)));
    if cmds.is_empty() {
        if !found {
            rt.printf(format!("No command has {} in its name.", word.unwrap_or_default()))?;
        }
        return Ok(());
    }
    if found {
        rt.printf("")?;
        rt.printf("*".repeat(80))?;
        rt.printf("")?;
    }
    let width = cmds.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or_default();
    let mut packages: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (package, name, brief) in cmds {
        packages.entry(package).or_default().push((name, brief));
    }
    rt.printf("Storm commands:")?;
    for (package, mut cmds) in packages {
        cmds.sort();
        rt.printf(format!("package: {}", if package.is_empty() { "synapse" } else { &package }))?;
        for (name, brief) in cmds {
            rt.printf(format!("{name:<width$}: {brief}"))?;
        }
        rt.printf("")?;
    }
    rt.printf("Every command says more with --help.")
}

/// How a function is called.
fn signature(name: &str, def: &FuncDef) -> String {
    let args: Vec<String> = def
        .args
        .iter()
        .map(|arg| match arg.kind {
            ArgKind::Req => arg.name.to_owned(),
            ArgKind::Opt(dflt) => format!("{}={}", arg.name, default_text(dflt)),
            ArgKind::Star => format!("*{}", arg.name),
            ArgKind::Kwargs => format!("**{}", arg.name),
        })
        .collect();
    format!("{name}({})", args.join(", "))
}

fn default_text(dflt: crate::item::Dflt) -> String {
    use crate::item::Dflt;
    match dflt {
        Dflt::Null => "(null)".to_owned(),
        Dflt::Bool(flag) => format!("({flag})"),
        Dflt::Int(int) => format!("({int})"),
        Dflt::Str(text) => format!("'{text}'"),
        Dflt::Undef => "$lib.undef".to_owned(),
        Dflt::List => "([])".to_owned(),
        Dflt::Dict => "({})".to_owned(),
    }
}

fn lib_name(path: &[Arc<str>]) -> String {
    std::iter::once("$lib").chain(path.iter().map(|part| &**part)).collect::<Vec<_>>().join(".")
}

fn lib_help(rt: &Rt, path: &[Arc<str>]) -> Flow<()> {
    let name = lib_name(path);
    let inner = format!("{name}.");
    let libs = rt.registry().all_libs();
    let mut below: Vec<String> = libs.iter().map(|lib| format!("$lib.{}", lib.path)).collect();
    below.retain(|lib| lib.starts_with(&inner) && *lib != inner);
    below.sort();
    below.dedup();
    if !below.is_empty() {
        rt.printf(format!("Libraries in {name}:"))?;
        rt.printf("")?;
        for lib in below {
            rt.printf(lib)?;
        }
        rt.printf("")?;
    }
    rt.printf(name.clone())?;
    for lib in rt.registry().libs(path) {
        for def in lib.funcs {
            rt.printf(format!("    {}", signature(&format!("{name}.{}", def.name), def)))?;
        }
        for (constant, _) in lib.consts {
            rt.printf(format!("    {name}.{constant}"))?;
        }
    }
    Ok(())
}

/// Shows a type. False when nothing is known of it.
fn type_help(rt: &Rt, item: &Item, name: &str) -> Flow<bool> {
    let own = if item.as_str().is_some() { None } else { item.type_def(rt) };
    let Some(def) = own.or_else(|| rt.registry().prim_type(name)) else { return Ok(false) };
    show_type(rt, name, def)?;
    Ok(true)
}

fn show_type(rt: &Rt, name: &str, def: &TypeDef) -> Flow<()> {
    rt.printf(format!("type: {name}"))?;
    for func in def.funcs {
        rt.printf(format!("    {}", signature(&format!(".{}", func.name), func)))?;
    }
    for (getter, _) in def.getters {
        rt.printf(format!("    .{getter}"))?;
    }
    Ok(())
}

fn func_help(rt: &Rt, func: &Bound) -> Flow<()> {
    match func {
        Bound::Def { def, .. } => rt.printf(signature(&func.path(), def)),
        Bound::Native { .. } => {
            crate::fail!("BadArg", mesg = "help does not support functions that are made at run time.")
        }
    }
}
