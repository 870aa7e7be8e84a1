// A room as its caller sees it: events, what is said and settles, and an end. I/O: through its driver.

import { endOf, givenUp, problemOf } from './changes.js';
import { Driver, firstId } from './driver.js';
import { byteLength } from './protocol.js';
import { create, reduce, statusOf } from './session.js';

/** @import { OwnerEffect, Said, State, Told } from '../internal.js' */
/** @import { ConnectOptions, Delivery, Problem, Room, RoomEvents, SendOptions } from './index.js' */

/** @typedef {Told | ['ended', Problem] | ['players', State['players']] | ['status', ...Parameters<RoomEvents['status']>]} Call */
/** @typedef {{url: URL, key: string, sayTimeout: number} & Pick<ConnectOptions, 'room' | 'name' | 'auth' | 'getAuth' | 'runtime'>} Options */

const SET_BYTES = 512;

/** @implements {Room} */
export class ConnectedRoom {
  #driver;
  #sayTimeout;
  /** @type {Map<string, Set<{handler: Function}>>} */
  #handlers = new Map();
  /** What has no answer, by id. @type {Map<number, {resolve: (delivery: any) => void, timer: unknown}>} */
  #waiting = new Map();
  /** @type {Call[]} */
  #calls = [];
  #calling = false;
  /** @type {Told | null} */
  #lastTold = null;
  /** @type {Problem | null} */
  #end = null;
  /** @type {(() => void)[]} */
  #leaving = [];

