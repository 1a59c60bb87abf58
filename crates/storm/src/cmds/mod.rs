//! Commands: the table, the arguments, and running them.
//!
//! A command is a static [`CmdDef`]: name, description, arguments, and a function that turns the nodes of the pipe into
//! others. It is registered by one line in [`register`].

mod basic;
mod edit;
pub mod exec;
mod flow;
mod help;
mod lift;
mod merge;
mod movenodes;
mod parser;
mod pure;
mod stats;
mod threads;

use std::sync::Arc;

use myelin_value::Map;
use parking_lot::Mutex;

use crate::ctl::Flow;
use crate::item::Item;
use crate::ops::NodeGenr;
use crate::registry::Registry;
use crate::rt::Rt;

pub use parser::{ArgDef, ArgType, Nargs, Opts, Parsed, Parser};
pub use pure::PureOpts;

/// Puts the commands of this crate into the registry.
pub fn register(registry: &mut Registry) {
    basic::register(registry);
    edit::register(registry);
    exec::register(registry);
    flow::register(registry);
    help::register(registry);
    lift::register(registry);
    merge::register(registry);
    movenodes::register(registry);
    stats::register(registry);
    threads::register(registry);
}

/// A command of the runtime.
pub struct CmdDef {
    /// Its name.
    pub name: &'static str,
    /// What it does, for `--help` and `help`; the first line is the summary.
    pub descr: &'static str,
    /// Its arguments.
    pub args: &'static [ArgDef],
    /// Whether a read-only query may use it.
    pub readonly: bool,
    /// What it does with the nodes of the pipe.
    pub run: fn(Arc<CmdCx>, NodeGenr) -> Flow<NodeGenr>,
}

impl std::fmt::Debug for CmdDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CmdDef({})", self.name)
    }
}

/// A command that was found by its name.
#[derive(Clone)]
pub enum Command {
    /// Of the runtime.
    Def(&'static CmdDef),
    /// Of a package or a service, written in Storm.
    Pure(Arc<Map>),
}

/// Finds a command.
pub fn find(rt: &Rt, name: &str) -> Option<Command> {
    if let Some(def) = rt.registry().cmd(name) {
        return Some(Command::Def(def));
    }
    rt.host().pure_cmd(name).map(Command::Pure)
}

impl Command {
    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Command::Def(def) => def.name.to_owned(),
            Command::Pure(def) => def.get_str("name").unwrap_or_default().to_owned(),
        }
    }

    /// Whether a read-only query may use it. Commands in Storm may: what they run is checked.
    pub fn is_readonly(&self) -> bool {
        match self {
            Command::Def(def) => def.readonly,
            Command::Pure(_) => true,
        }
    }

    /// Whether all it wants to know of its input, when it has no arguments, is how many nodes there are.
    pub(crate) fn only_counts(&self) -> bool {
        matches!(self, Command::Def(def) if def.name == "count")
    }

    /// The parser of its arguments.
    pub fn parser(&self) -> Parser {
        match self {
            Command::Def(def) => Parser::from_def(def),
            Command::Pure(def) => Parser::from_map(def),
        }
    }

    pub(crate) fn run(&self, cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
        match self {
            Command::Def(def) => (def.run)(cx, input),
            Command::Pure(def) => pure::run(def, cx, input),
        }
    }
}

/// A command while it runs: its runtime and its arguments, which may change with every node.
pub struct CmdCx {
    rt: Rt,
    runtsafe: bool,
    parser: Parser,
    opts: Mutex<Arc<Opts>>,
    argv: Mutex<Vec<Item>>,
}

impl CmdCx {
    pub(crate) fn new(rt: &Rt, runtsafe: bool, command: &Command) -> CmdCx {
        let (opts, argv) = Default::default();
        CmdCx { rt: rt.clone(), runtsafe, parser: command.parser(), opts, argv }
    }

    /// The runtime.
    pub fn rt(&self) -> &Rt {
        &self.rt
    }

    /// Whether the arguments are the same for every node.
    pub fn runtsafe(&self) -> bool {
        self.runtsafe
    }

    /// The arguments as they are for the node that was pulled last.
    pub fn opts(&self) -> Arc<Opts> {
        self.opts.lock().clone()
    }

    /// The arguments before they were parsed.
    pub fn argv(&self) -> Vec<Item> {
        self.argv.lock().clone()
    }

    /// Sets the arguments. False when the command should not run (it printed its usage).
    ///
    /// # Errors
    /// `BadArg` for arguments that do not fit.
    pub fn set_argv(&self, argv: Vec<Item>) -> Flow<bool> {
        self.argv.lock().clone_from(&argv);
        let parsed = self.parser.parse(&self.rt, argv)?;
        for mesg in &parsed.warnings {
            self.rt.warn_once(mesg)?;
        }
        for line in parsed.lines {
            self.rt.printf(line)?;
        }
        if let Some(error) = parsed.error {
            return Err(error.into());
        }
        match parsed.opts {
            Some(opts) => {
                *self.opts.lock() = Arc::new(opts);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Refuses arguments that differ from node to node, for commands that need them once.
    ///
    /// # Errors
    /// `StormRuntimeError`.
    pub fn req_runtsafe(&self, mesg: &str) -> Flow<()> {
        if self.runtsafe {
            return Ok(());
        }
        crate::fail!("StormRuntimeError", mesg = mesg)
    }
}
