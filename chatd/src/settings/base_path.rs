//! The path under which a host serves this deployment's pages. Pure: no I/O.

use std::fmt;
use std::str::FromStr;

use super::ValueError;

/// Empty, or segments such as `/chat` without a trailing slash: the prefix of `/room` in the URL of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

const MOST_BYTES: usize = 128;

impl BasePath {
    /// `path` without this prefix; all of a path without the prefix, since a proxy may have stripped it.
    pub fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&self.0) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => path,
        }
    }
}

impl FromStr for BasePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let path = text.trim_end_matches('/');
        // The path goes into pages and headers unescaped; two leading slashes would name another host.
        let is_plain = |segment: &str| {
            let letters = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            letters && !["", ".", ".."].contains(&segment)
        };
        let segments = path.strip_prefix('/').map(|rest| rest.split('/').all(is_plain));
        if path.len() <= MOST_BYTES && (path.is_empty() || segments == Some(true)) {
            Ok(Self(path.to_owned()))
        } else {
            Err(ValueError::new(
                "must be a path such as /chat: letters, digits, - . _ ~ between slashes, at most 128 bytes",
            ))
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_plain_segments_and_nothing_that_could_lead_elsewhere() {
        for (text, shown) in [("", ""), ("/", ""), ("/chat", "/chat"), ("/a/b-c_d.e~f/", "/a/b-c_d.e~f")] {
            assert_eq!(text.parse::<BasePath>().unwrap().to_string(), shown);
        }
        let long = format!("/{}", "a".repeat(128));
        for text in
            ["chat", "//evil.example", "/a//b", "/..", "/a/../b", "/a\"b", "/a b", "/a?b", "/a%2fb", "/ä", &long]
        {
            assert!(text.parse::<BasePath>().is_err(), "{text}");
        }
        let base: BasePath = "/chat".parse().unwrap();
        for (path, rest) in [("/chat", ""), ("/chat/room", "/room"), ("/chatter", "/chatter"), ("/room", "/room")] {
            assert_eq!(base.strip(path), rest);
        }
        assert_eq!(BasePath::default().strip("/room"), "/room");
    }
}
