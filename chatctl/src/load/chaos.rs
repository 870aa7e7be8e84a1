//! Which pods are ready during a load run, and pods that are taken away meanwhile. Does I/O.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use operator::api::ChatDeployment;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;

/// What happens to pods during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Chaos {
    /// Nothing
    #[default]
    None,
    /// Pods are deleted, and drain: nothing may be lost
    Delete,
    /// Pods are killed after a second: what only they knew may be missed, if the server says so
    Kill,
    /// Pods are deleted and killed, by turns
    Both,
}

impl Chaos {
    /// Whether it is the turn of a kill. Twice the same, so that of two pods each meets both.
    fn kills(self, turn: usize) -> bool {
        self == Self::Kill || (self == Self::Both && (turn / 2).is_multiple_of(2))
    }

    /// Whether what only one pod knows may be gone.
    pub fn crashes(self) -> bool {
        matches!(self, Self::Kill | Self::Both)
    }
}

/// Which pods are taken away, and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ChaosOptions {
    /// Takes pods away meanwhile, one at a time
    #[arg(long, value_enum, default_value_t)]
    pub chaos: Chaos,
    /// Pods that chaos leaves alone
    #[arg(long, value_delimiter = ',', value_name = "POD,...")]
    pub spare: Vec<String>,
}

impl ChaosOptions {
    /// The pod that goes at this turn, if there is one.
    fn victim(&self, ready: &[String], turn: usize) -> Option<String> {
        let candidates: Vec<&String> = ready.iter().filter(|pod| !self.spare.contains(pod)).collect();
        candidates.get(turn % candidates.len().max(1)).map(|pod| (*pod).clone())
    }
}

/// Between two looks at the pods.
const LOOK: Duration = Duration::from_secs(1);
/// All pods have to be ready for so long before the next one goes.
const CALM: Duration = Duration::from_secs(5);

/// Sets the names of the pods that clients may connect to. Returns whether all that are wanted are ready.
pub async fn refresh(cluster: &Cluster, deployment: &ChatDeployment, ready: &Arc<Mutex<Vec<String>>>) -> Result<bool> {
    let pods = cluster.pods(deployment).await?;
    let wanted = deployment.desired_replicas();
    let names: Vec<String> =
        pods.iter().filter(|pod| is_ready(pod)).filter_map(|pod| pod.metadata.name.clone()).collect();
    let all = i32::try_from(names.len()).is_ok_and(|count| count >= wanted);
    *ready.lock().unwrap_or_else(PoisonError::into_inner) = names;
    Ok(all)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.is_some_and(|condition| condition.status == "True")
}

/// Keeps `ready` up to date and takes pods away, one at a time by turns, each when all have been ready for a while, until all only listen.
/// Returns only an error: a pod may not be deleted.
pub async fn watch(
    cluster: Cluster,
    deployment: ChatDeployment,
    ready: Arc<Mutex<Vec<String>>>,
    options: ChaosOptions,
    listens: &AtomicBool,
) -> anyhow::Error {
    let mut calm_since = Instant::now();
    let mut turn = 0;
    loop {
        sleep(LOOK).await;
        // The API server may be away for a moment; connections that there are go on.
        let all = refresh(&cluster, &deployment, &ready).await.unwrap_or(false);
        if !all {
            calm_since = Instant::now();
        }
        if options.chaos == Chaos::None || listens.load(Ordering::Relaxed) || calm_since.elapsed() < CALM {
            continue;
        }
        calm_since = Instant::now();
        turn += 1;
        let victim = options.victim(&ready.lock().unwrap_or_else(PoisonError::into_inner), turn);
        let Some(victim) = victim else { continue };
        let kills = options.chaos.kills(turn);
        let parameters = if kills { DeleteParams::default().grace_period(1) } else { DeleteParams::default() };
        eprintln!("chaos: {} {victim}", if kills { "killing" } else { "deleting" });
        if let Err(error) = cluster.of(&deployment).delete(&victim, &parameters).await {
            return anyhow::Error::new(error).context(format!("cannot delete pod {victim}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_has_its_turn_but_those_that_are_spared() {
        let ready = ["chat-0", "chat-1", "chat-2"].map(str::to_owned);
        let victims = |spare: &[&str]| {
            let options =
                ChaosOptions { spare: spare.iter().map(|&pod| pod.to_owned()).collect(), ..ChaosOptions::default() };
            (1..=4).map(|turn| options.victim(&ready, turn).unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(victims(&[]), ["chat-1", "chat-2", "chat-0", "chat-1"]);
        assert_eq!(victims(&["chat-0"]), ["chat-2", "chat-1", "chat-2", "chat-1"]);
        assert_eq!(victims(&["chat-0", "chat-1", "chat-2"]), ["", "", "", ""]);
    }

    #[test]
    fn each_of_two_pods_is_killed_and_deleted() {
        let ways = |chaos: Chaos| (1..=5).map(|turn| chaos.kills(turn)).collect::<Vec<_>>();
        assert_eq!(ways(Chaos::Both), [true, false, false, true, true]);
        assert_eq!(ways(Chaos::Kill), [true; 5]);
        assert_eq!(ways(Chaos::Delete), [false; 5]);
    }
}
