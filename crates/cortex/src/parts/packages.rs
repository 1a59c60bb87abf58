//! Storm packages: modules, commands, graph projections and permissions that are installed together.
//!
//! Stored under `storm:packages:<name>` of the table `cortex`, normalised (see [`Packages::normalise`]). What queries
//! look up (commands and modules by name) is an immutable snapshot, so that a running query is not disturbed.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use myelin_cell::{ApplyCx, Event};
use myelin_error::{Result, err};
use myelin_model::Model;
use myelin_slab::Slab;
use myelin_slab::tables::SafeKeyVal;
use myelin_value::{Map, Value, guid_of};

use super::easyperm::{self, Level};
use super::{Part, Pusher};
use crate::schemas;
use crate::version;

/// The version of the platform that packages may require.
const SYNAPSE_VERSION: &str = "2.256.0";

/// What packages give to queries.
#[derive(Clone, Default)]
pub struct Loaded {
    /// Package definitions by name.
    pub packages: IndexMap<String, Arc<Map>>,
    /// Module definitions by name, each with `pkgvers`.
    pub modules: HashMap<String, Arc<Map>>,
    /// Command definitions by name.
    pub commands: HashMap<String, Arc<Map>>,
    /// Graph projections by iden.
    pub graphs: HashMap<String, Arc<Map>>,
}

/// Called on the writer's thread when a package was added; starts what the package wants to run.
pub type OnAdd = Box<dyn Fn(&Arc<Map>) + Send + Sync>;

/// The packages of a cortex, and the single commands set without one.
pub struct Packages {
    packages: SafeKeyVal,
    single: SafeKeyVal,
    loaded: ArcSwap<Loaded>,
    model: Arc<ArcSwap<Model>>,
    on_add: OnAdd,
    pusher: Pusher,
}

impl Packages {
    /// Loads them. A package that no longer fits is logged and left out.
    pub fn open(
        slab: &Slab,
        stor: &SafeKeyVal,
        model: Arc<ArcSwap<Model>>,
        on_add: OnAdd,
        pusher: Pusher,
    ) -> Result<Packages> {
        let (packages, single) = (stor.sub("storm:packages:"), stor.sub("storm:cmds:"));
        let txn = slab.read_fresh()?;
        let mut loaded = Loaded::default();
        for (name, cdef) in single.items(&txn, "")? {
            if let Some(cdef) = cdef.as_map() {
                loaded.commands.insert(name, Arc::new(cdef.clone()));
            }
        }
        for (name, pkgdef) in packages.items(&txn, "")? {
            match pkgdef.as_map() {
                Some(pkgdef) => loaded.add(&name, Arc::new(pkgdef.clone())),
                None => tracing::warn!("The stored package {name} is no definition and is left out."),
            }
        }
        drop(txn);
        Ok(Packages { packages, single, loaded: ArcSwap::from_pointee(loaded), model, on_add, pusher })
    }

    /// What is loaded now.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// A package by name.
    pub fn get(&self, name: &str) -> Option<Arc<Map>> {
        self.loaded.load().packages.get(name).cloned()
    }

    /// Whether a package declares a permission that everybody has unless a rule takes it.
    pub fn gives(&self, perm: &[&str]) -> bool {
        let loaded = self.loaded.load();
        let rows = loaded.packages.values().filter_map(|pkg| pkg.get("perms")?.as_list()).flatten();
        let mut rows = rows.filter(|row| row.get("default").is_some_and(Value::is_truthy));
        rows.any(|row| {
            let path = row.get("perm").and_then(Value::as_list).unwrap_or_default();
            path.len() == perm.len() && path.iter().zip(perm).all(|(have, want)| have.as_str() == Some(want))
        })
    }

    /// A module by name, if its version meets the requirement.
    pub fn module(&self, name: &str, requirement: Option<&str>) -> Result<Option<Arc<Map>>> {
        let Some(module) = self.loaded.load().modules.get(name).cloned() else { return Ok(None) };
        let Some(requirement) = requirement else { return Ok(Some(module)) };
        let Some(version) = module.get_str("pkgvers") else { return Ok(None) };
        Ok(version::matches(version, requirement)?.then_some(module))
    }

