//! The thin skin over LMDB's C interface: an environment, and the few calls on a transaction the crate makes.
//!
//! LMDB is called directly and not through `heed`, because the graph needs ranges over duplicate values, reverse walks
//! within one key and counts without decoding, which heed's typed layer does not have. Everything here is private to the
//! crate; what leaves it borrows from a transaction that outlives it.

use std::ffi::{CStr, CString, c_int, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use lmdb_master_sys as ffi;

/// A transaction, as the C library knows it. Whoever holds one must not let it outlive its owner.
pub(crate) type TxnPtr = *mut ffi::MDB_txn;

/// A code of LMDB or of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub c_int);

impl Code {
    pub const KEY_EXIST: Code = Code(ffi::MDB_KEYEXIST);
    pub const MAP_FULL: Code = Code(ffi::MDB_MAP_FULL);
    pub const BAD_VALSIZE: Code = Code(ffi::MDB_BAD_VALSIZE);
    pub const READERS_FULL: Code = Code(ffi::MDB_READERS_FULL);
    pub const DBS_FULL: Code = Code(ffi::MDB_DBS_FULL);

    /// Whether the file itself is wrong.
    pub fn is_damage(self) -> bool {
        matches!(
            self.0,
            ffi::MDB_CORRUPTED | ffi::MDB_PAGE_NOTFOUND | ffi::MDB_INVALID | ffi::MDB_VERSION_MISMATCH | ffi::MDB_PANIC
        )
    }

    /// What LMDB or the system calls it.
    pub fn text(self) -> String {
        // SAFETY: `mdb_strerror` returns a pointer to a static or thread-static string for every code.
        unsafe { CStr::from_ptr(ffi::mdb_strerror(self.0)) }.to_string_lossy().into_owned()
    }
}

fn check(code: c_int) -> Result<(), Code> {
    if code == 0 { Ok(()) } else { Err(Code(code)) }
}

/// What an environment says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvInfo {
    pub map_size: usize,
    pub used: usize,
    pub last_txnid: u64,
}

/// An open environment. Closing it is up to the owner, who first ends every transaction.
pub(crate) struct Env(*mut ffi::MDB_env);

// SAFETY: an MDB_env may be used from any thread; with MDB_NOTLS its read transactions are not tied to threads either.
unsafe impl Send for Env {}
// SAFETY: as above; the calls made through `&Env` are those that LMDB documents as thread-safe.
unsafe impl Sync for Env {}

impl Env {
    pub fn open(path: &Path, map_size: usize, max_dbs: u32, max_readers: u32, flags: c_uint) -> Result<Env, Code> {
        let cpath = CString::new(path.as_os_str().as_bytes()).map_err(|_| Code(22))?;
        let mut env = ptr::null_mut();
        // SAFETY: `env` receives a handle that is closed below if opening fails, and by `Drop` otherwise; the path is a
        // NUL-terminated string that lives over the call.
        unsafe {
            check(ffi::mdb_env_create(&mut env))?;
            let opened = check(ffi::mdb_env_set_mapsize(env, map_size))
                .and_then(|()| check(ffi::mdb_env_set_maxdbs(env, max_dbs)))
                .and_then(|()| check(ffi::mdb_env_set_maxreaders(env, max_readers)))
                .and_then(|()| check(ffi::mdb_env_open(env, cpath.as_ptr(), flags | ffi::MDB_NOTLS, 0o600)));
            if let Err(code) = opened {
                ffi::mdb_env_close(env);
                return Err(code);
            }
        }
        Ok(Env(env))
    }

    pub fn info(&self) -> EnvInfo {
        // SAFETY: both structs are plain integers and pointers, for which zero is a value, and are filled by the calls.
        unsafe {
            let mut info: ffi::MDB_envinfo = std::mem::zeroed();
            let mut stat: ffi::MDB_stat = std::mem::zeroed();
            ffi::mdb_env_info(self.0, &mut info);
            ffi::mdb_env_stat(self.0, &mut stat);
            EnvInfo {
                map_size: info.me_mapsize,
                used: (info.me_last_pgno + 1) * stat.ms_psize as usize,
                last_txnid: info.me_last_txnid as u64,
            }
        }
    }

    /// Changes the map's size.
    ///
    /// # Safety
    /// No transaction of this process may be live in the environment: the map moves.
    pub unsafe fn resize(&self, size: usize) -> Result<(), Code> {
        // SAFETY: the caller promises that nothing points into the map.
        check(unsafe { ffi::mdb_env_set_mapsize(self.0, size) })
    }

    pub fn sync(&self) -> Result<(), Code> {
        // SAFETY: the handle is open.
        check(unsafe { ffi::mdb_env_sync(self.0, 1) })
    }

    pub fn copy_compact(&self, path: &Path) -> Result<(), Code> {
        let cpath = CString::new(path.as_os_str().as_bytes()).map_err(|_| Code(22))?;
        // SAFETY: the handle is open and the path is NUL-terminated.
        check(unsafe { ffi::mdb_env_copy2(self.0, cpath.as_ptr(), ffi::MDB_CP_COMPACT) })
    }

    pub fn begin(&self, readonly: bool) -> Result<TxnPtr, Code> {
        let mut txn = ptr::null_mut();
        let flags = if readonly { ffi::MDB_RDONLY } else { 0 };
        // SAFETY: the handle is open, and there is no parent transaction.
        check(unsafe { ffi::mdb_txn_begin(self.0, ptr::null_mut(), flags, &mut txn) })?;
        Ok(txn)
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        // SAFETY: the owner ended every transaction first.
        unsafe { ffi::mdb_env_close(self.0) };
    }
}

