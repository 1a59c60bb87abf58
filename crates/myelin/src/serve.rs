//! Running a service: `myelin axon <dir> --telepath URL …`, with the flags of the original's starters.
//!
//! Each option of a service that can be given on the command line has a flag (`--aha-name`, `--nexslog-en`). What wins: the
//! command line, the environment, `cell.yaml`; over all of them what the service itself wrote to `cell.mods.yaml`.

use std::path::{Path, PathBuf};

use myelin_cell::conf::{ConfDef, Kind, from_env};
use myelin_cell::{Cell, CellSpec, Conf};
use myelin_error::{Error, Result, err};
use myelin_telepath::env::TeleEnv;
use myelin_telepath::yaml;
use myelin_value::{Map, Value};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a starter was told.
struct Launch {
    dirn: PathBuf,
    log_level: String,
    structured: bool,
    telepath: String,
    https: Option<i64>,
    name: Option<String>,
    conf: Map,
}

/// Runs a service until it is asked to end.
pub async fn run(service: &str, args: &[String]) -> Result<u8> {
    let spec = spec_of(service)?;
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        print_help(service, &spec);
        return Ok(0);
    }
    let mut launch = parse(&spec, args)?;
    myelin_cell::log::init(&launch.log_level, launch.structured)?;
    // For HTTP clients, which take the process' own; a second start keeps the first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    std::fs::create_dir_all(&launch.dirn).map_err(|error| {
        let path = launch.dirn.display().to_string();
        err!("BadArg", mesg = format!("The service cannot use {path} as its directory: {error}."), path = path)
    })?;
    myelin_cell::restore_from_env(&launch.dirn).await?;
    if let Some(name) = &launch.name {
        tracing::warn!(name, "the flag --name is accepted and not used: a service is offered under its usual names");
    }
    if run_once(service, &spec, &mut launch).await? {
        return Err(begin_anew());
    }
    Ok(0)
}

/// A mirror that has to be rebuilt from its leader ends, and begins again: as a new program in the same process, so that
/// nothing of the old one is left. Comes back only if that fails.
fn begin_anew() -> Error {
    use std::os::unix::process::CommandExt;
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    // The file may have been replaced by that of a newer version meanwhile.
    let own = std::env::current_exe().ok().filter(|path| path.exists());
    let own = own.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let error = std::process::Command::new(&own).arg0(name).args(args).exec();
    err!("SynErr", mesg = format!("The service could not begin again: {error}. Start it by hand.")).caused_by(error)
}

/// Runs the service until it ends. Says whether it did so to be rebuilt.
async fn run_once(service: &str, spec: &CellSpec, launch: &mut Launch) -> Result<bool> {
    let mut stop = StopSignals::new()?;
    tokio::select! {
        done = myelin_cell::provision(spec, &launch.dirn, &launch.conf) => done?,
        () = stop.recv() => return Ok(false),
    }
    let _env = load_env(spec, launch)?;
    settle_listen(spec, launch)?;
    tracing::info!(service, dirn = %launch.dirn.display(), "starting");
    let cell = tokio::select! {
        cell = start(service, &launch.dirn, launch.conf.clone()) => cell?,
        () = stop.recv() => {
            tracing::info!(service, "asked to end while starting");
            return Ok(false);
        }
    };
    let done = cell.done().clone();
    tokio::spawn(async move {
        stop.recv().await;
        done.cancel();
    });
    serve_https(&cell, launch.https).await?;
    tracing::info!(service, iden = cell.iden(), "running");
    cell.run_until_done().await?;
    Ok(cell.wants_resync())
}

/// The port that services offer HTTPS on unless they are told otherwise.
const HTTPS_PORT: u16 = 4443;

