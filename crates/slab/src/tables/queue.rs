//! Queues by name in one slab.
//!
//! The table `reqid` has no prefix and is shared by all queues of a slab: it makes a repeated `puts` harmless.

use myelin_error::{Result, err};
use myelin_value::{Map, Value, msgpack};

use super::seqn::offs_of;
use super::{HotKeyVal, SlabAbrv, SlabDict};
use crate::{Reads, Slab, Table, WriteCx};

/// Named queues.
#[derive(Clone)]
pub struct MultiQueue {
    abrv: SlabAbrv,
    qdata: Table,
    sizes: SlabDict,
    meta: SlabDict,
    offs: SlabDict,
    reqids: HotKeyVal,
}

impl MultiQueue {
    /// Opens the tables of `<name>`; `reqids` is the slab's one `reqid` table (see [`MultiQueue::reqids`]).
    pub fn open(slab: &Slab, name: &str, reqids: HotKeyVal) -> Result<MultiQueue> {
        Ok(MultiQueue {
            abrv: SlabAbrv::open(slab, &format!("{name}:abrv"))?,
            qdata: slab.table(&format!("{name}:qdata"), false)?,
            sizes: SlabDict::open(slab, &format!("{name}:sizes"), b"")?,
            meta: SlabDict::open(slab, &format!("{name}:meta"), b"")?,
            offs: SlabDict::open(slab, &format!("{name}:offs"), b"")?,
            reqids,
        })
    }

    /// The request ids of a slab's queues. Opened once a slab and shared.
    pub fn reqids(slab: &Slab) -> Result<HotKeyVal> {
        HotKeyVal::open(slab, "reqid")
    }

    /// Whether there is such a queue.
    pub fn exists(&self, name: &str) -> bool {
        self.meta.get(name).is_some()
    }

    fn need(&self, name: &str) -> Result<()> {
        if self.exists(name) {
            return Ok(());
        }
        Err(err!("NoSuchName", mesg = format!("There is no queue named {name}."), name = name))
    }

    fn abrv_of(&self, name: &str) -> Result<[u8; 8]> {
        self.need(name)?;
        self.abrv.get(name.as_bytes()).ok_or_else(|| err!("NoSuchName", mesg = "The queue has no data.", name = name))
    }

    /// Makes a queue.
    pub fn add(&self, cx: &mut WriteCx, name: &str, info: &Value) -> Result<()> {
        if self.exists(name) {
            return Err(err!("DupName", mesg = format!("There is a queue named {name} already."), name = name));
        }
        self.abrv.set(cx, name.as_bytes())?;
        self.meta.set(cx, name, info)?;
        self.sizes.set(cx, name, &Value::from(0))?;
        self.offs.set(cx, name, &Value::from(0))
    }

    /// Removes a queue with its data. Its number, its size row and its request id stay.
    pub fn rem(&self, cx: &mut WriteCx, name: &str) -> Result<()> {
        self.need(name)?;
        self.cull(cx, name, u64::MAX)?;
        self.meta.pop(cx, name)?;
        self.offs.pop(cx, name).map(|_| ())
    }

    /// Name, info, size and next offset of one queue.
    pub fn status(&self, name: &str) -> Result<Map> {
        self.need(name)?;
        Ok(Map::new()
            .with("name", name)
            .with("meta", self.meta.get(name).unwrap_or_default())
            .with("size", self.size(name))
            .with("offs", self.next_offs(name)))
    }

    /// The status of every queue.
    pub fn list(&self) -> Vec<Map> {
        self.meta.items().keys().filter_map(|name| self.status(name).ok()).collect()
    }

    /// How many items a queue has.
    pub fn size(&self, name: &str) -> u64 {
        self.sizes.get(name).and_then(|valu| valu.as_u64()).unwrap_or_default()
    }

    /// The offset of the next item.
    pub fn next_offs(&self, name: &str) -> u64 {
        self.offs.get(name).and_then(|valu| valu.as_u64()).unwrap_or_default()
    }

