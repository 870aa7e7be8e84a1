// The room's object with made-up time and sockets: what settles, what is told, and what is left behind. No network.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../src/index.js';
import { JOINED, MadeUp, ticks } from './made-up.js';
import { Guest, seeded, until } from './support.js';

const OPTIONS = { url: 'https://chat.example/team', room: 'abcd1234', name: 'ana' };
const unreachable = { status: 0 };

async function seated(more = {}) {
  const world = new MadeUp(more.world);
  const guest = new Guest({ ...OPTIONS, runtime: world.runtime, ...more.options });
  await ticks();
  world.socket.open();
  world.socket.hear(JOINED);
  await ticks();
  return { world, guest, room: guest.room };
}

const own = ({ id, text }, seq, more = {}) => ({ type: 'message', from: 'ana', text, seq, at: 5, id, ...more });
const settledNow = async (promise) => {
  const open = Symbol('open');
  await ticks();
  return Promise.race([promise, Promise.resolve(open)]).then((value) => (value === open ? null : value));
};

describe('connect', () => {
  test('goes to the service wherever it is, as JOIN with a key of its own', async () => {
    for (const [url, socket] of [
      ['https://chat.example', 'wss://chat.example/ws'], ['http://chat.example/team/chat/', 'ws://chat.example/team/chat/ws'],
      ['wss://chat.example/team?x=1#y', 'wss://chat.example/team/ws'], [new URL('ws://[::1]:8081'), 'ws://[::1]:8081/ws'],
    ]) {
      const world = new MadeUp();
      const room = connect({ ...OPTIONS, url, runtime: world.runtime });
      await ticks();
      assert.equal(world.socket.url, socket);
      world.socket.open();
      const [{ key, ...join }] = world.socket.sent;
      assert.deepEqual(join, { type: 'join', room: 'abcd1234', name: 'ana', resumable: true, on_wrong_pod: 'relay' });
      assert.match(key, /^[0-9a-f]{32}$/);
      await room.leave;
    }
  });

  test('refuses at once what cannot be right', () => {
    for (const wrong of [{ room: '' }, { name: undefined }, { room: 7 }, { key: 'short' }, { key: 'x y'.repeat(10) }, { url: 'no address' }, { url: 'ftp://chat.example' }, { url: 'https://ana:secret@chat.example' }, { sayTimeout: Infinity }, { sayTimeout: -1 }]) {
      assert.throws(() => connect({ ...OPTIONS, runtime: new MadeUp().runtime, ...wrong }), TypeError, JSON.stringify(wrong));
    }
  });

  test('a caller that leaves at once has never connected: React in StrictMode makes one connection', async () => {
    const world = new MadeUp();
    const key = 'k'.repeat(32);
    const first = new Guest({ ...OPTIONS, key, runtime: world.runtime });
    await first.room.leave();
    const second = new Guest({ ...OPTIONS, key, runtime: world.runtime });
    await ticks();
    assert.equal(world.sockets.length, 1);
    world.socket.open();
    world.socket.hear(JOINED);
    await ticks();
    assert.deepEqual([first.log, second.room.status], [[['status', 'ended', null], ['ended', { code: 'left' }]], 'connected']);
  });

  test('a WebSocket that cannot be made is a server that cannot be reached', async () => {
    const world = new MadeUp();
    class Forbidden { constructor() { throw new Error('an insecure one from a secure page'); } }
    const guest = new Guest({ ...OPTIONS, runtime: { ...world.runtime, WebSocket: Forbidden } });
    await world.pass(1);
    await ticks();
    assert.deepEqual([guest.room.status, guest.room.problem], ['connecting', { code: 'unreachable' }]);
    assert.equal((await guest.room.leave(), world.timers.size), 0);
  });
});

