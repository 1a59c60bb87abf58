//! `$lib.base64`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use myelin_value::Value;

use super::help::{bytes_item, bytes_of};
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, trim_text};
use crate::registry::LibDef;
use crate::rt::Rt;

const ARGS: &[Arg] = &[Arg::req("valu"), Arg::opt("urlsafe", Dflt::Bool(true))];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "base64",
    funcs: &[FuncDef::ro("encode", ARGS, encode), FuncDef::ro("decode", ARGS, decode)],
    consts: &[],
};

fn bad(rt: &Rt, what: &str, why: &str, args: &Args, urlsafe: bool) -> crate::Ctl {
    let shown = args.item(0).torepr(rt, false).unwrap_or_default();
    let mesg = format!("Error during base64 {what} - {why}: {}", trim_text(&shown));
    myelin_error::err!("StormRuntimeError", mesg = mesg, urlsafe = urlsafe).into()
}

fn encode(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let urlsafe = args.bool(rt, 1)?;
    match bytes_of(args.item(0)) {
        Some(byts) => Ok(Item::from(if urlsafe { URL_SAFE.encode(byts) } else { STANDARD.encode(byts) })),
        None => Err(bad(rt, "encoding", "a bytes-like object is required", &args, urlsafe)),
    }
}

/// Lenient decoding as Python has it: what is no digit is passed over, a full pad ends the text, bits past the last
/// byte do not matter.
///
/// # Errors
/// Why it is no base64.
pub fn decode_lenient(text: &[u8], urlsafe: bool) -> Result<Vec<u8>, &'static str> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (mut digits, mut pads): (Vec<u8>, usize) = (Vec::new(), 0);
    for byte in text {
        let byte = match *byte {
            b'-' if urlsafe => b'+',
            b'_' if urlsafe => b'/',
            other => other,
        };
        match byte {
            b'=' => {
                pads += 1;
                if digits.len() % 4 >= 2 && digits.len() % 4 + pads >= 4 {
                    break;
                }
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/' => {
                digits.push(byte);
                pads = 0;
            }
            _ => {}
        }
    }
    match digits.len() % 4 {
        1 => {
            return Err(
                "Invalid base64-encoded string: the number of data characters cannot be 1 more than a multiple of 4",
            );
        }
        left @ (2 | 3) if left + pads < 4 => return Err("Incorrect padding"),
        _ => {}
    }
    ENGINE.decode(&digits).map_err(|_| "Invalid base64-encoded string")
}

fn decode(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let urlsafe = args.bool(rt, 1)?;
    let text = match args.item(0) {
        Item::Val(Value::Str(text)) if text.is_ascii() => text.as_bytes().to_vec(),
        Item::Val(Value::Bytes(byts)) => byts.to_vec(),
        _ => return Err(bad(rt, "decoding", "the argument should be bytes or an ASCII string", &args, urlsafe)),
    };
    match decode_lenient(&text, urlsafe) {
        Ok(byts) => Ok(bytes_item(byts)),
        Err(why) => Err(bad(rt, "decoding", why, &args, urlsafe)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_digit_is_passed_over() {
        assert_eq!(decode_lenient(b"Zm9v\nYmFy", true).expect("valid"), b"foobar");
        assert_eq!(decode_lenient(b"_-8=", true).expect("valid"), [0xff, 0xef]);
        assert_eq!(decode_lenient(b"Zg==", false).expect("valid"), b"f");
        assert!(decode_lenient(b"Zg", false).is_err());
        assert!(decode_lenient(b"Zg=", false).is_err());
        assert!(decode_lenient(b"Zm9vY", false).is_err());
    }
}
