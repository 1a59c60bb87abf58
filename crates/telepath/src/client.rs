//! Clients that stay connected: they reconnect, follow AHA, and spread calls over the members of a pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use myelin_error::{Error, Result, err};
use myelin_value::Value;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::aha;
use crate::proxy::{Genr, Proxy, Todo};
use crate::url::UrlInfo;

/// Called with each new connection before it is handed out.
pub type OnLink = Arc<dyn Fn(Proxy, UrlInfo) -> BoxFuture<'static, ()> + Send + Sync>;

/// How long a caller waits for a connection unless it says otherwise.
pub const PROXY_TIMEOUT: Duration = Duration::from_secs(10);

const RETRY_SLEEP: Duration = Duration::from_millis(200);
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// A client for one service, or for the members of an AHA pool. Clones share it; the last one dropped ends it.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    state: Arc<State>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.state.done.cancel();
    }
}

struct State {
    urls: RwLock<Arc<Vec<UrlInfo>>>,
    links: Mutex<Links>,
    /// Counts changes of `links`, so that waiters look again.
    changed: watch::Sender<u64>,
    onlinks: Mutex<Vec<OnLink>>,
    done: CancellationToken,
}

#[derive(Default)]
struct Links {
    proxies: Vec<Proxy>,
    next: usize,
    /// The last reason why there is no connection, for the caller who waits in vain.
    trouble: Option<Error>,
}

impl Client {
    /// A client that keeps a connection to one of the URLs, tried in turn. With `aha://` of a pool, to every member.
    /// Must be called on a tokio runtime, which then runs its task.
    pub fn new(urls: Vec<UrlInfo>, onlink: Option<OnLink>) -> Client {
        let state = Arc::new(State {
            urls: RwLock::new(Arc::new(urls)),
            links: Mutex::default(),
            changed: watch::Sender::new(0),
            onlinks: Mutex::new(onlink.into_iter().collect()),
            done: CancellationToken::new(),
        });
        tokio::spawn(run(state.clone()));
        Client(Arc::new(Inner { state }))
    }

    /// A client for one URL, or a list of URLs that lead to the same service.
    pub fn from_value(urls: &Value, onlink: Option<OnLink>) -> Result<Client> {
        let urls = match urls {
            Value::List(urls) => urls.iter().map(UrlInfo::from_value).collect::<Result<Vec<_>>>()?,
            one => vec![UrlInfo::from_value(one)?],
        };
        Ok(Client::new(urls, onlink))
    }

    /// A client for one URL.
    pub fn open(url: &str) -> Result<Client> {
        Ok(Client::new(vec![UrlInfo::parse(url)?], None))
    }

    /// Replaces the URLs, for the next connection.
    pub fn set_urls(&self, urls: Vec<UrlInfo>) {
        *self.0.state.urls.write() = Arc::new(urls);
    }

    /// Adds a function to be called with each new connection, and calls it with those there are.
    pub async fn on_link(&self, func: OnLink) {
        self.0.state.onlinks.lock().push(func.clone());
        let proxies = self.0.state.links.lock().proxies.clone();
        for proxy in proxies {
            let first = self.0.state.urls.read().first().cloned();
            func(proxy, first.unwrap_or_default()).await;
        }
    }

    /// A connected proxy; of a pool, its members in turn. Waits for one at most so long (`None`: for ever).
    pub async fn proxy(&self, timeout: Option<Duration>) -> Result<Proxy> {
        let state = &self.0.state;
        let wait = async {
            let mut changed = state.changed.subscribe();
            loop {
                if let Some(proxy) = state.links.lock().take_next() {
                    return Ok(proxy);
                }
                tokio::select! {
                    seen = changed.changed() => if seen.is_err() { return Err(is_fini()) },
                    () = state.done.cancelled() => return Err(is_fini()),
                }
            }
        };
        match timeout {
            None => wait.await,
            Some(limit) => match tokio::time::timeout(limit, wait).await {
                Ok(found) => found,
                Err(_) => Err(state.timed_out(limit)),
            },
        }
    }

    /// The connected proxy, if there is one now.
    pub fn try_proxy(&self) -> Option<Proxy> {
        self.0.state.links.lock().take_next()
    }

    /// How many connections there are.
    pub fn size(&self) -> usize {
        self.0.state.links.lock().proxies.iter().filter(|proxy| !proxy.is_fini()).count()
    }

    /// Calls a method that returns a value, waiting for a connection first.
    pub async fn call(&self, todo: impl Into<Todo>) -> Result<Value> {
        self.proxy(Some(PROXY_TIMEOUT)).await?.call(todo).await
    }

    /// Calls a method that returns a stream, waiting for a connection first.
    pub async fn genr(&self, todo: impl Into<Todo>) -> Result<Genr> {
        self.proxy(Some(PROXY_TIMEOUT)).await?.genr(todo).await
    }

    /// Whether the client was ended.
    pub fn is_fini(&self) -> bool {
        self.0.state.done.is_cancelled()
    }

    /// Ends the client and closes its connections.
    pub async fn fini(&self) {
        self.0.state.done.cancel();
        self.0.state.drop_all().await;
    }
}

fn is_fini() -> Error {
    err!("IsFini", mesg = "The telepath client was closed.")
}

