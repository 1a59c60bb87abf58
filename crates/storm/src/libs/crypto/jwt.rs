//! `$lib.crypto.jwt`: JSON web tokens, signed (JWS). Encrypted ones are recognised and refused.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};
use parking_lot::Mutex;
use serde_json::json;

use super::ecc::Curve;
use super::hashes::{Hash, hmac};
use super::jwk::{from_base64url, to_base64url, to_key};
use super::keys::{Key, read, req_key};
use super::rsa::Padding;
use crate::ctl::{Ctl, Flow};
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::libs::help::list_of;
use crate::libs::jsontext;
use crate::libs::schema::Schema;
use crate::registry::LibDef;
use crate::rt::Rt;

const VERIFY: &[Arg] = &[
    Arg::req("token"),
    Arg::req("key"),
    Arg::req("algorithms"),
    Arg::opt("audience", Dflt::Null),
    Arg::opt("issuer", Dflt::Null),
    Arg::opt("subject", Dflt::Null),
    Arg::opt("leeway", Dflt::Int(0)),
    Arg::opt("typ", Dflt::Null),
    Arg::opt("requiredclaims", Dflt::Null),
    Arg::opt("options", Dflt::Null),
    Arg::opt("jwks_uri", Dflt::Null),
    Arg::opt("ssl_verify", Dflt::Bool(true)),
    Arg::opt("ssl_opts", Dflt::Null),
    Arg::opt("proxy", Dflt::Bool(true)),
    Arg::opt("allowinternal", Dflt::Bool(false)),
];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "crypto.jwt",
    funcs: &[
        FuncDef::ro("generate", &[Arg::opt("payload", Dflt::Null)], generate),
        FuncDef::ro("parse", &[Arg::req("token")], |rt, _, args| Ok(Item::deep(&parse(&args.str(rt, 0)?)?))),
        FuncDef::ro("verify", VERIFY, verify),
    ],
    consts: &[("algorithms", |_, _| Ok(list_of(ALGS.iter().map(|alg| alg.name))))],
};

enum Kind {
    Hmac,
    Rsa,
    RsaPss,
    Ecc(Curve),
}

struct Alg {
    name: &'static str,
    kind: Kind,
    hash: Hash,
}

const fn alg(name: &'static str, kind: Kind, hash: Hash) -> Alg {
    Alg { name, kind, hash }
}

static ALGS: [Alg; 12] = [
    alg("HS256", Kind::Hmac, Hash::Sha256),
    alg("HS384", Kind::Hmac, Hash::Sha384),
    alg("HS512", Kind::Hmac, Hash::Sha512),
    alg("RS256", Kind::Rsa, Hash::Sha256),
    alg("RS384", Kind::Rsa, Hash::Sha384),
    alg("RS512", Kind::Rsa, Hash::Sha512),
    alg("PS256", Kind::RsaPss, Hash::Sha256),
    alg("PS384", Kind::RsaPss, Hash::Sha384),
    alg("PS512", Kind::RsaPss, Hash::Sha512),
    alg("ES256", Kind::Ecc(Curve::P256), Hash::Sha256),
    alg("ES384", Kind::Ecc(Curve::P384), Hash::Sha384),
    alg("ES512", Kind::Ecc(Curve::P521), Hash::Sha512),
];

/// The least bits of an RSA key.
const RSA_MIN_BITS: u64 = 2048;
/// The longest header that is looked at.
const MAX_HEADER: usize = 65536;

fn bad(mesg: impl Into<String>) -> Error {
    err!("BadArg", mesg = mesg.into())
}

fn req_alg(name: &str) -> Result<&'static Alg> {
    let found = ALGS.iter().find(|alg| alg.name == name);
    found.ok_or_else(|| bad(format!("Invalid or unsupported JWT algorithm: {name}")).with("alg", name))
}

static CLAIMS: LazyLock<Option<Schema>> = LazyLock::new(|| {
    let uri = r"^(?:[^:]*|[A-Za-z][A-Za-z0-9+.\-]*:[A-Za-z0-9\-._~:/?#\[\]@!&'()*+,;=%$]*)$";
    let text = json!({"type": "string", "pattern": uri});
    let date = json!({"type": "number", "minimum": 0});
    let schema = json!({"type": "object", "properties": {
        "iss": text, "sub": text, "aud": {"oneOf": [text, {"type": "array", "items": text}]},
        "exp": date, "nbf": date, "iat": date, "jti": {"type": "string"},
    }});
    Schema::compile(schema, false).ok()
});

