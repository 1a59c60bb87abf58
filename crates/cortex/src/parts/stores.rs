//! Where a cortex keeps files and documents: in an axon and a jsonstor of its own, or in those that its options name.
//!
//! Its own ones are cells inside the cortex's directory which write through the cortex's nexus. Methods block; those who
//! call them are query threads and threads for blocking work.

use std::sync::Arc;

use myelin_axon::{Axon, Request};
use myelin_cell::Cell;
use myelin_error::{Error, Result};
use myelin_jsonstor::JsonStor;
use myelin_telepath::{Client, Todo};
use myelin_value::{Map, Value, guid_of};

use crate::wait::{self, Values};

/// The stores of a cortex.
pub struct Stores {
    /// The files.
    pub axon: FileStore,
    /// The documents.
    pub jsonstor: DocStore,
}

impl Stores {
    /// Opens the cortex's own stores, or prepares to call those that the options name.
    ///
    /// # Errors
    /// What opening a store fails with.
    pub fn open(cell: &Cell) -> Result<Stores> {
        let axon = match cell.conf().str("axon") {
            Some(url) => FileStore::Remote(remote(&url)?),
            None => FileStore::Own(own_axon(cell)?),
        };
        let jsonstor = match cell.conf().str("jsonstor") {
            Some(url) => DocStore::Remote(remote(&url)?),
            None => DocStore::Own(own_jsonstor(cell)?),
        };
        Ok(Stores { axon, jsonstor })
    }
}

fn remote(url: &str) -> Result<Client> {
    wait::enter(|| Client::open(url))
}

fn own_axon(cell: &Cell) -> Result<Axon> {
    let mut conf = Map::new();
    for key in ["http:proxy", "tls:ca:dir"] {
        if let Some(valu) = cell.conf().str(key) {
            conf.insert(key, valu);
        }
    }
    let child = Cell::open_child(myelin_axon::SPEC, cell, &cell.dirn().join("axon"), conf, None)?;
    let axon = Axon::open(&child)?;
    child.start()?;
    Ok(axon)
}

fn own_jsonstor(cell: &Cell) -> Result<JsonStor> {
    let iden = guid_of(&[cell.iden(), "jsonstor"].into_iter().map(Value::from).collect());
    let dirn = cell.dirn().join("jsonstor");
    let child = Cell::open_child(myelin_jsonstor::SPEC, cell, &dirn, Map::new(), Some(&iden))?;
    let stor = JsonStor::open(&child)?;
    child.start()?;
    Ok(stor)
}

/// The files of a cortex.
pub enum FileStore {
    /// In an axon of its own.
    Own(Axon),
    /// In another service.
    Remote(Client),
}

impl FileStore {
    /// The axon, when it is the cortex's own.
    pub fn own(&self) -> Option<&Axon> {
        match self {
            FileStore::Own(axon) => Some(axon),
            FileStore::Remote(_) => None,
        }
    }

    fn call(client: &Client, todo: Todo) -> Result<Value> {
        wait::block(client.call(todo))
    }

    /// Whether there is a file.
    pub fn has(&self, sha256: &[u8]) -> Result<bool> {
        match self {
            FileStore::Own(axon) => axon.has(sha256),
            FileStore::Remote(client) => Ok(Self::call(client, Todo::new("has").arg(sha256))?.is_truthy()),
        }
    }

    /// The size of a file, null if there is none.
    pub fn size(&self, sha256: &[u8]) -> Result<Value> {
        match self {
            FileStore::Own(axon) => Ok(axon.size(sha256)?.map_or(Value::Null, Value::from)),
            FileStore::Remote(client) => Self::call(client, Todo::new("size").arg(sha256)),
        }
    }

    /// The hashes of a file by name.
    pub fn hashset(&self, sha256: &[u8]) -> Result<Value> {
        match self {
            FileStore::Own(axon) => axon.hashset(sha256).map(Value::from),
            FileStore::Remote(client) => Self::call(client, Todo::new("hashset").arg(sha256)),
        }
    }

