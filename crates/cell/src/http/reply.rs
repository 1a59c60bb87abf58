//! The envelope of JSON answers: `{"status": "ok", "result": …}` and `{"status": "err", "code": …, "mesg": …}`.

use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use myelin_error::Error;
use myelin_value::{Map, Value, json};

/// A good answer.
pub struct Reply(pub Value);

/// A bad answer.
#[derive(Debug)]
pub struct Fail {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error's name.
    pub code: String,
    /// What is wrong.
    pub mesg: String,
}

impl Fail {
    /// An answer of that status.
    pub fn new(status: StatusCode, code: impl Into<String>, mesg: impl Into<String>) -> Fail {
        Fail { status, code: code.into(), mesg: mesg.into() }
    }

    /// An error with a status that its name alone does not give.
    pub fn of(status: StatusCode, error: &Error) -> Fail {
        Fail::new(status, error.name(), error.message())
    }
}

/// The answer to a request without a user.
pub fn unauthenticated() -> Fail {
    Fail::new(StatusCode::UNAUTHORIZED, "NotAuthenticated", "The session is not logged in.")
}

impl From<Error> for Fail {
    fn from(error: Error) -> Fail {
        let status = match error.name() {
            "AuthDeny" => StatusCode::FORBIDDEN,
            "NoSuchUser" | "NoSuchRole" | "NoSuchView" => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        Fail::of(status, &error)
    }
}

fn answer(status: StatusCode, body: Map) -> Response {
    let (status, text) = match json::to_json_text(&body.into()) {
        Ok(text) => (status, text),
        Err(error) => {
            let mesg = format!("The answer has no JSON form: it holds {}.", error.0);
            let body = Map::new().with("status", "err").with("code", "MustBeJsonSafe").with("mesg", mesg);
            (StatusCode::BAD_REQUEST, json::to_json_text(&body.into()).unwrap_or_default())
        }
    };
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"))], text).into_response()
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, Map::new().with("status", "ok").with("result", self.0))
    }
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let body = Map::new().with("status", "err").with("code", self.code).with("mesg", self.mesg);
        let mut response = answer(self.status, body);
        if self.status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=synapse");
            response.headers_mut().insert(WWW_AUTHENTICATE, basic);
        }
        response
    }
}
