//! Operators' tools: `myelin tool <dotted.name> [arguments]`.
//!
//! Names, flags, exit codes and the outputs that runbooks read are the original's (`synapse.tools.<name>`); the help is
//! ours. A tool is one row of [`TOOLS`]: its dotted name, its arguments, and the function that runs it.

mod absent;
mod aha;
mod apikey;
mod axon;
mod backup;
mod blobs;
mod cellauth;
mod cmdr;
mod cryo;
mod csvfile;
mod easycert;
mod enroll;
mod feed;
mod guid;
mod hive;
mod layer;
mod lead;
mod lint;
mod mirror;
mod mpk;
mod pkggen;
mod provision;
mod roles;
mod service;
mod storm;
mod temp;
mod users;
mod verify;

use std::future::Future;
use std::pin::Pin;

use clap::{ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_telepath::Proxy;
use myelin_telepath::env::TeleEnv;

/// Where a tool inside a container finds the service, unless told otherwise.
pub const HERE: &str = "cell:///vertex/storage";

/// The status with which a tool ends the process.
pub type Exit = Result<u8>;

/// Tools run on the main thread: what they hold need not be able to move to another.
type Run = fn(ArgMatches) -> Pin<Box<dyn Future<Output = Exit>>>;

/// One tool.
pub struct Tool {
    /// The name without `synapse.tools.`.
    pub name: &'static str,
    /// Its arguments.
    pub args: fn() -> Command,
    /// What it does.
    pub run: Run,
}

macro_rules! tool {
    ($name:literal, $module:ident, $args:ident, $run:ident) => {
        Tool { name: $name, args: $module::$args, run: |args| Box::pin($module::$run(args)) }
    };
}

/// Every tool of this build.
pub const TOOLS: &[Tool] = &[
    tool!("aha.clone", aha, clone_args, clone),
    tool!("aha.easycert", easycert, aha_args, aha),
    tool!("aha.enroll", enroll, args, run),
    tool!("aha.list", aha, list_args, list),
    tool!("aha.mirror", mirror, args, run),
    tool!("aha.provision", provision, key_args, key),
    tool!("aha.provision.service", provision, service_args, service),
    tool!("aha.provision.user", provision, user_args, user),
    tool!("axon.copy", blobs, copy_args, copy),
    tool!("axon.dump", blobs, dump_args, dump),
    tool!("axon.get", axon, get_args, get),
    tool!("axon.load", blobs, load_args, load),
    tool!("axon.put", axon, put_args, put),
    tool!("cellauth", cellauth, args, run),
    tool!("cmdr", cmdr, args, run),
    tool!("cortex.csv", csvfile, args, run),
    tool!("cortex.feed", feed, args, run),
    tool!("cortex.layer.dump", layer, dump_args, dump),
    tool!("cortex.layer.load", layer, load_args, load),
    tool!("cryo.cat", cryo, cat_args, cat),
    tool!("cryo.list", cryo, list_args, list),
    tool!("hive.load", hive, load_args, load),
    tool!("hive.save", hive, save_args, save),
    tool!("service.apikey", apikey, args, run),
    tool!("service.backup", backup, backup_args, backup),
    tool!("service.demote", lead, demote_args, demote),
    tool!("service.healthcheck", service, health_args, health),
    tool!("service.livebackup", backup, live_args, live),
    tool!("service.modrole", roles, args, run),
    tool!("service.moduser", users, args, run),
    tool!("service.promote", lead, promote_args, promote),
    tool!("service.reload", service, reload_args, reload),
    tool!("service.shutdown", service, shutdown_args, shutdown),
    tool!("service.snapshot", backup, snapshot_args, snapshot),
    tool!("service.verify", verify, args, run),
    tool!("storm", storm, args, run),
    tool!("storm.__main__", storm, args, run),
    tool!("storm._cli", storm, args, run),
    tool!("storm.lint", lint, args, run),
    tool!("storm.pkg.gen", pkggen, args, run),
    tool!("utils.easycert", easycert, args, run),
    tool!("utils.guid", guid, args, run),
    tool!("utils.json2mpk", mpk, args, run),
    // Names that the original keeps for older runbooks.
    tool!("apikey", apikey, args, run),
    tool!("axon2axon", blobs, copy_args, copy),
    tool!("backup", backup, backup_args, backup),
    tool!("csvtool", csvfile, args, run),
    tool!("demote", lead, demote_args, demote),
    tool!("easycert", easycert, args, run),
    tool!("feed", feed, args, run),
    tool!("genpkg", pkggen, args, run),
    tool!("guid", guid, args, run),
    tool!("healthcheck", service, health_args, health),
    tool!("json2mpk", mpk, args, run),
    tool!("livebackup", backup, live_args, live),
    tool!("modrole", roles, args, run),
    tool!("moduser", users, args, run),
    tool!("promote", lead, promote_args, promote),
    tool!("pullfile", axon, get_args, get),
    tool!("pushfile", axon, put_args, put),
    tool!("reload", service, reload_args, reload),
    tool!("shutdown", service, shutdown_args, shutdown),
    tool!("snapshot", backup, snapshot_args, snapshot),
];

/// Runs the tool of a dotted name (`synapse.tools.` before it is accepted) and returns its exit status.
///
/// # Errors
/// `NoSuchName` when there is no such tool; otherwise what the tool could not do.
pub async fn run(name: &str, argv: Vec<String>) -> Exit {
    let short = name.strip_prefix("synapse.tools.").unwrap_or(name);
    if let Some((name, why)) = absent::ABSENT.iter().find(|(name, _)| *name == short) {
        return absent::say(name, why);
    }
    let tool = TOOLS.iter().find(|tool| tool.name == short).ok_or_else(|| {
        let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
        err!("NoSuchName", mesg = format!("No tool {short:?} here. There are: {}.", names.join(", ")), name = short)
    })?;
    let words = std::iter::once(format!("synapse.tools.{short}")).chain(argv);
    let args = match (tool.args)().name(tool.name).no_binary_name(false).try_get_matches_from(words) {
        Ok(args) => args,
        Err(usage) => {
            let _ = usage.print();
            return Ok(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    (tool.run)(args).await
}

/// Opens a service with the user's telepath environment loaded (known AHA servers, certificate directories).
pub(crate) async fn open(url: &str) -> Result<(TeleEnv, Proxy)> {
    let env = TeleEnv::for_tools()?;
    let proxy = Proxy::open(url).await?;
    Ok((env, proxy))
}

/// Ends a tool whose work failed the way the original's tools do: `ERROR: …` on standard output, status 1.
pub(crate) fn report(outcome: Exit) -> Exit {
    outcome.or_else(|error| {
        let mesg = error.message();
        if mesg.is_empty() {
            println!("ERROR: {error}");
        } else {
            println!("ERROR: {mesg}");
        }
        Ok(1)
    })
}

/// A required text argument; clap has made sure it is there.
pub(crate) fn text<'a>(args: &'a ArgMatches, name: &str) -> &'a str {
    args.get_one::<String>(name).map(String::as_str).unwrap_or_default()
}

/// An optional text argument.
pub(crate) fn opt_text<'a>(args: &'a ArgMatches, name: &str) -> Option<&'a str> {
    args.get_one::<String>(name).map(String::as_str)
}

/// A text argument that may be given many times.
pub(crate) fn texts(args: &ArgMatches, name: &str) -> Vec<String> {
    args.get_many::<String>(name).map(|many| many.cloned().collect()).unwrap_or_default()
}
