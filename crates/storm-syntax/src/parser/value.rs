//! Values outside of expressions: variables and what is derefed or called behind them, properties, tags, quoted texts,
//! lists and the parentheses that may turn out to be a list or an expression.

use std::sync::Arc;

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes::{self, VALUE};
use crate::source::Span;

/// What may stand behind a variable or group, which differs a little by place.
#[derive(Clone, Copy)]
pub(super) struct Links {
    /// After a name, key or call.
    pub next: Set,
    /// After a group `(expr)`.
    pub group: Set,
    /// The kind of a key.
    pub key: Kind,
    /// After the dot.
    pub dot: Set,
    /// Whether a group behind the dot is of the same flavour (else it is one of a plain value).
    pub inner: bool,
}

const DOT: Set = Set::of(&[Kind::VarName, Kind::BackQuote, Kind::Dollar, Kind::LPar]);

pub(super) const VALUE_LINKS: Links =
    Links { next: modes::AFTER_VAR, group: modes::AFTER_GROUP, key: Kind::VarName, dot: DOT, inner: false };

pub(super) const EXPR_LINKS: Links =
    Links { next: modes::AFTER_EXPR_VAR, group: modes::AFTER_EXPR_VAR, key: Kind::VarName, dot: DOT, inner: false };

/// Behind a group inside of an expression.
pub(super) const GROUP_LINKS: Links = Links {
    next: modes::AFTER_EXPR_VAR,
    group: modes::AFTER_EXPR_VAR,
    key: Kind::ExprVarName,
    dot: Set::of(&[Kind::ExprVarName, Kind::BackQuote, Kind::Dollar, Kind::LPar]),
    inner: true,
};

/// Behind `:prop*$var`.
pub(super) const COND_SET_LINKS: Links = Links {
    next: modes::AFTER_COND_SET_VAR,
    group: modes::AFTER_COND_SET_VAR,
    key: Kind::VarName,
    dot: Set::of(&[Kind::VarName, Kind::Dollar, Kind::LPar]),
    inner: true,
};

