//! A slab: one LMDB environment of a cell, its tables, its read transactions.
//!
//! Invariants:
//! - a directory is open at most once in a process (`SlabAlreadyOpen`);
//! - only the writer thread opens tables and writes;
//! - the map moves only while no read transaction is live ([`Gate`]). It is reserved so large that it seldom moves at all.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use lmdb_master_sys as ffi;
use myelin_error::{Error, Result, err};
use parking_lot::{Condvar, Mutex};

use crate::lmdb::{self, Code, Env, TxnPtr};
use crate::opts::Options;
use crate::scan::{RawTxn, Reads, Table, sealed::Sealed};
use crate::writer::{WriteCx, Writer};

/// Readers at a time over all processes; LMDB's own default of 126 is too few for a busy service.
const MAX_READERS: u32 = 4096;
/// Read transactions kept for reuse.
const POOLED_READERS: usize = 256;
/// How long growth waits for readers to finish when there is no room left.
const GROW_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it waits while there still is room: whoever reads for long is not disturbed, the next commit tries again.
const GROW_EARLY_TIMEOUT: Duration = Duration::from_millis(2);
/// How often growth is tried while there still is room.
const GROW_EARLY_PERIOD: Duration = Duration::from_secs(1);
/// The table in which we keep how far the nexus log has been applied. The reference ignores it.
pub(crate) const APPLIED_TABLE: &str = "myelin:applied";

/// Called before a commit, on the writer: writes what was kept in memory.
pub type FlushHook = Arc<dyn Fn(&mut WriteCx) -> Result<()> + Send + Sync>;
/// Called after a commit, on the writer.
pub type CommitHook = Arc<dyn Fn() + Send + Sync>;

static OPEN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);
static NEXT_ID: AtomicU32 = AtomicU32::new(1);
/// Address space that the open maps of this process reserve.
static RESERVED: AtomicU64 = AtomicU64::new(0);

/// An open environment. Cheap to clone; it closes when the last clone and the last transaction are gone.
#[derive(Clone)]
pub struct Slab(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub id: u32,
    pub path: PathBuf,
    /// As the process-wide list of open slabs has it.
    canonical: PathBuf,
    pub opts: Options,
    pub writer: Option<Writer>,
    /// Whether the writer holds changes not yet committed.
    pub dirty: AtomicBool,
    tables: Mutex<HashMap<String, Table>>,
    pool: Mutex<Vec<PooledTxn>>,
    gate: Gate,
    /// When growth was last tried before it was needed.
    tried_to_grow: Mutex<Option<Instant>>,
    pub flush_hooks: Mutex<Vec<FlushHook>>,
    pub commit_hooks: Mutex<Vec<CommitHook>>,
    /// How far the nexus log had been applied when the slab was opened, if nothing else has written since.
    pub applied_at_open: Option<u64>,
    // Last: everything above may hold pointers into it.
    pub env: Env,
}

struct PooledTxn(TxnPtr);
// SAFETY: a reset read transaction of an MDB_NOTLS environment belongs to no thread.
unsafe impl Send for PooledTxn {}

impl Slab {
    /// Opens (and makes) the environment at a path. A slab that is not read-only is served by `writer`.
    pub fn open(writer: &Writer, path: &Path, opts: Options) -> Result<Slab> {
        let slab = Slab::open_env(Some(writer.clone()).filter(|_| !opts.readonly), path, opts)?;
        if !slab.0.opts.readonly {
            writer.register(&slab)?;
        }
        Ok(slab)
    }

    /// Opens without telling the writer, whose own thread does this.
    pub(crate) fn open_unregistered(writer: &Writer, path: &Path, opts: Options) -> Result<Slab> {
        Slab::open_env(Some(writer.clone()), path, opts)
    }

    /// Opens an environment for reading, without a writer.
    pub fn open_readonly(path: &Path) -> Result<Slab> {
        Slab::open_env(None, path, Options::default().readonly())
    }

