//! The web sockets of `$lib.inet.http.connect()`: JSON messages both ways.
//!
//! The connection is made by the same client as every request, so that proxies, certificates and headers mean the same;
//! after the server has agreed to switch protocols, the two talk as RFC 6455 has it.

use std::any::Any;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use myelin_error::{Error, err};
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Dflt, Flow, FuncDef, Item, Rt};
use myelin_value::{Map, Value, json, rand_guid};
use reqwest::{Client, Upgraded, Url};
use sha1::{Digest, Sha1};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::http::Failed;
use super::util::{data, this};
use crate::wait;

/// What the server mixes with the key of the request (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Asks a server to switch to web socket messages.
pub(super) async fn connect(
    client: &Client,
    mut url: Url,
    headers: reqwest::header::HeaderMap,
) -> Result<Item, Failed> {
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        other => other,
    }
    .to_owned();
    url.set_scheme(&scheme).map_err(|()| Failed::bad(format!("{url} is no URL of a web socket.")))?;
    let key = STANDARD.encode(&rand_guid().as_bytes()[..16]);
    let request = client
        .get(url)
        .headers(headers)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", &key);
    let response = request.send().await?;
    let status = response.status().as_u16();
    let agreed = response.headers().get("sec-websocket-accept").and_then(|valu| valu.to_str().ok());
    let wanted = STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
    if status != 101 || agreed != Some(wanted.as_str()) {
        let mesg = format!("The server did not switch to a web socket: it answered with the status {status}.");
        return Err(Failed { name: "WSServerHandshakeError", mesg });
    }
    let stream = WebSocketStream::from_raw_socket(response.upgrade().await?, Role::Client, None).await;
    Ok(Item::obj(Socket(tokio::sync::Mutex::new(stream))))
}

/// An open web socket.
struct Socket(tokio::sync::Mutex<WebSocketStream<Upgraded>>);

pub(super) static SOCKET: TypeDef = TypeDef {
    name: "inet:http:socket",
    funcs: &[
        FuncDef::rw("tx", &[Arg::req("mesg")], |rt, item, args| {
            let socket = this::<Socket>(item)?;
            let text = json::to_json_text(&args.prim(rt, 0)?);
            let text = match text {
                Ok(text) => text,
                Err(error) => {
                    let mesg = format!("The message holds {}, which is not JSON.", error.0);
                    return Ok(failed(&err!("MustBeJsonSafe", mesg = mesg)));
                }
            };
            let sent =
                wait::query(rt, async { socket.0.lock().await.send(Message::Binary(text.into_bytes().into())).await })?;
            Ok(match sent {
                Ok(()) => data(Value::list([true.into(), Value::Null])),
                Err(error) => failed(&Error::mesg("ClientError", error.to_string())),
            })
        }),
        FuncDef::rw("rx", &[Arg::opt("timeout", Dflt::Null)], |rt, item, args| {
            let socket = this::<Socket>(item)?;
            let timeout = args.opt_int(rt, 0)?.and_then(|secs| u64::try_from(secs).ok()).map(Duration::from_secs);
            let next = async {
                match timeout {
                    Some(time) => tokio::time::timeout(time, socket.next()).await.ok(),
                    None => Some(socket.next().await),
                }
            };
            Ok(match wait::query(rt, next)? {
                Some(Ok(valu)) => data(Value::list([true.into(), valu])),
                Some(Err(error)) => failed(&error),
                None => failed(&Error::mesg("TimeoutError", "No message came in time.")),
            })
        }),
    ],
    getters: &[],
    setters: &[],
};

impl Socket {
    /// The next message; null once the server has closed.
    async fn next(&self) -> myelin_error::Result<Value> {
        let mut socket = self.0.lock().await;
        loop {
            let byts = match socket.next().await {
                None | Some(Ok(Message::Close(_))) => return Ok(Value::Null),
                Some(Ok(Message::Binary(byts))) => byts.to_vec(),
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(Error::mesg("ClientError", error.to_string())),
            };
            return json::parse(&byts)
                .map_err(|error| Error::mesg("BadJsonText", format!("A message is not JSON: {error}.")));
        }
    }
}

fn failed(error: &Error) -> Item {
    data(Value::list([false.into(), error.pack()]))
}

impl StormObj for Socket {
    fn type_name(&self) -> &'static str {
        SOCKET.name
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&SOCKET)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Map::new().into())
    }
}
