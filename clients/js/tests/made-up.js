// A made-up runtime: time that a test moves, sockets that a test speaks for. Pure: no I/O.

export class MadeUp {
  now = 1_000_000;
  timers = new Map();
  sockets = [];
  asked = 0;
  #next = 1;

  /** `answer`: what the room's own address answers, as `fetch` does. */
  constructor({ random = () => 0.5, answer = () => Promise.reject(new Error('unreachable')) } = {}) {
    const world = this;
    class Socket {
      readyState = 0;
      sent = [];
      constructor(url) {
        this.url = url;
        world.sockets.push(this);
      }
      send(data) { this.sent.push(JSON.parse(data)); }
      close() {
        this.readyState = 3;
      }
      open() {
        this.readyState = 1;
        this.onopen?.({});
      }
      hear(message) { this.onmessage?.({ data: JSON.stringify(message) }); }
      end(code = 1006) {
        this.readyState = 3;
        this.onclose?.({ code });
      }
    }
    this.runtime = {
      WebSocket: Socket,
      fetch: (url, init) => {
        this.asked += 1;
        return answer(url, init);
      },
      setTimeout: (action, ms) => {
        this.timers.set(this.#next, { at: this.now + ms, action });
        return this.#next++;
      },
      clearTimeout: (timer) => void this.timers.delete(timer),
      now: () => this.now,
      random,
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** Sockets that nobody has closed. */
  get open() {
    return this.sockets.filter(({ readyState }) => readyState < 3);
  }

  /** Lets the time pass, and all that is due happen in its order. */
  async pass(ms) {
    const end = this.now + ms;
    for (;;) {
      await ticks();
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort(([, one], [, other]) => one.at - other.at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.now = Math.max(this.now, due[1].at);
      due[1].action();
    }
    this.now = end;
  }
}

/** Lets what has settled be heard of. */
export async function ticks() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

export const JOINED = {
  type: 'joined', room: 'abcd1234', name: 'ana', players: [{ name: 'ana', away: false }], max_players: 4,
  timeline: 't1', seq: 10, resumed: false, missed: 0, token: 'secret', hold_ms: 30_000,
};
