//! Decimal numbers of 49 digits: the values of `hugenum` and of Storm's numbers.
//!
//! A [`Decimal`] keeps the places it was given (`1.10` prints as `1.10`). Arithmetic rounds its result to
//! [`PRECISION`] digits, half to even. Division by zero and the like are errors, not special values; infinities and NaN
//! exist only because text may name them.

use std::cmp::Ordering;
use std::fmt;

use myelin_error::{Error, Result, err};
use myelin_value::{BigInt, Value};
use num_bigint::{BigUint, Sign};
use num_traits::{One, ToPrimitive, Zero};

use super::py;

/// How many digits arithmetic keeps.
pub const PRECISION: u32 = 49;

/// How many places a stored hugenum keeps.
pub const PLACES: i32 = 24;

/// The largest exponent a number may have; the same bound as the reference's host.
const MAX_EXP: i64 = 999_999;

/// How a number becomes an integer, under the names of Python's `decimal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `ROUND_CEILING`: up.
    Ceiling,
    /// `ROUND_FLOOR`: down.
    Floor,
    /// `ROUND_DOWN`: towards zero.
    Down,
    /// `ROUND_UP`: away from zero.
    Up,
    /// `ROUND_HALF_DOWN`: to the nearest, ties towards zero.
    HalfDown,
    /// `ROUND_HALF_UP`: to the nearest, ties away from zero.
    HalfUp,
    /// `ROUND_HALF_EVEN`: to the nearest, ties to the even one.
    HalfEven,
    /// `ROUND_05UP`: away from zero where the last digit would be 0 or 5, else towards zero.
    ZeroFiveUp,
}

impl Rounding {
    /// The rounding of that name.
    pub fn from_name(name: &str) -> Option<Rounding> {
        Some(match name {
            "ROUND_CEILING" => Rounding::Ceiling,
            "ROUND_FLOOR" => Rounding::Floor,
            "ROUND_DOWN" => Rounding::Down,
            "ROUND_UP" => Rounding::Up,
            "ROUND_HALF_DOWN" => Rounding::HalfDown,
            "ROUND_HALF_UP" => Rounding::HalfUp,
            "ROUND_HALF_EVEN" => Rounding::HalfEven,
            "ROUND_05UP" => Rounding::ZeroFiveUp,
            _ => return None,
        })
    }
}

/// A decimal number.
#[derive(Clone, Debug)]
pub struct Decimal(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// `coeff * 10^exp`, with the sign apart so that a negative zero can be.
    Finite {
        neg: bool,
        coeff: BigUint,
        exp: i32,
    },
    Infinite {
        neg: bool,
    },
    NaN,
}

use Kind::{Finite, Infinite, NaN};

fn invalid(mesg: impl Into<String>) -> Error {
    err!("BadTypeValu", mesg = mesg.into(), name = "hugenum")
}

fn pow10(exp: u32) -> BigUint {
    BigUint::from(10_u32).pow(exp)
}

fn digits_of(coeff: &BigUint) -> u32 {
    if coeff.is_zero() {
        return 1;
    }
    // From the bit length one of two counts is right; the comparison settles it.
    let guess = (coeff.bits() as f64 * std::f64::consts::LOG10_2) as u32;
    if *coeff >= pow10(guess) { guess + 1 } else { guess.max(1) }
}

/// `coeff / 10^drop`, half to even.
fn drop_digits(coeff: &BigUint, drop: u32) -> BigUint {
    let unit = pow10(drop);
    let (quot, rem) = (coeff / &unit, coeff % &unit);
    let up = match (rem * 2_u32).cmp(&unit) {
        Ordering::Greater => true,
        Ordering::Equal => quot.bit(0),
        Ordering::Less => false,
    };
    if up { quot + 1_u32 } else { quot }
}

impl Decimal {
    /// A finite number `coeff * 10^exp`.
    pub fn new(coeff: &BigInt, exp: i32) -> Decimal {
        Decimal(Finite { neg: coeff.sign() == Sign::Minus, coeff: coeff.magnitude().clone(), exp })
    }

    fn finite(neg: bool, coeff: BigUint, exp: i32) -> Decimal {
        Decimal(Finite { neg, coeff, exp })
    }

