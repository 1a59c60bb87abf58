//! What peers may call of an axon, and the permission each call needs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use myelin_cell::{CellApi, User};
use myelin_error::{Result, err};
use myelin_telepath::{Api, Args, MethTable, Reply, TableApi, ValueStream};
use myelin_value::{Value, msgpack};
use parking_lot::Mutex;

use crate::axon::{Axon, blocking, req_bytes, sha256_of, stream_of};
use crate::csv::{Dialect, Rows};
use crate::http::request_of;
use crate::lines::{Errors, Lines, json_line};
use crate::unpack::Format;
use crate::upload::Upload;

/// An axon as one logged-in user sees it.
pub struct AxonApi {
    base: Arc<CellApi>,
    axon: Axon,
}

impl AxonApi {
    /// The API of a user who has logged in.
    pub fn new(base: Arc<CellApi>, axon: Axon) -> AxonApi {
        AxonApi { base, axon }
    }

    fn user(&self) -> &User {
        self.base.user()
    }

    fn need(&self, perm: &str) -> Result<()> {
        self.user().confirm(&["axon", perm], None)
    }

    fn by_hex(&self, args: &Args) -> Result<crate::Chunks> {
        self.need("get")?;
        self.axon.get(&sha256_of(args.str("sha256")?)?)
    }
}

#[async_trait]
impl TableApi for AxonApi {
    const CLASSES: &'static [&'static str] =
        &["synapse.axon.AxonApi", "synapse.lib.cell.CellApi", "synapse.lib.share.Share", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<AxonApi> {
        static TABLE: OnceLock<MethTable<AxonApi>> = OnceLock::new();
        TABLE.get_or_init(|| {
            reads(writes(MethTable::new().extend(CellApi::table(), |api: &Arc<AxonApi>| api.base.clone())))
        })
    }

    async fn fini(&self) {
        TableApi::fini(&*self.base).await;
    }
}

const HTTP_SIG: &str = "url, params=None, headers=None, json=None, body=None, method='GET', ssl=True, timeout=None, \
     proxy=True, ssl_opts=None";
const POST_SIG: &str =
    "fields, url, params=None, headers=None, method='POST', ssl=True, timeout=None, proxy=True, ssl_opts=None";
const PUT_SIG: &str = "sha256, url, params=None, headers=None, method='PUT', ssl=True, timeout=None, proxy=True, \
     ssl_opts=None";

