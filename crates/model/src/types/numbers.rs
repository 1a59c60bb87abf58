//! Numbers: `int`, `float`, `hugenum`, `bool`, `velocity`.

use std::cmp::Ordering;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{BigInt, Value};
use num_traits::{One, Zero};

use super::cmpr::{ORDERED, ordered};
use super::ctors::Decl;
use super::scratch::Scratch;
use super::{Cmpr, Decimal, Norm, NormCx, StorCmpr, Type, TypeImpl, py};
use crate::StorType;

/// `int`: integers of a width, with bounds and named values.
pub struct Int {
    stortype: StorType,
    min: Value,
    max: Value,
    enums: Vec<(Value, Arc<str>, String)>,
    strict: bool,
    keep: Keep,
}

/// Which of two values stays when both are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Newest,
    Least,
    Most,
}

impl Keep {
    pub(super) fn of(decl: &Decl<'_>) -> Keep {
        match (decl.flag("ismin"), decl.flag("ismax")) {
            (true, _) => Keep::Least,
            (_, true) => Keep::Most,
            _ => Keep::Newest,
        }
    }

    pub(super) fn merge(self, old: &Value, new: &Value) -> Value {
        let order = py::cmp(new, old);
        match self {
            Keep::Least if order != Some(Ordering::Less) => old.clone(),
            Keep::Most if order != Some(Ordering::Greater) => old.clone(),
            _ => new.clone(),
        }
    }
}

fn int_stor(size: i64, signed: bool) -> Option<StorType> {
    Some(match (size, signed) {
        (1, true) => StorType::I8,
        (2, true) => StorType::I16,
        (4, true) => StorType::I32,
        (8, true) => StorType::I64,
        (16, true) => StorType::I128,
        (1, false) => StorType::U8,
        (2, false) => StorType::U16,
        (4, false) => StorType::U32,
        (8, false) => StorType::U64,
        (16, false) => StorType::U128,
        _ => return None,
    })
}

impl Int {
    pub(super) fn new(decl: Decl<'_>) -> Result<Int> {
        let bad = |mesg: String| err!("BadTypeDef", mesg = mesg, name = decl.name);
        let size = decl.opt("size").and_then(Value::as_i64).unwrap_or(0);
        let signed = decl.flag("signed");
        let stortype = int_stor(size, signed).ok_or_else(|| bad(format!("No integer has the size {size}.")))?;
        let bits = u32::try_from(size * 8).unwrap_or(0);
        let (least, most) = if signed {
            let half = BigInt::one() << (bits - 1);
            (-half.clone(), half - 1)
        } else {
            (BigInt::zero(), (BigInt::one() << bits) - 1)
        };
        let (least, most) = (Value::from(least), Value::from(most));
        let min = decl.opt("min").cloned().unwrap_or_else(|| least.clone());
        let max = decl.opt("max").cloned().unwrap_or_else(|| most.clone());
        let within = |low: &Value, high: &Value| py::cmp(low, high).is_some_and(Ordering::is_le);
        if !within(&least, &min) || !within(&max, &most) || !within(&min, &max) {
            return Err(bad("The bounds lie outside what the size can hold.".to_owned()));
        }
        let mut enums = Vec::new();
        for item in decl.opt("enums").and_then(Value::as_list).unwrap_or_default() {
            let (Some(valu), Some(text)) = (item.at(0), item.at(1).and_then(Value::as_arc_str)) else {
                return Err(bad("Enums are pairs of a number and a text.".to_owned()));
            };
            let lower = text.to_lowercase();
            if enums.iter().any(|(have, _, name): &(Value, Arc<str>, String)| have == valu || *name == lower) {
                return Err(bad(format!("The enum {text} is there twice.")));
            }
            enums.push((valu.clone(), text.clone(), lower));
        }
        Ok(Int { stortype, min, max, enums, strict: decl.flag("enums:strict"), keep: Keep::of(&decl) })
    }

    /// Bounds and enums.
    fn check(&self, ty: &Type, valu: Value) -> Result<Value> {
        if py::cmp(&valu, &self.min) == Some(Ordering::Less) {
            let text = Value::from(py::repr_text(&valu));
            return Err(ty.bad_valu(&text, format!("The value is below the minimum {:?}.", self.min)));
        }
        if py::cmp(&valu, &self.max) == Some(Ordering::Greater) {
            let text = Value::from(py::repr_text(&valu));
            return Err(ty.bad_valu(&text, format!("The value is above the maximum {:?}.", self.max)));
        }
        if self.strict && !self.enums.is_empty() && !self.enums.iter().any(|(have, ..)| *have == valu) {
            return Err(ty.bad_valu(&valu, "The value is none of the enum's."));
        }
        Ok(valu)
    }

