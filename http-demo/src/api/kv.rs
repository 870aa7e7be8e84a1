//! `/kv/<key>`: values in Redis. Reads request bodies; otherwise no I/O of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::App;
use super::failure::Failure;
use crate::backend::redis::Found;
use crate::settings::{Limits, digits};

/// From the header to the whole body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Of a body that is refused so much is still read: a client that has its answer before it has written everything may see a broken
/// connection instead.
const REFUSED_BODY: usize = 4 << 20;
/// Seconds that a value still has.
const TTL: HeaderName = HeaderName::from_static("ttl");
/// A value is what somebody put there, of any type: a browser may show it, and no more. Nothing in it runs as part of this origin.
const VALUE_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

type Key = Result<Path<String>, PathRejection>;

pub async fn get(State(app): State<Arc<App>>, key: Key, uri: Uri) -> Result<Response, Failure> {
    let key = check(&app, key, &uri)?;
    let foreign = || {
        let message =
            "Redis holds something under this key that http-demo did not put there; PUT and DELETE replace it.";
        Failure::new(StatusCode::CONFLICT, "foreign_key", message)
    };
    match app.redis.get(&key).await? {
        Found::Nothing => Err(no_such_key()),
        Found::Foreign => Err(foreign()),
        Found::Value { content_type, bytes, ttl } => {
            let kind = HeaderValue::try_from(content_type).map_err(|_| foreign())?;
            let headers = [(CONTENT_TYPE, kind), (TTL, ttl.into()), (CONTENT_SECURITY_POLICY, VALUE_POLICY)];
            Ok((headers, bytes).into_response())
        }
    }
}

pub async fn put(State(app): State<Arc<App>>, key: Key, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let value = read(&parts.headers, body, app.limits.max_value).await?;
    let ttl = ttl(parts.uri.query().unwrap_or_default(), app.limits)?;
    let key = check(&app, key, &Uri::default())?;
    let replaced = app.redis.put(&key, content_type(&parts.headers)?, &value, ttl).await?;
    let status = if replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    Ok((status, [(TTL, HeaderValue::from(ttl))]).into_response())
}

pub async fn delete(State(app): State<Arc<App>>, key: Key, uri: Uri) -> Result<StatusCode, Failure> {
    let key = check(&app, key, &uri)?;
    if app.redis.delete(&key).await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_such_key()) }
}

pub async fn no_key(State(app): State<Arc<App>>) -> Failure {
    bad_key(app.limits)
}

fn no_such_key() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "no_such_key", "There is no value under this key; it may have expired.")
}

fn bad(code: &'static str, message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, code, message)
}

fn bad_key(limits: Limits) -> Failure {
    let longest = limits.max_key;
    bad("bad_key", format!("A key is 1 to {longest} bytes of UTF-8 without control characters: /kv/<key>."))
}

fn bad_query() -> Failure {
    bad("bad_query", "The only parameter is ttl, once, and only PUT has it: ?ttl=60.")
}

/// The key as Redis has it.
fn check(app: &App, key: Key, uri: &Uri) -> Result<String, Failure> {
    // Rejected: not UTF-8.
    let Path(key) = key.map_err(|_| bad_key(app.limits))?;
    if !(1..=app.limits.max_key).contains(&key.len()) || key.chars().any(char::is_control) {
        return Err(bad_key(app.limits));
    }
    if uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(bad_query());
    }
    Ok(format!("{}{key}", app.key_prefix))
}

/// Seconds. A parameter that is not known is refused: a typing error would else mean the default.
fn ttl(query: &str, limits: Limits) -> Result<u32, Failure> {
    if query.is_empty() {
        return Ok(limits.default_ttl);
    }
    let seconds = query.strip_prefix("ttl=").filter(|seconds| !seconds.contains('&')).ok_or_else(bad_query)?;
    let longest = limits.max_ttl;
    let ttl = digits(seconds).filter(|ttl| (1..=longest).contains(ttl));
    ttl.ok_or_else(|| bad("bad_ttl", format!("A TTL is 1 to {longest} seconds: ?ttl=60.")))
}

fn content_type(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut given = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = given.next() else { return Ok("application/octet-stream") };
    // `tchar` of RFC 9110 section 5.6.2.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_part);
    let is_type = |text: &&str| {
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        text.len() <= 255 && essence.split_once('/').is_some_and(|(kind, part)| is_token(kind) && is_token(part))
    };
    let kind = value.to_str().ok().filter(is_type).filter(|_| given.next().is_none());
    kind.ok_or_else(|| {
        bad("bad_content_type", "A Content-Type is type/subtype in at most 255 visible ASCII characters.")
    })
}

/// The whole body, if it comes in time and is not longer than `longest`.
async fn read(headers: &HeaderMap, mut body: Body, longest: usize) -> Result<Vec<u8>, Failure> {
    let too_large =
        || Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("A value is at most {longest} bytes."));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| digits::<usize>(length.to_str().ok()?));
    // A client that sends `Expect: 100-continue` learns from the answer not to send the body.
    if headers.contains_key(EXPECT) && announced.is_some_and(|length| length > longest) {
        return Err(too_large().close());
    }
    let (mut value, mut length) = (Vec::new(), 0);
    let whole = timeout(BODY_TIME, async {
        while let Some(frame) = body.frame().await {
            let data = frame?.into_data().unwrap_or_default();
            length += data.len();
            if length <= longest {
                value.extend_from_slice(&data);
            } else if length > REFUSED_BODY {
                break;
            }
        }
        Ok::<_, axum::Error>(())
    });
    match whole.await {
        _ if length > longest => Err(too_large().close()),
        Ok(Ok(())) => Ok(value),
        Ok(Err(_)) => Err(bad("bad_body", "The body did not come whole.").close()),
        Err(_) => Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "The body did not come in time.").close()),
    }
}
