//! A layer: storage nodes, their indexes, node data, light edges and the log of edits, in three slabs.
//!
//! ```text
//! <dir>/layer_v2.lmdb    storage nodes and indexes      <dir>/nodedata.lmdb    node data
//! <dir>/nodeedits.lmdb   the edit log
//! ```
//!
//! Invariants:
//! 1. a storage node's row and its index rows are written in the same transaction;
//! 2. the edit log and node data are committed before the indexes are: after a crash, an event that is applied again finds
//!    either all of its effects or makes them, and its log row is never lost;
//! 3. point reads by buid see uncommitted storage nodes through the overlay; walks begin with `read_fresh`;
//! 4. abbreviations are never released;
//! 5. the sums of what the two slabs of state hold ([`crate::facts`]) are written in the transactions that change it.
//!
//! Layers know nothing of views, users or the data model. Edits are in [`crate::apply`], walks in [`crate::lift`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use myelin_error::{Result, err};
use myelin_model::{StorCmpr, StorType};
use myelin_slab::tables::{Abrv, HotCount, SlabAbrv, SlabSeqn, StateSum};
use myelin_slab::{Options, Reads, Slab, Table, WriteCx, Writer};
use myelin_value::{Buid, BuidState, Map, Value, msgpack};
use parking_lot::RwLock;

use crate::cache::{Found, Sodes};
use crate::edit::{NodeEdit, pack_edits, unpack_edits, write_edits};
use crate::facts::Sums;
use crate::index;
use crate::lift::{LayerLift, LiftBy, Stop};

/// The version of the disk format.
pub const LAYER_VERSION: i64 = 11;
/// Names of node data must leave room for an abbreviation in a key.
pub const DATA_NAME_MAX: usize = 506;

/// Who stores edits: the nexus of a service, which logs and then applies them. Without one a layer applies them itself.
pub trait EditSink: Send + Sync {
    /// Logs and applies a batch. Returns its offset and the edits as applied. With `later`, the caller has the log committed
    /// before it tells anybody of the change.
    ///
    /// # Errors
    /// What logging or applying fails with.
    fn push_edits(&self, layer: &Layer, edits: &[NodeEdit], meta: &Value, later: bool) -> Result<(u64, Vec<NodeEdit>)>;
}

/// What listeners hear of a batch that changed something. Called on the writer thread: be quick.
pub struct Written<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// The offset of the batch.
    pub offset: u64,
    /// The edits as applied.
    pub applied: &'a [NodeEdit],
    /// Who and when.
    pub meta: &'a Value,
    /// Whether the batch was logged.
    pub logged: bool,
}

/// A listener for batches.
pub type WriteHook = Arc<dyn Fn(&Written<'_>) + Send + Sync>;

#[derive(Clone, Copy)]
pub(crate) struct Tables {
    pub bybuid: Table,
    pub byform: Table,
    pub byprop: Table,
    pub byarray: Table,
    pub byndef: Table,
    pub bytag: Table,
    pub bytagprop: Table,
    pub byverb: Table,
    pub edgesn1: Table,
    pub edgesn2: Table,
    pub edgesn1n2: Table,
    pub nodedata: Table,
    pub dataname: Table,
}

/// Stored bytes by node; `None` where it was removed.
type Unsaved = HashMap<Buid, Option<Arc<[u8]>>, BuidState>;

/// Storage nodes written but not yet committed.
#[derive(Default)]
struct Overlay {
    rows: RwLock<Unsaved>,
    live: AtomicBool,
}

/// A layer.
pub struct Layer {
    iden: Arc<str>,
    dir: PathBuf,
    info: RwLock<Map>,
    pub(crate) slab: Slab,
    pub(crate) data_slab: Slab,
    edit_slab: Slab,
    pub(crate) tables: Tables,
    pub(crate) props: SlabAbrv,
    pub(crate) tags: SlabAbrv,
    pub(crate) tagprops: SlabAbrv,
    pub(crate) form_counts: HotCount,
    offsets: HotCount,
    log: SlabSeqn,
    overlay: Arc<Overlay>,
    /// Committed storage nodes read lately.
    sodes: Sodes,
    sums: Sums,
    /// Counts batches that changed something, so that readers know when to look again.
    version: AtomicU64,
    sink: RwLock<Option<Arc<dyn EditSink>>>,
    hooks: RwLock<Vec<WriteHook>>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({})", self.iden)
    }
}

