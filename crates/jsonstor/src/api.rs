//! What peers may call of a document store, and the permission each call needs.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use myelin_cell::CellApi;
use myelin_error::{Result, err};
use myelin_telepath::{Args, MethTable, TableApi, ValueStream};
use myelin_value::{Map, Value};

use crate::path;
use crate::store::{JsonStor, blocking, now};

/// A document store as one logged-in user sees it.
pub struct JsonStorApi {
    base: Arc<CellApi>,
    stor: JsonStor,
}

impl JsonStorApi {
    /// The API of a user who has logged in.
    pub fn new(base: Arc<CellApi>, stor: JsonStor) -> JsonStorApi {
        JsonStorApi { base, stor }
    }

    /// The path of an argument, which the user must have a permission on.
    fn path(&self, args: &Args, name: &str, perm: &str) -> Result<Vec<String>> {
        self.allowed_path(args.get(name), perm)
    }

    fn allowed_path(&self, path: &Value, perm: &str) -> Result<Vec<String>> {
        let path = path::elements(path)?;
        let mut full = vec!["json", perm];
        full.extend(path.iter().map(String::as_str));
        self.base.user().confirm(&full, None)?;
        Ok(path)
    }

    /// The name of a queue, which the user must have a permission on.
    fn queue<'a>(&self, args: &'a Args, perm: &str) -> Result<&'a str> {
        let name = args.str("name")?;
        self.base.user().confirm(&["queue", perm, name], None)?;
        Ok(name)
    }

    fn admin(&self) -> Result<()> {
        self.base.user().req_admin(None, None)
    }
}

#[async_trait]
impl TableApi for JsonStorApi {
    const CLASSES: &'static [&'static str] =
        &["synapse.lib.jsonstor.JsonStorApi", "synapse.lib.cell.CellApi", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<JsonStorApi> {
        static TABLE: OnceLock<MethTable<JsonStorApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            let base = MethTable::new().extend(CellApi::table(), |api: &Arc<JsonStorApi>| api.base.clone());
            notifs(queues(props(objs(base))))
        })
    }

    async fn fini(&self) {
        TableApi::fini(&*self.base).await;
    }
}

fn objs(table: MethTable<JsonStorApi>) -> MethTable<JsonStorApi> {
    table
        .blocking("hasPathObj", "path", |api, _, args| api.stor.has(&api.path(&args, "path", "get")?))
        .blocking("getPathObj", "path", |api, _, args| api.stor.get(&api.path(&args, "path", "get")?))
        .blocking("setPathObj", "path, item", |api, _, args| {
            api.stor.set(&api.path(&args, "path", "set")?, args.get("item").clone()).map(|()| Value::Null)
        })
        .blocking("delPathObj", "path", |api, _, args| {
            api.stor.del(&api.path(&args, "path", "del")?).map(|()| Value::Null)
        })
        .blocking("copyPathObj", "oldp, newp", |api, _, args| {
            let (old, new) = (api.path(&args, "oldp", "get")?, api.path(&args, "newp", "set")?);
            api.stor.copy(&old, &new).map(|()| Value::Null)
        })
        .blocking("copyPathObjs", "paths", |api, _, args| {
            let mut pairs = Vec::new();
            for pair in args.list("paths")? {
                let (Some(old), Some(new)) = (pair.at(0), pair.at(1)) else {
                    return Err(err!("BadArg", mesg = "Each copy is a pair of paths.", name = "paths"));
                };
                pairs.push((api.allowed_path(old, "get")?, api.allowed_path(new, "set")?));
            }
            api.stor.copies(&pairs).map(|()| Value::Null)
        })
        .blocking("setPathLink", "srcpath, dstpath", |api, _, args| {
            let (dst, src) = (api.path(&args, "dstpath", "get")?, api.path(&args, "srcpath", "set")?);
            api.stor.link(&src, &dst).map(|()| Value::Null)
        })
        .genr("getPathList", "path", async |api: Arc<JsonStorApi>, _, args| {
            let path = api.path(&args, "path", "list")?;
            Ok(stream(blocking(move || api.stor.list(&path)).await?))
        })
        .genr("getPathObjs", "path", async |api: Arc<JsonStorApi>, _, args| {
            let path = api.path(&args, "path", "get")?;
            let objs = blocking(move || api.stor.objs(&path)).await?;
            let pair =
                |(path, item): (Vec<String>, Value)| Value::list([path.into_iter().map(Value::from).collect(), item]);
            Ok(stream(objs.into_iter().map(pair).collect()))
        })
}