    /// Reads decimal text (`-1.5`, `1e-7`, `inf`, `nan`), with underscores allowed as Python allows them.
    pub fn parse(text: &str) -> Option<Decimal> {
        let clean: String = py::strip(text).chars().filter(|ch| *ch != '_').collect();
        let (neg, body) = match clean.as_bytes().first()? {
            b'-' => (true, &clean[1..]),
            b'+' => (false, &clean[1..]),
            _ => (false, &clean[..]),
        };
        let lower = body.to_ascii_lowercase();
        if lower == "inf" || lower == "infinity" {
            return Some(Decimal(Infinite { neg }));
        }
        if let Some(rest) = lower.strip_prefix("snan").or_else(|| lower.strip_prefix("nan")) {
            return rest.bytes().all(|byte| byte.is_ascii_digit()).then_some(Decimal(NaN));
        }
        let (mantissa, exp) = match lower.split_once('e') {
            Some((mantissa, exp)) => (mantissa.to_owned(), parse_exp(exp)?),
            None => (lower, 0),
        };
        let (whole, frac) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
        let mut digits = Vec::with_capacity(whole.len() + frac.len());
        let mut places = 0_i64;
        for (indx, part) in [whole, frac].into_iter().enumerate() {
            for ch in part.chars() {
                digits.push(py::decimal_digit(ch)?);
                places += i64::from(indx == 1);
            }
        }
        if digits.is_empty() {
            return None;
        }
        let coeff = BigUint::from_radix_be(&digits, 10)?;
        let exp = exp - places;
        // The original counts no further than this in either direction.
        if exp < -1_000_000_000_000_000_000 {
            return None;
        }
        if exp < -MAX_EXP {
            // Too small to tell from nothing.
            return Some(Decimal::finite(neg, BigUint::ZERO, 0));
        }
        if exp > MAX_EXP {
            return None;
        }
        Some(Decimal::finite(neg, coeff, i32::try_from(exp).ok()?))
    }

    /// Reads text as the platform makes numbers of it: decimal text, or an integer with a `0x` prefix.
    pub fn from_text(text: &str) -> Option<Decimal> {
        if text.starts_with("0x") {
            return py::int_auto(text).and_then(|valu| Decimal::from_value(&valu));
        }
        Decimal::parse(text)
    }

    /// A number from text, an integer, a truth value or a float.
    pub fn from_value(valu: &Value) -> Option<Decimal> {
        match valu {
            Value::Bool(valu) => Some(Decimal::from(i64::from(*valu))),
            Value::Int(valu) => Some(Decimal::from(*valu)),
            Value::Big(valu) => Some(Decimal::new(valu, 0)),
            Value::Float(valu) => Decimal::parse(&py::float_repr(*valu)),
            Value::Str(text) => Decimal::from_text(text),
            _ => None,
        }
    }