/// The option `https:port` decides where it is set, also to null; then the flag, whose 0 means no HTTPS; else it is the usual
/// port. That one may be in use, by another service on the same host: nobody asked for it, so the service runs without.
async fn serve_https(cell: &Cell, flag: Option<i64>) -> Result<()> {
    if cell.conf().all().contains("https:port") {
        return Ok(());
    }
    match flag {
        Some(0) => Ok(()),
        Some(port) => {
            let port = u16::try_from(port).map_err(|_| usage("argument --https: the port must be below 65536"))?;
            cell.serve_https(port).await.map(drop)
        }
        None => {
            if let Err(error) = cell.serve_https(HTTPS_PORT).await {
                tracing::warn!(%error, "HTTPS is not offered: set https:port (or --https) to a free port, or to null");
            }
            Ok(())
        }
    }
}

/// SIGTERM and SIGINT, caught from before the start on: a service that is asked to end while it starts ends in order.
struct StopSignals {
    term: Signal,
    int: Signal,
}

impl StopSignals {
    fn new() -> Result<StopSignals> {
        Ok(StopSignals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

async fn start(service: &str, dirn: &Path, conf: Map) -> Result<Cell> {
    match service {
        "aha" => myelin_aha::start(dirn, conf).await.map(|service| service.cell.clone()),
        "axon" => myelin_axon::start(dirn, conf).await.map(|service| service.cell.clone()),
        "cortex" => myelin_cortex::start(dirn, conf).await.map(|core| core.cell.clone()),
        _ => myelin_jsonstor::start(dirn, conf).await.map(|service| service.cell.clone()),
    }
}

fn spec_of(service: &str) -> Result<CellSpec> {
    match service {
        "aha" => Ok(myelin_aha::SPEC),
        "axon" => Ok(myelin_axon::SPEC),
        "cortex" => Ok(myelin_cortex::SPEC),
        "jsonstor" => Ok(myelin_jsonstor::SPEC),
        _ => Err(err!("NoSuchName", mesg = format!("There is no service {service}."), name = service)),
    }
}

/// The certificates of the service and the AHA servers it knows, for everything the process connects to.
fn load_env(spec: &CellSpec, launch: &Launch) -> Result<TeleEnv> {
    let mut env = TeleEnv::for_cell(&launch.dirn)?;
    env.add_certs(&launch.dirn.join("certs"));
    let registry = Conf::load(&launch.dirn, spec.confs, launch.conf.clone())?.get("aha:registry");
    if registry.is_truthy() {
        env.add_aha(&registry)?;
    }
    Ok(env)
}

/// `--telepath` is where a service listens whose options do not say, and whose AHA name does not either.
fn settle_listen(spec: &CellSpec, launch: &mut Launch) -> Result<()> {
    let conf = Conf::load(&launch.dirn, spec.confs, launch.conf.clone())?;
    let named = spec.celltype == "ahacell" && (conf.str("dns:name").is_some() || conf.str("aha:name").is_some());
    if !conf.all().contains("dmon:listen") && !named {
        launch.conf.insert("dmon:listen", launch.telepath.as_str());
    }
    Ok(())
}

// ---- the command line

fn parse(spec: &CellSpec, args: &[String]) -> Result<Launch> {
    let mut launch = Launch {
        dirn: PathBuf::new(),
        log_level: "INFO".into(),
        structured: false,
        telepath: "tcp://0.0.0.0:27492".into(),
        https: None,
        name: None,
        conf: from_env(spec.envprefixes, spec.confs)?,
    };
    let mut dirn = None;
    let mut models = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(flag) = arg.strip_prefix("--") else {
            if dirn.replace(PathBuf::from(arg)).is_some() {
                return Err(usage(&format!("unrecognized argument: {arg}")));
            }
            continue;
        };
        let (flag, inline) = match flag.split_once('=') {
            Some((flag, valu)) => (flag, Some(valu.to_owned())),
            None => (flag, None),
        };
        let mut valu = || {
            let next = inline.clone().or_else(|| rest.next().cloned());
            next.ok_or_else(|| usage(&format!("argument --{flag}: expected one argument")))
        };
        match flag {
            "log-level" => launch.log_level = valu()?.to_uppercase(),
            "structured-logging" => launch.structured = true,
            "telepath" => launch.telepath = valu()?,
            "https" => launch.https = Some(number(flag, &valu()?)?),
            "name" => launch.name = Some(valu()?),
            "model" if spec.celltype == "cortex" => models.push(Value::from(valu()?)),
            _ => {
                let def = find_flag(spec, flag)?;
                let given = if def.kind == Kind::Bool { (def.default != "true").into() } else { read(def, &valu()?)? };
                def.check(&given)?;
                launch.conf.insert(def.key, given);
            }
        }
    }
    if !models.is_empty() {
        launch.conf.insert("cortex:models", Value::from(models));
    }
    let dirn = dirn.ok_or_else(|| usage("the following arguments are required: dirn"))?;
    launch.dirn = std::path::absolute(dirn)?;
    Ok(launch)
}

fn all_defs(spec: &CellSpec) -> impl Iterator<Item = &'static ConfDef> {
    let own = spec.confs;
    let common = myelin_cell::conf::CELL_CONFS.iter();
    own.iter().chain(common.filter(move |def| !own.iter().any(|mine| mine.key == def.key)))
}

fn find_flag(spec: &CellSpec, flag: &str) -> Result<&'static ConfDef> {
    let found = all_defs(spec).find(|def| def.flag().is_some_and(|known| known.trim_start_matches('-') == flag));
    found.ok_or_else(|| usage(&format!("unrecognized arguments: --{flag}")))
}

