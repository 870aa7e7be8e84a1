//! `/kv/<key>`: values in Redis. Reads request bodies; otherwise no I/O of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::App;
use super::failure::Failure;
use crate::settings::Limits;

/// From the header to the whole body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Of a body that is refused so much is still read, for so long: a client that has its answer before it has written everything may
/// see a broken connection instead.
const REFUSED_BODY: usize = 4 << 20;
const REFUSED_BODY_TIME: Duration = Duration::from_secs(1);
const DEFAULT_TYPE: &str = "application/octet-stream";
const MAX_TYPE: usize = 255;
/// Seconds that a value still has.
const TTL: HeaderName = HeaderName::from_static("ttl");
/// A value is what somebody put there, of any type: a browser may show it, and no more. Nothing in it runs as part of this origin.
const VALUE_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

type Key = Result<Path<String>, PathRejection>;

pub async fn get(State(app): State<Arc<App>>, key: Key, uri: Uri) -> Result<Response, Failure> {
    let key = check_key(key, app.limits)?;
    no_query(&uri)?;
    let stored = app.redis.get(&key).await?.ok_or(Failure::NoSuchKey)?;
    let content_type = HeaderValue::try_from(stored.content_type).map_err(|_| Failure::Foreign)?;
    let headers = [(CONTENT_TYPE, content_type), (TTL, stored.ttl.into()), (CONTENT_SECURITY_POLICY, VALUE_POLICY)];
    Ok((headers, stored.bytes).into_response())
}

pub async fn put(State(app): State<Arc<App>>, key: Key, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let checked = check_key(key, app.limits).and_then(|key| {
        let ttl = ttl(parts.uri.query(), app.limits)?;
        Ok((key, ttl, content_type(&parts.headers)?))
    });
    let (key, ttl, content_type) = match checked {
        Ok(checked) => checked,
        Err(failure) => {
            discard(&parts.headers, body).await;
            return Err(failure);
        }
    };
    let value = read(&parts.headers, body, app.limits.max_value).await?;
    let replaced = app.redis.put(&key, &content_type, &value, ttl).await?;
    let status = if replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    Ok((status, [(TTL, HeaderValue::from(ttl))]).into_response())
}

pub async fn delete(State(app): State<Arc<App>>, key: Key, uri: Uri) -> Result<StatusCode, Failure> {
    let key = check_key(key, app.limits)?;
    no_query(&uri)?;
    if app.redis.delete(&key).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Failure::NoSuchKey) }
}

pub async fn no_key(State(app): State<Arc<App>>) -> Failure {
    Failure::BadKey(app.limits.max_key)
}

fn check_key(key: Key, limits: Limits) -> Result<String, Failure> {
    // Rejected: not UTF-8.
    let Ok(Path(key)) = key else { return Err(Failure::BadKey(limits.max_key)) };
    if (1..=limits.max_key).contains(&key.len()) && !key.chars().any(char::is_control) {
        Ok(key)
    } else {
        Err(Failure::BadKey(limits.max_key))
    }
}

fn no_query(uri: &Uri) -> Result<(), Failure> {
    if uri.query().is_none_or(str::is_empty) { Ok(()) } else { Err(Failure::BadQuery) }
}

/// Seconds. A parameter that is not known is refused: a typing error would else mean the default.
fn ttl(query: Option<&str>, limits: Limits) -> Result<u32, Failure> {
    let query = query.unwrap_or_default();
    if query.is_empty() {
        return Ok(limits.default_ttl);
    }
    let Some(seconds) = query.strip_prefix("ttl=") else { return Err(Failure::BadQuery) };
    if seconds.contains('&') {
        return Err(Failure::BadQuery);
    }
    let digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
    match seconds.parse() {
        Ok(ttl) if digits && (1..=limits.max_ttl).contains(&ttl) => Ok(ttl),
        _ => Err(Failure::BadTtl(limits.max_ttl)),
    }
}

fn content_type(headers: &HeaderMap) -> Result<String, Failure> {
    let mut given = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = given.next() else { return Ok(DEFAULT_TYPE.to_owned()) };
    let text = value.to_str().map_err(|_| Failure::BadContentType)?;
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    let whole = essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if whole && text.len() <= MAX_TYPE && given.next().is_none() {
        Ok(text.to_owned())
    } else {
        Err(Failure::BadContentType)
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The whole body, if it comes in time and is not longer than `longest`.
async fn read(headers: &HeaderMap, body: Body, longest: usize) -> Result<Bytes, Failure> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > longest as u64) {
        discard(headers, body).await;
        return Err(Failure::TooLarge(longest));
    }
    let mut body = body;
    let outcome = timeout(BODY_TIME, Limited::new(&mut body, longest).collect()).await;
    match outcome.map_err(|_| Failure::SlowBody)? {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(headers, body).await;
            Err(Failure::TooLarge(longest))
        }
        Err(_) => Err(Failure::BadBody),
    }
}

/// Reads what a client is still sending, within limits, and forgets it.
async fn discard(headers: &HeaderMap, mut body: Body) {
    // Who asks first is told by the answer not to begin.
    if headers.contains_key(EXPECT) {
        return;
    }
    let mut left = REFUSED_BODY;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whether it ended or not, the answer is the same.
    let _ = timeout(REFUSED_BODY_TIME, read).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { default_ttl: 60, max_ttl: 100, max_key: 4, max_value: 8, max_connections: 1 };

    #[test]
    fn a_ttl_is_seconds_within_the_limit() {
        for (query, expected) in [
            (None, Ok(60)),
            (Some(""), Ok(60)),
            (Some("ttl=1"), Ok(1)),
            (Some("ttl=100"), Ok(100)),
            (Some("ttl=101"), Err(Failure::BadTtl(100))),
            (Some("ttl=0"), Err(Failure::BadTtl(100))),
            (Some("ttl="), Err(Failure::BadTtl(100))),
            (Some("ttl=+5"), Err(Failure::BadTtl(100))),
            (Some("ttl=4294967297"), Err(Failure::BadTtl(100))),
            (Some("ttl=1&ttl=2"), Err(Failure::BadQuery)),
            (Some("tll=5"), Err(Failure::BadQuery)),
        ] {
            assert_eq!(ttl(query, LIMITS), expected, "{query:?}");
        }
    }

    #[test]
    fn a_content_type_is_kept_or_refused() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            content_type(&headers)
        };
        assert_eq!(with(&[]).unwrap(), DEFAULT_TYPE);
        assert_eq!(with(&["text/plain; charset=utf-8"]).unwrap(), "text/plain; charset=utf-8");
        let long = "a/".to_owned() + &"b".repeat(MAX_TYPE);
        for wrong in ["", "text", "/plain", "text/", "te xt/plain", "text/pl ain", long.leak()] {
            assert_eq!(with(&[wrong]), Err(Failure::BadContentType), "{wrong}");
        }
        assert_eq!(with(&["a/b", "a/b"]), Err(Failure::BadContentType));
    }
}
