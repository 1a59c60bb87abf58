//! What peers may call of a cortex, and the permission each call needs.

mod feed;
mod layers;
mod model;
mod records;
mod services;
mod storm;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use myelin_cell::{CellApi, User};
use myelin_error::Result;
use myelin_telepath::{MethTable, TableApi};

use crate::Cortex;

pub use layers::{LayerApi, ViewApi};

/// A cortex as one logged-in user sees it.
pub struct CoreApi {
    base: Arc<CellApi>,
    core: Arc<Cortex>,
}

impl CoreApi {
    /// The API of a user who has logged in.
    pub fn new(base: Arc<CellApi>, core: Arc<Cortex>) -> CoreApi {
        CoreApi { base, core }
    }

    /// Who calls. `setCellUser` changes it.
    fn user(&self) -> User {
        self.base.user().clone()
    }

    fn confirm(&self, perm: &[&str]) -> Result<()> {
        self.user().confirm(perm, None)
    }

    fn admin(&self) -> Result<()> {
        self.user().req_admin(None, None)
    }
}

#[async_trait]
impl TableApi for CoreApi {
    const CLASSES: &'static [&'static str] =
        &["synapse.cortex.CoreApi", "synapse.lib.cell.CellApi", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<CoreApi> {
        static TABLE: OnceLock<MethTable<CoreApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            let table = MethTable::new().extend(CellApi::table(), |api: &Arc<CoreApi>| api.base.clone());
            layers::add(feed::add(services::add(storm::add(records::add(model::add(table))))))
        })
    }

    async fn fini(&self) {
        TableApi::fini(&*self.base).await;
    }
}
