//! Golden Storm files: a query, then the messages it gives, one case a block. `UPDATE=1` writes what it gives now.
//!
//! ```text
//! # what the case is about
//! [inet:fqdn=vertex.link]
//! $lib.print($node.repr())
//! ----
//! print: vertex.link
//! node: inet:fqdn=vertex.link
//! ====
//! ```
//! The blocks of a file run one after the other on one host, whose model has the forms of `golden/model.json` besides the
//! shipped ones. A line `#!{…}` holds the options of its query.

use std::fmt::Write as _;
use std::path::Path;

use myelin_model::ext::ExtModel;
use myelin_model::types::py;
use myelin_storm::Registry;
use myelin_storm::testing::{Bench, Said, shipped_model};
use myelin_value::{Map, Value};

fn shown(said: &Said) -> String {
    let mut text = String::new();
    for (kind, info) in &said.0 {
        let mesg = || info.get("mesg").map(py::str_text).unwrap_or_default();
        let line = match kind.as_str() {
            "init" | "fini" | "node:edits" => continue,
            "node" => {
                let ndef = info.at(0).cloned().unwrap_or_default();
                let tags = info.at(1).and_then(|info| info.get("tags")).and_then(Value::as_map).cloned();
                let tags: String = tags.unwrap_or_default().text_entries().map(|(tag, _)| format!(" #{tag}")).collect();
                let valu = ndef.at(1).map(py::str_text).unwrap_or_default();
                format!("{}={valu}{tags}", ndef.at(0).and_then(Value::as_str).unwrap_or_default())
            }
            "err" => format!("{} {}", info.at(0).map(py::str_text).unwrap_or_default(), {
                let info = info.at(1).cloned().unwrap_or_default();
                info.get("mesg").map(py::str_text).unwrap_or_default()
            }),
            "print" | "warn" => mesg(),
            _ => py::repr_text(info),
        };
        let _ = writeln!(text, "{kind}: {line}");
    }
    text
}

fn bench() -> Bench {
    let added = myelin_value::json::parse(include_bytes!("golden/model.json")).expect("a model in JSON");
    let mut model = (*shipped_model()).clone();
    let warnings = ExtModel::default().missing_from(&added).expect("definitions").load(&mut model);
    assert_eq!(warnings, Vec::<String>::new());
    Bench::with_model(Registry::builtin(), std::sync::Arc::new(model))
}

fn options(query: &str) -> Map {
    let line = query.lines().find_map(|line| line.strip_prefix("#!"));
    let opts = line.map(|line| myelin_value::json::parse(line.as_bytes()).expect("options in JSON"));
    opts.and_then(|opts| opts.as_map().cloned()).unwrap_or_default()
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("readable");
    let bench = bench();
    let mut made = String::new();
    for block in text.split("====\n").filter(|block| !block.trim().is_empty()) {
        let query = block.split_once("----\n").map_or(block, |(query, _)| query);
        let storm: String = query
            .lines()
            .filter(|line| !line.starts_with("# ") && !line.starts_with("#!"))
            .collect::<Vec<_>>()
            .join("\n");
        let _ = write!(made, "{query}----\n{}====\n", shown(&bench.storm_opts(&storm, options(query))));
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, made).expect("writable");
        return;
    }
    assert_eq!(made, text, "{} differs; UPDATE=1 writes it anew", path.display());
}

#[test]
fn golden_files() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("directory").flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "storm")) {
        check(path);
    }
}