    /// How many files and bytes there are.
    pub fn metrics(&self) -> Result<Value> {
        match self {
            FileStore::Own(axon) => Ok(axon.metrics().into()),
            FileStore::Remote(client) => Self::call(client, Todo::new("metrics")),
        }
    }

    /// Removes a file. Says whether there was one.
    pub fn del(&self, sha256: &[u8]) -> Result<bool> {
        match self {
            FileStore::Own(axon) => axon.del(sha256),
            FileStore::Remote(client) => Ok(Self::call(client, Todo::new("del_").arg(sha256))?.is_truthy()),
        }
    }

    /// Stores bytes; their count and SHA-256.
    pub fn put(&self, byts: &[u8]) -> Result<(u64, Vec<u8>)> {
        match self {
            FileStore::Own(axon) => axon.put(byts).map(|(size, sha256)| (size, sha256.to_vec())),
            FileStore::Remote(client) => saved(&Self::call(client, Todo::new("put").arg(byts))?),
        }
    }

    /// Stores what comes in pieces; their count and SHA-256.
    pub fn upload<E: From<Error>>(
        &self,
        mut next: impl FnMut() -> std::result::Result<Option<Vec<u8>>, E>,
    ) -> std::result::Result<(u64, Vec<u8>), E> {
        match self {
            FileStore::Own(axon) => {
                let mut upload = axon.upload();
                while let Some(byts) = next()? {
                    upload.write(&byts)?;
                }
                let (size, sha256) = upload.save()?;
                Ok((size, sha256.to_vec()))
            }
            FileStore::Remote(client) => {
                let upload = wait::block(async { client.proxy(None).await?.share("upload").await })?;
                while let Some(byts) = next()? {
                    wait::block(upload.call(Todo::new("write").arg(byts)))?;
                }
                Ok(saved(&wait::block(upload.call("save"))?)?)
            }
        }
    }

    /// A file's bytes in chunks, or a part of them.
    pub fn get(&self, sha256: &[u8], part: Option<(i64, i64)>) -> Result<Values> {
        match self {
            FileStore::Own(axon) => {
                let chunks = match part {
                    None => axon.get(sha256)?,
                    Some((offs, size)) => axon.get_part(sha256, offs, Some(size))?,
                };
                Ok(Box::new(chunks.map(|chunk| chunk.map(Value::Bytes))))
            }
            FileStore::Remote(client) => {
                let mut todo = Todo::new("get").arg(sha256);
                if let Some((offs, size)) = part {
                    todo = todo.kw("offs", offs).kw("size", size);
                }
                stream(client, todo)
            }
        }
    }

    /// A method that gives a sequence, by its telepath name; `own` makes it from an axon of the cortex's own.
    pub fn genr(&self, todo: Todo, own: impl FnOnce(&Axon) -> Result<Values>) -> Result<Values> {
        match self {
            FileStore::Own(axon) => own(axon),
            FileStore::Remote(client) => stream(client, todo),
        }
    }

    /// Fetches a URL into the store.
    pub async fn wget(&self, request: Request) -> Result<Value> {
        match self {
            FileStore::Own(axon) => axon.wget(request).await.map(Value::from),
            FileStore::Remote(client) => client.call(request_todo("wget", None, &request)).await,
        }
    }

    /// Sends a file to a URL.
    pub async fn wput(&self, sha256: &[u8], request: Request) -> Result<Value> {
        match self {
            FileStore::Own(axon) => axon.wput(sha256, request).await.map(Value::from),
            FileStore::Remote(client) => client.call(request_todo("wput", Some(sha256.into()), &request)).await,
        }
    }

    /// Sends a form, fields of which may be files.
    pub async fn post_files(&self, fields: &Value, request: Request) -> Result<Value> {
        match self {
            FileStore::Own(axon) => {
                axon.post_files(fields.as_list().unwrap_or_default(), request).await.map(Value::from)
            }
            FileStore::Remote(client) => client.call(request_todo("postfiles", Some(fields.clone()), &request)).await,
        }
    }
}

