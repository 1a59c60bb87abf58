//! One connection on the server: frames in, calls run in order, frames out.
//!
//! One task a link. It runs one message at a time, and reads on while a call runs, a few messages at most, so that it sees the
//! peer's end: then the running call is dropped where it awaits.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, msgpack};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, AuthInfo, CallCx, LoginCx, Reply, ValueStream};
use crate::dmon::Dmon;
use crate::gate;
use crate::link::{self, BoxStream, LinkInfo, LinkRx, LinkTx, mesg, retn_err, retn_ok};
use crate::meth::Args;
use crate::session::Session;
use crate::{TELEVERS, televers};

/// Items of a stream are gathered up to about so many bytes.
const WRITE_SIZE: usize = 64 * 1024;
/// Messages that are read while a call runs.
const READ_AHEAD: usize = 2;

struct Conn {
    dmon: Dmon,
    info: Arc<LinkInfo>,
    tx: Arc<LinkTx>,
    /// Cancelled when the link closes.
    closed: CancellationToken,
    /// Every session made here; the last one is the link's own.
    sessions: Vec<Arc<Session>>,
}

pub(crate) async fn serve(dmon: &Dmon, stream: BoxStream, info: Arc<LinkInfo>, closed: CancellationToken) {
    let (mut rx, tx) = link::split(stream, dmon.0.conf.max_frame);
    let mut conn = Conn { dmon: dmon.clone(), info, tx: Arc::new(tx), closed: closed.clone(), sessions: Vec::new() };
    // Dropping the loop at the cancel drops the running call and its stream with it.
    tokio::select! { () = conn.run(&mut rx) => {}, () = closed.cancelled() => {} }
    closed.cancel();
    conn.fini().await;
}

/// The next frame; nothing when the peer is gone, sends what is no frame, or nothing within the limit.
async fn next_frame(rx: &mut LinkRx, limit: Option<Duration>) -> Option<Value> {
    let frame = match limit {
        Some(limit) => match tokio::time::timeout(limit, rx.rx()).await {
            Ok(frame) => frame,
            Err(_) => {
                tracing::info!("link closed: it sent nothing for {limit:?}");
                return None;
            }
        },
        None => rx.rx().await,
    };
    frame.unwrap_or_else(|error| {
        tracing::info!("link closed: {error}");
        None
    })
}

/// Answers the first message of a link past the limit with an error.
pub(crate) async fn refuse(dmon: &Dmon, stream: BoxStream) {
    let (mut rx, tx) = link::split(stream, 1 << 16);
    let Ok(Some(frame)) = rx.rx().await else { return };
    let text = format!("The service has its limit of {} connections open: try again later.", dmon.0.conf.max_links);
    let retn = retn_err(&err!("LinkErr", mesg = text));
    let reply = match frame.at(0).and_then(Value::as_str) {
        Some("tele:syn") => mesg("tele:syn", Map::new().with("vers", televers()).with("retn", retn)),
        _ => mesg("t2:fini", Map::new().with("retn", retn)),
    };
    let _ = tx.tx(&reply).await;
    tx.close().await;
}

impl Conn {
    /// Takes one message after the other, until the peer is gone.
    async fn run(&mut self, rx: &mut LinkRx) {
        let mut limit = self.dmon.0.conf.first_frame_timeout;
        let mut ahead = VecDeque::new();
        loop {
            let frame = match ahead.pop_front() {
                Some(frame) => frame,
                None => match next_frame(rx, limit.take()).await {
                    Some(frame) => frame,
                    None => return,
                },
            };
            let mut call = std::pin::pin!(self.on_frame(frame));
            loop {
                tokio::select! {
                    biased;
                    () = &mut call => break,
                    // Nothing that was read is lost when the call is done first.
                    frame = next_frame(rx, None), if ahead.len() < READ_AHEAD => match frame {
                        Some(frame) => ahead.push_back(frame),
                        None => return,
                    },
                }
            }
        }
    }

