//! `load`: rooms of players who speak and check what they hear, while pods go away or not. Does I/O.

mod chaos;
mod connection;
pub mod ledger;
mod player;
mod run;
mod tally;
mod tls;
mod wire;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::output::{self, Format, Outcome};
pub use chaos::ChaosOptions;
use connection::Doors;
use run::{Allowance, Size, Verdict, run};
use wire::Encoding;

/// How much load, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Rooms
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rooms: u32,
    /// Players in each room
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    players: u32,
    /// Lines of each player in a second; chatd allows 10 by default
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    rate: f64,
    /// Seconds for which players speak
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration: u64,
    /// How players connect, by turns
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["lines", "web"], value_name = "ENCODING,...")]
    over: Vec<Encoding>,
    /// Addresses for lines
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT,...")]
    lines: Vec<String>,
    /// Addresses for WebSockets
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT,...")]
    web: Vec<String>,
    /// Players ask to be relayed and follow no REDIRECT, where pods advertise addresses that cannot be reached from here
    #[arg(long)]
    relay: bool,
    #[command(flatten)]
    tls: tls::Options,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t, hide_default_value = true)]
    output: Format,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1000.0).contains(&rate) { Ok(rate) } else { Err("not between 0.001 and 1000".to_owned()) }
}

impl Arguments {
    fn size(&self) -> Size {
        Size {
            rooms: self.rooms as usize,
            players: self.players as usize,
            rate: self.rate,
            duration: Duration::from_secs(self.duration),
            encodings: self.over.clone(),
        }
    }

    fn addresses(&self) -> Result<Doors> {
        for (encoding, addresses, flag) in
            [(Encoding::Lines, &self.lines, "--lines"), (Encoding::Web, &self.web, "--web")]
        {
            ensure!(
                !addresses.is_empty() || !self.over.contains(&encoding),
                "{flag} HOST:PORT is missing; or choose the other encoding alone with --over"
            );
        }
        let (lines, web) = (self.lines.clone(), self.web.clone());
        Ok(Doors::Addresses { lines, web, relay: self.relay, tls: self.tls.load()? })
    }
}

/// Against addresses.
pub async fn at_addresses(arguments: &Arguments) -> Result<Outcome> {
    let doors = arguments.addresses()?;
    let verdict = run(&arguments.size(), &doors, interrupted(), &AtomicBool::new(false)).await;
    tell(&verdict, arguments.output, Allowance::default())
}

/// Against a ChatDeployment: through its pods, or at addresses.
pub async fn in_cluster(
    cluster: &Cluster,
    name: Option<&str>,
    arguments: &Arguments,
    chaos: &ChaosOptions,
) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let ready = Arc::new(Mutex::new(Vec::new()));
    let listens = AtomicBool::new(false);
    let watch = chaos::watch(cluster.clone(), deployment.clone(), Arc::clone(&ready), chaos.clone(), &listens);
    chaos::refresh(cluster, &deployment, &ready).await?;
    let doors = if arguments.lines.is_empty() && arguments.web.is_empty() {
        Doors::Pods { api: Box::new(cluster.of(&deployment)), ready, tls: arguments.tls.load()? }
    } else {
        arguments.addresses()?
    };
    let size = arguments.size();
    let verdict = tokio::select! {
        verdict = run(&size, &doors, interrupted(), &listens) => verdict,
        error = watch => return Err(error),
    };
    tell(&verdict, arguments.output, Allowance { crashes: chaos.chaos.crashes() })
}

/// The first Ctrl-C ends the run with a verdict, the second at once.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    eprintln!("listening for what is on its way; Ctrl-C again ends at once");
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

fn tell(verdict: &Verdict, format: Format, allowance: Allowance) -> Result<Outcome> {
    let is_well = verdict.is_well(allowance);
    let text = if format.is_table() { text(verdict, is_well) } else { format.document(verdict)? };
    output::print(&text)?;
    Ok(if is_well { Outcome::Well } else { Outcome::Wrong })
}

fn text(verdict: &Verdict, is_well: bool) -> String {
    let count = &verdict.count;
    let mut rows = vec![
        ("rooms", verdict.rooms.to_string()),
        ("players in at the end", format!("{} of {}", verdict.inside, verdict.players)),
        ("lines said", verdict.lines_said.to_string()),
        ("lines heard", verdict.lines_heard.to_string()),
        ("lost", count.lost.to_string()),
        ("missed, as the server told", count.missed.to_string()),
        ("cut off with raw TCP connections", count.cut_off.to_string()),
        ("doubled", count.doubled.to_string()),
        ("out of order", count.disordered.to_string()),
        ("undelivered at a broken connection", count.undelivered.to_string()),
        ("seats lost", verdict.seats_lost.to_string()),
        ("resumed", verdict.resumed.to_string()),
        ("told that the room moved", verdict.moved.to_string()),
        (
            "round trip p50, p99, longest",
            format!("{} / {} / {} ms", verdict.p50_ms, verdict.p99_ms, verdict.longest_ms),
        ),
    ];
    rows.push(("verdict", if is_well { "well: nothing lost" } else { "NOT WELL" }.to_owned()));
    let mut text = String::new();
    text.extend(rows.iter().map(|(name, value)| format!("{name:36} {value}\n")));
    text.extend(
        verdict.wrong.iter().flat_map(|(room, all)| all.iter().map(move |wrong| format!("  {room}: {wrong}\n"))),
    );
    text.extend(verdict.notes.iter().map(|(note, times)| format!("  {times} x {note}\n")));
    text
}
