//! The client's side: a proxy for a remote object, with a pool of connections for its calls.
//!
//! The handshake connection stays open for as long as the proxy lives and carries no calls; each call takes the oldest
//! idle pool connection or opens a new one, and gives it back after the reply. A stream that is dropped early closes
//! its connection: that is how the service learns of it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{FutureExt, Stream};
use myelin_error::{Result, err};
use myelin_value::{Map, Value};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api::AuthInfo;
use crate::connect::{self, Target};
use crate::link::{self, LinkRx, LinkTx, MAX_FRAME, mesg, retn_result};
use crate::url::UrlInfo;
use crate::{TELEVERS, aha, televers};

/// Below so many idle connections, taking one opens another in the background.
const IDLE_MIN: usize = 4;
/// Above so many, one is closed every [`CULL_PERIOD`].
const IDLE_MAX: usize = 12;
const CULL_PERIOD: Duration = Duration::from_secs(10);

/// A call to make: method, arguments, keyword arguments.
#[derive(Clone, Debug)]
pub struct Todo {
    name: String,
    args: Vec<Value>,
    kwargs: Map,
}

impl Todo {
    /// A call without arguments yet.
    pub fn new(name: impl Into<String>) -> Todo {
        Todo { name: name.into(), args: Vec::new(), kwargs: Map::new() }
    }

    /// One more positional argument.
    #[must_use]
    pub fn arg(mut self, valu: impl Into<Value>) -> Todo {
        self.args.push(valu.into());
        self
    }

    /// One more keyword argument.
    #[must_use]
    pub fn kw(mut self, name: &str, valu: impl Into<Value>) -> Todo {
        self.kwargs.insert(name, valu);
        self
    }

    /// All arguments at once.
    pub fn from_parts(name: impl Into<String>, args: Vec<Value>, kwargs: Map) -> Todo {
        Todo { name: name.into(), args, kwargs }
    }

    fn pack(self) -> Value {
        Value::list([self.name.into(), self.args.into(), self.kwargs.into()])
    }
}

impl From<&str> for Todo {
    fn from(name: &str) -> Todo {
        Todo::new(name)
    }
}

/// What a call returned.
pub enum Answer {
    /// A plain value.
    Value(Value),
    /// A stream.
    Genr(Genr),
    /// An object that lives in the session.
    Share(RemoteShare),
}

/// A remote object. Clones share the connections; the last one dropped closes them.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    target: Target,
    tx: Arc<LinkTx>,
    ack: Map,
    sess: String,
    idle: Mutex<VecDeque<PoolLink>>,
    adding: AtomicUsize,
    shares: Mutex<HashMap<String, CancellationToken>>,
    done: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

struct PoolLink {
    rx: LinkRx,
    tx: LinkTx,
}

impl PoolLink {
    async fn open(target: &Target) -> Result<PoolLink> {
        let (rx, tx) = link::split(target.connect().await?, MAX_FRAME);
        Ok(PoolLink { rx, tx })
    }

    /// Whether the link can carry a call: an idle one has nothing to say, so anything read means that it ended.
    fn is_idle(&mut self) -> bool {
        self.rx.rx().now_or_never().is_none()
    }
}

impl Proxy {
    /// Opens a URL or alias.
    pub async fn open(url: &str) -> Result<Proxy> {
        Proxy::open_info(&UrlInfo::parse(url)?).await
    }

    /// Opens a URL that was taken apart, perhaps with options added.
    pub async fn open_info(info: &UrlInfo) -> Result<Proxy> {
        if info.scheme() == "aha" {
            let found = aha::resolve(info).await?;
            return Box::pin(Proxy::open_info(&found)).await;
        }
        let (target, name) = connect::target_of(info)?;
        Proxy::handshake(target, &name, connect::auth_of(info)).await
    }

