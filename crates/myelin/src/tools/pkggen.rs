//! `storm.pkg.gen`: a Storm package from its YAML file and the folders beside it, saved or pushed.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::{Todo, yaml};
use myelin_value::{Map, Value, guid_of, json};

use super::{Exit, open, opt_text, report, text};

pub fn args() -> Command {
    let flag = |name: &'static str, long: &'static str, help: &'static str| {
        Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
    };
    Command::new("gen")
        .about("Build a Storm package from its YAML file, and save it or push it to a Cortex")
        .arg(Arg::new("push").long("push").help("Telepath URL of a Cortex to load the package into"))
        .arg(flag("push_verify", "push-verify", "Let the Cortex verify the signature"))
        .arg(Arg::new("save").long("save").help("Save the package to this JSON file"))
        .arg(Arg::new("optic").long("optic").help("A folder of files for the web client"))
        .arg(Arg::new("signas").long("signas").help("Sign the package as this identity (not supported yet)"))
        .arg(Arg::new("certdir").long("certdir").default_value("~/.syn/certs").help("Where that identity is"))
        .arg(flag("no_build", "no-build", "The file is a package that was built already"))
        .arg(flag("no_docs", "no-docs", "Leave the documentation empty"))
        .arg(Arg::new("pkgfile").required(true).help("The YAML file, or a built package"))
}

pub async fn run(args: ArgMatches) -> Exit {
    report(work(&args).await)
}

async fn work(args: &ArgMatches) -> Exit {
    let path = text(args, "pkgfile");
    if opt_text(args, "signas").is_some() {
        let mesg = "Packages cannot be signed by this tool yet: sign with the original's, or push without a signature.";
        return Err(err!("FeatureNotSupported", mesg = mesg, name = "--signas"));
    }
    let pkgdef = if args.get_flag("no_build") {
        let Some(built) = yaml::load_file(path.as_ref())?.and_then(|valu| valu.as_map().cloned()) else {
            println!("Unable to load pkgdef from [{path}]");
            return Ok(1);
        };
        if opt_text(args, "save").is_some() {
            println!("File {path} is treated as already built (--no-build); incompatible with --save.");
            return Ok(1);
        }
        built
    } else {
        build(path.as_ref(), opt_text(args, "optic").map(PathBuf::from), args.get_flag("no_docs"))?
    };
    check(&pkgdef)?;
    let (save, push) = (opt_text(args, "save"), opt_text(args, "push"));
    if save.is_none() && push.is_none() {
        println!("Neither --push nor --save provided.  Nothing to do.");
        return Ok(1);
    }
    if let Some(save) = save {
        std::fs::write(save, json::to_json_text(&pkgdef.clone().into())?)?;
    }
    if let Some(url) = push {
        let (_env, core) = open(url).await?;
        core.call(Todo::new("addStormPkg").arg(pkgdef).kw("verify", args.get_flag("push_verify"))).await?;
    }
    Ok(0)
}

fn bad(mesg: impl Into<String>) -> myelin_error::Error {
    let mesg: String = mesg.into();
    err!("BadPkgDef", mesg = mesg)
}

/// What a Cortex would refuse at once. It checks the rest when the package is loaded.
fn check(pkgdef: &Map) -> Result<()> {
    if pkgdef.get_str("name").is_none_or(str::is_empty) {
        return Err(bad("A package needs a name."));
    }
    let version = pkgdef.get_str("version").unwrap_or_default();
    let parts: Vec<&str> = version.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    if parts.len() != 3 || parts.iter().any(|part| part.parse::<u32>().is_err()) {
        return Err(bad(format!("The version of a package is of the form 1.2.3, not {version:?}.")));
    }
    for part in ["modules", "commands"] {
        for item in maps(pkgdef, part) {
            let name = item.get_str("name").ok_or_else(|| bad(format!("An entry of {part} has no name.")))?;
            let storm = item.get_str("storm").ok_or_else(|| bad(format!("{name} of {part} has no Storm.")))?;
            if let Err(error) = myelin_storm_syntax::parse_query(storm) {
                let mesg = format!("The Storm of {name} ({part}) cannot be read: line {}: {error}", error.line());
                return Err(err!("BadSyntax", mesg = mesg, name = name));
            }
        }
    }
    Ok(())
}

