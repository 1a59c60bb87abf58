//! Backups: a copy of the directory as of one moment, which a service can be started from.
//!
//! The writer takes the snapshots of all slabs in one job, between two changes, so that a backup is of one offset of the nexus
//! log; then they are written while changes go on. Files that are no slabs (options, certificates) are copied as they are. A
//! backup is a directory with a `cell.guid`; its name may have several parts. Archives are gzip tar.
//!
//! Until it is whole, a backup holds the file [`UNFINISHED`], with which no service starts. One that fails is removed.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use myelin_error::{Error, Result, err};
use myelin_slab::SlabCopy;
use myelin_telepath::ValueStream;
use myelin_value::{Map, Value};

use crate::Cell;
use crate::sysinfo::{dir_size, volume};
use crate::version::now;

/// The size of an archive's pieces.
const CHUNK: usize = 64 << 10;
/// Pieces that wait for a slow peer.
const CHUNKS_AHEAD: usize = 16;

/// How often a long backup says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// The file in a backup that is not whole.
pub const UNFINISHED: &str = "backup.unfinished";

/// What is known of the last backup.
#[derive(Default)]
pub(crate) struct BackupState {
    running: Option<Instant>,
    streaming: bool,
    last_start: Option<i64>,
    last_end: Option<i64>,
    last_took_ms: Option<u64>,
    last_size: Option<u64>,
    last_upload: Option<i64>,
    last_error: Option<Error>,
    /// For how long no change could be made, and the offset of the log that the copies are of.
    last_pause: Option<Duration>,
    last_offs: Option<u64>,
}

