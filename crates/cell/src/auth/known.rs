//! Passwords that were found right a while ago: checking one takes a good part of a second, and a client that sends its
//! password with every request would pay for it each time.
//!
//! What is kept is a keyed hash of the password together with the whole stored record; the key is made at start and never
//! leaves the process. So nothing here gives a password away, and a record that changes (a new password has a new salt) is
//! not known. Whether the user is there, locked or archived is asked before, at each login. Wrong passwords are not kept:
//! guessing costs what it did.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

/// How many are kept.
const MAX_KNOWN: usize = 256;
/// How long.
const KEPT: Duration = Duration::from_secs(600);

/// A keyed hash of a password and its record.
pub(super) type Proof = [u8; 32];

static KEY: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()));
static KNOWN: LazyLock<Mutex<HashMap<Proof, Instant>>> = LazyLock::new(Mutex::default);

/// What stands for a password that is checked against a record.
pub(super) fn proof(passwd: &str, hash_name: &str, rounds: NonZeroU32, salt: &[u8], hashed: &[u8]) -> Proof {
    let mut hasher = hmac::Context::with_key(&KEY);
    hasher.update(&rounds.get().to_be_bytes());
    // Each with its length: no two combinations look the same.
    for part in [hash_name.as_bytes(), salt, hashed, passwd.as_bytes()] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut proof = [0; 32];
    proof.copy_from_slice(hasher.sign().as_ref());
    proof
}

/// Whether it was found right not long ago.
pub(super) fn has(proof: &Proof) -> bool {
    KNOWN.lock().get(proof).is_some_and(|since| since.elapsed() < KEPT)
}

/// It was found right just now.
pub(super) fn add(proof: Proof) {
    let mut known = KNOWN.lock();
    if known.len() >= MAX_KNOWN {
        known.retain(|_, since| since.elapsed() < KEPT);
    }
    if known.len() >= MAX_KNOWN
        && let Some(oldest) = known.iter().min_by_key(|(_, since)| **since).map(|(proof, _)| *proof)
    {
        known.remove(&oldest);
    }
    known.insert(proof, Instant::now());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_password_and_one_record() {
        let rounds = NonZeroU32::new(7).expect("not zero");
        let one = proof("secret", "sha256", rounds, b"salt", b"hashed");
        let others = [
            proof("Secret", "sha256", rounds, b"salt", b"hashed"),
            proof("secret", "sha512", rounds, b"salt", b"hashed"),
            proof("secret", "sha256", rounds.saturating_add(1), b"salt", b"hashed"),
            proof("secret", "sha256", rounds, b"salth", b"ashed"),
            proof("secret", "sha256", rounds, b"salt", b"hasheD"),
        ];
        add(one);
        assert!(has(&one) && has(&proof("secret", "sha256", rounds, b"salt", b"hashed")));
        assert!(others.iter().all(|other| !has(other)));
        for indx in 0..MAX_KNOWN as u64 + 10 {
            let mut filler = [1; 32];
            filler[..8].copy_from_slice(&indx.to_be_bytes());
            add(filler);
        }
        assert!(KNOWN.lock().len() <= MAX_KNOWN && !has(&one));
    }
}
