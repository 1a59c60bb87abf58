//! RSA keys: reading, writing, making, signing, verifying.
//!
//! Where the vetted library can do it (sizes from 2048 bits, salts as long as the hash), it signs and makes keys. The
//! platform also signs with the longest salt, and with short keys; that is done here, blinded, so that the time it takes
//! says nothing about the key.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, RsaEncoding};
use num_bigint::{BigInt, BigUint};
use num_integer::Integer as _;

use super::der::{self, Der};
use super::hashes::Hash;

/// The algorithm identifier of RSA keys.
const ALG: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPub {
    /// The modulus.
    pub n: BigUint,
    /// The exponent.
    pub e: BigUint,
}

/// A private key: the public half, the exponent, the two primes.
#[derive(Clone)]
pub struct RsaKey {
    /// The public half.
    pub public: RsaPub,
    d: BigUint,
    p: BigUint,
    q: BigUint,
}

/// How a signature is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// PKCS#1 version 1.5.
    Pkcs1,
    /// PSS with the longest salt.
    PssMax,
    /// PSS with a salt as long as the hash.
    PssDigest,
}

impl RsaPub {
    /// How many bits the modulus has.
    pub fn bits(&self) -> u64 {
        self.n.bits()
    }

    fn size(&self) -> usize {
        usize::try_from(self.bits().div_ceil(8)).unwrap_or(0)
    }

    /// Reads the inner form: modulus and exponent.
    pub fn from_pkcs1(byts: &[u8]) -> Option<RsaPub> {
        let mut seq = Der(byts).seq()?;
        RsaPub { n: seq.int()?, e: seq.int()? }.checked()
    }

    fn checked(self) -> Option<RsaPub> {
        (self.n.bits() >= 512 && self.n.bits() <= 16384 && self.e.bits() >= 2 && self.e.bits() <= 256 && self.n.bit(0))
            .then_some(self)
    }

    /// A key of numbers.
    pub fn of(n: BigUint, e: BigUint) -> Option<RsaPub> {
        RsaPub { n, e }.checked()
    }

    /// Reads a `SubjectPublicKeyInfo`.
    pub fn from_spki(byts: &[u8]) -> Option<RsaPub> {
        let mut seq = Der(byts).seq()?;
        if seq.seq()?.get(0x06)? != OID {
            return None;
        }
        RsaPub::from_pkcs1(seq.get(0x03)?.strip_prefix(&[0])?)
    }

    /// Writes a `SubjectPublicKeyInfo`.
    pub fn to_spki(&self) -> Vec<u8> {
        let mut bits = vec![0];
        bits.extend(der::seq(&[der::int(&self.n), der::int(&self.e)]));
        der::seq(&[ALG.to_vec(), der::tlv(0x03, &bits)])
    }

    /// Whether a signature is this key's over the bytes.
    pub fn verify(&self, byts: &[u8], sign: &[u8], padding: Padding, hash: Hash) -> bool {
        let size = self.size();
        let valu = BigUint::from_bytes_be(sign);
        if sign.len() != size || valu >= self.n {
            return false;
        }
        let block = valu.modpow(&self.e, &self.n);
        match padding {
            Padding::Pkcs1 => pkcs1_block(byts, hash, size).is_some_and(|want| padded(&block, size) == want),
            pss => {
                let bits = self.bits() - 1;
                let len = usize::try_from(bits.div_ceil(8)).unwrap_or(0);
                block.bits() <= bits && pss_check(&padded(&block, len), byts, pss, hash, bits)
            }
        }
    }
}

fn padded(valu: &BigUint, size: usize) -> Vec<u8> {
    let byts = valu.to_bytes_be();
    let mut out = vec![0; size.saturating_sub(byts.len())];
    out.extend(byts);
    out
}

fn pkcs1_block(byts: &[u8], hash: Hash, size: usize) -> Option<Vec<u8>> {
    let number = match hash {
        Hash::Sha256 => 1,
        Hash::Sha384 => 2,
        Hash::Sha512 => 3,
    };
    let alg = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, number, 0x05, 0x00];
    let info = der::seq(&[der::tlv(0x30, &alg), der::tlv(0x04, &hash.digest(byts))]);
    let fill = size.checked_sub(info.len() + 3).filter(|fill| *fill >= 8)?;
    Some([vec![0, 1], vec![0xff; fill], vec![0], info].concat())
}

fn mask(seed: &[u8], size: usize, hash: Hash) -> Vec<u8> {
    let mut out = Vec::new();
    let mut count = 0u32;
    while out.len() < size {
        out.extend(hash.digest(&[seed, &count.to_be_bytes()].concat()));
        count += 1;
    }
    out.truncate(size);
    out
}

fn salt_len(padding: Padding, len: usize, hash: Hash) -> Option<usize> {
    let most = len.checked_sub(hash.size() + 2)?;
    match padding {
        Padding::PssDigest => Some(hash.size()).filter(|size| *size <= most),
        _ => Some(most),
    }
}

