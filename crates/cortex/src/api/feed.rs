//! Calls that add packed nodes, and uploads to the axon.

use std::sync::Arc;

use async_trait::async_trait;
use myelin_error::Result;
use myelin_telepath::{Api, MethTable, RemoteShare, Reply, TableApi, Todo};

use super::CoreApi;
use crate::Cortex;
use crate::parts::stores::FileStore;

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .call("addFeedData", "name, items, *, viewiden=None", async |api: Arc<CoreApi>, _, args| {
            let (name, items) = (args.str("name")?.to_owned(), args.get("items").clone());
            api.core.clone().add_feed(api.user(), name, items, args.get("viewiden").clone()).await
        })
        .call("feedFromAxon", "sha256, opts=None", async |api: Arc<CoreApi>, _, args| {
            let (sha256, opts) = (args.str("sha256")?.to_owned(), args.get("opts").clone());
            api.core.clone().feed_from_axon(api.user(), sha256, opts).await
        })
        .genr("addNodes", "nodes", async |api: Arc<CoreApi>, _, args| {
            api.core.clone().add_nodes(api.user(), args.get("nodes").clone()).await
        })
        .call("addNode", "form, valu, props=None", async |api: Arc<CoreApi>, _, args| {
            let ndef = [args.get("form").clone(), args.get("valu").clone()];
            api.core.clone().add_node(api.user(), ndef, args.get("props").clone()).await
        })
        .call("getAxonUpload", "", async |api: Arc<CoreApi>, _, _| {
            api.confirm(&["axon", "upload"])?;
            upload(&api.core).await.map(Reply::Share)
        })
}

async fn upload(core: &Arc<Cortex>) -> Result<Arc<dyn Api>> {
    match &core.stores.axon {
        FileStore::Own(axon) => Ok(myelin_axon::api::upload_share(axon)),
        FileStore::Remote(client) => {
            let share = client.proxy(None).await?.share("upload").await?;
            Ok(Arc::new(RemoteUpload(share)))
        }
    }
}

/// An upload to an axon that is a service of its own, for a peer of the cortex.
struct RemoteUpload(RemoteShare);

#[async_trait]
impl TableApi for RemoteUpload {
    const CLASSES: &'static [&'static str] =
        &["synapse.axon.UpLoadProxy", "synapse.lib.share.Share", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<RemoteUpload> {
        static TABLE: std::sync::OnceLock<MethTable<RemoteUpload>> = std::sync::OnceLock::new();
        TABLE.get_or_init(|| {
            MethTable::new()
                .call("write", "byts", async |share: Arc<RemoteUpload>, _, args| {
                    share.0.call(Todo::new("write").arg(args.bytes("byts")?)).await
                })
                .call("save", "", async |share: Arc<RemoteUpload>, _, _| share.0.call("save").await)
        })
    }
}