/// Opening and what a layer is.
impl Layer {
    /// Opens or makes a layer in a directory. `info` is its record and holds at least `iden`.
    ///
    /// # Errors
    /// `BadStorageVersion` for a layer of another disk format; what opening slabs fails with.
    pub fn open(writer: &Writer, dir: &Path, info: Map) -> Result<Arc<Layer>> {
        let (writer_in, dir) = (writer.clone(), dir.to_owned());
        writer.run(move |cx| Layer::open_in(cx, &writer_in, &dir, info))
    }

    /// The same, on the writer thread.
    ///
    /// # Errors
    /// As [`Layer::open`].
    pub fn open_in(cx: &mut WriteCx, writer: &Writer, dir: &Path, info: Map) -> Result<Arc<Layer>> {
        let path = dir.join("layer_v2.lmdb");
        let fresh = !path.exists();
        let data_path = dir.join("nodedata.lmdb");
        let data_fresh = !data_path.exists();
        let quiet = Options { readahead: false, ..Options::default() };
        // In this order they are committed: the log before the rows.
        let edit_slab = cx.open_slab(writer, &dir.join("nodeedits.lmdb"), quiet.clone())?;
        let data_slab = cx.open_slab(writer, &data_path, quiet)?;
        let slab = cx.open_slab(writer, &path, Options::default())?;
        let meta = cx.table(&slab, "layer:meta", false)?;
        if fresh {
            cx.put_value(meta, b"version", &Value::from(LAYER_VERSION))?;
        }
        let version = cx.get_value(meta, b"version")?.and_then(|valu| valu.as_i64()).unwrap_or(2);
        if version != LAYER_VERSION {
            let mesg = format!("The layer at {} has version {version}, not {LAYER_VERSION}.", dir.display());
            return Err(err!("BadStorageVersion", mesg = mesg, version = version));
        }
        let tables = Tables {
            bybuid: cx.table(&slab, "bybuidv3", false)?,
            byform: cx.table(&slab, "byform", true)?,
            byprop: cx.table(&slab, "byprop", true)?,
            byarray: cx.table(&slab, "byarray", true)?,
            byndef: cx.table(&slab, "byndef", true)?,
            bytag: cx.table(&slab, "bytag", true)?,
            bytagprop: cx.table(&slab, "bytagprop", true)?,
            byverb: cx.table(&slab, "byverb", true)?,
            edgesn1: cx.table(&slab, "edgesn1", true)?,
            edgesn2: cx.table(&slab, "edgesn2", true)?,
            edgesn1n2: cx.table(&slab, "edgesn1n2", true)?,
            nodedata: cx.table(&data_slab, "nodedata", false)?,
            dataname: cx.table(&data_slab, "dataname", true)?,
        };
        let props = SlabAbrv::open_in(cx, &slab, "propabrv")?;
        let tags = SlabAbrv::open_in(cx, &slab, "tagabrv")?;
        let tagprops = SlabAbrv::open_in(cx, &slab, "tagpropabrv")?;
        for name in ["count:forms", "offsets", "counters"] {
            cx.table(&slab, name, false)?;
        }
        let log = SlabSeqn::open_in(cx, &edit_slab, "nodeedits")?;
        let sums =
            Sums { layer: StateSum::open_in(cx, &slab, fresh)?, data: StateSum::open_in(cx, &data_slab, data_fresh)? };
        cx.commit(&slab)?;
        let layer = Arc::new(Layer {
            iden: Arc::from(info.get_str("iden").unwrap_or_default()),
            dir: dir.to_owned(),
            info: RwLock::new(info),
            form_counts: HotCount::open(&slab, "count:forms")?,
            offsets: HotCount::open(&slab, "offsets")?,
            slab,
            data_slab,
            edit_slab,
            tables,
            props,
            tags,
            tagprops,
            log,
            overlay: Arc::default(),
            sodes: Sodes::default(),
            sums,
            version: AtomicU64::new(0),
            sink: RwLock::new(None),
            hooks: RwLock::default(),
        });
        layer.hook_commits();
        Ok(layer)
    }

