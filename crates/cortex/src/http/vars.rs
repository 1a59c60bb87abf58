//! Global variables.

use axum::extract::State;
use myelin_cell::User;
use myelin_cell::http::{Fail, JsonBody, MaybeWho, Reply, blocking, req_allowed, unauthenticated};
use myelin_value::Value;

use super::{Answer, Core, bad, body_map, field};

fn confirm(user: Option<&User>, verb: &str, name: &str) -> Result<(), Fail> {
    req_allowed(user.ok_or_else(unauthenticated)?, &["globals", verb, name], false, None)
}

/// The name of a variable as text, whatever was sent.
fn name_in(valu: &Value) -> String {
    match valu {
        Value::Str(text) => text.to_string(),
        other => myelin_model::types::py::str_text(other),
    }
}

/// The value of a variable, or the default that the request names.
pub(super) async fn get(State(core): State<Core>, MaybeWho(user): MaybeWho, body: JsonBody) -> Answer {
    let body = body_map(&body)?.clone();
    let name = name_in(&field(&body, "name"));
    confirm(user.as_ref(), "get", &name)?;
    blocking(move || Ok(Reply(core.vars.get(&name)?.unwrap_or_else(|| field(&body, "default"))))).await
}

/// Sets a variable.
pub(super) async fn set(State(core): State<Core>, MaybeWho(user): MaybeWho, body: JsonBody) -> Answer {
    let body = body_map(&body)?.clone();
    let name = name_in(&field(&body, "name"));
    let valu = body.get("value").cloned().ok_or_else(|| bad("BadArg", "The request lacks the key value."))?;
    confirm(user.as_ref(), "set", &name)?;
    blocking(move || core.vars.set(&name, valu).map(|_| Reply(true.into()))).await
}

/// Removes a variable; its value, or the default that the request names.
pub(super) async fn pop(State(core): State<Core>, MaybeWho(user): MaybeWho, body: JsonBody) -> Answer {
    let body = body_map(&body)?.clone();
    let name = name_in(&field(&body, "name"));
    confirm(user.as_ref(), "pop", &name)?;
    blocking(move || Ok(Reply(core.vars.pop(&name)?.unwrap_or_else(|| field(&body, "default"))))).await
}
