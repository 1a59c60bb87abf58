//! Events of one view: its record, its layers, its place among other views.

use std::sync::{Arc, Weak};

use myelin_cell::{ApplyCx, Event, NexsHandler};
use myelin_error::{Error, Result, err};
use myelin_graph::View;
use myelin_value::{Map, Value};

use super::{Stack, votes};

/// Keys of a view's record that may be set.
const SETTABLE: [&str; 6] = ["name", "desc", "parent", "nomerge", "protected", "quorum"];

/// Events that are handled here; others of a view go to the hook of the stack.
const EVENTS: [&str; 6] =
    ["view:set", "view:addlayer", "view:setlayers", "view:detach", "view:forkparent", "view:forkchild"];

/// Applies the events of one view.
pub struct ViewHandler {
    // The stack owns the views: a strong reference would keep it alive for ever.
    stack: Weak<Stack>,
    view: Arc<View>,
    names: Vec<&'static str>,
}

impl ViewHandler {
    /// A handler for a view of a stack.
    pub fn new(stack: &Arc<Stack>, view: &Arc<View>) -> ViewHandler {
        let mut names = [&EVENTS[..], &votes::EVENTS].concat();
        names.extend(stack.hooks.read().view_events);
        ViewHandler { stack: Arc::downgrade(stack), view: view.clone(), names }
    }
}

impl NexsHandler for ViewHandler {
    fn events(&self) -> &[&str] {
        &self.names
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let stack = self.stack.upgrade().ok_or_else(|| err!("IsFini", mesg = "The cortex is ending."))?;
        let view = &self.view;
        match event.name.as_str() {
            "view:set" => stack.apply_set(cx, view, event.str_arg(0, "name")?, event.arg(1, "valu")),
            "view:addlayer" => stack.apply_add_layer(cx, view, event.str_arg(0, "layriden")?, event.arg(1, "indx")),
            "view:setlayers" => stack.apply_set_layers(cx, view, event.list_arg(0, "layers")?),
            "view:detach" => stack.apply_detach(cx, view),
            "view:forkparent" => {
                stack.apply_fork_parent(cx, view, event.map_arg(0, "ldef")?, event.map_arg(1, "vdef")?)
            }
            "view:forkchild" => stack.apply_fork_child(cx, view, event.map_arg(0, "ldef")?, event.map_arg(1, "vdef")?),
            name if votes::EVENTS.contains(&name) => stack.apply_votes(cx, view, event),
            _ => {
                let hook = stack.hooks.read().view_event.clone();
                match hook {
                    Some(hook) => hook(cx, view, event),
                    None => Err(Error::not_supported(format!("The event {} of views", event.name))),
                }
            }
        }
    }
}

/// Changing one view.
impl Stack {
    /// Sets or (with null) removes a key of a view's record.
    pub fn set_view(&self, view: &View, name: &str, valu: Value) -> Result<Value> {
        if !SETTABLE.contains(&name) {
            return Err(bad_key(name));
        }
        self.push_view(view, "view:set", [name.into(), valu])
    }

    /// Adds a layer to a view that is no fork and has none.
    pub fn add_view_layer(&self, view: &View, layer: &str, indx: Option<i64>) -> Result<()> {
        if view.layers().iter().any(|have| &**have.iden() == layer) {
            return Err(err!("DupIden", mesg = format!("The view has the layer {layer} already.")));
        }
        self.push_view(view, "view:addlayer", [layer.into(), indx.into()]).map(drop)
    }

    /// Gives a view that is no fork other layers, the one that is written to first.
    pub fn set_view_layers(&self, view: &View, layers: &[Value]) -> Result<()> {
        if view.is_fork() {
            return Err(err!("BadArg", mesg = "A fork's layers are its parent's: they cannot be set."));
        }
        self.push_view(view, "view:setlayers", [Value::list(layers.iter().cloned())]).map(drop)
    }

    /// Makes a fork a view of its own.
    pub fn detach_view(&self, view: &View) -> Result<()> {
        if !view.is_fork() {
            return Err(err!("BadArg", mesg = "The view is no fork: there is nothing to detach it from."));
        }
        self.push_view(view, "view:detach", []).map(drop)
    }

