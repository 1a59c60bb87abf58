//! Lifts, pivots, walks and tags.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes::{self, OPER, VALUE};

const TAG: Set = Set::of(&[Kind::TagSeg, Kind::Dollar]);

impl Parser<'_> {
    pub(super) fn lift_oper(&mut self) -> Parsed<OperKind> {
        if !self.at(Kind::Reverse) {
            return Ok(OperKind::Lift(Lift { kind: self.lift()?, reverse: false }));
        }
        self.bump_to(&[Kind::LPar])?;
        self.bump(modes::REVERSE)?;
        let kind = self.lift()?;
        self.expect(Kind::RPar, OPER)?;
        Ok(OperKind::Lift(Lift { kind, reverse: true }))
    }

    fn lift(&mut self) -> Parsed<LiftKind> {
        let kind = self.kind();
        match kind {
            Kind::HashTight | Kind::HashSpaced => return self.lift_tag(),
            Kind::Prop | Kind::UnivName | Kind::WildProp | Kind::EmbedProp | Kind::DerefStar => {}
            _ => return Err(self.unexpected(OPER)),
        }
        let name = self.lift_name()?;
        if self.at(Kind::HashTight) && kind != Kind::EmbedProp {
            return self.lift_form_tag(name);
        }
        if kind == Kind::WildProp {
            return Ok(LiftKind::Prop(name));
        }
        if self.at(Kind::ArrayStart) {
            return Ok(LiftKind::PropArray(name, self.array_cmpr(modes::AFTER_LIFT_EDGE)?));
        }
        match self.cmpr()? {
            Some(cmpr) => Ok(LiftKind::PropBy(name, cmpr)),
            None if kind == Kind::EmbedProp => Err(self.unexpected(modes::AFTER_EMBED_PROP)),
            None => Ok(LiftKind::Prop(name)),
        }
    }

    fn lift_name(&mut self) -> Parsed<PropName> {
        let next = match self.kind() {
            Kind::DerefStar => return self.deref_prop(),
            Kind::WildProp => modes::AFTER_LIFT_EDGE,
            Kind::EmbedProp => modes::AFTER_EMBED_PROP,
            _ => modes::AFTER_PROP,
        };
        let name = self.cur_name();
        self.bump(next)?;
        Ok(PropName::Const(name))
    }

    /// `*$var`
    pub(super) fn deref_prop(&mut self) -> Parsed<PropName> {
        self.expect_to(Kind::DerefStar, &[Kind::Dollar])?;
        self.var_value().map(PropName::Deref)
    }

    fn lift_tag(&mut self) -> Parsed<LiftKind> {
        let start = self.cur.start;
        let spaced = self.at(Kind::HashSpaced);
        self.bump(TAG.with(Kind::HashTight))?;
        if self.at(Kind::HashTight) {
            let start = self.cur.start;
            self.bump(TAG)?;
            let tag = self.tag_rest(start)?;
            return Ok(LiftKind::TagTag(tag, self.cmpr()?));
        }
        let tag = self.tag_rest(start)?;
        if self.at(Kind::ColonTight) {
            let next = if spaced { modes::AFTER_TAG_PROP } else { modes::AFTER_UNIV };
            let prop = self.tag_prop_rest(tag, next)?;
            return Ok(LiftKind::TagProp(prop, self.cmpr()?));
        }
        Ok(LiftKind::Tag(tag, self.cmpr()?))
    }

    fn lift_form_tag(&mut self, name: PropName) -> Parsed<LiftKind> {
        let tag = self.tag()?;
        if self.at(Kind::ColonTight) {
            let prop = self.tag_prop_rest(tag, modes::AFTER_LIFT_TAG_PROP)?;
            return Ok(LiftKind::FormTagProp(name, prop, self.cmpr()?));
        }
        Ok(LiftKind::FormTag(name, tag, self.cmpr()?))
    }

    /// A comparator and its value, if one stands here.
    pub(super) fn cmpr(&mut self) -> Parsed<Option<Cmpr>> {
        match self.kind() {
            Kind::Star => {
                self.bump_to(&[Kind::ByName])?;
            }
            Kind::Cmpr | Kind::CmprOther | Kind::EqSpaced | Kind::EqTight | Kind::TrySet | Kind::Question => {}
            _ => return Ok(None),
        }
        let oper = self.cur_name();
        self.bump(VALUE)?;
        Ok(Some(Cmpr { oper, value: self.value()? }))
    }

    /// `*[ cmpr value ]`
    pub(super) fn array_cmpr(&mut self, next: Set) -> Parsed<Cmpr> {
        self.expect(Kind::ArrayStart, modes::ARRAY_CMPR)?;
        let oper = self.cur_name();
        self.bump(VALUE)?;
        let value = self.value()?;
        self.expect(Kind::RBracket, next)?;
        Ok(Cmpr { oper, value })
    }

    /// A tag with its `#` at hand.
    pub(super) fn tag(&mut self) -> Parsed<Tag> {
        let start = self.cur.start;
        self.bump(TAG)?;
        self.tag_rest(start)
    }

    fn tag_rest(&mut self, start: usize) -> Parsed<Tag> {
        self.tag_parts(start, Kind::TagSeg, modes::AFTER_TAG_SEG)
    }

    /// The parts of a tag, each of kind `seg` or a variable.
    pub(super) fn tag_parts(&mut self, start: usize, seg: Kind, next: Set) -> Parsed<Tag> {
        if self.at(Kind::Dollar) {
            let var = if seg == Kind::ExprTagSeg { self.expr_var()? } else { self.var_value()? };
            return Ok(Tag { kind: TagKind::Var(Box::new(var)), span: self.since(start) });
        }
        let mut segs = Vec::new();
        loop {
            segs.push(self.tag_part(seg, next)?);
            if !self.at(Kind::Dot) {
                break;
            }
            self.bump_to(&[seg, Kind::Dollar])?;
        }
        let texts: Option<Vec<&str>> = segs.iter().map(Value::as_str).collect();
        let kind = match texts {
            Some(texts) => TagKind::Const(texts.join(".").into()),
            None => TagKind::Segs(segs),
        };
        Ok(Tag { kind, span: self.since(start) })
    }

    fn tag_part(&mut self, seg: Kind, next: Set) -> Parsed<Value> {
        if !self.at(Kind::Dollar) {
            let value = self.raw_const();
            self.expect(seg, next)?;
            return Ok(value);
        }
        let expr = seg == Kind::ExprTagSeg;
        self.bump_to(&[if expr { Kind::ExprVarName } else { Kind::VarName }])?;
        let name = self.text_name()?;
        self.bump(if expr { modes::AFTER_EXPR_VAR } else { modes::AFTER_VAR })?;
        Ok(Value { kind: ValueKind::Var(name.text), span: name.span })
    }

    /// `:prop` behind a tag.
    pub(super) fn tag_prop_rest(&mut self, tag: Tag, next: Set) -> Parsed<TagProp> {
        self.expect_to(Kind::ColonTight, &[Kind::BaseProp, Kind::Dollar])?;
        let prop = if self.at(Kind::Dollar) {
            self.var_value()?
        } else {
            let value = self.raw_const();
            self.bump(next)?;
            value
        };
        let span = self.since(tag.span.start as usize);
        Ok(TagProp { tag, prop: Box::new(prop), span })
    }

    /// A tag or tag pattern in a condition or pivot.
    pub(super) fn tag_match(&mut self) -> Parsed<Tag> {
        let start = self.cur.start;
        if self.at(Kind::MatchHashWild) {
            self.bump_to(&[Kind::WildTagSeg])?;
            return self.tag_parts(start, Kind::WildTagSeg, modes::AFTER_WILD_TAG_SEG);
        }
        self.expect(Kind::MatchHash, TAG)?;
        self.tag_rest(start)
    }

    pub(super) fn pivot(&mut self) -> Parsed<OperKind> {
        let kind = self.kind();
        let join = matches!(kind, Kind::PivotOutJoin | Kind::PivotInJoin);
        let kind = match kind {
            Kind::PivotIn | Kind::PivotInJoin => {
                self.bump(modes::PIVOT_IN)?;
                self.pivot_in_dest()?
            }
            _ => {
                self.bump(if join { modes::JOIN_OUT } else { modes::PIVOT_OUT })?;
                self.pivot_out_dest(join)?
            }
        };
        Ok(OperKind::Pivot(Pivot { kind, join }))
    }

    fn pivot_in_dest(&mut self) -> Parsed<PivotKind> {
        let kind = match self.kind() {
            Kind::Star => PivotKind::In,
            Kind::Prop | Kind::UnivName => PivotKind::InFrom(PropName::Const(self.cur_name())),
            _ => return Err(self.unexpected(modes::PIVOT_IN)),
        };
        self.bump(OPER)?;
        Ok(kind)
    }

    fn pivot_out_dest(&mut self, join: bool) -> Parsed<PivotKind> {
        match self.kind() {
            Kind::AllTags => {
                let span = self.cur_span();
                self.bump(OPER)?;
                Ok(PivotKind::ToTags(Tag { kind: TagKind::Const("".into()), span }))
            }
            Kind::MatchHash | Kind::MatchHashWild => self.tag_match().map(PivotKind::ToTags),
            Kind::Star => self.bump(OPER).map(|_| PivotKind::Out),
            Kind::LBrace if !join => self.block(OPER).map(PivotKind::Raw),
            _ => self.pivot_dest().map(PivotKind::Form),
        }
    }

    fn pivot_dest(&mut self) -> Parsed<PivotDest> {
        match self.kind() {
            Kind::Prop | Kind::UnivName | Kind::WildProp => {
                let name = self.cur_name();
                self.bump(OPER)?;
                Ok(PivotDest::Const(name))
            }
            Kind::LPar => self.plain_list().map(PivotDest::Value),
            Kind::Dollar => self.var_value().map(PivotDest::Value),
            _ => Err(self.unexpected(modes::PROP_PIVOT)),
        }
    }

    pub(super) fn prop_pivot(&mut self) -> Parsed<OperKind> {
        let prop = self.rel_prop(modes::AFTER_REL)?;
        let join = self.at(Kind::PivotOutJoin);
        if !join && !self.at(Kind::PivotOut) {
            return Err(self.unexpected(Set::of(&[Kind::PivotOut, Kind::PivotOutJoin])));
        }
        self.bump(modes::PROP_PIVOT)?;
        let kind = if self.at(Kind::Star) {
            self.bump(OPER)?;
            PivotKind::PropOut(prop)
        } else {
            PivotKind::Prop(prop, self.pivot_dest()?)
        };
        Ok(OperKind::Pivot(Pivot { kind, join }))
    }

    /// `--> *` and its kin.
    pub(super) fn walk_all(&mut self) -> Parsed<OperKind> {
        let kind = self.kind();
        self.bump_to(&[Kind::Star])?;
        self.bump(OPER)?;
        let join = matches!(kind, Kind::WalkOutAllJoin | Kind::WalkInAllJoin);
        let out = matches!(kind, Kind::WalkOutAll | Kind::WalkOutAllJoin);
        let kind = if out { PivotKind::OutEdges } else { PivotKind::InEdges };
        Ok(OperKind::Pivot(Pivot { kind, join }))
    }

    /// `<(verb)- dest`, `<+(verb)- dest`
    pub(super) fn walk_in(&mut self) -> Parsed<OperKind> {
        let join = self.at(Kind::EdgeN2JoinInit);
        self.bump(VALUE)?;
        let verb = self.value()?;
        self.expect(Kind::EdgeN2Fini, modes::WALK_DEST)?;
        self.walk_dest(verb, true, join)
    }

    /// What follows `-(verb)>`, `-(verb)+>` or `<(verb)-`.
    pub(super) fn walk_dest(&mut self, verb: Value, reverse: bool, join: bool) -> Parsed<OperKind> {
        let dest = match self.kind() {
            Kind::Wildcard => {
                let span = self.cur_span();
                self.bump(modes::AFTER_WALK_DEST)?;
                PivotDest::Any(span)
            }
            Kind::Prop | Kind::WildProp => {
                let name = self.cur_name();
                self.bump(modes::AFTER_WALK_DEST)?;
                PivotDest::Const(name)
            }
            Kind::LPar => PivotDest::Value(self.plain_list()?),
            Kind::Dollar => PivotDest::Value(self.var_value()?),
            _ => return Err(self.unexpected(modes::WALK_DEST)),
        };
        let cmpr = self.cmpr()?;
        Ok(OperKind::Walk(Walk { reverse, join, verb, dest, cmpr }))
    }

    /// `:name` or `:$var`
    pub(super) fn rel_prop(&mut self, next: Set) -> Parsed<RelProp> {
        let start = self.cur.start;
        if self.at(Kind::ColonDollar) {
            self.bump_to(&[Kind::VarName])?;
            let var = self.var_chain(super::value::VALUE_LINKS)?;
            return Ok(RelProp::RelVar(Box::new(var), self.since(start)));
        }
        let span = self.cur_span();
        let text = self.cur_text().trim_start_matches(':').into();
        self.expect(Kind::RelName, next)?;
        Ok(RelProp::Rel(Name { text, span }))
    }

    /// `.name` or `.$var`
    pub(super) fn univ_prop(&mut self, next: Set) -> Parsed<RelProp> {
        let start = self.cur.start;
        if self.at(Kind::UnivName) {
            let name = self.cur_name();
            self.bump(next)?;
            return Ok(RelProp::Univ(name));
        }
        self.expect_to(Kind::Dot, &[Kind::Dollar])?;
        let var = self.var_value()?;
        Ok(RelProp::UnivVar(Box::new(var), self.since(start)))
    }
}
