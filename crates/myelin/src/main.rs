#![forbid(unsafe_code)]
//! Myelin: the services, the quickstart, the Storm shell and the tools, in one binary.

mod quickstart;
mod registry;
mod serve;
mod shell;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Values travel between threads: what one allocates another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Synapse intelligence platform in one binary.
#[derive(Parser)]
#[command(name = "myelin", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the discovery service and certificate authority: `myelin aha <dir>`
    #[command(disable_help_flag = true)]
    Aha(ServiceArgs),
    /// Run the blob store: `myelin axon <dir>`
    #[command(disable_help_flag = true)]
    Axon(ServiceArgs),
    /// Run the hypergraph: `myelin cortex <dir>`
    #[command(disable_help_flag = true)]
    Cortex(ServiceArgs),
    /// Run the document store: `myelin jsonstor <dir>`
    #[command(disable_help_flag = true)]
    Jsonstor(ServiceArgs),
    /// Run AHA, an Axon, a JSONStor and a Cortex in one process, with a Storm prompt
    Quickstart(quickstart::QuickstartArgs),
    /// Print what this build registers, as JSON
    #[command(hide = true)]
    Registry,
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

/// A service's own arguments.
#[derive(clap::Args)]
struct ServiceArgs {
    /// The directory and the options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
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
            Command::Aha(args) => serve::run("aha", &args.args).await,
            Command::Axon(args) => serve::run("axon", &args.args).await,
            Command::Cortex(args) => serve::run("cortex", &args.args).await,
            Command::Jsonstor(args) => serve::run("jsonstor", &args.args).await,
            Command::Quickstart(args) => quickstart::run(args).await,
            Command::Registry => registry::print().await,
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
