//! `SYN_RESTORE_HTTPS_URL`: a service that begins from a backup somewhere on the web.
//!
//! The archive is fetched and unpacked beside what the directory holds, and only when it is whole and a backup does it take
//! the place of that. `restore.done` holds which URL was used, so that the variable may stay.

use std::fs;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use myelin_error::{Result, err};
use myelin_value::{Value, guid_of};

/// The variable with the URL.
pub const VARIABLE: &str = "SYN_RESTORE_HTTPS_URL";
/// The file with the guid of the URL that was used.
const DONE: &str = "restore.done";
/// How long a connection and each read may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often a long transfer says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// A URL with this scheme is fetched without looking at the certificate.
const INSECURE: &str = "https+insecure://";

/// Restores the directory from the URL of the environment, once for each URL. Says whether it did.
///
/// # Errors
/// `BadUrl`, `BadArg` for what is no backup, what the transfer fails with. The directory is then as it was.
pub async fn restore_from_env(dirn: &Path) -> Result<bool> {
    match std::env::var(VARIABLE) {
        Ok(url) if !url.is_empty() => restore(dirn, &url).await,
        _ => Ok(false),
    }
}

async fn restore(dirn: &Path, url: &str) -> Result<bool> {
    let guid = guid_of(&Value::from(url));
    let done = dirn.join(DONE);
    if fs::read_to_string(&done).is_ok_and(|used| used.trim() == guid) {
        tracing::warn!("the backup of {VARIABLE} was restored before; the variable is not needed any more");
        return Ok(false);
    }
    let shown = myelin_telepath::url::sanitize(url.split('?').next().unwrap_or_default());
    tracing::warn!(url = shown, "restoring the directory from {VARIABLE}");
    let work = dirn.join(format!("restore_{guid}"));
    let made = fetch_and_unpack(url, &shown, &work).await;
    let swapped = made.and_then(|()| swap(dirn, &work, &guid));
    if swapped.is_err() {
        let _ = fs::remove_dir_all(&work);
    }
    swapped?;
    tracing::warn!(url = shown, "restored the directory");
    Ok(true)
}

async fn fetch_and_unpack(url: &str, shown: &str, work: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(work);
    fs::create_dir_all(work.join("tree"))?;
    let tar = work.join("archive");
    fetch(url, shown, &tar).await?;
    tracing::warn!("unpacking the backup");
    let tree = work.join("tree");
    let (from, into) = (tar.clone(), tree.clone());
    let unpacked = tokio::task::spawn_blocking(move || unpack(&from, &into)).await;
    unpacked.map_err(|error| err!("SynErr", mesg = format!("Unpacking was abandoned: {error}.")))??;
    fs::remove_file(&tar)?;
    if tree.join("cell.guid").is_file() && !tree.join(crate::backup::UNFINISHED).exists() {
        return Ok(());
    }
    Err(err!("BadArg", mesg = format!("What {shown} holds is no backup of a service: it has no cell.guid.")))
}

fn unpack(from: &Path, into: &Path) -> Result<()> {
    let mut file = fs::File::open(from)?;
    let mut magic = [0; 2];
    let zipped = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind()?;
    if zipped { crate::archive::unpack(from, into) } else { crate::archive::unpack_plain(BufReader::new(file), into) }
}

