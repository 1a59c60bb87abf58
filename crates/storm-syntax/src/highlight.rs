//! Classes of tokens, for editors and the command line.
//!
//! Broken text is coloured as far as it can be read; what cannot is left out, and the reader shows it plain.

use std::sync::Arc;

use crate::kinds::Kind;
use crate::lexer::{self, Tok};
use crate::parser;
use crate::source::{Source, Span};

/// What a token is to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenClass {
    /// A comment.
    Comment,
    /// A word of the language.
    Keyword,
    /// A command.
    Command,
    /// An option of a command.
    Option,
    /// A form or property.
    Property,
    /// A tag or its `#`.
    Tag,
    /// A variable or key.
    Variable,
    /// A quoted text.
    Text,
    /// A bare word.
    Word,
    /// A number.
    Number,
    /// An operator.
    Operator,
    /// A bracket, brace, parenthesis or separator.
    Punctuation,
}

/// The spans and classes of all tokens and comments, in the order of the text and without overlap.
pub fn highlight(text: &str) -> Vec<(Span, TokenClass)> {
    let source = Arc::new(Source::new(text));
    let found = parser::recover(&source);
    let mut out = Vec::new();
    let mut pos = 0;
    for tok in found.tokens.iter().filter(|tok| tok.end > tok.start) {
        comments(text, pos, tok.start, &mut out);
        out.push((Span::new(tok.start, tok.end), class(*tok, text)));
        pos = tok.end;
    }
    comments(text, pos, text.len(), &mut out);
    out
}

fn comments(text: &str, pos: usize, end: usize, out: &mut Vec<(Span, TokenClass)>) {
    let found = lexer::comments(text, pos, end).into_iter().filter(|tok| tok.end <= end);
    out.extend(found.map(|tok| (Span::new(tok.start, tok.end), TokenClass::Comment)));
}

fn class(tok: Tok, text: &str) -> TokenClass {
    use Kind::*;
    match tok.kind {
        CmdName => TokenClass::Command,
        CmdOpt => TokenClass::Option,
        Prop | WildProp | EmbedProp | RelName | ExprRelName | UnivName | ExprUnivName | BaseProp => {
            TokenClass::Property
        }
        HashTight | HashSpaced | MatchHash | MatchHashWild | AllTags | TagSeg | ExprTagSeg | WildTagSeg => {
            TokenClass::Tag
        }
        VarName | ExprVarName if !text[tok.start..].starts_with(['"', '\'']) => TokenClass::Variable,
        VarName | ExprVarName | DoubleQuoted | SingleQuoted | TripleQuoted | FormatText | BackQuote => TokenClass::Text,
        Dollar | ColonDollar => TokenClass::Variable,
        BareWord | ListWord | CaseWord | MultiCaseWord | WhiteWord | CmdrWord => TokenClass::Word,
        Number | OctNumber | HexNumber => TokenClass::Number,
        Bool | Null | Continue | Return | Break | Stop | Emit | Empty | Else | Fini | Init | ExprNot | And | Or
        | Yield | Reverse => TokenClass::Keyword,
        kind if kind.is_keyword() => TokenClass::Keyword,
        LBrace | RBrace | LPar | LParTight | RPar | LBracket | RBracket | RBracketTight | Comma | CommaTight
        | CommaSpace | Dot | Colon | ColonTight | ExprColonTight | EmbedStart => TokenClass::Punctuation,
        _ => TokenClass::Operator,
    }
}