fn reads(table: MethTable<AxonApi>) -> MethTable<AxonApi> {
    table
        .genr("get", "sha256, offs=None, size=None", async |api: Arc<AxonApi>, _, args| {
            api.need("get")?;
            let chunks = blocking(move || {
                let sha256 = args.bytes("sha256")?;
                match (args.opt_int("offs")?, args.opt_int("size")?) {
                    (None, None) => api.axon.get(sha256),
                    (offs, size) => api.axon.get_part(sha256, offs.unwrap_or(0), size),
                }
            });
            Ok(stream_of(chunks.await?.map(|chunk| chunk.map(Value::Bytes))))
        })
        .blocking("has", "sha256", |api, _, args| {
            api.need("has")?;
            api.axon.has(args.bytes("sha256")?)
        })
        .blocking("size", "sha256", |api, _, args| {
            api.need("has")?;
            Ok(api.axon.size(args.bytes("sha256")?)?.map_or(Value::Null, Value::from))
        })
        .blocking("hashset", "sha256", |api, _, args| {
            api.need("has")?;
            api.axon.hashset(args.bytes("sha256")?)
        })
        .blocking("wants", "sha256s", |api, _, args| {
            api.need("has")?;
            api.axon.wants(args.list("sha256s")?)
        })
        .blocking("metrics", "", |api, _, _| {
            api.need("has")?;
            Ok(api.axon.metrics())
        })
        .genr("hashes", "offs, wait=False, timeout=None", async |api: Arc<AxonApi>, _, args| {
            api.need("has")?;
            let offs = u64::try_from(args.int("offs")?).unwrap_or_default();
            Ok(api.axon.hashes(offs, args.truthy("wait"), seconds(args.get("timeout"))?))
        })
        .genr("history", "tick, tock=None", async |api: Arc<AxonApi>, _, args| {
            api.need("has")?;
            let (tick, tock) = (args.int("tick")?, args.opt_int("tock")?);
            let rows = blocking(move || api.axon.history(tick, tock)).await?;
            Ok(Box::pin(futures::stream::iter(rows.into_iter().map(Ok))) as ValueStream)
        })
        .genr("readlines", "sha256, errors='ignore'", async |api: Arc<AxonApi>, _, args| {
            let lines = blocking(move || Ok(Lines::new(api.by_hex(&args)?, Errors::parse(args.str("errors")?)?)));
            Ok(stream_of(lines.await?.map(|line| line.map(Value::from))))
        })
        .genr("jsonlines", "sha256, errors='ignore'", async |api: Arc<AxonApi>, _, args| {
            let sha256 = args.str("sha256")?.to_owned();
            let lines = blocking(move || Ok(Lines::new(api.by_hex(&args)?, Errors::parse(args.str("errors")?)?)));
            let values =
                lines.await?.filter_map(move |line| line.and_then(|line| json_line(&line, &sha256)).transpose());
            Ok(stream_of(values))
        })
        .genr("csvrows", "sha256, dialect='excel', errors='ignore', **fmtparams", async |api: Arc<AxonApi>, _, args| {
            api.need("get")?;
            let rows = blocking(move || {
                let chunks = api.axon.get(args.bytes("sha256")?)?;
                let dialect = Dialect::parse(args.str("dialect")?, &args.kwargs)?;
                Ok(Rows::new(Lines::new(chunks, Errors::parse(args.str("errors")?)?), dialect))
            });
            Ok(stream_of(rows.await?))
        })
        .genr("iterMpkFile", "sha256", async |api: Arc<AxonApi>, _, args| {
            let chunks = blocking(move || api.by_hex(&args)).await?;
            Ok(stream_of(MpkItems::new(chunks)))
        })
        .blocking("unpack", "sha256, fmt, offs=0", |api, _, args| {
            api.need("get")?;
            let fmt = args.get("fmt").as_str();
            let fmt = fmt.ok_or_else(|| err!("BadArg", mesg = "Format string must be a string"))?;
            unpack(&api.axon, args.bytes("sha256")?, fmt, args.int("offs")?)
        })
}

fn writes(table: MethTable<AxonApi>) -> MethTable<AxonApi> {
    table
        .blocking("put", "byts", |api, _, args| {
            api.need("upload")?;
            put(&api.axon, args.get("byts"))
        })
        .blocking("puts", "files", |api, _, args| {
            api.need("upload")?;
            args.list("files")?.iter().map(|byts| put(&api.axon, byts)).collect::<Result<Value>>()
        })
        .call("upload", "", async |api: Arc<AxonApi>, _, _| {
            api.need("upload")?;
            Ok(Reply::Share(upload_share(&api.axon)))
        })
        .blocking("del_", "sha256", |api, _, args| {
            api.need("del")?;
            api.axon.del(args.bytes("sha256")?)
        })
        .blocking("dels", "sha256s", |api, _, args| {
            api.need("del")?;
            let sha256s = args.list("sha256s")?.iter();
            sha256s.map(|sha256| Ok(api.axon.del(req_bytes(sha256)?)?.into())).collect::<Result<Value>>()
        })
        .call("wget", HTTP_SIG, async |api: Arc<AxonApi>, _, args| {
            api.user().confirm(&["axon", "wget"], None)?;
            api.axon.wget(request_of(&args)?).await
        })
        .call("wput", PUT_SIG, async |api: Arc<AxonApi>, _, args| {
            api.user().confirm(&["axon", "wput"], None)?;
            api.axon.wput(args.bytes("sha256")?, request_of(&args)?).await
        })
        .call("postfiles", POST_SIG, async |api: Arc<AxonApi>, _, args| {
            api.user().confirm(&["axon", "wput"], None)?;
            api.axon.post_files(args.list("fields")?, request_of(&args)?).await
        })
}

