//! Behaviour of a large deployment: pods drain, crash and lose Redis, clients arrive at once. Writes `bench/scale.md`. Does I/O:
//! the order of the run; each scenario is a file of its own.

mod arrivals;
mod crash;
mod crowd;
mod drain;
mod emptied;
mod flood;
mod growth;
mod lag;
mod links;
mod many;
mod numbers;
mod players;
mod pods;
mod relayed;
mod table;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::options::ReportOptions;
use crate::peers::Place;
use crate::process::{self, Cpus};
use crate::report::percentile;
use table::Column;

/// Measures what a deployment of several chatd processes does at its size.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// chatd's binary
    #[arg(long)]
    chatd: PathBuf,
    /// Only the scenarios of these names
    #[arg(long)]
    only: Vec<String>,
    /// Numbers of rooms, instead of those of each scenario
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<usize>,
    /// How long idle clients are watched
    #[arg(long, default_value_t = 75, value_name = "SECONDS")]
    idle: u64,
    #[command(flatten)]
    report: ReportOptions,
}

/// What a scenario needs.
pub struct Bench {
    place: Place,
    chatd: PathBuf,
    idle: Duration,
    /// Files that this process may have open.
    files: usize,
}

struct Scenario {
    name: &'static str,
    about: &'static str,
    unit: &'static str,
    sizes: &'static [usize],
    run: fn(&Bench, usize) -> Result<Column>,
}

/// A connection for each of 10,000 players, and what a process of theirs needs besides.
const LEAST_FILES: u64 = 12_000;

const SIZES: &[usize] = &[1_000, 5_000, 10_000];

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "drain",
        about: "One of three processes, which has all the rooms, gets SIGTERM. In each room is a player who is \
                connected to it by lines and, as far as the limit of open files allows, one by way of another process who says \
                numbered lines, 5,000 a second in all.",
        unit: "rooms",
        sizes: SIZES,
        run: drain::near,
    },
    Scenario {
        name: "drain-far-redis",
        about: "The same with a Redis that answers after 200 ms.",
        unit: "rooms",
        sizes: &[1_000, 10_000],
        run: drain::far,
    },
    Scenario {
        name: "drain-empty-rooms",
        about: "The same with rooms that nobody is in.",
        unit: "rooms",
        sizes: &[5_000, 10_000, 20_000],
        run: drain::empty,
    },
    Scenario {
        name: "growth",
        about: "Three processes with a third of the rooms each become six. In each room is a player who is connected to \
                its process by lines and one by way of another process who says numbered lines, 2,000 a second in all. \
                Meanwhile one of the first three is asked for a new room every 0.5 s.",
        unit: "rooms",
        sizes: &[1_000, 6_000],
        run: growth::growth,
    },
    Scenario {
        name: "crash",
        about: "One of three processes, which has all the rooms, is killed. In each room is one player, connected to it by \
                lines, who resumes by way of one of the others at once, and again 0.25 to 0.75 s after a refusal. A dead process' \
                lease lasts 10 s, and JOIN and RESUME are held for 5 s.",
        unit: "rooms",
        sizes: SIZES,
        run: crash::crash,
    },
    Scenario {
        name: "crash-relayed",
        about: "One of three processes, which has all the rooms, is killed. In each room is one player, by way of one of the \
                others, whose link to the dead one is reset. In every second room the player says a line at that moment; in the \
                rest nobody does anything until MOVED says that the room goes on.",
        unit: "rooms",
        sizes: &[1, 100, 10_000],
        run: relayed::crash,
    },
    Scenario {
        name: "redis-emptied",
        about: "Redis ends, and comes back empty 1 s later. The rooms are spread over three processes; in each a player says \
                numbered lines, 5,000 a second in all.",
        unit: "rooms",
        sizes: SIZES,
        run: emptied::emptied,
    },
    Scenario {
        name: "joins",
        about: "A second player for each room, all at once, by way of one of three processes: for two of three rooms not by \
                way of its owner, which relays. One thread of the generator makes the connections.",
        unit: "rooms",
        sizes: &[1_000, 5_000, 9_500],
        run: arrivals::joins,
    },
    Scenario {
        name: "returns",
        about: "All players have lost their connections for 2 s, and resume at once, each by way of one of three processes. One thread of the generator makes the \
                connections.",
        unit: "clients",
        sizes: SIZES,
        run: arrivals::returns,
    },
    Scenario {
        name: "idle",
        about: "Clients who connect all at once to one process, join rooms of four, and then say nothing.",
        unit: "clients",
        sizes: SIZES,
        run: arrivals::idle,
    },
    Scenario {
        name: "forty-processes",
        about: "Forty processes on one Redis and one core, the rooms spread over them. In each room is one player; then one \
                process is killed. Some 2,500 of the commands come whatever the number of rooms is: each of the 39 others \
                that is asked for one of its rooms looks at the dead one's lease each second, and lists the 40 leases once. \
                That part grows with the square of the number of processes, and is far from what Redis can do.",
        unit: "rooms",
        sizes: SIZES,
        run: many::many,
    },
    Scenario {
        name: "links",
        about: "One process with a link to each of so many others, all of them processes on the same core: in a room of its \
                own one player has come by way of each, and nobody says anything. Each link is heard of every 1.5 s. Then \
                these players leave, and the links are closed.",
        unit: "links",
        sizes: &[39, 499],
        run: links::links,
    },
    Scenario {
        name: "flood",
        about: "One player in each room says a line now and then, 1,000 a second in all, beside a room of four in which \
                one says as much as is delivered, 64 lines at a time, without limits of rate. One process of one thread. The \
                generator shares its core between both.",
        unit: "quiet rooms",
        sizes: SIZES,
        run: flood::flood,
    },
];