    async fn handshake(target: Target, name: &str, auth: Option<AuthInfo>) -> Result<Proxy> {
        let (mut rx, tx) = link::split(target.connect().await?, MAX_FRAME);
        let auth = auth
            .map_or(Value::Null, |auth| Value::list([auth.user.into(), Map::new().with("passwd", auth.passwd).into()]));
        let syn = Map::new().with("auth", auth).with("vers", televers()).with("name", name);
        let early = || err!("LinkShutDown", mesg = "socket closed by server before handshake");
        tx.tx(&mesg("tele:syn", syn)).await.map_err(|_| early())?;
        let ack = rx.rx().await?.ok_or_else(early)?;
        let ack = ack.at(1).and_then(Value::as_map).cloned().unwrap_or_default();
        let vers = ack.get("vers").cloned().unwrap_or_default();
        if vers.at(0).and_then(Value::as_i64) != Some(TELEVERS[0]) {
            return Err(err!("BadMesgVers", myver = televers(), hisver = vers));
        }
        retn_result(ack.get("retn"))?;
        let Some(sess) = ack.get_str("sess").map(str::to_owned) else {
            let text = "The service knows no sessions: it is older than this client supports.";
            return Err(err!("FeatureNotSupported", mesg = text));
        };
        let done = CancellationToken::new();
        let inner = Arc::new(Inner {
            target,
            tx: Arc::new(tx),
            ack,
            sess,
            idle: Mutex::default(),
            adding: AtomicUsize::new(0),
            shares: Mutex::default(),
            done: done.clone(),
        });
        tokio::spawn(keep(rx, inner.tx.clone(), Arc::downgrade(&inner), done));
        Ok(Proxy(inner))
    }

    // ---- what the service said of itself

    fn ack_map(&self, key: &str) -> Map {
        self.0.ack.get(key).and_then(Value::as_map).cloned().unwrap_or_default()
    }

    /// The `sharinfo` of the handshake.
    pub fn sharinfo(&self) -> Map {
        self.ack_map("sharinfo")
    }

    /// The `ahainfo` of the handshake.
    pub fn ahainfo(&self) -> Map {
        self.ack_map("ahainfo")
    }

    /// The session's iden.
    pub fn session(&self) -> &str {
        &self.0.sess
    }

    /// Whether the service has a feature at this level or above.
    pub fn has_feature(&self, name: &str, level: i64) -> bool {
        self.0.ack.get("features").and_then(|feats| feats.get(name)).and_then(Value::as_i64).unwrap_or(0) >= level
    }

    fn share_key(&self, key: &str) -> Option<&Value> {
        self.0.ack.get("sharinfo")?.get(key)
    }

    /// Whether the service lists a method.
    pub fn has_meth(&self, name: &str) -> bool {
        self.share_key("meths").is_some_and(|meths| meths.get(name).is_some())
    }

    /// Whether the service lists a method as a generator.
    pub fn is_genr(&self, name: &str) -> bool {
        let meth = self.share_key("meths").and_then(|meths| meths.get(name));
        meth.and_then(|meth| meth.get("genr")).is_some_and(Value::is_truthy)
    }

    /// The platform version of the service.
    pub fn syn_version(&self) -> Option<Vec<i64>> {
        self.share_key("syn:version")?.as_list()?.iter().map(Value::as_i64).collect()
    }

