//! `completions` and `man`, of both programs. Does I/O.

use std::process::{Command, Stdio};

#[test]
fn both_programs_print_their_completions_and_man_page() {
    for program in [env!("CARGO_BIN_EXE_chatctl"), env!("CARGO_BIN_EXE_kubectl-chatd")] {
        for (arguments, expected) in [
            (&["completions", "bash"][..], "complete -F"),
            (&["completions", "zsh"], "#compdef"),
            (&["completions", "fish"], "complete -c"),
            (&["man"], ".TH"),
        ] {
            let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(
                output.status.success() && text.contains(expected) && text.contains("status"),
                "{arguments:?}: {text}"
            );
        }
    }
}
