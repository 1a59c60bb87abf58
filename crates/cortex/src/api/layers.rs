//! Calls about what layers hold and how it changes, and the shares `layer` and `view`.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use myelin_cell::{CellApi, User};
use myelin_error::{Result, err};
use myelin_graph::{Layer, RowsBy, View, pack_edits, unpack_edits};
use myelin_model::StorType;
use myelin_telepath::{Args, MethTable, TableApi, ValueStream};
use myelin_value::{Buid, Map, Value};

use super::CoreApi;
use super::services::stream;
use crate::parts::now_millis;
use crate::wait::Values;
use crate::{Cortex, follow};

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    rows(table)
        .call("addNode", "form, valu, props=None", async |api: Arc<CoreApi>, _, args| add_node(&api, &args).await)
        .genr("syncLayerNodeEdits", "offs, layriden=None, wait=True", async |api: Arc<CoreApi>, _, args| {
            let layer = match args.opt_str("layriden")? {
                Some(iden) => api.core.stack.require_layer(iden)?,
                None => api.core.stack.default_view()?.write_layer(),
            };
            api.user().confirm(&["sync"], Some(layer.iden()))?;
            let rows = follow::layer_edits(&api.core.stack, layer, offset(&args)?, args.truthy("wait"), false);
            Ok(follow::packed(rows, false))
        })
        .genr("syncLayersEvents", "offsdict=None, wait=True", async |api: Arc<CoreApi>, _, args| {
            api.confirm(&["sync"])?;
            follow::layers_events(&api.core.stack, args.get("offsdict"), args.truthy("wait"))
        })
        .genr("syncIndexEvents", "matchdef, offsdict=None, wait=True", async |api: Arc<CoreApi>, _, args| {
            api.confirm(&["sync"])?;
            follow::index_events(&api.core.stack, args.map("matchdef")?, args.get("offsdict"), args.truthy("wait"))
        })
}

/// Makes a node with properties, whose names may be universal.
const ADD_NODE: &str = "
[ *$form = $valu ]
for ($name, $propvalu) in $props {
    if $name.startswith('.') { $name = $name.slice(1) [ .$name = $propvalu ] }
    else { [ :$name = $propvalu ] }
}
return($node.pack())";

async fn add_node(api: &CoreApi, args: &Args) -> Result<Value> {
    let (user, form) = (api.user(), args.str("form")?);
    let view = api.core.view_of(&user)?;
    user.confirm(&["node", "add", form], Some(view.write_layer().iden()))?;
    let props = args.get("props").as_map().cloned().unwrap_or_default();
    let vars = Map::new().with("form", form).with("valu", args.get("valu").clone()).with("props", props);
    let opts = Map::new().with("vars", vars).with("view", &**view.iden());
    api.core.clone().call_storm(user, ADD_NODE.to_owned(), opts.into()).await
}

fn rows(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    const FORM: &str = "layriden, form, stortype=None, startvalu=None";
    const PROP: &str = "layriden, form, prop, stortype=None, startvalu=None";
    const UNIV: &str = "layriden, prop, stortype=None, startvalu=None";
    const TAGPROP: &str = "layriden, tag, prop, form=None, stortype=None, startvalu=None";
    table
        .genr("iterFormRows", FORM, async |api: Arc<CoreApi>, _, args| {
            index_rows(&api, &args, RowsBy::Form(args.str("form")?.to_owned())).await
        })
        .genr("iterPropRows", PROP, async |api: Arc<CoreApi>, _, args| {
            let form = args.opt_str("form")?.map(str::to_owned);
            index_rows(&api, &args, RowsBy::Prop(form, args.str("prop")?.to_owned())).await
        })
        .genr("iterUnivRows", UNIV, async |api: Arc<CoreApi>, _, args| {
            index_rows(&api, &args, RowsBy::Prop(None, args.str("prop")?.to_owned())).await
        })
        .genr("iterTagPropRows", TAGPROP, async |api: Arc<CoreApi>, _, args| {
            let form = args.opt_str("form")?.map(str::to_owned);
            let by = RowsBy::TagProp(form, args.str("tag")?.to_owned(), args.str("prop")?.to_owned());
            index_rows(&api, &args, by).await
        })
        .genr("iterTagRows", "layriden, tag, form=None, starttupl=None", async |api: Arc<CoreApi>, _, args| {
            tag_rows(&api, &args).await
        })
}

