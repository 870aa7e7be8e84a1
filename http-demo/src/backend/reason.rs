//! Why Redis or Postgres does not answer, and what a person is told. Pure: no I/O.

/// Whom http-demo asks.
pub struct Service {
    /// As logs, metrics and JSON have it.
    pub id: &'static str,
    name: &'static str,
    address_flag: &'static str,
}

pub static REDIS: Service = Service { id: "redis", name: "Redis", address_flag: "--redis-url" };
pub static POSTGRES: Service = Service { id: "postgres", name: "Postgres", address_flag: "--postgres-host" };

macro_rules! reasons {
    ($($reason:ident $id:literal $sentence:literal,)*) => {
        /// Why there is no answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($reason,)* }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$reason,)*];

            /// As logs, metrics and JSON have it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$reason => $id,)* }
            }

            fn template(self) -> &'static str {
                match self { $(Self::$reason => $sentence,)* }
            }
        }
    };
}

reasons! {
    UnknownHost "unknown_host" "The host of {flag} is not known to the name service.",
    Refused "refused" "Nothing listens where {flag} says that {name} is.",
    Timeout "timeout" "{name} has not answered within 1.5 s.",
    Closed "closed" "{name} has closed the connection; if it does so again and again, {flag} leads to something else.",
    Auth "auth" "{name} refuses the user or the password: compare --{id}-password-file with what it has.",
    PasswordFile "password_file" "--{id}-password-file cannot be read; the log says why.",
    NoDatabase "no_database" "{name} has no such database.",
    ReadOnly "read_only" "{name} is read-only: a replica, or it cannot save its data.",
    Full "full" "{name} has no memory or no connection left.",
    Starting "starting" "{name} is starting, or loads its data.",
    Busy "busy" "All of http-demo's connections to {name} are in use.",
    Failed "failed" "{name} has answered with something that http-demo does not expect.",
}

/// One of them does not answer, and why.
#[derive(Clone, Copy)]
pub struct Away {
    pub service: &'static Service,
    pub reason: Reason,
}

impl Away {
    /// What a person is told, with what to do where that is known. Holds no value of a setting.
    pub fn sentence(self) -> String {
        let Service { id, name, address_flag } = self.service;
        self.reason.template().replace("{flag}", address_flag).replace("{name}", name).replace("{id}", id)
    }
}
