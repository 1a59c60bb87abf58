//! Streams of node edits: of one layer, or of all of them in the order of the nexus log, as they are and as they come.
//!
//! A stream reads the logs of the layers page by page and waits, when it has caught up, until something is stored. It
//! holds no transaction while it waits and no thread either.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use myelin_error::{Result, err};
use myelin_graph::Layer;
use myelin_telepath::ValueStream;
use myelin_value::{Map, Value};
use tokio::sync::watch;

use crate::stack::Stack;

/// Rows of a log read at once.
const PAGE: usize = 512;
/// What a stream of all layers gives: a batch of edits of a layer.
const NODE_EDITS: i64 = 0;
/// One edit (of those that were asked for).
const NODE_EDIT: i64 = 1;
/// A layer was made.
const LAYER_ADD: i64 = 3;
/// A layer was deleted.
const LAYER_DEL: i64 = 4;
/// The kind of an edit that only says how far a stream has come.
const PROGRESS: i64 = 100;
/// Batches between two such.
const PROGRESS_EVERY: u64 = 1000;

/// A row of a layer's log.
type Row = (u64, Value, Value);

/// A layer came or went, at an offset of the nexus log.
#[derive(Clone)]
pub struct LayerChange {
    /// The offset.
    pub offs: u64,
    /// The layer.
    pub iden: Arc<str>,
    /// Whether it came.
    pub added: bool,
}

/// Tells streams that something was stored.
#[derive(Clone)]
pub struct Stir(Arc<watch::Sender<u64>>);

impl Default for Stir {
    fn default() -> Stir {
        Stir(Arc::new(watch::Sender::new(0)))
    }
}

impl Stir {
    /// Wakes every stream that waits.
    pub fn stir(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

async fn page(layer: &Arc<Layer>, offs: u64, reverse: bool) -> Result<Vec<Row>> {
    let layer = layer.clone();
    let read = tokio::task::spawn_blocking(move || layer.edit_page(offs, PAGE, reverse)).await;
    read.map_err(|error| err!("SynErr", mesg = format!("A read was abandoned: {error}.")))?
}

struct OneLayer {
    layer: Arc<Layer>,
    stack: Arc<Stack>,
    stirred: watch::Receiver<u64>,
    rows: VecDeque<Row>,
    offs: u64,
    reverse: bool,
    wait: bool,
    done: bool,
}

impl OneLayer {
    async fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Ok(Some(row));
            }
            if self.done || !self.layer.logs_edits() {
                return Ok(None);
            }
            self.stirred.mark_unchanged();
            if self.stack.layer(self.layer.iden()).is_none() {
                return Ok(None);
            }
            let rows = page(&self.layer, self.offs, self.reverse).await?;
            match rows.last().map(|(last, ..)| *last) {
                Some(last) if self.reverse => match last.checked_sub(1) {
                    Some(next) => self.offs = next,
                    None => self.turn(),
                },
                Some(last) => self.offs = last + 1,
                None if self.reverse => self.turn(),
                None if self.wait && self.stirred.changed().await.is_ok() => {}
                None => self.done = true,
            }
            self.rows.extend(rows);
        }
    }

    /// The beginning of the log was reached backwards: from here on only what is new.
    fn turn(&mut self) {
        self.reverse = false;
        self.done = !self.wait;
        self.offs = self.layer.edit_indx();
    }
}

/// The edits of a layer from an offset on: `(offset, edits, meta)`.
pub fn layer_edits(
    stack: &Arc<Stack>,
    layer: Arc<Layer>,
    offs: u64,
    wait: bool,
    reverse: bool,
) -> BoxStream<'static, Result<Row>> {
    let stirred = stack.stir().watch();
    let rows = VecDeque::new();
    let state = OneLayer { layer, stack: stack.clone(), stirred, rows, offs, reverse, wait, done: false };
    try_unfold(state, async |mut state| Ok(state.next().await?.map(|row| (row, state)))).boxed()
}