    fn open_env(writer: Option<Writer>, path: &Path, mut opts: Options) -> Result<Slab> {
        if !opts.readonly {
            std::fs::create_dir_all(path)?;
        }
        opts.load_beside(path)?;
        opts.durable |= writer.as_ref().is_some_and(Writer::is_durable);
        let canonical = path.canonicalize().map_err(|_| {
            err!(
                "NoSuchDir",
                mesg = format!("There is no slab at {}.", path.display()),
                path = path.display().to_string()
            )
        })?;
        if !OPEN.lock().insert(canonical.clone()) {
            let mesg = format!("The slab {} is open already in this process.", path.display());
            return Err(err!("SlabAlreadyOpen", mesg = mesg, path = path.display().to_string()));
        }
        let open = || -> Result<(Env, Option<u64>)> {
            if opts.durable && !opts.readonly && !path.join("data.mdb").exists() {
                make_whole(path)?;
            }
            let env = open_checked(path, &opts)?;
            let applied = applied_of(&env);
            Ok((env, applied))
        };
        let (env, applied_at_open) = open().inspect_err(|_| {
            OPEN.lock().remove(&canonical);
        })?;
        Ok(Slab(Arc::new(Inner {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            path: path.to_owned(),
            canonical,
            opts,
            writer,
            dirty: AtomicBool::new(false),
            tables: Mutex::default(),
            pool: Mutex::default(),
            gate: Gate::default(),
            tried_to_grow: Mutex::default(),
            flush_hooks: Mutex::default(),
            commit_hooks: Mutex::default(),
            applied_at_open,
            env,
        })))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The writer that serves it.
    pub fn writer(&self) -> Result<&Writer> {
        self.0.writer.as_ref().ok_or_else(|| self.0.read_only())
    }

    /// A table, made if it is not there. Commits the slab when it makes one. Not to be called on the writer thread:
    /// there it is [`WriteCx::table`].
    pub fn table(&self, name: &str, dup: bool) -> Result<Table> {
        if let Some(table) = self.0.tables.lock().get(name) {
            return Ok(*table);
        }
        if self.0.opts.readonly {
            let found = self.find_table(name)?;
            return found
                .ok_or_else(|| err!("NoSuchName", mesg = format!("The slab has no table {name}."), name = name));
        }
        let slab = self.clone();
        self.writer()?.run(move |cx| cx.table(&slab, name, dup))
    }

    /// A table if it is there. On a read-only slab this is how tables are opened.
    pub fn find_table(&self, name: &str) -> Result<Option<Table>> {
        let mut tables = self.0.tables.lock();
        if let Some(table) = tables.get(name) {
            return Ok(Some(*table));
        }
        if !self.0.opts.readonly {
            drop(tables);
            let slab = self.clone();
            return self.writer()?.run(move |cx| cx.find_table(&slab, name));
        }
        // Read-only: the lock makes this thread the only one that opens tables.
        let txn = self.0.env.begin(true).map_err(|code| self.0.error(code))?;
        // SAFETY: `txn` was just begun and is ended here; committing a read transaction keeps its table handles.
        let opened = unsafe {
            let opened = lmdb::dbi_open(txn, name, false, false);
            let opened =
                opened.map(|dbi| dbi.map(|dbi| Table { slab: self.0.id, dbi, dup: lmdb::dbi_is_dup(txn, dbi) }));
            lmdb::commit(txn).and(opened)
        };
        let table = opened.map_err(|code| self.0.error(code))?;
        if let Some(table) = table {
            tables.insert(name.to_owned(), table);
        }
        Ok(table)
    }

    /// The names of the tables.
    pub fn table_names(&self) -> Result<Vec<String>> {
        let txn = self.read()?;
        // The unnamed database is dbi 1 in every environment.
        let main = Table { slab: self.0.id, dbi: 1, dup: false };
        let mut names = Vec::new();
        for row in txn.iter(main)? {
            names.push(String::from_utf8_lossy(row?.0).into_owned());
        }
        Ok(names)
    }

    /// A transaction that sees what is committed.
    pub fn read(&self) -> Result<ReadTxn> {
        self.0.gate.enter();
        let pooled = self.0.pool.lock().pop();
        let txn = match pooled {
            // SAFETY: a pooled transaction was reset and belongs to nobody else now.
            Some(PooledTxn(txn)) => match unsafe { ffi::mdb_txn_renew(txn) } {
                0 => Ok(txn),
                code => {
                    // SAFETY: it is ours, and of no more use.
                    unsafe { lmdb::abort(txn) };
                    Err(Code(code))
                }
            },
            None => self.0.env.begin(true),
        };
        match txn {
            Ok(txn) => Ok(ReadTxn { slab: self.0.clone(), txn }),
            Err(code) => {
                self.0.gate.leave();
                Err(self.0.error(code))
            }
        }
    }

    /// A transaction that sees everything written so far: commits first if there is something to commit.
    pub fn read_fresh(&self) -> Result<ReadTxn> {
        if self.0.dirty.load(Ordering::Acquire) {
            self.commit()?;
        }
        self.read()
    }

    /// Commits what the writer holds of this slab.
    pub fn commit(&self) -> Result<()> {
        let id = self.0.id;
        self.writer()?.run(move |cx| cx.commit_id(id))
    }

    /// Whether there are changes not yet committed.
    pub fn is_dirty(&self) -> bool {
        self.0.dirty.load(Ordering::Acquire)
    }

    /// The first offset of the nexus log that had not been applied to this slab when it was opened; nothing if that is not
    /// known, or if another program has written since.
    pub fn applied_at_open(&self) -> Option<u64> {
        self.0.applied_at_open
    }

    /// Calls `hook` on the writer before each commit of this slab that has changes (see [`WriteCx::touch`]).
    pub fn on_flush(&self, hook: FlushHook) {
        self.0.flush_hooks.lock().push(hook);
    }

    /// Calls `hook` on the writer after each commit of this slab. Who keeps an overlay of uncommitted changes drops it
    /// there; a reader must then look at the overlay before it begins its transaction, never after.
    pub fn on_commit(&self, hook: CommitHook) {
        self.0.commit_hooks.lock().push(hook);
    }

    /// Commits, writes to the disk and leaves the writer. Open read transactions stay valid.
    pub fn fini(&self) -> Result<()> {
        match &self.0.writer {
            Some(writer) => writer.deregister(self),
            None => Ok(()),
        }
    }

    /// Bytes in use by the file.
    pub fn used_bytes(&self) -> u64 {
        self.0.env.info().used as u64
    }

    /// Writes a compacted copy of what is committed into an existing empty directory.
    pub fn copy_compact(&self, target: &Path) -> Result<()> {
        self.0.gate.enter();
        let copied = self.0.env.copy_compact(target);
        self.0.gate.leave();
        copied.map_err(|code| self.0.error(code))
    }

    /// Writes a compacted copy of a slab that nobody has open for writing. What it says of how far the nexus log was applied
    /// holds for the copy too, although compaction begins the numbers of commits anew.
    pub fn compact_dir(from: &Path, into: &Path) -> Result<()> {
        let slab = Slab::open_readonly(from)?;
        std::fs::create_dir_all(into)?;
        slab.copy_compact(into)?;
        let applied = slab.applied_at_open();
        drop(slab);
        let Some(applied) = applied else { return Ok(()) };
        let data = into.join("data.mdb");
        let failed = |code: Code| {
            let mesg = format!("The copy {} cannot be written: {}.", data.display(), code.text());
            err!("SynErr", mesg = mesg, path = data.display().to_string())
        };
        // Nobody else knows of the copy yet, so that it needs no lock file.
        let flags = ffi::MDB_NOLOCK;
        let size = std::fs::metadata(&data)?.len() as usize + (1 << 20);
        let env = Env::open(into, size, 16, MAX_READERS, flags).map_err(failed)?;
        let txn = env.begin(false).map_err(failed)?;
        // SAFETY: the transaction was just begun, is used by this thread alone, and ends here.
        unsafe {
            let stamp = lmdb::dbi_open(txn, APPLIED_TABLE, true, false).and_then(|dbi| {
                let dbi = dbi.ok_or(Code(libc::EINVAL))?;
                lmdb::put(txn, dbi, b"offs", &pack_applied(Some(applied), lmdb::txn_id(txn)), 0)
            });
            if let Err(code) = stamp {
                lmdb::abort(txn);
                return Err(failed(code));
            }
            lmdb::commit(txn).map_err(failed)
        }
    }

    pub(crate) fn add_table(&self, name: &str, table: Table) {
        self.0.tables.lock().insert(name.to_owned(), table);
    }

    pub(crate) fn known_table(&self, name: &str) -> Option<Table> {
        self.0.tables.lock().get(name).copied()
    }

    pub(crate) fn forget_table(&self, name: &str) {
        self.0.tables.lock().remove(name);
    }
}

impl Inner {
    /// Grows the map, since there is no room left. The writer's transaction has been aborted.
    pub fn grow(&self) -> Result<()> {
        let size = self.env.info().map_size as u64;
        let Some(next) = self.opts.grown(size) else {
            let mesg = format!("The slab {} is at its largest size of {size} bytes.", self.path.display());
            return Err(err!("DbOutOfSpace", mesg = mesg, path = self.path.display().to_string()));
        };
        if self.resize(size, next, GROW_TIMEOUT)? {
            return Ok(());
        }
        let mesg = format!("The slab {} must grow, and its readers do not finish.", self.path.display());
        Err(err!("DbOutOfSpace", mesg = mesg, path = self.path.display().to_string()))
    }

