//! Calls that run Storm.

use std::sync::Arc;

use myelin_error::{Error, Result};
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
        .call("reqValidStorm", "text, opts=None", async |_: Arc<CoreApi>, _, args| {
            parsing(args, |text, opts| crate::info::check_storm(text, opts).map(|()| Value::from(true))).await
        })
        .call("isValidStorm", "text, opts=None", async |_: Arc<CoreApi>, _, args| {
            parsing(args, |text, opts| Ok(crate::info::is_valid_storm(text, opts))).await
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

/// A text up to this long is parsed where the call arrives: that takes less than to wake another thread for it.
const SHORT_TEXT: usize = 4096;

async fn parsing(args: Args, parse: fn(&str, &Value) -> Result<Value>) -> Result<Value> {
    if args.str("text")?.len() <= SHORT_TEXT {
        return parse(args.str("text")?, args.get("opts"));
    }
    let done = tokio::task::spawn_blocking(move || parse(args.str("text")?, args.get("opts"))).await;
    done.unwrap_or_else(|failed| Err(Error::mesg("SynErr", format!("The text could not be parsed: {failed}"))))
}

fn query_of(args: &Args) -> Result<(String, Value)> {
    Ok((args.str("text")?.to_owned(), args.get("opts").clone()))
}
