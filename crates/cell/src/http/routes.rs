//! The routes of every service: login, health, users and roles, and the stream of changes.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use myelin_telepath::gate;
use myelin_value::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::reply::{Fail, Reply};
use super::who::{Admin, JsonBody, MaybeWho, Who, req_allowed, session_iden};
use super::{Conn, Routes, blocking, cookie, is_same_host};
use crate::version::now;
use crate::{Cell, Role, User};

type Answer = Result<Reply, Fail>;

/// The routes, for the cell they speak of.
pub(super) fn all(cell: &Cell) -> Routes {
    Routes::new()
        .route("/robots.txt", get(async || "User-agent: *\nDisallow: /\n"))
        .route("/api/v1/login", post(login))
        .route("/api/v1/logout", get(logout))
        .route("/api/v1/active", get(active))
        .route("/api/v1/healthcheck", get(health))
        .route("/api/v1/auth/users", get(users))
        .route("/api/v1/auth/roles", get(roles))
        .route("/api/v1/auth/user/{iden}", get(user_get).post(user_mod))
        .route("/api/v1/auth/role/{iden}", get(role_get).post(role_mod))
        .route("/api/v1/auth/password/{iden}", post(password))
        .route("/api/v1/auth/grant", get(grant).post(grant))
        .route("/api/v1/auth/revoke", get(revoke).post(revoke))
        .route("/api/v1/auth/adduser", post(add_user))
        .route("/api/v1/auth/addrole", post(add_role))
        .route("/api/v1/auth/delrole", post(del_role))
        .route("/api/v1/auth/onepass/issue", post(onepass))
        .route("/api/v1/behold", get(behold))
        .with_state(cell.clone())
}

fn bad(code: &str, mesg: impl Into<String>) -> Fail {
    Fail::new(StatusCode::BAD_REQUEST, code, mesg)
}

fn missing(code: &str, mesg: String) -> Fail {
    Fail::new(StatusCode::NOT_FOUND, code, mesg)
}

/// A key of the body that is text.
fn text<'a>(body: &'a Value, key: &str) -> Result<Option<&'a str>, Fail> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(valu) => {
            valu.as_str().map(Some).ok_or_else(|| bad("SchemaViolation", format!("data.{key} must be string")))
        }
    }
}

fn given<'a>(body: &'a Value, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|valu| !valu.is_null())
}

fn req_map(body: &Value) -> Result<(), Fail> {
    if body.as_map().is_some() { Ok(()) } else { Err(bad("SchemaViolation", "data must be object")) }
}

fn find_user(cell: &Cell, iden: &str) -> Result<User, Fail> {
    cell.auth().user(iden).ok_or_else(|| missing("NoSuchUser", format!("User {iden} does not exist.")))
}

fn find_role(cell: &Cell, iden: &str) -> Result<Role, Fail> {
    cell.auth().role(iden).ok_or_else(|| missing("NoSuchRole", format!("Role {iden} does not exist.")))
}

fn user_reply(user: &User) -> Reply {
    Reply(user.pack(false).into())
}

// ---- sessions

