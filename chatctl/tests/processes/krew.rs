//! The krew manifest, as a release makes it, by krew's rules for manifests (v1alpha2). Does I/O.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn manifest(folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/krew-manifest");
    Command::new(script).args(["1.2.3", "https://example.org/chatd"]).arg(folder).output().unwrap()
}

fn pack(folder: &Path, architecture: &str, file: &str) {
    let content = tempfile::tempdir().unwrap();
    std::fs::write(content.path().join(file), architecture).unwrap();
    let archive = folder.join(format!("kubectl-chatd-1.2.3-linux-{architecture}.tar.gz"));
    let packed = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(content.path()).arg(".").status();
    assert!(packed.unwrap().success());
}

#[test]
fn a_release_s_manifest_is_what_krew_takes() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!manifest(folder.path()).status.success(), "archives are missing");
    pack(folder.path(), "amd64", "kubectl-chatd");
    pack(folder.path(), "arm64", "other");
    assert!(!manifest(folder.path()).status.success(), "an archive is without the program");
    pack(folder.path(), "arm64", "kubectl-chatd");
    let output = manifest(folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains('@'), "{text}");

    let manifest: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!((&manifest["kind"], &manifest["metadata"]["name"]), (&"Plugin".into(), &"chatd".into()));
    let spec = &manifest["spec"];
    let fields: BTreeSet<&str> = spec.as_object().unwrap().keys().map(String::as_str).collect();
    let known = ["caveats", "description", "homepage", "platforms", "shortDescription", "version"];
    assert_eq!(fields, BTreeSet::from(known));
    assert_eq!((&spec["version"], &spec["homepage"]), (&"v1.2.3".into(), &"https://example.org/chatd".into()));
    // krew lists one line for each plugin.
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(short.len() <= 50 && !short.contains('\n') && !short.ends_with('.'), "{short}");

    let platforms = spec["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        let labels = &platform["selector"]["matchLabels"];
        let (os, architecture) = (labels["os"].as_str().unwrap(), labels["arch"].as_str().unwrap());
        let file = format!("kubectl-chatd-1.2.3-{os}-{architecture}.tar.gz");
        let address = format!("https://example.org/chatd/releases/download/v1.2.3/{file}");
        assert_eq!((&platform["uri"], &platform["bin"]), (&address.into(), &"kubectl-chatd".into()));
        let sum = Command::new("sha256sum").arg(folder.path().join(&file)).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert_eq!(platform["sha256"].as_str(), sum.split(' ').next());
    }
}
