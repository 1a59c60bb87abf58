//! `hive.save` and `hive.load`: the older tree of settings of a service, to and from a file.

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::{Todo, yaml};
use myelin_value::{Value, msgpack};

use super::{Exit, open, opt_text, text};

fn common(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .arg(Arg::new("path").long("path").help("A path in the tree, its parts between slashes"))
        .arg(Arg::new("yaml").long("yaml").action(ArgAction::SetTrue).help("The file is YAML, not msgpack"))
        .arg(Arg::new("hiveurl").required(true).help("Telepath URL of the service"))
        .arg(Arg::new("filepath").required(true).help("The file"))
}

pub fn save_args() -> Command {
    common("save", "Write the tree of settings of a service to a file (deprecated)")
}

pub fn load_args() -> Command {
    common("load", "Load a tree of settings from a file into a service (deprecated)")
        .arg(Arg::new("trim").long("trim").action(ArgAction::SetTrue).help("Remove what the file does not have"))
}

fn deprecated(tool: &str) {
    println!("WARNING: \"synapse.tools.{tool}\" is deprecated in 2.167.0 and will be removed in 3.0.0");
}

fn path_of(args: &ArgMatches) -> Value {
    Value::list(opt_text(args, "path").into_iter().flat_map(|path| path.split('/')).map(Value::from))
}

pub async fn save(args: ArgMatches) -> Exit {
    deprecated("hive.save");
    let (_env, cell) = open(text(&args, "hiveurl")).await?;
    let tree = cell.call(Todo::new("saveHiveTree").kw("path", path_of(&args))).await?;
    let target = text(&args, "filepath");
    if args.get_flag("yaml") {
        yaml::save_file(target.as_ref(), &tree)?;
    } else {
        std::fs::write(target, msgpack::encode(&tree))?;
    }
    Ok(0)
}

pub async fn load(args: ArgMatches) -> Exit {
    deprecated("hive.load");
    let tree = read(text(&args, "filepath"), args.get_flag("yaml"))?;
    let (_env, cell) = open(text(&args, "hiveurl")).await?;
    let todo = Todo::new("loadHiveTree").arg(tree).kw("path", path_of(&args)).kw("trim", args.get_flag("trim"));
    cell.call(todo).await?;
    Ok(0)
}

fn read(path: &str, as_yaml: bool) -> Result<Value> {
    let missing = || err!("NoSuchFile", mesg = format!("There is no file {path}."), path = path);
    if as_yaml {
        return yaml::load_file(path.as_ref())?.ok_or_else(missing);
    }
    let byts = std::fs::read(path).map_err(|_| missing())?;
    Ok(msgpack::decode(&byts)?)
}
