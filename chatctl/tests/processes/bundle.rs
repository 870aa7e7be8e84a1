//! `chatctl support-bundle`. Does I/O.

use std::process::Command;

use super::stage::{KEY, Stage, run};

#[test]
fn a_bundle_tells_how_a_process_is_and_no_secret() {
    let stage = Stage::new(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.tar.gz");
    let arguments = ["support-bundle", "--admin", &stage.pods[0].admin, "--file", file.to_str().unwrap()];
    let (code, text) = run(&arguments);
    assert!(code == 0 && text.contains("without secrets"), "{text}");
    assert_eq!(run(&arguments).0, 3, "a file that is there is not written over");
    let unpacked = Command::new("tar").arg("-xOzf").arg(&file).output().unwrap();
    let content = String::from_utf8(unpacked.stdout).unwrap();
    for part in ["chatctl: \"0.", "serving", "chatd_peer_links 0", "state: ok"] {
        assert!(content.contains(part), "{part}: {content}");
    }
    assert!(!content.contains(KEY));
}
