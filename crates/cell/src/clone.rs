//! The copy of a running service's directory that a new mirror begins with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use myelin_error::{Error, Result, err};
use myelin_telepath::{Client, Proxy, Todo, UrlInfo, env::TeleEnv, yaml};
use myelin_value::{Map, Value};

use crate::provision::{Joined, keep_conf, key_of};

/// Says that the copy of the leader's directory is not whole yet, and what AHA said of this service.
const MARK: &str = "bootstrap.unfinished";
/// What a copy that begins anew leaves where it is.
const KEPT: &[&str] = &["cell.yaml", "cell.mods.yaml", "certs", "prov.done", "backups", MARK];
/// How long a new mirror waits for its leader to be reachable.
const LEADER_WAIT: Duration = Duration::from_secs(60);

/// Copies the leader's directory over this one, then makes its options those of the mirror again.
pub(crate) async fn begin_as_mirror(dirn: &Path, leader: &str, joined: &Joined) -> Result<()> {
    let shown = myelin_telepath::url::sanitize(leader);
    let mark = Map::new().with("key", &joined.key).with("told", joined.told.clone()).with("leader", leader);
    yaml::save_file(&dirn.join(MARK), &mark.into())?;
    tracing::warn!(leader = shown, "copying the leader's directory; this may take a while");
    let env = TeleEnv::for_cell(dirn)?;
    let client = Client::open(leader)?;
    let copied = async {
        let proxy = client.proxy(Some(LEADER_WAIT)).await?;
        copy_of(&proxy, dirn).await
    };
    let copied = copied.await;
    client.fini().await;
    drop(env);
    copied?;
    let path = dirn.join("cell.yaml");
    let mut conf: Map = yaml::load_file(&path)?.and_then(|conf| conf.as_map().cloned()).unwrap_or_default();
    let other = |url: &Value| UrlInfo::from_value(url).and_then(|url| key_of(&url)).is_ok_and(|key| key != joined.key);
    if conf.get("aha:provision").is_some_and(other) {
        conf.remove("aha:provision");
        yaml::save_file(&path, &conf.into())?;
    }
    keep_conf(dirn, &joined.told)?;
    fs::write(dirn.join("prov.done"), &joined.key)?;
    fs::remove_file(dirn.join(MARK))?;
    tracing::warn!(leader = shown, "copied the leader's directory");
    Ok(())
}

/// Begins again with a copy that was cut off: the key of the provisioning URL is used up, and what AHA said is in the mark.
/// False if there is none.
pub(crate) async fn go_on_as_mirror(dirn: &Path) -> Result<bool> {
    let Some(mark) = yaml::load_file(&dirn.join(MARK))? else { return Ok(false) };
    tracing::warn!("copying the leader's directory was cut off: it begins anew");
    for entry in fs::read_dir(dirn)? {
        let entry = entry?;
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    let text = |key: &str| mark.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = mark.get("told").and_then(Value::as_map).cloned().unwrap_or_default();
    let joined = Joined { told, key: text("key") };
    begin_as_mirror(dirn, &text("leader"), &joined).await?;
    Ok(true)
}

/// Begins as a clone of an AHA server, which needs no other introduction than a URL with a key.
pub(crate) async fn begin_as_clone(dirn: &Path, url: &str) -> Result<()> {
    let shown = myelin_telepath::url::sanitize(url);
    tracing::warn!(url = shown, "copying the AHA server's directory; this may take a while");
    let proxy = Proxy::open(url).await?;
    let copied = async {
        let def = proxy.call("getCloneDef").await?;
        copy_of(&proxy, dirn).await?;
        let conf = def.get("conf").and_then(Value::as_map).cloned().unwrap_or_default();
        keep_conf(dirn, &conf)
    };
    let copied = copied.await;
    proxy.fini().await;
    copied.inspect(|()| tracing::warn!(url = shown, "copied the AHA server's directory"))
}

/// Fetches a backup of a service and unpacks it into a directory. The peer is told first that it will have a mirror.
pub async fn copy_of(proxy: &Proxy, dirn: &Path) -> Result<()> {
    fs::create_dir_all(dirn.join("tmp"))?;
    let path = dirn.join("tmp/bootstrap.tgz");
    let done = fetch_archive(proxy, &path).await;
    let done = match done {
        Ok(()) => {
            let (from, into) = (path.clone(), dirn.to_owned());
            let unpack = tokio::task::spawn_blocking(move || crate::archive::unpack(&from, &into));
            unpack
                .await
                .unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("Unpacking was abandoned: {error}."))))
        }
        Err(error) => Err(error),
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => done.and(Err(Error::from(error))),
        _ => done,
    }
}

async fn fetch_archive(proxy: &Proxy, path: &Path) -> Result<()> {
    use tokio::io::AsyncWriteExt;
    proxy.call("readyToMirror").await?;
    let mut file = tokio::io::BufWriter::with_capacity(1 << 20, tokio::fs::File::create(path).await?);
    let mut chunks = proxy.genr(Todo::new("iterNewBackupArchive").kw("remove", true)).await?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let byts = chunk.as_bytes().ok_or_else(|| err!("BadDataValu", mesg = "A backup archive comes as bytes."))?;
        file.write_all(byts).await?;
    }
    Ok(file.flush().await?)
}
