//! What the README tells a newcomer to type works on a fresh clone.

use std::process::Command;

#[test]
fn cargo_run_finds_its_binary() {
    let done = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let found: serde_json::Value = serde_json::from_slice(&done.stdout).expect("metadata");
    let list = |valu: &serde_json::Value| valu.as_array().cloned().unwrap_or_default();
    // Without default members `cargo run` has two binaries to choose from, and refuses.
    let members = list(&found["workspace_default_members"]);
    let bins: Vec<_> = list(&found["packages"])
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .flat_map(|package| list(&package["targets"]))
        .filter(|target| list(&target["kind"]).contains(&"bin".into()))
        .map(|target| target["name"].clone())
        .collect();
    assert_eq!(bins, ["myelin"]);
}
