#![forbid(unsafe_code)]
//! The one error type of the platform.
//!
//! An [`Error`] is a name from the reference's list ([`names`]), a map of info keys which clients and queries read, and
//! the source that caused it. It crosses every border in that form: as `[name, info]` on the wire, as an `err` message of
//! a query, as a JSON object over HTTP. The text under `mesg` is ours and tells the user what to do next.
//!
//! ```
//! use myelin_error::{Result, err};
//!
//! fn half(valu: i64) -> Result<i64> {
//!     if valu % 2 != 0 {
//!         return Err(err!("BadArg", mesg = format!("{valu} is odd: give an even number"), valu = valu));
//!     }
//!     Ok(valu / 2)
//! }
//! assert!(half(3).is_err_and(|error| error.is("BadArg") && error.isa("SynErr")));
//! ```

mod from;
mod names;

use std::borrow::Cow;
use std::fmt;

use myelin_value::{Map, Value};

pub use names::{is_known, parent_of};

/// The result of anything that can fail in the platform's own terms.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: a name, info keys, a source. One pointer wide, since most results are good ones.
pub struct Error(Box<Inner>);

struct Inner {
    name: Cow<'static, str>,
    info: Map,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a name from the platform's list and no info yet.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner { name: name.into(), info: Map::new(), source: None }))
    }

    /// An error with a name and its message.
    pub fn mesg(name: impl Into<Cow<'static, str>>, mesg: impl Into<String>) -> Error {
        Error::new(name).with("mesg", mesg.into())
    }

    /// Something the platform has and this build has not, named for the user.
    pub fn not_supported(what: impl fmt::Display) -> Error {
        Error::mesg("FeatureNotSupported", format!("{what} is not available in this build of Myelin."))
    }

    /// The same error with one more info key (or that key replaced).
    #[must_use]
    pub fn with(mut self, key: &str, valu: impl Into<Value>) -> Error {
        self.0.info.insert(key, valu);
        self
    }

    /// The same error with an info key set unless it is there.
    #[must_use]
    pub fn with_default(mut self, key: &str, valu: impl Into<Value>) -> Error {
        if !self.0.info.contains(key) {
            self.0.info.insert(key, valu);
        }
        self
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// The same error under another name.
    #[must_use]
    pub fn renamed(mut self, name: impl Into<Cow<'static, str>>) -> Error {
        self.0.name = name.into();
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The info keys.
    pub fn info(&self) -> &Map {
        &self.0.info
    }

    /// The info keys, to change.
    pub fn info_mut(&mut self) -> &mut Map {
        &mut self.0.info
    }

    /// One info key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.info.get(key)
    }

    /// The message, or nothing when there is none.
    pub fn message(&self) -> &str {
        self.0.info.get_str("mesg").unwrap_or_default()
    }

    /// Whether this is exactly that error.
    pub fn is(&self, name: &str) -> bool {
        self.0.name == name
    }

    /// Whether this is that error or one of its descendants in the reference's hierarchy.
    pub fn isa(&self, name: &str) -> bool {
        let mut at = Some(self.name());
        while let Some(here) = at {
            if here == name {
                return true;
            }
            at = parent_of(here);
        }
        false
    }

    /// The form on the wire: `[name, info]`.
    pub fn pack(&self) -> Value {
        Value::list([Value::from(self.name()), Value::from(self.0.info.clone())])
    }

    /// Reads the form on the wire. Anything else becomes a `SynErr` that says so.
    pub fn unpack(valu: &Value) -> Error {
        match (valu.at(0).and_then(Value::as_str), valu.at(1).and_then(Value::as_map)) {
            (Some(name), Some(info)) => {
                let mut error = Error::new(name.to_owned());
                error.0.info = info.clone();
                error
            }
            (Some(name), None) => Error::new(name.to_owned()),
            _ => Error::mesg("SynErr", format!("The peer sent an error that is none: {valu:?}")),
        }
    }
}

impl Clone for Error {
    /// The source stays behind: it cannot be cloned, and its text is what a second reader needs.
    fn clone(&self) -> Error {
        let source = self.0.source.as_ref().map(|source| source.to_string().into());
        Error(Box::new(Inner { name: self.0.name.clone(), info: self.0.info.clone(), source }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mesg = self.message();
        if !mesg.is_empty() {
            write!(f, ": {mesg}")?;
        }
        for (key, valu) in self.0.info.text_entries().filter(|(key, _)| *key != "mesg") {
            write!(f, " {key}={valu:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.0.source {
            Some(source) => write!(f, " (caused by: {source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// An [`Error`] from a name and info keys: `err!("NoSuchForm", mesg = "…", name = form)`.
#[macro_export]
macro_rules! err {
    ($name:expr $(, $key:ident = $valu:expr)* $(,)?) => {
        $crate::Error::new($name)$(.with(stringify!($key), $valu))*
    };
}

/// Returns early with an [`Error`] made as [`err!`] makes it.
#[macro_export]
macro_rules! bail {
    ($($args:tt)*) => {
        return Err($crate::err!($($args)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_the_wire_whole() {
        let error = err!("NoSuchName", mesg = "no such name", name = "woot");
        let back = Error::unpack(&error.pack());
        assert_eq!(
            (back.name(), back.get("name"), back.message()),
            ("NoSuchName", Some(&Value::from("woot")), "no such name")
        );
        assert!(Error::unpack(&Value::from(3)).is("SynErr"));
    }

    #[test]
    fn descent_is_the_references() {
        assert!(Error::new("IsReadOnly").isa("SynErr"));
        assert!(Error::new("StormVarListError").isa("StormRuntimeError"));
        assert!(!Error::new("BadArg").isa("StormRuntimeError"));
        assert!(!Error::new("NotAPlatformError").isa("SynErr"));
    }
}
