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
        .blocking("reqValidStorm", "text, opts=None", |_, _, args| {
            crate::info::check_storm(args.str("text")?, args.get("opts"))?;
            Ok(true)
        })
        .blocking("isValidStorm", "text, opts=None", |_, _, args| {
            Ok(crate::info::is_valid_storm(args.str("text")?, args.get("opts")))
        })
        .blocking("getHttpExtApiByPath", "path", |api, _, args| {
            Ok(match api.core.httpapis.by_path(args.str("path")?)? {
                Some((adef, groups)) => Value::list([adef.into(), groups]),
                None => Value::list([Value::Null, Value::empty_list()]),
            })
        })
        .blocking("getCoreInfo", "", |api, _, _| Ok(api.core.info()))
        .blocking("getCoreInfoV2", "", |api, _, _| Ok(api.core.info()))
}

fn query_of(args: &Args) -> Result<(String, Value)> {
    Ok((args.str("text")?.to_owned(), args.get("opts").clone()))
}
