//! TLS for listeners and clients, by the platform's own rules.
//!
//! Names are compared by the caller with the certificate's common name, never with alternative names; authorities have
//! no key usage and no key identifiers; a listener with `ca` trusts exactly that authority for its clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use myelin_error::{Error, Result, err};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::cert::Cert;
use crate::crl;
use crate::dir::{CertDir, Sub, load_key};
use crate::key::bad_cert;

/// The one cryptographic provider used; chosen here, since a process with two compiled in would have none by default.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

impl CertDir {
    /// TLS for a listener. `hostname` may be several names with commas, chosen by SNI, the first being the default;
    /// without one the machine's own name is used. With `caname`, clients must present a certificate of that authority.
    pub fn server_config(&self, hostname: Option<&str>, caname: Option<&str>) -> Result<Arc<ServerConfig>> {
        let own;
        let hostname = match hostname {
            Some(name) => name,
            None => {
                own = rustix::system::uname().nodename().to_string_lossy().into_owned();
                &own
            }
        };
        let certs: Vec<(String, Arc<CertifiedKey>)> =
            hostname.split(',').map(|name| Ok((name.to_owned(), self.host_key(name)?))).collect::<Result<_>>()?;
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(tls_err)?;
        let builder = match caname {
            None => builder.with_no_client_auth(),
            Some(name) => builder.with_client_cert_verifier(self.client_verifier(name)?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(BySni { certs }));
        // A resumed session would skip the look at the client's certificate, and so at its revocation.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    fn host_key(&self, name: &str) -> Result<Arc<CertifiedKey>> {
        let missing =
            |what: &str| err!("NoCertKey", mesg = format!("Missing TLS {what} file for host: {name}"), name = name);
        let cert = self.cert_path(Sub::Hosts, name).ok_or_else(|| missing("certificate"))?;
        let key = self.key_path(Sub::Hosts, name).ok_or_else(|| missing("key"))?;
        certified(&cert, &key)
    }

    fn client_verifier(&self, caname: &str) -> Result<Arc<dyn ClientCertVerifier>> {
        let ca = self
            .cert(Sub::Cas, caname)?
            .ok_or_else(|| err!("NoSuchCert", mesg = format!("Missing CA Certificate for {caname}"), name = caname))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).map_err(bad_cert)?;
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| bad_cert(&e))?;
        Ok(Arc::new(ClientVerifier { inner, ca, dirs: self.paths() }))
    }

    /// TLS for a client that checks the server against every authority of the directories and of the system, and
    /// presents a user's certificate if one is named. The caller compares the name.
    pub fn client_config(&self, certname: Option<&str>) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore { roots: system_roots().roots.clone() };
        for cert in self.ca_certs()? {
            roots.add(cert.der().clone()).map_err(bad_cert)?;
        }
        let verifier = Arc::new(ServerVerifier { roots: Some(roots) });
        self.client_with(verifier, certname)
    }

    fn client_with(&self, verifier: Arc<ServerVerifier>, certname: Option<&str>) -> Result<Arc<ClientConfig>> {
        let builder = client_builder(verifier)?;
        let Some(certname) = certname else { return Ok(Arc::new(builder.with_no_client_auth())) };
        let no_cert = || err!("NoSuchCert", mesg = format!("User certificate not found: {certname}"), name = certname);
        let name = match certname.split_once('@') {
            Some((user, host)) => self.user_for_host(user, host).ok_or_else(no_cert)?,
            None => certname.to_owned(),
        };
        let cert = self.cert_path(Sub::Users, &name).ok_or_else(no_cert)?;
        let key = self.key_path(Sub::Users, &name).ok_or_else(|| {
            err!("NoCertKey", mesg = format!("User private key not found: {certname}"), name = certname)
        })?;
        let config = builder.with_client_auth_cert(load_chain(&cert)?, load_key(&key)?.to_rustls()).map_err(tls_err)?;
        Ok(Arc::new(config))
    }
}

