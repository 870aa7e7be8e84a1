//! Finds variables that look like settings of chatd and are none. Pure: no I/O.

/// One sentence for each of `names` that starts with `CHATD_` and is not in `known`. What Kubernetes sets for a Service named
/// `chatd...` is no mistake of anybody's.
pub(super) fn unknown<'a>(names: impl Iterator<Item = &'a str>, known: &[String]) -> Vec<String> {
    let mut names: Vec<&str> = names.filter(|name| name.starts_with("CHATD_")).collect();
    names.sort_unstable();
    names.dedup();
    let unknown = names.into_iter().filter(|name| !known.iter().any(|known| known == name) && !is_service_link(name));
    unknown
        .map(|name| match nearest(name, known) {
            Some(near) => format!("{name} is not a setting and has no effect; did you mean {near}?"),
            None => format!("{name} is not a setting and has no effect; chatd --help lists them"),
        })
        .collect()
}

/// Whether Kubernetes sets such a variable for a Service whose name starts with `chatd`: `<NAME>_SERVICE_HOST`,
/// `<NAME>_SERVICE_PORT[_<PORT NAME>]`, `<NAME>_PORT`, `<NAME>_PORT_<n>_<TCP|UDP|SCTP>[_PROTO|_PORT|_ADDR]`.
fn is_service_link(name: &str) -> bool {
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
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.ends_with("_PORT") || numbered()
}

/// The known name that is the fewest edits away, if that is at most 3.
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

    fn warnings(names: &[&str]) -> Vec<String> {
        let known = ["CHATD_TCP_LISTEN", "CHATD_REDIS_URL"].map(str::to_owned);
        unknown(names.iter().copied(), &known)
    }

    #[test]
    fn a_typing_error_is_named_with_what_was_meant() {
        let warnings = warnings(&["PATH", "CHATD_TPC_LISTEN", "CHATD_REDIS_URL", "CHATD_SOMETHING_ELSE"]);
        assert_eq!(
            warnings,
            [
                "CHATD_SOMETHING_ELSE is not a setting and has no effect; chatd --help lists them",
                "CHATD_TPC_LISTEN is not a setting and has no effect; did you mean CHATD_TCP_LISTEN?",
            ]
        );
    }

    #[test]
    fn what_kubernetes_sets_for_services_is_not_warned_of() {
        let links = [
            "CHATD_SERVICE_HOST",
            "CHATD_SERVICE_PORT",
            "CHATD_SERVICE_PORT_WEB",
            "CHATD_PORT",
            "CHATD_PORT_7654_TCP",
            "CHATD_OPERATOR_PORT_443_TCP_ADDR",
        ];
        assert_eq!(warnings(&links), Vec::<String>::new());
        assert_eq!(warnings(&["CHATD_PORT_WEB_TCP"]).len(), 1);
    }
}
