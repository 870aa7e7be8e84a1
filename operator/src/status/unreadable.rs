//! The status of a ChatDeployment that this version of the operator cannot read. Pure: no I/O.

use super::{DEGRADED, Problem, READY, STALLED, condition, full_message};
use crate::api::ChatDeploymentStatus;

/// Keeps what the previous status has on its pods. `operator` is the one that says it.
pub fn unreadable(
    operator: &str,
    generation: i64,
    problem: &Problem,
    now: &str,
    previous: &ChatDeploymentStatus,
) -> ChatDeploymentStatus {
    let mut status_now = ChatDeploymentStatus {
        observed_generation: Some(generation),
        operator: Some(operator.to_owned()),
        contender: None,
        ..previous.clone()
    };
    for (type_, status) in [(READY, "False"), (DEGRADED, "True"), (STALLED, "True")] {
        let condition = condition(previous, generation, now, type_, (status, problem.reason, full_message(problem)));
        match status_now.conditions.iter_mut().find(|it| it.type_ == type_) {
            Some(it) => *it = condition,
            None => status_now.conditions.push(condition),
        }
    }
    status_now
}
