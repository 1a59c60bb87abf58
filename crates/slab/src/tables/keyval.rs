//! Tables of keys and msgpack values.

use std::sync::Arc;

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_value::{Iden, Value, msgpack};

use super::StateSum;
use crate::{Reads, Slab, Table, WriteCx};

/// LMDB's limit on a key.
const MAX_KEY: usize = 511;

/// UTF-8 keys under a prefix, values in msgpack; nothing is cached.
#[derive(Clone)]
pub struct SafeKeyVal {
    table: Table,
    prefix: Arc<str>,
    sum: Option<(StateSum, RowFact)>,
}

/// The number of a row, for a sum.
pub type RowFact = fn(key: &[u8], valu: &[u8]) -> u64;

impl SafeKeyVal {
    /// Opens the table.
    pub fn open(slab: &Slab, name: &str) -> Result<SafeKeyVal> {
        Ok(SafeKeyVal { table: slab.table(name, false)?, prefix: "".into(), sum: None })
    }

    /// The same table, whose rows are summed up from now on.
    #[must_use]
    pub fn summed(self, sum: StateSum, fact: RowFact) -> SafeKeyVal {
        SafeKeyVal { sum: Some((sum, fact)), ..self }
    }

    /// Counts that a row becomes another, or goes.
    fn moved(&self, cx: &mut WriteCx, key: &[u8], valu: Option<&[u8]>) -> Result<()> {
        let Some((sum, fact)) = &self.sum else { return Ok(()) };
        let old = cx.get(self.table, key)?.map_or(0, |old| fact(key, old));
        let new = valu.map_or(0, |valu| fact(key, valu));
        sum.add(cx, new.wrapping_sub(old))
    }

    /// The same table under a longer prefix.
    #[must_use]
    pub fn sub(&self, prefix: &str) -> SafeKeyVal {
        let prefix = format!("{}{prefix}", self.prefix).into();
        SafeKeyVal { table: self.table, prefix, sum: self.sum.clone() }
    }

    /// The table itself.
    pub fn table(&self) -> Table {
        self.table
    }

    fn full(&self, key: &str) -> Result<Vec<u8>> {
        let size = self.prefix.len() + key.len();
        if size > MAX_KEY {
            return Err(err!(
                "BadArg",
                mesg = format!("A key has at most {MAX_KEY} bytes, this one {size}."),
                name = key
            ));
        }
        Ok([self.prefix.as_bytes(), key.as_bytes()].concat())
    }

    /// The value under a key.
    pub fn get(&self, txn: &impl Reads, key: &str) -> Result<Option<Value>> {
        let full = self.full(key)?;
        if full.is_empty() { Ok(None) } else { txn.get_value(self.table, &full) }
    }

    /// Stores a value.
    pub fn set(&self, cx: &mut WriteCx, key: &str, valu: &Value) -> Result<()> {
        let key = self.full(key)?;
        if self.sum.is_some() {
            self.moved(cx, &key, Some(&msgpack::encode(valu)))?;
        }
        cx.put_value(self.table, &key, valu)
    }

    /// Removes a key and returns its value.
    pub fn pop(&self, cx: &mut WriteCx, key: &str) -> Result<Option<Value>> {
        let key = self.full(key)?;
        self.moved(cx, &key, None)?;
        cx.pop_value(self.table, &key)
    }

    /// Removes a key.
    pub fn del(&self, cx: &mut WriteCx, key: &str) -> Result<bool> {
        let key = self.full(key)?;
        self.moved(cx, &key, None)?;
        cx.del(self.table, &key)
    }

    /// Keys (without this prefix) and values under a further prefix.
    pub fn items(&self, txn: &impl Reads, pref: &str) -> Result<Vec<(String, Value)>> {
        let full = self.full(pref)?;
        txn.prefix(self.table, &full)?
            .map(|row| {
                let (key, valu) = row?;
                let key = String::from_utf8_lossy(&key[self.prefix.len()..]).into_owned();
                Ok((key, msgpack::decode(valu)?))
            })
            .collect()
    }

    /// Removes everything under a further prefix.
    pub fn truncate(&self, cx: &mut WriteCx, pref: &str) -> Result<()> {
        let full = self.full(pref)?;
        if let Some((sum, fact)) = &self.sum {
            let mut gone = cx.prefix(self.table, &full)?.map(|row| row.map(|(key, valu)| fact(key, valu)));
            let gone = gone.try_fold(0u64, |gone, fact| fact.map(|fact: u64| gone.wrapping_add(fact)))?;
            sum.add(cx, gone.wrapping_neg())?;
        }
        cx.del_prefix(self.table, &full).map(|_| ())
    }
}

