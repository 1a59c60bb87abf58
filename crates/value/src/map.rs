//! A map that keeps the order in which its keys came.
//!
//! Most maps are small: messages, packed nodes, options. Up to [`SMALL`] entries are a list that is looked through, which takes
//! one allocation and no hash; more are hashed.

use indexmap::{Equivalent, IndexMap};

use crate::Value;

/// So many entries are looked through; more are hashed.
const SMALL: usize = 8;

type Hashed = IndexMap<Value, Value, foldhash::fast::RandomState>;

/// Keys and values in order of insertion. Keys are nearly always text; any value is allowed, as on the wire.
#[derive(Clone, Debug)]
pub struct Map(Entries);

#[derive(Clone)]
enum Entries {
    Few(Vec<(Value, Value)>),
    /// Also one that has become small again.
    Many(Box<Hashed>),
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entries::Few(few) => f.debug_map().entries(few.iter().map(|(key, valu)| (key, valu))).finish(),
            Entries::Many(many) => many.fmt(f),
        }
    }
}

impl Default for Map {
    fn default() -> Map {
        Map(Entries::Few(Vec::new()))
    }
}

/// As sets of entries: the order does not count.
impl PartialEq for Map {
    fn eq(&self, other: &Map) -> bool {
        self.len() == other.len() && self.iter().all(|(key, valu)| other.get_value(key) == Some(valu))
    }
}

impl Eq for Map {}

struct TextKey<'a>(&'a str);

impl std::hash::Hash for TextKey<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<Value> for TextKey<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        key.as_str() == Some(self.0)
    }
}

/// Where an entry stands in a list.
fn place<Q: Equivalent<Value> + ?Sized>(few: &[(Value, Value)], key: &Q) -> Option<usize> {
    few.iter().position(|(have, _)| key.equivalent(have))
}

impl Map {
    /// An empty map.
    pub fn new() -> Map {
        Map::default()
    }

    /// An empty map with room for so many entries.
    pub fn with_capacity(size: usize) -> Map {
        Map(if size <= SMALL {
            Entries::Few(Vec::with_capacity(size))
        } else {
            Entries::Many(Box::new(Hashed::with_capacity_and_hasher(size, Default::default())))
        })
    }

    /// Sets a key in place, or at the end when it is new. Returns the value it had.
    pub fn insert(&mut self, key: impl Into<Value>, valu: impl Into<Value>) -> Option<Value> {
        self.put(key.into(), valu.into())
    }

    fn put(&mut self, key: Value, valu: Value) -> Option<Value> {
        let few = match &mut self.0 {
            Entries::Many(many) => return many.insert(key, valu),
            Entries::Few(few) => few,
        };
        if let Some(at) = place(few, &key) {
            return Some(std::mem::replace(&mut few[at].1, valu));
        }
        if few.len() < SMALL {
            few.push((key, valu));
            return None;
        }
        let mut many = Hashed::with_capacity_and_hasher(SMALL * 2, Default::default());
        many.extend(few.drain(..));
        many.insert(key, valu);
        self.0 = Entries::Many(Box::new(many));
        None
    }

    /// The same map with one more entry, for building in one expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<Value>, valu: impl Into<Value>) -> Map {
        self.insert(key, valu);
        self
    }

    fn find<Q: Equivalent<Value> + std::hash::Hash + ?Sized>(&self, key: &Q) -> Option<&Value> {
        match &self.0 {
            Entries::Few(few) => place(few, key).map(|at| &few[at].1),
            Entries::Many(many) => many.get(key),
        }
    }

    fn take<Q: Equivalent<Value> + std::hash::Hash + ?Sized>(&mut self, key: &Q) -> Option<Value> {
        match &mut self.0 {
            Entries::Few(few) => place(few, key).map(|at| few.remove(at).1),
            Entries::Many(many) => many.shift_remove(key),
        }
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(&TextKey(key))
    }

    /// The value under any key.
    pub fn get_value(&self, key: &Value) -> Option<&Value> {
        self.find(key)
    }

    /// The value under a text key, to change in place.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match &mut self.0 {
            Entries::Few(few) => place(few, &TextKey(key)).map(|at| &mut few[at].1),
            Entries::Many(many) => many.get_mut(&TextKey(key)),
        }
    }

    /// The text under a key, when it is there and is text.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The integer under a key, when it is there and fits.
    pub fn get_i64(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_i64()
    }

    /// Whether a text key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Removes a text key, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.take(&TextKey(key))
    }

    /// Removes any key, keeping the order of the others.
    pub fn remove_value(&mut self, key: &Value) -> Option<Value> {
        self.take(key)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Entries::Few(few) => few.len(),
            Entries::Many(many) => many.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        match &self.0 {
            Entries::Few(few) => Either::Few(few.iter().map(pair as fn(&(Value, Value)) -> (&Value, &Value))),
            Entries::Many(many) => Either::Many(many.iter()),
        }
    }

    /// Keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.iter().map(|(key, _)| key)
    }

    /// Values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.iter().map(|(_, valu)| valu)
    }

    /// Values in order, to change in place.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Value> + ExactSizeIterator {
        match &mut self.0 {
            Entries::Few(few) => Either::Few(few.iter_mut().map(second as fn(&mut (Value, Value)) -> &mut Value)),
            Entries::Many(many) => Either::Many(many.values_mut()),
        }
    }

    /// Entries with text keys, in order; other keys are passed over.
    pub fn text_entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.iter().filter_map(|(key, valu)| Some((key.as_str()?, valu)))
    }

    /// The entry at a position.
    pub fn at(&self, indx: usize) -> Option<(&Value, &Value)> {
        match &self.0 {
            Entries::Few(few) => few.get(indx).map(pair),
            Entries::Many(many) => many.get_index(indx),
        }
    }

    /// Sets every entry of another map.
    pub fn update(&mut self, other: &Map) {
        for (key, valu) in other.iter() {
            self.put(key.clone(), valu.clone());
        }
    }

    /// Keeps the entries for which the predicate holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Value, &Value) -> bool) {
        match &mut self.0 {
            Entries::Few(few) => few.retain(|(key, valu)| keep(key, valu)),
            Entries::Many(many) => many.retain(|key, valu| keep(key, valu)),
        }
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        match &mut self.0 {
            Entries::Few(few) => few.clear(),
            Entries::Many(many) => many.clear(),
        }
    }
}

