//! The Storm shell: `myelin storm <url> [query]`.
//!
//! Without a query it is a prompt with history, completion and multi-line input; Ctrl-C cancels the running query and
//! not the shell. Where standard input is no terminal, its lines are run one by one. With a query it runs that query, prints the outcome and exits with status 1 if there was an error.
//! What it prints is the original's, so that scripts which read it keep working.

mod colour;
mod complete;
mod print;
mod prompt;
mod words;

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use myelin_error::{Result, err};
use myelin_telepath::env::TeleEnv;
use myelin_telepath::{Proxy, Todo, yaml};
use myelin_value::{Map, Value};

use print::Printer;
pub use print::{plain, time_text};

/// Arguments of the shell.
#[derive(Args, Clone, Debug, Default)]
pub struct ShellArgs {
    /// Telepath URL of the Cortex
    pub cortex: String,
    /// A query to run before exiting
    pub onecmd: Option<String>,
    /// The iden of the view to work in
    #[arg(long)]
    pub view: Option<String>,
    /// A JSON or YAML file of query options
    #[arg(long)]
    pub optsfile: Option<PathBuf>,
    /// After each query, print what its steps did: rows, time, the index of each lift
    #[arg(long)]
    pub plan: bool,
}

/// Runs the shell; the exit status.
///
/// # Errors
/// The Cortex cannot be reached, or the options file cannot be read.
pub async fn run(args: ShellArgs) -> Result<u8> {
    let _env = TeleEnv::for_tools()?;
    let mut opts = Map::new().with("repr", true);
    if let Some(path) = &args.optsfile {
        opts.update(&load_opts(path)?);
    }
    if let Some(view) = &args.view {
        opts.insert("view", view.as_str());
    }
    if args.plan {
        opts.insert("plan", true);
    }
    let proxy = Proxy::open(&args.cortex).await?;
    let url = args.cortex.clone();
    let mut session = Session { url, proxy, opts, printer: Printer::detect() };
    match &args.onecmd {
        Some(line) => Ok(if session.run_line(line).await? { 0 } else { 1 }),
        None if !std::io::stdin().is_terminal() => Ok(if session.run_lines().await? { 0 } else { 1 }),
        None => prompt::interact(session).await.map(|()| 0),
    }
}

/// Query options from a JSON or YAML file.
///
/// # Errors
/// `NoSuchFile`, `BadArg`, and what is wrong with the text.
pub fn load_opts(path: &Path) -> Result<Map> {
    let name = path.display().to_string();
    match yaml::load_file(path)? {
        Some(Value::Map(opts)) => Ok((*opts).clone()),
        Some(_) => Err(err!("BadArg", mesg = format!("{name} is not a map of query options."), path = name)),
        None => Err(err!("NoSuchFile", mesg = format!("The options file {name} does not exist."), path = name)),
    }
}

/// A connection to a Cortex, with the options of its queries.
pub struct Session {
    url: String,
    proxy: Proxy,
    opts: Map,
    printer: Printer,
}

impl Session {
    /// Runs one line: a query, or a command of the shell when it begins with `!`. False when it failed.
    pub async fn run_line(&mut self, line: &str) -> Result<bool> {
        if self.proxy.is_fini() {
            // The service went away since the last line; it may be back.
            self.proxy = Proxy::open(&self.url).await?;
        }
        match line.trim_start().strip_prefix('!') {
            Some(command) => words::run(self, command).await,
            None => self.storm(line).await,
        }
    }

    /// Runs every line of standard input. False when one failed.
    async fn run_lines(&mut self) -> Result<bool> {
        let mut good = true;
        loop {
            let read = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next()).await;
            let read = read.map_err(|error| err!("SynErr", mesg = format!("Reading failed: {error}.")))?;
            let Some(line) = read.transpose()? else { return Ok(good) };
            match line.trim() {
                "" => {}
                "!quit" => return Ok(good),
                line => good &= self.run_line(line).await?,
            }
        }
    }

    /// Runs a query and prints its messages. Ctrl-C cancels it by closing its stream.
    async fn storm(&mut self, text: &str) -> Result<bool> {
        let todo = Todo::new("storm").arg(text).kw("opts", self.opts.clone());
        let printer = &mut self.printer;
        let run = async {
            let mut mesgs = self.proxy.genr(todo).await?;
            let mut good = true;
            while let Some(mesg) = mesgs.next().await {
                good &= printer.mesg(&mesg?, text);
            }
            Ok(good)
        };
        let done = tokio::select! {
            done = run => Some(done),
            _ = tokio::signal::ctrl_c() => None,
        };
        done.unwrap_or_else(|| {
            self.printer.line("<cancelled>");
            Ok(false)
        })
    }
}
