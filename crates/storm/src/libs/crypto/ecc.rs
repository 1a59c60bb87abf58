//! Keys on elliptic curves: reading, writing, making, signing, verifying.

use num_bigint::BigUint;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};

use super::der::{self, Der};
use super::hashes::Hash;

const OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// A curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// `P-256`.
    P256,
    /// `P-384`.
    P384,
    /// `P-521`.
    P521,
}

const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

impl Curve {
    /// A curve by either of its names.
    pub fn by_name(name: &str) -> Option<Curve> {
        match name.to_lowercase().as_str() {
            "p-256" | "secp256r1" => Some(Curve::P256),
            "p-384" | "secp384r1" => Some(Curve::P384),
            "p-521" | "secp521r1" => Some(Curve::P521),
            _ => None,
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Curve::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Curve::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    /// How many bytes a coordinate has.
    pub fn size(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    fn alg(self) -> Vec<u8> {
        der::seq(&[der::tlv(0x06, OID), der::tlv(0x06, self.oid())])
    }

    fn from_alg(mut seq: Der<'_>) -> Option<Curve> {
        if seq.get(0x06)? != OID {
            return None;
        }
        let oid = seq.get(0x06)?;
        CURVES.into_iter().find(|curve| curve.oid() == oid)
    }

    /// A digest as the curve's integers: cut to its size, or filled from the left.
    fn fit(self, digest: &[u8]) -> Vec<u8> {
        let size = self.size();
        let mut out = vec![0; size.saturating_sub(digest.len())];
        out.extend_from_slice(&digest[..digest.len().min(size)]);
        out
    }
}

/// A public key: the curve and the point as `04 x y`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EccPub {
    /// The curve.
    pub curve: Curve,
    point: Vec<u8>,
}

/// A private key.
#[derive(Clone)]
pub struct EccKey {
    /// The public half.
    pub public: EccPub,
    secret: Vec<u8>,
}

/// Runs the same code with the types of the curve.
macro_rules! on_curve {
    ($curve:expr, $lib:ident => $body:expr) => {
        match $curve {
            Curve::P256 => {
                use p256 as $lib;
                $body
            }
            Curve::P384 => {
                use p384 as $lib;
                $body
            }
            Curve::P521 => {
                use p521 as $lib;
                $body
            }
        }
    };
}

impl EccPub {
    /// A key of a point, which must lie on the curve. Compressed points are opened.
    pub fn of(curve: Curve, point: &[u8]) -> Option<EccPub> {
        let point = on_curve!(curve, lib => {
            lib::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?.to_encoded_point(false).as_bytes().to_vec()
        });
        Some(EccPub { curve, point })
    }

    /// Reads a `SubjectPublicKeyInfo`.
    pub fn from_spki(byts: &[u8]) -> Option<EccPub> {
        let mut seq = Der(byts).seq()?;
        let curve = Curve::from_alg(seq.seq()?)?;
        EccPub::of(curve, seq.get(0x03)?.strip_prefix(&[0])?)
    }

    /// Writes a `SubjectPublicKeyInfo`.
    pub fn to_spki(&self) -> Vec<u8> {
        der::seq(&[self.curve.alg(), der::tlv(0x03, &[&[0], self.point.as_slice()].concat())])
    }

    /// Whether a signature `r s` of fixed size is this key's over the bytes.
    pub fn verify_fixed(&self, byts: &[u8], sign: &[u8], hash: Hash) -> bool {
        if sign.len() != self.curve.size() * 2 {
            return false;
        }
        let digest = self.curve.fit(&hash.digest(byts));
        on_curve!(self.curve, lib => {
            match (lib::ecdsa::VerifyingKey::from_sec1_bytes(&self.point), lib::ecdsa::Signature::from_slice(sign)) {
                (Ok(key), Ok(sign)) => key.verify_prehash(&digest, &sign).is_ok(),
                _ => false,
            }
        })
    }

    /// Whether a DER signature is this key's over the bytes.
    pub fn verify(&self, byts: &[u8], sign: &[u8], hash: Hash) -> bool {
        let read = || {
            let mut seq = Der(sign).seq()?;
            let (r, s) = (seq.int()?, seq.int()?);
            let size = self.curve.size();
            let fixed = |valu: &BigUint| {
                let byts = valu.to_bytes_be();
                let mut out = vec![0; size.checked_sub(byts.len())?];
                out.extend(byts);
                Some(out)
            };
            Some([fixed(&r)?, fixed(&s)?].concat())
        };
        read().is_some_and(|fixed| self.verify_fixed(byts, &fixed, hash))
    }
}

impl EccKey {
    /// A key of a number.
    pub fn of(curve: Curve, secret: &[u8]) -> Option<EccKey> {
        let secret = {
            let lead = secret.len().saturating_sub(curve.size());
            if secret[..lead].iter().any(|byte| *byte != 0) {
                return None;
            }
            curve.fit(&secret[lead..])
        };
        let point = on_curve!(curve, lib => {
            let key = lib::ecdsa::SigningKey::from_slice(&secret).ok()?;
            lib::ecdsa::VerifyingKey::from(&key).to_encoded_point(false).as_bytes().to_vec()
        });
        Some(EccKey { public: EccPub { curve, point }, secret })
    }

    /// Makes a key.
    pub fn generate(curve: Curve) -> EccKey {
        loop {
            let mut secret = vec![0; curve.size()];
            rand::fill(&mut secret[..]);
            if curve == Curve::P521 {
                secret[0] &= 1;
            }
            if let Some(key) = EccKey::of(curve, &secret) {
                return key;
            }
        }
    }

    /// Reads PKCS#8.
    pub fn from_pkcs8(byts: &[u8]) -> Option<EccKey> {
        let mut seq = Der(byts).seq()?;
        seq.int()?;
        let curve = Curve::from_alg(seq.seq()?)?;
        let mut inner = Der(seq.get(0x04)?).seq()?;
        inner.int()?;
        EccKey::of(curve, inner.get(0x04)?)
    }

    /// Reads the inner form, which names its curve.
    pub fn from_sec1(byts: &[u8]) -> Option<EccKey> {
        let mut seq = Der(byts).seq()?;
        seq.int()?;
        let secret = seq.get(0x04)?;
        let oid = Der(seq.get(0xa0)?).get(0x06)?;
        let curve = CURVES.into_iter().find(|curve| curve.oid() == oid)?;
        EccKey::of(curve, secret)
    }

    /// Writes PKCS#8.
    pub fn to_pkcs8(&self) -> Vec<u8> {
        let bits = der::tlv(0x03, &[&[0], self.public.point.as_slice()].concat());
        let one = der::int(&BigUint::from(1u8));
        let inner = der::seq(&[one, der::tlv(0x04, &self.secret), der::tlv(0xa1, &bits)]);
        der::seq(&[der::int(&BigUint::default()), self.public.curve.alg(), der::tlv(0x04, &inner)])
    }

    /// Signs bytes: `r s`, each as long as a coordinate.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn sign_fixed(&self, byts: &[u8], hash: Hash) -> Result<Vec<u8>, String> {
        let digest = self.public.curve.fit(&hash.digest(byts));
        on_curve!(self.public.curve, lib => {
            let key = lib::ecdsa::SigningKey::from_slice(&self.secret).map_err(|error| error.to_string())?;
            let sign: lib::ecdsa::Signature = key.sign_prehash(&digest).map_err(|error| error.to_string())?;
            Ok(sign.to_bytes().to_vec())
        })
    }

    /// Signs bytes, in DER.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn sign(&self, byts: &[u8], hash: Hash) -> Result<Vec<u8>, String> {
        let fixed = self.sign_fixed(byts, hash)?;
        let (r, s) = fixed.split_at(fixed.len() / 2);
        Ok(der::seq(&[der::int(&BigUint::from_bytes_be(r)), der::int(&BigUint::from_bytes_be(s))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_verify() {
        for curve in CURVES {
            let key = EccKey::generate(curve);
            for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
                let sign = key.sign(b"foo", hash).expect("signs");
                assert!(key.public.verify(b"foo", &sign, hash), "{curve:?} {hash:?}");
                assert!(!key.public.verify(b"bar", &sign, hash));
            }
            let back = EccKey::from_pkcs8(&key.to_pkcs8()).expect("reads back");
            assert_eq!(back.public, key.public);
            assert_eq!(EccPub::from_spki(&key.public.to_spki()), Some(key.public.clone()));
        }
    }
}