describe('say', () => {
  test('is delivered when it comes back, and the room hears it first', async () => {
    const { world, guest, room } = await seated();
    const order = [];
    room.on('message', ({ text }) => order.push(`heard ${text}`));
    const said = room.say('hi').then((delivery) => (order.push('settled'), delivery));
    world.socket.hear(own(world.socket.sent.at(-1), 11));
    const message = { from: 'ana', text: 'hi', at: 5, seq: 11, mine: true, replay: false };
    assert.deepEqual(await said, { delivery: 'delivered', message });
    assert.deepEqual(order, ['heard hi', 'settled']);
    assert.deepEqual(guest.told('message'), [message]);
  });

  test('before there is a connection it waits, and goes in the order of the calls', async () => {
    const world = new MadeUp();
    const { room } = new Guest({ ...OPTIONS, runtime: world.runtime });
    const all = [room.say('one'), room.say('two')];
    await ticks();
    world.socket.open();
    world.socket.hear(JOINED);
    for (const [seq, text] of [[11, 'one'], [12, 'two']]) {
      assert.equal(world.socket.sent.at(-1).text, text);
      world.socket.hear(own(world.socket.sent.at(-1), seq));
    }
    assert.deepEqual((await Promise.all(all)).map(({ delivery }) => delivery), ['delivered', 'delivered']);
  });

  test('what was refused has failed, with its code, and makes place for what follows', async () => {
    const { world, room } = await seated();
    for (let n = 0; n < 50; n += 1) {
      const said = room.say('x');
      world.socket.hear({ type: 'error', code: n % 2 ? 'bad_text' : 'unavailable', id: world.socket.sent.at(-1).id });
      assert.deepEqual(await said, n % 2 ? { delivery: 'failed', code: 'bad_text' } : { delivery: 'unsure', code: 'unavailable' });
    }
    assert.deepEqual(await room.say(''), { delivery: 'failed', code: 'bad_text' });
    assert.deepEqual(await room.say('x'.repeat(4001)), { delivery: 'failed', code: 'text_too_long' });
    await assert.rejects(room.say(7), TypeError);
    assert.equal(room.problem, null, 'no problem of the connection');
  });

  test('settles in its time where nothing is heard: not sent has failed, sent is unsure', async () => {
    const { world, room } = await seated({ options: { sayTimeout: 5000 } });
    const [sent, queued] = [room.say('sent'), room.say('queued')];
    await world.pass(4999);
    assert.equal(await settledNow(sent), null);
    await world.pass(1);
    assert.deepEqual(await settledNow(sent), { delivery: 'unsure', code: 'timeout' });
    assert.deepEqual(await settledNow(queued), { delivery: 'failed', code: 'timeout' });
    // What was given up is not said after all, and the next one does not overtake it.
    const next = room.say('next');
    assert.equal(world.socket.sent.at(-1).text, 'sent');
    world.socket.end(1012);
    await world.pass(1);
    world.socket.open();
    world.socket.hear({ ...JOINED, resumed: true });
    assert.deepEqual(world.socket.sent.filter(({ type }) => type === 'say').map(({ text }) => text), ['next']);
    world.socket.hear(own(world.socket.sent.at(-1), 11));
    assert.equal((await next).delivery, 'delivered');
  });

  test('at the end of the room what was sent is unsure, the rest has failed', async () => {
    for (const [code, end] of [['replaced', ({ socket }) => socket.end(4001)], ['left', (world, room) => void room.leave()]]) {
      const { world, guest, room } = await seated();
      const all = [room.say('sent'), room.say('queued')];
      end(world, room);
      await world.pass(2000);
      assert.deepEqual(await Promise.all(all), [{ delivery: 'unsure', code }, { delivery: 'failed', code }]);
      assert.deepEqual(await room.say('later'), { delivery: 'failed', code });
      assert.deepEqual([guest.told('ended'), room.end, room.status], [[{ code }], { code }, 'ended']);
      assert.equal(world.timers.size, 0, 'a timer is left');
      assert.equal(world.open.length, 0, 'a socket is left');
    }
  });

  test('what was said while somebody leaves is delivered if it was sent, and never sent if it was not', async () => {
    const { world, room } = await seated();
    const all = [room.say('sent'), room.say('queued')];
    const left = room.leave();
    assert.deepEqual(world.socket.sent.slice(1).map(({ type }) => type), ['say', 'leave']);
    assert.deepEqual(await room.say('too late'), { delivery: 'failed', code: 'left' });
    world.socket.hear(own(world.socket.sent[1], 11));
    world.socket.hear({ type: 'left', room: 'abcd1234' });
    await left;
    assert.deepEqual((await Promise.all(all)).map(({ delivery }) => delivery), ['delivered', 'failed']);
  });

  test('what is refused while somebody leaves does not end the leaving', async () => {
    for (const code of ['rate_limited', 'bad_text']) {
      const { world, guest, room } = await seated();
      const said = room.say('sent');
      void room.leave();
      world.socket.hear({ type: 'error', code, id: world.socket.sent[1].id });
      assert.deepEqual([await said, guest.room.end], [{ delivery: 'failed', code }, null]);
      world.socket.hear({ type: 'left', room: 'abcd1234' });
      assert.deepEqual(room.end, { code: 'left' });
    }
  });

  test('missed messages may hold the answer: what was sent is unsure, and the next one goes', async () => {
    const { world, guest, room } = await seated();
    const said = room.say('hm');
    const next = room.say('next');
    world.socket.hear({ type: 'missed', count: 3 });
    assert.deepEqual(await said, { delivery: 'unsure', code: 'unconfirmed' });
    assert.deepEqual(guest.told('gap'), [{ count: 3 }]);
    world.socket.hear(own(world.socket.sent.findLast(({ type }) => type === 'say'), 15));
    assert.equal((await next).delivery, 'delivered');
  });

  test('a replay that misses some is not taken for whole, and nothing waits for what does not come', async () => {
    const { world, room } = await seated();
    const said = room.say('hm');
    world.socket.end();
    await world.pass(400);
    world.socket.open();
    assert.equal(world.socket.sent[0].type, 'resume');
    world.socket.hear({ ...JOINED, resumed: true, seq: 13 });
    world.socket.hear({ type: 'message', from: 'bob', text: 'a', seq: 11, at: 5, replay: true });
    world.socket.hear({ type: 'message', from: 'bob', text: 'live', seq: 14, at: 5 });
    assert.deepEqual(await settledNow(said), { delivery: 'unsure', code: 'unconfirmed' });
  });
});