    /// The class names of the object.
    pub fn classes(&self) -> Vec<String> {
        let names = self.share_key("classes").and_then(Value::as_list).unwrap_or_default();
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    // ---- calls

    /// Calls a method that returns a value.
    pub async fn call(&self, todo: impl Into<Todo>) -> Result<Value> {
        plain(self.task(todo, None).await?)
    }

    /// Calls a method that returns a stream.
    pub async fn genr(&self, todo: impl Into<Todo>) -> Result<Genr> {
        stream(self.task(todo, None).await?)
    }

    /// Calls a method that returns an object.
    pub async fn share(&self, todo: impl Into<Todo>) -> Result<RemoteShare> {
        match self.task(todo, None).await? {
            Answer::Share(item) => Ok(item),
            _ => Err(err!("BadMesgFormat", mesg = "The call returned no shared object.")),
        }
    }

    /// Calls a method of the object, or of a dynamic share of the session.
    pub async fn task(&self, todo: impl Into<Todo>, share: Option<&str>) -> Result<Answer> {
        if self.is_fini() {
            return Err(err!("IsFini", mesg = "Telepath Proxy isfini"));
        }
        let init = Map::new().with("todo", todo.into().pack()).with("name", share).with("sess", self.0.sess.as_str());
        let mut link = self.take_link().await?;
        let reply = tokio::select! {
            reply = async { link.tx.tx(&mesg("t2:init", init)).await?; link.rx.rx().await } => reply?,
            () = self.0.done.cancelled() => None,
        };
        let reply = reply.ok_or_else(link::shutdown)?;
        let info = reply.at(1).and_then(Value::as_map).cloned().unwrap_or_default();
        match reply.at(0).and_then(Value::as_str) {
            Some("t2:fini") => {
                self.put_link(link);
                retn_result(info.get("retn")).map(Answer::Value)
            }
            Some("t2:genr") => Ok(Answer::Genr(Genr { proxy: self.clone(), link: Some(link) })),
            Some("t2:share") => {
                self.put_link(link);
                Ok(Answer::Share(self.new_share(&info)?))
            }
            other => {
                let text = format!("Telepath protocol violation: unexpected message type: {other:?}");
                Err(err!("BadMesgFormat", mesg = text))
            }
        }
    }

    fn new_share(&self, info: &Map) -> Result<RemoteShare> {
        let iden = info.get_str("iden").ok_or_else(|| err!("BadMesgFormat", mesg = "A share came without an iden."))?;
        let done = self.0.done.child_token();
        self.0.shares.lock().insert(iden.to_owned(), done.clone());
        let sharinfo = info.get("sharinfo").cloned().unwrap_or_default();
        Ok(RemoteShare { proxy: self.clone(), iden: iden.to_owned(), sharinfo, done })
    }

    // ---- the pool

    async fn take_link(&self) -> Result<PoolLink> {
        loop {
            let (link, left) = {
                let mut idle = self.0.idle.lock();
                (idle.pop_front(), idle.len())
            };
            let Some(mut link) = link else { break };
            if left + self.0.adding.load(Ordering::Relaxed) < IDLE_MIN {
                self.add_link();
            }
            if link.is_idle() {
                return Ok(link);
            }
        }
        PoolLink::open(&self.0.target).await
    }

    fn add_link(&self) {
        self.0.adding.fetch_add(1, Ordering::Relaxed);
        let (weak, target) = (Arc::downgrade(&self.0), self.0.target.clone());
        tokio::spawn(async move {
            let opened = PoolLink::open(&target).await;
            let Some(inner) = weak.upgrade() else { return };
            inner.adding.fetch_sub(1, Ordering::Relaxed);
            match opened {
                Ok(link) => Proxy(inner).put_link(link),
                Err(e) => tracing::debug!("no spare connection: {e}"),
            }
        });
    }

    fn put_link(&self, link: PoolLink) {
        if !self.is_fini() {
            self.0.idle.lock().push_back(link);
        }
    }

    // ---- end

    /// Whether the proxy is closed, by either side.
    pub fn is_fini(&self) -> bool {
        self.0.done.is_cancelled()
    }

    /// Returns when the proxy is closed, by either side.
    pub async fn wait_fini(&self) {
        self.0.done.cancelled().await;
    }

    /// Cancelled when the proxy is closed.
    pub fn done(&self) -> &CancellationToken {
        &self.0.done
    }

    /// Closes every connection. Calls under way end with `LinkShutDown`.
    pub async fn fini(&self) {
        self.0.done.cancel();
        self.0.idle.lock().clear();
        self.0.tx.close().await;
    }
}

/// Reads the handshake connection until it ends, and thins the pool.
async fn keep(mut rx: LinkRx, tx: Arc<LinkTx>, weak: Weak<Inner>, done: CancellationToken) {
    let mut cull = tokio::time::interval(CULL_PERIOD);
    loop {
        tokio::select! {
            () = done.cancelled() => break,
            frame = rx.rx() => match frame {
                Ok(Some(frame)) => on_frame(&frame, &weak),
                Ok(None) => break,
                Err(e) => {
                    tracing::info!("link closed: {e}");
                    break;
                }
            },
            _ = cull.tick() => {
                let Some(inner) = weak.upgrade() else { break };
                let mut idle = inner.idle.lock();
                if idle.len() > IDLE_MAX {
                    idle.pop_front();
                }
            }
        }
    }
    done.cancel();
    if let Some(inner) = weak.upgrade() {
        inner.idle.lock().clear();
    }
    tx.close().await;
}

fn on_frame(frame: &Value, weak: &Weak<Inner>) {
    match (frame.at(0).and_then(Value::as_str), frame.at(1)) {
        (Some("share:fini"), Some(info)) => {
            let iden = info.get("share").and_then(Value::as_str).unwrap_or("");
            if let Some(token) = weak.upgrade().and_then(|inner| inner.shares.lock().remove(iden)) {
                token.cancel();
            }
        }
        (name, _) => tracing::warn!("ignored a message of unknown kind: {name:?}"),
    }
}

fn plain(answer: Answer) -> Result<Value> {
    match answer {
        Answer::Value(valu) => Ok(valu),
        _ => Err(err!("BadMesgFormat", mesg = "The call returned a stream or an object where a value was wanted.")),
    }
}

fn stream(answer: Answer) -> Result<Genr> {
    match answer {
        Answer::Genr(genr) => Ok(genr),
        Answer::Value(_) => Err(err!("BadMesgFormat", mesg = "The call returned a value where a stream was wanted.")),
        Answer::Share(_) => Err(err!("BadMesgFormat", mesg = "The call returned an object where a stream was wanted.")),
    }
}

/// A stream of results. Dropped before its end, it closes its connection and the service stops the call.
pub struct Genr {
    proxy: Proxy,
    link: Option<PoolLink>,
}

impl Genr {
    /// The next item, an error that ends the stream, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Value>> {
        let link = self.link.as_mut()?;
        let frame = tokio::select! {
            frame = link.rx.rx() => frame,
            () = self.proxy.0.done.cancelled() => Ok(None),
        };
        let frame = match frame.and_then(|frame| frame.ok_or_else(link::shutdown)) {
            Ok(frame) => frame,
            Err(e) => {
                self.link = None;
                return Some(Err(e));
            }
        };
        if frame.at(0).and_then(Value::as_str) != Some("t2:yield") {
            self.link = None;
            return Some(Err(err!(
                "BadMesgFormat",
                mesg = "Telepath protocol violation:  unexpected message received"
            )));
        }
        let retn = frame.at(1).and_then(|info| info.get("retn"));
        if retn.is_none_or(Value::is_null) {
            self.give_back();
            return None;
        }
        let item = retn_result(retn);
        if item.is_err() {
            self.give_back();
        }
        Some(item)
    }

