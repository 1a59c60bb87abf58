//! A long start: databases that are compacted, a log that is applied again. Meanwhile the listeners are up already and answer
//! health checks with how far the start is; everything else is refused with `NotReady`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_telepath::{Api, Args, CallCx, Dmon, DmonConf, LoginCx, Reply, Share, sharinfo};
use myelin_value::{Map, Value};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// A start that takes no longer than this answers nobody: the service itself will in a moment.
const PATIENCE: Duration = Duration::from_millis(700);

/// How far a start is. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<Stage>>>);

struct Stage {
    what: &'static str,
    done: u64,
    total: u64,
}

impl Progress {
    /// So much of a stage is done.
    pub fn set(&self, what: &'static str, done: u64, total: u64) {
        *self.0.lock() = Some(Stage { what, done, total });
    }

    fn message(&self) -> (String, Map) {
        match &*self.0.lock() {
            None => ("The service is starting.".to_owned(), Map::new()),
            Some(stage) => {
                let percent = (stage.done.min(stage.total) * 100).checked_div(stage.total).unwrap_or(0);
                let data = Map::new().with("stage", stage.what).with("percent", percent);
                (format!("migrating ({}), {percent} %", stage.what), data)
            }
        }
    }
}

/// The listeners of a service that is starting. Dropping it closes them; [`Boot::end`] waits for that.
pub(crate) struct Boot {
    pub progress: Progress,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Boot {
    /// Listens where the service will, once the start has taken a moment. Without an async runtime around it does nothing.
    pub fn begin(dirn: &Path, iden: &str, listen: Option<String>) -> Boot {
        let (progress, stop) = (Progress::default(), CancellationToken::new());
        let share = Starting { iden: iden.to_owned(), progress: progress.clone() };
        let (dirn, token) = (dirn.to_owned(), stop.clone());
        let task = tokio::runtime::Handle::try_current().ok().map(|handle| {
            handle.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(PATIENCE) => {}
                    () = token.cancelled() => return,
                }
                answer(dirn, listen, share, token).await;
            })
        });
        Boot { progress, stop, task }
    }

    /// Closes the listeners.
    pub async fn end(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(dirn: PathBuf, listen: Option<String>, share: Starting, stop: CancellationToken) {
    let dmon = Dmon::new(Arc::new(CertDir::new([dirn.join("certs")])), DmonConf::default());
    dmon.share("*", Arc::new(share));
    let sock = format!("unix://{}", dirn.join("sock").display());
    for url in std::iter::once(sock).chain(listen) {
        if let Err(error) = dmon.listen(&url).await {
            tracing::debug!(url, %error, "nobody can ask how far the start is there");
        }
    }
    stop.cancelled().await;
    dmon.fini().await;
}

#[derive(Clone)]
struct Starting {
    iden: String,
    progress: Progress,
}

#[async_trait]
impl Share for Starting {
    async fn login(&self, _: LoginCx) -> Result<Arc<dyn Api>> {
        // Whoever it is: there are no users yet, and nothing to be seen but how far the start is.
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Api for Starting {
    fn sharinfo(&self) -> Value {
        static INFO: OnceLock<Value> = OnceLock::new();
        INFO.get_or_init(|| sharinfo(Map::new(), &["synapse.lib.cell.CellApi"])).clone()
    }

    async fn call(self: Arc<Self>, _: CallCx, name: &str, _: Args) -> Result<Reply> {
        let (mesg, data) = self.progress.message();
        if name != "getHealthCheck" {
            return Err(err!("NotReady", mesg = format!("The service is not ready yet: {mesg}")));
        }
        let part = Map::new().with("status", "degraded").with("name", "boot").with("mesg", mesg).with("data", data);
        let check = Map::new()
            .with("iden", &self.iden)
            .with("status", "degraded")
            .with("components", Value::list([part.into()]));
        Ok(Reply::Value(check.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_tell_of_the_stage() {
        let progress = Progress::default();
        assert_eq!(progress.message().0, "The service is starting.");
        progress.set("applying the log", 5, 20);
        assert_eq!(progress.message().0, "migrating (applying the log), 25 %");
        progress.set("applying the log", 5, 0);
        assert_eq!(progress.message().1.get_i64("percent"), Some(0));
    }
}
