//! The network side of a service: its listeners, who peers are, and its registration with AHA.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use myelin_certs::CertDir;
use myelin_error::{Error, Result, err};
use myelin_telepath::{Api, Bound, Dmon, DmonConf, LoginCx, Proxy, Share, Todo};
use myelin_value::{Map, Value};

use crate::api::CellApi;
use crate::{Cell, User};

/// Makes the API object of a service for a user who has logged in.
pub type ApiMaker = Arc<dyn Fn(Arc<CellApi>, LoginCx) -> BoxFuture<'static, Result<Arc<dyn Api>>> + Send + Sync>;

/// The longest path of a unix socket that clients in Python can connect to.
const CLIENT_PATH: usize = 107;

struct CellShare {
    cell: Cell,
    make: ApiMaker,
}

#[async_trait]
impl Share for CellShare {
    fn features(&self) -> Option<Map> {
        Some(self.cell.features())
    }

    async fn login(&self, cx: LoginCx) -> Result<Arc<dyn Api>> {
        let (cell, who) = (self.cell.clone(), cx.clone());
        let user = tokio::task::spawn_blocking(move || cell.login(&who)).await.map_err(lost)??;
        let base = Arc::new(CellApi::new(self.cell.clone(), user, cx.session.clone()));
        (self.make)(base, cx).await
    }
}

fn lost(error: tokio::task::JoinError) -> Error {
    err!("SynErr", mesg = format!("A task was abandoned: {error}."))
}

impl Cell {
    /// Who a peer is: anybody over the unix socket, else by certificate, else by password, else the anonymous user. Blocks.
    pub fn login(&self, cx: &LoginCx) -> Result<User> {
        let auth = self.auth();
        if cx.link.is_unix() {
            return auth.req_user_by_name(cx.auth.as_ref().map_or("root", |auth| &auth.user));
        }
        if let Some(name) = &cx.link.peer_cn {
            return self.user_of_cert(name);
        }
        let Some(sent) = &cx.auth else {
            let name = self.conf().str("auth:anon");
            let name = name.ok_or_else(|| err!("AuthDeny", mesg = "The peer did not say who it is."))?;
            let missing = || err!("AuthDeny", mesg = format!("There is no anonymous user {name}."), username = &name);
            return unlocked(auth.user_by_name(&name).ok_or_else(missing)?);
        };
        let user = auth.req_user_by_name(&sent.user)?;
        let good = match &sent.passwd {
            Some(passwd) => auth.try_passwd(&user, passwd)?,
            None => false,
        };
        if good {
            return Ok(user);
        }
        Err(err!("AuthDeny", mesg = "Invalid password", username = user.name(), user = user.iden()))
    }

    fn user_of_cert(&self, name: &str) -> Result<User> {
        let auth = self.auth();
        if let Some((short, host)) = name.split_once('@')
            && self.conf().str("aha:network").as_deref() == Some(host)
            && let Some(user) = auth.user_by_name(short)
        {
            return unlocked(user);
        }
        let missing =
            || err!("NoSuchUser", mesg = format!("The certificate's user {name} is not known."), username = name);
        unlocked(auth.user_by_name(name).ok_or_else(missing)?)
    }

    /// The service's own certificates.
    pub fn certdir(&self) -> Arc<CertDir> {
        Arc::new(CertDir::new([self.dirn().join("certs")]))
    }

    /// The telepath server, once it serves.
    pub fn dmon(&self) -> Option<&Dmon> {
        self.inner().dmon.get()
    }

