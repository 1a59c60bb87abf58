//! `utils.easycert` and `aha.easycert`: certificates from the local directory's authorities, or signed by AHA.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_certs::{CertDir, Csr, Issued, Requested, Sub};
use myelin_error::{Error, Result, err};
use myelin_telepath::Todo;
use myelin_value::Value;

use super::{Exit, open, opt_text, report, text};

fn flag(name: &'static str, long: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(long).action(ArgAction::SetTrue).help(help)
}

fn common(about: &'static str) -> Command {
    Command::new("easycert")
        .about(about)
        .arg(Arg::new("certdir").long("certdir").default_value("~/.syn/certs").help("The certificate directory"))
        .arg(flag("ca", "ca", "A certificate authority"))
        .arg(flag("server", "server", "A service"))
        .arg(Arg::new("server_sans").long("server-sans").help("Further names of the service: DNS:a.b,email:x@y,URI:z"))
        .arg(Arg::new("name").required(true).help("The common name, or the file to import or sign"))
}

pub fn args() -> Command {
    common("Make, sign, import and revoke certificates")
        .arg(
            Arg::new("importfile")
                .long("importfile")
                .value_parser(["cas", "hosts", "users"])
                .help("Copy a certificate or key into the directory"),
        )
        .arg(flag("crl", "crl", "Write the revocation list of an authority"))
        .arg(flag("p12", "p12", "Make a PKCS#12 archive of a user for browsers"))
        .arg(flag("code", "code", "A signer of packages"))
        .arg(flag("csr", "csr", "Make a key and a request to sign it"))
        .arg(flag("sign_csr", "sign-csr", "Sign a request"))
        .arg(Arg::new("signas").long("signas").help("The authority that signs"))
        .arg(Arg::new("revokeas").long("revokeas").help("Revoke a certificate as this authority"))
}

pub async fn run(args: ArgMatches) -> Exit {
    // Keys take seconds to find.
    let done = tokio::task::spawn_blocking(move || local(&args)).await;
    let done = done.map_err(|error| err!("SynErr", mesg = format!("The work was abandoned: {error}.")))?;
    done.or_else(|error: Error| {
        match error.get("path").filter(|_| error.is("DupFileName")) {
            Some(path) => println!("file exists: {}", crate::shell::plain(Some(path))),
            None => println!("ERROR: {error}"),
        }
        Ok(1)
    })
}

fn local(args: &ArgMatches) -> Exit {
    let dir = CertDir::new([PathBuf::from(text(args, "certdir"))]);
    let (name, signas) = (text(args, "name"), opt_text(args, "signas"));
    let is = |flag: &str| args.get_flag(flag);
    if is("crl") {
        println!("CRL saved: {}", dir.save_crl(name)?.display());
    } else if let Some(ca) = opt_text(args, "revokeas") {
        return revoke(&dir, args, name, ca);
    } else if let Some(sub) = opt_text(args, "importfile") {
        let sub = match sub {
            "cas" => Sub::Cas,
            "hosts" => Sub::Hosts,
            _ => Sub::Users,
        };
        println!("copied {name} to {}", dir.import_file(Path::new(name), sub)?.display());
    } else if is("p12") {
        println!("client cert saved: {}", dir.gen_client_cert(name)?.display());
    } else if is("sign_csr") {
        let Some(signas) = signas else {
            println!("--sign-csr requires --signas");
            return Ok(1);
        };
        let Ok(byts) = std::fs::read(name) else {
            println!("csr not found: {name}");
            return Ok(1);
        };
        let csr = Csr::from_pem(&byts)?;
        let issued = if is("server") {
            dir.sign_host_csr(&csr, signas, opt_text(args, "server_sans"), true)?
        } else {
            dir.sign_user_csr(&csr, signas, true)?
        };
        say_issued(&issued);
    } else if is("csr") {
        if is("ca") {
            return Err(err!("FeatureNotSupported", mesg = "An authority is not made by a request: leave out --csr."));
        }
        say_requested(&if is("server") { dir.gen_host_csr(name)? } else { dir.gen_user_csr(name)? });
    } else {
        say_issued(&if is("ca") {
            dir.gen_ca_cert(name, signas, true)?
        } else if is("server") {
            dir.gen_host_cert(name, signas, opt_text(args, "server_sans"), true)?
        } else if is("code") {
            dir.gen_code_cert(name, signas, true)?
        } else {
            dir.gen_user_cert(name, signas, true)?
        });
    }
    Ok(0)
}

