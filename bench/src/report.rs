//! Turns measurements into medians and the Markdown report. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::joins::Creation;
use crate::load::Window;

/// The middle of some measurements, and their ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// None of an empty list.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values = values.into_iter().collect::<Vec<_>>();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 0 { f64::midpoint(values[half - 1], values[half]) } else { values[half] };
        Some(Self { median, min, max })
    }
}

/// The smallest value that at least `share` of the values do not exceed (nearest rank).
pub fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[allow(clippy::cast_sign_loss)]
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or_default()
}

/// Everything known of one contestant.
#[derive(Debug, Default)]
pub struct Row {
    pub name: String,
    pub version: String,
    pub is_chatd: bool,
    /// One line a wake, then pipelined.
    pub windows: [Vec<Window>; 2],
    pub round_trip: Duration,
    /// User-space bytes of an idle connection in a room.
    pub idle_bytes: Option<f64>,
}

/// Deliveries a CPU second of the server.
pub fn per_cpu_second(window: &Window) -> f64 {
    window.deliveries as f64 / window.cpu.total().as_secs_f64().max(1e-3)
}

/// The setting of a run.
#[derive(Debug)]
pub struct Setting {
    pub date: String,
    pub machine: String,
    pub rooms: usize,
    pub pipelined: u32,
    pub rounds: usize,
    pub window: Duration,
    pub idle_connections: usize,
    /// Peers that are not installed.
    pub left_out: Vec<&'static str>,
}

/// Times in milliseconds: each round's median and 99th percentile.
#[derive(Debug)]
pub struct Times {
    pub medians: Spread,
    pub highs: Spread,
}

impl Times {
    /// None without rounds.
    pub fn of(rounds: &mut [Vec<Duration>]) -> Option<Self> {
        let mut each = |share| Spread::of(rounds.iter_mut().map(|times| percentile(times, share).as_secs_f64() * 1e3));
        Some(Self { medians: each(0.5)?, highs: each(0.99)? })
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { medians, highs } = self;
        write!(out, "p50 {:.2} ms, p99 {:.2} ms ({:.2} to {:.2})", medians.median, highs.median, highs.min, highs.max)
    }
}

/// From JOIN to JOINED with so many clients at once, and a bare SET to Redis in between.
#[derive(Debug)]
pub struct Joins {
    pub clients: usize,
    pub join: Times,
    pub set: Times,
}

/// chatd's own figures with Redis.
#[derive(Debug)]
pub struct Directory {
    pub rooms_open: usize,
    pub joins: Vec<Joins>,
    pub creation: Creation,
}

/// Rows that have figures to reach.
pub const PLAIN: &str = "chatd, lines";
pub const TLS: &str = "chatd, lines over TLS";
pub const WEB: &str = "chatd, WebSocket";

/// The whole report.
pub fn markdown(setting: &Setting, rows: &[Row], directory: Option<&Directory>) -> String {
    let mut out = String::from("# Benchmark results\n\nWritten by `bench/run`; do not edit.\n\n");
    let Setting { date, machine, rooms, pipelined, rounds, window, idle_connections, left_out } = setting;
    let _ = writeln!(
        out,
        "{date}. {machine}\n\nLoad: {rooms} rooms of 4 connections for each server, 64-byte lines, one member of a room \
         sends, all four must get each line once. *One line a wake*: each room has one line under way. *Pipelined*: \
         {pipelined} lines in a write. All servers run side by side and are measured in turn, {rounds} windows of \
         {window:?} each. A figure is the median, with the lowest and highest window in parentheses. What \
         each server is, and does for a message: [peers/](peers/README.md).\n"
    );
    if !left_out.is_empty() {
        let _ = writeln!(out, "Not installed here, and so not measured: {}.\n", left_out.join(", "));
    }
    deliveries(&mut out, rows);
    ratios(&mut out, rows);
    idle(&mut out, rows, *idle_connections);
    if let Some(directory) = directory {
        with_redis(&mut out, directory);
    }
    targets(&mut out, rows, directory);
    out
}

fn deliveries(out: &mut String, rows: &[Row]) {
    out.push_str("## Deliveries a CPU second of the server\n\n");
    out.push_str("| server | version | one line a wake | in the kernel | pipelined | in the kernel | round trip |\n");
    out.push_str("|---|---|---|---|---|---|---|\n");
    for row in rows {
        let [one, many] = row.windows.each_ref().map(|windows| match spread(windows) {
            Some(Spread { median, min, max }) => {
                let (median, min, max) = (thousands(median), thousands(min), thousands(max));
                format!("{median} ({min} to {max}) | {:.0} %", 100.0 * kernel_share(windows))
            }
            None => "- | -".to_owned(),
        });
        let (name, version, round_trip) = (&row.name, &row.version, row.round_trip.as_micros());
        let _ = writeln!(out, "| {name} | {version} | {one} | {many} | {round_trip} µs |");
    }
    out.push_str(
        "\n*In the kernel*: system time's part of the CPU time. *Round trip*: median time from one line's write to its \
         last delivery, nothing else under way.\n\n",
    );
}

/// The kernel's part of the server's CPU time.
fn kernel_share(windows: &[Window]) -> f64 {
    let sum = |part: fn(&Window) -> Duration| windows.iter().map(part).sum::<Duration>().as_secs_f64();
    sum(|window| window.cpu.system) / sum(|window| window.cpu.total()).max(1e-3)
}