    async fn on_frame(&mut self, frame: Value) {
        let empty = Map::new();
        let (Some(name), info) = (frame.at(0).and_then(Value::as_str), frame.at(1).and_then(Value::as_map)) else {
            return tracing::warn!("dropped a frame that is no message");
        };
        let info = info.unwrap_or(&empty);
        let sent = match name {
            "t2:init" => self.on_call(info).await,
            "tele:syn" => self.on_syn(info).await,
            "share:fini" => self.on_share_fini(info).await,
            "task:init" => self.on_task(info).await,
            _ => {
                tracing::warn!("ignored a message of unknown kind: {:.80}", name);
                Ok(())
            }
        };
        if let Err(e) = sent {
            tracing::debug!("reply not sent: {e}");
            self.closed.cancel();
        }
    }

    // ---- handshake

    async fn on_syn(&mut self, info: &Map) -> Result<()> {
        let mut reply = Map::new().with("vers", televers()).with("retn", retn_ok(Value::Null));
        if let Some(ahainfo) = self.dmon.0.ahainfo.read().clone() {
            reply.insert("ahainfo", ahainfo);
        }
        if let Err(e) = self.login(info, &mut reply).await {
            tracing::info!("login refused: {e}");
            reply.insert("retn", retn_err(&e));
        }
        self.tx.tx(&mesg("tele:syn", reply)).await
    }

    async fn login(&mut self, info: &Map, reply: &mut Map) -> Result<()> {
        let vers = info.get("vers").cloned().unwrap_or_default();
        if vers.at(0).and_then(Value::as_i64) != Some(TELEVERS[0]) {
            return Err(err!("BadMesgVers", vers = vers, myvers = televers()));
        }
        let asked = info.get_str("name").filter(|name| !name.is_empty()).unwrap_or("*");
        let (name, path) = match asked.split_once('/') {
            Some((name, "")) => (name, Vec::new()),
            Some((name, rest)) => (name, rest.split('/').map(str::to_owned).collect()),
            None => (asked, Vec::new()),
        };
        let Some(share) = self.dmon.find_share(name) else {
            return Err(err!("NoSuchName", name = name));
        };
        let sess = self.new_session();
        if let Some(features) = share.features() {
            reply.insert("features", features);
        }
        let auth = auth_info(info.get("auth"))?;
        let cx = LoginCx { link: self.info.clone(), session: sess.clone(), auth, name: name.to_owned(), path };
        let item = fenced(share.login(cx)).await.unwrap_or_else(Err)?;
        reply.insert("sharinfo", item.sharinfo());
        sess.set_root(item);
        reply.insert("sess", sess.iden.as_str());
        Ok(())
    }

    fn new_session(&mut self) -> Arc<Session> {
        let sess = Session::new(self.info.clone());
        self.dmon.0.sessions.lock().insert(sess.iden.clone(), sess.clone());
        self.sessions.push(sess.clone());
        sess
    }

    // ---- calls

    async fn on_call(&mut self, info: &Map) -> Result<()> {
        match self.start_call(info).await {
            Ok((_, Reply::Value(valu))) => self.tx_fini(retn_ok(valu)).await,
            Ok((_, Reply::Genr(stream))) => self.run_genr(stream).await,
            Ok((sess, Reply::Share(item))) => self.tx_share(&sess, item).await,
            Err(e) => {
                tracing::debug!("call failed: {e}");
                self.tx_fini(retn_err(&e)).await
            }
        }
    }

    async fn start_call(&self, info: &Map) -> Result<(Arc<Session>, Reply)> {
        let name = info.get("name").cloned().unwrap_or_default();
        let gone = || err!("NoSuchObj", name = name.clone());
        let todo = info.get("todo").filter(|todo| !todo.is_null()).ok_or_else(gone)?;
        let iden = info.get_str("sess").ok_or_else(gone)?;
        let sess = self.dmon.session(iden).ok_or_else(gone)?;
        let item = match &name {
            Value::Null => sess.item(None),
            other => other.as_str().and_then(|iden| sess.item(Some(iden))),
        };
        let reply = self.invoke(&sess, item.ok_or_else(gone)?, todo).await?;
        Ok((sess, reply))
    }

