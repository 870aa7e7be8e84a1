//! HTTP: which path is answered by whom, and what every answer has in common. No I/O of its own.

mod failure;
mod kv;
mod pages;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::backend::Away;
use crate::backend::postgres::{Checked, Postgres};
use crate::backend::redis::Redis;
use crate::metrics::{self, Metrics};
use crate::settings::Limits;
use failure::Failure;

/// What answers need.
#[derive(Debug)]
pub struct App {
    pub redis: Redis,
    pub postgres: Postgres,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
}

/// What every answer says about what a browser may do with it; a value says less.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const SECURITY: [(HeaderName, HeaderValue); 3] = [
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Everything that is served.
pub fn router(app: Arc<App>) -> Router {
    let values = get(kv::get).put(kv::put).delete(kv::delete);
    let router = probes()
        .route("/db", get(db))
        .route("/status", get(status))
        .route("/kv", get(kv::no_key).put(kv::no_key).delete(kv::no_key))
        .route("/kv/", get(kv::no_key).put(kv::no_key).delete(kv::no_key))
        .route("/kv/{*key}", values)
        .fallback(|request: Request| async move { pages::find(&request).unwrap_or_else(IntoResponse::into_response) })
        .method_not_allowed_fallback(|| async { Failure::MethodNotAllowed });
    finish(router, app)
}

/// What is served on connections over the limit: a full process is still alive, and says so.
pub fn full(app: Arc<App>) -> Router {
    finish(probes().fallback(|| async { Failure::TooManyConnections }), app)
}

fn probes() -> Router<Arc<App>> {
    // Ready while it serves, whatever Redis and Postgres do: every replica would lose them at once, and what the Service would then
    // answer is a refused connection in the place of a 503 that says why. See README.md.
    let ok = || async { ([(CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n") };
    Router::new().route("/livez", get(ok)).route("/readyz", get(ok)).route("/metrics", get(scrape))
}

fn finish(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    router.layer(from_fn_with_state(app.clone(), record)).with_state(app)
}

/// Counts and logs a request, and completes its answer.
async fn record(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (route, method) = (route(request.uri().path()), method(request.method()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.extend(SECURITY);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status().as_u16();
    app.metrics.answered(route, method, status);
    let ms = milliseconds(started.elapsed());
    if matches!(route, "/livez" | "/readyz" | "/metrics" | "/status") {
        tracing::debug!(route, method, status, ms, "answered");
    } else {
        tracing::info!(route, method, status, ms, "answered");
    }
    response
}

/// A path without what a client put into it.
fn route(path: &str) -> &'static str {
    const ROUTES: [&str; 6] = ["/", "/db", "/status", "/livez", "/readyz", "/metrics"];
    match ROUTES.into_iter().find(|route| *route == path) {
        Some(route) => route,
        None if path == "/kv" || path.starts_with("/kv/") => "/kv/{key}",
        None if pages::is_page(path) => "page",
        None => "other",
    }
}

fn method(method: &Method) -> &'static str {
    const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"];
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// With microseconds, as a number for people.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

async fn scrape(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let text = app.metrics.encode().map_err(|_| Failure::Internal)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn db(State(app): State<Arc<App>>) -> Result<Json<Value>, Failure> {
    let checked = app.postgres.check().await.map_err(Failure::Away)?;
    Ok(Json(postgres_json(&checked)))
}

fn postgres_json(checked: &Checked) -> Value {
    json!({
        "server_version": checked.server_version,
        "latency_ms": milliseconds(checked.latency),
        "database": checked.database,
        "user": checked.user,
        "new_connection": checked.new_connection,
        "connections": checked.connections,
    })
}

/// Both services at once, for the page: always 200, since it is the page's question that is answered.
async fn status(State(app): State<Arc<App>>) -> Json<Value> {
    let redis = async {
        let asked = Instant::now();
        let server = app.redis.check().await?;
        let latency = milliseconds(asked.elapsed());
        Ok(json!({"server": server.name, "server_version": server.version, "latency_ms": latency}))
    };
    let postgres = async { app.postgres.check().await.map(|checked| postgres_json(&checked)) };
    let (redis, postgres) = tokio::join!(redis, postgres);
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "limits": {
            "default_ttl": app.limits.default_ttl,
            "max_ttl": app.limits.max_ttl,
            "max_key": app.limits.max_key,
            "max_value": app.limits.max_value,
        },
        "redis": told(redis),
        "postgres": told(postgres),
    }))
}

fn told(outcome: Result<Value, Away>) -> Value {
    match outcome {
        Ok(mut told) => {
            told["ok"] = true.into();
            told
        }
        Err(away) => json!({"ok": false, "reason": away.reason.as_str(), "message": away.sentence()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_nothing_of_a_client() {
        for (path, label) in [
            ("/", "/"),
            ("/db", "/db"),
            ("/kv/secret", "/kv/{key}"),
            ("/kv", "/kv/{key}"),
            ("/kvs", "other"),
            ("/style.css", "page"),
            ("/db/", "other"),
        ] {
            assert_eq!(route(path), label, "{path}");
        }
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap_or_default()), "other");
        assert_eq!(method(&Method::HEAD), "HEAD");
    }
}
