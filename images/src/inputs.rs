//! The hash of an image's inputs: files, trees of files with their modes, and strings. Reads files, writes none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::tree;

/// Each part is hashed with its length before it, so that no two lists of parts look the same.
#[derive(Debug, Clone)]
pub struct Inputs(Sha256);

impl Inputs {
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub fn file(&mut self, path: &Path) -> Result<&mut Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.bytes(&bytes))
    }

    /// Every file below, by name; times and owners do not count.
    pub fn tree(&mut self, folder: &Path) -> Result<&mut Self> {
        for path in tree::walk(folder)? {
            let whole = folder.join(&path);
            let about = whole.symlink_metadata()?;
            self.text(&path.to_string_lossy()).text(&format!("{:o}", about.permissions().mode()));
            if about.is_symlink() {
                self.text(&std::fs::read_link(&whole)?.to_string_lossy());
            } else if about.is_file() {
                self.file(&whole)?;
            }
        }
        Ok(self)
    }

    /// What the Dockerfile's first stage compiles: the files that .dockerignore lets in.
    pub fn source(&mut self, root: &Path) -> Result<&mut Self> {
        for line in std::fs::read_to_string(root.join(".dockerignore"))?.lines() {
            let Some(name) = line.strip_prefix('!') else { continue };
            let whole = root.join(name);
            if whole.is_file() {
                self.text(name).file(&whole)?;
                continue;
            }
            for path in tree::walk_without(&whole, &["target", "node_modules"])? {
                let file = whole.join(&path);
                if file.symlink_metadata()?.is_file() {
                    self.text(&path.to_string_lossy()).file(&file)?;
                }
            }
        }
        Ok(self)
    }

    pub fn digest(&self) -> String {
        hex::encode(self.0.clone().finalize())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_name_or_mode_is_another_digest_and_a_copy_is_not() {
        let digest = |change: &dyn Fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("bin")).unwrap();
            std::fs::write(folder.path().join("bin/chatd"), b"one").unwrap();
            change(folder.path());
            Inputs::new().tree(folder.path()).unwrap().digest()
        };
        let plain = digest(&|_| {});
        assert_eq!(plain, digest(&|_| {}));
        let others: [&dyn Fn(&Path); 3] = [
            &|folder| std::fs::write(folder.join("bin/chatd"), b"two").unwrap(),
            &|folder| std::fs::rename(folder.join("bin/chatd"), folder.join("bin/chatx")).unwrap(),
            &|folder| {
                let executable = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(folder.join("bin/chatd"), executable).unwrap();
            },
        ];
        for change in others {
            assert_ne!(plain, digest(change));
        }
    }

    #[test]
    fn where_one_part_ends_and_the_next_begins_counts() {
        assert_ne!(Inputs::new().text("ab").text("c").digest(), Inputs::new().text("a").text("bc").digest());
    }
}
