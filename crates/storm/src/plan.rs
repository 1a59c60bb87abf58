//! What a query did, operator by operator: the rows each gave, the time each took, the index each lift walked.
//!
//! Asked for by the query option `plan`. Then every operator of a pipe has a [`Meter`], and operators that run inside
//! another (a query in braces, the body of a loop) hang below it. An operator that is entered again and again, as in a
//! loop, has one meter for all its runs. Without the option nothing is measured.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indexmap::IndexSet;
use myelin_storm_syntax::{Oper, OperKind, Query};
use myelin_value::{Map, Value};
use parking_lot::Mutex;

use crate::store::LiftBy;

/// How much of an operator's text is shown.
const MAX_TEXT: usize = 80;

thread_local! {
    /// The operators that are at work on this thread, the innermost last.
    static AT_WORK: RefCell<Vec<Arc<Meter>>> = const { RefCell::new(Vec::new()) };
}

/// What is measured of one operator.
pub struct Meter {
    query: Arc<Query>,
    indx: usize,
    rows: AtomicU64,
    /// Time in it and in all before it in the pipe, in nanoseconds.
    nanos: AtomicU64,
    /// Whether the index alone said how many rows there are.
    counted: std::sync::atomic::AtomicBool,
    indexes: Mutex<IndexSet<String>>,
    inner: Mutex<Vec<Arc<Meter>>>,
}

/// The meters of a query.
#[derive(Default)]
pub struct Plan(Mutex<Vec<Arc<Meter>>>);

impl Plan {
    /// The meter of an operator, below the one that is at work.
    pub fn meter(&self, query: &Arc<Query>, indx: usize) -> Arc<Meter> {
        let above = AT_WORK.with_borrow(|work| work.last().cloned());
        let mut meters = match &above {
            Some(above) => above.inner.lock(),
            None => self.0.lock(),
        };
        if let Some(have) = meters.iter().find(|have| have.indx == indx && Arc::ptr_eq(&have.query, query)) {
            return have.clone();
        }
        let meter = Arc::new(Meter {
            query: query.clone(),
            indx,
            rows: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            counted: false.into(),
            indexes: Mutex::default(),
            inner: Mutex::default(),
        });
        meters.push(meter.clone());
        meter
    }

    /// The steps as the `plan` message has them.
    pub fn pack(&self) -> Value {
        pack(&self.0.lock())
    }
}

impl Meter {
    /// Works as this operator: what is lifted or run meanwhile is noted here.
    pub fn work<T>(self: &Arc<Meter>, func: impl FnOnce() -> T) -> T {
        AT_WORK.with_borrow_mut(|work| work.push(self.clone()));
        let began = Instant::now();
        let retn = func();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(took, Ordering::Relaxed);
        AT_WORK.with_borrow_mut(Vec::pop);
        retn
    }

    /// Notes rows.
    pub fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Notes that the index alone said how many rows there are.
    pub fn counted(&self, rows: u64) {
        self.add_rows(rows);
        self.counted.store(true, Ordering::Relaxed);
    }
}

/// Notes the index that a lift walks, if anybody wants to know.
pub fn note(by: &LiftBy) {
    AT_WORK.with_borrow(|work| {
        if let Some(meter) = work.last() {
            meter.indexes.lock().insert(index_text(by));
        }
    });
}

/// Notes that nodes were read by their name: no index is walked.
pub fn note_node() {
    AT_WORK.with_borrow(|work| {
        if let Some(meter) = work.last() {
            meter.indexes.lock().insert("node by form and value".to_owned());
        }
    });
}