    /// Whether it is a number at all.
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Finite { .. })
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(&self.0, Finite { coeff, .. } if coeff.is_zero())
    }

    /// Whether its sign is minus.
    pub fn is_negative(&self) -> bool {
        matches!(self.0, Finite { neg: true, .. } | Infinite { neg: true })
    }

    /// Whether it has no places that count.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Finite { coeff, exp, .. } => *exp >= 0 || coeff.is_zero() || (coeff % pow10(exp.unsigned_abs())).is_zero(),
            _ => false,
        }
    }

    /// The same number without its sign.
    #[must_use]
    pub fn abs(&self) -> Decimal {
        match &self.0 {
            Finite { coeff, exp, .. } => Decimal::finite(false, coeff.clone(), *exp),
            Infinite { .. } => Decimal(Infinite { neg: false }),
            NaN => Decimal(NaN),
        }
    }

    /// The number with the other sign, rounded to the precision.
    #[must_use]
    pub fn neg(&self) -> Decimal {
        match &self.0 {
            Finite { neg, coeff, exp } => Decimal::finite(!neg && !coeff.is_zero(), coeff.clone(), *exp).round(),
            Infinite { neg } => Decimal(Infinite { neg: !neg }),
            NaN => Decimal(NaN),
        }
    }

    fn parts(&self) -> Result<(bool, &BigUint, i32)> {
        match &self.0 {
            Finite { neg, coeff, exp } => Ok((*neg, coeff, *exp)),
            _ => Err(invalid("Arithmetic needs finite numbers.")),
        }
    }

    fn signed(&self) -> Result<(BigInt, i32)> {
        let (neg, coeff, exp) = self.parts()?;
        Ok((BigInt::from_biguint(if neg { Sign::Minus } else { Sign::Plus }, coeff.clone()), exp))
    }

    /// Rounded to the precision, half to even.
    #[must_use]
    fn round(self) -> Decimal {
        self.round_to(PRECISION)
    }

    fn round_to(self, precision: u32) -> Decimal {
        let Finite { neg, coeff, exp } = &self.0 else { return self };
        let have = digits_of(coeff);
        if have <= precision {
            return self;
        }
        let drop = have - precision;
        let mut kept = drop_digits(coeff, drop);
        let mut exp = exp.saturating_add(drop as i32);
        if digits_of(&kept) > precision {
            kept /= 10_u32;
            exp = exp.saturating_add(1);
        }
        Decimal::finite(*neg, kept, exp)
    }

    /// The sum.
    ///
    /// # Errors
    /// When either is not finite.
    pub fn add(&self, other: &Decimal) -> Result<Decimal> {
        let ((left, lexp), (right, rexp)) = (self.signed()?, other.signed()?);
        let exp = lexp.min(rexp);
        check_span(lexp, rexp)?;
        let scale = |valu: BigInt, from: i32| valu * BigInt::from(pow10((from - exp) as u32));
        let sum = scale(left, lexp) + scale(right, rexp);
        let neg_zero = sum.is_zero() && self.is_negative() && other.is_negative();
        let mut made = Decimal::new(&sum, exp);
        if let (true, Finite { neg, .. }) = (neg_zero, &mut made.0) {
            *neg = true;
        }
        Ok(made.round())
    }

    /// The difference.
    ///
    /// # Errors
    /// When either is not finite.
    pub fn sub(&self, other: &Decimal) -> Result<Decimal> {
        let (neg, coeff, exp) = other.parts()?;
        self.add(&Decimal::finite(!neg, coeff.clone(), exp))
    }

    /// The product.
    ///
    /// # Errors
    /// When either is not finite or the product has no place among numbers.
    pub fn mul(&self, other: &Decimal) -> Result<Decimal> {
        let ((lneg, left, lexp), (rneg, right, rexp)) = (self.parts()?, other.parts()?);
        let exp = check_exp(i64::from(lexp) + i64::from(rexp))?;
        Ok(Decimal::finite(lneg != rneg, left * right, exp).round())
    }

    /// The quotient.
    ///
    /// # Errors
    /// When either is not finite or the divisor is zero.
    pub fn div(&self, other: &Decimal) -> Result<Decimal> {
        let ((lneg, left, lexp), (rneg, right, rexp)) = (self.parts()?, other.parts()?);
        if right.is_zero() {
            return Err(invalid("Division by zero."));
        }
        let neg = lneg != rneg;
        let ideal = check_exp(i64::from(lexp) - i64::from(rexp))?;
        if left.is_zero() {
            return Ok(Decimal::finite(neg, BigUint::zero(), ideal));
        }
        // Enough digits for the precision and one to round by; a remainder makes that one sticky.
        let shift = i64::from(PRECISION) + 2 + i64::from(digits_of(right)) - i64::from(digits_of(left));
        let shift = shift.max(0) as u32;
        let scaled = left * pow10(shift);
        let (mut quot, rem) = (&scaled / right, &scaled % right);
        let exp = check_exp(i64::from(ideal) - i64::from(shift))?;
        if !rem.is_zero() {
            if (&quot % 5_u32).is_zero() {
                quot += 1_u32;
            }
            return Ok(Decimal::finite(neg, quot, exp).round());
        }
        Ok(Decimal::finite(neg, quot, exp).trim_to(ideal).round())
    }

    /// The whole quotient and the remainder, which has the sign of the dividend.
    ///
    /// # Errors
    /// When either is not finite, the divisor is zero, or the quotient has more digits than the precision.
    pub fn div_rem(&self, other: &Decimal) -> Result<(Decimal, Decimal)> {
        let ((lneg, left, lexp), (rneg, right, rexp)) = (self.parts()?, other.parts()?);
        if right.is_zero() {
            return Err(invalid("Division by zero."));
        }
        check_span(lexp, rexp)?;
        let exp = lexp.min(rexp);
        let left = left * pow10((lexp - exp) as u32);
        let right = right * pow10((rexp - exp) as u32);
        let (quot, rem) = (&left / &right, &left % &right);
        if digits_of(&quot) > PRECISION {
            return Err(invalid("The whole quotient has too many digits."));
        }
        Ok((Decimal::finite(lneg != rneg, quot, 0), Decimal::finite(lneg, rem, exp).round()))
    }

    /// The number times ten to the power of another, which must be an integer.
    ///
    /// # Errors
    /// When the other is no integer within reach.
    pub fn scaleb(&self, other: &Decimal) -> Result<Decimal> {
        let (neg, coeff, exp) = self.parts()?;
        let by = other.is_integer().then(|| other.to_bigint()).flatten().and_then(|by| by.to_i64());
        let by = by.ok_or_else(|| invalid("A number is scaled by an integer power of ten."))?;
        let exp = check_exp(i64::from(exp).saturating_add(by))?;
        Ok(Decimal::finite(neg, coeff.clone(), exp).round())
    }

    /// The number to the power of another.
    ///
    /// # Errors
    /// When there is no such power among numbers of this precision.
    pub fn pow(&self, other: &Decimal) -> Result<Decimal> {
        let (neg, coeff, _) = self.parts()?;
        other.parts()?;
        if other.is_zero() {
            return match coeff.is_zero() {
                true => Err(invalid("Zero to the power of zero has no value.")),
                false => Ok(Decimal::from(1)),
            };
        }
        if coeff.is_zero() {
            return match other.is_negative() {
                // Odd powers keep the sign; every other one is positive.
                true => {
                    let odd = other.is_integer() && other.to_bigint().is_some_and(|by| by.bit(0));
                    Ok(Decimal(Infinite { neg: neg && odd }))
                }
                false => {
                    let odd = other.is_integer() && other.to_bigint().is_some_and(|by| by.bit(0));
                    Ok(Decimal::finite(neg && odd, BigUint::zero(), 0))
                }
            };
        }
        if let Some(times) = other.is_integer().then(|| other.to_bigint()).flatten().and_then(|by| by.to_i64()) {
            return self.pow_int(times);
        }
        if neg {
            return Err(invalid("A negative number has no power that is no integer."));
        }
        super::hugenum::transcendental::pow(self, other)
    }

    fn pow_int(&self, times: i64) -> Result<Decimal> {
        // Squarings carry guard digits so that the rounding errors stay below the last digit kept.
        let guard = PRECISION * 2 + 10;
        let (mut left, mut base) = (times.unsigned_abs(), self.clone());
        let mut made = Decimal::from(1);
        while left > 0 {
            if left & 1 == 1 {
                made = made.mul_to(&base, guard)?;
            }
            left >>= 1;
            if left > 0 {
                base = base.mul_to(&base.clone(), guard)?;
            }
        }
        if times < 0 { Decimal::from(1).div(&made) } else { Ok(made.round()) }
    }

    fn mul_to(&self, other: &Decimal, precision: u32) -> Result<Decimal> {
        let ((lneg, left, lexp), (rneg, right, rexp)) = (self.parts()?, other.parts()?);
        let exp = check_exp(i64::from(lexp) + i64::from(rexp))?;
        Ok(Decimal::finite(lneg != rneg, left * right, exp).round_to(precision))
    }

    /// The number with exactly so many places, half to even.
    ///
    /// # Errors
    /// When that takes more digits than the precision.
    pub fn quantize(&self, places: i32) -> Result<Decimal> {
        let (neg, coeff, exp) = self.parts()?;
        let want = -places;
        let made = if exp >= want {
            if i64::from(exp) - i64::from(want) > i64::from(PRECISION) && !coeff.is_zero() {
                return Err(invalid("The number has too many digits for its places."));
            }
            if coeff.is_zero() { BigUint::zero() } else { coeff * pow10((exp - want) as u32) }
        } else if i64::from(want) - i64::from(exp) > i64::from(digits_of(coeff)) + 1 {
            BigUint::zero()
        } else {
            drop_digits(coeff, (want - exp) as u32)
        };
        if digits_of(&made) > PRECISION {
            return Err(invalid("The number has too many digits for its places."));
        }
        Ok(Decimal::finite(neg, made, want))
    }

    /// The number rounded to so many places, half to even, without padding shorter ones.
    ///
    /// # Errors
    /// When that takes more digits than the precision.
    pub fn round_places(&self, places: i32) -> Result<Decimal> {
        let (_, _, exp) = self.parts()?;
        if exp >= -places { Ok(self.clone()) } else { self.quantize(places) }
    }

    /// The number without trailing zeros.
    #[must_use]
    pub fn normalize(&self) -> Decimal {
        match &self.0 {
            Finite { neg, coeff, .. } if coeff.is_zero() => Decimal::finite(*neg, BigUint::zero(), 0),
            _ => self.clone().round().trim_to(i32::MAX),
        }
    }

    /// Trailing zeros dropped as long as the exponent stays at or below a bound.
    fn trim_to(self, most: i32) -> Decimal {
        let Finite { neg, mut coeff, mut exp } = self.0 else { return self };
        let ten = BigUint::from(10_u32);
        while exp < most && !coeff.is_zero() && (&coeff % &ten).is_zero() {
            coeff /= &ten;
            exp += 1;
        }
        Decimal::finite(neg, coeff, exp)
    }

    /// The integer towards zero.
    pub fn to_bigint(&self) -> Option<BigInt> {
        let (coeff, exp) = self.signed().ok()?;
        if exp >= 0 {
            return Some(coeff * BigInt::from(pow10(exp.unsigned_abs())));
        }
        if exp.unsigned_abs() > digits_of(coeff.magnitude()) {
            return Some(BigInt::zero());
        }
        Some(coeff / BigInt::from(pow10(exp.unsigned_abs())))
    }

    /// The integer by a rounding.
    pub fn to_int_rounded(&self, rounding: Rounding) -> Option<BigInt> {
        let (neg, coeff, exp) = self.parts().ok()?;
        if exp >= 0 || coeff.is_zero() {
            return self.to_bigint();
        }
        let (whole, half) = if exp.unsigned_abs() > digits_of(coeff) {
            // Less than a tenth.
            (BigUint::zero(), Ordering::Less)
        } else {
            let unit = pow10(exp.unsigned_abs());
            let (whole, rem) = (coeff / &unit, coeff % &unit);
            if rem.is_zero() {
                return self.to_bigint();
            }
            (whole, (rem * 2_u32).cmp(&unit))
        };
        let up = match rounding {
            Rounding::Ceiling => !neg,
            Rounding::Floor => neg,
            Rounding::Down => false,
            Rounding::Up => true,
            Rounding::HalfDown => half == Ordering::Greater,
            Rounding::HalfUp => half != Ordering::Less,
            Rounding::HalfEven => half == Ordering::Greater || (half == Ordering::Equal && whole.bit(0)),
            Rounding::ZeroFiveUp => (&whole % 5_u32).is_zero(),
        };
        let whole = if up { whole + 1_u32 } else { whole };
        Some(BigInt::from_biguint(if neg { Sign::Minus } else { Sign::Plus }, whole))
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Finite { neg, coeff, exp } => {
                let text = format!("{}{coeff}e{exp}", if *neg { "-" } else { "" });
                text.parse().unwrap_or(f64::NAN)
            }
            Infinite { neg: false } => f64::INFINITY,
            Infinite { neg: true } => f64::NEG_INFINITY,
            NaN => f64::NAN,
        }
    }

    /// The number in positional notation, without an exponent.
    pub fn to_plain(&self) -> String {
        let Finite { neg, coeff, exp } = &self.0 else { return self.to_string() };
        let mut text = coeff.to_string();
        if *exp > 0 && !coeff.is_zero() {
            text.extend(std::iter::repeat_n('0', exp.unsigned_abs() as usize));
        } else if *exp < 0 {
            text = with_point(&text, i64::from(*exp));
        }
        if *neg { format!("-{text}") } else { text }
    }
}

