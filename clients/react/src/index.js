// React hooks for a room: enter it with a component, and show what it says. I/O: by the room.

import { randomKey } from '@chatd/client';
import { connect } from '@chatd/client/state';
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { NOWHERE, logOf } from './log.js';

/** @import { ConnectOptions, Room, RoomEvents } from '@chatd/client' */
/** @import { RoomWithState } from '@chatd/client/state' */
/** @import { RoomStatus } from './index.js' */

/** @type {RoomWithState['state']} */
const NO_STATE = new Map();

/** @param {ConnectOptions | null} options @returns {RoomWithState | null} */
export function useRoom(options) {
  const [room, setRoom] = useState(/** @type {RoomWithState | null} */ (null));
  // It outlives each connection of this component: the next one finds the seat of the last one, whatever has become of that.
  const [ownKey] = useState(randomKey);
  const latest = useLatest(options);
  const where = options && String(options.url);
  const key = options?.key ?? ownKey;

  useEffect(() => {
    const current = latest.current;
    if (!current) return undefined;
    // Another function in each rendering is no reason to leave.
    const getAuth = current.getAuth && /** @type {ConnectOptions['getAuth']} */ ((about) => (latest.current?.getAuth ?? current.getAuth)?.(about));
    const entered = connect({ ...current, key, ...(getAuth && { getAuth }) });
    // From the first message on, also where what shows them is rendered later.
    logOf(entered);
    setRoom(entered);
    return () => {
      setRoom(null);
      void entered.leave();
    };
  }, [where, options?.room, options?.name, key]);

  return room;
}

/** @param {Room | null} room */
export function useMessages(room) {
  return useLog(room).messages;
}

/** @param {Room | null} room */
export function usePlayers(room) {
  return useLog(room).players;
}

/** @param {Room | null} room @returns {RoomStatus} */
export function useStatus(room) {
  return useLog(room).status;
}

/** @param {RoomWithState | null} room */
export function useRoomState(room) {
  const subscribe = useCallback((/** @type {() => void} */ listener) => room?.on('state', listener) ?? (() => {}), [room]);
  return useSyncExternalStore(subscribe, () => room?.state ?? NO_STATE, () => NO_STATE);
}

/** @template {keyof RoomEvents} Type @param {Room | null} room @param {Type} type @param {RoomEvents[Type]} handler */
export function useRoomEvent(room, type, handler) {
  const latest = useLatest(handler);
  useEffect(() => {
    /** @type {(...about: any[]) => void} */
    const call = (...about) => /** @type {Function} */ (latest.current)(...about);
    return room?.on(type, /** @type {RoomEvents[Type]} */ (call));
  }, [room, type]);
}

/** @param {Room | null} room */
function useLog(room) {
  const log = room ? logOf(room) : NOWHERE;
  return useSyncExternalStore(log.subscribe, log.get, NOWHERE.get);
}

/** @template Value @param {Value} value */
function useLatest(value) {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}
