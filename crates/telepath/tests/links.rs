//! Our client against our daemon: pools, streams, dynamic objects, endings, limits, and looking services up.

#![allow(clippy::unwrap_used)] // A panic is the report, in helpers of tests too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_telepath::{
    Api, Args, Client, Dmon, DmonConf, LoginCx, MethTable, Proxy, Reply, Share, TableApi, Todo, UrlInfo, aha,
};
use myelin_value::{Map, Value};

#[derive(Default)]
struct Counts {
    streams: AtomicUsize,
    widgets: AtomicUsize,
    ended: AtomicUsize,
}

struct Item {
    counts: Arc<Counts>,
}

struct Guard(Arc<Counts>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

static ITEM: LazyLock<MethTable<Item>> = LazyLock::new(|| {
    MethTable::new()
        .call("add", "x, y=1", async |_, _, args: Args| Ok(args.int("x")? + args.int("y")?))
        .call("hang", "", async |_, _, _| {
            std::future::pending::<()>().await;
            Ok(Value::Null)
        })
        .call("panic", "", async |_, _, args: Args| {
            assert!(args.pos.len() > 100, "on purpose");
            Ok(Value::Null)
        })
        .call("big", "size", async |_, _, args: Args| {
            Ok(Value::from(&vec![7u8; usize::try_from(args.int("size")?).unwrap()][..]))
        })
        .call("widget", "", async |item: Arc<Item>, _, _| Ok(Reply::Share(Arc::new(Widget(item.counts.clone())))))
        .genr("forever", "size=1", async |item: Arc<Item>, _, args: Args| {
            item.counts.streams.fetch_add(1, Ordering::SeqCst);
            let chunk = Value::from(&vec![7u8; usize::try_from(args.int("size")?).unwrap()][..]);
            let guard = Guard(item.counts.clone());
            Ok(stream::unfold((chunk, guard), async |(chunk, guard)| {
                tokio::task::yield_now().await;
                Some((Ok(chunk.clone()), (chunk, guard)))
            })
            .boxed())
        })
        .genr("items", "count", async |_, _, args: Args| {
            Ok(stream::iter((0..args.int("count")?).map(|valu| Ok(Value::from(valu)))).boxed())
        })
});

#[async_trait]
impl TableApi for Item {
    const CLASSES: &'static [&'static str] = &["test.Item"];

    fn table() -> &'static MethTable<Item> {
        &ITEM
    }

    async fn fini(&self) {
        self.counts.ended.fetch_add(1, Ordering::SeqCst);
    }
}

struct Widget(Arc<Counts>);

static WIDGET: LazyLock<MethTable<Widget>> =
    LazyLock::new(|| MethTable::new().call("spin", "", async |_, _, _| Ok("ok")));

