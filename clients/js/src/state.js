// A room with its state: values under keys that all members have and change. A layer around `connect`. I/O: by the room.

import { connect as connectRoom } from './index.js';
import { Layer } from './layer.js';
import { byteLength } from './protocol.js';

/** @import { Heard } from './layer.js' */
/** @import { ConnectOptions, Runtime } from './index.js' */
/** @import { RoomWithState, StateChange, StateEntry, StateOptions, StateSet } from './state.js' */

/** @typedef {{version: number, entries: StateChange[]}} All */

/** What a room's whole state has place for. */
const STATE_BYTES = 8192;

/** @type {(change: StateChange) => [string, StateEntry]} */
const entryOf = ({ key, value, version, from }) => [key, { value, version, from }];

/** @param {ConnectOptions} options @returns {RoomWithState} */
export function connect(options) {
  const state = new RoomState(options.runtime);
  const room = connectRoom({ ...options, runtime: { ...options.runtime, WebSocket: state.layer.socket } });
  return /** @type {RoomWithState} */ (state.layer.in(room, {
    state: { get: () => state.entries, enumerable: true },
    setState: { value: (/** @type {[string, unknown, StateOptions?]} */ ...change) => state.set(...change) },
  }));
}

class RoomState {
  /** The same in all calls, until it changes. @type {ReadonlyMap<string, StateEntry>} */
  entries = new Map();
  #version = 0;
  /** @type {string | undefined} */
  #timeline;

  /** @param {Partial<Runtime> | undefined} runtime */
  constructor(runtime) {
    this.layer = new Layer(runtime, ['state', 'stateLost'], (message) => this.#hear(message));
  }

  /** @param {string} key @param {unknown} value @param {StateOptions} [options] @returns {Promise<StateSet>} */
  async set(key, value, { ifVersion } = {}) {
    if (typeof key !== 'string' || key === '') throw new TypeError('setState: key is no string');
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError('setState: the value is no JSON');
    // For a message beyond 32 KiB the server would end the connection.
    if (byteLength(text) > STATE_BYTES) return { delivery: 'failed', code: 'line_too_long' };
    return this.layer.ask({ type: 'state_set', key, value, if_version: ifVersion });
  }

  /** @param {Heard} message @returns {StateSet | undefined} */
  #hear({ type, key, value, version, from, timeline, state, entries }) {
    switch (type) {
      case 'joined': return void this.#replace(timeline, state);
      // Of another timeline: it has what is told next, or nothing.
      case 'moved': return this.#timeline === timeline ? undefined : void this.#replace(timeline);
      case 'state_all': return void this.#replace(this.#timeline, { version, entries });
      case 'state_lost': return void this.layer.call('stateLost');
      case 'state': {
        // Else it is the answer to a change whose first answer was lost; the state has it already.
        if (version > this.#version) {
          this.#version = version;
          const others = [...this.entries].filter(([other]) => other !== key);
          const change = { key, value, version, from };
          this.#change(value === null ? others : [...others, entryOf(change)], change);
        }
        return { delivery: 'delivered', version };
      }
      default: return undefined;
    }
  }

  /** @param {string | undefined} timeline @param {Partial<All>} [all] */
  #replace(timeline, { version = 0, entries = [] } = {}) {
    const next = entries.map(entryOf);
    // An owner that was overtaken and has the room again counts on in its own way: the same number is not always the same state.
    const isSame = this.#timeline === timeline && JSON.stringify([...this.entries]) === JSON.stringify(next);
    const wasEmpty = this.entries.size === 0;
    [this.#timeline, this.#version] = [timeline, version];
    if (!isSame && !(wasEmpty && next.length === 0)) this.#change(next, null);
  }

  /** @param {[string, StateEntry][]} entries @param {StateChange | null} change */
  #change(entries, change) {
    this.entries = new Map(entries);
    this.layer.call('state', this.entries, change);
  }
}
