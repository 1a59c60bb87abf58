#![forbid(unsafe_code)]
//! Certificates: directories of them, an authority that issues them, and the TLS that uses them.
//!
//! A [`CertDir`] finds `NAME.crt` and `NAME.key` in one or more directories, makes new ones as the platform has always made
//! them (RSA of 4096 bits, SHA-256, ten years, common name only), signs requests, keeps revocation lists, and gives the
//! rustls configurations for listeners and clients.
//!
//! Making an RSA key takes seconds: every `gen_*` function blocks and belongs on a thread that may.
//!
//! One difference from the original, on purpose: a listener with `ca` refuses client certificates that are on that
//! authority's revocation list. The original reads the lists only for code signing.

mod build;
mod cert;
mod code;
mod crl;
mod der;
mod dir;
mod key;
mod p12;
mod pem;
mod tls;

pub use cert::{Cert, Csr, cert_hash, common_name};
pub use dir::{CertDir, Issued, Requested, Sub, expand_home, load_cert, load_key};
pub use key::PrivKey;
pub use tls::{file_server_config, pinned_client_config, provider};
