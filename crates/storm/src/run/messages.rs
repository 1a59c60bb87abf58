//! A query as a client sees it: a stream of messages, a returned value, or a count.
//!
//! ```text
//! init  node | node:edits | print | warn | storm:fire | csv:row | look:miss …  err  fini
//! ```

use std::sync::Arc;
use std::time::Instant;

use myelin_error::{Error, Result, err};
use myelin_storm_syntax::{Query, Span};
use myelin_value::{Map, Value};

use crate::ctl::{Ctl, Ctrl, Flow};
use crate::host::{Host, User};
use crate::item::Item;
use crate::node::NodePath;
use crate::ops::NodeGenr;
use crate::rt::{Cancel, Rt, Shared, Sink, VarMap, query_hash};
use crate::snap::Snap;
use crate::store::View;

/// A query with all it needs to run.
#[derive(Clone)]
pub struct StormQuery {
    /// The service.
    pub host: Arc<dyn Host>,
    /// The view.
    pub view: View,
    /// On whose behalf.
    pub user: Arc<dyn User>,
    /// The text.
    pub text: String,
    /// The options, as clients send them.
    pub opts: Map,
    /// How it is told to end.
    pub cancel: Arc<Cancel>,
    /// The identifier of its task.
    pub task: String,
}

/// How a query ended, beside its messages.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How many nodes it gave.
    pub count: u64,
    /// The error, which was sent as a message too.
    pub error: Option<Error>,
}

/// A sink that passes on what the options ask for.
struct Shown {
    inner: Arc<dyn Sink>,
    show: Option<Vec<String>>,
    edits: EditFormat,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EditFormat {
    Full,
    Count,
    None,
}

impl Sink for Shown {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        let always = matches!(kind, "init" | "fini" | "err" | "node" | "plan");
        if !always && self.show.as_ref().is_some_and(|show| !show.iter().any(|have| have == kind)) {
            return Ok(());
        }
        if kind != "node:edits" {
            return self.inner.send(kind, info);
        }
        match self.edits {
            EditFormat::Full => self.inner.send(kind, info),
            EditFormat::None => Ok(()),
            EditFormat::Count => {
                let edits = info.get("edits").and_then(Value::as_list).unwrap_or_default();
                let count: usize =
                    edits.iter().map(|edit| edit.at(2).and_then(Value::as_list).map_or(0, <[_]>::len)).sum();
                self.inner.send("node:edits:count", Map::new().with("count", count).into())
            }
        }
    }

    fn wants(&self, kind: &str) -> bool {
        let always = matches!(kind, "init" | "fini" | "err" | "node" | "plan");
        let shown = always || self.show.as_ref().is_none_or(|show| show.iter().any(|have| have == kind));
        shown && (kind != "node:edits" || self.edits != EditFormat::None) && self.inner.wants(kind)
    }
}

impl StormQuery {
    fn opt_flag(&self, name: &str) -> bool {
        self.opts.get(name).is_some_and(Value::is_truthy)
    }

    /// Checks options that must be right before anything runs.
    ///
    /// # Errors
    /// `BadArg`, `BadConfValu`.
    pub fn check(&self) -> Result<()> {
        if let Some(keepalive) = self.opts.get("keepalive").filter(|valu| !valu.is_null()) {
            let valu = keepalive.as_f64().or_else(|| keepalive.as_i64().map(|valu| valu as f64)).unwrap_or(0.0);
            if valu <= 0.0 {
                return Err(err!("BadArg", mesg = "keepalive must be > 0"));
            }
        }
        let is_task =
            |iden: &str| iden.len() == 32 && iden.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if self.opts.get("task").filter(|task| !task.is_null()).is_some_and(|task| !task.as_str().is_some_and(is_task))
        {
            return Err(err!("BadArg", mesg = "The iden of a task is 32 lower case hex digits."));
        }
        self.edit_format().map(drop)
    }

    fn edit_format(&self) -> Result<EditFormat> {
        match self.opts.get("editformat").map_or(Some("nodeedits"), Value::as_str) {
            Some("nodeedits") => Ok(EditFormat::Full),
            Some("count") => Ok(EditFormat::Count),
            Some("none") => Ok(EditFormat::None),
            other => {
                let mesg = format!("invalid edit format, got {}", other.unwrap_or("something else"));
                Err(err!("BadConfValu", mesg = mesg, name = "editformat", valu = other))
            }
        }
    }