    fn give_back(&mut self) {
        if let Some(link) = self.link.take() {
            self.proxy.put_link(link);
        }
    }

    /// The items as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Value>> + Send + 'static {
        futures::stream::unfold(self, async |mut genr| genr.next().await.map(|item| (item, genr)))
    }

    /// Every item. An error anywhere is the result.
    pub async fn list(mut self) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item?);
        }
        Ok(items)
    }
}

/// An object that a call created in the session. Dropped, it is released on the service.
pub struct RemoteShare {
    proxy: Proxy,
    iden: String,
    sharinfo: Value,
    done: CancellationToken,
}

impl RemoteShare {
    /// The iden that addresses it.
    pub fn iden(&self) -> &str {
        &self.iden
    }

    /// What the service said of it.
    pub fn sharinfo(&self) -> &Value {
        &self.sharinfo
    }

    /// Whether it was released, by either side.
    pub fn is_fini(&self) -> bool {
        self.done.is_cancelled()
    }

    /// Calls a method that returns a value.
    pub async fn call(&self, todo: impl Into<Todo>) -> Result<Value> {
        plain(self.proxy.task(todo, Some(&self.iden)).await?)
    }

    /// Calls a method that returns a stream.
    pub async fn genr(&self, todo: impl Into<Todo>) -> Result<Genr> {
        stream(self.proxy.task(todo, Some(&self.iden)).await?)
    }
}

impl Drop for RemoteShare {
    fn drop(&mut self) {
        let ours = self.proxy.0.shares.lock().remove(&self.iden).is_some();
        self.done.cancel();
        if !ours || self.proxy.is_fini() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (tx, fini) = (self.proxy.0.tx.clone(), mesg("share:fini", Map::new().with("share", self.iden.as_str())));
        runtime.spawn(async move {
            let _ = tx.tx(&fini).await;
        });
    }
}
