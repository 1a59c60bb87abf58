//! Calls about records: variables, packages, layers, views.

use myelin_error::{Error, Result, err};
use myelin_graph::unpack_edits;
use myelin_telepath::MethTable;
use myelin_value::{Map, Value};

use super::CoreApi;

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    layers(packages(vars(table)))
}

fn vars(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("getStormVar", "name, default=None", |api, _, args| {
            let name = args.str("name")?;
            api.confirm(&["globals", "get", name])?;
            Ok(api.core.vars.get(name)?.unwrap_or_else(|| args.get("default").clone()))
        })
        .blocking("setStormVar", "name, valu", |api, _, args| {
            let name = args.str("name")?;
            api.confirm(&["globals", "set", name])?;
            api.core.vars.set(name, args.get("valu").clone())
        })
        .blocking("popStormVar", "name, default=None", |api, _, args| {
            let name = args.str("name")?;
            api.confirm(&["globals", "pop", name])?;
            Ok(api.core.vars.pop(name)?.unwrap_or_else(|| args.get("default").clone()))
        })
}

fn packages(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("addStormPkg", "pkgdef, verify=False", |api, _, args| {
            api.confirm(&["pkg", "add"])?;
            if args.truthy("verify") {
                return Err(Error::not_supported("Checking the signature of a package"));
            }
            api.core.packages.add(args.map("pkgdef")?)
        })
        .blocking("delStormPkg", "iden", |api, _, args| {
            api.confirm(&["pkg", "del"])?;
            api.core.packages.del(args.str("iden")?)
        })
        .blocking("getStormPkg", "name", |api, _, args| {
            api.admin()?;
            Ok(api.core.packages.get(args.str("name")?).map_or(Value::Null, Value::Map))
        })
        .blocking("getStormPkgs", "", |api, _, _| {
            api.admin()?;
            let loaded = api.core.packages.loaded();
            Ok(loaded.packages.values().cloned().map(Value::Map).collect::<Value>())
        })
}

fn layers(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("getViewDef", "iden", |api, _, args| {
            let iden = args.get("iden");
            let view = match iden.as_str() {
                Some(iden) => api.core.stack.view(iden),
                None => Some(api.core.view_of(&api.user())?),
            };
            let Some(view) = view else { return Ok(Value::Null) };
            api.user().confirm(&["view", "read"], Some(view.iden()))?;
            Ok(api.core.stack.pack_view(&view).into())
        })
        .blocking("cloneLayer", "iden, ldef=None", |api, _, args| {
            api.admin()?;
            let ldef = args.get("ldef").as_map().cloned().unwrap_or_default();
            api.core.stack.clone_layer(args.str("iden")?, ldef, &api.user())
        })
        .blocking("saveLayerNodeEdits", "layriden, edits, meta", |api, _, args| {
            api.admin()?;
            save_edits(api, args.str("layriden")?, args.get("edits"), args.map("meta")?)
        })
}

fn save_edits(api: &CoreApi, iden: &str, edits: &Value, meta: &Map) -> Result<Value> {
    let layer = api.core.stack.require_layer(iden)?;
    let edits = unpack_edits(edits)
        .map_err(|error| err!("BadArg", mesg = format!("These are no node edits: {error}"), name = "edits"))?;
    let (offs, applied) = layer.save_edits(&edits, &Value::from(meta.clone()))?;
    Ok(Value::list([Value::from(offs), myelin_graph::pack_edits(&applied)]))
}
