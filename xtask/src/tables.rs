//! The original's tables as lists of names.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// One kind of thing that can be there or missing.
pub struct Kind {
    /// Its key in the binary's registry.
    pub key: &'static str,
    /// What the report calls it.
    pub title: &'static str,
    /// Every name of the original, sorted.
    pub names: Vec<String>,
}

/// The tasks with real data, by their ids.
fn tasks(table: &Value) -> BTreeSet<String> {
    table.as_array().into_iter().flatten().filter_map(|task| task["id"].as_str()).map(str::to_owned).collect()
}

/// Reads every table.
pub fn load(reference: &Path) -> Result<Vec<Kind>, String> {
    let read = |name: &str| -> Result<Value, String> {
        let text = std::fs::read_to_string(reference.join(name)).map_err(|error| format!("{name}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))
    };
    let (libs, cmds, model) = (read("storm_libs.json")?, read("storm_cmds.json")?, read("model.json")?);
    let (apis, confs, tools, http) =
        (read("telepath_api.json")?, read("confs.json")?, read("tools.json")?, read("http_api.json")?);
    let events = std::fs::read_to_string(reference.join("../spec/nexus-events.md")).unwrap_or_default();
    let kind = |key, title, names: BTreeSet<String>| Kind { key, title, names: names.into_iter().collect() };
    Ok(vec![
        kind("types", "Types of the model", keys(&model["types"])),
        kind("forms", "Forms", keys(&model["forms"])),
        kind("commands", "Storm commands", keys(&cmds)),
        kind("functions", "Storm library functions", members(&libs["libs"])),
        kind("methods", "Methods and properties of Storm objects", members(&libs["types"])),
        kind("calls", "Telepath calls", calls(&apis)),
        kind("events", "Nexus events", event_names(&events)),
        kind("options", "Configuration options", options(&confs)),
        kind(
            "tools",
            "Tools",
            keys(&tools).iter().map(|name| name.trim_start_matches("synapse.tools.").to_owned()).collect(),
        ),
        kind("routes", "HTTP routes", routes(&http)),
        kind("answered", "Tasks with real data, answered as the original does", tasks(&read("../data/tasks.json")?)),
    ])
}

fn keys(table: &Value) -> BTreeSet<String> {
    table.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// `owner.member` for each member of each library or type.
fn members(table: &Value) -> BTreeSet<String> {
    let owners = table.as_object().into_iter().flatten();
    owners
        .flat_map(|(owner, info)| {
            let locals = info["locals"].as_array().cloned().unwrap_or_default();
            locals.into_iter().filter_map(move |local| Some(format!("{owner}.{}", local["name"].as_str()?)))
        })
        .collect()
}

/// `Class.method` for each call of each service's API.
fn calls(table: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for class in [
        "CellApi",
        "CoreApi",
        "AxonApi",
        "AhaApi",
        "JsonStorApi",
        "ProvApi",
        "EnrollApi",
        "CloneApi",
        "LayerApi",
        "ViewApi",
    ] {
        for meth in table[class]["methods"].as_array().into_iter().flatten() {
            if let Some(name) = meth["name"].as_str() {
                found.insert(format!("{class}.{name}"));
            }
        }
    }
    found
}

/// The names in the first column of the event tables.
fn event_names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split(" |").next()) else { continue };
        let names = cell.split('`').filter(|part| !part.trim_matches([' ', '/', ',']).is_empty());
        let mut before = String::new();
        for name in names.map(str::trim).filter(|name| name.contains(':') || *name == "edits") {
            // `a:b:c` / `:d` stands for `a:b:d` as the second.
            let name = match (name.strip_prefix(':'), before.rsplit_once(':')) {
                (Some(last), Some((base, _))) => format!("{base}:{last}"),
                _ => name.to_owned(),
            };
            before.clone_from(&name);
            found.insert(name);
        }
    }
    found
}

/// `service.option` for each option of each kind of service.
fn options(table: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for cell in ["cell", "cortex", "axon", "aha", "jsonstor"] {
        let info = &table[cell];
        for part in ["options", "confs", "conf", "confdefs"] {
            match &info[part] {
                Value::Object(map) => found.extend(map.keys().map(|name| format!("{cell}.{name}"))),
                Value::Array(rows) => {
                    found.extend(rows.iter().filter_map(|row| Some(format!("{cell}.{}", row["name"].as_str()?))));
                }
                _ => {}
            }
        }
    }
    found
}

/// A path whose parameters, in brackets or in braces, are written `{}`.
pub fn plain_path(path: &str) -> String {
    match path.find(['(', '{']) {
        Some(at) => format!("{}{{}}", &path[..at]),
        None => path.to_owned(),
    }
}

/// Every path under any key named `path` or `route`; what varies in it is written `{}`.
fn routes(table: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![table];
    while let Some(valu) = todo.pop() {
        match valu {
            Value::Array(rows) => todo.extend(rows),
            Value::Object(map) => {
                found.extend(map.keys().filter(|key| key.starts_with('/')).map(|key| plain_path(key)));
                let named = ["path", "route"].iter().filter_map(|key| map.get(*key)?.as_str());
                found.extend(named.filter(|path| path.starts_with('/')).map(plain_path));
                todo.extend(map.values());
            }
            _ => {}
        }
    }
    found
}
