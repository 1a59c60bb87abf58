//! The provisioning listener: whoever has a one-time key may open it, without any other login.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use myelin_certs::Csr;
use myelin_error::{Result, err};
use myelin_telepath::{Api, Args, LoginCx, MethTable, Share, TableApi};
use myelin_value::{Map, Value};

use crate::aha::{Aha, Key};
use crate::store::text;

/// Takes logins of any name: the name is the key.
pub struct KeyShare(pub Aha);

#[async_trait]
impl Share for KeyShare {
    async fn login(&self, cx: LoginCx) -> Result<Arc<dyn Api>> {
        let aha = self.0.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let key = aha.open_key(&cx.name)?;
            Ok(match key {
                Key::Service(info) => Arc::new(ProvApi { aha, info }) as Arc<dyn Api>,
                Key::Person(info) => Arc::new(EnrollApi { aha, info }),
                Key::Clone(info) => Arc::new(CloneApi { aha, info }),
            })
        });
        opened.await.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("The login was abandoned: {error}."))))
    }
}

/// What a new service may do.
struct ProvApi {
    aha: Aha,
    info: Value,
}

/// What a person who enrols may do.
struct EnrollApi {
    aha: Aha,
    info: Value,
}

/// What a new mirror may do.
struct CloneApi {
    aha: Aha,
    info: Value,
}

/// The calls of the provisioning listener's APIs, as `Class.method`.
pub fn call_names() -> Vec<String> {
    let names = |class: &str, names: Vec<&str>| -> Vec<String> {
        names.into_iter().map(|name| format!("{class}.{name}")).collect()
    };
    [
        names("ProvApi", ProvApi::table().names().collect()),
        names("EnrollApi", EnrollApi::table().names().collect()),
        names("CloneApi", CloneApi::table().names().collect()),
    ]
    .concat()
}

fn ca_cert(aha: &Aha) -> Result<Value> {
    Ok(aha.certdir().ca_cert_bytes(aha.network())?.map_or(Value::Null, |byts| byts[..].into()))
}

fn csr_named(args: &Args, name: &str, kind: &str) -> Result<Csr> {
    let csr = Csr::from_pem(args.bytes("byts")?)?;
    let found = csr.common_name()?;
    if found != name {
        return Err(err!("BadArg", mesg = format!("Invalid {kind} CSR CN={found}."), name = found));
    }
    Ok(csr)
}

fn sign_user(aha: &Aha, args: &Args, user: &str) -> Result<Value> {
    let network = aha.network();
    let csr = csr_named(args, &format!("{user}@{network}"), "user")?;
    tracing::info!(user, "signing a user's certificate");
    Ok(aha.certdir().sign_user_csr(&csr, network, false)?.cert.to_pem().as_bytes().into())
}

impl ProvApi {
    fn conf(&self, key: &str) -> Result<&str> {
        let valu = self.info.get("conf").and_then(|conf| text(conf, key));
        valu.ok_or_else(|| err!("BadArg", mesg = format!("The provisioning entry has no {key}."), name = key))
    }
}

#[async_trait]
impl TableApi for ProvApi {
    const CLASSES: &'static [&'static str] = &["synapse.lib.aha.ProvApi"];

    fn table() -> &'static MethTable<ProvApi> {
        static TABLE: OnceLock<MethTable<ProvApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            MethTable::new()
                .blocking("getProvInfo", "", |api: &ProvApi, _, _| Ok(api.info.clone()))
                .blocking("getCaCert", "", |api, _, _| ca_cert(&api.aha))
                .blocking("signHostCsr", "byts", |api, _, args| {
                    let (name, network) = (api.conf("aha:name")?, api.aha.network());
                    let csr = csr_named(&args, &format!("{name}.{network}"), "host")?;
                    tracing::info!(name, "signing a service's certificate");
                    let issued = api.aha.certdir().sign_host_csr(&csr, network, None, false)?;
                    Ok(Value::from(issued.cert.to_pem().as_bytes()))
                })
                .blocking("signUserCsr", "byts", |api, _, args| sign_user(&api.aha, &args, api.conf("aha:user")?))
        })
    }
}

#[async_trait]
impl TableApi for EnrollApi {
    const CLASSES: &'static [&'static str] = &["synapse.lib.aha.EnrollApi"];

    fn table() -> &'static MethTable<EnrollApi> {
        static TABLE: OnceLock<MethTable<EnrollApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            MethTable::new()
                .blocking("getUserInfo", "", |api: &EnrollApi, _, _| {
                    let user = text(&api.info, "name").unwrap_or_default();
                    Ok(Map::new()
                        .with("aha:urls", api.aha.urls(user)?)
                        .with("aha:user", user)
                        .with("aha:network", api.aha.network()))
                })
                .blocking("getCaCert", "", |api, _, _| ca_cert(&api.aha))
                .blocking("signUserCsr", "byts", |api, _, args| {
                    sign_user(&api.aha, &args, text(&api.info, "name").unwrap_or_default())
                })
        })
    }
}

#[async_trait]
impl TableApi for CloneApi {
    const CLASSES: &'static [&'static str] = &["synapse.lib.aha.CloneApi"];

    fn table() -> &'static MethTable<CloneApi> {
        static TABLE: OnceLock<MethTable<CloneApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            MethTable::new()
                .blocking("getCloneDef", "", |api: &CloneApi, _, _| Ok(api.info.clone()))
                .blocking("readyToMirror", "", |api, _, _| crate::service::ready_to_mirror(&api.aha))
                .genr("iterNewBackupArchive", "name=None, remove=False", async |api: Arc<CloneApi>, _, args| {
                    crate::service::backup_archive(&api.aha, args.opt_str("name")?, args.truthy("remove")).await
                })
        })
    }
}