    fn vars(&self) -> Result<VarMap> {
        let mut vars = crate::rt::Vars::default();
        for (name, valu) in self.opts.get("vars").and_then(Value::as_map).into_iter().flat_map(Map::iter) {
            let Some(name) = name.as_arc_str() else {
                let mesg = format!("Storm var names must be strings (got {name:?})");
                return Err(err!("BadArg", mesg = mesg));
            };
            vars.insert(name.clone(), Item::Val(valu.clone()));
        }
        Ok(Arc::new(vars))
    }

    /// The outermost scope and the nodes of the query, by the mode that the options name.
    ///
    /// # Errors
    /// `BadSyntax`, `AuthDeny` for `sudo` without the permission.
    fn start(&self, shared: &Arc<Shared>) -> Flow<(Rt, NodeGenr)> {
        let snap = Snap::new(self.host.clone(), self.view.clone(), self.user.clone(), shared.clone());
        let mode = self.opts.get_str("mode").unwrap_or("storm");
        let (query, tokens) = parse_mode(&self.text, mode)?;
        let info = Map::new().with("mode", mode).with("view", snap.view_iden());
        self.host.log_query(&self.text, &*self.user, &info);
        let rt = Rt::new(snap, query, self.vars()?, self.opts.clone())?;
        if self.opt_flag("sudo") {
            rt.confirm(&["storm", "sudo"], None)?;
            rt.set_asroot(true);
        }
        let genr = match tokens {
            Some(tokens) => crate::ops::lookup_mode(&rt, mode, tokens)?,
            None => rt.execute()?,
        };
        Ok((rt, genr))
    }

    fn each(&self, shared: &Arc<Shared>, mut func: impl FnMut(&Rt, &NodePath) -> Flow<()>) -> Flow<()> {
        let (rt, mut genr) = self.start(shared)?;
        let mut run = || {
            while let Some(item) = genr.next()? {
                rt.tick()?;
                func(&rt, &item)?;
            }
            Ok(())
        };
        run().map_err(|error| strays(&rt, error))
    }

    fn shared(&self, sink: Arc<dyn Sink>) -> Arc<Shared> {
        let shared = Shared::new(sink, self.cancel.clone(), self.task.clone());
        if self.opts.get("optimize").and_then(Value::as_bool) == Some(false) {
            shared.set_plain();
        }
        shared
    }

    /// Runs the query on this thread and sends its messages.
    ///
    /// # Errors
    /// `BadArg` and `BadConfValu` for bad options. Errors of the query itself are messages.
    pub fn run(&self, sink: Arc<dyn Sink>) -> Result<Outcome> {
        self.check()?;
        let show = self.opts.get("show").and_then(Value::as_list).filter(|show| !show.is_empty());
        let show: Option<Vec<String>> =
            show.map(|show| show.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect());
        let shownode = show.as_ref().is_none_or(|show| show.iter().any(|kind| kind == "node"));
        let sink: Arc<dyn Sink> = Arc::new(Shown { inner: sink, show, edits: self.edit_format()? });
        let shared = self.shared(sink.clone());
        if self.opt_flag("plan") {
            shared.start_plan();
        }
        let (began, tick) = (Instant::now(), self.host.norm_cx().env.now_ms());
        let init = Map::new()
            .with("tick", tick)
            .with("text", self.text.as_str())
            .with("abstick", 0)
            .with("hash", query_hash(&self.text))
            .with("task", self.task.as_str());
        let mut outcome = Outcome::default();
        if sink.send("init", init.into()).is_err() {
            return Ok(outcome);
        }
        if self.opt_flag("path") {
            let mesg = "The 'path' option is deprecated: use the 'links' option instead.";
            let _ = sink.send("warn", Map::new().with("mesg", mesg).into());
        }
        let done = self.each(&shared, |rt, item| {
            if shownode {
                let pode = self.pode(rt, item)?;
                rt.shared().fire("node", pode)?;
            }
            outcome.count += 1;
            Ok(())
        });
        shared.release();
        if let Err(ctl) = done {
            if matches!(&ctl, Ctl::Ctrl(ctrl) if matches!(**ctrl, Ctrl::Cancelled)) {
                outcome.error = Some(Error::mesg("TaskCancelled", "The query was cancelled."));
                return Ok(outcome);
            }
            let error = match ctl {
                Ctl::Ctrl(ctrl) if matches!(*ctrl, Ctrl::Return(_)) => {
                    let mesg = "A return statement ended the query.";
                    Some(Error::mesg("StormReturn", mesg))
                }
                other => other.into_error(),
            };
            if let Some(error) = error {
                let _ = sink.send("err", error.pack());
                outcome.error = Some(error);
            }
        }
        if let Some(plan) = shared.plan() {
            let _ = sink.send("plan", Map::new().with("steps", plan.pack()).into());
        }
        let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let fini =
            Map::new().with("tock", tick + took).with("abstock", took).with("took", took).with("count", outcome.count);
        let _ = sink.send("fini", fini.into());
        Ok(outcome)
    }

