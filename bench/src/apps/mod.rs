//! What rooms of applications cost: events, join tokens, calls of the server API, webhooks. Writes `bench/apps.md`. Does I/O: the
//! order of the run; each part is a file of its own.

// Counts here are far below 2^52.
#![allow(clippy::cast_precision_loss)]

mod calls;
mod fanout;
mod tokens;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::chatd::Redis;
use crate::options::{Installed, ReportOptions};
use crate::peers::Place;
use crate::process::{self, Cpu, Cpus};
use crate::report::{Spread, thousands};

/// A secret for requests on loopback.
const SECRET: &str = "chatd-bench-chatd-bench-chatd-bench";

/// Measures what rooms of applications cost, in CPU time of the server.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// chatd's binary
    #[arg(long)]
    chatd: PathBuf,
    #[command(flatten)]
    installed: Installed,
    /// Only these parts: events, tokens, calls, webhook
    #[arg(long)]
    only: Vec<String>,
    /// Rooms of four
    #[arg(long, default_value_t = 250)]
    rooms: usize,
    /// How often each figure is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    report: ReportOptions,
}

/// What each part needs.
struct Bench<'a> {
    options: &'a Options,
    place: Place,
    redis: Redis,
}

type Part = fn(&Bench) -> Result<String>;

const PARTS: [(&str, Part); 4] = [
    ("events", fanout::measure),
    ("tokens", tokens::measure),
    ("calls", calls::measure),
    ("webhook", webhook::measure),
];

pub fn run(options: &Options) -> Result<()> {
    let files = process::raise_open_files()?;
    ensure!(files >= 8_000, "at most {files} open files are allowed here (ulimit -Hn), 8000 are needed");
    let scratch = tempfile::tempdir()?;
    let place = Place { cpus: Cpus::split()?, scratch: scratch.path().to_owned() };
    let redis = Redis::start(&place)?;
    let bench = Bench { options, place, redis };
    let mut report = format!(
        "# What rooms of applications cost\n\nWritten by `bench/apps` (`make bench-apps`); do not edit. {}\n\n{} Figures are \
         medians of {} windows, with the lowest and the highest in parentheses.\n",
        options.report.date,
        crate::machine(bench.place.cpus, &options.report.conditions)?,
        options.rounds,
    );
    for (name, measure) in PARTS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            report.push('\n');
            report.push_str(&measure(&bench).with_context(|| name)?);
        }
    }
    options.report.publish(&report)
}

/// So many of something, how long they took, and the server's CPU time for them.
#[derive(Debug, Clone, Copy)]
struct Work {
    count: u64,
    elapsed: Duration,
    cpu: Cpu,
}

impl Work {
    fn a_cpu_second(&self) -> f64 {
        self.count as f64 / self.cpu.total().as_secs_f64().max(1e-3)
    }

    fn a_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(1e-3)
    }
}

/// The cells of a row: how many a CPU second, and how many a second.
fn rates(works: &[Work]) -> String {
    format!("{} | {}", spread(works.iter().map(Work::a_cpu_second)), spread(works.iter().map(Work::a_second)))
}

fn spread(values: impl IntoIterator<Item = f64>) -> String {
    Spread::of(values).map_or_else(
        || "-".to_owned(),
        |Spread { median, min, max }| format!("{} ({} to {})", thousands(median), thousands(min), thousands(max)),
    )
}
