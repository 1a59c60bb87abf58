//! Paths: elements, their key in the table of paths, and properties inside an object.
//!
//! Text is split at `/` and nothing else is done to it: a leading slash makes an empty first element.

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

/// The elements of a path, which is text or a list of text.
pub fn elements(path: &Value) -> Result<Vec<String>> {
    let bad = || err!("BadArg", mesg = "A path is a str or a list of str.", path = path.clone());
    match path {
        Value::Str(text) => Ok(split(text)),
        Value::List(items) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(bad)).collect::<Result<_>>()
        }
        _ => Err(bad()),
    }
}

/// The elements of a path given as text.
pub fn split(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

/// The key of a path: its elements with a zero byte between them.
pub fn to_key<P: AsRef<str>>(path: &[P]) -> Vec<u8> {
    let mut key = Vec::new();
    for (indx, part) in path.iter().enumerate() {
        if indx > 0 {
            key.push(0);
        }
        key.extend_from_slice(part.as_ref().as_bytes());
    }
    key
}

/// The elements of a key.
pub fn from_key(key: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(key).split('\0').map(str::to_owned).collect()
}

/// A property inside an object; nothing if any step is missing.
pub fn get_prop<'a, P: AsRef<str>>(item: &'a Value, prop: &[P]) -> Option<&'a Value> {
    prop.iter().try_fold(item, |item, name| item.get(name.as_ref()))
}

fn as_map_mut(valu: &mut Value) -> Result<&mut Map> {
    match valu {
        Value::Map(map) => Ok(std::sync::Arc::make_mut(map)),
        other => {
            let mesg = format!("A property path leads into a {}, which has no properties.", other.kind());
            Err(err!("BadTypeValu", mesg = mesg))
        }
    }
}

/// Sets a property, making the maps on the way. Says whether the object is another now.
pub fn set_prop<P: AsRef<str>>(item: &mut Value, prop: &[P], valu: &Value) -> Result<bool> {
    let map = as_map_mut(item)?;
    match prop {
        [] => Err(err!("BadArg", mesg = "A property path has at least one element.")),
        [name] => {
            if map.get(name.as_ref()).is_some_and(|old| old.py_eq(valu)) {
                return Ok(false);
            }
            map.insert(name.as_ref(), valu.clone());
            Ok(true)
        }
        [name, rest @ ..] => {
            if map.get(name.as_ref()).is_none_or(Value::is_null) {
                map.insert(name.as_ref(), Map::new());
            }
            map.get_mut(name.as_ref()).map_or(Ok(false), |down| set_prop(down, rest, valu))
        }
    }
}

/// Removes a property and returns it. `None` if a step before the last is missing, `Some(None)` if only the last is.
pub fn pop_prop<P: AsRef<str>>(item: &mut Value, prop: &[P]) -> Result<Option<Option<Value>>> {
    let map = as_map_mut(item)?;
    match prop {
        [] => Err(err!("BadArg", mesg = "A property path has at least one element.")),
        [name] => Ok(Some(map.remove(name.as_ref()))),
        [name, rest @ ..] => match map.get_mut(name.as_ref()) {
            None | Some(Value::Null) => Ok(None),
            Some(down) => pop_prop(down, rest),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_and_not_trimmed() {
        assert_eq!(split("/a//b"), ["", "a", "", "b"]);
        assert_eq!(to_key(&["a", "b"]), b"a\0b");
        assert_eq!(from_key(b"a\0b"), ["a", "b"]);
        assert_eq!(elements(&Value::list(["a/b".into(), "c".into()])).expect("a path"), ["a/b", "c"]);
        assert!(elements(&Value::from(3)).is_err());
    }

    #[test]
    fn properties_are_reached_through_maps() {
        let mut item = Value::from(Map::new().with("n", Map::new().with("x", 1)));
        assert!(set_prop(&mut item, &["n", "y", "z"], &Value::from(10)).expect("set"));
        assert!(!set_prop(&mut item, &["n", "y", "z"], &Value::from(10)).expect("set"));
        assert_eq!(get_prop(&item, &["n", "y", "z"]), Some(&Value::from(10)));
        assert_eq!(get_prop(&item, &["n", "newp", "z"]), None);
        assert!(set_prop(&mut item, &["n", "x", "z"], &Value::from(10)).is_err());
        assert_eq!(pop_prop(&mut item, &["newp", "x"]).expect("pop"), None);
        assert_eq!(pop_prop(&mut item, &["n", "newp"]).expect("pop"), Some(None));
        assert_eq!(pop_prop(&mut item, &["n", "x"]).expect("pop"), Some(Some(Value::from(1))));
        assert_eq!(get_prop(&item, &["n", "x"]), None);
    }
}
