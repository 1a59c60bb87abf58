//! The runtime: scopes of variables over a view, on behalf of a user.
//!
//! [`Rt`] is one scope of a running query and cheap to clone. A function call, an embedded query or `{ … }` used as a
//! value runs in a scope below ([`Rt::sub`]); commands and modules run beside ([`Rt::beside`]). All scopes of one query
//! on one view share a [`Snap`]: view, user, live nodes. All snaps of one query share a [`Shared`]: the message sink,
//! cancellation, warnings given once.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use indexmap::IndexMap;
use md5::{Digest, Md5};
use myelin_error::{Error, Result, err};
use myelin_model::{Model, NormCx, Prop};
use myelin_storm_syntax::{Query, Span};
use myelin_value::{Map, Value};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::ctl::{Ctl, Flow};
use crate::host::{Host, User};
use crate::item::{Genr, Item, QueryObj};
use crate::node::{Node, Path};
use crate::ops::NodeGenr;
use crate::registry::Registry;
use crate::snap::Snap;

/// Variables by name.
pub type Vars = IndexMap<Arc<str>, Item, foldhash::fast::RandomState>;
/// Variables by name, shared until changed.
pub type VarMap = Arc<Vars>;

/// Variables from pairs.
pub fn var_map<K: Into<Arc<str>>>(items: impl IntoIterator<Item = (K, Item)>) -> VarMap {
    Arc::new(items.into_iter().map(|(name, valu)| (name.into(), valu)).collect())
}

/// Where the messages of a query go.
pub trait Sink: Send + Sync {
    /// Takes a message; blocks while the client is slow.
    ///
    /// # Errors
    /// When nobody listens any more: the query then ends.
    fn send(&self, kind: &str, info: Value) -> Result<()>;

    /// Whether messages of a kind go anywhere: others need not be made.
    fn wants(&self, _kind: &str) -> bool {
        true
    }
}

/// A sink that drops everything.
pub struct NoSink;

impl Sink for NoSink {
    fn send(&self, _kind: &str, _info: Value) -> Result<()> {
        Ok(())
    }

    fn wants(&self, _kind: &str) -> bool {
        false
    }
}

/// How a query is told to end early.
#[derive(Default)]
pub struct Cancel {
    flag: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Cancel {
    /// Ends the query at its next step.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Release);
        let _guard = self.lock.lock();
        self.wake.notify_all();
    }

    /// Whether the query should end.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Sleeps; less when the query is cancelled meanwhile.
    pub fn sleep(&self, time: Duration) {
        let mut guard = self.lock.lock();
        if !self.is_cancelled() {
            self.wake.wait_for(&mut guard, time);
        }
    }
}

/// What all parts of one running query share.
pub struct Shared {
    /// Where messages go.
    pub sink: Arc<dyn Sink>,
    /// How it is told to end.
    pub cancel: Arc<Cancel>,
    /// The identifier of its task.
    pub task: String,
    /// What its operators do, when that was asked for.
    plan: std::sync::OnceLock<crate::plan::Plan>,
    /// Whether everything is done the long way: no short cut by an index, nothing known that was not read.
    plain: std::sync::atomic::AtomicBool,
    warned: Mutex<HashSet<String>>,
    scopes: Mutex<Vec<Weak<RtInner>>>,
    queries: Mutex<Vec<Weak<QueryObj>>>,
    ext: Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>,
}

impl Shared {
    /// For a new query.
    pub fn new(sink: Arc<dyn Sink>, cancel: Arc<Cancel>, task: String) -> Arc<Shared> {
        let (plan, plain, warned, scopes, queries, ext) = Default::default();
        Arc::new(Shared { sink, cancel, task, plan, plain, warned, scopes, queries, ext })
    }

    /// Measures the operators from now on.
    pub fn start_plan(&self) {
        let _ = self.plan.set(crate::plan::Plan::default());
    }