async fn login(
    State(cell): State<Cell>,
    axum::Extension(conn): axum::Extension<Conn>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Fail> {
    let map = body.as_map().ok_or_else(|| bad("SchemaViolation", "data must be object"))?;
    let schema = |mesg: &str| bad("SchemaViolation", mesg);
    let (Some(name), Some(passwd)) = (map.get_str("user"), map.get_str("passwd")) else {
        return Err(schema("data must contain ['user', 'passwd'] properties of type string"));
    };
    if map.len() > 2 {
        return Err(schema("data must not contain properties other than ['user', 'passwd']"));
    }
    let (name, passwd) = (name.to_owned(), passwd.to_owned());
    let deny = |status, mesg: &str| Fail::new(status, "AuthDeny", mesg);
    let warn = |mesg: &str| tracing::warn!(remote_ip = %conn.remote, target_username = name, "not logged in: {mesg}");
    let Some(user) = cell.auth().user_by_name(&name) else {
        warn("No such user.");
        return Err(deny(StatusCode::NOT_FOUND, "No such user."));
    };
    if user.is_locked() {
        warn("User is locked.");
        return Err(deny(StatusCode::FORBIDDEN, "User is locked."));
    }
    let (who, at) = (user.clone(), cell.clone());
    if !blocking(move || at.auth().try_passwd(&who, &passwd)).await? {
        warn("Incorrect password.");
        return Err(deny(StatusCode::FORBIDDEN, "Incorrect password."));
    }
    let known = session_iden(&conn, &headers);
    let fresh = known.is_none();
    let who = user.clone();
    let iden = blocking(move || cell.open_session(known, &who)).await?;
    *conn.user.lock() = Some(user.clone());
    let mut response = Reply(user.pack(true).into()).into_response();
    if fresh {
        let signed = cookie::sign(&conn.secret, &iden, now() / 1000);
        set_cookie(
            &mut response,
            &format!("\"{signed}\""),
            now() / 1000 + cookie::MAX_AGE_SECS,
            "HttpOnly; Path=/; Secure",
        );
    }
    Ok(response)
}

fn set_cookie(response: &mut Response, valu: &str, expires_secs: i64, attrs: &str) {
    let when = jiff::Timestamp::from_second(expires_secs).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let when = when.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let text = format!("{}={valu}; expires={when}; {attrs}", cookie::NAME);
    if let Ok(text) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, text);
    }
}

async fn logout(
    State(cell): State<Cell>,
    axum::Extension(conn): axum::Extension<Conn>,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    if let Some(iden) = session_iden(&conn, &headers) {
        blocking(move || cell.close_session(&iden)).await?;
    }
    let mut response = Reply(Value::Bool(true)).into_response();
    set_cookie(&mut response, "\"\"", 0, "Path=/");
    Ok(response)
}

// ---- state

async fn active(State(cell): State<Cell>) -> Reply {
    Reply(Map::new().with("active", cell.is_active()).into())
}

async fn health(State(cell): State<Cell>, Who(user): Who) -> Answer {
    req_allowed(&user, &["health"], false, None)?;
    blocking(move || Ok(Reply(cell.health_check().pack().into()))).await
}

// ---- users

async fn users(State(cell): State<Cell>, _: Who, Query(query): Query<Vec<(String, String)>>) -> Answer {
    let archived = query.iter().rev().find(|(key, _)| key == "archived").map_or("0", |(_, valu)| valu.trim());
    let all = match archived {
        "0" => false,
        "1" => true,
        _ => return Err(bad("BadHttpParam", "The parameter \"archived\" must be 0 or 1 if specified.")),
    };
    let users = cell.auth().users();
    let users = users.iter().filter(|user| all || !user.is_archived());
    Ok(Reply(users.map(|user| Value::from(user.pack(true))).collect()))
}

async fn user_get(State(cell): State<Cell>, _: Who, Path(iden): Path<String>) -> Answer {
    Ok(user_reply(&find_user(&cell, &iden)?))
}

async fn user_mod(State(cell): State<Cell>, _: Admin, Path(iden): Path<String>, JsonBody(body): JsonBody) -> Answer {
    let user = find_user(&cell, &iden)?;
    req_map(&body)?;
    let name = text(&body, "name")?.map(str::to_owned);
    let gate = text(&body, "gate")?.map(str::to_owned);
    blocking(move || {
        let auth = cell.auth();
        let flag = |key: &str| given(&body, key).map(Value::is_truthy);
        if let Some(name) = name {
            auth.rename_user(&iden, &name)?;
        }
        if let Some(email) = given(&body, "email") {
            auth.set_email_of(&user, email.clone())?;
        }
        if let Some(locked) = flag("locked") {
            auth.set_locked(&user, locked)?;
        }
        if let Some(rules) = given(&body, "rules") {
            auth.set_user_rules(&user, rules.clone(), gate.as_deref())?;
        }
        if let Some(admin) = flag("admin") {
            auth.set_admin(&user, admin, gate.as_deref())?;
        }
        if let Some(archived) = flag("archived") {
            auth.set_archived(&user, archived)?;
        }
        Ok(user_reply(&user))
    })
    .await
}

