//! Builds static binaries with cargo, and the other files of an image, in `target/image/files/<binary>`. Does I/O.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::architecture::Architecture;
use crate::list::Program;
use crate::{authorities, sbom, tree};
use programs::{output, succeed};

/// A release build from nothing on two busy cores takes some five minutes.
const BUILD_LIMIT: Duration = Duration::from_mins(40);
const SHORT: Duration = Duration::from_mins(1);
/// Between flags, since a path may hold spaces.
const SEPARATOR: &str = "\u{1f}";

/// Where [`make`]'s files for this architecture are.
pub fn folder(root: &Path, architecture: Architecture) -> PathBuf {
    let name = if architecture.is_foreign() { format!("files-{architecture}") } else { "files".to_owned() };
    root.join("target/image").join(name)
}

/// Compiles these programs and puts what each image holds below `files`: `/<binary>`, its bill of materials and the authorities.
/// They are to be all that there are: cargo chooses what the dependencies can do by what is compiled together, so that a package alone
/// would become another binary.
pub fn make(root: &Path, files: &Path, architecture: Architecture, programs: &[Program]) -> Result<()> {
    let target_folder = root.join("target/image");
    let triple = architecture.triple();
    compile(root, &target_folder, architecture, programs)?;
    let metadata = metadata(root, &triple)?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))?;
    for Program { package, binary } in programs {
        let place = files.join(binary);
        tree::remove(&place)?;
        tree::copy_file(&target_folder.join(&triple).join("release").join(binary), &place.join(binary))?;
        let bill = sbom::bill(&metadata, &lock, package, &libc(&architecture.libc_package()))?;
        tree::write(&place.join(sbom::path(binary)), &bill)?;
        tree::write(&place.join(authorities::PATH), authorities::bundle().as_bytes())?;
        tree::open_folders(&place, &[])?;
    }
    Ok(())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn compile(root: &Path, target_folder: &Path, architecture: Architecture, programs: &[Program]) -> Result<()> {
    let mut command = cargo(root);
    command.args(["build", "--locked", "--release", "--target", &architecture.triple()]);
    command.arg("--target-dir").arg(target_folder);
    for Program { package, binary } in programs {
        command.args(["--package", package, "--bin", binary]);
    }
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let toolchain = succeed(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root), SHORT)?;
    // These would be other flags than ours, or be put in their place.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_RUSTFLAGS");
    // What an outer cargo says of its own package: build scripts that look at it would run again, and all that depends on them.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes())) {
            command.env_remove(name);
        }
    }
    command.envs(architecture.linker());
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(&root.to_string_lossy(), &home, toolchain.trim()).join(SEPARATOR));
    succeed(&mut command, BUILD_LIMIT)?;
    Ok(())
}

/// A static binary that does not tell where it was compiled.
fn flags(root: &str, cargo_home: &str, toolchain: &str) -> Vec<String> {
    vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={cargo_home}=/cargo"),
        format!("--remap-path-prefix={toolchain}=/rust"),
        format!("--remap-path-prefix={root}=/source"),
    ]
}

fn metadata(root: &Path, triple: &str) -> Result<serde_json::Value> {
    let mut command = cargo(root);
    command.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", triple]);
    serde_json::from_str(&succeed(&mut command, SHORT)?).context("cannot parse the output of cargo metadata")
}

/// The C library that is linked in: the package's name and version, where this system's packager can tell.
fn libc(package: &str) -> Vec<sbom::SystemPackage> {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat=${Version}", package]);
    match output(&mut command, &[], SHORT) {
        Ok(output) if output.status.success() => {
            vec![sbom::SystemPackage { name: package.to_owned(), version: output.stdout.trim().to_owned() }]
        }
        _ => Vec::new(),
    }
}
