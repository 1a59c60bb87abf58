//! Reading: the [`Reads`] trait, which a read transaction and the writer share, and the walks over a table.
//!
//! Items borrow from the transaction; nothing is copied. A walk over a dupsort table yields one item for each value.

use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

use lmdb_master_sys as ffi;
use myelin_error::{Result, err};
use myelin_value::{Value, msgpack};

use crate::lmdb::{self, Code, TxnPtr};
use crate::slab::ReadTxn;

/// One table of one slab. Made by [`crate::Slab::table`] and [`crate::WriteCx::table`]; copy it freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    pub(crate) slab: u32,
    pub(crate) dbi: u32,
    pub(crate) dup: bool,
}

impl Table {
    /// Whether a key may have many values.
    pub fn is_dup(self) -> bool {
        self.dup
    }
}

/// A transaction that a reader may use for one call. Opaque outside of the crate.
#[derive(Clone, Copy)]
pub struct RawTxn(pub(crate) TxnPtr);

/// A key and a value inside the map.
pub type Row<'t> = (&'t [u8], &'t [u8]);

/// What both kinds of transaction can read.
///
/// Slices live as long as the borrow of the transaction: a read transaction keeps its snapshot until it is dropped, and the
/// writer cannot write while a slice of it is borrowed.
pub trait Reads: sealed::Sealed {
    /// The transaction to read this table with. It stays live while `self` is borrowed.
    #[doc(hidden)]
    fn raw(&self, table: Table) -> Result<RawTxn>;

    /// The value under a key (the first one, where there are many).
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>> {
        let txn = self.raw(table)?;
        // SAFETY: `raw` promises that the transaction is live while `self` is borrowed, which the result is tied to.
        unsafe { lmdb::get(txn.0, table.dbi, key) }.map_err(read_error)
    }

    /// The value under a key, decoded.
    fn get_value(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.get(table, key)?.map(msgpack::decode).transpose()?)
    }

    /// Whether the key is there.
    fn has(&self, table: Table, key: &[u8]) -> Result<bool> {
        Ok(self.get(table, key)?.is_some())
    }

    /// Whether this very pair is there.
    fn has_dup(&self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool> {
        if !table.dup {
            return Ok(self.get(table, key)? == Some(valu));
        }
        let mut cur = Cursor::open(self.raw(table)?, table)?;
        Ok(cur.seek(ffi::MDB_GET_BOTH, key, valu)?.is_some())
    }

    /// How many values the key has.
    fn dup_count(&self, table: Table, key: &[u8]) -> Result<u64> {
        if !table.dup {
            return Ok(u64::from(self.has(table, key)?));
        }
        let mut cur = Cursor::open(self.raw(table)?, table)?;
        if cur.seek(ffi::MDB_SET_KEY, key, &[])?.is_none() { Ok(0) } else { cur.dups() }
    }

    /// How many values the table has. Costs nothing.
    fn entries(&self, table: Table) -> Result<u64> {
        let txn = self.raw(table)?;
        // SAFETY: `raw` promises a live transaction that knows the table.
        unsafe { lmdb::entries(txn.0, table.dbi) }.map_err(read_error)
    }

    /// How many values lie under keys with a prefix. Reads keys only.
    fn count_prefix(&self, table: Table, pref: &[u8]) -> Result<u64> {
        let mut count = 0;
        let mut walk = RawScan::open(self.raw(table)?, table, From::Key(pref), Until::Prefix(pref.into()), Step::Key)?;
        while walk.next_row()?.is_some() {
            count += if table.dup { walk.cur.dups()? } else { 1 };
        }
        Ok(count)
    }

    /// The first row.
    fn first(&self, table: Table) -> Result<Option<Row<'_>>> {
        Cursor::open(self.raw(table)?, table)?.seek(ffi::MDB_FIRST, &[], &[])
    }

    /// The last row.
    fn last(&self, table: Table) -> Result<Option<Row<'_>>> {
        Cursor::open(self.raw(table)?, table)?.seek(ffi::MDB_LAST, &[], &[])
    }

    /// Every row, in key order.
    fn iter(&self, table: Table) -> Result<Iter<'_>> {
        self.scan(table, Scan::All)
    }

    /// Every row, last first.
    fn iter_rev(&self, table: Table) -> Result<Iter<'_>> {
        self.scan(table, Scan::AllRev)
    }

    /// Rows whose key starts with a prefix.
    fn prefix(&self, table: Table, pref: &[u8]) -> Result<Iter<'_>> {
        self.scan(table, Scan::Prefix(pref))
    }

    /// Rows whose key starts with a prefix, last first.
    fn prefix_rev(&self, table: Table, pref: &[u8]) -> Result<Iter<'_>> {
        self.scan(table, Scan::PrefixRev(pref))
    }

    /// The first row of each key that starts with a prefix.
    fn keys_prefix(&self, table: Table, pref: &[u8]) -> Result<Iter<'_>> {
        self.scan(table, Scan::KeysPrefix(pref))
    }

    /// Rows from one key to another, both included. No upper key means the end.
    fn range(&self, table: Table, lmin: &[u8], lmax: Option<&[u8]>) -> Result<Iter<'_>> {
        self.scan(table, Scan::Range(lmin, lmax))
    }

    /// Rows from one key down to another, both included. No lower key means the beginning.
    fn range_rev(&self, table: Table, lmax: &[u8], lmin: Option<&[u8]>) -> Result<Iter<'_>> {
        self.scan(table, Scan::RangeRev(lmax, lmin))
    }

    /// The values of one key.
    fn dups(&self, table: Table, key: &[u8]) -> Result<Iter<'_>> {
        self.scan(table, Scan::Dups(key))
    }

    /// The values of one key, last first.
    fn dups_rev(&self, table: Table, key: &[u8]) -> Result<Iter<'_>> {
        self.scan(table, Scan::DupsRev(key))
    }

    /// Any walk.
    fn scan(&self, table: Table, scan: Scan<'_>) -> Result<Iter<'_>> {
        Ok(Iter { scan: RawScan::of(self.raw(table)?, table, scan)?, txn: PhantomData })
    }
}

