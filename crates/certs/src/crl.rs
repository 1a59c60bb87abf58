//! Revocation lists: made, extended, and asked.

use std::path::PathBuf;

use myelin_error::{Result, err};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::build;
use crate::cert::Cert;
use crate::der;
use crate::dir::{CertDir, Sub, files_in, write_new};
use crate::key::bad_cert;

impl CertDir {
    /// Where the list of an authority is, or would be written.
    pub fn crl_path(&self, ca: &str) -> Result<PathBuf> {
        let file = format!("{ca}.crl");
        match self.find(Sub::Crls, &file) {
            Some(path) => Ok(path),
            None => Ok(self.first()?.join(Sub::Crls.name()).join(file)),
        }
    }

    /// Writes the list of an authority anew, keeping what is on it.
    pub fn save_crl(&self, ca: &str) -> Result<PathBuf> {
        self.extend_crl(ca, None)
    }

    /// Revokes a certificate that the authority issued.
    pub fn revoke(&self, ca: &str, cert: &Cert) -> Result<PathBuf> {
        let cacert = self.cert(Sub::Cas, ca)?;
        if !cacert.is_some_and(|cacert| cert.is_issued_by(&cacert)) {
            let text = format!("Failed to validate that certificate was signed by {ca}");
            return Err(err!("BadCertVerify", mesg = text));
        }
        self.extend_crl(ca, Some(cert))
    }

    fn extend_crl(&self, ca: &str, cert: Option<&Cert>) -> Result<PathBuf> {
        build::check_name(ca)?;
        let path = self.crl_path(ca)?;
        let key = self.key(Sub::Cas, ca)?.ok_or_else(|| err!("NoCertKey", mesg = format!("Missing .key for {ca}")))?;
        let mut entries = match std::fs::read(&path) {
            Ok(byts) => entries_of(&read_crl(&byts)?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e.into()),
        };
        if let Some(cert) = cert {
            entries.extend(build::revoked_entry(&cert.serial()));
        }
        let text = build::revocation_list(&build::name_der(ca), &entries, &key)?;
        write_new(&path, text.as_bytes(), false)?;
        Ok(path)
    }
}

fn read_crl(byts: &[u8]) -> Result<Vec<u8>> {
    let list = CertificateRevocationListDer::from_pem_slice(byts).map_err(bad_cert)?;
    CertificateRevocationList::from_der(&list).map_err(bad_cert)?;
    Ok(list.to_vec())
}

/// The entries of a list as they are: the first sequence after the times.
fn entries_of(crl: &[u8]) -> Vec<u8> {
    let find = || {
        let tbs = der::read(der::read(crl)?.content)?;
        let mut after =
            der::walk(tbs.content).skip_while(|item| !is_time(item.tag)).skip_while(|item| is_time(item.tag));
        after.next().filter(|item| item.tag == der::SEQUENCE).map(|item| item.content.to_vec())
    };
    find().unwrap_or_default()
}

fn is_time(tag: u8) -> bool {
    tag == der::UTC_TIME || tag == der::GENERALIZED_TIME
}

/// Whether a list in the directories revokes a certificate. Lists that its issuer did not sign do not count.
pub(crate) fn is_revoked(dirs: &[PathBuf], cert: &Cert, issuer: &Cert) -> bool {
    files_in(dirs, Sub::Crls, "crl").iter().any(|path| {
        let Ok(list) = std::fs::read(path).map_err(Into::into).and_then(|byts| read_crl(&byts)) else {
            tracing::warn!(path = %path.display(), "unreadable revocation list passed over");
            return false;
        };
        let Ok((_, list)) = CertificateRevocationList::from_der(&list) else { return false };
        let issuer = issuer.parsed();
        if list.issuer().as_raw() != issuer.subject().as_raw() {
            return false;
        }
        if list.verify_signature(issuer.public_key()).is_err() {
            tracing::warn!(path = %path.display(), "revocation list with a bad signature passed over");
            return false;
        }
        let serial = &cert.parsed().tbs_certificate.serial;
        list.iter_revoked_certificates().any(|entry| entry.serial() == serial)
    })
}
