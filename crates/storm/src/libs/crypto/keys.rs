//! `$lib.crypto.rsa` and `$lib.crypto.ecc`: keys as objects.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use myelin_value::Value;

use super::der::{from_pem, to_pem};
use super::ecc::{Curve, EccKey, EccPub};
use super::hashes::Hash;
use super::rsa::{Padding, RsaKey, RsaPub};
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, StormObj, TypeDef};
use crate::libs::help::{bytes_item, req_bytes};
use crate::registry::LibDef;
use crate::rt::Rt;

const KEY: &[Arg] = &[Arg::req("key")];

/// RSA keys.
pub static RSA: LibDef = LibDef {
    path: "crypto.rsa",
    funcs: &[
        FuncDef::ro("load", KEY, |rt, _, args| load(rt, &args, true)),
        FuncDef::ro("generate", &[Arg::opt("bits", Dflt::Int(2048))], |rt, _, args| {
            let bits = args.int(rt, 0)?;
            let made = u64::try_from(bits).ok().filter(|bits| (1024..=8192).contains(bits)).map(RsaKey::generate);
            match made {
                Some(Some(key)) => Ok(Item::obj(Key::RsaKey(key))),
                Some(None) => crate::fail!("CryptoErr", mesg = "The key could not be made."),
                None => {
                    let mesg = format!("RSA key size must be between 1024 and 8192 bits, got {bits}.");
                    crate::fail!("BadArg", mesg = mesg, bits = bits)
                }
            }
        }),
    ],
    consts: &[],
};

/// Keys on elliptic curves.
pub static ECC: LibDef = LibDef {
    path: "crypto.ecc",
    funcs: &[
        FuncDef::ro("load", KEY, |rt, _, args| load(rt, &args, false)),
        FuncDef::ro("generate", &[Arg::opt("curve", Dflt::Str("P-256"))], |rt, _, args| {
            let curve = args.str(rt, 0)?;
            match Curve::by_name(&curve) {
                Some(curve) => Ok(Item::obj(Key::EccKey(EccKey::generate(curve)))),
                None => crate::fail!("BadArg", mesg = format!("Invalid ECC curve: {curve}"), curve = curve),
            }
        }),
    ],
    consts: &[],
};

/// A key of any kind.
#[derive(Clone)]
pub enum Key {
    /// A private RSA key.
    RsaKey(RsaKey),
    /// A public RSA key.
    RsaPub(RsaPub),
    /// A private key on a curve.
    EccKey(EccKey),
    /// A public key on a curve.
    EccPub(EccPub),
}

/// The bytes of a key argument: bytes, or text.
///
/// # Errors
/// `BadArg`.
pub fn req_key(rt: &Rt, item: &Item, name: &str) -> Flow<Arc<[u8]>> {
    match item.toprim(rt)? {
        Value::Bytes(byts) => Ok(byts),
        Value::Str(text) => Ok(Arc::from(text.as_bytes())),
        _ => crate::fail!("BadArg", mesg = format!("{name} must be bytes or str."), name = name),
    }
}

/// Reads a key of any kind: PEM, or the same in DER.
pub fn read(byts: &[u8]) -> Option<Key> {
    let from_private = |der: &[u8]| {
        RsaKey::from_pkcs8(der)
            .or_else(|| RsaKey::from_pkcs1(der))
            .map(Key::RsaKey)
            .or_else(|| EccKey::from_pkcs8(der).or_else(|| EccKey::from_sec1(der)).map(Key::EccKey))
    };
    let from_public = |der: &[u8]| {
        RsaPub::from_spki(der)
            .or_else(|| RsaPub::from_pkcs1(der))
            .map(Key::RsaPub)
            .or_else(|| EccPub::from_spki(der).map(Key::EccPub))
    };
    match from_pem(byts) {
        Some((label, der)) => match label.as_str() {
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => from_private(&der),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => from_public(&der),
            _ => None,
        },
        None => from_private(byts).or_else(|| from_public(byts)),
    }
}

fn load(rt: &Rt, args: &Args, rsa: bool) -> Flow<Item> {
    let byts = req_key(rt, args.item(0), "key")?;
    let kind = if rsa { "RSA" } else { "ECC" };
    if byts.windows(10).filter(|part| part == b"-----BEGIN").count() > 1 {
        crate::fail!("BadArg", mesg = "Expected a single PEM encoded key.");
    }
    match read(&byts) {
        Some(key @ (Key::RsaKey(_) | Key::RsaPub(_))) if rsa => Ok(Item::obj(key)),
        Some(key @ (Key::EccKey(_) | Key::EccPub(_))) if !rsa => Ok(Item::obj(key)),
        Some(_) => crate::fail!("BadArg", mesg = format!("Key is not an {kind} key.")),
        None => crate::fail!("BadArg", mesg = format!("Invalid {kind} key.")),
    }
}

impl Key {
    /// Whether it can sign.
    pub fn is_private(&self) -> bool {
        matches!(self, Key::RsaKey(_) | Key::EccKey(_))
    }

    /// The public half.
    pub fn public(&self) -> Key {
        match self {
            Key::RsaKey(key) => Key::RsaPub(key.public.clone()),
            Key::EccKey(key) => Key::EccPub(key.public.clone()),
            public => public.clone(),
        }
    }