    /// Does everything the long way from now on: the answers are the same, and what makes them is simpler.
    pub fn set_plain(&self) {
        self.plain.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether everything is done the long way.
    pub fn is_plain(&self) -> bool {
        self.plain.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What the operators do, if it is measured.
    pub fn plan(&self) -> Option<&crate::plan::Plan> {
        self.plan.get()
    }

    /// Sends a message to the client.
    ///
    /// # Errors
    /// The end of the query when nobody listens.
    pub fn fire(&self, kind: &str, info: impl Into<Value>) -> Flow<()> {
        self.sink.send(kind, info.into()).map_err(|_| Ctl::cancelled())
    }

    /// Whether a message of a kind would go anywhere.
    pub fn wants(&self, kind: &str) -> bool {
        self.sink.wants(kind)
    }

    /// Notes a warning; false when it was given before.
    pub fn warn_first(&self, mesg: &str) -> bool {
        self.warned.lock().insert(mesg.to_owned())
    }

    /// Something a library keeps for the length of the query (open proxies, caches).
    pub fn ext(&self, name: &str, make: impl FnOnce() -> Arc<dyn Any + Send + Sync>) -> Arc<dyn Any + Send + Sync> {
        if let Some(found) = self.ext.lock().get(name) {
            return found.clone();
        }
        let made = make();
        self.ext.lock().entry(name.to_owned()).or_insert(made).clone()
    }

    /// Breaks the circles of scopes and what in them points back to them. Called when the query is over.
    pub fn release(&self) {
        let scopes = std::mem::take(&mut *self.scopes.lock());
        for scope in scopes.iter().filter_map(Weak::upgrade) {
            // Dropped after the lock is gone: what is in it may be the last that holds other scopes.
            let vars = std::mem::take(&mut *scope.vars.lock());
            drop(vars);
        }
        let queries = std::mem::take(&mut *self.queries.lock());
        queries.iter().filter_map(Weak::upgrade).for_each(|query| query.release());
    }

    /// Notes an embedded query. One that is kept in a list or a dictionary which it sees itself makes a circle that only
    /// [`Shared::release`] breaks. Those that are gone are forgotten whenever their number could have doubled.
    pub fn note_query(&self, query: &Arc<QueryObj>) {
        let mut queries = self.queries.lock();
        if queries.len() == queries.capacity() {
            queries.retain(|query| query.strong_count() > 0);
            let room = queries.len().max(16);
            queries.reserve(room);
        }
        queries.push(Arc::downgrade(query));
    }
}

/// One scope of a running query.
#[derive(Clone)]
pub struct Rt(Arc<RtInner>);

/// The inside of a scope.
pub struct RtInner {
    snap: Arc<Snap>,
    user: Arc<dyn User>,
    root: Option<Rt>,
    query: Arc<Query>,
    vars: Mutex<VarMap>,
    runtvars: RwLock<HashMap<Arc<str>, bool, foldhash::fast::RandomState>>,
    opts: Mutex<Map>,
    inputs: Mutex<Vec<Node>>,
    funcscope: bool,
    readonly: bool,
    debug: AtomicBool,
    asroot: AtomicBool,
    emits: bool,
    listed: AtomicBool,
}

/// How a scope below another differs from it.
#[derive(Default)]
pub struct SubOpts {
    /// Its first variables.
    pub vars: VarMap,
    /// Whether variables set in it stay in it (function bodies).
    pub funcscope: bool,
    /// Whether somebody waits for what it emits.
    pub emits: bool,
    /// Another view or user.
    pub snap: Option<Arc<Snap>>,
    /// Query options of its own.
    pub opts: Map,
}

/// Variables that are always there: the first two are of the node at hand.
static NAMES: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| ["node", "path", "lib"].map(Arc::from));

impl Rt {
    /// The outermost scope of a query.
    ///
    /// # Errors
    /// `NoSuchVar` for variables that are set from themselves first.
    pub fn new(snap: Arc<Snap>, query: Arc<Query>, vars: VarMap, opts: Map) -> Flow<Rt> {
        let readonly = opts.get("readonly").is_some_and(Value::is_truthy);
        let debug = opts.get("debug").is_some_and(Value::is_truthy);
        let user = snap.user().clone();
        let rt = RtInner {
            snap,
            user,
            root: None,
            query,
            vars: Mutex::new(vars),
            runtvars: RwLock::default(),
            opts: Mutex::new(opts),
            inputs: Mutex::default(),
            funcscope: false,
            readonly,
            debug: AtomicBool::new(debug),
            asroot: AtomicBool::new(false),
            emits: false,
            listed: AtomicBool::new(false),
        };
        Rt::begin(rt)
    }

