//! The Storm language as text: lexer, parser, syntax tree, formatter, highlighter. It knows no database.
//!
//! # For the runtime
//! - [`parse_query`] gives an `Arc<Query>`; `query.ops` are run in order over the node stream.
//! - [`parse_lookup`] is for the modes `lookup`, `autoadd` and `search`; [`parse_eval`] parses a single value;
//!   [`parse_cmdrargs`] splits command lines that may hold queries.
//! - Edits stand in `ops` one by one, without their square brackets; `( … )` in an edit is [`Edit::Parens`].
//! - [`Query::text`] is what a query object shows: all between the braces for `${ … }`, first to last token for `{ … }`.
//! - `$x.name` has the key as a constant, `$x.$name` as [`ValueKind::Var`]; `:$var` and `.$var` are in [`RelProp`].
//! - `(a, b)` is [`ValueKind::List`], `($a)` and `(1 + 2)` are [`ValueKind::Expr`]; numbers are only numbers inside of an
//!   expression, elsewhere `1` is the text `1`. [`Const::Int`] is decimal text, [`Const::Number`] is as written.
//! - Options of commands and their `=value` are two arguments.
//! - Spans are byte offsets; `query.source.locate(span)` gives the `lines`, `columns` and `offsets` of `highlight`
//!   (the runtime adds `hash`, the MD5 of the text).
//! - A [`SyntaxError`] becomes `BadSyntax` with `at`, `text`, `mesg`, `line`, `column`, `token` and `highlight`. With
//!   `too_deep` the text may be sound, but is nested deeper than this parser goes.
//!
//! # Invariants
//! - No text makes the parser panic or recurse without bound: nesting and chains of operators have limits.
//! - A kind of token wins by place and precedence (`lexer`), never by what would make the rest of the text fit.
//!
//! # Not here
//! Names of characters in escapes (`"\N{…}"`) are refused with an error. Lone surrogates written as escapes become U+FFFD.
#![forbid(unsafe_code)]

pub mod ast;
mod error;
mod format;
mod highlight;
mod kinds;
mod lexer;
mod modes;
mod parser;
mod source;

use std::sync::Arc;

pub use ast::*;
pub use error::SyntaxError;
pub use format::format_query;
pub use highlight::{TokenClass, highlight};
pub use source::{Location, Source, Span};

/// Parse a query.
pub fn parse_query(text: &str) -> Result<Arc<Query>, Box<SyntaxError>> {
    parser::query(&Arc::new(Source::new(text)))
}

/// Parse the text of the modes `lookup`, `autoadd` and `search`: words, then perhaps `|` and a query.
pub fn parse_lookup(text: &str) -> Result<Lookup, Box<SyntaxError>> {
    parser::lookup(&Arc::new(Source::new(text)))
}

/// Parse a single value.
pub fn parse_eval(text: &str) -> Result<Value, Box<SyntaxError>> {
    parser::eval(&Arc::new(Source::new(text)))
}

/// Split a command line that may hold queries in braces.
pub fn parse_cmdrargs(text: &str) -> Result<Vec<String>, Box<SyntaxError>> {
    parser::cmdrargs(&Arc::new(Source::new(text)))
}

/// Parse a query that may be broken: the operators that can be read, and all that is wrong. Without errors the query is
/// the one of [`parse_query`].
pub fn parse_with_diagnostics(text: &str) -> (Arc<Query>, Vec<SyntaxError>) {
    let source = Arc::new(Source::new(text));
    match parser::query(&source) {
        Ok(query) => (query, Vec::new()),
        Err(first) => {
            let found = parser::recover(&source);
            let errors = if found.errors.is_empty() { vec![*first] } else { found.errors };
            (Arc::new(found.query), errors)
        }
    }
}
