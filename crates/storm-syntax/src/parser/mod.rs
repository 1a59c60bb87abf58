//! The parser: one function for each construct, one token of look-ahead.
//!
//! Taking a token ([`Parser::bump`]) names the set of kinds that may come next (`modes`), since what a character means
//! depends on where it stands. The sets are those of the language, not of the single function, so a token once found is
//! never read again as something else.

mod cmd;
mod cond;
mod edit;
mod expr;
mod lift;
mod query;
mod text;
mod value;

use std::sync::Arc;

use crate::ast::*;
use crate::error::SyntaxError;
use crate::kinds::{Kind, Set};
use crate::lexer::{self, Tok};
use crate::modes;
use crate::source::{Source, Span};

pub(crate) type Parsed<T> = Result<T, Box<SyntaxError>>;

/// How deep constructs may nest. A level costs up to a few kilobytes of stack.
pub(crate) const MAX_DEPTH: u32 = 200;

/// How many operators or links may follow one another in one value: each makes the tree one level deeper.
pub(crate) const MAX_CHAIN: usize = 1000;

/// How many errors are listed for one text.
const MAX_ERRORS: usize = 100;

pub(crate) struct Parser<'a> {
    src: &'a Arc<Source>,
    text: &'a str,
    cur: Tok,
    prev_start: usize,
    prev_end: usize,
    depth: u32,
    taken: Option<Vec<Tok>>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(src: &'a Arc<Source>, first: Set) -> Parsed<Self> {
        let text: &'a str = src.text();
        let cur = Tok { kind: Kind::End, start: 0, end: 0 };
        let mut parser = Parser { src, text, cur, prev_start: 0, prev_end: 0, depth: 0, taken: None };
        parser.bump(first)?;
        parser.prev_end = 0;
        Ok(parser)
    }

    fn kind(&self) -> Kind {
        self.cur.kind
    }

    fn at(&self, kind: Kind) -> bool {
        self.cur.kind == kind
    }

    fn cur_text(&self) -> &'a str {
        &self.text[self.cur.start..self.cur.end]
    }

    fn cur_span(&self) -> Span {
        Span::new(self.cur.start, self.cur.end)
    }

    /// From `start` to the end of the last token taken.
    fn since(&self, start: usize) -> Span {
        Span::new(start, self.prev_end.max(start))
    }

    fn cur_name(&self) -> Name {
        Name { text: Arc::from(self.cur_text()), span: self.cur_span() }
    }

    /// Take the current token; `next` is what may follow it.
    fn bump(&mut self, next: Set) -> Parsed<Tok> {
        let taken = self.cur;
        (self.prev_start, self.prev_end) = (taken.start, taken.end);
        if let Some(list) = &mut self.taken {
            list.push(taken);
        }
        self.cur = match lexer::next(self.text, taken.end, next) {
            Ok(tok) => tok,
            Err(pos) => return Err(self.no_token(pos, next)),
        };
        Ok(taken)
    }

    fn bump_to(&mut self, next: &[Kind]) -> Parsed<Tok> {
        self.bump(Set::of(next))
    }

    /// Take the current token, which must be of this kind.
    fn expect(&mut self, kind: Kind, next: Set) -> Parsed<Tok> {
        if self.at(kind) { self.bump(next) } else { Err(self.unexpected(Set::of(&[kind]))) }
    }

    fn expect_to(&mut self, kind: Kind, next: &[Kind]) -> Parsed<Tok> {
        self.expect(kind, Set::of(next))
    }

    /// Run a nested construct, unless it is nested too deep.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let mut err = self.error(self.cur_span(), format!("Nested deeper than {MAX_DEPTH} levels"));
            err.too_deep = true;
            return Err(err);
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Refuse a chain of operators or links that grows too long.
    fn check_chain(&self, length: usize) -> Parsed<()> {
        if length < MAX_CHAIN {
            return Ok(());
        }
        let mut err = self.error(self.cur_span(), format!("A value has more than {MAX_CHAIN} operators in a row"));
        err.too_deep = true;
        Err(err)
    }

    fn error(&self, span: Span, mesg: String) -> Box<SyntaxError> {
        Box::new(SyntaxError {
            mesg,
            span,
            token: None,
            expected: Vec::new(),
            too_deep: false,
            at_end: false,
            source: self.src.clone(),
        })
    }

    /// The current token does not fit.
    fn unexpected(&self, expected: Set) -> Box<SyntaxError> {
        self.bad_token(self.cur, expected)
    }

    /// Nothing that may follow is at `pos`: name what stands there.
    fn no_token(&self, pos: usize, expected: Set) -> Box<SyntaxError> {
        let start = match lexer::next(self.text, pos, Set(u128::MAX)) {
            Ok(tok) => return self.bad_token(tok, expected),
            Err(start) => start,
        };
        let end = self.text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
        self.bad_token(Tok { kind: Kind::Space, start, end }, expected)
    }

    fn bad_token(&self, tok: Tok, expected: Set) -> Box<SyntaxError> {
        // The end of the text is reported where the last token begins.
        let at_end = tok.kind == Kind::End;
        let span = if at_end { Span::new(self.prev_start, self.prev_start) } else { Span::new(tok.start, tok.end) };
        let (_, line, column) = self.src.point(span.start as usize);
        let token = &self.text[tok.start..tok.end];
        let mut names: Vec<&'static str> = expected.iter().map(Kind::describe).collect();
        names.sort_unstable();
        names.dedup();
        let found: String = match tok.kind {
            Kind::End => "end of input".into(),
            _ => token.chars().take(40).flat_map(char::escape_debug).collect(),
        };
        let mesg = format!(
            "Found '{found}' at line {line}, column {column}, where one of these may stand: {}",
            names.join(", ")
        );
        let mut err = self.error(span, mesg);
        err.token = Some(Arc::from(token));
        err.expected = names;
        err.at_end = at_end;
        err
    }
}