    /// The integer an input stands for, before any check.
    pub(super) fn parse(&self, ty: &Type, valu: &Value) -> Result<Value> {
        match valu {
            Value::Int(_) | Value::Big(_) => Ok(valu.clone()),
            Value::Bool(flag) => Ok(Value::from(i64::from(*flag))),
            Value::Float(float) => {
                py::float_to_int(*float).ok_or_else(|| ty.bad_valu(valu, "The float is no finite number."))
            }
            Value::Str(text) => {
                if !self.enums.is_empty() {
                    let lower = text.to_lowercase();
                    if let Some((have, ..)) = self.enums.iter().find(|(_, _, name)| *name == lower) {
                        return Ok(have.clone());
                    }
                }
                py::int_auto(text).ok_or_else(|| ty.bad_valu(valu, "The text is no integer."))
            }
            other => Err(ty.no_norm(other.kind())),
        }
    }

    pub(super) fn keep(&self) -> Keep {
        self.keep
    }
}

/// The integer a Storm number stands for, towards zero.
pub(super) fn number_int(ty: &Type, number: &Decimal) -> Result<Value> {
    number
        .to_bigint()
        .map(Value::from)
        .ok_or_else(|| err!("BadTypeValu", mesg = "The number is not finite.", name = &ty.name))
}

impl TypeImpl for Int {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        self.check(ty, self.parse(ty, valu)?).map(Norm::new)
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.check(ty, number_int(ty, number)?).map(Norm::new)
    }

    fn repr(&self, _ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        Ok(match self.enums.iter().find(|(have, ..)| have.py_eq(norm)) {
            Some((_, text, _)) => Value::from(text),
            None => py::str_value(norm),
        })
    }

    fn merge(&self, old: &Value, new: &Value) -> Value {
        self.keep.merge(old, new)
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn stortype(&self) -> StorType {
        self.stortype
    }
}

/// `float`: doubles, with bounds.
pub struct Float {
    min: Option<(f64, bool)>,
    max: Option<(f64, bool)>,
}

impl Float {
    pub(super) fn new(decl: Decl<'_>) -> Result<Float> {
        let bound = |name: &str, valid: &str| {
            let valu = decl.opt(name)?;
            let valu = valu.as_f64().or_else(|| py::int_to_float(valu))?;
            Some((valu, decl.flag(valid)))
        };
        Ok(Float { min: bound("min", "minisvalid"), max: bound("max", "maxisvalid") })
    }

    fn check(&self, ty: &Type, valu: f64) -> Result<Norm> {
        if let Some((min, closed)) = self.min {
            // Written so that NaN fails, as every comparison with it does.
            if !(valu > min || closed && valu == min) {
                return Err(ty.bad_valu(&Value::from(valu), format!("The value is below the minimum {min}.")));
            }
        }
        if let Some((max, closed)) = self.max
            && !(valu < max || closed && valu == max)
        {
            return Err(ty.bad_valu(&Value::from(valu), format!("The value is above the maximum {max}.")));
        }
        Ok(Norm::new(valu))
    }
}

impl TypeImpl for Float {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        let float = match valu {
            Value::Float(float) => *float,
            Value::Int(_) | Value::Big(_) => {
                py::int_to_float(valu).ok_or_else(|| ty.bad_valu(valu, "The integer is too large for a float."))?
            }
            Value::Str(text) => py::float_text(text).ok_or_else(|| ty.bad_valu(valu, "The text is no float."))?,
            other => return Err(ty.no_norm(other.kind())),
        };
        self.check(ty, float)
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.check(ty, number.to_f64())
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn stortype(&self) -> StorType {
        StorType::FLOAT64
    }
}

/// `hugenum`: decimals, stored as text.
pub struct HugeNum {
    units: Vec<(Arc<str>, Decimal)>,
    modulo: Option<Decimal>,
    most: Decimal,
}

/// The largest absolute value; what a signed 160 bit integer holds with 24 places.
const HUGE_MAX: &str = "730750818665451459101842";

impl HugeNum {
    pub(super) fn new(decl: Decl<'_>) -> Result<HugeNum> {
        let bad = || err!("BadTypeDef", mesg = "Units and modulo of a hugenum are numbers.", name = decl.name);
        let mut units = Vec::new();
        if let Some(map) = decl.opt("units").and_then(Value::as_map) {
            for (key, valu) in map.iter() {
                let key = key.as_arc_str().ok_or_else(bad)?;
                units.push((key.clone(), Decimal::from_value(valu).ok_or_else(bad)?));
            }
        }
        let modulo = decl.opt("modulo").map(|valu| Decimal::from_value(valu).ok_or_else(bad)).transpose()?;
        let most = Decimal::parse(HUGE_MAX).ok_or_else(bad)?;
        Ok(HugeNum { units, modulo, most })
    }

