//! The program `http-demo`: settings, logs, and then `run` until it ends. Does I/O.

use std::process::ExitCode;

use anyhow::Context;
use http_demo::{logging, run, settings};

fn main() -> ExitCode {
    let settings = settings::from_process();
    let logs = logging::start(settings.log_format, settings.log_level);
    let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    for warning in settings::unknown_variables(names.iter().map(String::as_str)) {
        tracing::warn!(reason = warning, "a variable that looks like a setting is none");
    }
    let code = match run::run(settings).context("http-demo cannot start") {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Not into the log: whoever starts this by hand sees it, and so does a container's last output.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    };
    drop(logs);
    code
}