fn revoke(dir: &CertDir, args: &ArgMatches, name: &str, ca: &str) -> Exit {
    let sub = [("code", Sub::Code), ("server", Sub::Hosts), ("ca", Sub::Cas)];
    let sub = sub.into_iter().find(|(flag, _)| args.get_flag(flag)).map_or(Sub::Users, |(_, sub)| sub);
    let Some(cert) = dir.cert(sub, name)? else {
        println!("Certificate not found: {name}");
        return Ok(1);
    };
    if let Err(error) = dir.revoke(ca, &cert) {
        println!("Failed to revoke certificate: {}", error.message());
        return Ok(1);
    }
    println!("Certificate revoked: {name}\nCRL updated: {ca}");
    Ok(0)
}

fn say_issued(issued: &Issued) {
    if let Some(path) = &issued.key_path {
        println!("key saved: {}", path.display());
    }
    if let Some(path) = &issued.cert_path {
        println!("cert saved: {}", path.display());
    }
}

fn say_requested(made: &Requested) {
    println!("key saved: {}", made.key_path.display());
    println!("csr saved: {}", made.csr_path.display());
}

// ---- by AHA

pub fn aha_args() -> Command {
    common("Get certificates from an AHA service (deprecated: provision services and enroll users instead)")
        .arg(Arg::new("aha").long("aha").short('a').required(true).help("Telepath URL of the AHA service"))
        .arg(Arg::new("network").long("network").help("The network to sign for (deprecated)"))
}

pub async fn aha(args: ArgMatches) -> Exit {
    report(by_aha(&args).await.map(|()| 0))
}

async fn by_aha(args: &ArgMatches) -> Result<()> {
    let (_env, aha) = open(text(args, "aha")).await?;
    let name = text(args, "name").to_owned();
    let certdir = PathBuf::from(text(args, "certdir"));
    if args.get_flag("ca") {
        // Who may read the certificate may not have the right to make it.
        let mut pem = aha.call(Todo::new("getCaCert").arg(name.as_str())).await?;
        if pem.is_null() {
            pem = aha.call(Todo::new("genCaCert").arg(name.as_str())).await?;
        }
        println!("Saved CA cert to {}", save(&certdir, Sub::Cas, &pem)?.display());
        return Ok(());
    }
    let (sub, meth) = if args.get_flag("server") { (Sub::Hosts, "signHostCsr") } else { (Sub::Users, "signUserCsr") };
    let (dirn, who) = (certdir.clone(), name.clone());
    let made = tokio::task::spawn_blocking(move || {
        let dir = CertDir::new([dirn]);
        if sub == Sub::Hosts { dir.gen_host_csr(&who) } else { dir.gen_user_csr(&who) }
    });
    let made = made.await.map_err(|error| err!("SynErr", mesg = format!("Making a key failed: {error}.")))??;
    say_requested(&made);
    let mut todo = Todo::new(meth).arg(made.pem.as_str()).kw("signas", opt_text(args, "network"));
    if sub == Sub::Hosts {
        todo = todo.kw("sans", opt_text(args, "server_sans"));
    }
    println!("crt saved: {}", save(&certdir, sub, &aha.call(todo).await?)?.display());
    if let Some(path) = CertDir::new([certdir]).del_csr(sub, &name)? {
        println!("Deleted CSR at {}", path.display());
    }
    Ok(())
}

fn save(certdir: &Path, sub: Sub, pem: &Value) -> Result<PathBuf> {
    let pem = pem.as_str().ok_or_else(|| err!("BadCertBytes", mesg = "AHA sent no certificate."))?;
    CertDir::new([certdir.to_owned()]).save_cert_bytes(sub, pem.as_bytes())
}
