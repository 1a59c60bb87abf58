//! Calls that run Storm.

use std::sync::Arc;

use myelin_error::Result;
use myelin_telepath::{Args, MethTable};
use myelin_value::Value;

use super::CoreApi;

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .genr("storm", "text, opts=None", async |api: Arc<CoreApi>, _, args| {
            let (text, opts) = query_of(&args)?;
            api.core.clone().storm(api.user(), text, opts).await
        })
        .call("callStorm", "text, opts=None", async |api: Arc<CoreApi>, _, args| {
            let (text, opts) = query_of(&args)?;
            api.core.clone().call_storm(api.user(), text, opts).await
        })
        .call("count", "text, opts=None", async |api: Arc<CoreApi>, _, args| {
            let (text, opts) = query_of(&args)?;
            api.core.clone().count(api.user(), text, opts).await
        })
        .genr("exportStorm", "text, opts=None", async |api: Arc<CoreApi>, _, args| {
            let (text, opts) = query_of(&args)?;
            api.core.clone().export_storm(api.user(), text, opts).await
        })
        .call("addFeedData", "name, items, *, viewiden=None", async |api: Arc<CoreApi>, _, args| {
            let (name, items) = (args.str("name")?.to_owned(), args.get("items").clone());
            api.core.clone().add_feed(api.user(), name, items, args.get("viewiden").clone()).await
        })
        .blocking("reqValidStorm", "text, opts=None", |_, _, args| {
            myelin_storm::run::parse(args.str("text")?)?;
            Ok(true)
        })
        .blocking("isValidStorm", "text, opts=None", |_, _, args| {
            Ok(myelin_storm::run::parse(args.str("text")?).is_ok())
        })
        .blocking("getCoreInfo", "", |api, _, _| Ok(info(api)))
        .blocking("getCoreInfoV2", "", |api, _, _| Ok(info(api)))
}

fn query_of(args: &Args) -> Result<(String, Value)> {
    Ok((args.str("text")?.to_owned(), args.get("opts").clone()))
}

/// Version, model and the names of libraries and commands, for shells that complete them.
fn info(api: &CoreApi) -> myelin_value::Map {
    use myelin_value::Map;
    let registry = api.core.registry();
    let libs = registry.all_libs().into_iter().map(|lib| {
        let path: Value = std::iter::once("lib")
            .chain(lib.path.split('.').filter(|part| !part.is_empty()))
            .map(Value::from)
            .collect();
        let locals: Value = lib.funcs.iter().map(|func| Value::from(Map::new().with("name", func.name))).collect();
        Value::from(Map::new().with("path", path).with("locals", locals))
    });
    let commands =
        registry.cmds().into_iter().map(|def| Value::from(Map::new().with("name", def.name).with("doc", def.descr)));
    let pure = myelin_storm::Host::pure_cmds(&*api.core);
    let pure = pure.iter().map(|cdef| {
        let doc = cdef.get_str("descr").unwrap_or_default().trim().lines().next().unwrap_or_default().to_owned();
        Value::from(Map::new().with("name", cdef.get("name").cloned().unwrap_or_default()).with("doc", doc))
    });
    let docs = Map::new()
        .with("libraries", libs.collect::<Value>())
        .with("types", Value::empty_list())
        .with("commands", commands.chain(pure).collect::<Value>());
    Map::new()
        .with("version", crate::SPEC.version)
        .with("modeldict", api.core.model().model_dict())
        .with("modeldef", api.core.model().model_defs())
        .with("stormdocs", docs)
}