    /// Starts to listen on `<dirn>/sock` and on `dmon:listen`, and registers with AHA. Returns where `dmon:listen` is bound.
    pub async fn serve(&self, make: ApiMaker) -> Result<Option<Bound>> {
        let boot = self.inner().boot.lock().take();
        if let Some(boot) = boot {
            boot.end().await;
        }
        let dmon = Dmon::new(self.certdir(), DmonConf::from_env()?);
        dmon.share("*", Arc::new(CellShare { cell: self.clone(), make }));
        if let (Some(name), Some(network)) = (self.aha_name(), self.conf().str("aha:network")) {
            let full = format!("{name}.{network}");
            crate::log::set_service(&full);
            dmon.set_ahainfo(Some(Map::new().with("name", full)));
        }
        if self.inner().dmon.set(dmon.clone()).is_err() {
            return Err(err!("BadState", mesg = "The service serves already."));
        }
        if self.nexus().is_leader() && self.needs_lease() {
            // Another one may have been promoted while this service was away.
            self.nexus().end_lease();
        }
        self.watch_host();
        let tls = dmon.clone();
        self.add_reload("dmon:certs", Arc::new(move || tls.reload_tls().map(Value::from)));
        let sock = self.dirn().join("sock");
        match dmon.listen_unix(&sock) {
            Ok(_) if sock.as_os_str().len() > CLIENT_PATH => {
                tracing::warn!(path = %sock.display(), "clients in Python cannot use a unix socket with a path that long");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(path = %sock.display(), %error, "cannot listen on the unix socket"),
        }
        let bound = match self.conf().str("dmon:listen") {
            Some(url) => Some(dmon.listen(&url).await?),
            None => None,
        };
        if let Some(port) = self.conf().int("https:port").and_then(|port| u16::try_from(port).ok()) {
            self.serve_https(port).await?;
        }
        self.open_aha();
        match bound.as_ref().and_then(Bound::port).filter(|_| self.inner().aha.get().is_some()) {
            Some(port) => self.register_with_aha(port),
            // Nobody would renew it.
            None => self.nexus().free_lease(),
        }
        self.begin_following();
        Ok(bound)
    }

    /// Offers the service under one more name.
    pub fn share_as(&self, name: &str, make: ApiMaker) {
        if let Some(dmon) = self.dmon() {
            dmon.share(name, Arc::new(CellShare { cell: self.clone(), make }));
        }
    }

    /// Serves the methods that every service has, and no others.
    pub async fn serve_base(&self) -> Result<Option<Bound>> {
        self.serve(Arc::new(|base, _| Box::pin(async move { Ok(base as Arc<dyn Api>) }))).await
    }

    /// Runs until a signal or a remote shutdown asks the service to end, then ends it.
    pub async fn run_until_done(&self) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut hup = signal(SignalKind::hangup())?;
        let reloads = async {
            while hup.recv().await.is_some() {
                tracing::info!("asked by SIGHUP to reload");
                let cell = self.clone();
                // A part that fails has logged that; the others were reloaded.
                let _ = tokio::task::spawn_blocking(move || cell.reload(None)).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = reloads => {}
            _ = term.recv() => tracing::info!("asked to end by SIGTERM"),
            _ = int.recv() => tracing::info!("asked to end by SIGINT"),
            () = self.done().cancelled() => {}
        }
        self.done().cancel();
        tracing::info!(celltype = self.celltype(), "the service is ending");
        if let Some(dmon) = self.dmon() {
            dmon.fini().await;
        }
        let cell = self.clone();
        tokio::task::spawn_blocking(move || cell.fini()).await.map_err(lost)?
    }

    // ---- the nexus log

    /// Closes the tail of the nexus log and begins a new one. Blocks.
    pub fn rotate_log(&self) -> Result<u64> {
        self.req_no_backup()?;
        let (_, valu) = self.nexus().push(self.iden(), "nexslog:rotate", Vec::new(), Map::new())?;
        valu.as_u64().ok_or_else(|| err!("SynErr", mesg = "The nexus log was not rotated."))
    }

    /// A backup that is being made copies the segments there are.
    pub(crate) fn req_no_backup(&self) -> Result<()> {
        if self.is_backup_running() {
            return Err(err!(
                "SlabInUse",
                mesg = "The nexus log is not changed while a backup is made. Try again later."
            ));
        }
        Ok(())
    }

    /// Rotates the log, waits until consumers are past the old part, and removes that. Returns where the log begins.
    pub async fn trim_log(&self, consumers: &[Value], timeout: Option<Duration>) -> Result<u64> {
        let cell = self.clone();
        let offs = tokio::task::spawn_blocking(move || cell.rotate_log()).await.map_err(lost)??;
        let Some(last) = offs.checked_sub(1) else { return Ok(offs) };
        for url in consumers {
            let url =
                url.as_str().ok_or_else(|| err!("BadArg", mesg = "A consumer must be a URL.", name = "consumers"))?;
            let proxy = Proxy::open(url).await?;
            let secs = timeout.map_or(Value::Null, |timeout| Value::from(timeout.as_secs_f64()));
            let there = proxy.call(Todo::new("waitNexsOffs").arg(last).kw("timeout", secs)).await;
            proxy.fini().await;
            if !there?.is_truthy() {
                let url = myelin_telepath::url::sanitize(url);
                let mesg = format!("The consumer {url} did not reach offset {last} in time.");
                return Err(err!("SynErr", mesg = mesg));
            }
        }
        self.nexus().push_async(self.iden(), "nexslog:cull", vec![last.into()], Map::new()).await?;
        Ok(offs)
    }
}

fn unlocked(user: User) -> Result<User> {
    if !user.is_locked() {
        return Ok(user);
    }
    let mesg = format!("User ({}) is locked.", user.name());
    Err(err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name()))
}
