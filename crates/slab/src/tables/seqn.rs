//! Tables keyed by numbers that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use myelin_error::{Result, err};
use myelin_value::{Value, msgpack};

use crate::{Reads, Slab, Table, WriteCx};

pub(crate) fn offs_of(key: &[u8]) -> Result<u64> {
    let damaged = || err!("BadCoreStore", mesg = "A row of a sequence has a key that is no offset.");
    key.try_into().map(u64::from_be_bytes).map_err(|_| damaged())
}

/// Items by offset. The next offset is one past the last; an item may be put further on, which leaves a gap.
#[derive(Clone, Debug)]
pub struct SlabSeqn {
    table: Table,
    next: Arc<AtomicU64>,
}

impl SlabSeqn {
    /// Opens the table.
    pub fn open(slab: &Slab, name: &str) -> Result<SlabSeqn> {
        let table = slab.table(name, false)?;
        SlabSeqn::load(&slab.read_fresh()?, table)
    }

    /// The same from within a job.
    pub fn open_in(cx: &mut WriteCx, slab: &Slab, name: &str) -> Result<SlabSeqn> {
        let table = cx.table(slab, name, false)?;
        SlabSeqn::load(cx, table)
    }

    /// Reads the next offset from an open table.
    pub fn load(txn: &impl Reads, table: Table) -> Result<SlabSeqn> {
        let next = txn.last(table)?.map(|(key, _)| offs_of(key)).transpose()?.map_or(0, |last| last + 1);
        Ok(SlabSeqn { table, next: Arc::new(AtomicU64::new(next)) })
    }

    /// The table itself.
    pub fn table(&self) -> Table {
        self.table
    }

    /// The offset the next item gets.
    pub fn next_offs(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Appends an item; returns its offset.
    pub fn add(&self, cx: &mut WriteCx, item: &Value) -> Result<u64> {
        let offs = self.next_offs();
        self.put(cx, offs, &msgpack::encode(item))?;
        Ok(offs)
    }

    /// Stores packed bytes at an offset: beyond the next one it leaves a gap, below it replaces.
    pub fn put(&self, cx: &mut WriteCx, offs: u64, byts: &[u8]) -> Result<()> {
        let next = self.next_offs();
        if offs < next {
            return cx.put(self.table, &offs.to_be_bytes(), byts);
        }
        cx.append(self.table, &offs.to_be_bytes(), byts)?;
        self.next.store(offs + 1, Ordering::Release);
        Ok(())
    }

    /// The item at an offset.
    pub fn get(&self, txn: &impl Reads, offs: u64) -> Result<Option<Value>> {
        txn.get_value(self.table, &offs.to_be_bytes())
    }

    /// Items from an offset on.
    pub fn iter<'t>(&self, txn: &'t impl Reads, offs: u64) -> Result<impl Iterator<Item = Result<(u64, Value)>> + 't> {
        let rows = txn.range(self.table, &offs.to_be_bytes(), None)?;
        Ok(rows.map(|row| {
            let (key, valu) = row?;
            Ok((offs_of(key)?, msgpack::decode(valu)?))
        }))
    }

    /// Items from an offset downwards.
    pub fn iter_back<'t>(
        &self,
        txn: &'t impl Reads,
        offs: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, Value)>> + 't> {
        let rows = txn.range_rev(self.table, &offs.to_be_bytes(), None)?;
        Ok(rows.map(|row| {
            let (key, valu) = row?;
            Ok((offs_of(key)?, msgpack::decode(valu)?))
        }))
    }

    /// Removes the item at an offset and returns it.
    pub fn pop(&self, cx: &mut WriteCx, offs: u64) -> Result<Option<Value>> {
        cx.pop_value(self.table, &offs.to_be_bytes())
    }

    /// Removes everything up to an offset, which is included.
    pub fn cull(&self, cx: &mut WriteCx, offs: u64) -> Result<()> {
        loop {
            let key = match cx.first(self.table)? {
                Some((key, _)) if offs_of(key)? <= offs && !cx.is_suppressed(self.table)? => key.to_vec(),
                _ => return Ok(()),
            };
            cx.del(self.table, &key)?;
        }
    }
}

/// Items by the millisecond they happened; several may share one.
#[derive(Clone, Copy, Debug)]
pub struct Hist {
    table: Table,
}

impl Hist {
    /// Opens the table.
    pub fn open(slab: &Slab, name: &str) -> Result<Hist> {
        Ok(Hist { table: slab.table(name, true)? })
    }

    /// Adds an item.
    pub fn add(&self, cx: &mut WriteCx, tick: u64, item: &Value) -> Result<()> {
        cx.put(self.table, &tick.to_be_bytes(), &msgpack::encode(item))
    }

    /// Items of a span of time, both ends included.
    pub fn iter<'t>(
        &self,
        txn: &'t impl Reads,
        mint: u64,
        maxt: Option<u64>,
    ) -> Result<impl Iterator<Item = Result<(u64, Value)>> + 't> {
        let maxt = maxt.map(u64::to_be_bytes);
        let rows = txn.range(self.table, &mint.to_be_bytes(), maxt.as_ref().map(|maxt| &maxt[..]))?;
        Ok(rows.map(|row| {
            let (key, valu) = row?;
            Ok((offs_of(key)?, msgpack::decode(valu)?))
        }))
    }
}
