//! One event, and its entry in the log: msgpack `[nexsiden, event, args, kwargs, meta]`.

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, msgpack};

/// A change to a service's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose event it is: a cell, `auth:auth`, a view, a layer.
    pub nexsiden: String,
    /// The event's name.
    pub name: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Named arguments.
    pub kwargs: Map,
    /// Empty for a leader's own change, `{"resp": iden}` for one forwarded by a mirror.
    pub meta: Map,
}

static NULL: Value = Value::Null;

impl Event {
    /// An argument by position and name: a caller may send it either way. Null if it did not.
    pub fn arg(&self, indx: usize, name: &str) -> &Value {
        self.args.get(indx).or_else(|| self.kwargs.get(name)).unwrap_or(&NULL)
    }

    /// Whether an argument was sent.
    pub fn has_arg(&self, indx: usize, name: &str) -> bool {
        indx < self.args.len() || self.kwargs.contains(name)
    }

    /// An argument that must be text.
    pub fn str_arg(&self, indx: usize, name: &str) -> Result<&str> {
        self.arg(indx, name).as_str().ok_or_else(|| self.bad_arg(name, "a str"))
    }

    /// An argument that must be text or null.
    pub fn opt_str_arg(&self, indx: usize, name: &str) -> Result<Option<&str>> {
        if self.arg(indx, name).is_null() { Ok(None) } else { self.str_arg(indx, name).map(Some) }
    }

    /// An argument that must be an integer.
    pub fn int_arg(&self, indx: usize, name: &str) -> Result<i64> {
        self.arg(indx, name).as_i64().ok_or_else(|| self.bad_arg(name, "an int"))
    }

    /// An argument that must be a map.
    pub fn map_arg(&self, indx: usize, name: &str) -> Result<&Map> {
        self.arg(indx, name).as_map().ok_or_else(|| self.bad_arg(name, "a dict"))
    }

    /// An argument that must be a list.
    pub fn list_arg(&self, indx: usize, name: &str) -> Result<&[Value]> {
        self.arg(indx, name).as_list().ok_or_else(|| self.bad_arg(name, "a list"))
    }

    fn bad_arg(&self, name: &str, kind: &str) -> Error {
        let mesg = format!("The argument {name} of the event {} must be {kind}.", self.name);
        err!("BadArg", mesg = mesg, name = name, event = &self.name)
    }

    /// The entry of the log.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        pack_entry(&mut out, &self.nexsiden, &self.name, |out| {
            msgpack::write_array_len(out, self.args.len());
            for arg in &self.args {
                msgpack::encode_into(out, arg);
            }
            msgpack::write_map_len(out, self.kwargs.len());
            for (key, valu) in self.kwargs.iter() {
                msgpack::encode_into(out, key);
                msgpack::encode_into(out, valu);
            }
        });
        if !self.meta.is_empty() {
            // The empty meta is the last byte.
            out.pop();
            msgpack::encode_into(&mut out, &Value::from(self.meta.clone()));
        }
        out
    }

    /// Reads an entry of the log.
    pub fn unpack(entry: &Value) -> Result<Event> {
        let bad = || err!("BadCoreStore", mesg = "An entry of the nexus log is no event.");
        let (nexsiden, name) = (entry.at(0).and_then(Value::as_str), entry.at(1).and_then(Value::as_str));
        let (args, kwargs) = (entry.at(2).and_then(Value::as_list), entry.at(3).and_then(Value::as_map));
        let (Some(nexsiden), Some(name), Some(args), Some(kwargs)) = (nexsiden, name, args, kwargs) else {
            return Err(bad());
        };
        Ok(Event {
            nexsiden: nexsiden.to_owned(),
            name: name.to_owned(),
            args: args.to_vec(),
            kwargs: kwargs.clone(),
            meta: entry.at(4).and_then(Value::as_map).cloned().unwrap_or_default(),
        })
    }
}

/// Writes the entry of a leader's own change. `args` writes the array of positional arguments and the map of named ones.
pub fn pack_entry(out: &mut Vec<u8>, nexsiden: &str, event: &str, args: impl FnOnce(&mut Vec<u8>)) {
    msgpack::write_array_len(out, 5);
    msgpack::write_str(out, nexsiden.as_bytes());
    msgpack::write_str(out, event.as_bytes());
    args(out);
    msgpack::write_map_len(out, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_references_bytes() {
        let iden = "1".repeat(32);
        let event = Event {
            nexsiden: iden.clone(),
            name: "cell:vers:set".into(),
            args: vec!["cortex:defaults".into(), 2.into()],
            kwargs: Map::new(),
            meta: Map::new(),
        };
        let want = [&[0x95, 0xd9, 0x20][..], iden.as_bytes(), b"\xadcell:vers:set\x92\xafcortex:defaults\x02\x80\x80"]
            .concat();
        assert_eq!(event.pack(), want);
        let resp = Event { meta: Map::new().with("resp", "x"), ..event };
        let back = Event::unpack(&msgpack::decode(&resp.pack()).expect("msgpack")).expect("an event");
        assert_eq!(back, resp);
    }
}
