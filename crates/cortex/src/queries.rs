//! Running queries for clients: each on a thread of its own, its messages through a bounded channel.

use std::sync::Arc;

use futures::StreamExt;
use myelin_cell::{Task, User as CellUser};
use myelin_error::{Result, err};
use myelin_storm::StormQuery;
use myelin_storm::rt::{Cancel, NoSink};
use myelin_telepath::ValueStream;
use myelin_value::{Map, Value};

use crate::Cortex;
use crate::host::QueryUser;
use crate::pipe::{Sender, pipe};

/// How many queries of clients run at once; others wait their turn.
const QUERIES: usize = 512;

/// The right to run one.
async fn permit() -> Option<tokio::sync::SemaphorePermit<'static>> {
    static TURNS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(QUERIES);
    TURNS.acquire().await.ok()
}

/// Ends a query when nobody waits for it any more.
struct CancelOnDrop(Arc<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Ends a query with its task: when the task is killed, or when nobody waits for the query any more.
pub(crate) struct Guard {
    cancel: Arc<Cancel>,
    watch: tokio::task::JoinHandle<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.watch.abort();
    }
}

/// Tells the client when a query ends in a way that was not foreseen.
struct SaysPanic(Arc<Sender>);

impl Drop for SaysPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mesg = Value::list([Value::from("err"), myelin_storm::run::failed().pack()]);
            let _ = self.0.send(Ok(mesg), true);
        }
    }
}

impl Cortex {
    /// A query of a user who has logged in, ready to run. The options may name another user and a view.
    ///
    /// # Errors
    /// `AuthDeny`, `NoSuchUser`, `NoSuchView`, `BadArg`.
    pub fn query(self: &Arc<Cortex>, caller: &CellUser, text: &str, opts: &Value) -> Result<(StormQuery, CellUser)> {
        let opts = match opts {
            Value::Null => Map::new(),
            Value::Map(opts) => (**opts).clone(),
            _ => return Err(err!("BadArg", mesg = "The options of a query are a dictionary.", name = "opts")),
        };
        let user = self.user_of(caller, &opts)?;
        let view = match opts.get("view") {
            Some(Value::Str(iden)) => {
                let missing = || err!("NoSuchView", mesg = format!("There is no view {iden}."), iden = iden);
                self.stack.view(iden).ok_or_else(missing)?
            }
            _ => self.view_of(&user)?,
        };
        user.confirm(&["view", "read"], Some(view.iden()))?;
        let query = StormQuery {
            host: self.clone(),
            view: self.store(view),
            user: Arc::new(QueryUser(user.clone())),
            text: text.to_owned(),
            task: opts.get_str("task").map_or_else(myelin_value::rand_guid, str::to_owned),
            opts,
            cancel: Arc::default(),
        };
        Ok((query, user))
    }

    /// On whose behalf a query runs: the caller, or the user that an admin names.
    fn user_of(&self, caller: &CellUser, opts: &Map) -> Result<CellUser> {
        let Some(iden) = opts.get_str("user").filter(|iden| *iden != &**caller.iden()) else {
            return Ok(caller.clone());
        };
        if !caller.is_admin(None) {
            caller.confirm(&["impersonate"], None)?;
        }
        self.cell
            .auth()
            .user(iden)
            .ok_or_else(|| err!("NoSuchUser", mesg = format!("There is no user with iden {iden}."), user = iden))
    }

    /// Waits until a mirror has applied an offset that the options name.
    pub(crate) async fn await_offset(&self, opts: &Map) -> Result<()> {
        let Some(offs) = opts.get("nexsoffs").and_then(Value::as_u64) else { return Ok(()) };
        let timeout =
            opts.get("nexstimeout").and_then(|secs| secs.as_f64().or_else(|| secs.as_i64().map(|secs| secs as f64)));
        let timeout = timeout.and_then(|secs| std::time::Duration::try_from_secs_f64(secs).ok());
        if self.cell.nexus().wait_offs(offs, timeout).await {
            return Ok(());
        }
        Err(err!("TimeOut", mesg = format!("The nexus offset {offs} was not reached in time.")))
    }

