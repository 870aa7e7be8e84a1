//! The program `http-demo`: settings, logs, and then `run` until it ends. Does I/O.

use std::process::ExitCode;

use http_demo::{logging, run, settings};

fn main() -> ExitCode {
    let settings = settings::from_process();
    let logs = logging::start(settings.log_format, settings.log_level);
    for name in settings::unknown_variables() {
        let reason = format!("{name} is not a setting and has no effect; http-demo --help lists them");
        tracing::warn!(reason, "ignoring unknown HTTP_DEMO_* environment variable");
    }
    let drained = run::run(settings).unwrap_or_else(|error| {
        // To standard error, not into the log: a terminal and a container's termination message show it.
        eprintln!("http-demo cannot start: {error:#}");
        false
    });
    drop(logs);
    ExitCode::from(u8::from(!drained))
}