fn parse_exp(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    // Far beyond what is allowed one exponent is as good as another.
    const MOST: i128 = 2_000_000_000_000_000_000;
    let mut valu = 0_i128;
    for ch in digits.chars() {
        valu = (valu * 10 + i128::from(py::decimal_digit(ch)?)).min(MOST);
    }
    let valu = i64::try_from(valu).ok()?;
    Some(if text.starts_with('-') { -valu } else { valu })
}

/// Exponents so far apart that aligning them would build a number of megabytes.
fn check_span(left: i32, right: i32) -> Result<()> {
    if (i64::from(left) - i64::from(right)).abs() > 100_000 {
        return Err(invalid("The numbers are too far apart."));
    }
    Ok(())
}

fn check_exp(exp: i64) -> Result<i32> {
    if exp.abs() > MAX_EXP {
        return Err(invalid("The number is out of range."));
    }
    i32::try_from(exp).map_err(|_| invalid("The number is out of range."))
}

/// Digits with the point `-exp` places from their end.
fn with_point(digits: &str, exp: i64) -> String {
    let places = usize::try_from(-exp).unwrap_or(0);
    if digits.len() > places {
        let (whole, frac) = digits.split_at(digits.len() - places);
        return format!("{whole}.{frac}");
    }
    format!("0.{}{digits}", "0".repeat(places - digits.len()))
}

