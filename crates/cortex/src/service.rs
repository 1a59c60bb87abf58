//! The cortex as a service: opened, served over telepath, with its shares for views and layers.

use std::path::Path;
use std::sync::Arc;

use myelin_cell::{ApiMaker, CellApi};
use myelin_error::{Result, err};
use myelin_telepath::{Api, LoginCx};
use myelin_value::Map;

use crate::{CoreApi, Cortex};

/// Opens a cortex and lets peers in.
///
/// # Errors
/// As [`Cortex::open`], and what a listener fails with.
pub async fn start(dirn: &Path, conf: Map) -> Result<Arc<Cortex>> {
    let dirn = dirn.to_owned();
    let opened = tokio::task::spawn_blocking(move || Cortex::open(&dirn, conf)).await;
    let core = opened.map_err(|error| err!("SynErr", mesg = format!("Opening the cortex failed: {error}.")))??;
    core.cell.add_routes(crate::http::routes(&core));
    let shared = core.clone();
    let make: ApiMaker = Arc::new(move |base, cx| {
        let core = shared.clone();
        Box::pin(async move { share(core, base, &cx) })
    });
    core.cell.serve(make).await?;
    Ok(core)
}

/// What a peer gets: the cortex itself, or for a longer path what lies there.
fn share(core: Arc<Cortex>, base: Arc<CellApi>, cx: &LoginCx) -> Result<Arc<dyn Api>> {
    match cx.path.first().map(String::as_str) {
        None | Some("cortex") => Ok(Arc::new(CoreApi::new(base, core))),
        Some(kind @ ("view" | "layer")) => {
            Err(myelin_error::Error::not_supported(format!("The telepath share {kind} of a cortex")))
        }
        Some(other) => {
            Err(err!("NoSuchPath", mesg = format!("A cortex has nothing at the path {other}."), path = other))
        }
    }
}
