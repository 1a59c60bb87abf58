//! What a service offers: shares that peers log in to, and the API objects those logins return.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use myelin_error::Result;
use myelin_value::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::link::LinkInfo;
use crate::meth::{Args, MethTable};
use crate::session::Session;

/// The platform version that peers are told and compare against.
pub const SYN_VERSION: [i64; 3] = [2, 256, 0];

/// Something peers can log in to by name.
#[async_trait]
pub trait Share: Send + Sync + 'static {
    /// Feature levels sent in the handshake, also when the login then fails. `None` for plain objects.
    fn features(&self) -> Option<Map> {
        None
    }

    /// Decides who the peer is and returns the object it may call. Called once a handshake.
    async fn login(&self, cx: LoginCx) -> Result<Arc<dyn Api>>;

    /// Called when the daemon ends.
    async fn fini(&self) {}
}

/// What is known of a peer when it logs in.
#[derive(Clone)]
pub struct LoginCx {
    /// The connection it came over: unix or not, address, name in its certificate.
    pub link: Arc<LinkInfo>,
    /// The new session; the share records the user in it.
    pub session: Arc<Session>,
    /// User name and password as sent, `None` when the peer named no user.
    pub auth: Option<AuthInfo>,
    /// The share name that was asked for (`*` when none was).
    pub name: String,
    /// What followed the share name, split at `/`.
    pub path: Vec<String>,
}

/// The `auth` of a handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthInfo {
    /// The user name.
    pub user: String,
    /// The password; absent when the peer relies on its certificate.
    pub passwd: Option<String>,
}

impl std::fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A password must never reach a log.
        f.debug_struct("AuthInfo")
            .field("user", &self.user)
            .field("passwd", &self.passwd.as_ref().map(|_| "****"))
            .finish()
    }
}

/// An object whose methods a peer may call. Most implement [`TableApi`] instead, which gives this for free.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// The `sharinfo` of the handshake: method table, classes, version.
    fn sharinfo(&self) -> Value;

    /// Runs one method. Dropped at an await point when the caller's connection goes away.
    async fn call(self: Arc<Self>, cx: CallCx, name: &str, args: Args) -> Result<Reply>;

    /// The session ended or the peer released the object.
    async fn fini(&self) {}
}

/// An API object described by a static table of methods.
#[async_trait]
pub trait TableApi: Send + Sync + Sized + 'static {
    /// The dotted class names that some clients compare, most derived first.
    const CLASSES: &'static [&'static str];

    /// The methods.
    fn table() -> &'static MethTable<Self>;

    /// The session ended or the peer released the object.
    async fn fini(&self) {}
}

#[async_trait]
impl<T: TableApi> Api for T {
    fn sharinfo(&self) -> Value {
        sharinfo(T::table().methinfo(), T::CLASSES)
    }

    async fn call(self: Arc<Self>, cx: CallCx, name: &str, args: Args) -> Result<Reply> {
        T::table().call_by_name(self, T::CLASSES, cx, name, args).await
    }

    async fn fini(&self) {
        TableApi::fini(self).await;
    }
}

/// Builds a `sharinfo` map from its parts.
pub fn sharinfo(meths: impl Into<Value>, classes: &[&str]) -> Value {
    Map::new()
        .with("meths", meths.into())
        .with("syn:commit", option_env!("MYELIN_COMMIT").unwrap_or(""))
        .with("syn:version", SYN_VERSION)
        .with("classes", Value::list(classes.iter().map(|name| Value::from(*name))))
        .into()
}

/// The circumstances of one call.
#[derive(Clone)]
pub struct CallCx {
    /// The session that calls.
    pub session: Arc<Session>,
    /// The connection the call came over (often not the one of the handshake).
    pub link: Arc<LinkInfo>,
    /// Cancelled when that connection closes. A call that blocks a thread polls it; an async one is simply dropped.
    pub closed: CancellationToken,
}

/// A stream of results that a generator method returns.
pub type ValueStream = BoxStream<'static, Result<Value>>;

/// What a method returned.
pub enum Reply {
    /// A plain value.
    Value(Value),
    /// A stream of values.
    Genr(ValueStream),
    /// A new object which lives in the session until released.
    Share(Arc<dyn Api>),
}

/// What a handler may return: a reply, or anything that is a value.
pub trait IntoReply {
    /// The reply.
    fn into_reply(self) -> Reply;
}

impl<T: Into<Value>> IntoReply for T {
    fn into_reply(self) -> Reply {
        Reply::Value(self.into())
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl Reply {
    /// The empty result.
    pub fn null() -> Reply {
        Reply::Value(Value::Null)
    }

    /// A stream of values.
    pub fn genr(stream: impl futures::Stream<Item = Result<Value>> + Send + 'static) -> Reply {
        Reply::Genr(Box::pin(stream))
    }

    /// A stream fed by a bounded channel, for producers on a thread of their own.
    pub fn channel(rx: tokio::sync::mpsc::Receiver<Result<Value>>) -> Reply {
        Reply::genr(futures::stream::unfold(rx, async |mut rx| rx.recv().await.map(|item| (item, rx))))
    }
}
