//! The blob store: what can be asked of it and done to it, with every change a nexus event.
//!
//! It stands on a cell, so that it is the same in a service of its own and inside a cortex.

use std::path::PathBuf;
use std::sync::Arc;

use md5::Md5;
use myelin_cell::{Cell, Nexus, nexus::pack_entry};
use myelin_error::{Result, err};
use myelin_slab::Reads;
use myelin_telepath::ValueStream;
use myelin_value::{Map, Value, msgpack};
use parking_lot::Mutex;
use sha1::Sha1;
use sha2::{Digest, Sha256 as Sha256Hash, Sha512};

use crate::blobs::{Blobs, Chunks, EVENTS, Sha256};
use crate::upload::Upload;

/// Bytes a chunk has at most where the axon itself cuts.
pub const CHUNK_SIZE: usize = 16 << 20;
/// Rows read at a time by a stream.
const PAGE: usize = 1000;
/// Files of which two may be stored at once; more share a lock.
const LOCKS: usize = 64;

/// Options of an axon.
#[derive(Clone, Debug, Default)]
pub struct AxonConf {
    /// No file is taken when this many bytes are stored.
    pub max_bytes: Option<u64>,
    /// No file is taken when this many are stored.
    pub max_count: Option<u64>,
    /// The proxy for requests, where a caller asks for it.
    pub http_proxy: Option<String>,
    /// A directory with more authorities that servers may have their certificates from.
    pub tls_ca_dir: Option<PathBuf>,
}

impl AxonConf {
    fn from_cell(cell: &Cell) -> AxonConf {
        let conf = cell.conf();
        let limit = |key: &str| conf.int(key).and_then(|limit| u64::try_from(limit).ok());
        AxonConf {
            max_bytes: limit("max:bytes"),
            max_count: limit("max:count"),
            http_proxy: conf.str("http:proxy"),
            tls_ca_dir: conf.str("tls:ca:dir").map(PathBuf::from),
        }
    }
}

/// A blob store. Cheap to clone. Its methods block, but for those that say otherwise.
#[derive(Clone)]
pub struct Axon(Arc<Inner>);

struct Inner {
    iden: String,
    dirn: PathBuf,
    conf: AxonConf,
    nexus: Nexus,
    blobs: Arc<Blobs>,
    locks: [Mutex<()>; LOCKS],
}

impl Axon {
    /// Opens the axon of a cell, whether it is a service or lives inside another cell.
    pub fn open(cell: &Cell) -> Result<Axon> {
        cell.check_storage("axon:metrics", 0, 1)?;
        // Stated by an embedded axon too: the original would count its metrics anew from where they lay before version 1.
        if cell.cell_vers("axon:metrics")? < 1 {
            let vers = cell.vers_table().clone();
            cell.writer().run(|cx| vers.set(cx, "axon:metrics", &1.into()))?;
        }
        let blobs = Arc::new(Blobs::open(cell.writer(), cell.dirn())?);
        cell.add_service_events(EVENTS, blobs.clone());
        Ok(Axon(Arc::new(Inner {
            iden: cell.iden().to_owned(),
            dirn: cell.dirn().to_owned(),
            conf: AxonConf::from_cell(cell),
            nexus: cell.nexus().clone(),
            blobs,
            locks: [const { Mutex::new(()) }; LOCKS],
        })))
    }

    /// The options.
    pub fn conf(&self) -> &AxonConf {
        &self.0.conf
    }

    /// Where large uploads wait.
    pub fn tmp_dir(&self) -> PathBuf {
        self.0.dirn.join("tmp")
    }

    // ---- asking

    /// Whether there is a file.
    pub fn has(&self, sha256: &[u8]) -> Result<bool> {
        Ok(self.size(sha256)?.is_some())
    }

    /// The size of a file, if there is one.
    pub fn size(&self, sha256: &[u8]) -> Result<Option<u64>> {
        if sha256.is_empty() { Ok(None) } else { self.0.blobs.size(sha256) }
    }

    /// The size of a file that must be there.
    pub fn req_size(&self, sha256: &[u8]) -> Result<u64> {
        self.size(sha256)?
            .ok_or_else(|| err!("NoSuchFile", mesg = "The axon has no file of that SHA-256.", sha256 = hex_of(sha256)))
    }

    /// Those of a list of hashes that are not there.
    pub fn wants(&self, sha256s: &[Value]) -> Result<Vec<Value>> {
        let mut wanted = Vec::new();
        for sha256 in sha256s {
            if !self.has(req_bytes(sha256)?)? {
                wanted.push(sha256.clone());
            }
        }
        Ok(wanted)
    }

    /// A file's bytes.
    pub fn get(&self, sha256: &[u8]) -> Result<Chunks> {
        self.req_size(sha256)?;
        Ok(Chunks::whole(&self.0.blobs, req_sha256(sha256)?))
    }