fn ratios(out: &mut String, rows: &[Row]) {
    for chatd in rows.iter().filter(|row| row.is_chatd) {
        let _ = writeln!(
            out,
            "{}, times the other's figure, median of the rounds:\n\n| | one line a wake | pipelined |\n|---|---|---|",
            chatd.name
        );
        for other in rows.iter().filter(|row| row.name != chatd.name) {
            let [one, many] = [0, 1].map(|mode| match ratio(chatd, other, mode) {
                Some(Spread { median, min, max }) => format!("{median:.2} ({min:.2} to {max:.2})"),
                None => "-".to_owned(),
            });
            let _ = writeln!(out, "| {} | {one} | {many} |", other.name);
        }
        out.push('\n');
    }
}

/// A row's deliveries a CPU second, times another's. Round by round: windows of one round lie close together, so the machine's other
/// load cancels out.
fn ratio(row: &Row, other: &Row, mode: usize) -> Option<Spread> {
    let rounds = row.windows[mode].iter().zip(&other.windows[mode]);
    Spread::of(rounds.map(|(own, their)| per_cpu_second(own) / per_cpu_second(their)))
}

fn idle(out: &mut String, rows: &[Row], connections: usize) {
    if rows.iter().all(|row| row.idle_bytes.is_none()) {
        return;
    }
    let _ = writeln!(
        out,
        "## Memory of an idle connection\n\nUser space: growth of the server's proportional set size over {connections} \
         connections, four in a room, divided by their number.\n\n| server | bytes |\n|---|---|"
    );
    for row in rows {
        if let Some(bytes) = row.idle_bytes {
            let _ = writeln!(out, "| {} | {} |", row.name, thousands(bytes));
        }
    }
    out.push('\n');
}

fn with_redis(out: &mut String, directory: &Directory) {
    out.push_str("## With Redis on loopback\n\n| what | figure |\n|---|---|\n");
    for Joins { clients, join, set } in &directory.joins {
        let _ = writeln!(
            out,
            "| JOIN to JOINED, {} rooms open, {clients} at once | {join} |\n\
             | a bare SET to Redis by the same clients, in between | {set} |",
            directory.rooms_open
        );
    }
    let _ = writeln!(
        out,
        "| rooms created a second, one pod | {} (server CPU {:.0} %) |\n",
        thousands(rooms_per_second(&directory.creation)),
        100.0 * directory.creation.cpu.as_secs_f64() / directory.creation.elapsed.as_secs_f64()
    );
}

fn rooms_per_second(creation: &Creation) -> f64 {
    creation.rooms as f64 / creation.elapsed.as_secs_f64()
}

fn targets(out: &mut String, rows: &[Row], directory: Option<&Directory>) {
    let mut lines = Vec::new();
    let mut target = |what: &str, wanted: String, got: String, reached: bool| {
        lines.push(format!("| {what} | {wanted} | {got} | {} |", if reached { "yes" } else { "no" }));
    };
    let median = |row: &Row, mode: usize| spread(&row.windows[mode]).map(|spread| spread.median);
    if let Some(chatd) = rows.iter().find(|row| row.is_chatd) {
        for (mode, what, wanted) in
            [(0, "deliveries, one line a wake", 120_000.0), (1, "deliveries, pipelined", 1_500_000.0)]
        {
            if let Some(got) = median(chatd, mode) {
                target(what, format!(">= {}", thousands(wanted)), thousands(got), got >= wanted);
            }
        }
    }
    let named = |name: &str| rows.iter().find(|row| row.name == name);
    if let (Some(tls), Some(plain)) = (named(TLS), named(PLAIN)) {
        for (mode, what) in [(0, "one line a wake"), (1, "pipelined")] {
            if let Some(Spread { median, .. }) = ratio(tls, plain, mode) {
                let what = format!("deliveries over TLS, {what}, times those in plaintext");
                target(&what, ">= 0.60".to_owned(), format!("{median:.2}"), median >= 0.6);
            }
        }
    }
    for (name, wanted) in [(PLAIN, 6_000.0), (WEB, 10_000.0), (TLS, 12_000.0)] {
        if let Some(got) = named(name).and_then(|row| row.idle_bytes) {
            let wanted_text = format!("<= {} bytes", thousands(wanted));
            target(&format!("idle connection, {name}"), wanted_text, thousands(got), got <= wanted);
        }
    }
    if let Some(directory) = directory {
        if let Some(Joins { join, .. }) = directory.joins.first() {
            let high = join.highs.median;
            target("JOIN to JOINED, p99", "<= 5 ms".to_owned(), format!("{high:.2} ms"), high <= 5.0);
        }
        let got = rooms_per_second(&directory.creation);
        target("rooms created a second", ">= 5 000".to_owned(), thousands(got), got >= 5000.0);
    }
    if !lines.is_empty() {
        out.push_str(
            "## Against the figures set for chatd\n\n| what | wanted | measured | reached |\n|---|---|---|---|\n",
        );
        out.push_str(&(lines.join("\n") + "\n"));
    }
}

fn spread(windows: &[Window]) -> Option<Spread> {
    Spread::of(windows.iter().map(per_cpu_second))
}

/// A whole number with a thin gap between groups of three digits.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && !out.ends_with('-') {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut times = (1..=100).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentile(&mut times, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&mut times, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&mut times, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["1 234 567", "999", "-5"], [thousands(1_234_567.4), thousands(999.0), thousands(-5.0)]);
    }
}