    fn hook_commits(&self) {
        let (edits, data) = (self.edit_slab.clone(), self.data_slab.clone());
        self.slab.on_flush(Arc::new(move |cx| {
            cx.commit(&edits)?;
            cx.commit(&data)
        }));
        let overlay = Arc::downgrade(&self.overlay);
        self.slab.on_commit(Arc::new(move || {
            if let Some(overlay) = overlay.upgrade() {
                let mut rows = overlay.rows.write();
                rows.clear();
                overlay.live.store(false, Ordering::Release);
            }
        }));
    }

    /// Its iden.
    pub fn iden(&self) -> &Arc<str> {
        &self.iden
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its record.
    pub fn info(&self) -> Map {
        self.info.read().clone()
    }

    /// An entry of its record.
    pub fn info_get(&self, name: &str) -> Option<Value> {
        self.info.read().get(name).cloned()
    }

    /// Replaces its record.
    pub fn set_info(&self, info: Map) {
        *self.info.write() = info;
    }

    /// Whether it takes no edits.
    pub fn is_readonly(&self) -> bool {
        self.info.read().get("readonly").is_some_and(Value::is_truthy)
    }

    /// Whether it keeps a log of edits.
    pub fn logs_edits(&self) -> bool {
        self.info.read().get("logedits").is_none_or(Value::is_truthy)
    }

    /// Grows with every batch that changes something.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Who stores its edits from now on.
    pub fn set_sink(&self, sink: Arc<dyn EditSink>) {
        *self.sink.write() = Some(sink);
    }

    /// Calls `hook` for every batch that changed something.
    pub fn on_write(&self, hook: WriteHook) {
        self.hooks.write().push(hook);
    }

    /// The writer.
    pub fn writer(&self) -> Result<&Writer> {
        self.slab.writer()
    }

    /// Commits what is not committed.
    pub fn commit(&self) -> Result<()> {
        self.slab.commit()
    }

    /// Commits and closes the slabs.
    pub fn fini(&self) -> Result<()> {
        self.slab.fini()?;
        self.data_slab.fini()?;
        self.edit_slab.fini()
    }

    /// The same, on the writer thread.
    pub fn close_in(&self, cx: &mut WriteCx) -> Result<()> {
        cx.close_slab(&self.slab)?;
        cx.close_slab(&self.data_slab)?;
        cx.close_slab(&self.edit_slab)
    }

    /// Bytes in use on disk.
    pub fn used_bytes(&self) -> u64 {
        self.slab.used_bytes() + self.data_slab.used_bytes() + self.edit_slab.used_bytes()
    }

    /// The three slabs, for copies.
    pub fn slabs(&self) -> [&Slab; 3] {
        [&self.slab, &self.data_slab, &self.edit_slab]
    }

    /// Writes a compacted copy of the layer as it is at this moment, on the writer thread. The options of the slabs go along.
    ///
    /// # Errors
    /// `FileExists` for a target that is there already; what copying fails with.
    pub fn copy_in(&self, cx: &mut WriteCx, target: &Path) -> Result<()> {
        if target.exists() {
            let mesg = format!("There is something at {} already.", target.display());
            return Err(err!("FileExists", mesg = mesg, path = target.display().to_string()));
        }
        for slab in self.slabs() {
            cx.commit(slab)?;
            let into = target.join(slab.path().file_name().unwrap_or_default());
            std::fs::create_dir_all(&into)?;
            slab.copy_compact(&into)?;
            let opts = myelin_slab::opts_path(slab.path());
            if opts.exists() {
                std::fs::copy(&opts, myelin_slab::opts_path(&into))?;
            }
        }
        Ok(())
    }

    /// Where a deprecated upstream stands.
    pub fn upstream_offsets(&self) -> &HotCount {
        &self.offsets
    }
}

/// Storing edits.
impl Layer {
    /// Checks and stores a batch, through the sink. Returns its offset and what was changed.
    ///
    /// # Errors
    /// `IsReadOnly`; `BadTypeValu` or `BadArg` for edits that cannot be stored, of which then none is.
    pub fn save_edits(&self, edits: &[NodeEdit], meta: &Value) -> Result<(u64, Vec<NodeEdit>)> {
        self.store_edits(edits, meta, false)
    }

