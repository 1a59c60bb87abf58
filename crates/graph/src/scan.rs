//! Walks over a layer's index tables that live as long as their caller likes, and may change threads.
//!
//! A [`Scan`] reads rows in batches (8 at first, [`MAX_BATCH`] later) into one buffer, and between batches remembers only
//! where it stands. It keeps its snapshot for [`MAX_SNAPSHOT`], so that a query is not chased by its own edits; a walk that
//! takes longer goes on in a fresh one, so that a slow consumer neither keeps pages from being used again nor stops the map
//! from growing. Rows written meanwhile may or may not be seen; rows that stay are seen exactly once.
//!
//! A snapshot of what was just written costs a commit. A walk over few rows is therefore read whole by the writer's own
//! transaction ([`peek`]) where something is uncommitted: edits in a loop ask for a handful of rows each time.

use std::time::{Duration, Instant};

use myelin_error::Result;
use myelin_slab::{ReadTxn, Reads, Row, Scan as Walk, Slab, Table};

/// Keys of LMDB have at most this many bytes.
const KEY_MAX: usize = 511;
/// How long a snapshot is kept.
const MAX_SNAPSHOT: Duration = Duration::from_secs(2);
/// Rows read at once.
const MAX_BATCH: usize = 512;
/// Rows counted before it is asked whether to go on.
const COUNT_ROWS: u64 = 4096;
/// Rows for which nothing is committed.
const PEEK_ROWS: usize = 128;

/// Which rows, in ascending terms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Span {
    /// The values of one key.
    Key(Vec<u8>),
    /// Keys from one bound to another, both included; a key is within the upper bound if its beginning is.
    Range(Vec<u8>, Vec<u8>),
}

impl Span {
    /// Keys that start with a prefix.
    pub fn prefix(pref: &[u8]) -> Span {
        Span::Range(pref.to_vec(), pref.to_vec())
    }
}

/// A walk over rows `key → value`.
pub(crate) struct Scan {
    slab: Slab,
    table: Table,
    span: Span,
    reverse: bool,
    /// Nothing for a walk whose rows are all here.
    txn: Option<ReadTxn>,
    since: Instant,
    /// Keys and values, one after the other; `ends` says where each ends.
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
    /// The row after the current one.
    next: usize,
    batch: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Walking,
    Done,
}

impl Scan {
    /// A walk over everything written so far.
    pub fn fresh(slab: &Slab, table: Table, span: Span, reverse: bool) -> Result<Scan> {
        let steps = [(span, reverse)];
        if let Some(rows) = peek(slab, table, &steps)? {
            return Ok(Scan::peeked(slab, table, rows));
        }
        let [(span, reverse)] = steps;
        Ok(Scan::new(slab, slab.read_fresh()?, table, span, reverse))
    }

    /// A walk over rows that were all read.
    pub fn peeked(slab: &Slab, table: Table, rows: Rows) -> Scan {
        Scan {
            slab: slab.clone(),
            table,
            span: Span::Key(Vec::new()),
            reverse: false,
            txn: None,
            since: Instant::now(),
            bytes: rows.bytes,
            ends: rows.ends,
            next: 0,
            batch: 0,
            state: State::Done,
        }
    }

    /// A walk that begins in a snapshot.
    pub fn new(slab: &Slab, txn: ReadTxn, table: Table, span: Span, reverse: bool) -> Scan {
        Scan {
            slab: slab.clone(),
            table,
            span,
            reverse,
            txn: Some(txn),
            since: Instant::now(),
            bytes: Vec::new(),
            ends: Vec::new(),
            next: 0,
            batch: 8,
            state: State::Start,
        }
    }