impl fmt::Display for Decimal {
    /// Positional where that is short, scientific elsewhere (`1E+30`), as Python prints decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finite { neg, coeff, exp } = &self.0 else {
            return f.write_str(match &self.0 {
                Infinite { neg: true } => "-Infinity",
                Infinite { neg: false } => "Infinity",
                _ => "NaN",
            });
        };
        let digits = coeff.to_string();
        let adjusted = i64::from(*exp) + digits.len() as i64 - 1;
        if *neg {
            f.write_str("-")?;
        }
        if *exp <= 0 && adjusted >= -6 {
            return f.write_str(&if *exp < 0 { with_point(&digits, i64::from(*exp)) } else { digits });
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{first}{point}{rest}E{}{}", if adjusted < 0 { '-' } else { '+' }, adjusted.abs())
    }
}

impl From<i64> for Decimal {
    fn from(valu: i64) -> Decimal {
        Decimal::finite(valu < 0, BigUint::from(valu.unsigned_abs()), 0)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        match (&self.0, &other.0) {
            (NaN, _) | (_, NaN) => None,
            (Infinite { neg: left }, Infinite { neg: right }) => Some(right.cmp(left)),
            (Infinite { neg }, _) => Some(if *neg { Ordering::Less } else { Ordering::Greater }),
            (_, Infinite { neg }) => Some(if *neg { Ordering::Greater } else { Ordering::Less }),
            (Finite { .. }, Finite { .. }) => Some(self.cmp_finite(other)),
        }
    }
}

