//! The data model, and what values become in it.

use axum::extract::State;
use axum::http::StatusCode;
use myelin_cell::http::{Fail, JsonBody, Reply, Who, blocking};
use myelin_value::{Map, Value};

use super::{Answer, Core, bad, body_map, field};

/// The model as clients know it.
pub(super) async fn model(State(core): State<Core>, Who(_): Who) -> Answer {
    blocking(move || Ok(Reply(core.model().model_dict()))).await
}

/// The norm of a value by the type of a property.
pub(super) async fn norm(State(core): State<Core>, Who(_): Who, body: JsonBody) -> Answer {
    let body = body_map(&body)?.clone();
    let name = field(&body, "prop");
    if name.is_null() {
        return Err(bad("MissingField", "The request must name a property: it lacks the key prop."));
    }
    let name = name.as_str().unwrap_or_default().to_owned();
    let known = core.model();
    if known.prop(&name).is_none() {
        let mesg = format!("The property {name} does not exist.");
        return Err(Fail::new(StatusCode::NOT_FOUND, "NoSuchProp", mesg));
    }
    blocking(move || {
        let done = core.prop_norm(&name, &field(&body, "value"), &field(&body, "typeopts"))?;
        let part = |at: usize| done.at(at).cloned().unwrap_or_default();
        Ok(Reply(Value::from(Map::new().with("norm", part(0)).with("info", part(1)))))
    })
    .await
}

/// What shells need to complete words: version, model, libraries, commands.
pub(super) async fn info(State(core): State<Core>, Who(_): Who) -> Answer {
    blocking(move || Ok(Reply(core.info().into()))).await
}
