//! The metrics of what the shards count. Pure: no I/O.

use std::fmt;

use super::writer::Writer;
use crate::counters::{Counters, Gauges, join_results};
use crate::join_token::Failure;

impl Writer<'_> {
    /// The sums over all shards. Destructured, so that a field without a metric does not compile.
    pub(super) fn shards(&mut self, counters: &Counters, gauges: &Gauges) -> fmt::Result {
        let Counters {
            connections_tcp: accepted_tcp,
            connections_web: accepted_web,
            commands_in,
            messages_in,
            messages_out,
            delivery_time,
            bytes_in,
            bytes_out,
            joins,
            join_tokens,
            join_time,
            resumed,
            errors,
            redirects,
            relays,
            rooms_created,
            rooms_closed,
            rooms_made_way,
            takeovers,
            takeover_time,
            outgoing_migrations,
            balance_migrations,
            balance_creations,
            migration_time,
            drain_time,
            outgoing_migrations_failed,
            releases,
            incoming_migrations,
            reassertions,
            replayed,
            missed,
            slow_consumers,
            kicked,
            volatile_dropped,
            connections_shed,
            unreadable_records,
            lease_lapses,
        } = counters;
        let Gauges {
            rooms,
            players,
            held_seats,
            connections_tcp,
            connections_web,
            relayed_sessions,
            remote_members,
            replay_bytes,
            queued_bytes,
        } = gauges;
        let kinds = [("tcp", *connections_tcp), ("web", *connections_web)];
        self.gauges("chatd_connections", "Open client connections", "kind", kinds.into_iter())?;
        let kinds = [("tcp", *accepted_tcp), ("web", *accepted_web)];
        self.counters("chatd_connections_accepted", "Accepted client connections", "kind", kinds.into_iter())?;
        self.counter("chatd_commands_in", "Commands and chat lines from clients, invalid ones included", *commands_in)?;
        self.counter(
            "chatd_messages_in",
            "Messages and applications' events that this pod told, as a room's owner",
            *messages_in,
        )?;
        self.counter(
            "chatd_messages_out",
            "Messages and events queued for players, counted once per message and player",
            *messages_out,
        )?;
        let help = "From the moment input is ready until the messages in it are written to this pod's clients, or their sockets are full; one of 16 batches is measured";
        self.histogram("chatd_delivery_seconds", help, delivery_time)?;
        self.counter("chatd_received_bytes", "Bytes from clients", *bytes_in)?;
        self.counter("chatd_sent_bytes", "Bytes to clients", *bytes_out)?;
        self.gauge("chatd_queued_bytes", "Bytes queued for clients, or for their entry pods", *queued_bytes)?;
        self.counter(
            "chatd_slow_consumers",
            "Connections closed because their send queue was full; the queue was dropped",
            *slow_consumers,
        )?;
        self.counter("chatd_kicked", "Seats that moderators have ended", *kicked)?;
        let help = "Volatile events that were not queued for a player who read too slowly";
        self.counter("chatd_volatile_dropped", help, *volatile_dropped)?;
        self.counter(
            "chatd_connections_shed",
            "Connections closed because all connections together held more than --buffer-bytes",
            *connections_shed,
        )?;
        self.counters(
            "chatd_joins",
            "JOIN and RESUME commands that reached a room or a search, by result: joined, or the error code",
            "result",
            join_results().zip(*joins),
        )?;
        let help = "Checks of join tokens, at the pod of the client and at the room's owner, by result: ok, or the check that failed";
        self.counters("chatd_join_tokens", help, "result", Failure::RESULTS.into_iter().zip(*join_tokens))?;
        let help = "From a JOIN or RESUME to its answer, at the pod that decided it; for a room of another pod, that is the owner";
        self.histogram("chatd_join_seconds", help, join_time)?;
        self.counter("chatd_resumes", "Joins that resumed a seat", *resumed)?;
        self.counter(
            "chatd_error_replies",
            "Error replies of all codes, without errors that only close a connection",
            *errors,
        )?;
        self.counter("chatd_redirects", "Clients redirected to another pod", *redirects)?;
        self.counter("chatd_relays", "Sessions relayed to another pod", *relays)?;
        self.gauge("chatd_relayed_sessions", "Sessions connected here whose room another pod owns", *relayed_sessions)?;
        self.gauge(
            "chatd_remote_members",
            "Sessions connected to another pod whose room this pod owns",
            *remote_members,
        )?;
        self.gauge("chatd_rooms", "Rooms that this pod owns", *rooms)?;
        self.gauge("chatd_players", "Seats in this pod's rooms, held seats included", *players)?;
        self.gauge("chatd_held_seats", "Seats held for dropped connections", *held_seats)?;
        self.gauge(
            "chatd_replay_bytes",
            "Approximate bytes of the events kept for replay and of the state of rooms",
            *replay_bytes,
        )?;
        self.counter("chatd_rooms_created", "Rooms created", *rooms_created)?;
        self.counter(
            "chatd_rooms_closed",
            "Empty rooms closed: after --empty-ttl, or for a new room in a full pod",
            *rooms_closed,
        )?;
        let help = "Never entered rooms closed for a new room in a full pod; included in chatd_rooms_closed_total";
        self.counter("chatd_rooms_made_way", help, *rooms_made_way)?;
        self.counter(
            "chatd_takeovers",
            "Rooms taken over from a pod that is dead or no longer serves them",
            *takeovers,
        )?;
        let help = "Takeovers: from the command of the client that waited longest until this pod served the room";
        self.histogram("chatd_takeover_seconds", help, takeover_time)?;
        self.counter("chatd_outgoing_migrations", "Rooms migrated to another pod", *outgoing_migrations)?;
        let help = "Migrations: how long the room stood still here, until another pod served it";
        self.histogram("chatd_outgoing_migration_seconds", help, migration_time)?;
        let help = "From the begin of this pod's drain until each of its rooms had left it";
        self.histogram("chatd_drain_room_seconds", help, drain_time)?;
        self.counter(
            "chatd_outgoing_migrations_failed",
            "Migrations that failed, and rooms closed at the drain deadline",
            *outgoing_migrations_failed,
        )?;
        let help = "Migrations begun since this pod had more rooms than others; included in the outgoing migrations, or failed";
        self.counter("chatd_balance_migrations", help, *balance_migrations)?;
        let help = "Rooms created by other pods since this one had more rooms than they";
        self.counter("chatd_balance_creations", help, *balance_creations)?;
        self.counter("chatd_incoming_migrations", "Rooms migrated to this pod", *incoming_migrations)?;
        self.counter("chatd_releases", "Rooms released to another owner, after a migration or a takeover", *releases)?;
        self.counter(
            "chatd_reassertions",
            "Rooms reasserted: after a lost lease or a failed migration, or above the epoch of a dead pod",
            *reassertions,
        )?;
        self.counter(
            "chatd_messages_replayed",
            "Messages replayed to clients that resumed and to relayed sessions that reattached",
            *replayed,
        )?;
        self.counter(
            "chatd_messages_missed",
            "Messages that could not be replayed, if their number is known",
            *missed,
        )?;
        let help = "Records and leases in Redis that could not be parsed and were treated as missing";
        self.counter("chatd_unreadable_records", help, *unreadable_records)?;
        let help = "Lease lapses, through a freeze or an outage of Redis, after which a thread paused its rooms until their records were verified";
        self.counter("chatd_lease_lapses", help, *lease_lapses)
    }
}
