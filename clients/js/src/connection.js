// One WebSocket at a time, and whether it still lives. I/O: the network and timers; it decides nothing about the room.

import { SUBPROTOCOL, parse } from './protocol.js';

/** @import { Event, Runtime } from '../internal.js' */

const SILENCE_MS = 20_000;
const ANSWER_MS = 10_000;
const OPEN = 1;

export class Connection {
  #url;
  #runtime;
  #emit;
  /** @type {InstanceType<Runtime['WebSocket']> | null} */
  #socket = null;
  /** @type {unknown} */
  #timer;
  #expecting = false;

  /**
   * `emit` is called with `opened`, `received` and `closed`, never before `open` has returned; nothing comes from a connection that was dropped.
   *
   * @param {string} url @param {Runtime} runtime @param {(event: Event) => void} emit
   */
  constructor(url, runtime, emit) {
    this.#url = url;
    this.#runtime = runtime;
    this.#emit = emit;
  }

  open() {
    this.drop();
    let socket;
    try {
      socket = new this.#runtime.WebSocket(this.#url, SUBPROTOCOL);
    } catch {
      // A page that came by https may not open an insecure one.
      return this.#after(0, () => this.#closed(1006, false));
    }
    let opened = false;
    /** @type {<Data>(handler: (data: Data) => void) => (data: Data) => void} */
    const current = (handler) => (event) => {
      if (this.#socket === socket) handler(event);
    };
    socket.onopen = current(() => {
      opened = true;
      this.#expect();
      this.#emit({ type: 'opened' });
    });
    socket.onmessage = current((/** @type {{data: string}} */ { data }) => {
      this.#heard();
      const message = parse(data);
      if (message) this.#emit({ type: 'received', message });
    });
    socket.onclose = current((/** @type {{code: number}} */ { code }) => this.#closed(code, opened));
    // Node 22 tells nothing else of a connection that could not be made. Of one that was open the close tells, and why.
    socket.onerror = current(() => opened || this.#closed(1006, false));
    this.#socket = socket;
    this.#expect();
  }

  /** @param {object} message */
  send(message) {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Asks for a sign of life: without an answer in time the connection counts as closed. */
  check() {
    if (this.#expecting || !this.#socket) return;
    this.send({ type: 'ping' });
    this.#expect();
  }

  drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#runtime.clearTimeout(this.#timer);
    // The system goes on trying to close a dead connection for a while; nobody listens to it any longer.
    socket?.close();
  }

  #expect() {
    this.#expecting = true;
    const opened = this.#socket?.readyState === OPEN;
    this.#after(ANSWER_MS, () => this.#closed(1006, opened));
  }

  #heard() {
    this.#expecting = false;
    this.#after(SILENCE_MS, () => this.check());
  }

  /** @param {number} ms @param {() => void} action */
  #after(ms, action) {
    this.#runtime.clearTimeout(this.#timer);
    this.#timer = this.#runtime.setTimeout(action, ms);
  }

  /** @param {number} code @param {boolean} opened */
  #closed(code, opened) {
    this.drop();
    this.#emit({ type: 'closed', code, opened });
  }
}
