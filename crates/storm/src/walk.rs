//! Questions about a syntax tree: which variables a query declares, whether a part is the same for every node, whether
//! a function returns or emits.
//!
//! "Runtsafe" means: computable once, without a node at hand. A variable is runtsafe when it was set to something
//! runtsafe; once runtsafe, it stays so.

use std::sync::Arc;

use myelin_error::err;
use myelin_storm_syntax::{
    Cmpr, Cond, CondKind, Edit, ForTarget, LiftKind, NodeAdd, Oper, OperKind, PivotDest, PivotKind, PropName, Query,
    RelProp, Tag, TagKind, TagProp, Value, ValueKind,
};

use crate::ctl::Flow;
use crate::rt::Rt;

/// A part of a tree that the questions care about.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// An operator.
    Oper(&'a Oper),
    /// A value.
    Value(&'a Value),
    /// A condition.
    Cond(&'a Cond),
    /// A query in braces.
    Query(&'a Arc<Query>),
    /// A property of the node at hand, read as a value.
    PropValue(&'a RelProp),
}

type Visit<'v, 'a> = &'v mut dyn FnMut(Part<'a>);

fn prop_name<'a>(name: &'a PropName, f: Visit<'_, 'a>) {
    if let PropName::Deref(valu) = name {
        f(Part::Value(valu));
    }
}

fn rel_prop<'a>(prop: &'a RelProp, f: Visit<'_, 'a>) {
    if let RelProp::RelVar(valu, _) | RelProp::UnivVar(valu, _) = prop {
        f(Part::Value(valu));
    }
}

fn tag_parts<'a>(tag: &'a Tag, f: Visit<'_, 'a>) {
    match &tag.kind {
        TagKind::Const(_) => {}
        TagKind::Var(valu) => f(Part::Value(valu)),
        TagKind::Segs(segs) => segs.iter().for_each(|seg| f(Part::Value(seg))),
    }
}

fn tagprop_parts<'a>(prop: &'a TagProp, f: Visit<'_, 'a>) {
    tag_parts(&prop.tag, f);
    f(Part::Value(&prop.prop));
}

fn cmpr_part<'a>(cmpr: &'a Cmpr, f: Visit<'_, 'a>) {
    f(Part::Value(&cmpr.value));
}

fn opt_cmpr<'a>(cmpr: &'a Option<Cmpr>, f: Visit<'_, 'a>) {
    if let Some(cmpr) = cmpr {
        f(Part::Value(&cmpr.value));
    }
}

fn dest<'a>(dest: &'a PivotDest, f: Visit<'_, 'a>) {
    if let PivotDest::Value(valu) = dest {
        f(Part::Value(valu));
    }
}

/// The parts of a lift.
pub fn lift_parts<'a>(kind: &'a LiftKind, f: Visit<'_, 'a>) {
    match kind {
        LiftKind::Prop(name) => prop_name(name, f),
        LiftKind::PropBy(name, cmpr) | LiftKind::PropArray(name, cmpr) => {
            prop_name(name, f);
            cmpr_part(cmpr, f);
        }
        LiftKind::Tag(tag, cmpr) | LiftKind::TagTag(tag, cmpr) => {
            tag_parts(tag, f);
            opt_cmpr(cmpr, f);
        }
        LiftKind::TagProp(prop, cmpr) => {
            tagprop_parts(prop, f);
            opt_cmpr(cmpr, f);
        }
        LiftKind::FormTag(name, tag, cmpr) => {
            prop_name(name, f);
            tag_parts(tag, f);
            opt_cmpr(cmpr, f);
        }
        LiftKind::FormTagProp(name, prop, cmpr) => {
            prop_name(name, f);
            tagprop_parts(prop, f);
            opt_cmpr(cmpr, f);
        }
    }
}

fn pivot_parts<'a>(kind: &'a PivotKind, f: Visit<'_, 'a>) {
    match kind {
        PivotKind::Out | PivotKind::OutEdges | PivotKind::In | PivotKind::InEdges => {}
        PivotKind::InFrom(name) => prop_name(name, f),
        PivotKind::ToTags(tag) => tag_parts(tag, f),
        PivotKind::Form(to) => dest(to, f),
        PivotKind::Raw(query) => f(Part::Query(query)),
        PivotKind::PropOut(prop) => rel_prop(prop, f),
        PivotKind::Prop(prop, to) => {
            f(Part::PropValue(prop));
            dest(to, f);
        }
    }
}

