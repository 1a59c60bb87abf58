//! Everything in one process: `myelin quickstart <dir>` runs AHA, an Axon, a JSONStor and a Cortex on the storage below one
//! directory, then opens a Storm prompt.
//!
//! The services listen on the unix sockets in their directories only, so that nothing is open to the network and no
//! password is needed. The same directories can later be served by `myelin aha`, `myelin cortex` and so on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use myelin_cell::Cell;
use myelin_error::Result;
use myelin_value::Map;

use crate::shell::{self, ShellArgs};

/// The AHA network of a quickstart.
const NETWORK: &str = "quickstart.myelin";

/// Arguments of the quickstart.
#[derive(Args, Clone, Debug)]
pub struct QuickstartArgs {
    /// The directory below which everything is kept
    dirn: PathBuf,
    /// Serve until stopped, without a prompt
    #[arg(long)]
    no_prompt: bool,
    /// A Storm query to run instead of the prompt
    #[arg(trailing_var_arg = true)]
    query: Vec<String>,
}

/// Runs it; the exit status.
///
/// # Errors
/// What a service cannot start with.
pub async fn run(args: QuickstartArgs) -> Result<u8> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    std::fs::create_dir_all(&args.dirn)?;
    let root = args.dirn.canonicalize()?;
    let running = Running::start(&root).await?;
    let url = format!("cell://{}", root.join("cortex").display());
    let outcome = if args.no_prompt {
        println!("Serving below {}. Ask with: myelin storm {url}", root.display());
        wait_for_signal().await.map(|()| 0)
    } else {
        let onecmd = (!args.query.is_empty()).then(|| args.query.join(" "));
        shell::run(ShellArgs { cortex: url, onecmd, ..ShellArgs::default() }).await
    };
    running.stop().await?;
    outcome
}

/// The services of a quickstart, in the order they were started.
struct Running {
    aha: Arc<myelin_aha::Service>,
    axon: Arc<myelin_axon::Service>,
    jsonstor: Arc<myelin_jsonstor::Service>,
    cortex: Arc<myelin_cortex::Cortex>,
}

impl Running {
    async fn start(root: &Path) -> Result<Running> {
        let dir = |name: &str| -> Result<PathBuf> {
            let path = root.join(name);
            std::fs::create_dir_all(&path)?;
            Ok(path)
        };
        if !root.join("aha/cell.guid").exists() {
            println!("First start: AHA makes its keys and certificates, which takes some seconds.");
        }
        let sock = format!("unix://{}", root.join("aha/aha.sock").display());
        let prov = format!("unix://{}", root.join("aha/provision.sock").display());
        let conf = Map::new()
            .with("aha:network", NETWORK)
            .with("dns:name", "localhost")
            .with("dmon:listen", sock)
            .with("provision:listen", prov);
        let aha = myelin_aha::start(&dir("aha")?, conf).await?;
        let axon = myelin_axon::start(&dir("axon")?, Map::new()).await?;
        let jsonstor = myelin_jsonstor::start(&dir("jsonstor")?, Map::new()).await?;
        let conf = Map::new()
            .with("axon", format!("cell://{}", root.join("axon").display()))
            .with("jsonstor", format!("cell://{}", root.join("jsonstor").display()));
        let cortex = myelin_cortex::start(&dir("cortex")?, conf).await?;
        Ok(Running { aha, axon, jsonstor, cortex })
    }

    /// Ends the services, those first that use others.
    async fn stop(self) -> Result<()> {
        for cell in [&self.cortex.cell, &self.jsonstor.cell, &self.axon.cell, &self.aha.cell] {
            end(cell).await?;
        }
        Ok(())
    }
}

/// Ends a service in order.
///
/// # Errors
/// What its last writes give.
pub async fn end(cell: &Cell) -> Result<()> {
    if let Some(dmon) = cell.dmon() {
        dmon.fini().await;
    }
    let cell = cell.clone();
    let done = tokio::task::spawn_blocking(move || cell.fini()).await;
    done.map_err(|error| myelin_error::err!("SynErr", mesg = format!("Ending a service failed: {error}.")))?
}

async fn wait_for_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
