//! For tests (feature `faults`): what LMDB asks of the system when it writes, recorded or made to fail.
//!
//! LMDB is linked into the program, so that the functions below stand in the place of the C library's for it. While nothing is
//! recorded they pass everything on. From a recording, [`Recording::image`] makes the file of any slab as a crash or a power
//! loss could have left it: what was synced is there, of the rest each sector may be.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

static ARMED: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);

struct State {
    root: PathBuf,
    ops: Vec<Op>,
    /// Writes and syncs so far.
    count: u64,
    fail: Option<Fail>,
}

/// Which operation fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fail {
    /// The number of the first operation that fails, from 0.
    pub nth: u64,
    /// The system's error code.
    pub errno: i32,
    /// Whether every one after it fails too.
    pub sticky: bool,
}

/// What was asked of the system.
pub enum Op {
    /// Bytes at a place of a file.
    Write {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What.
        bytes: Vec<u8>,
        /// On the disk when the call returned.
        synced: bool,
    },
    /// Everything written to a file before is on the disk.
    Sync {
        /// The file.
        path: PathBuf,
    },
    /// A file was moved; on the disk when the call returned, since its directory is synced next.
    Rename {
        /// From here.
        from: PathBuf,
        /// To there.
        into: PathBuf,
    },
    /// The test has seen this acknowledged.
    Mark(u64),
}

/// A recording, from its beginning to its end.
pub struct Recording(pub Vec<Op>);

/// Begins to record what happens to the slabs below a directory.
pub fn record(root: &Path, fail: Option<Fail>) {
    *STATE.lock() = Some(State { root: root.to_owned(), ops: Vec::new(), count: 0, fail });
    ARMED.store(true, Ordering::SeqCst);
}

/// Notes that something was acknowledged.
pub fn mark(numb: u64) {
    if let Some(state) = STATE.lock().as_mut() {
        state.ops.push(Op::Mark(numb));
    }
}

/// Notes that a file was moved.
pub(crate) fn renamed(from: &Path, into: &Path) {
    if let Some(state) = STATE.lock().as_mut()
        && let (Some(dirn), Some(name)) = (into.parent().and_then(|dirn| dirn.canonicalize().ok()), from.file_name())
        && dirn.starts_with(&state.root)
    {
        let mut making = dirn.as_os_str().to_owned();
        making.push(".making");
        state.ops.push(Op::Rename { from: PathBuf::from(making).join(name), into: dirn.join(name) });
    }
}

/// Ends the recording.
pub fn finish() -> Recording {
    ARMED.store(false, Ordering::SeqCst);
    Recording(STATE.lock().take().map(|state| state.ops).unwrap_or_default())
}

impl Recording {
    /// What had been acknowledged before an operation.
    pub fn acked(&self, end: usize) -> Vec<u64> {
        let marks = self.0[..end].iter().filter_map(|op| match op {
            Op::Mark(numb) => Some(*numb),
            Op::Write { .. } | Op::Sync { .. } | Op::Rename { .. } => None,
        });
        marks.collect()
    }

    /// The files after a crash of the process before an operation: the system has all that was written.
    pub fn after_crash(&self, base: &BTreeMap<PathBuf, Vec<u8>>, end: usize) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = base.clone();
        for op in &self.0[..end] {
            match op {
                Op::Write { path, at, bytes, .. } => put(files.entry(path.clone()).or_default(), *at, bytes),
                Op::Rename { from, into } => rename(&mut files, from, into),
                Op::Sync { .. } | Op::Mark(_) => {}
            }
        }
        files
    }

    /// The files after a power loss before an operation. `dice` says for each write that was not synced whether it is there
    /// (0), lost (1), or there in part (2), and then for each sector whether that is there (0).
    pub fn after_power_loss(
        &self,
        base: &BTreeMap<PathBuf, Vec<u8>>,
        end: usize,
        dice: &mut dyn FnMut(u64) -> u64,
    ) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut synced: HashMap<&Path, usize> = HashMap::new();
        for (numb, op) in self.0[..end].iter().enumerate() {
            if let Op::Sync { path } = op {
                synced.insert(path, numb);
            }
        }
        let mut files = base.clone();
        for (numb, op) in self.0[..end].iter().enumerate() {
            if let Op::Rename { from, into } = op {
                rename(&mut files, from, into);
            }
            let Op::Write { path, at, bytes, synced: own } = op else { continue };
            let file = files.entry(path.clone()).or_default();
            if *own || synced.get(path.as_path()).is_some_and(|sync| numb < *sync) {
                put(file, *at, bytes);
                continue;
            }
            match dice(3) {
                0 => put(file, *at, bytes),
                1 => {}
                _ => {
                    for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                        if dice(2) == 0 {
                            put(file, at + (sector * SECTOR) as u64, part);
                        }
                    }
                }
            }
        }
        files
    }
}