/// The layer of a call, if the caller may read it.
fn readable(api: &CoreApi, args: &Args) -> Result<Arc<Layer>> {
    let iden = args.str("layriden")?;
    let user = api.user();
    if !user.allowed(&["layer", "lift", iden], None) {
        user.confirm(&["layer", "read", iden], None)?;
    }
    api.core.stack.require_layer(iden)
}

async fn index_rows(api: &CoreApi, args: &Args, by: RowsBy) -> Result<ValueStream> {
    let layer = readable(api, args)?;
    let stor = match args.opt_int("stortype")? {
        None | Some(0) => None,
        Some(code) => {
            let known = u16::try_from(code).ok().map(StorType).filter(|stor| !stor.is_array() && stor.name().is_some());
            let bad = || err!("BadArg", mesg = format!("There is no storage type {code}."), name = "stortype");
            Some(known.ok_or_else(bad)?)
        }
    };
    let from = Some(args.get("startvalu").clone()).filter(|valu| !valu.is_null());
    if from.is_some() && stor.is_none() {
        return Err(err!("BadArg", mesg = "A value to start at needs the storage type.", name = "startvalu"));
    }
    stream(move || {
        let Some(mut walk) = layer.row_walk(by, stor, from.as_ref())? else { return Ok(none()) };
        Ok(values(move || Ok(walk.next_row()?.map(|(buid, valu)| Value::list([Value::from(&buid.0[..]), valu])))))
    })
    .await
}

async fn tag_rows(api: &CoreApi, args: &Args) -> Result<ValueStream> {
    let layer = readable(api, args)?;
    let (tag, form) = (args.str("tag")?.to_owned(), args.opt_str("form")?.map(str::to_owned));
    let from = match args.get("starttupl").as_list() {
        None | Some([]) => None,
        Some([buid, form]) => {
            let buid = buid.as_bytes().and_then(Buid::from_slice);
            let pair = buid.zip(form.as_str().map(str::to_owned));
            Some(pair.ok_or_else(|| err!("BadArg", mesg = "To start at is a node and its form.", name = "starttupl"))?)
        }
        Some(_) => return Err(err!("BadArg", mesg = "To start at is a node and its form.", name = "starttupl")),
    };
    stream(move || {
        let from = from.as_ref().map(|(buid, form)| (*buid, form.as_str()));
        let Some(mut walk) = layer.tag_walk(&tag, form.as_deref(), from)? else { return Ok(none()) };
        Ok(values(move || {
            Ok(walk.next_row()?.map(|(buid, valu, form)| {
                Value::list([Value::from(&buid.0[..]), Value::list([valu, Value::from(form)])])
            }))
        }))
    })
    .await
}

fn none() -> Values {
    Box::new(std::iter::empty())
}

/// A function that gives one value after another as a sequence.
fn values(mut next: impl FnMut() -> Result<Option<Value>> + Send + 'static) -> Values {
    Box::new(std::iter::from_fn(move || next().transpose()))
}

fn offset(args: &Args) -> Result<u64> {
    let offs = args.int("offs")?;
    u64::try_from(offs).map_err(|_| err!("BadArg", mesg = "An offset is not negative.", name = "offs"))
}

/// Stores edits as they are, and says where they are in the log and what they changed.
fn save(layer: &Layer, edits: &Value, meta: Value) -> Result<(u64, Value)> {
    let edits = unpack_edits(edits)
        .map_err(|error| err!("BadArg", mesg = format!("These are no node edits: {error}"), name = "edits"))?;
    let (offs, applied) = layer.save_edits(&edits, &meta)?;
    Ok((offs, pack_edits(&applied)))
}

/// A layer as one logged-in user sees it: the share `layer/<iden>`.
pub struct LayerApi {
    base: Arc<CellApi>,
    core: Arc<Cortex>,
    layer: Arc<Layer>,
}

