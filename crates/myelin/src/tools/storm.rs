//! `storm`: the shell under the name that runbooks use, `python -m synapse.tools.storm <url> [query]`.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use myelin_error::err;

use super::Exit;
use crate::shell::{self, ShellArgs};

pub fn args() -> Command {
    ShellArgs::augment_args(Command::new("storm").about("Open a Storm shell on a Cortex, or run one query"))
}

pub async fn run(args: ArgMatches) -> Exit {
    let args = ShellArgs::from_arg_matches(&args).map_err(|error| err!("BadArg", mesg = error.to_string()))?;
    shell::run(args).await
}