    /// A part of a file's bytes. An offset past the end gives one empty chunk.
    pub fn get_part(&self, sha256: &[u8], offs: i64, size: Option<i64>) -> Result<Chunks> {
        let fsize = self.req_size(sha256)?;
        let offs = u64::try_from(offs)
            .map_err(|_| err!("BadArg", mesg = "The offset to read from must not be negative.", offs = offs))?;
        let size = match size {
            None => u64::MAX,
            Some(size) if size >= 1 => size as u64,
            Some(size) => return Err(err!("BadArg", mesg = "At least one byte must be read.", size = size)),
        };
        Chunks::part(&self.0.blobs, req_sha256(sha256)?, fsize, offs, size)
    }

    /// A file's bytes as one piece; for files that are known to be small.
    pub fn get_bytes(&self, sha256: &[u8]) -> Result<Vec<u8>> {
        let mut byts = Vec::new();
        for chunk in self.get(sha256)? {
            byts.extend_from_slice(&chunk?);
        }
        Ok(byts)
    }

    /// The file's hashes as hex text: `md5`, `sha1`, `sha256`, `sha512`.
    pub fn hashset(&self, sha256: &[u8]) -> Result<Map> {
        let mut hashes = HashSet::default();
        for chunk in self.get(sha256)? {
            hashes.update(&chunk?);
        }
        Ok(hashes.digests())
    }

    /// `file:count` and `size:bytes`.
    pub fn metrics(&self) -> Map {
        self.0.blobs.metrics()
    }

    /// Additions `(time, (sha256, size))` of a span of time, both ends included.
    pub fn history(&self, tick: i64, tock: Option<i64>) -> Result<Vec<Value>> {
        let clamp = |tick: i64| u64::try_from(tick).unwrap_or_default();
        let txn = self.0.blobs.axon.read_fresh()?;
        let rows = self.0.blobs.history.iter(&txn, clamp(tick), tock.map(clamp))?;
        rows.map(|row| row.map(|(tick, item)| Value::list([tick.into(), item]))).collect()
    }

    /// Additions `(n, (sha256, size))` of files that are still there, from a number on. With `wait` the stream goes on with
    /// those to come, until none came for `timeout`. Does not block.
    pub fn hashes(&self, offs: u64, wait: bool, timeout: Option<std::time::Duration>) -> ValueStream {
        let blobs = self.0.blobs.clone();
        let mut offs = offs;
        Box::pin(async_stream::try_stream! {
            let mut news = blobs.news.subscribe();
            loop {
                news.mark_unchanged();
                let from = blobs.clone();
                let (rows, next) = blocking(move || page_of_hashes(&from, offs)).await?;
                let idle = next == offs;
                offs = next;
                for row in rows {
                    yield row;
                }
                if !idle {
                    continue;
                }
                let more = async {
                    match timeout {
                        _ if !wait => false,
                        None => news.changed().await.is_ok(),
                        Some(timeout) => matches!(tokio::time::timeout(timeout, news.changed()).await, Ok(Ok(()))),
                    }
                };
                if !more.await {
                    break;
                }
            }
        })
    }

    // ---- storing

    /// An upload, for files that come in pieces.
    pub fn upload(&self) -> Upload {
        Upload::new(self.clone())
    }

    /// Stores bytes; returns their count and SHA-256.
    pub fn put(&self, byts: &[u8]) -> Result<(u64, Sha256)> {
        let sha256: Sha256 = Sha256Hash::digest(byts).into();
        let size = byts.len() as u64;
        if !self.has(&sha256)? {
            self.save(&sha256, byts.chunks(CHUNK_SIZE).map(Ok))?;
        }
        Ok((size, sha256))
    }

    /// Stores chunks under a hash that the caller vouches for, as they are. Returns the size stored.
    pub fn save<B: AsRef<[u8]>>(&self, sha256: &Sha256, chunks: impl Iterator<Item = Result<B>>) -> Result<u64> {
        self.req_below_limits()?;
        let _guard = self.0.locks[usize::from(sha256[0]) % LOCKS].lock();
        if let Some(size) = self.size(sha256)? {
            return Ok(size);
        }
        let mut size = 0;
        for (indx, chunk) in chunks.enumerate() {
            let chunk = chunk?;
            size += chunk.as_ref().len() as u64;
            self.add_bytes(sha256, indx as u64, size, chunk.as_ref())?;
        }
        let info = Map::new().with("tick", now());
        self.push("axon:file:add", vec![(&sha256[..]).into(), size.into(), info.into()])?;
        Ok(size)
    }

