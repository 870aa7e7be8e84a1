//! Metrics of this process from the kernel: CPU time, memory, open files. Reads /proc.

use std::time::Duration;

/// What the kernel says about this process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// User and system time of all threads since the start.
    pub cpu: Duration,
    /// Memory in use.
    pub resident_bytes: u64,
    /// Open files and sockets.
    pub open_files: u64,
    /// Unix seconds; 0 if unknown.
    pub started_at: f64,
}

impl Process {
    /// Reads `/proc/self`. What cannot be read stays 0: a scrape is not worth an error.
    pub fn read() -> Self {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        Self::parse(&file("self/stat"), &file("self/statm"), &file("stat"), open_files, Units::of_system())
    }

    /// `stat`, `statm`: of the process; `system`: `/proc/stat`. See `man 5 proc`.
    fn parse(stat: &str, statm: &str, system: &str, open_files: u64, units: Units) -> Self {
        // The second field is the program's name in parentheses, which may hold anything; field 3 follows the last one.
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
        let field =
            |number: usize| fields.get(number - 3).and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        let seconds = |ticks: u64| Duration::from_secs(ticks) / units.ticks_per_second.max(1);
        let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
        let boot = system.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u32>().ok());
        Self {
            cpu: seconds(field(14) + field(15)),
            resident_bytes: resident * units.page_size,
            open_files,
            started_at: boot.map_or(0.0, |boot| f64::from(boot) + seconds(field(22)).as_secs_f64()),
        }
    }
}

/// In what the kernel counts.
#[derive(Debug, Clone, Copy)]
struct Units {
    ticks_per_second: u32,
    page_size: u64,
}

impl Units {
    fn of_system() -> Self {
        Self {
            ticks_per_second: rustix::param::clock_ticks_per_second() as u32,
            page_size: rustix::param::page_size() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 4200 1000 500 18446744073709551615";
        let process = Process::parse(
            stat,
            "1000 500 1 1 0 1 0\n",
            "cpu 1\nbtime 1000\n",
            9,
            Units { ticks_per_second: 100, page_size: 4096 },
        );
        assert_eq!(process.cpu, Duration::from_secs(3));
        assert_eq!(process.resident_bytes, 500 * 4096);
        assert!((process.started_at - 1042.0).abs() < 1e-6);
        let rubbish = Process::parse("", "x", "", 0, Units { ticks_per_second: 100, page_size: 4096 });
        assert_eq!(rubbish, Process::default());
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = Process::read();
        assert!(
            process.resident_bytes > 100_000 && process.open_files > 2 && process.started_at > 1.6e9,
            "{process:?}"
        );
    }
}
