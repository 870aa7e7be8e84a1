// A room for moderators, and for those who show whether it is locked. A layer around `connect`. I/O: by the room.

import { connect as connectRoom } from './index.js';
import { Layer } from './layer.js';
import { isDone, kick, lock, lockedAfter } from './moderation.js';

/** @import { ConnectOptions, Room } from './index.js' */
/** @import { KickOptions, Moderation } from './moderate.js' */

/** @template {Room} Inner @param {ConnectOptions} options @param {(options: ConnectOptions) => Inner} [connectInner] @returns {Inner & Moderation} */
export function connect(options, connectInner = /** @type {(options: ConnectOptions) => any} */ (connectRoom)) {
  let locked = false;
  const layer = new Layer(options.runtime, ['locked'], (message) => {
    const before = locked;
    locked = lockedAfter(before, message);
    if (locked !== before) layer.call('locked', locked, message.by ?? null);
    return isDone(message) ? { delivery: 'delivered' } : undefined;
  });
  const room = connectInner({ ...options, runtime: { ...options.runtime, WebSocket: layer.socket } });
  return /** @type {Inner & Moderation} */ (layer.in(room, {
    locked: { get: () => locked, enumerable: true },
    lock: { value: () => layer.ask(lock(true)) },
    unlock: { value: () => layer.ask(lock(false)) },
    kick: {
      /** @param {string} name @param {KickOptions} [options] */
      value: async (name, { banSeconds } = {}) => {
        if (typeof name !== 'string' || name === '') throw new TypeError('kick: name is no string');
        return layer.ask(kick(name, banSeconds));
      },
    },
  }));
}
