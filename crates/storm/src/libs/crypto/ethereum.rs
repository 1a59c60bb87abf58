//! `$lib.crypto.coin.ethereum`.

use myelin_value::Value;

use super::keccak::keccak256;
use crate::item::{Arg, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "crypto.coin.ethereum",
    funcs: &[FuncDef::ro("eip55", &[Arg::req("addr")], |rt, _, args| {
        let addr = args.str(rt, 0)?.to_lowercase();
        let made = eip55(addr.strip_prefix("0x").unwrap_or(&addr));
        let ok = made.is_some();
        Ok(Item::Val(Value::list([Value::from(ok), made.map_or(Value::Null, Value::from)])))
    })],
    consts: &[],
};

/// An address whose letters are large where the hash of it says so.
pub fn eip55(body: &str) -> Option<String> {
    let body = body.to_lowercase();
    let hash = hex::encode(keccak256(body.as_bytes()));
    let mut out = String::from("0x");
    for (ch, nibble) in body.chars().zip(hash.chars().chain(std::iter::repeat('0'))) {
        match ch {
            '0'..='9' => out.push(ch),
            'a'..='f' if nibble > '7' => out.push(ch.to_ascii_uppercase()),
            'a'..='f' => out.push(ch),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_carry_the_checksum() {
        let want = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(eip55("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed").as_deref(), Some(want));
        assert_eq!(eip55("newp"), None);
    }
}
