//! A directory of certificates that the original made once, read, checked, signed with and served.
//!
//! Keys take seconds to make, so all but one test use those in `tests/data`. They are valid from 2020 to 2049, and
//! otherwise just as both sides make them.

#![allow(clippy::unwrap_used)] // A panic is the report, in helpers of tests too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_certs::{Cert, CertDir, Csr, Sub, common_name, pinned_client_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

const HOST: &str = "00.loop.vertex.link";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn certs() -> CertDir {
    CertDir::new([data()])
}

/// A directory to write to, with the made one behind it.
fn scratch() -> (tempfile::TempDir, CertDir) {
    let dir = tempfile::tempdir().unwrap();
    let certs = CertDir::new([dir.path().to_owned(), data()]);
    (dir, certs)
}

/// A handshake in memory. The names the two sides see in each other's certificates, or what went wrong.
fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>, sni: &str) -> Result<(String, Option<String>), String> {
    let mut client = ClientConnection::new(client, ServerName::try_from(sni.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut byts = Vec::new();
        client.write_tls(&mut byts).unwrap();
        server.read_tls(&mut &byts[..]).unwrap();
        server.process_new_packets().map_err(|e| format!("server: {e}"))?;
        let mut byts = Vec::new();
        server.write_tls(&mut byts).unwrap();
        client.read_tls(&mut &byts[..]).unwrap();
        client.process_new_packets().map_err(|e| format!("client: {e}"))?;
    }
    let name = |certs: Option<&[rustls::pki_types::CertificateDer<'_>]>| common_name(certs?.first()?);
    Ok((name(client.peer_certificates()).unwrap(), name(server.peer_certificates())))
}

#[test]
fn users_log_in_with_certificates_of_the_one_authority() {
    let dir = certs();
    let server = dir.server_config(Some(HOST), Some("ourca")).unwrap();
    let client = dir.client_config(Some("root@loop.vertex.link")).unwrap();
    let seen = shake(client, server.clone(), HOST).unwrap();
    assert_eq!(seen, (HOST.to_owned(), Some("root@loop.vertex.link".to_owned())));
    // The name climbs up the domain until there is a certificate.
    let client = dir.client_config(Some("root@00.axon.loop.vertex.link")).unwrap();
    assert!(shake(client, server.clone(), HOST).is_ok());
    let none = dir.client_config(None).unwrap();
    assert!(shake(none.clone(), server, HOST).is_err(), "a client without certificate came in");
    let other = dir.server_config(Some(HOST), Some("oursub")).unwrap();
    let client = dir.client_config(Some("root@loop.vertex.link")).unwrap();
    assert!(shake(client, other, HOST).is_err(), "a certificate of another authority came in");
    let open = dir.server_config(Some(HOST), None).unwrap();
    assert_eq!(shake(none, open, HOST).unwrap().1, None);
}

#[test]
fn a_revoked_user_is_refused() {
    let dir = certs();
    let client = dir.client_config(Some("gone@loop.vertex.link")).unwrap();
    let error = shake(client, dir.server_config(Some(HOST), Some("ourca")).unwrap(), HOST).unwrap_err();
    assert!(error.contains("Revoked"), "{error}");
}

#[test]
fn a_revocation_counts_at_once() {
    let (keep, dir) = scratch();
    let server = dir.server_config(Some(HOST), Some("ourca")).unwrap();
    let client = |name: &str| dir.client_config(Some(name)).unwrap();
    let root = || client("root@loop.vertex.link");
    assert!(shake(root(), server.clone(), HOST).is_ok());
    // A list is written where it is found, and here that must not be the one in the repository.
    let crls = keep.path().join("crls");
    std::fs::create_dir_all(&crls).unwrap();
    std::fs::copy(data().join("crls/ourca.crl"), crls.join("ourca.crl")).unwrap();
    dir.revoke("ourca", &dir.cert(Sub::Users, "root@loop.vertex.link").unwrap().unwrap()).unwrap();
    assert!(shake(root(), server.clone(), HOST).unwrap_err().contains("Revoked"));
    std::fs::remove_file(crls.join("ourca.crl")).unwrap();
    assert!(shake(root(), server, HOST).is_ok());
}

#[test]
fn a_list_written_anew_keeps_its_entries() {
    let (keep, dir) = scratch();
    std::fs::create_dir_all(keep.path().join("crls")).unwrap();
    std::fs::copy(data().join("crls/oursub.crl"), keep.path().join("crls/oursub.crl")).unwrap();
    let pem = |name: &str| std::fs::read(dir.cert_path(Sub::Code, name).unwrap()).unwrap();
    dir.revoke("oursub", &dir.cert(Sub::Code, "coder").unwrap().unwrap()).unwrap();
    dir.save_crl("oursub").unwrap();
    // Only the new list is looked at: the authorities are the same, the old list is not there.
    let cas = keep.path().join("cas");
    std::fs::create_dir_all(&cas).unwrap();
    for name in ["ourca.crt", "oursub.crt"] {
        std::fs::copy(data().join("cas").join(name), cas.join(name)).unwrap();
    }
    let only = CertDir::new([keep.path().to_owned()]);
    for name in ["coder", "gonecoder"] {
        assert!(only.val_code_cert(&pem(name)).unwrap_err().message().contains("revoked"), "{name}");
    }
    let wrong = dir.revoke("oursub", &dir.cert(Sub::Users, "root@loop.vertex.link").unwrap().unwrap());
    assert!(wrong.unwrap_err().is("BadCertVerify"));
}

#[test]
fn a_host_certificate_is_no_login() {
    let (keep, dir) = scratch();
    let users = keep.path().join("users");
    std::fs::create_dir_all(&users).unwrap();
    for ext in ["crt", "key"] {
        std::fs::copy(data().join(format!("hosts/{HOST}.{ext}")), users.join(format!("fake.{ext}"))).unwrap();
    }
    let client = dir.client_config(Some("fake")).unwrap();
    assert!(shake(client, dir.server_config(Some(HOST), Some("ourca")).unwrap(), HOST).is_err());
}

#[test]
fn servers_are_checked_against_known_authorities() {
    let empty = tempfile::tempdir().unwrap();
    let stranger = CertDir::new([empty.path().to_owned()]).client_config(None).unwrap();
    let server = certs().server_config(Some(HOST), None).unwrap();
    assert!(shake(stranger, server.clone(), HOST).is_err());
    // A pinned client takes any; its caller compares the hash.
    assert_eq!(shake(pinned_client_config().unwrap(), server, HOST).unwrap().0, HOST);
}

#[test]
fn several_names_are_served_by_sni() {
    let (keep, dir) = scratch();
    let hosts = keep.path().join("hosts");
    std::fs::create_dir_all(&hosts).unwrap();
    // Any second certificate will do: a user's serves as well as long as nobody checks its purpose.
    for ext in ["crt", "key"] {
        std::fs::copy(
            data().join(format!("users/root@loop.vertex.link.{ext}")),
            hosts.join(format!("other.link.{ext}")),
        )
        .unwrap();
    }
    let server = dir.server_config(Some(&format!("{HOST},other.link")), None).unwrap();
    let client = pinned_client_config().unwrap();
    assert_eq!(shake(client.clone(), server.clone(), "other.link").unwrap().0, "root@loop.vertex.link");
    assert_eq!(shake(client.clone(), server.clone(), HOST).unwrap().0, HOST);
    assert_eq!(shake(client, server, "unknown.link").unwrap().0, HOST);
}

#[test]
fn what_is_missing_is_named() {
    let dir = certs();
    assert!(dir.server_config(Some("newp"), None).unwrap_err().is("NoCertKey"));
    assert!(dir.server_config(Some(HOST), Some("newp")).unwrap_err().is("NoSuchCert"));
    assert!(dir.client_config(Some("newp@loop.vertex.link")).unwrap_err().is("NoSuchCert"));
    assert!(dir.client_config(Some("newp")).unwrap_err().is("NoSuchCert"));
    let (keep, dir) = scratch();
    std::fs::create_dir_all(keep.path().join("users")).unwrap();
    std::fs::copy(data().join("users/root@loop.vertex.link.crt"), keep.path().join("users/keyless.crt")).unwrap();
    assert!(dir.client_config(Some("keyless")).unwrap_err().is("NoCertKey"));
}

#[test]
fn code_certificates_are_validated() {
    let dir = certs();
    let pem = |sub, name: &str| std::fs::read(dir.cert_path(sub, name).unwrap()).unwrap();
    let cert = dir.val_code_cert(&pem(Sub::Code, "coder")).unwrap();
    assert_eq!(cert.common_name().as_deref(), Some("coder"));
    let revoked = dir.val_code_cert(&pem(Sub::Code, "gonecoder")).unwrap_err();
    assert!(revoked.is("BadCertVerify") && revoked.message().contains("revoked"), "{revoked}");
    assert!(dir.val_code_cert(&pem(Sub::Users, "root@loop.vertex.link")).unwrap_err().is("BadCertBytes"));
    assert!(dir.val_code_cert(b"newp").unwrap_err().is("BadCertBytes"));
    // Without the intermediate authority there is no way up.
    let keep = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(keep.path().join("cas")).unwrap();
    std::fs::copy(data().join("cas/ourca.crt"), keep.path().join("cas/ourca.crt")).unwrap();
    let lone = CertDir::new([keep.path().to_owned()]);
    assert!(lone.val_code_cert(&pem(Sub::Code, "coder")).unwrap_err().is("BadCertVerify"));
}

#[test]
fn requests_are_signed_for_their_name_and_key_alone() {
    let (keep, dir) = scratch();
    let path = dir.csr_path(Sub::Users, "asks@loop.vertex.link").unwrap();
    let csr = Csr::from_pem(&std::fs::read(path).unwrap()).unwrap();
    let made = dir.sign_user_csr(&csr, "ourca", true).unwrap();
    assert!(made.key.is_none());
    assert_eq!(made.cert_path, Some(keep.path().join("users/asks@loop.vertex.link.crt")));
    assert!(made.cert.is_issued_by(&dir.cert(Sub::Cas, "ourca").unwrap().unwrap()));
    assert!(dir.sign_user_csr(&csr, "ourca", true).unwrap_err().is("DupFileName"));
    // The new certificate fits the key that was made with the request.
    let server = dir.server_config(Some(HOST), Some("ourca")).unwrap();
    let client = dir.client_config(Some("asks@loop.vertex.link")).unwrap();
    assert_eq!(shake(client, server, HOST).unwrap().1.as_deref(), Some("asks@loop.vertex.link"));

    let host = dir.sign_host_csr(&csr, "ourca", Some("DNS:x.link,URI:http://x"), false).unwrap();
    assert!(host.cert_path.is_none());
    assert!(dir.sign_host_csr(&csr, "ourca", Some("IP:1.2.3.4"), false).unwrap_err().is("BadArg"));
    assert!(dir.sign_user_csr(&csr, "newp", false).unwrap_err().is("NoCertKey"));
}

#[test]
fn names_stay_in_their_directory() {
    let (_keep, dir) = scratch();
    assert!(dir.gen_user_cert("../../newp", Some("ourca"), true).unwrap_err().is("BadArg"));
    assert!(dir.gen_user_cert("", Some("ourca"), true).unwrap_err().is("CryptoErr"));
    assert!(dir.gen_user_cert(&"x".repeat(65), Some("ourca"), true).unwrap_err().is("CryptoErr"));
    assert!(!dir.is_cert(Sub::Users, "../cas/ourca"));
}

#[test]
fn files_are_imported_and_saved_once() {
    let (keep, dir) = scratch();
    let path = data().join("cas/ourca.crt");
    assert_eq!(dir.import_file(&path, Sub::Cas).unwrap(), keep.path().join("cas/ourca.crt"));
    assert!(dir.import_file(&path, Sub::Cas).unwrap_err().is("FileExists"));
    assert!(dir.import_file(&keep.path().join("newp.crt"), Sub::Cas).unwrap_err().is("NoSuchFile"));
    std::fs::write(keep.path().join("a.txt"), "x").unwrap();
    assert!(dir.import_file(&keep.path().join("a.txt"), Sub::Cas).unwrap_err().is("BadFileExt"));
    let byts = std::fs::read(data().join("cas/oursub.crt")).unwrap();
    assert_eq!(dir.save_cert_bytes(Sub::Cas, &byts).unwrap(), keep.path().join("cas/oursub.crt"));
    assert!(dir.save_cert_bytes(Sub::Cas, &byts).unwrap_err().is("DupFileName"));
    assert_eq!(std::fs::read(keep.path().join("cas/oursub.crt")).unwrap(), byts);
}

#[test]
fn a_pair_is_made_and_archived() {
    let (keep, dir) = scratch();
    let made = dir.gen_user_cert("new@loop.vertex.link", Some("ourca"), true).unwrap();
    assert_eq!(made.cert, Cert::from_pem(&std::fs::read(made.cert_path.unwrap()).unwrap()).unwrap());
    let key_path = made.key_path.unwrap();
    assert!(std::fs::read_to_string(&key_path).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key_path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(dir.gen_user_cert("new@loop.vertex.link", Some("ourca"), true).unwrap_err().is("DupFileName"));
    let archive = dir.gen_client_cert("new@loop.vertex.link").unwrap();
    assert_eq!(archive, keep.path().join("users/new@loop.vertex.link.p12"));
    assert!(std::fs::metadata(archive).unwrap().len() > 4000);
}