/// The same as values, with or without who made the edits.
pub fn packed(rows: BoxStream<'static, Result<Row>>, meta: bool) -> ValueStream {
    let pack = move |row: Result<Row>| {
        let (offs, edits, info) = row?;
        let mut parts = vec![Value::from(offs), edits];
        if meta {
            parts.push(info);
        }
        Ok(Value::list(parts))
    };
    rows.map(pack).boxed()
}

/// What the stream of all layers gives.
struct Item {
    offs: u64,
    layer: Arc<str>,
    kind: i64,
    edits: Value,
    meta: Value,
}

struct AllLayers {
    stack: Arc<Stack>,
    stirred: watch::Receiver<u64>,
    /// From where on each layer is to be read.
    offs: HashMap<Arc<str>, u64>,
    rows: HashMap<Arc<str>, VecDeque<Row>>,
    /// Changes of the layers that were told already.
    changes: usize,
    wait: bool,
}

impl AllLayers {
    async fn next(&mut self) -> Result<Option<Item>> {
        loop {
            self.stirred.mark_unchanged();
            let change = if self.wait { self.stack.layer_change(self.changes) } else { None };
            self.fill().await?;
            let heads = self.rows.iter().filter_map(|(iden, rows)| Some((rows.front()?.0, iden.clone())));
            let head = heads.min();
            match (change, head) {
                (Some(change), head) if head.as_ref().is_none_or(|(offs, _)| change.offs <= *offs) => {
                    self.changes += 1;
                    if let Some(item) = self.changed(change) {
                        return Ok(Some(item));
                    }
                }
                (_, Some((_, iden))) => {
                    let Some((offs, edits, meta)) = self.rows.get_mut(&iden).and_then(VecDeque::pop_front) else {
                        continue;
                    };
                    return Ok(Some(Item { offs, layer: iden, kind: NODE_EDITS, edits, meta }));
                }
                _ if self.wait && self.stirred.changed().await.is_ok() => {}
                _ => return Ok(None),
            }
        }
    }

    fn changed(&mut self, change: LayerChange) -> Option<Item> {
        let kind = if change.added { LAYER_ADD } else { LAYER_DEL };
        if change.added {
            self.offs.insert(change.iden.clone(), change.offs + 1);
        } else {
            self.rows.remove(&change.iden);
            self.offs.remove(&change.iden)?;
        }
        let (edits, meta) = (Value::empty_list(), Value::from(Map::new()));
        Some(Item { offs: change.offs, layer: change.iden, kind, edits, meta })
    }

    /// Reads a page of every layer of which none is at hand.
    async fn fill(&mut self) -> Result<()> {
        for layer in self.stack.layers() {
            let iden = layer.iden().clone();
            let offs = self.offs.get(&iden).copied().unwrap_or(0);
            let empty = self.rows.get(&iden).is_none_or(VecDeque::is_empty);
            if !empty || !layer.logs_edits() || layer.edit_indx() <= offs {
                continue;
            }
            let rows = page(&layer, offs, false).await?;
            if let Some((last, ..)) = rows.last() {
                self.offs.insert(iden.clone(), last + 1);
                self.rows.insert(iden, rows.into());
            }
        }
        Ok(())
    }
}

fn all_edits(stack: &Arc<Stack>, from: &Value, wait: bool) -> Result<BoxStream<'static, Result<Item>>> {
    let mut offs = HashMap::new();
    for (iden, from) in from.as_map().into_iter().flat_map(Map::text_entries) {
        let bad = || err!("BadArg", mesg = "Where to begin is a number of 0 or more, per layer.", name = "offsdict");
        offs.insert(Arc::from(iden), from.as_u64().ok_or_else(bad)?);
    }
    let changes = stack.layer_changes();
    let stirred = stack.stir().watch();
    let state = AllLayers { stack: stack.clone(), stirred, offs, rows: HashMap::new(), changes, wait };
    Ok(try_unfold(state, async |mut state| Ok(state.next().await?.map(|item| (item, state)))).boxed())
}

