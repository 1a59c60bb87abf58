//! Options: one table of them, and the places they come from.
//!
//! For a launched service the order is: command line, environment, `cell.yaml` for what is not yet set, then
//! `cell.mods.yaml`, which the service writes itself and which overrides everything; last the defaults. Every value is
//! checked against its kind when it is set.

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use myelin_error::{Result, err};
use myelin_telepath::yaml;
use myelin_value::{Map, Value};

/// What an option may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Str,
    /// Text or null.
    StrOrNull,
    /// Text or a list of texts.
    StrOrList,
    /// True or false.
    Bool,
    /// An integer between two bounds.
    Int(i64, i64),
    /// An integer between two bounds, or null.
    IntOrNull(i64, i64),
    /// An integer or text.
    IntOrStr,
    /// A map.
    Map,
    /// A list.
    List,
}

/// Where an option can be set, beside the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Environment and command line.
    Full,
    /// Environment, not command line.
    Env,
    /// Files and callers only.
    File,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct ConfDef {
    /// Its key.
    pub key: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its default as JSON; empty for none.
    pub default: &'static str,
    /// Where it can be set.
    pub reach: Reach,
    /// What it does.
    pub desc: &'static str,
}

/// A row of the table.
pub const fn def(key: &'static str, kind: Kind, default: &'static str, reach: Reach, desc: &'static str) -> ConfDef {
    ConfDef { key, kind, default, reach, desc }
}

const ANY: Kind = Kind::Int(0, i64::MAX);

/// The options of every service.
pub const CELL_CONFS: &[ConfDef] = &[
    def(
        "safemode",
        Kind::Bool,
        "false",
        Reach::Env,
        "Start without running anything that users have stored to run by itself.",
    ),
    def("cell:guid", Kind::Str, "", Reach::File, "The iden of a service that is started for the first time."),
    def("cell:ctor", Kind::Str, "", Reach::File, "The class of the service, for a generic starter."),
    def("mirror", Kind::StrOrNull, "", Reach::Env, "URL of the leader that this service follows."),
    def(
        "mirror:resync",
        Kind::Bool,
        "false",
        Reach::Full,
        "A mirror that cannot follow its leader from where it is copies it anew, by itself.",
    ),
    def(
        "mirror:check",
        ANY,
        "60",
        Reach::Full,
        "Seconds between a mirror's comparisons of what it holds with what its leader holds; 0 for none.",
    ),
    def("auth:passwd", Kind::Str, "", Reach::Full, "The password that root gets at start, if it has another."),
    def("auth:anon", Kind::Str, "", Reach::Full, "The user that peers are who do not say who they are."),
    def("auth:ctor", Kind::Str, "", Reach::File, "Not used any more."),
    def("auth:conf", Kind::Map, "", Reach::File, "Not used any more."),
    def("auth:passwd:policy", Kind::Map, "", Reach::Env, "What passwords must be like."),
    def("max:users", ANY, "0", Reach::Full, "How many users may be active, root aside; 0 for any number."),
    def("nexslog:en", Kind::Bool, "false", Reach::Full, "Keep a log of all changes, which mirrors need."),
    def(
        "nexslog:async",
        Kind::Bool,
        "true",
        Reach::Env,
        "Accepted and not used: the log is always committed before a change is acknowledged.",
    ),
    def(
        "nexus:durable",
        Kind::Bool,
        "false",
        Reach::Full,
        "Acknowledged changes survive a power loss, not only a crash.",
    ),
    def("nexus:min_mirrors", ANY, "0", Reach::Full, "How many mirrors must have a change before it is acknowledged."),
    def("dmon:listen", Kind::StrOrNull, "", Reach::Env, "URL to listen on for telepath."),
    def("https:port", Kind::IntOrNull(0, 65535), "", Reach::Env, "Port to listen on for HTTPS."),
    def("https:headers", Kind::Map, "", Reach::Env, "Headers added to every HTTP response."),
    def(
        "https:parse:proxy:remoteip",
        Kind::Bool,
        "false",
        Reach::Full,
        "Believe what a proxy says of a client's address.",
    ),
    def("backup:dir", Kind::Str, "", Reach::Full, "The directory that backups are written to."),
    def("onboot:optimize", Kind::Bool, "false", Reach::Full, "Compact the databases before they are opened."),
    def(
        "limit:disk:free",
        Kind::IntOrNull(0, 100),
        "5",
        Reach::Env,
        "Percent of the volume that must be free for changes to be accepted.",
    ),
    def(
        "health:sysctl:checks",
        Kind::Bool,
        "true",
        Reach::Full,
        "Warn of kernel settings that are not as recommended.",
    ),
    def("aha:name", Kind::Str, "", Reach::Full, "The name of this service in AHA, without the network."),
    def("aha:user", Kind::Str, "", Reach::Full, "The user that this service is at other services."),
    def(
        "aha:failover",
        Kind::Bool,
        "false",
        Reach::Full,
        "On AHA: replace a leader that is lost by a mirror that has everything. On a leader: refuse changes while AHA is lost.",
    ),
    def("aha:promotable", Kind::Bool, "true", Reach::Full, "Whether this service may become the leader."),
    def("aha:leader", Kind::Str, "", Reach::Full, "The AHA name of the leader of this group of services."),
    def("aha:network", Kind::Str, "", Reach::Full, "The AHA network."),
    def("aha:registry", Kind::StrOrList, "", Reach::Env, "URLs of the AHA servers."),
    def("aha:provision", Kind::StrOrList, "", Reach::Env, "The one-time URL that this service is provisioned by."),
    def("aha:admin", Kind::Str, "", Reach::Full, "A user that is made an admin at start, by its certificate's name."),
    def("aha:svcinfo", Kind::Map, "", Reach::Env, "What AHA is told of this service, instead of what it finds out."),
    def("inaugural", Kind::Map, "", Reach::Env, "Users and roles made at the first start."),
    def("_log_conf", Kind::Map, "", Reach::File, "How a parent process logs."),
];