/// Parse a whole text as a query.
pub(crate) fn query(src: &Arc<Source>) -> Parsed<Arc<Query>> {
    let mut parser = Parser::new(src, modes::OPERS.plus(&[Kind::VBar, Kind::End]))?;
    let mut query = parser.query(Kind::End)?;
    query.text_span = Span::new(0, src.text().len());
    Ok(Arc::new(query))
}

/// What can be made of a text that may be broken.
pub(crate) struct Recovered {
    /// The operators that could be read.
    pub query: Query,
    /// What was wrong, in the order of the text.
    pub errors: Vec<SyntaxError>,
    /// All tokens taken, in the order of the text.
    pub tokens: Vec<Tok>,
}

/// As `query`, but after an error go on behind the next `|` or line break.
pub(crate) fn recover(src: &Arc<Source>) -> Recovered {
    let text: &str = src.text();
    let whole = Span::new(0, text.len());
    let query = Query { ops: Vec::new(), span: whole, text_span: whole, source: src.clone() };
    let mut out = Recovered { query, errors: Vec::new(), tokens: Vec::new() };
    let mut pos = 0;
    while let Err((err, reached)) = recover_from(src, pos, &mut out) {
        out.errors.push(*err);
        match text[reached..].find(['|', '\n']) {
            Some(len) if out.errors.len() < MAX_ERRORS => pos = reached + len + 1,
            _ => break,
        }
    }
    out
}

fn recover_from(src: &Arc<Source>, pos: usize, out: &mut Recovered) -> Result<(), (Box<SyntaxError>, usize)> {
    let text: &str = src.text();
    let cur = Tok { kind: Kind::End, start: pos, end: pos };
    let mut parser = Parser { src, text, cur, prev_start: pos, prev_end: pos, depth: 0, taken: None };
    let first = modes::OPERS.plus(&[Kind::VBar, Kind::End]);
    let mut run = || {
        parser.bump(first)?;
        parser.taken = Some(Vec::new());
        while !parser.at(Kind::End) {
            if parser.at(Kind::VBar) {
                parser.bump(first)?;
            } else {
                parser.oper(&mut out.query.ops)?;
            }
        }
        Ok(())
    };
    let result = run();
    out.tokens.append(&mut parser.taken.take().unwrap_or_default());
    result.map_err(|err: Box<SyntaxError>| {
        let reached = parser.prev_end.max(err.span.start as usize).max(pos);
        (err, reached)
    })
}

/// The tokens of a sound query.
pub(crate) fn tokens(src: &Arc<Source>) -> Parsed<Vec<Tok>> {
    let mut parser = Parser::new(src, modes::OPERS.plus(&[Kind::VBar, Kind::End]))?;
    parser.taken = Some(Vec::new());
    parser.query(Kind::End)?;
    Ok(parser.taken.unwrap_or_default())
}

/// Parse `words | query`.
pub(crate) fn lookup(src: &Arc<Source>) -> Parsed<Lookup> {
    let mut parser = Parser::new(src, modes::LOOK)?;
    let mut tokens = Vec::new();
    while matches!(parser.kind(), Kind::DoubleQuoted | Kind::SingleQuoted | Kind::WhiteWord) {
        tokens.push(parser.text_name()?);
        parser.bump(modes::LOOK)?;
    }
    let mut query = None;
    if parser.at(Kind::VBar) {
        parser.bump(modes::AFTER_LOOK_BAR)?;
        query = Some(Arc::new(parser.query(Kind::End)?));
    }
    Ok(Lookup { tokens, query, source: src.clone() })
}

/// Parse a text as one value.
pub(crate) fn eval(src: &Arc<Source>) -> Parsed<Value> {
    let mut parser = Parser::new(src, modes::VALUE)?;
    let value = parser.value()?;
    if parser.at(Kind::End) { Ok(value) } else { Err(parser.unexpected(Set::of(&[Kind::End]))) }
}

/// Split a command line.
pub(crate) fn cmdrargs(src: &Arc<Source>) -> Parsed<Vec<String>> {
    let first = modes::CMDR.without(Kind::EqTight).without(Kind::End);
    Parser::new(src, first)?.cmdr_args()
}
