//! A service with nothing but what every service has: `cargo run --example basecell -- <dirn> [https port]`.

use myelin_cell::{Cell, CellSpec, provision, version};
use myelin_error::{Result, err};
use myelin_value::Map;

const SPEC: CellSpec = CellSpec { celltype: "cell", confs: &[], envprefixes: &["SYN_CELL"], version: version::VERSION };

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = || err!("BadArg", mesg = "usage: basecell <dirn> [https port]");
    let dirn = std::path::PathBuf::from(args.next().ok_or_else(usage)?);
    let mut conf = Map::new();
    if let Some(port) = args.next() {
        conf.insert("https:port", port.parse::<i64>().map_err(|_| usage())?);
    }
    myelin_cell::log::init("INFO", false)?;
    provision(&SPEC, &dirn, &conf).await?;
    let _env = myelin_telepath::env::TeleEnv::for_cell(&dirn)?;
    let cell = tokio::task::spawn_blocking(move || Cell::open(SPEC, &dirn, conf))
        .await
        .map_err(|error| err!("SynErr", mesg = format!("{error}")))??;
    let starting = cell.clone();
    let started = tokio::task::spawn_blocking(move || starting.start()).await;
    started.map_err(|error| err!("SynErr", mesg = format!("{error}")))??;
    let bound = cell.serve_base().await?;
    tracing::info!(bound = ?bound, active = cell.is_active(), "serving");
    cell.run_until_done().await
}