async fn password(
    State(cell): State<Cell>,
    Who(caller): Who,
    Path(iden): Path<String>,
    JsonBody(body): JsonBody,
) -> Answer {
    let user = find_user(&cell, &iden)?;
    req_map(&body)?;
    // For anybody else nothing changes and the call succeeds, as it always has.
    if caller.is_admin(None) || caller == user {
        let (who, passwd) = (user.clone(), body.get("passwd").cloned().unwrap_or_default());
        blocking(move || cell.auth().set_passwd(&who, &passwd, true)).await?;
    }
    Ok(user_reply(&user))
}

async fn add_user(State(cell): State<Cell>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    req_map(&body)?;
    let name = text(&body, "name")?.map(str::to_owned);
    let name = name.ok_or_else(|| bad("MissingField", "The adduser API requires a \"name\" argument."))?;
    if cell.auth().user_by_name(&name).is_some() {
        return Err(bad("DupUser", format!("A user named {name} already exists.")));
    }
    blocking(move || {
        let auth = cell.auth();
        let user = auth.add_user(&name, None, &Value::Null, None)?;
        if let Some(passwd) = given(&body, "passwd") {
            auth.set_passwd(&user, passwd, true)?;
        }
        if let Some(admin) = given(&body, "admin") {
            auth.set_admin(&user, admin.is_truthy(), None)?;
        }
        if let Some(email) = given(&body, "email") {
            auth.set_email_of(&user, email.clone())?;
        }
        if let Some(rules) = given(&body, "rules") {
            auth.set_user_rules(&user, rules.clone(), None)?;
        }
        Ok(user_reply(&user))
    })
    .await
}

async fn onepass(State(cell): State<Cell>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    req_map(&body)?;
    let iden = text(&body, "user")?.unwrap_or_default();
    let user = cell.auth().user(iden).ok_or_else(|| missing("NoSuchUser", "The user iden does not exist.".into()))?;
    let duration = match given(&body, "duration") {
        None => 600_000,
        Some(valu) => valu.as_i64().ok_or_else(|| bad("SchemaViolation", "data.duration must be integer"))?,
    };
    blocking(move || Ok(Reply(cell.auth().gen_onepass(&user, duration)?.into()))).await
}

// ---- roles

async fn roles(State(cell): State<Cell>, _: Who) -> Reply {
    Reply(cell.auth().roles().iter().map(|role| Value::from(role.pack())).collect())
}

async fn role_get(State(cell): State<Cell>, _: Who, Path(iden): Path<String>) -> Answer {
    Ok(Reply(find_role(&cell, &iden)?.pack().into()))
}

async fn role_mod(State(cell): State<Cell>, _: Admin, Path(iden): Path<String>, JsonBody(body): JsonBody) -> Answer {
    let role = find_role(&cell, &iden)?;
    req_map(&body)?;
    let gate = text(&body, "gate")?.map(str::to_owned);
    blocking(move || {
        if let Some(rules) = given(&body, "rules") {
            cell.auth().set_role_rules(&role, rules.clone(), gate.as_deref())?;
        }
        Ok(Reply(role.pack().into()))
    })
    .await
}