impl Cell {
    /// Where backups go.
    fn backup_dirn(&self) -> Result<PathBuf> {
        let Some(path) = self.conf().str("backup:dir") else { return Ok(self.dirn().join("backups")) };
        let path = std::path::absolute(myelin_telepath::env::expand(Path::new(&path)))?;
        if path.starts_with(std::path::absolute(self.dirn())?) {
            let mesg = "The option backup:dir must not lie inside the service's own directory.";
            return Err(err!("BadConfValu", mesg = mesg, name = "backup:dir"));
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn backup_path(&self, name: &str) -> Result<PathBuf> {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain {
            return Err(err!("BadArg", mesg = "The name of a backup must not lead out of its directory.", name = name));
        }
        Ok(self.backup_dirn()?.join(name))
    }

    fn req_backup(&self, name: &str) -> Result<PathBuf> {
        let path = self.backup_path(name)?;
        if path.join("cell.guid").is_file() {
            return Ok(path);
        }
        Err(err!(
            "BadArg",
            mesg = format!("There is no backup {name}: it has no cell.guid."),
            arg = "path",
            valu = name
        ))
    }

    /// Makes a backup and returns its name, by default the time. Blocks until it is done.
    pub fn run_backup(&self, name: Option<&str>) -> Result<String> {
        let (name, path) = self.begin_backup(name)?;
        self.finish_backup(&name, &path)?;
        Ok(name)
    }

    /// Takes the one place for a running backup.
    pub fn begin_backup(&self, name: Option<&str>) -> Result<(String, PathBuf)> {
        let name = name.map_or_else(|| jiff::Zoned::now().strftime("%Y%m%d%H%M%S").to_string(), str::to_owned);
        let path = self.backup_path(&name)?;
        let mut state = self.inner().backup.lock();
        if state.running.is_some() {
            return Err(err!("BackupAlreadyRunning", mesg = "Another backup is already running"));
        }
        if path.exists() {
            return Err(err!("BadArg", mesg = "Backup with name already exists", name = name));
        }
        self.req_backup_space()?;
        state.running = Some(Instant::now());
        state.last_start = Some(now());
        state.last_error = None;
        Ok((name, path))
    }

    /// Makes the backup that [`Cell::begin_backup`] took the place for. Blocks.
    ///
    /// # Errors
    /// What copying fails with.
    pub fn finish_backup(&self, name: &str, path: &Path) -> Result<()> {
        tracing::info!(name, path = %path.display(), "a backup begins");
        let done = self.copy_to(path);
        let mut state = self.inner().backup.lock();
        let took = state.running.take().map(|since| since.elapsed().as_millis() as u64);
        state.last_took_ms = took;
        state.last_end = Some(now());
        match &done {
            Ok(()) => {
                state.last_size = Some(dir_size(path).0);
                tracing::info!(name, took_ms = took, "a backup is done");
            }
            Err(error) => {
                state.last_size = None;
                state.last_error = Some(error.clone());
                tracing::error!(name, error = error as &dyn std::error::Error, "a backup failed");
            }
        }
        done
    }

    fn req_backup_space(&self) -> Result<()> {
        use std::os::unix::fs::MetadataExt;
        let backups = self.backup_dirn()?;
        let (size, free) = volume(&backups)?;
        let mut need = dir_size(self.dirn()).0;
        if fs::metadata(self.dirn())?.dev() == fs::metadata(&backups)?.dev() {
            let keep = self.conf().int("limit:disk:free").unwrap_or_default().clamp(0, 100) as u64;
            need += size / 100 * keep;
        }
        if need <= free {
            return Ok(());
        }
        let dirn = backups.display().to_string();
        let mesg = format!("Insufficient free space on {dirn} to run a backup ({free} bytes free, {need} required)");
        Err(err!("LowSpace", mesg = mesg, dirn = dirn))
    }

    /// Whether a backup is being made. The log keeps its segments meanwhile.
    pub fn is_backup_running(&self) -> bool {
        self.inner().backup.lock().running.is_some()
    }

    fn copy_to(&self, target: &Path) -> Result<()> {
        let done = self.copy_whole(target);
        if done.is_err()
            && let Err(error) = fs::remove_dir_all(target)
        {
            tracing::warn!(%error, path = %target.display(), "a backup that failed could not be removed");
        }
        done
    }

    fn copy_whole(&self, target: &Path) -> Result<()> {
        fs::create_dir_all(target)?;
        fs::write(target.join(UNFINISHED), b"")?;
        // Written and not copied: closing a second descriptor of the file would give up the lock this process has on it.
        fs::write(target.join("cell.guid"), self.iden())?;
        let root = fs::canonicalize(self.dirn())?;
        let copies = self.snapshot(&root)?;
        let total: u64 = copies.iter().map(SlabCopy::size).sum();
        let task = self.boss().promote("backup", self.auth().root().ok(), Map::new().with("size", total), None)?;
        let (mut wrote, mut told) = (0u64, Instant::now());
        for copy in copies {
            let path = fs::canonicalize(copy.path())?;
            let inner = path.strip_prefix(&root).map_err(|_| err!("SynErr", mesg = "A slab has moved."))?.to_owned();
            copy.finish(&target.join(inner), |byts| {
                wrote += byts;
                if task.cancel().is_cancelled() {
                    return Err(err!("SynErr", mesg = "The backup was cancelled."));
                }
                if told.elapsed() > PROGRESS {
                    told = Instant::now();
                    tracing::info!(wrote, total, "a backup is at {} %", wrote.saturating_mul(100) / total.max(1));
                }
                Ok(())
            })?;
        }
        copy_files(&root, &root, target)?;
        fs::remove_file(target.join(UNFINISHED))?;
        sync_tree(target)
    }

    /// Snapshots of every slab of the service, all of the same offset of the nexus log.
    fn snapshot(&self, root: &Path) -> Result<Vec<SlabCopy>> {
        // Committed twice: what has gathered first, so that little is left for the job that stops all changes.
        self.writer().commit()?;
        let nexus = self.nexus().clone();
        let (copies, offs, pause) = self.writer().run(|cx| {
            let begun = Instant::now();
            cx.commit_all()?;
            let inside = cx.slabs().into_iter().filter(|slab| is_inside(root, slab.path()));
            let copies = inside.map(|slab| slab.begin_copy()).collect::<Result<Vec<SlabCopy>>>()?;
            Ok((copies, nexus.index(), begun.elapsed()))
        })?;
        tracing::info!(slabs = copies.len(), offs, pause_us = pause.as_micros() as u64, "a backup has its snapshots");
        let mut state = self.inner().backup.lock();
        state.last_pause = Some(pause);
        state.last_offs = Some(offs);
        Ok(copies)
    }

    /// For how long the last backup stopped changes, and the nexus index it is of.
    pub fn last_backup_moment(&self) -> Option<(Duration, u64)> {
        let state = self.inner().backup.lock();
        state.last_pause.zip(state.last_offs)
    }

    /// The names of all backups.
    pub fn backups(&self) -> Result<Vec<String>> {
        let root = self.backup_dirn()?;
        let mut found = Vec::new();
        find_backups(&root, &root, &mut found)?;
        found.sort();
        Ok(found)
    }

    /// Deletes a backup. Blocks.
    pub fn del_backup(&self, name: &str) -> Result<()> {
        let path = self.req_backup(name)?;
        tracing::info!(name, "deleting a backup");
        Ok(fs::remove_dir_all(path)?)
    }

    /// A backup as a stream of bytes.
    pub fn backup_archive(&self, name: &str) -> Result<ValueStream> {
        let path = self.req_backup(name)?;
        if path.join(UNFINISHED).is_file() {
            return Err(err!("BadArg", mesg = format!("The backup {name} is not finished."), name = name));
        }
        let top = path.file_name().map_or_else(|| name.to_owned(), |top| top.to_string_lossy().into_owned());
        Ok(self.stream_archive(path, top, None))
    }

    /// Makes a backup and streams it; with `remove` it is deleted when the stream ends, however that is.
    pub async fn new_backup_archive(&self, name: Option<&str>, remove: bool) -> Result<ValueStream> {
        let guard = if remove { Some(StreamGuard::take(self)?) } else { None };
        let (cell, name) = (self.clone(), name.map(str::to_owned));
        let made = tokio::task::spawn_blocking(move || {
            let (name, path) = cell.begin_backup(name.as_deref())?;
            let done = cell.finish_backup(&name, &path);
            if done.is_err() && guard.is_some() {
                let _ = fs::remove_dir_all(&path);
            }
            done.map(|()| (name, path, guard))
        });
        let lost = |error| err!("SynErr", mesg = format!("The backup was abandoned: {error}."));
        let (name, path, guard) = made.await.map_err(lost)??;
        let guard = guard.map(|guard| guard.removing(&path));
        let top = name.rsplit('/').next().unwrap_or(&name).to_owned();
        Ok(self.stream_archive(path, top, guard))
    }

    fn stream_archive(&self, path: PathBuf, top: String, guard: Option<StreamGuard>) -> ValueStream {
        let (tx, rx) = tokio::sync::mpsc::channel(CHUNKS_AHEAD);
        let cell = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut into = Chunks { tx, held: Vec::with_capacity(CHUNK) };
            let packed = crate::archive::pack(&path, &top, &mut into).and_then(|()| Ok(into.flush_all()?));
            match packed {
                Ok(()) => cell.inner().backup.lock().last_upload = Some(now()),
                Err(error) => drop(into.tx.blocking_send(Err(error))),
            }
            drop(guard);
        });
        futures::stream::unfold(rx, async |mut rx| rx.recv().await.map(|item| (item, rx))).boxed()
    }

