//! The HTTPS server of a service, and what every route shares.
//!
//! A service adds its own routes with [`Cell::add_routes`]. Their handlers take [`Who`], [`Admin`] or [`MaybeWho`] to
//! learn who asks, [`JsonBody`] for the request, and answer with [`Reply`] or [`Fail`]. Work that touches the database
//! runs in [`blocking`].
//!
//! Certificate and key are `sslcert.pem` and `sslkey.pem` in the service's directory; a pair that signs itself is made if
//! there is none. `reload` reads them again.

mod cookie;
mod reply;
mod routes;
mod table;
mod who;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{HOST, HeaderName, ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_telepath::gate;
use myelin_value::{Map, Value};
use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use reply::{Fail, Reply, unauthenticated};
pub use table::Routes;
pub use who::{Admin, JsonBody, MaybeWho, Remote, Who, req_allowed};

use crate::{Cell, User};

/// Connections at a time; further ones wait to be accepted.
const MAX_CONNS: usize = 4096;
/// The largest body of a request that is read whole.
const MAX_BODY: usize = 100 << 20;
/// How long a TLS handshake, and the headers of a request, may take.
const SLOW: Duration = Duration::from_secs(30);

/// What is known of a request beside its headers.
#[derive(Clone)]
pub(crate) struct Conn {
    cell: Cell,
    secret: Arc<[u8]>,
    remote: Arc<str>,
    /// Who was found to ask, for the log.
    user: Arc<Mutex<Option<User>>>,
}

impl Conn {
    fn of(parts: &Parts) -> std::result::Result<Conn, Fail> {
        let missing = || Fail::new(StatusCode::INTERNAL_SERVER_ERROR, "SynErr", "The route is not served by a cell.");
        parts.extensions.get::<Conn>().cloned().ok_or_else(missing)
    }
}

/// Runs a handler's work where it may block.
pub async fn blocking<T, F>(func: F) -> std::result::Result<T, Fail>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(func).await {
        Ok(done) => done.map_err(Fail::from),
        Err(error) => {
            tracing::error!(%error, "a handler of a request failed");
            Err(Fail::new(StatusCode::INTERNAL_SERVER_ERROR, "SynErr", "The request could not be handled."))
        }
    }
}

/// Marks an answer whose headers are its own business: it gets none of those that every answer has.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

/// Where a service lets its users define what is answered, `OPTIONS` included.
const EXTENDED: &str = "/api/ext/";

struct Host {
    cell: Cell,
    secret: Arc<[u8]>,
    headers: Vec<(HeaderName, HeaderValue)>,
    behind_proxy: bool,
    tls: Arc<RwLock<TlsAcceptor>>,
    conns: Arc<Semaphore>,
    base: Router,
}

impl Cell {
    /// Adds routes to the HTTPS server, whether it runs already or not.
    pub fn add_routes(&self, routes: Routes) {
        let mut all = self.inner().routes.write();
        *all = std::mem::take(&mut *all).merge(routes);
    }

    /// The paths that the HTTPS server of this service answers, parameters in braces.
    pub fn route_paths(&self) -> Vec<String> {
        [routes::all(self).paths(), self.inner().routes.read().paths()].concat()
    }

    /// Starts the HTTPS server. Returns where it listens; the port 0 takes a free one.
    pub async fn serve_https(&self, port: u16) -> Result<SocketAddr> {
        let cell = self.clone();
        let made = tokio::task::spawn_blocking(move || Host::new(cell)).await;
        let host = made.map_err(|error| err!("SynErr", mesg = format!("The start was abandoned: {error}.")))??;
        let failed = |error| err!("LinkErr", mesg = format!("Cannot listen on port {port} for HTTPS: {error}"));
        let listener = TcpListener::bind(("0.0.0.0", port)).await.map_err(failed)?;
        let addr = listener.local_addr()?;
        let (cell, tls) = (self.clone(), host.tls.clone());
        let dirn = self.dirn().to_owned();
        self.add_reload(
            "https:certs",
            Arc::new(move || {
                *tls.write() = acceptor(&dirn)?;
                Ok(Value::Bool(true))
            }),
        );
        let listed = Map::new().with("host", addr.ip().to_string()).with("port", i64::from(addr.port()));
        self.inner().https.lock().push(listed.into());
        tracing::info!(port = addr.port(), "listening for HTTPS");
        tokio::spawn(async move {
            tokio::select! {
                () = Arc::new(host).accept(listener) => {}
                () = cell.done().cancelled() => {}
            }
        });
        Ok(addr)
    }
}

