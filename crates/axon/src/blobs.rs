//! Where the bytes are: two slabs, in the reference's layout.
//!
//! `axon.lmdb`:
//!
//! | table | kind | key → value |
//! |---|---|---|
//! | `sizes` | plain | sha256 → be64(size); this row makes a file exist |
//! | `history` | dup | be64(millis) → msgpack `(sha256, size)` |
//! | `axonseqn` | sequence | be64(n) → msgpack `(sha256, size)`, n counting additions |
//! | `metrics` | counters | `file:count`, `size:bytes` |
//!
//! `blob.lmdb`:
//!
//! | table | kind | key → value |
//! |---|---|---|
//! | `blobs` | plain | sha256 + be64(chunk) → bytes |
//! | `offsets` | plain | sha256 + be64(end of the chunk) → be64(chunk) |
//! | `metadata` | plain | `version` → be64(2) |
//!
//! Readers assume nothing of the size of a chunk. The empty file has no chunk.

use std::path::Path;
use std::sync::Arc;

use myelin_cell::{ApplyCx, Event, NexsHandler};
use myelin_error::{Result, err};
use myelin_slab::tables::{Hist, HotCount, SlabSeqn};
use myelin_slab::{Options, Reads, Slab, Table, WriteCx, Writer};
use myelin_value::{Map, Value};
use tokio::sync::watch;

/// The hash that names a file.
pub type Sha256 = [u8; 32];

/// The names of its events.
pub const EVENTS: &[&str] = &["axon:bytes:add", "axon:file:add", "axon:file:del"];
const VERSION: u64 = 2;

/// The slabs of an axon with their tables.
pub struct Blobs {
    /// Which files there are.
    pub axon: Slab,
    /// Their bytes.
    pub blob: Slab,
    pub(crate) sizes: Table,
    pub(crate) history: Hist,
    pub(crate) seqn: SlabSeqn,
    metrics: HotCount,
    blobs: Table,
    offsets: Table,
    /// Counts additions, for those who wait for the next one.
    pub(crate) news: watch::Sender<u64>,
}

impl Blobs {
    /// Opens the slabs in a directory, making them if they are not there.
    pub fn open(writer: &Writer, dirn: &Path) -> Result<Blobs> {
        let axon = Slab::open(writer, &dirn.join("axon.lmdb"), Options::small())?;
        let blob = Slab::open(writer, &dirn.join("blob.lmdb"), Options::default())?;
        let blobs = Blobs {
            sizes: axon.table("sizes", false)?,
            history: Hist::open(&axon, "history")?,
            seqn: SlabSeqn::open(&axon, "axonseqn")?,
            metrics: HotCount::open(&axon, "metrics")?,
            blobs: blob.table("blobs", false)?,
            offsets: blob.table("offsets", false)?,
            news: watch::Sender::new(0),
            axon,
            blob,
        };
        blobs.init_metrics(writer)?;
        blobs.migrate(writer)?;
        Ok(blobs)
    }

    fn init_metrics(&self, writer: &Writer) -> Result<()> {
        if self.metrics.items().iter().any(|(name, _)| name == "file:count") {
            return Ok(());
        }
        writer.run(|cx| {
            self.metrics.set(cx, "size:bytes", 0)?;
            self.metrics.set(cx, "file:count", 0)
        })
    }

    /// Version 0 had no offsets, version 1 may have wrong ones: both are mended by making them anew.
    fn migrate(&self, writer: &Writer) -> Result<()> {
        let metadata = self.blob.table("metadata", false)?;
        let has = self.blob.read_fresh()?.get(metadata, b"version")?.map(be64);
        if has == Some(VERSION) {
            return Ok(());
        }
        if let Some(newer) = has.filter(|has| *has > VERSION) {
            let path = self.blob.path().display().to_string();
            let mesg = format!(
                "The files in {path} have version {newer}, and this build knows {VERSION}: start a newer build."
            );
            return Err(err!("BadStorageVersion", mesg = mesg, version = newer, path = path));
        }
        writer.run(|cx| {
            if cx.entries(self.blobs)? > 0 {
                self.rebuild_offsets(cx)?;
            }
            cx.put(metadata, b"version", &VERSION.to_be_bytes())
        })
    }