pub fn run(options: &Options) -> Result<()> {
    let files = process::raise_open_files()?;
    ensure!(files >= LEAST_FILES, "at most {files} open files are allowed here (ulimit -Hn), {LEAST_FILES} are needed");
    let scratch = tempfile::tempdir()?;
    let bench = Bench {
        place: Place { cpus: Cpus::split()?, scratch: scratch.path().to_owned() },
        chatd: options.chatd.clone(),
        idle: Duration::from_secs(options.idle),
        files: usize::try_from(files)?,
    };
    let started = Instant::now();
    let mut report = format!(
        "# What a deployment does at its size\n\nWritten by `bench/scale` (`make bench-scale`); do not edit. {}\n\n{}\n",
        options.report.date,
        crate::machine(bench.place.cpus, &options.report.conditions)?,
    );
    for scenario in SCENARIOS {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == scenario.name) {
            continue;
        }
        let sizes = if options.sizes.is_empty() { scenario.sizes } else { &options.sizes };
        let mut columns = Vec::new();
        for &size in sizes {
            eprintln!("[{:4.0} s] {}, {size} {}", started.elapsed().as_secs_f64(), scenario.name, scenario.unit);
            let column = (scenario.run)(&bench, size).or_else(|error| {
                // One that fails by chance must not cost all that was measured before.
                eprintln!("  failed, and is tried once more: {error:#}");
                (scenario.run)(&bench, size)
            });
            columns.push(column.with_context(|| format!("{} at {size}", scenario.name))?);
        }
        let table = table::table(scenario.unit, &columns);
        let _ = write!(report, "\n## {}\n\n{}\n\n{table}", scenario.name, scenario.about);
    }
    options.report.publish(&report)
}

/// Median, 99th percentile and longest.
fn times(values: &mut [Duration]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    let [half, high, most] = [0.5, 0.99, 1.0].map(|share| percentile(values, share).as_secs_f64());
    if most < 1.0 {
        format!("{:.1}, {:.1}, {:.1} ms", half * 1e3, high * 1e3, most * 1e3)
    } else {
        format!("{half:.2}, {high:.2}, {most:.2} s")
    }
}
