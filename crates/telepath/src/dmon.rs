//! The daemon: listeners, shares, sessions and the ready switch of one service.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_value::{Map, Value};
use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Share;
use crate::link::{self, BoxStream, Family, LinkInfo};
use crate::serve;
use crate::session::Session;
use crate::unixpath::Way;
use crate::url::UrlInfo;

/// The port used when a URL names none.
pub const DEFAULT_PORT: u16 = 27492;

/// Bounds of one daemon.
#[derive(Clone, Debug)]
pub struct DmonConf {
    /// Connections at a time. Past it a new one gets a named error on its first message.
    pub max_links: usize,
    /// The largest frame accepted.
    pub max_frame: usize,
    /// TLS handshakes at a time; past it, new connections are closed.
    pub max_handshakes: usize,
    /// How long a TLS handshake may take.
    pub tls_timeout: Duration,
    /// How long a connection may stay without having sent one frame. Idle pool connections of a client are normal, so
    /// this is off unless asked for.
    pub first_frame_timeout: Option<Duration>,
}

impl Default for DmonConf {
    fn default() -> Self {
        DmonConf {
            max_links: 16_384,
            max_frame: link::MAX_FRAME,
            max_handshakes: 2048,
            tls_timeout: Duration::from_secs(30),
            first_frame_timeout: None,
        }
    }
}

impl DmonConf {
    /// The limits that the environment sets, which are options of ours alone: `MYELIN_LINKS`, `MYELIN_FRAME_BYTES` and
    /// `MYELIN_SILENT_SECS`.
    ///
    /// # Errors
    /// `BadConfValu` for what is no number above zero.
    pub fn from_env() -> Result<DmonConf> {
        DmonConf::from_vars(|name| std::env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<DmonConf> {
        let number = |name: &str| match var(name) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<usize>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => {
                    let mesg = format!("{name} is {text:?}: give a whole number above zero, or leave it out.");
                    Err(err!("BadConfValu", mesg = mesg, name = name))
                }
            },
        };
        let usual = DmonConf::default();
        Ok(DmonConf {
            max_links: number("MYELIN_LINKS")?.unwrap_or(usual.max_links),
            max_frame: number("MYELIN_FRAME_BYTES")?.unwrap_or(usual.max_frame),
            first_frame_timeout: number("MYELIN_SILENT_SECS")?.map(|secs| Duration::from_secs(secs as u64)),
            ..usual
        })
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A TCP or TLS port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Bound {
    /// The port, for TCP and TLS.
    pub fn port(&self) -> Option<u16> {
        match self {
            Bound::Tcp(addr) => Some(addr.port()),
            Bound::Unix(_) => None,
        }
    }
}

/// A telepath server. Cheap to clone; `fini` ends it.
#[derive(Clone)]
pub struct Dmon(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub conf: DmonConf,
    certdir: Arc<CertDir>,
    pub ahainfo: RwLock<Option<Map>>,
    shares: RwLock<HashMap<String, Arc<dyn Share>>>,
    /// Takes logins whose name no share has.
    rest: RwLock<Option<Arc<dyn Share>>>,
    pub sessions: Mutex<HashMap<String, Arc<Session>>>,
    ready: AtomicBool,
    /// Cancelled and replaced when the daemon turns not ready: every link hangs below it.
    links: Mutex<CancellationToken>,
    links_open: AtomicUsize,
    refusing: AtomicUsize,
    shaking: AtomicUsize,
    done: CancellationToken,
    tasks: TaskTracker,
    sockets: Mutex<Vec<PathBuf>>,
    /// The TLS listeners: what they were asked for, and what they present now.
    tls: Mutex<Vec<(UrlInfo, TlsNow)>>,
}

/// The TLS configuration that a listener gives to new connections.
type TlsNow = Arc<RwLock<TlsAcceptor>>;

impl Dmon {
    /// A daemon that listens nowhere yet, ready to serve.
    pub fn new(certdir: Arc<CertDir>, conf: DmonConf) -> Dmon {
        Dmon(Arc::new(Inner {
            conf,
            certdir,
            ahainfo: RwLock::new(None),
            shares: RwLock::default(),
            rest: RwLock::default(),
            sessions: Mutex::default(),
            ready: AtomicBool::new(true),
            links: Mutex::new(CancellationToken::new()),
            links_open: AtomicUsize::new(0),
            refusing: AtomicUsize::new(0),
            shaking: AtomicUsize::new(0),
            done: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sockets: Mutex::default(),
            tls: Mutex::default(),
        }))
    }

    /// Offers an object under a name. The name `*` is what peers get who ask for none.
    pub fn share(&self, name: &str, item: Arc<dyn Share>) {
        self.0.shares.write().insert(name.to_owned(), item);
    }

    /// Offers an object for every name no share has; its login tells them apart (one-time keys).
    pub fn share_rest(&self, item: Arc<dyn Share>) {
        *self.0.rest.write() = Some(item);
    }

    /// Withdraws a share. Sessions that have it stay.
    pub fn unshare(&self, name: &str) {
        self.0.shares.write().remove(name);
    }

    /// Sets the `ahainfo` of every handshake reply: `{"name": ...}`.
    pub fn set_ahainfo(&self, info: Option<Map>) {
        *self.0.ahainfo.write() = info;
    }

    /// Whether connections are served.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::SeqCst)
    }

    /// Turns serving on or off. Off closes every link and refuses new ones.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::SeqCst);
        if !ready {
            std::mem::take(&mut *self.0.links.lock()).cancel();
        }
    }