    /// The layer and view records of a fork that is put in between; the permissions are copied from the view.
    pub fn insert_fork(
        &self,
        view: &View,
        event: &str,
        name: Option<&str>,
        creator: &myelin_cell::User,
    ) -> Result<Map> {
        let above = if event == "view:forkparent" {
            let missing = || err!("BadState", mesg = "The view is no fork: there is nothing between it and a parent.");
            view.parent().ok_or_else(missing)?
        } else {
            self.require_view(view.iden())?
        };
        let ldef = self.new_ldef(Map::new(), creator);
        let called = above.info_get("name").and_then(|name| name.as_str().map(str::to_owned));
        let title = name.map_or_else(
            || format!("inserted fork of {}", called.unwrap_or_else(|| above.iden().to_string())),
            str::to_owned,
        );
        let mut layers = vec![ldef.get("iden").cloned().unwrap_or_default()];
        layers.extend(above.layers().iter().map(|layer| Value::from(layer.iden())));
        let mut vdef = Map::new().with("name", title).with("parent", above.iden()).with("layers", Value::from(layers));
        // The forks below ask for merges into the new view from then on, so it needs the votes that they have.
        if let Some(quorum) = view.info_get("quorum").filter(|_| event == "view:forkchild") {
            vdef.insert("quorum", quorum);
        }
        let vdef = self.new_vdef(vdef, creator);
        let packed = self.push_view(view, event, [ldef.into(), vdef.into()])?;
        Ok(packed.as_map().cloned().unwrap_or_default())
    }

    fn apply_set(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, name: &str, valu: &Value) -> Result<Value> {
        if !SETTABLE.contains(&name) {
            return Err(bad_key(name));
        }
        if name == "parent" {
            return self.apply_set_parent(cx, view, valu);
        }
        if name == "quorum" && valu.is_null() {
            for fork in self.children(view.iden()) {
                self.drop_request(cx, &fork)?;
            }
        }
        let mut info = view.info();
        if valu.is_null() {
            info.remove(name);
        } else {
            info.insert(name, valu.clone());
        }
        self.save_view(cx, view, info)?;
        Ok(valu.clone())
    }

    fn apply_set_parent(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, valu: &Value) -> Result<Value> {
        let bad = |mesg: &str| Err(err!("BadArg", mesg = mesg));
        let parent = self.require_view(valu.as_str().unwrap_or_default())?;
        if Arc::ptr_eq(&parent, view) {
            return bad("A view cannot be its own parent.");
        }
        if Stack::is_fork_of(&parent, view.iden()) {
            return bad("The parent is a fork of this view: that would be a circle.");
        }
        if let Some(have) = view.parent() {
            if Arc::ptr_eq(&have, &parent) {
                return Ok(valu.clone());
            }
            return bad("The view has a parent already.");
        }
        if view.layers().len() != 1 {
            return bad("Only a view with one layer can become a fork.");
        }
        let mut layers = vec![view.write_layer()];
        layers.extend(parent.layers().iter().cloned());
        view.set_parent(Some(parent));
        view.set_info(view.info().with("parent", valu.clone()));
        self.restack(cx, view, layers)?;
        self.restack_forks(cx, view)?;
        Ok(valu.clone())
    }

    fn apply_add_layer(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, iden: &str, indx: &Value) -> Result<Value> {
        if view.is_fork() || !self.children(view.iden()).is_empty() {
            return Err(err!(
                "ReadOnlyLayer",
                mesg = "The layers of a fork, or of a view with forks, cannot be changed."
            ));
        }
        let layer = self.require_layer(iden)?;
        let mut layers = view.layers().to_vec();
        if layers.iter().any(|have| Arc::ptr_eq(have, &layer)) {
            return Ok(Value::Null);
        }
        let at = indx.as_i64().map_or(layers.len(), |indx| usize::try_from(indx).unwrap_or(0).min(layers.len()));
        layers.insert(at, layer);
        self.restack(cx, view, layers)?;
        Ok(Value::Null)
    }