#[async_trait]
impl TableApi for Widget {
    const CLASSES: &'static [&'static str] = &["test.Widget"];

    fn table() -> &'static MethTable<Widget> {
        &WIDGET
    }

    async fn fini(&self) {
        self.0.widgets.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Open {
    counts: Arc<Counts>,
}

#[async_trait]
impl Share for Open {
    async fn login(&self, _cx: LoginCx) -> Result<Arc<dyn Api>> {
        Ok(Arc::new(Item { counts: self.counts.clone() }))
    }
}

async fn serve(conf: DmonConf) -> (Dmon, String, Arc<Counts>) {
    let dmon = Dmon::new(Arc::new(CertDir::new([])), conf);
    let open = Open::default();
    let counts = open.counts.clone();
    dmon.share("*", Arc::new(open));
    let port = dmon.listen("tcp://127.0.0.1:0").await.unwrap().port().unwrap();
    (dmon, format!("tcp://127.0.0.1:{port}"), counts)
}

async fn until(what: &str, check: impl Fn() -> bool) {
    for _ in 0..1000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}

fn add(x: i64) -> Todo {
    Todo::new("add").arg(x)
}

#[tokio::test]
async fn calls_run_beside_each_other_and_reuse_their_links() {
    let (dmon, url, _) = serve(DmonConf::default()).await;
    let proxy = Proxy::open(&url).await.unwrap();
    assert_eq!(proxy.classes(), ["test.Item"]);
    assert_eq!(proxy.syn_version(), Some(vec![2, 256, 0]));
    assert!(proxy.is_genr("forever") && !proxy.is_genr("add") && proxy.has_meth("add"));
    assert_eq!(proxy.call(add(1).kw("y", 5)).await.unwrap(), Value::from(6));
    let calls = (0..20).map(|x| proxy.call(add(x)));
    let sums: Vec<_> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(sums, (1..=20).map(Value::from).collect::<Vec<_>>());
    let before = dmon.link_count();
    for x in 0..50 {
        proxy.call(add(x)).await.unwrap();
    }
    assert!(dmon.link_count() <= before + 4, "links are opened anew for each call");
    assert!(proxy.call("newp").await.unwrap_err().is("NoSuchMeth"));
    let e = proxy.call("add").await.unwrap_err();
    assert_eq!((e.name(), e.get("errx")), ("SynErr", Some(&Value::from("TypeError"))));
    dmon.fini().await;
}

#[tokio::test]
async fn a_stream_left_early_ends_on_the_service_and_the_session_lives() {
    let (dmon, url, counts) = serve(DmonConf::default()).await;
    let proxy = Proxy::open(&url).await.unwrap();
    let mut genr = proxy.genr("forever").await.unwrap();
    for _ in 0..3 {
        genr.next().await.unwrap().unwrap();
    }
    assert_eq!(counts.streams.load(Ordering::SeqCst), 1);
    drop(genr);
    until("the stream ended", || counts.streams.load(Ordering::SeqCst) == 0).await;
    assert_eq!(proxy.genr(Todo::new("items").arg(3)).await.unwrap().list().await.unwrap().len(), 3);
    assert_eq!(dmon.sessions().len(), 1);
    dmon.fini().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_stalls_nobody_else() {
    let (dmon, url, counts) = serve(DmonConf::default()).await;
    let proxy = Proxy::open(&url).await.unwrap();
    let mut stuck = Vec::new();
    for _ in 0..20 {
        stuck.push(proxy.genr(Todo::new("forever").arg(1_000_000)).await.unwrap());
    }
    assert_eq!(counts.streams.load(Ordering::SeqCst), 20);
    let calls = async {
        for x in 0..100 {
            proxy.call(add(x)).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("calls wait for readers that do not read");
    drop(stuck);
    until("the streams ended", || counts.streams.load(Ordering::SeqCst) == 0).await;
    dmon.fini().await;
}

#[tokio::test]
async fn what_ends_ends_everything_below_it() {
    let (dmon, url, counts) = serve(DmonConf::default()).await;
    let proxy = Proxy::open(&url).await.unwrap();
    let widget = proxy.share("widget").await.unwrap();
    assert_eq!(widget.call("spin").await.unwrap(), Value::from("ok"));
    let iden = widget.iden().to_owned();
    drop(widget);
    until("the widget was released", || counts.widgets.load(Ordering::SeqCst) == 1).await;
    let e = proxy.task("spin", Some(&iden)).await.err().unwrap();
    assert_eq!((e.name(), e.get("name")), ("NoSuchObj", Some(&Value::from(iden))));

    let _kept = proxy.share("widget").await.unwrap();
    let hanging = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.call("hang").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.fini().await;
    until("the session ended", || counts.ended.load(Ordering::SeqCst) == 1).await;
    until("its widgets ended", || counts.widgets.load(Ordering::SeqCst) == 2).await;
    assert!(hanging.await.unwrap().unwrap_err().is("LinkShutDown"));
    assert!(proxy.call(add(1)).await.unwrap_err().is("IsFini"));
    until("the links are closed", || dmon.link_count() == 0).await;
    dmon.fini().await;
}

#[tokio::test]
async fn a_panic_ends_its_call_only() {
    let (dmon, url, _) = serve(DmonConf::default()).await;
    let proxy = Proxy::open(&url).await.unwrap();
    assert!(proxy.call("panic").await.unwrap_err().is("SynErr"));
    assert_eq!(proxy.call(add(1)).await.unwrap(), Value::from(2));
    dmon.fini().await;
}

#[tokio::test]
async fn limits_are_named() {
    let (dmon, url, _) = serve(DmonConf { max_links: 1, ..DmonConf::default() }).await;
    let proxy = Proxy::open(&url).await.unwrap();
    let e = Proxy::open(&url).await.err().unwrap();
    assert!(e.is("LinkErr") && e.message().contains("limit of 1"), "{e}");
    let e = proxy.call(add(1)).await.unwrap_err();
    assert!(e.is("LinkErr"), "{e}");
    dmon.fini().await;
    let (dmon, url, _) = serve(DmonConf { max_frame: 1000, ..DmonConf::default() }).await;
    let proxy = Proxy::open(&url).await.unwrap();
    let big = Value::from(&vec![0u8; 2000][..]);
    assert!(proxy.call(Todo::new("add").arg(big)).await.unwrap_err().is("LinkShutDown"));
    dmon.fini().await;
}

#[tokio::test]
async fn a_service_that_is_not_ready_closes_its_links() {
    let (dmon, url, counts) = serve(DmonConf::default()).await;
    let client = Client::open(&url).unwrap();
    let proxy = client.proxy(Some(Duration::from_secs(5))).await.unwrap();
    assert_eq!(proxy.call(add(1)).await.unwrap(), Value::from(2));
    dmon.set_ready(false);
    until("the session ended", || counts.ended.load(Ordering::SeqCst) == 1).await;
    proxy.wait_fini().await;
    assert!(Proxy::open(&url).await.err().unwrap().is("LinkShutDown"));
    assert!(client.proxy(Some(Duration::from_millis(100))).await.err().unwrap().is("TimeOut"));
    dmon.set_ready(true);
    // The client comes back by itself.
    assert_eq!(client.call(add(2)).await.unwrap(), Value::from(3));
    client.fini().await;
    assert!(client.proxy(None).await.err().unwrap().is("IsFini"));
    dmon.fini().await;
}

#[tokio::test]
async fn urls_that_lead_nowhere_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    for (url, name) in [
        (format!("unix://{path}/newp"), "NoSuchPath"),
        (format!("cell://{path}"), "NoSuchPath"),
        ("tcp://127.0.0.1:1/".to_owned(), "LinkErr"),
        ("newp://host".to_owned(), "BadUrl"),
        ("tcp+consul://host".to_owned(), "FeatureNotSupported"),
        ("tcp+newp://host".to_owned(), "BadUrl"),
    ] {
        let e = Proxy::open(&url).await.err().unwrap();
        assert!(e.is(name), "{url}: {e}");
    }
}

#[tokio::test]
async fn unix_sockets_carry_shares_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let dmon = Dmon::new(Arc::new(CertDir::new([])), DmonConf::default());
    dmon.share("foo", Arc::new(Open::default()));
    let path = dir.path().join("sock");
    dmon.listen(&format!("unix://{}", path.display())).await.unwrap();
    for url in [
        format!("unix://{}:foo", path.display()),
        format!("cell://{}:foo", dir.path().display()),
        format!("cell://{}?name=foo/x", dir.path().display()),
    ] {
        let proxy = Proxy::open(&url).await.unwrap();
        assert_eq!(proxy.call(add(1)).await.unwrap(), Value::from(2));
    }
    assert!(Proxy::open(&format!("unix://{}", path.display())).await.err().unwrap().is("NoSuchName"));
    dmon.fini().await;
    assert!(!path.exists(), "the socket file outlived the daemon");
}

#[tokio::test]
async fn unix_sockets_lie_as_deep_as_they_like() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(120)).join("e".repeat(120)).join("a?b#c");
    std::fs::create_dir_all(&deep).unwrap();
    let dmon = Dmon::new(Arc::new(CertDir::new([])), DmonConf::default());
    dmon.share("*", Arc::new(Open::default()));
    let path = deep.join("sock");
    dmon.listen_unix(&path).unwrap();
    let proxy = Proxy::open(&format!("cell://{}", deep.parent().unwrap().display())).await;
    assert!(proxy.err().unwrap().is("NoSuchPath"));
    let link = std::os::unix::fs::symlink(&deep, dir.path().join("f".repeat(120)));
    link.unwrap();
    let proxy = Proxy::open(&format!("cell://{}/{}", dir.path().display(), "f".repeat(120))).await.unwrap();
    assert_eq!(proxy.call(add(1)).await.unwrap(), Value::from(2));
    dmon.fini().await;
    assert!(!path.exists(), "the socket file outlived the daemon");
}

