//! A tar.gz of texts, made in memory. Does I/O: writes one file.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::redact;
use crate::output::Format;

/// What goes into a bundle.
#[derive(Debug, Default)]
pub struct Contents {
    files: Vec<(String, String)>,
    /// What is not in it, and why.
    missing: Vec<String>,
}

impl Contents {
    /// Adds a text, without what may be a secret.
    pub fn text(&mut self, path: impl Into<String>, text: &str) {
        self.files.push((path.into(), redact::text(text).into_owned()));
    }

    /// Adds a document.
    pub fn document(&mut self, path: impl Into<String>, value: &impl Serialize) -> Result<()> {
        let mut value = serde_json::to_value(value)?;
        redact::object(&mut value);
        self.files.push((path.into(), Format::Yaml.document(&value)?));
        Ok(())
    }

    /// Notes that something is not in it.
    pub fn lacks(&mut self, what: &str, error: &anyhow::Error) {
        self.missing.push(format!("{what}: {error:#}"));
    }

    /// What is not in it.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Writes a file that is not there yet, for its owner only.
    pub fn write(mut self, file: &Path, folder: &str, time: u64) -> Result<usize> {
        if !self.missing.is_empty() {
            let missing = self.missing.join("\n") + "\n";
            self.text("missing.txt", &missing);
        }
        let archive = self.archive(folder, time)?;
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(file);
        let mut opened = opened.with_context(|| format!("cannot create {}", file.display()))?;
        if let Err(error) = opened.write_all(&archive).and_then(|()| opened.sync_all()) {
            // Half of an archive would be taken for a whole one.
            let _ = std::fs::remove_file(file);
            return Err(error).with_context(|| format!("cannot write {}", file.display()));
        }
        Ok(archive.len())
    }

    fn archive(&self, folder: &str, time: u64) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (path, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(time);
            tar.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
        }
        Ok(tar.into_inner()?.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_archive_has_what_was_added_without_secrets() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bundle.tar.gz");
        let mut contents = Contents::default();
        contents.text("a.txt", "redis://u:hunter2@h");
        contents.document("b.yaml", &serde_json::json!({ "name": "PASSWORD", "value": "hunter2" }))?;
        contents.lacks("c", &anyhow::anyhow!("http://u:hunter2@h: forbidden"));
        contents.write(&file, "bundle", 0)?;
        let mut paths = Vec::new();
        for entry in tar::Archive::new(GzDecoder::new(std::fs::File::open(&file)?)).entries()? {
            let mut entry = entry?;
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            assert!(!text.contains("hunter2"), "{text}");
            paths.push(entry.path()?.display().to_string());
        }
        assert_eq!(paths, ["bundle/a.txt", "bundle/b.yaml", "bundle/missing.txt"]);
        assert!(Contents::default().write(&file, "bundle", 0).is_err(), "a file that is there stays");
        Ok(())
    }
}
