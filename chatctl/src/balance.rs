//! `balance`: how rooms are spread over pods, and how many chatd would move by itself. The rule is pure; asking does I/O.

use anyhow::Result;
use serde::Serialize;
use std::fmt::Write as _;

use crate::cluster::Cluster;
use crate::findings::count;
use crate::observed::{Pod, Service};
use crate::output::{self, Format, Outcome};

/// chatd's rule (docs/operations.md, Balance; a test compares): per cent of the mean above which a pod gives rooms away, down to which it does,
/// the rooms below which it gives none, and how far above the mean it has to be.
const BEGIN: u64 = 130;
const END: u64 = 105;
const LEAST: u64 = 16;
const ABOVE: u64 = 8;

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    pod: String,
    rooms: u64,
    players: u64,
    /// Per cent of the mean.
    of_mean: u64,
    /// Rooms that it would give away.
    gives: u64,
    /// Rooms that it would take at most.
    takes: u64,
}

/// All pods that rooms may be at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spread {
    /// Rooms of a pod, rounded down.
    mean: u64,
    pods: Vec<Share>,
    /// Draining or without an answer: left out.
    left_out: Vec<String>,
}

impl Spread {
    fn of(service: &Service) -> Self {
        let serving = |pod: &&Pod| !pod.is_terminating && pod.report().is_some_and(|report| !report.draining);
        let (serving, others): (Vec<&Pod>, Vec<&Pod>) = service.pods.iter().partition(serving);
        let reports = serving.iter().filter_map(|pod| Some((&pod.name, pod.report()?)));
        let reports: Vec<_> = reports.map(|(name, report)| (name.clone(), report.rooms, report.players)).collect();
        let (sum, number) = (reports.iter().map(|(_, rooms, _)| rooms).sum::<u64>(), reports.len() as u64);
        let mean = sum.checked_div(number).unwrap_or(0);
        let share = |(pod, rooms, players): (String, u64, u64)| {
            let is_overloaded = 100 * rooms * number > BEGIN * sum && rooms >= LEAST && rooms - mean >= ABOVE;
            let end = (END * sum).div_ceil(100 * number.max(1));
            Share {
                pod,
                rooms,
                players,
                of_mean: (100 * rooms * number).checked_div(sum).unwrap_or(100),
                gives: if is_overloaded { rooms.saturating_sub(end) } else { 0 },
                takes: mean.saturating_sub(rooms),
            }
        };
        let mut pods: Vec<Share> = reports.into_iter().map(share).collect();
        if pods.iter().all(|pod| pod.gives == 0) {
            for pod in &mut pods {
                pod.takes = 0;
            }
        }
        Self { mean, pods, left_out: others.into_iter().map(|pod| pod.name.clone()).collect() }
    }

    fn text(&self) -> String {
        let rows = self.pods.iter().map(|share| {
            let moves = match (share.gives, share.takes) {
                (0, 0) => "-".to_owned(),
                (0, takes) => format!("takes up to {takes}"),
                (gives, _) => format!("gives about {gives}"),
            };
            vec![
                share.pod.clone(),
                share.rooms.to_string(),
                share.players.to_string(),
                format!("{} %", share.of_mean),
                moves,
            ]
        });
        let mut text = format!("{}\n", output::table(&["POD", "ROOMS", "PLAYERS", "OF THE MEAN", "WOULD MOVE"], rows));
        let gives: u64 = self.pods.iter().map(|share| share.gives).sum();
        let is_level = gives == 0;
        let (mean, gives) = (count(self.mean, "room"), count(gives, "room"));
        let _ = if is_level {
            writeln!(text, "\nThe mean is {mean}; nothing would move.")
        } else {
            writeln!(
                text,
                "\nThe mean is {mean}; about {gives} move, 1 % of a pod's rooms per second, once it is so for a minute and \
                 unless --balance is off. Rooms that came in the last 10 minutes stay."
            )
        };
        if !self.left_out.is_empty() {
            let _ = writeln!(text, "Left out, since they drain or do not answer: {}.", self.left_out.join(", "));
        }
        text
    }
}

/// Shows the spread of a ChatDeployment's rooms.
pub async fn balance(cluster: &Cluster, name: Option<&str>, format: Format) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let spread = Spread::of(&cluster.observe(&deployment).await?);
    output::print(&if format.is_table() { spread.text() } else { format.document(&spread)? })?;
    Ok(Outcome::Well)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Answer, Report};

    fn spread(rooms: &[u64]) -> Spread {
        let pod = |(number, rooms): (usize, &u64)| {
            let answer = Answer::Report(Box::new(Report { rooms: *rooms, ..Report::default() }));
            Pod { name: format!("chat-{number}"), answer, ..Pod::default() }
        };
        Spread::of(&Service { deployment: None, pods: rooms.iter().enumerate().map(pod).collect() })
    }

    fn gives(rooms: &[u64]) -> Vec<u64> {
        spread(rooms).pods.iter().map(|share| share.gives).collect()
    }

    #[test]
    fn only_a_pod_with_far_more_than_the_mean_gives() {
        assert_eq!(gives(&[130, 100, 70]), [0, 0, 0], "not above 1.3 times the mean");
        assert_eq!(gives(&[131, 100, 69]), [26, 0, 0], "down to 1.05 times the mean");
        assert_eq!(gives(&[15, 0, 0]), [0, 0, 0], "fewer than 16");
        assert_eq!(gives(&[16, 10, 1]), [0, 0, 0], "7 above the mean");
        assert_eq!(gives(&[17, 8, 2]), [7, 0, 0], "8 above the mean");
        assert_eq!(gives(&[0, 0]), [0, 0]);
        assert!(gives(&[]).is_empty());
    }

    #[test]
    fn those_below_the_mean_take() {
        let spread = spread(&[200, 100, 0]);
        let takes: Vec<u64> = spread.pods.iter().map(|share| share.takes).collect();
        assert_eq!((spread.mean, takes), (100, vec![0, 0, 100]));
        let text = spread.text();
        for part in ["gives about 95", "takes up to 100", "200 %", "mean is 100 rooms; about 95 rooms move"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_pod_that_drains_is_left_out() {
        let answer = Answer::Report(Box::new(Report { rooms: 90, draining: true, ..Report::default() }));
        let pods = vec![Pod { name: "chat-0".to_owned(), answer, ..Pod::default() }];
        let spread = Spread::of(&Service { deployment: None, pods });
        assert_eq!((spread.pods.len(), spread.left_out.as_slice()), (0, ["chat-0".to_owned()].as_slice()));
        assert!(spread.text().contains("Left out"), "{}", spread.text());
    }

    #[test]
    fn the_rule_is_the_one_that_the_documentation_has() {
        let text = include_str!("../../docs/operations.md").replace('\n', " ");
        for part in
            ["more than 1.3 times the mean", "at least 16 rooms and 8 above the mean", "until it holds 1.05 times"]
        {
            assert!(text.contains(part), "{part}");
        }
    }
}
