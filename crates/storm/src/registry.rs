//! The tables of libraries, object types and commands.
//!
//! A [`Registry`] is filled once at start: with what this crate brings ([`Registry::builtin`]), then with what the
//! service adds. Adding a library is a static [`LibDef`] and one line in `libs/mod.rs`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::cmds::CmdDef;
use crate::item::{FuncDef, Getter, TypeDef};

/// Functions and constants under a name below `$lib`.
#[derive(Debug)]
pub struct LibDef {
    /// The name after `$lib`, joined by dots; empty for `$lib` itself.
    pub path: &'static str,
    /// Its functions.
    pub funcs: &'static [FuncDef],
    /// Its constants and computed properties.
    pub consts: &'static [(&'static str, Getter)],
}

/// Libraries, types and commands of a service.
#[derive(Default)]
pub struct Registry {
    libs: HashMap<String, Vec<&'static LibDef>>,
    types: HashMap<&'static str, &'static TypeDef>,
    cmds: HashMap<&'static str, &'static CmdDef>,
    objects: Vec<&'static TypeDef>,
    computed: Vec<(&'static str, &'static [&'static str])>,
}

impl Registry {
    /// What this crate brings.
    pub fn builtin() -> Registry {
        let mut registry = Registry::default();
        crate::libs::register(&mut registry);
        crate::types::register(&mut registry);
        crate::cmds::register(&mut registry);
        registry
    }

    /// Adds a library; several may share a name.
    pub fn add_lib(&mut self, def: &'static LibDef) {
        let mut path = def.path;
        self.libs.entry(path.to_owned()).or_default().push(def);
        while let Some((parent, _)) = path.rsplit_once('.') {
            self.libs.entry(parent.to_owned()).or_default();
            path = parent;
        }
    }

    /// Adds the methods of a built-in kind (`str`, `list`, `node`, …) by its type name.
    pub fn add_type(&mut self, def: &'static TypeDef) {
        self.types.insert(def.name, def);
    }

    /// Names the tables of objects that libraries hand out. An object finds its own table; this is for reports.
    pub fn add_objects(&mut self, defs: &[&'static TypeDef]) {
        self.objects.extend(defs);
    }

    /// Names members of an object that are not in its table, since it takes them from its record.
    pub fn add_computed(&mut self, name: &'static str, members: &'static [&'static str]) {
        self.computed.push((name, members));
    }

    /// Adds a command.
    pub fn add_cmd(&mut self, def: &'static CmdDef) {
        self.cmds.insert(def.name, def);
    }

    /// The libraries of a name.
    pub fn libs(&self, path: &[Arc<str>]) -> &[&'static LibDef] {
        self.libs.get(&path.join(".")).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether there is a library of that name, or one below it.
    pub fn has_lib(&self, path: &[Arc<str>]) -> bool {
        self.libs.contains_key(&path.join("."))
    }

    /// The methods of a built-in kind.
    pub fn prim_type(&self, name: &str) -> Option<&'static TypeDef> {
        self.types.get(name).copied()
    }

    /// A command.
    pub fn cmd(&self, name: &str) -> Option<&'static CmdDef> {
        self.cmds.get(name).copied()
    }

    /// Every command, by name.
    pub fn cmds(&self) -> Vec<&'static CmdDef> {
        let mut cmds: Vec<_> = self.cmds.values().copied().collect();
        cmds.sort_by_key(|def| def.name);
        cmds
    }

    /// Every library that is registered.
    pub fn all_libs(&self) -> Vec<&'static LibDef> {
        let mut libs: Vec<_> = self.libs.values().flatten().copied().collect();
        libs.sort_by_key(|def| def.path);
        libs
    }

    /// Methods and properties of every kind and object, as `type.member`.
    pub fn members(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for def in self.types.values().chain(&self.objects) {
            let funcs = def.funcs.iter().map(|func| func.name);
            let getters = def.getters.iter().map(|(name, _)| *name);
            let setters = def.setters.iter().map(|(name, ..)| *name);
            found.extend(funcs.chain(getters).chain(setters).map(|member| format!("{}.{member}", def.name)));
        }
        for (name, members) in &self.computed {
            found.extend(members.iter().map(|member| format!("{name}.{member}")));
        }
        found
    }
}
