//! The page, embedded in the binary. Answers requests from a table; no I/O of its own.

use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};

use super::failure::Failure;

struct Page {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! pages {
    ($($path:literal => $content_type:literal $file:literal,)*) => {
        &[$(Page {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $file)),
        },)*]
    };
}

/// Every file of `web/`.
static PAGES: &[Page] = pages! {
    "/" => "text/html; charset=utf-8" "index.html",
    "/app.js" => "text/javascript; charset=utf-8" "app.js",
    "/style.css" => "text/css; charset=utf-8" "style.css",
    "/favicon.svg" => "image/svg+xml" "favicon.svg",
};

pub(super) fn is_page(path: &str) -> bool {
    PAGES.iter().any(|page| page.path == path)
}

pub(super) fn find(request: &Request) -> Result<Response, Failure> {
    let page = PAGES.iter().find(|page| page.path == request.uri().path()).ok_or(Failure::NotFound)?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(([(ALLOW, "GET,HEAD")], Failure::MethodNotAllowed).into_response());
    }
    // Few and small files, and a new version has to be seen at once: they are fetched anew each time.
    let cache = HeaderValue::from_static("no-cache");
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(page.content_type)), (CACHE_CONTROL, cache)], page.body)
        .into_response())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let body = std::fs::read(&path).unwrap();
            assert!(PAGES.iter().any(|page| page.body == body), "{}", path.display());
        }
    }
}