describe('what is told', () => {
  test('nothing that was heard is told again, whatever is replayed', async () => {
    const { world, guest } = await seated();
    world.socket.hear({ type: 'message', from: 'bob', text: 'once', seq: 11, at: 5 });
    world.socket.end(1012);
    await world.pass(1);
    world.socket.open();
    world.socket.hear({ type: 'error', code: 'bad_token' });
    world.socket.hear({ ...JOINED, resumed: true, seq: 12 });
    for (const [seq, text] of [[11, 'once'], [12, 'twice']]) world.socket.hear({ type: 'message', from: 'bob', text, seq, at: 5, replay: true });
    await ticks();
    assert.deepEqual(guest.texts, ['once', 'twice']);
  });

  test('a connection that breaks in the middle of a replay goes on from there', async () => {
    const { world } = await seated();
    for (const found of [false, true]) {
      world.socket.end(1012);
      await world.pass(10_000);
      world.socket.open();
      // With the key a new client finds a seat in which it has heard nothing.
      if (found) world.socket.hear({ type: 'error', code: 'bad_token' });
      world.socket.hear({ ...JOINED, resumed: true, seq: 20 });
      world.socket.hear({ type: 'message', from: 'bob', text: 'x', seq: found ? 12 : 11, at: 5, replay: true });
    }
    world.socket.end(1012);
    await world.pass(10_000);
    world.socket.open();
    assert.equal(world.socket.sent[0].last_seq, 12);
  });

  test('players, who comes and goes, and the end, each in its turn', async () => {
    const { world, guest, room } = await seated();
    world.socket.hear({ type: 'entered', name: 'bob' });
    world.socket.hear({ type: 'away', name: 'bob' });
    world.socket.hear({ type: 'exited', name: 'bob', reason: 'timeout' });
    await ticks();
    assert.deepEqual(guest.log.map(([type]) => type), ['status', 'players', 'players', 'entered', 'players', 'away', 'players', 'exited']);
    assert.deepEqual(guest.told('exited'), [{ name: 'bob', reason: 'timeout' }]);
    assert.deepEqual([room.id, room.name, room.maxPlayers, room.players], ['abcd1234', 'ana', 4, [{ name: 'ana', away: false }]]);
  });

  test('a takeover is one gap, and so are two', async () => {
    const { world, guest } = await seated();
    world.socket.hear({ type: 'moved', room: 'abcd1234', timeline: 't2', seq: 0 });
    world.socket.hear({ type: 'missed', count: null });
    world.socket.hear({ type: 'missed', count: 2 });
    await ticks();
    assert.deepEqual(guest.told('gap'), [{ count: null }, { count: 2 }]);
  });

  test('what it does not know changes nothing', async () => {
    const { world, guest, room } = await seated();
    const before = guest.log.length;
    for (const message of [{ type: 'confetti' }, { type: 'state', key: 'x', value: 1 }, { type: 'redirect', room: 'abcd1234', tcp: 'a:1', web: 'a:2' }]) world.socket.hear(message);
    world.socket.onmessage({ data: '{' });
    world.socket.onmessage({ data: new ArrayBuffer(3) });
    await ticks();
    assert.deepEqual([guest.log.length, room.status], [before, 'connected']);
  });

  test('a handler is called until it is taken away, by itself too, and twice if it is there twice', async () => {
    const { world, room } = await seated();
    const calls = [];
    const handler = ({ text }) => calls.push(text);
    const [one, two] = [room.on('message', handler), room.on('message', handler)];
    const once = room.on('message', () => (once(), calls.push('once')));
    const hear = async (text, seq) => {
      world.socket.hear({ type: 'message', from: 'bob', text, seq, at: 5 });
      await ticks();
    };
    await hear('a', 11);
    one();
    one();
    await hear('b', 12);
    two();
    await hear('c', 13);
    assert.deepEqual(calls, ['a', 'a', 'once', 'b']);
    assert.throws(() => room.on('message', null), TypeError);
  });

  test('a handler that throws is its owner’s: the others hear all the same', async () => {
    const { world, guest, room } = await seated();
    const thrown = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => thrown.push(error.message));
    room.on('message', () => { throw new Error('mine'); });
    const later = [];
    room.on('message', ({ text }) => later.push(text));
    world.socket.hear({ type: 'message', from: 'bob', text: 'hi', seq: 11, at: 5 });
    await until(() => thrown.length > 0, 'the error to be seen', 5000);
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    assert.deepEqual([thrown, later, guest.texts], [['mine'], ['hi'], ['hi']]);
  });

  test('a handler may say something, leave, and add handlers', async () => {
    const { world, guest, room } = await seated();
    room.on('message', ({ mine }) => mine || void room.say('answer'));
    room.on('exited', () => void room.leave());
    world.socket.hear({ type: 'message', from: 'bob', text: 'hi', seq: 11, at: 5 });
    await ticks();
    assert.equal(world.socket.sent.at(-1).text, 'answer');
    world.socket.hear({ type: 'exited', name: 'bob', reason: 'left' });
    await ticks();
    world.socket.hear({ type: 'left', room: 'abcd1234' });
    await ticks();
    assert.deepEqual(guest.told('ended'), [{ code: 'left' }]);
  });
});

