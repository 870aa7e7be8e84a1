// The package's entry: checks what it is asked for, and connects. I/O: by the room that it makes.

import { ConnectedRoom } from './room.js';

/** @import { ConnectOptions, Room } from './index.js' */

const SAY_MS = 30_000;
const KEY = /^[A-Za-z0-9_-]{22,64}$/;

/** @param {ConnectOptions} options @returns {Room} */
export function connect({ url, key = randomKey(), sayTimeout = SAY_MS, ...options }) {
  const { room, name, auth, getAuth } = options;
  for (const [what, value] of Object.entries({ room, name, ...(auth !== undefined && { auth }) })) {
    if (typeof value !== 'string' || value === '') throw new TypeError(`connect: ${what} is missing`);
  }
  if (getAuth && typeof getAuth !== 'function') throw new TypeError('connect: getAuth is no function');
  if (!KEY.test(key)) throw new TypeError('connect: a key has 22 to 64 letters, digits, - and _');
  // Longer than a timer can be it would be over at once.
  if (!(sayTimeout > 0 && sayTimeout < 2 ** 31)) throw new TypeError('connect: sayTimeout is a number of milliseconds');
  return new ConnectedRoom({ ...options, url: serviceAt(url), key, sayTimeout });
}

/** @param {string | URL} url */
function serviceAt(url) {
  const service = new URL(url, globalThis.location?.href);
  if (!/^(https?|wss?):$/.test(service.protocol)) throw new TypeError(`connect: ${service.protocol} is not http or https`);
  if (service.username || service.password) throw new TypeError('connect: an address holds no password');
  service.search = '';
  service.hash = '';
  if (!service.pathname.endsWith('/')) service.pathname += '/';
  return service;
}

/** 128 random bits. */
export const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
