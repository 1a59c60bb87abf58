//! Building certificates, requests and revocation lists, field by field as the platform has always made them.
//!
//! The order and criticality of the extensions are part of what other tools see; a general certificate library would
//! choose its own.

use myelin_error::{Result, err};
use time::OffsetDateTime;

use crate::cert::{Cert, Csr};
use crate::der::{self, OCTET_STRING, SEQUENCE, SET, UTF8_STRING};
use crate::key::PrivKey;
use crate::pem;

/// How long what is made stays valid.
pub const VALID_DAYS: i64 = 3650;

/// `1.2.840.113549.1.1.11`
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// `1.2.840.113549.1.9.14`
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const CRL_REASON: &[u8] = &[0x55, 0x1d, 0x15];
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// `2.16.840.1.113730.1.1`, Netscape's certificate type.
const NS_CERT_TYPE: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x01];

/// What a certificate is for.
pub enum Kind<'a> {
    /// Signs other certificates.
    Ca,
    /// Serves under a name; further alternative names as `DNS:x,email:x,URI:x`.
    Host { sans: Option<&'a str> },
    /// Logs in.
    User,
    /// Signs packages.
    Code,
}

impl Kind<'_> {
    fn extensions(&self, name: &str) -> Result<Vec<u8>> {
        let exts = match self {
            Kind::Ca => vec![ext(BASIC_CONSTRAINTS, false, &der::seq(&[&[0x01, 0x01, 0xff]]))],
            Kind::Host { sans } => {
                let mut exts = leaf(&[3, 2, 6, 0x40], &[3, 2, 5, 0xa0], 1);
                exts.push(ext(SUBJECT_ALT_NAME, false, &alt_names(name, *sans)?));
                exts
            }
            Kind::User => leaf(&[3, 2, 7, 0x80], &[3, 2, 7, 0x80], 2),
            Kind::Code => leaf(&[3, 2, 4, 0x10], &[3, 2, 7, 0x80], 3),
        };
        Ok(der::tlv(SEQUENCE, &exts.concat()))
    }
}

/// Netscape type, key usage, extended key usage `1.3.6.1.5.5.7.3.x`, and "no CA".
fn leaf(ns_type: &[u8], usage: &[u8], purpose: u8) -> Vec<Vec<u8>> {
    let purpose = der::oid(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, purpose]);
    vec![
        ext(NS_CERT_TYPE, false, ns_type),
        ext(KEY_USAGE, false, usage),
        ext(EXT_KEY_USAGE, false, &der::seq(&[&purpose])),
        ext(BASIC_CONSTRAINTS, false, &der::seq(&[])),
    ]
}

fn ext(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    der::seq(&[&der::oid(oid), critical, &der::tlv(OCTET_STRING, value)])
}

fn alt_names(name: &str, sans: Option<&str>) -> Result<Vec<u8>> {
    use std::collections::BTreeSet;
    let (mut dns, mut email, mut uri) = (BTreeSet::from([name]), BTreeSet::new(), BTreeSet::new());
    for san in sans.filter(|sans| !sans.is_empty()).into_iter().flat_map(|sans| sans.split(',')) {
        if let Some(valu) = san.strip_prefix("DNS:") {
            dns.insert(valu);
        } else if let Some(valu) = san.strip_prefix("email:") {
            email.insert(valu);
        } else if let Some(valu) = san.strip_prefix("URI:") {
            uri.insert(valu);
        } else {
            return Err(err!("BadArg", mesg = format!("Unsupported san value: {san}")));
        }
    }
    let mut out = Vec::new();
    for (tag, valus) in [(0x82, dns), (0x81, email), (0x86, uri)] {
        for valu in valus {
            if !valu.is_ascii() {
                return Err(err!("BadArg", mesg = format!("Alternative names must be ASCII: {valu}")));
            }
            out.extend(der::tlv(tag, valu.as_bytes()));
        }
    }
    Ok(der::tlv(SEQUENCE, &out))
}