/// The edits of all layers, with word of layers that come and go: `(offset, layer, kind, edits, meta)`.
///
/// # Errors
/// `BadArg` for offsets that are none.
pub fn layers_events(stack: &Arc<Stack>, from: &Value, wait: bool) -> Result<ValueStream> {
    let pack = |item: Result<Item>| {
        let item = item?;
        Ok(Value::list([
            Value::from(item.offs),
            Value::from(&item.layer),
            Value::from(item.kind),
            item.edits,
            item.meta,
        ]))
    };
    Ok(all_edits(stack, from, wait)?.map(pack).boxed())
}

/// Which single edits a stream gives.
struct Wanted {
    forms: HashSet<String>,
    props: HashSet<String>,
    tags: HashSet<String>,
    tagprops: HashSet<String>,
}

impl Wanted {
    fn new(matchdef: &Map) -> Wanted {
        let names = |key: &str| {
            let names = matchdef.get(key).and_then(Value::as_list).unwrap_or_default();
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Wanted { forms: names("forms"), props: names("props"), tags: names("tags"), tagprops: names("tagprops") }
    }

    fn has(&self, form: &str, kind: i64, info: &Value) -> bool {
        let text = |indx| info.at(indx).and_then(Value::as_str).unwrap_or_default();
        match kind {
            0 | 1 => self.forms.contains(form),
            2 | 3 => self.props.contains(text(0)) || self.props.contains(&format!("{form}:{}", text(0))),
            4 | 5 => self.tags.contains(text(0)),
            6 | 7 => self.tagprops.contains(text(1)) || self.tagprops.contains(&format!("{}:{}", text(0), text(1))),
            _ => false,
        }
    }

    /// The wanted edits of a batch: `(buid, form, kind, info, subedits)`.
    fn of(&self, batch: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        for node in batch.as_list().unwrap_or_default() {
            let (Some(buid), Some(form), Some(edits)) = (node.at(0), node.at(1), node.at(2)) else { continue };
            for edit in edits.as_list().unwrap_or_default() {
                let (Some(kind), Some(info)) = (edit.at(0), edit.at(1)) else { continue };
                if self.has(form.as_str().unwrap_or_default(), kind.as_i64().unwrap_or(-1), info) {
                    let subs = edit.at(2).cloned().unwrap_or_else(Value::empty_list);
                    found.push(Value::list([buid.clone(), form.clone(), kind.clone(), info.clone(), subs]));
                }
            }
        }
        found
    }
}

/// Single edits of all layers that match, and every thousand batches how far the stream has come: `(offset, layer, kind,
/// edit)`.
///
/// # Errors
/// `BadArg` for offsets that are none.
pub fn index_events(stack: &Arc<Stack>, matchdef: &Map, from: &Value, wait: bool) -> Result<ValueStream> {
    let (wanted, mut count) = (Wanted::new(matchdef), 0_u64);
    let split = move |item: Result<Item>| {
        let item = match item {
            Ok(item) => item,
            Err(error) => return futures::stream::iter(vec![Err(error)]),
        };
        let row = |kind: i64, edit: Value| {
            Ok(Value::list([Value::from(item.offs), Value::from(&item.layer), Value::from(kind), edit]))
        };
        if item.kind != NODE_EDITS {
            return futures::stream::iter(vec![row(item.kind, Value::empty_list())]);
        }
        let mut rows: Vec<_> = wanted.of(&item.edits).into_iter().map(|edit| row(NODE_EDIT, edit)).collect();
        count += 1;
        if count.is_multiple_of(PROGRESS_EVERY) {
            let none = Value::empty_list();
            let edit = Value::list([Value::Null, Value::Null, Value::from(PROGRESS), none.clone(), none]);
            rows.push(row(NODE_EDIT, edit));
        }
        futures::stream::iter(rows)
    };
    Ok(all_edits(stack, from, wait)?.flat_map(split).boxed())
}
