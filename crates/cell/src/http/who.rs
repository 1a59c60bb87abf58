//! Who sends a request: a session cookie, else an API key, else basic authentication.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use myelin_error::{Result, err};
use myelin_value::{Iden, Map, Value, json, rand_guid};

use super::reply::{Fail, unauthenticated};
use super::{Conn, blocking, cookie};
use crate::version::now;
use crate::{Cell, User};

/// The user of a request, if there is one. Taken by handlers of any router that a cell serves.
pub struct MaybeWho(pub Option<User>);

/// The user of a request; without one the answer is 401.
pub struct Who(pub User);

/// An admin; for others the answer is 401 or 403.
pub struct Admin(pub User);

/// The address that a request comes from.
pub struct Remote(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Remote {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Fail> {
        Ok(Remote(Conn::of(parts)?.remote.to_string()))
    }
}

/// The JSON of a request's body; for anything else the answer is 400.
pub struct JsonBody(pub Value);

impl<S: Send + Sync> FromRequestParts<S> for MaybeWho {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Fail> {
        let conn = Conn::of(parts)?;
        let headers = parts.headers.clone();
        let uri = parts.uri.path().to_owned();
        let from = conn.clone();
        let user = blocking(move || from.cell.http_user(&from, &headers, &uri)).await?;
        if let Some(user) = &user {
            *conn.user.lock() = Some(user.clone());
        }
        Ok(MaybeWho(user))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> std::result::Result<Self, Fail> {
        let MaybeWho(user) = MaybeWho::from_request_parts(parts, state).await?;
        user.map(Who).ok_or_else(unauthenticated)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> std::result::Result<Self, Fail> {
        let Who(user) = Who::from_request_parts(parts, state).await?;
        if user.is_admin(None) {
            return Ok(Admin(user));
        }
        let mesg = format!("User {} ({}) is not an admin.", user.iden(), user.name());
        Err(Fail::new(StatusCode::FORBIDDEN, "AuthDeny", mesg))
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Fail;

    async fn from_request(req: Request, state: &S) -> std::result::Result<Self, Fail> {
        let bad = || Fail::new(StatusCode::BAD_REQUEST, "SchemaViolation", "Invalid JSON content.");
        let byts = axum::body::Bytes::from_request(req, state).await.map_err(|_| bad())?;
        json::parse(&byts).map(JsonBody).map_err(|_| bad())
    }
}

/// Fails unless a user has a permission.
pub fn req_allowed(user: &User, perm: &[&str], default: bool, gateiden: Option<&str>) -> std::result::Result<(), Fail> {
    if user.allowed_or(perm, Some(default), gateiden, false).unwrap_or(default) {
        return Ok(());
    }
    let perm = perm.join(".");
    let name = user.name();
    let mut mesg = if default {
        format!("User ({name}) is denied the permission {perm}")
    } else {
        format!("User ({name}) must have permission {perm}")
    };
    if let Some(gate) = gateiden {
        mesg += &format!(" on object {gate}");
    }
    Err(Fail::new(StatusCode::FORBIDDEN, "AuthDeny", mesg))
}

/// The session's iden in the headers of a request.
pub(super) fn session_iden(conn: &Conn, headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|valu| valu.to_str().ok()).flat_map(|valu| valu.split(';'));
    let named = cookies.filter_map(|part| part.trim().split_once('=')).find(|(name, _)| *name == cookie::NAME);
    let valu = named?.1.trim();
    let valu = valu.strip_prefix('"').and_then(|valu| valu.strip_suffix('"')).unwrap_or(valu);
    cookie::verify(&conn.secret, valu, now() / 1000).filter(|iden| Iden::from_hex(iden).is_some())
}

impl Cell {
    fn http_user(&self, conn: &Conn, headers: &HeaderMap, uri: &str) -> Result<Option<User>> {
        let refused = |mesg: &str, user: Option<&User>, name: &str| {
            let iden = user.map(|user| user.iden().to_string());
            tracing::warn!(uri, remote_ip = %conn.remote, target_user = iden, target_username = name, "not logged in: {mesg}");
            Ok(None)
        };
        // A cookie wins even when its session has no user.
        if let Some(iden) = session_iden(conn, headers) {
            let info = self.http_session(&iden)?;
            let user = info.get_str("user").and_then(|iden| self.auth().user(iden));
            return Ok(user.filter(|user| !user.is_locked()));
        }
        if let Some(token) = headers.get("x-api-key") {
            let token = token.to_str().unwrap_or_default();
            return match self.check_api_key(token)? {
                Ok(info) => {
                    let iden = info.get("udef").and_then(|udef| udef.get("iden")).and_then(Value::as_str);
                    Ok(iden.and_then(|iden| self.auth().user(iden)))
                }
                Err(mesg) => refused(&mesg, None, ""),
            };
        }
        let Some((name, passwd)) = basic(headers) else { return Ok(None) };
        match self.auth().user_by_name(&name) {
            None => refused("No such user.", None, &name),
            Some(user) if user.is_locked() => refused("User is locked.", Some(&user), &name),
            Some(user) if !self.auth().try_passwd(&user, &passwd)? => {
                refused("Incorrect password.", Some(&user), &name)
            }
            found => Ok(found),
        }
    }

    /// What a session holds; empty when there is none. Blocks.
    pub fn http_session(&self, iden: &str) -> Result<Map> {
        let Some(iden) = Iden::from_hex(iden) else { return Ok(Map::new()) };
        let txn = self.slab().read_fresh()?;
        Ok(self.inner().sess.dict(&txn, iden)?.into_iter().collect())
    }

    /// Makes a session for a user who has logged in, or gives that user an existing one. Returns its iden. Blocks.
    pub(super) fn open_session(&self, iden: Option<String>, user: &User) -> Result<String> {
        let iden = iden.unwrap_or_else(rand_guid);
        let push = |event: &str, args: Vec<Value>| self.nexus().push(self.iden(), event, args, Map::new()).map(drop);
        if self.http_session(&iden)?.is_empty() {
            let info = Map::new().with("created", now());
            push("http:sess:add", vec![iden.as_str().into(), info.into()])?;
        }
        push("http:sess:set", vec![iden.as_str().into(), "user".into(), user.iden().into()])?;
        push("http:sess:set", vec![iden.as_str().into(), "username".into(), user.name().into()])?;
        Ok(iden)
    }

    /// Deletes a session. Blocks.
    pub(super) fn close_session(&self, iden: &str) -> Result<()> {
        if Iden::from_hex(iden).is_none() {
            return Err(err!("BadArg", mesg = "This is no session.", name = "iden"));
        }
        self.nexus().push(self.iden(), "http:sess:del", vec![iden.into()], Map::new()).map(drop)
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let blob = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?.trim();
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(blob).ok()?).ok()?;
    text.split_once(':').map(|(name, passwd)| (name.to_owned(), passwd.to_owned()))
}