impl ConfDef {
    /// Fails with `BadConfValu` unless a value is of the option's kind.
    pub fn check(&self, valu: &Value) -> Result<()> {
        let int = |min: i64, max: i64| valu.as_i64().is_some_and(|valu| (min..=max).contains(&valu)) && valu.is_int();
        let texts = || valu.as_list().is_some_and(|list| list.iter().all(Value::is_text));
        let (good, want) = match self.kind {
            Kind::Str => (valu.is_text(), "a str"),
            Kind::StrOrNull => (valu.is_text() || valu.is_null(), "a str or null"),
            Kind::StrOrList => (valu.is_text() || texts(), "a str or a list of them"),
            Kind::Bool => (valu.as_bool().is_some(), "true or false"),
            Kind::Int(min, max) => (int(min, max), "an integer within its bounds"),
            Kind::IntOrNull(min, max) => (valu.is_null() || int(min, max), "an integer within its bounds, or null"),
            Kind::IntOrStr => (valu.is_int() || valu.is_text(), "an integer or a str"),
            Kind::Map => (valu.as_map().is_some(), "a dict"),
            Kind::List => (valu.as_list().is_some(), "a list"),
        };
        if good {
            return Ok(());
        }
        let mesg = format!("The option {} must be {want}, not {valu:?}.", self.key);
        Err(err!("BadConfValu", mesg = mesg, name = self.key, valu = valu.clone()))
    }

    /// The flag on the command line, if it has one.
    pub fn flag(&self) -> Option<String> {
        let scalar = matches!(self.kind, Kind::Str | Kind::Bool | Kind::Int(..));
        (self.reach == Reach::Full && scalar).then(|| format!("--{}", self.key.replace([':', '_'], "-")))
    }

    /// The environment variable under a prefix such as `SYN_CORTEX`.
    pub fn env(&self, prefix: &str) -> Option<String> {
        (self.reach != Reach::File).then(|| format!("{prefix}_{}", self.key.replace(':', "_").to_uppercase()))
    }
}

/// The options of one service. Cheap reads; changes are rare.
pub struct Conf {
    defs: Vec<ConfDef>,
    dirn: PathBuf,
    valus: ArcSwap<Map>,
}

impl Conf {
    /// Checks and joins what a caller gave with the files of a service's directory. Options of `extra` come in addition, or
    /// instead of common ones of the same key.
    pub fn load(dirn: &Path, extra: &[ConfDef], given: Map) -> Result<Conf> {
        let common = CELL_CONFS.iter().filter(|def| !extra.iter().any(|own| own.key == def.key));
        let defs: Vec<ConfDef> = extra.iter().chain(common).copied().collect();
        let conf = Conf { defs, dirn: dirn.to_owned(), valus: ArcSwap::from_pointee(Map::new()) };
        conf.reload(given)?;
        Ok(conf)
    }

    fn reload(&self, given: Map) -> Result<()> {
        let mut valus = Map::new();
        for (key, valu) in given.text_entries() {
            self.def(key)?.check(valu)?;
            valus.insert(key, valu.clone());
        }
        for (key, valu) in self.file("cell.yaml")?.text_entries() {
            let def = self.def(key)?;
            if !valus.contains(key) {
                def.check(valu)?;
                valus.insert(key, valu.clone());
            }
        }
        for (key, valu) in self.file("cell.mods.yaml")?.text_entries() {
            self.def(key)?.check(valu)?;
            valus.insert(key, valu.clone());
        }
        for def in self.defs.iter().filter(|def| !def.default.is_empty()) {
            if !valus.contains(def.key) {
                let default = myelin_value::json::parse(def.default.as_bytes());
                valus.insert(def.key, default.unwrap_or_default());
            }
        }
        self.valus.store(valus.into());
        Ok(())
    }

