#![forbid(unsafe_code)]
//! Certificate authority, certificate directories and TLS contexts

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use myelin_error::{Error, Result};
use parking_lot::RwLock;

/// Certificate directories, searched in order; what is new is written to the first.
pub struct CertDir {
    dirs: RwLock<Vec<(PathBuf, usize)>>,
}

impl CertDir {
    /// The given directories.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> CertDir {
        let dir = CertDir { dirs: RwLock::default() };
        for path in paths {
            dir.add_path(&path);
        }
        dir
    }

    /// The resolver of the process: `SYN_CERT_DIR` or `~/.syn/certs`, and what is added later.
    pub fn process_default() -> Arc<CertDir> {
        static DIR: OnceLock<Arc<CertDir>> = OnceLock::new();
        let make = || {
            let path = std::env::var_os("SYN_CERT_DIR").map_or_else(|| PathBuf::from("~/.syn/certs"), PathBuf::from);
            Arc::new(CertDir::new([path]))
        };
        DIR.get_or_init(make).clone()
    }

    /// Adds a directory at the end; counted.
    pub fn add_path(&self, path: &Path) {
        let path = expand_home(path);
        let mut dirs = self.dirs.write();
        match dirs.iter_mut().find(|(have, _)| *have == path) {
            Some((_, refs)) => *refs += 1,
            None => dirs.push((path, 1)),
        }
    }

    /// Takes a directory back.
    pub fn del_path(&self, path: &Path) {
        let path = expand_home(path);
        let mut dirs = self.dirs.write();
        if let Some(at) = dirs.iter().position(|(have, _)| *have == path) {
            dirs[at].1 -= 1;
            if dirs[at].1 == 0 {
                dirs.remove(at);
            }
        }
    }

    /// TLS for a listener.
    pub fn server_config(&self, _hostname: Option<&str>, _caname: Option<&str>) -> Result<Arc<rustls::ServerConfig>> {
        Err(Error::not_supported("TLS listening"))
    }
}

/// The common name in a certificate.
pub fn common_name(_der: &[u8]) -> Option<String> {
    None
}

/// A path with a leading `~` replaced by the home directory.
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}

impl CertDir {
    /// TLS for a client.
    pub fn client_config(&self, _certname: Option<&str>) -> Result<Arc<rustls::ClientConfig>> {
        Err(Error::not_supported("TLS connecting"))
    }
}
/// TLS for a pinned client.
pub fn pinned_client_config() -> Result<Arc<rustls::ClientConfig>> {
    Err(Error::not_supported("TLS connecting"))
}
/// Hash.
pub fn cert_hash(_der: &[u8]) -> String {
    String::new()
}