impl LayerApi {
    /// The API of a user who has logged in.
    pub fn new(base: Arc<CellApi>, core: Arc<Cortex>, layer: Arc<Layer>) -> LayerApi {
        LayerApi { base, core, layer }
    }

    fn user(&self) -> User {
        self.base.user().clone()
    }

    fn req_read(&self) -> Result<()> {
        let (user, iden) = (self.user(), &**self.layer.iden());
        if user.allowed(&["layer", "lift", iden], None) {
            return Ok(());
        }
        user.confirm(&["layer", "read", iden], None)
    }

    fn req_write(&self) -> Result<()> {
        self.user().confirm(&["layer", "write", self.layer.iden()], None)
    }

    fn meta(&self, args: &Args) -> Value {
        match args.get("meta") {
            Value::Null => Map::new().with("time", now_millis()).with("user", &**self.user().iden()).into(),
            meta => meta.clone(),
        }
    }

    /// What each node of a batch is after it: `(buid, storage node, edits)`.
    fn stored(&self, applied: &Value) -> Result<Value> {
        let mut out = Vec::new();
        for node in applied.as_list().unwrap_or_default() {
            let (Some(buid), Some(edits)) = (node.at(0), node.at(2)) else { continue };
            let sode = match buid.as_bytes().and_then(Buid::from_slice) {
                Some(buid) => self.layer.sode(&buid)?,
                None => None,
            };
            let sode = match sode {
                Some(byts) => myelin_graph::SodeRef::new(&byts).to_value()?,
                None => Map::new().into(),
            };
            out.push(Value::list([buid.clone(), sode, edits.clone()]));
        }
        Ok(Value::list(out))
    }
}

#[async_trait]
impl TableApi for LayerApi {
    const CLASSES: &'static [&'static str] =
        &["synapse.lib.layer.LayerApi", "synapse.lib.cell.CellApi", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<LayerApi> {
        static TABLE: OnceLock<MethTable<LayerApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            let table = MethTable::new().extend(CellApi::table(), |api: &Arc<LayerApi>| api.base.clone());
            layer_sync(table)
                .blocking("getIden", "", |api, _, _| {
                    api.req_read()?;
                    Ok(Value::from(api.layer.iden()))
                })
                .blocking("getEditIndx", "", |api, _, _| {
                    api.req_read()?;
                    Ok(if api.layer.logs_edits() { api.layer.edit_indx() } else { 0 })
                })
                .blocking("getEditSize", "", |api, _, _| {
                    api.req_read()?;
                    api.layer.edit_size()
                })
                .blocking("saveNodeEdits", "edits, meta", |api, _, args| {
                    let user = api.user();
                    user.req_admin(None, None)?;
                    let meta = args.map("meta")?.clone().with("link:user", &**user.iden());
                    let (offs, applied) = save(&api.layer, args.get("edits"), meta.into())?;
                    Ok(Value::list([Value::from(offs), applied]))
                })
                .blocking("storNodeEdits", "nodeedits, meta=None", |api, _, args| {
                    api.req_write()?;
                    let (_, applied) = save(&api.layer, args.get("nodeedits"), api.meta(&args))?;
                    api.stored(&applied)
                })
                .blocking("storNodeEditsNoLift", "nodeedits, meta=None", |api, _, args| {
                    api.req_write()?;
                    save(&api.layer, args.get("nodeedits"), api.meta(&args)).map(|_| Value::Null)
                })
        })
    }

    async fn fini(&self) {
        TableApi::fini(&*self.base).await;
    }
}

