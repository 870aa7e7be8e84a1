//! The same source gives the same image, bit for bit. Minutes, so plain `cargo test` leaves them out: `make test-cluster` and
//! `make test-images` run them. Does I/O.

#![allow(clippy::unwrap_used)] // a test that cannot go on ends there

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use programs::repository;

/// The binaries in our images.
const OURS: [&str; 3] = ["chatd", "chatd-operator", "http-demo"];

fn make(names: &[&str]) {
    let made = Command::new(env!("CARGO_BIN_EXE_images")).arg("make").args(names).status();
    assert!(made.unwrap().success());
}

fn archive(name: &str) -> PathBuf {
    repository().join(format!(".cache/images/{name}.oci.tar"))
}

/// One of our packages is compiled again, the one that is compiled fastest; every archive is made again.
#[test]
#[ignore = "minutes: make test-cluster"]
fn images_are_the_same_when_made_again() {
    make(&[]);
    let all = ["chatd", "chatd-operator", "http-demo", "redis", "valkey", "postgres", "toolbox"];
    let before = all.map(|name| std::fs::read(archive(name)).unwrap());
    let folder = repository().join("target/image/files");
    let files_before = files(&folder);
    for binary in OURS {
        assert_names_no_folder(binary);
    }
    forget_binary("http-demo");
    for name in all {
        // Without the note of what it was made of it is made again.
        std::fs::remove_file(archive(name).with_extension("inputs")).unwrap();
        std::fs::remove_file(archive(name)).unwrap();
    }
    make(&[]);
    let others = differing(&files_before, &files(&folder));
    assert!(others.is_empty(), "files of our images differ: {others:#?}");
    for (name, before) in all.into_iter().zip(before) {
        assert!(std::fs::read(archive(name)).unwrap() == before, "{name} is another image");
    }
    for binary in OURS {
        assert!(std::fs::metadata(archive(binary)).unwrap().len() <= 20_000_000, "{binary}");
    }
}

/// The files below a folder, by path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
    files
}

/// The paths of files that are not the same, with where they begin to differ: enough to look for the reason.
fn differing(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let of = |path: &Path| match (before.get(path), after.get(path)) {
        (Some(one), Some(other)) if one == other => None,
        (Some(one), Some(other)) => {
            let count = one.iter().zip(other).filter(|(one, other)| one != other).count();
            let first = one.iter().zip(other).position(|(one, other)| one != other);
            let lengths = (one.len(), other.len());
            Some(format!("{}: lengths {lengths:?}, first at {first:?}, {count} bytes differ", path.display()))
        }
        (one, _) => {
            Some(format!("{}: only in {}", path.display(), if one.is_some() { "the first" } else { "the second" }))
        }
    };
    paths.into_iter().filter_map(|path| of(path)).collect()
}

fn assert_names_no_folder(binary: &str) {
    let content = std::fs::read(repository().join("target/image/files").join(binary).join(binary)).unwrap();
    let home = std::env::var("HOME").unwrap();
    for path in [repository().to_string_lossy().into_owned(), format!("{home}/.cargo"), format!("{home}/.rustup")] {
        let found = content.windows(path.len()).any(|window| window == path.as_bytes());
        assert!(!found, "{binary} holds the path {path}");
    }
}

/// Removes the build of this package.
fn forget_binary(package: &str) {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cleaned = Command::new("cargo")
        .args(["clean", "--quiet", "--release", "--target", &triple, "--package", package, "--target-dir"])
        .arg(repository().join("target/image"))
        .current_dir(repository())
        .status();
    assert!(cleaned.unwrap().success());
}

/// All compiled from nothing in a folder of another name and depth, so that no path of the first can be in it.
#[test]
#[ignore = "a quarter of an hour: make test-images"]
fn images_are_the_same_from_another_folder() {
    make(&OURS);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("somewhere/else");
    copy_source(&copy);
    let made = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "images", "--", "make"])
        .args(OURS)
        .current_dir(&copy)
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .unwrap();
    assert!(made.success());
    for name in OURS {
        let theirs = std::fs::read(copy.join(format!(".cache/images/{name}.oci.tar"))).unwrap();
        assert!(std::fs::read(archive(name)).unwrap() == theirs, "{name} is another image when compiled elsewhere");
    }
}

/// What the Dockerfile may copy, and the Dockerfile.
fn copy_source(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let let_in = std::fs::read_to_string(repository().join(".dockerignore")).unwrap();
    let source = let_in.lines().filter_map(|line| line.strip_prefix('!')).chain(["Dockerfile", ".dockerignore"]);
    let without = ["--exclude=target", "--exclude=node_modules", "--exclude=.cache"];
    let archive = to.with_extension("tar");
    let pack =
        Command::new("tar").args(["-cf"]).arg(&archive).args(without).args(source).current_dir(repository()).status();
    let unpack = Command::new("tar").args(["-xf"]).arg(&archive).current_dir(to).status();
    assert!(pack.unwrap().success() && unpack.unwrap().success());
}
