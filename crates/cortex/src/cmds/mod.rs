//! The built-in commands which are Storm text over the libraries.
//!
//! Every family of commands is a file with one table of [`PureCmd`]. [`all`] gives them in the shape in which packages
//! define commands, so that the runtime needs to know only one kind. What a command may do is what the libraries that
//! it calls allow to the user: there are no permissions here.
//!
//! In the text, `$cmdopts.<name>` is an argument, with dashes made underscores. An option without a default is absent
//! from `$cmdopts` until it is given, and reads as null.

mod agenda;
mod aha;
mod auth;
mod data;
mod r#gen;
mod httpapi;
mod layer;
mod model;
mod native;
mod pkg;
mod service;
mod system;
mod trigger;
mod vault;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use myelin_value::{Map, Value};

pub use native::register;

/// A command in Storm.
pub struct PureCmd {
    /// Its name.
    pub name: &'static str,
    /// What it does; the first line is the summary.
    pub descr: &'static str,
    /// Its arguments, in the order of the usage.
    pub args: &'static [PureArg],
    /// The query that it runs.
    pub storm: &'static str,
    /// The version which removes it and what to use instead.
    pub deprecated: Option<(&'static str, &'static str)>,
}

impl PureCmd {
    const fn new(name: &'static str, descr: &'static str, args: &'static [PureArg], storm: &'static str) -> PureCmd {
        PureCmd { name, descr, args, storm, deprecated: None }
    }

    const fn deprecated(self, version: &'static str, instead: &'static str) -> PureCmd {
        PureCmd { deprecated: Some((version, instead)), ..self }
    }

    /// The definition, as packages have it.
    pub fn def(&self) -> Map {
        let args = self.args.iter().map(|arg| Value::list([arg.name.into(), arg.opts().into()]));
        let mut def = Map::new()
            .with("name", self.name)
            .with("descr", self.descr)
            .with("cmdargs", Value::list(args))
            .with("cmdconf", Map::new())
            .with("storm", self.storm);
        if let Some((version, instead)) = self.deprecated {
            def.insert("deprecated", Map::new().with("eolvers", version).with("mesg", instead));
        }
        def
    }
}

/// What an argument is when it is not given.
#[derive(Clone, Copy)]
pub enum Default {
    /// Absent.
    Absent,
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Int(i64),
    /// An empty list.
    List,
    /// A map of texts.
    Map(&'static [(&'static str, &'static str)]),
}

/// An argument of a command: positional, or an option when its name begins with dashes.
#[derive(Clone, Copy)]
pub struct PureArg {
    name: &'static str,
    help: &'static str,
    typ: Option<&'static str>,
    nargs: Option<&'static str>,
    dest: Option<&'static str>,
    flag: bool,
    required: bool,
    removed_in: Option<&'static str>,
    default: Default,
}

/// An argument that takes one value of any kind.
const fn arg(name: &'static str, help: &'static str) -> PureArg {
    PureArg {
        name,
        help,
        typ: None,
        nargs: None,
        dest: None,
        flag: false,
        required: false,
        removed_in: None,
        default: Default::Absent,
    }
}

/// An option without a value, false unless given.
const fn flag(name: &'static str, help: &'static str) -> PureArg {
    PureArg { flag: true, default: Default::Bool(false), ..arg(name, help) }
}

impl PureArg {
    const fn typ(self, typ: &'static str) -> PureArg {
        PureArg { typ: Some(typ), ..self }
    }

    const fn nargs(self, nargs: &'static str) -> PureArg {
        PureArg { nargs: Some(nargs), ..self }
    }

    const fn dest(self, dest: &'static str) -> PureArg {
        PureArg { dest: Some(dest), ..self }
    }

    const fn default(self, default: Default) -> PureArg {
        PureArg { default, ..self }
    }

    const fn required(self) -> PureArg {
        PureArg { required: true, ..self }
    }

    const fn removed_in(self, version: &'static str) -> PureArg {
        PureArg { removed_in: Some(version), ..self }
    }

