//! The HTTPS routes that a cortex adds to those of every service: Storm, the model, global variables and feeds.
//!
//! Every route asks for a user before it looks at anything else; the body is JSON also for `GET`. What a query does is
//! checked by the query, as over telepath.

mod ext;
mod model;
mod storm;
mod vars;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::{any, get, post};
use myelin_cell::http::{Fail, JsonBody, Reply, Routes};
use myelin_value::{Map, Value};

use crate::Cortex;

/// What a route knows of the service.
type Core = Arc<Cortex>;
type Answer = Result<Reply, Fail>;

/// The routes of a cortex.
pub fn routes(core: &Core) -> Routes {
    Routes::new()
        .route("/api/v1/storm", get(storm::storm).post(storm::storm))
        .route("/api/v1/storm/call", get(storm::call).post(storm::call))
        .route("/api/v1/storm/nodes", get(storm::nodes).post(storm::nodes))
        .route("/api/v1/storm/export", get(storm::export).post(storm::export))
        .route("/api/v1/reqvalidstorm", get(storm::req_valid).post(storm::req_valid))
        .route("/api/v1/isvalidstorm", get(storm::is_valid).post(storm::is_valid))
        .route("/api/v1/feed", post(storm::feed))
        .route("/api/v1/storm/vars/get", get(vars::get))
        .route("/api/v1/storm/vars/set", post(vars::set))
        .route("/api/v1/storm/vars/pop", post(vars::pop))
        .route("/api/v1/model", get(model::model))
        .route("/api/v1/model/norm", get(model::norm).post(model::norm))
        .route("/api/v1/core/info", get(model::info))
        .route("/api/ext/", any(ext::run))
        .route("/api/ext/{*path}", any(ext::run))
        .with_state(core.clone())
        .merge(myelin_axon::routes::routes(Arc::new(crate::parts::stores::Served(core.clone()))))
}

fn bad(code: &str, mesg: impl Into<String>) -> Fail {
    Fail::new(StatusCode::BAD_REQUEST, code, mesg)
}

/// The body of a request as the dictionary that every route expects.
fn body_map(JsonBody(body): &JsonBody) -> Result<&Map, Fail> {
    body.as_map().ok_or_else(|| bad("SchemaViolation", "The body of the request must be a JSON object."))
}

/// A key of the body, null where it is absent.
fn field(body: &Map, key: &str) -> Value {
    body.get(key).cloned().unwrap_or_default()
}
