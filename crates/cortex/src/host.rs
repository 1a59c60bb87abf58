//! The cortex as the Storm runtime sees it.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use myelin_cell::User as CellUser;
use myelin_error::Result;
use myelin_model::{Model, NormCx, NormEnv};
use myelin_storm::View;
use myelin_storm::host::{Change, RuntNode};
use myelin_storm::store_graph::GraphView;
use myelin_storm::{Flow, Host, Node, Registry, Rt, User};
use myelin_value::{Map, Value};

use crate::Cortex;

/// Permissions that everybody has unless a rule takes them; all others are given by rules only.
const GIVEN: [&[&str]; 7] = [
    &["auth", "self", "set", "apikey"],
    &["auth", "self", "set", "email"],
    &["auth", "self", "set", "name"],
    &["auth", "self", "set", "passwd"],
    &["storm", "graph", "add"],
    &["storm", "macro", "add"],
    &["view", "fork"],
];

/// A user of the cell on whose behalf a query runs.
pub struct QueryUser(pub CellUser);

impl User for QueryUser {
    fn iden(&self) -> &str {
        self.0.iden()
    }

    fn name(&self) -> String {
        self.0.name().to_string()
    }

    fn is_admin(&self, gate: Option<&str>) -> bool {
        self.0.is_admin(gate)
    }

    fn allowed(&self, perm: &[&str], gate: Option<&str>) -> Option<bool> {
        self.0.allowed_reason(perm, None, gate).value
    }

    fn allowed_by(&self, perm: &[&str], gate: Option<&str>) -> Option<(bool, usize)> {
        let reason = self.0.allowed_reason(perm, None, gate);
        reason.value.map(|allowed| (allowed, reason.rule.map_or(0, |rule| rule.path.len())))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn roles(&self) -> Vec<String> {
        self.0.roles().iter().map(|role| role.iden().to_string()).collect()
    }
}

impl Cortex {
    /// A view as the runtime reads it.
    pub fn store(&self, view: Arc<myelin_graph::View>) -> View {
        let model = self.model.clone();
        GraphView::new(view, Arc::new(move || model.load_full()))
    }

    /// What queries can call in this cortex.
    pub fn registry(&self) -> &'static Arc<Registry> {
        Cortex::builtin_registry()
    }

    /// The names of the commands that every cortex has and that are written in Storm.
    pub fn builtin_commands() -> impl Iterator<Item = String> {
        crate::cmds::all().iter().filter_map(|cmd| cmd.get_str("name").map(str::to_owned))
    }

    /// The runtime's own libraries and commands, and those of this crate.
    pub fn builtin_registry() -> &'static Arc<Registry> {
        static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| {
            let mut registry = Registry::builtin();
            crate::cmds::register(&mut registry);
            crate::libs::register(&mut registry);
            Arc::new(registry)
        });
        &REGISTRY
    }
}

/// Names of users and roles for the types `syn:user` and `syn:role`.
struct Identities(myelin_cell::Auth, Arc<crate::parts::tagmodel::TagModel>);

impl NormEnv for Identities {
    fn user_iden(&self, name: &str) -> Option<String> {
        let auth = &self.0;
        auth.user(name).or_else(|| auth.user_by_name(name)).map(|user| user.iden().to_string())
    }

    fn user_name(&self, iden: &str) -> Option<String> {
        self.0.user(iden).map(|user| user.name().to_string())
    }

    fn role_iden(&self, name: &str) -> Option<String> {
        let auth = &self.0;
        auth.role(name).or_else(|| auth.role_by_name(name)).map(|role| role.iden().to_string())
    }

    fn role_name(&self, iden: &str) -> Option<String> {
        self.0.role(iden).map(|role| role.name().to_string())
    }

    fn check_tag(&self, tag: &str) -> std::result::Result<(), String> {
        self.1.check(tag)
    }
}

impl Host for Cortex {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn registry(&self) -> &Arc<Registry> {
        Cortex::registry(self)
    }

    fn model(&self) -> Arc<Model> {
        Cortex::model(self)
    }

    fn norm_cx(&self) -> NormCx {
        NormCx::new(Cortex::model(self)).with_env(Arc::new(Identities(self.cell.auth().clone(), self.tagmodel.clone())))
    }

    fn view(&self, iden: &str) -> Option<View> {
        self.stack.view(iden).map(|view| self.store(view))
    }

    fn default_view(&self, user: &dyn User) -> Result<View> {
        let view = match user.as_any().downcast_ref::<QueryUser>() {
            Some(user) => self.view_of(&user.0)?,
            None => self.stack.default_view()?,
        };
        Ok(self.store(view))
    }

    fn iden(&self) -> String {
        self.cell.iden().to_owned()
    }

    fn user(&self, iden: &str) -> Option<Arc<dyn User>> {
        self.cell.auth().user(iden).map(|user| Arc::new(QueryUser(user)) as Arc<dyn User>)
    }

    fn user_by_name(&self, name: &str) -> Option<Arc<dyn User>> {
        self.cell.auth().user_by_name(name).map(|user| Arc::new(QueryUser(user)) as Arc<dyn User>)
    }

    fn perm_default(&self, perm: &[&str]) -> bool {
        GIVEN.contains(&perm) || self.packages.gives(perm)
    }

    fn pure_cmd(&self, name: &str) -> Option<Arc<Map>> {
        self.packages.loaded().commands.get(name).cloned().or_else(|| crate::cmds::find(name))
    }

    fn pure_cmds(&self) -> Vec<Arc<Map>> {
        let loaded = self.packages.loaded();
        let builtin = crate::cmds::all()
            .iter()
            .filter(|cmd| !cmd.get_str("name").is_some_and(|name| loaded.commands.contains_key(name)));
        builtin.chain(loaded.commands.values()).cloned().collect()
    }

    fn module(&self, name: &str, reqvers: Option<&str>) -> Option<Arc<Map>> {
        self.packages.module(name, reqvers).ok().flatten()
    }

    fn graph(&self, iden: &str, user: &dyn User) -> Result<Map> {
        match user.as_any().downcast_ref::<QueryUser>() {
            Some(user) => self.graphs.get(iden, &user.0),
            None => self.graphs.get(iden, &self.cell.auth().root()?),
        }
    }

    fn runt_lift(&self, view: &View, full: &str, valu: Option<&Value>, cmpr: Option<&str>) -> Result<Vec<RuntNode>> {
        crate::runt::lift(self, &view.iden(), full, valu, cmpr)
    }

    fn runt_set(&self, rt: &Rt, node: &Node, prop: &str, valu: &Value) -> Flow<()> {
        crate::runt::set(self, rt, node, prop, valu)
    }

    fn get_var(&self, name: &str) -> Option<Value> {
        self.vars.get(name).ok().flatten()
    }

    fn tag_prune(&self, tag: &str) -> Vec<String> {
        self.tagmodel.prune(tag)
    }

    fn changed(&self, rt: &Rt, node: &Node, change: &Change) -> Flow<()> {
        crate::libs::fire::changed(self, rt, node, change)
    }

    fn log_query(&self, text: &str, user: &dyn User, _info: &Map) {
        if self.cell.conf().is_on("storm:log") {
            tracing::info!(text, user = user.iden(), username = user.name(), "executing storm query");
        }
    }
}
