// A room with its state: values under keys that all members have and change. A layer around `connect`, which looks at what goes over the
// room's socket. I/O: by the room.

import { firstId } from './driver.js';
import { connect as connectRoom } from './index.js';

/** @import { ConnectOptions, Runtime } from './index.js' */
/** @import { RoomWithState, StateChange, StateEntry, StateEvents, StateOptions, StateSet } from './state.js' */

/** @typedef {InstanceType<Runtime['WebSocket']>} Socket */
/** @typedef {StateChange & {type: string, id?: number, timeline?: string, code?: string, state?: All, entries?: StateChange[]}} Heard */
/** @typedef {{version: number, entries: StateChange[]}} All */

/** @type {(change: StateChange) => [string, StateEntry]} */
const entryOf = ({ key, value, version, from }) => [key, { value, version, from }];

/** @param {ConnectOptions} options @returns {RoomWithState} */
export function connect(options) {
  const state = new RoomState(options.runtime);
  const room = connectRoom({ ...options, runtime: { ...options.runtime, WebSocket: state.socket } });
  return state.in(room);
}

class RoomState {
  /** The same in all calls, until it changes. @type {ReadonlyMap<string, StateEntry>} */
  #entries = new Map();
  #version = 0;
  /** @type {string | undefined} */
  #timeline;
  /** The connection that is in the room. @type {Socket | null} */
  #joined = null;
  #nextId = firstId();
  /** What has no answer, by id. @type {Map<number, (outcome: StateSet) => void>} */
  #waiting = new Map();
  /** @type {{[Type in keyof StateEvents]: Set<{handler: StateEvents[Type]}>}} */
  #handlers = { state: new Set(), stateLost: new Set() };
  /** The room's sockets, which are looked at on the way. @type {Runtime['WebSocket']} */
  socket;

  /** @param {Partial<Runtime> | undefined} runtime */
  constructor(runtime) {
    const state = this;
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
          state.#hear(this, event.data);
        };
        socket.onclose = (/** @type {unknown} */ event) => {
          this.onclose?.(event);
          state.#gone(this);
        };
      }

      get readyState() { return this.#socket.readyState; }

      /** @param {string} data */
      send(data) { this.#socket.send(data); }

      close() {
        state.#gone(this);
        this.#socket.close();
      }
    };
  }

  /** Gives the room what it has more than others. @param {ReturnType<typeof connectRoom>} room @returns {RoomWithState} */
  in(room) {
    const on = room.on.bind(room);
    const more = {
      state: { get: () => this.#entries, enumerable: true },
      setState: { value: (/** @type {[string, unknown, StateOptions?]} */ ...change) => this.#set(...change) },
      on: {
        value: (/** @type {any} */ type, /** @type {any} */ handler) => {
          const handlers = Object.hasOwn(this.#handlers, type) && this.#handlers[/** @type {keyof StateEvents} */ (type)];
          if (!handlers) return on(type, handler);
          if (typeof handler !== 'function') throw new TypeError('on: the handler is not a function');
          const entry = { handler };
          if (!room.end) handlers.add(entry);
          return () => void handlers.delete(entry);
        },
      },
    };
    on('ended', () => Object.values(this.#handlers).forEach((handlers) => handlers.clear()));
    return /** @type {RoomWithState} */ (Object.defineProperties(room, more));
  }

  /** @param {string} key @param {unknown} value @param {StateOptions} [options] @returns {Promise<StateSet>} */
  async #set(key, value, { ifVersion } = {}) {
    if (typeof key !== 'string' || key === '') throw new TypeError('setState: the key is not a string');
    if (JSON.stringify(value) === undefined) throw new TypeError('setState: the value is no JSON');
    const socket = this.#joined;
    if (!socket) return { delivery: 'failed', code: 'not_connected' };
    const id = this.#nextId++;
    socket.send(JSON.stringify({ type: 'state_set', key, value, if_version: ifVersion, id }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  /** The connection is over: nobody knows what became of what had no answer. @param {Socket} socket */
  #gone(socket) {
    if (this.#joined !== socket) return;
    this.#joined = null;
    for (const id of this.#waiting.keys()) this.#settle(id, { delivery: 'unsure', code: 'unconfirmed' });
  }

  /** @param {number | undefined} id @param {StateSet} outcome */
  #settle(id, outcome) {
    if (id === undefined) return;
    this.#waiting.get(id)?.(outcome);
    this.#waiting.delete(id);
  }

  /** @param {Socket} socket @param {unknown} data */
  #hear(socket, data) {
    const message = parsed(data);
    if (!message || (message.type !== 'joined' && this.#joined !== socket)) return;
    const { type, key, value, version, from, id, timeline, code } = message;
    switch (type) {
      case 'joined':
        if (socket.readyState !== 1) return;
        this.#joined = socket;
        this.#replace(timeline, message.state);
        return;
      // Of another timeline: it has what is told next, or nothing.
      case 'moved': return this.#timeline === timeline ? undefined : this.#replace(timeline);
      case 'state_all': return this.#replace(this.#timeline, message);
      case 'state_lost': return this.#call('stateLost');
      case 'state': {
        this.#settle(id, { delivery: 'delivered', version });
        // The answer to a change whose first answer was lost; the state has it already.
        if (version <= this.#version) return;
        this.#version = version;
        const others = [...this.#entries].filter(([other]) => other !== key);
        const change = { key, value, version, from };
        this.#change(value === null ? others : [...others, entryOf(change)], change);
        return;
      }
      case 'error': return this.#settle(id, code === 'unavailable'
        ? { delivery: 'unsure', code }
        : { delivery: 'failed', code: code ?? '', ...(version !== undefined && { version }) });
      case 'left': return this.#gone(socket);
    }
  }

  /** @param {string | undefined} timeline @param {Partial<All>} [all] */
  #replace(timeline, { version = 0, entries = [] } = {}) {
    const next = entries.map(entryOf);
    // An owner that was overtaken and has the room again counts on in its own way: the same number is not always the same state.
    const isSame = this.#timeline === timeline && JSON.stringify([...this.#entries]) === JSON.stringify(next);
    const wasEmpty = this.#entries.size === 0;
    [this.#timeline, this.#version] = [timeline, version];
    if (!isSame && !(wasEmpty && next.length === 0)) this.#change(next, null);
  }

  /** @param {[string, StateEntry][]} entries @param {StateChange | null} change */
  #change(entries, change) {
    this.#entries = new Map(entries);
    this.#call('state', this.#entries, change);
  }

  /** After the room's own handlers for the same message. @template {keyof StateEvents} Type @param {Type} type @param {Parameters<StateEvents[Type]>} about */
  #call(type, ...about) {
    queueMicrotask(() => {
      for (const entry of [...this.#handlers[type]]) {
        if (!this.#handlers[type].has(entry)) continue;
        try {
          /** @type {Function} */ (entry.handler)(...about);
        } catch (error) {
          queueMicrotask(() => { throw error; });
        }
      }
    });
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