    /// Appends items and returns the offset of the first. A request id equal to the last one writes nothing and returns
    /// the next offset.
    pub fn puts(&self, cx: &mut WriteCx, name: &str, items: &[Value], reqid: Option<Value>) -> Result<u64> {
        let abrv = self.abrv_of(name)?;
        let offs = self.next_offs(name);
        if let Some(reqid) = &reqid
            && self.reqids.get(name).as_ref() == Some(reqid)
        {
            return Ok(offs);
        }
        self.reqids.set(cx, name, reqid.unwrap_or_default())?;
        for (indx, item) in items.iter().enumerate() {
            cx.put_value(self.qdata, &row_key(abrv, offs + indx as u64), item)?;
        }
        let count = items.len() as u64;
        self.sizes.set(cx, name, &Value::from(self.size(name) + count))?;
        self.offs.set(cx, name, &Value::from(offs + count))?;
        Ok(offs)
    }

    /// The first item from an offset on.
    pub fn get(&self, txn: &impl Reads, name: &str, offs: u64) -> Result<Option<(u64, Value)>> {
        Ok(self.gets(txn, name, offs, Some(1))?.into_iter().next())
    }

    /// Items from an offset on.
    pub fn gets(&self, txn: &impl Reads, name: &str, offs: u64, size: Option<usize>) -> Result<Vec<(u64, Value)>> {
        let abrv = self.abrv_of(name)?;
        txn.range(self.qdata, &row_key(abrv, offs), Some(&row_key(abrv, u64::MAX)))?
            .take(size.unwrap_or(usize::MAX))
            .map(|row| {
                let (key, valu) = row?;
                Ok((offs_of(&key[8..])?, msgpack::decode(valu)?))
            })
            .collect()
    }

    /// Removes the item at an offset and returns it.
    pub fn pop(&self, cx: &mut WriteCx, name: &str, offs: u64) -> Result<Option<(u64, Value)>> {
        let abrv = self.abrv_of(name)?;
        let Some(item) = cx.pop_value(self.qdata, &row_key(abrv, offs))? else { return Ok(None) };
        self.shrink(cx, name, 1)?;
        Ok(Some((offs, item)))
    }

    /// Removes everything up to an offset, which is included.
    pub fn cull(&self, cx: &mut WriteCx, name: &str, offs: u64) -> Result<()> {
        self.dele(cx, name, 0, offs)
    }

    /// Removes everything between two offsets, both included.
    pub fn dele(&self, cx: &mut WriteCx, name: &str, minoffs: u64, maxoffs: u64) -> Result<()> {
        let abrv = self.abrv_of(name)?;
        let (lmin, lmax) = (row_key(abrv, minoffs), row_key(abrv, maxoffs));
        loop {
            let rows = cx.range(self.qdata, &lmin, Some(&lmax))?.take(1000);
            let keys: Vec<Vec<u8>> = rows.map(|row| row.map(|(key, _)| key.to_vec())).collect::<Result<_>>()?;
            if keys.is_empty() || cx.is_suppressed(self.qdata)? {
                return Ok(());
            }
            for key in &keys {
                cx.del(self.qdata, key)?;
            }
            self.shrink(cx, name, keys.len() as u64)?;
        }
    }

    /// Overwrites items from an offset on, extending the queue where they go past its end.
    pub fn sets(&self, cx: &mut WriteCx, name: &str, offs: u64, items: &[Value]) -> Result<()> {
        let abrv = self.abrv_of(name)?;
        let (mut added, mut next) = (0, self.next_offs(name));
        for (indx, item) in items.iter().enumerate() {
            let at = offs + indx as u64;
            let key = row_key(abrv, at);
            added += u64::from(!cx.has(self.qdata, &key)?);
            cx.put_value(self.qdata, &key, item)?;
            next = next.max(at + 1);
        }
        self.sizes.set(cx, name, &Value::from(self.size(name) + added))?;
        self.offs.set(cx, name, &Value::from(next))
    }

    fn shrink(&self, cx: &mut WriteCx, name: &str, by: u64) -> Result<()> {
        self.sizes.set(cx, name, &Value::from(self.size(name).saturating_sub(by)))
    }
}

fn row_key(abrv: [u8; 8], offs: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&abrv);
    key[8..].copy_from_slice(&offs.to_be_bytes());
    key
}
