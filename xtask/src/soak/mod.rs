//! The command `soak`: load on a deployment whose pods are killed and drained meanwhile, and a look at what does not come back: memory,
//! descriptors, threads, rooms, seats, keys of Redis. Does I/O: a cluster that is there, a load, samples; prints a table.

mod arguments;
mod judgement;
mod load;
mod observer;
mod sample;
mod table;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use devcluster::kube::Kube;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::deploy;
pub use arguments::Arguments;
use judgement::Trend;
use load::{Load, VICTIMS, Verdict};
use observer::Observer;
use sample::Sample;
use table::Run;

const MANIFEST: &str = include_str!("chat.yaml");
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_mins(1);
/// Then all players leave, and others open new rooms: those that stayed would all be on the pod that chaos spares.
const ROUND: Duration = MINUTE;
/// Seats are held for 30 s, empty rooms close after 20 s, a dead pod's lease lasts for 10 s, and threads of the resolver for another 10.
const SETTLE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);
/// A shell's code for a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let soaked = soak(arguments, &stop);
    if stop.load(Ordering::Relaxed) {
        println!("interrupted: nothing is judged");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    soaked
}

fn soak(arguments: &Arguments, stop: &AtomicBool) -> Result<ExitCode> {
    let kube = Kube::of(&arguments.selection)?;
    deploy::operator(&kube)?;
    deploy::chat(&kube, MANIFEST)?;
    let observer = Observer::new(&kube)?;
    let start = settled(&observer, stop, |sample| {
        // All that is zero at the end has to be zero before, and every pod has to answer.
        let missing = (sample.gauges.len() <= VICTIMS.len()).then(|| "a pod does not answer yet".to_owned());
        judgement::at_the_end(sample, sample).into_iter().chain(missing).collect()
    })?;
    let (start, []) = (start.0, start.1.as_slice()) else {
        bail!("the deployment does not come to rest before the load: {}", start.1.join("; "))
    };

    println!("==> load for {} minutes", arguments.minutes);
    let mut loads = Loads {
        observer: &observer,
        stop,
        samples: Vec::new(),
        verdicts: Vec::new(),
        taken: [0, 0],
        told: Instant::now(),
    };
    let begun = Instant::now();
    while begun.elapsed() < arguments.duration() {
        let left = arguments.duration().saturating_sub(begun.elapsed());
        loads.round(Load::start(&kube, arguments, ROUND.min(left))?)?;
    }
    let Loads { samples, verdicts, taken, .. } = loads;
    println!("==> load ended; waiting until nothing of it is left");
    let (end, left) = settled(&observer, stop, |sample| judgement::at_the_end(&start, sample))?;

    let trends = judgement::trends(&samples);
    let mut findings: Vec<String> = verdicts.iter().filter_map(Verdict::finding).collect();
    findings.extend(judgement::ended(&start, &samples, VICTIMS));
    findings.extend(trends.iter().filter_map(Trend::finding));
    findings.extend(left);
    let about = arguments.about(verdicts.len(), VICTIMS, taken);
    let verdicts: Vec<_> = verdicts.into_iter().map(|verdict| verdict.figures).collect();
    let run = Run {
        about: &about,
        start: &start,
        load: &samples,
        end: &end,
        trends: &trends,
        verdicts: &verdicts,
        findings: &findings,
    };
    let text = table::markdown(&run);
    println!("\n{text}");
    if let Some(file) = &arguments.report {
        fs::write(file, &text)?;
    }
    for finding in &findings {
        eprintln!("not flat: {finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The loads, one after the other, and what was seen meanwhile.
struct Loads<'a> {
    observer: &'a Observer<'a>,
    stop: &'a AtomicBool,
    samples: Vec<Sample>,
    verdicts: Vec<Verdict>,
    /// Pods deleted and killed in the rounds that are over.
    taken: [usize; 2],
    /// When progress was printed last.
    told: Instant,
}

impl Loads<'_> {
    /// Samples until this load has ended.
    fn round(&mut self, mut load: Load) -> Result<()> {
        let mut due = Instant::now() + SAMPLE_EVERY;
        while !load.has_ended()? {
            go_on(self.stop)?;
            if Instant::now() < due {
                sleep(POLL);
                continue;
            }
            due = Instant::now() + SAMPLE_EVERY;
            let sample = self.observer.sample()?;
            if self.told.elapsed() >= MINUTE {
                self.told = Instant::now();
                self.print(&sample, &load);
            }
            self.samples.push(sample);
        }
        let (_, taken) = load.progress();
        self.taken = [self.taken[0] + taken[0], self.taken[1] + taken[1]];
        self.verdicts.push(load.verdict()?);
        Ok(())
    }

    fn print(&self, sample: &Sample, load: &Load) {
        let (progress, [deleted, killed]) = load.progress();
        let processes = sample.usage.iter().map(|(process, usage)| {
            format!("{} {} KiB, {} descriptors", process.pod, usage.resident_kib, usage.descriptors)
        });
        println!(
            "    round {}, {progress}; {} pods deleted, {} killed\n        {}; {} keys",
            self.verdicts.len() + 1,
            self.taken[0] + deleted,
            self.taken[1] + killed,
            processes.collect::<Vec<_>>().join("; "),
            sample.redis.map_or(0, |redis| redis.keys),
        );
    }
}

/// Samples until nothing is found, or no longer. Returns the last sample with what was found in it.
fn settled(
    observer: &Observer,
    stop: &AtomicBool,
    findings: impl Fn(&Sample) -> Vec<String>,
) -> Result<(Sample, Vec<String>)> {
    let deadline = Instant::now() + SETTLE;
    loop {
        go_on(stop)?;
        let sample = observer.sample()?;
        let found = findings(&sample);
        if found.is_empty() || Instant::now() >= deadline {
            return Ok((sample, found));
        }
        sleep(POLL);
    }
}

fn go_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