fn maps<'a>(pkgdef: &'a Map, part: &str) -> impl Iterator<Item = &'a Map> {
    pkgdef.get(part).and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_map)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display().to_string();
    std::fs::read(path)
        .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {shown}: {error}."), path = shown))
}

fn read_text(path: &Path) -> Result<String> {
    let shown = path.display().to_string();
    String::from_utf8(read(path)?)
        .map_err(|_| err!("BadDataValu", mesg = format!("{shown} is no UTF-8 text."), path = shown))
}

/// A package from its file. `build` folders: `storm/modules`, `storm/commands`, `workflows`, `optic`.
pub(super) fn build(path: &Path, optic: Option<PathBuf>, no_docs: bool) -> Result<Map> {
    let full = std::path::absolute(path)?;
    let shown = full.display().to_string();
    let loaded = yaml::load_file(&full)?.and_then(|valu| valu.as_map().cloned());
    let missing = || err!("NoSuchFile", mesg = format!("File {shown} does not exist or is empty."), path = &shown);
    let mut pkg = loaded.ok_or_else(missing)?;
    let dir = full.parent().unwrap_or(Path::new("/")).to_owned();
    if let Some(parts) = pkg.get("version").and_then(Value::as_list) {
        let text: Vec<String> = parts.iter().filter_map(Value::as_i64).map(|part| part.to_string()).collect();
        pkg.insert("version", text.join("."));
    }
    let genopts = pkg.remove("genopts");
    let dotstorm = genopts.as_ref().and_then(|opts| opts.get("dotstorm")).is_some_and(Value::is_truthy);
    stamp(&mut pkg);
    logo(&mut pkg, &dir)?;
    docs(&mut pkg, &dir, no_docs)?;
    let file = |name: &str| if dotstorm { format!("{name}.storm") } else { name.to_owned() };
    let mut modules = storm_of(&pkg, "modules", |name| Ok(dir.join("storm/modules").join(file(name))))?;
    for module in maps(&pkg, "external_modules") {
        modules.push(external(module, pkg.get_str("name").unwrap_or_default())?);
    }
    if !modules.is_empty() {
        pkg.insert("modules", Value::from(modules));
    }
    pkg.remove("external_modules");
    let commands = storm_of(&pkg, "commands", |name| Ok(dir.join("storm/commands").join(file(name))))?;
    if !commands.is_empty() {
        pkg.insert("commands", Value::from(commands));
    }
    graphs(&mut pkg);
    inits(&pkg)?;
    optics(&mut pkg, &dir.join("workflows"), &optic.unwrap_or_else(|| dir.join("optic")))?;
    Ok(pkg)
}

/// When and with what it was built, unless the file says so.
fn stamp(pkg: &mut Map) {
    let mut build = pkg.get("build").and_then(Value::as_map).cloned().unwrap_or_default();
    let version: Vec<String> = myelin_cortex::SPEC.version.iter().map(ToString::to_string).collect();
    for (key, valu) in [
        ("time", Value::from(jiff::Timestamp::now().as_millisecond())),
        ("synapse:version", Value::from(version.join("."))),
        ("synapse:commit", Value::from("")),
    ] {
        if !build.contains(key) {
            build.insert(key, valu);
        }
    }
    pkg.insert("build", build);
}

fn logo(pkg: &mut Map, dir: &Path) -> Result<()> {
    let Some(mut logo) = pkg.get("logo").and_then(Value::as_map).cloned() else { return Ok(()) };
    if let Some(path) = logo.remove("path") {
        logo.insert("file", BASE64.encode(read(&dir.join(path.as_str().unwrap_or_default()))?));
    }
    if logo.get_str("mime").is_none() {
        return Err(bad("Mime type must be specified for logo file."));
    }
    if logo.get_str("file").is_none() {
        return Err(bad("Logo def must contain path or file."));
    }
    pkg.insert("logo", logo);
    Ok(())
}

