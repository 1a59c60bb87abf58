//! Telephones: `tel:phone`, `tel:mob:imsi`, `tel:mob:imei`.

use std::fmt::Write as _;

use myelin_error::Result;
use myelin_value::Value;

use super::ctors::Decl;
use super::numbers::{Int, number_int};
use super::scratch::Scratch;
use super::tables::phones::country;
use super::textual::{TextOpts, TextRules, Textual};
use super::{Decimal, Norm, NormCx, Type, TypeImpl, py};
use crate::StorType;

/// `tel:phone`.
pub type Phone = Textual<PhoneRules>;

/// The rules of `tel:phone`: the digits of a number.
pub struct PhoneRules;

impl TextRules for PhoneRules {
    fn make(decl: &mut Decl<'_>) -> Result<PhoneRules> {
        decl.opts.insert("globsuffix", true);
        Ok(PhoneRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let mut digits = Scratch::new();
        digits.extend(text.chars().filter(|ch| py::is_digit(*ch)));
        // Superscripts are digits and yet no number.
        let number =
            py::int_decimal(&digits).ok_or_else(|| ty.bad_valu(&Value::from(text), "The text has no digits."))?;
        let made = Norm::new(digits.as_str());
        let mut printed = Scratch::new();
        match number {
            Value::Int(number) => drop(write!(printed, "{number}")),
            other => printed.push_str(&py::str_text(&other)),
        }
        Ok(match country(&printed) {
            Some(loc) => made.sub("loc", loc),
            None => made,
        })
    }

    fn check_int(&self, ty: &Type, valu: &Value) -> Result<()> {
        match py::cmp(valu, &Value::Int(1)) {
            Some(order) if order.is_ge() => Ok(()),
            _ => Err(ty.bad_valu(valu, "A telephone number is greater than 0.")),
        }
    }

    fn repr(&self, norm: &Value) -> Value {
        let Value::Str(text) = norm else { return norm.clone() };
        // Digits of other scripts are digits here.
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        Value::from(match ends[..] {
            [_, area, ..] if ends.len() == 11 && text.starts_with('1') => {
                let (office, line) = (ends[4], ends[7]);
                format!("+1 ({}) {}-{}", &text[area..office], &text[office..line], &text[line..])
            }
            _ => format!("+{text}"),
        })
    }
}

/// A number on a subscriber's card or in a device.
macro_rules! subscriber {
    ($(#[$doc:meta])* $kind:ident, $settle:ident) => {
        $(#[$doc])*
        pub struct $kind(Int);

        impl $kind {
            pub(super) fn new(decl: Decl<'_>) -> Result<$kind> {
                decl.opts.insert("size", 8);
                decl.opts.insert("signed", false);
                Int::new(decl).map($kind)
            }
        }

        impl TypeImpl for $kind {
            fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
                $settle(ty, self.0.parse(ty, valu)?)
            }

            fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
                $settle(ty, number_int(ty, number)?)
            }

            fn repr(&self, ty: &Type, cx: &NormCx, norm: &Value) -> Result<Value> {
                self.0.repr(ty, cx, norm)
            }

            fn merge(&self, old: &Value, new: &Value) -> Value {
                self.0.keep().merge(old, new)
            }

            fn cmpr_names(&self) -> &'static [&'static str] {
                super::cmpr::ORDERED
            }

            fn lift_names(&self) -> &'static [&'static str] {
                super::cmpr::ORDERED
            }

            fn stortype(&self) -> StorType {
                StorType::U64
            }
        }
    };
}

subscriber!(
    /// `tel:mob:imsi`: the identity of a subscriber.
    Imsi,
    norm_imsi
);
subscriber!(
    /// `tel:mob:imei`: the identity of a device.
    Imei,
    norm_imei
);

fn norm_imsi(ty: &Type, valu: Value) -> Result<Norm> {
    let text = py::str_text(&valu);
    if text.len() > 15 {
        return Err(ty.bad_valu(&valu, "An IMSI has at most 15 digits."));
    }
    Ok(Norm::new(valu).sub("mcc", &text[..text.len().min(3)]))
}

fn norm_imei(ty: &Type, valu: Value) -> Result<Norm> {
    let mut text = py::str_text(&valu);
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let bad = |mesg: &str| Err(ty.bad_valu(&valu, mesg));
    match text.len() {
        14 | 15 if !plain => return bad("An IMEI is not negative."),
        14 => text.push(check_digit(&text)),
        15 if !text.ends_with(check_digit(&text)) => return bad("The check digit of the IMEI is wrong."),
        15 => {}
        _ => return bad("An IMEI has 14 digits and a check digit."),
    }
    let part = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or(0);
    Ok(Norm::new(part(0, 15)).sub("tac", part(0, 8)).sub("serial", part(8, 14)).sub("cd", part(14, 15)))
}

/// The Luhn digit over the first 14.
fn check_digit(text: &str) -> char {
    let sum: u32 = text
        .bytes()
        .take(14)
        .enumerate()
        .map(|(indx, byte)| {
            let digit = u32::from(byte - b'0') << (indx % 2);
            digit / 10 + digit % 10
        })
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}
