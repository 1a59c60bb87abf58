//! Laying out a query anew: lines are kept, their indentation follows the brackets, runs of blanks become one.
//!
//! White space means something in Storm, so nothing is ever joined or split, and the result must have the same tokens
//! as the text; if it has not, the text is given back as it was. Formatting twice is formatting once.

use std::sync::Arc;

use crate::error::SyntaxError;
use crate::kinds::Kind;
use crate::lexer::{self, Tok};
use crate::parser;
use crate::source::Source;

const INDENT: usize = 4;

/// Lay out a query. Comments stay where they are.
pub fn format_query(text: &str) -> Result<String, Box<SyntaxError>> {
    let pieces = pieces(text)?;
    let out = layout(text, &pieces);
    let same = pieces_match(text, &pieces, &out);
    Ok(if same { out } else { text.to_string() })
}

/// Tokens and comments in the order of the text.
fn pieces(text: &str) -> Result<Vec<Tok>, Box<SyntaxError>> {
    let source = Arc::new(Source::new(text));
    let mut out = Vec::new();
    let mut pos = 0;
    for tok in parser::tokens(&source)? {
        out.extend(lexer::comments(text, pos, tok.start));
        out.push(tok);
        pos = tok.end;
    }
    out.extend(lexer::comments(text, pos, text.len()));
    Ok(out)
}

fn pieces_match(text: &str, before: &[Tok], out: &str) -> bool {
    let Ok(after) = pieces(out) else { return false };
    after.len() == before.len()
        && after.iter().zip(before).all(|(a, b)| a.kind == b.kind && out[a.start..a.end] == text[b.start..b.end])
}

fn layout(text: &str, pieces: &[Tok]) -> String {
    let mut out = String::with_capacity(text.len());
    // The indentation of the line on which each open bracket stands.
    let mut open: Vec<usize> = Vec::new();
    let mut line_indent = 0;
    let mut pos = 0;
    for (i, tok) in pieces.iter().enumerate() {
        let gap = &text[pos..tok.start];
        let lines = gap.matches('\n').count();
        if i > 0 && lines > 0 {
            out.push_str(if lines > 1 { "\n\n" } else { "\n" });
            line_indent = match open.last() {
                Some(indent) if closes(tok.kind) => *indent,
                Some(indent) => indent + INDENT,
                None => 0,
            };
            out.extend(std::iter::repeat_n(' ', line_indent));
        } else if i > 0 && !gap.is_empty() {
            out.push(' ');
        }
        out.push_str(&text[tok.start..tok.end]);
        if opens(tok.kind) {
            open.push(line_indent);
        } else if closes(tok.kind) {
            open.pop();
        }
        pos = tok.end;
    }
    out
}

fn opens(kind: Kind) -> bool {
    use Kind::*;
    matches!(
        kind,
        LBrace
            | EmbedStart
            | LPar
            | LParTight
            | LBracket
            | ArrayStart
            | EdgeN1Init
            | EdgeAddN1Init
            | EdgeN2Init
            | EdgeN2JoinInit
    )
}

fn closes(kind: Kind) -> bool {
    use Kind::*;
    matches!(kind, RBrace | RPar | RBracket | EdgeN1Fini | EdgeN1JoinFini | EdgeN2Fini | EdgeAddN2Fini)
}
