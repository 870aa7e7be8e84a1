// Types of the package's own parts, for `tsc`. Not part of the package.

import type { Runtime } from './src/index.js';

export type { Runtime };

export type Phase =
  | 'new' | 'looking' | 'asking' | 'connecting' | 'joining' | 'joined' | 'waiting' | 'probing' | 'leaving' | 'left' | 'stopped';

export interface Player { readonly name: string; readonly away: boolean }
export interface Seat { token: string | undefined; timeline: string; lastSeq: number }

export interface Own {
  key: number; id: number; from: string | null; mine: true; text: string; at: number;
  delivery: 'queued' | 'sent' | 'unsure' | 'failed';
  code?: string;
  discarded?: boolean;
}
export interface MessageItem {
  key: number; kind: 'message'; from: string; mine: boolean; text: string; at: number; seq: number; replay: boolean; id?: number;
}
export type Note =
  | { code: 'entered' | 'back'; name: string } | { code: 'away'; name: string; holdMs: number }
  | { code: 'exited'; name: string; reason: string }
  | { code: 'gap'; count: number | null } | { code: 'rejoined' | 'took_over' };
export type NoteItem = { key: number; kind: 'note'; at: number } & Note;
export type Item = MessageItem | NoteItem;

export interface StateError { code: string; sentence?: string | undefined; about: 'connection' | 'message' | 'past' }
export interface Present { count: number; maxPlayers: number; names: string[] | null }

export interface State {
  phase: Phase;
  room: string;
  name: string | null;
  seat: Seat | null;
  key: string | undefined;
  mayHaveSeat: boolean;
  holdMs: number;
  players: readonly Player[];
  maxPlayers: number;
  present: Present | null;
  items: readonly Item[];
  outbox: readonly Own[];
  nextId: number;
  nextKey: number;
  heard: { timeline: string; seq: number } | null;
  settling: { until: number; remaining: number; sure: boolean } | null;
  resting: boolean;
  refusals: number;
  asksWho: boolean;
  error: StateError | null;
  stop: { code: string; sentence?: string | undefined } | null;
  attempt: number;
  joinedAt: number | null;
  wasIn: boolean;
  online: boolean;
}

export interface Kept { name: string; seat: Seat | null; items: Item[]; outbox: Own[]; nextKey: number }
export interface Env { now: number; random: number }

/** What a room's own address answered. */
export interface Answer {
  status: number; code?: string | undefined; sentence?: string | undefined; retryAfterMs?: number;
  players?: number; maxPlayers?: number; names?: string[];
}
export interface Outcome {
  act: 'stop' | 'ask' | 'rejoin' | 'reconnect';
  code?: string | undefined; sentence?: string | undefined; about?: StateError['about']; atOnce?: boolean; atLeastMs?: number | undefined;
}

export interface Joined {
  type: 'joined'; name: string; players: Player[]; max_players: number; timeline: string; seq: number; resumed: boolean;
  missed: number | null; token?: string; hold_ms?: number;
}
export interface Spoken { type: 'message'; from: string; text: string; seq: number; at: number; id?: number; replay?: boolean }
/** An event of an application; without seq it is in no count and in no replay. */
export interface Custom { type: 'event'; from: string; kind: string; data: unknown; at: number; seq?: number; id?: number; replay?: boolean }
export interface ServerError { type: 'error'; code: string; message?: string; retry_after_ms?: number; id?: number }
export interface Bye { type: 'bye'; code: string; message?: string }
export interface Exited { type: 'exited'; name: string; reason: string }
export interface Moved { type: 'moved'; timeline: string; seq: number }
export type ServerMessage =
  | Joined | Spoken | Custom | ServerError | Bye | Exited | Moved
  | { type: 'players'; players: Player[]; max_players: number }
  | { type: 'entered' | 'away' | 'back'; name: string }
  | { type: 'missed'; count?: number | null }
  | { type: 'left' | 'pong' | 'room' | 'redirect' };

export type Event =
  | { type: 'begin' | 'opened' | 'due' | 'woken' | 'retry' | 'rested' | 'dismiss' | 'leave' }
  | { type: 'named'; name: string } | { type: 'say'; text: string } | { type: 'refused'; code: string }
  | { type: 'resend' | 'discard'; id: number } | { type: 'network'; online: boolean }
  | { type: 'closed'; code: number; opened: boolean }
  | { type: 'received'; message: ServerMessage }
  | ({ type: 'looked' | 'probed' } & Answer);

/** What the connection does: carried out by the driver. */
export type NetworkEffect =
  | { type: 'connect' | 'disconnect' | 'check' | 'hurry' | 'probe' | 'look' }
  | { type: 'send'; message: object } | { type: 'wait' | 'rest'; ms: number };
/** What the driver's owner does. */
export type OwnerEffect =
  | { type: 'save' | 'remember' | 'accepted' | 'forget' }
  | { type: 'announce'; from: string; text: string } | { type: 'giveBack'; id: number; text: string };
export type Effect = NetworkEffect | OwnerEffect;
export type Step = [State, Effect[]];
