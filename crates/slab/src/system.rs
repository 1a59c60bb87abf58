//! What the system is asked directly: the lock on a file that says that a directory is in use, and whether a volume is full.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A volume with less room than this is full: a commit writes more.
const FULL: u64 = 1 << 20;

/// Whether the volume of a path is full.
pub(crate) fn is_full(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: a `statvfs` is plain integers, for which zero is a value; it is filled by the call, and the path ends with NUL.
    let stat = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &mut stat) != 0 {
            return false;
        }
        stat
    };
    stat.f_bavail.saturating_mul(stat.f_frsize) < FULL
}

/// Takes the exclusive lock on a whole file, without waiting. False if another holds one.
///
/// The lock belongs to the open file and not to the process: it stays when the process opens and closes the file elsewhere
/// (to copy it, say), where the classic record lock would be given up. Both kinds exclude one another.
pub fn lock_exclusive(file: &File) -> std::io::Result<bool> {
    // SAFETY: a `flock` is plain integers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the structure lives over the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
        return Ok(true);
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN) => Ok(false),
        _ => Err(error),
    }
}
