//! Calls about what runs or waits in the background: dmons and the notifications of users. Admins only.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_telepath::MethTable;
use myelin_value::Value;

use super::CoreApi;
use crate::parts::stores::DocStore;

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    notifs(dmons(table))
}

fn dmons(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("addStormDmon", "ddef", |api, _, args| {
            api.admin()?;
            api.core.dmons.add(args.map("ddef")?.clone())
        })
        .blocking("delStormDmon", "iden", |api, _, args| {
            api.admin()?;
            api.core.dmons.del(args.str("iden")?)
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
        .blocking("getStormDmon", "iden", |api, _, args| {
            api.admin()?;
            Ok(api.core.dmons.get(args.str("iden")?).map_or(Value::Null, Value::Map))
        })
        .blocking("getStormDmons", "", |api, _, _| {
            api.admin()?;
            Ok(api.core.dmons.list().into_iter().map(Value::Map).collect::<Value>())
        })
        .blocking("getStormDmonLog", "iden", |api, _, args| {
            api.admin()?;
            Ok(api.core.dmons.log(args.str("iden")?).into_iter().collect::<Value>())
        })
}

fn notifs(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("addUserNotif", "useriden, mesgtype, mesgdata=None", |api, _, args| {
            let data = args.get("mesgdata").clone();
            docs(api)?.add_notif(args.str("useriden")?, args.str("mesgtype")?, data)
        })
        .blocking("getUserNotif", "indx", |api, _, args| docs(api)?.notif(offset(args.int("indx")?)?))
        .blocking("delUserNotif", "indx", |api, _, args| {
            docs(api)?.del_notif(offset(args.int("indx")?)?).map(|()| Value::Null)
        })
        .genr("watchAllUserNotifs", "offs=None", async |api: Arc<CoreApi>, _, args| {
            let offs = args.opt_int("offs")?.map(offset).transpose()?;
            docs(&api)?.watch_notifs(offs).await
        })
}

/// Where the notifications are kept.
fn docs(api: &CoreApi) -> Result<&DocStore> {
    api.admin()?;
    Ok(&api.core.stores.jsonstor)
}

fn offset(offs: i64) -> Result<u64> {
    u64::try_from(offs).map_err(|_| err!("BadArg", mesg = "An offset must not be negative.", offs = offs))
}
