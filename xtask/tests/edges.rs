//! Arrows between crates point down: this table holds every edge that is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each crate with the crates of ours that it may use outside its tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("value", &[]),
    ("error", &["value"]),
    ("slab", &["value", "error"]),
    ("certs", &["value", "error"]),
    ("telepath", &["value", "error", "certs"]),
    ("cell", &["value", "error", "slab", "certs", "telepath"]),
    ("aha", &["value", "error", "slab", "certs", "telepath", "cell", "jsonstor"]),
    ("axon", &["value", "error", "slab", "telepath", "cell"]),
    ("jsonstor", &["value", "error", "slab", "telepath", "cell"]),
    ("model", &["value", "error"]),
    ("graph", &["value", "error", "slab", "cell", "model"]),
    ("storm-syntax", &[]),
    ("storm", &["value", "error", "slab", "cell", "model", "graph", "storm-syntax"]),
    (
        "cortex",
        &[
            "value",
            "error",
            "slab",
            "certs",
            "telepath",
            "cell",
            "axon",
            "jsonstor",
            "model",
            "graph",
            "storm-syntax",
            "storm",
        ],
    ),
    (
        "myelin",
        &[
            "value",
            "error",
            "slab",
            "certs",
            "telepath",
            "cell",
            "aha",
            "axon",
            "jsonstor",
            "model",
            "graph",
            "storm-syntax",
            "storm",
            "cortex",
        ],
    ),
];

/// The crates of ours named in the `[dependencies]` of a manifest.
fn used(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if let (true, Some(rest)) = (inside, line.strip_prefix("myelin-")) {
            let name = rest.split([' ', '=', '.']).next().unwrap_or_default();
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(root).expect("the crates folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a crate's name").to_owned();
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).expect("a manifest");
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} is not in the table of edges"));
        for dep in used(&manifest) {
            assert!(may.contains(&dep.as_str()), "{name} may not use {dep}");
        }
        seen += 1;
    }
    assert_eq!(seen, ALLOWED.len(), "the table names a crate that does not exist");
}