fn put(axon: &Axon, byts: &Value) -> Result<Value> {
    let (size, sha256) = axon.put(req_bytes(byts)?)?;
    Ok(Value::list([size.into(), (&sha256[..]).into()]))
}

/// Binary fields of a file from an offset on.
pub fn unpack(axon: &Axon, sha256: &[u8], fmt: &str, offs: i64) -> Result<Value> {
    let format = Format::parse(fmt)?;
    let mut byts = Vec::with_capacity(format.size());
    for chunk in axon.get_part(sha256, offs, Some(format.size() as i64))? {
        byts.extend_from_slice(&chunk?);
    }
    format.unpack(&byts)
}

fn seconds(valu: &Value) -> Result<Option<Duration>> {
    let secs = valu.as_f64().or_else(|| valu.as_i64().map(|secs| secs as f64));
    match secs {
        _ if valu.is_null() => Ok(None),
        Some(secs) => Ok(Some(Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX))),
        None => Err(err!("BadArg", mesg = "A timeout is a number of seconds.", name = "timeout")),
    }
}

/// The values of a msgpack file. A value that is cut off at its end is left out.
pub struct MpkItems<I> {
    chunks: I,
    decoder: msgpack::Decoder,
}

impl<I> MpkItems<I> {
    fn new(chunks: I) -> MpkItems<I> {
        MpkItems { chunks, decoder: msgpack::Decoder::new(msgpack::MAX_FRAME) }
    }
}

impl Axon {
    /// The values of a msgpack file.
    ///
    /// # Errors
    /// `NoSuchFile`.
    pub fn mpk_items(&self, sha256: &[u8]) -> Result<impl Iterator<Item = Result<Value>> + Send + use<>> {
        Ok(MpkItems::new(self.get(sha256)?))
    }
}

impl<I: Iterator<Item = Result<Arc<[u8]>>>> Iterator for MpkItems<I> {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.decoder.next_value() {
                Ok(Some((valu, _))) => return Some(Ok(valu)),
                Ok(None) => {}
                Err(error) => return Some(Err(error.into())),
            }
            match self.chunks.next()? {
                Ok(chunk) => self.decoder.feed(&chunk),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A new upload that a peer writes to.
pub fn upload_share(axon: &Axon) -> Arc<dyn Api> {
    Arc::new(UploadShare(Mutex::new(Some(axon.upload()))))
}

/// An upload that lives in a peer's session. It is taken out while a call works on it.
struct UploadShare(Mutex<Option<Upload>>);

impl UploadShare {
    fn with<T>(&self, func: impl FnOnce(&mut Upload) -> Result<T>) -> Result<T> {
        let mut upload = self.0.lock();
        upload.as_mut().map_or_else(|| Err(err!("IsFini", mesg = "The upload was closed.")), func)
    }
}

#[async_trait]
impl TableApi for UploadShare {
    const CLASSES: &'static [&'static str] =
        &["synapse.axon.UpLoadShare", "synapse.axon.UpLoad", "synapse.lib.share.Share", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<UploadShare> {
        static TABLE: OnceLock<MethTable<UploadShare>> = OnceLock::new();
        TABLE.get_or_init(|| {
            MethTable::new()
                .blocking("write", "byts", |share: &UploadShare, _, args| {
                    share.with(|upload| upload.write(args.bytes("byts")?)).map(|()| Value::Null)
                })
                .blocking("save", "", |share: &UploadShare, _, _| {
                    let (size, sha256) = share.with(Upload::save)?;
                    Ok(Value::list([size.into(), (&sha256[..]).into()]))
                })
        })
    }

    async fn fini(&self) {
        *self.0.lock() = None;
    }
}