    fn opts(&self) -> Map {
        let mut opts = Map::new().with("help", self.help);
        for (key, valu) in [("type", self.typ), ("nargs", self.nargs), ("dest", self.dest)] {
            if let Some(valu) = valu {
                opts.insert(key, valu);
            }
        }
        if self.flag {
            opts.insert("action", "store_true");
        }
        if self.required {
            opts.insert("required", true);
        }
        if let Some(version) = self.removed_in {
            opts.insert("deprecated", Map::new().with("eolvers", version));
        }
        match self.default {
            Default::Absent => None,
            Default::Null => opts.insert("default", Value::Null),
            Default::Bool(flag) => opts.insert("default", flag),
            Default::Int(int) => opts.insert("default", int),
            Default::List => opts.insert("default", Value::empty_list()),
            Default::Map(items) => {
                let mut map = Map::new();
                for (key, valu) in items {
                    map.insert(*key, *valu);
                }
                opts.insert("default", map)
            }
        };
        opts
    }
}

const FAMILIES: &[&[PureCmd]] = &[
    agenda::CMDS,
    aha::CMDS,
    auth::CMDS,
    data::CMDS,
    r#gen::CMDS,
    httpapi::CMDS,
    layer::CMDS,
    model::CMDS,
    pkg::CMDS,
    service::CMDS,
    system::CMDS,
    trigger::CMDS,
    vault::CMDS,
    view::CMDS,
];

static DEFS: LazyLock<Vec<Arc<Map>>> =
    LazyLock::new(|| FAMILIES.iter().copied().flatten().map(|cmd| Arc::new(cmd.def())).collect());

static BY_NAME: LazyLock<HashMap<&str, Arc<Map>>> =
    LazyLock::new(|| FAMILIES.iter().copied().flatten().map(|cmd| cmd.name).zip(DEFS.iter().cloned()).collect());

/// Every command of this table, as the definition of a command of a package.
pub fn all() -> &'static [Arc<Map>] {
    &DEFS
}

/// A command by its name.
pub fn find(name: &str) -> Option<Arc<Map>> {
    BY_NAME.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use myelin_value::json;

    use super::*;

    #[test]
    fn every_text_parses() {
        for cmd in FAMILIES.iter().copied().flatten() {
            if let Err(error) = myelin_storm_syntax::parse_query(cmd.storm) {
                panic!("{}: {error:?}", cmd.name);
            }
        }
    }

    #[test]
    fn names_are_given_once_and_described() {
        let mut seen = BTreeMap::new();
        for cmd in FAMILIES.iter().copied().flatten() {
            assert!(seen.insert(cmd.name, ()).is_none(), "{} stands twice", cmd.name);
            assert!(!cmd.descr.trim().is_empty(), "{} says nothing", cmd.name);
            assert_eq!(cmd.descr, cmd.descr.trim(), "{}", cmd.name);
            assert!(cmd.args.iter().all(|arg| !arg.help.is_empty()), "{} has an argument without help", cmd.name);
        }
    }

    fn shared(name: &str) -> Option<serde_json::Value> {
        let dir = std::env::var("MYELIN_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
        let Ok(text) = std::fs::read_to_string(format!("{dir}/reference/{name}")) else {
            eprintln!("skipped: no shared reference tables");
            return None;
        };
        Some(serde_json::from_str(&text).expect("the table is JSON"))
    }

    /// Names, types, numbers of values and flags are those of the reference table, in its order.
    #[test]
    fn arguments_are_those_of_the_table() {
        let Some(table) = shared("storm_cmds.json") else { return };
        let ours: BTreeMap<&str, &PureCmd> = FAMILIES.iter().copied().flatten().map(|cmd| (cmd.name, cmd)).collect();
        let theirs: BTreeMap<&String, &serde_json::Value> =
            table.as_object().expect("a map").iter().filter(|(_, info)| info["impl"] == "storm").collect();
        let missing: Vec<_> = theirs.keys().filter(|name| !ours.contains_key(name.as_str())).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        assert_eq!(ours.len(), theirs.len());
        for (name, info) in theirs {
            let cmd = ours[name.as_str()];
            let args: Vec<_> =
                info["args"].as_array().expect("a list").iter().filter(|arg| arg["dest"] != "help").collect();
            assert_eq!(cmd.args.len(), args.len(), "{name}");
            assert_eq!(cmd.deprecated.is_some(), info.get("deprecated").is_some(), "{name}");
            for (have, want) in cmd.args.iter().zip(args) {
                let at = format!("{name} {}", have.name);
                let dest = have.dest.map_or_else(|| have.name.trim_matches('-').replace('-', "_"), str::to_owned);
                assert_eq!(have.name, want["names"][0], "{at}");
                assert_eq!(dest, want["dest"], "{at}");
                assert_eq!(have.typ, want["type"].as_str(), "{at}");
                assert_eq!(have.nargs, want["nargs"].as_str(), "{at}");
                assert_eq!(have.flag, want["action"] == "store_true", "{at}");
                assert_eq!(have.required, want["required"] == true, "{at}");
                assert_eq!(have.removed_in.is_some(), want.get("deprecated").is_some(), "{at}");
                if let Some(default) = want.get("default").filter(|valu| *valu != "$lib.undef") {
                    let opts = have.opts();
                    let given = opts.get("default").unwrap_or_else(|| panic!("{at} has no default"));
                    assert_eq!(&json::to_json(given).expect("plain"), default, "{at}");
                }
            }
        }
    }
}
