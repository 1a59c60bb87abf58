//! `$lib.crypto`: hashes, keys, signatures, tokens.

mod der;
mod ecc;
pub(crate) mod ethereum;
mod hashes;
mod jwk;
mod jwt;
mod keccak;
mod keys;
mod rsa;

use crate::registry::Registry;

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&keys::RSA_TYPE, &keys::ECC_TYPE, &jwt::TYPE]);
    for lib in [&hashes::HASHES, &hashes::HMAC, &keys::RSA, &keys::ECC, &jwt::LIB, &ethereum::LIB] {
        registry.add_lib(lib);
    }
}
