//! Methods of bytes.

use myelin_model::types::py;
use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, TypeDef, trim_text};
use crate::libs::help::{self, bytes_item, bytes_of, slice_range};
use crate::libs::{compression, jsontext, pystruct};
use crate::rt::Rt;

/// Bytes.
pub static TYPE: TypeDef = TypeDef {
    name: "bytes",
    funcs: &[
        FuncDef::ro("xor", &[Arg::req("key")], xor),
        FuncDef::ro(
            "decode",
            &[Arg::opt("encoding", Dflt::Str("utf8")), Arg::opt("errors", Dflt::Str("surrogatepass"))],
            decode,
        ),
        FuncDef::rw("bunzip", &[], |_, this, _| compression::run(this, "bzip2 decompression", compression::bunzip)),
        FuncDef::rw("gunzip", &[], |_, this, _| compression::run(this, "gzip decompression", compression::gunzip)),
        FuncDef::ro("bzip", &[], |_, this, _| compression::run(this, "bzip2 compression", compression::bzip)),
        FuncDef::ro("gzip", &[], |_, this, _| compression::run(this, "gzip compression", compression::gzip)),
        FuncDef::ro("json", &[Arg::opt("encoding", Dflt::Null), Arg::opt("errors", Dflt::Str("surrogatepass"))], json),
        FuncDef::ro("slice", &[Arg::req("start"), Arg::opt("end", Dflt::Null)], slice),
        FuncDef::ro("unpack", &[Arg::req("fmt"), Arg::opt("offset", Dflt::Int(0))], unpack),
    ],
    getters: &[],
    setters: &[],
};

fn slice(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let byts = bytes_of(this).unwrap_or_default();
    let range = slice_range(byts.len(), args.int(rt, 0)?, args.opt_int(rt, 1)?);
    Ok(bytes_item(&byts[range]))
}

fn unpack(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let byts = bytes_of(this).unwrap_or_default();
    Ok(Item::Val(Value::list(pystruct::unpack_from(&args.str(rt, 0)?, &byts, args.int(rt, 1)?)?)))
}

fn not_text(byts: &[u8]) -> crate::Ctl {
    let mesg = format!("The bytes cannot be decoded: {}", trim_text(&py::repr_text(&Value::from(byts))));
    myelin_error::err!("StormRuntimeError", mesg = mesg).into()
}

fn decode(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let byts = bytes_of(this).unwrap_or_default();
    match help::decode(&byts, &args.str(rt, 0)?, &args.str(rt, 1)?)? {
        Some(valu) => Ok(Item::Val(valu)),
        None => Err(not_text(&byts)),
    }
}

fn json(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let byts = bytes_of(this).unwrap_or_default();
    let encoding = args.opt_str(rt, 0)?;
    let encoding = encoding.as_deref().unwrap_or_else(|| detect(&byts));
    match help::decode(&byts, encoding, &args.str(rt, 1)?)? {
        Some(Value::Str(text)) => Ok(Item::deep(&jsontext::loads(&text)?)),
        _ => Err(not_text(&byts)),
    }
}

/// The Unicode encoding of JSON bytes, by their mark or by where their zeros are.
fn detect(byts: &[u8]) -> &'static str {
    match byts {
        [0, 0, 0xfe, 0xff, ..] | [0xff, 0xfe, 0, 0, ..] => "utf-32",
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => "utf-16",
        [0xef, 0xbb, 0xbf, ..] => "utf-8-sig",
        [0, second, _, _, ..] => {
            if *second == 0 {
                "utf-32-be"
            } else {
                "utf-16-be"
            }
        }
        [_, 0, third, fourth, ..] => {
            if *third == 0 && *fourth == 0 {
                "utf-32-le"
            } else {
                "utf-16-le"
            }
        }
        [0, _] => "utf-16-be",
        [_, 0] => "utf-16-le",
        _ => "utf-8",
    }
}

fn xor(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let key = match args.prim(rt, 0)? {
        Value::Bytes(byts) => byts.to_vec(),
        Value::Str(text) => text.as_bytes().to_vec(),
        _ => crate::fail!("BadArg", mesg = "$bytes.xor() key argument must be bytes or a str."),
    };
    if key.is_empty() {
        crate::fail!("BadArg", mesg = "$bytes.xor() key length must be greater than 0.");
    }
    let byts = bytes_of(this).unwrap_or_default();
    Ok(bytes_item(byts.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect::<Vec<u8>>()))
}
