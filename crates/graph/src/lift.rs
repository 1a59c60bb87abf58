//! Lifts: from a question about a form, property, tag or piece of data to the rows of one layer that answer it.
//!
//! A [`Lift`] names an index and, if it asks for values, the operations the type made ([`StorCmpr`]). Each operation becomes
//! a list of walks over the index with a filter ([`plan`]); [`LayerLift`] pulls their rows. Order is key order, then buid
//! order; `reverse` turns both.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_model::types::{Decimal, PyRegex};
use myelin_model::{StorCmpr, StorType};
use myelin_slab::{ReadTxn, Slab, Table};
use myelin_value::{BigInt, Buid, Value, buid_of};

use crate::index::{self, IntKind, LAT_SPACE, LON_SPACE, Place, pair_of};
use crate::layer::Layer;
use crate::scan::{self, Scan, Span};
use crate::sode::SodeRef;

/// Which index a lift walks.
#[derive(Clone, Debug, PartialEq)]
pub enum LiftBy {
    /// Values of a form.
    Form {
        /// Its name.
        form: Arc<str>,
    },
    /// Values of a property; without a form those of a universal property.
    Prop {
        /// The form's name.
        form: Option<Arc<str>>,
        /// The property's name, relative to the form.
        prop: Arc<str>,
    },
    /// Items of an array property, or of a form's values without a property.
    Array {
        /// The form's name.
        form: Option<Arc<str>>,
        /// The property's name, relative to the form.
        prop: Option<Arc<str>>,
    },
    /// Nodes with a tag. Operations compare the interval (`=`, `@=`).
    Tag {
        /// The tag.
        tag: Arc<str>,
        /// Of this form only.
        form: Option<Arc<str>>,
    },
    /// Values of a property of a tag.
    TagProp {
        /// Of this form only.
        form: Option<Arc<str>>,
        /// The tag.
        tag: Arc<str>,
        /// The property's name.
        prop: Arc<str>,
    },
    /// Nodes with a piece of data.
    DataName {
        /// Its name.
        name: Arc<str>,
    },
}

/// Says when nobody wants a lift any more: one that finds little may walk for long between two rows that it gives.
#[derive(Clone)]
pub struct Stop(Arc<dyn Fn() -> bool + Send + Sync>);

/// So many rows are walked before it is asked again.
const STOP_ROWS: u32 = 1024;

impl Stop {
    /// Asked now and then; true ends the lift with an error.
    pub fn new(asked: impl Fn() -> bool + Send + Sync + 'static) -> Stop {
        Stop(Arc::new(asked))
    }

