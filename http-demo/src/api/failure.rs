//! HTTP errors as JSON: `{"error": {"code", "message"}}`, and of Redis and Postgres also `service` and `reason`. Pure: no I/O.

use axum::Json;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::backend::Away;
use crate::backend::redis::RedisFailure;

/// Why a request is not answered with what it asked for. The sentences hold nothing of what a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Bytes of the longest key.
    BadKey(usize),
    /// Seconds of the longest TTL.
    BadTtl(u32),
    BadQuery,
    BadContentType,
    BadBody,
    SlowBody,
    /// Bytes of the longest value.
    TooLarge(usize),
    NoSuchKey,
    Foreign,
    NotFound,
    MethodNotAllowed,
    TooManyConnections,
    Internal,
    Away(Away),
}

impl From<RedisFailure> for Failure {
    fn from(failure: RedisFailure) -> Self {
        match failure {
            RedisFailure::Foreign => Self::Foreign,
            RedisFailure::Away(away) => Self::Away(away),
        }
    }
}

impl Failure {
    fn status(self) -> StatusCode {
        match self {
            Self::BadKey(_) | Self::BadTtl(_) | Self::BadQuery | Self::BadContentType | Self::BadBody => {
                StatusCode::BAD_REQUEST
            }
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoSuchKey | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Foreign => StatusCode::CONFLICT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyConnections | Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::BadKey(_) => "bad_key",
            Self::BadTtl(_) => "bad_ttl",
            Self::BadQuery => "bad_query",
            Self::BadContentType => "bad_content_type",
            Self::BadBody => "bad_body",
            Self::SlowBody => "slow_body",
            Self::TooLarge(_) => "too_large",
            Self::NoSuchKey => "no_such_key",
            Self::Foreign => "foreign_key",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooManyConnections => "too_many_connections",
            Self::Internal => "internal",
            Self::Away(_) => "unavailable",
        }
    }

    fn message(self) -> String {
        match self {
            Self::BadKey(longest) => {
                format!("A key is 1 to {longest} bytes of UTF-8 without control characters: /kv/<key>.")
            }
            Self::BadTtl(longest) => format!("A TTL is 1 to {longest} seconds: ?ttl=60."),
            Self::BadQuery => "The only parameter is ttl, once, and only PUT has it: ?ttl=60.".to_owned(),
            Self::BadContentType => {
                "A Content-Type is type/subtype in at most 255 visible ASCII characters.".to_owned()
            }
            Self::BadBody => "The body did not come whole.".to_owned(),
            Self::SlowBody => "The body did not come in time.".to_owned(),
            Self::TooLarge(longest) => format!("A value is at most {longest} bytes."),
            Self::NoSuchKey => "There is no value under this key; it may have expired.".to_owned(),
            Self::Foreign => {
                "Redis holds something under this key that http-demo did not put there; PUT and DELETE replace it."
                    .to_owned()
            }
            Self::NotFound => "There is nothing here; /kv/<key>, /db and /status are, and the page at /.".to_owned(),
            Self::MethodNotAllowed => "This address does not know this method; see the header Allow.".to_owned(),
            Self::TooManyConnections => {
                "http-demo has as many connections as it may; try again in a moment.".to_owned()
            }
            Self::Internal => "The answer cannot be written.".to_owned(),
            Self::Away(away) => away.sentence(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code(), "message": self.message()});
        if let Self::Away(away) = self {
            error["service"] = away.service.as_str().into();
            error["reason"] = away.reason.as_str().into();
        }
        let mut response = (self.status(), Json(json!({"error": error}))).into_response();
        let headers = response.headers_mut();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if matches!(self, Self::TooLarge(_) | Self::SlowBody | Self::BadBody) {
            // What is left of the body is not waited for.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
