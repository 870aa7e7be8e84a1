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
        // Not into the log: whoever starts this by hand sees it, and so does a container's last output.
        eprintln!("http-demo cannot start: {error:#}");
        false
    });
    drop(logs);
    ExitCode::from(u8::from(!drained))
}