    pub(crate) fn check(stop: Option<&Stop>) -> Result<()> {
        if stop.is_some_and(|stop| (stop.0)()) {
            return Err(err!("TaskCancelled", mesg = "The lift was cancelled."));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

/// A lift.
#[derive(Clone, Debug)]
pub struct Lift {
    /// Which index.
    pub by: LiftBy,
    /// What values are asked for; without it all. One after the other, neither merged nor without repetition.
    pub cmprs: Option<Vec<StorCmpr>>,
    /// Backwards.
    pub reverse: bool,
    /// The storage type of the form whose values are walked: rows then come with the value they stand for where their
    /// keys hold it.
    pub valued: Option<StorType>,
    /// What may end it early.
    pub stop: Option<Stop>,
}

impl Lift {
    /// Everything in an index.
    pub fn all(by: LiftBy) -> Lift {
        Lift { by, cmprs: None, reverse: false, valued: None, stop: None }
    }

    /// What the operations ask for.
    pub fn by_valu(by: LiftBy, cmprs: Vec<StorCmpr>) -> Lift {
        Lift { by, cmprs: Some(cmprs), reverse: false, valued: None, stop: None }
    }

    /// The same lift with its direction set.
    #[must_use]
    pub fn reversed(self, reverse: bool) -> Lift {
        Lift { reverse, ..self }
    }

    /// The same lift, whose rows shall come with the form's values.
    #[must_use]
    pub fn with_values(self, stor: StorType) -> Lift {
        Lift { valued: Some(stor), ..self }
    }

    /// The same lift, which ends with `TaskCancelled` when that says so.
    #[must_use]
    pub fn until(self, stop: Option<Stop>) -> Lift {
        Lift { stop, ..self }
    }
}

/// How layers' rows are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MergeKey {
    /// By index bytes, then buid.
    Index,
    /// By buid alone.
    Buid,
}

impl LiftBy {
    pub(crate) fn merge_key(&self) -> MergeKey {
        match self {
            LiftBy::Tag { .. } | LiftBy::DataName { .. } => MergeKey::Buid,
            _ => MergeKey::Index,
        }
    }

    /// Whether no storage node can hold its own value of what is lifted, so that none has to be looked at.
    pub(crate) fn is_never_held(&self, with_cmpr: bool) -> bool {
        match self {
            LiftBy::Prop { .. } | LiftBy::Array { prop: Some(_), .. } | LiftBy::TagProp { .. } => false,
            LiftBy::Tag { form, .. } => !with_cmpr && form.is_some(),
            _ => true,
        }
    }

    /// Whether a storage node holds its own value of what is lifted, so that those of layers below do not count.
    pub(crate) fn is_held_by(&self, sode: SodeRef<'_>, with_cmpr: bool) -> Result<bool> {
        match self {
            LiftBy::Prop { prop, .. } | LiftBy::Array { prop: Some(prop), .. } => sode.has_prop(prop),
            // With a form all layers' rows of a node lie together, and one of them is the highest.
            LiftBy::Tag { tag, form } if with_cmpr || form.is_none() => sode.has_tag(tag),
            LiftBy::TagProp { tag, prop, .. } => sode.has_tagprop(tag, prop),
            _ => Ok(false),
        }
    }

    /// The table, the slab it is in, and what its keys start with. Nothing if a name was never used here.
    fn table(&self, layer: &Layer) -> Option<(Slab, Table, Vec<u8>)> {
        let tables = &layer.tables;
        let (table, pref) = match self {
            LiftBy::Form { form } => (tables.byprop, layer.prop_abrv(Some(form), None)?.to_vec()),
            LiftBy::Prop { form, prop } => (tables.byprop, layer.prop_abrv(form.as_deref(), Some(prop))?.to_vec()),
            LiftBy::Array { form, prop } => {
                (tables.byarray, layer.prop_abrv(form.as_deref(), prop.as_deref())?.to_vec())
            }
            LiftBy::Tag { tag, form } => {
                let mut pref = layer.tag_abrv(tag)?.to_vec();
                if let Some(form) = form {
                    pref.extend_from_slice(&layer.prop_abrv(Some(form), None)?);
                }
                (tables.bytag, pref)
            }
            LiftBy::TagProp { form, tag, prop } => {
                (tables.bytagprop, layer.tagprop_abrv(form.as_deref(), tag, prop)?.to_vec())
            }
            LiftBy::DataName { name } => {
                let abrv = layer.prop_abrv(Some(name), None)?.to_vec();
                return Some((layer.data_slab.clone(), tables.dataname, abrv));
            }
        };
        Some((layer.slab.clone(), table, pref))
    }

    /// The value a row stands for, from the storage node.
    fn valu_in(&self, sode: SodeRef<'_>) -> Result<Option<Value>> {
        let stored = match self {
            LiftBy::Form { .. } | LiftBy::Array { prop: None, .. } => sode.valu()?,
            LiftBy::Prop { prop, .. } | LiftBy::Array { prop: Some(prop), .. } => sode.prop(prop)?,
            LiftBy::TagProp { tag, prop, .. } => sode.tagprop(tag, prop)?,
            LiftBy::Tag { tag, .. } => return sode.tag(tag),
            LiftBy::DataName { .. } => None,
        };
        Ok(stored.map(|(valu, _)| valu))
    }
}

/// The rows of one layer for one operation (or for all values).
pub struct LayerLift {
    layer: Arc<Layer>,
    by: LiftBy,
    slab: Slab,
    /// The snapshot, while no walk has it.
    txn: Option<ReadTxn>,
    table: Table,
    scan: Option<Scan>,
    steps: std::vec::IntoIter<(Span, bool)>,
    filter: Filter,
    buid: Buid,
    stop: Option<Stop>,
    walked: u32,
}

impl LayerLift {
    /// Starts a lift; nothing if the layer never heard of the name.
    ///
    /// # Errors
    /// `NoSuchCmpr` for an operation the storage type has not, `NotANumberCompared`.
    pub fn start(layer: &Arc<Layer>, by: &LiftBy, cmpr: Option<&StorCmpr>, reverse: bool) -> Result<Option<LayerLift>> {
        let Some((slab, table, pref)) = by.table(layer) else {
            // An unknown operation is an error where there are rows only, as ever.
            return Ok(None);
        };
        let plan = match (by, cmpr) {
            (_, None) => Plan { steps: vec![(Span::prefix(&pref), reverse)], filter: Filter::None },
            (LiftBy::Tag { .. }, Some(cmpr)) => plan_tag(cmpr, &pref, reverse)?,
            (LiftBy::Form { .. } | LiftBy::Prop { .. }, Some(cmpr)) if cmpr.stortype.is_array() => {
                plan(cmpr, StorType::MSGP, &pref, reverse)?
            }
            (_, Some(cmpr)) => plan(cmpr, cmpr.stortype.item(), &pref, reverse)?,
        };
        // Of a slab with something uncommitted, the first row decides what is cheaper.
        let txn = if slab.is_dirty() { None } else { Some(slab.read()?) };
        Ok(Some(LayerLift {
            layer: layer.clone(),
            by: by.clone(),
            slab,
            txn,
            table,
            scan: None,
            steps: plan.steps.into_iter(),
            filter: plan.filter,
            buid: Buid([0; 32]),
            stop: None,
            walked: 0,
        }))
    }

    /// The same, until nobody wants it any more.
    pub(crate) fn until(self, stop: Option<Stop>) -> LayerLift {
        LayerLift { stop, ..self }
    }

    /// Goes to the next row, if there is one.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn advance(&mut self) -> Result<bool> {
        if self.scan.is_none()
            && self.txn.is_none()
            && let Some(rows) = scan::peek(&self.slab, self.table, self.steps.as_slice())?
        {
            self.scan = Some(Scan::peeked(&self.slab, self.table, rows));
            self.steps = Vec::new().into_iter();
        }
        loop {
            let Some(scan) = &mut self.scan else {
                let Some((span, reverse)) = self.steps.next() else { return Ok(false) };
                let txn = self.txn.take().map_or_else(|| self.slab.read_fresh(), Ok)?;
                self.scan = Some(Scan::new(&self.slab, txn, self.table, span, reverse));
                continue;
            };
            if !scan.advance()? {
                self.txn = self.scan.take().and_then(Scan::into_txn);
                continue;
            }
            self.buid = Buid::from_slice(scan.valu())
                .ok_or_else(|| err!("BadCoreStore", mesg = "An index row does not hold a buid."))?;
            if self.passes()? {
                return Ok(true);
            }
            self.walked = self.walked.wrapping_add(1);
            if self.walked.is_multiple_of(STOP_ROWS) {
                Stop::check(self.stop.as_ref())?;
            }
        }
    }

    /// The index bytes of the row, without the abbreviation of the name.
    pub fn indx(&self) -> &[u8] {
        self.scan.as_ref().map_or(&[], |scan| scan.key().get(8..).unwrap_or_default())
    }

    /// The node of the row.
    pub fn buid(&self) -> Buid {
        self.buid
    }

    /// The value the row stands for, if its key holds all of it.
    pub(crate) fn valu(&self, stor: Option<StorType>) -> Option<Value> {
        index::decode_exact(stor?, self.indx())
    }

    /// How many rows there are. For a lift that has not begun.
    ///
    /// # Errors
    /// What reading fails with.
    pub(crate) fn count(mut self) -> Result<u64> {
        let mut count: u64 = 0;
        if !matches!(self.filter, Filter::None) {
            while self.advance()? {
                count += 1;
                if count.is_multiple_of(u64::from(STOP_ROWS)) {
                    Stop::check(self.stop.as_ref())?;
                }
            }
            return Ok(count);
        }
        let txn = self.txn.take().map_or_else(|| self.slab.read_fresh(), Ok)?;
        for (span, _) in self.steps {
            count += scan::count(&txn, self.table, &span, || Stop::check(self.stop.as_ref()))?;
        }
        Ok(count)
    }

    /// The layer.
    pub fn layer(&self) -> &Arc<Layer> {
        &self.layer
    }

    fn passes(&self) -> Result<bool> {
        let indx = self.indx();
        match &self.filter {
            Filter::None => Ok(true),
            Filter::Not(key) => Ok(indx != &key[..]),
            Filter::Overlap(min, max) => {
                let (Some(tick), Some(tock)) = (indx.get(..8), indx.get(8..)) else { return Ok(false) };
                Ok(tick < &max[..] && tock > &min[..])
            }
            Filter::Near(near) => Ok(near.holds(indx)),
            Filter::TagEqual(ival) => Ok(self.stored()?.is_some_and(|have| have.py_eq(ival))),
            Filter::TagOverlap(min, max) => Ok(self.stored()?.is_some_and(|have| overlaps(&have, min, max))),
            Filter::Regex(stor, regex) => self.matches(*stor, regex),
        }
    }

    fn stored(&self) -> Result<Option<Value>> {
        let Some(byts) = self.layer.sode(&self.buid)? else { return Ok(None) };
        self.by.valu_in(SodeRef::new(&byts))
    }

    fn matches(&self, stor: StorType, regex: &PyRegex) -> Result<bool> {
        let indx = self.indx();
        if let Some(found) = index::with_text(stor, indx, |text| regex.is_search(text)) {
            return found;
        }
        if let Some(valu) = index::decode_item(stor, indx) {
            return any_text(regex, &valu);
        }
        let Some(valu) = self.stored()? else { return Ok(false) };
        if !matches!(self.by, LiftBy::Array { .. }) {
            return any_text(regex, &valu);
        }
        let mut key = Vec::new();
        for item in valu.as_list().unwrap_or_default() {
            key.clear();
            index::encode_item(stor, item, &mut key)?;
            if key == indx {
                return any_text(regex, item);
            }
        }
        Ok(false)
    }
}

/// Whether any text in a value, however deep in lists, has a match.
fn any_text(regex: &PyRegex, valu: &Value) -> Result<bool> {
    match valu {
        Value::Str(text) => regex.is_search(text),
        Value::List(items) => {
            for item in items.iter() {
                if any_text(regex, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// Whether a tag's interval has a time in common with `[min, max)`. Neither a missing nor a bare one has.
fn overlaps(ival: &Value, min: &BigInt, max: &BigInt) -> bool {
    let Some((tick, tock)) = pair_of(ival) else { return false };
    match (index::int_of(tick), index::int_of(tock)) {
        (Some(tick), Some(tock)) => tick < *max && tock > *min,
        _ => false,
    }
}

/// The walks that answer an operation, in order, each with its direction, and what rows must pass.
struct Plan {
    steps: Vec<(Span, bool)>,
    filter: Filter,
}

enum Filter {
    None,
    /// Not these index bytes.
    Not(Vec<u8>),
    /// An interval that overlaps one, by its two times' keys.
    Overlap(Vec<u8>, Vec<u8>),
    Near(Near),
    TagEqual(Value),
    TagOverlap(BigInt, BigInt),
    Regex(StorType, PyRegex),
}

fn plan_tag(cmpr: &StorCmpr, pref: &[u8], reverse: bool) -> Result<Plan> {
    let filter = match cmpr.op {
        "=" => Filter::TagEqual(cmpr.value.clone()),
        "@=" => {
            let (min, max) = two(cmpr)?;
            Filter::TagOverlap(int(cmpr, min)?, int(cmpr, max)?)
        }
        _ => return Err(no_such_cmpr(cmpr)),
    };
    Ok(Plan { steps: vec![(Span::prefix(pref), reverse)], filter })
}

/// The walks for an operation on a storage type.
fn plan(cmpr: &StorCmpr, stor: StorType, pref: &[u8], reverse: bool) -> Result<Plan> {
    let walks = Walks { cmpr, stor, pref, reverse };
    if IntKind::of(stor).is_some() {
        return walks.int();
    }
    match (stor, cmpr.op) {
        (StorType::FLOAT64, _) => walks.float(),
        (StorType::UTF8 | StorType::FQDN | StorType::MSGP, "~=") => {
            let regex = PyRegex::new_icase(cmpr.value.as_str().ok_or_else(|| bad_valu(cmpr))?)?;
            Ok(Plan { steps: vec![(Span::prefix(pref), reverse)], filter: Filter::Regex(stor, regex) })
        }
        (StorType::FQDN, "=") => walks.fqdn(),
        (StorType::HUGENUM, "=" | "<" | ">" | "<=" | ">=" | "range=") => walks.huge(),
        (StorType::IPV6, "<" | ">" | "<=" | ">=") => walks.ipv6(),
        (StorType::IVAL, "@=") => {
            let (min, max) = two(cmpr)?;
            let (min, max) = (walks.time_key(min)?, walks.time_key(max)?);
            Ok(Plan { steps: vec![(Span::prefix(pref), reverse)], filter: Filter::Overlap(min, max) })
        }
        (StorType::LATLONG, "near=") => walks.near(),
        (StorType::GUID, "^=") => {
            // The type has made bytes of the digits already.
            let byts = match &cmpr.value {
                Value::Bytes(byts) => byts.to_vec(),
                valu => valu.as_str().and_then(index::hex_bytes).ok_or_else(|| bad_valu(cmpr))?,
            };
            Ok(walks.prefix(&byts))
        }
        (StorType::UTF8 | StorType::LOC | StorType::TAG, "^=") => {
            let key = walks.key(&cmpr.value)?;
            Ok(walks.prefix(&key))
        }
        (StorType::UTF8 | StorType::IPV6, "range=") => {
            let (min, max) = two(cmpr)?;
            Ok(walks.range(&walks.key(min)?, &walks.key(max)?))
        }
        (StorType::MSGP | StorType::NDEF, "=") => Ok(walks.equal(&buid_of(&cmpr.value).0)),
        (
            StorType::UTF8
            | StorType::IPV6
            | StorType::GUID
            | StorType::IVAL
            | StorType::LATLONG
            | StorType::LOC
            | StorType::TAG,
            "=",
        ) => Ok(walks.equal(&walks.key(&cmpr.value)?)),
        _ => Err(no_such_cmpr(cmpr)),
    }
}

struct Walks<'a> {
    cmpr: &'a StorCmpr,
    stor: StorType,
    pref: &'a [u8],
    reverse: bool,
}

impl Walks<'_> {
    fn key(&self, valu: &Value) -> Result<Vec<u8>> {
        let mut key = Vec::new();
        index::encode_item(self.stor, valu, &mut key)?;
        Ok(key)
    }

    fn time_key(&self, valu: &Value) -> Result<Vec<u8>> {
        let mut key = Vec::new();
        index::encode_item(StorType::TIME, valu, &mut key)?;
        Ok(key)
    }

    fn with(&self, key: &[u8]) -> Vec<u8> {
        [self.pref, key].concat()
    }

    fn equal(&self, key: &[u8]) -> Plan {
        Plan { steps: vec![(Span::Key(self.with(key)), self.reverse)], filter: Filter::None }
    }

    fn prefix(&self, key: &[u8]) -> Plan {
        Plan { steps: vec![(Span::prefix(&self.with(key)), self.reverse)], filter: Filter::None }
    }

    fn span(&self, min: &[u8], max: &[u8]) -> Span {
        Span::Range(self.with(min), self.with(max))
    }

    fn range(&self, min: &[u8], max: &[u8]) -> Plan {
        Plan { steps: vec![(self.span(min, max), self.reverse)], filter: Filter::None }
    }

    fn nothing() -> Plan {
        Plan { steps: Vec::new(), filter: Filter::None }
    }

    fn int(&self) -> Result<Plan> {
        let cmpr = self.cmpr;
        let kind = IntKind::of(self.stor).ok_or_else(|| no_such_cmpr(cmpr))?;
        let one = BigInt::from(1);
        let (min, max) = match cmpr.op {
            "=" => {
                return Ok(match kind.place(&int(cmpr, &cmpr.value)?) {
                    Place::In(key) => self.equal(&key[16 - kind.size..]),
                    Place::Below | Place::Above => Walks::nothing(),
                });
            }
            ">=" => (Some(int(cmpr, &cmpr.value)?), None),
            ">" => (Some(int(cmpr, &cmpr.value)? + one), None),
            "<=" => (None, Some(int(cmpr, &cmpr.value)?)),
            "<" => (None, Some(int(cmpr, &cmpr.value)? - one)),
            "range=" => {
                let (min, max) = two(cmpr)?;
                (Some(int(cmpr, min)?), Some(int(cmpr, max)?))
            }
            // Whether a time is in a half-open interval.
            "@=" if matches!(self.stor, StorType::TIME | StorType::MINTIME | StorType::MAXTIME) => {
                let (min, max) = two(cmpr)?;
                (Some(int(cmpr, min)?), Some(int(cmpr, max)? - one))
            }
            _ => return Err(no_such_cmpr(cmpr)),
        };
        let (low, high) = ([0; 16], [0xff; 16]);
        let min = match min.map(|min| kind.place(&min)) {
            None | Some(Place::Below) => low,
            Some(Place::In(key)) => key,
            Some(Place::Above) => return Ok(Walks::nothing()),
        };
        let max = match max.map(|max| kind.place(&max)) {
            None | Some(Place::Above) => high,
            Some(Place::In(key)) => key,
            Some(Place::Below) => return Ok(Walks::nothing()),
        };
        Ok(self.range(&min[16 - kind.size..], &max[16 - kind.size..]))
    }

    fn fqdn(&self) -> Result<Plan> {
        let text = self.cmpr.value.text_bytes().ok_or_else(|| bad_valu(self.cmpr))?;
        let Some(rest) = text.strip_prefix(b"*") else { return Ok(self.equal(&self.key(&self.cmpr.value)?)) };
        let mut key = Vec::new();
        index::encode_text(&index::reversed(rest), &mut key);
        Ok(self.prefix(&key))
    }

    fn ipv6(&self) -> Result<Plan> {
        let addr = index::ipv6_of(&self.cmpr.value).ok_or_else(|| bad_valu(self.cmpr))?;
        let bounds = match self.cmpr.op {
            "<" => addr.checked_sub(1).map(|max| (0, max)),
            "<=" => Some((0, addr)),
            ">" => addr.checked_add(1).map(|min| (min, u128::MAX)),
            _ => Some((addr, u128::MAX)),
        };
        let Some((min, max)) = bounds else { return Ok(Walks::nothing()) };
        Ok(self.range(&min.to_be_bytes(), &max.to_be_bytes()))
    }

    fn huge(&self) -> Result<Plan> {
        let huge = |valu: &Value| Decimal::from_value(valu).ok_or_else(|| bad_valu(self.cmpr));
        let key = |huge: &Decimal| index::huge_key(huge).ok_or_else(|| bad_valu(self.cmpr));
        // The smallest step there is.
        let step = Decimal::new(&BigInt::from(1), -24);
        let (low, high) = ([0; 20], [0xff; 20]);
        let valu = &self.cmpr.value;
        Ok(match self.cmpr.op {
            "=" => self.equal(&key(&huge(valu)?)?),
            ">=" => self.range(&key(&huge(valu)?)?, &high),
            ">" => self.range(&key(&huge(valu)?.add(&step)?)?, &high),
            "<=" => self.range(&low, &key(&huge(valu)?)?),
            "<" => self.range(&low, &key(&huge(valu)?.sub(&step)?)?),
            _ => {
                let (min, max) = two(self.cmpr)?;
                self.range(&key(&huge(min)?)?, &key(&huge(max)?)?)
            }
        })
    }

    /// Negative numbers lie after all others and descend, so that a walk up in value goes backwards over them.
    fn float(&self) -> Result<Plan> {
        let cmpr = self.cmpr;
        let float = |valu: &Value| index::float_of(valu).ok_or_else(|| bad_valu(cmpr));
        let number = |valu: &Value| match float(valu)? {
            float if float.is_nan() => {
                Err(err!("NotANumberCompared", mesg = "Nothing is less or more than what is not a number."))
            }
            float => Ok(float),
        };
        let (min, max, filter) = match cmpr.op {
            "=" => return Ok(self.equal(&float(&cmpr.value)?.to_be_bytes())),
            ">=" => (number(&cmpr.value)?, f64::INFINITY, None),
            ">" => (number(&cmpr.value)?, f64::INFINITY, Some(number(&cmpr.value)?)),
            "<=" => (f64::NEG_INFINITY, number(&cmpr.value)?, None),
            "<" => (f64::NEG_INFINITY, number(&cmpr.value)?, Some(number(&cmpr.value)?)),
            "range=" => {
                let (min, max) = two(cmpr)?;
                (number(min)?, number(max)?, None)
            }
            _ => return Err(no_such_cmpr(cmpr)),
        };
        let key = f64::to_be_bytes;
        let mut steps = Vec::new();
        if min.is_sign_negative() {
            let top = if max.is_sign_negative() { max } else { -0.0 };
            steps.push((self.span(&key(top), &key(min)), !self.reverse));
        }
        if max.is_sign_positive() {
            let bottom = if min.is_sign_positive() { min } else { 0.0 };
            steps.push((self.span(&key(bottom), &key(max)), self.reverse));
        }
        if self.reverse {
            steps.reverse();
        }
        let filter = filter.map_or(Filter::None, |bound| Filter::Not(key(bound).to_vec()));
        Ok(Plan { steps, filter })
    }

    fn near(&self) -> Result<Plan> {
        let (center, dist) = two(self.cmpr)?;
        let bad = || bad_valu(self.cmpr);
        let (lat, lon) = pair_of(center).ok_or_else(bad)?;
        let (lat, lon) = (index::float_of(lat).ok_or_else(bad)?, index::float_of(lon).ok_or_else(bad)?);
        let near = Near::new(lat, lon, index::float_of(dist).ok_or_else(bad)?).ok_or_else(bad)?;
        let span = self.span(&near.lon_min, &near.lon_max);
        Ok(Plan { steps: vec![(span, self.reverse)], filter: Filter::Near(near) })
    }
}

/// A circle on the globe: first the box around it, then the distance.
struct Near {
    lat: f64,
    lon: f64,
    dist: f64,
    lat_min: [u8; 5],
    lat_max: [u8; 5],
    lon_min: [u8; 5],
    lon_max: [u8; 5],
}

/// The mean radius of the earth.
const EARTH_MM: f64 = 6_371_008_800.0;

impl Near {
    fn new(lat: f64, lon: f64, dist: f64) -> Option<Near> {
        let (latr, lonr) = (lat.to_radians(), lon.to_radians());
        let latd = dist / EARTH_MM;
        let lond = dist / (EARTH_MM * latr.cos());
        let key = |rad: f64, space: i64| index::degrees(rad.to_degrees(), space);
        Some(Near {
            lat,
            lon,
            dist,
            lat_min: key(latr - latd, LAT_SPACE).or(Some([0; 5]))?,
            lat_max: key(latr + latd, LAT_SPACE)?,
            lon_min: key(lonr - lond, LON_SPACE).or(Some([0; 5]))?,
            lon_max: key(lonr + lond, LON_SPACE)?,
        })
    }

    fn holds(&self, indx: &[u8]) -> bool {
        let (Some(lon), Some(lat)) = (indx.get(..5), indx.get(5..10)) else { return false };
        if lat > &self.lat_max[..] || lat < &self.lat_min[..] {
            return false;
        }
        let (lat, lon) = (index::from_degrees(lat, LAT_SPACE), index::from_degrees(lon, LON_SPACE));
        haversine((self.lat, self.lon), (lat, lon)) <= self.dist
    }
}

fn haversine((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let (dlat, dlon) = ((lat2 - lat1).to_radians(), (lon2 - lon1).to_radians());
    let half =
        (dlat / 2.0).sin().powi(2) + lat1.to_radians().cos() * lat2.to_radians().cos() * (dlon / 2.0).sin().powi(2);
    2.0 * half.sqrt().asin() * EARTH_MM
}

fn two(cmpr: &StorCmpr) -> Result<(&Value, &Value)> {
    pair_of(&cmpr.value).ok_or_else(|| bad_valu(cmpr))
}

fn int(cmpr: &StorCmpr, valu: &Value) -> Result<BigInt> {
    index::int_of(valu).ok_or_else(|| bad_valu(cmpr))
}

fn no_such_cmpr(cmpr: &StorCmpr) -> myelin_error::Error {
    let mesg = format!("Values of storage type {:?} are not lifted by {}.", cmpr.stortype, cmpr.op);
    err!("NoSuchCmpr", mesg = mesg, cmpr = cmpr.op)
}

fn bad_valu(cmpr: &StorCmpr) -> myelin_error::Error {
    let mesg = format!("A lift by {} cannot use this value: {:?}", cmpr.op, cmpr.value);
    err!("BadTypeValu", mesg = mesg, valu = cmpr.value.clone())
}