type ClientBuilder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client_builder(verifier: Arc<ServerVerifier>) -> Result<ClientBuilder> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(tls_err)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

/// TLS for a client that takes any certificate because the caller compares its hash.
pub fn pinned_client_config() -> Result<Arc<ClientConfig>> {
    Ok(Arc::new(client_builder(Arc::new(ServerVerifier { roots: None }))?.with_no_client_auth()))
}

fn tls_err(e: rustls::Error) -> myelin_error::Error {
    err!("CryptoErr", mesg = format!("TLS cannot be set up: {e}"))
}

fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let byts = std::fs::read(path)?;
    let chain = CertificateDer::pem_slice_iter(&byts).collect::<Result<Vec<_>, _>>().map_err(bad_cert)?;
    if chain.is_empty() {
        return Err(bad_cert("there is no certificate in the file").with("path", path.to_string_lossy().into_owned()));
    }
    Ok(chain)
}

fn certified(cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>> {
    let signer = provider().key_provider.load_private_key(load_key(key)?.to_rustls()).map_err(tls_err)?;
    let pair = CertifiedKey::new(load_chain(cert)?, signer);
    pair.keys_match().map_err(|e| bad_cert(e).with("path", cert.to_string_lossy().into_owned()))?;
    Ok(Arc::new(pair))
}

/// TLS for a listener whose certificate chain and key are in two files, the key of any kind that rustls knows. Clients need
/// no certificate.
pub fn file_server_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let named = |e: Error, path: &Path| e.with("path", path.to_string_lossy().into_owned());
    let pkey = PrivateKeyDer::from_pem_file(key).map_err(|e| named(bad_cert(e), key))?;
    let signer = provider().key_provider.load_private_key(pkey).map_err(|e| named(tls_err(e), key))?;
    let pair = CertifiedKey::new(load_chain(cert)?, signer);
    pair.keys_match().map_err(|e| named(bad_cert(e), cert))?;
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(tls_err)?;
    let certs = vec![(String::new(), Arc::new(pair))];
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(BySni { certs }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The authorities of the machine, read once.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let known = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let path = named.into_iter().chain(known.map(PathBuf::from)).find(|path| path.is_file());
        if let Some(byts) = path.and_then(|path| std::fs::read(path).ok()) {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&byts).flatten());
        }
        roots
    })
}

/// Chooses the certificate by the name the client asks for.
#[derive(Debug)]
struct BySni {
    certs: Vec<(String, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let found = self.certs.iter().find(|(name, _)| asked.is_some_and(|asked| asked.eq_ignore_ascii_case(name)));
        found.or(self.certs.first()).map(|(_, cert)| cert.clone())
    }
}

/// Checks clients against one authority, and against its revocation list as it is on disk at that moment.
#[derive(Debug)]
struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    ca: Cert,
    dirs: Vec<PathBuf>,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(cert, chain, now)?;
        let parsed = Cert::from_der(cert.to_vec()).map_err(|_| CertificateError::BadEncoding)?;
        if crl::is_revoked(&self.dirs, &parsed, &self.ca) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        mesg: &[u8],
        cert: &CertificateDer<'_>,
        sig: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(mesg, cert, sig)
    }

    fn verify_tls13_signature(
        &self,
        mesg: &[u8],
        cert: &CertificateDer<'_>,
        sig: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(mesg, cert, sig)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Checks servers: a path to a trusted authority, but no name. Without roots, any certificate will do.
#[derive(Debug)]
struct ServerVerifier {
    roots: Option<RootCertStore>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let algs = provider().signature_verification_algorithms.all;
            let parsed = ParsedCertificate::try_from(cert)?;
            rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, roots, chain, now, algs)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        mesg: &[u8],
        cert: &CertificateDer<'_>,
        sig: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(mesg, cert, sig, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        mesg: &[u8],
        cert: &CertificateDer<'_>,
        sig: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(mesg, cert, sig, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