    /// What `getBackupInfo` says.
    pub fn backup_info(&self) -> Map {
        let state = self.inner().backup.lock();
        let running = state.running.map(|since| since.elapsed().as_millis() as u64);
        let error = state.last_error.as_ref().map(|error| {
            Map::new().with("err", error.name()).with("errmsg", error.message()).with("errinfo", error.info().clone())
        });
        Map::new()
            .with("currduration", running)
            .with("laststart", state.last_start)
            .with("lastend", state.last_end)
            .with("lastduration", state.last_took_ms)
            .with("lastsize", state.last_size)
            .with("lastupload", state.last_upload)
            .with("lastexception", error.map_or(Value::Null, Value::from))
    }
}

fn is_inside(root: &Path, path: &Path) -> bool {
    let inner = fs::canonicalize(path).ok().and_then(|path| path.strip_prefix(root).map(Path::to_owned).ok());
    inner.is_some_and(|inner| !is_skipped(&inner))
}

/// What no backup has: what is not worth keeping, and other backups.
fn is_skipped(inner: &Path) -> bool {
    inner.components().any(|part| matches!(part.as_os_str().to_str(), Some("tmp" | "backups")))
}

/// Copies the files that are no slabs. Sockets are left out; their directory is made.
fn copy_files(root: &Path, dirn: &Path, target: &Path) -> Result<()> {
    for entry in fs::read_dir(dirn)? {
        let entry = entry?;
        let path = entry.path();
        let Ok(inner) = path.strip_prefix(root) else { continue };
        let kind = entry.file_type()?;
        let into = target.join(inner);
        if kind.is_dir() && is_skipped(inner) {
            continue;
        } else if kind.is_dir() && path.join("data.mdb").is_file() {
            if !into.join("data.mdb").is_file() {
                tracing::warn!(path = %path.display(), "a database that is not open is not in the backup");
            }
        } else if kind.is_dir() {
            fs::create_dir_all(&into)?;
            copy_files(root, &path, target)?;
        } else if kind.is_file() && !into.exists() {
            match fs::copy(&path, &into) {
                // A file that is replaced just now (an option that is set) is there under its name or was not there.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
    }
    Ok(())
}

/// Writes the entries of all directories of a tree to the disk.
fn sync_tree(dirn: &Path) -> Result<()> {
    for entry in fs::read_dir(dirn)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        }
    }
    Ok(fs::File::open(dirn)?.sync_all()?)
}

fn find_backups(root: &Path, dirn: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dirn)? {
        let path = entry?.path();
        if path.join(UNFINISHED).is_file() {
            // Being made, or left behind by a service that was killed: deletable by name, but no backup.
        } else if path.join("cell.guid").is_file() {
            found.extend(path.strip_prefix(root).ok().map(|inner| inner.to_string_lossy().into_owned()));
        } else if path.is_dir() {
            find_backups(root, &path, found)?;
        }
    }
    Ok(())
}

/// The one place for a backup that is made to be streamed; letting go of it deletes the backup.
struct StreamGuard {
    cell: Cell,
    path: Option<PathBuf>,
}

