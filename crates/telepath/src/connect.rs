//! Opening connections: where a URL leads, and the checks on the peer's certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use myelin_error::{Result, err};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::api::AuthInfo;
use crate::dmon::DEFAULT_PORT;
use crate::env;
use crate::link::{self, BoxStream};
use crate::unixpath::Way;
use crate::url::UrlInfo;

/// Where a proxy's connections go.
#[derive(Clone)]
pub(crate) enum Target {
    Unix(PathBuf),
    Tcp { host: String, port: u16, tls: Option<TlsTarget> },
}

#[derive(Clone)]
pub(crate) struct TlsTarget {
    config: Arc<rustls::ClientConfig>,
    /// Name sent as SNI, and the exact common name the peer must have unless pinned.
    hostname: String,
    certhash: Option<String>,
}

/// The login that a URL holds.
pub(crate) fn auth_of(info: &UrlInfo) -> Option<AuthInfo> {
    let user = info.get_str("user")?.to_owned();
    Some(AuthInfo { user, passwd: info.get_str("passwd").map(str::to_owned) })
}

/// Where a URL leads, and the share it names.
pub(crate) fn target_of(info: &UrlInfo) -> Result<(Target, String)> {
    let scheme = info.scheme();
    if let Some((_, disc)) = scheme.split_once('+') {
        return Err(match disc {
            "consul" => err!("FeatureNotSupported", mesg = "Looking services up through Consul is not supported."),
            _ => err!("BadUrl", mesg = format!("Unknown discovery protocol [{disc}]."), disc = disc),
        });
    }
    let path = info.get_str("path").unwrap_or("");
    let (target, name) = match scheme {
        "unix" => {
            let (path, name) = path.split_once(':').unwrap_or((path, "*"));
            (Target::Unix(PathBuf::from(path)), name.to_owned())
        }
        "cell" => {
            // `cell://rel/dir` has the first part of a relative path where other URLs have the host.
            let full = match info.get_str("host").filter(|host| !host.is_empty()) {
                Some(host) => format!("{host}/{}", path.trim_matches('/')),
                None => path.to_owned(),
            };
            let (dirn, name) = full.split_once(':').unwrap_or((&full, "*"));
            (Target::Unix(PathBuf::from(dirn).join("sock")), name.to_owned())
        }
        "tcp" | "ssl" => {
            let host = info.get_str("host").unwrap_or("").to_owned();
            let tls = if scheme == "ssl" { Some(tls_target(info, &host)?) } else { None };
            let port = info.port().unwrap_or(DEFAULT_PORT);
            let mut name = path.chars();
            name.next();
            (Target::Tcp { host, port, tls }, name.as_str().to_owned())
        }
        _ => return Err(err!("BadUrl", mesg = format!("Invalid URL scheme: {scheme}"))),
    };
    Ok((target, info.get_str("name").map_or(name, str::to_owned)))
}

fn tls_target(info: &UrlInfo, host: &str) -> Result<TlsTarget> {
    let hostname = info.get_str("hostname").unwrap_or(host).to_owned();
    let certdir = info.certdir.clone().unwrap_or_else(env::default_certdir);
    if let Some(certhash) = info.get_str("certhash") {
        let config = myelin_certs::pinned_client_config()?;
        return Ok(TlsTarget { config, hostname, certhash: Some(certhash.to_owned()) });
    }
    let certname = match (info.get_str("certname"), info.get_str("user"), info.get_str("passwd")) {
        (Some(name), _, _) => Some(name.to_owned()),
        // A user without a password comes with a certificate of that name.
        (None, Some(user), None) => Some(format!("{user}@{hostname}")),
        _ => None,
    };
    let config = certdir.client_config(certname.as_deref())?;
    Ok(TlsTarget { config, hostname, certhash: None })
}

/// How long a machine may take to accept a connection. The system would try for minutes, with longer and longer pauses, and
/// not see that the machine is back.
const CONNECT_WAIT: Duration = Duration::from_secs(8);

async fn connect_unix(path: &Path) -> std::io::Result<UnixStream> {
    let way = Way::to(path)?;
    UnixStream::connect(way.path()).await
}

impl Target {
    /// One more connection.
    pub async fn connect(&self) -> Result<BoxStream> {
        match self {
            Target::Unix(path) => match connect_unix(path).await {
                Ok(sock) => Ok(Box::new(sock)),
                Err(e) => {
                    let path = path.to_string_lossy().into_owned();
                    Err(match e.kind() {
                        std::io::ErrorKind::NotFound => {
                            err!("NoSuchPath", mesg = format!("Cell path does not exist: {path}"))
                        }
                        _ => err!("LinkErr", mesg = format!("Cell path is not listening: {path} ({e})"), path = path),
                    })
                }
            },
            Target::Tcp { host, port, tls } => {
                let silent = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "nobody answers");
                let sock = tokio::time::timeout(CONNECT_WAIT, TcpStream::connect((host.as_str(), *port)))
                    .await
                    .map_err(silent)
                    .and_then(|sock| sock)
                    .map_err(|e| err!("LinkErr", mesg = format!("Cannot connect to {host} port {port}: {e}")))?;
                link::tune(&sock);
                match tls {
                    None => Ok(Box::new(sock)),
                    Some(tls) => tls.wrap(sock).await,
                }
            }
        }
    }
}

impl TlsTarget {
    async fn wrap(&self, sock: TcpStream) -> Result<BoxStream> {
        // A name that DNS does not allow is not sent; an address never is.
        let unnamed = || ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let sni = ServerName::try_from(self.hostname.clone()).unwrap_or_else(|_| unnamed());
        let stream = TlsConnector::from(self.config.clone())
            .connect(sni, sock)
            .await
            .map_err(|e| err!("LinkErr", mesg = format!("TLS with {} failed: {e}", self.hostname)))?;
        let cert = stream.get_ref().1.peer_certificates().and_then(|certs| certs.first());
        match (&self.certhash, cert) {
            (Some(want), cert) => {
                if cert.map(|cert| myelin_certs::cert_hash(cert)).as_ref() != Some(want) {
                    let text = format!("The server's certificate is not the pinned one, certhash={want}.");
                    return Err(err!("LinkBadCert", mesg = text));
                }
            }
            (None, cert) => {
                let name = cert.and_then(|cert| myelin_certs::common_name(cert));
                if name.as_ref() != Some(&self.hostname) {
                    let got = name.as_deref().unwrap_or("None");
                    return Err(err!("BadCertHost", mesg = format!("Expected: {} Got: {got}", self.hostname)));
                }
            }
        }
        Ok(Box::new(stream))
    }
}