    /// Grows the map when a quarter of it is left and nobody reads just now. Called between two write transactions.
    pub fn grow_early(&self) {
        let info = self.env.info();
        let (size, used) = (info.map_size as u64, info.used as u64);
        if used < size / 4 * 3 || self.opts.growsize.is_some() {
            return;
        }
        let Some(next) = self.opts.grown(size) else { return };
        let mut tried = self.tried_to_grow.lock();
        if tried.is_some_and(|last| last.elapsed() < GROW_EARLY_PERIOD) {
            return;
        }
        *tried = Some(Instant::now());
        if let Err(error) = self.resize(size, next, GROW_EARLY_TIMEOUT) {
            tracing::warn!(%error, "a slab could not be grown before it has to be");
        }
    }

    /// False if the readers did not leave in time.
    fn resize(&self, size: u64, next: u64, wait: Duration) -> Result<bool> {
        if !self.gate.close(wait) {
            return Ok(false);
        }
        tracing::info!(path = %self.path.display(), size, next, "growing a slab");
        // SAFETY: the gate is closed, so that no transaction that reads through the map is live, and the writer's own has
        // ended. The transaction of a copy (`SlabCopy`) may live: it reads the file and never the map.
        let grown = unsafe { self.env.resize(next as usize) };
        self.gate.open();
        if grown.is_ok() {
            RESERVED.fetch_add(next.saturating_sub(size), Ordering::Relaxed);
        }
        grown.map(|()| true).map_err(|code| self.error(code))
    }

