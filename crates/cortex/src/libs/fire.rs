//! Running the triggers that a change concerns.
//!
//! A trigger runs at once, on the thread of the query that made the change, as its own user in its view; what goes wrong
//! in it is remembered with the trigger and does not end the query. Only the limit on triggers that set off each other
//! ends it. One that is `async` waits in a queue instead: see [`crate::parts::trigq`].

use std::cell::Cell;
use std::sync::Arc;

use myelin_error::err;
use myelin_storm::host::Change;
use myelin_storm::rt::var_map;
use myelin_storm::{Ctl, Flow, Item, Node, Rt};
use myelin_value::{Map, Value};

use super::util::scope_in;
use crate::Cortex;
use crate::parts::triggers::{Happened, Trigger};

/// How deep triggers may set off each other.
const MAX_DEPTH: u32 = 64;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// One level of triggers, given back when it is dropped.
struct Level;

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

fn deeper() -> Flow<Level> {
    let depth = DEPTH.with(Cell::get);
    if depth > MAX_DEPTH {
        return Err(err!("RecursionLimitHit", mesg = "Triggers set off each other without end.").into());
    }
    DEPTH.with(|have| have.set(depth + 1));
    Ok(Level)
}

/// Runs the triggers of the view that a change of a node concerns.
pub fn changed(core: &Cortex, rt: &Rt, node: &Node, change: &Change) -> Flow<()> {
    let view = rt.snap().view_iden();
    let form = node.form_name();
    if matches!(change, Change::NodeAdd)
        && &**form == "proj:project"
        && let Err(error) = crate::libs::project::added(core, rt, node)
    {
        // The node is there; a guid that already guards something else only lacks the permissions.
        tracing::warn!(%error, project = ?node.valu(), "the auth gate of a project could not be made");
    }
    if !core.triggers.has_any(view) {
        return Ok(());
    }
    let mut opts = Map::new();
    let mut vars: Vec<(&str, Value)> = Vec::new();
    let full;
    let happened = match change {
        Change::NodeAdd => Happened::NodeAdd,
        Change::NodeDel => Happened::NodeDel,
        Change::PropSet { prop, .. } => {
            full = match node.form().prop(prop) {
                Some(prop) => prop.full.clone(),
                None => return Ok(()),
            };
            opts.insert("propname", &**prop);
            opts.insert("propfull", &*full);
            vars.push(("propname", Value::from(&**prop)));
            vars.push(("propfull", Value::from(&*full)));
            Happened::PropSet(&full, prop.starts_with('.').then_some(&**prop))
        }
        Change::TagAdd(tag) | Change::TagDel(tag) => {
            opts.insert("tag", &**tag);
            vars.push(("tag", Value::from(&**tag)));
            if matches!(change, Change::TagAdd(_)) { Happened::TagAdd(tag) } else { Happened::TagDel(tag) }
        }
        Change::EdgeAdd(verb, n2) | Change::EdgeDel(verb, n2) => {
            opts.insert("verb", &**verb);
            opts.insert("n2iden", n2.as_ref().map(Node::iden));
            let n2form = n2.as_ref().map(|n2| &**n2.form_name());
            if matches!(change, Change::EdgeAdd(..)) {
                Happened::EdgeAdd(verb, n2form)
            } else {
                Happened::EdgeDel(verb, n2form)
            }
        }
    };
    let concerned = core.triggers.concerned(view, form, happened);
    if concerned.is_empty() {
        return Ok(());
    }
    opts.insert("user", rt.user().iden());
    let _level = deeper()?;
    for trigger in concerned {
        if trigger.get("async").is_some_and(|valu| valu.is_truthy()) {
            let auto = Map::new().with("opts", opts.clone());
            let vars: Map = vars.iter().map(|(name, valu)| (*name, valu.clone())).collect();
            core.trigqueues.push(view, &node.buid(), trigger.iden(), vars.with("auto", auto))?;
            continue;
        }
        match run(core, rt, node, &trigger, &vars, opts.clone()) {
            Err(Ctl::Err(error)) if !error.is("RecursionLimitHit") => {
                tracing::warn!(trigger = trigger.iden(), "a trigger's query failed: {error}");
                trigger.failed(error.to_string());
            }
            // A query that ends by `return` or `stop` has ended; only cancelling goes further up.
            Err(ctl @ Ctl::Err(_)) => return Err(ctl),
            Err(ctl) => {
                rt.tick()?;
                if let Some(error) = ctl.into_error() {
                    trigger.failed(error.to_string());
                }
            }
            Ok(()) => {}
        }
    }
    // The query that made the change sees what the triggers did to the node.
    node.reload();
    Ok(())
}

fn run(core: &Cortex, rt: &Rt, node: &Node, trigger: &Arc<Trigger>, vars: &[(&str, Value)], opts: Map) -> Flow<()> {
    let tdef = trigger.tdef();
    let iden = tdef.get_str("user").unwrap_or_default();
    let locked = core.cell.auth().user(iden).is_none_or(|user| user.is_locked());
    if locked {
        tracing::warn!(trigger = trigger.iden(), user = iden, "a trigger is left out: its user is locked or gone");
        return Ok(());
    }
    let query = rt.parse(tdef.get_str("storm").unwrap_or_default())?;
    let auto = Map::new()
        .with("opts", opts.with("form", &**node.form_name()).with("valu", node.valu().clone()))
        .with("iden", trigger.iden())
        .with("type", "trigger");
    let mut all: Vec<(&str, Item)> = vars.iter().map(|(name, valu)| (*name, Item::from(valu.clone()))).collect();
    all.push(("auto", Item::stored(&auto.into())));
    trigger.started();
    let scope = scope_in(rt, trigger.view(), rt.host().user(iden))?;
    let sub = scope.beside(&query, var_map(all))?;
    sub.set_asroot(false);
    // The node is handed on as it is: of one that is being deleted there is nothing left to read.
    sub.add_input(node.clone());
    let mut genr = sub.execute()?;
    while genr.next()?.is_some() {
        sub.tick()?;
    }
    Ok(())
}