    /// Its DER form.
    pub fn to_der(&self) -> Vec<u8> {
        match self {
            Key::RsaKey(key) => key.to_pkcs8(),
            Key::RsaPub(key) => key.to_spki(),
            Key::EccKey(key) => key.to_pkcs8(),
            Key::EccPub(key) => key.to_spki(),
        }
    }

    /// Its PEM form.
    pub fn to_pem(&self) -> String {
        to_pem(if self.is_private() { "PRIVATE KEY" } else { "PUBLIC KEY" }, &self.to_der())
    }
}

fn padding(name: &str) -> Flow<Padding> {
    match name.to_lowercase().as_str() {
        "pkcs1v15" => Ok(Padding::Pkcs1),
        "pss" => Ok(Padding::PssMax),
        _ => crate::fail!("BadArg", mesg = format!("Invalid padding scheme: {name}"), padding = name),
    }
}

const PADDING: Arg = Arg::opt("padding", Dflt::Str("pss"));
const HASHALGO: Arg = Arg::opt("hashalgo", Dflt::Str("sha256"));
const ENCODE: FuncDef = FuncDef::ro("encode", &[Arg::opt("fmt", Dflt::Str("pem"))], encode);
const PUBKEY: FuncDef = FuncDef::ro("pubkey", &[], |_, this, _| match this.as_obj::<Key>() {
    Some(key) if key.is_private() => Ok(Item::obj(key.public())),
    _ => crate::fail!("BadArg", mesg = format!("The {} is already public-only.", this.type_name())),
});
const IS_PRIVATE: crate::item::Getter = |_, this| Ok(Item::from(this.as_obj::<Key>().is_some_and(Key::is_private)));

pub(super) static RSA_TYPE: TypeDef = TypeDef {
    name: "crypto:rsa:key",
    funcs: &[
        ENCODE,
        PUBKEY,
        FuncDef::ro("sign", &[Arg::req("byts"), PADDING, HASHALGO], |rt, this, args| {
            let pad = args.str(rt, 1)?;
            sign(rt, this, &args, &pad, &args.str(rt, 2)?)
        }),
        FuncDef::ro("verify", &[Arg::req("byts"), Arg::req("signature"), PADDING, HASHALGO], |rt, this, args| {
            let pad = args.str(rt, 2)?;
            verify(rt, this, &args, &pad, &args.str(rt, 3)?)
        }),
    ],
    getters: &[("isPrivate", IS_PRIVATE)],
    setters: &[],
};

pub(super) static ECC_TYPE: TypeDef = TypeDef {
    name: "crypto:ecc:key",
    funcs: &[
        ENCODE,
        PUBKEY,
        FuncDef::ro("sign", &[Arg::req("byts"), HASHALGO], |rt, this, args| {
            sign(rt, this, &args, "pss", &args.str(rt, 1)?)
        }),
        FuncDef::ro("verify", &[Arg::req("byts"), Arg::req("signature"), HASHALGO], |rt, this, args| {
            verify(rt, this, &args, "pss", &args.str(rt, 2)?)
        }),
    ],
    getters: &[("isPrivate", IS_PRIVATE)],
    setters: &[],
};

fn encode(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let fmt = args.str(rt, 0)?;
    let Some(key) = this.as_obj::<Key>() else { return Ok(Item::NULL) };
    match fmt.to_lowercase().as_str() {
        "pem" => Ok(Item::from(key.to_pem())),
        "der" => Ok(bytes_item(key.to_der())),
        _ => crate::fail!("BadArg", mesg = format!("Invalid key encoding format: {fmt}"), fmt = fmt),
    }
}

fn sign(rt: &Rt, this: &Item, args: &Args, pad: &str, hashalgo: &str) -> Flow<Item> {
    let Some(key) = this.as_obj::<Key>().filter(|key| key.is_private()) else {
        crate::fail!("BadArg", mesg = "Cannot sign with a public key.");
    };
    let byts = req_bytes(rt, args.item(0), "byts")?;
    let (pad, hash) = (padding(pad)?, Hash::req(hashalgo)?);
    let made = match key {
        Key::RsaKey(key) => key.sign(&byts, pad, hash).map_err(str::to_owned),
        Key::EccKey(key) => key.sign(&byts, hash),
        _ => Err("the key is public".to_owned()),
    };
    match made {
        Ok(sign) => Ok(bytes_item(sign)),
        Err(why) => Err(err!("CryptoErr", mesg = format!("Signing failed: {why}")).into()),
    }
}

fn verify(rt: &Rt, this: &Item, args: &Args, pad: &str, hashalgo: &str) -> Flow<Item> {
    let byts = req_bytes(rt, args.item(0), "byts")?;
    let sign = req_bytes(rt, args.item(1), "signature")?;
    let (pad, hash) = (padding(pad)?, Hash::req(hashalgo)?);
    let Some(key) = this.as_obj::<Key>() else { return Ok(Item::NULL) };
    Ok(Item::from(match key.public() {
        Key::RsaPub(key) => key.verify(&byts, &sign, pad, hash),
        Key::EccPub(key) => key.verify(&byts, &sign, hash),
        _ => false,
    }))
}

impl StormObj for Key {
    fn type_name(&self) -> &'static str {
        self.type_def().map_or("", |def| def.name)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(match self {
            Key::RsaKey(_) | Key::RsaPub(_) => &RSA_TYPE,
            Key::EccKey(_) | Key::EccPub(_) => &ECC_TYPE,
        })
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Value::from(self.to_pem()))
    }
}