/// Makes the certificate where there is none, and reads it.
fn acceptor(dirn: &Path) -> Result<TlsAcceptor> {
    let config = myelin_certs::file_server_config(&dirn.join("sslcert.pem"), &dirn.join("sslkey.pem"))?;
    Ok(TlsAcceptor::from(config))
}

fn make_cert(cell: &Cell) -> Result<()> {
    let (cert, key) = (cell.dirn().join("sslcert.pem"), cell.dirn().join("sslkey.pem"));
    if cert.is_file() {
        return Ok(());
    }
    tracing::warn!("there is no sslcert.pem: making a certificate that signs itself");
    let made = CertDir::new([cell.dirn().join("tmp")]).gen_host_cert(cell.celltype(), None, None, false)?;
    let pkey = made.key.ok_or_else(|| err!("NoCertKey", mesg = "No key was made for the certificate."))?;
    std::fs::write(&key, pkey.to_pem())?;
    crate::cell::set_private(&key)?;
    Ok(std::fs::write(&cert, made.cert.to_pem())?)
}

impl Host {
    fn new(cell: Cell) -> Result<Host> {
        make_cert(&cell)?;
        let tls = acceptor(cell.dirn())?;
        let conf = cell.conf().get("https:headers");
        let headers = conf.as_map().into_iter().flat_map(Map::text_entries);
        let headers = headers.map(|(name, valu)| header(name, valu)).collect::<Result<_>>()?;
        Ok(Host {
            secret: std::fs::read(cell.dirn().join("cookie.secret"))?.into(),
            headers,
            behind_proxy: cell.conf().is_on("https:parse:proxy:remoteip"),
            tls: Arc::new(RwLock::new(tls)),
            conns: Arc::new(Semaphore::new(MAX_CONNS)),
            base: routes::all(&cell).router(),
            cell,
        })
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        // Never closed, so there always is a permit to wait for.
        while let Ok(permit) = self.conns.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((sock, peer)) => {
                    let host = self.clone();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = host.serve(sock, peer) => {}
                            () = host.cell.done().cancelled() => {}
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The routes for one connection. Those that a service adds later hold for connections from then on.
    fn router(self: &Arc<Self>, peer: SocketAddr) -> Router {
        let routes = self.base.clone().merge(self.cell.inner().routes.read().router());
        let around = axum::middleware::from_fn_with_state((self.clone(), peer), around);
        routes.layer(DefaultBodyLimit::max(MAX_BODY)).layer(around)
    }

    async fn serve(self: &Arc<Self>, sock: TcpStream, peer: SocketAddr) {
        let acceptor = self.tls.read().clone();
        let stream = match tokio::time::timeout(SLOW, acceptor.accept(sock)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
        };
        let routes = self.router(peer);
        let mut http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(SLOW);
        let service = TowerToHyperService::new(routes);
        if let Err(error) = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }
}

fn header(name: &str, valu: &Value) -> Result<(HeaderName, HeaderValue)> {
    let text = valu.as_str().map_or_else(|| format!("{valu:?}"), str::to_owned);
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&text)) {
        (Ok(name), Ok(valu)) => Ok((name, valu)),
        _ => {
            let mesg = format!("The header {name} of https:headers cannot be sent.");
            Err(err!("BadConfValu", mesg = mesg, name = "https:headers"))
        }
    }
}