describe('the connection', () => {
  test('waits grow, are spread, and an end leaves nothing behind', async () => {
    const waits = [];
    for (const random of [0, 0.999]) {
      const world = new MadeUp({ random: () => random });
      const guest = new Guest({ ...OPTIONS, runtime: world.runtime });
      await ticks();
      for (let n = 0; n < 6; n += 1) {
        world.socket.end();
        await ticks();
        const [{ at }] = world.timers.values();
        waits.push(Math.round(at - world.now));
        await world.pass(at - world.now);
      }
      assert.equal(guest.room.problem.code, 'unreachable');
      await guest.room.leave();
      assert.deepEqual([world.timers.size, world.open.length], [0, 0]);
    }
    assert.deepEqual(waits, [200, 400, 800, 1600, 2500, 2500, 400, 800, 1599, 3198, 4998, 4998]);
  });

  test('a rest ends with its connection, so that it does not end the next one’s', async () => {
    const { world, room } = await seated();
    void room.say('one');
    const tooFast = (ms) => world.socket.hear({ type: 'error', code: 'rate_limited', retry_after_ms: ms, id: world.socket.sent.findLast(({ type }) => type === 'say').id });
    tooFast(3000);
    world.socket.end(1012);
    await world.pass(1);
    world.socket.open();
    world.socket.hear({ ...JOINED, resumed: true });
    tooFast(9000);
    const says = () => world.socket.sent.filter(({ type }) => type === 'say').length;
    await world.pass(8000);
    assert.equal(says(), 1, 'before its time');
    await world.pass(1000);
    assert.equal(says(), 2);
  });

  test('a machine that slept asks for a sign of life, in a page and in a worker; nobody listens after the end', async () => {
    const target = new EventTarget();
    const listeners = new Set();
    globalThis.addEventListener = (type, handler, options) => {
      listeners.add(handler);
      options.signal.addEventListener('abort', () => listeners.delete(handler));
      target.addEventListener(type, handler, options);
    };
    try {
      const { world, room } = await seated();
      const online = () => target.dispatchEvent(new Event('online'));
      online();
      assert.equal(world.socket.sent.at(-1).type, 'ping');
      world.socket.hear({ type: 'pong' });
      target.dispatchEvent(new Event('offline'));
      await world.pass(10_000);
      assert.equal(room.status, 'offline', 'no answer, and no network');
      const before = world.sockets.length;
      online();
      assert.equal(world.sockets.length, before + 1, 'it does not wait any longer');
      assert.ok(listeners.size > 0);
      await room.leave();
      assert.equal(listeners.size, 0);
    } finally {
      delete globalThis.addEventListener;
    }
  });

  test('who leaves behind a JOIN takes the seat along; a refusal ends it at once', async () => {
    for (const answer of [[JOINED, { type: 'left', room: 'abcd1234' }], [{ type: 'error', code: 'name_taken' }]]) {
      const world = new MadeUp();
      const guest = new Guest({ ...OPTIONS, runtime: world.runtime });
      await ticks();
      world.socket.open();
      const left = guest.room.leave();
      assert.deepEqual(world.socket.sent.map(({ type }) => type), ['join', 'leave']);
      for (const message of answer) world.socket.hear(message);
      await left;
      assert.deepEqual(guest.told('ended'), [{ code: 'left' }]);
      assert.deepEqual([world.timers.size, world.open.length], [0, 0]);
    }
  });

  test('a name that is taken and a room that is full end at once, and nobody is asked why', async () => {
    for (const code of ['name_taken', 'room_full', 'bad_room']) {
      const world = new MadeUp();
      const guest = new Guest({ ...OPTIONS, runtime: world.runtime });
      await ticks();
      world.socket.open();
      world.socket.hear({ type: 'error', code, message: 'Why.' });
      await ticks();
      assert.deepEqual(guest.told('ended'), [{ code, message: 'Why.' }]);
      assert.deepEqual([world.asked, world.timers.size, world.open.length], [0, 0, 0]);
    }
  });

  test('a probe that is under way ends with the room', async () => {
    let aborted = false;
    const world = new MadeUp({ answer: (url, { signal }) => new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => (aborted = true, reject(signal.reason)));
    }) });
    const { room } = new Guest({ ...OPTIONS, runtime: world.runtime });
    await ticks();
    world.socket.end();
    assert.equal(world.asked, 1);
    await room.leave();
    await ticks();
    assert.deepEqual([aborted, world.timers.size], [true, 0]);
  });
});