/// UTF-8 keys under a prefix of bytes; loaded whole at open, so that reads take no transaction and no lock.
#[derive(Clone)]
pub struct SlabDict {
    table: Table,
    prefix: Arc<[u8]>,
    items: Arc<ArcSwap<IndexMap<String, Value>>>,
}

impl SlabDict {
    /// Opens and loads the table.
    pub fn open(slab: &Slab, name: &str, prefix: &[u8]) -> Result<SlabDict> {
        let table = slab.table(name, false)?;
        SlabDict::load(&slab.read_fresh()?, table, prefix)
    }

    /// Loads from an open table.
    pub fn load(txn: &impl Reads, table: Table, prefix: &[u8]) -> Result<SlabDict> {
        let mut items = IndexMap::new();
        for row in txn.prefix(table, prefix)? {
            let (key, valu) = row?;
            items.insert(String::from_utf8_lossy(&key[prefix.len()..]).into_owned(), msgpack::decode(valu)?);
        }
        Ok(SlabDict { table, prefix: prefix.into(), items: Arc::new(ArcSwap::from_pointee(items)) })
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.items.load().get(key).cloned()
    }

    /// Everything.
    pub fn items(&self) -> Arc<IndexMap<String, Value>> {
        self.items.load_full()
    }

    /// Stores a value.
    pub fn set(&self, cx: &mut WriteCx, key: &str, valu: &Value) -> Result<()> {
        cx.put_value(self.table, &[&self.prefix, key.as_bytes()].concat(), valu)?;
        let mut items = (**self.items.load()).clone();
        items.insert(key.to_owned(), valu.clone());
        self.items.store(Arc::new(items));
        Ok(())
    }

    /// Removes a key and returns its value.
    pub fn pop(&self, cx: &mut WriteCx, key: &str) -> Result<Option<Value>> {
        cx.del(self.table, &[&self.prefix, key.as_bytes()].concat())?;
        let mut items = (**self.items.load()).clone();
        let valu = items.shift_remove(key);
        self.items.store(Arc::new(items));
        Ok(valu)
    }
}

/// Records of named values under an iden.
#[derive(Clone, Copy, Debug)]
pub struct GuidStor {
    table: Table,
}

impl GuidStor {
    /// Opens the table.
    pub fn open(slab: &Slab, name: &str) -> Result<GuidStor> {
        Ok(GuidStor { table: slab.table(name, false)? })
    }

    /// One value.
    pub fn get(&self, txn: &impl Reads, iden: Iden, key: &str) -> Result<Option<Value>> {
        txn.get_value(self.table, &[&iden.0[..], key.as_bytes()].concat())
    }

    /// Stores one value.
    pub fn set(&self, cx: &mut WriteCx, iden: Iden, key: &str, valu: &Value) -> Result<()> {
        cx.put_value(self.table, &[&iden.0[..], key.as_bytes()].concat(), valu)
    }

    /// Removes one value.
    pub fn pop(&self, cx: &mut WriteCx, iden: Iden, key: &str) -> Result<Option<Value>> {
        cx.pop_value(self.table, &[&iden.0[..], key.as_bytes()].concat())
    }

    /// All values of one iden.
    pub fn dict(&self, txn: &impl Reads, iden: Iden) -> Result<Vec<(String, Value)>> {
        txn.prefix(self.table, &iden.0)?
            .map(|row| {
                let (key, valu) = row?;
                Ok((String::from_utf8_lossy(&key[16..]).into_owned(), msgpack::decode(valu)?))
            })
            .collect()
    }

    /// Removes all values of one iden.
    pub fn del(&self, cx: &mut WriteCx, iden: Iden) -> Result<()> {
        cx.del_prefix(self.table, &iden.0).map(|_| ())
    }
}

/// An offset for each iden; missing means 0.
#[derive(Clone, Copy, Debug)]
pub struct SlabOffs {
    table: Table,
}

impl SlabOffs {
    /// Opens the table.
    pub fn open(slab: &Slab, name: &str) -> Result<SlabOffs> {
        Ok(SlabOffs { table: slab.table(name, false)? })
    }

    /// The offset.
    pub fn get(&self, txn: &impl Reads, iden: Iden) -> Result<u64> {
        Ok(txn.get(self.table, &iden.0)?.and_then(|byts| byts.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Stores an offset.
    pub fn set(&self, cx: &mut WriteCx, iden: Iden, offs: u64) -> Result<()> {
        cx.put(self.table, &iden.0, &offs.to_be_bytes())
    }

    /// Removes an offset.
    pub fn del(&self, cx: &mut WriteCx, iden: Iden) -> Result<bool> {
        cx.del(self.table, &iden.0)
    }
}
