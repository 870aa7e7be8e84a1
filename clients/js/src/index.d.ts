/** The state of a room's connection. `connecting`: not in the room yet; `offline`: as `reconnecting`, and the system says that there is no network. */
export type Status = 'connecting' | 'connected' | 'reconnecting' | 'offline' | 'ended';

/** Who has a seat. `away`: the connection is lost, and the seat is held for a while. */
export interface Player {
  readonly name: string;
  readonly away: boolean;
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
  /** Whether it was missed, and is told after the connection came back. */
  readonly replay: boolean;
}

/**
 * What became of a message.
 * `delivered`: everyone in the room has it in their order of messages, as `message`.
 * `unsure`: it may have arrived, or not, or may still arrive. Ask the person before you say it again.
 * `failed`: it has not arrived and will not.
 * `code`: the server's error code, `text_too_long`, `outbox_full`, `timeout`, or why the room ended.
 */
export type Delivery =
  | { readonly delivery: 'delivered'; readonly message: Message }
  | { readonly delivery: 'unsure' | 'failed'; readonly code: string };

/** `message`: the server's sentence for people, where there is one. */
export interface Problem {
  readonly code: string;
  readonly message?: string;
}

export interface RoomEvents {
  /** Something was said, by this seat too. In the room's order, each message once. */
  message: (message: Message) => void;
  /** Who is there has changed. */
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
   * The last event. `code`: `left` after `leave()`; `replaced` where another client took the seat with the same key; else why there is
   * no way back, such as `room_full`, `room_not_found` or `name_taken`.
   */
  ended: (end: Problem) => void;
}

export interface Room {
  /** The room's id. */
  readonly id: string;
  /** The own name, as the room has it. */
  readonly name: string;
  readonly status: Status;
  /** Why there is no connection, where that is known. */
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
  /** For how many milliseconds `say` waits. 30,000 unless given. */
  sayTimeout?: number;
  /** For tests, and for surroundings that lack one of these. */
  runtime?: Partial<Runtime>;
}

/** Enters a room and stays in it, whatever happens to the connection, until `leave()` or `ended`. Throws a TypeError for options that cannot be right. */
export function connect(options: ConnectOptions): Room;
