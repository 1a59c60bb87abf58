//! `$lib.basex`: bytes as text in any alphabet.

use num_bigint::BigUint;

use super::help::{bytes_item, bytes_of};
use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "basex",
    funcs: &[
        FuncDef::ro("encode", &[Arg::req("byts"), Arg::req("charset")], encode),
        FuncDef::ro("decode", &[Arg::req("text"), Arg::req("charset")], decode),
    ],
    consts: &[],
};

fn encode(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let Some(byts) = bytes_of(args.item(0)) else {
        crate::fail!("BadArg", mesg = "$lib.basex.encode() requires a bytes argument.");
    };
    let charset: Vec<char> = args.str(rt, 1)?.chars().collect();
    if charset.len() < 2 {
        crate::fail!("BadArg", mesg = "$lib.basex.encode() requires a charset of two characters or more.");
    }
    let (mut num, base) = (BigUint::from_bytes_be(&byts), BigUint::from(charset.len()));
    let zero = BigUint::default();
    if num == zero {
        return Ok(Item::from(charset[0].to_string()));
    }
    let mut retn = Vec::new();
    while num != zero {
        let digit = usize::try_from(&num % &base).unwrap_or(0);
        retn.push(charset[digit]);
        num /= &base;
    }
    Ok(Item::from(retn.into_iter().rev().collect::<String>()))
}

fn decode(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (text, charset) = (args.str(rt, 0)?, args.str(rt, 1)?);
    let charset: Vec<char> = charset.chars().collect();
    let base = BigUint::from(charset.len());
    let mut num = BigUint::default();
    for ch in text.chars() {
        let Some(digit) = charset.iter().rposition(|have| *have == ch) else {
            let mesg = format!("$lib.basex.decode() string contains value not in charset: {ch}");
            crate::fail!("BadArg", mesg = mesg);
        };
        num = num * &base + BigUint::from(digit);
    }
    Ok(bytes_item(if num == BigUint::default() { Vec::new() } else { num.to_bytes_be() }))
}