/// The parts of the edit that makes a node.
pub fn node_add_parts<'a>(add: &'a NodeAdd, f: Visit<'_, 'a>) {
    prop_name(&add.form, f);
    f(Part::Value(&add.value));
}

fn edit_parts<'a>(edit: &'a Edit, f: Visit<'_, 'a>) {
    match edit {
        Edit::NodeAdd(add) => node_add_parts(add, f),
        Edit::PropSet { prop, value, .. } | Edit::PropSetMulti { prop, value, .. } => {
            rel_prop(prop, f);
            f(Part::Value(value));
        }
        Edit::CondPropSet { prop, when, value, .. } => {
            rel_prop(prop, f);
            f(Part::Value(when));
            f(Part::Value(value));
        }
        Edit::PropDel(prop) | Edit::UnivDel(prop) => rel_prop(prop, f),
        Edit::TagAdd { tag, value, .. } => {
            tag_parts(tag, f);
            if let Some((_, valu)) = value {
                f(Part::Value(valu));
            }
        }
        Edit::TagDel(tag) => tag_parts(tag, f),
        Edit::TagPropSet { prop, value, .. } => {
            tagprop_parts(prop, f);
            f(Part::Value(value));
        }
        Edit::TagPropDel(prop) => tagprop_parts(prop, f),
        Edit::Parens { add, edits, .. } => {
            node_add_parts(add, f);
            edits.iter().for_each(|edit| f(Part::Oper(edit)));
        }
        Edit::EdgeAdd(edge) | Edit::EdgeDel(edge) => {
            f(Part::Value(&edge.verb));
            f(Part::Value(&edge.nodes));
        }
    }
}

fn cond_parts<'a>(cond: &'a Cond, f: Visit<'_, 'a>) {
    match &cond.kind {
        CondKind::And(left, right) | CondKind::Or(left, right) => {
            f(Part::Cond(left));
            f(Part::Cond(right));
        }
        CondKind::Not(inner) => f(Part::Cond(inner)),
        CondKind::HasRelProp(prop) => rel_prop(prop, f),
        CondKind::RelProp(prop, cmpr) => {
            f(Part::PropValue(prop));
            cmpr_part(cmpr, f);
        }
        CondKind::Array(prop, cmpr) => {
            rel_prop(prop, f);
            cmpr_part(cmpr, f);
        }
        CondKind::HasAbsProp(_) => {}
        CondKind::AbsProp(_, cmpr) => cmpr_part(cmpr, f),
        CondKind::Tag(tag) => tag_parts(tag, f),
        CondKind::TagValue(tag, cmpr) => {
            tag_parts(tag, f);
            cmpr_part(cmpr, f);
        }
        CondKind::HasTagProp(prop) => tagprop_parts(prop, f),
        CondKind::TagProp(prop, cmpr) => {
            tagprop_parts(prop, f);
            cmpr_part(cmpr, f);
        }
        CondKind::SubQuery(query, cmpr) => {
            f(Part::Query(query));
            opt_cmpr(cmpr, f);
        }
        CondKind::Value(valu) => f(Part::Value(valu)),
    }
}

/// The parts of a value.
pub fn value_parts<'a>(valu: &'a Value, f: Visit<'_, 'a>) {
    match &valu.kind {
        ValueKind::Const(_) | ValueKind::Var(_) | ValueKind::VarList(_) => {}
        ValueKind::Deref { base, name } => {
            f(Part::Value(base));
            f(Part::Value(name));
        }
        ValueKind::Call(call) => {
            f(Part::Value(&call.func));
            call.args.iter().for_each(|arg| f(Part::Value(arg)));
            call.kwargs.iter().for_each(|(_, arg)| f(Part::Value(arg)));
        }
        ValueKind::PropValue(prop) => f(Part::PropValue(prop)),
        ValueKind::TagValue(tag) => tag_parts(tag, f),
        ValueKind::TagPropValue(prop) => tagprop_parts(prop, f),
        ValueKind::Expr(inner) | ValueKind::Unary(_, inner) => f(Part::Value(inner)),
        ValueKind::Binary(_, left, right) | ValueKind::And(left, right) | ValueKind::Or(left, right) => {
            f(Part::Value(left));
            f(Part::Value(right));
        }
        ValueKind::List(items) | ValueKind::ExprList(items) | ValueKind::Format(items) => {
            items.iter().for_each(|item| f(Part::Value(item)));
        }
        ValueKind::ExprDict(items) => items.iter().for_each(|(key, valu)| {
            f(Part::Value(key));
            f(Part::Value(valu));
        }),
        ValueKind::EmbedQuery(query) | ValueKind::SubQuery(query) | ValueKind::ArgvQuery(query) => {
            f(Part::Query(query));
        }
    }
}

