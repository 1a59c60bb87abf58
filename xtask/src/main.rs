//! `cargo xtask coverage [--write]`: what the binary registers, against the original's tables.
//!
//! The binary prints its registry as JSON (`myelin registry`: kind → list of names); the tables lie in the shared folder
//! beside the checkout (`MYELIN_SHARED` names another place). For each kind the report counts what is there and names
//! what is missing. `--write` regenerates `docs/status.md` from it; that file is never edited by hand.

mod tables;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tables::Kind;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["coverage"] => coverage(false),
        ["coverage", "--write"] => coverage(true),
        _ => {
            eprintln!("usage: cargo xtask coverage [--write]");
            ExitCode::from(2)
        }
    }
}

fn coverage(write: bool) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("MYELIN_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let reference = shared.join("reference");
    if !reference.is_dir() {
        println!("coverage: skipped, the original's tables are not here ({})", reference.display());
        return ExitCode::SUCCESS;
    }
    let report = match tables::load(&reference).and_then(|kinds| Ok(Report::new(kinds, &known(&root)?))) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("coverage: {error}");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", report.text(usize::MAX));
    if write && let Err(error) = write_status(&root.join("docs/status.md"), &report) {
        eprintln!("coverage: docs/status.md cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What the binary registers, with the tasks that `tests/interop/data.py` recorded as answered.
fn known(root: &Path) -> Result<serde_json::Value, String> {
    let mut known = registered(root)?;
    let path = root.join("tests/interop/tasks.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let record: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    known["answered"] = record["answered"].clone();
    Ok(known)
}

/// Asks the binary what it registers.
fn registered(root: &Path) -> Result<serde_json::Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["run", "--quiet", "--package", "myelin", "--", "registry"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !out.status.success() {
        return Err(format!("the binary did not print its registry: {}", String::from_utf8_lossy(&out.stderr)));
    }
    serde_json::from_slice(&out.stdout).map_err(|error| format!("the binary's registry is no JSON: {error}"))
}

struct Row {
    kind: Kind,
    done: usize,
    missing: Vec<String>,
}

struct Report(Vec<Row>);

impl Report {
    fn new(kinds: Vec<Kind>, registered: &serde_json::Value) -> Report {
        let rows = kinds.into_iter().map(|kind| {
            let have = registered[kind.key].as_array().into_iter().flatten().filter_map(|name| name.as_str());
            let have: BTreeSet<String> = match kind.key {
                "routes" => have.map(tables::plain_path).collect(),
                _ => have.map(str::to_owned).collect(),
            };
            let missing: Vec<String> = kind.names.iter().filter(|name| !have.contains(*name)).cloned().collect();
            Row { done: kind.names.len() - missing.len(), missing, kind }
        });
        Report(rows.collect())
    }

    /// The counts, then up to so many missing names of each kind.
    fn text(&self, most: usize) -> String {
        let mut out = String::from("| what | there | of |\n| --- | ---: | ---: |\n");
        for row in &self.0 {
            let _ = writeln!(out, "| {} | {} | {} |", row.kind.title, row.done, row.kind.names.len());
        }
        for row in self.0.iter().filter(|row| !row.missing.is_empty()) {
            let _ = writeln!(out, "\n## Missing: {}\n", row.kind.title);
            let shown: Vec<_> = row.missing.iter().take(most).map(|name| format!("`{name}`")).collect();
            let _ = write!(out, "{}", shown.join(", "));
            if row.missing.len() > most {
                let _ = write!(out, ", and {} more", row.missing.len() - most);
            }
            out.push('\n');
        }
        out
    }
}

fn write_status(path: &Path, report: &Report) -> std::io::Result<()> {
    let head = "# Status\n\nWhat this build registers, counted against the original's tables (version 2.256). \
                Made by `cargo xtask coverage --write`; do not edit.\nA thing that is registered exists; \
                `tests/conformance` says how far it behaves. Tasks are those of the shared folder; \
                `tests/interop/data.py` records which are answered.\n\n";
    std::fs::write(path, format!("{head}{}", report.text(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_registered_is_named() {
        let kind = Kind { key: "commands", title: "Storm commands", names: vec!["count".into(), "limit".into()] };
        let report = Report::new(vec![kind], &serde_json::json!({"commands": ["limit", "ours.alone"]}));
        assert_eq!((report.0[0].done, &report.0[0].missing[..]), (1, &["count".to_owned()][..]));
        assert!(report.text(9).contains("`count`"));
    }
}
