#![forbid(unsafe_code)]
//! Myelin: the services, the quickstart, the Storm shell and the tools, in one binary.

mod shell;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The Synapse intelligence platform in one binary.
#[derive(Parser)]
#[command(name = "myelin", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open a Storm shell on a Cortex, or run one query
    Storm(shell::ShellArgs),
    /// Run an operator's tool: `myelin tool aha.provision.service 00.cortex`
    #[command(disable_help_flag = true)]
    Tool {
        /// The tool's dotted name
        name: String,
        /// The tool's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The system gave no threads to work with: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Storm(args) => shell::run(args).await,
            Command::Tool { name, args } => tools::run(&name, args).await,
        }
    });
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("ERROR: {error}");
            ExitCode::FAILURE
        }
    }
}
