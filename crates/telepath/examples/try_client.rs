//! Tries our client against a service of someone else, whose methods `tests/interop/telepath.py` knows.
//!
//! `try_client gizmo URL` calls everything once; `try_client open URL` opens and says who it is, or prints the name of
//! the error; `try_client pool AHAURL NAME` resolves a name through an AHA server and calls it; `CERTDIR` as in
//! `echo_server`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use myelin_certs::CertDir;
use myelin_error::{Result, err};
use myelin_telepath::{Client, Proxy, Todo, UrlInfo, aha};
use myelin_value::{BigInt, Map, Value};

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gizmo", url] => gizmo(&open(url).await?).await,
        ["open", url] => {
            match open(url).await {
                Ok(proxy) => println!("{:?}", proxy.call("whoami").await?),
                Err(e) => println!("{}", e.name()),
            }
            Ok(())
        }
        ["pool", ahaurl, name] => pool(ahaurl, name).await,
        _ => Err(err!("BadArg", mesg = "usage: try_client gizmo URL | open URL | pool AHAURL NAME")),
    }
}

async fn open(url: &str) -> Result<Proxy> {
    let mut info = UrlInfo::parse(url)?;
    if let Some(path) = std::env::var_os("CERTDIR") {
        info = info.with_certdir(Arc::new(CertDir::new([PathBuf::from(path)])));
    }
    Proxy::open_info(&info).await
}

fn same(what: &str, got: &Value, want: &Value) -> Result<()> {
    if got == want { Ok(()) } else { Err(err!("BadArg", mesg = format!("{what}: got {got:?}, wanted {want:?}"))) }
}

async fn fails(proxy: &Proxy, todo: impl Into<Todo>, name: &str) -> Result<myelin_error::Error> {
    match proxy.call(todo).await {
        Err(e) if e.is(name) => Ok(e),
        Err(e) => Err(err!("BadArg", mesg = format!("wanted {name}, got {e}"))),
        Ok(valu) => Err(err!("BadArg", mesg = format!("wanted {name}, got {valu:?}"))),
    }
}

async fn gizmo(proxy: &Proxy) -> Result<()> {
    let big = BigInt::from(2).pow(200);
    let surrogate = Value::from_wtf8(b"a\xed\xa0\x80b").ok_or_else(|| err!("BadArg", mesg = "no such text"))?;
    let valus = vec![
        1.into(),
        1.5.into(),
        Value::Null,
        true.into(),
        surrogate,
        Value::from(&b"\x00\xff"[..]),
        Value::from(big.clone()),
        Value::from(-big),
        u64::MAX.into(),
        Map::new().with("k", [1, 2]).with(5, 6).into(),
    ];
    let todo = Todo::from_parts("echo", valus.clone(), Map::new().with("kw", 1));
    same("echo", &proxy.call(todo).await?, &Value::list([valus.into(), Map::new().with("kw", 1).into()]))?;
    let long = Value::from(&vec![7u8; 20_000_000][..]);
    same(
        "long",
        &proxy.call(Todo::new("echo").arg("x").arg(long.clone())).await?.at(0).cloned().unwrap_or_default(),
        &Value::list(["x".into(), long]),
    )?;
    same("foo", fails(proxy, "fail", "BadArg").await?.get("foo").unwrap_or(&Value::Null), &"bar".into())?;
    same("errx", fails(proxy, "foreign", "SynErr").await?.get("errx").unwrap_or(&Value::Null), &"ValueError".into())?;
    fails(proxy, "newp", "NoSuchMeth").await?;
    let items = proxy.genr(Todo::new("range").arg(3)).await?.list().await?;
    same("range", &items.into(), &[0, 1, 2].into())?;
    let mut genr = proxy.genr(Todo::new("range").arg(1).kw("fail", true)).await?;
    same("first", &genr.next().await.transpose()?.unwrap_or_default(), &0.into())?;
    match genr.next().await {
        Some(Err(e)) if e.is("BadArg") => {}
        other => return Err(err!("BadArg", mesg = format!("wanted an error in the stream, got {other:?}"))),
    }
    let mut genr = proxy.genr("forever").await?;
    for _ in 0..3 {
        genr.next().await.transpose()?;
    }
    drop(genr);
    let mut running = Value::Null;
    for _ in 0..100 {
        running = proxy.call("running").await?;
        if running == 0.into() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    same("running", &running, &0.into())?;
    let widget = proxy.share("widget").await?;
    same("spin", &widget.call("spin").await?, &"ok".into())?;
    let iden = widget.iden().to_owned();
    drop(widget);
    tokio::time::sleep(Duration::from_millis(200)).await;
    match proxy.task("spin", Some(&iden)).await {
        Err(e) if e.is("NoSuchObj") => {}
        _ => return Err(err!("BadArg", mesg = "a released object still answers")),
    }
    let calls = (0..30).map(|_| proxy.call("running"));
    futures::future::try_join_all(calls).await?;
    println!("ok");
    Ok(())
}

async fn pool(ahaurl: &str, name: &str) -> Result<()> {
    aha::add_urls(&aha::AhaUrls(vec![ahaurl.to_owned()]));
    let proxy = Proxy::open(&format!("aha://root:secret@{name}")).await?;
    println!("{:?}", proxy.call("getCellType").await?);
    let client = Client::open(&format!("aha://root:secret@{name}"))?;
    println!("{:?}", client.call("getCellType").await?);
    println!("{}", Proxy::open("aha://newp...").await.err().map_or(String::new(), |e| e.name().to_owned()));
    Ok(())
}