    /// Goes to the next row, if there is one.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        if self.next == self.ends.len() && !self.refill()? {
            return Ok(false);
        }
        self.next += 1;
        Ok(true)
    }

    /// The key of the row.
    pub fn key(&self) -> &[u8] {
        self.row().map_or(&[], |row| row.0)
    }

    /// The value of the row.
    pub fn valu(&self) -> &[u8] {
        self.row().map_or(&[], |row| row.1)
    }

    /// The snapshot, for another walk.
    pub fn into_txn(self) -> Option<ReadTxn> {
        self.txn
    }

    fn row(&self) -> Option<Row<'_>> {
        let at = self.next.checked_sub(1)?;
        let (key_end, end) = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1].1 };
        Some((&self.bytes[start..key_end], &self.bytes[key_end..end]))
    }

    fn refill(&mut self) -> Result<bool> {
        if self.state == State::Done {
            return Ok(false);
        }
        let txn = match self.txn.take() {
            Some(txn) if self.since.elapsed() <= MAX_SNAPSHOT => txn,
            _ => {
                self.since = Instant::now();
                self.slab.read_fresh()?
            }
        };
        let stand =
            if self.state == State::Start { None } else { self.row().map(|(key, valu)| (key.to_vec(), valu.to_vec())) };
        self.bytes.clear();
        self.ends.clear();
        self.next = 0;
        let full = match stand {
            None => fill(&txn, self.table, &self.span, self.reverse, self.batch, &mut self.bytes, &mut self.ends)?,
            Some((key, valu)) => self.fill_after(&txn, &key, &valu)?,
        };
        self.txn = Some(txn);
        self.state = if full { State::Walking } else { State::Done };
        self.batch = (self.batch * 4).min(MAX_BATCH);
        Ok(!self.ends.is_empty())
    }

    /// Reads on behind a row. Says whether there may be more.
    fn fill_after(&mut self, txn: &ReadTxn, key: &[u8], valu: &[u8]) -> Result<bool> {
        let (bytes, ends) = (&mut self.bytes, &mut self.ends);
        if self.table.is_dup() {
            let walk =
                if self.reverse { Walk::DupsRangeRev(key, valu, None) } else { Walk::DupsRange(key, valu, None) };
            for row in txn.scan(self.table, walk)? {
                let (_, have) = row?;
                // The row stood on comes again, unless it was removed.
                if have == valu {
                    continue;
                }
                push(bytes, ends, key, have);
                if ends.len() == self.batch {
                    return Ok(true);
                }
            }
        }
        let Span::Range(min, max) = &self.span else { return Ok(false) };
        let walk = if self.reverse { before(key) } else { after(key) };
        let Some(from) = walk else { return Ok(false) };
        if min == max {
            let walk = if self.reverse { Walk::PrefixFromRev(&from, min) } else { Walk::PrefixFrom(&from, min) };
            return take(txn, self.table, walk, self.batch, bytes, ends);
        }
        let max = padded(max);
        let walk = if self.reverse { Walk::RangeRev(&from, Some(min)) } else { Walk::Range(&from, Some(&max)) };
        take(txn, self.table, walk, self.batch, bytes, ends)
    }
}

/// Rows, one after the other.
#[derive(Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