/// The parts of an operator.
pub fn oper_parts<'a>(oper: &'a Oper, f: Visit<'_, 'a>) {
    match &oper.kind {
        OperKind::Lift(lift) => lift_parts(&lift.kind, f),
        OperKind::Filter { cond, .. } => f(Part::Cond(cond)),
        OperKind::Pivot(pivot) => pivot_parts(&pivot.kind, f),
        OperKind::Walk(walk) => {
            f(Part::Value(&walk.verb));
            dest(&walk.dest, f);
            opt_cmpr(&walk.cmpr, f);
        }
        OperKind::Edit(edit) => edit_parts(edit, f),
        OperKind::Cmd(cmd) => cmd.args.iter().for_each(|arg| f(Part::Value(arg))),
        OperKind::SubQuery { query, .. } | OperKind::Init(query) | OperKind::Empty(query) | OperKind::Fini(query) => {
            f(Part::Query(query));
        }
        OperKind::Yield(valu) | OperKind::Emit(valu) | OperKind::VarEval(valu) => f(Part::Value(valu)),
        OperKind::For { iter, body, .. } => {
            f(Part::Value(iter));
            f(Part::Query(body));
        }
        OperKind::While { cond, body } => {
            f(Part::Value(cond));
            f(Part::Query(body));
        }
        OperKind::If { clauses, otherwise } => {
            for (cond, body) in clauses {
                f(Part::Value(cond));
                f(Part::Query(body));
            }
            otherwise.iter().for_each(|body| f(Part::Query(body)));
        }
        OperKind::Switch { value, cases } => {
            f(Part::Value(value));
            cases.iter().for_each(|case| f(Part::Query(&case.body)));
        }
        OperKind::Try { body, catches } => {
            f(Part::Query(body));
            for catch in catches {
                f(Part::Value(&catch.names));
                f(Part::Query(&catch.body));
            }
        }
        OperKind::Break | OperKind::Continue | OperKind::Stop => {}
        OperKind::Return(valu) => valu.iter().for_each(|valu| f(Part::Value(valu))),
        OperKind::Function(func) => {
            func.params.iter().filter_map(|param| param.default.as_ref()).for_each(|valu| f(Part::Value(valu)));
            f(Part::Query(&func.body));
        }
        OperKind::SetVar { value, .. } | OperKind::SetVarList { value, .. } => f(Part::Value(value)),
        OperKind::SetItem { item, key, value } => {
            f(Part::Value(item));
            f(Part::Value(key));
            f(Part::Value(value));
        }
    }
}

fn parts<'a>(part: Part<'a>, f: Visit<'_, 'a>) {
    match part {
        Part::Oper(oper) => oper_parts(oper, f),
        Part::Value(valu) => value_parts(valu, f),
        Part::Cond(cond) => cond_parts(cond, f),
        Part::Query(query) => query.ops.iter().for_each(|oper| f(Part::Oper(oper))),
        Part::PropValue(prop) => rel_prop(prop, f),
    }
}

/// Calls a function for every part until one fails.
fn each_part<'a>(part: Part<'a>, mut func: impl FnMut(Part<'a>) -> Flow<()>) -> Flow<()> {
    let mut done = Ok(());
    parts(part, &mut |kid| {
        if done.is_ok() {
            done = func(kid);
        }
    });
    done
}

/// Whether a part is the same for every node.
pub fn is_runtsafe(part: Part<'_>, rt: &Rt) -> bool {
    match part {
        Part::PropValue(_) => return false,
        // A query in braces has a runtime of its own.
        Part::Query(_) => return true,
        Part::Value(valu) => match &valu.kind {
            ValueKind::Var(name) => return rt.is_runt_var(name),
            ValueKind::TagValue(_) | ValueKind::PropValue(_) => return false,
            _ => {}
        },
        Part::Oper(Oper { kind: OperKind::SubQuery { .. } | OperKind::Function(_), .. }) => return true,
        _ => {}
    }
    let mut safe = true;
    parts(part, &mut |kid| safe = safe && is_runtsafe(kid, rt));
    safe
}

/// Whether a value is the same for every node.
pub fn value_runtsafe(valu: &Value, rt: &Rt) -> bool {
    is_runtsafe(Part::Value(valu), rt)
}

fn has_var(part: Part<'_>, name: &str) -> bool {
    if let Part::Value(valu) = part {
        match &valu.kind {
            ValueKind::Var(have) => return &**have == name,
            ValueKind::EmbedQuery(_) => return false,
            _ => {}
        }
    }
    let mut found = false;
    parts(part, &mut |kid| found = found || has_var(kid, name));
    found
}

