// A room as its caller sees it: events, messages that settle, and an end. I/O: through its driver.

import { changes, endOf, givenUp, problemOf, settled, statusOf } from './changes.js';
import { Driver, firstId } from './driver.js';
import { create } from './session.js';

/** @import { State } from '../internal.js' */
/** @import { ConnectOptions, Delivery, Problem, Room, RoomEvents } from './index.js' */
/** @import { Told } from './changes.js' */

/** @implements {Room} */
export class ConnectedRoom {
  #driver;
  #sayTimeout;
  /** @type {Map<string, Set<{handler: Function}>>} */
  #handlers = new Map();
  /** Messages without an answer, by id. @type {Map<number, {resolve: (delivery: Delivery) => void, timer: unknown}>} */
  #waiting = new Map();
  /** @type {Told[]} */
  #told = [];
  #telling = false;
  /** @type {Problem | null} */
  #end = null;
  /** @type {(() => void)[]} */
  #leaving = [];

  /** @param {{url: URL, room: string, name: string, key: string, sayTimeout: number, runtime: ConnectOptions['runtime']}} options */
  constructor({ url, room, name, key, sayTimeout, runtime }) {
    this.#sayTimeout = sayTimeout;
    this.#driver = new Driver({
      url,
      state: create({ room, name, firstId: firstId(), key }),
      ...(runtime && { runtime }),
      changed: (before, after) => this.#changed(before, after),
      // What a page does with its drafts and its storage is not this package's.
      perform: () => {},
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
    if (typeof handler !== 'function') throw new TypeError('on: the handler is not a function');
    // One for each call: the same function may be there twice, and each is taken away alone.
    const entry = { handler };
    const all = this.#handlers.get(type) ?? new Set();
    if (!this.#end) this.#handlers.set(type, all.add(entry));
    return () => void all.delete(entry);
  }

  /** @param {string} text @returns {Promise<Delivery>} */
  async say(text) {
    if (typeof text !== 'string') throw new TypeError('say: the text is not a string');
    if (this.#end) return { delivery: 'failed', code: this.#end.code };
    const id = this.#driver.state.nextId;
    this.#driver.dispatch({ type: 'say', text });
    const { nextId, error } = this.#driver.state;
    if (nextId === id) return { delivery: 'failed', code: error?.code === 'not_here' ? 'left' : error?.code ?? 'bad_text' };
    return new Promise((resolve) => {
      const timer = this.#driver.runtime.setTimeout(() => this.#giveUp(id), this.#sayTimeout);
      this.#waiting.set(id, { resolve, timer });
    });
  }

  /** @returns {Promise<void>} */
  leave() {
    return new Promise((resolve) => {
      if (this.#end) return resolve();
      this.#leaving.push(resolve);
      if (this.#leaving.length === 1) this.#driver.dispatch({ type: 'leave' });
    });
  }

  /** @param {State} before @param {State} after */
  #changed(before, after) {
    this.#told.push(...changes(before, after));
    for (const [id, delivery] of settled(before, after)) this.#settle(id, delivery);
    const end = endOf(after);
    if (end && !this.#end) this.#finish(end, after);
    this.#tell();
  }

  /** @param {number} id @param {Delivery} delivery */
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
    this.#told.push(['ended', end]);
    for (const resolve of this.#leaving) resolve();
  }

  // After the state has changed, and one event after the other: a handler may say something, or leave.
  #tell() {
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      for (let told = this.#told.shift(); told; told = this.#told.shift()) this.#call(told);
      if (this.#end) this.#handlers.clear();
    });
  }

  /** @param {Told} told */
  #call([type, ...about]) {
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
