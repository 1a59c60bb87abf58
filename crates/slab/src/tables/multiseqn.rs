//! The nexus log on disk: a directory of slabs, one a segment.
//!
//! `seqn<16 hex>.lmdb` holds entries from the offset in its name on: table `nexuslog` (be64 → packed entry) and table
//! `info` (`firstindx` → be64 of the lowest retained offset). The last segment is the tail and the only one written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use myelin_error::{Result, err};

use super::seqn::offs_of;
use crate::{Options, ReadTxn, Reads, Slab, Table, WriteCx, Writer, opts_path};

/// Rows read in one transaction, so that readers never hold the map for long.
const READ_BATCH: usize = 512;

/// The segments of a log.
pub struct MultiSlabSeqn {
    dirn: PathBuf,
    writer: Writer,
    opts: Options,
    segments: ArcSwap<Vec<Segment>>,
    first: AtomicU64,
    next: AtomicU64,
}

#[derive(Clone)]
struct Segment {
    start: u64,
    slab: Slab,
    rows: Table,
    info: Table,
}

impl MultiSlabSeqn {
    /// Opens the log in a directory, which is made if it is not there.
    pub fn open(writer: &Writer, dirn: &Path, opts: Options) -> Result<MultiSlabSeqn> {
        std::fs::create_dir_all(dirn)?;
        let mut starts: Vec<u64> = Vec::new();
        for entry in std::fs::read_dir(dirn)? {
            let name = entry?.file_name();
            let hex =
                name.to_str().and_then(|name| name.strip_prefix("seqn")?.strip_suffix(".lmdb").map(str::to_owned));
            if let Some(hex) = hex {
                let start = u64::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 16);
                starts.push(start.ok_or_else(|| bad_log(dirn, &format!("{} is no segment's name", name.display())))?);
            }
        }
        starts.sort_unstable();
        let log = MultiSlabSeqn {
            dirn: dirn.to_owned(),
            writer: writer.clone(),
            opts,
            segments: ArcSwap::default(),
            first: AtomicU64::new(0),
            next: AtomicU64::new(0),
        };
        log.load(&starts)?;
        Ok(log)
    }

    fn load(&self, starts: &[u64]) -> Result<()> {
        let mut segments = Vec::new();
        let (mut first, mut last) = (0, None);
        for start in starts {
            // A crash right after a rotation leaves a tail that does not say yet where the log begins: that did not change.
            let segment = self.open_segment(*start, if segments.is_empty() { *start } else { first })?;
            let txn = segment.slab.read_fresh()?;
            first = txn.get(segment.info, b"firstindx")?.map(offs_of).transpose()?.unwrap_or(*start);
            if let Some((key, _)) = txn.first(segment.rows)?
                && offs_of(key)? < *start
            {
                return Err(bad_log(&self.dirn, "a segment holds an entry from before its own start"));
            }
            if last.is_some_and(|last| last >= *start) {
                return Err(bad_log(&self.dirn, "overlapping segments"));
            }
            last = txn.last(segment.rows)?.map(|(key, _)| offs_of(key)).transpose()?.or(last);
            drop(txn);
            segments.push(segment);
        }
        if segments.is_empty() {
            segments.push(self.open_segment(0, 0)?);
        }
        let tail = segments[segments.len() - 1].start;
        first = first.max(segments[0].start);
        self.first.store(first, Ordering::Release);
        self.next.store(last.map_or(0, |last| last + 1).max(tail), Ordering::Release);
        self.segments.store(Arc::new(segments));
        Ok(())
    }

    fn segment_path(&self, start: u64) -> PathBuf {
        self.dirn.join(format!("seqn{start:016x}.lmdb"))
    }

    fn open_segment(&self, start: u64, first: u64) -> Result<Segment> {
        let slab = Slab::open(&self.writer, &self.segment_path(start), self.opts.clone())?;
        let shared = slab.clone();
        let (rows, info) = self.writer.run(move |cx| segment_tables(cx, &shared, first))?;
        Ok(Segment { start, slab, rows, info })
    }

    /// The lowest retained offset.
    pub fn first_offs(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// The offset the next entry gets.
    pub fn next_offs(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Moves the next offset forward. Says whether it did.
    pub fn set_next(&self, offs: u64) -> bool {
        self.next.fetch_max(offs, Ordering::AcqRel) < offs
    }

    /// Stores a packed entry at an offset.
    pub fn put(&self, cx: &mut WriteCx, offs: u64, byts: &[u8]) -> Result<()> {
        let segments = self.segments.load();
        let tail = &segments[segments.len() - 1];
        if offs < self.next_offs() {
            let segment = segments.iter().rev().find(|segment| segment.start <= offs);
            let segment = segment.ok_or_else(|| bad_log(&self.dirn, "an offset below the log was written"))?;
            return cx.put(segment.rows, &offs.to_be_bytes(), byts);
        }
        cx.append(tail.rows, &offs.to_be_bytes(), byts)?;
        self.next.store(offs + 1, Ordering::Release);
        Ok(())
    }

    /// Packed entries from an offset on: at most a few hundred, and none only at the end of what was written.
    pub fn read(&self, offs: u64) -> Result<Vec<(u64, Vec<u8>)>> {
        let offs = offs.max(self.first_offs());
        let segments = self.segments.load_full();
        let begin = segments.iter().rposition(|segment| segment.start <= offs).unwrap_or(0);
        let mut found = Vec::new();
        for segment in &segments[begin..] {
            // A segment that was culled meanwhile has nothing to say.
            let txn = match segment.slab.read_fresh() {
                Err(error) if error.is("IsFini") => continue,
                txn => txn?,
            };
            read_rows(&txn, segment.rows, offs, &mut found)?;
            if found.len() >= READ_BATCH {
                break;
            }
        }
        Ok(found)
    }

    /// The last entry.
    pub fn last(&self) -> Result<Option<(u64, Vec<u8>)>> {
        for segment in self.segments.load().iter().rev() {
            let txn = segment.slab.read_fresh()?;
            if let Some((key, valu)) = txn.last(segment.rows)? {
                return Ok(Some((offs_of(key)?, valu.to_vec())));
            }
        }
        Ok(None)
    }

    /// The packed entry at an offset.
    pub fn get(&self, offs: u64) -> Result<Option<Vec<u8>>> {
        let segments = self.segments.load();
        let Some(segment) = segments.iter().rev().find(|segment| segment.start <= offs) else { return Ok(None) };
        let txn = segment.slab.read_fresh()?;
        Ok(txn.get(segment.rows, &offs.to_be_bytes())?.map(<[u8]>::to_vec))
    }

    /// Closes the tail and begins a new one. Returns where the (new) tail begins. Runs on the writer.
    pub fn rotate(&self, cx: &mut WriteCx) -> Result<u64> {
        let segments = self.segments.load_full();
        let tail = &segments[segments.len() - 1];
        if cx.last(tail.rows)?.is_none() {
            return Ok(tail.start);
        }
        let start = self.next_offs();
        cx.commit(&tail.slab)?;
        let slab = cx.open_slab(&self.writer, &self.segment_path(start), self.opts.clone())?;
        let (rows, info) = segment_tables(cx, &slab, self.first_offs())?;
        let mut segments = (*segments).clone();
        segments.push(Segment { start, slab, rows, info });
        self.segments.store(Arc::new(segments));
        Ok(start)
    }

    /// Whether entries up to an offset could be removed: there is something to remove, and one entry stays.
    pub fn may_cull(&self, offs: u64) -> bool {
        offs >= self.first_offs() && offs.saturating_add(1) < self.next_offs()
    }

    /// Removes entries up to an offset, which is included. Whole segments are deleted; rows of the others only become
    /// invisible. Says whether something was removed. Runs on the writer.
    pub fn cull(&self, cx: &mut WriteCx, offs: u64) -> Result<bool> {
        if !self.may_cull(offs) {
            return Ok(false);
        }
        let segments = self.segments.load_full();
        let tail = &segments[segments.len() - 1];
        cx.put(tail.info, b"firstindx", &(offs + 1).to_be_bytes())?;
        cx.commit(&tail.slab)?;
        self.first.store(offs + 1, Ordering::Release);
        let kept = segments.windows(2).take_while(|pair| pair[1].start <= offs + 1).count();
        let (gone, stay) = segments.split_at(kept);
        self.segments.store(Arc::new(stay.to_vec()));
        for segment in gone {
            cx.close_slab(&segment.slab)?;
            let path = segment.slab.path();
            std::fs::remove_dir_all(path)?;
            let _ = std::fs::remove_file(opts_path(path));
        }
        Ok(true)
    }

    /// Whether the log survives a power loss: writes what is committed to the disk.
    pub fn is_durable(&self) -> bool {
        self.opts.durable
    }
}

fn segment_tables(cx: &mut WriteCx, slab: &Slab, first: u64) -> Result<(Table, Table)> {
    let info = cx.table(slab, "info", false)?;
    let rows = cx.table(slab, "nexuslog", false)?;
    if cx.get(info, b"firstindx")?.is_none() {
        cx.put(info, b"firstindx", &first.to_be_bytes())?;
    }
    Ok((rows, info))
}

fn read_rows(txn: &ReadTxn, rows: Table, offs: u64, found: &mut Vec<(u64, Vec<u8>)>) -> Result<()> {
    for row in txn.range(rows, &offs.to_be_bytes(), None)? {
        let (key, valu) = row?;
        found.push((offs_of(key)?, valu.to_vec()));
        if found.len() >= READ_BATCH {
            break;
        }
    }
    Ok(())
}

fn bad_log(dirn: &Path, what: &str) -> myelin_error::Error {
    let dirn = dirn.display().to_string();
    err!("BadCoreStore", mesg = format!("The nexus log in {dirn} cannot be used: {what}."), dirn = dirn)
}