    fn begin(rt: RtInner) -> Flow<Rt> {
        let rt = Rt(Arc::new(rt));
        {
            let mut runtvars = rt.0.runtvars.write();
            if rt.0.root.is_none() {
                runtvars.insert(NAMES[0].clone(), false);
                runtvars.insert(NAMES[1].clone(), false);
            }
            for name in rt.0.vars.lock().keys() {
                runtvars.insert(name.clone(), true);
            }
            runtvars.insert(NAMES[2].clone(), true);
        }
        crate::walk::load_vars(&rt.0.query, &rt)?;
        Ok(rt)
    }

    /// A scope below this one.
    ///
    /// # Errors
    /// `NoSuchVar` for variables that are set from themselves first.
    pub fn sub(&self, query: &Arc<Query>, sub: SubOpts) -> Flow<Rt> {
        let snap = sub.snap.unwrap_or_else(|| self.0.snap.clone());
        Rt::begin(RtInner {
            user: if Arc::ptr_eq(&snap, &self.0.snap) { self.0.user.clone() } else { snap.user().clone() },
            snap,
            root: Some(self.clone()),
            query: query.clone(),
            vars: Mutex::new(sub.vars),
            runtvars: RwLock::default(),
            opts: Mutex::new(sub.opts),
            inputs: Mutex::default(),
            funcscope: sub.funcscope,
            readonly: self.0.readonly,
            debug: AtomicBool::new(self.debug()),
            asroot: AtomicBool::new(self.asroot()),
            emits: sub.emits,
            listed: AtomicBool::new(false),
        })
    }

    /// A scope beside this one: same view, user and powers, none of the variables.
    ///
    /// # Errors
    /// `NoSuchVar` for variables that are set from themselves first.
    pub fn beside(&self, query: &Arc<Query>, vars: VarMap) -> Flow<Rt> {
        Rt::begin(RtInner {
            snap: self.0.snap.clone(),
            user: self.0.user.clone(),
            root: None,
            query: query.clone(),
            vars: Mutex::new(vars),
            runtvars: RwLock::default(),
            opts: Mutex::default(),
            inputs: Mutex::default(),
            funcscope: false,
            readonly: self.0.readonly,
            debug: AtomicBool::new(self.debug()),
            asroot: AtomicBool::new(self.asroot()),
            emits: false,
            listed: AtomicBool::new(false),
        })
    }

    /// View, user, live nodes.
    pub fn snap(&self) -> &Arc<Snap> {
        &self.0.snap
    }

    /// What all parts of the query share.
    pub fn shared(&self) -> &Arc<Shared> {
        self.0.snap.shared()
    }

    /// The service.
    pub fn host(&self) -> &Arc<dyn Host> {
        self.0.snap.host()
    }

    /// The service as its own type.
    ///
    /// # Errors
    /// `FeatureNotSupported` when it is another.
    pub fn host_as<T: Any>(&self) -> Flow<&T> {
        match self.host().as_any().downcast_ref::<T>() {
            Some(host) => Ok(host),
            None => Err(Error::not_supported("This library").into()),
        }
    }

    /// Libraries, types, commands.
    pub fn registry(&self) -> &Registry {
        self.0.snap.host().registry()
    }

    /// The data model as it is now.
    pub fn model(&self) -> Arc<Model> {
        self.0.snap.model()
    }

    /// What types consult when they normalise.
    pub fn norm_cx(&self) -> NormCx {
        self.0.snap.norm_cx()
    }

    /// On whose behalf it runs.
    pub fn user(&self) -> &Arc<dyn User> {
        &self.0.user
    }

    /// The query.
    pub fn query(&self) -> &Arc<Query> {
        &self.0.query
    }

    /// The scope above.
    pub fn root(&self) -> Option<&Rt> {
        self.0.root.as_ref()
    }

