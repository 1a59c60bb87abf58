//! Links: a connected stream of frames over TCP, TLS or a unix socket.
//!
//! [`LinkRx`] decodes, [`LinkTx`] encodes. Back pressure is the socket's: a send returns when the bytes are with the
//! kernel, so nothing piles up in memory for a slow peer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, msgpack};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// The largest frame accepted by default. The reference takes four times that; nothing it sends comes near.
pub const MAX_FRAME: usize = 1 << 30;

/// Bytes asked of the kernel in one read. The buffer is the thread's, not the link's: idle links are many.
const READ_SIZE: usize = 256 * 1024;

thread_local! {
    static READ_BUF: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// Any duplex byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A boxed duplex byte stream.
pub type BoxStream = Box<dyn Stream>;

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A unix socket.
    Unix,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// The transport.
    pub family: Family,
    /// The peer's address, for TCP and TLS.
    pub peer: Option<SocketAddr>,
    /// The path of the unix socket.
    pub path: Option<String>,
    /// The common name in the peer's verified certificate.
    pub peer_cn: Option<String>,
}

impl LinkInfo {
    /// Whether it is a unix socket, whose peers are trusted by the file's permissions.
    pub fn is_unix(&self) -> bool {
        self.family == Family::Unix
    }

    /// `{family, addr, ipver}` as session listings show it.
    pub fn conninfo(&self) -> Value {
        let family = match self.family {
            Family::Tcp => "tcp",
            Family::Tls => "tls",
            Family::Unix => "unix",
        };
        let mut info = Map::new().with("family", family);
        match self.peer {
            Some(SocketAddr::V4(addr)) => {
                info.insert("addr", Value::list([addr.ip().to_string().into(), addr.port().into()]));
                info.insert("ipver", "ipv4");
            }
            Some(SocketAddr::V6(addr)) => {
                let parts =
                    [addr.ip().to_string().into(), addr.port().into(), addr.flowinfo().into(), addr.scope_id().into()];
                info.insert("addr", Value::list(parts));
                info.insert("ipver", "ipv6");
            }
            None => {
                info.insert("addr", self.path.as_deref().unwrap_or(""));
            }
        }
        info.into()
    }
}

/// How long what was sent may stay unconfirmed.
const DEAD: Duration = Duration::from_secs(18);

/// Sets the socket options of the platform: no Nagle, and a dead peer noticed after about 18 seconds.
pub(crate) fn tune(sock: &TcpStream) {
    let alive =
        TcpKeepalive::new().with_time(Duration::from_secs(3)).with_interval(Duration::from_secs(3)).with_retries(5);
    // The first is for a connection that is silent, the second for one that has something under way.
    let set = |sock: SockRef<'_>| sock.set_tcp_keepalive(&alive).and_then(|()| sock.set_tcp_user_timeout(Some(DEAD)));
    if let Err(e) = sock.set_nodelay(true).and_then(|()| set(SockRef::from(sock))) {
        tracing::debug!("socket options: {e}");
    }
}

/// Splits a stream into its decoding and encoding halves.
pub fn split(stream: BoxStream, max_frame: usize) -> (LinkRx, LinkTx) {
    let (rx, tx) = tokio::io::split(stream);
    let rx = LinkRx { stream: rx, decoder: msgpack::Decoder::new(max_frame) };
    (rx, LinkTx { stream: Mutex::new(Some(tx)) })
}

/// The reading half.
pub struct LinkRx {
    stream: ReadHalf<BoxStream>,
    decoder: msgpack::Decoder,
}

impl LinkRx {
    /// The next frame, or `None` when the peer closed. Safe to cancel: bytes read stay in the decoder.
    pub async fn rx(&mut self) -> Result<Option<Value>> {
        loop {
            match self.decoder.next_value() {
                Ok(Some((valu, _size))) => return Ok(Some(valu)),
                Ok(None) => {}
                Err(e) => return Err(err!("BadMesgFormat", mesg = format!("unreadable frame: {e}"))),
            }
            match poll_fn(|cx| self.poll_feed(cx)).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) => {
                    tracing::debug!("link closed: {e}");
                    return Ok(None);
                }
            }
        }
    }

    /// Moves what the socket has to the decoder. Returns how many bytes that were.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        READ_BUF.with_borrow_mut(|buf| {
            let mut buf = ReadBuf::new(buf);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            self.decoder.feed(buf.filled());
            Poll::Ready(Ok(buf.filled().len()))
        })
    }

    /// Bytes of an unfinished frame.
    pub fn pending(&self) -> usize {
        self.decoder.pending()
    }
}

