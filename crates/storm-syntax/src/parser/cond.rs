//! Filters and their conditions, and the walks that start like one: `-(verb)> dest`.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes::{self, COND, OPER};

impl Parser<'_> {
    pub(super) fn filter(&mut self) -> Parsed<OperKind> {
        match self.kind() {
            Kind::EdgeN1Init => self.minus_paren(),
            Kind::EdgeAddN1Init => {
                self.bump(COND)?;
                let cond = self.cond_expr(None)?;
                self.expect(Kind::RPar, OPER)?;
                Ok(OperKind::Filter { must: true, cond })
            }
            kind => {
                self.bump(COND)?;
                Ok(OperKind::Filter { must: kind == Kind::Plus, cond: self.cond()? })
            }
        }
    }

    /// `-(…`: a walk if `)>` or `)+>` ends it, else a filter.
    fn minus_paren(&mut self) -> Parsed<OperKind> {
        self.bump(modes::MINUS_PAREN)?;
        let first = self.verb_or_cond()?;
        let join = self.at(Kind::EdgeN1JoinFini);
        if join || self.at(Kind::EdgeN1Fini) {
            let verb = match first {
                VerbOrCond::Verb(verb) => Some(verb),
                VerbOrCond::Cond(cond) => cond_verb(cond),
            };
            let Some(verb) = verb else { return Err(self.unexpected(Set::of(&[Kind::RPar]))) };
            self.bump(modes::WALK_DEST)?;
            return self.walk_dest(verb, false, join);
        }
        let VerbOrCond::Cond(cond) = first else { return Err(self.unexpected(modes::AFTER_VERB)) };
        let cond = self.cond_expr(Some(cond))?;
        self.expect(Kind::RPar, OPER)?;
        Ok(OperKind::Filter { must: false, cond })
    }

    fn verb_or_cond(&mut self) -> Parsed<VerbOrCond> {
        match self.kind() {
            Kind::BareWord | Kind::VarName | Kind::TripleQuoted | Kind::BackQuote | Kind::EmbedStart => {
                self.verb(modes::AFTER_VERB).map(VerbOrCond::Verb)
            }
            Kind::Prop => {
                let start = self.cur.start;
                let name = self.cur_name();
                self.bump(modes::AFTER_MINUS_PAREN_PROP)?;
                let kind = match self.cmpr()? {
                    Some(cmpr) => CondKind::AbsProp(name, cmpr),
                    None => CondKind::HasAbsProp(name),
                };
                Ok(VerbOrCond::Cond(Cond { kind, span: self.since(start) }))
            }
            Kind::RelName => {
                let start = self.cur.start;
                let prop = self.rel_prop(modes::AFTER_MINUS_PAREN_REL)?;
                self.rel_cond(start, prop).map(VerbOrCond::Cond)
            }
            Kind::LBrace => {
                let start = self.cur.start;
                let query = self.block(modes::AFTER_MINUS_PAREN_PROP)?;
                let kind = CondKind::SubQuery(query, self.cmpr()?);
                Ok(VerbOrCond::Cond(Cond { kind, span: self.since(start) }))
            }
            Kind::LPar => self.minus_paren_paren(),
            _ => self.cond().map(VerbOrCond::Cond),
        }
    }

    /// A word, quoted text or backtick string as a verb.
    fn verb(&mut self, next: Set) -> Parsed<Value> {
        match self.kind() {
            Kind::BareWord | Kind::VarName | Kind::TripleQuoted => {
                let value = self.text_const()?;
                self.bump(next)?;
                Ok(value)
            }
            Kind::Prop => {
                let value = self.raw_const();
                self.bump(next)?;
                Ok(value)
            }
            _ => self.value(),
        }
    }

    /// `-((…`: a list of verbs, a list of variables, or a condition in parentheses.
    fn minus_paren_paren(&mut self) -> Parsed<VerbOrCond> {
        let start = self.cur.start;
        self.bump(modes::MINUS_PAREN_PAREN)?;
        match self.kind() {
            Kind::RPar | Kind::Comma => {
                let names = self.var_list_rest()?;
                Ok(VerbOrCond::Verb(Value { kind: ValueKind::VarList(names), span: self.since(start) }))
            }
            Kind::BareWord | Kind::VarName | Kind::TripleQuoted | Kind::BackQuote => {
                let first = self.verb(modes::AFTER_LIST_WORD)?;
                self.verb_list(start, first).map(VerbOrCond::Verb)
            }
            Kind::Dollar => self.minus_paren_var(start),
            Kind::Prop | Kind::RelName | Kind::ColonDollar | Kind::UnivName | Kind::Dot => {
                let cond = self.verb_or_cond_item()?;
                if self.at(Kind::Comma) {
                    let Some(first) = cond_verb(cond) else { return Err(self.unexpected(Set::of(&[Kind::RPar]))) };
                    return self.verb_list(start, first).map(VerbOrCond::Verb);
                }
                self.paren_cond_rest(start, cond)
            }
            _ => {
                let cond = self.cond()?;
                self.paren_cond_rest(start, cond)
            }
        }
    }

    fn verb_or_cond_item(&mut self) -> Parsed<Cond> {
        let start = self.cur.start;
        if self.at(Kind::Prop) {
            let name = self.cur_name();
            self.bump(modes::AFTER_MINUS_PAREN_LIST_PROP)?;
            let kind = match self.cmpr()? {
                Some(cmpr) => CondKind::AbsProp(name, cmpr),
                None => CondKind::HasAbsProp(name),
            };
            return Ok(Cond { kind, span: self.since(start) });
        }
        if self.at(Kind::RelName) {
            let prop = self.rel_prop(modes::AFTER_MINUS_PAREN_REL)?;
            return self.rel_cond(start, prop);
        }
        self.cond()
    }

    /// `-(($name`: with a comma or a parenthesis behind it, a list of variables.
    fn minus_paren_var(&mut self, start: usize) -> Parsed<VerbOrCond> {
        let at = self.cur.start;
        self.bump_to(&[Kind::VarName, Kind::LPar])?;
        if self.at(Kind::LPar) {
            let value = self.group(at, super::value::VALUE_LINKS)?;
            let cond = Cond { kind: CondKind::Value(value), span: self.since(at) };
            return self.paren_cond_rest(start, cond);
        }
        let name = self.text_name()?;
        self.bump(modes::AFTER_PAREN_VAR)?;
        match self.kind() {
            Kind::Comma | Kind::RPar => {
                let mut names = vec![name];
                if self.at(Kind::Comma) {
                    self.bump_to(&[Kind::Dollar, Kind::RPar])?;
                    if self.at(Kind::RPar) {
                        self.bump(modes::AFTER_VAR_LIST)?;
                    } else {
                        names.extend(self.var_list_rest()?);
                    }
                } else {
                    self.bump(modes::AFTER_VAR_LIST)?;
                }
                Ok(VerbOrCond::Verb(Value { kind: ValueKind::VarList(names), span: self.since(start) }))
            }
            _ => {
                let base = Value { kind: ValueKind::Var(name.text), span: name.span };
                let value = self.links(base, super::value::VALUE_LINKS)?;
                if self.at(Kind::Comma) {
                    return self.verb_list(start, value).map(VerbOrCond::Verb);
                }
                let cond = Cond { kind: CondKind::Value(value), span: self.since(at) };
                self.paren_cond_rest(start, cond)
            }
        }
    }

    fn paren_cond_rest(&mut self, start: usize, first: Cond) -> Parsed<VerbOrCond> {
        let mut cond = self.cond_expr(Some(first))?;
        self.expect(Kind::RPar, modes::AFTER_COND)?;
        cond.span = self.since(start);
        Ok(VerbOrCond::Cond(cond))
    }

    /// The rest of a list of verbs, with a comma at hand.
    fn verb_list(&mut self, start: usize, first: Value) -> Parsed<Value> {
        let mut items = vec![first];
        loop {
            if self.at(Kind::RPar) && items.len() > 1 {
                break;
            }
            self.expect(Kind::Comma, modes::WALK_LIST)?;
            if self.at(Kind::RPar) {
                break;
            }
            items.push(self.verb(modes::AFTER_LIST_WORD)?);
        }
        self.expect(Kind::RPar, modes::AFTER_VERB)?;
        Ok(Value { kind: ValueKind::List(items), span: self.since(start) })
    }

    /// Conditions joined by `and` and `or`.
    fn cond_expr(&mut self, first: Option<Cond>) -> Parsed<Cond> {
        let mut left = match first {
            Some(cond) => cond,
            None => self.cond()?,
        };
        for count in 0.. {
            let is_and = self.at(Kind::And);
            if !is_and && !self.at(Kind::Or) {
                break;
            }
            self.check_chain(count)?;
            self.bump(COND)?;
            let right = self.cond()?;
            let span = left.span.to(right.span);
            let (left_box, right_box) = (Box::new(left), Box::new(right));
            let kind = if is_and { CondKind::And(left_box, right_box) } else { CondKind::Or(left_box, right_box) };
            left = Cond { kind, span };
        }
        Ok(left)
    }

    fn cond(&mut self) -> Parsed<Cond> {
        self.nested(|parser| {
            let start = parser.cur.start;
            let kind = parser.cond_kind(start)?;
            Ok(Cond { kind, span: parser.since(start) })
        })
    }

    fn cond_kind(&mut self, start: usize) -> Parsed<CondKind> {
        match self.kind() {
            Kind::Not => {
                self.bump(COND)?;
                Ok(CondKind::Not(Box::new(self.cond()?)))
            }
            Kind::LPar => {
                self.bump(COND)?;
                let cond = self.cond_expr(None)?;
                self.expect(Kind::RPar, modes::AFTER_COND)?;
                Ok(cond.kind)
            }
            Kind::RelName | Kind::ColonDollar => {
                let prop = self.rel_prop(modes::AFTER_REL)?;
                Ok(self.rel_cond(start, prop)?.kind)
            }
            Kind::UnivName | Kind::Dot => {
                let prop = self.univ_prop(modes::AFTER_UNIV)?;
                Ok(match self.cmpr()? {
                    Some(cmpr) => CondKind::RelProp(prop, cmpr),
                    None => CondKind::HasRelProp(prop),
                })
            }
            Kind::Prop => {
                let name = self.cur_name();
                self.bump(modes::AFTER_COND_PROP)?;
                Ok(match self.cmpr()? {
                    Some(cmpr) => CondKind::AbsProp(name, cmpr),
                    None => CondKind::HasAbsProp(name),
                })
            }
            Kind::WildProp => {
                let name = self.cur_name();
                self.bump(modes::AFTER_COND)?;
                Ok(CondKind::HasAbsProp(name))
            }
            Kind::MatchHash | Kind::MatchHashWild => self.tag_cond(),
            Kind::LBrace => {
                let query = self.block(modes::AFTER_COND_PROP)?;
                Ok(CondKind::SubQuery(query, self.cmpr()?))
            }
            Kind::Dollar => {
                self.bump_to(&[Kind::VarName, Kind::LPar])?;
                let value = if self.at(Kind::LPar) {
                    self.group(start, super::value::VALUE_LINKS)?
                } else {
                    self.var_chain(super::value::VALUE_LINKS)?
                };
                Ok(CondKind::Value(value))
            }
            _ => Err(self.unexpected(COND)),
        }
    }

    fn rel_cond(&mut self, start: usize, prop: RelProp) -> Parsed<Cond> {
        let kind = if self.at(Kind::ArrayStart) {
            CondKind::Array(prop, self.array_cmpr(modes::AFTER_COND)?)
        } else {
            match self.cmpr()? {
                Some(cmpr) => CondKind::RelProp(prop, cmpr),
                None => CondKind::HasRelProp(prop),
            }
        };
        Ok(Cond { kind, span: self.since(start) })
    }

    fn tag_cond(&mut self) -> Parsed<CondKind> {
        let tag = self.tag_match()?;
        if self.at(Kind::ColonTight) {
            let prop = self.tag_prop_rest(tag, modes::AFTER_COND_PROP)?;
            return Ok(match self.cmpr()? {
                Some(cmpr) => CondKind::TagProp(prop, cmpr),
                None => CondKind::HasTagProp(prop),
            });
        }
        Ok(match self.cmpr()? {
            Some(cmpr) => CondKind::TagValue(tag, cmpr),
            None => CondKind::Tag(tag),
        })
    }
}

enum VerbOrCond {
    Verb(Value),
    Cond(Cond),
}

/// A condition that could as well be read as a verb, as one.
fn cond_verb(cond: Cond) -> Option<Value> {
    if let CondKind::Value(valu) = cond.kind {
        let fits = matches!(valu.kind, ValueKind::Var(_) | ValueKind::Deref { .. } | ValueKind::Call(_));
        return fits.then_some(valu);
    }
    let kind = match cond.kind {
        CondKind::HasAbsProp(name) if !name.text.contains('*') => ValueKind::Const(Const::Str(name.text)),
        CondKind::HasRelProp(prop) => ValueKind::PropValue(prop),
        CondKind::SubQuery(query, None) => ValueKind::SubQuery(query),
        _ => return None,
    };
    Some(Value { kind, span: cond.span })
}