pub(crate) fn val(byts: &[u8]) -> ffi::MDB_val {
    ffi::MDB_val { mv_size: byts.len(), mv_data: byts.as_ptr() as *mut _ }
}

/// The bytes an LMDB value points to.
///
/// # Safety
/// The value came from a transaction, and neither that transaction ends nor (for a write transaction) writes during `'t`.
pub(crate) unsafe fn slice<'t>(valu: &ffi::MDB_val) -> &'t [u8] {
    if valu.mv_size == 0 {
        return &[];
    }
    // SAFETY: LMDB hands out pointers into its map (or a dirty page) that stay valid for what the caller promises.
    unsafe { std::slice::from_raw_parts(valu.mv_data as *const u8, valu.mv_size) }
}

/// # Safety
/// `txn` is live for `'t` and, if it writes, writes nothing during `'t`.
pub(crate) unsafe fn get<'t>(txn: TxnPtr, dbi: u32, key: &[u8]) -> Result<Option<&'t [u8]>, Code> {
    let mut ckey = val(key);
    let mut data = val(&[]);
    // SAFETY: the caller promises a live transaction; key and data live over the call.
    match unsafe { ffi::mdb_get(txn, dbi, &mut ckey, &mut data) } {
        // SAFETY: the same promise, passed on.
        0 => Ok(Some(unsafe { slice(&data) })),
        ffi::MDB_NOTFOUND => Ok(None),
        code => Err(Code(code)),
    }
}

/// # Safety
/// `txn` is a live write transaction, used by this thread alone.
pub(crate) unsafe fn put(txn: TxnPtr, dbi: u32, key: &[u8], valu: &[u8], flags: c_uint) -> Result<(), Code> {
    let (mut ckey, mut data) = (val(key), val(valu));
    // SAFETY: the caller promises the transaction; LMDB copies key and value.
    check(unsafe { ffi::mdb_put(txn, dbi, &mut ckey, &mut data, flags) })
}

/// # Safety
/// `txn` is a live write transaction, used by this thread alone.
pub(crate) unsafe fn del(txn: TxnPtr, dbi: u32, key: &[u8], valu: Option<&[u8]>) -> Result<bool, Code> {
    let mut ckey = val(key);
    let mut data = valu.map(val);
    let data = data.as_mut().map_or(ptr::null_mut(), |data| data as *mut _);
    // SAFETY: the caller promises the transaction; key and value live over the call.
    match unsafe { ffi::mdb_del(txn, dbi, &mut ckey, data) } {
        0 => Ok(true),
        ffi::MDB_NOTFOUND => Ok(false),
        code => Err(Code(code)),
    }
}

/// Opens a table, making it if asked. `None` when it is not there.
///
/// # Safety
/// `txn` is a live write transaction; no other thread opens tables in this environment.
pub(crate) unsafe fn dbi_open(txn: TxnPtr, name: &str, create: bool, dup: bool) -> Result<Option<u32>, Code> {
    let cname = CString::new(name).map_err(|_| Code(22))?;
    let flags = if create { ffi::MDB_CREATE } else { 0 } | if dup { ffi::MDB_DUPSORT } else { 0 };
    let mut dbi = 0;
    // SAFETY: the caller promises the transaction; the name is NUL-terminated.
    match unsafe { ffi::mdb_dbi_open(txn, cname.as_ptr(), flags, &mut dbi) } {
        0 => Ok(Some(dbi)),
        ffi::MDB_NOTFOUND => Ok(None),
        code => Err(Code(code)),
    }
}

/// Whether an open table keeps duplicates.
///
/// # Safety
/// `txn` is live and `dbi` is open in it.
pub(crate) unsafe fn dbi_is_dup(txn: TxnPtr, dbi: u32) -> bool {
    let mut flags = 0;
    // SAFETY: as the caller promises.
    unsafe { ffi::mdb_dbi_flags(txn, dbi, &mut flags) };
    flags & ffi::MDB_DUPSORT != 0
}

/// # Safety
/// `txn` is a live write transaction and `dbi` is open in it.
pub(crate) unsafe fn drop_dbi(txn: TxnPtr, dbi: u32, delete: bool) -> Result<(), Code> {
    // SAFETY: as the caller promises.
    check(unsafe { ffi::mdb_drop(txn, dbi, c_int::from(delete)) })
}

/// # Safety
/// `txn` is live and `dbi` is open in it.
pub(crate) unsafe fn entries(txn: TxnPtr, dbi: u32) -> Result<u64, Code> {
    // SAFETY: MDB_stat is plain integers.
    let mut stat: ffi::MDB_stat = unsafe { std::mem::zeroed() };
    // SAFETY: as the caller promises.
    check(unsafe { ffi::mdb_stat(txn, dbi, &mut stat) })?;
    Ok(stat.ms_entries as u64)
}

/// # Safety
/// `txn` is live; it is gone afterwards.
pub(crate) unsafe fn abort(txn: TxnPtr) {
    // SAFETY: as the caller promises.
    unsafe { ffi::mdb_txn_abort(txn) }
}

/// # Safety
/// `txn` is live; it is gone afterwards, committed or not.
pub(crate) unsafe fn commit(txn: TxnPtr) -> Result<(), Code> {
    // SAFETY: as the caller promises.
    check(unsafe { ffi::mdb_txn_commit(txn) })
}

/// # Safety
/// `txn` is live.
pub(crate) unsafe fn txn_id(txn: TxnPtr) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { ffi::mdb_txn_id(txn) as u64 }
}