    /// A mirror that takes a query, and the options that it takes it with; nothing when the query runs here.
    async fn offload(&self, opts: &Map, user: &CellUser) -> Option<(myelin_telepath::Proxy, Map)> {
        if opts.get("mirror").is_some_and(|mirror| !mirror.is_truthy()) || !self.pool.is_set() {
            return None;
        }
        let here = self.cell.nexus().index().checked_sub(1);
        let offs = opts.get("nexsoffs").and_then(Value::as_u64).or(here).unwrap_or_default();
        let own = self.cell.aha_name().zip(self.cell.conf().str("aha:network"));
        let own = own.map(|(name, network)| format!("{name}.{network}"));
        let (proxy, timeout) = self.pool.mirror(offs, own.as_deref()).await?;
        let mut info = opts.get("_loginfo").and_then(Value::as_map).cloned().unwrap_or_default();
        info.insert("pool:from", own);
        let opts = opts
            .clone()
            .with("user", user.iden())
            .with("mirror", false)
            .with("nexsoffs", offs)
            .with("nexstimeout", timeout)
            .with("_loginfo", info);
        Some((proxy, opts))
    }

    /// The messages of a query that a mirror runs; nothing when none takes it in time.
    async fn offload_stream(&self, name: &str, query: &StormQuery, user: &CellUser) -> Option<Result<ValueStream>> {
        let (proxy, opts) = self.offload(&query.opts, user).await?;
        let todo = myelin_telepath::Todo::new(name).arg(query.text.as_str()).kw("opts", opts);
        let mut genr = match proxy.genr(todo).await {
            Err(error) if error.is("TimeOut") => return None,
            Err(error) => return Some(Err(error)),
            Ok(genr) => genr,
        };
        match genr.next().await {
            Some(Err(error)) if error.is("TimeOut") => {
                tracing::warn!("the mirror did not catch up in time: the query runs here");
                None
            }
            first => {
                let first = futures::stream::iter(first);
                // The proxy lives as long as its stream.
                let rest = genr.into_stream().map(move |item| {
                    let _ = &proxy;
                    item
                });
                Some(Ok(first.chain(rest).boxed()))
            }
        }
    }

    fn task(&self, name: &str, query: &StormQuery, user: CellUser) -> Result<Task> {
        let info = Map::new().with("query", query.text.as_str()).with("view", &*query.view.iden());
        self.cell.boss().promote(name, Some(user), info, Some(query.task.clone()))
    }

    pub(crate) fn begin(self: &Arc<Cortex>, name: &str, query: &StormQuery, user: CellUser) -> Result<(Task, Guard)> {
        let task = self.task(name, query, user)?;
        let (killed, cancel) = (task.cancel().clone(), query.cancel.clone());
        let flag = cancel.clone();
        let watch = tokio::spawn(async move {
            killed.cancelled().await;
            flag.cancel();
        });
        Ok((task, Guard { cancel, watch }))
    }

    /// The messages of a query.
    ///
    /// # Errors
    /// As [`Cortex::query`]; errors of the query itself are messages.
    pub async fn storm(self: Arc<Cortex>, caller: CellUser, text: String, opts: Value) -> Result<ValueStream> {
        let (query, user) = self.query(&caller, &text, &opts)?;
        if let Some(stream) = self.offload_stream("storm", &query, &user).await {
            return stream;
        }
        self.await_offset(&query.opts).await?;
        query.check()?;
        let (task, guard) = self.begin("storm", &query, user)?;
        let (tx, stream) = pipe(self.cell.nexus().clone(), guard);
        let permit = permit().await;
        myelin_storm::run::spawn(move || {
            let tx = Arc::new(tx.until(&query.cancel));
            let _says = SaysPanic(tx.clone());
            if let Err(error) = query.run(tx.clone()) {
                let _ = tx.send(Err(error), true);
            }
            drop((task, permit));
        })?;
        Ok(stream)
    }

    /// What a query returns.
    ///
    /// # Errors
    /// As [`Cortex::query`], and those of the query.
    pub async fn call_storm(self: Arc<Cortex>, caller: CellUser, text: String, opts: Value) -> Result<Value> {
        self.on_thread("callStorm", caller, text, opts, |query| query.call(Arc::new(NoSink))).await
    }

    /// How many nodes a query gives.
    ///
    /// # Errors
    /// As [`Cortex::query`], and those of the query.
    pub async fn count(self: Arc<Cortex>, caller: CellUser, text: String, opts: Value) -> Result<Value> {
        self.on_thread("count", caller, text, opts, |query| query.count().map(Value::from)).await
    }

