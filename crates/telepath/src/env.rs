//! What a process knows of its surroundings: `~/.syn`, aliases, registered AHA servers, certificate directories.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_certs::CertDir;
use myelin_error::Result;
use myelin_value::Value;

use crate::{aha, yaml};

/// The user's directory: `SYN_DIR`, or `~/.syn`.
pub fn syn_dir() -> PathBuf {
    match std::env::var_os("SYN_DIR") {
        Some(dir) => expand(Path::new(&dir)),
        None => expand(Path::new("~/.syn")),
    }
}

/// A path with a leading `~` replaced by the home directory.
pub fn expand(path: &Path) -> PathBuf {
    myelin_certs::expand_home(path)
}

/// The URL an alias stands for: an exact match first, else the text before the first `/` with the rest put back.
pub fn alias(name: &str) -> Result<Option<String>> {
    let Some(conf) = yaml::load_file(&syn_dir().join("aliases.yaml"))? else { return Ok(None) };
    let lookup = |name: &str| conf.get(name).and_then(Value::as_str).filter(|url| !url.is_empty());
    if let Some(url) = lookup(name) {
        return Ok(Some(url.to_owned()));
    }
    Ok(match name.split_once('/') {
        Some((name, rest)) => {
            lookup(name).map(|url| if rest.is_empty() { url.to_owned() } else { format!("{url}/{rest}") })
        }
        None => None,
    })
}

/// What was loaded into the process; dropping it takes it back.
#[derive(Default)]
pub struct TeleEnv {
    ahas: Vec<aha::AhaUrls>,
    certdirs: Vec<PathBuf>,
}

impl TeleEnv {
    /// What a command line tool loads: the service directory of a container, `telepath.yaml` and the user's certificates.
    pub fn for_tools() -> Result<TeleEnv> {
        let mut env = TeleEnv::default();
        env.add_cell(Path::new("/vertex/storage"))?;
        env.add_yaml(&syn_dir().join("telepath.yaml"))?;
        env.add_certs(&syn_dir().join("certs"));
        Ok(env)
    }

    /// Loads a service directory: its certificates and the AHA servers of its `cell.yaml`.
    pub fn for_cell(dirn: &Path) -> Result<TeleEnv> {
        let mut env = TeleEnv::default();
        env.add_cell(dirn)?;
        Ok(env)
    }

    /// Adds a service directory.
    pub fn add_cell(&mut self, dirn: &Path) -> Result<()> {
        let certs = dirn.join("certs");
        if certs.is_dir() {
            self.add_certs(&certs);
        }
        let conf = yaml::load_file(&dirn.join("cell.yaml"))?.unwrap_or_default();
        if let Some(urls) = conf.get("aha:registry").filter(|urls| urls.is_truthy()) {
            self.add_aha(urls)?;
        }
        Ok(())
    }

    /// Adds what a `telepath.yaml` names.
    pub fn add_yaml(&mut self, path: &Path) -> Result<()> {
        let Some(conf) = yaml::load_file(path)? else { return Ok(()) };
        if conf.get("version") != Some(&Value::from(1)) {
            tracing::warn!(path = %path.display(), "ignored: its version is not 1");
            return Ok(());
        }
        for urls in conf.get("aha:servers").and_then(Value::as_list).unwrap_or_default() {
            self.add_aha(urls)?;
        }
        for dirn in conf.get("certdirs").and_then(Value::as_list).unwrap_or_default() {
            if let Some(dirn) = dirn.as_str() {
                self.add_certs(&expand(Path::new(dirn)));
            }
        }
        Ok(())
    }

    /// Adds an AHA server, or a list of URLs of one AHA cluster.
    pub fn add_aha(&mut self, urls: &Value) -> Result<()> {
        let urls = aha::AhaUrls::from_value(urls)?;
        aha::add_urls(&urls);
        self.ahas.push(urls);
        Ok(())
    }

    /// Adds a certificate directory to the process's own.
    pub fn add_certs(&mut self, path: &Path) {
        default_certdir().add_path(path);
        self.certdirs.push(path.to_owned());
    }
}

impl Drop for TeleEnv {
    fn drop(&mut self) {
        for urls in &self.ahas {
            aha::del_urls(urls);
        }
        for path in &self.certdirs {
            default_certdir().del_path(path);
        }
    }
}

/// The certificates used where nobody names others.
pub fn default_certdir() -> Arc<CertDir> {
    CertDir::process_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telepath_yaml_of_another_version_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("telepath.yaml");
        std::fs::write(&path, "version: 2\ncertdirs: [newp]\n").unwrap();
        let mut env = TeleEnv::default();
        env.add_yaml(&path).unwrap();
        assert!(env.certdirs.is_empty());
        std::fs::write(&path, "version: 1\ncertdirs: [some/dir]\n").unwrap();
        env.add_yaml(&path).unwrap();
        assert_eq!(env.certdirs.len(), 1);
    }
}
