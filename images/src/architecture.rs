//! The processors that our images are made for, and what a compiler needs to be told of each. Pure: no I/O.

use std::fmt;

/// As OCI names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Architecture {
    Amd64,
    Arm64,
}

impl fmt::Display for Architecture {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

impl Architecture {
    /// That of this machine.
    pub fn here() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }

    pub fn is_foreign(self) -> bool {
        self != Self::here()
    }

    fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    pub fn triple(self) -> String {
        format!("{}-unknown-linux-gnu", self.machine())
    }

    /// What tells cargo which linker to use, where this machine is another one.
    pub fn linker(self) -> Option<(String, String)> {
        let name = format!("CARGO_TARGET_{}_LINKER", self.triple().to_uppercase().replace('-', "_"));
        self.is_foreign().then(|| (name, format!("{}-linux-gnu-gcc", self.machine())))
    }

    /// Debian's package of the C library that is linked in.
    pub fn libc_package(self) -> String {
        if self.is_foreign() { format!("libc6-dev-{self}-cross") } else { "libc6-dev".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_s_linker_is_named_and_this_one_s_is_not() {
        assert_eq!(Architecture::here().linker(), None);
        let other = if Architecture::here() == Architecture::Amd64 { Architecture::Arm64 } else { Architecture::Amd64 };
        let name = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_LINKER", other.machine().to_uppercase());
        assert_eq!(other.linker(), Some((name, format!("{}-linux-gnu-gcc", other.machine()))));
    }
}
