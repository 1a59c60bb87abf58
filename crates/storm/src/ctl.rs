//! How an operator ends early: with an error, or with one of Storm's control signals.
//!
//! [`Flow`] is the result type of everything that runs inside a query. A [`Ctl`] is either an [`Error`] or a signal.
//! One signal is special: [`Ctrl::Emit`] is *resumable*. Every iterator keeps its state in itself, so after an emit
//! travelled up to the generator that asked, the next `next()` goes on behind it. Operators only have to pass signals
//! up with `?` and never throw state away before they call their input.

use myelin_error::{Error, err};

use crate::item::Item;
use crate::node::NodePath;
use myelin_storm_syntax::{Query, Span};

/// The result of what runs inside a query.
pub type Flow<T> = Result<T, Ctl>;

/// Why an operator ended early.
pub enum Ctl {
    /// Something went wrong.
    Err(Error),
    /// A control signal.
    Ctrl(Box<Ctrl>),
}

/// Storm's control signals.
pub enum Ctrl {
    /// `return(…)`.
    Return(Item),
    /// `break`, with the node that was in the pipe and where the statement stands.
    Break(Option<NodePath>, Span),
    /// `continue`, likewise.
    Continue(Option<NodePath>, Span),
    /// `stop`.
    Stop(Span),
    /// A command that printed its usage: the query ends quietly.
    Exit,
    /// `emit …`, resumable.
    Emit(Item),
    /// The query was cancelled.
    Cancelled,
}

impl Ctl {
    /// `return(…)` with a value.
    pub fn ret(item: Item) -> Ctl {
        Ctl::Ctrl(Box::new(Ctrl::Return(item)))
    }

    /// The quiet end of a query.
    pub fn exit() -> Ctl {
        Ctl::Ctrl(Box::new(Ctrl::Exit))
    }

    /// The end of a cancelled query.
    pub fn cancelled() -> Ctl {
        Ctl::Ctrl(Box::new(Ctrl::Cancelled))
    }

    /// The error, when it is one.
    pub fn err(&self) -> Option<&Error> {
        match self {
            Ctl::Err(error) => Some(error),
            Ctl::Ctrl(_) => None,
        }
    }

    /// Whether it is the error of that name or of a descendant.
    pub fn isa(&self, name: &str) -> bool {
        self.err().is_some_and(|error| error.isa(name))
    }

    /// The error a client sees: signals that nobody caught become errors too. `None` for a quiet end.
    pub fn into_error(self) -> Option<Error> {
        self.into_error_of(None)
    }

    /// As [`Ctl::into_error`], with the place of a statement that has no business where it stands.
    pub fn into_error_of(self, query: Option<&Query>) -> Option<Error> {
        let ctrl = match self {
            Ctl::Err(error) => return Some(error),
            Ctl::Ctrl(ctrl) => *ctrl,
        };
        let stray = |error: Error, span: Span| match query {
            Some(query) => Some(error.with("highlight", crate::rt::highlight(query, span))),
            None => Some(error),
        };
        match ctrl {
            Ctrl::Break(_, span) => stray(loop_error("break"), span),
            Ctrl::Continue(_, span) => stray(loop_error("continue"), span),
            Ctrl::Stop(span) => {
                let mesg = "Generator control statement \"stop\" used outside of a generator function.";
                stray(err!("StormRuntimeError", mesg = mesg, statement = "stop"), span)
            }
            Ctrl::Return(_) | Ctrl::Exit => None,
            Ctrl::Emit(_) => Some(emit_error()),
            Ctrl::Cancelled => Some(Error::mesg("TaskCancelled", "The query was cancelled.")),
        }
    }
}

fn loop_error(statement: &'static str) -> Error {
    let mesg = format!("Loop control statement \"{statement}\" used outside of a loop.");
    err!("StormRuntimeError", mesg = mesg, statement = statement)
}

/// The error of an `emit` that no generator function waits for.
pub fn emit_error() -> Error {
    Error::mesg("StormRuntimeError", "Cannot emit from outside of an emitter function")
}

impl From<Error> for Ctl {
    fn from(error: Error) -> Ctl {
        Ctl::Err(error)
    }
}

impl From<Ctrl> for Ctl {
    fn from(ctrl: Ctrl) -> Ctl {
        Ctl::Ctrl(Box::new(ctrl))
    }
}

impl std::fmt::Debug for Ctl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ctl::Err(error) => write!(f, "{error:?}"),
            Ctl::Ctrl(ctrl) => f.write_str(match &**ctrl {
                Ctrl::Return(_) => "return",
                Ctrl::Break(..) => "break",
                Ctrl::Continue(..) => "continue",
                Ctrl::Stop(_) => "stop",
                Ctrl::Exit => "exit",
                Ctrl::Emit(_) => "emit",
                Ctrl::Cancelled => "cancelled",
            }),
        }
    }
}

/// Returns early from a [`Flow`] function with an error made as [`myelin_error::err!`] makes it.
#[macro_export]
macro_rules! fail {
    ($($args:tt)*) => {
        return Err($crate::Ctl::Err(myelin_error::err!($($args)*)))
    };
}