fn docs(pkg: &mut Map, dir: &Path, no_docs: bool) -> Result<()> {
    let mut done = Vec::new();
    for doc in maps(pkg, "docs") {
        let mut doc = doc.clone();
        if doc.get_str("title").is_none() {
            return Err(bad("Each entry in docs must have a title."));
        }
        if no_docs {
            doc.insert("content", "");
        } else if let Some(path) = doc.remove("path") {
            doc.insert("content", read_text(&dir.join(path.as_str().unwrap_or_default()))?);
        }
        if doc.get_str("content").is_none() {
            return Err(bad("Docs entry has no path or content."));
        }
        done.push(Value::from(doc));
    }
    if pkg.contains("docs") {
        pkg.insert("docs", Value::from(done));
    }
    Ok(())
}

/// The entries of a part, each with the Storm of its file.
fn storm_of(pkg: &Map, part: &str, path: impl Fn(&str) -> Result<PathBuf>) -> Result<Vec<Value>> {
    maps(pkg, part)
        .map(|item| {
            let name = item.get_str("name").ok_or_else(|| bad(format!("An entry of {part} has no name.")))?;
            Ok(item.clone().with("storm", read_text(&path(name)?)?).into())
        })
        .collect()
}

/// A module whose Storm is a file elsewhere, named below the package. There is no Python here whose packages could hold it.
fn external(module: &Map, pkgname: &str) -> Result<Value> {
    let name = module.get_str("name").unwrap_or_default();
    let Some(path) = module.get_str("file_path") else {
        let mesg =
            format!("The external module {name} has no file_path. Python packages are not searched for modules.");
        return Err(err!("FeatureNotSupported", mesg = mesg, name = name));
    };
    Ok(module.clone().with("storm", read_text(Path::new(path))?).with("name", format!("{pkgname}.{name}")).into())
}

fn graphs(pkg: &mut Map) {
    let name = pkg.get("name").cloned().unwrap_or_default();
    let done: Vec<Value> = maps(pkg, "graphs")
        .map(|graph| {
            let iden = guid_of(&Value::list([name.clone(), graph.get("name").cloned().unwrap_or_default()]));
            graph.clone().with("iden", iden).with("scope", "power-up").with("power-up", name.clone()).into()
        })
        .collect();
    if !done.is_empty() {
        pkg.insert("graphs", Value::from(done));
    }
}

fn inits(pkg: &Map) -> Result<()> {
    let versions = pkg.get("inits").and_then(|inits| inits.get("versions")).and_then(Value::as_list);
    let versions: Vec<i64> =
        versions.unwrap_or_default().iter().filter_map(|init| init.get("version")?.as_i64()).collect();
    if versions.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(());
    }
    Err(bad("Init versions must be monotonically increasing."))
}

/// Workflows and files of the web client.
fn optics(pkg: &mut Map, workflows: &Path, files: &Path) -> Result<()> {
    let mut optic = pkg.get("optic").and_then(Value::as_map).cloned().unwrap_or_default();
    if workflows.is_dir() {
        let mut found = optic.get("workflows").and_then(Value::as_map).cloned().unwrap_or_default();
        for path in files_below(workflows)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let plain = |stem: &&str| stem.chars().all(|chr| chr.is_alphanumeric() || "_-".contains(chr));
            match name.strip_suffix(".yaml").filter(plain) {
                Some(stem) => {
                    found.insert(stem, yaml::load_file(&path)?.unwrap_or_default());
                }
                None => eprintln!("Skipping workflow {name:?}: its name is not letters, digits, _ or - before .yaml"),
            }
        }
        optic.insert("workflows", found);
    }
    if files.is_dir() {
        let mut found = optic.get("files").and_then(Value::as_map).cloned().unwrap_or_default();
        for path in files_below(files)? {
            let name = path.strip_prefix(files).unwrap_or(&path).to_string_lossy().into_owned();
            found.insert(name, Map::new().with("file", BASE64.encode(read(&path)?)));
        }
        optic.insert("files", found);
    }
    if !optic.is_empty() {
        pkg.insert("optic", optic);
    }
    Ok(())
}

/// Every file below a folder but hidden ones, in a stable order.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