/// What a function body holds that makes it return or emit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `return`.
    Return,
    /// `emit`.
    Emit,
}

/// Whether a query holds a `return` or an `emit` of its own.
pub fn has_statement(query: &Query, wanted: Wanted) -> bool {
    query.ops.iter().any(|oper| match (&oper.kind, wanted) {
        (OperKind::Return(_), Wanted::Return) | (OperKind::Emit(_), Wanted::Emit) => true,
        (OperKind::SubQuery { query, .. }, _)
        | (OperKind::Init(query) | OperKind::Empty(query) | OperKind::Fini(query), _) => has_statement(query, wanted),
        (OperKind::For { body, .. } | OperKind::While { body, .. }, _) => has_statement(body, wanted),
        (OperKind::If { clauses, otherwise }, _) => {
            clauses.iter().any(|(_, body)| has_statement(body, wanted))
                || otherwise.as_ref().is_some_and(|body| has_statement(body, wanted))
        }
        (OperKind::Switch { cases, .. }, _) => cases.iter().any(|case| has_statement(&case.body, wanted)),
        (OperKind::Try { body, .. }, _) => has_statement(body, wanted),
        (OperKind::Pivot(pivot), _) => match &pivot.kind {
            PivotKind::Raw(query) => has_statement(query, wanted),
            _ => false,
        },
        _ => false,
    })
}

/// Declares the variables of a query in its runtime: which there are, and which are runtsafe.
///
/// # Errors
/// `NoSuchVar` for a variable that is set from itself before it has a value.
pub fn load_vars(query: &Query, rt: &Rt) -> Flow<()> {
    query.ops.iter().try_for_each(|oper| declare(Part::Oper(oper), rt))
}

fn declare(part: Part<'_>, rt: &Rt) -> Flow<()> {
    match part {
        Part::Value(Value { kind: ValueKind::EmbedQuery(_), .. }) => return Ok(()),
        Part::Oper(oper) => match &oper.kind {
            OperKind::SetVar { name, value } => {
                if rt.runt_var_state(&name.text).is_none() && has_var(Part::Value(value), &name.text) {
                    let mesg = format!("Missing variable: {}", name.text);
                    let error = err!("NoSuchVar", mesg = mesg, name = &name.text);
                    return Err(rt.at(name.span, error.into()));
                }
                rt.declare(&name.text, value_runtsafe(value, rt));
                return declare(Part::Value(value), rt);
            }
            OperKind::SetVarList { names, value, .. } => {
                let safe = value_runtsafe(value, rt);
                names.iter().for_each(|name| rt.declare(&name.text, safe));
                return Ok(());
            }
            OperKind::For { target, iter, body } => {
                let safe = value_runtsafe(iter, rt);
                match target {
                    ForTarget::Var(name) => rt.declare(&name.text, safe),
                    ForTarget::Vars(names, _) => names.iter().for_each(|name| rt.declare(&name.text, safe)),
                }
                return declare(Part::Query(body), rt);
            }
            OperKind::Try { body, catches } => {
                declare(Part::Query(body), rt)?;
                for catch in catches {
                    rt.declare(&catch.var.text, true);
                    declare(Part::Query(&catch.body), rt)?;
                }
                return Ok(());
            }
            OperKind::Function(func) => {
                rt.declare(&func.name.text, true);
                return Ok(());
            }
            _ => {}
        },
        _ => {}
    }
    each_part(part, |kid| declare(kid, rt))
}

/// Checks that every variable a query reads is declared somewhere.
///
/// # Errors
/// `NoSuchVar` for one that is not.
pub fn validate(query: &Query, rt: &Rt) -> Flow<()> {
    query.ops.iter().try_for_each(|oper| check(Part::Oper(oper), rt))
}

fn check(part: Part<'_>, rt: &Rt) -> Flow<()> {
    match part {
        Part::Value(valu) => match &valu.kind {
            ValueKind::Var(name) if rt.runt_var_state(name).is_none() => {
                let error = err!("NoSuchVar", mesg = format!("Missing variable: {name}"), name = name);
                return Err(rt.at(valu.span, error.into()));
            }
            ValueKind::EmbedQuery(_) | ValueKind::ArgvQuery(_) => return Ok(()),
            _ => {}
        },
        Part::Oper(Oper { kind: OperKind::Function(_), .. }) => return Ok(()),
        _ => {}
    }
    each_part(part, |kid| check(kid, rt))
}
