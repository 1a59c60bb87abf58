//! Triggers: queries that run when something happens to a node of a view.
//!
//! Stored under `view:<view>:trigger:<iden>` of the table `cortex`. Which triggers a change concerns is decided here; how
//! their queries run is the caller's business. Counters and last errors are kept in memory, as in the original.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use myelin_cell::{ApplyCx, Auth, Event};
use myelin_error::{Result, err};
use myelin_graph::View;
use myelin_slab::Slab;
use myelin_slab::tables::SafeKeyVal;
use myelin_value::{Map, Value, rand_guid};
use parking_lot::{Mutex, RwLock};

use super::now_millis;
use crate::schemas;

/// How many errors a trigger remembers.
const MAX_ERRORS: usize = 5;

/// Keys of a trigger that may be set.
const SETTABLE: [&str; 6] = ["enabled", "user", "storm", "doc", "name", "async"];

/// The events of triggers and of their queues ([`super::trigq`]); they belong to views.
pub const EVENTS: &[&str] = &["trigger:add", "trigger:del", "trigger:set", "trig:q:add", "trig:q:del"];

/// Something that happened to a node, as triggers look for it.
#[derive(Clone, Copy, Debug)]
pub enum Happened<'a> {
    /// A node was made.
    NodeAdd,
    /// A node is about to go.
    NodeDel,
    /// A property was set: its full name, and its universal name if it is one.
    PropSet(&'a str, Option<&'a str>),
    /// A tag was added.
    TagAdd(&'a str),
    /// A tag was removed.
    TagDel(&'a str),
    /// An edge was added: verb, and the form at the other end.
    EdgeAdd(&'a str, Option<&'a str>),
    /// An edge was removed.
    EdgeDel(&'a str, Option<&'a str>),
}

impl Happened<'_> {
    fn cond(self) -> &'static str {
        match self {
            Happened::NodeAdd => "node:add",
            Happened::NodeDel => "node:del",
            Happened::PropSet(..) => "prop:set",
            Happened::TagAdd(_) => "tag:add",
            Happened::TagDel(_) => "tag:del",
            Happened::EdgeAdd(..) => "edge:add",
            Happened::EdgeDel(..) => "edge:del",
        }
    }
}

/// One trigger.
pub struct Trigger {
    iden: String,
    view: Arc<str>,
    tdef: RwLock<Map>,
    starts: AtomicU64,
    errors: AtomicU64,
    last_errors: Mutex<Vec<String>>,
}

impl Trigger {
    fn new(tdef: Map, view: &Arc<str>) -> Trigger {
        Trigger {
            iden: tdef.get_str("iden").unwrap_or_default().to_owned(),
            view: view.clone(),
            tdef: RwLock::new(tdef),
            starts: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            last_errors: Mutex::default(),
        }
    }

    /// Its iden.
    pub fn iden(&self) -> &str {
        &self.iden
    }

    /// The iden of its view.
    pub fn view(&self) -> &Arc<str> {
        &self.view
    }

    /// Its definition.
    pub fn tdef(&self) -> Map {
        self.tdef.read().clone()
    }

