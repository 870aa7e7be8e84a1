//! chatd's boot in its container's termination message: which process has ended. Pure: no I/O.

use k8s_openapi::api::core::v1::ContainerStatus;

use crate::desired::CONTAINER;

/// What the message says before the boot.
const MESSAGE: &str = "chatd boot ";
const BOOT_DIGITS: usize = 16;
/// What the kubelet says of a container that it no longer finds: it only believes that it has ended.
pub(super) const NOT_FOUND: &str = "ContainerStatusUnknown";

/// The boot of the process that ended last in a pod's container, unless it ended in order: then it has released its lease itself.
pub fn ended<'a>(mut containers: impl Iterator<Item = &'a ContainerStatus>) -> Option<Box<str>> {
    let container = containers.find(|container| container.name == CONTAINER)?;
    let states = [&container.state, &container.last_state];
    let end = states.into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())?;
    if end.exit_code == 0 || end.reason.as_deref() == Some(NOT_FOUND) {
        return None;
    }
    boot_in(end.message.as_deref()?).map(Box::from)
}

/// The boot that a termination message names, if it is one of chatd's.
pub fn boot_in(message: &str) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    message.strip_prefix(MESSAGE).filter(|boot| boot.len() == BOOT_DIGITS && boot.bytes().all(is_digit))
}