/// What happens around every request: headers, `OPTIONS`, and a line in the log.
async fn around(State((host, peer)): State<(Arc<Host>, SocketAddr)>, mut req: Request, next: Next) -> Response {
    let remote: Arc<str> = host.remote(&peer, req.headers()).into();
    let (method, uri) = (req.method().clone(), req.uri().to_string());
    let origin = req.headers().get(ORIGIN).filter(|_| is_same_host(req.headers())).cloned();
    let agent = req.headers().get(USER_AGENT).and_then(|valu| valu.to_str().ok()).unwrap_or_default().to_owned();
    let user = Arc::new(Mutex::new(None));
    req.extensions_mut().insert(Conn {
        cell: host.cell.clone(),
        secret: host.secret.clone(),
        remote: remote.clone(),
        user: user.clone(),
    });
    let mut response = match method {
        Method::OPTIONS if !req.uri().path().starts_with(EXTENDED) => StatusCode::NO_CONTENT.into_response(),
        _ => settled(next.run(req).await).await,
    };
    let bare = response.extensions().get::<Bare>().is_some();
    let headers = response.headers_mut();
    if !bare {
        headers.insert("X-Content-Type-Options", HeaderValue::from_static("nosniff"));
    }
    if let Some(origin) = origin.filter(|_| !bare) {
        headers.insert("Access-Control-Allow-Origin", origin);
        headers.insert("Access-Control-Allow-Credentials", HeaderValue::from_static("true"));
        headers.insert("Access-Control-Allow-Headers", HeaderValue::from_static("Content-Type"));
    }
    for (name, valu) in &host.headers {
        headers.append(name, valu.clone());
    }
    log_access(&response, &method, &uri, &remote, &agent, user.lock().as_ref());
    response
}

/// An answer that may leave: the gates are passed before it, and before each piece of a body that is still to come.
async fn settled(response: Response) -> Response {
    if let Err(error) = gate::pass().await {
        return Fail::from(error).into_response();
    }
    let (parts, body) = response.into_parts();
    if body.size_hint().exact().is_some() {
        return Response::from_parts(parts, body);
    }
    let pieces = body.into_data_stream().then(async |piece| {
        gate::pass().await.map_err(axum::Error::new)?;
        piece
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

impl Host {
    fn remote(&self, peer: &SocketAddr, headers: &HeaderMap) -> String {
        let text = |name: &str| headers.get(name).and_then(|valu| valu.to_str().ok());
        let told = || {
            let real = text("x-real-ip").map(str::trim);
            real.or_else(|| text("x-forwarded-for")?.rsplit(',').map(str::trim).next())
        };
        let told = if self.behind_proxy { told() } else { None };
        match told.filter(|ip| ip.parse::<std::net::IpAddr>().is_ok()) {
            Some(ip) => ip.to_owned(),
            None => peer.ip().to_string(),
        }
    }
}

/// Whether a browser's page comes from this very host.
fn is_same_host(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|valu| valu.to_str().ok());
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, rest)| hostname(rest));
    origin.is_some() && origin == text(HOST).map(hostname)
}

fn hostname(place: &str) -> &str {
    let place = place.split('/').next().unwrap_or(place);
    match place.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|chr| chr.is_ascii_digit()) => host,
        _ => place,
    }
}

fn log_access(resp: &Response, method: &Method, uri: &str, remote: &str, agent: &str, user: Option<&User>) {
    let status = resp.status().as_u16();
    let (iden, name) = (user.map(|user| user.iden().to_string()), user.map(|user| user.name().to_string()));
    let headers = Map::new().with("headers", Map::new().with("user-agent", agent));
    let params = myelin_value::json::to_json_text(&headers.into()).unwrap_or_default();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(target: "tornado.access", http_status = status, uri, remoteip = remote, params,
                user = iden, username = name, "{status} {method} {uri} ({remote})")
        };
    }
    match status {
        0..400 => line!(info),
        400..500 => line!(warn),
        _ => line!(error),
    }
}

#[cfg(test)]
mod tests;
