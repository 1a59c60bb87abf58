//! What the runtime asks of the service around it.
//!
//! [`Host`] is small on purpose: views, users, the model, variables of the service. Libraries that live in the service's
//! own crate reach its parts with [`Host::as_any`]. Every method has a default that suits a test.

use std::any::Any;
use std::sync::Arc;

use crate::store::View;
use myelin_error::{Error, Result, err};
use myelin_model::{Model, NormCx};
use myelin_value::{Map, Value};

use crate::ctl::Flow;
use crate::item::Item;
use crate::node::Node;
use crate::registry::Registry;
use crate::rt::Rt;

/// Somebody on whose behalf a query runs.
pub trait User: Send + Sync {
    /// The identifier.
    fn iden(&self) -> &str;

    /// The name.
    fn name(&self) -> String;

    /// Whether everything is allowed, on a gate when one is given.
    fn is_admin(&self, gate: Option<&str>) -> bool;

    /// Whether a permission is given by a rule; nothing when no rule speaks of it.
    fn allowed(&self, perm: &[&str], gate: Option<&str>) -> Option<bool>;

    /// As [`User::allowed`], with how many parts the deciding rule has: the longer of two rules is the more specific.
    fn allowed_by(&self, perm: &[&str], gate: Option<&str>) -> Option<(bool, usize)> {
        self.allowed(perm, gate).map(|allowed| (allowed, perm.len()))
    }

    /// The user of the service's auth as `Any`.
    fn as_any(&self) -> &dyn Any;

    /// The full reason record `$lib.user.allowedReason` style lookups need, when the service has one.
    fn reason(&self, _perm: &[&str], _gate: Option<&str>) -> Option<Value> {
        None
    }

    /// The identifiers of the roles.
    fn roles(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The super user of tests and of the service itself.
pub struct Root {
    iden: String,
}

impl Root {
    /// A super user with an identifier.
    pub fn new(iden: impl Into<String>) -> Root {
        Root { iden: iden.into() }
    }
}

impl User for Root {
    fn iden(&self) -> &str {
        &self.iden
    }

    fn name(&self) -> String {
        "root".to_owned()
    }

    fn is_admin(&self, _gate: Option<&str>) -> bool {
        true
    }

    fn allowed(&self, _perm: &[&str], _gate: Option<&str>) -> Option<bool> {
        Some(true)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What happened to a node, for triggers.
#[derive(Clone)]
pub enum Change {
    /// It was made.
    NodeAdd,
    /// It was deleted.
    NodeDel,
    /// A property was set or removed; the value it had.
    PropSet {
        /// The property.
        prop: Arc<str>,
        /// The value it had.
        old: Option<Value>,
    },
    /// A tag was set.
    TagAdd(Arc<str>),
    /// A tag was removed.
    TagDel(Arc<str>),
    /// An edge was added: verb and target.
    EdgeAdd(Arc<str>, Option<Node>),
    /// An edge was removed: verb and target.
    EdgeDel(Arc<str>, Option<Node>),
}

/// The service around the runtime.
pub trait Host: Send + Sync + Any {
    /// The service itself.
    fn as_any(&self) -> &dyn Any;

    /// Libraries and commands.
    fn registry(&self) -> &Arc<Registry>;

    /// The data model as it is now.
    fn model(&self) -> Arc<Model>;

    /// What types consult when they normalise.
    fn norm_cx(&self) -> NormCx;

    /// A view by its identifier.
    fn view(&self, iden: &str) -> Option<View>;

    /// The view of a user who names none.
    fn default_view(&self, user: &dyn User) -> Result<View>;

    /// The identifier of the service.
    fn iden(&self) -> String {
        String::new()
    }

    /// A user by its identifier.
    fn user(&self, _iden: &str) -> Option<Arc<dyn User>> {
        None
    }

    /// A user by name.
    fn user_by_name(&self, _name: &str) -> Option<Arc<dyn User>> {
        None
    }

    /// Whether a permission that no rule speaks of is given.
    fn perm_default(&self, _perm: &[&str]) -> bool {
        false
    }

    /// A command of a package or a service, by name: its definition.
    fn pure_cmd(&self, _name: &str) -> Option<Arc<Map>> {
        None
    }

    /// Every command of packages and services.
    fn pure_cmds(&self) -> Vec<Arc<Map>> {
        Vec::new()
    }

    /// A module of a package for `$lib.import`: its definition.
    fn module(&self, _name: &str, _reqvers: Option<&str>) -> Option<Arc<Map>> {
        None
    }

    /// A graph projection by identifier.
    fn graph(&self, iden: &str, _user: &dyn User) -> Result<Map> {
        Err(err!("NoSuchIden", mesg = format!("There is no graph projection {iden}."), iden = iden))
    }

    /// The computed nodes of a form or property: `(ndef, props)` each.
    fn runt_lift(&self, _view: &View, full: &str, _valu: Option<&Value>, _cmpr: Option<&str>) -> Result<Vec<RuntNode>> {
        Err(Error::not_supported(format!("Lifting computed nodes by {full}")))
    }

    /// Sets a property of a computed node.
    fn runt_set(&self, _rt: &Rt, node: &Node, prop: &str, _valu: &Value) -> Flow<()> {
        Err(err!("IsRuntForm", mesg = "Computed nodes may not be set.", form = node.form_name(), prop = prop).into())
    }

    /// Removes a property of a computed node.
    fn runt_del(&self, _rt: &Rt, node: &Node, prop: &str) -> Flow<()> {
        Err(err!("IsRuntForm", mesg = "Computed nodes may not be changed.", form = node.form_name(), prop = prop)
            .into())
    }

    /// Fires the triggers of a change in a view, as the user who made it.
    fn changed(&self, _rt: &Rt, _node: &Node, _change: &Change) -> Flow<()> {
        Ok(())
    }

    /// A variable of the service (`$lib.globals`).
    fn get_var(&self, _name: &str) -> Option<Value> {
        None
    }

    /// The tags that are pruned with their last child, from a tag model.
    fn tag_prune(&self, _tag: &str) -> Vec<String> {
        Vec::new()
    }

    /// Refuses when the service may not take more nodes.
    fn check_max_nodes(&self) -> Result<()> {
        Ok(())
    }

    /// Notes that a query runs, for the log.
    fn log_query(&self, _text: &str, _user: &dyn User, _info: &Map) {}

    /// Finds indicators in a text for the `lookup` mode: `(form, value)` each.
    fn scrape(&self, text: &str) -> Vec<(String, Value)> {
        crate::scrape::scrape(text)
    }

    /// The nodes that the search interface finds for tokens, best first; nothing when it is not there.
    fn search(&self, _rt: &Rt, _tokens: &[Value]) -> Flow<Option<Vec<myelin_value::Buid>>> {
        Ok(None)
    }

    /// A constant item that only this host knows, under `$lib`.
    fn lib_const(&self, _name: &str) -> Option<Item> {
        None
    }
}

/// A computed node: form, value, properties.
#[derive(Clone, Debug)]
pub struct RuntNode {
    /// The form.
    pub form: Arc<str>,
    /// The primary value, normalised.
    pub valu: Value,
    /// The properties, normalised.
    pub props: Map,
}
