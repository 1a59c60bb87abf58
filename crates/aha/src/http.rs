//! The HTTPS routes that AHA adds to those of every service: which services there are, and URLs that provision new ones.
//! Both are for admins.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use myelin_cell::http::{Admin, Fail, JsonBody, Reply, Routes, blocking};
use myelin_value::{Map, Value, json};

use crate::aha::Aha;

type Answer = Result<Reply, Fail>;

/// The routes.
pub fn routes(aha: &Aha) -> Routes {
    Routes::new()
        .route("/api/v1/aha/services", get(services))
        .route("/api/v1/aha/provision/service", post(provision))
        .with_state(aha.clone())
}

fn schema(mesg: impl Into<String>) -> Fail {
    Fail::new(StatusCode::BAD_REQUEST, "SchemaViolation", mesg)
}

/// The body as a map that has none but certain keys.
fn only<'a>(body: &'a Value, known: &[&str]) -> Result<&'a Map, Fail> {
    let map = body.as_map().ok_or_else(|| schema("data must be object"))?;
    match map.text_entries().find(|(key, _)| !known.contains(key)) {
        Some((key, _)) => Err(schema(format!("data has the property {key}, which is none of {known:?}"))),
        None => Ok(map),
    }
}

/// Text that is not empty, where the key is there.
fn text<'a>(map: &'a Map, key: &str, name: &str) -> Result<Option<&'a str>, Fail> {
    match map.get(key) {
        None => Ok(None),
        Some(valu) => match valu.as_str() {
            Some("") => Err(schema(format!("{name} must be longer than or equal to 1 characters"))),
            Some(text) => Ok(Some(text)),
            None => Err(schema(format!("{name} must be string"))),
        },
    }
}

async fn services(State(aha): State<Aha>, _: Admin, body: axum::body::Bytes) -> Answer {
    let mut network = None;
    if !body.is_empty() {
        let body = json::parse(&body).map_err(|_| schema("Invalid JSON content."))?;
        let map = only(&body, &["network"])?;
        network = text(map, "network", "data.network")?.map(str::to_owned);
    }
    let svcs = blocking(move || aha.store().svcs(network.as_deref())).await?;
    Ok(Reply(svcs.into_iter().collect()))
}

async fn provision(State(aha): State<Aha>, _: Admin, JsonBody(body): JsonBody) -> Answer {
    let map = only(&body, &["name", "provinfo"])?;
    let Some(name) = text(map, "name", "data.name")?.map(str::to_owned) else {
        return Err(schema("data must contain ['name'] properties"));
    };
    let info = match map.get("provinfo") {
        None => Map::new(),
        Some(info) => info.as_map().ok_or_else(|| schema("data.provinfo must be object"))?.clone(),
    };
    if info.get("conf").is_some_and(|conf| conf.as_map().is_none()) {
        return Err(schema("data.provinfo.conf must be object"));
    }
    for key in ["dmon:port", "https:port"] {
        let port = info.get(key).map(Value::as_i64);
        if port.is_some_and(|port| port.is_none_or(|port| !(0..=65535).contains(&port))) {
            return Err(schema(format!("data.provinfo.{key} must be integer from 0 to 65535")));
        }
    }
    text(&info, "mirror", "data.provinfo.mirror")?;
    let url = blocking(move || aha.add_prov(&name, &info)).await?;
    Ok(Reply(Map::new().with("url", url).into()))
}