fn saved(valu: &Value) -> Result<(u64, Vec<u8>)> {
    match (valu.at(0).and_then(Value::as_u64), valu.at(1).and_then(Value::as_bytes)) {
        (Some(size), Some(sha256)) => Ok((size, sha256.to_vec())),
        _ => Err(Error::mesg("BadMesgFormat", "The axon answered a put with something else than size and SHA-256.")),
    }
}

fn request_todo(name: &str, first: Option<Value>, request: &Request) -> Todo {
    let mut todo = Todo::new(name);
    if let Some(first) = first {
        todo = todo.arg(first);
    }
    todo = todo.arg(request.url.as_str()).kw("method", request.method.as_str());
    let optional = [
        ("params", &request.params),
        ("headers", &request.headers),
        ("json", &request.json),
        ("body", &request.body),
        ("ssl", &request.ssl),
        ("ssl_opts", &request.ssl_opts),
        ("timeout", &request.timeout),
        ("proxy", &request.proxy),
    ];
    for (key, valu) in optional {
        if !valu.is_null() {
            todo = todo.kw(key, valu.clone());
        }
    }
    todo
}

fn stream(client: &Client, todo: Todo) -> Result<Values> {
    let mut genr = wait::block(client.genr(todo))?;
    Ok(Box::new(std::iter::from_fn(move || wait::block(genr.next()))))
}

/// The files of a cortex as its HTTPS routes serve them.
pub struct Served(pub Arc<crate::Cortex>);

impl myelin_axon::routes::Files for Served {
    fn has(&self, sha256: &[u8]) -> Result<bool> {
        self.0.stores.axon.has(sha256)
    }

    fn size(&self, sha256: &[u8]) -> Result<Option<u64>> {
        Ok(self.0.stores.axon.size(sha256)?.as_u64())
    }

    fn del(&self, sha256: &[u8]) -> Result<bool> {
        self.0.stores.axon.del(sha256)
    }

    fn get(&self, sha256: &[u8], part: Option<(u64, u64)>) -> Result<myelin_axon::routes::Pieces> {
        use myelin_axon::routes::signed;
        let part = match part {
            Some((offs, size)) => Some((signed(offs)?, signed(size)?)),
            None => None,
        };
        let chunks = self.0.stores.axon.get(sha256, part)?;
        let wrong = || Error::mesg("BadMesgFormat", "The axon answered with something else than bytes.");
        Ok(Box::new(chunks.map(move |chunk| match chunk? {
            Value::Bytes(byts) => Ok(byts),
            _ => Err(wrong()),
        })))
    }

    fn put(&self, next: myelin_axon::routes::Incoming) -> Result<u64> {
        Ok(self.0.stores.axon.upload(next)?.0)
    }
}

/// The documents of a cortex.
pub enum DocStore {
    /// In a jsonstor of its own.
    Own(JsonStor),
    /// In another service.
    Remote(Client),
}

/// A path's elements.
pub type DocPath = [String];

fn list(path: &DocPath) -> Value {
    path.iter().map(Value::from).collect()
}

impl DocStore {
    /// An object, or a property of it; null if there is none.
    pub fn get(&self, path: &DocPath, prop: Option<&DocPath>) -> Result<Value> {
        match (self, prop) {
            (DocStore::Own(stor), None) => stor.get(path),
            (DocStore::Own(stor), Some(prop)) => stor.get_prop(path, prop),
            (DocStore::Remote(client), None) => wait::block(client.call(Todo::new("getPathObj").arg(list(path)))),
            (DocStore::Remote(client), Some(prop)) => {
                wait::block(client.call(Todo::new("getPathObjProp").arg(list(path)).arg(list(prop))))
            }
        }
    }

