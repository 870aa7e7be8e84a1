//! `chatctl`: one chatd process, by its admin port. Does I/O, through the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatctl::chatctl()
}
