/** The state of a room's connection. `connecting`: not in the room yet; `offline`: as `reconnecting`, and the system says that there is no network. */
export type Status = 'connecting' | 'connected' | 'reconnecting' | 'offline' | 'ended';

/** Who has a seat. `away`: the connection is lost, and the seat is held for a while. */
export interface Player {
  readonly name: string;
  readonly away: boolean;
  /** What the player has set of itself; absent or `null`: nothing. */
  readonly data?: unknown;
  /** What its join token says. */
  readonly role?: 'moderator' | 'viewer';
  readonly display?: string;
  readonly info?: unknown;
}

export interface Message {
  readonly from: string;
  readonly text: string;
  /** The server's time in milliseconds since 1970-01-01 UTC. */
  readonly at: number;
  /** The number in the room's count of messages. After a takeover it starts again. */
  readonly seq: number;
  /** Whether it is from this seat. */
  readonly mine: boolean;
  /** The application has said it, whatever `from` is: a player may have that name. */
  readonly system?: true;
  /** Whether it was missed, and is told after the connection came back. */
  readonly replay: boolean;
}

/** What an application says besides text. */
export interface AppEvent {
  readonly from: string;
  readonly kind: string;
  readonly data: unknown;
  readonly at: number;
  /** As of a message, which is counted with it. An event for some only and a volatile one have none: they are never replayed. */
  readonly seq?: number;
  /** For whom it is, where it is not for everyone. */
  readonly to?: readonly string[];
  readonly mine: boolean;
  /** As of a message. */
  readonly system?: true;
  readonly replay: boolean;
}

/** See `Delivery`. */
export interface Lost {
  readonly delivery: 'unsure' | 'failed';
  readonly code: string;
}

/**
 * What became of a message.
 * `delivered`: everyone in the room has it in their order of messages, as `message`.
 * `unsure`: it may have arrived, or not, or may still arrive. Ask the person before you say it again.
 * `failed`: it has not arrived and will not.
 * `code`: the server's error code, `text_too_long`, `outbox_full`, `timeout`, or why the room ended.
 */
export type Delivery = { readonly delivery: 'delivered'; readonly message: Message } | Lost;

/** What became of an event; as of a message. `reached`: with `to`, who of them was connected to get it. */
export type Sent = { readonly delivery: 'delivered'; readonly event: AppEvent; readonly reached?: readonly string[] } | Lost;

/** Of a volatile event nobody is told what became of it. `failed`: there is no connection (`not_connected`), or it is too long. */
export type SentVolatile = { readonly delivery: 'sent' } | { readonly delivery: 'failed'; readonly code: string };

export interface SendOptions {
  /** Only for these players, at most 64; nothing of it is replayed. */
  to?: readonly string[] | undefined;
  /** It may be lost: for what the next one makes worthless, such as a cursor. It waits for no connection and is in no count. */
  volatile?: boolean | undefined;
}

/** `message`: the server's sentence for people, where there is one. */
export interface Problem {
  readonly code: string;
  readonly message?: string;
}

export interface RoomEvents {
  /** Something was said, by this seat too. In the room's order, each message once. */
  message: (message: Message) => void;
  /** An application's event, of this seat too. Those with a `seq` stand in one order with the messages, each once. */
  event: (event: AppEvent) => void;
  /** Who is there, or what one of them has set, has changed. */
  players: (players: readonly Player[]) => void;
  entered: (change: { readonly name: string }) => void;
  away: (change: { readonly name: string }) => void;
  back: (change: { readonly name: string }) => void;
  exited: (change: { readonly name: string; readonly reason: string }) => void;
  /** Messages were missed for good. `count`: how many; `null`: nobody knows, as after a takeover. */
  gap: (gap: { readonly count: number | null }) => void;
  /** `status` or `problem` has changed. */
  status: (status: Status, problem: Problem | null) => void;
  /**
   * The last event. `code`: `left` after `leave()`; `replaced` where another client took the seat with the same key; `kicked` by a moderator; `closed` with the room; else why there is
   * no way back, such as `room_full`, `room_not_found`, `name_taken` or
   * `auth_expired`.
   */
  ended: (end: Problem) => void;
}