fn pss_block(byts: &[u8], padding: Padding, hash: Hash, bits: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(bits.div_ceil(8)).ok()?;
    let mut salt = vec![0; salt_len(padding, len, hash)?];
    rand::fill(&mut salt[..]);
    let digest = hash.digest(&[vec![0; 8], hash.digest(byts), salt.clone()].concat());
    let room = len - hash.size() - 1;
    let mut block = vec![0; room - salt.len() - 1];
    block.push(1);
    block.extend(salt);
    block.iter_mut().zip(mask(&digest, room, hash)).for_each(|(byte, mask)| *byte ^= mask);
    block[0] &= 0xff >> (8 * len as u64 - bits);
    block.extend(digest);
    block.push(0xbc);
    Some(block)
}

fn pss_check(block: &[u8], byts: &[u8], padding: Padding, hash: Hash, bits: u64) -> bool {
    let Some(salt) = salt_len(padding, block.len(), hash) else { return false };
    let room = block.len() - hash.size() - 1;
    let (masked, rest) = block.split_at(room);
    let (digest, end) = rest.split_at(hash.size());
    let top = 0xff >> (8 * block.len() as u64 - bits);
    if end != [0xbc] || masked[0] & !top != 0 {
        return false;
    }
    let mut open: Vec<u8> = masked.iter().zip(mask(digest, room, hash)).map(|(byte, mask)| byte ^ mask).collect();
    open[0] &= top;
    let at = room - salt - 1;
    if open[..at].iter().any(|byte| *byte != 0) || open[at] != 1 {
        return false;
    }
    hash.digest(&[vec![0; 8], hash.digest(byts), open[at + 1..].to_vec()].concat()) == digest
}

impl RsaKey {
    /// A key of numbers, which must fit each other.
    pub fn of(public: RsaPub, d: BigUint, p: BigUint, q: BigUint) -> Option<RsaKey> {
        let one = BigUint::from(1u8);
        let fits = &p * &q == public.n && p > one && q > one && {
            let (le, ld) = (&public.e * &d % (&p - &one), &public.e * &d % (&q - &one));
            le == one && ld == one
        };
        fits.then_some(RsaKey { public, d, p, q })
    }

    /// Reads the inner form of a private key.
    pub fn from_pkcs1(byts: &[u8]) -> Option<RsaKey> {
        let mut seq = Der(byts).seq()?;
        seq.int()?;
        let public = RsaPub::of(seq.int()?, seq.int()?)?;
        RsaKey::of(public, seq.int()?, seq.int()?, seq.int()?)
    }

    /// Reads PKCS#8.
    pub fn from_pkcs8(byts: &[u8]) -> Option<RsaKey> {
        let mut seq = Der(byts).seq()?;
        seq.int()?;
        if seq.seq()?.get(0x06)? != OID {
            return None;
        }
        RsaKey::from_pkcs1(seq.get(0x04)?)
    }

    /// Writes PKCS#8.
    pub fn to_pkcs8(&self) -> Vec<u8> {
        let one = BigUint::from(1u8);
        let coef = inverse(&self.q, &self.p).unwrap_or_default();
        let (dp, dq) = (&self.d % (&self.p - &one), &self.d % (&self.q - &one));
        let zero = der::int(&BigUint::default());
        let numbers = [&self.public.n, &self.public.e, &self.d, &self.p, &self.q, &dp, &dq, &coef];
        let mut parts = vec![zero.clone()];
        parts.extend(numbers.map(der::int));
        der::seq(&[zero, ALG.to_vec(), der::tlv(0x04, &der::seq(&parts))])
    }

    /// Makes a key of so many bits.
    pub fn generate(bits: u64) -> Option<RsaKey> {
        let size = match bits {
            2048 => Some(KeySize::Rsa2048),
            3072 => Some(KeySize::Rsa3072),
            4096 => Some(KeySize::Rsa4096),
            8192 => Some(KeySize::Rsa8192),
            _ => None,
        };
        if let Some(size) = size {
            let pair = KeyPair::generate(size).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            return RsaKey::from_pkcs8(der.as_ref());
        }
        let (e, one) = (BigUint::from(65537u32), BigUint::from(1u8));
        loop {
            let (p, q) = (prime(bits.div_ceil(2), &e), prime(bits / 2, &e));
            let n = &p * &q;
            if n.bits() != bits || p == q {
                continue;
            }
            let order = (&p - &one).lcm(&(&q - &one));
            let d = inverse(&e, &order)?;
            return RsaKey::of(RsaPub::of(n, e)?, d, p, q);
        }
    }

