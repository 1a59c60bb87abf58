//! Certificate directories: where files are, reading them, and making new ones.
//!
//! `cas/ hosts/ users/ code/` hold `NAME.crt` and `NAME.key`, hosts and users also `NAME.csr`, users `NAME.p12`, `crls/`
//! holds `CANAME.crl`. A lookup takes the first directory that has the file; what is new goes to the first directory
//! and never over an existing file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use myelin_error::{Result, err};
use parking_lot::RwLock;

use crate::build::{self, Kind};
use crate::cert::{Cert, Csr};
use crate::key::PrivKey;
use crate::p12;

/// The kinds of entries, each a subdirectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sub {
    /// Authorities.
    Cas,
    /// Services.
    Hosts,
    /// Users.
    Users,
    /// Package signers.
    Code,
    /// Revocation lists.
    Crls,
}

impl Sub {
    /// The name of the subdirectory.
    pub fn name(self) -> &'static str {
        match self {
            Sub::Cas => "cas",
            Sub::Hosts => "hosts",
            Sub::Users => "users",
            Sub::Code => "code",
            Sub::Crls => "crls",
        }
    }
}

/// Certificate directories, searched in order; what is new is written to the first.
#[derive(Debug)]
pub struct CertDir {
    dirs: RwLock<Vec<(PathBuf, usize)>>,
}

/// What a generation made. Paths are there when it was saved; the key is absent when a request was signed.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub cert: Cert,
    /// The private key.
    pub key: Option<PrivKey>,
    /// Where the key was saved.
    pub key_path: Option<PathBuf>,
    /// Where the certificate was saved.
    pub cert_path: Option<PathBuf>,
}

/// A signing request that was made, with the files written for it.
#[derive(Debug)]
pub struct Requested {
    /// The request as PEM text.
    pub pem: String,
    /// Where the private key is.
    pub key_path: PathBuf,
    /// Where the request is.
    pub csr_path: PathBuf,
}

