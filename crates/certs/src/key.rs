//! RSA keys: made, read from and written to PEM, used to sign.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use myelin_error::{Error, Result, err};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer};

use crate::{der, pem};

/// `1.2.840.113549.1.1.1`
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// A private RSA key.
pub struct PrivKey {
    pair: RsaKeyPair,
    pkcs1: Vec<u8>,
}

impl PrivKey {
    /// A new key of 4096 bits. Takes seconds: call it from a thread that may block.
    pub fn generate() -> Result<PrivKey> {
        let failed = |_| err!("CryptoErr", mesg = "The system could not make an RSA key.");
        let pair = RsaKeyPair::generate(KeySize::Rsa4096).map_err(failed)?;
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
        let pkcs1 =
            pkcs1_of(pkcs8.as_ref()).ok_or_else(|| err!("CryptoErr", mesg = "The new key has no known form."))?;
        Ok(PrivKey { pair, pkcs1 })
    }

    /// Reads an unencrypted RSA key, traditional or PKCS#8.
    pub fn from_pem(byts: &[u8]) -> Result<PrivKey> {
        let bad = |why: &dyn std::fmt::Display| {
            err!("BadCertBytes", mesg = format!("Not an unencrypted PEM key of RSA: {why}"))
        };
        let pkcs1 = match PrivateKeyDer::from_pem_slice(byts) {
            Ok(PrivateKeyDer::Pkcs1(key)) => key.secret_pkcs1_der().to_vec(),
            Ok(PrivateKeyDer::Pkcs8(key)) => {
                pkcs1_of(key.secret_pkcs8_der()).ok_or_else(|| bad(&"it is of another kind"))?
            }
            Ok(_) => return Err(bad(&"it is of another kind")),
            Err(e) => return Err(bad(&e)),
        };
        let pair = RsaKeyPair::from_der(&pkcs1).map_err(|e| bad(&e))?;
        Ok(PrivKey { pair, pkcs1 })
    }

    /// The traditional PEM form.
    pub fn to_pem(&self) -> String {
        pem::encode("RSA PRIVATE KEY", &self.pkcs1)
    }

    /// The form that rustls takes.
    pub fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(self.pkcs1.clone()))
    }

    /// PKCS#8, for archives.
    pub(crate) fn to_pkcs8(&self) -> Vec<u8> {
        let alg = der::seq(&[&der::oid(RSA_ENCRYPTION), &der::tlv(der::NULL, &[])]);
        der::seq(&[&der::uint(&[0]), &alg, &der::tlv(der::OCTET_STRING, &self.pkcs1)])
    }

    /// The public half, as certificates hold it.
    pub fn public_spki(&self) -> Vec<u8> {
        let alg = der::seq(&[&der::oid(RSA_ENCRYPTION), &der::tlv(der::NULL, &[])]);
        der::seq(&[&alg, &der::bits(self.pair.public_key().as_ref())])
    }

    /// A signature with SHA-256, PKCS#1 v1.5.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>> {
        let mut sig = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut sig)
            .map_err(|_| err!("CryptoErr", mesg = "Signing failed."))?;
        Ok(sig)
    }
}

impl std::fmt::Debug for PrivKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivKey(..)")
    }
}

/// The RSA key inside a PKCS#8 wrapper: version, algorithm, octet string.
fn pkcs1_of(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let mut parts = der::walk(der::read(pkcs8)?.content).skip(1);
    let alg = parts.next()?;
    if der::read(alg.content)?.content != RSA_ENCRYPTION {
        return None;
    }
    let key = parts.next()?;
    (key.tag == der::OCTET_STRING).then(|| key.content.to_vec())
}

/// What is wrong with bytes that should be a certificate.
pub(crate) fn bad_cert(why: impl std::fmt::Display) -> Error {
    err!("BadCertBytes", mesg = format!("Failed to load bytes: {why}"))
}