    /// Signs bytes.
    ///
    /// # Errors
    /// Why it cannot: the key is too short for the padding.
    pub fn sign(&self, byts: &[u8], padding: Padding, hash: Hash) -> Result<Vec<u8>, &'static str> {
        let bits = self.public.bits();
        if (2048..=8192).contains(&bits) && padding != Padding::PssMax {
            let pair = KeyPair::from_pkcs8(&self.to_pkcs8()).map_err(|_| "the key cannot be used")?;
            let coding: &'static dyn RsaEncoding = match (padding, hash) {
                (Padding::Pkcs1, Hash::Sha256) => &signature::RSA_PKCS1_SHA256,
                (Padding::Pkcs1, Hash::Sha384) => &signature::RSA_PKCS1_SHA384,
                (Padding::Pkcs1, Hash::Sha512) => &signature::RSA_PKCS1_SHA512,
                (_, Hash::Sha256) => &signature::RSA_PSS_SHA256,
                (_, Hash::Sha384) => &signature::RSA_PSS_SHA384,
                (_, Hash::Sha512) => &signature::RSA_PSS_SHA512,
            };
            let mut sign = vec![0; pair.public_modulus_len()];
            let random = aws_lc_rs::rand::SystemRandom::new();
            pair.sign(coding, &random, byts, &mut sign).map_err(|_| "the key cannot be used")?;
            return Ok(sign);
        }
        let block = match padding {
            Padding::Pkcs1 => pkcs1_block(byts, hash, self.public.size()),
            pss => pss_block(byts, pss, hash, bits - 1),
        };
        let block = block.ok_or("the key is too short for the hash")?;
        Ok(padded(&self.private(&BigUint::from_bytes_be(&block)), self.public.size()))
    }

    /// The private operation, on a value multiplied with a random one that is taken out again.
    fn private(&self, valu: &BigUint) -> BigUint {
        let (n, e) = (&self.public.n, &self.public.e);
        let (blind, back) = loop {
            let blind = random_bits(n.bits() + 64) % n;
            if let Some(back) = inverse(&blind, n) {
                break (blind, back);
            }
        };
        let hidden = valu * blind.modpow(e, n) % n;
        let one = BigUint::from(1u8);
        let left = hidden.modpow(&(&self.d % (&self.p - &one)), &self.p);
        let right = hidden.modpow(&(&self.d % (&self.q - &one)), &self.q);
        let coef = inverse(&self.q, &self.p).unwrap_or_default();
        let diff = (&left + &self.p - (&right % &self.p)) % &self.p;
        let made = &right + (coef * diff % &self.p) * &self.q;
        made * back % n
    }
}

fn inverse(valu: &BigUint, modulus: &BigUint) -> Option<BigUint> {
    let (valu, modulus) = (BigInt::from(valu.clone()), BigInt::from(modulus.clone()));
    let found = valu.extended_gcd(&modulus);
    if found.gcd != BigInt::from(1) {
        return None;
    }
    found.x.mod_floor(&modulus).to_biguint()
}

fn random_bits(bits: u64) -> BigUint {
    let mut byts = vec![0u8; usize::try_from(bits.div_ceil(8)).unwrap_or(0)];
    rand::fill(&mut byts[..]);
    BigUint::from_bytes_be(&byts) & ((BigUint::from(1u8) << bits) - 1u8)
}

/// A prime of exactly so many bits, its two highest set, whose predecessor has nothing in common with an exponent.
fn prime(bits: u64, e: &BigUint) -> BigUint {
    let one = BigUint::from(1u8);
    loop {
        let mut number = random_bits(bits);
        for bit in [0, bits - 1, bits - 2] {
            number.set_bit(bit, true);
        }
        if small_factor(&number) || (&number - &one).gcd(e) != one {
            continue;
        }
        if is_prime(&number) {
            return number;
        }
    }
}

fn small_factor(number: &BigUint) -> bool {
    (3u32..2000).step_by(2).any(|factor| (number % factor) == BigUint::default())
}

/// Miller and Rabin's test with random bases.
fn is_prime(number: &BigUint) -> bool {
    let one = BigUint::from(1u8);
    let less = number - &one;
    let twos = less.trailing_zeros().unwrap_or(0);
    let odd = &less >> twos;
    (0..24).all(|_| {
        let base = random_bits(number.bits()) % (&less - 2u8) + 2u8;
        let mut valu = base.modpow(&odd, number);
        if valu == one || valu == less {
            return true;
        }
        for _ in 1..twos {
            valu = &valu * &valu % number;
            if valu == less {
                return true;
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_verify() {
        for bits in [1024, 2048] {
            let key = RsaKey::generate(bits).expect("makes a key");
            assert_eq!(key.public.bits(), bits);
            for padding in [Padding::Pkcs1, Padding::PssMax, Padding::PssDigest] {
                let sign = key.sign(b"foo", padding, Hash::Sha256).expect("signs");
                assert!(key.public.verify(b"foo", &sign, padding, Hash::Sha256), "{bits} {padding:?}");
                assert!(!key.public.verify(b"bar", &sign, padding, Hash::Sha256));
            }
            let back = RsaKey::from_pkcs8(&key.to_pkcs8()).expect("reads back");
            assert_eq!(back.public, key.public);
            assert_eq!(RsaPub::from_spki(&key.public.to_spki()), Some(key.public.clone()));
        }
    }
}
