//! The HTTPS routes about files, of an axon and of what has one: a cortex serves the same, whatever axon it uses.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use myelin_cell::User;
use myelin_cell::http::{Fail, JsonBody, MaybeWho, Reply, Routes, blocking, req_allowed, unauthenticated};
use myelin_error::{Error, Result, err};
use myelin_value::Value;

use crate::axon::{Axon, HashSet, sha256_of, stream_of};
use crate::hex_of;

/// Bytes of a file in pieces.
pub type Pieces = Box<dyn Iterator<Item = Result<Arc<[u8]>>> + Send>;
/// Pieces as they come in; nothing at the end.
pub type Incoming = Box<dyn FnMut() -> Result<Option<Vec<u8>>> + Send>;

/// What keeps the files of a service. Its methods block.
pub trait Files: Send + Sync + 'static {
    /// Whether there is a file.
    ///
    /// # Errors
    /// What the store fails with.
    fn has(&self, sha256: &[u8]) -> Result<bool>;

    /// The size of a file, if there is one.
    ///
    /// # Errors
    /// What the store fails with.
    fn size(&self, sha256: &[u8]) -> Result<Option<u64>>;

    /// Removes a file. Says whether there was one.
    ///
    /// # Errors
    /// What the store fails with.
    fn del(&self, sha256: &[u8]) -> Result<bool>;

    /// A file, or the part of it from an offset on with a size.
    ///
    /// # Errors
    /// `NoSuchFile`.
    fn get(&self, sha256: &[u8], part: Option<(u64, u64)>) -> Result<Pieces>;

    /// Stores what comes in pieces; how much it was.
    ///
    /// # Errors
    /// What the store fails with, and the errors of the pieces.
    fn put(&self, next: Incoming) -> Result<u64>;
}

impl Files for Axon {
    fn has(&self, sha256: &[u8]) -> Result<bool> {
        Axon::has(self, sha256)
    }

    fn size(&self, sha256: &[u8]) -> Result<Option<u64>> {
        Axon::size(self, sha256)
    }

    fn del(&self, sha256: &[u8]) -> Result<bool> {
        Axon::del(self, sha256)
    }

    fn get(&self, sha256: &[u8], part: Option<(u64, u64)>) -> Result<Pieces> {
        let chunks = match part {
            None => Axon::get(self, sha256)?,
            Some((offs, size)) => self.get_part(sha256, signed(offs)?, Some(signed(size)?))?,
        };
        Ok(Box::new(chunks))
    }

    fn put(&self, mut next: Incoming) -> Result<u64> {
        let mut upload = self.upload();
        while let Some(byts) = next()? {
            upload.write(&byts)?;
        }
        Ok(upload.save()?.0)
    }
}

/// An offset as the wire has it.
///
/// # Errors
/// `BadArg` past what 63 bits hold.
pub fn signed(offs: u64) -> Result<i64> {
    i64::try_from(offs).map_err(|_| err!("BadArg", mesg = format!("The offset {offs} is too large.")))
}

type Store = Arc<dyn Files>;
type Answer = std::result::Result<Response, Fail>;

/// The routes over some files.
pub fn routes(files: Store) -> Routes {
    const BY: &str = "/api/v1/axon/files/by/sha256/";
    Routes::new()
        .route("/api/v1/axon/files/put", post(put).put(put))
        .route("/api/v1/axon/files/del", post(dels))
        .route("/api/v1/axon/files/has/sha256/{sha256}", get(has))
        .route(BY, get(by_sha256).delete(by_sha256))
        .route(&format!("{BY}{{*sha256}}"), get(by_sha256).delete(by_sha256))
        .with_state(files)
}

fn allowed(user: Option<&User>, verb: &str) -> std::result::Result<(), Fail> {
    req_allowed(user.ok_or_else(unauthenticated)?, &["axon", verb], false, None)
}

fn hash_of(text: &str) -> Option<Vec<u8>> {
    sha256_of(text).ok().map(|sha256| sha256.to_vec()).filter(|_| text.len() == 64)
}

/// Pieces that wait for the store.
const QUEUE: usize = 8;

async fn put(State(files): State<Store>, MaybeWho(user): MaybeWho, body: Body) -> Answer {
    allowed(user.as_ref(), "upload")?;
    let (tx, mut rx) = tokio::sync::mpsc::channel::<Result<Bytes>>(QUEUE);
    let feed = async move {
        let mut body = body.into_data_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| Error::mesg("LinkShutDown", format!("The upload broke off: {error}.")));
            let last = piece.is_err();
            if tx.send(piece).await.is_err() || last {
                return;
            }
        }
    };
    let store = blocking(move || {
        let hashes = Arc::new(parking_lot::Mutex::new(HashSet::default()));
        let seen = hashes.clone();
        let size = files.put(Box::new(move || match rx.blocking_recv().transpose()? {
            None => Ok(None),
            Some(piece) => {
                seen.lock().update(&piece);
                Ok(Some(piece.to_vec()))
            }
        }))?;
        let hashes = std::mem::take(&mut *hashes.lock());
        Ok(hashes.digests().with("size", size))
    });
    let ((), stored) = tokio::join!(feed, store);
    Ok(Reply(stored?.into()).into_response())
}

async fn has(State(files): State<Store>, MaybeWho(user): MaybeWho, Path(sha256): Path<String>) -> Answer {
    let Some(hash) = hash_of(&sha256) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    allowed(user.as_ref(), "has")?;
    Ok(blocking(move || files.has(&hash).map(|has| Reply(has.into()))).await?.into_response())
}

