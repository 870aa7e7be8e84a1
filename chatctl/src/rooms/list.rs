//! `rooms`: which rooms to list, in which order, and how. Pure: no I/O, no clock.

use std::cmp::Reverse;

use serde::Serialize;

use crate::inspected::{Room, Seat};
use crate::output;

/// What to list.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Selection {
    /// Order of the rooms
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    pub sort: Sort,
    /// Only rooms with a player whose name has this in it, in any case
    #[arg(long, value_name = "NAME")]
    pub player: Option<String>,
    /// Only rooms in this state: creating, serving, paused, moving or closing
    #[arg(long)]
    pub state: Option<String>,
    /// Only rooms with so many players or more
    #[arg(long, value_name = "NUMBER")]
    pub min_players: Option<usize>,
    /// Only rooms without an event for so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub quiet_for: Option<u64>,
}

/// Order of rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// By id
    #[default]
    Room,
    /// By pod, then by id
    Pod,
    /// Most players first
    Players,
    /// Oldest ownership first
    Age,
    /// Quietest first
    Quiet,
}

/// A room and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owned {
    /// The owner.
    pub pod: String,
    /// The room.
    #[serde(flatten)]
    pub room: Room,
}

/// Those that are asked for, in the order that is asked for.
pub fn select(mut rooms: Vec<Owned>, selection: &Selection) -> Vec<Owned> {
    let player = selection.player.as_deref().map(str::to_lowercase);
    let has = |room: &Room, part: &str| room.players.iter().any(|seat| seat.name.to_lowercase().contains(part));
    rooms.retain(|Owned { room, .. }| {
        player.as_deref().is_none_or(|part| has(room, part))
            && selection.state.as_ref().is_none_or(|state| room.state == *state)
            && selection.min_players.is_none_or(|least| room.players.len() >= least)
            // What is not kept any more was long ago.
            && selection.quiet_for.is_none_or(|least| room.quiet_ms.is_none_or(|quiet| quiet >= least * 1000))
    });
    rooms.sort_by(|one, other| one.room.id.cmp(&other.room.id));
    match selection.sort {
        Sort::Room => {}
        Sort::Pod => rooms.sort_by_key(|owned| (owned.pod.len(), owned.pod.clone())),
        Sort::Players => rooms.sort_by_key(|owned| Reverse(owned.room.players.len())),
        Sort::Age => rooms.sort_by_key(|owned| owned.room.epoch),
        Sort::Quiet => rooms.sort_by_key(|owned| Reverse(owned.room.quiet_ms.unwrap_or(u64::MAX))),
    }
    rooms
}

/// The table. `now`: Unix ms.
pub fn text(rooms: &[Owned], now: u64, is_wide: bool) -> String {
    let mut head = vec!["ROOM", "POD", "PLAYERS", "STATE", "AGE", "QUIET"];
    if is_wide {
        head.extend(["MESSAGES", "AWAY", "RELAYED", "WRITTEN", "NAMES"]);
    }
    let rows = rooms.iter().map(|Owned { pod, room }| {
        let mut row = vec![
            room.id.clone(),
            pod.clone(),
            room.players.len().to_string(),
            room.state.clone(),
            age(now.saturating_sub(room.epoch)),
            room.quiet_ms.map_or_else(|| "-".to_owned(), age),
        ];
        if is_wide {
            let count = |of: fn(&Seat) -> bool| room.players.iter().filter(|seat| of(seat)).count().to_string();
            let names: Vec<&str> = room.players.iter().map(|seat| seat.name.as_str()).collect();
            row.extend([
                room.seq.to_string(),
                count(|seat| matches!(seat.state.as_str(), "away" | "detached")),
                count(|seat| seat.relayed),
                if room.written { "yes" } else { "no" }.to_owned(),
                names.join(","),
            ]);
        }
        row
    });
    format!("{}\n", output::table(&head, rows))
}

/// A time as kubectl shows it: its greatest unit.
pub fn age(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(id: &str, pod: &str, epoch: u64, quiet_ms: Option<u64>, names: &[&str]) -> Owned {
        let seat = |name: &&str| Seat { name: (*name).to_owned(), state: "connected".to_owned(), ..Seat::default() };
        let players = names.iter().map(seat).collect();
        let room = Room { id: id.to_owned(), state: "serving".to_owned(), epoch, quiet_ms, players, ..Room::default() };
        Owned { pod: pod.to_owned(), room }
    }

    fn three() -> Vec<Owned> {
        vec![
            room("c", "chat-2", 3, Some(9_000), &["Alice"]),
            room("b", "chat-10", 1, None, &["bob", "carol"]),
            room("a", "chat-2", 2, Some(100), &[]),
        ]
    }

    #[test]
    fn rooms_are_sorted_and_filtered() {
        let ids = |selection: Selection| {
            select(three(), &selection).iter().map(|owned| owned.room.id.clone()).collect::<String>()
        };
        let none = Selection::default;
        for (sort, sorted) in
            [(Sort::Room, "abc"), (Sort::Pod, "acb"), (Sort::Players, "bca"), (Sort::Age, "bac"), (Sort::Quiet, "bca")]
        {
            assert_eq!(ids(Selection { sort, ..none() }), sorted, "{sort:?}");
        }
        assert_eq!(ids(Selection { player: Some("ALI".to_owned()), ..none() }), "c");
        assert_eq!(ids(Selection { min_players: Some(1), ..none() }), "bc");
        assert_eq!(ids(Selection { quiet_for: Some(9), ..none() }), "bc");
        assert_eq!(ids(Selection { state: Some("moving".to_owned()), ..none() }), "");
    }

    #[test]
    fn a_table_has_a_row_for_each_room() {
        let table = text(&select(three(), &Selection::default()), 200_000, false);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["ROOM", "POD", "PLAYERS", "STATE", "AGE", "QUIET"]);
        assert_eq!(rows[1], ["a", "chat-2", "0", "serving", "3m", "0s"]);
        assert_eq!(rows[2], ["b", "chat-10", "2", "serving", "3m", "-"]);
        let wide = text(&three(), 0, true);
        assert!(wide.contains("NAMES") && wide.contains("bob,carol"), "{wide}");
    }

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")] {
            assert_eq!(age(seconds * 1000), expected);
        }
    }
}
