//! Answers for paths other than the API and the WebSocket: pages, their assets, redirects, errors. No I/O of its own.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::header::{ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};

use super::assets::{self, HTML, PAGES, Stored};
use super::failure::Failure;
use super::invite;
use crate::settings::BasePath;

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const REVALIDATED: &str = "no-cache";

/// The pages as they are under this server's own path, ready to be sent.
#[derive(Debug)]
pub(super) struct Pages {
    base: BasePath,
    own: Vec<Stored>,
}

impl Pages {
    pub fn new(base: BasePath) -> Self {
        let own = PAGES.iter().map(|page| Stored::page(page, &base)).collect();
        Self { base, own }
    }

    pub fn base(&self) -> &BasePath {
        &self.base
    }

    /// `path` is under `base`, without it.
    pub fn answer(
        &self,
        base: &BasePath,
        path: &str,
        uri: &Uri,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        let reads = method == Method::GET || method == Method::HEAD;
        let found = self.page(base, path, headers).or_else(|| asset(path, headers));
        match found {
            Some(page) if reads => Ok(page),
            Some(_) => Err(Failure::method_not_allowed("GET, HEAD")),
            None => {
                let elsewhere = elsewhere(base, path, uri).filter(|_| reads);
                elsewhere.map(IntoResponse::into_response).ok_or(Failure::not_found())
            }
        }
    }

    fn page(&self, base: &BasePath, path: &str, headers: &HeaderMap) -> Option<Response> {
        let index = PAGES.iter().position(|page| page.path == path)?;
        if *base == self.base {
            return Some(send(&self.own[index], headers, REVALIDATED));
        }
        Some(send(&Stored::page(&PAGES[index], base), headers, REVALIDATED))
    }
}

/// An asset under the name that it has for ever, or that an older or a newer page gave it, or its plain one.
fn asset(path: &str, headers: &HeaderMap) -> Option<Response> {
    let name = path.strip_prefix('/')?;
    let (version, name) = match name.strip_prefix("assets/").and_then(|rest| rest.split_once('/')) {
        Some((version, name)) => (Some(version), name),
        None => (None, name),
    };
    // While pods of two versions answer under one address, a page's assets may be asked of the other version: better its own than none.
    let lasts = version == Some(assets::version());
    Some(send(assets::find(name)?, headers, if lasts { IMMUTABLE } else { REVALIDATED }))
}

/// The whole, or that the browser has it already (304).
fn send(stored: &Stored, headers: &HeaderMap, caching: &'static str) -> Response {
    let (body, tag, encoding) = match &stored.gzip {
        Some((body, tag)) if takes_gzip(headers) => (body, tag, Some("gzip")),
        _ => (&stored.body, &stored.tag, None),
    };
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|value| value.split(',')).map(|value| value.trim().trim_start_matches("W/"));
    let mut response = if known.into_iter().any(|value| value == "*" || value.as_bytes() == tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut whole = ([(CONTENT_TYPE, stored.content_type)], body.clone()).into_response();
        whole.headers_mut().extend(encoding.map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
        whole
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(VARY, HeaderValue::from_static(stored.varies_by));
    response
}

/// Whether gzip is among what the client takes, and not with a weight of 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut named = named.flat_map(|value| value.split(','));
    named.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").parse();
        name.trim().eq_ignore_ascii_case("gzip") && weight.unwrap_or(1.0_f32) > 0.0
    })
}

/// Whether a person looks at the answer, and not a script. `path` as for [`Pages::answer`].
pub(super) fn is_for_people(path: &str, headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_api = path.starts_with("/api/") || path == "/ws";
    !is_api && accepted.into_iter().any(|value| value.contains("text/html"))
}

/// The page of a failure, with its status and headers.
pub(super) fn of_failure(failure: Failure, base: &BasePath) -> Response {
    let body = assets::error_page(failure.message(), base);
    let mut response = failure.into_response();
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    *response.body_mut() = body.into();
    response
}

/// Where a link to a room leads that is not quite one; and the lobby for the base path without its slash.
fn elsewhere(base: &BasePath, path: &str, uri: &Uri) -> Option<Redirect> {
    if path.is_empty() {
        return Some(Redirect::temporary(&format!("{base}/")));
    }
    let room = invite::room(uri.path_and_query()?.as_str())?;
    Some(Redirect::temporary(&format!("{base}/room?room={room}")))
}

/// The header in which proxies name the path that they took away.
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The path that a proxy took away: one header, in the form of a base path. Anything else is as if absent.
pub(super) fn forwarded_prefix(headers: &HeaderMap) -> Option<BasePath> {
    let mut values = headers.get_all(PREFIX).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    only.to_str().ok()?.parse().ok()
}
