//! A small service that offers every form of reply, for trying clients against it.
//!
//! `echo_server URL...` listens on each URL, prints one line `listening ...` for each, and serves until its input
//! ends. With `CERTDIR` set, that directory holds the certificates of `ssl://` URLs. The share `gizmo` takes anyone;
//! the share `*` wants the user `root` with the password `secret`, or a client certificate.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_telepath::{
    Api, Args, Bound, CallCx, Dmon, DmonConf, LoginCx, MethTable, Reply, Share, TableApi, ValueStream,
};
use myelin_value::{Map, Value, rand_guid};
use tokio::io::AsyncReadExt;

/// Streams that are running, so that a client can see an abandoned one end.
static RUNNING: AtomicI64 = AtomicI64::new(0);
/// Widgets that were finalised.
static ENDED: AtomicI64 = AtomicI64::new(0);

struct Gizmo {
    user: String,
    path: Vec<String>,
}

static GIZMO: LazyLock<MethTable<Gizmo>> = LazyLock::new(|| {
    MethTable::new()
        .call("echo", "*args, **kwargs", async |_, _, args: Args| {
            Ok(Value::list([args.pos.into(), args.kwargs.into()]))
        })
        .call("plain", "x, y=10", async |_, _, args: Args| Ok(args.int("x")? + args.int("y")?))
        .call("whoami", "", async |item: Arc<Gizmo>, _, _| {
            Ok(Value::list([item.user.as_str().into(), item.path.clone().into()]))
        })
        .call("fail", "", async |_, _, _| Err::<Value, _>(err!("BadArg", mesg = "as asked", foo = "bar")))
        .call("foreign", "", async |_, _, _| Err::<Value, _>(err!("Foo", mesg = "not in the client")))
        .call("sleep", "secs", async |_, _, args: Args| {
            tokio::time::sleep(Duration::from_secs_f64(args.get("secs").as_f64().unwrap_or(1.0))).await;
            Ok(true)
        })
        .blocking("block", "", |_, cx: &CallCx, _| Ok(Value::from(cx.session.iden.as_str())))
        .call("counts", "", async |_, _, _| {
            Ok(Value::list([RUNNING.load(Ordering::SeqCst).into(), ENDED.load(Ordering::SeqCst).into()]))
        })
        .call("widget", "", async |_, _, _| Ok(Reply::Share(Arc::new(Widget))))
        .call("retgen", "", async |_, _, _| Ok(Reply::genr(stream::iter([Ok(Value::from(5))]))))
        .genr("range", "count, fail=False", Gizmo::range)
        .genr("forever", "", Gizmo::forever)
        .genr("refused", "", async |_, _, _| Err::<ValueStream, _>(err!("AuthDeny", mesg = "no such luck")))
});

impl Gizmo {
    async fn range(self: Arc<Self>, _cx: CallCx, args: Args) -> Result<ValueStream> {
        let (count, fail) = (args.int("count")?, args.truthy("fail"));
        let items = (0..count).map(|valu| Ok(Value::from(valu)));
        let tail = fail.then(|| Err(err!("BadArg", mesg = "mid stream", foo = "bar")));
        Ok(stream::iter(items.chain(tail)).boxed())
    }

    async fn forever(self: Arc<Self>, _cx: CallCx, _args: Args) -> Result<ValueStream> {
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                RUNNING.fetch_sub(1, Ordering::SeqCst);
            }
        }
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Ok(stream::unfold((0i64, Guard), async |(valu, guard)| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok(Value::from(valu)), (valu + 1, guard)))
        })
        .boxed())
    }
}

impl TableApi for Gizmo {
    const CLASSES: &'static [&'static str] = &["myelin.example.Gizmo"];

    fn table() -> &'static MethTable<Gizmo> {
        &GIZMO
    }
}

struct Widget;

static WIDGET: LazyLock<MethTable<Widget>> = LazyLock::new(|| {
    MethTable::new()
        .call("spin", "", async |_, _, _| Ok("ok"))
        .genr("items", "", async |_, _, _| Ok(stream::iter([Ok("a".into()), Ok("b".into())]).boxed()))
});

#[async_trait]
impl TableApi for Widget {
    const CLASSES: &'static [&'static str] = &["myelin.example.Widget"];

    fn table() -> &'static MethTable<Widget> {
        &WIDGET
    }

    async fn fini(&self) {
        ENDED.fetch_add(1, Ordering::SeqCst);
    }
}

struct Anyone;

#[async_trait]
impl Share for Anyone {
    fn features(&self) -> Option<Map> {
        Some(Map::new())
    }

    async fn login(&self, cx: LoginCx) -> Result<Arc<dyn Api>> {
        Ok(Arc::new(Gizmo { user: "anyone".to_owned(), path: cx.path }))
    }
}

struct Users;

#[async_trait]
impl Share for Users {
    fn features(&self) -> Option<Map> {
        Some(Map::new().with("tasks", 1))
    }

    async fn login(&self, cx: LoginCx) -> Result<Arc<dyn Api>> {
        let user = match (&cx.link.peer_cn, &cx.auth) {
            (Some(name), _) => name.clone(),
            (None, None) if cx.link.is_unix() => "root".to_owned(),
            (None, None) => return Err(err!("AuthDeny", mesg = "A user is needed.")),
            (None, Some(auth)) if auth.user != "root" => {
                return Err(err!("NoSuchUser", mesg = "No such user.", username = auth.user.as_str()));
            }
            (None, Some(auth)) if cx.link.is_unix() || auth.passwd.as_deref() == Some("secret") => auth.user.clone(),
            _ => return Err(err!("AuthDeny", mesg = "Invalid password")),
        };
        cx.session.set_user(rand_guid(), user.as_str());
        Ok(Arc::new(Gizmo { user, path: cx.path }))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let certs = std::env::var_os("CERTDIR").map(PathBuf::from);
    let dmon = Dmon::new(Arc::new(CertDir::new(certs)), DmonConf::default());
    dmon.share("gizmo", Arc::new(Anyone));
    dmon.share("*", Arc::new(Users));
    dmon.set_ahainfo(Some(Map::new().with("name", Value::Null)));
    for url in std::env::args().skip(1) {
        match dmon.listen(&url).await? {
            Bound::Tcp(addr) => println!("listening {addr}"),
            Bound::Unix(path) => println!("listening {}", path.display()),
        }
    }
    let mut byts = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut byts).await;
    dmon.fini().await;
    Ok(())
}