async fn fetch(url: &str, shown: &str, into: &Path) -> Result<()> {
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        err!("BadUrl", mesg = format!("The backup at {shown} cannot be fetched: {error}."), url = shown)
    };
    let mut client = reqwest::Client::builder().connect_timeout(TIMEOUT).read_timeout(TIMEOUT);
    let mut url = url.to_owned();
    if let Some(rest) = url.strip_prefix(INSECURE) {
        tracing::warn!("the certificate of the restore URL is not checked");
        client = client.danger_accept_invalid_certs(true);
        url = format!("https://{rest}");
    }
    let reply = client.build().map_err(failed)?.get(&url).send().await.map_err(failed)?;
    let reply = reply.error_for_status().map_err(failed)?;
    let size = reply.content_length();
    let (mut file, mut got, mut told) = (fs::File::create(into)?, 0u64, Instant::now());
    let mut body = reply.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(failed)?;
        file.write_all(&chunk)?;
        got += chunk.len() as u64;
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            let percent = size.map_or(Value::Null, |size| (got.saturating_mul(100) / size.max(1)).into());
            tracing::warn!(got, size, "fetching the backup: {percent:?} %");
        }
    }
    if size.is_some_and(|size| size != got) {
        return Err(err!(
            "BadUrl",
            mesg = format!("The backup at {shown} ended early, after {got} bytes."),
            url = shown
        ));
    }
    Ok(file.sync_all()?)
}

/// Puts the unpacked tree in the place of what the directory holds.
fn swap(dirn: &Path, work: &Path, guid: &str) -> Result<()> {
    for entry in fs::read_dir(dirn)? {
        let path = entry?.path();
        if path == *work {
            continue;
        }
        tracing::warn!(path = %path.display(), "removing what was there before");
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    for entry in fs::read_dir(work.join("tree"))? {
        let entry = entry?;
        fs::rename(entry.path(), dirn.join(entry.file_name()))?;
    }
    fs::write(dirn.join(DONE), guid)?;
    Ok(fs::remove_dir_all(work)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves one archive over plain HTTP, `times` times.
    fn web(byts: Vec<u8>, times: usize) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/backup.tgz", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().take(times) {
                let mut stream = stream.expect("a connection");
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ =
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", byts.len());
                let _ = stream.write_all(&byts);
            }
        });
        url
    }

    fn archive(dirn: &Path) -> Vec<u8> {
        let mut byts = Vec::new();
        crate::archive::pack(dirn, "20260101", &mut byts).expect("packed");
        byts
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_directory_is_restored_once_for_each_url() {
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a directory");
        let (src, dst) = (dir.path().join("src"), dir.path().join("dst"));
        fs::create_dir_all(src.join("slabs")).expect("made");
        fs::write(src.join("cell.guid"), "0123456789abcdef0123456789abcdef").expect("written");
        fs::create_dir_all(dst.join("old")).expect("made");
        fs::write(dst.join("cell.yaml"), "old").expect("written");
        let url = web(archive(&src), 2);
        assert!(restore(&dst, &url).await.expect("restored"));
        assert!(dst.join("cell.guid").is_file() && dst.join("slabs").is_dir());
        assert!(!dst.join("old").exists() && !dst.join("cell.yaml").exists());
        assert_eq!(fs::read_to_string(dst.join(DONE)).expect("done"), guid_of(&Value::from(&*url)));
        assert!(!restore(&dst, &url).await.expect("known"));
        fs::remove_file(dst.join(DONE)).expect("removed");
        assert!(restore(&dst, &url).await.expect("restored again"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_restored_changes_nothing() {
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a directory");
        let (empty, dst) = (dir.path().join("empty"), dir.path().join("dst"));
        fs::create_dir_all(empty.join("sub")).expect("made");
        fs::create_dir_all(&dst).expect("made");
        fs::write(dst.join("cell.guid"), "old").expect("written");
        for (byts, name) in [(archive(&empty), "BadArg"), (b"\x1f\x8bnot a tar".to_vec(), "")] {
            let error = restore(&dst, &web(byts, 1)).await.expect_err("no backup");
            assert!(name.is_empty() || error.is(name), "{error}");
        }
        assert!(restore(&dst, "http://127.0.0.1:1/x").await.is_err_and(|error| error.is("BadUrl")));
        let left: Vec<_> = fs::read_dir(&dst).expect("listed").map(|entry| entry.expect("entry").file_name()).collect();
        assert_eq!(left, ["cell.guid"]);
    }
}