    fn file(&self, name: &str) -> Result<Map> {
        let path = self.dirn.join(name);
        match yaml::load_file(&path)? {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Map(map)) => Ok((*map).clone()),
            Some(_) => {
                let path = path.display().to_string();
                Err(err!("BadConfValu", mesg = format!("The file {path} must hold a dict of options."), path = path))
            }
        }
    }

    /// The row of an option, else `BadArg`.
    pub fn def(&self, key: &str) -> Result<&ConfDef> {
        let found = self.defs.iter().find(|def| def.key == key);
        found.ok_or_else(|| err!("BadArg", mesg = format!("Key {key} is not a valid config"), name = key))
    }

    /// All rows.
    pub fn defs(&self) -> &[ConfDef] {
        &self.defs
    }

    /// An option's value; null when it is not set and has no default.
    pub fn get(&self, key: &str) -> Value {
        self.valus.load().get(key).cloned().unwrap_or_default()
    }

    /// An option that is text.
    pub fn str(&self, key: &str) -> Option<String> {
        self.get(key).as_str().map(str::to_owned)
    }

    /// An option that is an integer.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.get(key).as_i64()
    }

    /// Whether an option is set to something true.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).is_truthy()
    }

    /// Sets an option for this run only.
    pub fn set(&self, key: &str, valu: Value) -> Result<()> {
        self.def(key)?.check(&valu)?;
        let valus = (**self.valus.load()).clone().with(key, valu);
        self.valus.store(valus.into());
        Ok(())
    }

    /// Sets options and keeps them in `cell.mods.yaml`.
    pub fn modify(&self, changes: &Map) -> Result<()> {
        for (key, valu) in changes.text_entries() {
            self.def(key)?.check(valu)?;
        }
        let mut mods = self.file("cell.mods.yaml")?;
        mods.update(changes);
        yaml::save_file(&self.dirn.join("cell.mods.yaml"), &mods.into())?;
        for (key, valu) in changes.text_entries() {
            self.set(key, valu.clone())?;
        }
        Ok(())
    }

    /// Removes an option, also from `cell.mods.yaml`.
    pub fn pop(&self, key: &str) -> Result<()> {
        let mut mods = self.file("cell.mods.yaml")?;
        if mods.remove(key).is_some() {
            yaml::save_file(&self.dirn.join("cell.mods.yaml"), &mods.into())?;
        }
        let mut valus = (**self.valus.load()).clone();
        valus.remove(key);
        self.valus.store(valus.into());
        Ok(())
    }

    /// Everything that is set.
    pub fn all(&self) -> Map {
        (**self.valus.load()).clone()
    }
}

/// The options of a service as the environment has them, under any of its prefixes; an earlier prefix wins.
pub fn from_env(prefixes: &[&str], extra: &[ConfDef]) -> Result<Map> {
    let mut found = Map::new();
    for def in extra.iter().chain(CELL_CONFS) {
        if found.contains(def.key) {
            continue;
        }
        let text = prefixes.iter().filter_map(|prefix| def.env(prefix)).find_map(|name| std::env::var(name).ok());
        if let Some(text) = text {
            let valu = yaml::load(&text)?;
            // YAML reads some texts as numbers that an operator meant as text.
            let valu = if def.kind == Kind::Str && !valu.is_text() { Value::from(text) } else { valu };
            def.check(&valu)?;
            found.insert(def.key, valu);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(cell: &str, mods: &str, given: Map) -> Result<Conf> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("cell.yaml"), cell)?;
        std::fs::write(dir.path().join("cell.mods.yaml"), mods)?;
        Conf::load(dir.path(), &[], given)
    }

    #[test]
    fn the_order_is_given_file_then_mods_over_all() {
        let given = Map::new().with("aha:name", "given").with("max:users", 3);
        let conf = load("aha:name: file\naha:user: file\n", "---\nmax:users: 9\n...\n", given).expect("conf");
        assert_eq!(conf.str("aha:name").as_deref(), Some("given"));
        assert_eq!(conf.str("aha:user").as_deref(), Some("file"));
        assert_eq!(conf.int("max:users"), Some(9));
        assert_eq!(conf.int("limit:disk:free"), Some(5));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = load("woot: 1\n", "", Map::new()).err().expect("an error");
        assert!(error.is("BadArg") && error.message() == "Key woot is not a valid config");
        let error = load("max:users: many\n", "", Map::new()).err().expect("an error");
        assert!(error.is("BadConfValu") && error.get("name") == Some(&Value::from("max:users")));
    }

    #[test]
    fn the_deployment_documents_options_are_accepted() {
        let text = "aha:name: aha.loop.vertex.link\naha:network: loop.vertex.link\naha:admin: root@loop.vertex.link\n\
                    backup:dir: /vertex/backups\ndmon:listen: ssl://0.0.0.0:27492?hostname=aha.loop.vertex.link\n\
                    aha:provision: tcp://aha:27272/00112233\n";
        assert!(load(text, "", Map::new()).is_ok());
    }
}