    async fn invoke(&self, sess: &Arc<Session>, item: Arc<dyn Api>, todo: &Value) -> Result<Reply> {
        let (name, args) = parse_todo(todo)?;
        if name.starts_with('_') {
            return Err(private_meth(&item, name));
        }
        let cx = CallCx { session: sess.clone(), link: self.info.clone(), closed: self.closed.child_token() };
        let reply = fenced(item.call(cx, name, args)).await.unwrap_or_else(Err)?;
        // Here, where a failure still becomes the answer.
        gate::pass().await?;
        Ok(reply)
    }

    async fn tx_fini(&self, retn: Value) -> Result<()> {
        self.tx.tx(&mesg("t2:fini", Map::new().with("retn", retn))).await
    }

    /// Sends a stream's items. Those that are ready at once go out in one write, the others as they come.
    async fn run_genr(&self, mut stream: ValueStream) -> Result<()> {
        self.tx.tx(&mesg("t2:genr", Map::new())).await?;
        loop {
            let mut byts = Vec::new();
            let mut going = add_item(&mut byts, next_item(&mut stream).await);
            while going
                && byts.len() < WRITE_SIZE
                && let Some(item) = next_item(&mut stream).now_or_never()
            {
                going = add_item(&mut byts, item);
            }
            if let Err(error) = gate::pass().await {
                byts.clear();
                going = add_item(&mut byts, Some(Err(error)));
            }
            self.tx.send(&byts).await?;
            if !going {
                return Ok(());
            }
        }
    }

    async fn tx_share(&self, sess: &Arc<Session>, item: Arc<dyn Api>) -> Result<()> {
        let sharinfo = item.sharinfo();
        let Some(iden) = sess.add_item(item.clone()) else {
            item.fini().await;
            let e = err!("LinkErr", mesg = "The session is over or holds too many shared objects.");
            return self.tx_fini(retn_err(&e)).await;
        };
        self.tx.tx(&mesg("t2:share", Map::new().with("iden", iden).with("sharinfo", sharinfo))).await
    }

    async fn on_share_fini(&self, info: &Map) -> Result<()> {
        let item = match (self.sessions.last(), info.get_str("share")) {
            (Some(sess), Some(iden)) => sess.pop_item(iden),
            _ => None,
        };
        if let Some(item) = item {
            item.fini().await;
        }
        Ok(())
    }

    // ---- calls of clients older than the session pool

    async fn on_task(&self, info: &Map) -> Result<()> {
        let task = info.get("task").cloned().unwrap_or_default();
        let name = info.get("name").cloned().unwrap_or_default();
        let Some(sess) = self.sessions.last() else {
            // The reference sends no reply here either.
            tracing::warn!("task:init before a handshake");
            return Ok(());
        };
        let Some(item) = sess.item(name.as_str()) else {
            tracing::warn!("task:init for an object the session has not");
            return Ok(());
        };
        let reply = Map::new().with("task", task);
        let todo = info.get("todo").cloned().unwrap_or_default();
        let reply = match self.invoke(sess, item, &todo).await {
            Ok(Reply::Value(valu)) => reply.with("retn", retn_ok(valu)),
            Ok(Reply::Share(item)) => match sess.add_item(item) {
                Some(iden) => reply.with("retn", retn_ok(iden.into())).with("type", "share"),
                None => reply.with("retn", retn_err(&err!("LinkErr", mesg = "The session holds too many objects."))),
            },
            Ok(Reply::Genr(stream)) => return self.spin_genr(sess, reply, stream).await,
            Err(e) => reply.with("retn", retn_err(&e)),
        };
        self.tx.tx(&mesg("task:fini", reply)).await
    }

