//! `$lib.crypto.hashes` and `$lib.crypto.hmac`.

use hmac::{Mac, SimpleHmac};
use md5::Md5;
use myelin_error::err;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::libs::help::{bytes_item, bytes_of};
use crate::registry::LibDef;
use crate::rt::Rt;

const BYTS: &[Arg] = &[Arg::req("byts")];

/// Hashes of bytes.
pub static HASHES: LibDef = LibDef {
    path: "crypto.hashes",
    funcs: &[
        FuncDef::ro("md5", BYTS, |_, _, args| digest::<Md5>(&args)),
        FuncDef::ro("sha1", BYTS, |_, _, args| digest::<Sha1>(&args)),
        FuncDef::ro("sha256", BYTS, |_, _, args| digest::<Sha256>(&args)),
        FuncDef::ro("sha512", BYTS, |_, _, args| digest::<Sha512>(&args)),
    ],
    consts: &[],
};

fn digest<D: Digest>(args: &Args) -> Flow<Item> {
    match bytes_of(args.item(0)) {
        Some(byts) => Ok(Item::from(hex::encode(D::digest(&byts)))),
        None => crate::fail!("BadArg", mesg = "Only bytes can be hashed.", name = "byts"),
    }
}

/// Keyed hashes.
pub static HMAC: LibDef = LibDef {
    path: "crypto.hmac",
    funcs: &[FuncDef::ro(
        "digest",
        &[Arg::req("key"), Arg::req("mesg"), Arg::opt("alg", Dflt::Str("sha256"))],
        hmac_digest,
    )],
    consts: &[],
};

fn hmac_digest(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let req = |indx: usize, name: &str| -> Flow<std::sync::Arc<[u8]>> {
        match bytes_of(&Item::Val(args.prim(rt, indx)?)) {
            Some(byts) => Ok(byts),
            None => crate::fail!("BadArg", mesg = format!("{name} is not bytes."), name = name),
        }
    };
    let (key, mesg) = (req(0, "key")?, req(1, "mesg")?);
    let alg = args.str(rt, 2)?;
    match hmac(&alg.to_lowercase(), &key, &mesg) {
        Some(byts) => Ok(bytes_item(byts)),
        None => Err(err!("BadArg", mesg = format!("Invalid hmac algorithm provided: {alg}"), alg = alg).into()),
    }
}

fn mac<D>(key: &[u8], mesg: &[u8]) -> Option<Vec<u8>>
where
    D: Digest + hmac::digest::core_api::BlockSizeUser,
{
    let mut mac = <SimpleHmac<D> as Mac>::new_from_slice(key).ok()?;
    mac.update(mesg);
    Some(mac.finalize().into_bytes().to_vec())
}

/// The keyed hash of a message; nothing for an algorithm that is not known.
pub fn hmac(alg: &str, key: &[u8], mesg: &[u8]) -> Option<Vec<u8>> {
    match alg {
        "md5" => mac::<Md5>(key, mesg),
        "sha1" => mac::<Sha1>(key, mesg),
        "sha224" => mac::<Sha224>(key, mesg),
        "sha256" => mac::<Sha256>(key, mesg),
        "sha384" => mac::<Sha384>(key, mesg),
        "sha512" => mac::<Sha512>(key, mesg),
        _ => None,
    }
}

/// A hash that keys sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl Hash {
    /// By name.
    ///
    /// # Errors
    /// `BadArg`.
    pub fn req(name: &str) -> Flow<Hash> {
        match name.to_lowercase().as_str() {
            "sha256" => Ok(Hash::Sha256),
            "sha384" => Ok(Hash::Sha384),
            "sha512" => Ok(Hash::Sha512),
            _ => Err(err!("BadArg", mesg = format!("Invalid hash algorithm: {name}"), hashalgo = name).into()),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha256",
            Hash::Sha384 => "sha384",
            Hash::Sha512 => "sha512",
        }
    }

    /// How many bytes it has.
    pub fn size(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }

    /// The hash of bytes.
    pub fn digest(self, byts: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(byts).to_vec(),
            Hash::Sha384 => Sha384::digest(byts).to_vec(),
            Hash::Sha512 => Sha512::digest(byts).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let have = hmac("md5", b"Jefe", b"what do ya want for nothing?").expect("known");
        assert_eq!(hex::encode(have), "750c783e6ab0b503eaa86e310a5db738");
        assert!(hmac("newp", b"a", b"b").is_none());
    }
}