fn props(table: MethTable<JsonStorApi>) -> MethTable<JsonStorApi> {
    let prop = |args: &Args, name: &str| path::elements(args.get(name));
    table
        .blocking("getPathObjProp", "path, prop", move |api, _, args| {
            api.stor.get_prop(&api.path(&args, "path", "get")?, &prop(&args, "prop")?)
        })
        .blocking("setPathObjProp", "path, prop, valu", move |api, _, args| {
            api.stor.set_prop(&api.path(&args, "path", "set")?, &prop(&args, "prop")?, args.get("valu").clone())
        })
        .blocking("delPathObjProp", "path, name", move |api, _, args| {
            api.stor.del_prop(&api.path(&args, "path", "set")?, &prop(&args, "name")?)
        })
        .blocking("popPathObjProp", "path, prop", move |api, _, args| {
            api.stor.pop_prop(&api.path(&args, "path", "set")?, &prop(&args, "prop")?)
        })
        .blocking("cmpDelPathObjProp", "path, name, valu", move |api, _, args| {
            let (path, name) = (api.path(&args, "path", "set")?, prop(&args, "name")?);
            api.stor.cmp_del_prop(&path, &name, args.get("valu").clone())
        })
}

fn queues(table: MethTable<JsonStorApi>) -> MethTable<JsonStorApi> {
    table
        .blocking("addQueue", "name, info", |api, _, args| {
            let name = api.queue(&args, "add")?;
            let info: Map = args.map("info")?.clone();
            api.stor.add_queue(name, info.with("owner", &**api.base.user().iden()).with("created", now()))
        })
        .blocking("delQueue", "name", |api, _, args| api.stor.del_queue(api.queue(&args, "del")?))
        .blocking("cullQueue", "name, offs", |api, _, args| {
            api.stor.cull_queue(api.queue(&args, "gets")?, offset(args.int("offs")?)?).map(|()| Value::Null)
        })
        .blocking("putsQueue", "name, items", |api, _, args| {
            api.stor.puts_queue(api.queue(&args, "puts")?, args.list("items")?.to_vec())
        })
        .genr("getsQueue", "name, offs, size=None, cull=True, wait=True", async |api: Arc<JsonStorApi>, _, args| {
            let (name, size) = (api.queue(&args, "gets")?, args.opt_int("size")?);
            let size = size.map(|size| u64::try_from(size).unwrap_or_default());
            let offs = offset(args.int("offs")?)?;
            api.stor.gets_queue(name, offs, size, args.truthy("cull"), args.truthy("wait")).await
        })
}

fn notifs(table: MethTable<JsonStorApi>) -> MethTable<JsonStorApi> {
    table
        .blocking("addUserNotif", "useriden, mesgtype, mesgdata=None", |api, _, args| {
            api.admin()?;
            api.stor.add_notif(args.str("useriden")?, args.str("mesgtype")?, args.get("mesgdata").clone())
        })
        .blocking("getUserNotif", "indx", |api, _, args| {
            api.admin()?;
            api.stor.notif(offset(args.int("indx")?)?)
        })
        .blocking("delUserNotif", "indx", |api, _, args| {
            api.admin()?;
            api.stor.del_notif(offset(args.int("indx")?)?).map(|()| Value::Null)
        })
        .genr("iterUserNotifs", "useriden, size=None", async |api: Arc<JsonStorApi>, _, args| {
            api.admin()?;
            let (user, size) = (args.str("useriden")?.to_owned(), args.opt_int("size")?);
            let size = size.map(|size| usize::try_from(size).unwrap_or_default().max(1));
            Ok(stream(blocking(move || api.stor.user_notifs(&user, size)).await?))
        })
        .genr("watchAllUserNotifs", "offs=None", async |api: Arc<JsonStorApi>, _, args| {
            api.admin()?;
            Ok(api.stor.watch_notifs(args.opt_int("offs")?.map(offset).transpose()?))
        })
}

fn offset(offs: i64) -> Result<u64> {
    u64::try_from(offs).map_err(|_| err!("BadArg", mesg = "An offset must not be negative.", offs = offs))
}

fn stream<T: Into<Value> + Send + 'static>(items: Vec<T>) -> ValueStream {
    Box::pin(futures::stream::iter(items.into_iter().map(|item| Ok(item.into()))))
}
