//! Why a pod is not ready: a reason from the fixed list, with its remedy. Pure: no I/O.

use super::Reason;

/// Something that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which of the fixed reasons.
    pub reason: Reason,
    /// What is wrong, for people; cut if it is long.
    pub message: String,
}

const LONGEST: usize = 400;

impl Problem {
    /// A message that is too long for a condition is cut.
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
        Self::new(Reason::NodeAway, format!("its node {node} does not respond"))
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
                    format!("it exited with code {code} ({why}); see its log"),
                ));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Reason::ContainerRefused,
            _ => return None,
        };
        // Kubernetes tells the same failure in two ways by turns; one would be written over the other again and again.
        let message = message.split_once(": ErrImagePull: ").map_or(message, |(_, why)| why);
        Some(Self::new(reason, message))
    }

    /// A container ended: by Kubernetes' reason and the exit code.
    pub fn of_ended(reason: &str, code: i32) -> Self {
        Self::new(Reason::CrashLooping, format!("it exited with code {code} ({reason}); see its log"))
    }

    /// A write that the API server refused, by its code and in its words.
    pub fn of_refusal(code: u16, message: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
        let is_of_policy = says(&["denied request: ", "denied the request", "admission webhook ", "calling webhook "]);
        // Who sets an owner needs rights on it, which an admission plugin looks at.
        let is_of_rights = (says(&[" cannot "]) && says(&[" resource \""]))
            || says(&["cannot set blockOwnerDeletion", "cannot set an ownerRef"]);
        let reason = match code {
            _ if is_of_policy => Reason::Denied,
            403 if says(&["exceeded quota"]) => Reason::QuotaExceeded,
            403 if is_of_rights => Reason::Forbidden,
            // With sufficient rights, Forbidden comes from an admission plugin, such as Pod Security's or a LimitRange's.
            403 => Reason::Denied,
            _ => Reason::WriteRefused,
        };
        Self::new(reason, message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_who_refuses() {
        let table = [
            (
                403,
                "statefulsets.apps \"chat\" is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource \"statefulsets\" in API group \"apps\" in the namespace \"games\"",
                Reason::Forbidden,
            ),
            (
                403,
                "services \"chat\" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>",
                Reason::Forbidden,
            ),
            (403, "services \"chat\" is forbidden: exceeded quota: few, requested: services=1", Reason::QuotaExceeded),
            (403, "pods \"chat-0\" is forbidden: cannot be made here, says a plugin of somebody's", Reason::Denied),
            (
                422,
                "services \"chat\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'all' denied request: every object needs a label owner",
                Reason::Denied,
            ),
            (
                403,
                "services \"chat\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: x cannot use resource \"y\"",
                Reason::Denied,
            ),
            (
                403,
                "admission webhook \"validate.kyverno.svc-fail\" denied the request: policy Service/games/chat",
                Reason::Denied,
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"x.example\": no endpoints available",
                Reason::Denied,
            ),
            (403, "pods \"chat-0\" is forbidden: violates PodSecurity \"restricted:latest\"", Reason::Denied),
            (
                422,
                "Service \"chat\" is invalid: spec.ports[0].nodePort: provided port is already allocated",
                Reason::WriteRefused,
            ),
        ];
        for (code, message, reason) in table {
            let problem = Problem::of_refusal(code, message);
            assert_eq!((problem.reason, problem.message.as_str()), (reason, message));
        }
    }
}
