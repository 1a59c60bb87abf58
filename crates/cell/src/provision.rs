//! Joining a network: a service with a one-time URL gets its options and its certificates from AHA before it opens.
//!
//! The key is used up by the first connection, so whatever fails after it needs a new URL. A URL that was used is left
//! alone: `prov.done` holds its key.

use std::path::{Path, PathBuf};

use myelin_certs::{CertDir, Sub};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo, UrlInfo, yaml};
use myelin_value::{Map, Value};

use crate::cell::CellSpec;
use crate::conf::Conf;

/// What AHA said, and the key of the URL that was used for it.
pub(crate) struct Joined {
    pub told: Map,
    pub key: String,
}

/// Provisions a service whose options have an `aha:provision` that was not used yet. `given` is what the environment and
/// the command line say; what AHA says goes to `cell.yaml`. A service that is to be a mirror and has no iden yet then copies
/// its leader.
pub async fn provision(spec: &CellSpec, dirn: &Path, given: &Map) -> Result<()> {
    std::fs::create_dir_all(dirn)?;
    let conf = Conf::load(dirn, spec.confs, given.clone())?;
    if crate::clone::go_on_as_mirror(dirn).await? {
        return Ok(());
    }
    crate::mirror::resync::resync(dirn, &conf).await?;
    if let Some(url) = conf.str("clone").filter(|_| !dirn.join("cell.guid").exists()) {
        return crate::clone::begin_as_clone(dirn, &url).await;
    }
    let joined = join_once(spec, dirn, &conf).await?;
    let conf = Conf::load(dirn, spec.confs, given.clone())?;
    // An AHA server begins as a mirror by an option of its own.
    match conf.str("mirror") {
        Some(leader) if !dirn.join("cell.guid").exists() && !conf.is_on("clone") => {
            let joined = joined.ok_or_else(|| {
                let mesg = "The service is to begin as a mirror and was not provisioned just now: there is no aha:provision, \
                            its key was used already, or the directory was changed by hand.";
                err!("FatalErr", mesg = mesg)
            })?;
            crate::clone::begin_as_mirror(dirn, &leader, &joined).await
        }
        _ => Ok(()),
    }
}

async fn join_once(spec: &CellSpec, dirn: &Path, conf: &Conf) -> Result<Option<Joined>> {
    let urls: Vec<UrlInfo> = match conf.get("aha:provision") {
        Value::Null => return Ok(None),
        Value::List(urls) => urls.iter().map(UrlInfo::from_value).collect::<Result<_>>()?,
        url => vec![UrlInfo::from_value(&url)?],
    };
    let Some(first) = urls.first() else { return Ok(None) };
    let key = key_of(first)?;
    let done = dirn.join("prov.done");
    if std::fs::read_to_string(&done).is_ok_and(|used| used.trim() == key) {
        tracing::debug!("the provisioning URL has been used");
        return Ok(None);
    }
    tracing::info!(celltype = spec.celltype, "asking AHA for options and certificates");
    let proxy = open_any(&urls).await?;
    let told = join(conf, dirn, &proxy).await;
    proxy.fini().await;
    let told = told?;
    std::fs::write(&done, &key)?;
    tracing::info!(celltype = spec.celltype, "provisioned by AHA");
    Ok(Some(Joined { told, key }))
}

pub(crate) fn key_of(url: &UrlInfo) -> Result<String> {
    let key = url.get_str("path").unwrap_or_default().trim_matches('/').to_owned();
    if !key.is_empty() {
        return Ok(key);
    }
    let mesg = format!("The URL {} of aha:provision has no key.", url.sanitized());
    Err(err!("BadConfValu", mesg = mesg, name = "aha:provision"))
}

/// Several URLs are ways to one AHA; the first that answers is used.
async fn open_any(urls: &[UrlInfo]) -> Result<Proxy> {
    let mut last = err!("BadConfValu", mesg = "The option aha:provision is empty.", name = "aha:provision");
    for url in urls {
        match Proxy::open_info(url).await {
            Ok(proxy) => return Ok(proxy),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn join(conf: &Conf, dirn: &Path, proxy: &Proxy) -> Result<Map> {
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
    Ok(told.clone())
}

/// Joins what AHA said with `cell.yaml`, and drops from `cell.mods.yaml` what would win over it.
pub(crate) fn keep_conf(dirn: &Path, told: &Map) -> Result<()> {
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

    #[tokio::test]
    async fn a_used_key_is_skipped_and_a_mirror_without_a_start_is_refused() {
        let spec = CellSpec { celltype: "cell", confs: &[], envprefixes: &[], version: crate::version::VERSION };
        let dir = tempfile::tempdir().expect("a directory");
        let given = Map::new().with("aha:provision", "tcp://127.0.0.1:1/abcd");
        std::fs::write(dir.path().join("prov.done"), "abcd\n").expect("written");
        provision(&spec, dir.path(), &given).await.expect("skipped");
        let given = given.with("mirror", "tcp://127.0.0.1:1/x");
        let error = provision(&spec, dir.path(), &given).await.expect_err("no start");
        assert!(error.is("FatalErr"), "{error}");
        std::fs::write(dir.path().join("cell.guid"), "0".repeat(32)).expect("written");
        provision(&spec, dir.path(), &given).await.expect("nothing to do");
        let given = Map::new().with("aha:provision", "tcp://127.0.0.1:1/");
        let error = provision(&spec, dir.path(), &given).await.expect_err("no key");
        assert!(error.is("BadConfValu"), "{error}");
    }

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