/// A name that consists of a common name only.
pub fn name_der(name: &str) -> Vec<u8> {
    let attr = der::seq(&[&der::oid(COMMON_NAME), &der::tlv(UTF8_STRING, name.as_bytes())]);
    der::seq(&[&der::tlv(SET, &attr)])
}

/// Checks a common name: 1 to 64 bytes, and nothing that would lead a file out of its directory.
pub fn check_name(name: &str) -> Result<()> {
    if !(1..=64).contains(&name.len()) {
        let text = format!("Certificate names must have 1 to 64 bytes of UTF-8, {name} has {}.", name.len());
        return Err(err!("CryptoErr", mesg = text));
    }
    if name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(err!("BadArg", mesg = format!("Certificate names are file names, which {name:?} cannot be.")));
    }
    Ok(())
}

/// Makes a certificate for a public key; `issuer` signs it, or the key itself when there is none.
pub fn certificate(name: &str, kind: &Kind<'_>, spki: &[u8], issuer: Option<&Cert>, signer: &PrivKey) -> Result<Cert> {
    check_name(name)?;
    let subject = name_der(name);
    let issuer = issuer.map_or_else(|| subject.clone(), |ca| ca.subject_raw());
    let now = OffsetDateTime::now_utc();
    let validity = der::seq(&[&time_der(now), &time_der(now + time::Duration::days(VALID_DAYS))]);
    let serial: [u8; 16] = rand::random();
    let tbs = der::seq(&[
        &der::tlv(0xa0, &der::uint(&[2])),
        &der::uint(&serial),
        &algorithm(),
        &issuer,
        &validity,
        &subject,
        spki,
        &der::tlv(0xa3, &kind.extensions(name)?),
    ]);
    Cert::from_der(signed(&tbs, signer)?)
}

/// Makes a signing request.
pub fn request(name: &str, key: &PrivKey) -> Result<Csr> {
    check_name(name)?;
    let exts = der::seq(&[&ext(BASIC_CONSTRAINTS, true, &der::seq(&[]))]);
    let attr = der::seq(&[&der::oid(EXTENSION_REQUEST), &der::tlv(SET, &exts)]);
    let tbs = der::seq(&[&der::uint(&[0]), &name_der(name), &key.public_spki(), &der::tlv(0xa0, &attr)]);
    Csr::from_der(signed(&tbs, key)?)
}

/// One entry of a revocation list: serial, now, no particular reason.
pub fn revoked_entry(serial: &[u8]) -> Vec<u8> {
    let reason = ext(CRL_REASON, false, &der::tlv(der::ENUMERATED, &[0]));
    der::seq(&[&der::uint(serial), &time_der(OffsetDateTime::now_utc()), &der::seq(&[&reason])])
}

/// Makes a revocation list of whole entries, as PEM.
pub fn revocation_list(issuer: &[u8], entries: &[u8], signer: &PrivKey) -> Result<String> {
    let now = OffsetDateTime::now_utc();
    let entries = if entries.is_empty() { Vec::new() } else { der::tlv(SEQUENCE, entries) };
    let tbs = der::seq(&[
        &der::uint(&[1]),
        &algorithm(),
        issuer,
        &time_der(now),
        &time_der(now + time::Duration::days(VALID_DAYS)),
        &entries,
    ]);
    Ok(pem::encode("X509 CRL", &signed(&tbs, signer)?))
}

fn algorithm() -> Vec<u8> {
    der::seq(&[&der::oid(SHA256_WITH_RSA), &der::tlv(der::NULL, &[])])
}

fn signed(tbs: &[u8], signer: &PrivKey) -> Result<Vec<u8>> {
    Ok(der::seq(&[tbs, &algorithm(), &der::bits(&signer.sign(tbs)?)]))
}

fn time_der(when: OffsetDateTime) -> Vec<u8> {
    let (year, month, day) = (when.year(), u8::from(when.month()), when.day());
    let rest = format!("{month:02}{day:02}{:02}{:02}{:02}Z", when.hour(), when.minute(), when.second());
    // Two-digit years reach to 2049.
    if year < 2050 {
        der::tlv(der::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        der::tlv(der::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}
