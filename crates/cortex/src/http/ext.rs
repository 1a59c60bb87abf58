//! `/api/ext/…`: requests that the Storm of an endpoint answers.
//!
//! Status and headers are sent with the first piece of the body, or at the end of the query if there is none. An error
//! before that is the answer; what comes too late is logged.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use myelin_cell::User;
use myelin_cell::http::{Bare, Fail, MaybeWho, Remote, blocking, req_allowed, unauthenticated};
use myelin_telepath::ValueStream;
use myelin_value::{Map, Value};

use super::Core;

/// Lets the Storm of a method speak of its request.
const PREFIX: &str = "init { $request = $lib.cortex.httpapi.response($_http_request_info) }\n";

/// A request as handlers see it.
pub(super) struct Asked {
    method: Method,
    uri: Uri,
    params: Map,
    headers: Map,
    remote: String,
}

/// Answers with the Storm of the first endpoint whose path matches.
#[allow(clippy::too_many_arguments, reason = "each is an extractor")]
pub(super) async fn run(
    State(core): State<Core>,
    path: Option<Path<String>>,
    MaybeWho(user): MaybeWho,
    Remote(remote): Remote,
    method: Method,
    uri: Uri,
    params: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = path.map(|Path(path)| path).unwrap_or_default();
    let mut known = Map::new();
    for (key, valu) in params.map(|Query(params)| params).unwrap_or_default() {
        if !known.contains(&key) {
            known.insert(key, valu);
        }
    }
    let mut flat = Map::new();
    for (name, valu) in &headers {
        if !flat.contains(name.as_str()) {
            flat.insert(name.as_str(), String::from_utf8_lossy(valu.as_bytes()).into_owned());
        }
    }
    let asked = Asked { method, uri, params: known, headers: flat, remote };
    let mut response = match answer(core, path, user, asked, body).await {
        Ok(response) => response,
        Err(failed) => failed.0.with_headers(failed.1),
    };
    response.extensions_mut().insert(Bare);
    response
}