/// A stand-in for AHA that knows one service and one pool of it.
struct FakeAha {
    svc: Map,
}

static AHA: LazyLock<MethTable<FakeAha>> =
    LazyLock::new(|| {
        MethTable::new()
            .call("getCellInfo", "", async |_, _, _| {
                Ok(Map::new().with("synapse", Map::new().with("version", [2, 256, 0])))
            })
            .call("getAhaSvc", "name, filters=None", async |item: Arc<FakeAha>, _, args: Args| {
                let svcinfo = Map::new().with("online", "iden").with("urlinfo", item.svc.clone());
                let svc = Map::new().with("name", args.str("name")?).with("svcinfo", svcinfo);
                Ok(match args.str("name")? {
                    "svc..." => Value::from(svc),
                    "pool..." => svc.with("services", Map::new()).into(),
                    _ => Value::Null,
                })
            })
            .genr("iterPoolTopo", "name", async |_, _, _| {
                let added = Value::list(["svc:add".into(), Map::new().with("name", "svc...").into()]);
                Ok(stream::iter([Ok(added)]).chain(stream::pending()).boxed())
            })
    });

#[async_trait]
impl TableApi for FakeAha {
    const CLASSES: &'static [&'static str] = &["synapse.lib.aha.AhaApi"];

    fn table() -> &'static MethTable<FakeAha> {
        &AHA
    }
}

