//! Query text and positions in it.
//!
//! Every tree keeps its text alive through one `Arc<Source>`; a [`Span`] is a pair of byte offsets into it. Users and
//! error messages count characters and lines, so [`Source::locate`] turns a span into those on demand.

use std::fmt;
use std::sync::Arc;

/// A half-open range of byte offsets into a query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset past the last byte.
    pub end: u32,
}

impl Span {
    /// A span from two byte offsets.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// A span the way error information counts it: lines and columns from one, offsets in characters from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// First and last line.
    pub lines: (usize, usize),
    /// Column of the start and of the end.
    pub columns: (usize, usize),
    /// Character offsets of start and end.
    pub offsets: (usize, usize),
}

/// The text of a query.
#[derive(PartialEq, Eq)]
pub struct Source {
    text: Arc<str>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.text.len())
    }
}

impl Source {
    /// Keep a text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Source { text: text.into() }
    }

    /// The whole text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The text a span covers; empty if the span does not lie in this text.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Lines, columns and character offsets of a span.
    pub fn locate(&self, span: Span) -> Location {
        let (start, sline, scol) = self.point(span.start as usize);
        let (end, eline, ecol) = self.point(span.end as usize);
        Location { lines: (sline, eline), columns: (scol, ecol), offsets: (start, end) }
    }

    /// Character offset, line and column of a byte offset.
    pub fn point(&self, offset: usize) -> (usize, usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (before.chars().count(), line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locates_in_characters_and_lines() {
        let src = Source::new("é\nab c");
        let loc = src.locate(Span::new(4, 5));
        assert_eq!(loc, Location { lines: (2, 2), columns: (2, 3), offsets: (3, 4) });
        assert_eq!(src.slice(Span::new(4, 5)), "b");
        assert_eq!(src.slice(Span::new(1, 2)), "", "not on a character border");
    }
}
