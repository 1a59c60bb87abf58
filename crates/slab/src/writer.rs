//! The writer: one thread of a cell that owns the open write transactions of all its slabs.
//!
//! Work is handed to it as closures, which run one after another. A closure that need not wait for a commit may run on its
//! caller's thread instead ([`Writer::run_here`]), which then has borrowed the context: a hand-off to another thread costs
//! more than most changes do. Invariants:
//! 1. nothing but who holds the context writes, opens tables or grows maps; LMDB's lock belongs to the thread that took it,
//!    so that transactions begin and end on the writer's own thread, a borrower's too;
//! 2. slabs marked `commit_first` (the nexus log) commit before any other slab does, so that no slab holds an effect whose
//!    log entry could be lost;
//! 3. a job that asked for it ([`WriteCx::ack_after_commit`]) is answered only when the `commit_first` slabs are committed;
//!    many such jobs share one commit;
//! 4. after a failed commit the writer is broken: it refuses to write, and the next start repairs from the log.
//!
//! ```text
//! job ─▶ open write txn (per slab, on first use) ─▶ dirty ─▶ commit: by time (200 ms), by read_fresh, by size, by fini
//!                    ▲                                │
//!                    └── replay of the op log ◀── map full: abort, grow
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use lmdb_master_sys as ffi;
use myelin_error::{Error, Result, err};
use myelin_value::{Value, msgpack};
use parking_lot::{Mutex, MutexGuard};

use crate::job::{AsyncJob, Job, StackJob, WaitFor, guarded, step};
use crate::lmdb::{self, Code, TxnPtr};
use crate::opts::GIB;
use crate::scan::{RawTxn, Reads, Table, sealed::Sealed};
use crate::slab::{APPLIED_TABLE, Slab, pack_applied};

/// Jobs that wait for the writer before their senders block.
const QUEUE_SIZE: usize = 8192;
/// Jobs that share one commit of the log at most.
const MAX_BATCH: usize = 512;
/// Bytes written to one slab after which it commits without waiting for its time.
const COMMIT_BYTES: usize = 256 << 20;
/// With less room than this left in the map, what is written is kept for a replay after growth.
const SAFE_ROOM: u64 = 8 * GIB;

/// Where a test makes commits fail.
pub trait Faults: Send + Sync {
    /// Called before a slab commits. An error is handled as if LMDB had refused.
    fn before_commit(&self, path: &Path) -> std::io::Result<()>;
}

/// How a writer works.
#[derive(Clone)]
pub struct WriterConf {
    /// How long changes may stay uncommitted.
    pub commit_period_ms: u64,
    /// Commits reach the disk, of every slab.
    pub durable: bool,
    /// Where a test makes commits fail.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Default for WriterConf {
    fn default() -> WriterConf {
        let secs = std::env::var("SYN_SLAB_COMMIT_PERIOD").ok().and_then(|text| text.parse::<f64>().ok());
        let period = secs.filter(|secs| *secs > 0.0 && *secs < 3600.0).unwrap_or(0.2);
        WriterConf { commit_period_ms: (period * 1000.0) as u64, durable: false, faults: None }
    }
}

/// A handle of the writer thread. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    jobs: Sender<Job>,
    thread: std::thread::ThreadId,
    /// Whether commits of every slab it serves reach the disk.
    durable: bool,
    /// Why nothing is written any more.
    broken: Arc<OnceLock<Error>>,
    shared: Arc<Shared>,
    /// Whether a slab that commits first has a transaction open.
    log_open: Arc<AtomicBool>,
}

/// The context, and whether the writer's own thread waits for it.
struct Shared {
    cx: Mutex<WriteCx>,
    wanted: AtomicBool,
}

thread_local! {
    /// The writer whose context this thread has borrowed.
    static BORROWED: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
}

impl Writer {
    /// Starts the thread.
    pub fn start(name: &str) -> Result<Writer> {
        Writer::with_conf(name, WriterConf::default())
    }