    /// Whether edits are refused.
    pub fn readonly(&self) -> bool {
        self.0.readonly
    }

    /// Whether it runs with all powers.
    pub fn asroot(&self) -> bool {
        self.0.asroot.load(Ordering::Relaxed)
    }

    /// Gives it all powers, or takes them.
    pub fn set_asroot(&self, asroot: bool) {
        self.0.asroot.store(asroot, Ordering::Relaxed);
    }

    /// Whether `$lib.debug` is on.
    pub fn debug(&self) -> bool {
        self.0.debug.load(Ordering::Relaxed)
    }

    /// Turns `$lib.debug` on or off.
    pub fn set_debug(&self, debug: bool) {
        self.0.debug.store(debug, Ordering::Relaxed);
    }

    /// Whether somebody waits for what it emits.
    pub fn emits(&self) -> bool {
        self.0.emits
    }

    /// A query option.
    pub fn opt(&self, name: &str) -> Option<Value> {
        self.0.opts.lock().get(name).cloned()
    }

    /// Sets a query option.
    pub fn set_opt(&self, name: &str, valu: impl Into<Value>) {
        self.0.opts.lock().insert(name, valu);
    }

    /// Adds a node to what the query starts from.
    pub fn add_input(&self, node: Node) {
        self.0.inputs.lock().push(node);
    }

    pub(crate) fn inputs(&self) -> Vec<Node> {
        self.0.inputs.lock().clone()
    }

    /// Sets the graph projection of the outermost scope.
    pub fn set_graph(&self, rules: Value) {
        match &self.0.root {
            Some(root) => root.set_graph(rules),
            None => self.set_opt("graph", rules),
        }
    }

    /// The graph projection of the outermost scope.
    pub fn graph(&self) -> Option<Value> {
        match &self.0.root {
            Some(root) => root.graph(),
            None => self.opt("graph"),
        }
    }
}

/// Variables.
impl Rt {
    /// A variable of this scope or one above.
    pub fn get_var(&self, name: &str) -> Option<Item> {
        if let Some(item) = self.0.vars.lock().get(name) {
            return Some(item.clone());
        }
        if name == "lib" {
            return Some(Item::Lib(Arc::default()));
        }
        self.0.root.as_ref()?.get_var(name)
    }

    fn is_root_scope(&self, name: &str) -> bool {
        let Some(root) = &self.0.root else { return false };
        !self.0.funcscope || root.0.vars.lock().contains_key(name) || root.is_root_scope(name)
    }

    /// Sets a variable, in the scope that has it or may have it.
    pub fn set_var(&self, name: &Arc<str>, valu: Item) {
        if valu.holds_scope() && !self.0.listed.swap(true, Ordering::Relaxed) {
            self.shared().scopes.lock().push(Arc::downgrade(&self.0));
        }
        {
            let mut vars = self.0.vars.lock();
            if let Some(at) = vars.get_index_of(&**name) {
                Arc::make_mut(&mut *vars)[at] = valu;
                return;
            }
        }
        let here = &**name == "lib";
        match &self.0.root {
            Some(root) if !here && self.is_root_scope(name) => root.set_var(name, valu),
            _ => {
                Arc::make_mut(&mut *self.0.vars.lock()).insert(name.clone(), valu);
            }
        }
    }

    /// Removes a variable.
    pub fn pop_var(&self, name: &str) -> Option<Item> {
        let here = self.0.vars.lock().contains_key(name);
        if let Some(root) = self.0.root.as_ref().filter(|_| !here && self.is_root_scope(name)) {
            return root.pop_var(name);
        }
        if !here {
            return None;
        }
        Arc::make_mut(&mut *self.0.vars.lock()).shift_remove(name)
    }

    /// The variables of this scope.
    pub fn vars(&self) -> VarMap {
        self.0.vars.lock().clone()
    }

    /// The variables of this scope and all above.
    pub fn scope_vars(&self) -> VarMap {
        let Some(root) = &self.0.root else { return self.vars() };
        let mut vars = root.scope_vars();
        let own = self.vars();
        if own.is_empty() {
            return vars;
        }
        let all = Arc::make_mut(&mut vars);
        for (name, valu) in own.iter() {
            all.insert(name.clone(), valu.clone());
        }
        vars
    }

