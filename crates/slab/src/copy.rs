//! Copies of a slab as of one moment, made while it is written to.
//!
//! To begin one is to begin a read transaction and to keep the meta page it belongs to, which takes microseconds: a job of the
//! writer that begins the copies of all slabs gets them as of one moment and stops nobody for long. LMDB reuses no page that a
//! live transaction can see, so that the file itself can be read from then on, in order and at the disk's speed. Pages that
//! are free are left out: the copy has holes there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_error::{Result, err};

use crate::Slab;
use crate::check::free_pages;
use crate::lmdb::{self, TxnPtr};
use crate::page::Meta;
use crate::slab::Inner;

/// What is read at once.
const CHUNK: usize = 1 << 20;
/// Fewer free pages than this in a row are copied, since one read is cheaper than two.
const HOLE_LEAST: u64 = 16;

/// A copy that has its snapshot. To drop it gives the snapshot up.
pub struct SlabCopy {
    slab: Arc<Inner>,
    txn: TxnPtr,
    file: File,
    meta: Meta,
    head: Vec<u8>,
}

// SAFETY: the environment is opened with MDB_NOTLS, so that its read transactions are not tied to threads, and the copy is
// used by one thread at a time: it is not Sync.
unsafe impl Send for SlabCopy {}

impl Slab {
    /// Begins a copy of what is committed; what is committed from then on is not in it. Meant to be called in a job of the
    /// writer, so that nothing is committed meanwhile.
    pub fn begin_copy(&self) -> Result<SlabCopy> {
        let path = self.path().join("data.mdb");
        let file = File::open(&path)?;
        let txn = self.0.env.begin(true).map_err(|code| self.0.error(code))?;
        // SAFETY: the transaction was just begun.
        let txnid = unsafe { lmdb::txn_id(txn) };
        let metas = Meta::read(&file, &path).map(|metas| {
            metas.into_iter().find_map(|(meta, page)| Some((meta.filter(|meta| meta.txnid == txnid)?, page)))
        });
        match metas {
            Ok(Some((meta, head))) => Ok(SlabCopy { slab: self.0.clone(), txn, file, meta, head }),
            other => {
                // SAFETY: the transaction is ours and of no more use.
                unsafe { lmdb::abort(txn) };
                other?;
                let mesg = format!("The slab {} was committed while its copy began.", self.path().display());
                Err(err!("SynErr", mesg = mesg))
            }
        }
    }
}

impl SlabCopy {
    /// The slab that is copied.
    pub fn path(&self) -> &Path {
        &self.slab.path
    }

    /// How many bytes the copy will have at most.
    pub fn size(&self) -> u64 {
        (self.meta.last_pgno + 1) * self.meta.psize as u64
    }

    /// Writes the copy as `data.mdb` into a directory, which is made if it is not there, and calls `wrote` with the number of
    /// bytes after each piece. An error of `wrote` ends it.
    pub fn finish(self, target: &Path, mut wrote: impl FnMut(u64) -> Result<()>) -> Result<()> {
        std::fs::create_dir_all(target)?;
        let path: PathBuf = target.join("data.mdb");
        let into = File::create(&path)?;
        let psize = self.meta.psize as u64;
        let mut buf = vec![0; CHUNK];
        for (from, to) in used_ranges(&free_pages(&self.file, &self.meta)?, self.meta.last_pgno) {
            let (mut at, end) = (from * psize, to * psize);
            while at < end {
                let want = buf.len().min((end - at) as usize);
                let got = self.file.read_at(&mut buf[..want], at)?;
                if got == 0 {
                    // The last pages were allocated and never written, so that nothing refers to them.
                    break;
                }
                into.write_all_at(&buf[..got], at)?;
                at += got as u64;
                wrote(got as u64)?;
            }
        }
        into.set_len(self.size())?;
        // Both meta pages are the snapshot's: the other one of the slab is of a moment whose pages are not all here.
        for (numb, at) in [(0u64, 0), (1, psize)] {
            let mut page = self.head.clone();
            page[..8].copy_from_slice(&numb.to_le_bytes());
            into.write_all_at(&page, at)?;
        }
        Ok(into.sync_data()?)
    }
}

impl Drop for SlabCopy {
    fn drop(&mut self) {
        // SAFETY: the transaction is live and ours alone.
        unsafe { lmdb::abort(self.txn) };
    }
}

/// The runs of pages to copy, as `[from, to)`.
fn used_ranges(free: &[u64], last: u64) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let (mut from, mut at) = (2, 0);
    while at < free.len() {
        let begin = free[at];
        let mut end = begin + 1;
        at += 1;
        while free.get(at) == Some(&end) {
            end += 1;
            at += 1;
        }
        if end - begin >= HOLE_LEAST && begin >= from {
            ranges.push((from, begin.min(last + 1)));
            from = end;
        }
    }
    if from <= last {
        ranges.push((from, last + 1));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_of_free_pages_are_left_out() {
        assert_eq!(used_ranges(&[], 9), [(2, 10)]);
        assert_eq!(used_ranges(&[3, 5], 9), [(2, 10)]);
        assert_eq!(used_ranges(&(10..30).collect::<Vec<_>>(), 40), [(2, 10), (30, 41)]);
        assert_eq!(used_ranges(&(10..41).collect::<Vec<_>>(), 40), [(2, 10)]);
    }
}
