//! What peers may call of AHA, and the permission each call needs.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::StreamExt;
use myelin_cell::{CellApi, User};
use myelin_error::{Result, err};
use myelin_telepath::{Args, CallCx, MethTable, TableApi, ValueStream};
use myelin_value::{Map, Value, guid_of};
use parking_lot::Mutex;

use crate::aha::{Aha, suggest_user};
use crate::names::SvcName;
use crate::peers::seconds;
use crate::store::text;

/// AHA as one logged-in user sees it.
pub struct AhaApi {
    base: Arc<CellApi>,
    aha: Aha,
    /// What was registered in this session: name, network, and what its entry says in `online`.
    mine: Mutex<Vec<(String, Option<String>, String)>>,
}

impl AhaApi {
    /// The API of a user who has logged in.
    pub fn new(base: Arc<CellApi>, aha: Aha) -> AhaApi {
        AhaApi { base, aha, mine: Mutex::default() }
    }

    fn user(&self) -> &User {
        self.base.user()
    }

    fn need(&self, perm: &[&str]) -> Result<()> {
        self.user().confirm(perm, None)
    }

    fn admin(&self) -> Result<()> {
        self.user().req_admin(None, None)
    }

    /// A service that the user may see.
    fn visible(&self, name: &str, mirror: bool) -> Result<Option<Value>> {
        let Some(svc) = self.aha.svc(name, mirror)? else { return Ok(None) };
        self.need(&["aha", "service", "get", text(&svc, "svcnetw").unwrap_or_default()])?;
        Ok(Some(svc))
    }

    fn add_svc(&self, cx: &CallCx, args: &Args) -> Result<Value> {
        let (name, network) = (args.str("name")?, args.opt_str("network")?);
        let parts = SvcName::parse(name, network)?;
        self.need(&["aha", "service", "add", &parts.network, &parts.name])?;
        // The session's iden is a credential: others see a hash of it.
        let online = guid_of(&Value::from(cx.session.iden.as_str()));
        let mut info = args.map("info")?.clone();
        info.insert("online", &online);
        if !info.contains("ready") {
            info.insert("ready", true);
        }
        if let Some(peer) = cx.link.peer
            && let Some(urlinfo) = info.get("urlinfo").and_then(Value::as_map)
            && !urlinfo.contains("host")
        {
            info.insert("urlinfo", urlinfo.clone().with("host", peer.ip().to_string()));
        }
        self.mine.lock().push((name.to_owned(), network.map(str::to_owned), online.clone()));
        self.aha.add_svc(name, network, info, &online)?;
        if cx.session.done.is_cancelled() {
            // The peer went while this was on its way, and nobody else will say so.
            self.go_down();
        }
        Ok(Value::Null)
    }

    /// The session ended: what it registered is offline.
    fn go_down(&self) {
        for (name, network, online) in std::mem::take(&mut *self.mine.lock()) {
            if let Err(error) = self.aha.svc_down(&name, network.as_deref(), &online) {
                tracing::warn!(name, %error, "a service could not be marked as offline");
            }
        }
    }

    fn call_peers(&self, args: &Args, genr: bool) -> Result<ValueStream> {
        self.admin()?;
        let svcs = self.aha.svcs_by_iden(args.str("iden")?, true, args.opt_str("skiprun")?)?;
        self.aha.peers().call_all(svcs, args.get("todo"), seconds(args.get("timeout"))?, genr)
    }
}

#[async_trait]
impl TableApi for AhaApi {
    const CLASSES: &'static [&'static str] =
        &["synapse.lib.aha.AhaApi", "synapse.lib.cell.CellApi", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<AhaApi> {
        static TABLE: OnceLock<MethTable<AhaApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            let base = MethTable::new().extend(CellApi::table(), |api: &Arc<AhaApi>| api.base.clone());
            keys(certs(pools(servers(services(base)))))
        })
    }

    async fn fini(&self) {
        tokio::task::block_in_place(|| self.go_down());
        TableApi::fini(&*self.base).await;
    }
}

