//! Why Redis or Postgres does not answer, and the message for users. Pure: no I/O.

/// A service that http-demo queries.
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
    UnknownHost "unknown_host" "The host of {flag} cannot be resolved.",
    Refused "refused" "Nothing listens at the address of {flag}.",
    Timeout "timeout" "{name} did not answer within 1.5 s.",
    Closed "closed" "{name} closed the connection; if this persists, {flag} may lead to another service.",
    Auth "auth" "{name} refuses the user or the password: check --{id}-password-file.",
    PasswordFile "password_file" "Cannot read --{id}-password-file; the log says why.",
    NoDatabase "no_database" "The database does not exist in {name}.",
    ReadOnly "read_only" "{name} is read-only: it is a replica, or cannot save its data.",
    Full "full" "{name} has no memory or no connection left.",
    Starting "starting" "{name} is starting, or loading its data.",
    Busy "busy" "All of http-demo's connections to {name} are in use.",
    Failed "failed" "{name} sent an unexpected answer.",
}

/// A service that does not answer, and the reason.
#[derive(Clone, Copy)]
pub struct Away {
    pub service: &'static Service,
    pub reason: Reason,
}

impl Away {
    /// The message for users, with a remedy if one is known. Contains no value of a setting.
    pub fn sentence(self) -> String {
        let Service { id, name, address_flag } = self.service;
        self.reason.template().replace("{flag}", address_flag).replace("{name}", name).replace("{id}", id)
    }
}
