//! `storm.lint`: what is wrong with Storm files.
//!
//! This build has one rule, E001: the text cannot be parsed. A rule of the original that is not there is an error when it is
//! asked for by its name, so that a check which relies on it does not pass in silence.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::Result;
use myelin_value::{Map, json};

use super::{Exit, opt_text, text, texts};

/// Name, severity, whether it runs by itself, and what it finds.
const RULES: [(&str, &str, &str, &str, &str); 1] =
    [("E001", "high", "yes", "parse-failure", "The Storm cannot be parsed. Always reported.")];

pub fn args() -> Command {
    let valu = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    let flag = |name: &'static str, long: &'static str, help: &'static str| {
        Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
    };
    Command::new("lint")
        .about("Check Storm files. Status 0: clean; 1: findings; 2: the arguments or a file are wrong")
        .arg(Arg::new("paths").action(ArgAction::Append).num_args(0..).help("Files, folders of *.storm files, or -"))
        .arg(valu("select", "Rules to run, by comma"))
        .arg(valu("ignore", "Rules not to run, by comma"))
        .arg(valu("enable", "Rules to run in addition, by comma"))
        .arg(flag("v3_ready", "v3-ready", "Add the rules about version 3 (not supported)"))
        .arg(flag("no_v3_ready", "no-v3-ready", "Without those").overrides_with("v3_ready"))
        .arg(valu("config", "A pyproject.toml with settings (not supported)"))
        .arg(valu("format", "How findings are printed").default_value("text").value_parser(["text", "json"]))
        .arg(flag("show_rules", "show-rules", "List the rules"))
}

pub async fn run(args: ArgMatches) -> Exit {
    if args.get_flag("show_rules") {
        println!("ID    SEVERITY  DEFAULT  NAME           DESCRIPTION");
        for (iden, severity, default, name, what) in RULES {
            println!("{iden:<4}  {severity:<8}  {default:<7}  {name:<13}  {what}");
        }
        return Ok(0);
    }
    if let Some(why) = unsupported(&args) {
        println!("error: {why}");
        return Ok(2);
    }
    let paths = texts(&args, "paths");
    if paths.is_empty() {
        println!("error: at least one path is required.");
        return Ok(2);
    }
    let as_json = text(&args, "format") == "json";
    let (mut count, mut failed) = (0_usize, false);
    for path in files(&paths)? {
        let shown = path.display().to_string();
        match read(&path) {
            Ok(storm) => count += lint(&shown, &storm, as_json)?,
            Err(error) => {
                failed = true;
                if as_json {
                    println!(
                        "{}",
                        json::to_json_text(&Map::new().with("path", shown).with("error", error.to_string()).into())?
                    );
                } else {
                    println!("{shown}: error: {error}");
                }
            }
        }
    }
    if !as_json && count > 0 {
        println!("Found {count} {}.", if count == 1 { "error" } else { "errors" });
    } else if !as_json && !failed {
        println!("All checks passed!");
    }
    Ok(if failed { 2 } else { u8::from(count > 0) })
}

/// Why the arguments ask for what this build has not.
fn unsupported(args: &ArgMatches) -> Option<String> {
    if args.get_flag("v3_ready") {
        return Some("the rules about version 3 (--v3-ready) are not supported by this build.".into());
    }
    if opt_text(args, "config").is_some() {
        return Some("settings in a pyproject.toml (--config) are not supported by this build.".into());
    }
    let asked = ["select", "enable"].into_iter().filter_map(|name| opt_text(args, name));
    let mut names = asked.flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &&str| RULES.iter().any(|rule| rule.0.starts_with(*name));
    let unknown = names.find(|name| !known(name))?;
    Some(format!("there is no rule {unknown} in this build: --show-rules lists what there is."))
}

fn files(paths: &[String]) -> Result<Vec<PathBuf>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for path in paths {
        let mut todo = vec![PathBuf::from(path)];
        while let Some(path) = todo.pop() {
            if path.is_dir() {
                let mut inner: Vec<PathBuf> =
                    std::fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
                inner.retain(|path| path.is_dir() || path.extension().is_some_and(|ext| ext == "storm"));
                inner.sort_by(|left, right| right.cmp(left));
                todo.extend(inner);
            } else if seen.insert(path.clone()) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut storm = String::new();
        std::io::stdin().read_to_string(&mut storm)?;
        return Ok(storm);
    }
    std::fs::read_to_string(path)
}

fn lint(path: &str, storm: &str, as_json: bool) -> Result<usize> {
    let (_, errors) = myelin_storm_syntax::parse_with_diagnostics(storm);
    for error in &errors {
        if as_json {
            let info = Map::new().with("path", path).with("line", error.line()).with("column", error.column());
            let info = info.with("rule", "E001").with("severity", "high").with("mesg", error.mesg.as_str());
            println!("{}", json::to_json_text(&info.into())?);
        } else {
            println!("{path}:{}:{}: E001 {error}", error.line(), error.column());
        }
    }
    Ok(errors.len())
}
