//! Queries: their messages, what they return, their nodes, whether they are valid.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use myelin_cell::User;
use myelin_cell::http::{Fail, JsonBody, Reply, Who, blocking};
use myelin_error::{Result, err};
use myelin_telepath::ValueStream;
use myelin_value::{Value, json, msgpack};

use super::{Answer, Core, body_map, field};
use crate::info::{check_storm, is_valid_storm};

/// The most messages that go out in one piece; they go at once when there are fewer.
const AT_ONCE: usize = 64;

/// What a request to run a query says.
struct Asked {
    text: String,
    opts: Value,
    lines: bool,
}

fn asked(body: &JsonBody) -> std::result::Result<Asked, Fail> {
    let body = body_map(body)?;
    let text = match body.get("query") {
        Some(Value::Str(text)) => text.to_string(),
        _ => return Err(super::bad("BadArg", "The key query must be the text of a Storm query.")),
    };
    let lines = body.get_str("stream") == Some("jsonlines");
    Ok(Asked { text, opts: field(body, "opts"), lines })
}

/// The messages of a query, each as JSON, as they come.
pub(super) async fn storm(State(core): State<Core>, Who(user): Who, body: JsonBody) -> Result<Response, Fail> {
    let asked = asked(&body)?;
    let messages = core.storm(user, asked.text, asked.opts).await?;
    Ok(stream("text/html; charset=UTF-8", messages, move |mesg, out| as_json(mesg, asked.lines, out)).await?)
}

/// What a query returns.
pub(super) async fn call(State(core): State<Core>, Who(user): Who, body: JsonBody) -> Answer {
    let asked = asked(&body)?;
    Ok(Reply(core.call_storm(user, asked.text, asked.opts).await?))
}

/// The nodes of a query, packed.
pub(super) async fn nodes(State(core): State<Core>, Who(user): Who, body: JsonBody) -> Result<Response, Fail> {
    let asked = asked(&body)?;
    let podes = core.storm_podes(user, asked.text, asked.opts).await?;
    Ok(stream("text/html; charset=UTF-8", podes, move |pode, out| as_json(pode, asked.lines, out)).await?)
}

/// The nodes of a query as they are exported.
pub(super) async fn export(State(core): State<Core>, Who(user): Who, body: JsonBody) -> Result<Response, Fail> {
    let asked = asked(&body)?;
    let podes = core.export_storm(user, asked.text, asked.opts).await?;
    let pack = |pode: &Value, out: &mut Vec<u8>| {
        out.extend_from_slice(&msgpack::encode(pode));
        Ok(())
    };
    Ok(stream("application/x-synapse-nodes", podes, pack).await?)
}

fn as_json(valu: &Value, lines: bool, out: &mut Vec<u8>) -> Result<()> {
    let text = json::to_json_text(valu);
    let text = text.map_err(|error| err!("MustBeJsonSafe", mesg = format!("A message holds {}.", error.0)))?;
    out.extend_from_slice(text.as_bytes());
    if lines {
        out.push(b'\n');
    }
    Ok(())
}

/// An answer that is sent as it is made. An error before its first piece is an answer of its own; a later one can only
/// end what was begun.
async fn stream<F>(mime: &'static str, items: ValueStream, pack: F) -> Result<Response>
where
    F: Fn(&Value, &mut Vec<u8>) -> Result<()> + Send + 'static,
{
    let mut chunks = items.ready_chunks(AT_ONCE).map(move |items| {
        let mut out = Vec::new();
        for item in items {
            match item.and_then(|item| pack(&item, &mut out)) {
                Ok(()) => {}
                Err(error) if out.is_empty() => return Err(error),
                // What came before the error is sent; the stream ends with the next piece.
                Err(error) => {
                    tracing::debug!(%error, "a streamed answer ended early");
                    break;
                }
            }
        }
        Ok(Bytes::from(out))
    });
    let first = chunks.next().await.transpose()?.unwrap_or_default();
    let rest = chunks.take_while(|chunk| std::future::ready(chunk.is_ok()));
    let body = Body::from_stream(futures::stream::once(std::future::ready(Ok(first))).chain(rest));
    Ok((StatusCode::OK, [(CONTENT_TYPE, mime)], body).into_response())
}

/// Parses a query; an error says what is wrong with it.
pub(super) async fn req_valid(Who(_): Who, body: JsonBody) -> Answer {
    let asked = asked(&body)?;
    blocking(move || check_storm(&asked.text, &asked.opts).map(|()| Reply(true.into()))).await
}

/// Parses a query; the result says what is wrong with it.
pub(super) async fn is_valid(Who(_): Who, body: JsonBody) -> Answer {
    let asked = asked(&body)?;
    blocking(move || Ok(Reply(is_valid_storm(&asked.text, &asked.opts)))).await
}

/// Adds packed nodes.
pub(super) async fn feed(State(core): State<Core>, Who(user): Who, body: JsonBody) -> Answer {
    let body = body_map(&body)?.clone();
    let name = match body.get("name") {
        None => "syn.nodes".to_owned(),
        Some(name) => name.as_str().unwrap_or_default().to_owned(),
    };
    if name != "syn.nodes" {
        return Err(super::bad("NoSuchFunc", format!("There is no feed {name}: there is syn.nodes.")));
    }
    let view = field(&body, "view");
    let (at, who) = (core.clone(), user.clone());
    let view = blocking(move || Ok(feed_view(&at, &who, &view))).await??;
    Ok(Reply(core.add_feed(user, name, field(&body, "items"), view).await?))
}

/// The view that a feed goes into, and which the user may feed.
fn feed_view(core: &Core, user: &User, view: &Value) -> std::result::Result<Value, Fail> {
    let found = match view.as_str() {
        Some(iden) => core.stack.view(iden),
        None => core.view_of(user).ok(),
    };
    let found = found.filter(|view| user.confirm(&["view", "read"], Some(view.iden())).is_ok());
    let missing = || Fail::new(StatusCode::NOT_FOUND, "NoSuchView", "There is no such view.");
    Ok(Value::from(found.ok_or_else(missing)?.iden()))
}