fn services(table: MethTable<AhaApi>) -> MethTable<AhaApi> {
    table
        .blocking("getAhaSvc", "name, filters=None", |api, _, args| {
            let mirror = args.get("filters").get("mirror").is_some_and(Value::is_truthy);
            let svc = api.visible(args.str("name")?, mirror)?;
            Ok(svc.map_or(Value::Null, |svc| suggest_user(&svc, &api.user().name())))
        })
        .genr("getAhaSvcs", "network=None", async |api: Arc<AhaApi>, _, args| {
            let network = args.opt_str("network")?.map(str::to_owned);
            let mut perm = vec!["aha", "service", "get"];
            perm.extend(network.as_deref());
            api.need(&perm)?;
            Ok(stream(blocking(move || api.aha.store().svcs(network.as_deref())).await?))
        })
        .genr("getAhaSvcsByIden", "iden, online=True, skiprun=None", async |api: Arc<AhaApi>, _, args| {
            let svcs = move || api.aha.svcs_by_iden(args.str("iden")?, args.truthy("online"), args.opt_str("skiprun")?);
            Ok(stream(blocking(svcs).await?))
        })
        .blocking("getAhaSvcMirrors", "name", |api, _, args| {
            let Some(svc) = api.visible(args.str("name")?, false)? else { return Ok(Value::Null) };
            let iden = svc.get("svcinfo").and_then(|info| text(info, "iden")).unwrap_or_default();
            Ok(api.aha.mirrors(iden)?.into())
        })
        .blocking("addAhaSvc", "name, info, network=None", |api, cx, args| api.add_svc(cx, &args))
        .blocking("modAhaSvcInfo", "name, svcinfo", |api, _, args| {
            let changes = args.map("svcinfo")?;
            if let Some(key) = changes.keys().find(|key| key.as_str() != Some("ready")) {
                let key = key.as_str().unwrap_or_default();
                let mesg = format!("Editing AHA service info property ({key}) is not supported!");
                return Err(err!("BadArg", mesg = mesg, name = key));
            }
            let Some(svc) = api.aha.svc(args.str("name")?, false)? else { return Ok(false) };
            let part = |key| text(&svc, key).unwrap_or_default();
            api.need(&["aha", "service", "add", part("svcnetw"), part("svcname")])?;
            api.aha.mod_svc(args.str("name")?, changes.clone())
        })
        .blocking("delAhaSvc", "name, network=None", |api, _, args| {
            let (name, network) = (args.str("name")?, args.opt_str("network")?);
            let parts = SvcName::parse(name, network)?;
            api.need(&["aha", "service", "del", &parts.network, &parts.name])?;
            api.aha.del_svc(name, network).map(|()| Value::Null)
        })
        .genr("callAhaPeerApi", "iden, todo, timeout=None, skiprun=None", async |api: Arc<AhaApi>, _, args| {
            api.call_peers(&args, false)
        })
        .genr("callAhaPeerGenr", "iden, todo, timeout=None, skiprun=None", async |api: Arc<AhaApi>, _, args| {
            api.call_peers(&args, true)
        })
}

fn servers(table: MethTable<AhaApi>) -> MethTable<AhaApi> {
    table
        .blocking("getAhaUrls", "user='root'", |api, _, args| api.aha.urls(args.str("user")?))
        .blocking("getAhaServers", "", |api, _, _| Ok(Value::from(api.aha.store().servers()?)))
        .blocking("getAhaServer", "host, port", |api, _, args| {
            Ok(api.aha.store().server(args.get("host"), args.get("port"))?.unwrap_or_default())
        })
        .blocking("addAhaServer", "server", |api, _, args| {
            api.admin()?;
            api.aha.add_server(args.map("server")?.clone())
        })
        .blocking("delAhaServer", "host, port", |api, _, args| {
            api.admin()?;
            api.aha.del_server(args.get("host"), args.get("port"))
        })
}

