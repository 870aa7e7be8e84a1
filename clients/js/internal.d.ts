// Types of the package's own parts, for `tsc`. Not part of the package.

import type { AppEvent, Message, Player, Runtime } from './src/index.js';

export type { Player, Runtime };

/** `looking` (who is there, before a name is asked for) and `asking` (for a name) are the pages'. */
export type Phase =
  | 'new' | 'looking' | 'asking' | 'connecting' | 'authorising' | 'joining' | 'joined' | 'waiting' | 'probing' | 'leaving' | 'left' | 'stopped';

export interface Seat { token: string | undefined; timeline: string; lastSeq: number }

/** A message has a text, an event of an application the rest. */
export interface Content { text?: string; kind?: string; data?: unknown; to?: readonly string[] | undefined }
export interface Own extends Content {
  id: number;
  delivery: 'queued' | 'sent' | 'unsure' | 'failed';
  code?: string;
  discarded?: boolean;
}

export interface StateError { code: string; message?: string | undefined; about: 'connection' | 'auth' | 'message' | 'past' }

export interface State {
  phase: Phase;
  room: string;
  name: string | null;
  key: string | undefined;
  auth: string | undefined;
  asksAuth: boolean;
  authRefused: boolean;
  seat: Seat | null;
  data: unknown;
  holdMs: number;
  players: readonly Player[];
  maxPlayers: number;
  outbox: readonly Own[];
  nextId: number;
  heard: { timeline: string; seq: number } | null;
  settling: { until: number; remaining: number; sure: boolean } | null;
  resting: boolean;
  refusals: number;
  asksWho: boolean;
  error: StateError | null;
  stop: { code: string; message?: string | undefined } | null;
  attempt: number;
  joinedAt: number | null;
  wasIn: boolean;
  online: boolean;
}

export interface Env { now: number; random: number }

/** What a room's own address answered. */
export interface Answer {
  status: number; code?: string | undefined; message?: string | undefined; atLeastMs?: number;
  players?: number; max_players?: number; names?: string[];
}
/** What the application gave, or why it did not. */
export interface Token { auth?: string | undefined; code?: string | undefined; message?: string | undefined }
export interface Outcome {
  act: 'stop' | 'rejoin' | 'reconnect';
  code?: string | undefined; message?: string | undefined; atOnce?: boolean; atLeastMs?: number | undefined;
}

export interface Joined {
  type: 'joined'; name: string; players: Player[]; max_players: number; timeline: string; seq: number; resumed: boolean;
  missed: number | null; token?: string; hold_ms?: number;
}
/** Without a seq it is in no count and in no replay. */
export interface Spoken extends Content {
  type: 'message' | 'event'; from: string; at: number; seq?: number; id?: number; replay?: boolean; system?: true; reached?: string[];
}
export interface ServerError { type: 'error'; code: string; message?: string; retry_after_ms?: number; id?: number }
export interface Bye { type: 'bye'; code: string; message?: string }
export type Entered = { type: 'entered' } & Omit<Player, 'away' | 'data'>;
export type Changed =
  | Entered | { type: 'away' | 'back'; name: string }
  | { type: 'exited'; name: string; reason: string }
  | { type: 'player'; name: string; data: unknown };
export interface Moved { type: 'moved'; timeline: string; seq: number }
export type ServerMessage =
  | Joined | Spoken | ServerError | Bye | Changed | Moved
  | { type: 'players'; players: Player[]; max_players: number }
  | { type: 'missed'; count?: number | null }
  | { type: 'left' | 'pong' | 'room' | 'redirect' | 'expiring' | 'refreshed' };

export interface Said extends Content { type: 'say'; volatile?: boolean | undefined }
export type Event =
  | Said
  | { type: 'begin' | 'opened' | 'due' | 'woken' | 'rested' | 'leave' }
  | { type: 'set'; data: unknown } | { type: 'discard'; id: number } | { type: 'network'; online: boolean }
  | { type: 'closed'; code: number; opened: boolean }
  | ({ type: 'authorised' } & Token)
  | { type: 'received'; message: ServerMessage }
  | ({ type: 'looked' | 'probed' } & Answer);

/** What has happened in the room. */
export type Told =
  | ['message', Message] | ['event', AppEvent]
  | ['entered' | 'away' | 'back', { name: string }] | ['exited', { name: string; reason: string }]
  | ['gap', { count: number | null }];

/** What the driver's owner does. `own`: the answer to it; `why`: of a gap. */
export interface OwnerEffect {
  type: 'tell'; told: Told; own?: Own | undefined; reached?: readonly string[] | undefined; why?: 'rejoined' | 'took_over' | undefined;
}
/** What the connection does: carried out by the driver. */
export type NetworkEffect =
  | { type: 'connect' | 'disconnect' | 'authorise' | 'check' | 'hurry' | 'probe' | 'look' }
  | { type: 'send'; message: object } | { type: 'wait' | 'rest'; ms: number };
export type Effect = NetworkEffect | OwnerEffect;
export type Step = [State, Effect[]];