/// Arguments by position and by name.
pub(super) type CallArgs = (Vec<Value>, Vec<(Name, Value)>);

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Parsed<Value> {
        self.nested(|parser| {
            let start = parser.cur.start;
            match parser.kind() {
                Kind::Dollar => {
                    parser.bump_to(&[Kind::VarName, Kind::LPar])?;
                    match parser.kind() {
                        Kind::LPar => parser.group(start, VALUE_LINKS),
                        _ => parser.var_chain(VALUE_LINKS),
                    }
                }
                Kind::LPar => parser.list_or_group(VALUE_LINKS),
                Kind::LBrace => {
                    let query = parser.value_block()?;
                    Ok(Value { kind: ValueKind::SubQuery(query), span: parser.since(start) })
                }
                _ => parser.plain_value(),
            }
        })
    }

    fn plain_value(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        let kind = match self.kind() {
            Kind::RelName | Kind::ColonDollar => ValueKind::PropValue(self.rel_prop(modes::AFTER_TEXT)?),
            Kind::UnivName | Kind::Dot => ValueKind::PropValue(self.univ_prop(modes::AFTER_UNIV)?),
            Kind::HashTight | Kind::HashSpaced => return self.tag_value(),
            Kind::TripleQuoted | Kind::DoubleQuoted | Kind::SingleQuoted => {
                let value = self.text_const()?;
                self.bump(modes::AFTER_TEXT)?;
                return Ok(value);
            }
            Kind::BareWord => {
                let value = self.raw_const();
                self.bump(modes::AFTER_WORD)?;
                return Ok(value);
            }
            Kind::BackQuote => return self.format_string(),
            Kind::EmbedStart => return self.embed_query(),
            _ => return Err(self.unexpected(VALUE)),
        };
        Ok(Value { kind, span: self.since(start) })
    }

    fn tag_value(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        let spaced = self.at(Kind::HashSpaced);
        let tag = self.tag()?;
        let kind = if self.at(Kind::ColonTight) {
            let next = if spaced { modes::AFTER_TAG_PROP } else { modes::AFTER_UNIV };
            ValueKind::TagPropValue(self.tag_prop_rest(tag, next)?)
        } else {
            ValueKind::TagValue(tag)
        };
        Ok(Value { kind, span: self.since(start) })
    }

    /// `$name…` with the `$` at hand.
    pub(super) fn var_value(&mut self) -> Parsed<Value> {
        self.expect_to(Kind::Dollar, &[Kind::VarName])?;
        self.var_chain(VALUE_LINKS)
    }

    /// A variable with the `$` already taken, and all behind it.
    pub(super) fn var_chain(&mut self, links: Links) -> Parsed<Value> {
        let name = self.text_name()?;
        self.bump(links.next)?;
        self.links(Value { kind: ValueKind::Var(name.text), span: name.span }, links)
    }

    /// What is derefed from `base` or called.
    pub(super) fn links(&mut self, mut base: Value, links: Links) -> Parsed<Value> {
        for count in 0.. {
            self.check_chain(count)?;
            match self.kind() {
                Kind::LParTight => {
                    let (args, kwargs) = self.call_args(links.next)?;
                    base = self.call(base, args, kwargs);
                }
                Kind::Dot => {
                    self.bump(links.dot)?;
                    let key = self.deref_key(links.key, links.next, links.inner)?;
                    let span = self.since(base.span.start as usize);
                    base = Value { kind: ValueKind::Deref { base: Box::new(base), name: Box::new(key) }, span };
                }
                _ => break,
            }
        }
        Ok(base)
    }

    pub(super) fn call(&self, func: Value, args: Vec<Value>, kwargs: Vec<(Name, Value)>) -> Value {
        let span = self.since(func.span.start as usize);
        Value { kind: ValueKind::Call(Box::new(Call { func, args, kwargs })), span }
    }

    /// The key behind a dot.
    pub(super) fn deref_key(&mut self, name: Kind, next: Set, inner: bool) -> Parsed<Value> {
        let start = self.cur.start;
        match self.kind() {
            Kind::BackQuote => return self.format_string(),
            Kind::Dollar => {
                self.bump_to(&[name, Kind::LPar])?;
                if !self.at(Kind::LPar) {
                    let var = self.text_name()?;
                    self.expect(name, next)?;
                    return Ok(Value { kind: ValueKind::Var(var.text), span: var.span });
                }
            }
            Kind::LPar => {}
            _ => {
                let value = self.text_const()?;
                self.expect(name, next)?;
                return Ok(value);
            }
        }
        let after = if inner { next } else { modes::AFTER_GROUP };
        self.group_only(start, after)
    }

    /// `(expr)` with the parenthesis at hand, and all behind it.
    pub(super) fn group(&mut self, start: usize, links: Links) -> Parsed<Value> {
        let value = self.group_only(start, links.group)?;
        self.links(value, links)
    }

    fn group_only(&mut self, start: usize, next: Set) -> Parsed<Value> {
        self.expect(Kind::LPar, modes::EXPR)?;
        let expr = self.expr(None)?;
        self.expect(Kind::RPar, next)?;
        Ok(Value { kind: ValueKind::Expr(Box::new(expr)), span: self.since(start) })
    }

    /// The arguments of a call, with the parenthesis at hand.
    pub(super) fn call_args(&mut self, next: Set) -> Parsed<CallArgs> {
        self.expect(Kind::LParTight, modes::CALL_FIRST)?;
        let mut args = Vec::new();
        let mut kwargs: Vec<(Name, Value)> = Vec::new();
        if self.at(Kind::Comma) {
            self.bump_to(&[Kind::RPar])?;
        }
        while !self.at(Kind::RPar) {
            self.call_arg(&mut args, &mut kwargs)?;
            if !self.at(Kind::Comma) {
                break;
            }
            self.bump(modes::CALL_ARG)?;
        }
        self.expect(Kind::RPar, next)?;
        Ok((args, kwargs))
    }

    fn call_arg(&mut self, args: &mut Vec<Value>, kwargs: &mut Vec<(Name, Value)>) -> Parsed<()> {
        let span = self.cur_span();
        let is_word = matches!(self.kind(), Kind::VarName | Kind::BareWord);
        let value = if is_word {
            let value = self.text_const()?;
            self.bump(modes::AFTER_ARG_WORD)?;
            value
        } else {
            self.value()?
        };
        if is_word && matches!(self.kind(), Kind::EqSpaced | Kind::EqTight) {
            let name = Name { text: value.as_str().unwrap_or_default().into(), span };
            self.bump(VALUE)?;
            let value = self.value()?;
            if kwargs.iter().any(|(other, _)| other.text == name.text) {
                return Err(self.error(span, format!("The argument \"{}\" is given twice", name.text)));
            }
            kwargs.push((name, value));
            return Ok(());
        }
        if !kwargs.is_empty() {
            return Err(self.error(span, "An argument without name follows one with a name".into()));
        }
        args.push(value);
        Ok(())
    }

    /// `(`: a list, or an expression.
    pub(super) fn list_or_group(&mut self, links: Links) -> Parsed<Value> {
        self.nested(|parser| parser.list_or_group_rest(links))
    }

    fn list_or_group_rest(&mut self, links: Links) -> Parsed<Value> {
        let start = self.cur.start;
        self.expect(Kind::LPar, modes::PAREN)?;
        let first = match self.kind() {
            Kind::RPar => {
                self.bump(modes::AFTER_LIST)?;
                return Ok(Value { kind: ValueKind::List(Vec::new()), span: self.since(start) });
            }
            Kind::ListWord => {
                let first = self.raw_const();
                self.bump(modes::AFTER_LIST_WORD)?;
                return self.list_rest(start, first);
            }
            Kind::LPar => Some(self.list_or_group(GROUP_LINKS)?),
            Kind::LBrace => Some(self.brace_in_paren()?),
            Kind::DoubleQuoted | Kind::SingleQuoted | Kind::TripleQuoted => {
                let first = self.text_const()?;
                self.bump(modes::AFTER_PAREN_TEXT)?;
                Some(first)
            }
            kind if starts_only_expr(kind) => None,
            _ => Some(self.atom()?),
        };
        if let Some(first) = first {
            let is_list = self.at(Kind::Comma) || matches!(first.kind, ValueKind::List(_) | ValueKind::SubQuery(_));
            if is_list && !matches!(first.kind, ValueKind::ExprDict(_)) {
                return self.list_rest(start, first);
            }
            return self.group_rest(start, Some(first), links);
        }
        self.group_rest(start, None, links)
    }

    fn group_rest(&mut self, start: usize, first: Option<Value>, links: Links) -> Parsed<Value> {
        let expr = self.expr(first)?;
        self.expect(Kind::RPar, links.group)?;
        let value = Value { kind: ValueKind::Expr(Box::new(expr)), span: self.since(start) };
        self.links(value, links)
    }

    /// `({`: a dict if its first token can only start a key, else a query.
    fn brace_in_paren(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        self.bump(modes::PAREN_BRACE)?;
        if self.at(Kind::LBrace) {
            return self.brace_in_brace(start);
        }
        let is_dict = matches!(
            self.kind(),
            Kind::RBrace
                | Kind::ExprUnivName
                | Kind::Bool
                | Kind::Null
                | Kind::Number
                | Kind::OctNumber
                | Kind::HexNumber
                | Kind::ExprRelName
                | Kind::VarName
                | Kind::DoubleQuoted
                | Kind::SingleQuoted
                | Kind::TripleQuoted
                | Kind::EmbedStart
                | Kind::BackQuote
                | Kind::Dot
                | Kind::Dollar
                | Kind::HashTight
                | Kind::HashSpaced
                | Kind::LPar
        );
        if is_dict {
            return self.dict_rest(start, None);
        }
        let query = self.block_rest(modes::AFTER_BLOCK)?;
        Ok(Value { kind: ValueKind::SubQuery(query), span: self.since(start) })
    }

    /// `({{`: as `({`, one level down; what that is decides about this level.
    fn brace_in_brace(&mut self, start: usize) -> Parsed<Value> {
        let inner = self.nested(Self::brace_in_paren)?;
        let ValueKind::SubQuery(query) = inner.kind else { return self.dict_rest(start, Some(inner)) };
        let lead = Oper { kind: OperKind::SubQuery { query, is_yield: false }, span: inner.span };
        let at = inner.span.start as usize;
        let query = self.nested(|parser| parser.query_rest(at, vec![lead], Kind::RBrace))?;
        self.expect(Kind::RBrace, modes::AFTER_BLOCK)?;
        Ok(Value { kind: ValueKind::SubQuery(Arc::new(query)), span: self.since(start) })
    }

    /// The rest of a list, with a comma at hand.
    fn list_rest(&mut self, start: usize, first: Value) -> Parsed<Value> {
        let mut items = vec![first];
        loop {
            if self.at(Kind::RPar) && items.len() > 1 {
                break;
            }
            self.expect(Kind::Comma, modes::LIST)?;
            if self.at(Kind::RPar) {
                break;
            }
            items.push(self.list_item()?);
        }
        self.bump(modes::AFTER_LIST)?;
        Ok(Value { kind: ValueKind::List(items), span: self.since(start) })
    }

    /// A list where nothing else can stand, with the parenthesis at hand.
    pub(super) fn plain_list(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        self.expect(Kind::LPar, modes::LIST)?;
        if self.at(Kind::RPar) {
            self.bump(modes::AFTER_LIST)?;
            return Ok(Value { kind: ValueKind::List(Vec::new()), span: self.since(start) });
        }
        let first = self.list_item()?;
        self.list_rest(start, first)
    }

    fn list_item(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        match self.kind() {
            Kind::ListWord => {
                let value = self.raw_const();
                self.bump(modes::AFTER_LIST_WORD)?;
                Ok(value)
            }
            Kind::DoubleQuoted | Kind::SingleQuoted | Kind::TripleQuoted => {
                let value = self.text_const()?;
                self.bump(modes::AFTER_LIST_WORD)?;
                Ok(value)
            }
            Kind::LPar => self.list_or_group(GROUP_LINKS),
            Kind::LBrace => {
                let query = self.value_block()?;
                Ok(Value { kind: ValueKind::SubQuery(query), span: self.since(start) })
            }
            _ => self.atom(),
        }
    }

    /// `${ query }`
    pub(super) fn embed_query(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        self.expect(Kind::EmbedStart, modes::BLOCK)?;
        let mut query = self.nested(|parser| parser.query(Kind::RBrace))?;
        query.text_span = Span::new(start + 2, self.cur.start);
        self.expect(Kind::RBrace, modes::AFTER_EMBED)?;
        Ok(Value { kind: ValueKind::EmbedQuery(Arc::new(query)), span: self.since(start) })
    }
}

fn starts_only_expr(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ExprNeg
            | Kind::ExprNot
            | Kind::Bool
            | Kind::Null
            | Kind::Number
            | Kind::OctNumber
            | Kind::HexNumber
            | Kind::LBracket
    )
}