    fn scope_has(&self, name: &str) -> bool {
        self.0.vars.lock().contains_key(name) || self.0.root.as_ref().is_some_and(|root| root.scope_has(name))
    }

    /// Whether a variable is declared, and then whether it is runtsafe.
    pub fn runt_var_state(&self, name: &str) -> Option<bool> {
        let own = self.0.runtvars.read().get(name).copied();
        if own == Some(true) {
            return own;
        }
        let Some(root) = &self.0.root else { return own };
        let above = root.runt_var_state(name);
        if above == Some(true) || root.scope_has(name) {
            return Some(true);
        }
        own.or(above)
    }

    /// Whether a variable is runtsafe.
    pub fn is_runt_var(&self, name: &str) -> bool {
        self.runt_var_state(name) == Some(true)
    }

    /// Declares a variable; once runtsafe, always runtsafe.
    pub fn declare(&self, name: &Arc<str>, runtsafe: bool) {
        if self.is_runt_var(name) {
            return;
        }
        self.0.runtvars.write().insert(name.clone(), runtsafe);
    }

    /// A path that begins at a node, with the variables of this scope.
    pub fn init_path(&self, node: &Node) -> Path {
        Path::new(self.vars(), node.clone())
    }
}

/// Messages, errors, cancellation.
impl Rt {
    /// Sends `print`.
    ///
    /// # Errors
    /// The end of the query when nobody listens.
    pub fn printf(&self, mesg: impl Into<Value>) -> Flow<()> {
        self.shared().fire("print", Map::new().with("mesg", mesg))
    }

    /// Sends `warn`.
    ///
    /// # Errors
    /// The end of the query when nobody listens.
    pub fn warn(&self, mesg: impl Into<Value>) -> Flow<()> {
        self.warn_with(mesg, Map::new())
    }

    /// Sends `warn` with further info.
    ///
    /// # Errors
    /// The end of the query when nobody listens.
    pub fn warn_with(&self, mesg: impl Into<Value>, info: Map) -> Flow<()> {
        let mut all = Map::new().with("mesg", mesg);
        all.update(&info);
        self.shared().fire("warn", all)
    }

    /// Sends `warn` unless the same was sent before.
    ///
    /// # Errors
    /// The end of the query when nobody listens.
    pub fn warn_once(&self, mesg: &str) -> Flow<()> {
        if self.shared().warn_first(mesg) { self.warn(mesg) } else { Ok(()) }
    }

    /// Sends any other message.
    ///
    /// # Errors
    /// The end of the query when nobody listens.
    pub fn fire(&self, kind: &str, info: impl Into<Value>) -> Flow<()> {
        self.shared().fire(kind, info)
    }

    /// Ends the query when it was cancelled. Loops call it.
    ///
    /// # Errors
    /// The end of the query.
    pub fn tick(&self) -> Flow<()> {
        if self.shared().cancel.is_cancelled() { Err(Ctl::cancelled()) } else { Ok(()) }
    }

    /// Sleeps; ends early when the query is cancelled.
    ///
    /// # Errors
    /// The end of the query.
    pub fn sleep(&self, time: Duration) -> Flow<()> {
        self.shared().cancel.sleep(time);
        self.tick()
    }

    /// An error with its place in the text, unless it has one.
    pub fn at(&self, span: Span, error: Ctl) -> Ctl {
        match error {
            Ctl::Err(error) if error.get("highlight").is_none() && !is_foreign(error.name()) => {
                Ctl::Err(error.with("highlight", highlight(&self.0.query, span)))
            }
            other => other,
        }
    }

    /// `Result` with the place of its error.
    ///
    /// # Errors
    /// The error it had.
    pub fn mark<T>(&self, span: Span, retn: Result<T, impl Into<Ctl>>) -> Flow<T> {
        retn.map_err(|error| self.at(span, error.into()))
    }

