//! The first start of a directory, which a kill may cut off in the middle: until everything is there that a first start makes,
//! a mark says so, and the next start begins from nothing again. What an operator has put there stays.

use std::fs;
use std::path::Path;

use myelin_error::Result;

/// The mark.
const MARK: &str = "boot.unfinished";
/// What first starts of the services make, apart from what is the same in all of them.
const MADE: &[&str] =
    &["slabs", "layers", "views", "axon", "jsonstor", "axon.lmdb", "axon.opts.yaml", "blob.lmdb", "blob.opts.yaml"];

/// Whether a first start was not finished.
pub(crate) fn is_unfinished(dirn: &Path) -> bool {
    dirn.join(MARK).exists()
}

/// A first start begins.
pub(crate) fn begin(dirn: &Path) -> Result<()> {
    Ok(fs::write(dirn.join(MARK), "The first start of this service has not finished; the next one begins anew.\n")?)
}

/// Removes what a first start that did not finish has left. Nobody else has the directory.
pub(crate) fn clear(dirn: &Path) -> Result<()> {
    tracing::warn!(dirn = %dirn.display(), "the first start was cut off: it begins anew");
    for name in MADE {
        let path = dirn.join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Everything is there, and on its way to the disk.
pub(crate) fn finish(dirn: &Path) -> Result<()> {
    match fs::remove_file(dirn.join(MARK)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