    fn rebuild_offsets(&self, cx: &mut WriteCx) -> Result<()> {
        let mut rows = Vec::new();
        let (mut last, mut offs) = (Vec::new(), 0u64);
        for row in cx.iter(self.blobs)? {
            let (key, byts) = row?;
            if key.len() != 40 {
                return Err(err!("BadCoreStore", mesg = "A chunk of a file has a key of the wrong length."));
            }
            if last != key[..32] {
                last = key[..32].to_vec();
                offs = 0;
            }
            offs += byts.len() as u64;
            rows.push(([&last[..], &offs.to_be_bytes()].concat(), be64(&key[32..])));
        }
        cx.clear(self.offsets)?;
        for (key, indx) in rows {
            cx.put(self.offsets, &key, &indx.to_be_bytes())?;
        }
        Ok(())
    }

    // ---- reading

    /// The size of a file, if there is one.
    pub fn size(&self, sha256: &[u8]) -> Result<Option<u64>> {
        Ok(self.axon.read_fresh()?.get(self.sizes, sha256)?.map(be64))
    }

    /// A count by name.
    pub fn metric(&self, name: &str) -> u64 {
        u64::try_from(self.metrics.get(name)).unwrap_or_default()
    }

    /// All counts.
    pub fn metrics(&self) -> Map {
        self.metrics.items().into_iter().collect()
    }

    /// The first chunk that holds an offset: its index, and how many of its last bytes are wanted.
    pub fn seek(&self, sha256: &Sha256, offs: u64) -> Result<Option<(u64, u64)>> {
        let txn = self.blob.read_fresh()?;
        let row = txn.range(self.offsets, &chunk_key(sha256, offs), Some(&chunk_key(sha256, u64::MAX)))?.next();
        let Some(row) = row.transpose()? else { return Ok(None) };
        Ok(Some((be64(row.1), be64(&row.0[32..]) - offs)))
    }

    /// The first chunk from an index on, given to a closure as bytes of the map.
    pub fn chunk<T>(&self, sha256: &Sha256, indx: u64, func: impl FnOnce(u64, &[u8]) -> T) -> Result<Option<T>> {
        let txn = self.blob.read_fresh()?;
        let row = txn.range(self.blobs, &chunk_key(sha256, indx), Some(&chunk_key(sha256, u64::MAX)))?.next();
        Ok(row.transpose()?.map(|(key, byts)| func(be64(&key[32..]), byts)))
    }

    // ---- writing

    /// Stores one chunk. `offs` is where it ends.
    pub fn add_bytes(&self, cx: &mut WriteCx, sha256: &[u8], indx: u64, offs: u64, byts: &[u8]) -> Result<()> {
        let indx = indx.to_be_bytes();
        cx.put(self.blobs, &[sha256, &indx].concat(), byts)?;
        cx.put(self.offsets, &[sha256, &offs.to_be_bytes()].concat(), &indx)
    }

    fn add_file(&self, cx: &mut WriteCx, sha256: &[u8], size: u64, tick: u64) -> Result<bool> {
        if cx.is_suppressed(self.sizes)? || cx.has(self.sizes, sha256)? {
            return Ok(false);
        }
        let item = Value::list([sha256.into(), size.into()]);
        self.history.add(cx, tick, &item)?;
        self.seqn.add(cx, &item)?;
        self.metrics.inc(cx, "file:count", 1)?;
        self.metrics.inc(cx, "size:bytes", size as i64)?;
        cx.put(self.sizes, sha256, &size.to_be_bytes())?;
        self.news.send_modify(|count| *count += 1);
        Ok(true)
    }

    fn del_file(&self, cx: &mut WriteCx, sha256: &[u8], replay: bool) -> Result<bool> {
        let size = cx.get(self.sizes, sha256)?.map(be64);
        if !cx.is_suppressed(self.sizes)?
            && let Some(size) = size
        {
            cx.del(self.sizes, sha256)?;
            self.metrics.inc(cx, "file:count", -1)?;
            self.metrics.inc(cx, "size:bytes", -(size as i64))?;
        }
        // A replay may find the row gone and the bytes still there: the two are in different slabs.
        if size.is_some() || replay {
            cx.del_prefix(self.offsets, sha256)?;
            cx.del_prefix(self.blobs, sha256)?;
        }
        Ok(size.is_some())
    }
}