    /// Encodes the event straight from the bytes: they may be large, and are copied once instead of thrice.
    fn add_bytes(&self, sha256: &Sha256, indx: u64, offs: u64, byts: &[u8]) -> Result<()> {
        const EVENT: &str = "axon:bytes:add";
        let forward = || {
            let args = vec![(&sha256[..]).into(), indx.into(), offs.into(), byts.into()];
            self.push(EVENT, args).map(drop)
        };
        if !self.0.nexus.is_leader() {
            return forward();
        }
        let mut entry = Vec::with_capacity(byts.len() + 128);
        pack_entry(&mut entry, &self.0.iden, EVENT, |out| {
            msgpack::write_array_len(out, 4);
            msgpack::write_bytes(out, sha256);
            msgpack::encode_into(out, &indx.into());
            msgpack::encode_into(out, &offs.into());
            msgpack::write_bytes(out, byts);
            msgpack::write_map_len(out, 0);
        });
        match self
            .0
            .nexus
            .push_packed(&self.0.iden, &entry, |cx| self.0.blobs.add_bytes(cx, sha256, indx, offs, byts))?
        {
            Some(_) => Ok(()),
            None => forward(),
        }
    }

    fn req_below_limits(&self) -> Result<()> {
        let Inner { conf, blobs, .. } = &*self.0;
        for (limit, name) in [(conf.max_bytes, "size:bytes"), (conf.max_count, "file:count")] {
            if let Some(limit) = limit.filter(|limit| *limit <= blobs.metric(name)) {
                return Err(err!("HitLimit", mesg = format!("The axon is at its limit of {name}: {limit}")));
            }
        }
        Ok(())
    }

    // ---- removing

    /// Removes a file. False if there was none.
    pub fn del(&self, sha256: &[u8]) -> Result<bool> {
        if !self.has(sha256)? {
            return Ok(false);
        }
        Ok(self.push("axon:file:del", vec![sha256.into()])?.is_truthy())
    }

    fn push(&self, event: &str, args: Vec<Value>) -> Result<Value> {
        Ok(self.0.nexus.push(&self.0.iden, event, args, Map::new())?.1)
    }
}

fn page_of_hashes(blobs: &Blobs, offs: u64) -> Result<(Vec<Value>, u64)> {
    let txn = blobs.axon.read_fresh()?;
    let (mut rows, mut next) = (Vec::new(), offs);
    for row in blobs.seqn.iter(&txn, offs)?.take(PAGE) {
        let (at, item) = row?;
        next = at + 1;
        let sha256 = item.at(0).and_then(Value::as_bytes).unwrap_or_default();
        if !sha256.is_empty() && txn.has(blobs.sizes, sha256)? {
            rows.push(Value::list([at.into(), item]));
        }
    }
    Ok((rows, next))
}

/// The hashes that the platform keeps of a file.
#[derive(Default)]
pub struct HashSet {
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256Hash,
    sha512: Sha512,
}

impl HashSet {
    /// More bytes.
    pub fn update(&mut self, byts: &[u8]) {
        self.md5.update(byts);
        self.sha1.update(byts);
        self.sha256.update(byts);
        self.sha512.update(byts);
    }

    /// The hashes by name, as hex text.
    pub fn digests(self) -> Map {
        Map::new()
            .with("md5", hex_of(&self.md5.finalize()))
            .with("sha1", hex_of(&self.sha1.finalize()))
            .with("sha256", hex_of(&self.sha256.finalize()))
            .with("sha512", hex_of(&self.sha512.finalize()))
    }
}

/// Hex text.
pub fn hex_of(byts: &[u8]) -> String {
    hex::encode(byts)
}

/// A hash from hex text.
pub fn sha256_of(text: &str) -> Result<Sha256> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(text, &mut sha256)
        .map_err(|_| err!("BadArg", mesg = "A SHA-256 is 64 hex digits.", sha256 = text))?;
    Ok(sha256)
}

/// A hash from its bytes.
pub fn req_sha256(byts: &[u8]) -> Result<Sha256> {
    byts.try_into().map_err(|_| err!("BadArg", mesg = "A SHA-256 has 32 bytes.", sha256 = hex_of(byts)))
}

/// Bytes from a value.
pub fn req_bytes(valu: &Value) -> Result<&[u8]> {
    valu.as_bytes().ok_or_else(|| err!("BadArg", mesg = format!("Expected bytes, got {}.", valu.kind())))
}

/// Runs blocking work on a thread for it.
pub async fn blocking<T: Send + 'static>(func: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(func).await;
    done.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("A read was abandoned: {error}."))))
}

/// Turns a blocking iterator into a stream; items are made one ahead, on a thread of the blocking pool.
pub fn stream_of<I>(items: I) -> ValueStream
where
    I: Iterator<Item = Result<Value>> + Send + 'static,
{
    let (tx, rx) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        for item in items {
            let last = item.is_err();
            if tx.blocking_send(item).is_err() || last {
                break;
            }
        }
    });
    Box::pin(futures::stream::unfold(rx, async |mut rx| rx.recv().await.map(|item| (item, rx))))
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