    /// Runs the query on a thread of its own with a big stack.
    ///
    /// # Errors
    /// As [`StormQuery::run`].
    pub fn run_threaded(self, sink: Arc<dyn Sink>) -> Result<Outcome> {
        super::on_big_stack(move || self.run(sink))
    }

    /// The value that the query returns, as `callStorm` gives it.
    ///
    /// # Errors
    /// Those of the query.
    pub fn call(&self, sink: Arc<dyn Sink>) -> Result<Value> {
        let shared = self.shared(sink);
        let mut held = None;
        let done = self.start(&shared).and_then(|(rt, mut genr)| {
            held = Some(rt.clone());
            while genr.next()?.is_some() {
                rt.tick()?;
            }
            Ok(())
        });
        let retn = match done {
            Ok(()) => Ok(Value::Null),
            Err(Ctl::Ctrl(ctrl)) => match (*ctrl, &held) {
                (Ctrl::Exit, _) => Err(Error::mesg("StormExit", "The query ended itself.")),
                (Ctrl::Return(item), _) if item.holds_set() => {
                    Err(Error::mesg("NotMsgpackSafe", "A set cannot be sent: make it a list."))
                }
                (Ctrl::Return(item), Some(rt)) => item.toprim(rt).map_err(|error| {
                    error.into_error().unwrap_or_else(|| Error::mesg("SynErr", "The returned value is no primitive."))
                }),
                (other, held) => match Ctl::from(other).into_error_of(held.as_ref().map(|rt| &**rt.query())) {
                    Some(error) => Err(error),
                    None => Ok(Value::Null),
                },
            },
            Err(Ctl::Err(error)) => Err(error),
        };
        shared.release();
        retn
    }

    /// How many nodes the query gives.
    ///
    /// # Errors
    /// Those of the query.
    pub fn count(&self) -> Result<u64> {
        let shared = self.shared(Arc::new(crate::rt::NoSink));
        let mut count = 0;
        let done = self.start(&shared).and_then(|(rt, mut genr)| {
            crate::ops::count(&rt, &mut *genr, &mut count).map_err(|error| strays(&rt, error))
        });
        shared.release();
        match done.map_err(Ctl::into_error) {
            Ok(()) | Err(None) => Ok(count),
            Err(Some(error)) => Err(error),
        }
    }

    /// Adds packed nodes in the query's view, on its user's behalf; the text of the query plays no part. `each` gets every
    /// node that was stored, packed. The number of nodes.
    ///
    /// # Errors
    /// What reading the items and storing them gives, and what the function gives.
    pub fn feed(
        &self,
        items: impl IntoIterator<Item = Result<Value>>,
        mut each: impl FnMut(Value) -> Result<()>,
    ) -> Result<u64> {
        let shared = self.shared(Arc::new(crate::rt::NoSink));
        let done = self.start(&shared).and_then(|(rt, _)| {
            crate::feed::add(&rt, items, |rt, node| {
                let (ndef, info) = node.pack(rt, false)?;
                each(Value::list([ndef, info.into()]))
            })
        });
        shared.release();
        done.map_err(|ctl| ctl.into_error().unwrap_or_else(|| Error::mesg("SynErr", "The feed was ended.")))
    }

