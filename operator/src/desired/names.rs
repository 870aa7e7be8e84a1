//! The names of a ChatDeployment's children. They never change: manifests refer to them. Pure: no I/O.

/// On pods: which directory they use. Pods of two directories never run side by side.
pub const DIRECTORY: &str = "chatd.dev/directory";

/// On Valkey's pods: which Secret they took their password from.
pub const VALKEY_SECRET: &str = "chatd.dev/secret";

/// On an adopted StatefulSet: the uid that its pods go by.
pub const ADOPTED_UID: &str = "chatd.dev/deployment-uid";

/// Names that are made from the ChatDeployment's.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a>(&'a str);

impl<'a> Names<'a> {
    /// `deployment`: its `metadata.name`.
    pub fn new(deployment: &'a str) -> Self {
        Self(deployment)
    }

    /// StatefulSet, client Service, PodDisruptionBudget, HorizontalPodAutoscaler and NetworkPolicy of the chat pods.
    pub fn chat(&self) -> String {
        self.0.to_owned()
    }

    /// Not the plain name: every namespace has a ServiceAccount `default` already.
    pub fn service_account(&self) -> String {
        format!("{}-chatd", self.0)
    }

    /// The headless Service, by which each pod has a name in DNS.
    pub fn headless(&self) -> String {
        format!("{}-pods", self.0)
    }

    /// A chat pod, and its Service if it has one of its own.
    pub fn pod(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.0)
    }

    /// The Secret with the token keys, if the user names none.
    pub fn token_keys(&self) -> String {
        format!("{}-token-keys", self.0)
    }

    /// The Service of the server API, and the Secret with its keys if the user names none.
    pub fn api(&self) -> String {
        format!("{}-api", self.0)
    }

    /// The ConfigMap with the outside addresses of pods.
    pub fn addresses(&self) -> String {
        format!("{}-addresses", self.0)
    }

    /// Everything of the managed Valkey.
    pub fn valkey(&self) -> String {
        format!("{}-valkey", self.0)
    }

    /// Valkey's one pod.
    pub fn valkey_pod(&self) -> String {
        format!("{}-0", self.valkey())
    }

    /// The ordinal in the name of a chat pod or of its Service.
    pub fn ordinal(&self, pod: &str) -> Option<i32> {
        let digits = pod.strip_prefix(self.0)?.strip_prefix('-')?;
        let ordinal: i32 = digits.parse().ok()?;
        (ordinal >= 0 && ordinal.to_string() == digits).then_some(ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_from_own_names_only() {
        let names = Names::new("chat");
        assert_eq!(names.ordinal(&names.pod(12)), Some(12));
        for name in ["chat", "chat-", "chat-01", "chat--1", "chat-x", "other-1", "chat-valkey-0", "chat-+1"] {
            assert_eq!(names.ordinal(name), None, "{name}");
        }
    }
}