fn layer_sync(table: MethTable<LayerApi>) -> MethTable<LayerApi> {
    table
        .genr("iterLayerNodeEdits", "", async |api: Arc<LayerApi>, _, _| {
            api.req_read()?;
            let layer = api.layer.clone();
            stream(move || {
                let mut walk = layer.sode_walk()?;
                let mut parts = std::collections::VecDeque::new();
                Ok(values(move || {
                    while parts.is_empty() {
                        match walk.next_edits()? {
                            Some(more) => parts.extend(more),
                            None => return Ok(None),
                        }
                    }
                    let Some(part) = parts.pop_front() else { return Ok(None) };
                    Ok(pack_edits(&[part]).at(0).cloned())
                }))
            })
            .await
        })
        .genr("syncNodeEdits", "offs, wait=True, reverse=False", async |api: Arc<LayerApi>, _, args| {
            api.req_read()?;
            let (wait, reverse) = (args.truthy("wait"), args.truthy("reverse"));
            let rows = follow::layer_edits(&api.core.stack, api.layer.clone(), offset(&args)?, wait, reverse);
            Ok(follow::packed(rows, false))
        })
        .genr("syncNodeEdits2", "offs, wait=True", async |api: Arc<LayerApi>, _, args| {
            api.req_read()?;
            let rows =
                follow::layer_edits(&api.core.stack, api.layer.clone(), offset(&args)?, args.truthy("wait"), false);
            Ok(follow::packed(rows, true))
        })
}

fn is_guid(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A view as one logged-in user sees it: the share `view/<iden>`.
pub struct ViewApi {
    base: Arc<CellApi>,
    core: Arc<Cortex>,
    view: Arc<View>,
    /// Whether the user may edit, as it was at login.
    edits: bool,
}

impl ViewApi {
    /// The API of a user who has logged in.
    pub fn new(base: Arc<CellApi>, core: Arc<Cortex>, view: Arc<View>) -> ViewApi {
        let edits = base.user().allowed(&["node"], Some(view.write_layer().iden()));
        ViewApi { base, core, view, edits }
    }

    fn user(&self) -> User {
        self.base.user().clone()
    }

    fn req_read(&self) -> Result<()> {
        self.user().confirm(&["view", "read"], None)
    }
}

/// Stores edits the way Storm does, so that triggers hear of them.
const STORE: &str = "$lib.view.get($iden).addNodeEdits($edits)";

#[async_trait]
impl TableApi for ViewApi {
    const CLASSES: &'static [&'static str] =
        &["synapse.lib.view.ViewApi", "synapse.lib.cell.CellApi", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<ViewApi> {
        static TABLE: OnceLock<MethTable<ViewApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            MethTable::new()
                .extend(CellApi::table(), |api: &Arc<ViewApi>| api.base.clone())
                .blocking("getCellIden", "", |api, _, _| Ok(Value::from(api.view.iden())))
                .blocking("getEditSize", "", |api, _, _| {
                    api.req_read()?;
                    api.view.write_layer().edit_size()
                })
                .blocking("saveNodeEdits", "edits, meta", |api, _, args| {
                    let user = api.user();
                    user.req_admin(None, None)?;
                    let meta = args.map("meta")?.clone().with("link:user", &**user.iden());
                    if !meta.get_str("user").is_some_and(is_guid) {
                        return Err(err!("BadArg", mesg = "The meta information names a user by iden, under user."));
                    }
                    let (offs, applied) = save(&api.view.write_layer(), args.get("edits"), meta.into())?;
                    Ok(Value::list([Value::from(offs), applied]))
                })
                .call("storNodeEdits", "edits, meta", async |api: Arc<ViewApi>, _, args| {
                    if !api.edits {
                        let mesg = "Edits of this view need the permission node on its layer.";
                        return Err(err!("AuthDeny", mesg = mesg));
                    }
                    let vars = Map::new().with("iden", &**api.view.iden()).with("edits", args.get("edits").clone());
                    let opts = Map::new().with("vars", vars).with("view", &**api.view.iden());
                    api.core.clone().call_storm(api.user(), STORE.to_owned(), opts.into()).await.map(|_| Value::Null)
                })
                .genr("syncNodeEdits2", "offs, wait=True", async |api: Arc<ViewApi>, _, args| {
                    api.req_read()?;
                    let (layer, wait) = (api.view.write_layer(), args.truthy("wait"));
                    Ok(follow::packed(follow::layer_edits(&api.core.stack, layer, offset(&args)?, wait, false), true))
                })
        })
    }

    async fn fini(&self) {
        TableApi::fini(&*self.base).await;
    }
}
