//! HTTP errors as JSON: `{"error": {"code", "message"}}`, and of Redis and Postgres also `service` and `reason`. Pure: no I/O.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::backend::Away;

/// Why a request is not answered with what it asked for. The sentences hold nothing of what a client sent.
pub struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    away: Option<Away>,
    close: bool,
}

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), away: None, close: false }
    }

    /// What is left of the request's body is not waited for.
    pub fn close(self) -> Self {
        Self { close: true, ..self }
    }

    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing here; /kv/<key>, /db and /status are, and the page at /.",
        )
    }

    pub fn method_not_allowed() -> Self {
        let message = "This address does not know this method; see the header Allow.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub fn too_many_connections() -> Self {
        let message = "http-demo has as many connections as it may; try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", message)
    }
}

impl From<Away> for Failure {
    fn from(away: Away) -> Self {
        Self { away: Some(away), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", away.sentence()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(Away { service, reason }) = self.away {
            error["service"] = service.id.into();
            error["reason"] = reason.as_str().into();
        }
        let retry = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some([(RETRY_AFTER, "2")]);
        let close = self.close.then_some([(CONNECTION, "close")]);
        (self.status, retry, close, Json(json!({"error": error}))).into_response()
    }
}