    /// The same for one of many batches: it may be lost in a crash until the nexus is settled, which must be before anybody
    /// outside hears of it.
    ///
    /// # Errors
    /// As [`Layer::save_edits`].
    pub fn save_edits_unsettled(&self, edits: &[NodeEdit], meta: &Value) -> Result<(u64, Vec<NodeEdit>)> {
        self.store_edits(edits, meta, true)
    }

    fn store_edits(&self, edits: &[NodeEdit], meta: &Value, later: bool) -> Result<(u64, Vec<NodeEdit>)> {
        self.req_writable()?;
        crate::apply::validate(edits)?;
        let sink = self.sink.read().clone();
        if let Some(sink) = sink {
            return sink.push_edits(self, edits, meta, later);
        }
        self.writer()?.run_here(|cx| {
            let offs = self.log.next_offs();
            Ok((offs, self.apply_edits(cx, edits, meta, Some(offs))?))
        })
    }

    /// `IsReadOnly` if it is.
    ///
    /// # Errors
    /// That.
    pub fn req_writable(&self) -> Result<()> {
        if self.is_readonly() {
            let mesg = format!("The layer {} is read-only.", self.iden);
            return Err(err!("IsReadOnly", mesg = mesg));
        }
        Ok(())
    }

    /// Applies an event of the nexus log that is for this layer, on the writer thread.
    ///
    /// `edits(edits, meta)` returns the applied edits, packed; `layer:set(name, valu)` changes the record in memory and
    /// returns the value (the cortex stores the record).
    ///
    /// # Errors
    /// `BadOptValu` for an unknown name, `NoSuchImpl` for an unknown event, `BadArg` for wrong arguments.
    pub fn apply_event(&self, cx: &mut WriteCx, event: &str, args: &[Value], offs: Option<u64>) -> Result<Value> {
        match (event, args) {
            ("edits", [edits, meta, ..]) => {
                let edits = unpack_edits(edits)?;
                Ok(pack_edits(&self.apply_edits(cx, &edits, meta, offs)?))
            }
            ("layer:set", [name, valu, ..]) => self.apply_set(name.as_str().unwrap_or_default(), valu),
            ("layer:set:modelvers", [vers, ..]) => {
                self.info.write().insert("model:version", vers.clone());
                Ok(Value::Null)
            }
            ("layer:truncate", _) => self.empty_in(cx).map(|()| Value::Null),
            ("edits" | "layer:set" | "layer:set:modelvers", _) => {
                Err(err!("BadArg", mesg = format!("The event {event} has too few arguments.")))
            }
            _ => Err(err!("NoSuchImpl", mesg = format!("Layers do not handle the event {event}."), name = event)),
        }
    }

