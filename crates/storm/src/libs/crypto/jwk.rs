//! JSON web keys.

use base64::Engine as _;
use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};
use num_bigint::BigUint;

use super::ecc::{Curve, EccKey, EccPub};
use super::keys::Key;
use super::rsa::{RsaKey, RsaPub};

/// Bytes as text of the tokens: no padding, safe in URLs.
pub fn to_base64url(byts: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(byts)
}

/// Reads such text.
///
/// # Errors
/// `BadArg`.
pub fn from_base64url(text: &str) -> Result<Vec<u8>> {
    let config = base64::engine::GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
    let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, config);
    // The platform's reader knows both alphabets.
    let text = text.replace('+', "-").replace('/', "_");
    engine.decode(text).map_err(|error| err!("BadArg", mesg = format!("Unable to decode base64url text: {error}")))
}

fn malformed(why: &str) -> Error {
    err!("BadArg", mesg = format!("Malformed JWK: {why}"))
}

fn number(jwk: &Map, name: &str) -> Result<BigUint> {
    Ok(BigUint::from_bytes_be(&bytes(jwk, name)?))
}

fn bytes(jwk: &Map, name: &str) -> Result<Vec<u8>> {
    from_base64url(jwk.get_str(name).ok_or_else(|| malformed(name))?).map_err(|_| malformed(name))
}

/// The key that a JSON web key describes.
///
/// # Errors
/// `BadArg`.
pub fn to_key(jwk: &Map) -> Result<Key> {
    let kty = jwk.get("kty").cloned().unwrap_or(Value::Null);
    match kty.as_str() {
        Some("RSA") => {
            let public = RsaPub::of(number(jwk, "n")?, number(jwk, "e")?).ok_or_else(|| malformed("n"))?;
            if !jwk.contains("d") {
                return Ok(Key::RsaPub(public));
            }
            let key = RsaKey::of(public, number(jwk, "d")?, number(jwk, "p")?, number(jwk, "q")?);
            key.map(Key::RsaKey).ok_or_else(|| malformed("the numbers do not fit each other"))
        }
        Some("EC") => {
            let crv = jwk.get("crv").cloned().unwrap_or(Value::Null);
            let Some(curve) = crv.as_str().and_then(Curve::by_name) else {
                return Err(err!("BadArg", mesg = "Unsupported JWK EC curve.", crv = crv));
            };
            if jwk.contains("d") {
                let key = EccKey::of(curve, &bytes(jwk, "d")?);
                return key.map(Key::EccKey).ok_or_else(|| malformed("d"));
            }
            let size = curve.size();
            let mut point = vec![4];
            for name in ["x", "y"] {
                let byts = bytes(jwk, name)?;
                point.extend(vec![0; size.saturating_sub(byts.len())]);
                point.extend(byts);
            }
            EccPub::of(curve, &point).map(Key::EccPub).ok_or_else(|| malformed("the point is not on the curve"))
        }
        _ => Err(err!("BadArg", mesg = "Unsupported JWK kty.", kty = kty)),
    }
}
