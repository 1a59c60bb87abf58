//! Messages to users, numbered by the offset of the event that added them.
//!
//! | table | kind | key → value |
//! |---|---|---|
//! | `notifs` | sequence with gaps | be64(offset) → msgpack `(user, time, type, data)` |
//! | `indx:user:time` | dup | user (16 bytes) + be64(time) → be64(offset) |
//! | `indx:user:type` | dup | user + type number (8 bytes) + be64(time) → be64(offset) |
//! | `types:*`, `users:*` | numbers for names | `users` is made and never written |

use myelin_error::{Result, err};
use myelin_slab::tables::{SlabAbrv, SlabSeqn};
use myelin_slab::{Reads, Slab, Table, WriteCx};
use myelin_value::{Iden, Value, msgpack};

/// The messages of a jsonstor.
#[derive(Clone)]
pub struct Notifs {
    seqn: SlabSeqn,
    types: SlabAbrv,
    by_time: Table,
    by_type: Table,
}

/// The parts of a message that are indexed.
struct Keys {
    by_time: Vec<u8>,
    by_type: Vec<u8>,
}

impl Notifs {
    /// Opens the tables.
    pub fn open(slab: &Slab) -> Result<Notifs> {
        SlabAbrv::open(slab, "users")?;
        Ok(Notifs {
            seqn: SlabSeqn::open(slab, "notifs")?,
            types: SlabAbrv::open(slab, "types")?,
            by_time: slab.table("indx:user:time", true)?,
            by_type: slab.table("indx:user:type", true)?,
        })
    }

    /// Adds a message `(user, time, type, data)` at an offset.
    pub fn add(&self, cx: &mut WriteCx, offs: u64, mesg: &Value) -> Result<()> {
        let keys = self.keys(cx, mesg)?;
        self.seqn.put(cx, offs, &msgpack::encode(mesg))?;
        cx.put_dup(self.by_time, &keys.by_time, &offs.to_be_bytes())?;
        cx.put_dup(self.by_type, &keys.by_type, &offs.to_be_bytes())?;
        Ok(())
    }

    /// Removes a message; a missing one is no error.
    pub fn del(&self, cx: &mut WriteCx, offs: u64) -> Result<()> {
        let Some(mesg) = self.seqn.pop(cx, offs)? else { return Ok(()) };
        let keys = self.keys(cx, &mesg)?;
        cx.del_dup(self.by_time, &keys.by_time, &offs.to_be_bytes())?;
        cx.del_dup(self.by_type, &keys.by_type, &offs.to_be_bytes())?;
        Ok(())
    }

    fn keys(&self, cx: &mut WriteCx, mesg: &Value) -> Result<Keys> {
        let bad = || err!("BadArg", mesg = "A notification is (user iden, time, type, data).");
        let user = mesg.at(0).and_then(Value::as_str).and_then(Iden::from_hex).ok_or_else(bad)?;
        let time = mesg.at(1).and_then(Value::as_u64).ok_or_else(bad)?.to_be_bytes();
        let kind = mesg.at(2).and_then(Value::as_str).ok_or_else(bad)?;
        let kind = self.types.set(cx, kind.as_bytes())?;
        Ok(Keys { by_time: [&user.0[..], &time].concat(), by_type: [&user.0[..], &kind[..], &time].concat() })
    }

    /// One message.
    pub fn get(&self, txn: &impl Reads, offs: u64) -> Result<Option<Value>> {
        self.seqn.get(txn, offs)
    }

    /// The messages of a user: newest first within a type, the types in descending order of their first use.
    pub fn of_user(&self, txn: &impl Reads, user: Iden, size: Option<usize>) -> Result<Vec<(u64, Value)>> {
        let mut found = Vec::new();
        for row in txn.prefix_rev(self.by_type, &user.0)?.take(size.unwrap_or(usize::MAX)) {
            let offs = row?.1.try_into().map(u64::from_be_bytes);
            let offs = offs.map_err(|_| err!("BadCoreStore", mesg = "A notification's index row holds no offset."))?;
            found.push((offs, self.seqn.get(txn, offs)?.unwrap_or_default()));
        }
        Ok(found)
    }

    /// The offset after the last message.
    pub fn next_offs(&self) -> u64 {
        self.seqn.next_offs()
    }

    /// Messages from an offset on.
    pub fn from(&self, txn: &impl Reads, offs: u64, size: usize) -> Result<Vec<(u64, Value)>> {
        self.seqn.iter(txn, offs)?.take(size).collect()
    }
}
