//! Validation of code-signing certificates against the authorities and revocation lists at hand.

use std::collections::HashSet;

use myelin_error::{Result, err};
use x509_parser::prelude::ParsedExtension;
use x509_parser::time::ASN1Time;

use crate::cert::Cert;
use crate::crl;
use crate::dir::CertDir;

const MAX_DEPTH: usize = 8;

impl CertDir {
    /// Checks a code-signing certificate given as PEM text up to a self-issued authority.
    pub fn val_code_cert(&self, byts: &[u8]) -> Result<Cert> {
        let cert = Cert::from_pem(byts)?;
        let parsed = cert.parsed();
        let usage = parsed.extended_key_usage().ok().flatten().map(|ext| ext.value.clone());
        let only_code = usage.is_some_and(|eku| {
            eku.code_signing
                && !(eku.any || eku.server_auth || eku.client_auth || eku.email_protection)
                && !(eku.time_stamping || eku.ocsp_signing)
                && eku.other.is_empty()
        });
        if !only_code {
            return Err(err!("BadCertBytes", mesg = "Certificate is not for code signing."));
        }
        drop(parsed);
        self.verify_chain(&cert)?;
        Ok(cert)
    }

    fn verify_chain(&self, leaf: &Cert) -> Result<()> {
        let cas = self.ca_certs()?;
        let dirs = self.paths();
        let (mut cert, mut depth, mut seen) = (leaf.clone(), 0, HashSet::new());
        loop {
            if seen.len() >= MAX_DEPTH {
                return Err(bad("The certificate chain is too long."));
            }
            if !seen.insert(cert.sha256()) {
                return Err(bad("The certificate chain runs in a circle."));
            }
            let issuer = cas
                .iter()
                .find(|ca| cert.is_issued_by(ca))
                .ok_or_else(|| bad("No authority here issued the certificate."))?;
            depth = check_step(&cert, issuer, depth)?;
            if crl::is_revoked(&dirs, &cert, issuer) {
                return Err(bad("The certificate was revoked."));
            }
            let parsed = issuer.parsed();
            if parsed.issuer().as_raw() == parsed.subject().as_raw() {
                return Ok(());
            }
            cert = issuer.clone();
        }
    }
}

/// One link of a chain. Returns how many authorities the chain has so far.
fn check_step(cert: &Cert, issuer: &Cert, depth: u32) -> Result<u32> {
    for one in [cert, issuer] {
        for ext in one.parsed().extensions() {
            let known = matches!(
                ext.parsed_extension(),
                ParsedExtension::BasicConstraints(_) | ParsedExtension::ExtendedKeyUsage(_)
            );
            if ext.critical && !known {
                return Err(bad("The chain has a critical extension that is not known here."));
            }
        }
    }
    let constraints = |one: &Cert| one.parsed().basic_constraints().ok().flatten().map(|ext| ext.value.clone());
    let issuer_is = constraints(issuer).ok_or_else(|| bad("The issuer has no basic constraints."))?;
    if !issuer_is.ca {
        return Err(bad("The issuer is no authority."));
    }
    let cert_is = constraints(cert).ok_or_else(|| bad("The certificate has no basic constraints."))?;
    let depth = depth + u32::from(cert_is.ca);
    if issuer_is.path_len_constraint.is_some_and(|most| depth > most) {
        return Err(bad("The chain is longer than the issuer allows."));
    }
    let now = ASN1Time::now();
    for one in [cert, issuer] {
        if !one.parsed().validity().is_valid_at(now) {
            let name = one.common_name().unwrap_or_default();
            return Err(bad(&format!("The certificate of {name} is expired or not valid yet.")));
        }
    }
    Ok(depth)
}

fn bad(mesg: &str) -> myelin_error::Error {
    err!("BadCertVerify", mesg = mesg)
}
