import type { ConnectOptions, Message, Player, Problem, Room, RoomEvents, Status } from '@chatd/client';
import type { RoomWithState, StateEntry } from '@chatd/client/state';

/**
 * Enters a room with the component, and leaves it with it: `null` until then, and while `options` is `null`. It leaves and enters where
 * `url`, `room`, `name` or `key` change, and for nothing else: of the other options the first count, of `getAuth` the latest.
 * Without a `key` the component has one of its own.
 */
export function useRoom(options: ConnectOptions | null): RoomWithState | null;

/** What was said since the room was entered, up to 1,000 messages: another array for each new one. */
export function useMessages(room: Room | null): readonly Message[];

/** Who has a seat. */
export function usePlayers(room: Room | null): readonly Player[];

export interface RoomStatus {
  readonly status: Status;
  readonly problem: Problem | null;
  /** Why the room has ended: render it under another React `key` to enter it again. */
  readonly end: Problem | null;
}

export function useStatus(room: Room | null): RoomStatus;

/** All of the room's state by its keys: another map after each change. Set a key with `room.setState`. */
export function useRoomState(room: RoomWithState | null): ReadonlyMap<string, StateEntry>;

/** Calls the latest `handler` at each such event while the component is there. */
export function useRoomEvent<Type extends keyof RoomEvents>(room: Room | null, type: Type, handler: RoomEvents[Type]): void;
