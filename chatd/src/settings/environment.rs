//! Finds unknown `CHATD_*` environment variables. Pure: no I/O.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// One sentence for each of `variables`, by name, that starts with `CHATD_` and is not in `known`, except the variables that
/// Kubernetes sets for a Service named `chatd...`.
pub(super) fn unknown(variables: &BTreeMap<String, String>, known: &[String]) -> Vec<String> {
    let ours = variables.iter().filter(|(name, _)| name.starts_with("CHATD_") && !known.contains(name));
    let unknown = ours.filter(|(name, value)| !is_service_link(name, value, variables)).map(|(name, _)| name);
    unknown
        .map(|name| match nearest(name, known) {
            Some(near) => format!("{name} is not a setting and has no effect; did you mean {near}?"),
            None => format!("{name} is not a setting and has no effect; chatd --help lists them"),
        })
        .collect()
}

/// Whether Kubernetes sets this variable for a Service whose name starts with `chatd`: `<NAME>_SERVICE_HOST=<IP>`, beside it
/// `<NAME>_SERVICE_PORT[_<PORT NAME>]=<n>`, `<NAME>_PORT=tcp://<IP>:<n>`, `<NAME>_PORT_<n>_<TCP|UDP|SCTP>[_PROTO|_PORT|_ADDR]`.
fn is_service_link(name: &str, value: &str, variables: &BTreeMap<String, String>) -> bool {
    let is_service = |service: &str| {
        let host = variables.get(&format!("{service}_SERVICE_HOST"));
        host.is_some_and(|host| host.parse::<IpAddr>().is_ok())
    };
    let numbered = || {
        name.match_indices("_PORT_").any(|(at, marker)| {
            let mut words = name[at + marker.len()..].split('_');
            let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
            let transport = matches!(words.next(), Some("TCP" | "UDP" | "SCTP"));
            number
                && transport
                && matches!(words.next(), None | Some("PROTO" | "PORT" | "ADDR"))
                && words.next().is_none()
        })
    };
    if let Some(service) = name.strip_suffix("_SERVICE_HOST") {
        return is_service(service);
    }
    if let Some((service, _)) = name.split_once("_SERVICE_PORT") {
        return value.parse::<u16>().is_ok() && is_service(service);
    }
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    name.ends_with("_PORT") && is_url() || numbered()
}

/// The known name with the smallest edit distance, if that is at most 3.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    // A name that long is no typing error, and the distance costs the product of the lengths.
    if name.len() > 64 {
        return None;
    }
    let distances = known.iter().map(|known| (distance(name, known), known.as_str()));
    distances.filter(|(distance, _)| *distance <= 3).min().map(|(_, known)| known)
}

/// Levenshtein's distance: insertions, deletions and replacements of a byte.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
        let known = ["CHATD_TCP_LISTEN", "CHATD_REDIS_URL"].map(str::to_owned);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        unknown(&variables.collect(), &known)
    }

    #[test]
    fn a_typing_error_is_named_with_what_was_meant() {
        let names = ["PATH", "CHATD_TPC_LISTEN", "CHATD_REDIS_URL", "CHATD_SOMETHING_ELSE"];
        assert_eq!(
            warnings(&names.map(|name| (name, "x"))),
            [
                "CHATD_SOMETHING_ELSE is not a setting and has no effect; chatd --help lists them",
                "CHATD_TPC_LISTEN is not a setting and has no effect; did you mean CHATD_TCP_LISTEN?",
            ]
        );
    }

    #[test]
    fn what_kubernetes_sets_for_services_is_not_warned_of() {
        let links = [
            ("CHATD_SERVICE_HOST", "10.96.0.17"),
            ("CHATD_SERVICE_PORT", "8081"),
            ("CHATD_SERVICE_PORT_WEB", "8081"),
            ("CHATD_PORT", "tcp://10.96.0.17:8081"),
            ("CHATD_PORT_7654_TCP", "tcp://10.96.0.17:7654"),
            ("CHATD_PORT_7654_TCP_PORT", "7654"),
            ("CHATD_OPERATOR_PORT_443_TCP_ADDR", "10.96.0.18"),
        ];
        assert_eq!(warnings(&links), Vec::<String>::new());
    }

    #[test]
    fn a_port_that_a_person_has_set_is_no_service_link() {
        let set = [
            ("CHATD_HTTP_PORT", "8080"),
            ("CHATD_PORT_WEB_TCP", "1"),
            ("CHATD_REDIS_PORT", "6380"),
            ("CHATD_REDIS_SERVICE_HOST", "redis.example"),
            ("CHATD_REDIS_SERVICE_PORT", "6380"),
            ("CHATD_WEB_SERVICE_PORT", "8081"),
        ];
        assert_eq!(warnings(&set).len(), set.len());
    }
}