impl Decimal {
    fn cmp_finite(&self, other: &Decimal) -> Ordering {
        let (Ok((lneg, left, lexp)), Ok((rneg, right, rexp))) = (self.parts(), other.parts()) else {
            return Ordering::Equal;
        };
        let sign = |neg: bool, coeff: &BigUint| if coeff.is_zero() { 0 } else { 1 - 2 * i8::from(neg) };
        let (lsign, rsign) = (sign(lneg, left), sign(rneg, right));
        if lsign != rsign || lsign == 0 {
            return lsign.cmp(&rsign);
        }
        // The size of the leading digit decides first, so that far exponents are never aligned.
        let lead = |coeff: &BigUint, exp: i32| i64::from(digits_of(coeff)) + i64::from(exp);
        let size = lead(left, lexp).cmp(&lead(right, rexp)).then_with(|| {
            let exp = lexp.min(rexp);
            let (left, right) = (left * pow10((lexp - exp) as u32), right * pow10((rexp - exp) as u32));
            left.cmp(&right)
        });
        if lsign < 0 { size.reverse() } else { size }
    }
}

/// Powers that are no integers, through logarithms in fixed point.
mod transcendental {
    use super::{BigInt, Decimal, One, PRECISION, Result, Zero, invalid, pow10};

    /// Digits after the point in fixed point: the precision, and guards for the exponent's size and the series.
    const SCALE: u32 = PRECISION + 40;

    fn unit() -> BigInt {
        BigInt::from(pow10(SCALE))
    }

    fn fixed(valu: &Decimal) -> Result<BigInt> {
        let (coeff, exp) = valu.signed()?;
        let shift = i64::from(exp) + i64::from(SCALE);
        Ok(match u32::try_from(shift) {
            Ok(up) => coeff * BigInt::from(pow10(up)),
            Err(_) => coeff / BigInt::from(pow10(u32::try_from(-shift).unwrap_or(u32::MAX).min(1_000_000))),
        })
    }

    /// The natural logarithm of a positive number in fixed point with a mantissa near one: `2 artanh((m-1)/(m+1))`.
    fn ln_near_one(mantissa: &BigInt) -> BigInt {
        let one = unit();
        let ratio = (mantissa - &one) * &one / (mantissa + &one);
        let square = &ratio * &ratio / &one;
        let (mut power, mut sum, mut nth) = (ratio.clone(), BigInt::zero(), 1_u32);
        while !power.is_zero() {
            sum += &power / nth;
            power = power * &square / &one;
            nth += 2;
        }
        sum * 2
    }

