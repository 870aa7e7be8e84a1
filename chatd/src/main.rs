//! The program `chatd`: settings, logs, and then `run` until it ends. Does I/O.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use chatd::settings::{self, Invocation};
use chatd::{healthcheck, logging, run};

/// jemalloc returns freed memory to the system (decay times: .cargo/config.toml); glibc's allocator keeps nearly all of it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match settings::from_process() {
        Invocation::Healthcheck(check) => match healthcheck::ask(&check) {
            Ok(()) => ExitCode::SUCCESS,
            Err(unhealthy) => {
                eprintln!("{unhealthy}");
                ExitCode::FAILURE
            }
        },
        Invocation::Serve(settings) => {
            let logs = logging::start(settings.log_format, settings.log_level);
            let text = |(name, value): (OsString, OsString)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            };
            for warning in settings::unknown_variables(&std::env::vars_os().filter_map(text).collect()) {
                tracing::warn!(reason = warning, "ignoring unknown CHATD_* environment variable");
            }
            let code = match run::run(*settings).context("chatd cannot start") {
                Ok(code) => ExitCode::from(code),
                Err(error) => {
                    // To standard error, not into the log: a terminal and a container's termination message show it.
                    eprintln!("{error:#}");
                    ExitCode::FAILURE
                }
            };
            drop(logs);
            code
        }
    }
}