    /// Starts the thread with other than the usual settings.
    pub fn with_conf(name: &str, conf: WriterConf) -> Result<Writer> {
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE_SIZE);
        let durable = conf.durable;
        let broken = Arc::new(OnceLock::new());
        let cx = WriteCx::new(conf, broken.clone());
        let log_open = cx.log_open.clone();
        let shared = Arc::new(Shared { cx: Mutex::new(cx), wanted: AtomicBool::new(false) });
        let serve = Serve { shared: shared.clone(), queue, held_up: VecDeque::new(), deadline: None };
        let thread =
            std::thread::Builder::new().name(format!("{name}-writer")).stack_size(16 << 20).spawn(|| serve.run())?;
        Ok(Writer { jobs, thread: thread.thread().id(), durable, broken, shared, log_open })
    }

    /// Runs a closure on the writer and waits for its result. Costs a few microseconds and allocates nothing.
    pub fn run<T: Send>(&self, func: impl FnOnce(&mut WriteCx) -> Result<T> + Send) -> Result<T> {
        if self.is_writer_thread() {
            return Err(err!("BadState", mesg = "The writer thread cannot wait for itself: use the context at hand."));
        }
        StackJob::run(func, |job| self.jobs.send(job).map_err(|_| fini_error()))
    }

    /// Runs a closure on this thread if nobody else is writing, else on the writer's, and waits for its result. For what
    /// does not ask for [`WriteCx::ack_after_commit`]: that is not waited for.
    pub fn run_here<T: Send>(&self, func: impl FnOnce(&mut WriteCx) -> Result<T> + Send) -> Result<T> {
        if self.is_writer_thread() || self.shared.wanted.load(Ordering::Relaxed) {
            return self.run(func);
        }
        let Some(mut cx) = self.shared.cx.try_lock() else { return self.run(func) };
        if cx.stop {
            return Err(fini_error());
        }
        let outer = BORROWED.replace(Arc::as_ptr(&self.shared));
        let timed = cx.deadline.is_some();
        cx.owner = Some(self.jobs.clone());
        let done = guarded(&mut cx, func);
        cx.owner = None;
        (cx.ack, cx.ack_all) = (false, false);
        let full = cx.is_full();
        if full {
            cx.deadline = Some(Instant::now());
        }
        let wake = cx.deadline.is_some() && (!timed || full);
        drop(cx);
        BORROWED.set(outer);
        // Either the writer's thread sees the context free, or this sees that it waits.
        fence(Ordering::SeqCst);
        if wake || self.shared.wanted.load(Ordering::SeqCst) {
            // A writer that is gone has nothing to look at.
            let _ = self.jobs.send(Job::Wake);
        }
        done
    }

    /// As [`Writer::run_here`], for a closure that writes to the log: where that has no transaction open, the writer's thread is
    /// asked for the whole instead of for its beginning.
    pub fn run_near<T: Send>(&self, func: impl FnOnce(&mut WriteCx) -> Result<T> + Send) -> Result<T> {
        if self.log_open.load(Ordering::Relaxed) { self.run_here(func) } else { self.run(func) }
    }

    /// Runs a closure on the writer; the future resolves when it is done.
    pub fn run_async<T: Send + 'static>(
        &self,
        func: impl FnOnce(&mut WriteCx) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let job = Arc::new(AsyncJob::new(func));
        let sent = self.jobs.send(Job::Shared(job.clone())).map_err(|_| fini_error());
        async move {
            sent?;
            WaitFor(job).await
        }
    }

    /// Runs a closure on the writer some time soon. Its error is logged.
    pub fn submit(&self, func: impl FnOnce(&mut WriteCx) -> Result<()> + Send + 'static) -> Result<()> {
        let job = AsyncJob::new(move |cx: &mut WriteCx| {
            func(cx).inspect_err(|error| tracing::error!(%error, "a job of the writer failed"))
        });
        self.jobs.send(Job::Shared(Arc::new(job))).map_err(|_| fini_error())
    }

    /// Whether commits reach the disk.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// The error after which nothing is written any more, until the service is restarted.
    pub fn broken(&self) -> Option<Error> {
        self.broken.get().cloned()
    }

    /// Whether there is such an error.
    pub fn is_broken(&self) -> bool {
        self.broken.get().is_some()
    }

    /// Whether this thread holds the context: the writer's own, or one within [`Writer::run_here`].
    pub fn is_writer_thread(&self) -> bool {
        std::ptr::eq(BORROWED.get(), Arc::as_ptr(&self.shared)) || std::thread::current().id() == self.thread
    }

    /// Commits everything.
    pub fn commit(&self) -> Result<()> {
        self.run(WriteCx::commit_all)
    }

    /// Commits and writes everything to the disk, closes all slabs and ends the thread.
    pub fn fini(&self) -> Result<()> {
        let done = self.run(|cx| {
            cx.stop = true;
            cx.close_all()
        });
        match done {
            Err(error) if error.is("IsFini") => Ok(()),
            done => done,
        }
    }

    pub(crate) fn register(&self, slab: &Slab) -> Result<()> {
        let slab = slab.clone();
        self.run(move |cx| {
            cx.add(slab);
            Ok(())
        })
    }

    pub(crate) fn deregister(&self, slab: &Slab) -> Result<()> {
        let id = slab.0.id;
        match self.run(move |cx| cx.close(id)) {
            Err(error) if error.is("IsFini") => Ok(()),
            done => done,
        }
    }
}