/// An answer that is an error, with headers of its own.
struct Failed(Fail, HashMap<&'static str, String>);

impl From<Fail> for Failed {
    fn from(fail: Fail) -> Failed {
        Failed(fail, HashMap::new())
    }
}

trait WithHeaders {
    fn with_headers(self, headers: HashMap<&'static str, String>) -> Response;
}

impl WithHeaders for Fail {
    fn with_headers(self, headers: HashMap<&'static str, String>) -> Response {
        let mut response = self.into_response();
        for (name, valu) in headers {
            if let Ok(valu) = HeaderValue::from_str(&valu) {
                response.headers_mut().insert(name, valu);
            }
        }
        response
    }
}

async fn answer(core: Core, path: String, user: Option<User>, asked: Asked, body: Bytes) -> Result<Response, Failed> {
    let (at, wanted) = (core.clone(), path.clone());
    let found = blocking(move || at.httpapis.by_path(&wanted)).await?;
    let missing = || {
        let mesg = format!("No endpoint of the Extended HTTP API matches {path}.");
        Fail::new(StatusCode::NOT_FOUND, "NoSuchPath", mesg)
    };
    let (adef, args) = found.ok_or_else(missing)?;
    let text = |key: &str| adef.get_str(key).unwrap_or_default();
    let iden = text("iden");
    let (mut runs, mut requester) = (text("owner").to_owned(), String::new());
    if adef.get("authenticated").is_some_and(Value::is_truthy) {
        let user = user.ok_or_else(unauthenticated)?;
        for pdef in adef.get("perms").and_then(Value::as_list).unwrap_or_default() {
            let perm = pdef.get("perm").and_then(Value::as_list).unwrap_or_default();
            let perm: Vec<&str> = perm.iter().filter_map(Value::as_str).collect();
            req_allowed(&user, &perm, pdef.get("default").is_some_and(Value::is_truthy), None)?;
        }
        requester = user.iden().to_string();
        if text("runas") == "user" {
            runs.clone_from(&requester);
        }
    }
    let methods = adef.get("methods").and_then(Value::as_map).cloned().unwrap_or_default();
    let Some(storm) = methods.get_str(&asked.method.as_str().to_lowercase()) else {
        let known: Vec<String> = methods.text_entries().map(|(name, _)| name.to_uppercase()).collect();
        let known = known.join(", ");
        let mut mesg = format!("The Extended HTTP API {iden} has no method {}.", asked.method);
        if !known.is_empty() {
            mesg = format!("{mesg} It has {known}.");
        }
        let fail = Fail::new(StatusCode::METHOD_NOT_ALLOWED, "NeedConfValu", mesg);
        return Err(Failed(fail, HashMap::from([("Allowed", known)])));
    };
    let info = Map::new()
        .with("uri", asked.uri.path_and_query().map_or("/", |uri| uri.as_str()))
        .with("body", &body[..])
        .with("iden", iden)
        .with("path", path.as_str())
        .with("user", requester)
        .with("method", asked.method.as_str())
        .with("params", asked.params)
        .with("headers", asked.headers)
        .with("args", args)
        .with("client", asked.remote);
    let vars = adef.get("vars").and_then(Value::as_map).cloned().unwrap_or_default();
    let show = ["http:resp:body", "http:resp:code", "http:resp:headers"].map(Value::from);
    let opts = Map::new()
        .with("mirror", adef.get("pool").cloned().unwrap_or(Value::Bool(false)))
        .with("readonly", adef.get("readonly").cloned().unwrap_or(Value::Bool(false)))
        .with("show", Value::list(show))
        .with("user", runs.as_str())
        .with("vars", vars.with("_http_request_info", info))
        .with("view", adef.get("view").cloned().unwrap_or_default());
    let query = format!("{PREFIX}{storm}");
    let fatal = |error: myelin_error::Error| {
        tracing::error!(%error, iden, "an endpoint of the Extended HTTP API could not run");
        let mesg = format!("The Extended HTTP API {iden} could not run: {}", error.message());
        Fail::new(StatusCode::INTERNAL_SERVER_ERROR, error.name(), mesg)
    };
    let runs = core.cell.auth().req_user(&runs).map_err(fatal)?;
    let messages = core.storm(runs, query, opts.into()).await.map_err(fatal)?;
    Ok(respond(iden.to_owned(), messages).await?)
}

fn internal(mesg: String) -> Fail {
    Fail::new(StatusCode::INTERNAL_SERVER_ERROR, "StormRuntimeError", mesg)
}

/// Turns the messages of a query into an answer.
async fn respond(iden: String, mut messages: ValueStream) -> Result<Response, Fail> {
    let (mut status, mut headers) = (None, HeaderMap::new());
    let first = loop {
        let Some(mesg) = messages.next().await else { break None };
        let mesg = mesg?;
        let info = mesg.at(1).cloned().unwrap_or_default();
        match mesg.at(0).and_then(Value::as_str).unwrap_or_default() {
            "http:resp:code" => {
                let code = info.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
                let code = code.and_then(|code| StatusCode::from_u16(code).ok());
                status = Some(code.ok_or_else(|| internal(format!("{info:?} is no status of HTTP.")))?);
            }
            "http:resp:headers" => add_headers(&mut headers, info.get("headers").unwrap_or(&Value::Null))?,
            "http:resp:body" => {
                if status.is_none() {
                    let mesg = format!("The Extended HTTP API {iden} must send its status before its body.");
                    return Err(internal(mesg));
                }
                break info.get("body").and_then(Value::as_bytes).map(Bytes::copy_from_slice);
            }
            "err" => {
                let name = info.at(0).and_then(Value::as_str).unwrap_or("SynErr").to_owned();
                let mesg = info.at(1).and_then(|info| info.get("mesg")).and_then(Value::as_str).unwrap_or_default();
                tracing::error!(iden, "an endpoint of the Extended HTTP API failed: {name} {mesg}");
                return Err(Fail::new(StatusCode::INTERNAL_SERVER_ERROR, name, mesg));
            }
            _ => {}
        }
    };
    let status =
        status.ok_or_else(|| internal(format!("The Extended HTTP API {iden} never sent the status of its answer.")))?;
    let body = match first {
        None => Body::empty(),
        Some(first) => {
            let rest = messages.filter_map(move |mesg| {
                let piece = later(&iden, mesg);
                async move { piece }
            });
            let first: Result<Bytes, std::io::Error> = Ok(first);
            Body::from_stream(futures::stream::once(std::future::ready(first)).chain(rest))
        }
    };
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/html; charset=UTF-8"));
    }
    Ok((status, headers, body).into_response())
}

/// A message once the body has begun.
fn later(iden: &str, mesg: myelin_error::Result<Value>) -> Option<Result<Bytes, std::io::Error>> {
    let mesg = match mesg {
        Ok(mesg) => mesg,
        Err(error) => return Some(Err(std::io::Error::other(error))),
    };
    match mesg.at(0).and_then(Value::as_str).unwrap_or_default() {
        "http:resp:body" => {
            let body = mesg.at(1).and_then(|info| info.get("body")).and_then(Value::as_bytes);
            body.map(|body| Ok(Bytes::copy_from_slice(body)))
        }
        kind @ ("http:resp:code" | "http:resp:headers" | "err") => {
            tracing::error!(iden, "an endpoint of the Extended HTTP API sent {kind} after its body had begun");
            None
        }
        _ => None,
    }
}

fn add_headers(headers: &mut HeaderMap, given: &Value) -> Result<(), Fail> {
    for (name, valu) in given.as_map().into_iter().flat_map(Map::text_entries) {
        let text = match valu {
            Value::Str(text) => text.to_string(),
            Value::Int(int) => int.to_string(),
            _ => {
                let mesg = format!("The header {name} must be text or a number.");
                return Err(Fail::new(StatusCode::INTERNAL_SERVER_ERROR, "TypeError", mesg));
            }
        };
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&text)) {
            (Ok(name), Ok(valu)) => drop(headers.insert(name, valu)),
            _ => return Err(internal(format!("The header {name} cannot be sent."))),
        }
    }
    Ok(())
}
