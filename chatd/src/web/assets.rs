//! The files of `web/`, embedded in the binary: plain, compressed, and under names that browsers may cache forever. Pure: no I/O.

use std::io::Write;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::settings::BasePath;

/// A file of `web/`. Of a page `path` is its address, of an asset its name.
#[derive(Debug)]
pub(super) struct File {
    pub path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

pub(super) const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! embedded {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $file))
    };
}

macro_rules! files {
    ($($content_type:ident: $($file:literal)*;)*) => {
        &[$($(File { path: $file, content_type: $content_type, body: embedded!($file) },)*)*]
    };
}

pub(super) static PAGES: [File; 2] = [
    File { path: "/", content_type: HTML, body: embedded!("index.html") },
    File { path: "/room", content_type: HTML, body: embedded!("room.html") },
];

/// What people are shown instead of an error in JSON.
const ERROR: &str = embedded!("error.html");

/// What the pages load.
static ASSETS: &[File] = files! {
    STYLE: "style.css";
    PICTURE: "favicon.svg";
    SCRIPT: "address.js" "composer.js" "days.js" "invite.js" "links.js" "lobby.js" "messages.js" "moderation.js" "moderator.js" "names.js"
        "open-rooms.js" "players.js" "quick.js" "room.js" "storage.js" "view.js" "visit.js" "words.js";
    // web/client is a symbolic link to the sources of the package @chatd/client, clients/js.
    SCRIPT: "client/connection.js" "client/driver.js" "client/moderation.js" "client/protocol.js" "client/recovery.js"
        "client/session.js" "client/surroundings.js" "client/talk.js";
};

/// Something that is sent: whole, and compressed where that makes it smaller.
#[derive(Debug)]
pub(super) struct Stored {
    pub content_type: &'static str,
    pub body: Bytes,
    pub tag: HeaderValue,
    pub gzip: Option<(Bytes, HeaderValue)>,
    /// The headers of a request that make a difference.
    pub varies_by: &'static str,
}

impl Stored {
    fn new(content_type: &'static str, body: Bytes, varies_by: &'static str) -> Self {
        let hash = hash([body.as_ref()]);
        let tag =
            |suffix| HeaderValue::try_from(format!("\"{hash}{suffix}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        let gzip = compress(&body).filter(|gzip| gzip.len() < body.len()).map(|gzip| (gzip.into(), tag("-gzip")));
        Self { content_type, body, tag: tag(""), gzip, varies_by }
    }

    /// A page under `base`.
    pub fn page(page: &File, base: &BasePath) -> Self {
        Self::new(page.content_type, under(page.body, base).into(), "accept-encoding, x-forwarded-prefix")
    }
}

/// Names the version of all assets together, so that no page ever mixes modules of two.
static VERSION: LazyLock<String> =
    LazyLock::new(|| hash(ASSETS.iter().flat_map(|file| [file.path.as_bytes(), b"\0", file.body.as_bytes(), b"\0"])));

static STORED: LazyLock<Vec<Stored>> = LazyLock::new(|| {
    let stored = |file: &File| {
        let body = if file.content_type == SCRIPT { without_comments(file.body).into() } else { file.body.into() };
        Stored::new(file.content_type, body, "accept-encoding")
    };
    ASSETS.iter().map(stored).collect()
});

/// A module without the lines that are comments alone, which are a quarter of what a page loads. No text of ours has a line that begins like one.
fn without_comments(module: &str) -> String {
    let mut code = String::with_capacity(module.len());
    let mut is_inside = false;
    for line in module.lines() {
        let begin = line.trim_start();
        let is_block = is_inside || begin.starts_with("/*");
        let behind = begin.split_once("*/").map(|(_, behind)| behind);
        is_inside = is_block && behind.is_none();
        let rest = if is_block { behind.unwrap_or_default() } else { line };
        if !rest.trim().is_empty() && !rest.trim_start().starts_with("//") {
            code.push_str(rest);
            code.push('\n');
        }
    }
    code
}

pub(super) fn version() -> &'static str {
    &VERSION
}

pub(super) fn find(name: &str) -> Option<&'static Stored> {
    let index = ASSETS.iter().position(|file| file.path == name)?;
    STORED.get(index)
}

/// `sentence` is one of our own: nothing in it has to be escaped.
pub(super) fn error_page(sentence: &str, base: &BasePath) -> String {
    under(ERROR, base).replace("{{sentence}}", sentence)
}

/// A page whose links lead to addresses under `base`, and to assets by the names that last.
fn under(page: &str, base: &BasePath) -> String {
    let assets = format!("{base}/assets/{}/", version());
    let with_assets = ASSETS.iter().fold(page.to_owned(), |page, file| {
        page.replace(&format!("=\"{}\"", file.path), &format!("=\"{assets}{}\"", file.path))
    });
    with_assets
        .replace("=\"./\"", &format!("=\"{base}/\""))
        .replace("=\"room\" method", &format!("=\"{base}/room\" method"))
}

fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..12])
}

/// Writing to memory does not fail; if it did, the whole would be sent.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_pages_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        // How Node reads the modules in tests; and what the client package has for programs that are not our pages.
        let not_served = [
            "package.json",
            "client/changes.js",
            "client/index.d.ts",
            "client/index.js",
            "client/layer.js",
            "client/moderate.d.ts",
            "client/moderate.js",
            "client/room.js",
            "client/state.d.ts",
            "client/state.js",
        ];
        for part in ["", "client/"] {
            for file in std::fs::read_dir(folder.join(part)).unwrap().map(Result::unwrap) {
                if file.path().is_dir() {
                    continue;
                }
                let name = format!("{part}{}", file.file_name().into_string().unwrap());
                let body = std::fs::read_to_string(file.path()).unwrap();
                let mut embedded = PAGES.iter().chain(ASSETS).map(|file| file.body).chain([ERROR]);
                assert_eq!(embedded.any(|known| known == body), !not_served.contains(&name.as_str()), "{name}");
            }
        }
    }

    #[test]
    fn a_module_is_sent_without_its_comments() {
        let module = "// One.\n/** Two\n * three. */\nconst a = 1; // stays\n\n  /** @type {A} */ let b;\n/* c\n\n*/\n  d('*/ //');\n";
        assert_eq!(without_comments(module), "const a = 1; // stays\n let b;\n  d('*/ //');\n");
    }

    #[test]
    fn a_page_names_all_that_it_loads_under_its_base() {
        let base: BasePath = "/chat".parse().unwrap();
        for page in PAGES.iter().map(|page| page.body).chain([ERROR]) {
            let page = under(page, &base);
            for name in ["href=\"", "src=\"", "action=\"", "name=\"base\" content=\""] {
                for address in page.split(name).skip(1) {
                    assert!(address.starts_with("/chat/"), "{name}{}", &address[..40]);
                }
            }
        }
    }
}