/// All rows of some walks, if something of the slab is uncommitted and they are few.
pub(crate) fn peek(slab: &Slab, table: Table, steps: &[(Span, bool)]) -> Result<Option<Rows>> {
    if !slab.is_dirty() || slab.writer()?.is_writer_thread() {
        return Ok(None);
    }
    slab.writer()?.run_here(|cx| {
        let mut rows = Rows::default();
        for (span, reverse) in steps {
            if fill(cx, table, span, *reverse, PEEK_ROWS, &mut rows.bytes, &mut rows.ends)? {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    })
}

fn fill(
    txn: &impl Reads,
    table: Table,
    span: &Span,
    reverse: bool,
    batch: usize,
    bytes: &mut Vec<u8>,
    ends: &mut Vec<(usize, usize)>,
) -> Result<bool> {
    match span {
        Span::Key(key) if reverse => take(txn, table, Walk::DupsRev(key), batch, bytes, ends),
        Span::Key(key) => take(txn, table, Walk::Dups(key), batch, bytes, ends),
        Span::Range(min, max) if min == max => {
            let walk = if reverse { Walk::PrefixRev(min) } else { Walk::Prefix(min) };
            take(txn, table, walk, batch, bytes, ends)
        }
        Span::Range(min, max) => {
            let max = padded(max);
            let walk = if reverse { Walk::RangeRev(&max, Some(min)) } else { Walk::Range(min, Some(&max)) };
            take(txn, table, walk, batch, bytes, ends)
        }
    }
}

/// How many rows there are. The values of a key are counted without being read. Now and then it asks whether to go on.
pub(crate) fn count(txn: &ReadTxn, table: Table, span: &Span, go_on: impl Fn() -> Result<()>) -> Result<u64> {
    match span {
        Span::Key(key) => txn.dup_count(table, key),
        Span::Range(min, max) if min == max => txn.count_prefix(table, min),
        Span::Range(min, max) => {
            let mut count: u64 = 0;
            for row in txn.scan(table, Walk::Range(min, Some(&padded(max))))? {
                row?;
                count += 1;
                if count.is_multiple_of(COUNT_ROWS) {
                    go_on()?;
                }
            }
            Ok(count)
        }
    }
}

/// Reads rows until the batch is full. Says whether it is.
fn take(
    txn: &impl Reads,
    table: Table,
    walk: Walk<'_>,
    batch: usize,
    bytes: &mut Vec<u8>,
    ends: &mut Vec<(usize, usize)>,
) -> Result<bool> {
    if ends.len() >= batch {
        return Ok(true);
    }
    for row in txn.scan(table, walk)? {
        let (key, valu) = row?;
        push(bytes, ends, key, valu);
        if ends.len() == batch {
            return Ok(true);
        }
    }
    Ok(false)
}

fn push(bytes: &mut Vec<u8>, ends: &mut Vec<(usize, usize)>, key: &[u8], valu: &[u8]) {
    bytes.extend_from_slice(key);
    let key_end = bytes.len();
    bytes.extend_from_slice(valu);
    ends.push((key_end, bytes.len()));
}

/// The highest key that starts with a bound.
fn padded(bound: &[u8]) -> Vec<u8> {
    let mut key = bound.to_vec();
    key.resize(KEY_MAX, 0xff);
    key
}

/// The lowest key above one.
fn after(key: &[u8]) -> Option<Vec<u8>> {
    let mut next = key.to_vec();
    if next.len() < KEY_MAX {
        next.push(0);
        return Some(next);
    }
    while next.pop_if(|last| *last == 0xff).is_some() {}
    *next.last_mut()? += 1;
    Some(next)
}

/// The highest key below one.
fn before(key: &[u8]) -> Option<Vec<u8>> {
    let mut prev = key.to_vec();
    match prev.pop()? {
        0 => {}
        last => {
            prev.push(last - 1);
            prev.resize(KEY_MAX, 0xff);
        }
    }
    (!prev.is_empty()).then_some(prev)
}

#[cfg(test)]
mod tests {
    use super::*;
    use myelin_slab::{Options, Writer};

    #[test]
    fn neighbours_of_keys() {
        assert_eq!(after(b"ab").expect("key"), b"ab\0");
        assert_eq!(before(b"ab\0").expect("key"), b"ab");
        let below = before(b"ab").expect("key");
        assert!(below.starts_with(b"aa\xff") && below.len() == KEY_MAX);
        assert_eq!(before(b"\0"), None);
        assert_eq!(after(&[0xff; KEY_MAX]), None);
    }

    #[test]
    fn few_rows_are_read_without_a_commit_and_many_with_one() {
        let dir = tempfile::tempdir().expect("dir");
        let conf = myelin_slab::WriterConf { commit_period_ms: 60_000, ..Default::default() };
        let writer = Writer::with_conf("test", conf).expect("writer");
        let slab = Slab::open(&writer, &dir.path().join("test.lmdb"), Options::default()).expect("slab");
        let table = slab.table("rows", true).expect("table");
        let put = |key: u8, count: u16| {
            writer
                .run(move |cx| (0..count).try_for_each(|valu| cx.put(table, &[key], &valu.to_be_bytes())))
                .expect("put");
        };
        let count = |span: Span, reverse: bool| {
            let mut scan = Scan::fresh(&slab, table, span, reverse).expect("scan");
            let mut rows = Vec::new();
            while scan.advance().expect("row") {
                rows.push((scan.key().to_vec(), scan.valu().to_vec()));
            }
            rows
        };
        put(1, 20);
        put(2, 127);
        put(3, 128);
        let one = count(Span::Key(vec![1]), false);
        assert_eq!((one.len(), one[0].clone()), (20, (vec![1], vec![0, 0])));
        assert_eq!(count(Span::prefix(&[2]), true)[0], (vec![2], 126u16.to_be_bytes().to_vec()));
        assert!(slab.is_dirty(), "no commit for these");
        assert_eq!(count(Span::Key(vec![3]), false).len(), 128);
        assert!(!slab.is_dirty(), "a commit for this");
        put(4, 1);
        assert_eq!(count(Span::prefix(&[]), false).len(), 20 + 127 + 128 + 1);
        writer.fini().expect("fini");
    }

    #[test]
    fn walks_cross_batches_in_both_directions() {
        let dir = tempfile::tempdir().expect("dir");
        let writer = Writer::start("test").expect("writer");
        let slab = Slab::open(&writer, &dir.path().join("test.lmdb"), Options::default()).expect("slab");
        let table = slab.table("rows", true).expect("table");
        let mut want = Vec::new();
        for key in 0u16..40 {
            for valu in 0u16..(key % 7) * 9 {
                want.push((key.to_be_bytes(), valu.to_be_bytes()));
            }
        }
        let rows = want.clone();
        writer.run(move |cx| rows.iter().try_for_each(|(key, valu)| cx.put(table, key, valu))).expect("put");
        for reverse in [false, true] {
            let mut scan = Scan::fresh(&slab, table, Span::Range(vec![0], vec![0]), reverse).expect("scan");
            let mut have = Vec::new();
            while scan.advance().expect("row") {
                have.push((scan.key().try_into().expect("key"), scan.valu().try_into().expect("valu")));
            }
            if reverse {
                have.reverse();
            }
            assert_eq!(have, want);
        }
        writer.fini().expect("fini");
    }
}