    /// One key of its definition.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.tdef.read().get(key).cloned()
    }

    /// Whether it runs at all.
    pub fn is_enabled(&self) -> bool {
        self.get("enabled").is_some_and(|valu| valu.is_truthy())
    }

    /// Counts a run.
    pub fn started(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers the error of a run.
    pub fn failed(&self, error: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last_errors.lock();
        if last.len() == MAX_ERRORS {
            last.remove(0);
        }
        last.push(error);
    }

    /// The definition with counters and the name of its user.
    pub fn pack(&self, auth: &Auth) -> Map {
        let mut packed = self
            .tdef()
            .with("startcount", self.starts.load(Ordering::Relaxed))
            .with("errcount", self.errors.load(Ordering::Relaxed))
            .with("lasterrs", self.last_errors.lock().iter().map(Value::from).collect::<Value>());
        if let Some(user) = packed.get_str("user").and_then(|iden| auth.user(iden)) {
            packed.insert("username", user.name());
        }
        packed
    }

    /// Whether a change of a node of that form concerns it.
    fn concerns(&self, form: &str, happened: Happened<'_>) -> bool {
        let tdef = self.tdef.read();
        let is = |key: &str, want: &str| tdef.get_str(key) == Some(want);
        let open = |key: &str, have: Option<&str>| tdef.get_str(key).is_none_or(|want| Some(want) == have);
        if !is("cond", happened.cond()) {
            return false;
        }
        match happened {
            Happened::NodeAdd | Happened::NodeDel => is("form", form),
            Happened::PropSet(full, univ) => is("prop", full) || univ.is_some_and(|univ| is("prop", univ)),
            Happened::TagAdd(tag) | Happened::TagDel(tag) => {
                open("form", Some(form)) && tdef.get_str("tag").is_some_and(|glob| tag_matches(glob, tag))
            }
            Happened::EdgeAdd(verb, n2form) | Happened::EdgeDel(verb, n2form) => {
                open("form", Some(form))
                    && open("n2form", n2form)
                    && tdef.get_str("verb").is_some_and(|glob| glob_matches(glob, verb))
            }
        }
    }
}

/// Whether a tag matches a pattern: `*` stands for one part (or part of one), `**` for any number of parts.
pub fn tag_matches(glob: &str, tag: &str) -> bool {
    fn parts(glob: &[&str], tag: &[&str]) -> bool {
        match (glob.split_first(), tag.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), Some((_, more))) => parts(rest, more) || parts(glob, more),
            (Some((part, rest)), Some((have, more))) => glob_matches(part, have) && parts(rest, more),
            _ => false,
        }
    }
    if !glob.contains('*') {
        return glob == tag;
    }
    parts(&glob.split('.').collect::<Vec<_>>(), &tag.split('.').collect::<Vec<_>>())
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else { return glob == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let rest = rest.trim_start_matches('*');
    rest.is_empty() || text.char_indices().any(|(at, _)| glob_matches(rest, &text[at..]))
}

/// The triggers of all views.
pub struct Triggers {
    stor: SafeKeyVal,
    auth: Auth,
    views: RwLock<HashMap<Arc<str>, OfView>>,
}

/// The triggers of one view by identifier.
type OfView = Arc<IndexMap<String, Arc<Trigger>>>;

impl Triggers {
    /// No triggers yet: [`Triggers::load`] brings those of a view.
    pub fn new(stor: SafeKeyVal, auth: Auth) -> Triggers {
        Triggers { stor, auth, views: RwLock::default() }
    }

    fn stor_of(&self, view: &str) -> SafeKeyVal {
        self.stor.sub(&format!("view:{view}:trigger:"))
    }

    /// Loads the triggers of a view that was opened.
    pub fn load(&self, slab: &Slab, view: &Arc<str>) -> Result<()> {
        let rows = self.stor_of(view).items(&slab.read_fresh()?, "")?;
        let triggers = rows
            .into_iter()
            .map(|(iden, tdef)| (iden, Arc::new(Trigger::new(tdef.as_map().cloned().unwrap_or_default(), view))));
        self.views.write().insert(view.clone(), Arc::new(triggers.collect()));
        Ok(())
    }

    /// The triggers of a view, in the order they were made.
    pub fn list(&self, view: &str) -> Vec<Arc<Trigger>> {
        self.views.read().get(view).map(|triggers| triggers.values().cloned().collect()).unwrap_or_default()
    }

    /// A trigger of a view.
    pub fn find(&self, view: &str, iden: &str) -> Option<Arc<Trigger>> {
        self.views.read().get(view)?.get(iden).cloned()
    }

    /// A trigger of a view that must be there.
    ///
    /// # Errors
    /// `NoSuchIden`.
    pub fn require(&self, view: &str, iden: &str) -> Result<Arc<Trigger>> {
        self.find(view, iden)
            .ok_or_else(|| err!("NoSuchIden", mesg = format!("There is no trigger {iden} in this view."), iden = iden))
    }