/// What a closure on the writer works with: the write transactions of all slabs.
pub struct WriteCx {
    slabs: Vec<Option<Box<State>>>,
    conf: WriterConf,
    /// When the oldest uncommitted change must be committed.
    deadline: Option<Instant>,
    /// Jobs answered after the next commit of the log.
    unacked: Vec<Job>,
    ack: bool,
    /// Some of them are answered only when every slab is committed.
    ack_all: bool,
    broken: Option<Error>,
    /// Where the same is told to others.
    told: Arc<OnceLock<Error>>,
    stop: bool,
    /// The first offset of the nexus log not yet applied; kept with each commit once tracking is on.
    applied: Option<u64>,
    tracking: bool,
    event: Option<u64>,
    checkpoint: Option<u32>,
    scratch: Vec<u8>,
    /// The way to the writer's own thread, while another has borrowed the context.
    owner: Option<Sender<Job>>,
    log_open: Arc<AtomicBool>,
}

// SAFETY: what is not Send are pointers to LMDB's write transactions. LMDB lets any one thread at a time use them (the lock
// around the context sees to that); what it binds to a thread, beginning and ending them, goes through [`on_owner`].
unsafe impl Send for WriteCx {}

/// The loop of the writer's own thread.
struct Serve {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    /// Jobs that came while the context was borrowed.
    held_up: VecDeque<Job>,
    /// When the oldest uncommitted change must be committed, as of the last look.
    deadline: Option<Instant>,
}