    /// Hands every packed node to a function, as `iterStormPodes` and `exportStorm` need it.
    ///
    /// # Errors
    /// Those of the query and of the function.
    pub fn podes(&self, mut func: impl FnMut(&Rt, &NodePath, Value) -> Result<()>) -> Result<()> {
        let shared = self.shared(Arc::new(crate::rt::NoSink));
        let done = self.each(&shared, |rt, item| Ok(func(rt, item, self.pode(rt, item)?)?));
        shared.release();
        match done.map_err(Ctl::into_error) {
            Ok(()) | Err(None) => Ok(()),
            Err(Some(error)) => Err(error),
        }
    }

    /// A node as the options want it packed.
    fn pode(&self, rt: &Rt, item: &NodePath) -> Flow<Value> {
        let (node, path) = item;
        let dorepr = self.opt_flag("repr");
        let (ndef, mut info) = node.pack(rt, dorepr)?;
        info.insert("path", path.pack(rt, self.opt_flag("path"))?);
        if let Some(display) = path.display() {
            info.insert("display", display);
        }
        if self.opt_flag("links") {
            info.insert("links", Value::list(path.links()));
        }
        let storage = self.opt_flag("show:storage");
        if storage {
            let sodes = if node.is_runt() { Vec::new() } else { rt.snap().view().stor_nodes(&node.buid())? };
            info.insert("storage", Value::list(sodes));
        }
        self.scrub(&mut info);
        let embeds = self.opts.get("embeds").and_then(|embeds| embeds.get(node.form_name())).and_then(Value::as_map);
        if let Some(embeds) = embeds {
            let found = crate::embeds::embeds(rt, node, embeds)?;
            if storage {
                crate::embeds::join_storage(rt, &mut info, &found)?;
            }
            info.insert("embeds", found);
        }
        Ok(Value::list([ndef, Value::from(info)]))
    }

    /// Leaves out the tags that the `scrub` option does not include.
    fn scrub(&self, info: &mut Map) {
        let include = self.opts.get("scrub").and_then(|scrub| scrub.get("include"));
        let Some(tags) = include.and_then(|include| include.get("tags")).and_then(Value::as_list) else { return };
        let keep = |name: &Value| {
            let Some(name) = name.as_str() else { return false };
            tags.iter()
                .filter_map(Value::as_str)
                .any(|tag| name == tag || name.strip_prefix(tag).is_some_and(|rest| rest.starts_with('.')))
        };
        for key in ["tags", "tagprops"] {
            if let Some(Value::Map(map)) = info.get(key) {
                let mut map = (**map).clone();
                map.retain(|name, _| keep(name));
                info.insert(key, map);
            }
        }
    }
}

/// A loop or generator statement that nothing waits for, as the error it is.
fn strays(rt: &Rt, error: Ctl) -> Ctl {
    match &error {
        Ctl::Ctrl(ctrl) if matches!(**ctrl, Ctrl::Break(..) | Ctrl::Continue(..) | Ctrl::Stop(_)) => {
            error.into_error_of(Some(rt.query())).map_or_else(Ctl::exit, Ctl::Err)
        }
        _ => error,
    }
}

type Tokens = Vec<Arc<str>>;

/// Parses a query in one of the modes that the options of a query name.
///
/// # Errors
/// `BadSyntax`.
pub fn check_mode(text: &str, mode: &str) -> Result<()> {
    parse_mode(text, mode).map(drop)
}

fn parse_mode(text: &str, mode: &str) -> Result<(Arc<Query>, Option<Tokens>)> {
    if !matches!(mode, "lookup" | "autoadd" | "search") {
        return Ok((crate::run::parse(text)?, None));
    }
    let lookup = myelin_storm_syntax::parse_lookup(text).map_err(|error| super::bad_syntax(&error))?;
    let tokens = lookup.tokens.iter().map(|token| token.text.clone()).collect();
    let query = match lookup.query {
        Some(query) => query,
        None => {
            let span = Span::new(0, text.len());
            Arc::new(Query { ops: Vec::new(), span, text_span: span, source: lookup.source.clone() })
        }
    };
    Ok((query, Some(tokens)))
}
