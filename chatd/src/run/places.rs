//! How many connections the pod takes, as the limit of open files allows. Does I/O: reads that limit, and raises it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::connection_limit::ConnectionLimit;
use crate::settings::Settings;

/// Descriptors besides the clients' sockets: listeners, links to other pods, the directory, files, admin connections.
const OTHER_FILES: u64 = 1_024;

/// `--max-connections` places for connections, or fewer if the limit of open files is lower.
pub fn places(settings: &Settings) -> ConnectionLimit {
    let wanted = u64::from(settings.limits.max_connections);
    let needed = wanted + OTHER_FILES;
    raise_file_limit(needed);
    let allowed = getrlimit(Resource::Nofile).current;
    let places = allowed.map_or(wanted, |allowed| wanted.min(places_of(allowed)));
    if places < wanted {
        tracing::warn!(
            limit = allowed,
            needed,
            places,
            "too few open files for --max-connections; raise the limit (ulimit -n), or lower the flag"
        );
    }
    let places = places as usize;
    let of_one = || settings.limits.max_connections_per_ip.map_or(places.div_ceil(10), |most| most as usize);
    ConnectionLimit::new(places, settings.clients.per_ip_limits.then(of_one))
}

/// The files left for clients out of `open_files`: Redis, peers and probes need a reserve.
fn places_of(open_files: u64) -> u64 {
    open_files - OTHER_FILES.min(open_files / 2)
}

/// Raises the limit of open files, as far as the system allows.
fn raise_file_limit(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    let raised =
        Rlimit { current: Some(limit.maximum.map_or(needed, |most| most.min(needed))), maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
