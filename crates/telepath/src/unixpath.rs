//! Unix sockets under paths of any length: the kernel takes 107 bytes, a service's directory may lie deeper.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The longest path that fits into a socket address.
const MAX_BYTES: usize = 107;

/// A socket's path as the kernel takes it; to be kept until the socket is bound or connected.
pub(crate) struct Way {
    path: PathBuf,
    // A longer path is named from its directory, by way of the open file.
    _dirn: Option<File>,
}

impl Way {
    pub(crate) fn to(path: &Path) -> io::Result<Way> {
        let (Some(dirn), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Way { path: path.to_owned(), _dirn: None });
        };
        if path.as_os_str().len() <= MAX_BYTES {
            return Ok(Way { path: path.to_owned(), _dirn: None });
        }
        let dirn = File::open(dirn)?;
        let path = Path::new("/proc/self/fd").join(dirn.as_raw_fd().to_string()).join(name);
        Ok(Way { path, _dirn: Some(dirn) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