fn rename(files: &mut BTreeMap<PathBuf, Vec<u8>>, from: &Path, into: &Path) {
    if let Some(byts) = files.remove(from) {
        files.insert(into.to_owned(), byts);
    }
}

fn put(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (at, end) = (at as usize, at as usize + bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// The file behind a descriptor, if it is a slab's that is recorded; an error code if the operation is to fail.
fn seen(fd: c_int, op: impl FnOnce(PathBuf) -> Op) -> Result<(), c_int> {
    let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{fd}")) else { return Ok(()) };
    let mut guard = STATE.lock();
    let Some(state) = guard.as_mut() else { return Ok(()) };
    if !path.starts_with(&state.root) || path.file_name().is_none_or(|name| name != "data.mdb") {
        return Ok(());
    }
    let numb = state.count;
    state.count += 1;
    if let Some(fail) = state.fail
        && (numb == fail.nth || (fail.sticky && numb > fail.nth))
    {
        return Err(fail.errno);
    }
    state.ops.push(op(path));
    Ok(())
}

fn refuse(errno: c_int) -> isize {
    // SAFETY: the location of this thread's errno is always writable.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn is_synced(fd: c_int) -> bool {
    // SAFETY: asking for a descriptor's flags touches no memory.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DSYNC != 0
}

/// Stands in the place of the C library's function for LMDB.
///
/// # Safety
/// As of the C library's function: `buf` points to `count` readable bytes.
// SAFETY: no other item of the program defines the name; the signature is the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, buf: *const c_void, count: usize, at: i64) -> isize {
    if ARMED.load(Ordering::Relaxed) {
        // SAFETY: as the caller promises.
        let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), count) }.to_vec();
        let synced = is_synced(fd);
        if let Err(errno) = seen(fd, |path| Op::Write { path, at: at as u64, bytes, synced }) {
            return refuse(errno);
        }
    }
    // SAFETY: the arguments are the caller's.
    unsafe { libc::syscall(libc::SYS_pwrite64, fd, buf, count, at) as isize }
}

/// Stands in the place of the C library's function for LMDB.
///
/// # Safety
/// As of the C library's function: `iov` points to `count` pieces that can be read.
// SAFETY: no other item of the program defines the name; the signature is the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize {
    if ARMED.load(Ordering::Relaxed) {
        let mut bytes = Vec::new();
        for indx in 0..count.max(0) as usize {
            // SAFETY: as the caller promises.
            unsafe {
                let piece = *iov.add(indx);
                bytes.extend_from_slice(std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len));
            }
        }
        // SAFETY: asking for a descriptor's position touches no memory.
        let at = unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) };
        let synced = is_synced(fd);
        if let Err(errno) = seen(fd, |path| Op::Write { path, at: at as u64, bytes, synced }) {
            return refuse(errno);
        }
    }
    // SAFETY: the arguments are the caller's.
    unsafe { libc::syscall(libc::SYS_writev, fd, iov, count) as isize }
}

/// Stands in the place of the C library's function for LMDB.
// SAFETY: no other item of the program defines the name; the signature is the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    if ARMED.load(Ordering::Relaxed) {
        if let Err(errno) = seen(fd, |path| Op::Sync { path }) {
            return refuse(errno) as c_int;
        }
        // The disk of a recording is not the machine's: there is nothing to wait for.
        return 0;
    }
    // SAFETY: the argument is the caller's.
    unsafe { libc::syscall(libc::SYS_fdatasync, fd) as c_int }
}
