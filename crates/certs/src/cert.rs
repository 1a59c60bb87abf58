//! Certificates and signing requests that were read.

use myelin_error::Result;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::key::bad_cert;
use crate::pem;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cert {
    der: CertificateDer<'static>,
}

impl Cert {
    /// From its bytes.
    pub fn from_der(der: Vec<u8>) -> Result<Cert> {
        X509Certificate::from_der(&der).map_err(bad_cert)?;
        Ok(Cert { der: CertificateDer::from(der) })
    }

    /// The first certificate of a PEM text.
    pub fn from_pem(byts: &[u8]) -> Result<Cert> {
        let der = CertificateDer::from_pem_slice(byts).map_err(bad_cert)?;
        Cert::from_der(der.to_vec())
    }

    /// The bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The PEM form.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    pub(crate) fn parsed(&self) -> X509Certificate<'_> {
        X509Certificate::from_der(&self.der).expect("checked when it was made").1
    }

    /// The first common name of the subject.
    pub fn common_name(&self) -> Option<String> {
        first_cn(self.parsed().subject())
    }

    /// The first common name of the issuer.
    pub fn issuer_name(&self) -> Option<String> {
        first_cn(self.parsed().issuer())
    }

    /// The serial number, big-endian, without leading zeros.
    pub fn serial(&self) -> Vec<u8> {
        let parsed = self.parsed();
        let raw = parsed.raw_serial();
        raw[raw.iter().take_while(|byt| **byt == 0).count()..].to_vec()
    }

    /// Lower-case hex of the SHA-256 of the bytes: what pinning compares.
    pub fn sha256(&self) -> String {
        cert_hash(&self.der)
    }

    pub(crate) fn subject_raw(&self) -> Vec<u8> {
        self.parsed().subject().as_raw().to_vec()
    }

    /// Whether that certificate's key signed this one, and its name is this one's issuer.
    pub fn is_issued_by(&self, issuer: &Cert) -> bool {
        let (cert, issuer) = (self.parsed(), issuer.parsed());
        cert.issuer().as_raw() == issuer.subject().as_raw() && cert.verify_signature(Some(issuer.public_key())).is_ok()
    }
}

/// A signing request.
#[derive(Clone, Debug)]
pub struct Csr {
    der: Vec<u8>,
}

impl Csr {
    /// From its bytes.
    pub fn from_der(der: Vec<u8>) -> Result<Csr> {
        X509CertificationRequest::from_der(&der).map_err(bad_cert)?;
        Ok(Csr { der })
    }

    /// From PEM text.
    pub fn from_pem(byts: &[u8]) -> Result<Csr> {
        let der = CertificateSigningRequestDer::from_pem_slice(byts).map_err(bad_cert)?;
        Csr::from_der(der.to_vec())
    }

    /// The PEM form.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.der)
    }

    fn parsed(&self) -> X509CertificationRequest<'_> {
        X509CertificationRequest::from_der(&self.der).expect("checked when it was made").1
    }

    /// The common name asked for.
    pub fn common_name(&self) -> Result<String> {
        first_cn(&self.parsed().certification_request_info.subject).ok_or_else(|| bad_cert("it names no common name"))
    }

    /// The public key, as certificates hold it.
    pub fn public_spki(&self) -> Vec<u8> {
        self.parsed().certification_request_info.subject_pki.raw.to_vec()
    }
}

fn first_cn(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// The first common name in a certificate's subject.
pub fn common_name(der: &[u8]) -> Option<String> {
    first_cn(X509Certificate::from_der(der).ok()?.1.subject())
}

/// Lower-case hex of the SHA-256 of a certificate.
pub fn cert_hash(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}