const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// Refuses registered claims of the wrong kind. Claims that are no JSON are found when they are written.
fn req_claims(payload: &Map) -> Result<()> {
    let registered: Map = payload
        .text_entries()
        .filter(|(name, _)| REGISTERED.contains(name))
        .map(|(name, valu)| (name, valu.clone()))
        .collect();
    match &*CLAIMS {
        Some(schema) => match schema.check(&Value::from(registered)) {
            Ok(_) => Ok(()),
            Err(error) => Err(bad(format!("Invalid JWT payload: {}", error.message()))),
        },
        None => Err(Error::not_supported("Checking the claims of tokens")),
    }
}

fn generate(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let payload = match args.prim(rt, 0)? {
        Value::Null => Map::new(),
        Value::Map(map) => (*map).clone(),
        _ => crate::fail!("BadArg", mesg = "The JWT payload must be a dictionary."),
    };
    if payload.keys().any(|key| !key.is_text()) {
        crate::fail!("BadArg", mesg = "JWT claim names must be strings.");
    }
    req_claims(&payload)?;
    Ok(Item::obj(Jwt(Arc::new(Mutex::new(State { payload: entries(&payload), ..State::default() })))))
}

fn entries(map: &Map) -> Item {
    Item::deep(&Value::from(map.clone()))
}

struct State {
    header: Item,
    payload: Item,
    signature: Option<Vec<u8>>,
    locked: bool,
}

impl Default for State {
    fn default() -> State {
        State { header: Item::dict::<&str>([]), payload: Item::dict::<&str>([]), signature: None, locked: false }
    }
}

/// A token.
pub struct Jwt(Arc<Mutex<State>>);

pub(super) static TYPE: TypeDef = TypeDef {
    name: "crypto:jwt",
    funcs: &[FuncDef::ro("sign", &[Arg::req("key"), Arg::req("alg"), Arg::opt("fmt", Dflt::Str("compact"))], sign)],
    getters: &[
        ("header", |_, this| part(this, false)),
        ("payload", |_, this| part(this, true)),
        ("signature", |_, this| {
            let sign = this.as_obj::<Jwt>().and_then(|jwt| jwt.0.lock().signature.clone());
            Ok(sign.map(crate::libs::help::bytes_item).unwrap_or_default())
        }),
    ],
    setters: &[],
};

fn part(this: &Item, payload: bool) -> Flow<Item> {
    Ok(this.as_obj::<Jwt>().map(|jwt| Item::obj(JwtDict { jwt: jwt.0.clone(), payload })).unwrap_or_default())
}

impl StormObj for Jwt {
    fn type_name(&self) -> &'static str {
        "crypto:jwt"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Err(err!("NoSuchType", mesg = "Unable to convert object to Storm primitive.", name = "Jwt").into())
    }
}

/// The header or the payload of a token; read-only once it is signed.
pub struct JwtDict {
    jwt: Arc<Mutex<State>>,
    payload: bool,
}

impl JwtDict {
    fn dict(&self) -> Item {
        let state = self.jwt.lock();
        if self.payload { state.payload.clone() } else { state.header.clone() }
    }
}

static DICT_TYPE: TypeDef = TypeDef { name: "crypto:jwt:dict", funcs: &[], getters: &[], setters: &[] };

impl StormObj for JwtDict {
    fn type_name(&self) -> &'static str {
        "crypto:jwt:dict"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DICT_TYPE)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        self.dict().deref(rt, name).map(Some)
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        if self.jwt.lock().locked {
            crate::fail!("IsReadOnly", mesg = "The JWT is read only and may not be modified.");
        }
        let prim = name.toprim(rt)?;
        let Some(text) = prim.as_str() else {
            crate::fail!("BadArg", mesg = "JWT claim and header names must be strings.", name = prim);
        };
        if self.payload && !matches!(valu, Item::Undef) && REGISTERED.contains(&text) {
            req_claims(&Map::new().with(text, valu.toprim(rt)?))?;
        }
        self.dict().setitem(rt, name, valu)
    }

    fn setitem_readonly(&self) -> bool {
        true
    }

    fn iter(&self, rt: &Rt) -> Flow<Genr> {
        self.dict().toiter(rt)
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        self.dict().toprim(rt)
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        self.dict().torepr(rt, false)
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(self.dict().entries().map(|entries| entries.len()))
    }
}