/// The writing half; messages of several tasks do not mix.
pub struct LinkTx {
    stream: Mutex<Option<WriteHalf<BoxStream>>>,
}

impl LinkTx {
    /// Sends one frame and waits until the socket took it.
    pub async fn tx(&self, mesg: &Value) -> Result<()> {
        self.send(&msgpack::encode(mesg)).await
    }

    /// Sends bytes that are one or more whole frames, once the gates are passed.
    pub async fn send(&self, byts: &[u8]) -> Result<()> {
        crate::gate::pass().await?;
        let mut slot = self.stream.lock().await;
        // Taken out while writing: a send that is dropped half way leaves the link closed, never a torn frame.
        let Some(mut stream) = slot.take() else {
            return Err(shutdown());
        };
        let done = async {
            stream.write_all(byts).await?;
            stream.flush().await
        };
        match done.await {
            Ok(()) => {
                *slot = Some(stream);
                Ok(())
            }
            Err(e) => {
                tracing::debug!("link closed: {e}");
                Err(shutdown())
            }
        }
    }

    /// Says goodbye and closes the writing side.
    pub async fn close(&self) {
        if let Some(mut stream) = self.stream.lock().await.take() {
            // A peer that does not read must not hold us here.
            let _ = tokio::time::timeout(Duration::from_secs(2), stream.shutdown()).await;
        }
    }
}

pub(crate) fn shutdown() -> Error {
    err!("LinkShutDown", mesg = "Remote peer disconnected")
}

/// A protocol message.
pub fn mesg(name: &str, info: Map) -> Value {
    Value::list([Value::from(name), info.into()])
}

/// Appends the frame `[name, {"retn": [true, valu]}]`, what a stream sends for each item, without building it first.
pub(crate) fn encode_item(out: &mut Vec<u8>, name: &str, valu: &Value) {
    msgpack::write_array_len(out, 2);
    msgpack::write_str(out, name.as_bytes());
    msgpack::write_map_len(out, 1);
    msgpack::write_str(out, b"retn");
    msgpack::write_array_len(out, 2);
    msgpack::encode_into(out, &Value::Bool(true));
    msgpack::encode_into(out, valu);
}

/// `[true, value]`.
pub(crate) fn retn_ok(valu: Value) -> Value {
    Value::list([Value::Bool(true), valu])
}

/// `[false, [name, info]]`.
pub(crate) fn retn_err(e: &Error) -> Value {
    Value::list([Value::Bool(false), e.pack()])
}

/// The value or error inside a `retn`.
pub(crate) fn retn_result(retn: Option<&Value>) -> Result<Value> {
    match retn.and_then(Value::as_list) {
        Some([Value::Bool(true), valu]) => Ok(valu.clone()),
        Some([Value::Bool(false), wire]) => Err(rebuild(wire)),
        _ => Err(err!("BadMesgFormat", mesg = "Telepath protocol violation: malformed retn")),
    }
}

/// An error as the peer sent it; a name outside the platform's list becomes `SynErr` with that name under `errx`.
fn rebuild(wire: &Value) -> Error {
    let error = Error::unpack(wire);
    if myelin_error::is_known(error.name()) {
        return error;
    }
    let mut known = Error::new("SynErr");
    *known.info_mut() = error.info().clone();
    known.with("errx", error.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_encoded_as_their_message_is() {
        let valu = Value::list([1.into(), "two".into()]);
        let mut byts = Vec::new();
        encode_item(&mut byts, "t2:yield", &valu);
        assert_eq!(byts, msgpack::encode(&mesg("t2:yield", Map::new().with("retn", retn_ok(valu)))));
    }
}
