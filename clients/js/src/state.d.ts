import type { ConnectOptions, Room, RoomEvents } from './index.js';

/** A value of the room's state. */
export interface StateEntry {
  readonly value: unknown;
  /** The room's count of changes at the last one of this key: for `ifVersion`. */
  readonly version: number;
  /** Who changed it last. */
  readonly from: string;
}

/** `value` is `null` where the key was removed. */
export interface StateChange extends StateEntry {
  readonly key: string;
}

export interface StateEvents {
  /** The state has changed: by this change, or, with `null`, as a whole, as after a reconnect. */
  state: (state: ReadonlyMap<string, StateEntry>, change: StateChange | null) => void;
  /** The room's pod died, and the state with it: set what the application needs. */
  stateLost: () => void;
}

export interface StateOptions {
  /** Only if the key has this version; 0: only if it is not there. Otherwise `failed` with `version_conflict`, and the `version` that it has. */
  ifVersion?: number | undefined;
}

/**
 * What became of a change. `unsure`: the connection went before the answer; look at the state after the next `connected`.
 * `failed`: nothing has changed. `code`: the server's, such as `version_conflict` or `state_full`, or `not_connected`.
 */
export type StateSet =
  | { readonly delivery: 'delivered'; readonly version: number }
  | { readonly delivery: 'unsure'; readonly code: string }
  | { readonly delivery: 'failed'; readonly code: string; readonly version?: number };

export interface RoomWithState extends Room {
  /** All values by their keys; another map after each change. Empty until `connected`; without a connection, what was there last. */
  readonly state: ReadonlyMap<string, StateEntry>;
  on<Type extends keyof RoomEvents>(type: Type, handler: RoomEvents[Type]): () => void;
  on<Type extends keyof StateEvents>(type: Type, handler: StateEvents[Type]): () => void;
  /**
   * Sets a key, of `[a-z0-9_.-]{1,32}`, to any JSON; `null` removes it. A room has at most 32 keys and 8 KiB. It is not kept for later: without a
   * connection it fails. Rejects only where `key` is no string or `value` no JSON.
   */
  setState(key: string, value: unknown, options?: StateOptions): Promise<StateSet>;
}

/** As `connect` of the package, for a room with its state. */
export function connect(options: ConnectOptions): RoomWithState;
