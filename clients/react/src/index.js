// React hooks for a room: enter it with a component, and show what it says. I/O: by the room.

import { connect, randomKey } from '@chatd/client';
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { NOWHERE, logOf } from './log.js';

/** @import { ConnectOptions, Room, RoomEvents } from '@chatd/client' */
/** @import { RoomStatus } from './index.js' */

/** @param {ConnectOptions | null} options @returns {Room | null} */
export function useRoom(options) {
  const [room, setRoom] = useState(/** @type {Room | null} */ (null));
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