fn sign(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let Some(jwt) = this.as_obj::<Jwt>() else { return Ok(Item::NULL) };
    let (payload, header) = {
        let state = jwt.0.lock();
        if state.locked {
            crate::fail!("BadArg", mesg = "This JWT has already been signed or loaded.");
        }
        (state.payload.clone(), state.header.clone())
    };
    let key = req_key(rt, args.item(0), "key")?;
    let (name, fmt) = (args.str(rt, 1)?, args.str(rt, 2)?.to_lowercase());
    if fmt != "compact" && fmt != "json" {
        crate::fail!("BadArg", mesg = format!("Invalid JWT serialization format: {fmt}"), fmt = fmt);
    }
    let alg = req_alg(&name)?;
    let (Value::Map(payload), Value::Map(header)) = (payload.toprim(rt)?, header.toprim(rt)?) else {
        crate::fail!("BadArg", mesg = "The JWT payload must be a dictionary.");
    };
    req_claims(&payload)?;
    let mut header = (*header).clone();
    header.insert("alg", alg.name);
    if !header.contains("typ") {
        header.insert("typ", "JWT");
    }
    let text = |map: &Map| match jsontext::dumps(&Value::from(map.clone()), false, false) {
        Ok(text) => Ok(to_base64url(text.as_bytes())),
        Err(error) => Err(bad(format!("Unable to encode JWT payload: {}", error.message()))),
    };
    let (head, body) = (text(&header)?, text(&payload)?);
    let signature = make_signature(alg, &key, format!("{head}.{body}").as_bytes())?;
    let tail = to_base64url(&signature);
    let token = if fmt == "compact" {
        format!("{head}.{body}.{tail}")
    } else {
        let json = Map::new().with("payload", body).with("protected", head).with("signature", tail);
        jsontext::dumps(&Value::from(json), false, false)?
    };
    let mut state = jwt.0.lock();
    state.header = entries(&header);
    state.signature = Some(signature);
    state.locked = true;
    Ok(Item::from(token))
}

fn req_secret(key: &[u8], hash: Hash) -> Result<()> {
    if key.windows(10).any(|part| part == b"-----BEGIN") {
        return Err(bad("An asymmetric key may not be used with an HMAC (HS*) algorithm."));
    }
    if key.len() < hash.size() {
        return Err(bad(format!("The HMAC secret must be at least {} bytes for this algorithm.", hash.size())));
    }
    Ok(())
}

fn req_bits(bits: u64) -> Result<()> {
    if bits < RSA_MIN_BITS {
        let mesg = format!("RSA keys must be at least {RSA_MIN_BITS} bits, got {bits}.");
        return Err(bad(mesg).with("bits", bits));
    }
    Ok(())
}

fn pem_only(key: &[u8]) -> Option<Key> {
    if key.windows(10).any(|part| part == b"-----BEGIN") { read(key) } else { None }
}

fn wrong_curve(alg: &Alg) -> Error {
    let mesg = format!("ECC key curve does not match the curve required for JWT algorithm {}.", alg.name);
    bad(mesg).with("alg", alg.name)
}

fn make_signature(alg: &Alg, key: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let failed = |why: String| bad(format!("The token cannot be signed: {why}"));
    match alg.kind {
        Kind::Hmac => {
            req_secret(key, alg.hash)?;
            hmac(alg.hash.name(), key, text).ok_or_else(|| bad("The HMAC cannot be computed."))
        }
        Kind::Rsa | Kind::RsaPss => {
            let Some(Key::RsaKey(key)) = pem_only(key) else { return Err(bad("Invalid RSA private key.")) };
            req_bits(key.public.bits())?;
            let padding = if matches!(alg.kind, Kind::Rsa) { Padding::Pkcs1 } else { Padding::PssDigest };
            key.sign(text, padding, alg.hash).map_err(|why| failed(why.to_owned()))
        }
        Kind::Ecc(curve) => {
            let Some(Key::EccKey(key)) = pem_only(key) else { return Err(bad("Invalid ECC private key.")) };
            if key.public.curve != curve {
                return Err(wrong_curve(alg));
            }
            key.sign_fixed(text, alg.hash).map_err(failed)
        }
    }
}