    /// Which requirements and conflicts of a package are met: `{requires: […], conflicts: […]}`, each with `ok` and `actual`.
    pub fn dependencies(&self, pkgdef: &Map) -> Result<Map> {
        let depends = pkgdef.get("depends");
        let rows =
            |part: &str| depends.and_then(|deps| deps.get(part)).and_then(Value::as_list).unwrap_or_default().to_vec();
        let check = |row: &Value, conflict: bool| -> Result<Value> {
            let mut item = row.as_map().cloned().unwrap_or_default();
            if conflict && !item.contains("version") {
                item.insert("version", Value::Null);
            }
            if !item.contains("desc") {
                item.insert("desc", Value::Null);
            }
            let have = item.get_str("name").and_then(|name| self.get(name));
            let actual = have.as_ref().and_then(|have| have.get_str("version").map(str::to_owned));
            let wanted = item.get_str("version").map(str::to_owned);
            let fits = match (&actual, &wanted) {
                (Some(actual), Some(wanted)) => Some(version::matches(actual, wanted)?),
                _ => None,
            };
            let good = if conflict { have.is_none() || fits == Some(false) } else { fits == Some(true) };
            Ok(item.with("ok", good).with("actual", actual).into())
        };
        let requires = rows("requires").iter().map(|row| check(row, false)).collect::<Result<Value>>()?;
        let conflicts = rows("conflicts").iter().map(|row| check(row, true)).collect::<Result<Value>>()?;
        Ok(Map::new().with("requires", requires).with("conflicts", conflicts))
    }

    /// Checks a package and brings it into the shape in which it is stored.
    ///
    /// # Errors
    /// `SchemaViolation`, `BadPkgDef`, `BadVersion`, `StormPkgConflicts`, `NoSuchType`, or `BadSyntax` of its Storm.
    pub fn normalise(&self, pkgdef: &Map) -> Result<Map> {
        let mut pkg = pkgdef.clone();
        let name = pkg.get_str("name").unwrap_or_default().to_owned();
        if let Some(Value::List(parts)) = pkg.get("version") {
            let parts: Vec<_> = parts.iter().map(|part| format!("{part:?}")).collect();
            pkg.insert("version", parts.join("."));
        }
        self.check_conflicts(&name, &pkg)?;
        check_platform(&name, &pkg)?;
        if let Some(onload) = pkg.get_str("onload") {
            check_storm(onload)?;
        }
        check_inits(&pkg)?;
        let svciden = pkg.get("svciden").filter(|iden| iden.is_truthy()).cloned();
        each(&mut pkg, "modules", |module| complete_module(module, &name, svciden.as_ref()))?;
        each(&mut pkg, "commands", |command| complete_command(command, &name, svciden.as_ref()))?;
        each(&mut pkg, "graphs", |graph| {
            let title = graph.get("name").cloned().unwrap_or_default();
            graph.insert("iden", guid_of(&Value::list([Value::from(name.as_str()), title])));
            graph.insert("scope", "power-up");
            graph.insert("power-up", name.as_str());
            super::graphs::check_queries(graph)
        })?;
        let pkg = schemas::check_map(&schemas::PKG, &pkg)?;
        for var in pkg.get("configvars").and_then(Value::as_list).unwrap_or_default() {
            self.check_var_type(&name, var.get("type").unwrap_or(&Value::Null))?;
        }
        Ok(pkg)
    }

    fn check_conflicts(&self, name: &str, pkg: &Map) -> Result<()> {
        let deps = self.dependencies(pkg)?;
        let conflicts = deps.get("conflicts").and_then(Value::as_list).unwrap_or_default();
        match conflicts.iter().find(|row| row.get("ok") == Some(&Value::Bool(false))) {
            Some(row) => {
                let other = row.get("name").and_then(Value::as_str).unwrap_or_default();
                Err(err!(
                    "StormPkgConflicts",
                    mesg = format!("The package {name} conflicts with {other}, which is installed.")
                ))
            }
            None => Ok(()),
        }
    }

    fn check_var_type(&self, pkgname: &str, vartype: &Value) -> Result<()> {
        match vartype {
            Value::List(types) => types.iter().try_for_each(|one| self.check_var_type(pkgname, one)),
            Value::Str(name) if self.model.load().typ(name).is_some() => Ok(()),
            _ => {
                let mesg =
                    format!("The package {pkgname} has a configuration variable of the unknown type {vartype:?}.");
                Err(err!("NoSuchType", mesg = mesg, type = vartype.clone()))
            }
        }
    }

    /// Installs a package, or replaces the one of its name.
    pub fn add(&self, pkgdef: &Map) -> Result<()> {
        let pkgdef = self.normalise(pkgdef)?;
        self.pusher.push("pkg:add", [pkgdef.into()]).map(drop)
    }

