//! A map that keeps the order in which its keys came.

use indexmap::{Equivalent, IndexMap};

use crate::Value;

/// Keys and values in order of insertion. Keys are nearly always text; any value is allowed, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(IndexMap<Value, Value, foldhash::fast::RandomState>);

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

impl Map {
    /// An empty map.
    pub fn new() -> Map {
        Map::default()
    }

    /// An empty map with room for so many entries.
    pub fn with_capacity(size: usize) -> Map {
        Map(IndexMap::with_capacity_and_hasher(size, Default::default()))
    }

    /// Sets a key in place, or at the end when it is new. Returns the value it had.
    pub fn insert(&mut self, key: impl Into<Value>, valu: impl Into<Value>) -> Option<Value> {
        self.0.insert(key.into(), valu.into())
    }

    /// The same map with one more entry, for building in one expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<Value>, valu: impl Into<Value>) -> Map {
        self.insert(key, valu);
        self
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&TextKey(key))
    }

    /// The value under any key.
    pub fn get_value(&self, key: &Value) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value under a text key, to change in place.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(&TextKey(key))
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
        self.0.contains_key(&TextKey(key))
    }

    /// Removes a text key, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(&TextKey(key))
    }

    /// Removes any key, keeping the order of the others.
    pub fn remove_value(&mut self, key: &Value) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        self.0.iter()
    }

    /// Keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.0.keys()
    }

    /// Values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.0.values()
    }

    /// Values in order, to change in place.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Value> + ExactSizeIterator {
        self.0.values_mut()
    }

    /// Entries with text keys, in order; other keys are passed over.
    pub fn text_entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter_map(|(key, valu)| Some((key.as_str()?, valu)))
    }

    /// The entry at a position.
    pub fn at(&self, indx: usize) -> Option<(&Value, &Value)> {
        self.0.get_index(indx)
    }

    /// Sets every entry of another map.
    pub fn update(&mut self, other: &Map) {
        for (key, valu) in other.iter() {
            self.0.insert(key.clone(), valu.clone());
        }
    }

    /// Keeps the entries for which the predicate holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Value, &Value) -> bool) {
        self.0.retain(|key, valu| keep(key, valu));
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = indexmap::map::IntoIter<Value, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Map {
        Map(items.into_iter().map(|(key, valu)| (key.into(), valu.into())).collect())
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
}
