//! Chooses the pod of a port-forward: a pure function of the known pods.

use crate::pods::Pod;

#[derive(Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// The one that it goes to already.
    Stay,
    Go(&'a Pod),
    /// None is there.
    Wait,
}

/// A pod is left when it ends or is gone, not when a probe of it fails once: its sessions would be cut for nothing.
pub fn choose<'a>(current: Option<&str>, pods: &'a [Pod]) -> Choice<'a> {
    let stays = pods.iter().any(|pod| Some(pod.uid.as_str()) == current && !pod.ending && !pod.failed);
    if stays {
        return Choice::Stay;
    }
    match pods.iter().filter(|pod| pod.ready).min_by(|one, other| one.name.cmp(&other.name)) {
        Some(pod) => Choice::Go(pod),
        None => Choice::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ready: bool, ending: bool) -> Pod {
        Pod {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            state: String::new(),
            ready,
            ending,
            failed: false,
            node: String::new(),
        }
    }

    #[test]
    fn the_first_ready_pod_is_taken_and_kept_while_it_lives() {
        let pods = [pod("b", true, false), pod("a", true, false), pod("c", false, false)];
        assert_eq!(choose(None, &pods), Choice::Go(&pods[1]));
        assert_eq!(choose(Some("uid-b"), &pods), Choice::Stay);
        assert_eq!(choose(Some("uid-c"), &pods), Choice::Stay);
    }

    #[test]
    fn a_pod_that_ends_or_is_gone_is_left_for_a_ready_one() {
        let pods = [pod("a", false, true), pod("b", true, false)];
        assert_eq!(choose(Some("uid-a"), &pods), Choice::Go(&pods[1]));
        assert_eq!(choose(Some("uid-gone"), &pods), Choice::Go(&pods[1]));
    }

    #[test]
    fn with_no_ready_pod_it_waits() {
        assert_eq!(choose(None, &[]), Choice::Wait);
        assert_eq!(choose(None, &[pod("a", false, false)]), Choice::Wait);
        assert_eq!(choose(Some("uid-a"), &[pod("a", false, true)]), Choice::Wait);
    }
}
