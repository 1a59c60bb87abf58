//! What is wrong with a text.

use std::fmt;
use std::sync::Arc;

use crate::source::{Location, Source, Span};

/// Why a text is not Storm. The runtime reports it as `BadSyntax`.
#[derive(Clone, Debug)]
pub struct SyntaxError {
    /// What is wrong, in a sentence.
    pub mesg: String,
    /// Where.
    pub span: Span,
    /// The token that does not fit, if the trouble is a token.
    pub token: Option<Arc<str>>,
    /// Which kinds of token would have fitted, sorted.
    pub expected: Vec<&'static str>,
    /// Whether the nesting limit was passed rather than the grammar broken.
    pub too_deep: bool,
    /// Whether the text ends where more is needed; the place is then that of the last token.
    pub at_end: bool,
    /// The whole text.
    pub source: Arc<Source>,
}

impl SyntaxError {
    /// Character offset at which the trouble starts (`at`).
    pub fn at(&self) -> usize {
        self.location().offsets.0
    }

    /// Line, from one.
    pub fn line(&self) -> usize {
        self.location().lines.0
    }

    /// Column, from one.
    pub fn column(&self) -> usize {
        self.location().columns.0
    }

    /// All positions, for the `highlight` of the error information.
    pub fn location(&self) -> Location {
        let mut at = self.source.locate(self.span);
        // The positions of tokens are those that clients know: none has lines at the end of the text, and a token of
        // several lines ends in its last column rather than behind it.
        if self.at_end {
            at.lines.1 -= 1;
        } else if self.token.is_some() && at.lines.0 != at.lines.1 {
            at.columns.1 -= 1;
        }
        at
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mesg)
    }
}

impl std::error::Error for SyntaxError {}
