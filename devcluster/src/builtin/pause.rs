//! The image of the process that holds a pod's namespaces. No registry is needed: the program is built here, and its archive (an
//! OCI image layout of one file) is assembled as bytes. `build` does I/O; the rest is pure.

use super::files::PAUSE_IMAGE;
use programs::repository;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The archive, built once for each version of its source.
pub fn build(cache: &Path) -> Result<PathBuf> {
    let source = repository().join("hack/cluster/pause.c");
    let text = std::fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
    let archive = cache.join(format!("pause-{}.oci.tar", &digest(&text)[..16]));
    if archive.exists() {
        return Ok(archive);
    }
    std::fs::create_dir_all(cache)?;
    let draft = cache.join(format!("pause-{}.draft", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-static", "-Os", "-s", "-Wall", "-Werror", "-o"]).arg(&draft).arg(&source);
    programs::succeed(&mut compiler, Duration::from_mins(1)).context("building the pause program")?;
    let program = std::fs::read(&draft)?;
    std::fs::write(&draft, image_archive("pause", &program, PAUSE_IMAGE))?;
    std::fs::rename(&draft, &archive)?;
    Ok(archive)
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An archive of an image with one program and nothing else, run as nobody.
fn image_archive(program: &str, content: &[u8], name: &str) -> Vec<u8> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let layer = tar(&[(program, content, 0o755)]);
    let layer_digest = format!("sha256:{}", digest(&layer));
    let config = text(&json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": [format!("/{program}")], "User": "65534:65534"},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    }));
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": format!("sha256:{}", digest(bytes)), "size": bytes.len()});
    let manifest = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &config),
        "layers": [descriptor("layer.v1.tar", &layer)],
    }));
    let mut entry = descriptor("manifest.v1+json", &manifest);
    entry["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name});
    let index = text(&json!({"schemaVersion": 2, "manifests": [entry]}));
    let layout = text(&json!({"imageLayoutVersion": "1.0.0"}));
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes));
    tar(&[
        ("oci-layout", &layout, 0o644),
        ("index.json", &index, 0o644),
        (&blob(&manifest), &manifest, 0o644),
        (&blob(&config), &config, 0o644),
        (&blob(&layer), &layer, 0o644),
    ])
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A POSIX (ustar) archive: for each file a header of 512 bytes and its content, filled up to whole blocks; two empty blocks end it.
fn tar(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content, mode) in files {
        let mut header = [0_u8; 512];
        let mut put = |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", content.len()).as_bytes());
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, b"0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_that_tar_reads_and_names_what_it_holds() {
        let folder = std::env::temp_dir().join(format!("devcluster-pause-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("image.tar");
        let archive = image_archive("pause", b"program", PAUSE_IMAGE);
        assert_eq!(archive, image_archive("pause", b"program", PAUSE_IMAGE));
        std::fs::write(&file, archive).expect("it is written");
        programs::succeed(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&folder), programs::SHORT)
            .expect("tar reads it");
        let index: Value =
            serde_json::from_slice(&std::fs::read(folder.join("index.json")).expect("an index")).expect("JSON");
        let entry = &index["manifests"][0];
        assert_eq!(entry["annotations"]["io.containerd.image.name"], PAUSE_IMAGE);
        let manifest = entry["digest"].as_str().expect("a digest").replace("sha256:", "blobs/sha256/");
        let bytes = std::fs::read(folder.join(manifest)).expect("the manifest");
        assert_eq!(entry["digest"], format!("sha256:{}", digest(&bytes)));
        std::fs::remove_dir_all(&folder).expect("cleaned up");
    }
}
