//! The options of a cortex, beside those of every service.

use myelin_cell::conf::{ConfDef, Kind, Reach, def};

/// The table. `cortex:models` is ours; everything else has the original's name and meaning.
pub const CORTEX_CONFS: &[ConfDef] = &[
    def("nexslog:en", Kind::Bool, "true", Reach::Full, "Keep a log of all changes, which mirrors need."),
    def(
        "axon",
        Kind::Str,
        "",
        Reach::Full,
        "Telepath URL of the axon to keep files in; without it the cortex has one of its own.",
    ),
    def(
        "jsonstor",
        Kind::Str,
        "",
        Reach::Full,
        "Telepath URL of the jsonstor to use; without it the cortex has one of its own.",
    ),
    // On, where other services have it off.
    def("nexslog:en", Kind::Bool, "true", Reach::Full, "Keep a log of all changes, which mirrors need."),
    def("cron:enable", Kind::Bool, "true", Reach::Full, "Run cron jobs."),
    def("trigger:enable", Kind::Bool, "true", Reach::Full, "Run triggers."),
    def(
        "layer:lmdb:map_async",
        Kind::Bool,
        "true",
        Reach::File,
        "Has no effect any more; kept so that old files are accepted.",
    ),
    def(
        "layer:lmdb:max_replay_log",
        Kind::Int(0, i64::MAX),
        "10000",
        Reach::File,
        "Has no effect any more; kept so that old files are accepted.",
    ),
    def("layers:lockmemory", Kind::Bool, "false", Reach::Full, "Keep the layers made from now on in memory."),
    def("layers:logedits", Kind::Bool, "true", Reach::Full, "Keep a log of edits in the layers made from now on."),
    def(
        "layers:cache:size",
        Kind::IntOrNull(0, i64::MAX),
        "null",
        Reach::Env,
        "Has no effect here: layers are read from the memory map.",
    ),
    def(
        "provenance:en",
        Kind::Bool,
        "false",
        Reach::File,
        "Has no effect any more; kept so that old files are accepted.",
    ),
    def(
        "max:nodes",
        Kind::Int(1, i64::MAX),
        "",
        Reach::Env,
        "Refuse to make more nodes than this in all layers together.",
    ),
    def(
        "modules",
        Kind::List,
        "[]",
        Reach::Env,
        "Python modules of the original; they cannot be loaded here and are reported at start.",
    ),
    def(
        "cortex:models",
        Kind::List,
        "[]",
        Reach::Env,
        "Paths of JSON files with further types, forms and properties to load at start.",
    ),
    def("storm:log", Kind::Bool, "false", Reach::Full, "Log every Storm query with its user."),
    def("storm:log:level", Kind::IntOrStr, "\"INFO\"", Reach::Env, "The level at which Storm queries are logged."),
    def("storm:interface:search", Kind::Bool, "true", Reach::Full, "Let packages answer queries in search mode."),
    def("storm:interface:scrape", Kind::Bool, "true", Reach::Full, "Let packages add to what is scraped from text."),
    def(
        "http:proxy",
        Kind::Str,
        "",
        Reach::Full,
        "Proxy for HTTP requests that Storm makes: socks5://user:passwd@host:port.",
    ),
    def(
        "tls:ca:dir",
        Kind::Str,
        "",
        Reach::Full,
        "Directory of further CA certificates to trust in HTTP requests that Storm makes.",
    ),
];