    /// Whether a view has triggers.
    pub fn has_any(&self, view: &str) -> bool {
        self.views.read().get(view).is_some_and(|triggers| !triggers.is_empty())
    }

    /// The enabled triggers of a view that a change concerns.
    pub fn concerned(&self, view: &str, form: &str, happened: Happened<'_>) -> Vec<Arc<Trigger>> {
        let Some(triggers) = self.views.read().get(view).cloned() else { return Vec::new() };
        let matching = triggers.values().filter(|trigger| trigger.concerns(form, happened) && trigger.is_enabled());
        matching.cloned().collect()
    }

    /// Checks and completes a new trigger's definition.
    ///
    /// # Errors
    /// `SchemaViolation`, `DupIden`, `BadSyntax`, each saying which key.
    pub fn prepare(&self, view: &View, mut tdef: Map, user: &str) -> Result<Map> {
        match tdef.get_str("iden") {
            Some(iden) if self.find(view.iden(), iden).is_some() => {
                return Err(err!("DupIden", mesg = format!("A trigger with the iden {iden} exists already.")));
            }
            Some(_) => {}
            None => drop(tdef.insert("iden", rand_guid())),
        }
        tdef.insert("view", view.iden());
        for (key, dflt) in [
            ("created", Value::from(now_millis())),
            ("user", Value::from(user)),
            ("async", Value::from(false)),
            ("enabled", Value::from(true)),
        ] {
            if !tdef.contains(key) {
                tdef.insert(key, dflt);
            }
        }
        check(&tdef)?;
        Ok(tdef)
    }

    /// Applies an event of a view's triggers.
    pub fn apply(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "trigger:add" => self.apply_add(cx, view, event.map_arg(0, "tdef")?),
            "trigger:del" => self.apply_del(cx, view, event.str_arg(0, "iden")?),
            _ => self.apply_set(cx, view, event.str_arg(0, "iden")?, event.str_arg(1, "name")?, event.arg(2, "valu")),
        }
    }

    fn apply_add(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, tdef: &Map) -> Result<Value> {
        check(tdef)?;
        let iden = tdef.get_str("iden").unwrap_or_default();
        if let Some(have) = self.find(view.iden(), iden) {
            return Ok(have.pack(&self.auth).into());
        }
        self.auth.req_no_gate(iden)?;
        self.stor_of(view.iden()).set(cx, iden, &Value::from(tdef.clone()))?;
        self.auth.add_gate(cx, iden, "trigger")?;
        if let Some(user) = tdef.get_str("user") {
            self.auth.apply_user_info(cx, user, "admin", Value::from(true), Some(iden))?;
        }
        let trigger = Arc::new(Trigger::new(tdef.clone(), view.iden()));
        let packed = trigger.pack(&self.auth);
        self.update(view.iden(), |triggers| drop(triggers.insert(iden.to_owned(), trigger)));
        Ok(packed.into())
    }

    fn apply_del(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, iden: &str) -> Result<Value> {
        if self.find(view.iden(), iden).is_none() {
            return Ok(Value::Null);
        }
        self.stor_of(view.iden()).del(cx, iden)?;
        if self.auth.gate(iden).is_some() {
            self.auth.del_gate(cx, iden)?;
        }
        self.update(view.iden(), |triggers| drop(triggers.shift_remove(iden)));
        Ok(Value::Null)
    }

    fn apply_set(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, iden: &str, name: &str, valu: &Value) -> Result<Value> {
        let trigger = self.require(view.iden(), iden)?;
        if !SETTABLE.contains(&name) {
            return Err(err!(
                "BadArg",
                mesg = format!("A trigger's {name} cannot be set: there are {}.", SETTABLE.join(", "))
            ));
        }
        match (name, valu.as_str()) {
            ("user", user) => drop(self.auth.req_user(user.unwrap_or_default())?),
            ("storm", text) => drop(myelin_storm::run::parse(text.unwrap_or_default())?),
            _ => {}
        }
        let tdef = trigger.tdef().with(name, valu.clone());
        self.stor_of(view.iden()).set(cx, iden, &Value::from(tdef.clone()))?;
        *trigger.tdef.write() = tdef;
        Ok(Value::Null)
    }

    /// Removes the triggers of a view that is deleted.
    pub fn drop_view(&self, cx: &mut ApplyCx<'_>, view: &str) -> Result<()> {
        for trigger in self.list(view) {
            if self.auth.gate(trigger.iden()).is_some() {
                self.auth.del_gate(cx, trigger.iden())?;
            }
        }
        self.views.write().remove(view);
        self.stor_of(view).truncate(cx, "")
    }

    fn update(&self, view: &Arc<str>, change: impl FnOnce(&mut IndexMap<String, Arc<Trigger>>)) {
        let mut views = self.views.write();
        let triggers = views.entry(view.clone()).or_default();
        change(Arc::make_mut(triggers));
    }
}

