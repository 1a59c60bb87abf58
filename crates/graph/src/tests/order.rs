//! The order of index keys is the order of the values.

use std::cmp::Ordering;

use myelin_model::StorType;
use myelin_model::types::{Decimal, py};
use myelin_value::{BigInt, Value};

use crate::index::encode_item;

/// Numbers, the same at every run.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// An integer of up to so many bits, small and large ones alike.
    fn int(&mut self, bits: u32, signed: bool) -> Value {
        let wide = (u128::from(self.next()) << 64) | u128::from(self.next());
        let size = u32::try_from(self.next() % u64::from(bits)).unwrap_or(0) + 1 - u32::from(signed);
        let valu = BigInt::from(if size == 0 { 0 } else { wide >> (128 - size) });
        Value::from(if signed && self.next().is_multiple_of(2) { -valu } else { valu })
    }
}

fn key(stor: StorType, valu: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode_item(stor, valu, &mut out).unwrap_or_else(|error| panic!("{stor:?} {valu:?}: {error}"));
    out
}

fn check(stor: StorType, mut make: impl FnMut() -> Value, order: impl Fn(&Value, &Value) -> Ordering) {
    for _ in 0..4000 {
        let (left, right) = (make(), make());
        let have = key(stor, &left).cmp(&key(stor, &right));
        assert_eq!(have, order(&left, &right), "{stor:?}: {left:?} and {right:?}");
    }
}

fn numbers(left: &Value, right: &Value) -> Ordering {
    py::cmp(left, right).expect("numbers have an order")
}

#[test]
fn integers_and_times() {
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let kinds = [
        (StorType::U8, 8, false),
        (StorType::U16, 16, false),
        (StorType::U32, 32, false),
        (StorType::U64, 64, false),
        (StorType::U128, 128, false),
        (StorType::I8, 8, true),
        (StorType::I16, 16, true),
        (StorType::I32, 32, true),
        (StorType::I64, 64, true),
        (StorType::I128, 128, true),
        (StorType::TIME, 64, true),
        (StorType::MINTIME, 64, true),
        (StorType::MAXTIME, 64, true),
    ];
    for (stor, bits, signed) in kinds {
        check(stor, || rng.int(bits, signed), numbers);
    }
}

#[test]
fn intervals_go_by_their_start_and_then_their_end() {
    let mut rng = Rng(0x1234_5678_9abc_def1);
    let by_parts = |left: &Value, right: &Value| numbers(left, right);
    check(StorType::IVAL, || Value::list([rng.int(4, true), rng.int(64, true)]), by_parts);
}

#[test]
fn floats_that_are_not_negative() {
    // Negative ones lie behind them, from zero down: lifts make up for that.
    let mut rng = Rng(0xdead_beef_0bad_f00d);
    let mut float = || Value::from(f64::from_bits(rng.next() >> 2));
    check(StorType::FLOAT64, &mut float, numbers);
}

#[test]
fn decimals() {
    let mut rng = Rng(0x0dd0_5eed_1357_9bdf);
    let mut huge = || {
        let coeff = rng.int(70, true).to_bigint().expect("an integer");
        let exp = -i32::try_from(rng.next() % 24).unwrap_or(0);
        Value::from(Decimal::new(&coeff, exp).normalize().to_plain())
    };
    let order = |left: &Value, right: &Value| {
        let number = |valu: &Value| Decimal::from_value(valu).expect("a number");
        number(left).partial_cmp(&number(right)).expect("an order")
    };
    check(StorType::HUGENUM, &mut huge, order);
}

#[test]
fn addresses_and_text() {
    let mut rng = Rng(0x5151_5151_5151_5151);
    let addr = |valu: &Value| {
        u128::from(valu.as_str().and_then(|text| text.parse::<std::net::Ipv6Addr>().ok()).expect("addr"))
    };
    let mut make = || {
        let wide = (u128::from(rng.next()) << 64) | u128::from(rng.next());
        Value::from(std::net::Ipv6Addr::from(wide >> (rng.next() % 128)).to_string())
    };
    check(StorType::IPV6, &mut make, |left, right| addr(left).cmp(&addr(right)));

    let mut rng = Rng(0x7777_1111_2222_3333);
    let letters = ['a', 'b', 'Z', '0', '\u{e9}', '\u{ffff}', '\u{1f600}', '\0'];
    let mut text = || -> Value {
        let size = rng.next() % 6;
        Value::from((0..size).map(|_| letters[usize::try_from(rng.next() % 8).unwrap_or(0)]).collect::<String>())
    };
    check(StorType::UTF8, &mut text, |left, right| left.as_str().cmp(&right.as_str()));
}