fn check_signature(alg: &Alg, key: &[u8], text: &[u8], sign: &[u8]) -> Result<bool> {
    match alg.kind {
        Kind::Hmac => {
            req_secret(key, alg.hash)?;
            let want = hmac(alg.hash.name(), key, text).unwrap_or_default();
            Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&want, sign).is_ok())
        }
        Kind::Rsa | Kind::RsaPss => {
            let Some(Key::RsaPub(key)) = pem_only(key) else { return Err(bad("Invalid RSA public key.")) };
            req_bits(key.bits())?;
            let padding = if matches!(alg.kind, Kind::Rsa) { Padding::Pkcs1 } else { Padding::PssDigest };
            Ok(key.verify(text, sign, padding, alg.hash))
        }
        Kind::Ecc(curve) => {
            let Some(Key::EccPub(key)) = pem_only(key) else { return Err(bad("Invalid ECC public key.")) };
            if key.curve != curve {
                return Err(wrong_curve(alg));
            }
            Ok(key.verify_fixed(text, sign, alg.hash))
        }
    }
}

/// The JSON object of a token that is not in the compact form.
fn json_form(text: &str) -> Option<Result<Map>> {
    let text = text.trim_start();
    text.starts_with(['{', '[']).then(|| match jsontext::loads(text) {
        Ok(Value::Map(map)) => Ok((*map).clone()),
        Ok(_) => Err(bad("JWS JSON serialization must be an object.")),
        Err(error) => Err(bad(format!("Unable to decode JWS JSON: {}", error.message()))),
    })
}

const NO_JWE: &str = "input is a JWE; JWE decryption is not supported.";

fn split(text: &str) -> Result<[String; 3]> {
    if let Some(json) = json_form(text) {
        let json = json?;
        if json.contains("ciphertext") {
            return Err(bad(NO_JWE));
        }
        if json.contains("signatures") {
            return Err(bad("General JWS JSON serialization is not supported; use the flattened form."));
        }
        let part = |name: &str| {
            let found = json.get_str(name).map(str::to_owned);
            found
                .ok_or_else(|| bad("Flattened JWS JSON must contain string protected, payload, and signature members."))
        };
        return Ok([part("protected")?, part("payload")?, part("signature")?]);
    }
    let parts: Vec<&str> = text.split('.').collect();
    match parts[..] {
        [_, _, _, _, _] => Err(bad(NO_JWE)),
        [head, body, tail] if !(head.is_empty() || body.is_empty() || tail.is_empty()) => {
            Ok([head.to_owned(), body.to_owned(), tail.to_owned()])
        }
        _ => Err(bad("JWT must contain three non-empty segments.")),
    }
}

fn json_part(text: &str, what: &str) -> Result<Map> {
    let byts = from_base64url(text)?;
    let text = std::str::from_utf8(&byts).map_err(|_| bad("Unable to decode JWT: the text is not UTF-8."))?;
    match jsontext::loads(text) {
        Ok(Value::Map(map)) => Ok((*map).clone()),
        Ok(_) => Err(bad(format!("JWT {what} must be a JSON object."))),
        Err(error) => Err(bad(format!("Unable to decode JWT: {}", error.message()))),
    }
}

fn header_of(text: &str) -> Result<Map> {
    if text.len() > MAX_HEADER {
        return Err(bad("JWT header segment is too large."));
    }
    json_part(text, "header")
}

/// Kind and header of a token, without looking at its signature.
fn parse(text: &str) -> Result<Value> {
    let made = |typ: &str, header: Map| Value::from(Map::new().with("typ", typ).with("header", header));
    let Some(json) = json_form(text) else {
        let parts: Vec<&str> = text.split('.').collect();
        return match parts.len() {
            3 => Ok(made("JWS", header_of(parts[0])?)),
            5 => Ok(made("JWE", header_of(parts[0])?)),
            _ => Err(bad("Unrecognized compact JOSE serialization.")),
        };
    };
    let json = json?;
    let (typ, prot) = if json.contains("ciphertext") {
        ("JWE", json.get("protected").cloned())
    } else if let Some(signs) = json.get("signatures") {
        ("JWS", signs.as_list().and_then(|signs| signs.first()).and_then(|sign| sign.get("protected")).cloned())
    } else if json.contains("signature") {
        ("JWS", json.get("protected").cloned())
    } else {
        return Err(bad("Unrecognized JOSE JSON serialization."));
    };
    let prot = prot.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty());
    Ok(made(typ, prot.map(header_of).transpose()?.unwrap_or_default()))
}

