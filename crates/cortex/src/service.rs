//! The cortex as a service: opened, served over telepath, with its shares for views and layers.

use std::path::Path;
use std::sync::Arc;

use myelin_cell::{ApiMaker, CellApi};
use myelin_error::{Error, Result, err};
use myelin_telepath::{Api, LoginCx};
use myelin_value::{Map, Value};

use crate::api::{LayerApi, ViewApi};
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
    core.cell.serve(make.clone()).await?;
    // Also under its own name, for URLs that go on to a layer or a view.
    core.cell.share_as("cortex", make);
    Ok(core)
}

/// What a peer gets: the cortex itself, or for a longer path what lies there.
fn share(core: Arc<Cortex>, base: Arc<CellApi>, cx: &LoginCx) -> Result<Arc<dyn Api>> {
    match cx.path.first().map(String::as_str) {
        None => Ok(Arc::new(CoreApi::new(base, core))),
        Some("layer") if cx.path.len() <= 2 => {
            let layer = match cx.path.get(1) {
                Some(iden) => core.stack.require_layer(iden)?,
                None => core.stack.default_view()?.write_layer(),
            };
            Ok(Arc::new(LayerApi::new(base, core, layer)))
        }
        Some("view") if cx.path.len() <= 2 => {
            let view = match cx.path.get(1) {
                Some(iden) => core.stack.view(iden),
                None => Some(core.view_of(base.user())?),
            };
            let view = view.ok_or_else(|| no_path(&cx.path))?;
            Ok(Arc::new(ViewApi::new(base, core, view)))
        }
        Some(_) => Err(no_path(&cx.path)),
    }
}

fn no_path(path: &[String]) -> Error {
    let parts: Value = path.iter().map(Value::from).collect();
    err!("NoSuchPath", mesg = format!("A cortex has nothing at the path {}.", path.join("/")), path = parts)
}
