//! Joining a network: a service with a one-time URL gets its options and its certificates from AHA before it opens.
//!
//! The key is used up by the first connection, so whatever fails after it needs a new URL. A URL that was used is left
//! alone: `prov.done` holds its key.

use std::path::{Path, PathBuf};

use myelin_certs::{CertDir, Sub};
use myelin_error::{Error, Result, err};
use myelin_telepath::{Proxy, Todo, UrlInfo, yaml};
use myelin_value::{Map, Value};

use crate::cell::CellSpec;
use crate::conf::Conf;

/// Provisions a service whose options have an `aha:provision` that was not used yet. `given` is what the environment and
/// the command line say; what AHA says goes to `cell.yaml`.
pub async fn provision(spec: &CellSpec, dirn: &Path, given: &Map) -> Result<()> {
    std::fs::create_dir_all(dirn)?;
    let conf = Conf::load(dirn, spec.confs, given.clone())?;
    if let Some(url) = conf.str("aha:provision") {
        let info = UrlInfo::parse(&url)?;
        let key = info.get_str("path").unwrap_or_default().trim_matches('/').to_owned();
        let done = dirn.join("prov.done");
        if std::fs::read_to_string(&done).is_ok_and(|used| used.trim() == key) {
            tracing::debug!("the provisioning URL has been used");
        } else {
            join(&conf, dirn, &info).await?;
            std::fs::write(&done, &key)?;
            tracing::info!(celltype = spec.celltype, "provisioned by AHA");
        }
    }
    let conf = Conf::load(dirn, spec.confs, given.clone())?;
    if conf.is_on("mirror") && !dirn.join("cell.guid").exists() {
        return Err(Error::not_supported("making a new mirror from a backup of its leader"));
    }
    Ok(())
}

async fn join(conf: &Conf, dirn: &Path, info: &UrlInfo) -> Result<()> {
    let proxy = Proxy::open_info(info).await?;
    let provinfo = proxy.call("getProvInfo").await?;
    let empty = Map::new();
    let told = provinfo.get("conf").and_then(Value::as_map).unwrap_or(&empty);
    let need = |key: &str| {
        let missing = || err!("NeedConfValu", mesg = format!("AHA did not say {key}."), name = key);
        told.get_str(key).map(str::to_owned).ok_or_else(missing)
    };
    let (user, name, network) = (need("aha:user")?, need("aha:name")?, need("aha:network")?);
    for (key, valu) in told.text_entries() {
        conf.def(key)?.check(valu)?;
    }
    let certs = Certs { dirn: dirn.join("certs") };
    certs.drop_all(Sub::Cas, &network, &["crt"])?;
    certs.save(Sub::Cas, &proxy.call("getCaCert").await?)?;
    keep_conf(dirn, told)?;
    for (sub, full, method) in [
        (Sub::Hosts, format!("{name}.{network}"), "signHostCsr"),
        (Sub::Users, format!("{user}@{network}"), "signUserCsr"),
    ] {
        certs.drop_all(sub, &full, &["crt", "key", "csr"])?;
        let csr = certs.request(sub, &full).await?;
        certs.save(sub, &proxy.call(Todo::new(method).arg(csr.as_bytes())).await?)?;
        certs.drop_all(sub, &full, &["csr"])?;
    }
    proxy.fini().await;
    Ok(())
}

/// Joins what AHA said with `cell.yaml`, and drops from `cell.mods.yaml` what would win over it.
fn keep_conf(dirn: &Path, told: &Map) -> Result<()> {
    let edit = |file: &str, change: &dyn Fn(&mut Map)| -> Result<()> {
        let path = dirn.join(file);
        let found = yaml::load_file(&path)?;
        let mut conf = found.as_ref().and_then(Value::as_map).cloned().unwrap_or_default();
        change(&mut conf);
        if conf.is_empty() && found.is_none() {
            return Ok(());
        }
        let mut keys: Vec<String> = conf.text_entries().map(|(key, _)| key.to_owned()).collect();
        keys.sort();
        let sorted: Map = keys.iter().map(|key| (key.as_str(), conf.get(key).cloned().unwrap_or_default())).collect();
        yaml::save_file(&path, &sorted.into())
    };
    edit("cell.yaml", &|conf| {
        // A directory that was a mirror's may become a leader's.
        conf.remove("mirror");
        conf.update(told);
    })?;
    edit("cell.mods.yaml", &|mods| {
        mods.remove("mirror");
        mods.retain(|key, _| key.as_str().is_none_or(|key| !told.contains(key)));
    })
}

struct Certs {
    dirn: PathBuf,
}

impl Certs {
    fn drop_all(&self, sub: Sub, name: &str, exts: &[&str]) -> Result<()> {
        for ext in exts {
            match std::fs::remove_file(self.dirn.join(sub.name()).join(format!("{name}.{ext}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn save(&self, sub: Sub, pem: &Value) -> Result<()> {
        let byts = pem.as_bytes().ok_or_else(|| err!("BadCertBytes", mesg = "AHA sent no certificate."))?;
        CertDir::new([self.dirn.clone()]).save_cert_bytes(sub, byts).map(drop)
    }

    /// A new key and the request to sign it. Making a key takes its time.
    async fn request(&self, sub: Sub, name: &str) -> Result<String> {
        let (dirn, name) = (self.dirn.clone(), name.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let certs = CertDir::new([dirn]);
            match sub {
                Sub::Hosts => certs.gen_host_csr(&name),
                _ => certs.gen_user_csr(&name),
            }
        });
        let made = made.await.map_err(|error| err!("SynErr", mesg = format!("Making a key failed: {error}.")))??;
        Ok(made.pem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aha_says_replaces_what_the_files_say() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("cell.yaml"), "mirror: aha://x\nbackup:dir: /b\naha:name: old\n")
            .expect("written");
        std::fs::write(dir.path().join("cell.mods.yaml"), "mirror: aha://y\naha:name: older\nnexslog:en: true\n")
            .expect("written");
        let told = Map::new().with("aha:name", "00.axon").with("aha:leader", "axon");
        keep_conf(dir.path(), &told).expect("kept");
        let text = std::fs::read_to_string(dir.path().join("cell.yaml")).expect("a file");
        assert_eq!(text, "---\naha:leader: axon\naha:name: \"00.axon\"\nbackup:dir: /b\n...\n");
        let mods = yaml::load_file(&dir.path().join("cell.mods.yaml")).expect("a file");
        assert_eq!(mods, Some(Map::new().with("nexslog:en", true).into()));
    }
}
