//! The pages, embedded in the binary. Answers requests from a table; no I/O of its own.

use std::sync::LazyLock;

use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::invite;

struct Page {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! pages {
    ($($path:literal => $content_type:ident $file:literal,)*) => {
        &[$(Page {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $file)),
        },)*]
    };
}

/// Every file of `web/` that browsers may have.
static PAGES: &[Page] = pages! {
    "/" => HTML "index.html",
    "/room" => HTML "room.html",
    "/style.css" => STYLE "style.css",
    "/days.js" => SCRIPT "days.js",
    "/favicon.svg" => PICTURE "favicon.svg",
    "/composer.js" => SCRIPT "composer.js",
    "/connection.js" => SCRIPT "connection.js",
    "/invite.js" => SCRIPT "invite.js",
    "/links.js" => SCRIPT "links.js",
    "/lobby.js" => SCRIPT "lobby.js",
    "/messages.js" => SCRIPT "messages.js",
    "/players.js" => SCRIPT "players.js",
    "/protocol.js" => SCRIPT "protocol.js",
    "/recovery.js" => SCRIPT "recovery.js",
    "/room.js" => SCRIPT "room.js",
    "/session.js" => SCRIPT "session.js",
    "/storage.js" => SCRIPT "storage.js",
    "/view.js" => SCRIPT "view.js",
    "/words.js" => SCRIPT "words.js",
};

/// What people are shown instead of an error in JSON.
const ERROR: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/error.html"));

/// One tag a page: a hash of what it holds, so that a new version is fetched and an old one is not.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |page: &Page| format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(page.body)[..12]));
    PAGES.iter().map(|page| HeaderValue::try_from(tag(page)).unwrap_or(HeaderValue::from_static("\"\""))).collect()
});

/// What people get at an address that is neither the API nor the WebSocket.
pub(super) fn answer(parts: &Parts) -> Result<Response, Failure> {
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    match find(parts.uri.path(), &parts.headers) {
        Some(page) if reads => Ok(page),
        Some(_) => Err(Failure::method_not_allowed("GET, HEAD")),
        None => {
            let elsewhere = elsewhere(&parts.uri).filter(|_| reads);
            elsewhere.map(IntoResponse::into_response).ok_or(Failure::not_found())
        }
    }
}

/// Whether a person looks at the answer, and not a script.
pub(super) fn is_for_people<Body>(request: &Request<Body>) -> bool {
    let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_api = request.uri().path().starts_with("/api/") || request.uri().path() == "/ws";
    !is_api && accepted.into_iter().any(|value| value.contains("text/html"))
}

/// The page of a failure, with its status and headers.
pub(super) fn of_failure(failure: Failure) -> Response {
    let body = ERROR.replace("{{sentence}}", failure.message());
    let mut response = failure.into_response();
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    *response.body_mut() = body.into();
    response
}

/// Where a link to a room leads that is not quite one.
fn elsewhere(uri: &Uri) -> Option<Redirect> {
    let link = uri.path_and_query()?.as_str();
    invite::room(link).map(|room| Redirect::temporary(&format!("/room?room={room}")))
}

/// The page at `path`, or that the browser has it already (304).
fn find(path: &str, headers: &HeaderMap) -> Option<Response> {
    let index = PAGES.iter().position(|page| page.path == path)?;
    let (page, tag) = (&PAGES[index], &TAGS[index]);
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|value| value.split(',')).map(|value| value.trim().trim_start_matches("W/"));
    let mut response = if known.into_iter().any(|value| value == "*" || value.as_bytes() == tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, page.content_type)], page.body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_pages_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        // How Node reads the modules in tests; no browser asks for it.
        let not_served = ["package.json"];
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let body = std::fs::read(file.path()).unwrap();
            let embedded = PAGES.iter().any(|page| page.body == body) || ERROR.as_bytes() == body;
            assert_eq!(embedded, !not_served.contains(&name.as_str()), "{name}");
        }
    }
}