  /** @param {Options} options */
  constructor({ url, sayTimeout, runtime, getAuth, ...about }) {
    this.#sayTimeout = sayTimeout;
    this.#driver = new Driver({
      url,
      runtime,
      getAuth,
      reduce,
      state: create({ ...about, firstId: firstId(), asksAuth: Boolean(getAuth) }),
      changed: (before, after) => this.#changed(before, after),
      perform: (effect) => this.#hear(effect),
    });
    // Handlers hear all of it; and a caller that leaves at once, as React does in StrictMode, has never connected.
    queueMicrotask(() => this.#driver.start());
  }

  get id() { return this.#driver.state.room; }

  get name() { return this.#driver.state.name ?? ''; }

  get status() { return this.#end ? 'ended' : statusOf(this.#driver.state); }

  get problem() { return this.#end ? null : problemOf(this.#driver.state); }

  get players() { return this.#driver.state.players; }

  get maxPlayers() { return this.#driver.state.maxPlayers; }

  get end() { return this.#end; }

  /** @template {keyof RoomEvents} Type @param {Type} type @param {RoomEvents[Type]} handler */
  on(type, handler) {
    if (typeof handler !== 'function') throw new TypeError('on: handler is no function');
    // One for each call: the same function may be there twice, and each is taken away alone.
    const entry = { handler };
    const all = this.#handlers.get(type) ?? new Set();
    if (!this.#end) this.#handlers.set(type, all.add(entry));
    return () => void all.delete(entry);
  }

  /** @param {string} text @returns {Promise<Delivery>} */
  async say(text) {
    if (typeof text !== 'string') throw new TypeError('say: text is no string');
    return this.#say({ text });
  }

  /** @param {string} kind @param {unknown} data @param {SendOptions} [options] @returns {Promise<any>} */
  async send(kind, data, { to, volatile } = {}) {
    if (typeof kind !== 'string' || kind === '') throw new TypeError('send: kind is no string');
    return this.#say({ kind, data: copied('send', data), to: to?.slice(), volatile });
  }

  /** @param {unknown} data */
  set(data) {
    const copy = copied('set', data);
    if (byteLength(JSON.stringify(copy)) > SET_BYTES) throw new RangeError(`set: over ${SET_BYTES} bytes`);
    this.#driver.dispatch({ type: 'set', data: copy });
  }

  /** @returns {Promise<void>} */
  leave() {
    return new Promise((resolve) => {
      if (this.#end) return resolve();
      this.#leaving.push(resolve);
      if (this.#leaving.length === 1) this.#driver.dispatch({ type: 'leave' });
    });
  }

  /** @param {Omit<Said, 'type'>} said @returns {Promise<any>} */
  async #say(said) {
    if (this.#end) return { delivery: 'failed', code: this.#end.code };
    if (said.volatile && this.status !== 'connected') return { delivery: 'failed', code: 'not_connected' };
    const id = this.#driver.state.nextId;
    this.#driver.dispatch({ type: 'say', ...said });
    const { nextId, error } = this.#driver.state;
    if (nextId === id) return { delivery: 'failed', code: error?.code === 'not_here' ? 'left' : error?.code ?? 'bad_text' };
    if (said.volatile) return { delivery: 'sent' };
    return new Promise((resolve) => {
      const timer = this.#driver.runtime.setTimeout(() => this.#giveUp(id), this.#sayTimeout);
      this.#waiting.set(id, { resolve, timer });
    });
  }

  /** @param {State} before @param {State} after */
  #changed(before, after) {
    const status = statusOf(after);
    const problem = problemOf(after);
    if (status !== statusOf(before) || problem?.code !== problemOf(before)?.code) this.#calls.push(['status', status, problem]);
    if (after.players !== before.players) this.#calls.push(['players', after.players]);
    for (const { id, delivery, code } of after.outbox) if (delivery === 'unsure' || delivery === 'failed') this.#settle(id, { delivery, code });
    const end = endOf(after);
    if (end && !this.#end) this.#finish(end, after);
    this.#call();
  }

  /** @param {OwnerEffect} effect */
  #hear({ told, own, reached }) {
    const [type, about] = told;
    if (own) this.#settle(own.id, { delivery: 'delivered', [type]: about, ...(reached && { reached }) });
    // A takeover is told, and then that messages may be missing: to a caller it is one gap.
    if (!(isUnknown(told) && isUnknown(this.#lastTold))) this.#calls.push(told);
    this.#lastTold = told;
    this.#call();
  }

  /** @param {number} id @param {{delivery: string, code?: string | undefined}} delivery */
  #settle(id, delivery) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    this.#driver.runtime.clearTimeout(waiting?.timer);
    waiting?.resolve(delivery);
    if (delivery.delivery !== 'delivered') this.#driver.dispatch({ type: 'discard', id });
  }

  /** @param {number} id */
  #giveUp(id) {
    const own = this.#driver.state.outbox.find((other) => other.id === id);
    if (own) this.#settle(id, givenUp(own, 'timeout'));
  }

  /** @param {Problem} end @param {State} state */
  #finish(end, { outbox }) {
    this.#end = end;
    for (const own of outbox) this.#settle(own.id, givenUp(own, end.code));
    this.#driver.end();
    this.#calls.push(['ended', end]);
    for (const resolve of this.#leaving) resolve();
  }

  // After the state has changed, and one event after the other: a handler may say something, or leave.
  #call() {
    if (this.#calling) return;
    this.#calling = true;
    queueMicrotask(() => {
      this.#calling = false;
      for (let call = this.#calls.shift(); call; call = this.#calls.shift()) this.#callHandlers(call);
      if (this.#end) this.#handlers.clear();
    });
  }

  /** @param {Call} call */
  #callHandlers([type, ...about]) {
    for (const entry of [...(this.#handlers.get(type) ?? [])]) {
      // Another handler may have taken it away meanwhile.
      if (!this.#handlers.get(type)?.has(entry)) continue;
      try {
        entry.handler(...about);
      } catch (error) {
        // A handler's fault is its owner's to see, and nobody else's: as with a listener of the platform.
        queueMicrotask(() => { throw error; });
      }
    }
  }
}

/** A gap of unknown size. @param {Told | null} told */
const isUnknown = (told) => told?.[0] === 'gap' && told[1].count === null;

/** As it is now, whatever the caller does with it later. @param {string} what @param {unknown} data @returns {unknown} */
function copied(what, data) {
  const json = JSON.stringify(data);
  if (json === undefined) throw new TypeError(`${what}: data is no JSON`);
  return JSON.parse(json);
}
