//! `aha.enroll`: a one-time URL becomes a user's certificate and known AHA servers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use myelin_certs::{CertDir, Sub};
use myelin_error::{Result, err};
use myelin_telepath::{Proxy, Todo, env, url, yaml};
use myelin_value::{Map, Value};

use super::{Exit, open, report, text};

pub fn args() -> Command {
    Command::new("enroll")
        .about("Use a one-time URL to get your user certificate and to know the AHA servers")
        .arg(Arg::new("onceurl").required(true).help("The one-time URL that aha.provision.user printed"))
}

pub async fn run(args: ArgMatches) -> Exit {
    let work = async {
        let (_env, prov) = open(text(&args, "onceurl")).await?;
        enroll(&prov, &env::syn_dir()).await?;
        Ok(0)
    };
    report(work.await)
}

async fn enroll(prov: &Proxy, syn_dir: &Path) -> Result<()> {
    let info = prov.call(Todo::new("getUserInfo")).await?;
    let part = |key: &str| {
        let valu = info.get(key).and_then(Value::as_str);
        valu.ok_or_else(|| err!("SynErr", mesg = format!("The AHA server did not say the {key} of the user.")))
    };
    let network = part("aha:network")?;
    let username = format!("{}@{network}", part("aha:user")?);

    let certpath = syn_dir.join("certs");
    std::fs::create_dir_all(&certpath)?;
    let certdir = Arc::new(CertDir::new([certpath]));

    for stale in [
        certdir.cert_path(Sub::Cas, network),
        certdir.key_path(Sub::Users, &username),
        certdir.cert_path(Sub::Users, &username),
    ]
    .into_iter()
    .flatten()
    {
        std::fs::remove_file(stale)?;
    }
    let path = certdir.save_cert_bytes(Sub::Cas, &bytes(prov.call(Todo::new("getCaCert")).await?)?)?;
    println!("Saved CA certificate: {}", path.display());

    // A 4096-bit key takes seconds to find: not on the thread that serves the connection.
    let maker = certdir.clone();
    let name = username.clone();
    let csr = tokio::task::spawn_blocking(move || maker.gen_user_csr(&name))
        .await
        .map_err(|error| err!("SynErr", mesg = "Making the certificate request failed.").caused_by(error))??;
    let signed = prov.call(Todo::new("signUserCsr").arg(csr.pem.as_bytes())).await?;
    let path = certdir.save_cert_bytes(Sub::Users, &bytes(signed)?)?;
    println!("Saved user certificate: {}", path.display());
    certdir.del_csr(Sub::Users, &username)?;

    if let Some(urls) = info.get("aha:urls") {
        learn_servers(urls, &username, &syn_dir.join("telepath.yaml"))?;
    }
    Ok(())
}

fn bytes(valu: Value) -> Result<Vec<u8>> {
    valu.as_bytes().map(<[u8]>::to_vec).ok_or_else(|| err!("SynErr", mesg = "The AHA server sent no certificate."))
}

/// Adds AHA servers that `telepath.yaml` does not name yet, each with the user's certificate in its URL.
fn learn_servers(urls: &Value, username: &str, path: &Path) -> Result<()> {
    let mut known = match yaml::load_file(path)? {
        Some(Value::Map(known)) => (*known).clone(),
        _ => Map::new(),
    };
    if !known.contains("version") {
        known.insert("version", 1);
    }
    let mut servers = match known.get("aha:servers") {
        Some(Value::List(servers)) => servers.to_vec(),
        Some(one @ Value::Str(_)) => vec![one.clone()],
        _ => Vec::new(),
    };
    let given: Vec<&str> = match urls {
        Value::Str(one) => vec![one],
        many => many.as_list().unwrap_or_default().iter().filter_map(Value::as_str).collect(),
    };
    let certname = Map::new().with("certname", username);
    let with_cert: BTreeSet<String> =
        given.into_iter().map(|one| url::modify(one, &certname)).collect::<Result<_>>()?;
    let fresh: Vec<Value> = with_cert.into_iter().map(Value::from).filter(|one| !servers.contains(one)).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    println!("Updating known AHA servers");
    servers.extend(fresh);
    known.insert("aha:servers", Value::from(servers));
    yaml::save_file(path, &Value::from(known))
}
