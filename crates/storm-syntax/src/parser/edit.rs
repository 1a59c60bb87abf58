//! Edits.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes::{self, VALUE};

const SETS: Set = Set::of(&[Kind::EqSpaced, Kind::EqTight, Kind::SetMod, Kind::TrySet, Kind::TrySetMod]);

impl Parser<'_> {
    pub(super) fn edit(&mut self) -> Parsed<Oper> {
        let start = self.cur.start;
        let edit = self.edit_kind()?;
        Ok(Oper { kind: OperKind::Edit(edit), span: self.since(start) })
    }

    fn edit_kind(&mut self) -> Parsed<Edit> {
        match self.kind() {
            Kind::Prop | Kind::DerefStar => self.node_add().map(Edit::NodeAdd),
            Kind::RelName | Kind::ColonDollar => self.prop_edit(),
            Kind::UnivName | Kind::Dot => {
                let prop = self.univ_prop(modes::AFTER_UNIV)?;
                let (op, value) = self.set_value(SETS)?;
                Ok(Edit::PropSet { prop, op, value })
            }
            Kind::Plus => self.tag_add(),
            Kind::Minus => self.delete(),
            Kind::LPar => self.edit_parens(),
            Kind::EdgeAddN1Init | Kind::EdgeN1Init => self.edge_out(),
            Kind::EdgeN2Init => self.edge_in(),
            _ => Err(self.unexpected(modes::EDIT)),
        }
    }

    /// An assignment by one of `ops` and its value.
    fn set_value(&mut self, ops: Set) -> Parsed<(SetOp, Value)> {
        match SetOp::from_text(self.cur_text()) {
            Some(op) if ops.has(self.kind()) => {
                self.bump(VALUE)?;
                Ok((op, self.value()?))
            }
            _ => Err(self.unexpected(ops)),
        }
    }

    fn node_add(&mut self) -> Parsed<NodeAdd> {
        let form = if self.at(Kind::DerefStar) {
            self.deref_prop()?
        } else {
            let name = self.cur_name();
            self.expect(Kind::Prop, modes::AFTER_FORM)?;
            PropName::Const(name)
        };
        let (op, value) = self.set_value(SETS)?;
        Ok(NodeAdd { form, op, value })
    }

    fn prop_edit(&mut self) -> Parsed<Edit> {
        let prop = self.rel_prop(modes::AFTER_REL)?;
        match self.kind() {
            Kind::Star | Kind::DerefStar => self.cond_set(prop),
            Kind::SetMulti | Kind::TrySetMulti => {
                let (op, value) = self.set_value(Set::of(&[Kind::SetMulti, Kind::TrySetMulti]))?;
                Ok(Edit::PropSetMulti { prop, op, value })
            }
            _ => {
                let (op, value) = self.set_value(SETS)?;
                Ok(Edit::PropSet { prop, op, value })
            }
        }
    }

    fn cond_set(&mut self, prop: RelProp) -> Parsed<Edit> {
        let start = self.cur.start;
        let when = if self.at(Kind::Star) {
            self.bump_to(&[Kind::Unset])?;
            let when = self.raw_const();
            self.bump_to(&[Kind::TrySet, Kind::Equal])?;
            when
        } else {
            self.bump_to(&[Kind::Dollar])?;
            self.bump_to(&[Kind::VarName])?;
            self.var_chain(super::value::COND_SET_LINKS)?
        };
        let is_try = self.at(Kind::TrySet);
        if !is_try && !self.at(Kind::Equal) {
            return Err(self.unexpected(Set::of(&[Kind::TrySet, Kind::Equal])));
        }
        self.bump(VALUE)?;
        let when_span = self.since(start);
        Ok(Edit::CondPropSet { prop, when, when_span, is_try, value: self.value()? })
    }

    fn tag_add(&mut self) -> Parsed<Edit> {
        self.bump_to(&[Kind::HashTight, Kind::Question])?;
        let is_try = self.at(Kind::Question);
        if is_try {
            self.bump_to(&[Kind::HashTight])?;
        }
        let tag = self.tag()?;
        if self.at(Kind::ColonTight) && !is_try {
            let prop = self.tag_prop_rest(tag, modes::AFTER_UNIV)?;
            let (op, value) = self.set_value(SETS)?;
            return Ok(Edit::TagPropSet { prop, op, value });
        }
        let ops = Set::of(&[Kind::EqSpaced, Kind::EqTight, Kind::TrySet]);
        let value = if ops.has(self.kind()) { Some(self.set_value(ops)?) } else { None };
        Ok(Edit::TagAdd { is_try, tag, value })
    }

    fn delete(&mut self) -> Parsed<Edit> {
        self.bump(modes::EDIT_MINUS)?;
        match self.kind() {
            Kind::RelName | Kind::ColonDollar => self.rel_prop(modes::AFTER_REL).map(Edit::PropDel),
            Kind::UnivName | Kind::Dot => self.univ_prop(modes::AFTER_UNIV).map(Edit::UnivDel),
            _ => {
                let tag = self.tag()?;
                if self.at(Kind::ColonTight) {
                    return self.tag_prop_rest(tag, modes::AFTER_UNIV).map(Edit::TagPropDel);
                }
                Ok(Edit::TagDel(tag))
            }
        }
    }

    fn edit_parens(&mut self) -> Parsed<Edit> {
        self.bump_to(&[Kind::Prop, Kind::DerefStar])?;
        let start = self.cur.start;
        let add = self.node_add()?;
        let add_span = self.since(start);
        let edits = self.nested(|parser| {
            let mut edits = Vec::new();
            while !parser.at(Kind::RPar) {
                edits.push(parser.edit()?);
            }
            Ok(edits)
        })?;
        self.bump(modes::EDIT)?;
        Ok(Edit::Parens { add, add_span, edits })
    }

    fn edge_out(&mut self) -> Parsed<Edit> {
        let add = self.at(Kind::EdgeAddN1Init);
        self.bump(VALUE)?;
        let verb = self.value()?;
        self.expect(Kind::EdgeN1Fini, modes::EDGE_NODES)?;
        let edge = EdgeEdit { verb, nodes: self.edge_nodes()?, n2: false };
        Ok(if add { Edit::EdgeAdd(edge) } else { Edit::EdgeDel(edge) })
    }

    fn edge_in(&mut self) -> Parsed<Edit> {
        self.bump(VALUE)?;
        let verb = self.value()?;
        let add = self.at(Kind::EdgeAddN2Fini);
        if !add && !self.at(Kind::EdgeN2Fini) {
            return Err(self.unexpected(Set::of(&[Kind::EdgeAddN2Fini, Kind::EdgeN2Fini])));
        }
        self.bump(modes::EDGE_NODES)?;
        let edge = EdgeEdit { verb, nodes: self.edge_nodes()?, n2: true };
        Ok(if add { Edit::EdgeAdd(edge) } else { Edit::EdgeDel(edge) })
    }

    fn edge_nodes(&mut self) -> Parsed<Value> {
        if self.at(Kind::Dollar) {
            return self.var_value();
        }
        let start = self.cur.start;
        let query = self.value_block()?;
        Ok(Value { kind: ValueKind::SubQuery(query), span: self.since(start) })
    }
}