test('whatever the server does, each message settles once, and the end leaves nothing behind', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  const random = seeded(seed);
  const codes = ['bad_token', 'unavailable', 'rate_limited', 'not_in_room', 'moved', 'timeout', 'bad_text'];
  for (let round = 0; round < 200; round += 1) {
    const world = new MadeUp({ random: () => random(1000) / 1000, answer: () => Promise.resolve(new Response('{}', { status: [200, 503][random(2)] })) });
    const guest = new Guest({ ...OPTIONS, sayTimeout: 5000, runtime: world.runtime });
    const outcomes = [];
    let said = 0;
    let seq = 10;
    const acts = [
      () => world.socket?.readyState === 0 && world.socket.open(),
      () => world.socket?.end([1000, 1006, 1008, 1012, 1013][random(5)]),
      () => void guest.room.say(`${said += 1}`).then((delivery) => outcomes.push(delivery)),
      () => world.pass(random(3000)),
      () => world.socket?.readyState === 1 && world.socket.hear({ ...JOINED, resumed: random(2) === 0, missed: [0, 0, 2, null][random(4)], timeline: `t${random(2)}`, seq: seq += random(4) }),
      () => world.socket?.readyState === 1 && world.socket.hear({ type: 'error', code: codes[random(codes.length)], id: random(2) ? world.socket.sent.at(-1)?.id : undefined }),
      () => {
        const last = world.socket?.sent.findLast(({ type }) => type === 'say');
        if (last && world.socket.readyState === 1) world.socket.hear(own(last, seq += 1, { replay: random(3) === 0 }));
      },
      () => world.socket?.readyState === 1 && world.socket.hear([{ type: 'moved', timeline: `t${random(3)}`, seq }, { type: 'missed', count: null }, { type: 'pong' }][random(3)]),
    ];
    for (let step = 0; step < 60; step += 1) {
      await acts[random(acts.length)]();
      await ticks();
      assert.ok(world.open.length <= 1, `seed ${seed}, round ${round}: two sockets`);
    }
    if (random(2)) await world.pass(5000);
    else void guest.room.leave();
    await world.pass(2000);
    await world.pass(5000);
    assert.equal(outcomes.length, said, `seed ${seed}, round ${round}: ${said} said, ${outcomes.length} settled`);
    void guest.room.leave();
    await world.pass(2000);
    assert.deepEqual([guest.room.status, world.timers.size, world.open.length], ['ended', 0, 0], `seed ${seed}, round ${round}`);
    assert.equal(guest.told('ended').length, 1);
    assert.equal(guest.log.at(-1)[0], 'ended', 'nothing is told after the end');
  }
});