impl Links {
    fn take_next(&mut self) -> Option<Proxy> {
        self.proxies.retain(|proxy| !proxy.is_fini());
        if self.proxies.is_empty() {
            return None;
        }
        self.next = (self.next + 1) % self.proxies.len();
        Some(self.proxies[self.next].clone())
    }
}

impl State {
    fn changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn timed_out(&self, limit: Duration) -> Error {
        let urls: Vec<String> = self.urls.read().iter().map(UrlInfo::sanitized).collect();
        let why = match &self.links.lock().trouble {
            Some(e) => format!(" The last try: {e}"),
            None => String::new(),
        };
        let text = format!("No connection to {} within {} seconds.{why}", urls.join(", "), limit.as_secs_f64());
        err!("TimeOut", mesg = text)
    }

    async fn drop_all(&self) {
        let proxies = std::mem::take(&mut self.links.lock().proxies);
        for proxy in proxies {
            proxy.fini().await;
        }
        self.changed();
    }

    /// Runs the hooks, hands the connection out, and returns when it is closed.
    async fn use_until_fini(&self, proxy: Proxy, info: &UrlInfo) {
        let onlinks = self.onlinks.lock().clone();
        for onlink in onlinks {
            onlink(proxy.clone(), info.clone()).await;
        }
        let done = proxy.done().clone();
        {
            let mut links = self.links.lock();
            links.proxies.push(proxy);
            links.trouble = None;
        }
        self.changed();
        done.cancelled().await;
        self.links.lock().proxies.retain(|proxy| !proxy.is_fini());
        self.changed();
    }
}

/// What a URL leads to.
enum Found {
    Proxy(Proxy),
    Pool(Client, String),
}

async fn open(info: &UrlInfo) -> Result<Found> {
    if info.scheme() != "aha" {
        return Proxy::open_info(info).await.map(Found::Proxy);
    }
    let (client, svc) = Box::pin(aha::lookup(info)).await?;
    if svc.get("services").is_some_and(|members| !members.is_null()) {
        let name = svc.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
        return Ok(Found::Pool(client, name));
    }
    Box::pin(Proxy::open_info(&aha::merge(info, &svc))).await.map(Found::Proxy)
}

async fn run(state: Arc<State>) {
    let work = async {
        if let Some((client, name)) = keep_linked(&state, None).await {
            follow_pool(&state, client, &name).await;
        }
    };
    tokio::select! { () = work => {}, () = state.done.cancelled() => {} }
    state.drop_all().await;
}

/// Keeps one connection to one of the client's URLs, or to a given one. Returns only when they turn out to name a pool.
async fn keep_linked(state: &State, only: Option<UrlInfo>) -> Option<(Client, String)> {
    let mut logged: Option<Instant> = None;
    for turn in 0_usize.. {
        let info = match &only {
            Some(info) => info.clone(),
            None => {
                let urls = state.urls.read();
                urls.get(turn.checked_rem(urls.len())?)?.clone()
            }
        };
        match open(&info).await {
            Ok(Found::Proxy(proxy)) => state.use_until_fini(proxy, &info).await,
            Ok(Found::Pool(client, name)) => return Some((client, name)),
            Err(e) => {
                if logged.is_none_or(|when| when.elapsed() > LOG_PERIOD) {
                    tracing::warn!("telepath client ({}): {e}", info.sanitized());
                    logged = Some(Instant::now());
                }
                state.links.lock().trouble = Some(e);
                let text = info.get_str("retrysleep").and_then(|text| text.parse().ok());
                let sleep = text.filter(|secs: &f64| secs.is_finite() && *secs >= 0.0 && *secs < 1e6);
                tokio::time::sleep(sleep.map_or(RETRY_SLEEP, Duration::from_secs_f64)).await;
            }
        }
    }
    None
}

/// Follows the topology of a pool, with a task a member. Lost, everything is dropped and built again.
async fn follow_pool(state: &Arc<State>, client: Client, name: &str) {
    loop {
        let members = state.done.child_token();
        if let Err(e) = follow_once(state, &client, name, &members).await {
            tracing::warn!("the topology of pool {name} was lost: {e}");
        }
        members.cancel();
        state.drop_all().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn follow_once(state: &Arc<State>, client: &Client, name: &str, all: &CancellationToken) -> Result<()> {
    let proxy = client.proxy(None).await?;
    let mut topo = proxy.genr(Todo::new("iterPoolTopo").arg(name)).await?;
    let mut members = std::collections::HashMap::<String, CancellationToken>::new();
    while let Some(mesg) = topo.next().await {
        let mesg = mesg?;
        let member = mesg.at(1).and_then(|info| info.get("name")).and_then(Value::as_str).unwrap_or("").to_owned();
        if let Some(old) = members.remove(&member) {
            old.cancel();
        }
        if mesg.at(0).and_then(Value::as_str) == Some("svc:add") {
            let token = all.child_token();
            members.insert(member.clone(), token.clone());
            tokio::spawn(run_member(state.clone(), member, token));
        }
    }
    Ok(())
}

async fn run_member(state: Arc<State>, name: String, token: CancellationToken) {
    let info = UrlInfo::default().with("scheme", "aha").with("host", name).with("path", "");
    let work = Box::pin(keep_linked(&state, Some(info))) as BoxFuture<'_, Option<(Client, String)>>;
    tokio::select! { _ = work => {}, () = token.cancelled() => {} }
}