    fn apply_set_layers(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, idens: &[Value]) -> Result<Value> {
        if view.is_fork() {
            return Err(err!("BadArg", mesg = "A fork's layers are its parent's: they cannot be set."));
        }
        let mut layers = Vec::with_capacity(idens.len());
        for iden in idens {
            let layer = self.require_layer(iden.as_str().unwrap_or_default())?;
            if layers.is_empty() && layer.is_readonly() {
                let mesg = format!("The first layer {} is read-only: a view writes to its first layer.", layer.iden());
                return Err(err!("ReadOnlyLayer", mesg = mesg));
            }
            layers.push(layer);
        }
        self.restack(cx, view, layers)?;
        self.restack_forks(cx, view)?;
        Ok(Value::Null)
    }

    fn apply_detach(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>) -> Result<Value> {
        self.drop_request(cx, view)?;
        view.set_parent(None);
        self.save_view(cx, view, view.info().with("parent", Value::Null))?;
        Ok(Value::Null)
    }

    fn apply_fork_parent(
        self: &Arc<Stack>,
        cx: &mut ApplyCx<'_>,
        view: &Arc<View>,
        ldef: &Map,
        vdef: &Map,
    ) -> Result<Value> {
        Stack::require_not_merging(view)?;
        self.drop_request(cx, view)?;
        self.apply_layer_add(cx, ldef.clone())?;
        let packed = self.apply_view_add(cx, vdef.clone())?;
        let middle = self.require_view(vdef.get_str("iden").unwrap_or_default())?;
        self.copy_gate(cx, view.iden(), middle.iden())?;
        self.hang_below(cx, view, &middle)?;
        Ok(packed)
    }

    fn apply_fork_child(
        self: &Arc<Stack>,
        cx: &mut ApplyCx<'_>,
        view: &Arc<View>,
        ldef: &Map,
        vdef: &Map,
    ) -> Result<Value> {
        let before = self.children(view.iden());
        Stack::require_not_merging(view)?;
        self.apply_layer_add(cx, ldef.clone())?;
        let packed = self.apply_view_add(cx, vdef.clone())?;
        let middle = self.require_view(vdef.get_str("iden").unwrap_or_default())?;
        self.copy_gate(cx, view.iden(), middle.iden())?;
        for child in before.iter().filter(|child| !child.info_get("merging").is_some_and(|valu| valu.is_truthy())) {
            self.hang_below(cx, child, &middle)?;
        }
        Ok(packed)
    }

    /// Makes a view the fork of another, forks of its own included.
    fn hang_below(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, parent: &Arc<View>) -> Result<()> {
        let mut layers = vec![view.write_layer()];
        layers.extend(parent.layers().iter().cloned());
        view.set_parent(Some(parent.clone()));
        view.set_info(view.info().with("parent", parent.iden()));
        self.restack(cx, view, layers)?;
        self.restack_forks(cx, view)
    }

    /// Gives everybody who may do something with one view the same on another.
    fn copy_gate(&self, cx: &mut ApplyCx<'_>, from: &str, to: &str) -> Result<()> {
        let auth = self.cell.auth();
        for user in auth.users() {
            let rules = user.rules(Some(from));
            if !rules.is_empty() {
                auth.apply_user_info(cx, user.iden(), "rules", Value::from(rules), Some(to))?;
            }
            let gate = user.get("authgates").get(from).cloned().unwrap_or_default();
            if gate.get("admin").is_some_and(Value::is_truthy) {
                auth.apply_user_info(cx, user.iden(), "admin", Value::from(true), Some(to))?;
            }
        }
        for role in auth.roles() {
            let rules = role.rules(Some(from));
            if !rules.is_empty() {
                auth.apply_role_info(cx, role.iden(), "rules", Value::from(rules), Some(to))?;
            }
        }
        Ok(())
    }
}

fn bad_key(name: &str) -> Error {
    err!(
        "BadOptValu",
        mesg = format!("A view has no {name} that could be set: there are {}.", SETTABLE.join(", ")),
        name = name
    )
}