    /// Refuses edits in a read-only query.
    ///
    /// # Errors
    /// `IsReadOnly`.
    pub fn req_not_readonly(&self, span: Span) -> Flow<()> {
        if !self.0.readonly {
            return Ok(());
        }
        let mesg = "Storm runtime is in readonly mode, cannot create or edit nodes and other graph data.";
        Err(self.at(span, err!("IsReadOnly", mesg = mesg).into()))
    }
}

/// Where a part of a query stands, as error info carries it.
pub fn highlight(query: &Query, span: Span) -> Value {
    let at = query.source.locate(span);
    let pair = |(from, to): (usize, usize)| Value::list([Value::from(from), Value::from(to)]);
    Map::new()
        .with("hash", query_hash(query.source.text()))
        .with("lines", pair(at.lines))
        .with("columns", pair(at.columns))
        .with("offsets", pair(at.offsets))
        .into()
}

/// Whether the name of an error is one of the language that the original is written in. They come without a place.
fn is_foreign(name: &str) -> bool {
    matches!(
        name,
        "AssertionError"
            | "AttributeError"
            | "IndexError"
            | "KeyError"
            | "LookupError"
            | "OverflowError"
            | "TypeError"
            | "UnicodeDecodeError"
            | "ValueError"
    )
}

/// The hash that names a query text.
pub fn query_hash(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Permissions.
impl Rt {
    /// Whether the user is an admin (of a gate).
    pub fn is_admin(&self, gate: Option<&str>) -> bool {
        self.asroot() || self.0.user.is_admin(gate)
    }

    /// Refuses who is no admin.
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn req_admin(&self, gate: Option<&str>, mesg: Option<&str>) -> Flow<()> {
        if self.is_admin(gate) {
            return Ok(());
        }
        let name = self.0.user.name();
        let mesg = mesg.map_or_else(|| format!("User {name} must be an admin to do this."), str::to_owned);
        Err(err!("AuthDeny", mesg = mesg, user = self.0.user.iden(), username = name).into())
    }

    /// Whether a permission is given.
    pub fn allowed(&self, perm: &[&str], gate: Option<&str>) -> bool {
        self.asroot()
            || self.0.user.is_admin(gate)
            || self.0.user.allowed(perm, gate).unwrap_or_else(|| self.host().perm_default(perm))
    }

    /// Refuses who lacks a permission.
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn confirm(&self, perm: &[&str], gate: Option<&str>) -> Flow<()> {
        if self.allowed(perm, gate) { Ok(()) } else { Err(self.deny(perm)) }
    }

    /// The error of a lacking permission.
    pub fn deny(&self, perm: &[&str]) -> Ctl {
        let (name, perm) = (self.0.user.name(), perm.join("."));
        let mesg = format!("User {name} ({}) must have permission {perm}", self.0.user.iden());
        err!("AuthDeny", mesg = mesg, perm = perm, user = self.0.user.iden(), username = name).into()
    }

    /// Refuses who lacks a permission on the layer that is written to.
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn layer_confirm(&self, perm: &[&str]) -> Flow<()> {
        self.confirm(perm, Some(self.0.snap.layer()))
    }

    /// Refuses who may not set a property (in a layer; by default the one written to).
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn confirm_prop_set(&self, prop: &Prop, layer: Option<&str>) -> Flow<()> {
        self.confirm_prop("set", prop, layer)
    }

    /// Refuses who may not remove a property.
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn confirm_prop_del(&self, prop: &Prop, layer: Option<&str>) -> Flow<()> {
        self.confirm_prop("del", prop, layer)
    }

    fn confirm_prop(&self, what: &str, prop: &Prop, layer: Option<&str>) -> Flow<()> {
        let gate = Some(layer.unwrap_or(self.0.snap.layer()));
        if self.is_admin(gate) {
            return Ok(());
        }
        let full = ["node", "prop", what, &prop.full];
        let Some(form) = &prop.form else { return self.confirm(&full, gate) };
        let parts = ["node", "prop", what, form, &prop.name];
        let (one, two) = (self.0.user.allowed_by(&full, gate), self.0.user.allowed_by(&parts, gate));
        let allowed = match (one, two) {
            (None, None) => self.host().perm_default(&full),
            // Of two rules the more specific one decides, and that by parts where they are even.
            (Some((one, size1)), Some((two, size2))) if one != two => {
                if size1 > size2 {
                    one
                } else {
                    two
                }
            }
            (one, two) => one.or(two).is_some_and(|(allowed, _)| allowed),
        };
        // The permission by form and name comes first, so it is the one that is named.
        if allowed { Ok(()) } else { Err(self.deny(&parts)) }
    }

    /// Refuses who may not read a view.
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn confirm_view(&self, view: &str) -> Flow<()> {
        self.confirm(&["view", "read"], Some(view))
    }

    /// Whether an object with easy permissions (`permissions: {users, roles}`) allows a level (0 deny … 3 admin).
    pub fn allowed_easy(&self, item: &Map, level: i64) -> bool {
        if self.is_admin(None) {
            return true;
        }
        let perms = item.get("permissions").and_then(Value::as_map);
        let Some(perms) = perms else { return false };
        let of = |kind: &str, iden: &str| perms.get(kind).and_then(Value::as_map).and_then(|map| map.get_i64(iden));
        if let Some(have) = of("users", self.0.user.iden()) {
            return have >= level;
        }
        let roles = self.0.user.roles();
        if let Some(have) = roles.iter().filter_map(|role| of("roles", role)).max() {
            return have >= level;
        }
        perms.get_i64("default").unwrap_or(1) >= level
    }

    /// Refuses whom an object with easy permissions does not allow a level.
    ///
    /// # Errors
    /// `AuthDeny`.
    pub fn confirm_easy(&self, item: &Map, level: i64, mesg: Option<&str>) -> Flow<()> {
        if self.allowed_easy(item, level) {
            return Ok(());
        }
        let name = self.0.user.name();
        let mesg = mesg.map_or_else(|| format!("User {name} lacks the permission on this object."), str::to_owned);
        Err(err!("AuthDeny", mesg = mesg, user = self.0.user.iden(), username = name).into())
    }
}

/// Running further queries.
impl Rt {
    /// Parses a query, or takes it from the cache.
    ///
    /// # Errors
    /// `BadSyntax`.
    pub fn parse(&self, text: &str) -> Result<Arc<Query>> {
        crate::run::parse(text)
    }

    /// The nodes of this scope's query.
    ///
    /// # Errors
    /// `NoSuchVar` for variables nobody declares.
    pub fn execute(&self) -> Flow<NodeGenr> {
        crate::run::execute(self, None)
    }

    /// The nodes of this scope's query over given input.
    ///
    /// # Errors
    /// `NoSuchVar` for variables nobody declares.
    pub fn execute_with(&self, input: NodeGenr) -> Flow<NodeGenr> {
        crate::run::execute(self, Some(input))
    }

    /// Runs a query text below this scope over an optional node, as `node.storm` of the platform does.
    ///
    /// # Errors
    /// `BadSyntax` and what building the query gives.
    pub fn storm(&self, text: &str, vars: VarMap, node: Option<Node>) -> Flow<NodeGenr> {
        self.storm_parsed(&self.parse(text)?, vars, node)
    }

    /// As [`Rt::storm`], with a query that is parsed already.
    ///
    /// # Errors
    /// What building the query gives.
    pub fn storm_parsed(&self, query: &Arc<Query>, vars: VarMap, node: Option<Node>) -> Flow<NodeGenr> {
        let rt = self.sub(query, SubOpts { vars, ..SubOpts::default() })?;
        if let Some(node) = node {
            rt.add_input(node);
        }
        rt.execute()
    }

    /// The nodes of an embedded query as items.
    pub fn query_nodes(&self, query: &Arc<QueryObj>) -> Genr {
        let (rt, query) = (self.clone(), query.clone());
        let mut genr: Option<NodeGenr> = None;
        Genr::from_fn(move || {
            if genr.is_none() {
                let parsed = rt.parse(&query.text)?;
                genr = Some(rt.beside(&parsed, query.vars())?.execute()?);
            }
            match &mut genr {
                Some(genr) => Ok(genr.next()?.map(|(node, _)| Item::Node(node))),
                None => Ok(None),
            }
        })
    }
}