fn verify(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    match verified(rt, &args) {
        Ok(jwt) => Ok(Item::list([Item::from(true), Item::obj(jwt)])),
        Err(Ctl::Err(error)) => {
            let pair = Value::list([Value::from(error.name()), Value::from(error.info().clone())]);
            Ok(Item::Val(Value::list([Value::from(false), pair])))
        }
        Err(ctl) => Err(ctl),
    }
}

fn verified(rt: &Rt, args: &Args) -> Flow<Jwt> {
    let token = args.str(rt, 0)?;
    let names = args.prim(rt, 2)?;
    let Some(names) = names.as_list() else {
        crate::fail!("BadArg", mesg = "algorithms must be a list of strings.");
    };
    let mut algs = BTreeSet::new();
    for name in names {
        let Some(name) = name.as_str() else {
            crate::fail!("BadArg", mesg = "algorithms must be a list of strings.");
        };
        algs.insert(req_alg(name)?.name);
    }
    if algs.is_empty() {
        crate::fail!("BadArg", mesg = "At least one algorithm must be provided.");
    }
    let options = match args.prim(rt, 9)? {
        Value::Null => Map::new(),
        Value::Map(map) => (*map).clone(),
        _ => crate::fail!("BadArg", mesg = "options must be a dictionary."),
    };
    let leeway = args.int(rt, 6)?;
    if leeway < 0 {
        crate::fail!("BadArg", mesg = "leeway must not be negative.", leeway = leeway);
    }
    let [head, body, tail] = split(&token)?;
    let (header, payload, sign) = (json_part(&head, "header")?, json_part(&body, "payload")?, from_base64url(&tail)?);
    if let Some(crit) = header.get("crit").filter(|crit| crit.is_truthy()) {
        let mesg = "JWT contains an unsupported crit header parameter.";
        crate::fail!("BadArg", mesg = mesg, crit = crit.clone());
    }
    let Some(name) = header.get_str("alg") else {
        crate::fail!("BadArg", mesg = "JWT header is missing a string alg.");
    };
    if !algs.contains(name) {
        crate::fail!("BadArg", mesg = format!("JWT alg {name} is not in the list of allowed algorithms."), alg = name);
    }
    let alg = req_alg(name)?;
    let key = resolve_key(rt, args, &header, alg)?;
    if !check_signature(alg, &key, format!("{head}.{body}").as_bytes(), &sign)? {
        crate::fail!("BadArg", mesg = "JWT signature verification failed.");
    }
    check_claims(rt, args, &header, &payload, &options, leeway)?;
    Ok(Jwt(Arc::new(Mutex::new(State {
        header: entries(&header),
        payload: entries(&payload),
        signature: Some(sign),
        locked: true,
    }))))
}

fn resolve_key(rt: &Rt, args: &Args, header: &Map, alg: &Alg) -> Flow<Arc<[u8]>> {
    match args.prim(rt, 1)? {
        Value::Map(jwk) => Ok(Arc::from(select_jwk(&jwk, header, alg)?)),
        prim if !prim.is_null() && prim.as_str() != Some("") && prim.as_bytes() != Some(b"") => {
            req_key(rt, args.item(1), "key")
        }
        _ if args.is_null(10) => crate::fail!("BadArg", mesg = "verify requires a key or a jwks_uri."),
        _ => {
            let uri = args.str(rt, 10)?;
            if !uri.starts_with("https://") {
                crate::fail!("BadArg", mesg = "jwks_uri must be an https URL.", url = uri);
            }
            let host = uri["https://".len()..].split(['/', '?', '#', ':']).next().unwrap_or_default();
            if host.is_empty() {
                crate::fail!("BadArg", mesg = "jwks_uri is missing a host.", url = uri);
            }
            Err(Error::not_supported("Fetching keys for $lib.crypto.jwt.verify() by jwks_uri").into())
        }
    }
}

