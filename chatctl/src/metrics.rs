//! The figures of a pod's `/metrics` that findings need. Pure: no I/O.

use serde::Serialize;

/// Figures of one pod. Those that an older or newer chatd does not have are zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Connections that fit.
    pub places: u64,
    /// Connections that there are.
    pub places_used: u64,
    /// Connections refused because the pod was full.
    pub refused: u64,
    /// Links to other pods.
    pub links: u64,
    /// Links refused, by reason, without those that are zero.
    pub links_refused: Vec<(String, u64)>,
    /// Accepted token keys.
    pub token_keys: u64,
    /// Changed files that could not be used.
    pub reload_failures: u64,
    /// Sessions connected here whose room another pod owns.
    pub relayed: u64,
    /// Seats held for dropped connections.
    pub held_seats: u64,
    /// Rooms moved to another pod.
    pub moved_out: u64,
    /// Rooms moved to this pod.
    pub moved_in: u64,
    /// Rooms taken over from a dead pod.
    pub takeovers: u64,
    /// How often Redis was found emptied or rolled back.
    pub data_losses: u64,
    /// Connections closed because they did not read.
    pub slow_consumers: u64,
    /// Memory in use, bytes.
    pub memory: u64,
    /// Start of the process, Unix seconds.
    pub started: u64,
}

impl Figures {
    /// Reads the text of `/metrics`.
    pub fn parse(text: &str) -> Self {
        let mut figures = Self::default();
        for (series, value) in
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
        {
            let Some(value) = value.split(' ').next().and_then(number) else { continue };
            let field = match series {
                "chatd_connection_places" => &mut figures.places,
                "chatd_connection_places_used" => &mut figures.places_used,
                "chatd_connections_refused_total" => &mut figures.refused,
                "chatd_peer_links" => &mut figures.links,
                "chatd_token_keys" => &mut figures.token_keys,
                "chatd_file_reload_failures_total" => &mut figures.reload_failures,
                "chatd_relayed_sessions" => &mut figures.relayed,
                "chatd_held_seats" => &mut figures.held_seats,
                "chatd_outgoing_migrations_total" => &mut figures.moved_out,
                "chatd_incoming_migrations_total" => &mut figures.moved_in,
                "chatd_takeovers_total" => &mut figures.takeovers,
                "chatd_directory_went_back_total" => &mut figures.data_losses,
                "chatd_slow_consumers_total" => &mut figures.slow_consumers,
                "process_resident_memory_bytes" => &mut figures.memory,
                "process_start_time_seconds" => &mut figures.started,
                _ => {
                    let reason = series.strip_prefix("chatd_peer_links_refused_total{reason=\"");
                    if let Some(reason) = reason.and_then(|rest| rest.strip_suffix("\"}"))
                        && value > 0
                    {
                        figures.links_refused.push((reason.to_owned(), value));
                    }
                    continue;
                }
            };
            *field = value;
        }
        figures
    }
}

/// Figures are whole, but some are written with a point or an exponent.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        #[allow(clippy::cast_sign_loss)] // within bounds: checked here
        (0.0..9e15).contains(&value).then_some(value as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_are_read_and_others_are_ignored() {
        let text = "# TYPE chatd_peer_links gauge\nchatd_peer_links 2\nchatd_connection_places 10000\n\
            chatd_peer_links_refused_total{reason=\"key\"} 3\nchatd_peer_links_refused_total{reason=\"version\"} 0\n\
            process_start_time_seconds 1795461000.25\nprocess_resident_memory_bytes 1.2e7\nnew_thing 9\n\
            chatd_token_keys NaN\nchatd_takeovers_total 4 1795461000.1\n# EOF\n";
        let expected = Figures {
            links: 2,
            places: 10_000,
            links_refused: vec![("key".to_owned(), 3)],
            started: 1_795_461_000,
            memory: 12_000_000,
            takeovers: 4,
            ..Figures::default()
        };
        assert_eq!(Figures::parse(text), expected);
    }

    #[test]
    fn what_is_no_figure_is_left_out() {
        for text in
            ["", "chatd_peer_links", "chatd_peer_links -1", "chatd_peer_links x", "\u{0}\n \n", "chatd_peer_links  2"]
        {
            assert_eq!(Figures::parse(text), Figures::default(), "{text:?}");
        }
    }
}
