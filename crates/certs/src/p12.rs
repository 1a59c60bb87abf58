//! PKCS#12 archives without encryption, as browsers import them: certificate, issuer and key, sealed by a MAC over the
//! empty password.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::cert::Cert;
use crate::der::{self, OCTET_STRING, SET};
use crate::key::PrivKey;

/// `1.2.840.113549.1.7.1`
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// `1.2.840.113549.1.12.10.1.1`
const KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x01];
/// `1.2.840.113549.1.12.10.1.3`
const CERT_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
/// `1.2.840.113549.1.9.22.1`
const X509_CERT: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
/// `1.2.840.113549.1.9.20`
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
/// `1.2.840.113549.1.9.21`
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
/// `2.16.840.1.101.3.4.2.1`
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

const MAC_ROUNDS: usize = 2048;

/// The archive's bytes.
pub fn archive(name: &str, key: &PrivKey, cert: &Cert, ca: &Cert) -> Vec<u8> {
    let keyid = Sha1::digest(cert.der());
    let text: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let attrs = [
        der::seq(&[&der::oid(LOCAL_KEY_ID), &der::tlv(SET, &der::tlv(OCTET_STRING, &keyid))]),
        der::seq(&[&der::oid(FRIENDLY_NAME), &der::tlv(SET, &der::tlv(der::BMP_STRING, &text))]),
    ]
    .concat();
    let attrs = der::tlv(SET, &attrs);
    let bags = der::seq(&[
        &bag(CERT_BAG, &cert_value(cert), &attrs),
        &bag(CERT_BAG, &cert_value(ca), &[]),
        &bag(KEY_BAG, &key.to_pkcs8(), &attrs),
    ]);
    let safe = der::seq(&[&content(&bags)]);
    der::seq(&[&der::uint(&[3]), &content(&safe), &mac(&safe)])
}

fn bag(oid: &[u8], value: &[u8], attrs: &[u8]) -> Vec<u8> {
    der::seq(&[&der::oid(oid), &der::tlv(0xa0, value), attrs])
}

fn cert_value(cert: &Cert) -> Vec<u8> {
    der::seq(&[&der::oid(X509_CERT), &der::tlv(0xa0, &der::tlv(OCTET_STRING, cert.der()))])
}

fn content(byts: &[u8]) -> Vec<u8> {
    der::seq(&[&der::oid(DATA), &der::tlv(0xa0, &der::tlv(OCTET_STRING, byts))])
}

fn mac(safe: &[u8]) -> Vec<u8> {
    let salt: [u8; 8] = rand::random();
    let mut hmac = Hmac::<Sha256>::new_from_slice(&mac_key(&salt)).expect("any key length will do");
    hmac.update(safe);
    let digest = hmac.finalize().into_bytes();
    let alg = der::seq(&[&der::oid(SHA256), &der::tlv(der::NULL, &[])]);
    let info = der::seq(&[&alg, &der::tlv(OCTET_STRING, &digest)]);
    der::seq(&[&info, &der::tlv(OCTET_STRING, &salt), &der::uint(&(MAC_ROUNDS as u16).to_be_bytes())])
}

/// RFC 7292 appendix B.2 with purpose 3 and the empty password (two zero bytes); one block is all that is needed.
fn mac_key(salt: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let fill = |byts: &[u8]| byts.iter().copied().cycle().take(BLOCK).collect::<Vec<u8>>();
    let mut hash: [u8; 32] = Sha256::digest([vec![3u8; BLOCK], fill(salt), fill(&[0, 0])].concat()).into();
    for _ in 1..MAC_ROUNDS {
        hash = Sha256::digest(hash).into();
    }
    hash
}
