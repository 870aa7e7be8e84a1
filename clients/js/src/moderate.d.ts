import type { ConnectOptions, Room, RoomEvents } from './index.js';

export interface KickOptions {
  /** For how long the player may not come in again: 1 to 2,592,000. */
  banSeconds?: number | undefined;
}

/**
 * What became of a moderator's command. `unsure`: the connection went before the answer, or the server's directory did not answer.
 * `failed`: nothing has changed. `code`: the server's, such as `forbidden` or `player_not_found`, or `not_connected`.
 */
export type Moderated =
  | { readonly delivery: 'delivered' }
  | { readonly delivery: 'unsure' | 'failed'; readonly code: string };

export interface Moderation {
  /** Whether nobody new comes in; as it was last, without a connection. */
  readonly locked: boolean;
  /** Ends the seat of a player, who is told and does not come back by itself. */
  kick(name: string, options?: KickOptions): Promise<Moderated>;
  lock(): Promise<Moderated>;
  unlock(): Promise<Moderated>;
  on(type: 'locked', handler: (locked: boolean, by: string | null) => void): () => void;
  on<Type extends keyof RoomEvents>(type: Type, handler: RoomEvents[Type]): () => void;
}

/** As `connect` of the package, for moderators; `connectInner`: that of another entry, such as `@chatd/client/state`. */
export function connect<Inner extends Room = Room>(options: ConnectOptions, connectInner?: (options: ConnectOptions) => Inner): Inner & Moderation;