    /// Stores an object, or a property of one. Says whether it could.
    pub fn set(&self, path: &DocPath, prop: Option<&DocPath>, valu: Value) -> Result<bool> {
        match (self, prop) {
            (DocStore::Own(stor), None) => stor.set(path, valu).map(|()| true),
            (DocStore::Own(stor), Some(prop)) => stor.set_prop(path, prop, valu),
            (DocStore::Remote(client), None) => {
                wait::block(client.call(Todo::new("setPathObj").arg(list(path)).arg(valu))).map(|_| true)
            }
            (DocStore::Remote(client), Some(prop)) => {
                let todo = Todo::new("setPathObjProp").arg(list(path)).arg(list(prop)).arg(valu);
                wait::block(client.call(todo)).map(|done| done.is_truthy())
            }
        }
    }

    /// Removes an object, or a property of one. Says whether it could.
    pub fn del(&self, path: &DocPath, prop: Option<&DocPath>) -> Result<bool> {
        match (self, prop) {
            (DocStore::Own(stor), None) => stor.del(path).map(|()| true),
            (DocStore::Own(stor), Some(prop)) => stor.del_prop(path, prop),
            (DocStore::Remote(client), None) => {
                wait::block(client.call(Todo::new("delPathObj").arg(list(path)))).map(|_| true)
            }
            (DocStore::Remote(client), Some(prop)) => {
                let todo = Todo::new("delPathObjProp").arg(list(path)).arg(list(prop));
                wait::block(client.call(todo)).map(|done| done.is_truthy())
            }
        }
    }

    /// The objects under a path: `(path, object)` each.
    pub fn objs(&self, path: &DocPath) -> Result<Values> {
        match self {
            DocStore::Own(stor) => {
                let objs = stor.objs(path)?;
                Ok(Box::new(objs.into_iter().map(|(path, item)| Ok(Value::list([list(&path), item])))))
            }
            DocStore::Remote(client) => stream(client, Todo::new("getPathObjs").arg(list(path))),
        }
    }

    /// Adds a notification for a user and returns its offset.
    pub fn add_notif(&self, user: &str, kind: &str, data: Value) -> Result<Value> {
        match self {
            DocStore::Own(stor) => stor.add_notif(user, kind, data),
            DocStore::Remote(client) => {
                wait::block(client.call(Todo::new("addUserNotif").arg(user).arg(kind).arg(data)))
            }
        }
    }

    /// One notification; null if there is none.
    pub fn notif(&self, indx: u64) -> Result<Value> {
        match self {
            DocStore::Own(stor) => stor.notif(indx),
            DocStore::Remote(client) => wait::block(client.call(Todo::new("getUserNotif").arg(indx))),
        }
    }

    /// Removes a notification.
    pub fn del_notif(&self, indx: u64) -> Result<()> {
        match self {
            DocStore::Own(stor) => stor.del_notif(indx),
            DocStore::Remote(client) => wait::block(client.call(Todo::new("delUserNotif").arg(indx))).map(drop),
        }
    }

    /// The notifications of a user, newest first.
    pub fn user_notifs(&self, user: &str, size: Option<usize>) -> Result<Values> {
        match self {
            DocStore::Own(stor) => Ok(Box::new(stor.user_notifs(user, size)?.into_iter().map(Ok))),
            DocStore::Remote(client) => {
                let mut todo = Todo::new("iterUserNotifs").arg(user);
                if let Some(size) = size {
                    todo = todo.kw("size", size);
                }
                stream(client, todo)
            }
        }
    }

    /// Notifications as they come. Does not block.
    pub async fn watch_notifs(&self, offs: Option<u64>) -> Result<myelin_telepath::ValueStream> {
        use futures::StreamExt;
        match self {
            DocStore::Own(stor) => Ok(stor.watch_notifs(offs)),
            DocStore::Remote(client) => {
                let genr = client.genr(Todo::new("watchAllUserNotifs").kw("offs", offs)).await?;
                Ok(genr.into_stream().boxed())
            }
        }
    }
}

/// Shared by what keeps files.
pub type SharedStores = Arc<Stores>;
