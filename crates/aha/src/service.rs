//! AHA as a running service: boot, listeners, and what its mirrors begin with.

use std::path::Path;
use std::sync::Arc;

use myelin_cell::conf::{ConfDef, Kind, Reach, def};
use myelin_cell::{ApiMaker, Cell, CellSpec};
use myelin_error::{Result, err};
use myelin_telepath::{Api, Bound, Dmon, DmonConf, SYN_VERSION, ValueStream};
use myelin_value::{Map, Value};

use crate::aha::Aha;
use crate::api::AhaApi;
use crate::keys::KeyShare;

const CONFS: &[ConfDef] = &[
    def("clone", Kind::StrOrNull, "", Reach::Env, "The URL that this server begins with as a mirror of another."),
    def("dns:name", Kind::StrOrNull, "", Reach::Env, "The name under which others reach this server."),
    def(
        "aha:urls",
        Kind::StrOrList,
        "",
        Reach::Env,
        "URLs that others are told to reach AHA at; worked out if not set.",
    ),
    def("provision:listen", Kind::StrOrNull, "", Reach::Env, "URL to listen on for services that join."),
];

/// The kind of cell.
pub const SPEC: CellSpec =
    CellSpec { celltype: "ahacell", confs: CONFS, envprefixes: &["SYN_AHA", "SYN_AHACELL"], version: SYN_VERSION };

/// A running AHA.
pub struct Service {
    /// Its cell.
    pub cell: Cell,
    /// The service.
    pub aha: Aha,
    /// Where it listens, beside its unix socket.
    pub bound: Option<Bound>,
    /// Where services that join find it.
    pub prov_bound: Option<Bound>,
    /// The provisioning listener.
    pub prov_dmon: Option<Dmon>,
}

/// Opens the AHA in a directory and serves it.
pub async fn start(dirn: &Path, conf: Map) -> Result<Arc<Service>> {
    let path = dirn.to_owned();
    let (cell, aha) = blocking(move || boot(&path, conf)).await?;
    cell.add_routes(crate::http::routes(&aha));
    let bound = cell.serve(api_maker(aha.clone())).await?;
    if let Some(port) = bound.as_ref().and_then(Bound::port) {
        let announced = announce(aha.clone(), port);
        if cell.nexus().is_leader() {
            announced.await?;
        } else {
            // Its leader records it, and may not be there yet.
            tokio::spawn(announced);
        }
    }
    crate::failover::watch(&aha);
    let (mut prov_dmon, mut prov_bound) = (None, None);
    if let Some(url) = aha.prov_listen() {
        let dmon = Dmon::new(aha.certdir().clone(), DmonConf::from_env()?);
        dmon.share_rest(Arc::new(KeyShare(aha.clone())));
        let bound = dmon.listen(&url).await?;
        tracing::info!(url, "listening for services that join");
        if let Some(port) = bound.port() {
            aha.set_prov_port(port);
        }
        let (done, ending) = (cell.done().clone(), dmon.clone());
        tokio::spawn(async move {
            done.cancelled().await;
            ending.fini().await;
        });
        (prov_dmon, prov_bound) = (Some(dmon), Some(bound));
    }
    Ok(Arc::new(Service { cell, aha, bound, prov_bound, prov_dmon }))
}

/// Records where this server listens, for all others. A clone tries until its leader has taken it down.
async fn announce(aha: Aha, port: u16) -> Result<()> {
    loop {
        let told = aha.clone();
        match blocking(move || told.set_dmon_port(port)).await {
            Err(error) if !aha.cell().nexus().is_leader() && !aha.cell().done().is_cancelled() => {
                tracing::warn!(%error, "the leader could not be told of this AHA server; trying again");
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            }
            done => return done,
        }
    }
}

/// Opens the directory and makes what the server needs before it listens.
fn boot(dirn: &Path, conf: Map) -> Result<(Cell, Aha)> {
    let cell = Cell::open(SPEC, dirn, conf)?;
    let opened = Aha::open(&cell, cell.certdir()).and_then(|aha| {
        cell.start()?;
        if cell.is_active() {
            aha.make_certs()?;
        }
        aha.make_listen_certs()?;
        if let Some(url) = aha.dmon_listen() {
            cell.conf().set("dmon:listen", url.into())?;
        }
        let stale = aha.clone();
        cell.on_active(Arc::new(move |active| {
            if active && let Err(error) = stale.clear_stale() {
                tracing::warn!(%error, "services that are gone could not be marked as offline");
            }
        }));
        Ok(aha)
    });
    match opened {
        Ok(aha) => Ok((cell, aha)),
        Err(error) => {
            let _ = cell.fini();
            Err(error)
        }
    }
}

/// What makes the API object of a user who has logged in.
pub fn api_maker(aha: Aha) -> ApiMaker {
    Arc::new(move |base, _| {
        let api = Arc::new(AhaApi::new(base, aha.clone()));
        Box::pin(async move { Ok(api as Arc<dyn Api>) })
    })
}

/// Turns the log on, which a mirror needs.
pub(crate) fn ready_to_mirror(aha: &Aha) -> Result<Value> {
    let cell = aha.cell();
    if cell.nexus().enable_log()? {
        cell.conf().modify(&Map::new().with("nexslog:en", true))?;
    }
    Ok(Value::Null)
}

/// A backup of the directory as a stream.
pub(crate) async fn backup_archive(aha: &Aha, name: Option<&str>, remove: bool) -> Result<ValueStream> {
    aha.cell().new_backup_archive(name, remove).await
}

pub(crate) async fn blocking<T: Send + 'static>(func: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(func).await;
    done.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("The boot was abandoned: {error}."))))
}