    /// Removes all nodes, edges, node data and logged edits. Abbreviations stay. Only older logs ask for it.
    fn empty_in(&self, cx: &mut WriteCx) -> Result<()> {
        let suppressed = cx.is_suppressed(self.tables.byform)?;
        let tables = &self.tables;
        let own = [tables.bybuid, tables.byform, tables.byprop, tables.byarray, tables.byndef, tables.bytag];
        let more = [tables.bytagprop, tables.byverb, tables.edgesn1, tables.edgesn2, tables.edgesn1n2];
        for table in [tables.nodedata, tables.dataname, self.log.table()].into_iter().chain(own).chain(more) {
            cx.clear(table)?;
        }
        for sum in [&self.sums.layer, &self.sums.data] {
            if let Some(now) = sum.now() {
                sum.add(cx, now.wrapping_neg())?;
            }
        }
        if !suppressed {
            for (form, _) in self.form_counts.items() {
                self.form_counts.set(cx, &form, 0)?;
            }
        }
        self.sodes.forget_all();
        self.bump();
        Ok(())
    }

    fn apply_set(&self, name: &str, valu: &Value) -> Result<Value> {
        const NAMES: &[&str] = &["name", "desc", "cache:size", "logedits", "readonly", "mirror", "upstream"];
        if !NAMES.contains(&name) {
            let mesg = format!("A layer has no settable {name}.");
            return Err(err!("BadOptValu", mesg = mesg, name = name));
        }
        let mut info = self.info.write();
        if valu.is_null() {
            info.remove(name);
        } else {
            info.insert(name, valu.clone());
        }
        Ok(valu.clone())
    }

    /// What follows applied edits: the version, the log row, the listeners. For [`crate::apply`].
    pub(crate) fn wrote(&self, cx: &mut WriteCx, applied: &[NodeEdit], meta: &Value, offs: Option<u64>) -> Result<()> {
        let logged = self.logs_edits();
        let offset = offs.unwrap_or_else(|| self.log.next_offs());
        let hooks = self.hooks.read();
        if !logged && hooks.is_empty() {
            return Ok(());
        }
        if logged {
            let mut row = Vec::with_capacity(512);
            msgpack::write_array_len(&mut row, 2);
            write_edits(&mut row, applied);
            msgpack::encode_into(&mut row, meta);
            self.log.put(cx, offset, &row)?;
        }
        let written = Written { layer: self, offset, applied, meta, logged };
        hooks.iter().for_each(|hook| hook(&written));
        Ok(())
    }