fn pools(table: MethTable<AhaApi>) -> MethTable<AhaApi> {
    table
        .blocking("getAhaPool", "name", |api, _, args| {
            let store = api.aha.store();
            Ok(store.pool(&store.expand(args.str("name")?))?.unwrap_or_default())
        })
        .genr("getAhaPools", "", async |api: Arc<AhaApi>, _, _| {
            Ok(stream(blocking(move || api.aha.store().pools()).await?))
        })
        .blocking("addAhaPool", "name, info", |api, _, args| {
            api.admin()?;
            api.aha.add_pool(args.str("name")?, args.map("info")?.clone(), api.user().iden())
        })
        .blocking("delAhaPool", "name", |api, _, args| {
            api.admin()?;
            api.aha.del_pool(args.str("name")?)
        })
        .blocking("addAhaPoolSvc", "poolname, svcname, info", |api, _, args| {
            api.admin()?;
            let (pool, svc, info) = (args.str("poolname")?, args.str("svcname")?, args.map("info")?.clone());
            api.aha.add_pool_svc(pool, svc, info, api.user().iden())
        })
        .blocking("delAhaPoolSvc", "poolname, svcname", |api, _, args| {
            api.admin()?;
            api.aha.del_pool_svc(args.str("poolname")?, args.str("svcname")?)
        })
        .genr("iterPoolTopo", "name", async |api: Arc<AhaApi>, _, args| {
            let (aha, name) = (api.aha.clone(), args.str("name")?.to_owned());
            let (first, rx) = blocking(move || aha.pool_topo(&name)).await?;
            let later = futures::stream::unfold(rx, async |mut rx| rx.recv().await.map(|item| (item, rx)));
            let all = futures::stream::iter(first).chain(later);
            Ok(Box::pin(all.map(move |mesg| Ok(with_user(mesg, &api.user().name())))) as ValueStream)
        })
}

/// Suggests the user in a message that adds a service.
fn with_user(mesg: Value, user: &str) -> Value {
    match (mesg.at(0).and_then(Value::as_str), mesg.at(1)) {
        (Some("svc:add"), Some(svc)) => Value::list(["svc:add".into(), suggest_user(svc, user)]),
        _ => mesg,
    }
}

fn certs(table: MethTable<AhaApi>) -> MethTable<AhaApi> {
    table
        .blocking("getCaCert", "network", |api, _, args| {
            api.need(&["aha", "ca", "get"])?;
            Ok(api.aha.ca_cert(args.str("network")?)?.map_or(Value::Null, Value::from))
        })
        .blocking("genCaCert", "network", |api, _, args| {
            api.need(&["aha", "ca", "gen"])?;
            api.aha.gen_ca(args.str("network")?)
        })
        .blocking("signHostCsr", "csrtext, signas=None, sans=None", |api, _, args| {
            api.need(&["aha", "csr", "host"])?;
            api.aha.sign_host(args.str("csrtext")?, args.opt_str("signas")?, args.opt_str("sans")?)
        })
        .blocking("signUserCsr", "csrtext, signas=None", |api, _, args| {
            api.need(&["aha", "csr", "user"])?;
            api.aha.sign_user(args.str("csrtext")?, args.opt_str("signas")?)
        })
}

fn keys(table: MethTable<AhaApi>) -> MethTable<AhaApi> {
    let drop_all = |event: &'static str| {
        move |api: &AhaApi, _: &CallCx, _: Args| {
            api.admin()?;
            api.aha.drop_keys(event, None).map(|()| Value::Null)
        }
    };
    let drop_one = |event: &'static str| {
        move |api: &AhaApi, _: &CallCx, args: Args| {
            api.admin()?;
            api.aha.drop_keys(event, Some(args.str("iden")?)).map(|()| Value::Null)
        }
    };
    table
        .blocking("addAhaSvcProv", "name, provinfo=None", |api, _, args| {
            api.admin()?;
            let info = if args.get("provinfo").is_null() { Map::new() } else { args.map("provinfo")?.clone() };
            api.aha.add_prov(args.str("name")?, &info)
        })
        .blocking("addAhaUserEnroll", "name, userinfo=None, again=False", |api, _, args| {
            api.admin()?;
            api.aha.add_enroll(args.str("name")?, args.truthy("again"))
        })
        .blocking("addAhaClone", "host, port=27492, conf=None", |api, _, args| {
            api.admin()?;
            let conf = if args.get("conf").is_null() { Map::new() } else { args.map("conf")?.clone() };
            api.aha.add_clone(args.str("host")?, args.int("port")?, conf)
        })
        .blocking("delAhaSvcProv", "iden", drop_one("aha:svc:prov:del"))
        .blocking("delAhaUserEnroll", "iden", drop_one("aha:enroll:del"))
        .blocking("clearAhaSvcProvs", "", drop_all("aha:svc:prov:clear"))
        .blocking("clearAhaUserEnrolls", "", drop_all("aha:enroll:clear"))
        .blocking("clearAhaClones", "", drop_all("aha:clone:clear"))
}

async fn blocking<T: Send + 'static>(func: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(func).await;
    done.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("A call was abandoned: {error}."))))
}

fn stream(items: Vec<Value>) -> ValueStream {
    Box::pin(futures::stream::iter(items.into_iter().map(Ok)))
}