fn pair(entry: &(Value, Value)) -> (&Value, &Value) {
    (&entry.0, &entry.1)
}

fn second(entry: &mut (Value, Value)) -> &mut Value {
    &mut entry.1
}

/// The items of a list or of a hashed map.
pub enum Either<A, B> {
    /// Of a list.
    Few(A),
    /// Of a hashed map.
    Many(B),
}

impl<T, A: Iterator<Item = T>, B: Iterator<Item = T>> Iterator for Either<A, B> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Either::Few(few) => few.next(),
            Either::Many(many) => many.next(),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Either::Few(few) => few.size_hint(),
            Either::Many(many) => many.size_hint(),
        }
    }
}

impl<T, A: DoubleEndedIterator<Item = T>, B: DoubleEndedIterator<Item = T>> DoubleEndedIterator for Either<A, B> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        match self {
            Either::Few(few) => few.next_back(),
            Either::Many(many) => many.next_back(),
        }
    }
}

impl<T, A: ExactSizeIterator<Item = T>, B: ExactSizeIterator<Item = T>> ExactSizeIterator for Either<A, B> {}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = Either<std::vec::IntoIter<(Value, Value)>, indexmap::map::IntoIter<Value, Value>>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Entries::Few(few) => Either::Few(few.into_iter()),
            Entries::Many(many) => Either::Many(many.into_iter()),
        }
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Map {
        let items = items.into_iter();
        let mut map = Map::with_capacity(items.size_hint().0);
        for (key, valu) in items {
            map.put(key.into(), valu.into());
        }
        map
    }
}

impl<K: Into<Value>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Map {
    fn from(items: [(K, V); N]) -> Map {
        items.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_lookup_finds_text_keys_only() {
        let map = Map::new().with("a", 1).with(2, "two").with(Value::from(&b"a"[..]), 3);
        assert_eq!(map.get("a"), Some(&Value::from(1)));
        assert_eq!(map.get_value(&Value::from(2)), Some(&Value::from("two")));
        assert_eq!(map.len(), 3);
    }

    /// Small and large maps do the same: each step is also done on one that has been large from the start.
    #[test]
    fn small_maps_do_as_large_ones() {
        let mut dice = 7u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for _ in 0..300 {
            let (mut small, mut large) = (Map::new(), Map::with_capacity(100));
            assert!(matches!((&small.0, &large.0), (Entries::Few(_), Entries::Many(_))));
            for _ in 0..roll(40) {
                let key = match roll(3) {
                    0 => Value::from(roll(12) as i64),
                    _ => Value::from(format!("k{}", roll(12))),
                };
                let text = key.as_str().unwrap_or("none").to_owned();
                let valu = roll(5) as i64;
                match roll(6) {
                    0 => assert_eq!(small.remove_value(&key), large.remove_value(&key)),
                    1 => assert_eq!(small.remove(&text), large.remove(&text)),
                    2 => assert_eq!(small.get(&text), large.get(&text)),
                    3 if roll(9) == 0 => {
                        small.retain(|_, have| have.as_i64() != Some(valu));
                        large.retain(|_, have| have.as_i64() != Some(valu));
                    }
                    4 => {
                        for map in [&mut small, &mut large] {
                            if let Some(have) = map.get_mut(&text) {
                                *have = Value::from(valu);
                            }
                        }
                    }
                    _ => assert_eq!(small.insert(key.clone(), valu), large.insert(key, valu)),
                }
                assert!(small.iter().eq(large.iter()) && small.iter().rev().eq(large.iter().rev()));
                assert_eq!((small.len(), small.at(3)), (large.len(), large.at(3)));
                assert_eq!(small, large);
                assert!(small.keys().eq(large.keys()) && small.values().eq(large.values()));
            }
            let turned: Map = small.iter().rev().map(|(key, valu)| (key.clone(), valu.clone())).collect();
            assert_eq!(turned, small, "the order does not count");
            assert!(small.clone().into_iter().eq(large.into_iter()));
            if let Some((key, _)) = small.at(0) {
                assert_ne!(turned.with(key.clone(), "other"), small);
            }
        }
    }
}
