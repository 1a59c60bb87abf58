//! The document store as a service of its own.

use std::path::Path;
use std::sync::Arc;

use myelin_cell::{ApiMaker, Cell};
use myelin_error::Result;
use myelin_telepath::{Api, Bound};
use myelin_value::Map;

use crate::api::JsonStorApi;
use crate::spec::SPEC;
use crate::store::{JsonStor, blocking};

/// A running document store.
pub struct Service {
    /// Its cell.
    pub cell: Cell,
    /// The store.
    pub stor: JsonStor,
    /// Where it listens, beside its unix socket.
    pub bound: Option<Bound>,
}

/// Opens the store in a directory and serves it.
pub async fn start(dirn: &Path, conf: Map) -> Result<Arc<Service>> {
    let dirn = dirn.to_owned();
    let (cell, stor) = blocking(move || {
        let cell = Cell::open(SPEC, &dirn, conf)?;
        let stor = JsonStor::open(&cell)?;
        cell.start()?;
        Ok((cell, stor))
    })
    .await?;
    let bound = cell.serve(api_maker(stor.clone())).await?;
    Ok(Arc::new(Service { cell, stor, bound }))
}

/// What makes the API object of a user who has logged in.
pub fn api_maker(stor: JsonStor) -> ApiMaker {
    Arc::new(move |base, _| {
        let api = Arc::new(JsonStorApi::new(base, stor.clone()));
        Box::pin(async move { Ok(api as Arc<dyn Api>) })
    })
}