impl StreamGuard {
    fn take(cell: &Cell) -> Result<StreamGuard> {
        let mut state = cell.inner().backup.lock();
        if std::mem::replace(&mut state.streaming, true) {
            return Err(err!("BackupAlreadyRunning", mesg = "Another streaming backup is already running"));
        }
        Ok(StreamGuard { cell: cell.clone(), path: None })
    }

    fn removing(mut self, path: &Path) -> StreamGuard {
        self.path = Some(path.to_owned());
        self
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_dir_all(path)
        {
            tracing::warn!(%error, path = %path.display(), "a backup that was streamed could not be deleted");
        }
        self.cell.inner().backup.lock().streaming = false;
    }
}

/// Sends what is written in pieces.
struct Chunks {
    tx: tokio::sync::mpsc::Sender<Result<Value>>,
    held: Vec<u8>,
}

impl Chunks {
    fn flush_all(&mut self) -> std::io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let chunk = Value::from(&self.held[..]);
        self.held.clear();
        self.tx.blocking_send(Ok(chunk)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl std::io::Write for &mut Chunks {
    fn write(&mut self, byts: &[u8]) -> std::io::Result<usize> {
        let size = byts.len().min(CHUNK - self.held.len());
        self.held.extend_from_slice(&byts[..size]);
        if self.held.len() == CHUNK {
            self.flush_all()?;
        }
        Ok(size)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CellSpec;

    const SPEC: CellSpec =
        CellSpec { celltype: "cell", confs: &[], envprefixes: &[], version: crate::version::VERSION };

    fn open(dirn: &Path, backups: &Path) -> Cell {
        let conf = Map::new().with("backup:dir", backups.display().to_string()).with("limit:disk:free", Value::Null);
        let cell = Cell::open(SPEC, dirn, conf.with("nexslog:en", true)).expect("a cell");
        cell.start().expect("started");
        cell
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backup_opens_as_the_service_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let (svc, backups) = (dir.path().join("svc"), dir.path().join("backups"));
        let cell = open(&svc, &backups);
        cell.auth().add_user("before", None, &Value::Null, None).expect("a user");
        let at = cell.clone();
        let name = tokio::task::spawn_blocking(move || at.run_backup(Some("one/two"))).await.expect("joined");
        assert_eq!(name.expect("a backup"), "one/two");
        cell.auth().add_user("after", None, &Value::Null, None).expect("a user");
        assert_eq!(cell.backups().expect("backups"), ["one/two"]);
        for bad in ["one/two", "../out", "/abs", ""] {
            assert!(cell.begin_backup(Some(bad)).is_err_and(|error| error.is("BadArg")), "{bad}");
        }
        assert!(cell.backup_info().get("lastsize").is_some_and(Value::is_int));
        let (pause, offs) = cell.last_backup_moment().expect("a moment");
        assert!(pause < Duration::from_millis(500) && offs < cell.nexus().index());
        assert!(!backups.join("one/two").join(UNFINISHED).exists());
        fs::create_dir_all(backups.join("half")).expect("made");
        fs::write(backups.join("half/cell.guid"), cell.iden()).expect("written");
        fs::write(backups.join("half").join(UNFINISHED), "").expect("written");
        assert_eq!(cell.backups().expect("backups"), ["one/two"]);
        assert!(cell.backup_archive("half").is_err_and(|error| error.is("BadArg")));
        let refused = Cell::open(SPEC, &backups.join("half"), Map::new());
        assert!(refused.is_err_and(|error| error.is("BadCoreStore") && error.message().contains("not finished")));
        cell.del_backup("half").expect("deleted");

        let stream = cell.new_backup_archive(None, true).await.expect("a stream");
        let second = cell.new_backup_archive(None, true).await;
        assert!(second.is_err_and(|error| error.is("BackupAlreadyRunning")));
        let chunks: Vec<Result<Value>> = stream.collect().await;
        let byts: Vec<u8> = chunks
            .into_iter()
            .flat_map(|chunk| chunk.expect("bytes").as_bytes().unwrap_or_default().to_vec())
            .collect();
        let (tgz, restored) = (dir.path().join("x.tgz"), dir.path().join("restored"));
        fs::write(&tgz, byts).expect("written");
        fs::create_dir(&restored).expect("made");
        crate::archive::unpack(&tgz, &restored).expect("unpacked");
        cell.fini().expect("closed");

        let has = |cell: &Cell, name: &str| cell.auth().user_by_name(name).is_some();
        let old = open(&backups.join("one/two"), &dir.path().join("b2"));
        assert!(has(&old, "before") && !has(&old, "after"));
        assert_eq!(old.iden(), cell.iden());
        old.fini().expect("closed");
        let newer = open(&restored, &dir.path().join("b3"));
        assert!(has(&newer, "before") && has(&newer, "after"));
        newer.fini().expect("closed");
    }
}
