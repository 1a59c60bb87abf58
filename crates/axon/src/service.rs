//! The axon as a service of its own.

use std::path::Path;
use std::sync::Arc;

use myelin_cell::{ApiMaker, Cell};
use myelin_error::Result;
use myelin_telepath::{Api, Bound};
use myelin_value::Map;

use crate::api::AxonApi;
use crate::axon::{Axon, blocking};
use crate::spec::SPEC;

/// A running axon.
pub struct Service {
    /// Its cell.
    pub cell: Cell,
    /// The blob store.
    pub axon: Axon,
    /// Where it listens, beside its unix socket.
    pub bound: Option<Bound>,
}

/// Opens the axon in a directory and serves it.
pub async fn start(dirn: &Path, conf: Map) -> Result<Arc<Service>> {
    let dirn = dirn.to_owned();
    let (cell, axon) = blocking(move || {
        let cell = Cell::open(SPEC, &dirn, conf)?;
        let axon = open(&cell)?;
        cell.start()?;
        Ok((cell, axon))
    })
    .await?;
    cell.add_routes(crate::routes::routes(Arc::new(axon.clone())));
    let bound = cell.serve(api_maker(axon.clone())).await?;
    // Clients from when an axon was reached through a cortex's listener ask for it by name.
    cell.share_as("axon", api_maker(axon.clone()));
    Ok(Arc::new(Service { cell, axon, bound }))
}

/// Opens the axon of a cell that is not started yet, with its features and health check.
pub fn open(cell: &Cell) -> Result<Axon> {
    let axon = Axon::open(cell)?;
    cell.set_feature("byterange", 1);
    cell.set_feature("unpack", 1);
    let checked = axon.clone();
    cell.add_health(Arc::new(move |check| check.update("axon", "nominal", "", checked.metrics())));
    Ok(axon)
}

/// What makes the API object of a user who has logged in.
pub fn api_maker(axon: Axon) -> ApiMaker {
    Arc::new(move |base, _| {
        let api = Arc::new(AxonApi::new(base, axon.clone()));
        Box::pin(async move { Ok(api as Arc<dyn Api>) })
    })
}
