// What a room has said, as values that are replaced when they change: one log for each room, for all that show it. No I/O.

/** @import { Message, Room } from '@chatd/client' */
/** @import { RoomStatus } from './index.js' */

/** @typedef {{messages: readonly Message[], players: Room['players'], status: RoomStatus}} Shown */
/** @typedef {{get: () => Shown, subscribe: (listener: () => void) => () => void}} Log */

const MAX_MESSAGES = 1000;

/** @type {Shown} */
const NOTHING = { messages: [], players: [], status: { status: 'connecting', problem: null, end: null } };

/** Where there is no room yet. @type {Log} */
export const NOWHERE = { get: () => NOTHING, subscribe: () => () => {} };

/** @type {WeakMap<Room, Log>} */
const logs = new WeakMap();

/** It begins with the first call. @param {Room} room @returns {Log} */
export function logOf(room) {
  const log = logs.get(room) ?? begin(room);
  logs.set(room, log);
  return log;
}

/** @param {Room} room @returns {Log} */
function begin(room) {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  const statusNow = () => ({ status: room.status, problem: room.problem, end: room.end });
  /** @type {Shown} */
  let shown = { messages: [], players: room.players, status: statusNow() };
  /** @param {Partial<Shown>} what */
  const change = (what) => {
    shown = { ...shown, ...what };
    for (const listener of listeners) listener();
  };
  room.on('message', (message) => change({ messages: [...shown.messages.slice(1 - MAX_MESSAGES), message] }));
  room.on('players', (players) => change({ players }));
  room.on('status', () => change({ status: statusNow() }));
  room.on('ended', () => change({ status: statusNow() }));
  return {
    get: () => shown,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
