//! Calls about background queries, notifications and files.

use futures::StreamExt;
use myelin_error::{Result, err};
use myelin_telepath::{MethTable, ValueStream};
use myelin_value::Value;
use std::sync::Arc;

use super::CoreApi;
use crate::wait::Values;

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    files(notifs(dmons(table)))
}

fn dmons(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("addStormDmon", "ddef", |api, _, args| {
            api.admin()?;
            api.core.dmons.add(args.map("ddef")?.clone())
        })
        .blocking("getStormDmons", "", |api, _, _| {
            api.admin()?;
            Ok(api.core.dmons.list().into_iter().map(Value::from).collect::<Value>())
        })
        .blocking("getStormDmon", "iden", |api, _, args| {
            api.admin()?;
            Ok(api.core.dmons.get(args.str("iden")?).map_or(Value::Null, Value::from))
        })
        .blocking("getStormDmonLog", "iden", |api, _, args| {
            api.admin()?;
            Ok(Value::from(api.core.dmons.log(args.str("iden")?)))
        })
        .blocking("bumpStormDmon", "iden", |api, _, args| {
            api.admin()?;
            api.core.dmons.bump(args.str("iden")?)
        })
        .blocking("enableStormDmon", "iden", |api, _, args| {
            api.admin()?;
            api.core.dmons.enable(args.str("iden")?, true)
        })
        .blocking("disableStormDmon", "iden", |api, _, args| {
            api.admin()?;
            api.core.dmons.enable(args.str("iden")?, false)
        })
        .blocking("delStormDmon", "iden", |api, _, args| {
            api.admin()?;
            api.core.dmons.del(args.str("iden")?)
        })
}

fn notifs(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("addUserNotif", "useriden, mesgtype, mesgdata=None", |api, _, args| {
            api.admin()?;
            let stor = &api.core.stores.jsonstor;
            stor.add_notif(args.str("useriden")?, args.str("mesgtype")?, args.get("mesgdata").clone())
        })
        .blocking("getUserNotif", "indx", |api, _, args| {
            api.admin()?;
            api.core.stores.jsonstor.notif(index(args.int("indx")?)?)
        })
        .blocking("delUserNotif", "indx", |api, _, args| {
            api.admin()?;
            api.core.stores.jsonstor.del_notif(index(args.int("indx")?)?).map(|()| Value::Null)
        })
        .genr("iterUserNotifs", "useriden, size=None", async |api: Arc<CoreApi>, _, args| {
            api.admin()?;
            let user = args.str("useriden")?.to_owned();
            let size = args.opt_int("size")?.map(|size| usize::try_from(size).unwrap_or_default());
            stream(move || api.core.stores.jsonstor.user_notifs(&user, size)).await
        })
        .genr("watchAllUserNotifs", "offs=None", async |api: Arc<CoreApi>, _, args| {
            api.admin()?;
            let offs = args.opt_int("offs")?.map(index).transpose()?;
            api.core.stores.jsonstor.watch_notifs(offs).await
        })
}

fn files(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table.genr("getAxonBytes", "sha256", async |api: Arc<CoreApi>, _, args| {
        api.confirm(&["axon", "get"])?;
        let sha256 = myelin_axon::sha256_of(args.str("sha256")?)?;
        stream(move || api.core.stores.axon.get(&sha256, None)).await
    })
}

fn index(indx: i64) -> Result<u64> {
    u64::try_from(indx).map_err(|_| err!("BadArg", mesg = "An index must not be negative.", indx = indx))
}

/// A blocking sequence as a stream.
pub(super) async fn stream(make: impl FnOnce() -> Result<Values> + Send + 'static) -> Result<ValueStream> {
    let made = tokio::task::spawn_blocking(make).await;
    let values = made.map_err(|error| err!("SynErr", mesg = format!("A read was abandoned: {error}.")))??;
    Ok(myelin_axon::stream_of(values).boxed())
}