pub(crate) mod sealed {
    /// Only this crate can promise what [`super::Reads::raw`] promises.
    pub trait Sealed {}
}

/// The walks there are. Bounds are included on both sides.
#[derive(Clone, Copy, Debug)]
pub enum Scan<'a> {
    /// Every row.
    All,
    /// Every row, last first.
    AllRev,
    /// Keys with a prefix.
    Prefix(&'a [u8]),
    /// Keys with a prefix, last first.
    PrefixRev(&'a [u8]),
    /// Keys with a prefix, the first value of each.
    KeysPrefix(&'a [u8]),
    /// Keys with a prefix, last first, one value of each.
    KeysPrefixRev(&'a [u8]),
    /// From a key up to a key.
    Range(&'a [u8], Option<&'a [u8]>),
    /// From a key down to a key.
    RangeRev(&'a [u8], Option<&'a [u8]>),
    /// Keys with a prefix (second), beginning at a key (first).
    PrefixFrom(&'a [u8], &'a [u8]),
    /// Keys with a prefix (second), from a key (first) downwards.
    PrefixFromRev(&'a [u8], &'a [u8]),
    /// The values of a key.
    Dups(&'a [u8]),
    /// The values of a key, last first.
    DupsRev(&'a [u8]),
    /// The values of a key that start with a prefix.
    DupsPrefix(&'a [u8], &'a [u8]),
    /// The values of a key from one value up to another.
    DupsRange(&'a [u8], &'a [u8], Option<&'a [u8]>),
    /// The values of a key from one value (second) down to another (third).
    DupsRangeRev(&'a [u8], &'a [u8], Option<&'a [u8]>),
}

/// A walk that borrows its transaction.
pub struct Iter<'t> {
    scan: RawScan,
    txn: PhantomData<&'t ()>,
}

impl<'t> Iterator for Iter<'t> {
    type Item = Result<Row<'t>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.scan.next_row().transpose()
    }
}

/// A walk that owns its transaction, for iterators that are kept in other structures.
pub struct OwnedScan {
    // Before the transaction, so that the cursor closes first.
    scan: RawScan,
    txn: Rc<ReadTxn>,
}

impl OwnedScan {
    /// Starts a walk over a transaction that it keeps alive.
    pub fn new(txn: Rc<ReadTxn>, table: Table, scan: Scan<'_>) -> Result<OwnedScan> {
        Ok(OwnedScan { scan: RawScan::of(txn.raw(table)?, table, scan)?, txn })
    }

    /// The next row; it lives until the walk goes on.
    #[inline]
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        self.scan.next_row()
    }

    /// The transaction.
    pub fn txn(&self) -> &Rc<ReadTxn> {
        &self.txn
    }
}

/// How a walk begins.
enum From<'a> {
    First,
    Last,
    Key(&'a [u8]),
    /// The last row whose key is not above this.
    AtMost(&'a [u8]),
    /// The last row whose key starts with this.
    LastOf(&'a [u8]),
    Dup(&'a [u8], &'a [u8]),
    DupAtMost(&'a [u8], &'a [u8]),
    DupFirst(&'a [u8]),
    DupLast(&'a [u8]),
}

/// How a walk ends.
enum Until {
    End,
    Prefix(Box<[u8]>),
    KeyMax(Box<[u8]>),
    KeyMin(Box<[u8]>),
    DupPrefix(Box<[u8]>),
    DupMax(Box<[u8]>),
    DupMin(Box<[u8]>),
}

/// How a walk goes on.
#[derive(Clone, Copy)]
enum Step {
    Next,
    Prev,
    Key,
    KeyPrev,
    Dup,
    DupPrev,
    /// One row and no more: a key of a table without duplicates.
    Once,
}

struct RawScan {
    cur: Cursor,
    until: Until,
    step: Step,
    state: State,
}

enum State {
    /// The cursor stands on a row not yet handed out.
    Ready(ffi::MDB_val, ffi::MDB_val),
    Walking,
    Done,
}

impl RawScan {
    fn of(txn: RawTxn, table: Table, scan: Scan<'_>) -> Result<RawScan> {
        let opt =
            |bound: Option<&[u8]>, wrap: fn(Box<[u8]>) -> Until| bound.map_or(Until::End, |bound| wrap(bound.into()));
        let (dup, dup_prev) = if table.dup { (Step::Dup, Step::DupPrev) } else { (Step::Once, Step::Once) };
        let (from, until, step) = match scan {
            Scan::All => (From::First, Until::End, Step::Next),
            Scan::AllRev => (From::Last, Until::End, Step::Prev),
            Scan::Prefix(pref) => (From::Key(pref), Until::Prefix(pref.into()), Step::Next),
            Scan::PrefixRev(pref) => (From::LastOf(pref), Until::Prefix(pref.into()), Step::Prev),
            Scan::KeysPrefix(pref) => (From::Key(pref), Until::Prefix(pref.into()), Step::Key),
            Scan::KeysPrefixRev(pref) => (From::LastOf(pref), Until::Prefix(pref.into()), Step::KeyPrev),
            Scan::Range(lmin, lmax) => (From::Key(lmin), opt(lmax, Until::KeyMax), Step::Next),
            Scan::RangeRev(lmax, lmin) => (From::AtMost(lmax), opt(lmin, Until::KeyMin), Step::Prev),
            Scan::PrefixFrom(key, pref) => (From::Key(key), Until::Prefix(pref.into()), Step::Next),
            Scan::PrefixFromRev(key, pref) => (From::AtMost(key), Until::Prefix(pref.into()), Step::Prev),
            Scan::Dups(key) => (From::DupFirst(key), Until::End, dup),
            Scan::DupsRev(key) => (From::DupLast(key), Until::End, dup_prev),
            Scan::DupsPrefix(key, pref) => (From::Dup(key, pref), Until::DupPrefix(pref.into()), dup),
            Scan::DupsRange(key, vmin, vmax) => (From::Dup(key, vmin), opt(vmax, Until::DupMax), dup),
            Scan::DupsRangeRev(key, vmax, vmin) => (From::DupAtMost(key, vmax), opt(vmin, Until::DupMin), dup_prev),
        };
        RawScan::open(txn, table, from, until, step)
    }

    fn open(txn: RawTxn, table: Table, from: From<'_>, until: Until, step: Step) -> Result<RawScan> {
        let mut cur = Cursor::open(txn, table)?;
        let found = cur.place(table, &from)?;
        let state = if found { State::Ready(cur.key, cur.valu) } else { State::Done };
        Ok(RawScan { cur, until, step, state })
    }

    /// The next row. The caller's lifetime is what `Iter` and `OwnedScan` make of it.
    #[inline]
    fn next_row<'t>(&mut self) -> Result<Option<Row<'t>>> {
        let (key, valu) = match std::mem::replace(&mut self.state, State::Walking) {
            State::Done => {
                self.state = State::Done;
                return Ok(None);
            }
            State::Ready(key, valu) => (key, valu),
            State::Walking => {
                if !self.cur.step(self.step)? {
                    self.state = State::Done;
                    return Ok(None);
                }
                (self.cur.key, self.cur.valu)
            }
        };
        // SAFETY: the values came from the cursor's transaction, which `Iter`'s borrow or `OwnedScan`'s Rc keeps live; the
        // lifetimes those two give the rows end before it does.
        let row: Row<'t> = unsafe { (lmdb::slice(&key), lmdb::slice(&valu)) };
        let within = match &self.until {
            Until::End => true,
            Until::Prefix(pref) => row.0.starts_with(pref),
            Until::KeyMax(lmax) => row.0 <= &**lmax,
            Until::KeyMin(lmin) => row.0 >= &**lmin,
            Until::DupPrefix(pref) => row.1.starts_with(pref),
            Until::DupMax(vmax) => row.1 <= &**vmax,
            Until::DupMin(vmin) => row.1 >= &**vmin,
        };
        if !within {
            self.state = State::Done;
            return Ok(None);
        }
        Ok(Some(row))
    }
}

/// A cursor with the row it stands on.
struct Cursor {
    ptr: *mut ffi::MDB_cursor,
    key: ffi::MDB_val,
    valu: ffi::MDB_val,
}

impl Cursor {
    fn open(txn: RawTxn, table: Table) -> Result<Cursor> {
        let mut cur = ptr::null_mut();
        // SAFETY: `RawTxn`s are handed out by `Reads::raw` only, which promises a live transaction that knows the table.
        match unsafe { ffi::mdb_cursor_open(txn.0, table.dbi, &mut cur) } {
            0 => Ok(Cursor { ptr: cur, key: lmdb::val(&[]), valu: lmdb::val(&[]) }),
            code => Err(read_error(Code(code))),
        }
    }

    fn op(&mut self, op: ffi::MDB_cursor_op) -> Result<bool> {
        // SAFETY: the cursor is open; key and value point to bytes that live over the call (see `seek`) and receive
        // pointers into the map.
        match unsafe { ffi::mdb_cursor_get(self.ptr, &mut self.key, &mut self.valu, op) } {
            0 => Ok(true),
            ffi::MDB_NOTFOUND => Ok(false),
            code => Err(read_error(Code(code))),
        }
    }

    fn go(&mut self, op: ffi::MDB_cursor_op, key: &[u8], valu: &[u8]) -> Result<bool> {
        self.key = lmdb::val(key);
        self.valu = lmdb::val(valu);
        self.op(op)
    }

    fn seek<'t>(&mut self, op: ffi::MDB_cursor_op, key: &[u8], valu: &[u8]) -> Result<Option<Row<'t>>> {
        if !self.go(op, key, valu)? {
            return Ok(None);
        }
        // SAFETY: callers give the result the lifetime of the borrowed transaction. With MDB_GET_BOTH the key may still
        // point to the caller's bytes; such results are only tested for presence.
        Ok(Some(unsafe { (lmdb::slice(&self.key), lmdb::slice(&self.valu)) }))
    }

    fn dups(&mut self) -> Result<u64> {
        let mut count = 0;
        // SAFETY: the cursor is open, stands on a key, and its table keeps duplicates.
        match unsafe { ffi::mdb_cursor_count(self.ptr, &mut count) } {
            0 => Ok(count as u64),
            code => Err(read_error(Code(code))),
        }
    }

    fn step(&mut self, step: Step) -> Result<bool> {
        self.op(match step {
            Step::Next => ffi::MDB_NEXT,
            Step::Prev => ffi::MDB_PREV,
            Step::Key => ffi::MDB_NEXT_NODUP,
            Step::KeyPrev => ffi::MDB_PREV_NODUP,
            Step::Dup => ffi::MDB_NEXT_DUP,
            Step::DupPrev => ffi::MDB_PREV_DUP,
            Step::Once => return Ok(false),
        })
    }

    /// Puts the cursor on the first row of a walk, with key and value both pointing into the map.
    fn place(&mut self, table: Table, from: &From<'_>) -> Result<bool> {
        match *from {
            From::First => self.go(ffi::MDB_FIRST, &[], &[]),
            From::Last => self.go(ffi::MDB_LAST, &[], &[]),
            From::Key([]) => self.go(ffi::MDB_FIRST, &[], &[]),
            From::Key(key) => self.go(ffi::MDB_SET_RANGE, key, &[]),
            From::AtMost(key) => self.at_most(table, key),
            From::LastOf(pref) => self.last_of(pref),
            From::DupFirst(key) => self.go(ffi::MDB_SET_KEY, key, &[]),
            From::DupLast(key) => {
                let found = self.go(ffi::MDB_SET_KEY, key, &[])?;
                if found && table.dup { self.last_dup() } else { Ok(found) }
            }
            From::Dup(key, valu) if table.dup => {
                if valu.is_empty() {
                    return self.go(ffi::MDB_SET_KEY, key, &[]);
                }
                // The key in the result may still be the caller's: read the row again from where the cursor stands.
                Ok(self.go(ffi::MDB_GET_BOTH_RANGE, key, valu)? && self.op(ffi::MDB_GET_CURRENT)?)
            }
            From::Dup(key, valu) => Ok(self.go(ffi::MDB_SET_KEY, key, &[])? && self.valu_bytes() >= valu),
            From::DupAtMost(key, valu) => self.dup_at_most(table, key, valu),
        }
    }

    fn at_most(&mut self, table: Table, key: &[u8]) -> Result<bool> {
        if key.is_empty() {
            return Ok(false);
        }
        if !self.go(ffi::MDB_SET_RANGE, key, &[])? {
            return self.go(ffi::MDB_LAST, &[], &[]);
        }
        // SAFETY: the key points into the map, and the cursor's transaction is live.
        if unsafe { lmdb::slice(&self.key) } != key {
            return self.op(ffi::MDB_PREV);
        }
        if table.dup { self.last_dup() } else { Ok(true) }
    }

    fn last_of(&mut self, pref: &[u8]) -> Result<bool> {
        let Some(after) = successor(pref) else { return self.go(ffi::MDB_LAST, &[], &[]) };
        if self.go(ffi::MDB_SET_RANGE, &after, &[])? {
            self.op(ffi::MDB_PREV)
        } else {
            self.go(ffi::MDB_LAST, &[], &[])
        }
    }

    fn last_dup(&mut self) -> Result<bool> {
        Ok(self.op(ffi::MDB_LAST_DUP)? && self.op(ffi::MDB_GET_CURRENT)?)
    }

    fn dup_at_most(&mut self, table: Table, key: &[u8], valu: &[u8]) -> Result<bool> {
        if !table.dup {
            return Ok(self.go(ffi::MDB_SET_KEY, key, &[])? && self.valu_bytes() <= valu);
        }
        if valu.is_empty() || !self.go(ffi::MDB_GET_BOTH_RANGE, key, valu)? {
            return Ok(!valu.is_empty() && self.go(ffi::MDB_SET_KEY, key, &[])? && self.last_dup()?);
        }
        if self.valu_bytes() == valu { self.op(ffi::MDB_GET_CURRENT) } else { self.op(ffi::MDB_PREV_DUP) }
    }

    fn valu_bytes(&self) -> &[u8] {
        // SAFETY: called after a successful move, when the value points into the map of a live transaction.
        unsafe { lmdb::slice(&self.valu) }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // SAFETY: the cursor is open, and its transaction has not ended: walks borrow or own it.
        unsafe { ffi::mdb_cursor_close(self.ptr) };
    }
}

/// The least key above every key with that prefix.
fn successor(pref: &[u8]) -> Option<Vec<u8>> {
    let keep = pref.iter().rposition(|byte| *byte != 0xff)?;
    let mut after = pref[..=keep].to_vec();
    after[keep] += 1;
    Some(after)
}

pub(crate) fn read_error(code: Code) -> myelin_error::Error {
    let text = code.text();
    if code == Code::BAD_VALSIZE {
        return err!("BadArg", mesg = "A key of a table has 1 to 511 bytes.");
    }
    if code.is_damage() {
        return err!("BadCoreStore", mesg = format!("A slab's file is damaged: {text}."));
    }
    err!("SynErr", mesg = format!("LMDB refused to read: {text}."))
}