    pub fn error(&self, code: Code) -> Error {
        let path = self.path.display().to_string();
        let text = code.text();
        let (name, mesg) = match code {
            Code::READERS_FULL => ("HitLimit", format!("The slab {path} has {MAX_READERS} readers already.")),
            Code::DBS_FULL => ("HitLimit", format!("The slab {path} has no room for another table.")),
            Code::BAD_VALSIZE => ("BadArg", format!("A key in the slab {path} must have 1 to 511 bytes.")),
            Code::MAP_FULL => ("DbOutOfSpace", format!("The slab {path} is full.")),
            Code(libc::ENOSPC) => ("DbOutOfSpace", format!("The volume of the slab {path} is full.")),
            // A write that found room for a part of it only.
            Code(libc::EIO) if crate::system::is_full(&self.path) => {
                ("DbOutOfSpace", format!("The volume of the slab {path} is full."))
            }
            code if code.is_damage() => ("BadCoreStore", format!("The slab {path} is damaged: {text}.")),
            _ => ("SynErr", format!("LMDB refused on the slab {path}: {text}.")),
        };
        err!(name, mesg = mesg, path = path)
    }

    fn read_only(&self) -> Error {
        let path = self.path.display().to_string();
        err!("IsReadOnly", mesg = format!("The slab {path} is open for reading only."), path = path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for PooledTxn(txn) in self.pool.get_mut().drain(..) {
            // SAFETY: pooled transactions belong to the pool alone, and the environment is still open.
            unsafe { lmdb::abort(txn) };
        }
        RESERVED.fetch_sub(self.env.info().map_size as u64, Ordering::Relaxed);
        OPEN.lock().remove(&self.canonical);
    }
}

fn open_checked(path: &Path, opts: &Options) -> Result<Env> {
    let data = path.join("data.mdb");
    let on_disk = std::fs::metadata(&data).map(|meta| meta.len()).unwrap_or_default();
    // Never MDB_WRITEMAP: a full volume would end the process by a signal instead of failing a write, and the file would be as
    // long as its map.
    let mut flags = 0;
    if !opts.durable {
        flags |= ffi::MDB_NOSYNC;
    }
    if !opts.readahead {
        flags |= ffi::MDB_NORDAHEAD;
    }
    if opts.readonly {
        flags |= ffi::MDB_RDONLY;
        // A directory nobody may write to has no lock file and can have none.
        if std::fs::OpenOptions::new().write(true).open(path.join("lock.mdb")).is_err() {
            flags |= ffi::MDB_NOLOCK;
        }
    }
    let sizes = opts.initial_maps(on_disk, RESERVED.load(Ordering::Relaxed));
    let mut opened = Err(Code(libc::ENOMEM));
    for size in sizes {
        opened = Env::open(path, size as usize, opts.max_dbs, MAX_READERS, flags);
        if !matches!(opened, Err(Code(libc::ENOMEM))) {
            break;
        }
    }
    let env = opened.map_err(|code| {
        // The reference's LMDB lays out its lock file otherwise.
        if code == Code(ffi::MDB_VERSION_MISMATCH) && crate::page::is_ours(&data) {
            let mesg = format!(
                "The slab file {} is open in another program with another version of LMDB. Stop that first.",
                data.display()
            );
            return err!("LmdbLock", mesg = mesg, path = data.display().to_string());
        }
        let mesg = format!("The slab file {} cannot be opened: {}.", data.display(), code.text());
        let name = match code {
            Code(libc::EACCES | libc::EAGAIN) => "LmdbLock",
            Code(libc::ENOSPC) => "DbOutOfSpace",
            _ => "BadCoreStore",
        };
        err!(name, mesg = mesg, path = data.display().to_string())
    })?;
    // Pages that were allocated last and never written may be missing, if they are free.
    if env.info().used as u64 > on_disk.max(8192) && on_disk > 0 && !ends_free(&data, on_disk) {
        let mesg = format!("The slab file {} is shorter than what it says it holds.", data.display());
        return Err(err!("BadCoreStore", mesg = mesg, path = data.display().to_string()));
    }
    RESERVED.fetch_add(env.info().map_size as u64, Ordering::Relaxed);
    Ok(env)
}

/// Makes the file of a new slab beside its place, writes it to the disk and moves it there: a power loss leaves a file that
/// can be opened, or none.
fn make_whole(path: &Path) -> Result<()> {
    let mut making = path.as_os_str().to_owned();
    making.push(".making");
    let making = PathBuf::from(making);
    let _ = std::fs::remove_dir_all(&making);
    std::fs::create_dir_all(&making)?;
    let data = making.join("data.mdb");
    let env = Env::open(&making, 1 << 20, 1, 1, ffi::MDB_NOLOCK).map_err(|code| {
        let mesg = format!("The slab file {} cannot be made: {}.", data.display(), code.text());
        let name = if code == Code(libc::ENOSPC) { "DbOutOfSpace" } else { "SynErr" };
        err!(name, mesg = mesg, path = data.display().to_string())
    })?;
    drop(env);
    std::fs::File::open(&data)?.sync_data()?;
    std::fs::rename(&data, path.join("data.mdb"))?;
    #[cfg(feature = "faults")]
    crate::faults::renamed(&data, &path.join("data.mdb"));
    std::fs::remove_dir_all(&making)?;
    sync_dirs(path)
}

fn ends_free(data: &Path, on_disk: u64) -> bool {
    let psize = 4096;
    let file = std::fs::File::open(data);
    file.is_ok_and(|file| crate::check::tail_is_free(&file, on_disk / psize).unwrap_or(false))
}

/// Writes the entries of a directory to the disk, and the directory's own in its parent.
fn sync_dirs(path: &Path) -> Result<()> {
    for dirn in [Some(path), path.parent()].into_iter().flatten().filter(|dirn| !dirn.as_os_str().is_empty()) {
        std::fs::File::open(dirn)?.sync_all()?;
    }
    Ok(())
}

/// How far the log was applied, if the file is as we left it.
fn applied_of(env: &Env) -> Option<u64> {
    let last = env.info().last_txnid;
    let txn = env.begin(true).ok()?;
    // SAFETY: `txn` was just begun, is used by this thread alone, and ends here.
    unsafe {
        let dbi = lmdb::dbi_open(txn, APPLIED_TABLE, false, false).ok().flatten();
        let row = dbi.and_then(|dbi| lmdb::get(txn, dbi, b"offs").ok().flatten());
        let applied = row.and_then(|row| parse_applied(row, last));
        lmdb::commit(txn).ok()?;
        applied
    }
}

/// `be64(offset) + be64(transaction id)`.
fn parse_applied(row: &[u8], last: u64) -> Option<u64> {
    let (offs, txnid) = row.split_first_chunk::<8>()?;
    let txnid = u64::from_be_bytes(txnid.try_into().ok()?);
    let offs = u64::from_be_bytes(*offs);
    (txnid == last && offs != u64::MAX).then_some(offs)
}

pub(crate) fn pack_applied(offs: Option<u64>, txnid: u64) -> [u8; 16] {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&offs.unwrap_or(u64::MAX).to_be_bytes());
    row[8..].copy_from_slice(&txnid.to_be_bytes());
    row
}

/// A snapshot of a slab. May move between threads, but serves one at a time.
pub struct ReadTxn {
    slab: Arc<Inner>,
    txn: TxnPtr,
}

// SAFETY: the environment is opened with MDB_NOTLS, so that a read transaction may be used by any one thread at a time;
// the type is not Sync.
unsafe impl Send for ReadTxn {}

impl ReadTxn {
    /// The number of the last commit this snapshot sees.
    pub fn txn_id(&self) -> u64 {
        // SAFETY: the transaction is live until `Drop`.
        unsafe { lmdb::txn_id(self.txn) }
    }