export interface Room {
  /** The room's id. */
  readonly id: string;
  /** The own name, as the room has it. */
  readonly name: string;
  readonly status: Status;
  /** Why there is no connection, or no join token for when the one in use ends (`auth_failed`), where that is known. */
  readonly problem: Problem | null;
  /** Who has a seat, oneself included. Empty until `connected`; while the connection is lost, who was there last. */
  readonly players: readonly Player[];
  /** How many seats the room has; 0 until `connected`. */
  readonly maxPlayers: number;
  /** Why the room has ended, or `null`. */
  readonly end: Problem | null;
  /** Calls `handler` at each such event until the function that it returns is called, or the room ends. */
  on<Type extends keyof RoomEvents>(type: Type, handler: RoomEvents[Type]): () => void;
  /**
   * Says something, as soon as there is a connection. Messages go in the order of the calls. It always settles, after `sayTimeout` at the
   * latest, and rejects only where `text` is no string.
   */
  say(text: string): Promise<Delivery>;
  /**
   * Sends an application's event, in one order with what is said. `kind`: 1 to 32 characters of `a-z`, `0-9`, `_`, `.` and `-`; `data`: JSON of at most
   * 4,000 bytes. It settles as `say` does, and a volatile one at once. Rejects only where `kind` is no string or `data` no JSON.
   */
  send(kind: string, data: unknown, options: SendOptions & { volatile: true }): Promise<SentVolatile>;
  send(kind: string, data: unknown, options?: SendOptions & { volatile?: false | undefined }): Promise<Sent>;
  send(kind: string, data: unknown, options?: SendOptions): Promise<Sent | SentVolatile>;
  /**
   * Says something of oneself, for all to see in `players`: JSON of at most 512 bytes; `null` takes it back. It is kept and said again where the
   * server has it no longer. Throws a TypeError for what is no JSON, a RangeError for what is longer.
   */
  set(data: unknown): void;
  /** Ends the stay, and the seat with it; without a connection the server holds the seat until its time is over. Settles within 2 s. */
  leave(): Promise<void>;
}

/** What a room takes from its surroundings. Each is the global one unless given. */
export interface Runtime {
  WebSocket: new (url: string, protocol: string) => {
    onopen: unknown;
    onmessage: unknown;
    onclose: unknown;
    onerror: unknown;
    readonly readyState: number;
    send(data: string): void;
    close(): void;
  };
  fetch(url: string, init: { cache: 'no-store'; signal: AbortSignal }): Promise<Response>;
  setTimeout(action: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Unix time in milliseconds. */
  now(): number;
  /** At least 0 and less than 1. */
  random(): number;
}

export interface ConnectOptions {
  /** Where the service is: `https://chat.example/`, with its base path. In a page it may be relative. */
  url: string | URL;
  /** The room's id. */
  room: string;
  /** The own name in the room: 1 to 24 letters, digits and marks of any script, `_`, `-`, `.` and `'`. The server may show it normalised. */
  name: string;
  /**
   * Makes the seat this client's: 22 to 64 letters, digits, `-` and `_`, with 128 random bits. A client that connects with the same room, name and
   * key gets the seat back, also after a reload, and takes it from another tab. Keep it like a password. Random unless given.
   */
  key?: string;
  /** A join token that the application's backend has signed, where the service wants one. */
  auth?: string;
  /**
   * Instead of `auth`: gives such a token. It is called for each JOIN, and before the token ends, whose `exp` should be minutes away. Where it fails,
   * `problem` says `auth_failed`, and it is called again later. `signal` is aborted after 15 s, or when the answer is not needed any longer.
   */
  getAuth?: (about: { readonly signal: AbortSignal }) => string | Promise<string>;
  /** For how many milliseconds `say` waits. 30,000 unless given. */
  sayTimeout?: number;
  /** For tests, and for surroundings that lack one of these. */
  runtime?: Partial<Runtime>;
}

/** A key for `connect`, of 128 random bits. */
export function randomKey(): string;

/** Enters a room and stays in it, whatever happens to the connection, until `leave()` or `ended`. Throws a TypeError for options that cannot be right. */
export function connect(options: ConnectOptions): Room;