    pub(crate) async fn on_thread(
        self: Arc<Cortex>,
        name: &str,
        caller: CellUser,
        text: String,
        opts: Value,
        work: impl FnOnce(StormQuery) -> Result<Value> + Send + 'static,
    ) -> Result<Value> {
        let (query, user) = self.query(&caller, &text, &opts)?;
        if matches!(name, "callStorm" | "count")
            && let Some((proxy, opts)) = self.offload(&query.opts, &user).await
        {
            let todo = myelin_telepath::Todo::new(name).arg(query.text.as_str()).kw("opts", opts);
            match proxy.call(todo).await {
                Err(error) if error.is("TimeOut") => {
                    tracing::warn!("the mirror did not catch up in time: the query runs here");
                }
                done => return done,
            }
        }
        self.await_offset(&query.opts).await?;
        let task = if name == "feeddata" { name } else { "storm" };
        let task = self.task(task, &query, user)?;
        let (killed, guard) = (task.cancel().clone(), CancelOnDrop(query.cancel.clone()));
        let permit = permit().await;
        let (tx, mut done) = tokio::sync::oneshot::channel();
        let nexus = self.cell.nexus().clone();
        myelin_storm::run::spawn(move || {
            let done = work(query);
            // Whatever it says, what it changed is not lost once it has said it.
            nexus.settle_then(|settled| {
                let _ = tx.send(settled.and(done));
            });
            drop(permit);
        })?;
        let done = tokio::select! {
            done = &mut done => done,
            () = killed.cancelled() => {
                guard.0.cancel();
                done.await
            }
        };
        done.unwrap_or_else(|_| Err(myelin_storm::run::failed()))
    }

    /// The nodes of a query, packed as its options want them.
    ///
    /// # Errors
    /// As [`Cortex::query`], and those of the query.
    pub async fn storm_podes(self: Arc<Cortex>, caller: CellUser, text: String, opts: Value) -> Result<ValueStream> {
        let (query, user) = self.query(&caller, &text, &opts)?;
        self.await_offset(&query.opts).await?;
        let (task, guard) = self.begin("storm", &query, user)?;
        let (tx, stream) = pipe(self.cell.nexus().clone(), guard);
        let tx = tx.until(&query.cancel);
        myelin_storm::run::spawn(move || {
            if let Err(error) = query.podes(|_, _, pode| tx.send(Ok(pode), false)) {
                let _ = tx.send(Err(error), true);
            }
            drop(task);
        })?;
        Ok(stream)
    }

    /// The nodes of a query as they are exported: packed, with the edges among them.
    ///
    /// # Errors
    /// As [`Cortex::query`], and those of the query.
    pub async fn export_storm(self: Arc<Cortex>, caller: CellUser, text: String, opts: Value) -> Result<ValueStream> {
        let (query, user) = self.query(&caller, &text, &opts)?;
        if let Some(stream) = self.offload_stream("exportStorm", &query, &user).await {
            return stream;
        }
        self.await_offset(&query.opts).await?;
        let (task, guard) = self.begin("storm:export", &query, user)?;
        let (tx, stream) = pipe(self.cell.nexus().clone(), guard);
        let tx = tx.until(&query.cancel);
        myelin_storm::run::spawn(move || {
            if let Err(error) = export(&query, &tx) {
                let _ = tx.send(Err(error), true);
            }
            drop(task);
        })?;
        Ok(stream)
    }
}

/// The packed nodes of a query, each with those of its edges that lead to another of them.
pub(crate) fn export_nodes(query: &StormQuery) -> Result<impl Iterator<Item = Result<Value>> + use<>> {
    let mut podes = indexmap::IndexMap::new();
    query.podes(|_rt, item, pode| {
        podes.insert(item.0.buid(), pode);
        Ok(())
    })?;
    let view = query.view.clone();
    let mut indx = 0;
    Ok(std::iter::from_fn(move || {
        let (buid, pode) = podes.get_index(indx)?;
        indx += 1;
        let with_edges = || {
            let mut edges = Vec::new();
            for edge in view.edges_n1(buid, None)? {
                let (verb, n2) = edge?;
                if podes.contains_key(&n2) {
                    edges.push(Value::list([Value::from(&verb), Value::from(n2.to_hex())]));
                }
            }
            if edges.is_empty() {
                return Ok(pode.clone());
            }
            let info = pode.at(1).and_then(Value::as_map).cloned().unwrap_or_default();
            let ndef = pode.at(0).cloned().unwrap_or_default();
            Ok(Value::list([ndef, info.with("edges", Value::from(edges)).into()]))
        };
        Some(with_edges())
    }))
}

fn export(query: &StormQuery, tx: &Sender) -> Result<()> {
    for pode in export_nodes(query)? {
        if tx.send(Ok(pode?), false).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