/// Checks a definition: which keys its condition needs and which it may not have.
fn check(tdef: &Map) -> Result<()> {
    schemas::check_map(&schemas::TRIGGER, tdef)?;
    let has = |key: &str| tdef.get(key).is_some_and(|valu| !valu.is_null());
    let cond = tdef.get_str("cond").unwrap_or_default();
    let (needs, refuses): (&str, &[&str]) = match cond {
        "node:add" | "node:del" => ("form", &["tag", "prop"]),
        "tag:add" | "tag:del" => ("tag", &["prop"]),
        "prop:set" => ("prop", &["form", "tag"]),
        "edge:add" | "edge:del" => ("verb", &["prop"]),
        _ => return Err(err!("NoSuchCond", mesg = format!("{cond} is no condition of a trigger."), name = cond)),
    };
    if !has(needs) {
        return Err(err!("BadOptValu", mesg = format!("A trigger for {cond} needs {needs}.")));
    }
    if let Some(extra) = refuses.iter().find(|key| has(key)) {
        return Err(err!("BadOptValu", mesg = format!("A trigger for {cond} has no {extra}.")));
    }
    myelin_storm::run::parse(tdef.get_str("storm").unwrap_or_default()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_patterns_match_parts() {
        for (glob, tag, want) in [
            ("foo.bar", "foo.bar", true),
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo.bar.baz", false),
            ("foo.**", "foo.bar.baz", true),
            ("foo.**.baz", "foo.a.b.baz", true),
            ("foo.b*", "foo.bar", true),
            ("*", "foo.bar", false),
        ] {
            assert_eq!(tag_matches(glob, tag), want, "{glob} {tag}");
        }
    }

    #[test]
    fn a_change_concerns_what_asks_for_it() {
        let view: Arc<str> = Arc::from("v");
        let tdef = Map::new().with("iden", "i").with("cond", "tag:add").with("tag", "a.*").with("form", "inet:fqdn");
        let trigger = Trigger::new(tdef, &view);
        assert!(trigger.concerns("inet:fqdn", Happened::TagAdd("a.b")));
        assert!(!trigger.concerns("inet:ipv4", Happened::TagAdd("a.b")));
        assert!(!trigger.concerns("inet:fqdn", Happened::TagDel("a.b")));
    }

    #[test]
    fn definitions_that_contradict_their_condition_are_refused() {
        let good = Map::new()
            .with("iden", "0123456789abcdef0123456789abcdef")
            .with("user", "0123456789abcdef0123456789abcdef")
            .with("enabled", true)
            .with("storm", "")
            .with("cond", "node:add")
            .with("form", "inet:fqdn");
        assert!(check(&good).is_ok());
        assert!(check(&good.clone().with("tag", "x")).is_err_and(|error| error.is("BadOptValu")));
        assert!(check(&good.clone().with("cond", "prop:set")).is_err_and(|error| error.is("SchemaViolation")));
        assert!(check(&good.with("storm", "inet:fqdn=")).is_err_and(|error| error.is("BadSyntax")));
    }
}
