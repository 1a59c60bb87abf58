//! The session cookie: `2|1:0|10:<seconds>|4:sess|44:<base64>|<hmac-sha256 hex>`, signed with `cookie.secret`.
//!
//! The form is Tornado's second, so that a browser stays logged in when a service changes from one program to the other.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The cookie's name.
pub(super) const NAME: &str = "sess";
/// How long it is valid.
pub(super) const MAX_AGE_SECS: i64 = 14 * 24 * 3600;
/// How far ahead the clock of the signer may be.
const SKEW_SECS: i64 = 31 * 24 * 3600;

fn field(text: &str) -> String {
    format!("{}:{text}", text.len())
}

fn signature(secret: &[u8], text: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs a session's iden.
pub(super) fn sign(secret: &[u8], iden: &str, now_secs: i64) -> String {
    let parts = [field("0"), field(&now_secs.to_string()), field(NAME), field(&STANDARD.encode(iden))];
    let text = format!("2|{}|", parts.join("|"));
    let tag = signature(secret, &text);
    text + &tag
}

/// The session's iden, if the cookie was signed here and not too long ago.
pub(super) fn verify(secret: &[u8], cookie: &str, now_secs: i64) -> Option<String> {
    let (_, tag) = cookie.rsplit_once('|')?;
    let text = &cookie[..cookie.len() - tag.len()];
    let want = hex_bytes(tag)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes(), &want).ok()?;
    let mut rest = text.strip_prefix("2|")?;
    let mut next = || {
        let (size, tail) = rest.split_once(':')?;
        let size: usize = size.parse().ok()?;
        let part = tail.get(..size)?;
        rest = tail.get(size..)?.strip_prefix('|')?;
        Some(part)
    };
    let (_key, time, name, valu) = (next()?, next()?, next()?, next()?);
    let time: i64 = time.parse().ok()?;
    let fresh = time >= now_secs - MAX_AGE_SECS && time <= now_secs + SKEW_SECS;
    let iden = String::from_utf8(STANDARD.decode(valu).ok()?).ok()?;
    (name == NAME && fresh).then_some(iden)
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_verify_until_they_are_old() {
        let (secret, iden, now) = (b"secret".as_slice(), "ab".repeat(16), 1_700_000_000);
        let cookie = sign(secret, &iden, now);
        assert!(cookie.starts_with("2|1:0|10:1700000000|4:sess|44:"));
        assert_eq!(verify(secret, &cookie, now + MAX_AGE_SECS).as_deref(), Some(&*iden));
        assert_eq!(verify(secret, &cookie, now + MAX_AGE_SECS + 1), None);
        assert_eq!(verify(b"other", &cookie, now), None);
        for bad in ["", "2|", "2|1:0|", &cookie[1..], &cookie.replace("4:sess", "4:sexs"), "2|99:0|x", "é|é"] {
            assert_eq!(verify(secret, bad, now), None, "{bad}");
        }
    }
}