    pub fn pow(base: &Decimal, exponent: &Decimal) -> Result<Decimal> {
        let (coeff, exp) = base.signed()?;
        let digits = i64::from(super::digits_of(coeff.magnitude()));
        let tens = i64::from(exp) + digits;
        let one = unit();
        let mantissa = coeff * &one / BigInt::from(pow10(digits as u32));
        let ln10 = ln_near_one(&(&one * 10));
        let ln = ln_near_one(&mantissa) + &ln10 * tens;
        let raised = ln * fixed(exponent)? / &one;
        // e^raised = 10^whole * e^rest, with rest small enough for the plain series.
        let whole = &raised / &ln10;
        let rest = &raised - &whole * &ln10;
        let whole: i64 = i64::try_from(&whole).map_err(|_| invalid("The power is out of range."))?;
        let (mut term, mut sum, mut nth) = (one.clone(), BigInt::zero(), BigInt::one());
        while !term.is_zero() {
            sum += &term;
            term = term * &rest / &one / &nth;
            nth += 1;
        }
        let exp = super::check_exp(whole - i64::from(SCALE))?;
        Ok(Decimal::new(&sum, exp).round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    #[test]
    fn places_are_kept_as_given() {
        for (text, want) in [
            ("1.10", "1.10"),
            ("1e30", "1E+30"),
            ("0.0000001", "1E-7"),
            ("-0", "-0"),
            ("12e-3", "0.012"),
            ("inf", "Infinity"),
        ] {
            assert_eq!(dec(text).to_string(), want);
        }
        assert_eq!(dec("1e3").to_plain(), "1000");
        assert_eq!(dec("1.500").normalize().to_plain(), "1.5");
    }

    #[test]
    fn arithmetic_keeps_49_digits() {
        assert_eq!(dec("1").div(&dec("3")).expect("third").to_string(), format!("0.{}", "3".repeat(49)));
        assert_eq!(dec("2").div(&dec("3")).expect("thirds").to_string(), format!("0.{}7", "6".repeat(48)));
        assert_eq!(dec("6").div(&dec("2")).expect("three").to_string(), "3");
        assert_eq!(dec("1.20").add(&dec("3")).expect("sum").to_string(), "4.20");
        assert_eq!(dec("-7").div_rem(&dec("3")).expect("rem").1.to_string(), "-1");
        assert!(dec("1").div(&dec("0")).is_err());
    }

    #[test]
    fn powers_of_every_kind() {
        assert_eq!(dec("2").pow(&dec("10")).expect("power").to_string(), "1024");
        assert_eq!(dec("2").pow(&dec("-1")).expect("power").to_string(), "0.5");
        let root = dec("2").pow(&dec("0.5")).expect("root").to_string();
        assert!(root.starts_with("1.41421356237309504880168872420969807856967187537"), "{root}");
        assert!(dec("-2").pow(&dec("0.5")).is_err());
    }

    #[test]
    fn integers_by_every_rounding() {
        let of = |text: &str, name: &str| {
            let rounding = Rounding::from_name(name).expect("a rounding");
            dec(text).to_int_rounded(rounding).and_then(|whole| i64::try_from(whole).ok())
        };
        assert_eq!((of("2.5", "ROUND_HALF_EVEN"), of("3.5", "ROUND_HALF_EVEN")), (Some(2), Some(4)));
        assert_eq!((of("-2.5", "ROUND_HALF_UP"), of("-2.5", "ROUND_HALF_DOWN")), (Some(-3), Some(-2)));
        assert_eq!((of("-2.1", "ROUND_CEILING"), of("-2.1", "ROUND_FLOOR")), (Some(-2), Some(-3)));
        assert_eq!(
            (of("5.1", "ROUND_05UP"), of("6.9", "ROUND_05UP"), of("1e-9", "ROUND_UP")),
            (Some(6), Some(6), Some(1))
        );
    }

    #[test]
    fn order_crosses_exponents() {
        assert!(dec("1e10") > dec("9999999999"));
        assert!(dec("-1") < dec("0.1"));
        assert!(dec("1.0") == dec("1"));
        assert!(dec("nan").partial_cmp(&dec("1")).is_none());
    }
}
