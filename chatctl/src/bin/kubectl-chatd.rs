//! `kubectl chatd`: chat deployments in a cluster, found as kubectl finds things. Does I/O, through the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatctl::kubectl_chatd()
}
