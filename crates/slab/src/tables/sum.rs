//! A running sum over facts: order-independent, kept with what it sums, so that two copies of a state can be compared.
//!
//! Each fact has a number (see [`fact`]); one that comes is added, one that goes is subtracted, both modulo 2^64. Whoever
//! holds the same facts has the same sum, in whatever order and by whatever way they came. The cost is one hash a change.
//!
//! The sum is `base + moved`: `moved` is what changed since the table was made, `base` what had been there. An empty slab
//! has the base 0. Otherwise, as when another program has written meanwhile, the base is unknown until somebody counts:
//! a snapshot holds both the facts and the `moved` of the same moment, so that counting needs no pause.

use std::collections::VecDeque;
use std::sync::Arc;

use myelin_error::Result;
use myelin_value::{Value, msgpack};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Reads, Slab, Table, WriteCx};

/// Changes after which the sum is remembered: a copy that is further behind cannot be compared.
const REMEMBERED: usize = 4096;
/// The one row of the table: `be64(moved)`, and `be64(base)` where that is known.
const ROW: &[u8] = b"sum";

/// The number of a fact.
#[inline]
#[must_use]
pub fn fact(byts: &[u8]) -> u64 {
    xxh3_64(byts)
}

/// The number of a value, whatever order its maps have.
#[must_use]
pub fn valu_fact(valu: &Value) -> u64 {
    match valu {
        Value::Map(map) => {
            let entries = map.iter().map(|(key, valu)| {
                let parts = [valu_fact(key).to_be_bytes(), valu_fact(valu).to_be_bytes()];
                fact(&parts.concat())
            });
            entries.fold(0x6d61_7000, u64::wrapping_add)
        }
        Value::List(list) => fact(&list.iter().flat_map(|valu| valu_fact(valu).to_be_bytes()).collect::<Vec<u8>>()),
        valu => fact(&msgpack::encode(valu)),
    }
}

/// The sum of a slab's facts. Cheap to clone.
#[derive(Clone)]
pub struct StateSum {
    slab: Slab,
    table: Table,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    moved: u64,
    base: Option<u64>,
    dirty: bool,
    /// What `moved` was before the first of `past`.
    before: u64,
    /// No question about a moment up to this offset can be answered.
    floor: Option<u64>,
    /// The offset of an event that changed something, and what `moved` was after it.
    past: VecDeque<(u64, u64)>,
}

impl State {
    /// `moved` when everything below an offset was applied.
    fn moved_at(&self, next: u64) -> Option<u64> {
        if self.floor.is_some_and(|floor| next <= floor) {
            return None;
        }
        let at = self.past.iter().rev().find(|(at, _)| *at < next);
        Some(at.map_or(self.before, |(_, moved)| *moved))
    }
}

impl StateSum {
    /// The name of the table. The original ignores it.
    pub const TABLE: &str = "myelin:sum";

    /// Opens the sum of a slab, from within a job. `empty` says that there are no facts yet.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn open_in(cx: &mut WriteCx, slab: &Slab, empty: bool) -> Result<StateSum> {
        let table = cx.table(slab, StateSum::TABLE, false)?;
        let (moved, base) = cx.get(table, ROW)?.map_or((0, None), unpack);
        // Who does not know of the sum does not keep it up.
        let base = if empty { Some(0) } else { base.filter(|_| slab.applied_at_open().is_some()) };
        let state = State { moved, base, before: moved, dirty: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        // Held by the slab too: what waits for the last commit must not go with who added it.
        let kept = state.clone();
        slab.on_flush(Arc::new(move |cx| {
            let mut state = kept.lock();
            if !std::mem::take(&mut state.dirty) {
                return Ok(());
            }
            cx.put(table, ROW, &pack(state.moved, state.base))
        }));
        Ok(StateSum { slab: slab.clone(), table, state })
    }

    /// Adds what changed.
    ///
    /// # Errors
    /// That the slab is closed.
    pub fn add(&self, cx: &mut WriteCx, change: u64) -> Result<()> {
        if change == 0 || cx.is_suppressed(self.table)? {
            return Ok(());
        }
        let at = cx.event();
        let mut state = self.state.lock();
        state.moved = state.moved.wrapping_add(change);
        state.dirty = true;
        let moved = state.moved;
        match (at, state.past.back_mut()) {
            (None, _) => {
                // Outside of the log there are no moments to ask for.
                state.past.clear();
                state.before = moved;
            }
            (Some(at), Some(last)) if last.0 == at => last.1 = moved,
            (Some(at), _) => state.past.push_back((at, moved)),
        }
        if state.past.len() > REMEMBERED
            && let Some((at, moved)) = state.past.pop_front()
        {
            (state.before, state.floor) = (moved, Some(at));
        }
        drop(state);
        cx.touch(&self.slab)
    }

    /// The sum now, if the base is known.
    #[must_use]
    pub fn now(&self) -> Option<u64> {
        let state = self.state.lock();
        Some(state.base?.wrapping_add(state.moved))
    }

    /// The sum when everything below an offset was applied, if that is remembered and the base is known.
    #[must_use]
    pub fn at(&self, next: u64) -> Option<u64> {
        let state = self.state.lock();
        Some(state.base?.wrapping_add(state.moved_at(next)?))
    }

    /// Whether the base is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.state.lock().base.is_some()
    }

    /// Counts the base: `count` sums the facts of a snapshot. Blocks, and not on the writer.
    ///
    /// # Errors
    /// What reading and `count` fail with.
    pub fn count(&self, count: impl FnOnce(&crate::ReadTxn) -> Result<u64>) -> Result<()> {
        // Also what has only been touched: the snapshot must hold the row.
        self.slab.commit()?;
        let txn = self.slab.read_fresh()?;
        let moved = txn.get(self.table, ROW)?.map_or(0, |row| unpack(row).0);
        let base = count(&txn)?.wrapping_sub(moved);
        drop(txn);
        let sum = self.clone();
        self.slab.writer()?.run(move |cx| {
            let mut state = sum.state.lock();
            (state.base, state.dirty) = (Some(base), true);
            drop(state);
            cx.touch(&sum.slab)
        })
    }

    /// What a slab that nobody has open says its sum is, if it is known and no other program has written since.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn stored(slab: &Slab) -> Result<Option<u64>> {
        let Some(table) = slab.find_table(StateSum::TABLE)?.filter(|_| slab.applied_at_open().is_some()) else {
            return Ok(None);
        };
        let (moved, base) = slab.read()?.get(table, ROW)?.map_or((0, None), unpack);
        Ok(base.map(|base| base.wrapping_add(moved)))
    }
}

fn pack(moved: u64, base: Option<u64>) -> Vec<u8> {
    let mut row = moved.to_be_bytes().to_vec();
    row.extend(base.into_iter().flat_map(u64::to_be_bytes));
    row
}

fn unpack(row: &[u8]) -> (u64, Option<u64>) {
    let word = |at: usize| row.get(at..at + 8).and_then(|byts| byts.try_into().ok()).map(u64::from_be_bytes);
    (word(0).unwrap_or_default(), word(8))
}
