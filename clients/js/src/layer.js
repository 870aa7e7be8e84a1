// What a layer around a room is made of: it looks at what goes over the room's socket, asks the server for more, and has events of its own.
// I/O: by the room.

import { firstId } from './driver.js';

/** @import { Room, Runtime } from './index.js' */

/** @typedef {InstanceType<Runtime['WebSocket']>} Socket */
/** @typedef {{type: string, id?: number, code?: string} & Record<string, any>} Heard */
/** @typedef {{delivery: 'unsure', code: string} | {delivery: 'failed', code: string, version?: number}} NotDone */

export class Layer {
  /** The connection that is in the room. @type {Socket | null} */
  #joined = null;
  #nextId = firstId();
  /** What has no answer, by id. @type {Map<number, (outcome: any) => void>} */
  #waiting = new Map();
  /** @type {Record<string, Set<{handler: Function}>>} */
  #handlers;
  #heard;
  /** The room's sockets, which are looked at on the way. @type {Runtime['WebSocket']} */
  socket;

  /**
   * `heard` gets what the server says in the room, and gives what an answer settles with, or nothing.
   *
   * @param {Partial<Runtime> | undefined} runtime @param {string[]} events @param {(message: Heard) => object | undefined} heard
   */
  constructor(runtime, events, heard) {
    this.#heard = heard;
    this.#handlers = Object.fromEntries(events.map((type) => [type, new Set()]));
    const layer = this;
    this.socket = class {
      #socket;
      /** @type {any} */ onopen;
      /** @type {any} */ onmessage;
      /** @type {any} */ onclose;
      /** @type {any} */ onerror;

      /** @param {string} url @param {string} protocol */
      constructor(url, protocol) {
        const WebSocket = runtime?.WebSocket ?? globalThis.WebSocket;
        const socket = new WebSocket(url, protocol);
        this.#socket = socket;
        socket.onopen = (/** @type {unknown} */ event) => this.onopen?.(event);
        socket.onerror = (/** @type {unknown} */ event) => this.onerror?.(event);
        socket.onmessage = (/** @type {{data: unknown}} */ event) => {
          // The room first: it may have ended this connection.
          this.onmessage?.(event);
          layer.#hear(this, event.data);
        };
        socket.onclose = (/** @type {unknown} */ event) => {
          this.onclose?.(event);
          layer.#gone(this);
        };
      }

      get readyState() { return this.#socket.readyState; }

      /** @param {string} data */
      send(data) { this.#socket.send(data); }

      close() {
        layer.#gone(this);
        this.#socket.close();
      }
    };
  }

  /** Gives the room what it has more than others. @template {Room} Inner @param {Inner} room @param {PropertyDescriptorMap} more @returns {Inner} */
  in(room, more) {
    const on = /** @type {(type: any, handler: any) => () => void} */ (room.on).bind(room);
    on('ended', () => Object.values(this.#handlers).forEach((handlers) => handlers.clear()));
    return Object.defineProperties(room, {
      ...more,
      on: {
        // Another layer may be put around this one.
        configurable: true,
        value: (/** @type {string} */ type, /** @type {Function} */ handler) => {
          const handlers = Object.hasOwn(this.#handlers, type) && this.#handlers[type];
          if (!handlers) return on(type, handler);
          if (typeof handler !== 'function') throw new TypeError('on: handler is no function');
          const entry = { handler };
          if (!room.end) handlers.add(entry);
          return () => void handlers.delete(entry);
        },
      },
    });
  }

  /** Sends a command, which is not kept for later. @param {object} command @returns {Promise<any>} */
  async ask(command) {
    const socket = this.#joined;
    if (!socket) return { delivery: 'failed', code: 'not_connected' };
    const id = this.#nextId++;
    socket.send(JSON.stringify({ ...command, id }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  /** After the room's own handlers for the same message. @param {string} type @param {unknown[]} about */
  call(type, ...about) {
    queueMicrotask(() => {
      const handlers = this.#handlers[type] ?? new Set();
      for (const entry of [...handlers]) {
        if (!handlers.has(entry)) continue;
        try {
          entry.handler(...about);
        } catch (error) {
          queueMicrotask(() => { throw error; });
        }
      }
    });
  }

  /** The connection is over: nobody knows what became of what had no answer. @param {Socket} socket */
  #gone(socket) {
    if (this.#joined !== socket) return;
    this.#joined = null;
    for (const id of this.#waiting.keys()) this.#settle(id, { delivery: 'unsure', code: 'unconfirmed' });
  }

  /** @param {number | undefined} id @param {object} outcome */
  #settle(id, outcome) {
    if (id === undefined) return;
    this.#waiting.get(id)?.(outcome);
    this.#waiting.delete(id);
  }

  /** @param {Socket} socket @param {unknown} data */
  #hear(socket, data) {
    const message = parsed(data);
    if (!message || (message.type !== 'joined' && this.#joined !== socket)) return;
    const { type, id, code = '', version } = message;
    if (type === 'left') return this.#gone(socket);
    if (type === 'joined') {
      if (socket.readyState !== 1) return;
      this.#joined = socket;
    }
    if (type === 'error') {
      return this.#settle(id, code === 'unavailable' ? { delivery: 'unsure', code } : { delivery: 'failed', code, ...(version !== undefined && { version }) });
    }
    const outcome = this.#heard(message);
    if (outcome) this.#settle(id, outcome);
  }
}

/** @param {unknown} data @returns {Heard | null} */
function parsed(data) {
  try {
    return JSON.parse(String(data));
  } catch {
    return null;
  }
}
