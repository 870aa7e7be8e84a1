//! What keeps a pod from being ready, in words of a fixed list with what to do. Pure: no I/O.

use super::Reason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub reason: Reason,
    pub message: String,
}

const LONGEST: usize = 400;

impl Problem {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            message.truncate(end);
            message.push_str("...");
        }
        Self { reason, message }
    }

    /// The scheduler's own words.
    pub fn unscheduled(message: &str) -> Self {
        let volume = message.to_ascii_lowercase().contains("persistentvolumeclaim");
        Self::new(if volume { Reason::VolumePending } else { Reason::Unschedulable }, message)
    }

    /// Kubernetes does not hear of the pod's node.
    pub fn cut_off(node: &str) -> Self {
        Self::new(Reason::NodeAway, format!("its node {node} does not answer"))
    }

    /// A container that waits; nothing if that is how containers start.
    pub fn of_waiting(reason: &str, message: &str, ended: Option<(String, i32, String)>) -> Option<Self> {
        let reason = match reason {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable" => Reason::ImagePullFailed,
            "CrashLoopBackOff" => {
                let (reason, code, text) = ended.unwrap_or_default();
                let text = text.trim();
                let why = if text.is_empty() { reason } else { format!("{reason}: {text}") };
                return Some(Self::new(
                    Reason::CrashLooping,
                    format!("it ended with code {code} ({why}); see its log"),
                ));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Reason::ContainerRefused,
            _ => return None,
        };
        // Kubernetes tells the same failure in two ways by turns; one would be written over the other again and again.
        let message = message.split_once(": ErrImagePull: ").map_or(message, |(_, why)| why);
        Some(Self::new(reason, message))
    }

    pub fn of_ended(reason: &str, code: i32) -> Self {
        Self::new(Reason::CrashLooping, format!("it ended with code {code} ({reason}); see its log"))
    }

    /// A warning that Kubernetes gave about a pod or StatefulSet, as an Event.
    pub fn of_event(reason: &str, message: &str) -> Option<Self> {
        let kind = match reason {
            "FailedMount" | "FailedAttachVolume" => Reason::MountFailed,
            "FailedCreate" if message.contains("exceeded quota") => Reason::QuotaExceeded,
            "FailedCreate" => Reason::CreateRefused,
            "FailedCreatePodSandBox" => Reason::ContainerRefused,
            _ => return None,
        };
        Some(Self::new(kind, message))
    }
}
