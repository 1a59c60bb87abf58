//! The lock on a file that says that a directory is in use.

use std::fs::File;
use std::os::fd::AsRawFd;

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