async fn add_role(State(cell): State<Cell>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    req_map(&body)?;
    let name = text(&body, "name")?.map(str::to_owned);
    let name = name.ok_or_else(|| bad("MissingField", "The addrole API requires a \"name\" argument."))?;
    if cell.auth().role_by_name(&name).is_some() {
        return Err(bad("DupRole", format!("A role named {name} already exists.")));
    }
    blocking(move || {
        let role = cell.auth().add_role(&name, None)?;
        if let Some(rules) = given(&body, "rules") {
            cell.auth().set_role_rules(&role, rules.clone(), None)?;
        }
        Ok(Reply(role.pack().into()))
    })
    .await
}

async fn del_role(State(cell): State<Cell>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    req_map(&body)?;
    let name = text(&body, "name")?.map(str::to_owned);
    let name = name.ok_or_else(|| bad("MissingField", "The delrole API requires a \"name\" argument."))?;
    let role = cell.auth().role_by_name(&name);
    let role = role.ok_or_else(|| missing("NoSuchRole", format!("The role {name} does not exist!")))?;
    blocking(move || cell.auth().del_role(role.iden()).map(|()| Reply(Value::Null))).await
}

async fn grant(State(cell): State<Cell>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    let (user, role) = pair(&cell, &body)?;
    blocking(move || cell.auth().grant(&user, role.iden(), None).map(|()| user_reply(&user))).await
}

async fn revoke(State(cell): State<Cell>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    let (user, role) = pair(&cell, &body)?;
    blocking(move || cell.auth().revoke(&user, role.iden()).map(|()| user_reply(&user))).await
}

fn pair(cell: &Cell, body: &Value) -> Result<(User, Role), Fail> {
    req_map(body)?;
    let (user, role) = (text(body, "user")?.unwrap_or("None"), text(body, "role")?.unwrap_or("None"));
    let no_user = || missing("NoSuchUser", format!("User iden {user} not found."));
    let no_role = || missing("NoSuchRole", format!("Role iden {role} not found."));
    Ok((cell.auth().user(user).ok_or_else(no_user)?, cell.auth().role(role).ok_or_else(no_role)?))
}

// ---- the stream of changes

async fn behold(
    State(cell): State<Cell>,
    MaybeWho(user): MaybeWho,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Response {
    if headers.contains_key("origin") && !is_same_host(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    socket.on_upgrade(async move |mut socket| {
        // An error here is a peer that is gone.
        let _ = tell(&cell, user, &mut socket).await;
    })
}

/// How often a silent peer is asked whether it is there.
const PING: Duration = Duration::from_secs(10);

async fn xmit(socket: &mut WebSocket, name: &str, data: Map) -> Result<(), axum::Error> {
    let mesg = Map::new().with("type", name).with("data", data);
    let text = json::to_json_text(&mesg.into()).unwrap_or_default();
    gate::pass().await.map_err(axum::Error::new)?;
    socket.send(Message::Text(text.into())).await
}

async fn tell(cell: &Cell, user: Option<User>, socket: &mut WebSocket) -> Result<(), axum::Error> {
    let errx = |code: &str, mesg: &str| Map::new().with("code", code).with("mesg", mesg);
    let first = loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    };
    let init = json::parse(first.as_bytes()).ok();
    if init.as_ref().and_then(|init| init.get("type")).and_then(Value::as_str) != Some("call:init") {
        return xmit(socket, "errx", errx("BadMesgFormat", "Invalid initial message")).await;
    }
    if !user.is_some_and(|user| user.is_admin(None)) {
        return xmit(socket, "errx", errx("AuthDeny", "Only an admin may watch the changes.")).await;
    }
    let mut told = cell.nexus().beholders();
    xmit(socket, "init", Map::new()).await?;
    let mut ping = tokio::time::interval(PING);
    loop {
        tokio::select! {
            mesg = told.recv() => match mesg {
                Ok(mesg) => xmit(socket, "iter", mesg.as_map().cloned().unwrap_or_default()).await?,
                // A slow peer loses the oldest changes and goes on.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return xmit(socket, "fini", Map::new()).await,
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
            _ = ping.tick() => socket.send(Message::Ping(Default::default())).await?,
        }
    }
}
