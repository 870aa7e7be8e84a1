//! The command `env`: prints a shell's variables for the current cluster.

use crate::cluster::{Kind, Selection};
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cluster = arguments.selection.cluster();
    let record = cluster.at_hand()?;
    println!("export KUBECONFIG={}", quoted(&record.kubeconfig));
    if record.kind == Kind::Builtin {
        println!("export PATH={}:\"$PATH\"", quoted(&cluster.bin()));
    }
    Ok(ExitCode::SUCCESS)
}

/// For a POSIX shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_and_quotes_survives_the_shell() {
        let path = Path::new("/it's a/$HOME\"");
        let output = programs::succeed_words(&["sh", "-c", &format!("printf %s {}", quoted(path))]).expect("sh runs");
        assert_eq!(Path::new(&output), path);
    }
}