impl NexsHandler for Blobs {
    fn events(&self) -> &[&str] {
        EVENTS
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let sha256 = event.arg(0, "sha256").as_bytes().filter(|byts| byts.len() == 32);
        let sha256 = sha256.ok_or_else(|| err!("BadArg", mesg = "A file is named by the 32 bytes of its SHA-256."))?;
        let replay = cx.replay;
        match event.name.as_str() {
            "axon:bytes:add" => {
                let byts = event.arg(3, "byts").as_bytes();
                let byts = byts.ok_or_else(|| err!("BadArg", mesg = "A chunk of a file must be bytes."))?;
                self.add_bytes(cx, sha256, uint(event, 1, "indx")?, uint(event, 2, "offs")?, byts)?;
                Ok(Value::Null)
            }
            "axon:file:add" => {
                let tick = event.map_arg(2, "info")?.get_i64("tick").unwrap_or_default();
                let tick = u64::try_from(tick).unwrap_or_default();
                Ok(self.add_file(cx, sha256, uint(event, 1, "size")?, tick)?.into())
            }
            _ => Ok(self.del_file(cx, sha256, replay)?.into()),
        }
    }

    fn homes(&self, event: &Event) -> Vec<Slab> {
        match event.name.as_str() {
            "axon:bytes:add" => vec![self.blob.clone()],
            "axon:file:add" => vec![self.axon.clone()],
            _ => vec![self.axon.clone(), self.blob.clone()],
        }
    }
}

/// Bytes of a file, chunk by chunk; each is read in a transaction of its own, so that a slow reader holds none.
pub struct Chunks {
    blobs: Arc<Blobs>,
    sha256: Sha256,
    /// The next chunk; nothing when the end is reached.
    indx: Option<u64>,
    /// How many of the last bytes of the first chunk are wanted.
    tail: Option<u64>,
    left: u64,
    /// An offset past the end yields one empty chunk.
    blank: bool,
}

impl Chunks {
    /// A whole file.
    pub fn whole(blobs: &Arc<Blobs>, sha256: Sha256) -> Chunks {
        Chunks { blobs: blobs.clone(), sha256, indx: Some(0), tail: None, left: u64::MAX, blank: false }
    }

    /// A part of a file that has `fsize` bytes.
    pub fn part(blobs: &Arc<Blobs>, sha256: Sha256, fsize: u64, offs: u64, size: u64) -> Result<Chunks> {
        let mut chunks = Chunks { left: size, ..Chunks::whole(blobs, sha256) };
        if offs >= fsize {
            chunks.indx = None;
            chunks.blank = true;
            return Ok(chunks);
        }
        match blobs.seek(&sha256, offs)? {
            Some((indx, tail)) => (chunks.indx, chunks.tail) = (Some(indx), Some(tail)),
            None => chunks.indx = None,
        }
        Ok(chunks)
    }

    fn read(&mut self) -> Result<Option<Arc<[u8]>>> {
        if std::mem::take(&mut self.blank) {
            return Ok(Some(Arc::default()));
        }
        while let Some(indx) = self.indx.filter(|_| self.left > 0) {
            let (tail, left) = (self.tail.take(), self.left);
            let found = self.blobs.chunk(&self.sha256, indx, |at, byts| {
                let from = tail.map_or(0, |tail| byts.len().saturating_sub(tail as usize));
                let upto = byts.len().min(from.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
                (at, Arc::<[u8]>::from(&byts[from..upto]))
            })?;
            let Some((at, byts)) = found else { break };
            self.indx = at.checked_add(1);
            self.left -= byts.len() as u64;
            if !byts.is_empty() {
                return Ok(Some(byts));
            }
        }
        self.indx = None;
        Ok(None)
    }
}

impl Iterator for Chunks {
    type Item = Result<Arc<[u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        let done = self.read();
        if done.is_err() {
            self.indx = None;
        }
        done.transpose()
    }
}

fn chunk_key(sha256: &Sha256, numb: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(sha256);
    key[32..].copy_from_slice(&numb.to_be_bytes());
    key
}

/// A number of a row. A row of the wrong length is read as 0: nothing that exists has such a size.
fn be64(byts: &[u8]) -> u64 {
    byts.try_into().map_or(0, u64::from_be_bytes)
}

fn uint(event: &Event, indx: usize, name: &str) -> Result<u64> {
    u64::try_from(event.int_arg(indx, name)?)
        .map_err(|_| err!("BadArg", mesg = format!("The argument {name} must not be negative."), name = name))
}
