//! Tables that live in memory and are written when their slab commits.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_error::Result;
use myelin_value::{Value, msgpack};
use parking_lot::Mutex;

use crate::{Reads, Slab, Table, WriteCx};

/// UTF-8 keys, values in memory.
#[derive(Clone)]
pub struct HotKeyVal {
    slab: Slab,
    state: Arc<Mutex<Hot<Value>>>,
}

/// Counters by UTF-8 key; missing means 0.
#[derive(Clone)]
pub struct HotCount {
    slab: Slab,
    state: Arc<Mutex<Hot<i64>>>,
}

struct Hot<T> {
    items: HashMap<String, T>,
    dirty: Vec<String>,
}

impl<T> Hot<T> {
    /// Notes a key for the next commit. A loop that makes a few kinds of nodes must not note each of them each time.
    fn mark(&mut self, key: &str) {
        let recent = self.dirty.len().saturating_sub(16);
        if !self.dirty[recent..].iter().any(|have| have == key) {
            self.dirty.push(key.to_owned());
        }
    }
}

fn open<T: Clone + Send + 'static>(
    slab: &Slab,
    name: &str,
    unpack: fn(&[u8]) -> Result<T>,
    pack: fn(&T) -> Vec<u8>,
) -> Result<Arc<Mutex<Hot<T>>>> {
    let table = slab.table(name, false)?;
    let mut items = HashMap::new();
    let txn = slab.read_fresh()?;
    for row in txn.iter(table)? {
        let (key, valu) = row?;
        items.insert(String::from_utf8_lossy(key).into_owned(), unpack(valu)?);
    }
    let state = Arc::new(Mutex::new(Hot { items, dirty: Vec::new() }));
    // Held by the slab too: what waits for the last commit must not go with who counted.
    let kept = state.clone();
    slab.on_flush(Arc::new(move |cx| flush(cx, table, &kept, pack)));
    Ok(state)
}

fn flush<T>(cx: &mut WriteCx, table: Table, state: &Mutex<Hot<T>>, pack: fn(&T) -> Vec<u8>) -> Result<()> {
    let mut state = state.lock();
    for key in std::mem::take(&mut state.dirty) {
        match state.items.get(&key) {
            Some(valu) => cx.put(table, key.as_bytes(), &pack(valu))?,
            None => drop(cx.del(table, key.as_bytes())?),
        }
    }
    Ok(())
}

impl HotKeyVal {
    /// Opens and loads the table.
    pub fn open(slab: &Slab, name: &str) -> Result<HotKeyVal> {
        let state = open(slab, name, |byts| Ok(msgpack::decode(byts)?), msgpack::encode)?;
        Ok(HotKeyVal { slab: slab.clone(), state })
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.state.lock().items.get(key).cloned()
    }

    /// Sets a value.
    pub fn set(&self, cx: &mut WriteCx, key: &str, valu: Value) -> Result<()> {
        let mut state = self.state.lock();
        state.items.insert(key.to_owned(), valu);
        state.mark(key);
        cx.touch(&self.slab)
    }

    /// Removes a key.
    pub fn del(&self, cx: &mut WriteCx, key: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.items.remove(key);
        state.mark(key);
        cx.touch(&self.slab)
    }
}

impl HotCount {
    /// Opens and loads the table.
    pub fn open(slab: &Slab, name: &str) -> Result<HotCount> {
        let unpack = |byts: &[u8]| Ok(byts.try_into().map(i64::from_be_bytes).unwrap_or_default());
        let state = open(slab, name, unpack, |valu: &i64| valu.to_be_bytes().to_vec())?;
        Ok(HotCount { slab: slab.clone(), state })
    }

    /// The count.
    pub fn get(&self, key: &str) -> i64 {
        self.state.lock().items.get(key).copied().unwrap_or_default()
    }

    /// Adds to a count and returns what it is then.
    pub fn inc(&self, cx: &mut WriteCx, key: &str, by: i64) -> Result<i64> {
        let mut state = self.state.lock();
        let valu = match state.items.get_mut(key) {
            Some(valu) => {
                *valu += by;
                *valu
            }
            None => {
                state.items.insert(key.to_owned(), by);
                by
            }
        };
        state.mark(key);
        cx.touch(&self.slab)?;
        Ok(valu)
    }

    /// Sets a count.
    pub fn set(&self, cx: &mut WriteCx, key: &str, valu: i64) -> Result<()> {
        let mut state = self.state.lock();
        state.items.insert(key.to_owned(), valu);
        state.mark(key);
        cx.touch(&self.slab)
    }

    /// All counts.
    pub fn items(&self) -> Vec<(String, i64)> {
        self.state.lock().items.iter().map(|(key, valu)| (key.clone(), *valu)).collect()
    }
}