    /// A legacy generator streams beside other messages of the link, named by an iden of its own.
    async fn spin_genr(&self, sess: &Arc<Session>, reply: Map, mut stream: ValueStream) -> Result<()> {
        let (iden, ended) = sess.add_stream();
        let reply = reply.with("retn", retn_ok(iden.clone().into())).with("type", "genr");
        self.tx.tx(&mesg("task:fini", reply)).await?;
        let (tx, sess) = (self.tx.clone(), sess.clone());
        self.dmon.spawn(async move {
            let data = |data: Value| mesg("share:data", Map::new().with("share", iden.as_str()).with("data", data));
            let work = async {
                while let Some(item) = next_item(&mut stream).await {
                    let (retn, failed) = match item {
                        Ok(valu) => (retn_ok(valu), false),
                        Err(e) => (retn_err(&e), true),
                    };
                    tx.tx(&data(retn)).await?;
                    if failed {
                        break;
                    }
                }
                Ok::<(), Error>(())
            };
            let sent = tokio::select! { sent = work => sent, () = ended.cancelled() => Ok(()) };
            // Unlike the newer form, this one ends with the marker also after an error.
            if sent.is_ok() && !sess.done.is_cancelled() {
                let _ = tx.tx(&data(Value::Null)).await;
            }
            sess.pop_item(&iden);
        });
        Ok(())
    }

    async fn fini(self) {
        self.closed.cancel();
        for sess in &self.sessions {
            self.dmon.0.sessions.lock().remove(&sess.iden);
        }
        for sess in &self.sessions {
            sess.fini().await;
        }
        self.tx.close().await;
    }
}

/// A panic in a method ends that call with an error; the link and the service live on.
async fn fenced<T>(work: impl Future<Output = T>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!("a call panicked: {text}");
        err!("SynErr", mesg = format!("The call failed inside the service: {text}"))
    })
}

async fn next_item(stream: &mut ValueStream) -> Option<Result<Value>> {
    fenced(stream.next()).await.unwrap_or_else(|e| Some(Err(e)))
}

/// Appends the frame for what a stream gave. False when it is the stream's last.
fn add_item(byts: &mut Vec<u8>, item: Option<Result<Value>>) -> bool {
    match item {
        Some(Ok(valu)) => {
            link::encode_item(byts, "t2:yield", &valu);
            true
        }
        // No end marker after it: the client has given the link back to its pool at the error.
        Some(Err(e)) => {
            msgpack::encode_into(byts, &mesg("t2:yield", Map::new().with("retn", retn_err(&e))));
            false
        }
        None => {
            msgpack::encode_into(byts, &mesg("t2:yield", Map::new().with("retn", Value::Null)));
            false
        }
    }
}

fn auth_info(auth: Option<&Value>) -> Result<Option<AuthInfo>> {
    let Some(auth) = auth.filter(|auth| !auth.is_null()) else { return Ok(None) };
    match auth.as_list() {
        Some([Value::Str(user), rest @ ..]) => {
            let passwd = rest.first().and_then(|info| info.get("passwd")).and_then(Value::as_str);
            Ok(Some(AuthInfo { user: user.to_string(), passwd: passwd.map(str::to_owned) }))
        }
        _ => Err(err!("BadMesgFormat", mesg = "auth must be null or a list of user name and info.")),
    }
}

fn parse_todo(todo: &Value) -> Result<(&str, Args)> {
    let Some([Value::Str(name), Value::List(pos), Value::Map(kwargs)]) = todo.as_list() else {
        return Err(err!("ValueError", mesg = "todo must be a list of method name, arguments and keyword arguments."));
    };
    if name.is_empty() {
        return Err(err!("ValueError", mesg = "todo names no method."));
    }
    Ok((name, Args::new(pos.to_vec(), (**kwargs).clone())))
}

fn private_meth(item: &Arc<dyn Api>, name: &str) -> Error {
    let info = item.sharinfo();
    let names = info.get("classes").and_then(Value::as_list).unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    crate::meth::no_such_meth(&names, name)
}
