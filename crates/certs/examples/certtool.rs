//! Makes or checks a certificate directory, for trying other implementations against it.
//!
//! `certtool gen DIR` makes an authority, a host, a user, a code signer, requests, an archive and a revocation list.
//! `certtool check DIR CA HOST USER CODE CSR` reads what someone else made, and signs their user's request into it.

use std::path::PathBuf;

use myelin_certs::{CertDir, Csr, Sub};
use myelin_error::{Result, err};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gen", dir] => make(&CertDir::new([PathBuf::from(dir)])),
        ["check", dir, ca, host, user, code, csr] => {
            check(&CertDir::new([PathBuf::from(dir)]), [ca, host, user, code, csr])
        }
        _ => Err(err!("BadArg", mesg = "usage: certtool gen DIR | check DIR CA HOST USER CODE CSR")),
    }
}

fn make(dir: &CertDir) -> Result<()> {
    dir.gen_ca_cert("ourca", None, true)?;
    dir.gen_ca_cert("oursub", Some("ourca"), true)?;
    let sans = "DNS:alt.loop.vertex.link,email:a@vertex.link,URI:http://vertex.link";
    dir.gen_host_cert("00.loop.vertex.link", Some("ourca"), Some(sans), true)?;
    dir.gen_user_cert("root@loop.vertex.link", Some("ourca"), true)?;
    let gone = dir.gen_user_cert("gone@loop.vertex.link", Some("ourca"), true)?;
    dir.gen_code_cert("coder", Some("oursub"), true)?;
    let gone_code = dir.gen_code_cert("gonecoder", Some("oursub"), true)?;
    dir.gen_user_csr("asks@loop.vertex.link")?;
    dir.gen_client_cert("root@loop.vertex.link")?;
    dir.revoke("ourca", &gone.cert)?;
    dir.revoke("oursub", &gone_code.cert)?;
    dir.save_crl("ourca")?;
    Ok(())
}

fn check(dir: &CertDir, [ca, host, user, code, csr]: [&str; 5]) -> Result<()> {
    let missing = |name: &str| err!("NoSuchCert", mesg = format!("no certificate {name}"));
    let cacert = dir.cert(Sub::Cas, ca)?.ok_or_else(|| missing(ca))?;
    for (sub, name) in [(Sub::Hosts, host), (Sub::Users, user)] {
        let cert = dir.cert(sub, name)?.ok_or_else(|| missing(name))?;
        dir.key(sub, name)?.ok_or_else(|| missing(name))?;
        if !cert.is_issued_by(&cacert) || cert.common_name().as_deref() != Some(name) {
            return Err(err!("BadCertVerify", mesg = format!("{name} is not what it should be")));
        }
    }
    let code = dir.cert(Sub::Code, code)?.ok_or_else(|| missing(code))?;
    dir.val_code_cert(code.to_pem().as_bytes())?;
    dir.server_config(Some(host), Some(ca))?;
    dir.client_config(Some(user))?;
    let path = dir.csr_path(Sub::Users, csr).ok_or_else(|| missing(csr))?;
    dir.sign_user_csr(&Csr::from_pem(&std::fs::read(path)?)?, ca, true)?;
    let cert = dir.cert(Sub::Users, user)?.ok_or_else(|| missing(user))?;
    dir.revoke(ca, &cert)?;
    println!("{}", cacert.sha256());
    Ok(())
}
