//! `onboot:optimize`: the databases are compacted before they are opened, which gives free space back.
//!
//! Each one is copied into `tmp` and renamed over the original, so that a crash leaves one or the other. The newest outcome is
//! kept in the table `cell:optimized` and told by `getCellInfo`.

use std::path::{Path, PathBuf};

use myelin_error::Result;
use myelin_slab::{Reads, Slab};
use myelin_value::{Map, Value, msgpack};

use crate::Cell;
use crate::boot::Progress;
use crate::sysinfo::dir_size;
use crate::version::now;

const TABLE: &str = "cell:optimized";

/// Compacts every database of a directory. What goes wrong is logged and stops nothing: the originals are as they were.
pub(crate) fn optimize(dirn: &Path, progress: &Progress) -> Option<Map> {
    match try_optimize(dirn, progress) {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "the databases could not all be compacted; the service starts with them as they are");
            None
        }
    }
}

fn try_optimize(dirn: &Path, progress: &Progress) -> Result<Option<Map>> {
    use std::os::unix::fs::MetadataExt;
    let mut slabs = Vec::new();
    find_slabs(dirn, &mut slabs)?;
    let tmp = dirn.join("tmp/optimize");
    std::fs::create_dir_all(&tmp)?;
    let volume = std::fs::metadata(&tmp)?.dev();
    for slab in &slabs {
        if std::fs::metadata(slab.join("data.mdb"))?.dev() != volume {
            tracing::warn!(slab = %slab.display(), "not compacted: a database lies on another volume than the service");
            return Ok(None);
        }
    }
    if slabs.is_empty() {
        return Ok(None);
    }
    let stat = |dirn: &Path| {
        let (real, apparent) = dir_size(dirn);
        Map::new().with("time", now()).with("size", Value::list([real.into(), apparent.into()]))
    };
    let init = stat(dirn);
    tracing::warn!(count = slabs.len(), "compacting the databases before they are opened");
    let size_of = |slab: &PathBuf| std::fs::metadata(slab.join("data.mdb")).map_or(0, |meta| meta.len());
    let (mut done, total) = (0, slabs.iter().map(size_of).sum());
    for (numb, slab) in slabs.iter().enumerate() {
        progress.set("compacting the databases", done, total);
        done += size_of(slab);
        tracing::warn!("compacting {} of {}: {}", numb + 1, slabs.len(), slab.display());
        let _ = std::fs::remove_dir_all(&tmp);
        Slab::compact_dir(slab, &tmp)?;
        std::fs::File::open(tmp.join("data.mdb"))?.sync_all()?;
        std::fs::rename(tmp.join("data.mdb"), slab.join("data.mdb"))?;
        std::fs::File::open(slab)?.sync_all()?;
    }
    std::fs::remove_dir_all(&tmp)?;
    tracing::warn!("the databases are compacted");
    Ok(Some(Map::new().with("init", init).with("fini", stat(dirn))))
}

/// The directories that hold a database. Backups and scratch are left alone.
fn find_slabs(dirn: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dirn)? {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_dir() || ["tmp", "backups"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if path.join("data.mdb").is_file() {
            found.push(path);
        } else {
            find_slabs(&path, found)?;
        }
    }
    Ok(())
}

impl Cell {
    /// Keeps what compaction has done at this start.
    pub(crate) fn keep_optimized(&self, done: Option<Map>) -> Result<()> {
        let table = self.slab().table(TABLE, false)?;
        let Some(done) = done else { return Ok(()) };
        let time = done.get("init").and_then(|init| init.get("time")).and_then(Value::as_u64).unwrap_or_default();
        self.writer().run(|cx| cx.put(table, &time.to_be_bytes(), &msgpack::encode(&done.clone().into())))
    }

    /// What the last compaction has done.
    pub(crate) fn last_optimized(&self) -> Result<Value> {
        let table = self.slab().table(TABLE, false)?;
        let txn = self.slab().read_fresh()?;
        Ok(match txn.last(table)? {
            Some((_, valu)) => msgpack::decode(valu)?,
            None => Value::Null,
        })
    }
}