fn index_text(by: &LiftBy) -> String {
    let full = |form: &Option<Arc<str>>, prop: Option<&str>| match (form, prop) {
        (Some(form), Some(prop)) => format!("{form}:{prop}"),
        (Some(form), None) => form.to_string(),
        (None, prop) => prop.unwrap_or_default().to_owned(),
    };
    let of = |form: &Option<Arc<str>>| form.as_ref().map(|form| format!(" of {form}")).unwrap_or_default();
    let ops = |cmprs: &[myelin_model::StorCmpr]| -> String {
        let ops: Vec<&str> = cmprs.iter().map(|cmpr| cmpr.op).collect();
        ops.join(" ")
    };
    match by {
        LiftBy::Prop(form, prop) => format!("index of {}: all", full(form, prop.as_deref())),
        LiftBy::FormValu(form, cmprs) => format!("index of {form}: {}", ops(cmprs)),
        LiftBy::PropValu(form, prop, cmprs) => format!("index of {}: {}", full(form, Some(prop)), ops(cmprs)),
        LiftBy::PropArray(form, prop, cmprs) => {
            format!("index of the items of {}: {}", full(form, prop.as_deref()), ops(cmprs))
        }
        LiftBy::Tag(tag, form) => format!("index of tag {tag}{}: all", of(form)),
        LiftBy::TagValu(tag, op, _, form) => format!("index of tag {tag}{}: {op}, its nodes looked at", of(form)),
        LiftBy::TagProp(form, tag, prop) => format!("index of tag property {tag}:{prop}{}: all", of(form)),
        LiftBy::TagPropValu(form, tag, prop, cmprs) => {
            format!("index of tag property {tag}:{prop}{}: {}", of(form), ops(cmprs))
        }
        LiftBy::DataName(name) => format!("index of node data {name}: all"),
    }
}

/// The steps of one pipe after another. What an operator took is what its pipe took less what came before it.
fn pack(meters: &[Arc<Meter>]) -> Value {
    let mut sorted: Vec<&Arc<Meter>> = meters.iter().collect();
    // Pipes in the order in which they were first entered, operators in the order of the text.
    let first = |meter: &Arc<Meter>| meters.iter().position(|have| Arc::ptr_eq(&have.query, &meter.query));
    sorted.sort_by_key(|meter| (first(meter), meter.indx));
    let mut before: Option<&Arc<Meter>> = None;
    let mut steps = Vec::with_capacity(sorted.len());
    for meter in sorted {
        let total = meter.nanos.load(Ordering::Relaxed);
        let input = before.filter(|before| Arc::ptr_eq(&before.query, &meter.query));
        let own = total.saturating_sub(input.map_or(0, |input| input.nanos.load(Ordering::Relaxed)));
        before = Some(meter);
        let oper = &meter.query.ops[meter.indx];
        let mut step = Map::new()
            .with("kind", kind(oper))
            .with("text", text(meter.query.slice(oper.span)))
            .with("rows", meter.rows.load(Ordering::Relaxed))
            .with("micros", own / 1000);
        let mut indexes: Vec<Value> = meter.indexes.lock().iter().map(Value::from).collect();
        if meter.counted.load(Ordering::Relaxed) {
            indexes.push(Value::from("counted by the index, no node read"));
        }
        if !indexes.is_empty() {
            step.insert("index", Value::list(indexes));
        }
        let inner = meter.inner.lock();
        if !inner.is_empty() {
            step.insert("steps", pack(&inner));
        }
        steps.push(Value::from(step));
    }
    Value::list(steps)
}

fn text(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_TEXT {
        return line;
    }
    let head: String = line.chars().take(MAX_TEXT - 1).collect();
    format!("{head}…")
}

fn kind(oper: &Oper) -> &'static str {
    match &oper.kind {
        OperKind::Lift(_) => "lift",
        OperKind::Filter { .. } => "filter",
        OperKind::Pivot(_) => "pivot",
        OperKind::Walk(_) => "walk",
        OperKind::Edit(_) => "edit",
        OperKind::Cmd(_) => "command",
        OperKind::SubQuery { .. } => "subquery",
        OperKind::Yield(_) => "yield",
        OperKind::Init(_) | OperKind::Empty(_) | OperKind::Fini(_) => "block",
        OperKind::For { .. } | OperKind::While { .. } => "loop",
        OperKind::If { .. } | OperKind::Switch { .. } => "branch",
        OperKind::Try { .. } => "try",
        OperKind::Break | OperKind::Continue | OperKind::Stop | OperKind::Return(_) | OperKind::Emit(_) => "control",
        OperKind::Function(_) => "function",
        OperKind::SetVar { .. } | OperKind::SetVarList { .. } | OperKind::SetItem { .. } => "variable",
        OperKind::VarEval(_) => "call",
    }
}
