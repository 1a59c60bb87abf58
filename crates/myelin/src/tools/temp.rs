//! A Cortex for the time that a tool runs, for `--test` flags.

use std::sync::Arc;

use myelin_cortex::Cortex;
use myelin_error::Result;
use myelin_value::Map;

/// A Cortex in a directory that goes with it.
pub struct TempCortex {
    dirn: tempfile::TempDir,
    core: Arc<Cortex>,
}

impl TempCortex {
    pub async fn start() -> Result<TempCortex> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dirn = tempfile::tempdir()?;
        let conf = Map::new().with("health:sysctl:checks", false);
        let core = myelin_cortex::start(dirn.path(), conf).await?;
        Ok(TempCortex { dirn, core })
    }

    pub fn url(&self) -> String {
        format!("cell://{}", self.dirn.path().display())
    }

    pub async fn stop(self) -> Result<()> {
        crate::quickstart::end(&self.core.cell).await
    }
}
