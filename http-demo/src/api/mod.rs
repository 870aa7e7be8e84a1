//! HTTP: the routes, and what every answer has in common. No I/O of its own.

mod failure;
mod kv;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::backend::{Away, Keeper, milliseconds, postgres, redis};
use crate::metrics::{self, Metrics};
use crate::settings::Limits;
use failure::Failure;

/// What answers need.
pub struct App {
    pub redis: Keeper<redis::Dialer>,
    pub key_prefix: String,
    pub postgres: Keeper<postgres::Dialer>,
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
    let no_key = get(kv::no_key).put(kv::no_key).delete(kv::no_key);
    let router = probes()
        .route("/", page("text/html; charset=utf-8", include_str!("../../web/index.html")))
        .route("/app.js", page("text/javascript; charset=utf-8", include_str!("../../web/app.js")))
        .route("/style.css", page("text/css; charset=utf-8", include_str!("../../web/style.css")))
        .route("/favicon.svg", page("image/svg+xml", include_str!("../../web/favicon.svg")))
        .route(
            "/db",
            get(async |State(app): State<Arc<App>>| app.postgres.check().await.map(Json).map_err(Failure::from)),
        )
        .route("/status", get(status))
        .route("/kv", no_key.clone())
        .route("/kv/", no_key)
        .route("/kv/{*key}", get(kv::get).put(kv::put).delete(kv::delete))
        .fallback(async || Failure::not_found())
        .method_not_allowed_fallback(async || Failure::method_not_allowed());
    finish(router, app)
}

/// What is served on connections over the limit: a full process is still alive, and says so.
pub fn full(app: Arc<App>) -> Router {
    finish(probes().fallback(async || Failure::too_many_connections()), app)
}

fn probes() -> Router<Arc<App>> {
    // Ready while it serves, whatever Redis and Postgres do: every replica would lose them at once, and what the Service would then
    // answer is a refused connection in the place of a 503 that says why. See README.md.
    let ok = async || ([(CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n");
    Router::new().route("/livez", get(ok)).route("/readyz", get(ok)).route("/metrics", get(scrape))
}

fn page<S: Clone + Send + Sync + 'static>(kind: &'static str, body: &'static str) -> MethodRouter<S> {
    // Few and small files, and a new version must show at once: browsers fetch them each time.
    get(async move || ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], body))
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
    match path {
        "/app.js" | "/style.css" | "/favicon.svg" => "page",
        _ if path == "/kv" || path.starts_with("/kv/") => "/kv/{key}",
        _ => ROUTES.into_iter().find(|route| *route == path).unwrap_or("other"),
    }
}

fn method(method: &Method) -> &'static str {
    const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"];
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

async fn scrape(State(app): State<Arc<App>>) -> Response {
    // Writing into a string does not fail.
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.encode().unwrap_or_default()).into_response()
}

/// Both services at once, for the page: always 200, since it is the page's question that is answered.
async fn status(State(app): State<Arc<App>>) -> Json<Value> {
    let redis = async {
        let asked = Instant::now();
        let [server, server_version] = app.redis.check().await?;
        let latency_ms = milliseconds(asked.elapsed());
        Ok(json!({"server": server, "server_version": server_version, "latency_ms": latency_ms}))
    };
    let (redis, postgres) = tokio::join!(redis, app.postgres.check());
    let Limits { default_ttl, max_ttl, max_key, max_value, .. } = app.limits;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "limits": {"default_ttl": default_ttl, "max_ttl": max_ttl, "max_key": max_key, "max_value": max_value},
        "redis": described(redis),
        "postgres": described(postgres),
    }))
}

fn described(outcome: Result<Value, Away>) -> Value {
    outcome.map_or_else(
        |away| json!({"ok": false, "reason": away.reason.as_str(), "message": away.sentence()}),
        |mut described| {
            described["ok"] = true.into();
            described
        },
    )
}