    fn read_text(&self, ty: &Type, raw: &str) -> Result<Decimal> {
        let (mut lower, mut text) = (Scratch::new(), Scratch::new());
        lower.push_lower(raw);
        text.extend(py::strip(&lower).chars().filter(|ch| !matches!(ch, ',' | ' ')));
        let bad = |mesg: &str| ty.bad_plain(format!("{mesg} {raw:?}"));
        let size = float_prefix(&text).ok_or_else(|| bad("The text does not begin with a number."))?;
        let huge = Decimal::from_text(&text[..size]).ok_or_else(|| bad("The text is no number."))?;
        let rest = text[size..].trim_start_matches([' ', '\t', '\n']);
        let end = rest.find(|ch: char| !ch.is_ascii_alphabetic() && ch != 'µ').unwrap_or(rest.len());
        match &rest[..end] {
            "" => Ok(huge),
            unit => match self.units.iter().find(|(name, _)| &**name == unit) {
                Some((_, mult)) => huge.mul(mult),
                None => Err(bad("The unit is unknown.")),
            },
        }
    }

    fn settle(&self, ty: &Type, mut huge: Decimal) -> Result<Norm> {
        if let Some(modulo) = &self.modulo {
            huge = huge.div_rem(modulo)?.1;
            if huge.is_negative() && !huge.is_zero() {
                huge = huge.add(modulo)?;
            }
            huge = huge.quantize(super::hugenum::PLACES)?;
        }
        if !huge.is_finite() || huge.abs() > self.most {
            let mesg = format!("The value {huge} is too large for a hugenum.");
            return Err(ty.bad_plain(mesg));
        }
        Ok(Norm::new(huge.quantize(super::hugenum::PLACES)?.normalize().to_plain()))
    }
}

/// How many bytes at the start of the text are a number: `-?digits[.digits][e(+|-)digits]` after white space.
pub(super) fn float_prefix(text: &str) -> Option<usize> {
    let digits = |from: usize| {
        let rest = &text[from..];
        rest.char_indices().find(|(_, ch)| py::decimal_digit(*ch).is_none()).map_or(rest.len(), |(indx, _)| indx)
    };
    let mut at = text.len() - text.trim_start_matches(py::is_space).len();
    at += usize::from(text[at..].starts_with('-'));
    let whole = digits(at);
    if whole == 0 {
        return None;
    }
    at += whole;
    if text[at..].starts_with('.') {
        let frac = digits(at + 1);
        at += if frac > 0 { frac + 1 } else { 0 };
    }
    let rest = &text.as_bytes()[at..];
    if let [b'e' | b'E', b'+' | b'-', ..] = rest {
        let exp = digits(at + 2);
        at += if exp > 0 { exp + 2 } else { 0 };
    }
    Some(at)
}

impl TypeImpl for HugeNum {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        let huge = match valu {
            Value::Str(text) => self.read_text(ty, text)?,
            Value::Null => return Err(ty.bad_plain("Null is no number.")),
            Value::Float(float) if self.modulo.is_some() && !float.is_finite() => {
                return Err(ty.bad_valu(valu, "What is not finite has no remainder."));
            }
            other => Decimal::from_value(other).ok_or_else(|| ty.no_norm(other.kind()))?,
        };
        self.settle(ty, huge)
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.settle(ty, number.clone())
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, _cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        let pass: fn(Ordering) -> bool = match op {
            "=" => Ordering::is_eq,
            "<" => Ordering::is_lt,
            ">" => Ordering::is_gt,
            "<=" => Ordering::is_le,
            ">=" => Ordering::is_ge,
            _ => return None,
        };
        // The right side is taken as it is: no units, no modulo.
        let Some(base) = Decimal::from_value(rhs) else {
            return Some(Err(ty.bad_valu(rhs, "The value is no number.")));
        };
        let name = ty.name.clone();
        let equal = op == "=";
        Some(Ok(Box::new(move |valu| match Decimal::from_value(valu) {
            Some(have) => match have.partial_cmp(&base) {
                Some(order) => Ok(pass(order)),
                // What is no number is equal to nothing, and has no order.
                None if equal => Ok(false),
                None => Err(err!("BadTypeValu", mesg = "What is no number has no order.", name = &name)),
            },
            None => Err(err!("BadTypeValu", mesg = "The stored value is no number.", name = &name)),
        })))
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn stortype(&self) -> StorType {
        StorType::HUGENUM
    }
}

/// `bool`: stored as 0 or 1.
pub struct Bool;

impl Bool {
    pub(super) fn new(_decl: Decl<'_>) -> Result<Bool> {
        Ok(Bool)
    }
}

