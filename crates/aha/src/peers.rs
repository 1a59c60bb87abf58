//! Calls that AHA makes to services on behalf of others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use myelin_certs::CertDir;
use myelin_error::{Error, Result, err};
use myelin_telepath::{Answer, Client, Todo, UrlInfo, ValueStream};
use myelin_value::{Map, Value};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::store::text;

/// Answers that wait for the one who asked.
const BACKLOG: usize = 100;

/// Clients of services, by full name; made when first needed.
pub struct Peers {
    certdir: Arc<CertDir>,
    clients: Mutex<HashMap<String, Client>>,
}

impl Peers {
    /// No clients yet.
    pub fn new(certdir: Arc<CertDir>) -> Peers {
        Peers { certdir, clients: Mutex::default() }
    }

    /// Forgets a service that went offline or moved.
    pub fn forget(&self, full: &str) {
        self.clients.lock().remove(full);
    }

    fn client(&self, svc: &Value) -> Result<(String, Client)> {
        let bad = || err!("BadArg", mesg = "The service did not register an address.");
        let full = text(svc, "name").ok_or_else(bad)?;
        if let Some(client) = self.clients.lock().get(full).filter(|client| !client.is_fini()) {
            return Ok((full.to_owned(), client.clone()));
        }
        let urlinfo = svc.get("svcinfo").and_then(|info| info.get("urlinfo")).ok_or_else(bad)?;
        let info = Map::new()
            .with("scheme", "ssl")
            .with("host", text(urlinfo, "host").ok_or_else(bad)?)
            .with("port", urlinfo.get("port").and_then(Value::as_i64).ok_or_else(bad)?)
            .with("path", "")
            .with("hostname", full)
            .with("certname", format!("root@{}", text(svc, "svcnetw").ok_or_else(bad)?));
        let client = Client::new(vec![UrlInfo::from_map(info).with_certdir(self.certdir.clone())], None);
        self.clients.lock().insert(full.to_owned(), client.clone());
        Ok((full.to_owned(), client))
    }

    /// Calls a method of every service given, all at once: `(full name, (true, value))` or `(full name, (false, error))`
    /// in the order in which they are done; with `genr` one for each value that the method yields.
    pub fn call_all(
        self: &Arc<Self>,
        svcs: Vec<Value>,
        todo: &Value,
        timeout: Option<Duration>,
        genr: bool,
    ) -> Result<ValueStream> {
        let todo = todo_of(todo)?;
        let (tx, rx) = mpsc::channel(BACKLOG);
        for svc in svcs {
            let (peers, todo, tx) = (self.clone(), todo.clone(), tx.clone());
            tokio::spawn(async move {
                let full = text(&svc, "name").unwrap_or_default().to_owned();
                let tell = |retn: Value| tx.send(Ok(Value::list([full.as_str().into(), retn])));
                let calls = async {
                    let done = peers.call_one(&svc, todo, timeout, genr, &tx, &full).await;
                    if let Err(error) = done {
                        let _ = tell(Value::list([false.into(), exc_info(&error)])).await;
                    }
                };
                // Ends when the one who asked has gone.
                tokio::select! { () = calls => {}, () = tx.closed() => {} }
            });
        }
        Ok(Box::pin(futures::stream::unfold(rx, async |mut rx| rx.recv().await.map(|item| (item, rx)))))
    }

    async fn call_one(
        &self,
        svc: &Value,
        todo: Todo,
        timeout: Option<Duration>,
        genr: bool,
        tx: &mpsc::Sender<Result<Value>>,
        full: &str,
    ) -> Result<()> {
        let tell = |valu: Value| tx.send(Ok(Value::list([full.into(), Value::list([true.into(), valu])])));
        let (_, client) = self.client(svc)?;
        let proxy = client.proxy(timeout).await?;
        match within(timeout, proxy.task(todo, None)).await? {
            Answer::Value(valu) => {
                let _ = tell(valu).await;
            }
            Answer::Genr(stream) if genr => {
                let mut stream = Box::pin(stream.into_stream());
                while let Some(item) = within(timeout, async { Ok(stream.next().await) }).await? {
                    let _ = tell(item?).await;
                }
            }
            _ => return Err(err!("BadArg", mesg = "The method does not return one value.")),
        }
        Ok(())
    }
}

async fn within<T>(timeout: Option<Duration>, task: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout {
        None => task.await,
        Some(timeout) => tokio::time::timeout(timeout, task)
            .await
            .unwrap_or_else(|_| Err(err!("TimeOut", mesg = "The service did not answer in time."))),
    }
}

fn todo_of(todo: &Value) -> Result<Todo> {
    let parts =
        (todo.at(0).and_then(Value::as_str), todo.at(1).and_then(Value::as_list), todo.at(2).and_then(Value::as_map));
    let (Some(name), Some(args), Some(kwargs)) = parts else {
        return Err(err!("BadArg", mesg = "A call is (method, arguments, named arguments)."));
    };
    Ok(Todo::from_parts(name, args.to_vec(), kwargs.clone()))
}

/// An error as peer calls report it.
fn exc_info(error: &Error) -> Value {
    Map::new()
        .with("err", error.name())
        .with("errmsg", error.to_string())
        .with("errfile", "unk")
        .with("errline", -1)
        .with("errinfo", error.info().clone())
        .into()
}

/// A timeout in seconds as callers give it.
pub fn seconds(valu: &Value) -> Result<Option<Duration>> {
    if valu.is_null() {
        return Ok(None);
    }
    let secs = valu.as_f64().or_else(|| valu.as_i64().map(|secs| secs as f64));
    let time = secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
    time.map(Some).ok_or_else(|| err!("BadArg", mesg = "A timeout is a number of seconds.", name = "timeout"))
}