struct AhaShare(Map);

#[async_trait]
impl Share for AhaShare {
    async fn login(&self, cx: LoginCx) -> Result<Arc<dyn Api>> {
        if cx.auth.is_some() {
            return Err(err!("AuthDeny", mesg = "nobody"));
        }
        Ok(Arc::new(FakeAha { svc: self.0.clone() }))
    }
}

#[tokio::test]
async fn services_are_found_through_aha() {
    let e = Proxy::open("aha://svc...").await.err().unwrap();
    assert!(e.is("NotReady"), "{e}");
    let (dmon, url, _) = serve(DmonConf::default()).await;
    let urlinfo = UrlInfo::parse(&url).unwrap().map.with("path", "/ignored");
    dmon.share("aha", Arc::new(AhaShare(urlinfo)));
    let urls = aha::AhaUrls(vec![format!("{url}/aha")]);
    aha::add_urls(&urls);
    aha::add_urls(&urls);

    let proxy = Proxy::open("aha://root:secret@svc.../").await.unwrap();
    assert_eq!(proxy.call(add(1)).await.unwrap(), Value::from(2));
    assert!(Proxy::open("aha://newp...").await.err().unwrap().is("NoSuchName"));
    assert!(Proxy::open("aha:///").await.err().unwrap().is("NoSuchName"));

    let pool = Client::open("aha://pool...").unwrap();
    assert_eq!(pool.call(add(5)).await.unwrap(), Value::from(6));
    assert_eq!(pool.size(), 1);
    pool.fini().await;

    assert_eq!(aha::del_urls(&urls), 1);
    assert_eq!(aha::del_urls(&urls), 0);
    assert!(Proxy::open("aha://svc...").await.err().unwrap().is("NotReady"));
    dmon.fini().await;
}