    /// The sessions that are open, in the form of `getDmonSessions`.
    pub fn sessions(&self) -> Vec<Value> {
        self.0.sessions.lock().values().map(|sess| sess.pack()).collect()
    }

    /// The open session that has this iden.
    pub fn session(&self, iden: &str) -> Option<Arc<Session>> {
        self.0.sessions.lock().get(iden).cloned()
    }

    /// How many connections are open.
    pub fn link_count(&self) -> usize {
        self.0.links_open.load(Ordering::Relaxed)
    }

    /// Listens on a `tcp://`, `ssl://` or `unix://` URL and serves until the daemon ends.
    pub async fn listen(&self, url: &str) -> Result<Bound> {
        self.listen_info(&UrlInfo::parse(url)?).await
    }

    /// Listens as a parsed URL says.
    pub async fn listen_info(&self, info: &UrlInfo) -> Result<Bound> {
        match info.scheme() {
            "unix" => self.listen_unix(Path::new(info.get_str("path").unwrap_or(""))),
            "tcp" => self.listen_tcp(info, None).await,
            "ssl" => {
                let now: TlsNow = Arc::new(RwLock::new(self.acceptor(info)?));
                self.0.tls.lock().push((info.clone(), now.clone()));
                self.listen_tcp(info, Some(now)).await
            }
            other => {
                Err(err!("BadUrl", mesg = format!("Cannot listen on a URL with scheme {other}: use tcp, ssl or unix.")))
            }
        }
    }

    fn acceptor(&self, info: &UrlInfo) -> Result<TlsAcceptor> {
        let hostname = info.get_str("hostname").or_else(|| info.get_str("host")).filter(|name| !name.is_empty());
        Ok(TlsAcceptor::from(self.0.certdir.server_config(hostname, info.get_str("ca"))?))
    }

    /// Reads the certificates of the TLS listeners again, for connections from now on. How many listeners there are. On an
    /// error every listener keeps what it has.
    pub fn reload_tls(&self) -> Result<u64> {
        let tls = self.0.tls.lock();
        let fresh = tls.iter().map(|(info, _)| self.acceptor(info)).collect::<Result<Vec<_>>>()?;
        let count = fresh.len() as u64;
        for ((_, now), fresh) in tls.iter().zip(fresh) {
            *now.write() = fresh;
        }
        Ok(count)
    }

    async fn listen_tcp(&self, info: &UrlInfo, tls: Option<TlsNow>) -> Result<Bound> {
        let host = info.get_str("host").filter(|host| !host.is_empty()).unwrap_or("0.0.0.0");
        let port = info.port().unwrap_or(DEFAULT_PORT);
        let failed = |e: io::Error| err!("LinkErr", mesg = format!("Cannot listen on {host} port {port}: {e}"));
        let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let dmon = self.clone();
        self.0.tasks.spawn(async move {
            let accept = async {
                loop {
                    match listener.accept().await {
                        Ok((sock, peer)) => {
                            let tls = tls.as_ref().map(|now| now.read().clone());
                            dmon.on_tcp(sock, peer, tls);
                        }
                        Err(e) => accept_pause(&e).await,
                    }
                }
            };
            tokio::select! { () = accept => {}, () = dmon.0.done.cancelled() => {} }
        });
        Ok(Bound::Tcp(addr))
    }

    /// Listens on a unix socket, whatever characters its path has and however long it is.
    pub fn listen_unix(&self, path: &Path) -> Result<Bound> {
        let failed = |e: io::Error| err!("LinkErr", mesg = format!("Cannot listen on {}: {e}", path.display()));
        // A socket file left by a process that is gone would make the bind fail.
        if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = Way::to(path).and_then(|way| UnixListener::bind(way.path())).map_err(failed)?;
        let text = path.to_string_lossy().into_owned();
        self.0.sockets.lock().push(path.to_owned());
        let dmon = self.clone();
        self.0.tasks.spawn(async move {
            let info = LinkInfo { family: Family::Unix, peer: None, path: Some(text), peer_cn: None };
            let accept = async {
                loop {
                    match listener.accept().await {
                        Ok((sock, _)) => dmon.on_stream(Box::new(sock), info.clone()),
                        Err(e) => accept_pause(&e).await,
                    }
                }
            };
            tokio::select! { () = accept => {}, () = dmon.0.done.cancelled() => {} }
        });
        Ok(Bound::Unix(path.to_owned()))
    }