impl CertDir {
    /// The given directories.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> CertDir {
        let dir = CertDir { dirs: RwLock::default() };
        for path in paths {
            dir.add_path(&path);
        }
        dir
    }

    /// The resolver of the process: `SYN_CERT_DIR` or `~/.syn/certs`, and what is added later.
    pub fn process_default() -> Arc<CertDir> {
        static DIR: OnceLock<Arc<CertDir>> = OnceLock::new();
        let make = || {
            let path = std::env::var_os("SYN_CERT_DIR").map_or_else(|| PathBuf::from("~/.syn/certs"), PathBuf::from);
            Arc::new(CertDir::new([path]))
        };
        DIR.get_or_init(make).clone()
    }

    /// Adds a directory at the end; counted, so that each user can take its own back.
    pub fn add_path(&self, path: &Path) {
        let path = expand_home(path);
        let mut dirs = self.dirs.write();
        match dirs.iter_mut().find(|(have, _)| *have == path) {
            Some((_, refs)) => *refs += 1,
            None => dirs.push((path, 1)),
        }
    }

    /// Takes a directory back.
    pub fn del_path(&self, path: &Path) {
        let path = expand_home(path);
        let mut dirs = self.dirs.write();
        if let Some(at) = dirs.iter().position(|(have, _)| *have == path) {
            dirs[at].1 -= 1;
            if dirs[at].1 == 0 {
                dirs.remove(at);
            }
        }
    }

    /// The directories, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.dirs.read().iter().map(|(path, _)| path.clone()).collect()
    }

    // ---- files

    /// The file of that name in the first directory that has it.
    pub fn find(&self, sub: Sub, file: &str) -> Option<PathBuf> {
        if file.contains(['/', '\0']) {
            return None;
        }
        self.paths().into_iter().map(|dir| dir.join(sub.name()).join(file)).find(|path| path.is_file())
    }

    /// Where the certificate of that name is.
    pub fn cert_path(&self, sub: Sub, name: &str) -> Option<PathBuf> {
        self.find(sub, &format!("{name}.crt"))
    }

    /// Where the key of that name is.
    pub fn key_path(&self, sub: Sub, name: &str) -> Option<PathBuf> {
        self.find(sub, &format!("{name}.key"))
    }

    /// Where the signing request of that name is.
    pub fn csr_path(&self, sub: Sub, name: &str) -> Option<PathBuf> {
        self.find(sub, &format!("{name}.csr"))
    }

    /// Whether there is a certificate of that name.
    pub fn is_cert(&self, sub: Sub, name: &str) -> bool {
        self.cert_path(sub, name).is_some()
    }

    /// The certificate of that name.
    pub fn cert(&self, sub: Sub, name: &str) -> Result<Option<Cert>> {
        self.cert_path(sub, name).map(|path| load_cert(&path)).transpose()
    }

    /// The private key of that name.
    pub fn key(&self, sub: Sub, name: &str) -> Result<Option<PrivKey>> {
        self.key_path(sub, name).map(|path| load_key(&path)).transpose()
    }

    /// The certificate of an authority as it is in its file.
    pub fn ca_cert_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.cert_path(Sub::Cas, name).map(std::fs::read).transpose()?)
    }

    /// The hash of a host's certificate, for pinning.
    pub fn host_cert_hash(&self, name: &str) -> Result<Option<String>> {
        Ok(self.cert(Sub::Hosts, name)?.map(|cert| cert.sha256()))
    }

    /// Every authority in every directory.
    pub fn ca_certs(&self) -> Result<Vec<Cert>> {
        self.files(Sub::Cas, "crt").iter().map(|path| load_cert(path)).collect()
    }

    /// Where the authority is that issued a certificate, found by the issuer's common name.
    pub fn issuer_path(&self, cert: &Cert) -> Option<PathBuf> {
        self.cert_path(Sub::Cas, &cert.issuer_name()?)
    }

    pub(crate) fn files(&self, sub: Sub, ext: &str) -> Vec<PathBuf> {
        files_in(&self.paths(), sub, ext)
    }

    /// The certificate a user presents to a host: `user@host`, then with leading labels of the host dropped.
    pub fn user_for_host(&self, user: &str, host: &str) -> Option<String> {
        let mut rest = Some(host);
        while let Some(host) = rest {
            let name = format!("{user}@{host}");
            if self.is_cert(Sub::Users, &name) {
                return Some(name);
            }
            rest = host.split_once('.').map(|(_, rest)| rest);
        }
        None
    }

    // ---- making

    /// Makes an authority, signed by another or by itself.
    pub fn gen_ca_cert(&self, name: &str, signas: Option<&str>, save: bool) -> Result<Issued> {
        self.issue(Sub::Cas, name, &Kind::Ca, signas, None, save)
    }

    /// Makes a host's certificate. `sans` is text of the form `DNS:x,email:x,URI:x`.
    pub fn gen_host_cert(&self, name: &str, signas: Option<&str>, sans: Option<&str>, save: bool) -> Result<Issued> {
        self.issue(Sub::Hosts, name, &Kind::Host { sans }, signas, None, save)
    }

    /// Makes a user's certificate.
    pub fn gen_user_cert(&self, name: &str, signas: Option<&str>, save: bool) -> Result<Issued> {
        self.issue(Sub::Users, name, &Kind::User, signas, None, save)
    }

    /// Makes a package signer's certificate.
    pub fn gen_code_cert(&self, name: &str, signas: Option<&str>, save: bool) -> Result<Issued> {
        self.issue(Sub::Code, name, &Kind::Code, signas, None, save)
    }

    /// Signs a host's request. Only its name and key are used.
    pub fn sign_host_csr(&self, csr: &Csr, signas: &str, sans: Option<&str>, save: bool) -> Result<Issued> {
        let name = csr.common_name()?;
        self.issue(Sub::Hosts, &name, &Kind::Host { sans }, Some(signas), Some(csr), save)
    }

    /// Signs a user's request. Only its name and key are used.
    pub fn sign_user_csr(&self, csr: &Csr, signas: &str, save: bool) -> Result<Issued> {
        let name = csr.common_name()?;
        self.issue(Sub::Users, &name, &Kind::User, Some(signas), Some(csr), save)
    }

    fn issue(
        &self,
        sub: Sub,
        name: &str,
        kind: &Kind<'_>,
        signas: Option<&str>,
        csr: Option<&Csr>,
        save: bool,
    ) -> Result<Issued> {
        build::check_name(name)?;
        // Looked at before the slow part, so that a clash leaves no half of a pair behind.
        let key_path = self.free_path(sub, &format!("{name}.key"), save && csr.is_none())?;
        let cert_path = self.free_path(sub, &format!("{name}.crt"), save)?;
        let signer = signas.map(|signas| self.signer(signas)).transpose()?;
        let key = if csr.is_none() { Some(PrivKey::generate()?) } else { None };
        let cert = match (&signer, &key, csr) {
            (Some((ca, cakey)), _, Some(csr)) => build::certificate(name, kind, &csr.public_spki(), Some(ca), cakey)?,
            (Some((ca, cakey)), Some(key), None) => {
                build::certificate(name, kind, &key.public_spki(), Some(ca), cakey)?
            }
            (None, Some(key), _) => build::certificate(name, kind, &key.public_spki(), None, key)?,
            _ => return Err(err!("BadArg", mesg = "A signing request needs an authority to sign it.")),
        };
        if let (Some(path), Some(key)) = (&key_path, &key) {
            write_new(path, key.to_pem().as_bytes(), true)?;
        }
        if let Some(path) = &cert_path {
            write_new(path, cert.to_pem().as_bytes(), false)?;
        }
        Ok(Issued { cert, key, key_path, cert_path })
    }

    fn signer(&self, signas: &str) -> Result<(Cert, PrivKey)> {
        let missing = |ext| err!("NoCertKey", mesg = format!("Missing .{ext} for {signas}"));
        let key = self.key(Sub::Cas, signas)?.ok_or_else(|| missing("key"))?;
        let cert = self.cert(Sub::Cas, signas)?.ok_or_else(|| missing("crt"))?;
        Ok((cert, key))
    }

    /// Makes a host's key and signing request.
    pub fn gen_host_csr(&self, name: &str) -> Result<Requested> {
        self.request(Sub::Hosts, name)
    }

    /// Makes a user's key and signing request.
    pub fn gen_user_csr(&self, name: &str) -> Result<Requested> {
        self.request(Sub::Users, name)
    }

    fn request(&self, sub: Sub, name: &str) -> Result<Requested> {
        build::check_name(name)?;
        let key_path = self.new_path(sub, &format!("{name}.key"))?;
        let csr_path = self.new_path(sub, &format!("{name}.csr"))?;
        let key = PrivKey::generate()?;
        let pem = build::request(name, &key)?.to_pem();
        write_new(&key_path, key.to_pem().as_bytes(), true)?;
        write_new(&csr_path, pem.as_bytes(), false)?;
        Ok(Requested { pem, key_path, csr_path })
    }

    /// Deletes a signing request; the path it had, if there was one.
    pub fn del_csr(&self, sub: Sub, name: &str) -> Result<Option<PathBuf>> {
        let Some(path) = self.csr_path(sub, name) else { return Ok(None) };
        std::fs::remove_file(&path)?;
        Ok(Some(path))
    }

    /// Makes the PKCS#12 archive of a user for browsers. It holds the private key.
    pub fn gen_client_cert(&self, name: &str) -> Result<PathBuf> {
        let missing = |what: &str| err!("NoSuchFile", mesg = format!("missing {what}"), name = name);
        let cert = self.cert(Sub::Users, name)?.ok_or_else(|| missing("User cert"))?;
        let capath = self.issuer_path(&cert).ok_or_else(|| missing("CA cert"))?;
        let key = self.key(Sub::Users, name)?.ok_or_else(|| missing("User private key"))?;
        let path = self.new_path(Sub::Users, &format!("{name}.p12"))?;
        write_new(&path, &p12::archive(name, &key, &cert, &load_cert(&capath)?), true)?;
        Ok(path)
    }

    /// Saves a certificate that came as PEM text under its common name.
    pub fn save_cert_bytes(&self, sub: Sub, byts: &[u8]) -> Result<PathBuf> {
        let cert = Cert::from_pem(byts)?;
        let name = cert
            .common_name()
            .ok_or_else(|| err!("BadCertBytes", mesg = "Certificate is missing a Common Name (CN) subject field."))?;
        build::check_name(&name)?;
        let path = self.new_path(sub, &format!("{name}.crt"))?;
        write_new(&path, cert.to_pem().as_bytes(), false)?;
        Ok(path)
    }

    /// Copies a `.crt`, `.key` or `.p12` file into a subdirectory, unread.
    pub fn import_file(&self, path: &Path, sub: Sub) -> Result<PathBuf> {
        let text = path.to_string_lossy().into_owned();
        if !path.is_file() {
            return Err(err!("NoSuchFile", mesg = format!("File {text} does not exist"), path = text));
        }
        let ext = path.extension().and_then(|ext| ext.to_str());
        if !ext.is_some_and(|ext| ["crt", "key", "p12"].contains(&ext)) {
            return Err(err!(
                "BadFileExt",
                mesg = "Only files with the extensions .crt, .key and .p12 can be imported.",
                ext = ext
            ));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let target = self.first()?.join(sub.name()).join(name);
        if target.is_file() {
            let mesg = format!("File {} already exists", target.display());
            return Err(err!("FileExists", mesg = mesg, path = text));
        }
        write_new(&target, &std::fs::read(path)?, ext != Some("crt"))?;
        Ok(target)
    }

    pub(crate) fn first(&self) -> Result<PathBuf> {
        let first = self.dirs.read().first().map(|(path, _)| path.clone());
        first.ok_or_else(|| err!("NeedConfValu", mesg = "There is no certificate directory to write to."))
    }

    fn new_path(&self, sub: Sub, file: &str) -> Result<PathBuf> {
        let path = self.first()?.join(sub.name()).join(file);
        if path.is_file() {
            let text = path.to_string_lossy().into_owned();
            return Err(err!("DupFileName", mesg = format!("Duplicate file {text}"), path = text));
        }
        Ok(path)
    }

    fn free_path(&self, sub: Sub, file: &str, save: bool) -> Result<Option<PathBuf>> {
        if save { self.new_path(sub, file).map(Some) } else { Ok(None) }
    }
}

/// Reads a certificate file.
pub fn load_cert(path: &Path) -> Result<Cert> {
    Cert::from_pem(&std::fs::read(path)?).map_err(|e| e.with("path", path.to_string_lossy().into_owned()))
}

/// Reads a key file.
pub fn load_key(path: &Path) -> Result<PrivKey> {
    PrivKey::from_pem(&std::fs::read(path)?).map_err(|e| e.with("path", path.to_string_lossy().into_owned()))
}

pub(crate) fn files_in(dirs: &[PathBuf], sub: Sub, ext: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in dirs {
        let Ok(entries) = std::fs::read_dir(dir.join(sub.name())) else { continue };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(paths.filter(|path| path.extension().is_some_and(|have| have == ext)));
    }
    found
}

/// Writes a file; private keys are readable by their owner alone.
pub(crate) fn write_new(path: &Path, byts: &[u8], private: bool) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mode = if private { 0o600 } else { 0o644 };
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(byts)?;
    Ok(())
}

/// A path with a leading `~` replaced by the home directory.
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}
