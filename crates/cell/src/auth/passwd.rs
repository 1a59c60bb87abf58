//! Password shadows, one-time passwords and API keys.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use myelin_error::{Result, err};
use myelin_value::{Iden, Map, Value, guid_of};

use super::known;

const ITERATIONS: NonZeroU32 = NonZeroU32::new(310_000).expect("not zero");
/// What a stored record may ask of us: far above what anybody writes, far below what stops a service.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The shadow of a password. Takes a good part of a second: not for the writer thread or an async worker.
pub fn make_shadow(passwd: &str) -> Value {
    let salt: [u8; 32] = rand::random();
    let mut hashed = [0; 32];
    pbkdf2::derive(PBKDF2_HMAC_SHA256, ITERATIONS, &salt, passwd.as_bytes(), &mut hashed);
    let params =
        Map::new().with("salt", &salt[..]).with("iterations", i64::from(ITERATIONS.get())).with("hash_name", "sha256");
    Map::new().with("type", "pbkdf2").with("hashed", &hashed[..]).with("func_params", params).into()
}

/// Whether a password is the one of a shadow.
pub fn check_shadow(passwd: &str, shadow: &Value) -> Result<bool> {
    let kind = shadow.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind != "pbkdf2" {
        return Err(err!("CryptoErr", mesg = format!("Passwords of the type [{kind}] are not known."), valu = kind));
    }
    let bad = || err!("CryptoErr", mesg = "A stored password record is damaged.");
    let params = shadow.get("func_params").ok_or_else(bad)?;
    let salt = params.get("salt").and_then(Value::as_bytes).ok_or_else(bad)?;
    let rounds = params.get("iterations").and_then(Value::as_i64).and_then(|count| u32::try_from(count).ok());
    let rounds = rounds.filter(|count| *count <= MAX_ITERATIONS).and_then(NonZeroU32::new).ok_or_else(bad)?;
    let want = shadow
        .get("hashed")
        .and_then(Value::as_bytes)
        .filter(|want| (16..=64).contains(&want.len()))
        .ok_or_else(bad)?;
    let hash_name = params.get("hash_name").and_then(Value::as_str).unwrap_or_default();
    let algorithm = match hash_name {
        "sha256" => PBKDF2_HMAC_SHA256,
        "sha512" => PBKDF2_HMAC_SHA512,
        _ => return Err(bad()),
    };
    let proof = known::proof(passwd, hash_name, rounds, salt, want);
    if known::has(&proof) {
        return Ok(true);
    }
    let mut have = vec![0; want.len()];
    pbkdf2::derive(algorithm, rounds, salt, passwd.as_bytes(), &mut have);
    let good = same(&have, want);
    if good {
        known::add(proof);
    }
    Ok(good)
}

/// Whether a password is the one of a record of before shadows: `[salt, guid([salt, passwd])]`.
pub fn check_legacy(passwd: &str, salt: &Value, hashed: &Value) -> bool {
    let have = guid_of(&Value::list([salt.clone(), Value::from(passwd)]));
    hashed.as_str().is_some_and(|want| same(have.as_bytes(), want.as_bytes()))
}

/// Compares in a time that does not depend on where they differ.
fn same(have: &[u8], want: &[u8]) -> bool {
    have.len() == want.len() && have.iter().zip(want).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// A new API key: its iden, the token that is given out once, and the shadow of its secret.
pub fn make_api_key() -> (String, String, Value) {
    let (iden, secret) = (Iden::random(), Iden::random());
    let token = URL_SAFE.encode([iden.0, secret.0].concat());
    (iden.to_hex(), token, make_shadow(&secret.to_hex()))
}

/// Iden and secret of a token, or what is wrong with it.
pub fn parse_api_key(token: &str) -> std::result::Result<(Iden, String), String> {
    if token.contains(['+', '/']) {
        return Err("The API key has a character that no key has.".into());
    }
    let byts = URL_SAFE.decode(token).map_err(|error| format!("The API key is no base64: {error}."))?;
    let (iden, secret) = match (byts.get(..16).map(TryInto::try_into), byts.get(16..).map(TryInto::try_into)) {
        (Some(Ok(iden)), Some(Ok(secret))) => (iden, secret),
        _ => return Err(format!("The API key has the wrong length of {}.", token.len())),
    };
    Ok((Iden(iden), Iden(secret).to_hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shadows_tell_their_password() {
        let shadow = make_shadow("secret");
        assert!(check_shadow("secret", &shadow).is_ok_and(|good| good));
        assert!(check_shadow("Secret", &shadow).is_ok_and(|good| !good));
        assert!(check_shadow("x", &Value::from("x")).is_err_and(|error| error.is("CryptoErr")));
        let legacy = guid_of(&Value::list([Value::from("salt"), Value::from("pw")]));
        assert!(check_legacy("pw", &"salt".into(), &Value::from(legacy)));
    }

    #[test]
    fn api_keys_carry_iden_and_secret() {
        let (iden, token, shadow) = make_api_key();
        assert_eq!(token.len(), 44);
        let (found, secret) = parse_api_key(&token).expect("a key");
        assert_eq!(found.to_hex(), iden);
        assert!(check_shadow(&secret, &shadow).is_ok_and(|good| good));
        assert!(
            parse_api_key("short").is_err()
                && parse_api_key(&token.replace(token.chars().next().unwrap_or('a'), "/")).is_err()
        );
    }
}