fn pick_jwk<'a>(set: &'a Map, header: &Map) -> Result<&'a Map> {
    let Some(keys) = set.get("keys") else { return Ok(set) };
    let Some(keys) = keys.as_list() else { return Err(bad("JWKS keys must be a list.")) };
    let cands: Vec<&Map> = keys.iter().filter_map(Value::as_map).collect();
    if let Some(kid) = header.get("kid").filter(|kid| !kid.is_null()) {
        let found: Vec<&&Map> = cands.iter().filter(|key| key.get("kid") == Some(kid)).collect();
        return match found[..] {
            [one] => Ok(one),
            _ => Err(bad("JWKS does not contain exactly one key with that kid.").with("kid", kid.clone())),
        };
    }
    match cands[..] {
        [one] => Ok(one),
        _ => Err(bad("JWKS contains multiple keys but the token has no kid to select one.")),
    }
}

fn select_jwk(set: &Map, header: &Map, alg: &Alg) -> Result<Vec<u8>> {
    let jwk = pick_jwk(set, header)?;
    if matches!(alg.kind, Kind::Hmac) {
        return match (jwk.get_str("kty"), jwk.get_str("k")) {
            (Some("oct"), Some(secret)) => from_base64url(secret),
            _ => Err(bad(format!("JWK kty does not match the HMAC algorithm {}.", alg.name))),
        };
    }
    let key = to_key(jwk)?.public();
    match (&key, &alg.kind) {
        (Key::RsaPub(_), Kind::Rsa | Kind::RsaPss) | (Key::EccPub(_), Kind::Ecc(_)) => Ok(key.to_pem().into_bytes()),
        _ => Err(bad(format!("JWK is not a key for algorithm {}.", alg.name))),
    }
}

fn check_claims(rt: &Rt, args: &Args, header: &Map, payload: &Map, options: &Map, leeway: i64) -> Flow<()> {
    let wanted = match args.prim(rt, 8)? {
        Value::Null => Vec::new(),
        Value::List(names) => names.to_vec(),
        one => vec![one],
    };
    for name in wanted {
        if payload.get_value(&name).is_none() {
            crate::fail!("BadArg", mesg = "JWT is missing a required claim.", claim = name);
        }
    }
    let typ = args.prim(rt, 7)?;
    if !typ.is_null() && header.get("typ") != Some(&typ) {
        crate::fail!("BadArg", mesg = "JWT typ does not match the expected typ.");
    }
    let on = |name: &str| options.get(name).is_none_or(Value::is_truthy);
    let date = |name: &str| match payload.get(name) {
        None => Ok(None),
        Some(Value::Float(float)) => Ok(Some(*float)),
        Some(valu) if valu.is_int() => Ok(valu.to_bigint().and_then(|int| int.to_string().parse().ok())),
        Some(_) => Err(bad(format!("JWT {name} claim must be a number.")).with("claim", name)),
    };
    #[expect(clippy::cast_precision_loss, reason = "the present in milliseconds fits")]
    let now = rt.norm_cx().env.now_ms() as f64 / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "a leeway that large lets everything pass")]
    let leeway = leeway as f64;
    if on("verify_exp") && date("exp")?.is_some_and(|exp| now - leeway >= exp) {
        crate::fail!("BadArg", mesg = "JWT has expired.");
    }
    if on("verify_nbf") && date("nbf")?.is_some_and(|nbf| now + leeway < nbf) {
        crate::fail!("BadArg", mesg = "JWT is not yet valid (nbf).");
    }
    if on("verify_iat") {
        date("iat")?;
    }
    let audience = args.prim(rt, 3)?;
    if on("verify_aud") && !audience.is_null() {
        check_audience(payload.get("aud"), &audience)?;
    }
    for (indx, name) in [(4, "iss"), (5, "sub")] {
        let want = args.prim(rt, indx)?;
        if want.is_null() || !on(&format!("verify_{name}")) {
            continue;
        }
        let have = payload.get(name).cloned().unwrap_or(Value::Null);
        let fits = want.as_list().map_or_else(|| have == want, |wants| wants.contains(&have));
        if !fits {
            crate::fail!("BadArg", mesg = format!("JWT {name} does not match the expected value."), claim = name);
        }
    }
    Ok(())
}

fn check_audience(have: Option<&Value>, want: &Value) -> Result<()> {
    let Some(have) = have.filter(|aud| aud.is_truthy()) else {
        return Err(bad("JWT has no aud claim value to match the expected audience."));
    };
    let all = |valu: &Value| valu.as_list().map_or_else(|| vec![valu.clone()], <[Value]>::to_vec);
    let wants = all(want);
    if all(have).iter().any(|aud| wants.contains(aud)) {
        return Ok(());
    }
    Err(bad("JWT aud does not match the expected audience."))
}
