//! `myelin registry`: what this build registers, as JSON of kind → names, for `cargo xtask coverage`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use myelin_aha::api::AhaApi;
use myelin_axon::api::AxonApi;
use myelin_cell::conf::CELL_CONFS;
use myelin_cell::{CellApi, CellSpec};
use myelin_cortex::{CoreApi, Cortex};
use myelin_error::Result;
use myelin_jsonstor::api::JsonStorApi;
use myelin_model::Model;
use myelin_telepath::{MethTable, TableApi};
use myelin_value::Map;

use crate::tools::TOOLS;

/// Prints it.
///
/// # Errors
/// The model cannot be loaded.
pub async fn print() -> Result<u8> {
    let model = Model::shared()?;
    let registry = Cortex::builtin_registry();
    let mut kinds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    kinds.insert("types", model.types().map(|typ| typ.name.to_string()).collect());
    kinds.insert("forms", model.forms().map(|form| form.name.to_string()).collect());
    let commands = registry.cmds().into_iter().map(|def| def.name.to_owned());
    kinds.insert("commands", commands.chain(Cortex::builtin_commands()).collect());
    let mut functions = BTreeSet::new();
    for lib in registry.all_libs() {
        let path = if lib.path.is_empty() { "$lib".to_owned() } else { format!("$lib.{}", lib.path) };
        functions.extend(lib.funcs.iter().map(|func| format!("{path}.{}", func.name)));
        functions.extend(lib.consts.iter().map(|(name, _)| format!("{path}.{name}")));
    }
    kinds.insert("functions", functions);
    kinds.insert("methods", registry.members());
    kinds.insert("calls", calls());
    let (events, routes) = running().await?;
    kinds.insert("events", events);
    kinds.insert("routes", routes);
    kinds.insert("options", options());
    kinds.insert("tools", TOOLS.iter().map(|tool| tool.name.to_owned()).collect());
    println!("{}", serde_json::to_string_pretty(&kinds).unwrap_or_default());
    Ok(0)
}

/// The events that the four services apply and the paths they serve over HTTPS, asked of each while it runs on an empty
/// directory.
async fn running() -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let base = tempfile::tempdir()?;
    let conf = || Map::new().with("health:sysctl:checks", false);
    let dir = |name: &str| -> Result<PathBuf> {
        let path = base.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    };
    let aha = myelin_aha::start(&dir("aha")?, conf().with("aha:network", "registry.myelin")).await?;
    let axon = myelin_axon::start(&dir("axon")?, conf()).await?;
    let jsonstor = myelin_jsonstor::start(&dir("jsonstor")?, conf()).await?;
    let cortex = myelin_cortex::start(&dir("cortex")?, conf()).await?;
    let (mut events, mut routes) = (BTreeSet::new(), BTreeSet::new());
    for cell in [&aha.cell, &axon.cell, &jsonstor.cell, &cortex.cell] {
        events.extend(cell.nexus().event_names());
        routes.extend(cell.route_paths());
        crate::quickstart::end(cell).await?;
    }
    Ok((events, routes))
}

fn calls() -> BTreeSet<String> {
    fn names<T: Send + Sync + 'static>(
        class: &'static str,
        table: &'static MethTable<T>,
    ) -> impl Iterator<Item = String> {
        table.names().map(move |name| format!("{class}.{name}"))
    }
    names("CellApi", CellApi::table())
        .chain(names("CoreApi", CoreApi::table()))
        .chain(names("AxonApi", AxonApi::table()))
        .chain(names("AhaApi", AhaApi::table()))
        .chain(names("JsonStorApi", JsonStorApi::table()))
        .chain(myelin_aha::key_call_names())
        .collect()
}

fn options() -> BTreeSet<String> {
    let specs: [(&str, CellSpec); 4] = [
        ("cortex", myelin_cortex::SPEC),
        ("axon", myelin_axon::SPEC),
        ("aha", myelin_aha::SPEC),
        ("jsonstor", myelin_jsonstor::SPEC),
    ];
    let common = CELL_CONFS.iter().map(|def| format!("cell.{}", def.key));
    let own = specs
        .iter()
        .flat_map(|(name, spec)| spec.confs.iter().chain(CELL_CONFS).map(move |def| format!("{name}.{}", def.key)));
    common.chain(own).collect()
}
