//! Redis and Postgres: which one is asked, and why it does not answer. Pure, but for the modules that say otherwise.

pub mod dial;
pub mod health;
pub mod postgres;
pub mod redis;
mod redis_replies;

use std::time::Duration;

/// A request to Redis or Postgres is answered within this time, connecting included, or counts as [`Reason::Timeout`].
pub const ANSWER_TIME: Duration = Duration::from_millis(1500);
/// How often a kept connection looks whether its password file has changed.
const FILE_PERIOD: Duration = Duration::from_secs(1);

/// Whom http-demo asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Redis,
    Postgres,
}

impl Service {
    pub const ALL: [Self; 2] = [Self::Redis, Self::Postgres];

    /// As logs, metrics and JSON have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Postgres => "Postgres",
        }
    }

    fn address_flag(self) -> &'static str {
        match self {
            Self::Redis => "--redis-url",
            Self::Postgres => "--postgres-host",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    UnknownHost,
    Refused,
    Timeout,
    Closed,
    Auth,
    PasswordFile,
    NoDatabase,
    ReadOnly,
    Full,
    Starting,
    Busy,
    Failed,
}

impl Reason {
    pub const ALL: [Self; 12] = [
        Self::UnknownHost,
        Self::Refused,
        Self::Timeout,
        Self::Closed,
        Self::Auth,
        Self::PasswordFile,
        Self::NoDatabase,
        Self::ReadOnly,
        Self::Full,
        Self::Starting,
        Self::Busy,
        Self::Failed,
    ];

    /// As logs, metrics and JSON have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown_host",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Auth => "auth",
            Self::PasswordFile => "password_file",
            Self::NoDatabase => "no_database",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Starting => "starting",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// One of them does not answer, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Away {
    pub service: Service,
    pub reason: Reason,
}

impl Away {
    /// What a person is told, with what to do where that is known. Holds no value of a setting.
    pub fn sentence(self) -> String {
        let (name, id, flag) = (self.service.name(), self.service.as_str(), self.service.address_flag());
        match self.reason {
            Reason::UnknownHost => format!("The host of {flag} is not known to the name service."),
            Reason::Refused => format!("Nothing listens where {flag} says that {name} is."),
            Reason::Timeout => format!("{name} has not answered within {} s.", ANSWER_TIME.as_secs_f32()),
            Reason::Closed => format!(
                "{name} has closed the connection; if it does so again and again, {flag} leads to something else."
            ),
            Reason::Auth => {
                format!("{name} refuses the user or the password: compare --{id}-password-file with what it has.")
            }
            Reason::PasswordFile => format!("--{id}-password-file cannot be read; the log says why."),
            Reason::NoDatabase => format!("{name} has no such database."),
            Reason::ReadOnly => format!("{name} is read-only: a replica, or it cannot save its data."),
            Reason::Full => match self.service {
                Service::Redis => "Redis has no memory left.".to_owned(),
                Service::Postgres => "Postgres has no connection left.".to_owned(),
            },
            Reason::Starting => format!("{name} is starting, or loads its data."),
            Reason::Busy => format!("All of http-demo's connections to {name} are in use."),
            Reason::Failed => format!("{name} has answered with something that http-demo does not expect."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_sentence_of_its_own() {
        for service in Service::ALL {
            let mut said = std::collections::HashSet::new();
            for reason in Reason::ALL {
                let sentence = Away { service, reason }.sentence();
                assert!(sentence.ends_with('.') && said.insert(sentence.clone()), "{sentence}");
                assert!(said.insert(reason.as_str().to_owned()));
                let other = if service == Service::Redis { "ostgres" } else { "edis" };
                assert!(!sentence.contains(other), "{sentence}");
            }
        }
    }
}
