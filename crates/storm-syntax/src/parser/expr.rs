//! Expressions: what stands in `( … )`, and the operands and literals only they know.

use super::value::{EXPR_LINKS, GROUP_LINKS};
use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes;

const EXPR_VAR: Set = Set::of(&[Kind::ExprVarName]);

impl Parser<'_> {
    /// An expression; `first` is its first operand if that is already taken.
    pub(super) fn expr(&mut self, first: Option<Value>) -> Parsed<Value> {
        self.nested(|parser| {
            let mut left = parser.and_expr(first)?;
            let mut count = 0;
            while parser.at(Kind::Or) {
                parser.check_chain(count)?;
                count += 1;
                parser.bump(modes::EXPR)?;
                let right = parser.and_expr(None)?;
                let span = left.span.to(right.span);
                left = Value { kind: ValueKind::Or(Box::new(left), Box::new(right)), span };
            }
            Ok(left)
        })
    }

    fn and_expr(&mut self, first: Option<Value>) -> Parsed<Value> {
        let mut left = self.not_expr(first)?;
        let mut count = 0;
        while self.at(Kind::And) {
            self.check_chain(count)?;
            count += 1;
            self.bump(modes::EXPR)?;
            let right = self.not_expr(None)?;
            let span = left.span.to(right.span);
            left = Value { kind: ValueKind::And(Box::new(left), Box::new(right)), span };
        }
        Ok(left)
    }

    fn not_expr(&mut self, first: Option<Value>) -> Parsed<Value> {
        if first.is_none() && self.at(Kind::ExprNot) {
            let start = self.cur.start;
            self.bump(modes::OPERAND)?;
            let value = self.binary(None, 0)?;
            return Ok(Value { kind: ValueKind::Unary(UnaryOp::Not, Box::new(value)), span: self.since(start) });
        }
        self.binary(first, 0)
    }

    /// Operators of binding strength `min` and more: comparison 0, sum 1, product 2. All bind from the left.
    fn binary(&mut self, first: Option<Value>, min: u8) -> Parsed<Value> {
        let mut left = self.unary(first)?;
        let mut count = 0;
        while let Some((op, level)) = self.binary_op().filter(|(_, level)| *level >= min) {
            self.check_chain(count)?;
            count += 1;
            self.bump(modes::OPERAND)?;
            let right = self.binary(None, level + 1)?;
            let span = left.span.to(right.span);
            left = Value { kind: ValueKind::Binary(op, Box::new(left), Box::new(right)), span };
        }
        Ok(left)
    }

    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        let op = match (self.kind(), self.cur_text()) {
            (Kind::EqSpaced | Kind::EqTight, _) => (BinaryOp::Eq, 0),
            (Kind::Cmpr, "!=") => (BinaryOp::Ne, 0),
            (Kind::Cmpr, "<") => (BinaryOp::Lt, 0),
            (Kind::Cmpr, "<=") => (BinaryOp::Le, 0),
            (Kind::Cmpr, ">") => (BinaryOp::Gt, 0),
            (Kind::Cmpr, ">=") => (BinaryOp::Ge, 0),
            (Kind::Cmpr, "~=") => (BinaryOp::Re, 0),
            (Kind::Cmpr, "^=") => (BinaryOp::Pref, 0),
            (Kind::Plus, _) => (BinaryOp::Add, 1),
            (Kind::Minus, _) => (BinaryOp::Sub, 1),
            (Kind::Star, _) => (BinaryOp::Mul, 2),
            (Kind::Slash, _) => (BinaryOp::Div, 2),
            (Kind::Percent, _) => (BinaryOp::Mod, 2),
            _ => return None,
        };
        Some(op)
    }

    fn unary(&mut self, first: Option<Value>) -> Parsed<Value> {
        if first.is_none() && self.at(Kind::ExprNeg) {
            return self.nested(|parser| {
                let start = parser.cur.start;
                parser.bump(modes::OPERAND)?;
                let value = parser.unary(None)?;
                Ok(Value { kind: ValueKind::Unary(UnaryOp::Neg, Box::new(value)), span: parser.since(start) })
            });
        }
        let mut left = match first {
            Some(value) => value,
            None => self.atom()?,
        };
        let mut count = 0;
        while self.at(Kind::Pow) {
            self.check_chain(count)?;
            count += 1;
            self.bump(modes::POW_OPERAND)?;
            let right = self.atom()?;
            let span = left.span.to(right.span);
            left = Value { kind: ValueKind::Binary(BinaryOp::Pow, Box::new(left), Box::new(right)), span };
        }
        Ok(left)
    }

    /// An operand.
    pub(super) fn atom(&mut self) -> Parsed<Value> {
        self.nested(Self::atom_inner)
    }

    fn atom_inner(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        let kind = match self.kind() {
            Kind::Number | Kind::HexNumber | Kind::OctNumber => self.literal(number_const(self.cur_text()))?,
            Kind::Bool => self.literal(Const::Bool(self.cur_text() == "true"))?,
            Kind::Null => self.literal(Const::Null)?,
            Kind::TripleQuoted | Kind::DoubleQuoted | Kind::SingleQuoted => {
                let value = self.text_const()?;
                self.bump(modes::AFTER_EXPR)?;
                return Ok(value);
            }
            Kind::LBracket => return self.expr_list(),
            Kind::LBrace => {
                self.bump(modes::DICT_KEY)?;
                return self.dict_rest(start, None);
            }
            Kind::Dollar => {
                self.bump_to(&[Kind::ExprVarName, Kind::LPar])?;
                return match self.kind() {
                    Kind::LPar => self.group(start, GROUP_LINKS),
                    _ => self.var_chain(EXPR_LINKS),
                };
            }
            Kind::LPar => return self.group(start, GROUP_LINKS),
            Kind::ExprRelName => {
                let text = self.cur_text().trim_start_matches(':').into();
                let name = Name { text, span: self.cur_span() };
                self.bump(modes::AFTER_EXPR)?;
                ValueKind::PropValue(RelProp::Rel(name))
            }
            Kind::ColonDollar => {
                self.bump(EXPR_VAR)?;
                let var = self.var_chain(EXPR_LINKS)?;
                ValueKind::PropValue(RelProp::RelVar(Box::new(var), self.since(start)))
            }
            Kind::ExprUnivName => {
                let name = self.cur_name();
                self.bump(modes::AFTER_EXPR)?;
                ValueKind::PropValue(RelProp::Univ(name))
            }
            Kind::Dot => {
                self.bump_to(&[Kind::Dollar])?;
                let var = self.expr_var()?;
                ValueKind::PropValue(RelProp::UnivVar(Box::new(var), self.since(start)))
            }
            Kind::HashTight | Kind::HashSpaced => self.expr_tag()?,
            Kind::BackQuote => return self.format_string(),
            Kind::EmbedStart => return self.embed_query(),
            _ => return Err(self.unexpected(modes::OPERAND)),
        };
        Ok(Value { kind, span: self.since(start) })
    }

    fn literal(&mut self, value: Const) -> Parsed<ValueKind> {
        self.bump(modes::AFTER_EXPR)?;
        Ok(ValueKind::Const(value))
    }

    /// `$name…` in an expression, with the `$` at hand.
    pub(super) fn expr_var(&mut self) -> Parsed<Value> {
        self.expect(Kind::Dollar, EXPR_VAR)?;
        self.var_chain(EXPR_LINKS)
    }

    fn expr_tag(&mut self) -> Parsed<ValueKind> {
        let start = self.cur.start;
        self.bump_to(&[Kind::ExprTagSeg, Kind::Dollar])?;
        let tag = self.tag_parts(start, Kind::ExprTagSeg, modes::AFTER_EXPR_TAG_SEG)?;
        if !self.at(Kind::ExprColonTight) {
            return Ok(ValueKind::TagValue(tag));
        }
        self.bump_to(&[Kind::BaseProp, Kind::Dollar])?;
        let prop = if self.at(Kind::Dollar) {
            self.expr_var()?
        } else {
            let value = self.raw_const();
            self.bump(modes::AFTER_EXPR)?;
            value
        };
        Ok(ValueKind::TagPropValue(TagProp { tag, prop: Box::new(prop), span: self.since(start) }))
    }

    fn expr_list(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        self.expect(Kind::LBracket, modes::LIST_ITEM)?;
        let mut items = Vec::new();
        while !self.at(Kind::RBracket) {
            items.push(self.json_value(modes::AFTER_ITEM_WORD)?);
            if !self.at(Kind::Comma) {
                break;
            }
            self.bump(modes::LIST_ITEM)?;
        }
        self.expect(Kind::RBracket, modes::AFTER_EXPR)?;
        Ok(Value { kind: ValueKind::ExprList(items), span: self.since(start) })
    }

    /// A dict with its brace already taken, and perhaps its first key.
    pub(super) fn dict_rest(&mut self, start: usize, mut first: Option<Value>) -> Parsed<Value> {
        let mut items = Vec::new();
        while first.is_some() || !self.at(Kind::RBrace) {
            let key = match first.take() {
                Some(key) => key,
                None => self.json_value(modes::AFTER_KEY_WORD)?,
            };
            if !matches!(self.kind(), Kind::Colon | Kind::ExprColonTight) {
                return Err(self.unexpected(modes::AFTER_KEY_WORD));
            }
            self.bump(modes::DICT_VALUE)?;
            items.push((key, self.json_value(modes::AFTER_DICT_WORD)?));
            if !self.at(Kind::Comma) {
                break;
            }
            self.bump(modes::DICT_KEY)?;
        }
        self.expect(Kind::RBrace, modes::AFTER_EXPR)?;
        Ok(Value { kind: ValueKind::ExprDict(items), span: self.since(start) })
    }

    /// An item of a list or dict. A word that is not quoted must be an integer.
    fn json_value(&mut self, next: Set) -> Parsed<Value> {
        if !self.at(Kind::VarName) {
            return self.atom();
        }
        let span = self.cur_span();
        let value = if self.cur_text().starts_with(['"', '\'']) {
            self.text_const()?
        } else {
            match super::text::int_text(self.cur_text()) {
                Some(text) => Value { kind: ValueKind::Const(Const::Int(text.into())), span },
                None => return Err(self.error(span, "A text in a list or dict must be quoted".into())),
            }
        };
        self.bump(next)?;
        Ok(value)
    }
}

/// The constant of a number that the lexer found.
fn number_const(text: &str) -> Const {
    if text.contains('.') {
        return Const::Number(text.into());
    }
    match super::text::int_text(text) {
        Some(text) => Const::Int(text.into()),
        None => Const::Int(text.into()),
    }
}