impl Serve {
    fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            let job = match self.next_job() {
                Some(Job::Step(step)) => {
                    step.execute();
                    continue;
                }
                None if self.deadline.is_none() => break,
                job => job,
            };
            let mut cx = self.take(&shared);
            match job {
                Some(Job::Wake) => {}
                Some(job) => self.serve_job(&mut cx, job),
                None => cx.commit_by_time(),
            }
            self.deadline = cx.deadline;
            if cx.stop {
                break;
            }
        }
        shared.cx.lock().answer_unacked(None);
        for job in self.held_up.drain(..).chain(self.queue.try_iter()) {
            job.fail(fini_error());
        }
    }

    fn next_job(&mut self) -> Option<Job> {
        if let Some(job) = self.held_up.pop_front() {
            return Some(job);
        }
        match self.deadline {
            None => self.queue.recv().ok(),
            Some(deadline) if Instant::now() >= deadline => None,
            Some(deadline) => self.queue.recv_deadline(deadline).ok(),
        }
    }

    /// Takes the context. While somebody else has it, does what that thread must have done here.
    fn take<'s>(&mut self, shared: &'s Shared) -> MutexGuard<'s, WriteCx> {
        if let Some(cx) = shared.cx.try_lock() {
            return cx;
        }
        shared.wanted.store(true, Ordering::SeqCst);
        loop {
            // Either this sees the context free, or who has it sees that it is wanted.
            fence(Ordering::SeqCst);
            if let Some(cx) = shared.cx.try_lock() {
                shared.wanted.store(false, Ordering::SeqCst);
                return cx;
            }
            match self.queue.recv() {
                Ok(Job::Step(step)) => step.execute(),
                Ok(Job::Wake) => {}
                Ok(job) => self.held_up.push_back(job),
                // No handle is left, so that nobody can be within `run_here`.
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    /// Runs a job and those that wait behind it, then commits the log once for all that asked.
    fn serve_job(&mut self, cx: &mut WriteCx, job: Job) {
        let mut next = Some(job);
        let mut count = 0;
        while let Some(job) = next.take() {
            cx.run_job(job);
            count += 1;
            if count < MAX_BATCH && !cx.stop && !cx.unacked.is_empty() {
                next = self.held_up.pop_front().or_else(|| self.queue.try_recv().ok());
            }
        }
        if !cx.unacked.is_empty() {
            let done = if std::mem::take(&mut cx.ack_all) { cx.commit_all() } else { cx.commit_firsts() };
            cx.answer_unacked(done.err());
        }
        if cx.is_full() {
            cx.commit_by_time();
        }
    }
}

struct State {
    slab: Slab,
    txn: Cell<TxnPtr>,
    dirty: bool,
    /// Operations since the last commit, for the replay after growth. Empty while the map has much room.
    oplog: Vec<u8>,
    keep_log: Cell<bool>,
    bytes: usize,
    /// While the log is replayed: this slab has the effects of the current entry already.
    suppress: bool,
    /// What the last commit recorded as applied.
    recorded: Option<u64>,
    applied_dbi: Option<u32>,
    /// Set while there is a transaction, where the slab commits first.
    log_open: Option<Arc<AtomicBool>>,
}

/// A transaction on its way between the threads that hold the context one after the other.
struct Sent<T>(T);

// SAFETY: who sends it waits for it and does not touch it meanwhile.
unsafe impl<T> Send for Sent<T> {}

/// Does on the writer's own thread what LMDB ties to it. This is that thread if there is no way to it.
fn on_owner<T>(owner: Option<&Sender<Job>>, func: impl FnOnce() -> Result<T, Code>) -> Result<T, Code> {
    let Some(owner) = owner else { return func() };
    let mut work = Sent((Some(func), None));
    let mut run = || {
        // The whole of it, lest only its parts be captured.
        let work = &mut work;
        if let Some(func) = work.0.0.take() {
            work.0.1 = Some(func());
        }
    };
    step(&mut run, |job| owner.send(job).is_ok());
    work.0.1.unwrap_or(Err(Code(libc::ESHUTDOWN)))
}

/// Gives up a write transaction, if there is one.
fn abort(owner: Option<&Sender<Job>>, txn: TxnPtr) {
    if !txn.is_null() {
        // SAFETY: the transaction is live, and ended on the thread that began it; its state let go of it.
        let _ = on_owner(owner, || {
            unsafe { lmdb::abort(txn) };
            Ok(())
        });
    }
}

impl State {
    fn begin(&self, owner: Option<&Sender<Job>>) -> Result<TxnPtr> {
        let txn = self.txn.get();
        if !txn.is_null() {
            return Ok(txn);
        }
        let txn = on_owner(owner, || self.slab.0.env.begin(false)).map_err(|code| self.slab.0.error(code))?;
        let info = self.slab.0.env.info();
        self.keep_log.set((info.map_size as u64).saturating_sub(info.used as u64) < SAFE_ROOM);
        self.txn.set(txn);
        if let Some(open) = &self.log_open {
            open.store(true, Ordering::Relaxed);
        }
        Ok(txn)
    }

    fn end(&mut self) -> TxnPtr {
        if let Some(open) = &self.log_open {
            open.store(false, Ordering::Relaxed);
        }
        self.dirty = false;
        self.bytes = 0;
        self.txn.replace(std::ptr::null_mut())
    }
}

impl WriteCx {
    fn new(conf: WriterConf, told: Arc<OnceLock<Error>>) -> WriteCx {
        WriteCx {
            slabs: Vec::new(),
            conf,
            deadline: None,
            unacked: Vec::new(),
            ack: false,
            ack_all: false,
            broken: None,
            told,
            stop: false,
            applied: None,
            tracking: false,
            event: None,
            checkpoint: None,
            scratch: Vec::new(),
            owner: None,
            log_open: Arc::default(),
        }
    }

    /// Whether so much waits to be committed that it should not wait for its time.
    fn is_full(&self) -> bool {
        self.slabs.iter().flatten().any(|state| state.bytes > COMMIT_BYTES)
    }

    fn run_job(&mut self, job: Job) {
        self.ack = false;
        job.execute(self);
        if self.ack { self.unacked.push(job) } else { job.done(None) }
    }

    fn answer_unacked(&mut self, fail: Option<Error>) {
        for job in self.unacked.drain(..) {
            job.done(fail.clone());
        }
    }

    fn commit_by_time(&mut self) {
        if let Err(error) = self.commit_all() {
            tracing::error!(%error, "committing failed");
        }
    }

    // ---- slabs and tables

    fn add(&mut self, slab: Slab) {
        let id = slab.0.id as usize;
        if self.slabs.len() <= id {
            self.slabs.resize_with(id + 1, || None);
        }
        let log_open = slab.0.opts.commit_first.then(|| self.log_open.clone());
        self.slabs[id] = Some(Box::new(State {
            slab,
            txn: Cell::new(std::ptr::null_mut()),
            dirty: false,
            oplog: Vec::new(),
            keep_log: Cell::new(false),
            bytes: 0,
            suppress: false,
            recorded: None,
            applied_dbi: None,
            log_open,
        }));
    }

    fn state(&self, id: u32) -> Result<&State> {
        self.slabs.get(id as usize).and_then(Option::as_deref).ok_or_else(no_such_slab)
    }

    /// The write transaction of a slab, begun if there is none.
    #[inline]
    fn begin(&self, id: u32) -> Result<TxnPtr> {
        self.state(id)?.begin(self.owner.as_ref())
    }

    fn state_mut(&mut self, id: u32) -> Result<&mut State> {
        self.slabs.get_mut(id as usize).and_then(Option::as_deref_mut).ok_or_else(no_such_slab)
    }

    /// Opens a slab from within a job.
    pub fn open_slab(&mut self, writer: &Writer, path: &Path, opts: crate::Options) -> Result<Slab> {
        let slab = Slab::open_unregistered(writer, path, opts)?;
        self.add(slab.clone());
        Ok(slab)
    }

    /// All slabs that are open.
    pub fn slabs(&self) -> Vec<Slab> {
        self.slabs.iter().flatten().map(|state| state.slab.clone()).collect()
    }

    /// Commits a slab and lets go of it from within a job.
    pub fn close_slab(&mut self, slab: &Slab) -> Result<()> {
        self.close(slab.0.id)
    }

    /// A table, made if it is not there; making one commits the slab.
    pub fn table(&mut self, slab: &Slab, name: &str, dup: bool) -> Result<Table> {
        self.open_table(slab, name, true, dup)?.ok_or_else(|| err!("NoSuchName", name = name))
    }

    /// A table if it is there.
    pub fn find_table(&mut self, slab: &Slab, name: &str) -> Result<Option<Table>> {
        self.open_table(slab, name, false, false)
    }

    fn open_table(&mut self, slab: &Slab, name: &str, create: bool, dup: bool) -> Result<Option<Table>> {
        if let Some(table) = slab.known_table(name) {
            return Ok(Some(table));
        }
        let id = slab.0.id;
        // The new handle is visible to others only after a commit, and is lost if its transaction aborts.
        self.commit_id(id)?;
        loop {
            let txn = self.begin(id)?;
            // SAFETY: the write transaction is this thread's, and only this thread opens tables.
            let opened = unsafe { lmdb::dbi_open(txn, name, false, false) };
            let opened = match opened {
                // SAFETY: as above.
                Ok(None) if create => unsafe { lmdb::dbi_open(txn, name, true, dup) },
                opened => opened,
            };
            match opened {
                Ok(Some(dbi)) => {
                    // SAFETY: the table was just opened in this transaction.
                    let table = Table { slab: id, dbi, dup: unsafe { lmdb::dbi_is_dup(txn, dbi) } };
                    self.state_mut(id)?.dirty = true;
                    self.commit_id(id)?;
                    slab.add_table(name, table);
                    return Ok(Some(table));
                }
                Ok(None) => return Ok(None),
                Err(Code::MAP_FULL) => self.grow(id)?,
                Err(code) => return Err(slab.0.error(code)),
            }
        }
    }

    /// Removes a table. Nobody may use it any more.
    pub fn drop_table(&mut self, slab: &Slab, name: &str) -> Result<()> {
        let Some(table) = self.find_table(slab, name)? else { return Ok(()) };
        self.commit_id(table.slab)?;
        let txn = self.begin(table.slab)?;
        slab.forget_table(name);
        // SAFETY: the write transaction is this thread's and knows the table.
        unsafe { lmdb::drop_dbi(txn, table.dbi, true) }.map_err(|code| slab.0.error(code))?;
        self.mark(table.slab, 0)?;
        self.commit_id(table.slab)
    }

    /// Removes every row of a table.
    pub fn clear(&mut self, table: Table) -> Result<()> {
        if self.state(table.slab)?.suppress {
            return Ok(());
        }
        // Commits before and after, since the op log has no word for this.
        self.commit_id(table.slab)?;
        let state = self.state(table.slab)?;
        let txn = state.begin(self.owner.as_ref())?;
        // SAFETY: the write transaction is this thread's and knows the table.
        unsafe { lmdb::drop_dbi(txn, table.dbi, false) }.map_err(|code| state.slab.0.error(code))?;
        self.mark(table.slab, 0)?;
        self.commit_id(table.slab)
    }

    // ---- writing

    /// Stores a value under a key. On a dupsort table: adds it to the key's values.
    #[inline]
    pub fn put(&mut self, table: Table, key: &[u8], valu: &[u8]) -> Result<()> {
        self.write(table, Op::Put, key, valu).map(|_| ())
    }

    /// Stores a value under a key unless there is one. Says whether it did.
    pub fn put_new(&mut self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool> {
        self.write(table, Op::PutNew, key, valu)
    }

    /// Adds a pair to a dupsort table. Says whether it was new.
    pub fn put_dup(&mut self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool> {
        self.write(table, Op::PutDup, key, valu)
    }

    /// Stores a row whose key is above every other. Fails with `BadArg` if it is not.
    pub fn append(&mut self, table: Table, key: &[u8], valu: &[u8]) -> Result<()> {
        if self.write(table, Op::Append, key, valu)? {
            return Ok(());
        }
        Err(err!("BadArg", mesg = "A row was appended out of order."))
    }

    /// Stores a value, encoded.
    pub fn put_value(&mut self, table: Table, key: &[u8], valu: &Value) -> Result<()> {
        let mut byts = std::mem::take(&mut self.scratch);
        byts.clear();
        msgpack::encode_into(&mut byts, valu);
        let done = self.put(table, key, &byts);
        self.scratch = byts;
        done
    }

    /// Removes a key with all its values. Says whether there was one.
    #[inline]
    pub fn del(&mut self, table: Table, key: &[u8]) -> Result<bool> {
        self.write(table, Op::Del, key, &[])
    }

    /// Removes one pair of a dupsort table. Says whether there was one.
    pub fn del_dup(&mut self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool> {
        self.write(table, Op::DelDup, key, valu)
    }

    /// Removes a key and returns its (first) value.
    pub fn pop(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(valu) = self.get(table, key)?.map(<[u8]>::to_vec) else { return Ok(None) };
        self.del(table, key)?;
        Ok(Some(valu))
    }

    /// Removes a key and returns its value, decoded.
    pub fn pop_value(&mut self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.pop(table, key)?.map(|byts| msgpack::decode(&byts)).transpose()?)
    }

    /// Removes every key with a prefix. Returns how many keys there were.
    pub fn del_prefix(&mut self, table: Table, pref: &[u8]) -> Result<usize> {
        let mut count = 0;
        loop {
            let keys: Vec<Vec<u8>> = self
                .keys_prefix(table, pref)?
                .take(1000)
                .map(|row| row.map(|(key, _)| key.to_vec()))
                .collect::<Result<_>>()?;
            if keys.is_empty() || self.is_suppressed(table)? {
                return Ok(count);
            }
            for key in &keys {
                self.del(table, key)?;
            }
            count += keys.len();
        }
    }

    fn write(&mut self, table: Table, op: Op, key: &[u8], valu: &[u8]) -> Result<bool> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        loop {
            let state =
                self.slabs.get_mut(table.slab as usize).and_then(Option::as_deref_mut).ok_or_else(no_such_slab)?;
            if state.suppress {
                return Ok(true);
            }
            let txn = state.begin(self.owner.as_ref())?;
            match op.apply(txn, table.dbi, key, valu) {
                Ok(changed) => {
                    if changed {
                        if state.keep_log.get() {
                            op.log(&mut state.oplog, table.dbi, key, valu);
                        }
                        let bytes = key.len() + valu.len() + 32;
                        if state.dirty {
                            state.bytes += bytes;
                        } else {
                            self.mark(table.slab, bytes)?;
                        }
                    }
                    return Ok(changed);
                }
                Err(Code::MAP_FULL) => self.grow(table.slab)?,
                Err(code) => return Err(state.slab.0.error(code)),
            }
        }
    }

    fn mark(&mut self, id: u32, bytes: usize) -> Result<()> {
        let period = Duration::from_millis(self.conf.commit_period_ms);
        let state = self.state_mut(id)?;
        state.dirty = true;
        state.bytes += bytes;
        state.slab.0.dirty.store(true, Ordering::Release);
        self.deadline.get_or_insert_with(|| Instant::now() + period);
        Ok(())
    }

    /// Says that something kept in memory for this slab waits for its flush hook.
    pub fn touch(&mut self, slab: &Slab) -> Result<()> {
        self.mark(slab.0.id, 0)
    }

    // ---- commits

    /// The current job is answered only when the log is committed.
    pub fn ack_after_commit(&mut self) {
        self.ack = true;
    }

    /// The current job is answered only when every slab is committed: for changes that no log has.
    pub fn ack_after_full_commit(&mut self) {
        self.ack = true;
        self.ack_all = true;
    }

    /// Commits one slab (and the log before it).
    pub fn commit(&mut self, slab: &Slab) -> Result<()> {
        self.commit_id(slab.0.id)
    }

    /// Commits every slab: the log first, the checkpoint last.
    pub fn commit_all(&mut self) -> Result<()> {
        self.deadline = None;
        self.commit_firsts()?;
        let ids: Vec<u32> =
            self.slabs.iter().flatten().filter(|state| state.dirty).map(|state| state.slab.0.id).collect();
        let checkpoint = self.checkpoint;
        for id in ids.into_iter().filter(|id| Some(*id) != checkpoint) {
            self.commit_id(id)?;
        }
        if let Some(id) = self.checkpoint {
            let applied = self.applied;
            let state = self.state_mut(id)?;
            if state.dirty || (applied.is_some() && state.recorded != applied) {
                state.dirty = true;
                self.commit_id(id)?;
            }
        }
        self.deadline = None;
        Ok(())
    }

    /// Commits every slab and has the system write all of them to the disk.
    pub fn sync_all(&mut self) -> Result<()> {
        self.commit_all()?;
        self.slabs.iter().flatten().try_for_each(|state| {
            let inner = &state.slab.0;
            inner.env.sync().map_err(|code| inner.error(code))
        })
    }

    /// Commits the slabs that commit before all others: the nexus log. Fails too when an earlier commit has failed, since what
    /// that one held is lost.
    pub fn commit_log(&mut self) -> Result<()> {
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => self.commit_firsts(),
        }
    }

    fn commit_firsts(&mut self) -> Result<()> {
        for indx in 0..self.slabs.len() {
            let Some(state) = &self.slabs[indx] else { continue };
            if state.dirty && state.slab.0.opts.commit_first {
                self.commit_one(indx as u32)?;
            }
        }
        Ok(())
    }

    pub(crate) fn commit_id(&mut self, id: u32) -> Result<()> {
        let state = self.state(id)?;
        if !state.dirty {
            return Ok(());
        }
        if !state.slab.0.opts.commit_first {
            self.commit_firsts()?;
        }
        self.commit_one(id)
    }

    fn commit_one(&mut self, id: u32) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let slab = self.state(id)?.slab.clone();
        let hooks = slab.0.flush_hooks.lock().clone();
        for hook in hooks {
            hook(self)?;
        }
        loop {
            match self.try_commit(id, &slab) {
                Ok(()) => break,
                Err(Code::MAP_FULL) => {
                    // The failed commit has ended the transaction; growth replays and goes on from there.
                    self.grow_unbegun(id).map_err(|error| self.break_with(error))?;
                }
                Err(code) => {
                    let error = slab.0.error(code);
                    return Err(self.break_with(error));
                }
            }
        }
        slab.0.dirty.store(false, Ordering::Release);
        let hooks = slab.0.commit_hooks.lock().clone();
        for hook in hooks {
            hook();
        }
        Ok(())
    }

    fn try_commit(&mut self, id: u32, slab: &Slab) -> Result<(), Code> {
        let (tracking, applied) = (self.tracking && !slab.0.opts.commit_first, self.applied);
        let (faults, owner) = (self.conf.faults.clone(), self.owner.clone());
        let Ok(state) = self.state_mut(id) else { return Ok(()) };
        let Ok(txn) = state.begin(owner.as_ref()) else { return Err(Code(libc::EINVAL)) };
        if tracking {
            record_applied(state, txn, applied)?;
        }
        if let Some(faults) = faults
            && let Err(error) = faults.before_commit(slab.path())
        {
            state.end();
            abort(owner.as_ref(), txn);
            return Err(Code(error.raw_os_error().unwrap_or(libc::EIO)));
        }
        state.end();
        // SAFETY: the transaction is live, and ended on the thread that began it; `end` let go of it.
        on_owner(owner.as_ref(), || unsafe { lmdb::commit(txn) })?;
        state.oplog.clear();
        state.oplog.shrink_to(1 << 20);
        slab.0.grow_early();
        Ok(())
    }

    /// Everything after this fails: what is on the disk is consistent, and what is in memory is ahead of it.
    fn break_with(&mut self, error: Error) -> Error {
        tracing::error!(%error, "the writer stops: nothing more is written until the service is restarted");
        self.broken = Some(error.clone());
        let _ = self.told.set(error.clone());
        error
    }

    /// Grows a map that was too small within a transaction, and replays what the transaction had done.
    fn grow(&mut self, id: u32) -> Result<()> {
        let owner = self.owner.clone();
        let state = self.state_mut(id)?;
        let had = state.dirty;
        abort(owner.as_ref(), state.end());
        // A map that may not grow keeps what it had: the write that did not fit fails, the others stay.
        if let Err(error) = state.slab.0.grow() {
            self.replay(id, had).map_err(|_| self.break_with(error.clone()))?;
            return Err(error);
        }
        self.replay(id, had)
    }

    fn grow_unbegun(&mut self, id: u32) -> Result<()> {
        self.state(id)?.slab.0.grow()?;
        self.replay(id, true)
    }

    fn replay(&mut self, id: u32, had: bool) -> Result<()> {
        let owner = self.owner.clone();
        let state = self.state_mut(id)?;
        if had && !state.keep_log.get() {
            let error = state.slab.0.error(Code::MAP_FULL);
            return Err(self.break_with(error));
        }
        let oplog = std::mem::take(&mut state.oplog);
        let txn = state.begin(owner.as_ref())?;
        // Even with room now: this transaction holds more than its log would say otherwise.
        state.keep_log.set(true);
        let done = Op::replay(&oplog, txn).map_err(|code| state.slab.0.error(code));
        state.oplog = oplog;
        if !state.oplog.is_empty() {
            let bytes = state.oplog.len();
            self.mark(id, bytes)?;
        }
        done
    }

    fn close(&mut self, id: u32) -> Result<()> {
        let Ok(state) = self.state(id) else { return Ok(()) };
        let slab = state.slab.clone();
        let done = if self.broken.is_some() { Ok(()) } else { self.commit_id(id) };
        if let Some(mut state) = self.slabs[id as usize].take() {
            abort(self.owner.as_ref(), state.end());
        }
        if self.checkpoint == Some(id) {
            self.checkpoint = None;
        }
        done?;
        slab.0.env.sync().map_err(|code| slab.0.error(code))
    }

    fn close_all(&mut self) -> Result<()> {
        let mut done = if self.broken.is_some() { Ok(()) } else { self.commit_all() };
        for id in 0..self.slabs.len() {
            done = done.and(self.close(id as u32));
        }
        done
    }

    // ---- the nexus log

    /// From now on each commit records how far the log has been applied (`next` is the first offset that is not yet);
    /// `checkpoint` commits last.
    pub fn track_applied(&mut self, checkpoint: &Slab, next: Option<u64>) {
        self.tracking = true;
        self.checkpoint = Some(checkpoint.0.id);
        self.applied = next;
    }

    /// The offset of the event that is being applied.
    pub fn event(&self) -> Option<u64> {
        self.event
    }

    /// An event is being applied from now on, or none.
    pub fn set_event(&mut self, offs: Option<u64>) {
        self.event = offs;
    }

    /// The entry at this offset has been applied.
    pub fn set_applied(&mut self, offs: u64) {
        self.applied = Some(offs + 1);
    }

    /// While an old entry is applied again, slabs which have its effects already keep what they have.
    pub fn set_replay(&mut self, offs: Option<u64>) {
        for state in self.slabs.iter_mut().flatten() {
            let has = state.slab.0.applied_at_open;
            state.suppress = offs.is_some_and(|offs| has.is_some_and(|has| offs < has));
        }
    }

    /// Whether writes to this table's slab are skipped, because the slab has the effects of the replayed entry already.
    pub fn is_suppressed(&self, table: Table) -> Result<bool> {
        Ok(self.state(table.slab)?.suppress)
    }
}

