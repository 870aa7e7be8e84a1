// One WebSocket at a time, and whether it still lives. I/O: the network and timers; it decides nothing about the room.

import { SUBPROTOCOL, parse } from './protocol.js';

const SILENCE_MS = 20_000;
const ANSWER_MS = 10_000;

export class Connection {
  #url;
  #emit;
  #socket = null;
  #timer = null;
  #expecting = false;

  /** `emit` is called with `opened`, `received` and `closed`; nothing comes from a connection that was dropped. */
  constructor(url, emit) {
    this.#url = url;
    this.#emit = emit;
  }

  open() {
    this.drop();
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    let opened = false;
    const current = (handler) => (event) => {
      if (this.#socket === socket) handler(event);
    };
    socket.onopen = current(() => {
      opened = true;
      this.#expect();
      this.#emit({ type: 'opened' });
    });
    socket.onmessage = current(({ data }) => {
      this.#heard();
      const message = parse(data);
      if (message) this.#emit({ type: 'received', message });
    });
    socket.onclose = current(({ code }) => this.#closed(code, opened));
    this.#socket = socket;
    this.#expect();
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
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
    clearTimeout(this.#timer);
    // The browser goes on trying to close a dead connection for a while; nobody listens to it any longer.
    socket?.close();
  }

  #expect() {
    this.#expecting = true;
    const opened = this.#socket?.readyState === WebSocket.OPEN;
    this.#after(ANSWER_MS, () => this.#closed(1006, opened));
  }

  #heard() {
    this.#expecting = false;
    this.#after(SILENCE_MS, () => this.check());
  }

  #after(ms, action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, ms);
  }

  #closed(code, opened) {
    this.drop();
    this.#emit({ type: 'closed', code, opened });
  }
}
