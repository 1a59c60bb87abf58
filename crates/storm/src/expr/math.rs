//! Operators of expressions. Integers stay integers (of any size); a number with a point is an exact decimal.

use myelin_error::{Error, err};
use myelin_model::types::{PyRegex, py};
use myelin_storm_syntax::{BinaryOp, UnaryOp};
use myelin_value::{BigInt, Value};
use num_bigint::Sign;

use crate::ctl::{Ctl, Flow};
use crate::item::Item;
use crate::rt::Rt;

/// The widest integer a power may make: beyond this the computation is refused.
const MAX_POW_BITS: u64 = 1 << 20;

/// `-x`, `not x`.
///
/// # Errors
/// `BadCast` when it is no number.
pub fn unary(rt: &Rt, oper: UnaryOp, item: &Item) -> Flow<Item> {
    match oper {
        UnaryOp::Not => Ok(Item::from(!item.tobool(rt)?)),
        UnaryOp::Neg => match item.tonumber(rt)? {
            Item::Num(num) => Ok(Item::Num(num.neg())),
            other => Ok(Item::from(-big(&other))),
        },
    }
}

fn big(item: &Item) -> BigInt {
    match item {
        Item::Val(valu) => valu.to_bigint().unwrap_or_default(),
        _ => BigInt::default(),
    }
}

/// `x + y`, `x = y` …
///
/// # Errors
/// `BadCast` when a number is needed and there is none, `StormRuntimeError` for a division by zero.
pub fn binary(rt: &Rt, oper: BinaryOp, left: &Item, right: &Item) -> Flow<Item> {
    use BinaryOp::{Add, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Pow, Pref, Re, Sub};
    if let (Item::Val(Value::Int(one)), Item::Val(Value::Int(two))) = (left, right) {
        match oper {
            Eq => return Ok(Item::from(one == two)),
            Ne => return Ok(Item::from(one != two)),
            Gt => return Ok(Item::from(one > two)),
            Lt => return Ok(Item::from(one < two)),
            Ge => return Ok(Item::from(one >= two)),
            Le => return Ok(Item::from(one <= two)),
            Add | Sub | Mul | Div | Mod | Pow => return integers(oper, left, right),
            Pref | Re => {}
        }
    }
    match oper {
        Eq => Ok(Item::from(left.tocmprvalu(rt)?.py_eq(&right.tocmprvalu(rt)?))),
        Ne => Ok(Item::from(!left.tocmprvalu(rt)?.py_eq(&right.tocmprvalu(rt)?))),
        Pref => Ok(Item::from(left.tostr(rt)?.starts_with(&*right.tostr(rt)?))),
        Re => {
            let regex = PyRegex::new_icase(&right.tostr(rt)?)?;
            Ok(Item::from(regex.is_search(&left.tostr(rt)?)?))
        }
        Gt | Lt | Ge | Le => {
            let (left, right) = (left.tonumber(rt)?, right.tonumber(rt)?);
            let order = order(&left, &right);
            Ok(Item::from(match oper {
                Gt => order.is_some_and(std::cmp::Ordering::is_gt),
                Lt => order.is_some_and(std::cmp::Ordering::is_lt),
                Ge => order.is_some_and(std::cmp::Ordering::is_ge),
                _ => order.is_some_and(std::cmp::Ordering::is_le),
            }))
        }
        Add | Sub | Mul | Div | Mod | Pow => {
            let (left, right) = (left.tonumber(rt)?, right.tonumber(rt)?);
            match (&left, &right) {
                (Item::Val(_), Item::Val(_)) => integers(oper, &left, &right),
                _ => decimals(oper, &left, &right),
            }
        }
    }
}

fn order(left: &Item, right: &Item) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Item::Val(left), Item::Val(right)) => py::cmp(left, right),
        _ => left.as_decimal()?.partial_cmp(&right.as_decimal()?),
    }
}

fn zero_division() -> Ctl {
    Error::mesg("StormRuntimeError", "Cannot divide by zero").into()
}

fn integers(oper: BinaryOp, left: &Item, right: &Item) -> Flow<Item> {
    if let (Item::Val(Value::Int(one)), Item::Val(Value::Int(two))) = (left, right) {
        let small = match oper {
            BinaryOp::Add => one.checked_add(*two),
            BinaryOp::Sub => one.checked_sub(*two),
            BinaryOp::Mul => one.checked_mul(*two),
            BinaryOp::Div if *two > 0 => Some(one.div_euclid(*two)),
            BinaryOp::Mod if *two > 0 => Some(one.rem_euclid(*two)),
            _ => None,
        };
        if let Some(small) = small {
            return Ok(Item::from(small));
        }
    }
    let (one, two) = (big(left), big(right));
    Ok(Item::from(match oper {
        BinaryOp::Add => one + two,
        BinaryOp::Sub => one - two,
        BinaryOp::Mul => one * two,
        BinaryOp::Div | BinaryOp::Mod => {
            if two.sign() == Sign::NoSign {
                return Err(zero_division());
            }
            let (mut div, mut rem) = (&one / &two, &one % &two);
            // Python rounds towards minus infinity.
            if rem.sign() != Sign::NoSign && (rem.sign() == Sign::Minus) != (two.sign() == Sign::Minus) {
                div -= 1;
                rem += &two;
            }
            if oper == BinaryOp::Div { div } else { rem }
        }
        _ => return power(&one, &two),
    }))
}

fn power(base: &BigInt, exponent: &BigInt) -> Flow<Item> {
    if exponent.sign() == Sign::Minus {
        let (base, exponent) = (Value::from(base.clone()), Value::from(exponent.clone()));
        let float = py::int_to_float(&base).unwrap_or(f64::NAN).powf(py::int_to_float(&exponent).unwrap_or(f64::NAN));
        return Ok(Item::from(float));
    }
    let exponent = u32::try_from(exponent).unwrap_or(u32::MAX);
    if base.bits().max(1).saturating_mul(u64::from(exponent)) > MAX_POW_BITS && base.bits() > 1 {
        return Err(err!("StormRuntimeError", mesg = "The result of the power is too large.").into());
    }
    Ok(Item::from(base.pow(exponent)))
}

fn decimals(oper: BinaryOp, left: &Item, right: &Item) -> Flow<Item> {
    let invalid = || -> Ctl { Error::mesg("StormRuntimeError", "Invalid operation on a Number").into() };
    let (Some(one), Some(two)) = (left.as_decimal(), right.as_decimal()) else { return Err(invalid()) };
    let zero = two.is_zero() && matches!(oper, BinaryOp::Div | BinaryOp::Mod);
    if zero && !one.is_zero() && oper == BinaryOp::Div {
        return Err(zero_division());
    }
    let made = match oper {
        BinaryOp::Add => one.add(&two),
        BinaryOp::Sub => one.sub(&two),
        BinaryOp::Mul => one.mul(&two),
        BinaryOp::Div => one.div(&two),
        BinaryOp::Mod => one.div_rem(&two).map(|(_, rem)| rem),
        _ => one.pow(&two),
    };
    made.map(Item::Num).map_err(|_| invalid())
}