/// Puts the applied offset into the transaction about to be committed.
fn record_applied(state: &mut State, txn: TxnPtr, applied: Option<u64>) -> Result<(), Code> {
    // SAFETY: the write transaction is this thread's, and only this thread opens tables.
    unsafe {
        let dbi = match state.applied_dbi {
            Some(dbi) => dbi,
            None => lmdb::dbi_open(txn, APPLIED_TABLE, true, false)?.ok_or(Code(libc::EINVAL))?,
        };
        state.applied_dbi = Some(dbi);
        // While the log is replayed at boot, a slab may be further than the replay is.
        let applied = applied.max(state.slab.0.applied_at_open);
        lmdb::put(txn, dbi, b"offs", &pack_applied(applied, lmdb::txn_id(txn)), 0)?;
    }
    state.recorded = applied;
    Ok(())
}

impl Sealed for WriteCx {}

impl Reads for WriteCx {
    #[inline]
    fn raw(&self, table: Table) -> Result<RawTxn> {
        Ok(RawTxn(self.begin(table.slab)?))
    }
}

/// The kinds of write, as the op log has them.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Op {
    Put,
    PutNew,
    PutDup,
    Append,
    Del,
    DelDup,
}

impl Op {
    const ALL: [Op; 6] = [Op::Put, Op::PutNew, Op::PutDup, Op::Append, Op::Del, Op::DelDup];

