//! The arguments of `soak`. Pure, but for what it says of this machine.

use std::fs;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use devcluster::cluster::Selection;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub selection: Selection,
    /// Minutes of load.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: u64,
    /// Rooms. 60 rooms of 3 players with a line a second each take a quarter of two cores.
    #[arg(long, default_value_t = 60)]
    pub rooms: u32,
    /// Players in each.
    #[arg(long, default_value_t = 3)]
    pub players: u32,
    /// Lines of each player in a second.
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// Writes the table to this file too.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What a program is started by where pods can be reached.
    #[arg(long, env = "CHATD_TEST_ENTER", default_value = "env", hide = true)]
    pub enter: String,
}

impl Arguments {
    pub fn duration(&self) -> Duration {
        Duration::from_secs(60 * self.minutes)
    }

    /// In one paragraph: how long, how much, on what. `rounds`: how often all players left and came to new rooms.
    pub fn about(&self, rounds: usize, victims: &[&str], [deleted, killed]: [usize; 2]) -> String {
        let cores = available_parallelism().map_or(1, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        format!(
            "{} minutes of load in {rounds} rounds, each with {} new rooms of {} players, {} lines a second each, by lines and WebSocket. \
             Meanwhile the pods {} were killed {killed} times and drained {deleted} times. Three chat pods, a managed Redis and \
             the operator on a built-in cluster, with the load on the same machine: {cores} cores, Linux {}.",
            self.minutes,
            self.rooms,
            self.players,
            self.rate,
            victims.join(" and "),
            kernel.trim(),
        )
    }
}