async fn dels(State(files): State<Store>, MaybeWho(user): MaybeWho, JsonBody(body): JsonBody) -> Answer {
    allowed(user.as_ref(), "del")?;
    let wrong = |mesg: &str| Fail::new(StatusCode::BAD_REQUEST, "SchemaViolation", mesg);
    let map = body.as_map().filter(|map| map.len() == 1);
    let sha256s = map.and_then(|map| map.get("sha256s")).and_then(Value::as_list);
    let sha256s = sha256s.ok_or_else(|| wrong("The body must have the key sha256s with a list, and no other."))?;
    let mut hashes = Vec::with_capacity(sha256s.len());
    for sha256 in sha256s {
        let hash = sha256.as_str().and_then(hash_of);
        hashes.push((sha256.clone(), hash.ok_or_else(|| wrong("Each of sha256s must be 64 hex digits."))?));
    }
    let done = blocking(move || {
        let del = |(sha256, hash): (Value, Vec<u8>)| Ok(Value::list([sha256, files.del(&hash)?.into()]));
        Ok(Reply(hashes.into_iter().map(del).collect::<Result<Vec<Value>>>()?.into()))
    });
    Ok(done.await?.into_response())
}

fn no_file(hash: &[u8]) -> Fail {
    let mesg = format!("There is no file with the SHA-256 {}.", hex_of(hash));
    Fail::new(StatusCode::NOT_FOUND, "NoSuchFile", mesg)
}

async fn by_sha256(
    State(files): State<Store>,
    method: Method,
    MaybeWho(user): MaybeWho,
    path: Option<Path<String>>,
    headers: HeaderMap,
) -> Answer {
    let sha256 = path.map(|Path(sha256)| sha256).unwrap_or_default();
    let Some(hash) = hash_of(&sha256) else {
        user.ok_or_else(unauthenticated)?;
        let mesg = format!("{sha256} is no SHA-256: that is 64 hex digits.");
        return Err(Fail::new(StatusCode::NOT_FOUND, "BadArg", mesg));
    };
    if method == Method::DELETE {
        allowed(user.as_ref(), "del")?;
        let done = blocking(move || if files.has(&hash)? { Ok(Ok(files.del(&hash)?)) } else { Ok(Err(hash)) });
        return match done.await? {
            Ok(gone) => Ok(Reply(gone.into()).into_response()),
            Err(hash) => Err(no_file(&hash)),
        };
    }
    allowed(user.as_ref(), "get")?;
    let range = headers.get(RANGE).and_then(|valu| valu.to_str().ok()).map(str::to_owned);
    let bare = method == Method::HEAD;
    let opened = blocking(move || {
        let Some(size) = files.size(&hash)? else { return Ok(Err(hash)) };
        let part = match range.as_deref().map_or(Ok(None), |range| first_range(range, size)) {
            Ok(part) => part,
            Err(()) => return Ok(Ok(None)),
        };
        let pieces = if bare { None } else { Some(files.get(&hash, part)?) };
        Ok(Ok(Some((size, part, pieces))))
    });
    let (size, part, pieces) = match opened.await? {
        Err(hash) => return Err(no_file(&hash)),
        Ok(None) => return Ok(StatusCode::RANGE_NOT_SATISFIABLE.into_response()),
        Ok(Some(found)) => found,
    };
    let body = match pieces {
        None => Body::empty(),
        Some(pieces) => {
            Body::from_stream(stream_of(pieces.map(|piece| piece.map(Value::Bytes))).map(|piece| match piece {
                Ok(Value::Bytes(byts)) => Ok(Bytes::from_owner(byts)),
                Ok(_) => Ok(Bytes::new()),
                Err(error) => Err(std::io::Error::other(error)),
            }))
        }
    };
    let mut response = body.into_response();
    let text = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, text(part.map_or(size, |(_, len)| len).to_string()));
    if let Some((offs, len)) = part {
        headers.insert(CONTENT_RANGE, text(format!("bytes {offs}-{}/{size}", offs + len - 1)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Offset and size of the first range that is asked for; an error for one that is not in the file.
fn first_range(text: &str, size: u64) -> std::result::Result<Option<(u64, u64)>, ()> {
    let text = text.trim().to_lowercase();
    let Some(parts) = text.strip_prefix("bytes=") else { return Ok(None) };
    let Some(part) = parts.split(',').map(str::trim).find(|part| !part.is_empty()) else { return Ok(None) };
    let (from, to) = part.split_once('-').ok_or(())?;
    let from: u64 = from.trim().parse().map_err(|_| ())?;
    let end = match to.trim() {
        "" => size,
        to => to.parse::<u64>().map_err(|_| ())?.checked_add(1).ok_or(())?,
    };
    if end <= from || from >= size || end > size {
        return Err(());
    }
    Ok(Some((from, end - from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_in_the_file() {
        assert_eq!(first_range("bytes=2-4", 10), Ok(Some((2, 3))));
        assert_eq!(first_range("bytes=4-", 10), Ok(Some((4, 6))));
        assert_eq!(first_range("bytes= 0-0 , 5-6", 10), Ok(Some((0, 1))));
        assert_eq!(first_range("lines=1-2", 10), Ok(None));
        for bad in ["bytes=4-2", "bytes=10-", "bytes=0-10", "bytes=-3", "bytes=x-", "bytes=0-18446744073709551615"] {
            assert_eq!(first_range(bad, 10), Err(()), "{bad}");
        }
    }
}
