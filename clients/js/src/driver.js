// Runs a session: feeds it what the socket, the timers and the surroundings say, and carries out what it asks for. I/O: through the
// runtime that it is given.

import { Connection } from './connection.js';
import { watch } from './surroundings.js';

/** @import { Answer, Effect, Env, Event, OwnerEffect, Runtime, State, Step } from '../internal.js' */
/** @import { ConnectOptions } from './index.js' */

const LEAVE_MS = 2000;
const PROBE_MS = 8000;
// Somebody waits for the question after their name.
const LOOK_MS = 2500;
const AUTH_MS = 15_000;

/** The global ones, as they are when they are used: a test may replace them later. @type {Runtime} */
const RUNTIME = {
  get WebSocket() { return globalThis.WebSocket; },
  fetch: (url, init) => globalThis.fetch(url, init),
  setTimeout: (action, ms) => globalThis.setTimeout(action, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(/** @type {number | undefined} */ (timer)),
  now: () => Date.now(),
  random: () => Math.random(),
};

/** Ids of two clients in one seat must not meet. 2^20 ids are left below 2^53 after the greatest start. */
export function firstId() {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return ((high % 2 ** 12) * 2 ** 32 + low) * 2 ** 9;
}

export class Driver {
  #state;
  #reduce;
  #getAuth;
  #changed;
  #perform;
  #connection;
  #address;
  /** @type {Event[]} */
  #queue = [];
  #busy = false;
  #ended = false;
  #unwatch = () => {};
  /** By effect, so that none is there twice. @type {Map<string, unknown>} */
  #timers = new Map();
  /** @type {AbortController | null} */
  #asking = null;

  /**
   * `url`: the service's, with a slash at its end. `reduce`: the session's, or one that is made of it. `changed` is called after each event with
   * the state before and after it; `perform`, after that, with what is not the network's.
   *
   * @param {{url: URL, state: State, reduce: (state: State, event: Event, env: Env) => Step, runtime: Partial<Runtime> | undefined,
   *   getAuth: ConnectOptions['getAuth'], changed: (before: State, after: State, event: Event) => void, perform: (effect: OwnerEffect) => void}} options
   */
  constructor({ url, state, reduce, runtime, getAuth, changed, perform }) {
    this.runtime = /** @type {Runtime} */ ({ __proto__: RUNTIME, ...runtime });
    this.#state = state;
    this.#reduce = reduce;
    this.#getAuth = getAuth;
    this.#changed = changed;
    this.#perform = perform;
    this.#address = new URL(`api/rooms/${encodeURIComponent(state.room)}`, url).href.replace(/^ws/, 'http');
    const socket = new URL('ws', url).href.replace(/^http/, 'ws');
    this.#connection = new Connection(socket, this.runtime, (event) => this.dispatch(event));
  }

  get state() {
    return this.#state;
  }

  start() {
    if (this.#ended) return;
    this.dispatch({ type: 'begin' });
    this.#unwatch = watch((event) => this.dispatch(event));
  }

  /** An event that comes while another one is handled waits until that is done. @param {Event} event */
  dispatch(event) {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#queue.shift(); next && !this.#ended; next = this.#queue.shift()) this.#handle(next);
    } finally {
      this.#busy = false;
    }
  }

  /** Nothing comes of it any more, and nothing of it is left. */
  end() {
    this.#ended = true;
    this.#connection.drop();
    this.#unwatch();
    this.#asking?.abort();
    for (const kind of this.#timers.keys()) this.#stop(kind);
  }

  /** @param {Event} event */
  #handle(event) {
    const before = this.#state;
    const [after, effects] = this.#reduce(before, event, { now: this.runtime.now(), random: this.runtime.random() });
    this.#state = after;
    this.#changed(before, after, event);
    for (const effect of effects) if (!this.#ended) this.#carryOut(effect);
  }

  /** @param {Effect} effect */
  #carryOut(effect) {
    switch (effect.type) {
      case 'connect': this.#stop('wait'); return this.#connection.open();
      case 'disconnect': this.#stop('rest'); return this.#connection.drop();
      case 'send': return this.#connection.send(effect.message);
      case 'check': return this.#connection.check();
      case 'wait': return this.#later('wait', effect.ms, { type: 'due' });
      case 'rest': return this.#later('rest', effect.ms, { type: 'rested' });
      case 'hurry': return this.#later('hurry', LEAVE_MS, { type: 'closed', code: 1006, opened: true });
      case 'probe': return void this.#ask('probed', PROBE_MS, (signal) => this.#look(signal));
      case 'look': return void this.#ask('looked', LOOK_MS, (signal) => this.#look(signal));
      case 'authorise': return void this.#ask('authorised', AUTH_MS, (signal) => this.#authorise(signal));
      default: return this.#perform(effect);
    }
  }

  /** @param {string} kind @param {number} ms @param {Event} event */
  #later(kind, ms, event) {
    this.#stop(kind);
    this.#timers.set(kind, this.runtime.setTimeout(() => this.dispatch(event), ms));
  }

  /** @param {string} kind */
  #stop(kind) {
    this.runtime.clearTimeout(this.#timers.get(kind));
    this.#timers.delete(kind);
  }

  /**
   * Asks somebody else, and tells the session what they say; the newest question counts.
   *
   * @param {'probed' | 'looked' | 'authorised'} type @param {number} patience @param {(signal: AbortSignal) => Promise<object>} question
   */
  async #ask(type, patience, question) {
    this.#asking?.abort();
    const asking = new AbortController();
    const { signal } = asking;
    this.#asking = asking;
    const timer = this.runtime.setTimeout(() => asking.abort(), patience);
    const aborted = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    // No answer is an answer too.
    const answer = await Promise.race([question(signal), aborted]).catch((error) => ({ status: 0, message: error?.message }));
    this.runtime.clearTimeout(timer);
    if (this.#asking === asking) this.dispatch({ ...answer, type });
  }

  /**
   * What the room's own address says, in the words of the session: it also tells why an upgrade was refused.
   *
   * @param {AbortSignal} signal @returns {Promise<Answer>}
   */
  async #look(signal) {
    const response = await this.runtime.fetch(this.#address, { cache: 'no-store', signal });
    const { error, ...room } = await response.json().catch(() => ({}));
    const atLeastMs = 1000 * (Number.parseInt(response.headers.get('retry-after') ?? '', 10) || 0);
    return { ...room, ...error, status: response.status, atLeastMs };
  }

  /** @param {AbortSignal} signal */
  async #authorise(signal) {
    const auth = await this.#getAuth?.({ signal });
    if (typeof auth !== 'string' || auth === '') throw new TypeError('getAuth gave no token');
    return { auth };
  }
}
