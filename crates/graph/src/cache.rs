//! Storage nodes that were read lately.
//!
//! A query asks for the same nodes again and again: a pivot reaches each of its ends many times, and the next query reads what
//! the last one read. Finding a row in the map costs a walk down the tree each time; here it costs one look. A place holds one
//! node: another that belongs there takes it over, so that nothing has to be kept in order of use.
//!
//! What is kept is what a reader that begins now would see. The writer drops a node whenever it stores another version of it
//! ([`Sodes::forget`]), after it has made that visible in the overlay. A reader takes a [`Ticket`] before it looks anywhere,
//! and what it read is kept only if nothing of that shard was dropped meanwhile: else it may have read what is old by now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use myelin_value::Buid;
use parking_lot::Mutex;

/// Readers on different threads seldom meet.
const SHARDS: usize = 32;
/// Places of a shard, at first and at most.
const PLACES_MIN: usize = 16;
const PLACES_MAX: usize = 4096;
/// A node with more bytes is not kept.
const BYTES_MAX: usize = 4096;
/// How much all layers together keep.
const TOTAL_MAX: usize = 64 << 20;
/// What a place costs beside the bytes of its node.
const PLACE_BYTES: usize = size_of::<Place>() + 16;

/// What is kept at the moment, by all layers.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

type Place = Option<(Buid, Arc<[u8]>)>;

#[derive(Default)]
struct Shard {
    /// Counts what was dropped.
    dropped: u64,
    places: Vec<Place>,
    /// How often a node took over the place of another since the shard has its size.
    taken: usize,
}

/// The nodes of one layer.
pub(crate) struct Sodes([Mutex<Shard>; SHARDS]);

/// When a reader began.
pub(crate) struct Ticket(u64);

/// What is known of a node.
pub(crate) enum Found {
    /// Its bytes.
    Kept(Arc<[u8]>),
    /// Nothing: read it, and say so with this.
    Unknown(Ticket),
}

impl Default for Sodes {
    fn default() -> Sodes {
        Sodes(std::array::from_fn(|_| Mutex::default()))
    }
}

fn place_of(buid: &Buid, places: usize) -> usize {
    let Some(part) = buid.0.first_chunk::<4>() else { return 0 };
    u32::from_le_bytes(*part) as usize & (places - 1)
}

fn cost(place: &Place) -> usize {
    place.as_ref().map_or(0, |(_, byts)| byts.len() + PLACE_BYTES)
}

impl Sodes {
    fn shard(&self, buid: &Buid) -> &Mutex<Shard> {
        &self.0[usize::from(buid.0[31]) % SHARDS]
    }

    /// The bytes of a node, or the ticket to read them with.
    pub fn get(&self, buid: &Buid) -> Found {
        let shard = self.shard(buid).lock();
        if !shard.places.is_empty()
            && let Some((have, byts)) = &shard.places[place_of(buid, shard.places.len())]
            && have == buid
        {
            return Found::Kept(byts.clone());
        }
        Found::Unknown(Ticket(shard.dropped))
    }

    /// Keeps what was read, unless it may be old.
    pub fn keep(&self, ticket: &Ticket, buid: &Buid, byts: &Arc<[u8]>) {
        if byts.len() > BYTES_MAX {
            return;
        }
        let mut shard = self.shard(buid).lock();
        if shard.dropped != ticket.0 {
            return;
        }
        let shard = &mut *shard;
        if shard.places.is_empty() {
            shard.places.resize(PLACES_MIN, None);
        }
        let mut at = place_of(buid, shard.places.len());
        if shard.places[at].is_some() {
            shard.taken += 1;
            if shard.taken > shard.places.len() / 2 && shard.places.len() < PLACES_MAX {
                shard.grow();
                at = place_of(buid, shard.places.len());
            }
        }
        let place = &mut shard.places[at];
        let (old, new) = (cost(place), byts.len() + PLACE_BYTES);
        if TOTAL.load(Ordering::Relaxed) + new > TOTAL_MAX + old {
            return;
        }
        TOTAL.fetch_add(new, Ordering::Relaxed);
        TOTAL.fetch_sub(old, Ordering::Relaxed);
        *place = Some((*buid, byts.clone()));
    }

    /// Drops a node: there is a newer version. Whoever reads the old one just now does not keep it.
    pub fn forget(&self, buid: &Buid) {
        let mut shard = self.shard(buid).lock();
        shard.dropped += 1;
        if shard.places.is_empty() {
            return;
        }
        let at = place_of(buid, shard.places.len());
        let place = &mut shard.places[at];
        if place.as_ref().is_some_and(|(have, _)| have == buid) {
            TOTAL.fetch_sub(cost(place), Ordering::Relaxed);
            *place = None;
        }
    }

    /// Drops all nodes.
    pub fn forget_all(&self) {
        for shard in &self.0 {
            let mut shard = shard.lock();
            shard.dropped += 1;
            for place in std::mem::take(&mut shard.places) {
                TOTAL.fetch_sub(cost(&place), Ordering::Relaxed);
            }
        }
    }
}

impl Shard {
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.places);
        self.places.resize(old.len() * 2, None);
        self.taken = 0;
        // Twice the places: no two of the old ones meet.
        for place in old.into_iter().flatten() {
            let at = place_of(&place.0, self.places.len());
            self.places[at] = Some(place);
        }
    }
}

impl Drop for Sodes {
    fn drop(&mut self) {
        let kept: usize = self.0.iter_mut().flat_map(|shard| shard.get_mut().places.iter()).map(cost).sum();
        TOTAL.fetch_sub(kept, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buid(indx: u32) -> Buid {
        let mut buid = Buid([0; 32]);
        buid.0[..4].copy_from_slice(&indx.wrapping_mul(2_654_435_761).to_le_bytes());
        buid.0[31] = (indx.wrapping_mul(0x9e37_79b9) >> 24) as u8;
        buid
    }

    fn bytes(text: &str) -> Arc<[u8]> {
        Arc::from(text.as_bytes())
    }

    #[test]
    fn nodes_are_found_until_they_change() {
        let sodes = Sodes::default();
        for indx in 0..3000 {
            let Found::Unknown(ticket) = sodes.get(&buid(indx)) else { panic!("{indx} was never kept") };
            sodes.keep(&ticket, &buid(indx), &bytes(&indx.to_string()));
        }
        let mut found = 0;
        for indx in 0..3000 {
            if let Found::Kept(byts) = sodes.get(&buid(indx)) {
                assert_eq!(byts, bytes(&indx.to_string()));
                found += 1;
            }
        }
        assert!(found > 1500, "of 3000 nodes {found} were still there");
        for indx in 0..3000 {
            sodes.forget(&buid(indx));
            assert!(matches!(sodes.get(&buid(indx)), Found::Unknown(_)));
        }
    }

    #[test]
    fn what_is_old_by_now_is_not_kept() {
        let sodes = Sodes::default();
        let Found::Unknown(ticket) = sodes.get(&buid(7)) else { panic!("nothing was kept") };
        // Meanwhile the writer stores another version.
        sodes.forget(&buid(7));
        sodes.keep(&ticket, &buid(7), &bytes("old"));
        assert!(matches!(sodes.get(&buid(7)), Found::Unknown(_)));
        let big: Arc<[u8]> = vec![0; BYTES_MAX + 1].into();
        let Found::Unknown(ticket) = sodes.get(&buid(7)) else { panic!("nothing was kept") };
        sodes.keep(&ticket, &buid(7), &big);
        assert!(matches!(sodes.get(&buid(7)), Found::Unknown(_)));
    }
}