    fn on_tcp(&self, sock: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        link::tune(&sock);
        let mut info = LinkInfo { family: Family::Tcp, peer: Some(peer), path: None, peer_cn: None };
        let Some(acceptor) = tls else {
            return self.on_stream(Box::new(sock), info);
        };
        if !self.is_ready() {
            return;
        }
        if self.0.shaking.load(Ordering::Relaxed) >= self.0.conf.max_handshakes {
            return tracing::warn!(%peer, "link refused: too many TLS handshakes are under way");
        }
        self.0.shaking.fetch_add(1, Ordering::Relaxed);
        let dmon = self.clone();
        self.0.tasks.spawn(async move {
            let accept = tokio::time::timeout(dmon.0.conf.tls_timeout, acceptor.accept(sock));
            let accepted = tokio::select! {
                accepted = accept => accepted,
                () = dmon.0.done.cancelled() => return,
            };
            dmon.0.shaking.fetch_sub(1, Ordering::Relaxed);
            match accepted {
                Ok(Ok(stream)) => {
                    info.family = Family::Tls;
                    let certs = stream.get_ref().1.peer_certificates();
                    info.peer_cn =
                        certs.and_then(|certs| certs.first()).and_then(|cert| myelin_certs::common_name(cert));
                    dmon.on_stream(Box::new(stream), info);
                }
                Ok(Err(e)) => tracing::info!(%peer, "TLS handshake failed: {e}"),
                Err(_) => tracing::info!(%peer, "TLS handshake took too long"),
            }
        });
    }

    /// Serves one connected stream on a task of its own. Public for transports of other kinds (a socket pair in tests).
    pub fn on_stream(&self, stream: BoxStream, info: LinkInfo) {
        if !self.is_ready() {
            // Closed without a word: clients take that as "try again later".
            return;
        }
        let closed = self.0.links.lock().child_token();
        let open = self.0.links_open.fetch_add(1, Ordering::Relaxed) + 1;
        if open > self.0.conf.max_links {
            self.0.links_open.fetch_sub(1, Ordering::Relaxed);
            return self.refuse(stream);
        }
        let dmon = self.clone();
        self.0.tasks.spawn(async move {
            serve::serve(&dmon, stream, Arc::new(info), closed).await;
            dmon.0.links_open.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Tells a peer past the link limit why it is refused. Few at a time: past that, links are closed unheard.
    fn refuse(&self, stream: BoxStream) {
        const AT_A_TIME: usize = 64;
        tracing::warn!("link refused: {} are open, the limit", self.0.conf.max_links);
        if self.0.refusing.fetch_add(1, Ordering::Relaxed) >= AT_A_TIME {
            self.0.refusing.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let dmon = self.clone();
        self.0.tasks.spawn(async move {
            let refusal = serve::refuse(&dmon, stream);
            let _ = tokio::time::timeout(Duration::from_secs(5), refusal).await;
            dmon.0.refusing.fetch_sub(1, Ordering::Relaxed);
        });
    }

    pub(crate) fn find_share(&self, name: &str) -> Option<Arc<dyn Share>> {
        let named = self.0.shares.read().get(name).cloned();
        named.or_else(|| self.0.rest.read().clone())
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// Ends the daemon: listeners, links and sessions. Returns when the links' tasks are gone.
    pub async fn fini(&self) {
        self.0.done.cancel();
        self.set_ready(false);
        self.0.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some calls did not end within 10 seconds of the shutdown");
        }
        for path in std::mem::take(&mut *self.0.sockets.lock()) {
            let _ = std::fs::remove_file(path);
        }
        let shares: Vec<_> = self.0.shares.write().drain().map(|(_, item)| item).collect();
        for item in shares {
            item.fini().await;
        }
    }
}

/// Out of file descriptors and the like: waiting keeps the loop from spinning until some are free again.
async fn accept_pause(e: &io::Error) {
    tracing::warn!("accepting a connection failed: {e}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_from_the_environment() {
        let conf = DmonConf::from_vars(|name| (name == "MYELIN_LINKS").then(|| "7".to_owned())).expect("numbers");
        assert_eq!((conf.max_links, conf.max_frame), (7, DmonConf::default().max_frame));
        for text in ["", "0", "-1", "many"] {
            assert!(
                DmonConf::from_vars(|_| Some(text.to_owned())).is_err_and(|error| error.is("BadConfValu")),
                "{text}"
            );
        }
    }
}
