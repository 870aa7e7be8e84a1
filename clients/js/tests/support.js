// Rooms that keep a log of all that they were told, and a service to be in. I/O: the network; processes, through the pages' tests.

import assert from 'node:assert/strict';
import net from 'node:net';
import { connect } from '../src/index.js';
import { until } from '../../../chatd/tests/pages/support/browser.js';

export { Double, say as sayInDouble } from '../../../chatd/tests/pages/support/double.js';
export { Gate } from '../../../chatd/tests/pages/support/gate.js';
export { freePort, startCluster } from '../../../chatd/tests/pages/support/cluster.js';
export { until };

const TYPES = ['message', 'event', 'players', 'entered', 'away', 'back', 'exited', 'gap', 'status', 'ended'];

/** A room with its log: `[type, ...what the handler was called with]`. */
export class Guest {
  log = [];

  constructor(options) {
    this.room = connect(options);
    for (const type of TYPES) this.room.on(type, (...about) => this.log.push([type, ...about]));
  }

  static async in(options, timeout) {
    const guest = new Guest(options);
    await guest.is('connected', timeout);
    return guest;
  }

  get name() {
    return this.room.name;
  }

  told(type) {
    return this.log.filter(([kind]) => kind === type).map(([, about]) => about);
  }

  get texts() {
    return this.told('message').map(({ text }) => text);
  }

  async is(status, timeout = 30_000) {
    await until(() => this.room.status === status, () => `${this.name} to be ${status}: ${this}`, timeout);
  }

  async hears(text, timeout = 30_000) {
    await until(() => this.texts.includes(text), () => `${this.name} to hear “${text}”: ${this}`, timeout);
  }

  async wasTold(type, timeout = 30_000) {
    await until(() => this.told(type).length > 0, () => `${this.name} to be told ${type}: ${this}`, timeout);
    return this.told(type)[0];
  }

  async says(text, timeout = 45_000) {
    const delivery = await settles(this.room.say(text), `“${text}”`, timeout);
    assert.equal(delivery.delivery, 'delivered', `${text}: ${JSON.stringify(delivery)}; ${this}`);
    return delivery.message;
  }

  toString() {
    return `${this.room.status} ${JSON.stringify(this.room.problem)}, told ${JSON.stringify(this.log.slice(-12))}`;
  }
}

/** Fails where a promise takes longer than it may. */
export async function settles(promise, what, timeout) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has not settled in ${timeout} ms`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How many seats of a room are taken, by the room's own address. */
export async function seats(pod, room) {
  return (await (await fetch(`${pod.url}/api/rooms/${room}`)).json()).players;
}

/** The index of the pod that the room's record names. */
export async function ownerOf(cluster, room) {
  const record = await redisGet(cluster.redis.port, `chat:room:${room}`);
  return Number(/"pod_id":"chat-(\d+)"/.exec(record ?? '')?.[1] ?? NaN);
}

function redisGet(port, key) {
  return new Promise((resolve) => {
    let answer = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(`GET ${key}\r\nQUIT\r\n`));
    socket.setEncoding('utf8').on('data', (text) => { answer += text; }).on('error', () => resolve(null)).on('close', () => resolve(answer));
  });
}

/** A random source that a seed repeats. */
export function seeded(seed) {
  let word = seed | 0;
  return (below) => {
    word = (Math.imul(word, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (word >>> 8) % below;
  };
}