    /// Whether something changed.
    fn apply(self, txn: TxnPtr, dbi: u32, key: &[u8], valu: &[u8]) -> Result<bool, Code> {
        let flags = match self {
            Op::Put => 0,
            Op::PutNew => ffi::MDB_NOOVERWRITE,
            Op::PutDup => ffi::MDB_NODUPDATA,
            Op::Append => ffi::MDB_APPEND,
            // SAFETY: the callers pass the writer's own live transaction.
            Op::Del => return unsafe { lmdb::del(txn, dbi, key, None) },
            // SAFETY: as above.
            Op::DelDup => return unsafe { lmdb::del(txn, dbi, key, Some(valu)) },
        };
        // SAFETY: as above.
        match unsafe { lmdb::put(txn, dbi, key, valu, flags) } {
            Ok(()) => Ok(true),
            Err(Code::KEY_EXIST) => Ok(false),
            Err(code) => Err(code),
        }
    }

    /// `op(1) dbi(4) key length(4) value length(4) key value`, little-endian.
    fn log(self, log: &mut Vec<u8>, dbi: u32, key: &[u8], valu: &[u8]) {
        log.push(self as u8);
        for part in [dbi, key.len() as u32, valu.len() as u32] {
            log.extend_from_slice(&part.to_le_bytes());
        }
        log.extend_from_slice(key);
        log.extend_from_slice(valu);
    }

    fn replay(mut log: &[u8], txn: TxnPtr) -> Result<(), Code> {
        let word = |at: usize, log: &[u8]| u32::from_le_bytes([log[at], log[at + 1], log[at + 2], log[at + 3]]);
        while !log.is_empty() {
            let op = Op::ALL[usize::from(log[0])];
            let (dbi, klen, vlen) = (word(1, log), word(5, log) as usize, word(9, log) as usize);
            let (key, rest) = log[13..].split_at(klen);
            let (valu, rest) = rest.split_at(vlen);
            op.apply(txn, dbi, key, valu)?;
            log = rest;
        }
        Ok(())
    }
}

fn no_such_slab() -> Error {
    err!("IsFini", mesg = "The slab is closed.")
}

pub(crate) fn fini_error() -> Error {
    err!("IsFini", mesg = "The writer has shut down.")
}