    /// The slab it reads.
    pub fn slab(&self) -> Slab {
        Slab(self.slab.clone())
    }
}

impl Sealed for ReadTxn {}

impl Reads for ReadTxn {
    #[inline]
    fn raw(&self, table: Table) -> Result<RawTxn> {
        if table.slab != self.slab.id {
            return Err(err!("BadArg", mesg = "The table is of another slab than the transaction."));
        }
        Ok(RawTxn(self.txn))
    }
}

impl Drop for ReadTxn {
    fn drop(&mut self) {
        let mut pool = self.slab.pool.lock();
        // SAFETY: the transaction is live and ours; after the reset it points nowhere.
        unsafe {
            if pool.len() < POOLED_READERS {
                ffi::mdb_txn_reset(self.txn);
                pool.push(PooledTxn(self.txn));
            } else {
                lmdb::abort(self.txn);
            }
        }
        drop(pool);
        self.slab.gate.leave();
    }
}

/// Counts live readers, and keeps new ones out while the map moves.
#[derive(Default)]
struct Gate {
    readers: AtomicI64,
    closed: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Gate {
    #[inline]
    fn enter(&self) {
        loop {
            self.readers.fetch_add(1, Ordering::SeqCst);
            if !self.closed.load(Ordering::SeqCst) {
                return;
            }
            self.leave();
            let mut guard = self.lock.lock();
            while self.closed.load(Ordering::SeqCst) {
                self.changed.wait_for(&mut guard, Duration::from_millis(50));
            }
        }
    }

    #[inline]
    fn leave(&self) {
        self.readers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits for the readers to leave. Open again if they do not.
    fn close(&self, timeout: Duration) -> bool {
        self.closed.store(true, Ordering::SeqCst);
        let until = Instant::now() + timeout;
        while self.readers.load(Ordering::SeqCst) != 0 {
            if Instant::now() > until {
                self.open();
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        let _guard = self.lock.lock();
        self.changed.notify_all();
    }
}
