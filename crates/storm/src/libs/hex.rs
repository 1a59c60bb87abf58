//! `$lib.hex`: bytes and integers as hexadecimal text.

use myelin_value::{BigInt, Value};

use super::help::{bytes_item, bytes_of};
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

const VALU: &[Arg] = &[Arg::req("valu")];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "hex",
    funcs: &[
        FuncDef::ro("encode", VALU, |_, _, args| match bytes_of(args.item(0)) {
            Some(byts) => Ok(Item::from(hex::encode(byts))),
            None => crate::fail!("BadArg", mesg = "$lib.hex.encode() requires a bytes argument."),
        }),
        FuncDef::ro("decode", VALU, |rt, _, args| Ok(bytes_item(unhex("decode", &args.str(rt, 0)?)?))),
        FuncDef::ro("toint", &[Arg::req("valu"), Arg::opt("signed", Dflt::Bool(false))], toint),
        FuncDef::ro("fromint", &[Arg::req("valu"), Arg::req("length"), Arg::opt("signed", Dflt::Bool(false))], fromint),
        FuncDef::ro("trimext", VALU, trimext),
        FuncDef::ro("signext", &[Arg::req("valu"), Arg::req("length")], signext),
    ],
    consts: &[],
};

fn unhex(name: &str, text: &str) -> Flow<Vec<u8>> {
    match hex::decode(text) {
        Ok(byts) => Ok(byts),
        Err(error) => crate::fail!("BadArg", mesg = format!("$lib.hex.{name}(): {error}")),
    }
}

fn toint(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let byts = unhex("toint", &args.str(rt, 0)?)?;
    let int = if args.bool(rt, 1)? {
        BigInt::from_signed_bytes_be(&byts)
    } else {
        BigInt::from_bytes_be(num_bigint::Sign::Plus, &byts)
    };
    Ok(Item::Val(Value::from(int)))
}

/// The most bytes an integer may take.
const MAX_LENGTH: i64 = 1 << 20;

fn fromint(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let int = args.item(0).toint(rt)?.to_bigint().unwrap_or_default();
    let (length, signed) = (args.int(rt, 1)?, args.bool(rt, 2)?);
    let bad = |why: &str| myelin_error::err!("BadArg", mesg = format!("$lib.hex.fromint(): {why}"));
    let length =
        usize::try_from(length.min(MAX_LENGTH + 1)).map_err(|_| bad("length argument must be non-negative"))?;
    if i64::try_from(length).is_ok_and(|length| length > MAX_LENGTH) {
        return Err(bad("the length is too large").into());
    }
    let minus = int.sign() == num_bigint::Sign::Minus;
    if minus && !signed {
        return Err(bad("can't convert negative int to unsigned").into());
    }
    let mut byts = if signed { int.to_signed_bytes_le() } else { int.to_bytes_le().1 };
    if int == BigInt::from(0) {
        byts.clear();
    }
    if byts.len() > length {
        return Err(bad("int too big to convert").into());
    }
    byts.resize(length, if minus { 0xff } else { 0 });
    byts.reverse();
    Ok(Item::from(hex::encode(byts)))
}

fn trimext(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let text = args.str(rt, 0)?;
    unhex("trimext", &text)?;
    let mut part = &*text;
    while let Some(head) = part.get(..4) {
        let bits = u16::from_str_radix(head, 16).unwrap_or(1 << 7) >> 7;
        if bits != 0 && bits != 511 {
            break;
        }
        part = &part[2..];
    }
    Ok(Item::from(part))
}

fn signext(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (text, length) = (args.str(rt, 0)?, args.int(rt, 1)?);
    let Some(digit) = text.chars().next().and_then(|ch| ch.to_digit(16)) else {
        crate::fail!("BadArg", mesg = "$lib.hex.signext(): the value is no hexadecimal text");
    };
    let fill = if digit >> 3 == 0 { "0" } else { "f" };
    let length = usize::try_from(length.min(MAX_LENGTH)).unwrap_or(0);
    Ok(Item::from(format!("{}{text}", fill.repeat(length.saturating_sub(text.chars().count())))))
}