    /// Removes a package.
    pub fn del(&self, name: &str) -> Result<()> {
        if self.get(name).is_none() {
            return Err(err!("NoSuchPkg", mesg = format!("There is no package named {name}.")));
        }
        self.pusher.push("pkg:del", [name.into()]).map(drop)
    }

    /// Sets a command that belongs to no package.
    pub fn set_cmd(&self, cdef: &Map) -> Result<()> {
        check_command(cdef)?;
        self.pusher.push("cmd:set", [cdef.clone().into()]).map(drop)
    }

    /// Removes a command that belongs to no package.
    pub fn del_cmd(&self, name: &str) -> Result<()> {
        if !self.loaded.load().commands.contains_key(name) {
            return Err(err!(
                "NoSuchCmd",
                mesg = format!("There is no command named {name} that could be removed."),
                name = name
            ));
        }
        self.pusher.push("cmd:del", [name.into()]).map(drop)
    }

    /// Removes the packages of a service, as part of the event that removes the service.
    pub fn drop_of_service(&self, cx: &mut ApplyCx<'_>, svciden: &str) -> Result<()> {
        for (name, pkgdef) in &self.loaded().packages {
            if pkgdef.get_str("svciden") == Some(svciden) {
                self.packages.del(cx, name)?;
                self.update(|loaded| loaded.remove(name));
            }
        }
        Ok(())
    }

    fn update(&self, change: impl FnOnce(&mut Loaded)) {
        let mut next = Loaded::clone(&self.loaded.load());
        change(&mut next);
        self.loaded.store(Arc::new(next));
    }
}

impl Loaded {
    fn add(&mut self, name: &str, pkgdef: Arc<Map>) {
        let rows =
            |part: &str| pkgdef.get(part).and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_map);
        let named = |row: &Map| row.get_str("name").unwrap_or_default().to_owned();
        let version = pkgdef.get("version").cloned().unwrap_or_default();
        for module in rows("modules") {
            self.modules.insert(named(module), Arc::new(module.clone().with("pkgvers", version.clone())));
        }
        for command in rows("commands") {
            self.commands.insert(named(command), Arc::new(command.clone()));
        }
        for graph in rows("graphs") {
            let mut graph = graph.clone();
            easyperm::init(&mut graph, Level::Read, None);
            self.graphs.insert(graph.get_str("iden").unwrap_or_default().to_owned(), Arc::new(graph));
        }
        self.packages.insert(name.to_owned(), pkgdef);
    }

    fn remove(&mut self, name: &str) {
        let Some(pkgdef) = self.packages.shift_remove(name) else { return };
        let names = |part: &str, key: &str| {
            let rows = pkgdef.get(part).and_then(Value::as_list).unwrap_or_default().iter();
            rows.filter_map(|row| row.get(key)?.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        for module in names("modules", "name") {
            self.modules.remove(&module);
        }
        for command in names("commands", "name") {
            self.commands.remove(&command);
        }
        for graph in names("graphs", "iden") {
            self.graphs.remove(&graph);
        }
    }
}

fn violation(mesg: &str, name: &str) -> myelin_error::Error {
    err!("SchemaViolation", mesg = mesg, name = name)
}

/// Runs a check over each map of a list in a package, which may complete it.
fn each(pkg: &mut Map, part: &str, mut func: impl FnMut(&mut Map) -> Result<()>) -> Result<()> {
    // What has not the shape of a part is left for the schema to name.
    let Some(rows) = pkg.get(part).and_then(Value::as_list) else { return Ok(()) };
    let mut done = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(mut row) = row.as_map().cloned() else {
            done.push(row.clone());
            continue;
        };
        func(&mut row)?;
        done.push(Value::from(row));
    }
    pkg.insert(part, Value::from(done));
    Ok(())
}

fn check_platform(name: &str, pkg: &Map) -> Result<()> {
    if let Some(wants) = pkg.get_str("synapse_version") {
        if !version::matches(SYNAPSE_VERSION, wants)? {
            let parts = SYNAPSE_VERSION.split('.').filter_map(|part| part.parse::<i64>().ok()).map(Value::from);
            return Err(refuse(name, wants)
                .with("valu", Value::list(parts))
                .with("verstr", SYNAPSE_VERSION)
                .with("reqver", wants));
        }
    } else if let Some(parts) = pkg.get("synapse_minversion").and_then(Value::as_list) {
        let wants = parts.iter().map(|part| format!("{part:?}")).collect::<Vec<_>>().join(".");
        if !version::matches(SYNAPSE_VERSION, &format!(">={wants}"))? {
            return Err(refuse(name, &wants));
        }
    }
    Ok(())
}

