//! Leaves this process' boot where Kubernetes looks once its container has ended: from then on the pod's status names the very process
//! that is dead, which the operator tells the other pods (docs/decisions/0014-proof-of-death.md). Writes one file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::protocol::PodBoot;

/// Where Kubernetes mounts a file for the message, unless a pod says otherwise.
pub const PATH: &str = "/dev/termination-log";

/// Writes the message. Outside of Kubernetes there is no such file, and none is made.
pub fn leave(path: &Path, boot: PodBoot) {
    let written = OpenOptions::new().write(true).truncate(true).open(path);
    match written.and_then(|mut file| write!(file, "chatd boot {boot}")) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            let path = path.display();
            tracing::warn!(%path, %error, "cannot write the termination message; a crash of this process is noticed without it");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_replaces_what_is_there_and_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        leave(&path, PodBoot(0xab));
        assert!(!path.exists());
        std::fs::write(&path, "something that was there, and is longer").unwrap();
        leave(&path, PodBoot(0xab));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "chatd boot 00000000000000ab");
    }
}