    /// Makes storage nodes of a batch visible to point reads.
    pub(crate) fn overlay(&self, rows: impl Iterator<Item = (Buid, Option<Arc<[u8]>>)>) {
        let mut have = self.overlay.rows.write();
        self.overlay.live.store(true, Ordering::Release);
        for (buid, row) in rows {
            have.insert(buid, row);
            // Under the overlay's lock: from now on readers look there first, and keep nothing that they read before.
            self.sodes.forget(&buid);
        }
        drop(have);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a change that touched no storage node.
    pub(crate) fn bump(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// Point reads.
impl Layer {
    /// The stored bytes of a storage node, committed or not.
    pub fn sode(&self, buid: &Buid) -> Result<Option<Arc<[u8]>>> {
        // The overlay first, then the transaction: a commit in between moves rows from one to the other. The ticket before
        // both: what is stored after it has to be read again.
        let found = self.sodes.get(buid);
        if self.overlay.live.load(Ordering::Acquire)
            && let Some(row) = self.overlay.rows.read().get(buid)
        {
            return Ok(row.clone());
        }
        let ticket = match found {
            Found::Kept(byts) => return Ok(Some(byts)),
            Found::Unknown(ticket) => ticket,
        };
        let txn = self.slab.read()?;
        let Some(byts) = txn.get(self.tables.bybuid, &buid.0)?.map(Arc::from) else { return Ok(None) };
        self.sodes.keep(&ticket, buid, &byts);
        Ok(Some(byts))
    }

    /// How many storage nodes there are.
    pub fn sode_count(&self) -> Result<u64> {
        self.slab.read_fresh()?.entries(self.tables.bybuid)
    }

    /// A read that must see everything: of what is committed if all is, else on the writer (which costs no commit).
    pub(crate) fn read_now<T: Send>(
        &self,
        slab: &Slab,
        func: impl Fn(&dyn NowReads) -> Result<T> + Send + Sync,
    ) -> Result<T> {
        if slab.is_dirty() && !slab.writer()?.is_writer_thread() {
            return slab.writer()?.run_here(|cx| func(&*cx));
        }
        func(&slab.read()?)
    }

    /// A piece of node data.
    pub fn node_data(&self, buid: &Buid, name: &str) -> Result<Option<Value>> {
        let Some(abrv) = self.prop_abrv(Some(name), None) else { return Ok(None) };
        let key = [&buid.0[..], &abrv].concat();
        self.read_now(&self.data_slab, |txn| {
            Ok(txn.now_get(self.tables.nodedata, &key)?.map(msgpack::decode).transpose()?)
        })
    }

    /// Whether a piece of node data is there.
    pub fn has_node_data(&self, buid: &Buid, name: &str) -> Result<bool> {
        let Some(abrv) = self.prop_abrv(Some(name), None) else { return Ok(false) };
        let key = [&buid.0[..], &abrv].concat();
        self.read_now(&self.data_slab, |txn| Ok(txn.now_get(self.tables.nodedata, &key)?.is_some()))
    }

    /// The names of a node's data, in order of their abbreviations.
    pub fn node_data_names(&self, buid: &Buid) -> Result<Vec<String>> {
        let keys = self.read_now(&self.data_slab, |txn| txn.now_keys(self.tables.nodedata, &buid.0))?;
        Ok(keys.iter().filter_map(|key| self.name_of(key.get(32..)?)).collect())
    }

    /// Whether an edge is there.
    pub fn has_edge(&self, n1: &Buid, verb: &str, n2: &Buid) -> Result<bool> {
        let key = [&n1.0[..], verb.as_bytes()].concat();
        if key.len() > 511 {
            return Ok(false);
        }
        self.read_now(&self.slab, |txn| txn.now_has_dup(self.tables.edgesn1, &key, &n2.0))
    }

    /// The verbs between two nodes.
    pub fn edge_verbs(&self, n1: &Buid, n2: &Buid) -> Result<Vec<String>> {
        let key = [&n1.0[..], &n2.0].concat();
        let rows = self.read_now(&self.slab, |txn| txn.now_dups(self.tables.edgesn1n2, &key))?;
        Ok(rows.into_iter().filter_map(|verb| String::from_utf8(verb).ok()).collect())
    }

    /// The nodes with a property that refers to this one, and the form and property.
    pub fn ndef_refs(&self, buid: &Buid) -> Result<Vec<(Buid, Value)>> {
        let rows = self.read_now(&self.slab, |txn| txn.now_dups(self.tables.byndef, &buid.0))?;
        let unpack = |row: &Vec<u8>| {
            let abrv: Abrv = row.get(32..40)?.try_into().ok()?;
            Some((Buid::from_slice(row.get(..32)?)?, msgpack::decode(&self.props.name_of(abrv)?).ok()?))
        };
        Ok(rows.iter().filter_map(unpack).collect())
    }

    /// The first half of a name with a `propabrv` (a form's or a piece of data's).
    pub(crate) fn name_of(&self, abrv: &[u8]) -> Option<String> {
        let name = msgpack::decode(&self.props.name_of(abrv.try_into().ok()?)?).ok()?;
        name.at(0)?.as_str().map(str::to_owned)
    }
}

/// What point reads need of either kind of transaction, without generics in the way.
pub(crate) trait NowReads {
    fn now_get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>>;
    fn now_has_dup(&self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool>;
    fn now_dups(&self, table: Table, key: &[u8]) -> Result<Vec<Vec<u8>>>;
    fn now_keys(&self, table: Table, pref: &[u8]) -> Result<Vec<Vec<u8>>>;
}

impl<R: Reads> NowReads for R {
    fn now_get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>> {
        self.get(table, key)
    }
    fn now_has_dup(&self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool> {
        self.has_dup(table, key, valu)
    }
    fn now_dups(&self, table: Table, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.dups(table, key)?.map(|row| row.map(|(_, valu)| valu.to_vec())).collect()
    }
    fn now_keys(&self, table: Table, pref: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.keys_prefix(table, pref)?.map(|row| row.map(|(key, _)| key.to_vec())).collect()
    }
}

/// Abbreviations.
impl Layer {
    /// Of a form (`form, None`), a property, a universal property (`None, name`), or node data (`name, None`).
    pub fn prop_abrv(&self, form: Option<&str>, prop: Option<&str>) -> Option<Abrv> {
        self.props.get(&pack_names(&[form, prop]))
    }

    /// Of a tag.
    pub fn tag_abrv(&self, tag: &str) -> Option<Abrv> {
        self.tags.get(tag.as_bytes())
    }

    /// Of a property of a tag; without a form for all forms.
    pub fn tagprop_abrv(&self, form: Option<&str>, tag: &str, prop: &str) -> Option<Abrv> {
        self.tagprops.get(&pack_names(&[form, Some(tag), Some(prop)]))
    }

    /// All that `propabrv` names: `(form, prop)`.
    pub fn form_props(&self) -> Vec<(Option<String>, Option<String>)> {
        let text = |name: &Value, indx| name.at(indx).and_then(|name| name.as_str().map(str::to_owned));
        let items = self.props.items();
        let names = items.iter().filter_map(|(name, _)| msgpack::decode(name).ok());
        names.map(|name| (text(&name, 0), text(&name, 1))).collect()
    }

    /// All properties of tags: `(form, tag, prop)`.
    pub fn tag_props(&self) -> Vec<(Option<String>, String, String)> {
        let text = |name: &Value, indx| name.at(indx).and_then(|name| name.as_str().map(str::to_owned));
        let items = self.tagprops.items();
        let names = items.iter().filter_map(|(name, _)| msgpack::decode(name).ok());
        names.filter_map(|name| Some((text(&name, 0), text(&name, 1)?, text(&name, 2)?))).collect()
    }
}

/// `mp([names…])`.
pub(crate) fn pack_names(names: &[Option<&str>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    write_names(&mut out, names);
    out
}

pub(crate) fn write_names(out: &mut Vec<u8>, names: &[Option<&str>]) {
    msgpack::write_array_len(out, names.len());
    for name in names {
        match name {
            Some(name) => msgpack::write_str(out, name.as_bytes()),
            None => out.push(0xc0),
        }
    }
}

/// Counts, from the indexes alone.
impl Layer {
    /// How many nodes with a value each form has here.
    pub fn form_counts(&self) -> Vec<(String, i64)> {
        self.form_counts.items()
    }

    /// How many nodes with a value a form has here.
    pub fn form_count(&self, form: &str) -> i64 {
        self.form_counts.get(form)
    }

    /// Whether every storage node here has a value, so that each row of an index stands for a node: true of a layer that
    /// is no fork's, as a rule. Says no when it cannot be told, as while something is being written.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn all_valued(&self) -> Result<bool> {
        let version = self.version();
        let valued: i64 = self.form_counts.items().iter().map(|(_, count)| count).sum();
        let stored = self.sode_count()?;
        Ok(u64::try_from(valued) == Ok(stored) && self.version() == version)
    }

    /// Rows of a property (of a form's values without `prop`, of a universal property without `form`).
    pub fn prop_count(&self, form: Option<&str>, prop: Option<&str>) -> Result<u64> {
        self.count(self.tables.byprop, self.prop_abrv(form, prop), &[])
    }

    /// Rows that a lift walks here, for one operation or for all values.
    pub(crate) fn lift_count(
        self: &Arc<Layer>,
        by: &LiftBy,
        cmpr: Option<&StorCmpr>,
        stop: Option<&Stop>,
    ) -> Result<u64> {
        if let (LiftBy::Form { form }, None) = (by, cmpr) {
            return Ok(u64::try_from(self.form_count(form)).unwrap_or_default());
        }
        LayerLift::start(self, by, cmpr, false)?.map_or(Ok(0), |lift| lift.until(stop.cloned()).count())
    }

    /// Rows of the items of an array property.
    pub fn array_count(&self, form: Option<&str>, prop: Option<&str>) -> Result<u64> {
        self.count(self.tables.byarray, self.prop_abrv(form, prop), &[])
    }

    /// Rows of a tag, of one form or all.
    pub fn tag_count(&self, tag: &str, form: Option<&str>) -> Result<u64> {
        let Some(form) = form else { return self.count(self.tables.bytag, self.tag_abrv(tag), &[]) };
        let Some(abrv) = self.prop_abrv(Some(form), None) else { return Ok(0) };
        self.count(self.tables.bytag, self.tag_abrv(tag), &abrv)
    }

    /// Rows of a property of a tag.
    pub fn tagprop_count(&self, form: Option<&str>, tag: &str, prop: &str) -> Result<u64> {
        self.count(self.tables.bytagprop, self.tagprop_abrv(form, tag, prop), &[])
    }

    /// Rows of one value of a property.
    pub fn prop_valu_count(&self, form: Option<&str>, prop: Option<&str>, stor: StorType, valu: &Value) -> Result<u64> {
        let stor = if stor.is_array() { StorType::MSGP } else { stor };
        self.count_valu(self.tables.byprop, self.prop_abrv(form, prop), stor, valu)
    }

    /// Rows of one item of an array property.
    pub fn array_valu_count(
        &self,
        form: Option<&str>,
        prop: Option<&str>,
        stor: StorType,
        valu: &Value,
    ) -> Result<u64> {
        self.count_valu(self.tables.byarray, self.prop_abrv(form, prop), stor.item(), valu)
    }

    /// Rows of one value of a property of a tag.
    pub fn tagprop_valu_count(
        &self,
        form: Option<&str>,
        tag: &str,
        prop: &str,
        stor: StorType,
        valu: &Value,
    ) -> Result<u64> {
        self.count_valu(self.tables.bytagprop, self.tagprop_abrv(form, tag, prop), stor, valu)
    }

    fn count(&self, table: Table, abrv: Option<Abrv>, more: &[u8]) -> Result<u64> {
        let Some(abrv) = abrv else { return Ok(0) };
        self.slab.read_fresh()?.count_prefix(table, &[&abrv[..], more].concat())
    }

    fn count_valu(&self, table: Table, abrv: Option<Abrv>, stor: StorType, valu: &Value) -> Result<u64> {
        let Some(abrv) = abrv else { return Ok(0) };
        let txn = self.slab.read_fresh()?;
        let mut count = 0;
        index::for_each_key(stor, valu, &mut Vec::new(), |key| {
            count += txn.dup_count(table, &[&abrv[..], key].concat())?;
            Ok(())
        })?;
        Ok(count)
    }
}

/// The edit log.
impl Layer {
    /// The offset after the last logged batch.
    pub fn edit_indx(&self) -> u64 {
        self.log.next_offs()
    }

    /// How many batches are logged.
    pub fn edit_size(&self) -> Result<u64> {
        self.edit_slab.read_fresh()?.entries(self.log.table())
    }

    /// A page of the log: at most `size` rows of `(offset, edits, meta)` from an offset on, or before it.
    pub fn edit_page(&self, offs: u64, size: usize, reverse: bool) -> Result<Vec<(u64, Value, Value)>> {
        let txn = self.edit_slab.read_fresh()?;
        let split = |row: Result<(u64, Value)>| {
            let (offs, row) = row?;
            let part = |indx| row.at(indx).cloned().unwrap_or(Value::Null);
            Ok((offs, part(0), part(1)))
        };
        if reverse {
            return self.log.iter_back(&txn, offs)?.take(size).map(split).collect();
        }
        self.log.iter(&txn, offs)?.take(size).map(split).collect()
    }
}
