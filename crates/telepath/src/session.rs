//! Sessions: what a login created, named by a random iden that is the only credential on later connections.
//!
//! A session lives exactly as long as the connection that did the handshake.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_value::{Map, Value, rand_guid};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::link::LinkInfo;

/// Dynamic objects one session may hold; a peer that leaks more gets an error instead of our memory.
pub const MAX_ITEMS: usize = 10_000;

/// One login.
pub struct Session {
    /// The iden that calls carry.
    pub iden: String,
    /// The connection of the handshake.
    pub link: Arc<LinkInfo>,
    /// Cancelled when the session ends.
    pub done: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    user: Option<(String, String)>,
    root: Option<Arc<dyn Api>>,
    items: HashMap<String, Arc<dyn Api>>,
    /// Legacy generator shares: cancelling the token ends the stream.
    streams: HashMap<String, CancellationToken>,
    ended: bool,
}

impl Session {
    pub(crate) fn new(link: Arc<LinkInfo>) -> Arc<Session> {
        Arc::new(Session { iden: rand_guid(), link, done: CancellationToken::new(), state: Mutex::default() })
    }

    /// Records who logged in, for session listings.
    pub fn set_user(&self, iden: impl Into<String>, name: impl Into<String>) {
        self.state.lock().user = Some((iden.into(), name.into()));
    }

    /// Iden and name of the user, once known.
    pub fn user(&self) -> Option<(String, String)> {
        self.state.lock().user.clone()
    }

    pub(crate) fn set_root(&self, item: Arc<dyn Api>) {
        self.state.lock().root = Some(item);
    }

    /// The object a call addresses: the login's own for `None`, a dynamic share otherwise.
    pub(crate) fn item(&self, iden: Option<&str>) -> Option<Arc<dyn Api>> {
        let state = self.state.lock();
        match iden {
            None => state.root.clone(),
            Some(iden) => state.items.get(iden).cloned(),
        }
    }

    /// Adds a dynamic share. `None` when the session is over or holds too many.
    pub(crate) fn add_item(&self, item: Arc<dyn Api>) -> Option<String> {
        let mut state = self.state.lock();
        if state.ended || state.items.len() >= MAX_ITEMS {
            return None;
        }
        let iden = rand_guid();
        state.items.insert(iden.clone(), item);
        Some(iden)
    }

    pub(crate) fn pop_item(&self, iden: &str) -> Option<Arc<dyn Api>> {
        let mut state = self.state.lock();
        if let Some(token) = state.streams.remove(iden) {
            token.cancel();
        }
        state.items.remove(iden)
    }

    pub(crate) fn add_stream(&self) -> (String, CancellationToken) {
        let (iden, token) = (rand_guid(), self.done.child_token());
        self.state.lock().streams.insert(iden.clone(), token.clone());
        (iden, token)
    }

    /// Ends the session: every object of it is told.
    pub(crate) async fn fini(&self) {
        self.done.cancel();
        let (items, root) = {
            let mut state = self.state.lock();
            state.ended = true;
            state.streams.clear();
            (std::mem::take(&mut state.items), state.root.take())
        };
        for item in items.into_values().chain(root) {
            item.fini().await;
        }
    }

    /// The session as `getDmonSessions` shows it.
    pub fn pack(&self) -> Value {
        let state = self.state.lock();
        let mut items = Map::new();
        if let Some(root) = &state.root {
            items.insert(Value::Null, class_of(root));
        }
        for (iden, item) in &state.items {
            items.insert(iden.as_str(), class_of(item));
        }
        let mut info = Map::new().with("items", items).with("conninfo", self.link.conninfo());
        if let Some((iden, name)) = &state.user {
            info.insert("user", Map::new().with("iden", iden).with("name", name));
        }
        info.into()
    }
}

fn class_of(item: &Arc<dyn Api>) -> Value {
    item.sharinfo().get("classes").and_then(|names| names.at(0)).cloned().unwrap_or_default()
}