/// The truth that text stands for.
pub fn bool_text(text: &str) -> Option<bool> {
    if let Some(valu) = py::int_auto(text) {
        return Some(valu.is_truthy());
    }
    let mut lower = Scratch::new();
    lower.push_lower(text);
    match py::strip(&lower) {
        "true" | "t" | "y" | "yes" | "on" => Some(true),
        "false" | "f" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl TypeImpl for Bool {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        let flag = match valu {
            Value::Bool(flag) => *flag,
            Value::Int(_) | Value::Big(_) => valu.is_truthy(),
            Value::Str(text) => bool_text(text).ok_or_else(|| ty.bad_valu(valu, "The text is no truth value."))?,
            other => return Err(ty.no_norm(other.kind())),
        };
        Ok(Norm::new(i64::from(flag)))
    }

    fn norm_number(&self, _ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        Ok(Norm::new(i64::from(!number.is_zero())))
    }

    fn repr(&self, _ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        Ok(Value::from(if norm.is_truthy() { "true" } else { "false" }))
    }

    fn stortype(&self) -> StorType {
        StorType::U8
    }
}

/// `velocity`: millimetres a second.
pub struct Velocity {
    relative: bool,
}

const LIGHT_MM_S: f64 = 299_792_458_000.0;

fn speed_dist(unit: &str) -> Option<f64> {
    Some(match unit {
        "mm" | "millimeters" => 1.0,
        "k" | "km" | "kilometers" => 1_000_000.0,
        "nmi" => 1_852_000.0,
        "in" | "inches" => 25.4,
        "ft" | "feet" => 304.8,
        "mi" | "miles" => 1_609_344.0,
        _ => return None,
    })
}

fn speed_dura(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" | "sec" => 1.0,
        "min" | "minute" => 60.0,
        "h" | "hr" | "hour" => 3600.0,
        _ => return None,
    })
}

impl Velocity {
    pub(super) fn new(decl: Decl<'_>) -> Result<Velocity> {
        Ok(Velocity { relative: decl.flag("relative") })
    }

    fn read_text(&self, ty: &Type, raw: &str) -> Result<Value> {
        let bad = |mesg: &str| ty.bad_plain(format!("{mesg} {raw:?}"));
        let lower = raw.to_lowercase();
        let text = py::strip(&lower);
        if text.is_empty() {
            return Err(bad("An empty text is no velocity."));
        }
        let end = text.find(|ch: char| !matches!(ch, '-' | '.' | '0'..='9')).unwrap_or(text.len());
        let base = match &text[..end] {
            "" => 1.0,
            nums => py::float_text(nums).ok_or_else(|| bad("The number is none."))?,
        };
        if base < 0.0 && !self.relative {
            return Err(bad("A velocity that is not relative may not be negative."));
        }
        let valu = match py::strip(&text[end..]) {
            "" => base,
            "mph" => base * 1_609_344.0 / 3600.0,
            "kph" => base * 1_000_000.0 / 3600.0,
            "knots" | "kts" => base * 1_852_000.0 / 3600.0,
            "c" => base * LIGHT_MM_S,
            unit => {
                let (dist, dura) = unit.split_once('/').ok_or_else(|| bad("The unit is unknown."))?;
                let dist = speed_dist(dist).ok_or_else(|| bad("The unit of distance is unknown."))?;
                let dura = speed_dura(dura).ok_or_else(|| bad("The unit of time is unknown."))?;
                base * dist / dura
            }
        };
        py::float_to_int(valu).ok_or_else(|| bad("The velocity is out of range."))
    }

    fn check(&self, ty: &Type, valu: Value) -> Result<Norm> {
        if !self.relative && py::cmp(&valu, &Value::Int(0)) == Some(Ordering::Less) {
            return Err(ty.bad_plain("A velocity that is not relative may not be negative."));
        }
        Ok(Norm::new(valu))
    }
}

impl TypeImpl for Velocity {
    fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Int(_) | Value::Big(_) => self.check(ty, valu.clone()),
            Value::Str(text) => self.read_text(ty, text).map(Norm::new),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.check(ty, number_int(ty, number)?)
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn lift_names(&self) -> &'static [&'static str] {
        ORDERED
    }

    fn stortype(&self) -> StorType {
        StorType::I64
    }
}

/// Ordered comparators of types built on integers, for those which replace some of them.
pub(super) fn int_cmpr(ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Result<Cmpr> {
    Ok(ordered(op, ty.norm(cx, rhs)?.value))
}

/// One lift operation with a normalised value.
pub(super) fn norm_lift(ty: &Type, cx: &NormCx, op: &'static str, valu: &Value) -> Result<Vec<StorCmpr>> {
    Ok(ty.stor(op, ty.norm(cx, valu)?.value))
}