fn read(def: &ConfDef, text: &str) -> Result<Value> {
    match def.kind {
        Kind::Str | Kind::StrOrNull => Ok(text.into()),
        _ => yaml::load(text),
    }
}

fn number(flag: &str, text: &str) -> Result<i64> {
    text.parse().map_err(|_| usage(&format!("argument --{flag}: invalid int value: '{text}'")))
}

fn usage(why: &str) -> myelin_error::Error {
    err!("BadArg", mesg = why)
}

fn print_help(service: &str, spec: &CellSpec) {
    println!("usage: myelin {service} [options] <dirn>\n\nRuns the {service} service in a directory.\n");
    println!("  --log-level LEVEL       DEBUG, INFO, WARNING, ERROR or CRITICAL (INFO)");
    println!("  --structured-logging    log lines of JSON");
    println!("  --telepath URL          where to listen (tcp://0.0.0.0:27492)");
    println!("  --https PORT            the port for HTTPS (4443)");
    println!("  --name NAME             one more name to be offered under");
    if spec.celltype == "cortex" {
        println!("  --model FILE            further types, forms and properties in JSON; may be repeated");
    }
    for def in all_defs(spec) {
        if let Some(flag) = def.flag() {
            println!("  {flag:<23} {}", def.desc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Launch> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        parse(&myelin_axon::SPEC, &args)
    }

    #[test]
    fn flags_become_options() {
        let launch =
            parsed(&["/svc", "--telepath", "tcp://127.0.0.1:0", "--https=0", "--aha-name", "00.axon"]).expect("args");
        assert_eq!(
            (launch.dirn, launch.telepath.as_str(), launch.https),
            ("/svc".into(), "tcp://127.0.0.1:0", Some(0))
        );
        assert_eq!(launch.conf.get_str("aha:name"), Some("00.axon"));
        let launch = parsed(&["--nexslog-en", "--http-proxy", "socks5://p:1", "dir"]).expect("args");
        assert_eq!(launch.conf.get("nexslog:en"), Some(&Value::Bool(true)));
        assert_eq!(launch.conf.get_str("http:proxy"), Some("socks5://p:1"));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for args in [&[][..], &["a", "b"], &["a", "--newp"], &["a", "--https", "x"], &["a", "--aha-name"]] {
            assert!(parsed(args).is_err_and(|error| error.is("BadArg")), "{args:?}");
        }
    }
}