fn refuse(name: &str, wants: &str) -> myelin_error::Error {
    let mesg = format!("The package {name} requires Synapse {wants}; this cortex speaks as {SYNAPSE_VERSION}.");
    err!("BadVersion", mesg = mesg)
}

fn check_inits(pkg: &Map) -> Result<()> {
    let versions =
        pkg.get("inits").and_then(|inits| inits.get("versions")).and_then(Value::as_list).unwrap_or_default();
    let mut last = None;
    for init in versions {
        let version = init
            .get("version")
            .and_then(Value::as_i64)
            .ok_or_else(|| violation("Each init has a number as version.", "data.inits.versions"))?;
        if last.is_some_and(|last| version <= last) {
            return Err(err!("BadPkgDef", mesg = "The versions of a package's inits must rise.", version = version));
        }
        last = Some(version);
        check_storm(init.get("query").and_then(Value::as_str).unwrap_or_default())?;
    }
    Ok(())
}

fn complete_module(module: &mut Map, pkgname: &str, svciden: Option<&Value>) -> Result<()> {
    let mut conf = module.get("modconf").and_then(Value::as_map).cloned().unwrap_or_default();
    if !conf.contains("pkgmeta") {
        let mut meta =
            Map::new().with("modname", module.get("name").cloned().unwrap_or_default()).with("pkgname", pkgname);
        if let Some(iden) = svciden {
            meta.insert("svciden", iden.clone());
        }
        conf.insert("pkgmeta", meta);
    }
    if let Some(iden) = svciden {
        conf.insert("svciden", iden.clone());
    }
    module.insert("modconf", conf);
    check_storm(module.get_str("storm").unwrap_or_default())
}

fn complete_command(command: &mut Map, pkgname: &str, svciden: Option<&Value>) -> Result<()> {
    command.insert("pkgname", pkgname);
    let mut conf = command.get("cmdconf").and_then(Value::as_map).cloned().unwrap_or_default();
    if let Some(iden) = svciden {
        conf.insert("svciden", iden.clone());
    }
    command.insert("cmdconf", conf);
    check_storm(command.get_str("storm").unwrap_or_default())
}

fn check_command(command: &Map) -> Result<()> {
    let name = command.get_str("name").ok_or_else(|| violation("A command needs a name.", "data.name"))?;
    let valid = name.split(['.', '_']).all(|part| part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
        && name.starts_with(|c: char| c.is_ascii_lowercase());
    if !valid {
        return Err(err!(
            "BadCmdName",
            mesg = format!("{name} is no name for a command: use lower-case words joined by dots."),
            name = name
        ));
    }
    check_storm(command.get_str("storm").unwrap_or_default())
}

/// Refuses Storm that cannot be parsed.
fn check_storm(text: &str) -> Result<()> {
    myelin_storm::run::parse(text).map(drop)
}

impl Part for Packages {
    fn events(&self) -> &'static [&'static str] {
        &["pkg:add", "pkg:del", "cmd:set", "cmd:del"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "pkg:add" => {
                let pkgdef = Arc::new(event.map_arg(0, "pkgdef")?.clone());
                let name = pkgdef.get_str("name").unwrap_or_default().to_owned();
                if self.get(&name).as_ref() == Some(&pkgdef) {
                    return Ok(Value::Null);
                }
                self.packages.set(cx, &name, &Value::Map(pkgdef.clone()))?;
                self.update(|loaded| {
                    loaded.remove(&name);
                    loaded.add(&name, pkgdef.clone());
                });
                (self.on_add)(&pkgdef);
            }
            "pkg:del" => {
                let name = event.str_arg(0, "name")?;
                self.packages.del(cx, name)?;
                self.update(|loaded| loaded.remove(name));
            }
            "cmd:set" => {
                let cdef = Arc::new(event.map_arg(0, "cdef")?.clone());
                let name = cdef.get_str("name").unwrap_or_default().to_owned();
                self.single.set(cx, &name, &Value::Map(cdef.clone()))?;
                self.update(|loaded| drop(loaded.commands.insert(name, cdef)));
            }
            _ => {
                let name = event.str_arg(0, "name")?;
                if self.single.del(cx, name)? {
                    self.update(|loaded| drop(loaded.commands.remove(name)));
                } else if self.loaded.load().commands.contains_key(name) {
                    return Err(err!(
                        "CantDelCmd",
                        mesg = format!("The command {name} belongs to a package: remove that.")
                    ));
                }
            }
        }
        Ok(Value::Null)
    }
}
