//! Queries and their operators, all but lifts, conditions, edits and commands.

use std::sync::Arc;

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes::{self, BLOCK, OPER, VALUE};
use crate::source::Span;

impl Parser<'_> {
    /// The operators up to `end`, which is not taken.
    pub(super) fn query(&mut self, end: Kind) -> Parsed<Query> {
        let start = self.cur.start;
        if self.at(end) {
            let span = Span::new(start, start);
            return Ok(Query { ops: Vec::new(), span, text_span: span, source: self.src.clone() });
        }
        if self.at(Kind::VBar) {
            self.bump(modes::OPERS.plus(&[Kind::RBrace, Kind::End]))?;
            return self.query_rest(start, Vec::new(), end);
        }
        let mut ops = Vec::new();
        self.oper(&mut ops)?;
        self.query_rest(start, ops, end)
    }

    /// The rest of a query that has begun at `start`.
    pub(super) fn query_rest(&mut self, start: usize, mut ops: Vec<Oper>, end: Kind) -> Parsed<Query> {
        let mut bar_allowed = self.prev_end > start && self.text.as_bytes().get(start) != Some(&b'|');
        while !self.at(end) {
            if bar_allowed && self.at(Kind::VBar) {
                self.bump(modes::OPERS)?;
                if self.at(end) {
                    return Err(self.unexpected(modes::OPERS));
                }
            }
            self.oper(&mut ops)?;
            bar_allowed = true;
        }
        let span = self.since(start);
        Ok(Query { ops, span, text_span: span, source: self.src.clone() })
    }

    /// `{ query }`, with the brace at hand; `next` is what may follow it.
    pub(super) fn block(&mut self, next: Set) -> Parsed<Arc<Query>> {
        self.expect(Kind::LBrace, BLOCK)?;
        self.block_rest(next)
    }

    /// `query }`
    pub(super) fn block_rest(&mut self, next: Set) -> Parsed<Arc<Query>> {
        let query = self.nested(|parser| parser.query(Kind::RBrace))?;
        self.expect(Kind::RBrace, next)?;
        Ok(Arc::new(query))
    }

    /// A block that the grammar also knows as a value.
    pub(super) fn value_block(&mut self) -> Parsed<Arc<Query>> {
        self.block(modes::AFTER_BLOCK)
    }

    pub(super) fn oper(&mut self, ops: &mut Vec<Oper>) -> Parsed<()> {
        if self.at(Kind::LBracket) {
            self.bump(modes::EDIT_FIRST)?;
            while !self.at(Kind::RBracket) {
                ops.push(self.edit()?);
            }
            self.bump(OPER)?;
            return Ok(());
        }
        let start = self.cur.start;
        let kind = self.oper_kind()?;
        ops.push(Oper { kind, span: self.since(start) });
        Ok(())
    }

    fn oper_kind(&mut self) -> Parsed<OperKind> {
        match self.kind() {
            Kind::CmdName => self.command(),
            Kind::Dollar => self.var_statement(),
            Kind::LPar => self.set_var_list(),
            Kind::Plus | Kind::Minus | Kind::EdgeAddN1Init | Kind::EdgeN1Init => self.filter(),
            Kind::PivotOut | Kind::PivotOutJoin | Kind::PivotIn | Kind::PivotInJoin => self.pivot(),
            Kind::WalkOutAll | Kind::WalkOutAllJoin | Kind::WalkInAll | Kind::WalkInAllJoin => self.walk_all(),
            Kind::EdgeN2Init | Kind::EdgeN2JoinInit => self.walk_in(),
            Kind::RelName | Kind::ColonDollar => self.prop_pivot(),
            Kind::LBrace => Ok(OperKind::SubQuery { query: self.value_block()?, is_yield: false }),
            Kind::Yield => self.yield_oper(),
            Kind::Init => self.plain_block().map(OperKind::Init),
            Kind::Empty => self.plain_block().map(OperKind::Empty),
            Kind::Fini => self.plain_block().map(OperKind::Fini),
            Kind::For => self.for_loop(),
            Kind::While => self.while_loop(),
            Kind::If => self.if_oper(),
            Kind::Switch => self.switch(),
            Kind::Try => self.try_oper(),
            Kind::Function => self.function(),
            Kind::Return => self.return_oper(),
            Kind::Emit => {
                self.bump(VALUE)?;
                self.value().map(OperKind::Emit)
            }
            Kind::Break => self.bump(OPER).map(|_| OperKind::Break),
            Kind::Continue => self.bump(OPER).map(|_| OperKind::Continue),
            Kind::Stop => self.bump(OPER).map(|_| OperKind::Stop),
            _ => self.lift_oper(),
        }
    }

    fn plain_block(&mut self) -> Parsed<Arc<Query>> {
        self.bump_to(&[Kind::LBrace])?;
        self.block(OPER)
    }

    fn yield_oper(&mut self) -> Parsed<OperKind> {
        self.bump(VALUE.without(Kind::BareWord))?;
        match self.kind() {
            Kind::LBrace => Ok(OperKind::SubQuery { query: self.value_block()?, is_yield: true }),
            _ => self.value().map(OperKind::Yield),
        }
    }

    /// `$name` and then what.
    fn var_statement(&mut self) -> Parsed<OperKind> {
        self.bump_to(&[Kind::VarName])?;
        let name_span = self.cur_span();
        let name = self.text_name()?;
        self.bump(modes::AFTER_STMT_VAR)?;
        if self.at(Kind::Equal) {
            self.bump(VALUE)?;
            return Ok(OperKind::SetVar { name, value: self.value()? });
        }
        let mut base = Value { kind: ValueKind::Var(name.text), span: name_span };
        let mut count = 0;
        while let Some(link) = self.stmt_link()? {
            self.check_chain(count)?;
            count += 1;
            match link {
                Link::Call(args, kwargs) => base = self.call(base, args, kwargs),
                Link::Key(key) if matches!(self.kind(), Kind::EqSpaced | Kind::EqTight) => {
                    self.bump(VALUE)?;
                    return Ok(OperKind::SetItem { item: base, key, value: self.value()? });
                }
                Link::Key(key) => {
                    let span = self.since(base.span.start as usize);
                    base = Value { kind: ValueKind::Deref { base: Box::new(base), name: Box::new(key) }, span };
                }
            }
        }
        Ok(OperKind::VarEval(base))
    }

    fn stmt_link(&mut self) -> Parsed<Option<Link>> {
        match self.kind() {
            Kind::LParTight => {
                let (args, kwargs) = self.call_args(modes::AFTER_VAR)?;
                Ok(Some(Link::Call(args, kwargs)))
            }
            Kind::Dot => {
                self.bump_to(&[Kind::VarName, Kind::BackQuote, Kind::Dollar, Kind::LPar])?;
                self.deref_key(Kind::VarName, modes::AFTER_STMT_KEY, false).map(|key| Some(Link::Key(key)))
            }
            _ => Ok(None),
        }
    }

    /// `($a, $b)`, with the parenthesis already taken.
    pub(super) fn var_list_rest(&mut self) -> Parsed<Vec<Name>> {
        let mut names = Vec::new();
        if self.at(Kind::Dollar) {
            loop {
                self.expect_to(Kind::Dollar, &[Kind::VarName])?;
                names.push(self.text_name()?);
                self.expect_to(Kind::VarName, &[Kind::Comma, Kind::RPar])?;
                if !self.at(Kind::Comma) {
                    break;
                }
                self.bump_to(&[Kind::Dollar, Kind::RPar])?;
                if self.at(Kind::RPar) {
                    break;
                }
            }
        } else if self.at(Kind::Comma) {
            self.bump_to(&[Kind::RPar])?;
        }
        self.expect(Kind::RPar, modes::AFTER_VAR_LIST)?;
        Ok(names)
    }

    fn var_list(&mut self) -> Parsed<Vec<Name>> {
        self.expect_to(Kind::LPar, &[Kind::Comma, Kind::Dollar, Kind::RPar])?;
        self.var_list_rest()
    }

    fn set_var_list(&mut self) -> Parsed<OperKind> {
        let start = self.cur.start;
        let names = self.var_list()?;
        let names_span = self.since(start);
        self.expect(Kind::Equal, VALUE)?;
        Ok(OperKind::SetVarList { names, names_span, value: self.value()? })
    }

    fn for_loop(&mut self) -> Parsed<OperKind> {
        self.bump_to(&[Kind::Dollar, Kind::LPar])?;
        let start = self.cur.start;
        let target = if self.at(Kind::Dollar) {
            self.bump_to(&[Kind::VarName])?;
            let name = self.text_name()?;
            self.bump_to(&[Kind::In])?;
            ForTarget::Var(name)
        } else {
            let names = self.var_list()?;
            ForTarget::Vars(names, self.since(start))
        };
        self.expect(Kind::In, VALUE)?;
        let iter = self.value()?;
        Ok(OperKind::For { target, iter, body: self.value_block()? })
    }

    fn while_loop(&mut self) -> Parsed<OperKind> {
        self.bump(VALUE)?;
        let cond = self.value()?;
        Ok(OperKind::While { cond, body: self.value_block()? })
    }

    fn if_oper(&mut self) -> Parsed<OperKind> {
        let mut clauses = Vec::new();
        let mut otherwise = None;
        loop {
            self.bump(VALUE)?;
            let cond = self.value()?;
            clauses.push((cond, self.value_block()?));
            if !self.at(Kind::Elif) {
                break;
            }
        }
        if self.at(Kind::Else) {
            self.bump_to(&[Kind::LBrace])?;
            otherwise = Some(self.value_block()?);
        }
        Ok(OperKind::If { clauses, otherwise })
    }

    fn switch(&mut self) -> Parsed<OperKind> {
        let start = self.cur.start;
        self.bump_to(&[Kind::Dollar])?;
        let value = self.var_value()?;
        self.expect(Kind::LBrace, modes::CASE)?;
        let mut cases: Vec<Case> = Vec::new();
        while !self.at(Kind::RBrace) {
            cases.push(self.case()?);
        }
        self.bump(OPER)?;
        if cases.iter().filter(|case| case.is_default).count() > 1 {
            return Err(self.error(self.since(start), "A switch has more than one default case".into()));
        }
        let mut seen: Vec<&str> = Vec::new();
        for value in cases.iter().flat_map(|case| &case.values) {
            if seen.contains(&&*value.text) {
                return Err(self.error(self.since(start), format!("A switch has the case {:?} twice", value.text)));
            }
            seen.push(&value.text);
        }
        Ok(OperKind::Switch { value, cases })
    }

    fn case(&mut self) -> Parsed<Case> {
        let start = self.cur.start;
        let mut values = Vec::new();
        let is_default = self.at(Kind::DefaultCase);
        match self.kind() {
            Kind::DefaultCase => {}
            Kind::CaseWord | Kind::DoubleQuoted | Kind::SingleQuoted => values.push(self.text_name()?),
            Kind::LPar => {
                self.bump(modes::MULTI_CASE)?;
                loop {
                    values.push(self.text_name()?);
                    self.bump_to(&[Kind::Comma, Kind::RPar])?;
                    if self.at(Kind::RPar) && values.len() > 1 {
                        break;
                    }
                    self.expect(Kind::Comma, modes::MULTI_CASE)?;
                }
            }
            _ => return Err(self.unexpected(modes::CASE)),
        }
        self.bump_to(&[Kind::Colon])?;
        self.bump_to(&[Kind::LBrace])?;
        let body = self.block(modes::CASE)?;
        Ok(Case { values, is_default, body, span: self.since(start) })
    }

    fn try_oper(&mut self) -> Parsed<OperKind> {
        self.bump_to(&[Kind::LBrace])?;
        let body = self.block(modes::AFTER_TRY)?;
        let mut catches = Vec::new();
        while self.at(Kind::Catch) {
            let start = self.cur.start;
            self.bump(VALUE)?;
            let names = self.value()?;
            self.expect_to(Kind::As, &[Kind::VarName])?;
            let var = self.text_name()?;
            self.bump_to(&[Kind::LBrace])?;
            let body = self.block(modes::AFTER_TRY)?;
            catches.push(Catch { names, var, body, span: self.since(start) });
        }
        Ok(OperKind::Try { body, catches })
    }

    fn return_oper(&mut self) -> Parsed<OperKind> {
        self.bump_to(&[Kind::LPar])?;
        self.bump(modes::RETURN_VALUE)?;
        let value = if self.at(Kind::RPar) { None } else { Some(self.value()?) };
        self.expect(Kind::RPar, OPER)?;
        Ok(OperKind::Return(value))
    }

    fn function(&mut self) -> Parsed<OperKind> {
        let whole = self.cur.start;
        self.bump_to(&[Kind::VarName])?;
        let name = self.text_name()?;
        self.bump_to(&[Kind::LPar])?;
        let start = self.cur.start;
        self.bump_to(&[Kind::VarName, Kind::RPar])?;
        let mut params: Vec<Param> = Vec::new();
        let mut misplaced = None;
        while !self.at(Kind::RPar) {
            let param = self.param()?;
            if params.iter().any(|other| other.name.text == param.name.text) {
                let mesg = format!("The function has the parameter \"{}\" twice", param.name.text);
                return Err(self.error(param.name.span, mesg));
            }
            if param.default.is_none() && params.last().is_some_and(|last| last.default.is_some()) {
                let mesg = format!("The parameter \"{}\" without default follows one with a default", param.name.text);
                misplaced = Some(mesg);
            }
            params.push(param);
            if self.at(Kind::Comma) {
                self.bump_to(&[Kind::VarName])?;
            } else if !self.at(Kind::RPar) {
                return Err(self.unexpected(Set::of(&[Kind::Comma, Kind::RPar])));
            }
        }
        self.bump_to(&[Kind::LBrace])?;
        let params_span = self.since(start);
        if let Some(mesg) = misplaced {
            return Err(self.error(params_span, mesg));
        }
        let body = self.block(OPER)?;
        let span = self.since(whole);
        Ok(OperKind::Function(Arc::new(Function { name, params, span, params_span, body })))
    }

    fn param(&mut self) -> Parsed<Param> {
        let name = self.text_name()?;
        self.expect_to(Kind::VarName, &[Kind::EqTight, Kind::Comma, Kind::RPar])?;
        let mut default = None;
        if self.at(Kind::EqTight) {
            self.bump(VALUE)?;
            default = Some(self.value()?);
        }
        Ok(Param { name, default })
    }
}

/// A step behind a variable.
enum Link {
    Key(Value),
    Call(Vec<Value>, Vec<(Name, Value)>),
}
